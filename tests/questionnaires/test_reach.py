"""What an expression can see: items picked by linkId, its own item, or everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import Evaluation, assemble, evaluate
from kpro_graph.questionnaires.expressions.syntax import parse
from kpro_graph.questionnaires.reach import reach_of
from tests.questionnaires.making import expression, form, item


@pytest.mark.parametrize(
    ("text", "names", "own"),
    [
        ("%resource.item.where(linkId='a').answer.value", {"a"}, False),
        ("%resource.item.item.where(linkId = 'a').item.answer.value.sum()", {"a"}, False),
        ("%resource.descendants().where(linkId='a' or linkId='b').answer", {"a", "b"}, False),
        ("%resource.repeat(item).where(linkId in ('a' | 'b')).answer.value.count()", {"a", "b"}, False),
        ("%resource.repeat(item | answer).where(linkId = 'a')", None, False),
        ("%rootResource.item.where($this.linkId='a' and answer.exists()).answer", {"a"}, False),
        ("item.where(linkId='a').answer.value > 3", {"a"}, False),
        ("%context.item.where(linkId='a').item.where(linkId='b').answer.value", {"b"}, False),
        ("item.where(linkId='a').exists() and answer.exists()", {"a"}, True),
        ("%resource.item.where(linkId='a').item.where(linkId='b').answer.value", {"b"}, False),
        ("%resource.item.where(linkId='a').item.where(linkId='b').count() + %resource.item.where(linkId='a').item.count()", {"a", "b"}, False),
        ("%resource.item.where(linkId='a' and answer.exists()).item.where(linkId='b').answer", {"a"}, False),
        ("%resource.item.where(linkId='a').item.where(answer.exists()).item.where(linkId='b')", {"a"}, False),
        ("%resource.item.where(linkId='a').item.first().item.where(linkId='b')", {"a"}, False),
        ("%resource.item.where(linkId ~ 'a').answer", None, False),
        ("%context.answer.value", set(), True),
        ("$this.answer.value", set(), True),
        ("answer.count() = 3", set(), True),
        ("iif(%resource.item.where(linkId='a').exists(), 1, 2)", {"a"}, False),
        ("%resource.item.where(linkId='a').answer.value + %resource.item.where(linkId='b').answer.value", {"a", "b"}, False),
        ("-%resource.item.where(linkId='a').answer.value", {"a"}, False),
        ("%resource.item.where(linkId='a').answer[%resource.item.where(linkId='b').answer.value].value", {"a", "b"}, False),
        ("%resource.authored > today()", set(), False),
        ("%questionnaire.item.count() + %qitem.answerOption.count()", set(), False),
        ("1 + 2", set(), False),
        ("today()", set(), False),
        ("%resource.item.answer.value", None, False),
        ("%resource.item.first().answer", None, False),
        ("%resource", None, False),
        ("%resource.item.where(answer.value = 3)", None, False),
        ("%resource.item.where(linkId != 'a').answer", None, False),
        ("%resource.item.where(linkId='a' or answer.exists()).answer", None, False),
        ("%resource.item[0].answer.value", None, False),
        ("(%resource.item.where(linkId='a') | %resource.item).answer", None, False),
        ("%resource.item.where(linkId='a').select(%resource.item.answer)", None, False),
        ("%resource.descendants().ofType(integer)", None, False),
        ("%resource.item.where(linkId = %resource.id)", None, False),
    ],
)  # fmt: skip
def test_an_expression_at_an_item_sees(text: str, names: set[str] | None, own: bool) -> None:
    reach = reach_of(parse(text), at_root=False)
    assert reach.everything is (names is None)
    if names is not None:
        assert reach.names == names
        assert reach.own is own


@pytest.mark.parametrize(
    ("text", "names"),
    [("item.where(linkId='a').answer.exists()", {"a"}), ("item.answer.exists()", None), ("%context.item.count()", None), ("iif(item.exists(), 1, 2)", None)],
)  # fmt: skip
def test_at_the_root_everything_is_the_response(text: str, names: set[str] | None) -> None:
    reach = reach_of(parse(text), at_root=True)
    assert reach.everything is (names is None)
    assert names is None or reach.names == names


def test_the_variables_it_uses_are_named() -> None:
    assert reach_of(parse("%a + %b.item.where(linkId='x').answer.value"), at_root=False).variables == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "passed", "own_passed"),
    [
        ("%resource.item.where(linkId='a').item.where(linkId='b').item.where(linkId='c').answer", {"a", "b"}, False),
        ("%resource.item.where(linkId='a').answer.item.where(linkId in ('b' | 'c')).answer", {"a"}, False),
        ("item.where(linkId='a').item.where(linkId='b').answer", {"a"}, True),
        ("%resource.item.where(linkId='a').answer", set(), False),
    ],
)
def test_of_an_item_on_the_way_only_its_presence_is_seen(text: str, passed: set[str], own_passed: bool) -> None:
    reach = reach_of(parse(text), at_root=False)
    assert reach.passed == passed
    assert reach.own_passed is own_passed


# --- what is not seen never matters

EVERYTHING = "(%resource.descendants().count() >= 0) and "
"""Before an expression, this makes it see everything and changes nothing else."""


@st.composite
def switching(draw: st.DrawFn) -> tuple[list[tuple[str, str, str]], dict[str, bool]]:
    """Make questions in groups, each with a condition on another by way of its group, and answers to some."""
    names = [(f"g{number % 3}", f"q{number}") for number in range(draw(st.integers(2, 7)))]
    written = []
    for group, name in names:
        over, other = draw(st.sampled_from(names))
        path = draw(
            st.sampled_from(
                (
                    f"%resource.item.where(linkId='{over}').item.where(linkId='{other}').answer.value",
                    f"%resource.item.where(linkId='{over}').item.where(linkId='{other}').answer.value.exists()",
                    f"%resource.descendants().where(linkId='{other}').answer.value",
                    f"%{other}",
                    f"%{other}.exists().not()",
                    f"%group{over}.item.where(linkId='{other}').answer.value",
                    f"%resource.item.where(linkId='{over}').exists()",
                )
            )
        )
        written.append((group, name, path if draw(st.booleans()) else ""))
    given_ = draw(st.dictionaries(st.sampled_from([f"{group}/{name}" for group, name in names]), st.booleans()))
    return written, given_


def evaluate_switching(written: list[tuple[str, str, str]], given_: dict[str, bool], before: str) -> Evaluation:
    groups: dict[str, list[dict[str, Any]]] = {}
    variables = []
    for group, name, path in written:
        own = [expression("enableWhenExpression", f"{before}({path})")] if path else []
        count = expression("calculatedExpression", f"iif({before}true, {path or '1'}.count())")
        groups.setdefault(group, []).append(item(name, "boolean", extension=own))
        groups[group].append(item(f"{name}-count", "integer", readOnly=True, extension=[count]))
        inside = f"item.where(linkId='{group}').item.where(linkId='{name}').answer.value"
        variables.append(expression("variable", inside, variable=name))
    for group in groups:
        variables.append(expression("variable", f"item.where(linkId='{group}')", variable=f"group{group}"))
    questionnaire = form(*(item(group, "group", *items) for group, items in groups.items()), extension=variables)
    answers = {path: [{"valueBoolean": value}] for path, value in given_.items()}
    return evaluate(questionnaire, assemble(questionnaire, answers))


@settings(max_examples=150, deadline=None)
@given(switching())
def test_an_expression_that_looks_at_everything_besides_comes_to_the_same(
    made: tuple[list[tuple[str, str, str]], dict[str, bool]],
) -> None:
    narrow, wide = evaluate_switching(*made, ""), evaluate_switching(*made, EVERYTHING)
    if any(problem.code == "not_settled" for problem in (*narrow.problems, *wide.problems)):
        return  # a circle ends where the rounds do
    assert narrow.enabled == wide.enabled
    assert narrow.response == wide.response
