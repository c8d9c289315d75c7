"""Which item of the new version is which of the old: by linkId, unless the questions themselves say otherwise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kpro_graph.questionnaires.model import Item, Questionnaire

__all__ = ["Matching", "match", "plain"]

_BETWEEN = re.compile(r"(?<!\d)[.,:;!?…\"“”„»«’‘']+(?!\d)")
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """Return a text without what is mere form: punctuation outside numbers, spaces, capital letters."""
    bare = _BETWEEN.sub(" ", unicodedata.normalize("NFC", text))
    return _SPACE.sub(" ", bare).strip().casefold()


@dataclass(frozen=True, slots=True)
class Matching:
    """The items of two versions put side by side.

    Attributes:
        pairs: each item that is in both, old and new, in the new order.
        removed, added: the items that are in one only, in document order.
        renamed: the linkIds that are others in the new version, old to new.
    """

    pairs: tuple[tuple[Item, Item], ...]
    removed: tuple[Item, ...]
    added: tuple[Item, ...]
    renamed: Mapping[str, str]
    new_name: Mapping[str, str]

    def follow(self, link_id: str) -> str:
        """Return an old linkId as the new version calls it; one that is gone keeps its name, marked as the old one."""
        return self.new_name.get(link_id, f"\0{link_id}")


def match(old: Questionnaire, new: Questionnaire) -> Matching:
    """Put the items of two versions side by side.

    An item under the same linkId is the same item. But where an old question's own type and words are found under
    another linkId, once and only once, it has moved there, also if its old linkId is in use again: a questionnaire that
    was renumbered would otherwise pass one question's answers off as another's.
    """
    found: dict[str, str] = {}
    left_old = {item.link_id: item for item in old.walk()}
    left_new = {item.link_id: item for item in new.walk()}

    def take(one: Item, other: Item) -> None:
        found[one.link_id] = other.link_id
        del left_old[one.link_id], left_new[other.link_id]

    for item in list(left_old.values()):
        same = left_new.get(item.link_id)
        if same is not None and item.type is same.type and plain(item.text) == plain(same.text):
            take(item, same)
    for signature in (_words_and_options, _words):
        here, there = _unique(left_old.values(), signature), _unique(left_new.values(), signature)
        for words, item in here.items():
            if words in there:
                take(item, there[words])
    for item in list(left_old.values()):
        same = left_new.get(item.link_id)
        if same is not None:
            take(item, same)
    pairs = [(old.by_link_id[one], new.by_link_id[other]) for one, other in found.items()]
    pairs.sort(key=lambda pair: pair[1].position)
    return Matching(
        pairs=tuple(pairs),
        removed=tuple(left_old.values()),
        added=tuple(left_new.values()),
        renamed={one: other for one, other in found.items() if one != other},
        new_name=found,
    )


def _words(item: Item) -> tuple[object, ...] | None:
    text = plain(item.text)
    return (item.type, text) if text else None


def _words_and_options(item: Item) -> tuple[object, ...] | None:
    words = _words(item)
    return None if words is None else (*words, tuple(option.value.key for option in item.options), item.value_set)


def _unique(
    items: Iterable[Item], signature: Callable[[Item], tuple[object, ...] | None]
) -> dict[tuple[object, ...], Item]:
    """Return the items by what tells them apart, without those that it does not tell apart."""
    found: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        words = signature(item)
        if words is not None:
            found.setdefault(words, []).append(item)
    return {words: alike[0] for words, alike in found.items() if len(alike) == 1}
