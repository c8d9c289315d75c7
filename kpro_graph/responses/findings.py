"""Findings: what a checked response amounts to, column by column. Pure: no database, no clock, no chance."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kpro_graph.questionnaires import Evaluation, Questionnaire, write_json
from kpro_graph.responses.kept import fingerprint, kept

__all__ = ["Colour", "Findings", "conclude", "write_receipt"]


class Colour(StrEnum):
    """What an answer, a score or a response calls for. Nothing known is never green."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    NOT_INTERPRETED = "not_interpreted"

    @property
    def urgency(self) -> int:
        """How far up a worklist the colour lifts an episode: from 0, for no colour, to 3."""
        return {Colour.GREEN: 1, Colour.YELLOW: 2, Colour.RED: 3}.get(self, 0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is stored of a response, and of each score and interpretation: column by column, in the order they stand.

    ``answers`` and ``content_hash`` are columns of the response; the two tables' columns that say whose the response
    is, and when it was submitted, are not here.
    """

    answers: str
    content_hash: str
    colour: Colour
    scores: tuple[Mapping[str, Any], ...]
    interpretations: tuple[Mapping[str, Any], ...]


def conclude(questionnaire: Questionnaire, evaluation: Evaluation) -> Findings:
    """Return what is stored of an evaluated response."""
    answers = kept(questionnaire, evaluation.response)
    return Findings(
        answers=answers,
        content_hash=fingerprint(questionnaire, answers),
        colour=_overall(evaluation),
        scores=tuple(
            {
                "code": score.code,
                "position": position,
                "label": score.label_da,
                "label_en": score.label_en,
                "value": score.value,
                "unit": score.unit or None,
                "minimum": score.minimum,
                "maximum": score.maximum,
                "explanation": write_json(score.explanation.to_json()).decode(),
            }
            for position, score in enumerate(evaluation.scores)
        ),
        interpretations=tuple(
            {
                "position": position,
                "subject": found.subject,
                "topic": found.topic_da,
                "topic_en": found.topic_en,
                "label": found.label_da,
                "label_en": found.label_en,
                "colour": found.colour.value,
                "meaning": found.meaning.value,
                "word": found.word_da,
                "word_en": found.word_en,
                "icon": found.icon,
                "reason": found.explanation.sentence("da"),
                "reason_en": found.explanation.sentence("en"),
                "explanation": write_json(found.explanation.to_json()).decode(),
            }
            for position, found in enumerate(evaluation.interpretations)
        ),
    )


def write_receipt(chance: bytes) -> str:
    """Return a receipt a person can read aloud: twelve letters and digits in three groups, never an ambiguous one.

    ``chance`` is eight bytes.
    """
    text = base64.b32encode(chance).decode()[:12].replace("I", "8").replace("O", "9")
    return "-".join((text[:4], text[4:8], text[8:]))


def _overall(evaluation: Evaluation) -> Colour:
    for found in evaluation.interpretations:
        if found.subject == "response":
            return Colour(found.colour.value)
    return Colour.NOT_INTERPRETED
