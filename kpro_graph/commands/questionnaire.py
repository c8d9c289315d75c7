"""`kpro questionnaire`: what authors and scripts do with questionnaires."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kpro_graph.commands.output import console, problem, script
from kpro_graph.commands.serving import run
from kpro_graph.errors import BadInput, Rejected
from kpro_graph.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Check questionnaires and take them into the catalogue.", no_args_is_help=True)


@app.callback()
def _questionnaire() -> None:
    """Keep `import` a subcommand, also while it is the only one."""


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="FHIR R4 Questionnaires as JSON.", exists=True, dir_okay=False)],
    municipality: Annotated[
        str, typer.Option(help="Whose library: a four-digit municipality code, or 0000 for the national library.")
    ] = "0000",
    rules: Annotated[
        Path | None, typer.Option(help="The rule set of the questionnaire, as JSON.", exists=True, dir_okay=False)
    ] = None,
    activate: Annotated[bool, typer.Option("--activate", help="Bring each into use at once.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a file, for scripts.")] = False,
) -> None:
    """Take questionnaires into the catalogue, as drafts. The same content again changes nothing.

    Each file stands by itself: one that is refused is named with its reasons and the others are taken in. The exit
    code is 1 if any was refused.
    """
    if not (municipality.isdigit() and len(municipality) == 4):
        raise BadInput("a municipality code has four digits", path="municipality")
    if rules is not None and len(files) > 1:
        raise BadInput("a rule set goes with one questionnaire", path="rules")
    outcomes: list[dict[str, Any]] = run(
        _import(files, int(municipality), None if rules is None else rules.read_bytes(), activate=activate)
    )
    for outcome in outcomes:
        if json:
            script(outcome)
        elif outcome["imported"]:
            state = "is in use" if outcome["status"] == "active" else f"is a {outcome['status']}"
            console.print(f"[green]✓[/] {outcome['file']}: {outcome['url']} {outcome['version']} {state}")
        else:
            problem(f"{outcome['file']} is refused: {outcome['reason']}")
            for fault in outcome["problems"]:
                console.print(f"    {fault['location'] or fault['path']}: {fault['message']}", soft_wrap=True)
    if not all(outcome["imported"] for outcome in outcomes):
        raise typer.Exit(1)


async def _import(files: list[Path], owner: int, rules: bytes | None, *, activate: bool) -> list[dict[str, Any]]:
    from kpro_graph import catalogue, identity
    from kpro_graph.app import databases, load_secret
    from kpro_graph.storage.cipher import Cipher
    from kpro_graph.storage.database import Database
    from kpro_graph.storage.migrate import migrate

    settings = Settings.read()
    outcomes = []
    async with databases(settings) as urls:
        if settings.embedded:
            await migrate(urls.need("owner"))
        ring = Cipher.of(load_secret(settings), settings.keys, settings.folder if settings.embedded else None)
        database = await Database.open(urls.need("api"), ring, size=1, pooled=settings.pooled)
        try:
            for file in files:
                try:
                    async with database.change(identity.operator(owner), "kpro questionnaire import") as change:
                        row, created = await catalogue.install(change, file.read_bytes(), rules)
                        if activate and row.status == catalogue.QuestionnaireStatus.DRAFT:
                            row = await catalogue.activate(change, row.id)
                except Rejected as error:
                    outcomes.append(_refused(file, error))
                else:
                    outcomes.append(
                        {
                            "file": str(file),
                            "imported": True,
                            "created": created,
                            "url": row.url,
                            "version": row.version,
                            "status": row.status,
                        }
                    )
        finally:
            await database.close()
    return outcomes


def _refused(file: Path, error: Rejected) -> dict[str, Any]:
    return {
        "file": str(file),
        "imported": False,
        "reason": str(error),
        "problems": [
            {
                "code": each.code,
                "path": getattr(each, "path", ""),
                "location": getattr(each, "location", ""),
                "message": each.en,
            }
            for each in getattr(error, "problems", ())
        ],
    }
