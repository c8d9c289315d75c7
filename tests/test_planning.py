"""What is planned: several ids at once, objects that functions compute, lists of objects at hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from kpro_graph.actors import Context, Role
from kpro_graph.execution.ids import split
from kpro_graph.schema.context import Operation, Viewer
from tests.agreement import COMPILER, agree
from tests.living import Api
from tests.moving import staff
from tests.situations import Situation, furnish

SEVERAL = (
    "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on CareTeam { name organisationUnit { name } } } }"
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def situation(worlds: Any, loaded: str) -> AsyncIterator[Situation]:
    """Give a world with data in every state."""
    async with worlds.fresh(loaded) as api:
        yield await furnish(api, strangers=0)


async def run(api: Api, actor: Any, document: str, variables: dict[str, Any]) -> tuple[Any, int]:
    """Return a compiled answer's data and how many statements it took."""
    operation = Operation(Viewer(api.product.application, actor))
    operation.compiled = True
    body = await COMPILER.run(document, variables, None, operation)
    await operation.end()
    return json.loads(body)["data"], operation.statements


async def test_several_ids_are_answered_in_their_order_with_nulls_in_their_places_by_one_statement(
    situation: Situation,
) -> None:
    asker = max(situation.askers, key=lambda each: len(each.ids.get("team", ())) + len(each.ids.get("asg", ())))
    team, unit = asker.ids["team"][0], asker.ids["unit"][0]
    ids = [team, "nothing", unit, f"team_{'0' * 32}", team, unit.replace("unit", "team")]
    for asked in (ids, ids[::-1], [], ["nothing"]):
        assert await agree(situation.api.product.application, asker.actor, SEVERAL, {"ids": asked}) is None
    answered, statements = await run(situation.api, asker.actor, SEVERAL, {"ids": ids})
    assert [each and each["id"] for each in answered["nodes"]] == [team, None, unit, None, team, None]
    assert answered["nodes"][0] == answered["nodes"][4]
    _, more = await run(situation.api, asker.actor, SEVERAL, {"ids": [*asker.ids["team"], *asker.ids["unit"]][:100]})
    _, none = await run(situation.api, asker.actor, SEVERAL, {"ids": ["nothing"] * 100})
    assert (statements, more, none) == (1, 1, 0)


async def test_rows_among_several_ids_are_computed_each_with_its_own_value(situation: Situation) -> None:
    document = """
      query ($ids: [ID!]!) {
        nodes(ids: $ids) {
          id ... on Questionnaire { url items { linkId again: text options { code weight } enableWhen { value } } }
        }
      }
    """
    asker = max(situation.askers, key=lambda each: len(each.ids.get("que", ())))
    ids = [*reversed(asker.ids["que"][:8]), *asker.ids["que"][2:4]]
    assert await agree(situation.api.product.application, asker.actor, document, {"ids": ids}) is None
    answered, _ = await run(situation.api, asker.actor, document, {"ids": ids})
    assert [each["id"] for each in answered["nodes"]] == ids
    assert all(each["items"] for each in answered["nodes"])


async def test_more_ids_than_are_read_at_a_time_are_refused_by_both(situation: Situation) -> None:
    refused = await agree_not(situation, SEVERAL, {"ids": ["nothing"] * 101})
    assert refused == "an argument or an object at hand is refused"


async def agree_not(situation: Situation, document: str, variables: dict[str, Any]) -> str:
    """Return why an operation is not compiled."""
    actor = staff(Role.CLINICAL_VIEWER, 101)
    reason = await agree(situation.api.product.application, actor, document, variables)
    assert reason is not None
    return reason.reason


@pytest.mark.parametrize(
    "asked",
    [
        "purpose assurance",
        "context { key roles organisationUnit { name } careTeam { name organisationUnit { id } } }",
        "contexts { key roles organisationUnit { id name } careTeam { name worklist(first: 2) { totalCount } } }",
        "contexts { careTeam { id } a: careTeam { name reasonCodes } __typename } municipality { name }",
        "representations { key name kind rights validUntil __typename }",
    ],
)
async def test_what_somebody_is_and_may_choose_is_compiled_for_everybody(situation: Situation, asked: str) -> None:
    seen = 0
    for asker in situation.askers:
        if asker.actor is not None:
            seen += 1
            assert await agree(situation.api.product.application, asker.actor, f"{{ me {{ {asked} }} }}") is None
    assert seen > 20


async def test_the_rows_of_several_places_are_read_at_once(situation: Situation) -> None:
    asker = max(situation.askers, key=lambda each: len(each.ids.get("team", ())))
    teams, units = ([_key(each) for each in asker.ids[prefix][:6]] for prefix in ("team", "unit"))
    places: list[tuple[UUID, UUID | None]] = [(units[0], each) for each in teams] + [
        (units[-1], None),
        (teams[0], units[0]),
    ]
    assert asker.actor is not None
    actor = replace(
        asker.actor, contexts=tuple(Context(unit, team, frozenset({Role.CLINICAL_VIEWER})) for unit, team in places)
    )
    document = "{ me { contexts { organisationUnit { id } careTeam { id name organisationUnit { name } } } } }"
    assert await agree(situation.api.product.application, actor, document) is None
    answered, statements = await run(situation.api, actor, document, {})
    shown = [(_id(each["organisationUnit"]), _id(each["careTeam"])) for each in answered["me"]["contexts"]]
    assert shown == [*places[:-1], (None, None)]
    assert statements == 1


def _key(id_: str) -> UUID:
    parts = split(id_)
    assert parts is not None
    return parts[1]


def _id(node: Any) -> UUID | None:
    return None if node is None else _key(node["id"])
