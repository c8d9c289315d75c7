"""Episodes of care: where a citizen, a care team and their questionnaires meet."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, episodes
from kpro_graph.episodes import ConsentGiven, ConsentManner, EpisodeStatus, LegalBasis
from kpro_graph.execution import (
    Condition,
    Connection,
    Order,
    Row,
    Term,
    by_id,
    column,
    connection,
    latest_per,
    many,
    node_id,
    one,
)
from kpro_graph.execution.ids import decode
from kpro_graph.responses import Colour
from kpro_graph.schema.failures import ConsentMissing, ConsentTimeInvalid, NotActive, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import CareTeam
from kpro_graph.schema.scalars import described

if TYPE_CHECKING:
    from kpro_graph.schema.assignments import Assignment
    from kpro_graph.schema.citizens import Citizen
    from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["EpisodeMutations", "EpisodeOfCare", "EpisodeQueries"]

LATEST_SUBMITTED = Order((Term("{t}.submitted_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
LATEST_ASSIGNED = Order((Term("{t}.assigned_at", "timestamptz", True), Term("{t}.id", "uuid", True)))
_COLOURS = (Colour.NOT_INTERPRETED, Colour.GREEN, Colour.YELLOW, Colour.RED)


class ConsentDecision(Enum):
    """A decision."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"


described(
    ConsentDecision,
    "Whether consent was given or withdrawn.",
    {ConsentDecision.GIVEN: "The citizen consents.", ConsentDecision.WITHDRAWN: "The citizen takes it back."},
)


@strawberry.type(description="Et samtykke. What a citizen decided about an episode, and when.")
class Consent(Row):
    """A decision about consent."""

    source = access.CONSENT
    prefix = "con"
    group = "consent"

    decision: ConsentDecision = column(convert=ConsentDecision, description="Given or withdrawn.")
    manner: ConsentManner = column(convert=ConsentManner, description="How the citizen said so.")
    decided_at: datetime = column(description="When.")
    expires_at: datetime | None = column(description="When a given consent ends by itself; null: it does not.")


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
    consented_until: datetime | None = column(
        description="Until when the citizen's consent holds; null when none is in force or it was withdrawn."
    )
    colours_shown: bool = column(description="Whether the citizen is shown the colours, scores and their reasons.")
    hidden_from_guardians: bool = column(description="Whether a guardian is kept from seeing the episode.")
    last_response_at: datetime | None = column(
        shown=access.activity_shown,
        description="When the citizen last submitted answers in this episode; null for those who do not read them.",
    )
    urgency: Colour | None = column(
        group="colours",
        convert=lambda number: _COLOURS[number],
        shown=access.urgency_shown,
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
    consents: list[Consent] = many(
        by={"municipality_id": "municipality_id", "episode_id": "id"},
        order=Order((Term("{t}.decided_at", "timestamptz", True), Term("{t}.id", "uuid", True))),
        description="What the citizen decided about the episode, the latest first.",
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


@strawberry.input(description="A consent the citizen has given.")
class ConsentInput:
    """A consent."""

    manner: ConsentManner = strawberry.field(description="How the citizen gave it.")
    given_at: datetime | None = strawberry.field(default=None, description="When, with time zone; left out, now.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it ends by itself, with time zone; left out, it does not."
    )

    def as_given(self) -> ConsentGiven:
        """Return what was written down."""
        return ConsentGiven(self.manner, self.given_at, self.expires_at)


@strawberry.input(description="Consent to an episode of care.")
class GiveConsentInput:
    """Input of giveConsent."""

    episode_of_care_id: strawberry.ID = strawberry.field(description="An episode that has not ended.")
    consent: ConsentInput = strawberry.field(description="What the citizen said.")


@strawberry.input(description="Consent to take back.")
class WithdrawConsentInput:
    """Input of withdrawConsent."""

    episode_of_care_id: strawberry.ID = strawberry.field(description="An episode that has not ended.")
    manner: ConsentManner = strawberry.field(description="How the citizen withdrew it.")


@strawberry.input(description="What of an episode is shown to whom; left out stays as it is.")
class SetEpisodePolicyInput:
    """Input of setEpisodePolicy."""

    episode_of_care_id: strawberry.ID = strawberry.field(description="An episode of your own care teams.")
    colours_shown: bool | None = strawberry.field(
        default=None, description="Whether the citizen is shown colours, scores and their reasons."
    )
    hidden_from_guardians: bool | None = strawberry.field(
        default=None, description="Whether a guardian is kept from seeing the episode."
    )


@strawberry.type(description="The episode after a decision about it.")
class EpisodeOfCareDecided:
    """Success of giveConsent, withdrawConsent and setEpisodePolicy."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    episode_of_care: EpisodeOfCare | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The episode."
    )


@strawberry.input(description="What an episode of care begins with.")
class OpenEpisodeOfCareInput:
    """Input of openEpisodeOfCare."""

    citizen_id: strawberry.ID = strawberry.field(description="The citizen.")
    care_team_id: strawberry.ID = strawberry.field(description="A care team of your own units.")
    legal_basis: LegalBasis = strawberry.field(description="The act the citizen's data is treated under.")
    reason_code: str = strawberry.field(description="One of the care team's reason codes (SKS).")
    consent: ConsentInput | None = strawberry.field(
        default=None, description="The citizen's consent; without it the episode is planned and waits for it."
    )


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
        EpisodeOfCareOpened | UnknownReference | NotActive | ConsentTimeInvalid,
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
                input.consent.as_given() if input.consent is not None else None,
            )
        return EpisodeOfCareOpened(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Record that a citizen consents to an episode, which then is active. Role: Borgeropretter; "
        "the citizen for themselves."
    )
    @rejecting
    async def give_consent(
        self,
        info: strawberry.Info,
        input: Annotated[GiveConsentInput, strawberry.argument(description="What was said.")],
    ) -> Annotated[
        EpisodeOfCareDecided | UnknownReference | ConsentTimeInvalid,
        strawberry.union("GiveConsentResult", description="The episode, or why nothing was recorded."),
    ]:
        """Give consent."""
        async with info.context.change() as change:
            row = await episodes.give_consent(change, decode("epi", input.episode_of_care_id), input.consent.as_given())
        return EpisodeOfCareDecided(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Record that a citizen withdraws consent: nobody but the citizen reads answers from now on. "
        "Role: Borgeropretter; the citizen for themselves."
    )
    @rejecting
    async def withdraw_consent(
        self,
        info: strawberry.Info,
        input: Annotated[WithdrawConsentInput, strawberry.argument(description="What was said.")],
    ) -> Annotated[
        EpisodeOfCareDecided | UnknownReference | ConsentMissing,
        strawberry.union("WithdrawConsentResult", description="The episode, or why nothing was recorded."),
    ]:
        """Withdraw consent."""
        async with info.context.change() as change:
            row = await episodes.withdraw_consent(change, decode("epi", input.episode_of_care_id), input.manner)
        return EpisodeOfCareDecided(municipality_id=row.municipality_id, key=row.id)

    @strawberry.mutation(
        description="Decide whether a citizen is shown the colours of an episode and whether guardians see it. "
        "Roles: Klinisk se-adgang and Monitoreringsmedhjælper in their teams."
    )
    @rejecting
    async def set_episode_policy(
        self,
        info: strawberry.Info,
        input: Annotated[SetEpisodePolicyInput, strawberry.argument(description="What is decided.")],
    ) -> Annotated[
        EpisodeOfCareDecided | UnknownReference,
        strawberry.union("SetEpisodePolicyResult", description="The episode, or why nothing was decided."),
    ]:
        """Set a policy."""
        async with info.context.change() as change:
            row = await episodes.set_policy(
                change,
                decode("epi", input.episode_of_care_id),
                colours_shown=input.colours_shown,
                hidden_from_guardians=input.hidden_from_guardians,
            )
        return EpisodeOfCareDecided(municipality_id=row.municipality_id, key=row.id)
