"""The parts conditions are made of: whose a row is, through which episode it is held, and what has to be in force."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from kpro_graph.actors import Actor, RepresentationKind
from kpro_graph.execution import NOTHING, Condition

__all__ = [
    "ABOVE",
    "CONSENTED",
    "EVERYTHING",
    "ITSELF",
    "ITS_CITIZENS",
    "ITS_EPISODE",
    "OF_ABOVE",
    "OF_ITS_RESPONSE",
    "SUBMITTED",
    "Episode",
    "Held",
    "among",
    "any_of",
    "handed",
    "opened",
    "own",
]

EVERYTHING = Condition("true")
SUBMITTED = Condition("{t}.submitted_at IS NOT NULL")
# Of an episode: time alone ends a consent, so it is read with every statement.
CONSENTED = Condition("{t}.consented_until > now()")


def any_of(conditions: Sequence[Condition]) -> Condition:
    """Join alternatives; those that name the same value mean the same by it."""
    if not conditions:
        return NOTHING
    values: dict[str, object] = {}
    types: dict[str, str] = {}
    for condition in conditions:
        values.update(condition.values)
        types.update(condition.types)
    return Condition(" OR ".join(f"({condition.sql})" for condition in conditions), values, types)


def among(column: str, name: str, ids: Sequence[UUID]) -> Condition:
    """Return the rows whose column is among the ids; ``name`` is what the condition calls them."""
    return Condition(f"{{t}}.{column} = ANY({{{name}}})", {name: list(ids)}, {name: "uuid[]"})


Held: TypeAlias = Callable[[str, str, Sequence[UUID]], Condition]
"""Ties the row at hand to a column of an episode: given the column, a name for the ids, and the ids."""


@dataclass(frozen=True, slots=True)
class Episode:
    """The episode a row belongs to: ``tie`` finds it as ``judged``; with none, it is the row above."""

    tie: str | None

    def _where(
        self, condition: str, values: Mapping[str, object] | None = None, types: Mapping[str, str] | None = None
    ) -> Condition:
        if self.tie is None:
            return Condition(_JUDGED.sub(r"{above.\1}", condition), values or {}, types or {})
        return Condition(
            "EXISTS (SELECT FROM episode_of_care judged WHERE judged.municipality_id = {t}.municipality_id"
            f" AND {self.tie} AND {condition})",
            values or {},
            types or {},
        )

    def held(self, *, consented: bool = False) -> Held:
        """Return how a row is held: by a column of an episode that the municipality still has, among some ids."""
        in_force = _HELD + (_IN_FORCE if consented else "")
        return lambda column, name, ids: self._where(
            f"{in_force} AND judged.{column} = ANY({{{name}}})", {name: list(ids)}, {name: "uuid[]"}
        )

    def still_held(self, *, consented: bool = False) -> Condition:
        """Return the rows whose episode the municipality still has, whosever it is: what a system may have."""
        return self._where(_HELD + (_IN_FORCE if consented else ""))

    def own(self, actor: Actor) -> Condition:
        """Return what belongs to the citizen's episodes; a guardian does not see those hidden from guardians."""
        if actor.representation is not RepresentationKind.GUARDIAN:
            return own(actor)
        return own(actor) & self._where("NOT judged.hidden_from_guardians")


_JUDGED = re.compile(r"judged\.(\w+)")
_HELD = "judged.handed_over_to IS NULL"
_IN_FORCE = " AND judged.consented_until > now()"
ITSELF = Episode("judged.id = {t}.id")
ITS_EPISODE = Episode("judged.id = {t}.episode_id")
ITS_CITIZENS = Episode("judged.citizen_id = {t}.id")
OF_ITS_RESPONSE = Episode(
    "judged.id = (SELECT held.episode_id FROM response held"
    " WHERE held.municipality_id = {t}.municipality_id AND held.id = {t}.response_id)"
)
ABOVE = Episode(None)
"""The episode that a row is read from."""

OF_ABOVE = (
    "handed_over_to", "consented_until", "care_team_id", "organisation_unit_id", "citizen_id", "hidden_from_guardians",
)  # fmt: skip
"""The columns of an episode by which what is read from it is judged."""


def opened(actor: Actor, held: Held, citizen: str = "citizen_id") -> list[Condition]:
    """Return what an emergency access opens to the actor: the record of those citizens, until its time is over.

    The time is read with the rows: an actor who was made before it ran out is not believed.
    """
    if not actor.opened:
        return []
    in_time = Condition(
        "EXISTS (SELECT FROM emergency_access opening WHERE opening.municipality_id = {t}.municipality_id"
        f" AND opening.citizen_id = {{t}}.{citizen} AND opening.employee_id = {{opener}}"
        " AND opening.opened_at <= now() AND opening.expires_at > now())",
        {"opener": actor.id},
        {"opener": "uuid"},
    )
    return [held(citizen, "opened", actor.opened) & in_time]


def own(actor: Actor, column: str = "citizen_id") -> Condition:
    """Return the rows of the citizen who acts or is represented; at a reception computer there are none."""
    return NOTHING if actor.assignments is not None else among(column, "own", actor.citizens)


def handed(actor: Actor, column: str) -> Condition:
    """Return what a citizen at a reception computer may see: what hangs on the assignments handed to them."""
    return among(column, "handed", actor.assignments or ())
