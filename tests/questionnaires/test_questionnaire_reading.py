"""Reading and writing questionnaires: all faults at once, limits against hostile input, nothing lost on the way back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import (
    CODES,
    DocumentRefused,
    Image,
    ItemType,
    QuestionnaireInvalid,
    ResponseUnwritable,
    Value,
    evaluate,
    hash_json,
    judge_structure,
    read_json,
    read_questionnaire,
    write_json,
    write_questionnaire,
    write_response,
)
from tests.questionnaires.making import JSON, answer, coding, expression, ext, form, group, item, options, reply

FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/"


def text_of(*items: dict[str, Any], **parts: Any) -> str:
    return json.dumps({"resourceType": "Questionnaire", "status": "active", "item": list(items), **parts})


def refusal(source: Any) -> list[tuple[str, str]]:
    with pytest.raises(QuestionnaireInvalid) as refused:
        read_questionnaire(source)
    return [(each.code, each.location) for each in refused.value.problems]


def test_every_part_that_decides_what_an_answer_may_be_is_read() -> None:
    questionnaire = form(
        item("g", "group", item("inner", "integer"), prefix="A"),
        item(
            "q",
            "choice",
            item("help", "display", text="Help from below", extension=[_control("help")]),
            text="Hvordan?",
            _text={"extension": [_translation("en", "How?")]},
            required=True,
            repeats=True,
            readOnly=True,
            answerOption=options("a", "b"),
            initial=[coding("a")],
            code=[{"system": "urn:s", "code": "c"}],
            definition="urn:def",
            extension=[
                ext("questionnaire-hidden", valueBoolean=True),
                ext("questionnaire-minOccurs", valueInteger=2),
                ext("questionnaire-sliderStepValue", valueInteger=5),
                _control("slider"),
                expression("calculatedExpression", "1"),
                expression("initialExpression", "2"),
                expression("", "3", variable="v"),
            ],
        ),
        title="Skema",
        _title={"extension": [_translation("en", "Form")]},
        language="da",
        version="1.2",
        name="Form",
        extension=[
            ext(f"{FUT}ehealth-employee-title", valueString="Til personalet"),
            ext(f"{FUT}ehealth-usage", valueString="Brug"),
        ],
    )
    found = questionnaire.item("q")
    assert (found.type, found.required, found.repeats, found.read_only, found.hidden) == (
        ItemType.CHOICE,
        True,
        True,
        True,
        True,
    )
    assert found.text == "Hvordan?"
    assert (found.read_text("en"), found.read_text("de")) == ("How?", "Hvordan?")
    assert [option.weight for option in found.options] == [Decimal(0), Decimal(1)]
    assert found.options[1].text == "B"
    assert found.initial == (Value("Coding", coding("a")["valueCoding"]),)
    assert (found.min_occurs, found.slider_step, found.controls, found.help_text) == (
        2,
        Decimal(5),
        ("slider",),
        "Help from below",
    )
    assert found.calculated is not None
    assert (found.calculated.text, found.calculated.language) == ("1", "text/fhirpath")
    assert found.initial_expression is not None
    assert [each.name for each in found.variables] == ["v"]
    assert found.codes[0].code == "c"
    assert questionnaire.item("inner").parent == "g"
    assert [each.link_id for each in questionnaire.walk()] == ["g", "inner", "q", "help"]
    assert [each.position for each in questionnaire.walk()] == [0, 1, 2, 3]
    assert (questionnaire.title, questionnaire.titles["en"], questionnaire.version, questionnaire.language) == (
        "Skema",
        "Form",
        "1.2",
        "da",
    )
    assert (questionnaire.employee_title, questionnaire.usage) == ("Til personalet", "Brug")
    assert questionnaire.item("inner").location == "Questionnaire.item[0].item[0]"
    with pytest.raises(KeyError):
        questionnaire.item("nowhere")


def _translation(language: str, content: str) -> dict[str, Any]:
    return ext(
        "translation", extension=[{"url": "lang", "valueCode": language}, {"url": "content", "valueString": content}]
    )


def _control(code: str) -> dict[str, Any]:
    return ext("questionnaire-itemControl", valueCodeableConcept={"coding": [{"code": code}]})


def _condition(operator: str, **value: Any) -> dict[str, Any]:
    return {
        "url": f"{FUT}ehealth-answer-Condition",
        "extension": [{"url": "operator", "valueCode": operator}, {"url": "value", **value}],
    }


def _significance(colour: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": f"{FUT}ehealth-questionnaire-answerSignificance",
        "extension": [*conditions, {"url": "significance", "valueCoding": {"code": colour}}],
    }


def test_the_danish_extensions_are_read() -> None:
    questionnaire = form(
        item(
            "q",
            "integer",
            extension=[
                _significance("green", _condition("<", valueInteger=3)),
                _significance("yellow", _condition(">=", valueInteger=3), _condition("<=", valueInteger=7)),
                _significance("red", _condition("=", valueInteger=10)),
                ext(f"{FUT}ehealth-questionnaire-helpText", extension=[{"url": "text", "valueString": "Hjælp"}, {"url": "xhtml", "valueString": "<b>Hjælp</b>"}]),
                ext(f"{FUT}ehealth-questionnaire-shortText", valueString="Kort"),
                ext(f"{FUT}ehealth-questionnaire-sliderStepValueDecimal", valueDecimal=Decimal("0.5")),
                ext(f"{FUT}ehealth-questionnaire-feedback", extension=[{"url": "value", "valueString": "Godt"}, {"url": "min", "valueInteger": 0}, {"url": "max", "valueInteger": 2}]),
                ext(f"{FUT}ehealth-questionnaire-isCopyright", valueBoolean=True),
                ext(f"{FUT}ehealth-questionnaire-image", extension=[{"url": "content", "valueReference": {"reference": "#picture"}}, {"url": "terms", "valueString": "Free"}]),
            ],
        )
    )  # fmt: skip
    found = questionnaire.item("q")
    assert [(each.colour, len(each.conditions)) for each in found.significances] == [
        ("green", 1),
        ("yellow", 2),
        ("red", 1),
    ]
    assert found.significances[1].conditions[1].operator == "<="
    assert found.significances[1].conditions[1].value == Value("integer", 7)
    assert (found.help_text, found.help_xhtml, found.short_text) == ("Hjælp", "<b>Hjælp</b>", "Kort")
    assert found.slider_step == Decimal("0.5")
    assert [(each.text, each.minimum, each.maximum) for each in found.feedback] == [("Godt", 0, 2)]
    assert found.is_copyright
    assert found.image == Image("#picture", "Free")
    assert questionnaire.remarks == ()


@pytest.mark.parametrize(
    "extension",
    [
        _significance("purple", _condition("=", valueInteger=1)),
        _significance("red"),
        _significance("red", *[_condition("=", valueInteger=1)] * 3),
        _significance("red", _condition("=")),
        ext(f"{FUT}ehealth-questionnaire-feedback", extension=[]),
        ext(f"{FUT}ehealth-questionnaire-image", extension=[]),
        ext("minLength", valueString="3"),
        ext("minValue"),
        ext("questionnaire-hidden", valueString="true"),
        ext("variable", valueExpression={"language": "text/fhirpath", "expression": "1"}),
        expression("calculatedExpression", ""),
        ext("questionnaire-constraint", extension=[{"url": "key", "valueId": "k"}]),
    ],
)
def test_an_extension_of_a_wrong_form_is_remarked_on_and_not_used(extension: dict[str, Any]) -> None:
    questionnaire = form(item("q", "integer", extension=[extension]))
    assert [(each.code, each.location) for each in questionnaire.remarks] == [
        ("extension_malformed", "Questionnaire.item[0].extension[0]")
    ]
    assert questionnaire.item("q").significances == ()


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"type": "string"}], [("link_id_missing", "Questionnaire.item[0]")]),
        ([{"linkId": "a"}], [("questionnaire_item_without_type", "Questionnaire.item[0]")]),
        ([{"linkId": "a", "type": "cheese"}], [("item_type_unknown", "Questionnaire.item[0]")]),
        ([item("a"), item("g", "group", item("a"))], [("link_id_duplicate", "Questionnaire.item[1].item[0]")]),
        ([item("a", required="yes")], [("malformed", "Questionnaire.item[0]")]),
        ([item("a", answerOption=[3])], [("malformed", "Questionnaire.item[0]")]),
        ([item("a"), item("b", enableWhen=[{"question": "a", "operator": "~", "answerString": "x"}])], [("enable_when_malformed", "Questionnaire.item[1].enableWhen[0]")]),
        ([item("a"), item("b", enableWhen=[{"question": "a", "operator": "exists", "answerString": "x"}])], [("enable_when_malformed", "Questionnaire.item[1].enableWhen[0]")]),
        ([item("a"), item("b", enableWhen=[{"question": "a", "operator": "="}])], [("enable_when_malformed", "Questionnaire.item[1].enableWhen[0]")]),
        ([item("a"), {"linkId": 3, "type": "string"}], [("malformed", "Questionnaire.item[1]"), ("link_id_missing", "Questionnaire.item[1]")]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_every_reason_and_place(
    items: list[Any], expected: list[tuple[str, str]]
) -> None:
    assert refusal(text_of(*items)) == expected


def test_all_reasons_come_at_once() -> None:
    source = text_of(
        {"type": "string"}, {"linkId": "a", "type": "cheese"}, item("g", "group", {"linkId": "a", "type": "string"})
    )
    assert [code for code, _ in refusal(source)] == ["link_id_missing", "item_type_unknown", "link_id_duplicate"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (item("g", "group"), "que_1"),
        (item("d", "display", item("x")), "que_1"),
        (item("q", "choice", answerOption=options("a"), answerValueSet="urn:v"), "que_4"),
        (item("q", "boolean", answerOption=options("a")), "que_5"),
        (item("q", "choice", answerOption=options("a"), initial=[coding("a")]), "que_11"),
        (item("q", initial=[{"valueString": "a"}, {"valueString": "b"}]), "que_13"),
        (item("q", "choice", answerOption=[*options("a"), *options("a")]), "option_duplicate"),
        (item("q", "choice", answerOption=[{"initialSelected": True}]), "malformed"),
        (item("q", extension=[ext("regex", valueString="(a")]), "regex_invalid"),
        (item("q", enableWhen=[{"question": "q", "operator": "exists", "answerBoolean": True}]), "enable_when_self"),
        (item("q", enableWhen=[{"question": "x", "operator": "exists", "answerBoolean": True}]), "enable_when_question_unknown"),
    ],
)  # fmt: skip
def test_lesser_faults_are_remarks(parts: dict[str, Any], code: str) -> None:
    assert code in [each.code for each in form(parts).remarks]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "not_json"),
        ("nothing", "not_json"),
        (b'"\xff"', "not_json"),
        ("\ud800", "not_json"),
        ('{"a": NaN}', "not_json"),
        ("[]", "not_a_questionnaire"),
        ('{"resourceType": "Patient"}', "not_a_questionnaire"),
        ('{"resourceType": "Questionnaire", "a": 1, "a": 2}', "repeated_key"),
        ({"resourceType": "Questionnaire", "item": {1: 2}}, "not_json"),
        ({"resourceType": "Questionnaire", "item": {object()}}, "not_json"),
        (3, "not_a_questionnaire"),
    ],
)
def test_what_is_no_questionnaire_is_refused(source: Any, code: str) -> None:
    assert refusal(source) == [(code, "Questionnaire")]


def _nested(levels: int) -> str:
    return '{"linkId":"x","type":"group","item":[' * levels + "]}" * levels


HOSTILE = {
    "too_large": '{"resourceType":"Questionnaire","title":"' + "x" * 10_000_000 + '"}',
    "too_large of small parts": '{"resourceType":"Questionnaire","item":[' + "[]," * 2_600_000 + "[]]}",
    "too_large of numbers": "[" + "1," * 3_900_000 + "1]",
    "too_deep": '{"resourceType":"Questionnaire","item":[' + _nested(10_000) + "]}",
    "too_deep lists": "[" * 100_000,
    "number_out_of_range": '{"resourceType":"Questionnaire","x":1E+999999999}',
    "number_out_of_range small": '{"resourceType":"Questionnaire","x":1E-999999999}',
    "number_out_of_range digits": '{"resourceType":"Questionnaire","x":' + "9" * 1_000_000 + "}",
    "number_out_of_range decimals": '{"resourceType":"Questionnaire","x":0.' + "9" * 1_000_000 + "}",
    "link_id_duplicate": text_of(*[item("same")] * 5_000),
    "items_too_many": text_of(*[item(str(i)) for i in range(10_001)]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_within_a_second_with_the_reason(name: str) -> None:
    started = time.process_time()
    problems = refusal(HOSTILE[name])
    assert time.process_time() - started < 1
    assert {code for code, _ in problems} == {name.split(maxsplit=1)[0]}


def test_hostile_documents_are_refused_within_200_megabytes() -> None:
    script = """
import resource, sys
from tests.questionnaires.test_questionnaire_reading import HOSTILE, read_questionnaire, QuestionnaireInvalid
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for source in HOSTILE.values():
    try:
        read_questionnaire(source)
    except QuestionnaireInvalid:
        continue
    sys.exit("not refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 200


def test_a_cyclic_document_ends_as_too_deep() -> None:
    cyclic: dict[str, Any] = {"resourceType": "Questionnaire"}
    cyclic["extension"] = [cyclic]
    assert refusal(cyclic) == [("too_deep", "Questionnaire")]


def test_a_catastrophic_pattern_is_harmless() -> None:
    questionnaire = form(item("q", extension=[ext("regex", valueString="(a+)+$")]))
    started = time.perf_counter()
    evaluation = evaluate(questionnaire, reply(answer("q", "a" * 50_000 + "b")))
    assert time.perf_counter() - started < 1
    assert [each.code for each in evaluation.problems] == ["regex"]


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(?<=a)b", r"(a)\1", "x" * 5_000])
def test_a_pattern_that_needs_more_than_linear_time_is_remarked_on_with_the_reason(pattern: str) -> None:
    remark = form(item("q", extension=[ext("regex", valueString=pattern)])).remarks[0]
    assert remark.code == "regex_invalid"
    assert remark.severity.value == "error"
    assert remark.en.startswith("The pattern cannot be used: ")


@given(document=JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused_and_nothing_else(document: Any) -> None:
    for source in (
        document,
        {"resourceType": "Questionnaire", "item": document},
        {"resourceType": "Questionnaire", "item": [document], "contained": document},
    ):
        try:
            questionnaire = read_questionnaire(source)
        except QuestionnaireInvalid as refused:
            codes = {each.code for each in refused.problems}
        else:
            codes = {each.code for each in questionnaire.remarks + evaluate(questionnaire, reply()).problems}
        assert codes <= CODES.keys()


_ITEM_PART = st.sampled_from(
    ["text", "required", "enableWhen", "answerOption", "initial", "code", "extension", "_text", "maxLength", "answerValueSet", "item"]
)  # fmt: skip


@given(parts=st.dictionaries(_ITEM_PART, JSON, max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_json_in_any_part_of_an_item_is_read_or_refused(parts: dict[str, Any]) -> None:
    try:
        questionnaire = read_questionnaire(
            {"resourceType": "Questionnaire", "item": [{"linkId": "q", "type": "choice", **parts}]}
        )
    except QuestionnaireInvalid as refused:
        codes = {each.code for each in refused.problems}
    else:
        codes = {each.code for each in questionnaire.remarks}
        evaluate(questionnaire, reply(answer("q", coding("a"))))
    assert codes <= CODES.keys()


def test_what_is_not_known_survives_and_decimals_keep_their_digits() -> None:
    source = (
        b'{"resourceType":"Questionnaire","status":"draft","x":1.000,"item":[{"linkId":"q","type":"decimal",'
        b'"extension":[{"url":"urn:unknown","valueDecimal":0.10,"extension":[{"url":"urn:deeper"}]}],"colour":{"a":[1e2,null]}}],"a":"\xc3\xa5"}'
    )
    written = write_questionnaire(read_questionnaire(source))
    assert read_json(written) == read_json(source)
    assert b"1.000" in written
    assert b"0.10" in written
    assert "å".encode() in written
    assert list(read_json(written)) == ["resourceType", "status", "x", "item", "a"]  # type: ignore[arg-type]


def test_the_content_hash_is_of_the_meaning_not_of_the_writing() -> None:
    one = read_questionnaire('{"resourceType":"Questionnaire","status":"active","x":1.0}')
    same = read_questionnaire('{ "x": 1.0, "status": "active", "resourceType": "Questionnaire" }')
    other = read_questionnaire('{"resourceType":"Questionnaire","status":"active","x":1.00}')
    assert one.content_hash == same.content_hash
    assert one.content_hash != other.content_hash
    assert one.content_hash == hash_json(dict(one.source))


@given(document=JSON)
@settings(max_examples=200, deadline=None)
def test_json_survives_writing_and_reading(document: Any) -> None:
    try:
        known = read_json(write_json(document))
    except (DocumentRefused, ValueError):
        return
    assert read_json(write_json(known)) == known
    assert read_json(write_json(known, indent=2)) == known
    assert hash_json(read_json(write_json(known))) == hash_json(known)


def test_floats_from_a_caller_become_the_decimals_they_are_written_as() -> None:
    questionnaire = form(item("q", "decimal", extension=[ext("maxValue", valueDecimal=0.3)]))
    assert questionnaire.item("q").max_value is not None
    assert write_questionnaire(questionnaire).count(b"0.3") == 1
    assert evaluate(questionnaire, reply(answer("q", {"valueDecimal": 0.3}))).valid
    assert not evaluate(questionnaire, reply(answer("q", {"valueDecimal": 0.31}))).valid


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"resourceType": "QuestionnaireResponse"}, "QuestionnaireResponse.status"),
        (reply(status="draft"), "QuestionnaireResponse.status"),
        (reply({"linkId": ""}), "QuestionnaireResponse.item[0].linkId"),
        (reply({}), "QuestionnaireResponse.item[0]"),
        (reply({"linkId": "q", "answer": []}), "QuestionnaireResponse.item[0].answer"),
        (reply({"linkId": "q", "answer": {}}), "QuestionnaireResponse.item[0].answer"),
        (reply({"linkId": "q", "colour": 1}), "QuestionnaireResponse.item[0].colour"),
        (reply({"linkId": "q", "answer": [{"valueString": "x"}], "item": [{"linkId": "r"}]}), "QuestionnaireResponse.item[0]"),
        (reply(answer("q", {"valueString": "x", "valueInteger": 1})), "QuestionnaireResponse.item[0].answer[0].valueInteger"),
        (reply(answer("q", {"valueDate": "yesterday"})), "QuestionnaireResponse.item[0].answer[0].valueDate"),
        (reply(answer("q", {"valueInteger": Decimal("1.0")})), "QuestionnaireResponse.item[0].answer[0].valueInteger"),
        (reply(answer("q", {"valueCoding": {"code": " x"}})), "QuestionnaireResponse.item[0].answer[0].valueCoding.code"),
        (reply(answer("q", {"valueCoding": [{"code": "x"}]})), "QuestionnaireResponse.item[0].answer[0].valueCoding"),
        (reply(authored="2026-01-01T10:00"), "QuestionnaireResponse.authored"),
        (reply(contained=[{}]), "QuestionnaireResponse.contained[0]"),
        (reply(contained={}), "QuestionnaireResponse.contained"),
        (reply(subject="Patient/1"), "QuestionnaireResponse.subject"),
        (reply(_item={}), "QuestionnaireResponse.item"),
    ],
)  # fmt: skip
def test_a_response_that_would_be_no_fhir_is_not_written(document: dict[str, Any], place: str) -> None:
    with pytest.raises(ResponseUnwritable) as refused:
        write_response(form(item("q")), document)
    assert place in [each.location for each in refused.value.problems]


def test_a_written_response_names_its_questionnaire_and_repeats_its_texts() -> None:
    questionnaire = form(
        item("g", "group", item("q", text="Spørgsmål"), text="Gruppe"),
        item("a", "boolean", item("b", text="B")),
        version="2",
    )
    below = {"valueBoolean": True, "item": [answer("b", "y")]}
    response = reply({**group("g", answer("q", "x")), "text": "Other words"}, answer("a", below))
    written = read_json(write_response(questionnaire, response, indent=1))
    assert isinstance(written, dict)
    assert written["questionnaire"] == "urn:test:form|2"
    assert written["item"][0]["text"] == "Gruppe"
    assert written["item"][0]["item"][0]["text"] == "Spørgsmål"
    assert written["item"][1]["answer"][0]["item"][0]["text"] == "B"
    assert evaluate(questionnaire, written).valid
    assert judge_structure(written) == []
    plain = read_json(write_response(questionnaire, response, texts=False))
    assert plain == {**response, "questionnaire": "urn:test:form|2"}


@pytest.mark.parametrize("document", [3, {}, {"resourceType": "Cheese"}, []])
def test_what_is_no_resource_has_no_structure(document: Any) -> None:
    assert [each.code for each in judge_structure(document)] == ["structure"]
