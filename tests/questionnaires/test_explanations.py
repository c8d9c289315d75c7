"""Every score and colour explains itself in plain sentences and can be recomputed bit for bit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpro_graph.errors import BadInput
from kpro_graph.questionnaires.explanation import Explanation
from kpro_graph.questionnaires.interpretation import (
    Colour,
    Interpretation,
    ReplayImpossible,
    interpret,
    replay,
)
from kpro_graph.questionnaires.scoring import Score, score
from tests.sheets import (
    BOTH,
    LABEL,
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
    holds_float,
    make,
    number,
    read,
    reason,
    rule_set,
    significance,
)


@pytest.mark.parametrize(
    ("value", "da", "en"),
    [
        (
            9,
            "Smerte er 9; over 7 er rød (Ord; kilde: a source).",
            "Pain is 9; above 7 is red (Word; source: a source).",
        ),
        (
            Decimal("2.5"),
            "Smerte er 2,5; under 3 er grøn (Ord; kilde: a source).",
            "Pain is 2.5; below 3 is green (Word; source: a source).",
        ),
        (
            None,
            "Smerte er ikke fortolket: »Spørgsmål pain« er ikke besvaret.",
            "Pain is not interpreted: “Spørgsmål pain” is not answered.",
        ),
    ],
)
def test_a_colour_is_explained_in_a_sentence(value: Any, da: str, en: str) -> None:
    found = read(BOTH, RULES, {} if value is None else {"pain": value})["score:pain"]
    assert found.explanation.sentence("da") == da
    assert found.explanation.sentence("en") == en


def test_a_colour_of_an_answer_is_explained_in_a_sentence() -> None:
    chosen = make(choice("q", "abc", significance("red", ("=", coded("c")))))
    found = read(chosen, None, {"q": "c"})
    assert found["item:q"].explanation.sentence("da") == (
        "Svaret på »Spørgsmål q« er Svar c; netop dette svar giver rød "
        "(Kræver opmærksomhed; kilde: FUT answerSignificance 1)."
    )
    assert found["response"].explanation.sentence("da") == "Besvarelsen er rød, fordi »Spørgsmål q« er rød."
    between = read(make(NUMERIC), None, {"pain": 5})["item:pain"].explanation
    assert between.sentence("en") == (
        "The answer to “Spørgsmål pain” is 5; 3 or above and 7 or below is yellow "
        "(May need attention; source: FUT answerSignificance 2)."
    )


@pytest.mark.parametrize(
    ("given", "da", "en"),
    [
        (
            {"pain": 1, "mood": 1},
            "Besvarelsen er grøn: alt, der er vurderet, er grønt.",
            "The response is green: everything that was judged is green.",
        ),
        (
            {"pain": 4, "mood": 5},
            "Besvarelsen er gul, fordi Smerte og Humør er gule.",
            "The response is yellow, because Pain and Mood are yellow.",
        ),
        (
            {"pain": 9},
            "Besvarelsen er rød, fordi Smerte er rød. Kunne ikke vurderes: Humør.",
            "The response is red, because Pain is red. Could not be judged: Mood.",
        ),
        (
            {"pain": 1},
            "Besvarelsen er ikke fortolket: Humør kunne ikke vurderes.",
            "The response is not interpreted: Mood could not be judged.",
        ),
    ],
)
def test_the_colour_of_the_response_is_explained_in_a_sentence(given: dict[str, Any], da: str, en: str) -> None:
    explanation = read(BOTH, RULES, given)["response"].explanation
    assert explanation.sentence("da") == da
    assert explanation.sentence("en") == en


def test_an_explanation_holds_rule_inputs_threshold_and_versions() -> None:
    written = read(BOTH, RULES, {"pain": Decimal("7.10")})["score:pain"].explanation.to_json()
    assert written["rule"] == "pain-level"
    assert written["inputs"] == [
        {"subject": "score:pain", "label": {"da": "Smerte", "en": "Pain"}, "kind": "number", "value": "7.1"}
    ]
    assert written["threshold"] == {
        "conditions": [{"operator": ">", "value": "7"}],
        "text": {"da": "over 7", "en": "above 7"},
        "source": "a source",
    }
    assert written["ruleSet"] == {
        "id": "rules",
        "version": "1.0.0",
        "hash": RULES.content_hash,
        "status": "approved",
        "preview": False,
    }
    assert written["questionnaire"] == {"url": URL, "version": "1.0.0", "hash": BOTH.content_hash}


EVERYTHING = make(
    NUMERIC,
    choice("mood", "abcd", significance("yellow", ("!=", coded("a"))), repeats=True),
    {
        "linkId": "note",
        "type": "text",
        "text": "Andet?",
        "extension": [significance("yellow", ("exists", {"valueBoolean": True}))],
    },
    choice("extra", "abc", enableWhen=[{"question": "pain", "operator": ">", "answerDecimal": 5}]),
)
EVERY_RULE: list[dict[str, Any]] = [
    PAIN_RULE,
    {"id": "other-pain", "score": "pain", "intervals": [band("green", below=9), band("yellow", atLeast=9)]},
    {"id": "mean", "score": "mean", "intervals": [band("green", below=Decimal("1.5")), band("red", above=4)]},
    {"id": "extra", "item": "extra", "cases": [case("red", code="c"), case("green", code="a")]},
    {"id": "mood", "item": "mood", "intervals": [band("green", atMost=0), band("red", atLeast=3)]},
]
EVERY_SCORE = [
    PAIN,
    {
        "code": "mean",
        "kind": "mean",
        "label": LABEL,
        "items": ["pain", "mood", "extra"],
        "missing": {"rule": "skip", "atLeast": 2},
    },
]
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "pain": st.decimals(min_value=-2, max_value=12, places=2) | st.sampled_from([3, 7, Decimal("7.00")]),
        "mood": st.lists(st.sampled_from("abcd"), min_size=1, max_size=3),
        "note": st.just({"valueString": "noget"}),
        "extra": st.sampled_from("abc"),
    },
)


@given(given=ANSWERS, status=st.sampled_from(["approved", "draft", "off"]), preview=st.booleans())
@settings(max_examples=150)
def test_every_score_and_colour_replays_bit_for_bit_from_json(
    given: dict[str, Any], status: str, preview: bool
) -> None:
    rules = rule_set(*EVERY_RULE, scores=EVERY_SCORE, status=status)
    answers = answer(EVERYTHING, given)
    scores = score(rules, answers, preview=preview)
    made: list[Score | Interpretation] = [*scores, *interpret(EVERYTHING, rules, answers, scores, preview=preview)]
    for one in made:
        written = json.dumps(one.explanation.to_json(), sort_keys=True)
        assert not holds_float(json.loads(written))
        read_back = Explanation.from_json(json.loads(written))
        for now in ("approved", "off", "draft"):
            again = replay(read_back, EVERYTHING, rule_set(*EVERY_RULE, scores=EVERY_SCORE, status=now), answers)
            assert again == one.explanation
            assert json.dumps(again.to_json(), sort_keys=True) == written
        assert one.explanation.sentence("da").endswith(".")
        assert one.explanation.sentence("en").endswith(".")


@given(given=ANSWERS)
def test_colours_without_a_rule_set_replay_too(given: dict[str, Any]) -> None:
    answers = answer(EVERYTHING, given)
    for one in interpret(EVERYTHING, None, answers):
        assert replay(Explanation.from_json(one.explanation.to_json()), EVERYTHING, None, answers) == one.explanation


@given(given=ANSWERS, order=st.permutations(EVERY_RULE))
def test_the_order_of_the_rules_does_not_matter(given: dict[str, Any], order: list[dict[str, Any]]) -> None:
    rules, shuffled = rule_set(*EVERY_RULE, scores=EVERY_SCORE), rule_set(*order, scores=EVERY_SCORE)
    answers = answer(EVERYTHING, given)
    assert interpret(EVERYTHING, shuffled, answers, score(shuffled, answers)) == interpret(
        EVERYTHING, rules, answers, score(rules, answers)
    )


@given(given=ANSWERS)
def test_the_response_is_never_better_than_its_parts(given: dict[str, Any]) -> None:
    rules = rule_set(*EVERY_RULE, scores=EVERY_SCORE)
    *parts, whole = read(EVERYTHING, rules, given).values()
    found = {one.colour for one in parts}
    if Colour.RED in found:
        assert whole.colour is Colour.RED
    elif Colour.YELLOW in found:
        assert whole.colour is Colour.YELLOW
    elif whole.colour is Colour.GREEN:
        assert Colour.GREEN in found
        assert not any(part.open for part in whole.explanation.parts)
    else:
        assert whole.colour is Colour.NOT_INTERPRETED


def test_a_replay_from_other_versions_is_refused() -> None:
    answers = answer(BOTH, {"pain": 9, "mood": 1})
    explanation = read(BOTH, RULES, answers)["score:pain"].explanation
    other = make(number("pain", required=True), number("mood"))
    for questionnaire, rules in (
        (other, RULES),
        (BOTH, None),
        (BOTH, rule_set(PAIN_RULE, scores=[PAIN])),
        (BOTH, rule_set(PAIN_RULE, MOOD_RULE, scores=[PAIN, MOOD], version="1.0.1")),
    ):
        with pytest.raises(ReplayImpossible):
            replay(explanation, questionnaire, rules, answers)
    with pytest.raises(ReplayImpossible):
        replay(msgspec.structs.replace(explanation, subject="score:joy"), BOTH, RULES, answers)


def test_a_tampered_explanation_does_not_replay() -> None:
    answers = answer(BOTH, {"pain": 9, "mood": 1})
    explanation = read(BOTH, RULES, answers)["score:pain"].explanation
    tampered = Explanation.from_json(explanation.to_json() | {"colour": "green"})
    assert replay(tampered, BOTH, RULES, answers) != tampered
    with pytest.raises(BadInput):
        Explanation.from_json({"about": "weather"})


def test_a_score_from_elsewhere_is_replayed_with_the_scores_given() -> None:
    answers = answer(BOTH, {"pain": 9, "mood": 1})
    scores = score(RULES, answers)
    foreign = msgspec.structs.replace(scores[0], code="joy", label_da="Glæde", label_en="Joy")
    found = interpret(BOTH, RULES, answers, [*scores, foreign])
    joy = next(one for one in found if one.subject == "score:joy")
    assert reason(joy) == "no_rule"
    assert replay(joy.explanation, BOTH, RULES, answers, [*scores, foreign]) == joy.explanation
