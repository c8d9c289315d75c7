"""What is worked out once per questionnaire so that each answer is judged quickly.

A *path* names one question in one response: linkIds from the root joined by ``/``, each repeating item above the last
with its index counted from 0, such as ``group[1]/weight``. A linkId that would make it ambiguous is percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import quote
from weakref import WeakKeyDictionary

from kpro_graph.questionnaires.model import AnswerOption, Item, ItemType, Questionnaire, Value, ValueSet
from kpro_graph.questionnaires.patterns import Pattern, PatternInvalid, compile_pattern
from kpro_graph.questionnaires.terminology import core_value_sets

__all__ = ["Check", "Fault", "ItemPlan", "Plan", "plan_of"]

Fault: TypeAlias = tuple[str, dict[str, Any]]
"""The code of a problem and the parameters of its message."""

Check: TypeAlias = "Callable[[ItemPlan, Value], Fault | None]"
"""Judges one answer by one rule."""

_INDEX = re.compile(r"\[([0-9]{1,6})\](?=/|$)")

_KINDS: dict[ItemType, frozenset[str]] = {
    ItemType.GROUP: frozenset(),
    ItemType.DISPLAY: frozenset(),
    ItemType.QUESTION: frozenset(),
    ItemType.BOOLEAN: frozenset({"boolean"}),
    ItemType.DECIMAL: frozenset({"decimal"}),
    ItemType.INTEGER: frozenset({"integer"}),
    ItemType.DATE: frozenset({"date"}),
    ItemType.DATE_TIME: frozenset({"dateTime"}),
    ItemType.TIME: frozenset({"time"}),
    ItemType.STRING: frozenset({"string"}),
    ItemType.TEXT: frozenset({"string"}),
    ItemType.URL: frozenset({"uri"}),
    ItemType.CHOICE: frozenset({"Coding", "integer", "date", "time", "string", "Reference"}),
    ItemType.OPEN_CHOICE: frozenset({"Coding", "integer", "date", "time", "string", "Reference"}),
    ItemType.ATTACHMENT: frozenset({"Attachment"}),
    ItemType.REFERENCE: frozenset({"Reference"}),
    ItemType.QUANTITY: frozenset({"Quantity"}),
}


@dataclass(slots=True, eq=False)
class ItemPlan:
    """One item made ready: what may answer it, what it holds, and what its being asked depends on.

    ``chain`` is the items from the root down to this one. ``common`` gives, for each enableWhen condition, how many
    items from the root both questions share: the same repetition of those is meant. ``hidden`` is whether it, or
    anything above it, is never shown.
    """

    item: Item
    chain: tuple[ItemPlan, ...]
    segment: str
    skeleton: str
    kinds: frozenset[str]
    children: tuple[ItemPlan, ...] = ()
    by_link_id: dict[str, ItemPlan] = field(default_factory=dict)
    options: dict[tuple[object, ...], AnswerOption] = field(default_factory=dict)
    exclusive: frozenset[tuple[object, ...]] = frozenset()
    weights: dict[tuple[object, ...], Decimal] = field(default_factory=dict)
    value_set: ValueSet | None = None
    unit_value_set: ValueSet | None = None
    pattern: Pattern | None = None
    pattern_fault: str = ""
    checks: tuple[Check, ...] | None = None
    asked: tuple[ItemPlan | None, ...] = ()
    common: tuple[int, ...] = ()
    conditional: bool = False
    hidden: bool = False

    @property
    def is_group(self) -> bool:
        """Whether children stand directly under the item, not under its answers."""
        return self.item.type in (ItemType.GROUP, ItemType.DISPLAY, ItemType.QUESTION)


@dataclass(slots=True, eq=False)
class Plan:
    """A questionnaire made ready.

    ``permitting`` are the items whose permitted answers an expression decides. ``settled_in_order`` holds where one
    pass in document order decides what is asked.
    """

    roots: tuple[ItemPlan, ...]
    root_by_link_id: dict[str, ItemPlan]
    items: Mapping[str, ItemPlan]
    by_skeleton: Mapping[str, ItemPlan]
    read_only: tuple[ItemPlan, ...]
    bounded: tuple[ItemPlan, ...]
    constrained: tuple[ItemPlan, ...]
    permitting: tuple[ItemPlan, ...]
    has_conditions: bool
    has_expressions: bool
    settled_in_order: bool

    def place(self, path: str) -> tuple[ItemPlan, tuple[int, ...]] | None:
        """Return the item a path names and the repeat index at each step down to it; None where it names nothing.

        A missing index means 0.
        """
        plan = self.by_skeleton.get(_INDEX.sub("", path))
        if plan is None:
            return None
        indices = []
        position = 0
        for step in plan.chain:
            position += len(step.segment)
            found = _INDEX.match(path, position)
            if found is None:
                indices.append(0)
            elif step.item.repeats and (step is not plan or step.is_group):
                indices.append(int(found[1]))
            elif int(found[1]) == 0:
                indices.append(0)
            else:
                return None
            position = (found.end() if found else position) + 1
        return plan, tuple(indices)


_PLANS: WeakKeyDictionary[Questionnaire, Plan] = WeakKeyDictionary()


def plan_of(questionnaire: Questionnaire) -> Plan:
    """Return the questionnaire's plan, worked out at the first call."""
    plan = _PLANS.get(questionnaire)
    if plan is None:
        plan = _PLANS[questionnaire] = _make_plan(questionnaire)
    return plan


def _make_plan(questionnaire: Questionnaire) -> Plan:
    items: dict[str, ItemPlan] = {}
    skeletons: dict[str, ItemPlan] = {}
    roots = tuple(_make_item(questionnaire, each, (), items, skeletons) for each in questionnaire.items)
    has_conditions = forward = False
    for plan in items.values():
        item = plan.item
        plan.conditional = bool(item.enable_when or item.enable_expression)
        has_conditions = has_conditions or plan.conditional
        asked = tuple(items.get(condition.question) for condition in item.enable_when)
        plan.asked = asked
        plan.common = tuple(_count_common(plan, each) if each else 0 for each in asked)
        forward = forward or any(each is not None and each.item.position >= item.position for each in asked)
    read_only = tuple(each for each in items.values() if _is_fixed(each.item))
    bounded = tuple(each for each in items.values() if _has_calculated_bounds(each.item))
    constrained = tuple(each for each in items.values() if each.item.constraints)
    permitting = tuple(each for each in items.values() if each.item.answer_expression or each.item.toggles)
    has_expressions = bool(bounded or constrained or permitting or questionnaire.constraints) or any(
        each.item.calculated or each.item.enable_expression for each in items.values()
    )
    settled = not forward and not any(each.item.calculated or each.item.enable_expression for each in items.values())
    return Plan(
        roots,
        {each.item.link_id: each for each in roots},
        items,
        skeletons,
        read_only,
        bounded,
        constrained,
        permitting,
        has_conditions,
        has_expressions,
        settled,
    )


def _make_item(
    questionnaire: Questionnaire,
    item: Item,
    above: tuple[ItemPlan, ...],
    items: dict[str, ItemPlan],
    skeletons: dict[str, ItemPlan],
) -> ItemPlan:
    link_id = item.link_id
    segment = quote(link_id, safe="") if "[" in link_id or "]" in link_id or "%" in link_id else link_id
    stem = f"{above[-1].skeleton}/" if above else ""
    if stem + segment in skeletons:
        segment = quote(link_id, safe="").replace(".", "%2E")
    plan = ItemPlan(item, (), segment, stem + segment, _accepted_kinds(item))
    plan.chain = (*above, plan)
    plan.hidden = any(step.item.hidden for step in plan.chain)
    items[link_id] = plan
    skeletons[plan.skeleton] = plan
    for option in item.options:
        key = option.value.key
        plan.options.setdefault(key, option)
        if option.weight is not None:
            plan.weights.setdefault(key, option.weight)
    plan.exclusive = frozenset(option.value.key for option in item.options if option.exclusive)
    if item.value_set:
        plan.value_set = _find_value_set(questionnaire, item.value_set)
        if plan.value_set is not None:
            for (system, code), concept in plan.value_set.concepts.items():
                if concept.weight is not None:
                    plan.weights.setdefault(("Coding", system, code), concept.weight)
    if item.unit_value_set:
        plan.unit_value_set = _find_value_set(questionnaire, item.unit_value_set)
    if item.regex:
        try:
            plan.pattern = compile_pattern(item.regex)
        except PatternInvalid as invalid:
            plan.pattern_fault = str(invalid)
    plan.children = tuple(_make_item(questionnaire, each, plan.chain, items, skeletons) for each in item.children)
    plan.by_link_id = {each.item.link_id: each for each in plan.children}
    return plan


def _find_value_set(questionnaire: Questionnaire, reference: str) -> ValueSet | None:
    found = questionnaire.value_set(reference)
    return found if found is not None else core_value_sets().get(reference.partition("|")[0])


def _is_fixed(item: Item) -> bool:
    """Whether the item's answer must be what the questionnaire itself fills in."""
    filled = bool(item.initial) or any(option.initially_selected for option in item.options)
    return item.read_only and filled and item.calculated is None and item.initial_expression is None


def _has_calculated_bounds(item: Item) -> bool:
    bounds = (item.min_value, item.max_value, item.min_quantity, item.max_quantity)
    return any(bound is not None and bound.expression is not None for bound in bounds)


def _accepted_kinds(item: Item) -> frozenset[str]:
    kinds = _KINDS[item.type]
    if item.type in (ItemType.CHOICE, ItemType.OPEN_CHOICE) and item.options:
        return kinds | {option.value.kind for option in item.options}
    return kinds


def _count_common(plan: ItemPlan, other: ItemPlan) -> int:
    """Return how many items, from the root down, stand above both: the same instance of them is meant."""
    count = 0
    for one, another in zip(plan.chain[:-1], other.chain, strict=False):
        if one is not another:
            break
        count += 1
    return count
