"""Permitted answers that an expression decides: answerExpression and answerOptionsToggleExpression."""

from __future__ import annotations

from typing import Any

import pytest

from kpro_graph.questionnaires import Questionnaire, Severity, evaluate, judge_expressions
from kpro_graph.questionnaires.differences import Step, compare
from tests.questionnaires.making import (
    SDC,
    SYSTEM,
    answer,
    coding,
    expression,
    form,
    item,
    judge,
    options,
    reply,
    told,
)

CHOSEN = "%resource.item.where(linkId='listed').answer.value"
ON = "%resource.item.where(linkId='on').answer.value"


def toggle(text: str, *codes: str) -> dict[str, Any]:
    """Write an extension that leaves the options on only where the expression holds."""
    named = [{"url": "option", "valueCoding": {"system": SYSTEM, "code": code}} for code in codes]
    value = {"language": "text/fhirpath", "expression": text}
    return {
        "url": f"{SDC}answerOptionsToggleExpression",
        "extension": [*named, {"url": "expression", "valueExpression": value}],
    }


def listing(kind: str, text: str = CHOSEN) -> Questionnaire:
    """Make a form whose question ``q`` is answered from what was answered to ``listed``."""
    listed = item("listed", "open-choice", repeats=True, answerOption=options("a", "b", "c"))
    return form(listed, item("q", kind, extension=[expression("answerExpression", text)]))


def toggled(*toggles: dict[str, Any]) -> Questionnaire:
    """Make a form whose question ``q`` has the options a, b and c, some of them toggled."""
    return form(
        item("on", "boolean"), item("q", "choice", answerOption=options("a", "b", "c"), extension=list(toggles))
    )


def test_an_answer_is_permitted_where_the_expression_gives_it() -> None:
    listed = answer("listed", coding("a"), coding("b"))
    assert told(judge(listing("choice"), listed, answer("q", coding("b"))).problems) == []
    evaluation = judge(listing("choice"), listed, answer("q", coding("c")))
    assert told(evaluation.problems) == [("not_in_options", "q")]
    assert evaluation.problems[0].location == "QuestionnaireResponse.item[1].answer[0]"


def test_a_text_of_ones_own_is_permitted_where_the_choice_is_open() -> None:
    listed = answer("listed", coding("a"))
    assert told(judge(listing("open-choice"), listed, answer("q", "something else")).problems) == []
    assert told(judge(listing("choice"), answer("listed", "x"), answer("q", "y")).problems) == [("not_in_options", "q")]


@pytest.mark.parametrize(
    ("kind", "text", "given"),
    [
        ("choice", "'a'|'b'", coding("a")),
        ("choice", "%questionnaire.item.first().answerOption.value", coding("c")),
        ("integer", "1|2", {"valueInteger": 2}),
        ("date", "@2024-01-01", {"valueDate": "2024-01-01"}),
        ("reference", "%resource.contained", {"valueReference": {"reference": "Patient/p"}}),
        ("reference", "%resource.subject", {"valueReference": {"reference": "Patient/1", "display": "A name"}}),
    ],
)
def test_what_an_expression_gives_is_matched_to_the_type_of_the_question(
    kind: str, text: str, given: dict[str, Any]
) -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    response = reply(answer("q", given), contained=[patient], subject={"reference": "Patient/1"})
    assert told(evaluate(listing(kind, text), response).problems) == []


@pytest.mark.parametrize("text", ["%nothing", "{}"])
def test_what_cannot_be_told_forbids_nothing_and_is_told_as_a_warning(text: str) -> None:
    evaluation = judge(listing("choice", text), answer("q", coding("c")))
    assert evaluation.valid
    assert len(evaluation.problems) == 1


def test_an_option_is_off_unless_an_expression_that_names_it_holds() -> None:
    questionnaire = toggled(toggle(ON, "b"))
    assert told(judge(questionnaire, answer("on", True), answer("q", coding("b"))).problems) == []
    assert told(judge(questionnaire, answer("on", False), answer("q", coding("b"))).problems) == [
        ("not_in_options", "q")
    ]
    assert told(judge(questionnaire, answer("q", coding("b"))).problems) == [("not_in_options", "q")]
    assert told(judge(questionnaire, answer("q", coding("a"))).problems) == []


def test_an_option_named_twice_is_on_where_one_of_the_expressions_holds() -> None:
    questionnaire = toggled(toggle(ON, "b"), toggle("true", "b", "c"))
    assert told(judge(questionnaire, answer("on", False), answer("q", coding("b"))).problems) == []


def test_a_toggle_that_gives_no_truth_value_leaves_the_option_on_with_a_warning() -> None:
    assert told(judge(toggled(toggle("1", "b")), answer("q", coding("b"))).problems) == [("expression_error", "q")]


def test_in_a_draft_an_answer_that_is_not_permitted_is_a_warning() -> None:
    draft = reply(answer("on", False), answer("q", coding("b")), status="in-progress")
    evaluation = evaluate(toggled(toggle(ON, "b")), draft)
    assert [(each.code, each.severity) for each in evaluation.problems] == [("not_in_options", Severity.WARNING)]


def test_a_toggle_without_options_or_expression_is_remarked_on() -> None:
    questionnaire = toggled({"url": f"{SDC}answerOptionsToggleExpression", "extension": []})
    assert [each.code for each in questionnaire.remarks] == ["extension_malformed"]


def test_expressions_that_permit_answers_are_checked_as_the_others_are() -> None:
    for questionnaire in (listing("choice", "foo bar"), toggled(toggle("foo bar", "b"))):
        assert [(each.code, each.link_id) for each in judge_expressions(questionnaire)] == [("expression_invalid", "q")]


def test_permitting_other_answers_is_a_major_step() -> None:
    for one, other in (
        (listing("choice"), listing("choice", "%resource.item.first().answer.value")),
        (toggled(toggle(ON, "b")), toggled(toggle(ON, "c"))),
    ):
        assert compare(one, other).step is Step.MAJOR
