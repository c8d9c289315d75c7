"""Me: whoever asks, as the API sees them."""

from __future__ import annotations

from typing import Any

import strawberry

from kpro_graph.actors import ActorKind, Role
from kpro_graph.execution import one
from kpro_graph.schema.citizens import Citizen
from kpro_graph.schema.organisation import Municipality

__all__ = ["ViewerQueries"]


@strawberry.type(description="Whoever sent the request.")
class Me:
    """The actor."""

    municipality_id: strawberry.Private[int]
    citizen_id: strawberry.Private[Any]
    kind: ActorKind = strawberry.field(description="What sort of someone you are.")
    name: str = strawberry.field(description="Your name.")
    roles: list[Role] = strawberry.field(description="Your roles in this context.")
    municipality: Municipality | None = one(
        by={"id": "municipality_id"}, description="The municipality you act for or in."
    )
    citizen: Citizen | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"},
        description="Your own record, for citizens; null for others.",
    )


@strawberry.type
class ViewerQueries:
    """Look-ups about whoever asks."""

    @strawberry.field(description="Whoever sent the request.")
    def me(self, info: strawberry.Info) -> Me:
        """Return the actor."""
        actor = info.context.actor
        return Me(
            municipality_id=actor.municipality,
            citizen_id=actor.citizens[0] if actor.citizens else None,
            kind=actor.kind,
            name=actor.name,
            roles=sorted(actor.roles),
        )
