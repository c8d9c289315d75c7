"""Words for readers: texts in Danish and English, reasons, and numbers as each language writes them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

import msgspec

__all__ = ["Language", "Reason", "Text", "join_words", "write_number"]

Language = Literal["da", "en"]

_SHOWN = Decimal("0.001")
_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN, Emin=-400, Emax=400)


class Text(msgspec.Struct, frozen=True, gc=False):
    """One text in both languages of the product, Danish first."""

    da: str
    en: str

    def read(self, language: Language) -> str:
        """Return the text in that language."""
        return self.da if language == "da" else self.en


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why there is no value or no colour: a stable code, and a clause that finishes a sentence."""

    code: str
    text: Text


def write_number(value: Decimal, language: Language) -> str:
    """Return a number as a reader of the language writes it, with at most three decimals.

    A number that three decimals cannot hold is rounded half to even and marked *ca.* or *about*.
    """
    shown = value
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -3:
        shown = value.quantize(_SHOWN, context=_WIDE)
    text = format(shown, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text == "-0":
        text = "0"
    if language == "da":
        text = text.replace(".", ",")
    if shown != value:
        return f"ca. {text}" if language == "da" else f"about {text}"
    return text


def join_words(words: Sequence[str], language: Language) -> str:
    """Return the words as an enumeration: ``a, b og c`` or ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    last = "og" if language == "da" else "and"
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
