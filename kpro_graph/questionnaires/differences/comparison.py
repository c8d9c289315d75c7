"""Comparing two versions of a questionnaire, and of the rule set beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kpro_graph.questionnaires.differences.changes import Change, Changes, Document
from kpro_graph.questionnaires.differences.expressions import Scopes
from kpro_graph.questionnaires.differences.items import Sides, compare_item
from kpro_graph.questionnaires.differences.kinds import Step, largest
from kpro_graph.questionnaires.differences.matching import match
from kpro_graph.questionnaires.differences.migration import Migration, migrate
from kpro_graph.questionnaires.differences.rulesets import compare_rules
from kpro_graph.questionnaires.differences.structure import compare_places, compare_whole
from kpro_graph.questionnaires.differences.trends import Trend, judge_trends
from kpro_graph.questionnaires.differences.versions import Finding, judge_versions
from kpro_graph.questionnaires.document import hash_json
from kpro_graph.questionnaires.model import Questionnaire
from kpro_graph.questionnaires.problems import Severity
from kpro_graph.questionnaires.rules import RuleSet

__all__ = ["Differences", "compare"]


@dataclass(frozen=True, slots=True)
class Differences:
    """What has changed from one version to another, and what follows from it.

    Attributes:
        step: the least version step the questionnaire needs; ``rules_step`` the least the rule set needs.
        trends: for each score, and each item that is a number, whether its trend line may go on.
        findings: what is to be said of the new version numbers.
    """

    changes: tuple[Change, ...]
    step: Step
    rules_step: Step
    trends: tuple[Trend, ...]
    findings: tuple[Finding, ...]
    sides: Sides = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.changes)

    @property
    def sufficient(self) -> bool:
        """Whether the new version numbers are far enough from the old for what has changed."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def trend(self, subject: str) -> Trend:
        """Return the verdict on one line, such as ``score:phq9``. Raise KeyError where there is no such line."""
        for each in self.trends:
            if each.subject == subject:
                return each
        raise KeyError(subject)

    def migrate(self, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Migration:
        """Propose what of an open draft carries over: FHIR values by path, such as ``{"pain": [{"valueInteger": 3}]}``.

        Nothing is raised: an answer that cannot be carried over is among those dropped, with the reason.
        """
        return migrate(self.sides, self.changes, answers)

    def to_json(self) -> dict[str, object]:
        """Return everything as plain objects."""
        return {
            "from": {"url": self.sides.old.url, "version": self.sides.old.version},
            "to": {"url": self.sides.new.url, "version": self.sides.new.version},
            "step": self.step.value,
            "rulesStep": self.rules_step.value,
            "sufficient": self.sufficient,
            "findings": [
                {"code": each.code, "severity": each.severity.value, "da": each.da, "en": each.en}
                for each in self.findings
            ],
            "changes": [each.to_json() for each in self.changes],
            "trends": [each.to_json() for each in self.trends],
        }


def compare(
    old: Questionnaire, new: Questionnaire, old_rules: RuleSet | None = None, new_rules: RuleSet | None = None
) -> Differences:
    """Find and classify every difference between two versions of a questionnaire, and of its rule set where given.

    Two documents that differ in anything at all have at least one change between them.
    """
    matching = match(old, new)
    sides = Sides(old, new, matching, Scopes(old, matching.renamed), Scopes(new, {}))
    changes = Changes()
    compare_whole(changes, sides)
    compare_places(changes, sides)
    for one, other in matching.pairs:
        compare_item(changes, sides, one, other)
    if not changes.found and _content(old) != _content(new):
        changes.add("written_otherwise")
    asked = len(changes.found)
    compare_rules(changes, matching, old_rules, new_rules)
    if len(changes.found) == asked and _differ(old_rules, new_rules):
        changes.add("rule_set_changed", location="RuleSet")
    found = tuple(changes.found)
    step, rules_step = (
        largest([each.step for each in found if each.document is document])
        for document in (Document.QUESTIONNAIRE, Document.RULES)
    )
    findings: tuple[Finding, ...] = ()
    if old.url == new.url:
        findings += judge_versions("questionnaire", old.version, new.version, step)
    if old_rules is not None and new_rules is not None and old_rules.id == new_rules.id:
        findings += judge_versions("rules", old_rules.version, new_rules.version, rules_step)
    if new_rules is not None and not new_rules.is_for(new.url, new.version):
        findings += (_RULES_ELSEWHERE,)
    trends = judge_trends(sides, old_rules, new_rules, found)
    return Differences(found, step, rules_step, trends, findings, sides)


def _differ(old: RuleSet | None, new: RuleSet | None) -> bool:
    """Return whether two rule sets are told apart by more than their version numbers."""
    if old is None or new is None:
        return False
    return old.content_hash != replace(new, version=old.version).content_hash


def _content(questionnaire: Questionnaire) -> str:
    """Return what tells two documents apart but for their version numbers, down to the digits of a number."""
    return hash_json({name: part for name, part in questionnaire.source.items() if name != "version"})


_RULES_ELSEWHERE = Finding(
    "rules_for_another_version",
    Severity.WARNING,
    "Regelsættet er ikke lavet til den nye version af skemaet og siger intet om den.",
    "The rule set is not made for the questionnaire's new version and says nothing about it.",
)
