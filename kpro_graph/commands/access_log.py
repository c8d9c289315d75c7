"""`kpro access-log`: whether the access log is what it was when it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kpro_graph.commands.output import console, problem, script
from kpro_graph.commands.serving import run
from kpro_graph.errors import BadInput
from kpro_graph.settings import Settings

if TYPE_CHECKING:
    from kpro_graph.storage.verification import Report

__all__ = ["app"]

app = typer.Typer(help="The access log: whether it is what it was when it was written.", no_args_is_help=True)


@app.command()
def verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="A file of signed heads; give it again for several. Default: KPRO_ACCESS_LOG_HEADS."),
    ] = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option(
            help="A public key that heads were signed with, as `kpro access-log key` prints it; give it again for "
            "several. Default: the key of this installation."
        ),
    ] = None,
    municipality: Annotated[str | None, typer.Option(help="Only this four-digit municipality code.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Compute the access log again, as the relay's role (KPRO_RELAY_URL), and print a sentence for all that is not so.

    Ends with exit code 1 if anything is found. It reads every line, so it takes its time.
    """
    if municipality is not None and not (municipality.isdigit() and len(municipality) == 4):
        raise BadInput("a municipality code has four digits", path="municipality")
    report: Report = run(_verify(heads, public_key, None if municipality is None else int(municipality)))
    if json:
        script(
            {
                "municipalities": report.municipalities,
                "lines": report.lines,
                "seals": report.seals,
                "heads": report.heads,
                "findings": [
                    {
                        "code": each.code,
                        "municipality": None if each.municipality is None else f"{each.municipality:04d}",
                        "text": each.text,
                    }
                    for each in report.findings
                ],
            }
        )
    else:
        for each in report.findings:
            problem(each.text if each.municipality is None else f"Municipality {each.municipality:04d}: {each.text}")
        held = "Everything holds" if not report.findings else f"{len(report.findings)} findings"
        console.print(
            f"{held}: {report.lines} lines under {report.seals} seals in {report.municipalities} municipalities, "
            f"{report.heads} signed heads."
        )
    if report.findings:
        raise typer.Exit(1)


async def _verify(heads: list[Path] | None, public_keys: list[str] | None, municipality: int | None) -> Report:
    from kpro_graph.app import databases, load_signing_key
    from kpro_graph.storage.verification import verify as compute
    from kpro_graph.storage.witness import PublicKey

    settings = Settings.read()
    keys = [PublicKey.parse(text) for text in public_keys or ()] or [load_signing_key(settings).public]
    async with databases(settings) as urls:
        return await compute(urls.need("relay"), heads or [settings.heads], keys, municipality)


@app.command()
def key(json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False) -> None:
    """Print the public key that heads are verified with, to be kept outside. It is no secret."""
    from kpro_graph.app import load_signing_key

    public = load_signing_key(Settings.read()).public
    if json:
        script({"key": public.name, "publicKey": str(public)})
    else:
        console.print(str(public), soft_wrap=True)
