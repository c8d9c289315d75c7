"""A plot in plain SVG on a logarithmic scale: a line for each query, a mark with its spread for each server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from middles import Middle

__all__ = ["Mark", "Row", "draw"]

_WIDTH, _LEFT, _RIGHT, _TOP, _STEP = 860, 190, 30, 96, 56
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
# Colours that stay apart for the colour-blind; the letter says the same.
_LOOKS = {
    "full": ("F", "#005a9c"),
    "bare": ("B", "#4ba3d9"),
    "floor": ("1", "#5f5f5f"),
    "postgraphile": ("P", "#b35900"),
    "mercurius": ("M", "#8a1c7c"),
    "yoga": ("Y", "#a3203c"),
    "strawberry": ("S", "#3d7a2b"),
}


class Mark(NamedTuple):
    """One server in a row."""

    server: str
    title: str
    middle: Middle


class Row(NamedTuple):
    """One query, and which server stands at 1."""

    title: str
    against: str
    marks: tuple[Mark, ...]


def draw(title: str, rows: Sequence[Row]) -> str:
    """Return the plot as SVG."""
    values = [bound for row in rows for mark in row.marks for bound in (mark.middle.low, mark.middle.high)]
    low, high = min([0.5, *values]) / 1.15, max([2.0, *values]) * 1.15
    scale = (_WIDTH - _LEFT - _RIGHT) / math.log(high / low)
    bottom = _TOP + _STEP * len(rows)

    def x(value: float) -> float:
        return round(_LEFT + math.log(value / low) * scale, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 40}" role="img" '
        'font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{bottom + 40}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16">{escape(title)}</text>',
    ]
    place = 16
    for mark in {each.server: each for row in rows for each in row.marks}.values():
        letter, colour = _LOOKS[mark.server]
        parts.append(_disc(place + 8, 52, letter, colour))
        parts.append(f'<text x="{place + 21}" y="56" font-size="10.5">{escape(mark.title)}</text>')
        place += 31 + round(5.3 * len(mark.title))
    for tick in _TICKS:
        if low <= tick <= high:
            line = 'stroke="#333333" stroke-width="1.5"' if tick == 1 else 'stroke="#dddddd"'
            parts.append(f'<line x1="{x(tick)}" y1="{_TOP - 16}" x2="{x(tick)}" y2="{bottom}" {line}/>')
            parts.append(f'<text x="{x(tick)}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    for number, row in enumerate(rows):
        y = _TOP + _STEP * number + 14
        parts.append(f'<text x="16" y="{y}">{escape(row.title)}</text>')
        parts.append(f'<text x="16" y="{y + 15}" font-size="10" fill="#555555">1 = {escape(row.against)}</text>')
        for mark in row.marks:
            letter, colour = _LOOKS[mark.server]
            spread = mark.middle
            parts.append(
                f'<line x1="{x(spread.low)}" y1="{y}" x2="{x(spread.high)}" y2="{y}" stroke="{colour}" '
                'stroke-width="3" stroke-opacity="0.5"/>'
            )
            parts.append(_disc(x(spread.value), y, letter, colour))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _disc(x: float, y: float, letter: str, colour: str) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="8.5" fill="{colour}" fill-opacity="0.9"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" font-size="11" fill="#ffffff">{letter}</text>'
    )
