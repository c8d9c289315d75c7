"""How tests talk to the product: over real sockets, as one of the demo's actors."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from kpro_graph.actors import Credentials, Identity
from kpro_graph.app import Product, make_app
from kpro_graph.commands.sockets import Sockets
from kpro_graph.plugins.demo_identity import DemoIdentity
from tests.agreement import agree
from tests.people import PEOPLE

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> str:
    """Return one of the documents the README and the docs show."""
    return (EXAMPLES / f"{name}.graphql").read_text()


class Api:
    """A running product and the means to call it."""

    def __init__(self, product: Product, identity: DemoIdentity, address: str) -> None:
        self.product = product
        self.identity = identity
        self.address = address
        self.http = httpx.AsyncClient(base_url=address, timeout=30)

    def token(self, who: str | Identity, municipality: str = "0101") -> str:
        """Return a bearer token for one of the demo's actors, or for somebody a test has made up."""
        return self.identity.issue(who, municipality) if isinstance(who, str) else PEOPLE.token(who)

    async def post(
        self, document: str, variables: dict[str, Any] | None = None, *, token: str | None = None, context: str = ""
    ) -> httpx.Response:
        """Send one operation as it is; ``context`` is where or for whom the caller chooses to act."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if context:
            headers["Kpro-Context"] = context
        return await self.http.post("/graphql/", json={"query": document, "variables": variables}, headers=headers)

    async def answer(
        self, document: str, as_: str | Identity, municipality: str = "0101", *, context: str = "", **variables: Any
    ) -> dict[str, Any]:
        """Run a document, or the example with that name, and return the whole answer."""
        text = document if "{" in document else example(document)
        response = await self.post(text, variables, token=self.token(as_, municipality), context=context)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def run(
        self, document: str, as_: str | Identity, municipality: str = "0101", *, context: str = "", **variables: Any
    ) -> Any:
        """Run a document, or the example with that name, that must succeed; return its data."""
        answer = await self.answer(document, as_, municipality, context=context, **variables)
        assert "errors" not in answer, answer["errors"]
        text = document if "{" in document else example(document)
        if "mutation" not in text:
            # Whatever the tests ask, both executions answer alike and write the same lines.
            shown = Credentials("bearer", self.token(as_, municipality), "127.0.0.1", context)
            actor = await self.product.authenticate(shown)
            await agree(self.product.application, actor, text, variables)
        return answer["data"]

    @asynccontextmanager
    async def follow(
        self, document: str, as_: str | Identity, municipality: str = "0101", *, context: str = "", **variables: Any
    ) -> AsyncIterator[Following]:
        """Open a subscription over graphql-transport-ws."""
        text = document if "{" in document else example(document)
        address = self.address.replace("http", "ws", 1) + "/graphql/"
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as channel:
            hello = {"Authorization": f"Bearer {self.token(as_, municipality)}", "context": context}
            await channel.send(json.dumps({"type": "connection_init", "payload": hello}))
            assert json.loads(await channel.recv())["type"] == "connection_ack"
            subscribe = {"id": "1", "type": "subscribe", "payload": {"query": text, "variables": variables}}
            await channel.send(json.dumps(subscribe))
            # The subscription is asynchronous: a ping answered after it shows that the server has taken it up.
            await channel.send(json.dumps({"type": "ping"}))
            following = Following(channel)
            await following.pong()
            yield following


class Following:
    """A subscription's deliveries."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._kept: list[dict[str, Any]] = []

    async def pong(self) -> None:
        """Wait until the server has answered a ping, and a moment for what was asked before it."""
        while (message := json.loads(await asyncio.wait_for(self._channel.recv(), 10)))["type"] != "pong":
            self._kept.append(message)
        await asyncio.sleep(0.1)

    async def next(self, seconds: float = 5) -> dict[str, Any]:
        """Return the next delivery, or the message that ends the subscription."""
        message = self._kept.pop(0) if self._kept else json.loads(await asyncio.wait_for(self._channel.recv(), seconds))
        return dict(message)

    async def nothing(self, seconds: float = 0.7) -> None:
        """Assert that nothing is delivered for a while."""
        try:
            message = await self.next(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"something was delivered: {message['type']}")


@asynccontextmanager
async def serving(product: Product, identity: DemoIdentity) -> AsyncIterator[Api]:
    """Serve an open product on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        make_app(product, demo=identity),
        ws=Sockets,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=120,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    api = Api(product, identity, f"http://127.0.0.1:{listening.getsockname()[1]}")
    try:
        yield api
    finally:
        await api.http.aclose()
        server.should_exit = True
        await running
