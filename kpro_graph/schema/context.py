"""One operation at a time: whose it is, what it reads through, and how it ends.

Everything an operation read is committed to the access log before its result leaves; if that fails, there is no result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kpro_graph.actors import Actor
from kpro_graph.errors import NotAuthenticated
from kpro_graph.execution import Cursors, Loading
from kpro_graph.relay import Feed
from kpro_graph.storage.database import Change, Database, Reading

__all__ = ["Application", "Operation", "Viewer"]


@dataclass(frozen=True, slots=True)
class Application:
    """What every operation shares; made by the composition root."""

    database: Database
    cursors: Cursors
    feed: Feed


@dataclass(slots=True)
class Viewer:
    """Who sent a request or opened a socket: the actor, or why there is none."""

    application: Application
    actor: Actor | None
    refusal: NotAuthenticated | None = None
    authenticate: Callable[[], Awaitable[Actor]] | None = None
    peer: Any = None
    connection_params: dict[str, Any] | None = None

    async def renew(self) -> None:
        """Ask again who this is; whoever listens for long may have lost the right meanwhile.

        Raises:
            NotAuthenticated: the credentials no longer hold.
        """
        if self.authenticate is not None:
            self.actor = await self.authenticate()


class Operation:
    """The context of one query, mutation or one delivery of a subscription."""

    def __init__(self, viewer: Viewer, name: str = "") -> None:
        self.viewer = viewer
        self.name = name
        self.statements = 0
        self._ending = AsyncExitStack()
        self._reading: Reading | None = None
        self._loading: Loading | None = None

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
        if self._loading is None:
            self._loading = Loading(self.actor, self._open, self.application.cursors)
        return self._loading

    async def _open(self) -> Reading:
        self._reading = await self._ending.enter_async_context(self.application.database.read(self.actor, self.name))
        return self._reading

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Open a change; what was read before it is settled first, what is read after it sees its result."""
        await self.settle()
        async with self.application.database.change(self.actor, self.name) as change:
            yield change
        self.statements += change.statements

    async def settle(self) -> None:
        """Commit the access log of what was read and let the snapshot go."""
        ending, self._ending = self._ending, AsyncExitStack()
        self._loading = None
        if self._reading is not None:
            self.statements += self._reading.statements
            self._reading = None
        await ending.aclose()

    async def abandon(self, error: BaseException) -> None:
        """Let the snapshot go without an answer."""
        ending, self._ending = self._ending, AsyncExitStack()
        self._loading = self._reading = None
        await ending.__aexit__(type(error), error, error.__traceback__)
