"""Value sets that came with a questionnaire: which codes they hold, their texts and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from kpro_graph.questionnaires.document import mapping_of, mappings_of, number_of, text_of, texts_of
from kpro_graph.questionnaires.model import Concept, ValueSet

__all__ = ["WEIGHTS", "read_translations", "read_value_set", "read_weight"]

WEIGHTS = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/ordinalValue",
        "http://hl7.org/fhir/StructureDefinition/itemWeight",
        "http://hl7.org/fhir/StructureDefinition/codesystem-ordinalValue",
        "http://hl7.org/fhir/StructureDefinition/valueset-ordinalValue",
        "http://hl7.org/fhir/StructureDefinition/questionnaire-ordinalValue",
    }
)
"""The extensions that carry the score of an answer, older and newer names."""

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion."
_PROPERTY = f"{_R5}property"
_CONTAINS_PROPERTY = f"{_R5}contains.property"


def read_weight(*elements: object) -> Decimal | None:
    """Return the first weight extension found on the elements, or None."""
    for element in elements:
        for extension in mappings_of(element, "extension"):
            if extension.get("url") in WEIGHTS:
                for name in ("valueDecimal", "valueInteger"):
                    weight = number_of(extension.get(name))
                    if weight is not None:
                        return weight
    return None


def read_translations(element: object) -> dict[str, str]:
    """Return the translations on a primitive's companion element (``_text``), by language code."""
    texts: dict[str, str] = {}
    for extension in mappings_of(element, "extension"):
        if extension.get("url") != TRANSLATION:
            continue
        language = content = None
        for part in mappings_of(extension, "extension"):
            if part.get("url") == "lang":
                language = text_of(part, "valueCode") or text_of(part, "valueString")
            elif part.get("url") == "content":
                content = text_of(part, "valueString") or text_of(part, "valueMarkdown")
        if language and content:
            texts[language] = content
    return texts


Find: TypeAlias = "Callable[[str], ValueSet | None]"
"""Finds the value set a reference names, or None where it is not at hand."""


def _find_none(reference: str) -> ValueSet | None:
    return None


def read_value_set(  # noqa: PLR0912 - one branch for each way to define a set
    source: Mapping[str, Any], code_systems: Iterable[Mapping[str, Any]] = (), find: Find = _find_none
) -> ValueSet:
    """Return the codes of a FHIR ValueSet, read from its expansion or else from what it lists.

    ``code_systems`` are CodeSystem resources at hand, for a part that takes a whole system; ``find`` gives the other
    value sets that a part is taken from.
    """
    systems = {text_of(each, "url"): each for each in code_systems}
    concepts: dict[tuple[str | None, str], Concept] = {}
    complete = True
    open_systems: set[str | None] = set()
    expansion = mapping_of(source, "expansion")
    if expansion is not None and not expansion.get("contains") and "compose" in source:
        expansion = None
    if expansion is not None:
        weight_codes = _weight_properties(expansion)
        pending = mappings_of(expansion, "contains")[::-1]
        while pending:
            each = pending.pop()
            pending.extend(mappings_of(each, "contains")[::-1])
            if each.get("abstract") is not True:
                _add(concepts, text_of(each, "system"), each, _property_weight(each, weight_codes))
        total = expansion.get("total")
        if isinstance(total, int) and total > len(concepts):
            complete = False
            open_systems.add(None)
    compose = mapping_of(source, "compose")
    if compose is not None:
        for include in mappings_of(compose, "include"):
            if expansion is not None:
                # A full expansion says which codes are in; what is listed may say more of them.
                system = text_of(include, "system")
                for each in mappings_of(include, "concept"):
                    if not complete or (system, text_of(each, "code") or "") in concepts:
                        _add(concepts, system, each, None)
                continue
            part, whole = _read_part(include, systems, find)
            for key, concept in part.items():
                concepts[key] = _merge(concepts.get(key), concept)
            if not whole:
                complete = False
                open_systems.add(text_of(include, "system"))
        for exclude in mappings_of(compose, "exclude") if expansion is None else ():
            part, whole = _read_part(exclude, systems, find)
            if whole:
                for key in part:
                    concepts.pop(key, None)
            else:
                complete = False
                open_systems.add(text_of(exclude, "system"))
    elif expansion is None:
        complete = False
        open_systems.add(None)
    return ValueSet(
        text_of(source, "url") or "", text_of(source, "id") or "", concepts, complete, frozenset(open_systems)
    )


def _read_part(
    part: Mapping[str, Any], systems: Mapping[str | None, Mapping[str, Any]], find: Find
) -> tuple[dict[tuple[str | None, str], Concept], bool]:
    """Return the codes of one ``include`` or ``exclude`` as far as they can be told, and whether that is all of them.

    A part that names codes and value sets means the codes that are in all of them.
    """
    system = text_of(part, "system")
    found: dict[tuple[str | None, str], Concept] | None = None
    whole = True
    listed = mappings_of(part, "concept")
    if listed:
        found = {}
        for each in listed:
            _add(found, system, each, None)
    elif system is not None:
        known = systems.get(system)
        if known is not None and "filter" not in part and known.get("content") == "complete":
            found = {}
            _add_all(found, system, known)
        else:
            # A whole system beside a value set only says which of that set's codes are meant.
            whole = "filter" not in part and "valueSet" in part
    for reference in texts_of(part, "valueSet"):
        other = find(reference)
        if other is None or not other.complete:
            whole = False
        elif found is None:
            found = {key: concept for key, concept in other.concepts.items() if system in (None, key[0])}
        else:
            found = {key: concept for key, concept in found.items() if key in other.concepts}
    return found or {}, whole and found is not None


def _merge(before: Concept | None, after: Concept) -> Concept:
    """Return one concept of two mentions of the same code."""
    if before is None:
        return after
    weight = before.weight if after.weight is None else after.weight
    texts = {**before.texts, **after.texts}
    return Concept(after.system, after.code, after.display or before.display, texts, weight)


def _add_all(concepts: dict[tuple[str | None, str], Concept], system: str | None, known: Mapping[str, Any]) -> None:
    pending = mappings_of(known, "concept")[::-1]
    while pending:
        each = pending.pop()
        pending.extend(mappings_of(each, "concept")[::-1])
        _add(concepts, system, each, None)


def _add(
    concepts: dict[tuple[str | None, str], Concept],
    system: str | None,
    each: Mapping[str, Any],
    weight: Decimal | None,
) -> None:
    code = text_of(each, "code")
    if not code:
        return
    if weight is None:
        weight = read_weight(each)
    texts = read_translations(each.get("_display"))
    for designation in mappings_of(each, "designation"):
        language, value = text_of(designation, "language"), text_of(designation, "value")
        if language and value and "use" not in designation:
            texts.setdefault(language, value)
    concept = Concept(system, code, text_of(each, "display") or "", texts, weight)
    concepts[system, code] = _merge(concepts.get((system, code)), concept)


def _weight_properties(expansion: Mapping[str, Any]) -> frozenset[str]:
    """Return the property codes that mean a weight, declared in FHIR R5's way on an R4 expansion."""
    codes = {"itemWeight", "ordinalValue"}
    for extension in mappings_of(expansion, "extension"):
        if extension.get("url") == _PROPERTY:
            parts = {text_of(part, "url"): part for part in mappings_of(extension, "extension")}
            uri = text_of(parts.get("uri"), "valueUri") or ""
            code = text_of(parts.get("code"), "valueCode")
            if code and uri.rpartition("/")[2].rpartition("#")[2] in ("itemWeight", "ordinalValue"):
                codes.add(code)
    return frozenset(codes)


def _property_weight(each: Mapping[str, Any], codes: frozenset[str]) -> Decimal | None:
    for extension in mappings_of(each, "extension"):
        if extension.get("url") == _CONTAINS_PROPERTY:
            parts = {text_of(part, "url"): part for part in mappings_of(extension, "extension")}
            if text_of(parts.get("code"), "valueCode") in codes:
                value = parts.get("value[x]") or parts.get("value") or {}
                for name in ("valueDecimal", "valueInteger"):
                    weight = number_of(value.get(name))
                    if weight is not None:
                        return weight
    return None
