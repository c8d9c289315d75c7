"""The colours of answers: an item's own significances and the rules about it, held against every answer to it.

Each part of a rule is judged by itself, by the engine's own judge, on an excerpt that holds nothing but the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec

from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.instruments import Direction
from kpro_graph.questionnaires.judging import SIGNIFICANCE, Verdict, judge_item_rule, judge_significances
from kpro_graph.questionnaires.model import Item, Questionnaire, Significance, Value
from kpro_graph.questionnaires.naming import words_of
from kpro_graph.questionnaires.proof.completing import Completing
from kpro_graph.questionnaires.proof.excerpts import excerpt
from kpro_graph.questionnaires.proof.findings import Finding, Gravity, make_finding
from kpro_graph.questionnaires.proof.gradients import Step, find_turn, tendency, worst
from kpro_graph.questionnaires.proof.score_colours import colour_of
from kpro_graph.questionnaires.proof.search import Logic
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.proof.unfolding import Assignment, Spot, write_response
from kpro_graph.questionnaires.rules import Colour, InstrumentScore, ItemRule, RuleSet, TotalScore
from kpro_graph.questionnaires.words import write_number

__all__ = ["ItemColours"]

_MOST_NAMED = 8
_EXACT = frozenset({"=", "exists"})


@dataclass(frozen=True, slots=True)
class _Part:
    """One interval, case or significance: where it stands, its colour, how it judges, and of what sort it is."""

    location: str
    colour: Colour
    judge: Callable[[Answers], Verdict]
    presence: bool
    ordered: bool


@dataclass(frozen=True, slots=True)
class _Judged:
    """One answer with the parts that hold for it."""

    value: Value
    number: Decimal | None
    parts: tuple[_Part, ...]


class ItemColours:
    """The rules about items. ``steps`` are the coloured numbers of each item's rules, in order, by linkId."""

    def __init__(
        self,
        space: Space,
        logic: Logic,
        completing: Completing,
        rules: RuleSet | None,
        tendencies: dict[str, Direction],
    ) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing
        self.rules = rules
        self.words = words_of(space.questionnaire)
        self.shown: dict[str, Assignment] = {}
        self._cuts: dict[str, Questionnaire] = {}
        self.declared: dict[str, Direction] = {}
        self.inferred: dict[str, Direction] = {}
        for definition in rules.scores if rules is not None else ():
            if isinstance(definition, InstrumentScore):
                instrument = definition.prepare()
                for name, link_id in definition.inputs.items():
                    self.declared[link_id] = instrument.input(name).direction
            elif isinstance(definition, TotalScore) and definition.code in tendencies:
                for link_id in definition.items:
                    self.inferred[link_id] = _times(tendencies[definition.code], definition.factor)

    def judge(self) -> Iterator[Finding]:
        """Yield answers with two colours, with none between coloured ones, and colours that turn back."""
        for place, rule in enumerate(self.rules.rules if self.rules is not None else ()):
            if isinstance(rule, ItemRule) and rule.item in self.space.domains:
                item = self.space.plan.items[rule.item].item
                yield from self._judge(item, rule.id, f"rules[{place}]", self._parts_of_rule(rule, item, place))
        for item in self.space.questionnaire.walk():
            if item.significances and item.link_id in self.space.domains:
                yield from self._judge(item, f"{SIGNIFICANCE}:{item.link_id}", item.location, self._parts_of_item(item))

    # --- parts

    def _parts_of_rule(self, rule: ItemRule, item: Item, place: int) -> list[_Part]:
        parts = []
        for index, interval in enumerate(rule.intervals):
            alone = msgspec.structs.replace(rule, intervals=(interval,), cases=())
            parts.append(
                _Part(f"rules[{place}].intervals[{index}]", interval.colour, self._by_rule(alone, item), False, True)
            )
        for index, case in enumerate(rule.cases):
            alone = msgspec.structs.replace(rule, intervals=(), cases=(case,))
            presence = case.answered is not None
            parts.append(
                _Part(f"rules[{place}].cases[{index}]", case.colour, self._by_rule(alone, item), presence, False)
            )
        return parts

    def _by_rule(self, rule: ItemRule, item: Item) -> Callable[[Answers], Verdict]:
        return lambda answers: judge_item_rule(rule, item, answers, self.words)

    def _parts_of_item(self, item: Item) -> list[_Part]:
        return [self._part_of_item(item, one) for one in item.significances]

    def _part_of_item(self, item: Item, one: Significance) -> _Part:
        alone = replace(item, significances=(one,))
        operators = {condition.operator for condition in one.conditions}
        return _Part(
            item.location,
            Colour(one.colour),
            lambda answers: judge_significances(alone, answers, self.words),
            operators == {"exists"},
            not operators <= _EXACT,
        )

    # --- judging

    def _judge(self, item: Item, key: str, place: str, parts: list[_Part]) -> Iterator[Finding]:
        spot = self.space.unfolded.by_link_id[item.link_id][0]
        judged: list[_Judged] = []
        held: set[int] = set()
        refused: Verdict | None = None
        for value in self.space.domains[item.link_id].values:
            answers = self._answer(spot, value)
            holding = []
            for index, part in enumerate(parts):
                verdict = part.judge(answers)
                if verdict.open and refused is None:
                    refused = verdict
                    yield self._not_applicable(spot, key, part, value, verdict)
                elif verdict.colour is not Colour.NOT_INTERPRETED:
                    holding.append(part)
                    held.add(index)
            judged.append(_Judged(value, self._number(item, value), tuple(holding)))
        self._show(spot, key, judged)
        if refused is None:
            yield from self._judge_unused(item, key, parts, held)
        yield from self._judge_overlaps(spot, key, judged)
        yield from self._judge_gaps(spot, key, place, judged)
        yield from self._judge_order(spot, key, place, judged)

    def _answer(self, spot: Spot, value: Value) -> Answers:
        self.space.purse.draw()
        if spot.link_id not in self._cuts:
            self._cuts[spot.link_id] = excerpt(self.space.questionnaire, [spot.link_id])
        cut = self._cuts[spot.link_id]
        return evaluate(cut, write_response(cut, {spot.path: (value,)})).answers

    def _number(self, item: Item, value: Value) -> Decimal | None:
        weight = self.space.plan.items[item.link_id].weights.get(value.key)
        return weight if weight is not None else value.number

    def _given(self, spot: Spot, value: Value) -> Assignment:
        """Return answers in which the item is asked and answered so, as small as they can be."""
        found = self.logic.find(lambda a: self.logic.answerable(spot, a), {spot.path: (value,)}).found
        return found if found is not None else {spot.path: (value,)}

    def _response(self, spot: Spot, value: Value) -> dict[str, object]:
        return self.completing.evaluate(self.completing.complete(self._given(spot, value))).response

    def _show(self, spot: Spot, key: str, judged: Sequence[_Judged]) -> None:
        seen: set[Colour] = set()
        for each in judged:
            colours = {part.colour for part in each.parts}
            if colours - seen:
                seen |= colours
                given = self._given(spot, each.value)
                for colour in sorted(colours):
                    self.shown.setdefault(f"colour:{key}={colour.value}", given)

    def _not_applicable(self, spot: Spot, key: str, part: _Part, value: Value, verdict: Verdict) -> Finding:
        reason = verdict.reason
        return make_finding(
            "rule_not_applicable",
            (spot.link_id,),
            part.location,
            key=key,
            counter_example=self._response(spot, value),
            reason=reason.text.en if reason is not None else "",
            reason_da=reason.text.da if reason is not None else "",
        )

    def _judge_unused(self, item: Item, key: str, parts: Sequence[_Part], held: set[int]) -> Iterator[Finding]:
        for index, part in enumerate(parts):
            if index not in held and not part.presence:
                code = "interval_unreachable" if part.ordered else "case_unreachable"
                yield make_finding(code, (item.link_id,), part.location, key=key)

    def _judge_overlaps(self, spot: Spot, key: str, judged: Sequence[_Judged]) -> Iterator[Finding]:
        told: set[frozenset[str]] = set()
        for each in judged:
            parts = [part for part in each.parts if not part.presence]
            pair = frozenset(part.location + part.colour for part in parts)
            if len({part.colour for part in parts}) > 1 and pair not in told:
                told.add(pair)
                yield make_finding(
                    "interval_overlap",
                    (spot.link_id,),
                    parts[-1].location,
                    key=key,
                    counter_example=self._response(spot, each.value),
                    value=_write(each, "en"),
                    value_da=_write(each, "da"),
                )

    def _judge_gaps(self, spot: Spot, key: str, place: str, judged: Sequence[_Judged]) -> Iterator[Finding]:
        if not any(each.parts for each in judged):
            return
        ordered = sorted((each for each in judged if each.number is not None), key=lambda one: one.number or Decimal(0))
        coloured = [index for index, each in enumerate(ordered) if each.parts]
        inner = [each for each in ordered[coloured[0] : coloured[-1]] if not each.parts] if coloured else []
        if inner:
            # An interval's hole is a slip of the pen; leaving out an option may be meant.
            intervals = any(part.ordered for each in judged for part in each.parts)
            yield make_finding(
                "interval_gap",
                (spot.link_id,),
                place,
                severity=Gravity.ERROR if intervals else Gravity.WARNING,
                key=key,
                counter_example=self._response(spot, inner[0].value),
                value=_write(inner[0], "en"),
                value_da=_write(inner[0], "da"),
            )
        others = [each for each in judged if not each.parts and each not in inner]
        if others:
            names = [_write(each, "en") for each in others[:_MOST_NAMED]]
            more = ", …" if len(others) > _MOST_NAMED else ""
            yield make_finding("answer_without_colour", (spot.link_id,), place, key=key, values=", ".join(names) + more)

    def _judge_order(self, spot: Spot, key: str, place: str, judged: Sequence[_Judged]) -> Iterator[Finding]:
        by_number: dict[Decimal, list[Colour]] = {}
        of_number: dict[Decimal, Value] = {}
        for each in judged:
            colours = [part.colour for part in each.parts if not part.presence]
            if each.number is not None and colours:
                by_number.setdefault(each.number, []).extend(colours)
                of_number[each.number] = each.value
        steps = [
            Step(number, worst(by_number[number]), {spot.path: (of_number[number],)}) for number in sorted(by_number)
        ]
        link_id = spot.link_id
        turn = find_turn(steps, self.declared.get(link_id))
        if turn is not None and turn.two_sided:
            yield make_finding("two_sided", (link_id,), place, key=key)
        elif turn is not None:
            pair = []
            for step in (turn.worse, turn.better):
                ((value,),) = step.answers.values()
                pair.append(self.completing.evaluate(self.completing.complete(self._given(spot, value))))
            told = [colour_of(tried, f"item:{link_id}", key) for tried in pair]
            if told == [turn.worse.colour, turn.better.colour]:
                yield make_finding(
                    "not_monotonic",
                    (link_id,),
                    place,
                    key=key,
                    counter_example=pair[0].response,
                    compared_with=pair[1].response,
                    **turn.words(),
                )
        elif self._contradicts(link_id, steps):
            yield make_finding("directions_contradict", (link_id,), place, key=key)

    def _contradicts(self, link_id: str, steps: Sequence[Step]) -> bool:
        inferred = self.inferred.get(link_id)
        return inferred is not None and link_id not in self.declared and tendency(steps) not in (None, inferred)


def _times(direction: Direction, factor: Decimal) -> Direction:
    if factor >= 0:
        return direction
    other = {Direction.HIGHER_IS_BETTER: Direction.HIGHER_IS_WORSE}
    return other.get(direction, Direction.HIGHER_IS_BETTER)


def _write(judged: _Judged, language: str) -> str:
    """Write an answer for a reader: an option's own words, or the number."""
    value = judged.value
    if value.kind == "Coding":
        return f"»{value.display or value.code}«" if language == "da" else f"“{value.display or value.code}”"
    if value.number is not None:
        return write_number(value.number, "da" if language == "da" else "en")
    if isinstance(value.value, bool):
        yes, no = ("ja", "nej") if language == "da" else ("yes", "no")
        return yes if value.value else no
    return str(value.value)
