"""Subscriptions: what has happened, read from the committed log under the subscriber's own rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry.types.unset import UNSET

from kpro_graph import access
from kpro_graph.actors import Actor
from kpro_graph.errors import BadInput
from kpro_graph.events import EventType
from kpro_graph.execution import one
from kpro_graph.execution.ids import decode
from kpro_graph.execution.sources import Condition, Statement
from kpro_graph.schema.audiences import AT_ONCE
from kpro_graph.schema.context import Application, Operation
from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["Subscription"]

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


class _Updates:
    """What responseUpdates follows."""

    def may_listen(self, actor: Actor) -> None:
        """Refuse an actor who may not subscribe."""
        access.require(actor, access.Permission.FOLLOW_UPDATES)

    def start(self, application: Application, arguments: Mapping[str, Any]) -> int:
        """Return the position of the cursor the subscriber goes on from, or the present one."""
        after = arguments.get("after")
        if after is None or after is UNSET:
            return application.feed.head
        opened = application.cursors.open(_LISTING, after, ("bigint",))
        if opened is None:
            raise BadInput("after is not a cursor of these updates", path="after")
        return int(str(opened[0]))

    async def read(self, operation: Operation, arguments: Mapping[str, Any], after: int, head: int) -> list[Any]:
        """Return what was submitted or amended between two positions, as far as the actor may know of it."""
        statement = Statement()
        conditions = [
            access.EVENT.visible(operation.actor),
            Condition(
                "{t}.position > {after} AND {t}.position <= {head} AND {t}.type = ANY({kinds})",
                {"after": after, "head": head, "kinds": [kind.value for kind in _KINDS]},
                {"after": "bigint", "head": "bigint", "kinds": "text[]"},
            ),
        ]
        care_team = arguments.get("care_team")
        if care_team is not None and care_team is not UNSET:
            team = decode("team", care_team)
            conditions.append(Condition("{t}.care_team_id = {team}", {"team": team}, {"team": "uuid"}))
        where = " AND ".join(f"({statement.condition(condition, 't')})" for condition in conditions)
        async with operation.application.database.look(operation.actor, "responseUpdates") as reading:
            sql = (
                "SELECT municipality_id, subject_id, subject_version, type, recorded_at, position"
                f" FROM event t WHERE {where} ORDER BY position LIMIT {AT_ONCE}"
            )
            return list(await reading.fetch(sql, statement.parameters))

    def payload(self, application: Application, happened: Any) -> ResponseUpdate:
        """Return one delivery."""
        return ResponseUpdate(
            municipality_id=happened["municipality_id"],
            key=happened["subject_id"],
            cursor=application.cursors.seal(_LISTING, [happened["position"]]),
            type=EventType(happened["type"]),
            recorded_at=happened["recorded_at"],
            version=happened["subject_version"],
        )


UPDATES = _Updates()


@strawberry.type
class Subscription:
    """What can be subscribed to."""

    @strawberry.subscription(
        description="Responses as they are submitted and amended, in order, none missed and none twice. "
        "Roles: a system integrator in its municipality; Klinisk se-adgang and Monitoreringsmedhjælper in their teams.",
        metadata={"followed": UPDATES},
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
        application, database = operation.application, operation.application.database
        arguments = {"care_team": care_team, "after": after}
        UPDATES.may_listen(operation.actor)
        position = UPDATES.start(application, arguments)
        while True:
            await application.feed.beyond(position)
            # Rights may have ended since the last delivery: they are asked for again before every read.
            await operation.viewer.renew()
            UPDATES.may_listen(operation.actor)
            head = application.feed.head
            happened = await UPDATES.read(operation, arguments, position, head)
            for each in happened:
                operation.delivery = partial(database.deliver, (operation.actor.id,))
                yield UPDATES.payload(application, each)
            position = happened[-1]["position"] if len(happened) == AT_ONCE else head
