"""How much a proof may try before it says that it could not decide: answer sets and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        self._limit: int | None = None
        self._deadline = time.perf_counter() + budget.seconds

    @contextmanager
    def question(self) -> Iterator[None]:
        """Put a question with its own share; within it, drawing more than that raises `Spent`."""
        self._limit = min(self.spent + self.budget.each, self.budget.cases)
        try:
            yield
        finally:
            self._limit = None

    def draw(self) -> None:
        """Take out for one set of answers; raise `Spent` where there is nothing left for the question."""
        self.spent += 1
        if self._limit is not None and (self.spent > self._limit or time.perf_counter() > self._deadline):
            raise Spent

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left for any question."""
        return self.spent >= self.budget.cases or time.perf_counter() > self._deadline
