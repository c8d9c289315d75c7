"""A database in which nothing but the walls is left: no check, no trigger, no missing grant; and how they are tried."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from tortoise.models import Model

from kpro_graph.storage import tables

MODELS: list[type[Model]] = [
    value for name in tables.__all__ if isinstance(value := getattr(tables, name), type) and issubclass(value, Model)
]
TENANT_TABLES = sorted(str(model._meta.db_table) for model in MODELS if "municipality_id" in model._meta.db_fields)
PARTS = [f"access_log_{n}" for n in range(8)]
NATIONAL = {"municipality", "questionnaire", "rule_set"}
"""Whose rows of municipality 0 everybody may see: the national library."""

HERE, THERE, NOWHERE = 851, 101, 9999
_VALUES = {
    "uuid": "gen_random_uuid()", "int2": "0", "int4": "0", "int8": "0", "text": "'x'", "bool": "false", "numeric": "0",
    "date": "'2000-01-01'", "timestamptz": "now()", "bytea": "gen_random_uuid()::text::bytea", "json": "'{}'", "_text": "'{}'",
}  # fmt: skip
_CHECKS = """
SELECT conrelid::regclass::text AS table, conname AS name FROM pg_constraint
WHERE contype = 'c' AND conislocal AND connamespace = 'public'::regnamespace AND conrelid <> 0
"""
_COLUMNS = """
SELECT table_name, column_name, udt_name FROM information_schema.columns
WHERE table_schema = 'public' AND is_nullable = 'NO' AND table_name = ANY($1) ORDER BY table_name, ordinal_position
"""


def tenant(table: str) -> str:
    """Return the column that says whose a row is."""
    return "id" if table == "municipality" else "municipality_id"


@dataclass
class Bare:
    """A connection to a bare database, and the rows that can be written into each of its tables."""

    connection: Any
    columns: dict[str, dict[str, str]] = field(default_factory=dict)

    async def strip(self) -> None:
        """Take away, as a superuser, whatever could stand in for a wall, and see to it that every table has rows."""
        for check in await self.connection.fetch(_CHECKS):
            await self.connection.execute(f'ALTER TABLE {check["table"]} DROP CONSTRAINT "{check["name"]}"')
        await self.learn()
        await self.connection.execute("SET session_replication_role = replica")
        for table in TENANT_TABLES:
            await self.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            # So many municipalities that some of them share each part of a table.
            here = [*range(1, 60), HERE, THERE] if table == "access_log" else [HERE, THERE]
            for municipality in [*here, *([0] if table in NATIONAL else [])]:
                await self.connection.execute(self.insertion(table, municipality))
        await self.connection.execute("RESET session_replication_role")

    async def learn(self) -> None:
        """Read what a row of each table needs."""
        for row in await self.connection.fetch(_COLUMNS, ["municipality", *TENANT_TABLES, *PARTS]):
            self.columns.setdefault(row["table_name"], {})[row["column_name"]] = _VALUES[row["udt_name"]]

    def insertion(self, table: str, municipality: int, **values: object) -> str:
        """Return the statement that inserts a row of a municipality, with some columns' values given."""
        given = {name: "NULL" if value is None else f"'{value}'" for name, value in values.items()}
        row = {**self.columns[table], tenant(table): str(municipality), **given}
        return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"

    async def outcome(self, scope: str | None, statement: str) -> Any:
        """Return what a statement does in a session of that scope, None: of none at all; nothing of it stays."""
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            if scope is not None:
                await self.connection.execute("SELECT set_config('kpro.municipalities', $1, true)", scope)
            if statement.startswith("SELECT"):
                return {row[0] for row in await self.connection.fetch(statement)}
            return await self.connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            return "refused" if "row-level security" in str(error) else repr(error)
        except asyncpg.PostgresError as error:
            # Whatever refused it, the wall had let it through.
            return repr(error)
        finally:
            await transaction.rollback()

    async def breaches(self, table: str, here: int = HERE, there: int = THERE) -> list[str]:
        """Try every way around the wall of a table; return those that lead through."""
        column = tenant(table)
        everybodys = {0} if table in NATIONAL else set()
        nothing = [None, "", "{}", f"{{{NOWHERE}}}"]
        found = []
        for scope in [*nothing, f"{{{here}}}", f"{{{here},{NOWHERE}}}"]:
            may = everybodys | ({here} if scope not in nothing else set())
            if not await self.outcome(scope, f"SELECT DISTINCT {column} FROM {table}") <= may:
                found.append(f"sees with {scope}")
        for scope in nothing:
            # Neither reads a column, so that no policy for reading stands in for those for changing and deleting.
            if await self.outcome(scope, f"UPDATE {table} SET {column} = {NOWHERE}") not in {"UPDATE 0", "refused"}:
                found.append(f"changes with {scope}")
            if await self.outcome(scope, f"DELETE FROM {table}") != "DELETE 0":
                found.append(f"deletes with {scope}")
        for scope in [*nothing, f"{{{here}}}"]:
            if await self.outcome(scope, f"UPDATE {table} SET {column} = {there}") not in {"UPDATE 0", "refused"}:
                found.append(f"gives away with {scope}")
            for municipality in (there, 0, uuid.uuid4().int % 90 + 9900):
                if await self.outcome(scope, self.insertion(table, municipality)) != "refused":
                    found.append(f"adds with {scope}")
        return found


def broken(breaches: Iterable[str]) -> set[str]:
    """Return which promises are broken, without in which scope."""
    return {each.split(" with ")[0] for each in breaches}
