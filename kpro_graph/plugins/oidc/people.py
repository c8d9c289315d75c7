"""From verified claims to a neutral identity: who it is, in which municipality, how surely, and with what grants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kpro_graph.actors import ActorKind, AssuranceLevel, Grant, Identity, Role
from kpro_graph.errors import NotAuthenticated
from kpro_graph.plugins.oidc.configuration import ProviderSettings
from kpro_graph.plugins.oidc.privileges import read_privileges

__all__ = ["assurance_of", "person_of", "system_of"]

_NSIS = "https://data.gov.dk/concept/core/nsis/loa/"
_NSIS_SHORT = "https://data.gov.dk/concept/core/nsis/"
_LEVELS = {
    "low": AssuranceLevel.LOW,
    "substantial": AssuranceLevel.SUBSTANTIAL,
    "high": AssuranceLevel.HIGH,
    # OIOSAML 2: of its four levels, the third is what NSIS calls Substantial.
    "1": AssuranceLevel.LOW,
    "2": AssuranceLevel.LOW,
    "3": AssuranceLevel.SUBSTANTIAL,
    "4": AssuranceLevel.HIGH,
}
# A subject as FK adgangsstyring writes it: C=DK,O=<CVR>,CN=<name>,Serial=<uuid>.
_X509 = re.compile(r"C=DK,O=([0-9]{8}),CN=[^,]*,Serial=([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def assurance_of(claims: Mapping[str, Any], settings: ProviderSettings) -> AssuranceLevel:
    """Return how surely the claims say the person is proved; what is missing or not understood is low."""
    value = claims.get(settings.claims.assurance)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return AssuranceLevel.LOW
    text = str(value)
    if text in settings.levels:
        return settings.levels[text]
    return _LEVELS.get(text.removeprefix(_NSIS).removeprefix(_NSIS_SHORT).lower(), AssuranceLevel.LOW)


def person_of(
    claims: Mapping[str, Any], settings: ProviderSettings, chosen: str = ""
) -> tuple[Identity, tuple[str, ...]]:
    """Return the citizen or employee the claims speak of, and why some of their privileges were left out.

    ``chosen`` is the municipality a citizen chose at sign-in, where the provider does not say.

    Raises:
        NotAuthenticated: a claim that is needed is missing or of the wrong form.
    """
    municipality = _municipality(claims, settings, chosen)
    subject = _text(claims, settings.claims.subject)
    if not subject:
        raise NotAuthenticated("the sign-in does not say who it is")
    cvr = settings.cvr_of[municipality]
    if found := _X509.fullmatch(subject):
        if found[1] != cvr:
            raise NotAuthenticated("the sign-in is for another organisation than it says")
        subject = found[2].lower()
    privileges = read_privileges(claims.get(settings.claims.privileges), cvr, settings.powers)
    citizen = settings.kind is ActorKind.CITIZEN
    cpr = _text(claims, settings.claims.cpr)
    if citizen and not cpr:
        raise NotAuthenticated("the sign-in does not say which person it is")
    identity = Identity(
        provider=settings.name,
        subject=subject,
        kind=settings.kind,
        municipality=municipality,
        assurance=assurance_of(claims, settings),
        grants=() if citizen else privileges.grants,
        cpr=cpr or None,
        name=_text(claims, settings.claims.name)[:200],
        represents=privileges.represents if citizen else (),
    )
    return identity, privileges.dropped


def system_of(claims: Mapping[str, Any], settings: ProviderSettings) -> Identity | None:
    """Return the system that obtained an access token for itself, or None where a person is behind the token.

    Raises:
        NotAuthenticated: the system is not one that may, or it shows a token that is not its own.
    """
    client = claims.get("client_id", claims.get("azp"))
    own = client is not None and claims["sub"] == client
    system = settings.systems.get(client) if isinstance(client, str) else None
    if system is None:
        if own or settings.kind is ActorKind.SYSTEM:
            raise NotAuthenticated("the system is not known here")
        return None
    # Some issuers give a client's own tokens a subject of their making: then only the configuration says they are.
    if not own and settings.kind is not ActorKind.SYSTEM:
        raise NotAuthenticated("the token was given to a system on behalf of somebody")
    scopes = claims.get("scope", "")
    granted = scopes.split() if isinstance(scopes, str) else []
    answers = system.answers and settings.answers_scope in granted
    return Identity(
        provider=settings.name,
        subject=system.client_id,
        kind=ActorKind.SYSTEM,
        municipality=system.municipality,
        # A registered client has shown its key or secret to the issuer; no person is proved.
        assurance=AssuranceLevel.SUBSTANTIAL,
        grants=(Grant(frozenset({Role.INTEGRATOR}), {"answers": frozenset({"read"})} if answers else {}),),
        name=system.client_id,
    )


def _municipality(claims: Mapping[str, Any], settings: ProviderSettings, chosen: str) -> str:
    if settings.claims.cvr:
        code = settings.municipalities.get(_text(claims, settings.claims.cvr))
    elif len(settings.choices) == 1:
        (code,) = settings.choices
    else:
        code = chosen if chosen in settings.choices else None
    if code is None:
        raise NotAuthenticated("the sign-in is for no municipality of this installation")
    return code


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "") if name else ""
    return value.strip() if isinstance(value, str) else ""
