"""The space of answers to a questionnaire: at each place the choices that can make a difference, and nothing more.

A choice is one answer, several where the question repeats, or none. Answers that no condition tells apart are
represented by one of them; where an expression looks at the answer, each stays by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations

from kpro_graph.questionnaires.model import Item, Questionnaire, SourceExpression, Value
from kpro_graph.questionnaires.plan import plan_of
from kpro_graph.questionnaires.proof.budget import Purse
from kpro_graph.questionnaires.proof.dependence import Dependence, is_computed, is_fixed, is_overridable
from kpro_graph.questionnaires.proof.domains import Domain, domain_of
from kpro_graph.questionnaires.proof.formulas import Formulas
from kpro_graph.questionnaires.proof.reads import Reads
from kpro_graph.questionnaires.proof.unfolding import Choice, Unfolded
from kpro_graph.questionnaires.rules import AnswerScore, InstrumentScore, ItemRule, RuleSet, ScoreRule
from kpro_graph.questionnaires.values import matches

__all__ = ["Space", "needs_answer"]

_MOST_SETS = 64
"""So many sets of answers to a repeating question are told apart at most."""


def needs_answer(item: Item) -> bool:
    """Whether a complete response must answer the item when it is asked."""
    return item.answerable and (item.required or bool(item.min_occurs))


@dataclass
class Space:
    """Everything a search needs to know of one questionnaire, and of the rule set it is proved with."""

    questionnaire: Questionnaire
    rules: RuleSet | None
    purse: Purse
    domains: dict[str, Domain] = field(default_factory=dict)
    choices: dict[str, tuple[Choice, ...]] = field(default_factory=dict)
    """By linkId, the empty choice last."""
    told_apart: dict[str, bool] = field(default_factory=dict)
    """By linkId, whether conditions could not tell any other answer from these choices."""

    def __post_init__(self) -> None:
        self.plan = plan_of(self.questionnaire)
        self.dependence = Dependence(self.questionnaire, self.plan)
        self.unfolded = Unfolded(self.questionnaire, self.plan)
        self.formulas = Formulas(self.questionnaire, self.unfolded, self.dependence, self.purse, choices=self.choices)
        self.readers = self._readers()
        self.read = frozenset(one for _, reads in self.readers for one in reads.link_ids) | self._bounded()
        constants = self._constants()
        tests = self._tests()
        for link_id, plan in self.plan.items.items():
            if plan.item.answerable:
                self.domains[link_id] = domain_of(plan, constants.get(link_id, ()))
                self._choose(plan.item, tests.get(link_id, []))
            else:
                self.choices[link_id], self.told_apart[link_id] = ((),), True

    def widened(self, width: int) -> Space:
        """Return the same space with at least so many repetitions of each group that may have them."""
        wide = copy(self)
        wide.unfolded = Unfolded(self.questionnaire, self.plan, width)
        wide.formulas = Formulas(self.questionnaire, wide.unfolded, self.dependence, self.purse, choices=self.choices)
        return wide

    # --- what answers are compared with

    def _bounded(self) -> frozenset[str]:
        """Return the items whose own answers an expression limits, so that each of them counts."""
        plan = self.plan
        return frozenset(each.item.link_id for each in (*plan.bounded, *plan.permitting))

    def _readers(self) -> list[tuple[str | None, Reads]]:
        """Return what each expression reads, with the item it stands at."""
        found: list[tuple[str | None, Reads]] = list(self.dependence.computed.items())
        dependence = self.dependence
        for link_id, plan in self.plan.items.items():
            item = plan.item
            if not item.enable_when and item.enable_expression is not None:
                found.append((link_id, dependence.asked[link_id]))
            found.extend((link_id, dependence.reads(each, link_id)) for each in _ruling(item))
            for bound in (item.min_value, item.max_value, item.min_quantity, item.max_quantity):
                if bound is not None and bound.expression is not None:
                    found.append((link_id, dependence.reads(bound.expression, link_id)))
        found.extend((None, dependence.reads(each.expression, None)) for each in self.questionnaire.constraints)
        return found

    def _constants(self) -> dict[str, list[Value | Decimal | str | bool]]:
        found: dict[str, list[Value | Decimal | str | bool]] = {}

        def add(link_id: str, *values: Value | Decimal | str | bool) -> None:
            found.setdefault(link_id, []).extend(values)

        for plan in self.plan.items.values():
            for condition in plan.item.enable_when:
                add(condition.question, condition.answer)
            for significance in plan.item.significances:
                add(plan.item.link_id, *(each.value for each in significance.conditions))
            for feedback in plan.item.feedback:
                add(plan.item.link_id, Decimal(feedback.minimum), Decimal(feedback.maximum))
        for link_id, numbers in self._rule_constants():
            computed = link_id in self.plan.items and is_computed(self.plan.items[link_id].item)
            # What a calculated number is held against may be what an answer is held against by way of it.
            for each in self.dependence.cone([link_id]) if computed else (link_id,):
                add(each, *numbers)
        for at, reads, values in self._written():
            for each in self.dependence.cone([*reads.link_ids, *([at] if at else [])]):
                if self.plan.items[each].item.answerable:
                    add(each, *values)
        return found

    def _written(self) -> Iterator[tuple[str | None, Reads, list[Value | Decimal | str | bool]]]:
        """Yield each expression's reads with the values written in it."""
        for link_id, plan in self.plan.items.items():
            for target, source in ((False, plan.item.enable_expression), (True, plan.item.calculated)):
                if source is None or (not target and plan.item.enable_when):
                    continue
                reads = (self.dependence.computed if target else self.dependence.asked)[link_id]
                yield link_id, reads, [_plain(each) for each in self.formulas.constants(source, plan)]
            for source in _ruling(plan.item):
                reads = self.dependence.reads(source, link_id)
                yield link_id, reads, [_plain(each) for each in self.formulas.constants(source, plan)]
        for constraint in self.questionnaire.constraints:
            reads = self.dependence.reads(constraint.expression, None)
            yield None, reads, [_plain(each) for each in self.formulas.constants(constraint.expression, None)]

    def _rule_constants(self) -> Iterator[tuple[str, list[Value | Decimal | str | bool]]]:
        if self.rules is None:
            return
        of_score = {one.code: one.item for one in self.rules.scores if isinstance(one, AnswerScore)}
        for definition in self.rules.scores:
            if isinstance(definition, InstrumentScore):
                instrument = self.rules.prepared[definition.code]
                for name, link_id in definition.inputs.items():
                    declared = instrument.input(name)
                    yield link_id, [Decimal(each) for each in range(declared.minimum, declared.maximum + 1)]
                    if len(definition.inputs) == 1 and definition.scale is None and len(instrument.scales) == 1:
                        of_score[definition.code] = link_id
        for rule in self.rules.rules:
            item = rule.item if isinstance(rule, ItemRule) else of_score.get(rule.score)
            if item is None:
                continue
            edges = (edge for one in rule.intervals for edge in (one.low, one.high))
            numbers: list[Value | Decimal | str | bool] = [edge for edge in edges if edge is not None]
            if not isinstance(rule, ScoreRule):
                numbers += [case.text for case in rule.cases if case.text is not None]
                for case in rule.cases:
                    if case.code is not None:
                        system = {"system": case.system} if case.system else {}
                        numbers.append(Value("Coding", {**system, "code": case.code}))
            yield item, numbers

    def _tests(self) -> dict[str, list[tuple[str, Value]]]:
        found: dict[str, list[tuple[str, Value]]] = {}
        for plan in self.plan.items.values():
            for condition in plan.item.enable_when:
                tests = found.setdefault(condition.question, [])
                if (condition.operator, condition.answer) not in tests:
                    tests.append((condition.operator, condition.answer))
        return found

    # --- choices

    def _choose(self, item: Item, tests: list[tuple[str, Value]]) -> None:
        link_id = item.link_id
        domain = self.domains[link_id]
        told_apart = domain.exact and not _orders_texts(tests)
        if is_computed(item) and not is_overridable(item):
            self.choices[link_id] = ((),)
        elif is_fixed(item):
            self.choices[link_id] = (domain.values, ())
        else:
            values: Iterable[Value] = domain.values
            if link_id not in self.read:
                values = _representatives(domain.values, tests)
            sets, all_sets = _sets(item, tuple(values), domain.values)
            self.choices[link_id] = (*sets, ())
            told_apart = told_apart and all_sets
        self.told_apart[link_id] = told_apart

    def is_covered(self, link_id: str, *, compared_only: bool) -> bool:
        """Tell whether an expression's verdict on other answers to an item is one it gives on these choices."""
        domain = self.domains[link_id]
        return self.told_apart[link_id] and (domain.every or (compared_only and domain.exact))


def _ruling(item: Item) -> Iterator[SourceExpression]:
    """Yield the expressions that judge an item's answers."""
    yield from (each.expression for each in item.constraints)
    yield from (each.expression for each in item.toggles)
    if item.answer_expression is not None:
        yield item.answer_expression


def _plain(value: object) -> Value | Decimal | str | bool:
    if isinstance(value, bool | str | Value):
        return value
    return Decimal(str(value))


def _orders_texts(tests: list[tuple[str, Value]]) -> bool:
    """The order of texts is not what a domain of texts is cut at."""
    return any(operator in ("<", ">", "<=", ">=") and value.kind in ("string", "uri") for operator, value in tests)


def _representatives(values: tuple[Value, ...], tests: list[tuple[str, Value]]) -> list[Value]:
    seen: dict[tuple[bool, ...], Value] = {}
    for value in values:
        seen.setdefault(tuple(matches([value], operator, answer) for operator, answer in tests), value)
    return list(seen.values())


def _sets(item: Item, values: tuple[Value, ...], every: tuple[Value, ...]) -> tuple[list[Choice], bool]:
    """Return the sets of answers that can be given, and whether those are all that can be told apart."""
    least = max(1, item.min_occurs or 1)
    if not item.repeats:
        return ([(value,) for value in values] if least == 1 else []), True
    exclusive = {option.value.key for option in item.options if option.exclusive}
    together = [value for value in values if value.key not in exclusive]
    most = min(item.max_occurs or len(together), len(together))
    found: list[Choice] = [(value,) for value in values if value.key in exclusive and least == 1]
    for size in range(1, most + 1):
        for each in combinations(together, size):
            if len(found) == _MOST_SETS:
                return found, False
            padded = _pad(each, least, every, exclusive)
            if padded is not None:
                found.append(padded)
    return list(dict.fromkeys(found)), True


def _pad(answers: Choice, least: int, every: tuple[Value, ...], exclusive: set[tuple[object, ...]]) -> Choice | None:
    """Add answers until there are enough of them; those that are there already may be given again."""
    if len(answers) >= least:
        return answers
    others = [value for value in every if value not in answers and value.key not in exclusive]
    padded = [*answers, *others][:least]
    while len(padded) < least:
        padded.append(answers[0])
    return tuple(padded)
