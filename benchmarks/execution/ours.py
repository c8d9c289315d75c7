"""kpro_graph as a server of the benchmark: ``full``, the product as it is, or ``bare``, its execution and nothing else.

Started with ``full`` or ``bare`` and a port. *Full* serves the product's own application as `kpro serve` does, without
the relay, which runs as `kpro worker` beside it; one list is added, whose pages hold more than the API's. *Bare*
composes the compiled execution of the product's own types with nobody to judge, no log to write and a role that
row-level security does not hold for; what a mutation does, and how subscribers are served, is the product's own, too.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import strawberry
from database import READ_IN
from people import Neighbours
from serving import announce, serve
from starlette.routing import Mount
from strawberry.schema.config import StrawberryConfig
from strawberry.types.unset import UNSET
from world import World

from kpro_graph.actors import Actor, ActorKind, AssuranceLevel, Role
from kpro_graph.app import Product, make_app
from kpro_graph.execution import Condition, Connection, Cursors, Loading, connection
from kpro_graph.execution.compiled import Compiler
from kpro_graph.execution.fields import Column, DeclaredField, Relation
from kpro_graph.plugins.demo_identity import FOLDER, DemoIdentity, load_secret
from kpro_graph.plugins.host import PluginHost
from kpro_graph.relay import Feed
from kpro_graph.schema import Mutation, Query, Subscriptions
from kpro_graph.schema.context import Application, Viewer
from kpro_graph.schema.entry import KproSchema, Naming
from kpro_graph.schema.episodes import LATEST_SUBMITTED
from kpro_graph.schema.http import Endpoint
from kpro_graph.schema.responses import QuestionnaireResponse
from kpro_graph.schema.scalars import SCALARS
from kpro_graph.settings import Settings
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Change, Database


@strawberry.type(name="Query")
class Paged(Query):
    """The product's queries and a list whose pages hold a thousand."""

    responses: Connection[QuestionnaireResponse] = connection(
        where=Condition("{t}.status = 'completed'"),
        order=LATEST_SUBMITTED,
        default=1000,
        maximum=1000,
        description="What citizens of the municipality have submitted, the latest first.",
    )


def paged_schema() -> KproSchema:
    """Build the product's schema with the longer list."""
    return KproSchema(
        query=Paged,
        mutation=Mutation,
        subscription=Subscriptions,
        extensions=[Naming],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


async def full(port: int) -> None:
    """Serve the product. Its folder is in the environment, like all of its settings."""
    settings = Settings.read()
    world = World.read()
    plugins = PluginHost(settings.plugins_folder)
    submitters = tuple(UUID(each) for each in json.loads((settings.folder / "submitters.json").read_text()))
    identity = DemoIdentity(load_secret(settings.folder), Neighbours(world.submitting, submitters))
    plugins.add(identity, FOLDER)
    async with Product(settings, plugins, sequencing=False) as product:
        app = make_app(product, demo=identity)
        [served] = (route for route in app.routes if isinstance(route, Mount) and route.path == "/graphql")
        endpoint = copy.copy(served.app)
        assert isinstance(endpoint, Endpoint)
        endpoint.schema = paged_schema()
        app.router.routes.insert(0, Mount("/paged", app=endpoint))
        await serve(app, port)


class Unguarded(Database):
    """The product's database as a role that row-level security does not hold for, and without sessions."""

    async def _prove_walls(self) -> None:
        """Accept the role."""

    @asynccontextmanager
    async def _session(self, municipalities: Any, isolation: str, commit: Any = None) -> AsyncIterator[Any]:
        async with self._gate, self._pool.acquire() as connection:
            transaction = connection.transaction(isolation=isolation)
            await transaction.start()
            try:
                yield connection
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.commit() if commit is None else commit(connection, transaction))

    async def fetch(self, sql: str, arguments: Sequence[object]) -> list[Any]:
        """Run one statement by itself."""
        async with self._gate, self._pool.acquire() as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

    @asynccontextmanager
    async def look(self, actor: Actor, operation: str = "", **_: Any) -> AsyncIterator[Any]:
        """Look without a session."""
        yield Look(self, actor)

    read = look


class Look:
    """What is read through, where nothing is noted and nothing counted."""

    statements = 0

    def __init__(self, database: Unguarded, actor: Actor) -> None:
        self.actor = actor
        self._database = database

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Run one statement by itself."""
        return await self._database.fetch(sql, arguments)

    def saw_rows(self, rows: Iterable[Any], fields: Any, action: str) -> bool:
        """Note nothing."""
        return bool(rows)

    def saw_nobody(self, action: str = "search", fields: Any = ()) -> None:
        """Note nothing."""


class Everybody(tuple[UUID, ...]):
    """The citizens somebody may answer for: all of them."""

    __slots__ = ()

    def __contains__(self, citizen: object) -> bool:
        return True


class Asked:
    """The context of one operation: what the execution and the mutation's resolver take from it."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare
        self.name = ""
        self.viewer = self
        self.headers: dict[str, str] = {}
        self.loading = Loading(bare.actor, self._look, bare.cursors)

    async def _look(self) -> Look:
        return self._bare.look

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Open a change that leaves no line in the access log."""
        async with self._bare.database.change(self._bare.actor, self.name) as change:
            change.saw = change.saw_rows = change.saw_nobody = _nothing  # type: ignore[method-assign, assignment]
            yield change


# Where events lie is where the reading municipality's are; what may be seen of them is all.
_FOLLOWER = Actor(
    ActorKind.SYSTEM, uuid4(), READ_IN, (READ_IN,), AssuranceLevel.HIGH, roles=frozenset({Role.INTEGRATOR}),
    may_have_answers=True,
)  # fmt: skip


def _nothing(*_: Any, **__: Any) -> None:
    """Note nothing."""


class Socket(Endpoint):
    """The product's sockets, on which everybody is a system that may follow what is submitted."""

    async def get_context(self, request: Any, response: Any) -> Viewer:
        """Ask nobody who they are."""
        return Viewer(self._application, _FOLLOWER, peer=request)

    async def on_ws_connect(self, context: Viewer) -> Any:
        """Let everybody in."""
        return UNSET


class Bare:
    """The compiled execution behind bare ASGI."""

    def __init__(self, database: Unguarded, world: World, feed: Feed) -> None:
        schema = paged_schema()
        _unjudge(schema, world.municipality)
        self.database = database
        self.cursors = Cursors(b"benchmark" * 8)
        self.compiler = Compiler(schema)
        self.actor = Actor(
            ActorKind.CITIZEN,
            uuid4(),
            world.submitting,
            (world.submitting, world.municipality),
            AssuranceLevel.HIGH,
            citizens=Everybody(),
        )
        self.look = Look(database, self.actor)
        recognition: Any = None
        self._socket = Socket(schema, Application(database, self.cursors, feed), recognition, ())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or serve one socket."""
        if scope["type"] != "http":
            await self._socket(scope, receive, send)
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        asked = msgspec.json.decode(body)
        answer = await self.compiler.run(
            asked["query"], asked.get("variables"), asked.get("operationName"), Asked(self)
        )
        length = str(len(answer)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _unjudge(schema: Any, municipality: int) -> None:
    """Let everything be seen, in this process: what is left is the tenant, where a list begins at the root."""
    everything = Condition("true")
    here = Condition("{t}.municipality_id = {here}", {"here": municipality}, {"here": "integer"})
    for type_ in schema._schema.type_map.values():
        definition = (type_.extensions or {}).get("strawberry-definition")
        origin: Any = getattr(definition, "origin", None)
        source = getattr(origin, "source", None)
        if source is not None:
            origin.source = dataclasses.replace(source, visible=lambda _: everything, within={}, tenants=None)
        for field in getattr(definition, "fields", ()):
            if not isinstance(field, DeclaredField):
                continue
            field.allowed = None
            if isinstance(field.declared, Column):
                field.declared = dataclasses.replace(field.declared, shown=None)
            elif isinstance(field.declared, Relation):
                root = origin is Paged and field.declared.shape in {"one", "connection"}
                where = field.declared.where
                if root:
                    where = here if where is None else where & here
                field.declared = dataclasses.replace(field.declared, judged=None, where=where)


async def bare(port: int) -> None:
    """Serve the execution alone."""
    world = World.read()
    database: Any = await Unguarded.open(world.dsn("bare"), Cipher(b"benchmark" * 8), size=6)
    feed = Feed(world.dsn("bare"))
    await feed.start()
    await serve(Bare(database, world, feed), port)


if __name__ == "__main__":
    import uvloop

    announce(sys.argv[1])
    uvloop.run({"full": full, "bare": bare}[sys.argv[1]](int(sys.argv[2])))
