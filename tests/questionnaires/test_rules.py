"""A rule set is read whole or refused with every fault named, and written back as it was."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.questionnaires.rules import (
    Approval,
    Colour,
    Interval,
    RuleSetInvalid,
    Status,
    read_rule_set,
    write_rule_set,
)
from kpro_graph.questionnaires.words import Text

CONTENT = Path(__file__).parents[2] / "kpro_graph" / "plugins" / "national_questionnaires" / "content"
WORD = {"da": "ord", "en": "word"}

DOCUMENT: dict[str, Any] = {
    "format": "kpro-graph/rule-set/1",
    "id": "everything",
    "version": "2.1.0",
    "questionnaire": {"url": "https://example.org/Questionnaire/q", "versions": ["1.0.0", "1.0.1"]},
    "title": {"da": "Alt", "en": "Everything"},
    "status": "approved",
    "approval": {"by": "Klinisk råd", "at": "2026-11-01T12:00:00+01:00"},
    "intendedPurpose": {"da": "Samtale", "en": "Dialogue"},
    "medicalDeviceClass": "IIa",
    "meaning": "triage",
    "scores": [
        {"code": "who5", "kind": "instrument", "instrument": "who-5", "inputs": {str(n): f"w{n}" for n in range(1, 6)}},
        {
            "code": "anxiety",
            "kind": "instrument",
            "instrument": "hads",
            "scale": "anxiety",
            "label": {"da": "Angst", "en": "Anxiety"},
            "inputs": {str(n): f"h{n}" for n in range(1, 15, 2)},
        },
        {
            "code": "sum",
            "kind": "sum",
            "label": {"da": "Sum", "en": "Sum"},
            "items": ["a", "b", "c"],
            "missing": {"rule": "mean", "atLeast": 2},
            "factor": Decimal("1.25"),
            "unit": "%",
            "minimum": 0,
            "maximum": 100,
        },
        {
            "code": "mean",
            "kind": "mean",
            "label": {"da": "Middel", "en": "Mean"},
            "items": ["a", "b"],
            "missing": {"rule": "refuse"},
        },
        {"code": "pain", "kind": "item", "label": {"da": "Smerte", "en": "Pain"}, "item": "pain", "maximum": 10},
        {"code": "total", "kind": "calculated", "label": {"da": "Total", "en": "Total"}, "item": "total"},
    ],
    "rules": [
        {
            "id": "who5-low",
            "score": "who5",
            "intervals": [
                {"atMost": 50, "colour": "yellow", "word": WORD, "source": "Topp 2015"},
                {"above": 50, "below": Decimal("90.5"), "colour": "green", "word": WORD, "source": "Topp 2015"},
                {"atLeast": Decimal("90.5"), "colour": "green", "word": WORD, "source": "Topp 2015"},
            ],
        },
        {
            "id": "pain-high",
            "item": "pain",
            "intervals": [{"above": 7, "colour": "red", "word": WORD, "source": "a local rule"}],
        },
        {
            "id": "help-wanted",
            "item": "help",
            "cases": [
                {"answer": {"code": "yes", "system": "urn:x"}, "colour": "red", "word": WORD, "source": "a local rule"},
                {"answer": {"boolean": False}, "colour": "green", "word": WORD, "source": "a local rule"},
                {"answer": {"text": "ja"}, "colour": "yellow", "word": WORD, "source": "a local rule"},
                {"answer": {"answered": True}, "colour": "yellow", "word": WORD, "source": "a local rule"},
            ],
        },
    ],
    "topics": [{"id": "well", "title": WORD, "subjects": ["score:who5", "item:pain"]}],
}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """Return the document with one part changed; ``to`` is ``...`` where the part is taken away."""
    document = deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


def places(document: Any) -> list[str]:
    with pytest.raises(RuleSetInvalid) as refused:
        read_rule_set(document)
    assert all(problem.message.da and problem.message.en for problem in refused.value.problems)
    return [problem.path for problem in refused.value.problems]


def test_a_rule_set_survives_being_written_and_read() -> None:
    rules = read_rule_set(DOCUMENT)
    written = write_rule_set(rules)
    assert read_rule_set(written) == rules
    assert read_rule_set(written.decode()) == rules
    assert read_rule_set(written).content_hash == rules.content_hash
    assert json.loads(written, parse_float=Decimal) == DOCUMENT


def test_numbers_keep_their_value_and_never_become_binary_floats() -> None:
    rules = read_rule_set(write_rule_set(read_rule_set(DOCUMENT)))
    assert rules.outputs["sum"].maximum == 100
    (rule,) = rules.rules_by_subject["score:who5"]
    assert rule.intervals[1].high == Decimal("90.5")
    read = read_rule_set(changed("scores", 2, "factor", to=0.1))
    assert read.scores[2] == read_rule_set(changed("scores", 2, "factor", to=Decimal("0.1"))).scores[2]


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        (("id",), ..., "id"),
        (("id",), "  ", "id"),
        (("version",), 1, "version"),
        (("format",), "another", "format"),
        (("surprise",), 1, ""),
        (("questionnaire", "versions"), [], "questionnaire.versions"),
        (("questionnaire", "versions"), ["1", 2], "questionnaire.versions[1]"),
        (("questionnaire",), ["url"], "questionnaire"),
        (("title", "en"), ..., "title.en"),
        (("title",), None, "title"),
        (("status",), "published", "status"),
        (("approval",), ..., "approval"),
        (("approval", "at"), "2026-11-01T12:00:00", "approval.at"),
        (("approval", "at"), "yesterday", "approval.at"),
        (("medicalDeviceClass",), "IV", "medicalDeviceClass"),
        (("meaning",), "alarm", "meaning"),
        (("scores",), {}, "scores"),
        (("scores", 0, "kind"), "guess", "scores[0].kind"),
        (("scores", 0, "instrument"), "who-6", "scores[0].instrument"),
        (("scores", 0, "inputs", "5"), ..., "scores[0].inputs.5"),
        (("scores", 0, "inputs", "6"), "w6", "scores[0].inputs"),
        (("scores", 0, "inputs", "5"), "w1", "scores[0].inputs"),
        (("scores", 0, "inputs", "5"), 5, "scores[0].inputs"),
        (("scores", 1, "scale"), "joy", "scores[1].scale"),
        (("scores", 2, "items"), [], "scores[2].items"),
        (("scores", 2, "items"), ["a", "b", "a"], "scores[2].items[2]"),
        (("scores", 2, "missing"), ..., "scores[2].missing"),
        (("scores", 2, "missing", "rule"), "guess", "scores[2].missing.rule"),
        (("scores", 2, "missing", "atLeast"), 4, "scores[2].missing.atLeast"),
        (("scores", 2, "missing", "atLeast"), Decimal("1.5"), "scores[2].missing.atLeast"),
        (("scores", 2, "missing"), {"rule": "skip"}, "scores[2].missing.atLeast"),
        (("scores", 3, "missing", "atLeast"), 1, "scores[3].missing.atLeast"),
        (("scores", 2, "factor"), "2", "scores[2].factor"),
        (("scores", 2, "maximum"), True, "scores[2].maximum"),
        (("scores", 3, "code"), "sum", "scores[3].code"),
        (("rules", 0, "score"), "who6", "rules[0].score"),
        (("rules", 0, "intervals"), [], "rules[0].intervals"),
        (("rules", 0, "cases"), [], "rules[0]"),
        (("rules", 0, "intervals", 0, "source"), ..., "rules[0].intervals[0].source"),
        (("rules", 0, "intervals", 0, "colour"), "not_interpreted", "rules[0].intervals[0].colour"),
        (("rules", 0, "intervals", 0, "atMots"), 3, "rules[0].intervals[0]"),
        (("rules", 0, "intervals", 0, "below"), 3, "rules[0].intervals[0]"),
        (("rules", 0, "intervals", 0, "atMost"), ..., "rules[0].intervals[0]"),
        (("rules", 0, "intervals", 1, "below"), 50, "rules[0].intervals[1]"),
        (("rules", 1, "intervals"), ..., "rules[1]"),
        (("rules", 2, "cases", 0, "answer"), {}, "rules[2].cases[0].answer"),
        (("rules", 2, "cases", 0, "answer"), {"code": "a", "text": "b"}, "rules[2].cases[0].answer"),
        (("rules", 2, "cases", 0, "answer"), {"text": "a", "system": "b"}, "rules[2].cases[0].answer"),
        (("rules", 2, "cases", 1, "answer", "boolean"), 1, "rules[2].cases[1].answer.boolean"),
        (("rules", 2, "id"), "who5-low", "rules[2].id"),
        (("topics", 0, "subjects", 0), "score:who6", "topics[0].subjects[0]"),
        (("topics", 0, "subjects", 0), "pain", "topics[0].subjects[0]"),
        (("topics", 0, "subjects", 0), "item:pain", "topics[0].subjects[1]"),
    ],
)
def test_a_fault_is_named_by_its_place(path: tuple[Any, ...], to: Any, expected: str) -> None:
    assert places(changed(*path, to=to)) == [expected]


def test_all_faults_are_named_at_once() -> None:
    document = changed("title", "da", to="")
    document["rules"][0]["intervals"][2]["colour"] = "blue"
    document["scores"][5]["item"] = None
    assert sorted(places(document)) == ["rules[0].intervals[2].colour", "scores[5].item", "title.da"]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        b"\xff\xfe",
        '{"id": 1, "id": 2}',
        "[" * 100_000,
        '{"a":' * 5_000,
        '{"id": ' + "9" * 10_000 + "}",
        '{"id": 1e999999999}',
        " " * 2_000_000,
    ],
)
def test_text_that_is_no_rule_set_is_refused(source: str | bytes) -> None:
    assert places(source)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=8,
)


def every_place(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, part in value.items():
            found += every_place(part, (*path, key))
    if isinstance(value, list):
        for index, part in enumerate(value):
            found += every_place(part, (*path, index))
    return found


@given(path=st.sampled_from(every_place(DOCUMENT)), to=JSON)
def test_any_json_in_any_place_is_read_or_refused_with_places(path: tuple[Any, ...], to: Any) -> None:
    document = changed(*path, to=to)
    try:
        rules = read_rule_set(document)
    except RuleSetInvalid:
        found = places(document)
        assert found
        assert len(set(found)) == len(found)
    else:
        assert read_rule_set(write_rule_set(rules)) == rules


def test_a_text_that_utf_8_cannot_hold_is_refused() -> None:
    assert places(changed("title", "da", to="\ud800")) == [""]


def test_a_draft_needs_no_approval_and_everything_else_does() -> None:
    document = changed("approval", to=...)
    assert read_rule_set(document | {"status": "draft"}).status is Status.DRAFT
    assert places(document | {"status": "off"}) == ["approval"]


def test_approving_or_switching_off_leaves_the_content_hash_alone() -> None:
    rules = read_rule_set(DOCUMENT)
    assert read_rule_set(changed("status", to="off")).content_hash == rules.content_hash
    assert read_rule_set(changed("approval", "by", to="another")).content_hash == rules.content_hash
    assert read_rule_set(changed("version", to="2.1.1")).content_hash != rules.content_hash
    assert read_rule_set(changed("rules", 1, "intervals", 0, "above", to=8)).content_hash != rules.content_hash


def test_a_rule_set_can_be_approved_or_switched_off_without_becoming_another() -> None:
    draft = read_rule_set(changed("approval", to=...) | {"status": "draft"})
    approval = Approval("Klinisk råd", datetime(2026, 11, 1, 11, tzinfo=UTC))
    approved = draft.under(Status.APPROVED, approval)
    assert (approved.status, approved.approval, draft.approval) == (Status.APPROVED, approval, None)
    assert approved.under(Status.OFF).approval == approval
    assert approved == read_rule_set(DOCUMENT)
    assert {approved.content_hash, approved.under(Status.OFF).content_hash} == {draft.content_hash}


def test_the_order_of_rules_and_the_writing_of_numbers_leave_the_content_hash_alone() -> None:
    rules = read_rule_set(DOCUMENT)
    assert read_rule_set(changed("rules", to=DOCUMENT["rules"][::-1])).content_hash == rules.content_hash
    assert read_rule_set(changed("scores", 2, "maximum", to=Decimal("1.00E+2"))).content_hash == rules.content_hash


def test_a_conversion_table_is_checked_when_the_rule_set_is_read() -> None:
    table: dict[str, Any] = {
        "source": "an invented table",
        "scales": {
            code: {str(total): 10 for total in range(low, high + 1)}
            for code, low, high in (("PF", 3, 12), ("EF", 2, 8), ("FA", 2, 8), ("NV", 1, 4))
        },
    }
    score = {
        "code": "pal",
        "kind": "instrument",
        "instrument": "qlq-c15-pal",
        "inputs": {str(n): str(n) for n in range(1, 16)},
        "conversion": table,
    }
    document = changed("scores", to=[*DOCUMENT["scores"], score])
    rules = read_rule_set(document)
    assert read_rule_set(write_rule_set(rules)) == rules
    assert [code for code in rules.outputs if code.startswith("pal")][:3] == ["pal.QL", "pal.PF", "pal.EF"]
    del table["scales"]["PF"]["7"]
    assert places(document) == ["scores[6].conversion.scales.PF"]


def test_a_label_goes_with_one_scale_only() -> None:
    inputs = {str(n): f"h{n}" for n in range(1, 15)}
    hads = {"code": "hads", "kind": "instrument", "instrument": "hads", "inputs": inputs}
    assert set(read_rule_set(changed("scores", 1, to=hads)).outputs) >= {"hads.anxiety", "hads.depression"}
    assert places(changed("scores", 1, to={**hads, "label": WORD})) == ["scores[1].label"]


def test_a_rule_set_names_the_link_ids_it_needs() -> None:
    named = read_rule_set(DOCUMENT).link_ids()
    assert named == {f"w{n}" for n in range(1, 6)} | {f"h{n}" for n in range(1, 15, 2)} | set("abc") | {
        "pain",
        "total",
        "help",
    }


def interval(low: str | None, closed: bool, high: str | None, included: bool) -> Interval:
    return Interval(
        low=None if low is None else Decimal(low),
        low_included=closed,
        high=None if high is None else Decimal(high),
        high_included=included,
        colour=Colour.RED,
        word=Text("", ""),
        source="",
    )


@pytest.mark.parametrize(
    ("one", "inside", "outside", "da", "en"),
    [
        (interval(None, False, "50", True), "50", "50.001", "50 eller derunder", "50 or below"),
        (interval(None, False, "50", False), "49.999", "50", "under 50", "below 50"),
        (interval("0", False, None, False), "0.001", "0", "over 0", "above 0"),
        (interval("15", True, None, False), "15", "14.999", "15 eller derover", "15 or above"),
        (interval("5", True, "9", True), "9", "9.001", "fra 5 til og med 9", "from 5 to 9 inclusive"),
        (interval("5", True, "10", False), "5", "10", "5 eller derover og under 10", "5 or above and below 10"),
        (interval("5", False, "10", True), "10", "5", "over 5 og højst 10", "above 5 and at most 10"),
        (interval("2.5", True, "2.5", True), "2.50", "2.51", "netop 2,5", "exactly 2.5"),
    ],
)
def test_an_interval_holds_exactly_its_own_values_and_says_so(
    one: Interval, inside: str, outside: str, da: str, en: str
) -> None:
    assert one.holds(Decimal(inside))
    assert not one.holds(Decimal(outside))
    assert one.text == Text(da, en)


@pytest.mark.parametrize("path", sorted(CONTENT.glob("*/rules.json")), ids=lambda path: path.parent.name)
def test_the_products_own_rule_sets_are_read_and_stand_as_they_are_written(path: Path) -> None:
    source = path.read_bytes()
    rules = read_rule_set(source)
    assert write_rule_set(rules) == source
    assert rules.url == f"https://kpro-graph.dk/Questionnaire/{path.parent.name}"
    assert rules.versions == ("1.0.0",)


def test_the_product_ships_rule_sets_for_its_own_questionnaires() -> None:
    assert {"who-5", "phq-9", "gad-7", "eq-5d-5l"} <= {path.parent.name for path in CONTENT.glob("*/rules.json")}


ROOT = Path(__file__).parents[2]


def test_the_reference_page_shows_a_rule_set_that_is_read_and_names_every_reason() -> None:
    page = (ROOT / "docs" / "reference" / "rule-sets.md").read_text(encoding="utf-8")
    example = page.split("```json")[1].split("```")[0]
    assert read_rule_set(example).outputs["who5"].maximum == 100
    engine = ROOT / "kpro_graph" / "questionnaires"
    sources = [engine / f"{name}.py" for name in ("scoring", "judging", "interpretation", "instruments/declared")]
    reasons = {code for path in sources for code in re.findall(r'Reason\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
    assert len(reasons) > 15
    assert reasons == set(re.findall(r"`(\w+)`", page.split("| reason |")[1].split("## ")[0]))
