"""Scores and colours: what a score can really become, and where intervals leave a gap, overlap, or turn back."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import Questionnaire, RuleSet, evaluate
from kpro_graph.questionnaires.plan import plan_of
from kpro_graph.questionnaires.proof import Finding, Gravity, Proof, prove
from kpro_graph.questionnaires.rules import Colour, ItemRule, ScoreRule
from tests.questionnaires.making import SYSTEM, expression, ext, item
from tests.questionnaires.proof_making import (
    GREEN_YELLOW_RED,
    Outcome,
    choice,
    count_responses,
    every_response,
    flat,
    item_rule,
    rules,
    score_rule,
    small_items,
    sound_items,
    total,
    whole,
    written,
)
from tests.sheets import band, significance

EXHAUSTIVE = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
SEVERITY = {"green": 1, "yellow": 2, "red": 3}


@st.composite
def bands(draw: st.DrawFn, low: int = -1, high: int = 6) -> list[dict[str, Any]]:
    """Make intervals side by side, with a gap or an overlap here and there."""
    edges = sorted(draw(st.sets(st.integers(low, high), min_size=1, max_size=3)))
    found = []
    for number in range(len(edges) + 1):
        bounds: dict[str, Any] = {}
        if number:
            bounds["atLeast" if draw(st.integers(0, 3)) else "above"] = edges[number - 1]
        if number < len(edges):
            bounds["below" if draw(st.integers(0, 3)) else "atMost"] = edges[number]
        if draw(st.integers(0, 9)):
            found.append(band(draw(st.sampled_from(("green", "yellow", "red"))), **bounds))
    return found or [band("green", atLeast=0)]


@st.composite
def scored(draw: st.DrawFn) -> tuple[Questionnaire, RuleSet]:
    """Make a questionnaire with a sum or mean over some of its items, and a rule about each."""
    items = draw(small_items(most=3))
    numbers = [each["linkId"] for each in flat(items) if each["type"] in ("integer", "choice")]
    assume(numbers)
    picked = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3, unique=True))
    definition = total("t", picked)
    if draw(st.booleans()):
        least = draw(st.integers(1, len(picked)))
        definition["missing"] = {"rule": draw(st.sampled_from(("skip", "mean"))), "atLeast": least}
    if draw(st.booleans()):
        definition["kind"] = "mean"
    if draw(st.booleans()):
        definition["factor"] = draw(st.sampled_from((2, -1, Decimal("0.5"))))
    if draw(st.integers(0, 3)) == 0:
        definition |= {"minimum": 0, "maximum": draw(st.integers(2, 5))}
    about = item_rule(draw(st.sampled_from(numbers)), *draw(bands(0, 3)))
    return written(*items), rules(score_rule("t", *draw(bands())), about, scores=[definition])


def of_rule(proof: Proof, code: str, key: str) -> list[Finding]:
    return [finding for finding in proof.of(code) if finding.key == key]


@EXHAUSTIVE
@given(scored())
def test_scores_and_their_intervals_are_known_exactly(made: tuple[Questionnaire, RuleSet]) -> None:
    questionnaire, rule_set = made
    assume(count_responses(questionnaire) <= 400)
    proof = prove(questionnaire, rule_set)
    if proof.of("cycle"):
        return
    valid = [each for each in every_response(questionnaire, rule_set) if each.evaluation.valid]
    scores = [each.evaluation.scores[0] for each in valid]
    values = {score.value for score in scores if score.value is not None}
    without = {score.explanation.reason.code for score in scores if score.explanation.reason is not None}
    (reached,) = proof.scores
    assert reached.decided
    assert (reached.minimum, reached.maximum) == (min(values, default=None), max(values, default=None))
    assert reached.count == len(values)
    assert bool(proof.of("score_without_value")) == bool(without - {"missing_answer"})
    assert bool(proof.of("score_never_computed")) == (not values)
    hold_score_rule(proof, rule_set, values)
    hold_item_rule(proof, rule_set, questionnaire, valid)


def hold_score_rule(proof: Proof, rule_set: RuleSet, values: set[Decimal]) -> None:
    rule = rule_set.rules[0]
    assert isinstance(rule, ScoreRule)
    colours = {value: {one.colour for one in rule.intervals if one.holds(value)} for value in sorted(values)}
    assert bool(of_rule(proof, "interval_gap", rule.id)) == any(not each for each in colours.values())
    assert bool(of_rule(proof, "interval_overlap", rule.id)) == any(len(each) > 1 for each in colours.values())
    course = [max(SEVERITY[colour] for colour in each) for each in colours.values() if each]
    moves = [later - earlier for earlier, later in pairwise(course) if earlier != later]
    rises_and_falls = any(one > 0 > other for place, one in enumerate(moves) for other in moves[place:])
    falls_and_rises = any(one < 0 < other for place, one in enumerate(moves) for other in moves[place:])
    assert bool(of_rule(proof, "not_monotonic", rule.id)) == rises_and_falls
    assert bool(of_rule(proof, "two_sided", rule.id)) == (falls_and_rises and not rises_and_falls)
    unused = {finding.location for finding in of_rule(proof, "interval_unreachable", rule.id)}
    for place, interval in enumerate(rule.intervals):
        used = any(interval.holds(value) for value in values)
        assert (f"rules[0].intervals[{place}]" in unused) == (not used)


def hold_item_rule(proof: Proof, rule_set: RuleSet, questionnaire: Questionnaire, valid: list[Outcome]) -> None:
    rule = rule_set.rules[1]
    assert isinstance(rule, ItemRule)
    weights = plan_of(questionnaire).items[rule.item].weights
    colours: dict[Decimal, set[str]] = {}
    for each in valid:
        for value in each.evaluation.answers.values(rule.item):
            weight = weights.get(value.key)
            number = weight if weight is not None else value.number
            assert number is not None
            colours[number] = {one.colour.value for one in rule.intervals if one.holds(number)}
    coloured = sorted(number for number, each in colours.items() if each)
    if any(len(each) > 1 for each in colours.values()):
        assert of_rule(proof, "interval_overlap", rule.id)
    if any(not each and coloured and coloured[0] < number < coloured[-1] for number, each in colours.items()):
        assert of_rule(proof, "interval_gap", rule.id)


# --- faults put into sound rules


@st.composite
def with_a_sound_rule(draw: st.DrawFn) -> tuple[list[dict[str, Any]], int]:
    """Make sound items with two numbers beside them that a sum is made of; return them and where the sum ends."""
    high = draw(st.integers(3, 6))
    items = draw(sound_items())
    return [*items, whole("one", 0, high, required=True), whole("two", 0, high, required=True)], 2 * high


def prove_sum(items: list[dict[str, Any]], *intervals: dict[str, Any]) -> Proof:
    sum_ = total("sum", ["one", "two"])
    return prove(written(*items), rules(score_rule("sum", *intervals), scores=[sum_]))


def replay(items: list[dict[str, Any]], response: Any, *intervals: dict[str, Any]) -> tuple[Decimal, Colour]:
    """Evaluate a counter-example; return the sum and its colour."""
    assert response is not None
    rule_set = rules(score_rule("sum", *intervals), scores=[total("sum", ["one", "two"])])
    shown = evaluate(written(*items), response, rules=rule_set)
    assert shown.valid
    (value,) = (score.value for score in shown.scores)
    (colour,) = (one.colour for one in shown.interpretations if one.subject == "score:sum")
    assert value is not None
    return value, colour


@EXHAUSTIVE
@given(with_a_sound_rule(), st.data())
def test_a_gap_an_overlap_and_a_turn_put_into_a_sound_rule_are_always_found(
    made: tuple[list[dict[str, Any]], int], data: st.DataObject
) -> None:
    items, most = made
    low = data.draw(st.integers(1, most - 1))
    high = data.draw(st.integers(low + 1, most))
    sound = (band("green", below=low), band("yellow", atLeast=low, below=high), band("red", atLeast=high))
    assert prove_sum(items, *sound).may_activate
    cut = band("green", below=low), band("red", above=low)
    gap = prove_sum(items, *cut)
    (finding,) = gap.of("interval_gap")
    assert finding.en.startswith(f"The value {low} lies in a gap")
    assert replay(items, finding.counter_example, *cut) == (Decimal(low), Colour.NOT_INTERPRETED)
    twice = band("green", atMost=low), band("red", atLeast=low)
    overlap = prove_sum(items, *twice)
    (finding,) = overlap.of("interval_overlap")
    assert replay(items, finding.counter_example, *twice) == (Decimal(low), Colour.RED)
    back = band("green", below=low), band("red", atLeast=low, below=high), band("green", atLeast=high)
    turning = prove_sum(items, *back)
    (finding,) = turning.of("not_monotonic")
    worse, better = (replay(items, each, *back) for each in (finding.counter_example, finding.compared_with))
    assert (worse[1], better[1]) == (Colour.GREEN, Colour.RED)
    assert worse[0] > better[0]
    for proof in (gap, overlap, turning):
        assert not proof.may_activate


def test_a_direction_that_is_declared_is_held_to() -> None:
    items = [whole("vas", 0, 100, required=True)]
    scale = {"code": "vas", "kind": "instrument", "instrument": "eq-vas", "inputs": {"vas": "vas"}}

    def judge(*intervals: dict[str, Any]) -> Proof:
        return prove(written(*items), rules(score_rule("vas", *intervals), scores=[scale]))

    assert judge(band("red", below=40), band("green", atLeast=40)).may_activate
    reversed_ = judge(band("green", below=40), band("red", atLeast=40))
    (finding,) = reversed_.of("not_monotonic")
    assert finding.compared_with is not None
    assert not reversed_.may_activate


def test_an_items_own_colours_are_held_to_the_direction_of_the_instrument_it_feeds() -> None:
    inputs = {str(number): f"q{number}" for number in range(1, 8)}
    score = {"code": "gad", "kind": "instrument", "instrument": "gad-7", "inputs": inputs}
    wrong = significance("green", (">=", {"valueInteger": 2})), significance("red", ("<", {"valueInteger": 2}))
    items = [whole(f"q{number}", 0, 3, required=True) for number in range(2, 8)]
    first = whole("q1", 0, 3, required=True, extension=list(wrong))
    proof = prove(written(first, *items), rules(scores=[score]))
    (finding,) = proof.of("not_monotonic")
    assert finding.link_ids == ("q1",)
    assert finding.key == "answerSignificance:q1"


def test_significances_may_be_silent_at_the_ends_but_not_in_between() -> None:
    low, high = significance("green", ("<", {"valueInteger": 3})), significance("red", (">", {"valueInteger": 6}))
    gap = prove(written(whole("a", 0, 10, extension=[low, high])))
    (finding,) = gap.of("interval_gap")
    assert finding.severity is Gravity.ERROR
    assert finding.counter_example is not None
    ends = prove(written(whole("a", 0, 10, extension=[high])))
    assert ends.may_activate
    assert [one.code for one in ends.findings] == ["answer_without_colour"]


def test_a_malformed_significance_hinders_activation() -> None:
    proof = prove(written(whole("a", 0, 10, extension=[significance("violet", (">", {"valueInteger": 6}))])))
    assert [one.severity for one in proof.of("extension_malformed")] == [Gravity.ERROR]
    assert not proof.may_activate


def test_decimals_between_two_intervals_are_a_gap_that_whole_numbers_never_fall_into() -> None:
    intervals = (band("green", atMost=3), band("red", atLeast=4))
    assert prove(written(whole("a", 0, 10)), rules(item_rule("a", *intervals))).may_activate
    bounds = [ext("minValue", valueDecimal=0), ext("maxValue", valueDecimal=10)]
    fine = prove(written(item("a", "decimal", extension=bounds)), rules(item_rule("a", *intervals)))
    (finding,) = fine.of("interval_gap")
    assert "3.01" in finding.en
    assert "3,01" in finding.da
    places = ext("maxDecimalPlaces", valueInteger=0)
    rounded = prove(written(item("a", "decimal", extension=[*bounds, places])), rules(item_rule("a", *intervals)))
    assert rounded.may_activate


def test_a_gap_between_sums_of_decimals_is_aimed_at_and_hit() -> None:
    bounds = [ext("minValue", valueDecimal=0), ext("maxValue", valueDecimal=10)]
    items = [item(name, "decimal", extension=bounds, required=True) for name in ("one", "two")]
    proof = prove_sum(items, band("green", below=Decimal("7.25")), band("red", above=Decimal("7.5")))
    (finding, *_) = proof.of("interval_gap")
    assert finding.counter_example is not None
    (score,) = proof.scores
    assert (score.minimum, score.maximum, score.count) == (Decimal(0), Decimal(20), None)


def test_a_gap_that_only_a_calculated_decimal_falls_into_is_found_or_undecided() -> None:
    bounds = [ext("minValue", valueDecimal=0), ext("maxValue", valueDecimal=10)]
    label = {"da": "Sum", "en": "Sum"}
    score = {"code": "c", "kind": "calculated", "label": label, "item": "c"}
    split = band("green", below=Decimal("1.33")), band("red", atLeast=Decimal("1.36"))
    for text, code in (("{a}", "interval_gap"), ("{a} + {a}", "undecided_colour"), ("{a} * {a}", "undecided_colour")):
        read = "%resource.item.where(linkId='a').answer.value"
        calculated = expression("calculatedExpression", text.replace("{a}", read))
        items = item("a", "decimal", extension=bounds), item("c", "decimal", readOnly=True, extension=[calculated])
        proof = prove(written(*items), rules(score_rule("c", *split), scores=[score]))
        assert proof.of(code), text


def test_a_calculated_total_is_known_exactly_however_many_answers_it_has() -> None:
    questions = [choice(f"q{number}", *"abcd", required=True) for number in range(9)]
    text = "%resource.item.where(linkId != 'total').answer.weight().sum()"
    sum_ = item("total", "decimal", readOnly=True, extension=[expression("calculatedExpression", text)])
    label = {"da": "Sum", "en": "Sum"}
    score = {"code": "phq", "kind": "calculated", "label": label, "item": "total", "minimum": 0, "maximum": 27}
    bands_ = band("green", below=10), band("yellow", atLeast=10, below=20), band("red", atLeast=20)
    proof = prove(written(*questions, sum_), rules(score_rule("phq", *bands_), scores=[score]))
    assert proof.may_activate
    (reached,) = proof.scores
    assert (reached.minimum, reached.maximum) == (Decimal(0), Decimal(27))
    assert reached.decided
    assert reached.count == 28
    assert proof.cases < 2_000


def test_the_largest_instrument_is_worked_out_scale_by_scale() -> None:
    items = [whole(f"q{number}", 1, 7 if number > 28 else 4, required=True) for number in range(1, 31)]
    inputs = {str(number): f"q{number}" for number in range(1, 31)}
    score = {"code": "c30", "kind": "instrument", "instrument": "qlq-c30", "inputs": inputs}
    proof = prove(written(*items), rules(scores=[score]))
    assert proof.may_activate
    assert not [finding for finding in proof.findings if finding.severity is Gravity.UNDECIDED]
    assert len(proof.scores) == 16
    for reached in proof.scores:
        assert (reached.minimum, reached.maximum) == (Decimal(0), Decimal(100))


def test_scores_of_answers_without_a_weight_and_outside_an_instrument_are_found() -> None:
    bare = item("a", "choice", answerOption=[{"valueCoding": {"system": SYSTEM, "code": "x"}}], required=True)
    (finding,) = prove(written(bare), rules(scores=[total("s", ["a"])])).of("score_without_value")
    assert finding.en.startswith("The score cannot be computed although everything is answered: the answer to")
    scale = {"code": "vas", "kind": "instrument", "instrument": "eq-vas", "inputs": {"vas": "vas"}}
    wide = prove(written(whole("vas", 0, 120, required=True)), rules(scores=[scale]))
    (finding,) = wide.of("score_without_value")
    assert finding.counter_example is not None
    questionnaire = written(whole("vas", 0, 120, required=True))
    shown = evaluate(questionnaire, finding.counter_example, rules=rules(scores=[scale]))
    assert shown.scores[0].value is None


@pytest.mark.parametrize("status", ["draft", "off"])
def test_rules_that_may_not_speak_yet_are_proved_all_the_same(status: str) -> None:
    rule_set = rules(item_rule("a", *GREEN_YELLOW_RED), status=status)
    proof = prove(written(whole("a", 0, 5)), rule_set)
    colours = {name for fixture in proof.fixtures for name in fixture.covers if name.startswith("colour:")}
    assert colours == {"colour:item-rule=green", "colour:item-rule=yellow", "colour:item-rule=red"}
