"""Dates, times and moments as FHIRPath knows them: partial, compared part by part, with or without an offset."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from typing import Final

__all__ = ["Temporal", "from_datetime", "parse_date", "parse_date_time", "parse_literal", "parse_time"]

#: No place on earth is further from UTC.
_WIDEST_OFFSET: Final = 14 * 60

_DAY = r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?"
_CLOCK = r"(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,30})?))?)?"
_DATE = re.compile(_DAY, re.ASCII)
_DATE_TIME = re.compile(rf"{_DAY}(?:T(?:{_CLOCK}(Z|[+-]\d{{2}}:\d{{2}})?)?)?", re.ASCII)
_TIME = re.compile(rf"T?{_CLOCK}", re.ASCII)

#: The digits a value has at each number of parts: year 4, month 6 ... milliseconds 17.
_DIGITS: Final = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 17), "Time": (2, 4, 9)}


@dataclass(frozen=True, slots=True)
class Temporal:
    """A Date, a DateTime or a Time, as far as it is known.

    ``parts`` begins with the year (the hour for a Time); the last of six (of three) is the seconds with their
    decimals. ``offset`` is minutes east of UTC, or None where none was written.
    """

    kind: str
    parts: tuple[int | Decimal, ...]
    offset: int | None = None

    def __str__(self) -> str:
        clock = self.parts if self.kind == "Time" else self.parts[3:]
        text = (
            ""
            if self.kind == "Time"
            else "-".join(_two(part, 4 if i == 0 else 2) for i, part in enumerate(self.parts[:3]))
        )
        if clock:
            text += ("" if self.kind == "Time" else "T") + ":".join(_two(part) for part in clock)
        if self.offset is not None and clock:
            hours, minutes = divmod(abs(self.offset), 60)
            text += "Z" if self.offset == 0 else f"{'-' if self.offset < 0 else '+'}{hours:02}:{minutes:02}"
        return text

    @property
    def precision(self) -> int:
        """The number of digits: 4 for a year ... 17 for a moment with milliseconds."""
        digits = _DIGITS[self.kind][len(self.parts) - 1]
        return digits - 3 if digits in (17, 9) and not _has_decimals(self.parts[-1]) else digits

    def compare(self, other: Temporal) -> int | None:
        """Give -1, 0 or 1; None where the known parts do not decide."""
        if (self.kind == "Time") != (other.kind == "Time"):
            return None
        if self.offset is None and other.offset is None:
            return _compare_parts(self.parts, other.parts)
        if self.offset is not None and other.offset is not None:
            return _compare_parts(self._in_utc(), other._in_utc())
        ours, theirs = self._span(), other._span()
        if ours[1] < theirs[0]:
            return -1
        return 1 if theirs[1] < ours[0] else None

    def comparable_with(self, other: Temporal) -> bool:
        """Tell whether the two are of kinds that may be compared at all."""
        return (self.kind == "Time") == (other.kind == "Time")

    def _in_utc(self) -> tuple[int | Decimal, ...]:
        if not self.offset or len(self.parts) < 5:
            return self.parts
        year, month, day, hour, minute = (int(part) for part in self.parts[:5])
        try:
            moved = datetime(year, month, day, hour, minute) - timedelta(minutes=self.offset)  # noqa: DTZ001
        except OverflowError:
            return self.parts
        return (moved.year, moved.month, moved.day, moved.hour, moved.minute, *self.parts[5:])

    def _span(self) -> tuple[Decimal, Decimal]:
        """The seconds between which the moment lies, whatever its offset may be."""
        slack = 0 if self.offset is not None else _WIDEST_OFFSET
        moment = Temporal(self.kind, self._in_utc())
        first, last = moment.boundary(17, low=True), moment.boundary(17, low=False)
        return _seconds(first.parts) - slack * 60, _seconds(last.parts) + slack * 60

    def boundary(self, digits: int, *, low: bool) -> Temporal:
        """Give the earliest or latest value this may stand for, written with that many digits.

        ``digits`` is one of the numbers of ``precision``, or 14 (6 for a Time) for whole seconds; the caller checks.
        """
        table = (2, 4, 9) if self.kind == "Time" else (4, 6, 8, 10, 12, 17)
        parts = list(self.parts)
        ends = (0, 0, 0) if self.kind == "Time" else (1, 1, 1, 0, 0, 0)
        while len(parts) < len(table):
            at = len(parts) + (3 if self.kind == "Time" else 0)
            if low:
                parts.append(ends[len(parts)])
            elif at == 2:
                parts.append(monthrange(int(parts[0]), int(parts[1]))[1])
            else:
                parts.append((0, 12, 0, 23, 59, 59)[at])
        if digits in (14, 6) and digits not in table:
            parts[-1] = Decimal(int(parts[-1]))
            return Temporal(self.kind, tuple(parts), self.offset)
        seconds = Decimal(parts[-1])
        if not _has_decimals(seconds):
            seconds = seconds.quantize(Decimal("0.001")) + (0 if low else Decimal("0.999"))
        parts[-1] = seconds
        return Temporal(self.kind, tuple(parts[: table.index(digits) + 1]), self.offset)

    def plus(self, amount: Decimal, unit: str) -> Temporal | None:
        """Move by an amount of a calendar unit (year ... millisecond); None where the result is no valid value.

        Where the unit is finer than what is known, the amount is first turned into the finest known unit, a month
        counting 30 days and a year 365. Fractions count for seconds and milliseconds only.
        """
        if self.kind == "Time":
            return self._turn(amount, unit)
        if unit == "week":
            amount, unit = amount.to_integral_value(ROUND_DOWN) * 7, "day"
        if unit == "millisecond":
            amount, unit = amount / 1000, "second"
        finest = _UNITS[min(len(self.parts), 6) - 1]
        if _UNITS.index(unit) > _UNITS.index(finest):
            amount, unit = _coarsen(amount, unit, finest), finest
        if unit != "second":
            amount = amount.to_integral_value(ROUND_DOWN)
        elif not _has_decimals(amount):
            amount = amount.to_integral_value()
        try:
            return self._moved(amount, unit)
        except (OverflowError, ValueError):
            return None

    def _moved(self, amount: Decimal, unit: str) -> Temporal:
        parts = list(self.parts)
        if unit in ("year", "month"):
            months = int(parts[0]) * 12 + (int(parts[1]) - 1 if len(parts) > 1 else 0)
            months += int(amount) * (12 if unit == "year" else 1)
            year, month = divmod(months, 12)
            if not 1 <= year <= 9999:
                raise OverflowError
            parts[0] = year
            if len(parts) > 1:
                parts[1] = month + 1
            if len(parts) > 2:
                parts[2] = min(int(parts[2]), monthrange(year, month + 1)[1])
            return Temporal(self.kind, tuple(parts), self.offset)
        known = len(parts)
        whole = [int(part) for part in parts] + [1, 1, 1, 0, 0, 0][known:]
        fraction = Decimal(parts[5]) % 1 if known == 6 else Decimal(0)
        if unit == "second":
            fraction += amount % 1
            carry = fraction // 1
            fraction -= carry
            if fraction < 0:
                fraction, carry = fraction + 1, carry - 1
            step = timedelta(seconds=int(amount.to_integral_value(ROUND_DOWN)) + int(carry))
        else:
            step = timedelta(**{f"{unit}s": int(amount)})
        moved = datetime(*whole) + step  # type: ignore[arg-type]  # noqa: DTZ001
        fields: list[int | Decimal] = [moved.year, moved.month, moved.day, moved.hour, moved.minute]
        fields.append(Decimal(moved.second) + fraction)
        return Temporal(self.kind, tuple(fields[:known]), self.offset)

    def _turn(self, amount: Decimal, unit: str) -> Temporal | None:
        """Move round the clock; None for units longer than an hour."""
        size = _CLOCK_UNITS.get(unit)
        if size is None:
            return None
        if unit in ("hour", "minute"):
            amount = amount.to_integral_value(ROUND_DOWN)
        seconds = amount * size
        finest = (3600, 60, 0)[len(self.parts) - 1]
        if finest:
            seconds = (seconds / finest).to_integral_value(ROUND_DOWN) * finest
        total = sum(Decimal(part) * scale for part, scale in zip(self.parts, (3600, 60, 1), strict=False)) + seconds
        total = total % 86400
        if total < 0:
            total += 86400
        minutes, rest = divmod(total, 60)
        fields: tuple[int | Decimal, ...] = (int(minutes) // 60, int(minutes) % 60, rest)
        return Temporal(self.kind, fields[: len(self.parts)])

    def as_date(self) -> Temporal:
        """Give the day of a moment, without moving it between offsets."""
        return self if self.kind == "Date" else Temporal("Date", self.parts[:3])

    def as_date_time(self) -> Temporal:
        """Give a Date as the partial moment it is."""
        return self if self.kind == "DateTime" else Temporal("DateTime", self.parts)


_CLOCK_UNITS: Final = {
    "hour": Decimal(3600),
    "minute": Decimal(60),
    "second": Decimal(1),
    "millisecond": Decimal("0.001"),
}
_UNITS: Final = ("year", "month", "day", "hour", "minute", "second")


def _coarsen(amount: Decimal, unit: str, finest: str) -> Decimal:
    """Turn an amount into a coarser unit, by the shortest chain."""
    days = {"day": Decimal(1), "hour": Decimal(24), "minute": Decimal(1440), "second": Decimal(86400)}
    if unit == "month":
        return amount / 12
    if finest in days:
        return amount * days[finest] / days[unit]
    return (amount / days[unit]).to_integral_value(ROUND_DOWN) / (365 if finest == "year" else 30)


def _two(part: int | Decimal, width: int = 2) -> str:
    if isinstance(part, int):
        return f"{part:0{width}}"
    whole, dot, decimals = format(part, "f").partition(".")
    return whole.zfill(2) + dot + decimals


def _has_decimals(number: int | Decimal) -> bool:
    return isinstance(number, Decimal) and int(number.as_tuple().exponent) < 0


def _compare_parts(ours: tuple[int | Decimal, ...], theirs: tuple[int | Decimal, ...]) -> int | None:
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            return -1 if our < their else 1
    return 0 if len(ours) == len(theirs) else None


def _seconds(parts: tuple[int | Decimal, ...]) -> Decimal:
    year, month, day, hour, minute = (int(part) for part in parts[:5])
    return Decimal(date(year, month, day).toordinal()) * 86400 + hour * 3600 + minute * 60 + Decimal(parts[5])


def _valid(kind: str, groups: tuple[str | None, ...]) -> Temporal | None:
    texts = [text for text in groups if text is not None]
    parts: list[int | Decimal] = [int(text) for text in texts[:5]]
    if len(texts) == 6:
        parts.append(Decimal(texts[5]))
    defaults: list[int | Decimal] = [1, 1, 1, 0, 0, 0]
    year, month, day, hour, minute, second = parts + defaults[len(parts) :]
    if not (hour <= 23 and minute <= 59 and second < 60 and 1 <= month <= 12 and year >= 1):
        return None
    if not 1 <= day <= monthrange(int(year), int(month))[1]:
        return None
    return Temporal(kind, tuple(parts))


@lru_cache(maxsize=4096)
def parse_date(text: str) -> Temporal | None:
    """Read ``2026``, ``2026-11`` or ``2026-11-23``; None for anything else and for days that do not exist."""
    match = _DATE.fullmatch(text)
    return _valid("Date", match.groups()) if match else None


@lru_cache(maxsize=4096)
def parse_date_time(text: str) -> Temporal | None:
    """Read a moment, partial or whole, with or without an offset; None for anything else."""
    match = _DATE_TIME.fullmatch(text)
    if not match:
        return None
    *groups, offset = match.groups()
    if groups[3] is not None and groups[2] is None:
        return None
    value = _valid("DateTime", tuple(groups))
    if value is None or offset is None:
        return value
    if offset == "Z":
        return Temporal("DateTime", value.parts, 0)
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours * 60 + minutes > _WIDEST_OFFSET or minutes > 59:
        return None
    return Temporal("DateTime", value.parts, (hours * 60 + minutes) * (-1 if offset[0] == "-" else 1))


@lru_cache(maxsize=4096)
def parse_time(text: str) -> Temporal | None:
    """Read a time of day, partial or whole, without an offset; None for anything else."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    hour, minute, second = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or Decimal(second or 0) >= 60:
        return None
    parts: list[int | Decimal] = [int(hour)]
    if minute is not None:
        parts.append(int(minute))
    if second is not None:
        parts.append(Decimal(second))
    return Temporal("Time", tuple(parts))


def parse_literal(text: str) -> Temporal | None:
    """Read a literal with its ``@``; None where it names no date or time."""
    if text.startswith("@T"):
        return parse_time(text[1:])
    return parse_date_time(text[1:]) if "T" in text else parse_date(text[1:])


def from_datetime(moment: datetime) -> Temporal:
    """Give a moment with milliseconds and the offset of ``moment``, which must have one."""
    shift = moment.utcoffset()
    offset = None if shift is None else int(shift.total_seconds() // 60)
    seconds = Decimal(moment.second) + Decimal(moment.microsecond // 1000).scaleb(-3)
    seconds = seconds.quantize(Decimal("0.001"))
    return Temporal("DateTime", (moment.year, moment.month, moment.day, moment.hour, moment.minute, seconds), offset)
