"""Small questionnaires for proofs, and the honest way to know the truth about them: every response, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from hypothesis import strategies as st

from kpro_graph.questionnaires import Evaluation, Questionnaire, RuleSet, assemble, evaluate, read_rule_set
from tests.questionnaires.making import SYSTEM, coding, expression, ext, form, item, options
from tests.sheets import band, document

URL = "urn:test:form"


def written(*items: dict[str, Any], **parts: Any) -> Questionnaire:
    """Read a questionnaire in Danish with a version, as a rule set wants it."""
    return form(*items, **{"url": URL, "version": "1", "language": "da", **parts})


def rules(*rules: dict[str, Any], **parts: Any) -> RuleSet:
    """Read a rule set for such a questionnaire."""
    return read_rule_set(document(*rules, **{"questionnaire": {"url": URL, "versions": ["1"]}, **parts}))


def when(question: str, operator: str, **answer: Any) -> dict[str, Any]:
    """Write a condition; ``answer`` is ``boolean=``, ``integer=`` or ``code=``."""
    ((kind, value),) = answer.items()
    if kind == "code":
        return {"question": question, "operator": operator, "answerCoding": {"system": SYSTEM, "code": value}}
    return {"question": question, "operator": operator, f"answer{kind[:1].upper()}{kind[1:]}": value}


def whole(link_id: str, low: int, high: int, **parts: Any) -> dict[str, Any]:
    """Write a whole number between two bounds."""
    bounds = [ext("minValue", valueInteger=low), ext("maxValue", valueInteger=high)]
    return item(link_id, "integer", extension=[*parts.pop("extension", []), *bounds], **parts)


def choice(link_id: str, *codes: str, **parts: Any) -> dict[str, Any]:
    """Write a choice whose options weigh 0, 1, 2 and so on."""
    return item(link_id, "choice", answerOption=options(*codes), **parts)


def constraint(text: str, key: str = "rule") -> dict[str, Any]:
    """Write a rule that responses must keep."""
    return ext(
        "questionnaire-constraint",
        extension=[
            {"url": "key", "valueId": key},
            {"url": "severity", "valueCode": "error"},
            {"url": "expression", "valueString": text},
            {"url": "human", "valueString": "Reglen skal holde."},
        ],
    )


def total(code: str, items: list[str], **parts: Any) -> dict[str, Any]:
    """Write the definition of a sum."""
    label = {"da": "Sum", "en": "Sum"}
    return {"code": code, "kind": "sum", "label": label, "items": items, "missing": {"rule": "refuse"}, **parts}


def score_rule(score: str, *intervals: dict[str, Any], name: str = "score-rule") -> dict[str, Any]:
    """Write a rule about a score."""
    return {"id": name, "score": score, "intervals": list(intervals)}


def item_rule(link_id: str, *intervals: dict[str, Any], name: str = "item-rule") -> dict[str, Any]:
    """Write a rule about an item's number."""
    return {"id": name, "item": link_id, "intervals": list(intervals)}


GREEN_YELLOW_RED = (band("green", below=2), band("yellow", atLeast=2, below=4), band("red", atLeast=4))


# --- every response, one by one


@dataclass(frozen=True)
class Outcome:
    """One response with what evaluating it came to. ``given`` are its answers by linkId."""

    given: Mapping[str, tuple[object, ...]]
    response: dict[str, Any]
    evaluation: Evaluation

    @property
    def consistent(self) -> bool:
        """Whether nothing is wrong but what is missing."""
        missing = {"required", "required_group", "min_occurs"}
        return all(each.code in missing or each.severity != "error" for each in self.evaluation.problems)


def answers_to(each: Any) -> list[list[dict[str, Any]]]:
    """Return what can be answered to an item of the small kind; the first is nothing."""
    match each.type.value:
        case "boolean":
            return [[], [{"valueBoolean": True}], [{"valueBoolean": False}]]
        case "choice":
            singles = [[option.value.as_fhir()] for option in each.options]
            pairs = [[one[0], other[0]] for one in singles for other in singles if one is not other]
            return [[], *singles, *(pairs if each.repeats else [])]
        case "integer":
            low = int(each.min_value.value.number) if each.min_value else 0
            high = int(each.max_value.value.number) if each.max_value else 2
            return [[], *([{"valueInteger": number}] for number in range(low, high + 1))]
    return [[]]


def every_response(questionnaire: Questionnaire, rule_set: RuleSet | None = None) -> Iterator[Outcome]:
    """Evaluate every response there is; only for small questionnaires without repeating groups."""
    from kpro_graph.questionnaires.plan import plan_of

    asked = [each for each in questionnaire.walk() if each.answerable and (each.calculated is None)]
    paths = {each.link_id: plan_of(questionnaire).items[each.link_id].skeleton for each in asked}
    for picked in product(*(answers_to(each) for each in asked)):
        given = {each.link_id: values for each, values in zip(asked, picked, strict=True) if values}
        response = assemble(questionnaire, {paths[link_id]: values for link_id, values in given.items()})
        keys = {link_id: tuple(repr(value) for value in values) for link_id, values in given.items()}
        yield Outcome(keys, response, evaluate(questionnaire, response, rules=rule_set))


def count_responses(questionnaire: Questionnaire) -> int:
    """Return how many responses there are."""
    count = 1
    for each in questionnaire.walk():
        if each.answerable and each.calculated is None:
            count *= len(answers_to(each))
    return count


# --- strategies

KINDS = ("boolean", "choice", "integer")


@st.composite
def small_items(draw: st.DrawFn, *, most: int = 4, conditions: bool = True) -> list[dict[str, Any]]:
    """Make a few items, some in groups, some with conditions on those before them (or, rarely, behind)."""
    count = draw(st.integers(1, most))
    asked: list[dict[str, Any]] = []
    for number in range(count):
        kind = draw(st.sampled_from(KINDS))
        link_id = f"q{number}"
        if kind == "boolean":
            made = item(link_id, "boolean")
        elif kind == "choice":
            made = choice(link_id, *"abc"[: draw(st.integers(1, 3))])
            if draw(st.integers(0, 4)) == 0:
                made["repeats"] = True
        else:
            made = whole(link_id, 0, draw(st.integers(0, 2)))
        made["text"] = link_id
        if draw(st.integers(0, 2)) == 0:
            made["required"] = True
        asked.append(made)
    if conditions:
        for position, made in enumerate(asked):
            _condition(draw, made, asked[:position] or asked[position + 1 :])
    items: list[dict[str, Any]] = []
    while asked:
        size = draw(st.integers(1, 2))
        part, asked = asked[:size], asked[size:]
        if draw(st.integers(0, 2)) == 0:
            group = item(f"g{len(items)}", "group", *part)
            if conditions and items:
                _condition(draw, group, [each for each in flat(items) if each["type"] != "group"])
            items.append(group)
        else:
            items.extend(part)
    return items


def flat(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for one in items for each in (one, *flat(one.get("item", [])))]


def _condition(draw: st.DrawFn, made: dict[str, Any], others: list[dict[str, Any]]) -> None:
    if not others or draw(st.integers(0, 2)) == 0:
        return
    made["enableWhen"] = [draw(conditions_on(draw(st.sampled_from(others)))) for _ in range(draw(st.integers(1, 2)))]
    if len(made["enableWhen"]) > 1:
        made["enableBehavior"] = draw(st.sampled_from(("all", "any")))


@st.composite
def conditions_on(draw: st.DrawFn, other: dict[str, Any]) -> dict[str, Any]:
    """Make a condition on an item, now and then one that can never hold."""
    link_id = other["linkId"]
    operator = draw(st.sampled_from(("exists", "=", "!=", ">", "<=")))
    if operator == "exists":
        return when(link_id, "exists", boolean=draw(st.booleans()))
    if other["type"] == "boolean":
        return when(link_id, draw(st.sampled_from(("=", "!="))), boolean=draw(st.booleans()))
    if other["type"] == "choice":
        return when(link_id, draw(st.sampled_from(("=", "!="))), code=draw(st.sampled_from("abcz")))
    return when(link_id, operator, integer=draw(st.integers(-1, 3)))


@st.composite
def sound_items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Make items nothing is wrong with, to put one fault into."""
    items = draw(small_items(most=3, conditions=False))
    for each in flat(items):
        if each["type"] == "choice":
            each.pop("repeats", None)
    return items


def read_value(link_id: str) -> str:
    """Write the expression that reads an item's answers wherever it stands."""
    return f"%resource.descendants().where(linkId='{link_id}').answer.value"


@st.composite
def terms(draw: st.DrawFn, asked: dict[str, Any]) -> str:
    """Make an expression that says something about the answer to an item."""
    value = read_value(asked["linkId"])
    if asked["type"] == "boolean":
        return f"({value} = {draw(st.sampled_from(('true', 'false')))})"
    if asked["type"] == "integer":
        return f"({value} {draw(st.sampled_from(('>', '<=', '=')))} {draw(st.integers(0, 2))})"
    code = draw(st.sampled_from("abc"))
    return f"({value}.code contains '{code}')" if asked.get("repeats") else f"({value}.code = '{code}')"


__all__ = [
    "GREEN_YELLOW_RED",
    "Decimal",
    "Outcome",
    "choice",
    "coding",
    "conditions_on",
    "constraint",
    "count_responses",
    "every_response",
    "expression",
    "flat",
    "item_rule",
    "read_value",
    "rules",
    "score_rule",
    "small_items",
    "sound_items",
    "terms",
    "total",
    "when",
    "whole",
    "written",
]
