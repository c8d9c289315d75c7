"""The door for plugin authors is small, known and light, and the hooks' reference says what the hooks are."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kpro_graph import plugins as door
from kpro_graph.plugins import hookspecs
from kpro_graph.plugins.host import PluginHost, PluginOrigin, PluginState
from kpro_graph.plugins.implementations import HOOKS

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
HEAVY = ("tortoise", "asyncpg", "strawberry", "graphql", "starlette", "uvicorn", "joserfc", "authlib", "fhirpathpy")


def test_the_door_is_what_it_was() -> None:
    assert door.__all__ == [
        "ActorKind",
        "AssuranceLevel",
        "Credentials",
        "Grant",
        "Identity",
        "IdentityProvider",
        "NotAuthenticated",
        "QuestionnaireBundle",
        "Representation",
        "Right",
        "Role",
        "Unavailable",
        "hookimpl",
        "read_bundles",
    ]
    assert all(hasattr(door, name) for name in door.__all__)


def test_importing_the_door_loads_no_database_and_no_web_framework() -> None:
    code = f"import sys, kpro_graph.plugins; print(*(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == ""


def test_loading_the_host_loads_no_database_and_no_web_framework() -> None:
    code = f"import sys, kpro_graph.plugins.host; print(*(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == ""


def test_every_hook_is_in_the_reference_with_its_exact_signature() -> None:
    documented = re.findall(r"^## `(\w+)(\(.*?\) -> .*)`$", REFERENCE, re.MULTILINE)
    assert dict(documented) == {name: written(signature) for name, signature in HOOKS.items()}


def test_every_hook_in_the_reference_says_what_it_promises_and_how_it_fails() -> None:
    sections = re.split(r"^## ", REFERENCE, flags=re.MULTILINE)
    for name in HOOKS:
        (section,) = (each for each in sections if each.startswith(f"`{name}("))
        for heading in ("Asked", "Promise", "If it fails"):
            assert f"**{heading}.**" in section, (name, heading)


def test_every_hook_has_a_promise_in_its_docstring_and_a_test_of_its_name() -> None:
    tests = (Path(__file__).parent / "test_plugin_host.py").read_text(encoding="utf-8")
    for name in HOOKS:
        assert (getattr(hookspecs, name).__doc__ or "").strip().startswith("Return ")
        assert f"test_hook_{name}" in tests


def test_the_reference_names_everything_behind_the_door() -> None:
    for name in door.__all__:
        assert f"`{name}`" in REFERENCE, name


async def test_the_references_example_runs_as_it_stands(
    plugins: Path, write_plugin: Callable[..., Path], questionnaire: Callable[..., bytes]
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)
    (manifest,) = re.findall(r"^```toml\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)
    write_plugin("example", code, content={"a": questionnaire("a")}, manifest=manifest)
    host = PluginHost(plugins, installed=False)
    await host.start(strict=True)
    (status,) = (each for each in host.plugins if each.origin is PluginOrigin.FOLDER)
    assert (status.id, status.state) == ("center-for-kraeft", PluginState.RUNNING)
    assert status.questionnaires == ("https://example.org/Questionnaire/a|1.0.0",)


def test_every_state_is_in_the_reference() -> None:
    assert re.findall(r"^\| `([A-Z]+)` \|", REFERENCE, re.MULTILINE) == [state.value for state in PluginState]


def written(signature: inspect.Signature) -> str:
    return str(signature).replace("'", "")
