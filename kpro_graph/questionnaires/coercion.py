"""Results of expressions as answers: numbers, texts and codes fitted to the type of the item they answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires.model import Item, ItemType, Value
from kpro_graph.questionnaires.plan import ItemPlan

__all__ = ["coerce"]


def coerce(plan: ItemPlan, result: object) -> Value | None:  # noqa: PLR0912 - one branch for each type
    """Return an expression's result as an answer to the item, or None where it cannot be one."""
    item = plan.item
    number = result if isinstance(result, int | Decimal) and not isinstance(result, bool) else None
    match item.type:
        case ItemType.INTEGER:
            if number is not None and number == int(number):
                return Value("integer", int(number))
        case ItemType.DECIMAL:
            if number is not None:
                return Value("decimal", number)
            if isinstance(result, Mapping) and isinstance(result.get("value"), int | Decimal):
                return Value("decimal", result["value"])
        case ItemType.BOOLEAN:
            if isinstance(result, bool):
                return Value("boolean", result)
        case ItemType.STRING | ItemType.TEXT:
            return _as_text(result)
        case ItemType.DATE | ItemType.DATE_TIME | ItemType.TIME:
            if isinstance(result, str):
                text = result.removeprefix("@").removeprefix("T")
                return Value(item.type.value, text[:10] if item.type is ItemType.DATE else text)
        case ItemType.URL:
            if isinstance(result, str):
                return Value("uri", result)
        case ItemType.QUANTITY:
            return _as_quantity(item, result, number)
        case ItemType.CHOICE | ItemType.OPEN_CHOICE:
            return _as_choice(plan, result)
        case ItemType.ATTACHMENT | ItemType.REFERENCE:
            if isinstance(result, Mapping):
                return Value(next(iter(plan.kinds)), dict(result))
    return None


def _as_text(result: object) -> Value | None:
    if isinstance(result, str):
        return Value("string", result)
    if isinstance(result, bool):
        return Value("string", "true" if result else "false")
    if isinstance(result, int | Decimal):
        return Value("string", format(result, "f") if isinstance(result, Decimal) else str(result))
    if isinstance(result, Mapping):
        text = result.get("display") or result.get("code") or result.get("text")
        return Value("string", text) if isinstance(text, str) else None
    return None


def _as_quantity(item: Item, result: object, number: int | Decimal | None) -> Value | None:
    if isinstance(result, Mapping):
        return Value("Quantity", dict(result))
    if number is None:
        return None
    quantity: dict[str, Any] = {"value": number}
    if item.unit is not None:
        parts = (("unit", item.unit.display), ("system", item.unit.system), ("code", item.unit.code))
        quantity.update({name: part for name, part in parts if part is not None})
    return Value("Quantity", quantity)


def _as_choice(plan: ItemPlan, result: object) -> Value | None:
    """A coding stands for the option with its system and code, a text for the option with that code or that text."""
    if isinstance(result, Mapping):
        value = Value("Coding", dict(result))
        option = plan.options.get(value.key)
        return option.value if option is not None else value
    for option in plan.item.options:
        if option.value.code == result or (option.value.kind != "Coding" and option.value.value == result):
            return option.value
    if isinstance(result, str):
        for option in plan.item.options:
            if option.value.display == result:
                return option.value
        for concept in plan.value_set.concepts.values() if plan.value_set is not None else ():
            if result in (concept.code, concept.display):
                parts = (("system", concept.system), ("code", concept.code), ("display", concept.display))
                return Value("Coding", {name: part for name, part in parts if part})
        if plan.item.type is ItemType.OPEN_CHOICE:
            return Value("string", result)
        if not plan.item.options and plan.value_set is None:
            return Value("Coding", {"code": result})
    return None
