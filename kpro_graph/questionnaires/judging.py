"""Judging: what one rule says about one score or one question's answers, and how several such verdicts are weighed.

A verdict is a colour; or *open*, when the rule could not be evaluated; or neither, when it was evaluated and says
nothing about this answer. An open verdict never becomes green.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.answers import Answers
from kpro_graph.questionnaires.explanation import Threshold, ThresholdCondition, Used
from kpro_graph.questionnaires.model import Condition, Item, Significance, Value
from kpro_graph.questionnaires.naming import ItemWords
from kpro_graph.questionnaires.rules import Case, Colour, Interval, ItemRule, ScoreRule
from kpro_graph.questionnaires.scoring import Score
from kpro_graph.questionnaires.words import Reason, Text, write_number

__all__ = ["SIGNIFICANCE", "Verdict", "judge_item_rule", "judge_score_rule", "judge_significances", "weigh"]

SIGNIFICANCE = "answerSignificance"
"""What the rule made of an item's own answer significances is called, before a colon and its linkId."""

_SEVERITY = {Colour.NOT_INTERPRETED: 0, Colour.GREEN: 1, Colour.YELLOW: 2, Colour.RED: 3}
_RANK = {Colour.RED: 0, Colour.YELLOW: 1, Colour.GREEN: 3, Colour.NOT_INTERPRETED: 4}


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What one rule says. ``open`` means that it could not be evaluated; ``reason`` says why there is no colour."""

    subject: str
    label: Text
    rule: str
    colour: Colour = Colour.NOT_INTERPRETED
    open: bool = False
    reason: Reason | None = None
    inputs: tuple[Used, ...] = ()
    threshold: Threshold | None = None
    word: Text | None = None


def weigh(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict that decides, or None where there is none.

    Red goes before yellow, both before an open verdict, that before green, and that before a rule that says nothing.
    """
    return verdicts[0] if len(verdicts) == 1 else min(verdicts, key=_weight, default=None)


def judge_score_rule(rule: ScoreRule, score: Score | None, label: Text) -> Verdict:
    """Hold a score against the rule's intervals; a score without a value, or in no interval, leaves it open."""

    def judge() -> Verdict:
        value = None if score is None else score.value
        used = Used(rule.subject, label, "missing" if value is None else "number", value=_write(value))
        verdict = Verdict(rule.subject, label, rule.id, inputs=(used,))
        if score is None or value is None:
            reason = _NO_SCORE if score is None or score.explanation.reason is None else score.explanation.reason
            return msgspec.structs.replace(verdict, open=True, reason=reason)
        interval = _worst_interval(rule.intervals, value)
        if interval is None:
            return msgspec.structs.replace(verdict, open=True, reason=_IN_NO_INTERVAL)
        return _colour_by_interval(verdict, interval)

    return _guard(rule.subject, label, rule.id, judge)


def judge_item_rule(rule: ItemRule, item: Item | None, answers: Answers, words: ItemWords) -> Verdict:
    """Hold every answer to the item against the rule; the worst colour it gives to any of them is its verdict."""
    label = words.label(rule.item)

    def judge() -> Verdict:
        verdict = Verdict(rule.subject, label, rule.id)
        if item is None:
            return msgspec.structs.replace(verdict, open=True, reason=_UNKNOWN_ITEM)
        values, weights = answers.values(rule.item), answers.weights(rule.item)
        found: list[Verdict] = []
        for case in rule.cases:
            if case.answered is not None and case.answered == bool(values):
                found.append(_colour_by_presence(verdict, case))
        if not values and not found:
            return _without_answer(verdict, needed=any(case.answered is None for case in rule.cases) or not rule.cases)
        for value, weight in zip(values, weights, strict=True):
            if rule.intervals:
                found.append(_judge_number(verdict, words, rule.item, rule.intervals, value, weight))
            found.extend(
                _judge_case(verdict, words, rule.item, case, value) for case in rule.cases if case.answered is None
            )
        return weigh(found) or msgspec.structs.replace(verdict, reason=_NO_RULE_MATCHED)

    return _guard(rule.subject, label, rule.id, judge)


def judge_significances(item: Item, answers: Answers, words: ItemWords) -> Verdict:
    """Hold every answer to the item against its own answer significances; the worst colour is the verdict."""
    subject, rule, label = f"item:{item.link_id}", f"{SIGNIFICANCE}:{item.link_id}", words.label(item.link_id)

    def judge() -> Verdict:
        verdict = Verdict(subject, label, rule)
        values, weights = answers.values(item.link_id), answers.weights(item.link_id)
        found: list[Verdict] = []
        for number, one in enumerate(item.significances, start=1):
            if _asks_presence(one.conditions):
                found.extend(_judge_presence(verdict, one, number, present=bool(values)))
            else:
                found.extend(_judge_significance(verdict, words, item.link_id, one, number, values, weights))
        if not values and not found:
            conditions = [condition for one in item.significances for condition in one.conditions]
            return _without_answer(verdict, needed=any(one.operator != "exists" for one in conditions))
        return weigh(found) or msgspec.structs.replace(verdict, reason=_NO_RULE_MATCHED)

    return _guard(subject, label, rule, judge)


def _weight(verdict: Verdict) -> tuple[int, str, str]:
    return (2 if verdict.open else _RANK[verdict.colour], verdict.rule, verdict.subject)


def _guard(subject: str, label: Text, rule: str, judge: Callable[[], Verdict]) -> Verdict:
    """A rule that fails has judged nothing, whatever the failure; the others go on."""
    try:
        return judge()
    except Exception:
        return Verdict(subject, label, rule, open=True, reason=_RULE_FAILED)


def _judge_number(
    verdict: Verdict,
    words: ItemWords,
    link_id: str,
    intervals: Iterable[Interval],
    value: Value,
    weight: Decimal | None,
) -> Verdict:
    number = weight if weight is not None else value.number
    if number is None:
        used = Used(verdict.subject, verdict.label, "other")
        return msgspec.structs.replace(verdict, open=True, reason=_NO_NUMBER, inputs=(used,))
    used = words.explain(link_id, value, exact.canonical(number))
    verdict = msgspec.structs.replace(verdict, inputs=(used,))
    interval = _worst_interval(intervals, number)
    if interval is None:
        return msgspec.structs.replace(verdict, reason=_NO_RULE_MATCHED)
    return _colour_by_interval(verdict, interval)


def _judge_case(verdict: Verdict, words: ItemWords, link_id: str, case: Case, value: Value) -> Verdict:
    used = words.explain(link_id, value)
    if case.code is not None:
        matches = value.kind == "Coding" and value.code == case.code and case.system in (None, value.system)
        condition, text = ThresholdCondition("=", case.code), _THIS_ANSWER
    elif case.boolean is not None:
        matches = value.value is case.boolean
        condition, text = ThresholdCondition("=", "true" if case.boolean else "false"), _THIS_ANSWER
    else:
        matches = value.value == case.text
        condition, text = ThresholdCondition("=", case.text or ""), _THIS_ANSWER
    if not matches:
        return msgspec.structs.replace(verdict, reason=_NO_RULE_MATCHED, inputs=(used,))
    return msgspec.structs.replace(
        verdict,
        colour=case.colour,
        inputs=(used,),
        threshold=Threshold((condition,), text, case.source),
        word=case.word,
    )


def _judge_presence(verdict: Verdict, one: Significance, number: int, *, present: bool) -> Iterable[Verdict]:
    wanted = [condition.value.value for condition in one.conditions]
    if not all(isinstance(each, bool) for each in wanted):
        yield msgspec.structs.replace(verdict, open=True, reason=_NOT_COMPARABLE)
    elif all(each is present for each in wanted):
        used = Used(verdict.subject, verdict.label, "answered" if present else "missing")
        yield _colour_by_significance(verdict, one, number, used)


def _judge_significance(
    verdict: Verdict,
    words: ItemWords,
    link_id: str,
    one: Significance,
    number: int,
    values: Sequence[Value],
    weights: Sequence[Decimal | None],
) -> list[Verdict]:
    matches: list[bool] = []
    for value, weight in zip(values, weights, strict=True):
        try:
            matches.append(_all_hold(one.conditions, value, weight))
        except _NotComparable:
            used = words.explain(link_id, value)
            return [msgspec.structs.replace(verdict, open=True, reason=_NOT_COMPARABLE, inputs=(used,))]
    if True not in matches:
        return []
    # enableWhen's != asks that no answer equals; every other operator asks that some answer satisfies.
    if len(one.conditions) == 1 and one.conditions[0].operator == "!=" and not all(matches):
        return []
    return [
        _colour_by_significance(verdict, one, number, words.explain(link_id, value))
        for value, match in zip(values, matches, strict=True)
        if match
    ]


class _NotComparable(Exception):
    pass


def _asks_presence(conditions: tuple[Condition, ...]) -> bool:
    for condition in conditions:  # noqa: SIM110 - asked of every answer; a generator costs more than it says
        if condition.operator != "exists":
            return False
    return True


def _all_hold(conditions: tuple[Condition, ...], value: Value, weight: Decimal | None) -> bool:
    for condition in conditions:  # noqa: SIM110 - as above
        if not _holds(condition, value, weight):
            return False
    return True


def _holds(condition: Condition, value: Value, weight: Decimal | None) -> bool:
    expected, operator = condition.value, condition.operator
    if operator == "exists":  # beside another condition; here there is an answer
        return expected.value is True
    if operator in ("=", "!="):
        return _equals(expected, value, weight) == (operator == "=")
    left, right = _number_of(value, weight), expected.number
    if left is None or right is None:
        raise _NotComparable
    match operator:
        case ">":
            return left > right
        case "<":
            return left < right
        case ">=":
            return left >= right
        case "<=":
            return left <= right
    raise _NotComparable


def _equals(expected: Value, value: Value, weight: Decimal | None) -> bool:
    if expected.kind == "Coding":
        if value.kind == "Coding":
            return expected.key == value.key
        if value.kind == "string":  # free text beside coded options is none of them
            return False
        raise _NotComparable
    number = expected.number
    if number is not None:
        actual = _number_of(value, weight)
        if actual is None:
            raise _NotComparable
        return actual == number
    if isinstance(expected.value, bool) != isinstance(value.value, bool) or value.kind == "Coding":
        raise _NotComparable
    return expected.value == value.value


def _number_of(value: Value, weight: Decimal | None) -> Decimal | None:
    number = value.number
    return weight if number is None else number


def _worst_interval(intervals: Iterable[Interval], value: Decimal) -> Interval | None:
    holding = [one for one in intervals if one.holds(value)]
    return max(holding, key=lambda one: _SEVERITY[one.colour], default=None)


def _colour_by_interval(verdict: Verdict, interval: Interval) -> Verdict:
    conditions = []
    if interval.low is not None:
        conditions.append(ThresholdCondition(">=" if interval.low_included else ">", exact.write(interval.low)))
    if interval.high is not None:
        conditions.append(ThresholdCondition("<=" if interval.high_included else "<", exact.write(interval.high)))
    return msgspec.structs.replace(
        verdict,
        colour=interval.colour,
        threshold=Threshold(tuple(conditions), interval.text, interval.source),
        word=interval.word,
    )


def _colour_by_presence(verdict: Verdict, case: Case) -> Verdict:
    condition = ThresholdCondition("exists", "true" if case.answered else "false")
    return msgspec.structs.replace(
        verdict,
        colour=case.colour,
        inputs=(Used(verdict.subject, verdict.label, "answered" if case.answered else "missing"),),
        threshold=Threshold((condition,), _AN_ANSWER if case.answered else _NO_ANSWER, case.source),
        word=case.word,
    )


def _colour_by_significance(verdict: Verdict, one: Significance, number: int, used: Used) -> Verdict:
    return Verdict(
        verdict.subject,
        verdict.label,
        verdict.rule,
        Colour(one.colour),
        inputs=(used,),
        threshold=_threshold_of(one.conditions, number),
    )


_written: dict[tuple[int, int], tuple[tuple[Condition, ...], Threshold]] = {}
_MOST_WRITTEN = 8192


def _threshold_of(conditions: tuple[Condition, ...], number: int) -> Threshold:
    """Return a significance's threshold, written down once however many answers meet it.

    It is remembered for these very conditions, not for equal ones: 1.0 and 1.00 are equal and written differently.
    """
    key = (id(conditions), number)
    kept = _written.get(key)
    if kept is None or kept[0] is not conditions:
        if len(_written) >= _MOST_WRITTEN:
            _written.clear()
        kept = _written[key] = (conditions, _write_threshold(conditions, number))
    return kept[1]


def _write_threshold(conditions: tuple[Condition, ...], number: int) -> Threshold:
    texts = [_describe(condition) for condition in conditions]
    return Threshold(
        tuple(ThresholdCondition(each.operator, _write_expected(each.value)) for each in conditions),
        Text(" og ".join(text.da for text in texts), " and ".join(text.en for text in texts)),
        f"FUT {SIGNIFICANCE} {number}",
    )


def _without_answer(verdict: Verdict, *, needed: bool) -> Verdict:
    used = Used(verdict.subject, verdict.label, "missing")
    return msgspec.structs.replace(
        verdict, open=needed, reason=_NOT_ANSWERED if needed else _NO_RULE_MATCHED, inputs=(used,)
    )


def _describe(condition: Condition) -> Text:
    if condition.operator == "exists":
        return _AN_ANSWER if condition.value.value is True else _NO_ANSWER
    number = condition.value.number
    if number is None:
        return _THIS_ANSWER if condition.operator == "=" else _OTHER_ANSWER
    da, en = write_number(number, "da"), write_number(number, "en")
    match condition.operator:
        case ">":
            return Text(f"over {da}", f"above {en}")
        case ">=":
            return Text(f"{da} eller derover", f"{en} or above")
        case "<":
            return Text(f"under {da}", f"below {en}")
        case "<=":
            return Text(f"{da} eller derunder", f"{en} or below")
        case "!=":
            return Text(f"andet end {da}", f"other than {en}")
    return Text(f"netop {da}", f"exactly {en}")


def _write_expected(value: Value) -> str:
    if value.kind == "Coding" and value.code is not None:
        return value.code if value.system is None else f"{value.system}|{value.code}"
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return _write(value.number) or (value.value if isinstance(value.value, str) else "")


def _write(value: Decimal | None) -> str | None:
    return None if value is None else exact.write(value)


_THIS_ANSWER = Text("netop dette svar", "exactly this answer")
_OTHER_ANSWER = Text("ethvert andet svar end det nævnte i reglen", "any answer but the one named in the rule")
_AN_ANSWER = Text("et svar", "an answer")
_NO_ANSWER = Text("intet svar", "no answer")
_NO_SCORE = Reason("missing_score", Text("scoren er ikke beregnet", "the score is not computed"))
_IN_NO_INTERVAL = Reason(
    "in_no_interval",
    Text("værdien ligger i intet af reglens intervaller", "the value lies in none of the rule's intervals"),
)
_UNKNOWN_ITEM = Reason("unknown_item", Text("spørgeskemaet har ikke punktet", "the questionnaire has no such item"))
_NOT_ANSWERED = Reason("missing_answer", Text("der er ikke svaret", "there is no answer"))
_NO_RULE_MATCHED = Reason("no_rule_matched", Text("ingen regel dækker svaret", "no rule covers the answer"))
_NO_NUMBER = Reason("no_number", Text("svaret har hverken vægt eller tal", "the answer has no weight or number"))
_NOT_COMPARABLE = Reason(
    "not_comparable", Text("svaret kan ikke sammenlignes med reglen", "the answer cannot be compared with the rule")
)
_RULE_FAILED = Reason("rule_failed", Text("reglen fejlede", "the rule failed"))
