"""The demo's contents: the same for the same seed, plausible, as the product itself would have stored them, and once."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
import pytest
import pytest_asyncio

from kpro_graph import demo
from kpro_graph.actors import Actor, Credentials
from kpro_graph.app import Product
from kpro_graph.catalogue import Compiled
from kpro_graph.demo import Batch, Edition, generate, load, share
from kpro_graph.demo.generation import ResponseRow
from kpro_graph.demography import CITIZENS_AT_MOST, Demography
from kpro_graph.errors import ConfigurationError, Unavailable
from kpro_graph.plugins.demo_identity import DemoDirectory, DemoIdentity
from kpro_graph.plugins.host import PluginHost
from kpro_graph.questionnaires import (
    Explanation,
    assemble,
    evaluate,
    read_questionnaire,
    read_rule_set,
    replay,
)
from kpro_graph.responses import save_answer, submit
from kpro_graph.responses.kept import as_fhir
from kpro_graph.storage.migrate import migrate
from tests.conftest import CITIZENS, DEMO_SECRET, ROOT, Worlds

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WHO5 = "https://kpro-graph.dk/Questionnaire/who-5"
CODES = ("0101", "0851", "0810", "0265")
MANY = 400


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def editions() -> list[Edition]:
    """Give every questionnaire the product and the two example municipalities bring, without a database."""
    host = PluginHost(ROOT / "plugins", installed=False)
    await host.start(strict=True)
    found = []
    for bundle in host.questionnaires:
        assert bundle.rules is not None
        compiled = Compiled(
            int(bundle.owner or 0),
            bundle.canonical.split("|", maxsplit=1)[0],
            read_questionnaire(bundle.questionnaire),
            uuid5(NAMESPACE_URL, f"rules of {bundle.canonical}"),
            read_rule_set(bundle.rules),
        )
        found.append(Edition(uuid5(NAMESPACE_URL, bundle.canonical), compiled))
    return found


@pytest.fixture(scope="module")
def batches(editions: list[Edition]) -> list[Batch]:
    """Give some hundred citizens."""
    return list(generate(editions, citizens=MANY, now=NOW))


def each_response(batches: list[Batch]) -> Iterator[ResponseRow]:
    for batch in batches:
        yield from batch.responses


# --- What is generated


def test_citizens_are_shared_by_the_size_of_the_municipality_and_none_is_lost() -> None:
    for number in (4, 5, 9, 40, 200, 10_000, 99_999):
        shared = share(number)
        assert tuple(shared) == CODES
        assert sum(shared.values()) == number
        assert shared["0101"] >= shared["0851"] >= shared["0265"] >= shared["0810"] >= 1
    assert share(10_000) == {"0101": 6511, "0851": 2218, "0810": 364, "0265": 907}


@pytest.mark.parametrize("number", [3, 0, -1, CITIZENS_AT_MOST + 1])
def test_a_number_of_citizens_the_demo_cannot_have_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match="from 4 to"):
        share(number)


def test_the_same_seed_and_moment_give_the_same_rows(editions: list[Edition], batches: list[Batch]) -> None:
    again = list(generate(editions, citizens=MANY, now=NOW))
    assert again == batches
    assert next(generate(editions, citizens=MANY, seed=2, now=NOW)) != batches[0]


def test_a_citizen_is_the_same_however_many_others_there_are(editions: list[Edition], batches: list[Batch]) -> None:
    fewer = next(generate(editions, citizens=40, now=NOW, size=10))
    assert len(fewer.citizens) == 10
    for name in ("citizens", "episodes"):
        assert getattr(fewer, name) == getattr(batches[0], name)[:10]
    for name in ("assignments", "responses"):
        rows = getattr(fewer, name)
        assert rows == getattr(batches[0], name)[: len(rows)]


def test_at_another_time_the_same_things_happened_as_long_ago(editions: list[Edition], batches: list[Batch]) -> None:
    later = next(generate(editions, citizens=MANY, now=NOW + timedelta(days=100)))
    assert [row.id for row in later.citizens] == [row.id for row in batches[0].citizens]
    assert [row.receipt for row in later.responses] == [row.receipt for row in batches[0].responses]
    moved = {
        new.submitted_at - old.submitted_at for new, old in zip(later.responses, batches[0].responses, strict=True)
    }
    assert moved == {timedelta(days=100)}


@pytest.mark.parametrize("hour", [0, 9, 13, 23])
def test_nothing_happens_in_the_future_nor_out_of_order(editions: list[Edition], hour: int) -> None:
    now = NOW.replace(hour=hour)
    for batch in generate(editions, citizens=100, now=now):
        started = {row.id: row.started_at for row in batch.episodes}
        ended = {row.id: row.ended_at or now for row in batch.episodes}
        assigned = {row.id: row.assigned_at for row in batch.assignments}
        before: dict[UUID, datetime] = {}
        for row in batch.responses:
            times = [started[row.episode_id], assigned[row.assignment_id], row.created_at, row.submitted_at]
            assert times == sorted(times)
            assert before.get(row.citizen_id, times[0]) < row.submitted_at < ended[row.episode_id]
            before[row.citizen_id] = row.submitted_at
        for task in batch.assignments:
            assert started[task.episode_id] <= task.assigned_at < now
            assert (task.completed_at is None) == (task.status == "requested")
        assert all(now - timedelta(days=366) < row.started_at < now for row in batch.episodes)


def test_every_id_is_used_once_and_tells_the_time_it_was_made(batches: list[Batch]) -> None:
    ids = [row.id for batch in batches for rows in (batch.citizens, batch.episodes) for row in rows]
    ids += [row.id for batch in batches for rows in (batch.assignments, batch.responses) for row in rows]
    ids += [person for batch in batches for person in batch.people]
    assert len(set(ids)) == len(ids)
    for row in each_response(batches):
        assert row.id.version == 7
        assert row.id.int >> 80 == row.created_at.timestamp() * 1000


def test_a_citizen_has_about_ten_responses_and_most_assignments_are_answered(batches: list[Batch]) -> None:
    per_citizen = Counter(row.citizen_id for row in each_response(batches))
    assert len(per_citizen) == MANY
    assert 10 <= sum(per_citizen.values()) / MANY <= 11
    assert min(per_citizen.values()) >= 8
    statuses = Counter(row.status for batch in batches for row in batch.assignments)
    assert 0.05 < statuses["requested"] / statuses.total() < 0.15
    episodes = Counter(row.status for batch in batches for row in batch.episodes)
    assert episodes["active"] > 0.85 * MANY
    assert episodes.keys() == {"active", "finished", "onhold"}


def test_people_get_better_get_worse_waver_or_stay_as_they_are(batches: list[Batch]) -> None:
    well_being: defaultdict[UUID, list[Decimal]] = defaultdict(list)
    for row in each_response(batches):
        if row.edition.name == "who-5":
            well_being[row.citizen_id].append(row.findings.scores[0]["value"])
    courses = [values for values in well_being.values() if len(values) >= 3]
    assert len(courses) > 200
    better = sum(values[-1] - values[0] >= 16 for values in courses)
    worse = sum(values[0] - values[-1] >= 16 for values in courses)
    steady = sum(max(values) - min(values) <= 12 for values in courses)
    wavering = sum(max(values) - max(values[0], values[-1]) >= 12 for values in courses)
    for found in (better, worse, steady, wavering):
        assert found > len(courses) * 0.05


def test_every_colour_is_given_and_none_to_everybody(batches: list[Batch]) -> None:
    colours = Counter(row.findings.colour.value for row in each_response(batches))
    assert colours.keys() == {"green", "yellow", "red", "not_interpreted"}
    urgencies = Counter(row.urgency for batch in batches for row in batch.episodes)
    for urgency in (1, 2, 3):
        assert 0.05 < urgencies[urgency] / MANY < 0.7


def test_a_team_asks_its_own_questions_and_a_local_one_is_asked_at_home_only(batches: list[Batch]) -> None:
    asked: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    topics = {team.id: team.topic for code in CODES for team in Demography().care_teams(code)}
    for batch in batches:
        team = {row.id: topics[row.care_team_id] for row in batch.episodes}
        for row in batch.responses:
            asked[batch.municipality, team[row.episode_id]].add(row.edition.name)
    assert asked["0101", "cancer"] == {"center-for-kraeft", "who-5", "eq-5d-5l"}
    assert asked["0851", "heart"] == {"aalborg-hjerteopfoelgning", "eq-5d-5l", "gad-7"}
    assert asked["0265", "diabetes"] == {"who-5", "phq-9", "eq-5d-5l"}
    local = {"center-for-kraeft", "aalborg-hjerteopfoelgning"}
    assert [place for place, names in asked.items() if names & local] == [("0101", "cancer"), ("0851", "heart")]


def test_the_demo_does_without_a_questionnaire_that_is_not_there(editions: list[Edition]) -> None:
    national = [each for each in editions if each.compiled.owner == 0]
    asked = {row.edition.name for batch in generate(national, citizens=40, now=NOW) for row in batch.responses}
    assert asked == {"who-5", "eq-5d-5l", "phq-9", "gad-7"}
    (nobody,) = {len(batch.responses) for batch in generate([], citizens=40, now=NOW)}
    assert nobody == 0


def test_a_questionnaire_of_the_same_name_in_a_municipality_is_not_taken_for_the_national_one(
    editions: list[Edition],
) -> None:
    who5 = next(each for each in editions if each.name == "who-5")
    own = Edition(
        uuid5(NAMESPACE_URL, "Aalborg's"),
        Compiled(851, WHO5, who5.questionnaire, who5.compiled.rule_set_id, who5.compiled.rules),
    )
    batches = list(generate([*editions, own], citizens=40, now=NOW))
    assert own.id not in {row.questionnaire_id for batch in batches for row in batch.assignments}


def test_scores_and_colours_are_the_engines_own_and_can_be_replayed(batches: list[Batch]) -> None:
    seen = {id(row.findings): row for row in each_response(batches)}
    assert len(seen) > 100
    for row in list(seen.values())[::7]:
        compiled = row.edition.compiled
        given = {
            each["path"]: [as_fhir(value) for value in each["values"]] for each in json.loads(row.findings.answers)
        }
        evaluation = evaluate(compiled.questionnaire, assemble(compiled.questionnaire, given), rules=compiled.rules)
        assert evaluation.valid
        assert [each["value"] for each in row.findings.scores] == [score.value for score in evaluation.scores]
        for found in (*row.findings.scores, *row.findings.interpretations):
            explained = Explanation.from_json(json.loads(found["explanation"]))
            assert replay(explained, compiled.questionnaire, compiled.rules, evaluation.answers) == explained


def test_a_questionnaire_the_demo_cannot_answer_is_named() -> None:
    document = {
        "resourceType": "Questionnaire",
        "url": WHO5,
        "version": "9",
        "name": "Who5",
        "title": "WHO-5",
        "status": "active",
        "item": [{"linkId": "picture", "type": "attachment", "text": "Vedhæft et billede", "required": True}],
    }
    strange = Edition(UUID(int=1), Compiled(0, WHO5, read_questionnaire(json.dumps(document).encode()), None, None))
    with pytest.raises(ConfigurationError, match=r'cannot answer the questionnaire "who-5": required at picture'):
        list(generate([strange], citizens=4, now=NOW))


def test_no_cpr_number_can_be_read_off_what_is_generated(batches: list[Batch]) -> None:
    text = repr(batches[1])
    assert "given_name" in text
    assert not any(person.cpr in text for person in batches[1].people.values())


# --- What is loaded


@asynccontextmanager
async def opened(worlds: Worlds, name: str, template: str | None = None) -> AsyncIterator[tuple[Product, str]]:
    """Give the product over a database of the test's own, and that database as its owner."""
    await asyncio.to_thread(worlds.postgres.create_database, name, template)
    owner = worlds.postgres.dsn("kpro_owner", name)
    await migrate(owner)
    async with worlds.product(name) as (product, _):
        yield product, owner
    await asyncio.to_thread(worlds.postgres.drop_database, name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(worlds: Worlds, loaded: str) -> AsyncIterator[tuple[Product, str]]:
    """Give the loaded demo, for tests that add nothing to it but answers."""
    async with opened(worlds, "demo_world", loaded) as found:
        yield found


@asynccontextmanager
async def looking(worlds: Worlds, owner: str) -> AsyncIterator[Any]:
    """Give a connection that sees every row."""
    name = owner.split("?", maxsplit=1)[0].rsplit("/", 1)[-1]
    connection = await asyncpg.connect(worlds.postgres.dsn("postgres", name))
    try:
        yield connection
    finally:
        await connection.close()


async def counts(connection: Any) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = ["municipality", "person", "citizen", "episode_of_care", "assignment", "response", "score"]
    tables += ["interpretation", "employee", "care_team_member", "questionnaire", "event"]
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def sign_in(product: Product, name: str, municipality: str) -> Actor:
    token = DemoIdentity(DEMO_SECRET, DemoDirectory()).issue(name, municipality)
    return await product.authenticate(Credentials("bearer", token, client="127.0.0.1"))


async def test_everyone_who_can_sign_in_finds_themselves(world: tuple[Product, str]) -> None:
    product, _ = world
    directory = Demography()
    for code in CODES:
        citizen = await sign_in(product, "citizen", code)
        assert citizen.citizens == (directory.uuid_of("citizen", code, 0),)
        for name in ("enroller", "viewer", "monitor", "careteam-admin", "clinical-admin", "questionnaire-editor"):
            actor = await sign_in(product, name, code)
            assert directory.care_teams(code)[0].id in actor.teams(*actor.roles)


async def test_each_municipalitys_first_citizen_has_one_who5_to_answer(
    worlds: Worlds, world: tuple[Product, str]
) -> None:
    async with looking(worlds, world[1]) as connection:
        for code in CODES:
            rows = await connection.fetch(
                "SELECT q.url FROM assignment a JOIN questionnaire q"
                " ON (q.municipality_id, q.id) = (a.questionnaire_owner, a.questionnaire_id)"
                " WHERE a.citizen_id = $1 AND a.status <> 'completed'",
                Demography().uuid_of("citizen", code, 0),
            )
            assert [row["url"] for row in rows] == [WHO5]


async def test_what_is_loaded_leaves_no_lines_in_the_log_and_no_events(
    worlds: Worlds, world: tuple[Product, str]
) -> None:
    async with looking(worlds, world[1]) as connection:
        assert await connection.fetchval("SELECT count(*) FROM access_log") == 0
        types = await connection.fetch("SELECT DISTINCT type FROM event")
        assert [row["type"] for row in types] == ["questionnaire.activated"]


async def test_an_episode_is_as_urgent_as_the_worst_of_its_latest_responses(
    worlds: Worlds, world: tuple[Product, str]
) -> None:
    async with looking(worlds, world[1]) as connection:
        wrong = await connection.fetch(
            "SELECT e.id FROM episode_of_care e JOIN LATERAL ("
            "  SELECT max(CASE colour WHEN 'red' THEN 3 WHEN 'yellow' THEN 2 WHEN 'green' THEN 1 ELSE 0 END) AS urgency,"
            "         max(submitted_at) AS last FROM ("
            "    SELECT DISTINCT ON (questionnaire_url) colour, submitted_at FROM response r"
            "    WHERE r.municipality_id = e.municipality_id AND r.episode_id = e.id"
            "    ORDER BY questionnaire_url, submitted_at DESC, id DESC) latest"
            ") said ON true WHERE (e.urgency, e.last_response_at) IS DISTINCT FROM (said.urgency, said.last)"
        )
        assert wrong == []
        assert await connection.fetchval("SELECT count(DISTINCT urgency) FROM episode_of_care") >= 3


async def test_what_is_loaded_is_stored_as_if_it_had_been_submitted(worlds: Worlds, loaded: str) -> None:
    """The first citizen gives the answers of a loaded response again; both are the same, byte for byte."""
    async with opened(worlds, "demo_submitted", loaded) as (product, owner), looking(worlds, owner) as connection:
        actor = await sign_in(product, "citizen", "0101")
        model = await connection.fetchrow(
            "SELECT * FROM response WHERE municipality_id = 101 AND questionnaire_url = $1 AND citizen_id <> $2 LIMIT 1",
            WHO5,
            actor.citizens[0],
        )
        task = await connection.fetchrow(
            "SELECT * FROM assignment WHERE citizen_id = $1 AND status = 'requested'", actor.citizens[0]
        )
        for row in json.loads(model["answers"]):
            values = [as_fhir(value) for value in row["values"]]
            async with product.database.change(actor) as change:
                await save_answer(change, task["id"], task["questionnaire_id"], row["path"], values)
        async with product.database.change(actor) as change:
            stored = (await submit(change, task["id"], task["questionnaire_id"], "as if it had been")).response

        for table, where, order in (
            ("response", "id", "id"),
            ("score", "response_id", "position"),
            ("interpretation", "response_id", "position"),
        ):
            rows = f"SELECT row_to_json(t)::text AS row FROM {table} t WHERE {where} = $1 ORDER BY {order}"
            first = [_shared(row["row"]) for row in await connection.fetch(rows, model["id"])]
            second = [_shared(row["row"]) for row in await connection.fetch(rows, stored.id)]
            assert first == second != []
        for raw in (
            "SELECT answers::text FROM response WHERE id = $1",
            "SELECT array_agg(explanation::text ORDER BY position) FROM score WHERE response_id = $1",
            "SELECT array_agg(explanation::text ORDER BY position) FROM interpretation WHERE response_id = $1",
        ):
            assert await connection.fetchval(raw, model["id"]) == await connection.fetchval(raw, stored.id)
        receipt = re.compile(r"[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}")
        assert receipt.fullmatch(model["receipt"])
        assert receipt.fullmatch(str(stored.receipt))
        # Who answered is the person, whatever municipality they are a citizen of.
        person = "SELECT person_id FROM citizen WHERE id = $1"
        assert model["author_id"] == await connection.fetchval(person, model["citizen_id"])
        assert stored.author_id == await connection.fetchval(person, stored.citizen_id)


def _shared(row: str) -> dict[str, Any]:
    """Return a row without the columns that are every response's own; numbers as they are written."""
    own = {"id", "response_id", "assignment_id", "episode_id", "citizen_id", "author_id", "receipt", "idempotency_key"}
    columns = json.loads(row, parse_float=str, parse_int=str)
    return {name: value for name, value in columns.items() if name not in own | {"created_at", "submitted_at"}}


async def test_loading_again_adds_nothing_and_asking_for_more_adds_the_rest(worlds: Worlds, loaded: str) -> None:
    async with opened(worlds, "demo_more", loaded) as (product, owner), looking(worlds, owner) as connection:
        before = await counts(connection)
        again = await load(product.database, owner, product.host, citizens=CITIZENS)
        assert (again.present, again.citizens, again.responses) == (CITIZENS, 0, 0)
        assert await counts(connection) == before
        more = await load(product.database, owner, product.host, citizens=CITIZENS + 20)
        assert (more.present, more.citizens) == (CITIZENS, 20)
        after = await counts(connection)
        assert after["citizen"] == after["person"] == CITIZENS + 20
        for table, added in (
            ("assignment", more.assignments),
            ("response", more.responses),
            ("score", more.scores),
            ("interpretation", more.interpretations),
        ):
            assert after[table] == before[table] + added > before[table]
        fewer = await load(product.database, owner, product.host, citizens=10)
        assert (fewer.present, fewer.citizens) == (10, 0)


async def test_a_load_that_is_broken_off_is_completed_by_the_next(worlds: Worlds) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, _total: int, what: str) -> None:
        if what == "Aalborg" and done:
            raise Interrupted

    async with opened(worlds, "demo_broken") as (product, owner), looking(worlds, owner) as connection:
        with pytest.raises(Interrupted):
            await load(product.database, owner, product.host, citizens=40, now=NOW, progress=interrupt)
        half = await counts(connection)
        assert 0 < half["citizen"] < 40
        told: list[tuple[int, int, str]] = []
        rest = await load(
            product.database, owner, product.host, citizens=40, now=NOW, progress=lambda *news: told.append(news)
        )
        assert rest.present == half["citizen"]
        assert rest.present + rest.citizens == 40
        assert {what: (done, total) for done, total, what in told} == {
            "København": (28, 28),
            "Aalborg": (8, 8),
            "Brønderslev": (1, 1),
            "Roskilde": (3, 3),
        }
        whole = await counts(connection)
        assert whole["citizen"] == whole["person"] == whole["episode_of_care"] == 40
        assert whole["response"] == half["response"] + rest.responses
        async with opened(worlds, "demo_whole") as (other, other_owner), looking(worlds, other_owner) as second:
            await load(other.database, other_owner, other.host, citizens=40, now=NOW)
            assert await counts(second) == whole
            everything = "SELECT array_agg(id ORDER BY id) FROM interpretation"
            assert await second.fetchval(everything) == await connection.fetchval(everything)


async def test_two_loads_at_once_load_everybody_once(worlds: Worlds) -> None:
    async with opened(worlds, "demo_twice") as (product, owner), looking(worlds, owner) as connection:
        loads = [load(product.database, owner, product.host, citizens=12) for _ in range(2)]
        results = await asyncio.gather(*loads)
        assert sorted(result.citizens for result in results) == [0, 12]
        assert (await counts(connection))["citizen"] == 12


async def test_a_person_whom_another_municipality_knows_is_that_person_here_too(worlds: Worlds) -> None:
    async with opened(worlds, "demo_known") as (product, owner), looking(worlds, owner) as connection:
        cipher, known = product.database.cipher, UUID(int=42)
        number = Demography().citizen_cpr("0265", 1)
        await connection.execute(
            "INSERT INTO person (id, cpr_index, cpr_sealed) VALUES ($1, $2, $3)",
            known,
            cipher.index(number),
            cipher.seal(number, known),
        )
        await load(product.database, owner, product.host, citizens=40)
        citizen = Demography().uuid_of("citizen", "0265", 1)
        assert await connection.fetchval("SELECT person_id FROM citizen WHERE id = $1", citizen) == known
        authors = "SELECT array_agg(DISTINCT author_id) FROM response WHERE citizen_id = $1"
        assert await connection.fetchval(authors, citizen) == [known]
        assert (await counts(connection))["person"] == 40


async def test_a_citizen_who_has_been_registered_already_is_left_alone(worlds: Worlds) -> None:
    async with opened(worlds, "demo_taken") as (product, owner), looking(worlds, owner) as connection:
        await load(product.database, owner, product.host, citizens=12)
        cipher, number = product.database.cipher, Demography().citizen_cpr("0101", 9)
        await connection.execute(
            "INSERT INTO person (id, cpr_index, cpr_sealed) VALUES ($1, $2, $3)",
            UUID(int=1),
            cipher.index(number),
            cipher.seal(number, UUID(int=1)),
        )
        await connection.execute(
            "INSERT INTO citizen (municipality_id, id, person_id, given_name, family_name, display_name, sort_name,"
            " birth_date) VALUES (101, $1, $2, 'A', 'B', 'A B', 'b a', '1950-01-01')",
            UUID(int=2),
            UUID(int=1),
        )
        more = await load(product.database, owner, product.host, citizens=20)
        assert (more.present, more.citizens) == (13, 7)


async def test_the_demo_of_another_seed_is_not_mixed_in(worlds: Worlds, loaded: str) -> None:
    async with opened(worlds, "demo_other", loaded) as (product, owner), looking(worlds, owner) as connection:
        before = await counts(connection)
        with pytest.raises(ConfigurationError, match="not the demo's of seed 2"):
            await load(product.database, owner, product.host, citizens=CITIZENS, seed=2)
        assert await counts(connection) == before


async def test_a_database_that_is_down_is_said_to_be(world: tuple[Product, str]) -> None:
    product, _ = world
    nowhere = "postgres://kpro_owner@127.0.0.1:1/nothing"
    with pytest.raises(Unavailable, match="does not answer"):
        await load(product.database, nowhere, product.host, citizens=40)


async def test_cpr_numbers_are_sealed_and_found_by_index_only(worlds: Worlds, world: tuple[Product, str]) -> None:
    product, owner = world
    number = Demography().citizen_cpr("0851", 3)
    async with looking(worlds, owner) as connection:
        row = await connection.fetchrow(
            "SELECT id, cpr_sealed FROM person WHERE cpr_index = $1", product.database.cipher.index(number)
        )
        assert product.database.cipher.unseal(row["cpr_sealed"], row["id"]) == number
        assert number.encode() not in row["cpr_sealed"]
        sealed = await connection.fetch("SELECT id, cpr_sealed FROM employee WHERE municipality_id = 851")
        numbers = {product.database.cipher.unseal(each["cpr_sealed"], each["id"]) for each in sealed}
        assert numbers == {person.cpr for person in Demography().employees("0851")}


def test_the_door_offers_what_tests_and_benchmarks_need() -> None:
    assert sorted(demo.__all__) == ["Batch", "Edition", "Loaded", "Population", "generate", "load", "share"]
