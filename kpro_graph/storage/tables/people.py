"""People: citizens and what they decide, who represents them, and where their history lies."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from kpro_graph.storage.tables.rows import TenantRow, new_id, text

__all__ = [
    "Citizen",
    "Consent",
    "EmergencyAccess",
    "EpisodeOfCare",
    "HandOver",
    "Person",
    "Representation",
]


class Person(Model):
    """A human being across municipalities. Personal data: the CPR number, sealed, to find the same person again."""

    id: UUID = fields.UUIDField(primary_key=True, default=new_id)
    cpr_index: bytes = fields.BinaryField()
    cpr_sealed: bytes = fields.BinaryField()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "person"


class Citizen(TenantRow):
    """A person's record in one municipality. Personal data: name and birth date, to recognise the citizen.

    ``sort_name`` is the name as Danish lists order it, whatever the database's collation knows of Danish.
    """

    person_id: UUID = fields.UUIDField()
    given_name: str = text()
    family_name: str = text()
    display_name: str = text()
    sort_name: str = text()
    birth_date: date = fields.DateField()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "citizen"


class EpisodeOfCare(TenantRow):
    """A course a citizen is in with a care team, and its legal basis. Personal data: that and why the citizen is seen.

    ``urgency`` and ``last_response_at`` repeat what the latest responses say, so that a worklist is read in its order.
    ``handed_over_to`` is the municipality that holds it now; ``origin``, here and elsewhere, the one a row was made in.
    """

    citizen_id: UUID = fields.UUIDField()
    care_team_id: UUID = fields.UUIDField()
    organisation_unit_id: UUID = fields.UUIDField()
    status: str = text()
    legal_basis: str = text()
    reason_code: str = text()
    started_at: datetime = fields.DatetimeField()
    ended_at: datetime | None = fields.DatetimeField(null=True)
    urgency: int = fields.SmallIntField(default=0)
    last_response_at: datetime | None = fields.DatetimeField(null=True)
    opened_by: UUID = fields.UUIDField()
    consented_until: datetime | None = fields.DatetimeField(null=True)
    colours_shown: bool = fields.BooleanField(default=False)  # type: ignore[assignment]
    hidden_from_guardians: bool = fields.BooleanField(default=False)  # type: ignore[assignment]
    handed_over_to: int | None = fields.IntField(null=True)
    origin: int | None = fields.IntField(null=True)

    class Meta:
        table = "episode_of_care"


class Consent(TenantRow):
    """A citizen's decision about an episode: consent given or withdrawn. Personal data: the decision and who noted it.

    Append-only by grants; the episode's ``consented_until`` is what the last decision says, if it was made here.
    """

    citizen_id: UUID = fields.UUIDField()
    episode_id: UUID = fields.UUIDField()
    decision: str = text()
    manner: str = text()
    decided_at: datetime = fields.DatetimeField()
    expires_at: datetime | None = fields.DatetimeField(null=True)
    recorded_kind: str = text()
    recorded_by: UUID = fields.UUIDField()
    origin: int | None = fields.IntField(null=True)

    class Meta:
        table = "consent"


class Representation(TenantRow):
    """Someone's right to act for a citizen. Personal data: who represents whom, and the representative's name."""

    citizen_id: UUID = fields.UUIDField()
    representative_id: UUID = fields.UUIDField()
    kind: str = text()
    may_read: bool = fields.BooleanField()  # type: ignore[assignment]
    may_answer: bool = fields.BooleanField()  # type: ignore[assignment]
    name: str = text()
    valid_from: datetime = fields.DatetimeField()
    valid_until: datetime | None = fields.DatetimeField(null=True)
    ended_at: datetime | None = fields.DatetimeField(null=True)
    recorded_by: UUID = fields.UUIDField()

    class Meta:
        table = "representation"


class EmergencyAccess(TenantRow):
    """A record opened without consent or team, in an emergency. Personal data: who opened whose record, and why."""

    citizen_id: UUID = fields.UUIDField()
    employee_id: UUID = fields.UUIDField()
    organisation_unit_id: UUID | None = fields.UUIDField(null=True)
    reason: str = text()
    opened_at: datetime = fields.DatetimeField()
    expires_at: datetime = fields.DatetimeField()
    verdict: str | None = text(null=True)
    note: str | None = text(null=True)
    reviewed_by: UUID | None = fields.UUIDField(null=True)
    reviewed_at: datetime | None = fields.DatetimeField(null=True)

    class Meta:
        table = "emergency_access"


class HandOver(TenantRow):
    """A citizen's history, offered to the municipality they moved to. Personal data: that the citizen moved, and where.

    ``municipality_id`` is the municipality that holds the history; the receiving one sees the row too. What was moved,
    and how many open assignments were revoked, is counted when it is accepted.
    """

    to_municipality_id: int = fields.IntField()
    person_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    status: str = text()
    reason: str = text()
    offered_by: UUID = fields.UUIDField()
    offered_at: datetime = fields.DatetimeField()
    decided_by: UUID | None = fields.UUIDField(null=True)
    decided_at: datetime | None = fields.DatetimeField(null=True)
    episodes: int | None = fields.IntField(null=True)
    responses: int | None = fields.IntField(null=True)
    revoked: int | None = fields.IntField(null=True)

    class Meta:
        table = "hand_over"
