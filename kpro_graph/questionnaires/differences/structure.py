"""What has come, gone and moved between two versions, and how the questionnaires differ as wholes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpro_graph.questionnaires.differences.changes import Changes
from kpro_graph.questionnaires.differences.items import Sides, compare_constraints, compare_variables
from kpro_graph.questionnaires.differences.remainder import PICTURES, references_in, unread_item
from kpro_graph.questionnaires.document import mappings_of, text_of
from kpro_graph.questionnaires.extensions import CORE, FUT, SDC
from kpro_graph.questionnaires.model import Item, ItemType, Questionnaire

__all__ = ["compare_places", "compare_whole"]

_READ = frozenset({"resourceType", "url", "version", "title", "_title", "language", "item", "contained", "extension"})
_LIFE = frozenset({"status", "date", "meta", "id", "text"})
_CONTEXT = frozenset(
    f"{SDC}sdc-questionnaire-{name}" for name in ("launchContext", "sourceQueries", "itemPopulationContext")
)
_ROOT_EXTENSIONS = frozenset(
    [f"{CORE}{name}" for name in ("variable", "questionnaire-constraint", "targetConstraint")]
    + [
        f"{FUT}{prefix}{name}"
        for name in ("employee-title", "usage")
        for prefix in ("ehealth-questionnaire-", "ehealth-", "")
    ]
)


def compare_places(changes: Changes, sides: Sides) -> None:
    """Take down the items that have come, gone, moved or changed places."""
    for item in sides.matching.removed:
        kind = "display_removed" if item.type is ItemType.DISPLAY else "item_removed"
        changes.add(kind, item.link_id, item.location, before=item.text)
    for item in sides.matching.added:
        kind = "required_item_added" if item.required or item.min_occurs else "item_added"
        if item.type is ItemType.DISPLAY:
            kind = "display_added"
        changes.add(kind, item.link_id, item.location, after=item.text)
    moved = set()
    for old, new in sides.matching.pairs:
        parent = sides.matching.follow(old.parent) if old.parent else None
        if parent == new.parent:
            continue
        moved.add(new.link_id)
        before = [sides.matching.follow(each) for each in _deciding(sides.old, old)]
        kind = "item_moved" if before == _deciding(sides.new, new) else "item_moved_into_condition"
        if new.type is ItemType.DISPLAY:
            kind = "display_moved"
        was = old.link_id if old.link_id != new.link_id else ""
        changes.add(kind, new.link_id, new.location, was=was, before=old.parent or "", after=new.parent or "")
    _compare_order(changes, sides, moved)


def _deciding(questionnaire: Questionnaire, item: Item) -> list[str]:
    """Return the items above that decide whether, and how often, an item is asked."""
    found = []
    above = questionnaire.by_link_id[item.parent] if item.parent else None
    while above is not None:
        if above.enable_when or above.enable_expression or above.repeats or above.hidden or above.answerable:
            found.append(above.link_id)
        above = questionnaire.by_link_id[above.parent] if above.parent else None
    return found


def _compare_order(changes: Changes, sides: Sides, moved: set[str]) -> None:
    old_order = {new.link_id: old.position for old, new in sides.matching.pairs}
    below: dict[str | None, list[Item]] = {}
    for _, new in sides.matching.pairs:
        if new.link_id not in moved:
            below.setdefault(new.parent, []).append(new)
    for parent, items in below.items():
        places = [old_order[item.link_id] for item in items]
        if places != sorted(places):
            location = sides.new.by_link_id[parent].location if parent else "Questionnaire"
            changes.add("items_reordered", parent or "", location)


def compare_whole(changes: Changes, sides: Sides) -> None:
    """Take down how the questionnaires differ outside their items."""
    old, new = sides.old, sides.new
    if old.url != new.url:
        changes.add("url_changed", location="Questionnaire.url", before=old.url, after=new.url)
    if old.language != new.language:
        changes.add("language_changed", location="Questionnaire.language", before=old.language, after=new.language)
    if (old.title, dict(old.titles)) != (new.title, dict(new.titles)):
        changes.add("title_changed", location="Questionnaire.title", before=old.title, after=new.title)
    if old.outside != new.outside or _context(old) != _context(new):
        before, after = (" ".join(sorted(each.outside)) for each in (old, new))
        changes.add("context_changed", before=before, after=after)
    compare_variables(changes, old.variables, new.variables, "", "Questionnaire")
    compare_constraints(changes, sides, old.constraints, new.constraints, None)
    _compare_statements(changes, old, new)


def _compare_statements(changes: Changes, old: Questionnaire, new: Questionnaire) -> None:
    before, after = old.source, new.source
    for name in dict.fromkeys((*before, *after)):
        if name in _READ or before.get(name) == after.get(name):
            continue
        kind = "status_changed" if name.removeprefix("_") in _LIFE else "metadata_changed"
        if name == "modifierExtension":
            kind = "modifier_changed"
        one, other = (text_of(each, name) or "" for each in (before, after))
        changes.add(kind, location=f"Questionnaire.{name}", before=one, after=other)
    for name in ("employee_title", "usage"):
        if getattr(old, name) != getattr(new, name):
            changes.add(
                "metadata_changed",
                location="Questionnaire.extension",
                before=getattr(old, name),
                after=getattr(new, name),
            )
    if _further(before) != _further(after):
        changes.add("other_changed", location="Questionnaire.extension")
    elsewhere = _compared_elsewhere(old) | _compared_elsewhere(new)
    if _contained(old, elsewhere) != _contained(new, elsewhere):
        changes.add("other_changed", location="Questionnaire.contained")


def _further(document: Mapping[str, Any]) -> list[Any]:
    """Return the root's extensions that nothing else compares."""
    left = unread_item({"extension": document.get("extension", [])}).get("extension", [])
    return [each for each in left if each.get("url") not in _ROOT_EXTENSIONS and each.get("url") not in _CONTEXT]


def _context(questionnaire: Questionnaire) -> list[Any]:
    return [each for each in mappings_of(questionnaire.source, "extension") if each.get("url") in _CONTEXT]


def _contained(questionnaire: Questionnaire, elsewhere: set[str]) -> list[Any]:
    return [
        each
        for each in mappings_of(questionnaire.source, "contained")
        if each.get("resourceType") != "CodeSystem" and not {f"#{each.get('id')}", each.get("url")} & elsewhere
    ]


def _compared_elsewhere(questionnaire: Questionnaire) -> set[str]:
    """Return the references to what is compared where it is used: value sets by their codes, pictures as they are."""
    items = list(questionnaire.walk())
    holders = [part for item in items for part in (item.source, *mappings_of(item.source, "answerOption"))]
    pictures = [each for part in holders for each in mappings_of(part, "extension") if each.get("url") in PICTURES]
    return {item.value_set for item in items if item.value_set} | set(references_in(pictures))
