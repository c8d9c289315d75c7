"""Sessions of browsers: how they begin, what they are worth, from where, and every way in which they end."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from kpro_graph.actors import ActorKind, AssuranceLevel, Grant, Identity, Representation, Right, Role
from kpro_graph.browsers import Browsers
from kpro_graph.demography import Demography
from kpro_graph.errors import ConfigurationError
from kpro_graph.plugins.demo_identity import DemoDirectory
from kpro_graph.settings import Settings
from kpro_graph.signing_in import is_local_path
from kpro_graph.storage.envelope import Envelope
from tests.conftest import SECRET as INSTALLATION_SECRET
from tests.conftest import Worlds
from tests.issuing import AUDIENCE, CLIENT, SECRET, Issuing, issuing
from tests.signed import Site, site

CPR = Demography().citizen_cpr("0101", 0)
CVR = next(each.cvr for each in Demography().municipalities() if each.code == "0101")
CITIZEN = {"sub": "pairwise-1", "sid": "sid-1", "cpr": CPR, "name": "Nanna Lund", "loa": "Substantial"}
ENROLLER = DemoDirectory().find("enroller", "0101")
assert ENROLLER is not None
STAFF: dict[str, Any] = {
    "sub": ENROLLER.subject, "sid": "sid-staff", "loa": "High",
    "privileges": [
        {
            "cvr": CVR,
            "c": [{"urn:dk:kombit:orgUnit": ",".join(sorted(grant.constraints["organisation_unit"]))}],
            "p": [Role.CITIZEN_ENROLLER.fut],
        }
        for grant in ENROLLER.grants
        if "organisation_unit" in grant.constraints
    ],
}  # fmt: skip


def configuration(address: str) -> str:
    """Return the configuration of one provider for citizens and one for staff, of one issuer."""
    shared = f'issuer = "{address}"\nclient_secret_file = "secret"\nclient_id = "{CLIENT}"\n'
    return f"""
[[provider]]
name = "mitid"
kind = "citizen"
{shared}audience = "{AUDIENCE}"
[provider.municipalities]
"{CVR}" = "0101"
[provider.claims]
cpr = "cpr"
[provider.acr_values]
high = "urn:high"

[[provider]]
name = "staff"
kind = "employee"
{shared.replace(CLIENT, "kpro-staff")}
[provider.municipalities]
"{CVR}" = "0101"
[provider.claims]
privileges = "privileges"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


@pytest.fixture
def issuer(served: Issuing) -> Issuing:
    served.reset()
    served.person = dict(CITIZEN)
    return served


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here(
    worlds: Worlds, loaded: str, served: Issuing, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("providers")
    (folder / "secret").write_text(SECRET)
    (folder / "providers.toml").write_text(configuration(served.address))
    async with site(worlds, loaded, folder / "providers.toml") as made:
        yield made


async def owner(here: Site, statement: str, *arguments: Any) -> Any:
    """Run a statement as the owner of the tables."""
    connection = await asyncpg.connect(here.product.databases.need("owner"))
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


# --- Signing in


async def test_a_citizen_signs_in_and_the_cookie_stands_for_them(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        assert await browser.kind() == "UNAUTHENTICATED"
        back = await browser.sign_in(return_to="/answers?of=mine")
        assert back.headers["location"] == f"{here.address}/answers?of=mine"
        assert await browser.kind() == "CITIZEN"


async def test_the_cookie_holds_a_random_token_that_only_requests_carry(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        back = await browser.sign_in()
        cookie = next(each for each in back.headers.get_list("set-cookie") if each.startswith("kpro-session="))
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Max-Age" not in cookie
        assert len(str(browser.session)) == 43
        rows = await owner(here, "SELECT * FROM sign_in_session")
        kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
        for secret in (str(browser.session), CPR, "pairwise-1", "sid-1", "Nanna"):
            assert secret.encode() not in kept


def test_over_https_the_cookie_is_bound_to_its_host() -> None:
    assert Browsers("https://kpro.example").session_cookie.startswith("__Host-")
    assert Browsers("https://kpro.example").secure
    assert not Browsers("http://127.0.0.1:8000").secure


async def test_a_session_brought_along_is_never_taken_over(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        browser.http.cookies.set("kpro-session", "chosen-by-somebody-else-000000000000000000", domain="127.0.0.1")
        await browser.sign_in()
        first = browser.session
        assert first != "chosen-by-somebody-else-000000000000000000"
        await browser.sign_in(level="substantial")
        assert browser.session not in {first, None}
        async with here.browser() as other:
            other.http.cookies.set("kpro-session", str(first), domain="127.0.0.1")
            assert await other.kind() == "UNAUTHENTICATED"
        assert await browser.kind() == "CITIZEN"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "evil", "",
        "/%0d%0a".replace("%0d%0a", "\r\n"), "javascript:alert(1)", "/æ", "/ /evil.example", "/" + "x" * 2000,
    ],
)  # fmt: skip
async def test_nobody_is_sent_off_the_site(here: Site, issuer: Issuing, path: str) -> None:
    assert not is_local_path(path)
    async with here.browser() as browser:
        answer = await browser.http.get("/sign-in/mitid", params={"return_to": path})
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_an_answer_counts_once_and_in_the_browser_that_began_only(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser, here.browser() as other:
        back = await browser.begin()
        attempt = browser.http.cookies["kpro-sign-in"]
        refused = await other.http.get(back)
        assert refused.status_code == 400
        assert other.session is None
        assert (await browser.http.get(back)).status_code == 303
        browser.http.cookies.set("kpro-sign-in", attempt, domain="127.0.0.1")
        replayed = await browser.http.get(back)
        assert replayed.status_code == 400
        assert 'lang="da"' in replayed.text


@pytest.mark.parametrize("change", ["state", "provider", "attempt", "twice", "error"])
async def test_a_wrong_answer_ends_on_a_page_and_in_no_session(here: Site, issuer: Issuing, change: str) -> None:
    async with here.browser() as browser:
        back = await browser.begin()
        state = parse_qs(urlsplit(back).query)["state"][0]
        match change:
            case "state":
                back = back.replace(state, "x" * len(state))
            case "provider":
                back = back.replace("/mitid/", "/staff/")
            case "attempt":
                sealed = browser.http.cookies["kpro-sign-in"]
                browser.http.cookies.set("kpro-sign-in", sealed[:-8] + "AAAAAAA=", domain="127.0.0.1")
            case "twice":
                back += f"&state={state}"
            case "error":
                back += "&error=access_denied"
        answer = await browser.http.get(back)
        assert answer.status_code == 400
        assert state not in answer.text
        assert browser.session is None


async def test_a_session_that_holds_is_not_lost_by_a_sign_in_that_fails(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        back = await browser.begin()
        issuer.changes = {"nonce": "another"}
        assert (await browser.http.get(back)).status_code == 400
        assert await browser.kind() == "CITIZEN"


async def test_a_sign_in_that_is_not_sure_enough_asks_for_more_and_more_is_reached(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        issuer.person["loa"] = "Low"
        await browser.sign_in()
        assert await browser.kind() == "STEP_UP_REQUIRED"
        low = browser.session
        refused = await browser.sign_in(level="substantial")
        assert refused.status_code == 403
        assert browser.session == low
        issuer.person["loa"] = "High"
        assert (await browser.sign_in(level="high")).status_code == 303
        assert issuer.asked["acr_values"] == "urn:high"
        assert browser.session != low
        assert await browser.kind() == "CITIZEN"


async def test_an_employee_signs_in_with_what_fk_adgangsstyring_grants(here: Site, issuer: Issuing) -> None:
    issuer.person = dict(STAFF)
    async with here.browser() as browser:
        await browser.sign_in("staff")
        assert await browser.kind() == "EMPLOYEE"
    issuer.person["privileges"] = [{**STAFF["privileges"][0], "cvr": "12345678"}]
    async with here.browser() as browser:
        await browser.sign_in("staff")
        assert await browser.kind() == "UNAUTHENTICATED"


async def test_the_ways_to_sign_in_are_listed(here: Site) -> None:
    async with here.browser() as browser:
        ways = (await browser.http.get("/sign-in")).json()
    assert [(way["provider"], way["kind"], way["href"]) for way in ways] == [
        ("mitid", "citizen", "/sign-in/mitid"),
        ("staff", "employee", "/sign-in/staff"),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/sign-in/bank", 404), ("/sign-in/mitid?level=top", 400), ("/sign-in/mitid?municipality=0851", 400)],
)
async def test_what_is_not_here_is_said_on_a_page(here: Site, issuer: Issuing, path: str, status: int) -> None:
    async with here.browser() as browser:
        answer = await browser.http.get(path)
        assert answer.status_code == status
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_nothing_personal_is_logged(here: Site, issuer: Issuing, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kpro_graph")
    async with here.browser() as browser:
        await browser.sign_in()
        await browser.kind()
        issuer.changes = {"nonce": "another"}
        await browser.sign_in()
        token = str(browser.session)
    for secret in (CPR, token, "pairwise-1", "Nanna"):
        assert secret not in caplog.text


# --- Requests with a cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x": "y"}, 403), ({"origin": "https://evil.example"}, 403), ({"origin": "null"}, 403),
        ({"origin": "https://evil.example", "kpro_client": "web"}, 403), ({"kpro_client": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403), ({"sec_fetch_site": "same-site"}, 403),
        ({"kpro_client": "web"}, 200), ({"sec_fetch_site": "same-origin"}, 200),
    ],
)  # fmt: skip
async def test_a_request_with_a_cookie_must_come_from_a_page_of_ours(
    here: Site, issuer: Issuing, headers: dict[str, str], status: int
) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        assert (await browser.ask(**headers)).status_code == status
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        got = await browser.http.get("/graphql/", params={"query": "query Me { me { kind } }"}, headers=sent)
        assert got.status_code == status


async def test_our_own_origin_is_enough(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        assert (await browser.ask(origin=here.address)).status_code == 200


async def test_a_bearer_token_needs_no_page_and_goes_before_the_cookie(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        token = issuer.token(**{name: value for name, value in CITIZEN.items() if name != "sid"})
        assert (await browser.ask(token=token, x="y")).json()["data"]["me"]["kind"] == "CITIZEN"
        await browser.sign_in()
        answer = await browser.ask(token="a token that does not hold", x="y")
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_session_in_a_header_is_no_session(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser, here.browser() as other:
        await browser.sign_in()
        for scheme in ("Session", "session-listening", "Bearer"):
            headers = {"authorization": f"{scheme} {browser.session}"}
            answer = await other.http.post("/graphql/", json={"query": "{ me { kind } }"}, headers=headers)
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def open_socket(here: Site, cookie: str | None, origin: str | None) -> str:
    """Open a socket and return the type of the answer to its first message, or how it was closed."""
    address = here.address.replace("http", "ws", 1) + "/graphql/"
    headers = {"Cookie": f"kpro-session={cookie}"} if cookie else {}
    chosen = Origin(origin) if origin else None
    try:
        async with connect(
            address, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers, origin=chosen
        ) as channel:
            await channel.send(json.dumps({"type": "connection_init", "payload": {}}))
            return str(json.loads(await channel.recv())["type"])
    except InvalidStatus:
        return "refused"
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else "closed")


async def test_a_socket_with_a_cookie_must_be_opened_by_a_page_of_ours(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        assert await open_socket(here, browser.session, here.address) == "connection_ack"
        assert await open_socket(here, browser.session, "https://evil.example") == "refused"
        assert await open_socket(here, browser.session, None) == "4403"
        assert await open_socket(here, None, here.address) == "4403"


async def test_a_socket_that_listens_does_not_keep_the_session_alive(here: Site, issuer: Issuing) -> None:
    sessions = here.product.sessions
    assert sessions is not None
    async with here.browser() as browser:
        await browser.sign_in()
        token = str(browser.session)
        await owner(here, "UPDATE sign_in_session SET seen_at = now() - interval '20 minutes'")
        assert await sessions.find(token, "mitid", seen=False) is not None
        await owner(here, "UPDATE sign_in_session SET seen_at = seen_at - interval '11 minutes'")
        assert await browser.kind() == "UNAUTHENTICATED"


# --- Sessions end


async def test_a_session_ends_when_it_is_not_used_and_lives_while_it_is(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        for _ in range(3):
            await owner(here, "UPDATE sign_in_session SET seen_at = seen_at - interval '25 minutes'")
            assert await browser.kind() == "CITIZEN"
        await owner(here, "UPDATE sign_in_session SET seen_at = seen_at - interval '31 minutes'")
        assert await browser.kind() == "UNAUTHENTICATED"


async def test_a_session_ends_after_its_time_however_much_it_is_used(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        (row,) = await owner(
            here, "SELECT expires_at - started_at AS life FROM sign_in_session ORDER BY started_at DESC LIMIT 1"
        )
        assert row["life"] == timedelta(hours=10)
        await owner(
            here,
            "UPDATE sign_in_session SET started_at = started_at - interval '10 h', expires_at = expires_at - interval '10 h'",
        )
        assert await browser.kind() == "UNAUTHENTICATED"


async def test_what_has_expired_is_removed(here: Site, issuer: Issuing) -> None:
    sessions = here.product.sessions
    assert sessions is not None
    async with here.browser() as browser, here.browser() as other:
        await browser.sign_in()
        await owner(here, "UPDATE sign_in_session SET seen_at = now() - interval '31 minutes'")
        await owner(here, "UPDATE spent_token SET expires_at = now()")
        await other.sign_in()
        assert await sessions.clean() >= 1
        assert len(await owner(here, "SELECT 1 FROM sign_in_session")) == 1
        assert len(await owner(here, "SELECT 1 FROM spent_token")) == 1
        assert await other.kind() == "CITIZEN"


async def test_signing_out_ends_the_session_here_and_leads_on_to_the_provider(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        token = str(browser.session)
        away = await browser.http.post("/sign-out", headers={"origin": here.address})
        assert away.status_code == 303
        asked = parse_qs(urlsplit(away.headers["location"]).query)
        assert away.headers["location"].startswith(f"{issuer.address}/end?")
        assert asked["post_logout_redirect_uri"] == [f"{here.address}/signed-out"]
        assert (
            json.loads(base64.urlsafe_b64decode(asked["id_token_hint"][0].split(".")[1] + "=="))["sub"] == "pairwise-1"
        )
        assert browser.session is None
        browser.http.cookies.set("kpro-session", token, domain="127.0.0.1")
        assert await browser.kind() == "UNAUTHENTICATED"
        said = await browser.http.post("/sign-out", headers={"kpro-client": "web"})
        assert said.json() == {"location": f"{here.address}/signed-out"}
        assert (await browser.http.get("/signed-out")).status_code == 200


async def test_a_page_elsewhere_cannot_sign_anybody_out(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        await browser.sign_in()
        for headers in ({}, {"origin": "https://evil.example"}):
            assert (await browser.http.post("/sign-out", headers=headers)).status_code == 403
        assert (await browser.http.get("/sign-out")).status_code in {404, 405}
        assert await browser.kind() == "CITIZEN"


async def back_channel(here: Site, token: str, provider: str = "mitid") -> int:
    async with here.browser() as provider_itself:
        sent = await provider_itself.http.post(f"/sign-in/{provider}/back-channel-logout", data={"logout_token": token})
    assert sent.headers.get("cache-control") == "no-store"
    return sent.status_code


async def test_the_provider_signs_a_person_out_by_back_channel(here: Site, issuer: Issuing) -> None:
    async with here.browser() as first, here.browser() as second, here.browser() as third:
        await first.sign_in()
        issuer.person["sid"] = "sid-2"
        await second.sign_in()
        issuer.person.update(sub="pairwise-2", sid="sid-3")
        await third.sign_in()
        assert await back_channel(here, issuer.logout_token(sub="pairwise-1", sid="sid-2")) == 200
        assert [await each.kind() for each in (first, second, third)] == ["CITIZEN", "UNAUTHENTICATED", "CITIZEN"]
        assert await back_channel(here, issuer.logout_token(sub="pairwise-1")) == 200
        assert [await each.kind() for each in (first, second, third)] == [
            "UNAUTHENTICATED",
            "UNAUTHENTICATED",
            "CITIZEN",
        ]


async def test_a_logout_token_counts_once_and_only_if_it_holds(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser:
        token = issuer.logout_token(sub="pairwise-1")
        assert await back_channel(here, token) == 200
        await browser.sign_in()
        assert await back_channel(here, token) == 400
        assert await back_channel(here, issuer.logout_token(sub="pairwise-1", aud="another")) == 400
        assert await back_channel(here, issuer.token(sub="pairwise-1", aud=CLIENT)) == 400
        assert await back_channel(here, "") == 400
        assert await browser.kind() == "CITIZEN"


async def test_the_provider_signs_a_person_out_by_front_channel(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser, here.browser() as frame:
        await browser.sign_in()
        address = "/sign-in/mitid/front-channel-logout"
        for wrong in ({}, {"sid": "sid-1"}, {"iss": "https://x", "sid": "sid-1"}, {"iss": issuer.address}):
            assert (await frame.http.get(address, params=wrong)).status_code == 400
        assert await browser.kind() == "CITIZEN"
        framed = await frame.http.get(address, params={"iss": issuer.address, "sid": "sid-1"})
        assert framed.status_code == 200
        assert f"frame-ancestors {issuer.address}" in framed.headers["content-security-policy"]
        assert await browser.kind() == "UNAUTHENTICATED"


async def test_a_session_holds_only_through_the_provider_it_began_with(here: Site, issuer: Issuing) -> None:
    sessions = here.product.sessions
    assert sessions is not None
    async with here.browser() as browser:
        await browser.sign_in()
        token = str(browser.session)
        assert await sessions.find(token, "staff") is None
        assert await sessions.find(token[:-1], "mitid") is None
        assert await sessions.find("x" * 10_000, "mitid") is None
        assert await sessions.find("", "mitid") is None


async def test_a_sealed_identity_moved_to_another_session_opens_nothing(here: Site, issuer: Issuing) -> None:
    async with here.browser() as browser, here.browser() as other:
        await browser.sign_in()
        await owner(here, "DELETE FROM sign_in_session")
        await browser.sign_in()
        await other.sign_in()
        await owner(
            here, "UPDATE sign_in_session SET sealed = (SELECT sealed FROM sign_in_session ORDER BY started_at LIMIT 1)"
        )
        assert await browser.kind() == "CITIZEN"
        assert await other.kind() == "UNAUTHENTICATED"


async def test_an_identity_is_kept_whole(here: Site) -> None:
    sessions = here.product.sessions
    assert sessions is not None
    grant = Grant(
        frozenset({Role.CLINICAL_VIEWER, Role.SECURITY_OFFICER}), {"kle": frozenset({"29.*"}), "care_team": frozenset()}
    )
    for identity in (
        Identity("staff", "s", ActorKind.EMPLOYEE, "0101", AssuranceLevel.HIGH, (grant,), CPR, "Lone Æbelø"),
        Identity(
            "mitid",
            "s",
            ActorKind.CITIZEN,
            "0101",
            AssuranceLevel.LOW,
            (),
            CPR,
            represents=(Representation("7105670009", frozenset(Right)),),
        ),
    ):
        token = await sessions.open(identity, subject="s")
        assert await sessions.find(token, identity.provider) == identity
        ended = await sessions.end(token)
        assert ended is not None
        assert ended.provider == identity.provider
        assert await sessions.end(token) is None


async def test_what_is_spent_at_once_by_many_is_spent_by_one(here: Site) -> None:
    sessions = here.product.sessions
    assert sessions is not None
    spent = await asyncio.gather(*(sessions.spend("state", "one", timedelta(minutes=1)) for _ in range(20)))
    assert sorted(spent) == [False] * 19 + [True]
    assert await sessions.spend("logout", "one", timedelta(minutes=1))


# --- Envelopes and settings


def test_an_envelope_opens_with_its_secret_its_purpose_and_its_bond_only() -> None:
    envelope = Envelope(INSTALLATION_SECRET, "one")
    sealed = envelope.seal(b"content", b"bond")
    assert envelope.open(sealed, b"bond") == b"content"
    assert envelope.open(sealed, b"another") is None
    assert envelope.open(sealed[:-1], b"bond") is None
    assert envelope.open(b"", b"bond") is None
    assert Envelope(INSTALLATION_SECRET, "two").open(sealed, b"bond") is None
    assert Envelope(bytes(32), "one").open(sealed, b"bond") is None
    assert envelope.seal(b"content", b"bond") != sealed
    assert envelope.mark("ab", "c") != envelope.mark("a", "bc")
    assert (
        envelope.mark("a")
        == Envelope(INSTALLATION_SECRET, "one").mark("a")
        != Envelope(INSTALLATION_SECRET, "two").mark("a")
    )


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("KPRO_PUBLIC_URL", "http://kpro.example", "must begin with https"),
        ("KPRO_PUBLIC_URL", "https://kpro.example/app", "has no path"),
        ("KPRO_PUBLIC_URL", "kpro.example", "must begin with https"),
        ("KPRO_PUBLIC_URL", "https://u:p@kpro.example", "must begin with https"),
        ("KPRO_PUBLIC_URL", "https://kpro.example:x", "is not an address"),
        ("KPRO_SESSION_IDLE", "0", "a number of minutes"),
        ("KPRO_SESSION_LONGEST", "forever", "a number of minutes"),
    ],
)
def test_settings_of_sign_in_are_checked(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Settings.read({variable: value})
    assert variable in str(caught.value)


def test_settings_of_sign_in_are_read() -> None:
    read = Settings.read(
        {"KPRO_PUBLIC_URL": "https://kpro.example/", "KPRO_IDENTITY_PROVIDERS": "p.toml", "KPRO_SESSION_IDLE": "5"}
    )
    assert (read.public_url, read.identity_providers, read.session_idle) == ("https://kpro.example", Path("p.toml"), 5)


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("https://kpro.example", True), ("https://kpro.example:443", True), ("HTTPS://KPRO.example", True),
        ("http://kpro.example", False), ("https://kpro.example:8443", False), ("https://kpro.example.evil.dk", False),
        ("https://evil.dk", False), ("null", False), ("", False), (None, False), ("https://[", False), ("*", False),
    ],
)  # fmt: skip
def test_an_origin_is_ours_or_it_is_not(origin: str | None, ours: bool) -> None:
    assert Browsers("https://kpro.example").owns(origin) is ours
    assert Browsers("*").owns(origin) is False
