"""Every finding a proof may give: each is given where it is due, shown by responses, and described for authors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kpro_graph.questionnaires import evaluate, write_json
from kpro_graph.questionnaires.proof import FINDINGS, Gravity, prove
from kpro_graph.questionnaires.rules import Status
from tests.questionnaires.proof_examples import EXAMPLES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "proof-findings.md"

SHOWN_BY_A_RESPONSE = {
    "unreachable",
    "asked_in_drafts_only",
    "dead_end",
    "never_valid",
    "rule_excludes_answers",
    "expression_fails",
    "score_without_value",
    "score_never_computed",
    "score_not_monotonic",
    "interval_gap",
    "interval_overlap",
    "rule_not_applicable",
    "not_monotonic",
}


def test_there_is_an_example_of_every_finding() -> None:
    assert set(EXAMPLES) == set(FINDINGS)


@pytest.mark.parametrize("code", sorted(FINDINGS))
def test_the_finding_is_given_where_it_is_due(code: str) -> None:
    questionnaire, rules, budget = EXAMPLES[code]()
    proof = prove(questionnaire, rules, budget=budget)
    found = proof.of(code)
    assert found, [each.code for each in proof.findings]
    for finding in found:
        assert finding.da
        assert finding.en
        assert "{" not in finding.da + finding.en
        assert finding.location or code in ("undecided_fixture", "rules_unknown_item")
        assert set(finding.link_ids) <= {*questionnaire.by_link_id, "b"}
    if code in SHOWN_BY_A_RESPONSE:
        assert found[0].counter_example is not None
    if any(finding.severity is Gravity.ERROR for finding in found):
        assert not proof.may_activate


@pytest.mark.parametrize("code", sorted(SHOWN_BY_A_RESPONSE))
def test_a_counter_example_is_a_response_that_evaluating_confirms(code: str) -> None:
    questionnaire, rules, budget = EXAMPLES[code]()
    spoken = None if rules is None else rules.under(Status.APPROVED)
    (finding, *_) = prove(questionnaire, rules, budget=budget).of(code)
    assert finding.counter_example is not None
    found = evaluate(questionnaire, finding.counter_example, rules=spoken)
    match code:
        case "unreachable":
            assert finding.link_ids[0] not in found.enabled
        case "asked_in_drafts_only":
            assert finding.link_ids[0] in found.enabled
            assert not found.valid
        case "dead_end" | "never_valid" | "rule_excludes_answers":
            assert not found.valid
        case "expression_fails":
            assert "expression_error" in {each.code for each in found.problems}
        case "score_without_value" | "score_never_computed":
            assert found.scores[0].value is None
        case "interval_gap" | "interval_overlap":
            assert spoken is not None
            value = found.scores[0].value
            assert value is not None
            holding = {one.colour for one in spoken.rules[0].intervals if one.holds(value)}
            assert len(holding) == (0 if code == "interval_gap" else 2)
        case "rule_not_applicable":
            assert [one.colour for one in found.interpretations if one.subject == "item:a"] == ["not_interpreted"]
        case "not_monotonic" | "score_not_monotonic":
            assert finding.compared_with is not None
            better = evaluate(questionnaire, finding.compared_with, rules=spoken)
            if code == "not_monotonic":
                colours = [one.interpretations[0].colour for one in (found, better)]
                assert colours == ["green", "red"]
            else:
                assert found.scores[0].value < better.scores[0].value  # type: ignore[operator]


@pytest.mark.parametrize("code", sorted(FINDINGS))
def test_a_proof_goes_to_json_with_everything_in_it(code: str) -> None:
    questionnaire, rules, budget = EXAMPLES[code]()
    proof = prove(questionnaire, rules, budget=budget)
    plain = proof.to_json()
    assert write_json(plain)
    assert [each["code"] for each in plain["findings"]] == [each.code for each in proof.findings]
    assert plain["mayActivate"] is proof.may_activate


def test_what_is_undecided_is_no_approval_and_no_hindrance() -> None:
    questionnaire, rules, budget = EXAMPLES["undecided_reachability"]()
    proof = prove(questionnaire, rules, budget=budget)
    assert proof.may_activate
    assert [finding.severity for finding in proof.of("undecided_reachability")] == [Gravity.UNDECIDED]
    assert "asked:a" not in {name for fixture in proof.fixtures for name in fixture.covers}


def test_a_draft_rule_set_is_proved_as_if_it_were_approved() -> None:
    questionnaire, rules, _ = EXAMPLES["interval_gap"]()
    assert rules is not None
    for status in Status:
        assert prove(questionnaire, rules.under(status)).of("interval_gap")


def test_every_finding_is_described_in_the_reference_as_it_is_in_the_code() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.+) \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE),
    )
    assert set(rows) == set(FINDINGS)
    for code, each in FINDINGS.items():
        said = " | ".join((each.severity.value, each.da, each.en, each.meaning))
        assert rows[code] == re.sub(r"\{(\w+)\}", r"*\1*", said).replace("_da*", "*"), code
