"""The house keeps standing: what the code's layout, names and public surfaces promise, read from the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
)

HOUSE = Path(__file__).parent.parent
CODE = HOUSE / "kpro_graph"
LONGEST = 500
BANNED = {"Service", "Manager", "Helper", "Helpers", "Util", "Utils", "Base", "Handler", "Repository", "Data", "Info"}
# Names that specifications give: Relay's page, FHIRPath's reflection.
NAMED_BY_OTHERS = {"PageInfo", "TypeInfo"}
# Put together here, so that this page does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")


def pages(*folders: str) -> list[Path]:
    """Return every Python file under the folders, without what tools have made."""
    found = [
        page
        for folder in folders
        for page in sorted((HOUSE / folder).rglob("*.py"))
        if not {"__pycache__", "node_modules", "_build"} & set(page.parts)
    ]
    assert found, folders
    return found


def place(page: Path) -> str:
    """Return where the page is, as a reader of the repository would say it."""
    return page.relative_to(HOUSE).as_posix()


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for page in pages(*folders):
        yield page, ast.parse(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((CODE / "schema" / "schema.graphql").read_text(encoding="utf-8"))


# --- Layout


def test_the_import_contracts_hold() -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-logo",
            "--no-cache",
        ],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]


def test_every_contract_gives_its_reason() -> None:
    lines = (HOUSE / ".importlinter").read_text(encoding="utf-8").splitlines()
    contracts = [number for number, line in enumerate(lines) if line.startswith("[importlinter:contract:")]
    assert contracts
    assert [lines[number] for number in contracts if not lines[number - 1].startswith("#")] == []


def test_no_contract_is_weakened_by_an_ignored_import() -> None:
    assert "ignore_imports" not in (HOUSE / ".importlinter").read_text(encoding="utf-8")


def test_a_municipalitys_plugin_imports_only_the_door() -> None:
    strangers = [
        f"{place(page)}: {name}"
        for page, tree in trees("plugins")
        for name in _imported(tree)
        if name.split(".")[0] == "kpro_graph" and name != "kpro_graph.plugins"
    ]
    assert strangers == []


def test_importing_the_plugin_door_loads_no_database_and_no_web_framework() -> None:
    heavy = ("asyncpg", "tortoise", "strawberry", "graphql", "starlette", "uvicorn", "typer", "kpro_graph.storage")
    program = f"import sys, kpro_graph.plugins; print(sorted(set({heavy!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_the_questionnaire_engine_looks_at_the_clock_in_one_place_only() -> None:
    """FHIRPath's now() is an argument, and the clock only where none is given; a stopwatch for long expressions is no clock."""
    clocks = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.localtime"}
    looks = [
        place(page)
        for page, tree in trees("kpro_graph/questionnaires")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in clocks
    ]
    assert looks == ["kpro_graph/questionnaires/expressions/reckoning.py"]


def test_a_session_without_an_actor_is_opened_only_to_find_out_who_acts() -> None:
    """`peek` opens one before there is an actor: finding out who it is, also by a cookie, and whether there is an answer."""
    allowed = {"kpro_graph/identity.py", "kpro_graph/sessions.py", "kpro_graph/app.py"}
    callers = {
        place(page)
        for page, tree in trees("kpro_graph")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "peek" and "database" in ast.unparse(node.value)
    }
    assert callers == allowed


# --- Pages and names


def test_no_page_is_longer_than_one_can_hold_in_mind() -> None:
    long = [
        f"{place(page)}: {lines}"
        for page in pages("kpro_graph", "plugins", "docs", "deploy")
        if "migrations" not in page.parts and (lines := len(page.read_text(encoding="utf-8").splitlines())) > LONGEST
    ]
    assert long == []


def test_every_page_opens_with_its_promise() -> None:
    silent = [
        place(page)
        for page, tree in trees("kpro_graph", "plugins")
        if not (ast.get_docstring(tree) or "").strip().split("\n")[0].rstrip().endswith((".", ":"))
    ]
    assert silent == []


def test_no_module_or_class_has_a_name_that_says_nothing() -> None:
    named = [(place(page), page.stem) for page in pages("kpro_graph", "plugins")]
    named += [
        (place(page), node.name)
        for page, tree in trees("kpro_graph", "plugins")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    empty = [(where, name) for where, name in named if name not in NAMED_BY_OTHERS and BANNED & _words(name)]
    assert empty == []


def test_nothing_is_left_for_later() -> None:
    texts = [*pages("kpro_graph", "plugins", "tests", "docs")]
    texts += [path for pattern in ("*.md", ".ci/*", "docs/**/*.md", "examples/*") for path in HOUSE.glob(pattern)]
    texts += [HOUSE / "Makefile", HOUSE / "Dockerfile", HOUSE / "docker-compose.yml", HOUSE / "pyproject.toml"]
    left = [
        f"{place(path)}:{number}"
        for path in texts
        if path.is_file() and "_build" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert left == []


# --- Public surfaces


def test_every_table_states_its_personal_data() -> None:
    pages = sorted((CODE / "storage" / "tables").glob("*.py"))
    nodes = [node for page in pages for node in ast.parse(page.read_text(encoding="utf-8")).body]
    tables = [node for node in nodes if isinstance(node, ast.ClassDef) and "table = " in ast.unparse(node)]
    assert len(tables) > 20
    silent = [node.name for node in tables if "Personal data: " not in (ast.get_docstring(node) or "")]
    assert silent == []


def test_the_committed_schema_is_current() -> None:
    from kpro_graph.commands.maintenance import SNAPSHOT
    from kpro_graph.schema import make_schema

    assert SNAPSHOT.read_text(encoding="utf-8") == make_schema().as_str() + "\n"


def test_everything_in_the_schema_is_described(schema: GraphQLSchema) -> None:
    assert list(_undescribed(schema)) == []


def test_every_change_and_every_subscription_says_who_may(schema: GraphQLSchema) -> None:
    says_who = re.compile(r"(Roles?: [^.]+|For the citizen)\.$")
    roots = [root for root in (schema.mutation_type, schema.subscription_type) if root is not None]
    assert len(roots) == 2
    silent = [
        f"{root.name}.{name}"
        for root in roots
        for name, field in root.fields.items()
        if not says_who.search(field.description or "")
    ]
    assert silent == []


def test_the_schema_calls_nothing_by_a_false_friend(schema: GraphQLSchema) -> None:
    """A journal is a patient record, a case is a sag, a form is a questionnaire: none of them is meant."""
    friends = {"Journal", "Case", "Form"}
    named = [name for name in schema.type_map if not name.startswith("__") and friends & _words(name)]
    assert named == []


def test_the_locks_name_no_registry_and_hash_every_package() -> None:
    locks = sorted((HOUSE / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["prove.txt", "run.txt", "test.txt"]
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^\s*(-i|--(extra-)?index-url|--find-links|--trusted-host)", text, re.MULTILINE)
        pins = re.findall(
            r"^([A-Za-z0-9_.\[\]-]+)==(?:.*\\\n)((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
        )
        assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 0, lock.name


def test_what_runs_is_locked_alike_for_the_product_its_tests_and_its_proofs() -> None:
    run, test, prove = (_pins(HOUSE / "requirements" / f"{name}.txt") for name in ("run", "test", "prove"))
    assert run.items() <= test.items() <= prove.items()


def test_the_node_lock_names_no_registry() -> None:
    for lock in HOUSE.glob("tests/node/package-lock.json"):
        assert '"resolved"' not in lock.read_text(encoding="utf-8")
        assert "omit-lockfile-registry-resolved=true" in lock.with_name(".npmrc").read_text(encoding="utf-8")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            # A submodule may hide behind the name that is imported from the door.
            yield from (
                f"{node.module}.{a.name}"
                for a in node.names
                if (CODE.parent / Path(*node.module.split("."), a.name)).exists()
            )


def _words(name: str) -> set[str]:
    return {word.capitalize() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.\[\]-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def _undescribed(schema: GraphQLSchema) -> Iterator[str]:
    standard = {"String", "Int", "Float", "Boolean", "ID"}
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or name in standard:
            continue
        if not type_.description:
            yield name
        if isinstance(type_, GraphQLEnumType):
            yield from (f"{name}.{value}" for value, made in type_.values.items() if not made.description)
        elif isinstance(type_, GraphQLInputObjectType):
            yield from (f"{name}.{field}" for field, made in type_.fields.items() if not made.description)
        elif isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            for field, made in type_.fields.items():
                if not made.description:
                    yield f"{name}.{field}"
                yield from (f"{name}.{field}({each})" for each, arg in made.args.items() if not arg.description)
