"""A citizen who moves: the old municipality holds the history until both have handed it over, and then the new one."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tortoise.models import Model

from kpro_graph import handovers
from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.errors import NotFound, NotPermitted
from kpro_graph.execution.ids import decode, encode
from kpro_graph.storage import tables
from kpro_graph.storage.crossing import cross
from kpro_graph.storage.database import Change
from tests.living import Api
from tests.moving import HISTORY, REASON, Mover, above, ask, move, rows, staff, team_id

CODE = Path(__file__).parent.parent / "kpro_graph"
LOCAL = "https://kpro-graph.dk/Questionnaire/center-for-kraeft"
# What is changed in a row on its way; everything else is as it was.
CHANGED = {
    "episode_of_care": {"care_team_id", "organisation_unit_id", "status", "opened_by", "consented_until"},
    "consent": set(),
    "assignment": {"assigned_by", "questionnaire_owner", "questionnaire_id", "status"},
    "response": {"questionnaire_owner", "questionnaire_id", "rule_set_id"},
    "score": set(),
    "interpretation": set(),
}
ALWAYS = {"municipality_id", "citizen_id", "origin"}
READERS = (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR)


async def held(mover: Mover, municipality: int) -> dict[str, dict[UUID, dict[str, Any]]]:
    """Return everything a municipality holds of the mover, table by table."""
    citizen = mover.there if municipality == mover.old else mover.here
    return {table: await rows(mover.api, table, municipality, citizen) for table in CHANGED}


async def history(mover: Mover, actor: Actor) -> dict[str, Any]:
    """Return what an actor sees of the mover's history where they act."""
    record = mover.there if actor.municipality == mover.old else mover.here
    found = await ask(mover.api, actor, HISTORY, citizen=encode("cit", record))
    return dict(found["citizen"] or {})


def sizes(seen: dict[str, Any]) -> tuple[int, int, int]:
    """Return how many episodes, assignments and responses somebody sees."""
    names = ("episodes", "assignments", "responses")
    return tuple(seen[name]["totalCount"] if seen else 0 for name in names)  # type: ignore[return-value]


async def assign(mover: Mover, url: str, municipality: int, episode: UUID) -> dict[str, str]:
    """Give the mover a questionnaire in an active episode; return the ids to answer with."""
    enroller = staff(Role.CITIZEN_ENROLLER, municipality)
    [questionnaire] = (await ask(mover.api, enroller, "questionnaires", url=url))["questionnaires"]["nodes"]
    # An assignment names an employee of the municipality.
    async with mover.api.product.database.peek(municipality) as connection:
        await connection.execute(
            "INSERT INTO employee (municipality_id, id, subject, name, active) VALUES ($1, $2, $3, 'Prøve', true)",
            municipality, enroller.id, str(enroller.id),
        )  # fmt: skip
    made = await ask(
        mover.api, enroller, "assign-questionnaire", episode=encode("epi", episode), questionnaire=questionnaire["id"]
    )
    assert made["assignQuestionnaire"]["__typename"] == "QuestionnaireAssigned", made
    return {"assignment": made["assignQuestionnaire"]["assignment"]["id"], "questionnaire": questionnaire["id"]}


async def open_episode(mover: Mover, municipality: int) -> UUID:
    """Open an active episode of the mover with the first demo team."""
    record = mover.there if municipality == mover.old else mover.here
    code = f"{municipality:04d}"
    [*_, team] = [
        each
        for each in (await mover.api.run("care-teams", "viewer", code))["careTeams"]["nodes"]
        if each["id"] == team_id(municipality)
    ]
    opened = await mover.api.run(
        "open-episode", "enroller", code,
        citizen=encode("cit", record), careTeam=team["id"], reasonCode=team["reasonCodes"][0],
    )  # fmt: skip
    episode = decode("epi", opened["openEpisodeOfCare"]["episodeOfCare"]["id"])
    assert episode is not None
    return episode


async def answer(mover: Mover, municipality: int, ids: dict[str, str], weight: str = "1") -> None:
    """Answer every WHO-5 item, as the citizen."""
    citizen = mover.itself(municipality)
    system = "https://kpro-graph.dk/CodeSystem/who-5-frequency"
    for item in "12345":
        saved = await ask(
            mover.api, citizen, "save-answer", **ids, path=item,
            values=[{"coding": {"system": system, "code": weight}}],
        )  # fmt: skip
        assert saved["saveAnswer"]["__typename"] == "AnswerSaved", saved


async def submit(mover: Mover, municipality: int, ids: dict[str, str], key: str) -> dict[str, Any]:
    """Submit the draft, as the citizen."""
    return dict((await ask(mover.api, mover.itself(municipality), "submit-response", **ids, key=key))["submitResponse"])


async def consent(mover: Mover, municipality: int) -> None:
    """Have the citizen consent to every open episode."""
    citizen = mover.itself(municipality)
    for episode in (await history(mover, citizen))["episodes"]["nodes"]:
        if episode["status"] == "ON_HOLD":
            document = """
              mutation ($id: ID!) {
                giveConsent(input: { episodeOfCareId: $id, consent: { manner: DIGITAL } }) { __typename }
              }
            """
            given = await ask(mover.api, citizen, document, id=episode["id"])
            assert given["giveConsent"]["__typename"] == "EpisodeOfCareDecided"


WHO5 = "https://kpro-graph.dk/Questionnaire/who-5"


# --- What is moved


async def test_everything_is_moved_as_it_was_and_finished_where_it_was(api: Api) -> None:
    mover = await move(api, 1)
    before = await held(mover, 101)
    assert all(before.values()), {table: len(found) for table, found in before.items()}
    await mover.hand_over()
    after, moved = await held(mover, 101), await held(mover, 851)
    for table, changed in CHANGED.items():
        assert set(moved[table]) == set(before[table]), table
        for key, row in moved[table].items():
            differing = {name for name in row if row[name] != before[table][key][name]}
            assert differing <= changed | ALWAYS, (table, differing)
            assert row["citizen_id"] == mover.here
            assert row.get("origin", 101) == 101
    for key, row in after["response"].items():
        assert row == before["response"][key]
    for episode in after["episode_of_care"].values():
        assert (episode["handed_over_to"], episode["consented_until"]) == (851, None)
        assert episode["status"] in {"finished", "cancelled", "entered-in-error"}
        assert episode["ended_at"] is not None
    assert {row["status"] for row in moved["episode_of_care"].values()} <= {"onhold", "finished"}
    assert {row["status"] for row in moved["assignment"].values()} <= {"completed", "revoked"}


async def test_amendments_and_what_they_replace_come_along(api: Api) -> None:
    mover = await move(api, 2)
    ids = await assign(mover, WHO5, 101, await open_episode(mover, 101))
    await answer(mover, 101, ids)
    given = (await submit(mover, 101, ids, "before the amendment"))["response"]["id"]
    opened = await ask(mover.api, mover.itself(101), "amend-response", response=given, reason="Trykfejl")
    assert opened["amendResponse"]["__typename"] == "AmendmentOpened"
    await answer(mover, 101, ids, weight="4")
    assert (await submit(mover, 101, ids, "the amendment"))["__typename"] == "ResponseSubmitted"
    await mover.hand_over()
    moved = (await held(mover, 851))["response"]
    chain = [row for row in moved.values() if row["assignment_id"] == decode("asg", ids["assignment"])]
    first, second = sorted(chain, key=lambda row: row["version"])
    assert (first["superseded"], second["superseded"], second["amends_id"]) == (True, False, first["id"])
    assert {row["superseded"] for row in (await held(mover, 851))["score"].values()} == {True, False}


async def test_a_local_questionnaire_comes_along_retired_with_the_rules_it_was_scored_by(
    worlds: Any, loaded: str
) -> None:
    async with worlds.fresh(loaded) as api:
        mover = await local_mover(api)
        await mover.hand_over()
        async with above(api) as connection:
            there, here = await connection.fetch(
                "SELECT * FROM questionnaire WHERE url = $1 AND municipality_id IN (101, 851) ORDER BY municipality_id",
                LOCAL,
            )
            rules = await connection.fetch(
                "SELECT r.content_hash, r.status, r.municipality_id FROM rule_set r JOIN questionnaire q"
                " ON q.municipality_id = r.municipality_id AND q.id = r.questionnaire_id"
                " WHERE q.url = $1 ORDER BY r.municipality_id", LOCAL,
            )  # fmt: skip
        assert (there["status"], here["status"]) == ("active", "retired")
        assert (there["content"], there["content_hash"]) == (here["content"], here["content_hash"])
        assert [rule["municipality_id"] for rule in rules] == [101, 851]
        assert len({(rule["content_hash"], rule["status"]) for rule in rules}) == 1
        seen = await history(mover, mover.itself(851))
        local = [each for each in seen["responses"]["nodes"] if each["questionnaire"]["url"] == LOCAL]
        assert local
        assert {each["questionnaire"]["status"] for each in local} == {"RETIRED"}


async def test_a_questionnaire_that_differs_is_refused_by_its_url_and_nothing_moves(worlds: Any, loaded: str) -> None:
    async with worlds.fresh(loaded) as api:
        mover = await local_mover(api)
        await take_in_another_edition(api, 851)
        offer = await mover.offer()
        refused = await mover.accept(offer)
        assert (refused["__typename"], refused["code"]) == ("QuestionnaireDiffers", "QUESTIONNAIRE_DIFFERS")
        assert refused["questionnaireUrl"] == LOCAL
        assert not any((await held(mover, 851)).values())
        assert await status_of(api, offer) == "offered"
        # The look at what is offered is noted although nothing came of it.
        async with above(api) as connection:
            noted = await connection.fetchval(
                "SELECT fields_seen FROM access_log WHERE municipality_id = 851 AND citizen_id = $1 AND action = 'read'"
                " ORDER BY recorded_at DESC LIMIT 1", mover.here,
            )  # fmt: skip
        assert noted == "hand_over"


async def test_a_questionnaire_the_new_municipality_has_already_keeps_its_own_rules(worlds: Any, loaded: str) -> None:
    async with worlds.fresh(loaded) as api:
        mover = await local_mover(api)
        async with api.product.database.peek(101, 851) as connection:
            await connection.execute(
                "INSERT INTO questionnaire SELECT 851, gen_random_uuid(), url, version, name, title, title_en, status,"
                " content, content_hash, created_at, activated_at FROM questionnaire"
                " WHERE municipality_id = 101 AND url = $1", LOCAL,
            )  # fmt: skip
        await mover.hand_over()
        async with above(api) as connection:
            found = await connection.fetch(
                "SELECT q.status, r.status AS rules FROM questionnaire q JOIN rule_set r"
                " ON r.municipality_id = q.municipality_id AND r.questionnaire_id = q.id"
                " WHERE q.municipality_id = 851 AND q.url = $1", LOCAL,
            )  # fmt: skip
        assert [tuple(row) for row in found] == [("active", "off")]


async def test_open_assignments_are_revoked_and_drafts_stay_with_the_citizen(api: Api) -> None:
    mover = await move(api, 4)
    ids = await assign(mover, WHO5, 101, await open_episode(mover, 101))
    await answer(mover, 101, ids)
    offer = await mover.hand_over()
    assignment = decode("asg", ids["assignment"])
    assert assignment is not None
    for municipality in (101, 851):
        assert (await held(mover, municipality))["assignment"][assignment]["status"] == "revoked"
    drafts = [row for row in (await held(mover, 101))["response"].values() if row["submitted_at"] is None]
    assert [row["assignment_id"] for row in drafts] == [assignment]
    assert all(row["submitted_at"] for row in (await held(mover, 851))["response"].values())
    async with above(api) as connection:
        revoked = await connection.fetchval("SELECT revoked FROM hand_over WHERE id = $1", decode("hov", offer))
    assert revoked >= 1
    late = await submit(mover, 101, ids, "after the hand-over")
    assert (late["__typename"], late["code"]) == ("AssignmentClosed", "ASSIGNMENT_CLOSED")


async def test_what_was_handed_over_is_not_amended_where_it_was(api: Api) -> None:
    mover = await move(api, 5)
    given = next(key for key, row in (await held(mover, 101))["response"].items() if not row["superseded"])
    document = "query ($citizen: ID!) { citizen(id: $citizen) { responses(first: 100) { nodes { id } } } }"
    found = await ask(api, mover.itself(101), document, citizen=encode("cit", mover.there))
    response = next(each["id"] for each in found["citizen"]["responses"]["nodes"] if each["id"].endswith(given.hex))
    await mover.hand_over()
    refused = await ask(api, mover.itself(101), "amend-response", response=response, reason="For sent")
    assert refused["amendResponse"]["code"] == "ASSIGNMENT_CLOSED"
    # Where it is now, the citizen may correct it once they have consented.
    opened = await ask(api, mover.itself(851), "amend-response", response=response, reason="Rettelse")
    assert opened["amendResponse"]["__typename"] == "AmendmentOpened"


async def test_a_citizen_who_moves_back_finds_everything_once(worlds: Any, loaded: str) -> None:
    async with worlds.fresh(loaded) as api:
        mover = await move(api, 1)
        await open_episode(mover, 101)
        before = await held(mover, 101)
        await mover.hand_over()
        await consent(mover, 851)
        active = next(
            key for key, row in (await held(mover, 851))["episode_of_care"].items() if row["status"] == "active"
        )
        ids = await assign(mover, WHO5, 851, active)
        await answer(mover, 851, ids)
        await submit(mover, 851, ids, "answered in Aalborg")
        back = Mover(api, mover.person, mover.cpr, 851, 101, mover.here, mover.there)
        await back.hand_over()
        after = await held(mover, 101)
        for table in ("episode_of_care", "response", "score", "interpretation", "consent"):
            assert set(before[table]) < set(after[table]) or table == "episode_of_care", table
        assert set(after["episode_of_care"]) == set(before["episode_of_care"])
        for key, row in before["response"].items():
            assert {**after["response"][key], "superseded": row["superseded"]} == row
        [new] = [row for key, row in after["response"].items() if key not in before["response"]]
        assert (new["origin"], new["superseded"]) == (851, False)
        assert {row["origin"] for row in after["episode_of_care"].values()} == {None}
        assert {row["handed_over_to"] for row in after["episode_of_care"].values()} == {None}
        assert {row["handed_over_to"] for row in (await held(mover, 851))["episode_of_care"].values()} == {101}
        for role in READERS:
            assert sizes(await history(mover, staff(role, 851))) == (0, 0, 0)


def test_every_table_with_a_citizens_rows_is_moved_or_stays_on_purpose() -> None:
    # The record itself, who may act there, and what was done there stay with the municipality it happened in.
    stay = {
        "citizen", "representation", "emergency_access", "hand_over", "access_log", "event", "reception_session",
    }  # fmt: skip
    shapes = [
        tables.shape(model)
        for name in tables.__all__
        if isinstance(model := getattr(tables, name), type) and issubclass(model, Model)
    ]
    with_citizen = {table for table, columns in shapes if "citizen_id" in columns} | {"citizen"}
    assert with_citizen == set(CHANGED) | stay


# --- Who sees what, and when


async def test_the_receiver_sees_the_offer_and_nothing_else_until_it_accepts(api: Api) -> None:
    mover = await move(api, 6)
    offer = await mover.offer()
    listed = await api.run("hand-overs", "enroller", "0851")
    seen = next(each for each in listed["handOvers"]["nodes"] if each["id"] == offer)
    assert (seen["fromMunicipality"], seen["toMunicipality"], seen["status"]) == ("0101", "0851", "OFFERED")
    assert (seen["reason"], seen["citizen"]["id"]) == (REASON, encode("cit", mover.here))
    theirs = await api.run("hand-overs", "enroller", "0101")
    sent = next(each for each in theirs["handOvers"]["nodes"] if each["id"] == offer)
    assert sent["citizen"]["id"] == encode("cit", mover.there)
    document = "query ($id: ID!) { citizen(id: $id) { handOvers { nodes { id } } } node(id: $id) { id } }"
    for municipality, record in (("0101", mover.there), ("0851", mover.here)):
        own = await api.run(document, "enroller", municipality, id=encode("cit", record))
        assert own["citizen"]["handOvers"]["nodes"] == [{"id": offer}]
    for role in (*READERS, Role.CITIZEN_ENROLLER):
        assert sizes(await history(mover, staff(role, 851))) == (0, 0, 0)
    assert sizes(await history(mover, mover.itself(851))) == (0, 0, 0)
    # With the application's rules off, the wall alone: the offer, and no row of the citizen it is about.
    async with api.product.database.peek(851) as connection:
        assert await connection.fetchval("SELECT count(*) FROM hand_over WHERE id = $1", decode("hov", offer)) == 1
        for table in CHANGED:
            sql = f"SELECT count(*) FROM {table} WHERE citizen_id = $1"
            assert await connection.fetchval(sql, mover.there) == 0
        assert await connection.fetchval("SELECT count(*) FROM citizen WHERE id = $1", mover.there) == 0
    assert (await ask(api, staff(Role.CLINICAL_VIEWER, 851), "hand-overs"))["handOvers"]["totalCount"] == 0


async def test_a_third_municipality_sees_nothing_of_an_offer(api: Api) -> None:
    mover = await move(api, 7)
    offer = await mover.offer()
    await move(api, 7, new=810)
    assert (await api.run("hand-overs", "enroller", "0810"))["handOvers"]["totalCount"] == 0
    async with api.product.database.peek(810) as connection:
        assert await connection.fetchval("SELECT count(*) FROM hand_over") == 0
    for name in ("accept-hand-over", "decline-hand-over", "withdraw-hand-over"):
        more = {"careTeam": team_id(810)} if name.startswith("accept") else {}
        answer = await api.run(name, "enroller", "0810", handOver=offer, **more)
        [result] = answer.values()
        assert result["code"] == "REFERENCE_UNKNOWN"
    assert await status_of(api, offer) == "offered"


async def test_an_offer_is_seen_only_where_the_citizen_has_a_record(api: Api) -> None:
    mover = await move(api, 8)
    offer = await mover.offer(to=265)
    assert (await api.run("hand-overs", "enroller", "0265"))["handOvers"]["totalCount"] == 0
    answer = await api.run("accept-hand-over", "enroller", "0265", handOver=offer, careTeam=team_id(265))
    assert answer["acceptHandOver"]["code"] == "REFERENCE_UNKNOWN"
    await move(api, 8, new=265)
    assert (await api.run("hand-overs", "enroller", "0265"))["handOvers"]["nodes"][0]["id"] == offer


async def test_the_new_team_reads_answers_when_the_citizen_consents_and_the_citizen_at_once(api: Api) -> None:
    mover = await move(api, 9)
    all_of_it = sizes(await history(mover, mover.itself(101)))
    assert min(all_of_it) > 0
    await mover.hand_over()
    assert sizes(await history(mover, mover.itself(851))) == all_of_it
    viewer = staff(Role.CLINICAL_VIEWER, 851)
    waiting = await history(mover, viewer)
    assert sizes(waiting) == (*all_of_it[:2], 0)
    assert {each["consentedUntil"] for each in waiting["episodes"]["nodes"]} == {None}
    await consent(mover, 851)
    reading = await history(mover, viewer)
    assert reading["responses"]["totalCount"] > 0
    assert all(each["answers"] for each in reading["responses"]["nodes"])
    assert any(each["scores"] and each["interpretations"] for each in reading["responses"]["nodes"])


EVERYTHING = """
  query ($ids: [ID!]!, $citizen: ID!) {
    nodes(ids: $ids) { id }
    careTeams(first: 20) { nodes { worklist(first: 100) { nodes { citizen { id } } } } }
    citizen(id: $citizen) {
      episodes { totalCount } assignments { totalCount } responses { totalCount } latestResponses { id }
      trend(questionnaireUrl: "https://kpro-graph.dk/Questionnaire/who-5", score: "who5") { id }
    }
  }
"""


def everybody(mover: Mover) -> list[Actor]:
    """Return one of every kind of the old municipality's staff and systems, and one who opened the record."""
    roles = [role for role in Role if role not in {Role.INTEGRATOR, Role.SECURITY_OFFICER}]
    systems = [
        Actor(
            ActorKind.SYSTEM, tables.new_id(), 101, (101,), AssuranceLevel.HIGH, roles=frozenset({Role.INTEGRATOR}),
            may_have_answers=may,
        )
        for may in (True, False)
    ]  # fmt: skip
    opened = [replace(staff(role, 101), opened=(mover.there,)) for role in READERS]
    return [*(staff(role, 101) for role in roles), *systems, *opened]


async def test_nobody_of_the_old_municipality_sees_what_was_handed_over(api: Api) -> None:
    mover = await move(api, 10)
    before = await held(mover, 101)
    prefixes = {"episode_of_care": "epi", "assignment": "asg"}
    found = await ask(api, staff(Role.CLINICAL_VIEWER, 101), """
      query ($citizen: ID!) { citizen(id: $citizen) { responses(first: 50) { nodes { id scores { id }
        interpretations { id } } } } }
    """, citizen=encode("cit", mover.there))  # fmt: skip
    ids = [encode(prefix, key) for table, prefix in prefixes.items() for key in before[table]]
    for response in found["citizen"]["responses"]["nodes"]:
        ids += [response["id"], *(each["id"] for each in (*response["scores"], *response["interpretations"]))]
    ids = ids[:100]
    asking = {"ids": ids, "citizen": encode("cit", mover.there)}
    assert None not in (await ask(api, staff(Role.CLINICAL_VIEWER, 101), EVERYTHING, **asking))["nodes"]
    await mover.hand_over()
    for actor in everybody(mover):
        seen = await ask(api, actor, EVERYTHING, **asking)
        assert set(map(str, seen["nodes"])) == {"None"}, (actor.kind, actor.roles, actor.opened)
        listed = [node["citizen"] for team in seen["careTeams"]["nodes"] for node in team["worklist"]["nodes"]]
        assert {"id": asking["citizen"]} not in listed
        if (record := seen["citizen"]) is not None:
            counts = {record[name]["totalCount"] for name in ("episodes", "assignments", "responses")}
            assert counts == {0}, (actor.kind, actor.roles, actor.opened)
            assert record["latestResponses"] == record["trend"] == []
    # The citizen may still read what that municipality did.
    assert min(sizes(await history(mover, mover.itself(101)))) > 0


# --- Who decides what


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CITIZEN_ENROLLER])
async def test_only_an_enroller_hands_over_and_receives(api: Api, role: Role) -> None:
    actor = staff(role, 101)
    somebody = tables.new_id()
    attempts: list[Callable[[Change], Awaitable[Any]]] = [
        lambda change: handovers.offer(change, somebody, "0851", REASON),
        lambda change: handovers.accept(change, somebody, somebody),
        lambda change: handovers.decline(change, somebody),
        lambda change: handovers.withdraw(change, somebody),
    ]
    for attempt in attempts:
        with pytest.raises(NotPermitted):
            async with api.product.database.change(actor) as change:
                await attempt(change)


async def test_an_offer_needs_a_reason_a_municipality_and_something_to_hand_over(api: Api) -> None:
    mover = await move(api, 11)
    citizen = encode("cit", mover.there)

    async def code(municipality: str = "0101", **variables: str) -> str:
        given = {"citizen": citizen, "to": "0851", "reason": REASON, **variables}
        return str((await api.run("offer-hand-over", "enroller", municipality, **given))["offerHandOver"]["code"])

    assert await code(reason="kort") == "HAND_OVER_REASON_MISSING"
    assert await code(reason="x" * 1001) == "HAND_OVER_REASON_MISSING"
    for nowhere in ("0999", "0000", "851", "Aalborg", "08510"):
        assert await code(to=nowhere) == "MUNICIPALITY_UNKNOWN"
    assert await code(to="0101") == "REFERENCE_UNKNOWN"
    assert await code(citizen=encode("cit", mover.here)) == "REFERENCE_UNKNOWN"
    assert await code("0851", citizen=encode("cit", mover.here), to="0101") == "NOTHING_TO_HAND_OVER"
    await mover.offer()
    assert await code(to="0810") == "ALREADY_OFFERED"
    assert await mover.offer() == await mover.offer()


async def test_a_care_team_of_other_units_cannot_be_given_a_history(api: Api) -> None:
    mover = await move(api, 12)
    offer = await mover.offer()
    for team in (team_id(851, 3), team_id(101), encode("team", tables.new_id()), "nothing"):
        answer = await api.run("accept-hand-over", "enroller", "0851", handOver=offer, careTeam=team)
        assert (answer["acceptHandOver"]["code"], answer["acceptHandOver"]["path"]) == (
            "REFERENCE_UNKNOWN", "careTeamId",
        )  # fmt: skip
    assert await status_of(api, offer) == "offered"


async def test_what_is_decided_stays_decided_and_saying_it_again_changes_nothing(api: Api) -> None:
    mover = await move(api, 13)
    for name, municipality, status in (
        ("decline-hand-over", "0851", "DECLINED"),
        ("withdraw-hand-over", "0101", "WITHDRAWN"),
    ):
        offer = await mover.offer()
        other = {"decline-hand-over": "withdraw-hand-over", "withdraw-hand-over": "decline-hand-over"}[name]
        elsewhere = {"0851": "0101", "0101": "0851"}[municipality]
        for _ in range(2):
            [done] = (await api.run(name, "enroller", municipality, handOver=offer)).values()
            assert done["handOver"]["status"] == status
        [late] = (await api.run(other, "enroller", elsewhere, handOver=offer)).values()
        assert late["code"] == "HAND_OVER_CLOSED"
        assert (await mover.accept(offer))["code"] == "HAND_OVER_CLOSED"
        # Neither side decides for the other.
        [strange] = (await api.run(name, "enroller", elsewhere, handOver=offer)).values()
        assert strange["code"] == "REFERENCE_UNKNOWN"
    assert not any((await held(mover, 851)).values())


async def test_accepting_twice_changes_nothing(api: Api) -> None:
    mover = await move(api, 14)
    offer = await mover.offer()
    first = await mover.accept(offer)
    moved = await held(mover, 851), await held(mover, 101), await happened(api, mover)
    again = await mover.accept(offer, team=1)
    assert again == first
    assert (await held(mover, 851), await held(mover, 101), await happened(api, mover)) == moved


async def test_of_an_acceptance_and_a_withdrawal_at_the_same_time_one_wins(api: Api) -> None:
    mover = await move(api, 15)
    for _ in range(4):
        offer = await mover.offer()
        results = await asyncio.gather(
            mover.accept(offer),
            api.run("withdraw-hand-over", "enroller", "0101", handOver=offer),
            mover.accept(offer),
            api.run("decline-hand-over", "enroller", "0851", handOver=offer),
        )
        accepted = [results[0], results[2]]
        withdrawn, declined = results[1]["withdrawHandOver"], results[3]["declineHandOver"]
        status = await status_of(api, offer)
        won = {
            "accepted": all("handOver" in each for each in accepted),
            "withdrawn": "handOver" in withdrawn,
            "declined": "handOver" in declined,
        }
        assert won == {each: each == status for each in won}
        moved = any((await held(mover, 851)).values())
        assert moved == (status == "accepted")
        if moved:
            break


async def test_a_submission_at_the_same_time_is_moved_or_refused_and_never_lost(api: Api) -> None:
    mover = await move(api, 16)
    ids = await assign(mover, WHO5, 101, await open_episode(mover, 101))
    await answer(mover, 101, ids)
    offer = await mover.offer()
    accepted, submitted = await asyncio.gather(
        mover.accept(offer), submit(mover, 101, ids, "at the same time"), return_exceptions=False
    )
    assert accepted["__typename"] == "HandOverRecorded"
    assignment = decode("asg", ids["assignment"])
    moved = [row for row in (await held(mover, 851))["response"].values() if row["assignment_id"] == assignment]
    if submitted["__typename"] == "ResponseSubmitted":
        assert [row["receipt"] for row in moved] == [submitted["receipt"]]
    else:
        assert (submitted["code"], moved) == ("ASSIGNMENT_CLOSED", [])


@pytest.mark.parametrize(("number", "table"), [(17, "interpretation"), (24, "event"), (25, "access_log")])
async def test_a_move_that_is_broken_off_leaves_everything_where_it_was(api: Api, number: int, table: str) -> None:
    mover = await move(api, number)
    offer = await mover.offer()
    before = await held(mover, 101), await happened(api, mover)
    async with above(api) as holder, above(api) as killer:
        # The move waits at one of its last tables; then the server ends its connection.
        lock = holder.transaction()
        await lock.start()
        await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        moving = asyncio.create_task(
            api.answer("accept-hand-over", "enroller", "0851", handOver=offer, careTeam=team_id(851))
        )
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kpro_api'"
            " AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(20):
            while (pid := await killer.fetchval(waiting)) is None:  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0.02)
        assert await killer.fetchval("SELECT pg_terminate_backend($1)", pid)
        broken = await moving
        await lock.rollback()
    assert broken["errors"]
    assert not any((await held(mover, 851)).values())
    assert (await held(mover, 101), await happened(api, mover)) == before
    assert await status_of(api, offer) == "offered"
    assert (await mover.accept(offer))["__typename"] == "HandOverRecorded"
    assert set((await held(mover, 851))["response"]) == set(before[0]["response"])
    assert await happened(api, mover) > before[1]


async def test_both_sides_note_and_hear_of_it(api: Api) -> None:
    mover = await move(api, 18)
    offer = await mover.hand_over()
    async with above(api) as connection:
        lines = await connection.fetch(
            "SELECT municipality_id, citizen_id, action, operation_id FROM access_log"
            " WHERE citizen_id = ANY($1) AND fields_seen LIKE '%answers%hand_over%'",
            [mover.there, mover.here],
        )  # fmt: skip
        events = await connection.fetch(
            "SELECT municipality_id, citizen_id FROM event WHERE type = 'hand-over.accepted' AND subject_id = $1",
            decode("hov", offer),
        )
    assert {(line["municipality_id"], line["citizen_id"], line["action"]) for line in lines} == {
        (101, mover.there, "update"), (851, mover.here, "create"),
    }  # fmt: skip
    assert len({line["operation_id"] for line in lines}) == 1
    assert {(each["municipality_id"], each["citizen_id"]) for each in events} == {(101, mover.there), (851, mover.here)}
    assert len(events) == 2
    # What was noted before stays where it was noted.
    assert len(await rows(api, "access_log", 101, mover.there)) > 1


# --- The way over the wall


async def test_the_way_over_leads_only_where_an_open_offer_leads(api: Api) -> None:
    mover, bystander = await move(api, 19), await move(api, 20)
    declined = await bystander.offer()
    await api.run("decline-hand-over", "enroller", "0851", handOver=declined)
    offer = decode("hov", await mover.offer())
    assert offer is not None
    for actor, way in (
        (staff(Role.CITIZEN_ENROLLER, 851), decode("hov", declined)),
        (staff(Role.CITIZEN_ENROLLER, 851), tables.new_id()),
        (staff(Role.CITIZEN_ENROLLER, 101), offer),
        (staff(Role.CITIZEN_ENROLLER, 810), offer),
    ):
        assert way is not None
        async with api.product.database.change(actor) as change:
            with pytest.raises(NotFound):
                async with cross(change, way, ()):
                    raise AssertionError("the way is open")
            assert await scope(change) == f"{{{actor.municipality}}}"


async def test_the_way_over_closes_behind_whoever_does_not_accept(api: Api) -> None:
    mover = await move(api, 21)
    offer = decode("hov", await mover.offer())
    assert offer is not None
    receiver = staff(Role.CITIZEN_ENROLLER, 851)
    async with api.product.database.change(receiver) as change:
        with pytest.raises(RuntimeError, match="without a hand-over"):
            async with cross(change, offer, ()):
                assert await scope(change) == "{101,851}"
                assert await change.fetch("SELECT FROM citizen WHERE id = $1", (mover.there,))
                assert not await change.fetch("SELECT FROM citizen WHERE municipality_id NOT IN (101, 851)")
                await change.fetch("UPDATE episode_of_care SET urgency = 3 WHERE citizen_id = $1", (mover.there,))
        assert await scope(change) == "{851}"
        assert not await change.fetch("SELECT FROM citizen WHERE id = $1", (mover.there,))
    assert {row["urgency"] for row in (await held(mover, 101))["episode_of_care"].values()} != {3}
    async with api.product.database.change(receiver) as change:
        async with cross(change, offer, ()):
            await change.fetch(
                "UPDATE hand_over SET status = 'accepted', decided_by = $2, decided_at = now(), episodes = 0,"
                " responses = 0, revoked = 0 WHERE id = $1", (offer, receiver.id),
            )  # fmt: skip
        assert await scope(change) == "{851}"


def test_the_wall_is_opened_in_one_place_for_one_caller() -> None:
    callers, settings = set(), set()
    for page in sorted(CODE.rglob("*.py")):
        text, where = page.read_text(encoding="utf-8"), page.relative_to(CODE).as_posix()
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "cross"
            for node in ast.walk(ast.parse(text))
        ):
            callers.add(where)
        if re.search(r"kpro\.municipalities", text):
            settings.add(where.split("/")[0])
    assert callers == {"handovers/deciding.py"}
    assert settings <= {"storage", "demo"}


@pytest.mark.parametrize(
    ("municipality", "statement"),
    [
        (101, "UPDATE hand_over SET status = 'accepted', decided_at = now() WHERE id = $1"),
        (101, "UPDATE hand_over SET status = 'declined', decided_at = now() WHERE id = $1"),
        (851, "UPDATE hand_over SET status = 'withdrawn', decided_at = now() WHERE id = $1"),
        (851, "UPDATE hand_over SET to_municipality_id = 810 WHERE id = $1"),
        (101, "UPDATE hand_over SET person_id = gen_random_uuid() WHERE id = $1"),
        (101, "DELETE FROM hand_over WHERE id = $1"),
        (851, "INSERT INTO hand_over SELECT 101, gen_random_uuid(), 851, person_id, citizen_id, 'offered', reason,"
              " offered_by, now() FROM hand_over WHERE id = $1"),
        (101, "INSERT INTO hand_over SELECT 101, gen_random_uuid(), 851, person_id, citizen_id, 'accepted', reason,"
              " offered_by, now(), offered_by, now(), 0, 0, 0 FROM hand_over WHERE id = $1"),
    ],
)  # fmt: skip
async def test_the_wall_lets_each_side_decide_its_own_part_only(api: Api, municipality: int, statement: str) -> None:
    offer = decode("hov", await (await move(api, 22)).offer())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with api.product.database.peek(municipality) as connection:
            await connection.execute(statement, offer)
    assert await status_of(api, encode("hov", offer)) == "offered"  # type: ignore[arg-type]


async def test_neither_side_writes_into_the_other(api: Api) -> None:
    mover = await move(api, 23)
    await mover.hand_over()
    for municipality, other, record in ((101, 851, mover.here), (851, 101, mover.there)):
        async with api.product.database.peek(municipality) as connection:
            assert await connection.execute(
                "UPDATE episode_of_care SET urgency = 3 WHERE municipality_id = $1", other
            ) == "UPDATE 0"  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with api.product.database.peek(municipality) as connection:
                await connection.execute(
                    "INSERT INTO consent (municipality_id, id, citizen_id, episode_id, decision, manner, decided_at,"
                    " recorded_kind, recorded_by) SELECT $1, gen_random_uuid(), $2, id, 'given', 'oral', now(),"
                    " 'employee', opened_by FROM episode_of_care LIMIT 1",
                    other, record,
                )  # fmt: skip


# --- What the tests stand on


async def scope(change: Any) -> str:
    """Return the municipalities the change's session sees."""
    [row] = await change.fetch("SELECT current_setting('kpro.municipalities') AS seen")
    return str(row["seen"])


async def status_of(api: Api, offer: str) -> str:
    """Return where a hand-over stands."""
    async with above(api) as connection:
        return str(await connection.fetchval("SELECT status FROM hand_over WHERE id = $1", decode("hov", offer)))


async def happened(api: Api, mover: Mover) -> int:
    """Count the events about the mover on both sides, and the lines that say something was done."""
    async with above(api) as connection:
        sql = (
            "SELECT (SELECT count(*) FROM event WHERE citizen_id = ANY($1))"
            " + (SELECT count(*) FROM access_log WHERE citizen_id = ANY($1) AND action IN ('create', 'update'))"
        )
        return int(await connection.fetchval(sql, [mover.there, mover.here]))


async def local_mover(api: Api) -> Mover:
    """Return a mover who answered København's own questionnaire."""
    async with above(api) as connection:
        answered = await connection.fetch(
            "SELECT DISTINCT c.person_id, c.id FROM response r JOIN citizen c"
            " ON c.municipality_id = r.municipality_id AND c.id = r.citizen_id"
            " WHERE r.municipality_id = 101 AND r.questionnaire_owner = 101 AND r.questionnaire_url = $1"
            " ORDER BY c.id", LOCAL,
        )  # fmt: skip
    known = {row["id"] for row in answered}
    for number in range(40):
        mover = await move(api, number)
        if mover.there in known:
            return mover
    raise AssertionError("nobody in the demo answered a local questionnaire")


async def take_in_another_edition(api: Api, municipality: int) -> None:
    """Give a municipality a questionnaire of its own with the same url and version, and other content."""
    async with above(api) as connection:
        found = await connection.fetchrow(
            "SELECT content::text AS content, version FROM questionnaire WHERE municipality_id = 101 AND url = $1",
            LOCAL,
        )
    other = {**json.loads(found["content"]), "title": "Et andet skema", "status": "draft"}
    made = await api.run("import-questionnaire", "questionnaire-editor", f"{municipality:04d}", fhir=json.dumps(other))
    assert made["importQuestionnaire"]["__typename"] == "QuestionnaireImported", made
