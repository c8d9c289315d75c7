"""Scores: what the answers amount to, computed exactly from the answers that count, each with its explanation.

A score without the answers it needs has no value and says why. An answer counts by the weight of its option; an answer
without a weight counts by its number. Questions that were not to be asked have no answers here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.explanation import (
    Explanation,
    QuestionnaireReference,
    RuleSetReference,
    Used,
    refer_to_questionnaire,
    refer_to_rules,
)
from kpro_graph.questionnaires.instruments import Instrument, Scale, ScaleScore
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.naming import words_of
from kpro_graph.questionnaires.rules import (
    AnswerScore,
    InstrumentScore,
    Missing,
    Output,
    RuleSet,
    ScoreDefinition,
    Status,
    TotalScore,
)
from kpro_graph.questionnaires.words import Reason, Text, join_words, write_number

__all__ = ["Score", "score", "silence"]


class Score(msgspec.Struct, frozen=True, gc=False):
    """One score of one response. ``value`` is None where the explanation's ``reason`` says why."""

    code: str
    label_da: str
    label_en: str
    value: Decimal | None
    unit: str
    minimum: Decimal | None
    maximum: Decimal | None
    explanation: Explanation


def score(rules: RuleSet, answers: Answers, *, preview: bool = False) -> tuple[Score, ...]:
    """Compute every score of the rule set, in its order.

    A rule set that is off, a draft, or made for another version of the questionnaire gives scores without a value;
    ``preview`` lets a draft speak, for its author to see.
    """
    hush = silence(rules, answers.questionnaire, preview=preview)
    sheet = _Sheet(rules, answers, hush, preview=preview)
    found: list[Score] = []
    for definition in rules.scores:
        try:
            found.extend(sheet.compute(definition))
        except Exception:  # whatever fails in one definition, the others go on
            found.extend(sheet.write(output, _Outcome(reason=_FAILED)) for output in definition.outputs())
    return tuple(found)


def silence(rules: RuleSet, questionnaire: Questionnaire, *, preview: bool) -> Reason | None:
    """Return why the rule set may not speak about this questionnaire, or None where it may."""
    if rules.status is Status.OFF:
        return Reason("rule_set_off", Text("regelsættet er slået fra", "the rule set is switched off"))
    if rules.status is Status.DRAFT and not preview:
        return Reason("rule_set_not_approved", Text("regelsættet er ikke godkendt", "the rule set is not approved"))
    if not rules.is_for(questionnaire.url, questionnaire.version):
        return Reason(
            "rule_set_for_another_version",
            Text(
                "regelsættet er til en anden version af spørgeskemaet",
                "the rule set is for another version of the questionnaire",
            ),
        )
    return None


class _Sheet:
    """One response on its way through one rule set."""

    __slots__ = ("answers", "hush", "questionnaire", "rules", "said_by", "said_of", "words")

    def __init__(self, rules: RuleSet, answers: Answers, hush: Reason | None, *, preview: bool) -> None:
        self.rules = rules
        self.answers = answers
        self.questionnaire = answers.questionnaire
        self.words = words_of(answers.questionnaire)
        self.hush = hush
        self.said_by: RuleSetReference = refer_to_rules(rules, preview=preview)
        self.said_of: QuestionnaireReference = refer_to_questionnaire(answers.questionnaire)

    def compute(self, definition: ScoreDefinition) -> list[Score]:
        match definition:
            case InstrumentScore():
                return self.score_instrument(definition)
            case TotalScore():
                return [self.settle(definition, self.total(definition))]
            case AnswerScore():
                return [self.settle(definition, self.answer(definition))]

    def settle(self, definition: TotalScore | AnswerScore, outcome: _Outcome) -> Score:
        (output,) = definition.outputs()
        if self.hush is not None:
            return self.write(output, _Outcome(reason=self.hush))
        if outcome.value is not None and not _is_within(outcome.value, output):
            outcome = msgspec.structs.replace(outcome, value=None, reason=_OUTSIDE)
        return self.write(output, outcome)

    def score_instrument(self, definition: InstrumentScore) -> list[Score]:
        outputs = {one.code: one for one in definition.outputs()}
        instrument = self.rules.prepared[definition.code]
        inputs: dict[str, Decimal | None] = {}
        obstacles: dict[str, Reason] = {}
        used: dict[str, Used] = {}
        if self.hush is None:
            for name, link_id in definition.inputs.items():
                counted = self.count(link_id, several=False)
                inputs[name] = counted.value
                used[name] = msgspec.structs.replace(counted.inputs[0], name=name)
                if counted.reason is not None and counted.reason.code != "missing_answer":
                    obstacles[name] = counted.reason
        found: list[Score] = []
        for one in instrument.score(inputs):
            if definition.scale in (None, one.code):
                scale = instrument.scale(one.code)
                reason = self.hush or next((obstacles[name] for name in scale.inputs if name in obstacles), None)
                outcome = _judge_scale(instrument, scale, one, used, reason)
                found.append(self.write(outputs[definition.code_of(one.code)], outcome))
        return found

    def total(self, definition: TotalScore) -> _Outcome:
        counted = [self.count(link_id) for link_id in definition.items]
        inputs = tuple(one for each in counted for one in each.inputs)
        outcome = _Outcome(inputs=inputs, formula=_describe_total(definition))
        for one in counted:
            if one.reason is not None and one.reason.code != "missing_answer":
                return msgspec.structs.replace(outcome, reason=one.reason)
        values = [one.value for one in counted if one.value is not None]
        if len(values) < definition.at_least:
            missing = [one.inputs[0].label for one in counted if one.value is None]
            return msgspec.structs.replace(outcome, reason=_missing(missing, definition.at_least, len(counted)))
        try:
            sum_ = exact.multiply(exact.total(values), definition.factor)
            if definition.mean:
                value = exact.divide(sum_, Decimal(len(values)))
            elif definition.missing is Missing.MEAN:
                value = exact.divide(exact.multiply(sum_, Decimal(len(counted))), Decimal(len(values)))
            else:
                value = sum_
        except exact.NotExact:
            return msgspec.structs.replace(outcome, reason=_NOT_EXACT)
        return msgspec.structs.replace(outcome, value=value)

    def answer(self, definition: AnswerScore) -> _Outcome:
        item = self.questionnaire.by_link_id.get(definition.item)
        if definition.calculated and item is not None and item.calculated is None:
            return _Outcome(reason=_NOT_CALCULATED, formula=_CALCULATED)
        return msgspec.structs.replace(
            self.count(definition.item), formula=_CALCULATED if definition.calculated else _ANSWERED
        )

    def count(self, link_id: str, *, several: bool = True) -> _Outcome:
        """Return what one item counts: the weight of its answer, else its number; several weights are added."""
        subject, label = f"item:{link_id}", self.words.label(link_id)
        if link_id not in self.questionnaire.by_link_id:
            return _Outcome(reason=_unknown(link_id), inputs=(Used(subject, label, "missing"),))
        values = self.answers.values(link_id)
        if not values:
            return _Outcome(reason=_missing([label], 1, 1), inputs=(Used(subject, label, "missing"),))
        weights = self.answers.weights(link_id)
        if len(values) == 1:
            number = weights[0] if weights[0] is not None else values[0].number
            numbers = [number]
        else:
            numbers = list(weights)
        if any(one is None for one in numbers) or (len(values) > 1 and not several):
            reason = _several(label) if len(values) > 1 else _no_number(label)
            return _Outcome(reason=reason, inputs=(Used(subject, label, "other"),))
        try:
            value = exact.total([one for one in numbers if one is not None])
        except exact.NotExact:
            return _Outcome(reason=_NOT_EXACT, inputs=(Used(subject, label, "other"),))
        if len(values) == 1:
            return _Outcome(value=value, inputs=(self.words.explain(link_id, values[0], value),))
        return _Outcome(value=value, inputs=(Used(subject, label, "number", value=exact.write(value)),))

    def write(self, output: Output, outcome: _Outcome) -> Score:
        return Score(
            code=output.code,
            label_da=output.label.da,
            label_en=output.label.en,
            value=outcome.value,
            unit=output.unit,
            minimum=output.minimum,
            maximum=output.maximum,
            explanation=Explanation(
                about="score",
                subject=f"score:{output.code}",
                label=output.label,
                questionnaire=self.said_of,
                rule=output.code,
                value=None if outcome.value is None else exact.write(outcome.value),
                inputs=outcome.inputs,
                formula=outcome.formula,
                minimum=None if output.minimum is None else exact.write(output.minimum),
                maximum=None if output.maximum is None else exact.write(output.maximum),
                reason=outcome.reason,
                source=outcome.source,
                caveats=outcome.caveats,
                rule_set=self.said_by,
            ),
        )


class _Outcome(msgspec.Struct, frozen=True, gc=False):
    value: Decimal | None = None
    reason: Reason | None = None
    inputs: tuple[Used, ...] = ()
    formula: Text | None = None
    source: str = ""
    caveats: tuple[Text, ...] = ()


def _judge_scale(
    instrument: Instrument, scale: Scale, found: ScaleScore, used: Mapping[str, Used], reason: Reason | None
) -> _Outcome:
    citation = scale.citation or instrument.citation
    source = f"{citation.text}, doi {citation.doi}" if citation.doi else citation.text
    return _Outcome(
        value=found.value if reason is None else None,
        reason=reason or found.reason,
        inputs=tuple(used[name] for name in scale.inputs if name in used),
        formula=None if scale.formula is None else scale.formula.text,
        source=source,
        caveats=instrument.caveats,
    )


def _is_within(value: Decimal, output: Output) -> bool:
    return (output.minimum is None or value >= output.minimum) and (output.maximum is None or value <= output.maximum)


def _describe_total(definition: TotalScore) -> Text:
    count = len(definition.items)
    da, en = ("gennemsnittet", "the mean") if definition.mean else ("summen", "the sum")
    da, en = f"{da} af {count} svar", f"{en} of {count} answers"
    if definition.missing is Missing.SKIP:
        da, en = f"{da}, mindst {definition.at_least} givne", f"{en}, at least {definition.at_least} given"
    if definition.missing is Missing.MEAN:
        da += f", mindst {definition.at_least} givne; et manglende svar tæller som gennemsnittet af de givne"
        en += f", at least {definition.at_least} given; a missing answer counts as the mean of those given"
    if definition.factor != 1:
        da += f", ganget med {write_number(definition.factor, 'da')}"
        en += f", times {write_number(definition.factor, 'en')}"
    return Text(da, en)


def _missing(labels: list[Text], needed: int, count: int) -> Reason:
    da = join_words([f"»{label.da}«" for label in labels], "da")
    en = join_words([f"“{label.en}”" for label in labels], "en")
    verb = "is" if len(labels) == 1 else "are"
    rule = Text("", "") if count == 1 else Text(f" ({needed} af {count} kræves)", f" ({needed} of {count} are needed)")
    return Reason("missing_answer", Text(f"{da} er ikke besvaret{rule.da}", f"{en} {verb} not answered{rule.en}"))


def _unknown(link_id: str) -> Reason:
    return Reason(
        "unknown_item",
        Text(f"spørgeskemaet har intet punkt {link_id}", f"the questionnaire has no item {link_id}"),
    )


def _several(label: Text) -> Reason:
    return Reason(
        "several_answers",
        Text(
            f"»{label.da}« har flere svar, som ikke kan lægges sammen",
            f"“{label.en}” has several answers, not to be added",
        ),
    )


def _no_number(label: Text) -> Reason:
    return Reason(
        "no_number",
        Text(
            f"svaret på »{label.da}« har hverken vægt eller tal", f"the answer to “{label.en}” has no weight or number"
        ),
    )


_FAILED = Reason("rule_failed", Text("beregningen fejlede", "the computation failed"))
_OUTSIDE = Reason(
    "outside_declared_range",
    Text("resultatet ligger uden for det angivne interval", "the result lies outside the declared range"),
)
_NOT_EXACT = Reason(
    "not_exact", Text("et tal er for stort eller for fint til at regne med", "a number is too large or too fine to use")
)
_NOT_CALCULATED = Reason(
    "not_calculated", Text("spørgeskemaet beregner ikke punktet", "the questionnaire does not calculate the item")
)
_CALCULATED = Text("beregnet af spørgeskemaet", "calculated by the questionnaire")
_ANSWERED = Text("svaret selv", "the answer itself")
