"""Representations: who may act for a citizen, by what right, for how long, and what they may do; recorded by staff."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from kpro_graph import citizens, cpr
from kpro_graph.access import Permission, require
from kpro_graph.actors import RepresentationKind, Right
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.errors import Rejected
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["RepresentationInvalid", "end", "register"]


class RepresentationInvalid(Rejected):
    """Nobody represents themselves, by no right at all, until a time that has passed, or by their own recording."""

    code = "REPRESENTATION_INVALID"
    da = "Fuldmagten eller værgemålet mangler rettigheder, er udløbet eller gælder borgeren selv eller dig selv."
    en = "The representation gives no right, has expired, or is of the citizen themselves or of yourself."


async def register(
    change: Change,
    citizen_id: UUID | None,
    number: str,
    name: str,
    kind: RepresentationKind,
    rights: frozenset[Right],
    valid_until: datetime | None,
) -> tables.Representation:
    """Write down that the person with this CPR number may act for a citizen from now on.

    Raises:
        NotPermitted: the actor may not write it down.
        ReferenceUnknown: no such citizen in the municipality.
        CprInvalid, NameMissing, RepresentationInvalid: see there.
    """
    actor = change.actor
    require(actor, Permission.REGISTER_REPRESENTATION)
    parsed = cpr.parse(number)
    name = " ".join(name.split())
    if not 0 < len(name) <= 200:
        raise citizens.NameMissing(path="name")
    now = datetime.now(UTC)
    if not rights:
        raise RepresentationInvalid(path="rights")
    if valid_until is not None and (valid_until.tzinfo is None or valid_until <= now):
        raise RepresentationInvalid(path="validUntil")
    citizen = (
        await tables.Citizen.filter(municipality_id=actor.municipality, id=citizen_id).using_db(change.using).first()
    )
    if citizen is None:
        raise ReferenceUnknown(path="citizenId")
    person = await citizens.person(change, parsed.digits)
    if person == citizen.person_id or await _is_own(change, parsed.digits):
        raise RepresentationInvalid(path="cpr")
    row = await tables.Representation.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        citizen_id=citizen.id,
        representative_id=person,
        kind=kind.value,
        may_read=Right.READ in rights,
        may_answer=Right.ANSWER in rights,
        name=name,
        valid_from=now,
        valid_until=valid_until,
        recorded_by=actor.id,
    )
    change.saw(actor.municipality, citizen.id, ("representation",), action="create")
    return row


async def end(change: Change, representation_id: UUID | None) -> tables.Representation:
    """End a representation now; what was done by it stays.

    Raises:
        NotPermitted: the actor may not write it down.
        ReferenceUnknown: no such representation that has not ended already.
    """
    actor = change.actor
    require(actor, Permission.REGISTER_REPRESENTATION)
    row = (
        await tables.Representation.filter(municipality_id=actor.municipality, id=representation_id, ended_at=None)
        .using_db(change.using)
        # Whoever ends it at the same time waits, and finds it ended.
        .select_for_update()
        .first()
    )
    if row is None:
        raise ReferenceUnknown(path="representationId")
    row.ended_at = datetime.now(UTC)
    await row.save(using_db=change.using, update_fields=["ended_at"])
    change.saw(actor.municipality, row.citizen_id, ("representation",), action="update")
    return row


async def _is_own(change: Change, digits: str) -> bool:
    """Say whether the number is that of the employee who acts: staff give nobody's answers to themselves."""
    rows = await change.fetch(
        "SELECT cpr_sealed FROM employee WHERE municipality_id = $1 AND id = $2 AND cpr_sealed IS NOT NULL",
        (change.actor.municipality, change.actor.id),
    )
    return any(change.cipher.unseal(row["cpr_sealed"], change.actor.id) == digits for row in rows)
