"""Answer values: whether they are written as FHIR demands, how long they are, and how they compare.

Comparisons are exact. A date or time written less precisely is compared as far as both are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kpro_graph.questionnaires.document import number_of
from kpro_graph.questionnaires.expressions.units import read_unit
from kpro_graph.questionnaires.model import Value

__all__ = ["compare", "compare_quantities", "count_decimals", "is_well_formed", "matches", "same", "write_lexical"]

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?"
_TIME_ONLY = re.compile(_TIME, re.ASCII)
_DATE_TIME = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}})T({_TIME})(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_URI = re.compile(r"\S+")
_INTEGER = 2**31
_TEXT_LENGTH = 1 << 20
_UCUM = "http://unitsofmeasure.org"

_CODING = {"system": str, "version": str, "code": str, "display": str, "userSelected": bool}
_QUANTITY = {"value": object, "comparator": str, "unit": str, "system": str, "code": str}
_ATTACHMENT = {
    "contentType": str,
    "language": str,
    "data": str,
    "url": str,
    "size": int,
    "hash": str,
    "title": str,
    "creation": str,
}
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})
_REFERENCE = {"reference": str, "type": str, "identifier": dict, "display": str}


def is_well_formed(value: Value) -> bool:
    """Return whether the value is written as FHIR R4 demands of its kind."""
    raw = value.value
    match value.kind:
        case "string":
            return isinstance(raw, str) and len(raw) <= _TEXT_LENGTH and _is_text(raw)
        case "Coding":
            return _has_shape(raw, _CODING)
        case "integer":
            return isinstance(raw, int) and not isinstance(raw, bool) and -_INTEGER <= raw < _INTEGER
        case "boolean":
            return isinstance(raw, bool)
        case "decimal":
            return number_of(raw) is not None
        case "date":
            return isinstance(raw, str) and _is_date(raw)
        case "dateTime":
            return isinstance(raw, str) and (_is_date(raw) or _read_instant(raw) is not None)
        case "time":
            return isinstance(raw, str) and _TIME_ONLY.fullmatch(raw) is not None
        case "uri":
            return isinstance(raw, str) and _URI.fullmatch(raw) is not None and _is_text(raw)
        case "Quantity":
            return _has_shape(raw, _QUANTITY) and isinstance(raw, dict) and _is_quantity(raw)
        case "Attachment":
            return isinstance(raw, dict) and _has_shape(raw, _ATTACHMENT) and _is_attachment(raw)
        case "Reference":
            return _has_shape(raw, _REFERENCE)
    return False


def _is_text(text: str) -> bool:
    """Return whether a text holds no control characters but tabs and line ends, as FHIR R4 demands of a string."""
    return text.isprintable() or _CONTROL.search(text) is None


def _has_shape(raw: object, shape: Mapping[str, type]) -> bool:
    if not isinstance(raw, dict):
        return False
    for name, part in raw.items():
        expected = shape.get(name)
        if expected is None:
            if name not in ("id", "extension") and not name.startswith("_"):
                return False
        elif (
            not isinstance(part, expected)
            or (isinstance(part, str) and not _is_text(part))
            or (expected is int and isinstance(part, bool))
        ):
            return False
    return True


def _is_quantity(raw: Mapping[str, Any]) -> bool:
    """A number, one of R4's comparators, and no code without its system (R4's invariant qty-3)."""
    if "value" in raw and number_of(raw["value"]) is None:
        return False
    return raw.get("comparator", "<") in _COMPARATORS and ("code" not in raw or "system" in raw)


def _is_attachment(raw: Mapping[str, Any]) -> bool:
    """No data without their type (R4's invariant att-1)."""
    return "data" not in raw or "contentType" in raw


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = found.groups()
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return False
    return True


def _read_instant(text: str) -> tuple[datetime, Fraction] | None:
    """Return the moment, whole seconds in UTC and the fraction beside it; None where it is none."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    day, clock, zone = found.groups()
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    try:
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=hour, minutes=minute, seconds=second)
        if zone != "Z":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
            moment = moment - offset if zone[0] == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment, Fraction(int(fraction), 10 ** len(fraction)) if fraction else Fraction(0)


def write_lexical(value: Value) -> str | None:
    """Return the value as FHIR writes it, which lengths and patterns are about; None for values with parts."""
    raw = value.value
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | Decimal):
        return str(raw)
    number = number_of(raw)
    return str(number) if number is not None else None


def count_decimals(number: object) -> int:
    """Return how many decimals are written: 3 for ``1.000``."""
    exponent = number.as_tuple().exponent if isinstance(number, Decimal) else 0
    if isinstance(number, float):
        return count_decimals(Decimal(repr(number)))
    return max(0, -exponent) if isinstance(exponent, int) else 0


def same(left: Value, right: Value) -> bool:
    """Return whether two values are the same answer: system and code of codings, numbers by value."""
    if left.kind == right.kind and left.kind in ("Coding", "string", "boolean", "integer"):
        return left.key == right.key
    if left.kind == right.kind and left.kind == "Reference":
        return _reference(left) == _reference(right)
    order = compare(left, right)
    if order is None:
        return left.key == right.key
    return order == 0 and (left.kind != right.kind or left.kind not in ("date", "dateTime") or _same_width(left, right))


def _reference(value: Value) -> object:
    return value.value.get("reference") if isinstance(value.value, dict) else value.value


def _same_width(left: Value, right: Value) -> bool:
    """A date written to the month is not the same as one written to the day."""
    shorter, longer = sorted((len(str(left.value)), len(str(right.value))))
    return shorter == longer or shorter > 10


def compare(left: Value, right: Value) -> int | None:
    """Return -1, 0 or 1, or None where the two cannot be compared (other kinds, other dimensions)."""
    if left.kind == "Quantity" or right.kind == "Quantity":
        return compare_quantities(left, right) if left.kind == right.kind else None
    one, other = left.number, right.number
    if one is not None and other is not None:
        return (one > other) - (one < other)
    first, second = left.value, right.value
    if not isinstance(first, str) or not isinstance(second, str):
        return None
    if left.kind in ("date", "dateTime") and right.kind in ("date", "dateTime"):
        return _compare_dates(first, second)
    if left.kind != right.kind:
        return None
    if left.kind == "time":
        return _compare_times(first, second)
    return (first > second) - (first < second)


def _compare_dates(first: str, second: str) -> int | None:
    one, other = _read_instant(first), _read_instant(second)
    if one is not None and other is not None:
        return (one > other) - (one < other)
    left, right = first[:10], second[:10]
    if not _is_date(left) or not _is_date(right):
        return None
    width = min(len(left), len(right))
    left, right = left[:width], right[:width]
    return (left > right) - (left < right)


def _compare_times(first: str, second: str) -> int | None:
    if not _TIME_ONLY.fullmatch(first) or not _TIME_ONLY.fullmatch(second):
        return None
    left, right = first.ljust(18, "0"), second.ljust(18, "0")
    if "." not in first:
        left = f"{first}.000000000"
    if "." not in second:
        right = f"{second}.000000000"
    return (left > right) - (left < right)


def compare_quantities(left: Value, right: Value) -> int | None:
    """Return the order of two quantities, converted by UCUM; None where their units cannot be compared.

    Units are compared by system and code; a unit that is only a word (``unit`` without a code) has no formal meaning.
    """
    one, other = left.number, right.number
    if one is None or other is None or not isinstance(left.value, dict) or not isinstance(right.value, dict):
        return None
    here, there = left.value, right.value
    unit, second_unit = here.get("code"), there.get("code")
    if unit == second_unit and here.get("system") == there.get("system"):
        if unit is None and (here.get("unit") is not None or there.get("unit") is not None):
            return None
        return (one > other) - (one < other)
    if here.get("system") != _UCUM or there.get("system") != _UCUM:
        return None
    if not isinstance(unit, str) or not isinstance(second_unit, str):
        return None
    first, second = read_unit(unit), read_unit(second_unit)
    if first is None or second is None or first.dimensions != second.dimensions:
        return None
    measured = Fraction(one) * first.factor + first.offset
    limit = Fraction(other) * second.factor + second.offset
    return (measured > limit) - (measured < limit)


def matches(values: list[Value], operator: str, wanted: Value) -> bool:
    """Return whether answers meet a condition (the operators of enableWhen).

    ``exists`` asks whether there is an answer; ``!=`` holds where no answer equals, also where there is none; every
    other operator holds where at least one answer meets it for certain: whether 2024 is at least 2024-06 is not.
    """
    match operator:
        case "exists":
            return bool(values) is (wanted.value is True)
        case "=":
            return any(same(value, wanted) for value in values)
        case "!=":
            return not any(same(value, wanted) for value in values)
        case ">":
            return any(compare(value, wanted) == 1 for value in values)
        case "<":
            return any(compare(value, wanted) == -1 for value in values)
        case ">=":
            return any(compare(value, wanted) == 1 or same(value, wanted) for value in values)
        case "<=":
            return any(compare(value, wanted) == -1 or same(value, wanted) for value in values)
    return False
