"""Value sets that came with a questionnaire: which codes they hold, their texts and their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires.document import mapping_of, mappings_of, number_of, text_of
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


def read_value_set(  # noqa: PLR0912 - one branch for each way to define a set
    source: Mapping[str, Any], code_systems: Iterable[Mapping[str, Any]] = ()
) -> ValueSet:
    """Return the codes of a FHIR ValueSet, read from its expansion or else from what it lists.

    ``code_systems`` are CodeSystem resources at hand, for a part that takes a whole system.
    """
    systems = {text_of(each, "url"): each for each in code_systems}
    concepts: dict[tuple[str | None, str], Concept] = {}
    complete = True
    open_systems: set[str | None] = set()
    expansion = mapping_of(source, "expansion")
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
            system = text_of(include, "system")
            listed = mappings_of(include, "concept")
            for each in listed:
                _add(concepts, system, each, None)
            if listed or expansion is not None:
                continue
            known = systems.get(system)
            whole = known is not None and "filter" not in include and "valueSet" not in include
            if whole and known is not None and known.get("content") == "complete":
                _add_all(concepts, system, known)
            else:
                complete = False
                open_systems.add(None if "valueSet" in include else system)
        for exclude in mappings_of(compose, "exclude"):
            system = text_of(exclude, "system")
            listed = mappings_of(exclude, "concept")
            for each in listed:
                concepts.pop((system, text_of(each, "code") or ""), None)
            if not listed:
                complete = False
                open_systems.add(system)
    elif expansion is None:
        complete = False
        open_systems.add(None)
    return ValueSet(
        text_of(source, "url") or "", text_of(source, "id") or "", concepts, complete, frozenset(open_systems)
    )


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
    before = concepts.get((system, code))
    texts = read_translations(each.get("_display"))
    for designation in mappings_of(each, "designation"):
        language, value = text_of(designation, "language"), text_of(designation, "value")
        if language and value and "use" not in designation:
            texts.setdefault(language, value)
    if before is not None:
        weight = before.weight if weight is None else weight
        texts = {**before.texts, **texts}
    display = text_of(each, "display") or (before.display if before else "")
    concepts[system, code] = Concept(system, code, display, texts, weight)


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
