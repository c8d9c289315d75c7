"""Notes: whose rows are in an answer, and what of them, told to the reading, which writes the access log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kpro_graph.execution.fields import Row
    from kpro_graph.execution.reference import Loading, Reads
    from kpro_graph.execution.shapes import Plan

__all__ = ["note", "note_all"]


def note(reading: Reads, cls: type[Row], groups: Set[str], rows: Iterable[Sequence[Any]], *, search: bool) -> None:
    """Note whose rows are in the answer: of each, tenant, subject and questionnaire.

    What was found by a search is noted as found, and so is finding nothing.
    """
    action, found = "search" if search else "read", False
    if cls.source.subject is not None and groups:
        found = reading.saw_rows(rows, groups, action)
    if search and not found:
        reading.saw_nobody("search", {cls.group})


async def note_all(plan: Plan, run: Any, loading: Loading) -> None:
    """Note the rows of every level that are in a compiled answer, each with the groups of fields asked for of it."""
    for level, seen in zip(plan.levels, run.seen, strict=True):
        search = level.relation.search
        if not seen and not search:
            continue
        reading = await loading.first()
        if level.relation.kinds is None or not seen:
            note(reading, level.cls, level.groups, seen, search=search)
            continue
        # Of rows of several types something else is asked of each.
        for kind, groups in level.kinds.items():
            if some := [each[:3] for each in seen if each[3] == kind]:
                note(reading, level.cls, groups, some, search=search)
