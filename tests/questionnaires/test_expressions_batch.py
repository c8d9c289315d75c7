"""Expressions in bulk."""

from __future__ import annotations

import json
from typing import Any

from kpro_graph.questionnaires.expressions import run_batch

VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"
LAUNCH = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-launchContext"


def variable(name: str, expression: str, language: str = "text/fhirpath") -> dict[str, Any]:
    return {"url": VARIABLE, "valueExpression": {"name": name, "language": language, "expression": expression}}


QUESTIONNAIRE = {
    "resourceType": "Questionnaire",
    "extension": [
        variable("doubled", "%base * 2"),
        variable("base", "item.where(linkId='a').answer.value"),
        variable("late", "%base + 1"),
        variable("query", "Patient?x=y", "application/x-fhir-query"),
        variable("broken", "1 +"),
        {"url": LAUNCH, "extension": [{"url": "name", "valueCoding": {"code": "patient"}}]},
    ],
    "item": [
        {"linkId": "a", "type": "decimal"},
        {
            "linkId": "g",
            "type": "group",
            "repeats": True,
            "extension": [variable("here", "item.where(linkId='b').answer.value")],
            "item": [{"linkId": "b", "type": "integer"}, {"linkId": "c", "type": "integer"}],
        },
    ],
}
RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "item": [
        {"linkId": "a", "answer": [{"valueDecimal": 1.5}]},
        {"linkId": "g", "item": [{"linkId": "b", "answer": [{"valueInteger": 10}]}, {"linkId": "c"}]},
        {"linkId": "g", "item": [{"linkId": "b", "answer": [{"valueInteger": 20}]}, {"linkId": "c"}]},
    ],
}


def one(expression: str, **row: Any) -> Any:
    line = {"id": "x", "expression": expression, "resource": RESPONSE, "questionnaire": QUESTIONNAIRE, **row}
    (answer,) = run_batch([json.dumps(line)])
    found = json.loads(answer)
    assert found["id"] == "x"
    return found.get("result", found.get("error"))


def test_decimals_keep_their_digits_in_and_out() -> None:
    line = '{"id": 1, "expression": "value | value * 2", "resource": {"value": 1.000}}'
    assert list(run_batch([line, "", "\n"])) == ['{"id":1,"result":[1.000,2.000]}']


def test_the_link_id_and_the_instance_make_the_context() -> None:
    assert one("%context.answer.value", linkId="b") == [10]
    assert one("%context.answer.value", linkId="b", instance=1) == [20]
    assert one("answer.value", linkId="b", instance=1) == [20]
    assert one("%context.linkId & %qitem.type", linkId="b", instance=7) == ["binteger"]


def test_an_item_that_is_absent_stands_there_empty() -> None:
    assert one(
        "%context.answer.value.empty() and %context.linkId = 'c'",
        linkId="c",
        resource={"resourceType": "QuestionnaireResponse"},
    ) == [True]


def test_variables_are_those_in_scope_in_their_order() -> None:
    assert one("%late", linkId="a") == [2.5]
    assert one("%here", linkId="c") == [10]
    assert one("%here", linkId="c", instance=1) == [20]
    assert "no variable %here" in one("%here", linkId="a")
    assert "no variable %base" in one("%doubled")


def test_variables_from_outside_are_empty_and_broken_ones_an_error_where_they_are_needed() -> None:
    assert one("%query | %patient") == []
    assert "ends where more is expected" in one("%broken")


def test_a_result_does_not_show_weights_that_were_not_asked_for() -> None:
    ordinal = {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 3}
    coding = {"system": "s", "code": "c"}
    questionnaire = {"item": [{"linkId": "q", "answerOption": [{"valueCoding": coding, "extension": [ordinal]}]}]}
    response = {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "q", "answer": [{"valueCoding": coding}]}]}
    assert one("item.answer.value", resource=response, questionnaire=questionnaire) == [coding]
    assert one("item.answer.weight()", resource=response, questionnaire=questionnaire) == [3]


def test_a_bad_line_is_answered_and_the_next_one_too() -> None:
    lines = [
        "nonsense",
        "[]",
        '{"id": 3}',
        '{"id": 4, "expression": "1 +"}',
        '{"id": 5, "expression": "1", "resource": 1}',
        '{"id": 6, "expression": "value", "resource": {"value": NaN}}',
        '{"id": 7, "expression": "value", "resource": {"value": 1e99999999999999999999}}',
        "[" * 100_000,
        '{"id": 9, "expression": "1 + 1"}',
    ]
    answers = [json.loads(answer) for answer in run_batch(lines)]
    assert [answer["id"] for answer in answers] == [None, None, 3, 4, 5, None, None, None, 9]
    assert ["error" in answer for answer in answers] == [True] * 8 + [False]
    assert answers[-1]["result"] == [2]
