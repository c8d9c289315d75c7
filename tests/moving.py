"""People who move: a citizen of København with a record in another municipality, and everybody who deals with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.demography import Demography
from kpro_graph.execution.ids import decode, encode
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Viewer
from kpro_graph.storage import tables
from tests.living import Api, example

DEMOGRAPHY = Demography()
SCHEMA = make_schema()
REASON = "Borgeren er flyttet til kommunen."

HISTORY = """
  query ($citizen: ID!) {
    citizen(id: $citizen) {
      id
      episodes(first: 100) { totalCount nodes { id status consentedUntil consents { decision } } }
      assignments(first: 100) { totalCount nodes { id status questionnaire { url status } } }
      responses(first: 100) {
        totalCount
        nodes { id version superseded submittedAt answers { path } scores { code value } interpretations { subject }
                questionnaire { url status } }
      }
    }
  }
"""


@dataclass(frozen=True, slots=True)
class Mover:
    """A citizen with a history in one municipality and a record, without a history, in another."""

    api: Api
    person: UUID
    cpr: str
    old: int
    new: int
    there: UUID
    here: UUID

    def itself(self, municipality: int) -> Actor:
        """Return the citizen, signed in to a municipality."""
        record = self.there if municipality == self.old else self.here
        return Actor(
            ActorKind.CITIZEN, self.person, municipality, (municipality,), AssuranceLevel.HIGH, citizens=(record,)
        )

    async def offer(self, to: int | None = None, **variables: Any) -> str:
        """Offer the history to the new municipality; return the hand-over's id."""
        answer = await self.api.run(
            "offer-hand-over", "enroller", f"{self.old:04d}",
            citizen=encode("cit", self.there), to=f"{to or self.new:04d}", reason=REASON, **variables,
        )  # fmt: skip
        offered = answer["offerHandOver"]
        assert offered["__typename"] == "HandOverRecorded", offered
        return str(offered["handOver"]["id"])

    async def accept(self, offer: str, team: int = 0) -> dict[str, Any]:
        """Accept it for a care team of the new municipality's demo enroller; return the result."""
        answer = await self.api.run(
            "accept-hand-over", "enroller", f"{self.new:04d}", handOver=offer, careTeam=team_id(self.new, team)
        )
        return dict(answer["acceptHandOver"])

    async def hand_over(self) -> str:
        """Offer and accept; return the hand-over's id."""
        offer = await self.offer()
        accepted = await self.accept(offer)
        assert accepted["__typename"] == "HandOverRecorded", accepted
        return offer


def team_id(municipality: int, number: int = 0) -> str:
    """Return the id of a demo care team."""
    return encode("team", DEMOGRAPHY.care_teams(f"{municipality:04d}")[number].id)


def staff(role: Role, municipality: int) -> Actor:
    """Return somebody who holds a role in every team and unit of a demo municipality."""
    code = f"{municipality:04d}"
    teams = tuple(team.id for team in DEMOGRAPHY.care_teams(code))
    units = tuple(unit.id for unit in DEMOGRAPHY.organisation_units(code))
    return Actor(
        ActorKind.EMPLOYEE, tables.new_id(), municipality, (municipality,), AssuranceLevel.HIGH,
        roles=frozenset({role}), care_teams={role: teams}, organisation_units={role: units},
    )  # fmt: skip


async def ask(api: Api, actor: Actor, document: str, **variables: Any) -> Any:
    """Run a document, or the example with that name, as any actor; it must succeed."""
    text = document if "{" in document else example(document)
    result = await SCHEMA.execute(text, variables, Viewer(api.product.application, actor))
    assert not result.errors, result.errors
    return result.data


async def move(api: Api, number: int, *, old: int = 101, new: int = 851) -> Mover:
    """Have the new municipality register a demo citizen of the old one."""
    cpr = DEMOGRAPHY.citizen_cpr(f"{old:04d}", number)
    there = (await api.run("find-citizen", "enroller", f"{old:04d}", cpr=cpr))["findCitizen"]["citizen"]["id"]
    made = await api.run(
        "register-citizen", "enroller", f"{new:04d}", cpr=cpr, givenName="Flyttet", familyName="Borger"
    )
    here = made["registerCitizen"]["citizen"]["id"]
    there_id, here_id = decode("cit", there), decode("cit", here)
    assert there_id is not None
    assert here_id is not None
    async with api.product.database.peek(old) as connection:
        person = await connection.fetchval("SELECT person_id FROM citizen WHERE id = $1", there_id)
    return Mover(api, person, cpr, old, new, there_id, here_id)


@asynccontextmanager
async def above(api: Api) -> AsyncIterator[Any]:
    """Open a connection above every wall, to see what really is there."""
    connection = await asyncpg.connect(api.product.databases.need("api").replace("kpro_api", "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


async def rows(api: Api, table: str, municipality: int, citizen: UUID) -> dict[UUID, dict[str, Any]]:
    """Return the citizen's rows of a table in a municipality, by id."""
    async with above(api) as connection:
        found = await connection.fetch(
            f"SELECT * FROM {table} WHERE municipality_id = $1 AND citizen_id = $2", municipality, citizen
        )
    return {row["id"]: dict(row) for row in found}
