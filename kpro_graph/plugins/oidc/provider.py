"""One OpenID provider: bearer tokens and sessions judged, and people led through the authorization code flow.

The flow keeps nothing here: what must be known when the person comes back is an `Attempt`, which the caller keeps.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from joserfc.jwk import ECKey

from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Identity
from kpro_graph.browsers import LISTENING, SESSION
from kpro_graph.errors import BadInput, NotAuthenticated, Unavailable
from kpro_graph.plugins.identities import examine_identity
from kpro_graph.plugins.manifest import Manifest, PluginRefused
from kpro_graph.plugins.oidc.configuration import ProviderSettings
from kpro_graph.plugins.oidc.issuer import Issuer, fetch
from kpro_graph.plugins.oidc.people import person_of, system_of
from kpro_graph.plugins.oidc.tokens import LogoutNotice, glance, read_access_token, read_id_token, read_logout_token

__all__ = ["Attempt", "OpenIdProvider", "SessionLookup", "SignedIn"]


log = logging.getLogger(__name__)

_REFUSED = "the identity provider refused the sign-in"
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class SessionLookup(Protocol):
    """What knows the sessions of browsers."""

    async def find(self, token: str, provider: str, *, seen: bool = True) -> Identity | None:
        """Return whose session this is, if it is alive and was begun through this provider.

        ``seen`` says whether being asked keeps it alive.
        """


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that has begun: what the answer must match. Its secrets never leave the server in the clear."""

    provider: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    level: AssuranceLevel
    municipality: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Someone came back and is who they are.

    ``subject`` and ``session`` are the provider's own names for the person and, if it has one, for the sign-in.
    """

    identity: Identity
    subject: str
    id_token: str = field(repr=False)
    session: str = field(default="", repr=False)


class OpenIdProvider:
    """An identity provider by its configuration. ``clock`` returns Unix seconds.

    ``others`` are the audiences of further providers with the same issuer, whose tokens are theirs to judge.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        issuer: Issuer,
        manifest: Manifest,
        sessions: SessionLookup,
        others: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self._issuer = issuer
        self._manifest = manifest
        self._sessions = sessions
        self._others = others
        self._clock = clock
        self._told: set[tuple[str, str]] = set()

    # --- Whoever shows credentials

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whom a session or a bearer token of this provider's proves; None when it is not its own to judge."""
        if credentials.scheme in {SESSION, LISTENING}:
            return await self._sessions.find(credentials.value, self.name, seen=credentials.scheme == SESSION)
        if credentials.scheme != "bearer" or not self._is_ours(credentials.value):
            return None
        claims = await read_access_token(credentials.value, self.settings, self._issuer, self._now())
        system = system_of(claims, self.settings)
        return system if system is not None else self._person(claims)

    def _is_ours(self, token: str) -> bool:
        if not self.settings.audience:
            return False
        claims = glance(token)
        if claims.get("iss") != self.settings.issuer:
            return False
        named = claims.get("aud")
        audiences = {each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)}
        return self.settings.audience in audiences or not audiences & self._others

    def _person(self, claims: Mapping[str, Any], chosen: str = "") -> Identity:
        identity, dropped = person_of(claims, self.settings, chosen)
        for reason in dropped:
            if (identity.subject, reason) not in self._told:
                # Once for each person and reason, not at every request.
                self._told = self._told if len(self._told) < 10_000 else set()
                self._told.add((identity.subject, reason))
                log.warning("provider %s, employee %s: %s; it counts for nothing", self.name, identity.subject, reason)
        return identity

    def _now(self) -> int:
        return int(self._clock())

    # --- Whoever signs in with a browser

    async def begin(
        self, redirect_uri: str, level: AssuranceLevel | None = None, municipality: str = ""
    ) -> tuple[str, Attempt]:
        """Return where to send the browser, and what to keep until it comes back.

        ``level`` is what must be reached; without one the provider is asked for Substantial and may give less.

        Raises:
            BadInput: the municipality is not one to choose here, or nobody signs in through this provider.
            Unavailable: the provider does not answer.
        """
        if self.settings.kind is ActorKind.SYSTEM:
            raise BadInput("nobody signs in through this provider", path="provider")
        choices = self.settings.choices
        if municipality and municipality not in choices:
            raise BadInput("the municipality is not one of this provider's", path="municipality")
        if len(choices) > 1 and not municipality:
            raise BadInput("a municipality must be chosen", path="municipality")
        described = await self._issuer.describe()
        attempt = Attempt(
            provider=self.name,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            redirect_uri=redirect_uri,
            level=level or AssuranceLevel.LOW,
            municipality=municipality,
        )
        acr = self.settings.acr_values.get(level or AssuranceLevel.SUBSTANTIAL)
        address = prepare_grant_uri(
            described["authorization_endpoint"],
            client_id=self.settings.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=" ".join(self.settings.scopes),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
            **({"acr_values": acr} if acr else {}),
        )
        return str(address), attempt

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> SignedIn:
        """Return who has come back with this answer, the parameters of the redirect.

        Raises:
            NotAuthenticated: the provider refused, the answer is not to this attempt, or what it says does not hold.
            Unavailable: the provider does not answer.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise NotAuthenticated("the answer is not to this sign-in")
        described = await self._issuer.describe()
        named = answer.get("iss")
        if named != self.settings.issuer and (
            named is not None or described.get("authorization_response_iss_parameter_supported") is True
        ):
            raise NotAuthenticated("the answer comes from another identity provider")
        if "error" in answer or not answer.get("code"):
            raise NotAuthenticated(_REFUSED)
        tokens = await self._exchange(described["token_endpoint"], answer["code"], attempt)
        claims = await read_id_token(
            tokens["id_token"],
            self.settings,
            self._issuer,
            self._now(),
            nonce=attempt.nonce,
            access_token=tokens["access_token"],
        )
        session = claims.get("sid", "")
        if self.settings.user_info:
            further = await self._user_info(described.get("userinfo_endpoint"), tokens["access_token"], claims["sub"])
            claims = {**further, **claims}
        try:
            identity = examine_identity(self._person(claims, attempt.municipality), self.name, self._manifest)
        except PluginRefused as refused:
            raise NotAuthenticated(f"what the identity provider says does not hold: {refused}") from None
        return SignedIn(identity, claims["sub"], tokens["id_token"], session if isinstance(session, str) else "")

    async def _exchange(self, address: str, code: str, attempt: Attempt) -> dict[str, str]:
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=attempt.redirect_uri, code_verifier=attempt.verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        key = self.settings.private_key
        if key is None:
            # RFC 6749 has both percent-encoded before they are put together.
            identifier, secret = quote(self.settings.client_id, ""), quote(self.settings.client_secret or "", "")
            auth = ClientAuth(identifier, secret, "client_secret_basic")
        else:
            algorithm = _CURVES.get(key.curve_name, "ES256") if isinstance(key, ECKey) else "RS256"
            header = {"kid": key.kid} if key.kid else None
            assertion = PrivateKeyJWT(self.settings.issuer, headers=header, alg=algorithm)
            auth = ClientAuth(self.settings.client_id, key, assertion)
        address, headers, body = auth.prepare("POST", address, headers, body)
        status, answer = await fetch(self._issuer.http, "POST", address, headers=headers, content=body)
        if status >= 500 or answer is None:
            raise Unavailable("the identity provider does not give tokens")
        if status != 200 or not isinstance(answer, dict):
            raise NotAuthenticated(_REFUSED)
        tokens = {name: answer.get(name) for name in ("id_token", "access_token")}
        if not all(isinstance(token, str) and token for token in tokens.values()):
            raise NotAuthenticated(_REFUSED)
        return {name: str(token) for name, token in tokens.items()}

    async def _user_info(self, address: object, access_token: str, subject: str) -> dict[str, Any]:
        if not isinstance(address, str):
            raise Unavailable("the identity provider has no address for user information")
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        status, answer = await fetch(self._issuer.http, "GET", address, headers=headers)
        if status >= 500:
            raise Unavailable("the identity provider does not give user information")
        if status != 200 or not isinstance(answer, dict) or answer.get("sub") != subject:
            raise NotAuthenticated("the user information is not about who signed in")
        return answer

    # --- Whoever signs out

    async def farewell(self, id_token: str, return_to: str) -> str | None:
        """Return where to send the browser to sign out at the provider too; None where that is not to be had."""
        try:
            address = (await self._issuer.describe()).get("end_session_endpoint")
        except Unavailable:
            return None
        if not isinstance(address, str):
            return None
        parameters = {
            "id_token_hint": id_token,
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": return_to,
        }
        return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"

    async def notice(self, logout_token: str) -> LogoutNotice:
        """Return what a logout token of this provider's says; each is to be accepted once.

        Raises:
            NotAuthenticated: it does not hold.
            Unavailable: the provider's keys are not to be had.
        """
        return await read_logout_token(logout_token, self.settings, self._issuer, self._now())
