"""Faults of expressions that show without any answers: they do not compile, or name what does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kpro_graph.questionnaires.compiled import LANGUAGES
from kpro_graph.questionnaires.expressions import (
    PREDEFINED_VARIABLES,
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
)
from kpro_graph.questionnaires.model import Item, Questionnaire, SourceExpression
from kpro_graph.questionnaires.proof.dependence import Dependence
from kpro_graph.questionnaires.proof.findings import Finding, Gravity, make_finding
from kpro_graph.questionnaires.proof.reads import declarations

__all__ = ["judge_expressions"]

_TYPES = {
    "resource": "QuestionnaireResponse",
    "rootResource": "QuestionnaireResponse",
    "questionnaire": "Questionnaire",
}
_OF_ITEM = {"qitem": "Questionnaire.item", "qItem": "Questionnaire.item"}
_QUERY = "application/x-fhir-query"


@dataclass(frozen=True, slots=True)
class _Written:
    """One expression where it stands: what for, and which variables of its own place are declared before it."""

    source: SourceExpression
    link_id: str | None
    role: str
    before: int | None = None


def judge_expressions(dependence: Dependence) -> Iterator[Finding]:
    """Yield the faults of every expression of the questionnaire."""
    rings = {source.location for _, ring in dependence.variable_rings() for source in ring}
    for link_id, ring in dependence.variable_rings():
        names = " → ".join(f"%{each.name}" for each in (*ring, ring[0]))
        yield make_finding("cycle", (link_id,) if link_id else (), ring[0].location, ring=names)
    for written in _every(dependence.questionnaire):
        yield from _judge(dependence, written, in_ring=written.source.location in rings)


def _every(questionnaire: Questionnaire) -> Iterator[_Written]:
    for index, each in enumerate(questionnaire.variables):
        yield _Written(each, None, "variable", index)
    for constraint in questionnaire.constraints:
        yield _Written(constraint.expression, None, "constraint")
    for item in questionnaire.walk():
        yield from _of_item(item)


def _of_item(item: Item) -> Iterator[_Written]:
    link_id = item.link_id
    for index, each in enumerate(item.variables):
        yield _Written(each, link_id, "variable", index)
    for role, source in (
        ("enableWhenExpression", item.enable_expression),
        ("calculatedExpression", item.calculated),
        ("initialExpression", item.initial_expression),
        ("answerExpression", item.answer_expression),
    ):
        if source is not None:
            yield _Written(source, link_id, role)
    for toggle in item.toggles:
        yield _Written(toggle.expression, link_id, "answerOptionsToggleExpression")
    for constraint in item.constraints:
        yield _Written(constraint.expression, link_id, "constraint")
    for bound in (item.min_value, item.max_value, item.min_quantity, item.max_quantity):
        if bound is not None and bound.expression is not None:
            yield _Written(bound.expression, link_id, "bound")


def _judge(dependence: Dependence, written: _Written, *, in_ring: bool) -> Iterator[Finding]:
    source, link_ids = written.source, (written.link_id,) if written.link_id else ()
    if source.language not in LANGUAGES:
        # What a query or a population gives is from elsewhere, and nothing here stands or falls with it.
        if written.role not in ("variable", "answerExpression") or source.language != _QUERY:
            elsewhere = written.role in ("variable", "initialExpression", "answerExpression")
            severity = Gravity.WARNING if elsewhere else Gravity.ERROR
            yield make_finding(
                "expression_not_evaluated", link_ids, source.location, severity=severity, language=source.language
            )
        return
    try:
        expression = compile_expression(source.text)
    except ExpressionInvalid as invalid:
        yield make_finding("expression_invalid", link_ids, source.location, reason=str(invalid))
        return
    base = "QuestionnaireResponse.item" if written.link_id else "QuestionnaireResponse"
    types = _TYPES | (_OF_ITEM if written.link_id else {})
    try:
        expression.check(base, **types)
    except ExpressionFailed as failed:
        yield make_finding("expression_name_unknown", link_ids, source.location, reason=str(failed))
    if not in_ring:
        for name in sorted(expression.variables() - PREDEFINED_VARIABLES - _visible(dependence, written)):
            yield make_finding("expression_variable_unknown", link_ids, source.location, name=name)
    for name in sorted(dependence.reads(source, written.link_id).absent):
        known = name in dependence.plan.items
        code = "expression_link_id_elsewhere" if known else "expression_link_id_unknown"
        yield make_finding(code, link_ids, source.location, name=name)


def _visible(dependence: Dependence, written: _Written) -> frozenset[str]:
    """Return the names of the variables that an expression can see from its place."""
    plan = dependence.plan.items[written.link_id] if written.link_id else None
    names = {
        each.name
        for each, at, index in declarations(dependence.questionnaire, plan)
        if written.before is None or at is not plan or index < written.before
    }
    return frozenset(names | dependence.questionnaire.outside)
