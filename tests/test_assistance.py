"""Assistance: answers typed by staff say who answered, who typed and who confirmed; nobody else sees them meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kpro_graph.actors import Identity, Role
from kpro_graph.demography import Demography
from tests.living import Api
from tests.people import employee, grant, member
from tests.receiving import alter, answer_all, at, begin
from tests.test_main_job import give_answers, open_assignment, submit

DEMOGRAPHY = Demography()
TEAMS = DEMOGRAPHY.care_teams("0101")

START = """
  mutation ($assignment: ID!, $by: AnsweredBy!) {
    startAssistedAnswering(input: { assignmentId: $assignment, answeredBy: $by }) {
      __typename
      ... on AssistedAnswering { response { id status answeredBy typedBy { id } draftAnswers { path fhir answeredBy } } }
      ... on Failure { code path }
    }
  }
"""
STOP = """
  mutation ($assignment: ID!) {
    stopAssistedAnswering(input: { assignmentId: $assignment }) {
      __typename ... on AssistedAnswering { response { id } } ... on Failure { code path }
    }
  }
"""
SUBMIT = """
  mutation ($assignment: ID!, $questionnaire: ID!, $key: String!, $by: ConfirmedBy) {
    submitResponse(input: {
      assignmentId: $assignment, questionnaireId: $questionnaire, idempotencyKey: $key, confirmedBy: $by
    }) { __typename ... on ResponseSubmitted { receipt repeated response { id } } ... on Failure { code path } }
  }
"""
SAVE = """
  mutation ($assignment: ID!, $questionnaire: ID!, $path: String!, $values: [AnswerValueInput!]!) {
    saveAnswer(input: { assignmentId: $assignment, questionnaireId: $questionnaire, path: $path, values: $values }) {
      __typename ... on Failure { code path }
    }
  }
"""
READ = """
  query ($id: ID!) {
    questionnaireResponse(id: $id) {
      id status answeredBy typedBy { id name } confirmedBy confirmedAt provenance { path source typedBy }
      answers { path }
    }
  }
"""
DRAFT = "query ($id: ID!) { assignment(id: $id) { draft { id draftAnswers { path fhir answeredBy typedBy { id } } } } }"


def colleague(team: int = 0, number: int = 1) -> Identity:
    """Return another Monitoreringsmedhjælper, of this care team."""
    held = grant(Role.MONITORING_ASSISTOR, team=TEAMS[team].id)
    return employee(held, person=member(Role.MONITORING_ASSISTOR, number=number))


def key(id_: str) -> UUID:
    return UUID(id_.rpartition("_")[2])


def ids(work: dict[str, Any]) -> dict[str, str]:
    return {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}


async def start(api: Api, work: dict[str, Any], by: str = "CITIZEN", as_: str | Identity = "monitor") -> dict[str, Any]:
    data = await api.run(START, as_, assignment=work["assignment"]["id"], by=by)
    return dict(data["startAssistedAnswering"])


async def items(api: Api, work: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each item to answer with a value for it."""
    asked = await api.run(
        "query ($id: ID!) { questionnaire(id: $id) { items { path type options { system code } } } }",
        "citizen",
        id=work["questionnaire"]["id"],
    )
    return [
        (item["path"], {"coding": {"system": item["options"][0]["system"], "code": item["options"][0]["code"]}})
        for item in asked["questionnaire"]["items"]
        if item["type"] == "choice"
    ]


async def save(
    api: Api, work: dict[str, Any], path: str, value: dict[str, Any], as_: str | Identity = "monitor"
) -> dict[str, Any]:
    return dict((await api.run(SAVE, as_, **ids(work), path=path, values=[value]))["saveAnswer"])


async def type_all(api: Api, work: dict[str, Any], as_: str | Identity = "monitor") -> None:
    for path, value in await items(api, work):
        assert (await save(api, work, path, value, as_))["__typename"] == "AnswerSaved"


async def send(
    api: Api, work: dict[str, Any], name: str, by: str | None = "CITIZEN", as_: str | Identity = "monitor"
) -> dict[str, Any]:
    return dict((await api.run(SUBMIT, as_, **ids(work), key=f"assisted {name}", by=by))["submitResponse"])


@pytest.mark.parametrize(
    ("answered", "confirmed"),
    [("CITIZEN", "CITIZEN"), ("RELATIVE", "RELATIVE"), ("PROFESSIONAL", "CITIZEN"), ("PROFESSIONAL", "RELATIVE")],
)
async def test_what_staff_type_says_who_answered_who_typed_and_who_confirmed(
    api: Api, answered: str, confirmed: str
) -> None:
    work = await open_assignment(api)
    begun = await start(api, work, answered)
    assert begun["response"]["answeredBy"] == answered
    await type_all(api, work)
    sent = await send(api, work, f"{answered} {confirmed}", confirmed)
    assert sent["__typename"] == "ResponseSubmitted"
    typist = member(Role.MONITORING_ASSISTOR)
    for who in ("monitor", "viewer"):
        told = (await api.run(READ, who, id=sent["response"]["id"]))["questionnaireResponse"]
        assert (told["status"], told["answeredBy"], told["confirmedBy"]) == ("COMPLETED", answered, confirmed)
        assert told["confirmedAt"] is not None
        assert told["typedBy"] == {"id": f"emp_{typist.id.hex}", "name": typist.name}
        paths = [answer["path"] for answer in told["answers"]]
        assert told["provenance"] == [
            {"path": path, "source": answered, "typedBy": f"emp_{typist.id.hex}"} for path in paths
        ]
        assert len(paths) == 5
    own = (await api.run(READ, "citizen", id=sent["response"]["id"]))["questionnaireResponse"]
    assert (own["answeredBy"], own["confirmedBy"], own["typedBy"]) == (answered, confirmed, None)
    assert {each["typedBy"] for each in own["provenance"]} == {f"emp_{typist.id.hex}"}
    author = {"CITIZEN": await person(api, work), "RELATIVE": None, "PROFESSIONAL": typist.id}[answered]
    source = {"CITIZEN": "patient", "RELATIVE": "relatedperson", "PROFESSIONAL": "practitioner"}[answered]
    async with api.product.database.peek(101) as connection:
        row = await connection.fetchrow(
            "SELECT source, author_id, typed_by, device_id FROM response WHERE id = $1", key(sent["response"]["id"])
        )
    assert tuple(row) == (source, author, typist.id, None)


async def person(api: Api, work: dict[str, Any]) -> UUID:
    async with api.product.database.peek(101) as connection:
        found: UUID = await connection.fetchval(
            "SELECT person_id FROM citizen WHERE id = $1", key(work["citizen"]["id"])
        )
    return found


async def test_each_item_of_a_draft_says_whose_it_is_and_who_typed_it(api: Api) -> None:
    work = await open_assignment(api)
    asked = await items(api, work)
    await save(api, work, *asked[0], as_="citizen")
    for number, by in enumerate(("CITIZEN", "RELATIVE", "PROFESSIONAL"), 1):
        await start(api, work, by)
        assert (await save(api, work, *asked[number]))["__typename"] == "AnswerSaved"
    draft = (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"]
    typist = {"id": f"emp_{member(Role.MONITORING_ASSISTOR).id.hex}"}
    told = [(each["answeredBy"], each["typedBy"]) for each in draft["draftAnswers"]]
    assert told == [("CITIZEN", None), ("CITIZEN", typist), ("RELATIVE", typist), ("PROFESSIONAL", typist)]
    async with api.product.database.peek(101) as connection:
        rows = await connection.fetch(
            "SELECT answered_by, typed_by FROM draft_answer WHERE response_id = $1 ORDER BY path", key(draft["id"])
        )
    me = member(Role.MONITORING_ASSISTOR).id
    citizen = await person(api, work)
    assert [tuple(row) for row in rows] == [(citizen, None), (citizen, me), (None, me), (me, me)]
    await save(api, work, *asked[4])
    sent = await send(api, work, f"mixed {work['assignment']['id']}")
    told = (await api.run(READ, "viewer", id=sent["response"]["id"]))["questionnaireResponse"]
    sources = [(each["source"], each["typedBy"] is not None) for each in told["provenance"]]
    assert sources == [
        ("CITIZEN", False), ("CITIZEN", True), ("RELATIVE", True), ("PROFESSIONAL", True), ("PROFESSIONAL", True),
    ]  # fmt: skip


async def test_without_a_confirmation_what_staff_typed_is_not_submitted(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    refused = await send(api, work, "unconfirmed", by=None)
    assert refused == {"__typename": "ConfirmationMissing", "code": "CONFIRMATION_MISSING", "path": "confirmedBy"}
    draft = (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"]
    assert len(draft["draftAnswers"]) == 5
    sent = await send(api, work, "unconfirmed")
    again = await send(api, work, "unconfirmed")
    assert (sent["repeated"], again["repeated"]) == (False, True)
    assert again["receipt"] == sent["receipt"]


async def test_a_professional_cannot_confirm_what_they_typed(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    answer = await api.answer(SUBMIT, "monitor", **ids(work), key="by themselves", by="PROFESSIONAL")
    assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_the_database_keeps_no_typed_response_without_its_confirmation(api: Api) -> None:
    work = await open_assignment(api)
    draft = (await start(api, work))["response"]["id"]
    complete = (
        "UPDATE response SET status = 'completed', submitted_at = now(), receipt = 'x', confirmed_by = $2::text,"
        " confirmed_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END, author_id = $3 WHERE id = $1"
    )
    for confirmed, author in ((None, key(draft)), ("patient", None)):
        with pytest.raises(asyncpg.CheckViolationError):
            async with api.product.database.peek(101) as connection:
                await connection.execute(complete, key(draft), confirmed, author)


@pytest.mark.parametrize(
    "change",
    [
        "typed_by = NULL",
        "confirmed_by = 'relatedperson'",
        "confirmed_at = now()",
        "source = 'practitioner'",
        "author_id = gen_random_uuid()",
        "provenance = '[]'",
        "device_id = gen_random_uuid()",
    ],
)
async def test_who_stands_behind_a_submitted_response_never_changes(api: Api, change: str) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    sent = await send(api, work, f"for good {change}")
    with pytest.raises(asyncpg.RestrictViolationError):
        async with api.product.database.peek(101) as connection:
            await connection.execute(f"UPDATE response SET {change} WHERE id = $1", key(sent["response"]["id"]))


# --- Who sees the draft


async def test_the_draft_is_seen_by_who_types_and_the_citizen_and_nobody_else(api: Api) -> None:
    work = await open_assignment(api)
    draft = (await start(api, work))["response"]["id"]
    await type_all(api, work)
    node = "query ($id: ID!) { node(id: $id) { id } questionnaireResponse(id: $id) { draftAnswers { fhir } } }"
    for who in ("monitor", "citizen"):
        seen = await api.run(node, who, id=draft)
        assert seen["node"] == {"id": draft}
        assert len(seen["questionnaireResponse"]["draftAnswers"]) == 5
    for stranger in ("viewer", "enroller", colleague(), colleague(team=1), "integrator-with-answers"):
        assert await api.run(node, stranger, id=draft) == {"node": None, "questionnaireResponse": None}
    assert await api.run(node, "monitor", "0851", id=draft) == {"node": None, "questionnaireResponse": None}


async def test_who_has_stopped_typing_sees_the_draft_no_more(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    stopped = await api.run(STOP, "monitor", assignment=work["assignment"]["id"])
    assert stopped == {"stopAssistedAnswering": {"__typename": "AssistedAnswering", "response": None}}
    assert (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"] is None
    path, value = (await items(api, work))[0]
    assert (await save(api, work, path, value))["code"] == "REFERENCE_UNKNOWN"
    assert (await send(api, work, "after stopping"))["code"] == "REFERENCE_UNKNOWN"
    again = await api.run(STOP, "monitor", assignment=work["assignment"]["id"])
    assert again["stopAssistedAnswering"]["code"] == "REFERENCE_UNKNOWN"
    draft = (await api.run(DRAFT, "citizen", id=work["assignment"]["id"]))["assignment"]["draft"]
    assert len(draft["draftAnswers"]) == 5


async def test_when_the_citizen_goes_on_the_assistance_is_over_and_submitting_confirms(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    path, value = (await items(api, work))[2]
    assert (await save(api, work, path, value, as_="citizen"))["__typename"] == "AnswerSaved"
    assert (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"] is None
    assert (await save(api, work, path, value))["code"] == "REFERENCE_UNKNOWN"
    sent = await submit(api, work, f"the citizen goes on {work['assignment']['id']}")
    told = (await api.run(READ, "viewer", id=sent["response"]["id"]))["questionnaireResponse"]
    assert (told["answeredBy"], told["confirmedBy"]) == ("CITIZEN", "CITIZEN")
    assert told["typedBy"]["id"] == f"emp_{member(Role.MONITORING_ASSISTOR).id.hex}"
    assert [each["path"] for each in told["provenance"] if each["typedBy"] is None] == [path]


async def test_what_nobody_typed_for_the_citizen_says_so(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=2)
    sent = await submit(api, work, f"all alone {work['assignment']['id']}")
    told = (await api.run(READ, "viewer", id=sent["response"]["id"]))["questionnaireResponse"]
    assert (told["answeredBy"], told["typedBy"], told["confirmedBy"], told["confirmedAt"]) == (
        "CITIZEN",
        None,
        None,
        None,
    )
    assert told["provenance"] == []


async def test_a_colleague_of_the_team_can_take_over(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    other = colleague()
    if (await start(api, work, "RELATIVE", other))["__typename"] == "UnknownReference":
        pytest.fail("the colleague is of the same team")
    assert (await send(api, work, "taken over"))["code"] == "REFERENCE_UNKNOWN"
    sent = await send(api, work, "taken over", "RELATIVE", as_=other)
    told = (await api.run(READ, "viewer", id=sent["response"]["id"]))["questionnaireResponse"]
    assert told["typedBy"]["id"] == f"emp_{member(Role.MONITORING_ASSISTOR, number=1).id.hex}"
    # Each answer still says who typed it.
    assert {each["typedBy"] for each in told["provenance"]} == {f"emp_{member(Role.MONITORING_ASSISTOR).id.hex}"}


async def test_assistance_can_follow_on_what_was_begun_at_the_reception(api: Api) -> None:
    work = await open_assignment(api)
    token = await begin(api, work)
    await answer_all(api, token, work)
    await start(api, work)
    sent = await send(api, work, f"after the reception {work['assignment']['id']}")
    told = (await api.run(READ, "viewer", id=sent["response"]["id"]))["questionnaireResponse"]
    assert {(each["source"], each["typedBy"]) for each in told["provenance"]} <= {("CITIZEN", None)}
    assert told["confirmedBy"] == "CITIZEN"
    # What was handed over has been answered; the session has nothing left.
    seen = (await at(api, token, "{ receptionSession { assignments { id } } }")).json()
    assert seen["data"]["receptionSession"]["assignments"] == []


# --- Who may


@pytest.mark.parametrize(
    "actor", ["viewer", "enroller", "citizen", "integrator", "security-officer", "questionnaire-editor"]
)
async def test_who_does_not_assist_is_refused(api: Api, actor: str) -> None:
    work = await open_assignment(api)
    context = ""
    if actor in {"security-officer", "questionnaire-editor"}:
        context = (await api.run("{ me { contexts { key } } }", actor))["me"]["contexts"][0]["key"]
    for document, variables in ((START, {"by": "CITIZEN"}), (STOP, {})):
        answer = await api.answer(document, actor, context=context, assignment=work["assignment"]["id"], **variables)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_nobody_assists_without_a_token(api: Api) -> None:
    answer = (await api.post(START, {"assignment": "asg_" + "0" * 32, "by": "CITIZEN"})).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_citizens_of_other_teams_and_municipalities_look_absent(api: Api) -> None:
    work = await open_assignment(api)
    for stranger in (colleague(team=1, number=-1), employee(grant(Role.MONITORING_ASSISTOR, team=TEAMS[-1].id))):
        refused = await start(api, work, as_=stranger)
        assert refused == {"__typename": "UnknownReference", "code": "REFERENCE_UNKNOWN", "path": "assignmentId"}
    foreign = await api.run(START, "monitor", "0851", assignment=work["assignment"]["id"], by="CITIZEN")
    assert foreign["startAssistedAnswering"]["code"] == "REFERENCE_UNKNOWN"
    nothing = await api.run(START, "monitor", assignment="asg_" + "0" * 32, by="CITIZEN")
    assert nothing["startAssistedAnswering"]["code"] == "REFERENCE_UNKNOWN"


async def test_staff_who_have_not_begun_to_assist_cannot_answer(api: Api) -> None:
    work = await open_assignment(api)
    path, value = (await items(api, work))[0]
    for who in ("monitor", "viewer", colleague()):
        assert (await save(api, work, path, value, as_=who))["code"] == "REFERENCE_UNKNOWN"
        assert (await send(api, work, "never begun", as_=who))["code"] == "REFERENCE_UNKNOWN"


async def test_without_consent_there_is_no_assistance_and_what_was_typed_is_out_of_sight(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    await alter(api, "UPDATE episode_of_care SET consented_until = NULL WHERE id = $1", key(work["episode"]["id"]))
    assert (await start(api, work))["code"] == "CONSENT_MISSING"
    path, value = (await items(api, work))[0]
    assert (await save(api, work, path, value))["code"] == "REFERENCE_UNKNOWN"
    assert (await send(api, work, "no consent"))["code"] == "REFERENCE_UNKNOWN"
    assert (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"] is None


async def test_nothing_is_typed_once_it_is_submitted(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    sent = await send(api, work, "done with it")
    assert (await start(api, work))["code"] == "ASSIGNMENT_CLOSED"
    path, value = (await items(api, work))[0]
    assert (await save(api, work, path, value))["code"] == "ASSIGNMENT_CLOSED"
    amend = (
        'mutation ($id: ID!) { amendResponse(input: { responseId: $id, reason: "Nej" }) { ... on Failure { code } } }'
    )
    refused = await api.run(amend, "monitor", id=sent["response"]["id"])
    assert refused["amendResponse"]["code"] == "REFERENCE_UNKNOWN"
    # The citizen amends by themselves, and whoever typed before has no part in it.
    await api.run("amend-response", "citizen", response=sent["response"]["id"], reason="Det var forkert")
    assert (await api.run(DRAFT, "monitor", id=work["assignment"]["id"]))["assignment"]["draft"] is None
    assert (await save(api, work, path, value))["code"] == "REFERENCE_UNKNOWN"


async def test_two_who_begin_and_submit_at_the_same_time_store_one_response(api: Api) -> None:
    work = await open_assignment(api)
    people: list[str | Identity] = ["monitor", colleague()]
    await asyncio.gather(*(start(api, work, as_=who) for who in people * 2))
    for who in people:
        for path, value in await items(api, work):
            await save(api, work, path, value, as_=who)
    outcomes = await asyncio.gather(*(send(api, work, f"race {n}", as_=who) for n, who in enumerate(people * 3)))
    kinds = [each["__typename"] for each in outcomes]
    assert kinds.count("ResponseSubmitted") == 1
    assert set(kinds) == {"ResponseSubmitted", "AlreadySubmitted", "UnknownReference"}


async def test_typing_for_a_citizen_is_in_their_access_log(api: Api) -> None:
    work = await open_assignment(api)
    await start(api, work)
    await type_all(api, work)
    lines = await api.run(
        "{ me { accessLog(own: false, first: 10) { nodes { who text purpose role } } } }", "citizen"
    )  # fmt: skip
    typed = [line for line in lines["me"]["accessLog"]["nodes"] if line["text"].startswith("Ændrede svar")]
    assert len(typed) >= 6
    assert {line["who"] for line in typed} == {member(Role.MONITORING_ASSISTOR).name}
    assert {line["purpose"] for line in typed} == {"TREATMENT"}
