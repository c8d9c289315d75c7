"""The access log as it is written and read: one line per citizen and operation, in words the citizen understands."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph import access
from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Purpose, RepresentationKind, Right, Role
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.execution import Row
from kpro_graph.execution.fields import DeclaredField
from kpro_graph.execution.ids import encode
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Answer, Viewer
from kpro_graph.storage import tables
from kpro_graph.storage.minlog import GROUPS, LONGEST_ACTIVITY, PURPOSES, ROLES, SOMEBODY, activity, sentence
from tests.conftest import ROOT, SECRET
from tests.living import Api
from tests.test_main_job import WHO5, give_answers, open_assignment, submit

SCHEMA = make_schema()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = """{
  id recordedAt who whoEn actorKind actorId role roleEn organisationUnit careTeam action text textEn activity groups
  questionnaires purpose purposeText purposeTextEn own emergency viewers citizenId protected operation traceId
}"""
MINE = (
    "query ($own: Boolean, $first: Int) { me { accessLog(own: $own, first: $first) { totalCount nodes "
    + LINE
    + " } } }"
)
SEARCH = (
    """
  query Search ($citizen: ID, $actor: ID, $unit: ID, $from: DateTime, $to: DateTime, $action: AccessLogAction,
                $emergency: Boolean, $first: Int) {
    accessLog(citizenId: $citizen, actorId: $actor, organisationUnitId: $unit, from: $from, to: $to, action: $action,
              emergencyOnly: $emergency, first: $first) { nodes """
    + LINE
    + " } }"
)


async def one(api: Api, sql: str, *arguments: Any) -> Any:
    async with api.product.database.peek(101) as connection:
        return await connection.fetchrow(sql, *arguments)


async def an_episode(api: Api) -> Any:
    """Return an episode of Copenhagen in which something was answered."""
    return await one(
        api,
        "SELECT e.*, r.id AS response_id, r.questionnaire_url FROM episode_of_care e JOIN response r"
        " ON r.municipality_id = e.municipality_id AND r.episode_id = e.id"
        " WHERE r.submitted_at IS NOT NULL AND NOT r.superseded AND EXISTS (SELECT FROM interpretation i"
        " WHERE i.municipality_id = r.municipality_id AND i.response_id = r.id) ORDER BY r.id LIMIT 1",
    )


def someone(kind: ActorKind, *roles: Role, **more: Any) -> Actor:
    return Actor(
        kind, more.pop("id", tables.new_id()), 101, (101,), AssuranceLevel.HIGH, roles=frozenset(roles), **more
    )


async def an_employee(api: Api) -> Any:
    return await one(api, "SELECT id, name FROM employee ORDER BY id LIMIT 1")


async def a_viewer(api: Api, episode: Any, **more: Any) -> Actor:
    """Return someone who reads answers in the episode's care team and acts in its unit."""
    employee = await an_employee(api)
    return someone(
        ActorKind.EMPLOYEE, Role.CLINICAL_VIEWER, id=employee["id"], name=employee["name"],
        care_teams={Role.CLINICAL_VIEWER: (episode["care_team_id"],)},
        organisation_unit=episode["organisation_unit_id"], care_team=episode["care_team_id"], **more,
    )  # fmt: skip


async def ask(api: Api, who: Actor, document: str, /, **variables: Any) -> Any:
    """Run a document as an actor; return its answer."""
    viewer = Viewer(api.product.application, who)
    return await SCHEMA.execute(document, variables, viewer)


async def told(api: Api, who: Actor, document: str, /, **variables: Any) -> Any:
    """Return the data of a document that must succeed."""
    result = await ask(api, who, document, **variables)
    assert result.errors is None, result.errors
    return result.data


class Written:
    """The lines that were written in a block, in the order of their ids."""

    lines: list[dict[str, Any]]


@asynccontextmanager
async def writing(api: Api) -> AsyncIterator[Written]:
    async def ids() -> list[UUID]:
        async with api.product.database.peek(101) as connection:
            return [row["id"] for row in await connection.fetch("SELECT id FROM access_log")]

    before, written = await ids(), Written()
    yield written
    async with api.product.database.peek(101) as connection:
        rows = await connection.fetch("SELECT * FROM access_log WHERE id <> ALL ($1) ORDER BY id", before)
    written.lines = [dict(row) for row in rows]


# --- What a line says


async def test_a_line_says_who_where_why_and_what_of_which_questionnaire(api: Api) -> None:
    episode = await an_episode(api)
    actor = await a_viewer(api, episode)
    document = """
      query Look($id: ID!) {
        questionnaireResponse(id: $id) { colour answers { values { display } } scores { value } citizen { name } }
      }
    """
    async with writing(api) as written:
        await told(api, actor, document, id=encode("res", episode["response_id"]))
    (line,) = written.lines
    expected = {
        "operation": "Look", "action": "read", "citizen_id": episode["citizen_id"], "actor_kind": "employee",
        "actor_id": actor.id, "roles": "clinical_viewer", "organisation_unit_id": episode["organisation_unit_id"],
        "care_team_id": episode["care_team_id"], "on_behalf_of": None, "purpose": "treatment", "override": False,
        "questionnaires": [episode["questionnaire_url"]], "viewers": [], "protected": False,
    }  # fmt: skip
    assert expected.items() <= line.items()
    assert set(line["fields_seen"].split()) == {"answers", "colours", "identity", "scores"}
    assert len(line["trace_id"]) == 32


async def test_saving_submitting_and_amending_say_of_which_questionnaire(api: Api) -> None:
    work = await open_assignment(api)
    async with writing(api) as written:
        await give_answers(api, work, weight=1)
        response = (await submit(api, work, "the line's"))["response"]["id"]
        assert (await submit(api, work, "the line's"))["repeated"]
        await api.run("amend-response", "citizen", response=response, reason="Jeg tog fejl")
    url = WHO5
    by_deed: dict[tuple[str, str], list[list[str]]] = {}
    for line in written.lines:
        by_deed.setdefault((line["operation"], line["action"]), []).append(line["questionnaires"])
    deeds = {
        ("SaveAnswer", "update"), ("SubmitResponse", "create"), ("SubmitResponse", "read"), ("AmendResponse", "update")
    }  # fmt: skip
    assert deeds <= by_deed.keys()
    assert [deed for deed in deeds if any(named != [url] for named in by_deed[deed])] == []


async def test_the_trace_of_the_request_is_in_its_lines_and_a_malformed_one_is_not(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token('citizen')}"}
    for parent, expected in ((f"00-{TRACE}-00f067aa0ba902b7-01", True), (f"00-{TRACE.upper()}-x-01", False)):
        async with writing(api) as written:
            asked = {"query": "query Traced { me { citizen { id } } }"}
            response = await api.http.post("/graphql/", json=asked, headers={**headers, "traceparent": parent})
        assert response.json()["data"]["me"]["citizen"]
        assert [(line["trace_id"] == TRACE) for line in written.lines] == [expected]


async def test_one_citizen_gives_one_line_however_many_fields_and_rows_are_read(api: Api) -> None:
    episode = await an_episode(api)
    document = """
      query ($id: ID!) { citizen(id: $id) {
        id name birthDate a: name
        episodes { nodes { id status latestResponses { id scores { value } interpretations { colour } } } }
        responses { nodes { id answers { path } } } trend(questionnaireUrl: "x", score: "y") { value }
      } }
    """
    async with writing(api) as written:
        await told(api, await a_viewer(api, episode), document, id=encode("cit", episode["citizen_id"]))
    assert [line["citizen_id"] for line in written.lines] == [episode["citizen_id"]]
    assert episode["questionnaire_url"] in written.lines[0]["questionnaires"]


@pytest.mark.parametrize(
    ("selection", "groups", "named"),
    [
        ("interpretations { label }", {"response", "colours"}, True),
        ("scores { value }", {"response", "scores"}, True),
        ("citizen { episodes { totalCount } }", {"response", "identity"}, True),
        ("__typename", {"response"}, True),
    ],
)
async def test_a_row_is_noted_whatever_is_asked_of_it(api: Api, selection: str, groups: set[str], named: bool) -> None:
    episode = await an_episode(api)
    async with writing(api) as written:
        document = f"query ($id: ID!) {{ questionnaireResponse(id: $id) {{ {selection} }} }}"
        await told(api, await a_viewer(api, episode), document, id=encode("res", episode["response_id"]))
    (line,) = written.lines
    assert set(line["fields_seen"].split()) == groups
    assert line["questionnaires"] == ([episode["questionnaire_url"]] if named else [])


async def test_a_page_of_which_no_row_is_shown_names_nobody(api: Api) -> None:
    episode = await an_episode(api)
    document = "query ($id: ID!) { careTeam(id: $id) { worklist { totalCount pageInfo { hasNextPage } } } }"
    async with writing(api) as written:
        await told(api, await a_viewer(api, episode), document, id=encode("team", episode["care_team_id"]))
    assert written.lines == []


async def test_a_record_opened_in_an_emergency_is_marked(api: Api) -> None:
    episode = await an_episode(api)
    actor = await a_viewer(api, episode, opened=(episode["citizen_id"],))
    async with writing(api) as written:
        await told(
            api, actor, "query ($id: ID!) { citizen(id: $id) { name } }", id=encode("cit", episode["citizen_id"])
        )
    assert [(line["purpose"], line["override"]) for line in written.lines] == [("emergency", True)]


async def test_an_operations_name_carries_no_cpr_number_into_the_log(api: Api) -> None:
    number = "0707614285"
    async with writing(api) as written:
        await api.run(f"query Find_{number} {{ me {{ citizen {{ id }} }} }}", "citizen")
    assert [number in line["operation"] for line in written.lines] == [False]


# --- Writes, searches, and what happens when a line cannot be written


class Known(Rejected):
    """A rejection of the tests."""


async def test_a_search_that_finds_nobody_leaves_a_line_although_it_is_rejected(api: Api) -> None:
    employee = await an_employee(api)
    actor = someone(ActorKind.EMPLOYEE, Role.CITIZEN_ENROLLER, id=employee["id"])
    async with writing(api) as written:
        with pytest.raises(Known):
            async with api.product.database.change(actor, "Find") as change:
                change.saw_nobody()
                raise Known
    assert [(line["action"], line["citizen_id"], line["actor_id"]) for line in written.lines] == [
        ("search", None, actor.id)
    ]


async def test_a_change_that_is_rejected_logs_what_was_looked_at_and_nothing_that_was_not_done(api: Api) -> None:
    episode = await an_episode(api)
    actor = await a_viewer(api, episode)
    for error, expected in ((Known, ["read"]), (RuntimeError, [])):
        async with writing(api) as written:
            with pytest.raises(error):
                async with api.product.database.change(actor, "Half") as change:
                    change.saw(101, episode["citizen_id"], ("identity",))
                    change.saw(101, episode["citizen_id"], ("answers",), action="update")
                    raise error
        assert [line["action"] for line in written.lines] == expected


@asynccontextmanager
async def refusing(api: Api) -> AsyncIterator[None]:
    """Let the server refuse every line of the log."""
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute("REVOKE INSERT ON access_log FROM kpro_api")
    try:
        yield
    finally:
        await owner.execute("GRANT INSERT ON access_log TO kpro_api")
        await owner.close()


async def test_without_a_line_nothing_is_answered_changed_rejected_or_delivered(api: Api) -> None:
    episode = await an_episode(api)
    actor = await a_viewer(api, episode)
    document = "query ($id: ID!) { questionnaireResponse(id: $id) { id } }"
    async with writing(api) as written, refusing(api):
        answer = await ask(api, actor, document, id=encode("res", episode["response_id"]))
        assert answer.data is None
        assert answer.errors
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api.product.database.change(actor, "Lost") as change:
                change.saw(101, episode["citizen_id"], ("identity",), action="update")
                await change.fetch("UPDATE citizen SET given_name = 'Lost' WHERE id = $1", (episode["citizen_id"],))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api.product.database.change(actor, "Lost") as change:
                change.saw_nobody()
                raise Known
        async with subscribing(api, [a_system()]) as (deliveries,):
            await announce(api, episode)
            delivered = await asyncio.wait_for(deliveries, 5)
            assert (delivered.data, bool(delivered.errors)) == (None, True)
    assert written.lines == []
    kept = await one(api, "SELECT given_name FROM citizen WHERE id = $1", episode["citizen_id"])
    assert kept["given_name"] != "Lost"


# --- Deliveries


def a_system(**more: Any) -> Actor:
    return someone(ActorKind.SYSTEM, Role.INTEGRATOR, **more)


@asynccontextmanager
async def subscribing(
    api: Api, actors: Iterable[Actor], selection: str = "id citizen { id }"
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Let each actor wait for the next delivery."""
    document = f"subscription Follow {{ responseUpdates {{ response {{ {selection} }} }} }}"

    async def first(actor: Actor) -> Any:
        # Whoever comes over a socket belongs to an audience.
        stream = await SCHEMA.stream(document, None, Viewer(api.product.application, actor, peer=object()))
        try:
            async for result in stream:
                if isinstance(result, Answer):
                    return SimpleNamespace(data=json.loads(result.body)["data"], errors=None)
                return result
        finally:
            await stream.aclose()

    tasks = [asyncio.create_task(first(actor)) for actor in actors]
    await asyncio.sleep(0.3)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def announce(api: Api, episode: Any) -> None:
    """Announce the episode's response as submitted, once more."""
    async with api.product.database.change(someone(ActorKind.OPERATOR), "test") as change:
        change.record(
            Happened(
                EventType.RESPONSE_SUBMITTED, "QuestionnaireResponse", episode["response_id"], 1,
                citizen_id=episode["citizen_id"], care_team_id=episode["care_team_id"],
            )
        )  # fmt: skip


async def test_subscribers_in_the_same_scope_who_ask_the_same_share_one_line_that_lists_them(api: Api) -> None:
    episode = await an_episode(api)
    alike, other = [a_system() for _ in range(6)], a_system(may_have_answers=False)
    async with writing(api) as written, subscribing(api, [*alike, other]) as deliveries:
        await announce(api, episode)
        results = await asyncio.wait_for(asyncio.gather(*deliveries), 10)
    assert all(result.data["responseUpdates"]["response"]["id"] for result in results)
    assert [line["action"] for line in written.lines] == ["deliver", "deliver"]
    assert sorted((sorted(line["viewers"]) for line in written.lines), key=len) == [
        [str(other.id)],
        sorted(str(actor.id) for actor in alike),
    ]
    assert {line["citizen_id"] for line in written.lines} == {episode["citizen_id"]}


async def test_one_who_leaves_keeps_nobody_from_a_delivery(api: Api) -> None:
    episode = await an_episode(api)
    actors = [a_system() for _ in range(3)]
    async with writing(api) as written, subscribing(api, actors) as tasks:
        await announce(api, episode)
        tasks[0].cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks[1:]), 5)
    assert all(result.data["responseUpdates"]["response"] for result in results)
    viewers = {viewer for line in written.lines for viewer in line["viewers"]}
    assert {str(actor.id) for actor in actors[1:]} <= viewers


# --- Reading: the citizen


async def the_citizen(api: Api, episode: Any, **more: Any) -> Actor:
    person = await one(api, "SELECT person_id FROM citizen WHERE id = $1", episode["citizen_id"])
    return someone(ActorKind.CITIZEN, id=more.pop("id", person["person_id"]), citizens=(episode["citizen_id"],), **more)


async def test_a_citizen_reads_in_plain_danish_who_saw_what_newest_first(api: Api) -> None:
    episode = await an_episode(api)
    viewer, citizen = await a_viewer(api, episode), await the_citizen(api, episode)
    document = "query ($id: ID!) { questionnaireResponse(id: $id) { colour answers { path } } }"
    await told(api, viewer, document, id=encode("res", episode["response_id"]))
    unit = await one(api, "SELECT name FROM organisation_unit WHERE id = $1", episode["organisation_unit_id"])
    team = await one(api, "SELECT name FROM care_team WHERE id = $1", episode["care_team_id"])
    title = await one(
        api,
        "SELECT title, title_en FROM questionnaire WHERE url = $1 ORDER BY status LIMIT 1",
        episode["questionnaire_url"],
    )
    page = (await told(api, citizen, MINE, own=False))["me"]["accessLog"]
    line = page["nodes"][0]
    assert (line["who"], line["role"], line["roleEn"]) == (
        viewer.name, "Fagperson med klinisk se-adgang", "Professional with clinical read access",
    )  # fmt: skip
    assert (line["organisationUnit"], line["careTeam"]) == (unit["name"], team["name"])
    assert line["text"] == f"Så svar og farver i {title['title']}."
    assert line["textEn"] == f"Saw answers and colours of {title['title_en'] or title['title']}."
    assert line["activity"] == line["text"].rstrip(".")
    assert (line["action"], line["purpose"], line["purposeText"]) == ("READ", "TREATMENT", "Behandling og opfølgning")
    assert (line["own"], line["emergency"]) == (False, False)
    times = [each["recordedAt"] for each in page["nodes"]]
    assert times == sorted(times, reverse=True)
    assert page["totalCount"] >= len(times) > 0


async def test_a_citizens_own_looks_are_in_the_log_and_can_be_told_apart(api: Api) -> None:
    episode = await an_episode(api)
    citizen = await the_citizen(api, episode)
    async with api.product.database.read(await a_viewer(api, episode), "Somebody") as reading:
        reading.saw(101, episode["citizen_id"], ("identity",))
    await told(api, citizen, MINE)
    own = (await told(api, citizen, MINE, own=True, first=1))["me"]["accessLog"]["nodes"][0]
    assert (own["who"], own["own"], own["purpose"], own["text"]) == ("Borgeren selv", True, "OWN", "Så adgangslog.")
    others = (await told(api, citizen, MINE, own=False))["me"]["accessLog"]["nodes"]
    assert not any(line["own"] for line in others)


async def test_a_citizen_sees_no_line_about_anybody_else_and_staff_have_no_log_of_their_own(api: Api) -> None:
    episode = await an_episode(api)
    other = await one(api, "SELECT id FROM citizen WHERE id <> $1 ORDER BY id LIMIT 1", episode["citizen_id"])
    async with api.product.database.read(await a_viewer(api, episode), "Both") as reading:
        reading.saw(101, other["id"], ("identity",))
        reading.saw(101, episode["citizen_id"], ("identity",))
    lines = (await told(api, await the_citizen(api, episode), MINE))["me"]["accessLog"]["nodes"]
    assert {line["citizenId"] for line in lines} == {encode("cit", episode["citizen_id"])}
    assert (await told(api, await a_viewer(api, episode), MINE))["me"]["accessLog"] is None


async def test_a_guardian_is_not_shown_protected_lines_and_the_citizen_and_an_attorney_are(api: Api) -> None:
    episode = await an_episode(api)
    owner = await asyncpg.connect(api.product.databases.need("api").replace("kpro_api", "postgres"))
    hide = "UPDATE episode_of_care SET hidden_from_guardians = $2 WHERE id = $1"
    try:
        await owner.execute(hide, episode["id"], True)
        async with api.product.database.read(await a_viewer(api, episode), "Hidden") as reading:
            reading.saw(101, episode["citizen_id"], ("answers",))
        await owner.execute(hide, episode["id"], False)
    finally:
        await owner.close()

    async def hidden(**more: Any) -> list[bool]:
        actor = await the_citizen(api, episode, **more)
        nodes = (await told(api, actor, MINE))["me"]["accessLog"]["nodes"]
        return [line["protected"] for line in nodes if line["operation"] == "Hidden"]

    behalf = {"id": tables.new_id(), "on_behalf_of": episode["citizen_id"]}
    assert await hidden() == [True]
    assert await hidden(**behalf, representation=RepresentationKind.POWER_OF_ATTORNEY) == [True]
    assert await hidden(**behalf, representation=RepresentationKind.GUARDIAN) == []
    answering = {"representation": RepresentationKind.POWER_OF_ATTORNEY, "rights": frozenset({Right.ANSWER})}
    assert await hidden(**behalf, **answering) == []
    assert await hidden(assignments=()) == []


async def test_whoever_represents_a_citizen_is_told_as_that(api: Api) -> None:
    episode = await an_episode(api)
    attorney = await the_citizen(
        api, episode, id=tables.new_id(), on_behalf_of=episode["citizen_id"],
        representation=RepresentationKind.POWER_OF_ATTORNEY,
    )  # fmt: skip
    await told(api, attorney, "{ me { citizen { name } } }")
    line = (await told(api, await the_citizen(api, episode), MINE, own=False, first=1))["me"]["accessLog"]["nodes"][0]
    assert line["who"] == "En person, der handler på borgerens vegne"
    assert (line["purpose"], line["own"], line["text"]) == ("REPRESENTATION", False, "Så navn og fødselsdato.")


# --- Reading: the security officer


async def an_officer(api: Api) -> Actor:
    employee = await an_employee(api)
    return someone(ActorKind.SECURITY_OFFICER, Role.SECURITY_OFFICER, id=employee["id"])


async def test_a_security_officer_searches_the_municipalitys_lines(api: Api) -> None:
    episode = await an_episode(api)
    officer = await an_officer(api)
    citizen = encode("cit", episode["citizen_id"])
    viewer = await a_viewer(api, episode)
    opened = await a_viewer(api, episode, opened=(episode["citizen_id"],))
    look = "query Searched($id: ID!) { citizen(id: $id) { name } }"
    await told(api, viewer, look, id=citizen)
    await told(api, opened, look, id=citizen)

    async def found(**arguments: Any) -> list[Any]:
        return list((await told(api, officer, SEARCH, **arguments))["accessLog"]["nodes"])

    everything = await found(citizen=citizen, first=100)
    assert everything
    assert {line["citizenId"] for line in everything} == {citizen}
    emergencies = await found(citizen=citizen, emergency=True)
    assert [(line["purpose"], line["emergency"]) for line in emergencies][:1] == [("EMERGENCY", True)]
    assert all(line["emergency"] for line in emergencies)
    theirs = await found(
        actor=encode("emp", viewer.id), action="READ", unit=encode("unit", episode["organisation_unit_id"])
    )
    assert {(line["actorId"], line["action"]) for line in theirs} == {(encode("emp", viewer.id), "READ")}
    newest = theirs[0]["recordedAt"]
    assert not any(line["recordedAt"] >= newest for line in await found(citizen=citizen, to=newest))
    assert newest in {line["recordedAt"] for line in await found(citizen=citizen, **{"from": newest})}
    assert await found(citizen=encode("cit", tables.new_id())) == []
    assert await found(actor="rubbish") == []


async def test_a_delivery_is_found_by_any_of_its_viewers(api: Api) -> None:
    episode = await an_episode(api)
    actors = [a_system() for _ in range(3)]
    async with subscribing(api, actors) as deliveries:
        await announce(api, episode)
        await asyncio.wait_for(asyncio.gather(*deliveries), 5)
    for actor in actors:
        found = await told(api, await an_officer(api), SEARCH, actor=encode("actor", actor.id))
        (line,) = found["accessLog"]["nodes"]
        assert (line["action"], line["viewers"], line["text"]) == ("DELIVER", ["Et it-system"] * 3, line["text"])
        assert line["text"].startswith("Fik leveret ")


async def test_a_security_officers_search_is_logged_also_when_it_finds_nothing(api: Api) -> None:
    episode = await an_episode(api)
    officer = await an_officer(api)
    citizen = encode("cit", episode["citizen_id"])
    await told(api, await a_viewer(api, episode), "query ($id: ID!) { citizen(id: $id) { name } }", id=citizen)
    async with writing(api) as written:
        await told(api, officer, SEARCH, citizen=citizen)
    assert [(line["action"], line["citizen_id"], line["fields_seen"], line["purpose"]) for line in written.lines] == [
        ("search", episode["citizen_id"], "access_log", "security")
    ]
    for document in (SEARCH, "query ($citizen: ID) { accessLog(citizenId: $citizen) { totalCount } }"):
        async with writing(api) as written:
            await told(api, officer, document, citizen=encode("cit", tables.new_id()))
        assert [(line["action"], line["citizen_id"], line["actor_id"]) for line in written.lines] == [
            ("search", None, officer.id)
        ]
    seen = (await told(api, await the_citizen(api, episode), MINE, own=False, first=1))["me"]["accessLog"]["nodes"][0]
    assert (seen["text"], seen["purposeText"]) == ("Søgte i adgangsloggen.", "Kontrol af adgang")


async def test_nobody_but_a_security_officer_searches_the_log(api: Api) -> None:
    episode = await an_episode(api)
    viewer, citizen = await a_viewer(api, episode), await the_citizen(api, episode)
    roleless = someone(ActorKind.SECURITY_OFFICER)
    disguised = someone(ActorKind.EMPLOYEE, Role.SECURITY_OFFICER)
    for actor in (viewer, citizen, a_system(), someone(ActorKind.OPERATOR), roleless, disguised):
        result = await ask(api, actor, SEARCH)
        assert result.data is None
        assert [error.extensions["code"] for error in result.errors or ()] == ["FORBIDDEN"], actor.kind


async def test_an_officer_sees_no_other_municipalitys_lines(api: Api) -> None:
    elsewhere = Actor(
        ActorKind.SECURITY_OFFICER, tables.new_id(), 851, (851,), AssuranceLevel.HIGH,
        roles=frozenset({Role.SECURITY_OFFICER}),
    )  # fmt: skip
    episode = await an_episode(api)
    found = await told(api, elsewhere, SEARCH, citizen=encode("cit", episode["citizen_id"]))
    assert found["accessLog"]["nodes"] == []


# --- Words


def groups_of_the_schema() -> set[str]:
    found: set[str] = set()
    for type_ in SCHEMA._schema.type_map.values():
        definition: Any = type_.extensions.get("strawberry-definition")
        origin = getattr(definition, "origin", None)
        if isinstance(origin, type) and issubclass(origin, Row) and origin.source.subject:
            found |= {
                group for field in definition.fields if isinstance(field, DeclaredField) and (group := field.group_in(origin))
            } | {origin.group}  # fmt: skip
    return found


def groups_of_the_nouns() -> set[str]:
    """Return the groups that changes note by themselves, as the code writes them."""
    return {
        str(part.value)
        for page in (ROOT / "kpro_graph").rglob("*.py")
        for node in ast.walk(ast.parse(page.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("saw")
        for given in node.args
        if isinstance(given, (ast.Tuple, ast.Set))
        for part in given.elts
        if isinstance(part, ast.Constant)
    }


def test_every_group_of_fields_purpose_role_and_kind_of_actor_has_its_words() -> None:
    assert groups_of_the_schema() <= GROUPS.keys()
    assert len(groups_of_the_schema()) > 6
    assert {"answers", "identity"} <= groups_of_the_nouns() <= GROUPS.keys()
    assert PURPOSES.keys() == set(Purpose)
    assert ROLES.keys() == set(Role)
    assert SOMEBODY.keys() == set(ActorKind)


@given(
    action=st.sampled_from(["read", "create", "update", "search", "deliver"]),
    groups=st.lists(st.sampled_from([*GROUPS, "a_new_group"]), unique=True),
    titles=st.lists(st.text(min_size=1, max_size=90), max_size=5),
    found=st.booleans(),
)
def test_an_activity_fits_min_log_whatever_was_seen(
    action: str, groups: list[str], titles: list[str], found: bool
) -> None:
    line = {"action": action, "fields_seen": " ".join(groups), "citizen_id": 1 if found else None}
    told = activity(line, [(title, title) for title in titles])
    assert 0 < len(told) <= LONGEST_ACTIVITY
    assert all(text.endswith(".") and len(text) > 3 for text in sentence(line, [(title, title) for title in titles]))


@pytest.mark.parametrize(
    ("action", "groups", "titles", "danish"),
    [
        ("read", "colours answers", ["Diabetes"], "Så svar og farver i Diabetes"),
        ("create", "answers scores colours", ["WHO-5"], "Registrerede svar, scorer og farver i WHO-5"),
        ("update", "answers", ["WHO-5", "EQ-5D-5L"], "Ændrede svar i EQ-5D-5L og WHO-5"),
        ("search", "identity", [], "Søgte og så navn og fødselsdato"),
        ("deliver", "response", ["A" * 70], "Fik leveret besvarelser i 1 spørgeskema"),
        ("read", "answers scores", ["B" * 40, "C" * 40], "Så svar og scorer i 2 spørgeskemaer"),
        ("read", " ".join(GROUPS), [], "Så adgangslog og oplysninger"),
    ],
)
def test_an_activity_reads_as_danish(action: str, groups: str, titles: list[str], danish: str) -> None:
    line = {"action": action, "fields_seen": groups, "citizen_id": 1}
    assert activity(line, [(title, title) for title in titles]) == danish


# --- The judge, and the command


def test_the_judge_of_the_log_knows_citizens_and_officers_only() -> None:
    for actor in (someone(ActorKind.EMPLOYEE, *Role), a_system(), someone(ActorKind.OPERATOR, *Role)):
        assert access.ACCESS_LOG.visible(actor).sql == "false"


async def kpro(api: Api, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `kpro access-log` with the installation's secret, unless the environment says something else."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KPRO_")},
        "KPRO_DATABASE_URL": api.product.databases.need("api"), "NO_COLOR": "1", "COLUMNS": "200",
        "KPRO_RELAY_URL": api.product.databases.need("relay"), "KPRO_SECRET": base64.b64encode(SECRET).decode(),
        "KPRO_FOLDER": str(api.product.settings.folder), **environment,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kpro_graph", "access-log", *arguments, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def a_sealed_line(api: Api) -> None:
    """See to it that there is a line in Copenhagen's log, under a seal whose head is witnessed."""
    episode = await an_episode(api)
    document = "query ($id: ID!) { questionnaireResponse(id: $id) { colour } }"
    await told(api, await a_viewer(api, episode), document, id=encode("res", episode["response_id"]))
    for _ in range(200):
        if not (await one(api, "SELECT count(*) AS n FROM access_log WHERE position IS NULL"))["n"]:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)


async def test_the_command_verifies_the_log_and_ends_with_one_when_something_is_found(api: Api) -> None:
    await a_sealed_line(api)
    code, out, errors = await kpro(api, "verify")
    assert (code, out.startswith("Everything holds: "), errors) == (0, True, "")
    code, out, errors = await kpro(
        api, "verify", "--json", "--municipality", "0101", "--heads", str(api.product.settings.heads)
    )
    assert (code, errors) == (0, "")
    assert (json.loads(out)["findings"], json.loads(out)["municipalities"]) == ([], 1)
    assert json.loads(out)["lines"] > 0
    superuser = await asyncpg.connect(api.product.databases.need("api").replace("kpro_api", "postgres"))
    change = "UPDATE access_log SET operation = '{}' || operation WHERE municipality_id = 101 AND position = 1"
    assert await superuser.execute(change.format("x")) == "UPDATE 1"
    try:
        code, out, errors = await kpro(api, "verify")
        assert (code, "1 findings" in out) == (1, True), (out, errors)
        assert "Municipality 0101: The lines at positions 1 to " in errors
        code, out, _ = await kpro(api, "verify", "--json")
        assert (code, [each["code"] for each in json.loads(out)["findings"]]) == (1, ["lines_changed"])
    finally:
        await superuser.execute(
            "UPDATE access_log SET operation = substr(operation, 2) WHERE municipality_id = 101 AND position = 1"
        )
        await superuser.close()
    assert (await kpro(api, "verify"))[0] == 0
    assert (await kpro(api, "verify", "--municipality", "x"))[0] == 1


async def test_the_public_key_alone_is_enough_to_verify(api: Api) -> None:
    await a_sealed_line(api)
    code, public, errors = await kpro(api, "key")
    assert (code, errors) == (0, "")
    code, out, errors = await kpro(api, "verify", "--public-key", public.strip(), KPRO_SECRET="")
    assert (code, out.startswith("Everything holds: "), errors) == (0, True, "")
    code, out, errors = await kpro(api, "verify", KPRO_SECRET="")
    assert (code, "KPRO_ACCESS_LOG_KEY is needed" in errors) == (1, True)
    code, _, errors = await kpro(api, "verify", "--public-key", "not a key", KPRO_SECRET="")
    assert (code, "base64 of 32 bytes" in errors) == (1, True)


async def test_the_log_can_be_signed_with_a_key_of_its_own_that_the_secret_cannot_stand_in_for(api: Api) -> None:
    await a_sealed_line(api)
    seed = base64.b64encode(bytes(range(32))).decode()
    code, out, _ = await kpro(api, "key", "--json", KPRO_ACCESS_LOG_KEY=seed, KPRO_SECRET="")
    public = json.loads(out)
    assert (code, public["publicKey"]) == (0, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
    code, out, _ = await kpro(api, "verify", "--json", "--public-key", public["publicKey"])
    assert (code, {each["code"] for each in json.loads(out)["findings"]} >= {"heads_altered"}) == (1, True)
    both = ("--public-key", public["publicKey"], "--public-key", (await kpro(api, "key"))[1].strip())
    assert (await kpro(api, "verify", *both))[0] == 0
