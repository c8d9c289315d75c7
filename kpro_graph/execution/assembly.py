"""Assembly: from a statement's one row to the answer, by Python written for the plan and compiled once.

The written source is one function: a dictionary display for each object, a list comprehension for each list. What the
schema says cannot be null and is, or any other surprise, is a `Fault`: the reference execution then words the error.
The source stays readable in tracebacks and profiles under the name ``<plan N>``.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Mapping, Sequence
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
    Sub,
    Value,
)
from kpro_graph.execution.values import Fault, attribute_writer, document_reader, leaf_writer, plain_writer

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
        # For each level, the lists of rows that are in the answer.
        self.seen: list[list[Sequence[Any]]] = [[] for _ in range(levels)]


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
        self._columns = plan.columns

    def compile(self) -> Assemble:
        answer = self._given(self._plan.object, self._plan.givens[0])
        lines = ["def assemble(row, run):", "    given, seen, asked, cursors, batches = "
                 "run.givens, run.seen, run.asked, run.cursors, run.batches"]  # fmt: skip
        lines += [f"    {line}" for line in self._functions]
        lines.append(f"    return {answer}")
        source = "\n".join(lines) + "\n"
        name = f"<plan {next(_numbers)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), self._names)  # noqa: S102 - the text is made of the plan, never of values
        assemble: Assemble = self._names["assemble"]
        return assemble

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
                    return self._nested(level, inner, f"row[{self._columns[level.number]}]")
                case Choice(rows):
                    found = [
                        self._nested(each.level, each.object, f"row[{self._columns[each.level.number]}]")
                        for each in rows
                    ]
                    # A row of which nothing is asked is an empty object, and is there all the same.
                    name = f"x{next(self._number)}"
                    return f"({''.join(f'{name} if ({name} := {each}) is not None else ' for each in found)}None)"
                case Page(level, _) as page:
                    place = self._columns[level.number]
                    count = f"row[{place + 1}]" if level.counted else "None"
                    return self._guarded(level, None, self._page(page, f"row[{place}]", count))
            raise Fault(f"{type(each).__name__} under an object at hand")

        return self._object(shape, entry)

    def _by_id(self, level: Level, shape: Object | OneOf) -> str:
        key = level.columns[level.cls.source.key]
        return self._by_key(level, f"({level.cls.prefix!r}, r{level.number}[{key}])", shape)

    def _by_key(self, level: Level, key: str, shape: Object | OneOf) -> str:
        """Write a level's rows once, by the key that says whose they are; return what they are called."""
        row, name = f"r{level.number}", f"k{level.number}"
        rows = f"row[{self._columns[level.number]}] or ()"
        if self._noting(level):
            self._define_note(level)
            rows = f"n{level.number}({rows})"
        self._functions.append(f"{name} = {{{key}: {self._row(shape, level, row)} for {row} in {rows}}}")
        return name

    def _row(self, shape: Object | OneOf, level: Level, row: str) -> str:
        """Write a row; one that is of a type by its kind and whose kind has none is a fault."""
        if isinstance(shape, Object):
            return self._row_of(shape, level, row, level.cls)
        kind = f"{row}[{level.columns[shape.column]}]"
        written = "".join(
            f"{self._row_of(each, level, row, cls)} if {kind} == {value!r} else "
            for value, (cls, each) in shape.kinds.items()
        )
        return f"({written}F())"

    def _row_of(self, shape: Object, level: Level, row: str, cls: type[Row]) -> str:
        def entry(each: Entry) -> str:
            match each:
                case Constant(value):
                    return repr(value)
                case Value(name, definition, type_):
                    return self._value(f"{row}[{level.columns[name]}]", definition.declared, type_, cls)
                case Document(name, type_, inner):
                    value = f"{row}[{level.columns[name]}]"
                    read = self._name(document_reader(type_, inner))
                    return self._maybe(type_, value, lambda each: f"{read}({each})")
                case Batch() as batch:
                    number = level.batches.index(batch)
                    write = self._name(plain_writer(batch.type, batch.object))
                    return f"{write}(next(batches[{level.number}, {number}]))"
                case Nested(inner_level, inner):
                    return self._nested(inner_level, inner, f"{row}[{level.place(inner_level)}]")
                case Page(inner_level, _) as page:
                    place = level.place(inner_level)
                    count = f"{row}[{place + 1}]" if inner_level.counted else "None"
                    return self._guarded(inner_level, row, self._page(page, f"{row}[{place}]", count))
            raise Fault(f"{type(each).__name__} in a row")

        return self._object(shape, entry)

    def _nested(self, level: Level, shape: Object | OneOf, value: str) -> str:
        row = f"r{level.number}"
        noted = self._noting(level)
        if level.relation.shape == "one":
            inner = self._row(shape, level, row)
            note = f"seen[{level.number}].append(({row},)) or " if noted else ""
            return f"({note}{inner} if ({row} := {value}) is not None else None)"
        # Rows that nobody asked the database for are none.
        rows = f"n{level.number}({value} or ())" if noted else f"{value} or ()"
        if noted:
            self._define_note(level)
        return f"[{self._row(shape, level, row)} for {row} in {rows}]"

    def _define_note(self, level: Level) -> None:
        note = f"def n{level.number}(rows): seen[{level.number}].append(rows); return rows"
        if note not in self._functions:
            self._functions.append(note)

    def _noting(self, level: Level) -> bool:
        return level.cls.source.subject is not None or level.relation.search

    def _page(self, page: Page, rows: str, count: str) -> str:
        level = page.level
        number, row = level.number, f"r{level.number}"
        parts = []
        for key, (name, inner) in page.entries.items():
            match name:
                case "nodes":
                    parts.append(f"{key!r}: [{self._row(inner, level, row)} for {row} in rows]")
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
            *([f"    seen[{number}].append(rows)"] if self._noting(level) else []),
            f"    return {{{', '.join(parts)}}}",
        ]
        return f"p{number}({rows}, {count})"

    def _guarded(self, level: Level, row: str | None, page: str) -> str:
        """A page hangs on keys; where one is null there is no page."""
        if row is None:
            return page if not level.relation.by else f"({page} if asked[{level.number}].keyed else None)"
        assert isinstance(level.parent, Level)
        keys = sorted({level.parent.columns[name] for name in level.relation.by.values()})
        missing = " or ".join(f"{row}[{key}] is None" for key in keys)
        return f"(None if {missing} else {page})" if missing else page

    def _edge(self, level: Level, part: tuple[str, Any]) -> str:
        name, inner = part
        if name == "node":
            return self._row(inner, level, f"r{level.number}")
        return self._cursor(level, f"r{level.number}") if name == "cursor" else repr(inner)

    def _cursor(self, level: Level, row: str) -> str:
        return f"cursors.seal(page.listing, {row}[{level.width}:])"

    def _maybe(self, type_: GraphQLOutputType, value: str, made: Callable[[str], str]) -> str:
        """Make a value of what may be null; what must not be is a fault."""
        name = f"v{next(self._number)}"
        otherwise = "F()" if is_non_null_type(type_) else "None"
        return f"({made(name)} if ({name} := {value}) is not None else {otherwise})"

    def _value(self, value: str, declared: Any, type_: GraphQLOutputType, cls: type[Row]) -> str:
        assert isinstance(declared, Column)
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
        if declared.convert is None and leaf.name in _WRITTEN:
            return self._maybe(type_, value, _WRITTEN[leaf.name].format)
        serialize = self._name(cast("GraphQLLeafType", leaf).serialize)
        return self._maybe(type_, value, lambda each: f"{serialize}({self._converted(declared, each, cls)})")

    def _converted(self, declared: Column, value: str, cls: type[Row]) -> str:
        if declared.convert is None:
            return value
        return f"{self._name(declared.convert)}({value}, {self._name(cls)})"


# GraphQL scalars whose values JSON writes as the database gives them, and those that are written by an expression.
_AS_THEY_ARE = frozenset({"String", "Boolean", "Int"})
_WRITTEN = {"DateTime": "{}.isoformat()", "Date": "{}.isoformat()", "Decimal": "str({})"}


def rows_of(level: Level, row: Any, run: Run, columns: Mapping[int, int]) -> Sequence[Any]:
    """Return every row of a level in the order in which the assembly meets them.

    ``columns`` are the places, in the statement's row, of the levels under objects at hand.
    """
    if isinstance(level.parent, Given):
        return _shown_rows(level, row[columns[level.number]], run)
    place = level.parent.place(level)
    found: list[Any] = []
    above = level.parent
    for parent in rows_of(above, row, run, columns):
        if level.under is not None and parent[above.columns[above.relation.kinds.column]] != level.under:  # type: ignore[union-attr]
            continue
        found += _shown_rows(level, parent[place], run)
    return found


def _shown_rows(level: Level, value: Any, run: Run) -> Sequence[Any]:
    if value is None:
        return ()
    if level.relation.shape == "one":
        return (value,)
    if level.relation.shape == "connection":
        page = run.asked[level.number]
        rows: Sequence[Any] = value[: page.size]
        return rows[::-1] if page.backward else rows
    return value  # type: ignore[no-any-return]
