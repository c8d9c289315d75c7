"""Dead ends: every set of answers after which nothing is valid any more is found, and none is made up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import evaluate
from kpro_graph.questionnaires.proof import prove
from tests.questionnaires.making import item
from tests.questionnaires.proof_making import (
    Outcome,
    choice,
    conditions_on,
    constraint,
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

EXHAUSTIVE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
CLAIMS = ("dead_end", "never_valid", "rule_excludes_answers")
NOT_OFFERED = {"answered_but_disabled", "too_many_answers", "min_value", "max_value", "not_in_options"}
Given = tuple[str, tuple[object, ...]]


@st.composite
def trapped(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make items with required groups, a question nobody can answer, and rules over several answers."""
    items = draw(small_items(most=3))
    asked = [each for each in flat(items) if each["type"] != "group"]
    for each in flat(items):
        if each["type"] == "group" and draw(st.booleans()):
            each["required"] = True
    if draw(st.booleans()):
        trap = whole("trap", 3, 1, required=True)
        if draw(st.booleans()):
            trap["enableWhen"] = [draw(conditions_on(draw(st.sampled_from(asked))))]
        items.append(trap)
    rules = []
    if draw(st.integers(0, 3)):
        one, other = draw(st.sampled_from(asked)), draw(st.sampled_from(asked))
        first, second = read_value(one["linkId"]), read_value(other["linkId"])
        term = draw(terms(one))
        said = (
            f"{first}.exists() implies {second}.exists()",
            f"({term}.exists() and {term}) implies {second}.empty()",
            f"{first}.exists() and {second}.exists()",
            f"{term} implies {draw(terms(other))}",
            f"{first}.count() + {second}.count() < 2",
        )
        rules.append(constraint(draw(st.sampled_from(said))))
    return items, rules


def leads_on(given: Iterable[Given], valid: list[Outcome]) -> bool:
    """Tell whether answering more leads to a valid response; what is not asked any more falls away."""
    return any(
        all(each.given.get(link_id) == answer or link_id not in each.evaluation.enabled for link_id, answer in given)
        for each in valid
    )


@EXHAUSTIVE
@given(trapped())
def test_dead_ends_are_found_and_none_is_made_up(made: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    items, rules = made
    questionnaire = written(*items, extension=rules)
    assume(count_responses(questionnaire) <= 400)
    proof = prove(questionnaire)
    if proof.of("cycle"):
        return
    every = list(every_response(questionnaire))
    by_given = {frozenset(each.given.items()): each for each in every}
    valid = [each for each in every if each.evaluation.valid]
    claims = [finding for finding in proof.findings if finding.code in CLAIMS]
    undecided = proof.of("undecided_dead_end")
    if not valid:
        assert undecided or any(finding.code != "rule_excludes_answers" for finding in claims)
    for each in every:
        offered = NOT_OFFERED.isdisjoint(problem.code for problem in each.evaluation.problems)
        if not offered or leads_on(each.given.items(), valid):
            continue
        core = set(each.given.items())
        for part in sorted(each.given.items()):
            if not leads_on(core - {part}, valid):
                core -= {part}
        draft = evaluate(questionnaire, by_given[frozenset(core)].response, draft=True)
        if core and not any(problem.severity == "error" for problem in draft.problems):
            assert claims or undecided, core
    for finding in claims:
        assert finding.counter_example is not None
        shown = evaluate(questionnaire, finding.counter_example)
        assert not shown.valid
        answers = {one: tuple(repr(each.as_fhir()) for each in shown.answers.values(one)) for one in finding.link_ids}
        given = [(link_id, values) for link_id, values in answers.items() if values]
        assert not leads_on([] if finding.code == "never_valid" else given, valid)


@EXHAUSTIVE
@given(small_items(), st.data())
def test_a_question_without_an_answer_behind_a_choice_is_always_found(
    items: list[dict[str, Any]], data: st.DataObject
) -> None:
    gate = choice("gate", "x", "y", required=True)
    trap = {**whole("trap", 3, 1, required=True), "enableWhen": [when("gate", "=", code="y")]}
    position = data.draw(st.integers(0, len(items)))
    questionnaire = written(*items[:position], gate, *items[position:], item("g", "group", trap))
    proof = prove(questionnaire)
    (finding,) = proof.of("dead_end")
    assert finding.link_ids == ("trap", "gate")
    assert finding.counter_example is not None
    assert not evaluate(questionnaire, finding.counter_example).valid
    assert not proof.may_activate


def test_a_required_group_of_which_nothing_is_asked_is_a_dead_end() -> None:
    inside = [item(f"i{number}", "boolean", enableWhen=[when("a", "=", code="x")]) for number in range(12)]
    proof = prove(written(choice("a", "x", "y"), item("g", "group", *inside, required=True)))
    (finding,) = proof.of("dead_end")
    assert finding.link_ids == ("g", "a")


def test_an_answer_that_a_rule_makes_impossible_is_a_dead_end() -> None:
    rule = constraint(f"{read_value('a')}.code = 'y' implies {read_value('b')}.exists()")
    asked = item("b", "boolean", enableWhen=[when("a", "=", code="x")])
    proof = prove(written(choice("a", "x", "y"), asked, extension=[rule]))
    (finding,) = proof.of("dead_end")
    assert finding.link_ids == ("a",)
    assert finding.key == "rule"


def test_a_rule_that_speaks_as_soon_as_it_is_broken_is_no_dead_end() -> None:
    rule = constraint(f"{read_value('a')} < {read_value('b')}")
    proof = prove(written(whole("a", 0, 3), whole("b", 1, 4), extension=[rule]))
    assert [finding.code for finding in proof.findings] == ["expression_fails"]
    assert proof.may_activate


def test_fixtures_keep_the_rules_of_the_questionnaire() -> None:
    rule = constraint(f"{read_value('a')} + {read_value('b')} = 5")
    proof = prove(written(whole("a", 0, 5, required=True), whole("b", 0, 5, required=True), extension=[rule]))
    assert all(fixture.expected.valid for fixture in proof.fixtures if "bound:a=5" in fixture.covers)
    assert any(fixture.expected.valid for fixture in proof.fixtures)
