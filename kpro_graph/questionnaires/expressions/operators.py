"""The binary operators and the signs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal, DecimalException, localcontext
from typing import Any, Final, TypeAlias

from .comparison import Seen, compare, equal_collections, equivalent_collections
from .nodes import Collection, ExpressionFailed, Node, value_of
from .quantities import EXACT, Quantity
from .registry import Environment, described, one_text, truth
from .temporal import Temporal, parse_date_time, parse_time

__all__ = ["OPERATORS", "Operator", "negate", "union"]

Operator: TypeAlias = Callable[[Environment, Collection, Collection], Collection]


def _equals(env: Environment, left: Collection, right: Collection) -> Collection:
    verdict = equal_collections(left, right)
    return [] if verdict is None else [verdict]


def _differs(env: Environment, left: Collection, right: Collection) -> Collection:
    verdict = equal_collections(left, right)
    return [] if verdict is None else [not verdict]


def _ordered(name: str, holds: Callable[[int], bool]) -> Operator:
    def run(env: Environment, left: Collection, right: Collection) -> Collection:
        if not left or not right:
            return []
        _single(left, right, name)
        order = compare(left[0], right[0])
        return [] if order is None else [holds(order)]

    return run


def _single(left: Collection, right: Collection, name: str) -> None:
    if len(left) > 1 or len(right) > 1:
        raise ExpressionFailed(f"'{name}' is for one item on each side, and there are {len(left)} and {len(right)}")


def union(env: Environment, left: Collection, right: Collection) -> Collection:
    """Give every item of both sides once, in order."""
    seen = Seen(env.spend)
    env.spend(len(left) + len(right))
    return [item for item in (*left, *right) if seen.add(item)]


def _in(env: Environment, left: Collection, right: Collection) -> Collection:
    if not left:
        return []
    if len(left) > 1:
        raise ExpressionFailed(f"'in' looks for one item, and there are {len(left)}")
    seen = Seen(env.spend)
    env.spend(len(right))
    for item in right:
        seen.add(item)
    return [left[0] in seen]


def _and(env: Environment, left: Collection, right: Collection) -> Collection:
    ours, theirs = truth(left, "a side of 'and'"), truth(right, "a side of 'and'")
    if ours is False or theirs is False:
        return [False]
    return [] if ours is None or theirs is None else [True]


def _or(env: Environment, left: Collection, right: Collection) -> Collection:
    ours, theirs = truth(left, "a side of 'or'"), truth(right, "a side of 'or'")
    if ours or theirs:
        return [True]
    return [] if ours is None or theirs is None else [False]


def _xor(env: Environment, left: Collection, right: Collection) -> Collection:
    ours, theirs = truth(left, "a side of 'xor'"), truth(right, "a side of 'xor'")
    return [] if ours is None or theirs is None else [ours is not theirs]


def _implies(env: Environment, left: Collection, right: Collection) -> Collection:
    ours, theirs = truth(left, "a side of 'implies'"), truth(right, "a side of 'implies'")
    if ours is False or theirs:
        return [True]
    return [] if ours is None or theirs is None else [False]


def _concatenate(env: Environment, left: Collection, right: Collection) -> Collection:
    ours, theirs = one_text(left, "'&'"), one_text(right, "'&'")
    return [env.text((ours or "") + (theirs or ""))]


def _reckoned(
    name: str,
    numbers: Callable[[Any, Any], Any],
    quantities: Callable[[Quantity, Quantity], Quantity | None] | None = None,
    others: Callable[[Environment, Any, Any], Any] | None = None,
) -> Operator:
    """Make an arithmetic operator; overflow and what cannot be expressed give nothing, other types an error."""

    def run(env: Environment, left: Collection, right: Collection) -> Collection:
        if not left or not right:
            return []
        _single(left, right, name)
        ours, theirs = value_of(left[0]), value_of(right[0])
        try:
            if _is_number(ours) and _is_number(theirs):
                result = numbers(ours, theirs)
            elif quantities and (pair := _as_quantities(ours, theirs)):
                result = quantities(*pair)
            else:
                result = others(env, *_told(left[0], ours, theirs)) if others else NotImplemented
        except DecimalException:
            return []
        if result is NotImplemented:
            raise ExpressionFailed(f"'{name}' is not for {described(left[0])} and {described(right[0])}")
        if result is None or (result.__class__ is int and not -(1 << 63) <= result < 1 << 63):
            return []
        return [result]

    return run


def _is_number(value: Any) -> bool:
    return value.__class__ is int or value.__class__ is Decimal


def _as_quantities(ours: Any, theirs: Any) -> tuple[Quantity, Quantity] | None:
    if isinstance(ours, Quantity) and isinstance(theirs, Quantity):
        return ours, theirs
    if isinstance(ours, Quantity) and _is_number(theirs):
        return ours, Quantity(Decimal(theirs), "1")
    if isinstance(theirs, Quantity) and _is_number(ours):
        return Quantity(Decimal(ours), "1"), theirs
    return None


def _told(item: Any, ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Read text of untold type as a date where a length of time is added to it."""
    if item.__class__ is Node and item.type is None and isinstance(ours, str) and isinstance(theirs, Quantity):
        return parse_date_time(ours) or parse_time(ours) or ours, theirs
    return ours, theirs


def _moved(env: Environment, ours: Any, theirs: Any, sign: int = 1) -> Any:
    if isinstance(ours, Temporal) and isinstance(theirs, Quantity):
        unit = theirs.calendar_unit
        if unit is None:
            raise ExpressionFailed("a date moves by calendar units (years, months) or by UCUM units up to the week")
        if ours.kind == "Time" and unit in ("year", "month", "week", "day"):
            raise ExpressionFailed("a time of day moves by hours and less")
        result = ours.plus(theirs.value * sign, unit)
        if result is None:
            raise ExpressionFailed("the date would leave the years 1 to 9999")
        return result
    return NotImplemented


def _joined(env: Environment, ours: Any, theirs: Any) -> Any:
    if isinstance(ours, str) and isinstance(theirs, str):
        return env.text(ours + theirs)
    return _moved(env, ours, theirs)


def _divided(ours: Any, theirs: Any) -> Decimal | None:
    return EXACT.divide(Decimal(ours), Decimal(theirs)) if theirs else None


def _whole(ours: Any, theirs: Any) -> int | Decimal | None:
    if not theirs:
        return None
    with localcontext(EXACT) as context:
        context.prec = 200
        quotient = (Decimal(ours) / Decimal(theirs)).to_integral_value(ROUND_DOWN)
    return int(quotient) if ours.__class__ is int and theirs.__class__ is int else quotient


def _rest(ours: Any, theirs: Any) -> int | Decimal | None:
    if not theirs:
        return None
    with localcontext(EXACT) as context:
        context.prec = 200
        rest = Decimal(ours) % Decimal(theirs)
    return int(rest) if ours.__class__ is int and theirs.__class__ is int else rest


def _exactly(
    integers: Callable[[int, int], int], decimals: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Any, Any], Any]:
    def run(ours: Any, theirs: Any) -> Any:
        if ours.__class__ is int and theirs.__class__ is int:
            return integers(ours, theirs)
        return decimals(Decimal(ours), Decimal(theirs))

    return run


def negate(items: Collection, operator: str) -> Collection:
    """Apply a plus or a minus before one number or quantity."""
    if not items:
        return []
    if len(items) > 1:
        raise ExpressionFailed(f"the sign '{operator}' is for one number, and there are {len(items)} items")
    value = value_of(items[0])
    if not _is_number(value) and not isinstance(value, Quantity):
        raise ExpressionFailed(f"the sign '{operator}' is not for {described(items[0])}")
    if operator == "+":
        return [value]
    if isinstance(value, Quantity):
        return [Quantity(value.value.copy_negate(), value.unit, value.calendar)]
    return [-value if value.__class__ is int else value.copy_negate()]


OPERATORS: Final[dict[str, Operator]] = {
    "=": _equals,
    "!=": _differs,
    "~": lambda env, left, right: [equivalent_collections(left, right, env.spend)],
    "!~": lambda env, left, right: [not equivalent_collections(left, right, env.spend)],
    "<": _ordered("<", lambda order: order < 0),
    "<=": _ordered("<=", lambda order: order <= 0),
    ">": _ordered(">", lambda order: order > 0),
    ">=": _ordered(">=", lambda order: order >= 0),
    "|": union,
    "in": _in,
    "contains": lambda env, left, right: _in(env, right, left),
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "&": _concatenate,
    "+": _reckoned("+", _exactly(lambda a, b: a + b, EXACT.add), Quantity.plus, _joined),
    "-": _reckoned(
        "-",
        _exactly(lambda a, b: a - b, EXACT.subtract),
        lambda a, b: a.plus(Quantity(b.value.copy_negate(), b.unit, b.calendar)),
        lambda env, a, b: _moved(env, a, b, -1),
    ),
    "*": _reckoned("*", _exactly(lambda a, b: a * b, EXACT.multiply), Quantity.times),
    "/": _reckoned("/", _divided, Quantity.over),
    "div": _reckoned("div", _whole),
    "mod": _reckoned("mod", _rest),
}
