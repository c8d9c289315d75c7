"""Meters: the CPU and memory of a server, with its children, and of the connections PostgreSQL holds for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
from servers import Running

__all__ = ["Meter", "Reading"]

_NANO = 1e-9


class Reading(NamedTuple):
    """Seconds of CPU since each began: of the server, of its part of PostgreSQL, and of what works beside it."""

    server: float
    database: float
    beside: float

    def since(self, before: Reading) -> Reading:
        """Return what was used since the reading before."""
        return Reading(*(now - then for now, then in zip(self, before, strict=True)))


class Meter:
    """Reads the CPU of one server; ``connection`` asks PostgreSQL, as its superuser, who its backends are."""

    def __init__(self, running: Running, connection: Any) -> None:
        self._running = running
        self._connection = connection
        self._backends: dict[int, float] = {}
        self._beside: dict[int, float] = {}

    async def read(self) -> Reading:
        """Return the CPU used so far. What ended since the last reading keeps what it had then."""
        name = self._running.server.name
        if name == "full":
            own, relay = "usename = 'kpro_api'", "usename = 'kpro_relay'"
        elif name == "bare":
            own, relay = "usename = 'benchmark_peer' AND application_name IN ('kpro_graph', 'bench-bare')", "false"
        else:
            own, relay = f"application_name = 'bench-{name}'", "false"
        for row in await self._connection.fetch(
            f"SELECT pid, {relay} AS relay FROM pg_stat_activity WHERE {own} OR {relay}"
        ):
            kept = self._beside if row["relay"] else self._backends
            kept[row["pid"]] = _used(row["pid"], kept.get(row["pid"], 0.0))
        beside = sum(self._beside.values())
        if self._running.beside is not None:
            beside += _family(self._running.beside)
        return Reading(_family(self._running.process), sum(self._backends.values()), beside)

    async def settle(self, patience: float = 30.0) -> None:
        """Return once the server and what works beside it have no work left, or after ``patience`` seconds."""
        ends = time.monotonic() + patience
        before = await self.read()
        while time.monotonic() < ends:
            await asyncio.sleep(0.6)
            now = await self.read()
            if sum(now.since(before)) < 0.03:
                return
            before = now

    def memory(self) -> float:
        """Return the memory of the server and its children in MiB, shared pages shared out (PSS), or RSS without it."""
        return sum(_proportional(process) for process in _all(self._running.process)) / 2**20


def _all(process: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _family(process: int) -> float:
    return sum(_used(each.pid, 0.0) for each in _all(process))


def _used(process: int, otherwise: float) -> float:
    """Return a process's CPU in seconds, to the nanosecond where the system counts so finely."""
    try:
        threads = [Path(each, "schedstat").read_text() for each in Path(f"/proc/{process}/task").iterdir()]
        return sum(int(text.split()[0]) for text in threads) * _NANO
    except (OSError, IndexError, ValueError):
        pass
    try:
        times = psutil.Process(process).cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return otherwise


def _proportional(process: psutil.Process) -> float:
    try:
        found = process.memory_full_info()
        return float(getattr(found, "pss", found.rss))
    except psutil.Error:
        return 0.0
