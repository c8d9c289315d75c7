"""Answers completed: what was decided stays, and every required question that is asked then gets an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kpro_graph.questionnaires.evaluation import Evaluation, evaluate
from kpro_graph.questionnaires.proof.dependence import is_computed, is_fixed, is_overridable
from kpro_graph.questionnaires.proof.search import Logic
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot, write_response
from kpro_graph.questionnaires.rules import RuleSet, Status

__all__ = ["Completing", "Tried"]

_ROUNDS = 8


class Tried:
    """A response and what evaluating it came to."""

    __slots__ = ("assignment", "evaluation", "response")

    def __init__(self, assignment: Assignment, response: Mapping[str, object], evaluation: Evaluation) -> None:
        self.assignment = assignment
        self.response = dict(response)
        self.evaluation = evaluation


class Completing:
    """Makes whole responses out of a few decided answers, and has the engine evaluate them."""

    def __init__(self, space: Space, logic: Logic, rules: RuleSet | None) -> None:
        self.space = space
        self.logic = logic
        self.rules = rules.under(Status.APPROVED) if rules is not None else None
        self.tried: list[Tried] = []
        self.preferred: dict[str, Choice] = {}
        """Answers, by path, to give where nothing else is decided."""
        self._known: dict[tuple[tuple[str, tuple[tuple[object, ...], ...]], ...], Tried] = {}
        self._required = [spot for spot in space.unfolded.spots.values() if self._may_be_filled(spot)]
        self._groups = [
            spot for spot in space.unfolded.spots.values() if not spot.item.answerable and spot.item.required
        ]

    def widened(self, width: int) -> Completing:
        """Return the same for responses in which groups are repeated; what either tries, both know."""
        space = self.space.widened(width)
        wide = Completing(space, Logic(space), self.rules)
        wide.tried, wide.preferred, wide._known = self.tried, self.preferred, self._known
        return wide

    def _may_be_filled(self, spot: Spot) -> bool:
        return needs_answer(spot.item) and not (is_computed(spot.item) and not is_overridable(spot.item))

    def evaluate(self, assignment: Mapping[str, Choice]) -> Tried:
        """Write the answers as a response and evaluate it; what was tried before is remembered."""
        given = {path: choice for path, choice in assignment.items() if choice}
        key = tuple(sorted((path, tuple(value.key for value in choice)) for path, choice in given.items()))
        found = self._known.get(key)
        if found is None:
            response = write_response(self.space.questionnaire, given)
            self.space.purse.draw()
            evaluation = evaluate(self.space.questionnaire, response, rules=self.rules)
            found = self._known[key] = Tried(given, response, evaluation)
            self.tried.append(found)
        return found

    def complete(self, decided: Mapping[str, Choice]) -> Assignment:
        """Return the decided answers with answers added to every required question that is asked then."""
        a: Assignment = dict(decided)
        with self.logic.settled():
            for _ in range(_ROUNDS):
                self.logic.forget()
                if not self._fill(a) and not self._drop(a, decided):
                    break
        return a

    def _fill(self, a: Assignment) -> bool:
        filled = False
        for spot in self._required:
            if spot.path in a or not self._is_due(spot, a) or self.logic.effective(spot, a):
                continue
            choice = self.choose(spot)
            if choice:
                a[spot.path] = choice
                filled = True
        for group in self._groups:
            if self.logic.asked(group, a) and not self._holds_answers(group, a):
                filled = self._fill_group(group, a) or filled
        return filled

    def _is_due(self, spot: Spot, a: Assignment) -> bool:
        for above in spot.line()[:-1]:
            if above.item.answerable and not a.get(above.path):
                return False
            if above.item.repeats and above.plan.is_group and not self._holds_answers(above, a):
                return False
        return self.logic.asked(spot, a) is True

    def _holds_answers(self, group: Spot, a: Assignment) -> bool:
        return any(choice and path.startswith(f"{group.path}/") for path, choice in a.items())

    def _fill_group(self, group: Spot, a: Assignment) -> bool:
        for spot in self._below(group):
            if spot.item.answerable and spot.path not in a and self.logic.answerable(spot, a):
                choice = self.choose(spot)
                if choice:
                    a[spot.path] = choice
                    return True
        return False

    def _below(self, group: Spot) -> Iterable[Spot]:
        return (spot for spot in self.space.unfolded.spots.values() if group in spot.line()[:-1])

    def _drop(self, a: Assignment, decided: Mapping[str, Choice]) -> bool:
        """Take back what was added and turned out not to be asked for."""
        self.logic.forget()
        spots = self.space.unfolded.spots
        surplus = [
            path
            for path, choice in a.items()
            if choice and path not in decided and not self.logic.answerable(spots[path], a)
        ]
        for path in surplus:
            del a[path]
        return bool(surplus)

    def choose(self, spot: Spot) -> Choice:
        """Return an acceptable answer to give at a place, or none where there is none."""
        preferred = self.preferred.get(spot.path)
        if preferred:
            return preferred
        if is_fixed(spot.item):
            return self.space.choices[spot.link_id][0]
        return self.space.choices[spot.link_id][0]
