"""Value sets made of others, and what makes two answers the same answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.questionnaires import DocumentRefused, Evaluation, Value, read_questionnaire
from kpro_graph.questionnaires.document import normalise
from tests.questionnaires.making import JSON, SYSTEM, answer, coding, ext, form, item, judge, told

AB = {"system": SYSTEM, "concept": [{"code": "a"}, {"code": "b"}]}
JUST_A = {"system": SYSTEM, "concept": [{"code": "a"}]}


def value_set(name: str, **parts: Any) -> dict[str, Any]:
    """Write a value set whose url ends in the name."""
    return {"resourceType": "ValueSet", "id": name, "url": f"urn:{name}", "status": "active", **parts}


def chosen(code: str, *contained: dict[str, Any], kind: str = "choice") -> Evaluation:
    """Judge a coded answer to a question whose answers are the first of the value sets."""
    questionnaire = form(item("q", kind, answerValueSet="#v"), contained=list(contained))
    return judge(questionnaire, answer("q", coding(code)))


IMPORTED = value_set("w", compose={"include": [JUST_A]})


@pytest.mark.parametrize(
    ("compose", "code", "expected"),
    [
        ({"include": [{"valueSet": ["urn:w"]}]}, "a", []),
        ({"include": [{"valueSet": ["#w"]}]}, "b", ["not_in_value_set"]),
        ({"include": [{**AB, "valueSet": ["urn:w"]}]}, "b", ["not_in_value_set"]),
        ({"include": [{**AB, "valueSet": ["urn:w"]}]}, "a", []),
        ({"include": [{"system": SYSTEM, "valueSet": ["urn:w"]}]}, "b", ["not_in_value_set"]),
        ({"include": [AB], "exclude": [{"valueSet": ["urn:w"]}]}, "a", ["not_in_value_set"]),
        ({"include": [AB], "exclude": [{"valueSet": ["urn:w"]}]}, "b", []),
        ({"include": [{"valueSet": ["urn:nowhere"]}]}, "z", ["value_set_unresolved"]),
        ({"include": [AB], "exclude": [{"valueSet": ["urn:nowhere"]}]}, "a", []),
        ({"include": [{"valueSet": ["urn:v"]}]}, "z", ["value_set_unresolved"]),
    ],
)
def test_a_value_set_may_be_made_of_others(compose: dict[str, Any], code: str, expected: list[str]) -> None:
    found = chosen(code, value_set("v", compose=compose), IMPORTED).problems
    assert [each.code for each in found] == expected


def test_a_whole_code_system_beside_another_set_is_cut_to_what_is_in_both() -> None:
    system = {"resourceType": "CodeSystem", "url": SYSTEM, "content": "complete", "concept": [{"code": "b"}]}
    both = value_set("v", compose={"include": [{"system": SYSTEM, "valueSet": ["urn:w"]}]})
    assert told(chosen("a", both, IMPORTED, system).problems) == [("not_in_value_set", "q")]


def test_an_expansion_says_what_is_in_and_what_is_listed_beside_it_only_adds_texts_and_weights() -> None:
    weighed = {"code": "a", "display": "A", "extension": [ext("ordinalValue", valueDecimal=Decimal(3))]}
    expanded = value_set(
        "v",
        compose={"include": [{"system": SYSTEM, "concept": [weighed, {"code": "b"}]}]},
        expansion={"contains": [{"system": SYSTEM, "code": "a"}]},
    )
    evaluation = chosen("a", expanded)
    assert (told(evaluation.problems), evaluation.answers.weight("q")) == ([], Decimal(3))
    assert told(chosen("b", expanded).problems) == [("not_in_value_set", "q")]
    assert told(chosen("b", {**expanded, "expansion": {"total": 0}}).problems) == []


def test_options_that_are_only_words_are_told_apart_by_their_words() -> None:
    words = [{"valueCoding": {"display": each}} for each in ("Yes", "No")]
    questionnaire = form(item("q", "choice", answerOption=words))
    assert told(judge(questionnaire, answer("q", {"valueCoding": {"display": "No"}})).problems) == []
    assert told(judge(questionnaire, answer("q", {"valueCoding": {"display": "Maybe"}})).problems) == [
        ("not_in_options", "q")
    ]
    assert questionnaire.remarks == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Value("decimal", Decimal("1.0")), Value("decimal", Decimal("1.00"))),
        (Value("Coding", {"system": "s", "code": "c"}), Value("Coding", {"system": "s", "code": "c", "display": "D"})),
        (
            Value("Quantity", {"value": 1, "system": "s", "code": "kg", "unit": "kilo"}),
            Value("Quantity", {"value": Decimal("1.0"), "system": "s", "code": "kg"}),
        ),
        (Value("Reference", {"reference": "P/1"}), Value("Reference", {"reference": "P/1", "display": "A"})),
        (Value("Attachment", {"size": 1}), Value("Attachment", {"size": Decimal(1)})),
    ],
)
def test_the_same_answer_written_otherwise_has_the_same_key(one: Value, other: Value) -> None:
    assert one.key == other.key
    assert hash(one) == hash(other)


def test_true_is_not_one() -> None:
    assert Value("Attachment", {"size": 1}).key != Value("Attachment", {"size": True}).key


def _is_within_limits(document: Any) -> bool:
    try:
        normalise(document)
    except DocumentRefused:
        return False
    return True


WITHIN = JSON.filter(_is_within_limits)
KINDS = ("Coding", "Quantity", "Reference", "Attachment", "string", "integer", "decimal", "boolean", "date")


@given(
    kind=st.sampled_from(KINDS), parts=st.dictionaries(st.sampled_from(("system", "code", "display", "value")), WITHIN)
)
def test_any_json_has_a_key_that_can_be_hashed(kind: str, parts: dict[str, Any]) -> None:
    for raw in (parts, *parts.values()):
        value = Value(kind, normalise(raw))
        assert hash(value) == hash(Value(kind, normalise(raw)))
        assert value.key == value.key


@given(system=WITHIN, code=WITHIN)
def test_options_and_answers_of_any_json_are_read_and_judged(system: Any, code: Any) -> None:
    strange = normalise({"system": system, "code": code})
    questionnaire = read_questionnaire(
        {
            "resourceType": "Questionnaire",
            "status": "active",
            "item": [
                {"linkId": "q", "type": "choice", "repeats": True, "answerOption": [{"valueCoding": strange}] * 2}
            ],
        }
    )
    evaluation = judge(questionnaire, answer("q", {"valueCoding": strange}, {"valueCoding": strange}))
    assert set(evaluation.enabled) == {"q"}
