"""The score of an answer: put on the answers from the questionnaire, and read by ``weight()``.

``weight()`` (``ordinal()`` in older forms) is given answers without their place, so it could not tell two
questions apart whose options share a code with reversed scores. Therefore the score is looked up by question
beforehand and travels on the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from .nodes import Collection, ExpressionFailed, Node, value_of
from .registry import Environment, function

__all__ = ["WEIGHT_EXTENSIONS", "Lookup", "declared_weights", "items_of", "objects", "with_weights"]

ORDINAL_VALUE: Final = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
WEIGHT_EXTENSIONS: Final = frozenset({ORDINAL_VALUE, "http://hl7.org/fhir/StructureDefinition/itemWeight"})

#: From a linkId and the answered Coding (or plain value) to its score, or None where it has none.
Lookup: TypeAlias = Callable[[str, Any], Decimal | None]

_DEEPEST: Final = 100


def with_weights(
    response: Mapping[str, Any], lookup: Lookup, *, plain_values: bool = False, keep_sent: bool = False
) -> dict[str, Any]:
    """Copy a response and put the score of each answered Coding on it, as an ordinalValue extension.

    The score is what ``lookup(link_id, coding)`` gives; with ``plain_values`` it is asked for numbers, texts and
    dates too. A score that came with the answer is taken off, so that whoever answers cannot set it, unless
    ``keep_sent`` and the lookup has none. Only what changes is copied. Raise :class:`ExpressionFailed` where items
    lie deeper than 100 levels.
    """
    copy = dict(response)
    _weigh_items(copy, _Weighing(lookup, plain_values, keep_sent), 0)
    return copy


class _Weighing:
    def __init__(self, lookup: Lookup, plain_values: bool, keep_sent: bool) -> None:
        self.lookup = lookup
        self.plain_values = plain_values
        self.keep_sent = keep_sent

    def answer(self, link_id: str, answer: dict[str, Any]) -> None:
        """Put the score on one answer, which is a copy already."""
        for key, value in list(answer.items()):
            if not key.startswith("value"):
                continue
            if key == "valueCoding" and isinstance(value, dict):
                answer[key] = self.carrier(value, self.lookup(link_id, value))
            elif not isinstance(value, dict | list):
                weight = self.lookup(link_id, value) if self.plain_values else None
                beside = answer.get(f"_{key}")
                carrier = self.carrier(beside if isinstance(beside, dict) else {}, weight)
                if carrier:
                    answer[f"_{key}"] = carrier
                else:
                    answer.pop(f"_{key}", None)

    def carrier(self, value: dict[str, Any], weight: Decimal | None) -> dict[str, Any]:
        """Give the object with this score and no other."""
        sent = value.get("extension")
        extensions = [one for one in sent if not _is_weight(one)] if isinstance(sent, list) else []
        if weight is not None:
            extensions.append({"url": ORDINAL_VALUE, "valueDecimal": weight})
        elif self.keep_sent or not isinstance(sent, list):
            return value
        kept = {key: one for key, one in value.items() if key != "extension"}
        return {**kept, "extension": extensions} if extensions else kept


def _weigh_items(owner: dict[str, Any], weighing: _Weighing, depth: int) -> None:
    if depth > _DEEPEST:
        raise ExpressionFailed(f"the items of the response lie deeper than {_DEEPEST} levels")
    items = owner.get("item")
    if not isinstance(items, list):
        return
    owner["item"] = [_weighed_item(item, weighing, depth) if isinstance(item, dict) else item for item in items]


def _weighed_item(item: dict[str, Any], weighing: _Weighing, depth: int) -> dict[str, Any]:
    copy = dict(item)
    _weigh_items(copy, weighing, depth + 1)
    link_id, answers = item.get("linkId"), item.get("answer")
    if isinstance(answers, list):
        copies = [dict(answer) if isinstance(answer, dict) else answer for answer in answers]
        for answer in copies:
            if isinstance(answer, dict):
                if isinstance(link_id, str):
                    weighing.answer(link_id, answer)
                _weigh_items(answer, weighing, depth + 1)
        copy["answer"] = copies
    return copy


def _is_weight(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("url") in WEIGHT_EXTENSIONS


@function("weight", "ordinal", gives="System.Decimal")
def _weight(env: Environment, items: Collection) -> Collection:
    """Give the score on each answer, Coding or option; what has none gives nothing."""
    found: Collection = []
    env.spend(len(items))
    for item in items:
        if item.__class__ is Node:
            weight = _carried(item.value) or _carried(item.extra)
            if weight is None and item.value.__class__ is dict:
                weight = _carried_by_value(item.value)
            if weight is not None:
                found.append(value_of(Node(weight[0], "decimal")))
    return found


def _carried_by_value(owner: dict[str, Any]) -> tuple[Any] | None:
    for key, value in owner.items():
        if key.startswith(("value", "_value")) and (weight := _carried(value)) is not None:
            return weight
    return None


def _carried(carrier: Any) -> tuple[Any] | None:
    """Give the score an object carries, in a tuple so that a score of nought counts."""
    if carrier.__class__ is dict and "extension" in carrier:
        for extension in objects(carrier["extension"]):
            if extension.get("url") in WEIGHT_EXTENSIONS:
                value = extension.get("valueDecimal", extension.get("valueInteger"))
                if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                    return (value,)
    return None


def declared_weights(questionnaire: Mapping[str, Any]) -> Lookup:
    """Give the look-up of the scores a questionnaire declares.

    They stand on its options, in its contained value sets (named by ``#id`` or by url) or contained code
    systems, as ordinalValue or itemWeight.
    """
    contained = objects(questionnaire.get("contained"))
    sets: dict[str, dict[tuple[Any, Any], Decimal]] = {}
    systems: dict[tuple[Any, Any], Decimal] = {}
    for one in contained:
        if one.get("resourceType") == "CodeSystem":
            systems.update(_concept_weights(one, one.get("url")))
    for one in contained:
        if one.get("resourceType") == "ValueSet":
            weights = dict(_value_set_weights(one))
            for name in (f"#{one.get('id')}", one.get("url")):
                if isinstance(name, str):
                    sets[name] = weights
    by_item: dict[str, dict[Any, Decimal]] = {}
    for item in items_of(questionnaire):
        weights = {}
        value_set = item.get("answerValueSet")
        if isinstance(value_set, str):
            weights.update(sets.get(value_set, {}))
        for option in objects(item.get("answerOption")):
            for key, value in option.items():
                if key.startswith("value"):
                    weight = _declared(option) or _declared(value) or _declared(option.get(f"_{key}"))
                    if weight is not None:
                        weights[_key(value)] = weight[0]
        by_item[str(item.get("linkId"))] = weights

    def look_up(link_id: str, value: Any) -> Decimal | None:
        key = _key(value)
        found = by_item.get(link_id, {}).get(key)
        return systems.get(key) if found is None and isinstance(value, dict) else found

    return look_up


def _key(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("system"), value.get("code")
    return (type(value).__name__, str(value))


def objects(value: Any) -> list[dict[str, Any]]:
    """Give the objects in a list, and none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def items_of(questionnaire: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every item of a questionnaire, at every depth."""
    waiting = [questionnaire]
    while waiting:
        for item in objects(waiting.pop().get("item")):
            yield item
            waiting.append(item)


def _declared(carrier: Any) -> tuple[Decimal] | None:
    weight = _carried(carrier)
    return None if weight is None else (Decimal(str(weight[0])),)


def _concept_weights(owner: Mapping[str, Any], system: Any) -> Iterator[tuple[tuple[Any, Any], Decimal]]:
    waiting = [owner]
    while waiting:
        part = waiting.pop()
        for concept in (*objects(part.get("concept")), *objects(part.get("contains"))):
            waiting.append(concept)
            weight = _declared(concept)
            if weight is not None:
                yield (concept.get("system", system), concept.get("code")), weight[0]


def _value_set_weights(value_set: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, Any], Decimal]]:
    compose, expansion = value_set.get("compose"), value_set.get("expansion")
    if isinstance(compose, dict):
        for include in objects(compose.get("include")):
            yield from _concept_weights(include, include.get("system"))
    if isinstance(expansion, dict):
        yield from _concept_weights(expansion, None)
