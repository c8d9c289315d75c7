"""The demo's sign-in lets invented people in from the same machine, and nobody else."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Identity, Role
from kpro_graph.cpr import redact
from kpro_graph.demography import Demography
from kpro_graph.errors import BadInput, ConfigurationError, NotAuthenticated
from kpro_graph.plugins.demo_identity import ACTORS, FOLDER, LONGEST, DemoDirectory, DemoIdentity, load_secret
from kpro_graph.plugins.host import PluginHost

SECRET = bytes(range(32))
NOW = 1_795_000_000
CODES = ("0101", "0851", "0810", "0265")
CLAIMS = {
    "iss": "https://kpro-graph.dk/demo",
    "aud": "kpro_graph",
    "sub": "enroller",
    "kpro:municipality": "0101",
    "iat": NOW,
    "exp": NOW + 3600,
}


@pytest.fixture
def demo() -> DemoIdentity:
    return DemoIdentity(SECRET, DemoDirectory(1), now=lambda: NOW)


def sign(claims: Mapping[str, object], secret: bytes = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"alg": algorithm}, dict(claims), OctKey.import_key(secret), algorithms=[algorithm])


async def identify(demo: DemoIdentity, token: str, client: str = "127.0.0.1") -> Identity | None:
    return await demo.identify(Credentials("bearer", token, client))


@pytest.fixture
async def host(demo: DemoIdentity) -> PluginHost:
    host = PluginHost(installed=False)
    host.add(demo, FOLDER)
    await host.start(strict=True)
    return host


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", ACTORS)
async def test_every_demo_actor_signs_in_through_the_host(
    host: PluginHost, demo: DemoIdentity, name: str, code: str
) -> None:
    identity = await host.identify(Credentials("bearer", demo.issue(name, code), "127.0.0.1"))
    assert (identity.provider, identity.municipality) == ("demo", code)
    assert identity.assurance is AssuranceLevel.SUBSTANTIAL
    assert str(UUID(identity.subject)) == identity.subject
    assert identity.name


def grant_of(name: str, code: str = "0101") -> tuple[set[Role], dict[str, set[str]]]:
    identity = DemoDirectory(1).find(name, code)
    assert identity is not None
    (grant,) = identity.grants
    return set(grant.roles), {constraint: set(values) for constraint, values in grant.constraints.items()}


@pytest.mark.parametrize("code", CODES)
def test_actors_are_scoped_as_their_roles_are(code: str) -> None:
    demography = Demography(1)
    teams = demography.care_teams(code)
    first = str(teams[0].id)
    assert grant_of("enroller", code) == ({Role.CITIZEN_ENROLLER}, {"organisation_unit": {str(teams[0].unit)}})
    assert grant_of("viewer", code) == ({Role.CLINICAL_VIEWER}, {"care_team": {first}})
    assert grant_of("monitor", code) == ({Role.MONITORING_ASSISTOR}, {"care_team": {first}})
    # The issuer names every unit beneath the one a right is held in; nothing is implied.
    everyone = {"organisation_unit": {str(unit.id) for unit in demography.organisation_units(code)}}
    assert grant_of("careteam-admin", code) == ({Role.CARETEAM_ADMINISTRATOR}, everyone)
    assert grant_of("clinical-admin", code) == ({Role.CLINICAL_ADMINISTRATOR}, everyone)
    assert grant_of("questionnaire-editor", code) == ({Role.QUESTIONNAIRE_EDITOR}, everyone)
    assert grant_of("security-officer", code) == ({Role.SECURITY_OFFICER}, everyone)


def test_the_citizen_is_citizen_nought() -> None:
    identity = DemoDirectory(1).find("citizen", "0851")
    citizen = Demography(1).citizen("0851", 0)
    assert identity is not None
    assert (identity.kind, identity.cpr, identity.name) == (ActorKind.CITIZEN, citizen.cpr, citizen.name)
    assert identity.grants == ()


def test_employees_are_those_of_the_demos_people() -> None:
    people = {str(each.id): each for each in Demography(1).employees("0265")}
    for name in ACTORS[:6]:
        identity = DemoDirectory(1).find(name, "0265")
        assert identity is not None
        assert identity.kind is ActorKind.EMPLOYEE
        assert (identity.name, identity.cpr) == (people[identity.subject].name, people[identity.subject].cpr)


def test_integrators_differ_in_whether_they_may_have_answers() -> None:
    assert grant_of("integrator") == ({Role.INTEGRATOR}, {})
    assert grant_of("integrator-with-answers") == ({Role.INTEGRATOR}, {"answers": {"read"}})
    subjects = {DemoDirectory(1).find(name, code).subject for name in ACTORS[-2:] for code in CODES}  # type: ignore[union-attr]
    assert len(subjects) == 8


@pytest.mark.parametrize("name", ACTORS)
def test_a_token_holds_no_cpr_number(demo: DemoIdentity, name: str) -> None:
    payload = demo.issue(name, "0101").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims == {**CLAIMS, "sub": name, "exp": NOW + 12 * 3600}
    assert redact(json.dumps({**claims, "iat": 0, "exp": 0})) == json.dumps({**claims, "iat": 0, "exp": 0})


@pytest.mark.parametrize(
    ("name", "code", "lifetime", "path"),
    [
        ("director", "0101", timedelta(hours=1), "name"),
        ("viewer", "0751", timedelta(hours=1), "municipality"),
        ("viewer", "0101", timedelta(0), "lifetime"),
        ("viewer", "0101", LONGEST + timedelta(seconds=1), "lifetime"),
    ],
)
def test_a_token_is_issued_for_the_demos_people_only(
    demo: DemoIdentity, name: str, code: str, lifetime: timedelta, path: str
) -> None:
    with pytest.raises(BadInput) as caught:
        demo.issue(name, code, lifetime)
    assert caught.value.path == path


LOOPBACK = ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::1%lo")
ELSEWHERE = (
    "",
    "10.0.0.7",
    "::ffff:10.0.0.7",
    "2001:db8::1",
    "0.0.0.0",
    "localhost",
    "testclient",
    "127.0.0.1, 8.8.8.8",
)


@pytest.mark.parametrize("client", LOOPBACK)
async def test_callers_on_the_same_machine_are_let_in(demo: DemoIdentity, client: str) -> None:
    assert await identify(demo, demo.issue("viewer", "0101"), client) is not None


@pytest.mark.parametrize("client", ELSEWHERE)
async def test_callers_from_elsewhere_are_not(demo: DemoIdentity, client: str) -> None:
    with pytest.raises(NotAuthenticated, match="from this machine only"):
        await identify(demo, demo.issue("viewer", "0101"), client)


UNSIGNED = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "none", "typ": "JWT"}, CLAIMS)
)

BAD = {
    "alg none": UNSIGNED + ".",
    "no signature": UNSIGNED + ".AAAA",
    "a foreign secret": sign(CLAIMS, bytes(32)),
    "another algorithm": sign(CLAIMS, SECRET + SECRET, "HS512"),
    "the right secret with another algorithm": jwt.encode(
        {"alg": "HS384"}, dict(CLAIMS), OctKey.import_key(SECRET * 2), algorithms=["HS384"]
    ),
    "an asymmetric algorithm": jwt.encode(
        {"alg": "RS256"}, dict(CLAIMS), RSAKey.generate_key(2048), algorithms=["RS256"]
    ),
    "wrong audience": sign({**CLAIMS, "aud": "another"}),
    "no audience": sign({key: value for key, value in CLAIMS.items() if key != "aud"}),
    "no expiry": sign({key: value for key, value in CLAIMS.items() if key != "exp"}),
    "no time of issue": sign({key: value for key, value in CLAIMS.items() if key != "iat"}),
    "issued in the future": sign({**CLAIMS, "iat": NOW + 60}),
    "valid for too long": sign({**CLAIMS, "exp": NOW + LONGEST.total_seconds() + 1}),
    "an expiry in words": sign({**CLAIMS, "exp": "tomorrow"}),
    "an unknown actor": sign({**CLAIMS, "sub": "director"}),
    "no actor": sign({key: value for key, value in CLAIMS.items() if key != "sub"}),
    "an unknown municipality": sign({**CLAIMS, "kpro:municipality": "0751"}),
    "several municipalities": sign({**CLAIMS, "kpro:municipality": list(CODES)}),
    "no municipality": sign({key: value for key, value in CLAIMS.items() if key != "kpro:municipality"}),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
async def test_a_token_that_does_not_hold_signs_nobody_in(host: PluginHost, demo: DemoIdentity, token: str) -> None:
    with pytest.raises(NotAuthenticated, match="the demo token does not hold"):
        await identify(demo, token)
    with pytest.raises(NotAuthenticated, match="the demo token does not hold"):
        await host.identify(Credentials("bearer", token, "127.0.0.1"))


async def test_a_changed_token_does_not_hold(demo: DemoIdentity) -> None:
    header, _, signature = demo.issue("viewer", "0101").split(".")
    other = demo.issue("enroller", "0101").split(".")[1]
    with pytest.raises(NotAuthenticated, match="does not hold"):
        await identify(demo, f"{header}.{other}.{signature}")


async def test_an_expired_token_says_so() -> None:
    directory = DemoDirectory(1)
    token = DemoIdentity(SECRET, directory, now=lambda: NOW - 3600).issue("viewer", "0101", timedelta(hours=1))
    with pytest.raises(NotAuthenticated, match="the demo token has expired"):
        await identify(DemoIdentity(SECRET, directory, now=lambda: NOW), token)
    assert await identify(DemoIdentity(SECRET, directory, now=lambda: NOW - 1), token) is not None


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("basic", "dXNlcjpwYXNz", "127.0.0.1"),
        Credentials("bearer", "", "127.0.0.1"),
        Credentials("bearer", "opaque", "127.0.0.1"),
        Credentials("bearer", "a.b.c", "127.0.0.1"),
        Credentials("bearer", "øæå.øæå.øæå", "127.0.0.1"),
        Credentials("bearer", sign({**CLAIMS, "iss": "https://mitid.example"}), "10.0.0.7"),
    ],
)
async def test_credentials_of_others_are_left_to_others(demo: DemoIdentity, credentials: Credentials) -> None:
    assert await demo.identify(credentials) is None


async def test_without_the_demo_nobody_knows_its_tokens(demo: DemoIdentity) -> None:
    host = PluginHost(installed=False)
    await host.start()
    with pytest.raises(NotAuthenticated, match="no identity provider recognises the credentials"):
        await host.identify(Credentials("bearer", demo.issue("viewer", "0101"), "127.0.0.1"))


def test_the_secret_is_made_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    secret = load_secret(folder)
    (file,) = folder.iterdir()
    assert len(secret) == 32
    assert load_secret(folder) == secret == file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_many_starting_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(load_secret, [tmp_path / "data"] * 64))
    assert len(secrets) == 1
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_a_damaged_secret_is_said(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="is damaged"):
        load_secret(tmp_path)


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be made or read"):
        load_secret(tmp_path / "data")
