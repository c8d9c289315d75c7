"""Bad input gets a clear, typed error that names the place; nothing is stored half, nothing is echoed, the process lives."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.storage.embedded import open_embedded
from kpro_graph.storage.migrate import migrate
from tests.conftest import Worlds
from tests.living import Api, serving
from tests.test_main_job import DEMOGRAPHY, give_answers, open_assignment, submit

# A well-formed substitute number that nobody in the demo has.
UNKNOWN = "6101019999"


async def count(api: Api, table: str) -> int:
    """Return how many rows København has of a table."""
    async with api.product.database.peek(101) as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_an_unknown_cpr_number_is_a_typed_failure_that_does_not_repeat_it(api: Api) -> None:
    answer = await api.answer("find-citizen", "enroller", cpr=UNKNOWN)
    failure = answer["data"]["findCitizen"]
    assert (failure["__typename"], failure["code"], failure["path"]) == ("UnknownCitizen", "CITIZEN_UNKNOWN", "cpr")
    assert UNKNOWN not in str(answer)


@pytest.mark.parametrize("number", ["0101019", "010101-999x", "3113999999", "", "æøå", "0101019999 extra"])
async def test_a_text_that_is_no_cpr_number_is_invalid(api: Api, number: str) -> None:
    failure = (await api.run("find-citizen", "enroller", cpr=number))["findCitizen"]
    assert (failure["__typename"], failure["code"]) == ("InvalidCpr", "INVALID_CPR")


@pytest.mark.parametrize("value", [6101019999, {"cpr": UNKNOWN}, [UNKNOWN], True, 61.01019999])
async def test_a_cpr_number_of_the_wrong_type_is_not_echoed_by_coercion(
    api: Api, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = await api.post(
            "mutation ($cpr: CPR!) { findCitizen(input: { cpr: $cpr }) { ... on Failure { code } } }",
            {"cpr": value},
            token=api.token("enroller"),
        )
    assert "6101019999" not in response.text
    assert "6101019999" not in caplog.text
    assert "INVALID_CPR" in response.text or "errors" in response.json()


@pytest.mark.parametrize(
    "document",
    [
        "mutation { findCitizen(input: { cpr: 6101019999 }) { __typename } }",
        'mutation { findCitizen(input: { cpr: "6101019999", extra: 1 }) { __typename } }',
        'mutation { findCitizen(input: "6101019999") { __typename } }',
        '{ citizen(id: "6101019999") { id } }',
        "{ node(id: 6101019999.5) { id } }",
        '{ careTeams(first: "6101019999") { totalCount } }',
        "{ careTeams(first: 61010199990) { totalCount } }",
        '{ careTeams(after: "6101019999") { totalCount } }',
        '{ questionnaires(statuses: ["6101019999"]) { totalCount } }',
        'query ($first: Int) { careTeams(first: $first) { totalCount } } "6101019999"',
        '{ me { name "6101019999" } }',
    ],
)
async def test_no_error_of_graphql_itself_repeats_a_value(api: Api, document: str) -> None:
    response = await api.post(document, token=api.token("enroller"))
    assert response.status_code == 200
    assert "610101" not in response.text
    for error in response.json().get("errors", ()):
        assert error["extensions"]["code"]


async def test_a_wrong_date_is_refused_and_one_in_the_past_too(api: Api) -> None:
    work = await open_assignment(api)
    ids = {"episode": work["episode"]["id"], "questionnaire": work["questionnaire"]["id"]}
    before = await count(api, "assignment")
    wrong = await api.answer("assign-questionnaire", "enroller", **ids, dueAt="2026-13-45T00:00:00Z")
    assert wrong["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "$dueAt" in wrong["errors"][0]["message"]
    assert "13-45" not in str(wrong)
    for moment in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00"):
        failure = (await api.run("assign-questionnaire", "enroller", **ids, dueAt=moment))["assignQuestionnaire"]
        assert (failure["code"], failure["path"]) == ("DUE_DATE_INVALID", "dueAt")
    assert await count(api, "assignment") == before


async def test_answers_to_another_version_are_refused(api: Api) -> None:
    work = await open_assignment(api)
    other = (
        await api.run("questionnaires", "enroller", url="https://kpro-graph.dk/Questionnaire/gad-7")
    )["questionnaires"]["nodes"][0]["id"]  # fmt: skip
    before = await count(api, "draft_answer")
    failure = (
        await api.run(
            "save-answer",
            "citizen",
            assignment=work["assignment"]["id"],
            questionnaire=other,
            path="1",
            values=[{"integer": 1}],
        )
    )["saveAnswer"]
    assert (failure["code"], failure["path"]) == ("OTHER_VERSION", "questionnaireId")
    assert await count(api, "draft_answer") == before


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([{"integer": 3}], "not_in_options"),
        ([{"boolean": True}], "type_mismatch"),
        ([{"coding": {"code": "no such option"}}], "not_in_options"),
    ],
)
async def test_an_answer_of_the_wrong_type_is_not_saved(api: Api, values: Any, code: str) -> None:
    work = await open_assignment(api)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    before = await count(api, "draft_answer"), await count(api, "response")
    failure = (await api.run("save-answer", "citizen", **ids, path="1", values=values))["saveAnswer"]
    assert failure["__typename"] == "AnswersRejected"
    assert [(each["code"], each["path"]) for each in failure["problems"]] == [(code, "1")]
    assert failure["problems"][0]["message"]
    assert (await count(api, "draft_answer"), await count(api, "response")) == before


async def test_an_unknown_path_and_a_malformed_number_name_their_place(api: Api) -> None:
    work = await open_assignment(api)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    failure = (await api.run("save-answer", "citizen", **ids, path="99", values=[{"integer": 1}]))["saveAnswer"]
    assert (failure["code"], failure["path"]) == ("REFERENCE_UNKNOWN", "path")
    answer = await api.answer("save-answer", "citizen", **ids, path="1", values=[{"decimal": "ti"}])
    assert answer["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "values[0]"}


async def test_a_missing_required_answer_names_every_place_and_keeps_the_draft(api: Api) -> None:
    work = await open_assignment(api)
    failure = await submit(api, work, "nothing is answered")
    assert failure["__typename"] == "AnswersRejected"
    assert [(each["code"], each["path"]) for each in failure["problems"]] == [
        ("required", str(number)) for number in range(1, 6)
    ]
    await give_answers(api, work, weight=3)
    assert (await submit(api, work, "now it is all there"))["__typename"] == "ResponseSubmitted"


async def test_a_stale_revision_does_not_overwrite(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    failure = (await api.run("save-answer", "citizen", **ids, path="1", values=[], revision=0))["saveAnswer"]
    assert (failure["code"], failure["path"]) == ("STALE_DRAFT", "revision")
    saved = (await api.run("save-answer", "citizen", **ids, path="1", values=[], revision=1))["saveAnswer"]
    assert saved["revision"] == 2


async def test_a_duplicate_submit_says_what_was_stored(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=3)
    first = await submit(api, work, "the first time")
    again = await api.run(
        "mutation ($a: ID!, $q: ID!) { submitResponse(input: { assignmentId: $a, questionnaireId: $q,"
        ' idempotencyKey: "the second time" }) { ... on AlreadySubmitted { code response { id } } } }',
        "citizen",
        a=work["assignment"]["id"],
        q=work["questionnaire"]["id"],
    )
    assert again["submitResponse"] == {"code": "ALREADY_SUBMITTED", "response": {"id": first["response"]["id"]}}


async def test_a_token_of_another_municipality_changes_nothing_here(api: Api) -> None:
    work = await open_assignment(api)
    before = await count(api, "assignment"), await count(api, "episode_of_care"), await count(api, "response")
    assigned = await api.run(
        "assign-questionnaire",
        "enroller",
        "0851",
        episode=work["episode"]["id"],
        questionnaire=work["questionnaire"]["id"],
    )
    opened = await api.run(
        "open-episode",
        "enroller",
        "0851",
        citizen=work["citizen"]["id"],
        careTeam=work["team"]["id"],
        reasonCode=work["team"]["reasonCodes"][0],
    )
    saved = await api.run(
        "save-answer",
        "citizen",
        "0851",
        assignment=work["assignment"]["id"],
        questionnaire=work["questionnaire"]["id"],
        path="1",
        values=[],
    )
    submitted = await submit(api, work, "from Aalborg", "0851")
    for result in (
        assigned["assignQuestionnaire"],
        opened["openEpisodeOfCare"],
        saved["saveAnswer"],
        submitted,
    ):
        assert result["code"] == "REFERENCE_UNKNOWN"
    assert (
        await count(api, "assignment"),
        await count(api, "episode_of_care"),
        await count(api, "response"),
    ) == before


@pytest.mark.parametrize(
    "actor", ["viewer", "monitor", "careteam-admin", "questionnaire-editor", "citizen", "integrator"]
)
async def test_only_a_borgeropretter_enrols(api: Api, actor: str) -> None:
    answer = await api.answer("find-citizen", actor, cpr=DEMOGRAPHY.citizen_cpr("0101", 0))
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("token", [None, "rubbish", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_without_a_valid_token_nothing_is_answered(api: Api, token: str | None) -> None:
    response = await api.post('{ me { name } careTeams { totalCount } node(id: "x") { id } }', token=token)
    assert response.json()["data"] is None
    assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"UNAUTHENTICATED"}


@pytest.mark.parametrize(
    "body", [b"{", b"null", b"7", b'"x"', b"[]", b"\xff\xfe", b"[" * 100_000, b'{"query": 7}', b'{"query": "{me{name}}", "variables": 3}', b"1" * 5_000]
)  # fmt: skip
async def test_a_malformed_body_gets_a_json_error_and_the_process_lives(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api.token('viewer')}"}
    response = await api.http.post("/graphql/", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert (await api.run("me", "viewer"))["me"]["kind"] == "EMPLOYEE"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    response = await api.http.post("/graphql/", content=b" " * 1_200_000, headers=headers)
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("first", [-1, 101, 2_000_000_000])
async def test_a_page_has_a_cap(api: Api, first: int) -> None:
    answer = await api.answer("query ($n: Int) { careTeams(first: $n) { totalCount nodes { id } } }", "viewer", n=first)
    assert answer["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "first"}


async def test_a_database_that_is_down_is_said_and_the_process_lives(worlds: Worlds, tmp_path: Path) -> None:
    folder = tmp_path / "going-down"
    server = open_embedded(folder)
    try:
        await migrate(server.dsn("kpro_owner"))
        outage = Worlds(server)
        async with outage.product("kpro") as (product, identity):
            async with product.database.peek(0) as connection:
                assert await connection.fetchval("SELECT count(*) FROM municipality") == 1
            async with serving(product, identity) as api:
                postmaster = int(next(folder.rglob("postmaster.pid")).read_text().split()[0])
                os.kill(postmaster, signal.SIGKILL)
                for _ in range(3):
                    response = await api.post("{ me { name } }", token=api.token("viewer"))
                    assert response.status_code == 503
                    assert response.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
                assert (await api.http.get("/health/ready")).status_code == 503
                assert (await api.http.get("/health/live")).status_code == 200
                again = open_embedded(folder)
                try:
                    response = await api.post("{ me { name } }", token=api.token("viewer"))
                    # Up again: the demo's people are not loaded here, so the token stands for nobody, and that is said.
                    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
                    assert (await api.http.get("/health/ready")).status_code == 200
                finally:
                    again.close()
    finally:
        server.close()
