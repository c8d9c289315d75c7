"""Who asks: the neutral identity a provider vouches for, and the actor the product acts for.

An identity provider (a plugin) turns credentials into an `Identity`. The product looks up the people and
teams it speaks of and makes an `Actor`. Nothing else makes actors, and nothing is read or changed without one.
Role identifiers: FUT `oio-bpp-roles` and KOMBIT user system roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from uuid import UUID

__all__ = [
    "Actor",
    "ActorKind",
    "AssuranceLevel",
    "Credentials",
    "Grant",
    "Identity",
    "Role",
]


class Role(StrEnum):
    """The six roles of Kommunal PRO and the one a system has. The value is FUT's code."""

    CARETEAM_ADMINISTRATOR = "careteam_administrator"
    CLINICAL_ADMINISTRATOR = "clinical_administrator"
    QUESTIONNAIRE_EDITOR = "questionnaire_editor"
    CITIZEN_ENROLLER = "citizen_enroller"
    CLINICAL_VIEWER = "clinical_viewer"
    MONITORING_ASSISTOR = "monitoring_assistor"
    INTEGRATOR = "integrator"

    @property
    def user_system_role(self) -> str:
        """KOMBIT's identifier, as it stands in a token's privileges."""
        return f"http://ehealth.seb.dk/roles/usersystemrole/{self.value}/1"


class ActorKind(StrEnum):
    """What sort of someone acts."""

    CITIZEN = "citizen"
    EMPLOYEE = "employee"
    SYSTEM = "system"


class AssuranceLevel(IntEnum):
    """How surely the identity is proved (NSIS). Citizens and staff need `SUBSTANTIAL`."""

    LOW = 1
    SUBSTANTIAL = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller showed, free of any web framework.

    ``scheme`` is lower case (``bearer``); ``client`` is the peer's network address, or "" when there is none.
    """

    scheme: str
    value: str = field(repr=False)
    client: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Roles held within a data scope. A grant for an employee without an organisation unit or a care team is void.

    ``constraints`` maps a constraint's name to its values: ``organisation_unit`` and ``care_team`` (UUIDs as text),
    ``kle`` (KLE numbers and wildcards), ``answers`` ("read": a system that may have answers).
    """

    roles: frozenset[Role]
    constraints: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an identity provider vouches for. Exactly one municipality, given by its four-digit code.

    ``subject`` names the person at the provider (an employee's FK-Organisation UUID, a system's id); ``cpr`` is set
    for citizens and never leaves the process. Grants name roles; they are judged, never trusted to be in order.
    """

    provider: str
    subject: str
    kind: ActorKind
    municipality: str
    assurance: AssuranceLevel
    grants: tuple[Grant, ...] = ()
    cpr: str | None = field(default=None, repr=False)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone acting in one context, with everything the judge needs to decide.

    ``municipalities`` is the set whose rows the database may show at all; ``municipality`` is the one acted for.
    Scopes are kept by role, so that a right held in one place never widens one held in another.
    """

    kind: ActorKind
    id: UUID
    municipality: int
    municipalities: tuple[int, ...]
    assurance: AssuranceLevel
    roles: frozenset[Role] = frozenset()
    care_teams: Mapping[Role, tuple[UUID, ...]] = field(default_factory=dict)
    organisation_units: Mapping[Role, tuple[UUID, ...]] = field(default_factory=dict)
    citizens: tuple[UUID, ...] = ()
    may_have_answers: bool = True
    name: str = field(default="", repr=False)

    def has(self, *roles: Role) -> bool:
        """Say whether the actor holds one of these roles."""
        return not self.roles.isdisjoint(roles)

    def teams(self, *roles: Role) -> tuple[UUID, ...]:
        """Return the care teams in which the actor holds one of these roles."""
        return tuple(dict.fromkeys(team for role in roles for team in self.care_teams.get(role, ())))

    def units(self, *roles: Role) -> tuple[UUID, ...]:
        """Return the organisation units in which the actor holds one of these roles."""
        return tuple(dict.fromkeys(unit for role in roles for unit in self.organisation_units.get(role, ())))
