"""The people and places of the demo: four municipalities, computed from a seed alone.

Nothing here is stored or drawn by chance: the same seed gives the same units, teams, employees and citizens on every
machine, so that the demo's identity provider and its data agree without knowing each other. All people are invented.
Their CPR numbers are substitute numbers (the day raised by 60), which no real person has.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from math import gcd
from typing import Literal
from uuid import UUID, uuid5

from kpro_graph.actors import Role
from kpro_graph.cpr import Sex

__all__ = ["CITIZENS_AT_MOST", "DemoCitizen", "DemoEmployee", "DemoMunicipality", "DemoTeam", "DemoUnit", "Demography"]

Kind = Literal["citizen", "employee", "system", "team", "unit"]


@dataclass(frozen=True, slots=True)
class DemoMunicipality:
    """A pilot municipality. The code is the real one; ``cvr`` is invented."""

    code: str
    name: str
    cvr: str


@dataclass(frozen=True, slots=True)
class DemoUnit:
    """A unit of the municipality's organisation. ``kle`` holds its telehealth tasks; none for a mere parent."""

    id: UUID
    code: str
    name: str
    parent: UUID | None
    kle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoTeam:
    """A care team of a unit. ``reason_codes`` are SKS diagnosis codes."""

    id: UUID
    code: str
    unit: UUID
    topic: str
    name: str
    reason_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoEmployee:
    """Someone with one role, scoped to organisation units or to care teams."""

    id: UUID
    code: str
    given_name: str
    family_name: str
    cpr: str = field(repr=False)
    role: Role
    units: tuple[UUID, ...]
    teams: tuple[UUID, ...]

    @property
    def name(self) -> str:
        """Return the full name."""
        return f"{self.given_name} {self.family_name}"


@dataclass(frozen=True, slots=True)
class DemoCitizen:
    """A citizen with a substitute CPR number."""

    id: UUID
    code: str
    given_name: str
    family_name: str
    cpr: str = field(repr=False)
    birth_date: date
    sex: Sex

    @property
    def name(self) -> str:
        """Return the full name."""
        return f"{self.given_name} {self.family_name}"


_NAMESPACE = UUID("5d0c6ad2-7d0b-5a1e-9f5c-6d8d1c3c0a57")

_MUNICIPALITIES = {
    "0101": DemoMunicipality("0101", "København", "99990101"),
    "0851": DemoMunicipality("0851", "Aalborg", "99990851"),
    "0810": DemoMunicipality("0810", "Brønderslev", "99990810"),
    "0265": DemoMunicipality("0265", "Roskilde", "99990265"),
}

# KLE 29.70.10 is telehealth and 29.70.20 telemedicine; the first unit of each municipality is the parent of the rest.
_UNITS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "0101": (
        ("Sundhed og Omsorg", ()),
        ("Center for Kræft", ("29.70.10",)),
        ("Rehabiliteringscenter Amager", ("29.70.10", "29.70.20")),
        ("Sundhedshus Nørrebro", ("29.70.20",)),
    ),
    "0851": (
        ("Senior og Sundhed", ()),
        ("Rehabiliteringscenter Limfjorden", ("29.70.10", "29.70.20")),
        ("Sundhedscenter Aalborg Midt", ("29.70.10",)),
        ("Palliativ Enhed Aalborg", ("29.70.20",)),
    ),
    "0810": (
        ("Sundhed og Velfærd", ()),
        ("Sundhedscenter Brønderslev", ("29.70.10",)),
        ("Genoptræningscenter Vendsyssel", ("29.70.10", "29.70.20")),
    ),
    "0265": (
        ("Velfærd og Sundhed", ()),
        ("Sundhedscenter Roskilde", ("29.70.10", "29.70.20")),
        ("Rehabiliteringscenter Fjordparken", ("29.70.10",)),
        ("Hospice- og Lindringsteam Roskilde", ("29.70.20",)),
    ),
}

_TEAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cancer": ("Kræftrehabilitering", ("DC18", "DC34", "DC50", "DC61")),
    "diabetes": ("Diabetes", ("DE10", "DE11")),
    "heart": ("Hjerterehabilitering", ("DI20", "DI25", "DI50")),
    "palliation": ("Palliation", ("DZ515",)),
}

# Which unit (by place above) houses which team. The first team of a municipality is the one the demo's story is about.
_HOUSED: dict[str, tuple[tuple[str, int], ...]] = {
    "0101": (("cancer", 1), ("palliation", 1), ("heart", 2), ("diabetes", 3)),
    "0851": (("heart", 1), ("diabetes", 2), ("cancer", 2), ("palliation", 3)),
    "0810": (("diabetes", 1), ("palliation", 1), ("heart", 2), ("cancer", 2)),
    "0265": (("diabetes", 1), ("heart", 1), ("cancer", 2), ("palliation", 3)),
}

_PER_TEAM = (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR)
_PER_MUNICIPALITY = (Role.CARETEAM_ADMINISTRATOR, Role.CLINICAL_ADMINISTRATOR, Role.QUESTIONNAIRE_EDITOR)
_COLLEAGUES = 2

_WOMEN = (  # noqa: SIM905 # forty names read better as a text
    "Anna Anne Annette Astrid Birgit Birthe Bodil Camilla Charlotte Christina Ditte Else Emma Freja Gitte Grethe Hanne "
    "Helle Ida Inger Ingrid Jette Josefine Karen Karin Kirsten Laura Lene Lis Lone Marianne Mette Nadia Pia Rikke "
    "Sofie Susanne Tove Ulla Zeynep"
).split()
_MEN = (  # noqa: SIM905 # forty names read better as a text
    "Ahmed Anders Arne Bent Bjarne Carsten Christian Emil Erik Finn Frederik Hans Henning Henrik Ivan Jan Jens Jesper "
    "Jørgen Kaj Karl Kasper Kim Knud Lars Leif Magnus Mads Michael Niels Ole Per Peter Poul Rasmus Svend Søren Thomas "
    "Torben Viggo"
).split()
_FAMILIES = (  # noqa: SIM905 # forty names read better as a text
    "Andersen Bach Berg Brandt Christensen Dahl Eriksen Frandsen Frederiksen Friis Hald Hansen Holm Iversen Jacobsen "
    "Jensen Jeppesen Johansen Jørgensen Kjær Knudsen Kristensen Larsen Lauridsen Lund Madsen Mikkelsen Mortensen "
    "Møller Nielsen Nissen Nygaard Olsen Pedersen Petersen Poulsen Rasmussen Schmidt Sørensen Thomsen Winther Yilmaz"
).split()


# How many numbers a birthday holds, by year of birth: most of those whom the care teams follow are past middle age.
_YEARS = range(1930, 2007)
_PER_DAY = [200 if y < 1940 else 900 if y < 1960 else 600 if y < 1975 else 250 if y < 1990 else 120 for y in _YEARS]
_STARTS = [
    0,
    *accumulate((date(y + 1, 1, 1) - date(y, 1, 1)).days * n for y, n in zip(_YEARS, _PER_DAY, strict=True)),
]
_SLOTS = _STARTS[-1]
_STRIDE = next(step for step in range(int(_SLOTS * 0.618), _SLOTS) if gcd(step, _SLOTS) == 1)

CITIZENS_AT_MOST = _SLOTS // (2 * len(_MUNICIPALITIES))
"""How many citizens a municipality can have, so that no two people share a CPR number."""


@dataclass(frozen=True)
class Demography:
    """The demo's people and places for one seed. Codes are four-digit municipality codes; another raises `KeyError`."""

    seed: int = 1

    def municipalities(self) -> tuple[DemoMunicipality, ...]:
        """Return the four pilot municipalities."""
        return tuple(_MUNICIPALITIES.values())

    def municipality(self, code: str) -> DemoMunicipality:
        """Return the municipality with that code."""
        return _MUNICIPALITIES[code]

    def uuid_of(self, kind: Kind, code: str, n: int) -> UUID:
        """Return the id of the municipality's ``n``-th of a kind."""
        return uuid5(_NAMESPACE, f"{self.seed}/{kind}/{code}/{n}")

    def organisation_units(self, code: str) -> tuple[DemoUnit, ...]:
        """Return the municipality's units, the parent of all the others first."""
        parent = self.uuid_of("unit", code, 0)
        return tuple(
            DemoUnit(self.uuid_of("unit", code, n), code, name, parent if n else None, kle)
            for n, (name, kle) in enumerate(_UNITS[code])
        )

    def care_teams(self, code: str) -> tuple[DemoTeam, ...]:
        """Return the municipality's care teams, the one of the demo's story first."""
        return tuple(
            DemoTeam(self.uuid_of("team", code, n), code, self.uuid_of("unit", code, place), topic, *_TEAMS[topic])
            for n, (topic, place) in enumerate(_HOUSED[code])
        )

    def employees(self, code: str) -> tuple[DemoEmployee, ...]:
        """Return the municipality's employees: all roles, at least two people for each role and team.

        Those who enrol are scoped to a unit and its teams, those who follow citizens to one team, and those who
        administer to the whole organisation and its teams. People of the first team come first within their role.
        """
        teams = self.care_teams(code)
        housed = {team.unit: tuple(other.id for other in teams if other.unit == team.unit) for team in teams}
        root = self.organisation_units(code)[0].id
        posts: list[tuple[Role, tuple[UUID, ...], tuple[UUID, ...]]] = []
        posts += [(Role.CITIZEN_ENROLLER, (unit,), members) for unit, members in housed.items()]
        posts += [(role, (), (team.id,)) for team in teams for role in _PER_TEAM]
        posts += [(role, (root,), tuple(team.id for team in teams)) for role in _PER_MUNICIPALITY]
        posts.append((Role.SECURITY_OFFICER, (root,), ()))
        filled = [post for post in posts for _ in range(_COLLEAGUES)]
        return tuple(self._employee(code, n, *post) for n, post in enumerate(filled))

    def citizen_cpr(self, code: str, n: int) -> str:
        """Return the substitute CPR number, ten digits, of the municipality's ``n``-th citizen.

        No two citizens or employees share one. Raises `ValueError` for ``n`` outside 0 to `CITIZENS_AT_MOST`.
        """
        return self._person(code, n)[0]

    def citizen(self, code: str, n: int) -> DemoCitizen:
        """Return the municipality's ``n``-th citizen. Raises `ValueError` as `citizen_cpr` does."""
        cpr, born, sex = self._person(code, n)
        given, family = self._names("citizen", code, n, sex)
        return DemoCitizen(self.uuid_of("citizen", code, n), code, given, family, cpr, born, sex)

    def _employee(
        self, code: str, n: int, role: Role, units: tuple[UUID, ...], teams: tuple[UUID, ...]
    ) -> DemoEmployee:
        cpr, _, sex = self._person(code, n, employed=True)
        given, family = self._names("employee", code, n, sex)
        return DemoEmployee(self.uuid_of("employee", code, n), code, given, family, cpr, role, units, teams)

    def _names(self, kind: Kind, code: str, n: int, sex: Sex) -> tuple[str, str]:
        drawn = self._draw(kind, code, n)
        return _pick(_WOMEN if sex is Sex.FEMALE else _MEN, drawn), _pick(_FAMILIES, drawn // 1000)

    def _draw(self, kind: Kind, code: str, n: int) -> int:
        return int.from_bytes(blake2b(f"{self.seed}/{kind}/{code}/{n}".encode(), digest_size=8).digest())

    def _person(self, code: str, n: int, *, employed: bool = False) -> tuple[str, date, Sex]:
        if not 0 <= n < CITIZENS_AT_MOST:
            raise ValueError(f"a demo municipality has citizens 0 to {CITIZENS_AT_MOST - 1}")
        # Every person has a place of their own; a stride without a common factor spreads the places over all slots.
        place = n * len(_MUNICIPALITIES) + list(_MUNICIPALITIES).index(_MUNICIPALITIES[code].code)
        if employed:
            place = _SLOTS - 1 - place
        slot = (place * _STRIDE + _offset(self.seed)) % _SLOTS
        year = bisect_right(_STARTS, slot) - 1
        day, number = divmod(slot - _STARTS[year], _PER_DAY[year])
        born = date(_YEARS[year], 1, 1) + timedelta(days=day)
        serial = number + 1000 * (4 if born.year >= 2000 else day % 4)
        cpr = f"{born.day + 60}{born:%m%y}{serial:04}"
        return cpr, born, Sex.MALE if serial % 2 else Sex.FEMALE


@cache
def _offset(seed: int) -> int:
    return int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest()) % _SLOTS


def _pick(names: Sequence[str], drawn: int) -> str:
    return names[drawn % len(names)]
