"""Limits: how large an operation may be: its text, how deep and wide its answer is, and how many rows it could read.

An operation is measured once a plan; only pages whose size comes from a variable are weighed again at each run. Nothing
is measured by what is there: a refusal tells nothing of the rows, and comes before the first of them is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    IntValueNode,
    ListValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_list_type,
)

from kpro_graph.errors import OperationTooLarge
from kpro_graph.execution.fields import DeclaredField, Lookup, Relation
from kpro_graph.execution.selection import by_key, declaration

__all__ = ["Limits", "Measure", "measure"]

_AT_HAND = 10
"""How many objects a list at hand is taken to hold, such as the places somebody can act in."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an operation may be.

    ``tokens`` are those of the document; ``depth`` counts fields within fields, and ``fields`` all of them with
    fragments spread and aliases apart; ``rows`` are those it could read at most, page sizes times what is in a page.
    """

    tokens: int = 10_000
    depth: int = 20
    fields: int = 1_000
    rows: int = 10_000_000


_Size = int | Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one key of the answer asks for: so many objects, whose fields are one of the ``alternatives``.

    ``rows`` are those it could read, where no variable has a say in it.
    """

    key: str
    node: FieldNode
    size: _Size
    reads: bool
    alternatives: tuple[tuple[_Part, ...], ...]
    height: int
    fields: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Measure:
    """An operation within the limits of depth and fields.

    ``fixed``: it is within that of rows as well, whatever the variables.
    """

    parts: tuple[_Part, ...]
    limits: Limits
    fixed: bool

    def check(self, variables: Mapping[str, Any]) -> None:
        """Refuse the operation where it could read more rows with these variables than are allowed.

        Raises:
            GraphQLError: caused by `OperationTooLarge`, at the field that goes over.
        """
        if self.fixed:
            return
        rows = _sum(self.parts, variables)
        if rows > self.limits.rows:
            path, node = _over(
                self.parts, self.limits.rows, lambda part: _rows(part, variables),
                lambda part: (_how_many(part, variables), part.reads),
            )  # fmt: skip
            raise _too_large("rows", rows, self.limits.rows, path, node)


def measure(
    schema: Any, fragments: Any, variables: Any, type_: GraphQLObjectType, nodes: Sequence[Any], limits: Limits
) -> Measure:
    """Measure what ``nodes`` select of an object; ``variables`` decide ``@skip`` and ``@include`` and nothing else.

    Raises:
        GraphQLError: caused by `OperationTooLarge`, where it is deeper or wider than is allowed.
    """
    return _Measurer(_Asking(schema, fragments, variables), limits).measure(type_, nodes)


@dataclass(frozen=True, slots=True)
class _Asking:
    schema: Any
    fragments: Any
    variable_values: Any


class _Measurer:
    def __init__(self, asking: _Asking, limits: Limits) -> None:
        self._asking = asking
        self._limits = limits
        # What is asked by the same nodes is measured once: fragments spread in fragments double with every level.
        self._known: dict[tuple[str, tuple[int, ...]], tuple[_Part, ...]] = {}
        self._most = (limits.fields + 1) * len(asking.schema.type_map)

    def measure(self, type_: GraphQLObjectType, nodes: Sequence[Any]) -> Measure:
        parts = self._parts(type_, nodes, ())
        fields = sum(part.fields for part in parts)
        if fields > self._limits.fields:
            path, node = _over(parts, self._limits.fields, lambda part: part.fields, lambda _part: (1, 1))
            raise _too_large("fields", fields, self._limits.fields, path, node)
        fixed = all(part.rows is not None for part in parts) and _sum(parts, {}) <= self._limits.rows
        return Measure(parts, self._limits, fixed)

    def _parts(self, type_: GraphQLObjectType, nodes: Sequence[Any], path: tuple[str, ...]) -> tuple[_Part, ...]:
        known = self._known.get(place := (type_.name, tuple(map(id, nodes))))
        if known is None:
            chosen = by_key(self._asking, type_, nodes)
            if len(path) >= self._limits.depth and chosen:
                key, (_, found) = next(iter(chosen.items()))
                raise _too_large("depth", len(path) + 1, self._limits.depth, (*path, key), found[0])
            known = tuple(self._part(type_, key, name, found, (*path, key)) for key, (name, found) in chosen.items())
            self._known[place] = known
            if len(self._known) > self._most:
                raise _too_large("fields", len(self._known), self._limits.fields, path, nodes[0])
        elif (deepest := len(path) + max((part.height for part in known), default=0)) > self._limits.depth:
            raise _too_large("depth", deepest, self._limits.depth, *_deepest(known, path, self._limits.depth))
        return known

    def _part(
        self, type_: GraphQLObjectType, key: str, name: str, nodes: list[FieldNode], path: tuple[str, ...]
    ) -> _Part:
        graphql_field = self._asking.schema.get_field(type_, name)
        named = get_named_type(graphql_field.type)
        possible = self._asking.schema.get_possible_types(named) if is_abstract_type(named) else (named,)
        alternatives = tuple(self._parts(each, nodes, path) for each in possible if isinstance(each, GraphQLObjectType))
        size, reads = _size(declaration(type_, name), graphql_field, nodes[0])
        part = _Part(
            key, nodes[0], size, reads, alternatives,
            1 + max((each.height for parts in alternatives for each in parts), default=0),
            1 + max((sum(each.fields for each in parts) for parts in alternatives), default=0),
            None,
        )  # fmt: skip
        return _weighed(part)


def _size(definition: Any, graphql_field: Any, node: FieldNode) -> tuple[_Size, bool]:
    """Return how many objects a field gives at most, and whether each is a row that is read."""
    declared = definition.declared if isinstance(definition, DeclaredField) else None
    arguments = {each.name.value: each.value for each in node.arguments or ()}
    match declared:
        case Relation(shape="one"):
            return 1, True
        case Relation(shape="connection") as relation:
            return _page(relation, arguments.get("first"), arguments.get("last")), True
        case Relation() as relation:
            return relation.maximum, True
        case Lookup() as lookup:
            return (_several(lookup, arguments["ids"]) if lookup.most else 1), True
    listed = definition is not None and is_list_type(get_nullable_type(graphql_field.type))
    # The parts of a page are lists without rows of their own, and so is what lies in a document or is computed.
    return (_AT_HAND if listed and getattr(definition, "metadata", {}).get("given") else 1), False


def _page(relation: Relation, *given: Any) -> _Size:
    """Return a page's size, which is the default's where none is given; what is out of bounds is refused elsewhere."""

    def size(variables: Mapping[str, Any]) -> int:
        asked = [value for each in given if (value := _number(each, variables)) is not None]
        return min(max(0, *asked) if asked else relation.default, relation.maximum)

    return size if any(isinstance(each, VariableNode) for each in given) else size({})


def _number(node: Any, variables: Mapping[str, Any]) -> int | None:
    if isinstance(node, VariableNode):
        value: int | None = variables.get(node.name.value)
        return value
    return int(node.value) if isinstance(node, IntValueNode) else None


def _several(lookup: Lookup, node: Any) -> _Size:
    if not isinstance(node, VariableNode):
        return min(len(node.values), lookup.most) if isinstance(node, ListValueNode) else 1
    return lambda variables: min(len(variables.get(node.name.value) or ()), lookup.most)


def _weighed(part: _Part) -> _Part:
    """Return a part with its number of rows, where it depends on no variable."""
    beneath = [each for parts in part.alternatives for each in parts]
    if callable(part.size) or any(each.rows is None for each in beneath):
        return part
    return _Part(
        part.key, part.node, part.size, part.reads, part.alternatives, part.height, part.fields, _rows(part, {})
    )


def _rows(part: _Part, variables: Mapping[str, Any]) -> int:
    if part.rows is not None:
        return part.rows
    beneath = max((_sum(parts, variables) for parts in part.alternatives), default=0)
    return _how_many(part, variables) * (part.reads + beneath)


def _how_many(part: _Part, variables: Mapping[str, Any]) -> int:
    return part.size(variables) if callable(part.size) else part.size


def _sum(parts: Sequence[_Part], variables: Mapping[str, Any]) -> int:
    return sum(_rows(part, variables) for part in parts)


def _over(
    parts: Sequence[_Part],
    most: float,
    weigh: Callable[[_Part], int],
    own: Callable[[_Part], tuple[int, int]],
) -> tuple[tuple[str, ...], FieldNode]:
    """Return the place, in the order of the answer, where what is weighed goes beyond ``most``.

    ``own`` says how often what is beneath a part counts, and what the part itself counts beside it each time.
    """
    path: list[str] = []
    node = parts[0].node
    while True:
        for part in parts:
            if weigh(part) > most:
                break
            most -= weigh(part)
        else:
            return tuple(path), node
        path.append(part.key)
        node = part.node
        times, itself = own(part)
        most = most / times - itself
        if most < 0 or not part.alternatives:
            return tuple(path), node
        parts = max(part.alternatives, key=lambda each: sum(map(weigh, each)))


def _deepest(parts: Sequence[_Part], path: tuple[str, ...], most: int) -> tuple[tuple[str, ...], FieldNode]:
    """Return the place of a field that is one deeper than ``most``."""
    while True:
        part = max(parts, key=lambda each: each.height)
        path = (*path, part.key)
        if len(path) > most:
            return path, part.node
        parts = max(part.alternatives, key=lambda each: max((part.height for part in each), default=0))


def _too_large(limit: str, number: int, most: int, path: Sequence[str], node: FieldNode) -> GraphQLError:
    error = OperationTooLarge(limit, number, most, ".".join(path))
    return GraphQLError(str(error), node, original_error=error)
