"""Citizens: a person's record in one municipality, found or created by CPR number."""

from __future__ import annotations

from kpro_graph import cpr
from kpro_graph.access import require
from kpro_graph.actors import Role
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["CitizenUnknown", "NameMissing", "find", "register", "sort_name"]


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


async def find(change: Change, number: str) -> tables.Citizen:
    """Return the citizen with this CPR number in the actor's municipality; the look-up is logged.

    Raises:
        NotPermitted: the actor may not look citizens up.
        CprInvalid: the text is no CPR number.
        CitizenUnknown: there is none here, though there may be one elsewhere.
    """
    require(change.actor, Role.CITIZEN_ENROLLER)
    parsed = cpr.parse(number)
    citizen = await _by_index(change, change.cipher.index(parsed.digits))
    if citizen is None:
        raise CitizenUnknown(path="cpr")
    change.saw(citizen.municipality_id, citizen.id, ("identity",), action="search")
    return citizen


async def register(change: Change, number: str, given_name: str, family_name: str) -> tuple[tables.Citizen, bool]:
    """Find the citizen or create the record; return it and whether it was created.

    A citizen who is already here keeps their name. Two at once create one.

    Raises:
        NotPermitted: the actor may not enrol citizens.
        CprInvalid: the text is no CPR number.
        NameMissing: a name is empty.
    """
    require(change.actor, Role.CITIZEN_ENROLLER)
    parsed = cpr.parse(number)
    given_name, family_name = " ".join(given_name.split()), " ".join(family_name.split())
    for path, name in (("givenName", given_name), ("familyName", family_name)):
        if not 0 < len(name) <= 200:
            raise NameMissing(path=path)
    index = change.cipher.index(parsed.digits)
    # Both inserts let a concurrent twin win and then read what it wrote.
    await change.fetch(
        "INSERT INTO person (id, cpr_index, cpr_sealed) VALUES ($1, $2, $3) ON CONFLICT (cpr_index) DO NOTHING",
        (tables.new_id(), index, change.cipher.seal(parsed.digits)),
    )
    created = await change.fetch(
        "INSERT INTO citizen (municipality_id, id, person_id, given_name, family_name, display_name, sort_name,"
        " birth_date) SELECT $1, $2, id, $3, $4, $5, $6, $7 FROM person WHERE cpr_index = $8"
        " ON CONFLICT (municipality_id, person_id) DO NOTHING RETURNING id",
        (
            change.actor.municipality,
            tables.new_id(),
            given_name,
            family_name,
            f"{given_name} {family_name}",
            sort_name(given_name, family_name),
            parsed.birth_date,
            index,
        ),
    )
    citizen = await _by_index(change, index)
    assert citizen is not None
    if created:
        change.saw(citizen.municipality_id, citizen.id, ("identity",), action="create")
        change.record(Happened(EventType.CITIZEN_REGISTERED, "Citizen", citizen.id, citizen_id=citizen.id))
    else:
        change.saw(citizen.municipality_id, citizen.id, ("identity",), action="search")
    return citizen, bool(created)


async def _by_index(change: Change, index: bytes) -> tables.Citizen | None:
    person = await tables.Person.filter(cpr_index=index).using_db(change.using).first()
    if person is None:
        return None
    return (
        await tables.Citizen.filter(municipality_id=change.actor.municipality, person_id=person.id)
        .using_db(change.using)
        .first()
    )
