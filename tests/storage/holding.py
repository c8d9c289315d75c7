"""What the tests of the embedded server share: processes that hold one, and looks at it from outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import kpro_graph
from kpro_graph.storage.embedded import EmbeddedServer
from kpro_graph.storage.embedded.processes import postgres_in
from kpro_graph.storage.embedded.roles import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to look at processes")
root = pytest.mark.skipif(os.geteuid() != 0, reason="is about root")


class Holder:
    """A process of its own that holds the server of a folder."""

    def __init__(self, folder: Path, *, search: tuple[Path, ...] = (), **environment: str) -> None:
        """Start the process; it searches for packages in ``search`` first, then where we do."""
        project = Path(kpro_graph.__file__).parents[1]
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("embedded_holder.py"), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*search, project, *sys.path))), **environment},
        )
        self.pid = self._process.pid

    def say(self, word: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def ready(self) -> Holder:
        assert self.hear() == "ready"
        return self

    def write(self) -> list[str]:
        """Let the process write rows from now on, and return the first that was committed."""
        self.say("write")
        first = self.hear()
        assert first.isdecimal()
        return [first]

    def close(self) -> None:
        self.say("close")
        assert self.hear() == "closed"
        self.bury()

    def kill(self) -> list[str]:
        """Kill the process and return what it had said until then."""
        self._process.kill()
        return self.bury()

    def bury(self) -> list[str]:
        said, _ = self._process.communicate()
        return str(said).split()


Hold = Callable[..., Holder]


def ask(server: EmbeddedServer, question: str, role: str = "postgres", database: str = "kpro") -> Any:
    return run(server.parameters(role, database), lambda connection: connection.fetchval(question))


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def count(server: EmbeddedServer, written: list[str]) -> Any:
    """How many of these committed numbers are there."""
    numbers = [int(number) for number in written]
    question = "SELECT count(*) FROM written WHERE number = ANY($1::int[])"
    return run(server.parameters("postgres"), lambda connection: connection.fetchval(question, numbers))


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def is_stopped(folder: Path) -> bool:
    """Whether nothing is left of a server: no process, no socket, nothing outside the folder."""
    cluster = folder / "postgres"
    traces = [
        cluster / "postmaster.pid",
        *cluster.glob(".s.PGSQL*"),
        *folder.glob("postgres.new.*"),
        *folder.glob("annex"),
    ]
    return not postgres_in(cluster) and not [trace for trace in traces if os.path.lexists(trace)]


def end(folder: Path) -> None:
    """Put an end to what a failed test left running."""
    for cluster in folder.rglob("postgres"):
        for pid in postgres_in(cluster):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for annex in folder.rglob("annex"):
        shutil.rmtree(annex.resolve(), ignore_errors=True)
