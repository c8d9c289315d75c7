"""The limits on an answer: which are looser, which are stricter, and which are the scale of the answer itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.model import Bound, Item, ItemType
from kpro_graph.questionnaires.values import compare

__all__ = ["compare_limits"]

_Add: TypeAlias = "Callable[[str, object, object], None]"
_NUMERIC = (ItemType.INTEGER, ItemType.DECIMAL, ItemType.QUANTITY)
_LOWEST = ("min_value", "min_quantity")
_HIGHEST = ("max_value", "max_quantity")


def compare_limits(changes: Changes, old: Item, new: Item, was: str) -> None:
    """Take down how the limits on an item's answer differ."""

    def add(kind: str, before: object, after: object) -> None:
        changes.add(kind, new.link_id, new.location, was=was, before=before, after=after)

    for name in (*_LOWEST, *_HIGHEST):
        one, other = getattr(old, name), getattr(new, name)
        strict = _judge_bound(one, other, lowest=name in _LOWEST)
        if strict is not None:
            scale = new.type in _NUMERIC
            looser, stricter = ("range_widened", "range_narrowed") if scale else ("limit_loosened", "limit_tightened")
            add(stricter if strict else looser, _tell(one), _tell(other))
    for name in ("min_length", "min_occurs"):
        least, now = getattr(old, name) or 0, getattr(new, name) or 0
        if least != now:
            add("limit_tightened" if now > least else "limit_loosened", f"{name} {least}", f"{name} {now}")
    for name in ("max_length", "max_occurs", "max_decimal_places", "max_size"):
        most, then = getattr(old, name), getattr(new, name)
        if most != then:
            tight = most is None or (then is not None and then < most)
            add("limit_tightened" if tight else "limit_loosened", _limit(name, most), _limit(name, then))
    for name in ("mime_types", "reference_types"):
        _compare_allowed(add, name, frozenset(getattr(old, name)), frozenset(getattr(new, name)))
    _compare_units(add, old, new)
    for name in ("regex", "unit_value_set", "unit_open"):
        written, rewritten = getattr(old, name), getattr(new, name)
        if written != rewritten:
            add("limit_tightened" if rewritten else "limit_loosened", written, rewritten)
    permitted, then = _tell_permitted(old), _tell_permitted(new)
    if permitted != then:
        add("limit_tightened" if then else "limit_loosened", permitted, then)


def _tell_permitted(item: Item) -> str:
    """Return the expressions that decide which answers are permitted, in a line."""
    toggles = sorted(
        f"{' '.join(sorted(str(option.key) for option in each.options))}: {each.expression.text}"
        for each in item.toggles
    )
    return " ".join([item.answer_expression.text if item.answer_expression is not None else "", *toggles]).strip()


def _compare_units(add: _Add, old: Item, new: Item) -> None:
    one, other = old.unit, new.unit
    if (one.key if one else None) != (other.key if other else None):
        add("unit_changed", one.code if one else "", other.code if other else "")
    elif one is not None and other is not None and one.value != other.value:
        add("label_changed", one.display, other.display)
    before, after = {each.key: each for each in old.unit_options}, {each.key: each for each in new.unit_options}
    if before.keys() != after.keys():
        _compare_allowed(add, "unitOption", frozenset(before), frozenset(after))
    elif any(before[key].value != after[key].value for key in before):
        add("label_changed", "", "")


def _compare_allowed(add: _Add, name: str, old: frozenset[object], new: frozenset[object]) -> None:
    """Compare what is allowed, where nothing said allows everything."""
    if old != new:
        loose = not new or (bool(old) and old < new)
        add("limit_loosened" if loose else "limit_tightened", f"{name} {len(old)}", f"{name} {len(new)}")


def _judge_bound(old: Bound | None, new: Bound | None, *, lowest: bool) -> bool | None:
    """Return whether a bound is stricter now, None where it is the same; stricter also where that cannot be told."""
    if old is None or new is None:
        return None if old is new else new is not None
    if old.expression is not None or new.expression is not None:
        texts = [each.expression.text if each.expression is not None else None for each in (old, new)]
        return None if texts[0] == texts[1] and old.value == new.value else True
    if old.value is None or new.value is None:
        return None if old.value is new.value else True
    if old.value.key == new.value.key:
        return None
    order = compare(new.value, old.value)
    if order is None:
        return True
    if order == 0:
        return None
    return order > 0 if lowest else order < 0


def _tell(bound: Bound | None) -> str:
    if bound is None:
        return ""
    if bound.expression is not None:
        return bound.expression.text
    value = bound.value
    return "" if value is None else str(value.number if value.number is not None else value.value)


def _limit(name: str, value: object) -> str:
    return "" if value is None else f"{name} {value}"
