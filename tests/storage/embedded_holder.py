"""A program for the tests of the embedded server: hold a folder's server and obey single words from standard input.

It says ``ready``, then for ``write``: one committed number a line, until it is killed; for ``fork``: the number of a
child that has closed what it inherited and lives on; for ``close``: ``closed``.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from pathlib import Path

import asyncpg

from kpro_graph.storage.embedded import EmbeddedServer, open_embedded

_PR_CAPBSET_DROP = 24


def _give_up_capabilities(numbers: str) -> None:
    """Go on as the same program without some of root's capabilities, written ``6,7``."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in numbers.split(","):
        if libc.prctl(_PR_CAPBSET_DROP, int(number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the capability cannot be given up")
    del os.environ["WITHOUT_CAPABILITIES"]
    os.execv(sys.executable, [sys.executable, *sys.argv])


async def _write(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS written (number int PRIMARY KEY)")
    number = await connection.fetchval("SELECT coalesce(max(number), 0) FROM written")
    while True:
        number += 1
        await connection.execute("INSERT INTO written VALUES ($1)", number)
        print(number, flush=True)  # noqa: T201


def _fork(server: EmbeddedServer) -> None:
    if os.fork() == 0:
        server.close()
        print(os.getpid(), flush=True)  # noqa: T201
        time.sleep(60)
        os._exit(0)


def main() -> None:
    """Hold the folder that is named on the command line."""
    with open_embedded(Path(sys.argv[1])) as server:
        print("ready", flush=True)  # noqa: T201
        for word in sys.stdin:
            match word.strip():
                case "write":
                    asyncio.run(_write(server.dsn("kpro_owner")))
                case "fork":
                    _fork(server)
                case "close":
                    break
    print("closed", flush=True)  # noqa: T201


if __name__ == "__main__":
    if "WITHOUT_CAPABILITIES" in os.environ:
        _give_up_capabilities(os.environ["WITHOUT_CAPABILITIES"])
    main()
