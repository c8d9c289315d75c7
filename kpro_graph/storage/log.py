"""The access log: one line per citizen, operation and action, written before the answer leaves.

A line says who looked or changed, in what roles and where, why, and which groups of fields of which questionnaires; it
is inserted in the transaction of the reading or change it tells of, so there is never an answer without its line.
Lines name people by id only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from kpro_graph import cpr
from kpro_graph.actors import Actor, Purpose
from kpro_graph.storage.tables import new_id

__all__ = ["INSERT", "Act", "Action", "Seen", "Sight", "lines", "write"]


class Action(StrEnum):
    """What was done with a citizen's record."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    SEARCH = "search"
    DELIVER = "deliver"


@dataclass(slots=True)
class Sight:
    """What was seen of one citizen: groups of fields, and the canonical URLs of the questionnaires they belong to."""

    groups: set[str] = field(default_factory=set)
    questionnaires: set[str] = field(default_factory=set)


Seen: TypeAlias = Mapping[tuple[int, UUID | None, str], Sight]
"""What was seen, by municipality, citizen (None: a search found nobody) and action."""


@dataclass(frozen=True, slots=True)
class Act:
    """What all lines of one operation have in common. ``operation`` is its name, as the caller gave it.

    ``viewers`` are the actors a delivery went to, where there were several; ``trace`` is a W3C trace-id.
    """

    actor: Actor
    id: UUID
    operation: str
    trace: str
    viewers: tuple[UUID, ...] = ()


# The arrays come through a subquery, so that the planner cannot see how long they are: it would plan the statement anew
# each time, which costs several times what running it does.
INSERT = """
INSERT INTO access_log (municipality_id, id, operation_id, operation, action, citizen_id, actor_kind, actor_id, roles,
                        organisation_unit_id, care_team_id, on_behalf_of, purpose, override, fields_seen,
                        questionnaires, trace_id, viewers, protected, recorded_at)
SELECT line.municipality_id, line.id, $8, $9, line.action, line.citizen_id, $10, $11, $12, $13, $14, $15, line.purpose,
       line.override, line.fields_seen, string_to_array(line.questionnaires, ' '), $16, $17,
       EXISTS (SELECT FROM episode_of_care e WHERE e.municipality_id = line.municipality_id
               AND e.citizen_id = line.citizen_id AND e.hidden_from_guardians),
       statement_timestamp()
FROM (
    SELECT $1::integer[] AS m, $2::uuid[] AS i, $3::uuid[] AS c, $4::text[] AS a, $5::text[] AS f, $6::text[] AS q,
           $7::boolean[] AS o, $18::text[] AS p
    OFFSET 0
) given, unnest(given.m, given.i, given.c, given.a, given.f, given.q, given.o, given.p)
     AS line (municipality_id, id, citizen_id, action, fields_seen, questionnaires, override, purpose)
"""
"""Inserts the lines that `lines` returns, which are $1 to $18."""


async def write(connection: Any, act: Act, seen: Seen) -> None:
    """Insert the lines of one operation in the transaction of a session, which is durable once it is committed."""
    if seen:
        await connection.execute(INSERT, *lines(act, seen))


def lines(act: Act, seen: Seen) -> tuple[object, ...]:
    """Return the lines of one operation as `INSERT` takes them."""
    actor = act.actor
    keys: Sequence[tuple[int, UUID | None, str]] = sorted(
        seen, key=lambda key: (key[0], key[1].int if key[1] else -1, key[2])
    )
    opened = frozenset(actor.opened)
    overrides = [citizen in opened for _, citizen, _ in keys]
    return (
        [municipality for municipality, _, _ in keys],
        [new_id() for _ in keys],
        [citizen for _, citizen, _ in keys],
        [action for _, _, action in keys],
        [" ".join(sorted(seen[key].groups)) for key in keys],
        # The canonical URL of a questionnaire holds no space, so a text carries the list.
        [" ".join(sorted(seen[key].questionnaires)) for key in keys],
        overrides,
        act.id,
        # The caller chose the name, and may have put anything into it.
        cpr.redact(act.operation)[:200],
        actor.kind.value,
        actor.id,
        " ".join(sorted(actor.roles)),
        actor.organisation_unit,
        actor.care_team,
        actor.on_behalf_of,
        act.trace,
        [str(viewer) for viewer in act.viewers],
        [(Purpose.EMERGENCY if override else actor.purpose).value for override in overrides],
    )
