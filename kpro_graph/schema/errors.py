"""How errors are worded for callers: a code on every one, no values echoed, our own faults masked with a reference."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError

from kpro_graph import cpr
from kpro_graph.errors import BadInput, DeadlineExceeded, KproError, OperationTooLarge

__all__ = ["public"]

_logger = logging.getLogger("kpro_graph.faults")

# graphql-core prints what was sent in these sentences; the place stays, the value goes.
_VALUE: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"^Variable '(\$\w+)' (?:got|has) invalid value(?: at ([\w.\[\]]+))?: (?!Expected).*$", re.DOTALL),
        lambda match: f"Variable '{match[1]}'{_at(match[2])} has a value of the wrong type.",
    ),
    (
        re.compile(r"^Argument '(\w+)' (?:of type '[^']*' )?has invalid value.*$", re.DOTALL),
        lambda match: f"Argument '{match[1]}' has a value of the wrong type.",
    ),
    (
        re.compile(r"^Value .* does not exist in '(\w+)' enum.*$", re.DOTALL),
        lambda match: f"A value does not fit the type '{match[1]}'.",
    ),
    (
        re.compile(r"^(?:Expected value of type|Enum) '?([\w!\[\]]+)'?.*$", re.DOTALL),
        lambda match: f"A value does not fit the type '{match[1]}'.",
    ),
    (
        re.compile(r"^(\w+) cannot (?:represent|be).*$", re.DOTALL),
        lambda match: f"A value does not fit the type '{match[1]}'.",
    ),
    (
        # A syntax error quotes a token of the document, and a literal may be a CPR number.
        re.compile(r"^(Syntax Error: (?:Expected [^,]+, found|Unexpected) \w+).*$", re.DOTALL),
        lambda match: f"{match[1]}.",
    ),
)
_SAFE = re.compile(
    r"^(Cannot query field|Unknown argument|Unknown type|Unknown fragment|Unknown operation|Unknown directive|Field '|"
    r"Fields '|Fragment|Variable '\$\w+' (is|of|contains|expected|has invalid value[^:]*: Expected (a )?value of non)|"
    r"Cannot spread|There can be only one|Must provide|Subscription|This anonymous|Directive|Too many|Query root|"
    r"Schema is not|Operation|Argument '\w+' of required type|A mutation|Document|No operation)"
)


def _at(path: str | None) -> str:
    return f" at '{path}'" if path else ""


def public(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    """Return the errors as the caller may see them; what is a fault of ours is logged under its reference."""
    return [_public(error) for error in errors]


def _public(error: GraphQLError) -> GraphQLError:
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if isinstance(cause, KproError):
        extensions: dict[str, Any] = {"code": cause.code}
        if isinstance(cause, BadInput) and cause.path:
            extensions["argument"] = cause.path
        if isinstance(cause, OperationTooLarge):
            extensions |= {"limit": cause.limit, "number": cause.number, "most": cause.most, "field": cause.path}
        if isinstance(cause, DeadlineExceeded):
            # What was changed is not to be changed again; a mutation's idempotency key sees to that.
            extensions |= {"changed": cause.changed, "retryable": not cause.changed}
        return _error(error, cpr.redact(str(cause)), extensions)
    if cause is None:
        code = "GRAPHQL_PARSE_FAILED" if isinstance(error, GraphQLSyntaxError) else "GRAPHQL_VALIDATION_FAILED"
        if error.path is not None:
            code = "BAD_INPUT"
        return _error(error, _without_values(error.message), {"code": code})
    reference = secrets.token_hex(6)
    _logger.error(
        "fault %s at %s: %s", reference, "/".join(map(str, error.path or ())), type(cause).__name__, exc_info=cause
    )
    return _error(error, "Something went wrong on our side.", {"code": "INTERNAL", "reference": reference})


def _error(error: GraphQLError, message: str, extensions: dict[str, Any]) -> GraphQLError:
    return GraphQLError(
        message, nodes=error.nodes, source=error.source, positions=error.positions, path=error.path,
        extensions=extensions,
    )  # fmt: skip


def _without_values(message: str) -> str:
    for pattern, wording in _VALUE:
        if match := pattern.match(message):
            return cpr.redact(wording(match))
    if _SAFE.match(message):
        return cpr.redact(message)
    return "The request does not fit the schema."
