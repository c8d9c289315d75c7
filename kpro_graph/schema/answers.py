"""Answers: one value of each kind, as it is read and as it is given."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import strawberry

from kpro_graph.errors import BadInput
from kpro_graph.execution import member

__all__ = ["Answer", "AnswerProvenance", "AnswerValue", "AnswerValueInput", "as_fhir"]


@strawberry.type(description="A coded answer.")
class Coding:
    """A coding."""

    system: str | None = member("system", description="The code system.")
    code: str | None = member("code", description="The code.")
    display: str | None = member("display", description="The text that came with the code.")


@strawberry.type(description="A measured answer.")
class Quantity:
    """A quantity."""

    value: Decimal | None = member("value", description="The number.")
    unit: str | None = member("unit", description="The unit as people read it.")
    system: str | None = member("system", description="The unit's code system.")
    code: str | None = member("code", description="The unit's code (UCUM).")


@strawberry.type(description="One value of an answer. `display` always tells it; the field named by `kind` holds it.")
class AnswerValue:
    """A value."""

    kind: str = member("kind", description="Which of the fields holds the value.")
    display: str = member("display", description="The value as people read it, in the questionnaire's own language.")
    display_en: str = member("displayEn", description="The same in English, where it is translated.")
    boolean: bool | None = member("boolean", description="Yes or no.")
    integer: int | None = member("integer", description="A whole number.")
    decimal: Decimal | None = member("decimal", description="A number, with the digits it was written with.")
    string: str | None = member("string", description="A text.")
    uri: str | None = member("uri", description="A link.")
    date: str | None = member("date", description="A date, YYYY-MM-DD, or only its year or month.")
    date_time: str | None = member("dateTime", description="A date and time with time zone.")
    time: str | None = member("time", description="A time of day, HH:MM:SS.")
    coding: Coding | None = member("coding", description="A chosen option.")
    quantity: Quantity | None = member("quantity", description="A number with a unit.")


@strawberry.type(description="Et svar. What was answered to one item.")
class Answer:
    """An answer, kept as it was submitted."""

    path: str = member("path", description="The item's path with repeat indices, such as `group[1]/weight`.")
    link_id: str = member("linkId", description="The item's linkId in the questionnaire version.")
    question: str = member("question", description="What was asked, in the questionnaire's own language.")
    question_en: str = member("questionEn", description="The same in English, where it is translated.")
    values: list[AnswerValue] = member("values", description="The values; several only where the item repeats.")


@strawberry.type(description="Who gave one answer, and which employee typed it.")
class AnswerProvenance:
    """An answer's provenance, kept as it was submitted."""

    path: str = member("path", description="The item's path with repeat indices.")
    source: str = member("source", description="Who gave it: `CITIZEN`, `RELATIVE` or `PROFESSIONAL`.")
    typed_by: strawberry.ID | None = member(
        "typedBy", description="The id of the employee who typed it; null where whoever answered did so themselves."
    )


@strawberry.input(description="A chosen option.")
class CodingInput:
    """A coding."""

    system: str | None = strawberry.field(default=None, description="The code system, as the option has it.")
    code: str = strawberry.field(description="The code.")
    display: str | None = strawberry.field(default=None, description="The text; not compared.")


@strawberry.input(description="A number with a unit.")
class QuantityInput:
    """A quantity."""

    value: str = strawberry.field(description="The number, in digits with a point, such as `36.5`.")
    unit: str | None = strawberry.field(default=None, description="The unit as people read it.")
    system: str | None = strawberry.field(default=None, description="The unit's code system.")
    code: str | None = strawberry.field(default=None, description="The unit's code (UCUM).")


@strawberry.input(description="One value; exactly one of the fields.", one_of=True)
class AnswerValueInput:
    """A value."""

    boolean: strawberry.Maybe[bool] = strawberry.field(default=None, description="Yes or no.")
    integer: strawberry.Maybe[int] = strawberry.field(default=None, description="A whole number.")
    decimal: strawberry.Maybe[str] = strawberry.field(
        default=None, description="A number in digits with a point; the digits are kept."
    )
    string: strawberry.Maybe[str] = strawberry.field(default=None, description="A text, also in open-choice items.")
    uri: strawberry.Maybe[str] = strawberry.field(default=None, description="A link.")
    date: strawberry.Maybe[str] = strawberry.field(default=None, description="A date, YYYY-MM-DD.")
    date_time: strawberry.Maybe[str] = strawberry.field(default=None, description="A date and time with time zone.")
    time: strawberry.Maybe[str] = strawberry.field(default=None, description="A time of day, HH:MM:SS.")
    coding: strawberry.Maybe[CodingInput] = strawberry.field(default=None, description="A chosen option.")
    quantity: strawberry.Maybe[QuantityInput] = strawberry.field(default=None, description="A number with a unit.")


_FHIR = {
    "boolean": "valueBoolean",
    "integer": "valueInteger",
    "string": "valueString",
    "uri": "valueUri",
    "date": "valueDate",
    "date_time": "valueDateTime",
    "time": "valueTime",
}


def _number(text: str, path: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or len(text) > 64:
        raise BadInput("a number is written in digits with a point", path=path)
    return number


def as_fhir(value: AnswerValueInput, path: str) -> dict[str, Any]:
    """Return a given value as FHIR writes it.

    Raises:
        BadInput: it holds no field or a null, or a number is not written as one; ``path`` is named.
    """
    for name, fhir in _FHIR.items():
        if (given := getattr(value, name)) is not None:
            return {fhir: given.value}
    if value.decimal is not None:
        return {"valueDecimal": _number(value.decimal.value or "", path)}
    if value.coding is not None and value.coding.value is not None:
        coding = value.coding.value
        parts = {"system": coding.system, "code": coding.code, "display": coding.display}
        return {"valueCoding": {name: part for name, part in parts.items() if part is not None}}
    if value.quantity is not None and value.quantity.value is not None:
        quantity = value.quantity.value
        named = {"unit": quantity.unit, "system": quantity.system, "code": quantity.code}
        return {
            "valueQuantity": {
                "value": _number(quantity.value, path),
                **{name: part for name, part in named.items() if part is not None},
            }
        }
    raise BadInput("a value holds exactly one of its fields, and not null", path=path)
