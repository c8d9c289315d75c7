"""OpenID providers: the configuration file, bearer tokens to the letter, keys that change, and the code flow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey, RSAKey

from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Grant, Identity, Right, Role
from kpro_graph.errors import BadInput, ConfigurationError, NotAuthenticated, Unavailable
from kpro_graph.plugins.host import PluginHost
from kpro_graph.plugins.identities import examine_identity
from kpro_graph.plugins.manifest import PluginRefused, read_manifest
from kpro_graph.plugins.oidc import FOLDER, OpenIdConnect, OpenIdProvider, read_configuration
from kpro_graph.plugins.oidc.issuer import FRESH, PAUSE, RETRY, STALE
from tests.issuing import AUDIENCE, CLIENT, SECRET, Issuing, issuing

CPR, PRINCIPAL = "7312632330", "7105670009"
UNIT = "0c962a10-f344-5d40-ba3f-a94e44105c95"
CITIZEN_CLAIMS = {"cpr": CPR, "name": "Nanna Lund", "loa": "Substantial"}
POWER = "urn:dk:kpro:answer"


def toml(address: str, *, kind: str = "citizen", name: str = "mitid", more: str = "", systems: bool = True) -> str:
    """Return the configuration of one provider."""
    municipalities = '"64942212" = "0101"' if kind == "citizen" else '"64942212" = "0101"\n"29189420" = "0851"'
    claims = 'cpr = "cpr"\nprivileges = "privileges"' + ("" if kind == "citizen" else '\ncvr = "cvr"')
    system = '[[provider.system]]\nclient_id = "journal"\nmunicipality = "0851"\nanswers = true\n' if systems else ""
    powers = f'[provider.powers_of_attorney]\n"{POWER}" = ["read", "answer"]\n' if kind == "citizen" else ""
    return f"""
[[provider]]
name = "{name}"
kind = "{kind}"
title = "MitID"
issuer = "{address}"
client_id = "{CLIENT}"
client_secret_file = "secret"
audience = "{AUDIENCE}"
{more}
[provider.municipalities]
{municipalities}
[provider.claims]
{claims}
[provider.acr_values]
substantial = "urn:loa:3"
high = "urn:loa:4"
{powers}
{system}
"""


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class NoSessions:
    """Nobody has a session."""

    async def find(self, token: str, provider: str, *, seen: bool = True) -> Identity | None:
        return None


class Asking:
    """Asks the providers as the host does, whose start takes longer than most tests here."""

    def __init__(self, openid: OpenIdConnect) -> None:
        self._openid = openid

    async def identify(self, credentials: Credentials) -> Identity:
        for provider in self._openid.providers.values():
            identity = await provider.identify(credentials)
            if identity is not None:
                try:
                    return examine_identity(identity, provider.name, read_manifest(FOLDER))
                except PluginRefused as refused:
                    raise NotAuthenticated(str(refused)) from refused
        raise NotAuthenticated("no identity provider recognises the credentials")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[Issuing]:
    async with issuing() as made:
        yield made


@pytest.fixture
def issuer(served: Issuing) -> Issuing:
    served.reset()
    return served


@asynccontextmanager
async def connected(
    folder: Path, *tables: str, now: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[Asking, OpenIdConnect]]:
    """Give the providers of a configuration, and a way to ask them."""
    (folder / "secret").write_text(SECRET)
    (folder / "providers.toml").write_text("".join(tables))
    openid = OpenIdConnect(read_configuration(folder / "providers.toml"), NoSessions(), now=now)
    try:
        yield Asking(openid), openid
    finally:
        await openid.close()


def bearer(token: str) -> Credentials:
    return Credentials("bearer", token, "10.0.0.7")


# --- Bearer tokens


async def test_the_host_asks_the_providers_and_passes_on_that_they_cannot_answer(
    issuer: Issuing, tmp_path: Path
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        host = PluginHost(installed=False)
        host.add(openid, FOLDER)
        await host.start(strict=True)
        issuer.down = True
        with pytest.raises(Unavailable):
            await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        issuer.down = False
        await asyncio.sleep(RETRY)
        identity = await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        assert (identity.provider, identity.cpr) == ("mitid", CPR)


async def test_a_citizens_token_becomes_an_identity(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        assert await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS))) == Identity(
            "mitid", "someone", ActorKind.CITIZEN, "0101", AssuranceLevel.SUBSTANTIAL, cpr=CPR, name="Nanna Lund"
        )


async def test_an_employees_token_carries_grants_of_its_own_municipality_only(issuer: Issuing, tmp_path: Path) -> None:
    groups = [
        f'{{"cvr":"29189420","c":[{{"urn:dk:kombit:orgUnit":"{UNIT}"}}],"p":["{Role.CLINICAL_VIEWER.fut}"]}}',
        f'{{"cvr":"64942212","c":[{{"urn:dk:kombit:orgUnit":"{UNIT}"}}],"p":["{Role.CITIZEN_ENROLLER.fut}"]}}',
    ]
    async with connected(tmp_path, toml(issuer.address, kind="employee")) as (host, _):
        identity = await host.identify(bearer(issuer.token(loa="High", cvr="29189420", privileges=groups)))
        assert (identity.municipality, identity.assurance) == ("0851", AssuranceLevel.HIGH)
        assert identity.grants == (Grant(frozenset({Role.CLINICAL_VIEWER}), {"organisation_unit": frozenset({UNIT})}),)
        with pytest.raises(NotAuthenticated, match="no municipality of this installation"):
            await host.identify(bearer(issuer.token(loa="High", cvr="12345678")))


async def test_a_subject_as_fk_adgangsstyring_writes_it_is_the_employees_uuid(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address, kind="employee")) as (host, _):
        subject = f"C=DK,O=64942212,CN=Lone Holm,Serial={UNIT.upper()}"
        assert (await host.identify(bearer(issuer.token(cvr="64942212", sub=subject)))).subject == UNIT
        with pytest.raises(NotAuthenticated, match="another organisation"):
            await host.identify(bearer(issuer.token(cvr="29189420", sub=subject)))


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("Low", 1), ("Substantial", 2), ("High", 3), ("1", 1), ("2", 1), ("3", 2), ("4", 3), (3, 2), (None, 1), (True, 1),
        ("https://data.gov.dk/concept/core/nsis/Substantial", 2), ("https://data.gov.dk/concept/core/nsis/loa/High", 3),
        ("Very high", 1), ("5", 1), (["High"], 1), ({"loa": "High"}, 1), ("", 1), ("urn:bank", 3),
    ],
)  # fmt: skip
async def test_the_assurance_level_is_read_in_every_form_and_else_low(
    issuer: Issuing, tmp_path: Path, value: Any, level: int
) -> None:
    levels = '[provider.levels]\n"urn:bank" = "high"'
    async with connected(tmp_path, toml(issuer.address, more=levels)) as (host, _):
        identity = await host.identify(bearer(issuer.token(**{**CITIZEN_CLAIMS, "loa": value})))
        assert identity.assurance == level


async def test_a_power_of_attorney_is_vouched_for_with_its_rights(issuer: Issuing, tmp_path: Path) -> None:
    group = f'{{"cpr":"{PRINCIPAL}","p":["{POWER}","urn:other"]}}'
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        identity = await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS, privileges=[group])))
        assert [(each.cpr, each.rights) for each in identity.represents] == [(PRINCIPAL, frozenset(Right))]
        assert PRINCIPAL not in repr(identity)
        assert CPR not in repr(identity)


@pytest.mark.parametrize(
    ("scope", "answers"),
    [("kpro:answers", True), ("other kpro:answers x", True), ("", False), (None, False), (["kpro:answers"], False)],
)
async def test_a_system_known_to_the_configuration_signs_in_by_client_credentials(
    issuer: Issuing, tmp_path: Path, scope: Any, answers: bool
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        identity = await host.identify(bearer(issuer.token(sub="journal", client_id="journal", scope=scope)))
        assert (identity.kind, identity.municipality, identity.subject) == (ActorKind.SYSTEM, "0851", "journal")
        assert identity.cpr is None
        (grant,) = identity.grants
        assert grant.roles == {Role.INTEGRATOR}
        assert grant.constraints == ({"answers": {"read"}} if answers else {})


@pytest.mark.parametrize(
    "claims", [{"sub": "stranger", "client_id": "stranger"}, {"sub": "someone", "client_id": "journal"}]
)
async def test_a_system_not_known_or_acting_for_somebody_is_refused(
    issuer: Issuing, tmp_path: Path, claims: dict[str, str]
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        with pytest.raises(NotAuthenticated):
            await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS, **claims)))


STRANGER = RSAKey.generate_key(2048, {"kid": "first"})
NOW = int(time.time())
FORGED: dict[str, Callable[[Issuing], str]] = {
    "signed by a stranger under our key id": lambda it: it.token(key=STRANGER, **CITIZEN_CLAIMS),
    "signed with a key nobody published": lambda it: it.token(
        key=RSAKey.import_key(STRANGER.as_dict(private=True), {"kid": "unheard of"}), **CITIZEN_CLAIMS
    ),
    "alg none": lambda it: it.unsigned(**CITIZEN_CLAIMS),
    "alg none with a signature": lambda it: it.unsigned(**CITIZEN_CLAIMS) + "AAAA",
    "HS256 with the public key": lambda it: it.confused(**CITIZEN_CLAIMS),
    "an algorithm that is not allowed": lambda it: it.token(alg="RS512", **CITIZEN_CLAIMS),
    "expired": lambda it: it.token(**CITIZEN_CLAIMS, iat=NOW - 600, exp=NOW - 1),
    "no expiry": lambda it: it.token(**CITIZEN_CLAIMS, exp=None),
    "an expiry in words": lambda it: it.token(**CITIZEN_CLAIMS, exp="tomorrow"),
    "an expiry that is no number": lambda it: it.token(**CITIZEN_CLAIMS, exp=float("nan")),
    "an endless expiry": lambda it: it.token(**CITIZEN_CLAIMS, exp=float("inf")),
    "expiry true": lambda it: it.token(**CITIZEN_CLAIMS, exp=True),
    "not yet valid": lambda it: it.token(**CITIZEN_CLAIMS, nbf=NOW + 7200),
    "issued in the future": lambda it: it.token(**CITIZEN_CLAIMS, iat=NOW + 7200, exp=NOW + 7500),
    "no time of issue": lambda it: it.token(**CITIZEN_CLAIMS, iat=None),
    "another audience": lambda it: it.token(**CITIZEN_CLAIMS, aud="https://elsewhere"),
    "the client as audience": lambda it: it.token(**CITIZEN_CLAIMS, aud=CLIENT),
    "no audience": lambda it: it.token(**CITIZEN_CLAIMS, aud=None),
    "audiences of another kind": lambda it: it.token(**CITIZEN_CLAIMS, aud=[AUDIENCE, 7]),
    "no subject": lambda it: it.token(**CITIZEN_CLAIMS, sub=None),
    "an empty subject": lambda it: it.token(**CITIZEN_CLAIMS, sub=""),
    "an ID token": lambda it: it.token(typ="JWT", **CITIZEN_CLAIMS),
    "no type": lambda it: it.token(typ=None, **CITIZEN_CLAIMS),
    "an ID token that claims another type": lambda it: it.token(nonce="n", **CITIZEN_CLAIMS),
    "a logout token": lambda it: it.logout_token(aud=AUDIENCE),
    "no CPR number": lambda it: it.token(),
    "a CPR number that is none": lambda it: it.token(cpr="9999999999"),
    "a signature changed": lambda it: it.token(**CITIZEN_CLAIMS)[:-6] + "AAAAAA",
    "much too long": lambda it: it.token(**CITIZEN_CLAIMS, padding="x" * 60_000),
}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
async def test_a_token_that_does_not_hold_signs_nobody_in(
    issuer: Issuing, tmp_path: Path, make: Callable[[Issuing], str]
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        assert (await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))).cpr == CPR
        token = make(issuer)
        with pytest.raises(NotAuthenticated) as caught:
            await host.identify(bearer(token))
        assert token not in str(caught.value)
        assert CPR not in str(caught.value)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("basic", "dXNlcjpwYXNz"),
        bearer(""),
        bearer("opaque"),
        bearer("a.b.c"),
        bearer("øæå.øæå.øæå"),
        Credentials("session", "nobody's"),
    ],
)
async def test_what_is_not_this_providers_is_left_to_others(
    issuer: Issuing, tmp_path: Path, credentials: Credentials
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        assert await openid.providers["mitid"].identify(credentials) is None
        assert issuer.fetched == []


async def test_a_token_of_another_issuer_is_left_to_others_though_our_key_signed_it(
    issuer: Issuing, tmp_path: Path
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, openid):
        token = issuer.token(iss="https://elsewhere.example", **CITIZEN_CLAIMS)
        assert await openid.providers["mitid"].identify(bearer(token)) is None
        with pytest.raises(NotAuthenticated, match="no identity provider recognises"):
            await host.identify(bearer(token))


async def test_two_providers_of_one_issuer_judge_tokens_by_audience(issuer: Issuing, tmp_path: Path) -> None:
    staff = toml(issuer.address, kind="employee", name="erhverv", systems=False)
    staff = staff.replace(AUDIENCE, "https://kpro.test/staff").replace(f'"{CLIENT}"', '"kpro-staff"')
    async with connected(tmp_path, toml(issuer.address), staff) as (host, _):
        citizen = await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        employee = await host.identify(bearer(issuer.token(aud=["https://kpro.test/staff"], cvr="64942212")))
        assert (citizen.provider, employee.provider) == ("mitid", "erhverv")
        with pytest.raises(NotAuthenticated):
            await host.identify(bearer(issuer.token(aud="https://kpro.test/nobody", **CITIZEN_CLAIMS)))


# --- Keys that change, and issuers that do not answer


async def test_a_new_key_is_fetched_once_and_the_old_one_stops_holding(issuer: Issuing, tmp_path: Path) -> None:
    clock = Clock()
    async with connected(tmp_path, toml(issuer.address), now=clock) as (host, _):
        old = issuer.token(**CITIZEN_CLAIMS)
        await host.identify(bearer(old))
        issuer.rotate()
        clock.at += PAUSE
        assert (await host.identify(bearer(issuer.token(alg="ES256", **CITIZEN_CLAIMS)))).cpr == CPR
        assert issuer.fetched.count("keys") == 2
        with pytest.raises(NotAuthenticated):
            await host.identify(bearer(old))


async def test_tokens_with_unknown_keys_cannot_make_us_ask_again_and_again(issuer: Issuing, tmp_path: Path) -> None:
    clock = Clock()
    async with connected(tmp_path, toml(issuer.address), now=clock) as (host, _):
        await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        for number in range(20):
            unheard = RSAKey.import_key(STRANGER.as_dict(private=True), {"kid": f"k{number}"})
            with pytest.raises(NotAuthenticated):
                await host.identify(bearer(issuer.token(key=unheard, **CITIZEN_CLAIMS)))
        assert issuer.fetched.count("keys") == 1


async def test_while_the_issuer_is_down_its_last_keys_serve_for_an_hour_and_no_longer(
    issuer: Issuing, tmp_path: Path
) -> None:
    clock = Clock()
    async with connected(tmp_path, toml(issuer.address), now=clock) as (host, _):
        token = bearer(issuer.token(**CITIZEN_CLAIMS))
        await host.identify(token)
        issuer.down = True
        clock.at += STALE - 1
        assert (await host.identify(token)).cpr == CPR
        clock.at += 2
        with pytest.raises(Unavailable):
            await host.identify(token)
        issuer.down = False
        clock.at += RETRY
        assert (await host.identify(token)).cpr == CPR


async def test_keys_are_renewed_by_themselves(issuer: Issuing, tmp_path: Path) -> None:
    clock = Clock()
    async with connected(tmp_path, toml(issuer.address), now=clock) as (host, _):
        token = bearer(issuer.token(**CITIZEN_CLAIMS))
        await host.identify(token)
        issuer.rotate()
        clock.at += FRESH + 1
        with pytest.raises(NotAuthenticated):
            await host.identify(token)


async def test_an_issuer_that_never_answered_is_unavailable_and_not_asked_by_every_request(
    issuer: Issuing, tmp_path: Path
) -> None:
    clock = Clock()
    issuer.down = True
    async with connected(tmp_path, toml(issuer.address), now=clock) as (host, _):
        for _ in range(5):
            with pytest.raises(Unavailable):
                await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        assert len(issuer.fetched) == 1


async def test_many_at_once_fetch_the_keys_once(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        token = bearer(issuer.token(**CITIZEN_CLAIMS))
        await asyncio.gather(*(host.identify(token) for _ in range(30)))
        assert issuer.fetched.count("keys") == 1


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": "http://elsewhere.example/jwks"},
        {"jwks_uri": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "//elsewhere"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
async def test_an_issuer_that_describes_itself_wrongly_is_not_believed(
    issuer: Issuing, tmp_path: Path, described: dict[str, Any]
) -> None:
    issuer.described = described
    async with connected(tmp_path, toml(issuer.address)) as (host, openid):
        with pytest.raises(Unavailable):
            await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))
        with pytest.raises(Unavailable):
            await openid.providers["mitid"].begin("http://127.0.0.1/callback")


async def test_published_keys_that_are_private_symmetric_small_or_for_encryption_are_no_keys(
    issuer: Issuing, tmp_path: Path
) -> None:
    encrypting = RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"})
    other = RSAKey.generate_key(2048, {"kid": "ps", "alg": "PS256"})
    issuer.keys = [encrypting, other, *issuer.keys]
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        assert (await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))).cpr == CPR
        assert (await host.identify(bearer(issuer.token(key=other, alg="PS256", **CITIZEN_CLAIMS)))).cpr == CPR
        for key, alg in ((encrypting, "RS256"), (other, "RS256")):
            with pytest.raises(NotAuthenticated):
                await host.identify(
                    bearer(
                        issuer.token(
                            key=RSAKey.import_key(
                                key.as_dict(private=True), {"kid": str(key.kid), "use": "sig", "alg": "RS256"}
                            ),
                            alg=alg,
                            **CITIZEN_CLAIMS,
                        )
                    )
                )


async def test_a_token_that_names_no_key_is_verified_with_the_only_one(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (host, _):
        dictionary = {name: value for name, value in issuer.keys[0].as_dict(private=True).items() if name != "kid"}
        nameless = RSAKey.import_key(dictionary)
        assert (await host.identify(bearer(issuer.token(key=nameless, **CITIZEN_CLAIMS)))).cpr == CPR


# --- The code flow


async def come_back(address: str) -> dict[str, str]:
    """Follow the provider's page, as a browser does, and return the parameters of the way back."""
    async with httpx.AsyncClient(verify=False) as browser:
        response = await browser.get(address)
    assert response.status_code == 303
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def signed_in(provider: OpenIdProvider, **answer: str) -> Any:
    address, attempt = await provider.begin("http://127.0.0.1/callback")
    return await provider.finish(attempt, {**await come_back(address), **answer})


async def test_the_code_flow_ends_in_an_identity(issuer: Issuing, tmp_path: Path) -> None:
    issuer.person = {"sub": "pairwise", "sid": "s1", **CITIZEN_CLAIMS}
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        done = await signed_in(openid.providers["mitid"])
    assert (done.subject, done.session, done.identity.cpr) == ("pairwise", "s1", CPR)
    assert issuer.asked["code_challenge_method"] == "S256"
    assert issuer.asked["acr_values"] == "urn:loa:3"
    assert issuer.asked["scope"] == "openid"
    assert CPR not in repr(done)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_a_client_may_prove_itself_with_a_private_key(issuer: Issuing, tmp_path: Path, kind: str) -> None:
    key = RSAKey.generate_key(2048) if kind == "rsa" else ECKey.generate_key("P-256")
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    issuer.person = {"sub": "s", **CITIZEN_CLAIMS}
    written = toml(issuer.address).replace(
        'client_secret_file = "secret"', 'private_key_file = "key.pem"\nprivate_key_id = "k1"'
    )
    async with connected(tmp_path, written) as (_, openid):
        assert (await signed_in(openid.providers["mitid"])).identity.cpr == CPR


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "another"},
        {"state": ""},
        {"code": "never given"},
        {"code": ""},
        {"iss": "https://mixed.up"},
        {"error": "access_denied"},
    ],
)
async def test_a_wrong_answer_signs_nobody_in(issuer: Issuing, tmp_path: Path, answer: dict[str, str]) -> None:
    issuer.person = {"sub": "s", **CITIZEN_CLAIMS}
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        with pytest.raises(NotAuthenticated):
            await signed_in(openid.providers["mitid"], **answer)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": [CLIENT, "another"]}, {"azp": "another"},
        {"aud": AUDIENCE}, {"exp": NOW - 10}, {"at_hash": "AAAA"}, {"iss": "https://elsewhere"}, {"sub": None}, {"cpr": None},
        {"cpr": "731263233"},
    ],
)  # fmt: skip
async def test_an_id_token_that_does_not_answer_the_request_signs_nobody_in(
    issuer: Issuing, tmp_path: Path, changes: dict[str, Any]
) -> None:
    issuer.person, issuer.changes = {"sub": "s", **CITIZEN_CLAIMS}, changes
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        with pytest.raises(NotAuthenticated):
            await signed_in(openid.providers["mitid"])


async def test_a_code_holds_for_one_verifier_once(issuer: Issuing, tmp_path: Path) -> None:
    issuer.person = {"sub": "s", **CITIZEN_CLAIMS}
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        provider = openid.providers["mitid"]
        address, attempt = await provider.begin("http://127.0.0.1/callback")
        _, other = await provider.begin("http://127.0.0.1/callback")
        answer = await come_back(address)
        with pytest.raises(NotAuthenticated):
            await provider.finish(other, {**answer, "state": other.state})
        with pytest.raises(NotAuthenticated):
            await provider.finish(attempt, answer)


async def test_user_information_adds_what_the_id_token_lacks_and_replaces_nothing(
    issuer: Issuing, tmp_path: Path
) -> None:
    issuer.person = {"sub": "s", "loa": "Low"}
    issuer.user = {"sub": "s", "cpr": CPR, "loa": "High"}
    async with connected(tmp_path, toml(issuer.address, more="user_info = true")) as (_, openid):
        done = await signed_in(openid.providers["mitid"])
        assert (done.identity.cpr, done.identity.assurance) == (CPR, AssuranceLevel.LOW)
        issuer.user = {"sub": "another", "cpr": CPR}
        with pytest.raises(NotAuthenticated, match="not about who signed in"):
            await signed_in(openid.providers["mitid"])


async def test_a_citizen_chooses_among_the_municipalities_where_nothing_else_says_which(
    issuer: Issuing, tmp_path: Path
) -> None:
    issuer.person = {"sub": "s", **CITIZEN_CLAIMS}
    both = toml(issuer.address).replace('"64942212" = "0101"', '"64942212" = "0101"\n"29189420" = "0851"')
    async with connected(tmp_path, both) as (host, openid):
        provider = openid.providers["mitid"]
        address, attempt = await provider.begin("http://127.0.0.1/callback", municipality="0851")
        assert (await provider.finish(attempt, await come_back(address))).identity.municipality == "0851"
        for wrong in ("", "0751"):
            with pytest.raises(BadInput):
                await provider.begin("http://127.0.0.1/callback", municipality=wrong)
        with pytest.raises(NotAuthenticated, match="no municipality"):
            await host.identify(bearer(issuer.token(**CITIZEN_CLAIMS)))


async def test_a_higher_level_is_asked_for(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        address, attempt = await openid.providers["mitid"].begin("http://127.0.0.1/callback", AssuranceLevel.HIGH)
    assert parse_qs(urlsplit(address).query)["acr_values"] == ["urn:loa:4"]
    assert attempt.level == AssuranceLevel.HIGH


# --- Logout tokens


async def test_a_logout_token_says_whose_sessions_end(issuer: Issuing, tmp_path: Path) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        notice = await openid.providers["mitid"].notice(issuer.logout_token(sid="s1"))
        assert (notice.subject, notice.session) == ("someone", "s1")
        assert notice.until > time.time()


@pytest.mark.parametrize(
    "changes",
    [
        {"events": None}, {"events": {}}, {"events": {"http://schemas.openid.net/event/backchannel-logout": 1}},
        {"nonce": "n"}, {"jti": None}, {"sub": None}, {"sub": 7}, {"sid": 7}, {"aud": AUDIENCE}, {"iss": "https://x"},
        {"iat": NOW - 3600}, {"exp": NOW - 10}, {"typ": "at+jwt"},
    ],
)  # fmt: skip
async def test_a_logout_token_that_does_not_hold_ends_nothing(
    issuer: Issuing, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with connected(tmp_path, toml(issuer.address)) as (_, openid):
        with pytest.raises(NotAuthenticated):
            await openid.providers["mitid"].notice(issuer.logout_token(**changes))


# --- The configuration file


def test_a_whole_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "providers.toml").write_text(toml("https://op.example"))
    (settings,) = read_configuration(tmp_path / "providers.toml")
    assert (settings.name, settings.kind, settings.client_secret) == ("mitid", ActorKind.CITIZEN, SECRET)
    assert settings.municipalities == {"64942212": "0101"}
    assert settings.systems["journal"].answers
    assert SECRET not in repr(settings)


def test_the_example_in_the_docs_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-an-identity-provider.md").read_text(
        encoding="utf-8"
    )
    example = page.split("<!-- example: providers.toml -->\n```toml\n")[1].split("```")[0]
    (tmp_path / "providers.toml").write_text(example)
    (tmp_path / "mitid.secret").write_text(SECRET)
    (tmp_path / "medarbejder.pem").write_bytes(STRANGER.as_pem(private=True))
    citizens, employees = read_configuration(tmp_path / "providers.toml")
    assert (citizens.kind, employees.kind) == (ActorKind.CITIZEN, ActorKind.EMPLOYEE)
    assert employees.private_key is not None
    assert employees.private_key.kid == "2026"
    assert not citizens.audience


GOOD = toml("https://op.example")
FAULTS = {
    "no provider": ("", "there is no [[provider]]"),
    "not TOML": ("[[provider", "is not TOML"),
    "unknown key": (GOOD.replace("client_id =", "clientid ="), "provider[0].client_id is missing"),
    "misspelt key": (GOOD.replace("title =", "titel ="), 'provider[0].titel is unknown; did you mean "title"?'),
    "unknown top": (GOOD + "\n[general]\n", "general is unknown"),
    "bad name": (GOOD.replace('name = "mitid"', 'name = "Mit ID"'), "provider[0].name is not lower case"),
    "kind": (GOOD.replace('"citizen"', '"patient"'), "provider[0].kind is none of"),
    "http": (GOOD.replace("https://op", "http://op"), "provider[0].issuer is not an https address"),
    "issuer with query": (GOOD.replace("op.example", "op.example?x=1"), "provider[0].issuer is not an https address"),
    "issuer with user": (GOOD.replace("https://op", "https://u:p@op"), "provider[0].issuer is not an https address"),
    "secret file": (GOOD.replace('"secret"', '"gone"'), "provider[0].client_secret_file cannot be read"),
    "no secret": (GOOD.replace('client_secret_file = "secret"', ""), "provider[0].client_secret_file or private_key_file"),
    "key file": (GOOD.replace("client_secret_file", "private_key_file"), "private_key_file is not a private RSA or EC key"),
    "audience": (GOOD.replace(AUDIENCE, CLIENT), "provider[0].audience is the client_id"),
    "no audience": (GOOD.replace(f'audience = "{AUDIENCE}"', ""), "provider[0].audience is missing"),
    "HS256": (GOOD.replace("[provider.muni", 'algorithms = ["HS256"]\n[provider.muni'), "'HS256', which is none of"),
    "none": (GOOD.replace("[provider.muni", 'algorithms = ["none"]\n[provider.muni'), "'none', which is none of"),
    "scopes": (GOOD.replace("[provider.muni", 'scopes = ["mitid"]\n[provider.muni'), 'provider[0].scopes does not hold "openid"'),
    "flag": (GOOD.replace("[provider.muni", "user_info = 1\n[provider.muni"), "provider[0].user_info is neither true nor false"),
    "cvr": (GOOD.replace('"64942212"', '"6494221"'), "provider[0].municipalities.6494221 is not a CVR number"),
    "code": (GOOD.replace('= "0101"', '= "101"'), "provider[0].municipalities.64942212 is not a four-digit"),
    "no municipality": (GOOD.replace('"64942212" = "0101"', ""), "provider[0].municipalities is missing"),
    "twice": (GOOD.replace('= "0101"', '= "0101"\n"29189420" = "0101"'), "names one municipality twice"),
    "no cpr": (GOOD.replace('cpr = "cpr"', ""), "provider[0].claims.cpr is missing"),
    "level": (GOOD + '\n[provider.levels]\n"x" = "top"\n', "provider[0].levels.x is none of"),
    "right": (GOOD.replace('["read", "answer"]', '["write"]'), "is not a list of read, answer"),
    "system": (GOOD.replace('municipality = "0851"', 'municipality = "x"'), "provider[0].system[0].municipality is not"),
    "system twice": (GOOD + '\n[[provider.system]]\nclient_id = "journal"\nmunicipality = "0101"\n', "provider[0].system[1].client_id is named twice"),
    "name twice": (GOOD + GOOD, "two providers have the same name"),
    "client twice": (GOOD + GOOD.replace('"mitid"', '"other"'), "two providers have the same issuer and client_id"),
    "table": (GOOD.replace("[provider.muni", "claims = 3\n[provider.muni").replace("[provider.claims]", "[provider.x]"), "provider[0].claims is not a table"),
}  # fmt: skip


@pytest.mark.parametrize(("written", "complaint"), FAULTS.values(), ids=FAULTS.keys())
def test_every_fault_of_the_configuration_is_placed(tmp_path: Path, written: str, complaint: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "providers.toml").write_text(written)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(tmp_path / "providers.toml")
    assert complaint in str(caught.value)
    assert "providers.toml" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_configuration(tmp_path / "providers.toml")
