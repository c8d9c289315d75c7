"""What an item's document holds beside all that is compared by its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from kpro_graph.questionnaires.document import mapping_of, mappings_of
from kpro_graph.questionnaires.extensions import CORE, FUT, SDC
from kpro_graph.questionnaires.valuesets import TRANSLATION

__all__ = ["PICTURES", "further_of", "markup_of", "modifiers_of", "pictures_of", "references_in", "unread_item"]

_ELEMENTS = """linkId type text prefix definition code required repeats readOnly answerOption answerValueSet initial
    enableWhen enableBehavior maxLength item"""
_CORE_NAMES = """questionnaire-hidden questionnaire-minOccurs questionnaire-maxOccurs minLength regex maxDecimalPlaces
    minValue maxValue questionnaire-unit questionnaire-unitOption questionnaire-unitValueSet mimeType maxSize
    questionnaire-referenceResource questionnaire-itemControl questionnaire-sliderStepValue variable
    questionnaire-constraint targetConstraint questionnaire-enableWhenExpression questionnaire-calculatedExpression
    questionnaire-initialExpression"""
_SDC_NAMES = """enableWhenExpression calculatedExpression initialExpression minQuantity maxQuantity unitOpen shortText
    answerExpression answerOptionsToggleExpression"""
_FUT_NAMES = "shortText helpText sliderStepValueDecimal feedback answerSignificance"
_READ = frozenset(_ELEMENTS.split())
_READ_EXTENSIONS = frozenset(
    [f"{CORE}{name}" for name in _CORE_NAMES.split()]
    + [f"{SDC}sdc-questionnaire-{name}" for name in _SDC_NAMES.split()]
    + [f"{FUT}{prefix}{name}" for name in _FUT_NAMES.split() for prefix in ("ehealth-questionnaire-", "ehealth-", "")]
)
_MARKUP = frozenset(f"{CORE}rendering-{name}" for name in ("xhtml", "markdown"))
PICTURES = frozenset(
    [f"{FUT}{prefix}image" for prefix in ("ehealth-questionnaire-", "ehealth-", "")]
    + [f"{SDC}sdc-questionnaire-{name}" for name in ("itemMedia", "itemAnswerMedia")]
)
_TAG = re.compile(r"<[^<>]{0,2000}>")


def unread_item(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in an item and is not compared by its meaning."""
    left = {name: part for name, part in source.items() if name not in _READ}
    left["extension"] = [each for each in mappings_of(source, "extension") if each.get("url") not in _READ_EXTENSIONS]
    companion = mapping_of(source, "_text")
    if companion is not None:
        further = [
            each
            for each in mappings_of(companion, "extension")
            if each.get("url") != TRANSLATION and each.get("url") not in _MARKUP
        ]
        left["_text"] = {**companion, "extension": further}
    return {name: part for name, part in left.items() if part not in ([], {}, {"extension": []})}


def modifiers_of(left: Mapping[str, Any]) -> list[Any]:
    """Return the extensions that change what an item means."""
    return list(left.get("modifierExtension", ()))


def pictures_of(source: Mapping[str, Any], document: Mapping[str, Any]) -> list[Any]:
    """Return the pictures shown with an item or an option, those that the document contains themselves."""
    contained = {f"#{each.get('id')}": each for each in mappings_of(document, "contained")}
    found: list[Any] = []
    for each in mappings_of(source, "extension"):
        if each.get("url") in PICTURES:
            found.append(each)
            found.extend(contained[name] for name in references_in(each) if name in contained)
    return found


def references_in(value: object) -> list[str]:
    """Return every reference in a part of a document."""
    if isinstance(value, Mapping):
        own = value.get("reference")
        below = [name for part in value.values() for name in references_in(part)]
        return [own, *below] if isinstance(own, str) else below
    return [name for part in value for name in references_in(part)] if isinstance(value, list) else []


def further_of(left: Mapping[str, Any]) -> list[Any]:
    """Return what remains unread of an item beside modifiers and pictures."""
    extensions = [each for each in left.get("extension", ()) if each.get("url") not in PICTURES]
    return [extensions, {name: part for name, part in left.items() if name not in ("modifierExtension", "extension")}]


def markup_of(source: Mapping[str, Any]) -> str:
    """Return the words of an item's text as marked up for display, without the marks; empty where there are none."""
    texts = [
        part
        for each in mappings_of(mapping_of(source, "_text"), "extension")
        if each.get("url") in _MARKUP
        for name, part in each.items()
        if name.startswith("value") and isinstance(part, str)
    ]
    return " ".join(unescape(_TAG.sub(" ", text)) for text in texts)
