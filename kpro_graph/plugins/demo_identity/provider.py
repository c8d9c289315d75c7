"""The identity provider of the demo: issues signed tokens and checks them to the letter."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey
from joserfc.jws import extract_compact

from kpro_graph.errors import BadInput
from kpro_graph.plugins import Credentials, Identity, IdentityProvider, NotAuthenticated, hookimpl
from kpro_graph.plugins.demo_identity.directory import ACTORS, PROVIDER, DemoDirectory

__all__ = ["LONGEST", "DemoIdentity"]

LONGEST = timedelta(days=30)
"""How long a token can be valid."""

_ISSUER = "https://kpro-graph.dk/demo"
_AUDIENCE = "kpro_graph"
_MUNICIPALITY = "kpro:municipality"
_ALGORITHM = "HS256"
_NOT_VALID = "the demo token does not hold"


class DemoIdentity:
    """Signs invented people in, on the same machine only. ``secret`` is 32 bytes; ``now`` returns Unix seconds."""

    name = PROVIDER

    def __init__(self, secret: bytes, directory: DemoDirectory, *, now: Callable[[], float] = time.time) -> None:
        self._key = OctKey.import_key(secret)
        self._directory = directory
        self._now = now

    @hookimpl
    def register_identity_providers(self) -> list[IdentityProvider]:
        """Return the one provider this is."""
        return [self]

    def issue(self, name: str, municipality: str, lifetime: timedelta = timedelta(hours=12)) -> str:
        """Return a bearer token for a demo actor such as ``enroller`` in the municipality with that four-digit code.

        Raises:
            BadInput: there is no such actor or municipality, or the lifetime is not between a second and `LONGEST`.
        """
        if name not in ACTORS:
            raise BadInput(f"the demo's actors are {', '.join(ACTORS)}", path="name")
        if municipality not in self._directory.municipalities:
            known = ", ".join(self._directory.municipalities)
            raise BadInput(f"the demo's municipalities are {known}", path="municipality")
        if not timedelta(seconds=1) <= lifetime <= LONGEST:
            raise BadInput(f"a demo token is valid for at most {LONGEST.days} days", path="lifetime")
        issued = int(self._now())
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": name,
            _MUNICIPALITY: municipality,
            "iat": issued,
            "exp": issued + int(lifetime.total_seconds()),
        }
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key, algorithms=[_ALGORITHM])

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return the demo actor a token names; None when the credentials are no token of the demo's."""
        if credentials.scheme != "bearer" or not _is_ours(credentials.value):
            return None
        if not _is_loopback(credentials.client):
            raise NotAuthenticated("demo tokens are accepted from this machine only")
        claims = self._verified(credentials.value)
        identity = self._directory.find(str(claims["sub"]), str(claims[_MUNICIPALITY]))
        if identity is None:
            raise NotAuthenticated(_NOT_VALID)
        return identity

    def _verified(self, token: str) -> Mapping[str, object]:
        expected: dict[str, jwt.ClaimsOption] = {
            "iss": {"essential": True, "value": _ISSUER},
            "aud": {"essential": True, "value": _AUDIENCE},
            "sub": {"essential": True, "values": [*ACTORS]},
            "iat": {"essential": True},
            "exp": {"essential": True},
            _MUNICIPALITY: {"essential": True, "values": [*self._directory.municipalities]},
        }
        registry = jwt.JWTClaimsRegistry(lambda: int(self._now()), 0, **expected)
        try:
            decoded = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            registry.validate(decoded.claims)
        except ExpiredTokenError:
            raise NotAuthenticated("the demo token has expired") from None
        except (JoseError, ValueError):
            raise NotAuthenticated(_NOT_VALID) from None
        if decoded.claims["exp"] - decoded.claims["iat"] > LONGEST.total_seconds():
            raise NotAuthenticated(_NOT_VALID)
        return decoded.claims


def _is_ours(token: str) -> bool:
    # Unverified: it only decides whether this provider is the one to judge.
    try:
        claims = json.loads(extract_compact(token.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and claims.get("iss") == _ISSUER


def _is_loopback(client: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
