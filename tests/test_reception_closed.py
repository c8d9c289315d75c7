"""What a session at a reception computer cannot do: every field, every change, every subscription; and what it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_enum_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from kpro_graph.execution import Row
from kpro_graph.execution.ids import encode
from tests.conftest import ROOT
from tests.living import Api
from tests.receiving import DEMOGRAPHY, REDEEM, SEEN, answer_all, at, begin, hand_out, register, unit_of
from tests.test_main_job import give_answers, open_assignment, submit

SCHEMA: GraphQLSchema = build_schema((ROOT / "kpro_graph" / "schema" / "schema.graphql").read_text(encoding="utf-8"))
assert SCHEMA.query_type is not None
assert SCHEMA.mutation_type is not None
QUERIES = sorted(SCHEMA.query_type.fields)
ALLOWED_CHANGES = {"saveAnswer", "submitResponse", "endReceptionSession"}
CHANGES = sorted(set(SCHEMA.mutation_type.fields) - ALLOWED_CHANGES)
PUBLIC_ID = re.compile(r"\b[a-z]+_[0-9a-f]{32}\b")
DEPTH = 5


def rows_read() -> dict[str, type[Row]]:
    """Return every type of the product's that is read from a table, by its prefix."""
    found: dict[str, type[Row]] = {}
    waiting = list(Row.__subclasses__())
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        if hasattr(each, "prefix") and each.__module__.startswith("kpro_graph."):
            found[each.prefix] = each
    return found


def selection(type_: Any, depth: int = DEPTH, path: tuple[str, ...] = ()) -> str:
    """Write a selection of every id, and of everything that can be reached, without turning in circles."""
    if isinstance(type_, (GraphQLInterfaceType, GraphQLUnionType)):
        parts = (
            f"... on {each.name} {{ {selection(each, depth, path)} }}"
            for each in SCHEMA.get_possible_types(type_)
            if each.name not in path
        )
        return "__typename " + " ".join(parts)
    fields = ["__typename"]
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if not hasattr(named, "fields") and not isinstance(named, GraphQLUnionType):
            # Guarded fields would hide what stands beside them; whatever has an id is known by it.
            if name == "id" or "id" not in type_.fields:
                fields.append(f"{type_.name}_{name}: {name}")
        elif depth and named.name not in path:
            fields.append(f"{type_.name}_{name}: {name} {{ {selection(named, depth - 1, (*path, type_.name))} }}")
    return " ".join(fields)


class Scene:
    """A session, what was handed to it, and the ids of everything else in the municipality."""

    def __init__(self, token: str, handed: set[str], ids: dict[str, list[str]], spoken: set[str]) -> None:
        self.token = token
        self.handed = handed
        self.ids = ids
        self.spoken = spoken

    def shows_nothing_else(self, answer: httpx.Response) -> None:
        """Assert that an answer names nothing and nobody but what was handed over."""
        body = answer.json()
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        assert codes <= {"FORBIDDEN", "BAD_INPUT", "NOT_FOUND", "CONTEXT_REQUIRED"}, body
        shown = set(PUBLIC_ID.findall(json.dumps(body)))
        assert shown <= self.handed, shown - self.handed
        assert not [word for word in self.spoken if word in answer.text]


async def scene(api: Api) -> Scene:
    """Have a citizen with a history come to the reception to answer one more questionnaire."""
    history = await open_assignment(api)
    await give_answers(api, history, weight=1)
    await submit(api, history, f"history {history['assignment']['id']}")
    await open_assignment(api)
    local = await open_assignment(api, url="https://kpro-graph.dk/Questionnaire/center-for-kraeft")
    work = await open_assignment(api)
    token = await begin(api, work)
    await answer_all(api, token, work)
    draft = (await at(api, token, SEEN)).json()["data"]["receptionSession"]["assignments"][0]["draft"]["id"]
    handed = {work["assignment"]["id"], work["questionnaire"]["id"], draft}
    citizen = UUID(work["citizen"]["id"].removeprefix("cit_"))
    ids: dict[str, list[str]] = {}
    async with api.product.database.peek(101) as connection:
        for prefix, type_ in rows_read().items():
            table, columns = type_.source.table, type_.source.columns
            if type_.source.columns.get("id") != "uuid":
                continue
            own = "citizen_id" if "citizen_id" in columns else "id"
            found = await connection.fetch(
                f"SELECT id FROM {table} ORDER BY ({own} = $1) DESC NULLS LAST, id DESC LIMIT 12", citizen
            )
            ids[prefix] = [encode(prefix, row["id"]) for row in found]
    assert history["assignment"]["id"] in ids["asg"]
    assert local["questionnaire"]["id"] in ids["que"]
    who = DEMOGRAPHY.citizen("0101", 0)
    return Scene(token, handed, ids, {who.cpr, who.name, who.name.split()[-1]})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(worlds: Any, loaded: str) -> AsyncIterator[Api]:
    """Give a product that lets all there is be asked for at once."""
    async with worlds.fresh(loaded, operation_fields=10**6, operation_rows=10**12) as api:
        yield api


@pytest.fixture(scope="module")
def built() -> dict[str, Scene]:
    return {}


async def the(api: Api, built: dict[str, Scene]) -> Scene:
    if "one" not in built:
        built["one"] = await scene(api)
    return built["one"]


def arguments(name: str, field: Any, ids: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    """Yield what a field can be asked with: ids of every kind, where it takes one."""
    required = {name: arg for name, arg in field.args.items() if is_required_argument(arg)}
    everything = [each for some in ids.values() for each in some]
    if not required:
        yield {}
    elif set(required) == {"ids"}:
        for start in range(0, len(everything), 100):
            yield {"ids": everything[start : start + 100]}
    elif set(required) == {"id"}:
        for each in everything if name == "node" else [each for some in ids.values() for each in some[:3]]:
            yield {"id": each}
    else:
        yield {name: value(arg.type, name, ids) for name, arg in required.items()}


def value(type_: Any, name: str, ids: dict[str, list[str]]) -> Any:
    """Return a value for an argument or input field that is as good as any, and real where it is an id."""
    if isinstance(type_, GraphQLNonNull):
        return value(type_.of_type, name, ids)
    if is_list_type(type_):
        return [value(type_.of_type, name, ids)]
    if isinstance(type_, GraphQLInputObjectType):
        fields = type_.fields
        marks = type_.ast_node.directives or () if type_.ast_node else ()
        one_of = any(mark.name.value == "oneOf" for mark in marks)
        chosen = [next(iter(fields))] if one_of else [each for each in fields if is_required_input_field(fields[each])]
        return {each: value(fields[each].type, each, ids) for each in chosen}
    if is_enum_type(type_):
        return next(iter(type_.values))
    prefixes = {
        "assignmentId": "asg", "citizenId": "cit", "episodeOfCareId": "epi", "careTeamId": "team", "responseId": "res",
        "questionnaireId": "que", "organisationUnitId": "unit", "representationId": "rep", "handOverId": "han",
        "emergencyAccessId": "emg", "receptionDeviceId": "dev",
    }  # fmt: skip
    match type_.name:
        case "ID":
            return (ids.get(prefixes.get(name, ""), []) or ["cit_" + "0" * 32])[0]
        case "Int":
            return 1
        case "Boolean":
            return True
        case "DateTime":
            return "2030-01-01T00:00:00Z"
        case "CPR":
            return DEMOGRAPHY.citizen_cpr("0101", 0)
    return "A text that is long enough to be a reason"


@pytest.mark.parametrize("name", QUERIES)
async def test_no_query_shows_a_session_more_than_was_handed_over(api: Api, built: dict[str, Scene], name: str) -> None:
    here = await the(api, built)
    assert SCHEMA.query_type is not None
    field = SCHEMA.query_type.fields[name]
    required = {each: arg for each, arg in field.args.items() if is_required_argument(arg)}
    declared = ", ".join(f"${each}: {arg.type}" for each, arg in required.items())
    passed = ", ".join(f"{each}: ${each}" for each in required)
    named = get_named_type(field.type)
    inside = f"{{ {selection(named, 3 if name.startswith('node') else DEPTH)} }}" if hasattr(named, "fields") else ""
    head = f"query ({declared})" if declared else "query"
    document = f"{head} {{ {name}{f'({passed})' if passed else ''} {inside} }}"
    seen = set()
    for variables in arguments(name, field, here.ids):
        answer = await at(api, here.token, document, **variables)
        here.shows_nothing_else(answer)
        seen |= set(PUBLIC_ID.findall(answer.text))
    if name in {"receptionSession", "node", "nodes"}:
        # The sweep sees what may be seen, so it would have seen more.
        assert here.handed <= seen


@pytest.mark.parametrize("name", CHANGES)
async def test_no_change_but_answering_and_leaving_is_open_to_a_session(
    api: Api, built: dict[str, Scene], name: str
) -> None:
    here = await the(api, built)
    assert SCHEMA.mutation_type is not None
    field = SCHEMA.mutation_type.fields[name]
    declared = ", ".join(f"${each}: {arg.type}" for each, arg in field.args.items())
    passed = ", ".join(f"{each}: ${each}" for each in field.args)
    variables = {each: value(arg.type, each, here.ids) for each, arg in field.args.items()}
    inside = "{ __typename ... on Failure { code } }"
    before = await kept(api)
    answer = await at(api, here.token, f"mutation ({declared}) {{ {name}({passed}) {inside} }}", **variables)
    body = answer.json()
    if "errors" in body:
        assert [error["extensions"]["code"] for error in body["errors"]] == ["FORBIDDEN"], body
    else:
        assert body["data"][name]["code"] in {"REFERENCE_UNKNOWN", "CPR_INVALID", "INVALID_CPR"}, body
    assert await kept(api) == before
    here.shows_nothing_else(answer)


async def kept(api: Api) -> dict[str, Any]:
    """Return a digest of every row København has, but for what looking itself writes."""
    digests = {}
    async with api.product.database.peek(101) as connection:
        tables = await connection.fetch(
            "SELECT DISTINCT table_name AS name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND column_name = 'municipality_id' AND table_name !~ '^access_log'"
        )
        for table in (row["name"] for row in tables):
            left_out = " - 'idle_until'" if table == "reception_session" else ""
            digests[table] = await connection.fetchval(
                f"SELECT md5(string_agg((to_jsonb(t){left_out})::text, '' ORDER BY t.id)) FROM {table} t"
                " WHERE municipality_id = 101"
                if table != "access_log_seal"
                else "SELECT ''"
            )
    assert len(digests) > 15
    return digests


async def test_answering_is_open_for_what_was_handed_over_and_for_no_other_assignment(
    api: Api, built: dict[str, Scene]
) -> None:
    here = await the(api, built)
    strangers = [each for each in here.ids["asg"] if each not in here.handed]
    questionnaire = next(each for each in here.handed if each.startswith("que_"))
    for assignment in strangers:
        ids = {"assignment": assignment, "questionnaire": questionnaire}
        saved = (await at(api, here.token, "save-answer", **ids, path="1", values=[])).json()["data"]["saveAnswer"]
        sent = (await at(api, here.token, "submit-response", **ids, key="not handed")).json()["data"]["submitResponse"]
        assert saved["code"] == sent["code"] == "REFERENCE_UNKNOWN"
    assert len(strangers) > 5


@pytest.mark.parametrize("way", ["first message", "header"])
async def test_no_socket_opens_to_a_session(api: Api, built: dict[str, Scene], way: str) -> None:
    here = await the(api, built)
    shown = {"Authorization": f"Reception {here.token}"}
    address = api.address.replace("http", "ws", 1) + "/graphql/"
    protocols = [Subprotocol("graphql-transport-ws")]
    headers = shown if way == "header" else {}
    async with connect(address, subprotocols=protocols, additional_headers=headers) as channel:
        payload = shown if way == "first message" else {}
        await channel.send(json.dumps({"type": "connection_init", "payload": payload}))
        with pytest.raises(ConnectionClosed) as closed:
            await channel.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_a_subscription_over_http_is_refused_to_a_session(api: Api, built: dict[str, Scene]) -> None:
    here = await the(api, built)
    answer = await at(api, here.token, "subscription { responseUpdates { cursor response { id } } }")
    assert answer.json().get("data") is None
    assert answer.json()["errors"]


# --- Nothing stays behind


async def test_a_session_leaves_nothing_in_the_browser(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    code = await hand_out(api, work)
    began = await api.post(REDEEM, {"secret": device["secret"], "code": code})
    token = began.json()["data"]["redeemReceptionCode"]["token"]
    answers = [began, await at(api, token, SEEN), *await answer_all(api, token, work)]
    ids = {"assignment": work["assignment"]["id"], "questionnaire": work["questionnaire"]["id"]}
    answers.append(await at(api, token, "{ receptionSession { nothing } }"))
    answers.append(await at(api, token, "mutation { broken"))
    answers.append(await at(api, token, "x" * 1_000_001 + "{"))
    answers.append(await at(api, token, "submit-response", **ids, key="leaving nothing"))
    answers.append(await at(api, token, SEEN))
    got = await api.http.get(
        "/graphql/", params={"query": "{ me { kind } }"}, headers={"Authorization": f"Reception {token}"}
    )
    for answer in (*answers, got):
        assert answer.headers["cache-control"] == "no-store", answer.text
        assert set(answer.headers) <= {
            "date", "server", "cache-control", "content-length", "content-type", "clear-site-data", "allow",
            "kpro-execution",
        }  # fmt: skip
        assert token not in str(answer.headers)
        assert code not in str(answer.headers)
    assert not api.http.cookies
    # Only the answer that gives the token has it, and none repeats the code or the computer's secret.
    assert [token in answer.text for answer in answers] == [True] + [False] * (len(answers) - 1)
    assert not [answer for answer in answers if code in answer.text or device["secret"] in answer.text]
    over = answers[-1]
    assert over.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert over.headers["clear-site-data"] == '"cache", "cookies", "storage"'


async def test_the_next_citizen_at_the_computer_finds_nothing_of_the_one_before(api: Api) -> None:
    device, work = await register(api), await open_assignment(api)
    before = await begin(api, work, device)
    await answer_all(api, before, work)
    drafted = (await at(api, before, SEEN)).json()["data"]["receptionSession"]["assignments"][0]["draft"]["id"]
    other = await open_assignment(api)
    after = await begin(api, other, device)
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    mine = [other["assignment"]["id"], other["questionnaire"]["id"]]
    answer = (await at(api, after, document, ids=[drafted, work["assignment"]["id"], *mine])).json()
    assert answer["data"]["nodes"] == [None, None, *({"id": each} for each in mine)]
    assert (await at(api, before, document, ids=[drafted])).json()["errors"][0]["extensions"][
        "code"
    ] == "UNAUTHENTICATED"


async def test_a_cookie_beside_the_token_changes_nothing(api: Api) -> None:
    token = await begin(api, await open_assignment(api))
    headers = {"Authorization": f"Reception {token}", "Cookie": "__Host-kpro-session=whatever; other=1"}
    answer = await api.http.post("/graphql/", json={"query": "{ me { kind roles name } }"}, headers=headers)
    assert answer.json() == {"data": {"me": {"kind": "CITIZEN", "roles": [], "name": ""}}}
    assert "set-cookie" not in answer.headers


async def test_a_chosen_context_changes_nothing_at_the_computer(api: Api) -> None:
    work = await open_assignment(api)
    token = await begin(api, work)
    for chosen in (work["citizen"]["id"], "team_" + "0" * 32, unit_of()):
        headers = {"Authorization": f"Reception {token}", "Kpro-Context": chosen}
        document = "{ me { kind citizen { id } onBehalfOf { id } contexts { key } representations { key } } }"
        answer = await api.http.post("/graphql/", json={"query": document}, headers=headers)
        assert answer.json()["data"]["me"] == {
            "kind": "CITIZEN", "citizen": None, "onBehalfOf": None, "contexts": [], "representations": [],
        }  # fmt: skip


def test_the_pages_the_product_serves_keep_nothing_but_the_chosen_language() -> None:
    pages = sorted(Path(ROOT / "kpro_graph" / "explorer").iterdir())
    keeping = re.compile(r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|serviceWorker")
    kept_ = [line.strip() for page in pages for line in page.read_text("utf-8").splitlines() if keeping.search(line)]
    assert kept_
    assert [line for line in kept_ if '"language"' not in line] == []
