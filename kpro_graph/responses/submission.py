"""Submission: a draft is checked against its exact version, scored, interpreted and kept, all in one change."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import Compiled, compiled
from kpro_graph.episodes import need_consent
from kpro_graph.errors import BadInput, Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.questionnaires import Evaluation, Severity, assemble, evaluate
from kpro_graph.reception import finish, need_session
from kpro_graph.responses.authorship import ConfirmedBy, Signature, sign, typed
from kpro_graph.responses.drafts import (
    AnswersRejected,
    AssignmentClosed,
    ResponseStatus,
    answered,
    draft_of,
    locked_assignment,
    same_version,
)
from kpro_graph.responses.findings import Colour, Findings, conclude, write_receipt
from kpro_graph.storage import tables
from kpro_graph.storage.database import Change

__all__ = ["AlreadySubmitted", "Colour", "Submitted", "submit"]


class AlreadySubmitted(Rejected):
    """The assignment has been answered; ``response_id`` is what was stored then."""

    code = "ALREADY_SUBMITTED"
    da = "Skemaet er allerede sendt ind."
    en = "The questionnaire has already been submitted."

    def __init__(self, municipality_id: int, response_id: UUID) -> None:
        super().__init__(path="assignmentId")
        self.municipality_id = municipality_id
        self.response_id = response_id


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was stored. ``repeated`` tells that this key had been used before and nothing new was stored.

    ``ended`` tells that it was the last of what was handed over at a reception computer, and the session has ended.
    """

    response: tables.Response
    repeated: bool
    ended: bool = False


async def submit(
    change: Change,
    assignment_id: UUID | None,
    questionnaire_id: UUID | None,
    idempotency_key: str,
    confirmed_by: ConfirmedBy | None = None,
) -> Submitted:
    """Submit the draft of an assignment. The same key again returns the first result.

    ``confirmed_by`` says who confirmed what an employee typed; whoever answers themselves confirms by submitting.

    Raises:
        ReferenceUnknown: no such assignment for this actor.
        OtherVersion: the citizen answered another version than the one assigned.
        AlreadySubmitted, AssignmentClosed: there is nothing left to submit.
        ConsentMissing: the citizen's consent to the episode is not in force; the draft stays as it is.
        ConfirmationMissing: an employee submits and nobody has confirmed.
        AnswersRejected: with every problem and its place; the draft stays as it is.
    """
    if not 8 <= len(idempotency_key) <= 200:
        raise BadInput("an idempotency key has 8 to 200 characters", path="idempotencyKey")
    assignment = await locked_assignment(change, assignment_id)
    first = (
        await tables.Response.filter(
            municipality_id=assignment.municipality_id, assignment_id=assignment.id, idempotency_key=idempotency_key
        )
        .using_db(change.using)
        .first()
    )
    if first is not None:
        change.saw(first.municipality_id, first.citizen_id, ("receipt",), questionnaires=(first.questionnaire_url,))
        return Submitted(first, repeated=True)
    same_version(assignment, questionnaire_id)
    version = await compiled(change, assignment.questionnaire_owner, assignment.questionnaire_id)
    draft = await draft_of(change, assignment, version)
    if draft is None:
        raise await _closed(change, assignment)
    await need_consent(change, assignment.municipality_id, assignment.episode_id, "assignmentId")
    now = datetime.now(UTC)
    signature = sign(change.actor, draft, await typed(change, draft), confirmed_by, now)
    evaluation = _judge(version, await answered(change, draft), now)
    if not evaluation.valid:
        raise AnswersRejected([each for each in evaluation.problems if each.severity is Severity.ERROR])
    findings = conclude(version.questionnaire, evaluation)
    await _store(change, assignment, draft, version, findings, signature, idempotency_key, now)
    return Submitted(draft, repeated=False, ended=await finish(change))


def _judge(version: Compiled, answers: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> Evaluation:
    """Check what was answered, strictly. What an earlier answer no longer asks for is left out, not held against it."""
    response = assemble(version.questionnaire, answers)
    evaluation = evaluate(version.questionnaire, response, rules=version.rules, now=now)
    if any(problem.code == "answered_but_disabled" for problem in evaluation.problems):
        evaluation = evaluate(version.questionnaire, evaluation.response, rules=version.rules, now=now)
    return evaluation


async def _closed(change: Change, assignment: tables.Assignment) -> Rejected:
    latest = (
        await tables.Response.filter(municipality_id=assignment.municipality_id, assignment_id=assignment.id)
        .using_db(change.using)
        .order_by("-version")
        .first()
    )
    if latest is None or assignment.status == AssignmentStatus.REVOKED:
        return AssignmentClosed(path="assignmentId")
    return AlreadySubmitted(latest.municipality_id, latest.id)


async def _store(
    change: Change,
    assignment: tables.Assignment,
    draft: tables.Response,
    version: Compiled,
    findings: Findings,
    signature: Signature,
    idempotency_key: str,
    now: datetime,
) -> None:
    amended = draft.amends_id is not None
    draft.status = (ResponseStatus.AMENDED if amended else ResponseStatus.COMPLETED).value
    draft.answers = findings.answers
    draft.content_hash = findings.content_hash
    # Whoever submits stands for the answers, whoever began them.
    draft.source, draft.author_id, draft.typed_by = signature.source, signature.author_id, signature.typed_by
    draft.confirmed_by, draft.confirmed_at = signature.confirmed_by, signature.confirmed_at
    draft.provenance = signature.provenance(findings.answers)
    draft.device_id = await need_session(change)
    draft.rule_set_id = version.rule_set_id
    draft.colour = findings.colour.value
    draft.receipt = write_receipt(secrets.token_bytes(8))
    draft.idempotency_key = idempotency_key
    draft.submitted_at = now
    if amended:
        await _supersede(change, draft)
    await draft.save(
        using_db=change.using,
        update_fields=[
            "status", "answers", "content_hash", "rule_set_id", "colour", "receipt", "idempotency_key", "submitted_at",
            "source", "author_id", "typed_by", "confirmed_by", "confirmed_at", "provenance", "device_id",
        ],
    )  # fmt: skip
    await _keep_findings(change, draft, findings, now)
    await (
        tables.DraftAnswer.filter(municipality_id=draft.municipality_id, response_id=draft.id)
        .using_db(change.using)
        .delete()
    )
    if assignment.status != AssignmentStatus.COMPLETED:
        assignment.status, assignment.completed_at = AssignmentStatus.COMPLETED.value, now
        await assignment.save(using_db=change.using, update_fields=["status", "completed_at"])
    care_team_id = await _raise_urgency(change, draft, now)
    seen = ("answers", "scores", "colours")
    change.saw(draft.municipality_id, draft.citizen_id, seen, "create", (draft.questionnaire_url,))
    change.record(
        Happened(
            EventType.RESPONSE_AMENDED if amended else EventType.RESPONSE_SUBMITTED,
            "QuestionnaireResponse",
            draft.id,
            draft.version,
            citizen_id=draft.citizen_id,
            care_team_id=care_team_id,
        )
    )


async def _supersede(change: Change, draft: tables.Response) -> None:
    await (
        tables.Response.filter(municipality_id=draft.municipality_id, id=draft.amends_id)
        .using_db(change.using)
        .update(superseded=True)
    )
    await (
        tables.Score.filter(municipality_id=draft.municipality_id, response_id=draft.amends_id)
        .using_db(change.using)
        .update(superseded=True)
    )


async def _keep_findings(change: Change, draft: tables.Response, findings: Findings, now: datetime) -> None:
    scores = [
        tables.Score(
            municipality_id=draft.municipality_id,
            response_id=draft.id,
            citizen_id=draft.citizen_id,
            questionnaire_url=draft.questionnaire_url,
            submitted_at=now,
            **columns,
        )
        for columns in findings.scores
    ]
    interpretations = [
        tables.Interpretation(
            municipality_id=draft.municipality_id, response_id=draft.id, citizen_id=draft.citizen_id, **columns
        )
        for columns in findings.interpretations
    ]
    if scores:
        await tables.Score.bulk_create(scores, using_db=change.using)
    if interpretations:
        await tables.Interpretation.bulk_create(interpretations, using_db=change.using)


_LATEST_COLOURS = """
SELECT DISTINCT ON (questionnaire_url) colour FROM response
WHERE municipality_id = $1 AND episode_id = $2 AND submitted_at IS NOT NULL AND NOT superseded
ORDER BY questionnaire_url, submitted_at DESC, id DESC
"""


async def _raise_urgency(change: Change, draft: tables.Response, now: datetime) -> UUID:
    """Let the worklist know: an episode is as urgent as the worst of its latest responses."""
    episode = (
        await tables.EpisodeOfCare.filter(municipality_id=draft.municipality_id, id=draft.episode_id)
        .using_db(change.using)
        .select_for_update()
        .get()
    )
    rows = await change.fetch(_LATEST_COLOURS, (draft.municipality_id, draft.episode_id))
    episode.urgency = max((Colour(row["colour"]).urgency for row in rows), default=0)
    episode.last_response_at = now
    await episode.save(using_db=change.using, update_fields=["urgency", "last_response_at"])
    return episode.care_team_id
