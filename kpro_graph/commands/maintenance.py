"""`kpro migrate` and `kpro schema`: the database's shape and the API's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpro_graph.commands.output import console, script
from kpro_graph.commands.serving import run
from kpro_graph.errors import BadInput, ConfigurationError
from kpro_graph.settings import Settings

__all__ = ["SNAPSHOT", "register"]

SNAPSHOT = Path(__file__).parent.parent / "schema" / "schema.graphql"
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    app.command()(municipality)
    app.command()(schema)


def migrate(json: _Json = False) -> None:
    """Bring the database to the present shape, as the owner's role (KPRO_MIGRATION_URL). Safe to run again."""
    applied: list[str] = run(_migrate())
    if json:
        script({"applied": applied})
    else:
        console.print(f"Applied: {', '.join(applied)}." if applied else "The database is up to date.")


async def _migrate() -> list[str]:
    from kpro_graph.app import databases
    from kpro_graph.storage.migrate import migrate as apply

    async with databases(Settings.read()) as urls:
        return await apply(urls.need("owner"))


def municipality(
    code: Annotated[str, typer.Argument(help="The four-digit municipality code, such as 0101.")],
    name: Annotated[str, typer.Argument(help="The municipality's name.")],
    cvr: Annotated[str, typer.Option(help="The municipality's CVR number, eight digits.")],
    json: _Json = False,
) -> None:
    """Add a municipality to the installation, as the owner's role (KPRO_MIGRATION_URL), or correct its name."""
    if not (code.isdigit() and len(code) == 4 and code != "0000"):
        raise BadInput("a municipality code has four digits and is not 0000", path="code")
    if not (cvr.isdigit() and len(cvr) == 8):
        raise BadInput("a CVR number has eight digits", path="cvr")
    run(_municipality(code, name, cvr))
    if json:
        script({"code": code, "name": name})
    else:
        console.print(f"{name} ({code}) is part of this installation.")


async def _municipality(code: str, name: str, cvr: str) -> None:
    from kpro_graph.app import databases
    from kpro_graph.storage.owner import add_municipality

    async with databases(Settings.read()) as urls:
        await add_municipality(urls.need("owner"), int(code), name, cvr)


def schema(
    check: Annotated[bool, typer.Option("--check", help="Fail if the committed snapshot differs.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the snapshot that is committed.")] = False,
) -> None:
    """Print the GraphQL schema (SDL), check the committed snapshot of it, or write it."""
    from kpro_graph.schema import make_schema

    text = make_schema().as_str() + "\n"
    if check:
        if not SNAPSHOT.exists() or SNAPSHOT.read_text() != text:
            raise ConfigurationError("schema.graphql is not current: run `make schema` and commit it")
        console.print("schema.graphql is current.")
    elif write:
        SNAPSHOT.write_text(text)
        console.print(f"Wrote {SNAPSHOT.name}.")
    else:
        typer.echo(text, nl=False)
