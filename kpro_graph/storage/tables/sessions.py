"""Signed-in sessions: of browsers, and of citizens at a reception computer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from kpro_graph.storage.tables.rows import TenantRow, new_id, text

__all__ = [
    "HandedAssignment",
    "ReceptionDevice",
    "ReceptionSession",
    "SignInSession",
    "SpentToken",
]


class ReceptionDevice(TenantRow):
    """A computer in a unit's reception at which citizens answer. Personal data: who registered it.

    ``wrong_codes`` counts wrong codes since the last right one or the last pause.
    """

    organisation_unit_id: UUID = fields.UUIDField()
    name: str = text()
    secret_hash: bytes = fields.BinaryField()
    wrong_codes: int = fields.SmallIntField(default=0)
    paused_until: datetime | None = fields.DatetimeField(null=True)
    registered_at: datetime = fields.DatetimeField()
    registered_by: UUID = fields.UUIDField()
    switched_off_at: datetime | None = fields.DatetimeField(null=True)
    switched_off_by: UUID | None = fields.UUIDField(null=True)

    class Meta:
        table = "reception_device"


class ReceptionSession(TenantRow):
    """A one-time code for a citizen, then the session it began. Personal data: who was at the reception, and when.

    ``code_hash`` is there until the code is used or its time is over, ``token_hash`` while the session goes on.
    """

    organisation_unit_id: UUID = fields.UUIDField()
    citizen_id: UUID = fields.UUIDField()
    handed_by: UUID = fields.UUIDField()
    handed_at: datetime = fields.DatetimeField()
    code_hash: bytes | None = fields.BinaryField(null=True)
    code_expires_at: datetime = fields.DatetimeField()
    device_id: UUID | None = fields.UUIDField(null=True)
    token_hash: bytes | None = fields.BinaryField(null=True)
    begun_at: datetime | None = fields.DatetimeField(null=True)
    idle_seconds: int | None = fields.IntField(null=True)
    idle_until: datetime | None = fields.DatetimeField(null=True)
    expires_at: datetime | None = fields.DatetimeField(null=True)
    ended_at: datetime | None = fields.DatetimeField(null=True)
    ended_because: str | None = text(null=True)

    class Meta:
        table = "reception_session"


class HandedAssignment(TenantRow):
    """An assignment that a reception session may see. Personal data: that the citizen was asked, and about what."""

    session_id: UUID = fields.UUIDField()
    assignment_id: UUID = fields.UUIDField()

    class Meta:
        table = "handed_assignment"


class SignInSession(Model):
    """A browser's session. Personal data: who signed in, with CPR number and grants, sealed, while it lasts.

    It stands outside the tenants: whose it is is known only once it is found. ``token_hash`` is the hash of the cookie;
    the indexes are keyed hashes of the provider's names for the person and for the sign-in.
    """

    id: UUID = fields.UUIDField(primary_key=True, default=new_id)
    token_hash: bytes = fields.BinaryField()
    provider: str = text()
    subject_index: bytes = fields.BinaryField()
    provider_session_index: bytes | None = fields.BinaryField(null=True)
    sealed: bytes = fields.BinaryField()
    started_at: datetime = fields.DatetimeField(auto_now_add=True)
    seen_at: datetime = fields.DatetimeField(auto_now_add=True)
    expires_at: datetime = fields.DatetimeField()

    class Meta:
        table = "sign_in_session"


class SpentToken(Model):
    """Something that is accepted once, as a keyed hash, kept until it has expired by itself. Personal data: none."""

    id: UUID = fields.UUIDField(primary_key=True, generated=False)
    expires_at: datetime = fields.DatetimeField()

    class Meta:
        table = "spent_token"
