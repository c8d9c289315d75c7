"""Consent: without one in force nobody but the citizen reads answers, and nothing else tells of them either."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kpro_graph.actors import Role
from kpro_graph.execution import ids
from tests.living import Api
from tests.people import DEMOGRAPHY, employee, grant, member
from tests.test_main_job import WHO5, give_answers, open_assignment, submit

TEAMS = DEMOGRAPHY.care_teams("0101")

LOOK = """
  query ($team: ID!, $citizen: ID!, $episode: ID!, $response: ID!, $url: String!) {
    careTeam(id: $team) {
      urgent: worklist(first: 100) { totalCount nodes { id } edges { cursor } }
      latest: worklist(first: 100, orderBy: LATEST) { totalCount nodes { id } }
      named: worklist(first: 100, orderBy: NAME) { totalCount nodes { id } }
      coloured: worklist(first: 100, colours: [RED, YELLOW, GREEN]) { totalCount nodes { id } }
      answered: worklist(first: 100, answered: true) { totalCount nodes { id } }
      unanswered: worklist(first: 100, answered: false) { totalCount nodes { id } }
    }
    episodeOfCare(id: $episode) {
      id urgency lastResponseAt latestResponses { id } assignments { nodes { id status response { id } } }
    }
    citizen(id: $citizen) {
      responses(first: 100) { totalCount nodes { id } }
      latestResponses { episodeOfCare { id } }
      trend(questionnaireUrl: $url, score: "who5") { id }
    }
    questionnaireResponse(id: $response) { id colour answers { path } scores { id } interpretations { id } }
    node(id: $response) { id }
    nodes(ids: [$response]) { id }
  }
"""


class Told:
    """What an answer to `LOOK` tells of one episode and one response."""

    def __init__(self, data: Any, work: dict[str, Any]) -> None:
        episode = work["episode"]["id"]
        team = data["careTeam"] or {}
        self.lists = {name for name, listed in team.items() if episode in {node["id"] for node in listed["nodes"]}}
        self.counts = {name: listed["totalCount"] - len(listed["nodes"]) for name, listed in team.items()}
        seen = data["episodeOfCare"]
        self.urgency = seen and seen["urgency"]
        self.last = seen and seen["lastResponseAt"]
        responses = [node["id"] for node in seen["latestResponses"]] if seen else []
        responses += [
            each["response"]["id"] for each in (seen["assignments"]["nodes"] if seen else []) if each["response"]
        ]
        citizen = data["citizen"] or {"responses": {"nodes": []}, "trend": [], "latestResponses": []}
        responses += [node["id"] for node in citizen["responses"]["nodes"]]
        direct = [data["questionnaireResponse"], data["node"], *data["nodes"]]
        self.direct = [each for each in direct if each is not None]
        self.responses = set(responses)
        self.trend = len(citizen["trend"])
        self.elsewhere = {each["episodeOfCare"]["id"] for each in citizen["latestResponses"]}


async def look(api: Api, work: dict[str, Any], response: str, who: Any = "viewer", **more: Any) -> Told:
    ids = {"team": work["team"]["id"], "citizen": work["citizen"]["id"], "episode": work["episode"]["id"]}
    return Told(await api.run(LOOK, who, **ids, response=response, url=WHO5, **more), work)


async def answered(api: Api, key: str, weight: int = 1) -> tuple[dict[str, Any], str]:
    work = await open_assignment(api)
    await give_answers(api, work, weight=weight)
    return work, (await submit(api, work, key))["response"]["id"]


async def decide(api: Api, document: str, work: dict[str, Any], who: Any = "enroller", **more: Any) -> dict[str, Any]:
    data = await api.run(document, who, episode=work["episode"]["id"], **more)
    (outcome,) = data.values()
    return dict(outcome)


def assert_closed(told: Told, response: str, trend: int) -> None:
    assert told.lists == set()
    assert set(told.counts.values()) <= {0}
    assert (told.urgency, told.last) == (None, None)
    assert told.direct == []
    assert response not in told.responses
    assert told.trend == trend


READERS = ["viewer", "monitor", "integrator-with-answers"]


@pytest.mark.parametrize("way", ["withdrawn", "expired"])
async def test_without_consent_everything_that_tells_of_answers_is_closed(api: Api, way: str) -> None:
    work, response = await answered(api, f"closing {way}")
    before = {who: await look(api, work, response, who) for who in READERS}
    for who, told in before.items():
        assert told.direct, who
        assert told.urgency in {"RED", "YELLOW"}, who
        assert response in told.responses, who
        assert told.last
    assert before["viewer"].lists == {"urgent", "latest", "named", "coloured", "answered"}
    if way == "withdrawn":
        gone = await decide(api, "withdraw-consent", work)
        assert gone["episodeOfCare"]["status"] == "ON_HOLD"
        assert gone["episodeOfCare"]["consentedUntil"] is None
    else:
        # Nothing is written when a consent runs out: time alone closes.
        soon = datetime.now(UTC) + timedelta(seconds=1.5)
        given = await decide(api, "give-consent", work, expiresAt=soon.isoformat())
        assert given["episodeOfCare"]["consentedUntil"]
        assert (await look(api, work, response)).direct
        await asyncio.sleep(1.7)
    for who in READERS:
        told = await look(api, work, response, who)
        assert_closed(told, response, before[who].trend - 1)
        assert work["episode"]["id"] not in told.elsewhere
    enroller = await look(api, work, response, "enroller")
    assert (enroller.last, enroller.urgency, enroller.lists) == (None, None, set())
    # The citizen's own look is not affected.
    own = await look(api, work, response, "citizen")
    assert own.last
    assert response in own.responses
    assert own.direct
    # A new consent opens it all again.
    again = await decide(api, "give-consent", work)
    assert again["episodeOfCare"]["status"] == "ACTIVE"
    opened = await look(api, work, response)
    assert (opened.lists, opened.trend) == (before["viewer"].lists, before["viewer"].trend)


async def test_without_consent_staff_still_see_that_the_episode_is_there(api: Api) -> None:
    work, response = await answered(api, "still there")
    await decide(api, "withdraw-consent", work)
    document = """query ($id: ID!) { episodeOfCare(id: $id) { status consentedUntil consents { decision manner }
                  assignments { nodes { status response { id } } } citizen { name } } }"""
    for who in ("viewer", "enroller"):
        seen = (await api.run(document, who, id=work["episode"]["id"]))["episodeOfCare"]
        assert (seen["status"], seen["consentedUntil"]) == ("ON_HOLD", None)
        assert [each["decision"] for each in seen["consents"]] == ["WITHDRAWN", "GIVEN"]
        assert seen["assignments"]["nodes"] == [{"status": "COMPLETED", "response": None}]
    assert response not in str(seen)


async def test_open_subscriptions_deliver_nothing_of_an_answer_without_consent(api: Api) -> None:
    updates = "subscription ($after: String) { responseUpdates(after: $after) { cursor response { id colour } } }"
    async with api.follow(updates, "viewer") as following:
        work, response = await answered(api, "before withdrawal")
        delivered = (await following.next())["payload"]["data"]["responseUpdates"]
        assert delivered["response"]["id"] == response
    first = delivered["cursor"]
    work, response = await answered(api, "withdrawn before it is read")
    await decide(api, "withdraw-consent", work)
    for who in ("viewer", "monitor", "integrator", "integrator-with-answers"):
        document = updates if who != "integrator" else updates.replace(" colour", "")
        async with api.follow(document, who, after=first) as following:
            late = (await following.next())["payload"]
        assert late["data"]["responseUpdates"]["response"] is None, who
        assert response not in str(late)


async def test_an_episode_begins_planned_and_is_active_with_consent(api: Api) -> None:
    work = await open_assignment(api)
    planned = await api.run(
        """mutation ($citizen: ID!, $team: ID!, $code: String!) {
          openEpisodeOfCare(input: { citizenId: $citizen, careTeamId: $team, legalBasis: HEALTH_ACT, reasonCode: $code }) {
            ... on EpisodeOfCareOpened { episodeOfCare { id status consentedUntil consents { decision } } } } }""",
        "enroller", citizen=work["citizen"]["id"], team=work["team"]["id"], code=work["team"]["reasonCodes"][0],
    )  # fmt: skip
    episode = planned["openEpisodeOfCare"]["episodeOfCare"]
    assert (episode["status"], episode["consentedUntil"], episode["consents"]) == ("PLANNED", None, [])
    assign = {"episode": episode["id"], "questionnaire": work["questionnaire"]["id"]}
    refused = (await api.run("assign-questionnaire", "enroller", **assign))["assignQuestionnaire"]
    assert refused["code"] == "EPISODE_NOT_ACTIVE"
    # The citizen gives it for themselves, on a screen.
    given = await decide(api, "give-consent", {"episode": episode}, "citizen", manner="DIGITAL")
    assert given["episodeOfCare"]["status"] == "ACTIVE"
    assert given["episodeOfCare"]["consents"][0]["manner"] == "DIGITAL"
    assigned = (await api.run("assign-questionnaire", "enroller", **assign))["assignQuestionnaire"]
    assert assigned["__typename"] == "QuestionnaireAssigned"


async def test_without_consent_nothing_is_assigned_and_nothing_submitted_but_the_draft_is_kept(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=2)
    await decide(api, "give-consent", work, expiresAt=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    await asyncio.sleep(1.2)
    refused = await submit(api, work, "without consent")
    assert (refused["__typename"], refused["code"]) == ("ConsentMissing", "CONSENT_MISSING")
    again = await api.run(
        "assign-questionnaire", "enroller", episode=work["episode"]["id"], questionnaire=work["questionnaire"]["id"]
    )
    assert again["assignQuestionnaire"]["code"] == "CONSENT_MISSING"
    await decide(api, "give-consent", work, "citizen")
    assert (await submit(api, work, "without consent"))["__typename"] == "ResponseSubmitted"


@pytest.mark.parametrize(
    ("given", "expires", "path"),
    [
        (timedelta(hours=1), None, "consent.givenAt"),
        (None, timedelta(hours=-1), "consent.expiresAt"),
        (timedelta(hours=-2), timedelta(hours=-1), "consent.expiresAt"),
        # The consent the episode was opened with was given just now.
        (timedelta(hours=-1), None, "consent.givenAt"),
    ],
)
async def test_a_consent_lies_neither_ahead_nor_behind_what_was_decided_since(
    api: Api, given: timedelta | None, expires: timedelta | None, path: str
) -> None:
    work = await open_assignment(api)
    await decide(api, "withdraw-consent", work, "citizen")
    now = datetime.now(UTC)
    document = """mutation ($episode: ID!, $given: DateTime, $expires: DateTime) {
      giveConsent(input: { episodeOfCareId: $episode, consent: { manner: ORAL, givenAt: $given, expiresAt: $expires } }) {
        __typename ... on Failure { code path } } }"""
    refused = await decide(
        api, document, work,
        given=given and (now + given).isoformat(), expires=expires and (now + expires).isoformat(),
    )  # fmt: skip
    assert refused == {"__typename": "ConsentTimeInvalid", "code": "CONSENT_TIME_INVALID", "path": path}
    seen = await api.run(
        "query ($id: ID!) { episodeOfCare(id: $id) { status consentedUntil consents { decision } } }",
        "enroller",
        id=work["episode"]["id"],
    )
    # What was refused left nothing behind.
    assert seen["episodeOfCare"]["consentedUntil"] is None
    assert [each["decision"] for each in seen["episodeOfCare"]["consents"]] == ["WITHDRAWN", "GIVEN"]


async def test_what_was_not_given_cannot_be_withdrawn(api: Api) -> None:
    work = await open_assignment(api)
    await decide(api, "withdraw-consent", work)
    again = await decide(api, "withdraw-consent", work)
    assert again["code"] == "CONSENT_MISSING"


async def test_consent_to_an_episode_that_has_finished_is_withdrawn_and_given_and_it_stays_finished(api: Api) -> None:
    work, response = await answered(api, "long finished")
    async with api.product.database.peek(101) as connection:
        await connection.execute(
            "UPDATE episode_of_care SET status = 'finished' WHERE id = $1",
            ids.decode("epi", work["episode"]["id"]),
        )
    assert (await look(api, work, response)).direct
    gone = await decide(api, "withdraw-consent", work, "citizen")
    assert gone["episodeOfCare"]["status"] == "FINISHED"
    assert (await look(api, work, response)).direct == []
    again = await decide(api, "give-consent", work)
    assert again["episodeOfCare"]["status"] == "FINISHED"
    assert (await look(api, work, response)).direct


async def test_consent_is_recorded_where_one_may_and_looks_absent_elsewhere(api: Api) -> None:
    work = await open_assignment(api)
    other_unit = employee(grant(Role.CITIZEN_ENROLLER, unit=TEAMS[2].unit), person=member(Role.CITIZEN_ENROLLER))
    absent: list[tuple[Any, str]] = [("enroller", "0851"), ("citizen", "0851"), (other_unit, "0101")]
    for who, municipality in absent:
        for document in ("give-consent", "withdraw-consent"):
            data = await api.run(document, who, municipality, episode=work["episode"]["id"])
            (outcome,) = data.values()
            assert (outcome["code"], outcome["path"]) == ("REFERENCE_UNKNOWN", "episodeOfCareId")
            made_up = await api.run(document, who, municipality, episode="epi_00000000000000000000000000000000")
            assert made_up == data
    for who in ("viewer", "monitor", "careteam-admin", "clinical-admin", "questionnaire-editor", "security-officer",
                "integrator-with-answers"):  # fmt: skip
        for document in ("give-consent", "withdraw-consent"):
            answer = await api.answer(document, who, episode=work["episode"]["id"])
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", who


async def test_whether_colours_are_shown_is_decided_by_the_team_for_each_episode(api: Api) -> None:
    work, response = await answered(api, "colours for the citizen")
    document = (
        "query ($id: ID!) { questionnaireResponse(id: $id) { colour scores { code } interpretations { reason } } }"
    )
    shown: dict[str, Any] = {"colour": None, "scores": [], "interpretations": []}
    assert (await api.run(document, "citizen", id=response))["questionnaireResponse"] == shown
    for who in ("enroller", "citizen"):
        answer = await api.answer("set-episode-policy", who, episode=work["episode"]["id"], coloursShown=True)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    other_team = employee(grant(Role.CLINICAL_VIEWER, team=TEAMS[1].id))
    absent = await decide(api, "set-episode-policy", work, other_team, coloursShown=True)
    assert absent["code"] == "REFERENCE_UNKNOWN"
    assert (await api.run(document, "citizen", id=response))["questionnaireResponse"] == shown
    decided = await decide(api, "set-episode-policy", work, "monitor", coloursShown=True)
    assert decided["episodeOfCare"] == {
        "id": work["episode"]["id"], "coloursShown": True, "hiddenFromGuardians": False,
    }  # fmt: skip
    seen = (await api.run(document, "citizen", id=response))["questionnaireResponse"]
    assert seen["colour"] in {"RED", "YELLOW"}
    assert seen["scores"]
    assert seen["interpretations"]
    other, response = await answered(api, "colours of another episode")
    assert (await api.run(document, "citizen", id=response))["questionnaireResponse"] == shown
    assert other["episode"]["id"] != work["episode"]["id"]


async def test_decisions_about_consent_are_kept_as_they_were_made(api: Api) -> None:
    import asyncpg

    async with api.product.database.peek(101) as connection:
        assert await connection.fetchval("SELECT count(*) FROM consent") > 0
    for statement in ("UPDATE consent SET decision = 'given'", "DELETE FROM consent", "TRUNCATE consent"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api.product.database.peek(101) as connection:
                await connection.execute(statement)
