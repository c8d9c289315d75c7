"""Reception: computers at which citizens answer, one-time codes for them, and the sessions these begin."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from kpro_graph import access, reception
from kpro_graph.errors import NotPermitted
from kpro_graph.execution import Connection, Order, Row, Term, column, connection, many, node_id, one
from kpro_graph.execution.ids import decode
from kpro_graph.schema.assignments import Assignment
from kpro_graph.schema.failures import CodeRefused, DeviceNameMissing, NothingToAnswer, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import Employee, OrganisationUnit

__all__ = ["CLEARED", "ReceptionDevice", "ReceptionMutations", "ReceptionQueries"]

CLEARED = {"Clear-Site-Data": '"cache", "cookies", "storage"'}
"""Sent when a session ends: a browser then forgets what the API's origin has kept there."""

_NAMED = Order((Term("{t}.name", "text"), Term("{t}.id", "uuid")))
_ASSIGNED = Order((Term("{t}.assigned_at", "timestamptz"), Term("{t}.id", "uuid")))


@strawberry.type(description="En computer i modtagelsen. A registered computer at which citizens answer.")
class ReceptionDevice(Node, Row):
    """A reception computer."""

    source = access.RECEPTION_DEVICE
    prefix = "dev"
    group = "device"

    id: strawberry.ID = node_id("The computer's id; its access-log lines name it as the actor.")
    name: str = column(description="What staff call it.")
    registered_at: datetime = column(description="When it was registered.")
    switched_off_at: datetime | None = column(description="When it was switched off for good; null while it is not.")
    paused_until: datetime | None = column(
        description="Until when its latest pause after wrong codes lasts, or lasted; null where there was none."
    )
    organisation_unit: OrganisationUnit | None = one(
        by={"municipality_id": "municipality_id", "id": "organisation_unit_id"}, description="Whose reception it is in."
    )
    registered_by: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "registered_by"}, description="Who registered it."
    )


@strawberry.type(description="The session you are in at a reception computer.")
class ReceptionSession(Row):
    """A session, for itself."""

    source = access.RECEPTION_SESSION
    prefix = "rse"
    group = "reception"

    idle_until: datetime = column(description="When it ends if nothing more is asked for; asking moves it on.")
    expires_at: datetime = column(description="When it ends whatever is asked for.")
    assignments: list[Assignment] = many(
        by={"municipality_id": "municipality_id", "citizen_id": "citizen_id"},
        order=_ASSIGNED,
        description="What was handed over and is still to be answered.",
    )


@strawberry.type
class ReceptionQueries:
    """Look-ups at the reception."""

    reception_session: ReceptionSession | None = one(
        description="The session you are in; null for whoever is not at a reception computer."
    )
    reception_devices: Connection[ReceptionDevice] = connection(
        order=_NAMED,
        description="The computers of the units you register computers for or hand out codes in, by name.",
    )


@strawberry.input(description="A computer to register.")
class RegisterReceptionDeviceInput:
    """Input of registerReceptionDevice."""

    organisation_unit_id: strawberry.ID = strawberry.field(description="One of your own units.")
    name: str = strawberry.field(description="What staff call it, in at most 100 characters.")


@strawberry.input(description="A computer.")
class ReceptionDeviceInput:
    """Input of switchOffReceptionDevice and endReceptionSessionAt."""

    reception_device_id: strawberry.ID = strawberry.field(description="One that is not switched off.")


@strawberry.input(description="Whom a code is for: a citizen or one episode of care, exactly one of them.", one_of=True)
class CreateReceptionCodeInput:
    """Input of createReceptionCode."""

    citizen_id: strawberry.Maybe[strawberry.ID] = strawberry.field(
        default=None, description="The citizen, for what is open in all episodes you reach."
    )
    episode_of_care_id: strawberry.Maybe[strawberry.ID] = strawberry.field(
        default=None, description="An episode, for what is open in it."
    )


@strawberry.input(description="A code at a computer.")
class RedeemReceptionCodeInput:
    """Input of redeemReceptionCode."""

    device_secret: str = strawberry.field(description="The computer's secret, as registration gave it.")
    code: str = strawberry.field(description="The six digits.")


@strawberry.type(description="The computer is registered.")
class ReceptionDeviceRegistered:
    """Success of registerReceptionDevice."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    secret: str = strawberry.field(description="The computer's secret; shown now and never again.")
    device: ReceptionDevice | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The computer."
    )


@strawberry.type(description="The computer as it now stands.")
class ReceptionDeviceChanged:
    """Success of switchOffReceptionDevice and endReceptionSessionAt."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    device: ReceptionDevice | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The computer."
    )


@strawberry.type(description="A code to hand over.")
class ReceptionCodeCreated:
    """Success of createReceptionCode."""

    code: str = strawberry.field(description="Six digits; shown now and never again.")
    expires_at: datetime = strawberry.field(description="When it stops working if it is not used.")
    assignments: int = strawberry.field(description="How many questionnaires it opens.")


@strawberry.type(description="The session has begun.")
class ReceptionSessionBegun:
    """Success of redeemReceptionCode."""

    token: str = strawberry.field(
        description="For the header `Authorization: Reception TOKEN`. Keep it in the page's memory only."
    )
    expires_at: datetime = strawberry.field(description="When the session ends, however much it is used.")
    idle_seconds: int = strawberry.field(description="It ends when nothing is asked for so many seconds.")


@strawberry.type(description="The session has ended.")
class ReceptionSessionEnded:
    """Success of endReceptionSession."""

    ended: bool = strawberry.field(description="True.")


@strawberry.type
class ReceptionMutations:
    """Changes at the reception."""

    @strawberry.mutation(
        description="Register a computer in a unit's reception and get its secret. Role: Care Team Administrator."
    )
    @rejecting
    async def register_reception_device(
        self,
        info: strawberry.Info,
        input: Annotated[RegisterReceptionDeviceInput, strawberry.argument(description="Where, and its name.")],
    ) -> Annotated[
        ReceptionDeviceRegistered | UnknownReference | DeviceNameMissing,
        strawberry.union("RegisterReceptionDeviceResult", description="The computer, or why there is none."),
    ]:
        """Register a computer."""
        async with info.context.change() as change:
            made = await reception.register(change, decode("unit", input.organisation_unit_id), input.name)
        return ReceptionDeviceRegistered(
            municipality_id=made.device.municipality_id, key=made.device.id, secret=made.secret
        )

    @strawberry.mutation(
        description="Switch a reception computer off for good; the session there ends. Role: Care Team Administrator."
    )
    @rejecting
    async def switch_off_reception_device(
        self,
        info: strawberry.Info,
        input: Annotated[ReceptionDeviceInput, strawberry.argument(description="Which one.")],
    ) -> Annotated[
        ReceptionDeviceChanged | UnknownReference,
        strawberry.union("SwitchOffReceptionDeviceResult", description="The computer, or why it is as it was."),
    ]:
        """Switch a computer off."""
        async with info.context.change() as change:
            device = await reception.switch_off(change, decode("dev", input.reception_device_id))
        return ReceptionDeviceChanged(municipality_id=device.municipality_id, key=device.id)

    @strawberry.mutation(
        description="End the session at a reception computer. "
        "Roles: Care Team Administrator; Borgeropretter and Monitoreringsmedhjælper in the unit they act in."
    )
    @rejecting
    async def end_reception_session_at(
        self,
        info: strawberry.Info,
        input: Annotated[ReceptionDeviceInput, strawberry.argument(description="At which one.")],
    ) -> Annotated[
        ReceptionDeviceChanged | UnknownReference,
        strawberry.union("EndReceptionSessionAtResult", description="The computer, or why nothing was ended."),
    ]:
        """End the session at a computer."""
        async with info.context.change() as change:
            device = await reception.end_at(change, decode("dev", input.reception_device_id))
        return ReceptionDeviceChanged(municipality_id=device.municipality_id, key=device.id)

    @strawberry.mutation(
        description="Make a one-time code with which the citizen answers what is open, at a computer of the unit you "
        "act in. A code made before for the same citizen there is void. "
        "Roles: Borgeropretter in own units; Monitoreringsmedhjælper in own care teams, with the citizen's consent."
    )
    @rejecting
    async def create_reception_code(
        self,
        info: strawberry.Info,
        input: Annotated[CreateReceptionCodeInput, strawberry.argument(description="For whom.")],
    ) -> Annotated[
        ReceptionCodeCreated | UnknownReference | NothingToAnswer,
        strawberry.union("CreateReceptionCodeResult", description="The code, or why there is none."),
    ]:
        """Make a code."""
        citizen = None if input.citizen_id is None else decode("cit", input.citizen_id.value or "")
        episode = None if input.episode_of_care_id is None else decode("epi", input.episode_of_care_id.value or "")
        async with info.context.change() as change:
            handed = await reception.hand_out(change, citizen, episode, info.context.application.reception)
        return ReceptionCodeCreated(
            code=handed.code, expires_at=handed.session.code_expires_at, assignments=len(handed.assignments)
        )

    @strawberry.mutation(
        description="Begin a session with a code at a registered computer. Every refusal is the same, and counts: "
        "five, and the computer pauses for ten minutes. Role: nobody signed in."
    )
    @rejecting
    async def redeem_reception_code(
        self,
        info: strawberry.Info,
        input: Annotated[RedeemReceptionCodeInput, strawberry.argument(description="The code, and where.")],
    ) -> Annotated[
        ReceptionSessionBegun | CodeRefused,
        strawberry.union("RedeemReceptionCodeResult", description="The session, or that there is none."),
    ]:
        """Begin a session."""
        operation = info.context
        if operation.viewer.actor is not None:
            raise NotPermitted("a code is for nobody who is signed in")
        begun = await reception.redeem(
            operation.application.database,
            input.device_secret,
            input.code,
            operation.application.reception,
            operation=operation.name,
            trace=operation.trace,
        )
        return ReceptionSessionBegun(
            token=begun.token, expires_at=begun.expires_at, idle_seconds=int(begun.idle.total_seconds())
        )

    @strawberry.mutation(description="End the session you are in at a reception computer. For the citizen.")
    @rejecting
    async def end_reception_session(self, info: strawberry.Info) -> ReceptionSessionEnded:
        """End the session at hand."""
        async with info.context.change() as change:
            await reception.leave(change)
        info.context.viewer.headers.update(CLEARED)
        return ReceptionSessionEnded(ended=True)
