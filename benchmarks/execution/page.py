"""The page of the documentation that the figures go into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["number", "put"]

_DOCS = Path(__file__).parent.parent.parent / "docs" / "explanation"
_PAGE = _DOCS / "execution-benchmarks.md"


def number(value: float) -> str:
    """Write a figure with three digits that mean something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def put(blocks: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Replace the page's blocks of these names, and write these files beside it.

    Raises:
        SystemExit: the page has no place for a block.
    """
    text = _PAGE.read_text(encoding="utf-8")
    for name, block in blocks.items():
        text = replace_block(text, name, block)
    _PAGE.write_text(text, encoding="utf-8")
    for name, content in files.items():
        (_DOCS / name).write_text(content, encoding="utf-8")


def replace_block(text: str, name: str, block: str) -> str:
    """Return the page's text with another block of that name."""
    place = re.compile(rf"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"the page has no place for {name}")
    return place.sub(lambda found: f"{found[1]}\n{block}\n\n{found[2]}", text)
