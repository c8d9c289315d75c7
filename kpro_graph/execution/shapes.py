"""Shapes: what a plan is made of: objects, the rows they are read from, and where each value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLOutputType

from kpro_graph.execution.fields import Batched, DeclaredField, Relation, Row
from kpro_graph.execution.sources import Within

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
    "Record",
    "Slot",
    "Sub",
    "Unplannable",
    "Value",
]

Arguments = Callable[[Any], Mapping[str, Any]]


class Unplannable(Exception):
    """The operation, or a part of it, is for the reference execution; the message says why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a record: a level's column, its rows as a list, or how many the whole list has."""

    level: Level
    column: str | None = None
    counted: bool = False


@dataclass(eq=False, slots=True)
class Record:
    """What is read together: the statement's one row, or a row of a list, with every single row that belongs to it.

    A record is a tuple: its ``slots``, then the values of its list's order where cursors are asked for. ``level`` is
    None for the statement's one row; ``joined`` are the levels of single rows, each after what it hangs on.
    """

    level: Level | None = None
    slots: list[Slot] = field(default_factory=list)
    joined: list[Level] = field(default_factory=list)

    def add(self, slot: Slot) -> int:
        """Add a place and return it."""
        self.slots.append(slot)
        return len(self.slots) - 1

    @property
    def lists(self) -> list[Level]:
        """The lists within the record."""
        return [slot.level for slot in self.slots if slot.column is None and not slot.counted]

    @property
    def name(self) -> str:
        """What generated Python calls a record of this kind."""
        return "row" if self.level is None else f"r{self.level.number}"


@dataclass(eq=False, slots=True)
class Given:
    """An object that is at hand before any row is read: the root, or what a resolver marked ``given`` returns.

    ``resolve`` is called with the parent object, an info and the arguments; None for the root. ``several``: it is a
    list of objects, and what is read for one of them is read for all at once.
    """

    number: int
    record: Record
    parent: Given | None = None
    resolve: Callable[..., Any] | None = None
    arguments: Arguments = lambda _variables: {}
    several: bool = False


@dataclass(eq=False, slots=True)
class Level:
    """The rows of one relation at one place of the operation.

    A list's rows are records of their own, in a place of the record they hang on; a single row is a part of the record
    it hangs on. ``columns`` are places in ``record``, ``rows`` and ``count`` in the record above. What is ``carried``
    are columns that only the statement needs, to tie and judge what is read from the row.
    """

    number: int
    definition: DeclaredField
    relation: Relation
    cls: type[Row]
    parent: Level | Given
    listing: str
    arguments: Arguments
    record: Record = field(init=False)
    rows: int = -1
    count: int | None = None
    columns: dict[str, int] = field(default_factory=dict)
    carried: dict[str, None] = field(default_factory=dict)
    shown: dict[str, DeclaredField] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    # Of rows of several types: the groups of fields asked for of each kind; and the kind of parent this is read for.
    kinds: dict[str, set[str]] = field(default_factory=dict)
    under: str | None = None
    asked: bool = False
    cursors: bool = False

    def __post_init__(self) -> None:
        above = self.parent.record
        if self.single:
            self.record = above
            above.joined.append(self)
            self.column(self.cls.source.key)
        else:
            self.record = Record(self)
            self.rows = above.add(Slot(self))
        if isinstance(self.parent, Level) and self.judged is not None:
            for needed in self.judged.needs:
                self.parent.carry(needed)
        if self.noted:
            source = self.cls.source
            for name in (source.tenant, source.subject, source.questionnaire):
                if name and not self.within:
                    self.column(name)

    @property
    def single(self) -> bool:
        """Whether it is one row at most."""
        return self.relation.shape == "one"

    @property
    def judged(self) -> Within | None:
        """How its rows are judged by the row they hang on, if by that."""
        if not isinstance(self.parent, Level) or self.relation.through is not None:
            return None
        return self.cls.source.seen_from(self.parent.cls.source.table, self.relation.by)

    @property
    def within(self) -> bool:
        """Whether its rows are of the subject and the questionnaire of the row they hang on."""
        noted = isinstance(self.parent, Level) and self.parent.noted
        return noted and self.relation.kinds is None and self.judged is not None and self.judged.part

    @property
    def subject(self) -> Level:
        """The level whose rows say whose these are: its own, or what they lie within."""
        return self.parent.subject if self.within and isinstance(self.parent, Level) else self

    @property
    def noted(self) -> bool:
        """Whether it is noted whose rows become part of the answer."""
        return self.cls.source.subject is not None or self.relation.search

    def column(self, name: str) -> int:
        """Return the place of a column in the record, adding it if it is not there yet."""
        if name not in self.columns:
            self.columns[name] = self.record.add(Slot(self, name))
        return self.columns[name]

    def carry(self, name: str) -> None:
        """Let what is read from a row know a column of it that the record need not hold."""
        self.carried[name] = None

    def counting(self) -> int:
        """Return the place of the list's length, adding it if it is not there yet."""
        if self.count is None:
            self.count = self.parent.record.add(Slot(self, counted=True))
        return self.count


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
    """What a batch function gives for each row of its level: a leaf, plain objects, or lists of them.

    ``cls`` is what the rows are made; of rows of several types, it is those of this ``kind`` that are asked.
    """

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
    record: Record
    givens: Sequence[Given]
    levels: Sequence[Level]
    allowed: Sequence[DeclaredField]

    @property
    def nothing(self) -> list[Any]:
        """The statement's row where no rows at all are asked for."""
        return [0 if slot.counted else None for slot in self.record.slots]
