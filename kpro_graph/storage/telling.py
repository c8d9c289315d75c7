"""What a change ends with, in one statement: lines of the access log, events, and the word that there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kpro_graph.events import Happened
from kpro_graph.storage import log
from kpro_graph.storage.tables import new_ids

__all__ = ["write"]


# The first of its arguments follow those of the lines of the access log, where there are any. The arrays come through a
# subquery for the reason they do there.
def _telling(first: int) -> str:
    m, i, t, c, g, k, s, v = (f"${first + n}" for n in range(8))
    return f"""
    INSERT INTO event (municipality_id, id, type, citizen_id, care_team_id, subject_type, subject_id, subject_version,
                       recorded_at)
    SELECT {m}, happened.*, statement_timestamp()
    FROM (
        SELECT {i}::uuid[] AS i, {t}::text[] AS t, {c}::uuid[] AS c, {g}::uuid[] AS g, {k}::text[] AS k,
               {s}::uuid[] AS s, {v}::integer[] AS v
        OFFSET 0
    ) given, unnest(given.i, given.t, given.c, given.g, given.k, given.s, given.v) AS happened
    """  # noqa: S608 - numbers of arguments


# All that a change ends with is one statement: lines, events, and the word that there are some.
_TELL = f"WITH told AS ({_telling(1)}) SELECT pg_notify('kpro_recorded', '')"
_NOTE_AND_TELL = (
    f"WITH noted AS ({log.INSERT}), told AS ({_telling(log.ARGUMENTS + 1)}) SELECT pg_notify('kpro_recorded', '')"
)


async def write(connection: Any, act: log.Act, seen: log.Seen, told: Sequence[Happened]) -> None:
    """Write in the transaction of a session what somebody did and what came about by it."""
    await connection.execute(
        _NOTE_AND_TELL if seen else _TELL,
        *(log.lines(act, seen) if seen else ()),
        act.actor.municipality,
        # Later ids sort after earlier ones, which is the order events of one moment have.
        sorted(new_ids(len(told))),
        [each.type.value for each in told],
        [each.citizen_id for each in told],
        [each.care_team_id for each in told],
        [each.subject_type for each in told],
        [each.subject_id for each in told],
        [each.subject_version for each in told],
    )
