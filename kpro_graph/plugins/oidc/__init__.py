"""Sign-in by OpenID Connect: MitID and NemLog-in brokers, FK adgangsstyring, and whoever gives systems their tokens.

An ordinary plugin: each provider in the configuration becomes an identity provider of its own. The application adds it
to the plugin host when a configuration is given, because it needs to know the sessions of browsers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from kpro_graph.plugins.hookspecs import hookimpl
from kpro_graph.plugins.identities import IdentityProvider
from kpro_graph.plugins.manifest import read_manifest
from kpro_graph.plugins.oidc.configuration import ProviderSettings, read_configuration
from kpro_graph.plugins.oidc.issuer import Issuer
from kpro_graph.plugins.oidc.provider import Attempt, OpenIdProvider, SessionLookup, SignedIn
from kpro_graph.plugins.oidc.tokens import LogoutNotice

__all__ = [
    "FOLDER",
    "Attempt",
    "LogoutNotice",
    "OpenIdConnect",
    "OpenIdProvider",
    "SessionLookup",
    "SignedIn",
    "read_configuration",
]

FOLDER = Path(__file__).parent
"""Where the plugin's manifest lies."""

_LIMIT = 2.0


class OpenIdConnect:
    """The configured providers. ``now`` returns seconds that never go backwards, ``clock`` Unix seconds."""

    def __init__(
        self,
        settings: Sequence[ProviderSettings],
        sessions: SessionLookup,
        *,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # A redirect could lead a request with a client's secret anywhere; an issuer answers where it says it is.
        self._http = httpx.AsyncClient(timeout=_LIMIT, follow_redirects=False)
        manifest = read_manifest(FOLDER)
        issuers: dict[str, Issuer] = {}
        self.providers: dict[str, OpenIdProvider] = {}
        for each in settings:
            issuer = issuers.setdefault(each.issuer, Issuer(each.issuer, self._http, now))
            others = frozenset(
                other.audience for other in settings if other is not each and other.issuer == each.issuer
            ) - {""}
            self.providers[each.name] = OpenIdProvider(each, issuer, manifest, sessions, others, clock)

    @hookimpl
    def register_identity_providers(self) -> list[IdentityProvider]:
        """Return the providers of the configuration."""
        return list(self.providers.values())

    async def close(self) -> None:
        """Close the connections to issuers."""
        await self._http.aclose()
