"""Writing: one SQL statement of a whole plan: the longest chain of lists joined, the rest nested in its rows.

Single rows are joined to the record they belong to. What lies beside the chain comes as an array of records in one of
its parent's columns, so that lists side by side do not multiply one another. The statement's text is made of
declarations alone; values are parameters. The text depends on the shape of the conditions (whether an argument was
given, by what right an actor sees rows), never on a value, so that it is written once a shape and prepared once a
connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput
from kpro_graph.execution.chains import Link, chain, gatherer
from kpro_graph.execution.paging import window
from kpro_graph.execution.shapes import Level, Plan, Record, Slot
from kpro_graph.execution.sources import NOTHING, Condition, Order
from kpro_graph.execution.values import AS_TEXT

__all__ = ["SKIPPED", "Asked", "Judged", "Statement", "ask", "judge", "write"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What an actor may see of a level's rows, and in which of them what is shown; the same for every run of theirs.

    ``nothing`` says that it is no row at all; ``link`` is what they may see of the links that lead to the rows.
    """

    conditions: tuple[Condition, ...]
    shown: tuple[Condition, ...]
    texts: tuple[str, ...]
    values: tuple[object, ...]
    shown_values: tuple[object, ...]
    nothing: bool
    link: tuple[Condition, ...] = ()


def judge(level: Level, actor: Any) -> Judged:
    """Return what an actor may see of a level's rows."""
    relation, source = level.relation, level.cls.source
    judged = source.visible(actor) if level.judged is None else level.judged.visible(actor)
    by, link = relation.by, list[Condition]()
    if (through := relation.through) is not None:
        link = [*through.link.reached(by, actor), through.link.visible(actor)]
        by = through.on
    conditions = [*source.reached(by, actor), judged]
    if relation.judged is not None:
        conditions.append(relation.judged(actor))
    if relation.where is not None:
        conditions.append(relation.where)
    shown = [each.declared.shown(actor) for each in level.shown.values()]  # type: ignore[union-attr, misc]
    return Judged(
        tuple(conditions),
        tuple(shown),
        tuple(each.sql for each in (*conditions, *shown, *link)),
        tuple(value for each in conditions for value in each.values.values()),
        tuple(value for each in shown for value in each.values.values()),
        any(each.sql == NOTHING.sql for each in (*conditions, *link)),
        tuple(link),
    )


@dataclass(slots=True)
class Asked:
    """What one run asks of a level: conditions beside the judge's, and the part of the list that is wanted."""

    judged: Judged
    order: Order | None
    conditions: list[Condition] = field(default_factory=list)
    # What ties the links that lead to the rows to an object at hand.
    tied: list[Condition] = field(default_factory=list)
    listing: str = ""
    size: int = 0
    backward: bool = False
    after: bool = False
    before: bool = False
    keyed: bool = True
    # Nobody's rows are asked for: the table is not looked at, nor what would be nested in it.
    skipped: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """Return what decides the text of the statement."""
        if self.skipped:
            return ()
        # An order is one of a few declared ones, which are there for as long as the schema.
        return (
            self.judged.texts,
            *[condition.sql for condition in self.conditions],
            id(self.order),
            self.backward,
            self.after,
            self.before,
        )

    def values(self) -> Iterator[object]:
        """Return the values in the order of their places in the text."""
        if not self.skipped:
            yield from self.judged.values
            for condition in self.conditions:
                yield from condition.values.values()
            yield from self.judged.shown_values
            for condition in (*self.judged.link, *self.tied):
                yield from condition.values.values()


_NOBODY = Judged((), (), (), (), (), nothing=True)
SKIPPED = Asked(_NOBODY, None, skipped=True)
"""What is asked of a level whose parent's rows nobody asks for."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text, and what puts its records together to the one row that the assembly reads.

    ``types`` are its parameters', whose values are those of the levels, in order.
    """

    sql: str
    types: tuple[str, ...]
    gather: Callable[[Sequence[Any]], Sequence[Any]]


def ask(
    level: Level,
    judged: Judged,
    kwargs: Mapping[str, Any],
    cursors: Any,
    given: Mapping[str, object],
    keys: Sequence[tuple[object, ...]] | None = None,
) -> Asked:
    """Return what this run asks of a level.

    ``given`` holds the values the level hangs on, where its parent is an object at hand; ``keys`` those of each, where
    there are several.

    Raises:
        BadInput: a page's size or cursor is none.
    """
    relation = level.relation
    asked = Asked(judged, relation.order)
    conditions, nothing = asked.conditions, judged.nothing
    for argument in relation.arguments:
        condition = argument.on_rows(kwargs.get(argument.name, argument.default))
        if condition is not None:
            conditions.append(condition)
            nothing = nothing or condition is NOTHING
    tied = conditions if relation.through is None else asked.tied
    for column, value in given.items():
        if value is None:
            asked.keyed = False
        types = relation.source_of_keys(level.cls.source).columns
        tied.append(Condition(f'{{t}}."{column}" = {{by}}', {"by": value}, {"by": types[column]}))
    if keys is not None and relation.by:
        conditions.append(_among(level, keys))
        nothing = nothing or not keys
    if relation.shape == "connection":
        _ask_page(level, asked, kwargs, cursors)
    asked.skipped = nothing or not asked.keyed
    return asked


def _among(level: Level, keys: Sequence[tuple[object, ...]]) -> Condition:
    """Return the condition that a row has one of these keys."""
    names = list(level.relation.by)
    values = {f"by_{n}": [key[n] for key in keys] for n in range(len(names))}
    types = {f"by_{n}": f"{level.cls.source.columns[name]}[]" for n, name in enumerate(names)}
    own, theirs = ", ".join(f'{{t}}."{name}"' for name in names), ", ".join(f"{{{each}}}" for each in values)
    return Condition(f"({own}) IN (SELECT * FROM unnest({theirs}))", values, types)


_SIZE = {"limit": "bigint"}


def _ask_page(level: Level, asked: Asked, kwargs: Mapping[str, Any], cursors: Any) -> None:
    relation = level.relation
    chosen = kwargs.get("order_by", UNSET)
    order = relation.order or relation.orders[next(iter(relation.orders)) if chosen is UNSET else chosen]
    asked.listing = f"{level.listing}:{getattr(chosen, 'name', '')}"
    asked.size, asked.backward = window(relation, kwargs)
    asked.order = order
    for name, backwards in (("after", False), ("before", True)):
        cursor = kwargs.get(name)
        if cursor is None or cursor is UNSET:
            continue
        values = cursors.open(asked.listing, cursor, [term.type for term in order.terms])
        if values is None:
            raise BadInput(f"{name} is not a cursor of this list in this order", path=name)
        asked.conditions.append((order.reversed() if backwards else order).beyond(name, values))
        setattr(asked, name, True)
    asked.conditions.append(Condition("{limit}", {"limit": asked.size + 1}, _SIZE))


def write(plan: Plan, asked: Sequence[Asked]) -> Statement:
    """Write the statement of a plan for what is asked.

    Along one chain of lists, expected to be the longest, rows are joined and come flat; whatever lies beside it comes
    as arrays of records in their parents' records.
    """
    return _Writer(plan, asked).write()


class _Writer:
    def __init__(self, plan: Plan, asked: Sequence[Asked]) -> None:
        self._plan = plan
        self._asked = asked
        self._types: list[str] = []
        self._chain = chain(plan.record, asked)
        # Rendered in the order in which `Asked.values` gives the values.
        self._conditions: list[list[str]] = []
        self._shown: list[dict[str, str]] = []
        self._links: list[list[str]] = []
        for level, each in zip(plan.levels, asked, strict=True):
            if each.skipped:
                self._conditions.append([])
                self._shown.append({})
                self._links.append([])
                continue
            alias = _alias(level)
            conditions = (*each.judged.conditions, *each.conditions)
            self._conditions.append([self._render(condition, alias) for condition in conditions])
            shown = [self._render(condition, alias) for condition in each.judged.shown]
            self._shown.append(dict(zip(level.shown, shown, strict=True)))
            self._links.append([self._render(each_, _link(level)) for each_ in (*each.judged.link, *each.tied)])

    def write(self) -> Statement:
        root = self._plan.record
        values = self._values(root)
        joined = "".join(self._joined(root))
        if not self._chain:
            sql = f"SELECT {', '.join(values)} FROM (VALUES (0)) one{joined}"
            return Statement(sql, tuple(self._types), lambda records: records[0])
        named = ", ".join([*(f"{each} AS c{n}" for n, each in enumerate(values)), *self._carried(root)])
        sources = [f"(SELECT {named} FROM (VALUES (0)) one{joined}) r"]
        flat = [[f"r.c{n}" for n in range(len(values))]]
        for level in self._chain:
            width = len(level.record.slots) + (len(self._terms(level)) if level.cursors else 0)
            flat.append([f"s{level.number}.c{n}" for n in range(width)])
            sources.append(f"LEFT JOIN LATERAL ({self._link(level)}) s{level.number} ON true")
        ordinals = [f"s{level.number}.o" for level in self._chain]
        # A row's own values are sent once, with the first of the rows beneath it. Those of the last list come first.
        shown = [*flat[-1]]
        for depth, columns in enumerate(flat[:-1]):
            later = " OR ".join(f"{o} > 1" for o in reversed(ordinals[depth:]))
            shown += [f"CASE WHEN {later} THEN NULL ELSE {each} END" for each in columns]
        sql = f"SELECT {', '.join([*shown, *ordinals])} FROM {' '.join(sources)} ORDER BY {', '.join(ordinals)}"
        nexts = [*[level.rows for level in self._chain], None]
        links = [Link(len(columns), after) for columns, after in zip(flat, nexts, strict=True)]
        return Statement(sql, tuple(self._types), gatherer(links))

    def _link(self, level: Level) -> str:
        """Return the records of a list of the chain: their values and their ordinal."""
        alias, terms = _alias(level), self._terms(level)
        order = ", ".join(f'{alias}."order:{n}" {way}' for n, (_, way) in enumerate(terms))
        named = [f"{each} AS c{n}" for n, each in enumerate(self._with_order(level))]
        named += [*self._carried(level.record), f"row_number() OVER (ORDER BY {order}) AS o"]
        return f"SELECT {', '.join(named)} FROM {self._from(level)}"

    def _rows(self, level: Level) -> str:
        """Return the records of a list beside the chain, as an array."""
        alias = _alias(level)
        order = ", ".join(f'{alias}."order:{n}" {way}' for n, (_, way) in enumerate(self._terms(level)))
        values = f"ROW({', '.join(self._with_order(level))})"
        return f"ARRAY(SELECT {values} FROM {self._from(level)} ORDER BY {order})"

    def _with_order(self, level: Level) -> list[str]:
        order = [f'{_alias(level)}."order:{n}"' for n in range(len(self._terms(level)))] if level.cursors else []
        return [*self._values(level.record), *order]

    def _from(self, level: Level) -> str:
        return f"({self._derived(level)}) {_alias(level)}{''.join(self._joined(level.record))}"

    def _joined(self, record: Record) -> Iterator[str]:
        """Return the single rows that belong to a record, each after what it hangs on."""
        for level in record.joined:
            if not self._asked[level.number].skipped:
                yield f" LEFT JOIN LATERAL ({self._derived(level)}) {_alias(level)} ON true"

    def _render(self, condition: Condition, alias: str) -> str:
        places = {}
        for name in condition.values:
            self._types.append(condition.types.get(name, "text"))
            places[name] = f"${len(self._types)}::{self._types[-1]}"
        return condition.sql.format(t=alias, above=_ABOVE, **places)

    def _carried(self, record: Record) -> Iterator[str]:
        """Return the columns of a record that only what is joined to it asks for."""
        for level in ([] if record.level is None else [record.level]) + record.joined:
            for name in level.carried:
                value = "NULL" if self._asked[level.number].skipped else f'{_alias(level)}."{name}"'
                if name not in level.columns:
                    yield f'{value} AS "{_alias(level)}:{name}"'

    def _values(self, record: Record) -> list[str]:
        return [self._value(slot) for slot in record.slots]

    def _value(self, slot: Slot) -> str:
        level = slot.level
        if self._asked[level.number].skipped:
            return "0" if slot.counted else "NULL"
        if slot.column is not None:
            return f'{_alias(level)}."{slot.column}"'
        if slot.counted:
            return self._counted(level)
        # The rows of the chain are joined.
        return "NULL" if level in self._chain else self._rows(level)

    def _counted(self, level: Level) -> str:
        # The count is of the whole list: neither the place nor the size of the page matters.
        asked = self._asked[level.number]
        conditions = self._conditions[level.number][: -1 - asked.after - asked.before]
        where = self._where(level, conditions, joined=False)
        return f"(SELECT count(*) FROM {level.cls.source.table} {_alias(level)} WHERE {where})"

    def _terms(self, level: Level) -> list[tuple[str, str]]:
        asked, alias = self._asked[level.number], _alias(level)
        order = asked.order.reversed() if asked.backward and asked.order is not None else asked.order
        ways = {True: "DESC", False: "ASC"}
        return [(t.expression.format(t=alias), ways[t.descending]) for t in (order.terms if order else ())]

    def _derived(self, level: Level) -> str:
        """Return a level's rows by their columns' names, each with its values of the order; nothing nested is read yet.

        Of the latest of each group, the first is taken of each, and put in order by whoever reads them.
        """
        alias, terms = _alias(level), self._terms(level)
        conditions = list(self._conditions[level.number])
        limit = str(1 if level.single else level.relation.maximum)
        if level.relation.shape == "connection":
            limit = conditions.pop()
        where = self._where(level, conditions, joined=level in self._chain)
        listed = [self._column(level, name, alias) + f' AS "{name}"' for name in {**level.columns, **level.carried}]
        listed += [f'{expression} AS "order:{n}"' for n, (expression, _) in enumerate(terms)]
        per = [f'{alias}."{name}"' for name in level.relation.per]
        distinct = f"DISTINCT ON ({', '.join(per)}) " if per else ""
        order = ", ".join([*per, *(f"{expression} {way}" for expression, way in terms)])
        ordered = f" ORDER BY {order}" if order else ""
        return (
            f"SELECT {distinct}{', '.join(listed)} FROM {level.cls.source.table} {alias}"
            f" WHERE {where}{ordered} LIMIT {limit}"
        )

    def _column(self, level: Level, name: str, alias: str) -> str:
        source = level.cls.source
        if name in level.shown:
            definition = level.shown[name]
            column = definition.declared.name or definition.python_name  # type: ignore[union-attr]
            return f'CASE WHEN {self._shown[level.number][name]} THEN {alias}."{column}" END'
        if name.endswith(AS_TEXT):
            return f"{self._column(level, name.removesuffix(AS_TEXT), alias)}::text"
        if name in source.computed:
            return source.computed[name].format(t=alias)
        return f'{alias}."{name}"'

    def _where(self, level: Level, conditions: Sequence[str], *, joined: bool) -> str:
        """Return the conditions together with what ties the rows to their parent's, which are joined or around them."""
        through, tied = level.relation.through, []
        near = _alias(level) if through is None else _link(level)
        if isinstance(parent := level.parent, Level):

            def above(name: str) -> str:
                return _of_above(parent, name, joined=joined)

            tied = [f'{near}."{own}" = {above(theirs)}' for own, theirs in level.relation.by.items()]
            conditions = [_NAMED.sub(lambda found: above(found[1]), condition) for condition in conditions]
        if through is not None:
            far = [f'{_alias(level)}."{own}" = {near}."{theirs}"' for own, theirs in through.on.items()]
            links = " AND ".join([*far, *tied, *(f"({each})" for each in self._links[level.number])])
            tied = [f"EXISTS (SELECT FROM {through.link.table} {near} WHERE {links})"]
        if level.under is not None:
            tied.append(_of_kind(level, level.under, joined=joined))
        return " AND ".join([*tied, *(f"({condition})" for condition in conditions)]) or "true"


class _Above:
    """Keeps places for the columns of the row above; where that lies, is known when the condition is used."""

    def __getattr__(self, name: str) -> str:
        return f"\0{name}\0"


_ABOVE = _Above()
_NAMED = re.compile("\0(\\w+)\0")


def _alias(level: Level) -> str:
    return f"t{level.number}"


def _link(level: Level) -> str:
    return f"l{level.number}"


def _of_above(parent: Level, name: str, *, joined: bool) -> str:
    """Return a column of the row that others hang on, which is joined to them or around them."""
    if not joined:
        return f'{_alias(parent)}."{name}"'
    above = parent.record.level
    around = "r" if above is None else f"s{above.number}"
    place = parent.columns.get(name)
    return f'{around}."{_alias(parent)}:{name}"' if place is None else f"{around}.c{place}"


def _of_kind(level: Level, kind: str, *, joined: bool) -> str:
    """Return the condition that the row around is of the kind that a level is read for."""
    parent = level.parent
    assert isinstance(parent, Level)
    assert parent.relation.kinds is not None
    written = kind.replace("'", "''")
    return f"{_of_above(parent, parent.relation.kinds.column, joined=joined)} = '{written}'"
