"""FHIR R4 written from short Danish and English texts: the questionnaire, its items, options and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Text: TypeAlias = tuple[str, str]
"""A text in Danish, and its English translation."""

_HL7 = "http://hl7.org/fhir/StructureDefinition"
_OWN = "https://kpro-graph.dk"


def questionnaire(name: str, *, title: Text, publisher: str, copyright_notice: str, items: list[Json]) -> Json:
    """Return version 1.0.0 of the questionnaire of that name, in Danish."""
    return {
        "resourceType": "Questionnaire",
        "language": "da",
        "url": f"{_OWN}/Questionnaire/{name}",
        "version": "1.0.0",
        "name": name.title().replace("-", ""),
        **_translated("title", title),
        "status": "active",
        "subjectType": ["Patient"],
        "publisher": publisher,
        "copyright": copyright_notice,
        "item": items,
    }


def item(link_id: str, kind: str, text: Text, **more: object) -> Json:
    """Return one item; ``more`` is written as it is."""
    return {"linkId": link_id, "type": kind, **_translated("text", text), **more}


def choice(link_id: str, text: Text, answers: list[Json]) -> Json:
    """Return a question that needs one of the answers."""
    return item(link_id, "choice", text, required=True, answerOption=answers)


def options(system: str, answers: Sequence[tuple[str, Text, int | None]]) -> list[Json]:
    """Return answers from a code, a text and a weight; None where the answer does not count in a score."""
    found = []
    for code, text, weight in answers:
        coding = {"system": f"{_OWN}/CodeSystem/{system}", "code": code, **_translated("display", text)}
        extension = [] if weight is None else [{"url": f"{_HL7}/ordinalValue", "valueDecimal": weight}]
        found.append({"valueCoding": coding, **({"extension": extension} if extension else {})})
    return found


def when(question: str, answers: list[Json], code: str) -> Json:
    """Return the condition that the question has the answer with that code."""
    coding = next(each["valueCoding"] for each in answers if each["valueCoding"]["code"] == code)
    answer = {"system": coding["system"], "code": coding["code"]}
    return {"enableWhen": [{"question": question, "operator": "=", "answerCoding": answer}]}


def scale(lowest: int, highest: int, *, slider: bool = True) -> list[Json]:
    """Return the extensions of a whole number between two bounds, both included."""
    control = {"coding": [{"system": "http://hl7.org/fhir/questionnaire-item-control", "code": "slider"}]}
    bounds: list[Json] = [
        {"url": f"{_HL7}/minValue", "valueInteger": lowest},
        {"url": f"{_HL7}/maxValue", "valueInteger": highest},
    ]
    return (
        [*bounds, {"url": f"{_HL7}/questionnaire-itemControl", "valueCodeableConcept": control}] if slider else bounds
    )


def _translated(name: str, text: Text) -> Json:
    danish, english = text
    parts = [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": english}]
    return {name: danish, f"_{name}": {"extension": [{"url": f"{_HL7}/translation", "extension": parts}]}}
