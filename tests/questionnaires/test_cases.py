"""The verdicts of other implementations on real questionnaires: equal, but for the differences that are kept and said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.questionnaires import (
    Evaluation,
    Problem,
    QuestionnaireInvalid,
    begin,
    evaluate,
    read_json,
    read_questionnaire,
    write_questionnaire,
    write_response,
)

#: Row -> what differs here; each is explained in docs/reference/questionnaire-differences.md.
KEPT = {
    "hl7-choice-async-qr": "the code is in the value set: only its text is wrong",
    "hl7-nested-questionnaire-nested-valueset": "the fault is an extension of a profile, not an answer",
}
OUT_OF_SCOPE = {
    "hl7-q-bundle": "a bundle without a response",
    "hl7-qr-bad-ref2": "no questionnaire is given",
    "hl7-qr-bad-ref3": "no questionnaire is given",
}
#: What others call it -> what it is called here.
NAMES = {
    "target_constraint": "constraint",
    "questionnaire_effective_period": "outside_effective_period",
}
#: Kinds that are not about answers: notes, rendering, invariants of a questionnaire and of profiles.
ELSEWHERE = {"other", "info", "unresolved", "coding_without_system", "invariant"}


@cache
def table(cases: Path, name: str) -> list[dict[str, Any]]:
    document = json.loads((cases / "expectations" / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)
    rows: list[dict[str, Any]] = document["rows"]
    return rows


def judged(row: dict[str, Any]) -> tuple[bool, tuple[Problem, ...], Evaluation | None]:
    try:
        questionnaire = read_questionnaire(row["questionnaire"], value_sets=row.get("supporting_resources") or ())
    except QuestionnaireInvalid as refused:
        return False, refused.problems, None
    evaluation = evaluate(questionnaire, row["response"])
    return evaluation.valid, evaluation.problems, evaluation


def differences(row: dict[str, Any]) -> Iterator[str]:
    valid, problems, _ = judged(row)
    if valid is not row["valid"]:
        yield f"valid is {valid}"
    found = {(each.code, each.link_id) for each in problems}
    for expected in row["expected_errors"]:
        kind = NAMES.get(expected["kind"], expected["kind"])
        link_id = expected.get("linkId")
        at = [each for each in problems if each.code == kind and link_id in (None, each.link_id)]
        if not at:
            yield f"no {kind} at {link_id} among {sorted(found)}"
        if "severity" in expected and expected["severity"] not in {each.severity.value for each in at}:
            yield f"the severity of {kind} is not {expected['severity']}"
        if "expression" in expected and expected["expression"] not in {each.location for each in at}:
            yield f"{kind} is not at {expected['expression']}"
        if "answerIndex" in expected and not any(f".answer[{expected['answerIndex']}]" in each.location for each in at):
            yield f"{kind} is not at answer {expected['answerIndex']}"
    clean = set(row.get("must_not_flag", ()))
    if any(each.link_id in clean for each in problems):
        yield "something is flagged that must not be"


@pytest.mark.parametrize(
    "name", ["qr_validation_android", "constraints_android", "qr_validation_hapi", "qr_validation_forms"]
)
def test_verdicts_and_kinds_equal_those_of_forms_in_the_field(cases: Path, name: str) -> None:
    wrong = {row["id"]: found for row in table(cases, name) if (found := list(differences(row)))}
    assert wrong == {}


def test_verdicts_and_kinds_equal_those_of_the_two_validators(cases: Path) -> None:
    wrong = {}
    for row in table(cases, "qr_validation_hl7"):
        if row["id"] in OUT_OF_SCOPE:
            continue
        valid, problems, _ = judged(row)
        codes = {each.code for each in problems}
        kinds = {NAMES.get(each["kind"], each["kind"]) for each in row["java"]} - ELSEWHERE
        if row["use"].startswith("oracles disagree"):
            kinds &= codes
        elif valid is not row["java_valid"]:
            wrong[row["id"]] = f"valid is {valid}"
        if missing := kinds - codes:
            wrong[row["id"]] = f"{wrong.get(row['id'], '')} without {sorted(missing)}"
        if row["use"] == "strict" and not row["java_valid"]:
            extra = {each.code for each in problems if each.severity.value == "error"} - kinds - {"required"}
            if extra:
                wrong[row["id"]] = f"{wrong.get(row['id'], '')} with {sorted(extra)}"
    assert wrong.keys() == KEPT.keys(), wrong


def test_an_author_s_rule_of_the_two_validators_is_told_as_a_warning(cases: Path) -> None:
    row = next(row for row in table(cases, "qr_validation_hl7") if row["id"] == "hl7-invariant-questionnaire-qr")
    valid, problems, _ = judged(row)
    assert valid
    assert [(each.code, each.key, each.severity.value) for each in problems] == [("constraint", "k1", "warning")]


def test_what_is_asked_equals_the_uncontested_verdicts(cases: Path) -> None:
    wrong = []
    for row in table(cases, "enable_when"):
        evaluation = judged(row)[2]
        assert evaluation is not None
        if not row.get("contested") and (row["target"] in evaluation.enabled) is not row["enabled"]:
            wrong.append(row["id"])
    assert wrong == []


def test_calculated_values_equal_those_of_the_forms_that_assert_them(cases: Path) -> None:
    wrong = {}
    for row in table(cases, "calculated_values"):
        evaluation = judged(row)[2]
        assert evaluation is not None
        for expected in row["expected"]:
            found = [value.value for value in evaluation.answers.values(expected["linkId"])]
            wanted = expected.get("values", [expected.get("value")])
            if len(found) != len(wanted) or not all(map(_fits, found, wanted)):
                wrong[row["id"]] = found
    assert wrong == {}


def _fits(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(found.get(key) == part for key, part in wanted.items())
    return bool(found == wanted)


def _public(cases: Path) -> list[Path]:
    return sorted((cases / "questionnaires").glob("*/*/questionnaire.json"))


def test_every_public_questionnaire_is_read_and_written_again_or_refused_for_its_own_fault(cases: Path) -> None:
    refused = {}
    for path in _public(cases):
        source = path.read_bytes()
        try:
            questionnaire = read_questionnaire(source)
        except QuestionnaireInvalid as invalid:
            refused[path.parent.name] = {each.code for each in invalid.problems}
            continue
        written = write_questionnaire(questionnaire)
        assert read_json(written) == read_json(source)
        assert read_questionnaire(written).content_hash == questionnaire.content_hash
    assert len(_public(cases)) == 84
    assert refused == {"pa-aslp-tests-questionnaire-aslpa1-positive": {"link_id_duplicate"}}


def test_every_public_questionnaire_begins_and_evaluates_without_a_failing_expression(cases: Path) -> None:
    failing = {}
    for path in _public(cases):
        try:
            questionnaire = read_questionnaire(path.read_bytes())
        except QuestionnaireInvalid:
            continue
        response = begin(questionnaire)
        assert read_json(write_response(questionnaire, response, texts=False)) == response
        evaluation = evaluate(questionnaire, response)
        codes = {each.code for each in evaluation.problems}
        assert "not_settled" not in codes, path
        if "expression_error" in codes:
            failing[path.parent.name] = sorted(
                each.en for each in evaluation.problems if each.code == "expression_error"
            )
    assert len(failing) <= 6, failing


def test_published_responses_are_judged_as_they_are_labelled(cases: Path) -> None:
    wrong = []
    for path in sorted((cases / "questionnaires").glob("*/*/response-*.json")):
        meta = json.loads((path.parent / "meta.json").read_text(encoding="utf-8"))
        label = next((each["label"] for each in meta.get("responses", ()) if each.get("file") == path.name), "")
        if label not in ("valid", "invalid"):
            continue
        try:
            questionnaire = read_questionnaire((path.parent / "questionnaire.json").read_bytes())
        except QuestionnaireInvalid:
            continue
        response = read_json(path.read_bytes())
        assert isinstance(response, dict)
        # Three of them carry a status that is no code of R4; the label is about their answers.
        status = "in-progress" if response.get("status") == "draft" else response.get("status")
        if evaluate(questionnaire, {**response, "status": status}).valid is not (label == "valid"):
            wrong.append(str(path))
    assert wrong == []
