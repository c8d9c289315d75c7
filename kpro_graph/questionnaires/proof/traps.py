"""Traps: questions and groups that must be answered and cannot be. Being asked one is the end of the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kpro_graph.questionnaires.proof.dependence import is_computed, is_overridable
from kpro_graph.questionnaires.proof.faults import may_be_answered
from kpro_graph.questionnaires.proof.search import Goal, Logic, Search, Truth
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Spot

__all__ = ["Trap", "find_traps"]


@dataclass(frozen=True, slots=True)
class Trap:
    """One place that must be answered and cannot be; ``certain`` where that is sure. ``goal`` is that it is asked."""

    spot: Spot
    goal: Goal
    certain: bool

    def spring(self, space: Space, logic: Logic) -> Search:
        """Search for answers after which the trap is asked, whatever else is answered."""
        search = Search(None)
        for start in self._beginnings(space):
            search = logic.find(self.goal, start, answering=True)
            if search.found is not None:
                break
        return search

    def _beginnings(self, space: Space) -> Iterator[Assignment]:
        """In a group that may be repeated, a repetition has to be begun before anything in it is missed."""
        group = next((each for each in self.spot.line()[:-1] if each.item.repeats and each.plan.is_group), None)
        if group is None:
            yield {}
            return
        for spot in space.unfolded.spots.values():
            if group in spot.line()[:-1] and spot.item.answerable and space.choices[spot.link_id][0]:
                yield {spot.path: space.choices[spot.link_id][0]}


def find_traps(space: Space, logic: Logic) -> list[Trap]:
    """Return the traps that some answers lead to."""
    found = []
    for spots in space.unfolded.by_link_id.values():
        spot = spots[0]
        item = spot.item
        if item.answerable:
            if not needs_answer(item) or space.choices[item.link_id][0] or _is_calculated(spot):
                continue
            trap = Trap(spot, _answerable(logic, spot), not may_be_answered(space, item.link_id))
        elif item.required:
            trap = Trap(spot, _empty(space, logic, spot), certain=True)
        else:
            continue
        if logic.find(trap.goal).found is not None:
            found.append(trap)
    return found


def _is_calculated(spot: Spot) -> bool:
    return is_computed(spot.item) and not is_overridable(spot.item)


def _answerable(logic: Logic, spot: Spot) -> Goal:
    return lambda a: logic.answerable(spot, a)


def _empty(space: Space, logic: Logic, group: Spot) -> Goal:
    """The group is asked, and nothing in it can be answered."""
    inside = [
        spot
        for spot in space.unfolded.spots.values()
        if group in spot.line()[:-1] and spot.item.answerable and may_be_answered(space, spot.link_id)
    ]

    def goal(a: Assignment) -> Truth:
        truth = logic.asked(group, a)
        for spot in inside:
            if truth is False:
                return False
            each = logic.answerable(spot, a)
            if each is True:
                return False
            if each is None:
                truth = None
        return truth

    return goal
