"""What the sweep is made of: operations for every field of the schema, and a value for every argument.

Operations are generated from the schema, so a new field is asked for without anybody's doing; an argument that has no
sample yet fails loudly, by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
    parse,
    visit,
)

from kpro_graph.execution import Row
from kpro_graph.execution.fields import DeclaredField
from kpro_graph.schema import make_schema

__all__ = [
    "NODES",
    "ROOTS",
    "SCHEMA",
    "arguments",
    "asked_of",
    "declaration",
    "document",
    "fields_asked",
    "fields_reachable",
    "is_page",
    "origin",
    "sample",
    "selection",
]

SCHEMA = make_schema()
_TYPES: Any = SCHEMA._schema
ROOTS: dict[str, Any] = {
    f"{root.name}.{name}": field
    for root in (_TYPES.query_type, _TYPES.mutation_type, _TYPES.subscription_type)
    for name, field in root.fields.items()
}
NODES: dict[str, Any] = {each.name: each for each in _TYPES.get_possible_types(_TYPES.type_map["Node"])}
"""The types whose rows have an id of their own."""


def origin(type_: Any) -> Any:
    """Return the class behind a type of the schema, if there is one."""
    return getattr(type_.extensions.get("strawberry-definition"), "origin", None)


def declaration(field: Any) -> DeclaredField | None:
    """Return how a field is declared, if it is."""
    found = field.extensions.get("strawberry-definition")
    return found if isinstance(found, DeclaredField) else None


def is_page(type_: Any) -> bool:
    """Say whether a type is a page of a list."""
    return isinstance(type_, GraphQLObjectType) and "pageInfo" in type_.fields


def _is_row(type_: Any) -> bool:
    made = origin(type_)
    return isinstance(made, type) and issubclass(made, Row) and hasattr(made, "source")


# --- Selections


def selection(type_: Any, *, within: bool = False) -> str:
    """Return a selection of everything in a type that is not a row of its own; of those, the ids.

    ``within``: the type is the one that is looked into, so all its fields are selected even if it has an id.
    """
    if is_leaf_type(type_):
        return ""
    if isinstance(type_, GraphQLUnionType):
        parts = []
        for each in type_.types:
            said = _FAILURE if each.name in _FAILURES else ()
            inner = {name: field for name, field in each.fields.items() if name not in said}
            if inner:
                parts.append(
                    f"... on {each.name} {{ {' '.join(_asked(name, field) for name, field in inner.items())} }}"
                )
        return f"{{ __typename ... on Failure {{ {' '.join(_FAILURE)} }} {' '.join(parts)} }}"
    if isinstance(type_, GraphQLInterfaceType) or (type_.name in NODES and not within):
        return "{ id }"
    return f"{{ {' '.join(_asked(name, field) for name, field in type_.fields.items())} }}"


_FAILURE = tuple(_TYPES.type_map["Failure"].fields)
_FAILURES = {each.name for each in _TYPES.get_possible_types(_TYPES.type_map["Failure"])}


def _asked(name: str, field: Any) -> str:
    return f"{name}{_literals(field)} {selection(get_named_type(field.type))}"


def _literals(field: Any) -> str:
    """Return the arguments of a field below the root: what it needs, and whole pages."""
    given = {name: each for name, each in field.args.items() if is_required_argument(each) or name == "first"}
    written = ", ".join(f"{name}: {_LITERALS[name]}" for name in given)
    return f"({written})" if written else ""


_LITERALS = {
    "first": "100",
    "questionnaireUrl": '"https://kpro-graph.dk/Questionnaire/who-5"',
    "score": '"who5"',
}


def asked_of(type_: Any, *fields: str) -> str:
    """Return the fields of a type, each with everything in it."""
    return " ".join(_asked(name, type_.fields[name]) for name in fields)


def document(place: str, *, optional: bool = False, inside: str | None = None) -> str:
    """Return an operation of one root field with a variable for each argument it needs, or may be given."""
    kind, _, name = place.partition(".")
    field = ROOTS[place]
    used = {
        each: given
        for each, given in field.args.items()
        if is_required_argument(given)
        or each == "first"
        or (optional and (each not in _PAGING or kind == "Subscription"))
    }
    declared = ", ".join(f"${each}: {given.type}" for each, given in used.items())
    passed = ", ".join(f"{each}: ${each}" for each in used)
    body = selection(get_named_type(field.type)) if inside is None else inside
    head, call = (f"({declared})", f"({passed})") if used else ("", "")
    return f"{kind.lower()} Sweep{head} {{ {name}{call} {body} }}"


_PAGING = {"first", "after", "last", "before"}


# --- Arguments

Samples = Mapping[str, Any]


def arguments(place: str, samples: Samples, *, optional: bool = False) -> dict[str, Any]:
    """Return a value for each argument that `document` passes."""
    field = ROOTS[place]
    return {
        name: sample(place, name, given.type, samples)
        for name, given in field.args.items()
        if is_required_argument(given) or name == "first" or (optional and name not in _PAGING)
    }


def sample(place: str, name: str, type_: Any, samples: Samples) -> Any:
    """Return a value for an argument or an input field, by its place and name.

    Raises:
        AssertionError: nobody has said yet what it could be.
    """
    named = get_named_type(type_)
    if f"{place}:{name}" in samples:
        made: Any = samples[f"{place}:{name}"]
        return made
    if isinstance(named, GraphQLInputObjectType):
        fields = {each: field for each, field in named.fields.items() if is_required_input_field(field)}
        if named.is_one_of:
            fields = {each: field for each, field in named.fields.items() if f"{place}:{each}" in samples}
            assert fields, f"say in the samples which of {named.name} {place} is given: {', '.join(named.fields)}"
        fields |= {each: field for each, field in named.fields.items() if f"{place}:{each}" in samples}
        made = {each: sample(place, each, field.type, samples) for each, field in fields.items()}
    elif name in samples:
        return samples[name]
    elif isinstance(named, GraphQLEnumType):
        made = next(iter(named.values))
    elif named.name == "Boolean":
        made = True
    else:
        raise AssertionError(f"no sample for the argument {name}: {type_} of {place}; add one to the samples")
    return [made] if is_list_type(get_nullable_type(type_)) else made


# --- What is covered


def fields_reachable() -> set[str]:
    """Return every field of every object type that can be reached from the roots."""
    found: set[str] = set()
    waiting = [_TYPES.query_type, _TYPES.mutation_type, _TYPES.subscription_type]
    seen: set[str] = set()
    while waiting:
        type_: Any = get_named_type(waiting.pop())
        if type_.name in seen or is_leaf_type(type_):
            continue
        seen.add(type_.name)
        if isinstance(type_, GraphQLUnionType):
            waiting += type_.types
        elif isinstance(type_, GraphQLInterfaceType):
            waiting += _TYPES.get_possible_types(type_)
        else:
            found |= {f"{type_.name}.{name}" for name in type_.fields}
            waiting += [field.type for field in type_.fields.values()]
    return found


def fields_asked(documents: Iterator[str]) -> set[str]:
    """Return every field of an object type that these operations ask for; an interface's are its types'."""
    found: set[str] = set()

    class Asking(Visitor):
        def enter_field(self, node: Any, *_: Any) -> None:
            parent = info.get_parent_type()
            if parent is not None and not node.name.value.startswith("__"):
                types = [parent] if isinstance(parent, GraphQLObjectType) else _TYPES.get_possible_types(parent)
                found.update(f"{each.name}.{node.name.value}" for each in types)

    for each in documents:
        info = TypeInfo(_TYPES)
        visit(parse(each), TypeInfoVisitor(info, Asking()))
    return found
