"""What depends on what in a questionnaire: conditions, calculated values, variables; and where that goes in a circle.

Whether an item is asked depends on the item above it and on the answers its condition looks at. A calculated value
depends on what its expression reads. An answer depends on whether its item is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kpro_graph.questionnaires.expressions import PREDEFINED_VARIABLES
from kpro_graph.questionnaires.expressions import syntax as s
from kpro_graph.questionnaires.model import Item, Questionnaire, SourceExpression
from kpro_graph.questionnaires.plan import Plan
from kpro_graph.questionnaires.proof.reads import Reads, reads_of, tree_of

__all__ = ["Dependence", "Ring", "is_computed", "is_fixed", "is_overridable"]

_NOTHING = Reads()
_Node = tuple[str, str]


def is_computed(item: Item) -> bool:
    """Whether the questionnaire itself calculates the item's answer."""
    return item.calculated is not None and item.answerable


def is_overridable(item: Item) -> bool:
    """Whether a calculated answer may be changed by whoever answers."""
    return not (item.read_only or item.hidden)


def is_fixed(item: Item) -> bool:
    """Whether the item's answer can only be what the questionnaire fills in at the beginning."""
    filled = bool(item.initial) or any(option.initially_selected for option in item.options)
    return item.read_only and filled and item.calculated is None and item.initial_expression is None


@dataclass(frozen=True, slots=True)
class Ring:
    """Items that depend on each other in a circle; ``certain`` where every step of it names the next item."""

    link_ids: tuple[str, ...]
    certain: bool


@dataclass
class Dependence:
    """The dependencies of one questionnaire, worked out once."""

    questionnaire: Questionnaire
    plan: Plan
    asked: dict[str, Reads] = field(default_factory=dict)
    """What decides whether an item is asked, for items with a condition of their own."""
    computed: dict[str, Reads] = field(default_factory=dict)
    """What a calculated value reads."""
    _cones: dict[str, frozenset[str]] = field(default_factory=dict)
    _read: dict[tuple[str, str | None], Reads] = field(default_factory=dict)
    _rank: dict[str, int] = field(default_factory=dict)
    _ordered: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for link_id, plan in self.plan.items.items():
            item = plan.item
            if item.enable_when:
                known = (each.item.link_id for each in plan.asked if each is not None)
                self.asked[link_id] = Reads(named=frozenset(known))
            elif item.enable_expression is not None:
                self.asked[link_id] = self.reads(item.enable_expression, link_id)
            if item.calculated is not None:
                self.computed[link_id] = self.reads(item.calculated, link_id)

    def reads(self, source: SourceExpression, link_id: str | None) -> Reads:
        """Return what an expression at an item (None for the root) reads."""
        key = (source.location, link_id)
        if key not in self._read:
            at = self.plan.items[link_id] if link_id is not None else None
            self._read[key] = reads_of(self.questionnaire, self.plan, source, at)
        return self._read[key]

    def cone(self, link_ids: Iterable[str]) -> frozenset[str]:
        """Return the items themselves and everything that their answers, and whether they are asked, depend on."""
        found: set[str] = set()
        waiting = list(link_ids)
        while waiting:
            link_id = waiting.pop()
            if link_id in found:
                continue
            known = self._cones.get(link_id)
            if known is not None:
                found |= known
                continue
            found.add(link_id)
            waiting.extend(self._needs(link_id))
        return frozenset(found)

    def cone_of(self, link_id: str) -> frozenset[str]:
        """Return the cone of one item, kept for the next time."""
        if link_id not in self._cones:
            self._cones[link_id] = self.cone([link_id])
        return self._cones[link_id]

    def in_order(self, link_id: str) -> tuple[str, ...]:
        """Return the cone of an item, each after what it depends on as far as there is such an order."""
        if link_id not in self._ordered:
            if not self._rank:
                self._rank.update({each: place for place, each in enumerate(self._settle())})
            self._ordered[link_id] = tuple(sorted(self.cone_of(link_id), key=self._rank.__getitem__))
        return self._ordered[link_id]

    def _settle(self) -> list[str]:
        """Return every item, each after what it depends on; without recursion, for chains may be long."""
        found: dict[str, None] = {}
        begun: set[str] = set()
        for start in self.plan.items:
            waiting = [start]
            while waiting:
                link_id = waiting[-1]
                open_ = sorted(self._needs(link_id) - begun) if link_id not in found else []
                begun.add(link_id)
                if open_:
                    waiting.extend(open_)
                else:
                    found.setdefault(waiting.pop())
        return list(found)

    def _needs(self, link_id: str) -> set[str]:
        needs = set(self.computed.get(link_id, _NOTHING).link_ids)
        for step in self.plan.items[link_id].chain:
            needs |= self.asked.get(step.item.link_id, _NOTHING).link_ids
        return needs

    # --- circles

    def rings(self) -> list[Ring]:
        """Return the circles, those that are certain first; one for each set of items that hang together."""
        certain = self._graph(named_only=True)
        found = [Ring(_ring(certain, component), True) for component in _components(certain)]
        told = {link_id for ring in found for link_id in ring.link_ids}
        every = self._graph(named_only=False)
        for component in _components(every):
            if not told & {link_id for _, link_id in component}:
                found.append(Ring(_ring(every, component), False))
        return found

    def _graph(self, *, named_only: bool) -> dict[_Node, set[_Node]]:
        graph: dict[_Node, set[_Node]] = {}
        for link_id, plan in self.plan.items.items():
            asked = graph.setdefault(("asked", link_id), set())
            value = graph.setdefault(("value", link_id), set())
            value.add(("asked", link_id))
            if plan.item.parent is not None:
                asked.add(("asked", plan.item.parent))
            for edges, reads in ((asked, self.asked.get(link_id)), (value, self.computed.get(link_id))):
                if reads is not None:
                    edges.update(("value", each) for each in (reads.named if named_only else reads.link_ids))
        return graph

    def variable_rings(self) -> list[tuple[str | None, tuple[SourceExpression, ...]]]:
        """Return the circles among variables declared at one place, each with the item (None for the root)."""
        found: list[tuple[str | None, tuple[SourceExpression, ...]]] = []
        places: list[tuple[str | None, tuple[SourceExpression, ...]]] = [(None, self.questionnaire.variables)]
        places += [(item.link_id, item.variables) for item in self.questionnaire.walk() if item.variables]
        for link_id, variables in places:
            by_name = {each.name: each for each in variables}
            graph: dict[_Node, set[_Node]] = {
                ("value", name): {("value", used) for used in used_variables(each.text) & by_name.keys()}
                for name, each in by_name.items()
            }
            found.extend(
                (link_id, tuple(by_name[name] for name in _ring(graph, component))) for component in _components(graph)
            )
        return found


def used_variables(text: str) -> frozenset[str]:
    """Return the names of the variables an expression uses that are not predefined."""
    tree = tree_of(text)
    if tree is None:
        return frozenset()
    return frozenset(part.name for part in s.walk(tree) if isinstance(part, s.Variable)) - PREDEFINED_VARIABLES


def _components(graph: Mapping[_Node, set[_Node]]) -> list[list[_Node]]:
    """Return the strongly connected components that hold a circle, in the order of the graph."""
    index: dict[_Node, int] = {}
    low: dict[_Node, int] = {}
    stack: list[_Node] = []
    on_stack: set[_Node] = set()
    found: list[list[_Node]] = []
    order = {node: position for position, node in enumerate(graph)}
    for start in graph:
        if start in index:
            continue
        work = [(start, iter(sorted(graph[start], key=order.__getitem__)))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, edges = work[-1]
            for other in edges:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(graph[other], key=order.__getitem__))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        each = stack.pop()
                        on_stack.discard(each)
                        component.append(each)
                        if each == node:
                            break
                    if len(component) > 1 or node in graph[node]:
                        found.append(sorted(component, key=order.__getitem__))
    return sorted(found, key=lambda component: order[component[0]])


def _ring(graph: Mapping[_Node, set[_Node]], component: list[_Node]) -> tuple[str, ...]:
    """Return the linkIds along a shortest circle through the component's first node, each once."""
    start = component[0]
    inside = set(component)
    before: dict[_Node, _Node] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for other in sorted(graph[node] & inside, key=component.index):
            if other == start:
                path = [node]
                while path[-1] != start:
                    path.append(before[path[-1]])
                return tuple(dict.fromkeys(link_id for _, link_id in reversed(path)))
            if other not in before:
                before[other] = node
                waiting.append(other)
    return tuple(dict.fromkeys(link_id for _, link_id in component))
