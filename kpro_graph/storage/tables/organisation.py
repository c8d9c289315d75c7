"""Municipalities, their units, employees and care teams."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model

from kpro_graph.storage.tables.rows import TenantRow, text

__all__ = [
    "CareTeam",
    "CareTeamMember",
    "Employee",
    "Municipality",
    "OrganisationUnit",
]


class Municipality(Model):
    """A municipality: one tenant. Personal data: none."""

    id: int = fields.IntField(primary_key=True, generated=False)
    name: str = text()
    cvr: str = text()
    created_at: datetime = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "municipality"


class OrganisationUnit(TenantRow):
    """A unit of FK-Organisation with its KLE tasks. Personal data: none."""

    parent_id: UUID | None = fields.UUIDField(null=True)
    name: str = text()
    kle: list[str] = ArrayField(element_type="text")
    active: bool = fields.BooleanField(default=True)  # type: ignore[assignment]

    class Meta:
        table = "organisation_unit"


class Employee(TenantRow):
    """Someone employed by the municipality. Personal data: name; the CPR number, sealed, because Min Log demands it."""

    subject: str = text()
    name: str = text()
    cpr_sealed: bytes | None = fields.BinaryField(null=True)
    active: bool = fields.BooleanField(default=True)  # type: ignore[assignment]

    class Meta:
        table = "employee"


class CareTeam(TenantRow):
    """A group of professionals who follow citizens together. Personal data: none."""

    organisation_unit_id: UUID = fields.UUIDField()
    name: str = text()
    reason_codes: list[str] = ArrayField(element_type="text")
    status: str = text()

    class Meta:
        table = "care_team"


class CareTeamMember(TenantRow):
    """An employee's part in a care team. Personal data: who works where."""

    care_team_id: UUID = fields.UUIDField()
    employee_id: UUID = fields.UUIDField()
    role: str = text()

    class Meta:
        table = "care_team_member"
