"""The functions an expression may call, and what they share: limits, single values, the way they are declared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from .nodes import Collection, ExpressionFailed, Node, fhir_type, value_of

__all__ = [
    "FUNCTIONS",
    "Environment",
    "Function",
    "Start",
    "function",
    "nearest",
    "one",
    "one_integer",
    "one_number",
    "one_text",
    "truth",
]

#: The work one evaluation may do, in steps of roughly a microsecond or less, and its wall-clock limit in seconds.
#: The steps decide alike on every machine; the clock is looked at only where steps run short of it.
MAX_STEPS: Final = 500_000
MAX_SECONDS: Final = 0.8
_STEPS_BETWEEN_LOOKS: Final = 2_000

#: A text longer than this is not built.
MAX_TEXT: Final = 1_000_000

Start: TypeAlias = "Callable[[Environment, Collection], Collection]"


class Environment:
    """What one evaluation knows and may spend."""

    __slots__ = ("_deadline", "_left", "_looks", "index", "now", "total", "variables")

    def __init__(self, variables: Mapping[str, Collection], now: datetime | None) -> None:
        self.variables = variables
        self.now = now
        self.index = 0
        self.total: Collection | None = None
        self._left = _STEPS_BETWEEN_LOOKS
        self._looks = MAX_STEPS // _STEPS_BETWEEN_LOOKS
        self._deadline = 0.0

    def spend(self, steps: int) -> None:
        """Count work done; raise where the evaluation has done too much of it or runs too long."""
        self._left -= steps
        if self._left >= 0:
            return
        now = time.perf_counter()
        if not self._deadline:
            self._deadline = now + MAX_SECONDS
        self._looks -= 1 + -self._left // _STEPS_BETWEEN_LOOKS
        self._left = _STEPS_BETWEEN_LOOKS
        if self._looks < 0 or now > self._deadline:
            raise ExpressionFailed("the evaluation takes too long")

    def room(self, length: int) -> None:
        """Count a text of that length; raise where it is too long to be built."""
        if length > MAX_TEXT:
            raise ExpressionFailed(f"a text longer than {MAX_TEXT} characters would be built")
        self.spend(length >> 6)

    def text(self, text: str) -> str:
        """Pass on a text that was built, unless it has grown too long."""
        self.room(len(text))
        return text


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how its arguments are handed over, how many it must have, and what it gives.

    Each kind of argument is ``value`` (evaluated where the path began), ``each`` (handed over as it is, to be
    evaluated with another ``$this``), ``lazy`` (likewise, where the path began), ``type``, or ``key`` (as often as
    wanted: a pair of an expression and what makes it descend, ``desc`` or ``-``, else nothing).
    ``gives`` is the type of the result for the check of names: a type, ``input`` for that of the input, ``any``,
    or ``each`` for that of its first argument.
    """

    name: str
    run: Callable[..., Collection]
    kinds: tuple[str, ...]
    required: int
    gives: str

    def accepts(self, count: int) -> bool:
        """Tell whether that many arguments may stand in the parentheses."""
        if self.kinds and self.kinds[-1] in ("key", "lazy"):
            return count >= self.required
        return self.required <= count <= len(self.kinds)

    def kind(self, position: int) -> str:
        """Give how the argument at that position is handed over."""
        return self.kinds[min(position, len(self.kinds) - 1)]


FUNCTIONS: Final[dict[str, Function]] = {}


def function(
    *names: str, takes: tuple[str, ...] = (), required: int | None = None, gives: str = "any"
) -> Callable[[Callable[..., Collection]], Callable[..., Collection]]:
    """Declare a function of the language under its names; ``required`` defaults to all its arguments."""

    def declare(run: Callable[..., Collection]) -> Callable[..., Collection]:
        for name in names:
            FUNCTIONS[name] = Function(name, run, takes, len(takes) if required is None else required, gives)
        return run

    return declare


def nearest(name: str, names: Iterable[str]) -> str:
    """Give the end of a message that names the most similar of the names; nothing where none is similar."""
    by_folded = {known.lower(): known for known in sorted(names)}
    close = get_close_matches(name, by_folded.values(), 1)
    if not close:
        close = [by_folded[folded] for folded in get_close_matches(name.lower(), by_folded, 1)]
    return f"; the nearest is '{close[0]}'" if close else ""


def one(items: Collection, what: str) -> Any:
    """Give the value of the only item, None where there is none; raise where there are several."""
    if not items:
        return None
    if len(items) > 1:
        raise ExpressionFailed(f"{what} is for one item, and there are {len(items)}")
    return value_of(items[0])


def one_text(items: Collection, what: str) -> str | None:
    """Give the only item as text; raise where it is anything else."""
    value = one(items, what)
    if value is None or isinstance(value, str):
        return value
    raise ExpressionFailed(f"{what} is for text, and not for {described(items[0])}")


def one_integer(items: Collection, what: str) -> int | None:
    """Give the only item as a whole number; raise where it is anything else."""
    value = one(items, what)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ExpressionFailed(f"{what} is for a whole number, and not for {described(items[0])}")


def one_number(items: Collection, what: str) -> int | Decimal | None:
    """Give the only item as a number; raise where it is anything else."""
    value = one(items, what)
    if value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        return value
    raise ExpressionFailed(f"{what} is for numbers, and not for {described(items[0])}")


def truth(items: Collection, what: str) -> bool | None:
    """Judge a collection: None where empty, the boolean itself, True for any other single item."""
    if not items:
        return None
    if len(items) > 1:
        raise ExpressionFailed(f"{what} is judged true or false, and there are {len(items)} items")
    item = items[0]
    value = item.value if item.__class__ is Node else item
    return value if isinstance(value, bool) else True


def described(item: Any) -> str:
    """Name the type of an item for a message, never its value."""
    named = fhir_type(item)
    if named is None:
        return "an object"
    return f"{'an' if named.name[0] in 'AEIOUaeiou' else 'a'} {named.name}"
