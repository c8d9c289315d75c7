"""Scores are computed exactly from the answers that count, and explained; a missing answer is never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.questionnaires import instruments
from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.explanation import Explanation
from kpro_graph.questionnaires.rules import RuleSet, read_rule_set
from kpro_graph.questionnaires.scoring import Score, score
from tests.sheets import CONTENT, LABEL, ORDINAL, URL, answer, holds_float, make, rule_set


def weighing(link_id: str, weights: Mapping[str, int | Decimal | None], **more: Any) -> dict[str, Any]:
    """An item with coded options by weight."""
    options = []
    for code, weight in weights.items():
        coding: dict[str, Any] = {"system": "urn:x", "code": code, "display": f"Svar {code}"}
        if weight is not None:
            coding["extension"] = [{"url": ORDINAL, "valueDecimal": weight}]
        options.append({"valueCoding": coding})
    return {"linkId": link_id, "type": "choice", "text": f"Spørgsmål {link_id}", "answerOption": options, **more}


def scoring_rules(*scores: dict[str, Any], **more: Any) -> RuleSet:
    return rule_set(scores=list(scores), **more)


LEVELS = {"a": 0, "b": 1, "c": 2, "d": 3}
THREE = make(*(weighing(name, LEVELS) for name in ("x", "y", "z")))


def total(kind: str = "sum", rule: str = "refuse", **more: Any) -> dict[str, Any]:
    missing: dict[str, Any] = {"rule": rule}
    if "atLeast" in more:
        missing["atLeast"] = more.pop("atLeast")
    return {"code": "m", "kind": kind, "label": LABEL, "items": ["x", "y", "z"], "missing": missing, **more}


def only(rules: RuleSet, answers: Answers) -> Score:
    (found,) = score(rules, answers)
    return found


def reason(found: Score) -> str:
    assert found.value is None
    assert found.explanation.reason is not None
    return found.explanation.reason.code


@pytest.mark.parametrize(
    ("definition", "given", "expected"),
    [
        (total(), {"x": "b", "y": "c", "z": "d"}, "6"),
        (total(factor=Decimal("1.25")), {"x": "b", "y": "c", "z": "d"}, "7.5"),
        (total("mean"), {"x": "b", "y": "c", "z": "d"}, "2"),
        (total("mean", factor=10), {"x": "b", "y": "b", "z": "c"}, "13.333333333333"),
        (total(rule="skip", atLeast=2), {"x": "b", "z": "d"}, "4"),
        (total("mean", rule="skip", atLeast=2), {"x": "b", "z": "c"}, "1.5"),
        (total(rule="mean", atLeast=2), {"x": "b", "z": "c"}, "4.5"),
        (total(rule="mean", atLeast=1), {"y": "d"}, "9"),
    ],
)
def test_sums_and_means_follow_their_own_rule_about_missing_answers(
    definition: dict[str, Any], given: dict[str, Any], expected: str
) -> None:
    assert only(scoring_rules(definition), answer(THREE, given)).value == Decimal(expected)


@pytest.mark.parametrize(
    ("definition", "given"),
    [
        (total(), {"x": "b", "y": "c"}),
        (total("mean"), {}),
        (total(rule="skip", atLeast=2), {"x": "b"}),
        (total(rule="mean", atLeast=3), {"x": "b", "y": "c"}),
    ],
)
def test_too_few_answers_give_no_value_and_name_what_is_missing(
    definition: dict[str, Any], given: dict[str, Any]
) -> None:
    found = only(scoring_rules(definition), answer(THREE, given))
    assert reason(found) == "missing_answer"
    assert "Spørgsmål z" in found.explanation.sentence("da")


def test_a_weight_goes_before_a_number_and_a_number_serves_without_one() -> None:
    options = [{"valueInteger": 10, "extension": [{"url": ORDINAL, "valueDecimal": 3}]}, {"valueInteger": 20}]
    questionnaire = make({"linkId": "x", "type": "choice", "answerOption": options}, {"linkId": "y", "type": "decimal"})
    rules = scoring_rules(total(items=["x", "y"]))
    assert only(rules, answer(questionnaire, {"x": {"valueInteger": 10}, "y": Decimal("0.250")})).value == Decimal(
        "3.25"
    )
    assert only(rules, answer(questionnaire, {"x": {"valueInteger": 20}, "y": Decimal("0.250")})).value == Decimal(
        "20.25"
    )


def test_weights_are_looked_up_by_question_so_reversed_questions_score_right() -> None:
    questionnaire = make(
        weighing("x", LEVELS),
        weighing("y", dict(zip(LEVELS, reversed(LEVELS.values()), strict=True))),
        weighing("z", LEVELS),
    )
    assert only(scoring_rules(total()), answer(questionnaire, {"x": "d", "y": "d", "z": "a"})).value == 3


def test_several_weighted_answers_to_one_question_are_added() -> None:
    questionnaire = make(weighing("x", LEVELS, repeats=True))
    rules = scoring_rules({"code": "m", "kind": "item", "label": LABEL, "item": "x"})
    assert only(rules, answer(questionnaire, {"x": ["b", "d"]})).value == 4


def test_an_answer_without_weight_or_number_is_no_zero() -> None:
    questionnaire = make(weighing("x", {"a": 1, "b": None}, repeats=True), {"linkId": "y", "type": "string"})
    rules = scoring_rules(total(items=["x", "y"], rule="skip", atLeast=1))
    assert reason(only(rules, answer(questionnaire, {"x": "b"}))) == "no_number"
    assert reason(only(rules, answer(questionnaire, {"x": ["a", "b"]}))) == "several_answers"
    assert reason(only(rules, answer(questionnaire, {"x": "a", "y": {"valueString": "7"}}))) == "no_number"


def test_an_instrument_takes_one_answer_for_each_input() -> None:
    questionnaire = make(*(weighing(str(n), {str(m): m for m in range(6)}, repeats=True) for n in range(1, 6)))
    rules = scoring_rules(
        {"code": "who5", "kind": "instrument", "instrument": "who-5", "inputs": {str(n): str(n) for n in range(1, 6)}}
    )
    given: dict[str, Any] = {str(n): "3" for n in range(1, 6)}
    assert only(rules, answer(questionnaire, given)).value == 60
    assert reason(only(rules, answer(questionnaire, given | {"2": ["1", "2"]}))) == "several_answers"
    assert reason(only(rules, answer(questionnaire, {key: given[key] for key in "1245"}))) == "missing_answer"


def test_an_instrument_with_a_weight_outside_its_bounds_gives_no_score() -> None:
    questionnaire = make(*(weighing(str(n), {str(m): m + 1 for m in range(6)}) for n in range(1, 6)))
    rules = scoring_rules(
        {"code": "who5", "kind": "instrument", "instrument": "who-5", "inputs": {str(n): str(n) for n in range(1, 6)}}
    )
    assert reason(only(rules, answer(questionnaire, {str(n): "5" for n in range(1, 6)}))) == "out_of_range"


def test_an_instrument_of_many_scales_gives_them_all_or_the_one_asked_for() -> None:
    questionnaire = make(*({"linkId": f"q{n}", "type": "integer"} for n in range(1, 31)))
    inputs = {str(n): f"q{n}" for n in range(1, 31)}
    definition = {"code": "c30", "kind": "instrument", "instrument": "qlq-c30", "inputs": inputs}
    given = {f"q{n}": 2 for n in range(1, 31)}
    found = score(scoring_rules(definition), answer(questionnaire, given))
    assert [one.code for one in found][:3] == ["c30.QL", "c30.PF", "c30.RF"]
    assert len(found) == 16
    assert found[1].value == Decimal("66.666666666667")
    pain = scoring_rules({**definition, "scale": "PA", "label": LABEL})
    assert [(one.code, one.label_da, one.value) for one in score(pain, answer(questionnaire, given))] == [
        ("c30", "Mål", Decimal("33.333333333333"))
    ]


def test_heartqol_tells_in_every_explanation_that_its_split_is_not_verified() -> None:
    questionnaire = make(*({"linkId": f"q{n}", "type": "integer"} for n in range(1, 15)))
    inputs = {str(n): f"q{n}" for n in range(1, 15)}
    rules = scoring_rules({"code": "h", "kind": "instrument", "instrument": "heartqol", "inputs": inputs})
    for found in score(rules, answer(questionnaire, {f"q{n}": 1 for n in range(1, 15)})):
        assert found.value == 1
        assert "ikke bekræftet" in found.explanation.sentence("da")
        assert "not verified" in found.explanation.sentence("en")


def test_a_question_that_was_not_to_be_asked_never_counts() -> None:
    condition = [{"question": "x", "operator": "=", "answerCoding": {"system": "urn:x", "code": "d"}}]
    questionnaire = make(weighing("x", LEVELS), weighing("y", LEVELS, enableWhen=condition), weighing("z", LEVELS))
    rules = scoring_rules(total(rule="skip", atLeast=1))
    assert only(rules, answer(questionnaire, {"x": "a", "y": "d", "z": "b"})).value == 1
    assert only(rules, answer(questionnaire, {"x": "d", "y": "d", "z": "b"})).value == 7


@given(
    hidden=st.sampled_from([*LEVELS, None]),
    shown=st.fixed_dictionaries({"y": st.sampled_from([*LEVELS]), "z": st.sampled_from([*LEVELS])}),
)
def test_disabled_answers_never_influence_a_score_or_its_explanation(hidden: str | None, shown: dict[str, str]) -> None:
    never = [{"question": "y", "operator": "=", "answerCoding": {"system": "urn:x", "code": "nothing"}}]
    questionnaire = make(weighing("x", LEVELS, enableWhen=never), weighing("y", LEVELS), weighing("z", LEVELS))
    rules = scoring_rules(total(rule="mean", atLeast=1))
    with_answer = answer(questionnaire, shown if hidden is None else {"x": hidden, **shown})
    assert score(rules, with_answer) == score(rules, answer(questionnaire, shown))


def test_a_calculated_item_scores_only_where_the_questionnaire_calculates_it() -> None:
    expression = {"language": "text/fhirpath", "expression": "1 + 1"}
    calculated = {
        "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression",
        "valueExpression": expression,
    }
    questionnaire = make(
        {"linkId": "sum", "type": "integer", "extension": [calculated]}, {"linkId": "typed", "type": "integer"}
    )
    answers = answer(questionnaire, {"sum": 2, "typed": 2})
    for item, expected in (("sum", Decimal(2)), ("typed", None), ("absent", None)):
        found = only(scoring_rules({"code": "m", "kind": "calculated", "label": LABEL, "item": item}), answers)
        assert found.value == expected
    found = only(scoring_rules({"code": "m", "kind": "calculated", "label": LABEL, "item": "typed"}), answers)
    assert reason(found) == "not_calculated"
    found = only(scoring_rules({"code": "m", "kind": "item", "label": LABEL, "item": "absent"}), answers)
    assert reason(found) == "unknown_item"


def test_a_value_outside_the_declared_range_is_refused() -> None:
    rules = scoring_rules(total(minimum=0, maximum=5))
    assert only(rules, answer(THREE, {"x": "b", "y": "b", "z": "d"})).value == 5
    assert reason(only(rules, answer(THREE, {"x": "b", "y": "c", "z": "d"}))) == "outside_declared_range"


def test_numbers_too_large_to_be_exact_are_refused() -> None:
    questionnaire = make({"linkId": "x", "type": "decimal"})
    rules = scoring_rules({"code": "m", "kind": "item", "label": LABEL, "item": "x"})
    assert only(rules, answer(questionnaire, {"x": Decimal("1E+30")})).value == Decimal("1E+30")
    assert reason(only(rules, answer(questionnaire, {"x": Decimal("1E+60")}))) == "not_exact"


NONSENSE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.sampled_from(["system", "code", "display", "value"]), parts, max_size=3)
    ),
    max_leaves=5,
)


@given(
    given=st.dictionaries(
        st.sampled_from("xyz"),
        st.lists(
            st.dictionaries(st.sampled_from(["valueCoding", "valueDecimal", "valueQuantity"]), NONSENSE, max_size=1),
            max_size=2,
        ),
    )
)
def test_answers_that_are_no_fhir_values_give_a_score_or_a_reason_and_no_crash(
    given: dict[str, list[dict[str, Any]]],
) -> None:
    questionnaire = make(weighing("x", LEVELS), {"linkId": "y", "type": "decimal"}, {"linkId": "z", "type": "quantity"})
    item = {"code": "i", "kind": "item", "label": LABEL, "item": "x"}
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "item": [{"linkId": link_id, "answer": answers} for link_id, answers in given.items()],
    }
    found_all = evaluate(questionnaire, response, rules=scoring_rules(total(rule="skip", atLeast=1), item)).scores
    assert [found.code for found in found_all] == ["m", "i"]
    for found in found_all:
        assert (found.value is None) == (found.explanation.reason is not None)
        assert found.explanation.sentence("da")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "off"}, "rule_set_off"),
        ({"status": "draft"}, "rule_set_not_approved"),
        ({"questionnaire": {"url": URL, "versions": ["1.0.1"]}}, "rule_set_for_another_version"),
        ({"questionnaire": {"url": f"{URL}2", "versions": ["1.0.0"]}}, "rule_set_for_another_version"),
    ],
)
def test_a_rule_set_that_may_not_speak_gives_no_scores(more: dict[str, Any], expected: str) -> None:
    answers = answer(THREE, {"x": "b", "y": "c", "z": "d"})
    found = only(scoring_rules(total(), **more), answers)
    assert reason(found) == expected
    assert found.explanation.inputs == ()


def test_a_draft_speaks_in_a_preview_and_says_so() -> None:
    answers = answer(THREE, {"x": "b", "y": "c", "z": "d"})
    (found,) = score(scoring_rules(total(), status="draft"), answers, preview=True)
    assert found.value == 6
    assert found.explanation.rule_set is not None
    assert (found.explanation.rule_set.status, found.explanation.rule_set.preview) == ("draft", True)


def test_an_explanation_names_inputs_formula_source_and_versions() -> None:
    rules = scoring_rules(
        {"code": "who5", "kind": "instrument", "instrument": "who-5", "inputs": {str(n): str(n) for n in range(1, 6)}}
    )
    questionnaire = make(*(weighing(str(n), {str(m): m for m in range(6)}) for n in range(1, 6)))
    given = {"1": "2", "2": "1", "3": "3", "4": "1", "5": "2"}
    explanation = only(rules, answer(questionnaire, given)).explanation
    assert [(used.subject, used.name, used.value) for used in explanation.inputs] == [
        (f"item:{n}", n, value) for n, value in given.items()
    ]
    assert explanation.questionnaire.hash == questionnaire.content_hash
    assert explanation.rule_set is not None
    assert explanation.rule_set.hash == rules.content_hash
    assert explanation.sentence("da").startswith("WHO-5 er 36 (summen af svarene ganget med 4; fra 0 til 100). Kilde: ")
    assert explanation.sentence("en").startswith(
        "WHO-5 is 36 (the sum of the answers times 4; from 0 to 100). Source: "
    )
    assert "10.1159/000376585" in explanation.source


@given(
    given=st.dictionaries(st.sampled_from("xyz"), st.sampled_from([*LEVELS])),
    kind=st.sampled_from(["sum", "mean"]),
    factor=st.decimals(min_value=-100, max_value=100, places=3),
)
def test_a_score_and_its_explanation_survive_json_and_hold_no_float(
    given: dict[str, str], kind: str, factor: Decimal
) -> None:
    found = only(scoring_rules(total(kind, "skip", atLeast=1, factor=factor)), answer(THREE, given))
    written = found.explanation.to_json()
    assert not holds_float(written)
    assert found.value is None or type(found.value) is Decimal
    assert Explanation.from_json(json.loads(json.dumps(written))) == found.explanation


@given(given=st.dictionaries(st.sampled_from("xyz"), st.sampled_from([*LEVELS]), min_size=1), seed=st.randoms())
def test_the_order_of_answers_and_of_a_sums_items_does_not_matter(given: dict[str, str], seed: Any) -> None:
    answers = list(given.items())
    items = ["x", "y", "z"]
    seed.shuffle(answers)
    seed.shuffle(items)
    definition = total("mean", "skip", atLeast=1, factor=Decimal("0.7"))
    shuffled = only(scoring_rules({**definition, "items": items}), answer(THREE, dict(answers)))
    assert shuffled.value == only(scoring_rules(definition), answer(THREE, given)).value


def test_the_products_eq_5d_5l_gives_the_danish_index_and_the_visual_analogue_scale() -> None:
    rules = read_rule_set((CONTENT / "eq-5d-5l" / "rules.json").read_bytes())
    dimensions = [one.name for one in instruments.get("eq-5d-5l").inputs]
    levels = {str(n): n for n in range(1, 6)}
    questionnaire = make(
        *(weighing(name, levels) for name in dimensions), {"linkId": "vas", "type": "integer"}, url=rules.url
    )
    answers = answer(questionnaire, dict(zip(dimensions, "13224", strict=True)) | {"vas": 70})
    assert {one.code: one.value for one in score(rules, answers)} == {"eq5d5l": Decimal("0.439"), "eqvas": Decimal(70)}
