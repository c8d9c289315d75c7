"""Specimens: texts that match a pattern, made from the pattern itself.

Each part of a pattern gives a few texts, the shortest first; sequences and alternatives combine them. Nothing here
decides whether a text matches: that is asked of the pattern afterwards, so a part that is not understood costs a
specimen, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from kpro_graph.questionnaires.patterns import PatternInvalid, compile_pattern, unwrap

__all__ = ["match_specimens"]

_MOST = 24
_LONGEST = 400
_ESCAPES = {"d": "1025", "w": "a1_", "s": " ", "D": "a ", "W": " -", "S": "a1", "t": "\t", "n": "\n", "r": "\r"}
_CLASSES = {
    "[:alpha:]": "aA",
    "[:digit:]": "1025",
    "[:alnum:]": "a1",
    "[:upper:]": "A",
    "[:lower:]": "a",
    "[:space:]": " ",
    "[:punct:]": "-",
    "[:word:]": "a1_",
}
_PROPERTIES = {"L": "aA", "Lu": "A", "Ll": "a", "N": "1", "Nd": "1", "P": "-", "Z": " ", "Zs": " "}
_ANY = "a1 -@.AåÆ/:+"


def match_specimens(pattern: str, *, least: int = 0, most: int | None = None) -> Iterator[str]:
    """Yield texts that match the pattern and keep the lengths; nothing where none was found, or it is no pattern."""
    try:
        compiled = compile_pattern(pattern)
    except PatternInvalid:
        return
    seen: set[str] = set()
    for extra in dict.fromkeys((0, least // 4, least // 2, least, (most or 0) // 4, most or 0)):
        for text in _Grammar(unwrap(pattern), min(extra, _LONGEST)).texts():
            if text in seen or len(text) < least or (most is not None and len(text) > most):
                continue
            seen.add(text)
            if compiled.fullmatch(text):
                yield text


@dataclass
class _Grammar:
    """A pattern being read from the left; ``wanted`` is how often a part without an upper limit is repeated at most."""

    pattern: str
    wanted: int
    at: int = 0
    ignoring_case: bool = False

    def texts(self) -> list[str]:
        try:
            return self.alternatives()
        except (IndexError, ValueError):
            return []

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        character = self.pattern[self.at]
        self.at += 1
        return character

    def alternatives(self) -> list[str]:
        found = self.sequence()
        while self.peek() == "|":
            self.take()
            found = [*found, *self.sequence()]
        return list(dict.fromkeys(found))[:_MOST]

    def sequence(self) -> list[str]:
        found = [""]
        while self.peek() not in ("", "|", ")"):
            part = self.repeated(self.atom())
            found = list(dict.fromkeys(islice((a + b for a, b in _spread(found, part)), _MOST * 4)))[:_MOST]
        return found

    def repeated(self, part: list[str]) -> list[str]:
        low, high = 1, 1
        match self.peek():
            case "*":
                low, high = 0, self.wanted or 1
            case "+":
                low, high = 1, self.wanted or 2
            case "?":
                low, high = 0, 1
            case "{":
                end = self.pattern.find("}", self.at)
                inner = self.pattern[self.at + 1 : end]
                if end < 0 or not inner.replace(",", "", 1).isdigit():
                    return part
                first, comma, last = inner.partition(",")
                low = int(first or 0)
                high = int(last) if last else (max(low, self.wanted) if comma else low)
                self.at = end
            case _:
                return part
        self.take()
        if self.peek() in ("?", "+"):
            self.take()
        counts = dict.fromkeys((low, max(low, min(high, max(self.wanted, low + 1))), high))
        found = []
        for count in counts:
            if count <= _LONGEST:
                found.extend(_times(part, count)[: _MOST // len(counts)])
        return list(dict.fromkeys(found))[:_MOST]

    def atom(self) -> list[str]:
        character = self.take()
        match character:
            case "(":
                return self.group()
            case "[":
                return self.bracket()
            case "\\":
                return self.escape()
            case ".":
                return list(_ANY)
            case "^" | "$":
                return [""]
        return [character, character.swapcase()] if self.ignoring_case and character.isalpha() else [character]

    def group(self) -> list[str]:
        if self.peek() == "?":
            self.take()
            flags = ""
            while self.peek() not in (":", ")", "<", "P", "=", "!"):
                flags += self.take()
            if self.peek() in ("=", "!"):
                raise ValueError(self.pattern)
            if self.peek() in ("P", "<"):
                while self.take() != ">":
                    pass
            elif self.take() == ")":
                self.ignoring_case = self.ignoring_case or "i" in flags
                return [""]
        found = self.alternatives()
        if self.take() != ")":
            raise ValueError(self.pattern)
        return found

    def escape(self) -> list[str]:
        character = self.take()
        if character in "bBAzZ":
            return [""]
        if character == "p":
            return list(_PROPERTIES.get(self.property(), "a"))
        if character == "P":
            self.property()
            return list(_ANY)
        if character == "x":
            digits = self.pattern[self.at : self.at + 2]
            self.at += 2
            return [chr(int(digits, 16))]
        return list(_ESCAPES.get(character, character))

    def property(self) -> str:
        if self.peek() != "{":
            return self.take()
        end = self.pattern.index("}", self.at)
        name = self.pattern[self.at + 1 : end]
        self.at = end + 1
        return name

    def bracket(self) -> list[str]:
        negated = self.peek() == "^"
        if negated:
            self.take()
        members: list[str] = []
        ranges: list[tuple[str, str]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            named = next((name for name in _CLASSES if self.pattern.startswith(name, self.at)), None)
            if named is not None:
                members.extend(_CLASSES[named])
                self.at += len(named)
                continue
            character = self.take()
            low = self.escape() if character == "\\" else [character]
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", "") and len(low) == 1:
                self.take()
                high = self.take()
                high = self.escape()[0] if high == "\\" else high
                ranges.append((low[0], high))
                members.extend((low[0], high))
            else:
                members.extend(low)
        self.take()
        if not negated:
            return list(dict.fromkeys(members))[:_MOST]
        refused = set(members)
        return [
            one
            for one in dict.fromkeys(f"{_ANY}bBzZ09")
            if one not in refused and not any(low <= one <= high for low, high in ranges)
        ]


def _spread(left: list[str], right: list[str]) -> Iterator[tuple[str, str]]:
    """Pair each of one side with each of the other, the diagonal first so that every part is seen early."""
    for index in range(max(len(left), len(right))):
        if left and right:
            yield left[index % len(left)], right[index % len(right)]
    yield from product(left, right)


def _times(part: list[str], count: int) -> list[str]:
    if count == 0 or not part:
        return [""] if count == 0 else []
    turns = ["".join(part[(start + index) % len(part)] for index in range(count)) for start in range(len(part))]
    return [*(one * count for one in part), *turns]
