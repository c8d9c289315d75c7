"""The sweep of credentials: every field of the schema's roots, shown with every kind of credential that is worth nothing."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from kpro_graph import reception
from kpro_graph.demography import Demography
from kpro_graph.execution.ids import encode
from kpro_graph.schema.permissions import PERMISSIONS
from kpro_graph.storage import tables
from tests.conftest import Worlds
from tests.issuing import AUDIENCE, CLIENT, SECRET, Issuing, issuing
from tests.signed import Site, site
from tests.sweeping import NODES, arguments, document, origin

CVR = next(each.cvr for each in Demography().municipalities() if each.code == "0101")
CITIZEN = {"cpr": Demography().citizen_cpr("0101", 0), "name": "Nanna Lund", "loa": "Substantial"}
STRANGER = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})

Token = Callable[[Issuing], str | None]

WORTHLESS: dict[str, Token] = {
    "none": lambda _: None,
    "no token at all": lambda _: "Bearer",
    "not a token": lambda _: "Bearer abc.def.ghi",
    "expired": lambda issuer: bearer(issuer, iat=int(time.time()) - 900, exp=int(time.time()) - 600),
    "without an end": lambda issuer: bearer(issuer, exp=None),
    "of another audience": lambda issuer: bearer(issuer, aud="https://somewhere.else/graphql"),
    "of another issuer": lambda issuer: bearer(issuer, iss="https://issuer.example"),
    "forged": lambda issuer: bearer(issuer, key=STRANGER),
    "altered": lambda issuer: altered(bearer(issuer, name="Nobody")),
    "alg none": lambda issuer: f"Bearer {issuer.unsigned(**CITIZEN)}",
    "HS256 with the public key": lambda issuer: f"Bearer {issuer.confused(**CITIZEN)}",
    "an identity token": lambda issuer: bearer(issuer, typ="JWT", aud=CLIENT),
    "a logout token": lambda issuer: bearer(issuer, typ="logout+jwt"),
    "a good token as a session": lambda issuer: bearer(issuer).replace("Bearer", "Session"),
    "a good token as a reception's": lambda issuer: bearer(issuer).replace("Bearer", "Reception"),
    "a demo token of another secret": lambda _: "Bearer demo.enroller.0101.AAAA",
}
TOO_LOW: dict[str, Token] = {
    "too low": lambda issuer: bearer(issuer, loa="Low"),
    "too low and for staff": lambda issuer: bearer(issuer, loa="Low", aud="https://kpro.test/staff", privileges=[]),
}


def bearer(issuer: Issuing, *, key: Any = None, typ: str = "at+jwt", **changes: Any) -> str:
    """Return a citizen's access token as a header."""
    return f"Bearer {issuer.token(key=key, typ=typ, **{**CITIZEN, **changes})}"


def altered(header: str) -> str:
    """Return a token whose claims were put in place of others, under the signature of these."""
    head, claims, signature = header.split(".")
    return ".".join([head, claims[:-4] + ("AAAA" if claims[-4:] != "AAAA" else "BBBB"), signature])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here(
    worlds: Worlds, loaded: str, served: Issuing, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("providers")
    shared = f'issuer = "{served.address}"\nclient_id = "{CLIENT}"\nclient_secret_file = "secret"\n'
    (folder / "secret").write_text(SECRET)
    (folder / "providers.toml").write_text(
        f"""
[[provider]]
name = "mitid"
kind = "citizen"
{shared}audience = "{AUDIENCE}"
[provider.municipalities]
"{CVR}" = "0101"
[provider.claims]
cpr = "cpr"

[[provider]]
name = "staff"
kind = "employee"
{shared.replace(CLIENT, "kpro-staff")}audience = "https://kpro.test/staff"
[provider.municipalities]
"{CVR}" = "0101"
[provider.claims]
privileges = "privileges"
"""
    )
    async with site(worlds, loaded, folder / "providers.toml") as made:
        yield made


def samples() -> dict[str, Any]:
    """Return values for every argument; well formed, and nobody's."""
    nobody = {name: encode(origin(each).prefix, tables.new_id()) for name, each in NODES.items()}
    ids = {f"{name[0].lower()}{name[1:]}Id": id_ for name, id_ in nobody.items()}
    return ids | {
        "id": nobody["Citizen"], "ids": list(nobody.values()), "responseId": nobody["QuestionnaireResponse"],
        "careTeam": nobody["CareTeam"], "after": None, "first": 100, "cpr": "7312632330", "reason": "En lang nok grund",
        "name": "Navn", "givenName": "Xanthe", "familyName": "Lund", "reasonCode": "DC50", "toMunicipality": "0851",
        "path": "1", "idempotencyKey": "a key of this length", "fhir": "{}", "deviceSecret": "none", "code": "123456",
        "Mutation.saveAnswer:boolean": True, "Mutation.createReceptionCode:citizenId": nobody["Citizen"],
        "handOverId": nobody["HandOver"], "receptionDeviceId": nobody["ReceptionDevice"],
    }  # fmt: skip


async def codes(here: Site, place: str, header: str | None) -> set[str]:
    """Return the codes a field of the roots is answered with; "fine" if there is no error."""
    async with here.browser() as browser:
        headers = {} if header is None else {"authorization": header}
        asked = {"query": document(place), "variables": arguments(place, samples())}
        answer = (await browser.http.post("/graphql/", json=asked, headers=headers)).json()
    found = {error["extensions"]["code"] for error in answer.get("errors", ())}
    results = [each for each in (answer.get("data") or {}).values() if each]
    found |= {each["code"] for each in results if "code" in each}
    assert found or results or "errors" not in answer
    return found or {"fine"}


ASKED = sorted(place for place in PERMISSIONS if not place.startswith("Subscription."))


@pytest.mark.parametrize("place", ASKED)
async def test_what_is_worth_nothing_opens_nothing(
    here: Site, served: Issuing, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a refused code takes is tested elsewhere.
    monkeypatch.setattr(reception, "_STEP", 0.001)
    # At a reception computer nobody is signed in; a code that is nobody's is refused.
    open_ = {"RECEPTION_CODE_REFUSED"} if place == "Mutation.redeemReceptionCode" else None
    for about, make in WORTHLESS.items():
        assert await codes(here, place, make(served)) == (open_ or {"UNAUTHENTICATED"}), about
    for about, make in TOO_LOW.items():
        assert await codes(here, place, make(served)) == (open_ or {"STEP_UP_REQUIRED"}), about
    # The same token, as it should be, is somebody.
    found = await codes(here, place, bearer(served))
    assert not {"UNAUTHENTICATED", "STEP_UP_REQUIRED", "BAD_INPUT", "INTERNAL", "GRAPHQL_VALIDATION_FAILED"} & found


async def test_what_is_worth_nothing_opens_no_socket(here: Site, served: Issuing) -> None:
    address = here.address.replace("http", "ws", 1) + "/graphql/"
    for about, make in {**WORTHLESS, **TOO_LOW, "a good one": bearer}.items():
        header = make(served)
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as channel:
            await channel.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": header} if header else {}})
            )
            try:
                said = json.loads(await channel.recv())["type"]
            except ConnectionClosed as closed:
                said = str(closed.rcvd.code if closed.rcvd else None)
        assert said == ("connection_ack" if about == "a good one" else "4403"), about
