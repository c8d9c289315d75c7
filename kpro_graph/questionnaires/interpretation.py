"""Interpretation: which colour the scores and answers have, what the colour is for, and why.

How a colour comes about:

- *Red and yellow stay.* The worst colour that any rule gives is the colour of its subject, and of the whole response.
- *Green is said only when everything was judged.* A rule that could not be evaluated (an answer or a score it needs is
  missing, its value lies in no interval, it failed, or its rule set is off, a draft, or for another version) makes its
  subject and the whole response *not interpreted*, unless something is yellow or red.
- *No rule is no colour.* An answer that no condition of its rule matches, and a score without a rule, are not
  interpreted; that is their author's choice and does not stand in the way of a green response. Where nothing has a
  colour, the response has none.
- *What was not to be asked is not judged* and stands in nobody's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kpro_graph.errors import BadInput, Rejected
from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.explanation import (
    Explanation,
    Part,
    RuleSetReference,
    quote,
    refer_to_questionnaire,
    refer_to_rules,
)
from kpro_graph.questionnaires.judging import (
    Verdict,
    judge_item_rule,
    judge_score_rule,
    judge_significances,
    weigh,
)
from kpro_graph.questionnaires.model import Item, Questionnaire
from kpro_graph.questionnaires.naming import words_of
from kpro_graph.questionnaires.rules import (
    Colour,
    ItemRule,
    Meaning,
    RuleProblem,
    RuleSet,
    RuleSetInvalid,
    ScoreRule,
    Status,
    read_rule_set,
    write_rule_set,
)
from kpro_graph.questionnaires.scoring import Score, score, silence
from kpro_graph.questionnaires.words import Reason, Text, join_words

__all__ = [
    "ICONS",
    "RESPONSE",
    "WORDS",
    "Colour",
    "Explanation",
    "Interpretation",
    "Meaning",
    "ReplayImpossible",
    "RuleProblem",
    "RuleSet",
    "RuleSetInvalid",
    "Status",
    "interpret",
    "read_rule_set",
    "replay",
    "write_rule_set",
]

RESPONSE = "response"
"""The subject of the colour of a whole response."""

ICONS: Mapping[Colour, str] = {
    Colour.GREEN: "circle-check",
    Colour.YELLOW: "triangle-alert",
    Colour.RED: "octagon-alert",
    Colour.NOT_INTERPRETED: "circle-dashed",
}
"""The icon that goes with each colour: a key and a shape of its own, so that no one needs to see the colour."""

WORDS: Mapping[Colour, Text] = {
    Colour.GREEN: Text("Kræver ikke opmærksomhed", "Needs no attention"),
    Colour.YELLOW: Text("Kan kræve opmærksomhed", "May need attention"),
    Colour.RED: Text("Kræver opmærksomhed", "Needs attention"),
    Colour.NOT_INTERPRETED: Text("Ikke fortolket", "Not interpreted"),
}
"""The word that goes with each colour where its rule has none of its own."""

_WHOLE = Text("Besvarelsen", "The response")
_NO_RULE = Reason("no_rule", Text("der er ingen regel", "there is no rule"))
_NOTHING_JUDGED = Reason("no_rule", Text("ingen regel giver en farve", "no rule gives a colour"))


class ReplayImpossible(Rejected):
    """The explanation cannot be recomputed from what was given: another version, or nothing of that name."""

    code = "REPLAY_IMPOSSIBLE"


class Interpretation(msgspec.Struct, frozen=True, gc=False):
    """The colour of one score, one item, or the whole response.

    Attributes:
        topic: the id of the topic it stands under, empty where it stands under none; with its heading.
        subject: ``score:<code>``, ``item:<linkId>`` or ``response``.
        meaning: what the colour is for: to open a conversation, or to decide who is seen first.
        icon: the key of the icon shown with the colour.
    """

    topic: str
    topic_da: str
    topic_en: str
    subject: str
    label_da: str
    label_en: str
    colour: Colour
    meaning: Meaning
    word_da: str
    word_en: str
    icon: str
    explanation: Explanation


def interpret(
    questionnaire: Questionnaire,
    rules: RuleSet | None,
    answers: Answers,
    scores: Iterable[Score] = (),
    *,
    preview: bool = False,
) -> tuple[Interpretation, ...]:
    """Interpret a response: each score, each item with a rule or under a topic, and last the response as a whole.

    The questionnaire's own answer significances count also without a rule set; colours then are for triage.
    ``preview`` lets a draft speak, for its author to see.

    Raises:
        BadInput: the answers were given to another version of the questionnaire.
    """
    if answers.questionnaire.content_hash != questionnaire.content_hash:
        raise BadInput("The answers were given to another version of the questionnaire.", path="answers")
    return tuple(_Reading(questionnaire, rules, answers, scores, preview=preview).read())


def replay(
    explanation: Explanation,
    questionnaire: Questionnaire,
    rules: RuleSet | None,
    answers: Answers,
    scores: Iterable[Score] | None = None,
) -> Explanation:
    """Recompute what an explanation explains and return the new explanation, equal to it bit for bit if it was right.

    A rule set that was switched off or approved since then speaks as it did at the time. ``scores`` are needed only
    where some were not made by the rule set.

    Raises:
        ReplayImpossible: the questionnaire or the rule set is not the version named in the explanation, or they hold
            nothing of that subject.
    """
    if explanation.questionnaire != refer_to_questionnaire(questionnaire):
        raise ReplayImpossible("The explanation names another version of the questionnaire.")
    said_by = explanation.rule_set
    if (said_by is None) != (rules is None):
        raise ReplayImpossible("The explanation was made with a rule set and another was given, or none.")
    preview = said_by is not None and said_by.preview
    if rules is not None and said_by is not None:
        if (said_by.id, said_by.version, said_by.hash) != (rules.id, rules.version, rules.content_hash):
            raise ReplayImpossible("The explanation names another version of the rule set.")
        if rules.status is not said_by.status:
            rules = rules.under(said_by.status)
    if scores is None:
        scores = () if rules is None else score(rules, answers, preview=preview)
    made: Iterable[Score | Interpretation] = scores
    if explanation.about == "colour":
        made = interpret(questionnaire, rules, answers, scores, preview=preview)
    for one in made:
        if one.explanation.subject == explanation.subject:
            return one.explanation
    raise ReplayImpossible("Nothing of that subject is scored or interpreted.")


class _Reading:
    """One response on its way to its colours."""

    def __init__(
        self,
        questionnaire: Questionnaire,
        rules: RuleSet | None,
        answers: Answers,
        scores: Iterable[Score],
        *,
        preview: bool,
    ) -> None:
        self.questionnaire = questionnaire
        self.rules = rules
        self.answers = answers
        self.words = words_of(questionnaire)
        self.scores = {one.code: one for one in scores}
        self.hush = None if rules is None else silence(rules, questionnaire, preview=preview)
        self.meaning = Meaning.TRIAGE if rules is None else rules.meaning
        self.said_by: RuleSetReference | None = None if rules is None else refer_to_rules(rules, preview=preview)
        self.said_of = refer_to_questionnaire(questionnaire)
        self.verdicts: list[Verdict] = []

    def read(self) -> Iterator[Interpretation]:
        for subject, label, verdicts in (*self.judge_scores(), *self.judge_items()):
            self.verdicts.extend(verdicts)
            decided = weigh(verdicts) or Verdict(subject, label, "", reason=_NO_RULE)
            parts = tuple(_tell(one) for one in verdicts) if len(verdicts) > 1 else ()
            yield self.write(decided, parts)
        yield self.write_whole()

    def judge_scores(self) -> Iterator[tuple[str, Text, list[Verdict]]]:
        outputs = {} if self.rules is None else self.rules.outputs
        for code in dict.fromkeys((*outputs, *self.scores)):
            subject, found = f"score:{code}", self.scores.get(code)
            label = outputs[code].label if found is None else Text(found.label_da, found.label_en)
            verdicts = [
                self.hushed(rule.subject, label, rule.id) or judge_score_rule(rule, found, label)
                for rule in self.rules_about(subject)
                if isinstance(rule, ScoreRule)
            ]
            yield subject, label, verdicts

    def judge_items(self) -> Iterator[tuple[str, Text, list[Verdict]]]:
        asked = frozenset(self.answers.enabled)
        known = self.questionnaire.by_link_id
        spoken_of = self.spoken_of()
        for item in self.questionnaire.walk():
            if item.link_id in asked and (item.significances or item.link_id in spoken_of):
                yield self.judge_item(item.link_id, item)
        for link_id in sorted(spoken_of - set(known)):
            yield self.judge_item(link_id, None)

    def judge_item(self, link_id: str, item: Item | None) -> tuple[str, Text, list[Verdict]]:
        subject, label = f"item:{link_id}", self.words.label(link_id)
        verdicts = [
            self.hushed(subject, label, rule.id) or judge_item_rule(rule, item, self.answers, self.words)
            for rule in self.rules_about(subject)
            if isinstance(rule, ItemRule)
        ]
        if item is not None and item.significances:
            verdicts.append(judge_significances(item, self.answers, self.words))
        return subject, label, verdicts

    def rules_about(self, subject: str) -> tuple[ScoreRule | ItemRule, ...]:
        return () if self.rules is None else self.rules.rules_by_subject.get(subject, ())

    def spoken_of(self) -> frozenset[str]:
        """The linkIds the rule set has a rule or a topic for."""
        if self.rules is None:
            return frozenset()
        subjects = (*self.rules.rules_by_subject, *self.rules.topic_by_subject)
        return frozenset(one.removeprefix("item:") for one in subjects if one.startswith("item:"))

    def hushed(self, subject: str, label: Text, rule: str) -> Verdict | None:
        return None if self.hush is None else Verdict(subject, label, rule, open=True, reason=self.hush)

    def write_whole(self) -> Interpretation:
        verdicts = list(self.verdicts)
        if self.hush is not None and self.rules is not None:
            verdicts.append(Verdict(RESPONSE, _WHOLE, "", open=True, reason=self.hush))
        decided = weigh(verdicts)
        colour = Colour.NOT_INTERPRETED if decided is None else decided.colour
        reason: Reason | None = None
        if colour is Colour.NOT_INTERPRETED:
            reason = self.hush or _name_open([one for one in verdicts if one.open]) or _NOTHING_JUDGED
        whole = Verdict(RESPONSE, _WHOLE, "" if decided is None else decided.rule, colour=colour, reason=reason)
        return self.write(
            whole, tuple(_tell(one) for one in verdicts if one.open or one.colour is not Colour.NOT_INTERPRETED)
        )

    def write(self, decided: Verdict, parts: tuple[Part, ...]) -> Interpretation:
        topic = None if self.rules is None else self.rules.topic_by_subject.get(decided.subject)
        word = decided.word or WORDS[decided.colour]
        return Interpretation(
            topic="" if topic is None else topic.id,
            topic_da="" if topic is None else topic.title.da,
            topic_en="" if topic is None else topic.title.en,
            subject=decided.subject,
            label_da=decided.label.da,
            label_en=decided.label.en,
            colour=decided.colour,
            meaning=self.meaning,
            word_da=word.da,
            word_en=word.en,
            icon=ICONS[decided.colour],
            explanation=Explanation(
                about="colour",
                subject=decided.subject,
                label=decided.label,
                questionnaire=self.said_of,
                rule=decided.rule,
                colour=decided.colour,
                word=word,
                meaning=self.meaning,
                inputs=decided.inputs,
                threshold=decided.threshold,
                parts=parts,
                reason=decided.reason,
                rule_set=self.said_by,
            ),
        )


def _tell(verdict: Verdict) -> Part:
    return Part(verdict.subject, verdict.label, verdict.rule, verdict.colour, verdict.open, verdict.reason)


def _name_open(verdicts: list[Verdict]) -> Reason | None:
    if not verdicts:
        return None
    da = join_words(list(dict.fromkeys(quote(one.subject, one.label, "da") for one in verdicts)), "da")
    en = join_words(list(dict.fromkeys(quote(one.subject, one.label, "en") for one in verdicts)), "en")
    return Reason("not_all_judged", Text(f"{da} kunne ikke vurderes", f"{en} could not be judged"))
