"""Writing: one SQL statement of a whole plan; rows nested in their parents' rows, in their order.

What is nested in a row comes as an array of rows in one of its columns, so that lists side by side do not multiply one
another and nothing is sent twice. The statement's text is made of declarations alone; values are parameters. The text
depends on the shape of the conditions (whether an argument was given, by what right an actor sees rows), never on a
value, so that it is written once a shape and prepared once a connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput
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

    @property
    def shape(self) -> tuple[object, ...]:
        """Return what decides the text of the statement."""
        if self.skipped:
            return ()
        return (
            *(condition.sql for condition in self.conditions),
            *(condition.sql for condition in self.shown),
            self.order,
            self.backward,
        )

    def values(self) -> Iterator[object]:
        """Return the values in the order of their places in the text."""
        for condition in () if self.skipped else (*self.conditions, *self.shown):
            yield from condition.values.values()


SKIPPED = Asked([], [], None, skipped=True)
"""What is asked of a level whose parent's rows nobody asks for."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text; its parameters are the values of the levels, in order."""

    sql: str
    types: tuple[str, ...] = field(default=())


def ask(level: Level, actor: Any, kwargs: Mapping[str, Any], cursors: Any, given: Mapping[str, object]) -> Asked:
    """Return what this run asks of a level.

    ``given`` holds the values the level hangs on, where its parent is an object at hand.

    Raises:
        BadInput: a page's size or cursor is none.
    """
    relation, source = level.relation, level.cls.source
    conditions = [source.visible(actor)]
    if relation.judged is not None:
        conditions.append(relation.judged(actor))
    if relation.where is not None:
        conditions.append(relation.where)
    conditions += [
        condition
        for argument in relation.arguments
        if (condition := argument.on_rows(kwargs.get(argument.name, argument.default))) is not None
    ]
    conditions += [
        Condition(f'{{t}}."{column}" = {{by}}', {"by": value}, {"by": source.columns[column]})
        for column, value in given.items()
    ]
    keyed = None not in given.values()
    asked = Asked(conditions, [_shown(level, name, actor) for name in level.shown], relation.order, keyed=keyed)
    if relation.shape == "connection":
        _ask_page(level, asked, kwargs, cursors)
    asked.skipped = not keyed or any(condition.sql == NOTHING.sql for condition in asked.conditions)
    return asked


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
    """Write the statement of a plan for what is asked: one row, a column for each list or row under objects at hand."""
    return _Writer(plan, asked).write()


class _Writer:
    def __init__(self, plan: Plan, asked: Sequence[Asked]) -> None:
        self._plan = plan
        self._asked = asked
        self._types: list[str] = []
        # Rendered in the order in which `Asked.values` gives the values.
        self._conditions: list[list[str]] = []
        self._shown: list[dict[str, str]] = []
        for level, each in zip(plan.levels, asked, strict=True):
            if each.skipped:
                self._conditions.append([])
                self._shown.append({})
                continue
            alias = _alias(level)
            self._conditions.append([self._render(condition, alias) for condition in each.conditions])
            shown = [self._render(condition, alias) for condition in each.shown]
            self._shown.append(dict(zip(level.shown, shown, strict=True)))

    def write(self) -> Statement:
        columns = [column for given in self._plan.givens for level in given.levels for column in self._nested(level)]
        return Statement("SELECT " + ", ".join(columns), tuple(self._types))

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
        rows = self._rows(level)
        if relation.shape == "one":
            return [f"({rows})"]
        if not level.counted:
            return [f"ARRAY({rows})"]
        # The count is of the whole list: neither the place nor the size of the page matters.
        conditions = self._conditions[level.number][: -1 - asked.after - asked.before]
        where = self._where(level, conditions)
        counted = f"(SELECT count(*) FROM {level.cls.source.table} {_alias(level)} WHERE {where})"
        return [f"ARRAY({rows})", counted]

    def _rows(self, level: Level) -> str:
        relation, asked, alias = level.relation, self._asked[level.number], _alias(level)
        conditions = list(self._conditions[level.number])
        limit = str(1 if relation.shape == "one" else relation.maximum)
        order = asked.order
        if relation.shape == "connection":
            limit = conditions.pop()
            if asked.backward and order is not None:
                order = order.reversed()
        where = self._where(level, conditions)
        terms = [(term.expression.format(t=alias), "DESC" if term.descending else "ASC")
                 for term in (order.terms if order else ())]  # fmt: skip
        if relation.shape == "latest_per":
            return self._latest(level, where, terms, limit)
        row = self._row(level, alias, [expression for expression, _ in terms] if level.cursors else [])
        ordered = f" ORDER BY {', '.join(f'{expression} {way}' for expression, way in terms)}" if terms else ""
        return f"SELECT {row} FROM {level.cls.source.table} {alias} WHERE {where}{ordered} LIMIT {limit}"

    def _latest(self, level: Level, where: str, terms: list[tuple[str, str]], limit: str) -> str:
        """Take the first row of each group, then put those in order; what is nested is read for them alone."""
        source, alias = level.cls.source, _alias(level)
        per = [f'{alias}."{name}"' for name in level.relation.per]
        inner = ", ".join([*per, *(f"{expression} {way}" for expression, way in terms)])
        needed = {*level.columns, *(n for each in level.nested for n in each.relation.by.values())}
        listed = [self._column(level, name, alias) + f' AS "{name}"' for name in sorted(needed)]
        listed += [f'{expression} AS "order:{n}"' for n, (expression, _) in enumerate(terms)]
        outer = ", ".join(f'{alias}."order:{n}" {way}' for n, (_, way) in enumerate(terms))
        values = [f'{alias}."{name}"' for name in level.columns]
        values += [column for each in level.nested for column in self._nested(each)]
        return (
            f"SELECT ROW({', '.join(values)}) FROM ("
            f"SELECT DISTINCT ON ({', '.join(per)}) {', '.join(listed)} FROM {source.table} {alias}"
            f" WHERE {where} ORDER BY {inner} LIMIT {limit}) {alias} ORDER BY {outer}"
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
        """Return what the rows of another level hang on; a latest row has its computed columns under their names."""
        computed = parent.cls.source.computed
        if name in computed and parent.relation.shape != "latest_per":
            return computed[name].format(t=_alias(parent))
        return f'{_alias(parent)}."{name}"'

    def _where(self, level: Level, conditions: Sequence[str]) -> str:
        joined = []
        if isinstance(level.parent, Level):
            joined = [
                f'{_alias(level)}."{own}" = {self._key(level.parent, theirs)}'
                for own, theirs in level.relation.by.items()
            ]
        return " AND ".join([*joined, *(f"({condition})" for condition in conditions)]) or "true"


def _alias(level: Level) -> str:
    return f"t{level.number}"
