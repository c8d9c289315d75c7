"""What the benchmarks reckon and draw by themselves: medians with their spread, evened-out answers, the page, the plot."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks" / "execution"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> Any:
        return importlib.import_module(name)

    return load


def test_a_median_comes_with_the_middle_half_of_its_rounds(module: Callable[[str], Any]) -> None:
    found = module("middles").middle([9.0, 1.0, 5.0, 3.0, 7.0])

    assert (found.value, found.low, found.high, found.rounds) == (5.0, 3.0, 7.0, 5)


def test_a_few_rounds_are_spread_as_far_as_they_go(module: Callable[[str], Any]) -> None:
    found = module("middles").middle([4.0, 2.0])

    assert (found.value, found.low, found.high) == (3.0, 2.0, 4.0)


def test_a_ratio_is_taken_round_by_round(module: Callable[[str], Any]) -> None:
    # Two rounds were disturbed, both servers in each; between them nothing changed.
    found = module("middles").ratio([2.0, 20.0, 4.0], [1.0, 10.0, 2.0])

    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_answers_in_each_servers_own_writing_are_one(module: Callable[[str], Any]) -> None:
    normal = module("queries").normal
    ours = {
        "id": "res_01a204185fe07f20a69386f527ed0400",
        "submittedAt": "2026-11-20T10:00:00.5+00:00",
        "colour": "NOT_INTERPRETED",
        "scores": {"nodes": [{"value": "52.0"}]},
    }
    theirs = {
        "scores": [{"value": 52}],
        "submittedAt": "2026-11-20 11:00:00.5+01",
        "colour": "not_interpreted",
        "id": "01a20418-5fe0-7f20-a693-86f527ed0400",
    }

    assert normal(ours) == normal(theirs)
    assert normal({**ours, "colour": "RED"}) != normal(theirs)


def test_only_the_named_block_of_the_page_changes(module: Callable[[str], Any]) -> None:
    page = "a\n<!-- measured: one -->\n\nold\n\n<!-- end -->\nb\n<!-- measured: two -->\n\nkept\n\n<!-- end -->\n"
    replaced = module("page").replace_block(page, "one", r"new \1")

    assert replaced == page.replace("old", r"new \1")


def test_a_page_without_the_block_is_refused(module: Callable[[str], Any]) -> None:
    with pytest.raises(SystemExit, match="no place for one"):
        module("page").replace_block("nothing", "one", "new")


def test_the_plot_puts_a_dearer_server_further_to_the_right(module: Callable[[str], Any]) -> None:
    plot, middles = module("plot"), module("middles")
    marks = tuple(
        plot.Mark(server, server, middles.Middle(value, value * 0.9, value * 1.1, 7))
        for server, value in (("bare", 1.0), ("full", 2.0), ("yoga", 40.0))
    )
    drawn = ElementTree.fromstring(plot.draw("Cost & more", [plot.Row("small", "bare", marks)]))

    named = "{http://www.w3.org/2000/svg}"
    places = [float(each.attrib["cx"]) for each in drawn.iter(f"{named}circle")][-3:]
    assert places == sorted(places)
    assert len(set(places)) == 3
    _, _, width, _ = map(float, drawn.attrib["viewBox"].split())
    assert all(0 < place < width for place in places)
