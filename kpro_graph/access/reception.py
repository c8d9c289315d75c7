"""The judge at reception computers: who sees which, and what a session there sees besides its assignments."""

from __future__ import annotations

from kpro_graph.access.matrix import Permission, holders
from kpro_graph.actors import Actor, ActorKind
from kpro_graph.execution import NOTHING, Condition

__all__ = ["asked", "device", "session"]


def device(actor: Actor) -> Condition:
    """Judge reception computers: for whoever registers them or hands out codes in the unit, and security officers."""
    match actor.kind:
        case ActorKind.EMPLOYEE:
            units = set(actor.units(*holders(Permission.REGISTER_DEVICES)))
            if actor.has(*holders(Permission.HAND_OUT_CODES)) and actor.organisation_unit is not None:
                units.add(actor.organisation_unit)
            if units:
                return Condition(
                    "{t}.organisation_unit_id = ANY({units})", {"units": sorted(units)}, {"units": "uuid[]"}
                )
        case ActorKind.SECURITY_OFFICER if actor.has(*holders(Permission.SEARCH_ACCESS_LOG)):
            return Condition("true")
    return NOTHING


def session(actor: Actor) -> Condition:
    """Judge sessions at reception computers: each sees itself and nobody another."""
    if actor.reception is None:
        return NOTHING
    return Condition("{t}.id = {session}", {"session": actor.reception}, {"session": "uuid"})


def asked(actor: Actor) -> Condition:
    """Judge questionnaires for a session at a reception computer: the versions that were handed over."""
    return Condition(
        "EXISTS (SELECT FROM assignment asked WHERE asked.questionnaire_owner = {t}.municipality_id"
        " AND asked.questionnaire_id = {t}.id AND asked.id = ANY({handed}))",
        {"handed": list(actor.assignments or ())},
        {"handed": "uuid[]"},
    )
