"""Which items are ever asked: the proof says it exactly, held against every response there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import Questionnaire, evaluate
from kpro_graph.questionnaires.proof import Budget, Proof, prove
from tests.questionnaires.making import expression, ext, item
from tests.questionnaires.proof_making import (
    choice,
    conditions_on,
    count_responses,
    every_response,
    flat,
    read_value,
    small_items,
    terms,
    when,
    whole,
    written,
)

EXHAUSTIVE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
MOST = 600


@st.composite
def expressive_items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Make items with a calculated number, a condition on it, and conditions written as expressions."""
    items = draw(small_items(most=3))
    asked = [each for each in flat(items) if each["type"] != "group"]
    numbers = [each for each in asked if each["type"] in ("integer", "choice")]
    calculated, said = draw(st.booleans()), draw(st.booleans())
    if numbers and calculated:
        picked = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=2, unique_by=lambda one: one["linkId"]))
        reads = [read_value(one["linkId"]) + ("" if one["type"] == "integer" else ".weight()") for one in picked]
        first = read_value(picked[0]["linkId"])
        text = draw(
            st.sampled_from(
                (
                    " + ".join(f"{one}.sum()" for one in reads),
                    " + ".join(reads),
                    f"iif({first}.exists(), {reads[0]} * 2, 1)",
                    "%resource.descendants().answer.weight().sum()",
                )
            )
        )
        made = item("sum", "decimal", readOnly=True, extension=[expression("calculatedExpression", text)])
        if draw(st.booleans()):
            made["enableWhen"] = [draw(conditions_on(draw(st.sampled_from(asked))))]
        operator = draw(st.sampled_from((">", "<=", "=", "!=")))
        test = {"question": "sum", "operator": operator, "answerDecimal": draw(st.integers(0, 4))}
        exists = when("sum", "exists", boolean=draw(st.booleans()))
        items += [made, item("after", "boolean", enableWhen=[draw(st.sampled_from((test, exists)))])]
    if said:
        one, other = draw(st.sampled_from(asked)), draw(st.sampled_from(asked))
        text = draw(
            st.sampled_from(
                (
                    f"{draw(terms(one))} and {draw(terms(other))}",
                    f"{draw(terms(one))} or {draw(terms(other))}",
                    f"{read_value(one['linkId'])}.exists().not()",
                    f"{read_value(one['linkId'])}.count() + {read_value(other['linkId'])}.count() > 1",
                )
            )
        )
        items.append(item("said", "boolean", extension=[expression("enableWhenExpression", text)]))
        items.append(item("last", "boolean", enableWhen=[when("said", "=", boolean=True)]))
    return items


def hold_against_every_response(questionnaire: Questionnaire, proof: Proof) -> None:
    drafts: set[str] = set()
    complete: set[str] = set()
    for outcome in every_response(questionnaire):
        if outcome.consistent:
            drafts.update(outcome.evaluation.enabled)
            if outcome.evaluation.valid:
                complete.update(outcome.evaluation.enabled)
    never = {link_id for finding in proof.of("unreachable") for link_id in finding.link_ids}
    passing = {finding.link_ids[0] for finding in proof.of("asked_in_drafts_only")}
    assert never == set(questionnaire.by_link_id) - drafts
    assert passing.isdisjoint(complete)
    for link_id in drafts - complete:
        assert {link_id, *above(questionnaire, link_id)} & passing, link_id
    assert not proof.of("undecided_reachability")
    assert not proof.of("undecided_fixture")


def above(questionnaire: Questionnaire, link_id: str) -> list[str]:
    parent = questionnaire.by_link_id[link_id].parent
    return [] if parent is None else [parent, *above(questionnaire, parent)]


@EXHAUSTIVE
@given(small_items())
def test_exactly_the_items_that_no_response_reaches_are_found(items: list[dict[str, Any]]) -> None:
    questionnaire = written(*items)
    assume(count_responses(questionnaire) <= MOST)
    proof = prove(questionnaire)
    if not proof.of("cycle"):
        hold_against_every_response(questionnaire, proof)


@EXHAUSTIVE
@given(expressive_items())
def test_conditions_that_are_expressions_and_calculated_values_are_followed(items: list[dict[str, Any]]) -> None:
    questionnaire = written(*items)
    assume(count_responses(questionnaire) <= MOST)
    proof = prove(questionnaire)
    if not proof.of("cycle") and not proof.of("undecided_cycle"):
        hold_against_every_response(questionnaire, proof)


@EXHAUSTIVE
@given(small_items())
def test_an_unreachable_item_put_anywhere_is_always_found(items: list[dict[str, Any]]) -> None:
    asked = [each["linkId"] for each in flat(items) if each["type"] != "group"]
    never = item("never", "boolean", item("below", "boolean"), enableWhen=[when(asked[0], "=", code="nobody")])
    questionnaire = written(*items, item("around", "group", never))
    (finding,) = (one for one in prove(questionnaire).of("unreachable") if "never" in one.link_ids)
    assert finding.link_ids == ("never", "below")
    assert finding.counter_example is not None
    assert "never" not in evaluate(questionnaire, finding.counter_example).enabled


@EXHAUSTIVE
@given(small_items(), st.integers(2, 4))
def test_a_circle_put_anywhere_is_always_found(items: list[dict[str, Any]], length: int) -> None:
    ring = [
        item(f"r{number}", "boolean", enableWhen=[when(f"r{(number + 1) % length}", "=", boolean=True)])
        for number in range(length)
    ]
    proof = prove(written(*items, *ring))
    found = {link_id for finding in proof.of("cycle") for link_id in finding.link_ids}
    assert {f"r{number}" for number in range(length)} <= found
    assert not proof.may_activate


@pytest.mark.parametrize("operator", [">", ">="])
def test_a_condition_beyond_the_bounds_of_its_question_is_never_met(operator: str) -> None:
    far = item("b", "boolean", enableWhen=[when("a", operator, integer=11)])
    assert prove(written(whole("a", 0, 10), far)).of("unreachable")
    near = item("b", "boolean", enableWhen=[when("a", operator, integer=9)])
    assert not prove(written(whole("a", 0, 10), near)).findings


def test_conditions_that_exclude_each_other_are_seen_through_other_items() -> None:
    proof = prove(
        written(
            choice("a", "x", "y"),
            item("b", "boolean", enableWhen=[when("a", "=", code="x")]),
            item("c", "boolean", enableWhen=[when("a", "=", code="y")]),
            item(
                "d",
                "boolean",
                enableWhen=[when("b", "=", boolean=True), when("c", "=", boolean=True)],
                enableBehavior="all",
            ),
        )
    )
    (finding,) = proof.of("unreachable")
    assert finding.link_ids == ("d",)


def test_answers_that_can_be_given_together_reach_what_needs_both() -> None:
    both = [when("a", "=", code="x"), when("a", "=", code="y")]
    several = {**choice("a", "x", "y"), "repeats": True}
    needing = item("b", "boolean", enableWhen=both, enableBehavior="all")
    assert not prove(written(several, needing)).of("unreachable")
    assert prove(written(choice("a", "x", "y"), needing)).of("unreachable")
    alone = [
        {**each, "extension": [ext("questionnaire-optionExclusive", valueBoolean=True)]}
        for each in several["answerOption"]
    ]
    assert prove(written({**several, "answerOption": alone}, needing)).of("unreachable")


def test_repetitions_of_a_group_together_reach_what_no_single_one_does() -> None:
    group = item("g", "group", choice("a", "x", "y"), repeats=True)
    needing = item(
        "b", "boolean", enableWhen=[when("a", "=", code="x"), when("a", "=", code="y")], enableBehavior="all"
    )
    proof = prove(written(group, needing))
    assert not proof.of("unreachable")
    shown = next(one for one in proof.fixtures if "asked:b" in one.covers)
    assert "b" in shown.expected.enabled


def test_a_condition_on_a_sum_of_many_answers_is_decided_without_trying_them_all() -> None:
    questions = [choice(f"q{number}", "a", "b", "c", "d") for number in range(9)]
    text = "%resource.item.where(linkId != 'sum').answer.weight().sum()"
    total = item("sum", "integer", readOnly=True, extension=[expression("calculatedExpression", text)])
    reached = item("high", "boolean", enableWhen=[when("sum", ">=", integer=27)])
    beyond = item("beyond", "boolean", enableWhen=[when("sum", ">", integer=27)])
    proof = prove(written(*questions, total, reached, beyond))
    assert [finding.link_ids for finding in proof.of("unreachable")] == [("beyond",)]
    assert proof.cases < 2_000


def test_a_linkid_that_is_compared_without_regard_to_case_is_followed() -> None:
    text = "%resource.item.where(linkId ~ 'A').answer.value = true"
    said = item("said", "boolean", extension=[expression("enableWhenExpression", text)])
    proof = prove(written(item("a", "boolean"), said))
    assert not proof.of("unreachable")
    assert not proof.of("expression_link_id_unknown")
    assert any("asked:said" in fixture.covers for fixture in proof.fixtures)


def test_what_depends_on_the_day_or_on_others_is_undecided_and_never_fine() -> None:
    day = item("a", "boolean", extension=[expression("enableWhenExpression", "today() > @2100-01-01")])
    (finding,) = prove(written(day)).of("undecided_reachability")
    assert finding.en.endswith("it depends on the day's date.")


def test_a_search_that_is_cut_short_is_undecided_and_never_fine() -> None:
    questions = [choice(f"q{number}", *"abcdef") for number in range(8)]
    text = " and ".join(f"{read_value(f'q{number}')}.code = 'f'" for number in range(8))
    hard = item("hard", "boolean", extension=[expression("enableWhenExpression", f"({text}).not().not()")])
    proof = prove(written(*questions, hard), budget=Budget(cases=400, each=200))
    (finding,) = proof.of("undecided_reachability")
    assert "more sets of answers than could be tried" in finding.en


def test_the_same_questionnaire_is_proved_alike_every_time() -> None:
    questionnaire = written(*(choice(f"q{number}", *"abc") for number in range(4)))
    assert prove(questionnaire) == prove(written(*(choice(f"q{number}", *"abc") for number in range(4))))
