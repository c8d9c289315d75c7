"""Relay connections: pages by keyset, with sealed cursors that stay valid while rows come and go.

A cursor holds the order's values of one row. They may be personal (a name), so they are sealed: nobody can read,
change or reuse one for another list. Sealing is deterministic, so a row has the same cursor in every answer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
import strawberry
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from strawberry.types.unset import UNSET

from kpro_graph.errors import BadInput

__all__ = ["Connection", "Cursors", "Edge", "PageInfo", "window"]

T = TypeVar("T")


class Cursors:
    """Seals and opens cursors with a key derived from a secret of the installation."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(hashlib.blake2b(secret, digest_size=64, person=b"kpro-cursor").digest())

    def seal(self, listing: str, values: Sequence[object]) -> str:
        """Return the cursor of a row in a listing (the field and its order)."""
        text = msgspec.json.encode([_plain(value) for value in values])
        return base64.urlsafe_b64encode(self._cipher.encrypt(text, [listing.encode()])).rstrip(b"=").decode()

    def open(self, listing: str, cursor: str, types: Sequence[str]) -> tuple[object, ...] | None:
        """Return the order's values, or None when the cursor is not one of this listing."""
        try:
            sealed = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            values = msgspec.json.decode(self._cipher.decrypt(sealed, [listing.encode()]))
        except (InvalidTag, ValueError, msgspec.DecodeError):
            return None
        return tuple(_typed(value, type_) for value, type_ in zip(values, types, strict=True))


def window(relation: Any, kwargs: Mapping[str, Any]) -> tuple[int, bool]:
    """Return how many rows a page has at most, and whether it is counted from the end.

    Raises:
        BadInput: both ends are asked for, or a size is out of bounds.
    """
    first, last = (None if (given := kwargs.get(name)) is UNSET else given for name in ("first", "last"))
    if first is not None and last is not None:
        raise BadInput("a page is asked for with first or with last, not both", path="last")
    name, size = ("last", last) if last is not None else ("first", first)
    if size is None:
        return relation.default, False
    if not 0 <= size <= relation.maximum:
        raise BadInput(f"{name} is between 0 and {relation.maximum}", path=name)
    return size, last is not None


def _plain(value: object) -> object:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    return value


def _typed(value: Any, type_: str) -> object:
    match type_:
        case "timestamptz":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "uuid":
            return UUID(value)
        case "numeric":
            return Decimal(value)
        case _:
            return value


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = strawberry.field(description="Whether more items follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether items come before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item; pass it as `after` to go on.")


@strawberry.type(description="An item of a list and its place in it.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = strawberry.field(description="The item's place; stable while other items come and go.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """Relay's connection; filled by the field that declares it."""

    page: strawberry.Private[Any]

    @strawberry.field(description="The page's items with their cursors.")
    def edges(self) -> list[Edge[T]]:
        """Return the page's items with their cursors."""
        return [Edge(cursor=self.page.cursor(row), node=row) for row in self.page.rows]

    @strawberry.field(description="The page's items without cursors.")
    def nodes(self) -> list[T]:
        """Return the page's items."""
        return list(self.page.rows)

    @strawberry.field(description="Where the page lies in its list.")
    def page_info(self) -> PageInfo:
        """Return where the page lies."""
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=self.page.cursor(self.page.rows[0]) if self.page.rows else None,
            end_cursor=self.page.cursor(self.page.rows[-1]) if self.page.rows else None,
        )

    @strawberry.field(
        description="How many items the whole list has for this actor; costs one more statement for the level."
    )
    async def total_count(self) -> int:
        """Return how many items the list has."""
        count: int = await self.page.total()
        return count
