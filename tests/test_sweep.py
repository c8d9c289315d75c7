"""The sweep: every field of the schema, everybody, and data of every relation to them; the outcome is the matrix'.

Operations come from the schema and expectations from the oracle. What is absent is compared, byte by byte, with what was
never there, and every answer is searched for what its asker may not know.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type

from kpro_graph import reception
from kpro_graph.actors import ActorKind, Role
from kpro_graph.execution.fields import Relation
from kpro_graph.execution.ids import decode, encode
from kpro_graph.schema.permissions import PERMISSIONS
from tests.conftest import Worlds
from tests.deeds import expected
from tests.living import serving
from tests.operations import HOSTILE
from tests.oracle import Asker, Oracle, Outcome, RowOf
from tests.rehearsing import Played, Stage, rehearsing
from tests.scenes import ELSEWHERE, HERE, World, furnish
from tests.sweeping import (
    NODES,
    ROOTS,
    SCHEMA,
    arguments,
    asked_of,
    declaration,
    document,
    fields_asked,
    fields_reachable,
    is_page,
    origin,
)
from tests.test_main_job import WHO5

LOOK_UPS = {
    "Citizen": "citizen", "EpisodeOfCare": "episodeOfCare", "Assignment": "assignment", "CareTeam": "careTeam",
    "QuestionnaireResponse": "questionnaireResponse", "Questionnaire": "questionnaire",
}  # fmt: skip
MUTATIONS = sorted(name for name in PERMISSIONS if name.startswith("Mutation."))
AT_ONCE = 12


@dataclass
class Sweep:
    """A furnished world, the oracle over its rows, and the stage to play on."""

    world: World
    oracle: Oracle
    stage: Stage
    visible: dict[str, dict[str, dict[Any, RowOf]]]

    async def play(
        self, asker: Asker, text: str, variables: dict[str, Any] | None = None, *, lines: bool = False
    ) -> Played:
        """Play an operation; whatever it is answered holds nothing the asker may not know."""
        played = await self.stage.play(self.world.viewer(asker, self.stage), text, variables, lines=lines)
        assert "INTERNAL" not in played.codes, (asker.name, text, played.errors)
        self.no_leak(asker, played.text, text)
        return played

    def no_leak(self, asker: Asker, answer: str, asked: str) -> None:
        """Assert that an answer names nobody and nothing that its asker does not see."""
        known = self.visible[asker.name]
        for scene in self.world.scenes.values():
            if scene.citizen is not None and scene.citizen not in known["citizen"] and "ccessLog" not in asked:
                assert scene.family not in answer, (asker.name, scene.name, asked)
            for number in {scene.cpr, f"{scene.cpr[:6]}-{scene.cpr[6:]}"} - {"", "-"}:
                assert number not in answer or "cpr" in asked, (asker.name, scene.name, asked)
        if "ccessLog" in asked:
            return  # its lines name citizens and employees to those who see no more of them
        for prefix, digits in re.findall(r"\b([a-z]+)_([0-9a-f]{32})\b", answer):
            table = TABLES.get(prefix)
            if table is not None and prefix != "emp":
                key = decode(prefix, f"{prefix}_{digits}")
                assert key in known[table] or not asked.startswith("query"), (asker.name, prefix, asked)


TABLES = {origin(each).prefix: origin(each).source.table for each in NODES.values()}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sweep(worlds: Worlds, loaded: str) -> AsyncIterator[Sweep]:
    async with sweeping(worlds, loaded) as made:
        yield made


FURNISHED: dict[Worlds, World] = {}


async def furnished(worlds: Worlds, loaded: str) -> str:
    """Return the name of a furnished database, to be cloned; it is furnished once."""
    if worlds not in FURNISHED:
        await asyncio.to_thread(worlds.postgres.create_database, "furnished", loaded)
        async with worlds.product("furnished") as (product, identity), serving(product, identity) as api:
            FURNISHED[worlds] = await furnish(api)
    return "furnished"


@asynccontextmanager
async def sweeping(worlds: Worlds, loaded: str) -> AsyncIterator[Sweep]:
    """Open a furnished world with a stage in it."""
    async with worlds.fresh(await furnished(worlds, loaded)) as api:
        world = replace(FURNISHED[worlds], api=api)
        oracle = Oracle(world.inventory)
        async with rehearsing(api.product, SCHEMA, (0, HERE, ELSEWHERE, 810, 265)) as stage:
            visible = {
                asker.name: {
                    table: {row["id"]: row for row in oracle.visible(asker, table)} for table in world.inventory.rows
                }
                for asker in world.askers
            }
            yield Sweep(world, oracle, stage, visible)


# --- Every field of every node, for everybody, of everything


def things(sweep: Sweep, type_: Any) -> list[tuple[str, Any]]:
    """Return the public ids of what the scenes hold of a type, and one that is nobody's, with their rows."""
    prefix, table = origin(type_).prefix, origin(type_).source.table
    ids: dict[str, Any] = {}
    for scene in sweep.world.scenes.values():
        for value in scene.samples.values():
            if isinstance(value, str) and value.startswith(f"{prefix}_"):
                ids[value] = sweep.world.inventory.get(table, decode(prefix, value))
        if scene.citizen is not None and table in {"score", "interpretation", "response"}:
            theirs = [row for row in sweep.world.inventory.rows[table] if row["citizen_id"] == scene.citizen]
            ids |= {encode(prefix, row["id"]): row for row in theirs[:6]}
    if prefix == "emp":
        for place in (HERE, ELSEWHERE):
            row = next(each for each in sweep.world.inventory.rows[table] if each["municipality_id"] == place)
            ids[encode(prefix, row["id"])] = row
    ids.setdefault(f"{prefix}_{'0' * 31}7", None)
    return list(ids.items())


def expected_rows(sweep: Sweep, asker: Asker, place: str, relation: Relation, parent: RowOf, table: str) -> list[RowOf]:
    """Return the rows a relation of a row leads to, for an asker."""
    rows = [
        row for row in sweep.visible[asker.name][table].values()
        if all(row[theirs] == parent[ours] for theirs, ours in relation.by.items())
    ]  # fmt: skip
    if relation.where is not None or relation.judged is not None or (relation.arguments and place in WHERE):
        assert place in WHERE, f"say in WHERE which rows {place} leads to"
        rows = [row for row in rows if WHERE[place](sweep, asker, row)]
    if relation.shape == "latest_per":
        rows.sort(key=lambda row: (row["submitted_at"], row["id"]), reverse=True)
        latest: dict[Any, RowOf] = {}
        for row in rows:
            latest.setdefault(tuple(row[name] for name in relation.per), row)
        rows = list(latest.values())
    return rows


def _counts(_sweep: Sweep, _asker: Asker, row: RowOf) -> bool:
    return row["submitted_at"] is not None and not row["superseded"]


WHERE: dict[str, Callable[[Sweep, Asker, RowOf], bool]] = {
    "Citizen.responses": lambda _s, _a, row: row["submitted_at"] is not None,
    "Citizen.latestResponses": _counts,
    "Citizen.trend": lambda _s, _a, row: (
        not row["superseded"] and row["questionnaire_url"] == WHO5 and row["code"] == "who5"
    ),
    "EpisodeOfCare.latestResponses": _counts,
    "Assignment.draft": lambda _s, _a, row: row["status"] == "in-progress",
    "Assignment.response": _counts,
    "CareTeam.worklist": lambda sweep, asker, row: row in list(sweep.oracle.follows(asker, row["care_team_id"])),
    "Query.careTeams": lambda _s, asker, row: (
        row["status"] == "active" and (row["id"] in asker.teams or row["organisation_unit_id"] in asker.units)
    ),
}


def check_field(sweep: Sweep, asker: Asker, type_: Any, name: str, row: RowOf, found: Mapping[str, Any]) -> None:
    """Assert that one field of a row that is seen holds what it may."""
    place = f"{type_.name}.{name}"
    field = type_.fields[name]
    value = found[name]
    match sweep.oracle.field(asker, place, row):
        case "shown":
            nullable = {"QuestionnaireResponse.amendReason", "EpisodeOfCare.lastResponseAt"}
            assert value is not None or place in nullable, (asker.name, place, row["id"])
        case "null":
            assert value is None, (asker.name, place, row["id"])
    declared = declaration(field)
    if declared is None or not isinstance(declared.declared, Relation):
        return
    named: Any = get_named_type(field.type)
    if is_page(named):
        named = get_named_type(named.fields["nodes"].type)
    table = origin(named).source.table
    rows = expected_rows(sweep, asker, place, declared.declared, row, table)
    check_rows((asker.name, place, row["id"]), value, named, rows)


def check_rows(about: Any, value: Any, type_: Any, rows: list[RowOf]) -> None:
    """Assert that what a relation or list holds is exactly these rows."""
    listed = value
    if isinstance(value, Mapping) and "pageInfo" in value:
        assert value["totalCount"] == len(rows), about
        assert value["pageInfo"]["hasNextPage"] is (len(rows) > 100), about
        assert [each["node"] for each in value["edges"]] == value["nodes"], about
        listed = value["nodes"]
    elif not isinstance(value, list):
        listed = [] if value is None else [value]
    assert len(listed) == min(len(rows), 100 if isinstance(value, Mapping) else 200) or not isinstance(
        value, (list, dict)
    ), about
    if "id" in type_.fields:
        ids = {encode(origin(type_).prefix, row["id"]) for row in rows}
        got = {each["id"] for each in listed}
        assert got <= ids, about
        assert len(ids) > 100 or got == ids, about


@pytest.mark.parametrize("name", NODES)
async def test_every_field_of_every_node_is_seen_exactly_by_those_who_may(sweep: Sweep, name: str) -> None:
    type_ = NODES[name]
    table = origin(type_).source.table
    wanted = things(sweep, type_)
    names = list(type_.fields)
    chunks = [names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]
    for asker in sweep.world.askers:
        for chunk in chunks:
            parts = [f"{each}: nodes(ids: $ids) {{ ... on {name} {{ id {asked_of(type_, each)} }} }}" for each in chunk]
            played = await sweep.play(
                asker, f"query ($ids: [ID!]!) {{ {' '.join(parts)} }}", {"ids": [id_ for id_, _ in wanted]}
            )
            if asker.kind is None:
                assert (played.data, played.codes) == (None, {"UNAUTHENTICATED"})
                continue
            refused = {tuple(each["path"][:2]): each["extensions"]["code"] for each in played.errors}
            for field in chunk:
                for number, (_, row) in enumerate(wanted):
                    found = played.data[field][number]
                    code = refused.get((field, number))
                    seen = row is not None and row["id"] in sweep.visible[asker.name][table]
                    about = (asker.name, name, field, row and row["id"])
                    if not seen:
                        # Nothing tells what may not be seen from what is not there.
                        assert (found, code) == (None, None), about
                    elif sweep.oracle.field(asker, f"{name}.{field}", row) == "FORBIDDEN":
                        assert code == "FORBIDDEN", about
                        assert found is None or found[field] is None, about
                    else:
                        assert code is None, about
                        assert found is not None, about
                        check_field(sweep, asker, type_, field, row, found)


@pytest.mark.parametrize("name", LOOK_UPS)
async def test_what_may_not_be_seen_is_answered_as_what_is_not_there(sweep: Sweep, name: str) -> None:
    """Everything of a thing at once, looked up by the root's own field: compiled where nothing is refused."""
    type_, root = NODES[name], LOOK_UPS[name]
    table = origin(type_).source.table
    for asker in sweep.world.askers:
        never = await sweep.play(
            asker, _look_up(sweep, asker, type_, root, None), {"id": f"{origin(type_).prefix}_{'0' * 31}7"}
        )
        for id_, row in things(sweep, type_)[:12]:
            seen = row is not None and row["id"] in sweep.visible[asker.name][table]
            document_ = _look_up(sweep, asker, type_, root, row if seen else None)
            played = await sweep.play(asker, document_, {"id": id_}, lines=True)
            if not seen:
                assert played.text == never.text, (asker.name, id_)
                assert played.lines == never.lines == ()
                continue
            assert played.errors == [], (asker.name, id_, played.errors)
            noted = {line["citizen_id"] for line in played.lines}
            assert noted == citizens_in(sweep, asker, played.data), (asker.name, id_)


def _look_up(sweep: Sweep, asker: Asker, type_: Any, root: str, row: RowOf | None) -> str:
    open_ = [
        each for each in type_.fields
        if row is None or sweep.oracle.field(asker, f"{type_.name}.{each}", row) != "FORBIDDEN"
    ]  # fmt: skip
    return f"query ($id: ID!) {{ {root}(id: $id) {{ {asked_of(type_, *open_)} }} }}"


def citizens_in(sweep: Sweep, asker: Asker, data: Any) -> set[Any]:
    """Return whose rows are in an answer, told by the ids in it."""
    found = set()
    for prefix, digits in re.findall(r"\"([a-z]+)_([0-9a-f]{32})\"", json.dumps(data)):
        table = TABLES.get(prefix)
        row = sweep.world.inventory.get(table, decode(prefix, f"{prefix}_{digits}")) if table else None
        if table == "citizen" and row is not None:
            found.add(row["id"])
        elif table == "hand_over" and row is not None:
            here = [
                each for each in sweep.visible[asker.name]["citizen"].values() if each["person_id"] == row["person_id"]
            ]
            found |= {each["id"] for each in here}
        elif row is not None and "citizen_id" in row:
            found.add(row["citizen_id"])
    return found


# --- Every root


async def test_every_list_at_the_root_holds_exactly_what_may_be_seen(sweep: Sweep) -> None:
    lists = [place for place in ROOTS if place.startswith("Query.") and is_page(get_named_type(ROOTS[place].type))]
    samples = {**sweep.world.scenes["OWN"].samples, **FILTERS}
    for place in lists:
        page: Any = get_named_type(ROOTS[place].type)
        row_type: Any = get_named_type(page.fields["nodes"].type)
        relation: Any = declaration(ROOTS[place])
        for asker in sweep.world.askers:
            played = await sweep.play(asker, document(place), arguments(place, samples))
            name = place.partition(".")[2]
            if outcome := _refused(asker, place):
                assert (played.data, played.codes) == (None, {outcome}), (asker.name, place)
                continue
            table = origin(row_type).source.table
            rows = expected_rows(sweep, asker, place, relation.declared, {}, table)
            check_rows((asker.name, place), played.data[name], row_type, rows)
            # However it is filtered, it holds nothing else.
            for scene in sweep.world.scenes.values():
                narrowed = {**scene.samples, **FILTERS}
                found = await sweep.play(
                    asker, document(place, optional=True), arguments(place, narrowed, optional=True)
                )
                ids = {encode(origin(row_type).prefix, row["id"]) for row in rows}
                assert found.errors == [], (asker.name, place, found.errors)
                assert {each["id"] for each in found.data[name]["nodes"]} <= ids, (asker.name, place, scene.name)
                assert found.data[name]["totalCount"] <= len(rows)


FILTERS = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "url": WHO5, "actorId": f"emp_{'0' * 31}7"}


def _refused(asker: Asker, place: str) -> str | None:
    if asker.kind is None:
        return Outcome.UNAUTHENTICATED
    permission = PERMISSIONS[place]
    if place == "Query.accessLog" and permission is not None and asker.scope(permission) is None:
        return Outcome.FORBIDDEN
    return None


async def test_everybody_is_told_who_they_are_and_of_nobody_else(sweep: Sweep) -> None:
    text = document("Query.me")
    for asker in sweep.world.askers:
        played = await sweep.play(asker, text)
        if asker.kind is None:
            assert (played.data, played.codes) == (None, {"UNAUTHENTICATED"})
            continue
        me = played.data["me"]
        assert played.errors == [], (asker.name, played.errors)
        assert (me["kind"], me["municipality"]["code"]) == (asker.kind.name, "0101"), asker.name
        assert me["roles"] == ([asker.role.name] if asker.role else []), asker.name
        assert (me["citizen"] is not None) == (asker.citizen in sweep.visible[asker.name]["citizen"]), asker.name
        assert (me["onBehalfOf"] is not None) == asker.represents, asker.name
        lines = [
            line for line in sweep.visible[asker.name]["access_log"].values() if line["citizen_id"] == asker.citizen
        ] if asker.citizen else []  # fmt: skip
        if asker.kind is ActorKind.CITIZEN:
            assert me["accessLog"]["totalCount"] == len(lines), asker.name
        else:
            assert me["accessLog"] is None, asker.name


async def test_a_session_at_a_reception_computer_is_seen_by_itself(sweep: Sweep) -> None:
    text = document("Query.receptionSession")
    for asker in sweep.world.askers:
        played = await sweep.play(asker, text)
        if asker.kind is None:
            assert played.codes == {"UNAUTHENTICATED"}
        elif asker.session is None:
            assert (played.data, played.errors) == ({"receptionSession": None}, []), asker.name
        else:
            assert len(played.data["receptionSession"]["assignments"]) == len(asker.handed or ())


async def test_a_node_is_the_same_whichever_way_it_is_looked_up(sweep: Sweep) -> None:
    for type_ in NODES.values():
        table = origin(type_).source.table
        for asker in sweep.world.askers:
            for id_, row in things(sweep, type_)[:8]:
                played = await sweep.play(asker, document("Query.node"), {"id": id_})
                if asker.kind is None:
                    assert played.codes == {"UNAUTHENTICATED"}
                    continue
                seen = row is not None and row["id"] in sweep.visible[asker.name][table]
                assert played.data == {"node": {"id": id_} if seen else None}, (asker.name, type_.name, id_)
                assert played.errors == []


# --- Every mutation


@pytest.mark.parametrize("place", MUTATIONS)
async def test_every_mutation_is_for_those_the_matrix_names_as_far_as_it_says(
    sweep: Sweep, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a refused code takes is tested elsewhere.
    monkeypatch.setattr(reception, "_STEP", 0.001)
    text = document(place)
    nowhere = sweep.world.scenes["NOWHERE"]
    for asker in sweep.world.askers:
        never = await sweep.play(asker, text, arguments(place, nowhere.samples))
        for scene in sweep.world.scenes.values():
            played = await sweep.play(asker, text, arguments(place, scene.samples), lines=True)
            outcome = outcome_of(played)
            allowed = expected(sweep.oracle, asker, place, scene)
            assert outcome in allowed, (asker.name, place, scene.name, allowed, played.text)
            if outcome in {Outcome.FORBIDDEN, Outcome.CONTEXT, Outcome.UNAUTHENTICATED}:
                assert played.text == never.text, (asker.name, place, scene.name)
                assert played.lines == ()
            elif outcome == Outcome.ABSENT:
                assert _without_path(played) == _without_path(never), (asker.name, place, scene.name)
                hidden = (
                    {line["citizen_id"] for line in played.lines} - set(sweep.visible[asker.name]["citizen"]) - {None}
                )
                assert hidden == set(), (asker.name, place, scene.name)


@pytest.mark.parametrize("place", MUTATIONS)
async def test_one_reference_to_something_elsewhere_is_enough_to_find_nothing(sweep: Sweep, place: str) -> None:
    own, elsewhere = sweep.world.scenes["OWN"].samples, sweep.world.scenes["ELSEWHERE"].samples
    mine, theirs = arguments(place, own).get("input", {}), arguments(place, elsewhere).get("input", {})
    references = [name for name, value in mine.items() if name.endswith("Id") and value != theirs[name]]
    for asker in sweep.world.askers:
        if asker.kind is None or expected(sweep.oracle, asker, place, sweep.world.scenes["OWN"]) != {Outcome.DONE}:
            continue
        for name in references:
            played = await sweep.play(asker, document(place), {"input": {**mine, name: theirs[name]}})
            assert outcome_of(played) == Outcome.ABSENT, (asker.name, place, name, played.text)


@pytest.mark.parametrize("place", [place for place in ROOTS if not place.startswith("Subscription.")])
async def test_a_hostile_text_in_any_argument_is_a_value_and_never_a_part_of_a_statement(
    sweep: Sweep, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "_STEP", 0.001)
    own = sweep.world.scenes["OWN"].samples
    samples = {**own, **FILTERS, "id": own["citizenId"], "ids": [own["citizenId"]]}
    askers = {asker.name: asker for asker in sweep.world.askers}
    permission = PERMISSIONS[place]
    holders = [
        asker for asker in sweep.world.askers if permission and asker.kind and asker.scope(permission) is not None
    ]
    asker = (
        askers["nobody"] if place == "Mutation.redeemReceptionCode" else (holders or [askers["citizen_enroller"]])[0]
    )
    given = arguments(place, samples, optional=True)
    inside = given.get("input", given)
    texts = [name for name, value in inside.items() if isinstance(value, str) and not value.startswith("20")]
    for number, name in enumerate(texts):
        for hostile in HOSTILE[number % 3 :: 3]:
            changed = {**inside, name: hostile}
            variables = {"input": changed} if "input" in given else changed
            played = await sweep.play(asker, document(place, optional=True), variables)
            assert played.codes <= {"BAD_INPUT", "GRAPHQL_VALIDATION_FAILED", "FORBIDDEN"}, (name, hostile, played.text)


def outcome_of(played: Played) -> str:
    """Say what came of a mutation."""
    if played.errors:
        [code] = played.codes
        return code
    [result] = played.data.values()
    failed: str | None = result.get("code") if result.get("__typename") != "ReceptionCodeCreated" else None
    absent = {"REFERENCE_UNKNOWN", "CITIZEN_UNKNOWN"}
    return Outcome.DONE if failed is None else Outcome.ABSENT if failed in absent else Outcome.FAILED


def _without_path(played: Played) -> Any:
    [result] = (played.data or {"": {}}).values()
    return {name: value for name, value in result.items() if name != "path"}, played.errors


# --- The subscription


async def test_updates_are_delivered_to_those_who_follow_and_hold_what_they_may_read(sweep: Sweep) -> None:
    place = "Subscription.responseUpdates"
    after = sweep.stage.application.cursors.seal(place, [0])
    kinds = {"response_submitted", "response_amended"}
    for asker in sweep.world.askers:
        named = ("OWN", "OTHER-TEAM", "ELSEWHERE", "NOWHERE")
        for team in (None, *(sweep.world.scenes[name].samples["careTeamId"] for name in named)):
            deliveries, codes = await _follow(sweep, asker, {"careTeam": team, "after": after})
            scope = None if asker.kind is None else asker.scope(PERMISSIONS[place])  # type: ignore[arg-type]
            if scope is None:
                wanted = Outcome.UNAUTHENTICATED if asker.kind is None else Outcome.FORBIDDEN
                wanted = Outcome.CONTEXT if asker.name == "employee without a place" else wanted
                assert (deliveries, codes) == ([], {wanted}), asker.name
                continue
            events = [
                each for each in sweep.visible[asker.name]["event"].values()
                if each["type"].replace(".", "_").replace("-", "_") in kinds
                and (team is None or each["care_team_id"] == decode("team", team))
            ]  # fmt: skip
            assert codes == set(), (asker.name, codes)
            got = Counter(each["response"]["id"] if each["response"] else None for each in deliveries)
            seen = sweep.visible[asker.name]["response"]
            assert got == Counter(
                encode("res", each["subject_id"]) if each["subject_id"] in seen else None for each in events
            ), (asker.name, team)  # fmt: skip


async def _follow(sweep: Sweep, asker: Asker, variables: dict[str, Any]) -> tuple[list[Any], set[str]]:
    """Return what is delivered of the past, and with what codes it ends."""
    viewer = sweep.world.viewer(asker, sweep.stage)
    deliveries: list[Any] = []
    async with sweep.stage.transaction():
        results = await SCHEMA.stream(document("Subscription.responseUpdates", optional=True), variables, viewer)
        while True:
            try:
                # When all of the past has been delivered it waits for the future.
                result = await asyncio.wait_for(anext(results), 0.1)
            except (TimeoutError, StopAsyncIteration):
                break
            if result.errors:
                return deliveries, {error.extensions["code"] for error in result.errors}
            deliveries.append(json.loads(json.dumps(result.data, default=str))["responseUpdates"])
    for each in deliveries:
        sweep.no_leak(asker, json.dumps(each), "query")
    return deliveries, set()


# --- What was swept


def test_every_field_that_can_be_reached_is_asked_for() -> None:
    documents = [document(place) for place in ROOTS]
    documents += [
        f"query ($id: ID!) {{ node(id: $id) {{ ... on {name} {{ {asked_of(type_, *type_.fields)} }} }} }}"
        for name, type_ in NODES.items()
    ]
    assert fields_reachable() - fields_asked(iter(documents)) == set()


async def test_the_sweep_is_of_more_than_five_thousand_cases(sweep: Sweep) -> None:
    askers, scenes = len(sweep.world.askers), len(sweep.world.scenes)
    fields = sum(len(type_.fields) * len(things(sweep, type_)) for type_ in NODES.values())
    assert (askers * fields, askers * len(MUTATIONS) * scenes) > (5000, 3000)
    assert {asker.role for asker in sweep.world.askers} == {*Role, None}
    print(f"{askers} askers: {askers * fields} fields of things, {askers * len(MUTATIONS) * scenes} mutations")  # noqa: T201


def test_an_argument_that_nobody_has_thought_about_fails_by_its_name() -> None:
    with pytest.raises(AssertionError, match="no sample for the argument citizenId"):
        arguments("Mutation.offerHandOver", {})
