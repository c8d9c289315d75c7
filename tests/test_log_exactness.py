"""The access log says exactly whose records were in the answer, whatever was asked and whoever asked it."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from graphql import FieldNode, NameNode, SelectionSetNode, TypeInfo, TypeInfoVisitor, Visitor, parse, print_ast, visit
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from kpro_graph.execution.ids import decode, encode
from tests.conftest import Worlds
from tests.moving import above
from tests.operations import Asked, Material, operations
from tests.oracle import Asker
from tests.sweeping import NODES, SCHEMA, origin
from tests.test_main_job import WHO5
from tests.test_sweep import TABLES, Sweep, sweeping

_TYPES: Any = SCHEMA._schema
_TOLD = {"AccessLogLine": ("citizenId", "id"), "Represented": ("key",), "ReceptionSession": ("idleUntil",)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sweep(worlds: Worlds, loaded: str) -> AsyncIterator[Sweep]:
    async with sweeping(worlds, loaded) as made:
        yield made


class _Telling(Visitor):
    """Adds to every selection of rows what tells whose they are."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def leave_selection_set(self, node: SelectionSetNode, *_: Any) -> Any:
        type_ = self._info.get_parent_type()
        names = _TOLD.get(type_.name) if type_ is not None else None
        if type_ is not None and (type_.name in NODES or type_.name == "Node"):
            names = ("id",)
        if names is None:
            return None
        added = [FieldNode(name=NameNode(value=each), alias=NameNode(value=f"zz_{each}")) for each in names]
        return SelectionSetNode(selections=(*node.selections, *added))


def telling(document: str) -> str:
    """Return the same operation with the ids of all rows it shows."""
    info = TypeInfo(_TYPES)
    return print_ast(visit(parse(document), TypeInfoVisitor(info, _Telling(info))))


def citizens_of(sweep: Sweep, asker: Asker, data: Any) -> set[Any]:
    """Return whose rows are in the answer to an operation that tells it."""
    found: set[Any] = set()
    if isinstance(data, list):
        for each in data:
            found |= citizens_of(sweep, asker, each)
    if not isinstance(data, dict):
        return found
    for name, value in data.items():
        found |= citizens_of(sweep, asker, value)
        if name in {"zz_citizenId", "zz_key"} and value is not None:
            found.add(decode("cit", value))
        if name == "zz_idleUntil":
            found.add(asker.citizen)
        if name == "zz_id" and (table := TABLES.get(value.partition("_")[0])):
            row = sweep.world.inventory.need(table, decode(value.partition("_")[0], value))
            if table == "hand_over":
                known = sweep.world.inventory.rows["citizen"]
                found |= {
                    each["id"] for each in known
                    if each["person_id"] == row["person_id"] and each["municipality_id"] == asker.municipality
                }  # fmt: skip
            else:
                found.add(row["id"] if table == "citizen" else row.get("citizen_id"))
    return found - {None}


def material(sweep: Sweep) -> Material:
    """Return what operations are made of: the ids of the scenes' things, mostly, and of some others."""
    chance = random.Random(1)  # repeatable on purpose
    ids: dict[str, list[str]] = {}
    for type_ in NODES.values():
        prefix, rows = origin(type_).prefix, sweep.world.inventory.rows[origin(type_).source.table]
        near = [
            row
            for row in rows
            if row.get("citizen_id", row["id"]) in {scene.citizen for scene in sweep.world.scenes.values()}
        ]
        ids[prefix] = [encode(prefix, row["id"]) for row in (*near, *chance.sample(list(rows), min(len(rows), 12)))]
    return Material(ids, {"none": ["AAAA"]}, (WHO5,), ("who5",))


def asked_by_everybody(sweep: Sweep, number: int, seeded: int) -> list[tuple[Asker, Asked]]:
    """Make so many random operations, each of somebody's."""
    askers = [asker for asker in sweep.world.askers if asker.kind is not None]
    made_of, cases = material(sweep), []

    @seed(seeded)
    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def make(draw: st.DataObject) -> None:
        asker = draw.draw(st.sampled_from(askers))
        actor = sweep.world.actors[asker.name]
        theirs = {
            prefix: [id_ for id_ in ids if decode(prefix, id_) in sweep.visible[asker.name][TABLES[prefix]]]
            for prefix, ids in made_of.ids.items()
        }
        allowed = operations(
            _TYPES, made_of, seen=theirs, allowed=lambda declared: declared.allowed is None or declared.allowed(actor)
        )
        cases.append((asker, draw.draw(allowed)))

    make()
    return cases


async def prove(sweep: Sweep, number: int, seeded: int) -> int:
    """Compare the log with the answer for so many operations; return how many showed somebody."""
    showed = 0
    for asker, asked in asked_by_everybody(sweep, number, seeded):
        viewer = sweep.world.viewer(asker, sweep.stage)
        played = await sweep.stage.play(viewer, asked.document, asked.variables, lines=True)
        told = await sweep.stage.play(viewer, telling(asked.document), asked.variables, lines=True)
        assert "INTERNAL" not in played.codes | told.codes, asked.document
        shown = citizens_of(sweep, asker, told.data)
        noted = {line["citizen_id"] for line in played.lines} - {None}
        about = (asker.name, asked.document, asked.variables)
        # What is refused in part may have been looked at; what is shown is always noted.
        assert noted == shown or (played.errors and shown <= noted), about
        assert {line["actor_id"] for line in played.lines} <= {sweep.world.actors[asker.name].id}, about  # type: ignore[union-attr]
        showed += bool(shown)
    return showed


async def test_the_citizens_noted_are_the_citizens_in_the_answer(sweep: Sweep) -> None:
    assert await prove(sweep, 150, seeded=1) > 15


@pytest.mark.prove
@pytest.mark.timeout(1200)
async def test_the_citizens_noted_are_the_citizens_in_thousands_of_answers(sweep: Sweep) -> None:
    assert await prove(sweep, 5000, seeded=random.SystemRandom().randrange(2**32)) > 500


# --- No line, no answer: whatever becomes of the log's table while requests run

LOOK = "query Look($id: ID!) { citizen(id: $id) { id name } }"
FATES = {
    "revoked": ("REVOKE INSERT ON access_log FROM kpro_api", "GRANT INSERT ON access_log TO kpro_api"),
    "renamed": ("ALTER TABLE access_log RENAME TO away", "ALTER TABLE away RENAME TO access_log"),
    "full": (
        "ALTER TABLE access_log ADD CONSTRAINT full_up CHECK (false) NOT VALID", "ALTER TABLE access_log DROP CONSTRAINT full_up",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fate", FATES)
async def test_no_answer_leaves_while_the_logs_table_cannot_take_its_line(sweep: Sweep, fate: str) -> None:
    api, scene = sweep.world.api, sweep.world.scenes["OWN"]
    variables, token = {"id": scene.samples["citizenId"]}, api.token("enroller")
    answered: dict[str, str] = {}
    going = True

    async def ask() -> None:
        while going:
            trace = secrets.token_hex(16)
            headers = {"Authorization": f"Bearer {token}", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
            answer = await api.http.post("/graphql/", json={"query": LOOK, "variables": variables}, headers=headers)
            answered[trace] = answer.text

    async with above(api) as connection:
        asking = [asyncio.create_task(ask()) for _ in range(3)]
        for _ in range(3):
            for statement in FATES[fate]:
                await asyncio.sleep(0.12)
                await connection.execute(statement)
        going = False
        await asyncio.gather(*asking)
        noted = {
            row["trace_id"]
            for row in await connection.fetch(
                "SELECT trace_id FROM access_log WHERE citizen_id = $1 AND trace_id = ANY($2)",
                scene.citizen,
                list(answered),
            )
        }
    told = {trace for trace, text in answered.items() if scene.family in text}
    assert told
    assert told < set(answered), "nothing was refused"
    assert told <= noted
    for trace in set(answered) - told:
        assert str(variables["id"]) not in answered[trace]


# --- What ends early


@pytest.mark.parametrize("ends", ["at once", "later"])
async def test_an_answer_with_an_error_leaves_no_connection_taken(sweep: Sweep, ends: str) -> None:
    api, enough = sweep.world.api, 15
    pool = api.product.database._pool
    taken = pool.get_size() - pool.get_idle_size()
    text, who = EARLY[ends]
    variables = {"id": sweep.world.scenes["OWN"].samples["citizenId"]}
    for _ in range(enough):
        answer = (await api.post(text, variables, token=api.token(who))).json()
        assert {each["extensions"]["code"] for each in answer["errors"]} == {"FORBIDDEN"}
    assert enough > 10  # which is how many connections there are
    for _ in range(50):
        if pool.get_size() - pool.get_idle_size() <= taken:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("connections are not given back")


EARLY = {
    "at once": (
        "query ($id: ID!) { citizen(id: $id) { id } careTeams { nodes { id } } questionnaires { nodes { id } } "
        "handOvers { nodes { id } } accessLog { totalCount } }",
        "enroller",
    ),
    "later": (
        "query ($id: ID!) { citizen(id: $id) { episodes { nodes { careTeam { id } assignments { nodes { citizen { id } } } "
        "citizen { assignments { totalCount nodes { id questionnaire { id } } } } reasonCode } } } }",
        "integrator",
    ),
}
