"""What has happened: the past-tense facts that subscriptions, integrators and plugins may learn of.

An event carries references and versions, never an answer, a name or a CPR number; whoever hears of it reads back
under rights of their own. It is recorded in the transaction of the change it tells of (FUT: event messages).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

__all__ = ["EventType", "Happened"]


class EventType(StrEnum):
    """Every kind of event. The value is stable and public."""

    CITIZEN_REGISTERED = "citizen.registered"
    EPISODE_OPENED = "episode.opened"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    RECORD_OPENED_IN_EMERGENCY = "emergency.opened"
    HAND_OVER_OFFERED = "hand-over.offered"
    HAND_OVER_ACCEPTED = "hand-over.accepted"
    QUESTIONNAIRE_ACTIVATED = "questionnaire.activated"
    QUESTIONNAIRE_ASSIGNED = "questionnaire.assigned"
    RESPONSE_SUBMITTED = "response.submitted"
    RESPONSE_AMENDED = "response.amended"


@dataclass(frozen=True, slots=True)
class Happened:
    """One fact: what kind, about which row in which version, and whom it concerns."""

    type: EventType
    subject_type: str
    subject_id: UUID
    subject_version: int = 1
    citizen_id: UUID | None = None
    care_team_id: UUID | None = None
