"""The walls in the database itself: they hold with every application rule switched off."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from tortoise.models import Model

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel
from kpro_graph.errors import ConfigurationError
from kpro_graph.storage import tables
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.migrate import migrate
from tests.conftest import SECRET
from tests.living import Api

TENANT_TABLES = [
    "organisation_unit", "employee", "care_team", "care_team_member", "citizen", "episode_of_care", "assignment",
    "response", "draft_answer", "score", "interpretation", "access_log", "event",
]  # fmt: skip
MODELS: list[type[Model]] = [
    value for name in tables.__all__ if isinstance(value := getattr(tables, name), type) and issubclass(value, Model)
]


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_row_level_security_alone_shows_only_the_sessions_municipalities(api: Api, table: str) -> None:
    async def seen(*municipalities: int) -> set[int]:
        async with api.product.database.peek(*municipalities) as connection:
            return {row["m"] for row in await connection.fetch(f"SELECT DISTINCT municipality_id AS m FROM {table}")}

    assert await seen() == set()
    assert await seen(101) <= {101}
    assert await seen(851, 810) <= {851, 810}
    assert await seen(9999) == set()


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
    await owner.execute("ALTER TABLE citizen NO FORCE ROW LEVEL SECURITY")
    try:
        with pytest.raises(ConfigurationError, match="citizen"):
            await Database.open(dsn, Cipher(SECRET))
    finally:
        await owner.execute("ALTER TABLE citizen FORCE ROW LEVEL SECURITY")
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
        "DatetimeField": {"timestamptz"}, "_Numeric": {"numeric"}, "ArrayField": {"_text"},
    }  # fmt: skip
    fields: dict[str, Any] = model._meta.fields_map
    assert {row["column_name"] for row in rows} == set(model._meta.db_fields)
    for row in rows:
        field = fields[row["column_name"]]
        assert row["udt_name"] in types[type(field).__name__], row
        assert (row["is_nullable"] == "YES") == field.null, row


async def test_every_tenant_table_has_its_keys_begin_with_the_municipality(api: Api) -> None:
    async with api.product.database.peek() as connection:
        keys = await connection.fetch(
            "SELECT c.relname, i.relname AS index, (SELECT a.attname FROM pg_attribute a"
            " WHERE a.attrelid = c.oid AND a.attnum = x.indkey[0]) AS first"
            " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
            " WHERE x.indisunique AND c.relname = ANY($1)",
            [*TENANT_TABLES, "questionnaire", "rule_set"],
        )
        references = await connection.fetch(
            "SELECT conrelid::regclass::text AS table, confrelid::regclass::text AS target, pg_get_constraintdef(oid) AS d"
            " FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY($1)",
            [*TENANT_TABLES, "questionnaire", "rule_set"],
        )
    # A position is given by the relay alone and tells nothing about a row.
    assert {key["first"] for key in keys if key["index"] != "event_position"} == {"municipality_id"}
    for reference in references:
        if reference["target"] not in {"municipality", "person"}:
            assert reference["d"].startswith(("FOREIGN KEY (municipality_id,", "FOREIGN KEY (questionnaire_owner,"))


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
