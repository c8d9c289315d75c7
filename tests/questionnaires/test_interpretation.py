"""Colours come from rules that were evaluated, say what they are for, and are never greener than what was judged."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.errors import BadInput
from kpro_graph.questionnaires import instruments
from kpro_graph.questionnaires.interpretation import (
    ICONS,
    Colour,
    Meaning,
    RuleSet,
    interpret,
    read_rule_set,
)
from kpro_graph.questionnaires.model import Questionnaire
from tests.sheets import (
    BOTH,
    CONTENT,
    MOOD,
    MOOD_RULE,
    NUMERIC,
    PAIN,
    PAIN_RULE,
    RULES,
    URL,
    answer,
    band,
    case,
    choice,
    coded,
    colours,
    make,
    number,
    read,
    reason,
    rule_set,
    significance,
)


@pytest.mark.parametrize(
    ("value", "colour"),
    [
        ("-5", "green"),
        ("2.999999", "green"),
        ("3", "yellow"),
        ("3.000", "yellow"),
        ("7", "yellow"),
        ("7.000001", "red"),
        ("1000000", "red"),
    ],
)
def test_a_threshold_holds_exactly_at_its_bound(value: str, colour: str) -> None:
    found = colours(BOTH, RULES, {"pain": Decimal(value), "mood": 1})
    assert found == {"score:pain": colour, "score:mood": "green", "response": colour}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pain": 1, "mood": 1}, "green"),
        ({"pain": 1, "mood": 5}, "yellow"),
        ({"pain": 9, "mood": 5}, "red"),
        ({"pain": 9}, "red"),
        ({"mood": 5}, "yellow"),
        ({"pain": 1}, "not_interpreted"),
        ({}, "not_interpreted"),
    ],
)
def test_the_response_takes_the_worst_colour_and_is_green_only_when_everything_was_judged(
    given: dict[str, Any], expected: str
) -> None:
    assert colours(BOTH, RULES, given)["response"] == expected


def test_a_score_without_a_rule_is_not_interpreted_and_stands_in_nobodys_way() -> None:
    rules = rule_set(PAIN_RULE, scores=[PAIN, MOOD])
    found = read(BOTH, rules, {"pain": 1, "mood": 5})
    assert reason(found["score:mood"]) == "no_rule"
    assert found["response"].colour is Colour.GREEN
    assert colours(BOTH, rule_set(scores=[PAIN]), {"pain": 1})["response"] == "not_interpreted"


def test_a_value_in_a_gap_is_not_interpreted_and_hinders_green() -> None:
    rule = {"id": "gap", "score": "pain", "intervals": [band("green", below=3), band("red", above=7)]}
    found = read(BOTH, rule_set(rule, MOOD_RULE, scores=[PAIN, MOOD]), {"pain": 5, "mood": 1})
    assert reason(found["score:pain"]) == "in_no_interval"
    assert reason(found["response"]) == "not_all_judged"


def test_overlapping_intervals_and_rules_give_the_worst_colour() -> None:
    rule = {"id": "a", "score": "pain", "intervals": [band("green", atMost=5), band("yellow", atLeast=5)]}
    other = {"id": "b", "score": "pain", "intervals": [band("green", below=5), band("red", atLeast=5)]}
    found = read(BOTH, rule_set(rule, other, scores=[PAIN]), {"pain": 5})
    assert found["score:pain"].colour is Colour.RED
    assert [(part.rule, part.colour) for part in found["score:pain"].explanation.parts] == [
        ("a", "yellow"),
        ("b", "red"),
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "off"}, "rule_set_off"),
        ({"status": "draft"}, "rule_set_not_approved"),
        ({"questionnaire": {"url": URL, "versions": ["2.0.0"]}}, "rule_set_for_another_version"),
    ],
)
def test_a_rule_set_that_may_not_speak_makes_nothing_green(more: dict[str, Any], expected: str) -> None:
    questionnaire = make(number("pain", significance("green", ("<", {"valueDecimal": 3}))), number("mood"))
    item_rule = {"id": "item", "item": "mood", "intervals": [band("green", below=3)]}
    rules = rule_set(PAIN_RULE, item_rule, scores=[PAIN], **more)
    found = read(questionnaire, rules, {"pain": 1, "mood": 1})
    assert [reason(found[subject]) for subject in ("score:pain", "item:mood", "response")] == [expected] * 3
    assert found["item:pain"].colour is Colour.GREEN


def test_red_and_yellow_stay_when_the_rule_set_may_not_speak() -> None:
    questionnaire = make(number("pain", significance("red", (">=", {"valueDecimal": 7}))))
    rules = rule_set(PAIN_RULE, scores=[PAIN], status="off")
    assert colours(questionnaire, rules, {"pain": 8}) == {
        "score:pain": "not_interpreted",
        "item:pain": "red",
        "response": "red",
    }


def test_a_rule_that_fails_is_not_interpreted_and_the_others_go_on() -> None:
    rule = {"id": "pain", "item": "pain", "intervals": [band("green", below=3), band("red", atLeast=3)]}
    rules = rule_set(rule, MOOD_RULE, scores=[MOOD])
    beyond_arithmetic = Decimal("1E+60")
    worse = read(BOTH, rules, {"pain": beyond_arithmetic, "mood": 5})
    assert reason(worse["item:pain"]) == "rule_failed"
    assert [worse[subject].colour for subject in ("score:mood", "response")] == [Colour.YELLOW, Colour.YELLOW]
    calm = read(BOTH, rules, {"pain": beyond_arithmetic, "mood": 1})
    assert [calm[subject].colour for subject in ("score:mood", "response")] == [Colour.GREEN, Colour.NOT_INTERPRETED]


def test_a_score_that_was_never_computed_is_not_interpreted() -> None:
    found = interpret(BOTH, RULES, answer(BOTH, {"pain": 1, "mood": 1}), ())
    assert [reason(one) for one in found] == ["missing_score", "missing_score", "not_all_judged"]


HELP = make(
    choice("help", "abc"),
    {"linkId": "alone", "type": "boolean", "text": "Alene?"},
    {"linkId": "note", "type": "text", "text": "Andet?"},
)
HELP_RULES = rule_set(
    {"id": "help", "item": "help", "cases": [case("red", code="c", system="urn:x"), case("green", code="a")]},
    {"id": "alone", "item": "alone", "cases": [case("yellow", boolean=True), case("green", boolean=False)]},
    {"id": "note", "item": "note", "cases": [case("yellow", answered=True)]},
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"help": "a", "alone": False}, ("green", "green", "not_interpreted", "green")),
        ({"help": "c", "alone": False}, ("red", "green", "not_interpreted", "red")),
        ({"help": "b", "alone": False}, ("not_interpreted", "green", "not_interpreted", "green")),
        ({"help": "a", "alone": True}, ("green", "yellow", "not_interpreted", "yellow")),
        ({"help": "a"}, ("green", "not_interpreted", "not_interpreted", "not_interpreted")),
        (
            {"help": "a", "alone": False, "note": {"valueString": "ring til mig"}},
            ("green", "green", "yellow", "yellow"),
        ),
    ],
)
def test_rules_on_answers_match_codes_booleans_and_that_something_was_written(
    given: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert tuple(colours(HELP, HELP_RULES, given).values()) == expected


def test_free_text_is_not_repeated_in_an_explanation_of_its_presence() -> None:
    found = read(HELP, HELP_RULES, {"note": {"valueString": "min nabo hedder Poul"}})["item:note"]
    assert "Poul" not in json.dumps(found.explanation.to_json())
    assert found.explanation.sentence("da") == "»Andet?«: Et svar giver gul (Ord; kilde: a source)."


def test_an_answer_by_number_or_weight_is_held_against_intervals() -> None:
    questionnaire = make(choice("worry", "abcd"), number("pain"))
    rules = rule_set(
        {"id": "worry", "item": "worry", "intervals": [band("red", above=0)]},
        {"id": "pain", "item": "pain", "intervals": [band("green", atMost=2), band("yellow", above=2)]},
    )
    assert colours(questionnaire, rules, {"worry": "b", "pain": 0})["item:worry"] == "red"
    assert colours(questionnaire, rules, {"worry": "a", "pain": 3}) == {
        "item:worry": "not_interpreted",
        "item:pain": "yellow",
        "response": "yellow",
    }


def test_the_worst_of_several_answers_decides() -> None:
    questionnaire = make(choice("worry", "abcd", repeats=True))
    rules = rule_set(
        {"id": "worry", "item": "worry", "intervals": [band("green", atMost=1), band("yellow", above=1, atMost=2)]}
    )
    assert colours(questionnaire, rules, {"worry": ["a", "c", "b"]})["item:worry"] == "yellow"
    assert colours(questionnaire, rules, {"worry": ["a", "d"]})["item:worry"] == "green"


def test_a_rule_about_a_question_the_questionnaire_lacks_hinders_green() -> None:
    rule = {"id": "gone", "item": "gone", "intervals": [band("red", above=0)]}
    found = read(BOTH, rule_set(PAIN_RULE, rule, scores=[PAIN]), {"pain": 1})
    assert reason(found["item:gone"]) == "unknown_item"
    assert reason(found["response"]) == "not_all_judged"


@pytest.mark.parametrize(
    ("value", "colour"), [("2.9", "green"), ("3", "yellow"), ("7.0", "yellow"), ("7.1", "red"), ("-1", "green")]
)
def test_answer_significance_gives_colours_for_triage_without_a_rule_set(value: str, colour: str) -> None:
    found = read(make(NUMERIC), None, {"pain": Decimal(value)})
    assert {subject: one.colour.value for subject, one in found.items()} == {"item:pain": colour, "response": colour}
    assert {one.meaning for one in found.values()} == {Meaning.TRIAGE}


def test_answer_significance_joins_the_rules_and_takes_their_meaning() -> None:
    rules = rule_set(PAIN_RULE, scores=[PAIN])
    found = read(make(NUMERIC), rules, {"pain": 8})
    assert [(one.subject, one.colour.value) for one in found.values()] == [
        ("score:pain", "red"),
        ("item:pain", "red"),
        ("response", "red"),
    ]
    assert {one.meaning for one in found.values()} == {Meaning.DIALOGUE}
    rule = {"id": "kinder", "item": "pain", "intervals": [band("green", above=7)]}
    both = read(make(NUMERIC), rule_set(rule), {"pain": 8})["item:pain"]
    assert both.colour is Colour.RED
    assert both.explanation.rule == "answerSignificance:pain"


@pytest.mark.parametrize(
    ("item", "given", "expected"),
    [
        (choice("q", "abc", significance("red", ("=", coded("c")))), "c", "red"),
        (choice("q", "abc", significance("red", ("=", coded("c")))), "b", "no_rule_matched"),
        (choice("q", "abc", significance("red", ("=", coded("c")))), None, "missing_answer"),
        (choice("q", "abc", significance("yellow", ("!=", coded("a")))), "b", "yellow"),
        (choice("q", "abc", significance("yellow", ("!=", coded("a")))), "a", "no_rule_matched"),
        (choice("q", "abc", significance("yellow", ("!=", coded("a")))), None, "missing_answer"),
        (choice("q", "abc", significance("yellow", ("!=", coded("a"))), repeats=True), ["a", "b"], "no_rule_matched"),
        (choice("q", "abc", significance("red", (">", {"valueInteger": 1}))), "c", "red"),
        (choice("q", "abc", significance("red", ("=", {"valueDecimal": 2}))), "c", "red"),
        (choice("q", "abc", significance("red", ("=", {"valueString": "c"}))), "c", "not_comparable"),
        (number("q", significance("red", ("=", coded("c")))), 3, "not_comparable"),
        (number("q", significance("red", ("exists", {"valueInteger": 1}))), 3, "not_comparable"),
        (number("q", significance("red", (">", {"valueString": "1"}))), 3, "not_comparable"),
        (number("q", significance("red", ("!=", {"valueInteger": 3}))), Decimal("3.00"), "no_rule_matched"),
        (number("q", significance("yellow", ("exists", {"valueBoolean": True}))), 3, "yellow"),
        (number("q", significance("yellow", ("exists", {"valueBoolean": True}))), None, "no_rule_matched"),
        (number("q", significance("yellow", ("exists", {"valueBoolean": False}))), None, "yellow"),
        (number("q", significance("yellow", ("exists", {"valueBoolean": False}))), 3, "no_rule_matched"),
        (
            {
                "linkId": "q",
                "type": "boolean",
                "extension": [significance("red", ("=", {"valueBoolean": True}))],
            },
            True,
            "red",
        ),
        (
            {
                "linkId": "q",
                "type": "string",
                "extension": [significance("red", ("=", {"valueString": "ja"}))],
            },
            {"valueString": "ja"},
            "red",
        ),
        (
            choice("q", "abc", significance("red", ("=", coded("c")))) | {"type": "open-choice"},
            {"valueString": "c"},
            "no_rule_matched",
        ),
    ],
)
def test_answer_significance_compares_as_its_operators_say(item: dict[str, Any], given: Any, expected: str) -> None:
    found = read(make(item), None, {} if given is None else {"q": given})["item:q"]
    assert (found.colour.value if found.explanation.reason is None else reason(found)) == expected


def test_an_unanswered_question_with_significance_hinders_green_and_one_not_to_be_asked_does_not() -> None:
    green = significance("green", ("<", {"valueDecimal": 3}))
    plain = make(number("pain", green), number("more", green))
    assert colours(plain, None, {"pain": 1})["response"] == "not_interpreted"
    only_if = [{"question": "pain", "operator": ">", "answerDecimal": 5}]
    hidden = make(number("pain", green), number("more", green, enableWhen=only_if))
    assert colours(hidden, None, {"pain": 1}) == {"item:pain": "green", "response": "green"}
    assert colours(hidden, None, {"pain": 1, "more": 9}) == {"item:pain": "green", "response": "green"}


@given(hidden=st.none() | st.integers(-5, 15))
def test_disabled_answers_never_influence_a_colour_or_its_explanation(hidden: int | None) -> None:
    red = significance("red", (">", {"valueDecimal": 3}))
    never = [{"question": "pain", "operator": ">", "answerDecimal": 100}]
    questionnaire = make(number("pain"), number("mood", red, enableWhen=never))
    rules = rule_set(
        PAIN_RULE, MOOD_RULE, {"id": "i", "item": "mood", "intervals": [band("red", above=0)]}, scores=[PAIN, MOOD]
    )
    given = {"pain": 1} if hidden is None else {"pain": 1, "mood": hidden}
    assert read(questionnaire, rules, given) == read(questionnaire, rules, {"pain": 1})


def test_answers_to_another_version_are_refused() -> None:
    with pytest.raises(BadInput):
        interpret(make(number("pain"), version="2.0.0"), RULES, answer(BOTH, {}), ())


def test_an_interpretation_carries_topic_label_word_icon_and_meaning() -> None:
    topic = {"id": "body", "title": {"da": "Krop", "en": "Body"}, "subjects": ["score:pain", "item:pain"]}
    found = read(BOTH, rule_set(PAIN_RULE, scores=[PAIN, MOOD], topics=[topic], meaning="triage"), {"pain": 9})
    pain = found["score:pain"]
    assert (pain.topic, pain.topic_da, pain.topic_en) == ("body", "Krop", "Body")
    assert (pain.label_da, pain.label_en, pain.word_da, pain.word_en) == ("Smerte", "Pain", "Ord", "Word")
    assert (pain.icon, pain.meaning) == ("octagon-alert", Meaning.TRIAGE)
    listed = found["item:pain"]
    assert (listed.topic, reason(listed), listed.icon) == ("body", "no_rule", "circle-dashed")
    assert found["score:mood"].topic == ""
    assert (listed.word_da, listed.word_en) == ("Ikke fortolket", "Not interpreted")
    assert len(set(ICONS.values())) == len(Colour)


def product(name: str) -> tuple[Questionnaire, RuleSet]:
    """A product rule set with a questionnaire of the same linkIds and weights, without its wording."""
    rules = read_rule_set((CONTENT / name / "rules.json").read_bytes())
    codes = {"who-5": "abcdef"}.get(name, "abcd")
    items = [choice(link_id, codes) for link_id in sorted(rules.link_ids(), key=int)]
    return make(*items, url=rules.url), rules


@pytest.mark.parametrize(
    ("weights", "value", "colour"),
    [("00000", 0, "yellow"), ("32322", 48, "yellow"), ("33322", 52, "green"), ("55555", 100, "green")],
)
def test_who_5_is_yellow_at_50_and_below(weights: str, value: int, colour: str) -> None:
    questionnaire, rules = product("who-5")
    found = read(questionnaire, rules, {str(n): "abcdef"[int(w)] for n, w in enumerate(weights, start=1)})
    assert found["score:who5"].explanation.inputs[0].value == str(value)
    assert found["score:who5"].colour == colour
    assert found["response"].colour == colour


@pytest.mark.parametrize(
    ("name", "total", "word", "colour"),
    [
        ("phq-9", 4, "Ingen eller minimale symptomer", "green"),
        ("phq-9", 5, "Lette symptomer", "yellow"),
        ("phq-9", 9, "Lette symptomer", "yellow"),
        ("phq-9", 10, "Moderate symptomer", "yellow"),
        ("phq-9", 14, "Moderate symptomer", "yellow"),
        ("phq-9", 15, "Moderat svære symptomer", "red"),
        ("phq-9", 19, "Moderat svære symptomer", "red"),
        ("phq-9", 20, "Svære symptomer", "red"),
        ("gad-7", 4, "Ingen eller minimal angst", "green"),
        ("gad-7", 5, "Let angst", "yellow"),
        ("gad-7", 10, "Moderat angst", "yellow"),
        ("gad-7", 15, "Svær angst", "red"),
    ],
)
def test_phq_9_and_gad_7_change_word_and_colour_exactly_at_their_cut_offs(
    name: str, total: int, word: str, colour: str
) -> None:
    questionnaire, rules = product(name)
    count = 8 if name == "phq-9" else 7  # item 9 stays 0
    weights = [total // count + (place < total % count) for place in range(count)] + [0] * (name == "phq-9")
    found = read(questionnaire, rules, {str(n): "abcd"[weight] for n, weight in enumerate(weights, start=1)})
    code = name.replace("-", "")
    assert (found[f"score:{code}"].word_da, found[f"score:{code}"].colour.value) == (word, colour)
    assert found["response"].colour == colour


@pytest.mark.parametrize("answered", ["b", "c", "d"])
def test_phq_9_is_red_at_any_answer_above_zero_on_self_harm_even_when_the_rest_is_missing(answered: str) -> None:
    questionnaire, rules = product("phq-9")
    found = read(questionnaire, rules, {"9": answered})
    assert found["item:9"].colour is Colour.RED
    assert found["response"].colour is Colour.RED
    assert reason(found["score:phq9"]) == "missing_answer"
    assert "Kunne ikke vurderes: PHQ-9" in found["response"].explanation.sentence("da")


def test_phq_9_without_an_answer_on_self_harm_is_never_green() -> None:
    questionnaire, rules = product("phq-9")
    found = read(questionnaire, rules, {str(n): "a" for n in range(1, 9)})
    assert reason(found["response"]) == "not_all_judged"


def test_eq_5d_5l_is_shown_and_not_interpreted() -> None:
    rules = read_rule_set((CONTENT / "eq-5d-5l" / "rules.json").read_bytes())
    dimensions = [one.name for one in instruments.get("eq-5d-5l").inputs]
    levels = [{"valueInteger": n} for n in range(1, 6)]
    items = [{"linkId": name, "type": "choice", "answerOption": levels} for name in dimensions]
    questionnaire = make(*items, {"linkId": "vas", "type": "integer"}, url=rules.url)
    given = {name: {"valueInteger": 5} for name in dimensions} | {"vas": {"valueInteger": 1}}
    assert set(colours(questionnaire, rules, given).values()) == {"not_interpreted"}
