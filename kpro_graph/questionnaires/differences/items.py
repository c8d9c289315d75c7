"""How one item differs from what it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.differences.expressions import Scopes
from kpro_graph.questionnaires.differences.limits import compare_limits
from kpro_graph.questionnaires.differences.matching import Matching
from kpro_graph.questionnaires.differences.options import Choices, compare_options
from kpro_graph.questionnaires.differences.remainder import (
    further_of,
    markup_of,
    modifiers_of,
    pictures_of,
    unread_item,
)
from kpro_graph.questionnaires.differences.wording import compare_words
from kpro_graph.questionnaires.model import Constraint, Item, ItemType, Questionnaire, SourceExpression, Value

__all__ = ["Sides", "compare_constraints", "compare_item", "compare_variables"]

_WIDER = {
    (ItemType.CHOICE, ItemType.OPEN_CHOICE),
    (ItemType.STRING, ItemType.TEXT),
    (ItemType.TEXT, ItemType.STRING),
}


@dataclass(frozen=True, slots=True)
class Sides:
    """The two versions, with the items put side by side and the expressions ready to be compared."""

    old: Questionnaire
    new: Questionnaire
    matching: Matching
    old_scopes: Scopes
    new_scopes: Scopes


def compare_item(changes: Changes, sides: Sides, old: Item, new: Item) -> None:
    """Take down every difference between an item and what it was, but not where it stands."""
    before = len(changes.found)
    _Pair(changes, sides, old, new).compare()
    if len(changes.found) == before and sides.old_scopes.follow(_own(old)) != _own(new):
        was = old.link_id if old.link_id != new.link_id else ""
        changes.add("written_otherwise", new.link_id, new.location, was=was)


def compare_constraints(
    changes: Changes,
    sides: Sides,
    old: tuple[Constraint, ...],
    new: tuple[Constraint, ...],
    items: tuple[Item, Item] | None,
) -> None:
    """Take down how the rules over the answers differ, at an item or at the root."""
    old_item, new_item = items or (None, None)
    link_id, place = ("", "Questionnaire") if new_item is None else (new_item.link_id, new_item.location)
    was = old_item.link_id if old_item is not None and new_item is not None and old_item.link_id != link_id else ""
    before = {each.key or each.expression.text: each for each in old}
    after = {each.key or each.expression.text: each for each in new}
    for name, one in before.items():
        other = after.get(name)
        if other is None:
            kind = "constraint_removed" if one.severity == "error" else "advice_changed"
            changes.add(kind, link_id, place, was=was, before=one.human or one.expression.text)
            continue
        location = other.expression.location or place
        same = sides.old_scopes.sign(one.expression, old_item) == sides.new_scopes.sign(other.expression, new_item)
        same = same and one.target == other.target and one.locations == other.locations
        if not same or one.severity != other.severity:
            kind = "constraint_changed" if other.severity == "error" else "advice_changed"
            if other.severity != "error" and one.severity == "error":
                kind = "constraint_removed"
            changes.add(kind, link_id, location, was=was, before=one.expression.text, after=other.expression.text)
        if one.human != other.human:
            changes.add("constraint_reworded", link_id, location, was=was, before=one.human, after=other.human)
    for name, other in after.items():
        if name not in before:
            kind = "constraint_added" if other.severity == "error" else "advice_changed"
            said = other.human or other.expression.text
            changes.add(kind, link_id, other.expression.location or place, was=was, after=said)


def compare_variables(
    changes: Changes,
    old: tuple[SourceExpression, ...],
    new: tuple[SourceExpression, ...],
    link_id: str,
    location: str,
    was: str = "",
) -> None:
    """Take down how the declared variables differ; what that does is found at the expressions that use them."""
    before, after = {each.name: each for each in old}, {each.name: each for each in new}
    for name in {**before, **after}:
        one, other = before.get(name), after.get(name)
        texts = ["" if each is None else f"{name}: {each.text}" for each in (one, other)]
        if one is None or other is None or (one.text, one.language) != (other.text, other.language):
            place = (other or one or SourceExpression("")).location or location
            changes.add("variable_changed", link_id, place, was=was, before=texts[0], after=texts[1])
    if [each.name for each in old if each.name in after] != [each.name for each in new if each.name in before]:
        changes.add("variable_changed", link_id, location, was=was)


class _Pair:
    """One item in both versions."""

    def __init__(self, changes: Changes, sides: Sides, old: Item, new: Item) -> None:
        self.changes = changes
        self.sides = sides
        self.old = old
        self.new = new
        self.was = old.link_id if old.link_id != new.link_id else ""

    def add(self, kind: str, place: str = "", **parts: Any) -> None:
        location = place if place.startswith("Questionnaire") else f"{self.new.location}{place}"
        self.changes.add(kind, self.new.link_id, location, was=self.was, **parts)

    def compare(self) -> None:
        old, new = self.old, self.new
        if self.was:
            kind = "display_link_id_changed" if new.type is ItemType.DISPLAY else "link_id_renamed"
            self.add(kind, ".linkId", before=old.link_id, after=new.link_id)
        if old.type is not new.type:
            kind = "type_widened" if (old.type, new.type) in _WIDER else "type_changed"
            self.add(kind, ".type", before=old.type.value, after=new.type.value)
        self.compare_words()
        self.compare_switches()
        self.compare_asking()
        compare_options(self.changes, Choices(self.sides.old, old), Choices(self.sides.new, new), new, self.was)
        compare_limits(self.changes, old, new, self.was)
        self.compare_calculation()
        self.compare_concepts()
        for which, kind in (("significances", "significance_changed"), ("feedback", "feedback_changed")):
            if _significant(getattr(old, which)) != _significant(getattr(new, which)):
                self.add(kind)
        if (old.controls, old.slider_step) != (new.controls, new.slider_step):
            self.add("presentation_changed", before=" ".join(old.controls), after=" ".join(new.controls))
        compare_constraints(self.changes, self.sides, old.constraints, new.constraints, (old, new))
        compare_variables(self.changes, old.variables, new.variables, new.link_id, new.location, self.was)
        self.compare_rest()

    def compare_words(self) -> None:
        old, new = self.old, self.new
        place: dict[str, Any] = {"link_id": new.link_id, "location": f"{new.location}.text", "was": self.was}
        compare_words(self.changes, "text_reworded", old.text, new.text, old.texts, new.texts, **place)
        before, after = markup_of(old.source), markup_of(new.source)
        if before != after and old.text == new.text:
            compare_words(self.changes, "text_reworded", before, after, {}, {}, **place)
        if (_own_help(old), old.help_xhtml) != (_own_help(new), new.help_xhtml):
            self.add("help_changed", before=_own_help(old), after=_own_help(new))
        for name in ("prefix", "short_text"):
            if getattr(old, name) != getattr(new, name):
                self.add("label_changed", before=getattr(old, name), after=getattr(new, name))

    def compare_switches(self) -> None:
        old, new = self.old, self.new
        for name in ("required", "repeats", "hidden", "read_only"):
            if getattr(old, name) != getattr(new, name):
                self.add(f"{name}_{'added' if getattr(new, name) else 'removed'}")

    def compare_asking(self) -> None:
        old, new = self.old, self.new
        before = self.sign_asking(old, self.sides.old_scopes, renamed=True)
        after = self.sign_asking(new, self.sides.new_scopes, renamed=False)
        if before == after:
            return
        kind = "condition_changed"
        if before is None or after is None:
            kind = "condition_added" if before is None else "condition_removed"
        if new.type is ItemType.DISPLAY:
            kind = "display_condition_changed"
        self.add(kind, before=_tell_conditions(old), after=_tell_conditions(new))

    def sign_asking(self, item: Item, scopes: Scopes, *, renamed: bool) -> tuple[object, ...] | None:
        follow = self.sides.matching.follow if renamed else str
        conditions = frozenset((follow(each.question), each.operator, each.answer.key) for each in item.enable_when)
        expression = scopes.sign(item.enable_expression, item)
        if not conditions and expression is None:
            return None
        return (conditions, item.enable_behavior if len(conditions) > 1 else "", expression)

    def compare_calculation(self) -> None:
        old, new = self.old, self.new
        before = self.sides.old_scopes.sign(old.calculated, old)
        after = self.sides.new_scopes.sign(new.calculated, new)
        if before != after:
            kind = "calculation_changed"
            if before is None or after is None:
                kind = "calculation_added" if before is None else "calculation_removed"
            place = new.calculated.location if new.calculated is not None else ""
            self.add(kind, place, before=_text(old.calculated), after=_text(new.calculated))
        first = (_keys(_filled(old)), self.sides.old_scopes.sign(old.initial_expression, old))
        then = (_keys(_filled(new)), self.sides.new_scopes.sign(new.initial_expression, new))
        if first != then:
            self.add("fixed_answer_changed" if _is_fixed(new) else "initial_changed", ".initial")

    def compare_concepts(self) -> None:
        old, new = self.old, self.new
        before, after = set(_keys(old.codes)), set(_keys(new.codes))
        if old.definition:
            before.add(("definition", old.definition))
        if new.definition:
            after.add(("definition", new.definition))
        if before != after:
            place = ".definition" if old.definition != new.definition else ".code"
            self.add("concept_added" if before < after else "concept_changed", place)

    def compare_rest(self) -> None:
        old, new = unread_item(self.old.source), unread_item(self.new.source)
        if modifiers_of(old) != modifiers_of(new):
            self.add("modifier_changed")
        if pictures_of(self.old.source, self.sides.old.source) != pictures_of(self.new.source, self.sides.new.source):
            self.add("picture_changed")
        if further_of(old) != further_of(new):
            self.add("other_changed")


def _text(source: SourceExpression | None) -> str:
    return "" if source is None else source.text


def _filled(item: Item) -> tuple[Value, ...]:
    return item.initial or tuple(option.value for option in item.options if option.initially_selected)


def _is_fixed(item: Item) -> bool:
    """Return whether the answer has to be what the questionnaire itself fills in."""
    return item.read_only and bool(_filled(item)) and item.calculated is None and item.initial_expression is None


def _keys(values: tuple[Value, ...]) -> tuple[tuple[object, ...], ...]:
    return tuple(value.key for value in values)


def _significant(parts: tuple[Any, ...]) -> frozenset[object]:
    return frozenset(
        (tuple((one.operator, one.value.key) for one in part.conditions), part.colour)
        if hasattr(part, "conditions")
        else part
        for part in parts
    )


def _own_help(item: Item) -> str:
    """Return the help text unless it is that of a text below the item, which is compared by itself."""
    borrowed = any("help" in child.controls and child.text == item.help_text for child in item.children)
    return "" if borrowed else item.help_text


def _tell_conditions(item: Item) -> str:
    if item.enable_expression is not None:
        return item.enable_expression.text
    word = " og " if item.enable_behavior == "all" else " eller "
    said = (f"{each.question} {each.operator} {_plain_value(each.answer)}" for each in item.enable_when)
    return word.join(said)


def _plain_value(value: Value) -> str:
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return value.code or str(value.number if value.number is not None else value.value)


def _own(item: Item) -> Mapping[str, Any]:
    return {name: part for name, part in item.source.items() if name not in ("item", "linkId")}
