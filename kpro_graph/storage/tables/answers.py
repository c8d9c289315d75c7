"""Questionnaires, assignments, and what was answered and made of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tortoise import fields

from kpro_graph.storage.tables.rows import Numeric, TenantRow, text

__all__ = [
    "Assignment",
    "DraftAnswer",
    "Interpretation",
    "Questionnaire",
    "Response",
    "RuleSet",
    "Score",
]


class Questionnaire(TenantRow):
    """One version of a questionnaire, verbatim FHIR. Never changes once it has left draft. Personal data: none."""

    url: str = text()
    version: str = text()
    name: str = text()
    title: str = text()
    title_en: str = text()
    status: str = text()
    content: str = text()
    content_hash: str = text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)
    activated_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "questionnaire"


class RuleSet(TenantRow):
    """One version of the rules that score and colour a questionnaire, approved apart from it. Personal data: none."""

    questionnaire_id: UUID = fields.UUIDField()
    name: str = text()
    version: str = text()
    status: str = text()
    content: str = text()
    content_hash: str = text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "rule_set"


class Assignment(TenantRow):
    """A questionnaire given to a citizen to answer. Personal data: that the citizen was asked, and about what."""

    episode_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_owner: int = fields.IntField()
    questionnaire_id: UUID = fields.UUIDField()
    status: str = text()
    assigned_at: datetime = fields.DatetimeField()
    assigned_by: UUID = fields.UUIDField()
    due_at: datetime | None = fields.DatetimeField(null=True)
    completed_at: datetime | None = fields.DatetimeField(null=True)
    origin: int | None = fields.IntField(null=True)

    class Meta:
        table = "assignment"


class Response(TenantRow):
    """A citizen's answers to one version of a questionnaire: a draft, or submitted for good. Personal data: health.

    A submitted response is never changed or deleted; an amendment is a new row that points at the one it replaces.
    ``answers`` is the list ``[{path, linkId, values: [{kind, value}]}]``, canonical JSON; empty while a draft.
    ``source`` and ``author_id`` say who answered, ``typed_by`` which employee typed for them, ``confirmed_by`` who
    found it right. ``provenance`` says so answer by answer, where staff typed any.
    """

    assignment_id: UUID = fields.UUIDField()
    episode_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_owner: int = fields.IntField()
    questionnaire_id: UUID = fields.UUIDField()
    questionnaire_url: str = text()
    rule_set_id: UUID | None = fields.UUIDField(null=True)
    status: str = text()
    version: int = fields.IntField(default=1)
    amends_id: UUID | None = fields.UUIDField(null=True)
    amend_reason: str | None = text(null=True)
    superseded: bool = fields.BooleanField(default=False)  # type: ignore[assignment]
    source: str = text()
    author_id: UUID | None = fields.UUIDField(null=True)
    typed_by: UUID | None = fields.UUIDField(null=True)
    confirmed_by: str | None = text(null=True)
    confirmed_at: datetime | None = fields.DatetimeField(null=True)
    device_id: UUID | None = fields.UUIDField(null=True)
    provenance: str = fields.TextField(default="[]")
    answers: str = text()
    colour: str = text()
    content_hash: str | None = text(null=True)
    receipt: str | None = text(null=True)
    idempotency_key: str | None = text(null=True)
    created_at: datetime = fields.DatetimeField(auto_now_add=True)
    submitted_at: datetime | None = fields.DatetimeField(null=True)
    origin: int | None = fields.IntField(null=True)

    class Meta:
        table = "response"


class DraftAnswer(TenantRow):
    """One item of a draft, saved as it is given. Personal data: health. Deleted when its response is submitted."""

    response_id: UUID = fields.UUIDField()
    path: str = text()
    answer: str = text()
    revision: int = fields.IntField(default=1)
    answered_at: datetime = fields.DatetimeField()
    source: str = fields.TextField(default="patient")
    answered_by: UUID | None = fields.UUIDField(null=True)
    typed_by: UUID | None = fields.UUIDField(null=True)

    class Meta:
        table = "draft_answer"


class Score(TenantRow):
    """A figure computed from a response, with its explanation. Personal data: health."""

    response_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_url: str = text()
    code: str = text()
    position: int = fields.SmallIntField()
    label: str = text()
    label_en: str = text()
    value: Decimal | None = Numeric()
    unit: str | None = text(null=True)
    minimum: Decimal | None = Numeric()
    maximum: Decimal | None = Numeric()
    explanation: str = text()
    submitted_at: datetime = fields.DatetimeField()
    superseded: bool = fields.BooleanField(default=False)  # type: ignore[assignment]

    class Meta:
        table = "score"


class Interpretation(TenantRow):
    """What a response or a part of it means: a colour with its reason. Personal data: health."""

    response_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    position: int = fields.SmallIntField()
    subject: str = text()
    topic: str = text()
    topic_en: str = text()
    label: str = text()
    label_en: str = text()
    colour: str = text()
    meaning: str = text()
    word: str = text()
    word_en: str = text()
    icon: str = text()
    reason: str = text()
    reason_en: str = text()
    explanation: str = text()

    class Meta:
        table = "interpretation"
