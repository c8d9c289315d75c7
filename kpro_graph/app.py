"""The composition root: settings and plugins in, one running product out. The only page that knows everybody."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kpro_graph import __version__, catalogue
from kpro_graph.actors import Actor, Credentials
from kpro_graph.browsers import Browsers
from kpro_graph.errors import ConfigurationError, Rejected, Unavailable
from kpro_graph.execution import Cursors
from kpro_graph.execution.limits import Limits
from kpro_graph.identity import authenticate, operator
from kpro_graph.plugins.demo_identity import ACTORS, DemoDirectory, DemoIdentity
from kpro_graph.plugins.host import PluginHost
from kpro_graph.plugins.oidc import FOLDER as OPENID_FOLDER
from kpro_graph.plugins.oidc import OpenIdConnect, read_configuration
from kpro_graph.reception import ReceptionTimes
from kpro_graph.recognition import Recognition
from kpro_graph.relay import Feed, Sealer, Sequencer
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Application
from kpro_graph.schema.http import Endpoint
from kpro_graph.sessions import Sessions
from kpro_graph.settings import Settings
from kpro_graph.signing_in import SigningIn
from kpro_graph.storage.cipher import Cipher
from kpro_graph.storage.database import Database
from kpro_graph.storage.embedded import open_embedded
from kpro_graph.storage.envelope import Envelope
from kpro_graph.storage.migrate import migrate
from kpro_graph.storage.replicas import Replicas
from kpro_graph.storage.tables import NATIONAL_LIBRARY
from kpro_graph.storage.witness import SigningKey, Witness

__all__ = ["Databases", "Product", "databases", "load_secret", "load_signing_key", "make_app"]

_logger = logging.getLogger(__name__)
_EXPLORER = Path(__file__).parent / "explorer"
_EXAMPLES = Path(__file__).parent.parent / "examples"
_THIS_MACHINE = ["127.0.0.1", "localhost", "[::1]"]
_PAGE_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass(frozen=True, slots=True)
class Databases:
    """Where PostgreSQL is, once for each role; a role's URL is None where it was not given."""

    api: str | None
    owner: str | None
    relay: str | None

    def need(self, role: str) -> str:
        """Return the URL for a role.

        Raises:
            ConfigurationError: it was not given; the variable is named.
        """
        url: str | None = getattr(self, role)
        if url is None:
            raise ConfigurationError(f"{_VARIABLES[role]} is needed for this")
        return url


_VARIABLES = {"api": "KPRO_DATABASE_URL", "owner": "KPRO_MIGRATION_URL", "relay": "KPRO_RELAY_URL"}


@asynccontextmanager
async def databases(settings: Settings) -> AsyncIterator[Databases]:
    """Give the databases' URLs; where none is given, start, or share, the embedded server meanwhile."""
    if not settings.embedded:
        yield Databases(settings.database_url, settings.migration_url, settings.relay_url)
        return
    server = await asyncio.to_thread(open_embedded, settings.folder / "postgresql")
    try:
        yield Databases(server.dsn("kpro_api"), server.dsn("kpro_owner"), server.dsn("kpro_relay"))
    finally:
        await asyncio.to_thread(server.close)


def load_secret(settings: Settings) -> bytes:
    """Return the installation's secret: from the environment, or from a file made on first use.

    Raises:
        ConfigurationError: PostgreSQL is not embedded, so the secret must be given, or the file is damaged.
    """
    if settings.secret is not None:
        return settings.secret
    if not settings.embedded:
        raise ConfigurationError("KPRO_SECRET is needed when KPRO_DATABASE_URL is set")
    file = settings.folder / "secret"
    settings.folder.mkdir(parents=True, exist_ok=True)
    try:
        # Written whole under another name first, so that two starting at once agree on one secret.
        draft = file.with_name(f"secret.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(secrets.token_bytes(48))
            opened.flush()
            os.fsync(opened.fileno())
        try:
            with suppress(FileExistsError):
                file.hardlink_to(draft)
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigurationError(f"the secret cannot be kept in {settings.folder}: {error.strerror}") from error
    secret = file.read_bytes()
    if len(secret) < 32:
        raise ConfigurationError(f"{file} is damaged: without it CPR numbers cannot be read; restore it from a backup")
    return secret


def load_signing_key(settings: Settings) -> SigningKey:
    """Return the key that signs heads of the access log: its own, or one derived from the installation's secret.

    Raises:
        ConfigurationError: neither is given, and PostgreSQL is not embedded; or the secret's file is damaged.
    """
    if settings.access_log_key is not None:
        return SigningKey(settings.access_log_key)
    if settings.secret is None and not settings.embedded:
        raise ConfigurationError("KPRO_ACCESS_LOG_KEY is needed to sign heads of the access log, or else KPRO_SECRET")
    return SigningKey.derive(load_secret(settings))


class Product:
    """Everything a running product consists of, opened in order and closed in reverse."""

    def __init__(self, settings: Settings, host: PluginHost, *, sequencing: bool = True) -> None:
        self.settings = settings
        self.host = host
        self._sequencing = sequencing
        self._ending = AsyncExitStack()
        self.database: Database
        self.databases: Databases
        self.application: Application
        self.browsers: Browsers | None = None
        self.sessions: Sessions | None = None
        self.signing_in: SigningIn | None = None

    async def __aenter__(self) -> Product:
        try:
            await self._open()
        except BaseException:
            await self._ending.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ending.aclose()

    def _cipher(self, secret: bytes) -> Cipher:
        return Cipher.of(secret, self.settings.keys, self.settings.folder if self.settings.embedded else None)

    async def _open(self) -> None:
        secret = load_secret(self.settings)
        self.databases = await self._ending.enter_async_context(databases(self.settings))
        if self.settings.embedded:
            await migrate(self.databases.need("owner"))
        api = self.databases.need("api")
        pooled = self.settings.pooled
        self.database = await Database.open(
            api,
            self._cipher(secret),
            size=self.settings.connections,
            pooled=pooled,
            deadline=self.settings.deadline,
            replicas=self.settings.replica_urls,
            lag=self.settings.replica_lag,
        )
        self._ending.push_async_callback(self.database.close)
        await self._open_sign_in(secret)
        await self.host.start()
        if self._sequencing and self.databases.relay is not None:
            sequencer = Sequencer(self.databases.relay)
            await sequencer.start()
            self._ending.push_async_callback(sequencer.stop)
            sealer = Sealer(self.databases.relay, Witness(self.settings.heads, load_signing_key(self.settings)))
            await sealer.start()
            self._ending.push_async_callback(sealer.stop)
        replicas = self.database.replicas
        feed = Feed(api, pooled=pooled, told=None if replicas is None else replicas.rights_changed)
        await feed.start()
        self._ending.push_async_callback(feed.stop)
        reception = ReceptionTimes(
            code=timedelta(minutes=self.settings.reception_code), idle=timedelta(seconds=self.settings.reception_idle)
        )
        self.application = Application(self.database, Cursors(secret), feed, reception)

    async def _open_sign_in(self, secret: bytes) -> None:
        file, address = self.settings.identity_providers, self.settings.public_url
        if file is None:
            return
        if address is None:
            raise ConfigurationError("KPRO_PUBLIC_URL is needed when KPRO_IDENTITY_PROVIDERS is set")
        idle, longest = timedelta(minutes=self.settings.session_idle), timedelta(minutes=self.settings.session_longest)
        sessions = Sessions(self.database, Envelope(secret, "sessions"), idle, longest)
        openid = OpenIdConnect(await asyncio.to_thread(read_configuration, file), sessions)
        self._ending.push_async_callback(openid.close)
        self.host.add(openid, OPENID_FOLDER)
        cleaning = asyncio.create_task(sessions.keep_clean())
        self._ending.callback(cleaning.cancel)
        self.browsers = Browsers(address)
        self.sessions = sessions
        self.signing_in = SigningIn(openid, sessions, Envelope(secret, "sign-in"), self.browsers)

    async def stock(self) -> None:
        """Put what the plugins bring into its owners' libraries, as drafts; nothing becomes active by itself."""
        for bundle in self.host.questionnaires:
            owner = NATIONAL_LIBRARY if bundle.owner is None else int(bundle.owner)
            try:
                async with self.database.change(operator(owner), "stock") as change:
                    await catalogue.install(change, bundle.questionnaire, bundle.rules)
            except Rejected as error:
                _logger.warning("a questionnaire of plugin %s is not taken in: %s", bundle.plugin, error)

    async def authenticate(self, credentials: Credentials) -> Actor:
        """Return the actor behind credentials."""
        return await authenticate(self.database, self.host, credentials)

    async def ready(self) -> bool:
        """Say whether the product can answer: its database does."""
        try:
            async with self.database.peek() as connection:
                await connection.fetchval("SELECT 1")
        except Unavailable:
            return False
        return True


def make_app(product: Product, *, demo: DemoIdentity | None = None) -> Starlette:
    """Return the ASGI application over an open product; with ``demo`` it also hands out the demo's tokens."""
    settings = product.settings
    application = replace(product.application, explaining=demo is not None)
    recognition = Recognition(product.authenticate, settings.recognition)
    schema = make_schema(
        Limits(settings.operation_tokens, settings.operation_depth, settings.operation_fields, settings.operation_rows)
    )
    endpoint = Endpoint(schema, application, recognition, settings.allowed_origins, product.browsers)

    async def live(_request: Request) -> Response:
        return JSONResponse({"live": True, "version": __version__})

    async def ready(_request: Request) -> Response:
        fine = await product.ready()
        return JSONResponse({"ready": fine}, 200 if fine else 503)

    async def metrics(_request: Request) -> Response:
        text = _exposed(schema.compiler.counts)
        if product.database.replicas is not None:
            text += _exposed_replicas(product.database.replicas)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def examples(_request: Request) -> Response:
        return JSONResponse(
            [{"name": file.stem, "document": file.read_text()} for file in sorted(_EXAMPLES.glob("*.graphql"))]
        )

    async def tokens(request: Request) -> Response:
        # The tokens are worth nothing from another machine; refusing here keeps them from being looked at as well.
        if demo is None or request.client is None or request.client.host not in {"127.0.0.1", "::1"}:
            return JSONResponse({"errors": [{"message": "not found", "extensions": {"code": "NOT_FOUND"}}]}, 404)
        return JSONResponse(
            [
                {"name": name, "municipality": code, "token": demo.issue(name, code)}
                for code in DemoDirectory().municipalities
                for name in ACTORS
            ]
        )

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", metrics),
            Route("/examples", examples),
            Route("/demo/tokens", tokens),
            *(product.signing_in.routes() if product.signing_in is not None else ()),
            Mount("/graphql", app=endpoint),
            Mount("/", app=Secured(StaticFiles(directory=_EXPLORER, html=True))),
        ],
        # The demo signs anybody on this machine in; a page elsewhere that gives itself this machine's address is not.
        middleware=[] if demo is None else [Middleware(TrustedHostMiddleware, allowed_hosts=_THIS_MACHINE)],
    )


def _exposed(counts: Mapping[str, int]) -> str:
    """Return how operations were executed in the text format of Prometheus; reasons name fields, never values."""
    lines = [
        "# HELP kpro_operations_total Operations, by how they were executed and why not compiled.",
        "# TYPE kpro_operations_total counter",
    ]
    for reason, count in sorted(counts.items()):
        said = reason.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        labels = f'execution="reference",reason="{said}"' if reason else 'execution="compiled"'
        lines.append(f"kpro_operations_total{{{labels}}} {count}")
    return "\n".join(lines) + "\n"


def _exposed_replicas(replicas: Replicas) -> str:
    """Return from where was read, of what may be read from replicas, and how many of them are fit."""
    lines = [
        "# HELP kpro_reads_total Queries that a replica may answer, by who did.",
        "# TYPE kpro_reads_total counter",
        *(f'kpro_reads_total{{server="{server}"}} {count}' for server, count in sorted(replicas.counts.items())),
        "# HELP kpro_replicas_fit Replicas that may be read from now.",
        "# TYPE kpro_replicas_fit gauge",
        f"kpro_replicas_fit {replicas.fit}",
    ]
    return "\n".join(lines) + "\n"


class Secured:
    """Sends the explorer's pages with the headers that keep them to themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its answer."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_PAGE_HEADERS]
            await send(message)

        await self._app(scope, receive, sending)
