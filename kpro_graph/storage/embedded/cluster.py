"""The database cluster in a folder, and the one PostgreSQL server that serves it: made, started, watched, stopped.

The server is alive if something listens on its socket, or if the process named in postmaster.pid is proven to work in
the cluster. A number in postmaster.pid proves nothing by itself: it may have been given to somebody else since.
Everything here is done inside the folder's gate.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from kpro_graph.errors import ConfigurationError
from kpro_graph.storage.embedded.accounts import MAJOR, Account, choose_account
from kpro_graph.storage.embedded.folder import PORT, Folder, Patience
from kpro_graph.storage.embedded.processes import lives, mark_of, peer_of, postgres_in, serves, signal_proven
from kpro_graph.storage.embedded.roles import SUPERUSER

__all__ = ["Cluster"]

_logger = logging.getLogger(__name__)

_SETTINGS = {
    # Nobody but the owner of the folder reaches the server.
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    # What is committed stays.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A laptop's size.
    "shared_buffers": "128MB",
    "max_connections": 60,
    "max_wal_senders": 0,
    "max_logical_replication_workers": 0,
    "io_method": "sync",
    # The log says how the server is, never what a statement was about: no statements, no parameters, and no errors of
    # statements either, since PostgreSQL quotes values in their messages and keys in their details.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %e ",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": -1,
    "log_min_duration_sample": -1,
    "log_parameter_max_length": 0,
    "log_parameter_max_length_on_error": 0,
    "log_checkpoints": "off",
    "log_startup_progress_interval": "10s",
    "lc_messages": "C",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_LINUX_SETTINGS = {
    # A query of a killed process ends soon, instead of when it has something to say.
    "client_connection_check_interval": "10s",
}
_IN_USE = " F0001 "  # SQLSTATE lock_file_exists: an earlier server, or what remains of it, has the cluster


class Cluster:
    """A folder's database cluster and its server."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = folder.cluster

    def serve(self, answers: Callable[[], bool], patience: float) -> None:
        """Return when the server is up and ``answers`` says that it does; start it, and make the cluster, if need be.

        Raises ConfigurationError if the cluster is of another version or the server ends at once, and Unavailable if
        it is not up after ``patience`` seconds without progress, for example in crash recovery.
        """
        waiting = Patience(self._folder, patience, "PostgreSQL has been starting")
        self._folder.remove_unfinished()
        self._folder.trim_log()
        if self._path.exists():
            self._check_version()
        started, log_before, try_until = 0, 0, time.monotonic() + patience
        while not (self._says_ready() and self._listener() is not None and answers()):
            if self._is_alive():
                self._mend_lost_socket(patience)
            elif not lives(started):
                if started:
                    self._judge_failure(log_before, again=time.monotonic() < try_until)
                log_before = self._folder.log_length()
                started = self._start()
            waiting.pause()

    def stop(self, patience: float) -> None:
        """Stop the server, if it is alive, with a checkpoint and without waiting for clients.

        Raises Unavailable if it is still there after ``patience`` seconds.
        """
        pid = self._proven()
        if pid is None:
            if self._is_alive():
                _logger.warning("PostgreSQL in %s runs where it cannot be stopped from", self._folder.path)
            return
        signal_proven(pid, signal.SIGINT, lambda: self._is_ours(pid))
        waiting = Patience(self._folder, patience, "PostgreSQL has been stopping")
        while serves(pid, self._path):
            waiting.pause()

    # Is it alive?

    def _is_alive(self) -> bool:
        return self._listener() is not None or self._proven() is not None

    def _says_ready(self) -> bool:
        """Return whether the server has noted that it takes connections; asking it sooner would litter its log."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _proven(self) -> int | None:
        """Return the server's process, if one is proven to be this cluster's."""
        return next((pid for pid in (self._listener() or 0, self._claimed()) if self._is_ours(pid)), None)

    def _is_ours(self, pid: int) -> bool:
        return serves(pid, self._path) or (pid > 0 and self._listener() == pid)

    def _listener(self) -> int | None:
        """Return the process that listens on the cluster's socket, 0 for one without a number here, None for none."""
        socket = self._folder.socket
        return None if socket is None else peer_of(socket)

    def _claimed(self) -> int:
        """Return the process that postmaster.pid names, 0 if none."""
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].isdecimal() else 0

    def _pid_file(self) -> list[str]:
        with suppress(FileNotFoundError):
            return (self._path / "postmaster.pid").read_text(errors="replace").splitlines()
        return []

    # Making and starting

    def _check_version(self) -> None:
        version = (self._path / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise ConfigurationError(
                f"The data folder {self._folder.path} was made by PostgreSQL {version}; this program brings {MAJOR}. "
                f"Dump it with PostgreSQL {version} and restore it into a new folder, or name another folder."
            )

    def _start(self) -> int:
        """Start the server, as a process that outlives ours; return its number."""
        at_home = self._path if self._path.exists() else self._folder.path
        account = choose_account(at_home.stat(), self._folder.make_annex)
        if not self._path.exists():
            self._make(account)
        account.take_over(self._path)
        self._sweep()
        settings: dict[str, object] = {
            **_SETTINGS,
            "cluster_name": mark_of(self._path),
            "unix_socket_directories": self._prepare_door(account),
        }
        if sys.platform == "linux":
            settings |= _LINUX_SETTINGS
        # The shell ends at once and leaves the server to init: no process of ours becomes its parent, which would have
        # to wait for it. Its number is only for noticing that it ended.
        log = self._folder.open_log()
        try:
            shell = account.run(
                *("/bin/sh", "-c", '"$@" >&2 & echo $!', "sh"),
                *(f"{account.programs}/postgres", "-D", account.name_of(self._path)),
                *(f"--{name}={value}" for name, value in settings.items()),
                cwd=self._path,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        finally:
            os.close(log)
        if shell.returncode != 0:
            raise ConfigurationError(f"PostgreSQL cannot be started. What tried to said:\n{self._folder.log_tail()}")
        return int(shell.stdout)

    def _make(self, account: Account) -> None:
        """Make the cluster, whole or not at all."""
        unfinished = self._folder.make_unfinished()
        try:
            account.take_over(unfinished)
            self._initialise(unfinished, account)
            unfinished.rename(self._path)
        except BaseException:
            self._folder.remove_unfinished()
            raise
        _sync(self._folder)

    def _initialise(self, unfinished: Path, account: Account) -> None:
        initdb = account.run(
            *(f"{account.programs}/initdb", "-D", account.name_of(unfinished), "--username", SUPERUSER),
            # The socket lies in a folder of mode 0700, so the kernel has already seen to it that whoever calls is the
            # server's own account or root. `peer` would ask the same again, and only of accounts that have a name.
            *("--auth-local=trust", "--auth-host=reject"),
            # The builtin locale sorts and folds alike on every machine, whatever its C library has: hence --locale=C.
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--data-checksums", "--no-instructions"),
            cwd=unfinished,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if initdb.returncode != 0:
            said = "\n".join(initdb.stdout.splitlines()[-6:])
            raise ConfigurationError(f"The database in {self._folder.path} could not be made. It said:\n{said}")

    def _prepare_door(self, account: Account) -> str:
        """Return where the server shall put its socket, by a name it can reach."""
        if self._folder.door == self._path:
            return "."
        door = self._folder.make_annex() / "socket"
        door.mkdir(mode=0o700, exist_ok=True)
        account.take_over(door)
        return str(door)

    def _sweep(self) -> None:
        """Remove what a killed server left and what would keep the next from starting. Nothing is alive."""
        # PostgreSQL does not start while postmaster.pid or the socket's lock name any process of its own account. It
        # also looks at the shared memory, so that without these files, too, no two servers can be at work at once.
        if not serves(self._claimed(), self._path):
            (self._path / "postmaster.pid").unlink(missing_ok=True)
        if socket := self._folder.socket:
            socket.unlink(missing_ok=True)
            socket.with_name(f"{socket.name}.lock").unlink(missing_ok=True)

    # What can go wrong

    def _judge_failure(self, log_before: int, *, again: bool) -> None:
        """Return if the server that just ended is worth another try. Raises ConfigurationError if not."""
        said = self._folder.log_tail(log_before)
        if _IN_USE not in said or not again:
            raise ConfigurationError(f"PostgreSQL cannot be started in {self._folder.path}. It said:\n{said}")
        # A killed server leaves children that finish their work first, be it endless.
        for orphan in postgres_in(self._path):
            signal_proven(orphan, signal.SIGTERM, partial(self._is_orphan, orphan))
        time.sleep(0.2)

    def _is_orphan(self, pid: int) -> bool:
        return serves(pid, self._path) and not self._is_alive()

    def _mend_lost_socket(self, patience: float) -> None:
        """Stop a server that is up but has lost its socket, say to a cleaner of /tmp, so that it starts anew."""
        if self._says_ready() and self._listener() is None:
            self.stop(patience)


def _sync(folder: Folder) -> None:
    """Write a folder's own entries to disk."""
    file = os.open(folder.path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
