"""Growth: what the worklist costs while the number of responses grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from middles import Middle, middle
from page import number, put
from rounds import Results

__all__ = ["Growth", "Step"]

_SERVERS = ("bare", "full", "floor")


@dataclass(frozen=True, slots=True)
class Step:
    """The worklist over so many responses."""

    responses: int
    results: Results

    def middles(self) -> Iterator[tuple[int, str, Middle, Middle]]:
        """Give connections, server, CPU and the median time of an answer, both in milliseconds."""
        for (_, connections), found in sorted(self.results.items()):
            for server in _SERVERS:
                turns = found[server]
                yield (
                    connections,
                    server,
                    middle([turn.cpu * 1000 for turn in turns]),
                    middle([turn.p50 * 1000 for turn in turns]),
                )


@dataclass(frozen=True, slots=True)
class Growth:
    """The steps, from few responses to many."""

    steps: tuple[Step, ...]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Give a row for each step, number of connections and server, compared with the first step."""
        first = {(connections, server): (cpu, taken) for connections, server, cpu, taken in self.steps[0].middles()}
        for step in self.steps:
            for connections, server, cpu, taken in step.middles():
                least_cpu, least_taken = first[connections, server]
                yield (
                    f"{step.responses}",
                    str(connections),
                    server,
                    number(cpu.value),
                    number(cpu.value / least_cpu.value),
                    number(taken.value),
                    number(taken.value / least_taken.value),
                )

    def to_text(self) -> str:
        """Write what is printed."""
        head = ("responses", "connections", "server", "CPU, ms", "to the first", "p50, ms", "to the first")
        return "\n".join(" ".join(f"{cell:>12}" for cell in row) for row in (head, *self.rows()))

    def to_json(self) -> str:
        """Write everything that was measured."""
        found = [
            {"responses": step.responses, "connections": connections, "server": server,
             "turns": [asdict(turn) for turn in turns]}
            for step in self.steps
            for (_, connections), of in step.results.items()
            for server, turns in of.items()
        ]  # fmt: skip
        return json.dumps(found, indent=1) + "\n"

    def write(self) -> None:
        """Put the table into the page, and everything measured beside it."""
        lines = [
            "| Responses | Connections | kpro_graph or floor | CPU, ms | to the first | p50, ms | to the first |",
            "|---:|---:|---|---:|---:|---:|---:|",
            *(f"| {' | '.join(row)} |" for row in self.rows()),
        ]
        put({"growth": "\n".join(lines)}, {"execution-growth.json": self.to_json()})
