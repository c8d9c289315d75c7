"""JSON documents from outside: read within limits, looked into without surprises, written back with the same meaning.

Decimals stay ``decimal.Decimal`` with the digits they were written with: ``1.000`` is read and written as ``1.000``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from kpro_graph.errors import Rejected

__all__ = [
    "LIMITS",
    "DocumentRefused",
    "Json",
    "Limits",
    "hash_json",
    "items_of",
    "mapping_of",
    "mappings_of",
    "normalise",
    "number_of",
    "read_json",
    "refuse_repeated_keys",
    "text_of",
    "texts_of",
    "write_json",
]

Json: TypeAlias = bool | int | float | Decimal | str | list[Any] | dict[str, Any] | None
"""Any JSON value; what ``read_json`` returns holds no ``float``."""


class Limits(msgspec.Struct, frozen=True):
    """How much a document may ask of us: bytes, levels, containers, and digits on either side of a decimal point."""

    size: int = 8_000_000
    depth: int = 200
    containers: int = 300_000
    commas: int = 1_500_000
    digits: int = 40


LIMITS = Limits()


class DocumentRefused(Rejected):
    """The document is no JSON we read. ``reason`` is a code of ``problems``; ``limit`` is what it exceeds."""

    code = "DOCUMENT_REFUSED"

    def __init__(self, reason: str, message: str, *, limit: int | str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.limit = limit


_READ = msgspec.json.Decoder(float_hook=Decimal)
_WRITE = msgspec.json.Encoder(decimal_format="number")
_CANONICAL = msgspec.json.Encoder(decimal_format="number", order="sorted")
_LONG_NUMBER = re.compile(rb"[0-9]{60}")


def read_json(source: bytes | str, *, limits: Limits = LIMITS) -> Json:
    """Read JSON text (bytes in UTF-8) and return it with exact decimals.

    Raises:
        DocumentRefused: it is no JSON, or it is larger, deeper or has longer numbers than ``limits`` allow.
    """
    raw = _encode(source)
    if len(raw) > limits.size:
        raise DocumentRefused("too_large", f"the document is larger than {limits.size} bytes", limit=limits.size)
    if raw.count(b"[") + raw.count(b"{") > limits.containers or raw.count(b",") > limits.commas:
        raise DocumentRefused("too_large", "the document has too many parts", limit=limits.containers)
    try:
        document = _READ.decode(raw)
    except RecursionError:
        raise _too_deep(limits) from None
    except (msgspec.DecodeError, ValueError, ArithmeticError):
        if _LONG_NUMBER.search(raw):
            raise _long_number(limits) from None
        raise DocumentRefused("not_json", "the document is not JSON in UTF-8") from None
    _inspect(document, limits)
    read: Json = document
    return read


def normalise(document: object, *, limits: Limits = LIMITS) -> Json:
    """Return the JSON value with floats as decimals, unchanged where there are none.

    Raises:
        DocumentRefused: a part is no JSON, the nesting is too deep (or endless), or a number is out of range.
    """
    exact: Any = document if _inspect(document, limits) else _exact(document)
    normalised: Json = exact
    return normalised


def refuse_repeated_keys(source: bytes | str) -> None:
    """Refuse JSON text in which one object has the same key twice, since only one of them would be read."""
    try:
        json.loads(_encode(source), object_pairs_hook=_unique, parse_float=str, parse_int=str)
    except RecursionError:
        raise _too_deep(LIMITS) from None


def write_json(document: Json, *, indent: int = 0) -> bytes:
    """Write the value as UTF-8 JSON, keys in their order, decimals with their digits."""
    raw = _WRITE.encode(document)
    return msgspec.json.format(raw, indent=indent) if indent else raw


def hash_json(document: Json) -> str:
    """Return the SHA-256, in hexadecimal, of the value's canonical JSON: sorted keys, decimals with their digits."""
    return hashlib.sha256(_CANONICAL.encode(document)).hexdigest()


def _encode(source: bytes | str) -> bytes:
    if isinstance(source, bytes):
        return source.removeprefix(b"\xef\xbb\xbf")
    try:
        return source.removeprefix("\ufeff").encode()
    except UnicodeEncodeError:
        raise DocumentRefused("not_json", "the document is not JSON in UTF-8") from None


_OTHERS = frozenset({list, int, Decimal})


def _inspect(document: object, limits: Limits) -> bool:  # noqa: PLR0912 - one pass over everything
    """Refuse what is too deep, too much or no JSON; return whether it is as `normalise` gives it already.

    Iterative, so that depth cannot exhaust the stack.
    """
    seen = 0
    plain = True
    pending: list[Iterator[object]] = [iter((document,))]
    while pending:
        for value in pending[-1]:
            kind = type(value)
            if kind is str or value is None or kind is bool:
                continue
            # What is read is made of these kinds; the others are looked at only where they come from elsewhere.
            if kind is dict or (kind not in _OTHERS and isinstance(value, Mapping)):
                for key in value:  # type: ignore[attr-defined]
                    if key.__class__ is not str:
                        raise DocumentRefused("not_json", "a key is not text")
                seen += 1
                plain = plain and kind is dict
                pending.append(iter(value.values()))  # type: ignore[attr-defined]
            elif isinstance(value, list | tuple):
                seen += 1
                plain = plain and kind is list
                pending.append(iter(value))
            elif isinstance(value, int | float | Decimal):
                _inspect_number(value, limits)
                plain = plain and not isinstance(value, float)
                continue
            elif isinstance(value, str):
                continue
            else:
                raise DocumentRefused("not_json", "a part of the document is no JSON value")
            if len(pending) > limits.depth + 1:
                raise _too_deep(limits)
            if seen > limits.containers:
                raise DocumentRefused("too_large", "the document has too many parts", limit=limits.containers)
            break
        else:
            pending.pop()
    return plain


def _inspect_number(value: float | Decimal, limits: Limits) -> None:
    if isinstance(value, int):
        if not -(10**limits.digits) < value < 10**limits.digits:
            raise _long_number(limits)
        return
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    exponent = exact.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or exponent < -limits.digits
        or (exact and exact.adjusted() > limits.digits)
        or exponent > limits.digits
    ):
        raise _long_number(limits)


def _exact(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is int or kind is Decimal:
        return value
    if kind is dict:
        for key, part in value.items():
            if (exact := _exact(part)) is not part:
                return {**value, key: exact, **{k: _exact(v) for k, v in value.items() if k != key}}
        return value
    if kind is list:
        for part in value:
            if _exact(part) is not part:
                return [_exact(each) for each in value]
        return value
    if isinstance(value, Mapping):
        return {key: _exact(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(part) for part in value]
    if isinstance(value, float):
        return Decimal(repr(value))
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise DocumentRefused("repeated_key", "one object has the same key twice")
    return document


def _too_deep(limits: Limits) -> DocumentRefused:
    return DocumentRefused("too_deep", f"the document is nested deeper than {limits.depth} levels", limit=limits.depth)


def _long_number(limits: Limits) -> DocumentRefused:
    return DocumentRefused(
        "number_out_of_range",
        f"a number has more than {limits.digits} digits on a side of the point",
        limit=limits.digits,
    )


def mapping_of(document: object, key: str) -> Mapping[str, Any] | None:
    """Return the object under ``key``, or None where there is none."""
    part = document.get(key) if isinstance(document, dict) else None
    return part if isinstance(part, dict) else None


def items_of(document: object, key: str) -> list[Any]:
    """Return the list under ``key``, or an empty one."""
    part = document.get(key) if isinstance(document, dict) else None
    return part if isinstance(part, list) else []


def mappings_of(document: object, key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list under ``key``; anything else in it is passed over."""
    return [part for part in items_of(document, key) if isinstance(part, dict)]


def text_of(document: object, key: str) -> str | None:
    """Return the text under ``key``, or None where there is none."""
    part = document.get(key) if isinstance(document, dict) else None
    return part if isinstance(part, str) else None


def texts_of(document: object, key: str) -> tuple[str, ...]:
    """Return the texts in the list under ``key``."""
    return tuple(part for part in items_of(document, key) if isinstance(part, str))


def number_of(value: object) -> Decimal | None:
    """Return a JSON number as an exact decimal, or None where it is no finite number."""
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        exact = Decimal(repr(value))
        return exact if exact.is_finite() else None
    return None
