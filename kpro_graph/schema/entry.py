"""Where an operation enters: the one schema object through which HTTP, sockets and tests all run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from kpro_graph.errors import DeadlineExceeded, KproError
from kpro_graph.execution.compiled import Compiler, NotCompiled, Subscribed
from kpro_graph.execution.limits import Limits
from kpro_graph.schema.audiences import Audiences
from kpro_graph.schema.context import Answer, Application, Operation, Viewer
from kpro_graph.schema.deadline import Deadline
from kpro_graph.schema.errors import public
from kpro_graph.storage.replicas import ReplicaLost

__all__ = ["Bounding", "KproSchema", "Naming"]


class KproSchema(strawberry.Schema):
    """Strawberry's schema, with an operation of its own around each execution."""

    async def execute(
        self, query: Any, variable_values: Any = None, context_value: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a query or mutation; its access log is committed before the result is returned."""
        return await _attempted(
            context_value,
            lambda deadline: self._refer(deadline, query, variable_values, context_value, *args, **kwargs),
        )

    async def _refer(
        self, deadline: Deadline, query: Any, variable_values: Any, context_value: Any, *args: Any, **kwargs: Any
    ) -> Any:
        operation = _operation(context_value, kwargs.get("operation_name"))
        operation.deadline = deadline
        try:
            result = await super().execute(query, variable_values, operation, *args, **kwargs)
        except BaseException as error:
            await operation.abandon(error)
            raise
        if lost := _broken_off(result, ReplicaLost):
            await operation.abandon(lost)
            raise lost
        return await _ended(result, operation.end)

    def __init__(self, *args: Any, limits: Limits | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.compiler = Compiler(self, word=public, limits=limits)
        self._following: dict[int, Audiences] = {}
        self._answering: set[asyncio.Future[Any]] = set()

    async def answer(
        self, query: str, variables: dict[str, Any] | None, viewer: Viewer, operation_name: str | None
    ) -> Answer | Any:
        """Run a query or mutation compiled, or else as `execute` does; its log is committed before it returns."""
        return await _attempted(
            viewer, lambda deadline: self._answer(deadline, query, variables, viewer, operation_name)
        )

    async def _answer(
        self,
        deadline: Deadline,
        query: str,
        variables: dict[str, Any] | None,
        viewer: Viewer,
        operation_name: str | None,
    ) -> Answer | Any:
        operation = _operation(viewer, operation_name)
        operation.compiled, operation.deadline = True, deadline
        try:
            body = await self.compiler.run(query, variables, operation_name, operation)
            await operation.end()
        except NotCompiled as reason:
            await operation.abandon(reason)
            viewer.finished = reason.finished
            viewer.explain(f"reference; {reason.reason}")
            return await self._refer(deadline, query, variables, viewer, operation_name=operation_name)
        except ReplicaLost as lost:
            await operation.abandon(lost)
            raise
        except Exception as error:
            fault = error
            try:
                await operation.abandon(error)
            except Exception as said:
                # The door's own word for it, such as that the database is away.
                fault = said
            return _failed(fault)
        except BaseException as error:
            await operation.abandon(error)
            raise
        viewer.explain("compiled")
        return Answer(body)

    async def stream(
        self, query: Any, variable_values: Any = None, context_value: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Run an operation as a stream of results; each is one reading with its own access log."""
        operation = _operation(context_value, kwargs.get("operation_name"))
        if operation.viewer.peer is not None:
            # A socket outlives its owner's rights: whoever asks on one is asked again who they are.
            with contextlib.suppress(KproError):
                await operation.viewer.renew()
        if operation.viewer.peer is not None and isinstance(query, str):
            with contextlib.suppress(NotCompiled):
                name = kwargs.get("operation_name")
                subscribed = self.compiler.subscription(query, variable_values, name)
                if subscribed is None:
                    return self._once(query, variable_values, replace(operation.viewer), name)
                if _open_to(subscribed, operation.viewer):
                    audiences = self._audiences(operation.application)
                    return audiences.follow(operation.viewer, subscribed.definition.metadata["followed"], subscribed)
        results = await super().stream(query, variable_values, operation, *args, **kwargs)
        return self._each(operation, results)

    def _audiences(self, application: Application) -> Audiences:
        found = self._following.get(id(application))
        if found is None or found.application is not application:
            found = self._following[id(application)] = Audiences(application)
        return found

    async def _once(
        self, query: str, variables: dict[str, Any] | None, viewer: Viewer, name: str | None
    ) -> AsyncIterator[Any]:
        """Answer a query or mutation that was sent on a socket; one that is closed meanwhile ends no change."""
        left = asyncio.Event()
        viewer.leaving = left.wait
        answering = asyncio.ensure_future(self.answer(query, variables, viewer, name))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        try:
            yield await asyncio.shield(answering)
        finally:
            left.set()

    async def _each(self, operation: Operation, results: Any) -> AsyncIterator[Any]:
        try:
            async for result in results:
                if over := _broken_off(result, DeadlineExceeded):
                    # Whoever subscribed goes on from the last cursor.
                    await operation.abandon(over)
                    yield _failed(over)
                    return
                yield await _ended(result, operation.settle)
        except GraphQLError as error:
            # A syntax error found by the parser cache is raised instead of returned.
            yield PreExecutionError(data=None, errors=public([error]))
        except (GeneratorExit, asyncio.CancelledError) as error:
            await operation.abandon(error)
            raise
        finally:
            close = getattr(results, "aclose", None)
            if close is not None:
                await close()

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Keep strawberry from logging exception texts; faults are logged, redacted, where they are masked."""


class Bounding(SchemaExtension):
    """Refuse what is beyond a limit before anything of it is run."""

    def on_parse(self) -> Iterator[None]:
        """Measure the operation; what is wrong with it otherwise is found by those who come after."""
        asked = self.execution_context
        schema: Any = asked.schema
        if asked.query is not None:
            schema.compiler.bound(asked.query, asked.variables, asked.operation_name)
        yield


class Naming(SchemaExtension):
    """Tell the operation its name, so that the access log can say what was asked."""

    def on_execute(self) -> Iterator[None]:
        """Note the name, chosen by the caller or written in the document."""
        context = self.execution_context
        context.context.name = context.operation_name or ""
        yield

    def on_validate(self) -> Iterator[None]:
        """Note whether nothing is changed, which is known once the document is parsed."""
        yield
        context = self.execution_context
        if context.graphql_document is not None and context.operation_type is OperationType.QUERY:
            context.context.looking = True


def _open_to(subscribed: Subscribed, viewer: Viewer) -> bool:
    """Say whether every field asked for is one this actor may have; else each delivery holds an error."""
    actor = viewer.actor
    return actor is not None and all(
        each.allowed is None or each.allowed(actor) for each in subscribed.prepared.plan.allowed
    )


async def _attempted(viewer: Any, run: Callable[[Deadline], Awaitable[Any]]) -> Any:
    """Run an operation until its deadline, and once more on the primary where a replica has let it down."""
    assert isinstance(viewer, Viewer)
    try:
        async with Deadline(viewer.application.database.deadline, viewer.leaving) as deadline:
            try:
                return await run(deadline)
            except ReplicaLost:
                viewer.known = None
                return await run(deadline)
    except DeadlineExceeded as over:
        return _failed(over)


def _failed(error: Exception) -> ExecutionResult:
    return ExecutionResult(data=None, errors=public([GraphQLError("", original_error=error)]))


def _broken_off(result: Any, by: type[KproError]) -> KproError | None:
    """Return the first error of this kind that a field ended in; what the others gave is not sent then."""
    for error in getattr(result, "errors", None) or ():
        if isinstance(error.original_error, by):
            return error.original_error
    return None


def _operation(context: Any, name: str | None) -> Operation:
    assert isinstance(context, Viewer)
    return Operation(context, name or "")


async def _ended(result: Any, settle: Callable[[], Awaitable[None]]) -> Any:
    """Commit what the operation read; without that there is no answer."""
    if not isinstance(result, ExecutionResult):
        return result
    try:
        await settle()
    except Exception as error:
        fault = GraphQLError("", original_error=error)
        return replace(result, data=None, errors=public([fault]))
    if result.errors:
        result.errors = public(result.errors)
    return result
