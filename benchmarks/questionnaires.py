"""How long questionnaires take: reading them, and checking, calculating, scoring and interpreting answers to them.

Run ``python benchmarks/questionnaires.py``; medians in milliseconds. A folder of public questionnaires named by
``KPRO_CASES`` is measured too. Ends with an error where a limit is passed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kpro_graph.questionnaires import (
    Colour,
    Questionnaire,
    QuestionnaireInvalid,
    assemble,
    begin,
    compile_expression,
    evaluate,
    read_questionnaire,
    read_rule_set,
    write_json,
)
from kpro_graph.questionnaires.proof import prove

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/ehealth-"


class Figure(NamedTuple):
    """One thing that is measured: the median in milliseconds, and the limit it must not pass, where it has one."""

    what: str
    taken: float
    limit: float | None

    @property
    def passed(self) -> bool:
        """Whether the limit is passed."""
        return self.limit is not None and self.taken > self.limit


def main() -> int:
    """Measure, print, and return 1 where a limit is passed."""
    failed = False
    for figure in figures():
        limit = "" if figure.limit is None else f"  (limit {figure.limit:g} ms)"
        print(f"{figure.what:72} {figure.taken:9.3f} ms{limit}")
        failed = failed or figure.passed
    return 1 if failed else 0


def figures() -> Iterator[Figure]:
    """Measure one thing after another."""
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
        rules = read_rule_set(make_rules(answers, totals))
        given = answer(questionnaire, answers)
        evaluation = evaluate(questionnaire, given, rules=rules)
        if not evaluation.valid or (totals and evaluation.answers.number("t0") != Decimal(20)):
            raise SystemExit("the evaluation is wrong")
        if [score.value for score in evaluation.scores] != [2 * answers, *[20] * totals]:
            raise SystemExit("a score is wrong")
        if evaluation.interpretations[-1].colour is not Colour.YELLOW:
            raise SystemExit("the colour is wrong")
        of = f"{answers} answers" + (f", {totals} totals in FHIRPath" if totals else "")
        yield Figure(
            f"{of}: checked, scored and interpreted",
            median(partial(evaluate, questionnaire, given, rules=rules), 200),
            limit,
        )
        yield Figure(f"{of}: the questionnaire read", median(partial(read_questionnaire, source), 20), None)
    yield from measure_cases()


def measure_cases() -> Iterator[Figure]:
    """Measure the largest public questionnaires, where they are at hand."""
    folder = Path(os.environ.get("KPRO_CASES", Path(__file__).parent.parent.parent / "shared" / "cases"))
    found = sorted((folder / "questionnaires").glob("*/*/questionnaire.json"), key=lambda path: -path.stat().st_size)
    for number, path in enumerate(found[:3]):
        source = path.read_bytes()
        try:
            questionnaire = read_questionnaire(source)
        except QuestionnaireInvalid:
            continue
        of = f"public questionnaire, {len(source) // 1000} kB, {len(questionnaire.by_link_id)} items"
        yield Figure(f"{of}: read", median(partial(read_questionnaire, source), 5), None)
        yield Figure(f"{of}: begun, expressions compiled", once(partial(begin, questionnaire)), None)
        yield Figure(
            f"{of}: begun response checked", median(partial(evaluate, questionnaire, begin(questionnaire)), 10), None
        )
        yield Figure(f"{of}: read and proved", once(partial(take_in, source)), 5000.0 if number == 0 else None)


def take_in(source: bytes) -> object:
    """Read a questionnaire and prove it, as when it is taken in for the first time."""
    compile_expression.cache_clear()
    return prove(read_questionnaire(source))


def make_rules(answers: int, totals: int) -> dict[str, Any]:
    """Write a rule set: a sum over every answer with colours, and each total as a score with colours."""
    word = {"da": "Ord", "en": "Word"}
    scores: list[dict[str, Any]] = [
        {
            "code": "all",
            "kind": "sum",
            "label": {"da": "Alt", "en": "All"},
            "items": [f"q{number}" for number in range(answers)],
            "missing": {"rule": "skip", "atLeast": 1},
        }
    ]
    scores += [
        {"code": f"t{number}", "kind": "calculated", "label": {"da": "Sum", "en": "Sum"}, "item": f"t{number}"}
        for number in range(totals)
    ]
    intervals = [
        {"below": 10, "colour": "green", "word": word, "source": "A benchmark"},
        {"atLeast": 10, "colour": "yellow", "word": word, "source": "A benchmark"},
    ]
    return {
        "format": "kpro-graph/rule-set/1",
        "id": "benchmark",
        "version": "1",
        "questionnaire": {"url": "urn:benchmark", "versions": ["1"]},
        "title": word,
        "status": "approved",
        "approval": {"by": "A benchmark", "at": "2026-01-01T12:00:00+01:00"},
        "intendedPurpose": word,
        "medicalDeviceClass": "not_a_device",
        "meaning": "dialogue",
        "scores": scores,
        "rules": [{"id": score["code"], "score": score["code"], "intervals": intervals} for score in scores],
        "topics": [],
    }


def answer(questionnaire: Questionnaire, answers: int) -> dict[str, Any]:
    """Answer every question with the option in the middle."""
    return assemble(questionnaire, {f"g{number // 10}/q{number}": [choose(2)] for number in range(answers)})


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
    return {"resourceType": "Questionnaire", "url": "urn:benchmark", "version": "1", "status": "active", "item": groups}


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


def once(run: Callable[[], object]) -> float:
    """Return the time of one run in milliseconds: what is remembered afterwards makes a second one another thing."""
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000


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
