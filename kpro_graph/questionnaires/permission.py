"""Permitted answers that an expression decides: SDC's answerExpression and answerOptionsToggleExpression.

What cannot be evaluated forbids nothing; it is told as a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kpro_graph.questionnaires.calculation import Calculation
from kpro_graph.questionnaires.document import mappings_of, number_of
from kpro_graph.questionnaires.layout import Node
from kpro_graph.questionnaires.model import Item, ItemType, Toggle, Value
from kpro_graph.questionnaires.problems import Problem, Severity, make_problem

__all__ = ["judge_permission"]


def judge_permission(calculation: Calculation, *, draft: bool) -> list[Problem]:
    """Return the answers that are none of those an expression permits; in a draft they are warnings."""
    problems: list[Problem] = []
    for plan in calculation.layout.plan.permitting:
        for node in calculation.layout.find(plan.item.link_id):
            if node.enabled and node.values():
                problems += _judge(calculation, node, Severity.WARNING if draft else Severity.ERROR)
    return problems


def _judge(calculation: Calculation, node: Node, severity: Severity) -> list[Problem]:
    item = node.plan.item
    off = _switched_off(calculation, node, item.toggles)
    listed = _list_permitted(calculation, node)
    problems = []
    for index, value in enumerate(node.values()):
        location = f"{node.location}.answer[{index}]"
        if value.key in off or (listed and not _is_free(item, value) and not _is_among(value, listed)):
            problems.append(make_problem("not_in_options", item.link_id, node.path, location, severity=severity))
    if listed is not None and not listed:
        problems.append(make_problem("value_set_unresolved", item.link_id, node.path, node.location))
    return problems


def _switched_off(calculation: Calculation, node: Node, toggles: Sequence[Toggle]) -> set[tuple[object, ...]]:
    """Return the options that no toggle naming them leaves on; an option that none names is always on."""
    named: set[tuple[object, ...]] = set()
    on: set[tuple[object, ...]] = set()
    for toggle in toggles:
        keys = {option.key for option in toggle.options}
        named |= keys
        if calculation.holds(toggle.expression, node) is not False:
            on |= keys
    return named - on


def _list_permitted(calculation: Calculation, node: Node) -> list[Any] | None:
    """Return what the item's answerExpression gives, None where it has none, or none that counts.

    Options and value sets of the item itself go before it, as SDC does not permit both.
    """
    item = node.plan.item
    if item.answer_expression is None or item.options or item.value_set:
        return None
    return calculation.run(item.answer_expression, node)


def _is_free(item: Item, value: Value) -> bool:
    return item.type is ItemType.OPEN_CHOICE and value.kind == "string"


def _is_among(value: Value, permitted: list[Any]) -> bool:
    return any(_is_same(value, each) for each in permitted)


def _is_same(value: Value, each: object) -> bool:
    if not isinstance(each, dict):
        if value.kind == "Coding":
            return isinstance(each, str) and value.code == each
        number = value.number
        return value.value == each if number is None or isinstance(each, bool) else number == number_of(each)
    if value.kind == "Reference" and isinstance(value.value, dict):
        return value.value.get("reference") == _refer_to(each)
    parts = mappings_of(each, "coding") or [each]
    return any(Value(value.kind, dict(part)).key == value.key for part in parts)


def _refer_to(each: Mapping[str, Any]) -> object:
    """Return the reference itself, or that to a whole resource."""
    if "resourceType" in each:
        return f"{each['resourceType']}/{each.get('id')}"
    return each.get("reference")
