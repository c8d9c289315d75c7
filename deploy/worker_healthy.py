"""Say whether the worker does its work: nothing that is committed waits too long for its position.

An event waits half a minute at most, a line of the access log one minute. The exit code is 0 when that is so and 1 when
it is not, or when the database does not answer.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

_LATE = {
    "events": "SELECT count(*) FROM event WHERE position IS NULL AND recorded_at < now() - interval '30 seconds'",
    "lines of the access log": (
        "SELECT count(*) FROM access_log WHERE position IS NULL AND recorded_at < now() - interval '60 seconds'"
    ),
}


async def waiting(url: str) -> dict[str, int]:
    """Return how many of each kind have waited too long, asked as the relay's role; nothing where none has."""
    connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
    try:
        counted = {what: await connection.fetchval(sql) for what, sql in _LATE.items()}
    finally:
        await connection.close(timeout=5)
    return {what: count for what, count in counted.items() if count}


def main() -> int:
    """Ask the database that KPRO_RELAY_URL names; print what is wrong, if anything is."""
    try:
        late = asyncio.run(waiting(os.environ["KPRO_RELAY_URL"]))
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        sys.stderr.write(f"the database does not answer ({type(error).__name__})\n")
        return 1
    for what, count in late.items():
        sys.stderr.write(f"{count} {what} wait for their positions\n")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
