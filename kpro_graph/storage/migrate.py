"""Bring a database to the present shape: Tortoise's migrations under one lock, safe to run by many and again."""

from __future__ import annotations

from collections.abc import Callable

from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from kpro_graph.errors import ConfigurationError
from kpro_graph.storage.database import model_config
from kpro_graph.storage.owner import owning

__all__ = ["ROLES", "migrate"]

ROLES = ("kpro_api", "kpro_relay")
# Any fixed number of our own; whoever migrates this database waits for it.
_LOCK = 0x6B70726F


async def migrate(dsn: str, progress: Callable[[str], object] | None = None) -> list[str]:
    """Apply what is missing, as the owner's role, and return the names of the steps that were applied.

    Raises:
        ConfigurationError: the roles of the API and the relay do not exist yet.
        Unavailable: the server does not answer.
    """
    async with owning(dsn) as guard:
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        present = {
            row["rolname"] for row in await guard.fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", ROLES)
        }
        if absent := [role for role in ROLES if role not in present]:
            raise ConfigurationError(f"database roles are missing: {', '.join(absent)}; create them first (see docs)")
        applied: list[str] = []

        def note(event: str, _app: str, name: str) -> None:
            if event == "apply_done":
                applied.append(name)
                if progress is not None:
                    progress(name)

        async with TortoiseContext() as context:
            await context.init(config=model_config(_tortoise_url(dsn)))
            executor = MigrationExecutor(context.connections.get("default"), model_config()["apps"])
            await executor.migrate([MigrationTarget("kpro", "__latest__")], direction="forward", progress=note)
        return applied


def _tortoise_url(dsn: str) -> str:
    return "asyncpg://" + dsn.split("://", 1)[1]
