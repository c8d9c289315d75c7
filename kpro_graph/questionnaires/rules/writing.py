"""Rule sets as JSON documents: every number as it is, never through a binary float."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.document import write_json
from kpro_graph.questionnaires.rules.parts import (
    AnswerScore,
    Case,
    InstrumentScore,
    Interval,
    ItemRule,
    Missing,
    Rule,
    ScoreDefinition,
    TotalScore,
)
from kpro_graph.questionnaires.words import Text

if TYPE_CHECKING:
    from kpro_graph.questionnaires.rules.model import RuleSet

__all__ = ["FORMAT", "write_content", "write_rule_set"]

FORMAT = "kpro-graph/rule-set/1"
"""The name of the document format, written in every document."""


def write_rule_set(rules: RuleSet) -> bytes:
    """Return the rule set as an indented JSON document in UTF-8 that `read_rule_set` reads back as an equal one."""
    content = write_content(rules)
    purpose = list(content).index("intendedPurpose")
    head, tail = list(content.items())[:purpose], list(content.items())[purpose:]
    approval: dict[str, Any] = {"status": rules.status.value}
    if rules.approval is not None:
        approval["approval"] = {"by": rules.approval.by, "at": rules.approval.at.isoformat()}
    return write_json({**dict(head), **approval, **dict(tail)}, indent=2) + b"\n"


def write_content(rules: RuleSet) -> dict[str, Any]:
    """Return everything but status and approval, as plain objects with decimals in their one written form."""
    return {
        "format": FORMAT,
        "id": rules.id,
        "version": rules.version,
        "questionnaire": {"url": rules.url, "versions": list(rules.versions)},
        "title": _text(rules.title),
        "intendedPurpose": _text(rules.intended_purpose),
        "medicalDeviceClass": rules.medical_device_class.value,
        "meaning": rules.meaning.value,
        "scores": [_score(one) for one in rules.scores],
        "rules": [_rule(one) for one in rules.rules],
        "topics": [{"id": one.id, "title": _text(one.title), "subjects": list(one.subjects)} for one in rules.topics],
    }


def _text(text: Text) -> dict[str, str]:
    return {"da": text.da, "en": text.en}


def _score(one: ScoreDefinition) -> dict[str, Any]:
    match one:
        case InstrumentScore():
            written: dict[str, Any] = {"code": one.code, "kind": "instrument", "instrument": one.instrument}
            if one.scale is not None:
                written["scale"] = one.scale
            if one.label is not None:
                written["label"] = _text(one.label)
            written["inputs"] = dict(one.inputs)
            if one.conversion is not None:
                scales = {
                    code: {key: exact.canonical(value) for key, value in rows.items()}
                    for code, rows in one.conversion.scales.items()
                }
                written["conversion"] = {"source": one.conversion.source, "scales": scales}
            return written
        case TotalScore():
            missing: Any = {"rule": one.missing.value}
            if one.missing is not Missing.REFUSE:
                missing["atLeast"] = one.at_least
            written = {
                "code": one.code,
                "kind": "mean" if one.mean else "sum",
                "label": _text(one.label),
                "items": list(one.items),
                "missing": missing,
            }
            if one.factor != 1:
                written["factor"] = exact.canonical(one.factor)
            return written | _range(one)
        case AnswerScore():
            kind = "calculated" if one.calculated else "item"
            return {"code": one.code, "kind": kind, "label": _text(one.label), "item": one.item} | _range(one)


def _range(one: TotalScore | AnswerScore) -> dict[str, Any]:
    written: dict[str, Any] = {"unit": one.unit} if one.unit else {}
    for name, value in (("minimum", one.minimum), ("maximum", one.maximum)):
        if value is not None:
            written[name] = exact.canonical(value)
    return written


def _rule(one: Rule) -> dict[str, Any]:
    if not isinstance(one, ItemRule):
        return {"id": one.id, "score": one.score, "intervals": [_interval(each) for each in one.intervals]}
    if one.cases:
        return {"id": one.id, "item": one.item, "cases": [_case(each) for each in one.cases]}
    return {"id": one.id, "item": one.item, "intervals": [_interval(each) for each in one.intervals]}


def _interval(one: Interval) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if one.low is not None:
        written["atLeast" if one.low_included else "above"] = exact.canonical(one.low)
    if one.high is not None:
        written["atMost" if one.high_included else "below"] = exact.canonical(one.high)
    return written | {"colour": one.colour.value, "word": _text(one.word), "source": one.source}


def _case(one: Case) -> dict[str, Any]:
    answer: dict[str, str | bool | Decimal] = {}
    if one.code is not None:
        answer["code"] = one.code
        if one.system is not None:
            answer["system"] = one.system
    if one.boolean is not None:
        answer["boolean"] = one.boolean
    if one.text is not None:
        answer["text"] = one.text
    if one.answered is not None:
        answer["answered"] = one.answered
    return {"answer": answer, "colour": one.colour.value, "word": _text(one.word), "source": one.source}
