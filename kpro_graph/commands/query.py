"""`kpro query`: run a GraphQL document against a running demo, as one of its actors."""

from __future__ import annotations

import asyncio
import json as json_
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from kpro_graph.commands.output import script
from kpro_graph.errors import BadInput, Unavailable
from kpro_graph.settings import Settings

__all__ = ["register", "variable"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(query)


def query(
    file: Annotated[Path, typer.Argument(help="A file with one GraphQL operation.", exists=True, dir_okay=False)],
    as_: Annotated[str, typer.Option("--as", help="The demo actor to act as; see `kpro token --help`.")],
    municipality: Annotated[str, typer.Option(help="The actor's municipality.")] = "0101",
    var: Annotated[
        list[str] | None, typer.Option(help="A variable: name=text, or name:=JSON for numbers, lists and objects.")
    ] = None,
    get: Annotated[str, typer.Option(help="Print only this part of the data, such as me.name.")] = "",
    url: Annotated[str, typer.Option(help="The demo's address.", envvar="KPRO_URL")] = "http://127.0.0.1:8000",
    count: Annotated[int, typer.Option(help="A subscription ends after so many deliveries; 0 goes on.", min=0)] = 0,
) -> None:
    """Run a GraphQL document against a running demo and print the answer; a subscription prints each delivery.

    The exit code is 1 if the answer holds errors.
    """
    from kpro_graph.plugins.demo_identity import DemoDirectory, DemoIdentity, load_secret

    identity = DemoIdentity(load_secret(Settings.read().folder), DemoDirectory())
    token = identity.issue(as_, municipality, timedelta(hours=1))
    document = file.read_text()
    payload = {"query": document, "variables": dict(variable(text) for text in var or ())}
    if any(line.startswith("subscription") for line in document.splitlines()):
        asyncio.run(_follow(url, token, payload, get, count))
        return
    answer = _post(url, token, payload)
    _show(answer, get)
    if answer.get("errors"):
        raise typer.Exit(1)


def variable(text: str) -> tuple[str, Any]:
    """Return a variable's name and value, written name=text or name:=JSON.

    Raises:
        BadInput: it is written otherwise.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise BadInput("a variable is written name=text or name:=JSON", path="var")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json_.loads(value)
    except ValueError as error:
        raise BadInput(f"the variable {name[:-1]} is not JSON", path="var") from error


def _post(url: str, token: str, payload: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  # the address is the operator's own
        f"{url}/graphql/",
        json_.dumps(payload).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return dict(json_.load(response))
    except urllib.error.HTTPError as error:
        return dict(json_.load(error))
    except urllib.error.URLError as error:
        raise Unavailable(f"nothing answers at {url}: is `kpro demo` running?") from error


async def _follow(url: str, token: str, payload: dict[str, Any], get: str, count: int) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed
    from websockets.typing import Subprotocol

    address = url.replace("http", "ws", 1) + "/graphql/"
    try:
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(json_.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            await socket.recv()
            await socket.send(json_.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            delivered = 0
            async for frame in socket:
                message = json_.loads(frame)
                if message["type"] == "next":
                    _show(message["payload"], get)
                    delivered += 1
                elif message["type"] == "error":
                    script({"errors": message["payload"]})
                    raise typer.Exit(1)
                if message["type"] == "complete" or delivered == count > 0:
                    return
    except (OSError, ConnectionClosed) as error:
        raise Unavailable(f"the subscription at {url} ended: {type(error).__name__}") from error


def _show(answer: dict[str, Any], get: str) -> None:
    if not get or answer.get("errors"):
        script(answer)
        return
    value: Any = answer["data"]
    try:
        for part in get.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        # A failure has other fields than what was hoped for; it says itself what is the case.
        script(answer)
        raise typer.Exit(1) from error
    typer.echo(value if isinstance(value, str) else json_.dumps(value))
