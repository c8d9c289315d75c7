"""A questionnaire as the engine knows it: compiled once when it is read, never changed afterwards.

The document it came from stays beside it, verbatim, as ``source``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from kpro_graph.questionnaires.document import Json, number_of
from kpro_graph.questionnaires.problems import Problem

__all__ = [
    "AnswerOption",
    "Bound",
    "Concept",
    "Condition",
    "Constraint",
    "EnableWhen",
    "Feedback",
    "Image",
    "Item",
    "ItemType",
    "Questionnaire",
    "Significance",
    "SourceExpression",
    "Toggle",
    "Value",
    "ValueSet",
]


class ItemType(StrEnum):
    """The item types of FHIR R4."""

    GROUP = "group"
    DISPLAY = "display"
    QUESTION = "question"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE = "date"
    DATE_TIME = "dateTime"
    TIME = "time"
    STRING = "string"
    TEXT = "text"
    URL = "url"
    CHOICE = "choice"
    OPEN_CHOICE = "open-choice"
    ATTACHMENT = "attachment"
    REFERENCE = "reference"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True)
class Value:
    """One value with its FHIR kind: the suffix of ``value[x]``, such as ``Coding``, ``integer`` or ``date``.

    A coding, quantity, attachment or reference is a mapping as FHIR writes it; a decimal keeps its digits.
    """

    kind: str
    value: Json
    _key: tuple[object, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two answers the same answer: system and code of a coding, the size of a number, and so on.

        It can be hashed whatever JSON the value is.
        """
        key = self._key
        if key is None:
            key = self._make_key()
            object.__setattr__(self, "_key", key)
        return key

    def _make_key(self) -> tuple[object, ...]:
        value = self.value
        if isinstance(value, dict):
            if self.kind == "Coding":
                system, code = value.get("system"), value.get("code")
                if isinstance(system, str | None) and isinstance(code, str):
                    return ("Coding", system, code)
                if code is None:  # then only its words tell it from another
                    return ("Coding", _freeze(system), None, _freeze(value.get("display")))
            if self.kind == "Quantity":
                unit = value.get("unit") if value.get("code") is None else value["code"]
                parts = (value.get("value"), value.get("comparator"), value.get("system"), unit)
                return ("Quantity", *map(_freeze, parts))
            if self.kind == "Reference" and isinstance(value.get("reference"), str):
                return ("Reference", value["reference"])
            return (self.kind, _freeze(value))
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return (self.kind, number_of(value))
        return (self.kind, _freeze(value) if isinstance(value, list) else value)

    @property
    def system(self) -> str | None:
        """The system of a coding, else None."""
        part = self.value.get("system") if isinstance(self.value, dict) else None
        return part if isinstance(part, str) else None

    @property
    def code(self) -> str | None:
        """The code of a coding, else None."""
        part = self.value.get("code") if isinstance(self.value, dict) else None
        return part if isinstance(part, str) else None

    @property
    def display(self) -> str | None:
        """The display text of a coding, else None."""
        part = self.value.get("display") if isinstance(self.value, dict) else None
        return part if isinstance(part, str) else None

    @property
    def number(self) -> Decimal | None:
        """The number of an integer, decimal or quantity, else None."""
        if isinstance(self.value, dict):
            return number_of(self.value.get("value")) if self.kind == "Quantity" else None
        return number_of(self.value)

    def as_fhir(self) -> dict[str, Any]:
        """Return the value as FHIR writes it: ``{"valueCoding": {...}}``."""
        return {f"value{self.kind[:1].upper()}{self.kind[1:]}": self.value}

    def __hash__(self) -> int:
        return hash(self.key)


def _freeze(part: Json) -> object:
    """Return a JSON value as one that can be hashed, equal where the JSON is."""
    if isinstance(part, dict):
        return ("{", *((name, _freeze(part[name])) for name in sorted(part)))
    if isinstance(part, list):
        return ("[", *(_freeze(each) for each in part))
    if isinstance(part, bool):
        return ("bool", part)
    number = number_of(part)
    return part if number is None else number


@dataclass(frozen=True, slots=True)
class Image:
    """FUT's image of a question or an option: a reference to a contained Binary, and the terms of its use."""

    reference: str
    terms: str = ""


@dataclass(frozen=True, slots=True)
class AnswerOption:
    """One answer to choose. ``weight`` is the score its author gave it (ordinalValue or itemWeight)."""

    value: Value
    weight: Decimal | None = None
    exclusive: bool = False
    initially_selected: bool = False
    text: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    image: Image | None = None
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class EnableWhen:
    """One condition on another question's answers."""

    question: str
    operator: str
    answer: Value


@dataclass(frozen=True, slots=True)
class Condition:
    """One half of an answer significance: an enableWhen operator and what the answer is compared with."""

    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Significance:
    """FUT's answerSignificance: one condition, or two that make an interval, and the colour they give."""

    conditions: tuple[Condition, ...]
    colour: Literal["green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class SourceExpression:
    """An expression as its author wrote it. ``location`` is where in the questionnaire it stands."""

    text: str
    language: str = "text/fhirpath"
    name: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Toggle:
    """Options that may be chosen only where an expression holds."""

    options: tuple[Value, ...]
    expression: SourceExpression


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule over the answers that must be true; ``target`` tells targetConstraint from the older constraint."""

    key: str
    severity: Literal["error", "warning"]
    human: str
    expression: SourceExpression
    locations: tuple[str, ...] = ()
    target: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """A lowest or highest value: written down, or calculated when ``expression`` is set."""

    value: Value | None
    expression: SourceExpression | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """FUT's feedback: a text shown when a whole-number answer lies within the bounds, both included."""

    text: str
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Concept:
    """One code of a value set."""

    system: str | None
    code: str
    display: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    weight: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ValueSet:
    """The codes of a value set. ``complete`` is false where a part of it is defined by a rule we cannot expand.

    ``open_systems`` are then the code systems such parts draw from; None among them means any.
    """

    url: str
    id: str
    concepts: Mapping[tuple[str | None, str], Concept]
    complete: bool
    open_systems: frozenset[str | None] = frozenset()

    def holds(self, system: str | None, code: str | None) -> bool | None:
        """Return whether a code is in the set; None where that cannot be told."""
        if code and (system, code) in self.concepts:
            return True
        if self.complete or not code or not self.open_systems.intersection((system, None)):
            return False
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One item of a questionnaire with everything that decides what an answer to it may be.

    ``position`` counts the items in document order from 0; ``location`` is the item's FHIRPath place, such as
    ``Questionnaire.item[2].item[0]``; ``parent`` is the linkId of the item above, or None.
    """

    link_id: str
    type: ItemType
    text: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    short_text: str = ""
    help_text: str = ""
    help_xhtml: str = ""
    definition: str = ""
    codes: tuple[Value, ...] = ()
    required: bool = False
    repeats: bool = False
    read_only: bool = False
    hidden: bool = False
    options: tuple[AnswerOption, ...] = ()
    value_set: str = ""
    enable_when: tuple[EnableWhen, ...] = ()
    enable_behavior: Literal["all", "any"] = "any"
    enable_expression: SourceExpression | None = None
    calculated: SourceExpression | None = None
    initial: tuple[Value, ...] = ()
    initial_expression: SourceExpression | None = None
    answer_expression: SourceExpression | None = None
    toggles: tuple[Toggle, ...] = ()
    variables: tuple[SourceExpression, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    regex: str = ""
    max_decimal_places: int | None = None
    min_value: Bound | None = None
    max_value: Bound | None = None
    min_quantity: Bound | None = None
    max_quantity: Bound | None = None
    min_occurs: int | None = None
    max_occurs: int | None = None
    unit: Value | None = None
    unit_options: tuple[Value, ...] = ()
    unit_value_set: str = ""
    unit_open: str = ""
    mime_types: tuple[str, ...] = ()
    max_size: Decimal | None = None
    reference_types: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    slider_step: Decimal | None = None
    feedback: tuple[Feedback, ...] = ()
    significances: tuple[Significance, ...] = ()
    is_copyright: bool = False
    image: Image | None = None
    children: tuple[Item, ...] = ()
    parent: str | None = None
    position: int = 0
    depth: int = 0
    location: str = ""
    source: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def answerable(self) -> bool:
        """Whether the item takes answers: everything but groups, displays and the abstract ``question``."""
        return self.type not in (ItemType.GROUP, ItemType.DISPLAY, ItemType.QUESTION)

    def read_text(self, language: str) -> str:
        """Return the item's text in that language, else in the questionnaire's own."""
        return self.texts.get(language, self.text)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Questionnaire:
    """A whole questionnaire. ``remarks`` are the faults found when reading it that do not hinder its use.

    ``outside`` names the variables whose values come from elsewhere (launch context, queries) and are empty here.

    ``content_hash`` is the SHA-256 of the canonical JSON, so two versions with the same meaning have the same hash.
    """

    url: str
    version: str
    name: str
    title: str
    titles: Mapping[str, str]
    status: str
    language: str
    items: tuple[Item, ...]
    by_link_id: Mapping[str, Item]
    value_sets: Mapping[str, ValueSet]
    content_hash: str
    source: Mapping[str, Any] = field(repr=False)
    employee_title: str = ""
    usage: str = ""
    effective_start: str = ""
    effective_end: str = ""
    variables: tuple[SourceExpression, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    outside: frozenset[str] = frozenset()
    remarks: tuple[Problem, ...] = ()

    def item(self, link_id: str) -> Item:
        """Return the item with that linkId.

        Raises:
            KeyError: the questionnaire has no such item.
        """
        return self.by_link_id[link_id]

    def walk(self) -> Iterator[Item]:
        """Yield every item in document order, parents before their children."""
        return iter(self.by_link_id.values())

    def value_set(self, reference: str) -> ValueSet | None:
        """Return the value set a reference (``#id`` or a canonical url) names, or None where it is not at hand."""
        found = self.value_sets.get(reference)
        if found is None and "|" in reference:
            found = self.value_sets.get(reference.partition("|")[0])
        return found
