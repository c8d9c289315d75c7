"""Node ids: a short prefix for the type and the row's UUID, opaque to clients, free of anything personal."""

from __future__ import annotations

from uuid import UUID

__all__ = ["decode", "encode", "split"]


def encode(prefix: str, key: UUID) -> str:
    """Return the public id of a row."""
    return f"{prefix}_{key.hex}"


def split(text: str) -> tuple[str, UUID] | None:
    """Return prefix and UUID of a public id, or None when the text is no id of ours."""
    prefix, separator, digits = text.partition("_")
    if not separator or len(digits) != 32 or not digits.isascii() or digits != digits.lower():
        return None
    try:
        return prefix, UUID(hex=digits)
    except ValueError:
        return None


def decode(prefix: str, text: str) -> UUID | None:
    """Return the UUID of an id of this type, or None when it is malformed or another type's."""
    parts = split(text)
    return parts[1] if parts is not None and parts[0] == prefix else None
