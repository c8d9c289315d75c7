"""How long questionnaires take: reading them, and checking, calculating, scoring and interpreting answers to them.

Run ``python benchmarks/questionnaires.py``; medians in milliseconds. A folder of public questionnaires named by
``KPRO_CASES`` is measured too. Ends with an error where a limit is passed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from kpro_graph.questionnaires import (
    QuestionnaireInvalid,
    assemble,
    begin,
    evaluate,
    read_questionnaire,
    write_json,
)

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/ehealth-"


def main() -> int:
    """Measure, print, and return 1 where a limit is passed."""
    failed = False
    for answers, totals, limit in (
        (20, 0, 1.0),
        (20, 2, 5.0),
        (100, 0, 5.0),
        (100, 10, 5.0),
        (500, 0, 25.0),
        (500, 20, 25.0),
    ):
        source = write_json(make(answers, totals))
        questionnaire = read_questionnaire(source)
        given = assemble(questionnaire, {f"g{i // 10}/q{i}": [choose(2)] for i in range(answers)})
        evaluation = evaluate(questionnaire, given)
        if not evaluation.valid or (totals and evaluation.answers.number("t0") != Decimal(20)):
            raise SystemExit("the evaluation is wrong")
        read = median(partial(read_questionnaire, source), 20)
        taken = median(partial(evaluate, questionnaire, given), 200)
        failed = failed or taken > limit
        print(
            f"{answers:4} answers, {totals:2} totals: read {read:7.2f} ms, evaluate {taken:6.2f} ms (limit {limit:g})"
        )
    measure_cases()
    return 1 if failed else 0


def measure_cases() -> None:
    """Measure the largest public questionnaires, where they are at hand."""
    folder = Path(os.environ.get("KPRO_CASES", Path(__file__).parent.parent.parent / "shared" / "cases"))
    found = sorted((folder / "questionnaires").glob("*/*/questionnaire.json"), key=lambda path: -path.stat().st_size)
    for path in found[:3]:
        source = path.read_bytes()
        try:
            questionnaire = read_questionnaire(source)
        except QuestionnaireInvalid:
            continue
        read = median(partial(read_questionnaire, source), 5)
        started = time.perf_counter()
        response = begin(questionnaire)
        first = (time.perf_counter() - started) * 1000
        taken = median(partial(evaluate, questionnaire, response), 10)
        print(
            f"{len(source) // 1000} kB, {len(questionnaire.by_link_id)} items: read {read:.0f} ms, "
            f"begin with compiling {first:.0f} ms, evaluate {taken:.1f} ms"
        )


def make(answers: int, totals: int) -> dict[str, Any]:
    """Write a questionnaire of choices in groups of ten, every fifth with a condition, and totals over groups."""
    groups: list[dict[str, Any]] = []
    for start in range(0, answers, 10):
        items = [question(number) for number in range(start, min(start + 10, answers))]
        groups.append({"linkId": f"g{start // 10}", "type": "group", "item": items})
    for number in range(totals):
        text = f"%resource.item.where(linkId='g{number % len(groups)}').item.answer.value.weight().sum()"
        value = {"language": "text/fhirpath", "expression": text}
        extension = {"url": f"{SDC}calculatedExpression", "valueExpression": value}
        groups.append({"linkId": f"t{number}", "type": "decimal", "readOnly": True, "extension": [extension]})
    return {"resourceType": "Questionnaire", "url": "urn:benchmark", "status": "active", "item": groups}


def question(number: int) -> dict[str, Any]:
    """Write one choice of five with weights and answer significances."""
    item: dict[str, Any] = {
        "linkId": f"q{number}",
        "type": "choice",
        "text": f"Question {number}",
        "required": True,
        "answerOption": [
            {**choose(code), "extension": [{"url": f"{CORE}ordinalValue", "valueDecimal": code}]} for code in range(5)
        ],
        "extension": [significance("green", 0), significance("yellow", 2), significance("red", 4)],
    }
    if number % 5 == 4:
        asked = {"question": f"q{number - 1}", "operator": "=", "answerCoding": choose(2)["valueCoding"]}
        item["enableWhen"] = [asked]
    return item


def choose(code: int) -> dict[str, Any]:
    """Write the answer with this code."""
    return {"valueCoding": {"system": "urn:benchmark:codes", "code": str(code)}}


def significance(colour: str, code: int) -> dict[str, Any]:
    """Write the colour of an answer."""
    condition = {
        "url": f"{FUT}answer-Condition",
        "extension": [{"url": "operator", "valueCode": "="}, {"url": "value", **choose(code)}],
    }
    shade = {"url": "significance", "valueCoding": {"code": colour}}
    return {"url": f"{FUT}questionnaire-answerSignificance", "extension": [condition, shade]}


def median(run: Callable[[], object], times: int) -> float:
    """Return the median of the times in milliseconds, after one run that does not count."""
    run()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


if __name__ == "__main__":
    sys.exit(main())
