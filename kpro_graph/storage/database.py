"""The door to PostgreSQL: open it, read as an actor, change as an actor; nothing else reaches a row.

Every session is one transaction whose municipalities are set in it and end with it, so a pooled connection carries
nothing from one actor to the next, also behind a transaction pooler. Tortoise's writes run on the same connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.context import TortoiseContext, _current_context
from tortoise.exceptions import OperationalError

from kpro_graph.actors import Actor
from kpro_graph.errors import BadInput, DeadlineExceeded, Rejected, Unavailable
from kpro_graph.events import Happened
from kpro_graph.storage import log, telling
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.connections import limits, open_pool, prove_walls, undo
from kpro_graph.storage.owner import AWAY, saying_when_away
from kpro_graph.storage.replicas import ReplicaLost, Replicas
from kpro_graph.storage.tables import new_id

__all__ = ["Change", "Database", "Reading", "model_config"]

# A line of the access log that the server has not written to its disk is no line, whatever the role's or the server's
# setting is; a stronger one stays.
_ENTER = """
SELECT set_config('kpro.municipalities', $1, true),
       CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
            THEN set_config('synchronous_commit', 'on', true) END
"""


_ENTER_SESSION = _ENTER.replace(", true)", ", false)")


def _entering_pooled(deadline: float) -> str:
    """Behind a pooler a connection was opened by somebody else, so its limits are stated in each transaction."""
    return _ENTER + "".join(f", set_config('{name}', '{value}', true)" for name, value in limits(deadline).items())


def _nothing() -> None:
    """Do nothing before a change is committed."""


def _is_about_text(error: BaseException | None) -> bool:
    """Say whether the driver could not send a text: JSON can hold U+0000 and half a character, PostgreSQL neither."""
    while error is not None and not isinstance(error, (asyncpg.CharacterNotInRepertoireError, UnicodeEncodeError)):
        error = error.__cause__
    return error is not None


def _scope(municipalities: Iterable[int]) -> str:
    return "{" + ",".join(str(int(number)) for number in municipalities) + "}"


def model_config(dsn: str = "") -> dict[str, Any]:
    """Return Tortoise's configuration; ``dsn`` is needed only where Tortoise itself connects (migrations)."""
    return {
        "connections": {"default": dsn or "asyncpg://nobody@localhost/none"},
        "apps": {
            "kpro": {
                "models": ["kpro_graph.storage.tables"],
                "default_connection": "default",
                "migrations": "kpro_graph.storage.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


class Reading:
    """One consistent look at the data an actor may see. Made by `Database.read`; serialises its statements."""

    def __init__(self, connection: Any, actor: Actor, operation: str, trace: str) -> None:
        self.actor = actor
        self.operation = operation
        self.operation_id = new_id()
        self.trace = trace or secrets.token_hex(16)
        self.statements = 0
        self.until: float | None = None
        self._connection = connection
        self._lock = asyncio.Lock()
        self._over = False
        self._seen: dict[tuple[int, UUID | None, str], log.Sight] = {}

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows. Concurrent callers take turns: a connection does one at a time.

        ``until``, by the event loop's clock, is when statements are broken off that nobody else would break off.

        Raises:
            Unavailable: the server is away.
            DeadlineExceeded: the statement was not done by then.
        """
        async with self._lock:
            if self._over:
                raise RuntimeError("the reading has ended")
            self.statements += 1
            left = None if self.until is None else max(self.until - asyncio.get_running_loop().time(), 0.001)
            try:
                rows: list[Any] = await self._connection.fetch(sql, *arguments, timeout=left)
            except AWAY as error:
                if left is not None and isinstance(error, TimeoutError):
                    raise DeadlineExceeded from error
                with saying_when_away():
                    raise
            return rows

    def saw(
        self,
        municipality: int,
        citizen: UUID,
        fields: Iterable[str],
        action: str = "read",
        questionnaires: Iterable[str] = (),
    ) -> None:
        """Note that a citizen's record is in the answer; it becomes a line of the access log.

        ``fields`` are groups of fields; ``questionnaires`` the canonical URLs of what they are answers to.
        """
        key = municipality, citizen, action
        sight = self._seen.get(key)
        if sight is None:
            sight = self._seen[key] = log.Sight()
        sight.groups.update(fields)
        sight.questionnaires.update(questionnaires)

    def saw_rows(self, rows: Iterable[Sequence[Any]], fields: Iterable[str], action: str) -> bool:
        """Note whose rows are in the answer: municipality, citizen, questionnaire of each; say if there are any."""
        seen, any_ = self._seen, False
        for municipality, citizen, questionnaire in rows:
            any_ = True
            if citizen is None:
                self.saw_nobody(action, fields)
                continue
            key = municipality, citizen, action
            sight = seen.get(key)
            if sight is None:
                sight = seen[key] = log.Sight()
            sight.groups.update(fields)
            if questionnaire is not None:
                sight.questionnaires.add(questionnaire)
        return any_

    def saw_nobody(self, action: str = "search", fields: Iterable[str] = ()) -> None:
        """Note a search without a hit; it becomes a line that names no citizen, even if the change is rejected."""
        self._seen.setdefault((self.actor.municipality, None, action), log.Sight()).groups.update(fields)

    @property
    def _act(self) -> log.Act:
        return log.Act(self.actor, self.operation_id, self.operation, self.trace)

    async def _end(self) -> None:
        """Let what still runs come to its end, and nothing more begin: an answer with an error waits for nobody."""
        async with self._lock:
            self._over = True

    async def _finish(self) -> None:
        await log.write(self._connection, self._act, self._seen)


class _Nearby(Reading):
    """A reading on a replica."""

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        try:
            return await super().fetch(sql, arguments)
        except DeadlineExceeded:
            raise
        except (asyncpg.PostgresError, Unavailable) as error:
            # A conflict with what the primary has removed, a lost connection, a table that is not there yet: whether
            # it is more than that, the primary will say.
            raise ReplicaLost("a replica did not finish a statement") from error


class Change(Reading):
    """One change by one actor: rows, access-log lines and events are committed together or not at all."""

    def __init__(
        self, connection: Any, actor: Actor, operation: str, trace: str, client: TransactionWrapper, cipher: Cipher
    ) -> None:
        super().__init__(connection, actor, operation, trace)
        self.using = client
        # How far a replica must have come to know of it, once it is committed; None where there are no replicas.
        self.position: int | None = None
        self.cipher = cipher
        self._happened: list[Happened] = []

    def record(self, happened: Happened) -> None:
        """Announce a fact; it is discarded if the change is not committed."""
        self._happened.append(happened)

    async def _finish(self) -> None:
        told = self._happened
        if not told:
            await super()._finish()
            return
        await telling.write(self._connection, self._act, self._seen, told)

    @property
    def _looked(self) -> log.Seen:
        """What was seen although nothing is changed: a rejection may tell of it."""
        looking = {log.Action.READ, log.Action.SEARCH}
        return {key: sight for key, sight in self._seen.items() if key[2] in looking}


class Database:
    """A pool of connections as the API's role, and the two ways to use it."""

    def __init__(
        self,
        pool: Any,
        size: int,
        cipher: Cipher,
        models: TortoiseContext,
        *,
        pooled: bool = False,
        deadline: float = 30,
    ) -> None:
        self.cipher = cipher
        self.deadline = deadline
        self._models = models
        self._pool = pool
        self._pooled = pooled
        self._enter = _entering_pooled(deadline) if pooled else _ENTER
        # asyncpg's own queue lets newcomers overtake; this gate is first come, first served.
        self._gate = asyncio.Semaphore(size)
        self.replicas: Replicas | None = None

    @classmethod
    async def open(
        cls,
        dsn: str,
        cipher: Cipher,
        *,
        size: int = 10,
        pooled: bool = False,
        deadline: float = 30,
        replicas: Sequence[str] = (),
        lag: float = 2,
    ) -> Database:
        """Connect and prove that the walls stand.

        ``pooled`` says that a transaction pooler stands between: then nothing is kept on a connection from one
        transaction to the next, prepared statements included. ``deadline`` is how many seconds an operation may take;
        whoever runs one ends it then, which cancels its statement, and the server ends one by itself soon after.
        ``replicas`` are read from while they are at most ``lag`` seconds late.

        Raises:
            ConfigurationError: the role could bypass row-level security, a table has none, or a pooler was not said.
            Unavailable: the server does not answer.
        """
        models = TortoiseContext()
        token = _current_context.set(models)
        try:
            await models.init(config=model_config())
        finally:
            _current_context.reset(token)
        pool = await open_pool(dsn, size=size, pooled=pooled, deadline=deadline)
        database = cls(pool, size, cipher, models, pooled=pooled, deadline=deadline)
        try:
            await database._prove_walls()
            if replicas:
                database.replicas = await Replicas.open(
                    dsn,
                    replicas,
                    size=size,
                    deadline=deadline,
                    lag=lag,
                    entering_pooled=database._enter if pooled else None,
                )
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection; sessions still running get ten seconds."""
        if self.replicas is not None:
            await self.replicas.close()
        try:
            async with asyncio.timeout(10):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _prove_walls(self) -> None:
        async with self._pool.acquire() as connection:
            await prove_walls(connection)

    @asynccontextmanager
    async def _session(
        self, municipalities: Iterable[int], isolation: str, commit: Callable[[Any, Any], Awaitable[None]] | None = None
    ) -> AsyncIterator[Any]:
        with saying_when_away():
            async with self._gate, self._pool.acquire(timeout=10) as connection:
                transaction = connection.transaction(isolation=isolation)
                await transaction.start()
                try:
                    await connection.execute(self._enter, _scope(municipalities))
                    yield connection
                except BaseException:
                    await undo(connection, transaction)
                    raise
                if commit is None:
                    await transaction.commit()
                else:
                    await commit(connection, transaction)

    @asynccontextmanager
    async def peek(self, *municipalities: int) -> AsyncIterator[Any]:
        """Open a bare session for finding out who an actor is, before there is one. For `identity` alone."""
        async with self._session(municipalities, "read_committed") as connection:
            yield connection

    @asynccontextmanager
    async def read(
        self,
        actor: Actor,
        operation: str = "",
        *,
        trace: str = "",
        delivery: Callable[[log.Act, log.Seen], Awaitable[None]] | None = None,
        known: int | None = None,
    ) -> AsyncIterator[Reading]:
        """Open one snapshot as the actor; the access log is committed when the block ends, before anyone answers.

        ``trace`` is the request's W3C trace-id, made where it has none. With ``delivery`` that function commits the
        lines instead, after the snapshot. With ``known``, the position of the actor's latest change or 0, a replica may
        be read from; the lines are committed on the primary then.

        Raises:
            ReplicaLost: a replica could not finish it; ask the primary.
        """
        if known is not None and self.replicas is not None and delivery is None:
            async with self._nearby(actor, operation, trace, known, snapshot=True) as nearby:
                if nearby is not None:
                    yield nearby
            if nearby is not None:
                await self._write_lines(nearby)
                return
        async with self._session(actor.municipalities, "repeatable_read") as connection:
            reading = Reading(connection, actor, operation, trace)
            try:
                yield reading
            finally:
                await reading._end()
            if delivery is None:
                await reading._finish()
        if delivery is not None:
            await delivery(reading._act, reading._seen)

    @asynccontextmanager
    async def look(
        self,
        actor: Actor,
        operation: str = "",
        *,
        trace: str = "",
        delivery: Callable[[log.Act, log.Seen], Awaitable[None]] | None = None,
        known: int | None = None,
    ) -> AsyncIterator[Reading]:
        """Look with one statement as the actor; its lines are committed when the block ends, before anyone answers.

        One statement is a snapshot by itself, so there is no transaction around it: the municipalities are set for the
        session, anew at every checkout, and two round trips are saved. Behind a transaction pooler it is a `read`.
        ``delivery``, ``known`` and what is raised are those of `read`.
        """
        if known is not None and self.replicas is not None and delivery is None:
            async with self._nearby(actor, operation, trace, known, snapshot=False) as nearby:
                if nearby is not None:
                    yield nearby
            if nearby is not None:
                await self._write_lines(nearby)
                return
        if self._pooled:
            async with self.read(actor, operation, trace=trace, delivery=delivery) as reading:
                yield reading
            return
        async with self._moment(actor.municipalities) as connection:
            reading = Reading(connection, actor, operation, trace)
            try:
                yield reading
            finally:
                await reading._end()
            if delivery is None:
                await reading._finish()
        if delivery is not None:
            await delivery(reading._act, reading._seen)

    @asynccontextmanager
    async def _moment(self, municipalities: Iterable[int]) -> AsyncIterator[Any]:
        """Open what single statements run in, each of them a transaction by itself; never behind a pooler."""
        with saying_when_away():
            async with self._gate, self._pool.acquire(timeout=10) as connection:
                await connection.execute(_ENTER_SESSION, _scope(municipalities))
                yield connection

    @asynccontextmanager
    async def _nearby(
        self, actor: Actor, operation: str, trace: str, known: int, *, snapshot: bool
    ) -> AsyncIterator[Reading | None]:
        """Give a reading on a replica that has come far enough, or None."""
        assert self.replicas is not None
        scope = _scope(actor.municipalities)
        async with self.replicas.session(scope, actor.id, known, snapshot=snapshot) as connection:
            if connection is None:
                yield None
                return
            reading = _Nearby(connection, actor, operation, trace)
            try:
                yield reading
            finally:
                await reading._end()

    async def _write_lines(self, reading: Reading) -> None:
        """Commit the lines of what was read on a replica, on the primary; without that there is no answer."""
        if not reading._seen:
            return
        if self._pooled:
            async with self._session(reading.actor.municipalities, "read_committed") as connection:
                await log.write(connection, reading._act, reading._seen)
            return
        with saying_when_away():
            async with self._gate, self._pool.acquire(timeout=10) as connection:
                await connection.execute(_ENTER_SESSION, _scope(reading.actor.municipalities))
                await log.write(connection, reading._act, reading._seen)

    async def deliver(self, viewers: tuple[UUID, ...], act: log.Act, seen: log.Seen) -> None:
        """Commit the lines of a delivery to these viewers, before it is sent."""
        sent = {(place, citizen, log.Action.DELIVER.value): sight for (place, citizen, _), sight in seen.items()}
        places = act.actor.municipalities
        session = self._session(places, "read_committed") if self._pooled else self._moment(places)
        async with session as connection:
            await log.write(connection, replace(act, viewers=viewers), sent)

    @asynccontextmanager
    async def change(
        self, actor: Actor, operation: str = "", *, trace: str = "", committing: Callable[[], None] = _nothing
    ) -> AsyncIterator[Change]:
        """Open one change as the actor; an exception in the block leaves nothing behind.

        Only what was looked at stays in the access log when the change is rejected: a rejection is an answer too.
        ``committing`` is called when nothing but the commit is left: whoever breaks it off cannot know its outcome.

        Raises:
            BadInput: a text of the caller's cannot be kept.
        """
        looked: tuple[log.Act, log.Seen] | None = None

        async def commit(connection: Any, transaction: Any) -> None:
            committing()
            try:
                await transaction.commit()
            except AWAY as error:
                if self.replicas is not None:
                    self.replicas.changed(actor.id)
                raise Unavailable(
                    "the database went away while a change was committed; whether it was made is not known"
                ) from error
            if self.replicas is not None:
                change.position = await self.replicas.passed(connection, actor.id)

        try:
            async with self._session((actor.municipality,), "read_committed", commit) as connection:
                # Tortoise finds its models' dialect through a context variable; it is this task's alone, so changes
                # that overlap do not meet. Its own pool is never opened: statements run on the session's connection.
                token = _current_context.set(self._models)
                try:
                    client = TransactionWrapper(cast("AsyncpgDBClient", self._models.connections.get("default")))
                    client._connection = connection
                    change = Change(connection, actor, operation, trace, client, self.cipher)
                    try:
                        yield change
                    except Rejected:
                        looked = change._act, change._looked
                        raise
                    await change._finish()
                finally:
                    _current_context.reset(token)
        except Rejected:
            if looked is not None and looked[1]:
                async with self._session((actor.municipality,), "read_committed") as connection:
                    await log.write(connection, *looked)
            raise
        except (asyncpg.DataError, OperationalError) as error:
            if _is_about_text(error):
                raise BadInput("a text holds a character that cannot be kept") from error
            raise
