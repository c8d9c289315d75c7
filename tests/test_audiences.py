"""Audiences: whoever asks the same and sees the same is read for once, misses nothing and gets nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.errors import NotAuthenticated
from kpro_graph.events import EventType, Happened
from kpro_graph.schema import audiences as page
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Answer, Viewer
from kpro_graph.storage import tables
from kpro_graph.storage.database import Reading
from tests.living import Api

SCHEMA = make_schema()
DOCUMENT = """
  subscription Follow($after: String) {
    responseUpdates(after: $after) { cursor version response { id status citizen { id } } }
  }
"""


def system(*, answers: bool = True) -> Actor:
    """Return an integrator of København."""
    return Actor(
        ActorKind.SYSTEM, tables.new_id(), 101, (101,), AssuranceLevel.HIGH,
        roles=frozenset({Role.INTEGRATOR}), may_have_answers=answers,
    )  # fmt: skip


async def a_response(api: Api) -> Any:
    async with api.product.database.peek(101) as connection:
        return await connection.fetchrow(
            "SELECT r.id, r.citizen_id, e.care_team_id FROM response r JOIN episode_of_care e"
            " ON e.municipality_id = r.municipality_id AND e.id = r.episode_id"
            " WHERE r.submitted_at IS NOT NULL AND e.consented_until > now() ORDER BY r.id LIMIT 1"
        )


async def announce(api: Api, response: Any, version: int = 1) -> None:
    """Announce a response as submitted, once more; ``version`` tells the announcements apart."""
    actor = Actor(ActorKind.OPERATOR, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)
    async with api.product.database.change(actor, "test") as change:
        change.record(
            Happened(
                EventType.RESPONSE_SUBMITTED, "QuestionnaireResponse", response["id"], version,
                citizen_id=response["citizen_id"], care_team_id=response["care_team_id"],
            )
        )  # fmt: skip


class Subscriber:
    """Someone who listens over a socket, and what they were sent."""

    def __init__(self, api: Api, actor: Actor, after: str | None = None) -> None:
        self.sent: list[Any] = []
        self.renewals = 0
        self.allowed = True
        self.viewer = Viewer(api.product.application, actor, peer=object())
        self.task = asyncio.create_task(self._listen(after))
        self._actor = actor

    async def _authenticate(self) -> Actor:
        self.renewals += 1
        if not self.allowed:
            raise NotAuthenticated("not any more")
        return self._actor

    async def _listen(self, after: str | None) -> None:
        stream = await SCHEMA.stream(DOCUMENT, {"after": after}, self.viewer)
        self.viewer.authenticate = self._authenticate
        try:
            async for result in stream:
                self.sent.append(result)
        finally:
            await stream.aclose()

    @property
    def versions(self) -> list[int]:
        """The versions delivered, in order."""
        return [json.loads(each.body)["data"]["responseUpdates"]["version"] for each in self.sent]

    async def until(self, count: int) -> None:
        """Wait until so many deliveries have come."""
        async with asyncio.timeout(10):
            while len(self.sent) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(*subscribers: Subscriber) -> AsyncIterator[None]:
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for each in subscribers:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in subscribers), return_exceptions=True)


async def together(api: Api, count: int) -> None:
    """Wait until so many subscribers are members of one audience."""
    async with asyncio.timeout(10):
        while not any(  # noqa: ASYNC110
            len(audience.members) == count
            for each in SCHEMA._following.values()
            if each.application is api.product.application
            for audience in each._audiences.values()
        ):
            await asyncio.sleep(0.01)


async def test_an_event_is_read_once_for_all_who_see_the_same_and_they_get_the_same_bytes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = await a_response(api)
    subscribers = [Subscriber(api, system()) for _ in range(25)]
    ran: list[str] = []
    fetch = Reading.fetch

    async def counting(self: Reading, sql: str, arguments: Any = ()) -> list[Any]:
        ran.append(sql)
        return await fetch(self, sql, arguments)

    async with listening(*subscribers):
        monkeypatch.setattr(Reading, "fetch", counting)
        await announce(api, response)
        await asyncio.gather(*(each.until(1) for each in subscribers))
    assert len(ran) == 2
    bodies = {each.sent[0].body for each in subscribers}
    assert len(bodies) == 1
    assert isinstance(subscribers[0].sent[0], Answer)


async def test_those_who_see_something_else_are_an_audience_of_their_own(api: Api) -> None:
    response = await a_response(api)
    with_answers, without = Subscriber(api, system()), Subscriber(api, system(answers=False))
    async with listening(with_answers, without):
        await announce(api, response)
        await asyncio.gather(with_answers.until(1), without.until(1))
        [following] = [each for each in SCHEMA._following.values() if each.application is api.product.application]
        assert len(following._audiences) == 2
    await asyncio.sleep(0.1)
    assert following._audiences == {}


async def test_nobody_is_asked_again_while_nothing_changed_and_everybody_when_something_did(api: Api) -> None:
    response = await a_response(api)
    subscribers = [Subscriber(api, system()) for _ in range(4)]
    async with listening(*subscribers):
        for number in (1, 2, 3):
            await announce(api, response, number)
            await asyncio.gather(*(each.until(number) for each in subscribers))
        assert {each.renewals for each in subscribers} == {0}
        async with api.product.database.peek(101) as connection:
            await connection.execute("UPDATE employee SET active = active WHERE municipality_id = 101")
        subscribers[0].allowed = False
        await announce(api, response, 4)
        await asyncio.gather(*(each.until(4) for each in subscribers))
    assert all(each.renewals == 1 for each in subscribers)
    assert [each.versions for each in subscribers[1:]] == [[1, 2, 3, 4]] * 3
    last = subscribers[0].sent[-1]
    assert last.data is None
    assert [error.extensions["code"] for error in last.errors] == ["UNAUTHENTICATED"]


async def test_whoever_joins_late_or_goes_on_from_a_cursor_misses_nothing_and_gets_nothing_twice(api: Api) -> None:
    response = await a_response(api)
    first = Subscriber(api, system())
    late: list[tuple[int, Subscriber]] = []
    async with listening(first):
        for number in range(1, 31):
            await announce(api, response, number)
            if number % 6 == 0:
                await first.until(number - 3)
                known = len(first.sent)
                cursor = json.loads(first.sent[known - 4].body)["data"]["responseUpdates"]["cursor"]
                late.append((first.versions[known - 4], Subscriber(api, system(), after=cursor)))
        everybody = [first, *(each for _, each in late)]
        async with listening(*(each for _, each in late)):
            await first.until(30)
            await asyncio.gather(*(each.until(30 - after) for after, each in late))
            await asyncio.sleep(0.2)
            assert first.versions == list(range(1, 31))
            for after, each in late:
                assert each.versions == list(range(after + 1, 31))
    assert len(everybody) == 6


async def test_one_who_reads_too_slowly_is_let_go_and_the_others_are_not_held_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_MOST_WAITING", 3)
    response = await a_response(api)
    quick = Subscriber(api, system())
    slow = await SCHEMA.stream(DOCUMENT, {}, Viewer(api.product.application, system(), peer=object()))
    began = asyncio.create_task(anext(slow))
    async with listening(quick):
        for number in range(1, 10):
            await announce(api, response, number)
            await quick.until(number)
        await began
        rest = [result async for result in slow]
    assert quick.versions == list(range(1, 10))
    assert len(rest) == 4
    assert [error.extensions["code"] for error in rest[-1].errors] == ["UNAVAILABLE"]


async def test_what_a_connection_cannot_take_at_once_waits_in_order_and_nobody_waits_for_it(api: Api) -> None:
    response = await a_response(api)
    quick = Subscriber(api, system())
    stream = await SCHEMA.stream(DOCUMENT, {"after": None}, Viewer(api.product.application, system(), peer=object()))
    heard: list[tuple[str, int]] = []
    gate = asyncio.Event()

    async def send(text: str) -> None:
        await gate.wait()
        heard.append(("straight", json.loads(text)["data"]["responseUpdates"]["version"]))

    async def listen() -> None:
        async for result in stream:
            await gate.wait()
            heard.append(("in turn", json.loads(result.body)["data"]["responseUpdates"]["version"]))

    async def come(count: int) -> None:
        async with asyncio.timeout(10):
            while len(heard) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    stream.straight = send
    slow = asyncio.create_task(listen())
    async with listening(quick):
        await together(api, 2)
        for number in range(1, 5):
            await announce(api, response, number)
            await quick.until(number)
        assert heard == []
        gate.set()
        await come(4)
        assert heard == [("straight", 1), ("in turn", 2), ("in turn", 3), ("in turn", 4)]
        await announce(api, response, 5)
        await come(5)
        assert heard[4:] == [("straight", 5)]
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await stream.aclose()


async def test_a_connection_that_is_gone_takes_nothing_from_the_others(api: Api) -> None:
    response = await a_response(api)
    quick = Subscriber(api, system())
    stream = await SCHEMA.stream(DOCUMENT, {"after": None}, Viewer(api.product.application, system(), peer=object()))
    tried: list[str] = []

    async def send(text: str) -> None:
        tried.append(text)
        raise ConnectionResetError

    stream.straight = send
    gone = asyncio.create_task(anext(stream))
    async with listening(quick):
        await together(api, 2)
        for number in (1, 2):
            await announce(api, response, number)
            await quick.until(number)
    assert len(tried) == 2
    assert not gone.done()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)


async def test_a_cursor_that_is_none_and_nobody_at_all_are_refused(api: Api) -> None:
    for viewer, after, code in (
        (Viewer(api.product.application, system(), peer=object()), "nonsense", "BAD_INPUT"),
        (Viewer(api.product.application, None, peer=object()), None, "UNAUTHENTICATED"),
    ):
        stream = await SCHEMA.stream(DOCUMENT, {"after": after}, viewer)
        [result] = [each async for each in stream]
        assert [error.extensions["code"] for error in result.errors] == [code]
