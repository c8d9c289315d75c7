"""Medians of rounds and of ratios, each with its spread. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Middle", "middle", "ratio"]


@dataclass(frozen=True, slots=True)
class Middle:
    """The median of some rounds, and the quartiles around it."""

    value: float
    low: float
    high: float
    rounds: int


def middle(values: Sequence[float]) -> Middle:
    """Return the median of the rounds and its spread: the range of the middle half of them."""
    ordered = sorted(values)
    if len(ordered) < 4:
        return Middle(statistics.median(ordered), ordered[0], ordered[-1], len(ordered))
    low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
    return Middle(statistics.median(ordered), low, high, len(ordered))


def ratio(above: Sequence[float], below: Sequence[float]) -> Middle:
    """Return the ratio round by round, as a median with its spread: what disturbed a round disturbed both."""
    return middle([one / other for one, other in zip(above, below, strict=True)])
