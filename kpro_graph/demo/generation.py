"""Generation: who the demo's citizens are, what they were asked over a year, and what they answered. Pure.

Everything follows from the seed, the municipality and the citizen's number, so that a citizen is the same however many
others there are; times, and the ids that carry one, are counted back from one moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import blake2b
from random import Random
from typing import NamedTuple
from uuid import UUID

from kpro_graph.actors import Role
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.citizens import sort_name
from kpro_graph.demo.answering import LEVELS, VARIANTS, Answering, Edition
from kpro_graph.demography import CITIZENS_AT_MOST, DemoCitizen, DemoEmployee, Demography, DemoTeam
from kpro_graph.episodes import UNLIMITED, EpisodeStatus, LegalBasis
from kpro_graph.errors import ConfigurationError
from kpro_graph.responses.findings import Findings, write_receipt
from kpro_graph.storage.tables import NATIONAL_LIBRARY

__all__ = [
    "AssignmentRow",
    "Batch",
    "CitizenRow",
    "EpisodeRow",
    "Population",
    "ResponseRow",
    "finding_id",
    "generate",
    "share",
]

_SIZE = 250

# Before an episode begins, the citizen has consented to nothing.
_NOT_YET = (EpisodeStatus.PLANNED, EpisodeStatus.WAITLIST, EpisodeStatus.CANCELLED)

# Roughly how many thousand people live there.
_INHABITANTS = {"0101": 660, "0851": 225, "0810": 37, "0265": 92}

# What a care team asks, by its topic; a municipality's own questionnaire comes first in the team that made it.
_ASKED: Mapping[str, tuple[str, ...]] = {
    "cancer": ("who-5", "eq-5d-5l", "phq-9"),
    "diabetes": ("who-5", "phq-9", "eq-5d-5l"),
    "heart": ("eq-5d-5l", "gad-7", "who-5"),
    "palliation": ("eq-5d-5l", "who-5", "gad-7"),
}
_OWN: Mapping[tuple[str, str], str] = {
    ("0101", "cancer"): "center-for-kraeft",
    ("0851", "heart"): "aalborg-hjerteopfoelgning",
}
_AT_ONCE = 3
_OPEN_FOR_THE_FIRST = "who-5"


class CitizenRow(NamedTuple):
    """A row of the table of that name; so are the other three."""

    id: UUID
    person_id: UUID
    given_name: str
    family_name: str
    display_name: str
    sort_name: str
    birth_date: date
    created_at: datetime


class EpisodeRow(NamedTuple):
    """An episode of care, with what its latest responses say."""

    id: UUID
    citizen_id: UUID
    care_team_id: UUID
    organisation_unit_id: UUID
    status: str
    legal_basis: str
    reason_code: str
    started_at: datetime
    ended_at: datetime | None
    urgency: int
    last_response_at: datetime | None
    opened_by: UUID
    consented_until: datetime | None


class AssignmentRow(NamedTuple):
    """An assignment, answered or open."""

    id: UUID
    episode_id: UUID
    citizen_id: UUID
    questionnaire_owner: int
    questionnaire_id: UUID
    status: str
    assigned_at: datetime
    assigned_by: UUID
    due_at: datetime | None
    completed_at: datetime | None


class ResponseRow(NamedTuple):
    """A submitted response. The columns it shares with everyone who answered the same lie in the last two fields."""

    id: UUID
    assignment_id: UUID
    episode_id: UUID
    citizen_id: UUID
    author_id: UUID
    receipt: str
    idempotency_key: str
    created_at: datetime
    submitted_at: datetime
    edition: Edition
    findings: Findings


@dataclass(slots=True)
class Batch:
    """Some citizens of one municipality with everything that belongs to them. ``people`` are their persons, by id."""

    municipality: str
    people: dict[UUID, DemoCitizen] = field(default_factory=dict)
    citizens: list[CitizenRow] = field(default_factory=list)
    episodes: list[EpisodeRow] = field(default_factory=list)
    assignments: list[AssignmentRow] = field(default_factory=list)
    responses: list[ResponseRow] = field(default_factory=list)


def share(citizens: int) -> dict[str, int]:
    """Return how many citizens each municipality has, by code: shared by size, at least one each.

    Raises:
        ConfigurationError: there are too few for every municipality, or more than there are numbers for.
    """
    least, most = len(_INHABITANTS), CITIZENS_AT_MOST
    if not least <= citizens <= most:
        raise ConfigurationError(f"the demo has from {least} to {most} citizens")
    total = sum(_INHABITANTS.values())
    shared = {code: max(1, citizens * people // total) for code, people in _INHABITANTS.items()}
    largest = max(shared, key=lambda code: shared[code])
    shared[largest] += citizens - sum(shared.values())
    return shared


def finding_id(response: UUID, position: int) -> UUID:
    """Return the id of a response's score or interpretation at that position."""
    return UUID(int=response.int + 1 + position)


class Population:
    """The demo's citizens and what has become of them until ``now``, which knows its time zone, for one seed.

    ``editions`` are what can be given to citizens; of several versions of a questionnaire the last one is.
    """

    def __init__(self, editions: Sequence[Edition], *, seed: int = 1, now: datetime) -> None:
        self.demography = Demography(seed)
        self.now = now
        self._answering = {(each.compiled.owner, each.name): Answering(each, seed) for each in editions}
        self._teams = {each.code: self.demography.care_teams(each.code) for each in self.demography.municipalities()}
        self._enrollers = {
            team.id: [
                each
                for each in self.demography.employees(code)
                if each.role is Role.CITIZEN_ENROLLER and team.id in each.teams
            ]
            for code, teams in self._teams.items()
            for team in teams
        }

    def batch(self, code: str, numbers: Iterable[int]) -> Batch:
        """Compute the citizens of these numbers, counted from 0, of the municipality with that code."""
        batch = Batch(code)
        for n in numbers:
            _Course(self, code, n).write(batch)
        return batch

    def team_of(self, code: str, n: int) -> DemoTeam:
        """Return the care team of a citizen: every other one is in the municipality's first team."""
        first, *others = self._teams[code]
        return first if n % 2 == 0 else others[n // 2 % len(others)]

    def enroller_of(self, team: DemoTeam, n: int) -> DemoEmployee:
        """Return who enrolled the citizen: one of those who enrol for the team."""
        enrollers = self._enrollers[team.id]
        return enrollers[n % len(enrollers)]

    def asked_by(self, team: DemoTeam) -> list[Answering]:
        """Return what the team asks at once, in order; what is not in the libraries is left out."""
        wanted = [(NATIONAL_LIBRARY, name) for name in _ASKED[team.topic]]
        if (team.code, team.topic) in _OWN:
            wanted.insert(0, (int(team.code), _OWN[team.code, team.topic]))
        return [self._answering[each] for each in wanted if each in self._answering][:_AT_ONCE]

    def asked_of_the_first(self) -> list[Answering]:
        """Return what citizen 0 of each municipality has yet to answer."""
        found = self._answering.get((NATIONAL_LIBRARY, _OPEN_FOR_THE_FIRST))
        return [] if found is None else [found]


class _Course:
    """One citizen's year."""

    def __init__(self, population: Population, code: str, n: int) -> None:
        demography = population.demography
        self.code, self.n = code, n
        self.name = f"{demography.seed}/{code}/{n}"
        self.now = population.now
        self.person = demography.citizen(code, n)
        self.team = population.team_of(code, n)
        self.enroller = population.enroller_of(self.team, n).id
        self.asked = population.asked_by(self.team)
        self.last = population.asked_of_the_first() if n == 0 else []
        self.chance = Random(self.name)  # noqa: S311 - repeatable on purpose
        self.status, self.started, self.ended = self._draw_course()
        self.episode_id = self._id("episode", 0, self.started)

    def write(self, batch: Batch) -> None:
        person, enrolled = self.person, self.started - timedelta(minutes=5)
        person_id = self._id("person", 0, enrolled)
        batch.people[person_id] = person
        batch.citizens.append(
            CitizenRow(
                person.id,
                person_id,
                person.given_name,
                person.family_name,
                person.name,
                sort_name(person.given_name, person.family_name),
                person.birth_date,
                enrolled,
            )
        )
        given = list(self._given(person_id))
        latest: dict[str, ResponseRow] = {}
        for assignment, response in given:
            batch.assignments.append(assignment)
            if response is not None:
                batch.responses.append(response)
                latest[response.edition.compiled.url] = response
        batch.episodes.append(self._episode(list(latest.values())))

    def _draw_course(self) -> tuple[EpisodeStatus, datetime, datetime | None]:
        length, fate, since = (self.chance.random() for _ in range(3))
        started = _in_working_hours(self.now - timedelta(days=100 + 265 * length), since)
        if self.n == 0 or fate < 0.92:
            return EpisodeStatus.ACTIVE, started, None
        if fate < 0.97:
            return EpisodeStatus.FINISHED, started, _in_working_hours(self.now - timedelta(days=2 + 40 * since), fate)
        return EpisodeStatus.ON_HOLD, started, None

    def _episode(self, latest: Sequence[ResponseRow]) -> EpisodeRow:
        chance = self.chance.random()
        if self.team.topic != "palliation" or chance < 0.5:
            basis = LegalBasis.HEALTH_ACT
        else:
            elderly = self.now.year - self.person.birth_date.year >= 67
            basis = LegalBasis.ELDERLY_ACT if elderly else LegalBasis.SERVICE_ACT
        return EpisodeRow(
            self.episode_id,
            self.person.id,
            self.team.id,
            self.team.unit,
            self.status.value,
            basis.value,
            self.team.reason_codes[int(chance * 1000) % len(self.team.reason_codes)],
            self.started,
            self.ended,
            max((each.findings.colour.urgency for each in latest), default=0),
            max((each.submitted_at for each in latest), default=None),
            self.enroller,
            None if self.status in _NOT_YET else UNLIMITED,
        )

    def _given(self, person_id: UUID) -> Iterator[tuple[AssignmentRow, ResponseRow | None]]:
        """Give every assignment, in the order of time, with its response where there is one."""
        if not self.asked:
            return
        answered = 8 + int(self.chance.random() * 6)
        rounds = math.ceil(answered / len(self.asked))
        tendency = _Tendency.draw(self.chance)
        first = self.started + timedelta(days=2)
        last = (self.ended or self.now) - timedelta(days=1 + 13 * self.chance.random())
        place = 0
        for round_ in range(rounds):
            progress = round_ / max(rounds - 1, 1)
            submitted = _in_waking_hours(first + (last - first) * progress, self.chance.random())
            assigned = max(submitted - timedelta(days=1 + 4 * self.chance.random()), self.started)
            for answering in self.asked:
                level, variant = tendency.level(progress, self.chance), int(self.chance.random() * VARIANTS)
                if place < answered or self.last:
                    submitted += timedelta(seconds=150 + int(self.chance.random() * 300))
                    yield self._answered(place, answering, assigned, submitted, person_id, level, variant)
                elif self.status is EpisodeStatus.ACTIVE:
                    yield self._assigned(place, answering.edition, assigned), None
                place += 1
        for answering in self.last:
            yield self._assigned(place, answering.edition, self.now - timedelta(hours=14)), None

    def _assigned(
        self, place: int, edition: Edition, assigned: datetime, completed: datetime | None = None
    ) -> AssignmentRow:
        return AssignmentRow(
            self._id("assignment", place, assigned),
            self.episode_id,
            self.person.id,
            edition.compiled.owner,
            edition.id,
            (AssignmentStatus.REQUESTED if completed is None else AssignmentStatus.COMPLETED).value,
            assigned,
            self.enroller,
            assigned + timedelta(days=14),
            completed,
        )

    def _answered(
        self,
        place: int,
        answering: Answering,
        assigned: datetime,
        submitted: datetime,
        person_id: UUID,
        level: int,
        variant: int,
    ) -> tuple[AssignmentRow, ResponseRow]:
        assignment = self._assigned(place, answering.edition, assigned, submitted)
        opened = submitted - timedelta(seconds=140)
        response_id = self._id("response", place, opened)
        return assignment, ResponseRow(
            response_id,
            assignment.id,
            self.episode_id,
            self.person.id,
            person_id,
            write_receipt(self._digest("receipt", place, 8)),
            f"demo-{response_id}",
            opened,
            submitted,
            answering.edition,
            answering.give(level, variant),
        )

    def _digest(self, kind: str, place: int, size: int) -> bytes:
        return blake2b(f"{self.name}/{kind}/{place}".encode(), digest_size=size).digest()

    def _id(self, kind: str, place: int, at: datetime) -> UUID:
        """Return an id of version 7, the moment first, whose chance part is computed."""
        number = (round(at.timestamp() * 1000) << 80) | int.from_bytes(self._digest(kind, place, 10))
        # The last byte stays free, so that what was found in a response can count on from its id.
        number = number & ~(0xF000 << 64) & ~(0xC000 << 48) & ~0xFF
        return UUID(int=number | (0x7000 << 64) | (0x8000 << 48))


@dataclass(frozen=True, slots=True)
class _Tendency:
    """How a citizen's burden, from 0 to 1, goes over the course: along a line, and around it in waves."""

    start: float
    slope: float
    swing: float
    waves: float

    @classmethod
    def draw(cls, chance: Random) -> _Tendency:
        kind, one, two = (chance.random() for _ in range(3))
        if kind < 0.40:
            return cls(0.25 + 0.50 * one, -0.20 - 0.30 * two, 0.03, 1.0)
        if kind < 0.56:
            return cls(0.08 + 0.30 * one, 0.30 + 0.35 * two, 0.03, 1.0)
        if kind < 0.80:
            return cls(0.15 + 0.25 * one, 0.0, 0.10 + 0.15 * two, 1.0 + 2.0 * two)
        return cls(0.02 + 0.35 * one, 0.0, 0.02, 1.0)

    def level(self, progress: float, chance: Random) -> int:
        burden = self.start + self.slope * progress + self.swing * math.sin(2 * math.pi * self.waves * progress)
        burden += (chance.random() - 0.5) * 0.08
        return round(min(max(burden, 0.0), 1.0) * (LEVELS - 1))


def _in_working_hours(day: datetime, chance: float) -> datetime:
    return day.replace(hour=7, minute=0, second=0, microsecond=0) + timedelta(minutes=int(480 * chance))


def _in_waking_hours(day: datetime, chance: float) -> datetime:
    return day.replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(minutes=int(840 * chance))


def generate(
    editions: Sequence[Edition], *, citizens: int = 200, seed: int = 1, now: datetime, size: int = _SIZE
) -> Iterator[Batch]:
    """Compute all the demo's citizens, municipality by municipality, in batches of at most ``size``.

    Raises:
        ConfigurationError: there are too few or too many citizens, or a questionnaire that cannot be answered.
    """
    population = Population(editions, seed=seed, now=now)
    for code, number in share(citizens).items():
        for start in range(0, number, size):
            yield population.batch(code, range(start, min(start + size, number)))
