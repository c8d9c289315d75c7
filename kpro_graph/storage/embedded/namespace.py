"""A program: run another program as an ordinary account that exists only inside a user namespace of its own.

Usage: ``namespace.py ID PROGRAM [ARGUMENT ...]``. Inside, the caller is the account ID without any capability; towards
files it stays what it was. So PostgreSQL, which will not be root, runs where root may not become anybody else.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000


def _enter(inside: str) -> None:
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace can be made")
    process = Path("/proc/self")
    (process / "setgroups").write_text("deny")  # the kernel's condition for the third line
    (process / "uid_map").write_text(f"{inside} {uid} 1")
    (process / "gid_map").write_text(f"{inside} {gid} 1")


if __name__ == "__main__":
    _enter(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (no shell is wanted)
