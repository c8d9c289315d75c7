"""What every table shares: ids, columns and their PostgreSQL types."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

__all__ = [
    "NATIONAL_LIBRARY",
    "Numeric",
    "TenantRow",
    "new_id",
    "new_ids",
    "shape",
    "text",
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
    "Numeric": "numeric",
    "BinaryField": "bytea",
    "ArrayField": "text[]",
}


def shape(model: type[Model]) -> tuple[str, dict[str, str]]:
    """Return a table's name, and each of its columns with its PostgreSQL type."""
    types = {name: _POSTGRESQL[type(model._meta.fields_map[name]).__name__] for name in model._meta.db_fields}
    return str(model._meta.db_table), types


def new_id() -> UUID:
    """Return a fresh UUID of version 7: random, yet later ones sort after earlier ones, which keeps indexes compact."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[UUID]:
    """Return so many fresh UUIDs of one moment, in no order."""
    start = time.time_ns() // 1_000_000 << 80 | 0x7000 << 64 | 0x8000 << 48
    chance = int.from_bytes(os.urandom(10 * count))
    return [UUID(int=start | (chance >> 80 * n & _RANDOM)) for n in range(count)]


# What is left to chance beside the time, the version and the variant.
_RANDOM = (1 << 80) - 1 & ~(0xF000 << 64) & ~(0xC000 << 48)


def text(*, null: bool = False) -> fields.TextField:
    return fields.TextField(null=null)


class Numeric(fields.DecimalField[Decimal | None]):
    """A decimal that keeps the digits it is given; Tortoise's own would round it to a scale."""

    def __init__(self) -> None:
        super().__init__(max_digits=1000, decimal_places=0, null=True)

    def to_python_value(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    def to_db_value(self, value: Any, instance: Any) -> Any:
        return value


class TenantRow(Model):
    id: UUID = fields.UUIDField(primary_key=True, default=new_id)
    municipality_id: int = fields.IntField()

    class Meta:
        abstract = True
