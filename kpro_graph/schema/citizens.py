"""Citizens: identity, history and trend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, citizens
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.execution import (
    Argument,
    Condition,
    Connection,
    Order,
    Row,
    Term,
    batched,
    by_id,
    column,
    connection,
    latest_per,
    many,
    node_id,
    one,
)
from kpro_graph.schema.assignments import Assignment
from kpro_graph.schema.emergencies import EmergencyAccess
from kpro_graph.schema.episodes import LATEST_ASSIGNED, LATEST_SUBMITTED, EpisodeOfCare
from kpro_graph.schema.failures import InvalidCpr, NameMissing, UnknownCitizen, rejecting
from kpro_graph.schema.handovers import LATEST_OFFERED, STATUSES, HandOver
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.representations import Representation
from kpro_graph.schema.scalars import CPR

if TYPE_CHECKING:
    from kpro_graph.schema.responses import QuestionnaireResponse, Score

__all__ = ["Citizen", "CitizenMutations", "CitizenQueries"]

_OWN = {"municipality_id": "municipality_id", "citizen_id": "id"}
_COUNTING = Condition("{t}.submitted_at IS NOT NULL AND NOT {t}.superseded")


async def _cpr_numbers(rows: Sequence[Row], info: strawberry.Info) -> list[str]:
    reading = await info.context.loading.reading()
    cipher = info.context.application.database.cipher
    return await citizens.numbers(reading.fetch, cipher, [row.row["person_id"] for row in rows])


@strawberry.type(description="En borger. A person's record in one municipality.")
class Citizen(Node, Row):
    """A citizen."""

    source = access.CITIZEN
    prefix = "cit"
    group = "identity"

    id: strawberry.ID = node_id("The citizen's id. It says nothing about who the citizen is.")
    name: str = column("display_name", allowed=access.may_know_citizens, description="Given and family name.")
    given_name: str = column(allowed=access.may_know_citizens, description="Given name.")
    family_name: str = column(allowed=access.may_know_citizens, description="Family name.")
    birth_date: date = column(allowed=access.may_know_citizens, description="Date of birth.")
    cpr: str | None = batched(
        _cpr_numbers,
        "person_id",
        group="cpr",
        allowed=access.may_see_cpr,
        description="The CPR number, DDMMYY-SSSS; each look is logged. Never part of an id, a cursor or an address. "
        "Role: Borgeropretter.",
    )
    episodes: Connection[EpisodeOfCare] = connection(
        by=_OWN,
        order=Order((Term("{t}.started_at", "timestamptz", True), Term("{t}.id", "uuid", True))),
        description="The citizen's episodes of care, newest first.",
    )
    assignments: Connection[Assignment] = connection(
        by=_OWN,
        order=LATEST_ASSIGNED,
        arguments=[
            Argument(
                "statuses",
                list[AssignmentStatus],
                "{t}.status = ANY({value})",
                "text[]",
                "Only assignments in one of these states.",
                lambda statuses: [status.value for status in statuses],
            )
        ],
        description="The questionnaires assigned to the citizen, newest first.",
    )
    responses: Connection[Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")]] = (
        connection(
            by=_OWN,
            where=Condition("{t}.submitted_at IS NOT NULL"),
            order=LATEST_SUBMITTED,
            arguments=[
                Argument(
                    "questionnaire_url",
                    str,
                    "{t}.questionnaire_url = {value}",
                    "text",
                    "Only responses to versions of this questionnaire.",
                )
            ],
            description="What the citizen has submitted, newest first; amended versions too.",
        )
    )
    latest_responses: list[Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")]] = (
        latest_per(
            "questionnaire_url",
            by=_OWN,
            where=_COUNTING,
            order=LATEST_SUBMITTED,
            description="The latest response to each questionnaire, newest first.",
        )
    )
    trend: list[Annotated["Score", strawberry.lazy("kpro_graph.schema.responses")]] = many(
        by=_OWN,
        where=Condition("NOT {t}.superseded"),
        order=Order((Term("{t}.submitted_at", "timestamptz"), Term("{t}.id", "uuid"))),
        arguments=[
            Argument(
                "questionnaire_url", str, "{t}.questionnaire_url = {value}", "text", "The questionnaire.", required=True
            ),
            Argument("score", str, "{t}.code = {value}", "text", "The score's code, such as `who5`.", required=True),
        ],
        maximum=500,
        description="One score over time, oldest first: the points of a curve.",
    )
    hand_overs: Connection[HandOver] = connection(
        by={"person_id": "person_id"},
        order=LATEST_OFFERED,
        arguments=[STATUSES],
        description="Hand-overs of the citizen's history from or to your municipality, the latest first. For "
        "Borgeroprettere; empty for others.",
    )
    representations: list[Representation] = many(
        by=_OWN,
        order=Order((Term("{t}.valid_from", "timestamptz", True), Term("{t}.id", "uuid", True))),
        description="Who may act for the citizen, or could before, the latest first; for the citizen and for those who "
        "record it.",
    )
    emergency_accesses: list[EmergencyAccess] = many(
        by=_OWN,
        order=Order((Term("{t}.opened_at", "timestamptz", True), Term("{t}.id", "uuid", True))),
        description="When the record was opened in an emergency, and why, the latest first; for the citizen, and to "
        "each employee their own.",
    )


@strawberry.type
class CitizenQueries:
    """Look-ups of citizens."""

    citizen: Citizen | None = one(
        arguments=[by_id("cit", "The citizen's id.")],
        description="A citizen; null when there is none that you may see. To find one by CPR number, use findCitizen.",
    )


@strawberry.input(description="Whom to look for.")
class FindCitizenInput:
    """Input of findCitizen."""

    cpr: CPR = strawberry.field(description="The citizen's CPR number.")


@strawberry.input(description="Whom to find or register.")
class RegisterCitizenInput:
    """Input of registerCitizen."""

    cpr: CPR = strawberry.field(description="The citizen's CPR number, or a substitute number.")
    given_name: str = strawberry.field(description="Given name; used only when the citizen is new here.")
    family_name: str = strawberry.field(description="Family name; used only when the citizen is new here.")


@strawberry.type(description="The citizen was found.")
class CitizenFound:
    """Success of findCitizen."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    citizen: Citizen | None = one(by={"municipality_id": "municipality_id", "id": "key"}, description="The citizen.")


@strawberry.type(description="The citizen has a record in the municipality now.")
class CitizenRegistered:
    """Success of registerCitizen."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    created: bool = strawberry.field(description="Whether the record is new.")
    citizen: Citizen | None = one(by={"municipality_id": "municipality_id", "id": "key"}, description="The citizen.")


@strawberry.type
class CitizenMutations:
    """Changes of citizens."""

    @strawberry.mutation(
        description="Find a citizen by CPR number; the look-up is logged. A mutation, so that the number is never "
        "part of an address. Role: Borgeropretter."
    )
    @rejecting
    async def find_citizen(
        self,
        info: strawberry.Info,
        input: Annotated[FindCitizenInput, strawberry.argument(description="Whom to look for.")],
    ) -> Annotated[
        CitizenFound | UnknownCitizen | InvalidCpr,
        strawberry.union("FindCitizenResult", description="The citizen, or why there is none."),
    ]:
        """Find a citizen."""
        async with info.context.change() as change:
            row = await citizens.find(change, input.cpr)
        return CitizenFound(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Find a citizen by CPR number, or register the citizen in the municipality. Role: Borgeropretter."
    )
    @rejecting
    async def register_citizen(
        self,
        info: strawberry.Info,
        input: Annotated[RegisterCitizenInput, strawberry.argument(description="Whom to find or register.")],
    ) -> Annotated[
        CitizenRegistered | InvalidCpr | NameMissing,
        strawberry.union("RegisterCitizenResult", description="The citizen, or why there is none."),
    ]:
        """Find or register a citizen."""
        async with info.context.change() as change:
            row, created = await citizens.register(change, input.cpr, input.given_name, input.family_name)
        return CitizenRegistered(municipality_id=row.municipality_id, key=row.id, created=created)
