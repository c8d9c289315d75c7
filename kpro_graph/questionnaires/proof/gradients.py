"""Gradients: how colours follow each other along a scale, and where a worse value turns greener."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from kpro_graph.questionnaires.explanation import COLOUR_WORDS
from kpro_graph.questionnaires.instruments import Direction
from kpro_graph.questionnaires.proof.unfolding import Assignment
from kpro_graph.questionnaires.rules import Colour
from kpro_graph.questionnaires.words import write_number

__all__ = ["SEVERITY", "Step", "Turn", "find_turn", "tendency", "worst"]

SEVERITY: Mapping[Colour, int] = {Colour.GREEN: 1, Colour.YELLOW: 2, Colour.RED: 3}


@dataclass(frozen=True, slots=True)
class Step:
    """One value on the scale with its colour, and answers that give it."""

    value: Decimal
    colour: Colour
    answers: Assignment


@dataclass(frozen=True, slots=True)
class Turn:
    """A worse step that is greener than a better one; ``two_sided`` where the best lies in the middle."""

    worse: Step
    better: Step
    two_sided: bool = False

    def words(self) -> dict[str, Any]:
        """Return the values and colours for a message."""
        found: dict[str, Any] = {}
        for name, step in (("worse", self.worse), ("better", self.better)):
            colour = COLOUR_WORDS[step.colour]
            found |= {name: write_number(step.value, "en"), f"{name}_da": write_number(step.value, "da")}
            found |= {f"{name}_colour": colour.en, f"{name}_colour_da": colour.da}
        return found


def find_turn(steps: Sequence[Step], direction: Direction | None) -> Turn | None:
    """Return where colours turn against the direction; without one, where they rise and fall again, or fall and rise.

    The steps come in the order of their values.
    """
    ordered = list(steps)
    if direction is Direction.HIGHER_IS_BETTER:
        ordered.reverse()
    if direction is not None:
        return next((Turn(later, earlier) for earlier, later in pairwise(ordered) if _is_greener(later, earlier)), None)
    risen: Step | None = None
    fallen: Turn | None = None
    for earlier, later in pairwise(ordered):
        if _is_greener(later, earlier):
            if risen is not None:
                return Turn(later, earlier)
            fallen = fallen or Turn(later, earlier, two_sided=True)
        elif _is_greener(earlier, later):
            risen = later
    return fallen if fallen is not None and risen is not None else None


def tendency(steps: Sequence[Step]) -> Direction | None:
    """Return which end of the scale is the worse one by its colours; None where they do not say."""
    moves = {_is_greener(later, earlier) for earlier, later in pairwise(steps) if earlier.colour is not later.colour}
    if len(moves) != 1:
        return None
    return Direction.HIGHER_IS_BETTER if moves == {True} else Direction.HIGHER_IS_WORSE


def _is_greener(one: Step, other: Step) -> bool:
    return SEVERITY[one.colour] < SEVERITY[other.colour]


def worst(colours: Sequence[Colour]) -> Colour:
    """Return the colour that decides where several are given."""
    return max(colours, key=lambda each: SEVERITY.get(each, 0))
