"""Which questions are to be asked: conditions on other answers, worked out until nothing changes any more.

An item that is not to be asked counts as absent, and so does everything below it. A condition means the occurrence of
the other question that shares the most repetitions with the item; where several are equally near, one that meets the
condition is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kpro_graph.questionnaires.layout import Layout, Node, Scope
from kpro_graph.questionnaires.model import Value
from kpro_graph.questionnaires.plan import ItemPlan
from kpro_graph.questionnaires.values import matches

__all__ = ["Asked", "decide"]

Asked: TypeAlias = Callable[[Node], bool]
"""Says whether an item's enableWhenExpression holds."""


def decide(layout: Layout, asked: Asked | None = None) -> bool:
    """Mark every item as to be asked or not, once, in questionnaire order; return whether anything changed.

    ``asked`` answers for items with an enableWhenExpression; without it they are left as they are.
    """
    return _decide(layout, layout.root, True, asked)


def _decide(layout: Layout, scope: Scope, above: bool, asked: Asked | None) -> bool:
    changed = False
    for nodes in scope.children.values():
        first = nodes[0]
        plan = first.plan
        enabled = above and (not plan.conditional or _holds(layout, first, asked))
        for node in nodes:
            if node.enabled is not enabled:
                node.enabled = enabled
                layout.touch(node)
                changed = True
            if plan.children:
                if node.scope is not None:
                    changed = _decide(layout, node.scope, enabled, asked) or changed
                else:
                    for answer in node.answers:
                        changed = _decide(layout, answer, enabled, asked) or changed
    return changed


def _holds(layout: Layout, node: Node, asked: Asked | None) -> bool:
    item = node.plan.item
    if not item.enable_when:
        return node.enabled if asked is None else asked(node)
    every = item.enable_behavior == "all"
    for index, condition in enumerate(item.enable_when):
        other = node.plan.asked[index]
        values = _answers_to(layout, node, other, node.plan.common[index]) if other is not None else []
        if matches(values, condition.operator, condition.answer) is not every:
            return not every
    return every


def _answers_to(layout: Layout, node: Node, other: ItemPlan, common: int) -> list[Value]:
    """Return the answers to the other question that count for this item."""
    scope = node.within
    for _ in range(len(node.plan.chain) - 1 - common):
        above = scope.node
        if above is None:
            break
        scope = above.within
    if common == len(other.chain):
        return scope.node.values() if scope.node is not None and scope.node.enabled else []
    scopes = [scope]
    for step in other.chain[common:-1]:
        scopes = [
            below
            for scope in scopes
            for each in scope.children.get(step.item.link_id, ())
            if each.enabled
            for below in each.scopes()
        ]
    link_id = other.item.link_id
    return [
        answer.value
        for scope in scopes
        for each in scope.children.get(link_id, ())
        if each.enabled
        for answer in each.answers
        if answer.value is not None
    ]
