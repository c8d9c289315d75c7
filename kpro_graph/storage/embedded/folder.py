"""The folder an embedded server lives in: what lies where, and who is inside.

::

    gate.lock       locked exclusively while the server is made, started or stopped
    holders.lock    locked shared by everybody who uses the server
    postgres/       the database cluster; it belongs to the account the server runs as
    postgres.new.*  a cluster in the making, renamed when it is whole
    server.log      what the server says; server.log.1 is what it said before
    annex           link to a short, private folder outside, when one is needed: for the socket, if this folder's path
                    is too long for one, and for the programs, if the server's account cannot reach them

Both locks are flock(2) locks: the kernel releases them when a process dies, in whatever way.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kpro_graph.errors import ConfigurationError, Unavailable

__all__ = ["PORT", "Folder", "Patience", "explained"]

PORT = 5432
"""Part of the socket's name and no more: nothing listens on the network."""

_LONGEST_SOCKET_PATH = 103  # bytes; macOS takes 103, Linux 107
_LONGEST_LOG = 1 << 20  # bytes
_OURS = {"gate.lock", "holders.lock", "server.log", "server.log.1", "annex"}
_HARMLESS = {"lost+found", ".DS_Store", ".gitignore"}  # found in folders that people call empty
_UNFINISHED = "postgres.new."


class Folder:
    """A data folder: its parts by name, its two locks, its log and its annex."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.cluster = self.path / "postgres"
        self.log = self.path / "server.log"
        self._annex_link = self.path / "annex"

    def claim(self) -> None:
        """Create the folder if it is missing.

        Raises ConfigurationError if it holds something else than an embedded server.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Listed before the look for a cluster: another process may be finishing one at this moment.
        names = {entry.name for entry in self.path.iterdir() if not entry.name.startswith(_UNFINISHED)}
        if names - _OURS - _HARMLESS and not (self.cluster / "PG_VERSION").exists():
            raise ConfigurationError(
                f"The data folder {self.path} is not empty and holds no embedded database. "
                "Name a folder that is empty or does not exist yet."
            )

    # The two locks

    @contextmanager
    def gate(self, patience: float) -> Iterator[None]:
        """Be the only one to make, start or stop the server.

        Raises Unavailable if somebody else is at it without progress for ``patience`` seconds.
        """
        lock = self._open("gate.lock")
        try:
            waiting = Patience(self, patience, "Another process has been starting or stopping PostgreSQL")
            while not _try_lock(lock, exclusive=True):
                waiting.pause()
            yield
        finally:
            _unlock(lock)

    def enter(self) -> int:
        """Become one of the holders, from within the gate; return the file that stands for it."""
        lock = self._open("holders.lock")
        if not _try_lock(lock, exclusive=False):
            _unlock(lock)
            raise Unavailable(f"{self.path / 'holders.lock'} is locked by something else than this program.")
        return lock

    def leave(self, lock: int) -> bool:
        """Cease to be a holder, from within the gate; return whether nobody is left."""
        _unlock(lock)
        lock = self._open("holders.lock")
        last = _try_lock(lock, exclusive=True)
        _unlock(lock)
        return last

    # The log

    def open_log(self) -> int:
        """Open the server's log for appending; return the open file."""
        return self._open("server.log", os.O_APPEND)

    def trim_log(self) -> None:
        """Put an overlong log aside."""
        if self.log_length() > _LONGEST_LOG:
            # Copied and cut, not renamed: a living server goes on writing to the file it has.
            shutil.copyfile(self.log, self.path / "server.log.1")
            os.truncate(self.log, 0)

    def log_length(self) -> int:
        """Return the length of the server's log in bytes."""
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def log_tail(self, start: int = 0) -> str:
        """Return the last 4000 bytes of the server's log, none of them from before byte ``start``."""
        with suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(max(start, self.log_length() - 4000))
            return log.read().decode(errors="replace").strip()
        return ""

    # The socket and the annex

    @property
    def door(self) -> Path | None:
        """The folder of the server's socket: the cluster, or if its path is too long one in the annex, once made."""
        if _fits_a_socket(self.cluster):
            return self.cluster
        annex = self.annex()
        return annex and annex / "socket"

    @property
    def socket(self) -> Path | None:
        """The server's socket, whether it is there or not; None if it has no folder yet."""
        door = self.door
        return door and door / f".s.PGSQL.{PORT}"

    def annex(self) -> Path | None:
        """Return the annex, if there is one and nobody else can have put it there or change it."""
        try:
            annex = self._annex_link.readlink()
            found = annex.lstat()
        except OSError:
            return None
        ours = found.st_uid in {0, os.geteuid(), self.path.stat().st_uid} and not found.st_mode & 0o022
        return annex if ours and stat.S_ISDIR(found.st_mode) else None

    def make_annex(self) -> Path:
        """Return the annex; make one if there is none."""
        if found := self.annex():
            return found
        # The server of root has another account: it must pass through, and root's own temporary folder may be closed.
        root = os.geteuid() == 0
        for above in ["/tmp"] if root else [tempfile.gettempdir(), "/tmp"]:  # noqa: S108 (mkdtemp makes it ours)
            annex = Path(tempfile.mkdtemp(prefix="kpro-", dir=above))
            if _fits_a_socket(annex / "socket"):
                break
            annex.rmdir()
        if root:
            annex.chmod(0o711)
        self._annex_link.unlink(missing_ok=True)
        self._annex_link.symlink_to(annex)
        return annex

    def remove_annex(self) -> None:
        """Remove the annex and the link to it; nothing runs from it any more."""
        if annex := self.annex():
            shutil.rmtree(annex, ignore_errors=True)
        self._annex_link.unlink(missing_ok=True)

    # Clusters in the making

    def make_unfinished(self) -> Path:
        """Return a new private folder for a cluster in the making."""
        # A new name each time: the orphan of a killed start may still be writing to an earlier one.
        return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.path))

    def remove_unfinished(self) -> None:
        """Remove the clusters in the making that killed starts left behind."""
        deadline = time.monotonic() + 10
        for unfinished in self.path.glob(_UNFINISHED + "*"):
            # An orphan may add files while we remove them; it ends when it misses those that are gone.
            while unfinished.exists() and time.monotonic() < deadline:
                shutil.rmtree(unfinished, ignore_errors=True)

    def _open(self, name: str, flags: int = 0) -> int:
        """Open one of our files. They belong to the folder's owner, also when root makes them."""
        file = os.open(self.path / name, os.O_RDWR | os.O_CREAT | flags, 0o600)
        owner = self.path.stat()
        if os.geteuid() == 0 != owner.st_uid:
            os.fchown(file, owner.st_uid, owner.st_gid)
        return file


class Patience:
    """Waiting that goes on while the server's log grows, and ends ``seconds`` after it stopped growing."""

    def __init__(self, folder: Folder, seconds: float, complaint: str) -> None:
        self._folder = folder
        self._seconds = seconds
        self._complaint = complaint
        self._seen = -1
        self._since = 0.0

    def pause(self) -> None:
        """Sleep 20 ms. Raises Unavailable, with the end of the server's log, when patience has run out."""
        now, length = time.monotonic(), self._folder.log_length()
        if length != self._seen:
            self._seen, self._since = length, now
        elif now - self._since > self._seconds:
            raise Unavailable(
                f"{self._complaint} in {self._folder.path}, without progress for {self._seconds:.0f} s. "
                f"The end of its log:\n{self._folder.log_tail()}"
            )
        time.sleep(0.02)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal of ``path`` or something in it into a ConfigurationError."""
    try:
        yield
    except OSError as refusal:
        place = f" ({refusal.filename})" if refusal.filename else ""
        raise ConfigurationError(
            f"The data folder {path} cannot be used: {refusal.strerror or refusal}{place}. "
            "It must be this account's own, on a writable disk with room for some hundred megabytes."
        ) from refusal


def _fits_a_socket(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH


def _try_lock(file: int, *, exclusive: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    """Let go of a lock and close its file: closed only, a child forked meanwhile would keep it."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)
