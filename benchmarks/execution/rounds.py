"""Rounds: what every server is asked, compared before anything is timed, and measured in turns."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from database import Draft, Drafts, tell
from meters import Meter
from people import Neighbours, place_of
from queries import DOCUMENTS, FANOUT, READS, Question, normal, question, submission
from servers import Running
from world import World

from kpro_graph.plugins.demo_identity import DemoIdentity, load_secret

__all__ = ["Results", "Rounds", "Settings", "Turn"]

_HERE = Path(__file__).parent
SUBMIT = "submit"


@dataclass(frozen=True, slots=True)
class Settings:
    """How large a run is."""

    folder: Path
    citizens: int
    rounds: int
    seconds: float
    submits: int
    subscribers: int
    events: int
    submitters: int
    connections: tuple[int, ...]
    queries: tuple[str, ...]
    servers: tuple[str, ...]
    growth: tuple[int, ...]

    @classmethod
    def read(cls) -> Settings:
        """Return the settings of the environment."""

        def number(name: str, usual: float) -> float:
            return float(os.environ.get(f"BENCH_{name}") or usual)

        def words(name: str, usual: str) -> tuple[str, ...]:
            return tuple(each for each in (os.environ.get(f"BENCH_{name}") or usual).split(",") if each)

        citizens = int(number("CITIZENS", 50_000))
        return cls(
            folder=Path(os.environ.get("BENCH_FOLDER") or f".kpro/benchmark-{citizens}").absolute(),
            citizens=citizens,
            rounds=int(number("ROUNDS", 7)),
            seconds=number("SECONDS", 2.0),
            submits=int(number("SUBMITS", 640)),
            subscribers=int(number("SUBSCRIBERS", 1000)),
            events=int(number("EVENTS", 3)),
            submitters=64,
            connections=tuple(int(each) for each in words("CONNECTIONS", "1,16,64")),
            queries=words("QUERIES", ",".join([*READS, SUBMIT, FANOUT])),
            servers=words("SERVERS", ""),
            growth=tuple(int(each) for each in words("GROWTH", "1000,10000,100000,500000")),
        )

    def of(self, citizens: int) -> Settings:
        """Return the same run over another number of citizens, kept in a folder of their own."""
        folder = self.folder.with_name(f"benchmark-{citizens}")
        return replace(self, folder=folder, citizens=citizens)

    @property
    def is_smaller(self) -> bool:
        """Whether the environment has made the run another one than it is meant to be."""
        return any(name.startswith("BENCH_") and name != "BENCH_FOLDER" for name, value in os.environ.items() if value)


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn: CPU in seconds for each answer, and how long answers took in seconds.

    ``beside`` is the CPU of what works beside it (the sealing of the access log); ``memory`` is in MiB.
    """

    server: float
    database: float
    beside: float
    p50: float
    p99: float
    rate: float
    answers: int
    memory: float

    @property
    def cpu(self) -> float:
        """Return the CPU of the server and its part of PostgreSQL together."""
        return self.server + self.database


Results = dict[tuple[str, int], dict[str, list[Turn]]]
"""The turns, by query and number of connections, and by server."""


class Rounds:
    """Compares and measures the servers that run; ``connection`` is the superuser's."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        connection: Any,
        running: Sequence[Running],
        who: Sequence[UUID],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._world = world
        self._connection = connection
        self._running = running
        self._who = who
        self._say = say
        self._drafts = Drafts(connection, world)
        self._meters = {each.server.name: Meter(each, connection) for each in running}
        identity = DemoIdentity(load_secret(settings.folder), Neighbours(world.submitting, tuple(who)))
        code = f"{world.municipality:04d}"
        self._viewer = identity.issue("viewer", code)
        self._integrator = identity.issue("integrator-with-answers", code)
        self._citizens = [identity.issue("citizen", place_of(world.submitting, n)) for n in range(len(who))]

    # --- The same answers

    async def compare(self) -> None:
        """Ask every server the same.

        Raises:
            SystemExit: two do not give the same; the place is named.
        """
        for name in self._settings.queries:
            if name in READS:
                answers = {each.server.name: _ask(each, self._questions(each, name)[0]) for each in self._running}
            elif name == SUBMIT:
                answers = await self._compare_submissions()
            elif name == FANOUT:
                answers = {
                    each.server.name: (await self._fan_out(each, min(3, self._settings.subscribers), 1))[1]
                    for each in self._running
                    if each.server.fans_out
                }
            else:
                raise SystemExit(f"there is no query {name}")
            _same(name, answers)
            self._say(f"{name}: {len(answers)} servers give the same")

    async def _compare_submissions(self) -> dict[str, Any]:
        drafts = await self._drafts.make(len(self._running), self._who[:1])
        answers = {}
        for each, draft in zip(self._running, drafts, strict=True):
            answer = _ask(each, self._submission(each, draft))
            given = normal(answer)["data"]["submitResponse"]["response"]
            answers[each.server.name] = {
                "answer": {name: given[name] for name in ("status", "version")},
                "stored": await self._drafts.look(draft.assignment),
            }
        await self._drafts.clear(drafts)
        return answers

    # --- Turns

    async def measure(self) -> Results:
        """Let the servers take turns."""
        results: Results = {}
        for number in range(self._settings.rounds + 1):
            # The first round warms everybody up and does not count.
            for name, connections, each in self._turns(warming=number == 0):
                meter = self._meters[each.server.name]
                try:
                    turn = await self._turn(each, meter, name, connections)
                except Exception as error:
                    raise SystemExit(
                        f"{each.server.title} failed at {name}, {connections} connections: {error}"
                    ) from error
                if number > 0:
                    results.setdefault((name, connections), {}).setdefault(each.server.name, []).append(turn)
            self._say("everybody is warm" if number == 0 else f"round {number} of {self._settings.rounds}")
        return results

    def _turns(self, *, warming: bool) -> Iterator[tuple[str, int, Running]]:
        for name in self._settings.queries:
            if name == FANOUT:
                yield from ((name, self._settings.subscribers, each) for each in self._running if each.server.fans_out)
                continue
            for connections in self._settings.connections[-1:] if warming else self._settings.connections:
                yield from ((name, connections, each) for each in self._running)

    async def _turn(self, each: Running, meter: Meter, name: str, connections: int) -> Turn:
        if name == FANOUT:
            turn, _ = await self._fan_out(each, connections, self._settings.events)
            return turn
        once, drafts = name == SUBMIT, list[Draft]()
        if once:
            drafts = await self._drafts.make(self._settings.submits, self._who)
            questions = [self._submission(each, draft) for draft in drafts]
        else:
            questions = self._questions(each, name)
        requests = [question.to_http(each.port) for question in questions]
        before = await meter.read()
        result = await _load(each.port, connections, 60.0 if once else self._settings.seconds, requests, once=once)
        memory = meter.memory()
        await meter.settle()
        used = (await meter.read()).since(before)
        if once:
            await self._drafts.clear(drafts)
        if each.server.name == "full":
            # Nothing cleans up by itself here, and the next turn is not to pay for what this one left.
            await self._connection.execute("VACUUM access_log")
        taken, count = sorted(result["taken"]), len(result["taken"])
        if result["fault"] or not count:
            raise SystemExit(result["fault"] or "no answer came")
        return Turn(
            server=used.server / count,
            database=used.database / count,
            beside=used.beside / count,
            p50=statistics.median(taken),
            p99=taken[min(count - 1, int(count * 0.99))],
            rate=count / result["seconds"],
            answers=count,
            memory=memory,
        )

    async def _fan_out(self, each: Running, subscribers: int, events: int) -> tuple[Turn, Any]:
        """Let everybody listen, tell of something that happened, and wait until everybody has heard."""
        meter = self._meters[each.server.name]
        asked = {
            "port": each.port,
            "path": each.server.path,
            "subscribers": subscribers,
            "events": events,
            "query": DOCUMENTS[each.server.dialect][FANOUT],
            "token": self._integrator if each.server.name == "full" else "",
            "patience": min(10.0, 0.5 + subscribers / 200),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_HERE / "listen.py"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        response = await self._connection.fetchval(
            _LATEST,
            self._world.municipality,
        )
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(600):
                if (await process.stdout.readline()).strip() != b"ready":
                    raise SystemExit(f"{each.server.title} does not let {subscribers} subscribe")
                await meter.settle()
                before = await meter.read()
                taken, answers = [], set[str]()
                for _ in range(events):
                    began = time.time()
                    await tell(self._connection, self._world, response)
                    heard = json.loads(await process.stdout.readline())
                    taken.append(heard["last"] - began)
                    answers.update(heard["answers"])
                memory = meter.memory()
                await meter.settle()
                used = (await meter.read()).since(before)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
        if len(answers) != 1:
            raise SystemExit(f"{each.server.title} gave its subscribers {len(answers)} different answers")
        turn = Turn(
            server=used.server / events,
            database=used.database / events,
            beside=used.beside / events,
            p50=statistics.median(taken),
            p99=max(taken),
            rate=1 / statistics.median(taken),
            answers=events,
            memory=memory,
        )
        return turn, json.loads(answers.pop())

    # --- Requests

    def _questions(self, each: Running, name: str) -> list[Question]:
        server = each.server
        path = server.page_path or server.path if name == "page" else server.path
        token = ""
        if server.name == "full":
            token = self._integrator if name == "page" else self._viewer
        citizens = self._world.citizens if name == "small" else ("",)
        return [question(server.dialect, name, self._world, citizen, path, token) for citizen in citizens]

    def _submission(self, each: Running, draft: Draft) -> Question:
        token = self._citizens[draft.neighbour] if each.server.name == "full" else ""
        return submission(each.server.dialect, self._world, draft.assignment, each.server.path, token)


def _ask(each: Running, question: Question) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{each.port}{question.path}",
        question.body,
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    if question.token:
        request.add_header("Authorization", f"Bearer {question.token}")
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{each.server.title} refuses: {error.read()[:1000].decode()}") from error


_LATEST = """
SELECT id FROM response WHERE municipality_id = $1 AND status = 'completed' ORDER BY submitted_at DESC, id DESC LIMIT 1
"""


async def _load(
    port: int, connections: int, seconds: float, requests: Sequence[bytes], *, once: bool
) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_HERE / "load.py"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    asked = {"port": port, "connections": connections, "seconds": seconds, "once": once}
    lines = [json.dumps(asked).encode(), *(base64.b64encode(request) for request in requests)]
    said, _ = await process.communicate(b"\n".join(lines) + b"\n")
    if process.returncode:
        raise SystemExit("the load could not be made")
    result: Mapping[str, Any] = json.loads(said)
    return result


def _same(what: str, answers: Mapping[str, Any]) -> None:
    """Compare everybody's answer with the first one's."""
    (first, expected), *others = ((name, normal(answer)) for name, answer in answers.items())
    if isinstance(expected, dict) and ("errors" in expected or expected.get("data", 1) is None):
        raise SystemExit(f"{first} answers {what} with {str(expected)[:1000]}")
    for name, answer in others:
        if (place := _difference(expected, answer, what)) is not None:
            raise SystemExit(f"{first} and {name} differ at {place}")


def _difference(one: Any, other: Any, place: str) -> str | None:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = ((one[name], other[name], f"{place}.{name}") for name in one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = ((a, b, f"{place}[{n}]") for n, (a, b) in enumerate(zip(one, other, strict=True)))
    else:
        return None if one == other else f"{place}: {str(one)[:600]} and {str(other)[:600]}"
    return next((found for part in parts if (found := _difference(*part)) is not None), None)
