"""The compiled execution: a query planned once, read with one statement, put together by generated Python to bytes.

It answers the fault-free case and nothing else. What it cannot plan, and a failure to plan or to put together, is said
by `NotCompiled`, and the reference execution runs the operation from the start. A deadline, a cancelled request, a lost
connection or a refused log write is no such failure: it goes to the caller as it is.
"""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    get_named_type,
    get_operation_ast,
    is_abstract_type,
    located_error,
    parse,
    validate,
    visit,
)

from kpro_graph.errors import OperationTooLarge, Refused, Unavailable
from kpro_graph.execution.assembly import Assemble, Run, compile_assembly
from kpro_graph.execution.batches import compute
from kpro_graph.execution.inputs import InvalidVariables, Variables, read_arguments
from kpro_graph.execution.limits import Limits, Measure, measure
from kpro_graph.execution.notes import note_all
from kpro_graph.execution.planning import plan
from kpro_graph.execution.reference import Loading
from kpro_graph.execution.selection import by_key, declaration
from kpro_graph.execution.shapes import Arguments, Given, Level, Plan, Unplannable
from kpro_graph.execution.writing import SKIPPED, Asked, Judged, Statement, ask, judge, write

__all__ = ["Compiler", "NotCompiled", "Prepared", "Subscribed", "answer"]


class NotCompiled(Exception):
    """The reference execution has to answer; ``reason`` says why, in a few words that count alike causes together.

    ``finished`` are the results of mutations that have run already, by their keys: they are not to run again.
    """

    def __init__(self, reason: str, finished: Mapping[str, object] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.finished = finished or {}


class _Judgements:
    """What actors who asked lately may see, plan by plan; a judge says the same of the same actor every time."""

    def __init__(self, size: int = 4000) -> None:
        self._size = size
        # An actor and a plan are kept with what is known of them, so that no other object takes on their identity.
        self._known: OrderedDict[tuple[int, int], tuple[Any, Plan, list[Judged]]] = OrderedDict()

    def of(self, plan: Plan, actor: Any) -> list[Judged]:
        """Return what an actor may see of each level's rows."""
        key = id(actor), id(plan)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = actor, plan, [judge(level, actor) for level in plan.levels]
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found[2]


class _Beyond(NotCompiled):
    """The operation is beyond a limit; the reference execution, which has the same, says so."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__("the operation is beyond a limit")
        self.error = error


@dataclass(slots=True)
class Prepared:
    """A plan with the function that puts its answers together, and the statements written for it so far."""

    plan: Plan
    assemble: Assemble
    judgements: _Judgements
    statements: dict[tuple[object, ...], Statement] = field(default_factory=dict)

    def statement(self, asked: Sequence[Asked]) -> Statement:
        """Return the statement for what is asked, written when its shape is met first."""
        shape = tuple(each.shape for each in asked)
        found = self.statements.get(shape)
        if found is None:
            if len(self.statements) >= _SHAPES:
                self.statements.clear()
            found = self.statements[shape] = write(self.plan, asked)
        return found


# Shapes are made of arguments given or not and of kinds of actors: a handful for any real operation.
_SHAPES = 64


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription, planned: what is followed, with which arguments, and how each payload becomes an answer."""

    document: str
    key: str
    name: str
    definition: Any
    arguments: Mapping[str, Any]
    variables: Any
    prepared: Prepared


@dataclass(slots=True)
class _Operation:
    """A document's operation: parsed, validated, and planned for each choice its directives leave open."""

    node: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    choosing: tuple[str, ...]
    variables: Variables
    arguments: dict[int, Arguments] = field(default_factory=dict)
    measures: dict[Hashable, Measure | GraphQLError] = field(default_factory=dict)
    prepared: dict[Hashable, Prepared | NotCompiled] = field(default_factory=dict)


class Compiler:
    """Compiles and runs the queries and mutations of one schema; keeps the latest ``size`` operations.

    ``counts`` tells how often an operation was compiled (``""``) and how often it was not, by reason. ``word`` turns
    the errors of a mutation's resolver into what callers are shown. ``limits`` hold for all of them.
    """

    def __init__(
        self,
        schema: Any,
        *,
        word: Callable[[list[GraphQLError]], list[GraphQLError]] = list,
        limits: Limits | None = None,
        size: int = 1000,
    ) -> None:
        self._word = word
        self._limits = limits or Limits()
        self._strawberry = schema
        self._schema: GraphQLSchema = schema._schema
        self._size = size
        self._judgements = _Judgements()
        self._operations: OrderedDict[tuple[str, str | None], _Operation | NotCompiled] = OrderedDict()
        self.counts: Counter[str] = Counter()

    async def run(
        self, document: str, variables: Mapping[str, Any] | None, operation_name: str | None, context: Any
    ) -> bytes:
        """Return the answer as JSON. ``context`` has ``loading``, as in the reference execution, and is told ``name``,
        and with ``looking`` that nothing is changed.

        What was read is noted with the reading; committing it before the bytes leave is the caller's.

        Raises:
            NotCompiled: the reference execution has to answer; anything read so far is to be let go.
        """
        try:
            answer = await self._run(document, variables, operation_name, context)
        except NotCompiled as reason:
            self.counts[reason.reason] += 1
            raise
        self.counts[""] += 1
        return answer

    def bound(self, document: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> None:
        """Refuse an operation that is beyond a limit; what is wrong with it otherwise is not said here.

        Raises:
            GraphQLError: caused by `OperationTooLarge`, at the field that goes over.
        """
        try:
            operation = self._operation(document, operation_name)
            self._bound(operation, self._coerced(operation, variables))
        except _Beyond as beyond:
            raise beyond.error from beyond
        except NotCompiled:
            return

    def _bound(self, operation: _Operation, variables: Any) -> None:
        choices = tuple(bool(variables.coerced.get(name)) for name in operation.choosing)
        found = operation.measures.get(choices)
        if found is None:
            root = self._schema.get_root_type(operation.node.operation)
            assert root is not None
            try:
                found = measure(self._schema, operation.fragments, variables, root, [operation.node], self._limits)
            except GraphQLError as error:
                found = error
            operation.measures[choices] = found
        try:
            if isinstance(found, GraphQLError):
                raise found.with_traceback(None)
            found.check(variables.coerced)
        except GraphQLError as error:
            raise _Beyond(error) from error

    def prepare(self, document: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> Prepared:
        """Return the plan of an operation, made when it is met first.

        Raises:
            NotCompiled: it cannot be planned, or the document is none.
        """
        operation = self._operation(document, operation_name)
        if operation.node.operation is not OperationType.QUERY:
            raise NotCompiled("a mutation is planned when it is known what it returned")
        coerced = self._coerced(operation, variables)
        self._bound(operation, coerced)
        return self._prepared(operation, coerced)

    def subscription(
        self, document: str, variables: Mapping[str, Any] | None, operation_name: str | None
    ) -> Subscribed | None:
        """Return a subscription's plan, or None where the document's operation is no subscription.

        Raises:
            NotCompiled: it cannot be planned, or the document is none.
        """
        operation = self._operation(document, operation_name)
        root = self._schema.subscription_type
        if operation.node.operation is not OperationType.SUBSCRIPTION or root is None:
            return None
        coerced = self._coerced(operation, variables)
        self._bound(operation, coerced)
        selection = SimpleNamespace(schema=self._schema, fragments=operation.fragments, variable_values=coerced)
        [(key, (name, nodes))] = by_key(selection, root, [operation.node]).items()
        definition, graphql_field = declaration(root, name), root.fields.get(name)
        if definition is None or graphql_field is None:
            raise NotCompiled("a subscription asks about the schema itself")
        payload = get_named_type(graphql_field.type)
        if not isinstance(payload, GraphQLObjectType):
            raise NotCompiled("a subscription delivers something of several types")
        try:
            arguments = read_arguments(self._strawberry, graphql_field, nodes[0], definition)(coerced)
        except (Refused, GraphQLError) as error:
            raise NotCompiled("an argument or an object at hand is refused") from error
        prepared = self._planned(operation, coerced, key, payload, nodes)
        named = operation.node.name.value if operation.node.name else ""
        return Subscribed(document, key, named, definition, arguments, coerced, prepared)

    def _operation(self, document: str, operation_name: str | None) -> _Operation:
        key = (document, operation_name)
        found = self._operations.get(key)
        if found is None:
            try:
                found = self._read(document, operation_name)
            except NotCompiled as reason:
                found = reason
            self._operations[key] = found
            while len(self._operations) > self._size:
                self._operations.popitem(last=False)
        else:
            self._operations.move_to_end(key)
        if isinstance(found, NotCompiled):
            raise found.with_traceback(None)
        return found

    def _read(self, document: str, operation_name: str | None) -> _Operation:
        try:
            parsed = parse(document, max_tokens=self._limits.tokens)
        except GraphQLError as error:
            if error.message.startswith("Syntax Error: Document contains more than"):
                refusal = OperationTooLarge("tokens", self._limits.tokens + 1, self._limits.tokens)
                raise _Beyond(GraphQLError(str(refusal), original_error=refusal)) from error
            raise NotCompiled("the document cannot be parsed") from error
        if validate(self._schema, parsed):
            raise NotCompiled("the document is not valid")
        operation = get_operation_ast(parsed, operation_name)
        if operation is None:
            raise NotCompiled("the document has no such operation")
        fragments = {each.name.value: each for each in parsed.definitions if isinstance(each, FragmentDefinitionNode)}
        finder = _FindsChoices()
        visit(parsed, finder)
        return _Operation(operation, fragments, tuple(sorted(finder.names)), Variables(self._schema, operation))

    def _coerced(self, operation: _Operation, variables: Mapping[str, Any] | None) -> Any:
        try:
            return operation.variables.read(variables)
        except InvalidVariables as error:
            raise NotCompiled("the variables are not valid") from error

    def _prepared(self, operation: _Operation, variables: Any) -> Prepared:
        root = self._schema.query_type
        assert root is not None
        return self._planned(operation, variables, "", root, [operation.node])

    def _planned(
        self, operation: _Operation, variables: Any, key: str, type_: GraphQLObjectType, nodes: Sequence[Any]
    ) -> Prepared:
        """Return the plan of what ``nodes`` select of a type under a key of the answer."""
        choices = (key, type_.name, *(bool(variables.coerced.get(name)) for name in operation.choosing))
        found = operation.prepared.get(choices)
        if found is None:
            try:
                made = plan(self._schema, operation.fragments, variables, type_, nodes, self._strawberry)
                found = Prepared(made, compile_assembly(made), self._judgements)
            except Unplannable as reason:
                found = NotCompiled(str(reason))
            operation.prepared[choices] = found
        if isinstance(found, NotCompiled):
            raise found.with_traceback(None)
        return found

    async def _run(
        self, document: str, variables: Mapping[str, Any] | None, operation_name: str | None, context: Any
    ) -> bytes:
        operation = self._operation(document, operation_name)
        if operation.node.operation is OperationType.SUBSCRIPTION:
            raise NotCompiled("a subscription is followed, not run")
        context.name = operation.node.name.value if operation.node.name else ""
        coerced = self._coerced(operation, variables)
        self._bound(operation, coerced)
        if operation.node.operation is OperationType.MUTATION:
            return await self._change(operation, coerced, context)
        prepared = self._prepared(operation, coerced)
        context.looking = True
        return msgspec.json.encode({"data": await answer(prepared, None, coerced, context)})

    async def _change(self, operation: _Operation, variables: Any, context: Any) -> bytes:
        """Run the mutations one after the other, each once, and read what is asked of what they return."""
        root = self._schema.mutation_type
        assert root is not None
        selection = SimpleNamespace(schema=self._schema, fragments=operation.fragments, variable_values=variables)
        chosen = by_key(selection, root, [operation.node])
        calls = [self._call(operation, root, name, nodes, variables) for name, nodes in chosen.values()]
        data: dict[str, Any] = {}
        finished: dict[str, object] = {}
        info = SimpleNamespace(context=context)
        for (key, (name, nodes)), call in zip(chosen.items(), calls, strict=True):
            try:
                finished[key] = result = await call(info)
            except Exception as error:
                worded = self._word([located_error(error, nodes, [key])])
                return msgspec.json.encode({"data": None, "errors": [each.formatted for each in worded]})
            try:
                type_ = self._type_of(root.fields[name], result)
                prepared = self._planned(operation, variables, key, type_, nodes)
                data[key] = await answer(prepared, result, variables, context)
            except NotCompiled as reason:
                raise NotCompiled(reason.reason, finished) from reason
        return msgspec.json.encode({"data": data})

    def _call(
        self, operation: _Operation, root: GraphQLObjectType, name: str, nodes: list[FieldNode], variables: Any
    ) -> Callable[[Any], Awaitable[object]]:
        definition = declaration(root, name)
        if definition is None or definition.base_resolver is None:
            raise NotCompiled("a mutation has no resolver")
        # A node is told by its identity: comparing two goes through all that is in them.
        read = operation.arguments.get(id(nodes[0]))
        try:
            if read is None:
                read = read_arguments(self._strawberry, root.fields[name], nodes[0], definition)
                operation.arguments[id(nodes[0])] = read
            arguments = read(variables)
        except (Refused, GraphQLError) as error:
            raise NotCompiled("an argument or an object at hand is refused") from error
        resolver = definition.base_resolver.wrapped_func
        return lambda info: resolver(None, info=info, **arguments)

    def _type_of(self, graphql_field: GraphQLField, result: object) -> GraphQLObjectType:
        named = get_named_type(graphql_field.type)
        possible = self._schema.get_possible_types(named) if is_abstract_type(named) else (named,)
        for each in possible:
            if each.extensions["strawberry-definition"].origin is type(result):
                return cast("GraphQLObjectType", each)
        raise NotCompiled("what a mutation returned has no type of its own")


async def answer(prepared: Prepared, root: object, variables: Any, context: Any) -> Any:
    """Run a plan for the object at hand and return what is asked of it, ready for JSON.

    Raises:
        NotCompiled: something in it is an error in the specification's sense, or not as declared.
    """
    try:
        loading: Loading = context.loading
    except Refused as error:
        raise NotCompiled("nobody asks") from error
    made, actor = prepared.plan, loading.actor
    for definition in made.allowed:
        if not definition.allowed(actor):  # type: ignore[misc]
            raise NotCompiled("a field is not open to the actor")
    try:
        givens = [root] if len(made.givens) == 1 else await _givens(made, root, variables, context)
        asked = _ask(prepared, givens, actor, variables, loading.cursors)
    except (Refused, GraphQLError) as error:
        raise NotCompiled("an argument or an object at hand is refused") from error
    run = Run(givens, asked, loading.cursors, len(made.levels))
    row: Any = made.nothing
    reading = None
    if not all(each.skipped for each in asked):
        statement = prepared.statement(asked)
        reading = await loading.first()
        values = [value for each in asked for value in each.values()]
        row = statement.gather(await reading.fetch(statement.sql, values))
    try:
        await compute(made, row, run, context)
        data = prepared.assemble(row, run)
    except Unavailable:
        raise
    except Exception as error:
        raise NotCompiled(f"the answer could not be put together ({type(error).__name__})") from error
    await note_all(made, run, loading)
    return data


async def _givens(made: Plan, root: object, variables: Any, context: Any) -> list[Any]:
    givens: list[Any] = [root]
    info = SimpleNamespace(context=context)
    for given in made.givens[1:]:
        assert given.parent is not None
        assert given.resolve is not None
        parent = givens[given.parent.number]
        made_of = None
        if parent is not None or given.parent.number == 0:
            made_of = given.resolve(parent, info=info, **given.arguments(variables))
            if inspect.isawaitable(made_of):
                made_of = await made_of
        givens.append(made_of)
    return givens


def _ask(prepared: Prepared, givens: Sequence[Any], actor: Any, variables: Any, cursors: Any) -> list[Asked]:
    """Return what this run asks of each level."""
    asked: list[Asked] = []
    for level, judged in zip(prepared.plan.levels, prepared.judgements.of(prepared.plan, actor), strict=True):
        hung: Mapping[str, object] = {}
        if isinstance(level.parent, Given):
            given = givens[level.parent.number]
            if level.parent.several:
                several = _keys(level, given)
                asked.append(ask(level, judged, level.arguments(variables), cursors, hung, several))
                continue
            hung = {own: getattr(given, theirs, None) for own, theirs in level.relation.by.items()}
        elif asked[level.parent.number].skipped:
            asked.append(SKIPPED)
            continue
        asked.append(ask(level, judged, level.arguments(variables), cursors, hung))
    return asked


def _keys(level: Level, given: Sequence[Any] | None) -> list[tuple[object, ...]]:
    """Return, without repetition, the keys that several objects at hand have for a level's rows."""
    theirs = level.relation.by.values()
    keys = {tuple(getattr(each, name) for name in theirs): None for each in given or ()}
    return [key for key in keys if None not in key]


class _FindsChoices(Visitor):
    """Finds the variables that ``@skip`` and ``@include`` look at."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: Any) -> None:
        if node.name.value in {"skip", "include"}:
            self.names |= {each.value.name.value for each in node.arguments if isinstance(each.value, VariableNode)}
