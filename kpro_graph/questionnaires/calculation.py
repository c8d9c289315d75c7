"""The expressions of a questionnaire run on one response: variables, conditions, calculated values, bounds and rules.

An expression sees what was to be asked and what was calculated so far. What fails is taken down once and never stops
the rest: a condition that fails leaves its question asked, a value that fails is absent, a rule that fails is not
broken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from kpro_graph.questionnaires.expressions import (
    PREDEFINED_VARIABLES,
    Expression,
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
    prepare,
)
from kpro_graph.questionnaires.layout import Layout, Node
from kpro_graph.questionnaires.model import Item, ItemType, Questionnaire, SourceExpression, Value
from kpro_graph.questionnaires.plan import ItemPlan, Plan
from kpro_graph.questionnaires.problems import Problem, Severity, make_problem
from kpro_graph.questionnaires.rendering import find_node, render
from kpro_graph.questionnaires.values import same

__all__ = ["Calculation", "Compiled", "coerce", "compiled_of"]

_SECONDS = 0.8
"""How long the expressions of one response may take altogether."""

_RUNS = 20_000
_FHIRPATH = frozenset({"text/fhirpath", "text/fhirpath+sdc"})


class Compiled:
    """The questionnaire's expressions, each compiled once, and the order in which values are calculated."""

    def __init__(self, questionnaire: Questionnaire, plan: Plan) -> None:
        self._by_text: dict[str, Expression | str] = {}
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
    waiting = list(plans)
    levels = []
    while waiting:
        names = {plan.item.link_id for plan in waiting}
        ready = [plan for plan in waiting if not open_needs[plan.item.link_id] & (names - {plan.item.link_id})]
        levels.append(ready or waiting)
        waiting = [plan for plan in waiting if plan not in levels[-1]]
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


class Calculation:
    """The expressions of one evaluation, with what they saw and what failed."""

    def __init__(self, questionnaire: Questionnaire, layout: Layout, variables: Mapping[str, list[Any]]) -> None:
        self.questionnaire = questionnaire
        self.layout = layout
        self._failures: dict[tuple[str, str], Problem] = {}
        self._mismatches: dict[str, Problem] = {}
        self.compiled = compiled_of(questionnaire, layout.plan)
        self._given = {name: [] for name in questionnaire.outside} | dict(variables)
        self._resource: Any = None
        self._questionnaire = prepare(questionnaire.source)
        self._places: dict[int, Any] = {}
        self._version = -1
        self._known: dict[tuple[int, int], list[Any]] = {}
        self._deadline = time.perf_counter() + _SECONDS
        self._runs = _RUNS
        self._too_slow: set[tuple[str, str]] = set()
        self.settled = True

    @property
    def problems(self) -> list[Problem]:
        """What failed, and where a value that was sent differs from the calculated one."""
        return [*self._failures.values(), *self._mismatches.values()]

    def run(self, source: SourceExpression, node: Node | None) -> list[Any] | None:
        """Evaluate an expression at an item, or at the root; None where it failed, which is then taken down."""
        place = (source.location, node.path if node is not None else "")
        if place in self._too_slow:
            return None
        if source.language not in _FHIRPATH:
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
        )

    def _place(self, node: Node | None) -> Any:
        """Return the item's place in the response, made ready to be asked by many expressions."""
        if node is None:
            return self._resource
        place = self._places.get(id(node))
        if place is None:
            place = self._places[id(node)] = prepare(find_node(node), "QuestionnaireResponse.item")
        return place

    def _refresh(self) -> None:
        """Write the response anew where an answer or what is asked has changed since."""
        if self._version != self.layout.version:
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
        key = (id(node), position)
        known = self._known.get(key)
        if known is not None:
            return known
        source = declared[position]
        values: list[Any] = []
        expression = self.compiled.expression(source) if source.language in _FHIRPATH else ""
        if isinstance(expression, Expression):
            here = self._place(node)
            values = expression.evaluate(
                here,
                resource=self._resource,
                context=here,
                questionnaire=self._questionnaire,
                qitem=node.plan.item.source if node is not None else None,
                variables=self._named(expression.variables() - PREDEFINED_VARIABLES, levels, depth, position),
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
        if source is None:
            return True
        result = self.run(source, node)
        if result is None:
            return True
        if not result:
            return False
        if len(result) == 1 and isinstance(result[0], bool):
            return result[0]
        self._fail(source, node, "it does not give true or false", "det giver ikke sandt eller falsk")
        return True

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
                    node.replace(values)
                    self.layout.version += 1
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
        sent = bool(before) and not node.calculated
        result = self.run(source, node)
        if result is None and sent:
            return None
        values = self._coerce_all(source, node, result) if result is not None else []
        if len(before) == len(values) and all(
            old.kind == new.kind and same(old, new) for old, new in zip(before, values, strict=True)
        ):
            self._mismatches.pop(node.path, None)
            return None
        if sent:
            if editable and not values:
                return None
            self._mismatches[node.path] = _mismatch(node, Severity.WARNING if editable else Severity.ERROR)
            if editable:
                return None
        return values

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


def _mismatch(node: Node, severity: Severity) -> Problem:
    link_id, path, location = _place(node)
    return make_problem("calculated_mismatch", link_id, path, location, severity=severity)


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


def coerce(plan: ItemPlan, result: object) -> Value | None:  # noqa: PLR0912 - one branch for each type
    """Return an expression's result as an answer to the item, or None where it cannot be one."""
    item = plan.item
    number = result if isinstance(result, int | Decimal) and not isinstance(result, bool) else None
    match item.type:
        case ItemType.INTEGER:
            if number is not None and number == int(number):
                return Value("integer", int(number))
        case ItemType.DECIMAL:
            if number is not None:
                return Value("decimal", number)
            if isinstance(result, Mapping) and isinstance(result.get("value"), int | Decimal):
                return Value("decimal", result["value"])
        case ItemType.BOOLEAN:
            if isinstance(result, bool):
                return Value("boolean", result)
        case ItemType.STRING | ItemType.TEXT:
            return _as_text(result)
        case ItemType.DATE | ItemType.DATE_TIME | ItemType.TIME:
            if isinstance(result, str):
                text = result.removeprefix("@").removeprefix("T")
                return Value(item.type.value, text[:10] if item.type is ItemType.DATE else text)
        case ItemType.URL:
            if isinstance(result, str):
                return Value("uri", result)
        case ItemType.QUANTITY:
            return _as_quantity(item, result, number)
        case ItemType.CHOICE | ItemType.OPEN_CHOICE:
            return _as_choice(plan, result)
        case ItemType.ATTACHMENT | ItemType.REFERENCE:
            if isinstance(result, Mapping):
                return Value(next(iter(plan.kinds)), dict(result))
    return None


def _as_text(result: object) -> Value | None:
    if isinstance(result, str):
        return Value("string", result)
    if isinstance(result, bool):
        return Value("string", "true" if result else "false")
    if isinstance(result, int | Decimal):
        return Value("string", format(result, "f") if isinstance(result, Decimal) else str(result))
    if isinstance(result, Mapping):
        text = result.get("display") or result.get("code") or result.get("text")
        return Value("string", text) if isinstance(text, str) else None
    return None


def _as_quantity(item: Item, result: object, number: int | Decimal | None) -> Value | None:
    if isinstance(result, Mapping):
        return Value("Quantity", dict(result))
    if number is None:
        return None
    quantity: dict[str, Any] = {"value": number}
    if item.unit is not None:
        parts = (("unit", item.unit.display), ("system", item.unit.system), ("code", item.unit.code))
        quantity.update({name: part for name, part in parts if part is not None})
    return Value("Quantity", quantity)


def _as_choice(plan: ItemPlan, result: object) -> Value | None:
    """A coding stands for the option with its system and code, a text for the option with that code or that text."""
    if isinstance(result, Mapping):
        value = Value("Coding", dict(result))
        option = plan.options.get(value.key)
        return option.value if option is not None else value
    for option in plan.item.options:
        if option.value.code == result or (option.value.kind != "Coding" and option.value.value == result):
            return option.value
    if isinstance(result, str):
        for option in plan.item.options:
            if option.value.display == result:
                return option.value
        for concept in plan.value_set.concepts.values() if plan.value_set is not None else ():
            if result in (concept.code, concept.display):
                parts = (("system", concept.system), ("code", concept.code), ("display", concept.display))
                return Value("Coding", {name: part for name, part in parts if part})
        if plan.item.type is ItemType.OPEN_CHOICE:
            return Value("string", result)
        if not plan.item.options and plan.value_set is None:
            return Value("Coding", {"code": result})
    return None
