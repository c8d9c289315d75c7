"""Checking a laid-out response: what must be there, how often, and whether each answer keeps its item's rules.

Only what is to be asked is checked; an answer to anything else is itself the problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpro_graph.questionnaires.checks import checks_of, judge_form
from kpro_graph.questionnaires.layout import Layout, Node, Scope
from kpro_graph.questionnaires.model import ItemType, Questionnaire, Value
from kpro_graph.questionnaires.plan import Fault, ItemPlan
from kpro_graph.questionnaires.problems import Problem, Severity, make_problem
from kpro_graph.questionnaires.structure import judge_header

__all__ = ["Strictness", "check", "check_header", "strictness_of"]

_STATUSES = frozenset({"in-progress", "completed", "amended", "entered-in-error", "stopped"})
_CANONICAL_END = re.compile(r"(?:^|/)Questionnaire/([A-Za-z0-9.\-]{1,64})$")


@dataclass(frozen=True, slots=True)
class Strictness:
    """How missing answers count: ``missing`` is their severity, or None where they are not looked for."""

    missing: Severity | None
    draft: bool


def strictness_of(response: object, *, draft: bool) -> Strictness:
    """Return how strictly a response is checked: by its status, or leniently where it is a draft."""
    status = response.get("status") if isinstance(response, Mapping) else None
    if draft or status == "in-progress":
        return Strictness(Severity.WARNING, True)
    if status in ("stopped", "entered-in-error"):
        return Strictness(None, False)
    return Strictness(Severity.ERROR, False)


def check(layout: Layout, strictness: Strictness) -> list[Problem]:
    """Return every problem of the answers, in questionnaire order; conditions must have been decided before."""
    problems: list[Problem] = []
    _check_scope(layout.root, strictness, problems)
    told: set[str] = set()
    kept = []
    for problem in problems:
        if problem.code == "value_set_unresolved":
            if problem.link_id in told:
                continue
            told.add(problem.link_id)
        kept.append(problem)
    return kept


def _check_scope(scope: Scope, strictness: Strictness, problems: list[Problem]) -> None:
    for nodes in scope.children.values():
        first = nodes[0]
        for node in nodes:
            if node.source is not None and "text" in node.source:
                _check_text(node, problems)
        if not first.enabled:
            severity = Severity.WARNING if strictness.draft else Severity.ERROR
            problems.extend(
                make_problem(
                    "answered_but_disabled", node.plan.item.link_id, node.path, node.location, severity=severity
                )
                for node in nodes
                if node.has_answers()
            )
        elif first.scope is not None:
            _check_group(nodes, strictness, problems)
        else:
            _check_question(nodes, strictness, problems)


def _check_text(node: Node, problems: list[Problem]) -> None:
    """A wording of its own may have been another question; the questionnaire's translations are its wordings too."""
    item = node.plan.item
    text = node.source.get("text") if node.source is not None else None
    if item.text and text != item.text and text not in item.texts.values():
        problems.append(make_problem("text_differs", item.link_id, node.path, node.location))


def _check_group(nodes: list[Node], strictness: Strictness, problems: list[Problem]) -> None:
    first = nodes[0]
    item = first.plan.item
    present = [node for node in nodes if node.source is not None]
    if item.required and item.type is not ItemType.DISPLAY and not any(node.has_answers(asked=True) for node in nodes):
        _miss(first, "required_group", strictness, problems)
    _count(first, len(present), strictness, problems)
    if not present and not item.repeats and not item.required and strictness.missing is not None:
        # Nobody opened this optional section: its required questions are told of, but do not hinder.
        strictness = Strictness(Severity.WARNING, strictness.draft)
        present = nodes
    for node in present:
        if node.scope is not None and node.plan.children:
            _check_scope(node.scope, strictness, problems)


def _check_question(nodes: list[Node], strictness: Strictness, problems: list[Problem]) -> None:
    first = nodes[0]
    plan = first.plan
    item = plan.item
    values = first.values() if len(nodes) == 1 else [value for node in nodes for value in node.values()]
    if not values:
        if item.required:
            _miss(first, "required", strictness, problems)
        elif item.min_occurs:
            _count(first, 0, strictness, problems)
    else:
        if len(values) > 1 and not item.repeats and len(nodes) == 1:
            problems.append(make_problem("too_many_answers", item.link_id, first.path, first.location))
        if item.min_occurs is not None or item.max_occurs is not None:
            _count(first, len(values), strictness, problems)
        if plan.exclusive and len(values) > 1 and any(value.key in plan.exclusive for value in values):
            problems.append(make_problem("option_exclusive", item.link_id, first.path, first.location))
    for node in nodes:
        for index, answer in enumerate(node.answers):
            if answer.value is not None:
                problems.extend(_locate(node, index, *fault) for fault in _judge(plan, answer.value))
            if plan.children and answer.source is not None:
                _check_scope(answer, strictness, problems)


def _judge(plan: ItemPlan, value: Value) -> list[Fault]:
    fault = judge_form(plan, value)
    if fault is not None:
        return [fault]
    return [fault for judge in checks_of(plan) if (fault := judge(plan, value)) is not None]


def _locate(node: Node, index: int, code: str, parameters: Mapping[str, Any]) -> Problem:
    location = f"{node.location}.answer[{index}]"
    return make_problem(code, node.plan.item.link_id, node.path, location, **parameters)


def _miss(node: Node, code: str, strictness: Strictness, problems: list[Problem]) -> None:
    if strictness.missing is not None:
        # Nobody can answer what is never shown: a fault of the questionnaire, not of the answers.
        severity = Severity.WARNING if node.plan.hidden else strictness.missing
        problems.append(make_problem(code, node.plan.item.link_id, node.path, node.location, severity=severity))


def _count(node: Node, count: int, strictness: Strictness, problems: list[Problem]) -> None:
    item = node.plan.item
    if item.min_occurs is not None and count < item.min_occurs and strictness.missing is not None:
        problems.append(
            make_problem(
                "min_occurs",
                item.link_id,
                node.path,
                node.location,
                severity=strictness.missing,
                limit=item.min_occurs,
            )
        )
    if item.max_occurs is not None and count > item.max_occurs:
        problems.append(make_problem("max_occurs", item.link_id, node.path, node.location, limit=item.max_occurs))


def check_header(questionnaire: Questionnaire, response: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the response as a whole: its kind, status, questionnaire and date."""
    problems: list[Problem] = []

    def add(code: str, element: str = "", severity: Severity | None = None) -> None:
        place = f"QuestionnaireResponse.{element}" if element else "QuestionnaireResponse"
        problems.append(make_problem(code, location=place, severity=severity))

    if response.get("resourceType") != "QuestionnaireResponse":
        add("structure", "resourceType")
    status = response.get("status")
    if status is not None and status not in _STATUSES:
        add("structure", "status")
    problems += judge_header(response)
    named = response.get("questionnaire")
    if named is not None and not isinstance(named, str):
        add("structure", "questionnaire")
    elif named:
        verdict = _same_questionnaire(questionnaire, named)
        if verdict is not None:
            add("wrong_questionnaire", "questionnaire", verdict)
    if questionnaire.status == "retired":
        add("questionnaire_not_active", "questionnaire")
    elif questionnaire.status == "draft":
        add("questionnaire_not_active", "questionnaire", Severity.INFORMATION)
    authored = response.get("authored")
    if isinstance(authored, str) and _is_outside(questionnaire, authored):
        add("outside_effective_period", "authored")
    return problems


def _same_questionnaire(questionnaire: Questionnaire, named: str) -> Severity | None:
    """Return how grave it is that the response names another questionnaire, or None where it names this one."""
    canonical, _, version = named.partition("|")
    if canonical.startswith("#") or not questionnaire.url:
        return None
    if canonical != questionnaire.url:
        found = _CANONICAL_END.search(canonical)
        if found is None or found[1] != questionnaire.source.get("id"):
            return Severity.ERROR
    if version and questionnaire.version and version != questionnaire.version:
        return Severity.WARNING
    return None


def _is_outside(questionnaire: Questionnaire, authored: str) -> bool:
    """Compare as far as both dates are written."""
    start, end = questionnaire.effective_start, questionnaire.effective_end
    early = bool(start) and authored[: min(len(start), 10)] < start[:10][: len(authored)]
    late = bool(end) and authored[: min(len(end), 10)] > end[:10][: len(authored)]
    return early or late
