"""Where and for whom somebody acts: the places to choose from, the citizens they represent, and why they look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry

from kpro_graph import access
from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Context, Purpose, RepresentationKind, Right, Role
from kpro_graph.execution import Condition, ids, one
from kpro_graph.execution.sources import Statement
from kpro_graph.schema.citizens import Citizen
from kpro_graph.schema.organisation import CareTeam, OrganisationUnit
from kpro_graph.schema.scalars import described

__all__ = ["Acting", "ActingContext", "Represented"]

described(
    AssuranceLevel,
    "How surely an identity is proved (NSIS).",
    {
        AssuranceLevel.LOW: "Lav: not enough to sign in here.",
        AssuranceLevel.SUBSTANTIAL: "Betydelig: what citizens and staff need.",
        AssuranceLevel.HIGH: "Høj.",
    },
)

_WRITTEN_DOWN = """
SELECT t.citizen_id, c.display_name, t.kind, t.may_read, t.may_answer, t.valid_until FROM representation t
JOIN citizen c ON c.municipality_id = t.municipality_id AND c.id = t.citizen_id
"""
_SHOWN = "SELECT id, display_name FROM citizen WHERE municipality_id = $1 AND id = ANY($2::uuid[])"


@strawberry.type(description="A place to act in: an organisation unit, or one care team of it.")
class ActingContext:
    """A context."""

    municipality_id: strawberry.Private[int]
    unit_id: strawberry.Private[Any]
    team_id: strawberry.Private[Any]
    key: str = strawberry.field(description="Send it as `Kpro-Context` to act here.")
    roles: list[Role] = strawberry.field(description="The roles you have here.")
    organisation_unit: OrganisationUnit | None = one(
        by={"municipality_id": "municipality_id", "id": "unit_id"}, description="The unit."
    )
    care_team: CareTeam | None = one(
        by={"municipality_id": "municipality_id", "id": "team_id"},
        description="The care team; null where it is the whole unit.",
    )


@strawberry.type(description="A citizen you may act for.")
class Represented:
    """Someone the actor represents."""

    key: str = strawberry.field(description="Send it as `Kpro-Context` to act for the citizen: the citizen's id.")
    name: str = strawberry.field(description="The citizen's name.")
    kind: RepresentationKind = strawberry.field(description="By what right.")
    rights: list[Right] = strawberry.field(description="What you may do for the citizen.")
    valid_until: datetime | None = strawberry.field(
        description="Until when; null: until it is ended, or as long as your sign-in shows it."
    )


@strawberry.type
class Acting:
    """What `me` says of where and for whom the actor acts."""

    municipality_id: strawberry.Private[int]
    represented_id: strawberry.Private[Any]
    on_behalf_of: Citizen | None = one(
        by={"municipality_id": "municipality_id", "id": "represented_id"},
        description="The citizen you act for now; null where you act as yourself.",
    )

    purpose: Purpose = strawberry.field(
        description="Why you look: the purpose that the access log gives, but for emergencies."
    )
    assurance: AssuranceLevel = strawberry.field(description="How surely your identity is proved.")

    @strawberry.field(
        description="Where you act now; null for those who act in no place, or have not chosen one yet.",
        metadata={"given": True},
    )
    def context(self, info: strawberry.Info) -> ActingContext | None:
        """Return the actor's place."""
        actor: Actor = info.context.actor
        here = (actor.organisation_unit, actor.care_team)
        chosen = (each for each in actor.contexts if (each.organisation_unit, each.care_team) == here)
        return next((_shown(actor, each) for each in chosen if each.roles == actor.roles), None)

    @strawberry.field(
        description="Where you can act; with several, you have no role until you choose one. For employees.",
        metadata={"given": True},
    )
    def contexts(self, info: strawberry.Info) -> list[ActingContext]:
        """Return the actor's places."""
        actor: Actor = info.context.actor
        return [_shown(actor, each) for each in actor.contexts]

    @strawberry.field(
        description="The citizens you may act for, by power of attorney or as a guardian.", metadata={"given": True}
    )
    async def representations(self, info: strawberry.Info) -> list[Represented]:
        """Return whom the actor represents, as staff have recorded or the sign-in shows."""
        actor: Actor = info.context.actor
        if actor.kind is not ActorKind.CITIZEN or actor.assignments is not None:
            return []
        reading = await info.context.loading.reading()
        statement = Statement()
        mine = Condition("{t}.representative_id = {me}", {"me": actor.id}, {"me": "uuid"})
        conditions = (access.REPRESENTATION.visible(actor), mine)
        where = " AND ".join(f"({statement.condition(each, 't')})" for each in conditions)
        rows = await reading.fetch(f"{_WRITTEN_DOWN} WHERE {where} ORDER BY t.valid_from, t.id", statement.parameters)
        found = [
            (row["citizen_id"], row["display_name"], RepresentationKind(row["kind"]), _rights(row), row["valid_until"])
            for row in rows
        ]
        if actor.powers:
            shown = await reading.fetch(_SHOWN, (actor.municipality, list(actor.powers)))
            power = RepresentationKind.POWER_OF_ATTORNEY
            found += [(row["id"], row["display_name"], power, actor.powers[row["id"]], None) for row in shown]
        for citizen, *_ in found:
            reading.saw(actor.municipality, citizen, {"representation"})
        return [
            Represented(
                key=ids.encode("cit", citizen), name=name, kind=kind, rights=sorted(rights), valid_until=valid_until
            )
            for citizen, name, kind, rights, valid_until in found
        ]


def _shown(actor: Actor, context: Context) -> ActingContext:
    return ActingContext(
        municipality_id=actor.municipality,
        unit_id=context.organisation_unit,
        team_id=context.care_team,
        key=context.key,
        roles=sorted(context.roles),
    )


def _rights(row: Any) -> frozenset[Right]:
    columns = {Right.READ: "may_read", Right.ANSWER: "may_answer"}
    return frozenset(right for right, column in columns.items() if row[column])
