"""Small questionnaires, answers and rule sets for the tests of scores and colours, built in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from kpro_graph.questionnaires.answers import Answers, assemble
from kpro_graph.questionnaires.enablement import decide
from kpro_graph.questionnaires.interpretation import (
    RESPONSE,
    Colour,
    Interpretation,
    RuleSet,
    interpret,
    read_rule_set,
)
from kpro_graph.questionnaires.layout import lay_out
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.plan import plan_of
from kpro_graph.questionnaires.reading import read_questionnaire
from kpro_graph.questionnaires.scoring import score

CONTENT = Path(__file__).parents[1] / "kpro_graph" / "plugins" / "national_questionnaires" / "content"
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/"
URL = "https://example.org/Questionnaire/q"
WORD = {"da": "Ord", "en": "Word"}
LABEL = {"da": "Mål", "en": "Measure"}


def choice(link_id: str, codes: str, *extensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An item with one coded option a letter, weighing 0, 1, 2 and so on."""
    options = [
        {
            "valueCoding": {
                "system": "urn:x",
                "code": code,
                "display": f"Svar {code}",
                "extension": [{"url": ORDINAL, "valueDecimal": weight}],
            }
        }
        for weight, code in enumerate(codes)
    ]
    item = {"linkId": link_id, "type": "choice", "text": f"Spørgsmål {link_id}", "answerOption": options, **more}
    return {**item, "extension": list(extensions)} if extensions else item


def number(link_id: str, *extensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    item = {"linkId": link_id, "type": "decimal", "text": f"Spørgsmål {link_id}", **more}
    return {**item, "extension": list(extensions)} if extensions else item


def significance(colour: str, *conditions: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "url": f"{FUT}ehealth-questionnaire-answerSignificance",
        "extension": [
            *(
                {
                    "url": "answerCondition",
                    "extension": [{"url": "operator", "valueCode": operator}, {"url": "value", **value}],
                }
                for operator, value in conditions
            ),
            {"url": "significance", "valueCode": colour},
        ],
    }


def coded(code: str) -> dict[str, Any]:
    return {"valueCoding": {"system": "urn:x", "code": code}}


def make(*items: dict[str, Any], version: str = "1.0.0", url: str = URL) -> Questionnaire:
    return read_questionnaire(
        {
            "resourceType": "Questionnaire",
            "url": url,
            "version": version,
            "status": "active",
            "language": "da",
            "item": list(items),
        }
    )


def answer(questionnaire: Questionnaire, given: Mapping[str, Any]) -> Answers:
    """Answers by path: text is a code, a bool a boolean, a number a decimal, a mapping itself; a list is several."""
    written: dict[str, list[dict[str, Any]]] = {}
    for path, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            match value:
                case bool():
                    one: dict[str, Any] = {"valueBoolean": value}
                case int() | Decimal():
                    one = {"valueDecimal": value}
                case dict():
                    one = value
                case _:
                    one = coded(value)
            written.setdefault(path, []).append(one)
    layout = lay_out(plan_of(questionnaire), assemble(questionnaire, written))
    decide(layout)
    return Answers(questionnaire, layout)


def document(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "format": "kpro-graph/rule-set/1",
        "id": "rules",
        "version": "1.0.0",
        "questionnaire": {"url": URL, "versions": ["1.0.0"]},
        "title": {"da": "Regler", "en": "Rules"},
        "status": "approved",
        "approval": {"by": "Klinisk råd", "at": "2026-11-01T12:00:00+01:00"},
        "intendedPurpose": {"da": "Samtale", "en": "Dialogue"},
        "medicalDeviceClass": "not_a_device",
        "meaning": "dialogue",
        "scores": [],
        "rules": list(rules),
        "topics": [],
        **more,
    }


def rule_set(*rules: dict[str, Any], **more: Any) -> RuleSet:
    return read_rule_set(document(*rules, **more))


def band(colour: str, **bounds: Any) -> dict[str, Any]:
    return {**bounds, "colour": colour, "word": WORD, "source": "a source"}


def case(colour: str, **matched: Any) -> dict[str, Any]:
    return {"answer": matched, "colour": colour, "word": WORD, "source": "a source"}


def read(
    questionnaire: Questionnaire, rules: RuleSet | None, given: Mapping[str, Any] | Answers
) -> dict[str, Interpretation]:
    """Score and interpret, by subject."""
    answers = given if isinstance(given, Answers) else answer(questionnaire, given)
    scores = () if rules is None else score(rules, answers)
    found = interpret(questionnaire, rules, answers, scores)
    assert found[-1].subject == RESPONSE
    return {one.subject: one for one in found}


def colours(questionnaire: Questionnaire, rules: RuleSet | None, given: Mapping[str, Any] | Answers) -> dict[str, str]:
    return {subject: one.colour.value for subject, one in read(questionnaire, rules, given).items()}


def reason(one: Interpretation) -> str:
    assert one.colour is Colour.NOT_INTERPRETED
    assert one.explanation.reason is not None
    return one.explanation.reason.code


PAIN = {"code": "pain", "kind": "item", "label": {"da": "Smerte", "en": "Pain"}, "item": "pain"}
MOOD = {"code": "mood", "kind": "item", "label": {"da": "Humør", "en": "Mood"}, "item": "mood"}
PAIN_RULE = {
    "id": "pain-level",
    "score": "pain",
    "intervals": [band("green", below=3), band("yellow", atLeast=3, atMost=7), band("red", above=7)],
}
MOOD_RULE = {"id": "mood-level", "score": "mood", "intervals": [band("green", atMost=2), band("yellow", above=2)]}
BOTH = make(number("pain"), number("mood"))
RULES = rule_set(PAIN_RULE, MOOD_RULE, scores=[PAIN, MOOD])

NUMERIC = number(
    "pain",
    significance("green", ("<", {"valueInteger": 3})),
    significance("yellow", (">=", {"valueDecimal": 3}), ("<=", {"valueDecimal": 7})),
    significance("red", (">", {"valueInteger": 7})),
)


def holds_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_float(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(holds_float(part) for part in value)
    return isinstance(value, float)
