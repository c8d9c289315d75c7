"""What an expression reads: nothing it leaves out can change its result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpro_graph.questionnaires import Questionnaire, evaluate
from kpro_graph.questionnaires.model import SourceExpression
from kpro_graph.questionnaires.plan import plan_of
from kpro_graph.questionnaires.proof.reads import Reads, literals, reads_of
from tests.questionnaires.making import answer, expression, group, item, reply
from tests.questionnaires.proof_making import choice, written

NAMES = ("a", "b", "c", "d")


def made(*extension: dict[str, Any], kind: str = "string") -> Questionnaire:
    """Write four questions, two of them in a group, and one that is calculated or conditional."""
    return written(
        choice("a", "x", "y"),
        item("g", "group", item("b", "integer"), item("c", "string")),
        item("d", "integer"),
        item("t", kind, readOnly=True, extension=list(extension)),
    )


def read(text: str, at: str | None = "t", *variables: dict[str, Any]) -> Reads:
    questionnaire = written(*made().source["item"], extension=list(variables))
    plan = plan_of(questionnaire)
    return reads_of(questionnaire, plan, SourceExpression(text), plan.items[at] if at else None)


@pytest.mark.parametrize(
    ("text", "named", "swept"),
    [
        ("%resource.item.where(linkId='a').answer.value", "a", ""),
        ("%resource.item.where(linkId='g').item.where(linkId='b').answer.value", "b", ""),
        ("%resource.descendants().where(linkId='c').answer.value.exists()", "c", ""),
        ("%resource.repeat(item).where(linkId='b' or linkId='d').answer.value", "bd", ""),
        ("%resource.repeat(item).where(linkId in ('b' | 'd')).answer.value", "bd", ""),
        ("%resource.item.where(linkId='g').item.answer.value", "", "bc"),
        ("%resource.item.where(linkId!='t').answer.weight().sum()", "", "a"),
        ("%resource.descendants().answer.weight().sum()", "", "a"),
        ("%resource.descendants().where(linkId.startsWith('b')).answer.value", "", "b"),
        ("%resource.item.where(linkId='a' and answer.exists()).answer.value", "a", ""),
        ("%resource.item.where(linkId='a').answer.value | %resource.item.where(linkId='d').answer.value", "ad", ""),
        ("iif(%resource.item.where(linkId='a').exists(), 1, 2)", "a", ""),
        ("%resource.item.select(answer.value)", "", "agdt"),
        ("%resource.item.where(linkId='g').exists()", "g", "bc"),
        ("%resource.item.where(linkId ~ 'D').answer.value", "", "agdt"),
        ("1 + 1", "", ""),
        ("%questionnaire.item.where(linkId='a').text", "", ""),
    ],
)
def test_an_expression_reads_the_items_it_goes_to(text: str, named: str, swept: str) -> None:
    found = read(text)
    assert found.named == set(named)
    assert found.swept == set(swept)


def test_variables_are_followed_to_what_they_read() -> None:
    one = expression("", "%resource.item.where(linkId='a').answer.value", variable="one")
    two = expression("", "%one.exists()", variable="two")
    assert read("%two", "t", one, two).named == {"a"}
    assert read("%two", "t", two, one).outside == {"one"}


def test_what_comes_from_outside_is_named() -> None:
    assert read("%patient.birthDate < today()").outside == {"patient", "now()"}


def test_linkids_that_are_looked_for_in_vain_are_told() -> None:
    assert read("%resource.item.where(linkId='b').answer.value").absent == {"b"}
    assert read("%resource.descendants().where(linkId='z').answer.value").absent == {"z"}


def test_the_constants_of_an_expression_are_those_its_answers_are_compared_with() -> None:
    text = "%resource.item.where(linkId='a').answer.value > 3 and %resource.item.where(linkId='c').answer.value = 'c'"
    assert list(literals(text)) == [3, "c"]


READERS = st.sampled_from(
    (
        "%resource.item.where(linkId='a').answer.value.code",
        "%resource.item.where(linkId='g').item.where(linkId='b').answer.value.toString()",
        "%resource.item.where(linkId='g').item.answer.value.toString().first()",
        "%resource.descendants().where(linkId='d').answer.value.toString()",
        "%resource.item.where(linkId!='t').answer.weight().sum().toString()",
        "%resource.item.count().toString()",
        "%resource.item.first().linkId",
        "%resource.item[1].item.first().answer.value.toString()",
        "%resource.repeat(item).where(linkId='c' or linkId='d').answer.value.first().toString()",
        "iif(%resource.item.where(linkId='d').exists(), 'yes', 'no')",
        "%resource.item.where(answer.exists()).linkId.first()",
        "%resource.item.all(answer.exists()).toString()",
        "%resource.item.where(linkId='a' or answer.value = 2).count().toString()",
        "%context.linkId",
        "%resource.descendants().answer.value.count().toString()",
    )
)
RESPONSES = st.fixed_dictionaries(
    {
        "a": st.sampled_from((None, {"valueCoding": {"system": "urn:test:codes", "code": "y"}})),
        "b": st.sampled_from((None, 1, 2)),
        "c": st.sampled_from((None, "one", "two")),
        "d": st.sampled_from((None, 1, 2)),
    }
)


def respond(answers: dict[str, Any]) -> dict[str, Any]:
    given_ = {name: [answer(name, answers[name])] if answers[name] is not None else [] for name in NAMES}
    return reply(*given_["a"], group("g", *given_["b"], *given_["c"]), *given_["d"])


@settings(max_examples=200, deadline=None)
@given(READERS, RESPONSES, RESPONSES)
def test_an_answer_that_is_not_read_never_changes_the_result(
    text: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    questionnaire = made(expression("calculatedExpression", text))
    reads = reads_of(questionnaire, plan_of(questionnaire), SourceExpression(text), plan_of(questionnaire).items["t"])
    mixed = {name: first[name] if name in reads.link_ids else second[name] for name in NAMES}
    results = [evaluate(questionnaire, respond(each)).answers.values("t") for each in (first, mixed)]
    assert results[0] == results[1]
