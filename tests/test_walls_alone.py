"""Row-level security alone: with every rule of the application switched off, nothing crosses between municipalities.

The same operations as in the sweep, by people of one municipality, with ids of another that are real.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type

from kpro_graph import reception
from kpro_graph.access import decisions
from kpro_graph.actors import ActorKind, Credentials
from kpro_graph.execution import Condition
from kpro_graph.execution.fields import DeclaredField, Relation
from kpro_graph.execution.ids import decode, encode
from kpro_graph.plugins.demo_identity import ACTORS
from kpro_graph.schema import make_schema
from kpro_graph.storage.database import _ENTER, _scope
from tests.conftest import Worlds
from tests.oracle import Outcome
from tests.people import PEOPLE, citizen
from tests.rehearsing import Stage
from tests.scenes import ELSEWHERE, HERE, NUMBERS
from tests.sweeping import NODES, ROOTS, SCHEMA, arguments, asked_of, document, is_page, origin
from tests.test_sweep import AT_ONCE, FILTERS, MUTATIONS, TABLES, Sweep, outcome_of, sweeping

LISTS = [place for place in ROOTS if place.startswith("Query.") and is_page(get_named_type(ROOTS[place].type))]
# Nothing they name is somewhere: they make something new, of the municipality whose session it is.
MAKES = {
    "Mutation.registerCitizen",
    "Mutation.importQuestionnaire",
    "Mutation.redeemReceptionCode",
    "Mutation.endReceptionSession",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sweep(worlds: Worlds, loaded: str) -> AsyncIterator[Sweep]:
    async with sweeping(worlds, loaded) as made:
        yield made


@pytest.fixture
def without_rules() -> Iterator[None]:
    """Switch every rule of the application off: predicates of rows, of lists and of fields, and decisions."""
    undo: list[tuple[Any, str, Any]] = []

    def put(thing: Any, name: str, value: Any) -> None:
        undo.append((thing, name, getattr(thing, name)))
        object.__setattr__(thing, name, value)

    sources = {
        id(source): source
        for type_ in SCHEMA._schema.type_map.values()
        if (source := getattr(origin(type_), "source", None))
    }
    sources |= {
        id(each): each for module in _modules() for each in vars(module).values() if type(each).__name__ == "Source"
    }
    for source in sources.values():
        put(source, "visible", lambda _actor: Condition("true"))
    for type_ in SCHEMA._schema.type_map.values():
        for field in getattr(type_, "fields", {}).values():
            declared = getattr(field, "extensions", {}).get("strawberry-definition")
            if isinstance(declared, DeclaredField):
                put(declared, "allowed", None)
                if isinstance(declared.declared, Relation):
                    put(declared.declared, "judged", None)
                if getattr(declared.declared, "shown", None) is not None:
                    put(declared.declared, "shown", lambda _actor: Condition("true"))
    decided = {
        decisions.require: lambda *_: None,
        decisions.reaches: lambda *_, **__: True,
        decisions.may_answer_for: lambda *_: True,
    }
    for module in _modules():
        for name, value in list(vars(module).items()):
            if callable(value) and value.__hash__ is not None and value in decided:
                put(module, name, decided[value])
    yield
    for thing, name, value in reversed(undo):
        object.__setattr__(thing, name, value)


def _modules() -> list[Any]:
    return [
        module for name, module in list(sys.modules.items()) if name.startswith("kpro_graph") and module is not None
    ]


def bare(sweep: Sweep) -> Stage:
    """Return a stage whose schema remembers nothing that was planned while the rules were on."""
    made = Stage(sweep.stage.product, make_schema(), sweep.stage.rehearsal, sweep.stage.everywhere)
    made.application = sweep.stage.application
    return made


def foreign(sweep: Sweep, name: str) -> list[str]:
    """Return the public ids of everything the other municipality has of a type."""
    type_ = origin(NODES[name])
    rows = sweep.world.inventory.rows[type_.source.table]
    here = {
        row["id"] for row in rows if row["municipality_id"] == HERE
    }  # what was handed over has one id on both sides
    theirs = [row["id"] for row in rows if row["municipality_id"] == ELSEWHERE and row["id"] not in here]
    return [encode(type_.prefix, key) for key in theirs[:60]]


def from_elsewhere(sweep: Sweep, answer: str) -> set[str]:
    """Return the ids in an answer that belong to another municipality."""
    found = set()
    for prefix, digits in re.findall(r"\b([a-z]+)_([0-9a-f]{32})\b", answer):
        row = (
            sweep.world.inventory.get(TABLES[prefix], decode(prefix, f"{prefix}_{digits}"))
            if prefix in TABLES
            else None
        )
        if row is not None and row["municipality_id"] not in {0, HERE}:
            found.add(f"{prefix}_{digits}")
    return found


async def fingerprint(sweep: Sweep, connection: Any) -> list[Any]:
    """Return what every row of the other municipality is, in a form that can be compared."""
    await connection.execute(_ENTER, _scope([ELSEWHERE]))
    found = []
    for table in sorted(sweep.world.inventory.rows):
        column = "id" if table == "municipality" else "municipality_id"
        row = await connection.fetchrow(
            f"SELECT count(*) AS rows, sum(hashtextextended(t::text, 0)) AS whole FROM {table} t WHERE {column} = $1",
            ELSEWHERE,
        )
        found.append((table, row["rows"], row["whole"]))
    return found


@pytest.mark.usefixtures("without_rules")
@pytest.mark.parametrize("name", NODES)
async def test_without_any_predicate_nothing_of_another_municipality_is_read(sweep: Sweep, name: str) -> None:
    stage, ids = bare(sweep), foreign(sweep, name)
    type_ = NODES[name]
    offered = {
        encode("hov", row["id"]) for row in sweep.world.inventory.rows["hand_over"] if row["to_municipality_id"] == HERE
    }
    assert ids
    fields = list(type_.fields)
    for asker in sweep.world.askers:
        if asker.kind is None:
            continue
        for at in range(0, len(fields), AT_ONCE):
            parts = [
                f"{each}: nodes(ids: $ids) {{ ... on {name} {{ id {asked_of(type_, each)} }} }}"
                for each in fields[at : at + AT_ONCE]
            ]
            text = f"query ($ids: [ID!]!) {{ {' '.join(parts)} }}"
            played = await stage.play(sweep.world.viewer(asker, stage), text, {"ids": ids})
            # What one municipality offers another is the one thing both see; of the citizen it says nothing.
            assert from_elsewhere(sweep, played.text) <= offered, (asker.name, name)
            if name != "HandOver":
                assert played.errors == []
                assert all(each is None for found in played.data.values() for each in found)
            for scene in sweep.world.scenes.values():
                assert scene.municipality == HERE or not scene.family or scene.family not in played.text


@pytest.mark.usefixtures("without_rules")
async def test_without_any_predicate_no_list_search_or_count_reaches_over(sweep: Sweep) -> None:
    stage = bare(sweep)
    here = {
        table: [row for row in rows if row.get("municipality_id") in {0, HERE}]
        for table, rows in sweep.world.inventory.rows.items()
    }
    offered = {
        encode("hov", row["id"]) for row in sweep.world.inventory.rows["hand_over"] if row["to_municipality_id"] == HERE
    }
    for asker in sweep.world.askers:
        if asker.kind is None:
            continue
        viewer = sweep.world.viewer(asker, stage)
        for place in LISTS:
            page: Any = get_named_type(ROOTS[place].type)
            table = origin(get_named_type(page.fields["nodes"].type)).source.table
            for scene in sweep.world.scenes.values():
                samples = {**scene.samples, **FILTERS}
                played = await stage.play(
                    viewer, document(place, optional=True), arguments(place, samples, optional=True)
                )
                assert from_elsewhere(sweep, played.text) <= offered, (asker.name, place)
                assert played.data[place.partition(".")[2]]["totalCount"] <= len(here[table]) + len(offered)
        # The rules are off indeed: what another unit has is there for everybody.
        near = sweep.world.scenes["OTHER-UNIT"].samples["citizenId"]
        played = await stage.play(viewer, "query ($id: ID!) { citizen(id: $id) { id } }", {"id": near})
        assert played.data == {"citizen": {"id": near}}, asker.name


@pytest.mark.usefixtures("without_rules")
@pytest.mark.parametrize("place", MUTATIONS)
async def test_without_any_decision_nothing_of_another_municipality_is_changed(
    sweep: Sweep, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "_STEP", 0.001)
    stage, scene = bare(sweep), sweep.world.scenes["ELSEWHERE"]
    for asker in sweep.world.askers:
        viewer = sweep.world.viewer(asker, stage)
        async with stage.transaction() as connection:
            before = await fingerprint(sweep, connection)
            answered = await stage.schema.answer(document(place), arguments(place, scene.samples), viewer, None)
            assert await fingerprint(sweep, connection) == before, (asker.name, place)
        played = await stage.play(viewer, document(place), arguments(place, scene.samples))
        assert answered is not None
        assert from_elsewhere(sweep, played.text) == set(), (asker.name, place)
        if place not in MAKES:
            assert outcome_of(played) != Outcome.DONE, (asker.name, place, played.text)


@pytest.mark.parametrize("name", ACTORS)
async def test_a_session_that_is_told_another_municipality_shows_its_people_nothing(
    sweep: Sweep, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything the application says is right, and row-level security was told somewhere else: it wins."""
    monkeypatch.setattr(reception, "_STEP", 0.001)
    api, scene = sweep.world.api, sweep.world.scenes["ELSEWHERE"]
    who = citizen(NUMBERS["ELSEWHERE"], "0851") if name == "citizen" else None
    token = PEOPLE.token(who) if who else api.token(name, "0851")
    shown = Credentials("bearer", token, "127.0.0.1")
    actor = await api.product.authenticate(shown)
    assert actor.kind is not ActorKind.OPERATOR
    viewer = sweep.stage.viewer(replace(actor, name=""))
    sees = 0
    for told in ((), (HERE,)):
        sweep.stage.rehearsal.scope = told or None
        try:
            for type_ in NODES:
                text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
                played = await sweep.stage.play(viewer, text, {"ids": foreign(sweep, type_)})
                if told:
                    assert from_elsewhere(sweep, played.text) == set() or type_ == "HandOver", (name, type_)
                else:
                    sees += len(from_elsewhere(sweep, played.text))
            if told:
                for place in MUTATIONS:
                    async with sweep.stage.transaction() as connection:
                        before = await fingerprint(sweep, connection)
                        await sweep.stage.schema.answer(document(place), arguments(place, scene.samples), viewer, None)
                        assert await fingerprint(sweep, connection) == before, (name, place)
        finally:
            sweep.stage.rehearsal.scope = None
    # The same people see their own as long as the session is told the truth.
    assert sees > 0
