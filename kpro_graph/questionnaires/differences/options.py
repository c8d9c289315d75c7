"""What may be answered to a closed question, whether its options stand in the item or in a value set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.differences.matching import plain
from kpro_graph.questionnaires.differences.remainder import PICTURES, pictures_of
from kpro_graph.questionnaires.differences.wording import compare_words
from kpro_graph.questionnaires.model import Item, Questionnaire, Value
from kpro_graph.questionnaires.valuesets import WEIGHTS

__all__ = ["Choices", "compare_options"]

_EXCLUSIVE = "http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive"
_PREFIX = "http://hl7.org/fhir/StructureDefinition/questionnaire-optionPrefix"
_READ_EXTENSIONS = WEIGHTS | PICTURES | {_EXCLUSIVE, _PREFIX}
_READ_CODING = frozenset({"system", "code", "display", "_display", "extension"})


@dataclass(frozen=True, slots=True)
class _Choice:
    value: Value
    location: str
    text: str
    texts: Mapping[str, str]
    weight: Decimal | None
    exclusive: bool = False
    prefix: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    pictures: list[Any] = field(default_factory=list)


class Choices:
    """The options of one item by what makes them the same option, in order. ``source`` is where they come from.

    ``known`` is false where the item names a value set that is not at hand or not wholly known.
    """

    def __init__(self, questionnaire: Questionnaire, item: Item) -> None:
        self.known = True
        self.source = item.value_set
        self.by_key: dict[tuple[object, ...], _Choice] = {}
        for index, option in enumerate(item.options):
            place = f"{item.location}.answerOption[{index}]"
            choice = _Choice(
                option.value, place, option.text, option.texts, option.weight, option.exclusive, option.prefix,
                option.source, pictures_of(option.source, questionnaire.source),
            )  # fmt: skip
            self.by_key.setdefault(option.value.key, choice)
        if item.value_set:
            found = questionnaire.value_set(item.value_set)
            self.known = found is not None and found.complete
            for concept in found.concepts.values() if found is not None else ():
                coding = {"system": concept.system, "code": concept.code, "display": concept.display}
                value = Value("Coding", {name: part for name, part in coding.items() if part})
                place = f"{item.location}.answerValueSet"
                choice = _Choice(value, place, concept.display, concept.texts, concept.weight)
                self.by_key.setdefault(value.key, choice)

    def __bool__(self) -> bool:
        return bool(self.by_key or self.source)

    @property
    def weighted(self) -> bool:
        """Whether any option has a weight."""
        return any(choice.weight is not None for choice in self.by_key.values())


def compare_options(changes: Changes, old: Choices, new: Choices, item: Item, was: str) -> None:
    """Take down how the options of an item differ. ``was`` is its old linkId, where that is another."""
    if old.source != new.source and not (old.known and new.known):
        changes.add(
            "value_set_changed", item.link_id, f"{item.location}.answerValueSet", was=was,
            before=old.source, after=new.source,
        )  # fmt: skip
        if not (old.by_key and new.by_key):
            return
    elif old.source and new.source and old.known != new.known:
        changes.add("value_set_changed", item.link_id, f"{item.location}.answerValueSet", was=was)
    if not old and new:
        changes.add("value_set_changed", item.link_id, item.location, was=was)
        return
    if old and not new:
        changes.add("value_set_changed", item.link_id, item.location, was=was)
        return
    recoded = _find_recoded(old, new)
    for key, choice in old.by_key.items():
        other = new.by_key.get(recoded.get(key, key))
        if other is None:
            changes.add(
                "option_removed", item.link_id, choice.location, was=was, before=_name(choice), option=choice.value
            )
            continue
        if key in recoded:
            changes.add(
                "option_recoded", item.link_id, other.location, was=was, before=_code(choice), after=_code(other),
                option=choice.value, option_after=other.value,
            )  # fmt: skip
        _compare_choice(changes, choice, other, item, was)
    arrived = set(recoded.values())
    for key, choice in new.by_key.items():
        if key not in old.by_key and key not in arrived:
            changes.add(
                "option_added", item.link_id, choice.location, was=was, after=_name(choice), option=choice.value
            )
    before = [recoded.get(key, key) for key in old.by_key if recoded.get(key, key) in new.by_key]
    if before != [key for key in new.by_key if key in set(before)]:
        changes.add("options_reordered", item.link_id, item.location, was=was)


def _compare_choice(changes: Changes, old: _Choice, new: _Choice, item: Item, was: str) -> None:
    place: dict[str, Any] = {"link_id": item.link_id, "location": new.location, "was": was}
    compare_words(changes, "option_reworded", old.text, new.text, old.texts, new.texts, option=old.value, **place)
    if old.weight != new.weight:
        changes.add("option_reweighted", before=old.weight, after=new.weight, option=old.value, **place)
    if old.exclusive != new.exclusive:
        kind = "option_exclusive" if new.exclusive else "option_not_exclusive"
        changes.add(kind, option=old.value, **place)
    if old.prefix != new.prefix:
        changes.add("label_changed", before=old.prefix, after=new.prefix, option=old.value, **place)
    if old.pictures != new.pictures:
        changes.add("picture_changed", option=old.value, **place)
    if _unread(old.source) != _unread(new.source):
        changes.add("other_changed", option=old.value, **place)


def _find_recoded(old: Choices, new: Choices) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Pair options that are gone with new ones of the same words and weight, where there is no doubt which."""
    gone, come = _by_words(old, new), _by_words(new, old)
    return {gone[words]: come[words] for words in gone if words in come}


def _by_words(choices: Choices, others: Choices) -> dict[tuple[object, ...], tuple[object, ...]]:
    found: dict[tuple[object, ...], list[tuple[object, ...]]] = {}
    for key, choice in choices.by_key.items():
        if key not in others.by_key and choice.value.kind == "Coding" and plain(choice.text):
            found.setdefault((plain(choice.text), choice.weight), []).append(key)
    return {words: keys[0] for words, keys in found.items() if len(keys) == 1}


def _unread(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an option that nothing else compares."""
    left = {name: part for name, part in source.items() if not name.startswith(("value", "_value"))}
    left.pop("initialSelected", None)
    coding = source.get("valueCoding")
    for name, holder in (("extension", source), ("coding", coding)):
        if isinstance(holder, Mapping):
            extensions = holder.get("extension")
            if isinstance(extensions, list):
                left[name] = [
                    each
                    for each in extensions
                    if not (isinstance(each, Mapping) and each.get("url") in _READ_EXTENSIONS)
                ]
    if isinstance(coding, Mapping):
        left["valueCoding"] = {name: part for name, part in coding.items() if name not in _READ_CODING}
    return {name: part for name, part in left.items() if part not in ([], {})}


def _name(choice: _Choice) -> str:
    return choice.text or _code(choice)


def _code(choice: _Choice) -> str:
    return choice.value.code or str(choice.value.value)
