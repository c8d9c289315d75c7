"""The threat model names for each threat the tests that show what stands in its way; they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
_TABLE = re.search(r"<!-- threats -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
assert _TABLE is not None
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _TABLE[1].strip().splitlines()[2:]]


def names_of_tests() -> set[str]:
    """Return the names of all test functions."""
    return {
        node.name
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


def test_every_threat_has_something_in_its_way_and_a_test_that_shows_it() -> None:
    assert len(ROWS) > 25
    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []
    named = {row[0]: re.findall(r"`(test_\w+)`", row[2]) for row in ROWS}
    assert [threat for threat, tests in named.items() if not tests] == []
    there = names_of_tests()
    assert {name for tests in named.values() for name in tests} - there == set()


def test_what_is_accepted_or_open_is_said() -> None:
    accepted = PAGE.partition("## Accepted, or open")[2]
    assert len(re.findall(r"^- \*\*", accepted, re.MULTILINE)) > 5
    assert "Open" in accepted
