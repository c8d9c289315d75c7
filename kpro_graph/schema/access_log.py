"""The access log as people read it: the citizen's own, and the security officer's search."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import strawberry

from kpro_graph import access
from kpro_graph.actors import Actor, ActorKind, Purpose
from kpro_graph.execution import Argument, Connection, Order, Row, Term, batched, column, connection, node_id
from kpro_graph.execution.ids import decode, encode, split
from kpro_graph.schema.scalars import described
from kpro_graph.storage.log import Action
from kpro_graph.storage.minlog import PURPOSES, ROLES, SOMEBODY, Words, activity, sentence

__all__ = ["NEWEST", "OWN_OR_OTHERS", "AccessLogLine", "AccessLogQueries"]

described(
    Action,
    "What was done with a citizen's record.",
    {
        Action.READ: "It was looked at.",
        Action.CREATE: "Something was added to it.",
        Action.UPDATE: "Something in it was changed.",
        Action.SEARCH: "It was found by a search, or a search found nobody.",
        Action.DELIVER: "A part of it was sent to a subscriber.",
    },
    name="AccessLogAction",
)
described(
    Purpose,
    "Why a record was looked at or changed.",
    {
        Purpose.OWN: "The citizen's own look-up.",
        Purpose.REPRESENTATION: "On the citizen's behalf, by someone who represents them.",
        Purpose.TREATMENT: "Treatment and follow-up.",
        Purpose.ADMINISTRATION: "Administration.",
        Purpose.EMERGENCY: "Værdispring: the record was opened in an emergency, with a reason.",
        Purpose.INTEGRATION: "Another system follows what happens.",
        Purpose.SECURITY: "Control of who had access.",
        Purpose.OPERATION: "The operation of the system.",
    },
)

NEWEST = Order((Term("{t}.recorded_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
OWN_OR_OTHERS = Argument(
    "own",
    bool,
    "({t}.purpose = 'own') = {value}",
    "boolean",
    "Only the citizen's own look-ups (true), or only everybody else's (false).",
)

# What a line names by id is given its name when it is read: whoever sees the line may know who looked.
_EMPLOYEES = """
SELECT e.municipality_id, e.id AS key, e.name FROM unnest($1::integer[], $2::uuid[]) k (municipality_id, id)
JOIN employee e ON e.municipality_id = k.municipality_id AND e.id = k.id
"""
_REPRESENTATIVES = """
SELECT r.municipality_id, r.representative_id AS key, max(r.name) AS name
FROM unnest($1::integer[], $2::uuid[]) k (municipality_id, id)
JOIN representation r ON r.municipality_id = k.municipality_id AND r.representative_id = k.id GROUP BY 1, 2
"""
_UNITS = """
SELECT u.municipality_id, u.id AS key, u.name FROM unnest($1::integer[], $2::uuid[]) k (municipality_id, id)
JOIN organisation_unit u ON u.municipality_id = k.municipality_id AND u.id = k.id
"""
_TEAMS = """
SELECT c.municipality_id, c.id AS key, c.name FROM unnest($1::integer[], $2::uuid[]) k (municipality_id, id)
JOIN care_team c ON c.municipality_id = k.municipality_id AND c.id = k.id
"""
_TITLES = """
SELECT DISTINCT ON (k.municipality_id, k.url) k.municipality_id, k.url AS key, q.title, q.title_en
FROM unnest($1::integer[], $2::text[]) k (municipality_id, url)
JOIN questionnaire q ON q.url = k.url AND q.municipality_id IN (0, k.municipality_id)
ORDER BY k.municipality_id, k.url, q.municipality_id DESC, q.status = 'active' DESC, q.created_at DESC
"""

_Key = tuple[int, Any]


async def _looked_up(info: Any, sql: str, keys: Sequence[_Key]) -> list[Any]:
    """Return the row behind each key, or None; one statement for all that an answer needs of a kind."""
    loading = info.context.loading

    async def load(wanted: list[_Key]) -> list[Any]:
        reading = await loading.reading()
        rows = await reading.fetch(sql, ([municipality for municipality, _ in wanted], [key for _, key in wanted]))
        found = {(row["municipality_id"], row["key"]): row for row in rows}
        return [found.get(key) for key in wanted]

    return list(await loading.loader(("access log", sql), load).load_many(keys))


async def _names(rows: Sequence[Any], info: Any, sql: str, name: str) -> list[str | None]:
    keys = [(row.row["municipality_id"], row.row[name]) for row in rows if row.row[name] is not None]
    found = dict(zip(keys, await _looked_up(info, sql, keys), strict=True))
    known = (found.get((row.row["municipality_id"], row.row[name])) for row in rows)
    return [None if each is None else each["name"] for each in known]


async def _actors(rows: Sequence[Any], info: Any) -> list[Words]:
    employees = await _names(rows, info, _EMPLOYEES, "actor_id")
    represent = [row for row in rows if row.row["purpose"] == Purpose.REPRESENTATION]
    names = zip(represent, await _names(represent, info, _REPRESENTATIVES, "actor_id"), strict=True)
    representatives = {row.row["id"]: name for row, name in names}
    return [_actor(row.row, known, representatives) for row, known in zip(rows, employees, strict=True)]


def _actor(line: Any, employee: str | None, representatives: dict[UUID, str | None]) -> Words:
    if line["purpose"] == Purpose.OWN:
        return "Borgeren selv", "The citizen"
    name = employee or representatives.get(line["id"])
    return (name, name) if name else SOMEBODY[ActorKind(line["actor_kind"])]


async def _told(rows: Sequence[Any], info: Any) -> list[list[Words]]:
    """Return the titles of each line's questionnaires; what has no title is called by the end of its URL."""
    wanted = [(row.row["municipality_id"], url) for row in rows for url in row.row["questionnaires"]]
    titles: dict[_Key, Words] = {
        key: (found["title"], found["title_en"] or found["title"]) if found else (key[1].rsplit("/", 1)[-1],) * 2
        for key, found in zip(wanted, await _looked_up(info, _TITLES, wanted), strict=True)
    }
    return [[titles[row.row["municipality_id"], url] for url in row.row["questionnaires"]] for row in rows]


def _worded(language: int, words: Callable[[Sequence[Any], Any], Awaitable[list[Words]]]) -> Any:
    async def function(rows: Sequence[Any], info: Any) -> list[str]:
        return [each[language] for each in await words(rows, info)]

    return function


async def _sentences(rows: Sequence[Any], info: Any) -> list[Words]:
    return [sentence(row.row, titles) for row, titles in zip(rows, await _told(rows, info), strict=True)]


async def _activities(rows: Sequence[Any], info: Any) -> list[str]:
    return [activity(row.row, titles) for row, titles in zip(rows, await _told(rows, info), strict=True)]


async def _roles(rows: Sequence[Any], _info: Any) -> list[Words]:
    held = [[ROLES.get(role, (role, role)) for role in row.row["roles"].split()] for row in rows]
    return [(", ".join(each[0] for each in roles), ", ".join(each[1] for each in roles)) for roles in held]


async def _units(rows: Sequence[Any], info: Any) -> list[str | None]:
    return await _names(rows, info, _UNITS, "organisation_unit_id")


async def _teams(rows: Sequence[Any], info: Any) -> list[str | None]:
    return await _names(rows, info, _TEAMS, "care_team_id")


async def _viewers(rows: Sequence[Any], info: Any) -> list[list[str]]:
    keys = [(row.row["municipality_id"], UUID(viewer)) for row in rows for viewer in row.row["viewers"]]
    found = dict(zip(keys, await _looked_up(info, _EMPLOYEES, keys), strict=True))
    return [
        [
            known["name"] if (known := found[row.row["municipality_id"], UUID(viewer)])
            else SOMEBODY[ActorKind(row.row["actor_kind"])][0]
            for viewer in row.row["viewers"]
        ]
        for row in rows
    ]  # fmt: skip


async def _actor_ids(rows: Sequence[Any], _info: Any) -> list[str]:
    staff = {ActorKind.EMPLOYEE, ActorKind.SECURITY_OFFICER}
    return [encode("emp" if row.row["actor_kind"] in staff else "actor", row.row["actor_id"]) for row in rows]


_WHO = ("municipality_id", "id", "actor_kind", "actor_id", "purpose")
_WHAT = ("municipality_id", "action", "citizen_id", "fields_seen", "questionnaires")


@strawberry.type(description="En linje i adgangsloggen. Someone looked at or changed a citizen's record.")
class AccessLogLine(Row):
    """A line."""

    source = access.ACCESS_LOG
    prefix = "log"
    group = "access_log"

    id: strawberry.ID = node_id("The line's id.")
    recorded_at: datetime = column(description="When.")
    who: str = batched(_worded(0, _actors), *_WHO, description="Who, by name where there is one, in Danish.")
    who_en: str = batched(_worded(1, _actors), *_WHO, description="The same in English.")
    actor_kind: ActorKind = column(convert=ActorKind, description="What sort of someone it was.")
    actor_id: strawberry.ID = batched(
        _actor_ids, "actor_kind", "actor_id", description="The id of whoever it was; an employee's own id."
    )
    role: str = batched(_worded(0, _roles), "roles", description="In what roles, in plain Danish; may be empty.")
    role_en: str = batched(_worded(1, _roles), "roles", description="The same in English.")
    organisation_unit: str | None = batched(
        _units, "municipality_id", "organisation_unit_id", description="The unit they acted in, by name."
    )
    care_team: str | None = batched(
        _teams, "municipality_id", "care_team_id", description="The care team they acted in, by name."
    )
    action: Action = column(convert=Action, description="What was done.")
    text: str = batched(_worded(0, _sentences), *_WHAT, description="What was done or seen, as one sentence in Danish.")
    text_en: str = batched(_worded(1, _sentences), *_WHAT, description="The same in English.")
    activity: str = batched(
        _activities, *_WHAT, description="What was done in Danish, in at most 75 characters, as Min Log takes it."
    )
    groups: list[str] = column(
        "fields_seen", convert=str.split, description="The groups of fields that were seen or changed."
    )
    questionnaires: list[str] = column(description="The canonical URLs of the questionnaires they belong to.")
    purpose: Purpose = column(convert=Purpose, description="Why.")
    purpose_text: str = column(
        "purpose", convert=lambda each: PURPOSES[Purpose(each)][0], description="Why, in plain Danish."
    )
    purpose_text_en: str = column(
        "purpose", convert=lambda each: PURPOSES[Purpose(each)][1], description="Why, in plain English."
    )
    own: bool = column(
        "purpose", convert=lambda each: each == Purpose.OWN, description="Whether it was the citizen's own look-up."
    )
    emergency: bool = column("override", description="Whether the record was opened in an emergency (værdispring).")
    viewers: list[str] = batched(
        _viewers, "municipality_id", "actor_kind", "viewers",
        description="Whom it was sent to, by name where there is one; empty where it is not a delivery.",
    )  # fmt: skip
    citizen_id: strawberry.ID | None = column(
        convert=lambda key: encode("cit", key), description="Whose record it was; null where a search found nobody."
    )
    protected: bool = column(description="Whether a guardian of the citizen may not see the line.")
    operation: str = column(description="What the caller called the operation; may be empty.")
    trace_id: str = column(description="The W3C trace-id of the request, the same for all lines it wrote.")


def _searches(actor: Actor) -> bool:
    return actor.kind is ActorKind.SECURITY_OFFICER and actor.has(*access.holders(access.Permission.SEARCH_ACCESS_LOG))


def _moment(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _someone(text: str) -> UUID | None:
    parts = split(text)
    return parts[1] if parts is not None and parts[0] in {"emp", "actor"} else None


def _by(name: str, prefix: str, column_: str, description: str) -> Argument:
    return Argument(
        name, strawberry.ID, f"{{t}}.{column_} = {{value}}", "uuid", description, lambda text: decode(prefix, text)
    )


@strawberry.type
class AccessLogQueries:
    """Look-ups in the access log."""

    access_log: Connection[AccessLogLine] = connection(
        order=NEWEST,
        search=True,
        allowed=_searches,
        arguments=[
            _by("citizen_id", "cit", "citizen_id", "Only lines about this citizen."),
            Argument(
                "actor_id",
                strawberry.ID,
                "({t}.actor_id = {value} OR ({t}.viewers <> '{{}}' AND {t}.viewers @> ARRAY[{value}::text]))",
                "uuid",
                "Only what this employee, or whoever has this actorId, did or was sent.",
                _someone,
            ),
            _by("organisation_unit_id", "unit", "organisation_unit_id", "Only what was done in this unit."),
            _by("care_team_id", "team", "care_team_id", "Only what was done in this care team."),
            Argument("from", datetime, "{t}.recorded_at >= {value}", "timestamptz", "Not before this time.", _moment),
            Argument("to", datetime, "{t}.recorded_at < {value}", "timestamptz", "Before this time.", _moment),
            Argument(
                "action", Action, "{t}.action = {value}", "text", "Only this was done.", lambda action: action.value
            ),
            Argument(
                "emergency_only",
                bool,
                "({t}.override OR NOT {value})",
                "boolean",
                "Only what was opened in an emergency.",
            ),
        ],
        description="Søg i adgangsloggen. The municipality's access log, newest first; it shows no answers. "
        "The search is logged too, also when it finds nothing. Role: Sikkerhedsmedarbejder.",
    )
