"""GraphQL servers over one PostgreSQL, beside each other: the same answers first, then what each one costs.

Run ``make bench``, or ``python benchmarks/execution [--write] [--growth]`` once the packages of ``benchmarks/node`` are
installed. BENCH_CITIZENS, BENCH_ROUNDS, BENCH_SECONDS, BENCH_SUBMITS, BENCH_SUBSCRIBERS, BENCH_EVENTS, BENCH_QUERIES,
BENCH_SERVERS, BENCH_CONNECTIONS and BENCH_GROWTH make a run smaller; BENCH_FOLDER says where the databases are kept.

All servers are up at once and take turns, round by round. With ``--growth`` only the worklist is measured, over more
and more citizens. With ``--write`` the figures go into the documentation. Ends with an error where two servers do not
give the same.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace
from typing import Any

import asyncpg
from alone import time_engine, time_plans
from database import prepare, submitters
from growth import Growth, Step
from report import Report, Where
from rounds import Results, Rounds, Settings
from servers import SERVERS, running
from world import World

from kpro_graph.storage.embedded import EmbeddedServer, open_embedded


def main() -> int:
    """Prepare, compare, measure, print and write."""
    parser = argparse.ArgumentParser(description="Measure kpro_graph beside other GraphQL servers.")
    parser.add_argument("--write", action="store_true", help="write the figures into the documentation")
    parser.add_argument("--growth", action="store_true", help="measure the worklist over more and more citizens")
    chosen = parser.parse_args()
    settings = Settings.read()
    began = time.monotonic()
    if chosen.growth:
        steps = [_grow(replace(settings.of(citizens), queries=("worklist",))) for citizens in settings.growth]
        report: Report | Growth = Growth(tuple(steps))
    else:
        report = _with_server(settings, _compare_all)
    print(report.to_text())
    print(f"It took {(time.monotonic() - began) / 60:.0f} minutes.")
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / f"{type(report).__name__.lower()}.json").write_text(report.to_json(), encoding="utf-8")
    if chosen.write and settings.is_smaller:
        print("The run was made smaller, so its figures stay out of the documentation.")
    elif chosen.write:
        report.write()
    return 0


def _with_server(settings: Settings, work: Any) -> Any:
    settings.folder.mkdir(parents=True, exist_ok=True)
    with open_embedded(settings.folder / "postgresql") as server:
        return asyncio.run(_with_world(settings, server, work))


async def _with_world(settings: Settings, server: EmbeddedServer, work: Any) -> Any:
    _say(f"loading {settings.citizens} citizens, unless they are there")
    world = await prepare(server, settings.folder, settings.citizens, _progress)
    _say(f"{world.responses} responses")
    connection: Any = await asyncpg.connect(**server.parameters("postgres"))
    try:
        await connection.execute("VACUUM ANALYZE")
        return await work(settings, world, connection)
    finally:
        await connection.close()


async def _compare_all(settings: Settings, world: World, connection: Any) -> Report:
    results = await _measure(settings, world, connection)
    engine = await time_engine(connection, world)
    return Report(results, engine, time_plans(), await Where.find(connection, settings, world))


def _grow(settings: Settings) -> Step:
    async def work(settings: Settings, world: World, connection: Any) -> Step:
        results = await _measure(replace(settings, servers=("full", "bare", "floor")), world, connection)
        return Step(world.responses, results)

    step: Step = _with_server(settings, work)
    return step


async def _measure(settings: Settings, world: World, connection: Any) -> Results:
    who = await submitters(connection, world, settings.submitters)
    (settings.folder / "submitters.json").write_text(json.dumps([str(each) for each in who]))
    chosen = [each for each in SERVERS if not settings.servers or each.name in settings.servers]
    with running(world, settings.folder, chosen) as found:
        rounds = Rounds(settings, world, connection, found, who, _say)
        await rounds.compare()
        return await rounds.measure()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _progress(present: int, wanted: int, name: str) -> None:
    if present == wanted or present % 2500 == 0:
        _say(f"{name}: {present} of {wanted} citizens")


if __name__ == "__main__":
    sys.exit(main())
