"""Tokens of an issuer: verified to the letter, or refused.

The algorithm must be one the configuration allows, the key one the issuer publishes for signatures under the token's
key id and made for that algorithm; what a token says of its own key is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey
from joserfc.jws import extract_compact

from kpro_graph.errors import NotAuthenticated
from kpro_graph.plugins.oidc.configuration import ProviderSettings
from kpro_graph.plugins.oidc.issuer import Issuer, PublicKey

__all__ = ["LogoutNotice", "glance", "read_access_token", "read_id_token", "read_logout_token"]

_LONGEST = 65_536
_LEEWAY = 30
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
# How old a logout token may be, and so how long its id is remembered against replay, in seconds.
_LOGOUT_AGE = 300
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """What a logout token says: whose sessions end, all (``subject``) or those of one sign-in (``session``).

    ``id`` is to be accepted once; after ``until``, in Unix seconds, the token is too old to come again.
    """

    id: str
    until: int
    subject: str
    session: str


def glance(token: str) -> Mapping[str, Any]:
    """Return a token's claims unverified, or nothing: only good for finding out who is to judge it."""
    try:
        claims = json.loads(extract_compact(token.encode()).payload) if len(token) <= _LONGEST else {}
    except (JoseError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


async def read_access_token(token: str, settings: ProviderSettings, issuer: Issuer, now: int) -> Mapping[str, Any]:
    """Return the claims of an access token for this product.

    Raises:
        NotAuthenticated: it does not hold.
        Unavailable: the issuer's keys are not to be had.
    """
    header, claims = await _verified(token, settings, issuer)
    if _type(header) not in {each.lower().removeprefix("application/") for each in settings.access_token_types}:
        raise NotAuthenticated("the token is no access token")
    # An ID token or a logout token is no access token, even where the type does not tell them apart.
    if {"nonce", "at_hash", "c_hash", "events"} & set(claims):
        raise NotAuthenticated("the token is no access token")
    _check(claims, settings.issuer, settings.audience, now, ("sub",))
    return claims


async def read_id_token(
    token: str, settings: ProviderSettings, issuer: Issuer, now: int, *, nonce: str, access_token: str
) -> Mapping[str, Any]:
    """Return the claims of an ID token that answers the request with this nonce.

    Raises:
        NotAuthenticated: it does not hold.
        Unavailable: the issuer's keys are not to be had.
    """
    header, claims = await _verified(token, settings, issuer)
    if _type(header) not in {"", "jwt"} or "events" in claims:
        raise NotAuthenticated("the token is no ID token")
    _check(claims, settings.issuer, settings.client_id, now, ("sub", "nonce"))
    parameters = {"nonce": nonce, "client_id": settings.client_id, "access_token": access_token}
    try:
        CodeIDToken(claims, header, None, parameters).validate(now, _LEEWAY)
    except (JoseError, ValueError, TypeError):
        raise NotAuthenticated("the ID token does not answer this sign-in") from None
    return claims


async def read_logout_token(token: str, settings: ProviderSettings, issuer: Issuer, now: int) -> LogoutNotice:
    """Return what a logout token says.

    Raises:
        NotAuthenticated: it does not hold.
        Unavailable: the issuer's keys are not to be had.
    """
    header, claims = await _verified(token, settings, issuer)
    if _type(header) not in {"", "jwt", "logout+jwt"}:
        raise NotAuthenticated("the token is no logout token")
    _check(claims, settings.issuer, settings.client_id, now, ("jti",))
    events, subject, session = claims.get("events"), claims.get("sub", ""), claims.get("sid", "")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT), dict) or "nonce" in claims:
        raise NotAuthenticated("the token is no logout token")
    if not isinstance(subject, str) or not isinstance(session, str) or not (subject or session):
        raise NotAuthenticated("the logout token names nobody")
    until = int(claims["iat"]) + _LOGOUT_AGE
    if until <= now:
        raise NotAuthenticated("the logout token is too old")
    return LogoutNotice(str(claims["jti"]), until + _LEEWAY, subject, session)


async def _verified(token: str, settings: ProviderSettings, issuer: Issuer) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(token) > _LONGEST:
        raise NotAuthenticated("the token is too long")
    try:
        header = extract_compact(token.encode()).headers()
    except (JoseError, ValueError, RecursionError):
        raise NotAuthenticated("the token does not hold") from None
    algorithm, identifier = header.get("alg"), header.get("kid")
    if algorithm not in settings.algorithms or not isinstance(identifier, str | None):
        raise NotAuthenticated("the token does not hold")
    keys = [key for key in await issuer.keys(identifier) if _is_for(key, algorithm)]
    # A token that names no key is verified with the only one there is, not tried against several.
    if len(keys) != 1:
        raise NotAuthenticated("the token does not hold")
    try:
        decoded = jwt.decode(token, keys[0], algorithms=[algorithm])
    except (JoseError, ValueError, RecursionError):
        raise NotAuthenticated("the token does not hold") from None
    return dict(decoded.header), decoded.claims


def _is_for(key: PublicKey, algorithm: str) -> bool:
    if key.alg not in {None, algorithm}:
        return False
    if isinstance(key, ECKey):
        return _CURVES.get(algorithm) == key.curve_name
    return algorithm.startswith(("RS", "PS"))


def _check(claims: Mapping[str, Any], issuer: str, audience: str, now: int, texts: tuple[str, ...]) -> None:
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name, 0 if name == "nbf" else None)
        # A number that is none, such as NaN, compares false with everything.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
            raise NotAuthenticated("the token does not hold")
    if not all(isinstance(claims.get(name), str) and claims[name] for name in texts):
        raise NotAuthenticated("the token does not hold")
    registry = jwt.JWTClaimsRegistry(
        now, _LEEWAY, iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}
    )
    try:
        registry.validate(dict(claims))
    except ExpiredTokenError:
        raise NotAuthenticated("the token has expired") from None
    except (JoseError, ValueError, TypeError):
        raise NotAuthenticated("the token is not for this product, or not yet") from None
    if claims["exp"] <= now:
        raise NotAuthenticated("the token has expired")


def _type(header: Mapping[str, Any]) -> str:
    value = header.get("typ", "")
    return value.lower().removeprefix("application/") if isinstance(value, str) else "?"
