"""Redaction: CPR numbers are thrown at everything that leaves the product beside its answers, and none comes out."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import threading
import urllib.parse
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from kpro_graph.cpr import MASK, redact
from kpro_graph.demography import Demography
from kpro_graph.storage.owner import owning
from kpro_graph.telemetry import configure_logging
from tests.living import Api

NUMBER = "0101701234"
CITIZEN = Demography().citizen_cpr("0101", 0)
NUMBERS = {
    "a CPR number": NUMBER,
    "one that fails modulus 11": "2512489996",
    "a substitute number": "6112489996",
    "an X-eCPR": "0703921VJ4",
    "a D-eCPR": "1206550VK9",
}
# How people and machines write one.
BETWEEN = [
    "", "-", " ", " - ", "  -  ", ".", "/", "_", ":", "+", "\t", "\n", "\u00a0", "\u00ad", "\u200b", "\u2009",
    "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "\u2009\u2013\u2009",
    "%2D", "%20", "%20-%20", "%E2%80%93", "%252D", "%2520", "&ndash;", "&#8211;", "&#x2013;", "&nbsp;",
]  # fmt: skip
WRAPPED = {
    "as it is": str,
    "in JSON": lambda text: json.dumps({"cpr": text}),
    "in JSON with its own letters": lambda text: json.dumps({"cpr": text}, ensure_ascii=False),
    "in a repr": repr,
    "in the repr of bytes": lambda text: repr(text.encode()),
    "in an address": lambda text: f"/citizens?cpr={urllib.parse.quote(text, safe='&;#%')}&first=10",
    "in an address, with plus signs": lambda text: f"/citizens?cpr={urllib.parse.quote_plus(text, safe='&;#%')}",
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "between words": lambda text: f"borgeren {text} blev ikke fundet",
    "against words": lambda text: f"cpr{text};",
}


def halves(number: str) -> tuple[str, str]:
    return number[:6], number[6:]


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_every_spelling_is_hidden_wherever_it_stands(number: str, wrap: Any) -> None:
    for between in BETWEEN:
        hidden = redact(wrap(between.join(halves(number))))
        assert MASK in hidden, (number, between)
        assert halves(number)[0] not in hidden
        assert halves(number)[1] not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "\uff10\uff11\uff10\uff11\uff17\uff10-\uff11\uff12\uff13\uff14",
        "\u0660\u0661\u0660\u0661\u0667\u0660\u0661\u0662\u0663\u0664",
        "01.01.1970-1234",
        "01/01/1970 1234",
        "01 01 70 - 1234",
        "01 01 70 12 34",
        "cpr 10170-1234",
        "CPR-nr%3A%20101701234",
        "cpr%3D0101701234",
    ],
)
def test_other_digits_full_years_and_lost_zeros_are_hidden(text: str) -> None:
    assert MASK in redact(text)
    assert not re.search("1234|12 34", redact(text))


@pytest.mark.parametrize(
    "text",
    [
        "0197b2a4-1203-7012-8304-010170123456",  # a UUID
        "00-4bf92f0101701234aabb577b34da6a3c-00f067aa0ba902b7-01",  # a traceparent
        "ordre 4512345678",  # no such day
        "ordre 1213701234567",  # too long
        "order-2026-000123",
        "2026-11-23T20:12:03.120312+01:00",
        "2026-11-23 20:12:03,120 INFO uvicorn.error  Started server process [1234]",
        "1784839923123",  # milliseconds
        '127.0.0.1:50312 - "GET /health/live HTTP/1.1" 200',
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "29.70.10 Telesundhed",
        "99.99.99",
        "CVR 35209115",
        "SOR 400001000016003",
        "+45 70 12 34 56",
        "https://kpro-graph.dk/Questionnaire/who-5|1.0.0",
        "EPSG:25832",
    ],
)
def test_numbers_that_only_look_similar_survive(text: str) -> None:
    assert redact(text) == text


# --- Logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Configure logging as the product does, and give what it writes."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("DEBUG")
    yield stream
    logging.captureWarnings(capture=False)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    root.handlers[:] = before
    root.setLevel(level)


def assert_hidden(text: str) -> None:
    assert MASK in text, text
    for place, number in (("citizen", CITIZEN), ("number", NUMBER)):
        for written in (number, number[:6] + "-" + number[6:], number[6:]):
            assert written not in text, (place, text)


def fail() -> None:
    known: dict[str, str] = {}
    try:
        known["0101701234"]
    except KeyError as cause:
        error = LookupError("no citizen 010170-1234")
        error.add_note("asked for 010170 1234")
        raise error from cause


def raised() -> Exception:
    """Return an exception with a CPR number in its message, its cause, its note and its traceback's lines."""
    with pytest.raises(LookupError) as caught:
        fail()
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["kpro_graph.faults", "kpro_graph.new", "uvicorn.error", "uvicorn.access", "asyncio", "asyncpg", "tortoise",
     "strawberry.execution", "a.plugin"],
)  # fmt: skip
def test_no_logger_writes_one(lines: io.StringIO, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "propagate", True)  # the tests' server has shut its access log off
    logger.error("borger %s", NUMBER)
    logger.error('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5000", "GET", "/x?cpr=010170%2D1234", "1.1", 404)
    logger.error("borger", extra={"citizen": {"cpr": NUMBER}, "stack": [NUMBER]})
    logger.error("failed", exc_info=raised(), stack_info=True)
    logger.critical({"cpr": NUMBER})
    assert lines.getvalue().count(MASK) >= 6
    assert_hidden(lines.getvalue())


def test_structured_fields_are_hidden_too(lines: io.StringIO) -> None:
    class Structured(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps(vars(record), default=str)

    logging.getLogger().handlers[0].setFormatter(Structured())
    logging.getLogger("structured").error(
        "borger %(cpr)s", {"cpr": NUMBER}, extra={"citizen": {"cpr": NUMBER}, "cprs": [(NUMBER,)]}, exc_info=raised()
    )
    assert json.loads(lines.getvalue())["citizen"] == {"cpr": MASK}
    assert_hidden(lines.getvalue())


def test_what_a_library_has_hung_on_its_own_logger_is_filtered_too(lines: io.StringIO) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("a.library.of.its.own")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(stream))
    configure_logging("DEBUG")
    logger.error("borger %s", NUMBER)
    assert_hidden(stream.getvalue())


def test_a_warning_is_a_log_line(lines: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"borger {NUMBER}", stacklevel=1)
    assert_hidden(lines.getvalue())


def test_what_ends_the_process_or_a_thread_is_a_log_line(lines: io.StringIO) -> None:
    error = raised()
    sys.excepthook(type(error), error, error.__traceback__)
    assert "the process ends: LookupError" in lines.getvalue()
    assert_hidden(lines.getvalue())
    said = len(lines.getvalue())
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(lines.getvalue()) == said

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert "a thread ends: LookupError" in lines.getvalue()
    assert_hidden(lines.getvalue())


def test_what_cannot_be_raised_is_a_log_line(lines: io.StringIO) -> None:
    class Stubborn:
        def __del__(self) -> None:
            raise raised()

    Stubborn()
    assert "could not be raised: LookupError" in lines.getvalue()
    assert_hidden(lines.getvalue())


async def test_the_details_of_a_database_error_are_hidden(api: Api, lines: io.StringIO) -> None:
    async with owning(api.product.databases.need("owner")) as connection:
        await connection.execute("CREATE TEMPORARY TABLE kept (cpr text UNIQUE)")
        await connection.execute(f"INSERT INTO kept VALUES ('{NUMBER}')")
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await connection.execute(f"INSERT INTO kept VALUES ('{NUMBER}')")
        assert NUMBER in str(caught.value.detail)
        logging.getLogger("kpro_graph.x").error("failed: %r", caught.value, exc_info=caught.value)
        with pytest.raises(asyncpg.PostgresError) as other:
            await connection.fetchval(f"SELECT '{NUMBER}x'::integer")
        logging.getLogger("kpro_graph.x").error("failed: %s", other.value, exc_info=other.value)
    assert_hidden(lines.getvalue())


async def test_a_fault_of_ours_is_masked_for_the_caller_and_hidden_in_the_log(api: Api, lines: io.StringIO) -> None:
    async with owning(api.product.databases.need("owner")) as connection:
        await connection.execute(
            "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION 'borger {NUMBER}' USING DETAIL = '010170-1234', HINT = '010170 1234'; END $$;"
            " CREATE TRIGGER shouting BEFORE INSERT ON citizen FOR EACH ROW EXECUTE FUNCTION shout()"
        )
        try:
            answer = await api.answer(REGISTER, "enroller", cpr=NUMBER)
        finally:
            await connection.execute("DROP TRIGGER shouting ON citizen; DROP FUNCTION shout()")
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["reference"] in lines.getvalue()
    assert NUMBER not in json.dumps(answer)
    assert_hidden(lines.getvalue())


# --- What callers get

REGISTER = """
  mutation ($cpr: CPR!) { registerCitizen(input: { cpr: $cpr, givenName: "Ny", familyName: "Borger" }) {
    ... on CitizenRegistered { citizen { id name } } ... on Failure { code message messageEn path } } }
"""
FIND = "mutation ($cpr: CPR!) { findCitizen(input: { cpr: $cpr }) { __typename ... on Failure { message messageEn } } }"
CITIZEN_QUERY = "query ($id: ID!, $first: Int, $after: String) { citizen(id: $id) { episodes(first: $first, after: $after) { totalCount } } }"

FOLLOW = "subscription { responseUpdates { cursor } }"

REFUSED: list[tuple[str, dict[str, Any]]] = [
    (f'{{ citizen(id: "{NUMBER}") {{ unknown{NUMBER} }} }}', {}),
    (f"{{ c{NUMBER} }}", {}),
    (f"{{ citizen(id: {NUMBER}, c{NUMBER}: 1) {{ id }} }}", {}),
    (f'{{ citizen(id: "{NUMBER}"', {}),
    (f"{NUMBER}", {}),
    (f'"{NUMBER}"', {}),
    (f'query A{NUMBER} {{ me {{ id }} }} query B {{ me {{ id }} }}', {}),
    (f"query Q($c{NUMBER}: Int!) {{ me {{ name }} }}", {}),
    (f"query Q($x: T{NUMBER}) {{ me {{ name }} }}", {}),
    (f"{{ ...F{NUMBER} }}", {}),
    (f"{{ me @d{NUMBER} {{ name }} }}", {}),
    (f"{{ careTeams(first: {NUMBER}) {{ totalCount }} }}", {}),
    (f'{{ careTeams(after: "{NUMBER}") {{ totalCount }} }}', {}),
    (f'{{ careTeams(first: "{NUMBER}") {{ totalCount }} }}', {}),
    (f"query Q($statuses: [AssignmentStatus!] = [S{NUMBER}]) {{ me {{ name }} }}", {}),
    (CITIZEN_QUERY, {"id": NUMBER}),
    (CITIZEN_QUERY, {"id": "x", "first": NUMBER}),
    (CITIZEN_QUERY, {"id": "x", "first": int(NUMBER)}),
    (CITIZEN_QUERY, {"id": "x", "after": {"cpr": NUMBER}}),
    (CITIZEN_QUERY, {"id": [NUMBER]}),
    (FIND, {"cpr": f"{NUMBER}1"}),
    (FIND, {"cpr": [NUMBER, NUMBER]}),
    (FIND, {"cpr": {"number": NUMBER}}),
    (FIND, {"cpr": int(NUMBER)}),
    (FIND.replace("$cpr })", f'"{NUMBER}x" }})'), {"cpr": NUMBER}),
    (FIND, {"cpr": NUMBER}),
    (FIND, {"cpr": "3102701234"}),
    (REGISTER.replace('"Ny"', f"{NUMBER}"), {"cpr": NUMBER}),
]  # fmt: skip


@pytest.mark.parametrize(("document", "variables"), REFUSED)
async def test_no_error_and_no_failure_repeats_one(
    api: Api, lines: io.StringIO, document: str, variables: dict[str, Any]
) -> None:
    response = await api.post(document, variables, token=api.token("enroller"))
    assert response.headers["content-type"].startswith("application/json")
    for written in (NUMBER, "010170-1234", "101701234", "3102701234"):
        assert written not in response.text
        assert written not in str(response.headers)
        assert written not in lines.getvalue()


@pytest.mark.parametrize(
    ("method", "address", "content", "kind"),
    [
        ("POST", "/graphql/", f'{{"query": "{NUMBER}', "application/json"),
        ("POST", "/graphql/", f'["{NUMBER}"]', "application/json"),
        ("POST", "/graphql/", f'{{"query": {NUMBER}}}', "application/json"),
        ("POST", "/graphql/", f'{{"query": "{{me{{name}}}}", "operationName": "{NUMBER}"}}', "application/json"),
        ("POST", "/graphql/", f'{{"query": "{{me{{name}}}}", "variables": "{NUMBER}"}}', "application/json"),
        ("POST", "/graphql/", f"cpr={NUMBER}", "application/x-www-form-urlencoded"),
        ("POST", "/graphql/", NUMBER, f"text/{NUMBER}"),
        ("PUT", "/graphql/", NUMBER, "application/json"),
        ("GET", f"/citizens/{NUMBER}", "", "text/plain"),
        ("GET", f"/{NUMBER}", "", "text/plain"),
    ],
)
async def test_no_http_error_repeats_one(
    api: Api, lines: io.StringIO, method: str, address: str, content: str, kind: str
) -> None:
    headers = {"Authorization": f"Bearer {api.token('enroller')}", "Content-Type": kind}
    response = await api.http.request(method, address, content=content, headers=headers)
    assert response.status_code >= 400 or "errors" in response.json()
    assert NUMBER not in response.text
    assert NUMBER not in str(response.headers)
    assert NUMBER not in lines.getvalue()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/graphql/", "/graphql", "/"])
async def test_a_number_in_an_address_is_refused(api: Api, lines: io.StringIO, method: str, path: str) -> None:
    """Addresses are kept by proxies, histories and logs. Not even the way to the right one repeats it."""
    headers = {"Authorization": f"Bearer {api.token('enroller')}"}
    for written in (CITIZEN, f"{CITIZEN[:6]}-{CITIZEN[6:]}", f"{CITIZEN[:6]}%2D{CITIZEN[6:]}"):
        for query in (
            {"query": FIND, "variables": json.dumps({"cpr": written})},
            {"query": "query ($cpr: ID) { me { name } }", "variables": json.dumps({"cpr": written})},
            {"query": f'{{ citizen(id: "{written}") {{ id }} }}'},
            {"cpr": written},
        ):
            address = f"{path}?{urllib.parse.urlencode(query)}"
            response = await api.http.request(method, address, json={"query": "{ me { name } }"}, headers=headers)
            if path == "/graphql/":
                assert response.status_code == 400
                assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
            for shown in (response.text, str(response.headers)):
                assert CITIZEN[6:] not in shown
    assert CITIZEN[6:] not in lines.getvalue()


async def test_a_sockets_errors_repeat_none(api: Api, lines: io.StringIO) -> None:
    documents = (
        f"{{ c{NUMBER}",
        f"subscription {{ c{NUMBER} }}",
        f'subscription {{ responseUpdates(after: "{NUMBER}") {{ cursor }} }}',
    )
    for document in documents:
        async with socket(api) as channel:
            await channel.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": document}}))
            message = str(await asyncio.wait_for(channel.recv(), 5))
            assert json.loads(message)["type"] == "error" or "errors" in json.loads(message)["payload"]
            assert NUMBER not in message
    assert NUMBER not in lines.getvalue()


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": NUMBER}],
        [{"type": "subscribe", "id": NUMBER, "payload": {"query": FOLLOW}}] * 2,
        [{"type": "subscribe", "id": "1", "payload": {"query": FOLLOW, "operationName": NUMBER}}],
        [{"type": "subscribe", "id": "1", "payload": {"query": NUMBER, "variables": NUMBER}}],
        [NUMBER],
    ],
)
async def test_why_a_socket_is_closed_repeats_none(api: Api, lines: io.StringIO, messages: list[Any]) -> None:
    async with socket(api) as channel:
        for message in messages:
            await channel.send(json.dumps(message))
        with pytest.raises(ConnectionClosed):
            while True:
                answer = json.loads(await asyncio.wait_for(channel.recv(), 5))
                assert NUMBER not in json.dumps(answer.get("payload"))
                if answer["type"] in {"error", "complete"}:
                    await channel.close()
    assert NUMBER not in str(channel.close_reason)
    assert NUMBER not in lines.getvalue()


@asynccontextmanager
async def socket(api: Api) -> AsyncIterator[Any]:
    address = api.address.replace("http", "ws", 1) + "/graphql/"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as channel:
        hello = {"Authorization": f"Bearer {api.token('integrator')}"}
        await channel.send(json.dumps({"type": "connection_init", "payload": hello}))
        assert json.loads(await channel.recv())["type"] == "connection_ack"
        yield channel


# --- What is kept


async def test_no_table_keeps_one_in_the_clear(api: Api) -> None:
    """The number is registered, found and asked for under a name that holds it; then every row of every table is read."""
    number = "1712801238"
    await api.run(REGISTER, "enroller", cpr=number)
    named = FIND.replace("mutation", f"mutation Borger{number}", 1)
    for place in ("0101", "0851"):
        await api.run(named, "enroller", place, cpr=number)
    owner = api.product.databases.need("owner")
    everything = []
    async with owning(owner.replace("kpro_owner", "postgres")) as connection:
        tables = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        )
        assert len(tables) > 15
        for table in tables:
            rows = await connection.fetch(f'SELECT t::text AS row FROM "{table["relname"]}" t')
            everything += [(table["relname"], row["row"]) for row in rows]
    assert len(everything) > 500
    kept = {table for table, row in everything if number in row or f"{number[:6]}-{number[6:]}" in row}
    assert kept == set()
    # What is sealed is bytes; they do not hold the digits either.
    assert {table for table, row in everything if number.encode().hex() in row} == set()


# --- The one field that shows it


async def cpr_of(api: Api, actor: str, municipality: str = "0101") -> dict[str, Any]:
    found = await api.run("find-citizen", "enroller", cpr=CITIZEN)
    query = "query Look($id: ID!) { citizen(id: $id) { id cpr } }"
    return await api.answer(query, actor, municipality, id=found["findCitizen"]["citizen"]["id"])


async def test_a_borgeropretter_is_shown_the_number_and_it_is_logged(api: Api) -> None:
    answer = await cpr_of(api, "enroller")
    assert answer["data"]["citizen"]["cpr"] == f"{CITIZEN[:6]}-{CITIZEN[6:]}"
    assert CITIZEN[6:] not in answer["data"]["citizen"]["id"]
    async with api.product.database.peek(101) as connection:
        lines = await connection.fetch("SELECT fields_seen FROM access_log WHERE operation = 'Look'")
    assert {"cpr"} <= {group for line in lines for group in line["fields_seen"].split()}


@pytest.mark.parametrize("actor", ["viewer", "monitor", "citizen", "integrator", "integrator-with-answers"])
async def test_nobody_else_is(api: Api, actor: str) -> None:
    answer = await cpr_of(api, actor)
    assert answer["data"]["citizen"] is None or answer["data"]["citizen"]["cpr"] is None
    assert {error["extensions"]["code"] for error in answer.get("errors", [])} <= {"FORBIDDEN"}
    assert CITIZEN[6:] not in json.dumps(answer)
    assert "CPR" not in json.dumps(answer.get("errors", []))


async def test_the_numbers_of_many_cost_one_statement(api: Api) -> None:
    found = []
    for n in range(8):
        number = Demography().citizen_cpr("0101", n)
        found.append((await api.run("find-citizen", "enroller", cpr=number))["findCitizen"]["citizen"]["id"])
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Citizen { cpr } } }"
    answer = await api.run(document, "enroller", ids=found)
    assert [node["cpr"].replace("-", "") for node in answer["nodes"]] == [
        Demography().citizen_cpr("0101", n) for n in range(8)
    ]


async def test_ids_and_cursors_hold_no_number(api: Api) -> None:
    answer = await api.run(
        "query ($id: ID!) { node(id: $id) { ... on Citizen { id episodes { edges { cursor node { id } }"
        " pageInfo { endCursor } } } } }",
        "enroller",
        id=(await api.run("find-citizen", "enroller", cpr=CITIZEN))["findCitizen"]["citizen"]["id"],
    )
    text = json.dumps(answer)
    assert "cursor" in text.lower()
    for written in (CITIZEN, CITIZEN[::-1], CITIZEN.encode().hex()):
        assert written not in text
