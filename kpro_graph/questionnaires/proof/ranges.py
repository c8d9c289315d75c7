"""The values a score can really have, each with answers that give it.

The answers to a score's items are taken apart into groups that do not influence each other. Within a group everything
is tried; groups are then added up, sum by sum, so that a thousand million sets of answers come to a few hundred sums.
What a score comes to is always asked of the instrument, or computed as scoring does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import product
from typing import TypeAlias

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.instruments import Instrument, Scale
from kpro_graph.questionnaires.instruments.formulas import Decrements, Mean, Rescaled, Single, Sum, Summary
from kpro_graph.questionnaires.model import Value
from kpro_graph.questionnaires.proof.budget import Spent
from kpro_graph.questionnaires.proof.dependence import is_computed
from kpro_graph.questionnaires.proof.domains import bounds_of
from kpro_graph.questionnaires.proof.formulas import Additive
from kpro_graph.questionnaires.proof.search import Logic
from kpro_graph.questionnaires.proof.space import Space, needs_answer
from kpro_graph.questionnaires.proof.unfolding import Assignment, Choice, Spot
from kpro_graph.questionnaires.rules import AnswerScore, InstrumentScore, Missing, Output, TotalScore
from kpro_graph.questionnaires.values import matches
from kpro_graph.questionnaires.words import Text

__all__ = ["Ranges", "Reach"]

_MOST_STATES = 60_000
_MOST_COMPUTED = 2_000

_SPENT = Text("der er flere svarsæt, end der kunne prøves", "there are more sets of answers than could be tried")
_ENDLESS = Text("et svar har uendelig mange værdier", "an answer has endlessly many values")
_REPEATED = Text("en gruppe kan gentages", "a group may be repeated")
_TANGLED = Text("skalaerne deler spørgsmål", "the scales share questions")
_OUTSIDE = Text("en beregning afhænger af noget, der kommer udefra", "a calculation depends on something from outside")

_State: TypeAlias = tuple[int, Fraction, bool]
"""How many answers count, what they come to together, and whether any is above the lowest level."""

_NOTHING: _State = (0, Fraction(0), False)


@dataclass
class Reach:
    """The values one score can have, each with answers that give it.

    ``failing`` are answers, completely given, that leave the score without a value. ``dense`` holds where an answer is
    any number between two bounds: the values then stand for all those between them; ``open_below`` and ``open_above``
    where there is no bound. ``converted`` are the values that come from a table, with the answers they come from.
    ``reasons`` say why there may be other values than these.
    """

    output: Output
    values: dict[Decimal, Assignment] = field(default_factory=dict)
    failing: list[Assignment] = field(default_factory=list)
    dense: bool = False
    open_below: bool = False
    open_above: bool = False
    converted: list[tuple[Decimal, Assignment]] = field(default_factory=list)
    reasons: tuple[Text, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether these are all values there are."""
        return not self.reasons

    @property
    def lowest(self) -> Decimal | None:
        """The least value reached."""
        return min(self.values, default=None)

    @property
    def highest(self) -> Decimal | None:
        """The greatest value reached."""
        return max(self.values, default=None)


_Count: TypeAlias = Callable[[str, "Decimal | None"], "_State | None"]
"""What a number answered to an item adds to a state; None where the score then has no value."""

_Weigh: TypeAlias = Callable[[str, Choice], "_State | None"]
"""The same for the answers themselves."""


class _Unusable(Exception):
    """An answer has no number that counts."""


class Ranges:
    """Works out the values of scores for one questionnaire."""

    def __init__(self, space: Space, logic: Logic) -> None:
        self.space = space
        self.logic = logic

    def reach(self, definition: TotalScore | AnswerScore | InstrumentScore) -> Iterator[Reach]:
        """Yield the values of every score that a definition gives."""
        outputs = {output.code: output for output in definition.outputs()}
        known = self.space.plan.items
        if isinstance(definition, InstrumentScore):
            for scale in definition.prepare().scales:
                if definition.scale in (None, scale.code):
                    links = [definition.inputs[name] for name in scale.inputs]
                    work = _Work(self, links, outputs[definition.code_of(scale.code)])
                    if all(each in known for each in links):
                        yield work.run(partial(_Work.instrument, definition=definition, scale=scale))
            return
        (output,) = outputs.values()
        links = list(definition.link_ids())
        if all(each in known for each in links):
            yield _Work(self, links, output).run(
                lambda work: work.total(definition) if isinstance(definition, TotalScore) else work.answer(definition)
            )


class _Work:
    """One score being worked out; ``whole`` where only whole numbers count, all of which the space holds."""

    def __init__(self, ranges: Ranges, links: Sequence[str], output: Output) -> None:
        self.space = ranges.space
        self.logic = ranges.logic
        self.links = list(links)
        self.found = Reach(output)
        self.whole = False
        self.reasons: dict[Text, None] = {}

    def run(self, work: Callable[[_Work], None]) -> Reach:
        try:
            with self.space.purse.question():
                work(self)
        except Spent:
            self.reasons[_SPENT] = None
        self.found.reasons = tuple(self.reasons)
        return self.found

    # --- the three kinds of scores

    def total(self, definition: TotalScore) -> None:
        def count(_: str, number: Decimal | None) -> _State:
            return _NOTHING if number is None else (1, Fraction(number), False)

        states = self.states(self.links, count, several=True)
        for (answered, total, _), answers in states.items():
            if answered < max(1, definition.at_least):
                continue
            value = total * Fraction(definition.factor)
            if definition.mean:
                value /= answered
            elif definition.missing is Missing.MEAN:
                value = value * len(definition.items) / answered
            self.take(exact.from_fraction(value), answers)

    def answer(self, definition: AnswerScore) -> None:
        item = self.space.plan.items[definition.item].item
        if definition.calculated and item.calculated is None:
            return
        additive = self.space.formulas.additive(item.link_id) if is_computed(item) else None
        if additive is not None:
            self.sum(additive, item.link_id)
            return

        def count(_: str, number: Decimal | None) -> _State:
            return _NOTHING if number is None else (1, Fraction(number), False)

        for (answered, total, _), answers in self.states(self.links, count, several=True).items():
            if answered:
                self.take(exact.from_fraction(total), answers)

    def sum(self, additive: Additive, link_id: str) -> None:
        """A calculated sum: its inputs are added up like a score's items."""
        paths = {path: self.space.unfolded.spots[path].link_id for path in additive.adds}

        def weigh(link: str, choice: Choice) -> _State | None:
            total, answered = Fraction(0), 0
            for path, of_path in paths.items():
                if of_path == link:
                    if not choice and path in additive.strict:
                        return None
                    answered += additive.count(path, choice)
                    total += sum((additive.adds[path].get(value.key, Fraction(0)) for value in choice), Fraction(0))
            return answered, total, False

        spot = self.space.unfolded.by_link_id[link_id][0]
        conditional = bool(self.space.dependence.cone_of(link_id) - set(paths.values()) - {link_id})
        parts = self.parts(sorted(set(paths.values())), weigh)
        for (answered, total, _), answers in self.added(parts).items():
            if additive.counting and not answered:
                continue
            if conditional:
                with self.logic.settled():
                    if not self.logic.asked(spot, answers):
                        continue
            self.take(exact.from_fraction(additive.base + total), answers)

    def instrument(self, definition: InstrumentScore, scale: Scale) -> None:
        if scale.formula is None:
            return
        instrument = definition.prepare()
        self.whole = True
        names = {definition.inputs[name]: name for name in scale.inputs}
        if isinstance(scale.formula, Summary):
            self.summary(definition, instrument, scale)
            return
        count = _counting(instrument, scale, names)
        if count is None:
            self.reasons[_SPENT] = None
            return
        for answers in self.states(list(names), count, several=False).values():
            value = self.ask(instrument, scale, names, answers)
            if value is not None:
                self.take(value, answers)
                if scale.code in instrument.conversions:
                    self.found.converted.append((value, answers))

    def summary(self, definition: InstrumentScore, instrument: Instrument, scale: Scale) -> None:
        """A summary is made of scales: the values of each are added up."""
        formula = scale.formula
        parts: list[dict[_State, Assignment]] = []
        taken: set[str] = set()
        for code in scale.scales:
            inner = instrument.scale(code)
            names = {definition.inputs[name]: name for name in inner.inputs}
            count = _counting(instrument, inner, names)
            paths = {spot.path for link_id in names for spot in self.variables(link_id)}
            if count is None or taken & paths or not isinstance(formula, Summary):
                self.reasons[_TANGLED] = None
                return
            taken |= paths
            sign = -1 if code in formula.reverse else 1
            part: dict[_State, Assignment] = {}
            for answers in self.states(list(names), count, several=False).values():
                value = self.ask(instrument, inner, names, answers)
                if value is not None:
                    part.setdefault((1, sign * Fraction(value), False), answers)
            parts.append(part)
        names = {definition.inputs[name]: name for name in scale.inputs}
        for answers in self.added(parts).values():
            value = self.ask(instrument, scale, names, answers)
            if value is not None:
                self.take(value, answers)

    def ask(
        self, instrument: Instrument, scale: Scale, names: Mapping[str, str], answers: Assignment
    ) -> Decimal | None:
        """Let the instrument compute a scale."""
        self.space.purse.draw()
        numbers: dict[str, Decimal | None] = {}
        with self.logic.settled():
            for link_id, name in names.items():
                numbers[name] = self.number(link_id, self.given(link_id, answers), several=False)
        return next(each.value for each in instrument.score(numbers) if each.code == scale.code)

    def take(self, value: Decimal, answers: Assignment) -> None:
        low, high = self.found.output.minimum, self.found.output.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            self.found.failing.append(answers)
        else:
            self.found.values.setdefault(value, answers)

    # --- numbers of answers

    def given(self, link_id: str, answers: Assignment) -> Choice:
        """Return the answers that count for an item, over all its places; everything must be decided."""
        found: list[Value] = []
        for spot in self.space.unfolded.by_link_id[link_id]:
            found.extend(self.logic.effective(spot, answers) or ())
        return tuple(found)

    def number(self, link_id: str, choice: Choice, *, several: bool) -> Decimal | None:
        """Return what an item counts, as scoring does; raise `_Unusable` where its answer has no number."""
        weights = self.space.plan.items[link_id].weights
        if not choice:
            return None
        if len(choice) == 1:
            weight = weights.get(choice[0].key)
            number = weight if weight is not None else choice[0].number
            if number is None:
                raise _Unusable
            return number
        found = [weights.get(value.key) for value in choice]
        if not several or any(each is None for each in found):
            raise _Unusable
        return sum((each for each in found if each is not None), Decimal(0))

    def variables(self, link_id: str) -> list[Spot]:
        """Return the places that can be answered and have a part in what an item counts."""
        order = sorted(self.space.dependence.cone_of(link_id), key=lambda one: self.space.plan.items[one].item.position)
        return [
            spot
            for each in order
            for spot in self.space.unfolded.by_link_id[each]
            if spot.item.answerable and (len(self.space.choices[each]) > 1 or not is_computed(spot.item))
        ]

    def choices(self, spot: Spot, inputs: Iterable[str], *, several: bool) -> Sequence[Choice]:
        """Return the choices at a place: for an item that counts, one for each number it can count."""
        space = self.space
        if spot.link_id not in inputs or spot.link_id in space.read or is_computed(spot.item):
            if spot.link_id in inputs and not space.told_apart[spot.link_id]:
                self.reasons[_SPENT] = None
            return space.choices[spot.link_id]
        tests = [(each.operator, each.answer) for _, _, each in space.unfolded.tests(spot.link_id)]
        seen: dict[object, Choice] = {}
        for choice in self.sets(spot, tests):
            try:
                number = self.number(spot.link_id, choice, several=several)
            except _Unusable:
                number = None
            seen.setdefault((number, self.sort(choice, tests)), choice)
        return [*seen.values(), ()]

    def sets(self, spot: Spot, tests: Sequence[tuple[str, Value]]) -> Iterable[Choice]:
        """Return sets of answers to an item, one for each sum and each way to meet the conditions on it."""
        item, values = spot.item, self.space.domains[spot.link_id].values
        least = max(1, item.min_occurs or 1)
        if not item.repeats:
            return [(value,) for value in values] if least == 1 else []
        exclusive = {option.value.key for option in item.options if option.exclusive}
        together = [value for value in values if value.key not in exclusive]
        most = min(item.max_occurs or len(together), len(together))
        weights = self.space.plan.items[spot.link_id].weights
        sums: dict[object, Choice] = {(0, Decimal(0), frozenset()): ()}
        for value in together:
            weight = weights.get(value.key)
            for choice in list(sums.values()):
                if len(choice) < most:
                    longer = (*choice, value)
                    total = [weights.get(each.key) for each in longer]
                    sum_ = (
                        None if any(each is None for each in total) else sum(each for each in total if each is not None)
                    )
                    number = value.number if len(longer) == 1 and weight is None else sum_
                    key = (len(longer), number, frozenset(self.sort((each,), tests) for each in longer))
                    if key not in sums:
                        sums[key] = longer
                        self.space.purse.draw()
        found = [choice for choice in sums.values() if len(choice) >= least]
        return [*found, *((value,) for value in values if value.key in exclusive and least == 1)]

    def sort(self, choice: Choice, tests: Sequence[tuple[str, Value]]) -> tuple[bool, ...]:
        return tuple(matches(list(choice), operator, answer) for operator, answer in tests)

    # --- states

    def states(self, links: Sequence[str], count: _Count, *, several: bool) -> dict[_State, Assignment]:
        """Return every state the items can be in together, each with answers that lead to it."""

        def weigh(link_id: str, choice: Choice) -> _State | None:
            return count(link_id, self.number(link_id, choice, several=several))

        return self.added(self.parts(links, weigh, several=several))

    def parts(self, links: Sequence[str], weigh: _Weigh, *, several: bool = True) -> list[dict[_State, Assignment]]:
        """Return the states of each group of items that does not influence the others."""
        for link_id in links:
            self.note_doubts(link_id)
        groups: list[tuple[set[str], list[str]]] = []
        for link_id in links:
            paths = {spot.path for spot in self.variables(link_id)}
            together = [link_id]
            for group in [each for each in groups if not each[0].isdisjoint(paths)]:
                groups.remove(group)
                paths |= group[0]
                together = [*group[1], *together]
            groups.append((paths, together))
        return [self.tried(paths, together, weigh, several=several) for paths, together in groups]

    def note_doubts(self, link_id: str) -> None:
        item = self.space.plan.items[link_id].item
        line = self.space.unfolded.by_link_id[link_id][0].line()
        if any(spot.item.repeats for spot in line[:-1]):
            self.reasons[_REPEATED] = None
        if is_computed(item):
            if any(not self.space.domains[spot.link_id].every for spot in self.variables(link_id)):
                self.reasons[_ENDLESS] = None
            if self.space.formulas.value(link_id).outside:
                self.reasons[_OUTSIDE] = None
            return
        domain = self.space.domains[link_id]
        if not self.whole and not domain.every and any(value.number is not None for value in domain.values):
            low, high = bounds_of(item)
            self.found.dense = True
            self.found.open_below = self.found.open_below or low is None
            self.found.open_above = self.found.open_above or high is None

    def tried(self, paths: set[str], links: Sequence[str], weigh: _Weigh, *, several: bool) -> dict[_State, Assignment]:
        """Try every set of answers of one group; complete ones only, each answer to a question that is asked."""
        spots = [spot for path, spot in self.space.unfolded.spots.items() if path in paths]
        choices = [self.choices(spot, links, several=several) for spot in spots]
        computed = any(is_computed(self.space.plan.items[each].item) for each in links)
        count = 1
        for each in choices:
            count *= len(each)
        if count > (_MOST_COMPUTED if computed else self.space.purse.budget.each):
            self.reasons[_SPENT] = None
            return {}
        found: dict[_State, Assignment] = {}
        for picked in product(*choices):
            self.space.purse.draw()
            answers = {spot.path: choice for spot, choice in zip(spots, picked, strict=True)}
            with self.logic.settled():
                if not all(self.fits(spot, answers) for spot in spots):
                    continue
                state: _State | None = _NOTHING
                try:
                    for link_id in links:
                        piece = weigh(link_id, self.given(link_id, answers))
                        state = _merge(state, piece) if state is not None and piece is not None else None
                except _Unusable:
                    self.found.failing.append(answers)
                    continue
            if state is not None:
                found.setdefault(state, answers)
        return found

    def fits(self, spot: Spot, answers: Assignment) -> bool:
        """Tell whether what is given at a place can stand in a complete response."""
        item = spot.item
        if answers[spot.path]:
            return self.logic.answerable(spot, answers) is True
        if not needs_answer(item) or is_computed(item) or not self.space.choices[item.link_id][0]:
            return True
        return self.logic.answerable(spot, answers) is not True

    def added(self, parts: Sequence[dict[_State, Assignment]]) -> dict[_State, Assignment]:
        """Add the groups up, one after the other."""
        states: dict[_State, Assignment] = {_NOTHING: {}}
        for part in parts:
            if len(states) * len(part) > _MOST_STATES * 20:
                raise Spent
            merged: dict[_State, Assignment] = {}
            for state, answers in states.items():
                for other, more in part.items():
                    key = _merge(state, other)
                    if key not in merged:
                        merged[key] = {**answers, **more}
            if len(merged) > _MOST_STATES:
                raise Spent
            states = merged
        return states


def _merge(one: _State, other: _State) -> _State:
    return one[0] + other[0], one[1] + other[1], one[2] or other[2]


def _counting(instrument: Instrument, scale: Scale, names: Mapping[str, str]) -> _Count | None:
    """Return what answers add to the state of a scale, or None where its formula is none that adds up."""
    formula = scale.formula

    def number_of(link_id: str, number: Decimal) -> int:
        declared = instrument.input(names[link_id])
        if number != int(number) or not declared.minimum <= number <= declared.maximum:
            raise _Unusable
        return int(number)

    if isinstance(formula, Decrements):
        table = formula.table

        def lose(link_id: str, number: Decimal | None) -> _State:
            if number is None:
                return _NOTHING
            level = number_of(link_id, number)
            return 1, Fraction(table[names[link_id]][level - 1]), level > 1

        return lose

    def add(link_id: str, number: Decimal | None) -> _State:
        return _NOTHING if number is None else (1, Fraction(number_of(link_id, number)), False)

    if isinstance(formula, Sum | Mean | Single | Rescaled):
        return add
    order = list(names)

    def spell(link_id: str, number: Decimal | None) -> _State:
        """A table may tell patterns apart: each keeps its own state."""
        if number is None:
            return _NOTHING
        return 1, Fraction(number_of(link_id, number) * 100 ** order.index(link_id)), False

    return spell
