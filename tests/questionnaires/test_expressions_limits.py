"""Whatever the text and whatever the data: an answer, or one of two errors, and soon."""

from __future__ import annotations

import json
import string
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires.expressions import (
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
    run_batch,
    with_weights,
)
from kpro_graph.questionnaires.expressions.registry import FUNCTIONS

#: Generous, since the machine may be busy: what must not happen is minutes.
SECONDS = 5.0

LARGE = {
    "resourceType": "QuestionnaireResponse",
    "item": [{"linkId": f"i{i}", "answer": [{"valueInteger": i}]} for i in range(2000)],
}


@pytest.mark.parametrize(
    "text",
    [
        "(1|2|3|4|5|6|7|8|9)" + ".select(%resource.item)" * 6,
        "descendants().select(%resource.descendants()).count()",
        "item.combine(item).combine(item).select(%resource.item).count()",
        "1.repeat($this + 1)",
        "1.1.repeat($this * 1.1)",
        "'a'.repeat($this & 'a')",
        "1 'mg'.repeat($this + 1 'mg')",
        "@2020-01-01.repeat($this + 1 day)",
        "item.where(%resource.item.where(linkId = $this.linkId).exists()).count()",
    ],
)
def test_an_explosive_expression_is_refused(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ExpressionFailed, match="takes too long"):
        compile_expression(text).evaluate(LARGE)
    assert time.perf_counter() - begun < SECONDS


def test_text_does_not_grow_without_bound() -> None:
    for text in (
        "'" + "a" * 40 + "'" + (".replace('a', '" + "a" * 40 + "')") * 5,
        "'" + "a" * 40 + "'" + (".replaceMatches('a', '" + "a" * 40 + "')") * 5,
        "item.aggregate($total & $total & 'aa', 'a')",
        "item.select('" + "a" * 1000 + "').combine({}).join('" + "b" * 1000 + "')",
    ):
        with pytest.raises(ExpressionFailed, match=r"longer than|too long"):
            compile_expression(text).evaluate(LARGE)


def test_a_pattern_runs_in_linear_time() -> None:
    begun = time.perf_counter()
    assert compile_expression("('" + "a" * 5000 + "b').matches('(a+)+$')").evaluate(None) == [False]
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "(" * 41 + "1" + ")" * 41,
        "-" * 41 + "1",
        "a(" * 5000,
        "1" + "+1" * 5000,
        "1" * 100,
        "'" + "a" * 30_000 + "'",
        "iif(a, 1, " * 45 + "2" + ")" * 45,
    ],
)
def test_a_text_too_long_or_too_deep_is_refused(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ExpressionInvalid):
        compile_expression(text)
    assert time.perf_counter() - begun < SECONDS


def test_a_long_flat_expression_is_no_deep_one() -> None:
    assert compile_expression("1" + "+1" * 1000).evaluate(None) == [1001]
    assert compile_expression("item" + ".item" * 500).evaluate({"linkId": "x"}) == []
    total = " or ".join(f"linkId = 'i{i}'" for i in range(200))
    assert compile_expression(f"item.where({total}).answer.value.sum()").evaluate(LARGE) == [sum(range(200))]


def test_data_nested_too_deeply_are_refused() -> None:
    deep: dict[str, Any] = {"linkId": "end"}
    for _ in range(20_000):
        deep = {"linkId": "x", "item": [deep]}
    root = {"resourceType": "QuestionnaireResponse", "item": [deep]}
    for text in ("descendants().count()", "repeat(item).count()", "item = item", "item | item", "item ~ item"):
        try:
            assert compile_expression(text).evaluate(root)
        except ExpressionFailed as failed:
            assert "deeply" in str(failed) or "too long" in str(failed)  # noqa: PT017
    with pytest.raises(ExpressionFailed, match="deeper"):
        with_weights(root, lambda link_id, coding: None)
    while deep.get("item"):  # taken apart in a loop, for it is too deep to be let go at once
        deep = deep.pop("item")[0]


def test_many_threads_get_the_same_results() -> None:
    texts = [f"item.where(linkId = 'i{i}').answer.value + {i}" for i in range(50)]
    wrong: list[Any] = []

    def run() -> None:
        for i, text in enumerate(texts):
            found = compile_expression(text).evaluate(LARGE)
            if found != [2 * i]:
                wrong.append(found)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


NAMES = [
    "item",
    "answer",
    "value",
    "linkId",
    "code",
    "system",
    "extension",
    "url",
    "id",
    "given",
    "valueDate",
    "`x y`",
    "",
]
WORDS = [
    *NAMES,
    *(f".{name}" for name in NAMES),
    *(f".{name}(" for name in FUNCTIONS),
    *(
        "(",
        ")",
        "[",
        "]",
        "{}",
        ",",
        " ",
        ".",
        "+",
        "-",
        "*",
        "/",
        "|",
        "&",
        "=",
        "!=",
        "~",
        "!~",
        "<",
        ">=",
        "%resource",
        "%x",
        "%context",
    ),
    *(
        " and ",
        " or ",
        " implies ",
        " div ",
        " mod ",
        " in ",
        " contains ",
        " is ",
        " as ",
        "$this",
        "$index",
        "$total",
        " desc",
        "'",
    ),
    *(
        "1",
        "0",
        "2.50",
        "'a'",
        "'2020-01-01'",
        "true",
        "@2020",
        "@2020-02-30",
        "@T10:00",
        "1 'mg'",
        "4 days",
        "integer",
        "Quantity",
        "/*",
        "//",
    ),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.floats()
    | st.sampled_from(["a", "2020-01-01", "2020-02-30", "http://hl7.org/fhir/StructureDefinition/ordinalValue", "kg", "Patient", ""])
    | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["resourceType", "linkId", "item", "answer", "valueDate", "valueInteger", "valueCoding", "valueQuantity", "_valueDate", "value",
             "unit", "code", "system", "extension", "url", "valueDecimal", "contained", "type", "name", "given", "_given"]
        ),
        inside,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


def outcome(text: str, data: Any, base: str | None = None) -> None:
    begun = time.perf_counter()
    try:
        found = compile_expression(text).evaluate(data, base=base, variables={"x": [data]})
    except (ExpressionInvalid, ExpressionFailed):
        pass
    else:
        assert isinstance(found, list)
    assert time.perf_counter() - begun < SECONDS


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40) | st.text(alphabet=string.printable, max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    outcome(text, None)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(WORDS), max_size=12).map("".join), json_values)
def test_anything_like_an_expression_gives_a_result_or_an_error(text: str, data: Any) -> None:
    outcome(text, data)


CALLS = st.sampled_from([name for name in FUNCTIONS if name != "repeat"])
ARGUMENTS = [
    "",
    "1",
    "'a'",
    "$this",
    "value",
    "integer",
    "1, 2",
    "'a', 'b'",
    "linkId = 'a'",
    "true, 1, 2",
    "-1",
    "{}",
    "answer.value",
    "2.5",
]
paths = st.lists(
    st.sampled_from(["item", "answer", "value", "name", "given", "extension", "contained", "linkId"])
    | st.tuples(CALLS, st.sampled_from(ARGUMENTS)).map(lambda pair: f"{pair[0]}({pair[1]})"),
    min_size=1,
    max_size=5,
).map(".".join)
operators = st.sampled_from(
    ["=", "!=", "~", "<", ">", "+", "-", "*", "/", "div", "mod", "&", "|", "in", "and", "or", "implies"]
)
operands = paths | st.sampled_from(["1", "'a'", "true", "@2020-01-01", "1 'kg'", "1 month", "{}", "0.1"])
expressions = paths | st.tuples(operands, operators, operands).map(" ".join)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    expressions, json_values, st.sampled_from([None, "QuestionnaireResponse.item", "Quantity", "QuestionnaireResponse"])
)
def test_any_function_on_any_data_gives_a_result_or_an_error(text: str, data: Any, base: str | None) -> None:
    outcome(text, data, base)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_weights_are_put_on_anything_or_refused(data: Any) -> None:
    if isinstance(data, dict):
        assert isinstance(with_weights(data, lambda link_id, coding: Decimal(1)), dict)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=30) | json_values.map(lambda value: json.dumps(value, default=str)))
def test_the_batch_answers_any_line(line: str) -> None:
    for answer in run_batch([line]):
        assert "error" in json.loads(answer) or "result" in json.loads(answer)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values, json_values, st.sampled_from(["a", None, 1]), st.integers(-1, 2))
def test_the_batch_answers_any_row(resource: Any, questionnaire: Any, link_id: Any, instance: int) -> None:
    row = {
        "id": 1,
        "expression": "item.answer.weight() | %x",
        "resource": resource,
        "questionnaire": questionnaire,
        "linkId": link_id,
        "instance": instance,
    }
    (answer,) = run_batch([json.dumps(row, default=str)])
    assert json.loads(answer).keys() & {"error", "result"}
