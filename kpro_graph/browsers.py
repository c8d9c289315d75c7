"""What browsers send along by themselves: the cookies of an installation, and how a request shows that it is meant.

A browser sends a cookie with every request to us, also with one that a page elsewhere has made. So a request with a
cookie counts only if one of our own pages made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["CLIENT_HEADER", "CONTEXT_HEADER", "LISTENING", "SESSION", "Browsers"]

CLIENT_HEADER = "kpro-client"
"""A header with any value: no page elsewhere can make a browser send it."""
CONTEXT_HEADER = "kpro-context"
"""The header that names the context to act in, or the citizen to act for."""


SESSION = "session"
"""The scheme of credentials that are a browser's session."""
LISTENING = "session-listening"
"""The scheme of a session asked after again for a socket that listens, which nobody need be sitting at."""


@dataclass(frozen=True, slots=True)
class Browsers:
    """How browsers know this installation: ``address`` is its public URL, without a path."""

    address: str

    @property
    def secure(self) -> bool:
        """Say whether cookies travel over https only; they do anywhere but on the developer's own machine."""
        return self.address.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """The name of the cookie that holds a session; the prefix has browsers refuse it from any other host."""
        return "__Host-kpro-session" if self.secure else "kpro-session"

    @property
    def attempt_cookie(self) -> str:
        """The name of the cookie that holds a sign-in under way."""
        return "__Host-kpro-sign-in" if self.secure else "kpro-sign-in"

    def owns(self, origin: str | None) -> bool:
        """Say whether an ``Origin`` is this installation's own."""
        return origin is not None and _normal(origin) == _normal(self.address) is not None

    def meant(self, headers: Mapping[str, str]) -> bool:
        """Say whether one of our own pages made the request with these headers, whose names are lower case.

        An ``Origin`` must be our own. Without one, the request must say that it stays on the site, or carry the header
        that only a page of ours can set.
        """
        if (origin := headers.get("origin")) is not None:
            return self.owns(origin)
        return headers.get("sec-fetch-site") == "same-origin" or bool(headers.get(CLIENT_HEADER, "").strip())


def _normal(address: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return (parts.scheme, parts.hostname, port or usual) if usual and parts.hostname else None
