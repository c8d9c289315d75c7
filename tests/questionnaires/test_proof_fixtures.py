"""Fixtures: few responses that show everything, each expecting what evaluating it really gives."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from hypothesis import HealthCheck, given, settings

from kpro_graph.questionnaires import Evaluation, Questionnaire, RuleSet, evaluate, read_json, write_json
from kpro_graph.questionnaires.proof import Fixture, prove
from tests.questionnaires.making import ext, item, options
from tests.questionnaires.proof_making import (
    GREEN_YELLOW_RED,
    choice,
    item_rule,
    rules,
    score_rule,
    small_items,
    total,
    when,
    whole,
    written,
)
from tests.sheets import band

EXHAUSTIVE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def covers(fixtures: tuple[Fixture, ...]) -> list[str]:
    return [name for fixture in fixtures for name in fixture.covers]


def holds(fixture: Fixture, evaluation: Evaluation) -> bool:
    expected = fixture.expected
    return (
        evaluation.valid is expected.valid
        and evaluation.enabled == expected.enabled
        and {one.code: one.value for one in evaluation.scores} == expected.scores
        and {one.subject: one.colour for one in evaluation.interpretations} == expected.colours
    )


def made() -> tuple[Questionnaire, RuleSet]:
    questionnaire = written(
        choice("a", "x", "y", "z", required=True),
        item("b", "boolean", enableWhen=[when("a", "=", code="y")]),
        whole("c", 0, 10),
        item("d", "string"),
    )
    rule_set = rules(
        score_rule("s", band("green", below=4), band("yellow", atLeast=4, below=8), band("red", atLeast=8)),
        item_rule("c", *GREEN_YELLOW_RED),
        scores=[total("s", ["a", "c"])],
    )
    return questionnaire, rule_set


def test_fixtures_show_each_answer_option_bound_condition_colour_and_edge() -> None:
    questionnaire, rule_set = made()
    proof = prove(questionnaire, rule_set)
    assert not proof.of("undecided_fixture")
    shown = covers(proof.fixtures)
    assert len(shown) == len(set(shown))
    assert set(shown) == {
        *("answered:a", "option:a=x", "option:a=y", "option:a=z"),
        *("answered:b", "unanswered:b", "asked:b", "not asked:b", "met:b[0]", "not met:b[0]"),
        *("answered:c", "unanswered:c", "bound:c=0", "bound:c=10", "answered:d", "unanswered:d"),
        *(f"colour:{rule}={colour}" for rule in ("score-rule", "item-rule") for colour in ("green", "yellow", "red")),
        *("edge:score-rule=4", "edge:score-rule=8", "edge:item-rule=2", "edge:item-rule=4"),
    }
    assert all(fixture.expected.valid for fixture in proof.fixtures)


@EXHAUSTIVE
@given(small_items())
def test_what_a_fixture_expects_is_what_its_response_gives(items: list[dict[str, Any]]) -> None:
    questionnaire = written(*items)
    proof = prove(questionnaire)
    for fixture in proof.fixtures:
        assert holds(fixture, evaluate(questionnaire, fixture.response))
        assert fixture.covers


@EXHAUSTIVE
@given(small_items())
def test_no_fixture_can_be_left_out(items: list[dict[str, Any]]) -> None:
    fixtures = prove(written(*items)).fixtures
    shown = [{f"asked:{link_id}" for link_id in fixture.expected.enabled} | set(fixture.covers) for fixture in fixtures]
    for number, fixture in enumerate(fixtures):
        others = set().union(*(each for place, each in enumerate(shown) if place != number))
        assert not set(fixture.covers) <= others


def test_questions_that_do_not_influence_each_other_share_their_fixtures() -> None:
    questionnaire = written(*(choice(f"q{number}", *"abcd", required=True) for number in range(30)))
    assert len(prove(questionnaire).fixtures) == 4


def test_answers_that_may_be_given_together_share_a_fixture() -> None:
    several = {"answerOption": options(*"abcdef"), "repeats": True}
    assert len(prove(written(item("a", "choice", **several))).fixtures) == 2
    most = ext("questionnaire-maxOccurs", valueInteger=3)
    assert len(prove(written(item("a", "choice", **several, extension=[most]))).fixtures) == 3


def test_repetitions_of_a_group_share_a_fixture() -> None:
    group = item("g", "group", choice("a", *"abcdef"), repeats=True)
    (first, *others) = prove(written(group)).fixtures
    assert len(others) == 1
    assert [each["linkId"] for each in first.response["item"]] == ["g"] * 6


def test_the_answers_of_a_fixture_are_as_a_citizen_gives_them() -> None:
    for fixture in prove(written(choice("a", "x", "y"))).fixtures:
        for each in fixture.response.get("item", []):
            assert set(each["answer"][0]["valueCoding"]) == {"system", "code", "display"}


def test_fixtures_are_the_same_in_every_process() -> None:
    questionnaire, rule_set = made()
    program = (
        "from tests.questionnaires.test_proof_fixtures import made, prove, write_json\n"
        "print(write_json(prove(*made()).to_json()).decode())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(run.stdout) == json.loads(write_json(prove(questionnaire, rule_set).to_json()))


def test_a_fixture_survives_being_written_as_json() -> None:
    questionnaire, rule_set = made()
    for fixture in prove(questionnaire, rule_set).fixtures:
        again = read_json(write_json(fixture.to_json()))
        assert isinstance(again, dict)
        assert again["covers"] == list(fixture.covers)
        assert holds(fixture, evaluate(questionnaire, again["response"], rules=rule_set))
