"""What was seen and what has happened: the access log, its seals, and events."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from kpro_graph.storage.tables.rows import TenantRow, text

__all__ = [
    "AccessLogLine",
    "AccessLogSeal",
    "Event",
]


class AccessLogLine(TenantRow):
    """Someone looked at or changed a citizen's record. Personal data: who, whom, when and what kinds of fields.

    Append-only by grants and by policy. One line per citizen, operation and action; ``citizen_id`` is null where a
    search found nobody. ``viewers`` are the ids of those a delivery went to, where there were several. ``position`` is
    given by the sealer after commit: gapless within the municipality, and the only thing about a line that changes.
    """

    operation_id: UUID = fields.UUIDField()
    operation: str = text()
    action: str = text()
    citizen_id: UUID | None = fields.UUIDField(null=True)
    actor_kind: str = text()
    actor_id: UUID = fields.UUIDField()
    roles: str = text()
    organisation_unit_id: UUID | None = fields.UUIDField(null=True)
    care_team_id: UUID | None = fields.UUIDField(null=True)
    on_behalf_of: UUID | None = fields.UUIDField(null=True)
    purpose: str = text()
    override: bool = fields.BooleanField()  # type: ignore[assignment]
    fields_seen: str = text()
    questionnaires: list[str] = ArrayField(element_type="text")
    trace_id: str = text()
    viewers: list[str] = ArrayField(element_type="text")
    protected: bool = fields.BooleanField()  # type: ignore[assignment]
    recorded_at: datetime = fields.DatetimeField(auto_now_add=True)
    position: int | None = fields.BigIntField(null=True)

    class Meta:
        table = "access_log"


class AccessLogSeal(Model):
    """A batch of access-log lines as they were when they got their positions. Personal data: none.

    ``hash`` covers every column of the lines from ``first_position`` to ``last_position`` and the hash of the seal
    before; ``number`` is gapless within the municipality. ``form`` names the way the lines were written down.
    """

    number: int = fields.BigIntField(primary_key=True, generated=False)
    municipality_id: int = fields.IntField()
    form: int = fields.SmallIntField()
    first_position: int = fields.BigIntField()
    last_position: int = fields.BigIntField()
    sealed_at: datetime = fields.DatetimeField()
    previous: bytes = fields.BinaryField()
    hash: bytes = fields.BinaryField()

    class Meta:
        table = "access_log_seal"


class Event(TenantRow):
    """Something has happened, as references only. Personal data: which citizen it is about, by id; never an answer.

    ``position`` is given by the sequencer after commit: gapless, in one order for all municipalities.
    """

    type: str = text()
    citizen_id: UUID | None = fields.UUIDField(null=True)
    care_team_id: UUID | None = fields.UUIDField(null=True)
    subject_type: str = text()
    subject_id: UUID = fields.UUIDField()
    subject_version: int = fields.IntField()
    recorded_at: datetime = fields.DatetimeField(auto_now_add=True)
    position: int | None = fields.BigIntField(null=True)

    class Meta:
        table = "event"
