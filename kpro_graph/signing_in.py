"""The pages a browser passes through to sign in and out; what it carries away is a cookie with a random token.

Addresses a browser is sent to are made from the installation's own public URL or come from the identity provider's
description of itself; nothing a request names decides where anyone goes, but a path on this very site.
"""

from __future__ import annotations

import html
import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kpro_graph.actors import ActorKind, AssuranceLevel
from kpro_graph.browsers import CLIENT_HEADER, Browsers
from kpro_graph.errors import BadInput, NotAuthenticated, NotFound, StepUpRequired, Unavailable
from kpro_graph.plugins.oidc import Attempt, LogoutNotice, OpenIdConnect, OpenIdProvider
from kpro_graph.sessions import Sessions
from kpro_graph.storage.envelope import Envelope

__all__ = ["SigningIn", "is_local_path"]

log = logging.getLogger(__name__)

_ATTEMPT = timedelta(minutes=10)
_LONGEST_PATH = 1000
_LARGEST_FORM = 100_000
_LEVELS = {"substantial": AssuranceLevel.SUBSTANTIAL, "high": AssuranceLevel.HIGH}
_BOND = b"sign-in attempt"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_WORDS = {
    "unknown": ("Den måde at logge ind på findes ikke her.", "There is no such way to sign in here."),
    "wrong": ("Adressen er ikke rigtig. Begynd forfra.", "The address is not right. Please start again."),
    "failed": ("Det lykkedes ikke at logge ind. Begynd forfra.", "You could not be signed in. Please start again."),
    "level": (
        "Du er ikke logget ind sikkert nok til dette. Log ind igen på en mere sikker måde.",
        "You are not signed in surely enough for this. Please sign in again in a more secure way.",
    ),
    "away": (
        "Det er ikke muligt at logge ind lige nu. Prøv igen om lidt.",
        "Signing in is not possible right now. Please try again in a moment.",
    ),
    "elsewhere": ("Anmodningen kom ikke herfra.", "The request did not come from here."),
    "out": ("Du er logget ud.", "You are signed out."),
}


@dataclass(frozen=True, slots=True)
class _Going:
    """A sign-in under way, as the browser keeps it, sealed."""

    attempt: Attempt
    return_to: str
    until: float


def is_local_path(path: str) -> bool:
    """Say whether this is a path on this very site, however a browser may read it."""
    if not path.startswith("/") or path.startswith("//") or len(path) > _LONGEST_PATH:
        return False
    # A browser takes a backslash for a slash and passes over control characters.
    return path.isascii() and path.isprintable() and "\\" not in path and " " not in path


class SigningIn:
    """The routes of signing in and out. ``clock`` returns Unix seconds."""

    def __init__(
        self,
        openid: OpenIdConnect,
        sessions: Sessions,
        envelope: Envelope,
        browsers: Browsers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._openid = openid
        self._sessions = sessions
        self._envelope = envelope
        self._browsers = browsers
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes; they come before anything that is mounted at the root."""
        return [
            Route("/sign-in", _guarded(self.choose), methods=["GET"]),
            Route("/sign-in/{provider}", _guarded(self.begin), methods=["GET"]),
            Route("/sign-in/{provider}/callback", _guarded(self.finish), methods=["GET"]),
            Route("/sign-in/{provider}/front-channel-logout", _guarded(self.front_channel), methods=["GET"]),
            Route("/sign-in/{provider}/back-channel-logout", _guarded(self.back_channel), methods=["POST"]),
            Route("/sign-out", _guarded(self.sign_out), methods=["POST"]),
            Route("/signed-out", _guarded(self.signed_out), methods=["GET"]),
        ]

    async def choose(self, _request: Request) -> Response:
        """List the ways to sign in, for a page that offers them."""
        return JSONResponse(
            [
                {
                    "provider": each.name,
                    "kind": each.settings.kind.value,
                    "title": each.settings.title,
                    "titleEn": each.settings.title_en,
                    "municipalities": list(each.settings.choices),
                    "href": f"/sign-in/{each.name}",
                }
                for each in self._openid.providers.values()
                if each.settings.kind is not ActorKind.SYSTEM
            ],
            headers={"Cache-Control": "no-store"},
        )

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider; ``return_to``, ``level`` and ``municipality`` may be given."""
        provider = self._provider(request)
        return_to = request.query_params.get("return_to", "/")
        if not is_local_path(return_to):
            raise BadInput("return_to is no path on this site", path="return_to")
        wanted = request.query_params.get("level")
        if wanted is not None and wanted not in _LEVELS:
            raise BadInput("the level is neither substantial nor high", path="level")
        address, attempt = await provider.begin(
            self._callback(provider), _LEVELS.get(wanted or ""), request.query_params.get("municipality", "")
        )
        going = _Going(attempt, return_to, self._clock() + _ATTEMPT.total_seconds())
        sealed = self._envelope.seal(msgspec.json.encode(going), _BOND)
        response = RedirectResponse(address, 303, _HEADERS)
        self._set(response, self._browsers.attempt_cookie, urlsafe_b64encode(sealed).decode(), _ATTEMPT)
        return response

    async def finish(self, request: Request) -> Response:
        """Take the provider's answer, begin a session under a token of its own, and go on to where the person was."""
        provider = self._provider(request)
        going = self._going(request)
        if going is None or going.attempt.provider != provider.name:
            raise NotAuthenticated("no sign-in is under way in this browser")
        # The same parameter twice could be read as one here and as the other elsewhere.
        pairs = request.query_params.multi_items()
        if len({name for name, _ in pairs}) < len(pairs):
            raise NotAuthenticated("the answer holds something twice")
        answer = dict(pairs)
        if answer.get("state") != going.attempt.state:
            raise NotAuthenticated("the answer is not to this sign-in")
        # Spent before it is used: a second answer to one sign-in, whoever brings it, is refused.
        if not await self._sessions.spend("state", going.attempt.state, _ATTEMPT):
            raise NotAuthenticated("the sign-in has been answered already")
        signed_in = await provider.finish(going.attempt, answer)
        if signed_in.identity.assurance < going.attempt.level:
            raise StepUpRequired("the provider did not reach the level that was asked for")
        token = await self._sessions.open(
            signed_in.identity,
            subject=signed_in.subject,
            id_token=signed_in.id_token,
            provider_session=signed_in.session,
            replacing=request.cookies.get(self._browsers.session_cookie, ""),
        )
        response = RedirectResponse(self._browsers.address + going.return_to, 303, _HEADERS)
        self._set(response, self._browsers.session_cookie, token, None)
        self._drop(response, self._browsers.attempt_cookie)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session here, and send the browser on to end it at the provider."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not self._browsers.meant(headers):
            return _page(403, "elsewhere")
        ended = await self._sessions.end(request.cookies.get(self._browsers.session_cookie, ""))
        here = f"{self._browsers.address}/signed-out"
        provider = None if ended is None else self._openid.providers.get(ended.provider)
        there = await provider.farewell(ended.id_token, here) if ended is not None and provider is not None else None
        # A script follows no redirect to another site: it is told where to go.
        response: Response = (
            JSONResponse({"location": there or here}, headers=_HEADERS)
            if headers.get(CLIENT_HEADER)
            else RedirectResponse(there or here, 303, _HEADERS)
        )
        self._drop(response, self._browsers.session_cookie)
        return response

    async def signed_out(self, _request: Request) -> Response:
        """Say that the person is signed out."""
        return _page(200, "out")

    async def front_channel(self, request: Request) -> Response:
        """End the sessions of one sign-in at the provider; its page loads this address in a frame."""
        provider = self._provider(request)
        issuer, session = request.query_params.get("iss"), request.query_params.get("sid")
        # The frame brings no cookie, so only what the provider alone knows says which sessions to end.
        if issuer != provider.settings.issuer or not session:
            raise BadInput("iss or sid is missing or another's", path="sid")
        ended = await self._sessions.end_provider_session(provider.name, session)
        log.info("provider %s signed %d session(s) out by front channel", provider.name, ended)
        parts = urlsplit(provider.settings.issuer)
        headers = {
            **_HEADERS,
            "Content-Security-Policy": f"default-src 'none'; frame-ancestors {parts.scheme}://{parts.netloc}",
        }
        return HTMLResponse("<!doctype html><title>Logget ud</title>", headers=headers)

    async def back_channel(self, request: Request) -> Response:
        """End the sessions a signed logout token names: those of one sign-in, or all of a person's."""
        provider = self._provider(request)
        token = await _logout_token(request)
        try:
            notice = await self._notice(provider, token)
        except NotAuthenticated as refusal:
            log.warning("provider %s: a logout token is refused: %s", provider.name, refusal)
            document = {"error": "invalid_request", "error_description": str(refusal)}
            return JSONResponse(document, 400, {"Cache-Control": "no-store"})
        if notice.session:
            ended = await self._sessions.end_provider_session(provider.name, notice.session)
        else:
            ended = await self._sessions.end_subject(provider.name, notice.subject)
        log.info("provider %s signed %d session(s) out by back channel", provider.name, ended)
        return Response(status_code=200, headers={"Cache-Control": "no-store"})

    async def _notice(self, provider: OpenIdProvider, token: str) -> LogoutNotice:
        notice = await provider.notice(token)
        keep = timedelta(seconds=max(1.0, notice.until - self._clock()))
        if not await self._sessions.spend("logout", f"{provider.name} {notice.id}", keep):
            raise NotAuthenticated("the logout token has been used already")
        return notice

    def _provider(self, request: Request) -> OpenIdProvider:
        provider = self._openid.providers.get(request.path_params["provider"])
        if provider is None or provider.settings.kind is ActorKind.SYSTEM:
            raise NotFound("there is no such provider")
        return provider

    def _callback(self, provider: OpenIdProvider) -> str:
        return f"{self._browsers.address}/sign-in/{provider.name}/callback"

    def _going(self, request: Request) -> _Going | None:
        try:
            sealed = urlsafe_b64decode(request.cookies.get(self._browsers.attempt_cookie, "").encode())
            content = self._envelope.open(sealed, _BOND)
            going = None if content is None else msgspec.json.decode(content, type=_Going)
        except (NotBase64, ValueError, msgspec.DecodeError):
            return None
        return going if going is not None and self._clock() < going.until else None

    def _set(self, response: Response, name: str, value: str, age: timedelta | None) -> None:
        seconds = None if age is None else int(age.total_seconds())
        # Lax: the provider's redirect back must bring the cookie along.
        response.set_cookie(name, value, seconds, path="/", secure=self._browsers.secure, httponly=True, samesite="lax")

    def _drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._browsers.secure, httponly=True, samesite="lax")


def _guarded(page: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Turn what may go wrong on a page into words for the person at the screen."""

    async def guarded(request: Request) -> Response:
        try:
            return await page(request)
        except NotFound:
            return _page(404, "unknown")
        except BadInput:
            return _page(400, "wrong")
        except StepUpRequired:
            return _page(403, "level")
        except NotAuthenticated as refusal:
            log.warning("a sign-in is refused: %s", refusal)
            return _page(400, "failed")
        except Unavailable as error:
            log.warning("a sign-in is not possible: %s", error)
            return _page(503, "away", {"Retry-After": "5"})

    return guarded


def _page(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    da, en = (html.escape(text) for text in _WORDS[words])
    document = (
        f'<!doctype html><html lang="da"><meta charset="utf-8"><title>{da}</title>'
        f'<main><p>{da}</p><p lang="en">{en}</p><p><a href="/">Til forsiden / To the front page</a></p></main></html>'
    )
    return HTMLResponse(document, status, {**_HEADERS, **(headers or {})})


async def _logout_token(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            raise BadInput("the form is too large", path="logout_token")
    try:
        fields = dict(parse_qsl(body.decode("ascii"), max_num_fields=20))
    except ValueError:
        raise BadInput("the form cannot be read", path="logout_token") from None
    if not fields.get("logout_token"):
        raise BadInput("logout_token is missing", path="logout_token")
    return fields["logout_token"]
