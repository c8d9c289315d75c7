"""Planning: what an operation asks, worked out once: which rows it reads, how they hang together, what becomes of them.

A plan holds no value, no actor and no SQL. It is made from the declarations alone; what no declaration says, such as an
ordinary resolver, is `Unplannable` and belongs to the reference execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from uuid import UUID

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
)

from kpro_graph.execution.arguments import among_ids, by_id
from kpro_graph.execution.fields import (
    Batched,
    Column,
    DeclaredField,
    Lookup,
    Member,
    Relation,
    Row,
    Stored,
)
from kpro_graph.execution.ids import split
from kpro_graph.execution.inputs import read_arguments
from kpro_graph.execution.selection import by_key, declaration
from kpro_graph.execution.shapes import (
    Arguments,
    Attribute,
    Batch,
    Choice,
    Constant,
    Document,
    Entry,
    Given,
    Level,
    Nested,
    Object,
    OneOf,
    Page,
    Part,
    Picked,
    Picks,
    Plan,
    Record,
    Sub,
    Unplannable,
    Value,
)
from kpro_graph.execution.sources import Order, Term
from kpro_graph.execution.values import as_written

__all__ = ["plan"]


# There is at most one row for each key that is looked up; the keys bound it.
_AS_MANY_AS_KEYS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Asking:
    """The part of graphql-core's info that working out a selection needs."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variable_values: Any


def plan(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Any,
    type_: GraphQLObjectType,
    nodes: Sequence[Any],
    strawberry_schema: Any,
) -> Plan:
    """Plan what ``nodes`` select of an object of this type that will be at hand.

    ``variables`` decide ``@skip`` and ``@include`` here and nothing else.

    Raises:
        Unplannable: the reference execution has to answer.
    """
    return _Planner(_Asking(schema, fragments, variables), strawberry_schema).plan(type_, nodes)


class _Planner:
    def __init__(self, info: _Asking, strawberry_schema: Any) -> None:
        self._info = info
        self._schema = strawberry_schema
        self._givens: list[Given] = []
        self._levels: list[Level] = []
        self._allowed: list[DeclaredField] = []

    def plan(self, type_: GraphQLObjectType, nodes: Sequence[Any]) -> Plan:
        root = Given(0, Record())
        self._givens.append(root)
        shape = self._given(root, type_, nodes)
        return Plan(shape, root.record, self._givens, self._levels, self._allowed)

    def _given(self, given: Given, type_: GraphQLObjectType, nodes: Sequence[Any]) -> Object:
        entries: dict[str, Entry] = {}
        for key, (name, found) in by_key(self._info, type_, nodes).items():
            entries[key] = self._of_given(given, type_, name, found)
        return Object(type_.name, entries)

    def _of_given(self, given: Given, type_: GraphQLObjectType, name: str, nodes: list[FieldNode]) -> Entry:
        if name == "__typename":
            return Constant(type_.name)
        definition, graphql_field = self._declared(type_, name)
        if isinstance(definition, DeclaredField):
            self._note_allowed(definition)
            if isinstance(definition.declared, Relation):
                if given.several:
                    return self._picked(given, type_, name, definition, definition.declared, nodes)
                return self._relation(given, type_, name, definition, definition.declared, nodes)
            if isinstance(definition.declared, Lookup):
                return self._lookup(given, type_, name, definition, definition.declared, nodes)
            raise Unplannable(f"{type_.name}.{name} is read from a row that is not there")
        if definition.base_resolver is not None:
            nullable, named = get_nullable_type(graphql_field.type), get_named_type(graphql_field.type)
            several = is_list_type(nullable) and is_object_type(get_nullable_type(nullable.of_type))
            if not definition.metadata.get("given") or not (several or is_object_type(nullable)) or given.several:
                raise Unplannable(f"{type_.name}.{name} has a resolver of its own")
            assert isinstance(named, GraphQLObjectType)
            sub = self._sub(given, definition.base_resolver.wrapped_func, graphql_field, nodes[0], definition)
            sub.several = several
            return Sub(sub, self._given(sub, named, nodes), graphql_field.type)
        return Attribute(
            definition.python_name, graphql_field.type, self._plain(type_, name, graphql_field.type, nodes)
        )

    def _sub(self, given: Given, resolve: Any, graphql_field: GraphQLField, node: FieldNode, definition: Any) -> Given:
        sub = Given(len(self._givens), given.record, given, resolve, self._arguments(graphql_field, node, definition))
        self._givens.append(sub)
        return sub

    def _picked(
        self,
        given: Given,
        type_: GraphQLObjectType,
        name: str,
        definition: DeclaredField,
        relation: Relation,
        nodes: list[FieldNode],
    ) -> Picked:
        """Plan the one row of each of several objects at hand; they are read by all the objects' keys at once."""
        if relation.shape != "one" or not relation.by:
            raise Unplannable(f"{type_.name}.{name} is a list in each of several objects at hand")
        terms = tuple(Term(f'{{t}}."{own}"', "") for own in relation.by)
        together = replace(relation, shape="many", order=Order(terms), maximum=_AS_MANY_AS_KEYS)
        entry = self._relation(given, type_, name, definition, together, nodes)
        assert isinstance(entry, Nested)
        for column in relation.by:
            entry.level.column(column)
        return Picked(entry.level, entry.object)

    def _plain(
        self, type_: GraphQLObjectType, name: str, graphql_type: GraphQLOutputType, nodes: list[FieldNode]
    ) -> Object | None:
        """Plan what is asked of plain objects within an object at hand; they hold values only."""
        named = get_named_type(graphql_type)
        if is_leaf_type(named):
            return None
        if not isinstance(named, GraphQLObjectType):
            raise Unplannable(f"{type_.name}.{name} can be of several types")
        entries: dict[str, Entry] = {}
        for key, (inner, found) in by_key(self._info, named, nodes).items():
            if inner == "__typename":
                entries[key] = Constant(named.name)
                continue
            definition, graphql_field = self._declared(named, inner)
            if isinstance(definition, DeclaredField) or definition.base_resolver is not None:
                raise Unplannable(f"{named.name}.{inner} lies within a list of plain objects")
            entries[key] = Attribute(
                definition.python_name, graphql_field.type, self._plain(named, inner, graphql_field.type, found)
            )
        return Object(named.name, entries)

    def _lookup(
        self,
        given: Given,
        type_: GraphQLObjectType,
        name: str,
        definition: DeclaredField,
        lookup: Lookup,
        nodes: list[FieldNode],
    ) -> Choice | Picks:
        """Plan a row of each type that the id may be of, or the rows of each type that several ids may be of."""
        graphql_field = type_.fields[name]
        arguments = self._arguments(graphql_field, nodes[0], definition)
        rows = []
        for possible in self._info.schema.get_possible_types(
            cast("GraphQLAbstractType", get_named_type(graphql_field.type))
        ):
            cls = self._read(possible)
            relation = Relation("one", {}, arguments=(by_id(cls.prefix, ""),))
            if lookup.most:
                ordered = Order((Term("{t}.id", "uuid"),))
                relation = Relation("many", {}, ordered, arguments=(among_ids(cls.prefix),), maximum=lookup.most)
            level = self._level(given, f"{type_.name}.{name}", cls, definition, relation, arguments)
            level.column(cls.source.key)
            rows.append(Nested(level, self._row(level, possible, nodes)))
            level.groups = level.groups or {cls.group}
        if not lookup.most:
            return Choice(tuple(rows))
        read = partial(_read_ids, lookup)
        return Picks(self._sub(given, read, graphql_field, nodes[0], definition), tuple(rows))

    def _level(
        self,
        parent: Level | Given,
        listing: str,
        cls: type[Row],
        definition: DeclaredField,
        relation: Relation,
        arguments: Arguments,
    ) -> Level:
        level = Level(len(self._levels), definition, relation, cls, parent, listing, arguments)
        self._levels.append(level)
        return level

    def _rows(self, level: Level, named: Any, nodes: Sequence[Any]) -> Object | OneOf:
        """Plan what is asked of rows that may be of one of several types."""
        kinds = level.relation.kinds
        if kinds is None:
            return self._row(level, named, nodes)
        level.column(kinds.column)
        found = {}
        for kind, name in kinds.types.items():
            type_ = self._info.schema.get_type(name)
            cls = self._read(type_)
            assert isinstance(type_, GraphQLObjectType)
            if cls.source is not level.cls.source:
                raise Unplannable(f"{name} is read from elsewhere than the other types of its list")
            groups = level.kinds.setdefault(kind, set())
            found[kind] = (cls, self._row(level, type_, nodes, kind))
            groups |= groups or {cls.group}
        return OneOf(kinds.column, found)

    def _read(self, type_: Any) -> type[Row]:
        cls = type_.extensions["strawberry-definition"].origin
        if not issubclass(cls, Row):
            raise Unplannable(f"{type_.name} is not read from a row")
        return cast("type[Row]", cls)

    def _row(self, level: Level, type_: GraphQLObjectType, nodes: Sequence[Any], kind: str | None = None) -> Object:
        """Plan what is asked of the rows of a level; a level may be asked twice, by ``nodes`` and by ``edges``."""
        level.asked = True
        entries: dict[str, Entry] = {}
        for key, (name, found) in by_key(self._info, type_, nodes).items():
            entries[key] = self._of_row(level, type_, name, found, kind)
        return Object(type_.name, entries)

    def _of_row(
        self, level: Level, type_: GraphQLObjectType, name: str, nodes: list[FieldNode], kind: str | None
    ) -> Entry:
        if name == "__typename":
            return Constant(type_.name)
        definition, graphql_field = self._declared(type_, name)
        if not isinstance(definition, DeclaredField):
            raise Unplannable(f"{type_.name}.{name} has a resolver of its own")
        self._note_allowed(definition)
        cls = level.cls if kind is None else self._read(type_)
        if group := definition.group_in(cls):
            (level.groups if kind is None else level.kinds[kind]).add(group)
        match definition.declared:
            case Column() as declared:
                column = declared.name or definition.python_name
                if declared.convert is None:
                    column = as_written(column, graphql_field.type)
                if declared.shown is not None:
                    column = definition.shown_as
                    level.shown[column] = definition
                level.column(column)
                return Value(column, definition, graphql_field.type)
            case Stored(name=column):
                level.column(column)
                return Document(column, graphql_field.type, self._document(graphql_field.type, nodes))
            case Relation() as relation:
                for column in relation.by.values():
                    # There is no page where a key is null, so the assembly has to see it.
                    (level.column if relation.shape == "connection" else level.carry)(column)
                return self._relation(level, type_, name, definition, relation, nodes, kind)
            case Batched() as batched:
                for column in batched.needs:
                    level.column(column)
                shape = self._plain(type_, name, graphql_field.type, nodes)
                batch = Batch(definition, batched, cls, kind, graphql_field.type, shape)
                level.batches.append(batch)
                return batch
        raise Unplannable(f"{type_.name}.{name} is not read from a row")

    def _document(self, graphql_type: GraphQLOutputType, nodes: Sequence[Any]) -> Object | None:
        named = get_named_type(graphql_type)
        if is_leaf_type(named):
            return None
        if not isinstance(named, GraphQLObjectType):
            raise Unplannable("a stored document can be of several types")
        entries: dict[str, Entry] = {}
        for key, (name, found) in by_key(self._info, named, nodes).items():
            if name == "__typename":
                entries[key] = Constant(named.name)
                continue
            definition, graphql_field = self._declared(named, name)
            if not isinstance(definition, DeclaredField) or not isinstance(definition.declared, Member):
                raise Unplannable(f"{named.name}.{name} is no property of a stored document")
            self._note_allowed(definition)
            entries[key] = Part(definition.declared.name, graphql_field.type, self._document(graphql_field.type, found))
        return Object(named.name, entries)

    def _relation(
        self,
        parent: Level | Given,
        type_: GraphQLObjectType,
        name: str,
        definition: DeclaredField,
        relation: Relation,
        nodes: list[FieldNode],
        under: str | None = None,
    ) -> Nested | Page:
        graphql_field = type_.fields[name]
        named = get_named_type(graphql_field.type)
        page = relation.shape == "connection"
        row_type = get_named_type(named.fields["nodes"].type) if page and is_object_type(named) else named
        if relation.kinds is None and not isinstance(row_type, GraphQLObjectType):
            raise Unplannable(f"{type_.name}.{name} can be of several types")
        first = row_type
        if relation.kinds is not None:
            first = self._info.schema.get_type(next(iter(relation.kinds.types.values())))
        level = self._level(
            parent,
            f"{type_.name}.{name}",
            self._read(first),
            definition,
            relation,
            self._arguments(graphql_field, nodes[0], definition),
        )
        level.under = under
        if not page:
            shape = self._rows(level, row_type, nodes)
            if not level.groups:
                level.groups.add(level.cls.group)
            return Nested(level, shape)
        assert isinstance(named, GraphQLObjectType)
        entries = self._page(level, named, row_type, nodes)
        if level.asked and not level.groups:
            level.groups.add(level.cls.group)
        return Page(level, entries)

    def _page(
        self, level: Level, type_: GraphQLObjectType, row_type: Any, nodes: list[FieldNode]
    ) -> dict[str, tuple[str, Any]]:
        entries: dict[str, tuple[str, Any]] = {}
        for key, (name, found) in by_key(self._info, type_, nodes).items():
            match name:
                case "nodes":
                    entries[key] = (name, self._rows(level, row_type, found))
                case "edges":
                    entries[key] = (name, self._edges(level, type_, row_type, found))
                case "pageInfo":
                    info = get_named_type(type_.fields[name].type)
                    assert isinstance(info, GraphQLObjectType)
                    asked = {key: inner for key, (inner, _) in by_key(self._info, info, found).items()}
                    level.cursors |= not {"startCursor", "endCursor"}.isdisjoint(asked.values())
                    entries[key] = (name, {key: info.name if n == "__typename" else n for key, n in asked.items()})
                case "totalCount":
                    level.counting()
                    entries[key] = (name, None)
                case "__typename":
                    entries[key] = (name, type_.name)
                case _:
                    raise Unplannable(f"{type_.name}.{name} is no part of a page")
        return entries

    def _edges(
        self, level: Level, type_: GraphQLObjectType, row_type: Any, nodes: list[FieldNode]
    ) -> dict[str, tuple[str, Any]]:
        edge = get_named_type(type_.fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        entries: dict[str, tuple[str, Any]] = {}
        for key, (name, found) in by_key(self._info, edge, nodes).items():
            if name == "node":
                entries[key] = (name, self._rows(level, row_type, found))
            elif name == "cursor":
                level.cursors = True
                entries[key] = (name, None)
            else:
                entries[key] = (name, edge.name)
        return entries

    def _declared(self, type_: GraphQLObjectType, name: str) -> tuple[Any, GraphQLField]:
        definition = declaration(type_, name)
        if definition is None:
            raise Unplannable(f"{name} asks about the schema itself")
        return definition, type_.fields[name]

    def _note_allowed(self, definition: DeclaredField) -> None:
        if definition.allowed is not None and definition not in self._allowed:
            self._allowed.append(definition)

    def _arguments(self, graphql_field: GraphQLField, node: FieldNode, definition: Any) -> Arguments:
        return read_arguments(self._schema, graphql_field, node, definition)


def _read_ids(lookup: Lookup, _parent: object, *, info: Any, ids: Sequence[str]) -> list[tuple[str, UUID] | None]:
    """Return the type's prefix and the key that each id is of, or None for what is no id."""
    return [split(text) for text in lookup.bound(ids)]
