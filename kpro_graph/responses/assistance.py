"""Assistance: an employee of the citizen's care team types what the citizen, a relative or they themselves answer.

While it goes on the draft is seen by that employee, and by nobody else of the staff. It ends when the answers are
submitted, when the employee stops, when a colleague takes over, and when the citizen goes on themselves.
"""

from __future__ import annotations

from uuid import UUID

from kpro_graph.access import Permission, holders, require
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import compiled
from kpro_graph.episodes import ReferenceUnknown, need_consent
from kpro_graph.responses.authorship import AnsweredBy
from kpro_graph.responses.drafts import AssignmentClosed, draft_of, locked_assignment
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["start", "stop"]

_CLOSED = {AssignmentStatus.COMPLETED.value, AssignmentStatus.REVOKED.value}


async def start(change: Change, assignment_id: UUID | None, answered_by: AnsweredBy) -> tables.Response:
    """Begin to type for a citizen, or go on with what they began; say anew who answers by starting again.

    Raises:
        NotPermitted: the actor may not assist.
        ReferenceUnknown: no such assignment of a citizen of the actor's care teams.
        ConsentMissing: the citizen's consent to the episode is not in force.
        AssignmentClosed: it is completed or revoked.
    """
    actor = change.actor
    require(actor, Permission.ASSIST)
    assignment = (
        await tables.Assignment.filter(municipality_id=actor.municipality, id=assignment_id)
        .using_db(change.using)
        .select_for_update()
        .first()
    )
    reached = (
        assignment is not None
        and await tables.EpisodeOfCare.filter(
            municipality_id=actor.municipality,
            id=assignment.episode_id,
            care_team_id__in=list(actor.teams(*holders(Permission.ASSIST))),
            handed_over_to=None,
        )
        .using_db(change.using)
        .exists()
    )
    if assignment is None or not reached:
        raise ReferenceUnknown(path="assignmentId")
    await need_consent(change, assignment.municipality_id, assignment.episode_id, "assignmentId")
    if assignment.status in _CLOSED:
        raise AssignmentClosed(path="assignmentId")
    version = await compiled(change, assignment.questionnaire_owner, assignment.questionnaire_id)
    draft = await draft_of(change, assignment, version)
    if draft is None:
        raise AssignmentClosed(path="assignmentId")
    draft.source, draft.typed_by = answered_by.value, actor.id
    match answered_by:
        case AnsweredBy.CITIZEN:
            draft.author_id = await _person(change, draft)
        case AnsweredBy.RELATIVE:
            # Relatives are not registered; that it was one is all that is known.
            draft.author_id = None
        case AnsweredBy.PROFESSIONAL:
            draft.author_id = actor.id
    await draft.save(using_db=change.using, update_fields=["source", "author_id", "typed_by"])
    change.saw(draft.municipality_id, draft.citizen_id, ("answers",), "update", (draft.questionnaire_url,))
    return draft


async def stop(change: Change, assignment_id: UUID | None) -> tables.Response:
    """Stop typing for a citizen; what was typed stays in their draft.

    Raises:
        NotPermitted: the actor may not assist.
        ReferenceUnknown: the actor is not typing there.
    """
    require(change.actor, Permission.ASSIST)
    assignment = await locked_assignment(change, assignment_id)
    draft = (
        await tables.Response.filter(
            municipality_id=assignment.municipality_id, assignment_id=assignment.id, submitted_at=None
        )
        .using_db(change.using)
        .first()
    )
    if draft is None:
        raise ReferenceUnknown(path="assignmentId")
    draft.source, draft.typed_by = AnsweredBy.CITIZEN.value, None
    draft.author_id = await _person(change, draft)
    await draft.save(using_db=change.using, update_fields=["source", "author_id", "typed_by"])
    change.saw(draft.municipality_id, draft.citizen_id, ("answers",), "update", (draft.questionnaire_url,))
    return draft


async def _person(change: Change, draft: tables.Response) -> UUID:
    citizen = await tables.Citizen.get(
        municipality_id=draft.municipality_id, id=draft.citizen_id, using_db=change.using
    )
    return citizen.person_id
