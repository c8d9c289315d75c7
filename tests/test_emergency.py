"""Værdispring: a record is opened in an emergency to one employee, for an hour, and everybody can see that it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kpro_graph.actors import Credentials, Role
from kpro_graph.identity import authenticate
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Viewer
from tests.living import Api
from tests.people import DEMOGRAPHY, PEOPLE, citizen, employee, grant, member
from tests.test_main_job import WHO5, give_answers, open_assignment, submit

TEAMS = DEMOGRAPHY.care_teams("0101")
NUMBER = DEMOGRAPHY.citizen_cpr("0101", 0)
REASON = "Borgeren er bevidstløs på skadestuen"
# Somebody who reads answers, in a team that does not follow the demo's citizen.
STRANGER = employee(grant(Role.CLINICAL_VIEWER, team=TEAMS[1].id), person=member(Role.CLINICAL_VIEWER, number=2))
COLLEAGUE = employee(grant(Role.CLINICAL_VIEWER, team=TEAMS[1].id), person=member(Role.CLINICAL_VIEWER, number=3))
SCHEMA = make_schema()

LOOK = """
  query ($team: ID!, $own: ID!, $citizen: ID!, $episode: ID!, $assignment: ID!, $response: ID!, $url: String!) {
    citizen(id: $citizen) {
      name episodes { totalCount } responses { totalCount } assignments { totalCount }
      trend(questionnaireUrl: $url, score: "who5") { id }
    }
    episodeOfCare(id: $episode) { id urgency lastResponseAt consents { decision } }
    assignment(id: $assignment) { id draft { id } }
    questionnaireResponse(id: $response) { colour answers { path } scores { id } interpretations { reason } }
    careTeam(id: $team) { worklist { totalCount } }
    own: careTeam(id: $own) { worklist(first: 100) { nodes { id } } }
    careTeams { nodes { id } }
  }
"""


async def answered(api: Api, key: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Have the citizen answer, then withdraw consent; return what was made and the ids of everything."""
    work = await open_assignment(api)
    await give_answers(api, work, weight=1)
    response = (await submit(api, work, key))["response"]["id"]
    await api.run("withdraw-consent", "citizen", episode=work["episode"]["id"])
    ids = {
        "team": work["team"]["id"], "own": f"team_{TEAMS[1].id.hex}", "citizen": work["citizen"]["id"],
        "episode": work["episode"]["id"], "assignment": work["assignment"]["id"], "response": response, "url": WHO5,
    }  # fmt: skip
    return work, ids


async def open_record(api: Api, who: Any = STRANGER, **more: Any) -> dict[str, Any]:
    data = await api.run("open-emergency-access", who, **{"cpr": NUMBER, "reason": REASON, **more})
    return dict(data["openEmergencyAccess"])


@asynccontextmanager
async def owner_of(api: Api) -> AsyncIterator[Any]:
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute("SELECT set_config('kpro.municipalities', '{101,851}', false)")
    try:
        yield owner
    finally:
        await owner.close()


@pytest.fixture(autouse=True)
async def _closed_again(api: Api) -> AsyncIterator[None]:
    """Let every record that a test opened be closed by its time."""
    yield
    async with owner_of(api) as owner:
        await owner.execute(
            "UPDATE emergency_access SET opened_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'"
        )


def assert_closed(seen: Any) -> None:
    assert seen["citizen"] is seen["episodeOfCare"] is seen["assignment"] is seen["questionnaireResponse"] is None
    assert seen["careTeam"] is None


async def test_the_record_is_open_to_that_employee_and_to_nobody_else(api: Api) -> None:
    _, ids = await answered(api, "opened to one")
    before = await api.run(LOOK, STRANGER, **ids)
    assert_closed(before)
    opened = await open_record(api)
    assert opened["__typename"] == "EmergencyAccessRecorded"
    # What was opened is there in the same answer.
    assert opened["emergencyAccess"]["citizen"]["id"] == ids["citizen"]
    seen = await api.run(LOOK, STRANGER, **ids)
    assert seen["citizen"]["name"]
    assert seen["citizen"]["responses"]["totalCount"] > 0
    assert seen["citizen"]["trend"]
    assert seen["episodeOfCare"]["urgency"] in {"RED", "YELLOW"}
    assert seen["episodeOfCare"]["lastResponseAt"]
    assert seen["assignment"] == {"id": ids["assignment"], "draft": None}
    response = seen["questionnaireResponse"]
    assert response["answers"]
    assert response["scores"]
    assert response["interpretations"]
    assert response["colour"] in {"RED", "YELLOW"}
    # The citizen is added to nothing else: no team, no worklist.
    assert (seen["careTeam"], seen["own"], seen["careTeams"]) == (None, before["own"], before["careTeams"])
    assert_closed(await api.run(LOOK, COLLEAGUE, **ids))
    # The team that follows the citizen has no consent, and none was lent to it.
    followed = await api.run(LOOK, "viewer", **ids)
    assert followed["questionnaireResponse"] is None
    assert followed["episodeOfCare"]["urgency"] is None


async def test_another_citizens_record_stays_closed(api: Api) -> None:
    await answered(api, "only one record")
    other = await api.run("find-citizen", "enroller", cpr=DEMOGRAPHY.citizen_cpr("0101", 3))
    look = "query ($id: ID!) { citizen(id: $id) { id } }"
    id_ = other["findCitizen"]["citizen"]["id"]
    closed = (await api.run(look, STRANGER, id=id_))["citizen"]
    await open_record(api)
    assert (await api.run(look, STRANGER, id=id_))["citizen"] == closed


async def test_subscriptions_are_given_nothing_by_it(api: Api) -> None:
    await open_record(api)
    async with api.follow("response-updates", STRANGER) as following:
        work = await open_assignment(api)
        await give_answers(api, work, weight=1)
        await submit(api, work, "not for the one who opened")
        await following.nothing()


async def test_an_hour_later_it_is_closed_though_nobody_wrote_anything(api: Api) -> None:
    _, ids = await answered(api, "for an hour")
    opened = await open_record(api)
    async with api.product.database.peek(101) as connection:
        lasts = await connection.fetchval(
            "SELECT expires_at - opened_at FROM emergency_access WHERE id = $1", _uuid(opened["emergencyAccess"]["id"])
        )
    assert lasts.total_seconds() == 3600

    credentials = Credentials("bearer", PEOPLE.token(STRANGER), "127.0.0.1")
    actor = await authenticate(api.product.database, api.product.host, credentials)
    assert actor.opened
    async with owner_of(api) as owner:
        await owner.execute(
            "UPDATE emergency_access SET opened_at = now() - interval '1 hour', expires_at = now() WHERE id = $1",
            _uuid(opened["emergencyAccess"]["id"]),
        )
    assert_closed(await api.run(LOOK, STRANGER, **ids))
    # Not even an actor who was made while it was open is believed.
    stale = await SCHEMA.execute(LOOK, ids, Viewer(api.product.application, actor))
    assert stale.errors is None
    assert stale.data is not None
    assert_closed(stale.data)


async def test_it_holds_only_while_acting_with_a_role_that_reads(api: Api) -> None:
    _, ids = await answered(api, "only in a reading role")
    units = [each.id for each in DEMOGRAPHY.organisation_units("0101")]
    both = employee(
        grant(Role.CLINICAL_VIEWER, team=TEAMS[1].id), grant(Role.CARETEAM_ADMINISTRATOR, unit=units),
        grant(Role.SECURITY_OFFICER, unit=units), person=member(Role.CLINICAL_VIEWER, number=2),
    )  # fmt: skip
    listed = (await api.run("contexts", both))["me"]["contexts"]
    reading = next(each["key"] for each in listed if "CLINICAL_VIEWER" in each["roles"])
    data = await api.run("open-emergency-access", both, context=reading, cpr=NUMBER, reason=REASON)
    opened = data["openEmergencyAccess"]["emergencyAccess"]["id"]
    assert (await api.run(LOOK, both, context=reading, **ids))["questionnaireResponse"]
    for each in listed:
        if "CLINICAL_VIEWER" not in each["roles"]:
            seen = await api.run(LOOK, both, context=each["key"], **ids)
            assert seen["citizen"] is seen["episodeOfCare"] is seen["questionnaireResponse"] is None
    assert (await api.run(LOOK, both, **ids))["citizen"] is None
    # Nobody reviews what they opened themselves, whatever else they are.
    officer = next(each["key"] for each in listed if "SECURITY_OFFICER" in each["roles"])
    verdict = {"emergencyAccess": opened, "verdict": "JUSTIFIED"}
    own = await api.run("review-emergency-access", both, context=officer, **verdict)
    assert own["reviewEmergencyAccess"]["code"] == "OWN_EMERGENCY"
    other = await api.run("review-emergency-access", "security-officer", **verdict)
    assert other["reviewEmergencyAccess"]["emergencyAccess"]["verdict"] == "JUSTIFIED"


async def test_it_gives_no_right_to_change_anything(api: Api) -> None:
    work, ids = await answered(api, "to look only")
    await open_record(api)
    policy = await api.run("set-episode-policy", STRANGER, episode=ids["episode"], coloursShown=True)
    assert policy["setEpisodePolicy"]["code"] == "REFERENCE_UNKNOWN"
    for document, variables in (
        ("give-consent", {"episode": ids["episode"]}),
        ("assign-questionnaire", {"episode": ids["episode"], "questionnaire": work["questionnaire"]["id"]}),
    ):
        answer = await api.answer(document, STRANGER, **variables)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_another_municipality_finds_nobody_and_opens_nothing(api: Api) -> None:
    _, ids = await answered(api, "not from Aalborg")
    refused = (await api.run("open-emergency-access", "viewer", "0851", cpr=NUMBER, reason=REASON))[
        "openEmergencyAccess"
    ]
    assert refused["code"] == "CITIZEN_UNKNOWN"
    await open_record(api)
    seen = await api.run(LOOK, "viewer", "0851", **ids)
    assert_closed(seen)
    assert (await api.run("{ emergencyAccesses { totalCount } }", "security-officer", "0851"))["emergencyAccesses"] == {
        "totalCount": 0
    }


@pytest.mark.parametrize("who", ["enroller", "careteam-admin", "clinical-admin", "questionnaire-editor",
                                 "security-officer", "citizen", "integrator-with-answers"])  # fmt: skip
async def test_those_who_never_read_answers_open_none(api: Api, who: str) -> None:
    answer = await api.answer("open-emergency-access", who, cpr=NUMBER, reason=REASON)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("reason", ["", "   ", "kort", " k o r t ", "x" * 1001])
async def test_a_record_is_opened_for_a_reason(api: Api, reason: str) -> None:
    refused = await open_record(api, reason=reason)
    assert (refused["code"], refused["path"]) == ("EMERGENCY_REASON_MISSING", "reason")


async def test_looking_is_logged_with_its_mark_and_so_is_opening_and_trying(api: Api) -> None:
    _, ids = await answered(api, "marked in the log")
    unknown = DEMOGRAPHY.citizen_cpr("0101", 1050)
    async with api.product.database.peek(101) as connection:
        before = {row["id"] for row in await connection.fetch("SELECT id FROM access_log")}
    assert (await open_record(api, cpr=unknown))["code"] == "CITIZEN_UNKNOWN"
    await open_record(api)
    await api.run(LOOK, STRANGER, **ids)
    async with api.product.database.peek(101) as connection:
        lines = [dict(row) for row in await connection.fetch("SELECT * FROM access_log ORDER BY id")]
    lines = [line for line in lines if line["id"] not in before]
    tried = [line for line in lines if line["citizen_id"] is None]
    assert [(line["action"], line["override"]) for line in tried] == [("search", False)]
    looked = [line for line in lines if line["citizen_id"] == _uuid(ids["citizen"])]
    assert {(line["override"], line["purpose"]) for line in looked} == {(True, "emergency")}
    assert {"create", "read"} <= {line["action"] for line in looked}
    # The citizens of the employee's own team were in the answer too, and are not marked.
    others = [line for line in lines if line["citizen_id"] not in {None, _uuid(ids["citizen"])}]
    assert {(line["override"], line["purpose"]) for line in others} == {(False, "treatment")}
    groups = {group for line in looked for group in line["fields_seen"].split()}
    assert {"emergency", "identity", "answers", "scores", "colours", "episode"} <= groups


async def test_the_security_officer_reviews_it_once_and_sees_no_citizen(api: Api) -> None:
    opened = (await open_record(api))["emergencyAccess"]["id"]
    listed = (await api.run("emergency-accesses", "security-officer"))["emergencyAccesses"]
    entry = next(node for node in listed["nodes"] if node["id"] == opened)
    assert (entry["reason"], entry["verdict"]) == (REASON, None)
    person = member(Role.CLINICAL_VIEWER, number=2)
    assert entry["employee"] == {"name": person.name}
    assert entry["organisationUnit"] == {"name": "Center for Kræft"}
    whose = "query ($id: ID!) { node(id: $id) { ... on EmergencyAccess { citizen { id } } } }"
    assert (await api.run(whose, "security-officer", id=opened))["node"] == {"citizen": None}
    verdict = {"emergencyAccess": opened, "verdict": "UNJUSTIFIED", "note": "  Ingen  behandling  "}
    for who in ("viewer", STRANGER, "enroller", "citizen", "integrator-with-answers"):
        answer = await api.answer("review-emergency-access", who, **verdict)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    elsewhere = await api.run("review-emergency-access", "security-officer", "0851", **verdict)
    assert elsewhere["reviewEmergencyAccess"]["code"] == "REFERENCE_UNKNOWN"
    reviewed = await api.run("review-emergency-access", "security-officer", **verdict)
    entry = reviewed["reviewEmergencyAccess"]["emergencyAccess"]
    assert (entry["verdict"], entry["note"]) == ("UNJUSTIFIED", "Ingen behandling")
    again = await api.run("review-emergency-access", "security-officer", **verdict)
    assert again["reviewEmergencyAccess"]["code"] == "ALREADY_REVIEWED"
    still = (await api.run("emergency-accesses", "security-officer", first=100))["emergencyAccesses"]["nodes"]
    assert opened not in {node["id"] for node in still}
    done = (await api.run("emergency-accesses", "security-officer", reviewed=True, first=100))["emergencyAccesses"][
        "nodes"
    ]
    assert opened in {node["id"] for node in done}


async def test_the_citizen_sees_that_it_was_opened_and_why_and_a_representative_does_not(api: Api) -> None:
    work = await open_assignment(api)
    opened = (await open_record(api))["emergencyAccess"]["id"]
    look = """query ($id: ID!) { me { citizen { emergencyAccesses { id reason } } } node(id: $id) { id }
              emergencyAccesses(first: 100) { nodes { id } } }"""
    seen = await api.run(look, "citizen", id=opened)
    assert {"id": opened, "reason": REASON} in seen["me"]["citizen"]["emergencyAccesses"]
    assert seen["node"] == {"id": opened}
    assert opened in {node["id"] for node in seen["emergencyAccesses"]["nodes"]}
    for number, kind in ((1060, "GUARDIAN"), (1061, "POWER_OF_ATTORNEY")):
        await api.run(
            "register-representation", "enroller", citizen=work["citizen"]["id"], name="Rita Ravn", kind=kind,
            cpr=DEMOGRAPHY.citizen_cpr("0101", number),
        )  # fmt: skip
        acting = await api.run(look, citizen(number), context=work["citizen"]["id"], id=opened)
        assert acting["me"]["citizen"]["emergencyAccesses"] == []
        assert (acting["node"], acting["emergencyAccesses"]["nodes"]) == (None, [])
    for who, municipality in (("viewer", "0101"), (COLLEAGUE, "0101"), ("citizen", "0851"), ("enroller", "0101")):
        assert (await api.run("query ($id: ID!) { node(id: $id) { id } }", who, municipality, id=opened))[
            "node"
        ] is None
    own = await api.run("query ($id: ID!) { node(id: $id) { id } }", STRANGER, id=opened)
    assert own["node"] == {"id": opened}


async def test_of_what_was_opened_nothing_but_the_review_can_change(api: Api) -> None:
    await open_record(api)
    for statement in (
        "UPDATE emergency_access SET reason = 'en anden'", "UPDATE emergency_access SET expires_at = now() + interval '1 day'",
        "UPDATE emergency_access SET employee_id = gen_random_uuid()", "DELETE FROM emergency_access",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api.product.database.peek(101) as connection:
                await connection.execute(statement)


def _uuid(id_: str) -> UUID:
    return UUID(id_.partition("_")[2])
