"""Assembly: from a statement's one row to the answer, by Python written for the plan and compiled once.

The written source is one function: a dictionary display for each object, a list comprehension for each list. What the
schema says cannot be null and is, or any other surprise, is a `Fault`: the reference execution then words the error.
The source stays readable in tracebacks and profiles under the name ``<plan N>``.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Sequence
from typing import Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLLeafType,
    GraphQLOutputType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from kpro_graph.execution.fields import Column, Row
from kpro_graph.execution.shapes import (
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
    Picked,
    Picks,
    Plan,
    Record,
    Sub,
    Value,
)
from kpro_graph.execution.values import AS_TEXT, Fault, attribute_writer, document_reader, leaf_writer, plain_writer

__all__ = ["Assemble", "Run", "compile_assembly", "rows_of"]

_numbers = itertools.count(1)


class Run:
    """What one run of a plan brings to the assembly: objects at hand, pages, cursors, batch values, whom it saw."""

    __slots__ = ("asked", "batches", "cursors", "givens", "seen")

    def __init__(self, givens: Sequence[Any], asked: Sequence[Any], cursors: Any, levels: int) -> None:
        self.givens = givens
        self.asked = asked
        self.cursors = cursors
        self.batches: dict[tuple[int, int], Any] = {}
        # For each level, whose rows are in the answer: tenant, subject and questionnaire, and the kind, if any.
        self.seen: list[set[tuple[Any, ...]]] = [set() for _ in range(levels)]


Assemble = Callable[[Any, Run], Any]


def compile_assembly(plan: Plan) -> Assemble:
    """Write and compile the function that makes a plan's answer of the statement's row and a run."""
    return _Writer(plan).compile()


class _Enum(dict[Any, str]):
    """Names of an enum by stored value, learned as they are met."""

    def __init__(self, type_: GraphQLEnumType, convert: Callable[[Any, Any], Any] | None) -> None:
        super().__init__()
        self._type = type_
        self._convert = convert

    def __missing__(self, stored: Any) -> str:
        if stored is None:
            raise Fault("a value is missing")
        value = stored if self._convert is None else self._convert(stored, None)
        name = self[stored] = str(self._type.serialize(value))
        return name


def _fault() -> Any:
    raise Fault("a value is missing")


def _list(value: Any) -> Any:
    if None in value:
        raise Fault("a value is missing")
    return value


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._names: dict[str, Any] = {"F": _fault, "L": _list}
        self._number = itertools.count()
        self._functions: list[str] = []

    def compile(self) -> Assemble:
        answer = self._given(self._plan.object, self._plan.givens[0])
        lines = ["def assemble(row, run):", "    given, seen, asked, cursors, batches = "
                 "run.givens, run.seen, run.asked, run.cursors, run.batches"]  # fmt: skip
        lines += [f"    {line}" for line in self._functions]
        lines.append(f"    data = {answer}")
        lines += [f"    {line}" for line in self._noting()]
        lines.append("    return data")
        source = "\n".join(lines) + "\n"
        name = f"<plan {next(_numbers)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), self._names)  # noqa: S102 - the text is made of the plan, never of values
        assemble: Assemble = self._names["assemble"]
        return assemble

    def _noting(self) -> list[str]:
        """Return the statements that note whose rows come into the answer: a set for each level."""
        lines = []
        for level in self._plan.levels:
            if not level.noted or not level.groups:
                continue
            if level.single:
                record, present = level.record, f" if {level.record.name}[{self._key(level)}] is not None"
            elif level.within:
                # Whether there are any is all that is to be known of them.
                record = level.parent.record
                present = f" if {record.name}[{level.rows}]"
            else:
                record, present = level.record, ""
            lines.append(f"seen[{level.number}] = {{{_whose(level)}{self._each(record)}{present}}}")
        return lines

    def _each(self, record: Record) -> str:
        """Return the clauses that go through all records of a kind in the answer."""
        level = record.level
        if level is None:
            return " for row in (row,)"
        # One row more than a page has is read, which tells that there are more.
        page = f"[:asked[{level.number}].size]" if level.relation.shape == "connection" else ""
        above = level.parent.record
        return f"{self._each(above)} for {record.name} in ({above.name}[{level.rows}] or ()){page}"

    def _name(self, value: Any, kind: str = "c") -> str:
        name = f"{kind}{next(self._number)}"
        self._names[name] = value
        return name

    def _object(self, shape: Object, entry: Callable[[Entry], str]) -> str:
        return "{" + ", ".join(f"{key!r}: {entry(each)}" for key, each in shape.entries.items()) + "}"

    def _given(self, shape: Object, given: Given) -> str:
        at_hand = f"g{given.number}" if given.several else f"given[{given.number}]"

        def entry(each: Entry) -> str:
            match each:
                case Constant(value):
                    return repr(value)
                case Sub(sub, inner, type_):
                    made = self._given(inner, sub)
                    if sub.several:
                        made = f"[{made} for g{sub.number} in given[{sub.number}]]"
                    otherwise = "F()" if is_non_null_type(type_) else "None"
                    return f"({made} if given[{sub.number}] is not None else {otherwise})"
                case Attribute() as attribute:
                    return f"{self._name(attribute_writer(attribute))}({at_hand})"
                case Picked(level, inner):
                    keys = [f"r{level.number}[{level.columns[own]}]" for own in level.relation.by]
                    theirs = [f"{at_hand}.{name}" for name in level.relation.by.values()]
                    by_key = self._by_key(level, f"({', '.join(keys)},)", inner)
                    return f"{by_key}.get(({', '.join(theirs)},))"
                case Picks(ids, rows):
                    found = [self._by_id(each.level, each.object) for each in rows]
                    known = f"x{next(self._number)}"
                    self._functions.append(f"{known} = {{{', '.join(f'**{each}' for each in found)}}}")
                    return f"[{known}.get(g{ids.number}) for g{ids.number} in given[{ids.number}]]"
                case Nested(level, inner):
                    return self._nested(level, inner)
                case Choice(rows):
                    found = [self._nested(each.level, each.object) for each in rows]
                    # A row of which nothing is asked is an empty object, and is there all the same.
                    name = f"x{next(self._number)}"
                    return f"({''.join(f'{name} if ({name} := {each}) is not None else ' for each in found)}None)"
                case Page(level, _) as page:
                    made = self._page(page)
                    return made if not level.relation.by else f"({made} if asked[{level.number}].keyed else None)"
            raise Fault(f"{type(each).__name__} under an object at hand")

        return self._object(shape, entry)

    def _by_id(self, level: Level, shape: Object | OneOf) -> str:
        return self._by_key(level, f"({level.cls.prefix!r}, r{level.number}[{self._key(level)}])", shape)

    def _by_key(self, level: Level, key: str, shape: Object | OneOf) -> str:
        """Write a level's rows once, by the key that says whose they are; return what they are called."""
        name, above = f"k{level.number}", level.parent.record.name
        rows = f"{above}[{level.rows}] or ()"
        self._functions.append(f"{name} = {{{key}: {self._row(shape, level)} for {level.record.name} in {rows}}}")
        return name

    def _row(self, shape: Object | OneOf, level: Level) -> str:
        """Write a row; one that is of a type by its kind and whose kind has none is a fault."""
        if isinstance(shape, Object):
            return self._row_of(shape, level, level.cls)
        kind = f"{level.record.name}[{level.columns[shape.column]}]"
        written = "".join(
            f"{self._row_of(each, level, cls)} if {kind} == {value!r} else "
            for value, (cls, each) in shape.kinds.items()
        )
        return f"({written}F())"

    def _row_of(self, shape: Object, level: Level, cls: type[Row]) -> str:
        row = level.record.name

        def entry(each: Entry) -> str:
            match each:
                case Constant(value):
                    return repr(value)
                case Value(name, definition, type_):
                    return self._value(f"{row}[{level.columns[name]}]", name, definition.declared, type_, cls)
                case Document(name, type_, inner):
                    value = f"{row}[{level.columns[name]}]"
                    read = self._name(document_reader(type_, inner))
                    return self._maybe(type_, value, lambda each: f"{read}({each})")
                case Batch() as batch:
                    number = level.batches.index(batch)
                    write = self._name(plain_writer(batch.type, batch.object))
                    return f"{write}(next(batches[{level.number}, {number}]))"
                case Nested(inner_level, inner):
                    return self._nested(inner_level, inner)
                case Page(inner_level, _) as page:
                    return self._guarded(inner_level, row, self._page(page))
            raise Fault(f"{type(each).__name__} in a row")

        return self._object(shape, entry)

    def _nested(self, level: Level, shape: Object | OneOf) -> str:
        above = level.parent.record.name
        if level.single:
            return f"({self._row(shape, level)} if {above}[{self._key(level)}] is not None else None)"
        # Rows that nobody asked the database for are none.
        return f"[{self._row(shape, level)} for {level.record.name} in {above}[{level.rows}] or ()]"

    def _key(self, level: Level) -> int:
        return level.columns[level.cls.source.key]

    def _page(self, page: Page) -> str:
        level = page.level
        number, row, above = level.number, level.record.name, level.parent.record.name
        count = "None" if level.count is None else f"{above}[{level.count}]"
        parts = []
        for key, (name, inner) in page.entries.items():
            match name:
                case "nodes":
                    parts.append(f"{key!r}: [{self._row(inner, level)} for {row} in rows]")
                case "edges":
                    edge = ", ".join(f"{k!r}: {self._edge(level, part)}" for k, part in inner.items())
                    parts.append(f"{key!r}: [{{{edge}}} for {row} in rows]")
                case "pageInfo":
                    values = {
                        "hasNextPage": "(page.before if page.backward else more)",
                        "hasPreviousPage": "(more if page.backward else page.after)",
                        "startCursor": f"({self._cursor(level, 'rows[0]')} if rows else None)",
                        "endCursor": f"({self._cursor(level, 'rows[-1]')} if rows else None)",
                    }
                    info = ", ".join(f"{k!r}: {values.get(n, repr(n))}" for k, n in inner.items())
                    parts.append(f"{key!r}: {{{info}}}")
                case "totalCount":
                    parts.append(f"{key!r}: count")
                case _:
                    parts.append(f"{key!r}: {inner!r}")
        self._functions += [
            f"def p{number}(rows, count):",
            "    rows = rows or ()",
            f"    page = asked[{number}]",
            "    more = len(rows) > page.size",
            "    if more: rows = rows[:page.size]",
            "    if page.backward: rows = rows[::-1]",
            f"    return {{{', '.join(parts)}}}",
        ]
        return f"p{number}({above}[{level.rows}], {count})"

    def _guarded(self, level: Level, row: str, page: str) -> str:
        """A page hangs on keys; where one is null there is no page."""
        assert isinstance(level.parent, Level)
        keys = sorted({level.parent.columns[name] for name in level.relation.by.values()})
        missing = " or ".join(f"{row}[{key}] is None" for key in keys)
        return f"(None if {missing} else {page})" if missing else page

    def _edge(self, level: Level, part: tuple[str, Any]) -> str:
        name, inner = part
        if name == "node":
            return self._row(inner, level)
        return self._cursor(level, f"r{level.number}") if name == "cursor" else repr(inner)

    def _cursor(self, level: Level, row: str) -> str:
        after = len(level.record.slots)
        return f"cursors.seal(page.listing, {row}[{after}:{after} + len(page.order.terms)])"

    def _maybe(self, type_: GraphQLOutputType, value: str, made: Callable[[str], str]) -> str:
        """Make a value of what may be null; what must not be is a fault."""
        name = f"v{next(self._number)}"
        otherwise = "F()" if is_non_null_type(type_) else "None"
        return f"({made(name)} if ({name} := {value}) is not None else {otherwise})"

    def _value(self, value: str, name: str, declared: Any, type_: GraphQLOutputType, cls: type[Row]) -> str:
        assert isinstance(declared, Column)
        if name.endswith(AS_TEXT):
            return self._maybe(type_, value, lambda each: each)
        if declared.as_id:
            prefix = f"{cls.prefix}_"
            return self._maybe(type_, value, lambda each: f"{prefix!r} + {each}.hex")
        leaf = get_named_type(type_)
        nullable = get_nullable_type(type_)
        if is_list_type(nullable):
            if declared.convert is None and leaf.name in _AS_THEY_ARE:
                return self._maybe(type_, value, lambda each: f"L({each})")
            serialize = self._name(leaf_writer(type_))
            return f"{serialize}({self._converted(declared, value, cls)})"
        if isinstance(leaf, GraphQLEnumType):
            table = self._name(_Enum(leaf, declared.convert))
            return self._maybe(type_, value, lambda each: f"{table}[{each}]")
        if declared.convert is None and leaf.name in _AS_THEY_ARE:
            return value if not is_non_null_type(type_) else self._maybe(type_, value, lambda each: each)
        serialize = self._name(cast("GraphQLLeafType", leaf).serialize)
        return self._maybe(type_, value, lambda each: f"{serialize}({self._converted(declared, each, cls)})")

    def _converted(self, declared: Column, value: str, cls: type[Row]) -> str:
        if declared.convert is None:
            return value
        return f"{self._name(declared.convert)}({value}, {self._name(cls)})"


# GraphQL scalars whose values are written in JSON as the database gives them.
_AS_THEY_ARE = frozenset({"String", "Boolean", "Int", "DateTime", "Date"})


def rows_of(level: Level, row: Any, run: Run) -> Sequence[Any]:
    """Return the records of every row of a level in the order in which the assembly meets them."""
    records = _records(level.record, row, run)
    if not level.single:
        return records
    key = level.columns[level.cls.source.key]
    return [each for each in records if each[key] is not None]


def _records(record: Record, row: Any, run: Run) -> Sequence[Any]:
    level = record.level
    if level is None:
        return (row,)
    page, found = run.asked[level.number], list[Any]()
    for above in _records(level.parent.record, row, run):
        rows = above[level.rows] or ()
        if level.relation.shape == "connection":
            rows = rows[: page.size]
            rows = rows[::-1] if page.backward else rows
        found += rows
    return found


def _whose(level: Level) -> str:
    """Return whose rows are noted, as the values of the record they lie in; with their kind, if they are of several."""
    of = level.subject
    # What lies within a row is noted as that row's, whose questionnaire is noted with it.
    named = (of.cls.source.tenant, of.cls.source.subject, None if level.within else of.cls.source.questionnaire)
    places = [f"{of.record.name}[{of.columns[name]}]" if name else "None" for name in named]
    if level.relation.kinds is not None:
        places.append(f"{of.record.name}[{of.columns[level.relation.kinds.column]}]")
    return f"({', '.join(places)})"
