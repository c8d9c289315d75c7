"""Rotation: every stored CPR number is sealed again with the first key of the ring, while the product is in use.

It works as the tables' owner, batch by batch, each in a transaction of its own: broken off, it is taken up where it
was. A look-up tries the index under every key, so a person is found before, while and after a row is rotated. Rows
that somebody holds are left for the next round instead of being waited for, so nobody ever waits in a circle.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kpro_graph.errors import ConfigurationError
from kpro_graph.storage.cipher import LEGACY_LENGTH, SECRET_KEY, Cipher
from kpro_graph.storage.owner import owning

__all__ = ["TABLES", "Remaining", "Told", "alone", "remaining", "rotate"]

TABLES = ("person", "employee")
"""The tables that hold sealed CPR numbers."""

Told = Callable[[int, int, str], object]
"""Told how many of how many rows of which table have been looked at."""

# Any fixed number of our own; whoever rotates this database waits for it.
_LOCK = 0x6B70726B
_BATCH = 500
_PATIENCE = 5
_FIRST = UUID(int=0)

# The owner, too, sees only municipalities that are named: here, all there can be.
_EVERYWHERE = """
SELECT set_config('kpro.municipalities',
                  (SELECT '{' || string_agg(n::text, ',') || '}' FROM generate_series(0, 9999) n), true)
"""
_ENTER = "SELECT set_config('kpro.municipalities', $1, true)"
_MUNICIPALITIES = "SELECT id FROM municipality WHERE id <> 0 ORDER BY id"
_KEYS = f"""
SELECT CASE WHEN octet_length(cpr_sealed) = {LEGACY_LENGTH} THEN '{SECRET_KEY}'
            WHEN octet_length(cpr_sealed) < {LEGACY_LENGTH} THEN ''
            ELSE encode(substring(cpr_sealed FROM 3 FOR get_byte(cpr_sealed, 1)), 'escape') END AS key,
       count(*) AS rows
FROM {{table}} WHERE cpr_sealed IS NOT NULL GROUP BY 1
"""  # noqa: S608 - names of our own
_STALE = (
    f"cpr_sealed IS NOT NULL AND (octet_length(cpr_sealed) = {LEGACY_LENGTH}"
    " OR substring(cpr_sealed FOR octet_length($1::bytea)) <> $1::bytea)"
)
_COUNT = f"SELECT count(*) FROM {{table}} WHERE {_STALE}"  # noqa: S608
_TAKE = f"""
SELECT id, cpr_sealed FROM {{table}} WHERE {_STALE} AND id > $2 ORDER BY id LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
"""  # noqa: S608
# One person to a number: a second row of the same number, should there ever be one, is left and reported.
_PERSONS = """
UPDATE person p SET cpr_index = n.cpr_index, cpr_sealed = n.cpr_sealed
FROM (
    SELECT DISTINCT ON (cpr_index) *
    FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS given (id, cpr_index, cpr_sealed)
    ORDER BY cpr_index, id
) n
WHERE p.id = n.id AND NOT EXISTS (SELECT FROM person o WHERE o.cpr_index = n.cpr_index AND o.id <> n.id)
RETURNING p.id
"""
_EMPLOYEES = """
UPDATE employee e SET cpr_sealed = n.cpr_sealed
FROM unnest($1::uuid[], $2::bytea[]) AS n (id, cpr_sealed)
WHERE e.municipality_id = $3 AND e.id = n.id
RETURNING e.id
"""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of a rotation: for each table, how many rows each key has sealed, and how many are to be rotated.

    ``stale`` counts those under other keys, and those under the first that are not bound to their row.
    """

    keys: dict[str, dict[str, int]]
    stale: int

    def unknown(self, ring: tuple[str, ...]) -> set[str]:
        """Return the keys that have sealed something and are not in the ring: what they sealed cannot be read."""
        return {key for counted in self.keys.values() for key in counted} - set(ring)


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[Any]:
    """Open a connection as the owner, while no other rotation of this database is at work."""
    async with owning(dsn) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        yield connection


async def remaining(connection: Any, cipher: Cipher) -> Remaining:
    """Count the rows under each key, as the owner, in every municipality."""
    keys: dict[str, dict[str, int]] = {}
    stale = 0
    async with connection.transaction(readonly=True):
        await connection.execute(_EVERYWHERE)
        for table in TABLES:
            rows = await connection.fetch(_KEYS.format(table=table))
            keys[table] = {row["key"]: row["rows"] for row in sorted(rows, key=lambda row: str(row["key"]))}
            stale += await connection.fetchval(_COUNT.format(table=table), cipher.mark)
    return Remaining(keys, stale)


async def rotate(connection: Any, cipher: Cipher, told: Told | None = None) -> int:
    """Seal every CPR number with the first key, bound to its row; return how many rows were sealed anew.

    Rows whose key is not in the ring, or that were altered, are left as they are; `remaining` counts them.
    """
    async with connection.transaction(readonly=True):
        await connection.execute(_EVERYWHERE)
        places: list[tuple[str, int]] = [("person", 0)]
        places += [("employee", row["id"]) for row in await connection.fetch(_MUNICIPALITIES)]
        totals = Counter(
            {table: await connection.fetchval(_COUNT.format(table=table), cipher.mark) for table in TABLES}
        )
    work = _Work(connection, cipher, told or (lambda _done, _total, _what: None), totals)
    for table, municipality in places:
        await work.finish(table, municipality)
    return work.sealed.total()


class _Work:
    def __init__(self, connection: Any, cipher: Cipher, told: Told, totals: Counter[str]) -> None:
        self._connection = connection
        self._cipher = cipher
        self._told = told
        self._totals = totals
        self._looked: Counter[str] = Counter()
        self.sealed: Counter[str] = Counter()

    async def finish(self, table: str, municipality: int) -> None:
        """Go through the rows until none is left, or those that are left stay as they are."""
        idle = 0
        while idle < _PATIENCE:
            done, after = 0, _FIRST
            while True:
                sealed, last = await self._batch(table, municipality, after)
                done += sealed
                if last is None:
                    break
                after = last
            self.sealed[table] += done
            if not await self._left(table, municipality):
                return
            # Somebody holds what is left, or wrote it just now under the ring that was.
            idle = 0 if done else idle + 1
            await asyncio.sleep(0.2)

    async def _left(self, table: str, municipality: int) -> bool:
        async with self._connection.transaction(readonly=True):
            await self._connection.execute(_ENTER, f"{{{municipality}}}")
            return bool(await self._connection.fetchval(_COUNT.format(table=table), self._cipher.mark))

    async def _batch(self, table: str, municipality: int, after: UUID) -> tuple[int, UUID | None]:
        async with self._connection.transaction():
            await self._connection.execute(_ENTER, f"{{{municipality}}}")
            rows = await self._connection.fetch(_TAKE.format(table=table), self._cipher.mark, after)
            if not rows:
                return 0, None
            numbers = self._opened(rows)
            ids = list(numbers)
            sealed = [self._cipher.seal(number, id_) for id_, number in numbers.items()]
            if table == "person":
                indexes = [self._cipher.index(number) for number in numbers.values()]
                written = await self._connection.fetch(_PERSONS, ids, indexes, sealed)
            else:
                written = await self._connection.fetch(_EMPLOYEES, ids, sealed, municipality)
        self._looked[table] += len(rows)
        self._told(min(self._looked[table], self._totals[table]), self._totals[table], table)
        return len(written), rows[-1]["id"]

    def _opened(self, rows: Sequence[Any]) -> dict[UUID, str]:
        """Return the numbers by row; what does not open stays as it is and is counted as left."""
        numbers: dict[UUID, str] = {}
        for row in rows:
            with suppress(ConfigurationError):
                numbers[row["id"]] = self._cipher.unseal(row["cpr_sealed"], row["id"])
        return numbers
