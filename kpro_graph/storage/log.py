"""The access log: one line per citizen, operation and action, written before the answer leaves.

A line says who looked or changed, in what roles and where, why, and which groups of fields of which questionnaires; it
is inserted in the transaction of the reading or change it tells of, so there is never an answer without its line.
Lines name people by id only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from kpro_graph import cpr
from kpro_graph.actors import Actor, Purpose
from kpro_graph.storage.tables import new_ids

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
# each time, which costs several times what running it does. Lines that differ in the citizen alone are of one kind.
INSERT = """
INSERT INTO access_log (municipality_id, id, operation_id, operation, action, citizen_id, actor_kind, actor_id, roles,
                        organisation_unit_id, care_team_id, on_behalf_of, purpose, override, fields_seen,
                        questionnaires, trace_id, viewers, protected, recorded_at)
SELECT given.m[line.kind], line.id, $10, $11, given.a[line.kind], line.citizen_id, $12, $13, $14, $15, $16, $17,
       given.p[line.kind], given.o[line.kind], given.f[line.kind], string_to_array(given.q[line.kind], ' '), $18, $19,
       EXISTS (SELECT FROM episode_of_care e WHERE e.municipality_id = given.m[line.kind]
               AND e.citizen_id = line.citizen_id AND e.hidden_from_guardians),
       statement_timestamp()
FROM (
    SELECT $1::uuid[] AS i, $2::uuid[] AS c, $3::smallint[] AS k, $4::integer[] AS m, $5::text[] AS a, $6::text[] AS f,
           $7::text[] AS q, $8::boolean[] AS o, $9::text[] AS p
    OFFSET 0
) given, unnest(given.i, given.c, given.k) AS line (id, citizen_id, kind)
"""
"""Inserts the lines that `lines` returns, which are $1 to $19."""

ARGUMENTS = 19


async def write(connection: Any, act: Act, seen: Seen) -> None:
    """Insert the lines of one operation in the transaction of a session, which is durable once it is committed."""
    if seen:
        await connection.execute(INSERT, *lines(act, seen))


def lines(act: Act, seen: Seen) -> tuple[object, ...]:
    """Return the lines of one operation as `INSERT` takes them."""
    actor = act.actor
    opened = frozenset(actor.opened)
    kinds: dict[tuple[int, str, str, str, bool], int] = {}
    of = []
    for (municipality, citizen, action), sight in seen.items():
        # The canonical URL of a questionnaire holds no space, so a text carries the list.
        groups, questionnaires = " ".join(sorted(sight.groups)), " ".join(sorted(sight.questionnaires))
        kind = municipality, action, groups, questionnaires, citizen in opened
        of.append(kinds.setdefault(kind, len(kinds) + 1))
    usual = actor.purpose.value
    return (
        new_ids(len(of)),
        [citizen for _, citizen, _ in seen],
        of,
        [municipality for municipality, *_ in kinds],
        [action for _, action, *_ in kinds],
        [groups for _, _, groups, _, _ in kinds],
        [questionnaires for *_, questionnaires, _ in kinds],
        [override for *_, override in kinds],
        [Purpose.EMERGENCY.value if override else usual for *_, override in kinds],
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
    )
