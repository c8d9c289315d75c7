"""What happens to rows after commit: a sequencer places events, a feed wakes whoever waits, a sealer chains the log.

A position is given after commit, under a lock, gapless and in one order; a reader who remembers the last position it
handled misses nothing and gets nothing twice. (A sequence or a transaction id would do neither.)
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import asyncpg

from kpro_graph.storage.sealing import Chain
from kpro_graph.storage.witness import Head, Witness

__all__ = ["Feed", "Sealer", "Sequencer"]

_logger = logging.getLogger(__name__)

RIGHTS = "kpro_rights"
"""The channel that tells when what somebody may has changed."""

_LOCK = 0x6B707273
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
# A notification can be lost with its connection; looking now and then makes that harmless.
_LOOK_EVERY = 1.0
_LOOK_POOLED = 0.25
_SEAL_LOCK = 0x6B707365
# A notification for every line would be a lock that all commits share; looking this often is cheaper.
_SEAL_EVERY = 0.4

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
    """What it listens to; "" for nothing."""

    def __init__(self, dsn: str, **connecting: Any) -> None:
        self._dsn = dsn
        self._connecting = connecting
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
                connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=30, **self._connecting)
            except _LOST as error:
                _logger.warning("%s cannot connect: %s", type(self).__name__, type(error).__name__)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            try:
                if self.channel:
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

    _look_every = _LOOK_EVERY

    async def _wait(self) -> None:
        # Not asyncio.wait_for: on Python 3.11 it swallows a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_every):
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


class Sealer(_Listener):
    """Places and seals committed access-log lines, as the relay's role, and has the heads witnessed outside.

    Any number may run: one works, the others stand by. Between two batches everything it knows is in the database and
    in the witness's file, so it may end at any moment and another goes on.
    """

    channel = ""

    def __init__(self, dsn: str, witness: Witness) -> None:
        super().__init__(dsn)
        self._witness = witness
        self._owed: dict[int, Head] = {}

    async def start(self) -> None:
        """Begin, and return once it works or stands by.

        Raises:
            ConfigurationError: the witness's file cannot be written.
        """
        await asyncio.to_thread(self._witness.prepare)
        await super().start()

    async def _listen(self, connection: Any) -> None:
        self.ready.set()
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _SEAL_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY)  # another process holds the lock; nothing here can tell
        chain = await Chain.load(connection)
        witnessed = await asyncio.to_thread(self._witness.latest)
        for head in witnessed.values():
            if await chain.contradicts(head):
                # To go on from a log that was cut off or chained anew would bury what was done to it.
                chain.broken.add(head.municipality)
                _logger.error(
                    "the access log of municipality %04d contradicts its signed heads and is not sealed any further: "
                    "run `kpro access-log verify`",
                    head.municipality,
                )
        self._owe(head for head in chain.newer(witnessed) if head.municipality not in chain.broken)
        while True:
            while heads := await chain.seal():
                self._owe(heads)
                await self._bear_witness()
            await self._bear_witness()
            await asyncio.sleep(_SEAL_EVERY)

    def _owe(self, heads: Iterable[Head]) -> None:
        self._owed.update((head.municipality, head) for head in heads)

    async def _bear_witness(self) -> None:
        if not self._owed:
            return
        try:
            await asyncio.to_thread(self._witness.append, list(self._owed.values()))
        except OSError as error:
            # Sealing goes on; the heads are owed until they can be written.
            _logger.error("heads of the access log cannot be written: %s", error.strerror)  # noqa: TRY400
        else:
            self._owed.clear()


class Feed(_Listener):
    """Knows how far the events have come, as the API's role, and wakes the subscriptions that wait for more.

    Behind a transaction pooler, ``pooled``, nobody can be told: then it looks by itself, some times a second.
    ``told`` is called whenever what somebody may has changed, where that is told.
    """

    def __init__(self, dsn: str, *, pooled: bool = False, told: Callable[[], None] | None = None) -> None:
        super().__init__(dsn, **({"statement_cache_size": 0} if pooled else {}))
        self._told = told
        self.channel = "" if pooled else "kpro_sequenced"
        self._look_every = _LOOK_POOLED if pooled else _LOOK_EVERY
        self.head = 0
        self._rights = 0
        self._moved = asyncio.Condition()

    @property
    def rights(self) -> int:
        """A number that is another whenever what somebody may has changed, or may have while nobody was told.

        It is told on the connection that tells of events, so a change that was committed before an event is known
        before the event is.
        """
        if not self.channel:
            self._rights += 1
        return self._rights

    def _changed(self, *_: object) -> None:
        self._rights += 1
        if self._told is not None:
            self._told()

    async def beyond(self, position: int) -> None:
        """Return once an event after this position may be there."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.head > position)

    async def _listen(self, connection: Any) -> None:
        if self.channel:
            await connection.add_listener(RIGHTS, self._changed)
        # What was changed before this connection listened was told to nobody.
        self._changed()
        while True:
            head = await connection.fetchval("SELECT position FROM event_head")
            if head != self.head:
                async with self._moved:
                    self.head = head
                    self._moved.notify_all()
            self.ready.set()
            await self._wait()
