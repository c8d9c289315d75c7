"""Me: whoever asks, as the API sees them."""

from __future__ import annotations

from typing import Any

import strawberry

from kpro_graph.actors import ActorKind, Role
from kpro_graph.execution import Connection, connection, one
from kpro_graph.schema.access_log import NEWEST, OWN_OR_OTHERS, AccessLogLine
from kpro_graph.schema.citizens import Citizen
from kpro_graph.schema.contexts import Acting
from kpro_graph.schema.organisation import Municipality

__all__ = ["ViewerQueries"]


@strawberry.type(description="Whoever sent the request.")
class Me(Acting):
    """The actor."""

    citizen_id: strawberry.Private[Any]
    kind: ActorKind = strawberry.field(description="What sort of someone you are.")
    name: str = strawberry.field(description="Your name.")
    roles: list[Role] = strawberry.field(description="Your roles in this context.")
    municipality: Municipality | None = one(
        by={"id": "municipality_id"}, description="The municipality you act for or in."
    )
    citizen: Citizen | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"},
        description="Your own record, for citizens, or that of the citizen you act for; null for others.",
    )
    access_log: Connection[AccessLogLine] | None = connection(
        by={"municipality_id": "municipality_id", "citizen_id": "citizen_id"},
        order=NEWEST,
        arguments=[OWN_OR_OTHERS],
        description="Who looked at your record or changed it, newest first, for citizens; null for others. Whoever "
        "acts as a guardian is not shown lines that are protected.",
    )


@strawberry.type
class ViewerQueries:
    """Look-ups about whoever asks."""

    @strawberry.field(description="Whoever sent the request.", metadata={"given": True})
    def me(self, info: strawberry.Info) -> Me:
        """Return the actor."""
        actor = info.context.actor
        return Me(
            municipality_id=actor.municipality,
            citizen_id=actor.citizens[0] if actor.citizens else None,
            represented_id=actor.on_behalf_of,
            purpose=actor.purpose,
            assurance=actor.assurance,
            kind=actor.kind,
            name=actor.name,
            roles=sorted(actor.roles),
        )
