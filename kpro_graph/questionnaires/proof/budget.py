"""How much a proof may try before it says that it could not decide: answer sets and seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["Budget", "Purse", "Spent"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a proof may spend.

    ``cases`` is how many sets of answers are tried in all, ``each`` how many for one question (is this item ever asked?
    which values has this score?), ``seconds`` the time after which nothing more is begun. The verdicts are the same on
    every machine as long as the seconds are not needed.
    """

    cases: int = 400_000
    each: int = 20_000
    seconds: float = 30.0


class Spent(Exception):
    """The budget for this question, or for the whole proof, is used up."""


class Purse:
    """What is left of a budget. One question after the other draws on it."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.spent = 0
        self._limit = 0
        self._deadline = time.perf_counter() + budget.seconds

    def open(self) -> None:
        """Begin a new question with its own share."""
        self._limit = min(self.spent + self.budget.each, self.budget.cases)

    def draw(self, cases: int = 1) -> None:
        """Take out for so many sets of answers; raise `Spent` where there is nothing left for this question."""
        self.spent += cases
        if self.spent > self._limit or time.perf_counter() > self._deadline:
            raise Spent

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left for any question."""
        return self.spent >= self.budget.cases or time.perf_counter() > self._deadline
