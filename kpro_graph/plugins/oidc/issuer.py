"""An issuer as it describes itself: its addresses and its public keys, fetched when needed and kept for a while.

Keys are renewed every ten minutes, and at once when a token names one that is not known, though not more often than
every half minute. While the issuer does not answer, the last that was fetched serves for an hour; then nothing does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from kpro_graph.errors import Unavailable
from kpro_graph.plugins.oidc.configuration import is_secure

__all__ = ["AT_MOST", "FRESH", "PAUSE", "RETRY", "STALE", "Issuer", "PublicKey", "fetch"]

FRESH = 600.0
"""Seconds after which what was fetched is fetched again."""
STALE = 3600.0
"""Seconds for which what was fetched serves while the issuer does not answer."""
PAUSE = 30.0
"""Seconds between two attempts, however many tokens name keys that are not known."""
RETRY = 3.0
"""Seconds after an attempt that failed before the next."""
AT_MOST = 1_000_000
"""How many bytes an answer of an issuer may hold."""

PublicKey = RSAKey | ECKey
Kept = TypeVar("Kept")

log = logging.getLogger(__name__)

_ADDRESSES = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_FURTHER = ("userinfo_endpoint", "end_session_endpoint")
_SHORTEST_RSA = 2048


async def fetch(http: httpx.AsyncClient, method: str, url: str, **options: Any) -> tuple[int, Any]:
    """Send one request to an issuer and return the status and the JSON of its answer, None where it is no JSON.

    Raises:
        Unavailable: nothing came within the time limit, or too much did.
    """
    body = b""
    try:
        async with http.stream(method, url, **options) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > AT_MOST:
                    raise Unavailable("the identity provider answers with too much")
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"the identity provider does not answer ({type(error).__name__})") from error
    try:
        return status, json.loads(body)
    except (ValueError, RecursionError):
        return status, None


class _Remembered(Generic[Kept]):
    """A value fetched from elsewhere: fresh, or stale for a bounded time, or not to be had."""

    def __init__(self, obtain: Callable[[], Awaitable[Kept]], now: Callable[[], float]) -> None:
        self._obtain = obtain
        self._now = now
        self._lock = asyncio.Lock()
        self._value: Kept | None = None
        self._at = self._next = float("-inf")

    async def get(self, *, anew: bool = False) -> Kept:
        due = anew or self._now() - self._at > FRESH
        # Whoever can do with what there is does not wait for someone who is fetching.
        if due and (anew or self._value is None or not self._lock.locked()):
            async with self._lock:
                if self._now() >= self._next:
                    await self._renew()
        if self._value is None or self._now() - self._at > STALE:
            raise Unavailable("the identity provider does not answer")
        return self._value

    async def _renew(self) -> None:
        # Set before the attempt: one that is cancelled counts too.
        self._next = self._now() + RETRY
        try:
            self._value = await self._obtain()
            self._at = self._now()
            self._next = self._at + PAUSE
        except Unavailable as error:
            log.warning("an identity provider's description cannot be renewed: %s", error)


class Issuer:
    """One issuer of tokens. ``now`` returns seconds that never go backwards."""

    def __init__(self, address: str, http: httpx.AsyncClient, now: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.http = http
        self._described = _Remembered(self._describe, now)
        self._published = _Remembered(self._publish, now)

    async def describe(self) -> Mapping[str, Any]:
        """Return what the issuer says of itself, its addresses checked.

        Raises:
            Unavailable: it does not answer, or says something that does not hold.
        """
        return await self._described.get()

    async def keys(self, identifier: str | None) -> list[PublicKey]:
        """Return the public keys for signatures that go by this id, or all where a token names none.

        Raises:
            Unavailable: the issuer does not answer, and what it last said is too old.
        """
        keys = await self._published.get()
        found = _named(keys, identifier)
        if not found:
            found = _named(await self._published.get(anew=True), identifier)
        return found

    async def _describe(self) -> Mapping[str, Any]:
        address = self.address.rstrip("/") + "/.well-known/openid-configuration"
        status, document = await fetch(self.http, "GET", address)
        if status != 200 or not isinstance(document, dict):
            raise Unavailable("the identity provider does not describe itself")
        if document.get("issuer") != self.address:
            raise Unavailable("the identity provider describes itself as another issuer")
        for name in _ADDRESSES:
            if not is_secure(document.get(name)):
                raise Unavailable(f"the identity provider's {name} is not an https address")
        for name in _FURTHER:
            if name in document and not is_secure(document[name]):
                raise Unavailable(f"the identity provider's {name} is not an https address")
        methods = document.get("code_challenge_methods_supported")
        if methods is not None and (not isinstance(methods, list) or "S256" not in methods):
            raise Unavailable("the identity provider does not support PKCE with S256")
        return document

    async def _publish(self) -> list[PublicKey]:
        address = (await self.describe())["jwks_uri"]
        status, document = await fetch(self.http, "GET", address)
        listed = document.get("keys") if isinstance(document, dict) else None
        if status != 200 or not isinstance(listed, list):
            raise Unavailable("the identity provider does not publish its keys")
        return [key for each in listed if (key := _public_key(each)) is not None]


def _named(keys: list[PublicKey], identifier: str | None) -> list[PublicKey]:
    return keys if identifier is None else [key for key in keys if key.kid == identifier]


def _public_key(document: object) -> PublicKey | None:
    """Return the key if it is a public one for signatures; symmetric ones and those for other uses are no keys here."""
    if not isinstance(document, dict) or document.get("use", "sig") != "sig":
        return None
    if document.get("kty") not in {"RSA", "EC"} or "d" in document:
        return None
    try:
        key = JWKRegistry.import_key(document)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey):
        return key if key.public_key.key_size >= _SHORTEST_RSA else None
    return key if isinstance(key, ECKey) else None
