"""The reference execution: batched loaders under graphql-core, made from the declarations.

One statement a relation and level, however many parents; never the fastest, always right. Rows that become part of an
answer are noted with the reading, which writes the access log before the answer leaves.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence, Set
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLObjectType
from strawberry.dataloader import DataLoader
from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput
from kpro_graph.execution.paging import window
from kpro_graph.execution.sources import Condition, Order, Source, Statement
from kpro_graph.execution.wants import Want, wanted

if TYPE_CHECKING:
    from uuid import UUID

    from kpro_graph.execution.fields import Batched, DeclaredField, Relation, Row
    from kpro_graph.execution.paging import Cursors

__all__ = ["Loading", "Reads", "batch", "load", "related"]


class Reads(Protocol):
    """What the reference execution needs of storage: one snapshot that runs statements and notes what was seen."""

    actor: Any

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Run a statement."""
        ...

    def saw_rows(self, rows: Iterable[Sequence[Any]], fields: Set[str], action: str) -> bool:
        """Note whose rows are in the answer, each with tenant, subject and questionnaire; say if there are any."""
        ...

    def saw_nobody(self, action: str = "search", fields: Any = ()) -> None:
        """Note a search that found nobody's record."""
        ...


class Loading:
    """The loaders of one operation over one snapshot, opened when the first row is asked for."""

    def __init__(self, actor: Any, open_reading: Callable[[], Awaitable[Reads]], cursors: Cursors) -> None:
        self.actor = actor
        self.cursors = cursors
        self._open = open_reading
        self._reading: asyncio.Future[Reads] | None = None
        self._closed = False
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._running: set[asyncio.Future[list[Any]]] = set()

    async def reading(self) -> Reads:
        """Return the operation's snapshot."""
        if self._closed:
            raise RuntimeError("the operation has ended")
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._reading)

    async def first(self) -> Reads:
        """Return the operation's snapshot to an execution whose fields do not run beside each other.

        It is opened within the caller's own task, which costs less than a task of its own.
        """
        if self._reading is not None or self._closed:
            return await self.reading()
        reading = await self._open()
        self._reading = asyncio.get_running_loop().create_future()
        self._reading.set_result(reading)
        return reading

    async def close(self, *, break_off: bool = False) -> None:
        """Open no snapshot from now on; wait for statements under way, or break them off.

        An operation with an error may end while other fields of it still wait for their rows.
        """
        self._closed = True
        opening = {self._reading} if self._reading is not None and not self._reading.done() else set()
        for each in (*opening, *(self._running if break_off else ())):
            each.cancel()
        if waiting := opening | self._running:
            await asyncio.wait(waiting)

    def loader(self, key: Hashable, make: Callable[[list[Any]], Awaitable[list[Any]]]) -> DataLoader[Any, Any]:
        """Return the loader with this key, made on first use."""
        found = self._loaders.get(key)
        if found is None:

            async def whole(keys: list[Any]) -> list[Any]:
                # Nobody may want the rows any more; but a statement broken off takes the whole snapshot with it.
                running = asyncio.ensure_future(make(keys))
                self._running.add(running)
                running.add_done_callback(self._running.discard)
                return await asyncio.shield(running)

            found = self._loaders[key] = DataLoader(load_fn=whole, max_batch_size=5000, cache_key_fn=_cache_key)
        return found


async def _whole(value: Awaitable[Any]) -> Any:
    """Wait for what others may wait for too: a field that is broken off by another's error takes nothing from them."""
    return await asyncio.shield(value)


def _cache_key(key: Any) -> Hashable:
    """Tell keys apart by value and rows by who they are: a row is a dataclass and has no hash of its own."""
    return key if isinstance(key, tuple) else id(key)


class Page:
    """One page of a connection for one parent."""

    def __init__(self, rows: list[Any], has_next: bool, has_previous: bool, cursor: Any, total: Any) -> None:
        self.rows = rows
        self.has_next = has_next
        self.has_previous = has_previous
        self.cursor = cursor
        self.total = total


def _parent_key(relation: Relation, source: Any) -> tuple[Any, ...]:
    row = getattr(source, "row", None)
    if row is not None:
        return tuple(row[name] for name in relation.by.values())
    return tuple(getattr(source, name) for name in relation.by.values())


async def related(field: DeclaredField, relation: Relation, source: Any, info: Any, kwargs: dict[str, Any]) -> Any:
    """Resolve a relation for one parent, together with its siblings."""
    loading: Loading = info.context.loading
    key = _parent_key(relation, source)
    if any(part is None for part in key):
        return None if relation.shape in {"one", "connection"} else []
    want = wanted(info, relation)
    above = type(source).source.table if hasattr(source, "row") else ""
    link = None
    if relation.through is not None:
        links = relation.through.link
        judged = [*links.reached(relation.by, loading.actor), links.visible(loading.actor)]
        link, above = reduce(operator.and_, judged), ""
    conditions = _conditions(relation, want.cls.source, above, loading.actor, kwargs)
    if relation.shape == "connection":
        return await _connected(field, relation, key, want, conditions, link, info, kwargs)
    signature = (field, want.columns, want.groups, _frozen(kwargs))

    async def load_rows(keys: list[Any]) -> list[Any]:
        reading = await loading.reading()
        sql, parameters = _statement(relation, want.cls.source, want, keys, conditions, relation.order, link=link)
        grouped = _by_parent(want, await reading.fetch(sql, parameters), len(keys))
        for rows in grouped:
            want.note(reading, rows)
        if relation.shape == "one":
            return [rows[0] if rows else None for rows in grouped]
        return grouped

    return await _whole(loading.loader(signature, load_rows).load(key))


async def batch(field: DeclaredField, declared: Batched, source: Any, info: Any) -> Any:
    """Resolve a batch function for one row, together with its siblings."""
    loading: Loading = info.context.loading

    async def call(rows: list[Any]) -> list[Any]:
        values = list(await declared.function(rows, info))
        if len(values) != len(rows):
            raise ValueError(f"{field.python_name} gave {len(values)} values for {len(rows)} rows")
        return values

    level = tuple(part for part in info._raw_info.path.as_list() if isinstance(part, str))
    return await _whole(loading.loader((field, level), call).load(source))


async def load(info: Any, type_: GraphQLObjectType, key: UUID) -> Any:
    """Load one row of a type by its key, for look-ups whose type is known only when they run (``node``)."""
    loading: Loading = info.context.loading
    want = Want(info, type_)
    source = want.cls.source

    async def load_rows(keys: list[Any]) -> list[Any]:
        from kpro_graph.execution.fields import Relation

        reading = await loading.reading()
        relation = Relation("one", {source.key: source.key})
        conditions = [*source.reached(relation.by, loading.actor), source.visible(loading.actor)]
        sql, parameters = _statement(relation, source, want, keys, conditions, None)
        grouped = _by_parent(want, await reading.fetch(sql, parameters), len(keys))
        for rows in grouped:
            want.note(reading, rows)
        return [rows[0] if rows else None for rows in grouped]

    return await _whole(loading.loader(("load", want.cls, want.columns, want.groups), load_rows).load((key,)))


def _conditions(
    relation: Relation, source: Source, above: str, actor: Any, kwargs: Mapping[str, Any]
) -> list[Condition]:
    by = relation.by if relation.through is None else relation.through.on
    # Of the row above nothing is at hand here but its keys.
    within = source.seen_from(above, relation.by) if relation.through is None else None
    judged = source.visible(actor) if within is None or within.needs else within.visible(actor)
    conditions = [*source.reached(by, actor), judged]
    if relation.judged is not None:
        conditions.append(relation.judged(actor))
    if relation.where is not None:
        conditions.append(relation.where)
    conditions += [
        condition
        for argument in relation.arguments
        if (condition := argument.on_rows(kwargs.get(argument.name, argument.default))) is not None
    ]
    return conditions


def _statement(
    relation: Relation,
    source: Source,
    want: Want,
    keys: list[tuple[Any, ...]],
    conditions: Sequence[Condition],
    order: Order | None,
    *,
    link: Condition | None = None,
    limit: int | None = None,
    beyond: tuple[Order, tuple[object, ...]] | None = None,
    before: tuple[Order, tuple[object, ...]] | None = None,
) -> tuple[str, list[object]]:
    """Write the one statement that loads a relation for all its parents; rows come out parent by parent, in order."""
    statement = Statement()
    parents, joined = _parents(statement, relation, source, keys, link)
    terms = order.terms if order is not None else ()
    listed = ", ".join(_listed(statement, want, name) for name in want.columns)
    ordinals = "".join(f', {term.expression.format(t="t")} AS "order:{n}"' for n, term in enumerate(terms))
    conditions_sql = [*joined, *(f"({statement.condition(each, 't')})" for each in conditions)]
    for name, bound in (("after", beyond), ("before", before)):
        if bound is not None:
            conditions_sql.append(statement.condition(bound[0].beyond(name, bound[1]), "t"))
    where = " AND ".join(conditions_sql) or "true"
    directions = ["DESC" if term.descending else "ASC" for term in terms]
    distinct, inner = (
        "",
        [f"{term.expression.format(t='t')} {way}" for term, way in zip(terms, directions, strict=True)],
    )
    if relation.shape == "latest_per":
        per = [f't."{name}"' for name in relation.per]
        distinct, inner = f"DISTINCT ON ({', '.join(per)}) ", [*per, *inner]
    size = {"one": 1}.get(relation.shape, limit if limit is not None else relation.maximum)
    ordered = f" ORDER BY {', '.join(inner)}" if inner else ""
    outer = "".join(f', p."order:{n}" {way}' for n, way in enumerate(directions))
    # Everything spliced in here is the declaration's own text; values are parameters.
    sql = (
        f"SELECT k.ordinal, p.* FROM {parents} CROSS JOIN LATERAL ("
        f"SELECT {distinct}{listed}{ordinals} FROM {source.table} t WHERE {where}{ordered} LIMIT {size}"
        f") p ORDER BY k.ordinal{outer}"
    )
    return sql, statement.parameters


def _listed(statement: Statement, want: Want, name: str) -> str:
    if name in want.cls.source.computed:
        return f'{want.cls.source.computed[name].format(t="t")} AS "{name}"'
    if name not in want.shown:
        return f't."{name}"'
    column, condition = want.shown[name]
    return f'CASE WHEN {statement.condition(condition, "t")} THEN t."{column}" END AS "{name}"'


def _parents(
    statement: Statement, relation: Relation, source: Source, keys: list[tuple[Any, ...]], link: Condition | None
) -> tuple[str, list[str]]:
    if not relation.by:
        return "(VALUES (1)) k (ordinal)", []
    types = relation.source_of_keys(source).columns
    arrays = [statement.parameter([key[n] for key in keys], f"{types[name]}[]") for n, name in enumerate(relation.by)]
    names, near = [f'"by:{n}"' for n in range(len(relation.by))], "t" if relation.through is None else "l"
    joined = [f'{near}."{name}" = k.{alias}' for name, alias in zip(relation.by, names, strict=True)]
    if relation.through is not None:
        assert link is not None
        joined += [f't."{own}" = l."{theirs}"' for own, theirs in relation.through.on.items()]
        links = " AND ".join([*joined, f"({statement.condition(link, 'l')})"])
        joined = [f"EXISTS (SELECT FROM {relation.through.link.table} l WHERE {links})"]
    return f"unnest({', '.join(arrays)}) WITH ORDINALITY k ({', '.join(names)}, ordinal)", joined


def _by_parent(want: Want, records: list[Any], count: int) -> list[list[Row]]:
    grouped: list[list[Row]] = [[] for _ in range(count)]
    for record in records:
        grouped[record["ordinal"] - 1].append(want.made(record))
    return grouped


async def _connected(
    field: DeclaredField,
    relation: Relation,
    key: tuple[Any, ...],
    want: Want,
    conditions: list[Condition],
    link: Condition | None,
    info: Any,
    kwargs: dict[str, Any],
) -> Any:
    from kpro_graph.execution.paging import Connection

    loading: Loading = info.context.loading
    chosen = kwargs.get("order_by", UNSET)
    order = relation.order or relation.orders[next(iter(relation.orders)) if chosen is UNSET else chosen]
    listing = f"{info._raw_info.parent_type.name}.{info.field_name}:{getattr(chosen, 'name', '')}"
    size, backward = window(relation, kwargs)
    types = [term.type for term in order.terms]
    direction = order.reversed() if backward else order
    after = _opened(loading, listing, kwargs.get("after"), types, "after")
    before = _opened(loading, listing, kwargs.get("before"), types, "before")
    source = want.cls.source
    signature = (field, want.columns, want.groups, _frozen(kwargs))

    async def load_pages(keys: list[Any]) -> list[Any]:
        reading = await loading.reading()
        sql, parameters = _statement(
            relation, source, want, keys, conditions, direction,
            link=link,
            limit=size + 1,
            beyond=None if after is None else (order, after),
            before=None if before is None else (order.reversed(), before),
        )  # fmt: skip
        pages = []
        for rows in _by_parent(want, await reading.fetch(sql, parameters), len(keys)):
            more, kept = len(rows) > size, rows[:size]
            if backward:
                kept.reverse()
            want.note(reading, kept, search=relation.search)
            pages.append((kept, more))
        return pages

    async def count(keys: list[Any]) -> list[int]:
        reading = await loading.reading()
        statement = Statement()
        parents, joined = _parents(statement, relation, source, keys, link)
        where = " AND ".join([*joined, *(f"({statement.condition(each, 't')})" for each in conditions)])
        counted = f"(SELECT count(*) FROM {source.table} t WHERE {where}) AS count"
        sql = f"SELECT k.ordinal, {counted} FROM {parents} ORDER BY k.ordinal"
        rows = await reading.fetch(sql, statement.parameters)
        return [row["count"] for row in rows]

    def cursor(row: Row) -> str:
        return loading.cursors.seal(listing, [row.row[f"order:{n}"] for n in range(len(types))])

    async def total() -> int:
        narrowed = {k: v for k, v in kwargs.items() if k not in {"first", "after", "last", "before", "order_by"}}
        number: int = await _whole(loading.loader(("count", field, _frozen(narrowed)), count).load(key))
        return number

    rows, more = await _whole(loading.loader(signature, load_pages).load(key))
    page = Page(
        rows,
        has_next=before is not None if backward else more,
        has_previous=more if backward else after is not None,
        cursor=cursor,
        total=total,
    )
    return Connection(page=page)


def _opened(
    loading: Loading, listing: str, cursor: str | None, types: Sequence[str], name: str
) -> tuple[object, ...] | None:
    if cursor is None or cursor is UNSET:
        return None
    values = loading.cursors.open(listing, cursor, types)
    if values is None:
        raise BadInput(f"{name} is not a cursor of this list in this order", path=name)
    return values


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(each)) for name, each in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(each) for each in value)
    return value if isinstance(value, Hashable) else repr(value)
