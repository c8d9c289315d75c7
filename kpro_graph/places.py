"""Places: where an employee can act, made from grants, units, teams and KLE numbers. Pure.

A grant's constraints all hold at once: a grant for a unit and a care team is for that team in that unit. Grants are
alternatives. Descent is the issuer's to expand; nothing is implied here. A place is one care team, or, for what is
granted without one, one unit with those of its descendants that the grants name too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from kpro_graph.actors import Context, Grant, Role
from kpro_graph.plugins.identities import KLE

__all__ = ["NO_KLE", "Places", "matches_kle"]

NO_KLE = "99.99.99"
"""The KLE number of a grant that may sign in and see nothing."""

_NUMBER = re.compile(r"[0-9]{2}(\.[0-9]{2}){0,2}")

Reach: TypeAlias = tuple[dict[Role, tuple[UUID, ...]], dict[Role, tuple[UUID, ...]]]
"""The care teams and the units that each role reaches."""


def matches_kle(pattern: str, number: str) -> bool:
    """Say whether a KLE number is what the pattern names: itself, or whatever begins like a pattern ending in ``*``.

    A shorter number answers for everything beneath it: a unit with ``29.70`` performs ``29.70.10``. What has not the
    form of a pattern or of a number matches nothing.
    """
    if NO_KLE in {pattern, number} or not KLE.fullmatch(pattern) or not _NUMBER.fullmatch(number):
        return False
    stem = pattern.rstrip("*").rstrip(".")
    if stem.startswith(number + "."):
        return True
    return number.startswith(stem) if pattern.endswith("*") else number == pattern


@dataclass(slots=True)
class _Held:
    """What is held without a named team: units, and the teams an employee is a member of."""

    units: set[UUID] = field(default_factory=set)
    teams: set[UUID] = field(default_factory=set)


class Places:
    """Collects grants over the units and teams that exist, and tells where they let an employee act.

    ``units`` maps ids to rows with ``parent_id`` and ``kle``; ``teams`` to rows with ``organisation_unit_id`` and the
    unit's ``kle``. Both hold active ones only. ``signs_in`` says that a grant names a place that is here, though for
    no task (KLE ``99.99.99``): whoever holds it is somebody, without a role.
    """

    def __init__(self, units: Mapping[UUID, Any], teams: Mapping[UUID, Any]) -> None:
        self.signs_in = False
        self._units = units
        self._teams = teams
        self._in_teams: dict[UUID, set[Role]] = {}
        self._at_large: dict[Role, _Held] = {}
        self._officer = _Held()

    def grant(self, grant: Grant, memberships: Mapping[str, Iterable[UUID]]) -> None:
        """Add a grant; one without a unit or a team is void, and so is what names nothing that exists.

        ``memberships`` maps a role's code to the care teams the employee is a member of in it.
        """
        named_units, named_teams = grant.constraints.get("organisation_unit"), grant.constraints.get("care_team")
        # A constraint without values is met by nothing.
        if not (named_units or named_teams) or not all(grant.constraints.values()):
            return
        kle = grant.constraints.get("kle")
        units = {unit for unit in self._units if named_units and str(unit) in named_units}
        teams = {team for team in self._teams if named_teams and str(team) in named_teams}
        self.signs_in |= bool(kle and NO_KLE in kle and (units or teams))
        units = {unit for unit in units if _performs(kle, self._units[unit]["kle"])}
        performing = {team for team, row in self._teams.items() if _performs(kle, row["kle"])}
        for role in grant.roles - {Role.INTEGRATOR}:
            if named_teams:
                for team in teams & performing:
                    if not named_units or self._unit_of(team) in units:
                        self._in_teams.setdefault(team, set()).add(role)
                continue
            # A security officer watches over a municipality and belongs to no team.
            officer = role is Role.SECURITY_OFFICER
            held = self._officer if officer else self._at_large.setdefault(role, _Held())
            held.units |= units
            member = performing.intersection(memberships.get(role.value, ()))
            held.teams |= {team for team in member if self._unit_of(team) in units}

    def contexts(self) -> list[Context]:
        """Return the places to act in, in a stable order; a security officer's stand apart from all others.

        A unit in which nothing can be done that cannot be done from one of its teams is no place of its own.
        """
        officer = [Context(unit, None, frozenset({Role.SECURITY_OFFICER})) for unit in self._tops(self._officer.units)]
        in_teams: list[Context] = []
        for team, named in self._in_teams.items():
            unit = self._unit_of(team)
            also = {role for role, held in self._at_large.items() if unit in held.units}
            if roles := frozenset(named | also) - {Role.SECURITY_OFFICER}:
                in_teams.append(Context(unit, team, roles))
        in_units = []
        for top in self._tops(self._everywhere):
            below = self._below(top, self._everywhere)
            roles = frozenset(role for role, held in self._at_large.items() if not held.units.isdisjoint(below))
            place = Context(top, None, roles)
            if not any(self._covers(each, place) for each in in_teams):
                in_units.append(place)
        return sorted([*officer, *in_teams, *in_units], key=lambda each: each.key)

    def reach(self, context: Context) -> Reach:
        """Return the care teams and the units each role reaches in a context."""
        teams: dict[Role, tuple[UUID, ...]] = {}
        units: dict[Role, tuple[UUID, ...]] = {}
        if Role.SECURITY_OFFICER in context.roles:
            below = self._below(context.organisation_unit, self._officer.units)
            return {Role.SECURITY_OFFICER: ()}, {Role.SECURITY_OFFICER: tuple(sorted(below))}
        everywhere = self._everywhere
        around: set[UUID] = set()
        for top in self._tops(everywhere):
            below = self._below(top, everywhere)
            if context.organisation_unit in below:
                around = below
        for role in context.roles:
            held = self._at_large.get(role, _Held())
            if context.care_team is not None and context.organisation_unit not in held.units:
                held = _Held()  # held elsewhere, which is another place
            reached = {team for team in held.teams if self._unit_of(team) in around}
            if context.care_team is not None and role in self._in_teams.get(context.care_team, ()):
                reached = {context.care_team}
            teams[role] = tuple(sorted(reached))
            units[role] = tuple(sorted(held.units & around))
        return teams, units

    @property
    def _everywhere(self) -> set[UUID]:
        return {unit for held in self._at_large.values() for unit in held.units}

    def _unit_of(self, team: UUID) -> UUID:
        unit: UUID = self._teams[team]["organisation_unit_id"]
        return unit

    def _covers(self, one: Context, other: Context) -> bool:
        """Say whether everything that can be done in the other place can be done in this one."""
        ours, theirs = self.reach(one), self.reach(other)
        return other.roles <= one.roles and all(
            set(theirs[kind][role]) <= set(ours[kind][role]) for kind in (0, 1) for role in other.roles
        )

    def _tops(self, units: set[UUID]) -> list[UUID]:
        return sorted(unit for unit in units if self._units[unit]["parent_id"] not in units)

    def _below(self, top: UUID, units: set[UUID]) -> set[UUID]:
        """Return the unit and those of ``units`` that hang on it through one another."""
        found, growing = {top}, True
        while growing:
            more = {unit for unit in units - found if self._units[unit]["parent_id"] in found}
            found, growing = found | more, bool(more)
        return found


def _performs(patterns: Iterable[str] | None, numbers: Iterable[str]) -> bool:
    return patterns is None or any(matches_kle(pattern, number) for pattern in patterns for number in numbers)
