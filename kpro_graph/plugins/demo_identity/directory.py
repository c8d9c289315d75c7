"""The demo's directory: who an actor's name stands for in a municipality, computed from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from kpro_graph.actors import ActorKind, AssuranceLevel, Grant, Identity, Role
from kpro_graph.demography import Demography

__all__ = ["ACTORS", "PROVIDER", "DemoDirectory"]

PROVIDER = "demo"

_EMPLOYEES: Mapping[str, Role] = {
    "enroller": Role.CITIZEN_ENROLLER,
    "viewer": Role.CLINICAL_VIEWER,
    "monitor": Role.MONITORING_ASSISTOR,
    "careteam-admin": Role.CARETEAM_ADMINISTRATOR,
    "clinical-admin": Role.CLINICAL_ADMINISTRATOR,
    "questionnaire-editor": Role.QUESTIONNAIRE_EDITOR,
    "security-officer": Role.SECURITY_OFFICER,
}
_SYSTEMS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "integrator": {},
    "integrator-with-answers": {"answers": frozenset({"read"})},
}

ACTORS = (*_EMPLOYEES, "citizen", *_SYSTEMS)
"""The names a token can be issued for."""


class DemoDirectory:
    """Everyone who can sign in to the demo of one seed.

    ``enroller`` is scoped to the organisation unit of the municipality's first care team, ``viewer`` and ``monitor``
    to that first team, and the administrators and the security officer to the whole organisation. ``citizen`` is the
    municipality's citizen 0. The integrators are systems for the whole municipality, one of which may have answers.
    """

    def __init__(self, seed: int = 1) -> None:
        self.demography = Demography(seed)

    def find(self, name: str, municipality: str) -> Identity | None:
        """Return the identity of that actor in the municipality with that four-digit code, or None."""
        return self._identities.get((name, municipality))

    @property
    def municipalities(self) -> tuple[str, ...]:
        """The codes of the demo's municipalities."""
        return tuple(each.code for each in self.demography.municipalities())

    @cached_property
    def _identities(self) -> Mapping[tuple[str, str], Identity]:
        return {(name, code): self._identity(name, code) for code in self.municipalities for name in ACTORS}

    def _identity(self, name: str, code: str) -> Identity:
        if name in _EMPLOYEES:
            return self._employee(_EMPLOYEES[name], code)
        if name in _SYSTEMS:
            number = list(_SYSTEMS).index(name)
            return Identity(
                provider=PROVIDER,
                subject=str(self.demography.uuid_of("system", code, number)),
                kind=ActorKind.SYSTEM,
                municipality=code,
                assurance=AssuranceLevel.SUBSTANTIAL,
                grants=(Grant(frozenset({Role.INTEGRATOR}), _SYSTEMS[name]),),
                name=f"Integration, {self.demography.municipality(code).name}",
            )
        citizen = self.demography.citizen(code, 0)
        return Identity(
            provider=PROVIDER,
            subject=str(citizen.id),
            kind=ActorKind.CITIZEN,
            municipality=code,
            assurance=AssuranceLevel.SUBSTANTIAL,
            cpr=citizen.cpr,
            name=citizen.name,
        )

    def _employee(self, role: Role, code: str) -> Identity:
        # People of the municipality's first team come first within their role.
        person = next(each for each in self.demography.employees(code) if each.role is role)
        # As FK adgangsstyring does, the issuer names every unit beneath the one a right is held in.
        units = self.demography.organisation_units(code)
        held = {unit.id for unit in units if unit.id in person.units or unit.parent in person.units}
        scope = (
            {"organisation_unit": frozenset(str(unit) for unit in held)}
            if held
            else {"care_team": frozenset(str(team) for team in person.teams)}
        )
        return Identity(
            provider=PROVIDER,
            subject=str(person.id),
            kind=ActorKind.EMPLOYEE,
            municipality=code,
            assurance=AssuranceLevel.SUBSTANTIAL,
            grants=(Grant(frozenset({role}), scope),),
            cpr=person.cpr,
            name=person.name,
        )
