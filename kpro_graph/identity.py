"""From credentials to an actor: a provider says who it is, the municipality's own records say what that is worth.

Fails closed: an unknown person, an inactive employee, an unscoped grant or too low an assurance gives no actor. An
employee who can act in several places has no role until one is chosen; nor has one whose grants name no task.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from kpro_graph import cpr
from kpro_graph.access import READERS
from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Credentials, Identity, RepresentationKind, Right, Role
from kpro_graph.errors import ContextRequired, NotAuthenticated, StepUpRequired
from kpro_graph.execution import ids
from kpro_graph.places import Places
from kpro_graph.plugins.host import PluginHost
from kpro_graph.storage.database import Database

__all__ = ["at_reception", "authenticate", "operator", "reception_device"]

_EMPLOYEE = """
SELECT e.id, e.name,
       ARRAY(SELECT m.role || ' ' || m.care_team_id FROM care_team_member m
             WHERE m.municipality_id = e.municipality_id AND m.employee_id = e.id) AS memberships,
       ARRAY(SELECT o.citizen_id FROM emergency_access o WHERE o.municipality_id = e.municipality_id
             AND o.employee_id = e.id AND o.opened_at <= now() AND o.expires_at > now()) AS opened
FROM employee e WHERE e.municipality_id = $1 AND e.subject = $2 AND e.active
"""
_UNITS = "SELECT id, parent_id, kle FROM organisation_unit WHERE municipality_id = $1 AND id = ANY($2) AND active"
_TEAMS = """
SELECT t.id, t.organisation_unit_id, u.kle FROM care_team t
JOIN organisation_unit u ON u.municipality_id = t.municipality_id AND u.id = t.organisation_unit_id AND u.active
WHERE t.municipality_id = $1 AND t.id = ANY($2) AND t.status = 'active'
"""
_PERSON = """
SELECT p.id AS person_id, c.id, c.display_name FROM person p
LEFT JOIN citizen c ON c.person_id = p.id AND c.municipality_id = $1
WHERE p.cpr_index = ANY($2) LIMIT 1
"""
_SHOWN = """
SELECT c.id, p.cpr_index FROM person p JOIN citizen c ON c.person_id = p.id AND c.municipality_id = $1
WHERE p.cpr_index = ANY($2)
"""
_REPRESENTED = """
SELECT kind, bool_or(may_read) AS may_read, bool_or(may_answer) AS may_answer FROM representation
WHERE municipality_id = $1 AND representative_id = $2 AND citizen_id = $3
  AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now()) AND ended_at IS NULL
GROUP BY kind
"""
# Being used is what keeps a session at a reception computer: finding it and noting that are one statement.
_RECEPTION = """
UPDATE reception_session s SET idle_until = now() + make_interval(secs => s.idle_seconds)
FROM reception_device d, citizen c
WHERE s.municipality_id = $1 AND s.id = $2 AND s.token_hash = $3 AND s.idle_until > now() AND s.expires_at > now()
  AND d.municipality_id = s.municipality_id AND d.id = s.device_id AND d.switched_off_at IS NULL
  AND c.municipality_id = s.municipality_id AND c.id = s.citizen_id
RETURNING s.citizen_id, c.person_id,
    ARRAY(SELECT h.assignment_id FROM handed_assignment h
          JOIN assignment a ON a.municipality_id = h.municipality_id AND a.id = h.assignment_id
          JOIN episode_of_care e ON e.municipality_id = a.municipality_id AND e.id = a.episode_id
          WHERE h.municipality_id = s.municipality_id AND h.session_id = s.id
            AND e.consented_until > now() AND e.handed_over_to IS NULL) AS assignments
"""
_RECEPTION_TOKEN = re.compile(r"(\d{4})-([0-9a-f]{32})-[A-Za-z0-9_-]{43}")


async def authenticate(database: Database, host: PluginHost, credentials: Credentials) -> Actor:
    """Return the actor these credentials stand for, acting in the context they choose.

    Raises:
        NotAuthenticated: no provider vouches for them, or what is vouched for is worth nothing here.
        StepUpRequired: the same person must sign in again, more surely.
        ContextRequired: the context chosen is not one of theirs.
        Unavailable: the database does not answer.
    """
    if credentials.scheme == "reception":
        return await _at_reception(database, credentials.value)
    identity = await host.identify(credentials)
    if identity.assurance < AssuranceLevel.SUBSTANTIAL:
        raise StepUpRequired("the sign-in is not assured enough: Substantial is needed")
    municipality = int(identity.municipality)
    async with database.peek(municipality) as connection:
        if await connection.fetchval("SELECT id FROM municipality WHERE id = $1 AND id <> 0", municipality) is None:
            raise NotAuthenticated("the token is for a municipality that is not here")
        match identity.kind:
            case ActorKind.CITIZEN:
                return await _citizen(connection, database, municipality, identity, credentials.context)
            case ActorKind.EMPLOYEE:
                return await _employee(connection, municipality, identity, credentials.context)
            case ActorKind.SYSTEM:
                return _system(municipality, identity)
            case ActorKind.SECURITY_OFFICER | ActorKind.OPERATOR:
                raise NotAuthenticated("no provider vouches for this kind of actor")


def operator(municipality: int) -> Actor:
    """Return the actor of the command line: whoever runs it holds the machine, so it may edit one library's catalogue.

    ``municipality`` 0 is the national library.
    """
    return Actor(
        ActorKind.OPERATOR,
        uuid5(NAMESPACE_URL, "kpro:operator"),
        municipality,
        (municipality,),
        AssuranceLevel.HIGH,
        roles=frozenset({Role.QUESTIONNAIRE_EDITOR}),
        may_have_answers=False,
    )


def reception_device(municipality: int, device_id: UUID, unit: UUID | None = None) -> Actor:
    """Return the actor of a reception computer at which nobody has given a right code: it may see nothing."""
    return Actor(
        ActorKind.SYSTEM,
        device_id,
        municipality,
        (municipality,),
        AssuranceLevel.LOW,
        may_have_answers=False,
        organisation_unit=unit,
    )


def at_reception(
    municipality: int, session: UUID, person: UUID, citizen: UUID, assignments: tuple[UUID, ...] = ()
) -> Actor:
    """Return the actor of a session at a reception computer: that citizen, and of their record these assignments only.

    Staff vouch for the person with the code, which is no sign-in and gives no assurance.
    """
    return Actor(
        ActorKind.CITIZEN,
        person,
        municipality,
        (municipality,),
        AssuranceLevel.LOW,
        citizens=(citizen,),
        rights=frozenset({Right.ANSWER}),
        assignments=assignments,
        reception=session,
    )


async def _at_reception(database: Database, token: str) -> Actor:
    parts = _RECEPTION_TOKEN.fullmatch(token)
    row = None
    if parts is not None:
        municipality, session = int(parts[1]), UUID(parts[2])
        async with database.peek(municipality) as connection:
            fingerprint = database.cipher.fingerprint("reception session", token)
            row = await connection.fetchrow(_RECEPTION, municipality, session, fingerprint)
    if row is None:
        raise NotAuthenticated("the session at the reception computer has ended")
    return at_reception(municipality, session, row["person_id"], row["citizen_id"], tuple(row["assignments"]))


async def _citizen(connection: Any, database: Database, municipality: int, identity: Identity, chosen: str) -> Actor:
    if identity.cpr is None:
        raise NotAuthenticated("the sign-in does not say which person it is")
    indexes = database.cipher.indexes(cpr.parse(identity.cpr).digits)
    row = await connection.fetchrow(_PERSON, municipality, indexes)
    actor = Actor(
        ActorKind.CITIZEN,
        row["person_id"] if row else uuid5(NAMESPACE_URL, f"kpro:unknown:{indexes[0].hex()}"),
        municipality,
        (municipality,),
        identity.assurance,
        citizens=(row["id"],) if row and row["id"] else (),
        name=(row["display_name"] if row else None) or identity.name,
        powers=await _shown(connection, database, municipality, identity),
    )
    represented = ids.decode("cit", chosen) if chosen else None
    if chosen and represented not in actor.citizens:
        return await _representative(connection, actor, represented)
    return actor


async def _shown(
    connection: Any, database: Database, municipality: int, identity: Identity
) -> dict[UUID, frozenset[Right]]:
    """Return the citizens of this municipality whose power of attorney the sign-in showed, and what it lets do."""
    rights: dict[bytes, frozenset[Right]] = {}
    for power in identity.represents:
        for index in database.cipher.indexes(cpr.parse(power.cpr).digits):
            rights[index] = rights.get(index, frozenset()) | power.rights
    rows = await connection.fetch(_SHOWN, municipality, list(rights)) if rights else []
    return {row["id"]: rights[row["cpr_index"]] for row in rows}


async def _representative(connection: Any, actor: Actor, citizen_id: UUID | None) -> Actor:
    """Return the actor on behalf of the citizen they chose; a guardian is a guardian whatever else they hold."""
    rows = await connection.fetch(_REPRESENTED, actor.municipality, actor.id, citizen_id)
    shown = actor.powers.get(citizen_id) if citizen_id is not None else None
    if citizen_id is None or not (rows or shown):
        raise ContextRequired("you do not act for that citizen; me { representations } lists whom you act for")
    kinds = {row["kind"] for row in rows}
    columns = {Right.READ: "may_read", Right.ANSWER: "may_answer"}
    written = {right for right, column in columns.items() if any(row[column] for row in rows)}
    return replace(
        actor,
        citizens=(citizen_id,),
        on_behalf_of=citizen_id,
        # A guardian is shown less, so that decides where somebody holds both.
        representation=(
            RepresentationKind.GUARDIAN
            if RepresentationKind.GUARDIAN in kinds
            else RepresentationKind.POWER_OF_ATTORNEY
        ),
        rights=frozenset(written | (shown or frozenset())),
    )


async def _employee(connection: Any, municipality: int, identity: Identity, chosen: str) -> Actor:
    row = await connection.fetchrow(_EMPLOYEE, municipality, identity.subject)
    if row is None:
        raise NotAuthenticated("the employee is not known, or no longer active, in this municipality")
    memberships: dict[str, set[UUID]] = {}
    for membership in row["memberships"]:
        role, _, team = membership.partition(" ")
        memberships.setdefault(role, set()).add(UUID(team))
    named_units = {unit for grant in identity.grants for unit in _ids(grant.constraints.get("organisation_unit", ()))}
    named_teams = {team for grant in identity.grants for team in _ids(grant.constraints.get("care_team", ()))}
    units = {each["id"]: each for each in await connection.fetch(_UNITS, municipality, list(named_units))}
    asked = list(named_teams.union(*memberships.values()))
    teams = {each["id"]: each for each in await connection.fetch(_TEAMS, municipality, asked)}
    places = Places(units, teams)
    for grant in identity.grants:
        places.grant(grant, memberships)
    contexts = places.contexts()
    if not contexts and not places.signs_in:
        raise NotAuthenticated("the token grants no role with a data scope in this municipality")
    actor = Actor(
        ActorKind.EMPLOYEE,
        row["id"],
        municipality,
        (municipality,),
        identity.assurance,
        contexts=tuple(contexts),
        name=row["name"],
    )
    if not chosen and len(contexts) != 1:
        return actor
    context = contexts[0] if not chosen else next((each for each in contexts if each.key == chosen), None)
    if context is None:
        raise ContextRequired("you cannot act there; me { contexts } lists the places")
    care_teams, organisation_units = places.reach(context)
    return replace(
        actor,
        kind=ActorKind.SECURITY_OFFICER if Role.SECURITY_OFFICER in context.roles else ActorKind.EMPLOYEE,
        roles=context.roles,
        care_teams=care_teams,
        organisation_units=organisation_units,
        organisation_unit=context.organisation_unit,
        care_team=context.care_team,
        # Only those who read answers can have opened a record, and only while they act as such.
        opened=tuple(row["opened"]) if not context.roles.isdisjoint(READERS) else (),
    )


def _system(municipality: int, identity: Identity) -> Actor:
    granted = frozenset(role for grant in identity.grants for role in grant.roles) & {Role.INTEGRATOR}
    if not granted:
        raise NotAuthenticated("the token grants the system nothing")
    answers = any("read" in grant.constraints.get("answers", ()) for grant in identity.grants)
    return Actor(
        ActorKind.SYSTEM,
        uuid5(NAMESPACE_URL, f"kpro:system:{identity.provider}:{identity.subject}"),
        municipality,
        (municipality,),
        identity.assurance,
        roles=granted,
        may_have_answers=answers,
        name=identity.name,
    )


def _ids(texts: Any) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue  # not an id of ours, so it opens nothing
    return found
