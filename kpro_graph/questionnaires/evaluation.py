"""Evaluating answers: which questions were to be asked, what is wrong, what is calculated, scored and interpreted.

The same questionnaire, response and rules give the same evaluation, whatever came before. Nothing a response holds,
and no rule or expression that fails, makes an evaluation fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.calculation import Calculation
from kpro_graph.questionnaires.checking import Strictness, check, check_header, strictness_of
from kpro_graph.questionnaires.checks import calculated_bounds, make_bound_check
from kpro_graph.questionnaires.coercion import coerce
from kpro_graph.questionnaires.compiled import compiled_of
from kpro_graph.questionnaires.document import DocumentRefused, normalise, text_of
from kpro_graph.questionnaires.enablement import decide
from kpro_graph.questionnaires.interpretation import Interpretation, RuleSet, interpret
from kpro_graph.questionnaires.layout import Layout, Node, lay_out
from kpro_graph.questionnaires.model import Constraint, Questionnaire, Value
from kpro_graph.questionnaires.permission import judge_permission
from kpro_graph.questionnaires.plan import Plan, plan_of
from kpro_graph.questionnaires.problems import Problem, Severity, make_problem
from kpro_graph.questionnaires.rendering import render
from kpro_graph.questionnaires.scoring import Score, score

__all__ = ["Evaluation", "evaluate"]

_WORK = 500_000
"""How many items are looked at, in all rounds together, before a response counts as not to be settled."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What became of a response.

    ``valid`` is whether no problem is an error. ``enabled`` are the linkIds that were to be asked, in questionnaire
    order. ``response`` is the response cleaned: answers that were not to be asked are gone, calculated values are in
    their places, what does not belong to the questionnaire is left out.
    """

    valid: bool
    problems: tuple[Problem, ...]
    enabled: tuple[str, ...]
    response: dict[str, Any]
    answers: Answers
    scores: tuple[Score, ...]
    interpretations: tuple[Interpretation, ...]


def evaluate(
    questionnaire: Questionnaire,
    response: Mapping[str, Any] | object,
    *,
    rules: RuleSet | None = None,
    draft: bool = False,
    preview: bool = False,
    variables: Mapping[str, list[Any]] | None = None,
    now: datetime | None = None,
) -> Evaluation:
    """Check, calculate, score and interpret a FHIR QuestionnaireResponse, given as the parsed document.

    A draft, or a response whose status is in-progress, is checked leniently: what is missing is a warning.
    ``preview`` lets a rule set that is a draft speak, for its author to see.
    ``variables`` are values for the variables that come from outside, by name, without the %.
    ``now`` is the moment of ``now()`` and ``today()`` in expressions: with its offset, else the moment the response was
    authored, else the clock's.
    Any JSON may be given as the response; nothing is raised.
    """
    plan = plan_of(questionnaire)
    refused: list[Problem] = []
    try:
        document = normalise(response)
    except DocumentRefused as refusal:
        document = {}
        refused = [make_problem(refusal.reason, location="QuestionnaireResponse", limit=refusal.limit)]
    layout = lay_out(plan, document)
    strictness = strictness_of(document, draft=draft)
    moment = now or _moment_of(document)
    calculation = _settle(questionnaire, plan, layout, variables or {}, moment)
    problems = refused or (check_header(questionnaire, layout.response) if layout.sound else [])
    problems += layout.problems
    problems += check(layout, strictness)
    problems += _judge_read_only(layout, strictness)
    if calculation is not None:
        problems += _judge_bounds(calculation)
        problems += judge_permission(calculation, draft=strictness.draft)
        problems += _judge_constraints(calculation)
        problems += _soften(calculation.problems, strictness)
        if not calculation.settled:
            problems.append(make_problem("not_settled", location="QuestionnaireResponse"))
    answers = Answers(questionnaire, layout)
    scores = score(rules, answers, preview=preview) if rules is not None else ()
    return Evaluation(
        valid=not any(problem.severity is Severity.ERROR for problem in problems),
        problems=tuple(problems),
        enabled=answers.enabled,
        response=render(layout),
        answers=answers,
        scores=scores,
        interpretations=interpret(questionnaire, rules, answers, scores, preview=preview),
    )


def _rounds(plan: Plan) -> int:
    """Every round settles one item at least, unless items switch each other in a circle."""
    count = len(plan.items)
    return min(count + 2, max(20, _WORK // (count + 1)))


def _moment_of(document: object) -> datetime | None:
    """Return the moment a response was authored, where it is written with its offset."""
    authored = text_of(document, "authored")
    if authored is None or "T" not in authored:
        return None
    try:
        moment = datetime.fromisoformat(authored)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _settle(
    questionnaire: Questionnaire,
    plan: Plan,
    layout: Layout,
    variables: Mapping[str, list[Any]],
    now: datetime | None,
) -> Calculation | None:
    """Decide what is asked and calculate, again and again until nothing changes, within a bound."""
    if not plan.has_expressions:
        if plan.has_conditions:
            for _ in range(_rounds(plan)):
                if not decide(layout) or plan.settled_in_order:
                    return None
            calculation = Calculation(questionnaire, layout, variables, now)
            calculation.settled = False
            return calculation
        return None
    calculation = Calculation(questionnaire, layout, variables, now)
    if not compiled_of(questionnaire, plan).dynamic and plan.settled_in_order:
        decide(layout)
        return calculation
    for _ in range(_rounds(plan)):
        changed = decide(layout, calculation.asked)
        if not calculation.calculate() and not changed:
            return calculation
    calculation.settled = False
    return calculation


def _soften(problems: list[Problem], strictness: Strictness) -> list[Problem]:
    """In a draft a value that will be calculated anew is no error."""
    return [
        make_problem(each.code, each.link_id, each.path, each.location, severity=Severity.WARNING)
        if strictness.draft and each.code == "calculated_mismatch"
        else each
        for each in problems
    ]


def _judge_read_only(layout: Layout, strictness: Strictness) -> list[Problem]:
    """What may not be edited must be what the questionnaire filled in; where it fills in nothing, nothing is said."""
    problems = []
    for plan in layout.plan.read_only:
        item = plan.item
        filled = item.initial or tuple(option.value for option in item.options if option.initially_selected)
        for node in layout.find(item.link_id):
            values = node.values()
            if node.enabled and values and [each.key for each in values] != [each.key for each in filled]:
                severity = Severity.WARNING if strictness.draft else Severity.ERROR
                problems.append(
                    make_problem("read_only_changed", item.link_id, node.path, node.location, severity=severity)
                )
    return problems


def _judge_bounds(calculation: Calculation) -> list[Problem]:
    """Judge answers by bounds that an expression gives."""
    problems: list[Problem] = []
    for plan in calculation.layout.plan.bounded:
        for node in calculation.layout.find(plan.item.link_id):
            if node.enabled:
                for source, lowest in calculated_bounds(plan.item):
                    result = calculation.run(source, node) if node.values() else None
                    bound = _as_bound(node, result[0]) if result else None
                    if bound is not None:
                        judge = make_bound_check(bound, lowest=lowest)
                        problems.extend(_judge_each(node, judge))
    return problems


def _as_bound(node: Node, result: object) -> Value | None:
    kinds = node.plan.kinds
    return coerce(node.plan, result) if kinds else None


def _judge_each(node: Node, judge: Any) -> list[Problem]:
    problems = []
    for index, value in enumerate(node.values()):
        fault = judge(node.plan, value)
        if fault is not None:
            location = f"{node.location}.answer[{index}]"
            problems.append(make_problem(fault[0], node.plan.item.link_id, node.path, location, **fault[1]))
    return problems


def _judge_constraints(calculation: Calculation) -> list[Problem]:
    """Judge the rules over the answers: false is broken, no result is taken down, and a failure breaks nothing."""
    problems = []
    for constraint in calculation.questionnaire.constraints:
        problems += _judge_constraint(calculation, constraint, None)
    for plan in calculation.layout.plan.constrained:
        for node in calculation.layout.find(plan.item.link_id):
            if node.enabled and node.source is not None and (plan.is_group or node.values()):
                for constraint in plan.item.constraints:
                    problems += _judge_constraint(calculation, constraint, node)
    return problems


def _judge_constraint(calculation: Calculation, constraint: Constraint, node: Node | None) -> list[Problem]:
    result = calculation.run(constraint.expression, node)
    if result is None or (len(result) == 1 and result[0] is True):
        return []
    link_id, path, location = "", "", "QuestionnaireResponse"
    if node is not None:
        link_id, path, location = node.plan.item.link_id, node.path, node.location
    if not result or len(result) > 1 or not isinstance(result[0], bool):
        english = "it does not give true or false" if result else "it gives nothing"
        danish = "det giver ikke sandt eller falsk" if result else "det giver intet"
        return [
            make_problem(
                "expression_error", link_id, path, location, key=constraint.key, reason=english, reason_da=danish
            )
        ]
    severity = Severity.WARNING if constraint.severity == "warning" else Severity.ERROR
    said = make_problem("constraint", link_id, path, location, severity=severity, key=constraint.key)
    return [replace(said, da=constraint.human, en=constraint.human) if constraint.human else said]
