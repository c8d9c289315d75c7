"""Standing: an assignment that is held to be submitted, and everything that was saved to it, as of one moment.

Held first and read after: what is read then includes whatever was saved while somebody else held it, and nobody saves,
submits or decides about the episode until the change is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import CURRENT, Compiled, ready
from kpro_graph.episodes import ReferenceUnknown
from kpro_graph.responses.drafts import ResponseStatus, answers_any, need_turn
from kpro_graph.responses.findings import Colour
from kpro_graph.storage.database import Change

__all__ = ["Draft", "Held", "Kept", "Standing", "hold", "look"]


@dataclass(frozen=True, slots=True)
class Held:
    """An assignment the actor answers and its episode, as they are until the change is done.

    ``consented`` tells that the episode is here and the citizen's consent to it in force; ``device_id`` is the
    reception computer the actor sits at.
    """

    municipality_id: int
    id: UUID
    episode_id: UUID
    citizen_id: UUID
    questionnaire_owner: int
    questionnaire_id: UUID
    status: str
    care_team_id: UUID
    consented: bool
    device_id: UUID | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft and who began it; ``items`` are who gave and who typed each saved answer, the latest first.

    ``answers`` are FHIR values by path.
    """

    id: UUID
    version: int
    amends_id: UUID | None
    source: str
    author_id: UUID | None
    answers: dict[str, Any]
    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is told of a response that is kept for good."""

    municipality_id: int
    id: UUID
    citizen_id: UUID
    author_id: UUID | None
    receipt: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is of an assignment: the draft, the id of its latest response, and what this key stored before.

    ``colours`` are the latest responses of the episode but for one that the draft amends: by questionnaire, with when
    they were submitted.
    """

    version: Compiled
    draft: Draft | None
    latest: UUID | None
    repeated: Kept | None
    colours: Mapping[str, tuple[datetime, Colour]]


async def hold(change: Change, assignment_id: UUID | None) -> Held:
    """Hold the assignment the actor answers, and its episode, until the change is done.

    Raises:
        ReferenceUnknown: there is none for this actor.
        NotAuthenticated: the session at the reception computer has ended since the request began.
    """
    rows = []
    if answers_any(change.actor):
        rows = await change.fetch(_HOLD, (change.actor.municipality, assignment_id))
    if not rows:
        raise ReferenceUnknown(path="assignmentId")
    [row] = rows
    device_id = await need_turn(change, row["id"], row["citizen_id"], row["episode_id"])
    return Held(**row, device_id=device_id)


async def look(change: Change, held: Held, idempotency_key: str) -> Standing:
    """Read everything that was saved to a held assignment, and its questionnaire with the rules approved for it now."""
    rows = await change.fetch(
        _LOOK,
        (
            held.questionnaire_owner, held.questionnaire_id, held.municipality_id, held.id, idempotency_key,
            held.episode_id,
        ),
    )  # fmt: skip
    if not rows:
        raise ReferenceUnknown(path="questionnaireId")
    version = await ready(change, held.questionnaire_owner, held.questionnaire_id, rows[0])
    draft = next((row for row in rows if row["status"] == ResponseStatus.DRAFT), None)
    repeated = next((row for row in rows if row["repeated"]), None)
    told = rows[0] if draft is None else draft
    colours = zip(told["urls"] or (), told["moments"] or (), told["colours"] or (), strict=True)
    return Standing(
        version,
        # What was saved before it was revoked stays readable, and is never submitted.
        None if draft is None or held.status == AssignmentStatus.REVOKED else _draft(draft),
        rows[0]["id"],
        repeated
        and Kept(held.municipality_id, repeated["id"], held.citizen_id, repeated["author_id"], repeated["receipt"]),
        {url: (at, Colour(colour)) for url, at, colour in colours},
    )


# Answers were looked through when they were saved, and are again as a whole when they are judged.
_READ = msgspec.json.Decoder(float_hook=Decimal)


def _draft(row: Any) -> Draft:
    paths = row["paths"] or ()
    return Draft(
        row["id"],
        row["version"],
        row["amends_id"],
        row["source"],
        row["author_id"],
        dict(zip(paths, _READ.decode(row["answers"] or "[]"), strict=True)),
        [
            {"path": path, "source": source, "typed_by": typist}
            for path, source, typist in zip(paths, row["sources"] or (), row["typists"] or (), strict=True)
        ],
    )


# One level of lock less than FOR UPDATE: rows that refer to these two may come and go.
_HOLD = """
SELECT a.municipality_id, a.id, a.episode_id, a.citizen_id, a.questionnaire_owner, a.questionnaire_id, a.status,
       e.care_team_id, coalesce(e.consented_until > now(), false) AND e.handed_over_to IS NULL AS consented
FROM assignment a JOIN episode_of_care e ON e.municipality_id = a.municipality_id AND e.id = a.episode_id
WHERE a.municipality_id = $1 AND a.id = $2
FOR NO KEY UPDATE OF a, e
"""
_LOOK = f"""
SELECT q.*, r.id, r.status, r.version, r.amends_id, r.source, r.author_id, r.receipt,
       r.idempotency_key = $5 AS repeated, saved.*, other.*
FROM ({CURRENT}) q
LEFT JOIN response r ON r.municipality_id = $3 AND r.assignment_id = $4
LEFT JOIN LATERAL (
    SELECT array_agg(path) AS paths, '[' || string_agg(answer, ',') || ']' AS answers, array_agg(source) AS sources,
           array_agg(typed_by) AS typists
    FROM (
        SELECT path, answer::text, source, typed_by FROM draft_answer
        WHERE municipality_id = $3 AND response_id = r.id ORDER BY answered_at DESC, id DESC
    ) saved
) saved ON r.status = 'in-progress'
LEFT JOIN LATERAL (
    SELECT array_agg(questionnaire_url) AS urls, array_agg(submitted_at) AS moments, array_agg(colour) AS colours
    FROM (
        SELECT DISTINCT ON (o.questionnaire_url) o.questionnaire_url, o.submitted_at, o.colour FROM response o
        WHERE o.municipality_id = $3 AND o.episode_id = $6 AND o.submitted_at IS NOT NULL
          AND NOT o.superseded AND o.id IS DISTINCT FROM r.amends_id
        ORDER BY o.questionnaire_url, o.submitted_at DESC, o.id DESC
    ) latest
) other ON true
ORDER BY r.version DESC
"""  # noqa: S608 - a statement of our own
