"""Reception (modtagelsen): computers at which a citizen answers what staff hand over with a one-time code.

A code is six digits, works once, for a short while, at the registered computers of one unit. It opens a session that
sees the assignments handed over and nothing else. A code, a computer's secret and a session's token are shown once and
kept as keyed fingerprints. A wrong code, a used one, one too late and one of another unit are refused alike.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kpro_graph import identity
from kpro_graph.access import Permission, holders, reaches, require
from kpro_graph.actors import Actor
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.errors import ContextRequired, NotAuthenticated, NotPermitted, Rejected
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change, Database

__all__ = [
    "TRIES",
    "Begun",
    "CodeRefused",
    "DeviceNameMissing",
    "Handed",
    "NothingToAnswer",
    "ReceptionTimes",
    "Registered",
    "end_at",
    "finish",
    "hand_out",
    "leave",
    "need_session",
    "redeem",
    "register",
    "switch_off",
]

_logger = logging.getLogger(__name__)

TRIES = 5
"""After so many wrong codes a computer pauses."""

# An answer leaves at a full step after the request came, so that a clock tells nothing of what was looked at.
_STEP = 0.25
_SECRET = re.compile(r"(\d{4})-([0-9a-f]{32})-([A-Za-z0-9_-]{43})")
_CODE = re.compile(r"\d{6}")
_OPEN = (AssignmentStatus.REQUESTED.value, AssignmentStatus.IN_PROGRESS.value)


@dataclass(frozen=True, slots=True)
class ReceptionTimes:
    """How long things last: a code until it is used, the pause after wrong codes, a session idle, and at most."""

    code: timedelta = timedelta(minutes=10)
    pause: timedelta = timedelta(minutes=10)
    idle: timedelta = timedelta(minutes=2)
    longest: timedelta = timedelta(minutes=30)


class DeviceNameMissing(Rejected):
    """A reception computer has a name of 1 to 100 characters, by which staff know it."""

    code = "DEVICE_NAME_MISSING"
    da = "Giv computeren et navn på højst 100 tegn."
    en = "Give the computer a name of at most 100 characters."


class NothingToAnswer(Rejected):
    """The citizen has no open assignment in an active episode with a consent in force."""

    code = "NOTHING_TO_ANSWER"
    da = "Borgeren har ingen åbne skemaer i et aktivt forløb med gyldigt samtykke."
    en = "The citizen has no open questionnaire in an active episode of care with a consent in force."


class CodeRefused(Rejected):
    """The code does not work at this computer now; why is not said."""

    code = "RECEPTION_CODE_REFUSED"
    da = "Koden virker ikke. Tal med personalet."
    en = "The code does not work. Ask the staff."


@dataclass(frozen=True, slots=True)
class Registered:
    """A reception computer and the secret it keeps, which is nowhere else."""

    device: tables.ReceptionDevice
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """A code for a citizen, and the assignments it opens."""

    session: tables.ReceptionSession
    code: str = field(repr=False)
    assignments: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """A session at a reception computer: its token, and when it ends however it is used."""

    token: str = field(repr=False)
    expires_at: datetime
    idle: timedelta


async def register(change: Change, unit_id: UUID | None, name: str) -> Registered:
    """Register a computer in the reception of one of the actor's units.

    Raises:
        NotPermitted: the actor may not register computers.
        ReferenceUnknown: no such active unit of the actor's.
        DeviceNameMissing: see there.
    """
    actor = change.actor
    require(actor, Permission.REGISTER_DEVICES)
    name = " ".join(name.split())
    if not 0 < len(name) <= 100:
        raise DeviceNameMissing(path="name")
    unit = (
        await tables.OrganisationUnit.filter(municipality_id=actor.municipality, id=unit_id, active=True)
        .using_db(change.using)
        .first()
    )
    if unit is None or unit.id not in actor.units(*holders(Permission.REGISTER_DEVICES)):
        raise ReferenceUnknown(path="organisationUnitId")
    id_ = tables.new_id()
    secret = f"{actor.municipality:04d}-{id_.hex}-{secrets.token_urlsafe(32)}"
    device = await tables.ReceptionDevice.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        id=id_,
        organisation_unit_id=unit.id,
        name=name,
        secret_hash=change.cipher.fingerprint("reception device", secret),
        registered_at=datetime.now(UTC),
        registered_by=actor.id,
    )
    return Registered(device, secret)


async def switch_off(change: Change, device_id: UUID | None) -> tables.ReceptionDevice:
    """Switch a computer off for good; the session there ends.

    Raises:
        NotPermitted: the actor may not register computers.
        ReferenceUnknown: no such computer, not yet switched off, in the actor's units.
    """
    require(change.actor, Permission.REGISTER_DEVICES)
    device = await _device(change, device_id, holders(Permission.REGISTER_DEVICES))
    device.switched_off_at, device.switched_off_by = datetime.now(UTC), change.actor.id
    await device.save(using_db=change.using, update_fields=["switched_off_at", "switched_off_by"])
    await _end(change, "device_off", device_id=device.id)
    return device


async def end_at(change: Change, device_id: UUID | None) -> tables.ReceptionDevice:
    """End the session at a computer of the actor's unit; if there is none, nothing happens.

    Raises:
        NotPermitted: the actor neither hands out codes nor registers computers.
        ReferenceUnknown: no such computer, not yet switched off, where the actor acts.
    """
    actor = change.actor
    registers, hands_out = (holders(each) for each in (Permission.REGISTER_DEVICES, Permission.HAND_OUT_CODES))
    require(actor, Permission.END_RECEPTION_SESSIONS)
    device = await _device(
        change, device_id, registers, also=actor.organisation_unit if actor.has(*hands_out) else None
    )
    await _end(change, "ended_by_staff", device_id=device.id)
    return device


async def hand_out(change: Change, citizen_id: UUID | None, episode_id: UUID | None, times: ReceptionTimes) -> Handed:
    """Make a code for what a citizen has open: in one episode, or in all the actor reaches. A code before it is void.

    It works at the computers of the unit the actor acts in. Either the citizen or the episode is given.

    Raises:
        NotPermitted: the actor hands out no codes.
        ContextRequired: the actor acts in no unit.
        ReferenceUnknown: no such citizen or episode for this actor.
        NothingToAnswer: see there.
    """
    actor = change.actor
    require(actor, Permission.HAND_OUT_CODES)
    if actor.organisation_unit is None:
        raise ContextRequired("choose where you act: me { contexts } lists the places")
    reached = [
        each
        for each in await change.fetch(_EPISODES, (actor.municipality, citizen_id, episode_id))
        if reaches(
            actor,
            Permission.HAND_OUT_CODES,
            citizen_id=each["citizen_id"],
            care_team_id=each["care_team_id"],
            organisation_unit_id=each["organisation_unit_id"],
        )
    ]
    if not reached or (citizen_id is None) == (episode_id is None):
        raise ReferenceUnknown(path="citizenId" if episode_id is None else "episodeOfCareId")
    citizen = reached[0]["citizen_id"]
    rows = await change.fetch(_TO_ANSWER, (actor.municipality, [each["id"] for each in reached], list(_OPEN)))
    if not rows:
        change.saw(actor.municipality, citizen, ("assignment",))
        raise NothingToAnswer(path="citizenId" if episode_id is None else "episodeOfCareId")
    code, fingerprint = await _fresh_code(change, actor.municipality, actor.organisation_unit, citizen)
    now = datetime.now(UTC)
    session = await tables.ReceptionSession.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        organisation_unit_id=actor.organisation_unit,
        citizen_id=citizen,
        handed_by=actor.id,
        handed_at=now,
        code_hash=fingerprint,
        code_expires_at=now + times.code,
    )
    await tables.HandedAssignment.bulk_create(
        [
            tables.HandedAssignment(municipality_id=actor.municipality, session_id=session.id, assignment_id=row["id"])
            for row in rows
        ],
        using_db=change.using,
    )
    change.saw(actor.municipality, citizen, ("reception", "assignment"), action="create")
    return Handed(session, code, tuple(row["id"] for row in rows))


async def redeem(
    database: Database, secret: str, code: str, times: ReceptionTimes, *, operation: str = "", trace: str = ""
) -> Begun:
    """Begin a session with a code at a registered computer. Nobody may be signed in; the caller sees to that.

    Raises:
        CodeRefused: whatever the reason; it counts against the computer, and the answer comes at a full step of time.
    """
    began = time.monotonic()
    begun: Begun | None = None
    parts = _SECRET.fullmatch(secret)
    # A malformed secret is looked up like any other, so that it takes the same way.
    municipality, device_id = (int(parts[1]), UUID(parts[2])) if parts else (0, UUID(int=0))
    try:
        async with database.change(
            identity.reception_device(municipality, device_id), operation, trace=trace
        ) as change:
            begun = await _attempt(change, device_id, secret, code, times)
    finally:
        await asyncio.sleep(_STEP - (time.monotonic() - began) % _STEP)
    if begun is None:
        raise CodeRefused(path="code")
    return begun


async def leave(change: Change) -> None:
    """End the session the actor is in.

    Raises:
        NotPermitted: the actor is not at a reception computer.
    """
    if change.actor.reception is None:
        raise NotPermitted("this ends a session at a reception computer")
    await need_session(change)
    await _end(change, "left", session_id=change.actor.reception)


async def need_session(change: Change) -> UUID | None:
    """Hold the actor's session until the change is done and return the computer's id; None for whoever is elsewhere.

    Raises:
        NotAuthenticated: the session has ended since the request began.
    """
    actor = change.actor
    if actor.reception is None:
        return None
    rows = await change.fetch(_HELD, (actor.municipality, actor.reception))
    if not rows:
        raise NotAuthenticated("the session at the reception computer has ended")
    device: UUID = rows[0]["device_id"]
    return device


async def finish(change: Change) -> bool:
    """End the actor's session if nothing that was handed over is open any more, and say whether it ended."""
    actor = change.actor
    if actor.reception is None:
        return False
    if await change.fetch(_STILL_OPEN, (actor.municipality, actor.reception, list(_OPEN))):
        return False
    await _end(change, "submitted", session_id=actor.reception)
    return True


_EPISODES = """
SELECT id, citizen_id, care_team_id, organisation_unit_id FROM episode_of_care
WHERE municipality_id = $1 AND (citizen_id = $2 OR id = $3) AND handed_over_to IS NULL
"""
_TO_ANSWER = """
SELECT a.id FROM assignment a
JOIN episode_of_care e ON e.municipality_id = a.municipality_id AND e.id = a.episode_id
WHERE a.municipality_id = $1 AND a.episode_id = ANY($2) AND a.status = ANY($3)
  AND e.status = 'active' AND e.consented_until > now()
ORDER BY a.assigned_at, a.id
"""
_UNIT = "SELECT FROM organisation_unit WHERE municipality_id = $1 AND id = $2 FOR NO KEY UPDATE"
_VOID = """
UPDATE reception_session SET code_hash = NULL, ended_at = now(),
       ended_because = CASE WHEN code_expires_at <= now() THEN 'expired' ELSE 'replaced' END
WHERE municipality_id = $1 AND organisation_unit_id = $2 AND code_hash IS NOT NULL
  AND (citizen_id = $3 OR code_expires_at <= now())
"""
_TAKEN = """
SELECT FROM reception_session WHERE municipality_id = $1 AND organisation_unit_id = $2 AND code_hash = $3
"""
# The computer is held until the try is counted: tries at the same time take turns here.
_DEVICE = """
SELECT d.organisation_unit_id, d.secret_hash, d.wrong_codes, d.switched_off_at IS NULL AND u.active AS works,
       d.paused_until IS NOT NULL AND d.paused_until > clock_timestamp() AS paused
FROM reception_device d
JOIN organisation_unit u ON u.municipality_id = d.municipality_id AND u.id = d.organisation_unit_id
WHERE d.municipality_id = $1 AND d.id = $2 FOR NO KEY UPDATE OF d
"""
_WAITING = """
SELECT s.id, s.citizen_id, c.person_id FROM reception_session s
JOIN citizen c ON c.municipality_id = s.municipality_id AND c.id = s.citizen_id
WHERE s.municipality_id = $1 AND s.organisation_unit_id = $2 AND s.code_hash = $3
  AND s.code_expires_at > clock_timestamp()
  AND EXISTS (SELECT FROM handed_assignment h
              JOIN assignment a ON a.municipality_id = h.municipality_id AND a.id = h.assignment_id
              JOIN episode_of_care e ON e.municipality_id = a.municipality_id AND e.id = a.episode_id
              WHERE h.municipality_id = s.municipality_id AND h.session_id = s.id AND a.status = ANY($4)
                AND e.consented_until > now() AND e.handed_over_to IS NULL)
FOR NO KEY UPDATE OF s
"""
_COUNT = """
UPDATE reception_device SET wrong_codes = $3,
       paused_until = CASE WHEN $4::interval IS NULL THEN paused_until ELSE clock_timestamp() + $4::interval END
WHERE municipality_id = $1 AND id = $2
"""
_BEGIN = """
UPDATE reception_session
SET code_hash = NULL, device_id = $3, token_hash = $4, begun_at = now(), idle_seconds = $5::integer,
    idle_until = now() + make_interval(secs => $5::integer), expires_at = now() + $6::interval
WHERE municipality_id = $1 AND id = $2 RETURNING expires_at
"""
_HELD = """
SELECT device_id FROM reception_session
WHERE municipality_id = $1 AND id = $2 AND token_hash IS NOT NULL FOR NO KEY UPDATE
"""
_STILL_OPEN = """
SELECT FROM handed_assignment h JOIN assignment a ON a.municipality_id = h.municipality_id AND a.id = h.assignment_id
WHERE h.municipality_id = $1 AND h.session_id = $2 AND a.status = ANY($3) LIMIT 1
"""
_END = """
UPDATE reception_session SET token_hash = NULL, ended_at = now(),
       ended_because = CASE WHEN least(idle_until, expires_at) <= now() THEN 'expired' ELSE $4 END
WHERE municipality_id = $1 AND token_hash IS NOT NULL AND (id = $2 OR device_id = $3) RETURNING citizen_id
"""


async def _device(
    change: Change, device_id: UUID | None, roles: Any, *, also: UUID | None = None
) -> tables.ReceptionDevice:
    actor = change.actor
    device = (
        await tables.ReceptionDevice.filter(municipality_id=actor.municipality, id=device_id, switched_off_at=None)
        .using_db(change.using)
        .select_for_update(no_key=True)
        .first()
    )
    if device is None or device.organisation_unit_id not in {*actor.units(*roles), also}:
        raise ReferenceUnknown(path="receptionDeviceId")
    return device


async def _fresh_code(change: Change, municipality: int, unit: UUID, citizen: UUID) -> tuple[str, bytes]:
    """Return a code that no other of the unit is like while it can be used; those too late are forgotten first."""
    await change.fetch(_UNIT, (municipality, unit))
    await change.fetch(_VOID, (municipality, unit, citizen))
    while True:
        code = f"{secrets.randbelow(10**6):06d}"
        fingerprint = _code_fingerprint(change, municipality, unit, code)
        if not await change.fetch(_TAKEN, (municipality, unit, fingerprint)):
            return code, fingerprint


def _code_fingerprint(change: Change, municipality: int, unit: UUID, code: str) -> bytes:
    return change.cipher.fingerprint("reception code", f"{municipality}/{unit.hex}/{code}")


async def _attempt(change: Change, device_id: UUID, secret: str, code: str, times: ReceptionTimes) -> Begun | None:
    """Try a code at a computer that is held meanwhile, and count it; None is a refusal."""
    municipality = change.actor.municipality
    rows = await change.fetch(_DEVICE, (municipality, device_id))
    shown = change.cipher.fingerprint("reception device", secret)
    device = rows[0] if rows else None
    if device is None or not hmac.compare_digest(bytes(device["secret_hash"]), shown):
        # Not a line of any municipality's log: whoever holds no computer's secret must not be able to fill it.
        _logger.warning("a reception code was tried at a computer that is not registered")
        return None
    unit = device["organisation_unit_id"]
    change.actor = identity.reception_device(municipality, device_id, unit)
    found: Any = None
    if device["works"] and not device["paused"]:
        digits = code if _CODE.fullmatch(code) and code.isascii() else "none"
        fingerprint = _code_fingerprint(change, municipality, unit, digits)
        waiting = await change.fetch(_WAITING, (municipality, unit, fingerprint, list(_OPEN)))
        found = waiting[0] if waiting else None
        wrong = 0 if found is not None else device["wrong_codes"] + 1
        pause = times.pause if wrong >= TRIES else None
        await change.fetch(_COUNT, (municipality, device_id, 0 if pause else wrong, pause))
        if pause:
            _logger.warning("reception computer %s pauses after %d wrong codes", device_id, TRIES)
    if found is None:
        change.saw_nobody("search", ("reception",))
        return None
    await _end(change, "replaced", device_id=device_id)
    change.actor = identity.at_reception(municipality, found["id"], found["person_id"], found["citizen_id"])
    token = f"{municipality:04d}-{found['id'].hex}-{secrets.token_urlsafe(32)}"
    expires = await change.fetch(
        _BEGIN,
        (
            municipality,
            found["id"],
            device_id,
            change.cipher.fingerprint("reception session", token),
            int(times.idle.total_seconds()),
            times.longest,
        ),
    )
    change.saw(municipality, found["citizen_id"], ("reception",), action="create")
    return Begun(token, expires[0]["expires_at"], times.idle)


async def _end(change: Change, because: str, *, session_id: UUID | None = None, device_id: UUID | None = None) -> None:
    actor: Actor = change.actor
    for row in await change.fetch(_END, (actor.municipality, session_id, device_id, because)):
        change.saw(actor.municipality, row["citizen_id"], ("reception",), action="update")
