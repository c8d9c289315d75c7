"""Whether a document keeps the structure rules of FHIR R4: names, types, lists, lexical forms, what must be there.

Terminology bindings are checked for the codes that change meaning (status, item type, operator), profiles are not.
The tables of elements are those of FHIR R4 (4.0.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from kpro_graph.questionnaires.expressions.model import is_known, is_primitive, members
from kpro_graph.questionnaires.model import ItemType
from kpro_graph.questionnaires.problems import Problem, make_problem

__all__ = ["judge_header", "judge_structure"]

_ANY = {"extension", "modifierExtension", "contained", "coding"}
_LISTS: Mapping[str, frozenset[str]] = {
    "Questionnaire": frozenset(
        {"identifier", "derivedFrom", "subjectType", "contact", "useContext", "jurisdiction", "code", "item"}
    ),
    "Questionnaire.item": frozenset({"code", "enableWhen", "answerOption", "initial", "item"}),
    "Questionnaire.item.enableWhen": frozenset(),
    "Questionnaire.item.answerOption": frozenset(),
    "Questionnaire.item.initial": frozenset(),
    "QuestionnaireResponse": frozenset({"basedOn", "partOf", "item"}),
    "QuestionnaireResponse.item": frozenset({"answer", "item"}),
    "QuestionnaireResponse.item.answer": frozenset({"item"}),
    "Coding": frozenset(),
    "Quantity": frozenset(),
    "Reference": frozenset(),
    "Attachment": frozenset(),
    "Extension": frozenset(),
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "Questionnaire": ("status",),
    "Questionnaire.item": ("linkId", "type"),
    "Questionnaire.item.enableWhen": ("question", "operator", "answer"),
    "Questionnaire.item.answerOption": ("value",),
    "Questionnaire.item.initial": ("value",),
    "QuestionnaireResponse": ("status",),
    "QuestionnaireResponse.item": ("linkId",),
    "Extension": ("url",),
}
_CODES: Mapping[tuple[str, str], frozenset[str]] = {
    ("Questionnaire", "status"): frozenset({"draft", "active", "retired", "unknown"}),
    ("Questionnaire.item", "type"): frozenset(each.value for each in ItemType),
    ("Questionnaire.item", "enableBehavior"): frozenset({"all", "any"}),
    ("Questionnaire.item.enableWhen", "operator"): frozenset({"exists", "=", "!=", ">", "<", ">=", "<="}),
    ("QuestionnaireResponse", "status"): frozenset(
        {"in-progress", "completed", "amended", "entered-in-error", "stopped"}
    ),
}
_DATE = r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_FORMS = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "date": _DATE,
        "dateTime": f"{_DATE}|{_DAY}T{_CLOCK}{_ZONE}",
        "instant": f"{_DAY}T{_CLOCK}{_ZONE}",
        "time": _CLOCK,
        "code": r"\S+( \S+)*",
        "id": r"[A-Za-z0-9\-.]{1,64}",
        "oid": r"urn:oid:[0-2](\.(0|[1-9]\d*))+",
        "uuid": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "uri": r"\S*",
        "url": r"\S*",
        "canonical": r"\S*",
    }.items()
}
_JUDGED_ELSEWHERE = frozenset(
    {"resourceType", "status", "questionnaire", "item", "meta", "text", "contained", "extension", "modifierExtension"}
)
_WHOLE = {"integer": (-(2**31), 2**31 - 1), "positiveInt": (1, 2**31 - 1), "unsignedInt": (0, 2**31 - 1)}


def judge_structure(document: object) -> list[Problem]:
    """Return every place where a resource breaks FHIR R4's structure rules; an empty list where there is none."""
    kind = document.get("resourceType") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(kind, str) or not is_known(kind):
        return [make_problem("structure")]
    return [make_problem("structure", location=place) for place in dict.fromkeys(_judge(kind, document, kind))]


def judge_header(response: Mapping[str, Any]) -> list[Problem]:
    """Return every place where an element that a response has beside its items breaks R4's structure rules.

    Its texts, extensions and contained resources are not looked into; status and questionnaire are judged elsewhere.
    """
    kind = "QuestionnaireResponse"
    places: list[str] = []
    for name, part in response.items():
        if name not in _JUDGED_ELSEWHERE:
            plain = name.removeprefix("_")
            expected = _forms(kind).get(plain)
            place = f"{kind}.{plain}"
            if expected is None or (name != plain and not is_primitive(expected)):
                places.append(place)
            else:
                places += _judge_part(kind, plain, "Element" if name != plain else expected, part, place)
    return [make_problem("structure", location=place) for place in dict.fromkeys(places)]


@cache
def _forms(kind: str) -> Mapping[str, str]:
    """Return the type of each element of a type, by the names it has in JSON."""
    return {form.key: form.type for each in members(kind).values() for form in each}


def _judge(kind: str, element: Mapping[str, Any], location: str) -> Iterator[str]:
    """Yield the places of what is wrong with an object of a known type."""
    if not element:
        yield location
    forms = _forms(kind)
    choices: dict[str, str] = {}
    for name, part in element.items():
        plain = name.removeprefix("_")
        place = f"{location}.{plain}"
        expected = forms.get(plain)
        if plain == "resourceType" and name == plain:
            continue
        if expected is None or (name != plain and not (is_primitive(expected) or expected.startswith("System."))):
            yield place
            continue
        stem = next((each for each in ("value", "answer") if plain.startswith(each) and plain != each), "")
        if stem and choices.setdefault(stem, plain) != plain:
            yield place
        yield from _judge_part(kind, plain, "Element" if name != plain else expected, part, place)
    for needed in _NEEDED.get(kind, ()):
        if not any(name == needed or (name.startswith(needed) and name in forms) for name in element):
            yield f"{location}.{needed}"
    if kind == "QuestionnaireResponse.item" and "answer" in element and "item" in element:
        yield location


def _judge_part(kind: str, name: str, expected: str, part: object, place: str) -> Iterator[str]:
    lists = _LISTS.get(kind)
    is_list = isinstance(part, list)
    if name in _ANY:
        if not is_list:
            yield place
    elif lists is not None and is_list is not (name in lists):
        yield place
    parts = part if isinstance(part, list) else [part]
    if not parts:
        yield place
    for index, each in enumerate(parts):
        here = f"{place}[{index}]" if is_list else place
        if each is None and is_list and (expected == "Element" or is_primitive(expected)):
            continue
        yield from _judge_one(kind, name, expected, each, here)


def _judge_one(kind: str, name: str, expected: str, part: object, place: str) -> Iterator[str]:
    if expected == "Resource":
        inner = part.get("resourceType") if isinstance(part, Mapping) else None
        if isinstance(part, Mapping) and isinstance(inner, str) and is_known(inner):
            yield from _judge(inner, part, place)
        else:
            yield place
    elif is_primitive(expected) or expected.startswith("System."):
        allowed = _CODES.get((kind, name))
        if not _is_primitive_form(expected, part) or (allowed is not None and part not in allowed):
            yield place
    elif isinstance(part, Mapping):
        if is_known(expected):
            yield from _judge(expected, part, place)
    else:
        yield place


def _is_primitive_form(kind: str, part: object) -> bool:
    if kind == "boolean":
        return isinstance(part, bool)
    if kind in _WHOLE:
        low, high = _WHOLE[kind]
        return isinstance(part, int) and not isinstance(part, bool) and low <= part <= high
    if kind == "decimal":
        return isinstance(part, int | Decimal) and not isinstance(part, bool)
    if not isinstance(part, str) or not part:
        return False
    form = _FORMS.get(kind)
    return form is None or form.fullmatch(part) is not None
