"""PostgreSQL without an installation: a server in a folder, shared by the processes that use it and gone with the last.

    with open_embedded(Path(".kpro/database")) as server:
        await asyncpg.connect(**server.parameters("kpro_api"))

Any number of processes may open the same folder at once; the first starts the server and the last to close stops it.
However one of them or the server itself is killed, no committed row is lost, and the next to open puts things right.
The server listens on a unix socket in a private folder and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import asyncpg

from kpro_graph.errors import ConfigurationError, Unavailable
from kpro_graph.storage.embedded import roles
from kpro_graph.storage.embedded.cluster import Cluster
from kpro_graph.storage.embedded.folder import PORT, Folder, explained
from kpro_graph.storage.embedded.roles import DATABASE, ROLES, SUPERUSER

__all__ = ["DATABASE", "PORT", "ROLES", "SUPERUSER", "EmbeddedServer", "embedded", "open_embedded"]

_logger = logging.getLogger(__name__)


def open_embedded(folder: Path, *, patience: float = 120.0) -> EmbeddedServer:
    """Return the server of ``folder``, ready for connections: joined if it runs, otherwise made and started.

    Blocks for some 0.1 s to start and 1 s to make; crash recovery may take longer, and is waited for as long as the
    server's log shows progress every ``patience`` seconds. An asyncio program calls it with ``asyncio.to_thread`` or
    uses `embedded`.

    Raises ConfigurationError if the folder is foreign, of another PostgreSQL version, not writable or full, and
    Unavailable if the server does not come up; both say what its log ends with.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "The embedded database does not run on Windows. Set KPRO_DATABASE_URL to a PostgreSQL server, or use WSL."
        )
    began = time.monotonic()
    home = Folder(folder)
    with explained(home.path):
        home.claim()
        with home.gate(patience):
            server = EmbeddedServer(home, home.enter(), patience)
            try:
                Cluster(home).serve(server._answers, patience)
            except BaseException:
                server._leave()
                raise
    _logger.info("PostgreSQL in %s answers after %.2f s", home.path, time.monotonic() - began)
    return server


@asynccontextmanager
async def embedded(folder: Path, *, patience: float = 120.0) -> AsyncIterator[EmbeddedServer]:
    """Open the server of ``folder`` for the block, without holding up the event loop; see `open_embedded`."""
    opening = asyncio.create_task(asyncio.to_thread(open_embedded, folder, patience=patience))
    try:
        # Shielded: a thread cannot be cancelled, and what it opens is to be closed.
        yield await asyncio.shield(opening)
    finally:
        server = await opening
        await asyncio.shield(asyncio.to_thread(server.close))


class EmbeddedServer:
    """A running server, held open until it is closed. Made by `open_embedded`."""

    def __init__(self, folder: Folder, hold: int, patience: float) -> None:
        self._home = folder
        self._hold: int | None = hold
        self._holder = os.getpid()
        self._patience = patience

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._home.path

    @property
    def log(self) -> Path:
        """The file the server logs to."""
        return self._home.log

    @property
    def socket_folder(self) -> Path:
        """The folder of the server's socket: the ``host`` of a connection. Raises Unavailable if it was removed."""
        if door := self._home.door:
            return door
        raise Unavailable(
            f"The socket of the server in {self.folder} was removed; the next to open the folder mends it."
        )

    def parameters(self, role: str, database: str = DATABASE) -> dict[str, Any]:
        """Return what ``asyncpg.connect`` needs to be ``role``, one of `ROLES`. Raises ValueError if it is not."""
        if role not in ROLES:
            raise ValueError(f"The embedded server has the roles {', '.join(ROLES)}.")
        return {"host": str(self.socket_folder), "port": PORT, "user": role, "database": database}

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """Return the same as a URL, for asyncpg, libpq and their like. Raises ValueError as `parameters` does."""
        host = quote(self.parameters(role)["host"], safe="")
        return f"postgresql://{role}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make another database, owned by kpro_owner, as a copy of ``template`` if one is named.

        Blocks for the time of the copying. Raises ValueError if a name is not of the form ``[a-z_][a-z0-9_]*`` or too
        long, and asyncpg's errors if the database exists or somebody is connected to the template.
        """
        copying = f" TEMPLATE {_identifier(template)}" if template else ""
        self._execute(f"CREATE DATABASE {_identifier(name)} OWNER {roles.OWNER}{copying}")

    def drop_database(self, name: str) -> None:
        """Remove a database that `create_database` made, if it is there, and throw out who is connected to it.

        Raises ValueError for the database that every server has.
        """
        if name in {DATABASE, "postgres", "template0", "template1"}:
            raise ValueError(f"The database {name} belongs to the server.")
        self._execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def close(self) -> None:
        """Let go of the server, and stop it if nobody else holds it. Closing again does nothing.

        Blocks until the server has written its last checkpoint. Raises Unavailable if it does not end in time.
        """
        # A forked child has a copy of this object, but never entered the folder itself.
        if self._hold is None or os.getpid() != self._holder:
            return
        with explained(self.folder), self._home.gate(self._patience):
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave(self) -> None:
        """Cease to hold the server, from within the gate; the last one stops it."""
        if self._hold is not None:
            hold, self._hold = self._hold, None
            if self._home.leave(hold):
                Cluster(self._home).stop(self._patience)
                self._home.remove_annex()

    def _answers(self) -> bool:
        """Return whether a connection works, after which roles and database are there."""
        try:
            return roles.ensure(self.parameters(SUPERUSER, "postgres"), timeout=min(self._patience, 10.0))
        except asyncpg.PostgresError as refusal:
            raise ConfigurationError(
                f"PostgreSQL in {self.folder} runs, but its roles and database cannot be made: {refusal}"
            ) from refusal

    def _execute(self, statement: str) -> None:
        roles.run(self.parameters(SUPERUSER, "postgres"), lambda connection: connection.execute(statement))


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError(
            "A database's name is made of a-z, 0-9 and _, does not begin with a digit, and has at most 63."
        )
    return f'"{name}"'
