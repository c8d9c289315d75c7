"""`kpro explain`: how an operation is executed: its plan, its one statement, and what PostgreSQL makes of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpro_graph.commands.output import console
from kpro_graph.commands.query import variable
from kpro_graph.commands.serving import run
from kpro_graph.settings import Settings

if TYPE_CHECKING:
    from kpro_graph.actors import Actor
    from kpro_graph.app import Product
    from kpro_graph.execution.compiled import Compiler
    from kpro_graph.execution.shapes import Entry, Object, OneOf, Plan

__all__ = ["outline", "register", "tell"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    file: Annotated[Path, typer.Argument(help="A file with one GraphQL operation.", exists=True, dir_okay=False)],
    as_: Annotated[
        str, typer.Option("--as", help="The demo actor to act as; without one only the plan is shown.")
    ] = "",
    municipality: Annotated[str, typer.Option(help="The actor's municipality.")] = "0101",
    var: Annotated[
        list[str] | None, typer.Option(help="A variable: name=text, or name:=JSON for numbers, lists and objects.")
    ] = None,
) -> None:
    """Show how an operation is executed: what is read by which keys, the SQL, and PostgreSQL's EXPLAIN of it.

    Where the operation is not compiled, it says why. Nothing is read and nothing changed: a mutation is not run.
    """
    variables = dict(variable(text) for text in var or ())
    document = file.read_text()
    from kpro_graph.execution.compiled import Compiler, NotCompiled
    from kpro_graph.schema import make_schema

    compiler = Compiler(make_schema())
    try:
        plan = compiler.prepare(document, variables, None).plan
    except NotCompiled as reason:
        _say("Not compiled", [f"{reason.reason}; the reference execution answers."])
        return
    _say("Plan", outline(plan))
    if as_:
        run(_explain(compiler, document, variables, as_, municipality))


def _say(heading: str, lines: Sequence[str]) -> None:
    console.print(f"[bold]{heading}[/]")
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)


async def _explain(
    compiler: Compiler, document: str, variables: Mapping[str, Any], name: str, municipality: str
) -> None:
    from kpro_graph.actors import Credentials
    from kpro_graph.app import Product
    from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity, load_secret
    from kpro_graph.plugins.host import PluginHost

    settings = Settings.read()
    identity = DemoIdentity(load_secret(settings.folder), DemoDirectory())
    plugins = PluginHost(settings.plugins_folder)
    plugins.add(identity, FOLDER)
    token = identity.issue(name, municipality, timedelta(minutes=5))
    async with Product(settings, plugins, sequencing=False) as product:
        actor = await product.authenticate(Credentials("bearer", token, "127.0.0.1"))
        await tell(product, actor, compiler, document, variables)


async def tell(product: Product, actor: Actor, compiler: Compiler, document: str, variables: Mapping[str, Any]) -> None:
    """Show the statement that would be sent for the actor, and the plan PostgreSQL makes for it in their scope."""
    from kpro_graph.execution.compiled import NotCompiled
    from kpro_graph.schema.context import Operation, Viewer

    class Heard(Exception):
        """The statement and its parameters."""

    class Listening(Operation):
        """An operation whose snapshot tells what it is asked, and answers nothing."""

        async def _open(self) -> Any:
            return self

        async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
            raise Heard(sql, list(arguments))

    try:
        await compiler.run(document, variables, None, Listening(Viewer(product.application, actor)))
    except NotCompiled as reason:
        _say("Not compiled", [f"{reason.reason}; the reference execution answers."])
        return
    except Heard as heard:
        sql, arguments = heard.args
    else:
        _say("SQL", ["None: no row of any table is for this actor, so no table is looked at."])
        return
    _say("SQL", [sql, f"with {len(arguments)} parameters"])
    async with product.database.read(actor) as reading:
        _say("PostgreSQL", [row[0] for row in await reading.fetch(f"EXPLAIN {sql}", arguments)])


def outline(plan: Plan) -> list[str]:
    """Return a plan as an indented tree, a line for each object, list, page and value."""
    return [f"{'  ' * depth}{text}" for depth, text in _object(plan.object, 0)]


def _object(shape: Object | OneOf, depth: int) -> Iterator[tuple[int, str]]:
    from kpro_graph.execution import shapes

    if isinstance(shape, shapes.OneOf):
        for value, (_, each) in shape.kinds.items():
            yield depth, f"{each.type}, where {shape.column} is {value}"
            yield from _object(each, depth + 1)
        return
    for key, entry in shape.entries.items():
        yield from _entry(key, entry, depth)


def _entry(key: str, entry: Entry, depth: int) -> Iterator[tuple[int, str]]:
    from kpro_graph.execution import shapes

    match entry:
        case shapes.Constant(value):
            yield depth, f"{key}: {value}"
        case shapes.Value(name):
            yield depth, f"{key}: column {name}"
        case shapes.Document(name) | shapes.Part(name):
            yield depth, f"{key}: stored JSON {name}"
        case shapes.Attribute(name):
            yield depth, f"{key}: at hand as {name}"
        case shapes.Batch() as batch:
            yield depth, f"{key}: computed once for all rows, of {', '.join(batch.declared.needs)}"
        case shapes.Sub(given, inner):
            yield depth, f"{key}: {'several objects' if given.several else 'an object'} at hand"
            yield from _object(inner, depth + 1)
        case shapes.Choice(rows) | shapes.Picks(_, rows):
            asked = "the id" if isinstance(entry, shapes.Choice) else "each id"
            yield depth, f"{key}: whichever of {len(rows)} types {asked} is of"
            for each in rows:
                yield depth + 1, f"{each.level.cls.__name__}: {_level(each.level)}"
                yield from _object(each.object, depth + 2)
        case shapes.Nested(level, inner) | shapes.Picked(level, inner):
            yield depth, f"{key}: {_level(level)}"
            yield from _object(inner, depth + 1)
        case shapes.Page(level, entries):
            yield depth, f"{key}: {_level(level)}"
            yield from _page(entries, depth + 1)


def _level(level: Any) -> str:
    """Say what is read at one place: from where, by which keys, and what groups of fields the access log names."""
    relation, source = level.relation, level.cls.source
    keys = ", ".join(f"{own} = {theirs}" for own, theirs in relation.by.items())
    parts = [relation.shape.replace("_", " "), f"of {source.table}", f"by {keys}" if keys else ""]
    if relation.arguments:
        parts.append(f"({', '.join(each.name for each in relation.arguments)})")
    if source.subject is not None and level.groups:
        parts.append(f"- noted as {', '.join(sorted(level.groups))}")
    return " ".join(part for part in parts if part)


def _page(entries: Mapping[str, tuple[str, Any]], depth: int) -> Iterator[tuple[int, str]]:
    for key, (name, inner) in entries.items():
        match name:
            case "nodes":
                yield depth, f"{key}: rows"
                yield from _object(inner, depth + 1)
            case "edges":
                yield depth, f"{key}: rows with their places"
                for inner_key, (part, node) in inner.items():
                    yield depth + 1, f"{inner_key}: {part}"
                    if part == "node":
                        yield from _object(node, depth + 2)
            case "totalCount":
                yield depth, f"{key}: count of the whole list"
            case "pageInfo":
                yield depth, f"{key}: {', '.join(inner)}"
            case _:
                yield depth, f"{key}: {inner}"
