"""Writing: one SQL statement of a whole plan: the longest chain of lists joined, the rest nested in its rows.

What lies beside the chain comes as an array of rows in one of its parent's columns, so that lists side by side do not
multiply one another. The statement's text is made of declarations alone; values are parameters. The text
depends on the shape of the conditions (whether an argument was given, by what right an actor sees rows), never on a
value, so that it is written once a shape and prepared once a connection.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput
from kpro_graph.execution.chains import Link, chain, gatherer
from kpro_graph.execution.paging import window
from kpro_graph.execution.shapes import Level, Plan
from kpro_graph.execution.sources import NOTHING, Condition, Order

__all__ = ["SKIPPED", "Asked", "Statement", "ask", "write"]


@dataclass(slots=True)
class Asked:
    """What one run asks of a level: conditions, and the part of the list that is wanted."""

    conditions: list[Condition]
    shown: list[Condition]
    order: Order | None
    listing: str = ""
    size: int = 0
    backward: bool = False
    after: bool = False
    before: bool = False
    keyed: bool = True
    # Nobody's rows are asked for: the table is not looked at, nor what would be nested in it.
    skipped: bool = False
    # What holds for the links that lead to the rows.
    link: Condition | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """Return what decides the text of the statement."""
        if self.skipped:
            return ()
        return (
            *(condition.sql for condition in self.conditions),
            *(condition.sql for condition in self.shown),
            self.link and self.link.sql,
            self.order,
            self.backward,
        )

    def values(self) -> Iterator[object]:
        """Return the values in the order of their places in the text."""
        for condition in () if self.skipped else (*self.conditions, *self.shown):
            yield from condition.values.values()
        if self.link is not None and not self.skipped:
            yield from self.link.values.values()


SKIPPED = Asked([], [], None, skipped=True)
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
    actor: Any,
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
    relation, source = level.relation, level.cls.source
    above, link = level.parent.cls.source.table if isinstance(level.parent, Level) else "", None
    if relation.through is not None:
        link, above = relation.through.link.seen_from(above, actor), ""
    conditions = [source.seen_from(above, actor)]
    if relation.judged is not None:
        conditions.append(relation.judged(actor))
    if relation.where is not None:
        conditions.append(relation.where)
    conditions += [
        condition
        for argument in relation.arguments
        if (condition := argument.on_rows(kwargs.get(argument.name, argument.default))) is not None
    ]
    types = relation.source_of_keys(source).columns
    hung = [
        Condition(f'{{t}}."{column}" = {{by_{n}}}', {f"by_{n}": value}, {f"by_{n}": types[column]})
        for n, (column, value) in enumerate(given.items())
    ]
    if link is None:
        conditions += hung
    else:
        link = reduce(operator.and_, hung, link)
    if keys is not None:
        conditions.append(_among(level, keys))
    keyed = None not in given.values()
    asked = Asked(conditions, [_shown(level, name, actor) for name in level.shown], relation.order, keyed=keyed)
    if relation.shape == "connection":
        _ask_page(level, asked, kwargs, cursors)
    asked.link = link
    judged = [*asked.conditions, *([] if link is None else [link])]
    asked.skipped = not keyed or any(condition.sql == NOTHING.sql for condition in judged)
    return asked


def _among(level: Level, keys: Sequence[tuple[object, ...]]) -> Condition:
    """Return the condition that a row has one of these keys."""
    if not keys:
        return NOTHING
    names = list(level.relation.by)
    values = {f"by_{n}": [key[n] for key in keys] for n in range(len(names))}
    types = {f"by_{n}": f"{level.cls.source.columns[name]}[]" for n, name in enumerate(names)}
    own, theirs = ", ".join(f'{{t}}."{name}"' for name in names), ", ".join(f"{{{each}}}" for each in values)
    return Condition(f"({own}) IN (SELECT * FROM unnest({theirs}))", values, types)


def _shown(level: Level, name: str, actor: Any) -> Condition:
    condition: Condition = level.shown[name].declared.shown(actor)  # type: ignore[union-attr, misc]
    return condition


def _ask_page(level: Level, asked: Asked, kwargs: Mapping[str, Any], cursors: Any) -> None:
    relation = level.relation
    chosen = kwargs.get("order_by", UNSET)
    order = relation.order or relation.orders[next(iter(relation.orders)) if chosen is UNSET else chosen]
    asked.listing = f"{level.listing}:{getattr(chosen, 'name', '')}"
    asked.size, asked.backward = window(relation, kwargs)
    asked.order = order
    for name, way in (("after", order), ("before", order.reversed())):
        cursor = kwargs.get(name)
        if cursor is None or cursor is UNSET:
            continue
        values = cursors.open(asked.listing, cursor, [term.type for term in order.terms])
        if values is None:
            raise BadInput(f"{name} is not a cursor of this list in this order", path=name)
        asked.conditions.append(way.beyond(name, values))
        setattr(asked, name, True)
    asked.conditions.append(Condition("{limit}", {"limit": asked.size + 1}, {"limit": "bigint"}))


def write(plan: Plan, asked: Sequence[Asked]) -> Statement:
    """Write the statement of a plan for what is asked.

    Along one chain of lists, expected to be the longest, rows are joined and come flat; whatever lies beside it comes
    as arrays of rows in their parents' rows.
    """
    return _Writer(plan, asked).write()


class _Writer:
    def __init__(self, plan: Plan, asked: Sequence[Asked]) -> None:
        self._plan = plan
        self._asked = asked
        self._types: list[str] = []
        self._chain: list[Level] = []
        # Rendered in the order in which `Asked.values` gives the values.
        self._conditions: list[list[str]] = []
        self._shown: list[dict[str, str]] = []
        self._links: list[str] = []
        for level, each in zip(plan.levels, asked, strict=True):
            if each.skipped:
                self._conditions.append([])
                self._shown.append({})
                self._links.append("")
                continue
            alias = _alias(level)
            self._conditions.append([self._render(condition, alias) for condition in each.conditions])
            shown = [self._render(condition, alias) for condition in each.shown]
            self._shown.append(dict(zip(level.shown, shown, strict=True)))
            self._links.append("" if each.link is None else self._render(each.link, f"l{level.number}"))

    def write(self) -> Statement:
        roots = [level for given in self._plan.givens for level in given.levels]
        self._chain = chain(roots, self._asked)
        root = [column for level in roots for column in self._nested(level)]
        if not self._chain:
            return Statement("SELECT " + ", ".join(root), tuple(self._types), lambda records: records[0])
        columns = [f"r.c{n}" for n in range(len(root))]
        links = [Link(len(columns), self._plan.columns[self._chain[0].number])]
        sources = [f"(SELECT {', '.join(f'{each} AS c{n}' for n, each in enumerate(root))}) r"]
        flat = [columns]
        for level in self._chain:
            width = level.width + (len(self._terms(level)) if level.cursors else 0)
            flat.append([f"s{level.number}.c{n}" for n in range(width)])
            sources.append(f"LEFT JOIN LATERAL ({self._link(level)}) s{level.number} ON true")
            after = self._after(level)
            links.append(Link(width, None if after is None else level.place(after), level.relation.shape == "one"))
        ordinals = [f"s{level.number}.o" for level in self._chain]
        # A row's own values are sent once, with the first of the rows beneath it.
        shown = []
        for depth, columns in enumerate(flat):
            beneath = ordinals[depth:]
            first = " AND ".join(f"({o} IS NULL OR {o} = 1)" for o in beneath)
            shown += [f"CASE WHEN {first} THEN {each} END" if beneath else each for each in columns]
        sql = f"SELECT {', '.join([*ordinals, *shown])} FROM {' '.join(sources)} ORDER BY {', '.join(ordinals)}"
        return Statement(sql, tuple(self._types), gatherer(links))

    def _after(self, level: Level) -> Level | None:
        place = self._chain.index(level) + 1
        return self._chain[place] if place < len(self._chain) else None

    def _link(self, level: Level) -> str:
        """Return the rows of a level of the chain: their values, what lies beside the chain, and their ordinal."""
        alias, terms = _alias(level), self._terms(level)
        values = [f'{alias}."{name}"' for name in level.columns]
        values += [column for each in level.nested for column in self._nested(each)]
        if level.cursors:
            values += [f'{alias}."order:{n}"' for n in range(len(terms))]
        order = ", ".join(f'{alias}."order:{n}" {way}' for n, (_, way) in enumerate(terms))
        ordinal = f"row_number() OVER (ORDER BY {order})" if order else "1"
        named = ", ".join(f"{each} AS c{n}" for n, each in enumerate(values))
        return f"SELECT {named}, {ordinal} AS o FROM ({self._derived(level)}) {alias}"

    def _render(self, condition: Condition, alias: str) -> str:
        places = {}
        for name in condition.values:
            self._types.append(condition.types.get(name, "text"))
            places[name] = f"${len(self._types)}::{self._types[-1]}"
        return condition.sql.format(t=alias, **places)

    def _nested(self, level: Level) -> list[str]:
        """Return the expressions of what is nested: the rows, and their count where it is asked for."""
        relation, asked = level.relation, self._asked[level.number]
        if asked.skipped:
            return ["NULL", "0"] if level.counted else ["NULL"]
        if level in self._chain:
            # The rows are joined; only their count, which is their parent's, is asked for here.
            rows = "NULL"
        else:
            rows = f"({self._rows(level)})" if relation.shape == "one" else f"ARRAY({self._rows(level)})"
        return [rows, self._counted(level)] if level.counted else [rows]

    def _counted(self, level: Level) -> str:
        # The count is of the whole list: neither the place nor the size of the page matters.
        asked = self._asked[level.number]
        conditions = self._conditions[level.number][: -1 - asked.after - asked.before]
        where = self._where(level, conditions)
        return f"(SELECT count(*) FROM {level.cls.source.table} {_alias(level)} WHERE {where})"

    def _terms(self, level: Level) -> list[tuple[str, str]]:
        asked, alias = self._asked[level.number], _alias(level)
        order = asked.order.reversed() if asked.backward and asked.order is not None else asked.order
        ways = {True: "DESC", False: "ASC"}
        return [(t.expression.format(t=alias), ways[t.descending]) for t in (order.terms if order else ())]

    def _bounds(self, level: Level, *, joined: bool) -> tuple[str, str]:
        """Return the conditions of a level's rows, and how many there are at most."""
        conditions = list(self._conditions[level.number])
        limit = str(1 if level.relation.shape == "one" else level.relation.maximum)
        if level.relation.shape == "connection":
            limit = conditions.pop()
        return self._where(level, conditions, joined=joined), limit

    def _rows(self, level: Level) -> str:
        """Return the rows of a level that is nested as an array."""
        alias, terms = _alias(level), self._terms(level)
        if level.relation.shape == "latest_per":
            values = [f'{alias}."{name}"' for name in level.columns]
            values += [column for each in level.nested for column in self._nested(each)]
            outer = ", ".join(f'{alias}."order:{n}" {way}' for n, (_, way) in enumerate(terms))
            return f"SELECT ROW({', '.join(values)}) FROM ({self._derived(level)}) {alias} ORDER BY {outer}"
        where, limit = self._bounds(level, joined=False)
        row = self._row(level, alias, [expression for expression, _ in terms] if level.cursors else [])
        ordered = f" ORDER BY {', '.join(f'{expression} {way}' for expression, way in terms)}" if terms else ""
        return f"SELECT {row} FROM {level.cls.source.table} {alias} WHERE {where}{ordered} LIMIT {limit}"

    def _derived(self, level: Level) -> str:
        """Return a level's rows by their columns' names, each with its values of the order; nothing nested is read yet.

        Of the latest of each group, the first is taken of each, and put in order by whoever reads them.
        """
        alias, terms = _alias(level), self._terms(level)
        where, limit = self._bounds(level, joined=level in self._chain)
        needed = {*level.columns, *(n for each in level.nested for n in each.relation.by.values())}
        listed = [self._column(level, name, alias) + f' AS "{name}"' for name in sorted(needed)]
        listed += [f'{expression} AS "order:{n}"' for n, (expression, _) in enumerate(terms)]
        per = [f'{alias}."{name}"' for name in level.relation.per]
        distinct = f"DISTINCT ON ({', '.join(per)}) " if per else ""
        order = ", ".join([*per, *(f"{expression} {way}" for expression, way in terms)])
        ordered = f" ORDER BY {order}" if order else ""
        return (
            f"SELECT {distinct}{', '.join(listed)} FROM {level.cls.source.table} {alias}"
            f" WHERE {where}{ordered} LIMIT {limit}"
        )

    def _row(self, level: Level, alias: str, order: list[str]) -> str:
        values = [self._column(level, name, alias) for name in level.columns]
        values += [column for each in level.nested for column in self._nested(each)]
        return f"ROW({', '.join([*values, *order])})"

    def _column(self, level: Level, name: str, alias: str) -> str:
        source = level.cls.source
        if name in source.computed:
            return source.computed[name].format(t=alias)
        if name in level.shown:
            definition = level.shown[name]
            column = definition.declared.name or definition.python_name  # type: ignore[union-attr]
            return f'CASE WHEN {self._shown[level.number][name]} THEN {alias}."{column}" END'
        return f'{alias}."{name}"'

    def _key(self, parent: Level, name: str) -> str:
        """Return what the rows of another level hang on; derived rows have their columns under their names."""
        computed = parent.cls.source.computed
        if name in computed and parent.relation.shape != "latest_per" and parent not in self._chain:
            return computed[name].format(t=_alias(parent))
        return f'{_alias(parent)}."{name}"'

    def _where(self, level: Level, conditions: Sequence[str], *, joined: bool = False) -> str:
        """Return the conditions together with what ties the rows to their parent's, which are joined or around them."""
        parent, through, tied = level.parent, level.relation.through, []
        near = _alias(level) if through is None else f"l{level.number}"
        if isinstance(parent, Level):

            def key(name: str) -> str:
                return f"s{parent.number}.c{parent.columns[name]}" if joined else self._key(parent, name)

            tied = [f'{near}."{own}" = {key(theirs)}' for own, theirs in level.relation.by.items()]
        if through is not None:
            far = [f'{_alias(level)}."{own}" = {near}."{theirs}"' for own, theirs in through.on.items()]
            links = " AND ".join([*far, *tied, f"({self._links[level.number]})"])
            tied = [f"EXISTS (SELECT FROM {through.link.table} {near} WHERE {links})"]
        if isinstance(parent, Level) and level.under is not None:
            assert parent.relation.kinds is not None
            kind = level.under.replace("'", "''")
            tied.append(f"{key(parent.relation.kinds.column)} = '{kind}'")
        return " AND ".join([*tied, *(f"({condition})" for condition in conditions)]) or "true"


def _alias(level: Level) -> str:
    return f"t{level.number}"
