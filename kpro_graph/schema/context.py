"""One operation at a time: whose it is, what it reads through, and how it ends.

Everything an operation read is committed to the access log before its result leaves; if that fails, there is no result.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kpro_graph.actors import Actor
from kpro_graph.errors import KproError, NotAuthenticated
from kpro_graph.execution import Cursors, Loading
from kpro_graph.reception import ReceptionTimes
from kpro_graph.relay import Feed
from kpro_graph.schema.deadline import Deadline
from kpro_graph.storage.database import Change, Database, Reading
from kpro_graph.storage.log import Act, Seen

__all__ = ["POSITION", "Answer", "Application", "Operation", "Viewer"]


POSITION = "Kpro-Position"
"""The header that tells how far a replica must have come to know of a change; whoever sends it back reads that."""


@dataclass(frozen=True, slots=True)
class Application:
    """What every operation shares; made by the composition root."""

    database: Database
    cursors: Cursors
    feed: Feed
    reception: ReceptionTimes = field(default_factory=ReceptionTimes)
    explaining: bool = False

    def known(self, told: str | None) -> int | None:
        """Return the position that a caller was told and says again; None, what no replica reaches, if it is none."""
        if self.database.replicas is None:
            return None
        if not told:
            return 0
        opened = self.cursors.open(POSITION, told, ("bigint",))
        return None if opened is None else int(str(opened[0]))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is JSON already."""

    body: bytes
    errors: None = None

    @property
    def text(self) -> str:
        """The answer as text, which is what sockets send."""
        return self.body.decode()


@dataclass(slots=True)
class Viewer:
    """Who sent a request or opened a socket: the actor, or why there is none. ``headers`` go with the answer."""

    application: Application
    actor: Actor | None
    refusal: KproError | None = None
    authenticate: Callable[[], Awaitable[Actor]] | None = None
    peer: Any = None
    connection_params: dict[str, Any] | None = None
    trace: str = ""
    headers: Any = field(default_factory=dict)
    # The position of the latest change of theirs that they know of, 0 for none; None: only the primary is asked.
    known: int | None = None
    # Comes to its end when whoever sent the request has gone away.
    leaving: Callable[[], Awaitable[object]] | None = None
    # Results of mutations that have run, by key, when the reference execution takes over what came after them.
    finished: Mapping[str, object] = field(default_factory=dict)

    def explain(self, execution: str) -> None:
        """Tell whoever develops against the API how the operation was executed."""
        if self.application.explaining:
            self.headers["Kpro-Execution"] = execution

    async def renew(self) -> None:
        """Ask again who this is; whoever listens for long may have lost the right meanwhile, and then is nobody.

        Raises:
            NotAuthenticated: the credentials no longer hold.
            ContextRequired: the context chosen is no longer one of theirs.
            Unavailable: it cannot be asked now.
        """
        if self.authenticate is not None:
            try:
                self.actor = await self.authenticate()
            except KproError as refusal:
                self.actor, self.refusal = None, refusal
                raise


class Operation:
    """The context of one query, mutation or one delivery of a subscription."""

    def __init__(self, viewer: Viewer, name: str = "") -> None:
        self.viewer = viewer
        self.name = name
        self.trace = viewer.trace or secrets.token_hex(16)
        self.delivery: Callable[[Act, Seen], Awaitable[None]] | None = None
        self.statements = 0
        # Compiled, an operation reads with one statement, which is a snapshot by itself.
        self.compiled = False
        self.deadline: Deadline | None = None
        # Nothing is changed in it, so that a replica may be read from.
        self.looking = False
        self._ending = AsyncExitStack()
        self._reading: Reading | None = None
        self._loading: Loading | None = None
        self._over = False

    @property
    def application(self) -> Application:
        """Return what all operations share."""
        return self.viewer.application

    @property
    def actor(self) -> Actor:
        """Return who acts.

        Raises:
            NotAuthenticated: nobody does; no field but the schema's own can be had without an actor.
        """
        if self.viewer.actor is None:
            raise self.viewer.refusal or NotAuthenticated("this needs a token")
        return self.viewer.actor

    @property
    def loading(self) -> Loading:
        """Return the loaders over the operation's present snapshot."""
        if self._over:
            # A field that had not begun to read when another one's error ended the operation.
            raise RuntimeError("the operation has ended")
        if self._loading is None:
            self._loading = Loading(self.actor, self._open, self.application.cursors)
        return self._loading

    async def _open(self) -> Reading:
        database = self.application.database
        known = self.viewer.known if self.looking else None
        opening = database.look if self.compiled else database.read
        reading = opening(self.actor, self.name, trace=self.trace, delivery=self.delivery, known=known)
        self._reading = await self._ending.enter_async_context(reading)
        if self.deadline is None:
            # A delivery that nobody else breaks off: its statements are, each when the delivery is to be over.
            self._reading.until = asyncio.get_running_loop().time() + database.deadline
        return self._reading

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Open a change; what was read before it is settled first, what is read after it sees its result."""
        await self.settle()
        deadline = self.deadline or Deadline(self.application.database.deadline)
        with deadline.changing():
            async with self.application.database.change(
                self.actor, self.name, trace=self.trace, committing=deadline.hold
            ) as change:
                yield change
        self.statements += change.statements
        if change.position is not None:
            self.viewer.headers[POSITION] = self.application.cursors.seal(POSITION, [change.position])

    async def _closed(self, *, break_off: bool = False) -> AsyncExitStack:
        """Let nothing more be opened; return what is to be ended."""
        loading, self._loading = self._loading, None
        if loading is not None:
            await loading.close(break_off=break_off)
        ending, self._ending = self._ending, AsyncExitStack()
        return ending

    async def settle(self) -> None:
        """Commit the access log of what was read and let the snapshot go."""
        ending = await self._closed()
        if self._reading is not None:
            self.statements += self._reading.statements
            self._reading = None
        await ending.aclose()

    async def end(self) -> None:
        """Settle for good: nothing more is read."""
        self._over = True
        await self.settle()

    async def abandon(self, error: BaseException) -> None:
        """Let the snapshot go without an answer; nothing more is read."""
        self._over = True
        ending = await self._closed(break_off=True)
        self._reading = None
        await ending.__aexit__(type(error), error, error.__traceback__)
