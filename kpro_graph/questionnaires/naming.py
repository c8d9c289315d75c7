"""What a questionnaire calls its items and options, in both languages: worked out once for each questionnaire."""

from __future__ import annotations

from decimal import Decimal
from weakref import WeakKeyDictionary

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.explanation import Used
from kpro_graph.questionnaires.model import AnswerOption, Item, Questionnaire, Value
from kpro_graph.questionnaires.words import Text

__all__ = ["ItemWords", "words_of"]


class ItemWords:
    """The words of one questionnaire's items and options. It knows no answers."""

    __slots__ = ("_explained", "_labels", "_options")

    def __init__(self, questionnaire: Questionnaire) -> None:
        self._labels = {item.link_id: _label(item) for item in questionnaire.walk()}
        self._options: dict[str, dict[tuple[object, ...], Text | None]] = {
            item.link_id: {option.value.key: _words(option) for option in item.options}
            for item in questionnaire.walk()
            if item.options
        }
        self._explained: dict[tuple[str, tuple[object, ...], Decimal | None], Used] = {}

    def label(self, link_id: str) -> Text:
        """Return what to call an item: its short text, its text, or its linkId where it has neither or is not there."""
        found = self._labels.get(link_id)
        return Text(link_id, link_id) if found is None else found

    def explain(self, link_id: str, value: Value, number: Decimal | None = None) -> Used:
        """Return one answer as an explanation's input; ``number`` is what it counted as, where it was counted.

        A chosen option is shown in the questionnaire's words, never in those that came with the answer.

        Raises:
            NotExact: a number outside the limits.
        """
        options = self._options.get(link_id)
        if options is None or value.key not in options:
            return self._write(link_id, value, number, None)
        # An option is explained alike whoever chose it, so it is written down once.
        key = (link_id, value.key, number)
        known = self._explained.get(key)
        if known is None:
            known = self._explained[key] = self._write(link_id, value, number, options[value.key])
        return known

    def _write(self, link_id: str, value: Value, number: Decimal | None, display: Text | None) -> Used:
        subject, label = f"item:{link_id}", self.label(link_id)
        if number is not None:
            return Used(subject, label, "number", value=exact.write(number), display=display)
        if value.kind == "Coding":
            code = value.code
            if code is not None:
                return Used(subject, label, "code", value=code, system=value.system, display=display)
        if isinstance(value.value, bool):
            return Used(subject, label, "boolean", value="true" if value.value else "false")
        if value.number is not None:
            return Used(subject, label, "number", value=exact.write(value.number))
        if isinstance(value.value, str):
            return Used(subject, label, "text", value=value.value)
        return Used(subject, label, "other")


_KNOWN: WeakKeyDictionary[Questionnaire, ItemWords] = WeakKeyDictionary()


def words_of(questionnaire: Questionnaire) -> ItemWords:
    """Return the words of a questionnaire's items and options."""
    found = _KNOWN.get(questionnaire)
    if found is None:
        found = _KNOWN[questionnaire] = ItemWords(questionnaire)
    return found


def _words(option: AnswerOption) -> Text | None:
    if not option.text:
        return None
    return Text(option.texts.get("da", option.text), option.texts.get("en", option.text))


def _label(item: Item) -> Text:
    return Text(
        da=item.short_text or item.read_text("da") or item.link_id,
        en=item.texts.get("en") or item.short_text or item.text or item.link_id,
    )
