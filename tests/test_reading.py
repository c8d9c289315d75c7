"""Reading: pages, cursors, a constant number of statements, and a line in the access log before any answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.living import Api, example

PAGES = """
  query ($team: ID!, $first: Int, $after: String, $last: Int, $before: String, $order: WorklistOrder!) {
    careTeam(id: $team) {
      worklist(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
        totalCount
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { id urgency lastResponseAt citizen { familyName } } }
      }
    }
  }
"""


async def team_of(api: Api) -> str:
    """Return København's first care team."""
    return str((await api.run("care-teams", "viewer"))["careTeams"]["nodes"][0]["id"])


async def page(api: Api, team: str, order: str = "URGENCY", **window: Any) -> Any:
    """Return one page of the worklist."""
    data = await api.run(PAGES, "viewer", team=team, order=order, **window)
    return data["careTeam"]["worklist"]


@pytest.mark.parametrize("order", ["URGENCY", "LATEST", "NAME"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_forwards_and_backwards_give_the_whole_list_in_order(api: Api, order: str, size: int) -> None:
    team = await team_of(api)
    whole = await page(api, team, order, first=100)
    ids = [edge["node"]["id"] for edge in whole["edges"]]
    assert len(ids) == whole["totalCount"] > 3
    assert len(set(ids)) == len(ids)
    forwards: list[str] = []
    window: dict[str, Any] = {"first": size}
    while True:
        part = await page(api, team, order, **window)
        forwards += [edge["node"]["id"] for edge in part["edges"]]
        if not part["pageInfo"]["hasNextPage"]:
            break
        window = {"first": size, "after": part["pageInfo"]["endCursor"]}
    assert forwards == ids
    backwards: list[str] = []
    window = {"last": size}
    while True:
        part = await page(api, team, order, **window)
        backwards = [edge["node"]["id"] for edge in part["edges"]] + backwards
        if not part["pageInfo"]["hasPreviousPage"]:
            break
        window = {"last": size, "before": part["pageInfo"]["startCursor"]}
    assert backwards == ids


async def test_the_worklist_is_ordered_as_it_says(api: Api) -> None:
    team = await team_of(api)
    levels = {"RED": 3, "YELLOW": 2, "GREEN": 1, "NOT_INTERPRETED": 0}
    urgent = [levels[edge["node"]["urgency"]] for edge in (await page(api, team, "URGENCY", first=100))["edges"]]
    assert urgent == sorted(urgent, reverse=True)
    latest = [
        edge["node"]["lastResponseAt"]
        for edge in (await page(api, team, "LATEST", first=100))["edges"]
        if edge["node"]["lastResponseAt"]
    ]
    assert latest == sorted(latest, reverse=True)


async def test_a_filter_by_colour_gives_only_that_colour_and_counts_it(api: Api) -> None:
    team = await team_of(api)
    everything = (await page(api, team, first=100))["edges"]
    for colour in ("RED", "YELLOW", "GREEN"):
        data = await api.run("worklist", "viewer", careTeam=team, colours=[colour])
        listed = data["careTeam"]["worklist"]
        assert {node["urgency"] for node in listed["nodes"]} <= {colour}
        assert listed["totalCount"] == sum(edge["node"]["urgency"] == colour for edge in everything)


async def test_a_cursor_is_opaque_stable_and_good_for_its_own_list_only(api: Api) -> None:
    team = await team_of(api)
    first, again = [(await page(api, team, "NAME", first=1))["edges"][0] for _ in range(2)]
    assert first["cursor"] == again["cursor"]
    assert first["node"]["citizen"]["familyName"] not in first["cursor"]
    for cursor, order in ((first["cursor"], "URGENCY"), (first["cursor"][:-2] + "AA", "NAME"), ("rubbish", "NAME")):
        answer = await api.answer(PAGES, "viewer", team=team, order=order, first=1, after=cursor)
        assert answer["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "after"}


async def test_ids_tell_nothing_and_hold_no_cpr_number(api: Api) -> None:
    team = await team_of(api)
    ids = [edge["node"]["id"] for edge in (await page(api, team, first=100))["edges"]]
    assert all(re.fullmatch(r"epi_[0-9a-f]{32}", each) for each in ids)


async def statements(api: Api, first: int) -> tuple[int, int]:
    """Return how many SQL statements a worklist page of this size costs, and how many citizens it holds."""
    team = await team_of(api)
    ran: list[str] = []
    from kpro_graph.storage.database import Reading

    fetch = Reading.fetch

    async def counting(self: Reading, sql: str, arguments: Any = ()) -> list[Any]:
        ran.append(sql)
        return await fetch(self, sql, arguments)

    Reading.fetch = counting  # type: ignore[method-assign]
    try:
        answer = await api.answer("worklist", "viewer", careTeam=team, first=first)
    finally:
        Reading.fetch = fetch  # type: ignore[method-assign]
    return len(ran), len(answer["data"]["careTeam"]["worklist"]["nodes"])


async def test_the_worklist_costs_the_same_number_of_statements_however_many_citizens(api: Api) -> None:
    few, small = await statements(api, 2)
    many, large = await statements(api, 100)
    assert small < large
    assert few == many == 1


async def log_lines(api: Api, since: int) -> list[dict[str, Any]]:
    """Return København's access-log lines after the first ``since``."""
    async with api.product.database.peek(101) as connection:
        rows = await connection.fetch("SELECT * FROM access_log ORDER BY id OFFSET $1", since)
    return [dict(row) for row in rows]


async def test_every_citizen_in_an_answer_is_in_the_access_log_and_nobody_else(api: Api) -> None:
    team = await team_of(api)
    before = len(await log_lines(api, 0))
    data = await api.run("worklist", "viewer", careTeam=team, first=3)
    shown = {node["citizen"]["id"] for node in data["careTeam"]["worklist"]["nodes"]}
    lines = await log_lines(api, before)
    assert {f"cit_{line['citizen_id'].hex}" for line in lines} == shown
    assert len(lines) == len(shown)
    assert len({line["operation_id"] for line in lines}) == 1
    assert {"identity", "scores", "colours"} <= set(lines[0]["fields_seen"].split())
    assert "answers" not in lines[0]["fields_seen"]
    assert {(line["action"], line["operation"], line["actor_kind"]) for line in lines} == {
        ("read", "Worklist", "employee")
    }


async def test_without_a_line_in_the_access_log_there_is_no_answer(api: Api) -> None:
    import asyncpg

    team = await team_of(api)
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute("REVOKE INSERT ON access_log FROM kpro_api")
    try:
        answer = await api.answer("worklist", "viewer", careTeam=team)
        harmless = await api.answer("care-teams", "viewer")
    finally:
        await owner.execute("GRANT INSERT ON access_log TO kpro_api")
        await owner.close()
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert harmless["data"]["careTeams"]["nodes"]


async def test_the_citizen_sees_their_own_and_no_colours(api: Api) -> None:
    document = """
      { me { citizen { id responses(first: 5) { nodes { id scores { id } interpretations { id } answers { linkId } } } } }
        careTeams { totalCount } }
    """
    data = await api.run(document, "citizen")
    assert data["careTeams"]["totalCount"] == 0
    for response in data["me"]["citizen"]["responses"]["nodes"]:
        assert response["answers"]
        assert response["scores"] == response["interpretations"] == []
    coloured = await api.run("{ me { citizen { responses { nodes { colour } } } } }", "citizen")
    assert {node["colour"] for node in coloured["me"]["citizen"]["responses"]["nodes"]} <= {None}


async def test_a_fault_of_ours_is_masked_and_found_again_by_its_reference(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncpg

    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute("ALTER TABLE care_team RENAME COLUMN name TO renamed")
    try:
        answer = await api.answer("care-teams", "viewer")
    finally:
        await owner.execute("ALTER TABLE care_team RENAME COLUMN renamed TO name")
        await owner.close()
    error = answer["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["reference"] in caplog.text
    assert "renamed" not in str(answer)
    assert "column" not in error["message"]


async def test_introspection_and_typename_need_nobody(api: Api) -> None:
    response = await api.post("{ __typename __schema { queryType { name } } }")
    assert response.json() == {"data": {"__typename": "Query", "__schema": {"queryType": {"name": "Query"}}}}


async def test_fragments_directives_and_aliases_read_what_they_say(api: Api) -> None:
    document = """
      query ($no: Boolean!) {
        a: careTeams(first: 1) { ...Names }
        b: careTeams(first: 1) { nodes { name @skip(if: $no) id @include(if: $no) __typename } }
        n: nodes(ids: []) { ... on CareTeam { name } id }
      }
      fragment Names on CareTeamConnection { nodes { ... on Node { id } ...Deep } }
      fragment Deep on CareTeam { label: name organisationUnit { name kle } }
    """
    data = await api.run(document, "viewer", no=True)
    assert set(data["a"]["nodes"][0]) == {"id", "label", "organisationUnit"}
    assert set(data["b"]["nodes"][0]) == {"id", "__typename"}
    assert data["n"] == []


async def test_node_fetches_everything_again_by_its_id(api: Api) -> None:
    team = await team_of(api)
    listed = await api.run("worklist", "viewer", careTeam=team, first=2)
    entry = next(node for node in listed["careTeam"]["worklist"]["nodes"] if node["latestResponses"])
    ids = [team, entry["id"], entry["citizen"]["id"], entry["latestResponses"][0]["id"]]
    data = await api.run("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", "viewer", ids=ids)
    assert [node["id"] for node in data["nodes"]] == ids
    assert [node["__typename"] for node in data["nodes"]] == [
        "CareTeam", "EpisodeOfCare", "Citizen", "QuestionnaireResponse",
    ]  # fmt: skip


def test_every_example_is_a_document_of_the_schema() -> None:
    from graphql import parse, validate

    from kpro_graph.schema import make_schema
    from tests.living import EXAMPLES

    schema = make_schema()._schema
    names = [file.stem for file in EXAMPLES.glob("*.graphql")]
    assert len(names) >= 10
    for name in names:
        assert validate(schema, parse(example(name))) == [], name
