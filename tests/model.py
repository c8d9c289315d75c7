"""The independent model: who sees and may do what, in plain sets and rules, written from what the product promises.

Nothing of the product's own judge is used here. Things are known by their public ids, as the API says them; a row is
known by its municipality and its id, since a history that was handed over keeps its ids on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

ENROLLER, VIEWER, MONITOR = "citizen_enroller", "clinical_viewer", "monitoring_assistor"
OFFICER, INTEGRATOR, TEAM_ADMINISTRATOR = "security_officer", "integrator", "careteam_administrator"
READERS = frozenset({VIEWER, MONITOR})
OPEN = frozenset({"PLANNED", "ACTIVE", "ON_HOLD"})
URGENCY = ("NOT_INTERPRETED", "GREEN", "YELLOW", "RED")
SCORED, PLAIN = "https://kpro-graph.dk/Questionnaire/scored", "https://kpro-graph.dk/Questionnaire/plain"

Key = tuple[int, str]


@dataclass(frozen=True)
class Who:
    """Somebody who asks: ``name`` is a person's, an employee's or a system's; ``chosen`` is where or for whom."""

    kind: str
    m: int
    name: str
    chosen: str = ""


@dataclass(frozen=True)
class Granted:
    """A grant of a token: roles within units, teams and KLE numbers; None sets no such limit."""

    roles: frozenset[str]
    units: frozenset[str] | None = None
    teams: frozenset[str] | None = None
    kle: str | None = None


@dataclass
class Unit:
    m: int
    parent: str | None
    kle: str
    active: bool = True


@dataclass
class Team:
    m: int
    unit: str
    active: bool = True


@dataclass
class Employee:
    m: int
    id: str
    grants: tuple[Granted, ...]
    members: set[tuple[str, str]] = field(default_factory=set)
    active: bool = True


@dataclass
class Episode:
    citizen: str
    team: str
    unit: str
    status: str
    started: str
    # "none", "holds" or "ran out".
    consent: str = "none"
    ends: bool = False
    decisions: list[str] = field(default_factory=list)
    colours: bool = False
    hidden: bool = False
    gone: int | None = None
    urgency: int = 0
    answered: str | None = None


@dataclass
class Assignment:
    episode: str
    citizen: str
    url: str
    status: str = "REQUESTED"


@dataclass
class Response:
    assignment: str
    episode: str
    citizen: str
    url: str
    version: int = 1
    status: str = "DRAFT"
    amends: str | None = None
    superseded: bool = False
    colour: str = "NOT_INTERPRETED"
    submitted: str | None = None
    weight: int | None = None
    scores: tuple[str, ...] = ()
    interpretations: tuple[str, ...] = ()


@dataclass
class Represents:
    citizen: str
    person: str
    guardian: bool
    read: bool
    answer: bool
    ends: bool = False
    ran_out: bool = False
    ended: bool = False


@dataclass
class Opening:
    citizen: str
    employee: str
    over: bool = False
    verdict: str | None = None


@dataclass
class Offer:
    giver: int
    receiver: int
    person: str
    status: str = "OFFERED"
    moved: tuple[int | None, ...] = (None, None, None)


@dataclass(frozen=True)
class Happened:
    m: int
    team: str
    amended: bool
    response: str
    version: int


class Denied(Exception):
    """Somebody is nobody here, or may not do something, with the code that says so."""


@dataclass
class Standing:
    """What somebody is worth where they ask from."""

    kind: str
    m: int
    roles: frozenset[str] = frozenset()
    teams: dict[str, set[str]] = field(default_factory=dict)
    units: dict[str, set[str]] = field(default_factory=dict)
    contexts: dict[str, frozenset[str]] = field(default_factory=dict)
    person: str = ""
    own: str | None = None
    behalf: bool = False
    guardian: bool = False
    read: bool = True
    answer: bool = True
    answers: bool = True
    employee: str = ""

    def of(self, table: dict[str, set[str]], roles: frozenset[str]) -> set[str]:
        return {each for role in roles & self.roles for each in table.get(role, ())}

    @property
    def reads_in(self) -> set[str]:
        """The teams whose answers the employee reads."""
        return self.of(self.teams, READERS)

    @property
    def sees_colours(self) -> bool:
        """Whether colours can be asked for at all."""
        return {"citizen": self.read, "system": self.answers}.get(self.kind, bool(self.roles & READERS))


class Model:
    """Everything there is, who sees it, and what a request makes of it."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.teams: dict[str, Team] = {}
        self.employees: dict[str, Employee] = {}
        self.systems: dict[str, bool] = {}
        self.citizens: dict[tuple[int, str], str] = {}
        self.episodes: dict[Key, Episode] = {}
        self.assignments: dict[Key, Assignment] = {}
        self.responses: dict[Key, Response] = {}
        self.represents: dict[Key, Represents] = {}
        self.openings: dict[Key, Opening] = {}
        self.offers: dict[str, Offer] = {}
        self.events: list[Happened] = []
        self.rules_on = True

    # --- Who somebody is

    def standing(self, who: Who) -> Standing:
        """Return what somebody is worth, or raise `Denied` with the code of the refusal."""
        match who.kind:
            case "citizen":
                return self._citizen_standing(who)
            case "employee":
                return self._employee_standing(who)
            case "system":
                return Standing("system", who.m, frozenset({INTEGRATOR}), answers=self.systems[who.name])
        raise Denied("UNAUTHENTICATED")

    def _citizen_standing(self, who: Who) -> Standing:
        own = self.citizens.get((who.m, who.name))
        me = Standing("citizen", who.m, person=who.name, own=own)
        if who.chosen in {"", own}:
            return me
        held = [
            each
            for (m, _), each in self.represents.items()
            if m == who.m and each.person == who.name and each.citizen == who.chosen and in_force(each)
        ]
        if not held:
            raise Denied("CONTEXT_REQUIRED")
        return replace(
            me,
            own=who.chosen,
            behalf=True,
            guardian=any(each.guardian for each in held),
            read=any(each.read for each in held),
            answer=any(each.answer for each in held),
        )

    def _employee_standing(self, who: Who) -> Standing:
        employee = self.employees[who.name]
        if not employee.active:
            raise Denied("UNAUTHENTICATED")
        places = self.places(employee)
        no_task = any(grant.kle == "99.99.99" for grant in employee.grants)
        if not places and not no_task:
            raise Denied("UNAUTHENTICATED")
        contexts = {key: roles for key, (roles, _, _) in places.items()}
        me = Standing("employee", who.m, contexts=contexts, employee=employee.id)
        if not who.chosen and len(places) != 1:
            return me
        if who.chosen and who.chosen not in places:
            raise Denied("CONTEXT_REQUIRED")
        roles, teams, units = places[who.chosen or next(iter(places))]
        kind = "officer" if OFFICER in roles else "employee"
        return replace(me, kind=kind, roles=roles, teams=teams, units=units)

    def places(self, employee: Employee) -> dict[str, tuple[frozenset[str], dict[str, set[str]], dict[str, set[str]]]]:
        """Return where the employee can act: key, roles, the teams and the units that each role reaches there."""
        units = {key for key, unit in self.units.items() if unit.m == employee.m and unit.active}
        teams = {key for key, team in self.teams.items() if team.m == employee.m and team.active and team.unit in units}
        named: dict[str, set[str]] = {}
        large: dict[str, set[str]] = {}
        member: dict[str, set[str]] = {}
        officer: set[str] = set()
        for grant in employee.grants:
            fits = {key for key in units if grant.kle is None or performs(self.units[key].kle, grant.kle)}
            inside = fits if grant.units is None else fits & grant.units
            if grant.teams is not None:
                for team in teams & grant.teams:
                    if self.teams[team].unit in inside:
                        named.setdefault(team, set()).update(grant.roles)
                continue
            for role in grant.roles:
                if role == OFFICER:
                    officer |= inside
                    continue
                large.setdefault(role, set()).update(inside)
                of_role = {team for team, part in employee.members if part == role and team in teams}
                member.setdefault(role, set()).update(team for team in of_role if self.teams[team].unit in inside)
        everywhere = {unit for held in large.values() for unit in held}
        found: dict[str, tuple[frozenset[str], dict[str, set[str]], dict[str, set[str]]]] = {}
        for team, roles_named in named.items():
            unit = self.teams[team].unit
            roles = frozenset(roles_named | {role for role, held in large.items() if unit in held}) - {OFFICER}
            around = self._together(unit, everywhere)
            reach_teams, reach_units = {}, {}
            for role in roles:
                here = unit in large.get(role, set())
                reach_units[role] = large[role] & around if here else set()
                around_teams = {each for each in member.get(role, ()) if here and self.teams[each].unit in around}
                reach_teams[role] = {team} if role in roles_named else around_teams
            if roles:
                found[team] = roles, reach_teams, reach_units
        for top in {unit for unit in everywhere if self.units[unit].parent not in everywhere}:
            around = self._together(top, everywhere)
            roles = frozenset(role for role, held in large.items() if held & around)
            reach_units = {role: large[role] & around for role in roles}
            reach_teams = {role: {each for each in member[role] if self.teams[each].unit in around} for role in roles}
            covered = any(
                roles <= others
                and all(reach_teams[role] <= in_teams[role] and reach_units[role] <= in_units[role] for role in roles)
                for others, in_teams, in_units in found.values()
            )
            if not covered:
                found[top] = roles, reach_teams, reach_units
        for top in {unit for unit in officer if self.units[unit].parent not in officer}:
            found[top.replace("unit_", "officer_")] = frozenset({OFFICER}), {}, {}
        return found

    def _together(self, unit: str, among: set[str]) -> set[str]:
        """Return the units of a tree that is whole within ``among``, by any unit of it."""
        if unit not in among:
            return set()
        top = unit
        while (parent := self.units[top].parent) in among:
            assert parent is not None
            top = parent
        found = {top}
        while more := {each for each in among - found if self.units[each].parent in found}:
            found |= more
        return found

    # --- What is visible

    def opened(self, who: Standing) -> set[str]:
        """Return the citizens whose records an emergency opens to an employee."""
        if not who.roles & READERS:
            return set()
        return {
            each.citizen
            for (m, _), each in self.openings.items()
            if m == who.m and each.employee == who.employee and not each.over
        }

    def sees_citizen(self, who: Standing, citizen: str) -> bool:
        """Say whether a citizen of the municipality is seen."""
        match who.kind:
            case "citizen":
                return citizen == who.own
            case "system":
                return True
            case "employee":
                followed = any(
                    each.citizen == citizen and each.team in who.reads_in and each.gone is None
                    for (m, _), each in self.episodes.items()
                    if m == who.m
                )
                return ENROLLER in who.roles or followed or citizen in self.opened(who)
        return False

    def sees_episode(self, who: Standing, each: Episode) -> bool:
        """Say whether an episode, what was assigned in it and the consent to it are seen."""
        if who.kind == "citizen":
            return each.citizen == who.own and not (who.guardian and each.hidden)
        if each.gone is not None:
            return False
        if who.kind == "employee":
            staff = READERS | {ENROLLER}
            mine = each.team in who.of(who.teams, staff) or each.unit in who.of(who.units, frozenset({ENROLLER}))
            return mine or each.citizen in self.opened(who)
        return who.kind == "system"

    def reads(self, who: Standing, each: Episode) -> bool:
        """Say whether what was submitted in an episode is seen."""
        if who.kind == "citizen":
            return who.read and self.sees_episode(who, each)
        if each.gone is not None:
            return False
        if who.kind == "employee":
            return (each.team in who.reads_in and each.consent == "holds") or each.citizen in self.opened(who)
        return who.kind == "system" and each.consent == "holds"

    def sees_response(self, who: Standing, each: Response) -> bool:
        """Say whether a response is seen, as a draft or submitted."""
        episode = self.episodes[who.m, each.episode]
        if each.submitted is not None:
            return self.reads(who, episode)
        own = who.kind == "citizen" and who.answer and self.sees_episode(who, episode)
        return own and (who.read or each.amends is None)

    def sees_findings(self, who: Standing, each: Response) -> bool:
        """Say whether scores and interpretations of a response are seen."""
        episode = self.episodes[who.m, each.episode]
        if not self.reads(who, episode):
            return False
        return {"citizen": episode.colours, "system": who.answers}.get(who.kind, True)

    def sees_urgency(self, who: Standing, each: Episode) -> bool:
        """Say whether it is seen how urgent an episode is."""
        return self.reads(who, each) and (who.kind == "employee" or (who.kind == "system" and who.answers))

    def sees_represents(self, who: Standing, each: Represents) -> bool:
        """Say whether it is seen who represents a citizen."""
        if who.kind == "citizen":
            mine = each.person == who.person and in_force(each)
            return mine or (not who.behalf and each.citizen == who.own)
        return who.kind == "employee" and ENROLLER in who.roles

    def sees_opening(self, who: Standing, each: Opening) -> bool:
        """Say whether an emergency access is seen."""
        own = who.kind == "citizen" and not who.behalf and each.citizen == who.own
        return own or who.kind == "officer" or (who.kind == "employee" and each.employee == who.employee)

    def sees_offer(self, who: Standing, each: Offer) -> bool:
        """Say whether a hand-over is seen."""
        mine = each.giver == who.m or (each.receiver == who.m and (who.m, each.person) in self.citizens)
        return who.kind == "employee" and ENROLLER in who.roles and mine

    def works_with(self, who: Standing) -> set[str]:
        """Return the care teams of an employee where they act now, active or not."""
        if who.kind != "employee":
            return set()
        of_units = who.of(who.units, frozenset({ENROLLER, TEAM_ADMINISTRATOR}))
        return who.of(who.teams, who.roles) | {key for key, team in self.teams.items() if team.unit in of_units}

    def worklist(self, who: Standing, team: str) -> list[str]:
        """Return a team's worklist, the most urgent first."""
        listed = [
            (each.urgency, each.answered or each.started, key)
            for (m, key), each in self.episodes.items()
            if m == who.m and each.team == team and each.status == "ACTIVE" and each.consent == "holds"
            and each.gone is None and team in who.reads_in
        ]  # fmt: skip
        return [key for _, _, key in sorted(listed, reverse=True)]

    def nodes(self, who: Standing) -> dict[str, str | None]:
        """Return the ids of everything that is seen, each with the citizen it is about, if it is about one."""
        m = who.m
        found: dict[str, str | None] = {
            key: key for (at, _), key in self.citizens.items() if at == m and self.sees_citizen(who, key)
        }
        for (at, key), episode in self.episodes.items():
            if at == m and self.sees_episode(who, episode):
                found[key] = episode.citizen
        for (at, key), assignment in self.assignments.items():
            if at == m and self.sees_episode(who, self.episodes[m, assignment.episode]):
                found[key] = assignment.citizen
        for (at, key), response in self.responses.items():
            if at == m and self.sees_response(who, response):
                found[key] = response.citizen
            if at == m and response.submitted and self.sees_findings(who, response):
                found |= dict.fromkeys((*response.scores, *response.interpretations), response.citizen)
        found |= {k: e.citizen for (at, k), e in self.represents.items() if at == m and self.sees_represents(who, e)}
        found |= {k: e.citizen for (at, k), e in self.openings.items() if at == m and self.sees_opening(who, e)}
        found |= {k: self.citizens[m, e.person] for k, e in self.offers.items() if self.sees_offer(who, e)}
        return found | dict.fromkeys(self._organisation(who))

    def _organisation(self, who: Standing) -> Iterator[str]:
        if who.kind not in {"employee", "officer"}:
            return
        yield from self.works_with(who) | {key for key in who.contexts if key.startswith("team_")}
        if who.roles:
            yield from (key for key, unit in self.units.items() if unit.m == who.m)
            yield from (each.id for each in self.employees.values() if each.m == who.m)
        else:
            for key in who.contexts:
                yield self.teams[key].unit if key in self.teams else key.replace("officer_", "unit_")

    def updates(self, who: Standing) -> list[tuple[str, int, str | None]]:
        """Return all deliveries of responseUpdates from the beginning, or raise `Denied`."""
        need(who, READERS | {INTEGRATOR})
        heard = [
            each for each in self.events if each.m == who.m and (who.kind == "system" or each.team in who.reads_in)
        ]
        return [
            (
                "RESPONSE_AMENDED" if each.amended else "RESPONSE_SUBMITTED",
                each.version,
                each.response if self.sees_response(who, self.responses[who.m, each.response]) else None,
            )
            for each in heard
        ]

    def record(self, m: int, citizen: str) -> Iterator[tuple[str, Response]]:
        """Return a citizen's responses in a municipality."""
        return ((key, each) for (at, key), each in self.responses.items() if at == m and each.citizen == citizen)


def need(who: Standing, roles: frozenset[str], *, citizens: bool = False) -> None:
    """Raise `Denied` unless somebody is a citizen, where citizens may, or has one of the roles."""
    if who.kind == "citizen" and citizens:
        return
    if not who.roles & roles:
        raise Denied("CONTEXT_REQUIRED" if who.contexts and not who.roles else "FORBIDDEN")


def in_force(each: Represents) -> bool:
    """Say whether somebody may act for a citizen now."""
    return not (each.ended or each.ran_out)


def performs(number: str, pattern: str) -> bool:
    """Say whether a unit with a KLE number performs what a grant's pattern names."""
    return number.startswith(pattern.rstrip("*")) if pattern.endswith("*") else number == pattern
