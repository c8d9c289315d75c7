"""How one rule set differs from another: its scores, its rules, and what it is for."""

from __future__ import annotations

from typing import Any

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.differences.matching import Matching
from kpro_graph.questionnaires.rules import InstrumentScore, ItemRule, Rule, RuleSet, ScoreDefinition, TotalScore
from kpro_graph.questionnaires.words import Text

__all__ = ["compare_rules"]


def compare_rules(changes: Changes, matching: Matching, old: RuleSet | None, new: RuleSet | None) -> None:
    """Take down how the rule sets differ. The linkIds of the old one are read as the new questionnaire calls them."""
    if old is None or new is None:
        if old is not new:
            changes.add("rules_added" if old is None else "rules_removed", location="RuleSet")
        return
    _Comparison(changes, matching, old, new).compare()


class _Comparison:
    def __init__(self, changes: Changes, matching: Matching, old: RuleSet, new: RuleSet) -> None:
        self.changes = changes
        self.matching = matching
        self.old = old
        self.new = new

    def add(self, kind: str, location: str, **parts: Any) -> None:
        self.changes.add(kind, location=f"RuleSet.{location}", **parts)

    def compare(self) -> None:
        old, new = self.old, self.new
        self.compare_scores()
        self.compare_all_rules()
        before = [(each.id, each.title, tuple(self.follow(one) for one in each.subjects)) for each in old.topics]
        if before != [(each.id, each.title, each.subjects) for each in new.topics]:
            self.add("topics_changed", "topics")
        if old.meaning is not new.meaning:
            self.add("colour_meaning_changed", "meaning", before=old.meaning.value, after=new.meaning.value)
        if old.intended_purpose != new.intended_purpose:
            self.add(
                "purpose_changed", "intendedPurpose", before=old.intended_purpose.da, after=new.intended_purpose.da
            )
        if old.medical_device_class is not new.medical_device_class:
            one, other = old.medical_device_class.value, new.medical_device_class.value
            self.add("device_class_changed", "medicalDeviceClass", before=one, after=other)
        for name, place in (
            ("id", "id"),
            ("title", "title"),
            ("url", "questionnaire.url"),
            ("versions", "questionnaire.versions"),
        ):
            one, other = getattr(old, name), getattr(new, name)
            if one != other:
                self.add("rule_set_changed", place, before=_said(one), after=_said(other))
        if (old.status, old.approval) != (new.status, new.approval):
            self.add("rule_set_status_changed", "status", before=old.status.value, after=new.status.value)

    def follow(self, subject: str) -> str:
        """Return a subject with its linkId as the new questionnaire has it."""
        kind, _, name = subject.partition(":")
        return f"item:{self.matching.new_name.get(name, name)}" if kind == "item" else subject

    def compare_scores(self) -> None:
        before = {each.code: each for each in self.old.scores}
        after = {each.code: (place, each) for place, each in enumerate(self.new.scores)}
        for code, definition in before.items():
            if code not in after:
                for output in definition.outputs():
                    self.add("score_removed", "scores", subject=f"score:{output.code}", before=output.code)
                continue
            place, other = after[code]
            self.compare_score(definition, other, f"scores[{place}]")
        for code, (place, definition) in after.items():
            if code not in before:
                for output in definition.outputs():
                    self.add("score_added", f"scores[{place}]", subject=f"score:{output.code}", after=output.code)
        if [code for code in before if code in after] != [code for code in after if code in before]:
            self.add("topics_changed", "scores")

    def compare_score(self, old: ScoreDefinition, new: ScoreDefinition, place: str) -> None:
        one, other = {each.code: each for each in old.outputs()}, {each.code: each for each in new.outputs()}
        changed = _formula(old, self.matching) != _formula(new, None)
        renamed = not changed and list(old.link_ids()) != list(new.link_ids())
        for code in {**one, **other}:
            subject = f"score:{code}"
            before, after = one.get(code), other.get(code)
            if before is None or after is None:
                self.add("score_added" if before is None else "score_removed", place, subject=subject)
                continue
            if changed:
                self.add("score_changed", place, subject=subject)
            elif renamed:
                self.add("score_inputs_renamed", place, subject=subject)
            if before.label != after.label:
                self.add("score_label_changed", place, subject=subject, before=before.label.da, after=after.label.da)
            if (before.minimum, before.maximum) != (after.minimum, after.maximum):
                self.add("score_range_changed", place, subject=subject)

    def compare_all_rules(self) -> None:
        before = {each.id: each for each in self.old.rules}
        after = {each.id: each for each in self.new.rules}
        places = {each.id: f"rules[{place}]" for place, each in enumerate(self.new.rules)}
        contents = {self.content(each, renamed=False): each.id for each in after.values() if each.id not in before}
        for name, rule in before.items():
            other = after.get(name)
            if other is not None:
                self.compare_rule(rule, other, places[name])
                continue
            twin = contents.pop(self.content(rule, renamed=True), None)
            subject = self.follow(rule.subject)
            if twin is None:
                self.add("rule_removed", "rules", subject=subject, before=name)
            else:
                self.add("rule_renamed", places[twin], subject=subject, before=name, after=twin)
        for name, rule in after.items():
            if name not in before and name in contents.values():
                self.add("rule_added", places[name], subject=rule.subject, after=name)

    def content(self, rule: Rule, *, renamed: bool) -> tuple[object, ...]:
        subject = self.follow(rule.subject) if renamed else rule.subject
        return (subject, rule.intervals, rule.cases if isinstance(rule, ItemRule) else ())

    def compare_rule(self, old: Rule, new: Rule, place: str) -> None:
        subject = new.subject
        if self.follow(old.subject) != subject:
            self.add("rule_changed", place, subject=subject, before=old.subject, after=subject)
        one, other = _pieces(old), _pieces(new)
        if one.keys() != other.keys():
            kind = "threshold_changed" if old.intervals and new.intervals else "rule_changed"
            told = [", ".join(each.text.en for each in rule.intervals) for rule in (old, new)]
            self.add(kind, place, subject=subject, before=told[0], after=told[1])
        both = [(one[key], other[key]) for key in one if key in other]
        if any(before.colour is not after.colour for before, after in both):
            self.add("colour_changed", place, subject=subject)
        if any(before.word != after.word for before, after in both):
            self.add("rule_reworded", place, subject=subject)
        if any(before.source != after.source for before, after in both):
            self.add("rule_source_changed", place, subject=subject)
        if list(one) != list(other) and one.keys() == other.keys():
            self.add("topics_changed", place, subject=subject)


def _formula(definition: ScoreDefinition, matching: Matching | None) -> tuple[object, ...]:
    """Return what decides a score's value, whatever it is called and whichever order it names its items in."""

    def name(link_id: str) -> str:
        return link_id if matching is None else matching.new_name.get(link_id, link_id)

    match definition:
        case InstrumentScore():
            inputs = frozenset((key, name(link_id)) for key, link_id in definition.inputs.items())
            return ("instrument", definition.instrument, definition.scale, inputs, definition.conversion)
        case TotalScore():
            items = tuple(sorted(name(link_id) for link_id in definition.items))
            parts = (definition.mean, items, definition.missing, definition.at_least, definition.factor)
            return ("total", *parts, definition.unit)
        case _:
            return ("answer", name(definition.item), definition.calculated, definition.unit)


def _pieces(rule: Rule) -> dict[tuple[object, ...], Any]:
    """Return the parts of a rule by what they match."""
    found: dict[tuple[object, ...], Any] = {
        ("interval", each.low, each.low_included, each.high, each.high_included): each for each in rule.intervals
    }
    for case in rule.cases if isinstance(rule, ItemRule) else ():
        found["case", case.code, case.system, case.boolean, case.text, case.answered] = case
    return found


def _said(value: object) -> str:
    if isinstance(value, Text):
        return value.da
    return ", ".join(value) if isinstance(value, tuple) else str(value)
