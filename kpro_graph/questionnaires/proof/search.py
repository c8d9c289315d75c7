"""Searching for answers: whether some set of answers makes a statement true, and whether all of them were tried.

Statements are judged on answers that are only partly decided: true, false, or open, with the place that must be
decided next. A search decides one place after another and turns back as soon as the statement is false, so what it has
not looked at could not have mattered. What it finds is small: only what makes the statement true is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from kpro_graph.questionnaires.model import ItemType, Value
from kpro_graph.questionnaires.proof.budget import Spent
from kpro_graph.questionnaires.proof.dependence import is_computed
from kpro_graph.questionnaires.proof.formulas import Additive, Formula
from kpro_graph.questionnaires.proof.reads import CLOCK
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot
from kpro_graph.questionnaires.values import matches
from kpro_graph.questionnaires.words import Text, join_words

_SHALLOW = 40

__all__ = ["DISAGREEMENT", "Goal", "Logic", "Search", "Truth", "join_reasons"]

Truth: TypeAlias = bool | None
"""True or false whatever else is answered; None while that is open."""

Goal: TypeAlias = Callable[[Assignment], Truth]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search came to: answers that do it, or none; ``reasons`` say why *none* may not be the last word.

    ``draft`` holds where required questions were allowed to stay unanswered.
    """

    found: Assignment | None
    reasons: tuple[Text, ...] = ()
    draft: bool = False

    @property
    def decided(self) -> bool:
        """Whether the outcome is certain."""
        return self.found is not None or not self.reasons


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a search goes about it; see `Logic.find`."""

    drafts: bool
    sparse: bool
    answering: bool


class _Circular(Exception):
    """Whether an item is asked depends on itself."""


_SPENT = Text("der er flere svarsæt, end der kunne prøves", "there are more sets of answers than could be tried")
_CIRCLE = Text("punkterne afhænger af hinanden i ring", "the items depend on each other in a circle")
_DEEP = Text("betingelserne er lagt for dybt", "the conditions are nested too deeply")
_FOLDED = Text(
    "en gruppe kan gentages oftere, end der kunne prøves", "a group may repeat more often than could be tried"
)
_SETS = Text("et spørgsmål har flere svarsæt, end der kunne prøves", "a question has more answers than could be tried")
_NUMBERS = Text(
    "et udtryk regner på svar, der har uendelig mange værdier",
    "an expression reckons with answers that have endlessly many values",
)


DISAGREEMENT = Text(
    "en evaluering bekræfter ikke, hvad søgningen fandt", "an evaluation does not confirm what the search found"
)
"""Why something is undecided although the search came to an end."""


def join_reasons(reasons: tuple[Text, ...]) -> Text:
    """Return the reasons as one clause in each language."""
    return Text(
        join_words([each.da for each in reasons], "da"),
        join_words([each.en for each in reasons], "en"),
    )


class Logic:
    """The conditions of one questionnaire, judged on answers that are partly decided."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.unfolded = space.unfolded
        self._formulas = space.formulas
        self._memo: dict[str, tuple[Truth, str]] = {}
        self._stack: set[str] = set()
        self._closed = False
        self._doubts: dict[Text, None] = {}
        self._blocker = ""
        self._constant: dict[tuple[str, int], Truth] = {}

    # --- statements

    def asked(self, spot: Spot, a: Assignment) -> Truth:
        """Judge whether the item at a place is asked."""
        known = self._memo.get(spot.path)
        if known is None and not self._stack:
            self._lay_ground(spot, a)
            known = self._memo.get(spot.path)
        if known is not None:
            self._blocker = known[1] or self._blocker
            return known[0]
        if spot.path in self._stack:
            if self._closed:
                return True  # as an evaluation begins; what comes of a circle only an evaluation can say
            raise _Circular
        self._stack.add(spot.path)
        try:
            truth = self._asked(spot, a)
        finally:
            self._stack.discard(spot.path)
        self._memo[spot.path] = (truth, self._blocker if truth is None else "")
        return truth

    def _lay_ground(self, spot: Spot, a: Assignment) -> None:
        """Judge a long chain of conditions from its beginning, so that no judgement goes deep."""
        ground = self.space.dependence.in_order(spot.link_id)
        if len(ground) > _SHALLOW:
            for link_id in ground:
                for each in self.unfolded.by_link_id[link_id]:
                    if each.path not in self._memo:
                        self._stack.add("")
                        try:
                            self.asked(each, a)
                        finally:
                            self._stack.discard("")

    def _asked(self, spot: Spot, a: Assignment) -> Truth:
        above = self.asked(spot.above, a) if spot.above is not None else True
        if above is False:
            return False
        item = spot.item
        own: Truth = True
        if item.enable_when:
            own = self.all_or_any(spot, a, every=item.enable_behavior == "all")
        elif item.enable_expression is not None:
            own = self.formula_holds(self._formulas.condition(spot.link_id), a)
        return False if own is False else (None if above is None or own is None else True)

    def all_or_any(self, spot: Spot, a: Assignment, *, every: bool) -> Truth:
        """Judge the enableWhen conditions of an item together."""
        truth: Truth = every
        for index in range(len(spot.item.enable_when)):
            each = self.test(spot, index, a)
            if each is (not every):
                return each
            if each is None:
                truth = None
        return truth

    def test(self, spot: Spot, index: int, a: Assignment) -> Truth:
        """Judge one enableWhen condition."""
        condition = spot.item.enable_when[index]
        targets = self.unfolded.targets(spot, index)
        always = self._always(spot, index, targets)
        if always is not None:
            return always
        for target in targets:
            if not self.unfolded.folded.isdisjoint(each.link_id for each in target.line()):
                self._doubts[_FOLDED] = None
        values: list[Value] = []
        open_ = []
        for target in targets:
            choice = self.effective(target, a)
            if choice is None:
                open_.append(target)
            else:
                values.extend(choice)
        operator, wanted = condition.operator, condition.answer
        so_far = matches(values, operator, wanted)
        if not open_:
            return so_far
        negative = operator == "!=" or (operator == "exists" and wanted.value is False)
        if so_far is not negative and values:
            return so_far  # one answer decides, whatever the open ones are
        blocker = self._blocker
        possible = {so_far}
        for target in open_:
            possible |= self._possible(target, a, operator, wanted, values)
            if len(possible) == 2:
                self._blocker = blocker
                return None
        return so_far

    def _always(self, spot: Spot, index: int, targets: list[Spot]) -> Truth:
        """Return how a condition turns out whatever is answered, where no answer makes a difference to it."""
        key = (spot.path, index)
        if key not in self._constant:
            condition = spot.item.enable_when[index]
            operator, wanted = condition.operator, condition.answer
            outcomes = {matches([], operator, wanted)}
            for target in targets:
                outcomes |= self._outcomes(self.space.choices[target.link_id], operator, wanted, [])
                if is_computed(target.item) or not self.space.told_apart[target.link_id]:
                    outcomes = {True, False}
            self._constant[key] = outcomes.pop() if len(outcomes) == 1 else None
        return self._constant[key]

    def _possible(self, target: Spot, a: Assignment, operator: str, wanted: Value, values: list[Value]) -> set[bool]:
        """Return how a condition can turn out for the choices at an open place."""
        item = target.item
        given = a.get(target.path)
        if is_computed(item) and not given:
            outcomes = self._possible_sums(target, a, operator, wanted)
            if given is None and len(self.space.choices[target.link_id]) > 1:
                outcomes |= self._outcomes(self.space.choices[target.link_id][:-1], operator, wanted, values)
            return outcomes
        choices = (given, ()) if given is not None else self.space.choices[target.link_id]
        return self._outcomes(choices, operator, wanted, values)

    def _outcomes(self, choices: tuple[Choice, ...], operator: str, wanted: Value, values: list[Value]) -> set[bool]:
        return {matches([*values, *choice], operator, wanted) for choice in choices}

    def formula_holds(self, formula: Formula, a: Assignment) -> Truth:
        """Judge an enableWhenExpression."""
        ready = self._inputs(formula, a)
        return None if ready is None else self._formulas.holds(formula, *ready)

    def answerable(self, spot: Spot, a: Assignment) -> Truth:
        """Judge whether an answer can stand at a place: it is asked, and the questions above it are answered."""
        truth = self.asked(spot, a)
        blocker = self._blocker
        for above in spot.line()[:-1]:
            if truth is False:
                return False
            if above.item.answerable:
                choice = self.effective(above, a)
                if choice is None:
                    truth, blocker = None, self._blocker
                elif not choice:
                    return False
        self._blocker = blocker
        return truth

    # --- answers as conditions see them

    def effective(self, spot: Spot, a: Assignment) -> Choice | None:
        """Return the answers that count at a place; none where it is not asked, None while that is open."""
        if not spot.item.answerable:
            return ()
        truth = self.asked(spot, a)
        if truth is False:
            return ()
        given = a.get(spot.path)
        computed = is_computed(spot.item)
        if given is None and computed and len(self.space.choices[spot.link_id]) == 1:
            given = ()
        if given is None:
            if not self._closed:
                self._blocker = spot.path
                return None
            given = ()
        if computed and not given:
            if truth is None:
                return None
            return self.computed(spot, a)
        if truth is None and given:
            return None
        return given

    def computed(self, spot: Spot, a: Assignment) -> Choice | None:
        """Return what a calculated item comes to; None while its inputs are open."""
        formula = self._formulas.value(spot.link_id)
        ready = self._inputs(formula, a)
        return None if ready is None else self._formulas.result(formula, *ready)

    def _inputs(self, formula: Formula, a: Assignment) -> tuple[Assignment, frozenset[str]] | None:
        """Return the answers at a formula's inputs, and the parts that are not asked; None while one is open."""
        if formula.outside:
            self._doubts.update(dict.fromkeys(_outside(each) for each in sorted(formula.outside)))
        choices: Assignment = {}
        absent: set[str] = set()
        for spot in formula.parts:
            truth = self.asked(spot, a)
            if truth is None:
                return None
            if not truth:
                absent.add(spot.link_id)
        for spot in formula.inputs:
            choice = self.effective(spot, a)
            if choice is None:
                return None
            if choice:
                choices[spot.path] = choice
            if not absent.isdisjoint(above.link_id for above in spot.line()):
                absent.add(spot.link_id)
            if not self.space.is_covered(spot.link_id, compared_only=formula.compares):
                self._doubts[_NUMBERS] = None
        return choices, frozenset(absent)

    def _possible_sums(self, spot: Spot, a: Assignment, operator: str, wanted: Value) -> set[bool]:
        """Return how a condition on a calculated sum can turn out, from its least and its greatest value."""
        additive = self._formulas.additive(spot.link_id) if spot.item.type in _SUMS else None
        limit = wanted.number
        if additive is None or limit is None or operator == "exists":
            return {True, False}
        blocker = self._blocker
        low, high = self._reach(additive, a)
        self._blocker = blocker
        number = Fraction(limit)
        always, never = {
            "=": (low == high == number, not low <= number <= high),
            "!=": (not low <= number <= high, low == high == number),
            ">": (low > number, high <= number),
            ">=": (low >= number, high < number),
            "<": (high < number, low >= number),
            "<=": (high <= number, low > number),
        }[operator]
        outcomes = set() if always or never else {True, False}
        if always:
            outcomes.add(True)
        if never:
            outcomes.add(False)
        if additive.may_be_empty or self.asked(spot, a) is not True:
            outcomes.add(operator == "!=")  # there may be no value at all
        return outcomes

    def _reach(self, additive: Additive, a: Assignment) -> tuple[Fraction, Fraction]:
        low = high = additive.base
        for path, adds in additive.adds.items():
            spot = self.unfolded.spots[path]
            choice = self.effective(spot, a)
            choices = self.space.choices[spot.link_id] if choice is None else (choice,)
            sums = [sum((adds.get(value.key, Fraction(0)) for value in each), Fraction(0)) for each in choices]
            low += min(sums)
            high += max(sums)
        return low, high

    # --- searching

    def find(
        self,
        goal: Goal,
        start: Assignment | None = None,
        *,
        drafts: bool = False,
        sparse: bool = False,
        answering: bool = False,
    ) -> Search:
        """Search for answers that make the goal true, each of them acceptable and asked for.

        In ``drafts`` a required question may stay unanswered. ``sparse`` tries first to leave questions unanswered;
        ``answering`` leaves none that could be answered, so that what is found holds whatever else is answered.
        """
        self._doubts = {}
        try:
            with self.space.purse.question():
                found = self._search(goal, dict(start or {}), _Manner(drafts, sparse, answering))
        except Spent:
            return Search(None, (_SPENT,))
        except _Circular:
            return Search(None, (_CIRCLE,))
        except RecursionError:
            return Search(None, (_DEEP,))
        return Search(found, () if found is not None else tuple(self._doubts), drafts)

    def _search(self, goal: Goal, a: Assignment, manner: _Manner) -> Assignment | None:
        self.space.purse.draw()
        self._memo = {}
        self._blocker = ""
        truth = goal(a)
        if truth is False:
            return None
        blocker = self._blocker if truth is None else ""
        if truth is None and not blocker:
            raise _Circular
        for path, choice in a.items():
            self._blocker = ""
            kept = self._is_kept(self.unfolded.spots[path], choice, a, manner)
            if kept is False:
                return None
            if kept is None and not blocker:
                blocker = self._blocker
        if not blocker:
            return dict(a)
        link_id = self.unfolded.spots[blocker].link_id
        if not self.space.told_apart[link_id]:
            self._doubts[_SETS] = None
        choices = self.space.choices[link_id]
        computed = is_computed(self.unfolded.spots[blocker].item)
        if manner.sparse or computed:
            choices = (choices[-1], *choices[:-1])
        for choice in choices:
            a[blocker] = choice
            found = self._search(goal, a, manner)
            if found is not None:
                return found
        del a[blocker]
        return None

    def _is_kept(self, spot: Spot, choice: Choice, a: Assignment, manner: _Manner) -> Truth:
        """Judge whether what is decided at a place can stand in a complete response."""
        if choice:
            return self.answerable(spot, a)
        if is_computed(spot.item):
            return True
        could = len(self.space.choices[spot.link_id]) > 1
        if not (manner.answering and could) and (manner.drafts or not needs_answer(spot.item)):
            return True
        if not manner.answering and any(above.item.repeats and above.plan.is_group for above in spot.line()):
            return True  # a repetition that is left out needs no answers
        truth = self.answerable(spot, a)
        return None if truth is None else not truth

    # --- everything decided

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Within this, what is open counts as unanswered, and nothing may change between two judgements."""
        self._closed, self._memo = True, {}
        try:
            yield
        finally:
            self._closed, self._memo = False, {}

    def forget(self) -> None:
        """Judge anew after a change."""
        self._memo = {}


_SUMS = (ItemType.INTEGER, ItemType.DECIMAL)


def _outside(name: str) -> Text:
    if name == CLOCK:
        return Text("det afhænger af dagens dato", "it depends on the day's date")
    if "/" in name:
        return Text(f"et udtryk er skrevet i {name}", f"an expression is in {name}")
    return Text(f"det afhænger af %{name}, som kommer udefra", f"it depends on %{name}, which comes from outside")
