"""A laid-out response written as FHIR again: only what was to be asked, with calculated values in their places.

For expressions the scores of chosen options are put on the answers, since ``weight()`` sees an answer without its
place; scores that came with the response are taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpro_graph.questionnaires.layout import Layout, Node, Scope
from kpro_graph.questionnaires.plan import ItemPlan
from kpro_graph.questionnaires.valuesets import WEIGHTS

__all__ = ["find_node", "render"]

_ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"


def render(layout: Layout, *, weighted: bool = False) -> dict[str, Any]:
    """Return the response as FHIR JSON; ``weighted`` adds the scores, for expressions, and marks each item's place."""
    response = {key: value for key, value in layout.response.items() if key != "item"}
    items = _render_scope(layout.root, weighted)
    if items:
        response["item"] = items
    return response


def find_node(node: Node) -> dict[str, Any]:
    """Return the item's place in the response rendered last, or an empty item where it has none."""
    found = node.rendered
    return found if found is not None else {"linkId": node.plan.item.link_id}


def _render_scope(scope: Scope, weighted: bool) -> list[dict[str, Any]]:
    items = []
    for nodes in scope.children.values():
        for node in nodes:
            item = _render_node(node, weighted) if node.enabled else None
            if weighted:
                node.rendered = item
            if item is not None:
                items.append(item)
    return items


def _render_node(node: Node, weighted: bool) -> dict[str, Any] | None:  # noqa: PLR0912 - one pass, for speed
    plan, source = node.plan, node.source
    if node.scope is not None:
        below = _render_scope(node.scope, weighted) if plan.children else []
        if source is None:
            return {"linkId": plan.item.link_id, "item": below} if below else None
        item = {key: value for key, value in source.items() if key not in ("item", "answer")}
        if below:
            item["item"] = below
        return item
    answers = []
    for answer in node.answers:
        below = _render_scope(answer, weighted) if plan.children else []
        if answer.source is None:
            continue
        if weighted and (plan.weights or "valueCoding" in answer.source):
            known = answer.weighted
            if known is None:
                known = _weigh(plan, answer.value.key if answer.value is not None else None, answer.source)
                answer.weighted = known
            written = dict(known) if below else known
        elif "item" in answer.source:
            written = {key: value for key, value in answer.source.items() if key != "item"}
        else:
            written = dict(answer.source)
        if below:
            written["item"] = below
        if written:
            answers.append(written)
    if source is None:
        return {"linkId": plan.item.link_id, "answer": answers} if answers else None
    item = dict(source)
    item.pop("item", None)
    item.pop("answer", None)
    if answers:
        item["answer"] = answers
    return item


def _weigh(plan: ItemPlan, key: tuple[object, ...] | None, source: Mapping[str, Any]) -> dict[str, Any]:
    weight = plan.weights.get(key) if key is not None else None
    written: dict[str, Any] = {}
    for name, part in source.items():
        if name == "item":
            continue
        if name == "valueCoding" and isinstance(part, dict):
            written[name] = _carry(part, weight)
        else:
            written[name] = part
            if weight is not None and name.startswith("value"):
                beside = source.get(f"_{name}")
                written[f"_{name}"] = _carry(beside if isinstance(beside, dict) else {}, weight)
    return written


def _carry(part: Mapping[str, Any], weight: object) -> dict[str, Any]:
    sent = part.get("extension")
    if weight is None and sent is None:
        return dict(part)
    kept = [
        each
        for each in (sent if isinstance(sent, list) else [])
        if not (isinstance(each, dict) and each.get("url") in WEIGHTS)
    ]
    if weight is not None:
        kept.append({"url": _ORDINAL, "valueDecimal": weight})
    return {**part, "extension": kept} if kept else {name: each for name, each in part.items() if name != "extension"}
