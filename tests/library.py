"""A library: a schema of the tests' own with what the product has no use for: links, and rows of several types."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import strawberry

from kpro_graph.execution import (
    Condition,
    Connection,
    Cursors,
    Kinds,
    Loading,
    Order,
    Row,
    Source,
    Term,
    Through,
    batched,
    by_id,
    column,
    connection,
    many,
    node_id,
    one,
    through,
)
from kpro_graph.execution.compiled import Compiler, NotCompiled
from kpro_graph.execution.ids import encode
from kpro_graph.execution.limits import Limits

__all__ = ["BY_TIME", "BY_TITLE", "SCHEMA", "Library", "Reader", "filled", "ids"]

TABLES = """
CREATE TABLE person (shelf integer NOT NULL, id uuid PRIMARY KEY, name text NOT NULL, room integer NOT NULL);
CREATE TABLE book (shelf integer NOT NULL, id uuid PRIMARY KEY, title text NOT NULL);
CREATE TABLE authorship (shelf integer NOT NULL, book_id uuid NOT NULL, person_id uuid NOT NULL, room integer NOT NULL);
CREATE TABLE happening (
    shelf integer NOT NULL, id uuid PRIMARY KEY, book_id uuid NOT NULL, kind text NOT NULL, at integer NOT NULL,
    person_id uuid, note text, room integer NOT NULL
);
"""


@dataclass(frozen=True)
class Reader:
    """Somebody who reads, and the rooms they have a key to; without any, no table is looked at for them."""

    rooms: tuple[int, ...]

    def may_enter(self) -> Condition:
        """Return the condition of what stands in their rooms."""
        if not self.rooms:
            return Condition("false")
        return Condition("{t}.room = ANY({rooms})", {"rooms": list(self.rooms)}, {"rooms": "integer[]"})


def _source(table: str, *, subject: str | None = None, open_: bool = False, **columns: str) -> Source:
    judge = (lambda _reader: Condition("true")) if open_ else Reader.may_enter
    return Source(table, {"shelf": "integer", **columns}, judge, tenant="shelf", subject=subject)


PERSON = _source("person", subject="id", id="uuid", name="text", room="integer")
BOOK = _source("book", open_=True, id="uuid", title="text")
AUTHORSHIP = _source("authorship", book_id="uuid", person_id="uuid", room="integer")
HAPPENING = _source(
    "happening", subject="person_id", id="uuid", book_id="uuid", kind="text", at="integer", person_id="uuid",
    note="text", room="integer",
)  # fmt: skip
BY_NAME = Order((Term("{t}.name", "text"), Term("{t}.id", "uuid")))
BY_TITLE = Order((Term("{t}.title", "text"), Term("{t}.id", "uuid")))
BY_TIME = Order((Term("{t}.at", "integer", descending=True), Term("{t}.id", "uuid")))
KINDS = Kinds("kind", {"lent": "Lent", "it's lost": "Lost", "read": "Read"})


@strawberry.type
class Person(Row):
    """Who writes and reads."""

    source, prefix, group = PERSON, "person", "people"

    id: strawberry.ID = node_id("The person's id.")
    name: str = column(description="The name.")
    books: list[Annotated[Book, strawberry.lazy("tests.library")]] = through(
        AUTHORSHIP, by={"person_id": "id"}, on={"id": "book_id"}, order=BY_TITLE, description="What they wrote."
    )


@strawberry.interface
class Happening(Row):
    """What became of a book."""

    source, prefix, group = HAPPENING, "hap", "happenings"

    id: strawberry.ID = node_id("The happening's id.")
    at: int = column(description="When.")


async def _loud(rows: Sequence[Any], _info: Any) -> list[str]:
    return [f"{type(row).__name__} {row.row['note']}!" for row in rows]


@strawberry.type
class Weight:
    """How heavy something is."""

    grams: int
    halves: list[int]


async def _weights(rows: Sequence[Any], _info: Any) -> list[Weight]:
    return [Weight(grams=row.row["at"], halves=[row.row["at"] // 2] * 2) for row in rows]


@strawberry.type
class Lent(Happening):
    """Somebody has it."""

    group = "loans"

    person: Person | None = one(by={"id": "person_id"}, description="Who has it.")
    note: str | None = column(description="A note.", shown=lambda _reader: Condition("{t}.at > 3"))
    book: Annotated[Book, strawberry.lazy("tests.library")] | None = one(by={"id": "book_id"}, description="It.")


@strawberry.type
class Lost(Happening):
    """Nobody has it."""

    group = "losses"

    note: str | None = column(description="A note.", shown=lambda _reader: Condition("{t}.at <= 3"))
    said: str = batched(_loud, "note", description="Said loudly.")


@strawberry.type
class Read(Happening):
    """Somebody read it; nothing else is known."""

    said: str = batched(_loud, "note", description="Said loudly.")
    weight: Weight = batched(_weights, "at", description="How heavy it was.")
    others: Connection[Person] = connection(
        by={"book_id": "book_id"}, through=Through(AUTHORSHIP, {"id": "person_id"}), order=BY_NAME,
        description="Who wrote what was read.",
    )  # fmt: skip


Event = Annotated[Lent | Lost | Read, strawberry.union("Event")]


@strawberry.type
class Book(Row):
    """A book."""

    source, prefix, group = BOOK, "book", "books"

    id: strawberry.ID = node_id("The book's id.")
    title: str = column(description="The title.")
    authors: list[Person] = through(
        AUTHORSHIP, by={"book_id": "id"}, on={"id": "person_id"}, order=BY_NAME, description="Who wrote it."
    )
    author_pages: Connection[Person] = connection(
        by={"book_id": "id"}, through=Through(AUTHORSHIP, {"id": "person_id"}), order=BY_NAME, default=2,
        description="Who wrote it, in pages.",
    )  # fmt: skip
    happenings: list[Happening] = many(
        by={"book_id": "id"}, order=BY_TIME, kinds=KINDS, description="What became of it, newest first."
    )
    log: Connection[Event] = connection(
        by={"book_id": "id"}, order=BY_TIME, kinds=KINDS, default=3, description="The same in pages."
    )
    birth: Happening | None = one(
        by={"book_id": "id"}, where=Condition("{t}.at = 0"), kinds=KINDS, description="What came first."
    )


@strawberry.type
class Me:
    """Whoever reads."""

    key: strawberry.Private[UUID]
    name: str
    mine: list[Book] = through(
        AUTHORSHIP, by={"person_id": "key"}, on={"id": "book_id"}, order=BY_TITLE, description="What they wrote."
    )


WRITER = UUID(int=1)


def _me(root: Any, info: strawberry.Info) -> Me:
    return Me(key=WRITER, name=f"with keys to {len(info.context.loading.actor.rooms)} rooms")


@strawberry.type
class Query:
    """What can be asked."""

    book: Book | None = one(arguments=[by_id("book", "The book's id.")], description="A book.")
    books: Connection[Book] = connection(order=BY_TITLE, description="All books.")
    people: Connection[Person] = connection(order=BY_NAME, description="All people.", search=True)
    happenings: Connection[Happening] = connection(
        order=BY_TIME, kinds=KINDS, default=4, description="All that has happened.", search=True
    )

    me: Me = strawberry.field(resolver=_me, description="Whoever reads.", metadata={"given": True})


SCHEMA = strawberry.Schema(Query, types=[Lent, Lost, Read])


@dataclass
class Snapshot:
    """What both executions need of storage; it remembers whom it was told of."""

    actor: Reader
    connection: Any
    noted: set[Any] = field(default_factory=set)
    statements: int = 0
    taking_turns: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Run a statement."""
        self.statements += 1
        async with self.taking_turns:
            return list(await self.connection.fetch(sql, *arguments))

    def saw_rows(self, rows: Iterable[Any], fields: Any, action: str) -> bool:
        """Remember whose records are in the answer."""
        found = list(rows)
        for shelf, person, _ in found:
            self.noted |= {(action, each) if person is None else (shelf, person, action, each) for each in fields}
        return bool(found)

    def saw_nobody(self, action: str = "search", fields: Any = ()) -> None:
        """Remember that nobody's is."""
        self.noted |= {(action, each) for each in fields}


class Library:
    """The library, and the two ways to ask it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.compiler = Compiler(SCHEMA, limits=Limits(10**6, 10**6, 10**6, 10**30))
        self.cursors = Cursors(b"thirty-two bytes that nobody knows")

    async def compiled(
        self, reader: Reader, document: str, variables: dict[str, Any] | None = None, name: str | None = None
    ) -> tuple[Any, Snapshot] | NotCompiled:
        """Return the compiled answer and its snapshot, or why there is none."""
        snapshot, context = self._context(reader)
        try:
            return json.loads(await self.compiler.run(document, variables, name, context)), snapshot
        except NotCompiled as reason:
            return reason

    async def reference(
        self, reader: Reader, document: str, variables: dict[str, Any] | None = None, name: str | None = None
    ) -> tuple[Any, Snapshot, list[Any]]:
        """Return the reference's answer, its snapshot and its errors."""
        snapshot, context = self._context(reader)
        result: Any = await SCHEMA.execute(document, variables, context, operation_name=name)
        await context.loading.close()
        return {"data": result.data}, snapshot, result.errors or []

    def _context(self, reader: Reader) -> tuple[Snapshot, Any]:
        snapshot = Snapshot(reader, self.connection)
        loading = Loading(reader, lambda: asyncio.sleep(0, snapshot), self.cursors)
        return snapshot, SimpleNamespace(loading=loading, name="")


@asynccontextmanager
async def filled(postgres: Any, seed: int) -> AsyncIterator[Library]:
    """Give a library of books, people, links between them, several for some, and what happened."""
    name = f"library_{seed}"
    postgres.create_database(name)
    connection = await asyncpg.connect(postgres.dsn("postgres", name))
    try:
        await connection.execute(TABLES)
        await fill(connection, random.Random(seed))
        yield Library(connection)
    finally:
        await connection.close()
        postgres.drop_database(name)


async def fill(connection: Any, chance: random.Random) -> None:
    """Put rows into the tables."""
    people = [UUID(int=n) for n in range(1, 8)]
    books = [UUID(int=n) for n in range(11, 20)]
    await connection.executemany(
        "INSERT INTO person VALUES (1, $1, $2, $3)",
        [(each, chance.choice("ABC"), chance.randint(1, 3)) for each in people],
    )
    await connection.executemany(
        "INSERT INTO book VALUES (1, $1, $2)", [(each, chance.choice("XYZ")) for each in books]
    )
    links = [(chance.choice(books), chance.choice(people), chance.randint(1, 3)) for _ in range(30)]
    await connection.executemany("INSERT INTO authorship VALUES (1, $1, $2, $3)", [*links, *links[:8]])
    happened = [
        (UUID(int=100 + n), chance.choice(books), chance.choice(list(KINDS.types)), chance.randint(1, 6),
         chance.choice([*people, None]), chance.choice(["a note", "", None]), chance.randint(1, 3))
        for n in range(40)
    ]  # fmt: skip
    births = [(UUID(int=200 + n), each, "read", 0, None, "born", 1) for n, each in enumerate(books[:6])]
    await connection.executemany("INSERT INTO happening VALUES (1, $1, $2, $3, $4, $5, $6, $7)", [*happened, *births])


def ids() -> dict[str, list[str]]:
    """Return the public ids of what is there."""
    return {"book": [encode("book", UUID(int=n)) for n in range(11, 21)]}
