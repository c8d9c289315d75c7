"""Every table on one page, each saying what personal data it keeps and why.

A row belongs to one municipality; ``municipality_id`` is its four-digit code as a number and comes first in every key,
uniqueness and reference (0 is the national library of questionnaires). A person stands outside the tenants; a citizen
is that person's record in one municipality. States are text, so that their conditions keep an index under row-level
security. The walls (composite keys, policies, immutability, grants) are SQL in ``migrations/``; a test holds these
models and the database together.
"""

from __future__ import annotations

import os
import time
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

__all__ = [
    "NATIONAL_LIBRARY",
    "AccessLogLine",
    "Assignment",
    "CareTeam",
    "CareTeamMember",
    "Citizen",
    "DraftAnswer",
    "Employee",
    "EpisodeOfCare",
    "Event",
    "Interpretation",
    "Municipality",
    "OrganisationUnit",
    "Person",
    "Questionnaire",
    "Response",
    "RuleSet",
    "Score",
    "new_id",
    "shape",
]

NATIONAL_LIBRARY = 0
"""The owner of questionnaires that every municipality may use; no citizen belongs to it."""


_POSTGRESQL = {
    "UUIDField": "uuid",
    "IntField": "integer",
    "SmallIntField": "smallint",
    "BigIntField": "bigint",
    "TextField": "text",
    "BooleanField": "boolean",
    "DateField": "date",
    "DatetimeField": "timestamptz",
    "_Numeric": "numeric",
    "BinaryField": "bytea",
    "ArrayField": "text[]",
}


def shape(model: type[Model]) -> tuple[str, dict[str, str]]:
    """Return a table's name, and each of its columns with its PostgreSQL type."""
    types = {name: _POSTGRESQL[type(model._meta.fields_map[name]).__name__] for name in model._meta.db_fields}
    return str(model._meta.db_table), types


def new_id() -> UUID:
    """Return a fresh UUID of version 7: random, yet later ones sort after earlier ones, which keeps indexes compact."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    number = number & ~(0xF000 << 64) | (0x7000 << 64)
    number = number & ~(0xC000 << 48) | (0x8000 << 48)
    return UUID(int=number)


def _text(*, null: bool = False) -> fields.TextField:
    return fields.TextField(null=null)


class _Numeric(fields.DecimalField[Decimal | None]):
    """A decimal that keeps the digits it is given; Tortoise's own would round it to a scale."""

    def __init__(self) -> None:
        super().__init__(max_digits=1000, decimal_places=0, null=True)

    def to_python_value(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    def to_db_value(self, value: Any, instance: Any) -> Any:
        return value


class _Row(Model):
    id: UUID = fields.UUIDField(primary_key=True, default=new_id)
    municipality_id: int = fields.IntField()

    class Meta:
        abstract = True


class Municipality(Model):
    """A municipality: one tenant. Personal data: none."""

    id: int = fields.IntField(primary_key=True, generated=False)
    name: str = _text()
    cvr: str = _text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "municipality"


class Person(Model):
    """A human being across municipalities. Personal data: the CPR number, sealed, to find the same person again."""

    id: UUID = fields.UUIDField(primary_key=True, default=new_id)
    cpr_index: bytes = fields.BinaryField()
    cpr_sealed: bytes = fields.BinaryField()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "person"


class OrganisationUnit(_Row):
    """A unit of FK-Organisation with its KLE tasks. Personal data: none."""

    parent_id: UUID | None = fields.UUIDField(null=True)
    name: str = _text()
    kle: list[str] = ArrayField(element_type="text")
    active: bool = fields.BooleanField(default=True)  # type: ignore[assignment]

    class Meta:
        table = "organisation_unit"


class Employee(_Row):
    """Someone employed by the municipality. Personal data: name; the CPR number, sealed, because Min Log demands it."""

    subject: str = _text()
    name: str = _text()
    cpr_sealed: bytes | None = fields.BinaryField(null=True)
    active: bool = fields.BooleanField(default=True)  # type: ignore[assignment]

    class Meta:
        table = "employee"


class CareTeam(_Row):
    """A group of professionals who follow citizens together. Personal data: none."""

    organisation_unit_id: UUID = fields.UUIDField()
    name: str = _text()
    reason_codes: list[str] = ArrayField(element_type="text")
    status: str = _text()

    class Meta:
        table = "care_team"


class CareTeamMember(_Row):
    """An employee's part in a care team. Personal data: who works where."""

    care_team_id: UUID = fields.UUIDField()
    employee_id: UUID = fields.UUIDField()
    role: str = _text()

    class Meta:
        table = "care_team_member"


class Citizen(_Row):
    """A person's record in one municipality. Personal data: name and birth date, to recognise the citizen.

    ``sort_name`` is the name as Danish lists order it, whatever the database's collation knows of Danish.
    """

    person_id: UUID = fields.UUIDField()
    given_name: str = _text()
    family_name: str = _text()
    display_name: str = _text()
    sort_name: str = _text()
    birth_date: date = fields.DateField()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "citizen"


class EpisodeOfCare(_Row):
    """A course a citizen is in with a care team, and its legal basis. Personal data: that and why the citizen is seen.

    ``urgency`` and ``last_response_at`` repeat what the latest responses say, so that a worklist is read in its order.
    """

    citizen_id: UUID = fields.UUIDField()
    care_team_id: UUID = fields.UUIDField()
    organisation_unit_id: UUID = fields.UUIDField()
    status: str = _text()
    legal_basis: str = _text()
    reason_code: str = _text()
    started_at: datetime = fields.DatetimeField()
    ended_at: datetime | None = fields.DatetimeField(null=True)
    urgency: int = fields.SmallIntField(default=0)
    last_response_at: datetime | None = fields.DatetimeField(null=True)
    opened_by: UUID = fields.UUIDField()

    class Meta:
        table = "episode_of_care"


class Questionnaire(_Row):
    """One version of a questionnaire, verbatim FHIR. Never changes once it has left draft. Personal data: none."""

    url: str = _text()
    version: str = _text()
    name: str = _text()
    title: str = _text()
    title_en: str = _text()
    status: str = _text()
    content: str = _text()
    content_hash: str = _text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)
    activated_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "questionnaire"


class RuleSet(_Row):
    """One version of the rules that score and colour a questionnaire, approved apart from it. Personal data: none."""

    questionnaire_id: UUID = fields.UUIDField()
    name: str = _text()
    version: str = _text()
    status: str = _text()
    content: str = _text()
    content_hash: str = _text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "rule_set"


class Assignment(_Row):
    """A questionnaire given to a citizen to answer. Personal data: that the citizen was asked, and about what."""

    episode_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_owner: int = fields.IntField()
    questionnaire_id: UUID = fields.UUIDField()
    status: str = _text()
    assigned_at: datetime = fields.DatetimeField()
    assigned_by: UUID = fields.UUIDField()
    due_at: datetime | None = fields.DatetimeField(null=True)
    completed_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "assignment"


class Response(_Row):
    """A citizen's answers to one version of a questionnaire: a draft, or submitted for good. Personal data: health.

    A submitted response is never changed or deleted; an amendment is a new row that points at the one it replaces.
    ``answers`` is the list ``[{path, linkId, values: [{kind, value}]}]``, canonical JSON; empty while a draft.
    """

    assignment_id: UUID = fields.UUIDField()
    episode_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_owner: int = fields.IntField()
    questionnaire_id: UUID = fields.UUIDField()
    questionnaire_url: str = _text()
    rule_set_id: UUID | None = fields.UUIDField(null=True)
    status: str = _text()
    version: int = fields.IntField(default=1)
    amends_id: UUID | None = fields.UUIDField(null=True)
    amend_reason: str | None = _text(null=True)
    superseded: bool = fields.BooleanField(default=False)  # type: ignore[assignment]
    source: str = _text()
    author_id: UUID = fields.UUIDField()
    answers: str = _text()
    colour: str = _text()
    content_hash: str | None = _text(null=True)
    receipt: str | None = _text(null=True)
    idempotency_key: str | None = _text(null=True)
    created_at: datetime = fields.DatetimeField(auto_now_add=True)
    submitted_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "response"


class DraftAnswer(_Row):
    """One item of a draft, saved as it is given. Personal data: health. Deleted when its response is submitted."""

    response_id: UUID = fields.UUIDField()
    path: str = _text()
    answer: str = _text()
    revision: int = fields.IntField(default=1)
    answered_at: datetime = fields.DatetimeField()
    answered_by: UUID = fields.UUIDField()

    class Meta:
        table = "draft_answer"


class Score(_Row):
    """A figure computed from a response, with its explanation. Personal data: health."""

    response_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    questionnaire_url: str = _text()
    code: str = _text()
    position: int = fields.SmallIntField()
    label: str = _text()
    label_en: str = _text()
    value: Decimal | None = _Numeric()
    unit: str | None = _text(null=True)
    minimum: Decimal | None = _Numeric()
    maximum: Decimal | None = _Numeric()
    explanation: str = _text()
    submitted_at: datetime = fields.DatetimeField()
    superseded: bool = fields.BooleanField(default=False)  # type: ignore[assignment]

    class Meta:
        table = "score"


class Interpretation(_Row):
    """What a response or a part of it means: a colour with its reason. Personal data: health."""

    response_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    position: int = fields.SmallIntField()
    subject: str = _text()
    topic: str = _text()
    topic_en: str = _text()
    label: str = _text()
    label_en: str = _text()
    colour: str = _text()
    meaning: str = _text()
    word: str = _text()
    word_en: str = _text()
    icon: str = _text()
    reason: str = _text()
    reason_en: str = _text()
    explanation: str = _text()

    class Meta:
        table = "interpretation"


class AccessLogLine(_Row):
    """Someone looked at or changed a citizen's record. Personal data: who, whom, when and what kinds of fields.

    Append-only by grants. One line per citizen, operation and action.
    """

    operation_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    action: str = _text()
    operation: str = _text()
    actor_kind: str = _text()
    actor_id: UUID = fields.UUIDField()
    roles: str = _text()
    fields_seen: str = _text()
    recorded_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "access_log"


class Event(_Row):
    """Something has happened, as references only. Personal data: which citizen it is about, by id; never an answer.

    ``position`` is given by the sequencer after commit: gapless, in one order for all municipalities.
    """

    type: str = _text()
    citizen_id: UUID | None = fields.UUIDField(null=True)
    care_team_id: UUID | None = fields.UUIDField(null=True)
    subject_type: str = _text()
    subject_id: UUID = fields.UUIDField()
    subject_version: int = fields.IntField()
    recorded_at: datetime = fields.DatetimeField(auto_now_add=True)
    position: int | None = fields.BigIntField(null=True)

    class Meta:
        table = "event"
