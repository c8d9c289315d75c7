"""Faults of a questionnaire that show without any answers: in items, conditions, bounds, options and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kpro_graph.questionnaires.model import Bound, EnableWhen, Item, ItemType, Questionnaire
from kpro_graph.questionnaires.plan import ItemPlan
from kpro_graph.questionnaires.proof.dependence import is_computed
from kpro_graph.questionnaires.proof.findings import Finding, Gravity, make_finding, note_remark
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.values import compare
from kpro_graph.questionnaires.words import Text

__all__ = ["judge_items", "judge_texts", "may_be_answered"]

_CHOICES = (ItemType.CHOICE, ItemType.OPEN_CHOICE)
_NUMBERS = frozenset({"integer", "decimal"})
_DAYS = frozenset({"date", "dateTime"})
_ORDERED = frozenset({"integer", "decimal", "date", "dateTime", "time", "string", "uri", "Quantity"})
_ORDERING = frozenset({">", "<", ">=", "<="})
_LANGUAGES = {"da": Text("dansk", "Danish"), "en": Text("engelsk", "English")}
_ELSEWHERE = ("answerExpression", "candidateExpression", "answerOptionsToggleExpression")


def judge_items(space: Space) -> Iterator[Finding]:
    """Yield what is wrong with the items by themselves, the remarks of the reading first."""
    for remark in space.questionnaire.remarks:
        finding = note_remark(remark)
        doubled = remark.code == "option_duplicate" and _weighs_twice(space.plan.items[remark.link_id].item)
        yield _as_error(finding) if doubled else finding
    missing: dict[str, list[Item]] = {}
    for plan in space.plan.items.values():
        item = plan.item
        yield from _judge_conditions(space, plan)
        if item.answerable:
            yield from _judge_value_sources(space, plan)
            yield from _judge_options(plan, missing)
        yield from _judge_bounds(plan)
        if not may_be_answered(space, item.link_id):
            yield make_finding("unanswerable", (item.link_id,), item.location)
    for items in missing.values():
        yield make_finding("value_set_missing", tuple(each.link_id for each in items), items[0].location)


def may_be_answered(space: Space, link_id: str) -> bool:
    """Tell whether some answer keeps the item's own rules; also where none was found but there may be one."""
    item = space.plan.items[link_id].item
    if not item.answerable or space.choices[link_id][0] or is_computed(item):
        return True
    return bool(item.regex) or item.type is ItemType.QUANTITY


def _weighs_twice(item: Item) -> bool:
    weights: dict[tuple[object, ...], set[object]] = {}
    for option in item.options:
        weights.setdefault(option.value.key, set()).add(option.weight)
    return any(len(each) > 1 for each in weights.values())


def _as_error(finding: Finding) -> Finding:
    return Finding(finding.code, Gravity.ERROR, finding.link_ids, finding.location, finding.da, finding.en)


# --- conditions


def _judge_conditions(space: Space, plan: ItemPlan) -> Iterator[Finding]:
    item = plan.item
    if item.enable_when and item.enable_expression is not None:
        yield make_finding("enable_when_and_expression", (item.link_id,), item.location)
    for index, (condition, other) in enumerate(zip(item.enable_when, plan.asked, strict=True)):
        if other is None or item.link_id in {step.item.link_id for step in other.chain}:
            continue  # the reading has remarked on it
        location = f"{item.location}.enableWhen[{index}]"
        link_ids = (item.link_id, condition.question)
        if not other.item.answerable:
            yield make_finding("condition_on_nothing", link_ids, location)
            continue
        if not _can_compare(condition, other):
            yield make_finding("condition_type", link_ids, location)
        if other.item.position > item.position:
            yield make_finding("forward_reference", link_ids, location)
        if condition.operator == "!=":
            why = _ambiguity(item, condition, other.item)
            if why is not None:
                yield make_finding("not_equal_ambiguous", link_ids, location, why=why.en, why_da=why.da)


def _can_compare(condition: EnableWhen, other: ItemPlan) -> bool:
    if condition.operator == "exists":
        return True
    kind = condition.answer.kind
    if condition.operator in _ORDERING and kind not in _ORDERED:
        return False
    if kind in other.kinds:
        return True
    return any(kind in family and not family.isdisjoint(other.kinds) for family in (_NUMBERS, _DAYS))


def _ambiguity(item: Item, condition: EnableWhen, other: Item) -> Text | None:
    if other.repeats:
        return Text("spørgsmålet kan have flere svar", "the question may have several answers")
    guarded = item.enable_behavior == "all" and any(
        each.question == condition.question and each.operator == "exists" and each.answer.value is True
        for each in item.enable_when
    )
    if guarded:
        return None
    return Text("intet siger, hvad der gælder uden svar", "nothing says what holds while there is no answer")


# --- where values come from


def _judge_value_sources(space: Space, plan: ItemPlan) -> Iterator[Finding]:
    item = plan.item
    filled = bool(item.initial or item.calculated or item.initial_expression) or any(
        option.initially_selected for option in item.options
    )
    if filled:
        return
    hidden = any(step.item.hidden for step in plan.chain)
    if hidden and item.required:
        yield make_finding("hidden_required", (item.link_id,), item.location)
    elif item.read_only and item.required:
        yield make_finding("read_only_required", (item.link_id,), item.location)
    elif hidden and (item.link_id in space.read or space.unfolded.tests(item.link_id)):
        yield make_finding("hidden_without_value", (item.link_id,), item.location)


def _codes(plan: ItemPlan) -> bool:
    return plan.value_set is not None and bool(plan.value_set.concepts)


def _judge_options(plan: ItemPlan, missing: dict[str, list[Item]]) -> Iterator[Finding]:
    item = plan.item
    if item.type not in _CHOICES or item.options:
        return
    if item.value_set:
        if plan.value_set is None or not plan.value_set.complete:
            missing.setdefault(item.value_set, []).append(item)
        elif not _codes(plan):
            yield make_finding("options_missing", (item.link_id,), item.location, severity=_by_need(item))
    elif any(each in str(item.source.get("extension", "")) for each in _ELSEWHERE):
        missing.setdefault(item.link_id, []).append(item)
    else:
        yield make_finding("options_missing", (item.link_id,), item.location, severity=_by_need(item))


def _by_need(item: Item) -> Gravity:
    return Gravity.ERROR if item.required else Gravity.WARNING


# --- bounds


def _judge_bounds(plan: ItemPlan) -> Iterator[Finding]:
    item = plan.item
    for what, low, high in (
        ("minValue, maxValue", item.min_value, item.max_value),
        ("minQuantity, maxQuantity", item.min_quantity, item.max_quantity),
    ):
        if _written(low) and _written(high) and low is not None and high is not None:
            order = compare(low.value, high.value) if low.value is not None and high.value is not None else None
            if order == 1:
                yield make_finding("bounds_contradict", (item.link_id,), item.location, what=what)
        for bound in (low, high):
            if bound is not None and _written(bound) and not _fits(bound, plan):
                yield make_finding("bound_type", (item.link_id,), item.location, what=what)
                break
    pairs = [("minLength, maxLength", item.min_length, item.max_length)]
    pairs.append(("minOccurs, maxOccurs", item.min_occurs, item.max_occurs))
    pairs.extend((f"feedback {each.minimum}, {each.maximum}", each.minimum, each.maximum) for each in item.feedback)
    for what, least, most in pairs:
        if least is not None and most is not None and least > most:
            yield make_finding("bounds_contradict", (item.link_id,), item.location, what=what)
    for what, number in (("minOccurs", item.min_occurs), ("maxOccurs", item.max_occurs)):
        if number is not None and number > 1 and not item.repeats:
            yield make_finding("occurs_without_repeats", (item.link_id,), item.location, what=what)


def _written(bound: Bound | None) -> bool:
    return bound is not None and bound.value is not None and bound.expression is None


def _fits(bound: Bound, plan: ItemPlan) -> bool:
    if bound.value is None:
        return False
    kind = bound.value.kind
    if kind in plan.kinds:
        return True
    if "Quantity" in plan.kinds:
        return kind in _NUMBERS
    if kind == "Quantity":
        return not _NUMBERS.isdisjoint(plan.kinds)
    return any(kind in family and not family.isdisjoint(plan.kinds) for family in (_NUMBERS, _DAYS))


# --- texts


def judge_texts(questionnaire: Questionnaire) -> Iterator[Finding]:
    """Yield, for Danish and for English, which items lack a text or an option's text in that language.

    A questionnaire that does not name its language is taken to be written in Danish.
    """
    own = (questionnaire.language or "da").partition("-")[0].lower()
    for language, name in _LANGUAGES.items():
        if language == own:
            continue
        lacking = [item for item in questionnaire.walk() if _lacks(item, language)]
        if lacking:
            yield make_finding(
                "translation_missing",
                tuple(item.link_id for item in lacking),
                lacking[0].location,
                count=len(lacking),
                language=name.en,
                language_da=name.da,
            )


def _lacks(item: Item, language: str) -> bool:
    if item.text and not _speaks(item.texts, language):
        return True
    return any(
        option.text and not option.text.replace(".", "").isdigit() and not _speaks(option.texts, language)
        for option in item.options
    )


def _speaks(texts: Mapping[str, str], language: str) -> bool:
    return any(each.partition("-")[0].lower() == language for each in texts)
