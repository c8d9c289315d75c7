"""The questionnaire engine at a shell: `kpro response evaluate`, `kpro fhirpath` and `kpro questionnaire diff`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kpro_graph.questionnaires import (
    Severity,
    assemble,
    evaluate,
    read_json,
    read_questionnaire,
    read_rule_set,
    write_json,
)
from tests.conftest import ROOT
from tests.questionnaires.seeds import SEEDS, changed, document, find, rules_document

CODES = ("never", "some", "daily")
QUESTIONNAIRE = document()
RULES = rules_document()


def run(*arguments: str | Path, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "kpro_graph", *map(str, arguments)],
        input=given, capture_output=True, check=False, cwd=ROOT, timeout=60,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment},
    )  # fmt: skip


def answers(**more: Any) -> dict[str, Any]:
    """Make a response to the questionnaire: a burden of 3 and pain 2."""
    given: dict[str, Any] = {
        "weeks/mood": [coded("daily")], "weeks/sleep": [coded("some")], "pain": [{"valueInteger": 2}],
        "consent": [{"valueString": "Version 1"}], "weight": [{"valueDecimal": Decimal("71.50")}], **more,
    }  # fmt: skip
    return assemble(read_questionnaire(QUESTIONNAIRE), given)


def coded(code: str) -> dict[str, Any]:
    return {"valueCoding": {"system": "urn:test:codes", "code": code}}


def line(**parts: Any) -> bytes:
    return write_json(parts) + b"\n"


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """Return the lines that were answered."""
    found = [read_json(each) for each in done.stdout.splitlines()]
    assert all(isinstance(each, dict) for each in found)
    return found  # type: ignore[return-value]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Write the questionnaire, its rules and a response to files."""
    written = {"questionnaire": QUESTIONNAIRE, "rules": RULES, "response": answers()}
    for name, content in written.items():
        (tmp_path / f"{name}.json").write_bytes(write_json(content))
    return {name: tmp_path / f"{name}.json" for name in written}


# --- One response


def test_a_response_is_told_of_in_words_scores_and_colours(files: dict[str, Path]) -> None:
    done = run(
        "response", "evaluate", files["response"], "--questionnaire", files["questionnaire"], "--rules", files["rules"]
    )
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "The response is valid." in said
    assert "burden" in said
    assert "Byrde er 3" in said
    assert "Burden is 3" in said
    assert said.index("Byrde er 3") < said.index("Burden is 3")


def test_a_response_that_is_not_valid_ends_with_1_and_every_problem_in_its_place(files: dict[str, Path]) -> None:
    files["response"].write_bytes(write_json(answers(pain=[{"valueInteger": 70}], **{"weeks/mood": []})))
    done = run("response", "evaluate", files["response"], "--questionnaire", files["questionnaire"])
    assert done.returncode == 1
    assert b"2 errors" in done.stdout
    assert "Svaret er for højt; højst 10." in done.stdout.decode()
    assert b"weeks/mood" in done.stdout
    assert b"Traceback" not in done.stderr
    draft = run(
        "response", "evaluate", files["response"], "--questionnaire", files["questionnaire"], "--draft", "--json"
    )
    (told,) = rows(draft)
    assert [(each["code"], each["severity"]) for each in told["problems"] if each["severity"] != "information"] == [
        ("required", "warning"), ("max_value", "error"),
    ]  # fmt: skip


def test_json_for_scripts_has_messages_and_explanations_and_keeps_the_digits(files: dict[str, Path]) -> None:
    done = run(
        "response",
        "evaluate",
        files["response"],
        "--questionnaire",
        files["questionnaire"],
        "--rules",
        files["rules"],
        "--json",
    )
    (told,) = rows(done)
    assert told["valid"] is True
    assert told["scores"][0]["explanation"]["about"] == "score"
    assert b"71.50" in done.stdout
    assert told["scores"][0]["value"] == 3
    red = next(each for each in told["colours"] if each["subject"] == "score:burden")
    assert (red["colour"], red["rule"], red["explanation"]["colour"]) == ("red", "burden-high", "red")


def test_what_cannot_be_read_is_named_with_its_reason(files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    done = run("response", "evaluate", broken, "--questionnaire", files["questionnaire"])
    assert (done.returncode, b"not JSON" in done.stderr) == (1, True)
    twice = tmp_path / "twice.json"
    twice.write_bytes(write_json({**QUESTIONNAIRE, "item": [QUESTIONNAIRE["item"][0]] * 2}))
    done = run("response", "evaluate", files["response"], "--questionnaire", twice)
    assert (done.returncode, b"Questionnaire.item[1]" in done.stderr) == (1, True)
    done = run("response", "evaluate", files["response"], "--questionnaire", files["questionnaire"], "--rules", twice)
    assert (done.returncode, b"medicalDeviceClass" in done.stderr) == (1, True)
    assert run("response", "evaluate", files["response"]).returncode == 2
    assert run("response", "evaluate", files["response"], "--batch").returncode == 2


# --- Many responses


def test_each_line_is_answered_by_a_line_with_its_id_in_order() -> None:
    given: list[Any] = [
        line(id="a", questionnaire=QUESTIONNAIRE, response=answers(), rules=RULES),
        line(id=2, questionnaire=QUESTIONNAIRE, response={**answers(pain=[{"valueInteger": 70}])}),
        line(id=None, questionnaire=QUESTIONNAIRE, response=answers(**{"weeks/mood": []}), draft=True),
        line(questionnaire=QUESTIONNAIRE, response=answers()),
    ]
    done = run("response", "evaluate", "--batch", given=b"\n".join(given))
    told = rows(done)
    assert done.returncode == 0
    assert [each["id"] for each in told] == ["a", 2, None, None]
    assert [each["valid"] for each in told] == [True, False, True, True]
    assert list(told[0]) == ["id", "valid", "problems", "enabled", "response", "scores", "colours"]
    high = next(each for each in told[1]["problems"] if each["code"] == "max_value")
    assert high == {
        "code": "max_value", "severity": "error", "linkId": "pain", "path": "pain",
        "location": "QuestionnaireResponse.item[1].answer[0]",
    }  # fmt: skip
    assert [(each["code"], each["value"]) for each in told[0]["scores"]] == [("burden", 3), ("pain", 2)]
    assert {each["subject"]: each["colour"] for each in told[0]["colours"]}["response"] == "red"
    assert told[1]["scores"] == []
    assert "more" not in told[0]["enabled"]
    assert "pain" in told[0]["enabled"]


def test_a_batch_says_what_the_engine_says() -> None:
    questionnaire, rules = read_questionnaire(QUESTIONNAIRE), read_rule_set(RULES)
    responses = [
        answers(**{"weeks/mood": [coded(code)], "pain": [{"valueInteger": pain}]})
        for code in CODES
        for pain in (0, 7, 11)
    ]
    given = b"".join(
        line(id=n, questionnaire=QUESTIONNAIRE, response=each, rules=RULES) for n, each in enumerate(responses)
    )
    for told, response in zip(rows(run("response", "evaluate", "--batch", given=given)), responses, strict=True):
        made = evaluate(questionnaire, response, rules=rules)
        assert told["valid"] is made.valid
        assert [each["code"] for each in told["problems"]] == [each.code for each in made.problems]
        assert told["response"] == made.response
        assert [each["value"] for each in told["scores"]] == [each.value for each in made.scores]
        assert [each["colour"] for each in told["colours"]] == [each.colour.value for each in made.interpretations]


def test_decimals_keep_their_digits_through_a_batch() -> None:
    written = line(id=1, questionnaire=QUESTIONNAIRE, response=answers()).replace(b"71.50", b"71.500")
    (told,) = rows(run("response", "evaluate", "--batch", given=written))
    weight = next(each for each in told["response"]["item"] if each["linkId"] == "weight")
    assert str(weight["answer"][0]["valueDecimal"]) == "71.500"


STRANGE = [
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe{}",
    b'{"id": 1}',
    b'{"id": 2, "questionnaire": 3, "response": {}}',
    b'{"id": 3, "questionnaire": {"resourceType": "Questionnaire", "item": [{"linkId": "a"}]}, "response": {}}',
    b'{"id": 4, "questionnaire": ' + write_json(QUESTIONNAIRE) + b', "response": {}, "rules": {}}',
    b'{"id": 5, "questionnaire": ' + write_json(QUESTIONNAIRE) + b', "response": {}, "draft": "yes"}',
    b'{"id": 6, "questionnaire": ' + b"[" * 10_000 + b"]" * 10_000 + b', "response": {}}',
    b'{"id": "\\ud800", "questionnaire": {}, "response": {}}',
]


def test_a_bad_line_is_answered_by_its_error_and_ends_nothing() -> None:
    good = line(id="good", questionnaire=QUESTIONNAIRE, response=answers())
    given = b"".join(each + b"\n" + good for each in STRANGE)
    done = run("response", "evaluate", "--batch", given=given)
    told = rows(done)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [each["id"] for each in told[1::2]] == ["good"] * len(STRANGE)
    assert all(each["valid"] for each in told[1::2])
    assert [each["id"] for each in told[::2]] == [None, None, None, None, 1, 2, 3, 4, 5, 6, None]
    assert all(isinstance(each["error"], str) for each in told[::2])
    refused = told[12]
    assert refused["problems"][0]["location"] == "Questionnaire.item[0]"
    assert (refused["valid"], refused["enabled"], refused["response"]) == (False, [], None)


def test_value_sets_come_with_a_line_beside_the_questionnaire_that_names_them() -> None:
    chosen = {"linkId": "q", "type": "choice", "answerValueSet": "urn:test:set"}
    questionnaire = {"resourceType": "Questionnaire", "status": "active", "item": [chosen]}
    coding = {"system": "urn:s", "code": "z"}
    given = {
        "resourceType": "QuestionnaireResponse", "status": "completed",
        "item": [{"linkId": "q", "answer": [{"valueCoding": coding}]}],
    }  # fmt: skip
    codes = {"include": [{"system": "urn:s", "concept": [{"code": "a"}]}]}
    value_set = {"resourceType": "ValueSet", "url": "urn:test:set", "status": "active", "compose": codes}
    lines = line(id=1, questionnaire=questionnaire, response=given) + line(
        id=2, questionnaire=questionnaire, response=given, supporting_resources=[value_set]
    )
    told = rows(run("response", "evaluate", "--batch", given=lines))
    assert [[each["code"] for each in row["problems"]] for row in told] == [
        ["value_set_unresolved"],
        ["not_in_value_set"],
    ]


def test_a_response_that_says_the_same_thing_twice_is_refused() -> None:
    head = b'{"id": 1, "questionnaire": ' + write_json(QUESTIONNAIRE) + b', "response": '
    twice = b'{"resourceType": "QuestionnaireResponse", "status": "completed", "status": "in-progress"}'
    (told,) = rows(run("response", "evaluate", "--batch", given=head + twice + b"}\n"))
    assert (told["valid"], [each["code"] for each in told["problems"]]) == (False, ["repeated_key"])


def test_a_refused_questionnaire_is_told_to_scripts_with_its_reasons(tmp_path: Path) -> None:
    file = tmp_path / "form.json"
    file.write_bytes(write_json({"resourceType": "Questionnaire", "status": "active", "item": [{"linkId": "a"}]}))
    done = run("questionnaire", "check", str(file), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["mayActivate"]) == (1, False)
    assert [(each["code"], each["linkIds"], each["location"]) for each in told["findings"]] == [
        ("questionnaire_item_without_type", ["a"], "Questionnaire.item[0]")
    ]


@pytest.mark.parametrize(
    "strange", [3, None, [], "x", {"item": 3}, {"item": [{"linkId": 1}]}, {"resourceType": "Patient"}]
)
def test_a_response_of_any_form_is_judged_and_not_an_error(strange: Any) -> None:
    (told,) = rows(
        run("response", "evaluate", "--batch", given=line(id=1, questionnaire=QUESTIONNAIRE, response=strange))
    )
    assert told["valid"] is False
    assert told["problems"]


def test_a_hostile_response_is_refused_with_its_reason_and_the_next_is_answered() -> None:
    deepest, deep = (b'{"item": [' * depth + b"]}" * depth for depth in (5_000, 150))
    long = b'{"item": "' + b"x" * 9_000_000 + b'"}'
    wide = b'{"authored": 1e999999}'
    head = b'{"id": 1, "questionnaire": ' + write_json(QUESTIONNAIRE) + b', "response": '
    good = line(id="good", questionnaire=QUESTIONNAIRE, response=answers())
    endless = b'{"id": 1, "questionnaire": "' + b"x" * 21_000_000 + b'"}\n'
    given = b"".join(head + each + b"}\n" for each in (deepest, deep, long, wide)) + endless + good
    told = rows(run("response", "evaluate", "--batch", given=given))
    assert (told[0]["id"], "too deeply" in told[0]["error"]) == (1, True)
    assert [each["problems"][0]["code"] for each in told[1:4]] == ["too_deep", "too_large", "number_out_of_range"]
    assert (told[4]["id"], "longer than" in told[4]["error"]) == (None, True)
    assert told[5]["valid"] is True


def test_a_line_is_answered_before_the_next_one_is_given() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "kpro_graph", "response", "evaluate", "--batch"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    ) as running:  # fmt: skip
        assert running.stdin is not None
        assert running.stdout is not None
        for number in range(3):
            running.stdin.write(line(id=number, questionnaire=QUESTIONNAIRE, response=answers()))
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["id"] == number
        running.stdin.close()
        assert running.wait(30) == 0


def test_whoever_reads_the_answers_may_stop_doing_so() -> None:
    good = line(id="good", questionnaire=QUESTIONNAIRE, response=answers())
    with subprocess.Popen(
        [sys.executable, "-m", "kpro_graph", "response", "evaluate", "--batch"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    ) as running:  # fmt: skip
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdin.write(good)
        running.stdin.flush()
        running.stdout.readline()
        running.stdout.close()
        running.stdin.write(good * 3)
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait(30) == 0


MEASURED = """
import resource, subprocess, sys
with open(sys.argv[1], "rb") as given:
    done = subprocess.run([sys.executable, "-m", "kpro_graph", "response", "evaluate", "--batch"], stdin=given, stdout=subprocess.PIPE)
print(done.stdout.count(b'"valid":true'), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_long_stream_over_one_questionnaire_reads_it_once_and_takes_constant_memory(tmp_path: Path) -> None:
    def measure(count: int) -> tuple[int, int, float]:
        given = tmp_path / "lines"
        given.write_bytes(line(id="good", questionnaire=large, response=answers()) * count)
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", MEASURED, str(given)], capture_output=True, check=True, cwd=ROOT)
        valid, memory = map(int, done.stdout.split())
        return valid, memory, time.perf_counter() - started

    # Large enough that reading it for every line would show: some 20 ms each.
    large = {**QUESTIONNAIRE, "item": [*QUESTIONNAIRE["item"], *(
        {"linkId": f"x{n}", "type": "string", "text": "Et spørgsmål mere " * 5} for n in range(500))]}  # fmt: skip
    few, many = measure(5), measure(400)
    assert (few[0], many[0]) == (5, 400)
    assert many[1] < few[1] * 1.25
    assert many[2] - few[2] < 395 * 0.02


# --- Expressions


def test_expressions_are_answered_line_by_line() -> None:
    given: list[dict[str, Any]] = [
        {"id": 1, "expression": "item.answer.value + 1.10", "resource": {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "a", "answer": [{"valueDecimal": Decimal("2.40")}]}]}},
        {"id": "b", "expression": "item..x"},
        {"id": 3, "expression": "%context.answer.value", "linkId": "a", "resource": {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "a", "answer": [{"valueInteger": 5}]}]}},
    ]  # fmt: skip
    done = run(
        "fhirpath",
        "--batch",
        given=b"".join(line(**each) for each in given) + b"nonsense\n\n\xff\n" + line(id=4, expression="1"),
    )
    told = rows(done)
    assert done.returncode == 0
    assert [each["id"] for each in told] == [1, "b", 3, None, None, 4]
    assert str(told[0]["result"][0]) == "3.50"
    assert "error" in told[1]
    assert told[2]["result"] == [5]
    assert all("error" in each for each in told[3:5])
    assert told[5]["result"] == [1]


def test_one_expression_is_evaluated_on_a_file(files: dict[str, Path]) -> None:
    total = "%resource.item.item.answer.value.weight().sum()"
    done = run("fhirpath", total, files["response"], "--questionnaire", files["questionnaire"])
    assert read_json(done.stdout) == [3]
    at = run(
        "fhirpath",
        "%context.answer.value.code",
        files["response"],
        "--questionnaire",
        files["questionnaire"],
        "--link-id",
        "sleep",
    )
    assert read_json(at.stdout) == ["some"]
    wrong = run("fhirpath", "1 +")
    assert (wrong.returncode, wrong.stdout) == (1, b"")
    assert b"Traceback" not in wrong.stderr
    assert run("fhirpath").returncode == 2


# --- Differences


def test_a_version_step_that_suffices_ends_with_0_and_one_that_does_not_with_1(
    files: dict[str, Path], tmp_path: Path
) -> None:
    seed = next(seed for kind, at, seed in SEEDS if (kind, at) == ("text_reworded", "mood"))
    new = tmp_path / "new.json"
    for version, code in (("1.0.1", 1), ("1.1.0", 0), ("1.0.0", 1)):
        new.write_bytes(write_json({**changed(seed, QUESTIONNAIRE), "version": version}))
        done = run("questionnaire", "diff", files["questionnaire"], new)
        said = done.stdout.decode()
        assert done.returncode == code, said
        assert "text_reworded" in said
        assert "Teksten er ændret." in said
        assert "Hvor tit har du været trist?" in said
        assert "The changes need: minor." in said
        assert "item:mood" in said
        assert ("The version step suffices." in said) is (code == 0)


def test_differences_for_scripts_tell_of_rule_sets_too(files: dict[str, Path], tmp_path: Path) -> None:
    rules = tmp_path / "rules-b.json"
    rules.write_bytes(write_json({**RULES, "version": "1.0.1", "meaning": "triage"}))
    done = run(
        "questionnaire", "diff", files["questionnaire"], files["questionnaire"],
        "--rules-a", files["rules"], "--rules-b", rules, "--json",
    )  # fmt: skip
    (told,) = rows(done)
    assert done.returncode == 1
    assert (told["step"], told["rulesStep"], told["sufficient"]) == ("none", "major", False)
    assert [each["kind"] for each in told["changes"]] == ["colour_meaning_changed"]
    assert {each["subject"]: each["joined"] for each in told["trends"]}["score:burden"] is True
    same = run("questionnaire", "diff", files["questionnaire"], files["questionnaire"])
    assert (same.returncode, b"Nothing has changed." in same.stdout) == (0, True)


# --- Start-up


@pytest.mark.parametrize("command", [("fhirpath", "--batch"), ("response", "evaluate", "--batch")])
def test_the_engine_at_a_shell_loads_no_database_and_no_web_framework(command: tuple[str, ...]) -> None:
    heavy = (
        "asyncpg",
        "tortoise",
        "strawberry",
        "graphql",
        "starlette",
        "uvicorn",
        "uvloop",
        "pluggy",
        "authlib",
        "cryptography",
        "kpro_graph.storage",
        "kpro_graph.app",
    )
    program = (
        f"import sys; sys.argv = ['kpro', *{command!r}]\n"
        "from kpro_graph.commands import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=b"", capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == b"[]"


def test_the_made_up_questionnaire_is_sound() -> None:
    read = read_questionnaire(QUESTIONNAIRE)
    assert [each for each in read.remarks if each.severity is Severity.ERROR] == []
    assert find(QUESTIONNAIRE, "mood")["required"] is True
