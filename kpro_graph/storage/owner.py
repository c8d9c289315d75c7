"""The owner's door: a connection as the role that owns the tables, for migrations and for loading the demo.

Row-level security is forced, so even the owner sees only the municipalities a transaction names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from kpro_graph.errors import ConfigurationError, Unavailable

__all__ = ["AWAY", "add_municipality", "owning", "saying_when_away"]

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    # What the driver says when a connection is cut between two of its own steps.
    asyncpg.InternalClientError,
    asyncpg.QueryCanceledError,
    TimeoutError,
)
"""What the driver raises when the server is away, full or shutting down: the caller may try again."""


@contextmanager
def saying_when_away() -> Iterator[None]:
    """Turn the driver's many ways of saying that the server is away into one error.

    Raises:
        Unavailable: nothing was changed; try again later.
    """
    try:
        yield
    except AWAY as error:
        raise Unavailable(f"the database does not answer; nothing was changed ({type(error).__name__})") from error


@asynccontextmanager
async def owning(dsn: str) -> AsyncIterator[Any]:
    """Open a connection as the owner and close it again.

    Raises:
        ConfigurationError: the server refuses the user, the password or the database name.
        Unavailable: the server does not answer, or went away meanwhile.
    """
    with saying_when_away():
        try:
            connection = await asyncpg.connect(dsn)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, ValueError) as error:
            raise ConfigurationError(
                "KPRO_MIGRATION_URL is refused by the server: check user, password and database name"
            ) from error
        try:
            yield connection
        finally:
            await connection.close()


async def add_municipality(dsn: str, code: int, name: str, cvr: str) -> None:
    """Add a municipality, or correct the name and CVR number of one that is there."""
    async with owning(dsn) as connection, connection.transaction():
        await connection.execute("SELECT set_config('kpro.municipalities', $1, true)", f"{{{int(code)}}}")
        await connection.execute(
            "INSERT INTO municipality (id, name, cvr) VALUES ($1, $2, $3)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, cvr = excluded.cvr",
            code,
            name,
            cvr,
        )
