"""Answering: what an invented citizen answers to a questionnaire, judged by the real engine and its real rules.

How burdened a citizen is, is a level; at each level there are a few variants of who they are. So answers repeat, and
each distinct response is evaluated once, however many citizens give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from kpro_graph.catalogue import Compiled
from kpro_graph.errors import ConfigurationError
from kpro_graph.questionnaires import Item, ItemType, Questionnaire, Value, assemble, evaluate, write_json
from kpro_graph.responses.findings import Findings, conclude

__all__ = ["LEVELS", "VARIANTS", "Answering", "Edition"]

LEVELS = 20
"""From no burden, level 0, to the heaviest."""
VARIANTS = 6
"""How many different people there are at each level of each questionnaire."""

# The questions where a higher answer is the better one, by the last part of the questionnaire's url.
_HIGHER_IS_BETTER: Mapping[str, frozenset[str]] = {
    "who-5": frozenset("12345"),
    "eq-5d-5l": frozenset({"vas"}),
    "aalborg-hjerteopfoelgning": frozenset({"mood", "active-days"}),
}
# The questions that only the most burdened say yes to.
_SELDOM: Mapping[str, frozenset[str]] = {
    "phq-9": frozenset("9"),
    "aalborg-hjerteopfoelgning": frozenset({"chest-at-rest"}),
    "center-for-kraeft": frozenset({"wants-message"}),
}
# What citizens write in their own words, by linkId; a question that is not here gets no words.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "goal": (
        "At kunne gå en tur i skoven igen.",
        "At kunne cykle på arbejde.",
        "At få mere overskud til børnebørnene.",
        "At turde være aktiv uden at være bange for hjertet.",
    ),
    "message": (
        "Jeg vil gerne tale om, hvordan jeg kommer tilbage på arbejde.",
        "Min ægtefælle vil gerne med til samtalen.",
        "Jeg sover dårligt og vil gerne høre, hvad jeg kan gøre.",
    ),
    "topic-other": ("Ferie og rejser", "Økonomi", "Sex og samliv"),
}


@dataclass(frozen=True, slots=True)
class Edition:
    """A version that can be given to citizens: its id in its owner's library, ready for use."""

    id: UUID
    compiled: Compiled

    @property
    def questionnaire(self) -> Questionnaire:
        """The questionnaire itself."""
        return self.compiled.questionnaire

    @property
    def name(self) -> str:
        """The last part of its url, by which the demo knows it."""
        return self.compiled.url.rsplit("/", 1)[-1]


class Answering:
    """The answers of one edition, for one seed."""

    def __init__(self, edition: Edition, seed: int) -> None:
        self.edition = edition
        self._seed = seed
        self._better = _HIGHER_IS_BETTER.get(edition.name, frozenset())
        self._seldom = _SELDOM.get(edition.name, frozenset())
        self._found: dict[tuple[int, int], Findings] = {}
        self._evaluated: dict[bytes, Findings] = {}

    def give(self, level: int, variant: int) -> Findings:
        """Return what is stored of the response that this variant gives at this level of burden.

        Raises:
            ConfigurationError: the demo does not know how to answer this questionnaire.
        """
        found = self._found.get((level, variant))
        if found is None:
            response = self._respond(level, variant)
            key = write_json(response)
            found = self._evaluated.get(key) or self._evaluate(response)
            self._found[level, variant] = self._evaluated[key] = found
        return found

    def _respond(self, level: int, variant: int) -> dict[str, Any]:
        questionnaire = self.edition.questionnaire
        chance = Random(f"{self._seed}/{self.edition.compiled.url}|{questionnaire.version}/{level}/{variant}")  # noqa: S311 - repeatable on purpose
        answers = {}
        for item in questionnaire.walk():
            if item.answerable and (values := self._answer(item, level / (LEVELS - 1), chance)):
                answers[_path(questionnaire, item)] = [value.as_fhir() for value in values]
        # The engine itself takes away the answers to questions that were not to be asked.
        return evaluate(questionnaire, assemble(questionnaire, answers), draft=True).response

    def _evaluate(self, response: Mapping[str, Any]) -> Findings:
        compiled = self.edition.compiled
        evaluation = evaluate(compiled.questionnaire, response, rules=compiled.rules)
        if not evaluation.valid:
            problem = evaluation.problems[0]
            raise ConfigurationError(
                f'the demo cannot answer the questionnaire "{self.edition.name}": {problem.code} at {problem.path}'
            )
        return conclude(compiled.questionnaire, evaluation)

    def _answer(self, item: Item, burden: float, chance: Random) -> list[Value]:
        # Drawn in any case, so that one question's answer never depends on what kind another one is.
        swing, other = chance.random() - 0.5, chance.random()
        if item.link_id in self._seldom:
            burden = burden * 2 - 1.2
        burden = min(max(burden + swing * 0.3, 0.0), 1.0)
        height = 1 - burden if item.link_id in self._better else burden
        match item.type:
            case ItemType.CHOICE | ItemType.OPEN_CHOICE if item.repeats:
                return [
                    option.value
                    for place, option in enumerate(item.options)
                    if (other * 7 * (place + 3)) % 1 < 0.3 and not option.exclusive
                ]
            case ItemType.CHOICE | ItemType.OPEN_CHOICE if item.options:
                options = sorted(item.options, key=lambda option: option.weight or 0)
                return [options[round(height * (len(options) - 1))].value]
            case ItemType.BOOLEAN:
                return [Value("boolean", burden > 0.5)]
            case ItemType.INTEGER:
                return [Value("integer", _number(item, height))]
            case ItemType.STRING | ItemType.TEXT if words := _WORDS.get(item.link_id):
                return [Value("string", words[int(other * len(words))])] if item.required or burden > 0.3 else []
        return []


def _path(questionnaire: Questionnaire, item: Item) -> str:
    above = item.parent
    path = item.link_id
    while above is not None:
        path = f"{above}/{path}"
        above = questionnaire.item(above).parent
    return path


def _number(item: Item, height: float) -> int:
    bounds = [bound.value.number for bound in (item.min_value, item.max_value) if bound and bound.value]
    lowest, highest = (int(bound or 0) for bound in bounds) if len(bounds) == 2 else (0, 10)
    if not item.controls:
        # A number that is typed rather than slid is seldom anywhere near what is allowed at most.
        highest = lowest + (highest - lowest) // 5
    return lowest + round(height * (highest - lowest))
