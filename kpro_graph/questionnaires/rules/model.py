"""A rule set: what a questionnaire's answers are turned into, versioned and approved apart from the questionnaire.

A rule set holds score definitions, rules that give scores and answers a colour, and topics that order them for the
reader. Its hash covers everything but the approval, so that approving a rule set or switching it off does not make it
another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from kpro_graph.questionnaires.document import hash_json
from kpro_graph.questionnaires.instruments import Instrument
from kpro_graph.questionnaires.rules.parts import (
    Approval,
    DeviceClass,
    InstrumentScore,
    ItemRule,
    Meaning,
    Output,
    Rule,
    ScoreDefinition,
    Status,
    Topic,
)
from kpro_graph.questionnaires.rules.writing import write_content
from kpro_graph.questionnaires.words import Text

__all__ = ["RuleSet"]


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """Everything that turns the answers to one questionnaire into scores and colours.

    Attributes:
        url, versions: the questionnaire, and the versions of it the rule set is made for.
        approval: who approved it; ``None`` only while it is a draft.
        intended_purpose, medical_device_class: what its owner declares it to be for.
    """

    id: str
    version: str
    url: str
    versions: tuple[str, ...]
    title: Text
    status: Status
    approval: Approval | None
    intended_purpose: Text
    medical_device_class: DeviceClass
    meaning: Meaning
    scores: tuple[ScoreDefinition, ...]
    rules: tuple[Rule, ...]
    topics: tuple[Topic, ...]

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of everything but status and approval, in hexadecimal; the order of the rules does not count."""
        content = write_content(self)
        content["rules"] = sorted(content["rules"], key=lambda rule: str(rule["id"]))
        return hash_json(content)

    def __hash__(self) -> int:
        return hash(self.content_hash)

    @cached_property
    def outputs(self) -> Mapping[str, Output]:
        """The scores the rule set gives, by code, in order."""
        return {one.code: one for definition in self.scores for one in definition.outputs()}

    @cached_property
    def rules_by_subject(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules about each subject, in the order of their ids, so that their order in the document is nothing."""
        found: dict[str, tuple[Rule, ...]] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.id):
            found[rule.subject] = (*found.get(rule.subject, ()), rule)
        return found

    @cached_property
    def topic_by_subject(self) -> Mapping[str, Topic]:
        """The topic each subject stands under."""
        return {subject: topic for topic in self.topics for subject in topic.subjects}

    @cached_property
    def prepared(self) -> Mapping[str, Instrument]:
        """The instrument of each definition that has one, by the definition's code, conversion tables in place."""
        return {one.code: one.prepare() for one in self.scores if isinstance(one, InstrumentScore)}

    def under(self, status: Status, approval: Approval | None = None) -> RuleSet:
        """Return the same content with another status, such as switched off; without ``approval``, the one it has."""
        return replace(self, status=status, approval=self.approval if approval is None else approval)

    def is_for(self, url: str | None, version: str | None) -> bool:
        """Tell whether the rule set is made for that version of that questionnaire."""
        return url == self.url and version in self.versions

    def link_ids(self) -> frozenset[str]:
        """Return every linkId that a score, a rule or a topic mentions."""
        found = {link_id for definition in self.scores for link_id in definition.link_ids()}
        found.update(rule.item for rule in self.rules if isinstance(rule, ItemRule))
        subjects = (subject for topic in self.topics for subject in topic.subjects)
        found.update(subject.removeprefix("item:") for subject in subjects if subject.startswith("item:"))
        return frozenset(found)
