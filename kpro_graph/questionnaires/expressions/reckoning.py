"""Functions over numbers and over time: roots and rounding, precision and boundaries, now and today."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any, Final

from .nodes import Collection, ExpressionFailed
from .quantities import EXACT, Quantity
from .registry import Environment, described, function, one, one_integer, one_number
from .temporal import Temporal, from_datetime

__all__: list[str] = []

_WIDE: Final = Context(prec=200)
_MOST_DECIMALS: Final = 28


def _amount(items: Collection, name: str) -> tuple[Any, Callable[[Any], Any]]:
    """Give the number in the input, and how to put the result back into its unit."""
    value = one(items, f"{name}()")
    if isinstance(value, Quantity):
        return value.value, lambda number: Quantity(Decimal(number), value.unit, value.calendar)
    if value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        return value, lambda number: number
    raise ExpressionFailed(f"{name}() is for numbers, and not for {described(items[0])}")


def _rounded(name: str, rounding: str) -> None:
    @function(name)
    def _run(env: Environment, items: Collection) -> Collection:
        number, put = _amount(items, name)
        return [] if number is None else [put(int(Decimal(number).to_integral_value(rounding)))]


_rounded("ceiling", ROUND_CEILING)
_rounded("floor", ROUND_FLOOR)
_rounded("truncate", ROUND_DOWN)


@function("abs")
def _abs(env: Environment, items: Collection) -> Collection:
    number, put = _amount(items, "abs")
    return [] if number is None else [put(number.copy_abs() if isinstance(number, Decimal) else abs(number))]


@function("round", takes=("value",), required=0)
def _round(env: Environment, items: Collection, precision: Collection | None = None) -> Collection:
    """Round half away from zero."""
    number, put = _amount(items, "round")
    places = one_integer(precision or [], "round()") or 0
    if not 0 <= places <= _MOST_DECIMALS:
        raise ExpressionFailed(f"round() takes from 0 to {_MOST_DECIMALS} decimals")
    if number is None:
        return []
    return [put(Decimal(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _WIDE))]


def _curve(name: str, curve: Callable[[Decimal], Decimal], *, allowed: Callable[[Decimal], bool]) -> None:
    """Declare a function of one number; outside its range it gives nothing, as the language has it."""

    @function(name, gives="System.Decimal")
    def _run(env: Environment, items: Collection) -> Collection:
        number = one_number(items, f"{name}()")
        if number is None or not allowed(Decimal(number)):
            return []
        env.spend(20)
        try:
            return _bounded(curve(Decimal(number)))
        except DecimalException:
            return []


def _bounded(number: Decimal) -> Collection:
    """Results too large or too small for the language are no results."""
    return [] if number and not -_MOST_DECIMALS * 2 < number.adjusted() < _MOST_DECIMALS * 2 else [number]


_curve("sqrt", EXACT.sqrt, allowed=lambda number: number >= 0)
_curve("exp", EXACT.exp, allowed=lambda number: abs(number) < 1000)


@function("ln", gives="System.Decimal")
def _ln(env: Environment, items: Collection) -> Collection:
    number = one_number(items, "ln()")
    if number is None:
        return []
    return [_logarithm(number)]


@function("log", takes=("value",), gives="System.Decimal")
def _log(env: Environment, items: Collection, base: Collection) -> Collection:
    number, foot = one_number(items, "log()"), one_number(base, "log()")
    if number is None or foot is None:
        return []
    divisor = _logarithm(foot)
    if not divisor:
        raise ExpressionFailed("1 is no base of a logarithm")
    wide = Context(prec=40)
    return (
        [EXACT.plus(wide.divide(wide.ln(Decimal(number)), wide.ln(Decimal(foot))))]
        if _logarithm(number)
        else [Decimal(0)]
    )


def _logarithm(number: int | Decimal) -> Decimal:
    if number <= 0:
        raise ExpressionFailed("only a positive number has a logarithm")
    return EXACT.ln(Decimal(number))


@function("power", takes=("value",))
def _power(env: Environment, items: Collection, exponent: Collection) -> Collection:
    number, power = one_number(items, "power()"), one_number(exponent, "power()")
    if number is None or power is None:
        return []
    env.spend(20)
    try:
        found = EXACT.power(Decimal(number), Decimal(power))
    except DecimalException:
        return []
    if isinstance(number, int) and isinstance(power, int) and power >= 0 and abs(found) < 1 << 63:
        return [int(found)]
    return _bounded(found)


@function("precision", gives="System.Integer")
def _precision(env: Environment, items: Collection) -> Collection:
    value = one(items, "precision()")
    if value is None:
        return []
    if isinstance(value, Temporal):
        return [value.precision]
    number = one_number(items, "precision()")
    return [max(0, -int(number.as_tuple().exponent)) if isinstance(number, Decimal) else 0]


def _boundary(name: str, *, low: bool) -> None:
    @function(name, takes=("value",), required=0, gives="input")
    def _run(env: Environment, items: Collection, precision: Collection | None = None) -> Collection:
        value = one(items, f"{name}()")
        digits = one_integer(precision or [], f"{name}()")
        if value is None:
            return []
        if isinstance(value, Temporal):
            return _boundary_in_time(value, digits, low=low)
        number, put = _amount(items, name)
        found = _boundary_of_number(Decimal(number), 8 if digits is None else digits, low=low)
        return [] if found is None else [put(found)]


_boundary("lowBoundary", low=True)
_boundary("highBoundary", low=False)


def _boundary_of_number(number: Decimal, places: int, *, low: bool) -> Decimal | None:
    """The least or greatest number that would have been written so, to that many decimals."""
    if not 0 <= places <= _MOST_DECIMALS:
        return None
    decimals = max(0, -int(number.as_tuple().exponent))
    half = Decimal(5).scaleb(-decimals - 1)
    edge = _WIDE.subtract(number, half) if low else _WIDE.add(number, half)
    return edge.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR if low else ROUND_CEILING, _WIDE)


_BOUNDARY_DIGITS: Final = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 14, 17), "Time": (2, 4, 6, 9)}


def _boundary_in_time(value: Temporal, digits: int | None, *, low: bool) -> Collection:
    """Where no offset is written, the earliest moment is at +14:00 and the latest at -12:00."""
    allowed = _BOUNDARY_DIGITS[value.kind]
    wanted = allowed[-1] if digits is None else digits
    if wanted not in allowed:
        return []
    found = value.boundary(wanted, low=low)
    if value.kind == "DateTime" and wanted > 8 and value.offset is None:
        return [Temporal("DateTime", found.parts, 14 * 60 if low else -12 * 60)]
    return [found]


@function("now", gives="System.DateTime")
def _now(env: Environment, items: Collection) -> Collection:
    return [_moment(env)]


@function("today", gives="System.Date")
def _today(env: Environment, items: Collection) -> Collection:
    return [_moment(env).as_date()]


@function("timeOfDay", gives="System.Time")
def _time_of_day(env: Environment, items: Collection) -> Collection:
    return [Temporal("Time", _moment(env).parts[3:])]


def _moment(env: Environment) -> Temporal:
    """One moment for the whole evaluation."""
    if env.now is None:
        env.now = datetime.now(UTC).astimezone()
    return from_datetime(env.now)


_PARTS: Final = {
    "yearOf": ("Date", 0),
    "monthOf": ("Date", 1),
    "dayOf": ("Date", 2),
    "hourOf": ("Time", 0),
    "minuteOf": ("Time", 1),
}


def _part(name: str, clock: bool, position: int) -> None:
    @function(name, gives="System.Integer")
    def _run(env: Environment, items: Collection) -> Collection:
        value = one(items, f"{name}()")
        if not isinstance(value, Temporal):
            return []
        parts = (
            value.parts[3:]
            if clock and value.kind != "Time"
            else value.parts
            if clock == (value.kind == "Time")
            else ()
        )
        return [int(parts[position])] if position < len(parts) else []


for _name, (_kind, _position) in _PARTS.items():
    _part(_name, _kind == "Time", _position)
