"""From credentials to an actor: a provider says who it is, the municipality's own records say what that is worth.

Fails closed: an unknown person, an inactive employee, an unscoped grant or too low an assurance gives no actor.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from kpro_graph import cpr
from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Credentials, Identity, Role
from kpro_graph.errors import NotAuthenticated
from kpro_graph.plugins.host import PluginHost
from kpro_graph.storage.database import Database

__all__ = ["authenticate", "operator"]

_EMPLOYEE = "SELECT id, name FROM employee WHERE municipality_id = $1 AND subject = $2 AND active"
_TEAMS = "SELECT id FROM care_team WHERE municipality_id = $1 AND id = ANY($2) AND status = 'active'"
_MEMBERSHIPS = """
SELECT m.role, m.care_team_id FROM care_team_member m
JOIN care_team t ON t.municipality_id = m.municipality_id AND t.id = m.care_team_id AND t.status = 'active'
WHERE m.municipality_id = $1 AND m.employee_id = $2
"""
_UNITS = "SELECT id FROM organisation_unit WHERE municipality_id = $1 AND id = ANY($2) AND active"
_CITIZEN = """
SELECT c.id, c.person_id, c.display_name FROM person p JOIN citizen c ON c.person_id = p.id
WHERE p.cpr_index = $2 AND c.municipality_id = $1
"""


async def authenticate(database: Database, host: PluginHost, credentials: Credentials) -> Actor:
    """Return the actor these credentials stand for.

    Raises:
        NotAuthenticated: no provider vouches for them, or what is vouched for is worth nothing here.
        Unavailable: the database does not answer.
    """
    identity = await host.identify(credentials)
    if identity.assurance < AssuranceLevel.SUBSTANTIAL:
        raise NotAuthenticated("the sign-in is not assured enough: Substantial is needed")
    municipality = int(identity.municipality)
    async with database.peek(municipality) as connection:
        if await connection.fetchval("SELECT id FROM municipality WHERE id = $1 AND id <> 0", municipality) is None:
            raise NotAuthenticated("the token is for a municipality that is not here")
        match identity.kind:
            case ActorKind.CITIZEN:
                return await _citizen(connection, database, municipality, identity)
            case ActorKind.EMPLOYEE:
                return await _employee(connection, municipality, identity)
            case ActorKind.SYSTEM:
                return _system(municipality, identity)


def operator(municipality: int) -> Actor:
    """Return the actor of the command line: whoever runs it holds the machine, so it may edit one library's catalogue.

    ``municipality`` 0 is the national library.
    """
    return Actor(
        ActorKind.SYSTEM,
        uuid5(NAMESPACE_URL, "kpro:operator"),
        municipality,
        (municipality,),
        AssuranceLevel.HIGH,
        roles=frozenset({Role.QUESTIONNAIRE_EDITOR}),
        may_have_answers=False,
    )


async def _citizen(connection: Any, database: Database, municipality: int, identity: Identity) -> Actor:
    if identity.cpr is None:
        raise NotAuthenticated("the sign-in does not say which person it is")
    index = database.cipher.index(cpr.parse(identity.cpr).digits)
    row = await connection.fetchrow(_CITIZEN, municipality, index)
    return Actor(
        ActorKind.CITIZEN,
        row["person_id"] if row else uuid5(NAMESPACE_URL, f"kpro:unknown:{index.hex()}"),
        municipality,
        (municipality,),
        identity.assurance,
        citizens=(row["id"],) if row else (),
        name=row["display_name"] if row else identity.name,
    )


async def _employee(connection: Any, municipality: int, identity: Identity) -> Actor:
    row = await connection.fetchrow(_EMPLOYEE, municipality, identity.subject)
    if row is None:
        raise NotAuthenticated("the employee is not known, or no longer active, in this municipality")
    teams: dict[Role, set[UUID]] = {}
    units: dict[Role, set[UUID]] = {}
    memberships: dict[str, set[UUID]] = {}
    for member in await connection.fetch(_MEMBERSHIPS, municipality, row["id"]):
        memberships.setdefault(member["role"], set()).add(member["care_team_id"])
    for grant in identity.grants:
        named_teams = _ids(grant.constraints.get("care_team", ()))
        named_units = _ids(grant.constraints.get("organisation_unit", ()))
        if not named_teams and not named_units:
            continue  # a grant without a data scope is void
        known_teams = {each["id"] for each in await connection.fetch(_TEAMS, municipality, named_teams)}
        known_units = {each["id"] for each in await connection.fetch(_UNITS, municipality, named_units)}
        for role in grant.roles - {Role.INTEGRATOR}:
            # A grant that names no team reaches the teams the employee is a member of in that role.
            teams.setdefault(role, set()).update(known_teams if named_teams else memberships.get(role.value, ()))
            units.setdefault(role, set()).update(known_units)
    roles = frozenset(role for role in (*teams, *units) if teams.get(role) or units.get(role))
    if not roles:
        raise NotAuthenticated("the token grants no role with a data scope in this municipality")
    return Actor(
        ActorKind.EMPLOYEE,
        row["id"],
        municipality,
        (municipality,),
        identity.assurance,
        roles=roles,
        care_teams={role: tuple(sorted(ids)) for role, ids in teams.items()},
        organisation_units={role: tuple(sorted(ids)) for role, ids in units.items()},
        name=row["name"],
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
