"""Identity providers: what one promises, and the check of everything it says.

A provider may deny; it can never grant beyond what roles and scopes can say, nor speak for another municipality than
its publisher's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

from kpro_graph.actors import (
    ActorKind,
    AssuranceLevel,
    Credentials,
    Grant,
    Identity,
    Representation,
    Right,
    Role,
)
from kpro_graph.cpr import CprInvalid, parse
from kpro_graph.plugins.manifest import Manifest, PluginRefused

__all__ = ["KLE", "ExaminedProvider", "IdentityProvider", "examine_identity", "examine_provider"]


@runtime_checkable
class IdentityProvider(Protocol):
    """Turns credentials into an identity.

    ``name`` is stable and unique among the providers of an installation.
    """

    name: str

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whom the credentials prove, or None when they are not this provider's to judge.

        Raises `kpro_graph.plugins.NotAuthenticated` when they are, and do not hold.
        """


_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_MUNICIPALITY = re.compile(r"[0-9]{4}")
KLE = re.compile(
    r"[0-9]\*|[0-9]{2}\.\*|[0-9]{2}\.[0-9]\*|[0-9]{2}\.[0-9]{2}\.\*|[0-9]{2}\.[0-9]{2}\.[0-9]\*|[0-9]{2}(\.[0-9]{2}){2}"
)
"""A KLE number or a wildcard for many, as the national specification of the classification writes them."""

_PLACES = frozenset({"organisation_unit", "care_team"})
_ROLES: Mapping[ActorKind, frozenset[Role]] = {
    ActorKind.CITIZEN: frozenset(),
    ActorKind.EMPLOYEE: frozenset(Role) - {Role.INTEGRATOR},
    ActorKind.SYSTEM: frozenset({Role.INTEGRATOR}),
    # An employee becomes a security officer by role; an operator comes from the command line, never from a provider.
    ActorKind.SECURITY_OFFICER: frozenset(),
    ActorKind.OPERATOR: frozenset(),
}


@dataclass(frozen=True, slots=True)
class ExaminedProvider:
    """A provider that holds: its name, and the question to ask it."""

    name: str
    identify: Callable[[Credentials], Awaitable[object]]


def examine_provider(provider: object) -> ExaminedProvider:
    """Return the object as an identity provider.

    Raises:
        PluginRefused: it has no proper name, or no ``async def identify``.
    """
    if not isinstance(provider, IdentityProvider):
        raise PluginRefused(f"{type(provider).__name__} is no identity provider: it needs a name and identify")
    name, identify = provider.name, provider.identify
    if not _has_form(name, _NAME):
        raise PluginRefused(f"the name of {type(provider).__name__} is not lower case letters, digits and hyphens")
    if not inspect.iscoroutinefunction(identify):
        raise PluginRefused(f"{name}: identify is not async")
    return ExaminedProvider(str(name), identify)


def examine_identity(identity: object, provider: str, manifest: Manifest) -> Identity:
    """Return what a provider said as an identity of our own making, with the CPR number in canonical form.

    Raises:
        PluginRefused: a part has the wrong type or form, a role is not for this kind of actor, an employee's grant
            has no scope, or the provider spoke for another municipality or of a CPR number it has not declared. The
            message names the part, never its value.
    """
    if type(identity) is not Identity:
        raise PluginRefused(f"identify returned {type(identity).__name__}, no Identity")
    if identity.provider != provider:
        raise PluginRefused("the identity names another provider")
    if not _is_text(identity.subject, 200) or not identity.subject.strip():
        raise PluginRefused("the subject is not a text of 1 to 200 characters")
    if not _is_text(identity.name, 200):
        raise PluginRefused("the name is not a text of at most 200 characters")
    if type(identity.kind) is not ActorKind:
        raise PluginRefused("the kind is not an ActorKind")
    if type(identity.assurance) is not AssuranceLevel:
        raise PluginRefused("the assurance is not an AssuranceLevel")
    if not _has_form(identity.municipality, _MUNICIPALITY):
        raise PluginRefused("the municipality is not a four-digit code")
    if manifest.municipality not in (None, identity.municipality):
        raise PluginRefused("the municipality is not the plugin's own")
    if not isinstance(identity.grants, tuple):
        raise PluginRefused("the grants are not a tuple")
    return Identity(
        provider=provider,
        subject=identity.subject,
        kind=identity.kind,
        municipality=identity.municipality,
        assurance=identity.assurance,
        grants=tuple(_examine_grant(grant, identity.kind) for grant in identity.grants),
        cpr=_examine_cpr(identity.cpr, identity.kind, manifest),
        name=identity.name,
        represents=_examine_representations(identity, manifest),
    )


def _examine_cpr(cpr: object, kind: ActorKind, manifest: Manifest) -> str | None:
    if cpr is None:
        if kind is ActorKind.CITIZEN:
            raise PluginRefused("a citizen has no CPR number")
        return None
    if kind is ActorKind.SYSTEM:
        raise PluginRefused("a system has a CPR number")
    if manifest.cpr != "read":
        raise PluginRefused("the manifest does not declare that the plugin knows CPR numbers (needs.cpr)")
    if not isinstance(cpr, str):
        raise PluginRefused("the CPR number is not a text")
    try:
        return parse(cpr).digits
    except CprInvalid:
        raise PluginRefused("the CPR number does not hold") from None


def _examine_representations(identity: Identity, manifest: Manifest) -> tuple[Representation, ...]:
    if not isinstance(identity.represents, tuple):
        raise PluginRefused("the representations are not a tuple")
    examined = []
    for each in identity.represents:
        if identity.kind is not ActorKind.CITIZEN:
            raise PluginRefused("only a citizen can represent someone")
        if type(each) is not Representation:
            raise PluginRefused("a representation is not a Representation")
        if not _is_frozenset(each.rights, Right) or not each.rights:
            raise PluginRefused("a representation's rights are not a frozenset of one or more Right")
        principal = _examine_cpr(each.cpr, identity.kind, manifest)
        if principal is None or principal == _examine_cpr(identity.cpr, identity.kind, manifest):
            raise PluginRefused("a representation names nobody else")
        examined.append(Representation(principal, each.rights))
    return tuple(examined)


def _examine_grant(grant: object, kind: ActorKind) -> Grant:
    if type(grant) is not Grant:
        raise PluginRefused("a grant is not a Grant")
    if not _is_frozenset(grant.roles, Role):
        raise PluginRefused("a grant's roles are not a frozenset of Role")
    if not grant.roles or not grant.roles <= _ROLES[kind]:
        raise PluginRefused(f"a grant has no role, or one that is not for {kind.value}s")
    if not isinstance(grant.constraints, Mapping):
        raise PluginRefused("a grant's constraints are not a mapping")
    constraints = {name: _examine_constraint(name, values, kind) for name, values in grant.constraints.items()}
    if kind is ActorKind.EMPLOYEE and not any(constraints.get(place) for place in _PLACES):
        raise PluginRefused("an employee's grant has no organisation unit and no care team")
    return Grant(grant.roles, constraints)


def _examine_constraint(name: object, values: frozenset[str], kind: ActorKind) -> frozenset[str]:
    # An unknown constraint would narrow the grant; passing over it would widen what the provider meant.
    if not _is_frozenset(values, str):
        raise PluginRefused("a constraint's values are not a frozenset of texts")
    if name in _PLACES:
        values = frozenset(value.lower() for value in values)
        holds = all(_is_uuid(value) for value in values)
    elif name == "kle":
        holds = all(KLE.fullmatch(value) for value in values)
    elif name == "answers":
        holds = kind is ActorKind.SYSTEM and values == {"read"}
    else:
        raise PluginRefused("a grant has an unknown constraint")
    if not holds:
        raise PluginRefused(f"a value of the constraint {name} has the wrong form")
    return values


def _has_form(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_frozenset(value: object, kind: type) -> bool:
    return isinstance(value, frozenset) and all(type(each) is kind for each in value)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and (value.isprintable() or not value)


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False
