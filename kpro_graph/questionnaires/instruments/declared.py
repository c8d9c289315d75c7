"""What an instrument is: a published way to turn answers into scores, declared as data and computed exactly.

An instrument knows nothing of questionnaires: its inputs are named by the instrument's own numbering, and a rule set
says which question feeds which input. Answers come in as whole numbers; a scale without the answers it needs has no
value, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

import msgspec

from kpro_graph.errors import BadInput
from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.words import Reason, Text, join_words

__all__ = [
    "Band",
    "Citation",
    "ConversionTable",
    "Direction",
    "Formula",
    "Input",
    "Instrument",
    "Scale",
    "ScaleScore",
    "number_inputs",
]


class Direction(StrEnum):
    """Which end of an answer or a score is the better one for the citizen."""

    HIGHER_IS_BETTER = "higher_is_better"
    HIGHER_IS_WORSE = "higher_is_worse"


@dataclass(frozen=True, slots=True)
class Input:
    """One answer the instrument needs: a whole number within the bounds, both included."""

    name: str
    minimum: int
    maximum: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Citation:
    """The publication a formula or a threshold is taken from. ``doi`` is empty where none is known."""

    text: str
    doi: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A published range of scores with its word; both bounds are included, ``None`` means open-ended."""

    low: Decimal | None
    high: Decimal | None
    word: Text
    source: str


class Formula(Protocol):
    """How a scale is computed from its answers, and the same in words."""

    @property
    def text(self) -> Text:
        """The formula as a clause: ``the sum of the answers times 4``."""

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Compute the exact value from the answers that are present and the scales computed before this one."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One score of an instrument.

    Attributes:
        code: the name of the scale within the instrument.
        inputs: the answers it is made of; for a summary, all answers of the scales in ``scales``.
        formula: how it is computed; ``None`` where the instrument needs a table from outside and has none.
        minimum, maximum: the smallest and largest possible score.
        answers_needed: the fewest answers with which it may be computed; nothing is put in place of a missing one.
        scales: the scales a summary is made of; all of them must have a value.
        bands: published ranges with their words. They carry no colour: colours are a rule set's choice.
        citation: where the scale has another source than its instrument.
    """

    code: str
    label: Text
    inputs: tuple[str, ...]
    formula: Formula | None
    minimum: Decimal
    maximum: Decimal
    direction: Direction
    answers_needed: int
    scales: tuple[str, ...] = ()
    unit: str = ""
    bands: tuple[Band, ...] = ()
    citation: Citation | None = None

    @property
    def missing_rule(self) -> Text:
        """What happens when answers are missing, in words."""
        if self.scales:
            return Text(
                da="beregnes kun, når alle dens skalaer kan beregnes",
                en="computed only when all its scales can be computed",
            )
        if self.answers_needed == len(self.inputs):
            return Text(
                da="beregnes kun, når alle svar er givet; intet indsættes for et manglende svar",
                en="computed only when every answer is given; nothing is put in place of a missing answer",
            )
        return Text(
            da=f"beregnes af de givne svar, når mindst {self.answers_needed} af {len(self.inputs)} er givet",
            en=f"computed from the answers given when at least {self.answers_needed} of {len(self.inputs)} are given",
        )


class ScaleScore(msgspec.Struct, frozen=True, gc=False):
    """The score of one scale: a value, or the reason why there is none.

    Attributes:
        used: the inputs that went into the value.
        missing: the inputs of the scale that had no answer.
    """

    code: str
    value: Decimal | None
    minimum: Decimal
    maximum: Decimal
    used: tuple[str, ...]
    missing: tuple[str, ...]
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ConversionTable:
    """Scores by raw answers for scales whose published table the product may not or cannot ship.

    Attributes:
        source: where the table was taken from; it is shown with every score made from it.
        scales: per scale, the score by key. A key is the sum of the scale's answers (``"7"``) or, where the table
            tells patterns apart, the answers in order joined by hyphens (``"1-2-4"``). Every possible key of the one
            or the other kind must be there.
    """

    source: str
    scales: Mapping[str, Mapping[str, Decimal]]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A published instrument: its answers, its scales, and what must be known before it is used.

    Attributes:
        wording_may_ship: whether the product's own licence may carry the wording of the questions.
        caveats: what is uncertain; they go into the explanation of every score.
        conversions: scales that need a table from outside (see ``with_table``).
    """

    id: str
    name: str
    inputs: tuple[Input, ...]
    scales: tuple[Scale, ...]
    citation: Citation
    licence: str
    wording_may_ship: bool
    caveats: tuple[Text, ...] = ()
    conversions: tuple[str, ...] = ()
    _by_name: dict[str, Input] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {one.name: one for one in self.inputs})

    def input(self, name: str) -> Input:
        """Return the input of that name; raises `BadInput` where there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise BadInput(f"The instrument {self.id} has no such input.", path="inputs") from None

    def scale(self, code: str) -> Scale:
        """Return the scale of that code; raises `BadInput` where there is none."""
        for one in self.scales:
            if one.code == code:
                return one
        raise BadInput(f"The instrument {self.id} has no such scale.", path="scale")

    def score(self, answers: Mapping[str, Decimal | None]) -> tuple[ScaleScore, ...]:
        """Compute every scale, in the order they are declared.

        Args:
            answers: the answer of each input by its name; ``None`` or an absent name means that it was not answered.

        Raises:
            BadInput: a name the instrument does not have, or a value that is no `Decimal`.
        """
        numbers: dict[str, int] = {}
        refused: set[str] = set()
        for name, answer in answers.items():
            declared = self.input(name)
            if answer is None:
                continue
            if not isinstance(answer, Decimal):
                raise BadInput("An answer to an instrument is a decimal number.", path=f"inputs.{name}")
            number = _whole(answer, declared)
            if number is None:
                refused.add(name)
            else:
                numbers[name] = number
        found: dict[str, Fraction] = {}
        return tuple(self._score(scale, numbers, refused, found) for scale in self.scales)

    def with_table(self, table: ConversionTable) -> Instrument:
        """Return the instrument with its conversion scales computed from the table.

        Raises:
            BadInput: the table does not hold exactly the instrument's conversion scales, or lacks a key.
        """
        problems = self.check_table(table)
        if problems:
            raise BadInput(problems[0][1], path=problems[0][0])
        scales = tuple(
            replace(one, formula=_Converted(one.inputs, dict(table.scales[one.code]), table.source))
            if one.code in self.conversions
            else one
            for one in self.scales
        )
        return replace(self, scales=scales)

    def check_table(self, table: ConversionTable) -> tuple[tuple[str, str], ...]:
        """Return what is wrong with a conversion table, as pairs of place and message; nothing where it is complete."""
        problems: list[tuple[str, str]] = []
        if not self.conversions:
            return (("table", f"The instrument {self.id} takes no conversion table."),)
        if not table.source.strip():
            problems.append(("table.source", "The source of the conversion table is not named."))
        if set(table.scales) - set(self.conversions):
            problems.append(("table.scales", "The table has a scale that is not converted."))
        for code in self.conversions:
            scale, rows = self.scale(code), table.scales.get(code)
            if rows is None:
                problems.append((f"table.scales.{code}", "The table lacks this scale."))
                continue
            sums, patterns = _keys([self.input(name) for name in scale.inputs])
            if set(rows) not in (sums, patterns):
                problems.append((f"table.scales.{code}", "The table does not hold every possible sum or pattern once."))
            if not all(value.is_finite() and scale.minimum <= value <= scale.maximum for value in rows.values()):
                problems.append((f"table.scales.{code}", "The table has a score outside the scale."))
        return tuple(problems)

    def _score(
        self, scale: Scale, numbers: dict[str, int], refused: set[str], found: dict[str, Fraction]
    ) -> ScaleScore:
        present = {name: numbers[name] for name in scale.inputs if name in numbers}
        missing = tuple(name for name in scale.inputs if name not in numbers and name not in refused)
        reason = self._obstacle(scale, present, [name for name in scale.inputs if name in refused], missing, found)
        value: Decimal | None = None
        if reason is None and scale.formula is not None:
            found[scale.code] = scale.formula.compute(present, found)
            value = exact.from_fraction(found[scale.code])
        return ScaleScore(
            code=scale.code,
            value=value,
            minimum=scale.minimum,
            maximum=scale.maximum,
            used=tuple(present) if value is not None else (),
            missing=missing,
            reason=reason,
        )

    def _obstacle(
        self,
        scale: Scale,
        present: Mapping[str, int],
        refused: list[str],
        missing: tuple[str, ...],
        found: Mapping[str, Fraction],
    ) -> Reason | None:
        if scale.formula is None:
            return Reason(
                "conversion_table_absent",
                Text(
                    da="skalaen kræver en omregningstabel, som ikke er leveret; den beregnes aldrig tilnærmet",
                    en="the scale needs a conversion table that was not supplied; it is never approximated",
                ),
            )
        if refused:
            return Reason(
                "out_of_range",
                Text(
                    da=f"svar {join_words(refused, 'da')} er ikke et helt tal inden for instrumentets grænser",
                    en=f"answer {join_words(refused, 'en')} is not a whole number within the instrument's bounds",
                ),
            )
        absent = [code for code in scale.scales if code not in found]
        if absent:
            return Reason(
                "missing_scale",
                Text(
                    da=f"{join_words(absent, 'da')} kan ikke beregnes",
                    en=f"{join_words(absent, 'en')} cannot be computed",
                ),
            )
        if len(present) < scale.answers_needed:
            return Reason(
                "missing_answer",
                Text(
                    da=f"svar {join_words(missing, 'da')} mangler ({scale.missing_rule.da})",
                    en=f"answer {join_words(missing, 'en')} is missing ({scale.missing_rule.en})",
                ),
            )
        return None


def number_inputs(numbers: range, minimum: int, maximum: int, direction: Direction) -> tuple[Input, ...]:
    """Return inputs named by their number in the instrument, all with the same bounds."""
    return tuple(Input(str(number), minimum, maximum, direction) for number in numbers)


@dataclass(frozen=True, slots=True)
class _Converted:
    inputs: tuple[str, ...]
    rows: Mapping[str, Decimal]
    source: str

    @property
    def text(self) -> Text:
        return Text(
            da=f"opslag i omregningstabel ({self.source})",
            en=f"looked up in a conversion table ({self.source})",
        )

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        del scales
        by_sum = self.rows.get(str(sum(answers[name] for name in self.inputs)))
        if by_sum is None:
            by_sum = self.rows["-".join(str(answers[name]) for name in self.inputs)]
        return Fraction(by_sum)


def _whole(answer: Decimal, declared: Input) -> int | None:
    # The order matters: a signalling NaN may not be compared, and a huge exponent may not become an int.
    if not answer.is_finite() or not declared.minimum <= answer <= declared.maximum:
        return None
    number = int(answer)
    return number if number == answer else None


def _keys(inputs: list[Input]) -> tuple[set[str], set[str]]:
    sums = {str(number) for number in range(sum(i.minimum for i in inputs), sum(i.maximum for i in inputs) + 1)}
    patterns = [""]
    for one in inputs:
        steps = [str(number) for number in range(one.minimum, one.maximum + 1)]
        patterns = [f"{head}-{step}" if head else step for head in patterns for step in steps]
    return sums, set(patterns)
