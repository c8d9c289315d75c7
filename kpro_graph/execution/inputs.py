"""Inputs: variables and arguments; plain ones are taken as they came, others go through graphql-core and strawberry.

Plain is a variable of a built-in scalar type without a default, whose value JSON wrote as that type. It needs no
coercion, and is what nearly every request brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    Visitor,
    get_nullable_type,
    is_non_null_type,
    is_required_argument,
    visit,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values, get_variable_values
from strawberry.types.arguments import convert_arguments

from kpro_graph.execution.shapes import Arguments

__all__ = ["InvalidVariables", "Variables", "read_arguments"]

_PLAIN: Mapping[str, type] = {"ID": str, "String": str, "Boolean": bool, "Int": int}
_STAND_INS: Mapping[str, object] = {"ID": "", "String": "", "Boolean": False, "Int": 0}
_LARGEST_INT = 2**31


class InvalidVariables(Exception):
    """A variable is missing, or is not of its type."""


class Variables:
    """Reads an operation's variables."""

    def __init__(self, schema: GraphQLSchema, node: OperationDefinitionNode) -> None:
        self._schema = schema
        self._node = node
        self._plain = self._signatures()

    def _signatures(self) -> list[tuple[str, Any, type, bool]] | None:
        found = []
        for each in self._node.variable_definitions or ():
            signature = get_variable_signature(self._schema, each)
            if isinstance(signature, GraphQLError) or each.default_value is not None:
                return None
            kind = _PLAIN.get(getattr(get_nullable_type(signature.type), "name", ""))
            if kind is None:
                return None
            found.append((signature.name, signature, kind, is_non_null_type(signature.type)))
        return found

    def read(self, given: Mapping[str, Any] | None) -> VariableValues:
        """Return the variables' values.

        Raises:
            InvalidVariables: one is missing or not of its type.
        """
        plain = self._taken(given or {})
        if plain is not None:
            return plain
        coerced = get_variable_values(self._schema, self._node.variable_definitions or (), dict(given or {}))
        if isinstance(coerced, list):
            raise InvalidVariables
        return coerced

    def _taken(self, given: Mapping[str, Any]) -> VariableValues | None:
        """Return the values where all are plain."""
        if self._plain is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for name, signature, kind, required in self._plain:
            value: Any = given.get(name, Undefined)
            if value is Undefined or value is None:
                if required:
                    return None
            elif type(value) is not kind or (kind is int and not _is_int(value)):
                return None
            sources[name] = VariableValueSource(signature, value)
            if value is not Undefined:
                coerced[name] = value
        return VariableValues(sources, coerced)


def _is_int(value: Any) -> bool:
    return bool(-_LARGEST_INT <= value < _LARGEST_INT)


def read_arguments(schema: Any, graphql_field: GraphQLField, node: FieldNode, definition: Any) -> Arguments:
    """Return how a field's arguments are found: at once where the document holds them, else from variables."""
    if not graphql_field.args:
        return lambda _variables: {}
    converter, names = schema.schema_converter, schema.config.name_converter

    def read(variables: Any) -> Mapping[str, Any]:
        given = get_argument_values(graphql_field, node, variables)
        converted: Mapping[str, Any] = convert_arguments(
            given, definition.arguments, converter.scalar_registry, schema.config
        )
        return converted

    if not _uses_variables(node):
        known = read(None)
        return lambda _variables: known
    python_names = {names.get_graphql_name(each): each.python_name for each in definition.arguments}
    plain = _plain_places(graphql_field, node)
    if plain is None:
        return read
    stand_ins = {variable: _STAND_INS[_name(graphql_field, argument)] for argument, variable in plain.items()}
    literal = dict(read(VariableValues({}, stand_ins)))
    places = [(python_names[argument], variable) for argument, variable in plain.items()]
    return _taking(read, literal, places)


def _taking(read: Arguments, literal: dict[str, Any], places: list[tuple[str, str]]) -> Arguments:
    def taken(variables: Any) -> Mapping[str, Any]:
        coerced, arguments = variables.coerced, literal.copy()
        for python_name, variable in places:
            if (value := coerced.get(variable)) is None:
                # Left out or null: then the argument's default and its being required have their say.
                return read(variables)
            arguments[python_name] = value
        return arguments

    return taken


def _plain_places(graphql_field: GraphQLField, node: FieldNode) -> dict[str, str] | None:
    """Return which arguments are plain variables, or None where a variable is used in another way."""
    plain: dict[str, str] = {}
    for each in node.arguments or ():
        if isinstance(each.value, VariableNode) and _name(graphql_field, each.name.value) in _PLAIN:
            plain[each.name.value] = each.value.name.value
        elif _uses_variables(each):
            return None
    given = {each.name.value for each in node.arguments or ()}
    missing = [name for name, each in graphql_field.args.items() if is_required_argument(each) and name not in given]
    return None if missing else plain


def _name(graphql_field: GraphQLField, argument: str) -> str:
    return str(getattr(get_nullable_type(graphql_field.args[argument].type), "name", ""))


class _Finds(Visitor):
    """Finds out whether a variable is used."""

    found = False

    def enter_variable(self, _node: VariableNode, *_: Any) -> None:
        self.found = True


def _uses_variables(node: Any) -> bool:
    finder = _Finds()
    visit(node, finder)
    return finder.found
