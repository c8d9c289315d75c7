"""Trend lines: which scores and numbers may go on as one line across two versions, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kpro_graph.questionnaires.compiled import compiled_of
from kpro_graph.questionnaires.differences.changes import Change
from kpro_graph.questionnaires.differences.items import Sides
from kpro_graph.questionnaires.differences.kinds import Joining
from kpro_graph.questionnaires.differences.options import Choices
from kpro_graph.questionnaires.model import Item, ItemType, Questionnaire, SourceExpression
from kpro_graph.questionnaires.naming import words_of
from kpro_graph.questionnaires.plan import ItemPlan, plan_of
from kpro_graph.questionnaires.rules import RuleSet
from kpro_graph.questionnaires.words import Text

__all__ = ["Trend", "judge_trends"]

_NUMERIC = (ItemType.INTEGER, ItemType.DECIMAL, ItemType.QUANTITY)
_ORDER = tuple(Joining)
_NOT_BEFORE = Text("Den findes kun i den nye version.", "It is in the new version only.")
_NOT_AFTER = Text("Den findes kun i den gamle version.", "It is in the old version only.")
_OTHER_INPUTS = Text("Den beregnes af andre spørgsmål end før.", "It is computed from other questions than before.")


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether one line may go on across the two versions.

    Attributes:
        subject: ``score:<code>``, or ``item:<linkId>`` for an item that is a number, by its name in the new version.
        joining: ``joined``, ``to_be_judged`` where only a person can tell, or ``broken``.
        reasons: what stands in the way, worst first; empty where nothing does.
    """

    subject: str
    label: Text
    joining: Joining
    reasons: tuple[Text, ...]

    @property
    def joined(self) -> bool:
        """Whether the line may go on without anybody's decision."""
        return self.joining is Joining.JOINED

    def to_json(self) -> dict[str, object]:
        """Return the verdict as plain objects."""
        return {
            "subject": self.subject,
            "label": {"da": self.label.da, "en": self.label.en},
            "joined": self.joined,
            "trend": self.joining.value,
            "reasons": [{"da": each.da, "en": each.en} for each in self.reasons],
        }


def judge_trends(
    sides: Sides, old_rules: RuleSet | None, new_rules: RuleSet | None, changes: Iterable[Change]
) -> tuple[Trend, ...]:
    """Judge the line of every score of the rule sets, and of every item whose answer is a number."""
    judged = tuple(changes)
    before = {each.subject: each for each in _lines(sides.old, old_rules, sides)}
    after = {each.subject: each for each in _lines(sides.new, new_rules, None)}
    found = []
    for subject in dict.fromkeys((*after, *before)):
        one, other = before.get(subject), after.get(subject)
        if one is None or other is None:
            there = other or one
            assert there is not None
            reason = _NOT_BEFORE if one is None else _NOT_AFTER
            found.append(Trend(subject, there.label, Joining.BROKEN, (reason,)))
        else:
            found.append(_judge(sides, one, other, judged))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line in one version: what it is computed from, and all items that can have a say in it."""

    subject: str
    label: Text
    inputs: frozenset[str]
    reach: frozenset[str]


def _lines(questionnaire: Questionnaire, rules: RuleSet | None, sides: Sides | None) -> Iterator[_Line]:
    """Yield the lines of one version; with ``sides``, of the old one, named as in the new."""

    def follow(link_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(link_ids if sides is None else map(sides.matching.follow, link_ids))

    influence = _Influence(questionnaire)
    words = words_of(questionnaire)
    for definition in rules.scores if rules is not None else ():
        link_ids = definition.link_ids()
        inputs, reach = follow(influence.inputs(link_ids)), frozenset(influence.reach(link_ids))
        for output in definition.outputs():
            yield _Line(f"score:{output.code}", output.label, inputs, reach)
    for item in questionnaire.walk():
        if _is_number(questionnaire, item):
            (name,) = follow([item.link_id])
            inputs = follow(influence.inputs([item.link_id]))
            reach = frozenset(influence.reach([item.link_id]))
            yield _Line(f"item:{name.removeprefix(chr(0))}", words.label(item.link_id), inputs, reach)


def _is_number(questionnaire: Questionnaire, item: Item) -> bool:
    if not item.answerable:
        return False
    return item.type in _NUMERIC or item.calculated is not None or Choices(questionnaire, item).weighted


def _judge(sides: Sides, old: _Line, new: _Line, changes: tuple[Change, ...]) -> Trend:
    joining = Joining.JOINED
    reasons: dict[tuple[int, str], Text] = {}
    if old.inputs != new.inputs:
        joining = Joining.BROKEN
        reasons[-_ORDER.index(joining), ""] = _OTHER_INPUTS
    words = words_of(sides.new), words_of(sides.old)
    for change in changes:
        if change.joins_trend or not _touches(sides, change, old, new):
            continue
        joining = max(joining, change.joining, key=_ORDER.index)
        there = change.link_id in sides.new.by_link_id
        label = words[0 if there else 1].label(change.link_id) if change.link_id else Text("", "")
        said = Text(
            f"»{label.da}«: {change.da}" if label.da else change.da,
            f"“{label.en}”: {change.en}" if label.en else change.en,
        )
        reasons[-_ORDER.index(change.joining), said.da] = said
    ordered = tuple(reasons[key] for key in sorted(reasons, key=lambda key: key[0]))
    return Trend(new.subject, new.label, joining, ordered)


def _touches(sides: Sides, change: Change, old: _Line, new: _Line) -> bool:
    """Return whether a change can have a say in a line. One of the whole questionnaire has one in every line."""
    if change.subject:
        return change.subject == new.subject
    if not change.link_id:
        return True
    if change.link_id in sides.new.by_link_id and change.link_id in new.reach:
        return True
    return (change.was or change.link_id) in old.reach


class _Influence:
    """Which items have a say in an item's answer: those it is calculated from, asked by, and stands under."""

    def __init__(self, questionnaire: Questionnaire) -> None:
        self.questionnaire = questionnaire
        self.plan = plan_of(questionnaire)
        self.compiled = compiled_of(questionnaire, self.plan)
        self.everything = frozenset(self.plan.items)
        self.answerable = frozenset(item.link_id for item in questionnaire.walk() if item.answerable)
        self.texts = frozenset(item.link_id for item in questionnaire.items if item.type is ItemType.DISPLAY)
        self._near: dict[str, frozenset[str]] = {}

    def inputs(self, link_ids: Iterable[str]) -> set[str]:
        """Return the questions a number is made of in the end, calculated ones replaced by what they are made of."""
        found: set[str] = set()
        waiting = set(link_ids)
        done: set[str] = set()
        while waiting:
            done.add(link_id := waiting.pop())
            plan = self.plan.items.get(link_id)
            source = None if plan is None else plan.item.calculated
            if plan is None or source is None:
                found.add(link_id)
            else:
                waiting |= (self.seen(source, plan) & self.answerable) - done
        return found

    def reach(self, link_ids: Iterable[str]) -> set[str]:
        """Return every item that has a say, with the texts that stand beside them or at the top."""
        found = set(self.texts)
        waiting = set(link_ids)
        while waiting:
            found.add(link_id := waiting.pop())
            waiting |= self.near(link_id) - found
        return found

    def near(self, link_id: str) -> frozenset[str]:
        """Return the items that have a say by themselves."""
        known = self._near.get(link_id)
        if known is None:
            plan = self.plan.items.get(link_id)
            known = self._near[link_id] = frozenset() if plan is None else frozenset(self._find_near(plan))
        return known

    def _find_near(self, plan: ItemPlan) -> Iterator[str]:
        item = plan.item
        yield from (step.item.link_id for step in plan.chain)
        yield from (child.link_id for child in item.children if child.type is ItemType.DISPLAY)
        yield from (condition.question for condition in item.enable_when)
        for source in (item.calculated, item.enable_expression):
            if source is not None:
                yield from self.seen(source, plan)

    def seen(self, source: SourceExpression, plan: ItemPlan) -> frozenset[str]:
        """Return the items an expression can read."""
        seen = self.compiled.seen(self.questionnaire, source, plan)
        return self.everything if seen is None else seen & self.everything
