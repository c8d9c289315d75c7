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
    "Context",
    "Credentials",
    "Grant",
    "Identity",
    "Purpose",
    "Representation",
    "RepresentationKind",
    "Right",
    "Role",
]


class Role(StrEnum):
    """The six roles of Kommunal PRO, whose values are FUT's codes, and those of a security officer and a system."""

    CARETEAM_ADMINISTRATOR = "careteam_administrator"
    CLINICAL_ADMINISTRATOR = "clinical_administrator"
    QUESTIONNAIRE_EDITOR = "questionnaire_editor"
    CITIZEN_ENROLLER = "citizen_enroller"
    CLINICAL_VIEWER = "clinical_viewer"
    MONITORING_ASSISTOR = "monitoring_assistor"
    SECURITY_OFFICER = "security_officer"
    INTEGRATOR = "integrator"

    @property
    def fut(self) -> str:
        """FUT's identifier, as it stands in the tokens of regions and SEB."""
        return f"urn:dk:sundhed:ehealth:role:{self.value}"

    @property
    def user_system_role(self) -> str:
        """KOMBIT's identifier, as it stands in a token's privileges."""
        return f"http://ehealth.seb.dk/roles/usersystemrole/{self.value}/1"


class ActorKind(StrEnum):
    """What sort of someone acts."""

    CITIZEN = "citizen"
    EMPLOYEE = "employee"
    SYSTEM = "system"
    SECURITY_OFFICER = "security_officer"
    OPERATOR = "operator"


class Purpose(StrEnum):
    """Why someone looks: the purpose a line of the access log gives."""

    OWN = "own"
    REPRESENTATION = "representation"
    TREATMENT = "treatment"
    ADMINISTRATION = "administration"
    EMERGENCY = "emergency"
    INTEGRATION = "integration"
    SECURITY = "security"
    OPERATION = "operation"


class RepresentationKind(StrEnum):
    """By what right someone acts for a citizen."""

    POWER_OF_ATTORNEY = "power_of_attorney"
    GUARDIAN = "guardian"


class Right(StrEnum):
    """What someone may do for the citizen they represent."""

    READ = "read"
    ANSWER = "answer"


class AssuranceLevel(IntEnum):
    """How surely the identity is proved (NSIS). Citizens and staff need `SUBSTANTIAL`."""

    LOW = 1
    SUBSTANTIAL = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller showed, free of any web framework.

    ``scheme`` is lower case (``bearer``, ``session``); ``client`` is the peer's network address, or "" when there is
    none. ``context`` is the id of the context or of the citizen the caller chose to act in or for, or "".
    """

    scheme: str
    value: str = field(repr=False)
    client: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Roles held within a data scope. A grant for an employee without an organisation unit or a care team is void.

    ``constraints`` maps a constraint's name to its values: ``organisation_unit`` and ``care_team`` (UUIDs as text),
    ``kle`` (KLE numbers and wildcards), ``answers`` ("read": a system that may have answers).
    """

    roles: frozenset[Role]
    constraints: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Representation:
    """A power of attorney, as an identity provider vouches for it: for whom, by CPR number, and to do what."""

    cpr: str = field(repr=False)
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an identity provider vouches for. Exactly one municipality, given by its four-digit code.

    ``subject`` names the person at the provider (an employee's FK-Organisation UUID, a system's id); ``cpr`` is set
    for citizens and never leaves the process. Grants name roles; they are judged, never trusted to be in order.
    ``represents`` are the powers of attorney a citizen has shown.
    """

    provider: str
    subject: str
    kind: ActorKind
    municipality: str
    assurance: AssuranceLevel
    grants: tuple[Grant, ...] = ()
    cpr: str | None = field(default=None, repr=False)
    name: str = ""
    represents: tuple[Representation, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """One place an employee can act in: a unit, or a care team of it, with the roles held there."""

    organisation_unit: UUID
    care_team: UUID | None
    roles: frozenset[Role]

    @property
    def key(self) -> str:
        """What a caller names the context by."""
        if self.care_team is not None:
            return f"team_{self.care_team.hex}"
        officer = Role.SECURITY_OFFICER in self.roles
        return f"{'officer' if officer else 'unit'}_{self.organisation_unit.hex}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone acting in one context, with everything the judge needs to decide.

    ``municipalities`` is the set whose rows the database may show at all; ``municipality`` is the one acted for.
    Scopes are kept by role, so that a right held in one place never widens one held in another.

    ``organisation_unit`` and ``care_team`` are where an employee acts; ``contexts`` is where they could.
    ``citizens`` are the records a citizen may see: their own, or, acting on someone's behalf, that citizen's only;
    then ``on_behalf_of`` names the citizen, ``representation`` says by what right and ``rights`` what may be done.
    ``powers`` are the citizens whose power of attorney the sign-in showed, and what each lets the actor do.
    ``opened`` are the citizens whose records an emergency override opens to the actor right now; ``assignments``, if
    it is not None, is all that a citizen at a reception computer may see, and ``reception`` the session there.
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
    organisation_unit: UUID | None = None
    care_team: UUID | None = None
    contexts: tuple[Context, ...] = ()
    on_behalf_of: UUID | None = None
    representation: RepresentationKind | None = None
    rights: frozenset[Right] = frozenset(Right)
    opened: tuple[UUID, ...] = ()
    assignments: tuple[UUID, ...] | None = None
    reception: UUID | None = None
    powers: Mapping[UUID, frozenset[Right]] = field(default_factory=dict)

    @property
    def purpose(self) -> Purpose:
        """Why the actor looks, as the access log gives it; a record opened by an override says so itself."""
        match self.kind:
            case ActorKind.CITIZEN:
                return Purpose.OWN if self.on_behalf_of is None else Purpose.REPRESENTATION
            case ActorKind.EMPLOYEE:
                clinical = {Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR, Role.CITIZEN_ENROLLER}
                return Purpose.TREATMENT if self.has(*clinical) else Purpose.ADMINISTRATION
            case ActorKind.SYSTEM:
                return Purpose.INTEGRATION
            case ActorKind.SECURITY_OFFICER:
                return Purpose.SECURITY
            case ActorKind.OPERATOR:
                return Purpose.OPERATION

    def has(self, *roles: Role) -> bool:
        """Say whether the actor holds one of these roles."""
        return not self.roles.isdisjoint(roles)

    def teams(self, *roles: Role) -> tuple[UUID, ...]:
        """Return the care teams in which the actor holds one of these roles."""
        return tuple(dict.fromkeys(team for role in roles for team in self.care_teams.get(role, ())))

    def units(self, *roles: Role) -> tuple[UUID, ...]:
        """Return the organisation units in which the actor holds one of these roles."""
        return tuple(dict.fromkeys(unit for role in roles for unit in self.organisation_units.get(role, ())))
