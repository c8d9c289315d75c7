"""Answers to a questionnaire: seen by linkId or path, built up into a FHIR response, and taken apart again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kpro_graph.errors import BadInput
from kpro_graph.questionnaires.document import normalise
from kpro_graph.questionnaires.layout import Layout, Node, lay_out
from kpro_graph.questionnaires.model import ItemType, Questionnaire, Value
from kpro_graph.questionnaires.plan import ItemPlan, plan_of

__all__ = ["AnswerMalformed", "Answers", "FlatAnswer", "PathUnknown", "assemble", "flatten", "full_path", "path_of"]

_REPETITIONS = 1_000


class PathUnknown(BadInput):
    """No question of the questionnaire stands at ``path``, or it is repeated more often than is sensible."""

    code = "PATH_UNKNOWN"


class AnswerMalformed(BadInput):
    """An answer at ``path`` is no FHIR value such as ``{"valueInteger": 3}``."""

    code = "ANSWER_MALFORMED"


class Answers:
    """The answers of one response as rules may see them: only questions that were to be asked, never changed.

    A question that was not to be asked has no answers here, whatever the response holds.
    """

    __slots__ = ("_by_link_id", "_by_path", "_plan", "enabled", "questionnaire")

    def __init__(self, questionnaire: Questionnaire, layout: Layout) -> None:
        self.questionnaire = questionnaire
        self._plan = plan_of(questionnaire)
        self._by_link_id: dict[str, tuple[Value, ...]] = {}
        self._by_path: dict[str, tuple[Value, ...]] = {}
        enabled: dict[str, None] = {}
        _collect(layout.root.children.values(), enabled, self._by_link_id, self._by_path)
        order = self._plan.items
        self.enabled: tuple[str, ...] = tuple(sorted(enabled, key=lambda link_id: order[link_id].item.position))
        """The linkIds that were to be asked, in questionnaire order."""

    def values(self, link_id: str) -> tuple[Value, ...]:
        """Return every answer to the question, over all repetitions, in the response's order."""
        return self._by_link_id.get(link_id, ())

    def at(self, path: str) -> tuple[Value, ...]:
        """Return the answers at one path, such as ``group[1]/weight``."""
        return self._by_path.get(path, ())

    def paths(self) -> tuple[str, ...]:
        """Return the paths that are answered, in questionnaire order."""
        return tuple(self._by_path)

    def weights(self, link_id: str) -> tuple[Decimal | None, ...]:
        """Return the weight of each answer's option, looked up by linkId, system and code; None where it has none."""
        plan = self._plan.items.get(link_id)
        if plan is None:
            return ()
        weights = plan.weights
        return tuple([weights.get(value.key) for value in self._by_link_id.get(link_id, ())])

    def weight(self, link_id: str) -> Decimal | None:
        """Return the weight of the answer, or the sum where there are several; None where no answer has one."""
        weights = [weight for weight in self.weights(link_id) if weight is not None]
        return sum(weights[1:], weights[0]) if weights else None

    def number(self, link_id: str) -> Decimal | None:
        """Return the number answered (integer, decimal or quantity); None where there is not exactly one answer."""
        values = self.values(link_id)
        return values[0].number if len(values) == 1 else None

    def __contains__(self, link_id: object) -> bool:
        return link_id in self._by_link_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answers):
            return NotImplemented
        return self._by_path == other._by_path and self.enabled == other.enabled

    def __hash__(self) -> int:
        return hash(self.enabled)

    def __repr__(self) -> str:
        return f"Answers({len(self._by_path)} paths)"


def _collect(
    children: Iterable[list[Node]],
    enabled: dict[str, None],
    by_link_id: dict[str, tuple[Value, ...]],
    by_path: dict[str, tuple[Value, ...]],
) -> None:
    for nodes in children:
        for node in nodes:
            if not node.enabled:
                continue
            link_id = node.plan.item.link_id
            enabled[link_id] = None
            if node.scope is not None:
                _collect(node.scope.children.values(), enabled, by_link_id, by_path)
                continue
            values = tuple([answer.value for answer in node.answers if answer.value is not None])
            if values:
                by_link_id[link_id] = by_link_id[link_id] + values if link_id in by_link_id else values
                by_path[node.path] = by_path[node.path] + values if node.path in by_path else values
            if node.plan.children:
                for answer in node.answers:
                    _collect(answer.children.values(), enabled, by_link_id, by_path)


@dataclass(frozen=True, slots=True)
class FlatAnswer:
    """The answers at one path."""

    path: str
    link_id: str
    values: tuple[Value, ...]


def flatten(questionnaire: Questionnaire, response: Mapping[str, Any]) -> list[FlatAnswer]:
    """Return the response's answers as a list of paths and values, in questionnaire order.

    Everything answered is there, also what was not to be asked; what does not fit the questionnaire is left out.

    Raises:
        DocumentRefused: the response is no JSON, or beyond the limits.
    """
    layout = lay_out(plan_of(questionnaire), normalise(response))
    merged: dict[str, FlatAnswer] = {}
    for node in layout.walk():
        values = tuple(node.values())
        if values:
            before = merged.get(node.path)
            known = before.values if before is not None else ()
            merged[node.path] = FlatAnswer(node.path, node.plan.item.link_id, known + values)
    return list(merged.values())


def path_of(questionnaire: Questionnaire, link_id: str) -> str:
    """Return the path of an item whose every repeat index is left out: ``group/weight``.

    Raises:
        KeyError: the questionnaire has no such item.
    """
    return plan_of(questionnaire).items[link_id].skeleton


def full_path(questionnaire: Questionnaire, path: str) -> str:
    """Return a question's path with every repeat index that belongs in it: ``group/weight`` gives ``group[0]/weight``.

    Raises:
        PathUnknown: the path names no question.
    """
    place = plan_of(questionnaire).place(path)
    if place is None or not place[0].item.answerable:
        raise PathUnknown("the questionnaire has no question at this path", path=path)
    leaf, indices = place
    return "/".join(
        f"{step.segment}[{index}]" if step.item.repeats and step is not leaf else step.segment
        for step, index in zip(leaf.chain, indices, strict=True)
    )


@dataclass(slots=True)
class _Branch:
    """What stands under one item while a response is being put together: the answers and the repetitions."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    below: dict[int, dict[str, _Branch]] = field(default_factory=dict)


def assemble(
    questionnaire: Questionnaire,
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    status: str = "completed",
) -> dict[str, Any]:
    """Build a FHIR QuestionnaireResponse from FHIR values by path: ``{"pain": [{"valueInteger": 3}]}``.

    The items come in questionnaire order whatever the order of the paths; an index that is left out is 0. A group that
    does not repeat is always there, even empty: nobody can skip its required questions by leaving it out.

    Raises:
        PathUnknown: a path names no question, or a repetition beyond the thousandth.
        AnswerMalformed: an answer is no mapping with a ``value[x]`` and nothing beside it.
    """
    plan = plan_of(questionnaire)
    root: dict[str, _Branch] = {}
    for path, values in answers.items():
        place = plan.place(path)
        if place is None or not place[0].item.answerable or max(place[1]) >= _REPETITIONS:
            raise PathUnknown("the questionnaire has no question at this path", path=path)
        leaf, indices = place
        level = root
        branch = _Branch()
        for step, index in zip(leaf.chain, indices, strict=True):
            branch = level.setdefault(step.item.link_id, _Branch())
            if step is not leaf:
                level = branch.below.setdefault(index, {})
        for value in values:
            if not _is_fhir_value(value):
                raise AnswerMalformed("an answer is not a FHIR value", path=path)
            branch.answers.append(dict(value))
    response: dict[str, Any] = {"resourceType": "QuestionnaireResponse"}
    if questionnaire.url:
        version = f"|{questionnaire.version}" if questionnaire.version else ""
        response["questionnaire"] = f"{questionnaire.url}{version}"
    response["status"] = status
    items = _emit(plan.roots, root)
    if items:
        response["item"] = items
    return response


def _is_fhir_value(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(_is_value_key(key) for key in value)


def _is_value_key(key: object) -> bool:
    return isinstance(key, str) and (key.startswith(("value", "_value")) or key in ("id", "extension"))


def _emit(plans: Sequence[ItemPlan], level: Mapping[str, _Branch]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for plan in plans:
        branch = level.get(plan.item.link_id)
        if branch is None:
            if plan.item.type is not ItemType.GROUP or plan.item.repeats:
                continue
            branch = _Branch(below={0: {}})
        if plan.is_group:
            for index in range(max(branch.below, default=-1) + 1):
                below = _emit(plan.children, branch.below.get(index, {}))
                items.append({"linkId": plan.item.link_id, **({"item": below} if below else {})})
            continue
        answers = branch.answers
        while len(answers) <= max(branch.below, default=-1):
            answers.append({})
        for index, children in branch.below.items():
            below = _emit(plan.children, children)
            if below:
                answers[index]["item"] = below
        if answers:
            items.append({"linkId": plan.item.link_id, "answer": answers})
    return items
