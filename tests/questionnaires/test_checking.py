"""Checking answers: every rule an item can have, told with its code, its path and its place."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from kpro_graph.questionnaires import Severity, evaluate
from tests.questionnaires.making import (
    answer,
    coding,
    ext,
    form,
    group,
    item,
    judge,
    options,
    reply,
    told,
)

KILO = {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
MAX_WEIGHT = ext(
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-maxQuantity",
    valueQuantity={"value": 80, "system": "http://unitsofmeasure.org", "code": "kg"},
)


def codes(kind: str, *answers: Any, **parts: Any) -> list[str]:
    """Return the codes of what is wrong with the answers to one question."""
    given = (answer("q", *answers),) if answers else ()
    return [code for code, _ in told(judge(form(item("q", kind, **parts)), *given).problems)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", {"valueBoolean": True}),
        ("decimal", {"valueDecimal": Decimal("1.0")}),
        ("decimal", {"valueDecimal": 5}),
        ("integer", {"valueInteger": -3}),
        ("date", {"valueDate": "2026"}),
        ("date", {"valueDate": "2024-02-29"}),
        ("dateTime", {"valueDateTime": "2026-01-01T10:00:00.5+01:00"}),
        ("dateTime", {"valueDateTime": "2026-01"}),
        ("time", {"valueTime": "23:59:59"}),
        ("string", {"valueString": "x"}),
        ("text", {"valueString": "x\ny"}),
        ("url", {"valueUri": "https://example.org"}),
        ("choice", coding("c")),
        ("open-choice", {"valueString": "free"}),
        ("attachment", {"valueAttachment": {"url": "https://example.org/a", "size": 3}}),
        ("reference", {"valueReference": {"reference": "Patient/1"}}),
        ("quantity", {"valueQuantity": KILO}),
    ],
)
def test_each_type_takes_its_own_answers_and_no_others(kind: str, value: dict[str, Any]) -> None:
    assert codes(kind, value) == []
    other = {"valueBoolean": True} if kind != "boolean" else {"valueInteger": 1}
    assert codes(kind, other) == ["type_mismatch"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", {"valueBoolean": "true"}),
        ("integer", {"valueInteger": "3"}),
        ("integer", {"valueInteger": Decimal("3.0")}),
        ("integer", {"valueInteger": True}),
        ("integer", {"valueInteger": 2**31}),
        ("decimal", {"valueDecimal": "1.5"}),
        ("date", {"valueDate": "2026-02-30"}),
        ("date", {"valueDate": "2026-1-1"}),
        ("dateTime", {"valueDateTime": "2026-01-01T10:00:00"}),
        ("dateTime", {"valueDateTime": "2026-01-01T25:00:00Z"}),
        ("time", {"valueTime": "10:00"}),
        ("string", {"valueString": 3}),
        ("url", {"valueUri": "a b"}),
        ("choice", {"valueCoding": "c"}),
        ("choice", {"valueCoding": {"code": 3}}),
        ("choice", {"valueCoding": {"code": "c", "colour": "red"}}),
        ("quantity", {"valueQuantity": {"value": "70"}}),
        ("attachment", {"valueAttachment": {"size": True}}),
        ("attachment", {"valueAttachment": {"data": "not base64!"}}),
        ("string", {"valueCode": "x"}),
        ("string", {"valueString": "x", "valueInteger": 1}),
        ("string", {"valueString": "x", "colour": "red"}),
    ],
)
def test_a_value_that_is_not_written_as_fhir_demands_is_a_fault_of_structure(kind: str, value: dict[str, Any]) -> None:
    assert codes(kind, value) == ["structure"]


@pytest.mark.parametrize(
    ("kind", "parts", "value", "expected"),
    [
        ("string", {"maxLength": 3}, "abcd", "max_length"),
        ("string", {"maxLength": 4}, "abcd", None),
        ("decimal", {"maxLength": 4}, Decimal("1.000"), "max_length"),
        ("time", {"maxLength": 7}, {"valueTime": "10:00:00"}, "max_length"),
        ("text", {"extension": [ext("minLength", valueInteger=5)]}, "abcd", "min_length"),
        ("text", {"extension": [ext("minLength", valueInteger=4)]}, "abcd", None),
        ("string", {"extension": [ext("regex", valueString="[0-9]{4}")]}, "12345", "regex"),
        ("string", {"extension": [ext("regex", valueString="[0-9]{4}")]}, "1234", None),
        ("string", {"extension": [ext("regex", valueString="matches('^[0-9]{4}$')")]}, "1234", None),
        ("string", {"extension": [ext("regex", valueString='matches("[a-z]+")')]}, "A", "regex"),
        ("integer", {"extension": [ext("regex", valueString="[12]")]}, 3, "regex"),
        ("string", {"extension": [ext("regex", valueString="(?=a)b")]}, "b", "expression_error"),
        ("decimal", {"extension": [ext("maxDecimalPlaces", valueInteger=2)]}, Decimal("1.000"), "max_decimal_places"),
        ("decimal", {"extension": [ext("maxDecimalPlaces", valueInteger=2)]}, Decimal("1.00"), None),
        ("decimal", {"extension": [ext("maxDecimalPlaces", valueInteger=0)]}, {"valueDecimal": 7}, None),
        ("integer", {"extension": [ext("minValue", valueInteger=3)]}, 2, "min_value"),
        ("integer", {"extension": [ext("minValue", valueInteger=3)]}, 3, None),
        ("decimal", {"extension": [ext("maxValue", valueInteger=3)]}, Decimal("3.01"), "max_value"),
        ("decimal", {"extension": [ext("maxValue", valueDecimal=Decimal("3.00"))]}, {"valueDecimal": 3}, None),
        ("date", {"extension": [ext("minValue", valueDate="2026-05-01")]}, {"valueDate": "2026-04-30"}, "min_value"),
        ("date", {"extension": [ext("minValue", valueDate="2026-05-01")]}, {"valueDate": "2026-05"}, None),
        ("dateTime", {"extension": [ext("maxValue", valueDateTime="2026-05-01T10:00:00Z")]}, {"valueDateTime": "2026-05-01T11:59:00+02:00"}, None),
        ("dateTime", {"extension": [ext("maxValue", valueDateTime="2026-05-01T10:00:00Z")]}, {"valueDateTime": "2026-05-01T12:01:00+02:00"}, "max_value"),
        ("time", {"extension": [ext("maxValue", valueTime="12:00:00")]}, {"valueTime": "12:00:00.5"}, "max_value"),
        ("quantity", {"extension": [MAX_WEIGHT]}, {"valueQuantity": {**KILO, "value": 80001, "code": "g"}}, "max_value"),
        ("quantity", {"extension": [MAX_WEIGHT]}, {"valueQuantity": {**KILO, "value": 80000, "code": "g"}}, None),
        ("quantity", {"extension": [MAX_WEIGHT]}, {"valueQuantity": {"value": 1, "unit": "kg"}}, "quantity_not_comparable"),
        ("quantity", {"extension": [MAX_WEIGHT]}, {"valueQuantity": {**KILO, "code": "m"}}, "quantity_not_comparable"),
        ("quantity", {"extension": [ext("minValue", valueInteger=3)]}, {"valueQuantity": {"value": 2}}, "min_value"),
        ("string", {}, "two\nlines", "string_has_newline"),
        ("choice", {}, {"valueCoding": {"code": "c"}}, "coding_without_system"),
        ("choice", {"answerOption": options("a")}, coding("a"), None),
        ("choice", {"answerOption": options("a")}, coding("b"), "not_in_options"),
        ("choice", {"answerOption": options("a")}, coding("a", "urn:other"), "not_in_options"),
        ("choice", {"answerOption": options("a")}, "A", "not_in_options"),
        ("open-choice", {"answerOption": options("a")}, "anything", None),
        ("open-choice", {"answerOption": options("a")}, coding("b"), "not_in_options"),
        ("integer", {"answerOption": [{"valueInteger": 1}]}, 2, "not_in_options"),
        ("string", {"answerOption": [{"valueString": "one"}]}, "one", None),
        ("choice", {"answerOption": [{"valueDate": "2026-01-01"}]}, {"valueDate": "2026-01-01"}, None),
        ("choice", {"answerValueSet": "urn:nowhere"}, coding("a"), "value_set_unresolved"),
        ("quantity", {"extension": [ext("questionnaire-unitOption", valueCoding={"system": "http://unitsofmeasure.org", "code": "kg"})]}, {"valueQuantity": KILO}, None),
        ("quantity", {"extension": [ext("questionnaire-unitOption", valueCoding={"code": "g", "display": "gram"})]}, {"valueQuantity": {"value": 1, "unit": "gram"}}, None),
        ("quantity", {"extension": [ext("questionnaire-unitOption", valueCoding={"system": "http://unitsofmeasure.org", "code": "g"})]}, {"valueQuantity": KILO}, "unit_not_allowed"),
        ("quantity", {"extension": [ext("questionnaire-unit", valueCoding={"system": "http://unitsofmeasure.org", "code": "g"})]}, {"valueQuantity": KILO}, None),
        ("quantity", {"extension": [ext("questionnaire-unit", valueCoding={"system": "http://unitsofmeasure.org", "code": "m"})]}, {"valueQuantity": KILO}, "unit_not_allowed"),
        ("quantity", {"extension": [ext("questionnaire-unitValueSet", valueCanonical="http://hl7.org/fhir/ValueSet/jurisdiction")]}, {"valueQuantity": KILO}, "unit_not_in_value_set"),
        ("quantity", {"extension": [ext("questionnaire-unitValueSet", valueCanonical="urn:nowhere")]}, {"valueQuantity": KILO}, "value_set_unresolved"),
        ("attachment", {"extension": [ext("mimeType", valueCode="image/*")]}, {"valueAttachment": {"contentType": "image/png"}}, None),
        ("attachment", {"extension": [ext("mimeType", valueCode="image/png")]}, {"valueAttachment": {"contentType": "text/html"}}, "attachment_mime"),
        ("attachment", {"extension": [ext("mimeType", valueCode="image/png")]}, {"valueAttachment": {"url": "x"}}, "attachment_mime"),
        ("attachment", {"extension": [ext("maxSize", valueDecimal=Decimal(3))]}, {"valueAttachment": {"contentType": "text/plain", "data": base64.b64encode(b"abcd").decode()}}, "attachment_max_size"),
        ("attachment", {"extension": [ext("maxSize", valueDecimal=Decimal(4))]}, {"valueAttachment": {"contentType": "text/plain", "data": base64.b64encode(b"abcd").decode(), "size": 4}}, None),
        ("attachment", {}, {"valueAttachment": {"contentType": "text/plain", "data": base64.b64encode(b"abcd").decode(), "size": 3}}, "attachment_size_mismatch"),
        ("reference", {}, {"valueReference": {"reference": "https://example.org/fhir/Chicken/1"}}, "reference_type"),
        ("reference", {"extension": [ext("questionnaire-referenceResource", valueCode="Patient")]}, {"valueReference": {"reference": "Group/1"}}, "reference_type"),
        ("reference", {"extension": [ext("questionnaire-referenceResource", valueCode="Patient")]}, {"valueReference": {"reference": "Patient/1/_history/2"}}, None),
        ("reference", {}, {"valueReference": {"reference": "urn:uuid:1"}}, None),
        ("display", {}, "x", "answer_not_allowed_for_type"),
    ],
)  # fmt: skip
def test_one_answer_is_judged_by_each_rule_of_its_item(
    kind: str, parts: dict[str, Any], value: Any, expected: str | None
) -> None:
    assert codes(kind, value, **parts) == ([expected] if expected else [])


VALUE_SET = {
    "resourceType": "ValueSet",
    "id": "vs",
    "url": "urn:vs",
    "compose": {
        "include": [
            {"system": "urn:a", "concept": [{"code": "1", "display": "One"}, {"code": "2", "display": "Two"}]},
            {"system": "urn:open", "filter": [{"property": "p", "op": "=", "value": "v"}]},
        ]
    },
}


@pytest.mark.parametrize("reference", ["#vs", "urn:vs", "urn:vs|1.0"])
@pytest.mark.parametrize(
    ("system", "code", "display", "expected"),
    [
        ("urn:a", "1", None, []),
        ("urn:a", "1", "One", []),
        ("urn:a", "1", "Anything", []),
        ("urn:a", "1", "Two", ["display_mismatch"]),
        ("urn:a", "3", None, ["not_in_value_set"]),
        ("urn:b", "1", None, ["not_in_value_set"]),
        (None, "1", None, ["not_in_value_set"]),
        ("urn:open", "1", None, ["value_set_unresolved"]),
        ("urn:a", None, None, ["not_in_value_set"]),
    ],
)
def test_a_code_is_looked_up_in_the_value_set_and_what_cannot_be_told_is_said(
    reference: str, system: str | None, code: str | None, display: str | None, expected: list[str]
) -> None:
    questionnaire = form(item("q", "open-choice", answerValueSet=reference), contained=[VALUE_SET])
    parts = {"system": system, "code": code, "display": display}
    value = {"valueCoding": {name: part for name, part in parts.items() if part}}
    assert [each[0] for each in told(judge(questionnaire, answer("q", value)).problems)] == expected
    assert judge(questionnaire, answer("q", "free text")).valid


def test_an_unresolved_value_set_is_told_once_for_a_question() -> None:
    questionnaire = form(item("q", "choice", repeats=True, answerValueSet="urn:nowhere"))
    assert told(judge(questionnaire, answer("q", coding("a"), coding("b"))).problems) == [("value_set_unresolved", "q")]


@pytest.mark.parametrize(
    ("status", "expected", "valid"),
    [
        ("completed", ["error"], False),
        ("amended", ["error"], False),
        (None, ["error"], False),
        ("in-progress", ["warning"], True),
        ("stopped", [], True),
        ("entered-in-error", [], True),
    ],
)
@pytest.mark.parametrize("kind", ["string", "group"])
def test_what_is_missing_counts_by_the_status(kind: str, status: str | None, expected: list[str], valid: bool) -> None:
    below = [item("inner")] if kind == "group" else []
    evaluation = evaluate(form(item("q", kind, *below, required=True)), reply(status=status))
    assert [each.severity.value for each in evaluation.problems] == expected
    assert evaluation.valid is valid
    assert {each.code for each in evaluation.problems} <= {"required", "required_group"}


def test_a_draft_is_checked_leniently_whatever_its_status() -> None:
    questionnaire = form(item("q", required=True, extension=[ext("questionnaire-minOccurs", valueInteger=2)]))
    evaluation = evaluate(questionnaire, reply(), draft=True)
    assert [(each.code, each.severity) for each in evaluation.problems] == [("required", Severity.WARNING)]


@pytest.mark.parametrize(
    "given", [{"linkId": "q"}, {"linkId": "q", "answer": []}, {"linkId": "q", "answer": [{}]}, answer("q", "")]
)
def test_an_item_without_a_value_is_not_answered_and_what_is_written_empty_is_told(given: dict[str, Any]) -> None:
    evaluation = judge(form(item("q", required=True)), given)
    told_empty = [("empty", "q")] if "answer" in given else []
    assert told(evaluation.problems) == [*told_empty, ("required", "q")]
    assert [each.severity for each in evaluation.problems] == [*(Severity.WARNING for _ in told_empty), Severity.ERROR]
    assert evaluation.problems[-1].location == "QuestionnaireResponse.item[0]"


def test_a_required_group_wants_one_answer_and_does_not_make_its_questions_required() -> None:
    questionnaire = form(item("g", "group", item("a"), item("b"), required=True))
    assert told(judge(questionnaire, group("g", {"linkId": "a"})).problems) == [("required_group", "g")]
    assert judge(questionnaire, group("g", answer("b", "x"))).valid


def test_required_questions_of_an_optional_section_nobody_opened_are_told_of_without_hindering() -> None:
    questionnaire = form(item("g", "group", item("a", required=True)))
    evaluation = judge(questionnaire)
    assert [(each.code, each.severity.value) for each in evaluation.problems] == [("required", "warning")]
    assert not judge(questionnaire, group("g")).valid


def test_nobody_is_held_up_by_a_required_question_that_is_never_shown() -> None:
    hidden = [ext("questionnaire-hidden", valueBoolean=True)]
    questionnaire = form(
        item("q", required=True, extension=hidden),
        item("g", "group", item("inner", required=True), extension=hidden, required=True),
    )
    evaluation = judge(questionnaire, group("g"))
    assert [(each.code, each.path, each.severity.value) for each in evaluation.problems] == [
        ("required", "q", "warning"),
        ("required_group", "g", "warning"),
        ("required", "g/inner", "warning"),
    ]


def test_questions_of_a_repeating_group_without_repetitions_are_not_missed() -> None:
    assert judge(form(item("g", "group", item("a", required=True), repeats=True))).problems == ()


def test_a_question_below_an_answer_is_missed_only_where_there_is_an_answer() -> None:
    questionnaire = form(item("a", "boolean", item("b", required=True)))
    assert judge(questionnaire).problems == ()
    assert told(judge(questionnaire, answer("a", True)).problems) == [("required", "a/b")]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "min_occurs"), (1, "min_occurs"), (2, None), (3, None), (4, "max_occurs")]
)
@pytest.mark.parametrize("kind", ["string", "group"])
def test_the_number_of_answers_or_repetitions_lies_between_its_limits_both_included(
    kind: str, count: int, expected: str | None
) -> None:
    limits = [ext("questionnaire-minOccurs", valueInteger=2), ext("questionnaire-maxOccurs", valueInteger=3)]
    below = [item("inner")] if kind == "group" else []
    questionnaire = form(item("q", kind, *below, repeats=True, extension=limits))
    if kind == "group":
        given = [group("q", answer("inner", "x")) for _ in range(count)]
    else:
        given = [answer("q", *["x"] * count)] if count else []
    assert [each[0] for each in told(judge(questionnaire, *given).problems)] == ([expected] if expected else [])


def test_one_answer_is_allowed_where_a_question_does_not_repeat() -> None:
    questionnaire = form(item("q"), item("g", "group", item("a")))
    assert told(judge(questionnaire, answer("q", "x", "y")).problems) == [("too_many_answers", "q")]
    assert told(judge(questionnaire, answer("q", "x"), answer("q", "y")).problems) == [("too_many_answers", "q")]
    assert told(judge(questionnaire, group("g"), group("g")).problems) == [("too_many_answers", "g")]


def test_a_repeating_question_is_one_item_with_many_answers() -> None:
    questionnaire = form(item("q", repeats=True))
    assert judge(questionnaire, answer("q", "x", "y")).valid
    assert told(judge(questionnaire, answer("q", "x"), answer("q", "y")).problems) == [("too_many_answers", "q")]


def test_an_exclusive_option_stands_alone() -> None:
    exclusive = [
        {**option, "extension": [ext("questionnaire-optionExclusive", valueBoolean=True)]} for option in options("none")
    ]
    questionnaire = form(item("q", "choice", repeats=True, answerOption=[*options("a", "b"), *exclusive]))
    assert judge(questionnaire, answer("q", coding("a"), coding("b"))).valid
    assert judge(questionnaire, answer("q", coding("none"))).valid
    assert told(judge(questionnaire, answer("q", coding("a"), coding("none"))).problems) == [("option_exclusive", "q")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer("nowhere", "x"), [("unknown_link_id", "nowhere")]),
        (answer("inner", "x"), [("misplaced_item", "inner")]),
        (group("q", answer("inner", "x")), [("misplaced_item", "q/inner")]),
        (group("q", answer("nowhere", "x")), [("unknown_link_id", "q/nowhere")]),
        ({"linkId": "g", "answer": [{"valueString": "x"}]}, [("answer_not_allowed_for_type", "g")]),
        ({"linkId": "q", "answer": [{"valueString": "x"}], "item": []}, [("structure", "q")]),
        ({"linkId": "q", "answer": "x"}, [("structure", "q")]),
        ({"linkId": "q", "answer": ["x"]}, [("structure", "q")]),
        ({"linkId": "g", "item": 3}, [("structure", "g")]),
        ({"linkId": "q", "colour": "red"}, [("structure", "q")]),
        ({"answer": []}, [("structure", "")]),
        (3, [("structure", "")]),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_with_its_path(given: Any, expected: list[tuple[str, str]]) -> None:
    questionnaire = form(item("q"), item("g", "group", item("inner")))
    assert told(judge(questionnaire, given).problems) == expected


def test_another_order_than_the_questionnaire_s_is_a_warning() -> None:
    evaluation = judge(form(item("a"), item("b"), item("c")), answer("c", "x"), answer("a", "x"), answer("b", "x"))
    assert told(evaluation.problems) == [("item_order", "a")]
    assert evaluation.valid


def test_all_problems_come_at_once_each_with_both_its_places() -> None:
    questionnaire = form(
        item("first", "integer", required=True),
        item("g", "group", item("a", "integer", item("b", maxLength=1)), repeats=True),
    )
    below = {"valueInteger": 1, "item": [answer("b", "xy")]}
    evaluation = judge(questionnaire, group("g", answer("a", True)), group("g", answer("a", below)))
    assert [(each.code, each.link_id, each.path, each.location) for each in evaluation.problems] == [
        ("required", "first", "first", "QuestionnaireResponse"),
        ("type_mismatch", "a", "g[0]/a", "QuestionnaireResponse.item[0].item[0].answer[0]"),
        ("max_length", "b", "g[1]/a/b", "QuestionnaireResponse.item[1].item[0].answer[0].item[0].answer[0]"),
    ]
