"""`kpro demo`, `kpro serve` and `kpro worker`: the product running, until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kpro_graph.commands.output import console, progressing
from kpro_graph.errors import ConfigurationError
from kpro_graph.settings import Settings

__all__ = ["register", "run", "spare_what_stays"]

# Whoever is told that it is ready waits while the server takes its last steps, and is not refused.
_BACKLOG = 2048

_Host = Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")]
_Port = Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT", min=0, max=65535)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(serve)
    app.command()(worker)


def run(program: Coroutine[Any, Any, Any]) -> Any:
    """Run an asynchronous program on the fast event loop."""
    import uvloop

    return uvloop.run(program)


def demo(
    citizens: Annotated[int, typer.Option(help="How many invented citizens.", min=8, max=1_000_000)] = 200,
    seed: Annotated[int, typer.Option(help="Which invented world; the same seed gives the same one.")] = 1,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    load_only: Annotated[bool, typer.Option("--load-only", help="Load the demo municipalities and stop.")] = False,
) -> None:
    """Serve the API with four demo municipalities on this machine. Everything is kept in KPRO_FOLDER (.kpro)."""
    from kpro_graph.telemetry import configure_logging

    configure_logging("WARNING")
    if not _is_loopback(host):
        raise ConfigurationError("the demo signs anybody in, so it listens on this machine only: use 127.0.0.1 or ::1")
    run(_demo(citizens, seed, host, port, load_only=load_only))


async def _demo(citizens: int, seed: int, host: str, port: int, *, load_only: bool) -> None:
    from kpro_graph.app import Product, make_app
    from kpro_graph.demo import load
    from kpro_graph.plugins.demo_identity import FOLDER, DemoDirectory, DemoIdentity, load_secret
    from kpro_graph.plugins.host import PluginHost

    settings = Settings.read()
    if not settings.embedded:
        raise ConfigurationError("the demo runs on the embedded database: unset KPRO_DATABASE_URL and its like")
    plugins = PluginHost(settings.plugins_folder)
    identity = DemoIdentity(load_secret(settings.folder), DemoDirectory(seed))
    plugins.add(identity, FOLDER)
    listening = None if load_only else _listen(host, port)
    async with Product(settings, plugins) as product:
        with progressing() as progress:
            await load(
                product.database,
                product.databases.need("owner"),
                plugins,
                citizens=citizens,
                seed=seed,
                progress=progress,
            )
        if listening is None:
            console.print(f"[green]Loaded.[/] The demo municipalities lie in {settings.folder}.")
            return
        address = _address(listening)
        listening.listen(_BACKLOG)
        console.print(
            f"\n[bold]kpro_graph[/] is ready on [bold cyan]{address}[/]\n"
            f"  Explorer   {address}/\n"
            f"  GraphQL    {address}/graphql/   (subscriptions on the same address)\n"
            "  Sign in    [bold].venv/bin/kpro token enroller[/]   prints a bearer token; "
            "`kpro token --help` lists the actors\n"
            "  Stop       Ctrl-C\n",
            soft_wrap=True,
        )
        await _serve(make_app(product, demo=identity), listening)


def serve(
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    relay: Annotated[bool, typer.Option(help="Also give events their positions; else run `kpro worker`.")] = True,
) -> None:
    """Serve the API. Settings come from the environment; see the settings reference."""
    from kpro_graph.telemetry import configure_logging

    configure_logging()
    run(_serve_product(host, port, relay=relay))


async def _serve_product(host: str, port: int, *, relay: bool) -> None:
    from kpro_graph.app import Product, make_app
    from kpro_graph.plugins.host import PluginHost

    settings = Settings.read()
    listening = _listen(host, port)
    async with Product(settings, PluginHost(settings.plugins_folder), sequencing=relay) as product:
        await product.stock()
        listening.listen(_BACKLOG)
        console.print(f"kpro_graph is ready on {_address(listening)}")
        await _serve(make_app(product), listening)


def worker() -> None:
    """Give committed events their positions and seal the access log, as the relay's role, until stopped.

    Any number may run; one works.
    """
    from kpro_graph.telemetry import configure_logging

    configure_logging()
    run(_work())


async def _work() -> None:
    from kpro_graph.app import databases, load_signing_key
    from kpro_graph.relay import Sealer, Sequencer
    from kpro_graph.storage.witness import Witness

    settings = Settings.read()
    async with databases(settings) as urls:
        sequencer = Sequencer(urls.need("relay"))
        sealer = Sealer(urls.need("relay"), Witness(settings.heads, load_signing_key(settings)))
        await sequencer.start()
        await sealer.start()
        console.print("kpro_graph worker is ready")
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        await sealer.stop()
        await sequencer.stop()


async def _serve(app: Any, listening: socket.socket) -> None:
    import uvicorn

    from kpro_graph.commands.sockets import Sockets

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn would raise the signal again when it has stopped, and the database would be left running.
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    config = uvicorn.Config(
        app,
        ws=Sockets,
        # Each connection would compress for itself what is the same for all.
        ws_per_message_deflate=False,
        ws_max_size=1_000_000,
        lifespan="off",
        # A forwarded address would let anyone claim to be on this machine, which is all the demo's sign-in asks.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    spare_what_stays()
    await Server(config).serve(sockets=[listening])


def spare_what_stays() -> None:
    """Keep Python's collector from looking, again and again, at what a server keeps for as long as it lives.

    An answer is made of thousands of objects that are let go without its help. It looks for the few that are not when
    some tens of thousands have come up, and not at all that was there before the first request.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({error.strerror}): set PORT to a free one"
        ) from error
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
