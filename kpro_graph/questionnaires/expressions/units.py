"""The units of UCUM that questionnaires meet, taken apart into a factor and base dimensions, all exact.

A unit outside this table is not wrong, only opaque: it is comparable with itself alone.
Source: the Unified Code for Units of Measure, version 2.1. Calendar durations are FHIRPath's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

__all__ = ["CALENDAR_SECONDS", "CALENDAR_SINGULAR", "Unit", "combine", "read_unit"]

Dimensions = tuple[tuple[str, int], ...]

#: Calendar words, singular and plural, and the UCUM code with the same length (years and months have none).
CALENDAR_SINGULAR: Final = {
    word + ending: word
    for word in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for ending in ("", "s")
}
CALENDAR_SECONDS: Final = {
    "week": Fraction(604800),
    "day": Fraction(86400),
    "hour": Fraction(3600),
    "minute": Fraction(60),
    "second": Fraction(1),
    "millisecond": Fraction(1, 1000),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """``value * factor + offset`` is the value in the base dimensions."""

    factor: Fraction
    dimensions: Dimensions
    offset: Fraction = Fraction(0)


_PREFIXES: Final = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1, "c": -2, "m": -3,
    "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip

#: Code, whether prefixes apply (+) or not (-), factor, and the unit it is a multiple of; between bars its own base.
_LINES: Final = """
    m + 1 |m|
    g + 1 |g|
    s + 1 |s|
    K + 1 |K|
    rad + 1 |rad|
    C + 1 |C|
    cd + 1 |cd|
    mol + 1 |mol|
    [iU] + 1 |iU|
    [IU] + 1 |iU|
    [arb'U] - 1 |arb|
    [CFU] - 1 |CFU|
    [drp] - 0.05 mL
    10* - 10 1
    10^ - 10 1
    % - 0.01 1
    [ppth] - 0.001 1
    [ppm] - 0.000001 1
    eq + 1 mol
    osm + 1 mol
    min - 60 s
    h - 3600 s
    d - 86400 s
    wk - 604800 s
    a - 31557600 s
    a_j - 31557600 s
    mo - 2629800 s
    mo_j - 2629800 s
    Hz + 1 /s
    N + 1000 g.m/s2
    Pa + 1 N/m2
    J + 1 N.m
    W + 1 J/s
    bar + 100000 Pa
    atm - 101325 Pa
    m[Hg] + 133322 Pa
    m[H2O] + 9806.65 Pa
    A + 1 C/s
    V + 1 J/C
    cal + 4.184 J
    [Cal] - 4184 J
    L + 1 dm3
    l + 1 dm3
    U + 1 umol/min
    kat + 1 mol/s
    t + 1000000 g
    deg - 0.01745329251994329576923690768488612713 rad
    [in_i] - 0.0254 m
    [in_us] - 0.0254000508001016002032004064008128 m
    [ft_i] - 0.3048 m
    [yd_i] - 0.9144 m
    [mi_i] - 1609.344 m
    [lb_av] - 453.59237 g
    [oz_av] - 28.349523125 g
    [stone_av] - 6350.29318 g
    [gr] - 0.06479891 g
    [gal_us] - 3.785411784 L
    [qt_us] - 0.946352946 L
    [pt_us] - 0.473176473 L
    [cup_us] - 0.2365882365 L
    [foz_us] - 0.0295735295625 L
    [tbs_us] - 0.01478676478125 L
    [tsp_us] - 0.00492892159375 L
    [pH] - 1 |pH|
"""
_TABLE: Final = {
    code: (prefixed == "+", factor, of)
    for code, prefixed, factor, of in (line.split() for line in _LINES.strip().splitlines())
}

_SPECIAL: Final = {
    "Cel": Unit(Fraction(1), (("K", 1),), Fraction("273.15")),
    "[degF]": Unit(Fraction(5, 9), (("K", 1),), Fraction("459.67") * Fraction(5, 9)),
}

_COMPONENT = re.compile(
    r"(?P<code>10[*^]|(?:[A-Za-z_%']|\[[^\]]{1,20}\])+)(?P<power>[+-]?\d{1,3})?|(?P<number>\d{1,20})", re.ASCII
)
_ANNOTATION = re.compile(r"\{[^{}]*\}")


@lru_cache(maxsize=1024)
def read_unit(code: str) -> Unit | None:
    """Take a UCUM code apart; None where it is not in the table or not well-formed."""
    if code in _SPECIAL:
        return _SPECIAL[code]
    if len(code) > 60:
        return None
    parts = _components(code)
    if parts is None:
        return None
    factor = Fraction(1)
    dimensions: dict[str, int] = {}
    for name, power in parts:
        atom = _atom(name)
        if atom is None or abs(power) > 30:
            return None
        factor *= atom.factor**power
        for base, exponent in atom.dimensions:
            dimensions[base] = dimensions.get(base, 0) + exponent * power
    return Unit(factor, tuple(sorted((base, exponent) for base, exponent in dimensions.items() if exponent)))


@lru_cache(maxsize=512)
def _atom(name: str) -> Unit | None:
    if name.isdigit():
        return Unit(Fraction(name), ())
    if name in _TABLE:
        _, factor, of = _TABLE[name]
        if of.startswith("|"):
            return Unit(Fraction(factor), ((of.strip("|"), 1),))
        unit = read_unit(of)
        return None if unit is None else Unit(Fraction(factor) * unit.factor, unit.dimensions)
    for length in (2, 1):
        rest = name[length:]
        if name[:length] in _PREFIXES and rest in _TABLE and _TABLE[rest][0]:
            unit = _atom(rest)
            return (
                None if unit is None else Unit(Fraction(10) ** _PREFIXES[name[:length]] * unit.factor, unit.dimensions)
            )
    return None


def _components(code: str) -> list[tuple[str, int]] | None:
    """Give the codes of a unit with their powers, ``mg/dL`` being [(mg, 1), (dL, -1)]; None where not well-formed."""
    text = _ANNOTATION.sub("", code)
    if text in ("", "1"):
        return []
    parts: list[tuple[str, int]] = []
    signs = [1]  # the sign that each open parenthesis gives to what it holds
    sign, position = 1, 0
    if text.startswith("/"):
        sign, position = -1, 1
    expecting = True
    while position < len(text):
        character = text[position]
        if expecting and character == "(":
            signs.append(sign * signs[-1])
            sign, position = 1, position + 1
        elif not expecting and character == ")" and len(signs) > 1:
            signs.pop()
            position += 1
        elif not expecting and character in "./":
            sign, expecting, position = (-1 if character == "/" else 1), True, position + 1
        elif expecting and (match := _COMPONENT.match(text, position)):
            power = int(match["power"] or 1)
            parts.append((match["number"] or match["code"], power * sign * signs[-1]))
            expecting, position = False, match.end()
        else:
            return None
    return None if expecting or len(signs) > 1 else parts


def combine(ours: str, theirs: str, sign: int) -> str | None:
    """Write the unit of a product (``sign`` 1) or a quotient (-1); None where one of them is opaque or special."""
    if ours in _SPECIAL or theirs in _SPECIAL:
        return None
    left, right = _components(ours), _components(theirs)
    if left is None or right is None or read_unit(ours) is None or read_unit(theirs) is None:
        return None
    powers: dict[str, int] = {}
    for name, power in [*left, *((name, power * sign) for name, power in right)]:
        powers[name] = powers.get(name, 0) + power
    above = [f"{name}{power if power != 1 else ''}" for name, power in powers.items() if power > 0]
    below = [f"/{name}{-power if power != -1 else ''}" for name, power in powers.items() if power < 0]
    return ".".join(above) + "".join(below) or "1"
