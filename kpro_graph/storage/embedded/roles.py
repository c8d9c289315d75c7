"""The roles and the database of every embedded server, and SQL run from synchronous code.

`postgres` made the cluster and stands above the rest; `kpro_owner` owns the database and runs the migrations; the API
and the relay work as `kpro_api` and `kpro_relay`. These three can neither go round row-level security nor make roles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import asyncpg

__all__ = ["DATABASE", "OWNER", "ROLES", "SUPERUSER", "ensure", "run"]

DATABASE = "kpro"
SUPERUSER = "postgres"
OWNER = "kpro_owner"
ROLES = (SUPERUSER, OWNER, "kpro_api", "kpro_relay")

_ATTRIBUTES = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION"
_NOT_NOW = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,
)

_Result = TypeVar("_Result")


def run(parameters: dict[str, Any], work: Callable[[Any], Awaitable[_Result]], *, timeout: float = 10.0) -> _Result:
    """Connect with ``parameters`` within ``timeout`` seconds, do ``work`` with the connection, return what comes of it.

    It runs in an event loop of its own, so callers may have one or not. Raises what asyncpg raises.
    """

    async def connect_and_work() -> _Result:
        connection = await asyncpg.connect(timeout=timeout, **parameters)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=timeout)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, connect_and_work()).result()


def ensure(parameters: dict[str, Any], *, timeout: float) -> bool:
    """Make the roles and the database that are missing; return False if no connection comes about in ``timeout`` s.

    ``parameters`` are the superuser's. Raises asyncpg.PostgresError if the server cannot, for example on a full disk.
    """
    try:
        run(parameters, _ensure, timeout=timeout)
    except _NOT_NOW:
        return False
    return True


async def _ensure(connection: Any) -> None:
    found = await connection.fetch(
        "SELECT rolname, rolcanlogin AND NOT (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb"
        " OR rolreplication) AS sound FROM pg_roles WHERE rolname = ANY($1::text[])",
        ROLES,
    )
    sound = {role["rolname"]: role["sound"] for role in found}
    for role in ROLES:
        if role != SUPERUSER and not sound.get(role):
            await connection.execute(f"{'ALTER' if role in sound else 'CREATE'} ROLE {role} {_ATTRIBUTES}")
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
