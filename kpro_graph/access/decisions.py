"""The judge of deeds: whether an actor may do something, decided from the permission matrix alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kpro_graph.access.matrix import MATRIX, READERS, Permission, Scope
from kpro_graph.actors import Actor, ActorKind, Right
from kpro_graph.errors import ContextRequired, NotPermitted

__all__ = [
    "may_answer_for",
    "may_have_answers",
    "may_know_citizens",
    "may_see_colours",
    "may_see_cpr",
    "reaches",
    "require",
]


def require(actor: Actor, permission: Permission) -> None:
    """Refuse an actor who does not hold the permission, wherever it reaches.

    Raises:
        NotPermitted: said before any row is looked at, so it tells nothing about data.
        ContextRequired: the employee has not chosen where to act, and therefore holds no role yet.
    """
    if actor.kind is ActorKind.CITIZEN:
        held = ActorKind.CITIZEN in MATRIX[permission]
    else:
        held = any(role in MATRIX[permission] for role in actor.roles)
    if not held:
        if actor.contexts and not actor.roles:
            raise ContextRequired("choose where you act: me { contexts } lists the places")
        raise NotPermitted("this operation needs another role")


def reaches(
    actor: Actor, permission: Permission, *, citizen_id: UUID, care_team_id: UUID, organisation_unit_id: UUID
) -> bool:
    """Say whether the permission reaches what belongs to this citizen, care team and unit.

    A citizen decides for themselves only: neither by representing another nor at a reception computer.
    """
    if actor.kind is ActorKind.CITIZEN:
        themselves = actor.on_behalf_of is None and actor.assignments is None
        return themselves and ActorKind.CITIZEN in MATRIX[permission] and citizen_id in actor.citizens
    held = {role: MATRIX[permission][role] for role in actor.roles if role in MATRIX[permission]}
    if Scope.MUNICIPALITY in held.values():
        return True
    units = actor.units(*(role for role, scope in held.items() if scope is Scope.UNIT))
    return care_team_id in actor.teams(*held) or organisation_unit_id in units


def may_answer_for(actor: Actor, citizen_id: UUID, assignment_id: UUID) -> bool:
    """Say whether the actor answers this questionnaire as this citizen, or for them."""
    handed = actor.assignments is None or assignment_id in actor.assignments
    theirs = actor.kind is ActorKind.CITIZEN and citizen_id in actor.citizens
    return theirs and handed and Right.ANSWER in actor.rights


def may_have_answers(actor: Any) -> bool:
    """Say whether answers may leave the system for this actor; a system must have been given them."""
    return actor.kind is not ActorKind.SYSTEM or bool(actor.may_have_answers)


def may_see_colours(actor: Any) -> bool:
    """Say whether colours can ever be shown to this actor; which ones are, the row decides."""
    if actor.kind is ActorKind.CITIZEN:
        return Right.READ in actor.rights
    if actor.kind is ActorKind.EMPLOYEE:
        return bool(actor.has(*READERS))
    return actor.kind is ActorKind.SYSTEM and bool(actor.may_have_answers)


def may_know_citizens(actor: Any) -> bool:
    """Say whether names and birth dates are shown to this actor."""
    return may_have_answers(actor)


def may_see_cpr(actor: Any) -> bool:
    """Say whether CPR numbers are shown to this actor."""
    return actor.kind is ActorKind.EMPLOYEE and any(role in MATRIX[Permission.SEE_CPR] for role in actor.roles)
