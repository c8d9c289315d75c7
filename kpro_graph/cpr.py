"""CPR numbers: read, described, and kept out of every text.

A `Cpr` is made by `parse` and shows itself only where ``digits`` is asked for by name. `redact` and `CprRedaction`
hide whatever looks like one in texts and log records; in doubt they hide.

Four kinds are read. Sources: cpr.dk on the number's structure and on substitute numbers (the day raised by 60);
the health sector's agreement on eCPR formats, DDMMYYCAAG, where C tells the century and the national register
(X-eCPR: 1, 7) from the regions' own numbers (D-eCPR: 5, 0, 6). Modulus 11 is not asked for: it has not been
guaranteed since 2007. Where a birth date was unknown, an eCPR number holds the day it was issued.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from unicodedata import decimal
from urllib.parse import unquote_plus

from kpro_graph.errors import Rejected

__all__ = [
    "MASK",
    "Cpr",
    "CprInvalid",
    "CprKind",
    "CprReason",
    "CprRedaction",
    "Sex",
    "find",
    "hyphenate",
    "parse",
    "redact",
    "stands_in_address",
]

MASK = "******-****"


class CprKind(StrEnum):
    """Who issued the number. Substitutes and eCPR stand for people without a number in the CPR register."""

    CPR = "CPR"
    SUBSTITUTE = "SUBSTITUTE"
    X_ECPR = "X_ECPR"
    D_ECPR = "D_ECPR"


class Sex(StrEnum):
    """What the last digit says: odd is male. It is the number's word, not the person's."""

    FEMALE = "FEMALE"
    MALE = "MALE"


class CprReason(StrEnum):
    """Why a text is no CPR number."""

    FORM = "FORM"
    DATE = "DATE"
    FUTURE = "FUTURE"


_REASONS = {
    CprReason.FORM: (
        "CPR-nummeret skal skrives DDMMÅÅ-LLLL.",
        "The CPR number does not have the form DDMMYY-SSSS.",
    ),
    CprReason.DATE: (
        "CPR-nummeret begynder med en dato, der ikke findes.",
        "The CPR number begins with a date that does not exist.",
    ),
    CprReason.FUTURE: (
        "CPR-nummerets fødselsdato ligger i fremtiden.",
        "The CPR number's birth date lies in the future.",
    ),
}


class CprInvalid(Rejected):
    """The text is not a CPR number. The text itself is kept nowhere in the error."""

    code = "INVALID_CPR"

    def __init__(self, reason: CprReason) -> None:
        self.da, self.en = _REASONS[reason]
        super().__init__(path="cpr")
        self.reason = reason


@dataclass(frozen=True, slots=True, repr=False)
class Cpr:
    """A well-formed CPR number. ``digits`` is its canonical text: ten characters, no hyphen, letters in upper case."""

    digits: str
    kind: CprKind
    birth_date: date
    sex: Sex = field(compare=False)

    @property
    def hyphenated(self) -> str:
        """Return the number as people write it, DDMMYY-SSSS, for those who may see it."""
        return hyphenate(self.digits)

    def __repr__(self) -> str:
        return f"Cpr({MASK})"

    __str__ = __repr__


def hyphenate(digits: str) -> str:
    """Return canonical digits as people write them, DDMMYY-SSSS, for those who may see them."""
    return f"{digits[:6]}-{digits[6:]}"


_FORM = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})-?(?:([0-9])[0-9]{3}|([0-9])[A-Z]{2}[0-9])")
_ECPR = {
    "1": (CprKind.X_ECPR, 1900),
    "7": (CprKind.X_ECPR, 2000),
    "5": (CprKind.D_ECPR, 1800),
    "0": (CprKind.D_ECPR, 1900),
    "6": (CprKind.D_ECPR, 2000),
}


def parse(text: str, *, today: date | None = None) -> Cpr:
    """Read a CPR number, substitute number or eCPR number, with or without its hyphen.

    ``today`` (default: Denmark's date) bounds the birth date. Raises `CprInvalid`, which never holds the text.
    """
    # Only ASCII: some other letters become A to Z in upper case.
    form = _FORM.fullmatch(text.strip().upper()) if text.isascii() else None
    if form is None:
        raise CprInvalid(CprReason.FORM)
    day, month, year = (int(form[place]) for place in (1, 2, 3))
    if form[5] is None:
        kind, century = CprKind.CPR, _century(year, int(form[4]))
        if day > 60:
            kind, day = CprKind.SUBSTITUTE, day - 60
    elif form[5] in _ECPR:
        kind, century = _ECPR[form[5]]
    else:
        raise CprInvalid(CprReason.FORM)
    try:
        born = date(century + year, month, day)
    except ValueError:
        # Without a cause: the interpreter's own message is not ours to vouch for.
        raise CprInvalid(CprReason.DATE) from None
    if born > (_denmarks_date() if today is None else today):
        raise CprInvalid(CprReason.FUTURE)
    digits = form[0].replace("-", "")
    return Cpr(digits, kind, born, Sex.MALE if int(digits[-1]) % 2 else Sex.FEMALE)


def _century(year: int, seventh: int) -> int:
    if seventh <= 3:
        return 1900
    if seventh in (4, 9):
        return 2000 if year <= 36 else 1900
    return 2000 if year <= 57 else 1800


def _denmarks_date() -> date:
    # Two hours is Denmark's summer time: a child born just after midnight is never in the future.
    return (datetime.now(UTC) + timedelta(hours=2)).date()


# What looks like a CPR number in a text. Escapes count as separators and as boundaries, because texts arrive
# percent-encoded in paths, as entities in pages and escaped in reprs: ``\n0101701234``, ``010170%2D1234``.
_DAY, _MONTH = r"(?:0[1-9]|[12][0-9]|3[01]|6[1-9]|[78][0-9]|9[01])", r"(?:0[1-9]|1[0-2])"
_DATE = rf"{_DAY}{_MONTH}[0-9]{{2}}"
_SERIAL = r"[0-9](?:[0-9]{3}|[A-Za-z]{2}[0-9]|[0-9]\ [0-9]{2})(?![0-9])"
_ESCAPE = (
    r"%(?:25){0,3}[0-9A-Fa-f]{2}|\\{1,4}(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[nrt])"
    r"|&(?:[a-z]{2,8}|\#[0-9]{2,5}|\#x[0-9A-Fa-f]{2,4});"
)
# Among them the soft hyphen and what has no width.
_BETWEEN = rf"(?:[\s+\-./_:,\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff]|{_ESCAPE}){{1,9}}"
_START = r"(?:(?<![0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
# A fraction of a second or a compact time of day, followed by an offset or a process id, is no CPR number.
_NO_TIME = r"(?<!:[0-9]{2}[.,])(?<![0-9]T)"
_PATTERN = re.compile(
    rf"""
    (?P<kept>
        (?<![0-9A-Za-z])(?:
            [0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}    # a UUID
          | (?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{{16,}}                            # a hash, a trace id
        )(?![0-9A-Za-z])
    )
    | (?P<label>(?i:cpr)(?i:[-_\ ]?(?:nr|no|number|nummer))?(?:{_ESCAPE}|[^0-9A-Za-z]){{0,6}})
        [0-9]{{5}}-?[0-9]{{4}}(?![0-9])                                     # a lost first zero
    | {_START}{_DATE}{_SERIAL}
    | {_START}{_NO_TIME}{_DATE}{_BETWEEN}{_SERIAL}
    | {_START}{_DAY}(?P<point>[\ ./-]){_MONTH}(?P=point)(?:18|19|20)?[0-9]{{2}}[\ ./-]{{1,3}}{_SERIAL}
    | {_START}{_NO_TIME}[0-9]{{6}}-[0-9]{{4}}(?![0-9])                      # mistyped, and still someone's
    """,
    re.VERBOSE,
)


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of everything in the text that looks like a CPR number."""
    for match in _PATTERN.finditer(_in_our_digits(text)):
        if match["kept"] is None:
            yield match.end("label") if match["label"] else match.start(), match.end()


def redact(text: str) -> str:
    """Return the text with everything that looks like a CPR number masked."""
    places = list(find(text))
    if not places:
        return text
    parts, kept = [], 0
    for start, end in places:
        parts += [text[kept:start], MASK]
        kept = end
    return "".join([*parts, text[kept:]])


def stands_in_address(query: bytes) -> bool:
    """Say whether the query of an address holds what looks like a CPR number, however often it is percent-encoded."""
    text = query.decode("latin-1")
    for _ in range(_DEEPEST):
        if next(find(text), None) is not None:
            return True
        text, before = unquote_plus(text), text
        if text == before:
            return False
    return True


def _in_our_digits(text: str) -> str:
    """Return a text of the same length in which every script's digits are 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(decimal(sign)) if sign.isdecimal() else sign for sign in text)


class CprRedaction(logging.Filter):
    """Mask CPR numbers in log records: message, arguments, exception, stack and extra fields.

    It belongs on every handler: a logger's filters do not see the records of the loggers below it. The exception
    is kept as masked text only (``exc_text``), so that no later handler can format the original.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place and let it pass."""
        record.msg = _clean(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_clean(argument) for argument in record.args)
        elif record.args:
            record.args = {name: _clean(argument) for name, argument in record.args.items()}
        for name in vars(record).keys() - _RECORD_FIELDS:
            setattr(record, name, _clean(getattr(record, name)))
        if record.exc_info:
            record.exc_text = record.exc_text or _PLAIN.formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        self._clean_composed(record)
        return True

    @staticmethod
    def _clean_composed(record: logging.LogRecord) -> None:
        # Halves in two arguments make a whole in the message.
        try:
            message = record.getMessage()
        except Exception:  # a faulty call is the handler's to report, with arguments already masked
            return
        masked = redact(message)
        if masked != message:
            record.msg, record.args = masked, ()


_PLAIN = logging.Formatter()
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_DEEPEST = 8


class _HiddenNumber(int):
    """A number that looked like a CPR number: zero where digits are asked for, else the mask."""

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__


@dataclass(frozen=True, slots=True, repr=False)
class _HiddenObject:
    """An object whose text held a CPR number, reduced to its masked texts."""

    shown: str
    detailed: str

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return self.detailed


def _clean(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, bool):
        return value
    try:
        shown, detailed = str(value), repr(value)
    except Exception:  # whatever a foreign object's repr raises
        return f"<{type(value).__name__} without text>"
    masked = _HiddenObject(redact(shown), redact(detailed))
    if (masked.shown, masked.detailed) == (shown, detailed):
        return value
    if isinstance(value, int | float):
        return _HiddenNumber()
    if depth < _DEEPEST:
        if type(value) is dict:
            return {_clean(key, depth + 1): _clean(member, depth + 1) for key, member in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(_clean(member, depth + 1) for member in value)  # type: ignore[call-arg,attr-defined]
    return masked
