"""The main job, end to end: from a CPR number to a coloured answer in the worklist and an event at an integrator."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from kpro_graph.demography import Demography
from tests.living import Api

WHO5 = "https://kpro-graph.dk/Questionnaire/who-5"
DEMOGRAPHY = Demography()


async def open_assignment(api: Api, municipality: str = "0101", url: str = WHO5) -> dict[str, Any]:
    """Assign a questionnaire to the municipality's demo citizen in an episode of its own; return what was made."""
    cpr = DEMOGRAPHY.citizen_cpr(municipality, 0)
    found = await api.run("find-citizen", "enroller", municipality, cpr=cpr)
    citizen = found["findCitizen"]["citizen"]
    team = (await api.run("care-teams", "viewer", municipality))["careTeams"]["nodes"][0]
    opened = await api.run(
        "open-episode",
        "enroller",
        municipality,
        citizen=citizen["id"],
        careTeam=team["id"],
        reasonCode=team["reasonCodes"][0],
    )
    questionnaire = (await api.run("questionnaires", "enroller", municipality, url=url))["questionnaires"]["nodes"][0]
    assigned = await api.run(
        "assign-questionnaire",
        "enroller",
        municipality,
        episode=opened["openEpisodeOfCare"]["episodeOfCare"]["id"],
        questionnaire=questionnaire["id"],
    )
    return {
        "citizen": citizen,
        "team": team,
        "episode": opened["openEpisodeOfCare"]["episodeOfCare"],
        "questionnaire": questionnaire,
        "assignment": assigned["assignQuestionnaire"]["assignment"],
    }


async def give_answers(api: Api, work: dict[str, Any], weight: int, municipality: str = "0101") -> None:
    """Answer every WHO-5 item with the option of this weight, as the citizen."""
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    mine = await api.run(
        "query ($id: ID!) { questionnaire(id: $id) { items { path type options { system code weight } } } }",
        "citizen",
        municipality,
        id=ids["questionnaire"],
    )
    for item in mine["questionnaire"]["items"]:
        if item["type"] == "choice":
            option = next(each for each in item["options"] if each["weight"] == str(weight))
            saved = await api.run(
                "save-answer",
                "citizen",
                municipality,
                **ids,
                path=item["path"],
                values=[{"coding": {"system": option["system"], "code": option["code"]}}],
            )
            assert saved["saveAnswer"]["__typename"] == "AnswerSaved", saved


async def submit(api: Api, work: dict[str, Any], key: str, municipality: str = "0101") -> dict[str, Any]:
    """Submit the draft, as the citizen."""
    data = await api.run(
        "submit-response",
        "citizen",
        municipality,
        assignment=work["assignment"]["id"],
        questionnaire=work["questionnaire"]["id"],
        key=key,
    )
    return dict(data["submitResponse"])


async def test_the_main_job_ends_with_a_colour_in_the_worklist_and_an_update_at_the_integrator(api: Api) -> None:
    work = await open_assignment(api)
    waiting = await api.run("my-assignments", "citizen")
    assert work["assignment"]["id"] in [each["id"] for each in waiting["me"]["citizen"]["assignments"]["nodes"]]
    async with api.follow("response-updates", "integrator") as updates:
        await give_answers(api, work, weight=1)
        began = time.monotonic()
        receipt = await submit(api, work, "the main job")
        update = await updates.next()
        assert time.monotonic() - began < 1
    assert receipt["__typename"] == "ResponseSubmitted"
    assert update["payload"]["data"]["responseUpdates"]["response"]["id"] == receipt["response"]["id"]
    listed = await api.run("worklist", "viewer", careTeam=work["team"]["id"], first=100)
    entry = next(each for each in listed["careTeam"]["worklist"]["nodes"] if each["id"] == work["episode"]["id"])
    latest = next(each for each in entry["latestResponses"] if each["id"] == receipt["response"]["id"])
    assert entry["citizen"]["id"] == work["citizen"]["id"]
    # WHO-5: five answers of weight 1, times four; 50 and below calls for attention.
    assert latest["scores"][0] == {
        "code": "who5", "label": latest["scores"][0]["label"], "value": "20", "minimum": "0", "maximum": "100",
    }  # fmt: skip
    assert latest["colour"] in {"YELLOW", "RED"}
    assert entry["urgency"] == latest["colour"]
    assert "20" in next(each["reason"] for each in latest["interpretations"] if each["subject"].startswith("score:"))
    history = await api.run(
        "citizen-history", "viewer", citizen=work["citizen"]["id"], questionnaireUrl=WHO5, score="who5"
    )
    assert history["citizen"]["trend"][-1]["value"] == "20"
    assert len(history["citizen"]["responses"]["nodes"][0]["answers"]) == 5


async def test_someone_from_another_municipality_sees_none_of_it(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=3)
    response = (await submit(api, work, "not for Aalborg"))["response"]["id"]
    document = """
      query ($team: ID!, $citizen: ID!, $episode: ID!, $response: ID!, $assignment: ID!) {
        careTeam(id: $team) { id } citizen(id: $citizen) { id } episodeOfCare(id: $episode) { id }
        questionnaireResponse(id: $response) { id } assignment(id: $assignment) { id }
        node(id: $response) { id } nodes(ids: [$team, $citizen, $episode, $assignment]) { id }
      }
    """
    ids = {
        "team": work["team"]["id"],
        "citizen": work["citizen"]["id"],
        "episode": work["episode"]["id"],
        "response": response,
        "assignment": work["assignment"]["id"],
    }
    for actor in ("enroller", "viewer", "monitor", "citizen", "integrator", "questionnaire-editor"):
        data = await api.run(document, actor, "0851", **ids)
        assert data == {
            "careTeam": None, "citizen": None, "episodeOfCare": None, "questionnaireResponse": None,
            "assignment": None, "node": None, "nodes": [None, None, None, None],
        }, actor  # fmt: skip
    own = await api.run(document, "viewer", "0101", **ids)
    assert None not in own.values()


async def test_an_integrator_gets_answers_only_when_it_asks_and_may(api: Api) -> None:
    work = await open_assignment(api)
    asking = "subscription { responseUpdates { response { id colour answers { linkId } } } }"
    async with (
        api.follow(asking, "integrator") as without,
        api.follow(asking, "integrator-with-answers") as with_answers,
        api.follow("response-updates", "integrator", "0851") as elsewhere,
    ):
        await give_answers(api, work, weight=4)
        await submit(api, work, "who may have answers")
        refused = (await without.next())["payload"]
        given = (await with_answers.next())["payload"]
        await elsewhere.nothing()
    assert {error["extensions"]["code"] for error in refused["errors"]} == {"FORBIDDEN"}
    assert "linkId" not in str(refused["data"])
    assert len(given["data"]["responseUpdates"]["response"]["answers"]) == 5


async def test_updates_go_on_from_a_cursor_without_missing_or_repeating_one(api: Api) -> None:
    cursors, seen = [], []
    async with api.follow("response-updates", "integrator") as updates:
        for number in range(3):
            work = await open_assignment(api)
            await give_answers(api, work, weight=number)
            await submit(api, work, f"resumable {number}")
            update = (await updates.next())["payload"]["data"]["responseUpdates"]
            cursors.append(update["cursor"])
            seen.append(update["response"]["id"])
    async with api.follow("response-updates", "integrator", after=cursors[0]) as resumed:
        again = [(await resumed.next())["payload"]["data"]["responseUpdates"]["response"]["id"] for _ in range(2)]
        await resumed.nothing()
    assert again == seen[1:]


async def test_two_submits_of_one_draft_at_the_same_time_store_one_response(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=2)
    outcomes = await asyncio.gather(*(submit(api, work, f"racing {number}") for number in range(6)))
    kinds = sorted(each["__typename"] for each in outcomes)
    assert kinds == ["AlreadySubmitted"] * 5 + ["ResponseSubmitted"]
    history = await api.run(
        "query ($id: ID!) { citizen(id: $id) { responses(first: 100) { nodes { assignment { id } } } } }",
        "viewer",
        id=work["citizen"]["id"],
    )
    stored = [each["assignment"]["id"] for each in history["citizen"]["responses"]["nodes"]]
    assert stored.count(work["assignment"]["id"]) == 1


async def test_the_same_key_again_returns_the_first_result(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=5)
    outcomes = await asyncio.gather(*(submit(api, work, "one and the same") for _ in range(4)))
    assert {each["receipt"] for each in outcomes} == {outcomes[0]["receipt"]}
    assert sorted(each["repeated"] for each in outcomes) == [False, True, True, True]


async def test_an_amendment_supersedes_and_both_are_kept(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=0)
    first = (await submit(api, work, "before amending"))["response"]["id"]
    opened = (await api.run("amend-response", "citizen", response=first, reason="Jeg læste forkert"))["amendResponse"]
    assert opened["__typename"] == "AmendmentOpened"
    assert len(opened["response"]["draftAnswers"]) == 5
    await give_answers(api, work, weight=5)
    second = (await submit(api, work, "after amending"))["response"]
    assert second["status"] == "AMENDED"
    data = await api.run(
        "query ($id: ID!, $first: ID!) { "
        " questionnaireResponse(id: $id) { version amendReason superseded scores { value } amends { id version superseded "
        " answers { values { display } } } } old: node(id: $first) { id } }",
        "viewer",
        id=second["id"],
        first=first,
    )
    response = data["questionnaireResponse"]
    assert (response["version"], response["superseded"], response["scores"][0]["value"]) == (2, False, "100")
    assert response["amends"]["id"] == first
    assert response["amends"]["superseded"] is True
    assert len(response["amends"]["answers"]) == 5


@pytest.mark.parametrize("municipality", ["0101", "0851", "0810", "0265"])
async def test_each_municipality_does_its_own_work(api: Api, municipality: str) -> None:
    work = await open_assignment(api, municipality)
    await give_answers(api, work, weight=2, municipality=municipality)
    assert (await submit(api, work, "everywhere", municipality))["__typename"] == "ResponseSubmitted"


async def test_a_local_questionnaire_is_answered_along_its_paths_and_its_conditions(api: Api) -> None:
    work = await open_assignment(api, url="https://kpro-graph.dk/Questionnaire/center-for-kraeft")
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    asked = await api.run(
        "query ($id: ID!) { questionnaire(id: $id) { national items { path linkId type required options { system code } } } }",
        "citizen",
        id=ids["questionnaire"],
    )
    assert asked["questionnaire"]["national"] is False

    async def save(path: str, *values: Any) -> Any:
        return (await api.run("save-answer", "citizen", **ids, path=path, values=list(values)))["saveAnswer"]

    for item in asked["questionnaire"]["items"]:
        if item["type"] == "choice" and item["required"]:
            option = item["options"][0]
            saved = await save(item["path"], {"coding": {"system": option["system"], "code": option["code"]}})
            assert saved["__typename"] == "AnswerSaved"
    assert (await save("body/pain", {"integer": 11}))["problems"][0]["code"] == "max_value"
    await save("body/pain", {"integer": 8})
    await save("mind/distress", {"integer": 7})
    await save("conversation/wants-message", {"boolean": True})
    asking = await save("conversation/message", {"string": "Jeg vil gerne tale om min søvn"})
    assert "message" in asking["enabledLinkIds"]
    # The citizen changes their mind: what is no longer asked is neither stored nor held against them.
    changed = await save("conversation/wants-message", {"boolean": False})
    assert "message" not in changed["enabledLinkIds"]
    receipt = await submit(api, work, "along the paths")
    assert receipt["__typename"] == "ResponseSubmitted", receipt
    response = (
        await api.run(
            "query ($id: ID!) { questionnaireResponse(id: $id) { colour answers { path values { display integer } }"
            " interpretations { subject colour reason } } }",
            "viewer",
            id=receipt["response"]["id"],
        )
    )["questionnaireResponse"]
    paths = [answer["path"] for answer in response["answers"]]
    assert "body/pain" in paths
    assert "conversation/message" not in paths
    assert response["colour"] == "RED"
    assert all(each["reason"] for each in response["interpretations"])
    assert "søvn" not in str(response)


@pytest.mark.parametrize("table", ["event", "access_log", "score", "interpretation"])
async def test_an_answer_is_stored_with_its_line_its_event_and_its_colours_or_not_at_all(api: Api, table: str) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute(f"REVOKE INSERT ON {table} FROM kpro_api")
    try:
        refused = await api.answer(
            "submit-response",
            "citizen",
            assignment=work["assignment"]["id"],
            questionnaire=work["questionnaire"]["id"],
            key=f"without {table}",
        )
    finally:
        await owner.execute(f"GRANT INSERT ON {table} TO kpro_api")
        await owner.close()
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "INTERNAL"
    # Nothing is stored half: the draft is as it was and can be submitted now.
    assert (await submit(api, work, f"without {table}"))["repeated"] is False
