"""A rehearsal: operations run to their end against a real database, and nothing of them stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from kpro_graph.actors import Actor, Credentials
from kpro_graph.app import Product
from kpro_graph.errors import KproError
from kpro_graph.identity import authenticate
from kpro_graph.schema.context import Answer, Viewer
from kpro_graph.schema.entry import KproSchema
from kpro_graph.storage.database import _ENTER, Database, _scope

__all__ = ["Played", "Rehearsal", "Stage", "rehearsing"]


class Rehearsal(Database):
    """The database on one connection inside one transaction, which is given up: sessions are savepoints of it.

    ``scope``, if it is set, is what row-level security is told whatever municipalities a session asks for.
    """

    def __init__(self, database: Database, connection: Any) -> None:
        super().__init__(database._pool, 1, database.cipher, database._models, pooled=True)
        self.scope: tuple[int, ...] | None = None
        self._only = connection
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def _session(
        self, municipalities: Iterable[int], isolation: str, commit: Callable[[Any, Any], Awaitable[None]] | None = None
    ) -> AsyncIterator[Any]:
        async with self._turn, self._only.transaction():
            await self._only.execute(_ENTER, _scope(self.scope or municipalities))
            yield self._only


@dataclass(frozen=True, slots=True)
class Played:
    """What an operation came to: its answer as text and as JSON, and the lines it left in the access log."""

    text: str
    data: Any
    errors: list[dict[str, Any]]
    lines: tuple[Mapping[str, Any], ...] = ()

    @property
    def codes(self) -> set[str]:
        """The codes of the errors."""
        return {each["extensions"]["code"] for each in self.errors}


class Stage:
    """Plays operations as the product does, one after the other, each in a transaction that is given up."""

    def __init__(self, product: Product, schema: KproSchema, rehearsal: Rehearsal, everywhere: tuple[int, ...]) -> None:
        self.product = product
        self.schema = schema
        self.rehearsal = rehearsal
        self.application = replace(product.application, database=rehearsal)
        self.everywhere = everywhere

    def viewer(self, actor: Actor | None, shown: Credentials | None = None, refusal: KproError | None = None) -> Viewer:
        """Return who asks; with credentials they are asked for again where the product does."""

        async def again() -> Actor:
            assert shown is not None
            return await authenticate(self.rehearsal, self.product.host, shown)

        return Viewer(self.application, actor, refusal, again if shown is not None else None)

    async def play(
        self, viewer: Viewer, document: str, variables: dict[str, Any] | None = None, *, lines: bool = False
    ) -> Played:
        """Run one operation and return what it came to; with ``lines`` the access log is read as well."""
        async with self.transaction() as connection:
            answered = await self.schema.answer(document, variables, viewer, None)
            found = await self.lines(connection) if lines else ()
        if isinstance(answered, Answer):
            text = answered.body.decode()
        else:
            errors = [dict(each.formatted) for each in answered.errors or ()]
            text = json.dumps({"data": answered.data, "errors": errors}, ensure_ascii=False, default=str)
        whole = json.loads(text)
        return Played(text, whole["data"], whole.get("errors", []), found)

    async def lines(self, connection: Any) -> tuple[Mapping[str, Any], ...]:
        """Return the lines that the present transaction has written."""
        await connection.execute(_ENTER, _scope(self.everywhere))
        # Whatever was there before was recorded before this transaction began.
        rows = await connection.fetch("SELECT * FROM access_log WHERE recorded_at >= now()")
        return tuple(dict(row) for row in rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Open a transaction that is given up in the end."""
        connection = self.rehearsal._only
        playing = connection.transaction()
        await playing.start()
        try:
            yield connection
        finally:
            await playing.rollback()


@asynccontextmanager
async def rehearsing(product: Product, schema: KproSchema, everywhere: tuple[int, ...]) -> AsyncIterator[Stage]:
    """Open a stage over a product; the product itself goes on beside it."""
    async with product.database._pool.acquire() as connection:
        yield Stage(product, schema, Rehearsal(product.database, connection), everywhere)
