"""The walls behind a transaction pooler: many clients share two server connections and never another's rows."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tortoise.exceptions import OperationalError

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.app import Product
from kpro_graph.errors import ConfigurationError, Rejected
from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity
from kpro_graph.plugins.host import PluginHost
from kpro_graph.settings import Settings
from kpro_graph.storage import tables
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.embedded import PORT
from tests.conftest import DEMO_SECRET, SECRET, Worlds
from tests.living import serving
from tests.storage.bare import NATIONAL, TENANT_TABLES
from tests.storage.pooler import Pooler, pooling

MUNICIPALITIES = (101, 851, 810, 265)
SCOPE = "SELECT current_setting('kpro.municipalities', true)"


def someone(municipality: int) -> Actor:
    return Actor(
        ActorKind.EMPLOYEE, tables.new_id(), municipality, (municipality,), AssuranceLevel.HIGH,
        roles=frozenset({Role.CLINICAL_VIEWER}),
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(worlds: Worlds, loaded: str) -> AsyncIterator[str]:
    """Give the name of a loaded database of the module's own."""
    await asyncio.to_thread(worlds.postgres.create_database, "pooled", loaded)
    yield "pooled"
    await asyncio.to_thread(worlds.postgres.drop_database, "pooled")


@pytest_asyncio.fixture(loop_scope="session")
async def pooler(worlds: Worlds, database: str) -> AsyncIterator[Pooler]:
    """Give a pooler with two server connections."""
    # A socket's path has a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="kpro-pool-") as folder:
        async with pooling(worlds.postgres.socket_folder, Path(folder), PORT, "kpro_api", database) as pooler:
            yield pooler


async def connect(pooler: Pooler) -> Any:
    return await asyncpg.connect(pooler.dsn, statement_cache_size=0)


# --- The pooler is one


async def test_clients_share_server_connections_by_the_transaction(pooler: Pooler) -> None:
    clients = [await connect(pooler) for _ in range(6)]
    try:
        seen: Counter[int] = Counter()
        for _ in range(4):
            for client in clients:
                async with client.transaction():
                    one, other = [await client.fetchval("SELECT pg_backend_pid()") for _ in range(2)]
                assert one == other
                seen[one] += 1
        assert (len(seen), pooler.opened) == (2, 2)
    finally:
        for client in clients:
            await client.close()


async def test_what_is_set_for_a_session_reaches_other_clients(pooler: Pooler) -> None:
    """This is the trap: a scope set for the session, not the transaction, is the next client's scope."""
    one, other = await connect(pooler), await connect(pooler)
    try:
        for _ in range(2):
            await one.execute("SELECT set_config('kpro.municipalities', '{101}', false)")
        assert {await other.fetchval(SCOPE) for _ in range(4)} == {"{101}"}
    finally:
        await one.close()
        await other.close()


async def test_named_statements_are_lost_between_transactions(pooler: Pooler) -> None:
    client = await asyncpg.connect(pooler.dsn)
    other = await asyncpg.connect(pooler.dsn)
    try:
        with pytest.raises((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)):
            for _ in range(8):
                for each in (client, other, client):
                    assert await each.fetchval("SELECT $1::integer", 1) == 1
    finally:
        client.terminate()
        other.terminate()


async def test_a_transaction_longer_than_it_may_take_is_cancelled_through_the_pooler(pooler: Pooler) -> None:
    client = await connect(pooler)
    try:
        with pytest.raises(TimeoutError):
            await client.execute("SELECT pg_sleep(30)", timeout=0.2)
        assert await client.fetchval("SELECT 1") == 1
    finally:
        await client.close()


# --- The walls behind it


async def test_a_database_that_is_not_told_of_the_pooler_does_not_open(pooler: Pooler) -> None:
    with pytest.raises(ConfigurationError, match="KPRO_POOLER"):
        await Database.open(pooler.dsn, Cipher(SECRET))


async def test_a_transaction_states_its_limits_and_leaves_nothing(pooler: Pooler) -> None:
    database = await Database.open(pooler.dsn, Cipher(SECRET), pooled=True)
    try:
        async with database.peek(101) as connection:
            for name, value in (("statement_timeout", "35s"), ("jit", "off"), ("synchronous_commit", "on"),
                                ("idle_in_transaction_session_timeout", "70s")):  # fmt: skip
                assert await connection.fetchval(f"SHOW {name}") == value
    finally:
        await database.close()
    client = await connect(pooler)
    try:
        for _ in range(4):
            assert await client.fetchval(SCOPE) in {None, ""}
            assert await client.fetchval("SHOW statement_timeout") == "0"
    finally:
        await client.close()


async def test_many_clients_of_different_municipalities_never_see_anothers_rows(pooler: Pooler) -> None:
    made: dict[int, set[Any]] = {municipality: set() for municipality in MUNICIPALITIES}
    ended: Counter[str] = Counter()

    async def look(database: Database, municipality: int) -> None:
        everybodys = [table for table in TENANT_TABLES if table not in NATIONAL]
        async with database.read(someone(municipality)) as reading:
            for table in random.sample(everybodys, 4):
                rows = await reading.fetch(f"SELECT DISTINCT municipality_id FROM {table}")
                assert {row[0] for row in rows} <= {municipality}, table
            citizen = (await reading.fetch("SELECT id FROM citizen ORDER BY random() LIMIT 1"))[0]["id"]
            reading.saw(municipality, citizen, ("identity",))
        ended["looked"] += 1

    async def glance(database: Database, municipality: int) -> None:
        async with database.look(someone(municipality)) as reading:
            rows = await reading.fetch("SELECT DISTINCT municipality_id FROM citizen")
            assert {row[0] for row in rows} == {municipality}
        ended["glanced"] += 1

    async def change(database: Database, municipality: int) -> None:
        async with database.change(someone(municipality)) as change:
            unit = await tables.OrganisationUnit.create(
                using_db=change.using, municipality_id=municipality, name="pooled", kle=[], active=True
            )
            await asyncio.sleep(random.random() / 100)
            found = await tables.OrganisationUnit.filter(name="pooled").using_db(change.using)
            assert {each.municipality_id for each in found} == {municipality}
        made[municipality].add(unit.id)
        ended["changed"] += 1

    async def fail(database: Database, municipality: int) -> None:
        other = random.choice([each for each in MUNICIPALITIES if each != municipality])
        how = random.choice(["statement", "program", "rejection", "wall"])
        with suppress(asyncpg.PostgresError, OperationalError, RuntimeError, Rejected):
            async with database.change(someone(municipality)) as change:
                await tables.OrganisationUnit.create(
                    using_db=change.using, municipality_id=municipality, name="failed", kle=[], active=True
                )
                if how == "statement":
                    await change.fetch("SELECT 1 / 0")
                if how == "program":
                    raise RuntimeError("after the row")
                if how == "rejection":
                    raise Rejected
                await tables.OrganisationUnit.create(
                    using_db=change.using, municipality_id=other, name="failed", kle=[], active=True
                )
            raise AssertionError("it did not fail")
        ended[how] += 1

    async def leave(_: Database, municipality: int) -> None:
        client = await connect(pooler)
        await client.execute("BEGIN")
        await client.execute("SELECT set_config('kpro.municipalities', $1, true)", f"{{{municipality}}}")
        await client.execute(
            "INSERT INTO organisation_unit (municipality_id, id, name, kle, active)"
            " VALUES ($1, gen_random_uuid(), 'failed', '{}', true)", municipality,
        )  # fmt: skip
        client.terminate()
        ended["left"] += 1

    async def work(database: Database, municipality: int) -> None:
        for _ in range(12):
            doing = random.choices([look, glance, change, fail, leave], [4, 3, 3, 3, 1])[0]
            await doing(database, municipality)

    async with AsyncExitStack() as ending:
        databases = []
        for _ in range(3):
            database = await Database.open(pooler.dsn, Cipher(SECRET), size=8, pooled=True)
            ending.push_async_callback(database.close)
            databases.append(database)
        await asyncio.gather(*(work(each, place) for each in databases for place in MUNICIPALITIES * 2))
        for municipality in MUNICIPALITIES:
            async with databases[0].peek(municipality) as connection:
                rows = await connection.fetch(
                    "SELECT id, name FROM organisation_unit WHERE name IN ('pooled', 'failed')"
                )
            assert {row["id"] for row in rows} == made[municipality]
            assert {row["name"] for row in rows} <= {"pooled"}
        async with databases[0].peek() as connection:
            assert await connection.fetchval("SELECT count(*) FROM citizen") == 0
    assert ended.keys() >= {"looked", "glanced", "changed", "left"}
    assert sum(ended.values()) == 288
    # Only what was left in the middle of a transaction was closed.
    assert pooler.dropped == ended["left"]
    assert pooler.opened == pooler.dropped + 2


@pytest.mark.parametrize("end", ["disconnects", "fails", "commits"])
async def test_after_a_transaction_the_next_client_of_its_connection_has_no_scope(pooler: Pooler, end: str) -> None:
    for _ in range(4):
        client = await connect(pooler)
        await client.execute("BEGIN")
        await client.execute("SELECT set_config('kpro.municipalities', '{101}', true)")
        assert await client.fetchval("SELECT count(*) FROM citizen") > 0
        if end == "disconnects":
            client.terminate()
        elif end == "fails":
            with pytest.raises(asyncpg.DivisionByZeroError):
                await client.execute("SELECT 1 / 0")
            await client.execute("COMMIT")
        else:
            await client.execute("COMMIT")
        other = await connect(pooler)
        for _ in range(4):
            assert await other.fetchval(SCOPE) in {None, ""}
            assert await other.fetchval("SELECT count(*) FROM citizen") == 0
        await other.close()
        client.terminate()


# --- The product behind it


async def test_the_whole_product_works_behind_a_pooler_and_its_subscribers_are_told(
    pooler: Pooler, worlds: Worlds, database: str, tmp_path: Path
) -> None:
    direct = worlds.settings(database)
    settings = replace(direct, database_url=pooler.dsn, pooler="transaction", folder=tmp_path)
    host = PluginHost(settings.plugins_folder)
    identity = DemoIdentity(DEMO_SECRET, DemoDirectory())
    host.add(identity, FOLDER)
    async with Product(settings, host) as product, serving(product, identity) as api:
        for code in ("0101", "0851", "0101"):
            teams = await api.run("care-teams", "viewer", code)
            assert teams["careTeams"]["nodes"]
        mine, theirs = await asyncio.gather(
            *(api.run("{ careTeams { nodes { id } } }", "viewer", code) for code in ("0101", "0851"))
        )
        ids = [{each["id"] for each in answer["careTeams"]["nodes"]} for answer in (mine, theirs)]
        assert ids[0]
        assert ids[1]
        assert not ids[0] & ids[1]
        before = product.application.feed.head
        async with product.database.change(someone(101)) as change:
            await tables.Event.create(
                using_db=change.using, municipality_id=101, type="response.submitted",
                subject_type="QuestionnaireResponse", subject_id=tables.new_id(), subject_version=1,
            )  # fmt: skip
        await asyncio.wait_for(product.application.feed.beyond(before), 5)
    assert pooler.opened <= 2 + pooler.dropped


@pytest.mark.parametrize(("given", "pooled"), [("", False), ("transaction", True)])
def test_the_setting_says_whether_there_is_a_pooler(given: str, pooled: bool) -> None:
    assert Settings.read({"KPRO_POOLER": given}).pooled is pooled
