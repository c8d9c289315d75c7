"""Scores travel on the answers."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kpro_graph.questionnaires.expressions import (
    compile_expression,
    declared_weights,
    with_weights,
)

ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
ITEM_WEIGHT = "http://hl7.org/fhir/StructureDefinition/itemWeight"


def answered(link_id: str, **answer: Any) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [answer]}


def response(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "item": list(items)}


def evaluate(text: str, focus: Any, **given: Any) -> list[Any]:
    return compile_expression(text).evaluate(focus, **given)


class TestWeights:
    QUESTIONNAIRE: dict[str, Any] = {  # noqa: RUF012
        "resourceType": "Questionnaire",
        "contained": [
            {
                "resourceType": "ValueSet",
                "id": "vs",
                "url": "http://x/vs",
                "compose": {"include": [{"system": "s", "concept": [{"code": "c", "extension": [{"url": ORDINAL, "valueDecimal": 7}]}]}]},
            },
            {"resourceType": "CodeSystem", "url": "cs", "concept": [{"code": "d", "extension": [{"url": ITEM_WEIGHT, "valueDecimal": 9}]}]},
        ],
        "item": [
            {
                "linkId": "q",
                "type": "choice",
                "answerOption": [
                    {"valueCoding": {"system": "s", "code": code}, "extension": [{"url": ORDINAL, "valueDecimal": weight}]}
                    for code, weight in (("no", 0), ("yes", 1))
                ],
            },
            {
                "linkId": "reversed",
                "type": "choice",
                "answerOption": [
                    {"valueCoding": {"system": "s", "code": code, "extension": [{"url": ITEM_WEIGHT, "valueDecimal": weight}]}}
                    for code, weight in (("no", 1), ("yes", 0))
                ],
            },
            {"linkId": "set", "type": "choice", "answerValueSet": "#vs"},
            {"linkId": "by-url", "type": "choice", "answerValueSet": "http://x/vs"},
            {"linkId": "number", "type": "integer", "answerOption": [{"valueInteger": 3, "extension": [{"url": ORDINAL, "valueDecimal": 30}]}]},
        ],
    }  # fmt: skip

    def weighed(self, *items: dict[str, Any], **how: Any) -> dict[str, Any]:
        return with_weights(response(*items), declared_weights(self.QUESTIONNAIRE), **how)

    def coded(self, link_id: str, code: str, system: str = "s") -> dict[str, Any]:
        return answered(link_id, valueCoding={"system": system, "code": code})

    @pytest.mark.parametrize("function", ["weight", "ordinal"])
    @pytest.mark.parametrize("path", ["answer", "answer.value"])
    def test_reversed_items_that_share_codes_score_right(self, function: str, path: str) -> None:
        both = self.weighed(self.coded("q", "yes"), self.coded("reversed", "yes"))
        assert evaluate(f"item.where(linkId='q').{path}.{function}()", both) == [1]
        assert evaluate(f"item.where(linkId='reversed').{path}.{function}()", both) == [0]
        assert evaluate(f"item.{path}.{function}().sum()", both) == [1]

    def test_contained_value_sets_and_code_systems_are_read(self) -> None:
        found = self.weighed(self.coded("set", "c"), self.coded("by-url", "c"), self.coded("q", "d", "cs"))
        assert evaluate("item.answer.weight()", found) == [7, 7, 9]

    def test_an_answer_without_a_weight_gives_nothing(self) -> None:
        assert evaluate("item.answer.weight()", self.weighed(self.coded("q", "other"))) == []

    def test_a_weight_that_came_with_the_answer_is_not_believed(self) -> None:
        forged = answered(
            "q", valueCoding={"system": "s", "code": "other", "extension": [{"url": ORDINAL, "valueDecimal": 99}]}
        )
        assert evaluate("item.answer.weight()", self.weighed(forged)) == []
        assert evaluate("item.answer.weight()", self.weighed(forged, keep_sent=True)) == [99]
        forged["answer"][0]["valueCoding"]["code"] = "yes"
        assert evaluate("item.answer.weight()", self.weighed(forged, keep_sent=True)) == [1]

    def test_plain_values_are_weighed_on_request(self) -> None:
        item = answered("number", valueInteger=3)
        assert evaluate("item.answer.value.weight()", self.weighed(item)) == []
        assert evaluate("item.answer.value.weight()", self.weighed(item, plain_values=True)) == [30]

    def test_the_response_itself_is_not_changed(self) -> None:
        item = self.coded("q", "yes")
        before = copy.deepcopy(item)
        self.weighed(item)
        assert item == before

    def test_answers_under_answers_are_weighed(self) -> None:
        nested = {
            "linkId": "g",
            "item": [{"linkId": "q", "answer": [{"valueString": "x", "item": [self.coded("q", "yes")]}]}],
        }
        assert evaluate("item.item.answer.item.answer.weight()", self.weighed(nested)) == [1]

    def test_other_extensions_stay(self) -> None:
        coding = {"system": "s", "code": "yes", "extension": [{"url": "http://x/y", "valueString": "z"}]}
        found = self.weighed(answered("q", valueCoding=coding))
        assert evaluate("item.answer.value.extension('http://x/y').value", found) == ["z"]
