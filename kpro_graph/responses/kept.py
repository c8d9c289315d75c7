"""How answers are kept: one canonical JSON list, readable without the questionnaire at hand.

``[{"path", "linkId", "question", "questionEn", "values": [{"kind", "display", "displayEn", <kind>: value}]}]``. Numbers
with decimals are text, so that they keep their digits; the order is the questionnaire's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from kpro_graph.questionnaires import Item, Questionnaire, Value, flatten

__all__ = ["answer_kinds", "as_fhir", "fingerprint", "kept"]

# FHIR's suffix of value[x], and the name of the value in our JSON and in GraphQL.
_KINDS = {
    "boolean": "boolean",
    "integer": "integer",
    "decimal": "decimal",
    "string": "string",
    "uri": "uri",
    "date": "date",
    "dateTime": "dateTime",
    "time": "time",
    "Coding": "coding",
    "Quantity": "quantity",
    "Attachment": "attachment",
    "Reference": "reference",
}
_SUFFIXES = {name: suffix for suffix, name in _KINDS.items()}


def answer_kinds() -> Mapping[str, str]:
    """Return FHIR's value suffixes with their names in kept answers."""
    return _KINDS


def kept(questionnaire: Questionnaire, response: Mapping[str, Any]) -> str:
    """Return the answers of a checked response as they are stored."""
    rows = []
    for flat in flatten(questionnaire, response):
        item = questionnaire.item(flat.link_id)
        values = [_value(item, value) for value in flat.values]
        if values:
            rows.append(
                {
                    "path": flat.path,
                    "linkId": flat.link_id,
                    "question": item.text,
                    "questionEn": item.read_text("en"),
                    "values": values,
                }
            )
    return msgspec.json.encode(rows).decode()


def as_fhir(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kept value as FHIR writes it, decimals as numbers again: ``{"valueDecimal": Decimal("36.5")}``."""
    kind, content = value["kind"], value[value["kind"]]
    if kind == "decimal":
        content = Decimal(content)
    elif kind == "quantity" and "value" in content:
        content = {**content, "value": Decimal(str(content["value"]))}
    suffix = _SUFFIXES[kind]
    return {f"value{suffix[:1].upper()}{suffix[1:]}": content}


def fingerprint(questionnaire: Questionnaire, answers: str) -> str:
    """Return the SHA-256 that ties answers to the exact version they were given to."""
    return hashlib.sha256(f"{questionnaire.content_hash}\n{answers}".encode()).hexdigest()


def _value(item: Item, value: Value) -> dict[str, Any]:
    name = _KINDS[value.kind]
    content = _digits(value.value)
    display, display_en = _shown(item, value)
    return {"kind": name, "display": display, "displayEn": display_en, name: content}


def _digits(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _digits(each) for name, each in value.items()}
    return value


def _shown(item: Item, value: Value) -> tuple[str, str]:
    for option in item.options:
        if option.value.key == value.key:
            text = option.text or value.display or str(value.code or value.value)
            return text, option.texts.get("en", text)
    match value.kind:
        case "boolean":
            return ("Ja", "Yes") if value.value else ("Nej", "No")
        case "Coding":
            text = value.display or value.code or ""
        case "Quantity":
            content: Mapping[str, Any] = value.value if isinstance(value.value, Mapping) else {}
            text = f"{content.get('value', '')} {content.get('unit') or content.get('code') or ''}".strip()
        case "Attachment" | "Reference":
            content = value.value if isinstance(value.value, Mapping) else {}
            text = str(content.get("title") or content.get("display") or "")
        case _:
            text = str(value.value)
    return text, text
