"""Points of FHIR R4 and SDC that are easily missed, each decided as the specification decides it."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

import kpro_graph.questionnaires as door
from kpro_graph.questionnaires import Severity, Status, compile_expression, evaluate
from tests.questionnaires.making import answer, expression, form, group, item, judge, reply, told
from tests.sheets import BOTH, RULES


@pytest.mark.parametrize(
    ("response", "path"),
    [
        ({"linkId": "q", "answer": [{"valueString": None}]}, "q"),
        ({"linkId": "q", "answer": None}, "q"),
        ({"linkId": "q", "text": None}, "q"),
        ({"linkId": "q", "answer": [{"valueString": "x", "item": None}]}, "q"),
        ({"linkId": "q", "answer": [{"valueString": "a\u0000b"}]}, "q"),
        ({"linkId": "q", "answer": [{"valueString": "a\u001bb"}]}, "q"),
    ],
)
def test_null_and_control_characters_are_no_fhir(response: dict[str, Any], path: str) -> None:
    assert ("structure", path) in told(judge(form(item("q")), response).problems)


def test_tabs_and_line_ends_may_stand_in_a_text() -> None:
    assert judge(form(item("q", "text")), answer("q", "a\tb\r\nc")).problems == ()


@pytest.mark.parametrize(
    "written",
    [
        {"linkId": "q", "answer": []},
        {"linkId": "q", "answer": [{}]},
        {"linkId": "q", "answer": [{"valueString": ""}]},
        {"linkId": "q", "answer": [{"valueCoding": {}}]},
    ],
)
def test_what_is_written_empty_counts_as_nothing_with_a_warning(written: dict[str, Any]) -> None:
    evaluation = judge(form(item("q", "open-choice")), written)
    assert [(each.code, each.severity) for each in evaluation.problems] == [("empty", Severity.WARNING)]
    assert evaluation.answers.values("q") == ()


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"authored": "yesterday"}, "authored"),
        ({"authored": 5}, "authored"),
        ({"subject": [{"reference": "Patient/1"}]}, "subject"),
        ({"basedOn": {"reference": "CarePlan/1"}}, "basedOn"),
        ({"author": {"reference": 3}}, "author.reference"),
        ({"unknown": 1}, "unknown"),
        ({"resourceType": "Patient"}, "resourceType"),
    ],
)
def test_what_stands_beside_the_items_keeps_the_structure_too(parts: dict[str, Any], place: str) -> None:
    evaluation = evaluate(form(item("q")), {**reply(answer("q", "x")), **parts})
    assert [(each.code, each.location) for each in evaluation.problems] == [
        ("structure", f"QuestionnaireResponse.{place}")
    ]


def test_a_response_says_what_kind_of_resource_it_is() -> None:
    evaluation = evaluate(form(item("q")), {"status": "completed"})
    assert [each.location for each in evaluation.problems] == ["QuestionnaireResponse.resourceType"]


def test_a_display_cannot_be_required() -> None:
    assert judge(form(item("d", "display", required=True))).problems == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("quantity", {"valueQuantity": {"value": 1, "comparator": "~"}}),
        ("quantity", {"valueQuantity": {"value": 1, "code": "kg"}}),
        ("attachment", {"valueAttachment": {"data": "AAAA"}}),
        ("choice", {"valueCoding": {"code": "a", "value": 1}}),
    ],
)
def test_the_parts_of_a_value_keep_their_own_rules(kind: str, value: dict[str, Any]) -> None:
    assert told(judge(form(item("q", kind)), answer("q", value)).problems) == [("structure", "q")]


@pytest.mark.parametrize(
    ("operator", "given", "asked"),
    [(">", "2025", True), (">", "2024", False), (">=", "2024", False), ("<=", "2024", False), (">=", "2025", True)],
)
def test_a_date_written_to_the_year_meets_a_condition_only_for_certain(operator: str, given: str, asked: bool) -> None:
    condition = {"question": "a", "operator": operator, "answerDate": "2024-06-01"}
    evaluation = judge(form(item("a", "date"), item("x", enableWhen=[condition])), answer("a", {"valueDate": given}))
    assert ("x" in evaluation.enabled) is asked


def test_a_calculated_number_is_the_same_to_eight_decimals() -> None:
    third = item("s", "decimal", readOnly=True, extension=[expression("calculatedExpression", "1 / 3")])
    assert judge(form(third), answer("s", Decimal("0.3333333333333333"))).problems == ()
    assert judge(form(third), answer("s", Decimal("0.33333333"))).problems == ()
    assert told(judge(form(third), answer("s", Decimal("0.3333333"))).problems) == [("calculated_mismatch", "s")]


RESPONSE = reply(group("g", {"linkId": "p", "answer": [{"valueBoolean": True, "item": [answer("c", "x")]}]}))


@pytest.mark.parametrize(
    "text",
    [
        "%resource.repeat(item | answer).where(linkId='c').answer.value",
        "repeat(answer | item).where(linkId = 'c').answer.value",
        "repeat(item | answer.item).where(linkId = 'c').answer.value",
    ],
)
def test_a_walk_through_items_and_answers_names_elements_that_only_some_of_them_have(text: str) -> None:
    assert compile_expression(text).evaluate(RESPONSE) == ["x"]


def test_a_name_that_nothing_on_the_walk_has_is_still_a_fault() -> None:
    with pytest.raises(door.ExpressionFailed, match="answr"):
        compile_expression("repeat(item | answr)").evaluate(RESPONSE)


def test_what_has_no_key_comes_first_in_a_sort_also_with_the_older_minus() -> None:
    patient = {"resourceType": "Patient", "name": [{"family": "A", "use": "official"}, {"use": "usual"}]}
    assert compile_expression("name.sort(-family).use").evaluate(patient) == ["usual", "official"]
    assert compile_expression("name.sort(family desc).use").evaluate(patient) == ["official", "usual"]


def test_a_draft_rule_set_speaks_in_a_preview_only() -> None:
    draft = RULES.under(Status.DRAFT)
    response = reply(answer("pain", 3), answer("mood", 1))
    assert [each.value for each in evaluate(BOTH, response, rules=draft).scores] == [None, None]
    shown = evaluate(BOTH, response, rules=draft, preview=True)
    assert [each.value for each in shown.scores] == [3, 1]
    assert {each.colour.value for each in shown.interpretations} != {"not_interpreted"}
    said_by = shown.interpretations[-1].explanation.rule_set
    assert said_by is not None
    assert said_by.preview


def test_the_door_gives_everything_it_names_and_loads_the_proof_only_when_asked() -> None:
    assert all(getattr(door, name) is not None for name in door.__all__)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = door.nothing_of_that_name
    loaded = (
        "import sys, kpro_graph.questionnaires as door; heavy = ('.proof', '.differences');"
        "found = [each for each in sys.modules if each.startswith('kpro_graph') and any(one in each for one in heavy)];"
        "assert not found, found; door.prove, door.compare"
    )
    subprocess.run([sys.executable, "-c", loaded], check=True)
