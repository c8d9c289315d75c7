"""What each wall costs: the small query and the worklist, with everything on and with one wall at a time switched off.

Run ``make bench-walls``, or ``python benchmarks/walls.py [--write]``. BENCH_CITIZENS, BENCH_ROUNDS and
BENCH_REQUESTS make a run smaller, BENCH_FOLDER says where the database is kept. With ``--write`` the figures go into
the documentation.

All variants are in one process and take turns, round by round; a wall's cost is the difference to everything in the
same round. What is switched off is switched off here only: the product has no such switches.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx

from kpro_graph.actors import Actor, Credentials
from kpro_graph.app import Product
from kpro_graph.demo import load
from kpro_graph.demography import Demography
from kpro_graph.execution import Condition
from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity, load_secret
from kpro_graph.plugins.host import PluginHost
from kpro_graph.recognition import Recognition
from kpro_graph.schema import make_schema
from kpro_graph.schema.http import Endpoint
from kpro_graph.settings import Settings
from kpro_graph.storage import database as storage
from kpro_graph.storage import log
from kpro_graph.storage.database import Database, Reading
from kpro_graph.storage.embedded import EmbeddedServer, open_embedded

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "walls-benchmarks.md"
MUNICIPALITY = "0101"

_SCORES = "scores { code label value minimum maximum }"
DOCUMENTS = {
    "small": f"""query Small($id: ID!) {{
  citizen(id: $id) {{ id name responses(first: 5) {{ nodes {{ id submittedAt colour {_SCORES} }} }} }}
}}""",
    "worklist": f"""query Worklist($id: ID!) {{
  careTeam(id: $id) {{ name worklist(first: 50) {{ nodes {{
    id urgency lastResponseAt citizen {{ id name birthDate }}
    latestResponses {{ id submittedAt colour questionnaire {{ title }} {_SCORES} }}
  }} }} }}
}}""",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run: how it enters the database, how it authenticates, and what is put aside meanwhile."""

    name: str
    unscoped: bool = False
    authentication: str = "remembered"
    aside: tuple[str, ...] = ()


EVERYTHING = Variant("everything on")
VARIANTS = (
    EVERYTHING,
    Variant("session scope and row-level security", unscoped=True),
    Variant("predicates", aside=("predicates",)),
    Variant("authentication, remembered for a second", authentication="none"),
    Variant("access-log line", aside=("log",)),
    Variant("waiting for the line to be on the disk", aside=("durability",)),
    Variant("all of these", unscoped=True, authentication="none", aside=("predicates", "log")),
)
ALWAYS = Variant("everything on, looked up with every request", authentication="always")
"""What authentication costs when nobody is remembered (KPRO_RECOGNITION=0): a cost on top, not one taken away."""


class Spent(NamedTuple):
    """What one request took, in milliseconds: as the clock tells it, of our CPU and of the database's."""

    wall: float
    ours: float
    database: float


class _Unscoped(Database):
    """A database entered as a role that no row-level security binds, with no scope set."""

    async def _prove_walls(self) -> None:
        return None

    @asynccontextmanager
    async def look(self, actor: Actor, operation: str = "", *, trace: str = "") -> AsyncIterator[Reading]:
        async with self._gate, self._pool.acquire(timeout=10) as connection:
            reading = Reading(connection, actor, operation, trace)
            yield reading
            await reading._finish()


@contextmanager
def _put(thing: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(thing, name)
    object.__setattr__(thing, name, value)
    try:
        yield
    finally:
        object.__setattr__(thing, name, before)


@contextmanager
def _without_predicates(schema: Any) -> Iterator[None]:
    with ExitStack() as undoing:
        for type_ in schema._schema.type_map.values():
            origin = getattr(type_.extensions.get("strawberry-definition"), "origin", None)
            if (source := getattr(origin, "source", None)) is not None:
                undoing.enter_context(_put(source, "visible", lambda _actor: Condition("true")))
            for field in getattr(type_, "fields", {}).values():
                declared = getattr(getattr(field, "extensions", {}).get("strawberry-definition"), "declared", None)
                if getattr(declared, "judged", None) is not None:
                    undoing.enter_context(_put(declared, "judged", None))
                if getattr(declared, "shown", None) is not None:
                    undoing.enter_context(_put(declared, "shown", lambda _actor: Condition("true")))
        yield


@contextmanager
def _aside(names: tuple[str, ...], schema: Any) -> Iterator[None]:
    async def nothing(*_: object) -> None:
        return None

    with ExitStack() as undoing:
        if "predicates" in names:
            undoing.enter_context(_without_predicates(schema))
        if "log" in names:
            undoing.enter_context(_put(log, "write", nothing))
        if "durability" in names:
            lazily = (
                "SELECT set_config('kpro.municipalities', $1, false), set_config('synchronous_commit', 'off', false)"
            )
            undoing.enter_context(_put(storage, "_ENTER_SESSION", lazily))
        yield


class Bench:
    """The variants over one product, each an endpoint of its own with a schema, plans and connections of its own."""

    def __init__(self, product: Product, server: EmbeddedServer, token: str, ids: dict[str, str]) -> None:
        self._product, self._server, self._token, self._ids = product, server, token, ids
        self._endpoints: dict[str, tuple[Variant, Any, httpx.AsyncClient, Database]] = {}

    async def open(self, variants: tuple[Variant, ...]) -> None:
        """Make each variant's endpoint."""
        for variant in variants:
            kind, role = (_Unscoped, "postgres") if variant.unscoped else (Database, "kpro_api")
            database = await kind.open(self._server.dsn(role), self._product.database.cipher, size=2)
            schema = make_schema()
            application = replace(self._product.application, database=database)
            endpoint = Endpoint(schema, application, await self._authentication(variant), ())
            transport = httpx.ASGITransport(app=endpoint, client=("127.0.0.1", 1))
            http = httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {self._token}"}
            )
            self._endpoints[variant.name] = (variant, schema, http, database)

    async def _authentication(self, variant: Variant) -> Recognition:
        authenticate: Callable[[Credentials], Awaitable[Actor]] = self._product.authenticate
        if variant.authentication == "none":
            somebody = await authenticate(Credentials("bearer", self._token, "127.0.0.1"))

            async def known(_credentials: Credentials) -> Actor:
                return somebody

            authenticate = known
        return Recognition(authenticate, 1 if variant.authentication == "remembered" else 0)

    async def close(self) -> None:
        """Close every variant's connections."""
        for _, _, http, database in self._endpoints.values():
            await http.aclose()
            await database.close()

    async def spend(self, variant: Variant, query: str, requests: int) -> Spent:
        """Ask so many times, one after the other, and return what one took."""
        _, schema, http, database = self._endpoints[variant.name]
        body = json.dumps({"query": DOCUMENTS[query], "variables": {"id": self._ids[query]}})
        headers = {"content-type": "application/json"}
        with _aside(variant.aside, schema):
            backends = self._backends(database)
            theirs, ours, began = _ticks(backends), time.process_time(), time.perf_counter()
            for _ in range(requests):
                answer = await http.post("/", content=body, headers=headers)
                if '"errors"' in answer.text or (self._ids[query] not in answer.text and query == "small"):
                    raise SystemExit(f"{variant.name}: {answer.text[:300]}")
            wall, ours = time.perf_counter() - began, time.process_time() - ours
            theirs = _ticks(self._backends(database)) - theirs
        return Spent(*(1000 * each / requests for each in (wall, ours, theirs)))

    def _backends(self, database: Database) -> list[int]:
        # Whoever is looked up is looked up through the product's own connections.
        pools = (database._pool, self._product.database._pool)
        holders = [holder for pool in pools for holder in pool._holders if holder._con is not None]
        return [holder._con.get_server_pid() for holder in holders]


def _ticks(processes: list[int]) -> float:
    """Return the CPU these processes have used, in seconds, as finely as the kernel tells."""
    total = 0.0
    for process in processes:
        fields = Path(f"/proc/{process}/schedstat").read_text().split()
        total += int(fields[0]) / 1e9
    return total


async def measure(folder: Path, citizens: int, rounds: int, requests: int) -> dict[str, dict[str, list[Spent]]]:
    """Return what one request of each query took in each variant, round by round."""
    settings = replace(Settings.read({"KPRO_FOLDER": str(folder)}), connections=2)
    identity = DemoIdentity(load_secret(settings.folder), DemoDirectory())
    host = PluginHost(settings.plugins_folder)
    host.add(identity, FOLDER)
    team = Demography().care_teams(MUNICIPALITY)[0].id
    found: dict[str, dict[str, list[Spent]]] = {query: {} for query in DOCUMENTS}
    with open_embedded(settings.folder / "postgresql") as server:
        async with Product(settings, host, sequencing=False) as product:
            await load(product.database, product.databases.need("owner"), host, citizens=citizens)
            owner = await asyncpg.connect(server.dsn("postgres"))
            await owner.execute("ANALYZE")
            citizen = await owner.fetchval(
                "SELECT citizen_id FROM episode_of_care WHERE care_team_id = $1 AND status = 'active'"
                " ORDER BY id LIMIT 1",
                team,
            )
            await owner.close()
            ids = {"small": f"cit_{citizen.hex}", "worklist": f"team_{team.hex}"}
            bench = Bench(product, server, identity.issue("viewer", MUNICIPALITY), ids)
            variants = (*VARIANTS, ALWAYS)
            await bench.open(variants)
            try:
                for round_ in range(-1, rounds):
                    for query in DOCUMENTS:
                        # Nobody is always the one after the pause.
                        turned = variants[round_ % len(variants) :] + variants[: round_ % len(variants)]
                        for variant in turned:
                            spent = await bench.spend(variant, query, requests if round_ >= 0 else 20)
                            if round_ >= 0:  # the first is for plans and caches
                                found[query].setdefault(variant.name, []).append(spent)
            finally:
                await bench.close()
    return found


def costs(found: dict[str, list[Spent]], name: str) -> tuple[Spent, tuple[float, float]]:
    """Return what leaving a wall out saves, as medians over the rounds, and the middle half of the clock's."""
    pairs = list(zip(found[EVERYTHING.name], found[name], strict=True))
    differences = [Spent(*(one - other for one, other in zip(*pair, strict=True))) for pair in pairs]
    low, _, high = statistics.quantiles([each.wall for each in differences], n=4)
    return Spent(*(statistics.median(each) for each in zip(*differences, strict=True))), (low, high)


def table(found: dict[str, dict[str, list[Spent]]]) -> str:
    """Return the figures as a table."""
    lines = [
        "| Query | | Clock, ms | Middle half | Our CPU, ms | The database's CPU, ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for query, variants in found.items():
        whole = [Spent(*(statistics.median(each) for each in zip(*variants[EVERYTHING.name], strict=True)))]
        walls = [each.wall for each in variants[EVERYTHING.name]]
        low, _, high = statistics.quantiles(walls, n=4)
        lines.append(_row(query, "**everything on**", whole[0], (low, high)))
        for variant in VARIANTS[1:]:
            lines.append(_row(query, variant.name, *costs(variants, variant.name)))
        more, (low, high) = costs(variants, ALWAYS.name)
        lines.append(
            _row(
                query,
                "authentication, looked up with every request: more",
                Spent(*(-each for each in more)),
                (-high, -low),
            )
        )
    return "\n".join(lines)


def _row(query: str, name: str, spent: Spent, middle: tuple[float, float]) -> str:
    figures = f"{spent.wall:.2f} | {middle[0]:.2f} to {middle[1]:.2f} | {spent.ours:.2f} | {spent.database:.2f}"
    return f"| {query} | {name} | {figures} |"


def _put_in(block: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{block}\n\n{found[2]}"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Measure what each wall costs.")
    parser.add_argument("--write", action="store_true", help="write the figures into the documentation")
    write = parser.parse_args().write
    read = os.environ.get
    folder = Path(read("BENCH_FOLDER", HERE.parent / ".kpro" / "bench-walls"))
    citizens, rounds, requests = (
        int(read(name, default))
        for name, default in (("BENCH_CITIZENS", "1000"), ("BENCH_ROUNDS", "15"), ("BENCH_REQUESTS", "60"))
    )
    found = asyncio.run(measure(folder, citizens, rounds, requests))
    figures = table(found)
    machine = f"{os.cpu_count()} cores ({platform.machine()}) that had other work to do as well"
    where = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, on {machine}, with Python {platform.python_version()}: "
        f"{citizens} citizens, {rounds} rounds of {requests} requests each, one after the other."
    )
    print(f"{where}\n\n{figures}")
    (folder / "walls.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    if write:
        text = PAGE.read_text(encoding="utf-8")
        for name, block in (("walls where", where), ("walls", figures)):
            place = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            if not place.search(text):
                raise SystemExit(f"the page has no place for {name}")
            text = place.sub(partial(_put_in, block), text)
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
