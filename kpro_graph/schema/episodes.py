"""Episodes of care: where a citizen, a care team and their questionnaires meet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from kpro_graph import access, episodes
from kpro_graph.episodes import EpisodeStatus, LegalBasis
from kpro_graph.execution import (
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
    node_id,
    one,
)
from kpro_graph.execution.ids import decode
from kpro_graph.responses import Colour
from kpro_graph.schema.failures import NotActive, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import CareTeam

if TYPE_CHECKING:
    from kpro_graph.schema.assignments import Assignment
    from kpro_graph.schema.citizens import Citizen
    from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["EpisodeMutations", "EpisodeOfCare", "EpisodeQueries"]

LATEST_SUBMITTED = Order((Term("{t}.submitted_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
LATEST_ASSIGNED = Order((Term("{t}.assigned_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
_COLOURS = (Colour.NOT_INTERPRETED, Colour.GREEN, Colour.YELLOW, Colour.RED)


async def _urgency(rows: Sequence[Any], info: Any) -> list[Colour | None]:
    actor = info.context.actor
    return [
        _COLOURS[row.row["urgency"]] if access.sees_colours_of(actor, row.row["care_team_id"]) else None for row in rows
    ]


@strawberry.type(description="Et forløb. A citizen's course with a care team, on a legal basis.")
class EpisodeOfCare(Node, Row):
    """An episode of care."""

    source = access.EPISODE
    prefix = "epi"
    group = "episode"

    id: strawberry.ID = node_id("The episode's id.")
    status: EpisodeStatus = column(convert=EpisodeStatus, description="Where the episode is in its life.")
    legal_basis: LegalBasis = column(convert=LegalBasis, description="The act the citizen's data is treated under.")
    reason_code: str = column(
        allowed=access.may_have_answers, description="Why the citizen is followed (SKS code); not for every system."
    )
    started_at: datetime = column(description="When the episode began.")
    ended_at: datetime | None = column(description="When the episode ended; null while it goes on.")
    last_response_at: datetime | None = column(description="When the citizen last submitted answers in this episode.")
    urgency: Colour | None = batched(
        _urgency,
        "urgency",
        "care_team_id",
        group="colours",
        description="The worst colour among the latest responses to each questionnaire; null for those who do not read "
        "the team's answers.",
    )
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"}, description="The citizen."
    )
    care_team: CareTeam | None = one(
        by={"municipality_id": "municipality_id", "id": "care_team_id"},
        description="The care team; null for those who may not see teams.",
    )
    latest_responses: list[Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")]] = (
        latest_per(
            "questionnaire_url",
            by={"municipality_id": "municipality_id", "episode_id": "id"},
            where=Condition("{t}.submitted_at IS NOT NULL AND NOT {t}.superseded"),
            order=LATEST_SUBMITTED,
            description="The latest response to each questionnaire answered in this episode, newest first.",
        )
    )
    assignments: Connection[Annotated["Assignment", strawberry.lazy("kpro_graph.schema.assignments")]] = connection(
        by={"municipality_id": "municipality_id", "episode_id": "id"},
        order=LATEST_ASSIGNED,
        description="The questionnaires assigned in this episode, newest first.",
    )


@strawberry.type
class EpisodeQueries:
    """Look-ups of episodes."""

    episode_of_care: EpisodeOfCare | None = one(
        arguments=[by_id("epi", "The episode's id.")],
        description="An episode of care; null when there is none that you may see.",
    )


@strawberry.input(description="What an episode of care begins with.")
class OpenEpisodeOfCareInput:
    """Input of openEpisodeOfCare."""

    citizen_id: strawberry.ID = strawberry.field(description="The citizen.")
    care_team_id: strawberry.ID = strawberry.field(description="A care team of your own units.")
    legal_basis: LegalBasis = strawberry.field(description="The act the citizen's data is treated under.")
    reason_code: str = strawberry.field(description="One of the care team's reason codes (SKS).")


@strawberry.type(description="The episode is open.")
class EpisodeOfCareOpened:
    """Success of openEpisodeOfCare."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    episode_of_care: EpisodeOfCare | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The new episode."
    )


@strawberry.type
class EpisodeMutations:
    """Changes of episodes."""

    @strawberry.mutation(description="Open an episode of care for a citizen. Role: Borgeropretter.")
    @rejecting
    async def open_episode_of_care(
        self,
        info: strawberry.Info,
        input: Annotated[OpenEpisodeOfCareInput, strawberry.argument(description="What it begins with.")],
    ) -> Annotated[
        EpisodeOfCareOpened | UnknownReference | NotActive,
        strawberry.union("OpenEpisodeOfCareResult", description="The episode, or why it could not be opened."),
    ]:
        """Open an episode."""
        async with info.context.change() as change:
            row = await episodes.open_episode(
                change,
                decode("cit", input.citizen_id),
                decode("team", input.care_team_id),
                input.legal_basis,
                input.reason_code,
            )
        return EpisodeOfCareOpened(municipality_id=row.municipality_id, key=row.id)
