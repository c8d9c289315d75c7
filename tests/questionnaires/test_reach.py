"""What an expression can see: items picked by linkId, its own item, or everything."""

from __future__ import annotations

import pytest

from kpro_graph.questionnaires.expressions.syntax import parse
from kpro_graph.questionnaires.reach import reach_of


@pytest.mark.parametrize(
    ("text", "names", "own"),
    [
        ("%resource.item.where(linkId='a').answer.value", {"a"}, False),
        ("%resource.item.item.where(linkId = 'a').item.answer.value.sum()", {"a"}, False),
        ("%resource.descendants().where(linkId='a' or linkId='b').answer", {"a", "b"}, False),
        ("%resource.repeat(item).where(linkId in ('a' | 'b')).answer.value.count()", {"a", "b"}, False),
        ("%resource.repeat(item | answer).where(linkId = 'a')", None, False),
        ("%rootResource.item.where($this.linkId='a' and answer.exists()).answer", {"a"}, False),
        ("item.where(linkId='a').answer.value > 3", set(), True),
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
