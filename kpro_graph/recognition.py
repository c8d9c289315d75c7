"""Recognition: whoever was authenticated a moment ago is not looked up again; rights that end, end within that moment.

Looking somebody up takes a signature and several statements, several times what a small query takes. What is kept is
kept in memory only, under a digest of the credentials, and for so short a time that nobody would notice it passing.
Sessions, and a socket that is asked again who it is, are always looked up.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from kpro_graph.actors import Actor, Credentials

__all__ = ["Recognition"]

# A session that is ended, in a browser or at a reception computer, is ended at once.
_SCHEMES = frozenset({"bearer"})


class Recognition:
    """Answers who somebody is, from memory for ``seconds`` after it was found out; 0 never answers from memory."""

    def __init__(
        self,
        authenticate: Callable[[Credentials], Awaitable[Actor]],
        seconds: float,
        *,
        size: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticate = authenticate
        self._seconds = seconds
        self._size = size
        self._now = now
        self._known: OrderedDict[bytes, tuple[Actor, float]] = OrderedDict()

    async def recognise(self, credentials: Credentials) -> Actor:
        """Return the actor behind credentials.

        Raises:
            NotAuthenticated, ContextRequired, Unavailable: as the look-up says; a refusal is never remembered.
        """
        if self._seconds <= 0 or credentials.scheme not in _SCHEMES:
            return await self._authenticate(credentials)
        key = _digest(credentials)
        found = self._known.get(key)
        if found is not None and found[1] > self._now():
            return found[0]
        return await self._learn(key, credentials)

    async def look_up(self, credentials: Credentials) -> Actor:
        """Return the actor behind credentials as of now, and remember that.

        Raises:
            NotAuthenticated, ContextRequired, Unavailable: as the look-up says; then nobody is remembered.
        """
        return await self._learn(_digest(credentials), credentials)

    def forget(self) -> None:
        """Forget everybody; whoever asks next is looked up."""
        self._known.clear()

    async def _learn(self, key: bytes, credentials: Credentials) -> Actor:
        self._known.pop(key, None)
        asked = self._now()
        actor = await self._authenticate(credentials)
        if self._seconds > 0 and credentials.scheme in _SCHEMES:
            self._known[key] = actor, asked + self._seconds
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return actor


def _digest(credentials: Credentials) -> bytes:
    parts = (credentials.scheme, credentials.value, credentials.client, credentials.context)
    # Each part is led by its length, so that no two sets of parts read alike.
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (each.encode() for each in parts))
    return hashlib.blake2b(text, digest_size=32).digest()
