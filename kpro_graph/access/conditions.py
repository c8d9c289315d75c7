"""The parts conditions are made of: whose a row is, through which episode it is held, and what has to be in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from kpro_graph.actors import Actor, RepresentationKind
from kpro_graph.execution import NOTHING, Condition

__all__ = [
    "CONSENTED",
    "EVERYTHING",
    "ITS_EPISODE",
    "OF_ITS_RESPONSE",
    "SUBMITTED",
    "Held",
    "among",
    "any_of",
    "handed",
    "opened",
    "own",
    "own_episodes",
    "still_held",
    "through",
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


def _episodes(episode: str, condition: str, name: str, ids: Sequence[UUID], *, consented: bool = False) -> Condition:
    """Return the rows whose episode the municipality still holds and whose column is among the ids."""
    in_force = " AND judged.consented_until > now()" if consented else ""
    return Condition(
        "EXISTS (SELECT FROM episode_of_care judged WHERE judged.municipality_id = {t}.municipality_id"
        f" AND {episode} AND judged.handed_over_to IS NULL{in_force} AND judged.{condition} = ANY({{{name}}}))",
        {name: list(ids)},
        {name: "uuid[]"},
    )


def still_held(episode: str, *, consented: bool = False) -> Condition:
    """Return the rows whose episode the municipality still holds, whosever it is: what a system may have."""
    in_force = " AND judged.consented_until > now()" if consented else ""
    return Condition(
        "EXISTS (SELECT FROM episode_of_care judged WHERE judged.municipality_id = {t}.municipality_id"
        f" AND {episode} AND judged.handed_over_to IS NULL{in_force})"
    )


ITS_EPISODE = "judged.id = {t}.episode_id"
OF_ITS_RESPONSE = (
    "judged.id = (SELECT held.episode_id FROM response held"
    " WHERE held.municipality_id = {t}.municipality_id AND held.id = {t}.response_id)"
)

Held: TypeAlias = Callable[[str, str, Sequence[UUID]], Condition]
"""Ties the row at hand to a column of an episode: given the column, a name for the ids, and the ids."""


def through(episode: str, *, consented: bool = False) -> Held:
    """Return how a row is held through its episode: by a column of it that is among some ids."""
    return lambda column, name, ids: _episodes(episode, column, name, ids, consented=consented)


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


def own_episodes(actor: Actor, episode: str) -> Condition:
    """Return what belongs to the citizen's episodes; a guardian does not see those hidden from guardians."""
    if actor.representation is not RepresentationKind.GUARDIAN:
        return own(actor)
    return own(actor) & Condition(
        "NOT EXISTS (SELECT FROM episode_of_care hidden WHERE hidden.municipality_id = {t}.municipality_id"
        f" AND {episode} AND hidden.hidden_from_guardians)"
    )


def handed(actor: Actor, column: str) -> Condition:
    """Return what a citizen at a reception computer may see: what hangs on the assignments handed to them."""
    return among(column, "handed", actor.assignments or ())
