"""Amounts with a unit: compared, converted and reckoned with, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from .units import CALENDAR_SECONDS, CALENDAR_SINGULAR, Unit, combine, read_unit

__all__ = ["CALENDAR_UNITS", "EXACT", "UCUM", "Quantity"]

#: All arithmetic runs with this many digits, the least FHIRPath asks for; overflow raises.
EXACT: Final = Context(prec=28, Emin=-999_999, Emax=999_999)

UCUM: Final = "http://unitsofmeasure.org"
CALENDAR_UNITS: Final = "http://hl7.org/fhirpath/CodeSystem/calendar-units"

_MONTHS: Final = {"year": Fraction(12), "month": Fraction(1)}
_CODES: Final = {
    "year": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount in a UCUM unit, or in a calendar unit such as ``days``."""

    value: Decimal
    unit: str
    calendar: bool = False

    def __str__(self) -> str:
        amount = format(self.value, "f")
        return f"{amount} {self.unit}" if self.calendar else f"{amount} '{self.unit}'"

    def as_json(self) -> dict[str, object]:
        """Give the FHIR Quantity."""
        if self.calendar:
            code = CALENDAR_SINGULAR[self.unit]
            return {"value": self.value, "unit": self.unit, "system": CALENDAR_UNITS, "code": code}
        return {"value": self.value, "unit": self.unit, "system": UCUM, "code": self.unit}

    @property
    def calendar_unit(self) -> str | None:
        """The calendar unit to move a date by; None where the unit is no such length of time."""
        if self.calendar:
            return CALENDAR_SINGULAR[self.unit]
        return next((word for word, code in _CODES.items() if code == self.unit and word not in _MONTHS), None)

    def _scale(self) -> Unit | None:
        """Years and months of the calendar are a dimension of their own: no number of days is equal to them."""
        if not self.calendar:
            return read_unit(self.unit)
        word = CALENDAR_SINGULAR[self.unit]
        if word in _MONTHS:
            return Unit(_MONTHS[word], (("calendar month", 1),))
        return Unit(CALENDAR_SECONDS[word], (("s", 1),))

    def same_unit(self, other: Quantity) -> bool:
        """Tell whether both are written in one unit."""
        ours = CALENDAR_SINGULAR[self.unit] if self.calendar else self.unit
        theirs = CALENDAR_SINGULAR[other.unit] if other.calendar else other.unit
        return self.calendar == other.calendar and ours == theirs

    def comparable(self, other: Quantity) -> bool:
        """Tell whether the units measure the same."""
        if self.same_unit(other):
            return True
        ours, theirs = self._scale(), other._scale()
        return ours is not None and theirs is not None and ours.dimensions == theirs.dimensions

    def compare(self, other: Quantity) -> int | None:
        """Give -1, 0 or 1; None where the units do not measure the same."""
        if self.same_unit(other):
            return (self.value > other.value) - (self.value < other.value)
        ours, theirs = self._scale(), other._scale()
        if ours is None or theirs is None or ours.dimensions != theirs.dimensions:
            return None
        left = Fraction(self.value) * ours.factor + ours.offset
        right = Fraction(other.value) * theirs.factor + theirs.offset
        return (left > right) - (left < right)

    def in_least_granular(self, other: Quantity) -> tuple[Decimal, Decimal] | None:
        """Give both values in the larger of the two units, a calendar year standing for 1 'a'; None where none is."""
        if self.same_unit(other):
            return self.value, other.value
        ours, theirs = self._definite(), other._definite()
        left, right = ours._scale(), theirs._scale()
        if left is None or right is None or left.dimensions != right.dimensions:
            return None
        if left.factor >= right.factor:
            turned = theirs.to(ours.unit)
            return None if turned is None else (self.value, turned.value)
        turned = ours.to(theirs.unit)
        return None if turned is None else (turned.value, other.value)

    def _definite(self) -> Quantity:
        return Quantity(self.value, _CODES[CALENDAR_SINGULAR[self.unit]]) if self.calendar else self

    def to(self, unit: str) -> Quantity | None:
        """Convert to a UCUM code or a calendar word; None where that is not possible."""
        calendar = unit in CALENDAR_SINGULAR
        target = Quantity(Decimal(1), unit, calendar)
        if self.same_unit(target):
            return Quantity(self.value, unit, calendar)
        if self.calendar:
            return self._from_calendar(target)
        if calendar:
            definite = self.to(_CODES[CALENDAR_SINGULAR[unit]])
            return None if definite is None else Quantity(definite.value, unit, calendar=True)
        ours, theirs = self._scale(), target._scale()
        if ours is None or theirs is None or ours.dimensions != theirs.dimensions:
            return None
        return Quantity(
            _decimal((Fraction(self.value) * ours.factor + ours.offset - theirs.offset) / theirs.factor), unit
        )

    def _from_calendar(self, target: Quantity) -> Quantity | None:
        """Convert within the calendar, where a month has 30 days and a year 365, then change the system."""
        ours = CALENDAR_SINGULAR[self.unit]
        word = (
            CALENDAR_SINGULAR[target.unit]
            if target.calendar
            else next((word for word, code in _CODES.items() if code == target.unit), None)
        )
        if word is None:
            return None
        if ours in _MONTHS and word in _MONTHS:
            factor = _MONTHS[ours] / _MONTHS[word]
        else:
            seconds = {**CALENDAR_SECONDS, "month": Fraction(30 * 86400), "year": Fraction(365 * 86400)}
            factor = seconds[ours] / seconds[word]
        return Quantity(_decimal(Fraction(self.value) * factor), target.unit, target.calendar)

    def plus(self, other: Quantity) -> Quantity | None:
        """Add in the smaller unit; None where the units do not measure the same, or are years or months."""
        if self.same_unit(other):
            return Quantity(EXACT.add(self.value, other.value), self.unit, self.calendar)
        ours, theirs = self._scale(), other._scale()
        if ours is None or theirs is None or ours.dimensions != theirs.dimensions or ours.offset or theirs.offset:
            return None
        if self.calendar and ours.dimensions != (("s", 1),):
            return None
        finer = self if ours.factor <= theirs.factor else other
        value = _decimal(
            (Fraction(self.value) * ours.factor + Fraction(other.value) * theirs.factor)
            / min(ours.factor, theirs.factor)
        )
        if self.calendar == other.calendar or finer.calendar:
            return Quantity(value, finer.unit, finer.calendar)
        word = finer.calendar_unit
        return None if word is None else Quantity(value, word if abs(value) == 1 else f"{word}s", calendar=True)

    def times(self, other: Quantity) -> Quantity | None:
        """Multiply, units and all; None where a unit is a calendar's, special or opaque."""
        return self._combined(other, 1, EXACT.multiply(self.value, other.value))

    def over(self, other: Quantity) -> Quantity | None:
        """Divide, units and all; None as in :meth:`times`, and by zero."""
        return self._combined(other, -1, EXACT.divide(self.value, other.value)) if other.value else None

    def _combined(self, other: Quantity, sign: int, value: Decimal) -> Quantity | None:
        if other.unit == "1" and not other.calendar:
            return Quantity(value, self.unit, self.calendar)
        if self.unit == "1" and sign == 1 and not self.calendar:
            return Quantity(value, other.unit, other.calendar)
        if self.calendar or other.calendar:
            return None
        if self.unit == other.unit and sign == -1:
            return Quantity(value, "1")
        unit = combine(self.unit, other.unit, sign)
        return None if unit is None else Quantity(value, unit)


def _decimal(number: Fraction) -> Decimal:
    return EXACT.divide(Decimal(number.numerator), Decimal(number.denominator))
