"""Two executions are one: random valid operations, whoever asks, give equal answers and equal lines of the log."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import strawberry
from graphql import FieldNode, OperationDefinitionNode, OperationType, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpro_graph.actors import Actor, Credentials, Role
from kpro_graph.commands.explaining import explain, outline, tell
from kpro_graph.execution.compiled import Compiler
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Answer, Operation, Viewer
from kpro_graph.schema.entry import KproSchema
from kpro_graph.schema.errors import public
from tests.agreement import SCHEMA, _noted, agree
from tests.conftest import ROOT
from tests.living import EXAMPLES, Api, example
from tests.moving import above, staff
from tests.operations import operations
from tests.people import DEMOGRAPHY
from tests.receiving import begin, hand_out, register
from tests.situations import UNPLANNED, Situation, bring_about, furnish, unlike
from tests.test_main_job import open_assignment

# Connections are cut here on purpose, and what is left of them is found by the garbage collector. It is collected where
# it was left, so that no other test is blamed for it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


WORKLIST = "query W { careTeams { nodes { id worklist(first: 5) { nodes { id citizen { name } } } } } }"
VIEWER = staff(Role.CLINICAL_VIEWER, 101)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def situation(worlds: Any, loaded: str) -> AsyncIterator[Situation]:
    """Give a world with data in every state."""
    async with worlds.fresh(loaded) as api:
        yield await furnish(api, strangers=40)


@pytest_asyncio.fixture
async def world(worlds: Any, loaded: str) -> AsyncIterator[Api]:
    """Give a world that a test may break."""
    async with worlds.fresh(loaded) as api:
        yield api


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
async def test_random_operations_are_answered_and_logged_alike_by_both(situation: Situation, drawn: Any) -> None:
    asker = drawn.draw(st.sampled_from(situation.askers))
    asked = drawn.draw(
        operations(SCHEMA._schema, situation.material, seen=asker.ids, avoid=UNPLANNED, allowed=asker.may)
    )
    assert not await unlike(situation.api, asker.actor, asked)


# --- Found by such operations


async def test_a_row_of_which_nothing_is_asked_is_there_all_the_same(situation: Situation) -> None:
    team = situation.material.ids["team"][0]
    document = 'query ($id: ID!) { node(id: $id) { ... on Score { id } } absent: node(id: "sco_1") { id } }'
    (staffed,) = [each for each in _teams(situation) if each[1] == team][:1] or _teams(situation)[:1]
    actor, key = staffed
    assert await agree(situation.api.product.application, actor, document, {"id": key}) is None
    answered = await SCHEMA.answer(document, {"id": key}, Viewer(situation.api.product.application, actor), None)
    assert json.loads(answered.body) == {"data": {"node": {}, "absent": None}}


@pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "a\udfffb"])
async def test_a_text_that_no_database_holds_matches_nothing_and_breaks_nothing(
    situation: Situation, text: str
) -> None:
    document = "query ($url: String) { questionnaires(url: $url) { totalCount } }"
    viewer = Viewer(situation.api.product.application, VIEWER)
    compiled = await SCHEMA.answer(document, {"url": text}, viewer, None)
    reference = await SCHEMA.execute(document, {"url": text}, viewer)
    assert json.loads(compiled.body)["data"] == reference.data == {"questionnaires": {"totalCount": 0}}


@pytest.mark.parametrize(
    "document",
    [
        # One error is raised at once, the other when rows have been asked for; other fields wait meanwhile.
        '{ careTeam(id: "team_1") { name } accessLog { totalCount } }',
        '{ careTeam(id: "team_1") { name } careTeams(first: -1) { totalCount } questionnaires { totalCount } }',
        '{ careTeams { nodes { organisationUnit { id } worklist(after: "none") { totalCount } } totalCount } }',
    ],
)
async def test_an_operation_with_an_error_gives_back_its_connection_and_words_its_error(
    situation: Situation, document: str
) -> None:
    viewer = Viewer(situation.api.product.application, VIEWER)
    for _ in range(25):
        answered = await asyncio.wait_for(SCHEMA.execute(document, None, viewer), 20)
        assert {each.extensions["code"] for each in answered.errors} <= {"BAD_INPUT", "FORBIDDEN"}
    await asyncio.sleep(0.2)
    async with above(situation.api) as connection:
        held = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND usename = 'kpro_api'"
            " AND datname = $1",
            situation.api.product.databases.need("api").rpartition("/")[2].partition("?")[0],
        )
    assert held == 0


def _teams(situation: Situation) -> list[tuple[Actor, str]]:
    return [
        (each.actor, each.ids["team"][0]) for each in situation.askers if each.actor is not None and each.ids["team"]
    ]


# --- What is no failure of planning or assembly is not tried again


class Counted:
    """A schema of a test's own, and how often its reference execution ran."""

    def __init__(self, api: Api) -> None:
        self.schema: KproSchema = make_schema()
        self.application = api.product.application

    async def answer(self, document: str = WORKLIST) -> Any:
        """Answer as the endpoint does."""
        return await self.schema.answer(document, None, Viewer(self.application, VIEWER), None)

    @property
    def refused(self) -> dict[str, int]:
        """How often the reference had to answer, by reason."""
        return {reason: count for reason, count in self.schema.compiler.counts.items() if reason}


async def lines(api: Api) -> int:
    """Return how many lines the access log has."""
    async with above(api) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM access_log"))


@asynccontextmanager
async def locked(api: Api, table: str = "episode_of_care") -> AsyncIterator[None]:
    """Keep everybody else from a table, so that what reads it waits."""
    async with above(api) as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def waiting(connection: Any) -> int:
    """Return the server process of the statement that waits for the lock."""
    sql = "SELECT pid FROM pg_stat_activity WHERE usename = 'kpro_api' AND wait_event_type = 'Lock'"
    for _ in range(500):
        async with asyncio.timeout(5):
            found = await connection.fetchval(sql)
        if found is not None:
            return int(found)
        await asyncio.sleep(0.01)
    raise TimeoutError("no statement waits")


async def nobody_waits(connection: Any) -> bool:
    """Say whether, within three seconds, no statement waits for the lock any more."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'kpro_api' AND wait_event_type = 'Lock'"
    for _ in range(300):
        # Within a transaction the view is a snapshot unless it is asked for anew.
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        if not await connection.fetchval(sql):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_refused_log_write_gives_no_data_and_no_second_try(world: Api) -> None:
    counted = Counted(world)
    assert isinstance(await counted.answer(), Answer)
    before = await lines(world)
    async with above(world) as connection:
        await connection.execute("REVOKE INSERT ON access_log FROM kpro_api")
    answered = await counted.answer()
    assert answered.data is None
    assert [each.extensions["code"] for each in answered.errors] == ["INTERNAL"]
    response = await world.post(WORKLIST, token=world.token("viewer"))
    assert response.json()["data"] is None
    assert "name" not in response.text.partition('"errors"')[0]
    assert counted.refused == {}
    assert await lines(world) == before


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_statement_that_is_ended_or_whose_connection_is_lost_is_not_tried_again(world: Api, end: str) -> None:
    counted, before = Counted(world), await lines(world)
    async with locked(world), above(world) as connection:
        asking = asyncio.ensure_future(counted.answer())
        await connection.execute(f"SELECT {end}($1)", await waiting(connection))
        answered = await asyncio.wait_for(asking, 10)
        assert await nobody_waits(connection)
    assert answered.data is None
    assert [each.extensions["code"] for each in answered.errors] == ["UNAVAILABLE"]
    assert counted.refused == {}
    assert await lines(world) == before
    assert isinstance(await counted.answer(), Answer)


async def test_an_operation_that_is_cancelled_ends_its_statement_and_is_not_tried_again(world: Api) -> None:
    counted, before = Counted(world), await lines(world)
    async with locked(world), above(world) as connection:
        asking = asyncio.ensure_future(counted.answer())
        await waiting(connection)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await nobody_waits(connection)
    assert counted.schema.compiler.counts == {}
    assert await lines(world) == before


async def test_an_error_of_the_database_is_not_tried_again(world: Api) -> None:
    counted, before = Counted(world), await lines(world)
    async with above(world) as connection:
        await connection.execute("ALTER TABLE citizen RENAME COLUMN display_name TO called")
    answered = await counted.answer()
    assert answered.data is None
    assert [each.extensions["code"] for each in answered.errors] == ["INTERNAL"]
    assert counted.refused == {}
    assert await lines(world) == before


async def test_an_answer_that_cannot_be_put_together_is_the_references_and_counted(world: Api) -> None:
    counted = Counted(world)
    async with above(world) as connection:
        await connection.execute("ALTER TABLE citizen ALTER COLUMN display_name DROP NOT NULL")
        await connection.execute("UPDATE citizen SET display_name = NULL")
    answered = await counted.answer()
    expected = await counted.schema.execute(WORKLIST, None, Viewer(counted.application, VIEWER))
    places = [(each.path, each.extensions["code"], each.message) for each in answered.errors]
    assert places == [(each.path, each.extensions["code"], each.message) for each in expected.errors]
    assert answered.data == expected.data
    assert {each[1] for each in places} == {"INTERNAL"}
    assert counted.refused == {"the answer could not be put together (Fault)": 1}


async def test_every_line_is_committed_before_the_answer_leaves(world: Api) -> None:
    before = await lines(world)
    response = await world.post(example("worklist"), {"careTeam": await _team(world)}, token=world.token("viewer"))
    nodes = response.json()["data"]["careTeam"]["worklist"]["nodes"]
    assert len({each["citizen"]["id"] for each in nodes}) == await lines(world) - before > 0


async def _team(api: Api) -> str:
    return str((await api.run("care-teams", "viewer"))["careTeams"]["nodes"][0]["id"])


# --- Mutations: each runs once, and what is read of its result is read alike


class Watching(Compiler):
    """Remembers what mutations returned, and how often each ran."""

    def __init__(self, schema: KproSchema) -> None:
        super().__init__(schema, word=public)
        self.results: dict[str, object] = {}
        self.ran: Counter[str] = Counter()

    def _call(self, operation: Any, root: Any, name: str, nodes: Any, variables: Any) -> Any:
        call = super()._call(operation, root, name, nodes, variables)

        async def watched(info: Any) -> object:
            self.ran[name] += 1
            result = self.results[nodes[0].alias.value if nodes[0].alias else name] = await call(info)
            return result

        return watched


class Twofold(Api):
    """Runs each mutation compiled, and reads what is asked of its result by the reference execution as well."""

    def __init__(self, api: Api) -> None:
        self.product, self.identity, self.address, self.http = api.product, api.identity, api.address, api.http
        self.schema = make_schema()
        self.watching = self.schema.compiler = Watching(self.schema)

    async def run(
        self, document: str, as_: Any, municipality: str = "0101", *, context: str = "", **variables: Any
    ) -> Any:
        """Run a mutation so, and anything else as ever."""
        text = document if "{" in document else example(document)
        if "mutation" not in text:
            return await super().run(document, as_, municipality, context=context, **variables)
        shown = Credentials("bearer", self.token(as_, municipality), "127.0.0.1", context)
        return await self.twice(text, shown, variables)

    async def twice(self, document: str, shown: Credentials, variables: dict[str, Any]) -> Any:
        """Run a mutation once, read what is asked of its result by both, and return the answer."""
        viewer = Viewer(self.product.application, await self.product.authenticate(shown))
        self.watching.results.clear()
        ran = self.watching.ran.total()
        compiled = Operation(viewer)
        compiled.compiled = True
        body = json.loads(await self.watching.run(document, variables, None, compiled))
        lines = _noted(compiled)
        await compiled.end()
        assert self.watching.ran.total() == ran + 1
        viewer.finished = dict(self.watching.results)
        reference = Operation(viewer)
        result: Any = await strawberry.Schema.execute(self.schema, document, variables, reference)
        assert json.dumps(body) == json.dumps({"data": result.data})
        assert lines == _noted(reference)
        await reference.abandon(RuntimeError())
        return result.data


async def test_what_is_read_of_every_mutations_result_is_alike(world: Api) -> None:
    api = Twofold(world)
    await bring_about(api)
    token = await begin(api, await open_assignment(api))
    await api.twice(example("end-reception-session"), Credentials("reception", token, "127.0.0.1"), {})
    documents = [parse(file.read_text()) for file in EXAMPLES.glob("*.graphql")]
    shown = {
        selection.name.value
        for document in documents
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode) and each.operation is OperationType.MUTATION
        for selection in each.selection_set.selections
        if isinstance(selection, FieldNode)
    }
    # Who gives a code at a reception computer is nobody yet, whose answers are not compiled.
    assert shown - set(api.watching.ran) == {"redeemReceptionCode"}
    assert set(api.watching.counts) == {""}


def test_every_mutation_knows_that_it_has_run() -> None:
    root = SCHEMA._schema.mutation_type
    assert root is not None
    resolvers = {name: each.extensions["strawberry-definition"].base_resolver for name, each in root.fields.items()}
    assert [name for name, each in resolvers.items() if not hasattr(each.wrapped_func, "__wrapped__")] == []


async def test_a_mutation_by_nobody_runs_once_and_is_answered(world: Api) -> None:
    counted = Counted(world)
    watching = counted.schema.compiler = Watching(counted.schema)
    given_ = {"secret": (await register(world))["secret"], "code": await hand_out(world, await open_assignment(world))}
    answered: Any = await counted.schema.answer(
        example("redeem-reception-code"), given_, Viewer(counted.application, None), None
    )
    # A code works once.
    assert answered.data["redeemReceptionCode"]["__typename"] == "ReceptionSessionBegun"
    assert watching.ran == {"redeemReceptionCode": 1}
    assert counted.refused == {"nobody asks": 1}


async def test_a_mutation_whose_result_cannot_be_put_together_runs_once(world: Api) -> None:
    counted = Counted(world)
    watching = counted.schema.compiler = Watching(counted.schema)
    async with above(world) as connection:
        await connection.execute("ALTER TABLE citizen ALTER COLUMN display_name DROP NOT NULL")
        await connection.execute("UPDATE citizen SET display_name = NULL")
    document = """
      mutation ($cpr: CPR!) {
        first: findCitizen(input: { cpr: $cpr }) { ... on CitizenFound { citizen { id } } }
        second: findCitizen(input: { cpr: $cpr }) { ... on CitizenFound { citizen { id name } } }
      }
    """
    viewer = Viewer(counted.application, staff(Role.CITIZEN_ENROLLER, 101))
    number = {"cpr": DEMOGRAPHY.citizen_cpr("0101", 0)}
    answered: Any = await counted.schema.answer(document, number, viewer, None)
    assert answered.data["first"]["citizen"]["id"].startswith("cit_")
    assert answered.data["second"]["citizen"] is None
    assert [each.path for each in answered.errors] == [["second", "citizen", "name"]]
    assert watching.ran == {"findCitizen": 2}
    assert counted.refused == {"the answer could not be put together (Fault)": 1}


# --- What is told of it


def test_the_packages_example_runs_as_it_is_written(worlds: Any, tmp_path: Path) -> None:
    text = (ROOT / "kpro_graph" / "execution" / "README.md").read_text()
    (python,), (tables,), (printed,) = (re.findall(rf"```{each}\n(.*?)```", text, re.DOTALL) for each in _LANGUAGES)
    worlds.postgres.create_database("readme")
    dsn = worlds.postgres.dsn("postgres", "readme")

    async def lay() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(tables)
        await connection.close()

    asyncio.run(lay())
    (tmp_path / "example.py").write_text(python)
    done = subprocess.run(
        [sys.executable, tmp_path / "example.py", dsn], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == printed, done.stderr
    worlds.postgres.drop_database("readme")


_LANGUAGES = ("python", "sql", "json")


async def test_an_operation_is_explained_by_its_plan_its_statement_and_the_servers_plan(
    situation: Situation, capsys: pytest.CaptureFixture[str]
) -> None:
    team = situation.material.ids["team"][0]
    variables = {"careTeam": team, "first": 5}
    compiler = Compiler(SCHEMA)
    tree = outline(compiler.prepare(example("worklist"), variables, None).plan)
    assert tree[0] == "careTeam: one of care_team (id)"
    assert "      scores: many of score by" in "\n".join(tree)
    assert any(line.endswith("- noted as colours, response") for line in tree)
    before = await lines(situation.api)
    await tell(situation.api.product, VIEWER, compiler, example("worklist"), variables)
    said = capsys.readouterr().out
    assert "SELECT" in said
    assert "parameters" in said
    assert "Index Scan" in said or "Seq Scan" in said
    assert str(variables["careTeam"]) not in said
    assert await lines(situation.api) == before
    await tell(situation.api.product, VIEWER, compiler, "{ accessLog { totalCount } }", {})
    assert "a field is not open to the actor" in capsys.readouterr().out
    nobody = replace(VIEWER, roles=frozenset(), care_teams={}, organisation_units={})
    await tell(situation.api.product, nobody, compiler, "{ careTeams { totalCount } }", {})
    assert "no table is looked at" in capsys.readouterr().out


def test_what_is_not_compiled_says_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "asked.graphql"
    file.write_text("{ __schema { queryType { name } } }")
    explain(file, var=[])
    assert "__schema asks about the schema itself" in capsys.readouterr().out


async def test_when_the_client_leaves_its_statement_is_ended(world: Api) -> None:
    body = json.dumps({"query": WORKLIST}).encode()
    host, port = world.address.removeprefix("http://").split(":")
    head = f"POST /graphql/ HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {world.token('viewer')}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    async with above(world) as connection:
        async with locked(world):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + body)
            await waiting(connection)
            writer.close()
            await writer.wait_closed()
            ended = await nobody_waits(connection)
        # Whatever became of it, it is over before the world is.
        assert await nobody_waits(connection)
        await asyncio.sleep(0.3)
    assert ended
