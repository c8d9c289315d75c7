"""Looks: what everybody is asked after every step, and the whole answer the model expects to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from tests.model import SCORED, URGENCY, Assignment, Denied, Episode, Model, Response, Standing, Who

__all__ = ["NOBODYS", "NODES", "UPDATES", "about", "differences", "everything", "expected", "lists_for", "plain"]

NOBODYS = "cit_0190000000007000800000000000dead"
UPDATES = "subscription Follow($after: String!) { responseUpdates(after: $after) { type version response { id } } }"

_LISTS = """
query Look($citizen: ID!) {
  citizen(id: $citizen) {
    id NAME
    episodes(first: 100) { totalCount nodes {
      id status urgency lastResponseAt consentedUntil coloursShown hiddenFromGuardians consents { decision }
      assignments(first: 100) { totalCount nodes { id } } latestResponses { id } careTeam { id }
    } }
    assignments(first: 100) { totalCount nodes { id status draft { id draftAnswers { path } } response { id } } }
    responses(first: 100) { totalCount nodes {
      id status version superseded COLOUR ANSWERS scores { id } interpretations { id } draftAnswers { path }
      assignment { id } amends { id }
    } }
    latestResponses { id }
    trend(questionnaireUrl: "URL", score: "pain") { id }
    handOvers(first: 100) { totalCount nodes { id } }
    representations { id endedAt }
    emergencyAccesses { id verdict }
  }
  careTeams(first: 100) { totalCount nodes { id worklist(first: 100) { totalCount nodes {
    id urgency citizen { id }
  } } } }
  emergencyAccesses(first: 100) { totalCount nodes { id verdict citizen { id } } }
  handOvers(first: 100) { totalCount nodes {
    id status citizen { id } episodesMoved responsesMoved assignmentsRevoked
  } }
}
""".replace("URL", SCORED)

NODES = """
query Find($ids: [ID!]!, $more: [ID!]!) {
  me { kind roles contexts { key roles } representations { key kind rights } citizen { id } onBehalfOf { id } }
  nodes(ids: $ids) { id }
  more: nodes(ids: $more) { id }
}
"""


def lists_for(who: Standing | None) -> str:
    """Return the document of lists, with the fields that somebody may ask for."""
    names = who is None or who.kind != "system" or who.answers
    colours = who is None or who.sees_colours
    text = _LISTS.replace("NAME", "name" if names else "").replace("COLOUR", "colour" if colours else "")
    return text.replace("ANSWERS", "answers { path }" if names else "")


def everything(model: Model) -> list[str]:
    """Return the ids of all there is anywhere, and some of nothing."""
    found = [*model.citizens.values(), *(key for _, key in model.episodes), *(key for _, key in model.assignments)]
    found += [key for _, key in model.responses]
    for each in model.responses.values():
        found += [*each.scores, *each.interpretations]
    found += [key for _, key in model.represents] + [key for _, key in model.openings] + list(model.offers)
    found += [*model.teams, *model.units, *(each.id for each in model.employees.values()), NOBODYS]
    return sorted(set(found))


def expected(model: Model, who: Who, citizen: str) -> dict[str, Any]:
    """Return what somebody's look at the lists, and by all ids, answers; a refusal is its code."""
    try:
        standing = model.standing(who)
    except Denied as refusal:
        return {"refused": str(refusal)}
    lists = _Lists(model, standing)
    return {"lists": lists.answer(citizen), "me": _me(model, standing), "nodes": sorted(model.nodes(standing))}


def about(model: Model, who: Who, answer: dict[str, Any]) -> set[tuple[int, str, bool]]:
    """Return the citizens whom an answer tells of: municipality, id and whether an emergency had opened the record."""
    standing = model.standing(who)
    known = model.nodes(standing)
    opened = model.opened(standing)
    told = {known.get(text) or text for text in _texts(answer)}
    return {(who.m, each, each in opened) for each in told if each.startswith("cit_")}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def plain(answer: Any, *, ordered: bool = False) -> Any:
    """Return an answer so that it can be compared: lists but the worklist are sorted, times are only there or not."""
    if isinstance(answer, dict):
        return {
            key: bool(value) if key in {"lastResponseAt", "consentedUntil", "endedAt", "name"} else
            plain(value, ordered=ordered or key == "worklist")
            for key, value in answer.items()
        }  # fmt: skip
    if isinstance(answer, list):
        rows = [plain(each) for each in answer]
        return rows if ordered else sorted(rows, key=repr)
    return answer


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Tell where an answer (the first) is not what the model says (the second)."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key, "nothing"), other.get(key, "nothing"), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{place}[{number}]")
    elif one != other:
        if isinstance(one, list) and isinstance(other, list):
            one, other = [x for x in one if x not in other] or one, [x for x in other if x not in one] or other
        yield f"{place.lstrip('.')}: the API says {one!r}, the model {other!r}"


def _me(model: Model, who: Standing) -> dict[str, Any]:
    kind = {"officer": "SECURITY_OFFICER"}.get(who.kind, who.kind.upper())
    mine = [
        {
            "key": each.citizen,
            "kind": "GUARDIAN" if each.guardian else "POWER_OF_ATTORNEY",
            "rights": [name for name, right in (("ANSWER", each.answer), ("READ", each.read)) if right],
        }
        for (m, _), each in model.represents.items()
        if who.kind == "citizen" and m == who.m and each.person == who.person
        and model.sees_represents(who, each) and not (each.ended or each.ran_out)
    ]  # fmt: skip
    return cast("dict[str, Any]", plain({
        "kind": kind,
        "roles": [role.upper() for role in who.roles],
        "contexts": [{"key": key, "roles": [role.upper() for role in roles]} for key, roles in who.contexts.items()],
        "representations": mine,
        "citizen": {"id": who.own} if who.own else None,
        "onBehalfOf": {"id": who.own} if who.behalf else None,
    }))  # fmt: skip


def _listed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"totalCount": len(rows), "nodes": rows}


def _ids(keys: Any) -> list[dict[str, Any]]:
    return [{"id": key} for key in keys]


class _Lists:
    """The answer to the document of lists, made from the model."""

    def __init__(self, model: Model, who: Standing) -> None:
        self.model = model
        self.who = who
        self.here = {key: each for (m, key), each in model.episodes.items() if m == who.m}

    def answer(self, citizen: str) -> dict[str, Any]:
        """Return the whole answer."""
        model, who = self.model, self.who
        teams = [team for team in model.works_with(who) if model.teams[team].active]
        openings = {k: e for (m, k), e in model.openings.items() if m == who.m and model.sees_opening(who, e)}
        offers = {key: each for key, each in model.offers.items() if model.sees_offer(who, each)}
        known = citizen in {key for (m, _), key in model.citizens.items() if m == who.m}
        made: dict[str, Any] = {
            "citizen": self._citizen(citizen) if known and model.sees_citizen(who, citizen) else None,
            "careTeams": _listed([{"id": team, "worklist": self._worklist(team)} for team in teams]),
            "emergencyAccesses": _listed([
                {"id": key, "verdict": each.verdict, "citizen": self._known(each.citizen)}
                for key, each in openings.items()
            ]),
            "handOvers": _listed([
                {
                    "id": key, "status": each.status, "citizen": self._known(model.citizens[who.m, each.person]),
                    "episodesMoved": each.moved[0], "responsesMoved": each.moved[1],
                    "assignmentsRevoked": each.moved[2],
                }
                for key, each in offers.items()
            ]),
        }  # fmt: skip
        return cast("dict[str, Any]", plain(made))

    def _known(self, citizen: str) -> dict[str, str] | None:
        return {"id": citizen} if self.model.sees_citizen(self.who, citizen) else None

    def _worklist(self, team: str) -> dict[str, Any]:
        rows = [
            {"id": key, "urgency": URGENCY[self.here[key].urgency], "citizen": {"id": self.here[key].citizen}}
            for key in self.model.worklist(self.who, team)
        ]
        return _listed(rows)

    def _citizen(self, citizen: str) -> dict[str, Any]:
        model, who = self.model, self.who
        person = next(person for (m, person), key in model.citizens.items() if (m, key) == (who.m, citizen))
        episodes = {k: e for k, e in self.here.items() if e.citizen == citizen and model.sees_episode(who, e)}
        assigned = {k: e for (m, k), e in model.assignments.items() if m == who.m and e.episode in episodes}
        seen = {k: e for k, e in model.record(who.m, citizen) if model.sees_response(who, e)}
        submitted = {key: each for key, each in seen.items() if each.submitted}
        trend = [e for e in submitted.values() if not e.superseded and e.url == SCORED and model.sees_findings(who, e)]
        offers = (k for k, e in model.offers.items() if e.person == person and model.sees_offer(who, e))
        return {
            "id": citizen,
            **({"name": True} if who.kind != "system" or who.answers else {}),
            "episodes": _listed([self._episode(key, each, assigned, seen) for key, each in episodes.items()]),
            "assignments": _listed([self._assignment(key, each, seen) for key, each in assigned.items()]),
            "responses": _listed([self._response(key, each, seen) for key, each in submitted.items()]),
            "latestResponses": _latest(seen),
            "trend": _ids(score for each in trend for score in each.scores),
            "handOvers": _listed(_ids(offers)),
            "representations": [
                {"id": key, "endedAt": each.ended} for (m, key), each in model.represents.items()
                if m == who.m and each.citizen == citizen and model.sees_represents(who, each)
            ],
            "emergencyAccesses": [
                {"id": key, "verdict": each.verdict} for (m, key), each in model.openings.items()
                if m == who.m and each.citizen == citizen and model.sees_opening(who, each)
            ],
        }  # fmt: skip

    def _episode(
        self, key: str, each: Episode, assigned: dict[str, Assignment], seen: dict[str, Response]
    ) -> dict[str, Any]:
        model, who = self.model, self.who
        teams = model.works_with(who) | {choice for choice in who.contexts if choice in model.teams}
        return {
            "id": key,
            "status": each.status,
            "urgency": URGENCY[each.urgency] if model.sees_urgency(who, each) else None,
            "lastResponseAt": each.answered is not None and model.reads(who, each),
            "consentedUntil": each.consent != "none",
            "coloursShown": each.colours,
            "hiddenFromGuardians": each.hidden,
            "consents": [{"decision": decision} for decision in each.decisions],
            "assignments": _listed(_ids(k for k, e in assigned.items() if e.episode == key)),
            "latestResponses": _latest({k: e for k, e in seen.items() if e.episode == key}),
            "careTeam": {"id": each.team} if each.team in teams else None,
        }

    def _assignment(self, key: str, each: Assignment, seen: dict[str, Response]) -> dict[str, Any]:
        mine = {k: e for k, e in seen.items() if e.assignment == key}
        draft = next((k for k, e in mine.items() if e.status == "DRAFT"), None)
        response = next((k for k, e in mine.items() if e.submitted and not e.superseded), None)
        return {
            "id": key,
            "status": each.status,
            "draft": {"id": draft, "draftAnswers": [{"path": "pain"}]} if draft else None,
            "response": {"id": response} if response else None,
        }

    def _response(self, key: str, each: Response, seen: dict[str, Response]) -> dict[str, Any]:
        model, who = self.model, self.who
        findings = model.sees_findings(who, each)
        made: dict[str, Any] = {
            "id": key,
            "status": each.status,
            "version": each.version,
            "superseded": each.superseded,
            "scores": _ids(each.scores if findings else ()),
            "interpretations": _ids(each.interpretations if findings else ()),
            "draftAnswers": [],
            "assignment": {"id": each.assignment},
            "amends": {"id": each.amends} if each.amends in seen else None,
        }
        if who.sees_colours:
            made["colour"] = each.colour if findings else None
        if who.kind != "system" or who.answers:
            made["answers"] = [{"path": "pain"}]
        return made


def _latest(seen: dict[str, Response]) -> list[dict[str, str]]:
    last: dict[str, tuple[str, str]] = {}
    for key, each in seen.items():
        if each.submitted and not each.superseded:
            last[each.url] = max(last.get(each.url, ("", "")), (each.submitted, key))
    return [{"id": key} for _, key in last.values()]
