"""Audiences: subscribers who ask the same and see the same are read for once, and are sent the same bytes.

An audience is kept by document, variables and permission scope. For each event it reads once, puts the answer together
once and writes one line of the access log that lists its viewers; nothing is sent before that line is committed. Who
still may listen, and in what scope, is asked again before a reading whenever what somebody may has changed.

An answer is written to each subscriber's connection by the audience itself. Only what a connection cannot take at once
waits, for a task of that subscriber's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from types import coroutine
from typing import Any, Protocol
from uuid import UUID

import msgspec
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from kpro_graph.actors import Actor
from kpro_graph.errors import Unavailable
from kpro_graph.execution.compiled import NotCompiled, Subscribed, answer
from kpro_graph.schema.context import Answer, Application, Operation, Viewer
from kpro_graph.schema.deadline import Deadline
from kpro_graph.schema.errors import public

__all__ = ["AT_ONCE", "Audiences", "Followed", "Following", "start"]

AT_ONCE = 100
"""How many updates are read at a time."""

_MOST_WAITING = 1000
"""How many updates may wait for one slow subscriber; more end the subscription, to be resumed from its cursor."""

_IN_A_ROW = 100

_ASKED_AGAIN = 30.0
"""Seconds after which a subscriber is asked again who they are, though nothing is known to have changed."""


def start(sending: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine as far as it goes without waiting; return what is left of it, for a task to await, or None.

    From Python 3.12 on a task that starts eagerly does the same.
    """
    try:
        waited_for = sending.send(None)
    except StopIteration:
        return None
    return _rest(sending, waited_for)


@coroutine
def _rest(sending: Coroutine[Any, Any, None], waited_for: Any) -> Generator[Any, None, None]:
    try:
        yield waited_for
    except BaseException:
        sending.close()
        raise
    # A coroutine that is under way cannot be awaited again, only gone on with.
    yield from sending


class Followed(Protocol):
    """What is subscribed to: who may, from where, and what has happened there."""

    def may_listen(self, actor: Actor) -> None:
        """Refuse an actor who may not subscribe."""

    def start(self, application: Application, arguments: Mapping[str, Any]) -> int:
        """Return the position to begin after."""

    async def read(self, operation: Operation, arguments: Mapping[str, Any], after: int, head: int) -> list[Any]:
        """Return what happened between two positions, at most some; each has a ``position``."""

    def payload(self, application: Application, happened: Any) -> object:
        """Return the object that is delivered."""


@dataclass(frozen=True, slots=True)
class _Sent:
    position: int
    result: Answer | ExecutionResult


class _Moved:
    """Tells a subscriber to find out anew what they see."""


_MOVED = _Moved()


class _Member:
    def __init__(self, following: Following, rights: int) -> None:
        self.viewer = following.viewer
        self.position = following.position
        self.rights = rights
        self.asked = time.monotonic()
        self.busy = False
        self._following = following
        self._mail: asyncio.Queue[_Sent | _Moved | Awaitable[None] | Exception] = asyncio.Queue()

    def hand(self, sent: _Sent, text: str | None) -> None:
        """Deliver now what is next and the connection takes now; everything else in its turn."""
        straight = self._following.straight
        if text is None or straight is None or self.busy or not self._mail.empty():
            self.send(sent)
            return
        self._following.position = sent.position
        rest: Awaitable[None] | Exception | None
        try:
            sending = straight(text)
            rest = None if sending is None else start(sending)
        except OSError:
            # The connection is gone, which ends the subscription by itself.
            return
        except Exception as error:
            rest = error
        if rest is not None:
            self.send(rest)

    def send(self, what: _Sent | _Moved | Awaitable[None] | Exception) -> None:
        if self._mail.qsize() >= _MOST_WAITING:
            what = Unavailable("too many updates wait for this subscriber; go on from the last cursor")
        self._mail.put_nowait(what)

    async def mail(self) -> AsyncIterator[_Sent | _Moved | Exception]:
        """Deliver what waits; what is not asked for the next yet is still being delivered."""
        while True:
            what = await self._mail.get()
            self.busy = True
            if isinstance(what, (_Sent, _Moved, Exception)):
                yield what
            else:
                with suppress(OSError):
                    await what
            self.busy = False

    async def renew(self, rights: int) -> None:
        await self.viewer.renew()
        self.rights, self.asked = rights, time.monotonic()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One subscription: what is followed, and how an update becomes an answer."""

    followed: Followed
    subscribed: Subscribed
    same: Hashable


class _Audience:
    """Those who are sent the same; it works while it has members."""

    def __init__(self, audiences: Audiences, key: Hashable, asked: _Asked, position: int) -> None:
        self.position = position
        self.members: set[_Member] = set()
        self.working = asyncio.Lock()
        self._viewers: tuple[UUID, ...] | None = None
        self._audiences = audiences
        self._key = key
        self._asked = asked
        self._task = asyncio.create_task(self._run())

    async def join(self, member: _Member) -> bool:
        """Take a member in where nothing is missed; False where the audience has gone on meanwhile."""
        async with self.working:
            if self._task.done() or member.position < self.position:
                return False
            self.members.add(member)
            self._viewers = None
            return True

    def leave(self, member: _Member) -> None:
        """Let a member go; the last one ends the audience."""
        self.members.discard(member)
        self._viewers = None
        if not self.members:
            self._task.cancel()
            self._audiences.forget(self._key, self)

    async def _run(self) -> None:
        feed = self._audiences.application.feed
        try:
            while True:
                await feed.beyond(self.position)
                async with self.working:
                    await self._go_on(feed.head, feed.rights)
        except Exception as error:
            for member in self.members:
                member.send(error)
        finally:
            self._audiences.forget(self._key, self)

    async def _go_on(self, head: int, rights: int) -> None:
        await self._ask_again(rights)
        if not self.members:
            self.position = head
            return
        viewer = next(iter(self.members)).viewer
        looking = Operation(viewer)
        async with Deadline(self._audiences.application.database.deadline):
            happened = await self._asked.followed.read(looking, self._asked.subscribed.arguments, self.position, head)
        for each in happened:
            to = [member for member in self.members if member.position < each["position"]]
            if to:
                result = await self._audiences.answer(self._asked, viewer, self._seen_by(to), each)
                await self._hand_out(_Sent(each["position"], result), to)
            self.position = each["position"]
        if len(happened) < AT_ONCE:
            self.position = head

    def _seen_by(self, to: Sequence[_Member]) -> tuple[UUID, ...]:
        """Return who these members are; as long as they are the same it is known already."""
        if self._viewers is not None and len(to) == len(self.members):
            return self._viewers
        viewers = tuple(sorted({member.viewer.actor.id for member in to if member.viewer.actor}))
        self._viewers = viewers if len(to) == len(self.members) else None
        return viewers

    async def _hand_out(self, sent: _Sent, to: Sequence[_Member]) -> None:
        text = sent.result.text if isinstance(sent.result, Answer) else None
        for number, member in enumerate(to, 1):
            if member in self.members:
                member.hand(sent, text)
            if number % _IN_A_ROW == 0:
                # Others of this process have their turn.
                await asyncio.sleep(0)

    async def _ask_again(self, rights: int) -> None:
        """Ask every member again whose rights may have changed; whoever sees something else now goes elsewhere."""
        now = time.monotonic()
        old = [each for each in self.members if each.rights != rights or now - each.asked > _ASKED_AGAIN]
        if old:
            self._viewers = None
        outcomes = await asyncio.gather(*(member.renew(rights) for member in old), return_exceptions=True)
        for member, outcome in zip(old, outcomes, strict=True):
            if isinstance(outcome, Exception):
                member.send(outcome)
                self.members.discard(member)
            elif self._audiences.key(self._asked, member.viewer) != self._key:
                member.send(_MOVED)
                self.members.discard(member)


class Following:
    """The updates of one subscriber, in order. An error is the last.

    ``straight`` may be set before the first is asked for: it then returns what sends the text of an answer to the
    subscriber's connection, None where there is none; answers that can go that way are not iterated over.
    """

    def __init__(self, audiences: Audiences, viewer: Viewer, asked: _Asked) -> None:
        self.viewer = viewer
        self.asked = asked
        self.position = 0
        self.straight: Callable[[str], Coroutine[Any, Any, None] | None] | None = None
        self._audiences = audiences
        self._updates = self._follow()

    def __aiter__(self) -> Following:
        return self

    async def __anext__(self) -> Answer | ExecutionResult:
        return await anext(self._updates)

    async def aclose(self) -> None:
        """Follow no longer."""
        await self._updates.aclose()

    async def _follow(self) -> AsyncGenerator[Answer | ExecutionResult, None]:
        """Deliver updates until the subscriber leaves or may no longer listen."""
        followed, viewer = self.asked.followed, self.viewer
        try:
            followed.may_listen(Operation(viewer).actor)
            self.position = followed.start(self._audiences.application, self.asked.subscribed.arguments)
            while True:
                async for sent in self._audiences.listen(self):
                    self.position = sent.position
                    yield sent.result
                # Rights have changed: whoever goes on does so as who they are now.
                followed.may_listen(Operation(viewer).actor)
        except Exception as error:
            # What is a fault of ours is masked and logged there; whatever it was, nothing more is delivered.
            yield ExecutionResult(data=None, errors=public([GraphQLError("", original_error=error)]))


class Audiences:
    """The audiences of one process."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._audiences: dict[Hashable, _Audience] = {}

    def follow(self, viewer: Viewer, followed: Followed, subscribed: Subscribed) -> Following:
        """Return the updates of a subscriber, which begin when the first is asked for."""
        return Following(self, viewer, _Asked(followed, subscribed, self._same(subscribed)))

    async def listen(self, following: Following) -> AsyncIterator[_Sent]:
        """Deliver until the subscriber's scope changes; what goes straight to the connection is not among it."""
        feed, viewer, asked = self.application.feed, following.viewer, following.asked
        key = self.key(asked, viewer)
        while True:
            audience = self._audiences.get(key)
            if audience is None:
                audience = self._audiences[key] = _Audience(self, key, asked, max(following.position, 0))
            member = _Member(following, feed.rights)
            if await audience.join(member):
                break
            if self._audiences.get(key) is audience and audience.position > following.position:
                to = audience.position
                async for sent in self._catch_up(following, to):
                    yield sent
                if self.key(asked, viewer) != key:
                    return
                following.position = to
        try:
            async for what in member.mail():
                if isinstance(what, _Sent):
                    yield what
                elif isinstance(what, _Moved):
                    return
                else:
                    raise what
        finally:
            audience.leave(member)

    async def _catch_up(self, following: Following, to: int) -> AsyncIterator[_Sent]:
        """Deliver what the others have had already, to this subscriber alone."""
        viewer, asked, position = following.viewer, following.asked, following.position
        while position < to:
            await viewer.renew()
            operation = Operation(viewer)
            asked.followed.may_listen(operation.actor)
            async with Deadline(self.application.database.deadline):
                happened = await asked.followed.read(operation, asked.subscribed.arguments, position, to)
            for each in happened:
                result = await self.answer(asked, viewer, (operation.actor.id,), each)
                position = each["position"]
                yield _Sent(position, result)
            if len(happened) < AT_ONCE:
                position = to

    async def answer(
        self, asked: _Asked, viewer: Viewer, viewers: tuple[UUID, ...], happened: Any
    ) -> Answer | ExecutionResult:
        """Put one update together once; its line, which lists the viewers, is committed before this returns.

        Raises:
            DeadlineExceeded: the delivery took too long; it is not sent.
        """
        async with Deadline(self.application.database.deadline) as deadline:
            return await self._answer(deadline, asked, viewer, viewers, happened)

    async def _answer(
        self, deadline: Deadline, asked: _Asked, viewer: Viewer, viewers: tuple[UUID, ...], happened: Any
    ) -> Answer | ExecutionResult:
        subscribed, database = asked.subscribed, self.application.database
        operation = Operation(viewer, subscribed.name)
        operation.deadline = deadline
        operation.compiled = True
        operation.delivery = lambda act, seen: database.deliver(viewers, act, seen)
        payload = asked.followed.payload(self.application, happened)
        try:
            data = await answer(subscribed.prepared, payload, subscribed.variables, operation)
            body = msgspec.json.encode({"data": {subscribed.key: data}})
            await operation.settle()
        except NotCompiled as reason:
            await operation.abandon(reason)
            return ExecutionResult(data=None, errors=public([GraphQLError("", original_error=reason)]))
        except BaseException as error:
            await operation.abandon(error)
            raise
        return Answer(body)

    def key(self, asked: _Asked, viewer: Viewer) -> Hashable:
        """Return the same for all who ask the same and see the same."""
        return asked.same, _scope(viewer.actor) if viewer.actor is not None else None

    def forget(self, key: Hashable, audience: _Audience) -> None:
        """Let an audience go that has ended."""
        if self._audiences.get(key) is audience:
            del self._audiences[key]

    def _same(self, subscribed: Subscribed) -> Hashable:
        """Return the same for all who ask the same, wherever they go on from."""
        after = subscribed.arguments.get("after")
        given = {name: value for name, value in subscribed.variables.coerced.items() if value != after or after is None}
        told = {name: value for name, value in subscribed.arguments.items() if name != "after"}
        return subscribed.document, subscribed.key, repr(sorted(given.items())), repr(sorted(told.items()))


def _scope(actor: Actor) -> str:
    """Return the same text for everybody who sees the same rows: the actor without who it is."""
    someone = replace(actor, id=UUID(int=0), name="", contexts=())
    return repr([(each.name, _sorted(getattr(someone, each.name))) for each in fields(someone)])


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(key), _sorted(each)) for key, each in value.items())
    return sorted(map(str, value)) if isinstance(value, (frozenset, tuple)) else value
