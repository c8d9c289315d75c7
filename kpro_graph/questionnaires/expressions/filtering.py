"""Functions over collections: existence, filters, projections, subsets, navigation, aggregates and types."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from . import model
from .comparison import Seen, compare
from .nodes import Collection, ExpressionFailed, Node, children, fhir_type, is_of_type, member, value_of
from .operators import OPERATORS, union
from .quantities import Quantity
from .registry import Environment, Start, described, function, one, one_integer, one_text, truth
from .syntax import TypeName

__all__ = ["repeat", "where"]

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


def _for_each(env: Environment, items: Collection, criteria: Start) -> Any:
    outer = env.index
    try:
        for position, item in enumerate(items):
            env.spend(1)
            env.index = position
            yield item, criteria(env, [item])
    finally:
        env.index = outer


@function("empty", gives="System.Boolean")
def _empty(env: Environment, items: Collection) -> Collection:
    return [not items]


@function("exists", takes=("each",), required=0, gives="System.Boolean")
def _exists(env: Environment, items: Collection, criteria: Start | None = None) -> Collection:
    return [bool(items if criteria is None else where(env, items, criteria))]


@function("not", gives="System.Boolean")
def _not(env: Environment, items: Collection) -> Collection:
    verdict = truth(items, "not()")
    return [] if verdict is None else [not verdict]


@function("all", takes=("each",), gives="System.Boolean")
def _all(env: Environment, items: Collection, criteria: Start) -> Collection:
    return [len(where(env, items, criteria)) == len(items)]


def _booleans(items: Collection, name: str) -> list[bool]:
    values = [value_of(item) for item in items]
    if not all(isinstance(value, bool) for value in values):
        raise ExpressionFailed(f"{name}() is for booleans alone")
    return values


def _quantifier(name: str, judge: Callable[[list[bool]], bool]) -> None:
    @function(name, gives="System.Boolean")
    def _run(env: Environment, items: Collection) -> Collection:
        return [judge(_booleans(items, name))]


_quantifier("allTrue", all)
_quantifier("anyTrue", any)
_quantifier("allFalse", lambda values: not any(values))
_quantifier("anyFalse", lambda values: not all(values))


@function("subsetOf", takes=("value",), gives="System.Boolean")
def _subset_of(env: Environment, items: Collection, other: Collection) -> Collection:
    return [_contained(env, items, other)]


@function("supersetOf", takes=("value",), gives="System.Boolean")
def _superset_of(env: Environment, items: Collection, other: Collection) -> Collection:
    return [_contained(env, other, items)]


def _seen(env: Environment, items: Collection) -> Seen:
    seen = Seen(env.spend)
    for item in items:
        seen.add(item)
    return seen


def _contained(env: Environment, items: Collection, other: Collection) -> bool:
    seen = _seen(env, other)
    return all(item in seen for item in items)


@function("count", gives="System.Integer")
def _count(env: Environment, items: Collection) -> Collection:
    return [len(items)]


@function("distinct", gives="input")
def _distinct(env: Environment, items: Collection) -> Collection:
    return union(env, items, [])


@function("isDistinct", gives="System.Boolean")
def _is_distinct(env: Environment, items: Collection) -> Collection:
    return [len(union(env, items, [])) == len(items)]


@function("where", takes=("each",), gives="input")
def where(env: Environment, items: Collection, criteria: Start) -> Collection:
    """Keep the items for which the criteria hold."""
    return [item for item, found in _for_each(env, items, criteria) if truth(found, "the criteria of where()")]


@function("select", takes=("each",), gives="each")
def _select(env: Environment, items: Collection, projection: Start) -> Collection:
    found: Collection = []
    for _, each in _for_each(env, items, projection):
        found.extend(each)
    env.spend(len(found))
    return found


@function("repeat", takes=("each",), gives="repeat")
def repeat(env: Environment, items: Collection, projection: Start) -> Collection:
    """Project again and again, keeping each new item once."""
    seen = Seen(env.spend)
    found: Collection = []
    waiting = items
    while waiting:
        fresh: Collection = []
        for item in waiting:
            for other in projection(env, [item]):
                env.spend(2)
                if seen.add(other):
                    fresh.append(other)
        found.extend(fresh)
        waiting = fresh
    return found


@function("children")
def _children(env: Environment, items: Collection) -> Collection:
    found = children(items)
    env.spend(len(found))
    return found


@function("descendants")
def _descendants(env: Environment, items: Collection) -> Collection:
    found: Collection = []
    waiting = items
    while waiting := _children(env, waiting):
        found.extend(waiting)
    return found


@function("ofType", takes=("type",), gives="type")
def _of_type(env: Environment, items: Collection, type_: TypeName) -> Collection:
    return [item for item in items if is_of_type(item, type_.namespace, type_.name)]


@function("is", takes=("type",), gives="System.Boolean")
def _is(env: Environment, items: Collection, type_: TypeName) -> Collection:
    if len(items) > 1:
        raise ExpressionFailed(f"'is' is for one item, and there are {len(items)}")
    return [is_of_type(items[0], type_.namespace, type_.name)] if items else []


@function("as", takes=("type",), gives="type")
def _as(env: Environment, items: Collection, type_: TypeName) -> Collection:
    if len(items) > 1:
        raise ExpressionFailed(f"'as' is for one item, and there are {len(items)}: use ofType() or select()")
    return _of_type(env, items, type_)


@function("type")
def _type(env: Environment, items: Collection) -> Collection:
    return [named for item in items if (named := fhir_type(item)) is not None]


@function("first", gives="input")
def _first(env: Environment, items: Collection) -> Collection:
    return items[:1]


@function("last", gives="input")
def _last(env: Environment, items: Collection) -> Collection:
    return items[-1:]


@function("tail", gives="input")
def _tail(env: Environment, items: Collection) -> Collection:
    return items[1:]


@function("single", gives="input")
def _single(env: Environment, items: Collection) -> Collection:
    one(items, "single()")
    return items


@function("skip", takes=("value",), gives="input")
def _skip(env: Environment, items: Collection, number: Collection) -> Collection:
    count = one_integer(number, "skip()")
    return [] if count is None else items[max(0, count) :]


@function("take", takes=("value",), gives="input")
def _take(env: Environment, items: Collection, number: Collection) -> Collection:
    count = one_integer(number, "take()")
    return [] if count is None else items[: max(0, count)]


@function("intersect", takes=("value",), gives="input")
def _intersect(env: Environment, items: Collection, other: Collection) -> Collection:
    seen = _seen(env, other)
    return [item for item in union(env, items, []) if item in seen]


@function("exclude", takes=("value",), gives="input")
def _exclude(env: Environment, items: Collection, other: Collection) -> Collection:
    seen = _seen(env, other)
    return [item for item in items if item not in seen]


@function("union", takes=("value",), gives="union")
def _union(env: Environment, items: Collection, other: Collection) -> Collection:
    return union(env, items, other)


@function("combine", takes=("value", "value"), required=1, gives="union")
def _combine(env: Environment, items: Collection, other: Collection, ordered: Collection | None = None) -> Collection:
    env.spend(1 + ((len(items) + len(other)) >> 3))
    return [*items, *other]


@function("coalesce", takes=("lazy",))
def _coalesce(env: Environment, items: Collection, *values: Callable[[], Collection]) -> Collection:
    return next((found for value in values if (found := value())), [])


@function("iif", takes=("each", "each", "each"), required=2, gives="iif")
def _iif(
    env: Environment, items: Collection, criterion: Start, result: Start, otherwise: Start | None = None
) -> Collection:
    if len(items) > 1:
        raise ExpressionFailed(f"iif() is for one item, and there are {len(items)}")
    if truth(criterion(env, items), "the criterion of iif()"):
        return result(env, items)
    return [] if otherwise is None else otherwise(env, items)


@function("aggregate", takes=("each", "value"), required=1)
def _aggregate(env: Environment, items: Collection, aggregator: Start, initial: Collection | None = None) -> Collection:
    outer = env.total, env.index
    env.total = initial or []
    try:
        for position, item in enumerate(items):
            env.index = position
            env.total = aggregator(env, [item])
            env.spend(1 + (len(env.total) >> 3))
        return env.total
    finally:
        env.total, env.index = outer


@function("sum")
def _sum(env: Environment, items: Collection) -> Collection:
    return _fold(env, items, "sum()")


def _fold(env: Environment, items: Collection, what: str) -> Collection:
    total: Collection = []
    plus = OPERATORS["+"]
    for item in items:
        env.spend(1)
        value = value_of(item)
        if isinstance(value, bool) or not isinstance(value, int | Decimal | Quantity):
            raise ExpressionFailed(f"{what} adds numbers and quantities, and there is {described(item)}")
        total = plus(env, total, [value]) if total else [value]
        if not total:
            raise ExpressionFailed(f"{what} cannot add quantities in units that do not measure the same")
    return total


@function("avg")
def _avg(env: Environment, items: Collection) -> Collection:
    return OPERATORS["/"](env, _fold(env, items, "avg()"), [Decimal(len(items))]) if items else []


def _extreme(env: Environment, items: Collection, name: str, sign: int) -> Collection:
    best: Collection = items[:1]
    for item in items[1:]:
        env.spend(1)
        order = compare(item, best[0])
        if order is None:
            raise ExpressionFailed(f"{name}() cannot tell the order of all items")
        if order * sign > 0:
            best = [item]
    return best


@function("min", gives="input")
def _min(env: Environment, items: Collection) -> Collection:
    return _extreme(env, items, "min", -1)


@function("max", gives="input")
def _max(env: Environment, items: Collection) -> Collection:
    return _extreme(env, items, "max", 1)


@function("sort", takes=("key",), required=0, gives="input")
def _sort(env: Environment, items: Collection, *keys: tuple[Start, str]) -> Collection:
    """Sort by one key after the other; what has no key is least of all."""
    selectors: tuple[tuple[Start, str], ...] = keys or ((lambda env, this: this, ""),)

    def order_of(ours: tuple[list[Collection], Any], theirs: tuple[list[Collection], Any]) -> int:
        env.spend(1)
        for left, right, (_, descending) in zip(ours[0], theirs[0], selectors, strict=True):
            order = compare(left[0], right[0]) if left and right else bool(left) - bool(right)
            if order is None:
                raise ExpressionFailed("sort() cannot tell the order of all items")
            if order:
                # HL7's suite (testSort10) turns the values round with the older minus, not what has none.
                return -order if descending == "desc" or (descending and left and right) else order
        return 0

    decorated: list[tuple[list[Collection], Any]] = []
    for item in items:
        found = [select(env, [item]) for select, _ in selectors]
        for key in found:
            one(key, "a key of sort()")
        decorated.append((found, item))
    decorated.sort(key=functools.cmp_to_key(order_of))
    return [item for _, item in decorated]


@function("trace", takes=("value", "each"), required=1, gives="input")
def _trace(env: Environment, items: Collection, name: Collection, projection: Start | None = None) -> Collection:
    """Pass the items on; nothing is written anywhere, since what it would write may be about a person."""
    one_text(name, "the name of trace()")
    return items


@function("extension", takes=("value",), gives="Extension")
def _extension(env: Environment, items: Collection, url: Collection) -> Collection:
    wanted = one_text(url, "extension()")
    return [
        found
        for found in member(items, "extension")
        if isinstance(found.value, dict) and found.value.get("url") == wanted
    ]


@function("hasValue", gives="System.Boolean")
def _has_value(env: Environment, items: Collection) -> Collection:
    if len(items) != 1:
        return [False]
    item = items[0]
    return [item.__class__ is not Node or (item.value is not None and not isinstance(item.value, dict | list))]


@function("getValue", gives="input")
def _get_value(env: Environment, items: Collection) -> Collection:
    return [value_of(items[0])] if _has_value(env, items)[0] else []


@function("conformsTo", takes=("value",), gives="System.Boolean")
def _conforms_to(env: Environment, items: Collection, url: Collection) -> Collection:
    """Judge by the type alone, for the structures of FHIR R4 itself; profiles are not known here."""
    wanted = one_text(url, "conformsTo()")
    if not items or wanted is None:
        return []
    if len(items) > 1:
        raise ExpressionFailed(f"conformsTo() is for one item, and there are {len(items)}")
    name = wanted.removeprefix(_STRUCTURE)
    if name == wanted or "." in name or not model.is_known(name):
        raise ExpressionFailed("conformsTo() knows the structures of FHIR R4 itself, and no other")
    return [is_of_type(items[0], "FHIR", name)]


@function("comparable", takes=("value",), gives="System.Boolean")
def _comparable(env: Environment, items: Collection, other: Collection) -> Collection:
    ours, theirs = one(items, "comparable()"), one(other, "comparable()")
    pair = [
        Quantity(Decimal(v), "1") if isinstance(v, int | Decimal) and not isinstance(v, bool) else v
        for v in (ours, theirs)
    ]
    if not isinstance(pair[0], Quantity) or not isinstance(pair[1], Quantity):
        return []
    return [pair[0].comparable(pair[1])]
