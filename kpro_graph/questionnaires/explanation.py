"""Explanations: why a score or a colour is what it is, readable by a person and complete enough to be recomputed.

An explanation stands alone: it holds the rule, the answers used, the threshold and its source, and which versions of
the rule set and the questionnaire it came from. It goes to JSON and back unchanged; numbers are text there, in one
written form, so that equal explanations are equal byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from kpro_graph.errors import BadInput
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.rules import Colour, Meaning, RuleSet, Status
from kpro_graph.questionnaires.words import Language, Reason, Text, join_words, write_number

__all__ = [
    "COLOUR_WORDS",
    "Explanation",
    "Part",
    "QuestionnaireReference",
    "RuleSetReference",
    "Threshold",
    "ThresholdCondition",
    "Used",
    "quote",
    "refer_to_questionnaire",
    "refer_to_rules",
]

COLOUR_WORDS: Mapping[Colour, Text] = {
    Colour.GREEN: Text(da="grøn", en="green"),
    Colour.YELLOW: Text(da="gul", en="yellow"),
    Colour.RED: Text(da="rød", en="red"),
    Colour.NOT_INTERPRETED: Text(da="ikke fortolket", en="not interpreted"),
}

UsedKind = Literal["number", "code", "boolean", "text", "answered", "missing", "other"]


class Used(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One input and the value of it that was used.

    Attributes:
        subject: ``item:<linkId>`` or ``score:<code>``.
        name: the instrument's own name for the input, where there is one.
        kind: what ``value`` is; ``missing`` where there was none, ``answered`` where only that mattered.
        value: a number in its one written form, a code, ``true`` or ``false``, or a text.
        display: the words of the option chosen.
    """

    subject: str
    label: Text
    kind: UsedKind
    name: str = ""
    value: str | None = None
    system: str | None = None
    display: Text | None = None

    def read(self, language: Language) -> str:
        """Return the value for a reader."""
        if self.value is None:
            return {"da": "besvaret", "en": "answered"}[language] if self.kind == "answered" else "–"
        if self.kind == "number":
            return write_number(Decimal(self.value), language)
        if self.kind == "boolean":
            yes = self.value == "true"
            return ("ja" if yes else "nej") if language == "da" else ("yes" if yes else "no")
        return self.value if self.display is None else self.display.read(language)


class ThresholdCondition(msgspec.Struct, frozen=True, gc=False):
    """One comparison: an operator of enableWhen (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``exists``)."""

    operator: str
    value: str


class Threshold(msgspec.Struct, frozen=True, gc=False):
    """What a value was held against: the comparisons, all of which hold, the same in words, and where it is from."""

    conditions: tuple[ThresholdCondition, ...]
    text: Text
    source: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one rule said, where several make one colour. ``open`` means that it could not be evaluated."""

    subject: str
    label: Text
    rule: str
    colour: Colour
    open: bool = False
    reason: Reason | None = None


class RuleSetReference(msgspec.Struct, frozen=True, gc=False):
    """Which rule set spoke, in which content, and whether it was approved then; ``preview`` lets a draft speak."""

    id: str
    version: str
    hash: str
    status: Status
    preview: bool


class QuestionnaireReference(msgspec.Struct, frozen=True, gc=False):
    """Which version of which questionnaire was answered."""

    url: str
    version: str
    hash: str


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True, gc=False):
    """Why one score or one colour is what it is.

    Attributes:
        about: whether it explains a score or a colour.
        subject: ``score:<code>``, ``item:<linkId>``, or ``response`` for the colour of the whole.
        rule: the id of the rule or definition that decided; empty where none did.
        value: the score, in its one written form.
        formula: how a score is computed, in words; ``minimum`` and ``maximum`` bound it.
        threshold: what made the colour.
        parts: what each rule said, where several make one colour.
        reason: why there is no score or no colour.
        source: the publication a score's formula is from.
        caveats: what is uncertain about it.
    """

    about: Literal["score", "colour"]
    subject: str
    label: Text
    questionnaire: QuestionnaireReference
    rule: str = ""
    value: str | None = None
    colour: Colour | None = None
    word: Text | None = None
    meaning: Meaning | None = None
    inputs: tuple[Used, ...] = ()
    formula: Text | None = None
    minimum: str | None = None
    maximum: str | None = None
    threshold: Threshold | None = None
    parts: tuple[Part, ...] = ()
    reason: Reason | None = None
    source: str = ""
    caveats: tuple[Text, ...] = ()
    rule_set: RuleSetReference | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain objects of text, booleans, lists and mappings; no number is among them."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Explanation:
        """Read what `to_json` returned, also after a way through JSON text.

        Raises:
            BadInput: it is no explanation.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError:
            raise BadInput("The document is no explanation.", path="explanation") from None

    def sentence(self, language: Language) -> str:
        """Return the explanation as one or a few sentences for a reader, in Danish or English."""
        if self.about == "score":
            return _explain_score(self, language)
        if self.subject == "response":
            return _explain_whole(self, language)
        return _explain_colour(self, language)


def refer_to_questionnaire(questionnaire: Questionnaire) -> QuestionnaireReference:
    """Name the version that was answered."""
    return QuestionnaireReference(questionnaire.url, questionnaire.version, questionnaire.content_hash)


def refer_to_rules(rules: RuleSet, *, preview: bool) -> RuleSetReference:
    """Name the rule set that spoke."""
    return RuleSetReference(rules.id, rules.version, rules.content_hash, rules.status, preview)


def _explain_score(one: Explanation, language: Language) -> str:
    label = one.label.read(language)
    if one.value is None:
        reason = "" if one.reason is None else f": {one.reason.text.read(language)}"
        said = f"{label} er ikke beregnet{reason}." if language == "da" else f"{label} is not computed{reason}."
    else:
        value = write_number(Decimal(one.value), language)
        how = [] if one.formula is None else [one.formula.read(language)]
        if one.minimum is not None and one.maximum is not None:
            low, high = write_number(Decimal(one.minimum), language), write_number(Decimal(one.maximum), language)
            how.append(f"fra {low} til {high}" if language == "da" else f"from {low} to {high}")
        brackets = f" ({'; '.join(how)})" if how else ""
        said = f"{label} er {value}{brackets}." if language == "da" else f"{label} is {value}{brackets}."
    if one.source:
        said += f" Kilde: {one.source}." if language == "da" else f" Source: {one.source}."
    for caveat in one.caveats:
        said += f" Forbehold: {caveat.da}." if language == "da" else f" Caveat: {caveat.en}."
    return said


def _explain_colour(one: Explanation, language: Language) -> str:
    colour = COLOUR_WORDS[one.colour or Colour.NOT_INTERPRETED].read(language)
    if one.threshold is None or one.colour in (None, Colour.NOT_INTERPRETED):
        reason = "" if one.reason is None else f": {one.reason.text.read(language)}"
        return f"{quote(one.subject, one.label, language)} {'er' if language == 'da' else 'is'} {colour}{reason}."
    used = one.inputs[0] if one.inputs else None
    held = one.threshold.text.read(language)
    word = "" if one.word is None else f"{one.word.read(language)}; "
    source = f"kilde: {one.threshold.source}" if language == "da" else f"source: {one.threshold.source}"
    if used is None or used.kind in ("answered", "missing"):
        said = held[:1].upper() + held[1:]
        verb = "giver" if language == "da" else "gives"
        return f"{quote(one.subject, one.label, language)}: {said} {verb} {colour} ({word}{source})."
    value = used.read(language)
    name = quote(one.subject, one.label, language)
    if one.subject.startswith("item:"):
        name = f"Svaret på {name}" if language == "da" else f"The answer to {name}"
    head = f"{name} er {value}" if language == "da" else f"{name} is {value}"
    verb = ("er" if language == "da" else "is") if used.kind == "number" else ("giver" if language == "da" else "gives")
    return f"{head}; {held} {verb} {colour} ({word}{source})."


def quote(subject: str, label: Text, language: Language) -> str:
    """Return what to call a subject: a question's own words in quotation marks, the name of a score as it is."""
    if not subject.startswith("item:"):
        return label.read(language)
    return f"»{label.da}«" if language == "da" else f"“{label.en}”"


def _explain_whole(one: Explanation, language: Language) -> str:
    colour = one.colour or Colour.NOT_INTERPRETED
    name = COLOUR_WORDS[colour].read(language)
    head = f"Besvarelsen er {name}" if language == "da" else f"The response is {name}"
    if colour is Colour.NOT_INTERPRETED:
        reason = "" if one.reason is None else f": {one.reason.text.read(language)}"
        return f"{head}{reason}."
    if colour is Colour.GREEN:
        rest = "alt, der er vurderet, er grønt" if language == "da" else "everything that was judged is green"
        return f"{head}: {rest}."
    labels = list(
        dict.fromkeys(quote(part.subject, part.label, language) for part in one.parts if part.colour is colour)
    )
    because = "fordi" if language == "da" else "because"
    verb = "er" if language == "da" else ("is" if len(labels) == 1 else "are")
    if language == "da" and len(labels) > 1:
        name = {Colour.YELLOW: "gule", Colour.RED: "røde"}[colour]
    said = f"{head}, {because} {join_words(labels, language)} {verb} {name}."
    unclear = list(dict.fromkeys(quote(part.subject, part.label, language) for part in one.parts if part.open))
    if unclear:
        names = join_words(unclear, language)
        said += f" Kunne ikke vurderes: {names}." if language == "da" else f" Could not be judged: {names}."
    return said
