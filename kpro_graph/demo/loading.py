"""Loading: the demo's rows into a database, as its owner, quickly and only once.

A citizen comes with everything that belongs to them in one transaction, and nobody is loaded twice: so a load that was
broken off is completed by the next one, and one that asks for more citizens adds them. What is loaded lies in the past:
it leaves no lines in the access log and no events.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import uuid5

from kpro_graph import catalogue, identity
from kpro_graph.catalogue import QuestionnaireStatus
from kpro_graph.demo.answering import Edition
from kpro_graph.demo.generation import Population, share
from kpro_graph.demo.insertion import insert
from kpro_graph.demography import Demography
from kpro_graph.errors import ConfigurationError
from kpro_graph.plugins.host import PluginHost
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.owner import owning
from kpro_graph.storage.tables import NATIONAL_LIBRARY

__all__ = ["Loaded", "Progress", "load"]

Progress: TypeAlias = Callable[[int, int, str], object]
"""Told how many of how many citizens of which municipality are there."""

# Any fixed number of our own; whoever loads this database waits for it.
_LOCK = 0x6B706465
_CHUNK = 250
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load has added. ``present`` is how many of the citizens were there already."""

    present: int
    citizens: int
    assignments: int
    responses: int
    scores: int
    interpretations: int


async def load(
    database: Database,
    owner_dsn: str,
    host: PluginHost,
    *,
    citizens: int = 200,
    seed: int = 1,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load what is missing of the demo: ``citizens`` in all, whose year ends at ``now``, by default today at midnight.

    ``owner_dsn`` is the database as the role that owns its tables; ``host`` has been started; ``now`` knows its time
    zone.

    Raises:
        ConfigurationError: the database holds other municipalities than this seed's, or the number of citizens is none
            the demo can have.
        Unavailable: the server does not answer.
    """
    shared = share(citizens)
    moment = now or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    demography = Demography(seed)
    async with owning(owner_dsn) as guard:
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        for code in shared:
            await _load_organisation(guard, demography, code, database.cipher)
        editions = await _stock(database, host, tuple(shared))
        work = _Work(Population(editions, seed=seed, now=moment), database.cipher, progress)
        for code, number in shared.items():
            await work.plan(guard, code, number)
        await work.do(owner_dsn)
        if work.added:
            # Statistics that are as good as after a year, from the first question on.
            await guard.execute(_ANALYSE)
    return Loaded(work.present, **{each.name: work.added[each.name] for each in fields(Loaded)[1:]})


async def _stock(database: Database, host: PluginHost, codes: Sequence[str]) -> list[Edition]:
    """Put every questionnaire of the demo's plugins into its owner's library, in use, and return those."""
    editions = []
    for bundle in host.questionnaires:
        if bundle.owner is not None and bundle.owner not in codes:
            continue
        owner = NATIONAL_LIBRARY if bundle.owner is None else int(bundle.owner)
        async with database.change(identity.operator(owner), "demo") as change:
            row, _ = await catalogue.install(change, bundle.questionnaire, bundle.rules)
            if row.status == QuestionnaireStatus.DRAFT:
                row = await catalogue.activate(change, row.id)
            if row.status == QuestionnaireStatus.ACTIVE:
                editions.append(Edition(row.id, await catalogue.compiled(change, owner, row.id)))
    return editions


async def _load_organisation(connection: Any, demography: Demography, code: str, cipher: Cipher) -> None:
    municipality, units = demography.municipality(code), demography.organisation_units(code)
    number = int(code)
    async with connection.transaction():
        await _enter(connection, NATIONAL_LIBRARY, number)
        await connection.execute(_MUNICIPALITY, NATIONAL_LIBRARY, "Nationalt bibliotek", "")
        await connection.execute(_MUNICIPALITY, number, municipality.name, municipality.cvr)
        present = {row["id"] for row in await connection.fetch(_UNITS, number)}
        if {unit.id for unit in units} <= present:
            return
        if present:
            raise ConfigurationError(
                f"{municipality.name} in this database is not the demo's of seed {demography.seed}: "
                "give the seed it was loaded with, or another folder"
            )
        for unit in units:
            await connection.execute(_UNIT, number, unit.id, unit.parent, unit.name, list(unit.kle))
        for team in demography.care_teams(code):
            await connection.execute(_TEAM, number, team.id, team.unit, team.name, list(team.reason_codes))
        for person in demography.employees(code):
            sealed = cipher.seal(person.cpr, person.id)
            await connection.execute(_EMPLOYEE, number, person.id, str(person.id), person.name, sealed)
            for team_id in person.teams:
                member_id = uuid5(team_id, str(person.id))
                await connection.execute(_MEMBER, number, member_id, team_id, person.id, person.role.value)


async def _enter(connection: Any, *municipalities: int) -> None:
    scope = "{" + ",".join(str(number) for number in municipalities) + "}"
    await connection.execute("SELECT set_config('kpro.municipalities', $1, true)", scope)


@dataclass(slots=True)
class _Work:
    """The chunks that are to be loaded, and how far it has come."""

    population: Population
    cipher: Cipher
    progress: Progress | None
    present: int = 0
    added: Counter[str] = field(default_factory=Counter)
    _chunks: deque[tuple[str, Sequence[int]]] = field(default_factory=deque)
    _there: dict[str, int] = field(default_factory=dict)
    _wanted: dict[str, int] = field(default_factory=dict)

    async def plan(self, connection: Any, code: str, number: int) -> None:
        """Find out which of the municipality's citizens are missing; whoever has a record there is not."""
        demography = self.population.demography
        numbers = {i: n for n in range(number) for i in self.cipher.indexes(demography.citizen_cpr(code, n))}
        async with connection.transaction():
            await _enter(connection, int(code))
            rows = await connection.fetch(_PRESENT, int(code), list(numbers))
        present = {numbers[row["cpr_index"]] for row in rows}
        missing = [n for n in range(number) if n not in present]
        self._chunks += [(code, missing[start : start + _CHUNK]) for start in range(0, len(missing), _CHUNK)]
        self._there[code], self._wanted[code] = len(present), number
        self.present += len(present)
        self._tell(code)

    async def do(self, dsn: str) -> None:
        """Load the chunks over a few connections, so that the server works while the next chunk is computed."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(self._chunks))):
                    group.create_task(self._load(dsn))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _load(self, dsn: str) -> None:
        async with owning(dsn) as connection:
            while self._chunks:
                code, numbers = self._chunks.popleft()
                batch = self.population.batch(code, numbers)
                async with connection.transaction():
                    await _enter(connection, int(code))
                    added = await insert(connection, self.cipher, batch)
                self.added += added
                self._there[code] += len(numbers)
                self._tell(code)

    def _tell(self, code: str) -> None:
        if self.progress is not None:
            self.progress(self._there[code], self._wanted[code], self.population.demography.municipality(code).name)


_MUNICIPALITY = "INSERT INTO municipality (id, name, cvr) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_UNITS = "SELECT id FROM organisation_unit WHERE municipality_id = $1"
_UNIT = (
    "INSERT INTO organisation_unit (municipality_id, id, parent_id, name, kle, active)"
    " VALUES ($1, $2, $3, $4, $5, true)"
)
_TEAM = (
    "INSERT INTO care_team (municipality_id, id, organisation_unit_id, name, reason_codes, status)"
    " VALUES ($1, $2, $3, $4, $5, 'active')"
)
_EMPLOYEE = (
    "INSERT INTO employee (municipality_id, id, subject, name, cpr_sealed, active) VALUES ($1, $2, $3, $4, $5, true)"
)
_MEMBER = (
    "INSERT INTO care_team_member (municipality_id, id, care_team_id, employee_id, role) VALUES ($1, $2, $3, $4, $5)"
)
_PRESENT = """
SELECT p.cpr_index FROM citizen c JOIN person p ON p.id = c.person_id
WHERE c.municipality_id = $1 AND p.cpr_index = ANY($2)
"""
_ANALYSE = "ANALYZE person, citizen, episode_of_care, assignment, response, score, interpretation"
