"""What may come of a mutation: told from the matrix, the asker's relation to the scene, and the scene's own state."""

from __future__ import annotations

from typing import Any

from kpro_graph.access import Permission, Scope
from kpro_graph.actors import ActorKind, Right
from kpro_graph.execution.ids import split
from kpro_graph.schema.permissions import PERMISSIONS
from tests.oracle import Asker, Oracle, Outcome, RowOf
from tests.scenes import Scene
from tests.sweeping import arguments

__all__ = ["expected"]

P = Permission
_TABLES = {
    "cit": "citizen", "epi": "episode_of_care", "asg": "assignment", "res": "response", "team": "care_team",
    "unit": "organisation_unit", "rep": "representation", "emg": "emergency_access", "hov": "hand_over",
    "dev": "reception_device", "que": "questionnaire",
}  # fmt: skip


def expected(oracle: Oracle, asker: Asker, place: str, scene: Scene) -> set[str]:
    """Return the outcomes that are right; one, except where the scene's state may stand in the way."""
    permission = PERMISSIONS[place]
    if place == "Mutation.redeemReceptionCode":
        # A wrong code, for whoever is not signed in.
        return {Outcome.FAILED if asker.kind is None else Outcome.FORBIDDEN}
    if asker.kind is None:
        return {Outcome.UNAUTHENTICATED}
    assert permission is not None
    if place == "Mutation.endReceptionSession":
        return {Outcome.DONE if asker.session is not None else Outcome.FORBIDDEN}
    scope = asker.scope(permission)
    if scope is None and permission is not P.ANSWER:
        return {Outcome.CONTEXT if asker.name == "employee without a place" else Outcome.FORBIDDEN}
    given = {
        name: oracle.inventory.get(_TABLES[parts[0]], parts[1])
        for name, value in arguments(place, scene.samples)["input"].items()
        if isinstance(value, str) and (parts := split(value)) and parts[0] in _TABLES
    }
    reaches = _Deeds(oracle, asker, scene, given, scope).may(place, permission)
    if not reaches:
        return {Outcome.ABSENT}
    if (scene.name == "NO-CONSENT" and place in _NEEDS_CONSENT) or (scene.name == "GONE" and place in _DECIDED):
        return {Outcome.FAILED}
    return {Outcome.DONE}


_NEEDS_CONSENT = {
    "Mutation.withdrawConsent", "Mutation.assignQuestionnaire", "Mutation.startAssistedAnswering",
    "Mutation.createReceptionCode", "Mutation.submitResponse",
}  # fmt: skip
_DECIDED = {"Mutation.offerHandOver", "Mutation.withdrawHandOver"}
_OPEN = {"planned", "waitlist", "active", "onhold"}


class _Deeds:
    def __init__(self, oracle: Oracle, asker: Asker, scene: Scene, given: dict[str, Any], scope: Scope | None) -> None:
        self.oracle, self.asker, self.scene, self.given, self.scope = oracle, asker, scene, given, scope

    def may(self, place: str, permission: Permission) -> bool:
        """Say whether what the mutation names is within reach."""
        here = self.asker.municipality
        match permission:
            case P.REGISTER_CITIZENS:
                return place.endswith("registerCitizen") or self._has_number()
            case P.OPEN_IN_EMERGENCY:
                return self._has_number()
            case P.OPEN_EPISODES:
                return self._here("citizenId") and self._team()
            case P.RECORD_CONSENT if self.asker.kind is ActorKind.CITIZEN:
                return not self.asker.represents and self.asker.handed is None and self._episode()
            case P.RECORD_CONSENT | P.SET_POLICY | P.HAND_OUT_CODES:
                return self._episode(consented=False)
            case P.ASSIGN:
                return self._episode() and self._questionnaire()
            case P.REGISTER_REPRESENTATION:
                return self._here("citizenId" if "citizenId" in self.given else "representationId")
            case P.HAND_OVER:
                return self._hand_over(place, here)
            case P.REVIEW_EMERGENCIES:
                return self._here("emergencyAccessId")
            case P.ANSWER:
                return self._answer(place)
            case P.ASSIST:
                return self._assist(place)
            case P.REGISTER_DEVICES if place.endswith("registerReceptionDevice"):
                return self._here("organisationUnitId") and self.given["organisationUnitId"]["id"] in self.asker.units
            case P.REGISTER_DEVICES:
                return self._here("receptionDeviceId") and self._unit() in self.asker.units
            case P.END_RECEPTION_SESSIONS:
                near = (
                    self._unit() in self.asker.units if self.scope is Scope.UNIT else self._unit() == self.asker.acts_in
                )
                return self._here("receptionDeviceId") and near
            case P.EDIT_QUESTIONNAIRES:
                return place.endswith("importQuestionnaire") or self._here("questionnaireId")
        raise AssertionError(f"say what {permission} means for {place}")

    def _here(self, name: str) -> bool:
        row = self.given[name]
        return row is not None and row["municipality_id"] == self.asker.municipality

    def _has_number(self) -> bool:
        citizen = self.oracle.inventory.get("citizen", self.scene.citizen)
        return citizen is not None and self.oracle.known_here(self.asker, citizen["person_id"])

    def _unit(self) -> Any:
        device = self.given["receptionDeviceId"]
        return None if device is None else device["organisation_unit_id"]

    def _team(self) -> bool:
        team = self.given["careTeamId"]
        return self._here("careTeamId") and (
            team["id"] in self.asker.teams or team["organisation_unit_id"] in self.asker.units
        )

    def _episode(self, *, consented: bool = True) -> bool:
        """Say whether the episode is within the permission's reach; ``consented`` False leaves consent aside."""
        episode = self.given["episodeOfCareId"]
        scope = Scope.EPISODE if self.scope is Scope.TEAM and not consented else self.scope
        return (
            episode is not None
            and episode["status"] in _OPEN
            and episode["handed_over_to"] is None
            and self.oracle.reaches(self.asker, scope, episode)
        )

    def _questionnaire(self) -> bool:
        row = self.given["questionnaireId"]
        return row is not None and row["municipality_id"] in {0, self.asker.municipality} and row["status"] != "draft"

    def _hand_over(self, place: str, here: int) -> bool:
        if "citizenId" in self.given:
            return self._here("citizenId")
        row: RowOf | None = self.given["handOverId"]
        if row is None:
            return False
        if place.endswith("withdrawHandOver"):
            return bool(row["municipality_id"] == here)
        incoming = row["to_municipality_id"] == here and self.oracle.known_here(self.asker, row["person_id"])
        return incoming and ("careTeamId" not in self.given or self._team())

    def _answer(self, place: str) -> bool:
        row = self.given["responseId"] if "responseId" in self.given else self.given["assignmentId"]
        if row is None:
            return False
        episode = self.oracle._of(row)
        if self.asker.kind is ActorKind.EMPLOYEE:
            drafts = [each for each in self.oracle.inventory.rows["response"] if each["assignment_id"] == row["id"]]
            latest = max(drafts, key=lambda each: each["version"], default=None)
            return latest is not None and self.oracle._types(self.asker, latest)
        if self.asker.kind is not ActorKind.CITIZEN or Right.ANSWER not in self.asker.rights:
            return False
        if place.endswith("amendResponse"):
            return Right.READ in self.asker.rights and self.oracle.reaches(self.asker, self.scope, episode)
        if self.asker.handed is not None:
            return row["id"] in self.asker.handed
        return self.oracle.reaches(self.asker, self.scope, episode)

    def _assist(self, place: str) -> bool:
        row = self.given["assignmentId"]
        if row is None:
            return False
        episode = self.oracle._of(row)
        if place.endswith("startAssistedAnswering"):
            return self.oracle.reaches(self.asker, Scope.EPISODE, episode)
        return self._answer(place)
