"""From committed events to those who listen: a sequencer gives positions, a feed wakes whoever waits.

A position is given after commit, under a lock, gapless and in one order; a reader who remembers the last position it
handled misses nothing and gets nothing twice. (A sequence or a transaction id would do neither.)
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

import asyncpg

__all__ = ["Feed", "Sequencer"]

_logger = logging.getLogger(__name__)

_LOCK = 0x6B707273
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
# A notification can be lost with its connection; looking now and then makes that harmless.
_LOOK_EVERY = 1.0

_ASSIGN = """
WITH head AS (
    SELECT position FROM event_head FOR UPDATE
), fresh AS (
    SELECT municipality_id, id, row_number() OVER (ORDER BY recorded_at, id) AS n
    FROM event WHERE position IS NULL ORDER BY recorded_at, id LIMIT 5000
), placed AS (
    UPDATE event SET position = head.position + fresh.n FROM fresh, head
    WHERE event.municipality_id = fresh.municipality_id AND event.id = fresh.id
    RETURNING 1
)
UPDATE event_head SET position = position + (SELECT count(*) FROM placed)
WHERE EXISTS (SELECT FROM placed)
RETURNING position
"""


class _Listener(ABC):
    """A connection of its own that is told when a channel speaks, and comes back when it is lost."""

    channel: str

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._task: asyncio.Task[None] | None = None
        self.woken = asyncio.Event()
        self.ready = asyncio.Event()

    async def start(self) -> None:
        """Begin, and return once the connection listens."""
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)
        async with asyncio.timeout(30):
            await self.ready.wait()

    async def stop(self) -> None:
        """End, whatever it is doing."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        delay = 0.1
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=30)
            except _LOST as error:
                _logger.warning("%s cannot connect: %s", type(self).__name__, type(error).__name__)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            try:
                await connection.add_listener(self.channel, lambda *_: self.woken.set())
                delay = 0.1
                await self._listen(connection)
            except Exception as error:
                # Whatever it was, events must go on: a connection that is cut can end in many ways.
                _logger.warning("%s lost its connection: %s", type(self).__name__, type(error).__name__)
                await asyncio.sleep(0.05)
            finally:
                with suppress(Exception):
                    await connection.close(timeout=1)

    @abstractmethod
    async def _listen(self, connection: Any) -> None:
        """Work on a fresh connection until it is lost."""

    async def _wait(self) -> None:
        # Not asyncio.wait_for: on Python 3.11 it swallows a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await self.woken.wait()
        self.woken.clear()


class Sequencer(_Listener):
    """Gives positions to committed events, as the relay's role. Any number may run: one works, the others stand by."""

    channel = "kpro_recorded"

    async def _listen(self, connection: Any) -> None:
        self.ready.set()
        # Another process may hold the lock, and nothing in this one can tell when it lets go.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)  # another process holds the lock; nothing here can tell
        while True:
            while (head := await connection.fetchval(_ASSIGN)) is not None:
                await connection.execute("SELECT pg_notify('kpro_sequenced', $1)", str(head))
            await self._wait()


class Feed(_Listener):
    """Knows how far the events have come, as the API's role, and wakes the subscriptions that wait for more."""

    channel = "kpro_sequenced"

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.head = 0
        self._moved = asyncio.Condition()

    async def beyond(self, position: int) -> None:
        """Return once an event after this position may be there."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.head > position)

    async def _listen(self, connection: Any) -> None:
        while True:
            head = await connection.fetchval("SELECT position FROM event_head")
            if head != self.head:
                async with self._moved:
                    self.head = head
                    self._moved.notify_all()
            self.ready.set()
            await self._wait()
