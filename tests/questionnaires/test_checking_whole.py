"""Checking a response as a whole: its header, what may not be edited, authors' rules, calculated bounds, messages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from kpro_graph.questionnaires import CODES, Severity, evaluate, judge_expressions
from tests.questionnaires.making import (
    answer,
    coding,
    expression,
    ext,
    form,
    group,
    item,
    judge,
    options,
    reply,
    told,
)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"resourceType": "Patient"}, ("structure", "error")),
        ({"status": "draft"}, ("structure", "error")),
        ({"colour": "red"}, ("structure", "error")),
        ({"questionnaire": 3}, ("structure", "error")),
        ({"questionnaire": "urn:other"}, ("wrong_questionnaire", "error")),
        ({"questionnaire": "urn:test:form|2"}, ("wrong_questionnaire", "warning")),
        ({"authored": "2025-12-31"}, ("outside_effective_period", "warning")),
        ({"authored": "2027-01-01T10:00:00Z"}, ("outside_effective_period", "warning")),
    ],
)
def test_the_response_as_a_whole_is_judged(parts: dict[str, Any], expected: tuple[str, str]) -> None:
    questionnaire = form(item("q"), id="form", version="1", effectivePeriod={"start": "2026-01", "end": "2026"})
    evaluation = evaluate(questionnaire, {**reply(answer("q", "x")), **parts})
    assert [(each.code, each.severity.value) for each in evaluation.problems] == [expected]


@pytest.mark.parametrize(
    "parts",
    [
        {"questionnaire": "urn:test:form"},
        {"questionnaire": "urn:test:form|1"},
        {"questionnaire": "https://example.org/fhir/Questionnaire/form"},
        {"questionnaire": "#contained"},
        {"authored": "2026-06-01"},
        {"_status": {"extension": [{"url": "urn:test:why", "valueString": "x"}]}},
    ],
)
def test_a_response_that_names_this_questionnaire_in_its_time_is_no_problem(parts: dict[str, Any]) -> None:
    questionnaire = form(item("q"), id="form", version="1", effectivePeriod={"start": "2026-01", "end": "2026"})
    assert evaluate(questionnaire, {**reply(answer("q", "x")), **parts}).problems == ()


@pytest.mark.parametrize(("status", "expected"), [("active", []), ("draft", ["information"]), ("retired", ["warning"])])
def test_a_questionnaire_that_is_not_in_use_is_told_of(status: str, expected: list[str]) -> None:
    questionnaire = form(item("q"), status=status)
    problems = judge(questionnaire).problems
    assert [each.severity.value for each in problems] == expected
    assert {each.code for each in problems} <= {"questionnaire_not_active"}


@pytest.mark.parametrize(("value", "codes_"), [("same", []), ("changed", ["read_only_changed"]), (None, [])])
def test_a_read_only_answer_is_what_the_questionnaire_filled_in(value: str | None, codes_: list[str]) -> None:
    questionnaire = form(item("q", readOnly=True, initial=[{"valueString": "same"}]), item("free", readOnly=True))
    given = [answer("q", value)] if value else []
    assert [each[0] for each in told(judge(questionnaire, *given, answer("free", "x")).problems)] == codes_


def test_messages_are_in_danish_and_english_and_hold_nothing_that_was_answered() -> None:
    secret = "0101574000"
    questionnaire = form(
        item("short", maxLength=3),
        item("number", "integer", extension=[ext("maxValue", valueInteger=5)]),
        item("choice", "choice", answerOption=options("a")),
        item("rule", extension=[ext("regex", valueString="[a-z]+"), _rule("answer.value.length() < 3", human="")]),
        item("sum", "integer", extension=[expression("calculatedExpression", "%resource.item[0].answer.value")]),
    )
    evaluation = judge(
        questionnaire,
        answer("short", secret),
        answer("number", 101574000),
        answer("choice", coding(secret)),
        answer("rule", secret),
        answer("unknown", secret),
    )
    assert len(evaluation.problems) >= 6
    for problem in evaluation.problems:
        assert problem.da
        assert problem.en
        assert problem.da != problem.en
        for message in (problem.da, problem.en):
            assert "0101574000" not in message
            assert "101574000" not in message


def test_a_limit_is_written_as_each_language_writes_it() -> None:
    questionnaire = form(item("q", "decimal", extension=[ext("maxValue", valueDecimal=Decimal("2.50"))]))
    problem = judge(questionnaire, answer("q", Decimal(3))).problems[0]
    assert problem.da == "Svaret er for højt; højst 2,50."
    assert problem.en == "The answer is too high; at most 2.50."


def _rule(text: str, *, key: str = "k1", severity: str = "error", human: str = "Human words") -> dict[str, Any]:
    return {
        "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-constraint",
        "extension": [
            {"url": "key", "valueId": key},
            {"url": "severity", "valueCode": severity},
            {"url": "expression", "valueString": text},
            {"url": "human", "valueString": human},
        ],
    }


def _target(text: str) -> dict[str, Any]:
    rule = _rule(text)
    parts = [part for part in rule["extension"] if part["url"] != "expression"]
    value = {"url": "expression", "valueExpression": {"language": "text/fhirpath", "expression": text}}
    return {"url": "http://hl7.org/fhir/StructureDefinition/targetConstraint", "extension": [*parts, value]}


@pytest.mark.parametrize("make", [_rule, _target])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("answer.count() = 1", []),
        ("answer.count() = 2", [("constraint", "error")]),
        ("{}", [("expression_error", "warning")]),
        ("answer.value", [("expression_error", "warning")]),
        ("answer.value > 3", [("expression_error", "warning")]),
        ("not an expression", [("expression_error", "warning")]),
    ],
)
def test_a_rule_must_be_true_and_one_that_fails_is_not_broken(
    make: Any, text: str, expected: list[tuple[str, str]]
) -> None:
    evaluation = judge(form(item("q", extension=[make(text)])), answer("q", "x"))
    assert [(each.code, each.severity.value) for each in evaluation.problems] == expected


def test_a_broken_rule_is_told_in_its_author_s_words_with_its_key_and_severity() -> None:
    questionnaire = form(
        item("q", extension=[_rule("false", severity="warning")]), extension=[_target("item.count() > 1")]
    )
    evaluation = judge(questionnaire, answer("q", "x"))
    assert [(each.key, each.severity.value, each.path, each.da, each.en) for each in evaluation.problems] == [
        ("k1", "error", "", "Human words", "Human words"),
        ("k1", "warning", "q", "Human words", "Human words"),
    ]


def test_a_rule_on_an_unanswered_or_absent_item_is_not_asked() -> None:
    questionnaire = form(
        item("q", extension=[_rule("false")]), item("g", "group", item("a"), extension=[_rule("false")])
    )
    assert judge(questionnaire, {"linkId": "q"}).problems == ()
    assert told(judge(questionnaire, group("g")).problems) == [("constraint", "g")]


def test_a_bound_may_be_calculated() -> None:
    calculated = {
        "url": "http://hl7.org/fhir/StructureDefinition/cqf-calculatedValue",
        "valueExpression": {
            "language": "text/fhirpath",
            "expression": "%resource.item.where(linkId='from').answer.value",
        },
    }
    bound = ext("minValue", _valueDate={"extension": [calculated]})
    questionnaire = form(item("from", "date"), item("to", "date", extension=[bound]))
    start = answer("from", {"valueDate": "2026-03-01"})
    assert told(judge(questionnaire, start, answer("to", {"valueDate": "2026-02-28"})).problems) == [
        ("min_value", "to")
    ]
    assert judge(questionnaire, start, answer("to", {"valueDate": "2026-03-01"})).valid
    assert judge(questionnaire, answer("to", {"valueDate": "2026-03-01"})).valid


def test_every_code_has_both_messages_and_one_usual_severity() -> None:
    for code, explained in CODES.items():
        assert explained.da, code
        assert explained.en, code
        assert explained.da.count("{") == explained.en.count("{")
        assert isinstance(explained.severity, Severity)


def test_a_wording_of_its_own_is_told_of_but_a_translation_is_not() -> None:
    english = ext(
        "translation", extension=[{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": "Pain"}]
    )
    questionnaire = form(item("q", text="Smerter", _text={"extension": [english]}), item("untitled"))
    for text, expected in (
        ("Smerter", []),
        ("Pain", []),
        ("Itching", [("text_differs", "q")]),
        (3, [("text_differs", "q")]),
    ):
        evaluation = judge(
            questionnaire, {**answer("q", "x"), "text": text}, {**answer("untitled", "x"), "text": "Any"}
        )
        assert told(evaluation.problems, information=True) == expected
        assert evaluation.valid


def test_expressions_that_cannot_run_are_found_without_any_answers() -> None:
    query = {
        "url": "http://hl7.org/fhir/StructureDefinition/variable",
        "valueExpression": {"name": "v", "language": "application/x-fhir-query", "expression": "Patient?x"},
    }
    questionnaire = form(
        item("a", extension=[expression("calculatedExpression", "((("), _rule("answer.count( = 1"), query]),
        item("b", extension=[expression("enableWhenExpression", "1 = 1"), ext("minValue", extension=[_calculated("nonsense()")])]),
        extension=[expression("", "foo bar", variable="v"), _target("true")],
    )  # fmt: skip
    found = [(each.code, each.path, each.location) for each in judge_expressions(questionnaire)]
    assert found == [
        ("expression_invalid", "", "Questionnaire.extension[0]"),
        ("expression_language_unknown", "a", "Questionnaire.item[0].extension[2]"),
        ("expression_invalid", "a", "Questionnaire.item[0].extension[1]"),
        ("expression_invalid", "a", "Questionnaire.item[0].extension[0]"),
        ("expression_invalid", "b", "Questionnaire.item[1].extension[1]"),
    ]


def _calculated(text: str) -> dict[str, Any]:
    value = {"language": "text/fhirpath", "expression": text}
    return {"url": "http://hl7.org/fhir/StructureDefinition/cqf-calculatedValue", "valueExpression": value}
