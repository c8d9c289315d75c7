"""Emergency access (værdispring): a record opened without consent or team, with a reason, for a while, and reviewed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from kpro_graph import citizens
from kpro_graph.access import Permission, require
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["LASTS", "AlreadyReviewed", "EmergencyReasonMissing", "OwnEmergency", "Verdict", "open_record", "review"]

LASTS = timedelta(hours=1)
"""How long a record stays open; who needs it longer says so again, and is seen to."""


class Verdict(StrEnum):
    """What a security officer found about an emergency access."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


class EmergencyReasonMissing(Rejected):
    """A record is opened for a reason that the citizen and the security officer will read."""

    code = "EMERGENCY_REASON_MISSING"
    da = "Skriv, hvorfor det er nødvendigt at åbne borgerens oplysninger (10 til 1000 tegn)."
    en = "Say why it is necessary to open the citizen's record (10 to 1000 characters)."


class AlreadyReviewed(Rejected):
    """An emergency access is reviewed once."""

    code = "ALREADY_REVIEWED"
    da = "Værdispringet er allerede gennemgået."
    en = "The emergency access has been reviewed already."


class OwnEmergency(Rejected):
    """Nobody reviews what they opened themselves."""

    code = "OWN_EMERGENCY"
    da = "Du kan ikke gennemgå dit eget værdispring; det gør en anden sikkerhedsmedarbejder."
    en = "You cannot review your own emergency access; another security officer does."


async def open_record(change: Change, number: str, reason: str) -> tables.EmergencyAccess:
    """Open the record of the citizen with this CPR number to the actor for `LASTS`.

    Raises:
        NotPermitted: the actor never reads answers, so no emergency lets them.
        CprInvalid, CitizenUnknown, EmergencyReasonMissing: see there.
    """
    actor = change.actor
    require(actor, Permission.OPEN_IN_EMERGENCY)
    reason = " ".join(reason.split())
    if not 10 <= len(reason) <= 1000:
        raise EmergencyReasonMissing(path="reason")
    try:
        citizen = await citizens.by_number(change, number)
    except citizens.CitizenUnknown:
        # Trying numbers out leaves its trace here as it does where citizens are looked up.
        change.saw_nobody("search", ("emergency",))
        raise
    now = datetime.now(UTC)
    row = await tables.EmergencyAccess.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        citizen_id=citizen.id,
        employee_id=actor.id,
        organisation_unit_id=actor.organisation_unit,
        reason=reason,
        opened_at=now,
        expires_at=now + LASTS,
    )
    # Opening is itself logged with the mark of an emergency.
    change.actor = replace(actor, opened=(*actor.opened, citizen.id))
    change.saw(actor.municipality, citizen.id, ("emergency",), action="create")
    change.record(Happened(EventType.RECORD_OPENED_IN_EMERGENCY, "EmergencyAccess", row.id, citizen_id=citizen.id))
    return row


async def review(change: Change, access_id: UUID | None, verdict: Verdict, note: str) -> tables.EmergencyAccess:
    """Write down what a security officer found.

    Raises:
        NotPermitted: the actor is no security officer.
        ReferenceUnknown: no such emergency access in the municipality.
        AlreadyReviewed, OwnEmergency: see there.
    """
    actor = change.actor
    require(actor, Permission.REVIEW_EMERGENCIES)
    row = (
        await tables.EmergencyAccess.filter(municipality_id=actor.municipality, id=access_id)
        .using_db(change.using)
        .select_for_update()
        .first()
    )
    if row is None:
        raise ReferenceUnknown(path="emergencyAccessId")
    if row.employee_id == actor.id:
        raise OwnEmergency(path="emergencyAccessId")
    if row.verdict is not None:
        raise AlreadyReviewed(path="emergencyAccessId")
    row.verdict, row.note = verdict.value, " ".join(note.split())[:1000] or None
    row.reviewed_by, row.reviewed_at = actor.id, datetime.now(UTC)
    fields = ["verdict", "note", "reviewed_by", "reviewed_at"]
    await row.save(using_db=change.using, update_fields=fields)
    change.saw(actor.municipality, row.citizen_id, ("emergency",), action="update")
    return row
