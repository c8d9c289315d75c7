"""Notes: whose rows are in a compiled answer, told to the reading when the answer has been put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kpro_graph.execution.reference import Reads, note
from kpro_graph.execution.shapes import Level, Plan

__all__ = ["note_all"]


def note_all(plan: Plan, run: Any, reading: Reads) -> None:
    """Note the rows of every level that the assembly met, each with the groups of fields asked for of it."""
    for level in plan.levels:
        source = level.cls.source
        named = (source.tenant, source.subject, source.questionnaire)
        places = [level.columns.get(name) if name else None for name in named]
        for rows in run.seen[level.number]:
            for groups, some in _by_kind(level, rows):
                seen = ([None if place is None else each[place] for place in places] for each in some)
                note(reading, level.cls, groups, seen, search=level.relation.search)


def _by_kind(level: Level, rows: Sequence[Any]) -> Iterator[tuple[frozenset[str], Sequence[Any]]]:
    """Tell rows apart by kind, where they are of several types: of each something else is asked."""
    kinds = level.relation.kinds
    if kinds is None or not level.kinds or not rows:
        yield frozenset(level.groups), rows
        return
    place = level.columns[kinds.column]
    for kind, groups in level.kinds.items():
        if some := [row for row in rows if row[place] == kind]:
            yield frozenset(groups), some
