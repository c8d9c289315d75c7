"""Hand-overs: a citizen's history on its way to the municipality they moved to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, handovers
from kpro_graph.execution import Argument, Connection, Order, Row, Term, column, connection, node_id, one
from kpro_graph.execution.ids import decode
from kpro_graph.handovers import HandOverStatus
from kpro_graph.schema.failures import HandOverNotPossible, QuestionnaireDiffers, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import Employee
from kpro_graph.schema.scalars import described

if TYPE_CHECKING:
    from kpro_graph.schema.citizens import Citizen

__all__ = ["LATEST_OFFERED", "STATUSES", "HandOver", "HandOverMutations", "HandOverQueries"]

described(
    HandOverStatus,
    "How far a hand-over has come.",
    {
        HandOverStatus.OFFERED: "Offered; everything is still where it was.",
        HandOverStatus.ACCEPTED: "Handed over: the receiving municipality holds the history.",
        HandOverStatus.DECLINED: "Declined by the municipality it was offered to.",
        HandOverStatus.WITHDRAWN: "Withdrawn by the municipality that offered it.",
    },
)

# Either side knows the citizen by a record of its own, and the wall shows it no other: a look is noted there.
_HERE = "(SELECT known.{column} FROM citizen known WHERE known.person_id = {{t}}.person_id)"
_SOURCE = replace(
    access.HAND_OVER,
    tenant="known_in",
    subject="known_as",
    computed={"known_in": _HERE.format(column="municipality_id"), "known_as": _HERE.format(column="id")},
)

LATEST_OFFERED = Order((Term("{t}.offered_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
STATUSES = Argument(
    "statuses",
    list[HandOverStatus],
    "{t}.status = ANY({value})",
    "text[]",
    "Only hand-overs in one of these states.",
    lambda statuses: [status.value for status in statuses],
)


@strawberry.type(description="En overdragelse. A citizen's history, offered to the municipality the citizen moved to.")
class HandOver(Node, Row):
    """A hand-over."""

    source = _SOURCE
    prefix = "hov"
    group = "hand_over"

    id: strawberry.ID = node_id("The hand-over's id, the same on both sides.")
    status: HandOverStatus = column(convert=HandOverStatus, description="How far it has come.")
    reason: str = column(description="Why the history is handed over, in the words of the side that offers it.")
    from_municipality: str = column(
        "municipality_id", convert=lambda number: f"{number:04d}", description="The code of the side that offers it."
    )
    to_municipality: str = column(
        "to_municipality_id", convert=lambda number: f"{number:04d}", description="The code of the side that decides."
    )
    offered_at: datetime = column(description="When it was offered.")
    decided_at: datetime | None = column(description="When it was accepted, declined or withdrawn; null until then.")
    episodes_moved: int | None = column("episodes", description="How many episodes were moved; null unless accepted.")
    responses_moved: int | None = column(
        "responses", description="How many responses were moved; null unless accepted."
    )
    assignments_revoked: int | None = column(
        "revoked", description="How many assignments were still open and therefore revoked; null unless accepted."
    )
    offered_by: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "offered_by"},
        description="Who offered it; shown to their own municipality.",
    )
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"person_id": "person_id"}, description="The citizen's record in your municipality."
    )


@strawberry.type
class HandOverQueries:
    """Hand-overs on either side."""

    hand_overs: Connection[HandOver] = connection(
        order=LATEST_OFFERED,
        arguments=[STATUSES],
        description="What your municipality offers, and what it is offered of citizens who have a record here, the "
        "latest first. For Borgeroprettere; empty for others.",
    )


@strawberry.input(description="Whose history is offered, to whom and why.")
class OfferHandOverInput:
    """Input of offerHandOver."""

    citizen_id: strawberry.ID = strawberry.field(description="A citizen of whom your municipality holds episodes.")
    to_municipality: str = strawberry.field(description="The four-digit code of the municipality the citizen moved to.")
    reason: str = strawberry.field(description="Why, in 10 to 1000 characters; the other side reads it.")


@strawberry.input(description="What to take over, and for which care team.")
class AcceptHandOverInput:
    """Input of acceptHandOver."""

    hand_over_id: strawberry.ID = strawberry.field(description="An offer to your municipality.")
    care_team_id: strawberry.ID = strawberry.field(
        description="A care team of your own units, which follows the citizen once they consent."
    )


@strawberry.input(description="What to decline.")
class DeclineHandOverInput:
    """Input of declineHandOver."""

    hand_over_id: strawberry.ID = strawberry.field(description="An offer to your municipality.")


@strawberry.input(description="What to withdraw.")
class WithdrawHandOverInput:
    """Input of withdrawHandOver."""

    hand_over_id: strawberry.ID = strawberry.field(description="An offer of your municipality.")


@strawberry.type(description="The hand-over as it now stands.")
class HandOverRecorded:
    """Success of every change of a hand-over."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    hand_over: HandOver | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The hand-over."
    )


@strawberry.type
class HandOverMutations:
    """Changes of hand-overs."""

    @strawberry.mutation(
        description="Offer a citizen's whole history to the municipality the citizen moved to. Nothing is moved and "
        "nothing of it is seen there until it is accepted. Role: Borgeropretter."
    )
    @rejecting
    async def offer_hand_over(
        self,
        info: strawberry.Info,
        input: Annotated[OfferHandOverInput, strawberry.argument(description="What is offered, to whom.")],
    ) -> Annotated[
        HandOverRecorded | UnknownReference | HandOverNotPossible,
        strawberry.union("OfferHandOverResult", description="The offer, or why there is none."),
    ]:
        """Offer a history."""
        async with info.context.change() as change:
            row = await handovers.offer(change, decode("cit", input.citizen_id), input.to_municipality, input.reason)
        return HandOverRecorded(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Take over the history you are offered: all of it is moved at once, and your municipality is its "
        "data controller from then on. The care team sees the episodes, on hold, and reads their answers when the "
        "citizen consents. Role: Borgeropretter."
    )
    @rejecting
    async def accept_hand_over(
        self,
        info: strawberry.Info,
        input: Annotated[AcceptHandOverInput, strawberry.argument(description="What is taken over, and for whom.")],
    ) -> Annotated[
        HandOverRecorded | UnknownReference | HandOverNotPossible | QuestionnaireDiffers,
        strawberry.union("AcceptHandOverResult", description="The hand-over, or why nothing was moved."),
    ]:
        """Accept a hand-over."""
        async with info.context.change() as change:
            row = await handovers.accept(change, decode("hov", input.hand_over_id), decode("team", input.care_team_id))
        return HandOverRecorded(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Decline what you are offered; everything stays where it is. Role: Borgeropretter."
    )
    @rejecting
    async def decline_hand_over(
        self,
        info: strawberry.Info,
        input: Annotated[DeclineHandOverInput, strawberry.argument(description="What is declined.")],
    ) -> Annotated[
        HandOverRecorded | UnknownReference | HandOverNotPossible,
        strawberry.union("DeclineHandOverResult", description="The hand-over, or why nothing was decided."),
    ]:
        """Decline a hand-over."""
        async with info.context.change() as change:
            row = await handovers.decline(change, decode("hov", input.hand_over_id))
        return HandOverRecorded(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(description="Take back an offer that has not been accepted. Role: Borgeropretter.")
    @rejecting
    async def withdraw_hand_over(
        self,
        info: strawberry.Info,
        input: Annotated[WithdrawHandOverInput, strawberry.argument(description="What is taken back.")],
    ) -> Annotated[
        HandOverRecorded | UnknownReference | HandOverNotPossible,
        strawberry.union("WithdrawHandOverResult", description="The hand-over, or why nothing was decided."),
    ]:
        """Withdraw an offer."""
        async with info.context.change() as change:
            row = await handovers.withdraw(change, decode("hov", input.hand_over_id))
        return HandOverRecorded(municipality_id=row.municipality_id, key=row.id)
