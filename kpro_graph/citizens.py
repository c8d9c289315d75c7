"""Citizens: a person's record in one municipality, found or created by CPR number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from kpro_graph import cpr
from kpro_graph.access import CITIZEN, Permission, require
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.execution.sources import Statement
from kpro_graph.storage import tables
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Change

__all__ = ["CitizenUnknown", "Found", "NameMissing", "by_number", "find", "numbers", "person", "register", "sort_name"]


class CitizenUnknown(Rejected):
    """Nobody with that CPR number has a record in this municipality."""

    code = "CITIZEN_UNKNOWN"
    da = "Der er ingen borger med det CPR-nummer i kommunen."
    en = "No citizen with that CPR number has a record in the municipality."


class NameMissing(Rejected):
    """A citizen cannot be registered without a given and a family name."""

    code = "NAME_MISSING"
    da = "Skriv borgerens fornavn og efternavn."
    en = "Give the citizen's given name and family name."


# Æ, Ø and Å come after Z, and AA is an old Å (Retskrivningsordbogen, § 64): these ASCII signs come after Z too.
_DANISH = (("aa", "}"), ("å", "}"), ("ø", "|"), ("ö", "|"), ("æ", "{"), ("ä", "{"), ("ü", "y"), ("é", "e"))


def sort_name(given_name: str, family_name: str) -> str:
    """Return the key by which Danish lists order this name: family name first, letters in Danish order."""
    text = f"{family_name} {given_name}".lower()
    for letters, sign in _DANISH:
        text = text.replace(letters, sign)
    return text


class Found(NamedTuple):
    """A citizen's record in a municipality."""

    municipality_id: int
    id: UUID


# The same work whether the number is nobody's, somebody's elsewhere, or here and not to be had: a person who is not
# there is looked for among the citizens too, by an id that is nobody's.
_FIND = """
SELECT t.id FROM (
    SELECT coalesce((SELECT id FROM person WHERE cpr_index = ANY($1::bytea[]) LIMIT 1), $2::uuid) AS id
) p LEFT JOIN citizen t ON t.municipality_id = $3 AND t.person_id = p.id
"""
_HERE = """
SELECT p.id AS person_id, c.id FROM person p
LEFT JOIN citizen c ON c.municipality_id = $2 AND c.person_id = p.id
WHERE p.cpr_index = ANY($1::bytea[])
"""


async def find(change: Change, number: str) -> Found:
    """Return the citizen with this CPR number in the actor's municipality; the look-up is logged, whatever it finds.

    One statement, and the same work, whether the number is nobody's, somebody's in another municipality, or that of
    a citizen whom the actor may not see.

    Raises:
        NotPermitted: the actor may not look citizens up.
        CprInvalid: the text is no CPR number.
        CitizenUnknown: there is none here, though there may be one elsewhere.
    """
    require(change.actor, Permission.REGISTER_CITIZENS)
    parsed = cpr.parse(number)
    statement = Statement()
    statement.parameters += [change.cipher.indexes(parsed.digits), tables.new_id(), change.actor.municipality]
    visible = statement.condition(CITIZEN.visible(change.actor), "t")
    [row] = await change.fetch(f"{_FIND} AND ({visible})", statement.parameters)
    if row["id"] is None:
        change.saw_nobody("search")
        raise CitizenUnknown(path="cpr")
    change.saw(change.actor.municipality, row["id"], ("identity",), action="search")
    return Found(change.actor.municipality, row["id"])


async def register(change: Change, number: str, given_name: str, family_name: str) -> tuple[Found, bool]:
    """Find the citizen or create the record; return it and whether it was created.

    A citizen who is already here keeps their name. Two at once create one, also while keys are rotated.

    Raises:
        NotPermitted: the actor may not enrol citizens.
        CprInvalid: the text is no CPR number.
        NameMissing: a name is empty.
    """
    require(change.actor, Permission.REGISTER_CITIZENS)
    parsed = cpr.parse(number)
    given_name, family_name = " ".join(given_name.split()), " ".join(family_name.split())
    for path, name in (("givenName", given_name), ("familyName", family_name)):
        if not 0 < len(name) <= 200:
            raise NameMissing(path=path)
    municipality = change.actor.municipality
    person_id = await person(change, parsed.digits)
    _, citizen_id = await _here(change, parsed.digits)
    if citizen_id is None:
        created = await change.fetch(
            "INSERT INTO citizen (municipality_id, id, person_id, given_name, family_name, display_name, sort_name,"
            " birth_date) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            " ON CONFLICT (municipality_id, person_id) DO NOTHING RETURNING id",
            (
                municipality,
                tables.new_id(),
                person_id,
                given_name,
                family_name,
                f"{given_name} {family_name}",
                sort_name(given_name, family_name),
                parsed.birth_date,
            ),
        )
        if created:
            citizen = Found(municipality, created[0]["id"])
            change.saw(*citizen, ("identity",), action="create")
            change.record(Happened(EventType.CITIZEN_REGISTERED, "Citizen", citizen.id, citizen_id=citizen.id))
            return citizen, True
        _, citizen_id = await _here(change, parsed.digits)
    assert citizen_id is not None
    change.saw(municipality, citizen_id, ("identity",), action="search")
    return Found(municipality, citizen_id), False


async def by_number(change: Change, number: str) -> Found:
    """Return the citizen with this CPR number in the municipality, whoever asks: the caller has judged and logs.

    Raises:
        CprInvalid: the text is no CPR number.
        CitizenUnknown: there is none here, though there may be one elsewhere.
    """
    _, citizen_id = await _here(change, cpr.parse(number).digits)
    if citizen_id is None:
        raise CitizenUnknown(path="cpr")
    return Found(change.actor.municipality, citizen_id)


async def person(change: Change, digits: str) -> UUID:
    """Return the person with these digits, made if there is none yet. Two at once make one."""
    # A unique index cannot keep two apart whose rings begin with different keys; the number's lock does.
    await change.fetch("SELECT pg_advisory_xact_lock($1)", (change.cipher.lock(digits),))
    person_id, _ = await _here(change, digits)
    if person_id is None:
        person_id = tables.new_id()
        await change.fetch(
            "INSERT INTO person (id, cpr_index, cpr_sealed) VALUES ($1, $2, $3)",
            (person_id, change.cipher.index(digits), change.cipher.seal(digits, person_id)),
        )
    return person_id


async def _here(change: Change, digits: str) -> tuple[UUID | None, UUID | None]:
    rows = await change.fetch(_HERE, (change.cipher.indexes(digits), change.actor.municipality))
    return (rows[0]["person_id"], rows[0]["id"]) if rows else (None, None)


async def numbers(
    fetch: Callable[[str, Sequence[object]], Awaitable[Sequence[Any]]], cipher: Cipher, persons: Sequence[UUID]
) -> list[str]:
    """Return the CPR numbers of these persons in their order, DDMMYY-SSSS, with one statement.

    Whoever calls has asked the judge and logs it. ``fetch`` runs a statement in the actor's reading.

    Raises:
        ConfigurationError: a number was sealed with a key that is not in the ring, or was altered.
    """
    rows = await fetch("SELECT id, cpr_sealed FROM person WHERE id = ANY($1::uuid[])", (list(persons),))
    sealed = {row["id"]: row["cpr_sealed"] for row in rows}
    return [cpr.hyphenate(cipher.unseal(sealed[person], person)) for person in persons]
