"""Read replicas: queries are read from them, nobody misses their own changes, and what is too late is not read from."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio

from kpro_graph.actors import Role
from kpro_graph.demo import load
from kpro_graph.errors import ConfigurationError
from kpro_graph.schema.context import POSITION, Answer, Viewer
from kpro_graph.settings import Settings
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.embedded import EmbeddedServer, open_embedded
from kpro_graph.storage.migrate import migrate
from kpro_graph.storage.replicas import FARTHEST, ReplicaLost, Replicas
from kpro_graph.storage.tables import new_id
from tests.conftest import SECRET, Worlds
from tests.living import Api, example
from tests.moving import above, staff
from tests.storage.standby import Pair, paired
from tests.test_audiences import a_response, announce
from tests.test_executions import WORKLIST, Counted, lines, nobody_waits, waiting
from tests.test_main_job import open_assignment

VIEWER = staff(Role.CLINICAL_VIEWER, 101)
REFERENCE = "{ __schema { queryType { name } } " + WORKLIST.removeprefix("query W {")
EPISODES = "query ($id: ID!) { citizen(id: $id) { episodes(first: 100) { totalCount } } }"
OPEN = example("open-episode")


class Near(Worlds):
    """Makes worlds whose products have a replica."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(cast("EmbeddedServer", pair))
        self.pair = pair

    def settings(self, database: str) -> Settings:
        """Return the settings of a product over this database and its replica."""
        return replace(super().settings(database), replica_urls=(self.pair.standby.dsn("kpro_api", database),))


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def near(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Near]:
    """Give a primary and its standby, with a loaded database."""
    server = await asyncio.to_thread(open_embedded, tmp_path_factory.mktemp("primary") / "server")
    await asyncio.to_thread(server.create_database, "loaded")
    owner = server.dsn("kpro_owner", "loaded")
    await migrate(owner)
    async with Worlds(server).product("loaded") as (product, _):
        await load(product.database, owner, product.host, citizens=12)
    await asyncio.to_thread(server.close)
    with paired(server._home.cluster) as pair:
        yield Near(pair)


@pytest_asyncio.fixture
async def world(near: Near) -> AsyncIterator[Api]:
    """Give a world whose replica is read from."""
    async with near.fresh("loaded") as api:
        await until(lambda: replicas(api).fit == 1)
        try:
            yield api
        finally:
            near.pair.resume()


def replicas(api: Api) -> Replicas:
    found = api.product.database.replicas
    assert found is not None
    return found


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # it is looked at, nobody tells
            await asyncio.sleep(0.02)


@asynccontextmanager
async def reads(api: Api, where: str, times: int = 1) -> AsyncIterator[None]:
    """Assert from where the block reads."""
    before = dict(replicas(api).counts)
    yield
    counted = {key: count - before.get(key, 0) for key, count in replicas(api).counts.items()}
    assert {key: count for key, count in counted.items() if count} == {where: times}


async def settled(api: Api) -> None:
    """Wait until the replica has all that the primary has, and what was just changed is no longer remembered."""
    primary = await _position(api)
    await asyncio.sleep(replicas(api).lag + 0.1)
    await until(lambda: (replicas(api)._bound(asyncio.get_running_loop().time()) or 0) >= primary)
    await until(lambda: replicas(api).fit == 1)


async def _position(api: Api) -> int:
    async with above(api) as connection:
        return int(await connection.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"))


async def an_episode(api: Api) -> dict[str, str]:
    """Return what opens an episode of care for the demo citizen."""
    team = (await api.run("care-teams", "viewer"))["careTeams"]["nodes"][0]
    work = await open_assignment(api)
    return {"citizen": work["citizen"]["id"], "careTeam": team["id"], "reasonCode": team["reasonCodes"][0]}


async def opened(api: Api, asked: dict[str, str]) -> str:
    """Open an episode of care; return the position that was told."""
    response = await api.post(OPEN, asked, token=api.token("enroller"))
    assert response.json()["data"]["openEpisodeOfCare"]["__typename"] == "EpisodeOfCareOpened", response.text
    return str(response.headers[POSITION])


async def count(api: Api, asked: dict[str, str], who: str = "enroller", position: str = "") -> int:
    """Return how many episodes of care somebody sees."""
    headers = {"Authorization": f"Bearer {api.token(who)}", **({POSITION: position} if position else {})}
    document = {"query": EPISODES, "variables": {"id": asked["citizen"]}}
    answered = (await api.http.post("/graphql/", json=document, headers=headers)).json()
    return int(answered["data"]["citizen"]["episodes"]["totalCount"])


# --- What is read from a replica


@pytest.mark.parametrize("document", [WORKLIST, REFERENCE], ids=["compiled", "reference"])
async def test_queries_are_read_from_a_replica_and_their_lines_are_on_the_primary_first(
    world: Api, document: str
) -> None:
    before = await lines(world)
    async with reads(world, "replica"):
        answered = (await world.post(document, token=world.token("viewer"))).json()["data"]
    seen = {node["citizen"]["name"] for team in answered["careTeams"]["nodes"] for node in team["worklist"]["nodes"]}
    assert seen
    assert await lines(world) > before
    counted = Counted(world)
    told = await counted.schema.answer(document, None, Viewer(world.product.application, VIEWER), None)
    data = json.loads(told.body)["data"] if isinstance(told, Answer) else told.data
    theirs = {n["citizen"]["name"] for t in data["careTeams"]["nodes"] for n in t["worklist"]["nodes"]}
    assert theirs >= seen


async def test_a_statement_on_a_replica_is_bound_by_the_walls_and_by_the_connections_limits(world: Api) -> None:
    for municipality in (101, 851, 101):
        actor = staff(Role.CLINICAL_VIEWER, municipality)
        for way in (world.product.database.read, world.product.database.look):
            async with reads(world, "replica"), way(actor, known=0) as reading:
                rows = await reading.fetch("SELECT DISTINCT municipality_id FROM citizen")
                (recovering, limit) = (
                    await reading.fetch("SELECT pg_is_in_recovery(), current_setting('statement_timeout')")
                )[0]
            assert {row[0] for row in rows} == {municipality}
            assert (recovering, limit) == (True, "35s")


async def test_without_a_line_on_the_primary_nothing_read_on_a_replica_is_answered(world: Api) -> None:
    async with above(world) as connection:
        await connection.execute("REVOKE INSERT ON access_log FROM kpro_api")
    for document in (WORKLIST, REFERENCE):
        async with reads(world, "replica"):
            response = await world.post(document, token=world.token("viewer"))
        assert response.json()["data"] is None
        assert [each["extensions"]["code"] for each in response.json()["errors"]] == ["INTERNAL"]


async def test_changes_what_is_read_of_them_and_deliveries_are_the_primarys(world: Api) -> None:
    asked = await an_episode(world)
    before = dict(replicas(world).counts)
    await opened(world, asked)
    response = await a_response(world)
    async with world.follow("subscription { responseUpdates { version response { id } } }", "integrator") as following:
        await announce(world, response, 3)
        assert (await following.next())["payload"]["data"]["responseUpdates"]["version"] == 3
    async with world.follow(WORKLIST, "viewer") as following:
        assert (await following.next())["payload"]["data"]["careTeams"]["nodes"]
    assert dict(replicas(world).counts) == before


# --- One's own changes


async def test_who_has_changed_something_reads_it_at_once_and_from_the_replica_when_it_is_there(
    world: Api, near: Near
) -> None:
    asked = await an_episode(world)
    await settled(world)
    before = await count(world, asked)
    near.pair.pause()
    await opened(world, asked)
    async with reads(world, "primary"):
        assert await count(world, asked) == before + 1
    near.pair.resume()
    await settled(world)
    async with reads(world, "replica"):
        assert await count(world, asked) == before + 1


async def test_another_process_is_told_by_the_position_and_a_wrong_one_leads_to_the_primary(
    world: Api, near: Near
) -> None:
    asked = await an_episode(world)
    await settled(world)
    before = await count(world, asked)
    near.pair.pause()
    position = await opened(world, asked)
    # What another process knows of it: nothing.
    replicas(world)._changed.clear()
    async with reads(world, "replica"):
        assert await count(world, asked) == before
    async with reads(world, "primary"):
        assert await count(world, asked, position=position) == before + 1
    seal = world.product.application.cursors.seal
    for wrong in ("nonsense", "0", position[:-4], seal("other", [1]), seal(POSITION, [FARTHEST])):
        assert await count(world, asked, position=wrong) == before + 1
    assert world.product.application.known("ø") is None
    near.pair.resume()
    await settled(world)
    async with reads(world, "replica"):
        assert await count(world, asked, position=position) == before + 1


async def test_many_who_change_at_once_are_all_remembered_until_the_bound_has_passed(world: Api) -> None:
    made = replicas(world)
    made._noted.append((asyncio.get_running_loop().time(), 5))
    people = [staff(Role.CLINICAL_VIEWER, 101).id for _ in range(3)]
    for position, person in enumerate(people):
        made.changed(person, 10**15 + position)
    assert [made.floor(person, 0) for person in people] == [10**15, 10**15 + 1, 10**15 + 2]
    for _ in range(10_000):
        made.changed(new_id(), 10**14)
    # Those who had to be forgotten are remembered as one: nobody is sent to where their change is not.
    assert [made.floor(person, 0) for person in people] == [10**15 + 2] * 3
    made.changed(people[0])
    assert made.floor(people[0], 0) is None


# --- What is too late, or away


async def test_a_replica_that_is_too_late_is_left_out_and_taken_back(world: Api, near: Near) -> None:
    asked = await an_episode(world)
    await settled(world)
    near.pair.pause()
    # Somebody else's change: it may be seen late, but no later than the bound says.
    async with above(world) as connection:
        await connection.execute("UPDATE citizen SET display_name = 'Nyt Navn'")
    loop = asyncio.get_running_loop()
    changed = loop.time()
    late: list[float] = []
    while loop.time() < changed + replicas(world).lag + 1.5:
        asking = loop.time()
        data = (await world.post(WORKLIST, token=world.token("viewer"))).json()["data"]
        names = {n["citizen"]["name"] for t in data["careTeams"]["nodes"] for n in t["worklist"]["nodes"]}
        if names != {"Nyt Navn"}:
            late.append(asking - changed)
        await asyncio.sleep(0.05)
    assert late
    assert max(late) <= replicas(world).lag
    await until(lambda: replicas(world).fit == 0)
    async with reads(world, "primary"):
        await count(world, asked)
    near.pair.resume()
    await until(lambda: replicas(world).fit == 1)
    async with reads(world, "replica"):
        await count(world, asked)


async def test_a_replica_that_goes_away_is_missed_by_nobody_and_taken_back(world: Api, near: Near) -> None:
    await world.post(WORKLIST, token=world.token("viewer"))
    await asyncio.to_thread(near.pair.standby.stop)
    try:
        for _ in range(5):
            answered = (await world.post(WORKLIST, token=world.token("viewer"))).json()
            assert "errors" not in answered
        await until(lambda: replicas(world).fit == 0)
        async with near.product(_name(world)) as (other, _):
            assert other.database.replicas is not None
            assert other.database.replicas.fit == 0
    finally:
        await asyncio.to_thread(near.pair.standby.start)
    await until(lambda: replicas(world).fit == 1, 20)
    async with reads(world, "replica"):
        assert "errors" not in (await world.post(WORKLIST, token=world.token("viewer"))).json()


def _name(api: Api) -> str:
    return api.product.databases.need("api").rpartition("/")[2].partition("?")[0]


async def test_a_replica_that_hangs_keeps_nobody_waiting_for_long(world: Api) -> None:
    (replica,) = replicas(world)._replicas
    async with replica.pool.acquire() as connection:
        process = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(process, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5), reads(world, "primary"):
            assert "errors" not in (await world.post(WORKLIST, token=world.token("viewer"))).json()
    finally:
        os.kill(process, signal.SIGCONT)
    await until(lambda: replicas(world).fit == 1)
    async with reads(world, "replica"):
        assert "errors" not in (await world.post(WORKLIST, token=world.token("viewer"))).json()


async def test_where_the_primary_is_not_heard_of_no_replica_is_read_from(world: Api) -> None:
    made = replicas(world)
    made._watching[0].cancel()
    await until(lambda: made.floor(VIEWER.id, 0) is None)
    async with reads(world, "primary"):
        assert "errors" not in (await world.post(WORKLIST, token=world.token("viewer"))).json()


async def test_when_all_connections_of_the_replicas_are_busy_the_primary_answers(world: Api) -> None:
    (replica,) = replicas(world)._replicas
    for _ in range(world.product.settings.connections):
        await replica.gate.acquire()
    async with reads(world, "primary"):
        assert "errors" not in (await world.post(WORKLIST, token=world.token("viewer"))).json()
    for _ in range(world.product.settings.connections):
        replica.gate.release()


@pytest.mark.parametrize("document", [WORKLIST, REFERENCE], ids=["compiled", "reference"])
async def test_a_query_that_a_replica_breaks_off_is_run_once_more_on_the_primary(
    world: Api, near: Near, document: str
) -> None:
    before = await lines(world)
    there = await asyncpg.connect(near.pair.standby.dsn("postgres", _name(world)))
    try:
        async with above(world) as first, above(world) as second:
            # The standby replays both locks; the second is in the way of the query that waits for the first.
            held = first.transaction()
            await held.start()
            await first.execute("LOCK TABLE episode_of_care IN ACCESS EXCLUSIVE MODE")
            await second.execute("SELECT pg_switch_wal()")
            await asyncio.sleep(0.5)
            async with reads(world, "replica"):
                asking = asyncio.ensure_future(world.post(document, token=world.token("viewer")))
                await waiting(there)
                async with second.transaction():
                    await second.execute("LOCK TABLE care_team IN ACCESS EXCLUSIVE MODE")
                assert await nobody_waits(there)
                await waiting(first)
                await held.rollback()
                answered = (await asking).json()
    finally:
        await there.close()
    assert "errors" not in answered
    assert answered["data"]["careTeams"]["nodes"]
    assert await lines(world) > before


async def test_a_snapshot_that_a_replica_gives_up_is_told_as_lost(world: Api, near: Near) -> None:
    with pytest.raises(ReplicaLost):
        async with world.product.database.read(VIEWER, known=0) as reading:
            await reading.fetch("SELECT count(*) FROM citizen")
            near.pair.standby.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            )
            await reading.fetch("SELECT count(*) FROM citizen")
    async with world.product.database.read(VIEWER, known=0) as reading:
        assert await reading.fetch("SELECT count(*) FROM citizen")


async def test_a_right_that_ends_is_not_read_past_on_a_replica_that_has_not_heard_of_it(world: Api, near: Near) -> None:
    asked = await an_episode(world)
    await settled(world)
    near.pair.pause()
    async with reads(world, "replica"):
        assert (await world.post(WORKLIST, token=world.token("viewer"))).json()["data"]["careTeams"]["nodes"]
    async with above(world) as connection:
        await connection.execute("UPDATE episode_of_care SET consented_until = now() - interval '1 minute'")
        await connection.execute("UPDATE care_team SET name = name || ' 2'")
    made = replicas(world)
    await until(lambda: made._least > 0 and made._told == made._covered)
    async with reads(world, "primary"):
        answered = (await world.post(WORKLIST, token=world.token("viewer"))).json()["data"]
    assert [team["worklist"]["nodes"] for team in answered["careTeams"]["nodes"]] == [
        [] for _ in answered["careTeams"]["nodes"]
    ]
    # While it is asked how far a replica must have come, none is read from.
    made._told += 1
    assert made.floor(VIEWER.id, 0) is None
    made._told -= 1
    assert asked


async def test_what_is_read_where_is_told_to_whoever_watches(world: Api) -> None:
    await world.post(WORKLIST, token=world.token("viewer"))
    told = (await world.http.get("/metrics")).text
    assert 'kpro_reads_total{server="replica"} 1' in told
    assert "kpro_replicas_fit 1" in told


# --- What is no replica of ours


async def test_a_role_that_can_go_round_the_wall_is_refused_on_a_replica_too(world: Api, near: Near) -> None:
    name = _name(world)
    for role in ("postgres", "kpro_owner"):
        with pytest.raises(ConfigurationError, match="bypass"):
            await Database.open(
                near.pair.dsn("kpro_api", name), Cipher(SECRET), replicas=[near.pair.standby.dsn(role, name)]
            )


async def test_another_cluster_and_a_server_that_is_no_standby_are_never_read_from(
    world: Api, near: Near, worlds: Worlds, loaded: str
) -> None:
    name = _name(world)
    for other in (worlds.postgres.dsn("kpro_api", loaded), near.pair.dsn("kpro_api", name)):
        database = await Database.open(near.pair.dsn("kpro_api", name), Cipher(SECRET), replicas=[other])
        try:
            assert database.replicas is not None
            for _ in range(8):
                await asyncio.sleep(0.1)
                assert database.replicas.fit == 0
        finally:
            await database.close()


async def test_behind_a_transaction_pooler_the_scope_is_the_transactions(world: Api, near: Near) -> None:
    name = _name(world)
    database = await Database.open(
        near.pair.dsn("kpro_api", name), Cipher(SECRET), size=1, pooled=True,
        replicas=[near.pair.standby.dsn("kpro_api", name)],
    )  # fmt: skip
    try:
        made = database.replicas
        assert made is not None
        await until(lambda: made.fit == 1)
        ways: list[Callable[..., Any]] = [database.read, database.look]
        for way in ways:
            async with way(VIEWER, known=0) as reading:
                rows = await reading.fetch("SELECT DISTINCT municipality_id, pg_is_in_recovery() FROM citizen")
                assert [tuple(row) for row in rows] == [(101, True)]
            async with made._replicas[0].pool.acquire() as connection:
                assert await connection.fetchval("SELECT count(*) FROM citizen") == 0
        assert made.counts == {"replica": 2}
    finally:
        await database.close()


def test_the_settings_name_the_replicas_and_how_late_they_may_be() -> None:
    read = Settings.read({"KPRO_REPLICA_URLS": "postgresql://a/x, postgresql://b/x", "KPRO_REPLICA_LAG": "3"})
    assert (read.replica_urls, read.replica_lag) == (("postgresql://a/x", "postgresql://b/x"), 3)
    assert Settings.read({}).replica_urls == ()
    for wrong in ({"KPRO_REPLICA_URLS": "postgresql://a/x,mysql://b"}, {"KPRO_REPLICA_LAG": "11"}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            Settings.read(wrong)
