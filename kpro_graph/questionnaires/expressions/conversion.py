"""From one type to another: the ``to...`` functions, each with its ``convertsTo...``."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .nodes import Collection, Node
from .quantities import Quantity
from .registry import Environment, function, one, one_text
from .temporal import Temporal, parse_date, parse_date_time, parse_time
from .units import CALENDAR_SINGULAR

__all__: list[str] = []

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d{1,40}(?:\.\d{1,40})?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-zA-Z]+))?", re.ASCII
)

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _to_boolean(value: Any) -> Any:
    if isinstance(value, str):
        folded = value.lower()
        return True if folded in _TRUE else False if folded in _FALSE else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal) and value in (0, 1):
        return value == 1
    return None


def _to_integer(value: Any) -> Any:
    """A decimal converts where it is whole: nothing is lost."""
    if isinstance(value, str):
        value = int(value) if _INTEGER.fullmatch(value) else None
    elif isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else None
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return int(value)
    return None


def _to_decimal(value: Any) -> Any:
    if isinstance(value, str):
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool):
        return Decimal("1.0") if value else Decimal("0.0")
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _to_string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, str | int | Temporal | Quantity) else None


def _to_date(value: Any) -> Any:
    if isinstance(value, Temporal):
        return value.as_date() if value.kind != "Time" else None
    return parse_date(value) if isinstance(value, str) else None


def _to_date_time(value: Any) -> Any:
    if isinstance(value, Temporal):
        return value.as_date_time() if value.kind != "Time" else None
    return parse_date_time(value) if isinstance(value, str) else None


def _to_time(value: Any) -> Any:
    if isinstance(value, Temporal):
        return value if value.kind == "Time" else None
    return parse_time(value) if isinstance(value, str) else None


def _to_quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if not match or (match["word"] and match["word"] not in CALENDAR_SINGULAR):
            return None
        return Quantity(Decimal(match["value"]), match["unit"] or match["word"] or "1", bool(match["word"]))
    number = _to_decimal(value)
    return None if number is None else Quantity(number, "1")


def _declare(name: str, convert: Callable[[Any], Any]) -> None:
    @function(f"to{name}", gives=f"System.{name}")
    def _to(env: Environment, items: Collection) -> Collection:
        found = convert(_single(items, f"to{name}()"))
        return [] if found is None else [found]

    @function(f"convertsTo{name}", gives="System.Boolean")
    def _converts(env: Environment, items: Collection) -> Collection:
        value = _single(items, f"convertsTo{name}()")
        return [convert(value) is not None] if items else []


def _single(items: Collection, what: str) -> Any:
    value = one(items, what)
    return None if value.__class__ is Node else value


for _name, _convert in {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": _to_string,
    "Date": _to_date,
    "DateTime": _to_date_time,
    "Time": _to_time,
}.items():
    _declare(_name, _convert)


def _in_unit(items: Collection, unit: Collection | None, what: str) -> Quantity | None:
    found = _to_quantity(_single(items, what))
    wanted = one_text(unit or [], what)
    if found is None or wanted is None:
        return found
    return found.to(wanted)


@function("toQuantity", takes=("value",), required=0, gives="System.Quantity")
def _to_quantity_in(env: Environment, items: Collection, unit: Collection | None = None) -> Collection:
    found = _in_unit(items, unit, "toQuantity()")
    return [] if found is None else [found]


@function("convertsToQuantity", takes=("value",), required=0, gives="System.Boolean")
def _converts_to_quantity(env: Environment, items: Collection, unit: Collection | None = None) -> Collection:
    found = _in_unit(items, unit, "convertsToQuantity()")
    return [found is not None] if items else []
