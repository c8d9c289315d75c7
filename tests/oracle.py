"""The oracle: who may see and do what, told from the permission matrix and from how an asker and a row are related.

It knows rows as dictionaries and nothing of the judge's conditions, so that the two can only agree by both being right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from kpro_graph.access import MATRIX, Permission, Scope
from kpro_graph.actors import ActorKind, Right, Role

__all__ = ["Asker", "Inventory", "Oracle", "Outcome", "RowOf"]

RowOf: TypeAlias = Mapping[str, Any]
P = Permission


class Outcome:
    """What can come of asking or doing."""

    DONE = "done"
    FAILED = "failed for a reason the asker may know"
    ABSENT = "looks absent"
    FORBIDDEN = "FORBIDDEN"
    CONTEXT = "CONTEXT_REQUIRED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    STEP_UP = "STEP_UP_REQUIRED"


@dataclass(frozen=True)
class Asker:
    """Somebody who asks, as those who wrote the test know them; nothing here was told by the product."""

    name: str
    kind: ActorKind | None
    municipality: int = 101
    role: Role | None = None
    teams: frozenset[UUID] = frozenset()
    units: frozenset[UUID] = frozenset()
    acts_in: UUID | None = None
    employee: UUID | None = None
    citizen: UUID | None = None
    person: UUID | None = None
    represents: bool = False
    guardian: bool = False
    rights: frozenset[Right] = frozenset(Right)
    handed: frozenset[UUID] | None = None
    session: UUID | None = None
    answers: bool = False
    opened: frozenset[UUID] = frozenset()
    choices: frozenset[UUID] = frozenset()

    def scope(self, permission: Permission) -> Scope | None:
        """Return how far the asker holds a permission; None: they do not."""
        holder: Any = ActorKind.CITIZEN if self.kind is ActorKind.CITIZEN else self.role
        return MATRIX[permission].get(holder)


@dataclass
class Inventory:
    """All rows of a world, by table, read from above every wall."""

    rows: dict[str, list[RowOf]]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _places: dict[tuple[str, Any], dict[int, RowOf]] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {}
        for table, rows in self.rows.items():
            for row in rows:
                # What was handed over has the same id on both sides.
                self._places.setdefault((table, row["id"]), {})[row.get("municipality_id", 0)] = row

    def get(self, table: str, key: Any, municipality: int = 101) -> RowOf | None:
        """Return a row by its id: that of the municipality, if it has one, or else another's."""
        places = self._places.get((table, key), {})
        return places.get(municipality) or next(iter(places.values()), None)

    def need(self, table: str, key: Any, municipality: int = 101) -> RowOf:
        """Return a row that is there."""
        found = self.get(table, key, municipality)
        assert found is not None, (table, key)
        return found


class Oracle:
    """Answers for one inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._seers: dict[str, Callable[[Asker, RowOf], bool]] = {
            "municipality": lambda asker, row: row["id"] == asker.municipality,
            "organisation_unit": self._organisation,
            "employee": lambda asker, _: asker.scope(P.SEE_ORGANISATION) is not None,
            "care_team": self._team,
            "citizen": self._citizen,
            "representation": self._representation,
            "episode_of_care": lambda asker, row: self._episode(asker, P.SEE_EPISODES, row),
            "consent": lambda asker, row: self._episode(asker, P.SEE_EPISODES, self._of(row)),
            "assignment": self._assignment,
            "response": self._response,
            "draft_answer": self._draft_answer,
            "score": self._finding,
            "interpretation": self._finding,
            "emergency_access": self._emergency,
            "hand_over": self._hand_over,
            "reception_device": self._device,
            "reception_session": lambda asker, row: asker.session == row["id"],
            "questionnaire": self._questionnaire,
            "access_log": self._line,
            "event": self._event,
        }

    def sees(self, asker: Asker, table: str, row: RowOf) -> bool:
        """Say whether the asker sees the row; a table nobody has thought about is a failure of the test."""
        if asker.kind is None:
            return False
        seer = self._seers[table]
        home = row.get("municipality_id", asker.municipality)
        shared = (table == "questionnaire" and home == 0) or table == "hand_over"
        return (home == asker.municipality or shared) and seer(asker, row)

    def visible(self, asker: Asker, table: str) -> list[RowOf]:
        """Return the rows of a table the asker sees."""
        return [row for row in self.inventory.rows[table] if self.sees(asker, table, row)]

    # --- Relations between an asker and a citizen's rows

    def consented(self, episode: RowOf) -> bool:
        """Say whether consent to an episode is in force."""
        return episode["consented_until"] is not None and episode["consented_until"] > self.inventory.now

    def _of(self, row: RowOf) -> RowOf:
        if "response_id" in row:
            row = self.inventory.need("response", row["response_id"], row["municipality_id"])
        return self.inventory.need("episode_of_care", row["episode_id"], row["municipality_id"])

    def reaches(self, asker: Asker, scope: Scope | None, episode: RowOf) -> bool:
        """Say whether a scope reaches an episode of the asker's municipality."""
        if scope is None or episode["municipality_id"] != asker.municipality:
            return False
        if scope in {Scope.OWN, Scope.SHOWN}:
            theirs = asker.handed is None and episode["citizen_id"] == asker.citizen
            shown = scope is Scope.OWN or episode["colours_shown"]
            return theirs and shown and not (asker.guardian and episode["hidden_from_guardians"])
        if episode["handed_over_to"] is not None:
            return False
        in_team = episode["care_team_id"] in asker.teams
        match scope:
            case Scope.TEAM:
                return in_team and self.consented(episode)
            case Scope.EPISODE:
                return in_team
            case Scope.UNIT:
                return in_team or episode["organisation_unit_id"] in asker.units
            case Scope.MUNICIPALITY:
                return True
            case Scope.GRANTED:
                return asker.answers
            case Scope.CONSENTED:
                return asker.answers and self.consented(episode)
            case Scope.HERE:
                return bool(episode["organisation_unit_id"] == asker.acts_in)
        raise AssertionError(f"no word on how far {scope} reaches")

    def _opened(self, asker: Asker, episode: RowOf) -> bool:
        return episode["citizen_id"] in asker.opened and episode["handed_over_to"] is None

    def _episode(self, asker: Asker, permission: Permission, episode: RowOf) -> bool:
        return self.reaches(asker, asker.scope(permission), episode) or self._opened(asker, episode)

    def reads(self, asker: Asker, episode: RowOf) -> bool:
        """Say whether the asker reads what was answered in an episode."""
        may = Right.READ in asker.rights
        return may and (self.reaches(asker, asker.scope(P.READ_ANSWERS), episode) or self._opened(asker, episode))

    def sees_colour(self, asker: Asker, episode: RowOf) -> bool:
        """Say whether the asker is shown the colours of an episode's answers."""
        may = Right.READ in asker.rights
        return may and (self.reaches(asker, asker.scope(P.SEE_COLOURS), episode) or self._opened(asker, episode))

    # --- Each table

    def _organisation(self, asker: Asker, row: RowOf) -> bool:
        return asker.scope(P.SEE_ORGANISATION) is not None or row["id"] in asker.choices

    def _team(self, asker: Asker, row: RowOf) -> bool:
        held = asker.scope(P.SEE_CARE_TEAMS) is Scope.UNIT
        return row["id"] in asker.choices or (
            held and (row["id"] in asker.teams or row["organisation_unit_id"] in asker.units)
        )

    def _citizen(self, asker: Asker, row: RowOf) -> bool:
        match asker.scope(P.KNOW_CITIZENS):
            case Scope.OWN:
                return asker.handed is None and row["id"] == asker.citizen
            case Scope.MUNICIPALITY | Scope.GRANTED:
                return True  # by reference at least: names are another matter
            case Scope.EPISODE:
                followed = (
                    each["citizen_id"] == row["id"] and self._episode(asker, P.KNOW_CITIZENS, each)
                    for each in self.inventory.rows["episode_of_care"]
                )
                return row["id"] in asker.opened or any(followed)
        return False

    def _representation(self, asker: Asker, row: RowOf) -> bool:
        if asker.kind is not ActorKind.CITIZEN:
            return asker.scope(P.REGISTER_REPRESENTATION) is Scope.MUNICIPALITY
        mine = row["representative_id"] == asker.person and row["ended_at"] is None
        theirs = row["citizen_id"] == asker.citizen and not asker.represents
        return asker.handed is None and (mine or theirs)

    def _assignment(self, asker: Asker, row: RowOf) -> bool:
        if asker.handed is not None:
            return row["id"] in asker.handed and row["status"] in {"requested", "in-progress"}
        return self._episode(asker, P.SEE_EPISODES, self._of(row))

    def _response(self, asker: Asker, row: RowOf) -> bool:
        episode = self._of(row)
        if row["submitted_at"] is not None:
            reference = asker.role is Role.INTEGRATOR and episode["handed_over_to"] is None and self.consented(episode)
            return reference or self.reads(asker, episode)
        if asker.kind is ActorKind.EMPLOYEE:
            return self._types(asker, row)
        if asker.handed is not None:
            return row["assignment_id"] in asker.handed and row["amends_id"] is None
        rights = {Right.ANSWER} | ({Right.READ} if row["amends_id"] is not None else set())
        return self.reaches(asker, asker.scope(P.ANSWER), episode) and rights <= asker.rights

    def _types(self, asker: Asker, draft: RowOf) -> bool:
        return draft["typed_by"] == asker.employee and self.reaches(asker, asker.scope(P.ASSIST), self._of(draft))

    def _draft_answer(self, asker: Asker, row: RowOf) -> bool:
        return self._response(asker, self.inventory.need("response", row["response_id"], row["municipality_id"]))

    def _finding(self, asker: Asker, row: RowOf) -> bool:
        episode = self._of(row)
        return self.reads(asker, episode) and self.sees_colour(asker, episode)

    def _emergency(self, asker: Asker, row: RowOf) -> bool:
        if asker.kind is ActorKind.CITIZEN:
            return row["citizen_id"] == asker.citizen and not asker.represents and asker.handed is None
        return asker.scope(P.REVIEW_EMERGENCIES) is not None or row["employee_id"] == asker.employee

    def _hand_over(self, asker: Asker, row: RowOf) -> bool:
        if asker.scope(P.HAND_OVER) is None:
            return False
        offered = row["to_municipality_id"] == asker.municipality and self.known_here(asker, row["person_id"])
        return row["municipality_id"] == asker.municipality or offered

    def known_here(self, asker: Asker, person: UUID) -> bool:
        """Say whether a person has a record in the asker's municipality."""
        citizens = self.inventory.rows["citizen"]
        return any(each["person_id"] == person and each["municipality_id"] == asker.municipality for each in citizens)

    def _device(self, asker: Asker, row: RowOf) -> bool:
        registers = asker.scope(P.REGISTER_DEVICES) is Scope.UNIT and row["organisation_unit_id"] in asker.units
        hands_out = asker.scope(P.HAND_OUT_CODES) is not None and row["organisation_unit_id"] == asker.acts_in
        return registers or hands_out or asker.role is Role.SECURITY_OFFICER

    def _questionnaire(self, asker: Asker, row: RowOf) -> bool:
        if asker.handed is not None:
            asked = {self.inventory.need("assignment", each)["questionnaire_id"] for each in asker.handed}
            return row["id"] in asked
        if row["status"] == "draft":
            return asker.scope(P.SEE_DRAFT_QUESTIONNAIRES) is not None
        return asker.scope(P.SEE_CATALOGUE) is not None

    def _line(self, asker: Asker, row: RowOf) -> bool:
        if asker.scope(P.SEARCH_ACCESS_LOG) is not None:
            return True
        own = asker.scope(P.READ_OWN_ACCESS_LOG) is Scope.OWN and row["citizen_id"] == asker.citizen
        hidden = asker.guardian and row["protected"]
        return own and asker.citizen is not None and asker.handed is None and Right.READ in asker.rights and not hidden

    def _event(self, asker: Asker, row: RowOf) -> bool:
        scope = asker.scope(P.FOLLOW_UPDATES)
        return scope is Scope.MUNICIPALITY or (scope is Scope.TEAM and row["care_team_id"] in asker.teams)

    # --- Fields that are not open to everybody who sees the row

    def field(self, asker: Asker, place: str, row: RowOf) -> str:
        """Say of a field of a row the asker sees: "shown", "null" or "FORBIDDEN"."""
        names = {"Citizen.name", "Citizen.givenName", "Citizen.familyName", "Citizen.birthDate"}
        without = asker.role is Role.INTEGRATOR and not asker.answers
        if place in names:
            return "FORBIDDEN" if without else "shown"
        if place == "Citizen.cpr":
            return "shown" if asker.scope(P.SEE_CPR) is not None else "FORBIDDEN"
        answered = {"EpisodeOfCare.reasonCode", "QuestionnaireResponse.answers", "QuestionnaireResponse.provenance",
                    "QuestionnaireResponse.amendReason"}  # fmt: skip
        if place in answered:
            return "FORBIDDEN" if without else "shown"
        if place == "EpisodeOfCare.lastResponseAt":
            reference = asker.role is Role.INTEGRATOR and self.consented(row)
            return "shown" if reference or self.reads(asker, row) else "null"
        if place == "EpisodeOfCare.urgency":
            # How urgent a citizen is, is for those who follow them.
            return "shown" if asker.kind is not ActorKind.CITIZEN and self.sees_colour(asker, row) else "null"
        if place == "QuestionnaireResponse.colour":
            ever = asker.scope(P.SEE_COLOURS) is not None and Right.READ in asker.rights and not without
            if not ever:
                return "FORBIDDEN"
            # What an employee types is not interpreted yet, which everybody may know.
            return "shown" if row["submitted_at"] is None and asker.kind is ActorKind.EMPLOYEE else (
                "shown" if self._colour_of(asker, row) else "null"
            )  # fmt: skip
        return "open"

    def _colour_of(self, asker: Asker, row: RowOf) -> bool:
        episode = self._of(row)
        return episode["colours_shown"] if asker.kind is ActorKind.CITIZEN else self.sees_colour(asker, episode)

    # --- Deeds

    def follows(self, asker: Asker, team: UUID) -> Iterable[RowOf]:
        """Return the episodes on the worklist of a care team."""
        for each in self.inventory.rows["episode_of_care"]:
            if each["care_team_id"] == team and each["status"] == "active":
                reading = asker.kind is ActorKind.EMPLOYEE and team in asker.teams
                if reading and self.reaches(asker, asker.scope(P.READ_ANSWERS), each):
                    yield each
