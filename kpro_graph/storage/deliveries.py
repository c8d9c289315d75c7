"""Deliveries: subscribers who are sent the same, in the same scope, share one line that lists them all.

A delivery waits until its line is committed, and the line for a moment for the others: until everybody who listens in
that scope has read the event, or the window has passed. Whoever comes later gets a line of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from kpro_graph.storage.log import Act, Seen

__all__ = ["Deliveries", "Listener"]

_WINDOW = 0.25
"""How long, in seconds, a delivery waits for others like it at most."""

Write = Callable[[tuple[UUID, ...], Act, Seen], Awaitable[None]]


class _Shared:
    """One line in the making: who is to stand in it, and the task that writes it."""

    def __init__(self) -> None:
        self.viewers: list[UUID] = []
        self.everybody = asyncio.Event()
        self.written: asyncio.Task[None]


class Deliveries:
    """Gathers the deliveries of one process; ``write`` commits the line of those who were gathered."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._shared: dict[Hashable, _Shared] = {}
        self.listening: Counter[Hashable] = Counter()

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Take part as one subscriber until the block ends."""
        listener = Listener(self)
        try:
            yield listener
        finally:
            listener.enter(None)

    async def log(self, scope: Hashable, event: int, act: Act, seen: Seen) -> None:
        """Return once a line that names this viewer, and says exactly what was seen, is committed.

        Raises whatever kept the line from being written; then nothing may be delivered.
        """
        if not seen:
            return
        said = frozenset((key, frozenset(s.groups), frozenset(s.questionnaires)) for key, s in seen.items())
        key = (scope, event, said)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _Shared()
            shared.written = asyncio.create_task(self._gather(key, shared, act, seen))
        shared.viewers.append(act.actor.id)
        if len(shared.viewers) >= self.listening[scope]:
            shared.everybody.set()
        # One subscriber who leaves must not take the others' line with them.
        await asyncio.shield(shared.written)

    async def _gather(self, key: Hashable, shared: _Shared, act: Act, seen: Seen) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WINDOW):
                await shared.everybody.wait()
        del self._shared[key]
        await self._write(tuple(sorted(set(shared.viewers))), act, seen)


class Listener:
    """One subscriber's part: the scope it listens in, which may change while it listens."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self.scope: Hashable = None

    def enter(self, scope: Hashable) -> None:
        """Listen in this scope from now on; None is nowhere."""
        counted = self._deliveries.listening
        if self.scope is not None:
            counted[self.scope] -= 1
            if not counted[self.scope]:
                del counted[self.scope]
        if scope is not None:
            counted[scope] += 1
        self.scope = scope

    def delivering(self, event: int) -> Callable[[Act, Seen], Awaitable[None]]:
        """Return what logs the delivery of this event to this subscriber."""
        scope = self.scope

        async def log(act: Act, seen: Seen) -> None:
            await self._deliveries.log(scope, event, act, seen)

        return log
