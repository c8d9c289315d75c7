"""Say whether the worker does its work: no committed event waits longer than half a minute for its position.

The exit code is 0 when that is so and 1 when it is not, or when the database does not answer.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

_WAITING = """
SELECT count(*) FROM event WHERE position IS NULL AND recorded_at < now() - make_interval(secs => $1)
"""


async def waiting(url: str, seconds: float = 30) -> int:
    """Return how many events have waited longer than that, asked as the relay's role."""
    connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
    try:
        return int(await connection.fetchval(_WAITING, seconds))
    finally:
        await connection.close(timeout=5)


def main() -> int:
    """Ask the database that KPRO_RELAY_URL names; print what is wrong, if anything is."""
    try:
        late = asyncio.run(waiting(os.environ["KPRO_RELAY_URL"]))
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        sys.stderr.write(f"the database does not answer ({type(error).__name__})\n")
        return 1
    if late:
        sys.stderr.write(f"{late} events wait for their positions\n")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
