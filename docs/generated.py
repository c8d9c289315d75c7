"""The tables in the reference that are made from the code, so that they cannot say anything else.

A page holds ``<!-- generated: NAME -->`` and ``<!-- end -->``; what stands between them is written by this program.
Run it plainly to write, with ``--check`` to fail where a page is not current.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
CODE = DOCS.parent / "kpro_graph"
_BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings() -> str:
    """Return every environment variable with its default and meaning."""
    from kpro_graph.settings import variables

    return _table(
        ("Variable", "Default", "Meaning"),
        ((f"`{name}`", f"`{default}`" if default else "", meaning) for name, default, meaning in variables()),
    )


def refusals() -> str:
    """Return the codes that come as GraphQL errors, with their errors' docstrings."""
    from kpro_graph.errors import Refused, Unavailable

    leaves = [
        each
        for each in _errors()
        if issubclass(each, (Refused, Unavailable)) and each is not Refused and "code" in vars(each)
    ]
    return _table(("Code", "What is the case"), ((f"`{each.code}`", _first(each)) for each in leaves))


def rejections() -> str:
    """Return the codes of expected failures, with the words a person is shown."""
    rows = []
    for each in _errors():
        if _answered(each):
            # Where the words depend on the case, the class has none of its own.
            own = "da" in vars(each)
            rows.append((f"`{each.code}`", _first(each), each.da if own else "", each.en if own else ""))
    return _table(("Code", "What is the case", "Dansk", "English"), rows)


def operators() -> str:
    """Return the errors that end a command, switch a plugin off, or stay within the questionnaire engine."""
    from kpro_graph.errors import KproError, Refused, Rejected, Unavailable

    leaves = [
        each
        for each in _errors()
        if not issubclass(each, (Refused, Unavailable))
        and not _answered(each)
        and each not in {KproError, Rejected}
        and each.code != KproError.code
    ]
    return _table(("Code", "What is the case"), ((f"`{each.code}`", _first(each)) for each in leaves))


def problems() -> str:
    """Return the codes of problems with answers and questionnaires."""
    from kpro_graph.questionnaires.problems import CODES

    return _table(
        ("Code", "Severity", "Dansk", "English"),
        ((f"`{code}`", each.severity.value, _literal(each.da), _literal(each.en)) for code, each in CODES.items()),
    )


def tables() -> str:
    """Return every table with what it is and the personal data it keeps."""
    pages = sorted((CODE / "storage" / "tables").glob("*.py"))
    nodes = [node for page in pages for node in ast.parse(page.read_text(encoding="utf-8")).body]
    rows = []
    for node in nodes:
        if isinstance(node, ast.ClassDef) and "table = " in ast.unparse(node):
            text = inspect.cleandoc(ast.get_docstring(node) or "").replace("\n", " ").replace("``", "`")
            what, _, rest = text.partition("Personal data: ")
            kept, _, more = rest.partition(". ")
            rows.append((f"`{_table_name(node)}`", f"{what.strip()} {more.strip()}".strip(), kept.rstrip(".")))
    return _table(("Table", "What a row is", "Personal data"), rows)


def events() -> str:
    """Return every kind of event."""
    from kpro_graph.events import EventType

    described = _schema().type_map["EventType"].values
    return _table(
        ("Event", "In GraphQL", "What has happened"),
        ((f"`{each.value}`", f"`{each.name}`", described[each.name].description) for each in EventType),
    )


def roles() -> str:
    """Return every role with its identifiers in tokens and what it is for."""
    from kpro_graph.actors import Role

    described = _schema().type_map["Role"].values
    rows = []
    for name, value in described.items():
        role = Role[name]
        # A system's right comes with its registration, not with a privilege.
        named = (f"`{role.user_system_role}`", f"`{role.fut}`") if role is not Role.INTEGRATOR else ("", "")
        rows.append((f"`{name}`", value.description, *named))
    return _table(("Role", "What it is for", "KOMBIT user system role", "FUT"), rows)


def permissions() -> str:
    """Return the permission matrix: how far each permission reaches for whom."""
    from kpro_graph.access import MATRIX
    from kpro_graph.actors import ActorKind, Role

    described = _schema().type_map["Role"].values
    names = {role: described[role.name].description.partition(":")[0] for role in Role}
    names[Role.INTEGRATOR] = "System"
    # What a citizen may comes first, then the six roles as the administration module lists them.
    columns = [ActorKind.CITIZEN, *Role]
    heads = ["Citizen" if isinstance(each, ActorKind) else names[each] for each in columns]
    return _table(
        ("To", *heads),
        (
            (permission.value, *(str(held[each].value) if each in held else "" for each in columns))
            for permission, held in MATRIX.items()
        ),
    )


def permission_fields() -> str:
    """Return the fields of the schema's roots behind each permission, and those that need none, with the reason."""
    from kpro_graph.access import MATRIX
    from kpro_graph.schema.permissions import OPEN, PERMISSIONS

    rows = [
        (permission.value, ", ".join(f"`{name.partition('.')[2]}`" for name in fields))
        for permission in MATRIX
        if (fields := [name for name, needed in PERMISSIONS.items() if needed is permission])
    ]
    rows += [(f"(none) {reason}", f"`{name.partition('.')[2]}`") for name, reason in OPEN.items()]
    return _table(("Permission", "Queries, mutations and subscriptions"), rows)


def operations() -> str:
    """Return every mutation and subscription with who may use it."""
    schema = _schema()
    rows = []
    for kind, root in (("mutation", schema.mutation_type), ("subscription", schema.subscription_type)):
        for name, field in sorted(root.fields.items()):
            sentences = re.split(r"(?<=[.]) ", field.description)
            who = sentences[-1].removeprefix("Roles: ").removeprefix("Role: ").rstrip(".")
            rows.append(
                (kind, f"`{name}`", " ".join(sentences[:-1]), who.removeprefix("For the citizen") or "The citizen")
            )
    return _table(("", "Operation", "What it does", "Who may"), rows)


def commands() -> str:
    """Return every command with its arguments and options, as its own help says them."""
    import typer.main

    from kpro_graph.commands import app

    return "\n".join(_commands(typer.main.get_command(app), "kpro"))


def instruments() -> str:
    """Return every instrument with its licence and source."""
    from kpro_graph.questionnaires.instruments import all as every

    return _table(
        ("Instrument", "Licence, as far as is known", "Wording in the product", "Source"),
        (
            (f"{each.name} (`{each.id}`)", each.licence, "may ship" if each.wording_may_ship else "no", _source(each))
            for each in every()
        ),
    )


GENERATED: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (
        settings,
        refusals,
        rejections,
        operators,
        problems,
        tables,
        events,
        roles,
        permissions,
        permission_fields,
        operations,
        commands,
        instruments,
    )
}


def current(text: str) -> str:
    """Return a page's text with every generated block as it has to be.

    Raises KeyError for a block that nothing makes.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{GENERATED[match[2]]().strip()}\n\n{match[3]}", text)


def pages() -> Iterator[tuple[Path, str, str]]:
    """Yield each page that holds generated blocks, with the text it has and the text it should have."""
    for page in sorted(DOCS.glob("*/*.md")):
        text = page.read_text(encoding="utf-8")
        if _BLOCK.search(text):
            yield page, text, current(text)


def main() -> int:
    """Write or check the pages; the exit code is 1 where a check fails."""
    parser = argparse.ArgumentParser(description="Write the reference tables that are made from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    check = parser.parse_args().check
    stale = [(page, wanted) for page, text, wanted in pages() if text != wanted]
    for page, wanted in stale:
        if check:
            sys.stderr.write(f"docs/{page.relative_to(DOCS)} is not current: run `make docs` and commit it\n")
        else:
            page.write_text(wanted, encoding="utf-8")
    if check and not stale:
        sys.stdout.write("The reference is current.\n")
    return 1 if check and stale else 0


def _errors() -> list[type[Any]]:
    """Return every error of the product, by code, after importing every module that may declare one."""
    import kpro_graph
    from kpro_graph.errors import KproError

    for module in pkgutil.walk_packages(kpro_graph.__path__, "kpro_graph."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[Any]] = set()
    waiting: list[type[Any]] = [KproError]
    while waiting:
        found.add(each := waiting.pop())
        waiting.extend(each.__subclasses__())
    ours = (each for each in found if each.__module__.startswith("kpro_graph."))
    return sorted(ours, key=lambda each: (each.code, each.__name__))


def _answered(each: type[Any]) -> bool:
    """Say whether an error is one that a mutation's result can be: the schema's page of failures names it."""
    from kpro_graph.errors import Rejected

    failures = (CODE / "schema" / "failures.py").read_text(encoding="utf-8")
    named = re.search(rf"\b{each.__name__}\b", failures) is not None
    return issubclass(each, Rejected) and each is not Rejected and named


def _schema() -> Any:
    from graphql import build_schema

    return build_schema((CODE / "schema" / "schema.graphql").read_text(encoding="utf-8"))


def _table_name(node: ast.ClassDef) -> str:
    meta = next(each for each in node.body if isinstance(each, ast.ClassDef) and each.name == "Meta")
    return next(
        str(each.value.value)
        for each in meta.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant) and _named(each) == "table"
    )


def _named(assigned: ast.Assign) -> str:
    return assigned.targets[0].id if isinstance(assigned.targets[0], ast.Name) else ""


def _commands(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for each in sorted(command.commands):
            yield from _commands(command.commands[each], f"{name} {each}")
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    words = [each.name.upper().rstrip("_") + ("..." if each.nargs == -1 else "") for each in arguments]
    yield f"## {name}\n"
    yield f"`{' '.join([name, *words, *(['[OPTIONS]'] if options else [])])}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    rows = [(f"`{word}`", each.help or "") for word, each in zip(words, arguments, strict=True)]
    rows += [(", ".join(f"`{opt}`" for opt in (*each.opts, *each.secondary_opts)), _help(each)) for each in options]
    if rows:
        yield _table(("Argument or option", "Meaning"), rows) + "\n"


def _help(option: Any) -> str:
    default = option.default
    plain = default if isinstance(default, (str, int)) and not isinstance(default, bool) and default != "" else None
    variable = f" Or `{option.envvar}` in the environment." if option.envvar else ""
    text = (option.help or "").strip()
    text += "" if text.endswith(".") else "."
    return text + variable + (f" Default: `{plain}`." if plain is not None else "")


def _first(each: type[Any]) -> str:
    return inspect.cleandoc(each.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _source(instrument: Any) -> str:
    citation = instrument.citation
    return f"{citation.text}, doi {citation.doi}" if citation.doi else str(citation.text)


def _literal(text: str) -> str:
    return re.sub(r"\{(\w+)\}", r"*\1*", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
