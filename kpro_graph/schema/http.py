"""GraphQL over HTTP and sockets: who is asking, how large a request may be, and every answer in JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UNSET

from kpro_graph.actors import Actor, Credentials
from kpro_graph.errors import KproError, NotAuthenticated, Unavailable
from kpro_graph.schema.context import Application, Viewer
from kpro_graph.schema.entry import KproSchema

__all__ = ["Authenticate", "Endpoint"]

Authenticate = Callable[[Credentials], Awaitable[Actor]]

_LARGEST_BODY = 1_000_000
_LARGEST_FRAME = 1_000_000


class Endpoint(GraphQL[Viewer, None]):
    """The one GraphQL endpoint."""

    def __init__(
        self, schema: KproSchema, application: Application, authenticate: Authenticate, allowed_origins: tuple[str, ...]
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            allowed_origins=allowed_origins,
        )
        self._application = application
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or serve one socket; nothing a caller sends ends in anything but JSON."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await self.run(Request(scope, _bounded(scope, receive)))
        except HTTPException as error:
            response = _refusal(error.status_code, "BAD_REQUEST", error.reason)
        except Unavailable as error:
            response = _refusal(503, error.code, str(error), {"Retry-After": "5"})
        await response(scope, receive, send)

    def decode_json(self, data: str | bytes) -> object:
        """Decode a request or frame; anything but an object of reasonable shape is malformed."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError("malformed", "", 0) from error
        if not isinstance(document, dict):
            raise json.JSONDecodeError("not an object", "", 0)
        return document

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Viewer:
        """Find out who asks. A request without a valid token goes on as nobody and gets an error where it matters."""
        viewer = Viewer(self._application, None)
        header = request.headers.get("authorization")
        if header is not None:
            await self._sign_in(viewer, header, request)
        if isinstance(request, WebSocket):
            viewer.peer = request
        return viewer

    async def on_ws_connect(self, context: Viewer) -> Any:
        """Let a socket say who it is in its first message, as browsers cannot set headers."""
        parameters = context.connection_params or {}
        token = parameters.get("Authorization") or parameters.get("authorization")
        if isinstance(token, str):
            await self._sign_in(context, token, context.peer)
        if context.actor is None:
            raise ConnectionRejectionError
        return UNSET

    async def _sign_in(self, viewer: Viewer, header: str, request: Any) -> None:
        scheme, _, value = header.partition(" ")
        client = request.client.host if request is not None and request.client else ""
        credentials = Credentials(scheme.lower(), value.strip(), client)
        viewer.authenticate = lambda: self._authenticate(credentials)
        try:
            viewer.actor = await self._authenticate(credentials)
        except NotAuthenticated as refusal:
            viewer.actor, viewer.refusal = None, refusal
        except KproError as error:
            raise Unavailable("signing in is not possible right now") from error


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"errors": [{"message": message, "extensions": {"code": code}}]}, status, headers)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Pass a body on until it grows too large."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > _LARGEST_BODY:
        raise HTTPException(413, f"a request is at most {_LARGEST_BODY} bytes")
    received = 0

    async def bounded() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > _LARGEST_BODY:
            raise HTTPException(413, f"a request is at most {_LARGEST_BODY} bytes")
        return message

    return bounded
