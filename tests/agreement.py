"""Both executions must agree: what the compiled one answers and notes is what the reference one does."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import strawberry

from kpro_graph.actors import Actor
from kpro_graph.execution.compiled import Compiler, NotCompiled
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Application, Operation, Viewer

__all__ = ["agree", "run_both"]

SCHEMA = make_schema()
COMPILER = Compiler(SCHEMA)

Outcome = tuple[Any, Any]


class _LetGoError(Exception):
    """Ends a snapshot without its lines in the access log."""


async def run_both(
    application: Application, actor: Actor | None, document: str, variables: dict[str, Any] | None = None
) -> tuple[Outcome, Outcome] | NotCompiled:
    """Return what the compiled and the reference execution answer and note for the access log.

    Nothing is committed: both snapshots are let go. Gives the reason instead where the operation is not compiled.
    """
    viewer = Viewer(application, actor)
    compiled, reference = Operation(viewer), Operation(viewer)
    try:
        data = json.loads(await COMPILER.run(document, variables, None, compiled))["data"]
        first = data, _noted(compiled)
    except NotCompiled as reason:
        return reason
    finally:
        await _let_go(compiled)
    try:
        result: Any = await strawberry.Schema.execute(SCHEMA, document, variables, reference)
        assert not result.errors, result.errors
        return first, (json.loads(json.dumps(result.data)), _noted(reference))
    finally:
        await _let_go(reference)


async def agree(
    application: Application, actor: Actor | None, document: str, variables: dict[str, Any] | None = None
) -> NotCompiled | None:
    """Assert that both executions give the same answer and the same lines; return why it was not compiled, if so."""
    both = await run_both(application, actor, document, variables)
    if isinstance(both, NotCompiled):
        return both
    (compiled, its_lines), (reference, their_lines) = both
    assert compiled == reference, document
    assert its_lines == their_lines, document
    return None


def _noted(operation: Operation) -> Any:
    return {} if operation._reading is None else dict(operation._reading._seen)


async def _let_go(operation: Operation) -> None:
    with suppress(_LetGoError):
        await operation.abandon(_LetGoError())
