"""Authorship: who answered, who typed, who confirmed. Kept with every item of a draft and with what is submitted.

A citizen, or whoever represents them, types for themselves. An employee who assists types what somebody else says, or
what they judge themselves; then the citizen or a relative confirms before it is submitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec

from kpro_graph.access import Permission, holders
from kpro_graph.actors import Actor, ActorKind
from kpro_graph.errors import Rejected
from kpro_graph.execution import ids
from kpro_graph.storage.database import Change

__all__ = [
    "AnsweredBy",
    "ConfirmationMissing",
    "ConfirmedBy",
    "Signature",
    "answering_as",
    "sign",
    "types_for",
]


class AnsweredBy(StrEnum):
    """Whose answers they are (FHIR QuestionnaireResponse.source)."""

    CITIZEN = "patient"
    RELATIVE = "relatedperson"
    PROFESSIONAL = "practitioner"


class ConfirmedBy(StrEnum):
    """Who found right what an employee typed."""

    CITIZEN = "patient"
    RELATIVE = "relatedperson"


class ConfirmationMissing(Rejected):
    """What an employee typed is submitted when the citizen or a relative has confirmed it."""

    code = "CONFIRMATION_MISSING"
    da = "Borgeren eller en pårørende skal bekræfte svarene, før de sendes ind."
    en = "The citizen or a relative must confirm the answers before they are submitted."


@dataclass(frozen=True, slots=True)
class Signature:
    """Who stands behind a submitted response: columns of the response, but for the provenance of each answer."""

    source: str
    author_id: UUID | None
    typed_by: UUID | None
    confirmed_by: str | None
    confirmed_at: datetime | None
    items: tuple[Any, ...] = ()

    def provenance(self, answers: str) -> str:
        """Return, for the answers kept as this JSON, each one's source and typist; empty where all is the author's own.

        ``[{"path", "source", "typedBy"}]``; ``typedBy`` is an employee's public id or null.
        """
        if self.typed_by is None and {item["source"] for item in self.items} <= {self.source}:
            return "[]"
        known = {item["path"]: item for item in self.items}
        rows = [
            {
                "path": row["path"],
                "source": AnsweredBy(known[row["path"]]["source"]).name,
                "typedBy": ids.encode("emp", typist) if (typist := known[row["path"]]["typed_by"]) else None,
            }
            for row in msgspec.json.decode(answers)
            if row["path"] in known
        ]
        return msgspec.json.encode(rows).decode()


def answering_as(actor: Actor) -> str:
    """Return whose answers the actor gives (FHIR QuestionnaireResponse.source): the citizen's own, or for them."""
    return (AnsweredBy.CITIZEN if actor.on_behalf_of is None else AnsweredBy.RELATIVE).value


class _Begun(Protocol):
    @property
    def source(self) -> str: ...
    @property
    def author_id(self) -> UUID | None: ...


def sign(
    actor: Actor, draft: _Begun, items: Sequence[Any], confirmed_by: ConfirmedBy | None, now: datetime
) -> Signature:
    """Return who stands behind a draft that the actor submits; ``items`` are its answers, the latest saved first.

    Raises:
        ConfirmationMissing: an employee submits without one. Whoever answers themselves confirms by submitting.
    """
    if actor.kind is ActorKind.EMPLOYEE:
        if confirmed_by is None:
            raise ConfirmationMissing(path="confirmedBy")
        return Signature(draft.source, draft.author_id, actor.id, confirmed_by.value, now, tuple(items))
    source = answering_as(actor)
    typist = next((item["typed_by"] for item in items if item["typed_by"] is not None), None)
    confirmed = None if typist is None else ConfirmedBy(source).value
    return Signature(source, actor.id, typist, confirmed, None if typist is None else now, tuple(items))


async def types_for(change: Change, assignment_id: UUID) -> bool:
    """Say whether the actor is the employee who types for the citizen here, or who submitted what they had typed."""
    teams = change.actor.teams(*holders(Permission.ASSIST))
    rows = await change.fetch(_TYPES, (change.actor.municipality, assignment_id, change.actor.id, list(teams)))
    return bool(rows)


_TYPES = """
SELECT FROM (SELECT episode_id, typed_by FROM response WHERE municipality_id = $1 AND assignment_id = $2
             ORDER BY version DESC LIMIT 1) latest
JOIN episode_of_care e ON e.municipality_id = $1 AND e.id = latest.episode_id
WHERE latest.typed_by = $3 AND e.care_team_id = ANY($4) AND e.consented_until > now() AND e.handed_over_to IS NULL
"""
