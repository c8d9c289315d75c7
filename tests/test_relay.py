"""Events: rows in the transaction of their change, positions after commit, gapless and in one order."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel
from kpro_graph.events import EventType, Happened
from kpro_graph.relay import Feed, Sequencer
from kpro_graph.storage import tables
from tests.living import Api

ACTOR = Actor(ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)


async def record(api: Api, *, pause: float = 0, fail: bool = False) -> None:
    """Commit one event after a pause, or fail and commit none."""
    async with api.product.database.change(ACTOR, "test") as change:
        change.record(Happened(EventType.QUESTIONNAIRE_ACTIVATED, "Questionnaire", tables.new_id()))
        await asyncio.sleep(pause)
        if fail:
            raise RuntimeError("no event after all")


async def positions(api: Api) -> list[int | None]:
    """Return every event's position, in order."""
    async with api.product.database.peek(0, 101, 851, 810, 265) as connection:
        return [row["position"] for row in await connection.fetch("SELECT position FROM event ORDER BY position")]


async def settled(api: Api) -> list[int | None]:
    """Return the positions once none is missing."""
    for _ in range(100):
        if None not in (found := await positions(api)):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("events are left without a position")


async def test_positions_are_gapless_however_commits_overlap(api: Api) -> None:
    before = len(await settled(api))
    outcomes = await asyncio.gather(
        *(record(api, pause=(n * 7 % 5) / 100, fail=n % 10 == 3) for n in range(40)), return_exceptions=True
    )
    failed = sum(isinstance(outcome, RuntimeError) for outcome in outcomes)
    found = await settled(api)
    assert found == list(range(1, len(found) + 1))
    assert len(found) - before == 40 - failed == 36


async def test_a_late_commit_comes_after_those_a_reader_has_already_seen(api: Api) -> None:
    await settled(api)
    slow = asyncio.create_task(record(api, pause=0.5))
    await asyncio.sleep(0.1)
    await record(api)
    seen = max(position or 0 for position in await settled(api))
    await slow
    assert max(position or 0 for position in await settled(api)) == seen + 1


async def test_a_second_sequencer_stands_by_and_takes_over(api: Api) -> None:
    relay = api.product.databases.relay
    assert relay is not None
    standby = Sequencer(relay)
    await standby.start()
    try:
        await record(api)
        found = await settled(api)
        assert found == list(range(1, len(found) + 1))
        # The one at work loses its connection; whoever gets the lock goes on without a gap.
        owner = await asyncpg.connect(api.product.databases.need("owner"))
        async with api.product.database.peek(101):
            await owner.close()
        await asyncio.gather(*(record(api) for _ in range(5)))
        found = await settled(api)
        assert found == list(range(1, len(found) + 1))
    finally:
        await standby.stop()


async def test_a_feed_survives_the_loss_of_its_connection(api: Api) -> None:
    feed = Feed(api.product.databases.need("api"))
    await feed.start()
    try:
        head = feed.head
        superuser = await asyncpg.connect(api.product.databases.need("api").replace("kpro_api", "postgres"))
        await superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kpro_api'")
        await superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kpro_relay'")
        await superuser.close()
        for _ in range(50):
            try:
                await record(api)
                break
            except Exception:  # connections of the pool that were cut
                await asyncio.sleep(0.05)
        await asyncio.wait_for(feed.beyond(head), 10)
    finally:
        await feed.stop()


@pytest.mark.parametrize("statement", ["UPDATE event SET type = 'x'", "SELECT * FROM citizen", "DELETE FROM event",
                                       "INSERT INTO event_head VALUES (false, 1)"])  # fmt: skip
async def test_the_relays_role_can_only_give_positions(api: Api, statement: str) -> None:
    connection = await asyncpg.connect(api.product.databases.need("relay"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
