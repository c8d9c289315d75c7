"""Assignments: one version of a questionnaire given to a citizen to answer, within an episode of care."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from kpro_graph.access import Permission, require
from kpro_graph.episodes import EpisodeNotActive, EpisodeStatus, ReferenceUnknown, need_consent, reached
from kpro_graph.errors import Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["AssignmentStatus", "DueDateInvalid", "QuestionnaireNotActive", "assign"]


class AssignmentStatus(StrEnum):
    """How far an assignment has come."""

    REQUESTED = "requested"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    REVOKED = "revoked"


class QuestionnaireNotActive(Rejected):
    """Only an active version can be given to a citizen."""

    code = "QUESTIONNAIRE_NOT_ACTIVE"
    da = "Skemaet er ikke aktivt og kan ikke tildeles."
    en = "The questionnaire is not active and cannot be assigned."


class DueDateInvalid(Rejected):
    """The time to answer by must lie ahead and say its time zone."""

    code = "DUE_DATE_INVALID"
    da = "Fristen skal ligge i fremtiden."
    en = "The due date must lie in the future."


async def assign(
    change: Change, episode_id: UUID | None, questionnaire_id: UUID | None, due_at: datetime | None
) -> tables.Assignment:
    """Give the citizen of an episode a questionnaire of the national library or the municipality's own.

    Raises:
        NotPermitted: the actor may not assign.
        ReferenceUnknown: no such episode or questionnaire for this actor.
        EpisodeNotActive, ConsentMissing, QuestionnaireNotActive, DueDateInvalid: the state or time does not allow it.
    """
    actor = change.actor
    require(actor, Permission.ASSIGN)
    now = datetime.now(UTC)
    if due_at is not None and (due_at.tzinfo is None or due_at <= now):
        raise DueDateInvalid(path="dueAt")
    episode = (
        await tables.EpisodeOfCare.filter(municipality_id=actor.municipality, id=episode_id, handed_over_to=None)
        .using_db(change.using)
        # Nothing is given out in an episode that is being handed over meanwhile.
        .select_for_update()
        .first()
    )
    if episode is None or not reached(actor, Permission.ASSIGN, episode):
        raise ReferenceUnknown(path="episodeOfCareId")
    if episode.status != EpisodeStatus.ACTIVE:
        raise EpisodeNotActive(path="episodeOfCareId")
    await need_consent(change, actor.municipality, episode.id, "episodeOfCareId")
    questionnaire = (
        await tables.Questionnaire.filter(
            municipality_id__in=(actor.municipality, tables.NATIONAL_LIBRARY), id=questionnaire_id
        )
        .exclude(status="draft")
        .using_db(change.using)
        .only("id", "municipality_id", "status")
        .first()
    )
    if questionnaire is None:
        raise ReferenceUnknown(path="questionnaireId")
    if questionnaire.status != "active":
        raise QuestionnaireNotActive(path="questionnaireId")
    assignment = await tables.Assignment.create(
        using_db=change.using,
        municipality_id=actor.municipality,
        episode_id=episode.id,
        citizen_id=episode.citizen_id,
        questionnaire_owner=questionnaire.municipality_id,
        questionnaire_id=questionnaire.id,
        status=AssignmentStatus.REQUESTED.value,
        assigned_at=now,
        assigned_by=actor.id,
        due_at=due_at,
    )
    change.saw(actor.municipality, episode.citizen_id, ("assignment",), action="create")
    change.record(
        Happened(
            EventType.QUESTIONNAIRE_ASSIGNED,
            "Assignment",
            assignment.id,
            citizen_id=episode.citizen_id,
            care_team_id=episode.care_team_id,
        )
    )
    return assignment
