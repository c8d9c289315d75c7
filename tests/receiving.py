"""How tests act at a reception: register a computer, hand over a code, and answer at the computer with its session."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import httpx

from kpro_graph.actors import Identity, Role
from kpro_graph.demography import Demography
from tests.living import Api, example
from tests.people import employee, grant, member

DEMOGRAPHY = Demography()

REGISTER = """
  mutation ($unit: ID!, $name: String!) {
    registerReceptionDevice(input: { organisationUnitId: $unit, name: $name }) {
      __typename ... on ReceptionDeviceRegistered { secret device { id name } } ... on Failure { code path }
    }
  }
"""
HAND_OUT = """
  mutation ($input: CreateReceptionCodeInput!) {
    createReceptionCode(input: $input) {
      __typename ... on ReceptionCodeCreated { code expiresAt assignments } ... on Failure { code path }
    }
  }
"""
REDEEM = """
  mutation Redeem($secret: String!, $code: String!) {
    redeemReceptionCode(input: { deviceSecret: $secret, code: $code }) {
      __typename ... on ReceptionSessionBegun { token expiresAt idleSeconds } ... on Failure { code message messageEn path }
    }
  }
"""
SEEN = """
  { receptionSession { idleUntil expiresAt assignments { id status questionnaire { id title items { path type } }
    draft { id draftAnswers { path fhir } } } } }
"""
REFUSED = {
    "__typename": "CodeRefused", "code": "RECEPTION_CODE_REFUSED", "message": "Koden virker ikke. Tal med personalet.",
    "messageEn": "The code does not work. Ask the staff.", "path": "code",
}  # fmt: skip


def unit_of(team: int = 0, municipality: str = "0101") -> str:
    """Return the public id of the unit of one of a municipality's care teams."""
    return f"unit_{DEMOGRAPHY.care_teams(municipality)[team].unit.hex}"


def administrator(unit: str, municipality: str = "0101") -> Identity:
    """Return a Care Team Administrator of this unit."""
    held = grant(Role.CARETEAM_ADMINISTRATOR, unit=UUID(unit.removeprefix("unit_")))
    return employee(held, person=member(Role.CARETEAM_ADMINISTRATOR, municipality), municipality=municipality)


async def register(api: Api, unit: str = "", municipality: str = "0101") -> dict[str, Any]:
    """Register a computer in a unit; return its secret and id."""
    unit = unit or unit_of(municipality=municipality)
    data = await api.run(REGISTER, administrator(unit, municipality), municipality, unit=unit, name="Skranken")
    made = data["registerReceptionDevice"]
    assert made["__typename"] == "ReceptionDeviceRegistered", made
    return {"secret": made["secret"], "id": made["device"]["id"]}


async def hand_out(api: Api, work: dict[str, Any], as_: str | Identity = "enroller", municipality: str = "0101") -> str:
    """Hand over a code for what is open in an episode."""
    given = {"episodeOfCareId": work["episode"]["id"]}
    made = (await api.run(HAND_OUT, as_, municipality, input=given))["createReceptionCode"]
    assert made["__typename"] == "ReceptionCodeCreated", made
    return str(made["code"])


async def redeem(api: Api, secret: str, code: str) -> dict[str, Any]:
    """Give a code at a computer; return what became of it."""
    answer = await api.post(REDEEM, {"secret": secret, "code": code})
    return dict(answer.json()["data"]["redeemReceptionCode"])


async def begin(api: Api, work: dict[str, Any], device: dict[str, Any] | None = None) -> str:
    """Begin a session for an episode's open assignments and return its token."""
    begun = await redeem(api, (device or await register(api))["secret"], await hand_out(api, work))
    assert begun["__typename"] == "ReceptionSessionBegun", begun
    return str(begun["token"])


async def at(api: Api, token: str, document: str, **variables: Any) -> httpx.Response:
    """Send a document, or the example with that name, from a session at the computer."""
    text = document if "{" in document else example(document)
    headers = {"Authorization": f"Reception {token}"}
    return await api.http.post("/graphql/", json={"query": text, "variables": variables}, headers=headers)


async def answer_all(api: Api, token: str, work: dict[str, Any]) -> list[httpx.Response]:
    """Answer every WHO-5 item at the computer."""
    questionnaire = await api.run(
        "query ($id: ID!) { questionnaire(id: $id) { items { path type options { system code } } } }",
        "citizen",
        id=work["questionnaire"]["id"],
    )
    answers = []
    for item in questionnaire["questionnaire"]["items"]:
        if item["type"] == "choice":
            option = item["options"][0]
            answers.append(
                await at(
                    api, token, "save-answer", assignment=work["assignment"]["id"],
                    questionnaire=work["questionnaire"]["id"], path=item["path"],
                    values=[{"coding": {"system": option["system"], "code": option["code"]}}],
                )
            )  # fmt: skip
            assert answers[-1].json()["data"]["saveAnswer"]["__typename"] == "AnswerSaved", answers[-1].text
    return answers


async def alter(api: Api, statement: str, *arguments: Any, municipality: int = 101) -> None:
    """Run a statement as the tables' owner: the passing of time, mostly."""
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    try:
        async with owner.transaction():
            await owner.execute("SELECT set_config('kpro.municipalities', $1, true)", f"{{{municipality}}}")
            await owner.execute(statement, *arguments)
    finally:
        await owner.close()
