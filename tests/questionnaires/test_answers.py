"""Answers by path and by linkId: built up into a response, taken apart again, and seen by rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import AnswerMalformed, PathUnknown, Value, assemble, evaluate, flatten
from tests.questionnaires.making import answer, answer_maps, coding, form, forms, group, item, options, reply

NESTED = form(
    item("intro", "display"),
    item(
        "group",
        "group",
        item("weight", "decimal"),
        item("symptoms", "choice", item("since", "date"), repeats=True, answerOption=options("pain", "nausea")),
        repeats=True,
    ),
    item("last", "group", item("free", "text")),
)


def test_answers_are_put_in_questionnaire_order_whatever_the_order_of_the_paths() -> None:
    response = assemble(
        NESTED,
        {
            "last/free": [{"valueString": "x"}],
            "group[1]/weight": [{"valueDecimal": Decimal("70.50")}],
            "group[0]/symptoms[1]/since": [{"valueDate": "2026-01-01"}],
            "group[0]/symptoms": [coding("pain"), coding("nausea")],
        },
    )
    assert response["item"] == [
        group(
            "group",
            {
                "linkId": "symptoms",
                "answer": [
                    coding("pain"),
                    {**coding("nausea"), "item": [answer("since", {"valueDate": "2026-01-01"})]},
                ],
            },
        ),
        group("group", answer("weight", Decimal("70.50"))),
        group("last", answer("free", "x")),
    ]
    assert response["questionnaire"] == "urn:test:form"
    assert response["status"] == "completed"


def test_an_index_that_is_left_out_is_the_first() -> None:
    written = {"group/symptoms": [coding("pain")], "group/symptoms/since": [{"valueDate": "2026"}]}
    indexed = {"group[0]/symptoms": [coding("pain")], "group[0]/symptoms[0]/since": [{"valueDate": "2026"}]}
    assert assemble(NESTED, written) == assemble(NESTED, indexed)


def test_a_group_that_does_not_repeat_is_there_without_answers_so_that_its_questions_are_missed() -> None:
    questionnaire = form(item("page", "group", item("must", required=True)))
    evaluation = evaluate(questionnaire, assemble(questionnaire, {}))
    assert [(each.code, each.path) for each in evaluation.problems] == [("required", "page/must")]
    assert not evaluation.valid


@pytest.mark.parametrize(
    "path",
    ["", "nowhere", "weight", "group", "intro", "group[0]", "group[0]/weight[1]", "last[1]/free", "group[1000]/weight"],
)
def test_a_path_that_names_no_question_is_refused_by_name(path: str) -> None:
    with pytest.raises(PathUnknown) as refused:
        assemble(NESTED, {path: [{"valueInteger": 1}]})
    assert refused.value.path == path


@pytest.mark.parametrize("value", [3, None, {}, {"value": 1, "item": []}, {"answer": 3}, {1: 2}])
def test_an_answer_that_is_no_fhir_value_is_refused_with_its_path_and_without_its_value(value: Any) -> None:
    with pytest.raises(AnswerMalformed) as refused:
        assemble(NESTED, {"last/free": [value]})
    assert refused.value.path == "last/free"
    assert str(refused.value) == "an answer is not a FHIR value"


def test_link_ids_with_slashes_and_brackets_have_paths_of_their_own() -> None:
    questionnaire = form(item("a", "group", item("b")), item("a/b"), item("c[0]"), item("/44250-9"))
    response = reply(group("a", answer("b", "1")), answer("a/b", "2"), answer("c[0]", "3"), answer("/44250-9", "4"))
    flat = flatten(questionnaire, response)
    assert [(each.link_id, each.values[0].value) for each in flat] == [
        ("b", "1"),
        ("a/b", "2"),
        ("c[0]", "3"),
        ("/44250-9", "4"),
    ]
    assert len({each.path for each in flat}) == 4
    assert flat[3].path == "/44250-9"


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_assembled_is_taken_apart_into_the_same_answers(data: st.DataObject) -> None:
    questionnaire = data.draw(forms())
    answers = data.draw(answer_maps(questionnaire))
    response = assemble(questionnaire, answers)
    flat = {each.path: [value.as_fhir() for value in each.values] for each in flatten(questionnaire, response)}
    assert flat == answers
    assert assemble(questionnaire, dict(reversed(list(flat.items())))) == response


def test_rules_see_values_over_all_repetitions_and_by_path() -> None:
    response = reply(group("group", answer("weight", Decimal(70))), group("group", answer("weight", Decimal("71.5"))))
    answers = evaluate(NESTED, response).answers
    assert answers.values("weight") == (Value("decimal", Decimal(70)), Value("decimal", Decimal("71.5")))
    assert answers.at("group[1]/weight") == (Value("decimal", Decimal("71.5")),)
    assert answers.paths() == ("group[0]/weight", "group[1]/weight")
    assert answers.number("weight") is None
    assert answers.values("nowhere") == ()
    assert "weight" in answers
    assert "free" not in answers


def test_weights_are_looked_up_by_question_so_that_reversed_items_score_right() -> None:
    turned = [
        {**option, "extension": other["extension"]}
        for option, other in zip(options("no", "yes"), options("yes", "no")[::-1], strict=True)
    ]
    questionnaire = form(
        item("plain", "choice", answerOption=options("no", "yes")), item("turned", "choice", answerOption=turned)
    )
    answers = evaluate(questionnaire, reply(answer("plain", coding("yes")), answer("turned", coding("yes")))).answers
    assert (answers.weight("plain"), answers.weight("turned")) == (Decimal(1), Decimal(0))


def test_the_weight_of_several_answers_is_their_sum_and_unknown_options_have_none() -> None:
    questionnaire = form(
        item("q", "choice", repeats=True, answerOption=options("a", "b", "c")), item("free", "open-choice")
    )
    answers = evaluate(
        questionnaire, reply(answer("q", coding("b"), coding("c"), coding("other")), answer("free", "text"))
    ).answers
    assert answers.weight("q") == Decimal(3)
    assert answers.weights("q") == (Decimal(1), Decimal(2), None)
    assert answers.weight("free") is None
    assert answers.weights("nowhere") == ()


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        ("integer", 3, Decimal(3)),
        ("decimal", Decimal("1.50"), Decimal("1.50")),
        ("quantity", {"valueQuantity": {"value": Decimal("2.5")}}, Decimal("2.5")),
        ("string", "3", None),
    ],
)
def test_a_number_answered_is_available_exactly(kind: str, value: Any, number: Decimal | None) -> None:
    assert evaluate(form(item("q", kind)), reply(answer("q", value))).answers.number("q") == number


def test_answers_that_were_not_to_be_given_are_not_seen() -> None:
    questionnaire = form(
        item("a", "boolean"),
        item("b", enableWhen=[{"question": "a", "operator": "=", "answerBoolean": True}]),
    )
    answers = evaluate(questionnaire, reply(answer("a", False), answer("b", "x"))).answers
    assert answers.values("b") == ()
    assert answers.enabled == ("a",)


def test_answers_are_equal_where_paths_and_what_was_asked_are() -> None:
    one, same = (evaluate(NESTED, reply(group("last", answer("free", "x")))).answers for _ in range(2))
    other = evaluate(NESTED, reply(group("last", answer("free", "y")))).answers
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "x"
    assert "x" not in repr(one)
