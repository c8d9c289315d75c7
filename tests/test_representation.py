"""Acting for a citizen: by power of attorney or as a guardian, within what was given and for as long."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from kpro_graph import access
from kpro_graph.actors import Credentials, Identity, Right, Role
from kpro_graph.execution.sources import Statement
from kpro_graph.identity import authenticate
from tests.living import Api
from tests.people import DEMOGRAPHY, citizen, employee, grant, member
from tests.test_main_job import WHO5, give_answers, open_assignment, submit

TEAMS = DEMOGRAPHY.care_teams("0101")
NOBODY = "00000000000000000000000000000000"

LOOK = """
  query ($citizen: ID!, $episode: ID!, $assignment: ID!, $response: ID!, $url: String!) {
    me {
      onBehalfOf { id } purpose
      citizen {
        id
        episodes(first: 100) { totalCount nodes { id lastResponseAt consents { decision } } }
        assignments(first: 100) { totalCount nodes { id draft { id draftAnswers { fhir } } response { id } } }
        responses(first: 100) { totalCount nodes { id } }
        latestResponses { id }
        trend(questionnaireUrl: $url, score: "who5") { id }
      }
    }
    citizen(id: $citizen) { id }
    episodeOfCare(id: $episode) { id consents { decision } latestResponses { id } }
    assignment(id: $assignment) { id draft { id draftAnswers { fhir } } response { id } }
    questionnaireResponse(id: $response) {
      id submittedAt colour answers { path } scores { id } interpretations { id } draftAnswers { fhir }
    }
    nodes(ids: [$episode, $assignment, $response]) { id }
  }
"""


async def register(
    api: Api, work: dict[str, Any], number: int, rights: tuple[str, ...] = ("READ", "ANSWER"), **more: Any
) -> Identity:
    """Let a person who is no citizen here yet act for the citizen; return who signs in as them."""
    data = await api.run(
        "register-representation", more.pop("as_", "enroller"), citizen=work["citizen"]["id"], name="Rita Ravn",
        cpr=DEMOGRAPHY.citizen_cpr("0101", number), rights=rights, **more,
    )  # fmt: skip
    assert data["registerRepresentation"]["__typename"] == "RepresentationRecorded", data
    return citizen(number)


async def look(api: Api, work: dict[str, Any], response: str, who: Any, *, context: str = "") -> Any:
    ids = {"citizen": work["citizen"]["id"], "episode": work["episode"]["id"], "assignment": work["assignment"]["id"]}
    return await api.run(LOOK, who, context=context, **ids, response=response, url=WHO5)


async def save(api: Api, work: dict[str, Any], who: Any, context: str, code: str = "3", path: str = "1") -> Any:
    values = [{"coding": {"system": "https://kpro-graph.dk/CodeSystem/who-5-frequency", "code": code}}]
    data = await api.run(
        "save-answer", who, context=context, assignment=work["assignment"]["id"],
        questionnaire=work["questionnaire"]["id"], path=path, values=values,
    )  # fmt: skip
    return data["saveAnswer"]


async def send(api: Api, work: dict[str, Any], who: Any, context: str, key: str) -> Any:
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    return (await api.run("submit-response", who, context=context, **ids, key=key))["submitResponse"]


async def answered(api: Api, key: str) -> tuple[dict[str, Any], str]:
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    return work, (await submit(api, work, key))["response"]["id"]


async def rows(api: Api, sql: str, *arguments: Any) -> list[dict[str, Any]]:
    async with api.product.database.peek(101) as connection:
        return [dict(row) for row in await connection.fetch(sql, *arguments)]


def assert_nothing(data: Any) -> None:
    assert data["citizen"] is data["episodeOfCare"] is data["assignment"] is data["questionnaireResponse"] is None
    assert data["nodes"] == [None, None, None]


async def test_whoever_acts_for_a_citizen_answers_in_their_own_name(api: Api) -> None:
    work = await open_assignment(api)
    who = await register(api, work, 1001)
    as_themselves = await look(api, work, f"res_{NOBODY}", who)
    assert as_themselves["me"]["citizen"] is None
    assert_nothing(as_themselves)
    context = work["citizen"]["id"]
    for path in "12345":
        assert (await save(api, work, who, context, path=path))["__typename"] == "AnswerSaved"
    drafting = await look(api, work, f"res_{NOBODY}", who, context=context)
    assert drafting["me"]["onBehalfOf"] == {"id": context}
    assert drafting["me"]["purpose"] == "REPRESENTATION"
    assert len(drafting["assignment"]["draft"]["draftAnswers"]) == 5
    sent = await send(api, work, who, context, "by a relative")
    assert sent["__typename"] == "ResponseSubmitted", sent
    response = sent["response"]["id"]
    read = await look(api, work, response, who, context=context)
    assert read["questionnaireResponse"]["answers"]
    named = "SELECT representative_id AS id FROM representation WHERE id = $1"
    person = (await rows(api, named, _uuid(await latest(api, work))))[0]["id"]
    (stored,) = await rows(api, "SELECT source, author_id, citizen_id FROM response WHERE id = $1", _uuid(response))
    assert (stored["source"], stored["author_id"], stored["citizen_id"]) == ("relatedperson", person, _uuid(context))
    lines = await rows(
        api, "SELECT * FROM access_log WHERE actor_id = $1 AND citizen_id = $2 AND on_behalf_of IS NOT NULL",
        person, _uuid(context),
    )  # fmt: skip
    assert {line["purpose"] for line in lines} == {"representation"}
    assert {line["on_behalf_of"] for line in lines} == {_uuid(context)}
    assert {"read", "create", "update"} <= {line["action"] for line in lines}
    # The citizen's own answers stay the citizen's own.
    _, own = await answered(api, "by the citizen")
    (theirs,) = await rows(api, "SELECT source, author_id FROM response WHERE id = $1", _uuid(own))
    assert theirs["source"] == "patient"
    assert theirs["author_id"] != person


async def test_whoever_submits_stands_for_the_answers_whoever_began_them(api: Api) -> None:
    work = await open_assignment(api)
    who = await register(api, work, 1002)
    await give_answers(api, work, weight=2)
    sent = await send(api, work, who, work["citizen"]["id"], "finished by a relative")
    (stored,) = await rows(api, "SELECT source FROM response WHERE id = $1", _uuid(sent["response"]["id"]))
    assert stored["source"] == "relatedperson"
    work = await open_assignment(api)
    for path in "12345":
        await save(api, work, who, work["citizen"]["id"], path=path)
    sent = await send(api, work, "citizen", "", "finished by the citizen")
    (stored,) = await rows(api, "SELECT source FROM response WHERE id = $1", _uuid(sent["response"]["id"]))
    assert stored["source"] == "patient"


async def test_the_right_to_read_does_not_let_anybody_answer(api: Api) -> None:
    work, response = await answered(api, "read only")
    who, context = await register(api, work, 1003, ("READ",)), work["citizen"]["id"]
    seen = await look(api, work, response, who, context=context)
    assert seen["questionnaireResponse"]["answers"]
    assert response in {node["id"] for node in seen["me"]["citizen"]["responses"]["nodes"]}
    await api.run("amend-response", "citizen", response=response, reason="Jeg læste forkert")
    open_work = await open_assignment(api)
    await give_answers(api, open_work, weight=3)
    for each in (work, open_work):
        seen = await look(api, each, response, who, context=context)
        # Drafts are for those who answer.
        assert seen["assignment"]["draft"] is None
        assert (await save(api, each, who, context))["code"] == "REFERENCE_UNKNOWN"
        assert (await send(api, each, who, context, "not theirs to send"))["code"] == "REFERENCE_UNKNOWN"
    amended = await api.run("amend-response", who, context=context, response=response, reason="Ikke min")
    assert amended["amendResponse"]["code"] == "REFERENCE_UNKNOWN"
    stored = await rows(api, "SELECT count(*) AS n FROM draft_answer WHERE answered_by NOT IN (SELECT id FROM person)")
    assert stored[0]["n"] == 0


async def test_the_right_to_answer_does_not_let_anybody_read_what_was_submitted(api: Api) -> None:
    work, response = await answered(api, "answer only")
    await api.run("set-episode-policy", "viewer", episode=work["episode"]["id"], coloursShown=True)
    who, context = await register(api, work, 1004, ("ANSWER",)), work["citizen"]["id"]

    async def assert_unread(amending: str = "") -> None:
        seen = await look(api, work, amending or response, who, context=context)
        assert seen["me"]["citizen"]["responses"] == {"totalCount": 0, "nodes": []}
        assert seen["me"]["citizen"]["latestResponses"] == seen["me"]["citizen"]["trend"] == []
        assert {node["lastResponseAt"] for node in seen["me"]["citizen"]["episodes"]["nodes"]} == {None}
        assert {node["response"] and 1 for node in seen["me"]["citizen"]["assignments"]["nodes"]} == {None}
        assert seen["questionnaireResponse"] is None
        assert seen["nodes"][2] is None
        assert seen["assignment"]["draft"] is seen["assignment"]["response"] is None
        assert seen["episodeOfCare"]["latestResponses"] == []

    await assert_unread()
    refused = await api.run("amend-response", who, context=context, response=response, reason="For at læse det")
    assert refused["amendResponse"]["code"] == "REFERENCE_UNKNOWN"
    # An amendment of the citizen's begins with what was submitted; it is not shown and not to be written in.
    opened = await api.run("amend-response", "citizen", response=response, reason="Jeg læste forkert")
    await assert_unread(opened["amendResponse"]["response"]["id"])
    assert (await save(api, work, who, context))["code"] == "ASSIGNMENT_CLOSED"
    assert "draftAnswers" not in str(await send(api, work, who, context, "an amendment"))
    # What is open they answer, and do not read again once it is sent.
    open_work = await open_assignment(api)
    for path in "12345":
        await save(api, open_work, who, context, path=path)
    drafting = await look(api, open_work, response, who, context=context)
    assert len(drafting["assignment"]["draft"]["draftAnswers"]) == 5
    sent = await send(api, open_work, who, context, "sent and gone")
    assert sent["receipt"]
    assert sent["response"] is None
    again = await send(api, open_work, who, context, "another key for it")
    assert (again["code"], again.get("response")) == ("ALREADY_SUBMITTED", None)


async def test_nobody_decides_about_consent_for_the_citizen(api: Api) -> None:
    work = await open_assignment(api)
    who, context = await register(api, work, 1005), work["citizen"]["id"]
    for document in ("withdraw-consent", "give-consent"):
        data = await api.run(document, who, context=context, episode=work["episode"]["id"])
        (outcome,) = data.values()
        assert outcome["code"] == "REFERENCE_UNKNOWN"
    policy = await api.answer(
        "set-episode-policy", who, context=context, episode=work["episode"]["id"], coloursShown=True
    )
    assert policy["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    seen = await api.run(
        "query ($id: ID!) { episodeOfCare(id: $id) { status consents { decision } } }",
        "citizen",
        id=work["episode"]["id"],
    )
    assert seen["episodeOfCare"] == {"status": "ACTIVE", "consents": [{"decision": "GIVEN"}]}


async def test_a_representative_sees_one_record_at_a_time(api: Api) -> None:
    work = await open_assignment(api)
    # The demo's next citizen has a record of their own here.
    await register(api, work, 1)
    who = citizen(1)
    mine = (await api.run("{ me { citizen { id } } }", who))["me"]["citizen"]["id"]
    own = "query ($id: ID!) { me { citizen { id } onBehalfOf { id } } citizen(id: $id) { id } }"
    as_self = await api.run(own, who, id=work["citizen"]["id"])
    assert as_self == {"me": {"citizen": {"id": mine}, "onBehalfOf": None}, "citizen": None}
    assert (await api.run(own, who, context=mine, id=mine))["me"]["onBehalfOf"] is None
    acting = await api.run(own, who, context=work["citizen"]["id"], id=mine)
    other = {"id": work["citizen"]["id"]}
    assert acting == {"me": {"citizen": other, "onBehalfOf": other}, "citizen": None}


@pytest.mark.parametrize("when", ["ended", "expired", "not yet"])
async def test_nobody_acts_for_a_citizen_before_or_after_their_time(api: Api, when: str) -> None:
    work, response = await answered(api, f"time {when}")
    number = {"ended": 1010, "expired": 1011, "not yet": 1012}[when]
    until = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat() if when == "expired" else None
    who, context = await register(api, work, number, validUntil=until), work["citizen"]["id"]
    assert (await look(api, work, response, who, context=context))["questionnaireResponse"]
    listed = "{ me { representations { key } } }"
    assert (await api.run(listed, who))["me"]["representations"] == [{"key": context}]
    representation = await latest(api, work)
    assert (await api.run("query ($id: ID!) { node(id: $id) { id } }", who, id=representation))["node"]
    if when == "ended":
        ended = await api.run("end-representation", "enroller", representation=representation)
        assert ended["endRepresentation"]["representation"]["endedAt"]
        again = await api.run("end-representation", "enroller", representation=representation)
        assert again["endRepresentation"]["code"] == "REFERENCE_UNKNOWN"
    elif when == "expired":
        await asyncio.sleep(1.7)
    else:
        owner = await asyncpg.connect(api.product.databases.need("owner"))
        await owner.execute("SELECT set_config('kpro.municipalities', '{101}', false)")
        await owner.execute("UPDATE representation SET valid_from = now() + interval '1 day' WHERE id = $1",
                            _uuid(representation))  # fmt: skip
        await owner.close()
    answer = await api.answer("me", who, context=context)
    assert answer["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"
    assert (await api.run(listed, who))["me"]["representations"] == []
    assert (await api.run("query ($id: ID!) { node(id: $id) { id } }", who, id=representation))["node"] is None
    assert_nothing(await look(api, work, response, who))


async def test_a_right_that_ends_closes_a_socket_that_is_open(api: Api) -> None:
    work = await open_assignment(api)
    who, context = await register(api, work, 1013), work["citizen"]["id"]
    look = "{ me { onBehalfOf { id } citizen { episodes { totalCount } } } }"
    async with connect(api.address.replace("http", "ws", 1) + "/graphql/",
                       subprotocols=[Subprotocol("graphql-transport-ws")]) as channel:  # fmt: skip
        hello = {"Authorization": f"Bearer {api.token(who)}", "context": context}
        await channel.send(json.dumps({"type": "connection_init", "payload": hello}))
        assert json.loads(await channel.recv())["type"] == "connection_ack"

        async def ask(number: str) -> Any:
            await channel.send(json.dumps({"id": number, "type": "subscribe", "payload": {"query": look}}))
            while (message := json.loads(await asyncio.wait_for(channel.recv(), 10)))["type"] == "complete":
                pass
            return message["payload"]

        assert (await ask("1"))["data"]["me"]["onBehalfOf"] == {"id": context}
        await api.run("end-representation", "enroller", representation=await latest(api, work))
        refused = await ask("2")
        assert refused["data"] is None
        assert refused["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"


async def test_what_is_recorded_in_one_municipality_gives_nothing_in_another(api: Api) -> None:
    work = await open_assignment(api)
    await register(api, work, 1014)
    moved = await api.run(
        "register-citizen", "enroller", "0851", cpr=DEMOGRAPHY.citizen_cpr("0101", 0), givenName="A", familyName="B"
    )
    there = moved["registerCitizen"]["citizen"]["id"]
    who = citizen(0, "0851", cpr=DEMOGRAPHY.citizen_cpr("0101", 1014))
    for context in (work["citizen"]["id"], there):
        answer = await api.answer("me", who, context=context)
        assert answer["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"
    assert (await api.run("{ me { representations { key } } }", who))["me"]["representations"] == []
    elsewhere = await api.run("end-representation", "enroller", "0851", representation=await latest(api, work))
    assert elsewhere["endRepresentation"]["code"] == "REFERENCE_UNKNOWN"


async def latest(api: Api, work: dict[str, Any]) -> str:
    sql = "SELECT id FROM representation WHERE citizen_id = $1 ORDER BY id DESC LIMIT 1"
    return f"rep_{(await rows(api, sql, _uuid(work['citizen']['id'])))[0]['id'].hex}"


@pytest.mark.parametrize("also_attorney", [False, True])
async def test_a_guardian_sees_nothing_of_a_hidden_episode(api: Api, also_attorney: bool) -> None:
    hidden, response = await answered(api, f"hidden {also_attorney}")
    drafting = {**hidden, **await assigned_again(api, hidden)}
    await give_answers(api, drafting, weight=2)
    shown, open_response = await answered(api, f"not hidden {also_attorney}")
    context, number = hidden["citizen"]["id"], 1020 + also_attorney
    who = await register(api, hidden, number, kind="GUARDIAN")
    if also_attorney:
        await register(api, hidden, number, kind="POWER_OF_ATTORNEY")
    await api.run("set-episode-policy", "viewer", episode=hidden["episode"]["id"], coloursShown=True)
    before = await look(api, hidden, response, who, context=context)
    assert before["questionnaireResponse"]["answers"]
    decided = await api.run("set-episode-policy", "viewer", episode=hidden["episode"]["id"], hiddenFromGuardians=True)
    assert decided["setEpisodePolicy"]["episodeOfCare"]["hiddenFromGuardians"] is True

    seen = await look(api, hidden, response, who, context=context)
    assert seen["citizen"] == {"id": context}
    assert seen["episodeOfCare"] is seen["assignment"] is seen["questionnaireResponse"] is None
    assert seen["nodes"] == [None, None, None]
    more = "query ($id: ID!) { assignment(id: $id) { id } node(id: $id) { id } }"
    draft = await api.run(more, who, context=context, id=drafting["assignment"]["id"])
    assert draft == {"assignment": None, "node": None}
    told = json.dumps(seen)
    for secret in (hidden["episode"]["id"], hidden["assignment"]["id"], drafting["assignment"]["id"], response):
        assert secret not in told
    mine, theirs = before["me"]["citizen"], seen["me"]["citizen"]
    assert theirs["episodes"]["totalCount"] == mine["episodes"]["totalCount"] - 1
    assert theirs["assignments"]["totalCount"] == mine["assignments"]["totalCount"] - 2
    assert theirs["responses"]["totalCount"] == mine["responses"]["totalCount"] - 1
    assert len(theirs["trend"]) == len(mine["trend"]) - 1
    await assert_no_row_is_of(api, who, context, _uuid(hidden["episode"]["id"]))
    # Not even what is written tells that it is there: the same answer as for an assignment that never was.
    never = {**drafting, "assignment": {"id": f"asg_{NOBODY}"}}
    for work in (drafting, hidden):
        assert await save(api, work, who, context) == await save(api, never, who, context)
        assert await send(api, work, who, context, "for a guardian") == await send(
            api, never, who, context, "for a guardian"
        )
    amend = [
        (await api.run("amend-response", who, context=context, response=each, reason="Jeg er værge"))["amendResponse"]
        for each in (response, f"res_{NOBODY}")
    ]
    assert amend[0] == amend[1]
    # What is not hidden is as it was; and the citizen sees it all.
    assert (await look(api, shown, open_response, who, context=context))["questionnaireResponse"]
    own = await look(api, hidden, response, "citizen")
    assert own["questionnaireResponse"]["scores"]
    assert own["episodeOfCare"]["consents"]


async def assert_no_row_is_of(api: Api, who: Identity, context: str, episode: UUID) -> None:
    """Ask the judge about each table by itself: what hangs on a hidden episode is hidden wherever it is looked for."""
    credentials = Credentials("bearer", api.token(who), "127.0.0.1", context)
    actor = await authenticate(api.product.database, api.product.host, credentials)
    of_response = "t.response_id IN (SELECT id FROM response WHERE episode_id = {episode})"
    its_own = "t.episode_id = {episode}"
    looked = [
        (access.EPISODE, "t.id = {episode}"), (access.CONSENT, its_own), (access.ASSIGNMENT, its_own),
        (access.RESPONSE, its_own), (access.DRAFT_ANSWER, of_response), (access.SCORE, of_response),
        (access.INTERPRETATION, of_response),
    ]  # fmt: skip
    async with api.product.database.peek(101) as connection:
        for source, condition in looked:
            statement = Statement()
            theirs = condition.format(episode=statement.parameter(episode, "uuid"))
            there = f"SELECT count(*) FROM {source.table} t WHERE {theirs}"
            assert await connection.fetchval(there, episode) > 0, source.table
            visible = statement.condition(source.visible(actor), "t")
            assert await connection.fetchval(f"{there} AND ({visible})", *statement.parameters) == 0, source.table


async def assigned_again(api: Api, work: dict[str, Any]) -> dict[str, Any]:
    data = await api.run(
        "assign-questionnaire", "enroller", episode=work["episode"]["id"], questionnaire=work["questionnaire"]["id"]
    )
    return {"assignment": data["assignQuestionnaire"]["assignment"]}


async def test_a_power_of_attorney_is_not_a_guardians_and_sees_what_is_hidden_from_them(api: Api) -> None:
    work, response = await answered(api, "hidden from guardians only")
    who = await register(api, work, 1025)
    await api.run("set-episode-policy", "viewer", episode=work["episode"]["id"], hiddenFromGuardians=True)
    seen = await look(api, work, response, who, context=work["citizen"]["id"])
    assert seen["questionnaireResponse"]["answers"]


async def test_a_power_of_attorney_can_come_with_the_sign_in(api: Api) -> None:
    work, response = await answered(api, "a digital power of attorney")
    context, principal = work["citizen"]["id"], DEMOGRAPHY.citizen_cpr("0101", 0)
    who = citizen(1030, represents={principal: frozenset({Right.READ})})
    listed = (await api.run("contexts", who))["me"]["representations"]
    assert listed == [
        {
            "key": context, "name": work["citizen"]["name"], "kind": "POWER_OF_ATTORNEY", "rights": ["READ"],
            "validUntil": None,
        }
    ]  # fmt: skip
    assert_nothing(await look(api, work, response, who))
    seen = await look(api, work, response, who, context=context)
    assert seen["me"]["onBehalfOf"] == {"id": context}
    assert seen["questionnaireResponse"]["answers"]
    assert (await save(api, work, who, context))["code"] == "REFERENCE_UNKNOWN"
    # It is worth something only where the citizen is, and only for that citizen.
    elsewhere = citizen(1030, "0851", represents={principal: frozenset(Right)})
    another = citizen(1030, represents={DEMOGRAPHY.citizen_cpr("0101", 2): frozenset(Right)})
    for who in (elsewhere, another):
        answer = await api.answer("me", who, context=context)
        assert answer["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"


async def test_the_citizen_and_those_who_record_it_see_who_may_act(api: Api) -> None:
    work = await open_assignment(api)
    who, context = await register(api, work, 1031, ("READ",)), work["citizen"]["id"]
    document = """query ($id: ID!, $rep: ID!) {
      citizen(id: $id) { representations { name kind mayRead mayAnswer } } node(id: $rep) { id } }"""
    representation = await latest(api, work)
    for reader in ("citizen", "enroller"):
        seen = await api.run(document, reader, id=context, rep=representation)
        first = {"name": "Rita Ravn", "kind": "POWER_OF_ATTORNEY", "mayRead": True, "mayAnswer": False}
        assert first in seen["citizen"]["representations"]
        assert seen["node"] == {"id": representation}
    for reader in ("viewer", "monitor", "integrator-with-answers"):
        seen = await api.run(document, reader, id=context, rep=representation)
        assert seen["citizen"]["representations"] == []
        assert seen["node"] is None
    for reader, municipality in (("careteam-admin", "0101"), ("security-officer", "0101"), ("enroller", "0851")):
        assert (await api.run(document, reader, municipality, id=context, rep=representation))["node"] is None
    # Whoever acts for the citizen knows of their own right, not of others'.
    await register(api, work, 1032)
    acting = await api.run(document, who, context=context, id=context, rep=representation)
    assert len(acting["citizen"]["representations"]) == 1


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"rights": []}, "REPRESENTATION_INVALID", "rights"),
        ({"validUntil": "2020-01-01T00:00:00Z"}, "REPRESENTATION_INVALID", "validUntil"),
        ({"cpr": DEMOGRAPHY.citizen_cpr("0101", 0)}, "REPRESENTATION_INVALID", "cpr"),
        # Staff give nobody's answers to themselves.
        ({"cpr": member(Role.CITIZEN_ENROLLER).cpr}, "REPRESENTATION_INVALID", "cpr"),
        ({"cpr": "123"}, "INVALID_CPR", "cpr"),
        ({"name": "  "}, "NAME_MISSING", "name"),
        ({"citizen": f"cit_{NOBODY}"}, "REFERENCE_UNKNOWN", "citizenId"),
    ],
)
async def test_a_representation_that_cannot_be_is_not_recorded(api: Api, changes: Any, code: str, path: str) -> None:
    work = await open_assignment(api)
    given = {"citizen": work["citizen"]["id"], "cpr": DEMOGRAPHY.citizen_cpr("0101", 1040), "name": "Rita Ravn"}
    before = await rows(api, "SELECT count(*) AS n FROM representation")
    refused = (await api.run("register-representation", "enroller", **{**given, **changes}))["registerRepresentation"]
    assert (refused["code"], refused["path"]) == (code, path)
    assert await rows(api, "SELECT count(*) AS n FROM representation") == before


async def test_only_those_who_enrol_record_it_in_their_own_municipality(api: Api) -> None:
    work = await open_assignment(api)
    given = {"citizen": work["citizen"]["id"], "cpr": DEMOGRAPHY.citizen_cpr("0101", 1041), "name": "Rita Ravn"}
    for who in ("viewer", "monitor", "careteam-admin", "questionnaire-editor", "security-officer", "citizen",
                "integrator-with-answers", employee(grant(Role.CLINICAL_ADMINISTRATOR, team=TEAMS[0].id))):  # fmt: skip
        answer = await api.answer("register-representation", who, **given)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    elsewhere = (await api.run("register-representation", "enroller", "0851", **given))["registerRepresentation"]
    assert elsewhere["code"] == "REFERENCE_UNKNOWN"


def _uuid(id_: str) -> UUID:
    return UUID(id_.partition("_")[2])
