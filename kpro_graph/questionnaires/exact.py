"""Exact decimals: arithmetic that never rounds unseen and never passes through a binary float.

Every number is kept in one written form (no exponent, no trailing zeros), so that equal numbers are also written
alike and what was stored can be recomputed bit for bit. Only a quotient may need rounding: it keeps twelve decimals,
half to even.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import (
    Clamped,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
    Overflow,
    Subnormal,
    Underflow,
)
from fractions import Fraction
from functools import lru_cache

__all__ = ["PLACES", "NotExact", "canonical", "divide", "from_fraction", "multiply", "total", "write"]

PLACES = 12
"""Decimals kept where a quotient does not end."""

_SCALE = 10**PLACES
_LIMIT = 40  # digits on either side of the point; more is no answer a person gave, but an attack on the arithmetic
_EXACT = Context(
    prec=2 * _LIMIT,
    Emin=-_LIMIT,
    Emax=_LIMIT,
    traps=[Inexact, InvalidOperation, Overflow, Underflow, Subnormal, Clamped],
)


class NotExact(ArithmeticError):
    """The numbers are too large, too finely written or not finite, so no exact result exists within the limits."""


def canonical(value: Decimal) -> Decimal:
    """Return an equal number in its one written form.

    Raises:
        NotExact: the value is not finite or needs more than 40 digits on a side of the point.
    """
    if value.is_zero():
        return Decimal(0)
    if not value.is_finite() or not -_LIMIT <= value.adjusted() <= _LIMIT:
        raise NotExact("the number is not finite or lies outside the limits")
    return _normalise(value)


# Few numbers are ever met, and equal ones are equal keys, as they have one written form.
@lru_cache(maxsize=1024)
def _normalise(value: Decimal) -> Decimal:
    try:
        plain = _EXACT.normalize(value)
    except DecimalException as error:
        raise NotExact("the number has too many digits") from error
    exponent = plain.as_tuple().exponent
    return plain if isinstance(exponent, int) and exponent <= 0 else _EXACT.quantize(plain, Decimal(1))


def write(value: Decimal) -> str:
    """Return the number as text in its one written form, such as ``-0.758`` or ``100``."""
    return _format(canonical(value))


@lru_cache(maxsize=1024)
def _format(value: Decimal) -> str:
    return format(value, "f")


def total(values: Iterable[Decimal]) -> Decimal:
    """Return the exact sum; the sum of nothing is 0."""
    if isinstance(values, list) and len(values) == 1:
        return canonical(values[0])
    result = Decimal(0)
    try:
        for value in values:
            result = _EXACT.add(result, canonical(value))
    except DecimalException as error:
        raise NotExact("the sum has too many digits") from error
    return canonical(result)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact product."""
    try:
        return canonical(_EXACT.multiply(canonical(left), canonical(right)))
    except DecimalException as error:
        raise NotExact("the product has too many digits") from error


def divide(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Return the quotient, rounded once, half to even, where it does not end within twelve decimals.

    Raises:
        NotExact: the denominator is 0, or a number lies outside the limits.
    """
    if not denominator:
        raise NotExact("a quotient by 0 does not exist")
    return from_fraction(Fraction(canonical(numerator)) / Fraction(canonical(denominator)))


def from_fraction(value: Fraction) -> Decimal:
    """Return the fraction as a decimal, rounded once, half to even, where it does not end within twelve decimals."""
    scaled = round(value * _SCALE)
    return canonical(Decimal(scaled).scaleb(-PLACES, _EXACT))
