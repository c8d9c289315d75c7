"""Expressions tried out: what a condition or a calculated value comes to for given answers, asked of the engine itself.

Each is evaluated on an excerpt that holds just what it reads, and every answer is remembered. A calculated value that
is a sum is recognised by its shape, so that what it can become need not be tried case by case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from kpro_graph.questionnaires.compiled import LANGUAGES
from kpro_graph.questionnaires.evaluation import Evaluation, evaluate
from kpro_graph.questionnaires.expressions import syntax as s
from kpro_graph.questionnaires.model import ItemType, Questionnaire, SourceExpression
from kpro_graph.questionnaires.plan import ItemPlan
from kpro_graph.questionnaires.proof.budget import Purse
from kpro_graph.questionnaires.proof.dependence import Dependence, is_computed
from kpro_graph.questionnaires.proof.excerpts import excerpt
from kpro_graph.questionnaires.proof.reads import declarations, literals, reads_of, split, tree_of
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot, Unfolded, write_response

__all__ = ["Additive", "Formula", "Formulas"]

_Key: TypeAlias = tuple[frozenset[str], tuple[tuple[tuple[object, ...], ...], ...]]
_ORDERING = frozenset({"=", "!=", "~", "!~", "<", ">", "<=", ">=", "in", "contains"})
_COMPARING = _ORDERING | {"and", "or", "xor", "implies", "|"}
_PLAIN = frozenset({"exists", "empty", "not", "hasValue", "where", "first", "single", "ofType", "iif"})
_SUMMED = frozenset({"value", "answer", "item", "code"})


@dataclass(frozen=True, eq=False)
class Formula:
    """One expression at one item, with everything it needs.

    ``inputs`` are the places whose answers it reads, through other calculated values as well; ``parts`` the linkIds
    whose being asked matters besides. ``outside`` are things it needs that are not in the response. ``compares`` holds
    where it only compares answers with constants.
    """

    link_id: str
    target: bool
    inputs: tuple[Spot, ...]
    computed: frozenset[str]
    parts: tuple[Spot, ...]
    outside: frozenset[str]
    compares: bool
    memory: dict[_Key, tuple[bool, Choice]] = field(default_factory=dict)


@dataclass(frozen=True)
class Additive:
    """A calculated value that is a constant plus what each answer adds.

    What an answer adds is asked by its place and key. ``strict`` are the places without whose answers there is no value
    at all; ``counting`` are answers, by place and key, of which there must be one, where that is so.
    """

    base: Fraction
    adds: Mapping[str, Mapping[tuple[object, ...], Fraction]]
    strict: frozenset[str]
    counting: frozenset[tuple[str, tuple[object, ...]]] = frozenset()

    @property
    def may_be_empty(self) -> bool:
        """Whether some answers give no value."""
        return bool(self.strict or self.counting)

    def count(self, path: str, choice: Choice) -> int:
        """Return how many of the answers at a place help there to be a value."""
        return sum(1 for value in choice if not self.counting or (path, value.key) in self.counting)

    def value(self, choices: Mapping[str, Choice]) -> Fraction | None:
        """Return the value for these answers; None where those it needs are missing."""
        total = self.base
        counted = 0
        for path, adds in self.adds.items():
            choice = choices.get(path, ())
            if not choice and path in self.strict:
                return None
            counted += self.count(path, choice)
            total += sum((adds.get(value.key, Fraction(0)) for value in choice), Fraction(0))
        return total if counted or not self.counting else None


class Formulas:
    """The expressions of one questionnaire, ready to be tried."""

    def __init__(
        self,
        questionnaire: Questionnaire,
        unfolded: Unfolded,
        dependence: Dependence,
        purse: Purse,
        *,
        choices: Mapping[str, Sequence[Choice]],
    ) -> None:
        self.questionnaire = questionnaire
        self.unfolded = unfolded
        self.dependence = dependence
        self.purse = purse
        self._choices = choices
        self._conditions: dict[str, Formula] = {}
        self._values: dict[str, Formula] = {}
        self._shared: dict[tuple[object, ...], dict[_Key, tuple[bool, Choice]]] = {}
        self._additive: dict[str, Additive | None] = {}
        self._excerpts: dict[tuple[str, bool, frozenset[str]], Questionnaire] = {}

    def condition(self, link_id: str) -> Formula:
        """Return the enableWhenExpression of an item as a formula."""
        found = self._conditions.get(link_id)
        if found is None:
            source = self.dependence.plan.items[link_id].item.enable_expression
            found = self._conditions[link_id] = self._make(link_id, source, target=False)
        return found

    def value(self, link_id: str) -> Formula:
        """Return the calculated value of an item as a formula."""
        found = self._values.get(link_id)
        if found is None:
            source = self.dependence.plan.items[link_id].item.calculated
            found = self._values[link_id] = self._make(link_id, source, target=True)
        return found

    def _make(self, link_id: str, source: SourceExpression | None, *, target: bool) -> Formula:
        dependence = self.dependence
        reads = dependence.computed[link_id] if target else dependence.asked[link_id]
        closure: set[str] = set()
        computed: set[str] = set()
        outside = set(reads.outside)
        texts = [source] if source is not None else []
        waiting = list(reads.link_ids)
        while waiting:
            each = waiting.pop()
            if each in closure:
                continue
            closure.add(each)
            item = dependence.plan.items[each].item
            if is_computed(item) and each != link_id:
                computed.add(each)
                more = dependence.computed[each]
                outside |= more.outside
                waiting.extend(more.link_ids)
                if item.calculated is not None:
                    texts.append(item.calculated)
        itself = link_id in closure
        closure.discard(link_id)
        order = sorted(closure, key=lambda one: dependence.plan.items[one].item.position)
        spots = [spot for each in order for spot in self.unfolded.by_link_id[each]]
        inputs = tuple(spot for spot in spots if spot.item.answerable and spot.link_id not in computed)
        key = (source.text if source else "", reads.declared, target, link_id if target or reads.own or itself else "")
        at = dependence.plan.items[link_id]
        return Formula(
            link_id,
            target,
            inputs,
            frozenset(computed),
            tuple(spot for spot in spots if not spot.item.answerable or spot.link_id in computed),
            frozenset(outside),
            not computed and source is not None and self.only_compares(source, at, reads.declared),
            self._shared.setdefault(key, {}),
        )

    def only_compares(self, source: SourceExpression, plan: ItemPlan | None, declared: tuple[str, ...]) -> bool:
        """Tell whether an expression, and the variables it uses, only compare single answers with constants."""
        used = [each for each, _, _ in declarations(self.questionnaire, plan) if each.location in declared]
        trees = [tree_of(each.text) for each in (source, *used)]
        return all(tree is not None and _only_compares(tree) for tree in trees)

    def constants(self, source: SourceExpression, plan: ItemPlan | None) -> list[object]:
        """Return the values written in an expression at an item (None for the root) and in the variables it uses."""
        reads = reads_of(self.questionnaire, self.dependence.plan, source, plan)
        used = [each for each, _, _ in declarations(self.questionnaire, plan) if each.location in reads.declared]
        return [value for each in (source, *used) if each.language in LANGUAGES for value in literals(each.text)]

    # --- trying

    def holds(self, formula: Formula, choices: Assignment, absent: frozenset[str]) -> bool:
        """Tell whether a condition holds for the answers at its inputs; ``absent`` are parts that are not asked."""
        return self._try(formula, choices, absent)[0]

    def result(self, formula: Formula, choices: Assignment, absent: frozenset[str]) -> Choice:
        """Return what a calculated value comes to for the answers at its inputs."""
        return self._try(formula, choices, absent)[1]

    def _try(self, formula: Formula, choices: Assignment, absent: frozenset[str]) -> tuple[bool, Choice]:
        given = tuple(tuple(value.key for value in choices.get(spot.path, ())) for spot in formula.inputs)
        key = (absent, given)
        found = formula.memory.get(key)
        if found is None:
            found = formula.memory[key] = self._evaluate(formula, choices, absent)
        return found

    def _evaluate(self, formula: Formula, choices: Assignment, absent: frozenset[str]) -> tuple[bool, Choice]:
        self.purse.draw()
        cut = self._excerpt(formula, absent)
        given = {
            spot.path: choices[spot.path]
            for spot in formula.inputs
            if choices.get(spot.path) and spot.link_id not in absent
        }
        evaluation: Evaluation = evaluate(cut, write_response(cut, given))
        asked = formula.link_id in evaluation.enabled
        return asked, evaluation.answers.values(formula.link_id)

    def _excerpt(self, formula: Formula, absent: frozenset[str]) -> Questionnaire:
        key = (formula.link_id, formula.target, absent)
        found = self._excerpts.get(key)
        if found is None:
            parts = {spot.link_id for spot in (*formula.inputs, *formula.parts)} - absent
            whole = {*parts, formula.link_id}
            computed = (formula.computed - absent) | ({formula.link_id} if formula.target else set())
            asked = () if formula.target else (formula.link_id,)
            found = self._excerpts[key] = excerpt(self.questionnaire, whole, asked=asked, computed=computed)
        return found

    # --- sums

    def additive(self, link_id: str) -> Additive | None:
        """Return a calculated number as a sum over its inputs, or None where its shape does not show that it is one."""
        if link_id not in self._additive:
            self._additive[link_id] = self._find_additive(link_id)
        return self._additive[link_id]

    def _find_additive(self, link_id: str) -> Additive | None:
        item = self.dependence.plan.items[link_id].item
        source = item.calculated
        formula = self.value(link_id)
        if source is None or formula.computed or formula.outside or item.type not in _NUMBERS or item.repeats:
            return None
        if not formula.inputs or not self._is_sum(source.text, link_id, frozenset()):
            return None
        choices = {spot.path: [each for each in self._choices.get(spot.link_id, ()) if each] for spot in formula.inputs}
        if not all(choices.values()):
            return None
        return self._measure(formula, choices)

    def _measure(self, formula: Formula, choices: Mapping[str, Sequence[Choice]]) -> Additive | None:
        """Ask the engine what each answer adds, and whether that is all there is to it."""
        full = {path: each[0] for path, each in choices.items()}
        start = self._number(formula, full)
        if start is None:
            return None
        less = {path: self._number(formula, _without(full, path)) for path in choices}
        strict = frozenset(path for path, number in less.items() if number is None) if len(choices) > 1 else frozenset()
        needed = {path: full[path] for path in strict}
        counting = self._counting(formula, choices, needed)
        adds: dict[str, dict[tuple[object, ...], Fraction]] = {}
        base = start
        for path, each in choices.items():
            before = less[path]
            first = start - before if before is not None else Fraction(0)
            base -= first
            row = adds[path] = {}
            for choice in each:
                if len(choice) == 1:
                    number = self._number(formula, {**full, path: choice})
                    if number is None:
                        return None
                    row[choice[0].key] = first + number - start
        found = Additive(base, adds, strict, counting)
        last = {path: each[-1] for path, each in choices.items()}
        mixed = {path: each[index % len(each)] for index, (path, each) in enumerate(choices.items())}
        sparse = {path: choice for index, (path, choice) in enumerate(last.items()) if index % 2 or path in strict}
        probes: list[Assignment] = [last, mixed, sparse, {}]
        for path in choices:
            probes += [{path: full[path]}, {path: last[path]}, _without(last, path), _without(mixed, path)]
        if all(found.value(probe) == self._number(formula, probe) for probe in probes):
            return found
        return None

    def _counting(
        self, formula: Formula, choices: Mapping[str, Sequence[Choice]], needed: Assignment
    ) -> frozenset[tuple[str, tuple[object, ...]]]:
        """Return the answers of which one at least must be there, where the rest gives no value; else nothing."""
        if self._number(formula, needed) is not None:
            return frozenset()
        return frozenset(
            (path, choice[0].key)
            for path, each in choices.items()
            for choice in each
            if len(choice) == 1 and path not in needed and self._number(formula, {**needed, path: choice}) is not None
        )

    def _number(self, formula: Formula, choices: Assignment) -> Fraction | None:
        result = self.result(formula, choices, frozenset())
        number = result[0].number if len(result) == 1 else None
        return Fraction(number) if number is not None else None

    def _is_sum(self, text: str, link_id: str, seen: frozenset[str]) -> bool:
        """Tell by its shape whether an expression adds up numbers, each from one answer."""
        tree = tree_of(text)
        return tree is not None and self._adds(tree, link_id, seen)

    def _adds(self, tree: s.Tree, link_id: str, seen: frozenset[str]) -> bool:
        match tree:
            case s.Literal():
                return all(not isinstance(value, str | bool) for value in tree.values) and len(tree.values) == 1
            case s.Sign():
                return self._adds(tree.operand, link_id, seen)
            case s.Variable():
                plan = self.dependence.plan.items[link_id]
                for source, _, _ in declarations(self.questionnaire, plan):
                    if source.name == tree.name and source.location not in seen:
                        return self._is_sum(source.text, link_id, seen | {source.location})
                return False
            case s.Chain():
                left, operator, right = split(tree)
                if operator in ("+", "-"):
                    return self._adds(left, link_id, seen) and self._adds(right, link_id, seen)
                if operator in ("*", "/") and isinstance(right, s.Literal):
                    return self._adds(left, link_id, seen)
                return operator == "*" and isinstance(left, s.Literal) and self._adds(right, link_id, seen)
            case s.Path():
                return self._is_term(tree, link_id, seen)
        return False

    def _is_term(self, tree: s.Path, link_id: str, seen: frozenset[str]) -> bool:
        """A path to answers' numbers or scores, added up or standing alone."""
        if isinstance(tree.start, s.Variable) and tree.start.name not in ("resource", "rootResource", "context"):
            rest = tree.steps
            return all(_is_quiet(step) for step in rest) and self._adds(tree.start, link_id, seen)
        if tree.start is not None and not isinstance(tree.start, s.Variable):
            quiet = all(_is_quiet(step) for step in tree.steps)
            return quiet and self._adds(tree.start, link_id, seen)
        return all(_is_gathering(step) for step in tree.steps)


def _without(choices: Assignment, path: str) -> Assignment:
    return {each: choice for each, choice in choices.items() if each != path}


_NUMBERS = (ItemType.INTEGER, ItemType.DECIMAL, ItemType.QUANTITY)


def _is_quiet(step: object) -> bool:
    return isinstance(step, s.Call) and step.name in ("sum", "toDecimal", "toInteger") and not step.arguments


def _is_gathering(step: object) -> bool:
    """A step that goes on from every item or answer alike, without looking at the others."""
    if isinstance(step, s.Member):
        return step.name in _SUMMED or step.name.startswith("value")
    if isinstance(step, s.Call):
        if step.name == "where":
            return len(step.arguments) == 1 and _looks_at_itself(step.arguments[0])
        if step.name == "repeat":
            return True
        plain = ("descendants", "weight", "ordinal", "sum", "count", "toDecimal", "toInteger", "ofType", "children")
        return step.name in plain
    return False


def _looks_at_itself(tree: s.Tree) -> bool:
    parts = list(s.walk(tree))
    return not any(isinstance(part, s.Variable) for part in parts)


def _only_compares(tree: s.Tree) -> bool:
    """Tell whether an expression only compares single answers with constants, so that cutting at those is enough."""
    match tree:
        case s.Literal() | s.TypeName() | s.Variable() | s.Special():
            return True
        case s.Chain():
            left, operator, right = split(tree)
            if operator not in _COMPARING or (
                operator in _ORDERING and not (_is_constant(left) or _is_constant(right))
            ):
                return False
            return _only_compares(left) and _only_compares(right)
        case s.Path():
            if tree.start is not None and not _only_compares(tree.start):
                return False
            for step in tree.steps:
                if isinstance(step, s.Call):
                    known = step.name in _PLAIN or step.name in ("repeat", "descendants")
                    if not known or not all(_only_compares(each) for each in step.arguments):
                        return False
                elif isinstance(step, s.Index) and not isinstance(step.position, s.Literal):
                    return False
            return True
    return False


def _is_constant(tree: s.Tree) -> bool:
    """Whether it is a literal, or several joined by ``|``."""
    if isinstance(tree, s.Chain):
        return all(isinstance(each, s.Literal) for each in (tree.first, *(operand for _, operand in tree.rest)))
    return isinstance(tree, s.Literal)
