"""Drafts: answers saved item by item until they are submitted, and drafts opened to amend what was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from kpro_graph.access import may_answer_for
from kpro_graph.actors import Actor, ActorKind, Right
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import Compiled, compiled
from kpro_graph.episodes import ReferenceUnknown, hidden_from
from kpro_graph.errors import Rejected
from kpro_graph.questionnaires import (
    PathUnknown,
    Problem,
    Severity,
    assemble,
    evaluate,
    full_path,
    read_json,
    write_json,
)
from kpro_graph.reception import need_session
from kpro_graph.responses.authorship import answering_as, types_for
from kpro_graph.responses.kept import as_fhir
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = [
    "AnswersRejected",
    "Assigned",
    "AssignmentClosed",
    "OtherVersion",
    "ReasonMissing",
    "ResponseStatus",
    "Saved",
    "StaleDraft",
    "amend",
    "answers_any",
    "draft_of",
    "locked_assignment",
    "need_turn",
    "open_draft",
    "same_version",
    "save_answer",
]


class ResponseStatus(StrEnum):
    """A response's state (FHIR QuestionnaireResponse.status)."""

    DRAFT = "in-progress"
    COMPLETED = "completed"
    AMENDED = "amended"
    ENTERED_IN_ERROR = "entered-in-error"


class AssignmentClosed(Rejected):
    """The assignment is completed or revoked; nothing more is saved to it."""

    code = "ASSIGNMENT_CLOSED"
    da = "Skemaet er allerede sendt ind eller trukket tilbage."
    en = "The questionnaire has already been submitted or was withdrawn."


class OtherVersion(Rejected):
    """The answers were given to another version than the one assigned."""

    code = "OTHER_VERSION"
    da = "Svarene hører til en anden version af skemaet end den, der er tildelt. Hent skemaet igen."
    en = "The answers belong to another version of the questionnaire than the one assigned. Fetch it again."


class StaleDraft(Rejected):
    """Someone saved this item since; their revision is newer than the one the change was based on."""

    code = "STALE_DRAFT"
    da = "Svaret er ændret et andet sted i mellemtiden."
    en = "The answer has been changed elsewhere in the meantime."


class ReasonMissing(Rejected):
    """An amendment says why it is made."""

    code = "REASON_MISSING"
    da = "Skriv, hvorfor svaret rettes."
    en = "Say why the answers are amended."


class AnswersRejected(Rejected):
    """The answers break rules of the questionnaire; every problem is listed with its place."""

    code = "ANSWERS_REJECTED"
    da = "Nogle svar mangler eller er ikke gyldige."
    en = "Some answers are missing or not valid."

    def __init__(self, problems: Sequence[Problem], *, path: str = "answers") -> None:
        super().__init__(path=path)
        self.problems = tuple(problems)


class Assigned(Protocol):
    """What a draft takes from its assignment."""

    @property
    def municipality_id(self) -> int: ...
    @property
    def id(self) -> UUID: ...
    @property
    def episode_id(self) -> UUID: ...
    @property
    def citizen_id(self) -> UUID: ...
    @property
    def questionnaire_owner(self) -> int: ...
    @property
    def questionnaire_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class Saved:
    """An item of a draft as it now stands. ``problems`` are what submitting now would meet."""

    response: tables.Response
    path: str
    revision: int
    enabled: tuple[str, ...]
    problems: tuple[Problem, ...]


async def locked_assignment(change: Change, assignment_id: UUID | None) -> tables.Assignment:
    """Return the assignment the actor answers, held so that nobody else changes its drafts meanwhile.

    It is the actor's own, of someone they represent, handed to them at a reception computer, or one they type for a
    citizen.

    Raises:
        ReferenceUnknown: there is none for this actor.
        NotAuthenticated: the session at the reception computer has ended since the request began.
    """
    row = None
    if answers_any(change.actor):
        row = (
            await tables.Assignment.filter(municipality_id=change.actor.municipality, id=assignment_id)
            .using_db(change.using)
            .select_for_update()
            .first()
        )
    if row is None:
        raise ReferenceUnknown(path="assignmentId")
    await need_turn(change, row.id, row.citizen_id, row.episode_id)
    return row


def answers_any(actor: Actor) -> bool:
    """Say whether an actor of this kind ever answers; others need not hold anybody up to learn that they do not."""
    return actor.kind in {ActorKind.CITIZEN, ActorKind.EMPLOYEE}


async def need_turn(change: Change, assignment_id: UUID, citizen_id: UUID, episode_id: UUID) -> UUID | None:
    """Refuse whoever does not answer this assignment; return the reception computer they sit at, None elsewhere.

    Raises:
        ReferenceUnknown: it is not the actor's, nor of someone they represent, nor one they type for a citizen.
        NotAuthenticated: the session at the reception computer has ended since the request began.
    """
    actor = change.actor
    if actor.kind is ActorKind.EMPLOYEE and await types_for(change, assignment_id):
        return None
    if not may_answer_for(actor, citizen_id, assignment_id):
        raise ReferenceUnknown(path="assignmentId")
    if await hidden_from(change, actor, actor.municipality, episode_id):
        raise ReferenceUnknown(path="assignmentId")
    return await need_session(change)


def same_version(assignment: Assigned, questionnaire_id: UUID | None) -> None:
    """Refuse answers that say they were given to another version."""
    if questionnaire_id != assignment.questionnaire_id:
        raise OtherVersion(path="questionnaireId")


async def draft_of(change: Change, assignment: tables.Assignment, version: Compiled) -> tables.Response | None:
    """Return the assignment's draft, opened if nothing has been answered yet; None when it is closed."""
    if assignment.status == AssignmentStatus.REVOKED:
        # What was saved before it was revoked stays readable, and is never submitted.
        return None
    draft = (
        await tables.Response.filter(
            municipality_id=assignment.municipality_id,
            assignment_id=assignment.id,
            status=ResponseStatus.DRAFT.value,
        )
        .using_db(change.using)
        .first()
    )
    if draft is not None and draft.amends_id is not None and Right.READ not in change.actor.rights:
        # An amendment tells what was submitted; for whoever may not read that, the assignment is closed.
        return None
    if draft is not None or assignment.status == AssignmentStatus.COMPLETED:
        return draft
    if assignment.status == AssignmentStatus.REQUESTED:
        assignment.status = AssignmentStatus.IN_PROGRESS.value
        await assignment.save(using_db=change.using, update_fields=["status"])
    return await open_draft(change, assignment, version, number=1)


async def _answered(change: Change, draft: tables.Response) -> dict[str, list[dict[str, Any]]]:
    """Return a draft's saved answers: path to FHIR values."""
    rows = await change.fetch(
        "SELECT path, answer FROM draft_answer WHERE municipality_id = $1 AND response_id = $2",
        (draft.municipality_id, draft.id),
    )
    return {row["path"]: read_json(row["answer"]) for row in rows}  # type: ignore[misc]


async def save_answer(
    change: Change,
    assignment_id: UUID | None,
    questionnaire_id: UUID | None,
    path: str,
    values: Sequence[Mapping[str, Any]],
    revision: int | None = None,
) -> Saved:
    """Save one item's answer in the draft; no values clears it.

    ``values`` are FHIR values such as ``{"valueInteger": 3}``; ``revision`` is what the citizen saw; None overwrites.

    Raises:
        ReferenceUnknown, AssignmentClosed, OtherVersion, StaleDraft: see there.
        AnswersRejected: this answer could never be right, whatever else is answered; nothing is saved.
    """
    assignment = await locked_assignment(change, assignment_id)
    same_version(assignment, questionnaire_id)
    version = await compiled(change, assignment.questionnaire_owner, assignment.questionnaire_id)
    draft = await draft_of(change, assignment, version)
    if draft is None:
        raise AssignmentClosed(path="assignmentId")
    answers = await _answered(change, draft)
    try:
        path = full_path(version.questionnaire, path)
    except PathUnknown as error:
        raise ReferenceUnknown(path="path") from error
    if values:
        answers[path] = [dict(value) for value in values]
    else:
        answers.pop(path, None)
    evaluation = evaluate(version.questionnaire, assemble(version.questionnaire, answers), draft=True)
    # A problem of one of several values stands at the path with that value's number.
    here = re.compile(re.escape(path) + r"(\[\d+\])?")
    wrong = [each for each in evaluation.problems if each.severity is Severity.ERROR and here.fullmatch(each.path)]
    if wrong and values:
        raise AnswersRejected(wrong, path="values")
    await _take_over(change, draft)
    now_at = await _put(change, draft, path, values, revision)
    change.saw(draft.municipality_id, draft.citizen_id, ("answers",), "update", (draft.questionnaire_url,))
    return Saved(draft, path, now_at, evaluation.enabled, evaluation.problems)


async def amend(change: Change, response_id: UUID | None, reason: str) -> tables.Response:
    """Open a draft that starts from a submitted response and, once submitted, supersedes it.

    Raises:
        ReferenceUnknown: no such submitted response of this actor, or a newer one has replaced it.
        ReasonMissing: no reason is given.
        AssignmentClosed: an amendment is being written already, or the history was handed over.
    """
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= 1000:
        raise ReasonMissing(path="reason")
    given = (
        await tables.Response.filter(municipality_id=change.actor.municipality, id=response_id)
        .using_db(change.using)
        .first()
    )
    # An amendment begins with what was submitted, so it is for those who may read that.
    if given is None or change.actor.kind is not ActorKind.CITIZEN or Right.READ not in change.actor.rights:
        raise ReferenceUnknown(path="responseId")
    try:
        assignment = await locked_assignment(change, given.assignment_id)
    except ReferenceUnknown as error:
        raise ReferenceUnknown(path="responseId") from error
    given = await tables.Response.get(municipality_id=given.municipality_id, id=given.id, using_db=change.using)
    if given.status == ResponseStatus.DRAFT or given.superseded:
        raise ReferenceUnknown(path="responseId")
    held = tables.EpisodeOfCare.filter(municipality_id=given.municipality_id, id=given.episode_id, handed_over_to=None)
    if not await held.using_db(change.using).exists():
        # What is corrected is corrected where it is now.
        raise AssignmentClosed(path="responseId")
    version = await compiled(change, assignment.questionnaire_owner, assignment.questionnaire_id)
    existing = await tables.Response.filter(
        municipality_id=given.municipality_id, assignment_id=assignment.id, status=ResponseStatus.DRAFT.value
    ).using_db(change.using).exists()  # fmt: skip
    if existing:
        raise AssignmentClosed(path="responseId")
    draft = await open_draft(change, assignment, version, number=given.version + 1, amends=given, reason=reason)
    former: Any = read_json(given.answers)
    for row in former:
        await _put(change, draft, row["path"], [as_fhir(value) for value in row["values"]], None)
    change.saw(draft.municipality_id, draft.citizen_id, ("answers",), "update", (draft.questionnaire_url,))
    return draft


async def open_draft(
    change: Change,
    assignment: Assigned,
    version: Compiled,
    *,
    number: int,
    amends: tables.Response | None = None,
    reason: str | None = None,
) -> tables.Response:
    """Begin a draft of an assignment, of that number; an amendment names what it replaces, and why."""
    return await tables.Response.create(
        using_db=change.using,
        municipality_id=assignment.municipality_id,
        assignment_id=assignment.id,
        episode_id=assignment.episode_id,
        citizen_id=assignment.citizen_id,
        questionnaire_owner=assignment.questionnaire_owner,
        questionnaire_id=assignment.questionnaire_id,
        questionnaire_url=version.url,
        status=ResponseStatus.DRAFT.value,
        version=number,
        amends_id=amends.id if amends else None,
        amend_reason=reason,
        source=answering_as(change.actor),
        author_id=change.actor.id,
        answers="[]",
        colour="not_interpreted",
    )


async def _take_over(change: Change, draft: tables.Response) -> None:
    """Make a draft the citizen's again, or their representative's, when they go on with it themselves."""
    theirs = (answering_as(change.actor), change.actor.id, None)
    if change.actor.kind is ActorKind.CITIZEN and (draft.source, draft.author_id, draft.typed_by) != theirs:
        draft.source, draft.author_id, draft.typed_by = theirs
        await draft.save(using_db=change.using, update_fields=["source", "author_id", "typed_by"])


async def _put(
    change: Change, draft: tables.Response, path: str, values: Sequence[Mapping[str, Any]], revision: int | None
) -> int:
    present = (
        await tables.DraftAnswer.filter(municipality_id=draft.municipality_id, response_id=draft.id, path=path)
        .using_db(change.using)
        .first()
    )
    if revision is not None and revision != (present.revision if present else 0):
        raise StaleDraft(path="revision")
    content = write_json([dict(value) for value in values]).decode()
    if present is None:
        await tables.DraftAnswer.create(
            using_db=change.using,
            municipality_id=draft.municipality_id,
            response_id=draft.id,
            path=path,
            answer=content,
            answered_at=datetime.now(UTC),
            source=draft.source,
            answered_by=draft.author_id,
            typed_by=draft.typed_by,
        )
        return 1
    present.answer, present.revision, present.answered_at = content, present.revision + 1, datetime.now(UTC)
    present.source, present.answered_by, present.typed_by = draft.source, draft.author_id, draft.typed_by
    await present.save(
        using_db=change.using,
        update_fields=["answer", "revision", "answered_at", "source", "answered_by", "typed_by"],
    )
    return present.revision
