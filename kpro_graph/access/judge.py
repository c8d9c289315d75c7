"""The judge of rows: for each table, the condition of the rows an actor may see; both executions use it.

What may not be seen looks absent. Row-level security stands behind this page as a second wall and keeps municipalities
apart even if a rule here is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kpro_graph.access import reception
from kpro_graph.access.conditions import (
    CONSENTED,
    EVERYTHING,
    ITS_EPISODE,
    OF_ITS_RESPONSE,
    SUBMITTED,
    Held,
    among,
    any_of,
    handed,
    opened,
    own,
    own_episodes,
    still_held,
    through,
)
from kpro_graph.access.matrix import EDITORS, MATRIX, READERS, Permission, Scope, holders
from kpro_graph.actors import Actor, ActorKind, RepresentationKind, Right, Role
from kpro_graph.execution import NOTHING, Condition, Source
from kpro_graph.storage import tables

__all__ = [
    "ACCESS_LOG",
    "ASSIGNMENT",
    "CARE_TEAM",
    "CITIZEN",
    "CONSENT",
    "DRAFT_ANSWER",
    "EMERGENCY_ACCESS",
    "EMPLOYEE",
    "EPISODE",
    "EVENT",
    "HAND_OVER",
    "INTERPRETATION",
    "MUNICIPALITY",
    "ORGANISATION_UNIT",
    "QUESTIONNAIRE",
    "RECEPTION_DEVICE",
    "RECEPTION_SESSION",
    "REPRESENTATION",
    "RESPONSE",
    "RULE_SET",
    "SCORE",
    "activity_shown",
    "colour_shown",
    "follows",
    "urgency_shown",
    "works_with",
]

# Whoever enrols must recognise a citizen found by CPR; episodes and answers stay within their scopes.
_MUNICIPALITY_WIDE = tuple(
    role for role in holders(Permission.KNOW_CITIZENS) if MATRIX[Permission.KNOW_CITIZENS][role] is Scope.MUNICIPALITY
)
_ENROLLERS = holders(Permission.OPEN_EPISODES)


# What hangs on a response tells through it whose it is and of which questionnaire.
_THROUGH_RESPONSE = {
    name: f"(SELECT told.{name} FROM response told"  # noqa: S608 - names of our own
    " WHERE told.municipality_id = {t}.municipality_id AND told.id = {t}.response_id)"
    for name in ("citizen_id", "questionnaire_url")
}


def _source(
    model: Any,
    visible: Callable[[Actor], Condition],
    subject: str | None = None,
    questionnaire: str | None = None,
    within: Mapping[str, Callable[[Actor], Condition]] | None = None,
    *,
    abroad: bool = False,
) -> Source:
    """Make a table's source; of one that is seen ``abroad``, rows of other municipalities may be the actor's to see."""
    table, columns = tables.shape(model)
    tenant = "municipality_id" if "municipality_id" in columns else "id"
    computed = {name: _THROUGH_RESPONSE[name] for name in (subject, questionnaire) if name and name not in columns}
    return Source(
        table,
        columns,
        visible,
        tenant=tenant,
        subject=subject,
        questionnaire=questionnaire,
        computed=computed,
        within=within or {},
        tenants=None if abroad else _at_home(tenant),
    )


def _at_home(tenant: str) -> Callable[[Actor], Condition]:
    """Return the judge of municipalities: those whose rows the actor may see at all."""

    def condition(actor: Actor) -> Condition:
        if len(actor.municipalities) == 1:
            return Condition(f"{{t}}.{tenant} = {{home}}", {"home": actor.municipalities[0]}, {"home": "integer"})
        homes = {"homes": list(actor.municipalities)}
        return Condition(f"{{t}}.{tenant} = ANY({{homes}})", homes, {"homes": "integer[]"})

    return condition


def _all(_actor: Actor) -> Condition:
    return EVERYTHING


def _for_staff(actor: Actor) -> Condition:
    staff = actor.kind in {ActorKind.EMPLOYEE, ActorKind.SECURITY_OFFICER}
    return EVERYTHING if staff and actor.has(*holders(Permission.SEE_ORGANISATION)) else NOTHING


def _organisation_unit(actor: Actor) -> Condition:
    """Judge units: whoever has not chosen yet where to act sees those to choose from."""
    if actor.roles or not actor.contexts:
        return _for_staff(actor)
    return among("id", "choices", [each.organisation_unit for each in actor.contexts])


def _citizen(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN:
            return own(actor, "id")
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return EVERYTHING
        case ActorKind.EMPLOYEE if actor.has(*_MUNICIPALITY_WIDE):
            return EVERYTHING
        case ActorKind.EMPLOYEE:
            allowed = opened(actor, among, "id")
            if teams := actor.teams(*READERS):
                allowed.append(through("judged.citizen_id = {t}.id")("care_team_id", "teams", teams))
            return any_of(allowed)
    return NOTHING


def _staffs_episodes(actor: Actor, held: Held) -> Condition:
    """Return what belongs to an employee's episodes; ``held`` ties the row at hand to the episode's columns."""
    allowed = opened(actor, held)
    if teams := actor.teams(*READERS, *_ENROLLERS):
        allowed.append(held("care_team_id", "teams", teams))
    if units := actor.units(*_ENROLLERS):
        allowed.append(held("organisation_unit_id", "units", units))
    return any_of(allowed)


def _episode(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN:
            return own_episodes(actor, "hidden.id = {t}.id")
        case ActorKind.EMPLOYEE:
            return _staffs_episodes(actor, among) & Condition("{t}.handed_over_to IS NULL")
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return Condition("{t}.handed_over_to IS NULL")
    return NOTHING


def _of_episode(actor: Actor) -> Condition:
    """Judge assignments and consents: whoever sees the episode."""
    match actor.kind:
        case ActorKind.CITIZEN:
            return own_episodes(actor, "hidden.id = {t}.episode_id")
        case ActorKind.EMPLOYEE:
            return _staffs_episodes(actor, through(ITS_EPISODE))
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return still_held(ITS_EPISODE)
    return NOTHING


def _assignment(actor: Actor) -> Condition:
    if actor.assignments is not None:
        return handed(actor, "id") & Condition("{t}.status IN ('requested', 'in-progress')")
    return _of_episode(actor)


def _response(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN if actor.assignments is not None:
            return handed(actor, "assignment_id") & Condition("{t}.submitted_at IS NULL AND {t}.amends_id IS NULL")
        case ActorKind.CITIZEN:
            return own_episodes(actor, "hidden.id = {t}.episode_id") & any_of(_rightfully(actor, "{t}"))
        case ActorKind.EMPLOYEE:
            held = through(ITS_EPISODE)
            allowed = opened(actor, held)
            if teams := actor.teams(*READERS):
                allowed.append(through(ITS_EPISODE, consented=True)("care_team_id", "teams", teams))
            return any_of([SUBMITTED & any_of(allowed), _typed_for_citizens(actor)])
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return SUBMITTED & still_held(ITS_EPISODE, consented=True)
    return NOTHING


def _typed_for_citizens(actor: Actor) -> Condition:
    """Return the drafts the actor is typing for citizens of their teams: nobody else of the staff sees them."""
    if not (teams := actor.teams(*holders(Permission.ASSIST))):
        return NOTHING
    theirs = through(ITS_EPISODE, consented=True)("care_team_id", "assisting", teams)
    return theirs & Condition(
        "{t}.submitted_at IS NULL AND {t}.typed_by = {typist}", {"typist": actor.id}, {"typist": "uuid"}
    )


def _rightfully(actor: Actor, response: str) -> list[Condition]:
    """Return which of a citizen's responses the actor's rights open.

    A draft is the citizen's own until it is submitted, and whoever answers for them sees it; but one that amends
    holds what was submitted, and is for those who may read that.
    """
    allowed = []
    if Right.READ in actor.rights:
        allowed.append(Condition(f"{response}.submitted_at IS NOT NULL"))
    if Right.ANSWER in actor.rights:
        amending = "" if Right.READ in actor.rights else f" AND {response}.amends_id IS NULL"
        allowed.append(Condition(f"{response}.submitted_at IS NULL{amending}"))
    return allowed


def _draft_answer(actor: Actor) -> Condition:
    """Judge the items of drafts: for the citizen who writes them and for whoever may answer for that citizen."""
    if actor.kind is ActorKind.EMPLOYEE:
        typed = _typed_for_citizens(actor)
        inside = typed.sql.replace("{t}", "held")
        return Condition(
            "EXISTS (SELECT FROM response held WHERE held.municipality_id = {t}.municipality_id"
            f" AND held.id = {{t}}.response_id AND ({inside}))",
            typed.values,
            typed.types,
        )
    if actor.kind is not ActorKind.CITIZEN or Right.ANSWER not in actor.rights:
        return NOTHING
    draft = (
        "EXISTS (SELECT FROM response held WHERE held.municipality_id = {t}.municipality_id"
        " AND held.id = {t}.response_id AND "
    )
    if actor.assignments is not None:
        return Condition(
            draft + "held.amends_id IS NULL AND held.assignment_id = ANY({handed}))",
            {"handed": list(actor.assignments)},
            {"handed": "uuid[]"},
        )
    hidden = (
        " AND NOT EXISTS (SELECT FROM episode_of_care hidden WHERE hidden.municipality_id = held.municipality_id"
        " AND hidden.id = held.episode_id AND hidden.hidden_from_guardians)"
        if actor.representation is RepresentationKind.GUARDIAN
        else ""
    )
    theirs = any_of(_rightfully(actor, "held")).sql
    return Condition(
        f"{draft}({theirs}) AND held.citizen_id = ANY({{own}}){hidden})",
        {"own": list(actor.citizens)},
        {"own": "uuid[]"},
    )


def _staffs_findings(actor: Actor) -> Condition:
    """Judge what was made of a response, for those who read it."""
    match actor.kind:
        case ActorKind.EMPLOYEE:
            allowed = opened(actor, through(OF_ITS_RESPONSE))
            if teams := actor.teams(*READERS):
                allowed.append(through(OF_ITS_RESPONSE, consented=True)("care_team_id", "teams", teams))
            return any_of(allowed)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR) and actor.may_have_answers:
            return still_held(OF_ITS_RESPONSE, consented=True)
    return NOTHING


def _findings_within(actor: Actor) -> Condition:
    """Judge what was made of a response that the actor sees: staff see it by the same right; citizens where shown."""
    match actor.kind:
        case ActorKind.CITIZEN:
            return _citizens_findings(actor)
        case ActorKind.EMPLOYEE:
            return EVERYTHING
        case ActorKind.SYSTEM if actor.may_have_answers:
            return EVERYTHING
    return NOTHING


def _score(actor: Actor) -> Condition:
    return _citizens_findings(actor) if actor.kind is ActorKind.CITIZEN else _staffs_findings(actor)


def _citizens_findings(actor: Actor) -> Condition:
    """Return what was made of the citizen's own answers, in episodes where staff decided to show it."""
    if Right.READ not in actor.rights:
        return NOTHING
    hidden = " AND NOT shown.hidden_from_guardians" if actor.representation is RepresentationKind.GUARDIAN else ""
    return own(actor) & Condition(
        "EXISTS (SELECT FROM response held JOIN episode_of_care shown"
        " ON shown.municipality_id = held.municipality_id AND shown.id = held.episode_id"
        " WHERE held.municipality_id = {t}.municipality_id AND held.id = {t}.response_id"
        f" AND shown.colours_shown{hidden})"
    )


def colour_shown(actor: Actor) -> Condition:
    """Return the condition under which a response's colour is shown to whoever may see the response."""
    match actor.kind:
        case ActorKind.CITIZEN:
            return Condition(
                "EXISTS (SELECT FROM episode_of_care shown WHERE shown.municipality_id = {t}.municipality_id"
                " AND shown.id = {t}.episode_id AND shown.colours_shown)"
            )
        case ActorKind.EMPLOYEE if actor.has(*READERS):
            return EVERYTHING
        case ActorKind.SYSTEM if actor.may_have_answers:
            return EVERYTHING
    return NOTHING


def urgency_shown(actor: Actor) -> Condition:
    """Return the condition under which an episode's urgency is shown: to those who read its answers."""
    match actor.kind:
        case ActorKind.EMPLOYEE:
            return any_of([*opened(actor, among), follows(actor)])
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR) and actor.may_have_answers:
            return CONSENTED
    return NOTHING


def activity_shown(actor: Actor) -> Condition:
    """Return the condition under which it is shown when an episode was last answered in: it tells of an answer."""
    match actor.kind:
        case ActorKind.CITIZEN if Right.READ in actor.rights:
            return EVERYTHING
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return CONSENTED
        case ActorKind.EMPLOYEE:
            return urgency_shown(actor)
    return NOTHING


def follows(actor: Actor) -> Condition:
    """Return the condition of the episodes whose answers the actor follows: the order of a worklist tells of them."""
    teams = actor.teams(*READERS) if actor.kind is ActorKind.EMPLOYEE else ()
    return among("care_team_id", "followed", teams) & CONSENTED if teams else NOTHING


def works_with(actor: Actor) -> Condition:
    """Return the condition of the care teams an employee works with where they act now."""
    if actor.kind is not ActorKind.EMPLOYEE:
        return NOTHING
    allowed = []
    if teams := actor.teams(*holders(Permission.SEE_CARE_TEAMS)):
        allowed.append(among("id", "teams", teams))
    if units := actor.units(*_ENROLLERS, Role.CARETEAM_ADMINISTRATOR):
        allowed.append(among("organisation_unit_id", "units", units))
    return any_of(allowed)


def _care_team(actor: Actor) -> Condition:
    """Judge care teams: those an employee works with, and those they could choose to act in."""
    choices = [each.care_team for each in actor.contexts if each.care_team is not None]
    return any_of([works_with(actor), *([among("id", "choices", choices)] if choices else [])])


def _questionnaire(actor: Actor) -> Condition:
    if actor.kind is ActorKind.EMPLOYEE and actor.has(*EDITORS):
        return EVERYTHING
    if actor.assignments is not None:
        return reception.asked(actor)
    if actor.kind is not ActorKind.CITIZEN and not actor.has(*holders(Permission.SEE_CATALOGUE)):
        return NOTHING
    return Condition("{t}.status <> 'draft'")


def _event(actor: Actor) -> Condition:
    match actor.kind:
        case ActorKind.CITIZEN if actor.on_behalf_of is None:
            return own(actor)
        case ActorKind.EMPLOYEE if teams := actor.teams(*READERS):
            return among("care_team_id", "teams", teams)
        case ActorKind.SYSTEM if actor.has(Role.INTEGRATOR):
            return EVERYTHING
    return NOTHING


def _representation(actor: Actor) -> Condition:
    """Judge who may act for whom: the citizen sees it, the representative what is theirs, and whoever records it."""
    match actor.kind:
        case ActorKind.CITIZEN if actor.assignments is None:
            mine = Condition(
                "{t}.representative_id = {person} AND {t}.ended_at IS NULL AND {t}.valid_from <= now()"
                " AND ({t}.valid_until IS NULL OR {t}.valid_until > now())",
                {"person": actor.id},
                {"person": "uuid"},
            )
            theirs = [own(actor)] if actor.on_behalf_of is None else []
            return any_of([mine, *theirs])
        case ActorKind.EMPLOYEE if actor.has(*holders(Permission.REGISTER_REPRESENTATION)):
            return EVERYTHING
    return NOTHING


def _emergency_access(actor: Actor) -> Condition:
    """Judge emergency accesses: the security officer sees all, each employee and each citizen their own.

    Whoever represents the citizen does not: the reason may tell of what is hidden from them.
    """
    match actor.kind:
        case ActorKind.CITIZEN if actor.on_behalf_of is None:
            return own(actor)
        case ActorKind.SECURITY_OFFICER if actor.has(*holders(Permission.REVIEW_EMERGENCIES)):
            return EVERYTHING
        case ActorKind.EMPLOYEE:
            return Condition("{t}.employee_id = {self}", {"self": actor.id}, {"self": "uuid"})
    return NOTHING


def _hand_over(actor: Actor) -> Condition:
    """Judge hand-overs: those of the actor's municipality, and offers to it of citizens who have a record here."""
    if actor.kind is not ActorKind.EMPLOYEE or not actor.has(*holders(Permission.HAND_OVER)):
        return NOTHING
    return Condition(
        "{t}.municipality_id = {here} OR ({t}.to_municipality_id = {here} AND EXISTS (SELECT FROM citizen moved"
        " WHERE moved.municipality_id = {here} AND moved.person_id = {t}.person_id))",
        {"here": actor.municipality},
        {"here": "integer"},
    )


def _access_log(actor: Actor) -> Condition:
    """Judge the lines of the access log: the citizen hides nothing, a guardian sees none that are protected."""
    match actor.kind:
        case ActorKind.CITIZEN if Right.READ in actor.rights:
            theirs = own(actor)
            guardian = actor.representation is RepresentationKind.GUARDIAN
            return theirs & Condition("NOT {t}.protected") if guardian else theirs
        case ActorKind.SECURITY_OFFICER if actor.has(*holders(Permission.SEARCH_ACCESS_LOG)):
            return EVERYTHING
    return NOTHING


MUNICIPALITY = _source(tables.Municipality, _all, abroad=True)
ORGANISATION_UNIT = _source(tables.OrganisationUnit, _organisation_unit)
EMPLOYEE = _source(tables.Employee, _for_staff)
CARE_TEAM = _source(tables.CareTeam, _care_team)
CITIZEN = _source(tables.Citizen, _citizen, subject="id")
REPRESENTATION = _source(tables.Representation, _representation, subject="citizen_id")
EPISODE = _source(tables.EpisodeOfCare, _episode, subject="citizen_id")
CONSENT = _source(tables.Consent, _of_episode, subject="citizen_id")
QUESTIONNAIRE = _source(tables.Questionnaire, _questionnaire, abroad=True)
RULE_SET = _source(tables.RuleSet, _for_staff, abroad=True)
ASSIGNMENT = _source(tables.Assignment, _assignment, subject="citizen_id")
RESPONSE = _source(tables.Response, _response, "citizen_id", "questionnaire_url")
DRAFT_ANSWER = _source(tables.DraftAnswer, _draft_answer, "citizen_id", "questionnaire_url")
_WITHIN = {"response": _findings_within}
SCORE = _source(tables.Score, _score, "citizen_id", "questionnaire_url", _WITHIN)
INTERPRETATION = _source(tables.Interpretation, _score, "citizen_id", "questionnaire_url", _WITHIN)
EMERGENCY_ACCESS = _source(tables.EmergencyAccess, _emergency_access, subject="citizen_id")
RECEPTION_DEVICE = _source(tables.ReceptionDevice, reception.device)
RECEPTION_SESSION = _source(tables.ReceptionSession, reception.session, subject="citizen_id")
HAND_OVER = _source(tables.HandOver, _hand_over, subject="citizen_id", abroad=True)
EVENT = _source(tables.Event, _event)
ACCESS_LOG = _source(tables.AccessLogLine, _access_log, "citizen_id")
