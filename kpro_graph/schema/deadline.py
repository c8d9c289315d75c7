"""The deadline of an operation: when it is over, or whoever asked has left, the operation is broken off.

Breaking off cancels the statement that is running, on the server as well. A change is never broken off because its
client has left, and no commit is broken off at all: its outcome would be known to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from kpro_graph.errors import DeadlineExceeded

__all__ = ["Deadline"]

# Most answers are there sooner, and then nobody has watched.
_WATCHED_AFTER = 0.05
# Seconds to read what is asked of a change's result, however late the change was committed.
_TO_READ = 5.0


class Deadline:
    """Breaks off what runs in its block after ``seconds``, or when ``leaving`` comes to its end before."""

    def __init__(self, seconds: float, leaving: Callable[[], Awaitable[object]] | None = None) -> None:
        self._seconds = seconds
        self._leaving = leaving
        self._timeout = asyncio.timeout(None)
        self._running = False
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stays = False
        self._changed = False

    async def __aenter__(self) -> Deadline:
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._seconds
        self._timeout = asyncio.timeout_at(self._until)
        await self._timeout.__aenter__()
        self._running = True
        if self._leaving is not None:
            self._timer = loop.call_later(_WATCHED_AFTER, self._watch, self._leaving)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block.

        Raises:
            DeadlineExceeded: it was broken off.
        """
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as over:
            raise DeadlineExceeded(changed=self._changed) from over

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Stay when the client leaves, from now on; what is asked of the change's result is read after the block."""
        self._stays = True
        # An earlier change may have been given time beyond the deadline, for reading; this one may not.
        self._move(self._until)
        try:
            yield
        except BaseException:
            self._move(self._until)
            raise
        self._changed = True
        self._move(max(self._until, asyncio.get_running_loop().time() + min(_TO_READ, self._seconds)))

    def hold(self) -> None:
        """Break nothing off until the change's block has ended."""
        self._move(None)

    def _move(self, when: float | None) -> None:
        if self._running and not self._timeout.expired():
            self._timeout.reschedule(when)

    def _watch(self, leaving: Callable[[], Awaitable[object]]) -> None:
        self._watching = asyncio.ensure_future(self._until_left(leaving))

    async def _until_left(self, leaving: Callable[[], Awaitable[object]]) -> None:
        await leaving()
        if not self._stays:
            self._move(asyncio.get_running_loop().time())
