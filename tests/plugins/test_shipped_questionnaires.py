"""Every questionnaire that ships reads without a remark, in both languages, and its rules fit it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from kpro_graph.plugins.bundles import QuestionnaireBundle
from kpro_graph.plugins.host import PluginHost, PluginState
from kpro_graph.questionnaires import (
    Evaluation,
    Item,
    ItemType,
    Questionnaire,
    RuleSet,
    assemble,
    evaluate,
    read_questionnaire,
    read_rule_set,
)

ROOT = Path(__file__).parents[2]
NATIONAL = ("eq-5d-5l", "gad-7", "phq-9", "who-5")
LOCAL = {"aalborg-hjerteopfoelgning": "0851", "center-for-kraeft": "0101"}
NAMES = (*NATIONAL, *LOCAL)


@pytest.fixture(scope="module")
async def shipped() -> dict[str, QuestionnaireBundle]:
    host = PluginHost(ROOT / "plugins", installed=False)
    await host.start(strict=True)
    assert {status.state for status in host.plugins} == {PluginState.RUNNING}
    return {bundle.name: bundle for bundle in host.questionnaires}


@pytest.fixture
def questionnaires(shipped: dict[str, QuestionnaireBundle]) -> dict[str, Questionnaire]:
    return {name: read_questionnaire(bundle.questionnaire) for name, bundle in shipped.items()}


@pytest.fixture
def rules(shipped: dict[str, QuestionnaireBundle]) -> dict[str, RuleSet]:
    return {name: read_rule_set(bundle.rules) for name, bundle in shipped.items() if bundle.rules is not None}


def test_exactly_these_ship(shipped: dict[str, QuestionnaireBundle]) -> None:
    assert {name: bundle.owner for name, bundle in shipped.items()} == {**dict.fromkeys(NATIONAL), **LOCAL}
    for name, bundle in shipped.items():
        assert bundle.canonical == f"https://kpro-graph.dk/Questionnaire/{name}|1.0.0"


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_without_a_remark(questionnaires: dict[str, Questionnaire], name: str) -> None:
    questionnaire = questionnaires[name]
    assert questionnaire.remarks == ()
    assert (questionnaire.status, questionnaire.language) == ("active", "da")


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_danish_first_with_english_beside(questionnaires: dict[str, Questionnaire], name: str) -> None:
    questionnaire = questionnaires[name]
    pairs = [(questionnaire.title, questionnaire.titles.get("en"))]
    pairs += [(item.text, item.texts.get("en")) for item in questionnaire.walk()]
    pairs += [(option.text, option.texts.get("en")) for item in questionnaire.walk() for option in item.options]
    assert all(danish and english for danish, english in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_whose_the_wording_is(questionnaires: dict[str, Questionnaire], name: str) -> None:
    assert len(str(questionnaires[name].source["copyright"])) > 50


@pytest.mark.parametrize("name", NAMES)
def test_its_rules_are_approved_and_fit_it(
    questionnaires: dict[str, Questionnaire], rules: dict[str, RuleSet], name: str
) -> None:
    questionnaire, found = questionnaires[name], rules[name]
    assert found.status == "approved"
    assert found.is_for(questionnaire.url, questionnaire.version)
    assert found.link_ids() <= questionnaire.by_link_id.keys()


PUBLISHED = {
    "eq-5d-5l": ("b31e17fbb16191bc", "1.0.0", "c6cfe6006270b425"),
    "gad-7": ("7221de057a7f0fd1", "1.0.0", "bb00b5cae6580a8f"),
    "phq-9": ("acc94b90266529e2", "1.0.0", "a8bccc7e149617d5"),
    "who-5": ("c96cf46c26a5dc6d", "1.0.0", "27dd04ccf47f4807"),
    "aalborg-hjerteopfoelgning": ("bcbe75ce6f59def2", "1.0.0", "8fff64875c10f1a1"),
    "center-for-kraeft": ("2032f240c4dc6b9f", "1.0.0", "716cb8a06c20df01"),
}
"""The hashes of questionnaire 1.0.0 and of its rules; a change needs a new version."""


def test_a_published_version_never_changes(questionnaires: dict[str, Questionnaire], rules: dict[str, RuleSet]) -> None:
    assert {
        name: (questionnaires[name].content_hash[:16], rules[name].version, rules[name].content_hash[:16])
        for name in questionnaires
    } == PUBLISHED


def answerable(questionnaire: Questionnaire) -> Iterator[Item]:
    return (item for item in questionnaire.walk() if item.answerable)


def weights(item: Item) -> dict[str | None, Decimal | None]:
    return {option.value.code: option.weight for option in item.options}


@pytest.mark.parametrize(("name", "count", "highest"), [("who-5", 5, 5), ("phq-9", 9, 3), ("gad-7", 7, 3)])
def test_a_sum_instrument_has_its_items_and_weights(
    questionnaires: dict[str, Questionnaire], name: str, count: int, highest: int
) -> None:
    for number in range(1, count + 1):
        item = questionnaires[name].item(str(number))
        assert (item.type, item.required, item.repeats) == (ItemType.CHOICE, True, False)
        assert weights(item) == {str(weight): Decimal(weight) for weight in range(highest + 1)}
    answers = [item.link_id for item in answerable(questionnaires[name])]
    assert answers == [str(number) for number in range(1, count + 1)] + (["10"] if name == "phq-9" else [])


def test_the_difficulty_question_of_phq_9_is_asked_after_any_symptom(questionnaires: dict[str, Questionnaire]) -> None:
    item = questionnaires["phq-9"].item("10")
    asked = {(condition.question, condition.operator, condition.answer.code) for condition in item.enable_when}
    assert asked == {(str(number), "=", code) for number in range(1, 10) for code in "123"}
    assert (item.enable_behavior, item.required) == ("any", False)
    assert set(weights(item).values()) == {None}


def test_eq_5d_5l_is_structure_without_wording(questionnaires: dict[str, Questionnaire]) -> None:
    questionnaire = questionnaires["eq-5d-5l"]
    *dimensions, vas = answerable(questionnaire)
    assert [item.link_id for item in dimensions] == [
        "mobility",
        "self-care",
        "usual-activities",
        "pain-discomfort",
        "anxiety-depression",
    ]
    for item in dimensions:
        assert [(o.text, o.texts["en"]) for o in item.options] == [(f"Niveau {n}", f"Level {n}") for n in range(1, 6)]
        assert weights(item) == {str(level): Decimal(level) for level in range(1, 6)}
    assert (vas.link_id, vas.type) == ("vas", ItemType.INTEGER)
    assert vas.min_value is not None
    assert vas.max_value is not None
    assert [bound.value.number for bound in (vas.min_value, vas.max_value) if bound.value] == [0, 100]


def test_center_for_kraeft_colours_answers_the_way_fut_writes_it(questionnaires: dict[str, Questionnaire]) -> None:
    questionnaire = questionnaires["center-for-kraeft"]
    distress = questionnaire.item("distress")
    conditions = [
        (str(each.colour), [f"{one.operator}{one.value.number}" for one in each.conditions])
        for each in distress.significances
    ]
    assert conditions == [("green", ["<=3"]), ("yellow", [">=4", "<=6"]), ("red", [">=7"])]
    message = questionnaire.item("message")
    assert [each.colour for each in message.significances] == ["yellow"]
    assert message.enable_when[0].question == "wants-message"
    assert len(list(answerable(questionnaire))) == 13


def test_aalborgs_questionnaire_asks_on_where_an_answer_calls_for_it(questionnaires: dict[str, Questionnaire]) -> None:
    questionnaire = questionnaires["aalborg-hjerteopfoelgning"]
    assert questionnaire.item("chest-at-rest").enable_when[0].answer.code == "rest"
    assert questionnaire.item("cigarettes").enable_when[0].question == "smoking"


def answered(questionnaire: Questionnaire, values: dict[str, object]) -> Evaluation:
    """Evaluate answers by linkId: a code for a choice, else the value itself."""
    answers = {}
    for link_id, value in values.items():
        item = questionnaire.item(link_id)
        path = f"{item.parent}/{link_id}" if item.parent else link_id
        codings = {option.value.code: option.value.as_fhir() for option in item.options}
        kind = {"integer": "valueInteger", "boolean": "valueBoolean"}.get(item.type, "valueString")
        answers[path] = [codings[str(value)] if codings else {kind: value}]
    rules = read_rule_set((CONTENT[questionnaire.url.rpartition("/")[2]] / "rules.json").read_bytes())
    return evaluate(questionnaire, assemble(questionnaire, answers), rules=rules)


CONTENT = {
    **{name: ROOT / "kpro_graph" / "plugins" / "national_questionnaires" / "content" / name for name in NATIONAL},
    "center-for-kraeft": ROOT
    / "plugins"
    / "local_questionnaires"
    / "center-for-kraeft"
    / "content"
    / "center-for-kraeft",
    "aalborg-hjerteopfoelgning": ROOT / "plugins" / "local_questionnaires" / "aalborg_hjerteopfoelgning",
}


def each(names: str, value: object) -> dict[str, object]:
    return dict.fromkeys(names.split(), value)


EASY_KRAEFT = each("fatigue sleep appetite activities worry sadness", "none") | each("pain distress", 0)
EASY_KRAEFT |= {"someone": "yes", "wants-message": False}
EQ5D = {"mobility": 1, "self-care": 3, "usual-activities": 2, "pain-discomfort": 2, "anxiety-depression": 4}
EASY_HEART = each("breath chest tired", "never") | {"medicine": "daily", "active-days": 5, "smoking": "no", "mood": 9}


@pytest.mark.parametrize(
    ("name", "values", "score", "colour"),
    [
        ("who-5", each("1 2 3 4 5", 5), 100, "green"),
        ("who-5", each("1 2 3 4 5", 2), 40, "yellow"),
        ("phq-9", each("1 2 3 4 5 6 7 8 9", 0), 0, "green"),
        ("phq-9", each("1 2 3 4 5 6 7 8", 1) | {"9": 0, "10": 1}, 8, "yellow"),
        ("phq-9", each("1 2 3 4 5 6 7 8", 0) | {"9": 1}, 1, "red"),
        ("gad-7", each("1 2 3 4 5 6 7", 0), 0, "green"),
        ("gad-7", each("1 2 3 4 5 6 7", 3), 21, "red"),
        (
            "eq-5d-5l",
            EQ5D | {"vas": 70},
            Decimal("0.439"),
            "not_interpreted",
        ),
        ("center-for-kraeft", EASY_KRAEFT, 0, "green"),
        ("center-for-kraeft", EASY_KRAEFT | {"someone": "no"}, 0, "yellow"),
        ("center-for-kraeft", EASY_KRAEFT | {"wants-message": True, "message": "Ring gerne."}, 0, "yellow"),
        ("center-for-kraeft", EASY_KRAEFT | {"topics": "other", "topic-other": "Ferie"}, 0, "green"),
        ("center-for-kraeft", EASY_KRAEFT | {"distress": 7}, 7, "red"),
        ("aalborg-hjerteopfoelgning", EASY_HEART, 0, "green"),
        ("aalborg-hjerteopfoelgning", EASY_HEART | {"medicine": "forgets"}, 0, "yellow"),
        ("aalborg-hjerteopfoelgning", EASY_HEART | {"smoking": "yes", "cigarettes": 10}, 0, "green"),
        ("aalborg-hjerteopfoelgning", EASY_HEART | {"chest": "rest", "chest-at-rest": True}, 3, "red"),
    ],
)
def test_answers_give_the_score_and_the_colour_they_should(
    questionnaires: dict[str, Questionnaire], name: str, values: dict[str, object], score: Decimal, colour: str
) -> None:
    evaluation = answered(questionnaires[name], values)
    assert evaluation.problems == ()
    assert evaluation.valid
    assert evaluation.scores[0].value == score
    assert evaluation.interpretations[-1].colour == colour


@pytest.mark.parametrize(
    ("name", "values", "code", "link_id"),
    [
        ("phq-9", each("1 2 3 4 5 6 7 8", 0), "required", "9"),
        ("phq-9", each("1 2 3 4 5 6 7 8 9", 0) | {"10": 0}, "answered_but_disabled", "10"),
        ("center-for-kraeft", EASY_KRAEFT | {"pain": 11}, "max_value", "pain"),
        ("center-for-kraeft", EASY_KRAEFT | {"wants-message": True}, "required", "message"),
        ("aalborg-hjerteopfoelgning", EASY_HEART | {"active-days": 8}, "max_value", "active-days"),
    ],
)
def test_answers_that_do_not_hold_are_named(
    questionnaires: dict[str, Questionnaire], name: str, values: dict[str, object], code: str, link_id: str
) -> None:
    evaluation = answered(questionnaires[name], values)
    assert [(problem.code, problem.link_id) for problem in evaluation.problems] == [(code, link_id)]
    assert not evaluation.valid
