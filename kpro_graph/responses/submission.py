"""Submission: a draft is checked against its exact version, scored, interpreted and kept, all in one change."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from kpro_graph.actors import Right
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import Compiled
from kpro_graph.episodes import ConsentMissing
from kpro_graph.errors import BadInput, Rejected
from kpro_graph.events import EventType, Happened
from kpro_graph.questionnaires import Evaluation, Severity, assemble, evaluate
from kpro_graph.reception import finish
from kpro_graph.responses.authorship import ConfirmedBy, sign
from kpro_graph.responses.drafts import (
    AnswersRejected,
    AssignmentClosed,
    ResponseStatus,
    open_draft,
    same_version,
)
from kpro_graph.responses.findings import Colour, conclude, write_receipt
from kpro_graph.responses.standing import Draft, Held, Kept, Standing, hold, look
from kpro_graph.storage.database import Change
from kpro_graph.storage.tables import new_id

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

    response: Kept
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
    held = await hold(change, assignment_id)
    standing = await look(change, held, idempotency_key)
    version = standing.version
    if (first := standing.repeated) is not None:
        change.saw(held.municipality_id, held.citizen_id, ("receipt",), questionnaires=(version.url,))
        return Submitted(first, repeated=True)
    same_version(held, questionnaire_id)
    draft = await _draft(change, held, standing)
    if not held.consented:
        raise ConsentMissing(path="assignmentId")
    now = datetime.now(UTC)
    signature = sign(change.actor, draft, draft.items, confirmed_by, now)
    evaluation = _judge(version, draft.answers, now)
    if not evaluation.valid:
        raise AnswersRejected([each for each in evaluation.problems if each.severity is Severity.ERROR])
    findings = conclude(version.questionnaire, evaluation)
    kept = Kept(
        held.municipality_id, draft.id, held.citizen_id, signature.author_id, write_receipt(secrets.token_bytes(8))
    )
    if draft.amends_id is not None:
        await change.fetch(_SUPERSEDE, (held.municipality_id, draft.amends_id))
    stored = await change.fetch(
        _STORE,
        (
            held.municipality_id, draft.id, held.citizen_id, version.url, now, _status(draft).value,
            findings.answers, findings.content_hash, version.rule_set_id, findings.colour.value, kept.receipt,
            idempotency_key, signature.source, signature.author_id, signature.typed_by, signature.confirmed_by,
            signature.confirmed_at, signature.provenance(findings.answers), held.device_id, held.id, held.episode_id,
            _urgency(standing, now, findings.colour),
            [new_id() for _ in findings.scores], *_columns(_SCORE, findings.scores),
            [new_id() for _ in findings.interpretations], *_columns(_INTERPRETATION, findings.interpretations),
        ),
    )  # fmt: skip
    if not stored:
        raise RuntimeError("a draft that is held was changed by somebody else")
    _tell(change, held, draft, version)
    return Submitted(kept, repeated=False, ended=await finish(change))


async def _draft(change: Change, held: Held, standing: Standing) -> Draft:
    """Return the draft, opened if nothing has been answered yet.

    Raises:
        AlreadySubmitted, AssignmentClosed: there is nothing left to submit.
    """
    draft = standing.draft
    if draft is not None and draft.amends_id is not None and Right.READ not in change.actor.rights:
        # An amendment tells what was submitted; for whoever may not read that, the assignment is closed.
        draft = None
    elif draft is None and held.status in {AssignmentStatus.REQUESTED, AssignmentStatus.IN_PROGRESS}:
        opened = await open_draft(change, held, standing.version, number=1)
        return Draft(opened.id, opened.version, None, opened.source, opened.author_id, {}, ())
    if draft is not None:
        return draft
    if standing.latest is None or held.status == AssignmentStatus.REVOKED:
        raise AssignmentClosed(path="assignmentId")
    raise AlreadySubmitted(held.municipality_id, standing.latest)


def _judge(version: Compiled, answers: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> Evaluation:
    """Check what was answered, strictly. What an earlier answer no longer asks for is left out, not held against it."""
    response = assemble(version.questionnaire, answers)
    evaluation = evaluate(version.questionnaire, response, rules=version.rules, now=now)
    if any(problem.code == "answered_but_disabled" for problem in evaluation.problems):
        evaluation = evaluate(version.questionnaire, evaluation.response, rules=version.rules, now=now)
    return evaluation


def _status(draft: Draft) -> ResponseStatus:
    return ResponseStatus.COMPLETED if draft.amends_id is None else ResponseStatus.AMENDED


def _urgency(standing: Standing, now: datetime, colour: Colour) -> int:
    """Return how urgent the episode is now: as the worst of its latest responses, one of each questionnaire."""
    latest, url = dict(standing.colours), standing.version.url
    if url not in latest or latest[url][0] <= now:
        latest[url] = (now, colour)
    return max(each.urgency for _, each in latest.values())


def _columns(names: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    for name in names:
        yield [row[name] for row in rows]


def _tell(change: Change, held: Held, draft: Draft, version: Compiled) -> None:
    seen = ("answers", "scores", "colours")
    change.saw(held.municipality_id, held.citizen_id, seen, "create", (version.url,))
    change.record(
        Happened(
            EventType.RESPONSE_SUBMITTED if draft.amends_id is None else EventType.RESPONSE_AMENDED,
            "QuestionnaireResponse",
            draft.id,
            draft.version,
            citizen_id=held.citizen_id,
            care_team_id=held.care_team_id,
        )
    )


_SCORE = {
    "code": "text", "position": "smallint", "label": "text", "label_en": "text", "value": "numeric", "unit": "text",
    "minimum": "numeric", "maximum": "numeric", "explanation": "text",
}  # fmt: skip
_INTERPRETATION = {
    "position": "smallint", "subject": "text", "topic": "text", "topic_en": "text", "label": "text",
    "label_en": "text", "colour": "text", "meaning": "text", "word": "text", "word_en": "text", "icon": "text",
    "reason": "text", "reason_en": "text", "explanation": "text",
}  # fmt: skip
"""The columns of what was found, which come as one array each, and the types of their elements."""


def _arrays(first: int, columns: Mapping[str, str]) -> str:
    types = ("uuid", *columns.values())
    names = ", ".join(("id", *columns))
    return f"unnest({', '.join(f'${first + n}::{type_}[]' for n, type_ in enumerate(types))}) AS found ({names})"


def _found(columns: Mapping[str, str]) -> str:
    return ", ".join(f"found.{name}::json" if name == "explanation" else f"found.{name}" for name in columns)


_SUPERSEDE = """
WITH scores AS (UPDATE score SET superseded = true WHERE municipality_id = $1 AND response_id = $2)
UPDATE response SET superseded = true WHERE municipality_id = $1 AND id = $2
"""
# The assignment is named with the draft: a planner that comes by the index of drafts is to find one there, not all.
_STORE = f"""
WITH kept AS (
    UPDATE response SET submitted_at = $5, status = $6, answers = $7, content_hash = $8, rule_set_id = $9, colour = $10,
           receipt = $11, idempotency_key = $12, source = $13, author_id = $14, typed_by = $15, confirmed_by = $16,
           confirmed_at = $17, provenance = $18, device_id = $19
    WHERE municipality_id = $1 AND id = $2 AND assignment_id = $20 AND status = 'in-progress' RETURNING id
), scored AS (
    INSERT INTO score (municipality_id, response_id, citizen_id, questionnaire_url, submitted_at, id,
                       {", ".join(_SCORE)})
    SELECT $1, $2, $3::uuid, $4::text, $5, found.id, {_found(_SCORE)} FROM {_arrays(23, _SCORE)}
), interpreted AS (
    INSERT INTO interpretation (municipality_id, response_id, citizen_id, id, {", ".join(_INTERPRETATION)})
    SELECT $1, $2, $3::uuid, found.id, {_found(_INTERPRETATION)} FROM {_arrays(33, _INTERPRETATION)}
), emptied AS (
    DELETE FROM draft_answer WHERE municipality_id = $1 AND response_id = $2
), answered AS (
    UPDATE assignment SET status = 'completed', completed_at = $5
    WHERE municipality_id = $1 AND id = $20 AND status <> 'completed'
)
UPDATE episode_of_care SET urgency = $22, last_response_at = $5
WHERE municipality_id = $1 AND id = $21 AND EXISTS (SELECT FROM kept) RETURNING id
"""  # noqa: S608 - names of our own
