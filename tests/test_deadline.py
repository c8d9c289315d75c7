"""The deadline: an operation that takes too long, or that nobody waits for, ends here and on the server alike."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import pytest_asyncio

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel
from kpro_graph.errors import ConfigurationError, DeadlineExceeded
from kpro_graph.schema.context import Answer, Viewer
from kpro_graph.schema.deadline import Deadline
from kpro_graph.settings import Settings
from kpro_graph.storage import tables
from tests.living import Api, example
from tests.moving import above
from tests.test_audiences import a_response, announce, system
from tests.test_executions import VIEWER, WORKLIST, Counted, lines, locked, nobody_waits, waiting
from tests.test_main_job import open_assignment

# Asking about the schema itself keeps an operation from being compiled.
REFERENCE = "{ __schema { queryType { name } } " + WORKLIST.removeprefix("query W {")
OPEN = """
  mutation ($citizen: ID!, $careTeam: ID!, $reasonCode: String!) {
    openEpisodeOfCare(
      input: {
        citizenId: $citizen, careTeamId: $careTeam, legalBasis: HEALTH_ACT, reasonCode: $reasonCode
        consent: { manner: ORAL }
      }
    ) {
      ... on EpisodeOfCareOpened { episodeOfCare { id citizen { responses { totalCount } } } }
      ... on Failure { code }
    }
  }
"""
FOLLOW = "subscription ($after: String) { responseUpdates(after: $after) { cursor version response { id status } } }"


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest_asyncio.fixture
async def world(worlds: Any, loaded: str) -> AsyncIterator[Api]:
    """Give a world whose operations may take a second."""
    async with worlds.fresh(loaded) as api:
        api.product.database.deadline = 1
        yield api


def code(answered: Any) -> list[tuple[str, bool, bool]]:
    """Return what the errors of an answer without data say."""
    assert answered.data is None
    said = [each.extensions for each in answered.errors]
    return [(each["code"], each["changed"], each["retryable"]) for each in said]


async def whole(api: Api) -> bool:
    """Say whether as many operations as there are connections run at once."""
    database = api.product.database
    together = asyncio.Barrier(api.product.settings.connections)

    async def one() -> None:
        async with database.read(VIEWER) as reading:
            await reading.fetch("SELECT 1")
            await together.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(one() for _ in range(together.parties)))
    return True


async def an_episode(api: Api) -> dict[str, str]:
    """Return what opens an episode of care for the demo citizen."""
    team = (await api.run("care-teams", "viewer"))["careTeams"]["nodes"][0]
    work = await open_assignment(api)
    return {"citizen": work["citizen"]["id"], "careTeam": team["id"], "reasonCode": team["reasonCodes"][0]}


async def episodes(api: Api) -> int:
    async with above(api) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM episode_of_care"))


# --- Deadlines


@pytest.mark.parametrize("document", [WORKLIST, REFERENCE], ids=["compiled", "reference"])
async def test_a_query_past_its_deadline_is_cancelled_on_the_server_and_leaves_nothing(
    world: Api, document: str
) -> None:
    counted, before = Counted(world), await lines(world)
    async with locked(world), above(world) as connection:
        asking = [asyncio.ensure_future(counted.answer(document)) for _ in range(15)]
        await waiting(connection)
        for each in asking:
            assert code(await each) == [("DEADLINE_EXCEEDED", False, True)]
        assert await nobody_waits(connection)
    # What is not compiled is sent to the reference execution once, and never from there again.
    assert sum(counted.refused.values()) == (0 if document is WORKLIST else 15)
    assert await lines(world) == before
    assert await whole(world)
    answered = await counted.answer(document)
    assert isinstance(answered, Answer) or not answered.errors


async def test_a_look_whose_line_cannot_be_written_in_time_gives_no_answer(world: Api) -> None:
    counted, before = Counted(world), await lines(world)
    async with locked(world, "access_log"):
        assert code(await counted.answer()) == [("DEADLINE_EXCEEDED", False, True)]
    assert await lines(world) == before
    assert counted.refused == {}


async def test_waiting_for_a_connection_counts(world: Api) -> None:
    counted = Counted(world)
    async with AsyncExitStack() as held:
        for _ in range(world.product.settings.connections):
            await held.enter_async_context(world.product.database.peek())
        assert code(await counted.answer()) == [("DEADLINE_EXCEEDED", False, True)]
    assert await whole(world)


async def test_a_change_past_its_deadline_is_rolled_back(world: Api) -> None:
    asked = await an_episode(world)
    before, logged = await episodes(world), await lines(world)
    async with locked(world, "event"), above(world) as connection:
        answering = asyncio.ensure_future(world.post(OPEN, asked, token=world.token("enroller")))
        await waiting(connection)
        (error,) = (await answering).json()["errors"]
        assert await nobody_waits(connection)
    assert error["extensions"] == {"code": "DEADLINE_EXCEEDED", "changed": False, "retryable": True}
    assert (await episodes(world), await lines(world)) == (before, logged)
    assert await whole(world)


async def test_a_change_that_was_committed_is_told_as_made_although_its_result_was_not_read(world: Api) -> None:
    asked, before = await an_episode(world), await episodes(world)
    async with locked(world, "response"), above(world) as connection:
        answered = (await world.post(OPEN, asked, token=world.token("enroller"))).json()
        assert await nobody_waits(connection)
    assert answered["data"] is None
    assert [each["extensions"] for each in answered["errors"]] == [
        {"code": "DEADLINE_EXCEEDED", "changed": True, "retryable": False}
    ]
    assert await episodes(world) == before + 1


async def slow_commits(api: Api, seconds: float) -> None:
    """Make every commit of an episode of care take some time."""
    async with above(api) as connection:
        await connection.execute(f"""
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON episode_of_care
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
        """)


async def test_a_deadline_within_a_commit_waits_for_its_outcome(world: Api) -> None:
    asked, before = await an_episode(world), await episodes(world)
    await slow_commits(world, 1.6)
    answered = (await world.post(OPEN, asked, token=world.token("enroller"))).json()
    assert "errors" not in answered
    assert answered["data"]["openEpisodeOfCare"]["episodeOfCare"]["id"]
    assert await episodes(world) == before + 1


async def test_the_next_change_of_an_operation_is_not_begun_past_the_deadline(world: Api) -> None:
    asked, before = await an_episode(world), await episodes(world)
    await slow_commits(world, 1.6)
    selection = OPEN[OPEN.index("openEpisodeOfCare") : OPEN.rindex("}")]
    document = OPEN.replace(selection, f"first: {selection} second: {selection}")
    (error,) = (await world.post(document, asked, token=world.token("enroller"))).json()["errors"]
    assert error["extensions"] == {"code": "DEADLINE_EXCEEDED", "changed": True, "retryable": False}
    assert await episodes(world) == before + 1


async def test_a_commit_whose_connection_is_lost_is_not_called_undone(world: Api) -> None:
    asked = await an_episode(world)
    await slow_commits(world, 0.5)
    async with above(world) as connection:
        answering = asyncio.ensure_future(world.post(OPEN, asked, token=world.token("enroller")))
        sleeping = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        for _ in range(100):
            if await connection.fetchval(sleeping):
                break
            await asyncio.sleep(0.02)
        (error,) = (await answering).json()["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert "not known" in error["message"]
    assert "nothing was changed" not in error["message"]


async def test_a_delivery_past_its_deadline_ends_the_subscription_and_is_had_from_the_cursor(world: Api) -> None:
    response = await a_response(world)
    async with world.follow(FOLLOW, "integrator") as following:
        await announce(world, response)
        cursor = (await following.next())["payload"]["data"]["responseUpdates"]["cursor"]
        before = await lines(world)
        async with locked(world, "response"), above(world) as connection:
            await announce(world, response, 2)
            await waiting(connection)
            (error,) = (await following.next())["payload"]["errors"]
            assert await nobody_waits(connection)
        assert error["extensions"] == {"code": "DEADLINE_EXCEEDED", "changed": False, "retryable": True}
        assert await lines(world) == before
    async with world.follow(FOLLOW, "integrator", after=cursor) as following:
        assert (await following.next())["payload"]["data"]["responseUpdates"]["version"] == 2


async def test_a_delivery_of_the_reference_execution_has_the_deadline_too(world: Api) -> None:
    response, schema = await a_response(world), Counted(world).schema
    document = FOLLOW.replace("{ id status }", "{ id status questionnaire { items { linkId } } }")
    viewer = Viewer(world.product.application, system())
    results = await schema.stream(document, {}, viewer)
    first = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0.2)
    before = await lines(world)
    async with locked(world, "response"), above(world) as connection:
        await announce(world, response)
        await waiting(connection)
        assert code(await first) == [("DEADLINE_EXCEEDED", False, True)]
        assert await nobody_waits(connection)
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    assert await lines(world) == before
    assert await whole(world)


async def test_a_server_that_does_not_even_answer_to_a_cancel_keeps_nobody_waiting_for_long(world: Api) -> None:
    counted = Counted(world)
    async with above(world) as connection:
        async with locked(world):
            asking = asyncio.ensure_future(counted.answer(REFERENCE))
            process = await waiting(connection)
            os.kill(process, signal.SIGSTOP)
            try:
                async with asyncio.timeout(10):
                    assert code(await asking) == [("DEADLINE_EXCEEDED", False, True)]
            finally:
                os.kill(process, signal.SIGCONT)
        assert await nobody_waits(connection)
    assert await whole(world)


# --- Leaving


async def send(api: Api, document: str, variables: Any = None, who: str = "viewer") -> asyncio.StreamWriter:
    """Send an operation on a socket of its own, from which nothing is read."""
    body = json.dumps({"query": document, "variables": variables}).encode()
    host, port = api.address.removeprefix("http://").split(":")
    head = f"POST /graphql/ HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {api.token(who)}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    return writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("document", [WORKLIST, REFERENCE], ids=["compiled", "reference"])
async def test_when_clients_leave_their_statements_end_and_nothing_was_seen(world: Api, document: str) -> None:
    world.product.database.deadline = 60
    before = await lines(world)
    async with above(world) as connection:
        async with locked(world):
            left = [await send(world, document) for _ in range(15)]
            await waiting(connection)
            for each in left:
                await leave(each)
            assert await nobody_waits(connection)
        assert await lines(world) == before
    assert await whole(world)


async def test_a_client_that_leaves_at_once_is_noticed_too(world: Api) -> None:
    world.product.database.deadline = 60
    async with above(world) as connection, locked(world):
        await leave(await send(world, WORKLIST))
        await asyncio.sleep(0.3)
        assert await nobody_waits(connection)
    assert await whole(world)


async def test_a_change_whose_client_leaves_is_made(world: Api) -> None:
    world.product.database.deadline = 60
    asked, before = await an_episode(world), await episodes(world)
    async with above(world) as connection:
        async with locked(world, "event"):
            writer = await send(world, OPEN, asked, "enroller")
            await waiting(connection)
            await leave(writer)
            await asyncio.sleep(0.3)
            assert await waiting(connection)
        assert await nobody_waits(connection)
    await asyncio.sleep(0.2)
    assert await episodes(world) == before + 1
    assert await whole(world)


@pytest.mark.parametrize("change", [False, True], ids=["query", "mutation"])
async def test_closing_a_socket_ends_its_queries_and_no_change(world: Api, change: bool) -> None:
    world.product.database.deadline = 60
    asked, before = await an_episode(world), await episodes(world)
    async with above(world) as connection:
        async with locked(world, "event" if change else "episode_of_care"):
            if change:
                async with world.follow(OPEN, "enroller", **asked):
                    await waiting(connection)
                await asyncio.sleep(0.3)
                assert await waiting(connection)
            else:
                async with world.follow(WORKLIST, "viewer"):
                    await waiting(connection)
                assert await nobody_waits(connection)
        assert await nobody_waits(connection)
    await asyncio.sleep(0.2)
    assert await episodes(world) == before + change
    assert await whole(world)


async def test_queries_on_a_socket_are_answered_as_ever(world: Api) -> None:
    async with world.follow(example("care-teams"), "viewer") as following:
        answered = (await following.next())["payload"]["data"]
    assert answered == await world.run("care-teams", "viewer")
    async with world.follow("{ nonsense }", "viewer") as following:
        assert (await following.next())["type"] == "error"


# --- The deadline by itself


async def test_a_deadline_is_a_typed_error_and_lets_other_errors_and_cancellations_be() -> None:
    with pytest.raises(DeadlineExceeded, match="nothing was changed"):
        async with Deadline(0.01):
            await asyncio.sleep(5)
    with pytest.raises(TimeoutError):
        async with Deadline(5):
            raise TimeoutError
    async with Deadline(0.01) as deadline:
        deadline.hold()
        await asyncio.sleep(0.05)

    async def cancelled() -> None:
        async with Deadline(5):
            await asyncio.sleep(5)

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_connection_has_the_deadline_as_a_limit_of_its_own(world: Api) -> None:
    async with world.product.database.peek() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "35s"
    actor = Actor(ActorKind.OPERATOR, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)
    with pytest.raises(DeadlineExceeded):
        async with world.product.database.read(actor) as reading:
            reading.until = asyncio.get_running_loop().time() + 0.05
            await reading.fetch("SELECT pg_sleep(5)")


def test_the_setting_is_a_number_of_seconds() -> None:
    assert Settings.read({"KPRO_DEADLINE": "7"}).deadline == 7
    assert Settings.read({}).deadline == 30
    for wrong in ("0", "301", "soon"):
        with pytest.raises(ConfigurationError, match="KPRO_DEADLINE"):
            Settings.read({"KPRO_DEADLINE": wrong})
