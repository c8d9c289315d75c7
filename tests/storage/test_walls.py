"""The walls in the database itself: they hold with every application rule switched off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tortoise.models import Model

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel
from kpro_graph.errors import ConfigurationError
from kpro_graph.storage import tables
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.migrate import migrate
from tests.conftest import SECRET, Worlds
from tests.living import Api
from tests.storage.bare import HERE, MODELS, NATIONAL, PARTS, TENANT_TABLES, THERE, Bare, broken, tenant

SEES = "= ANY (NULLIF(current_setting('kpro.municipalities', true), '')::integer[])"
_POLICIES = """
SELECT tablename AS table, policyname AS name, permissive, roles::text[] AS roles, cmd, qual, with_check
FROM pg_policies WHERE schemaname = 'public' ORDER BY tablename, policyname
"""
_PARTS = """
SELECT c.relname AS part, pg_partition_root(c.oid)::regclass::text AS root FROM pg_class c
WHERE c.relispartition AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
"""
_REFERENCES = """
SELECT c.conname AS name, c.conrelid::regclass::text AS table, c.confrelid::regclass::text AS target,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (n, place)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (n, place)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY place) AS keys
FROM pg_constraint c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace ORDER BY 2, 1
"""
_INDEXES = """
SELECT c.relname AS table, coalesce(pg_partition_root(x.indexrelid), x.indexrelid::regclass)::text AS name,
       x.indisunique AS one, a.attname AS first
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
WHERE c.relname = ANY($1)
"""
# Indexes of tenant tables that do not begin with the municipality, and why that tells nobody anything.
ACROSS = {
    "event_position": "the relay alone gives positions, one order for all municipalities, unique among them all",
    "event_unsequenced": "the relay looks for what has no position, in every municipality",
    "access_log_unsealed": "the relay looks for what has no position, in every municipality",
    "access_log_viewers": "a list is looked into; the municipality is a condition beside it",
    "citizen_person": "a person is found in all the municipalities that a session names",
    "hand_over_receiver": "whoever is offered a history looks for it under their own municipality",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(worlds: Worlds, loaded: str) -> AsyncIterator[Bare]:
    """Give a bare database as its tables' owner, whom row-level security binds and nothing else."""
    await asyncio.to_thread(worlds.postgres.create_database, "bare", loaded)
    connections = [await asyncpg.connect(worlds.postgres.dsn(role, "bare")) for role in ("postgres", "kpro_owner")]
    try:
        await Bare(connections[0]).strip()
        bare = Bare(connections[1])
        await bare.learn()
        yield bare
    finally:
        for connection in connections:
            await connection.close()
        await asyncio.to_thread(worlds.postgres.drop_database, "bare")


@asynccontextmanager
async def undone(connection: Any) -> AsyncIterator[None]:
    """Undo whatever the block does to the database."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def test_every_table_of_a_municipality_is_a_model_and_every_part_is_known(api: Api) -> None:
    async with api.product.database.peek() as connection:
        parts = {row["part"]: row["root"] for row in await connection.fetch(_PARTS)}
        found = await connection.fetch(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace = 'public'::regnamespace AND a.attname = 'municipality_id' AND NOT a.attisdropped"
        )
    assert {row["relname"] for row in found} - parts.keys() == set(TENANT_TABLES)
    assert parts == dict.fromkeys(PARTS, "access_log")


@pytest.mark.parametrize("table", ["municipality", *TENANT_TABLES])
async def test_with_nothing_but_its_wall_a_table_is_closed_to_other_municipalities(bare: Bare, table: str) -> None:
    assert await bare.breaches(table) == []
    present = await bare.outcome(f"{{{HERE},{THERE}}}", f"SELECT DISTINCT {tenant(table)} FROM {table}")
    assert {HERE, THERE} <= present


@pytest.mark.parametrize("part", PARTS)
async def test_with_nothing_but_its_wall_a_part_of_a_table_is_closed_to_other_municipalities(
    bare: Bare, part: str
) -> None:
    everyone = "{" + ",".join(map(str, range(1, 1000))) + "}"
    here, there, *_ = sorted(await bare.outcome(everyone, f"SELECT DISTINCT municipality_id FROM {part}"))
    assert await bare.breaches(part, here, there) == []


@pytest.mark.parametrize(
    ("fault", "promises"),
    [
        ("ALTER TABLE {t} DISABLE ROW LEVEL SECURITY", {"sees", "changes", "deletes", "gives away", "adds"}),
        ("ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY", {"sees", "changes", "deletes", "gives away", "adds"}),
        ("CREATE POLICY fault ON {t} FOR SELECT USING (true)", {"sees"}),
        ("CREATE POLICY fault ON {t} FOR SELECT USING (current_setting('kpro.municipalities', true) = '')", {"sees"}),
        ("CREATE POLICY fault ON {t} FOR UPDATE USING (true) WITH CHECK (municipality_id {s})", {"changes"}),
        ("CREATE POLICY fault ON {t} FOR UPDATE USING (municipality_id {s}) WITH CHECK (true)", {"gives away"}),
        ("CREATE POLICY fault ON {t} FOR INSERT WITH CHECK (true)", {"adds"}),
        ("CREATE POLICY fault ON {t} FOR DELETE USING (true)", {"deletes"}),
    ],
)
@pytest.mark.parametrize("table", ["assignment", "access_log", "access_log_seal", "hand_over"])
async def test_a_hole_in_a_wall_is_seen(bare: Bare, table: str, fault: str, promises: set[str]) -> None:
    async with undone(bare.connection):
        await bare.connection.execute(fault.format(t=table, s=SEES))
        assert broken(await bare.breaches(table)) == promises


async def test_every_part_has_the_policies_of_the_whole(api: Api) -> None:
    async with api.product.database.peek() as connection:
        policies: dict[str, list[Any]] = {}
        for row in await connection.fetch(_POLICIES):
            policies.setdefault(row["table"], []).append(tuple(row)[1:])
        forced = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND relname = ANY($1)", PARTS
        )
    assert policies["access_log"]
    assert {part: policies.get(part) for part in PARTS} == dict.fromkeys(PARTS, policies["access_log"])
    assert {row["relname"] for row in forced} == set(PARTS)


async def test_every_policy_asks_for_the_municipality_but_the_relays(api: Api) -> None:
    async with api.product.database.peek() as connection:
        policies = await connection.fetch(_POLICIES)
    assert {"municipality", *TENANT_TABLES, *PARTS} == {policy["table"] for policy in policies}
    for policy in policies:
        said = [text for text in (policy["qual"], policy["with_check"]) if text is not None]
        everybodys = [text for text in said if "kpro.municipalities" not in text]
        assert said
        assert not everybodys or policy["roles"] == ["kpro_relay"], dict(policy)


async def test_the_relay_reaches_events_and_the_access_log_and_nothing_else(api: Api) -> None:
    async with api.product.database.peek() as connection:
        reached = await connection.fetch(
            "SELECT c.relname AS table, p.privilege FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE',"
            " 'REFERENCES']) AS p (privilege) WHERE c.relkind IN ('r', 'p', 'v', 'm')"
            " AND c.relnamespace = 'public'::regnamespace AND has_any_column_privilege('kpro_relay', c.oid, privilege)"
        )
        more = await connection.fetch(
            "SELECT c.relname FROM pg_class c, unnest(ARRAY['kpro_api', 'kpro_relay']) AS r (role)"
            " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
            " AND (has_table_privilege(role, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')"
            "      OR c.relname = ANY($1) AND has_any_column_privilege(role, c.oid, 'SELECT, INSERT, UPDATE'))",
            PARTS,
        )
    assert {tuple(row) for row in reached} == {
        ("event", "SELECT"), ("event", "UPDATE"), ("event_head", "SELECT"), ("event_head", "UPDATE"),
        ("access_log", "SELECT"), ("access_log", "UPDATE"), ("access_log_seal", "SELECT"), ("access_log_seal", "INSERT"),
    }  # fmt: skip
    assert more == []


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_the_apis_role_sees_only_the_sessions_municipalities(api: Api, table: str) -> None:
    async def seen(*municipalities: int) -> set[int]:
        async with api.product.database.peek(*municipalities) as connection:
            return {row["m"] for row in await connection.fetch(f"SELECT DISTINCT municipality_id AS m FROM {table}")}

    everybodys = {0} if table in NATIONAL else set()
    assert await seen() <= everybodys
    assert await seen(101) <= {101} | everybodys
    assert await seen(851, 810) <= {851, 810} | everybodys
    assert await seen(9999) <= everybodys


async def test_nothing_can_be_written_for_another_municipality(api: Api) -> None:
    async with api.product.database.peek(101) as connection:
        unit = await connection.fetchval("SELECT id FROM organisation_unit LIMIT 1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with api.product.database.peek(851) as connection:
            await connection.execute(
                "INSERT INTO organisation_unit (municipality_id, id, name, kle, active)"
                " VALUES (101, gen_random_uuid(), 'x', '{}', true)"
            )
    async with api.product.database.peek(851) as connection:
        assert await connection.execute("UPDATE organisation_unit SET name = 'x' WHERE id = $1", unit) == "UPDATE 0"


async def test_a_reference_across_municipalities_is_impossible(api: Api) -> None:
    async with api.product.database.peek(101) as connection:
        unit = await connection.fetchval("SELECT id FROM organisation_unit LIMIT 1")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with api.product.database.peek(851) as connection:
            await connection.execute(
                "INSERT INTO care_team (municipality_id, id, organisation_unit_id, name, reason_codes, status)"
                " VALUES (851, gen_random_uuid(), $1, 'x', '{}', 'active')",
                unit,
            )


async def test_a_connection_carries_nothing_from_one_actor_to_the_next(api: Api) -> None:
    async def look(municipality: int) -> None:
        for _ in range(20):
            async with api.product.database.peek(municipality) as connection:
                found = await connection.fetch("SELECT DISTINCT municipality_id AS m FROM citizen")
                assert {row["m"] for row in found} == {municipality}
            async with api.product.database.peek() as connection:
                assert await connection.fetchval("SELECT count(*) FROM citizen") == 0

    await asyncio.gather(*(look(municipality) for municipality in (101, 851, 810, 265) * 4))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access_log SET operation = 'x'",
        "DELETE FROM access_log",
        "UPDATE event SET type = 'x'",
        "DELETE FROM event",
        "DELETE FROM citizen",
        "DELETE FROM score",
        "UPDATE interpretation SET colour = 'green'",
        "INSERT INTO municipality (id, name, cvr) VALUES (1, 'x', 'x')",
        "UPDATE person SET cpr_index = ''",
        "UPDATE event_head SET position = 0",
        "TRUNCATE response",
        "ALTER TABLE citizen DISABLE ROW LEVEL SECURITY",
        "SET ROLE kpro_owner",
    ],
)
async def test_the_apis_role_cannot(api: Api, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with api.product.database.peek(101) as connection:
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE response SET answers = '[]' WHERE submitted_at IS NOT NULL",
        "UPDATE response SET colour = 'green' WHERE submitted_at IS NOT NULL AND colour <> 'green'",
        "DELETE FROM response WHERE submitted_at IS NOT NULL",
        "UPDATE questionnaire SET content = '{}' WHERE status = 'active'",
        "UPDATE questionnaire SET version = '9' WHERE status = 'active'",
        "UPDATE questionnaire SET status = 'draft' WHERE status = 'active'",
        "UPDATE rule_set SET content = '{}' WHERE status = 'approved'",
    ],
)
async def test_what_is_published_or_submitted_is_immutable(api: Api, statement: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        async with api.product.database.peek(101, 0) as connection:
            await connection.execute(statement)


async def test_the_product_refuses_a_role_that_can_go_round_the_wall(api: Api) -> None:
    dsn = api.product.databases.need("api")
    for role in ("kpro_owner", "postgres"):
        with pytest.raises(ConfigurationError, match="bypass row-level security"):
            await Database.open(dsn.replace("kpro_api", role), Cipher(SECRET))
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    try:
        for table in ("citizen", "access_log_5"):
            await owner.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            try:
                with pytest.raises(ConfigurationError, match=table):
                    await Database.open(dsn, Cipher(SECRET))
            finally:
                await owner.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    finally:
        await owner.close()


async def test_migrations_can_run_again_and_at_the_same_time(api: Api) -> None:
    owner = api.product.databases.owner
    assert owner is not None
    assert await asyncio.gather(*(migrate(owner) for _ in range(3))) == [[], [], []]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_the_models_and_the_database_agree(api: Api, model: type[Model]) -> None:
    async with api.product.database.peek() as connection:
        rows = await connection.fetch(
            "SELECT column_name, is_nullable, udt_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = $1",
            model._meta.db_table,
        )
    types = {
        "UUIDField": {"uuid"}, "IntField": {"int4"}, "SmallIntField": {"int2"}, "BigIntField": {"int8"},
        "TextField": {"text", "json"}, "BooleanField": {"bool"}, "DateField": {"date"}, "BinaryField": {"bytea"},
        "DatetimeField": {"timestamptz"}, "Numeric": {"numeric"}, "ArrayField": {"_text"},
    }  # fmt: skip
    fields: dict[str, Any] = model._meta.fields_map
    assert {row["column_name"] for row in rows} == set(model._meta.db_fields)
    for row in rows:
        field = fields[row["column_name"]]
        assert row["udt_name"] in types[type(field).__name__], row
        assert (row["is_nullable"] == "YES") == field.null, row


async def test_every_index_of_a_tenant_table_begins_with_the_municipality(api: Api) -> None:
    async with api.product.database.peek() as connection:
        indexes = await connection.fetch(_INDEXES, [*TENANT_TABLES, *PARTS])
    assert {row["table"] for row in indexes} == {*TENANT_TABLES, *PARTS}
    across = {row["name"] for row in indexes if row["first"] != "municipality_id"}
    assert across == ACROSS.keys()
    assert {row["name"] for row in indexes if row["one"]} & across == {"event_position"}


async def test_every_reference_between_tenant_tables_begins_with_the_municipality(api: Api) -> None:
    async with api.product.database.peek() as connection:
        references = await connection.fetch(_REFERENCES)
    between = [row for row in references if row["target"] in TENANT_TABLES]
    assert len(between) > 30
    for row in references:
        if row["target"] not in TENANT_TABLES:
            assert row["target"] in {"municipality", "person"}, dict(row)
            continue
        assert row["keys"][0] == "municipality_id", dict(row)
        # A questionnaire's owner is the row's municipality or the national library; a check says so.
        assert row["columns"][0] in {"municipality_id", "questionnaire_owner"}, dict(row)


async def test_no_reference_reaches_into_another_municipality(bare: Bare, worlds: Worlds) -> None:
    superuser = await asyncpg.connect(worlds.postgres.dsn("postgres", "bare"))
    try:
        references = [row for row in await superuser.fetch(_REFERENCES) if row["table"] not in PARTS]
        tried = 0
        for reference in references:
            if reference["target"] not in TENANT_TABLES:
                continue
            child, first = reference["table"], reference["columns"][0]
            parent = await superuser.fetchrow(
                f"SELECT {', '.join(reference['keys'])} FROM {reference['target']}"
                f" WHERE municipality_id = {HERE} LIMIT 1"
            )
            async with undone(superuser):
                for other in references:
                    if other["table"] == child and other["name"] != reference["name"]:
                        await superuser.execute(f'ALTER TABLE {child} DROP CONSTRAINT "{other["name"]}"')
                key = dict(zip(reference["columns"], parent, strict=True))
                await superuser.execute(bare.insertion(child, HERE, **key))
                with pytest.raises(asyncpg.ForeignKeyViolationError):
                    await superuser.execute(bare.insertion(child, THERE, **{**key, first: THERE}))
            tried += 1
        assert tried > 30
    finally:
        await superuser.close()


async def test_a_questionnaires_owner_is_the_rows_municipality_or_the_national_library(api: Api) -> None:
    superuser = await asyncpg.connect(api.product.databases.need("api").replace("kpro_api", "postgres"))
    try:
        owners = {row["table"] for row in await superuser.fetch(_REFERENCES) if "questionnaire_owner" in row["columns"]}
        assert owners == {"assignment", "response"}
        for table in owners:
            async with undone(superuser):
                await superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
                change = f"UPDATE {table} SET questionnaire_owner = $1 WHERE municipality_id = $2"
                assert await superuser.execute(change, THERE, THERE) != "UPDATE 0"
                with pytest.raises(asyncpg.CheckViolationError):
                    await superuser.execute(change, HERE, THERE)
    finally:
        await superuser.close()


async def test_a_change_that_fails_leaves_nothing_behind(api: Api) -> None:
    actor = Actor(ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)
    unit = tables.new_id()
    with pytest.raises(RuntimeError, match="after the row"):
        async with api.product.database.change(actor, "test") as change:
            await tables.OrganisationUnit.create(
                using_db=change.using, id=unit, municipality_id=101, name="x", kle=[], active=True
            )
            raise RuntimeError("after the row")
    async with api.product.database.peek(101) as connection:
        assert await connection.fetchval("SELECT count(*) FROM organisation_unit WHERE id = $1", unit) == 0
