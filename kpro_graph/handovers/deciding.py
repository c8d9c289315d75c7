"""What is decided about a hand-over: offered by one side; withdrawn by it, or accepted or declined by the other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from kpro_graph.access import HAND_OVER, Permission, reaches, require
from kpro_graph.catalogue import MunicipalityUnknown
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.execution.sources import Statement
from kpro_graph.handovers.moving import Move, NothingToHandOver
from kpro_graph.storage import tables
from kpro_graph.storage.crossing import cross, insert_offer
from kpro_graph.storage.database import Change

__all__ = [
    "AlreadyOffered",
    "HandOverClosed",
    "HandOverReasonMissing",
    "HandOverStatus",
    "accept",
    "decline",
    "offer",
    "withdraw",
]


class HandOverStatus(StrEnum):
    """How far a hand-over has come."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class HandOverReasonMissing(Rejected):
    """A history is offered for a reason that the receiving municipality reads."""

    code = "HAND_OVER_REASON_MISSING"
    da = "Skriv, hvorfor borgerens forløb overdrages (10 til 1000 tegn)."
    en = "Say why the citizen's history is handed over (10 to 1000 characters)."


class AlreadyOffered(Rejected):
    """The citizen's history is offered to another municipality already."""

    code = "ALREADY_OFFERED"
    da = "Borgerens forløb er allerede tilbudt en anden kommune. Træk det tilbud tilbage først."
    en = "The citizen's history is offered to another municipality already. Withdraw that offer first."


class HandOverClosed(Rejected):
    """The offer was declined, withdrawn or accepted before."""

    code = "HAND_OVER_CLOSED"
    da = "Overdragelsen er allerede afgjort."
    en = "The hand-over has been decided already."


# What both access logs say was handed over.
_GROUPS = ("hand_over", "episode", "consent", "assignment", "answers", "scores", "colours")


async def offer(change: Change, citizen_id: UUID | None, to_municipality: str, reason: str) -> tables.HandOver:
    """Offer what the actor's municipality holds of a citizen to another, by its four-digit code.

    The same offer again is the same offer; it moves nothing and opens nothing but itself.

    Raises:
        NotPermitted: the actor hands no history over.
        ReferenceUnknown: no such citizen here, or the municipality is the actor's own.
        MunicipalityUnknown, HandOverReasonMissing, NothingToHandOver, AlreadyOffered: see there.
    """
    actor = change.actor
    require(actor, Permission.HAND_OVER)
    reason = " ".join(reason.split())
    if not 10 <= len(reason) <= 1000:
        raise HandOverReasonMissing(path="reason")
    if not re.fullmatch(r"[0-9]{4}", to_municipality) or int(to_municipality) == tables.NATIONAL_LIBRARY:
        raise MunicipalityUnknown(path="toMunicipality")
    receiver = int(to_municipality)
    if receiver == actor.municipality:
        raise ReferenceUnknown(path="toMunicipality")
    here = {"municipality_id": actor.municipality}
    citizen = await tables.Citizen.filter(**here, id=citizen_id).using_db(change.using).first()
    if citizen is None:
        raise ReferenceUnknown(path="citizenId")
    held = tables.EpisodeOfCare.filter(**here, citizen_id=citizen.id, handed_over_to=None).using_db(change.using)
    if not await held.exists():
        raise NothingToHandOver(path="citizenId")
    row = tables.HandOver(
        municipality_id=actor.municipality,
        to_municipality_id=receiver,
        person_id=citizen.person_id,
        citizen_id=citizen.id,
        status=HandOverStatus.OFFERED.value,
        reason=reason,
        offered_by=actor.id,
        offered_at=datetime.now(UTC),
    )
    try:
        made = await insert_offer(change, row)
    except LookupError as error:
        raise MunicipalityUnknown(path="toMunicipality") from error
    if not made:
        present = (
            await tables.HandOver.filter(**here, citizen_id=citizen.id, status=HandOverStatus.OFFERED.value)
            .using_db(change.using)
            .first()
        )
        if present is None or present.to_municipality_id != receiver:
            raise AlreadyOffered(path="citizenId")
        change.saw(actor.municipality, citizen.id, ("hand_over",))
        return present
    change.saw(actor.municipality, citizen.id, ("hand_over",), action="create")
    change.record(Happened(EventType.HAND_OVER_OFFERED, "HandOver", row.id, citizen_id=citizen.id))
    return row


async def withdraw(change: Change, hand_over_id: UUID | None) -> tables.HandOver:
    """Take an offer back that nobody has accepted yet; to do so again changes nothing.

    Raises:
        NotPermitted: the actor hands no history over.
        ReferenceUnknown: the actor's municipality has made no such offer.
        HandOverClosed: it was accepted or declined.
    """
    row = await _seen(change, hand_over_id, "municipality_id")
    await _close(change, row, HandOverStatus.WITHDRAWN)
    change.saw(row.municipality_id, row.citizen_id, ("hand_over",), action="update")
    return row


async def decline(change: Change, hand_over_id: UUID | None) -> tables.HandOver:
    """Decline an offer, which leaves everything where it is; to do so again changes nothing.

    Raises:
        NotPermitted: the actor receives no history.
        ReferenceUnknown: no such offer of a citizen who has a record here.
        HandOverClosed: it was accepted or withdrawn.
    """
    row = await _seen(change, hand_over_id, "to_municipality_id")
    await _close(change, row, HandOverStatus.DECLINED)
    change.saw(change.actor.municipality, await _citizen_here(change, row), ("hand_over",), action="update")
    return row


async def accept(change: Change, hand_over_id: UUID | None, care_team_id: UUID | None) -> tables.HandOver:
    """Take over what is offered, for one care team of the actor's own units; to do so again changes nothing.

    Open assignments are revoked where they were and come as revoked; what was saved of an answer that was not submitted
    stays where it is, for the citizen alone. Open episodes come on hold: the care team reads nothing in them until the
    citizen consents here. What the other side holds when it is accepted is what is moved.

    Raises:
        NotPermitted: the actor receives no history.
        ReferenceUnknown: no such offer of a citizen who has a record here, or no such care team in the actor's units.
        HandOverClosed: it was declined or withdrawn.
        NothingToHandOver, QuestionnaireDiffers: see there; the offer stays open.
    """
    actor = change.actor
    row = await _seen(change, hand_over_id, "to_municipality_id")
    citizen_id = await _citizen_here(change, row)
    change.saw(actor.municipality, citizen_id, ("hand_over",))
    if row.status == HandOverStatus.ACCEPTED:
        return row
    if row.status != HandOverStatus.OFFERED:
        raise HandOverClosed(path="handOverId")
    team = (
        await tables.CareTeam.filter(municipality_id=actor.municipality, id=care_team_id, status="active")
        .using_db(change.using)
        .first()
    )
    if team is None or not reaches(
        actor,
        Permission.OPEN_EPISODES,
        citizen_id=citizen_id,
        care_team_id=team.id,
        organisation_unit_id=team.organisation_unit_id,
    ):
        raise ReferenceUnknown(path="careTeamId")
    async with cross(change, row.id, _GROUPS) as crossing:
        row.episodes, row.responses, row.revoked = await Move(change, crossing, team).run()
        await _decide(change, row, HandOverStatus.ACCEPTED)
    change.saw(actor.municipality, citizen_id, _GROUPS, action="create")
    change.record(
        Happened(EventType.HAND_OVER_ACCEPTED, "HandOver", row.id, citizen_id=citizen_id, care_team_id=team.id)
    )
    return row


async def _seen(change: Change, hand_over_id: UUID | None, side: str) -> tables.HandOver:
    """Return a hand-over on this side of which the actor's municipality stands; an open one is held until the end."""
    require(change.actor, Permission.HAND_OVER)
    statement = Statement()
    chosen = f"t.id = {statement.parameter(hand_over_id, 'uuid')}"
    chosen += f" AND t.{side} = {statement.parameter(change.actor.municipality, 'integer')}"
    visible = statement.condition(HAND_OVER.visible(change.actor), "t")
    found = await change.fetch(
        f"SELECT t.municipality_id FROM hand_over t WHERE {chosen} AND ({visible})",  # noqa: S608  # names of our own
        statement.parameters,
    )
    if not found:
        raise ReferenceUnknown(path="handOverId")
    key = {"municipality_id": found[0]["municipality_id"], "id": hand_over_id}
    held = tables.HandOver.filter(**key, status=HandOverStatus.OFFERED.value).using_db(change.using)
    # Whoever waited here finds it decided.
    return await held.select_for_update().first() or await tables.HandOver.get(**key, using_db=change.using)


async def _citizen_here(change: Change, row: tables.HandOver) -> UUID:
    citizen = await tables.Citizen.get(
        municipality_id=change.actor.municipality, person_id=row.person_id, using_db=change.using
    )
    return citizen.id


async def _close(change: Change, row: tables.HandOver, status: HandOverStatus) -> None:
    if row.status == HandOverStatus.OFFERED:
        await _decide(change, row, status)
    elif row.status != status:
        raise HandOverClosed(path="handOverId")


async def _decide(change: Change, row: tables.HandOver, status: HandOverStatus) -> None:
    row.status, row.decided_by, row.decided_at = status.value, change.actor.id, datetime.now(UTC)
    await (
        tables.HandOver.filter(municipality_id=row.municipality_id, id=row.id)
        .using_db(change.using)
        .update(
            status=row.status,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
            episodes=row.episodes,
            responses=row.responses,
            revoked=row.revoked,
        )
    )
