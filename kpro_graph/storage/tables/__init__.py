"""Every table, each saying what personal data it keeps and why.

A row belongs to one municipality; ``municipality_id`` is its four-digit code as a number and comes first in every key,
uniqueness and reference (0 is the national library of questionnaires). A person stands outside the tenants; a citizen
is that person's record in one municipality. States are text, so that their conditions keep an index under row-level
security. The walls (composite keys, policies, immutability, grants) are SQL in ``migrations/``; a test holds these
models and the database together.
"""

from __future__ import annotations

from kpro_graph.storage.tables.answers import (
    Assignment,
    DraftAnswer,
    Interpretation,
    Questionnaire,
    Response,
    RuleSet,
    Score,
)
from kpro_graph.storage.tables.organisation import CareTeam, CareTeamMember, Employee, Municipality, OrganisationUnit
from kpro_graph.storage.tables.people import (
    Citizen,
    Consent,
    EmergencyAccess,
    EpisodeOfCare,
    HandOver,
    Person,
    Representation,
)
from kpro_graph.storage.tables.records import AccessLogLine, AccessLogSeal, Event
from kpro_graph.storage.tables.rows import NATIONAL_LIBRARY, new_id, new_ids, shape
from kpro_graph.storage.tables.sessions import (
    HandedAssignment,
    ReceptionDevice,
    ReceptionSession,
    SignInSession,
    SpentToken,
)

__all__ = [
    "NATIONAL_LIBRARY",
    "AccessLogLine",
    "AccessLogSeal",
    "Assignment",
    "CareTeam",
    "CareTeamMember",
    "Citizen",
    "Consent",
    "DraftAnswer",
    "EmergencyAccess",
    "Employee",
    "EpisodeOfCare",
    "Event",
    "HandOver",
    "HandedAssignment",
    "Interpretation",
    "Municipality",
    "OrganisationUnit",
    "Person",
    "Questionnaire",
    "ReceptionDevice",
    "ReceptionSession",
    "Representation",
    "Response",
    "RuleSet",
    "Score",
    "SignInSession",
    "SpentToken",
    "new_id",
    "new_ids",
    "shape",
]
