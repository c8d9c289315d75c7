"""The extensions the engine understands: HL7's, SDC's and those of the Danish FUT infrastructure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, Protocol, cast

from kpro_graph.questionnaires.document import mapping_of, mappings_of, number_of, text_of
from kpro_graph.questionnaires.model import (
    Bound,
    Condition,
    Constraint,
    Feedback,
    Image,
    Significance,
    SourceExpression,
    Toggle,
    Value,
)

__all__ = ["CORE", "FUT", "SDC", "Extensions", "Remark", "read_value"]

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/"
_CALCULATED_VALUE = f"{CORE}cqf-calculatedValue"
_CQF_EXPRESSION = f"{CORE}cqf-expression"
_COLOURS = frozenset({"green", "yellow", "red"})
_NUMBERS_AND_TIMES = (
    "boolean",
    "decimal",
    "integer",
    "positiveInt",
    "unsignedInt",
    "date",
    "dateTime",
    "time",
    "instant",
)
_TEXTS = ("string", "code", "id", "markdown", "uri", "url", "canonical", "oid", "uuid", "base64Binary")
_KINDS = {f"{name[:1].upper()}{name[1:]}": name for name in (*_NUMBERS_AND_TIMES, *_TEXTS)}


class Remark(Protocol):
    """Takes down a fault that does not hinder reading."""

    def __call__(self, code: str, location: str, /, **parameters: Any) -> None:
        """Take down the code and its place."""


def read_value(element: Mapping[str, Any], prefix: str = "value") -> Value | None:
    """Return the one ``value[x]`` of an element (or ``answer[x]``, by its prefix); None where there is none."""
    for name, part in element.items():
        if name.startswith(prefix) and part is not None:
            suffix = name[len(prefix) :]
            if suffix[:1].isupper():
                return Value(_KINDS.get(suffix, suffix), part)
    return None


class Extensions:
    """The extensions of one element, by their url, read with their types in mind."""

    def __init__(self, element: Mapping[str, Any], location: str, remark: Remark) -> None:
        self._by_url: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        self._location = location
        self._remark = remark
        for index, each in enumerate(mappings_of(element, "extension")):
            url = each.get("url")
            if isinstance(url, str):
                self._by_url.setdefault(url, []).append((index, each))

    def _all(self, name: str) -> list[tuple[int, Mapping[str, Any]]]:
        found = self._by_url.get(f"{SDC if name.startswith('sdc-') else CORE}{name}")
        return found or []

    def _fut(self, name: str) -> list[tuple[int, Mapping[str, Any]]]:
        return [
            each
            for spelling in (f"ehealth-questionnaire-{name}", f"ehealth-{name}", name)
            for each in self._by_url.get(f"{FUT}{spelling}", ())
        ]

    def _malformed(self, index: int, name: str) -> None:
        self._remark("extension_malformed", f"{self._location}.extension[{index}]", element=name)

    def _values(self, name: str) -> list[Value]:
        values = []
        for index, each in self._all(name):
            value = read_value(each)
            if value is None:
                self._malformed(index, name)
            else:
                values.append(value)
        return values

    def flag(self, name: str) -> bool:
        """Return whether the boolean extension is there and true."""
        found = False
        for index, each in self._all(name):
            value = read_value(each)
            if value is None or not isinstance(value.value, bool):
                self._malformed(index, name)
            else:
                found = found or value.value
        return found

    def text(self, name: str) -> str:
        """Return the extension's text, or an empty one."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of all extensions of that name."""
        return tuple(value.value for value in self._values(name) if isinstance(value.value, str))

    def whole(self, name: str) -> int | None:
        """Return the extension's whole number, or None."""
        for index, each in self._all(name):
            value = read_value(each)
            if value is not None and isinstance(value.value, int) and not isinstance(value.value, bool):
                return value.value
            self._malformed(index, name)
        return None

    def number(self, name: str) -> Decimal | None:
        """Return the extension's number, or None."""
        return next((number for value in self._values(name) if (number := value.number) is not None), None)

    def regex(self) -> str:
        """Return the pattern an answer must match, or an empty text."""
        return self.text("regex")

    def bound(self, name: str) -> Bound | None:
        """Return a lowest or highest value, written down or to be calculated (cqf-calculatedValue)."""
        for index, each in self._all(name):
            place = f"{self._location}.extension[{index}]"
            companions = [part for key, part in each.items() if key.startswith("_value")]
            for holder in (each, *companions):
                for extension in mappings_of(holder, "extension"):
                    if extension.get("url") in (_CALCULATED_VALUE, _CQF_EXPRESSION):
                        expression = _read_expression(extension, place)
                        if expression is not None:
                            return Bound(read_value(each), expression)
            value = read_value(each)
            if value is None:
                self._malformed(index, name)
            else:
                return Bound(value)
        return None

    def codings(self, name: str) -> tuple[Value, ...]:
        """Return the codings of all extensions of that name."""
        return tuple(value for value in self._values(name) if value.kind == "Coding")

    def outside(self) -> set[str]:
        """Return the names of variables whose values come from elsewhere: launch context, queries, population."""
        names: set[str] = set()
        for name in ("launchContext", "sourceQueries", "itemPopulationContext"):
            for _, each in self._all(f"sdc-questionnaire-{name}"):
                names.add(text_of(mapping_of(each, "valueExpression"), "name") or "")
                reference = text_of(mapping_of(each, "valueReference"), "reference") or ""
                names.add(reference.removeprefix("#"))
                for part in mappings_of(each, "extension"):
                    if part.get("url") == "name":
                        value = read_value(part)
                        if value is not None:
                            names.add(value.code or (value.value if isinstance(value.value, str) else ""))
        names.discard("")
        return names

    def controls(self) -> tuple[str, ...]:
        """Return the codes of the item controls, which tell how an item is shown."""
        return tuple(
            code
            for _, each in self._all("questionnaire-itemControl")
            for coding in mappings_of(mapping_of(each, "valueCodeableConcept"), "coding")
            if (code := text_of(coding, "code"))
        )

    def sdc_expression(self, name: str) -> SourceExpression | None:
        """Return SDC's expression of that name (or the older one under HL7's core), or None."""
        for full in (f"sdc-questionnaire-{name}", f"questionnaire-{name}"):
            for index, each in self._all(full):
                expression = _read_expression(each, f"{self._location}.extension[{index}]")
                if expression is not None:
                    return expression
                self._malformed(index, name)
        return None

    def variables(self) -> tuple[SourceExpression, ...]:
        """Return the declared variables in their order, which is part of their meaning."""
        found = []
        for index, each in self._all("variable"):
            expression = _read_expression(each, f"{self._location}.extension[{index}]")
            if expression is None or not expression.name:
                self._malformed(index, "variable")
            else:
                found.append(expression)
        return tuple(found)

    def constraints(self) -> tuple[Constraint, ...]:
        """Return the rules over the answers, both the older constraint and the newer targetConstraint."""
        found = []
        for name, target in (("questionnaire-constraint", False), ("targetConstraint", True)):
            for index, each in self._all(name):
                constraint = _read_constraint(each, f"{self._location}.extension[{index}]", target=target)
                if constraint is None:
                    self._malformed(index, name)
                else:
                    found.append(constraint)
        return tuple(found)

    def toggles(self) -> tuple[Toggle, ...]:
        """Return the options that may be chosen only where an expression holds."""
        found = []
        for index, each in self._all("sdc-questionnaire-answerOptionsToggleExpression"):
            parts = _parts(each)
            place = f"{self._location}.extension[{index}]"
            expression = _read_expression(parts["expression"], place) if "expression" in parts else None
            options = [read_value(part) for part in mappings_of(each, "extension") if part.get("url") == "option"]
            if expression is None or not options or None in options:
                self._malformed(index, "answerOptionsToggleExpression")
            else:
                found.append(Toggle(tuple(option for option in options if option is not None), expression))
        return tuple(found)

    def fut_text(self, name: str) -> str:
        """Return the text of a FUT extension, or an empty one."""
        for _, each in self._fut(name):
            value = read_value(each)
            if value is not None and isinstance(value.value, str):
                return value.value
        return ""

    def short_text(self) -> str:
        """Return the item's short text, FUT's or SDC's."""
        return self.fut_text("shortText") or self.text("sdc-questionnaire-shortText")

    def help_text(self) -> tuple[str, str]:
        """Return FUT's help text, plain and as XHTML."""
        for _, each in self._fut("helpText"):
            parts = _parts(each)
            plain, xhtml = read_value(parts.get("text", {})), read_value(parts.get("xhtml", {}))
            return (
                plain.value if plain is not None and isinstance(plain.value, str) else "",
                xhtml.value if xhtml is not None and isinstance(xhtml.value, str) else "",
            )
        return "", ""

    def slider_step(self) -> Decimal | None:
        """Return how far a slider moves at a time: FUT's decimal step, else HL7's whole one."""
        for _, each in self._fut("sliderStepValueDecimal"):
            return number_of(each.get("valueDecimal"))
        return self.number("questionnaire-sliderStepValue")

    def is_copyright(self) -> bool:
        """Return whether the item is a group of copyright notices."""
        return any(
            value is not None and value.value is True
            for _, each in self._fut("isCopyright")
            for value in (read_value(each),)
        )

    def image(self) -> Image | None:
        """Return FUT's image of a question or an option."""
        for index, each in self._fut("image"):
            parts = _parts(each)
            reference = text_of(mapping_of(parts.get("content"), "valueReference"), "reference")
            if reference:
                return Image(reference, text_of(parts.get("terms"), "valueString") or "")
            self._malformed(index, "image")
        return None

    def feedback(self) -> tuple[Feedback, ...]:
        """Return FUT's feedback texts with the bounds they are shown within."""
        found = []
        for index, each in self._fut("feedback"):
            parts = _parts(each)
            text = text_of(parts.get("value"), "valueString")
            low, high = parts.get("min", {}).get("valueInteger"), parts.get("max", {}).get("valueInteger")
            if text is None or not isinstance(low, int) or not isinstance(high, int):
                self._malformed(index, "feedback")
            else:
                found.append(Feedback(text, low, high))
        return tuple(found)

    def significances(self) -> tuple[Significance, ...]:
        """Return FUT's answer significances: conditions on the answer and the colour they give."""
        found = []
        for index, each in self._fut("answerSignificance"):
            conditions: list[Condition] = []
            colour = ""
            sound = True
            for part in mappings_of(each, "extension"):
                url = part.get("url")
                if url == "significance":
                    value = read_value(part)
                    colour = (value.code or "").lower() if value is not None and value.kind == "Coding" else ""
                    if value is not None and isinstance(value.value, str):
                        colour = value.value.lower()
                elif url in ("answerCondition", f"{FUT}ehealth-answer-Condition"):
                    inner = _parts(part)
                    value = read_value(inner.get("value", {}))
                    operator = text_of(inner.get("operator"), "valueCode")
                    if value is None or operator is None:
                        sound = False
                    else:
                        conditions.append(Condition(operator, value))
            if not sound or colour not in _COLOURS or not 1 <= len(conditions) <= 2:
                self._malformed(index, "answerSignificance")
            else:
                shade = cast(Literal["green", "yellow", "red"], colour)
                found.append(Significance(tuple(conditions), shade))
        return tuple(found)


def _parts(extension: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    parts: dict[str, Mapping[str, Any]] = {}
    for each in mappings_of(extension, "extension"):
        url = each.get("url")
        if isinstance(url, str):
            parts.setdefault(url, each)
    return parts


def _read_expression(extension: Mapping[str, Any], location: str) -> SourceExpression | None:
    expression = mapping_of(extension, "valueExpression")
    if expression is None:
        written = text_of(extension, "valueString")
        return SourceExpression(written, location=location) if written else None
    text = text_of(expression, "expression")
    if not text:
        return None
    return SourceExpression(
        text,
        text_of(expression, "language") or "text/fhirpath",
        text_of(expression, "name") or "",
        location,
    )


def _read_constraint(extension: Mapping[str, Any], location: str, *, target: bool) -> Constraint | None:
    parts = _parts(extension)
    expression = _read_expression(parts["expression"], location) if "expression" in parts else None
    if expression is None:
        return None
    severity = text_of(parts.get("severity"), "valueCode")
    key, human = (read_value(parts.get(name, {})) for name in ("key", "human"))
    return Constraint(
        key=key.value if key is not None and isinstance(key.value, str) else "",
        severity="warning" if severity == "warning" else "error",
        human=human.value if human is not None and isinstance(human.value, str) else "",
        expression=expression,
        locations=tuple(
            value.value
            for each in mappings_of(extension, "extension")
            if each.get("url") == "location"
            and (value := read_value(each)) is not None
            and isinstance(value.value, str)
        ),
        target=target,
    )
