"""Values: how leaves, attributes of objects at hand and stored JSON documents are written in an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
from graphql import (
    GraphQLLeafType,
    GraphQLOutputType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from kpro_graph.execution.shapes import Attribute, Constant, Entry, Object, Part

__all__ = ["AS_TEXT", "Fault", "as_written", "attribute_writer", "document_reader", "leaf_writer", "plain_writer"]

AS_TEXT = ":text"
"""Ends the name of a column whose value the database writes as text; no column's own name holds a colon."""


class Fault(Exception):
    """The answer cannot be put together; the reference execution says why in the specification's words."""


def as_written(column: str, type_: GraphQLOutputType) -> str:
    """Return the name of a column for a field of this type; a decimal is text in answers, and costs least as text."""
    nullable = get_nullable_type(type_)
    return column + AS_TEXT if getattr(nullable, "name", "") == "Decimal" else column


def leaf_writer(type_: GraphQLOutputType) -> Callable[[Any], Any]:
    """Return the function that writes a leaf, or lists of leaves, as the specification has it."""
    nullable, required = get_nullable_type(type_), is_non_null_type(type_)
    inner: Callable[[Any], Any]
    if is_list_type(nullable):
        each = leaf_writer(nullable.of_type)

        def inner(value: Any) -> Any:
            return [each(item) for item in value]
    else:
        inner = cast("GraphQLLeafType", nullable).serialize

    def serialize(value: Any) -> Any:
        if value is None:
            if required:
                raise Fault("a value is missing")
            return None
        return inner(value)

    return serialize


def attribute_writer(attribute: Attribute) -> Callable[[Any], Any]:
    """Return the function that writes an attribute of an object at hand, plain objects in it included."""
    read = plain_writer(attribute.type, attribute.object)
    name = attribute.name
    return lambda parent: read(getattr(parent, name))


def plain_writer(type_: GraphQLOutputType, shape: Object | None) -> Callable[[Any], Any]:
    """Return the function that writes a leaf or a plain object, or lists of them."""
    if shape is None:
        return leaf_writer(type_)
    members = {
        key: attribute_writer(each) if isinstance(each, Attribute) else _constant(each)
        for key, each in shape.entries.items()
    }
    nullable, required = get_nullable_type(type_), is_non_null_type(type_)
    if is_list_type(nullable):
        each = plain_writer(nullable.of_type, shape)

        def write(value: Any) -> Any:
            return [each(item) for item in value]
    else:

        def write(value: Any) -> Any:
            return {key: member(value) for key, member in members.items()}

    return lambda value: _missing(required) if value is None else write(value)


def _constant(entry: Entry) -> Callable[[Any], Any]:
    assert isinstance(entry, Constant)
    value = entry.value
    return lambda _parent: value


def _missing(required: bool) -> None:
    if required:
        raise Fault("a value is missing")


_decoder = msgspec.json.Decoder(float_hook=str)
# What a stored property is read as, so that it can be written again untouched.
_READ = {"String": str, "Int": int, "Boolean": bool, "Decimal": str, "Float": float}


def document_reader(type_: GraphQLOutputType, shape: Object | None) -> Callable[[str], Any]:
    """Return the function that takes what is asked out of a stored JSON text.

    Where keys are the stored ones, structures made for the selection read and write without a Python object a value.
    """
    try:
        decoder = msgspec.json.Decoder(_structure(type_, shape))
    except _NotStructured:
        write = _part_value(type_, shape)
        return lambda text: write(_decoder.decode(text))

    def read(text: str) -> Any:
        try:
            return decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise Fault("a stored document is not as declared") from error

    return read


class _NotStructured(Exception):
    """A selection that a structure cannot hold: an alias, a type name, a leaf of a kind of its own."""


def _structure(type_: GraphQLOutputType, shape: Object | None) -> Any:
    nullable = get_nullable_type(type_)
    if is_list_type(nullable):
        made: Any = list[_structure(nullable.of_type, shape)]  # type: ignore[misc]
    elif shape is None:
        leaf = get_named_type(type_)
        if leaf.name not in _READ:
            raise _NotStructured
        made = _READ[leaf.name]
    else:
        fields: list[Any] = []
        for key, part in shape.entries.items():
            if not isinstance(part, Part) or part.name != key:
                raise _NotStructured
            inner = _structure(part.type, part.object)
            optional = not is_non_null_type(part.type)
            fields.append((f"f{len(fields)}", inner, None) if optional else (f"f{len(fields)}", inner))
        names = {f"f{n}": key for n, key in enumerate(shape.entries)}
        made = msgspec.defstruct(shape.type, fields, rename=names, kw_only=True, gc=False)
    return made if is_non_null_type(type_) else made | None


def _part_value(type_: GraphQLOutputType, shape: Object | None) -> Callable[[Any], Any]:
    nullable, required = get_nullable_type(type_), is_non_null_type(type_)
    write: Callable[[Any], Any]
    if is_list_type(nullable):
        each = _part_value(nullable.of_type, shape)

        def write(value: Any) -> Any:
            return [each(item) for item in value]
    elif shape is None:
        write = cast("GraphQLLeafType", nullable).serialize
    else:
        members = {
            key: (part.value, None) if isinstance(part, Constant) else (part.name, _part_value(part.type, part.object))
            for key, part in shape.entries.items()
            if isinstance(part, (Constant, Part))
        }

        def write(value: Any) -> Any:
            return {key: name if inner is None else inner(value.get(name)) for key, (name, inner) in members.items()}

    return lambda value: _missing(required) if value is None else write(value)
