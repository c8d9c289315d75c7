"""Connections to a server as the API's role: opened with limits of their own, proved to stand behind the walls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

from kpro_graph.errors import ConfigurationError
from kpro_graph.storage.owner import saying_when_away

__all__ = ["limits", "open_pool", "prove_walls", "undo"]

_CAN_BYPASS = """
SELECT r.rolsuper OR r.rolbypassrls OR EXISTS (
    SELECT FROM pg_roles p
    WHERE (p.rolsuper OR p.rolbypassrls) AND pg_has_role(r.oid, p.oid, 'MEMBER')
) OR EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(r.oid, c.relowner, 'MEMBER')
)
FROM pg_roles r WHERE r.rolname = current_user
"""
_OPEN_TABLES = """
SELECT array_agg(c.relname ORDER BY c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
  AND EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'municipality_id' AND NOT a.attisdropped
  )
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""
# Seconds the server waits after the deadline, at which a statement is cancelled, before it ends one by itself.
_GRACE = 5
# Seconds a server has to roll back; one that does not answer to that loses the connection.
_TO_UNDO = 5


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # Nothing outlives a transaction here, so there is nothing to reset between two users of a connection.
        return ""


def limits(deadline: float) -> dict[str, str]:
    """Return the settings that bound a session whose operations may take ``deadline`` seconds."""
    milliseconds = int((deadline + _GRACE) * 1000)
    return {
        "statement_timeout": str(milliseconds),
        # Statements are short and many; compiling one costs more than it ever gives back.
        "jit": "off",
        # Rows are found by keys, whoever asks: one plan serves all, and making it anew costs as much as a small answer.
        "plan_cache_mode": "force_generic_plan",
        "idle_in_transaction_session_timeout": str(2 * milliseconds),
    }


async def open_pool(
    dsn: str, *, size: int, pooled: bool, deadline: float, least: int = 1, variable: str = "KPRO_DATABASE_URL"
) -> Any:
    """Return a pool of at most ``size`` connections, ``least`` of them opened at once.

    Raises:
        ConfigurationError: the server refuses the role, or a pooler was not said; ``variable`` is named.
        Unavailable: the server does not answer.
    """
    with saying_when_away():
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=least,
                max_size=size,
                connection_class=_Connection,
                init=_learn_types,
                command_timeout=deadline + _GRACE,
                # A pooler refuses to pass limits on when it is connected to.
                server_settings={"application_name": "kpro_graph", **({} if pooled else limits(deadline))},
                **({"statement_cache_size": 0} if pooled else {}),
            )
        except asyncpg.ProtocolViolationError as error:
            raise ConfigurationError(
                f"what {variable} leads to refuses the settings of a connection, as a pooler does: if there is one, "
                "set KPRO_POOLER to transaction"
            ) from error
        except (
            asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, ValueError,
        ) as error:  # fmt: skip
            raise ConfigurationError(
                f"{variable} is refused by the server: check user, password and database name"
            ) from error


async def prove_walls(connection: Any) -> None:
    """Prove that row-level security stands and binds this role.

    Raises:
        ConfigurationError: the role could bypass it, a table has none, or there are no tables.
    """
    if await connection.fetchval(_CAN_BYPASS):
        raise ConfigurationError(
            "the API's database role can bypass row-level security (superuser, BYPASSRLS or owner of tables): "
            "connect as a role that has only the grants of kpro_api"
        )
    if unguarded := await connection.fetchval(_OPEN_TABLES):
        raise ConfigurationError(f"tables without forced row-level security: {', '.join(unguarded)}")
    if await connection.fetchval("SELECT to_regclass('public.municipality')") is None:
        raise ConfigurationError("the database has no tables yet: run `kpro migrate`")


async def undo(connection: Any, transaction: Any) -> None:
    """Roll a transaction back, or let its connection go, which takes the transaction with it."""
    try:
        async with asyncio.timeout(_TO_UNDO):
            await transaction.rollback()
    except Exception:
        # One that is lost may have gone back to its pool already.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()


async def _learn_types(connection: Any) -> None:
    """Let a new connection learn the types that may come within rows, where the driver does not look for them."""
    await connection.fetch("SELECT ARRAY[ROW(1)], NULL::text[], NULL::uuid[], NULL::integer[]")
