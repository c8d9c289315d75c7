"""The one way over the wall between two municipalities: while a hand-over is accepted, and for nothing else.

Everybody else's session sees one municipality from beginning to end. A crossing reads the offer within the receiver's
own municipality, opens exactly the two it names, and closes again; what was done in it stands only if the offer stands
accepted by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from kpro_graph.errors import NotFound
from kpro_graph.events import EventType
from kpro_graph.storage import log
from kpro_graph.storage.database import Change
from kpro_graph.storage.tables import Event, HandOver

__all__ = ["Crossing", "cross", "insert_offer"]

# Locked: whoever withdraws at the same time waits, and finds it decided.
_OFFERED = """
SELECT h.municipality_id AS giver, h.citizen_id AS given, c.id AS received
FROM hand_over h JOIN citizen c ON c.municipality_id = h.to_municipality_id AND c.person_id = h.person_id
WHERE h.id = $1 AND h.to_municipality_id = $2 AND h.status = 'offered'
FOR UPDATE OF h
"""
_ACCEPTED = """
SELECT FROM hand_over
WHERE municipality_id = $1 AND id = $2 AND to_municipality_id = $3 AND status = 'accepted' AND decided_by = $4
"""
_SCOPE = "SELECT set_config('kpro.municipalities', $1, true)"


@dataclass(frozen=True, slots=True)
class Crossing:
    """An offer that is being accepted: from which municipality's record of the citizen to which."""

    hand_over_id: UUID
    giver: int
    given: UUID
    receiver: int
    received: UUID


@asynccontextmanager
async def cross(change: Change, hand_over_id: UUID, groups: Iterable[str]) -> AsyncIterator[Crossing]:
    """Open the change to the municipality that offers a history to the actor's, until the block ends.

    The block accepts the offer. The giving municipality then gets its line of the access log, which names these groups
    of fields, and its event in the same transaction. An exception in the block takes back what was done in it, and the
    way over.

    Raises:
        NotFound: nobody offers that to the actor's municipality, or the citizen has no record there.
        RuntimeError: the block ended without the offer being accepted by the actor; nothing stands.
    """
    receiver = change.actor.municipality
    # A savepoint, so that an exception somebody answers further out does not leave the way open.
    async with change._connection.transaction():
        found = await change.fetch(_OFFERED, (hand_over_id, receiver))
        if not found:
            raise NotFound("no such offer to this municipality")
        crossing = Crossing(hand_over_id, found[0]["giver"], found[0]["given"], receiver, found[0]["received"])
        await change.fetch(_SCOPE, (f"{{{crossing.giver},{receiver}}}",))
        yield crossing
        if not await change.fetch(_ACCEPTED, (crossing.giver, hand_over_id, receiver, change.actor.id)):
            raise RuntimeError("a crossing ended without a hand-over")
        await _tell_giver(change, crossing, groups)
        await change.fetch(_SCOPE, (f"{{{receiver}}}",))


async def _tell_giver(change: Change, crossing: Crossing, groups: Iterable[str]) -> None:
    line: log.Seen = {(crossing.giver, crossing.given, log.Action.UPDATE.value): log.Sight(set(groups))}
    await log.write(change._connection, change._act, line)
    await Event.create(
        using_db=change.using,
        municipality_id=crossing.giver,
        type=EventType.HAND_OVER_ACCEPTED.value,
        citizen_id=crossing.given,
        subject_type="HandOver",
        subject_id=crossing.hand_over_id,
        subject_version=1,
    )


async def insert_offer(change: Change, offer: HandOver) -> bool:
    """Insert an offer of the actor's municipality; return whether there was none of that citizen's history yet.

    Raises:
        LookupError: the receiving municipality is not in the installation; the change can only be given up.
    """
    columns = {
        "municipality_id": offer.municipality_id,
        "id": offer.id,
        "to_municipality_id": offer.to_municipality_id,
        "person_id": offer.person_id,
        "citizen_id": offer.citizen_id,
        "status": offer.status,
        "reason": offer.reason,
        "offered_by": offer.offered_by,
        "offered_at": offer.offered_at,
    }
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    sql = (
        f"INSERT INTO hand_over ({', '.join(columns)}) VALUES ({places})"  # noqa: S608  # names of our own
        " ON CONFLICT (municipality_id, citizen_id) WHERE status = 'offered' DO NOTHING RETURNING id"
    )
    try:
        return bool(await change.fetch(sql, list(columns.values())))
    except asyncpg.ForeignKeyViolationError as error:
        # No session can look a foreign municipality up; a reference to one that is not there fails.
        if error.constraint_name != "hand_over_to_municipality_id_fkey":
            raise
        raise LookupError("the municipality is not in the installation") from error
