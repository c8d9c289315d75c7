"""Representations: who acts for a citizen."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, representations
from kpro_graph.actors import RepresentationKind, Right
from kpro_graph.execution import Row, column, node_id, one
from kpro_graph.execution.ids import decode
from kpro_graph.schema.failures import InvalidCpr, NameMissing, RepresentationInvalid, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.scalars import CPR

if TYPE_CHECKING:
    from kpro_graph.schema.citizens import Citizen

__all__ = ["Representation", "RepresentationMutations"]


@strawberry.type(description="En fuldmagt eller et værgemål. Someone's right to act for a citizen.")
class Representation(Node, Row):
    """A representation."""

    source = access.REPRESENTATION
    prefix = "rep"
    group = "representation"

    id: strawberry.ID = node_id("The representation's id.")
    kind: RepresentationKind = column(convert=RepresentationKind, description="By what right.")
    may_read: bool = column(description="Whether submitted answers may be read.")
    may_answer: bool = column(description="Whether questionnaires may be answered for the citizen.")
    name: str = column(description="The representative's name.")
    valid_from: datetime = column(description="From when.")
    valid_until: datetime | None = column(description="Until when; null: until it is ended.")
    ended_at: datetime | None = column(description="When it was ended; null while it was not.")
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"},
        description="The citizen; null until you act on their behalf.",
    )


@strawberry.input(description="Who may act for a citizen.")
class RegisterRepresentationInput:
    """Input of registerRepresentation."""

    citizen_id: strawberry.ID = strawberry.field(description="The citizen.")
    cpr: CPR = strawberry.field(description="The representative's CPR number.")
    name: str = strawberry.field(description="The representative's name, as the citizen knows it.")
    kind: RepresentationKind = strawberry.field(description="By what right.")
    rights: list[Right] = strawberry.field(description="What they may do.")
    valid_until: datetime | None = strawberry.field(
        default=None, description="Until when, with time zone; left out, until it is ended."
    )


@strawberry.input(description="A representation to end.")
class EndRepresentationInput:
    """Input of endRepresentation."""

    representation_id: strawberry.ID = strawberry.field(description="One that has not ended.")


@strawberry.type(description="The representation as it now stands.")
class RepresentationRecorded:
    """Success of registerRepresentation and endRepresentation."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    representation: Representation | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The representation."
    )


@strawberry.type
class RepresentationMutations:
    """Changes of representations."""

    @strawberry.mutation(description="Record who may act for a citizen, and how far. Role: Borgeropretter.")
    @rejecting
    async def register_representation(
        self,
        info: strawberry.Info,
        input: Annotated[RegisterRepresentationInput, strawberry.argument(description="Who, for whom, and how far.")],
    ) -> Annotated[
        RepresentationRecorded | UnknownReference | InvalidCpr | NameMissing | RepresentationInvalid,
        strawberry.union("RegisterRepresentationResult", description="What was recorded, or why nothing was."),
    ]:
        """Register a representation."""
        async with info.context.change() as change:
            row = await representations.register(
                change,
                decode("cit", input.citizen_id),
                input.cpr,
                input.name,
                input.kind,
                frozenset(input.rights),
                input.valid_until,
            )
        return RepresentationRecorded(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(description="End a representation now. Role: Borgeropretter.")
    @rejecting
    async def end_representation(
        self,
        info: strawberry.Info,
        input: Annotated[EndRepresentationInput, strawberry.argument(description="Which one.")],
    ) -> Annotated[
        RepresentationRecorded | UnknownReference,
        strawberry.union("EndRepresentationResult", description="What was recorded, or why nothing was."),
    ]:
        """End a representation."""
        async with info.context.change() as change:
            row = await representations.end(change, decode("rep", input.representation_id))
        return RepresentationRecorded(municipality_id=row.municipality_id, key=row.id)
