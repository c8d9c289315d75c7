"""People for the tests: an identity provider that vouches for whomever a test makes up, and the demo's people by name."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Grant, Identity, Representation, Right, Role
from kpro_graph.demography import DemoEmployee, Demography
from kpro_graph.plugins import IdentityProvider, hookimpl

__all__ = ["PEOPLE", "People", "citizen", "employee", "grant", "member"]

DEMOGRAPHY = Demography()
_MANIFEST = """
id = "people-of-the-tests"
version = "1.0.0"
publisher = "national"
title = "Testenes log ind"
title_en = "The tests' sign-in"
hook_api = ">=1,<2"

[needs]
answers = "none"
cpr = "read"
network = []
"""


class People:
    """Signs anybody in whom a test has made up; what it says is examined like any provider's."""

    name = "people"

    def __init__(self) -> None:
        self._known: dict[str, Identity] = {}

    @hookimpl
    def register_identity_providers(self) -> list[IdentityProvider]:
        return [self]

    def folder(self, parent: Path) -> Path:
        """Return a folder with the plugin's manifest."""
        folder = parent / "people-of-the-tests"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kpro-plugin.toml").write_text(_MANIFEST)
        return folder

    def token(self, identity: Identity) -> str:
        """Return a bearer token for somebody; the same identity again is the same person."""
        token = f"people.{secrets.token_urlsafe(16)}"
        self._known[token] = replace(identity, provider=self.name)
        return token

    async def identify(self, credentials: Credentials) -> Identity | None:
        return self._known.get(credentials.value) if credentials.scheme == "bearer" else None


PEOPLE = People()
"""One for all worlds: a token is as good in each."""


def grant(*roles: Role, **constraints: object) -> Grant:
    """Return a grant; ``unit``, ``team`` and ``kle`` take one value or several."""
    names = {"unit": "organisation_unit", "team": "care_team", "kle": "kle"}
    return Grant(
        frozenset(roles),
        {
            names[name]: frozenset(map(str, given if isinstance(given, (list, tuple, set, frozenset)) else [given]))
            for name, given in constraints.items()
        },
    )


def member(role: Role, municipality: str = "0101", number: int = 0) -> DemoEmployee:
    """Return the demo's ``number``-th employee with a role; the first teams' come first."""
    return [each for each in DEMOGRAPHY.employees(municipality) if each.role is role][number]


def employee(
    *grants: Grant, person: DemoEmployee | None = None, municipality: str = "0101", subject: str = ""
) -> Identity:
    """Return an employee of the demo's with other grants than the demo gives."""
    who = person or member(Role.CLINICAL_VIEWER, municipality)
    return Identity(
        "people", subject or str(who.id), ActorKind.EMPLOYEE, municipality, AssuranceLevel.SUBSTANTIAL, grants
    )


def citizen(
    number: int, municipality: str = "0101", *, cpr: str = "", represents: dict[str, frozenset[Right]] | None = None
) -> Identity:
    """Return the demo's ``number``-th citizen of a municipality, or somebody else with this CPR number."""
    who = DEMOGRAPHY.citizen(municipality, number)
    return Identity(
        "people",
        str(who.id),
        ActorKind.CITIZEN,
        municipality,
        AssuranceLevel.SUBSTANTIAL,
        cpr=cpr or who.cpr,
        name=who.name,
        represents=tuple(Representation(number_, rights) for number_, rights in (represents or {}).items()),
    )
