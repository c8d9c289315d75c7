"""Episodes of care: a citizen's course with a care team, on a legal basis, under one municipality's responsibility."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from kpro_graph.access import Permission, reaches, require
from kpro_graph.actors import Actor, RepresentationKind
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = [
    "UNLIMITED",
    "ConsentGiven",
    "ConsentManner",
    "ConsentMissing",
    "ConsentTimeInvalid",
    "EpisodeNotActive",
    "EpisodeStatus",
    "LegalBasis",
    "ReferenceUnknown",
    "give_consent",
    "hidden_from",
    "need_consent",
    "open_episode",
    "reached",
    "set_policy",
    "withdraw_consent",
]


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


class ConsentMissing(Rejected):
    """The citizen's consent to the episode was never given, has expired or was withdrawn."""

    code = "CONSENT_MISSING"
    da = "Der er ikke et gyldigt samtykke til forløbet."
    en = "There is no consent in force to the episode of care."


class ConsentTimeInvalid(Rejected):
    """A consent expires after it is given, is not given in the future, and is not older than its withdrawal."""

    code = "CONSENT_TIME_INVALID"
    da = "Samtykket skal udløbe efter, at det er givet, og kan hverken gives i fremtiden eller før det, det afløser."
    en = "A consent expires after it is given, and is given neither in the future nor before what it replaces."


class ConsentManner(StrEnum):
    """How a citizen told their decision."""

    ORAL = "oral"
    WRITTEN = "written"
    DIGITAL = "digital"


UNLIMITED = datetime(9999, 12, 31, tzinfo=UTC)
"""Until when a consent without an end holds."""

_OPEN = (EpisodeStatus.PLANNED, EpisodeStatus.WAITLIST, EpisodeStatus.ACTIVE, EpisodeStatus.ON_HOLD)


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    """A consent as staff write it down. ``given_at`` None is now; ``expires_at`` None is without end."""

    manner: ConsentManner
    given_at: datetime | None = None
    expires_at: datetime | None = None


async def open_episode(
    change: Change,
    citizen_id: UUID | None,
    care_team_id: UUID | None,
    legal_basis: LegalBasis,
    reason_code: str,
    consent: ConsentGiven | None = None,
) -> tables.EpisodeOfCare:
    """Open an episode for a citizen with a care team of the actor's own: planned, or active when consent is given.

    Raises:
        NotPermitted: the actor may not open episodes.
        ReferenceUnknown: no such citizen or care team for this actor, or the team does not treat for this reason.
        ConsentTimeInvalid: see there.
    """
    actor = change.actor
    require(actor, Permission.OPEN_EPISODES)
    citizen = (
        await tables.Citizen.filter(municipality_id=actor.municipality, id=citizen_id).using_db(change.using).first()
    )
    if citizen is None:
        raise ReferenceUnknown(path="citizenId")
    team = (
        await tables.CareTeam.filter(municipality_id=actor.municipality, id=care_team_id, status="active")
        .using_db(change.using)
        .first()
    )
    if team is None or not reaches(
        actor,
        Permission.OPEN_EPISODES,
        citizen_id=citizen.id,
        care_team_id=team.id,
        organisation_unit_id=team.organisation_unit_id,
    ):
        raise ReferenceUnknown(path="careTeamId")
    if reason_code not in team.reason_codes:
        raise ReferenceUnknown(path="reasonCode")
    episode = await tables.EpisodeOfCare.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        citizen_id=citizen.id,
        care_team_id=team.id,
        organisation_unit_id=team.organisation_unit_id,
        status=EpisodeStatus.PLANNED.value,
        legal_basis=legal_basis.value,
        reason_code=reason_code,
        started_at=datetime.now(UTC),
        opened_by=actor.id,
    )
    if consent is not None:
        await _note(change, episode, consent)
    change.saw(actor.municipality, citizen.id, ("episode",), action="create")
    change.record(
        Happened(EventType.EPISODE_OPENED, "EpisodeOfCare", episode.id, citizen_id=citizen.id, care_team_id=team.id)
    )
    return episode


async def give_consent(change: Change, episode_id: UUID | None, consent: ConsentGiven) -> tables.EpisodeOfCare:
    """Write down that the citizen consents; an episode that waited for it, or was paused without it, is active.

    One that has finished stays so, and what was answered in it can be read again.

    Raises:
        NotPermitted: the actor may not record consent.
        ReferenceUnknown: no such episode for this actor, or it was called off.
        ConsentTimeInvalid: see there.
    """
    episode = await _held(change, episode_id, Permission.RECORD_CONSENT, EpisodeStatus.FINISHED)
    await _note(change, episode, consent)
    change.saw(episode.municipality_id, episode.citizen_id, ("consent",), action="update")
    return episode


async def withdraw_consent(change: Change, episode_id: UUID | None, manner: ConsentManner) -> tables.EpisodeOfCare:
    """Write down that the citizen withdraws: from now on the care team reads no answers, and the episode is on hold.

    Raises:
        NotPermitted: the actor may not record consent.
        ReferenceUnknown: no such open episode for this actor.
        ConsentMissing: there is none to withdraw.
    """
    episode = await _held(change, episode_id, Permission.RECORD_CONSENT, EpisodeStatus.FINISHED)
    if episode.consented_until is None:
        raise ConsentMissing(path="episodeOfCareId")
    await _decided(change, episode, "withdrawn", manner, datetime.now(UTC), None)
    episode.consented_until = None
    if episode.status == EpisodeStatus.ACTIVE:
        episode.status = EpisodeStatus.ON_HOLD.value
    await episode.save(using_db=change.using, update_fields=["consented_until", "status"])
    change.saw(episode.municipality_id, episode.citizen_id, ("consent",), action="update")
    change.record(_happened(EventType.CONSENT_WITHDRAWN, episode))
    return episode


async def set_policy(
    change: Change, episode_id: UUID | None, *, colours_shown: bool | None, hidden_from_guardians: bool | None
) -> tables.EpisodeOfCare:
    """Decide what of an episode the citizen is shown and whether guardians see it; None leaves it as it is.

    Raises:
        NotPermitted: the actor may not decide it.
        ReferenceUnknown: no such open episode for this actor.
    """
    episode = await _held(change, episode_id, Permission.SET_POLICY)
    if colours_shown is not None:
        episode.colours_shown = colours_shown
    if hidden_from_guardians is not None:
        episode.hidden_from_guardians = hidden_from_guardians
    await episode.save(using_db=change.using, update_fields=["colours_shown", "hidden_from_guardians"])
    change.saw(episode.municipality_id, episode.citizen_id, ("episode",), action="update")
    return episode


async def hidden_from(change: Change, actor: Actor, municipality: int, episode_id: UUID) -> bool:
    """Say whether an episode is hidden from this actor because a guardian must not know of it."""
    if actor.representation is not RepresentationKind.GUARDIAN:
        return False
    seen = await change.fetch(
        "SELECT FROM episode_of_care WHERE municipality_id = $1 AND id = $2 AND NOT hidden_from_guardians",
        (municipality, episode_id),
    )
    return not seen


async def need_consent(change: Change, municipality: int, episode_id: UUID, path: str) -> None:
    """Refuse to store answers in an episode without a consent in force.

    Raises:
        ConsentMissing: what was saved so far is kept.
    """
    held = await change.fetch(
        "SELECT FROM episode_of_care WHERE municipality_id = $1 AND id = $2 AND consented_until > now()"
        " AND handed_over_to IS NULL",
        (municipality, episode_id),
    )
    if not held:
        raise ConsentMissing(path=path)


def reached(actor: Actor, permission: Permission, episode: tables.EpisodeOfCare) -> bool:
    """Say whether the actor's permission reaches this episode."""
    return reaches(
        actor,
        permission,
        citizen_id=episode.citizen_id,
        care_team_id=episode.care_team_id,
        organisation_unit_id=episode.organisation_unit_id,
    )


async def _held(
    change: Change, episode_id: UUID | None, permission: Permission, *ended: EpisodeStatus
) -> tables.EpisodeOfCare:
    """Return an episode the actor's permission reaches, held so that nobody else decides about it meanwhile.

    It is open, or has ended in one of the ways named.
    """
    require(change.actor, permission)
    episode = (
        await tables.EpisodeOfCare.filter(
            municipality_id=change.actor.municipality,
            id=episode_id,
            status__in=[status.value for status in (*_OPEN, *ended)],
            handed_over_to=None,
        )
        .using_db(change.using)
        .select_for_update()
        .first()
    )
    if episode is None or not reached(change.actor, permission, episode):
        raise ReferenceUnknown(path="episodeOfCareId")
    return episode


async def _note(change: Change, episode: tables.EpisodeOfCare, consent: ConsentGiven) -> None:
    now = datetime.now(UTC)
    given_at = consent.given_at or now
    if given_at.tzinfo is None or given_at > now:
        raise ConsentTimeInvalid(path="consent.givenAt")
    if consent.expires_at is not None and (
        consent.expires_at.tzinfo is None or consent.expires_at <= max(given_at, now)
    ):
        raise ConsentTimeInvalid(path="consent.expiresAt")
    decided = await change.fetch(
        "SELECT max(decided_at) AS last FROM consent WHERE municipality_id = $1 AND episode_id = $2",
        (episode.municipality_id, episode.id),
    )
    # What was said earlier cannot undo what was said later.
    if decided[0]["last"] is not None and given_at < decided[0]["last"]:
        raise ConsentTimeInvalid(path="consent.givenAt")
    await _decided(change, episode, "given", consent.manner, given_at, consent.expires_at)
    episode.consented_until = consent.expires_at or UNLIMITED
    if episode.status != EpisodeStatus.FINISHED:
        episode.status = EpisodeStatus.ACTIVE.value
    await episode.save(using_db=change.using, update_fields=["consented_until", "status"])
    change.record(_happened(EventType.CONSENT_GIVEN, episode))


async def _decided(
    change: Change,
    episode: tables.EpisodeOfCare,
    decision: str,
    manner: ConsentManner,
    decided_at: datetime,
    expires_at: datetime | None,
) -> None:
    await tables.Consent.create(
        using_db=change.using,
        municipality_id=episode.municipality_id,
        citizen_id=episode.citizen_id,
        episode_id=episode.id,
        decision=decision,
        manner=manner.value,
        decided_at=decided_at,
        expires_at=expires_at,
        recorded_kind=change.actor.kind.value,
        recorded_by=change.actor.id,
    )


def _happened(type_: EventType, episode: tables.EpisodeOfCare) -> Happened:
    return Happened(
        type_, "EpisodeOfCare", episode.id, citizen_id=episode.citizen_id, care_team_id=episode.care_team_id
    )
