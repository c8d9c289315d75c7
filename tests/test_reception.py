"""The reception: one-time codes, tries that are counted, sessions that see what was handed over and leave nothing."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from uuid import UUID

import pytest

from kpro_graph import reception
from kpro_graph.actors import Role
from kpro_graph.errors import ConfigurationError
from kpro_graph.settings import Settings
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from tests.conftest import SECRET
from tests.living import Api
from tests.people import employee, grant, member
from tests.receiving import (
    DEMOGRAPHY,
    HAND_OUT,
    REDEEM,
    REFUSED,
    REGISTER,
    SEEN,
    administrator,
    alter,
    answer_all,
    at,
    begin,
    hand_out,
    redeem,
    register,
    unit_of,
)
from tests.test_main_job import give_answers, open_assignment

END = "mutation { endReceptionSession { ended } }"
OFF = """
  mutation ($id: ID!) { switchOffReceptionDevice(input: { receptionDeviceId: $id }) { __typename
    ... on ReceptionDeviceChanged { device { id switchedOffAt } } ... on Failure { code } } }
"""
END_AT = """
  mutation ($id: ID!) { endReceptionSessionAt(input: { receptionDeviceId: $id }) { __typename
    ... on Failure { code } } }
"""


def key(id_: str) -> UUID:
    return UUID(id_.rpartition("_")[2])


async def ended(api: Api, token: str) -> bool:
    """Say whether a token is worth nothing any more."""
    answer = (await at(api, token, SEEN)).json()
    if "errors" not in answer:
        return False
    assert answer["data"] == {"receptionSession": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
    return True


# --- A session, from code to receipt


async def test_a_code_opens_what_was_handed_over_and_the_session_ends_with_the_last_answer(api: Api) -> None:
    device = await register(api)
    work = await open_assignment(api)
    other = await open_assignment(api)
    token = await begin(api, work, device)
    seen = (await at(api, token, SEEN)).json()["data"]["receptionSession"]
    assert [each["id"] for each in seen["assignments"]] == [work["assignment"]["id"]]
    assert seen["assignments"][0]["questionnaire"]["id"] == work["questionnaire"]["id"]
    await answer_all(api, token, work)
    drafted = (await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"]
    assert len(drafted[0]["draft"]["draftAnswers"]) == 5
    ids = {"assignment": other["assignment"]["id"], "questionnaire": other["questionnaire"]["id"]}
    strange = (await at(api, token, "submit-response", **ids, key="not handed over")).json()["data"]["submitResponse"]
    assert strange["code"] == "REFERENCE_UNKNOWN"
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    answer = await at(api, token, "submit-response", **ids, key="at the reception")
    submitted = answer.json()["data"]["submitResponse"]
    assert submitted["__typename"] == "ResponseSubmitted"
    assert submitted["receipt"]
    assert submitted["response"] is None
    assert answer.headers["clear-site-data"] == '"cache", "cookies", "storage"'
    assert await ended(api, token)
    async with api.product.database.peek(101) as connection:
        row = await connection.fetchrow(
            "SELECT source, typed_by, confirmed_by, device_id, provenance FROM response WHERE assignment_id = $1",
            key(work["assignment"]["id"]),
        )
        why = await connection.fetchval(
            "SELECT ended_because FROM reception_session WHERE device_id = $1", key(device["id"])
        )
    assert tuple(row) == ("patient", None, None, key(device["id"]), "[]")
    assert why == "submitted"


async def test_a_session_goes_on_until_all_that_was_handed_over_is_submitted(api: Api) -> None:
    first = await open_assignment(api)
    questionnaires = await api.run("questionnaires", "enroller", url="https://kpro-graph.dk/Questionnaire/who-5")
    again = await api.run(
        "assign-questionnaire", "enroller", episode=first["episode"]["id"],
        questionnaire=questionnaires["questionnaires"]["nodes"][0]["id"],
    )  # fmt: skip
    second = {**first, "assignment": again["assignQuestionnaire"]["assignment"]}
    token = await begin(api, first)
    for number, work in enumerate((first, second)):
        seen = (await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"]
        assert len(seen) == 2 - number
        await answer_all(api, token, work)
        ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
        await at(api, token, "submit-response", **ids, key=f"one of two {number}")
    assert await ended(api, token)


async def test_a_code_for_a_citizen_opens_what_the_employee_reaches_and_no_other_teams(api: Api) -> None:
    work = await open_assignment(api)
    made = (await api.run(HAND_OUT, "monitor", input={"citizenId": work["citizen"]["id"]}))["createReceptionCode"]
    begun = await redeem(api, (await register(api))["secret"], made["code"])
    seen = (await at(api, begun["token"], SEEN)).json()["data"]["receptionSession"]["assignments"]
    assert len(seen) == made["assignments"] > 0
    async with api.product.database.peek(101) as connection:
        teams = await connection.fetch(
            "SELECT DISTINCT e.care_team_id AS id FROM assignment a JOIN episode_of_care e"
            " ON e.municipality_id = a.municipality_id AND e.id = a.episode_id WHERE a.id = ANY($1)",
            [key(each["id"]) for each in seen],
        )
    assert {row["id"] for row in teams} == {DEMOGRAPHY.care_teams("0101")[0].id}


# --- Codes


async def test_a_code_works_once_even_at_two_computers_at_the_same_time(api: Api) -> None:
    devices = [await register(api) for _ in range(2)]
    code = await hand_out(api, await open_assignment(api))
    outcomes = await asyncio.gather(*(redeem(api, device["secret"], code) for device in devices * 2))
    assert sorted(each["__typename"] for each in outcomes) == ["CodeRefused"] * 3 + ["ReceptionSessionBegun"]
    assert await redeem(api, (await register(api))["secret"], code) == REFUSED


async def test_a_new_code_for_the_same_citizen_voids_the_one_before(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    before = await hand_out(api, work)
    after = await hand_out(api, work)
    if before != after:
        assert await redeem(api, device["secret"], before) == REFUSED
    assert (await redeem(api, device["secret"], after))["__typename"] == "ReceptionSessionBegun"


async def test_codes_handed_out_at_the_same_time_leave_one_that_works(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    codes = await asyncio.gather(*(hand_out(api, work) for _ in range(6)))
    async with api.product.database.peek(101) as connection:
        waiting = await connection.fetchval(
            "SELECT count(*) FROM reception_session WHERE citizen_id = $1 AND code_hash IS NOT NULL",
            key(work["citizen"]["id"]),
        )
    assert waiting == 1
    outcomes = []
    for code in dict.fromkeys(codes):
        outcomes.append((await redeem(api, device["secret"], code))["__typename"])
        await alter(api, "UPDATE reception_device SET wrong_codes = 0, paused_until = NULL")
    assert outcomes.count("ReceptionSessionBegun") == 1


async def test_an_expired_code_is_refused(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    await alter(
        api,
        "UPDATE reception_session SET code_expires_at = now() WHERE citizen_id = $1 AND code_hash IS NOT NULL",
        key(work["citizen"]["id"]),
    )
    assert await redeem(api, device["secret"], code) == REFUSED


async def test_a_code_lives_ten_minutes(api: Api) -> None:
    work = await open_assignment(api)
    await hand_out(api, work)
    async with api.product.database.peek(101) as connection:
        lives = await connection.fetchval(
            "SELECT code_expires_at - handed_at FROM reception_session WHERE citizen_id = $1 AND code_hash IS NOT NULL",
            key(work["citizen"]["id"]),
        )
    assert lives.total_seconds() == 600


async def test_a_code_works_neither_in_another_unit_nor_in_another_municipality(api: Api) -> None:
    work = await open_assignment(api)
    code = await hand_out(api, work)
    elsewhere = next(unit_of(n) for n in range(len(DEMOGRAPHY.care_teams("0101"))) if unit_of(n) != unit_of(0))
    for strange in (await register(api, elsewhere), await register(api, municipality="0851")):
        assert await redeem(api, strange["secret"], code) == REFUSED
    assert (await redeem(api, (await register(api))["secret"], code))["__typename"] == "ReceptionSessionBegun"


async def test_consent_withdrawn_after_the_code_was_handed_over_keeps_everything_closed(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    token = await begin(api, await open_assignment(api), device)
    withdraw = "UPDATE episode_of_care SET consented_until = NULL WHERE id = $1"
    await alter(api, withdraw, key(work["episode"]["id"]))
    assert await redeem(api, device["secret"], code) == REFUSED
    made = (await api.run(HAND_OUT, "enroller", input={"episodeOfCareId": work["episode"]["id"]}))[
        "createReceptionCode"
    ]
    assert made == {"__typename": "NothingToAnswer", "code": "NOTHING_TO_ANSWER", "path": "episodeOfCareId"}
    assert len((await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"]) == 1
    await alter(
        api, "UPDATE episode_of_care SET consented_until = NULL WHERE citizen_id = $1", key(work["citizen"]["id"])
    )
    try:
        assert (await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"] == []
    finally:
        await alter(
            api,
            "UPDATE episode_of_care SET consented_until = '9999-12-31Z' WHERE citizen_id = $1 AND status = 'active'",
            key(work["citizen"]["id"]),
        )


async def test_neither_code_nor_secret_nor_token_is_kept(api: Api) -> None:
    device = await register(api)
    work = await open_assignment(api)
    code = await hand_out(api, work)
    waiting = await rows(api)
    token = (await redeem(api, device["secret"], code))["token"]
    for kept in (waiting, await rows(api)):
        for secret in (code, device["secret"], token, device["secret"][-43:], token[-43:]):
            assert secret not in kept
            assert secret.encode().hex() not in kept


async def rows(api: Api) -> str:
    """Return all that the reception's tables and the access log hold of København, times aside."""
    async with api.product.database.peek(101) as connection:
        sessions = await connection.fetch(
            "SELECT id::text, encode(code_hash, 'hex') AS code, encode(token_hash, 'hex') AS token FROM reception_session"
        )
        devices = await connection.fetch("SELECT name, encode(secret_hash, 'hex') AS secret FROM reception_device")
        log = await connection.fetch("SELECT operation, fields_seen FROM access_log")
    # Hexadecimal digits hold any six digits sooner or later; a code would stand by itself.
    return " ".join(f" {value} " for row in (*sessions, *devices, *log) for value in row.values()).replace("-", "")


# --- Tries


async def test_five_wrong_codes_pause_the_computer_for_ten_minutes_and_no_other(api: Api) -> None:
    device, other, work = await register(api), await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    for _ in range(5):
        assert await redeem(api, device["secret"], wrong(code)) == REFUSED
    assert await redeem(api, device["secret"], code) == REFUSED
    async with api.product.database.peek(101) as connection:
        pause = await connection.fetchval(
            "SELECT extract(epoch FROM paused_until - now()) FROM reception_device WHERE id = $1", key(device["id"])
        )
    assert 570 < pause <= 600
    shown = await api.run(
        "{ receptionDevices(first: 100) { nodes { id pausedUntil } } }", administrator(unit_of()),
    )  # fmt: skip
    paused = {each["id"]: each["pausedUntil"] for each in shown["receptionDevices"]["nodes"]}
    assert paused[device["id"]] is not None
    assert paused[other["id"]] is None
    assert (await redeem(api, other["secret"], code))["__typename"] == "ReceptionSessionBegun"


def wrong(code: str) -> str:
    return f"{(int(code) + 500_000) % 1_000_000:06d}"


async def test_four_wrong_codes_do_not_pause_and_a_right_one_starts_the_count_anew(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    for _ in range(2):
        code = await hand_out(api, work)
        for _ in range(4):
            assert await redeem(api, device["secret"], wrong(code)) == REFUSED
        assert (await redeem(api, device["secret"], code))["__typename"] == "ReceptionSessionBegun"


async def test_a_pause_holds_in_another_process_and_ends_by_itself(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    for _ in range(5):
        await redeem(api, device["secret"], wrong(code))
    database = await Database.open(api.product.databases.need("api"), Cipher(SECRET), size=2)
    try:
        with pytest.raises(reception.CodeRefused):
            await reception.redeem(database, device["secret"], code, reception.ReceptionTimes())
        await alter(api, "UPDATE reception_device SET paused_until = now() WHERE id = $1", key(device["id"]))
        begun = await reception.redeem(database, device["secret"], code, reception.ReceptionTimes())
    finally:
        await database.close()
    assert not await ended(api, begun.token)


async def test_guesses_at_the_same_time_get_no_more_than_five_tries(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    number = int(code)
    guesses = [f"{(number + n) % 1_000_000:06d}" for n in range(1, 26)]
    trying = [asyncio.create_task(redeem(api, device["secret"], guess)) for guess in guesses]
    # Whatever is counted, is counted under a lock: five are soon, and the right one comes too late.
    async with asyncio.timeout(20):
        while not await paused(api, device):  # noqa: ASYNC110 - the database tells, and only when asked
            await asyncio.sleep(0.02)
    assert await redeem(api, device["secret"], code) == REFUSED
    assert [each == REFUSED for each in await asyncio.gather(*trying)] == [True] * 25
    async with api.product.database.peek(101) as connection:
        # The five that were counted began one pause; the twenty others were not even compared.
        assert (
            await connection.fetchval("SELECT wrong_codes FROM reception_device WHERE id = $1", key(device["id"])) == 0
        )


async def paused(api: Api, device: dict[str, Any]) -> bool:
    async with api.product.database.peek(101) as connection:
        return bool(
            await connection.fetchval(
                "SELECT paused_until > now() FROM reception_device WHERE id = $1", key(device["id"])
            )
        )


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "123 456", "0" * 10_000, "\x00" * 6])
async def test_what_is_no_code_is_refused_like_one_that_is_wrong_and_counts(api: Api, code: str) -> None:
    device = await register(api)
    assert await redeem(api, device["secret"], code) == REFUSED
    async with api.product.database.peek(101) as connection:
        assert (
            await connection.fetchval("SELECT wrong_codes FROM reception_device WHERE id = $1", key(device["id"])) == 1
        )


async def test_every_refusal_looks_the_same_and_takes_the_same_time(api: Api) -> None:
    work = await open_assignment(api)
    code = await hand_out(api, work)
    fresh, resting, off, strange = [await register(api) for _ in range(3)] + [await register(api, municipality="0851")]
    for _ in range(5):
        await redeem(api, resting["secret"], wrong(code))
    await api.run(OFF, administrator(unit_of()), id=off["id"])
    unregistered = fresh["secret"][:-43] + "A" * 43
    reasons = {
        "wrong": (fresh["secret"], wrong(code)),
        "paused": (resting["secret"], code),
        "off": (off["secret"], code),
        "elsewhere": (strange["secret"], code),
        "unregistered": (unregistered, code),
        "nonsense": ("no secret at all", code),
        "nowhere": ("9999" + unregistered[4:], code),
    }
    fastest: dict[str, float] = {}
    looks: list[dict[str, str]] = []
    for _ in range(4):
        for reason, (secret, guess) in reasons.items():
            await alter(api, "UPDATE reception_device SET wrong_codes = 0 WHERE id = $1", key(fresh["id"]))
            began = time.perf_counter()
            answer = await api.post(REDEEM, {"secret": secret, "code": guess})
            took = time.perf_counter() - began
            fastest[reason] = min(took, fastest.get(reason, took))
            assert answer.json() == {"data": {"redeemReceptionCode": REFUSED}}, reason
            looks.append({**answer.headers, "date": ""})
            assert looks[-1] == looks[0], reason
    assert max(fastest.values()) - min(fastest.values()) < 0.05, fastest
    assert min(fastest.values()) >= 0.24


async def test_tries_and_uses_are_in_the_access_log_without_the_code(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    for _ in range(3):
        await redeem(api, device["secret"], wrong(code))
    token = (await redeem(api, device["secret"], code))["token"]
    await at(api, token, END)
    actor = f"actor_{key(device['id']).hex}"
    found = await api.run(
        "query ($actor: ID!) { accessLog(actorId: $actor) { nodes { action groups citizenId organisationUnit operation } } }",
        "security-officer",
        context=await acting(api, "security-officer"),
        actor=actor,
    )
    lines = found["accessLog"]["nodes"]
    assert [(line["action"], line["groups"], line["citizenId"]) for line in lines] == [
        ("SEARCH", ["reception"], None)
    ] * 3
    assert all(line["organisationUnit"] for line in lines)
    own = await api.run("{ me { accessLog(own: true, first: 2) { nodes { text action groups } } } }", "citizen")
    texts = [line["text"] for line in own["me"]["accessLog"]["nodes"] if line["groups"] == ["reception"]]
    assert texts == ["Ændrede adgang ved modtagelsens computer.", "Registrerede adgang ved modtagelsens computer."]
    others = await api.run("{ me { accessLog(own: false, first: 3) { nodes { text who } } } }", "citizen")
    handed = others["me"]["accessLog"]["nodes"][0]
    assert handed["text"] == "Registrerede tildelte spørgeskemaer og adgang ved modtagelsens computer."
    assert code not in json.dumps([lines, own, others])


async def acting(api: Api, as_: str) -> str:
    """Return the first place an actor can act in."""
    places = (await api.run("{ me { contexts { key } } }", as_))["me"]["contexts"]
    return str(places[0]["key"])


async def test_tries_without_a_registered_computer_write_into_no_municipalitys_log(api: Api) -> None:
    async def lines() -> int:
        async with api.product.database.peek(101) as connection:
            return int(await connection.fetchval("SELECT count(*) FROM access_log"))

    device = await register(api)
    before = await lines()
    for secret in (device["secret"][:-43] + "A" * 43, "0101-" + "0" * 32 + "-" + "A" * 43, "x"):
        assert await redeem(api, secret, "123456") == REFUSED
    assert await lines() == before


# --- Who may


@pytest.mark.parametrize("actor", ["viewer", "clinical-admin", "questionnaire-editor", "citizen", "integrator"])
async def test_who_hands_out_no_codes_is_refused(api: Api, actor: str) -> None:
    work = await open_assignment(api)
    context = await acting(api, actor) if actor not in {"citizen", "integrator"} else ""
    answer = await api.answer(HAND_OUT, actor, context=context, input={"episodeOfCareId": work["episode"]["id"]})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize("actor", ["enroller", "viewer", "monitor", "questionnaire-editor", "citizen", "integrator"])
async def test_who_registers_no_computers_is_refused(api: Api, actor: str) -> None:
    context = await acting(api, actor) if actor == "questionnaire-editor" else ""
    answer = await api.answer(REGISTER, actor, context=context, unit=unit_of(), name="Skranken")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_without_a_token_nothing_but_a_code_can_be_given(api: Api) -> None:
    for document, variables in (
        (HAND_OUT, {"input": {"citizenId": "cit_" + "0" * 32}}),
        (REGISTER, {"unit": unit_of(), "name": "x"}),
        (END, {}),
        (SEEN, {}),
    ):
        answer = (await api.post(document, variables)).json()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_a_code_is_not_for_those_who_are_signed_in(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    for who in ("citizen", "enroller"):
        answer = (await api.post(REDEEM, {"secret": device["secret"], "code": code}, token=api.token(who))).json()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    token = (await redeem(api, device["secret"], code))["token"]
    again = (await at(api, token, REDEEM, secret=device["secret"], code=code)).json()
    assert [error["extensions"]["code"] for error in again["errors"]] == ["FORBIDDEN"]


async def test_the_citizens_of_others_look_absent_to_who_hands_out_codes(api: Api) -> None:
    work = await open_assignment(api)
    teams = DEMOGRAPHY.care_teams("0101")
    other = next(team for team in teams if team.unit != teams[0].unit)
    colleague = member(Role.MONITORING_ASSISTOR, number=-1)
    strangers = [
        employee(grant(Role.MONITORING_ASSISTOR, team=teams[1].id), person=colleague),
        employee(grant(Role.CITIZEN_ENROLLER, unit=other.unit), person=member(Role.CITIZEN_ENROLLER, number=-1)),
    ]
    episode, citizen = {"episodeOfCareId": work["episode"]["id"]}, {"citizenId": work["citizen"]["id"]}
    for stranger in strangers:
        refused = (await api.run(HAND_OUT, stranger, input=episode))["createReceptionCode"]
        assert refused["code"] == "REFERENCE_UNKNOWN"
    for actor in ("enroller", "monitor"):
        for given in (episode, citizen):
            refused = (await api.run(HAND_OUT, actor, "0851", input=given))["createReceptionCode"]
            assert refused["code"] == "REFERENCE_UNKNOWN"
        nothing = (await api.run(HAND_OUT, actor, input={"citizenId": "cit_" + "0" * 32}))["createReceptionCode"]
        assert nothing["code"] == "REFERENCE_UNKNOWN"


async def test_computers_belong_to_their_units(api: Api) -> None:
    elsewhere = next(unit_of(n) for n in range(len(DEMOGRAPHY.care_teams("0101"))) if unit_of(n) != unit_of(0))
    made = await api.run(REGISTER, administrator(unit_of()), unit=elsewhere, name="Skranken")
    assert made["registerReceptionDevice"] == {
        "__typename": "UnknownReference", "code": "REFERENCE_UNKNOWN", "path": "organisationUnitId",
    }  # fmt: skip
    foreign = await api.run(REGISTER, administrator(unit_of()), unit=unit_of(municipality="0851"), name="Skranken")
    assert foreign["registerReceptionDevice"]["code"] == "REFERENCE_UNKNOWN"
    nameless = await api.run(REGISTER, administrator(unit_of()), unit=unit_of(), name="  ")
    assert nameless["registerReceptionDevice"]["code"] == "DEVICE_NAME_MISSING"
    device = await register(api)
    strange = administrator(elsewhere)
    for document, field in ((OFF, "switchOffReceptionDevice"), (END_AT, "endReceptionSessionAt")):
        for who, municipality in ((strange, "0101"), (administrator(unit_of(municipality="0851"), "0851"), "0851")):
            refused = await api.run(document, who, municipality, id=device["id"])
            assert refused[field]["code"] == "REFERENCE_UNKNOWN"
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await api.run(node, strange, id=device["id"]))["node"] is None
    assert (await api.run(node, "viewer", id=device["id"]))["node"] is None
    assert (await api.run(node, "enroller", id=device["id"]))["node"] is not None


# --- How a session ends


@pytest.mark.parametrize(
    "change",
    [
        "idle_until = now() - interval '1 second'",
        "expires_at = now() - interval '1 second', idle_until = now() + interval '1 hour'",
    ],
    ids=["idle", "at last"],
)
async def test_a_session_ends_by_itself(api: Api, change: str) -> None:
    device, work = await register(api), await open_assignment(api)
    token = await begin(api, work, device)
    assert not await ended(api, token)
    await alter(api, f"UPDATE reception_session SET {change} WHERE device_id = $1", key(device["id"]))
    assert await ended(api, token)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    late = (await at(api, token, "save-answer", **ids, path="1", values=[])).json()
    assert late["data"] is None
    assert (await redeem(api, device["secret"], await hand_out(api, work)))["__typename"] == "ReceptionSessionBegun"


async def test_a_session_lasts_two_minutes_idle_and_thirty_at_most(api: Api) -> None:
    device = await register(api)
    begun = await redeem(api, device["secret"], await hand_out(api, await open_assignment(api)))
    assert begun["idleSeconds"] == 120
    await alter(
        api,
        "UPDATE reception_session SET idle_until = now() + interval '1 second' WHERE device_id = $1",
        key(device["id"]),
    )
    assert not await ended(api, begun["token"])
    async with api.product.database.peek(101) as connection:
        row = await connection.fetchrow(
            "SELECT extract(epoch FROM idle_until - now()) AS idle, extract(epoch FROM expires_at - begun_at) AS longest"
            " FROM reception_session WHERE device_id = $1",
            key(device["id"]),
        )
    assert 110 < row["idle"] <= 120
    assert row["longest"] == 1800


async def test_a_session_ends_when_the_citizen_leaves(api: Api) -> None:
    token = await begin(api, await open_assignment(api))
    answer = await at(api, token, END)
    assert answer.json() == {"data": {"endReceptionSession": {"ended": True}}}
    assert answer.headers["clear-site-data"] == '"cache", "cookies", "storage"'
    assert await ended(api, token)
    over = await at(api, token, END)
    assert over.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert over.headers["clear-site-data"] == '"cache", "cookies", "storage"'


async def test_leaving_is_only_for_those_at_a_reception_computer(api: Api) -> None:
    for actor in ("citizen", "enroller"):
        answer = await api.answer(END, actor)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_a_session_ends_when_its_computer_is_switched_off_for_good(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    token = await begin(api, work, device)
    off = await api.run(OFF, administrator(unit_of()), id=device["id"])
    assert off["switchOffReceptionDevice"]["device"]["switchedOffAt"] is not None
    assert await ended(api, token)
    assert await redeem(api, device["secret"], await hand_out(api, work)) == REFUSED
    again = await api.run(OFF, administrator(unit_of()), id=device["id"])
    assert again["switchOffReceptionDevice"]["code"] == "REFERENCE_UNKNOWN"


@pytest.mark.parametrize("actor", ["enroller", "monitor", "administrator"])
async def test_a_session_ends_when_staff_end_it(api: Api, actor: str) -> None:
    device = await register(api)
    token = await begin(api, await open_assignment(api), device)
    who = administrator(unit_of()) if actor == "administrator" else actor
    assert (await api.run(END_AT, who, id=device["id"]))["endReceptionSessionAt"][
        "__typename"
    ] == "ReceptionDeviceChanged"
    assert await ended(api, token)
    # With nobody there, nothing happens.
    assert (await api.run(END_AT, who, id=device["id"]))["endReceptionSessionAt"][
        "__typename"
    ] == "ReceptionDeviceChanged"


async def test_a_session_ends_when_the_next_code_is_given_at_the_computer(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    before = await begin(api, work, device)
    after = await begin(api, work, device)
    assert await ended(api, before)
    assert not await ended(api, after)


async def test_what_a_session_does_at_the_moment_it_ends_is_done_before_or_not_at_all(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    for _ in range(3):
        token = await begin(api, work, device)
        saving = [at(api, token, "save-answer", **ids, path="1", values=[]) for _ in range(4)]
        answers = await asyncio.gather(*saving, at(api, token, END), *(at(api, token, SEEN) for _ in range(2)))
        assert {answer.status_code for answer in answers} == {200}
        codes = {error["extensions"]["code"] for each in answers for error in each.json().get("errors", ())}
        assert codes <= {"UNAUTHENTICATED"}
        assert await ended(api, token)


async def test_leaving_and_going_on_in_one_request_does_not_go_on(api: Api) -> None:
    work = await open_assignment(api)
    token = await begin(api, work)
    document = """mutation ($assignment: ID!, $questionnaire: ID!) { endReceptionSession { ended }
      saveAnswer(input: { assignmentId: $assignment, questionnaireId: $questionnaire, path: "1", values: [] }) {
        __typename } }"""
    answer = await at(
        api, token, document, assignment=work["assignment"]["id"], questionnaire=work["questionnaire"]["id"]
    )
    assert answer.json()["data"] is None
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("token", [".", "x", "0101-" + "0" * 32 + "-" + "A" * 43, "9999-" + "f" * 32 + "-" + "A" * 43])
async def test_a_made_up_token_is_nobody(api: Api, token: str) -> None:
    assert await ended(api, token)


async def test_a_token_is_bound_to_its_session_and_municipality(api: Api) -> None:
    one = await begin(api, await open_assignment(api))
    two = await begin(api, await open_assignment(api))
    assert await ended(api, one[:37] + two[37:])
    assert await ended(api, "0851" + one[4:])
    assert not await ended(api, one)


async def test_an_answer_amended_elsewhere_is_not_seen_at_the_computer(api: Api) -> None:
    work = await open_assignment(api)
    await give_answers(api, work, weight=2)
    token = await begin(api, work)
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    submitted = (await api.run("submit-response", "citizen", **ids, key="elsewhere"))["submitResponse"]
    amend = 'mutation ($id: ID!) { amendResponse(input: { responseId: $id, reason: "Nej" }) { __typename } }'
    at_computer = (await at(api, token, amend, id=submitted["response"]["id"])).json()
    assert at_computer["data"]["amendResponse"]["__typename"] == "UnknownReference"
    await api.run("amend-response", "citizen", response=submitted["response"]["id"], reason="Jeg læste forkert")
    assert (await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"] == []
    saved = (await at(api, token, "save-answer", **ids, path="1", values=[])).json()
    assert saved["data"]["saveAnswer"]["__typename"] == "AssignmentClosed"


@pytest.mark.parametrize("table", ["reception_device", "reception_session", "handed_assignment"])
async def test_row_level_security_alone_keeps_the_reception_of_each_municipality_to_itself(
    api: Api, table: str
) -> None:
    await begin(api, await open_assignment(api))
    for municipalities, seen in (((), False), ((851,), False), ((101,), True)):
        async with api.product.database.peek(*municipalities) as connection:
            sql = f"SELECT count(*) > 0 FROM {table} WHERE municipality_id = 101"
            assert await connection.fetchval(sql) is seen


def test_how_long_a_code_and_an_idle_session_last_are_settings() -> None:
    chosen = Settings.read({"KPRO_RECEPTION_CODE": "5", "KPRO_RECEPTION_IDLE": "60"})
    assert (chosen.reception_code, chosen.reception_idle) == (5, 60)
    for variable, text in (("KPRO_RECEPTION_CODE", "0"), ("KPRO_RECEPTION_CODE", "x"), ("KPRO_RECEPTION_IDLE", "601")):
        with pytest.raises(ConfigurationError, match=variable):
            Settings.read({variable: text})
