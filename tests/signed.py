"""The product with identity providers of the tests' own, and a browser to sign in with."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from kpro_graph.app import Product, make_app
from kpro_graph.commands.sockets import Sockets
from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity
from kpro_graph.plugins.host import PluginHost
from tests.conftest import DEMO_SECRET, Worlds

ME = "query Me { me { kind } }"


class Site:
    """A product that people sign in to with a browser."""

    def __init__(self, product: Product, address: str) -> None:
        self.product = product
        self.address = address

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """Open a browser with no cookies."""
        async with httpx.AsyncClient(base_url=self.address, verify=False, timeout=30) as http:
            yield Browser(http)


class Browser:
    """Follows redirects by hand, keeps cookies by itself."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @property
    def session(self) -> str | None:
        """The session's token."""
        return self.http.cookies.get("kpro-session")

    async def begin(self, provider: str = "mitid", **parameters: str) -> str:
        """Set out for the provider and return the address of the way back."""
        away = await self.http.get(f"/sign-in/{provider}", params=parameters)
        assert away.status_code == 303, away.text
        back = await self.http.get(away.headers["location"])
        assert back.status_code == 303, back.text
        return str(back.headers["location"])

    async def sign_in(self, provider: str = "mitid", **parameters: str) -> httpx.Response:
        """Sign in and return the answer to coming back."""
        return await self.http.get(await self.begin(provider, **parameters))

    async def ask(self, document: str = ME, *, token: str | None = None, **headers: str) -> httpx.Response:
        """Send one query, with the cookie and the headers of a page of ours unless others are given."""
        given = {name.replace("_", "-"): value for name, value in headers.items()} or {"kpro-client": "web"}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        return await self.http.post("/graphql/", json={"query": document}, headers=given)

    async def kind(self) -> str:
        """Return what the product takes the person for, or the code of its refusal."""
        answer: dict[str, Any] = (await self.ask()).json()
        return str(answer["errors"][0]["extensions"]["code"] if answer.get("errors") else answer["data"]["me"]["kind"])


@asynccontextmanager
async def site(worlds: Worlds, template: str, configuration: Path, **settings: Any) -> AsyncIterator[Site]:
    """Serve a product over a database of its own, with the providers of this configuration."""
    worlds._made += 1
    name = f"world_{worlds._made}"
    await asyncio.to_thread(worlds.postgres.create_database, name, template)
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    chosen = replace(worlds.settings(name), public_url=address, identity_providers=configuration, **settings)
    host = PluginHost(installed=False)
    host.add(DemoIdentity(DEMO_SECRET, DemoDirectory()), FOLDER)
    async with Product(chosen, host) as product:
        config = uvicorn.Config(make_app(product), ws=Sockets, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield Site(product, address)
        finally:
            server.should_exit = True
            await running
    await asyncio.to_thread(worlds.postgres.drop_database, name)
