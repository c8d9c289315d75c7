"""Emergency access: records opened without consent or team, and their review."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, emergencies
from kpro_graph.emergencies import Verdict
from kpro_graph.errors import KproError
from kpro_graph.execution import Argument, Connection, Order, Row, Term, column, connection, node_id, one
from kpro_graph.execution.ids import decode
from kpro_graph.schema.failures import EmergencyNotPossible, InvalidCpr, UnknownCitizen, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import Employee, OrganisationUnit
from kpro_graph.schema.scalars import CPR

if TYPE_CHECKING:
    from kpro_graph.schema.citizens import Citizen

__all__ = ["EmergencyAccess", "EmergencyMutations", "EmergencyQueries"]


@strawberry.type(description="Et værdispring. A record opened in an emergency, without consent or care team.")
class EmergencyAccess(Node, Row):
    """An emergency access."""

    source = access.EMERGENCY_ACCESS
    prefix = "emg"
    group = "emergency"

    id: strawberry.ID = node_id("The emergency access' id.")
    reason: str = column(description="Why the record was opened, in the employee's words.")
    opened_at: datetime = column(description="When.")
    expires_at: datetime = column(description="When it closes by itself.")
    verdict: Verdict | None = column(convert=Verdict, description="What was found; null until it is reviewed.")
    note: str | None = column(description="What the security officer noted.")
    reviewed_at: datetime | None = column(description="When it was reviewed; null until then.")
    employee: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "employee_id"}, description="Who opened the record."
    )
    organisation_unit: OrganisationUnit | None = one(
        by={"municipality_id": "municipality_id", "id": "organisation_unit_id"}, description="Where they acted."
    )
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"},
        description="Whose record; null for security officers, who see no citizen.",
    )


@strawberry.type
class EmergencyQueries:
    """The security officer's list."""

    emergency_accesses: Connection[EmergencyAccess] = connection(
        order=Order((Term("{t}.opened_at", "timestamptz", True), Term("{t}.id", "uuid", True))),
        arguments=[
            Argument(
                "reviewed",
                bool,
                "({t}.verdict IS NOT NULL) = {value}",
                "boolean",
                "Only reviewed ones, or only others.",
            )
        ],
        description="Emergency accesses, the latest first: all of the municipality for its security officer, to "
        "employees their own, to citizens those of their record.",
    )


@strawberry.input(description="Whose record is opened, and why.")
class OpenEmergencyAccessInput:
    """Input of openEmergencyAccess."""

    cpr: CPR = strawberry.field(description="The citizen's CPR number.")
    reason: str = strawberry.field(
        description="Why, in 10 to 1000 characters; the citizen and the security officer can read it."
    )


@strawberry.input(description="What was found about an emergency access.")
class ReviewEmergencyAccessInput:
    """Input of reviewEmergencyAccess."""

    emergency_access_id: strawberry.ID = strawberry.field(description="One that is not reviewed yet.")
    verdict: Verdict = strawberry.field(description="What was found.")
    note: str = strawberry.field(default="", description="What is to be remembered about it; at most 1000 characters.")


@strawberry.type(description="The emergency access as it now stands.")
class EmergencyAccessRecorded:
    """Success of openEmergencyAccess and reviewEmergencyAccess."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    emergency_access: EmergencyAccess | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The emergency access."
    )


@strawberry.type
class EmergencyMutations:
    """Emergency accesses and their review."""

    @strawberry.mutation(
        description="Open a citizen's record for an hour without consent or care team. It is logged with its mark, the "
        "citizen sees it, and a security officer reviews it. Roles: Klinisk se-adgang and Monitoreringsmedhjælper."
    )
    @rejecting
    async def open_emergency_access(
        self,
        info: strawberry.Info,
        input: Annotated[OpenEmergencyAccessInput, strawberry.argument(description="Whose record, and why.")],
    ) -> Annotated[
        EmergencyAccessRecorded | InvalidCpr | UnknownCitizen | EmergencyNotPossible,
        strawberry.union("OpenEmergencyAccessResult", description="What was opened, or why nothing was."),
    ]:
        """Open a record."""
        async with info.context.change() as change:
            row = await emergencies.open_record(change, input.cpr, input.reason)
        viewer = info.context.viewer
        actor = viewer.actor
        try:
            await viewer.renew()
        except KproError:
            # Rights that end meanwhile do not undo what was recorded; whoever did it is told, as the one they were.
            viewer.actor, viewer.refusal = actor, None
        return EmergencyAccessRecorded(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(description="Record what was found about an emergency access. Role: Sikkerhedsmedarbejder.")
    @rejecting
    async def review_emergency_access(
        self,
        info: strawberry.Info,
        input: Annotated[ReviewEmergencyAccessInput, strawberry.argument(description="Which, and what was found.")],
    ) -> Annotated[
        EmergencyAccessRecorded | UnknownReference | EmergencyNotPossible,
        strawberry.union("ReviewEmergencyAccessResult", description="What was recorded, or why nothing was."),
    ]:
        """Review an emergency access."""
        async with info.context.change() as change:
            row = await emergencies.review(change, decode("emg", input.emergency_access_id), input.verdict, input.note)
        return EmergencyAccessRecorded(municipality_id=row.municipality_id, key=row.id)
