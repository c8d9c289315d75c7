"""Shapes: what a plan is made of: objects, the rows they are read from, and where each value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLOutputType

from kpro_graph.execution.fields import Batched, DeclaredField, Relation, Row

__all__ = [
    "Arguments",
    "Attribute",
    "Batch",
    "Choice",
    "Constant",
    "Document",
    "Entry",
    "Given",
    "Level",
    "Nested",
    "Object",
    "OneOf",
    "Page",
    "Part",
    "Picked",
    "Picks",
    "Plan",
    "Sub",
    "Unplannable",
    "Value",
]

Arguments = Callable[[Any], Mapping[str, Any]]


class Unplannable(Exception):
    """The operation, or a part of it, is for the reference execution; the message says why."""


@dataclass(eq=False, slots=True)
class Given:
    """An object that is at hand before any row is read: the root, or what a resolver marked ``given`` returns.

    ``resolve`` is called with the parent object, an info and the arguments; None for the root. ``several``: it is a
    list of objects, and what is read for one of them is read for all at once.
    """

    number: int
    parent: Given | None = None
    resolve: Callable[..., Any] | None = None
    arguments: Arguments = lambda _variables: {}
    several: bool = False
    levels: list[Level] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Level:
    """The rows of one relation at one place of the operation.

    A row is a tuple: its ``columns``, then what is ``nested`` in it (a page's count follows the page), then the values
    of its order where ``cursors`` are asked for.
    """

    number: int
    definition: DeclaredField
    relation: Relation
    cls: type[Row]
    parent: Level | Given
    listing: str
    arguments: Arguments
    columns: dict[str, int] = field(default_factory=dict)
    shown: dict[str, DeclaredField] = field(default_factory=dict)
    nested: list[Level] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    asked: bool = False
    # Of rows of several types: the groups of fields asked for of each kind; and the kind of parent this is read for.
    kinds: dict[str, set[str]] = field(default_factory=dict)
    under: str | None = None
    counted: bool = False
    cursors: bool = False

    def column(self, name: str) -> int:
        """Return the place of a column in the row, adding it if it is not there yet."""
        return self.columns.setdefault(name, len(self.columns))

    def place(self, level: Level) -> int:
        """Return the place of what is nested in the row."""
        place = len(self.columns)
        for each in self.nested:
            if each is level:
                return place
            place += 2 if each.counted else 1
        raise ValueError("the level is not nested here")

    @property
    def width(self) -> int:
        """The number of values before those of the order."""
        return len(self.columns) + sum(2 if each.counted else 1 for each in self.nested)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known already: ``__typename``."""

    value: str


@dataclass(frozen=True, slots=True)
class Value:
    """A column's value: ``name`` is what the row calls it."""

    name: str
    definition: DeclaredField
    type: GraphQLOutputType


@dataclass(frozen=True, slots=True)
class Document:
    """A stored JSON document, or the part of it that is asked for."""

    name: str
    type: GraphQLOutputType
    object: Object | None


@dataclass(frozen=True, slots=True)
class Part:
    """A property of a stored JSON document."""

    name: str
    type: GraphQLOutputType
    object: Object | None


@dataclass(eq=False, slots=True)
class Batch:
    """What a batch function gives for each row of its level: a leaf, plain objects, or lists of them."""

    definition: DeclaredField
    declared: Batched
    cls: type[Row]
    kind: str | None
    type: GraphQLOutputType
    object: Object | None


@dataclass(frozen=True, slots=True)
class Nested:
    """Rows as a list, or a single row."""

    level: Level
    object: Object | OneOf


@dataclass(frozen=True, slots=True)
class Choice:
    """The row of whichever type has it, or null."""

    rows: tuple[Nested, ...]


@dataclass(frozen=True, slots=True)
class Picked:
    """The row that belongs to each of several objects at hand, by the values of ``by``; of the level, all are read."""

    level: Level
    object: Object | OneOf


@dataclass(frozen=True, slots=True)
class Picks:
    """The rows that several ids are of, in the ids' order, each of whichever type; null where there is none.

    ``ids`` are the prefix and the key of each, or None for what is no id.
    """

    ids: Given
    rows: tuple[Nested, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A connection: what is asked of the page, in order; ``cursor``s and counts are places in it."""

    level: Level
    entries: Mapping[str, tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an object at hand, or a list of plain objects in it."""

    name: str
    type: GraphQLOutputType
    object: Object | None


@dataclass(frozen=True, slots=True)
class Sub:
    """An object at hand within another, or several."""

    given: Given
    object: Object
    type: GraphQLOutputType


Entry = Constant | Value | Document | Part | Batch | Nested | Choice | Picked | Picks | Page | Attribute | Sub


@dataclass(frozen=True, slots=True)
class Object:
    """An object of the answer: its keys in order, and where each value comes from."""

    type: str
    entries: Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A row that is of one of several types, by the text in a column."""

    column: str
    kinds: Mapping[str, tuple[type[Row], Object]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole selection under one object at hand. ``allowed`` are the fields that not every actor may have."""

    object: Object
    givens: Sequence[Given]
    levels: Sequence[Level]
    allowed: Sequence[DeclaredField]

    @property
    def columns(self) -> dict[int, int]:
        """The places, in the statement's row, of the levels under objects at hand; a count follows its page."""
        columns: dict[int, int] = {}
        place = 0
        for given in self.givens:
            for level in given.levels:
                columns[level.number] = place
                place += 2 if level.counted else 1
        return columns

    @property
    def nothing(self) -> list[Any]:
        """The statement's row where no rows at all are asked for."""
        levels = [level for given in self.givens for level in given.levels]
        return [value for level in levels for value in ((None, 0) if level.counted else (None,))]
