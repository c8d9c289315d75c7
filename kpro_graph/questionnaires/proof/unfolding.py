"""A questionnaire unfolded into the places where answers can stand, and answers to it put together as a response.

Repeating groups are unfolded into as many repetitions as conditions from outside can tell apart. What stands at the
places is an assignment: the answers at each path, none where there is to be none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kpro_graph.questionnaires.answers import assemble
from kpro_graph.questionnaires.model import EnableWhen, Item, Questionnaire, Value
from kpro_graph.questionnaires.plan import ItemPlan, Plan

__all__ = ["MOMENT", "Assignment", "Choice", "Spot", "Unfolded", "below", "write_response"]

Choice: TypeAlias = tuple[Value, ...]
"""The answers at one place; none where it is empty."""

Assignment: TypeAlias = dict[str, Choice]
"""The answers by path. A path that is not there is still open."""

MOMENT = "2026-01-15T12:00:00+01:00"
"""When made-up responses are authored: the moment of ``now()`` in them, so that they evaluate alike at any time."""

_MOST_REPETITIONS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """One place: an item in one repetition of what stands above it. ``above`` is the place it stands in, or None."""

    path: str
    plan: ItemPlan
    above: Spot | None

    @property
    def item(self) -> Item:
        """The item that stands here."""
        return self.plan.item

    @property
    def link_id(self) -> str:
        """The item's linkId."""
        return self.plan.item.link_id

    def line(self) -> list[Spot]:
        """Return the places from the root down to this one."""
        found: list[Spot] = []
        spot: Spot | None = self
        while spot is not None:
            found.append(spot)
            spot = spot.above
        return found[::-1]


@dataclass
class Unfolded:
    """The places of a questionnaire in its order, by path and by linkId.

    ``folded`` are repeating items of which more repetitions would be needed than are unfolded. ``width`` is how many
    repetitions a group that stands in no other repeating one has at least, where it may.
    """

    questionnaire: Questionnaire
    plan: Plan
    width: int = 1
    spots: dict[str, Spot] = field(default_factory=dict)
    by_link_id: dict[str, list[Spot]] = field(default_factory=dict)
    folded: frozenset[str] = frozenset()
    _targets: dict[tuple[str, int], list[Spot]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts, folded = _repetitions(self.plan)
        self.folded = folded
        for plan in self.plan.roots:
            self._unfold(plan, None, "", counts)

    def _unfold(self, plan: ItemPlan, above: Spot | None, prefix: str, counts: Mapping[str, int]) -> None:
        item = plan.item
        path = prefix + plan.segment
        if item.repeats and plan.is_group:
            for index in range(max(counts.get(item.link_id, 1), self._width_of(item, above))):
                self._put(plan, above, f"{path}[{index}]", counts)
        else:
            self._put(plan, above, path, counts)

    def _width_of(self, item: Item, above: Spot | None) -> int:
        within = any(spot.item.repeats for spot in above.line()) if above is not None else False
        return 1 if within else min(self.width, item.max_occurs or self.width)

    def _put(self, plan: ItemPlan, above: Spot | None, path: str, counts: Mapping[str, int]) -> None:
        spot = Spot(path, plan, above)
        self.spots[path] = spot
        self.by_link_id.setdefault(spot.link_id, []).append(spot)
        several = plan.item.repeats and not plan.is_group
        for child in plan.children:
            self._unfold(child, spot, f"{path}[0]/" if several else f"{path}/", counts)

    def targets(self, spot: Spot, index: int) -> list[Spot]:
        """Return the places whose answers the place's condition of that number looks at."""
        key = (spot.path, index)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = self._find_targets(spot, index)
        return found

    def _find_targets(self, spot: Spot, index: int) -> list[Spot]:
        other = spot.plan.asked[index]
        if other is None:
            return []
        shared = spot.line()[: spot.plan.common[index]]
        inside = shared[-1] if shared else None
        return [each for each in self.by_link_id[other.item.link_id] if inside is None or inside in each.line()]

    def tests(self, link_id: str) -> list[tuple[str, int, EnableWhen]]:
        """Return the conditions that look at an item, each with the item it stands at and its number."""
        return [
            (plan.item.link_id, index, condition)
            for plan in self.plan.items.values()
            for index, condition in enumerate(plan.item.enable_when)
            if condition.question == link_id
        ]


def below(item: Item) -> Iterator[Item]:
    """Yield every item below an item, in the questionnaire's order."""
    for child in item.children:
        yield child
        yield from below(child)


def _repetitions(plan: Plan) -> tuple[dict[str, int], frozenset[str]]:
    """Return how many repetitions of each repeating group conditions from outside it can tell apart."""
    outside: dict[str, int] = {}
    for each in plan.items.values():
        for other, common in zip(each.asked, each.common, strict=True):
            for step in other.chain[common:-1] if other is not None else ():
                if step.item.repeats:
                    outside[step.item.link_id] = outside.get(step.item.link_id, 0) + 1
    counts: dict[str, int] = {}
    folded = set()
    for link_id, needed in outside.items():
        item = plan.items[link_id].item
        most = item.max_occurs if item.max_occurs is not None else needed
        if not plan.items[link_id].is_group:
            most = 1 if needed == 1 else 0
        counts[link_id] = max(1, min(needed, most, _MOST_REPETITIONS))
        if counts[link_id] < min(needed, most) or most == 0:
            folded.add(link_id)
    return counts, frozenset(folded)


def write_response(questionnaire: Questionnaire, assignment: Mapping[str, Choice]) -> dict[str, Any]:
    """Return an assignment as a completed response to the questionnaire; open places are empty."""
    answers = {path: [value.as_fhir() for value in choice] for path, choice in assignment.items() if choice}
    assembled = assemble(questionnaire, answers)
    items = assembled.pop("item", None)
    assembled["authored"] = _moment(questionnaire)
    if items:
        assembled["item"] = items
    return assembled


def _moment(questionnaire: Questionnaire) -> str:
    """Return a moment within the time the questionnaire is valid, the usual one where that is."""
    start, end = questionnaire.effective_start[:10], questionnaire.effective_end[:10]
    if (start and start > MOMENT[:10]) or (end and end < MOMENT[:10]):
        day = start or end
        return f"{day}{'-01-01'[len(day) - 4 :]}T12:00:00+01:00" if len(day) in (4, 7, 10) else MOMENT
    return MOMENT
