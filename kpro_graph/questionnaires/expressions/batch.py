"""Expressions in bulk: one JSON line in, one JSON line out, decimals with their digits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn

from .expression import PREDEFINED_VARIABLES, Expression, compile_expression
from .nodes import ExpressionFailed
from .syntax import ExpressionInvalid
from .weights import declared_weights, items_of, objects, with_weights

__all__ = ["run_batch"]

_VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
#: Extensions that name a variable whose value comes from outside.
_FROM_OUTSIDE = frozenset(
    f"{_SDC}sdc-questionnaire-{name}" for name in ("launchContext", "sourceQueries", "itemPopulationContext")
)
_DEEPEST = 200


def run_batch(lines: Iterable[str]) -> Iterator[str]:
    """Evaluate each line ``{id, expression, resource, questionnaire?, linkId?, instance?}``.

    Give ``{id, result}``, or ``{id, error}`` where the expression is invalid or fails, or the line is no such
    object. With a questionnaire its weights are put on the answers and its variables are declared: those at its
    root, on the ancestors of ``linkId``, and on that item. ``linkId`` (and ``instance``, counted from 0 in the
    order of the response) makes that item of the response %context and the focus; an item that is absent stands
    there empty. Variables that come from outside (launch context, queries) are empty. Empty lines are skipped.
    """
    for line in lines:
        if line.strip():
            yield _answered(line)


def _answered(line: str) -> str:
    identity: Any = None
    try:
        row = _read(line)
        identity = row.get("id") if isinstance(row.get("id"), str | int | Decimal) else None
        return _written({"id": identity, "result": _run(row)})
    except (ExpressionInvalid, ExpressionFailed, _LineRefused) as error:
        return _written({"id": identity, "error": str(error)})
    except RecursionError:
        return _written({"id": identity, "error": "the line is nested too deeply"})


class _LineRefused(Exception):
    """The line itself has the wrong form."""


def _read(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError):
        raise _LineRefused("the line is no JSON, or holds a number beyond all range") from None
    if not isinstance(row, dict):
        raise _LineRefused("the line is no JSON object")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError


def _run(row: Mapping[str, Any]) -> list[Any]:
    text, resource, questionnaire, link_id = (row.get(k) for k in ("expression", "resource", "questionnaire", "linkId"))
    if not isinstance(text, str):
        raise _LineRefused("the line has no expression")
    if not isinstance(resource, dict | None) or not isinstance(questionnaire, dict | None):
        raise _LineRefused("the resource and the questionnaire are JSON objects")
    expression = compile_expression(text)
    if questionnaire is not None and resource is not None and _may_read_weights(expression, questionnaire):
        resource = with_weights(resource, declared_weights(questionnaire), plain_values=True, keep_sent=True)
    if not isinstance(link_id, str):
        levels = [_Level(questionnaire, resource)]
    else:
        levels = _levels(questionnaire or {}, resource or {}, link_id, row.get("instance"))
    scope = _Scope(levels, resource, questionnaire)
    here = levels[-1]
    return expression.evaluate(
        here.found,
        resource=resource,
        context=here.found,
        questionnaire=questionnaire,
        qitem=here.declared if isinstance(link_id, str) and here.declared else None,
        variables=scope.needed_by(expression, len(levels)),
    )


def _may_read_weights(expression: Expression, questionnaire: Mapping[str, Any]) -> bool:
    """Weights are put on the answers only where they may be asked for, since they would show in answers given back."""
    return expression.reads_weights() or any(
        text is not None and ("weight" in text or "ordinal" in text)
        for owner in (questionnaire, *items_of(questionnaire))
        for extension in objects(owner.get("extension"))
        for _, text in _variables(extension)
    )


class _Level:
    """One step from the root to the item: what the questionnaire declares there and what the response holds."""

    def __init__(self, declared: Mapping[str, Any] | None, found: dict[str, Any] | None) -> None:
        self.declared = declared
        self.found = found


def _levels(questionnaire: Mapping[str, Any], resource: dict[str, Any], link_id: str, instance: Any) -> list[_Level]:
    found = _responses(resource, link_id)
    at = instance if isinstance(instance, int) else 0
    steps = found[at] if 0 <= at < len(found) else []
    by_link_id = {str(step.get("linkId")): step for step in steps}
    levels = [_Level(questionnaire, resource)]
    for declared in _declarations(questionnaire, link_id):
        name = str(declared.get("linkId"))
        levels.append(_Level(declared, by_link_id.get(name) or _first_in(levels[-1].found, name)))
    if len(levels) == 1:
        levels.append(_Level({}, steps[-1] if steps else {"linkId": link_id}))
    return levels


def _first_in(owner: dict[str, Any] | None, link_id: str) -> dict[str, Any]:
    found = _responses(owner or {}, link_id)
    return found[0][-1] if found else {"linkId": link_id}


def _declarations(questionnaire: Mapping[str, Any], link_id: str) -> list[dict[str, Any]]:
    """Give the items of the questionnaire from below the root down to the linkId; none where it is unknown."""
    return next(iter(_ways(questionnaire, link_id, answers=False)), [])


def _responses(resource: Mapping[str, Any], link_id: str) -> list[list[dict[str, Any]]]:
    """Give, for each instance of the item in the response, the items from below the root down to it."""
    return list(_ways(resource, link_id, answers=True))


def _ways(root: Mapping[str, Any], link_id: str, *, answers: bool) -> Iterator[list[dict[str, Any]]]:
    waiting: list[tuple[Mapping[str, Any], list[dict[str, Any]]]] = [(root, [])]
    while waiting:
        owner, way = waiting.pop()
        if way and owner is way[-1] and owner.get("linkId") == link_id:
            yield way
        if len(way) > _DEEPEST:
            raise _LineRefused(f"the items lie deeper than {_DEEPEST} levels")
        inside = [owner, *objects(owner.get("answer"))] if answers else [owner]
        below = [(item, [*way, item]) for part in inside for item in objects(part.get("item"))]
        waiting.extend(reversed(below))


class _Scope:
    """The variables in scope, each evaluated at most once and only where it is needed."""

    def __init__(self, levels: list[_Level], resource: Any, questionnaire: Any) -> None:
        self.levels = levels
        self.resource = resource
        self.questionnaire = questionnaire
        self.declared: list[tuple[str, int, str | None]] = []
        self.values: dict[int, list[Any]] = {}
        for depth, level in enumerate(levels, start=1):
            for extension in objects((level.declared or {}).get("extension")):
                self.declared.extend((name, depth, text) for name, text in _variables(extension))

    def needed_by(self, expression: Expression, depth: int, before: int | None = None) -> dict[str, list[Any]]:
        """Give the values of the variables an expression names; a later or deeper declaration hides the others."""
        end = len(self.declared) if before is None else before
        found: dict[str, list[Any]] = {}
        wanted = expression.variables() - PREDEFINED_VARIABLES
        for position in reversed(range(end)):
            name, level, _ = self.declared[position]
            if name in wanted and name not in found and level <= depth:
                found[name] = self._value(position)
        return found

    def _value(self, position: int) -> list[Any]:
        if position not in self.values:
            _, depth, text = self.declared[position]
            self.values[position] = [] if text is None else self._evaluated(text, depth, position)
        return self.values[position]

    def _evaluated(self, text: str, depth: int, position: int) -> list[Any]:
        expression = compile_expression(text)
        found = self.levels[depth - 1].found
        return expression.evaluate(
            found,
            resource=self.resource,
            context=found,
            questionnaire=self.questionnaire,
            variables=self.needed_by(expression, depth, before=position),
            typed=True,
        )


def _variables(extension: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Give the name of each variable an extension declares, and its expression where it is FHIRPath."""
    url = extension.get("url")
    value = extension.get("valueExpression")
    if url == _VARIABLE and isinstance(value, dict) and isinstance(value.get("name"), str):
        text = value.get("expression")
        yield value["name"], text if value.get("language") == "text/fhirpath" and isinstance(text, str) else None
    elif url in _FROM_OUTSIDE:
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            yield value["name"], None
        for part in objects(extension.get("extension")):
            coding = part.get("valueCoding")
            name = coding.get("code") if isinstance(coding, dict) else part.get("valueId")
            if part.get("url") == "name" and isinstance(name, str):
                yield name, None
        reference = extension.get("valueReference")
        if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
            yield reference["reference"].removeprefix("#"), None


def _written(value: Any) -> str:
    """Write JSON; a Decimal keeps its digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode_basestring_ascii(str(k))}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
