"""The expressions of a questionnaire, compiled once: in which order values are calculated, and what each can see."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from kpro_graph.questionnaires.expressions import Expression, ExpressionInvalid, compile_expression
from kpro_graph.questionnaires.model import Questionnaire, SourceExpression
from kpro_graph.questionnaires.plan import ItemPlan, Plan, plan_of
from kpro_graph.questionnaires.problems import Problem, make_problem
from kpro_graph.questionnaires.reach import reach_of

__all__ = ["LANGUAGES", "Compiled", "compiled_of", "judge_expressions"]

LANGUAGES = frozenset({"text/fhirpath", "text/fhirpath+sdc"})
"""The languages of expressions that are evaluated here."""


class Compiled:
    """The questionnaire's expressions, each compiled once, and the order in which values are calculated."""

    def __init__(self, questionnaire: Questionnaire, plan: Plan) -> None:
        self._plan = plan
        self._by_text: dict[str, Expression | str] = {}
        self._seen: dict[tuple[str, str], frozenset[str] | None] = {}
        self.levels = _level(self, [each for each in plan.items.values() if each.item.calculated is not None])
        self.dynamic = bool(self.levels) or any(each.item.enable_expression for each in plan.items.values())

    def expression(self, source: SourceExpression) -> Expression | str:
        """Return the compiled expression, or the reason why there is none."""
        found = self._by_text.get(source.text)
        if found is None:
            try:
                found = compile_expression(source.text)
            except ExpressionInvalid as invalid:
                found = str(invalid)
            self._by_text[source.text] = found
        return found

    def seen(
        self, questionnaire: Questionnaire, source: SourceExpression, plan: ItemPlan | None
    ) -> frozenset[str] | None:
        """Return the linkIds whose changes can matter to an expression at an item or the root; None for all."""
        key = (source.location, plan.item.link_id if plan is not None else "")
        if key not in self._seen:
            self._seen[key] = self._find_seen(questionnaire, source, plan)
        return self._seen[key]

    def _find_seen(
        self, questionnaire: Questionnaire, source: SourceExpression, plan: ItemPlan | None
    ) -> frozenset[str] | None:
        steps = plan.chain if plan is not None else ()
        declared = [(each, None) for each in questionnaire.variables]
        scope: list[tuple[SourceExpression, ItemPlan | None]] = [*declared]
        scope += [(each, step) for step in steps for each in step.item.variables]
        link_ids: set[str] = set()
        passed: set[str] = set()
        waiting: list[tuple[SourceExpression, ItemPlan | None]] = [(source, plan)]
        done: set[str] = set()
        while waiting:
            each, at = waiting.pop()
            expression = self.expression(each)
            if each.language not in LANGUAGES or isinstance(expression, str):
                continue
            reach = reach_of(expression.tree, at_root=at is None)
            if reach.everything:
                return None
            link_ids |= reach.names
            passed |= reach.passed
            if at is not None and (reach.own or reach.own_passed):
                (link_ids if reach.own else passed).add(at.item.link_id)
            waiting.extend(pair for pair in scope if pair[0].name in reach.variables - done)
            done |= reach.variables
        passed.update(below for link_id in link_ids for below in _with_below(self._plan.items.get(link_id)))
        return frozenset(passed)


def _with_below(plan: ItemPlan | None) -> list[str]:
    if plan is None:
        return []
    return [plan.item.link_id, *(link_id for child in plan.children for link_id in _with_below(child))]


_COMPILED: WeakKeyDictionary[Questionnaire, Compiled] = WeakKeyDictionary()


def compiled_of(questionnaire: Questionnaire, plan: Plan) -> Compiled:
    """Return the questionnaire's compiled expressions, worked out at the first call."""
    compiled = _COMPILED.get(questionnaire)
    if compiled is None:
        compiled = _COMPILED[questionnaire] = Compiled(questionnaire, plan)
    return compiled


def _level(compiled: Compiled, plans: list[ItemPlan]) -> list[list[ItemPlan]]:
    """Put calculated items in levels, each after those it names; the items of a circle share the last level."""
    open_needs = {plan.item.link_id: _needs(compiled, plan) for plan in plans}
    for link_id, needs in open_needs.items():
        needs.intersection_update(open_needs.keys() - {link_id})
    waiting = list(plans)
    levels = []
    while waiting:
        ready = [plan for plan in waiting if not open_needs[plan.item.link_id]] or waiting
        levels.append(ready)
        done = {plan.item.link_id for plan in ready}
        waiting = [plan for plan in waiting if plan.item.link_id not in done]
        for needs in open_needs.values():
            needs.difference_update(done)
    return levels


def _needs(compiled: Compiled, plan: ItemPlan) -> set[str]:
    """Return the linkIds that an item's calculation names, itself or through the variables in its scope."""
    sources = [plan.item.calculated] if plan.item.calculated else []
    for step in plan.chain:
        sources.extend(step.item.variables)
    needs: set[str] = set()
    for source in sources:
        expression = compiled.expression(source)
        if isinstance(expression, Expression):
            needs |= expression.dependencies()
    return needs


def judge_expressions(questionnaire: Questionnaire) -> list[Problem]:
    """Return every expression that is not valid FHIRPath or is in a language that is not evaluated here."""
    compiled = compiled_of(questionnaire, plan_of(questionnaire))
    problems = []
    for link_id, source in _expressions(questionnaire):
        if source.language not in LANGUAGES:
            problems.append(make_problem("expression_language_unknown", link_id, link_id, source.location))
        elif isinstance(reason := compiled.expression(source), str):
            problems.append(make_problem("expression_invalid", link_id, link_id, source.location, reason=reason))
    return problems


def _expressions(questionnaire: Questionnaire) -> Iterator[tuple[str, SourceExpression]]:
    yield from (("", each) for each in questionnaire.variables)
    yield from (("", each.expression) for each in questionnaire.constraints)
    for item in questionnaire.walk():
        bounds = (item.min_value, item.max_value, item.min_quantity, item.max_quantity)
        single = (item.enable_expression, item.calculated, item.initial_expression, item.answer_expression)
        found = [*item.variables, *(each.expression for each in item.constraints)]
        found += [each.expression for each in item.toggles]
        found += [each for each in (*single, *(bound.expression for bound in bounds if bound)) if each is not None]
        yield from ((item.link_id, each) for each in found)
