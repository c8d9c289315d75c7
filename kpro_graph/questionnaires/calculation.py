"""The expressions of a questionnaire run on one response: variables, conditions, calculated values, bounds and rules.

An expression sees what was to be asked and what was calculated so far. What fails is taken down once and never stops
the rest: a condition that fails leaves its question asked, a value that fails is absent, a rule that fails is not
broken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires.coercion import coerce
from kpro_graph.questionnaires.compiled import LANGUAGES, compiled_of
from kpro_graph.questionnaires.expressions import (
    PREDEFINED_VARIABLES,
    Expression,
    ExpressionFailed,
    prepare,
)
from kpro_graph.questionnaires.layout import Layout, Node
from kpro_graph.questionnaires.model import Questionnaire, SourceExpression, Value
from kpro_graph.questionnaires.problems import Problem, Severity, make_problem
from kpro_graph.questionnaires.rendering import find_node, render
from kpro_graph.questionnaires.values import same

__all__ = ["Calculation"]

_SECONDS = 0.8
"""How long the expressions of one response may take altogether."""

_RUNS = 20_000
_FINEST = Decimal("0.00000001")


class Calculation:
    """The expressions of one evaluation, with what they saw and what failed."""

    def __init__(
        self,
        questionnaire: Questionnaire,
        layout: Layout,
        variables: Mapping[str, list[Any]],
        now: datetime | None = None,
    ) -> None:
        self.now = now
        self.questionnaire = questionnaire
        self.layout = layout
        self._failures: dict[tuple[str, str], Problem] = {}
        self._computed: dict[str, tuple[Node, list[Value]]] = {}
        self._results: dict[tuple[str, str], tuple[int, list[Any] | None]] = {}
        self.compiled = compiled_of(questionnaire, layout.plan)
        self._given = {name: [] for name in questionnaire.outside} | dict(variables)
        self._resource: Any = None
        self._questionnaire = prepare(questionnaire.source)
        self._places: dict[Node, Any] = {}
        self._version = -1
        self._known: dict[tuple[Node | None, int], list[Any]] = {}
        self._deadline = time.perf_counter() + _SECONDS
        self._runs = _RUNS
        self._too_slow: set[tuple[str, str]] = set()
        self.settled = True

    @property
    def problems(self) -> list[Problem]:
        """What failed, and where a value that was sent differs from the calculated one."""
        return [*self._failures.values(), *self._mismatches()]

    def run(self, source: SourceExpression, node: Node | None) -> list[Any] | None:
        """Evaluate an expression at an item, or at the root; None where it failed, which is then taken down."""
        place = (source.location, node.path if node is not None else "")
        known = self._results.get(place)
        if known is not None and not self._changed_since(source, node, known[0]):
            return known[1]
        self._failures.pop(place, None)
        result = self._run(source, node, place)
        self._results[place] = (self.layout.version, result)
        return result

    def _changed_since(self, source: SourceExpression, node: Node | None, version: int) -> bool:
        """Return whether anything the expression can see has changed since that version; -1 is before the first."""
        layout = self.layout
        if layout.version == version:
            return False
        if version < 0:
            return True
        seen = self.compiled.seen(self.questionnaire, source, node.plan if node is not None else None)
        if seen is None:
            return True
        return any(layout.changed.get(link_id, 0) > version for link_id in seen)

    def _run(self, source: SourceExpression, node: Node | None, place: tuple[str, str]) -> list[Any] | None:
        if place in self._too_slow:
            return None
        if source.language not in LANGUAGES:
            self._fail(source, node, "it is not FHIRPath", "det er ikke FHIRPath")
            return None
        expression = self.compiled.expression(source)
        if isinstance(expression, str):
            self._fail(source, node, expression, expression)
            return None
        started = time.perf_counter()
        if started > self._deadline or self._runs <= 0:
            self._too_slow.add(place)
            self._fail(source, node, "the expressions take too long", "udtrykkene tager for lang tid")
            return None
        self._runs -= 1
        try:
            if self._changed_since(source, node, self._version):
                self._refresh()
            return self._evaluate(expression, node)
        except ExpressionFailed as failed:
            if time.perf_counter() - started > _SECONDS / 2:
                self._too_slow.add(place)
            self._fail(source, node, str(failed), str(failed))
            return None

    def _evaluate(self, expression: Expression, node: Node | None) -> list[Any]:
        here = self._place(node)
        return expression.evaluate(
            here,
            resource=self._resource,
            context=here,
            questionnaire=self._questionnaire,
            qitem=node.plan.item.source if node is not None else None,
            variables=self._variables(expression, node),
            now=self.now,
        )

    def _place(self, node: Node | None) -> Any:
        """Return the item's place in the response, made ready to be asked by many expressions."""
        if node is None:
            return self._resource
        place = self._places.get(node)
        if place is None:
            place = self._places[node] = prepare(find_node(node), "QuestionnaireResponse.item")
        return place

    def _refresh(self) -> None:
        """Write the response anew. What was written before serves as long as what an expression sees is the same."""
        rendered = render(self.layout, weighted=True)
        rendered.setdefault("resourceType", "QuestionnaireResponse")
        self._resource = prepare(rendered)
        self._places.clear()
        self._known.clear()
        self._version = self.layout.version

    def _variables(self, expression: Expression, node: Node | None) -> dict[str, list[Any]]:
        wanted = expression.variables() - PREDEFINED_VARIABLES
        if not wanted:
            return {}
        levels = _levels(self.questionnaire, node)
        last = len(levels) - 1
        return self._named(wanted, levels, last, len(levels[last][1]))

    def _named(
        self,
        wanted: frozenset[str],
        levels: Sequence[tuple[Node | None, tuple[SourceExpression, ...]]],
        depth: int,
        before: int,
    ) -> dict[str, list[Any]]:
        """Return the wanted variables that are declared up to this place; the nearest declaration counts."""
        found: dict[str, list[Any]] = {}
        while depth >= 0:
            declared = levels[depth][1]
            for position in reversed(range(min(before, len(declared)))):
                name = declared[position].name
                if name in wanted and name not in found:
                    found[name] = self._value(levels, depth, position)
            depth -= 1
            before = len(levels[depth][1]) if depth >= 0 else 0
        for name in wanted - found.keys():
            if name in self._given:
                found[name] = self._given[name]
        return found

    def _value(
        self,
        levels: Sequence[tuple[Node | None, tuple[SourceExpression, ...]]],
        depth: int,
        position: int,
    ) -> list[Any]:
        node, declared = levels[depth]
        key = (node, position)
        known = self._known.get(key)
        if known is not None:
            return known
        source = declared[position]
        values: list[Any] = []
        expression = self.compiled.expression(source) if source.language in LANGUAGES else ""
        if isinstance(expression, Expression):
            here = self._place(node)
            values = expression.evaluate(
                here,
                resource=self._resource,
                context=here,
                questionnaire=self._questionnaire,
                qitem=node.plan.item.source if node is not None else None,
                variables=self._named(expression.variables() - PREDEFINED_VARIABLES, levels, depth, position),
                now=self.now,
                typed=True,
            )
        elif expression:
            raise ExpressionFailed(f"the variable %{source.name} is not valid: {expression}")
        self._known[key] = values
        return values

    def _fail(self, source: SourceExpression, node: Node | None, english: str, danish: str) -> None:
        link_id, path, location = _place(node)
        self._failures.setdefault(
            (source.location, path),
            make_problem("expression_error", link_id, path, location, reason=english, reason_da=danish),
        )

    def asked(self, node: Node) -> bool:
        """Return whether the item's enableWhenExpression holds; nothing is false, and what fails is asked."""
        source = node.plan.item.enable_expression
        return source is None or self.holds(source, node) is not False

    def holds(self, source: SourceExpression, node: Node) -> bool | None:
        """Return whether a condition holds; nothing is false, and None says that it failed or is no condition."""
        result = self.run(source, node)
        if result is None:
            return None
        if not result:
            return False
        if len(result) == 1 and isinstance(result[0], bool):
            return result[0]
        self._fail(source, node, "it does not give true or false", "det giver ikke sandt eller falsk")
        return None

    def values_of(self, source: SourceExpression, node: Node) -> list[Value]:
        """Return what an expression gives as answers to the item; nothing where it failed."""
        result = self.run(source, node)
        return self._coerce_all(source, node, result) if result else []

    def calculate(self) -> bool:
        """Work out every calculated value anew; return whether any of them changed."""
        changed = False
        for level in self.compiled.levels:
            nodes = [
                node for plan in level for node in self.layout.find(plan.item.link_id) if node.enabled and node.present
            ]
            # A level sees the response as it was before any of its values changed: one picture serves them all.
            found = [(node, self._calculate(node)) for node in nodes]
            for node, values in found:
                if values is not None:
                    self.layout.replace(node, values)
                    changed = True
        return changed

    def _calculate(self, node: Node) -> list[Value] | None:
        """Return the item's calculated values where they differ from its answers, else None."""
        item = node.plan.item
        source = item.calculated
        if source is None:
            return None
        before = node.values()
        editable = not (item.read_only or item.hidden)
        result = self.run(source, node)
        values = self._coerce_all(source, node, result) if result is not None else []
        kept = editable and bool(before) and not node.calculated
        if result is None or (kept and not values):
            self._computed.pop(node.path, None)
        else:
            self._computed[node.path] = (node, values)
        return None if kept or _same_answers(before, values) else values

    def _mismatches(self) -> list[Problem]:
        """Return where an answer that was sent differs from the calculated one; that may be edited where it may."""
        problems = []
        for node, values in self._computed.values():
            sent = node.sent if node.calculated else node.values()
            if sent and node.enabled and not _same_answers(sent, values) and not _nearly_same(sent, values):
                editable = not (node.plan.item.read_only or node.plan.item.hidden)
                link_id, path, location = _place(node)
                severity = Severity.WARNING if editable else Severity.ERROR
                problems.append(make_problem("calculated_mismatch", link_id, path, location, severity=severity))
        return problems

    def _coerce_all(self, source: SourceExpression, node: Node, result: list[Any]) -> list[Value]:
        if len(result) > 1 and not node.plan.item.repeats:
            self._fail(source, node, "it gives more than one value", "det giver mere end én værdi")
            return []
        values = []
        for each in result:
            value = coerce(node.plan, each)
            if value is None:
                self._fail(source, node, "its value does not fit the item", "dets værdi passer ikke til punktet")
                return []
            values.append(value)
        return values


def _same_answers(left: list[Value], right: list[Value]) -> bool:
    return len(left) == len(right) and all(
        one.kind == other.kind and same(one, other) for one, other in zip(left, right, strict=True)
    )


def _nearly_same(left: list[Value], right: list[Value]) -> bool:
    """Tell whether numbers are the same to eight decimals, which is what FHIRPath asks of those who reckon."""
    return len(left) == len(right) and all(
        one.kind == other.kind == "decimal"
        and one.number is not None
        and other.number is not None
        and abs(one.number - other.number) < _FINEST
        for one, other in zip(left, right, strict=True)
    )


def _place(node: Node | None) -> tuple[str, str, str]:
    if node is None:
        return "", "", "QuestionnaireResponse"
    return node.plan.item.link_id, node.path, node.location


def _levels(questionnaire: Questionnaire, node: Node | None) -> list[tuple[Node | None, tuple[SourceExpression, ...]]]:
    """Return the places from the root down to the item, each with the variables declared there."""
    levels: list[tuple[Node | None, tuple[SourceExpression, ...]]] = []
    while node is not None:
        levels.append((node, node.plan.item.variables))
        node = node.within.node
    levels.append((None, questionnaire.variables))
    return levels[::-1]
