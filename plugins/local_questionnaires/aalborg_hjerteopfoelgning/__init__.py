"""Aalborg's heart follow-up: a questionnaire that is written as a table in Python and registered as FHIR.

The wording is invented for this example. The rules lie beside this file as data.
"""

from __future__ import annotations

import json
from pathlib import Path

from kpro_graph.plugins import QuestionnaireBundle, hookimpl

from .fhir import Json, Text, choice, item, options, questionnaire, scale, when

NAME = "aalborg-hjerteopfoelgning"

DEGREES = options(
    f"{NAME}-degree",
    [
        ("never", ("Aldrig", "Never"), 0),
        ("exertion", ("Når jeg anstrenger mig", "When I exert myself"), 1),
        ("everyday", ("Ved almindelige gøremål", "In everyday tasks"), 2),
        ("rest", ("Også i hvile", "Also at rest"), 3),
    ],
)
MEDICINE = options(
    f"{NAME}-medicine",
    [
        ("daily", ("Ja, hver dag", "Yes, every day"), None),
        ("forgets", ("Jeg glemmer den af og til", "I forget it now and then"), None),
        ("stopped", ("Nej, jeg er holdt op", "No, I have stopped"), None),
    ],
)
SMOKING = options(
    f"{NAME}-smoking",
    [
        ("no", ("Nej", "No"), None),
        ("former", ("Nej, jeg er holdt op", "No, I have stopped"), None),
        ("yes", ("Ja", "Yes"), None),
    ],
)

WELCOME: Text = (
    "Disse spørgsmål følger op på din hjerterehabilitering i Aalborg. Tænk på de seneste fire uger.",
    "These questions follow up on your heart rehabilitation in Aalborg. Think of the last four weeks.",
)


def items() -> list[Json]:
    """Return the questions, in the order in which they are asked."""
    return [
        item("welcome", "display", WELCOME),
        choice("breath", ("Hvornår bliver du forpustet?", "When do you get out of breath?"), DEGREES),
        choice(
            "chest", ("Hvornår mærker du trykken for brystet?", "When do you feel pressure on your chest?"), DEGREES
        ),
        item(
            "chest-at-rest",
            "boolean",
            (
                "Har du haft trykken for brystet i hvile det seneste døgn?",
                "Any chest pressure at rest since yesterday?",
            ),
            required=True,
            **when("chest", DEGREES, "rest"),
        ),
        choice("tired", ("Hvornår bliver du unormalt træt?", "When do you get unusually tired?"), DEGREES),
        choice("medicine", ("Tager du din hjertemedicin?", "Do you take your heart medicine?"), MEDICINE),
        item(
            "active-days",
            "integer",
            ("Hvor mange dage om ugen får du pulsen op?", "How many days a week do you get your pulse up?"),
            extension=scale(0, 7),
            required=True,
        ),
        choice("smoking", ("Ryger du?", "Do you smoke?"), SMOKING),
        item(
            "cigarettes",
            "integer",
            ("Hvor mange cigaretter om dagen?", "How many cigarettes a day?"),
            extension=scale(1, 100, slider=False),
            required=True,
            **when("smoking", SMOKING, "yes"),
        ),
        item(
            "mood",
            "integer",
            ("Hvordan er dit humør? 0 er dårligst, 10 er bedst.", "How is your mood? 0 is worst, 10 is best."),
            extension=scale(0, 10),
            required=True,
        ),
        item(
            "goal", "text", ("Hvad er vigtigst for dig at nå?", "What matters most for you to reach?"), maxLength=1000
        ),
    ]


@hookimpl
def register_questionnaires() -> list[QuestionnaireBundle]:
    """Return the one questionnaire with its rules, owned by Aalborg."""
    document = questionnaire(
        NAME,
        title=("Hjerteopfølgning", "Heart follow-up"),
        publisher="Aalborg Kommune (eksempel)",
        copyright_notice="Ordlyden er opdigtet til dette eksempel og fri til brug under MIT-licensen.",
        items=items(),
    )
    written = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
    rules = (Path(__file__).parent / "rules.json").read_bytes()
    return [QuestionnaireBundle(written, rules, owner="0851", name=NAME)]
