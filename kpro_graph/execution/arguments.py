"""Arguments: what narrows a relation: the face each has in GraphQL, and the condition it sets on the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strawberry.types.unset import UNSET

from kpro_graph.execution import ids
from kpro_graph.execution.sources import NOTHING, Condition

__all__ = ["Argument", "among_ids", "by_id"]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a relation: its GraphQL face and the condition it sets on the rows.

    ``condition`` holds ``{t}`` and ``{value}``; null or absent sets none. ``parse`` turns the GraphQL value into the
    parameter, and returns None where nothing can match.
    """

    name: str
    annotation: Any
    condition: str
    type: str
    description: str
    parse: Callable[[Any], object | None] = lambda value: value
    default: object = None
    required: bool = False

    def on_rows(self, value: object) -> Condition | None:
        """Return the condition for a given value, or None when the argument was left out."""
        if value is None or value is UNSET:
            return None
        parsed = self.parse(value)
        if parsed is None or (isinstance(parsed, str) and not _storable(parsed)):
            return NOTHING
        place = f"argument_{self.name}"
        return Condition(self.condition.replace("{value}", "{" + place + "}"), {place: parsed}, {place: self.type})


def _storable(text: str) -> bool:
    """Say whether PostgreSQL could hold a text: half a surrogate pair, which JSON can spell, and NUL it cannot."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def by_id(prefix: str, description: str) -> Argument:
    """Return the argument ``id: ID!`` of a look-up; an id of another type matches nothing."""
    import strawberry

    return Argument(
        "id",
        strawberry.ID,
        "{t}.id = {value}",
        "uuid",
        description,
        lambda text: ids.decode(prefix, text),
        required=True,
    )


def among_ids(prefix: str) -> Argument:
    """Return the argument ``ids: [ID!]!`` of a look-up of several; ids of other types match nothing."""
    import strawberry

    return Argument(
        "ids",
        list[strawberry.ID],
        "{t}.id = ANY({value})",
        "uuid[]",
        "",
        lambda texts: sorted({key for text in texts if (key := ids.decode(prefix, text)) is not None}) or None,
        required=True,
    )
