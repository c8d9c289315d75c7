"""The declared field: every field that reads rows is written once, as what it is, and executed from that.

A field is a column, a stored JSON document or a member of one, a relation (one, many, latest per, connection) or a
batch function over the rows of a level. The declaration is data: the reference executor makes its loaders from it,
and a compiler can make one statement of a whole operation from the same words.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import msgspec
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput
from kpro_graph.execution import ids, reference
from kpro_graph.execution.arguments import Argument
from kpro_graph.execution.sources import Condition, Order, Source

__all__ = [
    "Batched",
    "Column",
    "DeclaredField",
    "Kinds",
    "Lookup",
    "Relation",
    "Row",
    "Stored",
    "Through",
    "batched",
    "column",
    "connection",
    "latest_per",
    "lookup",
    "lookups",
    "many",
    "member",
    "node_id",
    "one",
    "stored",
    "through",
]


class Row:
    """What every type that is read from a table inherits: where it comes from and the row at hand."""

    source: ClassVar[Source]
    prefix: ClassVar[str]
    group: ClassVar[str]
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """The value of one column, or of an id made from it.

    ``shown`` gives, for whoever asks, the condition of the rows whose value is shown; in the others it is null.
    ``as_id`` marks the row's public id.
    """

    name: str | None
    group: str | None = None
    convert: Callable[[Any, Any], Any] | None = None
    shown: Callable[[Any], Condition] | None = None
    as_id: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A JSON document in a text or JSON column, decoded once a row; its members are fields of their own."""

    name: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A property of a stored JSON document."""

    name: str


@dataclass(frozen=True, slots=True)
class Through:
    """A table of links between rows and rows: ``on`` maps the far rows' columns to the link's.

    The link's own judge has to let an actor see a link for what it leads to.
    """

    link: Source
    on: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kinds:
    """How the rows of one table are of several GraphQL types: by the text in a column, which has a type for each value.

    A row with another value is of no type, and is a fault: nothing is told of it.
    """

    column: str
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows that belong to this one. ``by`` maps the other table's columns, or the link's, to this row's.

    ``judged`` narrows what the source's own judge lets an actor see, where the list itself would tell more. ``search``
    says that the list is a search: what it finds is noted as found, and that it found nothing is noted as well.
    """

    shape: str
    by: Mapping[str, str]
    order: Order | None = None
    orders: Mapping[enum.Enum, Order] = field(default_factory=dict)
    per: tuple[str, ...] = ()
    where: Condition | None = None
    arguments: tuple[Argument, ...] = ()
    default: int = 50
    maximum: int = 100
    judged: Callable[[Any], Condition] | None = None
    search: bool = False
    through: Through | None = None
    kinds: Kinds | None = None

    def source_of_keys(self, source: Source) -> Source:
        """Return whose columns ``by`` names, of a relation to rows of ``source``."""
        return source if self.through is None else self.through.link


@dataclass(frozen=True, slots=True)
class Lookup:
    """A row of any of an interface's types, by its public id, whose prefix says which; or one for each of several ids.

    ``resolve`` is the reference execution's: called with an info and the arguments. ``most``: of so many ids at most;
    0 where it is one.
    """

    resolve: Callable[[Any, Mapping[str, Any]], Any]
    argument: StrawberryArgument
    most: int = 0

    def bound(self, several: Sequence[str]) -> Sequence[str]:
        """Return the ids, or refuse them where they are too many."""
        if len(several) > self.most:
            raise BadInput(f"at most {self.most} ids at a time", path="ids")
        return several


@dataclass(frozen=True, slots=True)
class Batched:
    """A function of all rows of a level at once: ``await function(rows, info)`` gives one value per row."""

    function: Callable[[Sequence[Any], Any], Any]
    needs: tuple[str, ...]
    group: str | None = None


class DeclaredField(StrawberryField):
    """A strawberry field with its declaration; what it does follows from that."""

    def __init__(
        self,
        declared: Column | Stored | Member | Relation | Batched | Lookup,
        *,
        allowed: Callable[[Any], bool] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.declared = declared
        self.allowed = allowed
        self.init = self.repr = self.compare = False
        if isinstance(declared, Relation):
            self.arguments = _graphql_arguments(declared)
        elif isinstance(declared, Lookup):
            self.arguments = [declared.argument]

    def __copy__(self) -> DeclaredField:
        return DeclaredField(
            self.declared,
            allowed=self.allowed,
            python_name=self.python_name,
            graphql_name=self.graphql_name,
            type_annotation=self.type_annotation,
            origin=self.origin,
            description=self.description,
            deprecation_reason=self.deprecation_reason,
        )

    @property
    def is_basic_field(self) -> bool:
        """Tell strawberry whether the value is at hand in the parent; then it needs no info object."""
        return self.allowed is None and isinstance(self.declared, (Column, Stored, Member))

    @property
    def needs(self) -> tuple[str, ...]:
        """Name the columns of the parent's row that this field reads."""
        match self.declared:
            case Column(name=name, shown=None):
                return (name or self.python_name,)
            case Stored(name=name):
                return (name,)
            case Relation(by=by):
                return tuple(by.values())
            case Batched(needs=needs):
                return needs
            case _:
                return ()

    @property
    def shown_as(self) -> str:
        """Name the value of a column that is not shown in every row, so that it is never taken for the column's own."""
        return f"{getattr(self.origin, '__name__', '')}.{self.python_name}:shown"

    def group_in(self, type_: type[Row]) -> str | None:
        """Name the group of fields this one counts as in the access log; relations speak for themselves."""
        if isinstance(self.declared, (Column, Stored, Batched)):
            return self.declared.group or getattr(type_, "group", None)
        return None

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """Resolve the field in the reference execution."""
        if self.allowed is not None:
            self.check(info.context.loading.actor)
        match self.declared:
            case Column() as declared:
                name = declared.name or self.python_name
                value = _value(source, name if declared.shown is None else self.shown_as)
                return value if declared.convert is None or value is None else declared.convert(value, source)
            case Stored(name=name):
                text = _value(source, name)
                return None if text is None else _decoder.decode(text)
            case Member(name=name):
                return source.get(name)
            case Relation() as relation:
                return reference.related(self, relation, source, info, kwargs)
            case Batched() as batch:
                return reference.batch(self, batch, source, info)
            case Lookup(resolve=resolve) as lookup:
                if lookup.most:
                    lookup.bound(kwargs["ids"])
                return resolve(info, kwargs)

    def check(self, actor: Any) -> None:
        """Refuse an actor that may never have this field."""
        from kpro_graph.errors import NotPermitted

        if self.allowed is not None and not self.allowed(actor):
            raise NotPermitted(f"the field {self.python_name} is not open to this actor")


def _value(source: Any, name: str) -> Any:
    return source.row[name] if isinstance(source, Row) else getattr(source, name)


# Numbers keep their digits: a stored decimal is text in JSON, so nothing passes through a float here.
_decoder = msgspec.json.Decoder(float_hook=str)


def _graphql_arguments(relation: Relation) -> list[StrawberryArgument]:
    arguments = [
        _argument(
            each.name,
            each.annotation if each.required else each.annotation | None,
            each.description,
            UNSET if each.default is None else each.default,
        )
        for each in relation.arguments
    ]
    if relation.shape == "connection":
        arguments += [
            _argument("first", int | None, f"How many items; {relation.default} if neither is given, "
                      f"at most {relation.maximum}."),
            _argument("after", str | None, "Only items after this cursor."),
            _argument("last", int | None, f"How many items from the end; at most {relation.maximum}."),
            _argument("before", str | None, "Only items before this cursor."),
        ]  # fmt: skip
        if relation.orders:
            first = next(iter(relation.orders))
            arguments.append(_argument("order_by", type(first), "The order of the list.", first))
    return arguments


def _argument(name: str, annotation: Any, description: str, default: object = UNSET) -> StrawberryArgument:
    return StrawberryArgument(name, None, StrawberryAnnotation(annotation), description=description, default=default)


def column(
    name: str | None = None,
    *,
    description: str,
    group: str | None = None,
    convert: Callable[[Any], Any] | None = None,
    allowed: Callable[[Any], bool] | None = None,
    shown: Callable[[Any], Condition] | None = None,
) -> Any:
    """Declare a field that is a column; ``convert`` turns the stored value into the field's type (an enum, say).

    ``allowed`` refuses an actor altogether; ``shown`` makes the value null in rows where it is not theirs to see.
    """
    changed = None if convert is None else lambda value, _source: convert(value)
    return DeclaredField(Column(name, group, changed, shown), description=description, allowed=allowed)


def node_id(description: str, name: str = "id") -> Any:
    """Declare the public id of the row."""
    return DeclaredField(
        Column(name, None, lambda value, source: ids.encode(cast("Any", source).prefix, value), as_id=True),
        description=description,
    )


def stored(
    name: str, *, description: str, group: str | None = None, allowed: Callable[[Any], bool] | None = None
) -> Any:
    """Declare a field that is a JSON document kept with the row."""
    return DeclaredField(Stored(name, group), description=description, allowed=allowed)


def member(name: str, *, description: str) -> Any:
    """Declare a property of a stored JSON document."""
    return DeclaredField(Member(name), description=description)


def one(
    *,
    by: Mapping[str, str] | None = None,
    description: str,
    where: Condition | None = None,
    arguments: Sequence[Argument] = (),
    kinds: Kinds | None = None,
) -> Any:
    """Declare the single row that belongs to this one; absent or not to be seen is null."""
    relation = Relation("one", by or {}, where=where, arguments=tuple(arguments), kinds=kinds)
    return DeclaredField(relation, description=description)


def many(
    *,
    by: Mapping[str, str],
    order: Order,
    description: str,
    where: Condition | None = None,
    arguments: Sequence[Argument] = (),
    maximum: int = 200,
    kinds: Kinds | None = None,
) -> Any:
    """Declare a short list of rows, capped at ``maximum``; a list that can grow is a `connection`."""
    relation = Relation(
        "many", by, order, where=where, arguments=tuple(arguments), default=maximum, maximum=maximum, kinds=kinds
    )
    return DeclaredField(relation, description=description)


def through(
    link: Source,
    *,
    by: Mapping[str, str],
    on: Mapping[str, str],
    order: Order,
    description: str,
    where: Condition | None = None,
    arguments: Sequence[Argument] = (),
    maximum: int = 200,
    kinds: Kinds | None = None,
) -> Any:
    """Declare a short list of rows that a table of links leads to, each once however many links lead there.

    ``by`` maps the link's columns to this row's, ``on`` the far rows' to the link's. Both the link and the far row have
    to be the actor's to see. For a list in pages, give `connection` a `Through`.
    """
    relation = Relation(
        "many", by, order, where=where, arguments=tuple(arguments), default=maximum, maximum=maximum,
        through=Through(link, on), kinds=kinds,
    )  # fmt: skip
    return DeclaredField(relation, description=description)


def latest_per(
    *per: str,
    by: Mapping[str, str],
    order: Order,
    description: str,
    where: Condition | None = None,
    arguments: Sequence[Argument] = (),
    maximum: int = 100,
) -> Any:
    """Declare the first row, in this order, for each value of the columns ``per``."""
    return DeclaredField(
        Relation("latest_per", by, order, per=per, where=where, arguments=tuple(arguments), maximum=maximum),
        description=description,
    )


def connection(
    *,
    by: Mapping[str, str] | None = None,
    order: Order | None = None,
    orders: Mapping[Any, Order] | None = None,
    description: str,
    where: Condition | None = None,
    arguments: Sequence[Argument] = (),
    default: int = 50,
    maximum: int = 100,
    judged: Callable[[Any], Condition] | None = None,
    allowed: Callable[[Any], bool] | None = None,
    search: bool = False,
    through: Through | None = None,
    kinds: Kinds | None = None,
) -> Any:
    """Declare a list read in pages; ``orders`` offers a choice, its first member being the usual one.

    A list that belongs to a row that has no key for it is null.
    """
    if (order is None) == (orders is None):
        raise ValueError("a connection has one order or a choice of orders")
    relation = Relation(
        "connection", by or {}, order, orders or {}, (), where, tuple(arguments), default, maximum, judged, search,
        through, kinds,
    )  # fmt: skip
    return DeclaredField(relation, description=description, allowed=allowed)


def lookup(resolve: Callable[[Any, Mapping[str, Any]], Any], *, description: str, id_description: str) -> Any:
    """Declare a look-up by public id of a row of any of an interface's types."""
    import strawberry

    return DeclaredField(Lookup(resolve, _argument("id", strawberry.ID, id_description)), description=description)


def lookups(
    resolve: Callable[[Any, Mapping[str, Any]], Any], *, description: str, ids_description: str, most: int
) -> Any:
    """Declare a look-up of rows by their public ids, in the ids' order; more than ``most`` are refused."""
    import strawberry

    argument = _argument("ids", list[strawberry.ID], ids_description)
    return DeclaredField(Lookup(resolve, argument, most), description=description)


def batched(
    function: Callable[[Sequence[Any], Any], Any],
    *needs: str,
    description: str,
    group: str | None = None,
    allowed: Callable[[Any], bool] | None = None,
) -> Any:
    """Declare a field computed for all rows of a level in one call; ``needs`` names the columns the function reads."""
    return DeclaredField(Batched(function, needs, group), description=description, allowed=allowed)
