"""The judge: what an actor may see, as conditions both executions use; what an actor may do, as decisions.

Deny by default: a kind or role that is not named sees no row and may change nothing. What may not be seen looks absent.
Row-level security stands behind this page as a second wall and keeps municipalities apart even if a rule here is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from kpro_graph.actors import Actor, ActorKind, Role
from kpro_graph.errors import NotPermitted
from kpro_graph.execution import NOTHING, Condition, Source
from kpro_graph.storage import tables

__all__ = [
    "ASSIGNMENT",
    "CARE_TEAM",
    "CITIZEN",
    "DRAFT_ANSWER",
    "EDITORS",
    "EMPLOYEE",
    "EPISODE",
    "EVENT",
    "INTERPRETATION",
    "MUNICIPALITY",
    "ORGANISATION_UNIT",
    "QUESTIONNAIRE",
    "READERS",
    "RESPONSE",
    "RULE_SET",
    "SCORE",
    "follows",
    "may_answer_for",
    "may_have_answers",
    "may_know_citizens",
    "may_see_colours",
    "require",
    "sees_colours_of",
]

# Who reads what citizens have answered; the enroller assigns and never reads.
READERS = (Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR)
# Who edits the catalogue and therefore sees drafts.
EDITORS = (Role.QUESTIONNAIRE_EDITOR, Role.CLINICAL_ADMINISTRATOR)


def _source(model: Any, visible: Callable[[Actor], Condition], subject: str | None = None) -> Source:
    table, columns = tables.shape(model)
    tenant = "municipality_id" if "municipality_id" in columns else "id"
    return Source(table, columns, visible, tenant=tenant, subject=subject)


def _any(conditions: Sequence[Condition]) -> Condition:
    if not conditions:
        return NOTHING
    values: dict[str, object] = {}
    types: dict[str, str] = {}
    for condition in conditions:
        values.update(condition.values)
        types.update(condition.types)
    return Condition(" OR ".join(f"({condition.sql})" for condition in conditions), values, types)


def _among(column: str, name: str, ids: Sequence[UUID]) -> Condition:
    return Condition(f"{{t}}.{column} = ANY({{{name}}})", {name: list(ids)}, {name: "uuid[]"})


def _in_episode(condition: str, name: str, ids: Sequence[UUID]) -> Condition:
    return Condition(
        "EXISTS (SELECT FROM episode_of_care judged WHERE judged.municipality_id = {t}.municipality_id"
        f" AND judged.id = {{t}}.episode_id AND judged.{condition} = ANY({{{name}}}))",
        {name: list(ids)},
        {name: "uuid[]"},
    )


def _everything(_actor: Actor) -> Condition:
    return Condition("true")


def _for_staff(actor: Actor) -> Condition:
    return Condition("true") if actor.kind is ActorKind.EMPLOYEE else NOTHING


def _citizen(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN:
            return _among("id", "own", actor.citizens)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return Condition("true")
        case ActorKind.EMPLOYEE if actor.has(Role.CITIZEN_ENROLLER):
            # Whoever enrols must recognise a citizen found by CPR; episodes and answers stay within their scopes.
            return Condition("true")
        case ActorKind.EMPLOYEE if teams := actor.teams(*READERS):
            return Condition(
                "EXISTS (SELECT FROM episode_of_care judged WHERE judged.municipality_id = {t}.municipality_id"
                " AND judged.citizen_id = {t}.id AND judged.care_team_id = ANY({teams}))",
                {"teams": list(teams)},
                {"teams": "uuid[]"},
            )
    return NOTHING


def _within_scope(actor: Actor, held: Callable[[str, str, Sequence[UUID]], Condition]) -> Condition:
    """Judge what belongs to an episode; ``held`` says how the row at hand is tied to the episode's columns."""
    match actor.kind:
        case ActorKind.CITIZEN:
            return _among("citizen_id", "own", actor.citizens)
        case ActorKind.EMPLOYEE:
            allowed = []
            if teams := actor.teams(*READERS):
                allowed.append(held("care_team_id", "teams", teams))
            if units := actor.units(Role.CITIZEN_ENROLLER):
                allowed.append(held("organisation_unit_id", "units", units))
            return _any(allowed)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return Condition("true")
    return NOTHING


def _episode(actor: Actor) -> Condition:
    return _within_scope(actor, _among)


def _assignment(actor: Actor) -> Condition:
    return _within_scope(actor, _in_episode)


def _response(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN:
            return _among("citizen_id", "own", actor.citizens)
        case ActorKind.EMPLOYEE if teams := actor.teams(*READERS):
            # A draft is the citizen's own until it is submitted.
            return Condition("{t}.submitted_at IS NOT NULL") & _in_episode("care_team_id", "teams", teams)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return Condition("{t}.submitted_at IS NOT NULL")
    return NOTHING


def _draft_answer(actor: Actor) -> Condition:
    """A draft is seen by the citizen who writes it and by nobody else."""
    if actor.kind is not ActorKind.CITIZEN:
        return NOTHING
    return Condition(
        "EXISTS (SELECT FROM response held WHERE held.municipality_id = {t}.municipality_id"
        " AND held.id = {t}.response_id AND held.citizen_id = ANY({own}))",
        {"own": list(actor.citizens)},
        {"own": "uuid[]"},
    )


def _of_response(actor: Actor) -> Condition:
    """Scores and interpretations: for those who read the response and may have what was made of it."""
    match actor.kind:
        case ActorKind.EMPLOYEE if teams := actor.teams(*READERS):
            return Condition(
                "EXISTS (SELECT FROM response held JOIN episode_of_care judged"
                " ON judged.municipality_id = held.municipality_id AND judged.id = held.episode_id"
                " WHERE held.municipality_id = {t}.municipality_id AND held.id = {t}.response_id"
                " AND judged.care_team_id = ANY({teams}))",
                {"teams": list(teams)},
                {"teams": "uuid[]"},
            )
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR) and actor.may_have_answers:
            return Condition("true")
    return NOTHING


def _care_team(actor: Actor) -> Condition:
    if actor.kind is not ActorKind.EMPLOYEE:
        return NOTHING
    allowed = []
    if teams := actor.teams(*Role):
        allowed.append(_among("id", "teams", teams))
    if units := actor.units(Role.CITIZEN_ENROLLER, Role.CARETEAM_ADMINISTRATOR):
        allowed.append(_among("organisation_unit_id", "units", units))
    return _any(allowed)


def _questionnaire(actor: Actor) -> Condition:
    if actor.kind is ActorKind.EMPLOYEE and actor.has(*EDITORS):
        return Condition("true")
    return Condition("{t}.status <> 'draft'")


def _event(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN:
            return _among("citizen_id", "own", actor.citizens)
        case ActorKind.EMPLOYEE if teams := actor.teams(*READERS):
            return _among("care_team_id", "teams", teams)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return Condition("true")
    return NOTHING


MUNICIPALITY = _source(tables.Municipality, _everything)
ORGANISATION_UNIT = _source(tables.OrganisationUnit, _for_staff)
EMPLOYEE = _source(tables.Employee, _for_staff)
CARE_TEAM = _source(tables.CareTeam, _care_team)
CITIZEN = _source(tables.Citizen, _citizen, subject="id")
EPISODE = _source(tables.EpisodeOfCare, _episode, subject="citizen_id")
QUESTIONNAIRE = _source(tables.Questionnaire, _questionnaire)
RULE_SET = _source(tables.RuleSet, _for_staff)
ASSIGNMENT = _source(tables.Assignment, _assignment, subject="citizen_id")
RESPONSE = _source(tables.Response, _response, subject="citizen_id")
DRAFT_ANSWER = _source(tables.DraftAnswer, _draft_answer)
SCORE = _source(tables.Score, _of_response, subject="citizen_id")
INTERPRETATION = _source(tables.Interpretation, _of_response, subject="citizen_id")
EVENT = _source(tables.Event, _event)


def require(actor: Actor, *roles: Role) -> None:
    """Refuse an actor who holds none of these roles.

    Raises:
        NotPermitted: said before any row is looked at, so it tells nothing about data.
    """
    if actor.kind is ActorKind.CITIZEN or not actor.has(*roles):
        raise NotPermitted("this operation needs another role")


def may_answer_for(actor: Actor, citizen_id: UUID) -> bool:
    """Say whether the actor answers questionnaires as this citizen."""
    return actor.kind is ActorKind.CITIZEN and citizen_id in actor.citizens


def follows(actor: Actor) -> Condition:
    """Return the condition of the episodes whose answers the actor reads: the order of a worklist tells of them."""
    teams = actor.teams(*READERS) if actor.kind is ActorKind.EMPLOYEE else ()
    return _among("care_team_id", "followed", teams) if teams else NOTHING


def may_have_answers(actor: Any) -> bool:
    """Say whether answers may leave the system for this actor; a system must have been given them."""
    return actor.kind is not ActorKind.SYSTEM or bool(actor.may_have_answers)


def may_see_colours(actor: Any) -> bool:
    """Say whether colours are shown to this actor: to those who read answers; to citizens only together with staff."""
    if actor.kind is ActorKind.EMPLOYEE:
        return bool(actor.has(*READERS))
    return actor.kind is ActorKind.SYSTEM and bool(actor.may_have_answers)


def sees_colours_of(actor: Any, care_team_id: UUID) -> bool:
    """Say whether the actor is shown the colours of an episode with this care team."""
    if actor.kind is ActorKind.EMPLOYEE:
        return care_team_id in actor.teams(*READERS)
    return may_see_colours(actor)


def may_know_citizens(actor: Any) -> bool:
    """Say whether names and birth dates are shown to this actor."""
    return may_have_answers(actor)
