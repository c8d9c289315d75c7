"""Episodes of care: a citizen's course with a care team, on a legal basis, under one municipality's responsibility."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from kpro_graph.access import require
from kpro_graph.actors import Role
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["EpisodeNotActive", "EpisodeStatus", "LegalBasis", "ReferenceUnknown", "open_episode"]


class EpisodeStatus(StrEnum):
    """Where an episode is in its life (FHIR EpisodeOfCare.status)."""

    PLANNED = "planned"
    WAITLIST = "waitlist"
    ACTIVE = "active"
    ON_HOLD = "onhold"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


class LegalBasis(StrEnum):
    """The act a municipality treats the citizen's data under (FUT legal basis)."""

    HEALTH_ACT = "sundhedsloven"
    SERVICE_ACT = "serviceloven"
    ELDERLY_ACT = "aeldreloven"


class ReferenceUnknown(Rejected):
    """An id in the input refers to nothing that exists for this actor."""

    code = "REFERENCE_UNKNOWN"
    da = "Det, der henvises til, findes ikke."
    en = "What is referred to does not exist."


class EpisodeNotActive(Rejected):
    """Nothing new can be started in an episode that is not active."""

    code = "EPISODE_NOT_ACTIVE"
    da = "Forløbet er ikke aktivt."
    en = "The episode of care is not active."


async def open_episode(
    change: Change, citizen_id: UUID | None, care_team_id: UUID | None, legal_basis: LegalBasis, reason_code: str
) -> tables.EpisodeOfCare:
    """Open an active episode for a citizen with a care team of the actor's own units.

    Raises:
        NotPermitted: the actor may not enrol citizens.
        ReferenceUnknown: no such citizen or care team for this actor, or the team does not treat for this reason.
    """
    actor = change.actor
    require(actor, Role.CITIZEN_ENROLLER)
    citizen = (
        await tables.Citizen.filter(municipality_id=actor.municipality, id=citizen_id).using_db(change.using).first()
    )
    if citizen is None:
        raise ReferenceUnknown(path="citizenId")
    team = (
        await tables.CareTeam.filter(
            municipality_id=actor.municipality,
            id=care_team_id,
            status="active",
            organisation_unit_id__in=actor.units(Role.CITIZEN_ENROLLER),
        )
        .using_db(change.using)
        .first()
    )
    if team is None:
        raise ReferenceUnknown(path="careTeamId")
    if reason_code not in team.reason_codes:
        raise ReferenceUnknown(path="reasonCode")
    episode = await tables.EpisodeOfCare.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        citizen_id=citizen.id,
        care_team_id=team.id,
        organisation_unit_id=team.organisation_unit_id,
        status=EpisodeStatus.ACTIVE.value,
        legal_basis=legal_basis.value,
        reason_code=reason_code,
        started_at=datetime.now(UTC),
        opened_by=actor.id,
    )
    change.saw(actor.municipality, citizen.id, ("episode",), action="create")
    change.record(
        Happened(EventType.EPISODE_OPENED, "EpisodeOfCare", episode.id, citizen_id=citizen.id, care_team_id=team.id)
    )
    return episode
