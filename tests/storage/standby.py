"""A primary and a hot standby that streams from it, made of an embedded server's cluster that was stopped."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from kpro_graph.storage.embedded import roles
from kpro_graph.storage.embedded.accounts import Account, choose_account

__all__ = ["Pair", "Server", "paired"]

_SETTINGS = {
    "listen_addresses": "", "wal_level": "replica", "max_wal_senders": 4, "hot_standby": "on", "fsync": "off",
    "max_connections": 60, "shared_buffers": "64MB", "max_standby_streaming_delay": "300ms",
    "wal_receiver_status_interval": "1s", "wal_retrieve_retry_interval": "200ms", "io_method": "sync",
}  # fmt: skip


class Server:
    """One of the two."""

    def __init__(self, account: Account, cluster: Path, sockets: Path, port: int) -> None:
        self._account, self._cluster, self.sockets, self.port = account, cluster, sockets, port
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, role: str, database: str) -> str:
        """Return a URL of the server."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='')}&port={self.port}"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        account = self._account
        self._process = subprocess.Popen(
            [
                *account.prefix, f"{account.programs}/postgres", "-D", account.name_of(self._cluster),
                *(f"--{name}={value}" for name, value in _SETTINGS.items()),
                f"--port={self.port}", f"--unix_socket_directories={self.sockets}",
            ],
            cwd=self._cluster, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, umask=0o077, env={"LC_ALL": "C"}, **account.become,
        )  # fmt: skip
        until = time.monotonic() + 30
        while True:
            try:
                self.run("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it without waiting for its clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def run(self, sql: str, database: str = "postgres") -> Any:
        """Run a statement above every wall and return the first value."""
        parameters = {"host": str(self.sockets), "port": self.port, "user": roles.SUPERUSER, "database": database}
        return roles.run(parameters, lambda connection: connection.fetchval(sql))


class Pair:
    """The primary, as `Worlds` needs it, and its standby."""

    def __init__(self, folder: Path, primary: Server, standby: Server) -> None:
        self.folder, self.primary, self.standby = folder, primary, standby

    def dsn(self, role: str, database: str = "kpro") -> str:
        """Return a URL of the primary."""
        return self.primary.dsn(role, database)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, as a copy of another."""
        self.primary.run(f"CREATE DATABASE {name} OWNER kpro_owner" + (f" TEMPLATE {template}" if template else ""))

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        self.primary.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def pause(self) -> None:
        """Let the standby replay no more."""
        self.standby.run("SELECT pg_wal_replay_pause()")
        until = time.monotonic() + 5
        while self.standby.run("SELECT pg_get_wal_replay_pause_state()") != "paused":
            assert time.monotonic() < until
            time.sleep(0.01)

    def resume(self) -> None:
        """Let the standby replay again."""
        self.standby.run("SELECT pg_wal_replay_resume()")


@contextmanager
def paired(cluster: Path) -> Iterator[Pair]:
    """Serve a cluster that is stopped, and a copy of it as a standby."""
    # A socket's path has a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="kpro-pair-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        account = choose_account(cluster.stat(), lambda: folder)
        copy, sockets = folder / "standby", folder / "s"
        shutil.copytree(cluster, copy, ignore=shutil.ignore_patterns("postmaster.*", ".s.*"))
        sockets.mkdir(mode=0o700)
        copy.chmod(0o700)
        (copy / "standby.signal").touch()
        with (copy / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = 'host={sockets} port=5433 user=postgres'\n")
        for tree in (copy, sockets):
            account.take_over(tree)
        primary, standby = Server(account, cluster, sockets, 5433), Server(account, copy, sockets, 5434)
        try:
            primary.start()
            standby.start()
            yield Pair(folder / "server", primary, standby)
        finally:
            standby.stop()
            primary.stop()
