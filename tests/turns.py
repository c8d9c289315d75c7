"""What requests make of the model: for each the code of its outcome, whose lines it leaves, and what is changed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model import (
    ENROLLER,
    OFFICER,
    OPEN,
    READERS,
    SCORED,
    URGENCY,
    Assignment,
    Denied,
    Episode,
    Happened,
    Model,
    Offer,
    Opening,
    Represents,
    Response,
    Standing,
    Who,
    need,
)

__all__ = ["Outcome", "Request", "after", "take"]

Payload = dict[str, Any]
ENROLLERS = frozenset({ENROLLER})


@dataclass(frozen=True)
class Request:
    """One thing somebody does, or that happens; ``said`` is the sentence that tells it."""

    who: Who
    deed: str
    args: dict[str, Any]
    said: str


@dataclass(frozen=True)
class Outcome:
    """What came of a request: a code, the citizens its lines in the access log are about, and what it answered."""

    code: str
    noted: frozenset[tuple[int, str | None]] = frozenset()
    payload: Payload = field(default_factory=dict)


Effect = Callable[[Payload], None]
Expected = tuple[str, set[tuple[int, str | None]], Effect | None]


def take(model: Model, request: Request, outcome: Outcome) -> str:
    """Change the model as the request does and return "", or return why the outcome is not the right one."""
    if request.who.kind == "owner":
        code, noted, effect = _HAPPENS[request.deed](model, request.args)
    else:
        try:
            code, noted, effect = _DEEDS[request.deed](model, model.standing(request.who), request.args)
        except Denied as denied:
            code, noted, effect = str(denied), set(), None
    if outcome.code != code:
        return f"the outcome is {outcome.code}, not {code}"
    try:
        if effect is not None:
            effect(outcome.payload)
    except AssertionError as wrong:
        return f"the answer is not the right one: {wrong}"
    # The id of a new record is known from its answer only.
    made = outcome.payload.get("citizen", {}).get("id")
    expected = {(m, made if citizen == "*" else citizen) for m, citizen in noted}
    return "" if expected == outcome.noted else f"lines are about {sorted(outcome.noted)}, not {sorted(expected)}"


def after(model: Model, *steps: tuple[Request, Outcome]) -> Model | str:
    """Return the model after these steps one after another, or why one of them cannot have that outcome."""
    changed = deepcopy(model)
    for request, outcome in steps:
        if wrong := take(changed, request, outcome):
            return f"{request.said}: {wrong}"
    return changed


def _refuse(code: str = "REFERENCE_UNKNOWN") -> Expected:
    return code, set(), None


def _enrols_in(who: Standing, team: str, unit: str) -> bool:
    return team in who.of(who.teams, ENROLLERS) or unit in who.of(who.units, ENROLLERS)


def _here(model: Model, who: Standing) -> dict[str, str]:
    """Return the persons with a record in the municipality, by the record's id."""
    return {citizen: person for (m, person), citizen in model.citizens.items() if m == who.m}


# --- Citizens, episodes and consent


def _register(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    known = model.citizens.get((who.m, args["person"]))

    def effect(payload: Payload) -> None:
        assert payload["created"] == (known is None), "whether the record is new"
        assert known in {None, payload["citizen"]["id"]}, "the record that was there"
        model.citizens[who.m, args["person"]] = payload["citizen"]["id"]

    return "OK", {(who.m, known or "*")}, effect


def _open(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    team = model.teams.get(args["team"])
    if args["citizen"] not in _here(model, who) or team is None or team.m != who.m or not team.active:
        return _refuse()
    if not _enrols_in(who, args["team"], team.unit):
        return _refuse()
    unit = team.unit

    def effect(payload: Payload) -> None:
        made = payload["episodeOfCare"]
        episode = Episode(args["citizen"], args["team"], unit, "PLANNED", made["startedAt"])
        if args["consent"]:
            _consent(episode, ends=args["consent"] == "ends")
        model.episodes[who.m, made["id"]] = episode

    return "OK", {(who.m, args["citizen"])}, effect


def _consent(episode: Episode, *, ends: bool) -> None:
    episode.status, episode.consent, episode.ends = "ACTIVE", "holds", ends
    episode.decisions.append("GIVEN")


def _decidable(model: Model, who: Standing, key: str, roles: frozenset[str], *, citizens: bool) -> Episode | None:
    """Return an open episode about which somebody decides."""
    need(who, roles, citizens=citizens)
    episode = model.episodes.get((who.m, key))
    if episode is None or episode.status not in OPEN or episode.gone is not None:
        return None
    if who.kind == "citizen":
        return episode if not who.behalf and episode.citizen == who.own else None
    if roles == ENROLLERS:
        return episode if _enrols_in(who, episode.team, episode.unit) else None
    return episode if episode.team in who.of(who.teams, roles) else None


def _give(model: Model, who: Standing, args: Payload) -> Expected:
    episode = _decidable(model, who, args["episode"], ENROLLERS, citizens=True)
    if episode is None:
        return _refuse()
    return "OK", {(who.m, episode.citizen)}, lambda _: _consent(episode, ends=args["ends"])


def _withdraw(model: Model, who: Standing, args: Payload) -> Expected:
    episode = _decidable(model, who, args["episode"], ENROLLERS, citizens=True)
    if episode is None:
        return _refuse()
    if episode.consent == "none":
        return _refuse("CONSENT_MISSING")

    def effect(_: Payload) -> None:
        episode.consent = "none"
        episode.status = "ON_HOLD" if episode.status == "ACTIVE" else episode.status
        episode.decisions.append("WITHDRAWN")

    return "OK", {(who.m, episode.citizen)}, effect


def _policy(model: Model, who: Standing, args: Payload) -> Expected:
    episode = _decidable(model, who, args["episode"], READERS, citizens=False)
    if episode is None:
        return _refuse()

    def effect(_: Payload) -> None:
        episode.colours = episode.colours if args["colours"] is None else args["colours"]
        episode.hidden = episode.hidden if args["hidden"] is None else args["hidden"]

    return "OK", {(who.m, episode.citizen)}, effect


# --- Assignments and answers


def _assign(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    episode = model.episodes.get((who.m, args["episode"]))
    if episode is None or episode.gone is not None or not _enrols_in(who, episode.team, episode.unit):
        return _refuse()
    if episode.status != "ACTIVE":
        return _refuse("EPISODE_NOT_ACTIVE")
    if episode.consent != "holds":
        return _refuse("CONSENT_MISSING")

    def effect(payload: Payload) -> None:
        made = Assignment(args["episode"], episode.citizen, args["url"])
        model.assignments[who.m, payload["assignment"]["id"]] = made

    return "OK", {(who.m, episode.citizen)}, effect


def _answered_by(model: Model, who: Standing, key: str) -> Assignment | None:
    """Return the assignment if somebody may answer it."""
    each = model.assignments.get((who.m, key))
    if who.kind != "citizen" or each is None or each.citizen != who.own or not who.answer:
        return None
    return None if who.guardian and model.episodes[who.m, each.episode].hidden else each


def _draft(model: Model, who: Standing, key: str) -> tuple[str, Response] | None:
    drafts = ((k, r) for (m, k), r in model.responses.items() if m == who.m and r.assignment == key)
    return next(((k, r) for k, r in drafts if r.status == "DRAFT"), None)


def _save(model: Model, who: Standing, args: Payload) -> Expected:
    each = _answered_by(model, who, args["assignment"])
    if each is None:
        return _refuse()
    draft = _draft(model, who, args["assignment"])
    not_theirs = draft is not None and draft[1].amends is not None and not who.read
    if each.status == "REVOKED" or not_theirs or (draft is None and each.status == "COMPLETED"):
        return _refuse("ASSIGNMENT_CLOSED")

    def effect(payload: Payload) -> None:
        if draft is None:
            made = Response(args["assignment"], each.episode, each.citizen, each.url, weight=args["weight"])
            model.responses[who.m, payload["response"]["id"]] = made
            each.status = "IN_PROGRESS"
        else:
            assert payload["response"]["id"] == draft[0], "the draft that was there"
            draft[1].weight = args["weight"]

    return "OK", {(who.m, each.citizen)}, effect


def _submit(model: Model, who: Standing, args: Payload) -> Expected:
    each = _answered_by(model, who, args["assignment"])
    if each is None:
        return _refuse()
    draft = _draft(model, who, args["assignment"])
    if each.status == "REVOKED":
        return _refuse("ASSIGNMENT_CLOSED")
    if (draft is None and each.status == "COMPLETED") or (draft and draft[1].amends is not None and not who.read):
        return _refuse("ALREADY_SUBMITTED")
    episode = model.episodes[who.m, each.episode]
    if episode.consent != "holds" or episode.gone is not None:
        return _refuse("CONSENT_MISSING")
    if draft is None:
        return _refuse("ANSWERS_REJECTED")

    def effect(payload: Payload) -> None:
        key, response = draft
        scored = response.url == SCORED and model.rules_on
        assert response.weight is not None
        assert len(payload["scores"]) == (1 if scored else 0), "a score where there are rules, and no other"
        assert payload["interpretations"], "a word on every response"
        response.status = "AMENDED" if response.amends else "COMPLETED"
        response.submitted = payload["submittedAt"]
        response.colour = URGENCY[response.weight + 1] if scored else "NOT_INTERPRETED"
        response.scores, response.interpretations = payload["scores"], payload["interpretations"]
        if response.amends:
            model.responses[who.m, response.amends].superseded = True
        each.status = "COMPLETED"
        _raise_urgency(model, who.m, each.episode, payload["submittedAt"])
        happened = Happened(who.m, episode.team, response.amends is not None, key, response.version)
        model.events.append(happened)

    return "OK", {(who.m, each.citizen)}, effect


def _raise_urgency(model: Model, m: int, key: str, answered: str) -> None:
    last: dict[str, tuple[str, int]] = {}
    for (at, _), each in model.responses.items():
        if at == m and each.episode == key and each.submitted and not each.superseded:
            last[each.url] = max(last.get(each.url, ("", 0)), (each.submitted, URGENCY.index(each.colour)))
    episode = model.episodes[m, key]
    episode.urgency, episode.answered = max(urgency for _, urgency in last.values()), answered


def _amend(model: Model, who: Standing, args: Payload) -> Expected:
    given = model.responses.get((who.m, args["response"]))
    if given is None or who.kind != "citizen" or not who.read:
        return _refuse()
    if _answered_by(model, who, given.assignment) is None or given.status == "DRAFT" or given.superseded:
        return _refuse()
    gone = model.episodes[who.m, given.episode].gone is not None
    if gone or _draft(model, who, given.assignment) is not None:
        return _refuse("ASSIGNMENT_CLOSED")

    def effect(payload: Payload) -> None:
        made = Response(given.assignment, given.episode, given.citizen, given.url, given.version + 1)
        made.amends, made.weight = args["response"], given.weight
        model.responses[who.m, payload["response"]["id"]] = made

    return "OK", {(who.m, given.citizen)}, effect


# --- Representations and emergencies


def _represent(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    here = _here(model, who)
    if args["citizen"] not in here:
        return _refuse()
    if here[args["citizen"]] == args["person"]:
        return _refuse("REPRESENTATION_INVALID")

    def effect(payload: Payload) -> None:
        made = Represents(args["citizen"], args["person"], args["guardian"], args["read"], args["answer"], args["ends"])
        model.represents[who.m, payload["representation"]["id"]] = made

    return "OK", {(who.m, args["citizen"])}, effect


def _end(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    each = model.represents.get((who.m, args["representation"]))
    if each is None or each.ended:
        return _refuse()

    def effect(_: Payload) -> None:
        each.ended = True

    return "OK", {(who.m, each.citizen)}, effect


def _emergency(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, READERS)
    citizen = model.citizens.get((who.m, args["person"]))
    if citizen is None:
        # Trying a number leaves its trace.
        return "CITIZEN_UNKNOWN", {(who.m, None)}, None

    def effect(payload: Payload) -> None:
        model.openings[who.m, payload["emergencyAccess"]["id"]] = Opening(citizen, who.employee)

    return "OK", {(who.m, citizen)}, effect


def _review(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, frozenset({OFFICER}))
    each = model.openings.get((who.m, args["opening"]))
    if each is None:
        return _refuse()
    if each.employee == who.employee:
        return _refuse("OWN_EMERGENCY")
    if each.verdict is not None:
        return _refuse("ALREADY_REVIEWED")

    def effect(_: Payload) -> None:
        each.verdict = "JUSTIFIED"

    return "OK", {(who.m, each.citizen)}, effect


# --- Hand-overs


def _offer(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    here, citizen = _here(model, who), args["citizen"]
    if args["to"] == who.m or citizen not in here:
        return _refuse()
    if not any(m == who.m and e.citizen == citizen and e.gone is None for (m, _), e in model.episodes.items()):
        return _refuse("NOTHING_TO_HAND_OVER")
    made = {k: e for k, e in model.offers.items() if (e.giver, e.person) == (who.m, here[citizen])}
    waiting = {key: each for key, each in made.items() if each.status == "OFFERED"}
    if any(each.receiver != args["to"] for each in waiting.values()):
        return _refuse("ALREADY_OFFERED")

    def effect(payload: Payload) -> None:
        key = payload["handOver"]["id"]
        assert not waiting or key in waiting, "the same offer again"
        model.offers.setdefault(key, Offer(who.m, args["to"], here[citizen]))

    return "OK", {(who.m, citizen)}, effect


def _closing(side: str, status: str) -> Callable[[Model, Standing, Payload], Expected]:
    def close(model: Model, who: Standing, args: Payload) -> Expected:
        need(who, ENROLLERS)
        each = model.offers.get(args["offer"])
        if each is None or getattr(each, side) != who.m or not model.sees_offer(who, each):
            return _refuse()
        if each.status not in {"OFFERED", status}:
            return _refuse("HAND_OVER_CLOSED")

        def effect(_: Payload) -> None:
            each.status = status

        return "OK", {(who.m, model.citizens[who.m, each.person])}, effect

    return close


def _accept(model: Model, who: Standing, args: Payload) -> Expected:
    need(who, ENROLLERS)
    offer, team = model.offers.get(args["offer"]), model.teams.get(args["team"])
    if offer is None or offer.receiver != who.m or not model.sees_offer(who, offer):
        return _refuse()
    here = model.citizens[who.m, offer.person]
    noted: set[tuple[int, str | None]] = {(who.m, here)}
    if offer.status == "ACCEPTED":
        return "OK", noted, None
    if offer.status != "OFFERED":
        return "HAND_OVER_CLOSED", noted, None
    if team is None or team.m != who.m or not team.active or not _enrols_in(who, args["team"], team.unit):
        return "REFERENCE_UNKNOWN", noted, None
    there = model.citizens[offer.giver, offer.person]
    moving = [k for (m, k), e in model.episodes.items() if m == offer.giver and e.citizen == there and e.gone is None]
    if not moving:
        return "NOTHING_TO_HAND_OVER", noted, None
    place = _Place(who.m, here, args["team"], team.unit)
    return "OK", noted | {(offer.giver, there)}, lambda _: _move(model, offer, moving, place)


@dataclass(frozen=True)
class _Place:
    m: int
    citizen: str
    team: str
    unit: str


def _move(model: Model, offer: Offer, moving: list[str], to: _Place) -> None:
    """Copy a history to where it is held from now on, and close it where it was."""
    giver, revoked, moved = offer.giver, 0, 0
    for key, each in [(k, e) for (m, k), e in model.assignments.items() if m == giver and e.episode in moving]:
        if each.status in {"REQUESTED", "IN_PROGRESS"}:
            each.status, revoked = "REVOKED", revoked + 1
        model.assignments[to.m, key] = replace(each, citizen=to.citizen)
    # What was begun where the history returns to, and not finished, gives way to what comes.
    for key in [k for (m, k), e in model.responses.items() if m == to.m and e.episode in moving and not e.submitted]:
        del model.responses[to.m, key]
    for key, given in [(k, e) for (m, k), e in model.responses.items() if m == giver and e.episode in moving]:
        if given.submitted:
            model.responses[to.m, key] = replace(given, citizen=to.citizen)
            moved += 1
    for key in moving:
        left = model.episodes[giver, key]
        model.episodes[to.m, key] = replace(
            left, citizen=to.citizen, team=to.team, unit=to.unit, consent="none", ends=False, gone=None,
            status="ON_HOLD" if left.status in OPEN else left.status, decisions=list(left.decisions),
        )  # fmt: skip
        left.gone, left.consent = to.m, "none"
        left.status = "FINISHED" if left.status in OPEN else left.status
    offer.status, offer.moved = "ACCEPTED", (len(moving), moved, revoked)


# --- What happens without a request: time passes, and an organisation changes


def _time(model: Model, args: Payload) -> Expected:
    def effect(_: Payload) -> None:
        match args["of"]:
            case "consent":
                model.episodes[args["key"]].consent = "ran out"
            case "representation":
                model.represents[args["key"]].ran_out = True
            case "emergency":
                model.openings[args["key"]].over = True

    return "OK", set(), effect


def _activity(model: Model, args: Payload) -> Expected:
    def effect(_: Payload) -> None:
        tables: dict[str, dict[str, Any]] = {
            "care_team": model.teams, "organisation_unit": model.units, "employee": model.employees,
        }  # fmt: skip
        tables[args["table"]][args["key"]].active = args["active"]

    return "OK", set(), effect


def _membership(model: Model, args: Payload) -> Expected:
    def effect(_: Payload) -> None:
        members = model.employees[args["employee"]].members
        (members.add if args["joins"] else members.discard)((args["team"], args["role"]))

    return "OK", set(), effect


def _grants(model: Model, args: Payload) -> Expected:
    def effect(_: Payload) -> None:
        model.employees[args["employee"]].grants = args["grants"]

    return "OK", set(), effect


def _rules(model: Model, args: Payload) -> Expected:
    def effect(_: Payload) -> None:
        model.rules_on = args["on"]

    return "OK", set(), effect


_DEEDS: dict[str, Callable[[Model, Standing, Payload], Expected]] = {
    "register": _register, "open": _open, "give": _give, "withdraw": _withdraw, "policy": _policy, "assign": _assign,
    "save": _save, "submit": _submit, "amend": _amend, "represent": _represent, "end": _end, "emergency": _emergency,
    "review": _review, "offer": _offer, "take back": _closing("giver", "WITHDRAWN"),
    "decline": _closing("receiver", "DECLINED"), "accept": _accept,
}  # fmt: skip
_HAPPENS: dict[str, Callable[[Model, Payload], Expected]] = {
    "time": _time, "activity": _activity, "membership": _membership, "grants": _grants, "rules": _rules,
}  # fmt: skip
