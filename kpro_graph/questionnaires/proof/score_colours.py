"""The colours of scores: whether a rule's intervals cover every value a score can have, once, in the right order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.instruments import Direction
from kpro_graph.questionnaires.model import Value
from kpro_graph.questionnaires.proof.completing import Completing, Tried
from kpro_graph.questionnaires.proof.dependence import is_computed
from kpro_graph.questionnaires.proof.domains import accepts
from kpro_graph.questionnaires.proof.findings import Finding, make_finding
from kpro_graph.questionnaires.proof.gradients import Step, find_turn, tendency, worst
from kpro_graph.questionnaires.proof.ranges import Reach
from kpro_graph.questionnaires.proof.search import DISAGREEMENT, Logic, join_reasons
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.proof.unfolding import Assignment
from kpro_graph.questionnaires.rules import AnswerScore, Colour, Interval, RuleSet, ScoreRule, TotalScore
from kpro_graph.questionnaires.words import Text, write_number

__all__ = ["ScoreColours", "score_of"]

_BETWEEN = Text(
    "værdien ligger mellem dem, der blev fundet svar til",
    "the value lies between those that answers were found for",
)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of the number line on which the same intervals hold: one edge, or what lies between two."""

    low: Decimal | None
    high: Decimal | None

    @property
    def sample(self) -> Decimal:
        if self.low is None and self.high is None:
            return Decimal(0)
        if self.low is None:
            return (self.high or Decimal(0)) - 1
        if self.high is None:
            return self.low + 1
        return (self.low + self.high) / 2

    def holds(self, value: Decimal) -> bool:
        if self.low is not None and self.low == self.high:
            return value == self.low
        return (self.low is None or value > self.low) and (self.high is None or value < self.high)

    @property
    def text(self) -> Text:
        if self.low is not None and self.low == self.high:
            return Text(write_number(self.low, "da"), write_number(self.low, "en"))
        if self.low is None or self.high is None:
            edge = self.low if self.low is not None else self.high
            if edge is None:
                return Text("enhver værdi", "any value")
            da, en = ("under", "below") if self.low is None else ("over", "above")
            return Text(f"{da} {write_number(edge, 'da')}", f"{en} {write_number(edge, 'en')}")
        low, high = self.low, self.high
        return Text(
            f"mellem {write_number(low, 'da')} og {write_number(high, 'da')}",
            f"between {write_number(low, 'en')} and {write_number(high, 'en')}",
        )


class ScoreColours:
    """The rules about scores, held against the values that scores can have.

    ``edges`` are answers that put a score on an interval's bound, by what they show; ``steps`` are the coloured values
    of each rule, in order.
    """

    def __init__(
        self, space: Space, logic: Logic, completing: Completing, rules: RuleSet, reached: Mapping[str, Reach]
    ) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing
        self.rules = rules
        self.reached = reached
        self.definitions = {output.code: one for one in rules.scores for output in one.outputs()}
        self.shown: dict[str, Assignment] = {}
        self.steps: dict[str, list[Step]] = {}

    def judge(self) -> Iterator[Finding]:
        """Yield gaps, overlaps, intervals that are never used, and colours that turn back."""
        for place, rule in enumerate(self.rules.rules):
            if isinstance(rule, ScoreRule) and rule.score in self.reached:
                yield from self._judge(rule, f"rules[{place}]", self.reached[rule.score])

    def _judge(self, rule: ScoreRule, place: str, reach: Reach) -> Iterator[Finding]:
        link_ids = self.definitions[rule.score].link_ids()
        used: set[int] = set()
        unsure: set[int] = set()
        steps: list[Step] = []
        for stretch in _stretches(rule.intervals):
            holding = [index for index, each in enumerate(rule.intervals) if each.holds(stretch.sample)]
            value, answers, sure = self._reach_into(rule, stretch, reach)
            if answers is None and not sure:
                unsure.update(holding)
            elif answers is not None:
                used.update(holding)
                colour = worst([rule.intervals[index].colour for index in holding]) if holding else None
                if colour is not None:
                    steps.append(Step(value, colour, answers))
                    self.shown.setdefault(f"colour:{rule.id}={colour.value}", answers)
                    if stretch.low is not None and stretch.low == stretch.high:
                        self.shown[f"edge:{rule.id}={exact.write(stretch.low)}"] = answers
            yield from self._judge_stretch(rule, place, stretch, holding, value, answers, sure, link_ids)
        self.steps[rule.id] = steps
        for index, _ in enumerate(rule.intervals):
            if index not in used | unsure:
                yield make_finding("interval_unreachable", link_ids, f"{place}.intervals[{index}]", key=rule.id)
        yield from self._judge_order(rule, place, reach, steps, link_ids)

    def _judge_stretch(
        self,
        rule: ScoreRule,
        place: str,
        stretch: _Stretch,
        holding: list[int],
        value: Decimal,
        answers: Assignment | None,
        sure: bool,
        link_ids: tuple[str, ...],
    ) -> Iterator[Finding]:
        overlap = len({rule.intervals[index].colour for index in holding}) > 1
        if holding and not overlap:
            return
        if answers is None:
            if not sure:
                reasons = self.reached[rule.score].reasons
                reason = join_reasons(reasons) if reasons else _BETWEEN
                yield self._undecided(rule, place, stretch, reason, link_ids)
            return
        tried = self.completing.evaluate(self.completing.complete(answers))
        found = score_of(tried, rule.score)
        colours = {one.colour for one in rule.intervals if found is not None and one.holds(found)}
        if found is None or len(colours) == 1:
            yield self._undecided(rule, place, stretch, DISAGREEMENT, link_ids)
            return
        text = Text(write_number(found, "da"), write_number(found, "en"))
        yield make_finding(
            "interval_overlap" if colours else "interval_gap",
            link_ids,
            f"{place}.intervals[{holding[-1]}]" if holding else f"{place}.intervals",
            key=rule.id,
            counter_example=tried.response,
            value=text.en,
            value_da=text.da,
        )

    def _undecided(
        self, rule: ScoreRule, place: str, stretch: _Stretch, reason: Text, link_ids: tuple[str, ...]
    ) -> Finding:
        said = Text(f"{stretch.text.da}: {reason.da}", f"{stretch.text.en}: {reason.en}")
        return make_finding(
            "undecided_colour", link_ids, f"{place}.intervals", key=rule.id, reason=said.en, reason_da=said.da
        )

    def _reach_into(self, rule: ScoreRule, stretch: _Stretch, reach: Reach) -> tuple[Decimal, Assignment | None, bool]:
        """Return a value in a stretch with answers that give it; else whether it is sure that there are none."""
        inside = [value for value in reach.values if stretch.holds(value)]
        if inside:
            value = inside[len(inside) // 2]
            return value, reach.values[value], True
        if reach.reasons:
            return stretch.sample, None, False
        if not reach.dense or _is_apart(stretch, reach):
            return stretch.sample, None, True
        definition = self.definitions[rule.score]
        if isinstance(definition, AnswerScore) and not is_computed(self.space.plan.items[definition.item].item):
            return stretch.sample, None, True  # its item is cut at every edge
        if isinstance(definition, TotalScore):
            for target in _targets(stretch):
                answers = self._aim(definition, reach, target)
                if answers is not None:
                    return target, answers, True
        return stretch.sample, None, False

    def _aim(self, definition: TotalScore, reach: Reach, target: Decimal) -> Assignment | None:
        """Move one number among the answers so that the score becomes the target, and have that confirmed."""
        for start, answers in list(reach.values.items())[:50]:
            for link_id in definition.items:
                spot = self.space.unfolded.by_link_id[link_id][0]
                choice = answers.get(spot.path, ())
                number = choice[0].number if len(choice) == 1 and choice[0].kind in ("integer", "decimal") else None
                if number is None or not definition.factor:
                    continue
                count = sum(1 for each in definition.items if answers.get(self._path(each)))
                share = Decimal(count if definition.mean else 1) / definition.factor
                aim = number + (target - start) * share
                whole = choice[0].kind == "integer" and aim == int(aim)
                moved = Value(choice[0].kind, int(aim) if whole else aim.normalize())
                if not accepts(spot.plan, moved):
                    continue
                aimed = {**answers, spot.path: (moved,)}
                if score_of(self.completing.evaluate(self.completing.complete(aimed)), definition.code) == target:
                    return aimed
        return None

    def _path(self, link_id: str) -> str:
        return self.space.unfolded.by_link_id[link_id][0].path

    def _judge_order(
        self, rule: ScoreRule, place: str, reach: Reach, steps: list[Step], link_ids: tuple[str, ...]
    ) -> Iterator[Finding]:
        turn = find_turn(steps, reach.output.direction)
        if turn is None:
            return
        if turn.two_sided:
            yield make_finding("two_sided", link_ids, place, key=rule.id)
            return
        worse = self.completing.evaluate(self.completing.complete(turn.worse.answers))
        better = self.completing.evaluate(self.completing.complete(turn.better.answers))
        told = [colour_of(tried, rule.subject, rule.id) for tried in (worse, better)]
        if told != [turn.worse.colour, turn.better.colour]:
            yield self._undecided(rule, place, _Stretch(turn.better.value, turn.worse.value), DISAGREEMENT, link_ids)
            return
        yield make_finding(
            "not_monotonic",
            link_ids,
            place,
            key=rule.id,
            counter_example=worse.response,
            compared_with=better.response,
            **turn.words(),
        )

    def tendencies(self) -> dict[str, Direction]:
        """Return which end of each score is the worse one by the colours of its rule."""
        return {
            rule.score: found
            for rule in self.rules.rules
            if isinstance(rule, ScoreRule) and (found := tendency(self.steps.get(rule.id, []))) is not None
        }


def score_of(tried: Tried, code: str) -> Decimal | None:
    """Return what a score came to when the response was evaluated."""
    return next((each.value for each in tried.evaluation.scores if each.code == code), None)


def colour_of(tried: Tried, subject: str, rule: str) -> Colour | None:
    """Return the colour that one rule gave when the response was evaluated."""
    for each in tried.evaluation.interpretations:
        if each.subject == subject:
            for part in each.explanation.parts:
                if part.rule == rule:
                    return part.colour
            return each.colour if each.explanation.rule == rule else None
    return None


def _stretches(intervals: Iterable[Interval]) -> Iterator[_Stretch]:
    edges = sorted({edge for each in intervals for edge in (each.low, each.high) if edge is not None})
    if not edges:
        yield _Stretch(None, None)
        return
    yield _Stretch(None, edges[0])
    for low, high in pairwise(edges):
        yield _Stretch(low, low)
        yield _Stretch(low, high)
    yield _Stretch(edges[-1], edges[-1])
    yield _Stretch(edges[-1], None)


def _is_apart(stretch: _Stretch, reach: Reach) -> bool:
    """Whether a stretch lies wholly outside what the score can become."""
    if reach.lowest is None or reach.highest is None:
        return True
    below = stretch.high is not None and stretch.high <= reach.lowest and not reach.open_below
    above = stretch.low is not None and stretch.low >= reach.highest and not reach.open_above
    return below or above


def _targets(stretch: _Stretch) -> list[Decimal]:
    if stretch.low is None or stretch.high is None or stretch.low == stretch.high:
        return [stretch.sample]
    width = stretch.high - stretch.low
    return [stretch.sample, stretch.low + width / 4, stretch.high - width / 4]
