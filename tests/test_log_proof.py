"""No answer without its line, whatever dies: the product, one of the database's processes, or its disk.

What a caller has received is looked for in the log afterwards, when everything has been started again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from kpro_graph.storage.embedded import open_embedded
from tests.test_proofs import CPR, Demo, running, servers

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

LOOK = "query Look($id: ID!) { citizen(id: $id) { id name } }"
FIND = "mutation Find($cpr: CPR!) { findCitizen(input: { cpr: $cpr }) { ... on CitizenFound { citizen { id } } } }"


class Asking:
    """Asks again and again, each time with a trace of its own, and keeps the traces of what was answered."""

    def __init__(self, demo: Demo, token: str, citizen: str) -> None:
        self.answered: set[str] = set()
        self.failed = 0
        self._address, self._token, self._citizen = demo.address, token, citizen
        self._going = True
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._going = False
        for thread in self._threads:
            thread.join(40)

    def _ask(self) -> None:
        chance = random.Random()
        while self._going:
            trace = secrets.token_hex(16)
            changing = chance.random() < 0.3
            asked = (
                {"query": FIND, "variables": {"cpr": CPR}}
                if changing
                else {"query": LOOK, "variables": {"id": self._citizen}}
            )
            request = urllib.request.Request(
                f"{self._address}/graphql/", json.dumps(asked).encode(),
                {
                    "Content-Type": "application/json", "Authorization": f"Bearer {self._token}",
                    "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
                },
            )  # fmt: skip
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    text = response.read().decode()
            except (OSError, urllib.error.URLError, ValueError):
                self.failed += 1
                time.sleep(0.01)
                continue
            if self._citizen in text:
                self.answered.add(trace)
            else:
                self.failed += 1


def product(demo: Demo) -> None:
    """Kill the product."""
    demo.process.send_signal(signal.SIGKILL)


def backend(demo: Demo) -> None:
    """Kill one of the database's processes, which makes it start them all anew."""
    with suppress(ProcessLookupError):
        os.kill(int(random.choice(connected(demo.folder))), signal.SIGKILL)


def disk(demo: Demo) -> None:
    """Let the database's processes write to no file beyond its first bytes, as if the disk were full."""
    program = shutil.which("prlimit")
    if program is None:
        pytest.skip("there is no prlimit here")
    limited = connected(demo.folder)
    owner = Path(f"/proc/{limited[0]}").stat()
    for process in limited:
        # Only whoever the processes belong to may limit them.
        command = [program, "--pid", process, "--fsize=64:"]
        done = subprocess.run(
            command, user=owner.st_uid, group=owner.st_gid, capture_output=True, text=True, check=False
        )
        if done.returncode and Path(f"/proc/{process}").exists():
            pytest.skip(f"the processes of the database cannot be limited here: {done.stderr}")


def connected(folder: Path) -> list[str]:
    """Return the database's processes that answer the product, as soon as there are some."""
    for _ in range(200):
        found = []
        for process in servers(folder):
            with suppress(OSError):
                if "kpro_api" in Path(f"/proc/{process}/cmdline").read_text():
                    found.append(process)
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("the database answers nobody")


@pytest.mark.parametrize("kill", [product, backend, disk])
async def test_whatever_dies_no_answer_has_left_without_its_line(tmp_path: Path, kill: Callable[[Demo], None]) -> None:
    folder, answered, failed = tmp_path / "kpro", set[str](), 0
    for _ in range(4):
        demo = Demo(folder, "--citizens", "8")
        try:
            token = demo.kpro("token", "enroller").stdout.strip()
            citizen = demo.query("find-citizen", "enroller", "findCitizen.citizen.id", cpr=CPR)
            asking = Asking(demo, token, citizen)
            for _ in range(1 if kill is product else 3):
                await asyncio.sleep(0.4 + random.random())
                kill(demo)
            await asyncio.sleep(0.5)
            asking.stop()
            answered |= asking.answered
            failed += asking.failed
        finally:
            with suppress(ProcessLookupError):
                demo.kill()
    assert answered
    assert failed, "nothing was in the way"
    with running(folder, "--citizens", "8"):
        server = open_embedded(folder / "postgresql")
        try:
            connection = await asyncpg.connect(server.dsn("postgres"))
            noted = {row["trace_id"] for row in await connection.fetch("SELECT DISTINCT trace_id FROM access_log")}
            await connection.close()
        finally:
            server.close()
    assert answered <= noted
    print(f"{kill.__name__}: {len(answered)} answers, {failed} without one")  # noqa: T201
