"""Excerpts: a questionnaire cut down to some of its items, so that what concerns only them is evaluated quickly.

An excerpt is evaluated by the engine itself. Items above the chosen ones stay as bare shells, with their variables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from kpro_graph.questionnaires.model import Constraint, Item, Questionnaire

__all__ = ["excerpt"]


def excerpt(
    questionnaire: Questionnaire,
    whole: Iterable[str],
    *,
    asked: Iterable[str] = (),
    computed: Iterable[str] = (),
    constraints: Iterable[Constraint] = (),
) -> Questionnaire:
    """Return the questionnaire with the items in ``whole`` only.

    Their conditions are kept for those in ``asked``, their calculations for those in ``computed``; everybody else is
    asked, and calculates nothing. Only the ``constraints`` given are kept.
    """
    cut = _Cut(questionnaire, frozenset(whole), frozenset(asked), frozenset(computed))
    cut.constraints = {id(each) for each in constraints}
    items = cut.level(questionnaire.items)
    return replace(
        questionnaire,
        items=items,
        by_link_id=MappingProxyType(dict(sorted(cut.by_link_id.items(), key=lambda pair: pair[1].position))),
        constraints=cut.kept(questionnaire.constraints),
        remarks=(),
    )


class _Cut:
    def __init__(
        self, questionnaire: Questionnaire, whole: frozenset[str], asked: frozenset[str], computed: frozenset[str]
    ) -> None:
        self.whole = whole
        self.asked = asked
        self.computed = computed
        self.constraints: set[int] = set()
        self.by_link_id: dict[str, Item] = {}
        self.wanted: set[str] = set()
        """The items themselves and those above them."""
        for each in whole:
            above: str | None = each
            while above is not None and above not in self.wanted:
                self.wanted.add(above)
                above = questionnaire.by_link_id[above].parent

    def kept(self, constraints: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
        return tuple(each for each in constraints if id(each) in self.constraints)

    def level(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(self.item(each) for each in items if each.link_id in self.wanted)

    def item(self, item: Item) -> Item:
        children = self.level(item.children)
        chosen = item.link_id in self.whole
        untouched = item.link_id in self.asked and item.link_id in self.computed and item.answer_expression is None
        if chosen and untouched and children == item.children:
            found = item
        else:
            found = replace(item, children=children, **self.stripped(item, children, chosen=chosen))  # type: ignore[arg-type]
        self.by_link_id[item.link_id] = found
        return found

    def stripped(self, item: Item, children: tuple[Item, ...], *, chosen: bool) -> dict[str, object]:
        changes: dict[str, object] = {"constraints": self.kept(item.constraints), "initial_expression": None}
        changes["answer_expression"] = None
        if item.link_id not in self.asked:
            changes |= {"enable_when": (), "enable_expression": None, "toggles": ()}
        if item.link_id not in self.computed:
            changes["calculated"] = None
        if not chosen or (not item.answerable and len(children) < len(item.children)):
            changes |= {"required": False, "min_occurs": None, "max_occurs": None}
        return changes
