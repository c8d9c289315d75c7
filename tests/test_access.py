"""Who sees what: another team, another role, a role held elsewhere, nobody at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.demography import Demography
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Viewer
from kpro_graph.storage import tables
from tests.living import Api, example
from tests.test_main_job import give_answers, open_assignment, submit

DEMOGRAPHY = Demography()
TEAMS = DEMOGRAPHY.care_teams("0101")
SCHEMA = make_schema()

EVERYTHING = """
  query ($team: ID!, $citizen: ID!, $episode: ID!, $response: ID!, $assignment: ID!) {
    careTeam(id: $team) { id worklist { totalCount nodes { id } } }
    citizen(id: $citizen) { id }
    episodeOfCare(id: $episode) { id }
    questionnaireResponse(id: $response) { id scores { id } interpretations { id } }
    assignment(id: $assignment) { id }
  }
"""
NOTHING = {
    "careTeam": None, "citizen": None, "episodeOfCare": None, "questionnaireResponse": None, "assignment": None,
}  # fmt: skip


def employee(role: Role, *, teams: tuple[int, ...] = (), units: tuple[Any, ...] = ()) -> Actor:
    """Return an employee of København with one role in these teams (by number) and units."""
    return Actor(
        ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH, roles=frozenset({role}),
        care_teams={role: tuple(TEAMS[n].id for n in teams)}, organisation_units={role: units},
    )  # fmt: skip


async def ask(api: Api, actor: Actor | None, document: str, **variables: Any) -> Any:
    """Run a document as an actor the demo has no token for."""
    result = await SCHEMA.execute(document, variables, Viewer(api.product.application, actor))
    return {"data": result.data, "codes": [error.extensions["code"] for error in result.errors or ()]}


async def submitted(api: Api, key: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Have København's demo citizen answer; return what was made and the ids of everything."""
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    response = (await submit(api, work, key))["response"]["id"]
    return work, {
        "team": work["team"]["id"],
        "citizen": work["citizen"]["id"],
        "episode": work["episode"]["id"],
        "response": response,
        "assignment": work["assignment"]["id"],
    }


async def test_the_team_that_follows_the_citizen_sees_everything(api: Api) -> None:
    _, ids = await submitted(api, "for the team")
    for role in (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR):
        answer = await ask(api, employee(role, teams=(0,)), EVERYTHING, **ids)
        assert answer["codes"] == []
        assert None not in answer["data"].values()
        assert answer["data"]["questionnaireResponse"]["scores"]
        assert ids["episode"] in {node["id"] for node in answer["data"]["careTeam"]["worklist"]["nodes"]}


async def test_another_team_of_the_same_municipality_sees_nothing(api: Api) -> None:
    _, ids = await submitted(api, "not for another team")
    # The demo citizen is followed by the first team only.
    for role in (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR):
        answer = await ask(api, employee(role, teams=(1,)), EVERYTHING, **ids)
        assert answer == {"data": NOTHING, "codes": []}


@pytest.mark.parametrize("role", [Role.CARETEAM_ADMINISTRATOR, Role.CLINICAL_ADMINISTRATOR, Role.QUESTIONNAIRE_EDITOR])
async def test_those_who_administer_see_no_citizen(api: Api, role: Role) -> None:
    _, ids = await submitted(api, f"not for {role}")
    actor = employee(role, teams=(0,), units=(TEAMS[0].unit,))
    answer = await ask(api, actor, EVERYTHING, **ids)
    team = answer["data"].pop("careTeam")
    assert set(answer["data"].values()) == {None}
    assert team["worklist"] == {"totalCount": 0, "nodes": []}


async def test_whoever_enrols_sees_the_assignment_and_neither_answers_nor_urgency(api: Api) -> None:
    work, ids = await submitted(api, "not for the enroller")
    data = await api.run(EVERYTHING, "enroller", **ids)
    assert data["questionnaireResponse"] is None
    assert data["assignment"] is not None
    assert data["careTeam"]["worklist"] == {"totalCount": 0, "nodes": []}
    episode = await api.run(
        "query ($id: ID!) { episodeOfCare(id: $id) { urgency latestResponses { id } } }",
        "enroller",
        id=work["episode"]["id"],
    )
    assert episode["episodeOfCare"] == {"urgency": None, "latestResponses": []}
    # Not even through a filter: the worklist's order and filters would tell the colour.
    filtered = await api.run("worklist", "enroller", careTeam=ids["team"], colours=["RED", "YELLOW", "GREEN"])
    assert filtered["careTeam"]["worklist"]["totalCount"] == 0


async def test_a_role_held_in_one_team_gives_nothing_in_another(api: Api) -> None:
    _, ids = await submitted(api, "roles stay where they are")
    both = Actor(
        ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH,
        roles=frozenset({Role.CLINICAL_VIEWER, Role.CITIZEN_ENROLLER}),
        care_teams={Role.CLINICAL_VIEWER: (TEAMS[1].id,), Role.CITIZEN_ENROLLER: (TEAMS[0].id,)},
        organisation_units={Role.CITIZEN_ENROLLER: (TEAMS[0].unit,)},
    )  # fmt: skip
    answer = await ask(api, both, EVERYTHING, **ids)
    assert answer["data"]["questionnaireResponse"] is None
    assert answer["data"]["episodeOfCare"] is not None
    urgency = await ask(api, both, "query ($id: ID!) { episodeOfCare(id: $id) { urgency } }", id=ids["episode"])
    assert urgency["data"]["episodeOfCare"]["urgency"] is None


async def test_a_draft_is_the_citizens_own(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    document = "query ($id: ID!) { assignment(id: $id) { draft { id draftAnswers { path fhir } } } }"
    mine = await api.run(document, "citizen", id=work["assignment"]["id"])
    assert len(mine["assignment"]["draft"]["draftAnswers"]) == 5
    for actor in ("viewer", "monitor", "enroller", "integrator-with-answers"):
        theirs = await api.run(document, actor, id=work["assignment"]["id"])
        assert theirs["assignment"]["draft"] is None, actor


async def test_a_system_without_answers_learns_neither_names_nor_reasons_nor_colours(api: Api) -> None:
    _, ids = await submitted(api, "not for every system")
    for field in ("citizen(id: $citizen) { name }", "citizen(id: $citizen) { birthDate }",
                  "episodeOfCare(id: $episode) { reasonCode }", "questionnaireResponse(id: $response) { colour }",
                  "questionnaireResponse(id: $response) { answers { path } }"):  # fmt: skip
        name = field.split("$")[1].split(")")[0]
        answer = await api.answer(f"query (${name}: ID!) {{ {field} }}", "integrator", **{name: ids[name]})
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], field
    found = await api.run(EVERYTHING, "integrator", **ids)
    assert found["questionnaireResponse"] == {"id": ids["response"], "scores": [], "interpretations": []}


async def test_nobody_gets_nothing_and_an_actor_without_roles_sees_nothing(api: Api) -> None:
    _, ids = await submitted(api, "not for nobody")
    nobody = await ask(api, None, EVERYTHING, **ids)
    assert set(nobody["codes"]) == {"UNAUTHENTICATED"}
    bare = Actor(ActorKind.EMPLOYEE, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)
    assert (await ask(api, bare, EVERYTHING, **ids)) == {"data": NOTHING, "codes": []}
    system = Actor(ActorKind.SYSTEM, tables.new_id(), 101, (101,), AssuranceLevel.HIGH)
    assert (await ask(api, system, EVERYTHING, **ids)) == {"data": NOTHING, "codes": []}


@pytest.mark.parametrize("actor", ["enroller", "careteam-admin", "questionnaire-editor", "citizen"])
async def test_updates_are_for_care_teams_and_systems(api: Api, actor: str) -> None:
    async with api.follow("response-updates", actor) as following:
        message = await following.next()
    codes = {error["extensions"]["code"] for error in message["payload"]["errors"]}
    # The enroller of the demo follows no team; a citizen reads their own answers by asking.
    assert codes == {"FORBIDDEN"}


async def test_a_subscription_ends_when_the_right_to_it_does(api: Api) -> None:
    async with api.follow("response-updates", "viewer") as following:
        work = await open_assignment(api)
        await give_answers(api, work, weight=1)
        import asyncpg

        owner = await asyncpg.connect(api.product.databases.need("owner"))
        await owner.execute("SELECT set_config('kpro.municipalities', '{101}', false)")
        await owner.execute("UPDATE employee SET active = false")
        try:
            token = api.token("citizen")
            response = await api.post(
                example("submit-response"),
                {
                    "assignment": work["assignment"]["id"],
                    "questionnaire": work["questionnaire"]["id"],
                    "key": "too late",
                },
                token=token,
            )
            assert response.json()["data"]["submitResponse"]["__typename"] == "ResponseSubmitted"
            message = await following.next()
        finally:
            await owner.execute("UPDATE employee SET active = true")
            await owner.close()
    assert "UNAUTHENTICATED" in str(message)
    assert work["assignment"]["id"] not in str(message)


async def test_drafts_of_the_catalogue_are_for_editors(api: Api) -> None:
    form = {
        "resourceType": "Questionnaire", "url": "https://example.org/Questionnaire/draft", "version": "1", "name": "D",
        "title": "Kladde", "status": "draft", "item": [{"linkId": "1", "type": "string", "text": "?"}],
    }  # fmt: skip
    made = await api.run("import-questionnaire", "questionnaire-editor", fhir=json.dumps(form))
    draft = made["importQuestionnaire"]["questionnaire"]["id"]
    look = "query ($id: ID!) { questionnaire(id: $id) { title status } }"
    for actor in ("enroller", "viewer", "citizen", "integrator"):
        assert (await api.run(look, actor, id=draft))["questionnaire"] is None
    assert (await api.run(look, "questionnaire-editor", "0851", id=draft))["questionnaire"] is None
    refused = await api.answer("activate-questionnaire", "enroller", questionnaire=draft)
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    elsewhere = await api.run("activate-questionnaire", "questionnaire-editor", "0851", questionnaire=draft)
    assert elsewhere["activateQuestionnaire"]["code"] == "REFERENCE_UNKNOWN"
    active = await api.run("activate-questionnaire", "questionnaire-editor", questionnaire=draft)
    assert active["activateQuestionnaire"]["questionnaire"]["status"] == "ACTIVE"
    again = await api.run("activate-questionnaire", "questionnaire-editor", questionnaire=draft)
    assert again["activateQuestionnaire"]["code"] == "WRONG_STATE"
    assert (await api.run(look, "citizen", id=draft))["questionnaire"] == {"title": "Kladde", "status": "ACTIVE"}


async def test_a_questionnaire_with_a_fault_does_not_come_into_use(api: Api) -> None:
    form = {
        "resourceType": "Questionnaire", "url": "https://example.org/Questionnaire/faulty", "version": "1", "name": "F",
        "title": "Fejl", "status": "draft",
        "item": [
            {"linkId": "1", "type": "integer", "text": "Hvor mange?"},
            {
                "linkId": "2", "type": "string", "text": "Hvorfor?", "enableBehavior": "all",
                "enableWhen": [
                    {"question": "1", "operator": ">", "answerInteger": 5},
                    {"question": "1", "operator": "<", "answerInteger": 3},
                ],
            },
        ],
    }  # fmt: skip
    made = await api.run("import-questionnaire", "questionnaire-editor", fhir=json.dumps(form))
    draft = made["importQuestionnaire"]["questionnaire"]["id"]
    refused = (await api.run("activate-questionnaire", "questionnaire-editor", questionnaire=draft))[
        "activateQuestionnaire"
    ]
    assert (refused["__typename"], refused["code"]) == ("QuestionnaireRejected", "NOT_PROVED")
    assert ("unreachable", "2") in {(each["code"], each["linkId"]) for each in refused["problems"]}
    assert all(each["location"] and each["message"] and each["messageEn"] for each in refused["problems"])
    look = "query ($id: ID!) { questionnaire(id: $id) { status } }"
    assert (await api.run(look, "questionnaire-editor", id=draft))["questionnaire"]["status"] == "DRAFT"
