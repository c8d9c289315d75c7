"""The formulas that published instruments share: sums, means, decrements from full health, EORTC's linear scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kpro_graph.questionnaires.words import Text, write_number

__all__ = ["Decrements", "Mean", "Rescaled", "Single", "Sum", "Summary"]


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the answers times a factor."""

    factor: Decimal = Decimal(1)

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        if self.factor == 1:
            return Text(da="summen af svarene", en="the sum of the answers")
        return Text(
            da=f"summen af svarene ganget med {write_number(self.factor, 'da')}",
            en=f"the sum of the answers times {write_number(self.factor, 'en')}",
        )

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Add the answers and multiply."""
        del scales
        return sum(answers.values()) * Fraction(self.factor)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the answers."""

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        return Text(da="gennemsnittet af svarene", en="the mean of the answers")

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Divide the sum of the answers by their number."""
        del scales
        return Fraction(sum(answers.values()), len(answers))


@dataclass(frozen=True, slots=True)
class Single:
    """The one answer itself."""

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        return Text(da="svaret selv", en="the answer itself")

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Return the answer."""
        del scales
        (answer,) = answers.values()
        return Fraction(answer)


@dataclass(frozen=True, slots=True)
class Decrements:
    """Full health (1) less a decrement for each dimension at its level, less one more if any level is above 1.

    Attributes:
        table: per dimension the decrements of level 1, 2, 3 and so on.
        any_problem: the decrement that applies once, as soon as any dimension is above level 1.
    """

    table: Mapping[str, tuple[Decimal, ...]]
    any_problem: Decimal = Decimal(0)

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        if not self.any_problem:
            return Text(
                da="1 minus værdisættets fradrag for niveauet i hver dimension",
                en="1 less the value set's decrement for the level of each dimension",
            )
        return Text(
            da=f"1 minus værdisættets fradrag for niveauet i hver dimension og minus "
            f"{write_number(self.any_problem, 'da')}, hvis et niveau er over 1",
            en=f"1 less the value set's decrement for the level of each dimension, and less "
            f"{write_number(self.any_problem, 'en')} if any level is above 1",
        )

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Subtract the decrements from 1."""
        del scales
        lost = sum((self.table[name][level - 1] for name, level in answers.items()), Decimal(0))
        if any(level > 1 for level in answers.values()):
            lost += self.any_problem
        return 1 - Fraction(lost)


@dataclass(frozen=True, slots=True)
class Rescaled:
    """EORTC's linear transformation of the mean answer to 0-100.

    Attributes:
        span: largest less smallest possible answer: 3 for answers 1-4, 6 for answers 1-7.
        reverse: true for functional scales, where a low answer is good and a high score is good.
    """

    span: int
    reverse: bool = False

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        if self.reverse:
            return Text(
                da=f"(1 − (gennemsnittet af svarene − 1) / {self.span}) × 100",
                en=f"(1 − (the mean of the answers − 1) / {self.span}) × 100",
            )
        return Text(
            da=f"(gennemsnittet af svarene − 1) / {self.span} × 100",
            en=f"(the mean of the answers − 1) / {self.span} × 100",
        )

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Transform the mean of the answers that are present."""
        del scales
        part = (Fraction(sum(answers.values()), len(answers)) - 1) / self.span
        return (1 - part if self.reverse else part) * 100


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of scales, those in ``reverse`` counted as 100 less their score."""

    straight: tuple[str, ...]
    reverse: tuple[str, ...]

    @property
    def text(self) -> Text:
        """The formula as a clause."""
        count = len(self.straight) + len(self.reverse)
        return Text(
            da=f"gennemsnittet af {count} skalaer, symptomerne regnet som 100 minus skalaen",
            en=f"the mean of {count} scales, symptoms counted as 100 less the scale",
        )

    def compute(self, answers: Mapping[str, int], scales: Mapping[str, Fraction]) -> Fraction:
        """Average the scales, unrounded."""
        del answers
        parts = [scales[code] for code in self.straight] + [100 - scales[code] for code in self.reverse]
        return sum(parts, Fraction(0)) / len(parts)
