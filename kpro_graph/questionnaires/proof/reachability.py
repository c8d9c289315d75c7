"""Which items are ever asked, which ever left out, and by which answers; the same for every single condition.

What is found is kept as things a fixture should show; what is never found, although everything was tried, is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator

from kpro_graph.questionnaires.model import Item
from kpro_graph.questionnaires.proof.completing import Completing
from kpro_graph.questionnaires.proof.findings import Finding, make_finding
from kpro_graph.questionnaires.proof.search import DISAGREEMENT, Goal, Logic, Search, Truth, join_reasons
from kpro_graph.questionnaires.proof.space import Space
from kpro_graph.questionnaires.proof.unfolding import Assignment, Spot, below
from kpro_graph.questionnaires.words import Text

__all__ = ["Reachability"]


class Reachability:
    """The conditions of one questionnaire, each tried for holding and for not holding.

    ``shown`` are answers by what they show: ``asked:<linkId>``, ``not asked:<linkId>``, and for a single condition
    ``met:<linkId>[0]`` and ``not met:<linkId>[0]``; those in ``drafts`` show only in responses that are not complete.
    ``never`` are the items that are never asked.
    """

    def __init__(self, space: Space, logic: Logic, completing: Completing) -> None:
        self.space = space
        self.logic = logic
        self.completing = completing
        self.shown: dict[str, Assignment] = {}
        self.drafts: set[str] = set()
        self.never: set[str] = set()
        self._undecided: dict[Text, list[Item]] = {}
        self._claimed: list[tuple[Item, Assignment]] = []

    def judge(self) -> Iterator[Finding]:
        """Yield what is never asked, always asked, never met, or undecided."""
        for plan in self.space.plan.items.values():
            item = plan.item
            if item.parent in self.never:
                self.never.add(item.link_id)
            elif plan.conditional:
                yield from self._judge(self.space.unfolded.by_link_id[item.link_id][0])
        yield from self._judge_claimed()
        for reason, items in self._undecided.items():
            yield make_finding(
                "undecided_reachability",
                tuple(item.link_id for item in items),
                items[0].location,
                reason=reason.en,
                reason_da=reason.da,
            )

    def _judge(self, spot: Spot) -> Iterator[Finding]:
        item = spot.item
        on = self._find_on(spot)
        if on.found is not None:
            self.shown[f"asked:{item.link_id}"] = on.found
        elif on.decided:
            yield from self._judge_never(spot)
        else:
            self._doubt(item, on)
        off = self._find(self._left_out(spot), sparse=True)
        if off.found is not None:
            self._keep(f"not asked:{item.link_id}", off)
        elif off.decided and item.link_id not in self.never:
            yield make_finding("condition_always_true", (item.link_id,), item.location)
        if len(item.enable_when) > 1:
            yield from self._judge_conditions(spot)
        elif item.enable_when:
            self._keep(f"met:{item.link_id}[0]", on)
            self._keep(f"not met:{item.link_id}[0]", off)

    def _find_on(self, spot: Spot) -> Search:
        """Search where the questions of its conditions are asked first: a chain is then followed link by link."""
        start: Assignment = {}
        for link_id in sorted(self.space.dependence.asked[spot.link_id].link_ids):
            known = self.shown.get(f"asked:{link_id}", {})
            if all(start.get(path, choice) == choice for path, choice in known.items()):
                start |= known
        found = self.logic.find(lambda a: self.logic.asked(spot, a), start)
        return found if found.found is not None or not start else self.logic.find(lambda a: self.logic.asked(spot, a))

    def _keep(self, name: str, search: Search) -> None:
        if search.found is not None:
            self.shown[name] = search.found
            if search.draft:
                self.drafts.add(name)

    def _find(self, goal: Goal, *, sparse: bool = False) -> Search:
        """Search among complete responses, then among drafts."""
        found = self.logic.find(goal, sparse=sparse)
        return found if found.found is not None or not found.decided else self.logic.find(goal, drafts=True)

    def _left_out(self, spot: Spot) -> Goal:
        def goal(a: Assignment) -> Truth:
            return _both(self._above(spot, a), _not(self.logic.asked(spot, a)))

        return goal

    def _above(self, spot: Spot, a: Assignment) -> Truth:
        return self.logic.asked(spot.above, a) if spot.above is not None else True

    def _judge_never(self, spot: Spot) -> Iterator[Finding]:
        item = spot.item
        draft = self.logic.find(lambda a: self.logic.asked(spot, a), drafts=True)
        if draft.found is not None:
            tried = self.completing.evaluate(draft.found)
            if item.link_id not in tried.evaluation.enabled:
                self._undecided.setdefault(DISAGREEMENT, []).append(item)
                return
            yield make_finding("asked_in_drafts_only", (item.link_id,), item.location, counter_example=tried.response)
            return
        if not draft.decided:
            self._doubt(item, draft)
            return
        self.never.add(item.link_id)
        self._claimed.append((item, self._nearest(spot)))

    def _judge_claimed(self) -> Iterator[Finding]:
        """Have it confirmed that items are never asked, as many at a time as one response can show."""
        groups: list[tuple[Assignment, list[Item]]] = []
        for item, nearest in self._claimed:
            for merged, items in groups:
                if all(merged.get(path, choice) == choice for path, choice in nearest.items()):
                    merged.update(nearest)
                    items.append(item)
                    break
            else:
                groups.append((dict(nearest), [item]))
        for merged, items in groups:
            tried = self.completing.evaluate(self.completing.complete(merged))
            for item in items:
                if item.link_id in tried.evaluation.enabled:
                    self.never.discard(item.link_id)
                    self._undecided.setdefault(DISAGREEMENT, []).append(item)
                    continue
                inside = tuple(each.link_id for each in below(item))
                yield make_finding(
                    "unreachable", (item.link_id, *inside), item.location, counter_example=tried.response
                )

    def _nearest(self, spot: Spot) -> Assignment:
        """Return answers that meet as many of the item's conditions as can be met, one after the other."""
        met: Assignment = {}
        for index in range(len(spot.item.enable_when)):

            def goal(a: Assignment, index: int = index) -> Truth:
                return _both(self._above(spot, a), self.logic.test(spot, index, a))

            found = self.logic.find(goal, met).found
            met = found if found is not None else met
        return met

    def _judge_conditions(self, spot: Spot) -> Iterator[Finding]:
        item = spot.item
        for index in range(len(item.enable_when)):

            def met(a: Assignment, index: int = index) -> Truth:
                return _both(self._above(spot, a), self.logic.test(spot, index, a))

            def unmet(a: Assignment, index: int = index) -> Truth:
                return _both(self._above(spot, a), _not(self.logic.test(spot, index, a)))

            on, off = self._find(met), self._find(unmet, sparse=True)
            self._keep(f"met:{item.link_id}[{index}]", on)
            self._keep(f"not met:{item.link_id}[{index}]", off)
            if on.found is None and on.decided:
                location = f"{item.location}.enableWhen[{index}]"
                yield make_finding("condition_never_true", (item.link_id, item.enable_when[index].question), location)

    def _doubt(self, item: Item, search: Search) -> None:
        self._undecided.setdefault(join_reasons(search.reasons), []).append(item)


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _both(one: Truth, other: Truth) -> Truth:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
