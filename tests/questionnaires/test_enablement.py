"""Which questions are to be asked: every operator, both behaviours, repetitions, chains and circles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import assemble, evaluate
from tests.questionnaires.making import (
    answer,
    answer_maps,
    coding,
    expression,
    form,
    forms,
    group,
    item,
    judge,
    options,
    reply,
    told,
)


def when(question: str, operator: str, **value: Any) -> dict[str, Any]:
    return {"question": question, "operator": operator, **value}


def asked(kind: str, condition: dict[str, Any], *answers: Any, **parts: Any) -> bool:
    questionnaire = form(item("q", kind, **parts), item("target", enableWhen=[{"question": "q", **condition}]))
    given = (answer("q", *answers),) if answers else ()
    return "target" in judge(questionnaire, *given).enabled


@pytest.mark.parametrize(
    ("operator", "answers", "expected"),
    [
        ("=", (3,), True),
        ("=", (1, 3), True),
        ("=", (2,), False),
        ("=", (), False),
        ("!=", (2,), True),
        ("!=", (2, 3), False),
        ("!=", (), True),
        (">", (4,), True),
        (">", (3,), False),
        (">", (1, 4), True),
        ("<", (2,), True),
        ("<", (3,), False),
        (">=", (3,), True),
        (">=", (2,), False),
        ("<=", (3,), True),
        ("<=", (4,), False),
        ("<=", (), False),
    ],
)
def test_a_comparison_holds_where_one_answer_meets_it_and_unequal_where_none_equals(
    operator: str, answers: tuple[int, ...], expected: bool
) -> None:
    assert asked("integer", {"operator": operator, "answerInteger": 3}, *answers, repeats=True) is expected


@pytest.mark.parametrize(
    ("wanted", "answers", "expected"),
    [(True, ("x",), True), (True, (), False), (False, (), True), (False, ("x",), False)],
)
def test_existence_is_compared_with_what_is_wanted(wanted: bool, answers: tuple[str, ...], expected: bool) -> None:
    assert asked("string", {"operator": "exists", "answerBoolean": wanted}, *answers) is expected


@pytest.mark.parametrize(
    ("kind", "condition", "given", "expected"),
    [
        ("choice", {"answerCoding": {"system": "s", "code": "c", "display": "D"}}, {"valueCoding": {"system": "s", "code": "c"}}, True),
        ("choice", {"answerCoding": {"system": "s", "code": "c"}}, {"valueCoding": {"system": "t", "code": "c"}}, False),
        ("choice", {"answerCoding": {"code": "c"}}, {"valueCoding": {"code": "c", "display": "D"}}, True),
        ("decimal", {"answerInteger": 2}, Decimal("2.00"), True),
        ("date", {"answerDate": "2026-03-01"}, {"valueDate": "2026-03-01"}, True),
        ("date", {"answerDate": "2026-03-01"}, {"valueDate": "2026-03"}, False),
        ("dateTime", {"answerDateTime": "2026-03-01T10:00:00+01:00"}, {"valueDateTime": "2026-03-01T09:00:00Z"}, True),
        ("quantity", {"answerQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "kg"}}, {"valueQuantity": {"value": 1000, "system": "http://unitsofmeasure.org", "code": "g"}}, True),
        ("reference", {"answerReference": {"reference": "Patient/1"}}, {"valueReference": {"reference": "Patient/1", "display": "x"}}, True),
        ("boolean", {"answerBoolean": True}, True, True),
        ("string", {"answerString": "a"}, "b", False),
        ("time", {"answerTime": "10:00:00"}, {"valueTime": "10:00:00.000"}, True),
    ],
)  # fmt: skip
def test_equality_is_of_meaning_not_of_writing(
    kind: str, condition: dict[str, Any], given: Any, expected: bool
) -> None:
    assert asked(kind, {"operator": "=", **condition}, given) is expected
    assert asked(kind, {"operator": "!=", **condition}, given) is not expected


def test_values_that_cannot_be_compared_are_neither_more_nor_less() -> None:
    kilo = {"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "kg"}}
    metre = {"answerQuantity": {"value": 0, "system": "http://unitsofmeasure.org", "code": "m"}}
    for operator in ("<", ">", "<=", ">=", "="):
        assert not asked("quantity", {"operator": operator, **metre}, kilo)


@pytest.mark.parametrize(("behaviour", "expected"), [("any", True), ("all", False), (None, True)])
def test_one_of_several_conditions_is_enough_unless_all_are_wanted(behaviour: str | None, expected: bool) -> None:
    parts: dict[str, Any] = {"enableBehavior": behaviour} if behaviour else {}
    conditions = [when("a", "=", answerBoolean=True), when("b", "=", answerBoolean=True)]
    questionnaire = form(item("a", "boolean"), item("b", "boolean"), item("c", enableWhen=conditions, **parts))
    assert ("c" in judge(questionnaire, answer("a", True), answer("b", False)).enabled) is expected
    assert "c" in judge(questionnaire, answer("a", True), answer("b", True)).enabled
    assert "c" not in judge(questionnaire, answer("a", False), answer("b", False)).enabled
    assert [each.code for each in questionnaire.remarks] == ([] if behaviour else ["que_12_missing_enableBehavior"])


def test_what_stands_below_something_not_asked_is_not_asked_nor_required() -> None:
    questionnaire = form(
        item("a", "boolean"),
        item(
            "g",
            "group",
            item("inner", "group", item("deep", required=True), required=True),
            enableWhen=[when("a", "=", answerBoolean=True)],
        ),
    )
    evaluation = judge(questionnaire, answer("a", False), group("g"))
    assert evaluation.enabled == ("a",)
    assert evaluation.valid


def test_a_condition_inside_a_repetition_means_the_same_repetition() -> None:
    questionnaire = form(
        item(
            "g", "group", item("a", "boolean"), item("b", enableWhen=[when("a", "=", answerBoolean=True)]), repeats=True
        )
    )
    evaluation = judge(
        questionnaire,
        group("g", answer("a", True), answer("b", "x")),
        group("g", answer("a", False), answer("b", "x")),
    )
    assert told(evaluation.problems) == [("answered_but_disabled", "g[1]/b")]


def test_a_condition_from_outside_looks_into_every_repetition() -> None:
    questionnaire = form(
        item("g", "group", item("a", "boolean"), repeats=True),
        item("b", enableWhen=[when("a", "=", answerBoolean=True)]),
    )
    assert "b" in judge(questionnaire, group("g", answer("a", False)), group("g", answer("a", True))).enabled
    assert "b" not in judge(questionnaire, group("g", answer("a", False))).enabled


def test_a_question_below_an_answer_may_depend_on_the_question_above() -> None:
    questionnaire = form(
        item(
            "a",
            "choice",
            item("why", enableWhen=[when("a", "=", answerCoding={"system": "urn:test:codes", "code": "yes"})]),
            answerOption=options("yes", "no"),
        )
    )
    assert "why" in judge(questionnaire, answer("a", coding("yes"))).enabled
    assert "why" not in judge(questionnaire, answer("a", coding("no"))).enabled


def test_a_chain_written_backwards_is_followed_to_its_end() -> None:
    count = 400
    chain = [item(f"q{i}", "boolean", enableWhen=[when(f"q{i + 1}", "=", answerBoolean=True)]) for i in range(count)]
    questionnaire = form(*chain, item(f"q{count}", "boolean"))
    all_true = [answer(f"q{i}", True) for i in range(count)]
    evaluation = judge(questionnaire, *all_true, answer(f"q{count}", False))
    assert evaluation.enabled == (f"q{count}",)
    assert judge(questionnaire, *all_true, answer(f"q{count}", True)).valid


def test_questions_that_switch_each_other_in_a_circle_are_told_of_and_end() -> None:
    questionnaire = form(
        item("a", "boolean", enableWhen=[when("b", "exists", answerBoolean=False)]),
        item("b", "boolean", enableWhen=[when("a", "exists", answerBoolean=True)]),
    )
    evaluation = judge(questionnaire, answer("a", True), answer("b", True))
    assert "not_settled" in [each.code for each in evaluation.problems]
    assert not evaluation.valid


def test_a_condition_on_a_question_that_does_not_exist_has_no_answers_and_is_remarked_on() -> None:
    questionnaire = form(item("a", enableWhen=[when("gone", "exists", answerBoolean=False)]))
    assert judge(questionnaire).enabled == ("a",)
    assert [each.code for each in questionnaire.remarks] == ["enable_when_question_unknown"]


def test_an_expression_decides_where_there_is_one() -> None:
    text = "%resource.item.where(linkId='a').answer.value > 3"
    questionnaire = form(item("a", "integer"), item("b", extension=[expression("enableWhenExpression", text)]))
    assert "b" in judge(questionnaire, answer("a", 4)).enabled
    assert "b" not in judge(questionnaire, answer("a", 3)).enabled
    assert "b" not in judge(questionnaire).enabled


@pytest.mark.parametrize("text", ["1 / 'x'", "%unknown.exists()", "(((", "'text'", "1 | 2"])
def test_an_expression_that_fails_leaves_its_question_asked_and_is_told_of(text: str) -> None:
    questionnaire = form(item("a", extension=[expression("enableWhenExpression", text)]))
    evaluation = judge(questionnaire, answer("a", "kept"))
    assert evaluation.enabled == ("a",)
    assert told(evaluation.problems) == [("expression_error", "a")]
    assert evaluation.valid


def test_an_item_condition_may_follow_a_calculated_value_that_follows_answers() -> None:
    questionnaire = form(
        item("more", enableWhen=[when("sum", ">=", answerDecimal=3)]),
        item(
            "sum",
            "decimal",
            readOnly=True,
            extension=[expression("calculatedExpression", "%resource.item.where(linkId='q').answer.weight().sum()")],
        ),
        item("q", "choice", repeats=True, answerOption=options("a", "b", "c")),
    )
    assert "more" in judge(questionnaire, answer("q", coding("b"), coding("c"))).enabled
    assert "more" not in judge(questionnaire, answer("q", coding("c"))).enabled


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_answers_not_to_be_given_change_nothing_but_the_problems(data: st.DataObject) -> None:
    questionnaire = data.draw(forms())
    response = assemble(questionnaire, data.draw(answer_maps(questionnaire)))
    evaluation = evaluate(questionnaire, response)
    assume("not_settled" not in {each.code for each in evaluation.problems})
    again = evaluate(questionnaire, evaluation.response)
    assert again.enabled == evaluation.enabled
    assert again.answers == evaluation.answers
    assert again.response == evaluation.response


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_of_items_in_a_response_changes_nothing_but_a_warning(data: st.DataObject) -> None:
    questionnaire = data.draw(forms())
    response = assemble(questionnaire, data.draw(answer_maps(questionnaire)))
    shuffled = dict(response)
    if "item" in response:
        shuffled["item"] = _flatten(data.draw(st.permutations(_together(response["item"]))))
    one, other = evaluate(questionnaire, response), evaluate(questionnaire, shuffled)
    assert one.answers == other.answers
    assert one.enabled == other.enabled
    assert sorted((each.code, each.path) for each in one.problems) == sorted(
        (each.code, each.path) for each in other.problems if each.code != "item_order"
    )


def _together(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Repetitions of one group keep their order among themselves."""
    by_link_id: dict[str, list[dict[str, Any]]] = {}
    for each in items:
        by_link_id.setdefault(each["linkId"], []).append(each)
    return list(by_link_id.values())


def _flatten(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [each for part in parts for each in part]


def test_a_draft_may_keep_what_is_not_asked_any_more() -> None:
    questionnaire = form(item("a", "boolean"), item("b", enableWhen=[when("a", "=", answerBoolean=True)]))
    evaluation = evaluate(questionnaire, reply(answer("a", False), answer("b", "x"), status="in-progress"))
    assert [(each.code, each.severity.value) for each in evaluation.problems] == [("answered_but_disabled", "warning")]
    assert evaluation.response["item"] == [answer("a", False)]
