"""The expression engine against verdicts that nobody in this project wrote."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from kpro_graph.questionnaires.expressions import (
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
    run_batch,
)

#: Official rows answered differently on purpose, with the sentence of the specification that decides.
KEPT_DIFFERENCES = {
    "testObservations/testPolymorphismB": "mode strict: a choice may be named with its type, as real forms do",
    "testDollar/testDollarOrderNotAllowed": "mode strict: JSON has an order, and an error is only a MAY",
    "testPlus/testPlusDate19": "'The decimal portion of the time-valued quantity is only applied for second or millisecond'",
    "LowBoundary/LowBoundaryDecimal15": "'The least possible value of the input to the specified precision'",
    "HighBoundary/HighBoundaryDecimal15": "'The greatest possible value of the input to the specified precision'",
}


@cache
def table(cases: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cases / "expectations" / name).read_text(encoding="utf-8"), parse_float=Decimal)
    return found


def resource(cases: Path, name: str | None) -> Any:
    return None if name is None else table(cases, f"fhirpath_inputs/{Path(name).stem}.json")


def is_output(expected: dict[str, Any], found: Any) -> bool:
    text: str = expected["value"]
    if isinstance(found, bool):
        return str(found).lower() == text
    if isinstance(found, int | Decimal):
        return Decimal(text) == found
    if isinstance(found, dict):
        return text == f"{found['value']} '{found['unit']}'"
    return text in (found, f"@{found}", f"@T{found}")


def passes(cases: Path, row: dict[str, Any]) -> bool:
    try:
        found = compile_expression(row["expr"]).evaluate(resource(cases, row["input"]))
    except (ExpressionInvalid, ExpressionFailed):
        return row["invalid"] is not None
    outputs = row["outputs"]
    return row["invalid"] is None and len(found) == len(outputs) and all(map(is_output, outputs, found))


def test_the_official_rows_hold_but_for_the_differences_we_keep(cases: Path) -> None:
    failing = {row["id"] for row in table(cases, "fhirpath_r4_official.json")["rows"] if not passes(cases, row)}
    assert failing == set(KEPT_DIFFERENCES)


def test_no_official_row_that_is_invalid_gives_a_silent_empty_result(cases: Path) -> None:
    silent = []
    for row in table(cases, "fhirpath_r4_official.json")["rows"]:
        if row["invalid"]:
            try:
                found = compile_expression(row["expr"]).evaluate(resource(cases, row["input"]))
            except (ExpressionInvalid, ExpressionFailed):
                continue
            if not found:
                silent.append(row["id"])
    assert not silent


def agrees(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float | Decimal) and isinstance(found, int | float | Decimal):
        # The other side reckons with binary fractions of 15 digits.
        size = max(Decimal(1), abs(Decimal(expected)))
        return abs(Decimal(expected) - Decimal(found)) <= Decimal("1e-9") * size
    return bool(expected == found)


def in_batch(**row: Any) -> dict[str, Any]:
    def plain(value: Any) -> float:
        return float(value)

    (line,) = run_batch([json.dumps(row, default=plain)])
    found: dict[str, Any] = json.loads(line, parse_float=Decimal)
    return found


def test_the_results_on_real_forms_equal_those_of_another_engine(cases: Path) -> None:
    different = []
    for block in table(cases, "fhirpath_sdc_differential.json")["rows"]:
        path = cases / "questionnaires" / block["questionnaire"].removeprefix("cases/public/")
        questionnaire = json.loads(path.read_text(encoding="utf-8"))
        for row in block["rows"]:
            place = {key: row[key] for key in ("linkId", "instance") if key in row}
            answer = in_batch(
                id=block["id"],
                expression=row["expression"],
                resource=block["response"],
                questionnaire=questionnaire,
                **place,
            )
            found = answer.get("result")
            if found is None or len(found) != len(row["result"]) or not all(map(agrees, row["result"], found)):
                different.append((block["id"], row["expression"], answer))
    assert not different


def calculated(questionnaire: dict[str, Any], link_id: str) -> str:
    waiting = [questionnaire]
    while waiting:
        for item in waiting.pop().get("item", []):
            waiting.append(item)
            if item["linkId"] == link_id:
                return next(
                    str(extension["valueExpression"]["expression"])
                    for extension in item["extension"]
                    if extension["url"].endswith("calculatedExpression")
                )
    raise AssertionError(link_id)


def test_the_calculated_values_of_published_tests_come_out(cases: Path) -> None:
    different = []
    for row in table(cases, "calculated_values.json")["rows"]:
        for expected in row["expected"]:
            answer = in_batch(
                id=row["id"],
                expression=calculated(row["questionnaire"], expected["linkId"]),
                resource=row["response"],
                questionnaire=row["questionnaire"],
                linkId=expected["linkId"],
            )
            values = expected.get("values", [expected.get("value")])
            # The form turns a code into its option and a number into a quantity; the expression gives the bare value.
            bare = [value.get("code") or value["value"] if isinstance(value, dict) else value for value in values]
            if expected.get("valueType") == "valueQuantity":
                bare = [value["value"] for value in values]
            if not all(map(agrees, bare, answer.get("result", [None]))):
                different.append((row["id"], answer))
    assert not different


def test_every_expression_of_the_public_forms_compiles(cases: Path) -> None:
    refused = []
    for path in sorted(cases.glob("questionnaires/*/*/questionnaire.json")):
        waiting: list[Any] = [json.loads(path.read_text(encoding="utf-8"))]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                if part.get("language") == "text/fhirpath" and "expression" in part:
                    try:
                        compile_expression(part["expression"])
                    except ExpressionInvalid as invalid:
                        refused.append((path.parent.name, str(invalid)))
                waiting.extend(part.values())
            elif isinstance(part, list):
                waiting.extend(part)
    assert not refused
