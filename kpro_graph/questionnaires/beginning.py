"""The beginning of a response: what the questionnaire itself fills in before anyone answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kpro_graph.questionnaires.calculation import Calculation
from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.layout import Layout, Node, Scope, lay_out
from kpro_graph.questionnaires.model import Item, Questionnaire, Value
from kpro_graph.questionnaires.plan import plan_of
from kpro_graph.questionnaires.rendering import render

__all__ = ["begin"]


def begin(
    questionnaire: Questionnaire,
    *,
    variables: Mapping[str, list[Any]] | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Build a new response in progress with the initial and the calculated answers of what is to be asked at first.

    ``variables`` are values for the variables that come from outside, by name, without the %. An initial expression
    that fails or gives nothing leaves its question unanswered. A repeating group begins with one repetition where
    something in it is filled in. ``now`` is as in ``evaluate``.
    """
    plan = plan_of(questionnaire)
    response: dict[str, Any] = {"resourceType": "QuestionnaireResponse"}
    if questionnaire.url:
        version = f"|{questionnaire.version}" if questionnaire.version else ""
        response["questionnaire"] = f"{questionnaire.url}{version}"
    response["status"] = "in-progress"
    layout = lay_out(plan, response)
    _fill_in(layout, layout.root)
    calculation = Calculation(questionnaire, layout, variables or {}, now)
    for node in list(layout.walk()):
        source = node.plan.item.initial_expression
        if source is not None and not node.values():
            values = calculation.values_of(source, node)
            if values:
                layout.replace(node, values)
    return evaluate(questionnaire, render(layout), draft=True, variables=variables, now=now).response


def _fill_in(layout: Layout, scope: Scope) -> None:
    for node in scope.nodes():
        initial = _initial_of(node.plan.item)
        if initial:
            layout.replace(node, initial)
        for below in _below(node):
            _fill_in(layout, below)


def _below(node: Node) -> list[Scope]:
    return [scope for scope in node.scopes() if scope.children]


def _initial_of(item: Item) -> list[Value]:
    if not item.answerable:
        return []
    found = list(item.initial) or [option.value for option in item.options if option.initially_selected]
    return found if item.repeats else found[:1]
