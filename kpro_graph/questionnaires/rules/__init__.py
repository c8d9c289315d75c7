"""Rule sets: the documents that say how answers become scores and colours."""

from __future__ import annotations

from kpro_graph.questionnaires.rules.model import RuleSet
from kpro_graph.questionnaires.rules.parts import (
    AnswerScore,
    Approval,
    Case,
    Colour,
    DeviceClass,
    InstrumentScore,
    Interval,
    ItemRule,
    Meaning,
    Missing,
    Output,
    Rule,
    ScoreDefinition,
    ScoreRule,
    Status,
    Topic,
    TotalScore,
)
from kpro_graph.questionnaires.rules.reading import RuleProblem, RuleSetInvalid, read_rule_set
from kpro_graph.questionnaires.rules.writing import write_rule_set

__all__ = [
    "AnswerScore",
    "Approval",
    "Case",
    "Colour",
    "DeviceClass",
    "InstrumentScore",
    "Interval",
    "ItemRule",
    "Meaning",
    "Missing",
    "Output",
    "Rule",
    "RuleProblem",
    "RuleSet",
    "RuleSetInvalid",
    "ScoreDefinition",
    "ScoreRule",
    "Status",
    "Topic",
    "TotalScore",
    "read_rule_set",
    "write_rule_set",
]
