"""What an operation asks of one type: the selected fields, with fragments and conditional directives worked out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
)

__all__ = ["by_key", "children", "declaration", "selected"]

_DEFINITION = "strawberry-definition"


def declaration(type_: GraphQLObjectType, name: str) -> Any:
    """Return the strawberry field behind a GraphQL field, or None for ``__typename``."""
    graphql_field = type_.fields.get(name)
    return None if graphql_field is None else graphql_field.extensions.get(_DEFINITION)


def selected(
    info: GraphQLResolveInfo[Any], type_: GraphQLObjectType, nodes: Iterable[FieldNode]
) -> dict[str, list[FieldNode]]:
    """Return the fields selected of ``type_`` under these field nodes, by name."""
    found: dict[str, list[FieldNode]] = {}
    for node in nodes:
        if node.selection_set is not None:
            for field in _walk(info, type_, node.selection_set, set()):
                found.setdefault(field.name.value, []).append(field)
    return found


def by_key(info: Any, type_: GraphQLObjectType, nodes: Iterable[Any]) -> dict[str, tuple[str, list[FieldNode]]]:
    """Return the fields selected of ``type_`` under these nodes, by the key each has in the answer, in its order.

    ``info`` needs no more than a schema, fragments and variable values. Nodes of one key speak of one field.
    """
    found: dict[str, tuple[str, list[FieldNode]]] = {}
    visited: set[str] = set()
    for node in nodes:
        if node.selection_set is not None:
            for field in _walk(info, type_, node.selection_set, visited):
                key = (field.alias or field.name).value
                found.setdefault(key, (field.name.value, []))[1].append(field)
    return found


def children(info: GraphQLResolveInfo[Any], type_: GraphQLObjectType) -> list[FieldNode]:
    """Return the field nodes whose selections speak of a row of the current field's list.

    For a connection these are ``nodes`` and ``edges { node }``; for anything else the field itself.
    """
    named = get_named_type(info.return_type)
    if named is type_ or is_abstract_type(named):
        return list(info.field_nodes)
    assert isinstance(named, GraphQLObjectType)
    outer = selected(info, named, info.field_nodes)
    found = list(outer.get("nodes", ()))
    if "edges" in outer:
        edge = get_named_type(named.fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        found += selected(info, edge, outer["edges"]).get("node", [])
    return found


def _walk(
    info: GraphQLResolveInfo[Any], type_: GraphQLObjectType, selections: SelectionSetNode, visited: set[str]
) -> Iterator[FieldNode]:
    for node in selections.selections:
        if not _included(info, node):
            continue
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            if node.type_condition is None or _applies(info, type_, node.type_condition.name.value):
                yield from _walk(info, type_, node.selection_set, visited)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
            # A fragment adds nothing the second time; skipping it keeps doubled spreads linear.
            visited.add(node.name.value)
            fragment = info.fragments[node.name.value]
            if _applies(info, type_, fragment.type_condition.name.value):
                yield from _walk(info, type_, fragment.selection_set, visited)


def _included(info: GraphQLResolveInfo[Any], node: Any) -> bool:
    if not node.directives:
        return True
    for directive in node.directives:
        wanted = {"skip": False, "include": True}.get(directive.name.value)
        if wanted is not None and _truth(info, directive.arguments[0].value) is not wanted:
            return False
    return True


def _truth(info: GraphQLResolveInfo[Any], value: Any) -> bool:
    if isinstance(value, VariableNode):
        given: Any = info.variable_values
        return bool(getattr(given, "coerced", given).get(value.name.value))
    return bool(value.value)


def _applies(info: GraphQLResolveInfo[Any], type_: GraphQLObjectType, condition: str) -> bool:
    if condition == type_.name:
        return True
    other = info.schema.get_type(condition)
    return isinstance(other, GraphQLAbstractType) and info.schema.is_sub_type(other, type_)
