"""Sealing: committed access-log lines get gapless positions, and each batch a hash that chains it to the one before.

A line is inserted without a position, so that readers do not wait for each other; a position is given after commit, by
one sealer at a time, to whatever has none yet. A line that commits late gets a later position and is never missed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from kpro_graph.storage.witness import Head

__all__ = ["COLUMNS", "FORM", "Batch", "Chain", "written"]

FORM = 1
"""How lines are written down before they are hashed; a later way gets another number and leaves the old ones alone."""

COLUMNS = (
    "municipality_id", "position", "id", "operation_id", "operation", "action", "citizen_id", "actor_kind", "actor_id",
    "roles", "organisation_unit_id", "care_team_id", "on_behalf_of", "purpose", "override", "fields_seen",
    "questionnaires", "trace_id", "viewers", "protected", "recorded_at",
)  # fmt: skip
"""Every column of a line, in the order in which form 1 writes them down."""

_BATCH = 2000
_HEADS = """
SELECT DISTINCT ON (municipality_id) municipality_id, number, last_position, hash, sealed_at
FROM access_log_seal ORDER BY municipality_id, number DESC
"""
# The lines without a position are few among many, and the index of them holds many that had none a moment ago: only a
# plain scan of it passes those over for good, so the planner, who has seen neither, is not asked.
_PLAINLY = """
SELECT set_config(name, 'off', true)
FROM unnest(ARRAY['enable_bitmapscan', 'enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_material',
                  'jit']) AS name
"""
_PLACE = f"""
WITH fresh AS (
    SELECT municipality_id, id, recorded_at,
           row_number() OVER (PARTITION BY municipality_id ORDER BY recorded_at, id) AS n
    FROM (
        SELECT municipality_id, id, recorded_at FROM access_log
        WHERE position IS NULL AND municipality_id <> ALL ($3::integer[]) ORDER BY recorded_at, id LIMIT $4
    ) AS unplaced
)
UPDATE access_log l SET position = coalesce(head.position, 0) + fresh.n
FROM fresh LEFT JOIN unnest($1::integer[], $2::bigint[]) AS head (municipality_id, position) USING (municipality_id)
WHERE l.municipality_id = fresh.municipality_id AND l.id = fresh.id AND l.recorded_at = fresh.recorded_at
    AND l.position IS NULL
RETURNING {", ".join(f"l.{name}" for name in COLUMNS)}
"""  # noqa: S608 - names of our own
_SEAL = """
INSERT INTO access_log_seal (municipality_id, number, form, first_position, last_position, sealed_at, previous, hash)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::timestamptz[],
                     $7::bytea[], $8::bytea[])
"""


def written(line: Mapping[str, Any]) -> bytes:
    """Return a line as form 1 writes it down: a JSON array of every column's value, UTF-8, without spaces.

    An id is its hyphenated text, a time is ISO 8601 in UTC with six decimals, a list an array, nothing is null.
    """
    return msgspec.json.encode([_plain(line[name]) for name in COLUMNS])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value


class Batch:
    """The hash of a batch under way: first its frame, then its lines in the order of their positions."""

    def __init__(self, municipality: int, number: int, first: int, last: int, sealed_at: datetime, previous: bytes):
        frame = [FORM, municipality, number, first, last, _plain(sealed_at), previous.hex()]
        self._hash = hashlib.sha256(msgspec.json.encode(frame) + b"\n")

    def add(self, line: Mapping[str, Any]) -> None:
        """Add the next line."""
        self._hash.update(written(line) + b"\n")

    def digest(self) -> bytes:
        """Return the hash of what was added so far."""
        return self._hash.digest()


class Chain:
    """Where every municipality's log has come to, and the way on. Whoever has one holds the sealer's lock."""

    def __init__(self, connection: Any, heads: Mapping[int, Head]) -> None:
        self._connection = connection
        self.heads = dict(heads)
        self.broken: set[int] = set()
        """Municipalities whose log is not continued, because it contradicts what was signed."""

    @classmethod
    async def load(cls, connection: Any) -> Chain:
        """Read where the logs have come to, as the relay's role."""
        rows = await connection.fetch(_HEADS)
        return cls(
            connection,
            {
                row["municipality_id"]: Head(
                    row["municipality_id"], row["number"], row["last_position"], row["hash"], row["sealed_at"]
                )
                for row in rows
            },
        )

    async def contradicts(self, head: Head) -> bool:
        """Say whether a head that was signed once is not, or no longer, part of the log."""
        found = await self._connection.fetchrow(
            "SELECT last_position, hash FROM access_log_seal WHERE municipality_id = $1 AND number = $2",
            head.municipality,
            head.number,
        )
        return found is None or (found["last_position"], found["hash"]) != (head.position, head.hash)

    async def seal(self) -> list[Head]:
        """Place and seal what is committed, at most some thousand lines; return the new heads, none if there was none.

        Raises asyncpg's errors; then nothing was placed, and the chain is to be loaded again.
        """
        async with self._connection.transaction():
            await self._connection.execute(_PLAINLY)
            lines = await self._connection.fetch(
                _PLACE,
                list(self.heads),
                [head.position for head in self.heads.values()],
                list(self.broken),
                _BATCH,
            )
            if not lines:
                return []
            sealed_at = datetime.now(UTC)
            lines.sort(key=lambda line: (line["municipality_id"], line["position"]))
            seals = [
                self._sealed(municipality, list(batch), sealed_at)
                for municipality, batch in groupby(lines, key=lambda line: line["municipality_id"])
            ]
            await self._connection.execute(_SEAL, *(list(column) for column in zip(*seals, strict=True)))
        heads = [Head(seal[0], seal[1], seal[4], seal[7], sealed_at) for seal in seals]
        self.heads.update((head.municipality, head) for head in heads)
        return heads

    def _sealed(self, municipality: int, lines: Sequence[Mapping[str, Any]], sealed_at: datetime) -> tuple[Any, ...]:
        head = self.heads.get(municipality)
        number, previous = (head.number + 1, head.hash) if head is not None else (1, b"")
        first, last = lines[0]["position"], lines[-1]["position"]
        batch = Batch(municipality, number, first, last, sealed_at, previous)
        for line in lines:
            batch.add(line)
        return municipality, number, FORM, first, last, sealed_at, previous, batch.digest()

    def newer(self, than: Mapping[int, Head]) -> Iterable[Head]:
        """Return the heads that others do not know yet."""
        return [
            head
            for municipality, head in self.heads.items()
            if municipality not in than or than[municipality].number < head.number
        ]
