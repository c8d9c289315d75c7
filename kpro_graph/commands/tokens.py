"""`kpro token`: a bearer token for someone invented, to try the demo with."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from kpro_graph.commands.output import script
from kpro_graph.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(token)


def token(
    name: Annotated[
        str,
        typer.Argument(
            help="enroller, viewer, monitor, careteam-admin, clinical-admin, questionnaire-editor, citizen, integrator "
            "or integrator-with-answers"
        ),
    ],
    municipality: Annotated[
        str, typer.Option(help="0101 København, 0851 Aalborg, 0810 Brønderslev, 0265 Roskilde")
    ] = "0101",
    hours: Annotated[int, typer.Option(help="How long it is valid.", min=1, max=168)] = 12,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Print a bearer token for a demo actor. It works with `kpro demo` on this machine only."""
    from kpro_graph.plugins.demo_identity import DemoDirectory, DemoIdentity, load_secret

    identity = DemoIdentity(load_secret(Settings.read().folder), DemoDirectory())
    issued = identity.issue(name, municipality, timedelta(hours=hours))
    if json:
        script({"name": name, "municipality": municipality, "token": issued})
    else:
        typer.echo(issued)
