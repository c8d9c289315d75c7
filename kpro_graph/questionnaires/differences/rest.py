"""What an item's document holds beside all that is compared by its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from kpro_graph.questionnaires.document import mapping_of, mappings_of
from kpro_graph.questionnaires.extensions import CORE, FUT, SDC
from kpro_graph.questionnaires.valuesets import TRANSLATION

__all__ = ["is_picture", "markup_of", "unread_item", "unread_markup"]

_READ = frozenset(
    """linkId type text prefix definition code required repeats readOnly answerOption answerValueSet initial enableWhen
    enableBehavior maxLength item""".split()
)
_CORE_NAMES = """questionnaire-hidden questionnaire-minOccurs questionnaire-maxOccurs minLength regex maxDecimalPlaces
    minValue maxValue questionnaire-unit questionnaire-unitOption questionnaire-unitValueSet mimeType maxSize
    questionnaire-referenceResource questionnaire-itemControl questionnaire-sliderStepValue variable
    questionnaire-constraint targetConstraint questionnaire-enableWhenExpression questionnaire-calculatedExpression
    questionnaire-initialExpression"""
_SDC_NAMES = "enableWhenExpression calculatedExpression initialExpression minQuantity maxQuantity unitOpen shortText"
_FUT_NAMES = "shortText helpText sliderStepValueDecimal feedback answerSignificance"
_READ_EXTENSIONS = frozenset(
    [f"{CORE}{name}" for name in _CORE_NAMES.split()]
    + [f"{SDC}sdc-questionnaire-{name}" for name in _SDC_NAMES.split()]
    + [f"{FUT}{prefix}{name}" for name in _FUT_NAMES.split() for prefix in ("ehealth-questionnaire-", "ehealth-", "")]
)
_MARKUP = frozenset(f"{CORE}rendering-{name}" for name in ("xhtml", "markdown"))
_PICTURES = frozenset(
    [f"{FUT}{prefix}image" for prefix in ("ehealth-questionnaire-", "ehealth-", "")]
    + [f"{SDC}sdc-questionnaire-{name}" for name in ("itemMedia", "itemAnswerMedia")]
)
_TAG = re.compile(r"<[^<>]{0,2000}>")


def unread_item(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in an item and is not compared by its meaning."""
    left = {name: part for name, part in source.items() if name not in _READ}
    left["extension"] = [
        each for each in mappings_of(source, "extension") if each.get("url") not in _READ_EXTENSIONS
    ]
    companion = mapping_of(source, "_text")
    if companion is not None:
        further = [
            each
            for each in mappings_of(companion, "extension")
            if each.get("url") != TRANSLATION and each.get("url") not in _MARKUP
        ]
        left["_text"] = {**companion, "extension": further}
    return {name: part for name, part in left.items() if part not in ([], {}, {"extension": []})}


def unread_markup(left: Mapping[str, Any]) -> dict[str, Any]:
    """Return what remains of an item's unread parts without pictures and modifiers, which are told of by themselves."""
    remains = {name: part for name, part in left.items() if name != "modifierExtension"}
    remains["extension"] = [each for each in left.get("extension", ()) if not is_picture(each)]
    return {name: part for name, part in remains.items() if part != []}


def is_picture(extension: Mapping[str, Any]) -> bool:
    """Return whether an extension holds a picture shown with the item."""
    return extension.get("url") in _PICTURES


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
