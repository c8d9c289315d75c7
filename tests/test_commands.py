"""The `kpro` command: help, tokens, the schema snapshot, imports, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.living import Api


def kpro(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "kpro_graph", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=110,
        env={**os.environ, "KPRO_FOLDER": str(folder), "NO_COLOR": "1", "COLUMNS": "200", **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "command", [(), ("demo",), ("serve",), ("worker",), ("migrate",), ("schema",), ("token",), ("query",), ("questionnaire",), ("questionnaire", "import")]
)  # fmt: skip
def test_every_command_explains_itself(command: tuple[str, ...], tmp_path: Path) -> None:
    shown = kpro(*command, "--help", folder=tmp_path)
    assert shown.returncode == 0
    assert "Usage" in shown.stdout
    assert len(shown.stdout) > 200


def test_a_wrong_option_is_usage_and_a_wrong_setting_is_a_reason(tmp_path: Path) -> None:
    assert kpro("serve", "--no-such-option", folder=tmp_path).returncode == 2
    refused = kpro("migrate", folder=tmp_path, KPRO_DATABASE_URL="mysql://x")
    assert refused.returncode == 1
    assert "KPRO_DATABASE_URL must begin with postgresql://" in refused.stderr
    assert "Traceback" not in refused.stderr
    elsewhere = kpro("demo", "--host", "0.0.0.0", folder=tmp_path)
    assert (elsewhere.returncode, "this machine only" in elsewhere.stderr) == (1, True)


def test_a_token_is_printed_for_people_and_for_scripts(tmp_path: Path) -> None:
    plain = kpro("token", "enroller", "--municipality", "0851", folder=tmp_path)
    assert plain.stdout.count(".") == 2
    script = json.loads(kpro("token", "citizen", "--json", folder=tmp_path).stdout)
    assert script["name"] == "citizen"
    unknown = kpro("token", "nobody", folder=tmp_path)
    assert (unknown.returncode, "enroller" in unknown.stderr) == (1, True)


def test_the_schema_snapshot_is_current(tmp_path: Path) -> None:
    assert kpro("schema", "--check", folder=tmp_path).returncode == 0
    printed = kpro("schema", folder=tmp_path).stdout
    assert printed == (ROOT / "kpro_graph" / "schema" / "schema.graphql").read_text()


def importing(api: Api, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `kpro questionnaire import` against the module's world."""
    import base64

    settings = api.product.settings
    assert settings.secret is not None
    return kpro(
        "questionnaire", "import", *arguments, folder=tmp_path,
        KPRO_DATABASE_URL=settings.database_url or "", KPRO_SECRET=base64.b64encode(settings.secret).decode(),
    )  # fmt: skip


FORM = {
    "resourceType": "Questionnaire",
    "url": "https://example.org/Questionnaire/a-form",
    "version": "1.0.0",
    "name": "AForm",
    "title": "Et skema",
    "status": "draft",
    "language": "da",
    "item": [{"linkId": "1", "type": "integer", "text": "Hvor mange?"}],
}


async def test_an_import_is_idempotent_and_a_changed_content_under_one_version_is_refused(
    api: Api, tmp_path: Path
) -> None:
    import asyncio

    file = tmp_path / "form.json"
    file.write_text(json.dumps(FORM))
    run = asyncio.to_thread
    first = await run(importing, api, tmp_path, str(file), "--municipality", "0101", "--activate", "--json")
    assert json.loads(first.stdout)["created"] is True, first.stderr
    again = await run(importing, api, tmp_path, str(file), "--municipality", "0101", "--activate", "--json")
    assert json.loads(again.stdout) | {"created": True} == json.loads(first.stdout)
    assert json.loads(again.stdout)["created"] is False
    file.write_text(json.dumps(FORM | {"title": "Noget andet"}))
    other = await run(importing, api, tmp_path, str(file), "--municipality", "0101")
    assert (other.returncode, "new version number" in other.stderr) == (1, True)
    found = await api.run("questionnaires", "enroller", url=FORM["url"])
    assert [node["title"] for node in found["questionnaires"]["nodes"]] == ["Et skema"]
    elsewhere = await api.run("questionnaires", "enroller", "0851", url=FORM["url"])
    assert elsewhere["questionnaires"]["nodes"] == []


async def test_one_refused_file_names_its_faults_and_the_others_are_taken_in(api: Api, tmp_path: Path) -> None:
    import asyncio

    good, bad, broken = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "broken.json"
    good.write_text(json.dumps(FORM | {"url": "https://example.org/Questionnaire/good"}))
    bad.write_text(json.dumps(FORM | {"item": [{"linkId": "1", "type": "integer"}, {"linkId": "1", "type": "date"}]}))
    broken.write_text("{")
    done = await asyncio.to_thread(importing, api, tmp_path, str(good), str(bad), str(broken), "--json")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [outcome["imported"] for outcome in outcomes] == [True, False, False], done.stderr
    assert outcomes[1]["problems"][0]["location"].startswith("Questionnaire.item")


async def test_a_municipality_is_added_and_takes_in_its_own_questionnaires(api: Api, tmp_path: Path) -> None:
    import asyncio
    import base64

    settings = api.product.settings
    environment = {
        "KPRO_MIGRATION_URL": api.product.databases.need("owner"),
        "KPRO_DATABASE_URL": api.product.databases.need("api"),
        "KPRO_SECRET": base64.b64encode(settings.secret or b"").decode(),
    }
    file = tmp_path / "form.json"
    file.write_text(json.dumps(FORM))
    arguments = ("questionnaire", "import", str(file), "--municipality", "0461")
    early = await asyncio.to_thread(kpro, *arguments, folder=tmp_path, **environment)
    assert (early.returncode, "not in this installation" in early.stderr) == (1, True)
    for name in ("Odense", "Odense Kommune"):
        added = await asyncio.to_thread(
            kpro, "municipality", "0461", name, "--cvr", "35209115", folder=tmp_path, **environment
        )
        assert added.returncode == 0, added.stderr
    assert (await asyncio.to_thread(kpro, *arguments, folder=tmp_path, **environment)).returncode == 0
    wrong = await asyncio.to_thread(kpro, "municipality", "461", "x", "--cvr", "1", folder=tmp_path, **environment)
    assert wrong.returncode == 1


async def test_what_plugins_bring_lands_as_drafts_and_never_becomes_active_by_itself(api: Api) -> None:
    async with api.product.database.peek(0, 101) as connection:
        before = await connection.fetch("SELECT id, status FROM questionnaire ORDER BY id")
    await api.product.stock()
    async with api.product.database.peek(0, 101) as connection:
        assert await connection.fetch("SELECT id, status FROM questionnaire ORDER BY id") == before
