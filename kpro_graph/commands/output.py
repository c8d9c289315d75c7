"""What the commands print: words and colour for people, JSON for scripts, problems on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["console", "problem", "progressing", "script"]

console = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)


def problem(text: str) -> None:
    """Say what is wrong, on standard error."""
    _errors.print(f"[bold red]kpro:[/] {text}", soft_wrap=True)


def script(value: Any) -> None:
    """Print one JSON value for a script."""
    if console.is_terminal:
        console.print_json(json.dumps(value))
    else:
        print(json.dumps(value, ensure_ascii=False))  # noqa: T201


@contextmanager
def progressing() -> Iterator[Any]:
    """Give a callback ``(done, total, what)`` that shows progress on standard error while it is called."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=_errors,
        transient=True,
    ) as bar:  # fmt: skip
        tasks: dict[str, Any] = {}

        def advance(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield advance
