"""Wants: what a selection asks of rows in the reference execution: columns, and groups of fields to be noted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphql import GraphQLObjectType, get_named_type

from kpro_graph.execution.notes import note
from kpro_graph.execution.selection import children, declaration, selected
from kpro_graph.execution.sources import Condition

if TYPE_CHECKING:
    from kpro_graph.execution.fields import Kinds, Relation, Row
    from kpro_graph.execution.reference import Reads

__all__ = ["UndeclaredKind", "Want", "wanted"]


class UndeclaredKind(Exception):
    """A row's column names none of the types that its table's rows are declared to be of: a fault of ours."""


class Want:
    """The columns and groups of fields that a selection asks of one type."""

    def __init__(self, info: Any, type_: GraphQLObjectType) -> None:
        self.cls: type[Row] = type_.extensions["strawberry-definition"].origin
        source = self.cls.source
        columns = {source.key, source.tenant}
        columns.update(name for name in (source.subject, source.questionnaire) if name)
        groups: set[str] = set()
        self.shown: dict[str, tuple[str, Condition]] = {}
        raw = info._raw_info
        nodes = children(raw, type_)
        for name in selected(raw, type_, nodes):
            field = declaration(type_, name)
            columns.update(getattr(field, "needs", ()))
            if (shown := getattr(getattr(field, "declared", None), "shown", None)) is not None:
                assert field is not None
                column = field.declared.name or field.python_name
                self.shown[field.shown_as] = (column, shown(info.context.loading.actor))
            allowed = getattr(field, "allowed", None)
            if allowed is not None and not allowed(info.context.loading.actor):
                # It will be refused, and what is refused has not been seen.
                continue
            if (group_in := getattr(field, "group_in", None)) and (group := group_in(self.cls)):
                groups.add(group)
        self.columns = (*sorted(columns), *sorted(self.shown))
        # A row of which only relations are asked for is in the answer all the same; the size of a page is no row.
        self.groups = frozenset(groups or {self.cls.group} if nodes else ())

    def made(self, record: Any) -> Row:
        """Return the row that a record is."""
        row = self.cls.__new__(self.cls)
        row.row = record
        return row

    def note(self, reading: Reads, rows: Sequence[Row], *, search: bool = False) -> None:
        """Note whose rows are in the answer."""
        source = self.cls.source
        named = (source.tenant, source.subject, source.questionnaire)
        seen = ([row.row[name] if name else None for name in named] for row in rows)
        note(reading, self.cls, self.groups, seen, search=search)


class _Untyped:
    """A row that is of no declared type, and so of none that an answer could hold."""

    def __init__(self, record: Any) -> None:
        self.row = record


class _WantOfKinds(Want):
    """The columns and groups of fields that a selection asks of the several types that a table's rows are of."""

    def __init__(self, info: Any, kinds: Kinds) -> None:
        schema = info._raw_info.schema
        self._column = kinds.column
        self._wants = {value: Want(info, schema.get_type(name)) for value, name in kinds.types.items()}
        wants = list(self._wants.values())
        self.cls = wants[0].cls
        self.shown = {name: shown for want in wants for name, shown in want.shown.items()}
        self.columns = tuple(dict.fromkeys([kinds.column, *(name for want in wants for name in want.columns)]))
        self.groups = frozenset(group for want in wants for group in want.groups)

    def made(self, record: Any) -> Any:
        want = self._wants.get(record[self._column])
        if want is not None:
            return want.made(record)
        # What lies beyond a page, or in one whose rows are not asked for, is nobody's concern.
        return _Untyped(record)

    def note(self, reading: Reads, rows: Sequence[Row], *, search: bool = False) -> None:
        if self.groups and any(row.row[self._column] not in self._wants for row in rows):
            raise UndeclaredKind(f"a row of {self.cls.source.table} is of no declared type")
        if not rows or not self.groups:
            super().note(reading, rows, search=search)
            return
        for want in self._wants.values():
            if own := [row for row in rows if type(row) is want.cls]:
                want.note(reading, own, search=search)


def wanted(info: Any, relation: Relation) -> Want:
    """Return what the present field asks of the rows of its relation."""
    if relation.kinds is not None:
        return _WantOfKinds(info, relation.kinds)
    named = get_named_type(info._raw_info.return_type)
    assert isinstance(named, GraphQLObjectType)
    if "pageInfo" in named.fields:
        named = get_named_type(named.fields["nodes"].type)
        assert isinstance(named, GraphQLObjectType)
    return Want(info, named)
