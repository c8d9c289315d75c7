"""Open drafts: what of one that was begun on the old version can be carried over to the new.

Nothing that has changed its meaning is carried over silently: it is dropped, or put up for review by whoever gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kpro_graph.questionnaires.answers import AnswerMalformed, PathUnknown, assemble
from kpro_graph.questionnaires.compiled import compiled_of
from kpro_graph.questionnaires.differences.changes import Change
from kpro_graph.questionnaires.differences.items import Sides
from kpro_graph.questionnaires.differences.kinds import Carrying
from kpro_graph.questionnaires.document import DocumentRefused
from kpro_graph.questionnaires.evaluation import evaluate
from kpro_graph.questionnaires.extensions import read_value
from kpro_graph.questionnaires.model import ItemType
from kpro_graph.questionnaires.plan import ItemPlan, plan_of
from kpro_graph.questionnaires.problems import Problem, Severity
from kpro_graph.questionnaires.words import Text

__all__ = ["Carried", "Dropped", "Migration", "migrate"]

Fhir: TypeAlias = "tuple[Mapping[str, Any], ...]"
"""FHIR values, such as ``{"valueInteger": 3}``."""

_UNKNOWN = Text("Spørgsmålet findes ikke i den gamle version.", "The question is not in the old version.")
_MALFORMED = Text("Svaret har en forkert form.", "The answer has a wrong form.")
_REMOVED = Text("Spørgsmålet findes ikke længere.", "The question is no longer there.")
_NOT_ANSWERABLE = Text("Punktet kan ikke længere besvares.", "The item can no longer be answered.")
_ONCE = Text("Gruppen kan ikke længere gentages.", "The group can no longer be repeated.")
_ELSEWHERE = Text(
    "Svaret står et andet sted: punktet er flyttet, gentages eller har et andet linkId.",
    "The answer stands elsewhere: the item was moved, repeats, or has another linkId.",
)
_RECODED = Text("Svarmuligheden har en anden kode.", "The option has another code.")
_OTHER_TYPE = Text("Svaret er skrevet om til spørgsmålets nye type.", "The answer is rewritten to the item's new type.")
_ONE_OF_SEVERAL = Text("Et af flere svar kunne ikke overføres.", "One of several answers could not be carried over.")


@dataclass(frozen=True, slots=True)
class Carried:
    """An answer that is carried over: where it stood and stands, its values now, and why it is not as it was."""

    path: str
    new_path: str
    values: Fhir
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An answer that is not carried over: where it stood, what it was, and why."""

    path: str
    values: Fhir
    reason: Text


@dataclass(frozen=True, slots=True)
class Migration:
    """A proposal for one draft.

    Attributes:
        kept: answers that stay as they are, by path.
        changed: answers that mean the same and stand elsewhere or are written otherwise.
        to_review: answers that still fit, but whose question or option has changed: show them again before they count.
        dropped: answers that do not fit, or no longer mean anything.
    """

    kept: Mapping[str, Fhir]
    changed: tuple[Carried, ...] = ()
    to_review: tuple[Carried, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def answers(self, *, reviewed: bool = False) -> dict[str, Fhir]:
        """Return the answers of the new draft by path; ``reviewed`` takes in those that were put up for review."""
        found = dict(self.kept)
        for each in (*self.changed, *(self.to_review if reviewed else ())):
            found[each.new_path] = found.get(each.new_path, ()) + each.values
        return found


@dataclass(slots=True)
class _Answer:
    """One path of the draft on its way."""

    path: str
    given: Fhir
    new_path: str = ""
    values: Fhir = ()
    reasons: list[Text] = field(default_factory=list)
    review: bool = False


def migrate(sides: Sides, changes: Iterable[Change], answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Migration:
    """Propose what of a draft carries over; what is proposed has no errors when checked as a draft of the new version.

    Where the new version finds errors even in a draft without answers, nothing can be done about those.
    """
    moving = _Moving(sides, changes)
    for path, values in answers.items():
        moving.move(path, values)
    moving.settle()
    kept: dict[str, Fhir] = {}
    changed, review = [], []
    for each in moving.carried:
        if each.review:
            review.append(Carried(each.path, each.new_path, each.values, tuple(each.reasons)))
        elif each.reasons:
            changed.append(Carried(each.path, each.new_path, each.values, tuple(each.reasons)))
        else:
            kept[each.path] = each.values
    return Migration(kept, tuple(changed), tuple(review), tuple(moving.dropped))


class _Moving:
    def __init__(self, sides: Sides, changes: Iterable[Change]) -> None:
        self.sides = sides
        self.old = plan_of(sides.old)
        self.new = plan_of(sides.new)
        self.back = {name: old for old, name in sides.matching.new_name.items()}
        self.changes: dict[str, list[Change]] = {}
        for change in changes:
            if change.link_id in sides.new.by_link_id:
                self.changes.setdefault(change.link_id, []).append(change)
        self.carried: list[_Answer] = []
        self.dropped: list[Dropped] = []

    def drop(self, path: str, values: Sequence[Mapping[str, Any]], reason: Text) -> None:
        self.dropped.append(Dropped(path, tuple(values), reason))

    def move(self, path: str, values: Sequence[Mapping[str, Any]]) -> None:
        place = self.old.place(path)
        if place is None or not place[0].item.answerable:
            self.drop(path, values, _UNKNOWN)
            return
        leaf, indices = place
        plan = self.new.items.get(self.sides.matching.new_name.get(leaf.item.link_id, ""))
        if plan is None:
            self.drop(path, values, _REMOVED)
            return
        if not plan.item.answerable:
            self.drop(path, values, _NOT_ANSWERABLE)
            return
        new_path = self.place(plan, dict(zip((step.item.link_id for step in leaf.chain), indices, strict=True)))
        if new_path is None:
            self.drop(path, values, _ONCE)
            return
        if not all(isinstance(each, Mapping) for each in values):
            self.drop(path, values, _MALFORMED)
            return
        answer = _Answer(path, tuple(values), new_path, tuple(values))
        if self.new.place(path) == self.new.place(new_path):
            answer.new_path = path
        else:
            answer.reasons.append(_ELSEWHERE)
        if self.judge(answer, plan):
            self.carried.append(answer)

    def place(self, plan: ItemPlan, indices: Mapping[str, int]) -> str | None:
        """Return the new path of a question, or None where a repetition has no place any longer."""
        steps = []
        for step in plan.chain:
            index = indices.get(self.back.get(step.item.link_id, ""), 0)
            several = step.item.repeats and (step is not plan or step.is_group)
            if index and not several:
                return None
            steps.append(f"{step.segment}[{index}]" if several else step.segment)
        return "/".join(steps)

    def judge(self, answer: _Answer, plan: ItemPlan) -> bool:
        """Apply what has changed about the question; return whether the answer is carried over."""
        own = self.changes.get(plan.item.link_id, [])
        for change in own:
            if change.option is None and change.carrying is Carrying.DROP:
                self.drop(answer.path, answer.given, Text(change.da, change.en))
                return False
        if any(change.kind == "type_changed" for change in own):
            answer.values = tuple(_retype(value, plan) for value in answer.values)
            if answer.values != answer.given:
                answer.reasons.append(_OTHER_TYPE)
        about: list[Change] = [each for each in own if each.option is None]
        for step in plan.chain[:-1]:
            about += [each for each in self.changes.get(step.item.link_id, ()) if each.option is None]
        for change in about:
            if change.carrying is Carrying.REVIEW:
                answer.review = True
                answer.reasons.append(Text(change.da, change.en))
        return self.judge_options(answer, [change for change in own if change.option is not None])

    def judge_options(self, answer: _Answer, changes: list[Change]) -> bool:
        """Drop the options that are gone, recode those that have another code, and review those that read otherwise."""
        gone: list[Mapping[str, Any]] = []
        values = []
        for source in answer.values:
            carried = source
            value = read_value(source)
            chosen = [
                each
                for each in changes
                if value is not None and each.option is not None and each.option.key == value.key
            ]
            if any(each.carrying is Carrying.DROP for each in chosen):
                gone.append(source)
                self.drop(
                    answer.path,
                    [source],
                    next(Text(each.da, each.en) for each in chosen if each.carrying is Carrying.DROP),
                )
                continue
            for each in chosen:
                if each.kind == "option_recoded" and each.option_after is not None:
                    carried = each.option_after.as_fhir()
                    answer.reasons.append(_RECODED)
                elif each.carrying is Carrying.REVIEW:
                    answer.review = True
                    answer.reasons.append(Text(each.da, each.en))
            values.append(carried)
        answer.values = tuple(values)
        if gone and values:
            answer.review = True
            answer.reasons.append(_ONE_OF_SEVERAL)
        return bool(values) or not gone

    def settle(self) -> None:
        """Drop what the new version does not accept, until it accepts the rest."""
        while self.carried:
            refused = self.refusals()
            if not refused:
                return
            kept = []
            for answer in self.carried:
                reason = refused.get(id(answer))
                if reason is None:
                    kept.append(answer)
                else:
                    self.drop(answer.path, answer.given, reason)
            self.carried = kept

    def refusals(self) -> dict[int, Text]:
        """Return the answers that the new version refuses, with the reason; all where it cannot be told which."""
        together: dict[str, Fhir] = {}
        for answer in self.carried:
            together[answer.new_path] = together.get(answer.new_path, ()) + answer.values
        try:
            response = assemble(self.sides.new, together, status="in-progress")
        except (PathUnknown, AnswerMalformed) as wrong:
            return {id(each): _MALFORMED for each in self.carried if each.new_path == wrong.path}
        except DocumentRefused:
            return {id(each): _MALFORMED for each in self.carried}
        problems = evaluate(self.sides.new, response, draft=True).problems
        errors = [each for each in problems if each.severity is Severity.ERROR]
        refused: dict[int, Text] = {}
        for error in errors:
            for answer in self.blame(error):
                refused.setdefault(id(answer), Text(error.da, error.en))
        if errors and not refused and not self.fails_empty(errors):
            return {id(each): Text(errors[0].da, errors[0].en) for each in self.carried}
        return refused

    def fails_empty(self, errors: list[Problem]) -> bool:
        """Return whether the same errors are there without any answer, so that dropping answers does not help."""
        empty = evaluate(self.sides.new, assemble(self.sides.new, {}, status="in-progress"), draft=True).problems
        codes = {(each.code, each.path, each.key) for each in empty}
        return all((each.code, each.path, each.key) in codes for each in errors)

    def blame(self, error: Problem) -> list[_Answer]:
        """Return the answers an error comes from."""
        at = self.new.place(error.path) if error.path else None
        if at is not None and at[0].item.type is not ItemType.GROUP:
            found = [each for each in self.carried if self.new.place(each.new_path) == at]
            if found:
                return found
        if at is not None and error.code == "max_occurs":
            return [each for each in self.carried if self.is_beyond(each, at[0])]
        named = self.named_by(error)
        return [each for each in self.carried if named is None or self.stands_in(each, named)]

    def is_beyond(self, answer: _Answer, group: ItemPlan) -> bool:
        """Return whether an answer stands in a repetition of the group that is one too many."""
        place = self.new.place(answer.new_path)
        most = group.item.max_occurs
        if place is None or most is None:
            return False
        steps = dict(zip((step.item.link_id for step in place[0].chain), place[1], strict=True))
        return steps.get(group.item.link_id, -1) >= most

    def named_by(self, error: Problem) -> frozenset[str] | None:
        """Return the linkIds an error is about: those its rule reads, or the item and what is below; None for all."""
        if error.code == "constraint":
            owner = self.new.items.get(error.link_id)
            constraints = owner.item.constraints if owner is not None else self.sides.new.constraints
            compiled = compiled_of(self.sides.new, self.new)
            named: frozenset[str] = frozenset()
            for each in constraints:
                if each.key == error.key:
                    seen = compiled.seen(self.sides.new, each.expression, owner)
                    if seen is None:
                        return frozenset({error.link_id}) if owner is not None else None
                    named |= seen
            if any(self.stands_in(each, named) for each in self.carried):
                return named
        return frozenset({error.link_id}) if error.link_id else None

    def stands_in(self, answer: _Answer, link_ids: frozenset[str]) -> bool:
        place = self.new.place(answer.new_path)
        return place is not None and any(step.item.link_id in link_ids for step in place[0].chain)


def _retype(source: Mapping[str, Any], plan: ItemPlan) -> Mapping[str, Any]:
    """Rewrite a whole number as the decimal that is now asked for; any other answer stays as it is."""
    value = read_value(source)
    if plan.item.type is ItemType.DECIMAL and value is not None and value.kind == "integer":
        return {"valueDecimal": value.value}
    return source
