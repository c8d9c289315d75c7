"""A response laid out along its questionnaire: every item it holds in its place, and what does not fit taken down.

Groups and questions that the response leaves out are there as well, empty, so that it can be said whether they were to
be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kpro_graph.questionnaires.extensions import read_value
from kpro_graph.questionnaires.model import Value
from kpro_graph.questionnaires.plan import ItemPlan, Plan
from kpro_graph.questionnaires.problems import Problem, make_problem

__all__ = ["Answer", "Layout", "Node", "Scope", "lay_out"]

_ITEM_KEYS = frozenset({"id", "extension", "modifierExtension", "linkId", "definition", "text", "answer", "item"})
_ITEM_KEYS |= {f"_{name}" for name in ("linkId", "definition", "text")}
_ANSWER_KEYS = frozenset({"id", "extension", "modifierExtension", "item"})
_PRIMITIVES = ("Boolean", "Decimal", "Integer", "Date", "DateTime", "Time", "String", "Uri")
_ANSWER_KINDS = (*_PRIMITIVES, "Attachment", "Coding", "Quantity", "Reference")
_VALUE_KEYS = frozenset(f"value{kind}" for kind in _ANSWER_KINDS)
_COMPANIONS = frozenset(f"_value{kind}" for kind in _ANSWER_KINDS)


class Scope:
    """A place that holds items: the response itself, one repetition of a group, or one answer with items below."""

    __slots__ = ("children", "location", "node", "path")

    def __init__(self, node: Node | None, path: str, location: str) -> None:
        self.node = node
        self.path = path
        self.location = location
        self.children: dict[str, list[Node]] = {}

    def nodes(self) -> Iterator[Node]:
        """Yield the items in questionnaire order, repetitions in theirs."""
        for nodes in self.children.values():
            yield from nodes


class Answer(Scope):
    """One answer: its value, where it stands, and the items below it. ``value`` is None where it has none."""

    __slots__ = ("source", "value", "weighted")

    def __init__(
        self, node: Node, path: str, location: str, value: Value | None, source: Mapping[str, Any] | None
    ) -> None:
        super().__init__(node, path, location)
        self.value = value
        self.source = source
        self.weighted: dict[str, Any] | None = None


class Node:
    """One item of the response: a repetition of a group, or a question with its answers.

    ``source`` is None where the response leaves the item out; ``location`` is then the place above it.
    """

    __slots__ = (
        "answers",
        "calculated",
        "enabled",
        "location",
        "path",
        "plan",
        "rendered",
        "scope",
        "sent",
        "source",
        "within",
    )

    def __init__(
        self, plan: ItemPlan, within: Scope, path: str, location: str, source: Mapping[str, Any] | None
    ) -> None:
        self.plan = plan
        self.within = within
        self.path = path
        self.location = location
        self.source = source
        self.answers: list[Answer] = []
        self.scope: Scope | None = None
        self.enabled = True
        self.calculated = False
        self.rendered: dict[str, Any] | None = None
        self.sent: list[Value] = []

    @property
    def present(self) -> bool:
        """Whether this place exists: every repetition and answer above it is in the response."""
        scope = self.within
        while scope.node is not None:
            node = scope.node
            if isinstance(scope, Answer):
                if scope.source is None:
                    return False
            elif node.source is None and node.plan.item.repeats:
                return False
            scope = node.within
        return True

    def values(self) -> list[Value]:
        """Return the values of the answers that have one."""
        return [answer.value for answer in self.answers if answer.value is not None]

    def scopes(self) -> list[Scope]:
        """Return the places below: the group's own, or one for each answer."""
        return [self.scope] if self.scope is not None else list(self.answers)

    def has_answers(self, *, asked: bool = False) -> bool:
        """Return whether anything is answered here or below; ``asked`` counts only what was to be asked."""
        if asked and not self.enabled:
            return False
        for answer in self.answers:
            if answer.value is not None:
                return True
        return any(node.has_answers(asked=asked) for scope in self.scopes() for node in scope.nodes())


class Layout:
    """A response laid out: its root, the faults of its structure, and whether it is a response at all.

    ``version`` grows with every change to what is asked or answered; ``changed`` is each item's last.
    """

    __slots__ = ("changed", "plan", "problems", "response", "root", "sound", "version")

    def __init__(self, plan: Plan, response: Mapping[str, Any]) -> None:
        self.plan = plan
        self.response = response
        self.root = Scope(None, "", "QuestionnaireResponse")
        self.problems: list[Problem] = []
        self.sound = True
        self.version = 0
        self.changed: dict[str, int] = {}

    def touch(self, node: Node) -> None:
        """Take down that an item's answers, or whether it is asked, have changed."""
        self.version += 1
        self.changed[node.plan.item.link_id] = self.version

    def replace(self, node: Node, values: list[Value]) -> None:
        """Put calculated values in the place of the answers; what stands below them is kept by position."""
        plan = node.plan
        if not node.calculated:
            node.sent = node.values()
        below = [answer.children for answer in node.answers if answer.source is not None]
        several = plan.item.repeats and bool(plan.children)
        node.answers = []
        for index, value in enumerate(values):
            path = f"{node.path}[{index}]" if several else node.path
            answer = Answer(node, path, f"{node.location}.answer[{index}]", value, value.as_fhir())
            node.answers.append(answer)
            if index < len(below):
                answer.children = below[index]
            else:
                _fill(self, answer, plan.children, plan.by_link_id, None)
        _leave_room(self, node)
        node.calculated = True
        self.touch(node)
        for answer in node.answers if plan.children else ():
            for each in _walk(answer):  # what stood below an answer that is gone, is gone too
                self.touch(each)

    def walk(self) -> Iterator[Node]:
        """Yield every item in questionnaire order, those above before those below."""
        return _walk(self.root)

    def find(self, link_id: str) -> Iterator[Node]:
        """Yield every occurrence of an item."""
        plan = self.plan.items.get(link_id)
        return _find([self.root], plan.chain, 0) if plan is not None else iter(())


def lay_out(plan: Plan, response: object) -> Layout:
    """Lay the response out along the questionnaire; any JSON may be given, as ``normalise`` gives it."""
    if not isinstance(response, dict):
        layout = Layout(plan, {})
        layout.sound = False
        layout.problems.append(make_problem("structure", location="QuestionnaireResponse"))
    else:
        layout = Layout(plan, response)
    _fill(layout, layout.root, plan.roots, plan.root_by_link_id, layout.response.get("item"))
    return layout


def _fill(
    layout: Layout,
    scope: Scope,
    plans: tuple[ItemPlan, ...],
    by_link_id: Mapping[str, ItemPlan],
    items: object,
) -> None:
    """Put the response's items into the scope, each with the item of the questionnaire it answers."""
    found: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    if items is not None:
        if isinstance(items, list):
            if not items:
                layout.problems.append(make_problem("empty", _link_id(scope), scope.path, scope.location))
            _sort(layout, scope, by_link_id, items, found)
        else:
            layout.problems.append(make_problem("structure", _link_id(scope), scope.path, scope.location))
    children = scope.children
    prefix = f"{scope.path}/" if scope.path else ""
    for plan in plans:
        item = plan.item
        here = found.get(item.link_id)
        path = prefix + plan.segment
        if here is None:
            node = Node(plan, scope, f"{path}[0]" if item.repeats and plan.is_group else path, scope.location, None)
            children[item.link_id] = [node]
            _fill_below(layout, node, None)
            continue
        nodes = children[item.link_id] = []
        repeating = item.repeats and plan.is_group
        if len(here) > 1 and not repeating:
            location = f"{scope.location}.item[{here[1][0]}]"
            layout.problems.append(make_problem("too_many_answers", item.link_id, path, location))
        for number, (index, source) in enumerate(here):
            location = f"{scope.location}.item[{index}]"
            node = Node(plan, scope, f"{path}[{number}]" if repeating else path, location, source)
            nodes.append(node)
            _fill_below(layout, node, source)


def _sort(
    layout: Layout,
    scope: Scope,
    by_link_id: Mapping[str, ItemPlan],
    items: list[Any],
    found: dict[str, list[tuple[int, Mapping[str, Any]]]],
) -> None:
    """Sort the response's items by linkId, taking down those that are nowhere or elsewhere in the questionnaire."""
    last = -1
    ordered = True
    for index, source in enumerate(items):
        location = f"{scope.location}.item[{index}]"
        link_id = source.get("linkId") if isinstance(source, dict) else None
        if not isinstance(link_id, str):
            layout.problems.append(make_problem("structure", _link_id(scope), scope.path, location))
            continue
        plan = by_link_id.get(link_id)
        if plan is None:
            known = layout.plan.items.get(link_id)
            code = "unknown_link_id" if known is None else "misplaced_item"
            path = f"{scope.path}/{link_id}" if scope.path else link_id
            layout.problems.append(make_problem(code, link_id, path, location))
            continue
        if not _ITEM_KEYS.issuperset(source) or None in source.values():
            layout.problems.append(make_problem("structure", link_id, _path(scope, plan), location))
        found.setdefault(link_id, []).append((index, source))
        position = plan.item.position
        if position < last and ordered:
            ordered = False
            layout.problems.append(make_problem("item_order", link_id, _path(scope, plan), location))
        last = position


def _fill_below(layout: Layout, node: Node, source: Mapping[str, Any] | None) -> None:
    plan = node.plan
    if plan.is_group:
        _fill_group(layout, node, source)
        return
    if source is not None and source.get("item") is not None:
        _take_down_items_beside_answers(layout, node, source)
    answers = source.get("answer") if source is not None else None
    if isinstance(answers, list):
        if not answers:
            layout.problems.append(make_problem("empty", plan.item.link_id, node.path, node.location))
        several = plan.item.repeats and len(plan.children) > 0
        for index, each in enumerate(answers):
            location = f"{node.location}.answer[{index}]"
            path = f"{node.path}[{index}]" if several else node.path
            if not isinstance(each, dict):
                layout.problems.append(make_problem("structure", plan.item.link_id, node.path, location))
                continue
            answer = Answer(node, path, location, _read_answer(layout, node, each, location), each)
            node.answers.append(answer)
            if plan.children or each.get("item") is not None:
                _fill(layout, answer, plan.children, plan.by_link_id, each.get("item"))
    elif answers is not None:
        layout.problems.append(make_problem("structure", plan.item.link_id, node.path, node.location))
    _leave_room(layout, node)


def _leave_room(layout: Layout, node: Node) -> None:
    """Where nothing is answered, what would stand below an answer has a place nevertheless."""
    plan = node.plan
    if plan.children and not node.answers:
        path = f"{node.path}[0]" if plan.item.repeats else node.path
        empty = Answer(node, path, node.location, None, None)
        node.answers.append(empty)
        _fill(layout, empty, plan.children, plan.by_link_id, None)


def _fill_group(layout: Layout, node: Node, source: Mapping[str, Any] | None) -> None:
    item = node.plan.item
    if source is not None and source.get("answer") is not None:
        layout.problems.append(make_problem("answer_not_allowed_for_type", item.link_id, node.path, node.location))
    scope = node.scope = Scope(node, node.path, node.location)
    _fill(layout, scope, node.plan.children, node.plan.by_link_id, source.get("item") if source is not None else None)


def _take_down_items_beside_answers(layout: Layout, node: Node, source: Mapping[str, Any]) -> None:
    """A question's items stand under its answers (qrs-1 forbids both places at once)."""
    items = source["item"]
    if source.get("answer") is not None or not isinstance(items, list):
        layout.problems.append(make_problem("structure", node.plan.item.link_id, node.path, node.location))
        return
    for index, each in enumerate(items):
        link_id = each.get("linkId") if isinstance(each, dict) else None
        location = f"{node.location}.item[{index}]"
        if not isinstance(link_id, str):
            layout.problems.append(make_problem("structure", node.plan.item.link_id, node.path, location))
        else:
            code = "misplaced_item" if link_id in layout.plan.items else "unknown_link_id"
            layout.problems.append(make_problem(code, link_id, f"{node.path}/{link_id}", location))


def _read_answer(layout: Layout, node: Node, source: Mapping[str, Any], location: str) -> Value | None:
    """Return the answer's value. An empty text or an empty coding is no answer."""
    link_id = node.plan.item.link_id
    values = 0
    for key, part in source.items():
        if key in _VALUE_KEYS and part is not None:
            values += 1
        elif part is None or (key not in _ANSWER_KEYS and key not in _COMPANIONS):
            layout.problems.append(make_problem("structure", link_id, node.path, location))
            return None
    if values > 1:
        layout.problems.append(make_problem("structure", link_id, node.path, location))
        return None
    value = read_value(source)
    if value is None or (isinstance(value.value, str | dict | list) and not value.value):
        if value is not None or not source:
            layout.problems.append(make_problem("empty", link_id, node.path, location))
        return None
    return value


def _link_id(scope: Scope) -> str:
    return scope.node.plan.item.link_id if scope.node is not None else ""


def _path(scope: Scope, plan: ItemPlan) -> str:
    return f"{scope.path}/{plan.segment}" if scope.path else plan.segment


def _walk(scope: Scope) -> Iterator[Node]:
    for nodes in scope.children.values():
        for node in nodes:
            yield node
            if node.scope is not None:
                yield from _walk(node.scope)
            elif node.plan.children:
                for answer in node.answers:
                    yield from _walk(answer)


def _find(scopes: list[Scope], chain: tuple[ItemPlan, ...], depth: int) -> Iterator[Node]:
    link_id = chain[depth].item.link_id
    for scope in scopes:
        for node in scope.children.get(link_id, ()):
            if depth == len(chain) - 1:
                yield node
            else:
                yield from _find(node.scopes(), chain, depth + 1)
