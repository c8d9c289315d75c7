"""Faults put into sound questionnaires: each is found wherever it stands, and nothing is found where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import Questionnaire, evaluate
from kpro_graph.questionnaires.proof import Gravity, prove
from kpro_graph.questionnaires.proof.specimens import match_specimens
from tests.questionnaires.making import SDC, coding, expression, ext, item
from tests.questionnaires.proof_making import choice, constraint, flat, sound_items, when, whole, written

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
HIDDEN = ext("questionnaire-hidden", valueBoolean=True)
FAULTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "hidden_required": lambda other: item("fault", "integer", required=True, extension=[HIDDEN]),
    "read_only_required": lambda other: item("fault", "integer", required=True, readOnly=True),
    "que_12_missing_enableBehavior": lambda other: item(
        "fault", "boolean", enableWhen=[when(other, "exists", boolean=True), when(other, "exists", boolean=False)]
    ),
    "not_equal_ambiguous": lambda other: item("fault", "boolean", enableWhen=[when(other, "!=", boolean=True)]),
    "enable_when_question_unknown": lambda other: item(
        "fault", "boolean", enableWhen=[when("nobody", "exists", boolean=True)]
    ),
    "regex_invalid": lambda other: item("fault", "string", extension=[ext("regex", valueString="[a")]),
    "expression_invalid": lambda other: item("fault", "boolean", extension=[constraint("%resource.item.where(")]),
    "expression_name_unknown": lambda other: item(
        "fault", "boolean", extension=[constraint("%resource.itme.exists()")]
    ),
    "expression_variable_unknown": lambda other: item("fault", "boolean", extension=[constraint("%total > 3")]),
    "expression_link_id_unknown": lambda other: item(
        "fault", "boolean", extension=[constraint("%resource.descendants().where(linkId='nobody').exists()")]
    ),
    "options_missing": lambda other: item("fault", "choice", required=True),
    "bounds_contradict": lambda other: whole("fault", 5, 4),
    "unanswerable": lambda other: item("fault", "string", maxLength=2, extension=[ext("minLength", valueInteger=3)]),
    "translation_missing": lambda other: item("fault", "boolean", text="Kun på dansk"),
    "condition_never_true": lambda other: item(
        "fault",
        "boolean",
        enableWhen=[when(other, "exists", boolean=True), when(other, "=", string="nobody")],
        enableBehavior="any",
    ),
}


READ_A = "%resource.item.where(linkId='a').answer.value"


def translate(items: list[dict[str, Any]]) -> None:
    """Give every text its English."""

    def english(text: str) -> dict[str, Any]:
        parts = [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": text}]
        return {"extension": [{"url": TRANSLATION, "extension": parts}]}

    for each in flat(items):
        if "text" in each:
            each["_text"] = english(each["text"])
        for option in each.get("answerOption", []):
            option["valueCoding"]["_display"] = english(option["valueCoding"]["display"])


@settings(max_examples=40, deadline=None)
@given(items=sound_items(), data=st.data())
def test_a_condition_on_what_comes_later_is_found_and_the_other_way_round_is_fine(
    items: list[dict[str, Any]], data: st.DataObject
) -> None:
    translate(items)
    other = data.draw(st.sampled_from([each["linkId"] for each in flat(items) if each["type"] != "group"]))
    asking = item("asking", "boolean", enableWhen=[when(other, "exists", boolean=True)])
    assert prove(written(*items, asking)).findings == ()
    (finding,) = prove(written(asking, *items)).findings
    assert (finding.code, finding.link_ids) == ("forward_reference", ("asking", other))


@pytest.mark.parametrize("code", sorted(FAULTS))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(items=sound_items(), data=st.data())
def test_a_fault_is_found_wherever_it_is_put(code: str, items: list[dict[str, Any]], data: st.DataObject) -> None:
    translate(items)
    before = prove(written(*items))
    assert before.findings == ()
    fault = FAULTS[code](next(each["linkId"] for each in flat(items) if each["type"] != "group"))
    if data.draw(st.booleans()):
        fault = item("around", "group", fault)
    proof = prove(written(*items, fault))
    found = proof.of(code)
    assert found
    assert found[0].link_ids[0] == "fault"
    assert found[0].location.startswith(f"Questionnaire.item[{len(items)}]")


def test_circles_among_variables_are_found() -> None:
    one = expression("", "%two + 1", variable="one")
    two = expression("", "%one + 1", variable="two")
    (finding,) = prove(written(item("a", "boolean"), extension=[one, two])).of("cycle")
    assert finding.en == "The items depend on each other in a circle: %one → %two → %one."


def test_a_variable_is_not_seen_before_it_is_declared() -> None:
    one = expression("", "%two + 1", variable="one")
    two = expression("", "1", variable="two")
    assert prove(written(item("a", "boolean"), extension=[one, two])).of("expression_variable_unknown")
    assert not prove(written(item("a", "boolean"), extension=[two, one])).of("expression_variable_unknown")


def test_calculated_values_that_need_each_other_are_a_circle() -> None:
    def calculated(link_id: str, other: str) -> dict[str, Any]:
        text = f"%resource.item.where(linkId='{other}').answer.value + 1"
        return item(link_id, "integer", readOnly=True, extension=[expression("calculatedExpression", text)])

    (finding,) = prove(written(calculated("a", "b"), calculated("b", "c"), calculated("c", "a"))).of("cycle")
    assert finding.link_ids == ("a", "b", "c")
    assert not prove(written(calculated("a", "b"), item("b", "integer"))).of("cycle")


def test_a_total_of_everything_is_no_circle_though_it_stands_among_what_it_adds_up() -> None:
    text = "%resource.descendants().answer.weight().sum()"
    sum_ = item("sum", "decimal", readOnly=True, extension=[expression("calculatedExpression", text)])
    assert prove(written(choice("a", "x", "y"), sum_)).may_activate


def test_a_condition_below_what_it_decides_is_a_circle() -> None:
    inner = item("b", "boolean")
    outer = item("g", "group", inner, enableWhen=[when("b", "=", boolean=True)])
    proof = prove(written(outer))
    assert proof.of("cycle")
    assert proof.of("enable_when_self")


def test_an_expression_that_fails_in_every_repetition_of_one_response_does_not_fail_in_all_responses() -> None:
    asked = choice("a", *"abcdefgh", extension=[constraint("answer.value.code + 1 > 0")])
    proof = prove(written(item("g", "group", asked, repeats=True)))
    (finding,) = proof.of("expression_fails")
    assert finding.severity is Gravity.WARNING
    assert any(not fixture.response.get("item") for fixture in proof.fixtures)


def test_options_that_are_all_switched_off_are_a_dead_end() -> None:
    def toggle(code: str, text: str) -> dict[str, Any]:
        said = {"url": "expression", "valueExpression": {"language": "text/fhirpath", "expression": text}}
        option = {"url": "option", **coding(code)}
        return {"url": f"{SDC}answerOptionsToggleExpression", "extension": [option, said]}

    off = f"{READ_A} != true"
    free = item("a", "boolean", required=True)
    asked = choice("b", "x", "y", required=True, extension=[toggle("x", off), toggle("y", off)])
    translate([asked])
    questionnaire = written(free, asked)
    (finding,) = prove(questionnaire).of("dead_end")
    assert finding.counter_example is not None
    shown = evaluate(questionnaire, finding.counter_example)
    assert [each.link_id for each in shown.problems if each.code in ("not_in_options", "required")] == ["b"]
    asked["extension"] = asked["extension"][:1]
    assert prove(written(free, asked)).may_activate


def test_an_option_that_a_calculated_bound_refuses_is_no_dead_end_as_long_as_another_fits() -> None:
    least = ext("cqf-calculatedValue", valueExpression={"language": "text/fhirpath", "expression": READ_A})
    bound = {**ext("minValue"), "_valueInteger": {"extension": [least]}}
    few = item(
        "b", "integer", required=True, answerOption=[{"valueInteger": 1}, {"valueInteger": 9}], extension=[bound]
    )
    assert prove(written(whole("a", 0, 3, required=True), few)).findings == ()
    few["answerOption"] = [{"valueInteger": 1}]
    (finding,) = prove(written(whole("a", 0, 2, required=True), few)).of("dead_end")
    assert finding.link_ids == ("a",)


def test_answers_that_a_query_lists_are_from_elsewhere() -> None:
    query = expression("answerExpression", "Practitioner?active=true")
    query["valueExpression"]["language"] = "application/x-fhir-query"
    proof = prove(written(item("a", "reference", extension=[query])))
    assert proof.findings == ()


def test_a_remark_names_its_place() -> None:
    questionnaire: Questionnaire = written(
        item("g", "group", item("a", "string", extension=[ext("regex", valueString="(")]))
    )
    (finding,) = prove(questionnaire).of("regex_invalid")
    assert finding.location == "Questionnaire.item[0].item[0]"


def parts() -> Iterator[st.SearchStrategy[str]]:
    """Give parts of patterns."""
    yield st.sampled_from(("a", "b", "[0-9]", "[a-c]", "[^x]", r"\d", r"\w", ".", "-", r"\.", "(a|b)", "(?:x)"))
    yield st.sampled_from(("", "?", "*", "+", "{2}", "{1,3}", "{2,}"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*parts()), min_size=1, max_size=6), st.integers(0, 8))
def test_a_text_is_found_for_every_plain_pattern(made: list[tuple[str, str]], least: int) -> None:
    pattern = "".join(one + times for one, times in made)
    assert next(match_specimens(pattern), None) is not None
    if any(times in ("*", "+", "{2,}") for _, times in made):
        assert next(match_specimens(pattern, least=least), None) is not None
