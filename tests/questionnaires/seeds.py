"""One questionnaire with a bit of everything, its rule set, and single changes to either with the kind each is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires import Questionnaire, RuleSet, read_questionnaire, read_rule_set
from tests.questionnaires.making import CORE, SYSTEM, coding, expression, ext, item, options

URL = "https://example.org/Questionnaire/seeded"
FUT = "http://ehealth.sundhed.dk/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
Json = dict[str, Any]


def translated(language: str, text: str) -> Json:
    """Write a translation on a text's companion."""
    parts = [{"url": "lang", "valueCode": language}, {"url": "content", "valueString": text}]
    return {"extension": [{"url": CORE + "translation", "extension": parts}]}


def significant(colour: str, code: str) -> Json:
    """Write FUT's colour of one answer."""
    condition = [{"url": "operator", "valueCode": "="}, {"url": "value", **coding(code)}]
    parts = [{"url": "answerCondition", "extension": condition}, {"url": "significance", "valueCode": colour}]
    return {"url": f"{FUT}ehealth-questionnaire-answerSignificance", "extension": parts}


def ruled(key: str, text: str, severity: str = "error", human: str = "Reglen er brudt") -> Json:
    """Write a rule over the answers."""
    parts = [
        {"url": "key", "valueId": key},
        {"url": "severity", "valueCode": severity},
        {"url": "expression", "valueExpression": {"language": "text/fhirpath", "expression": text}},
        {"url": "human", "valueString": human},
    ]
    return {"url": CORE + "targetConstraint", "extension": parts}


def document() -> Json:
    """Write the questionnaire."""
    mood = options("never", "some", "daily")
    mood[0]["valueCoding"]["_display"] = translated("en", "Never")
    return {
        "resourceType": "Questionnaire",
        "url": URL,
        "version": "1.0.0",
        "status": "active",
        "language": "da",
        "title": "Et skema",
        "publisher": "En kommune",
        "contained": [
            {
                "resourceType": "ValueSet",
                "id": "places",
                "compose": {"include": [{"system": SYSTEM, "concept": [{"code": "home"}, {"code": "away"}]}]},
            },
            {"resourceType": "Binary", "id": "body", "contentType": "image/png", "data": "AAAA"},
        ],
        "extension": [
            expression("variable", "%resource.item.where(linkId = 'weeks').item", variable="asked"),
            ruled("root-1", "%resource.item.where(linkId = 'pain').answer.count() < 2"),
        ],
        "item": [
            item("intro", "display", text="Tænk på de sidste to uger."),
            item(
                "weeks",
                "group",
                item(
                    "mood", "choice", text="Hvor ofte har du været nedtrykt?", _text=translated("en", "How often low?"),
                    prefix="1", required=True, answerOption=mood, code=[{"system": "http://loinc.org", "code": "44255-8"}],
                    extension=[significant("red", "daily")],
                ),
                item("sleep", "choice", text="Hvor ofte har du sovet dårligt?", answerOption=options("never", "some", "daily")),
                item(
                    "total", "decimal", text="I alt", readOnly=True,
                    extension=[expression("calculatedExpression", "%asked.where(linkId = 'mood' or linkId = 'sleep').answer.value.weight().sum()")],
                ),
                text="I de sidste to uger:",
            ),
            item(
                "pain", "integer", text="Hvor ondt har du?", extension=[
                    ext("minValue", valueInteger=0), ext("maxValue", valueInteger=10),
                    {"url": f"{FUT}ehealth-questionnaire-helpText", "extension": [{"url": "text", "valueString": "0 er intet"}]},
                    {"url": f"{FUT}ehealth-questionnaire-feedback", "extension": [
                        {"url": "value", "valueString": "Ring til os"}, {"url": "min", "valueInteger": 8}, {"url": "max", "valueInteger": 10}]},
                    ext("questionnaire-itemControl", valueCodeableConcept={"coding": [{"code": "slider"}]}),
                    {"url": f"{FUT}ehealth-questionnaire-image", "extension": [{"url": "content", "valueReference": {"reference": "#body"}}]},
                ],
            ),
            item(
                "more", "string", text="Fortæl mere", maxLength=100,
                enableWhen=[{"question": "pain", "operator": ">", "answerInteger": 5}],
                extension=[ruled("more-1", "answer.value.length() > 1"), ext("rendering-style", valueString="color: red")],
            ),
            item("note", "text", text="Andet?"),
            item("symptoms", "choice", text="Hvad er du plaget af?", repeats=True, answerOption=options("cough", "itch", "none", weights=False)),
            item("consent", "string", text="Aftalen", readOnly=True, initial=[{"valueString": "Version 1"}]),
            item("weight", "decimal", text="Hvad vejer du?", extension=[ext("questionnaire-unit", valueCoding={"system": "http://unitsofmeasure.org", "code": "kg"})]),
            item("place", "choice", text="Hvor er du?", answerValueSet="#places"),
            item(
                "medicines", "group",
                item("medicine", "string", text="Hvilken medicin?"),
                item("dose", "decimal", text="Hvor meget?"),
                text="Din medicin", repeats=True,
            ),
        ],
    }  # fmt: skip


def rules_document() -> Json:
    """Write the rule set."""
    word = {"da": "Højt", "en": "High"}
    return {
        "format": "kpro-graph/rule-set/1",
        "id": "seeded",
        "version": "1.0.0",
        "questionnaire": {"url": URL, "versions": ["1.0.0"]},
        "title": {"da": "Fortolkning", "en": "Interpretation"},
        "status": "approved",
        "approval": {"by": "Rådet", "at": "2026-11-01T12:00:00+01:00"},
        "intendedPurpose": {"da": "Samtale", "en": "Conversation"},
        "medicalDeviceClass": "not_a_device",
        "meaning": "dialogue",
        "scores": [
            {
                "code": "burden",
                "kind": "sum",
                "label": {"da": "Byrde", "en": "Burden"},
                "items": ["mood", "sleep"],
                "missing": {"rule": "refuse"},
                "minimum": 0,
                "maximum": 4,
            },
            {"code": "pain", "kind": "item", "label": {"da": "Smerte", "en": "Pain"}, "item": "pain"},
        ],
        "rules": [
            {
                "id": "burden-high",
                "score": "burden",
                "intervals": [
                    {"atLeast": 3, "colour": "red", "word": word, "source": "Et studie"},
                    {"below": 3, "colour": "green", "word": word, "source": "Et studie"},
                ],
            },
            {
                "id": "mood-daily",
                "item": "mood",
                "cases": [
                    {
                        "answer": {"system": SYSTEM, "code": "daily"},
                        "colour": "yellow",
                        "word": word,
                        "source": "Et studie",
                    }
                ],
            },
        ],
        "topics": [{"id": "well", "title": {"da": "Trivsel", "en": "Well-being"}, "subjects": ["score:burden"]}],
    }


def read(changed: Json) -> Questionnaire:
    """Read a changed questionnaire."""
    return read_questionnaire(changed)


def read_rules(changed: Json) -> RuleSet:
    """Read a changed rule set."""
    return read_rule_set(changed)


def find(whole: Json, link_id: str) -> Json:
    """Return the item of a document."""
    waiting = list(whole["item"])
    while waiting:
        each: Json = waiting.pop()
        if each["linkId"] == link_id:
            return each
        waiting.extend(each.get("item", ()))
    raise KeyError(link_id)


def changed(seed: Callable[[Json], None], whole: Json) -> Json:
    """Return a copy of the document with the change."""
    made = copy.deepcopy(whole)
    seed(made)
    return made


Seed = Callable[[Json], None]
SEEDS: list[tuple[str, str, Seed]] = []
"""Each kind of change, the linkId it is about, and how it is made in the questionnaire."""
RULE_SEEDS: list[tuple[str, str, Seed]] = []
"""Each kind of change, the subject it is about, and how it is made in the rule set."""


def put(kind: str, link_id: str, **parts: Any) -> None:
    """Declare a change that sets elements of one item (or removes those given as None)."""

    def seed(whole: Json) -> None:
        target = find(whole, link_id) if link_id else whole
        for name, part in parts.items():
            if part is None:
                target.pop(name)
            else:
                target[name] = part

    SEEDS.append((kind, link_id, seed))


def do(kind: str, link_id: str, seed: Callable[[Json], Any]) -> None:
    """Declare a change made by a function of the whole document."""

    def run(whole: Json) -> None:
        seed(whole)

    SEEDS.append((kind, link_id, run))


def rule(kind: str, subject: str, seed: Callable[[Json], Any]) -> None:
    """Declare a change of the rule set."""

    def run(whole: Json) -> None:
        seed(whole)

    RULE_SEEDS.append((kind, subject, run))


def swap(parts: list[Any], one: int, other: int) -> None:
    parts[one], parts[other] = parts[other], parts[one]


def extend(whole: Json, link_id: str, *extensions: Json) -> None:
    find(whole, link_id).setdefault("extension", []).extend(extensions)


def extension(whole: Json, link_id: str, name: str) -> Json:
    owner = find(whole, link_id) if link_id else whole
    return next(each for each in owner["extension"] if each["url"].endswith(name))


def without(whole: Json, link_id: str, name: str) -> None:
    owner = find(whole, link_id) if link_id else whole
    owner["extension"] = [each for each in owner["extension"] if not each["url"].endswith(name)]


def move(whole: Json, link_id: str, into: str) -> None:
    target = find(whole, link_id)
    for owner in (whole, *(each for each in whole["item"] if "item" in each)):
        if target in owner["item"]:
            owner["item"].remove(target)
    find(whole, into).setdefault("item", []).append(target)


def rename(whole: Json, link_id: str, name: str) -> None:
    find(whole, link_id)["linkId"] = name


def option(whole: Json, link_id: str, index: int) -> Json:
    found: Json = find(whole, link_id)["answerOption"][index]
    return found


def weigh(whole: Json) -> None:
    option(whole, "sleep", 1)["extension"][0]["valueDecimal"] = Decimal(5)


def exclude(whole: Json) -> None:
    option(whole, "symptoms", 2)["extension"] = [ext("questionnaire-optionExclusive", valueBoolean=True)]


def append_option(whole: Json) -> None:
    find(whole, "symptoms")["answerOption"].append(
        {"valueCoding": {"system": SYSTEM, "code": "ache", "display": "Ache"}}
    )


def constraint_of(whole: Json, link_id: str) -> dict[str, Json]:
    return {each["url"]: each for each in extension(whole, link_id, "targetConstraint")["extension"]}


# --- Wording
put("text_reworded", "mood", text="Hvor tit har du været trist?")
put("text_reworded", "intro", text="Tænk på de sidste fire uger.")
put("text_reformatted", "mood", text="hvor ofte har du været nedtrykt")
do("translation_added", "note", lambda d: find(d, "note").update(_text=translated("en", "Anything else?")))
put("translation_removed", "mood", _text=None)
put("translation_reworded", "mood", _text=translated("en", "How often sad?"))
do("translation_removed", "mood", lambda d: option(d, "mood", 0)["valueCoding"].pop("_display"))
do(
    "help_changed",
    "pain",
    lambda d: extension(d, "pain", "helpText")["extension"][0].update(valueString="0 er slet intet"),
)
do(
    "feedback_changed",
    "pain",
    lambda d: extension(d, "pain", "feedback")["extension"][0].update(valueString="Ring 112"),
)
do("picture_changed", "pain", lambda d: without(d, "pain", "image"))
do("picture_changed", "pain", lambda d: d["contained"][1].update(data="BBBB"))
put("label_changed", "mood", prefix="1a")
do("constraint_reworded", "more", lambda d: constraint_of(d, "more")["human"].update(valueString="Skriv mere"))
put("title_changed", "", title="Et andet skema")
put("language_changed", "", language="en")

# --- Options
do("option_added", "symptoms", append_option)
do("option_removed", "symptoms", lambda d: find(d, "symptoms")["answerOption"].pop(0))
do("option_reworded", "mood", lambda d: option(d, "mood", 1)["valueCoding"].update(display="Sommetider"))
do("option_recoded", "symptoms", lambda d: option(d, "symptoms", 0)["valueCoding"].update(code="cough-2"))
do("options_reordered", "sleep", lambda d: swap(find(d, "sleep")["answerOption"], 0, 2))
do("option_exclusive", "symptoms", exclude)
put("value_set_changed", "place", answerValueSet="http://example.org/ValueSet/elsewhere")
do("option_added", "place", lambda d: d["contained"][0]["compose"]["include"][0]["concept"].append({"code": "work"}))
do("option_removed", "place", lambda d: d["contained"][0]["compose"]["include"][0]["concept"].pop())

# --- Scoring
do("option_reweighted", "sleep", weigh)
do("calculation_added", "weight", lambda d: extend(d, "weight", expression("calculatedExpression", "80.0")))
do("calculation_changed", "total", lambda d: extension(d, "total", "calculatedExpression")["valueExpression"].update(
    expression="%asked.where(linkId = 'mood').answer.value.weight().sum()"))  # fmt: skip
do("calculation_removed", "total", lambda d: without(d, "total", "calculatedExpression"))
do("variable_changed", "", lambda d: d["extension"].append(expression("variable", "1 + 1", variable="two")))
do("context_changed", "", lambda d: d["extension"].append(
    {"url": SDC + "launchContext", "extension": [{"url": "name", "valueCoding": {"code": "patient"}}]}))  # fmt: skip

# --- Meaning
put("type_changed", "pain", type="decimal")
put("type_widened", "symptoms", type="open-choice")
do("unit_changed", "weight", lambda d: extension(d, "weight", "unit")["valueCoding"].update(code="g"))
do("range_widened", "pain", lambda d: extension(d, "pain", "maxValue").update(valueInteger=100))
do("range_narrowed", "pain", lambda d: extension(d, "pain", "maxValue").update(valueInteger=5))
put("condition_added", "note", enableWhen=[{"question": "pain", "operator": "exists", "answerBoolean": True}])
do("condition_changed", "more", lambda d: find(d, "more")["enableWhen"][0].update(answerInteger=7))
put("condition_removed", "more", enableWhen=None)
do("item_moved_into_condition", "note", lambda d: move(d, "note", "medicines"))
do("concept_changed", "mood", lambda d: find(d, "mood")["code"][0].update(code="99999-9"))
put("fixed_answer_changed", "consent", initial=[{"valueString": "Version 2"}])
put("initial_changed", "note", initial=[{"valueString": "Nej"}])
do(
    "significance_changed",
    "mood",
    lambda d: extension(d, "mood", "answerSignificance")["extension"][1].update(valueCode="yellow"),
)
put("modifier_changed", "note", modifierExtension=[{"url": "urn:x:not", "valueBoolean": True}])

# --- Structure
do("item_added", "new", lambda d: d["item"].append(item("new", "string", text="Noget nyt?")))
do("required_item_added", "new", lambda d: d["item"].append(item("new", "string", text="Noget nyt?", required=True)))
do("item_removed", "note", lambda d: d["item"].remove(find(d, "note")))
do("display_added", "tail", lambda d: d["item"].append(item("tail", "display", text="Tak")))
do("display_removed", "intro", lambda d: d["item"].pop(0))
do("display_moved", "intro", lambda d: move(d, "intro", "weeks"))
put(
    "display_condition_changed",
    "intro",
    enableWhen=[{"question": "pain", "operator": "exists", "answerBoolean": False}],
)
do("display_link_id_changed", "intro-2", lambda d: rename(d, "intro", "intro-2"))
do("link_id_renamed", "remark", lambda d: rename(d, "note", "remark"))
do("item_moved", "note", lambda d: move(d, "note", "weeks"))
do("items_reordered", "", lambda d: swap(d["item"], 4, 5))
put("required_added", "note", required=True)
put("required_removed", "mood", required=None)
put("repeats_added", "note", repeats=True)
put("repeats_removed", "symptoms", repeats=None)
put("limit_loosened", "more", maxLength=None)
put("limit_tightened", "more", maxLength=50)
do("limit_tightened", "note", lambda d: extend(d, "note", ext("regex", valueString="[a-z]+")))
do("hidden_added", "note", lambda d: extend(d, "note", ext("questionnaire-hidden", valueBoolean=True)))
put("read_only_added", "note", readOnly=True)
put("read_only_removed", "total", readOnly=None)
do("constraint_added", "note", lambda d: extend(d, "note", ruled("note-1", "answer.exists()")))
do("constraint_changed", "more", lambda d: constraint_of(d, "more")["expression"]["valueExpression"].update(
    expression="answer.value.length() > 2"))  # fmt: skip
do("constraint_removed", "more", lambda d: without(d, "more", "targetConstraint"))
do("constraint_removed", "more", lambda d: constraint_of(d, "more")["severity"].update(valueCode="warning"))
do("advice_changed", "note", lambda d: extend(d, "note", ruled("note-1", "answer.exists()", "warning")))
do("presentation_changed", "pain", lambda d: without(d, "pain", "itemControl"))

# --- Metadata
put("url_changed", "", url=URL + "-2")
put("metadata_changed", "", publisher="En anden kommune")
put("status_changed", "", status="draft")
do("concept_added", "note", lambda d: find(d, "note").update(code=[{"system": "http://loinc.org", "code": "1-8"}]))
do("other_changed", "more", lambda d: extension(d, "more", "rendering-style").update(valueString="color: blue"))
do("other_changed", "", lambda d: d.setdefault("extension", []).append({"url": "urn:x:own", "valueString": "x"}))
put("written_otherwise", "note", required=False)

# --- The rule set
rule("score_added", "score:mood", lambda d: d["scores"].append(
    {"code": "mood", "kind": "item", "label": {"da": "Humør", "en": "Mood"}, "item": "mood"}))  # fmt: skip
rule("score_removed", "score:pain", lambda d: d["scores"].pop())
rule("score_changed", "score:burden", lambda d: d["scores"][0].update(factor=2))
rule("score_range_changed", "score:burden", lambda d: d["scores"][0].update(maximum=8))
rule("score_label_changed", "score:burden", lambda d: d["scores"][0].update(label={"da": "Vægt", "en": "Weight"}))
rule("rule_added", "score:pain", lambda d: d["rules"].append({**d["rules"][0], "id": "pain-high", "score": "pain"}))
rule("rule_removed", "item:mood", lambda d: d["rules"].pop())
rule("rule_changed", "item:mood", lambda d: d["rules"][1]["cases"][0]["answer"].update(code="some"))
rule("threshold_changed", "score:burden", lambda d: (
    d["rules"][0]["intervals"][0].update(atLeast=2), d["rules"][0]["intervals"][1].update(below=2)))  # fmt: skip
rule("colour_changed", "score:burden", lambda d: d["rules"][0]["intervals"][0].update(colour="yellow"))
rule("rule_reworded", "item:mood", lambda d: d["rules"][1]["cases"][0].update(word={"da": "Ofte", "en": "Often"}))
rule("rule_source_changed", "item:mood", lambda d: d["rules"][1]["cases"][0].update(source="Et andet studie"))
rule("rule_renamed", "score:burden", lambda d: d["rules"][0].update(id="burden-2"))
rule("colour_meaning_changed", "", lambda d: d.update(meaning="triage"))
rule("purpose_changed", "", lambda d: d.update(intendedPurpose={"da": "Triage", "en": "Triage"}))
rule("device_class_changed", "", lambda d: d.update(medicalDeviceClass="IIa"))
rule("topics_changed", "", lambda d: d["topics"][0].update(subjects=["score:pain"]))
rule("rule_set_changed", "", lambda d: d.update(title={"da": "Andet", "en": "Other"}))
rule("rule_set_changed", "", lambda d: d["questionnaire"].update(versions=["1.0.0", "1.0.1"]))
rule("rule_set_status_changed", "", lambda d: d.update(status="off"))
