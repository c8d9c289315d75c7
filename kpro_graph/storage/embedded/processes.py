"""Processes on this machine: whether one lives, whose PostgreSQL it is, and a signal that cannot go astray.

Linux tells it through /proc, other systems through ps(1).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["lives", "mark_of", "peer_of", "postgres_in", "serves", "signal_proven"]

_PROC = Path("/proc")
_LOCAL_PEERPID = 2  # macOS, <sys/un.h>


def lives(pid: int) -> bool:
    """Return whether a process is there and has not ended; a zombie has."""
    return _program_of(pid) is not None


def mark_of(folder: Path) -> str:
    """Return a word that stands for ``folder`` and no other on this machine; its server carries it in its arguments."""
    found = folder.stat()
    return f"kpro-{found.st_dev}-{found.st_ino}"


def serves(pid: int, folder: Path) -> bool:
    """Return whether a process is proven to be PostgreSQL at work in ``folder``, its server or a child of that."""
    if _program_of(pid) != "postgres":
        return False
    try:
        # PostgreSQL enters its data directory at once and never leaves it.
        return (_PROC / str(pid) / "cwd").samefile(folder)
    except PermissionError:
        return _carries_mark(pid, folder)  # another account's process, and root of a container may not look at it
    except OSError:
        return not _PROC.exists() and _carries_mark(pid, folder)


def postgres_in(folder: Path) -> list[int]:
    """Return the processes proven to be PostgreSQL at work in ``folder``."""
    if _PROC.exists():
        pids = [int(entry.name) for entry in _PROC.glob("[0-9]*")]
    else:
        pids = [int(line) for line in _ps("-A", "-o", "pid=").split()]
    return [pid for pid in pids if serves(pid, folder)]


def peer_of(path: Path) -> int | None:
    """Return the process that listens on a unix socket, None if none does.

    It is 0 for a process that has no number here (another container's), or is too busy to take the call.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(1)
        try:
            caller.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:
            return 0
        # The kernel noted who it was when the socket began to listen, and the socket ends with that process.
        if sys.platform == "linux":
            credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid
        else:
            credentials = caller.getsockopt(0, _LOCAL_PEERPID, 4)
        return int.from_bytes(credentials[:4], sys.byteorder)


def signal_proven(pid: int, number: signal.Signals, proof: Callable[[], bool]) -> None:
    """Signal a process if ``proof`` says that it is the one that is meant; pass over one that has ended.

    Where the system offers a handle of a process, it is taken before the proof, and the signal cannot reach a later
    process that was given the same number.
    """
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        handle = None
    try:
        with suppress(ProcessLookupError):
            if proof() and handle is not None:
                signal.pidfd_send_signal(handle, number)
            elif proof():
                os.kill(pid, number)
    finally:
        if handle is not None:
            os.close(handle)


def _program_of(pid: int) -> str | None:
    """Return the name of a process's program, None if there is no such process or it has ended."""
    if pid <= 0:
        return None
    if not _PROC.exists():
        state, _, program = _ps("-o", "stat=,comm=", "-p", str(pid)).strip().partition(" ")
        return None if state[:1] in ("", "Z") else Path(program.strip()).name
    try:
        # "12 (some name) S 1 ...": the name may itself hold parentheses.
        name, _, rest = (_PROC / str(pid) / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
    except OSError:
        return None
    return None if rest.split()[0] in "ZX" else name


def _carries_mark(pid: int, folder: Path) -> bool:
    """Return whether the mark of ``folder`` is a word of a process's arguments or title."""
    try:
        if _PROC.exists():
            words = (_PROC / str(pid) / "cmdline").read_text(errors="replace")
        else:
            words = _ps("-ww", "-o", "args=", "-p", str(pid))
        return mark_of(folder) in re.split(r"[\0\s=:]+", words)
    except OSError:
        return False


def _ps(*arguments: str) -> str:
    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603
