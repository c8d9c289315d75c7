"""The rules one answer must keep: its type, form, length, bounds, options, units, file and reference.

Which rules an item has is worked out once; each then judges one answer and gives the code of what is wrong, or None.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import Decimal

from kpro_graph.questionnaires.expressions.model import is_known, kinds_of
from kpro_graph.questionnaires.model import Bound, Item, ItemType, SourceExpression, Value, ValueSet
from kpro_graph.questionnaires.plan import Check, Fault, ItemPlan
from kpro_graph.questionnaires.values import (
    compare,
    compare_quantities,
    count_decimals,
    is_well_formed,
    write_lexical,
)

__all__ = ["calculated_bounds", "checks_of", "judge_form", "make_bound_check"]

_CHOICES = (ItemType.CHOICE, ItemType.OPEN_CHOICE)
_EXPECTED: Mapping[ItemType, tuple[str, str]] = {
    ItemType.BOOLEAN: ("ja eller nej", "yes or no"),
    ItemType.DECIMAL: ("et decimaltal", "a decimal number"),
    ItemType.INTEGER: ("et helt tal", "a whole number"),
    ItemType.DATE: ("en dato", "a date"),
    ItemType.DATE_TIME: ("en dato med klokkeslæt", "a date with a time"),
    ItemType.TIME: ("et klokkeslæt", "a time"),
    ItemType.STRING: ("en tekst", "a text"),
    ItemType.TEXT: ("en tekst", "a text"),
    ItemType.URL: ("en webadresse", "a web address"),
    ItemType.CHOICE: ("en svarmulighed", "an option"),
    ItemType.OPEN_CHOICE: ("en svarmulighed eller en tekst", "an option or a text"),
    ItemType.ATTACHMENT: ("en fil", "a file"),
    ItemType.REFERENCE: ("en henvisning", "a reference"),
    ItemType.QUANTITY: ("en mængde", "a quantity"),
}
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[A-Za-z0-9.\-]{1,64})?$")


def judge_form(plan: ItemPlan, value: Value) -> Fault | None:
    """Return what is wrong with the answer's type or form; the other rules suppose that nothing is."""
    if value.kind not in plan.kinds:
        danish, english = _EXPECTED.get(plan.item.type, ("intet svar", "no answer"))
        return "type_mismatch", {"expected": english, "expected_da": danish}
    if not is_well_formed(value):
        return "structure", {}
    return None


def checks_of(plan: ItemPlan) -> tuple[Check, ...]:
    """Return the rules the item's answers must keep, worked out at the first call."""
    checks = plan.checks
    if checks is None:
        checks = plan.checks = tuple(_list_checks(plan))
    return checks


def _list_checks(plan: ItemPlan) -> list[Check]:
    item = plan.item
    checks: list[Check] = []
    if item.options or item.value_set:
        checks.append(_judge_choice)
    elif item.type in _CHOICES:
        checks.append(_judge_system)
    if item.type is ItemType.STRING:
        checks.append(_judge_lines)
    if item.max_length is not None:
        checks.append(_judge_max_length)
    if item.min_length is not None:
        checks.append(_judge_min_length)
    if item.regex:
        checks.append(_judge_pattern)
    if item.max_decimal_places is not None:
        checks.append(_judge_decimals)
    checks.extend(
        make_bound_check(bound.value, lowest=lowest)
        for bound, lowest in _bounds(item)
        if bound.value is not None and bound.expression is None
    )
    if item.type is ItemType.QUANTITY and (item.unit or item.unit_options or item.unit_value_set):
        checks.append(_judge_unit)
    if item.type is ItemType.ATTACHMENT:
        checks.append(_judge_attachment)
    if item.type is ItemType.REFERENCE:
        checks.append(_judge_reference)
    return checks


def _judge_choice(plan: ItemPlan, value: Value) -> Fault | None:
    item = plan.item
    if value.key in plan.options:
        return None
    free = item.type is ItemType.OPEN_CHOICE and value.kind == "string"
    if free:
        return None
    if not item.value_set:
        return "not_in_options", {}
    if value.kind != "Coding":
        return ("not_in_value_set", {}) if value.kind == "string" else ("type_mismatch", _expect(item))
    return _judge_membership(plan.value_set, value)


def _expect(item: Item) -> dict[str, str]:
    danish, english = _EXPECTED[item.type]
    return {"expected": english, "expected_da": danish}


def _judge_membership(value_set: ValueSet | None, value: Value) -> Fault | None:
    if value_set is None:
        return "value_set_unresolved", {}
    holds = value_set.holds(value.system, value.code)
    if holds is None:
        return "value_set_unresolved", {}
    if not holds:
        return "not_in_value_set", {}
    return _judge_display(value_set, value)


def _judge_display(value_set: ValueSet, value: Value) -> Fault | None:
    """A display that is another code's display shows that one of the two was not meant."""
    display = value.display
    concept = value_set.concepts.get((value.system, value.code or ""))
    if not display or concept is None or not concept.display or display == concept.display:
        return None
    for (system, code), other in value_set.concepts.items():
        if system == value.system and code != value.code and other.display == display:
            return "display_mismatch", {}
    return None


def _judge_system(plan: ItemPlan, value: Value) -> Fault | None:
    if value.kind == "Coding" and value.code and not value.system:
        return "coding_without_system", {}
    return None


def _judge_lines(plan: ItemPlan, value: Value) -> Fault | None:
    text = value.value
    if isinstance(text, str) and ("\n" in text or "\r" in text):
        return "string_has_newline", {}
    return None


def _judge_max_length(plan: ItemPlan, value: Value) -> Fault | None:
    text = write_lexical(value)
    limit = plan.item.max_length
    if text is not None and limit is not None and len(text) > limit:
        return "max_length", {"limit": limit}
    return None


def _judge_min_length(plan: ItemPlan, value: Value) -> Fault | None:
    text = write_lexical(value)
    limit = plan.item.min_length
    if text is not None and limit is not None and len(text) < limit:
        return "min_length", {"limit": limit}
    return None


def _judge_pattern(plan: ItemPlan, value: Value) -> Fault | None:
    if plan.pattern is None:
        return "expression_error", {"reason": plan.pattern_fault}
    text = write_lexical(value)
    if text is not None and not plan.pattern.fullmatch(text):
        return "regex", {}
    return None


def _judge_decimals(plan: ItemPlan, value: Value) -> Fault | None:
    limit = plan.item.max_decimal_places
    raw = value.value.get("value") if isinstance(value.value, dict) else value.value
    if limit is not None and value.kind in ("decimal", "Quantity") and count_decimals(raw) > limit:
        return "max_decimal_places", {"limit": limit}
    return None


def make_bound_check(bound: Value, *, lowest: bool) -> Check:
    """Return the rule that answers lie on the right side of a bound, the bound itself included."""
    code = "min_value" if lowest else "max_value"
    wrong = -1 if lowest else 1
    shown = _show(bound)

    def judge(plan: ItemPlan, value: Value) -> Fault | None:
        if value.kind == "Quantity" and bound.kind == "Quantity":
            order = compare_quantities(value, bound)
            if order is None:
                return "quantity_not_comparable", {}
        elif value.kind == "Quantity" or bound.kind == "Quantity":
            number, limit = value.number, bound.number
            order = None if number is None or limit is None else (number > limit) - (number < limit)
        else:
            order = compare(value, bound)
        return (code, {"limit": shown[1], "limit_da": shown[0]}) if order == wrong else None

    return judge


def _show(bound: Value) -> tuple[str, str]:
    """Write a bound for a reader, in Danish and in English."""
    number = bound.number
    if number is None:
        return str(bound.value), str(bound.value)
    text = format(number, "f")
    unit = ""
    if isinstance(bound.value, Mapping):
        unit = f" {bound.value.get('unit') or bound.value.get('code') or ''}".rstrip()
    return text.replace(".", ",") + unit, text + unit


def _judge_unit(plan: ItemPlan, value: Value) -> Fault | None:
    item = plan.item
    if not isinstance(value.value, dict):
        return None
    system, code, unit = (value.value.get(name) for name in ("system", "code", "unit"))
    for allowed in item.unit_options:
        if (system, code) == (allowed.system, allowed.code) and code is not None:
            return None
        if code is None and unit is not None and unit in (allowed.display, allowed.code):
            return None
    typed = item.unit_open == "optionsOrType" and isinstance(code, str)
    if typed or (item.unit_open == "optionsOrString" and code is None):
        return None
    if item.unit_value_set:
        found = plan.unit_value_set
        holds = found.holds(system, code) if found is not None else None
        if holds is None:
            return "value_set_unresolved", {}
        return None if holds else ("unit_not_in_value_set", {})
    if item.unit_options:
        return "unit_not_allowed", {}
    if item.unit is not None and isinstance(code, str) and item.unit.code is not None:
        wanted = Value("Quantity", {"value": Decimal(1), "system": item.unit.system, "code": item.unit.code})
        if compare_quantities(Value("Quantity", {"value": 1, "system": system, "code": code}), wanted) is None:
            return "unit_not_allowed", {}
    return None


def _judge_attachment(plan: ItemPlan, value: Value) -> Fault | None:
    item, raw = plan.item, value.value
    if not isinstance(raw, dict):
        return None
    content_type = raw.get("contentType")
    if item.mime_types and not _accepts(item.mime_types, content_type):
        return "attachment_mime", {}
    stated, data = raw.get("size"), raw.get("data")
    size = stated if isinstance(stated, int) else None
    if isinstance(data, str):
        try:
            size = len(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            return "structure", {}
        if isinstance(stated, int) and stated != size:
            return "attachment_size_mismatch", {}
    if item.max_size is not None and size is not None and size > item.max_size:
        return "attachment_max_size", {"limit": format(item.max_size, "f")}
    return None


def _accepts(mime_types: tuple[str, ...], content_type: object) -> bool:
    if not isinstance(content_type, str):
        return False
    plain = content_type.partition(";")[0].strip().lower()
    for allowed in mime_types:
        wanted = allowed.strip().lower()
        if plain == wanted or wanted in ("*/*", f"{plain.partition('/')[0]}/*"):
            return True
    return False


def _judge_reference(plan: ItemPlan, value: Value) -> Fault | None:
    if not isinstance(value.value, dict):
        return None
    stated, reference = value.value.get("type"), value.value.get("reference")
    found = _REFERENCE.search(reference) if isinstance(reference, str) else None
    named = [each for each in (stated, found[1] if found else None) if isinstance(each, str)]
    wanted = plan.item.reference_types
    for name in named:
        if not (is_known(name) and "Resource" in kinds_of(name)) or (wanted and name not in wanted):
            return "reference_type", {}
    return None


def calculated_bounds(item: Item) -> list[tuple[SourceExpression, bool]]:
    """Return the expressions that give the item's bounds, each with whether it is the lowest value."""
    return [(bound.expression, lowest) for bound, lowest in _bounds(item) if bound.expression is not None]


def _bounds(item: Item) -> list[tuple[Bound, bool]]:
    pairs = ((item.min_value, True), (item.max_value, False), (item.min_quantity, True), (item.max_quantity, False))
    return [(bound, lowest) for bound, lowest in pairs if bound is not None]
