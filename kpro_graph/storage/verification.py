"""Verification: everything the access log claims is computed again, and whatever does not hold is said in a sentence.

The lines are held against the seals, the seals against each other, and the seals against the signed heads outside the
database. What was done to the log before it was sealed, less than a second after commit, nobody can tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from kpro_graph.errors import ConfigurationError
from kpro_graph.storage.owner import saying_when_away
from kpro_graph.storage.sealing import COLUMNS, FORM, Batch
from kpro_graph.storage.witness import Head, PublicKey, Testimony, read

__all__ = ["Finding", "Report", "examine", "verify"]

PATIENCE = timedelta(seconds=60)
"""How long a line may wait for its seal, and a seal for its head, before that is a finding."""

_CHUNK = 1000
_MUNICIPALITIES = """
SELECT municipality_id FROM access_log UNION SELECT municipality_id FROM access_log_seal ORDER BY 1
"""
_SEALS = """
SELECT number, form, first_position, last_position, sealed_at, previous, hash
FROM access_log_seal WHERE municipality_id = $1 ORDER BY number
"""
_LINES = f"""
SELECT {", ".join(COLUMNS)} FROM access_log
WHERE municipality_id = $1 AND position IS NOT NULL ORDER BY position, id
"""  # noqa: S608 - names of our own
_WAITING = """
SELECT count(*) AS lines, min(recorded_at) AS since FROM access_log
WHERE municipality_id = $1 AND position IS NULL AND recorded_at < $2
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was sealed. ``municipality`` is None where it is the file of heads."""

    code: str
    municipality: int | None
    text: str


@dataclass(slots=True)
class Report:
    """What was looked at and what was found."""

    municipalities: int = 0
    lines: int = 0
    seals: int = 0
    heads: int = 0
    findings: list[Finding] = field(default_factory=list)


async def verify(dsn: str, files: Sequence[Path], keys: Sequence[PublicKey], municipality: int | None = None) -> Report:
    """Compute the access log again and report what does not hold, in one municipality or in all.

    ``files`` hold heads signed with one of ``keys``; ``dsn`` is for the relay's role, which sees every line.

    Raises:
        ConfigurationError: the server refuses the role, or a file cannot be read.
        Unavailable: the server does not answer.
    """
    # The files first: a head that is written meanwhile then only speaks of seals that are in the snapshot.
    testimony = read(files, keys)
    with saying_when_away():
        try:
            connection = await asyncpg.connect(dsn)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, ValueError) as error:
            raise ConfigurationError("KPRO_RELAY_URL is refused by the server") from error
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await examine(connection, testimony, municipality)
        finally:
            await connection.close()


async def examine(
    connection: Any, testimony: Testimony, municipality: int | None = None, *, now: datetime | None = None
) -> Report:
    """Do what `verify` does, in the transaction that is open on the connection; ``now`` is the database's clock."""
    report = Report(heads=len(testimony.heads))
    report.findings += [Finding("heads_altered", None, fault) for fault in testimony.faults]
    witnessed: dict[int, list[Head]] = {}
    for head in testimony.heads:
        witnessed.setdefault(head.municipality, []).append(head)
    present = {row["municipality_id"] for row in await connection.fetch(_MUNICIPALITIES)}
    now = now or await connection.fetchval("SELECT clock_timestamp()")
    for each in sorted((present | witnessed.keys()) if municipality is None else {municipality}):
        examination = _Examination(connection, each, report, now)
        await examination.run(witnessed.get(each, []))
        report.municipalities += 1
    return report


class _Examination:
    """One municipality's log."""

    def __init__(self, connection: Any, municipality: int, report: Report, now: datetime) -> None:
        self._connection = connection
        self._municipality = municipality
        self._report = report
        self._now = now

    def _find(self, code: str, text: str) -> None:
        self._report.findings.append(Finding(code, self._municipality, text))

    async def run(self, heads: Sequence[Head]) -> None:
        seals = await self._connection.fetch(_SEALS, self._municipality)
        self._report.seals += len(seals)
        self._check_chain(seals)
        await self._check_lines(seals)
        self._check_heads({seal["number"]: seal for seal in seals}, heads)
        waiting = await self._connection.fetchrow(_WAITING, self._municipality, self._now - PATIENCE)
        if waiting["lines"]:
            self._find("unsealed", f"{waiting['lines']} lines have waited for a seal since {_time(waiting['since'])}.")

    def _check_chain(self, seals: Sequence[Mapping[str, Any]]) -> None:
        number, last, previous = 0, 0, b""
        for seal in seals:
            if seal["number"] != number + 1:
                self._find("seal_missing", f"Seals {number + 1} to {seal['number'] - 1} are missing.")
            elif seal["previous"] != previous:
                self._find("chain_broken", f"Seal {seal['number']} does not follow the seal before it.")
            elif seal["first_position"] != last + 1:
                self._find("chain_broken", f"Seal {seal['number']} does not begin after position {last}.")
            number, last, previous = seal["number"], seal["last_position"], seal["hash"]

    async def _check_lines(self, seals: Sequence[Mapping[str, Any]]) -> None:
        lines = self._lines()
        line = await anext(lines, None)
        stray = 0
        for seal in seals:
            if seal["form"] != FORM:
                self._find("seal_changed", f"Seal {seal['number']} names a form that there is not.")
            batch = Batch(
                self._municipality, seal["number"], seal["first_position"], seal["last_position"], seal["sealed_at"],
                seal["previous"],
            )  # fmt: skip
            expected = seal["first_position"]
            while line is not None and line["position"] <= seal["last_position"]:
                if line["position"] < expected:
                    stray += 1
                else:
                    if line["position"] > expected:
                        self._missing(expected, line["position"] - 1)
                    expected = line["position"] + 1
                    batch.add(line)
                line = await anext(lines, None)
            if expected <= seal["last_position"]:
                self._missing(expected, seal["last_position"])
            if batch.digest() != seal["hash"]:
                self._find(
                    "lines_changed",
                    f"The lines at positions {seal['first_position']} to {seal['last_position']} (seal "
                    f"{seal['number']}) are not what was sealed on {_time(seal['sealed_at'])}.",
                )
        while line is not None:
            stray += 1
            line = await anext(lines, None)
        if stray:
            self._find("line_added", f"{stray} lines stand under no seal: they were added, or their seals are gone.")

    def _missing(self, first: int, last: int) -> None:
        self._find(
            "lines_missing",
            f"The line at position {first} is missing." if first == last
            else f"The lines at positions {first} to {last} are missing.",
        )  # fmt: skip

    async def _lines(self) -> AsyncIterator[Mapping[str, Any]]:
        async for line in self._connection.cursor(_LINES, self._municipality, prefetch=_CHUNK):
            self._report.lines += 1
            yield line

    def _check_heads(self, seals: Mapping[int, Mapping[str, Any]], heads: Sequence[Head]) -> None:
        last = max(seals, default=0)
        known = 0
        for head in heads:
            known = max(known, head.number)
            seal = seals.get(head.number)
            if head.number > last:
                self._find(
                    "cut_off",
                    f"The log is cut off: a signed head of {_time(head.sealed_at)} knows {head.position} lines under "
                    f"{head.number} seals, and there are {last} seals.",
                )
            elif seal is None or (seal["hash"], seal["last_position"], seal["sealed_at"]) != (
                head.hash, head.position, head.sealed_at,
            ):  # fmt: skip
                self._find("head_contradicted", f"Seal {head.number} is not the one that was signed.")
        if late := [seals[n] for n in seals if n > known and seals[n]["sealed_at"] < self._now - PATIENCE]:
            self._find(
                "heads_cut_off",
                f"No signed head knows the {len(late)} seals after seal {known}, the last of "
                f"{_time(max(seal['sealed_at'] for seal in late))}: the file of heads is cut off, or another one.",
            )


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
