"""Patterns written by questionnaire authors, matched in time linear in the answer.

Authors are outsiders: a pattern that could make a backtracking engine run for hours is harmless here, and one that
needs backtracking (a look-around, a back-reference) is refused with the reason.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast

import re2

__all__ = ["Pattern", "PatternInvalid", "compile_pattern"]

_LENGTH = 4_000
_WRAPPERS = (("matches('", "')"), ('matches("', '")'))


class PatternInvalid(ValueError):
    """The pattern cannot be used; the message says why."""


class Pattern(Protocol):
    """A compiled pattern."""

    def fullmatch(self, text: str) -> object | None:
        """Return something where the whole text matches, else None."""


def unwrap(text: str) -> str:
    """Return the pattern itself where an author wrote it as the FHIRPath call ``matches('…')``."""
    stripped = text.strip()
    for opening, closing in _WRAPPERS:
        if stripped.startswith(opening) and stripped.endswith(closing):
            return stripped[len(opening) : -len(closing)].replace("\\\\", "\\")
    return text


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> Pattern:
    """Compile an author's pattern; it is to match the whole answer.

    Raises:
        PatternInvalid: it is too long, malformed, or needs more than a linear-time engine offers.
    """
    if len(text) > _LENGTH:
        raise PatternInvalid(f"it is longer than {_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 2 << 20
    try:
        return cast(Pattern, re2.compile(unwrap(text), options))
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else "it cannot be compiled"
        raise PatternInvalid(said) from None
