"""The value sets of FHIR itself that answers are judged by without a terminology server."""

from __future__ import annotations

from typing import Any

import pytest

from kpro_graph.questionnaires import read_questionnaire
from kpro_graph.questionnaires.terminology import core_value_sets
from tests.questionnaires.making import answer, form, item, judge, told

BASE = "http://hl7.org/fhir/ValueSet/"


@pytest.mark.parametrize(
    ("name", "system", "code", "holds"),
    [
        ("jurisdiction", "urn:iso:std:iso:3166", "DK", True),
        ("jurisdiction", "urn:iso:std:iso:3166", "XX", False),
        ("jurisdiction", "urn:iso:std:iso:3166:-2", "DK-84", None),
        ("jurisdiction", "http://unitsofmeasure.org", "km", False),
        ("administrative-gender", "http://hl7.org/fhir/administrative-gender", "female", True),
        ("administrative-gender", "http://hl7.org/fhir/administrative-gender", "f", False),
        ("yesnodontknow", "http://terminology.hl7.org/CodeSystem/v2-0136", "Y", True),
        ("yesnodontknow", "http://terminology.hl7.org/CodeSystem/data-absent-reason", "asked-unknown", True),
        ("yesnodontknow", None, "Y", False),
        ("item-type", "http://hl7.org/fhir/item-type", "open-choice", True),
    ],
)
def test_a_code_is_in_a_core_set_or_not_or_it_cannot_be_told(
    name: str, system: str | None, code: str, holds: bool | None
) -> None:
    assert core_value_sets()[BASE + name].holds(system, code) is holds


def test_there_are_249_countries_each_with_a_name() -> None:
    countries = core_value_sets()[f"{BASE}jurisdiction"].concepts
    assert len(countries) == 249
    assert all(each.display for each in countries.values())
    assert countries["urn:iso:std:iso:3166", "DK"].display == "Denmark"


def test_a_set_that_is_handed_in_comes_before_the_core_one() -> None:
    url = f"{BASE}administrative-gender"
    own: dict[str, Any] = {
        "resourceType": "ValueSet",
        "url": url,
        "compose": {"include": [{"system": "urn:own", "concept": [{"code": "x"}]}]},
    }
    source: dict[str, Any] = {
        "resourceType": "Questionnaire",
        "status": "active",
        "item": [item("q", "choice", answerValueSet=f"{url}|4.0.1")],
    }
    given = answer("q", {"valueCoding": {"system": "urn:own", "code": "x"}})
    assert judge(read_questionnaire(source, value_sets=[own]), given).valid
    assert told(judge(read_questionnaire(source), given).problems) == [("not_in_value_set", "q")]


def _judged(value_set: dict[str, Any], code: str, *more: dict[str, Any], system: str = "urn:s") -> list[str]:
    contained = [{"resourceType": "ValueSet", "id": "v", **value_set}, *more]
    questionnaire = form(item("q", "choice", answerValueSet="#v"), contained=contained)
    return [
        each[0]
        for each in told(judge(questionnaire, answer("q", {"valueCoding": {"system": system, "code": code}})).problems)
    ]


def test_an_expansion_is_read_with_what_is_nested_in_it() -> None:
    expansion = {
        "contains": [
            {"system": "urn:s", "code": "top", "abstract": True, "contains": [{"system": "urn:s", "code": "below"}]},
        ]
    }
    assert _judged({"expansion": expansion}, "below") == []
    assert _judged({"expansion": expansion}, "top") == ["not_in_value_set"]
    assert _judged({"expansion": {**expansion, "total": 50}}, "other") == ["value_set_unresolved"]


def test_a_whole_code_system_at_hand_is_taken_in_and_what_is_excluded_is_not() -> None:
    system = {
        "resourceType": "CodeSystem",
        "url": "urn:s",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b"}]}, {"code": "c"}],
    }
    compose = {"include": [{"system": "urn:s"}], "exclude": [{"system": "urn:s", "concept": [{"code": "c"}]}]}
    assert _judged({"compose": compose}, "b", system) == []
    assert _judged({"compose": compose}, "c", system) == ["not_in_value_set"]
    assert _judged({"compose": compose}, "b") == ["value_set_unresolved"]
    assert _judged({"compose": compose}, "b", {**system, "content": "fragment"}) == ["value_set_unresolved"]
    assert _judged({"compose": compose}, "b", system, system="urn:other") == ["not_in_value_set"]
    unlisted = {"include": [{"system": "urn:s"}], "exclude": [{"system": "urn:s", "filter": []}]}
    assert _judged({"compose": unlisted}, "x", system) == ["value_set_unresolved"]
    assert _judged({}, "x") == ["value_set_unresolved"]
    assert _judged({"compose": {"include": [{"valueSet": ["urn:w"]}]}}, "x") == ["value_set_unresolved"]
