"""The permission matrix: who holds which permission, and how far it reaches. Deny by default.

Predicates, decisions and the table in the documentation are all made from this one page. Roles are FK adgangsstyring's
and FUT's; a citizen holds by being the citizen, or by representing one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from kpro_graph.actors import ActorKind, Role

__all__ = ["EDITORS", "MATRIX", "READERS", "Permission", "Scope", "holders"]


class Permission(StrEnum):
    """What can be allowed. The value is how the permission table names it."""

    KNOW_CITIZENS = "know a citizen's name and birth date"
    SEE_CPR = "be shown a CPR number"
    SEE_EPISODES = "see episodes of care and assignments"
    READ_ANSWERS = "read submitted answers and scores"
    SEE_COLOURS = "see colours"
    FOLLOW_UPDATES = "subscribe to submitted answers"
    ANSWER = "save, submit and amend answers"
    ASSIST = "type and submit a citizen's answers for them"
    HAND_OUT_CODES = "hand out one-time codes for reception computers"
    REGISTER_DEVICES = "register reception computers and switch them off"
    END_RECEPTION_SESSIONS = "end a session at a reception computer"
    REGISTER_CITIZENS = "find and register citizens by CPR number"
    OPEN_EPISODES = "open episodes of care"
    RECORD_CONSENT = "record consent given or withdrawn"
    SET_POLICY = "decide what a citizen or guardian is shown of an episode"
    ASSIGN = "assign questionnaires"
    REGISTER_REPRESENTATION = "record who may act for a citizen"
    HAND_OVER = "hand a citizen's history over, or receive it"
    OPEN_IN_EMERGENCY = "open a record without consent or team, with a reason"
    REVIEW_EMERGENCIES = "review emergency accesses"
    SEARCH_ACCESS_LOG = "search the access log"
    READ_OWN_ACCESS_LOG = "read who looked at one's own record"
    EDIT_QUESTIONNAIRES = "import and activate questionnaires"
    SEE_DRAFT_QUESTIONNAIRES = "see questionnaires that are being written"
    SEE_CATALOGUE = "see questionnaires in use"
    SEE_ORGANISATION = "see units and employees"
    SEE_CARE_TEAMS = "see care teams"


class Scope(StrEnum):
    """How far a permission reaches."""

    OWN = "own"
    SHOWN = "own, where staff show them"
    TEAM = "own care team, with the citizen's consent"
    EPISODE = "own care team"
    UNIT = "own units and care teams"
    HERE = "the unit one acts in"
    MUNICIPALITY = "municipality"
    GRANTED = "municipality, if answers are granted"
    CONSENTED = "municipality, if answers are granted, with the citizen's consent"


_ALL_STAFF = frozenset(Role) - {Role.INTEGRATOR, Role.SECURITY_OFFICER}

# The one permission matrix. Who is not named may not; the predicates below and every decision read it.
MATRIX: Mapping[Permission, Mapping[Role | ActorKind, Scope]] = {
    Permission.KNOW_CITIZENS: {
        ActorKind.CITIZEN: Scope.OWN, Role.CITIZEN_ENROLLER: Scope.MUNICIPALITY,
        Role.CLINICAL_VIEWER: Scope.EPISODE, Role.MONITORING_ASSISTOR: Scope.EPISODE, Role.INTEGRATOR: Scope.GRANTED,
    },
    Permission.SEE_CPR: {Role.CITIZEN_ENROLLER: Scope.MUNICIPALITY},
    Permission.SEE_EPISODES: {
        ActorKind.CITIZEN: Scope.OWN, Role.CITIZEN_ENROLLER: Scope.UNIT, Role.CLINICAL_VIEWER: Scope.EPISODE,
        Role.MONITORING_ASSISTOR: Scope.EPISODE, Role.INTEGRATOR: Scope.MUNICIPALITY,
    },
    Permission.READ_ANSWERS: {
        ActorKind.CITIZEN: Scope.OWN, Role.CLINICAL_VIEWER: Scope.TEAM, Role.MONITORING_ASSISTOR: Scope.TEAM,
        Role.INTEGRATOR: Scope.CONSENTED,
    },
    Permission.SEE_COLOURS: {
        ActorKind.CITIZEN: Scope.SHOWN, Role.CLINICAL_VIEWER: Scope.TEAM, Role.MONITORING_ASSISTOR: Scope.TEAM,
        Role.INTEGRATOR: Scope.CONSENTED,
    },
    Permission.FOLLOW_UPDATES: {
        Role.CLINICAL_VIEWER: Scope.TEAM, Role.MONITORING_ASSISTOR: Scope.TEAM, Role.INTEGRATOR: Scope.MUNICIPALITY,
    },
    Permission.ANSWER: {ActorKind.CITIZEN: Scope.OWN},
    Permission.ASSIST: {Role.MONITORING_ASSISTOR: Scope.TEAM},
    Permission.HAND_OUT_CODES: {Role.CITIZEN_ENROLLER: Scope.UNIT, Role.MONITORING_ASSISTOR: Scope.TEAM},
    Permission.REGISTER_DEVICES: {Role.CARETEAM_ADMINISTRATOR: Scope.UNIT},
    # Whoever hands out codes ends a session where they act.
    Permission.END_RECEPTION_SESSIONS: {
        Role.CARETEAM_ADMINISTRATOR: Scope.UNIT, Role.CITIZEN_ENROLLER: Scope.HERE,
        Role.MONITORING_ASSISTOR: Scope.HERE,
    },
    Permission.REGISTER_CITIZENS: {Role.CITIZEN_ENROLLER: Scope.MUNICIPALITY},
    Permission.OPEN_EPISODES: {Role.CITIZEN_ENROLLER: Scope.UNIT},
    Permission.RECORD_CONSENT: {ActorKind.CITIZEN: Scope.OWN, Role.CITIZEN_ENROLLER: Scope.UNIT},
    Permission.SET_POLICY: {Role.CLINICAL_VIEWER: Scope.EPISODE, Role.MONITORING_ASSISTOR: Scope.EPISODE},
    Permission.ASSIGN: {Role.CITIZEN_ENROLLER: Scope.UNIT},
    Permission.REGISTER_REPRESENTATION: {Role.CITIZEN_ENROLLER: Scope.MUNICIPALITY},
    Permission.HAND_OVER: {Role.CITIZEN_ENROLLER: Scope.MUNICIPALITY},
    Permission.OPEN_IN_EMERGENCY: {
        Role.CLINICAL_VIEWER: Scope.MUNICIPALITY, Role.MONITORING_ASSISTOR: Scope.MUNICIPALITY,
    },
    Permission.REVIEW_EMERGENCIES: {Role.SECURITY_OFFICER: Scope.MUNICIPALITY},
    Permission.SEARCH_ACCESS_LOG: {Role.SECURITY_OFFICER: Scope.MUNICIPALITY},
    Permission.READ_OWN_ACCESS_LOG: {ActorKind.CITIZEN: Scope.OWN},
    Permission.EDIT_QUESTIONNAIRES: {Role.QUESTIONNAIRE_EDITOR: Scope.MUNICIPALITY},
    Permission.SEE_DRAFT_QUESTIONNAIRES: {
        Role.QUESTIONNAIRE_EDITOR: Scope.MUNICIPALITY, Role.CLINICAL_ADMINISTRATOR: Scope.MUNICIPALITY,
    },
    Permission.SEE_CATALOGUE: {
        ActorKind.CITIZEN: Scope.MUNICIPALITY, Role.SECURITY_OFFICER: Scope.MUNICIPALITY,
        Role.INTEGRATOR: Scope.MUNICIPALITY, **dict.fromkeys(sorted(_ALL_STAFF), Scope.MUNICIPALITY),
    },
    Permission.SEE_ORGANISATION: {
        Role.SECURITY_OFFICER: Scope.MUNICIPALITY, **dict.fromkeys(sorted(_ALL_STAFF), Scope.MUNICIPALITY),
    },
    # Those one could choose to act in are seen too, by name.
    Permission.SEE_CARE_TEAMS: dict.fromkeys(sorted(_ALL_STAFF), Scope.UNIT),
}  # fmt: skip


def holders(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that hold a permission, in the matrix' order."""
    return tuple(holder for holder in MATRIX[permission] if isinstance(holder, Role))


# Who reads what citizens have answered; the enroller assigns and never reads.
READERS = tuple(role for role in holders(Permission.READ_ANSWERS) if role is not Role.INTEGRATOR)
# Who edits the catalogue and therefore sees drafts.
EDITORS = holders(Permission.SEE_DRAFT_QUESTIONNAIRES)
