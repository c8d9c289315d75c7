"""Evaluating a response as a whole: calculated values, cleaning, hostile input, and one result whatever came before."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import (
    CODES,
    Evaluation,
    Questionnaire,
    assemble,
    begin,
    evaluate,
    read_json,
    write_json,
    write_response,
)
from kpro_graph.questionnaires.calculation import Calculation
from tests.questionnaires.making import (
    JSON,
    SYSTEM,
    answer,
    answer_maps,
    coding,
    expression,
    ext,
    form,
    forms,
    group,
    item,
    judge,
    options,
    reply,
    told,
)

KILO = {"system": "http://unitsofmeasure.org", "code": "kg", "display": "kg"}


def calculated(link_id: str, kind: str, text: str, **parts: Any) -> dict[str, Any]:
    parts.setdefault("readOnly", True)
    extensions = [*parts.pop("extension", []), expression("calculatedExpression", text)]
    return item(link_id, kind, extension=extensions, **parts)


def value_of(evaluation: Evaluation, link_id: str) -> list[Any]:
    return [value.value for value in evaluation.answers.values(link_id)]


def test_a_total_is_calculated_from_the_weights_of_what_was_asked() -> None:
    questionnaire = form(
        item("on", "boolean"),
        item("a", "choice", answerOption=options("no", "some", "much")),
        item(
            "b",
            "choice",
            answerOption=options("no", "some", "much"),
            enableWhen=[{"question": "on", "operator": "=", "answerBoolean": True}],
        ),
        calculated(
            "total", "decimal", "%resource.item.where(linkId = 'a' or linkId = 'b').answer.value.weight().sum()"
        ),
    )
    answers = (answer("a", coding("some")), answer("b", coding("much")))
    assert value_of(judge(questionnaire, answer("on", True), *answers), "total") == [Decimal(3)]
    assert value_of(judge(questionnaire, answer("on", False), *answers), "total") == [Decimal(1)]


def test_a_weight_that_came_with_the_answer_does_not_count() -> None:
    questionnaire = form(
        item("a", "choice", answerOption=options("no", "some")),
        item("free", "open-choice"),
        calculated("total", "decimal", "%resource.item.answer.value.weight().sum()"),
    )
    forged = [ext("ordinalValue", valueDecimal=Decimal(100))]
    answers = [
        answer(link_id, {"valueCoding": {"system": SYSTEM, "code": "some", "extension": forged}})
        for link_id in ("a", "free")
    ]
    assert value_of(judge(questionnaire, *answers), "total") == [Decimal(1)]


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
def test_values_are_calculated_in_the_order_they_need_each_other(order: tuple[str, ...]) -> None:
    texts = {
        "a": "%resource.item.where(linkId='q').answer.value + 1",
        "b": "%resource.item.where(linkId='a').answer.value * 2",
        "c": "%resource.item.where(linkId='a' or linkId='b').answer.value.sum()",
    }
    questionnaire = form(*[calculated(each, "integer", texts[each]) for each in order], item("q", "integer"))
    evaluation = judge(questionnaire, answer("q", 3))
    assert {each: value_of(evaluation, each) for each in "abc"} == {"a": [4], "b": [8], "c": [12]}
    assert evaluation.problems == ()


def test_values_that_see_items_without_naming_them_settle_too() -> None:
    questionnaire = form(
        calculated("count", "integer", "%resource.item.where(answer.exists()).count()"),
        calculated("late", "integer", "%resource.item.where(linkId='q').answer.value"),
        item("q", "integer"),
    )
    assert value_of(judge(questionnaire, answer("q", 3)), "count") == [3]


def test_values_that_need_each_other_in_a_circle_end_and_are_told_of() -> None:
    questionnaire = form(
        calculated("a", "integer", "iif(%resource.item.where(linkId='b').answer.exists(), %resource.item.where(linkId='b').answer.value, 0) + 1"),
        calculated("b", "integer", "%resource.item.where(linkId='a').answer.value + 1"),
    )  # fmt: skip
    started = time.perf_counter()
    evaluation = judge(questionnaire)
    assert time.perf_counter() - started < 2
    assert "not_settled" in [each.code for each in evaluation.problems]


@pytest.mark.parametrize(
    ("kind", "text", "parts", "expected"),
    [
        ("integer", "1 + 2", {}, 3),
        ("integer", "6 / 2", {}, 3),
        ("integer", "1.5", {}, None),
        ("decimal", "3", {}, Decimal(3)),
        ("decimal", "1.50", {}, Decimal("1.50")),
        ("decimal", "2 'kg'", {}, Decimal(2)),
        ("decimal", "'x'", {}, None),
        ("boolean", "1 = 1", {}, True),
        ("boolean", "1", {}, None),
        ("string", "'a' & 'b'", {}, "ab"),
        ("string", "1 = 1", {}, "true"),
        ("string", "1.50", {}, "1.50"),
        ("date", "@2026-01-31", {}, "2026-01-31"),
        ("date", "@2026-01-31T10:00:00Z", {}, "2026-01-31"),
        ("time", "@T10:00:00", {}, "10:00:00"),
        ("url", "'https://example.org'", {}, "https://example.org"),
        ("quantity", "2", {"extension": [ext("questionnaire-unit", valueCoding=KILO)]}, {"value": 2, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}),
        ("quantity", "true", {}, None),
        ("choice", "'b'", {"answerOption": options("a", "b")}, {"system": SYSTEM, "code": "b", "display": "B"}),
        ("choice", "'B'", {"answerOption": options("a", "b")}, {"system": SYSTEM, "code": "b", "display": "B"}),
        ("choice", "'c'", {"answerOption": options("a", "b")}, None),
        ("choice", "'female'", {"answerValueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"}, {"system": "http://hl7.org/fhir/administrative-gender", "code": "female", "display": "Female"}),
        ("choice", "%qitem.answerOption.value.where(code='a')", {"answerOption": options("a", "b")}, {"system": SYSTEM, "code": "a", "display": "A"}),
        ("choice", "2", {"answerOption": [{"valueInteger": 2}]}, 2),
        ("open-choice", "'free'", {"answerOption": options("a")}, "free"),
        ("integer", "1 | 2", {}, None),
        ("integer", "{}", {}, None),
    ],
)  # fmt: skip
def test_a_result_becomes_an_answer_of_the_items_type_or_none(
    kind: str, text: str, parts: dict[str, Any], expected: Any
) -> None:
    evaluation = judge(form(calculated("q", kind, text, **parts)))
    assert value_of(evaluation, "q") == ([] if expected is None else [expected])
    failed = expected is None and text != "{}"
    assert [each.code for each in evaluation.problems] == (["expression_error"] if failed else [])
    if expected is not None:
        assert judge(form(calculated("q", kind, text, **parts)), *evaluation.response["item"]).problems == ()


def test_each_result_of_a_repeating_item_is_an_answer() -> None:
    evaluation = judge(form(calculated("q", "string", "'a,b'.split(',')", repeats=True)))
    assert value_of(evaluation, "q") == ["a", "b"]


def test_a_calculation_in_a_repeating_group_is_made_in_each_repetition() -> None:
    questionnaire = form(
        item(
            "g",
            "group",
            item("w", "decimal"),
            item("h", "decimal"),
            calculated("bmi", "decimal", "%w / (%h * %h)"),
            repeats=True,
            extension=[
                expression("", "%context.item.where(linkId='w').answer.value", variable="w"),
                expression("", "item.where(linkId='h').answer.value", variable="h"),
            ],
        )
    )
    evaluation = judge(
        questionnaire,
        group("g", answer("w", Decimal(80)), answer("h", Decimal(2))),
        group("g", answer("w", Decimal(50)), answer("h", Decimal(1))),
        group("g", answer("w", Decimal(50))),
    )
    assert value_of(evaluation, "bmi") == [Decimal(20), Decimal(50)]
    assert evaluation.answers.at("g[1]/bmi")[0].value == Decimal(50)
    assert evaluation.problems == ()


def test_variables_are_seen_below_and_later_and_the_nearest_counts() -> None:
    questionnaire = form(
        item("g", "group", calculated("inner", "integer", "%v"), calculated("sum", "integer", "%v + %w"), extension=[expression("", "%v + 10", variable="v")]),
        calculated("outer", "integer", "%v"),
        calculated("unknown", "integer", "%nothing"),
        extension=[expression("", "1", variable="v"), expression("", "%v + 1", variable="w")],
    )  # fmt: skip
    evaluation = judge(questionnaire)
    assert [value_of(evaluation, each) for each in ("inner", "sum", "outer", "unknown")] == [[11], [13], [1], []]
    assert told(evaluation.problems) == [("expression_error", "unknown")]


def test_variables_from_outside_are_empty_unless_they_are_given() -> None:
    launch = ext(
        "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-launchContext",
        extension=[{"url": "name", "valueCoding": {"code": "patient"}}, {"url": "type", "valueCode": "Patient"}],
    )
    questionnaire = form(calculated("q", "date", "%patient.birthDate"), extension=[launch])
    assert judge(questionnaire).problems == ()
    patient = {"resourceType": "Patient", "birthDate": "1950-02-03"}
    assert value_of(evaluate(questionnaire, reply(), variables={"patient": [patient]}), "q") == ["1950-02-03"]


@pytest.mark.parametrize(
    ("read_only", "sent", "kept", "problems"),
    [
        (True, 7, 3, [("calculated_mismatch", "error")]),
        (True, 3, 3, []),
        (False, 7, 7, [("calculated_mismatch", "warning")]),
        (False, 3, 3, []),
        (False, None, 3, []),
    ],
)
def test_what_a_client_sends_for_a_calculated_value_is_not_trusted_unless_it_may_be_edited(
    read_only: bool, sent: int | None, kept: int, problems: list[tuple[str, str]]
) -> None:
    questionnaire = form(calculated("q", "integer", "1 + 2", readOnly=read_only))
    evaluation = judge(questionnaire, *([answer("q", sent)] if sent is not None else []))
    assert value_of(evaluation, "q") == [kept]
    assert [(each.code, each.severity.value) for each in evaluation.problems] == problems
    assert evaluate(questionnaire, evaluation.response).response == evaluation.response


def test_in_a_draft_a_calculated_value_that_differs_is_a_warning() -> None:
    questionnaire = form(calculated("q", "integer", "3"))
    evaluation = evaluate(questionnaire, reply(answer("q", 4), status="in-progress"))
    assert evaluation.valid
    assert told(evaluation.problems) == [("calculated_mismatch", "q")]


def test_a_hidden_value_is_calculated_as_well() -> None:
    hidden = [ext("questionnaire-hidden", valueBoolean=True)]
    questionnaire = form(calculated("q", "integer", "3", readOnly=False, extension=hidden))
    assert value_of(judge(questionnaire, answer("q", 4)), "q") == [3]


def test_the_cleaned_response_holds_what_counts_and_keeps_what_stood_beside_it() -> None:
    questionnaire = form(
        item("a", "boolean"),
        item(
            "g",
            "group",
            item("b", enableWhen=[{"question": "a", "operator": "=", "answerBoolean": True}]),
            calculated("c", "integer", "3"),
        ),
    )
    response = {
        **reply({**answer("a", False), "extension": [{"url": "urn:kept"}]}, group("g", answer("b", "gone")), answer("nowhere", "gone")),
        "authored": "2026-01-01",
        "meta": {"tag": []},
    }  # fmt: skip
    evaluation = evaluate(questionnaire, response)
    assert evaluation.response == {
        **{key: part for key, part in response.items() if key != "item"},
        "item": [{**answer("a", False), "extension": [{"url": "urn:kept"}]}, group("g", answer("c", 3))],
    }
    assert response["item"][1] == group("g", answer("b", "gone"))


def test_now_is_the_moment_the_response_was_authored_unless_it_is_given() -> None:
    questionnaire = form(calculated("q", "date", "today()"))
    authored = reply(authored="2020-05-06T23:30:00+02:00")
    assert value_of(evaluate(questionnaire, authored), "q") == ["2020-05-06"]
    given = datetime(2021, 1, 2, tzinfo=UTC)
    assert value_of(evaluate(questionnaire, authored, now=given), "q") == ["2021-01-02"]
    assert value_of(evaluate(questionnaire, reply(authored="2020"), now=given), "q") == ["2021-01-02"]


def test_a_new_response_begins_with_what_the_questionnaire_fills_in() -> None:
    questionnaire = form(
        item("a", initial=[{"valueString": "x"}]),
        item("b", "choice", answerOption=[{**options("one")[0]}, {**options("two")[0], "initialSelected": True}]),
        item("c", extension=[expression("initialExpression", "%patient.name.given.first()")]),
        item("g", "group", item("d", "integer", initial=[{"valueInteger": 1}, {"valueInteger": 2}], repeats=True), repeats=True),
        item("off", initial=[{"valueString": "x"}], enableWhen=[{"question": "a", "operator": "=", "answerString": "y"}]),
        item("bad", extension=[expression("initialExpression", "1 / 'x'")]),
        item("h", "group", item("e")),
        calculated("sum", "integer", "%resource.item.where(linkId='g').item.answer.value.sum()"),
        version="3",
    )  # fmt: skip
    response = begin(questionnaire, variables={"patient": [{"resourceType": "Patient", "name": [{"given": ["Ida"]}]}]})
    assert response == {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "urn:test:form|3",
        "status": "in-progress",
        "item": [
            answer("a", "x"),
            answer("b", {"valueCoding": {"system": SYSTEM, "code": "two", "display": "Two"}}),
            answer("c", "Ida"),
            group("g", answer("d", 1, 2)),
            answer("sum", 3),
        ],
    }
    assert evaluate(questionnaire, response).valid


@pytest.mark.parametrize(
    "response", [None, 3, "x", [], [1], {}, {"item": 3}, {"item": [None]}, {"item": [{"linkId": 3}]}, object(), {1: 2}]
)
def test_whatever_is_given_as_a_response_is_judged(response: Any) -> None:
    evaluation = evaluate(form(item("q", required=True)), response)
    assert not evaluation.valid
    assert evaluation.answers.paths() == ()


@pytest.mark.parametrize("value", [{"code": ["a"]}, {"system": {}, "code": "a"}, {"code": {"a": 1}}, ["a"], 3])
def test_a_malformed_code_is_no_option_and_has_no_weight(value: Any) -> None:
    exclusive = [
        {**option, "extension": [ext("questionnaire-optionExclusive", valueBoolean=True)]} for option in options("x")
    ]
    questionnaire = form(
        item("q", "choice", repeats=True, answerOption=[*options("a"), *exclusive]),
        calculated("sum", "decimal", "%resource.item.where(linkId='q').answer.value.weight().sum()"),
    )
    evaluation = judge(questionnaire, answer("q", {"valueCoding": value}, coding("a")))
    assert [each.code for each in evaluation.problems] == ["structure"]
    assert evaluation.answers.weights("q") == (None, Decimal(0))


def test_a_response_nested_ten_thousand_deep_is_refused_with_the_reason() -> None:
    response: dict[str, Any] = {}
    for _ in range(10_000):
        response = {"item": [response]}
    evaluation = evaluate(form(item("q")), response)
    assert [each.code for each in evaluation.problems] == ["too_deep"]
    cyclic: dict[str, Any] = {}
    cyclic["item"] = [cyclic]
    assert [each.code for each in evaluate(form(item("q")), cyclic).problems] == ["too_deep"]


@pytest.mark.parametrize("number", [Decimal("1E+999999"), Decimal("1E-999999"), Decimal("NaN"), float("inf"), 10**4000])
def test_a_number_beyond_all_range_is_refused_with_the_reason(number: Any) -> None:
    started = time.perf_counter()
    evaluation = evaluate(form(item("q", "decimal")), reply(answer("q", {"valueDecimal": number})))
    assert [each.code for each in evaluation.problems] == ["number_out_of_range"]
    assert time.perf_counter() - started < 1


ENDLESS = "repeat(%resource.descendants()).select(%resource.descendants().select(%resource.descendants())).count()"


def test_an_endless_expression_ends_within_two_seconds_and_the_rest_is_judged() -> None:
    questionnaire = form(
        *[calculated(f"slow{i}", "integer", ENDLESS) for i in range(5)],
        *[item(f"q{i}", maxLength=2) for i in range(200)],
    )
    answers = [answer(f"q{i}", "xyz") for i in range(200)]
    started = time.perf_counter()
    evaluation = judge(questionnaire, *answers)
    assert time.perf_counter() - started < 2
    counted = [each.code for each in evaluation.problems]
    assert counted.count("max_length") == 200
    assert counted.count("expression_error") == 5


def test_the_same_code_always_means_an_entry_of_the_table() -> None:
    evaluation = judge(form(item("q", required=True)))
    assert {each.code for each in evaluation.problems} <= CODES.keys()


@given(response=JSON)
@settings(max_examples=150, deadline=None)
def test_evaluation_never_fails_on_any_json(response: Any) -> None:
    questionnaire = _every_kind()
    for document in (
        response,
        {"item": response},
        reply({"linkId": "g", "item": response}),
        reply({"linkId": "q", "answer": response}),
    ):
        evaluate(questionnaire, document)


_LINK = st.sampled_from(["g", "q", "c", "n", "d", "s", "x"])
_ITEMS = st.recursive(
    st.lists(st.fixed_dictionaries({"linkId": _LINK}, optional={"answer": JSON, "text": JSON, "colour": JSON}), max_size=4),
    lambda inner: st.lists(
        st.fixed_dictionaries(
            {"linkId": _LINK},
            optional={
                "item": inner,
                "answer": st.lists(
                    st.dictionaries(st.sampled_from(["valueInteger", "valueString", "valueCoding", "valueQuantity", "valueDate"]), JSON, max_size=1)
                    | st.fixed_dictionaries({"item": inner}),
                    max_size=3,
                ),
            },
        ),
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


def _every_kind() -> Questionnaire:
    return form(
        item("g", "group", item("q", "integer", item("n", "date"), repeats=True), item("c", "choice", answerOption=options("a")), repeats=True),
        item("d", "decimal", extension=[ext("minValue", valueDecimal=Decimal(1)), ext("maxDecimalPlaces", valueInteger=2)]),
        item("s", "quantity", extension=[ext("questionnaire-unitOption", valueCoding={"code": "kg"})]),
        calculated("x", "decimal", "%resource.descendants().where(linkId='c').answer.weight().sum() + %resource.item.count()"),
        extension=[ext("targetConstraint", extension=[{"url": "key", "valueId": "k"}, {"url": "expression", "valueExpression": {"language": "text/fhirpath", "expression": "item.count() < 2"}}])],
    )  # fmt: skip


@given(items=_ITEMS)
@settings(max_examples=150, deadline=None)
def test_anything_shaped_like_a_response_is_judged_alike_after_a_round_trip(items: Any) -> None:
    questionnaire = _every_kind()
    one = evaluate(questionnaire, reply(*items))
    assume("number_out_of_range" not in {each.code for each in one.problems})
    again = evaluate(questionnaire, read_json(write_json(reply(*items))))
    assert one.problems == again.problems
    assert one.answers == again.answers
    assert one.response == again.response


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_valid_response_stays_so_when_it_is_written_and_read(data: st.DataObject) -> None:
    questionnaire = data.draw(forms())
    evaluation = evaluate(questionnaire, assemble(questionnaire, data.draw(answer_maps(questionnaire))))
    assume("not_settled" not in {each.code for each in evaluation.problems})
    again = evaluate(questionnaire, read_json(write_response(questionnaire, evaluation.response)))
    assert again.answers == evaluation.answers
    assert again.enabled == evaluation.enabled
    assert {each.code for each in again.problems} <= {each.code for each in evaluation.problems}


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_remembering_what_has_not_changed_equals_evaluating_everything_anew(data: st.DataObject) -> None:
    questionnaire = data.draw(forms())
    response = assemble(questionnaire, data.draw(answer_maps(questionnaire)))
    remembered = evaluate(questionnaire, response)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Calculation, "_changed_since", lambda *_: True)
        anew = evaluate(questionnaire, response)
    assert remembered == anew


def test_one_questionnaire_serves_many_evaluations_without_remembering_any() -> None:
    questionnaire = form(
        item("q", "integer"), calculated("x", "integer", "%resource.item.where(linkId='q').answer.value + 1")
    )
    found = [value_of(judge(questionnaire, answer("q", number)), "x") for number in (1, 5, 1)]
    assert found == [[2], [6], [2]]
    assert value_of(judge(questionnaire), "x") == []
