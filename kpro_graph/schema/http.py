"""GraphQL over HTTP and sockets: who is asking, how large a request may be, and every answer in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.types.unset import UNSET

from kpro_graph import cpr
from kpro_graph.actors import Credentials
from kpro_graph.browsers import CONTEXT_HEADER, LISTENING, SESSION, Browsers
from kpro_graph.errors import ContextRequired, KproError, NotAuthenticated, Unavailable
from kpro_graph.recognition import Recognition
from kpro_graph.schema.audiences import Following
from kpro_graph.schema.context import POSITION, Answer, Application, Viewer
from kpro_graph.schema.entry import KproSchema
from kpro_graph.schema.reception import CLEARED

__all__ = ["Endpoint"]

_LARGEST_BODY = 1_000_000
_SEND = "kpro_graph.send"
_LARGEST_FRAME = 1_000_000
# W3C Trace Context: version, trace-id, parent-id, flags; a later version may add to it.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

# How ordinary requests say that they are JSON, and how others ask for an answer in parts.
_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_STREAMED = re.compile("event-stream|multipart")


class _Socket(BaseGraphQLTransportWSHandler[Viewer, None]):
    """Sends an answer that is JSON already as it is: the same text to everybody it is for."""

    async def _send_result_stream(self, operation: Any, result_source: Any) -> None:
        socket = cast("ASGIWebSocketAdapter", self.websocket).ws
        send: Send = socket.scope[_SEND]
        head = f'{{"id":{json.dumps(operation.id)},"type":"next","payload":'

        def straight(text: str) -> Coroutine[Any, Any, None] | None:
            # Whoever is being let go gets nothing more.
            if socket.application_state is not WebSocketState.CONNECTED:
                return None
            return cast("Coroutine[Any, Any, None]", send({"type": "websocket.send", "text": f"{head}{text}}}"}))

        async def others() -> AsyncGenerator[Any, None]:
            async for result in result_source:
                if isinstance(result, Answer):
                    sending = straight(result.text)
                    if sending is not None:
                        with suppress(OSError):
                            await sending
                else:
                    yield result

        if isinstance(result_source, Following):
            result_source.straight = straight
        await super()._send_result_stream(operation, others())


class Endpoint(GraphQL[Viewer, None]):
    """The one GraphQL endpoint. Without ``browsers`` nobody is signed in by a cookie."""

    graphql_transport_ws_handler_class = _Socket

    def __init__(
        self,
        schema: KproSchema,
        application: Application,
        recognition: Recognition,
        allowed_origins: tuple[str, ...],
        browsers: Browsers | None = None,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            allowed_origins=allowed_origins,
        )
        self._application = application
        self._recognition = recognition
        self._browsers = browsers
        self._allowed = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or serve one socket; nothing a caller sends ends in anything but JSON."""
        if scope["type"] != "http":
            # What nobody else has to look at goes to the server without detours.
            await super().__call__({**scope, _SEND: send}, receive, _closing_silently(send))
            return
        try:
            _keep_numbers_out(scope)
            response = await self.run(Request(scope, _bounded(scope, receive)))
        except HTTPException as error:
            response = _refusal(error.status_code, "BAD_REQUEST", error.reason)
        except Unavailable as error:
            response = _refusal(503, error.code, str(error), {"Retry-After": "5"})
        await response(scope, receive, send)

    async def run(self, request: Any, context: Any = UNSET, root_value: Any = UNSET) -> Any:
        """Answer one operation posted as JSON, which is what nearly every request is; anything else as it comes."""
        asked = await self._posted(request)
        if asked is None:
            return await super().run(request, context, root_value)
        response = Response(media_type="application/json")
        viewer = await self.get_context(request, response)
        # The body has been read, so whatever comes now says that the client has left.
        viewer.leaving = partial(_until_left, request.receive)
        schema = cast("KproSchema", self.schema)
        result = await schema.answer(asked["query"], asked.get("variables"), viewer, asked.get("operationName"))
        data = (
            result.body if isinstance(result, Answer) else self.encode_json(await self.process_result(request, result))
        )
        response.body = data if isinstance(data, bytes) else data.encode()
        response.headers["Content-Length"] = str(len(response.body))
        return response

    async def _posted(self, request: Request | WebSocket) -> dict[str, Any] | None:
        """Return what was posted, or None where it is not one ordinary operation."""
        if not isinstance(request, Request) or request.method != "POST":
            return None
        headers = request.headers
        if headers.get("content-type", "") not in _JSON or _STREAMED.search(headers.get("accept", "")):
            return None
        try:
            asked = self.decode_json(await request.body())
        except json.JSONDecodeError:
            return None
        assert isinstance(asked, dict)
        objects = (asked.get("variables"), asked.get("extensions"))
        plain = isinstance(asked.get("query"), str) and all(each is None or isinstance(each, dict) for each in objects)
        return asked if plain and isinstance(asked.get("operationName"), (str, type(None))) else None

    async def execute_single(
        self,
        request: Request,
        request_adapter: Any,
        sub_response: Response,
        context: Viewer,
        root_value: None,
        request_data: Any,
    ) -> Any:
        """Answer an operation that was posted by the compiled execution, where it can be; all others as they come."""
        query, variables = request_data.query, request_data.variables
        # The body has been read, so whatever comes now says that the client has left.
        context.leaving = partial(_until_left, request.receive)
        if request.method != "POST" or not isinstance(query, str) or not isinstance(variables, (dict, type(None))):
            return await super().execute_single(
                request, request_adapter, sub_response, context, root_value, request_data
            )
        schema = cast("KproSchema", self.schema)
        return await schema.answer(query, variables, context, request_data.operation_name)

    async def process_result(self, request: Request, result: Any) -> Any:
        """Leave an answer that is JSON already as it is."""
        return result.body if isinstance(result, Answer) else await super().process_result(request, result)

    def encode_json(self, data: object) -> str | bytes:
        """Write an answer, unless it is written already."""
        return data if isinstance(data, bytes) else super().encode_json(data)

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
        traced = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        viewer = Viewer(self._application, None, trace=traced[1] if traced else "")
        if isinstance(request, WebSocket):
            # What a socket shows is judged with its first message, which may hold a token and the context to act in.
            viewer.peer = request
            return viewer
        # What is answered is about people; nothing on the way keeps it.
        viewer.headers = cast("Response", response).headers
        viewer.headers["Cache-Control"] = "no-store"
        viewer.known = self._application.known(request.headers.get(POSITION))
        context = request.headers.get(CONTEXT_HEADER, "")
        header = request.headers.get("authorization")
        if header is not None:
            shown = _shown(header, request, context)
            await self._sign_in(viewer, shown)
            if shown.scheme == "reception" and viewer.actor is None:
                viewer.headers.update(CLEARED)
        elif session := self._session(request):
            if self._browsers is None or not self._browsers.meant(request.headers):
                raise HTTPException(403, "a request with a cookie needs the header Kpro-Client, or Origin of this site")
            await self._sign_in(viewer, Credentials(SESSION, session, _client(request), context))
        return viewer

    async def on_ws_connect(self, context: Viewer) -> Any:
        """Let a socket say who it is in its first message, as browsers cannot set headers; else its cookie does."""
        parameters, peer = context.connection_params or {}, context.peer
        token = parameters.get("Authorization") or parameters.get("authorization")
        header = token if isinstance(token, str) else peer.headers.get("authorization")
        chosen = parameters.get("context") or peer.headers.get(CONTEXT_HEADER, "")
        place = chosen if isinstance(chosen, str) else ""
        if header is not None:
            await self._sign_in(context, _shown(header, peer, place))
        elif (session := self._session(peer)) and self._may_listen(peer):
            await self._sign_in(context, Credentials(SESSION, session, _client(peer), place), LISTENING)
        # A socket would outlive a session at a reception computer, which ends when it is idle.
        if context.actor is None or context.actor.assignments is not None:
            raise ConnectionRejectionError
        return UNSET

    def _session(self, request: Request | WebSocket) -> str:
        return "" if self._browsers is None else request.cookies.get(self._browsers.session_cookie, "")

    def _may_listen(self, peer: WebSocket) -> bool:
        # Browsers always name the page's origin when they open a socket.
        origin = peer.headers.get("origin")
        if self._browsers is None or origin is None:
            return False
        return self._browsers.owns(origin) or any(Browsers(each).owns(origin) for each in self._allowed)

    async def _sign_in(self, viewer: Viewer, credentials: Credentials, again: str = "") -> None:
        # What is asked again on a socket's behalf is not somebody using the session.
        later = replace(credentials, scheme=again) if again else credentials
        viewer.authenticate = lambda: self._recognition.look_up(later)
        try:
            viewer.actor = await self._recognition.recognise(credentials)
        except (NotAuthenticated, ContextRequired) as refusal:
            viewer.actor, viewer.refusal = None, refusal
        except KproError as error:
            raise Unavailable("signing in is not possible right now") from error


def _shown(header: str, request: Request | WebSocket, context: str) -> Credentials:
    scheme, _, value = header.partition(" ")
    # Sessions come as cookies, which are guarded; a header that claims to be one would go round the guard.
    kind = "" if scheme.lower() in {SESSION, LISTENING} else scheme.lower()
    return Credentials(kind, value.strip(), _client(request), context)


def _client(request: Request | WebSocket) -> str:
    return request.client.host if request.client else ""


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    always = {"Cache-Control": "no-store"}
    return JSONResponse(
        {"errors": [{"message": cpr.redact(message), "extensions": {"code": code}}]}, status, always | (headers or {})
    )


def _keep_numbers_out(scope: Scope) -> None:
    if cpr.stands_in_address(scope["query_string"]):
        raise HTTPException(400, "a CPR number does not belong in an address: send it in the body of a POST")


def _closing_silently(send: Send) -> Send:
    """Pass messages on; why a socket is closed repeats no CPR number that the caller sent."""

    async def closing(message: Message) -> None:
        if message["type"] == "websocket.close" and message.get("reason"):
            message = {**message, "reason": cpr.redact(message["reason"])}
        await send(message)

    return closing


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
