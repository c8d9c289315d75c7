"""Fixtures: a small set of responses that together show everything a questionnaire and its rules can do.

Each thing to show asks for a few answers. Those that go together are put into one response, every response is
evaluated, and of all that were tried the fewest are kept, chosen greedily: always the one that shows the most that is
new. What a fixture shows, and what is expected of it, is what the evaluation said. The same questionnaire gives the
same fixtures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.model import ItemType, Value
from kpro_graph.questionnaires.proof.completing import Completing, Tried
from kpro_graph.questionnaires.proof.dependence import is_computed, is_fixed
from kpro_graph.questionnaires.proof.domains import bounds_of
from kpro_graph.questionnaires.proof.search import Logic
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot
from kpro_graph.questionnaires.rules import Colour, ItemRule, RuleSet, ScoreRule

__all__ = ["Expected", "Fixture", "Fixtures"]

_NUMBERS = (ItemType.INTEGER, ItemType.DECIMAL, ItemType.QUANTITY)
_WIDTH = 8
"""A group that may be repeated is repeated up to so often, so that one response shows more."""

_MOST_CODES = 20
"""The codes of a value set are shown one by one where there are no more than this."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What evaluating a fixture gives: its validity, what is asked, each score, and each subject's colour."""

    valid: bool
    enabled: tuple[str, ...]
    scores: Mapping[str, Decimal | None]
    colours: Mapping[str, Colour]


@dataclass(frozen=True, slots=True)
class Fixture:
    """A response to test with. ``covers`` are the things it shows that no fixture before it does.

    ``answered:q``, ``unanswered:q`` and ``option:q=code`` are about answers, ``bound:q=10`` about a lowest or highest
    value, ``asked:q``, ``not asked:q``, ``met:q[0]`` and ``not met:q[0]`` about conditions, ``colour:rule=red`` and
    ``edge:rule=10`` about rules.
    """

    name: str
    covers: tuple[str, ...]
    response: Mapping[str, Any] = field(repr=False)
    expected: Expected

    def to_json(self) -> dict[str, Any]:
        """Return the fixture as plain objects; decimals stay decimals."""
        return {
            "name": self.name,
            "covers": list(self.covers),
            "response": self.response,
            "expected": {
                "valid": self.expected.valid,
                "enabled": list(self.expected.enabled),
                "scores": dict(self.expected.scores),
                "colours": {subject: colour.value for subject, colour in self.expected.colours.items()},
            },
        }


class Fixtures:
    """Finds the fixtures of one questionnaire.

    ``shown`` are answers known to show something, ``drafts`` what of that no complete response shows.
    """

    def __init__(
        self,
        space: Space,
        logic: Logic,
        completing: Completing,
        rules: RuleSet | None,
        shown: Mapping[str, Assignment],
        drafts: Collection[str] = (),
    ) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing.widened(_WIDTH)
        self.rules = rules
        self.drafts = drafts
        self.wanted: dict[str, Assignment] = {}
        for spots in space.unfolded.by_link_id.values():
            self._want(spots[0], shown)
        self.wanted |= shown
        self._edges = self._edges_of_items(shown)
        self.missed: tuple[str, ...] = ()
        self._shown: dict[Tried, set[str]] = {}

    # --- what to show

    def _want(self, spot: Spot, shown: Mapping[str, Assignment]) -> None:
        item, link_id = spot.item, spot.link_id
        if not item.answerable or is_computed(item):
            return
        start = self._stage(spot, shown)
        if start is None:
            return
        sets = self.space.choices[link_id]
        if sets[0]:
            self._add(f"answered:{link_id}", spot, start, {spot.path: sets[0]})
        if not needs_answer(item):
            self._add(f"unanswered:{link_id}", spot, start, {spot.path: ()})
        elif f"not asked:{link_id}" in shown:
            self.wanted[f"unanswered:{link_id}"] = shown[f"not asked:{link_id}"]
        domain = self.space.domains[link_id]
        if item.options or (domain.every and item.value_set and len(domain.values) <= _MOST_CODES):
            free = item.type is ItemType.OPEN_CHOICE
            options = {option.value.key for option in item.options}
            listed = [value for value in domain.values if value.key in options or not (free and value.kind == "string")]
            for value, choice in self._together(spot, listed):
                self._add(f"option:{link_id}={value.code or value.value!s}", spot, start, {spot.path: choice})
        if item.type in _NUMBERS:
            edges = {edge for edge in bounds_of(item) if edge is not None}
            for value in domain.values:
                if value.number in edges:
                    self._add(f"bound:{link_id}={_write(value.number)}", spot, start, {spot.path: (value,)})

    def _together(self, spot: Spot, values: Sequence[Value]) -> Iterator[tuple[Value, Choice]]:
        """Yield each value with an answer that holds it: as many as may be chosen together are."""
        item = spot.item
        exclusive = {option.value.key for option in item.options if option.exclusive}
        most = (item.max_occurs or len(values)) if item.repeats and not is_fixed(item) else 1
        joined = [value for value in values if value.key not in exclusive]
        for start in range(0, len(joined), most):
            choice = tuple(joined[start : start + most])
            yield from ((value, choice) for value in choice)
        yield from ((value, (value,)) for value in values if value.key in exclusive)

    def _stage(self, spot: Spot, shown: Mapping[str, Assignment]) -> Assignment | None:
        """Return the least that makes an item asked, or None where nothing was found to."""
        line = spot.line()
        conditional = next((each for each in reversed(line) if each.plan.conditional), None)
        start = dict(shown.get(f"asked:{conditional.link_id}", {})) if conditional is not None else {}
        if (conditional is None or start) and not any(each.item.answerable for each in line[:-1]):
            return start
        return self.logic.find(lambda a: self.logic.answerable(spot, a), start).found

    def _add(self, name: str, spot: Spot, start: Assignment, given: Assignment) -> None:
        least = spot.item.min_occurs or 1
        ((path, choice),) = given.items()
        if choice and len(choice) < least:
            more = [value for value in self.space.domains[spot.link_id].values if value not in choice]
            given = {path: (*choice, *more)[:least]}
        if path not in start:
            self.wanted[name] = {**start, **given}
            return
        found = self.logic.find(lambda a: self.logic.answerable(spot, a), given).found
        if found is not None:
            self.wanted[name] = found

    def _edges_of_items(self, shown: Mapping[str, Assignment]) -> dict[str, list[tuple[str, Decimal]]]:
        """Return, by item, the numbers at which its rules change, and add them to what is to be shown."""
        found: dict[str, list[tuple[str, Decimal]]] = {}
        for rule in self.rules.rules if self.rules is not None else ():
            if isinstance(rule, ItemRule) and rule.item in self.space.domains:
                edges = {edge for one in rule.intervals for edge in (one.low, one.high) if edge is not None}
                found.setdefault(rule.item, []).extend((rule.id, edge) for edge in sorted(edges))
        for item in self.space.questionnaire.walk():
            numbers = {each.value.number for one in item.significances for each in one.conditions}
            edges = {number for number in numbers if number is not None}
            if edges and item.link_id in self.space.domains:
                key = f"answerSignificance:{item.link_id}"
                found.setdefault(item.link_id, []).extend((key, edge) for edge in sorted(edges))
        for link_id, edges_of in found.items():
            spot = self.space.unfolded.by_link_id[link_id][0]
            start = self._stage(spot, shown)
            weights = spot.plan.weights
            for value in self.space.domains[link_id].values:
                weight = weights.get(value.key)
                number = weight if weight is not None else value.number
                for key, edge in edges_of:
                    if number == edge and start is not None and f"edge:{key}={_write(edge)}" not in self.wanted:
                        self._add(f"edge:{key}={_write(edge)}", spot, start, {spot.path: (value,)})
        return found

    # --- responses that show it

    def choose(self) -> tuple[Fixture, ...]:
        """Return the fixtures, the one that shows the most first."""
        order = sorted(self.wanted, key=lambda name: -len(self.wanted[name]))
        tried = [self._try({})]
        left = dict.fromkeys(name for name in order if name not in self.drafts)
        self._strike(left, tried[0], complete=True)
        rest = self._gather_all(left, tried, complete=True)
        rest += [name for name in order if name in self.drafts]
        self._gather_all(dict.fromkeys(rest), tried, complete=False)
        shows = [self._shows(each) for each in tried]
        picked = self._cover(tried, shows)
        seen: set[str] = set()
        fixtures = []
        for number, index in enumerate(picked, start=1):
            new = [name for name in self.wanted if name in shows[index] and name not in seen]
            seen.update(new)
            fixtures.append(_write_fixture(f"fixture-{number:02}", tuple(new), tried[index]))
        self.missed = tuple(name for name in self.wanted if name not in seen)
        return tuple(fixtures)

    def _gather_all(self, left: dict[str, None], tried: list[Tried], *, complete: bool) -> list[str]:
        """Try responses until nothing is left to show; return what did not show, in complete ones or at all."""
        missed: list[str] = []
        while left and not self.space.purse.is_empty:
            together, merged = self._gather(left)
            tried.append(self._try(merged))
            struck = self._strike(left, tried[-1], complete=complete)
            if not struck and len(together) > 1:
                # They do not go together after all; the first goes by itself.
                tried.append(self._try(self.wanted[together[0]]))
                struck = self._strike(left, tried[-1], complete=complete)
            if not struck:
                missed.append(together[0])
                del left[together[0]]
        return [*missed, *left]

    def _try(self, decided: Assignment) -> Tried:
        return self.completing.evaluate(self.completing.complete(decided))

    def _strike(self, left: dict[str, None], tried: Tried, *, complete: bool) -> bool:
        """Strike out what a response shows, a valid one where it has to be; return whether there was any."""
        if complete and not tried.evaluation.valid:
            return False
        shows = self._shows(tried)
        struck = [each for each in left if each in shows]
        for name in struck:
            del left[name]
        return bool(struck)

    def _gather(self, left: Iterable[str]) -> tuple[list[str], Assignment]:
        """Return the first thing to show and all others that go together with it, with the answers they ask for."""
        together: list[str] = []
        merged: Assignment = {}
        for name in left:
            for asked in self._variants(self.wanted[name]):
                if all(merged.get(path, choice) == choice for path, choice in asked.items()):
                    merged.update(asked)
                    together.append(name)
                    break
        return together, merged

    def _variants(self, asked: Assignment) -> Iterator[Assignment]:
        """Yield the answers as they are, then moved to the second repetition of their group, the third and so on."""
        yield asked
        heads = {path[: path.index("[0]/")] for path in asked if "[0]/" in path}
        for index in range(1, _WIDTH):
            for head in sorted(heads):
                moved = {_move(path, head, index): choice for path, choice in asked.items()}
                if moved.keys() <= self.completing.space.unfolded.spots.keys():
                    yield moved

    def _shows(self, tried: Tried) -> set[str]:
        """Return what a response shows of that which is wanted."""
        known = self._shown.get(tried)
        if known is None:
            known = self._shown[tried] = {name for name in self._seen(tried) if name in self.wanted}
        return known

    def _seen(self, tried: Tried) -> Iterator[str]:
        """Yield everything that a response shows by its evaluation."""
        evaluation = tried.evaluation
        asked = set(evaluation.enabled)
        for link_id, plan in self.space.plan.items.items():
            yield f"{'asked' if link_id in asked else 'not asked'}:{link_id}"
            if not plan.item.answerable:
                continue
            values = evaluation.answers.values(link_id)
            yield f"{'answered' if values else 'unanswered'}:{link_id}"
            for value in values:
                yield f"option:{link_id}={value.code or value.value!s}"
                weight = plan.weights.get(value.key)
                number = weight if weight is not None else value.number
                if number is not None:
                    yield f"bound:{link_id}={_write(value.number if value.number is not None else number)}"
                    for key, edge in self._edges.get(link_id, ()):
                        if number == edge:
                            yield f"edge:{key}={_write(edge)}"
        yield from self._conditions_seen(tried.assignment)
        yield from self._colours_seen(tried)

    def _conditions_seen(self, assignment: Assignment) -> Iterator[str]:
        logic = self.completing.logic
        with logic.settled():
            for link_id, plan in self.space.plan.items.items():
                spot = self.completing.space.unfolded.by_link_id[link_id][0]
                if plan.item.enable_when and (spot.above is None or logic.asked(spot.above, assignment)):
                    for index in range(len(plan.item.enable_when)):
                        met = logic.test(spot, index, assignment)
                        yield f"{'met' if met else 'not met'}:{link_id}[{index}]"

    def _colours_seen(self, tried: Tried) -> Iterator[str]:
        for each in tried.evaluation.interpretations:
            for part in each.explanation.parts:
                yield f"colour:{part.rule}={part.colour.value}"
            yield f"colour:{each.explanation.rule}={each.colour.value}"
        scores = {each.code: each.value for each in tried.evaluation.scores}
        for rule in self.rules.rules if self.rules is not None else ():
            value = scores.get(rule.score) if isinstance(rule, ScoreRule) else None
            if value is not None:
                yield f"edge:{rule.id}={_write(value)}"

    # --- as few as possible

    def _cover(self, candidates: list[Tried], shows: list[set[str]]) -> list[int]:
        """Choose greedily, valid responses first, and leave out what turned out to be needless."""
        left = set(self.wanted)
        picked: list[int] = []
        for valid in (True, False):
            while left:
                best = max(
                    (index for index, each in enumerate(candidates) if each.evaluation.valid is valid),
                    key=lambda index: (len(shows[index] & left), -index),
                    default=None,
                )
                if best is None or not shows[best] & left:
                    break
                picked.append(best)
                left -= shows[best]
        for index in reversed(list(picked)):
            others = set().union(*(shows[each] for each in picked if each != index))
            if shows[index] & set(self.wanted) <= others:
                picked.remove(index)
        return picked


def _move(path: str, head: str, index: int) -> str:
    """Move a path below the first repetition of a group to another."""
    first = f"{head}[0]/"
    return f"{head}[{index}]/{path[len(first) :]}" if path.startswith(first) else path


def _write(number: Decimal | None) -> str:
    return "" if number is None else exact.write(number)


def _write_fixture(name: str, covers: Iterable[str], tried: Tried) -> Fixture:
    evaluation = tried.evaluation
    expected = Expected(
        evaluation.valid,
        evaluation.enabled,
        {each.code: each.value for each in evaluation.scores},
        {each.subject: each.colour for each in evaluation.interpretations},
    )
    return Fixture(name, tuple(covers), tried.response, expected)
