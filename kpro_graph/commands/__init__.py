"""The `kpro` command: what a person or a script does with the product from a shell."""

from __future__ import annotations

import sys

import typer

from kpro_graph.commands import (
    access_log,
    evaluating,
    explaining,
    keys,
    maintenance,
    proving,
    query,
    questionnaire,
    serving,
    tokens,
)
from kpro_graph.commands.output import problem
from kpro_graph.errors import KproError

__all__ = ["app", "main"]

app = typer.Typer(
    name="kpro",
    help="Patient-reported outcomes for municipalities, as a GraphQL API with plugins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
serving.register(app)
maintenance.register(app)
tokens.register(app)
query.register(app)
explaining.register(app)
evaluating.register(app)
proving.register(app)
app.add_typer(questionnaire.app, name="questionnaire")
app.add_typer(access_log.app, name="access-log")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run the command. Exit codes: 0 done, 1 it failed for a reason that is printed, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except KproError as error:
        problem(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
