"""Batches: what functions compute for all rows of a level at once, in the compiled execution."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from kpro_graph.execution.assembly import Run, rows_of
from kpro_graph.execution.fields import Row
from kpro_graph.execution.shapes import Level, Plan
from kpro_graph.execution.values import Fault

__all__ = ["compute"]


def _made(level: Level, cls: type[Row], values: Sequence[Any]) -> Row:
    row = cls.__new__(cls)
    row.row = {name: values[place] for name, place in level.columns.items()}
    return row


async def compute(made: Plan, row: Any, run: Run, context: Any) -> None:
    """Call each batch function once with all rows of its level."""
    for level in made.levels:
        if not level.batches:
            continue
        info = SimpleNamespace(context=context)
        met = rows_of(level, row, run)
        kinds = level.relation.kinds
        of: dict[str | None, list[Row]] = {}
        for number, batch in enumerate(level.batches):
            if batch.kind not in of:
                place = None if kinds is None else level.columns[kinds.column]
                theirs = [values for values in met if place is None or values[place] == batch.kind]
                of[batch.kind] = [_made(level, batch.cls, values) for values in theirs]
            rows = of[batch.kind]
            given = list(await batch.declared.function(rows, info)) if rows else []
            if len(given) != len(rows):
                raise Fault(f"a batch function gave {len(given)} values for {len(rows)} rows")
            run.batches[level.number, number] = iter(given)
