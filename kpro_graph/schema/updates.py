"""Subscriptions: what has happened, read from the committed log under the subscriber's own rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import print_ast

from kpro_graph import access
from kpro_graph.actors import Actor
from kpro_graph.errors import BadInput
from kpro_graph.events import EventType
from kpro_graph.execution import one
from kpro_graph.execution.ids import decode
from kpro_graph.execution.sources import Condition, Statement
from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["Subscription"]

_AT_ONCE = 100
_LISTING = "Subscription.responseUpdates"
_KINDS = (EventType.RESPONSE_SUBMITTED, EventType.RESPONSE_AMENDED)


@strawberry.type(description="A response was submitted or amended. References only; ask for what you may read.")
class ResponseUpdate:
    """One delivery of responseUpdates."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    cursor: str = strawberry.field(description="Where to go on from: pass it as `after` to miss nothing.")
    type: EventType = strawberry.field(description="What happened.")
    recorded_at: datetime = strawberry.field(description="When it happened.")
    version: int = strawberry.field(description="The response's version.")
    response: QuestionnaireResponse | None = one(
        by={"municipality_id": "municipality_id", "id": "key"},
        description="The response as you may read it now; null if you no longer may.",
    )


@strawberry.type
class Subscription:
    """What can be subscribed to."""

    @strawberry.subscription(
        description="Responses as they are submitted and amended, in order, none missed and none twice. "
        "Roles: a system integrator in its municipality; Klinisk se-adgang and Monitoreringsmedhjælper in their teams."
    )
    async def response_updates(
        self,
        info: strawberry.Info,
        care_team: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only responses of citizens in this care team.")
        ] = None,
        after: Annotated[
            str | None,
            strawberry.argument(description="The cursor of the last update you have handled; left out, from now on."),
        ] = None,
    ) -> AsyncIterator[ResponseUpdate]:
        """Deliver updates until the subscriber leaves or may no longer listen."""
        operation = info.context
        _may_listen(operation.actor)
        feed, cursors = operation.application.feed, operation.application.cursors
        position = feed.head
        if after is not None:
            opened = cursors.open(_LISTING, after, ("bigint",))
            if opened is None:
                raise BadInput("after is not a cursor of these updates", path="after")
            position = opened[0]
        asked = _asked(info, after)
        with operation.application.database.deliveries.listen() as listener:
            while True:
                listener.enter((asked, _scope(operation.actor)))
                await feed.beyond(position)
                # Rights may have ended since the last delivery: they are asked for again before every read.
                await operation.viewer.renew()
                _may_listen(operation.actor)
                listener.enter((asked, _scope(operation.actor)))
                head = feed.head
                rows = await _read(operation, position, head, care_team)
                for row in rows:
                    operation.delivery = listener.delivering(row["position"])
                    yield ResponseUpdate(
                        municipality_id=row["municipality_id"],
                        key=row["subject_id"],
                        cursor=cursors.seal(_LISTING, [row["position"]]),
                        type=EventType(row["type"]),
                        recorded_at=row["recorded_at"],
                        version=row["subject_version"],
                    )
                position = rows[-1]["position"] if len(rows) == _AT_ONCE else head


def _asked(info: Any, after: str | None) -> str:
    """Return the same text for everybody who asks the same, wherever they go on from."""
    raw = info._raw_info
    variables = getattr(raw.variable_values, "coerced", raw.variable_values)
    given = {name: value for name, value in variables.items() if value != after}
    parts = [raw.operation, *(raw.fragments[name] for name in sorted(raw.fragments))]
    return "\n".join(print_ast(part) for part in parts) + repr(sorted(given.items()))


def _scope(actor: Actor) -> str:
    """Return the same text for everybody who sees the same rows: the actor without who it is."""
    someone = replace(actor, id=UUID(int=0), name="", contexts=())
    return repr([(each.name, _sorted(getattr(someone, each.name))) for each in fields(someone)])


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(key), _sorted(each)) for key, each in value.items())
    return sorted(map(str, value)) if isinstance(value, (frozenset, tuple)) else value


def _may_listen(actor: Actor) -> None:
    access.require(actor, access.Permission.FOLLOW_UPDATES)


async def _read(operation: Any, position: int, head: int, care_team: str | None) -> list[Any]:
    statement = Statement()
    conditions = [
        access.EVENT.visible(operation.actor),
        Condition(
            "{t}.position > {after} AND {t}.position <= {head} AND {t}.type = ANY({kinds})",
            {"after": position, "head": head, "kinds": [kind.value for kind in _KINDS]},
            {"after": "bigint", "head": "bigint", "kinds": "text[]"},
        ),
    ]
    if care_team is not None:
        team = decode("team", care_team)
        conditions.append(Condition("{t}.care_team_id = {team}", {"team": team}, {"team": "uuid"}))
    where = " AND ".join(f"({statement.condition(condition, 't')})" for condition in conditions)
    async with operation.application.database.read(operation.actor, "responseUpdates") as reading:
        sql = (
            "SELECT municipality_id, subject_id, subject_version, type, recorded_at, position"
            f" FROM event t WHERE {where} ORDER BY position LIMIT {_AT_ONCE}"
        )
        return list(await reading.fetch(sql, statement.parameters))
