"""Read replicas: which of them may answer a query now, judged by how much of the primary's log they have replayed.

The primary's position is noted several times a second. A replica that has replayed what was there at a moment has all
that was committed before it, so how late it is is known without comparing two machines' clocks. One that is later than
the bound, away, promoted or another cluster's is not read from, and neither is any while the primary is not heard of.
Whoever has changed something reads from a replica only when their change has reached it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import asyncpg

from kpro_graph.errors import ConfigurationError, Unavailable
from kpro_graph.storage.connections import open_pool, prove_walls, undo
from kpro_graph.storage.owner import AWAY

__all__ = ["FARTHEST", "ReplicaLost", "Replicas"]

_logger = logging.getLogger(__name__)

FARTHEST = 2**62
"""A position that no replica ever reaches: what has to be seen is on the primary."""

_PRIMARY = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"
_WHICH = "SELECT system_identifier FROM pg_control_system()"
_STATE = "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint"
_REACHED = "pg_is_in_recovery() AND pg_last_wal_replay_lsn() - '0/0' >= $1::bigint"
_ENTER = f"SELECT {_REACHED}, set_config('kpro.municipalities', $2, false)"
_CHECK = f"SELECT {_REACHED}"
_LOST = (*AWAY, asyncpg.PostgresError)
# Seconds to wait for a replica before the primary is asked.
_TO_ENTER = 1.0
_MOST_REMEMBERED = 10_000


class ReplicaLost(Unavailable):
    """A replica could not finish what it had begun; the primary can."""


class _Replica:
    def __init__(self, number: int, dsn: str, pool: Any, size: int) -> None:
        self.number = number
        self.dsn = dsn
        self.pool = pool
        self.gate = asyncio.Semaphore(size)
        self.fit = False


async def _give_back(pool: Any, connection: Any) -> None:
    # One that cannot be given back in good order is closed, and nothing that was read depends on it.
    with suppress(*_LOST):
        await pool.release(connection)


class Replicas:
    """The replicas of one primary. ``lag`` is how many seconds one may be late; ``counts`` tells where was read."""

    def __init__(self, primary: str, replicas: Sequence[_Replica], lag: float, entering_pooled: str | None) -> None:
        self.lag = lag
        self.counts: Counter[str] = Counter()
        self._primary = primary
        self._replicas = replicas
        self._entering_pooled = entering_pooled
        self._every = min(0.25, lag / 4)
        # When the primary's position was asked for, by the event loop's clock, and what it was; the oldest first.
        self._noted: deque[tuple[float, int]] = deque()
        self._system: int | None = None
        self._changed: OrderedDict[UUID, tuple[float, int]] = OrderedDict()
        self._forgotten: tuple[float, int] = (0.0, 0)
        # What somebody may has changed: the primary answers until it is known how far a replica must have come for it.
        self._told, self._covered, self._least = 0, 0, 0
        self._woken = asyncio.Event()
        self._turns = itertools.count()
        self._watching: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        primary: str,
        dsns: Sequence[str],
        *,
        size: int,
        deadline: float,
        lag: float,
        entering_pooled: str | None = None,
    ) -> Replicas:
        """Begin to watch the primary and its replicas; one that is away is taken in when it comes.

        ``entering_pooled`` is the statement that begins a transaction behind a transaction pooler, where there is one.

        Raises:
            ConfigurationError: a replica refuses the role, or its walls do not stand.
        """
        made = []
        pooled = entering_pooled is not None
        for number, dsn in enumerate(dsns):
            pool = await open_pool(
                dsn, size=size, pooled=pooled, deadline=deadline, least=0, variable="KPRO_REPLICA_URLS"
            )
            made.append(_Replica(number, dsn, pool, size))
        replicas = cls(primary, made, lag, entering_pooled)
        try:
            for each in made:
                await replicas._prove(each)
        except BaseException:
            await replicas.close()
            raise
        replicas._watching = [asyncio.create_task(replicas._keep(primary, "primary", replicas._note, replicas._lose))]
        for each in made:
            replicas._watching.append(asyncio.create_task(replicas._watch(each)))
        return replicas

    async def close(self) -> None:
        """Watch no more and close every connection; what still runs gets ten seconds."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for each in self._replicas:
            try:
                async with asyncio.timeout(10):
                    await each.pool.close()
            except TimeoutError:
                each.pool.terminate()

    @property
    def fit(self) -> int:
        """How many replicas may be read from now."""
        return sum(each.fit for each in self._replicas)

    async def passed(self, connection: Any, actor: UUID) -> int:
        """Return the primary's position after an actor's change was committed, and remember it for them."""
        position = FARTHEST
        with suppress(*_LOST):
            position = await connection.fetchval(_PRIMARY)
        self.changed(actor, position)
        return position

    def changed(self, actor: UUID, position: int = FARTHEST) -> None:
        """Remember how far a replica must have come for this actor, until every replica that is read from has."""
        now = asyncio.get_running_loop().time()
        self._changed.pop(actor, None)
        self._changed[actor] = now, position
        while self._changed:
            when, farthest = next(iter(self._changed.values()))
            if when > now - self.lag and len(self._changed) <= _MOST_REMEMBERED:
                break
            if when > now - self.lag:
                self._forgotten = now, max(farthest, self._forgotten[1])
            self._changed.popitem(last=False)

    def rights_changed(self) -> None:
        """Read from no replica that has not replayed what has now been committed: a right may have ended in it."""
        self._told += 1
        self._woken.set()

    def floor(self, actor: UUID, position: int) -> int | None:
        """Return how far a replica must have come to be read from for this actor; None: the primary has to be asked.

        ``position`` is what the actor was told when they last changed something, 0 if nothing.
        """
        now = asyncio.get_running_loop().time()
        bound = self._bound(now)
        if bound is None or self._told != self._covered:
            return None
        when, own = self._changed.get(actor, (0.0, 0))
        if when <= now - self.lag:
            own = 0
        forgotten = self._forgotten[1] if self._forgotten[0] > now - self.lag else 0
        floor = max(bound, own, position, forgotten, self._least)
        return None if floor >= FARTHEST else floor

    @asynccontextmanager
    async def session(
        self, municipalities: str, actor: UUID, position: int, *, snapshot: bool
    ) -> AsyncIterator[Any | None]:
        """Give a connection to a replica that has come far enough for this actor, or None.

        With ``snapshot`` all its statements see one moment.
        """
        floor = self.floor(actor, position)
        replica = self._choose() if floor is not None else None
        async with AsyncExitStack() as ending:
            connection = None
            if replica is not None:
                try:
                    connection = await self._enter(ending, replica, municipalities, floor, snapshot)
                except _LOST:
                    replica.fit = False
                if connection is None:
                    await ending.aclose()
            self.counts["primary" if connection is None else "replica"] += 1
            yield connection

    async def _enter(
        self, ending: AsyncExitStack, replica: _Replica, municipalities: str, floor: int | None, snapshot: bool
    ) -> Any | None:
        await ending.enter_async_context(replica.gate)
        connection = await replica.pool.acquire(timeout=_TO_ENTER)
        ending.push_async_callback(_give_back, replica.pool, connection)
        # It is asked before the snapshot is taken: what the replica replays meanwhile does no harm.
        if self._entering_pooled is None:
            reached = await connection.fetchval(_ENTER, floor, municipalities, timeout=_TO_ENTER)
        else:
            reached = await connection.fetchval(_CHECK, floor, timeout=_TO_ENTER)
        if not reached:
            return None
        if snapshot or self._entering_pooled is not None:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            # What was read is read: nothing depends on how a transaction that changes nothing ends.
            ending.push_async_callback(undo, connection, transaction)
        if self._entering_pooled is not None:
            await connection.execute(self._entering_pooled, municipalities)
        return connection

    def _choose(self) -> _Replica | None:
        """Return a replica that is fit and has a connection free; they take turns."""
        turn = next(self._turns)
        for n in range(len(self._replicas)):
            each = self._replicas[(turn + n) % len(self._replicas)]
            if each.fit and not each.gate.locked():
                return each
        return None

    def _bound(self, now: float) -> int | None:
        """Return the position that the primary had no longer ago than the bound, as long ago as is known."""
        while self._noted and self._noted[0][0] < now - self.lag:
            self._noted.popleft()
        return self._noted[0][1] if self._noted else None

    # Watching

    async def _prove(self, replica: _Replica) -> None:
        try:
            async with replica.pool.acquire(timeout=_TO_ENTER) as connection:
                await prove_walls(connection)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise ConfigurationError("KPRO_REPLICA_URLS is refused by a server: check user and password") from error
        except _LOST as error:
            _logger.warning("replica %d does not answer yet: %s", replica.number, type(error).__name__)

    async def _watch(self, replica: _Replica) -> None:
        proved = False

        async def look(connection: Any) -> None:
            nonlocal proved
            if not proved:
                await prove_walls(connection)
                proved = True
            now = asyncio.get_running_loop().time()
            standby, position = await connection.fetchrow(_STATE)
            bound = self._bound(now)
            ours = self._system is not None and await connection.fetchval(_WHICH) == self._system
            self._judge(replica, bool(standby and ours and bound is not None and position >= bound))
            await asyncio.sleep(self._every)

        def lose() -> None:
            nonlocal proved
            proved = False
            self._judge(replica, False)

        await self._keep(replica.dsn, f"replica {replica.number}", look, lose)

    def _judge(self, replica: _Replica, fit: bool) -> None:
        if fit != replica.fit:
            _logger.info("replica %d is %s", replica.number, "read from" if fit else "left out")
        replica.fit = fit

    async def _note(self, connection: Any) -> None:
        if self._system is None:
            self._system = await connection.fetchval(_WHICH)
        asked = asyncio.get_running_loop().time()
        told = self._told
        self._woken.clear()
        position = await connection.fetchval(_PRIMARY)
        self._noted.append((asked, position))
        self._bound(asked)
        if told != self._covered:
            self._least, self._covered = position, told
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await self._woken.wait()

    def _lose(self) -> None:
        self._system = None

    async def _keep(
        self, dsn: str, name: str, look: Callable[[Any], Awaitable[None]], lose: Callable[[], None]
    ) -> None:
        """Look at a server again and again, on a connection of its own that comes back when it is lost."""
        delay = self._every
        while True:
            connection = None
            try:
                connection = await asyncpg.connect(
                    dsn, timeout=2, command_timeout=self.lag, statement_cache_size=0,
                    server_settings={"application_name": "kpro_graph"},
                )  # fmt: skip
                while True:
                    await look(connection)
                    delay = self._every
            except (*_LOST, ConfigurationError) as error:
                _logger.warning("%s is not watched: %s", name, type(error).__name__)
            finally:
                lose()
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
