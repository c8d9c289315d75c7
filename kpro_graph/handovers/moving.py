"""The move: one history, copied row by row from the municipality that held it to the one that takes it over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kpro_graph.assignments import AssignmentStatus
from kpro_graph.episodes import EpisodeStatus
from kpro_graph.errors import Rejected
from kpro_graph.execution.sources import Statement
from kpro_graph.storage import tables
from kpro_graph.storage.crossing import Crossing
from kpro_graph.storage.database import Change

__all__ = ["Move", "NothingToHandOver", "QuestionnaireDiffers"]


class NothingToHandOver(Rejected):
    """The municipality holds no episode of care of the citizen."""

    code = "NOTHING_TO_HAND_OVER"
    da = "Kommunen har ingen forløb for borgeren at overdrage."
    en = "The municipality holds no episode of care of the citizen to hand over."


class QuestionnaireDiffers(Rejected):
    """The receiving library holds a version the answers were given to with other content, or as a draft."""

    code = "QUESTIONNAIRE_DIFFERS"
    da = "Kommunen har en anden udgave af et skema, som borgeren har svaret på, med samme versionsnummer."
    en = "The municipality has another edition of a questionnaire the citizen answered under the same version number."

    def __init__(self, url: str) -> None:
        super().__init__(path="handOverId")
        self.url = url


_OPEN_EPISODE = [
    EpisodeStatus.PLANNED.value, EpisodeStatus.WAITLIST.value, EpisodeStatus.ACTIVE.value, EpisodeStatus.ON_HOLD.value,
]  # fmt: skip
_OPEN_ASSIGNMENT = [AssignmentStatus.REQUESTED.value, AssignmentStatus.IN_PROGRESS.value]


# The citizen's assignments, then the episodes: the order in which a submission takes them.
_LOCK_ASSIGNMENTS = "SELECT id FROM assignment WHERE municipality_id = $1 AND citizen_id = $2 ORDER BY id FOR UPDATE"
_LOCK_EPISODES = """
SELECT id FROM episode_of_care WHERE municipality_id = $1 AND citizen_id = $2 AND handed_over_to IS NULL
ORDER BY id FOR UPDATE
"""
_REVOKE = """
UPDATE assignment SET status = 'revoked'
WHERE municipality_id = $1 AND episode_id = ANY($2::uuid[]) AND status = ANY($3::text[]) RETURNING id
"""
_ITS_QUESTIONNAIRES = """
SELECT q.id, q.url, q.version, q.content_hash,
       ARRAY(SELECT DISTINCT r.rule_set_id FROM response r
             WHERE r.municipality_id = $1 AND r.questionnaire_owner = $1 AND r.questionnaire_id = q.id
               AND r.episode_id = ANY($2::uuid[]) AND r.rule_set_id IS NOT NULL) AS rules
FROM questionnaire q
WHERE q.municipality_id = $1 AND EXISTS (
    SELECT FROM assignment a WHERE a.municipality_id = $1 AND a.episode_id = ANY($2::uuid[])
    AND a.questionnaire_owner = $1 AND a.questionnaire_id = q.id)
ORDER BY q.url, q.version
"""
_RECEIVED_QUESTIONNAIRE = """
SELECT id, status, content_hash FROM questionnaire WHERE municipality_id = $1 AND url = $2 AND version = $3
"""
_RECEIVED_RULES = """
SELECT s.id AS given, r.id AS received
FROM rule_set s LEFT JOIN rule_set r ON r.municipality_id = $2 AND r.questionnaire_id = $4 AND r.name = s.name
    AND r.version = s.version AND r.content_hash = s.content_hash
WHERE s.municipality_id = $1 AND s.questionnaire_id = $3 AND s.id = ANY($5::uuid[])
"""
# What a citizen began there before and did not finish would stand in the way of what comes back.
_CLEAR_DRAFT_ANSWERS = """
DELETE FROM draft_answer d USING response r
WHERE r.municipality_id = $2 AND d.municipality_id = $2 AND d.response_id = r.id AND r.submitted_at IS NULL
  AND r.assignment_id IN (SELECT a.id FROM assignment a
                          WHERE a.municipality_id = $1 AND a.episode_id = ANY($3::uuid[]))
"""
_CLEAR_DRAFTS = """
DELETE FROM response r WHERE r.municipality_id = $2 AND r.submitted_at IS NULL
  AND r.assignment_id IN (SELECT a.id FROM assignment a
                          WHERE a.municipality_id = $1 AND a.episode_id = ANY($3::uuid[]))
"""
_LEAVE = """
UPDATE episode_of_care SET handed_over_to = $2, consented_until = NULL,
    ended_at = CASE WHEN status = ANY($4::text[]) THEN coalesce(ended_at, now()) ELSE ended_at END,
    status = CASE WHEN status = ANY($4::text[]) THEN 'finished' ELSE status END
WHERE municipality_id = $1 AND id = ANY($3::uuid[])
"""
_SUBMITTED_THERE = (
    "s.response_id IN (SELECT r.id FROM response r WHERE r.municipality_id = {giver}"
    " AND r.episode_id = ANY({episodes}) AND r.submitted_at IS NOT NULL)"
)


@dataclass(slots=True)
class Move:
    """One history on its way from the one municipality to the other, within a crossing.

    A citizen who moves back meets what they left: the rows are there, so only what has changed since is written.
    """

    change: Change
    crossing: Crossing
    team: tables.CareTeam
    episodes: list[UUID] = field(default_factory=list)
    questionnaires: dict[UUID, UUID] = field(default_factory=dict)
    rules: dict[UUID, UUID] = field(default_factory=dict)

    async def run(self) -> tuple[int, int, int]:
        """Move everything; return how many episodes and responses it was, and how many assignments were revoked."""
        fetch, crossing = self.change.fetch, self.crossing
        await fetch(_LOCK_ASSIGNMENTS, (crossing.giver, crossing.given))
        self.episodes = [row["id"] for row in await fetch(_LOCK_EPISODES, (crossing.giver, crossing.given))]
        if not self.episodes:
            raise NothingToHandOver(path="handOverId")
        revoked = await fetch(_REVOKE, (crossing.giver, self.episodes, _OPEN_ASSIGNMENT))
        await self._take_questionnaires()
        await self._take_episodes()
        await self._copy(tables.Consent, "s.episode_id = ANY({episodes})", self._hold())
        await self._take_assignments()
        responses = await self._take_responses()
        await fetch(_LEAVE, (crossing.giver, crossing.receiver, self.episodes, _OPEN_EPISODE))
        return len(self.episodes), responses, len(revoked)

    def _hold(self) -> dict[str, str]:
        """Return what changes in every row: whose it is, and where it was made."""
        return {
            "municipality_id": "{receiver}",
            "citizen_id": "{citizen}",
            "origin": "CASE WHEN coalesce(s.origin, {giver}) <> {receiver} THEN coalesce(s.origin, {giver}) END",
        }

    async def _take_episodes(self) -> None:
        renewed = (
            "care_team_id", "organisation_unit_id", "status", "ended_at", "urgency", "last_response_at",
            "colours_shown", "hidden_from_guardians", "consented_until", "handed_over_to",
        )  # fmt: skip
        await self._copy(
            tables.EpisodeOfCare,
            "s.id = ANY({episodes})",
            {
                **self._hold(),
                "care_team_id": "{team}",
                "organisation_unit_id": "{unit}",
                "status": "CASE WHEN s.status = ANY({open}) THEN 'onhold' ELSE s.status END",
                "opened_by": "{employee}",
                "consented_until": "NULL",
                "handed_over_to": "NULL",
            },
            renewed=renewed,
            only="held.citizen_id = EXCLUDED.citizen_id AND held.handed_over_to IS NOT NULL",
        )

    async def _take_assignments(self) -> None:
        chosen = "s.episode_id = ANY({episodes})"
        changed = {**self._hold(), **self._library(), "assigned_by": "{employee}"}
        await self._copy(tables.Assignment, chosen, changed, renewed=("status", "completed_at"))

    async def _take_responses(self) -> int:
        key = (self.crossing.giver, self.crossing.receiver, self.episodes)
        await self.change.fetch(_CLEAR_DRAFT_ANSWERS, key)
        await self.change.fetch(_CLEAR_DRAFTS, key)
        taken = await self._copy(
            tables.Response,
            "s.episode_id = ANY({episodes}) AND s.submitted_at IS NOT NULL",
            {
                **self._hold(),
                **self._library(),
                "rule_set_id": "CASE WHEN s.questionnaire_owner = 0 THEN s.rule_set_id ELSE"
                " (SELECT m.received FROM unnest({rules_given}, {rules_received}) AS m (given, received)"
                " WHERE m.given = s.rule_set_id) END",
                "typed_by": "CASE WHEN s.typed_by IS NOT NULL THEN {employee} END",
                "device_id": "NULL",
            },
            renewed=("superseded",),
            only="held.content_hash = EXCLUDED.content_hash AND held.receipt = EXCLUDED.receipt",
        )
        held = {"municipality_id": "{receiver}", "citizen_id": "{citizen}"}
        await self._copy(tables.Score, _SUBMITTED_THERE, held, renewed=("superseded",))
        await self._copy(tables.Interpretation, _SUBMITTED_THERE, held)
        return taken

    def _library(self) -> dict[str, str]:
        """Return where a row finds its questionnaire: in the national library still, or in the receiver's own."""
        return {
            "questionnaire_owner": "CASE WHEN s.questionnaire_owner = 0 THEN 0 ELSE {receiver} END",
            "questionnaire_id": "CASE WHEN s.questionnaire_owner = 0 THEN s.questionnaire_id ELSE"
            " (SELECT m.received FROM unnest({questionnaires_given}, {questionnaires_received}) AS m (given, received)"
            " WHERE m.given = s.questionnaire_id) END",
        }

    async def _take_questionnaires(self) -> None:
        giver, receiver, fetch = self.crossing.giver, self.crossing.receiver, self.change.fetch
        for row in await fetch(_ITS_QUESTIONNAIRES, (giver, self.episodes)):
            changed = {"municipality_id": "{receiver}", "status": "'retired'"}
            chosen = {"chosen": (row["id"], "uuid")}
            new = await self._copy(tables.Questionnaire, "s.id = {chosen}", changed, values=chosen)
            found = await fetch(_RECEIVED_QUESTIONNAIRE, (receiver, row["url"], row["version"]))
            if not found or found[0]["status"] == "draft" or found[0]["content_hash"] != row["content_hash"]:
                raise QuestionnaireDiffers(row["url"])
            received = self.questionnaires[row["id"]] = found[0]["id"]
            await self._take_rules(row, received, new=bool(new))

    async def _take_rules(self, row: Mapping[str, Any], received: UUID, *, new: bool) -> None:
        giver, receiver = self.crossing.giver, self.crossing.receiver
        await self._copy(
            tables.RuleSet,
            "s.questionnaire_id = {given} AND (s.id = ANY({needed}) OR ({new} AND s.status = 'approved'))",
            {
                "municipality_id": "{receiver}",
                "questionnaire_id": "{received}",
                # What the receiver's own questionnaire is scored by does not change because somebody moved there.
                "status": "CASE WHEN {new} THEN s.status ELSE 'off' END",
            },
            values={
                "given": (row["id"], "uuid"),
                "received": (received, "uuid"),
                "needed": (list(row["rules"]), "uuid[]"),
                "new": (new, "boolean"),
            },
        )
        pairs = await self.change.fetch(_RECEIVED_RULES, (giver, receiver, row["id"], received, list(row["rules"])))
        for pair in pairs:
            if pair["received"] is None:
                raise QuestionnaireDiffers(row["url"])
            self.rules[pair["given"]] = pair["received"]

    async def _copy(
        self,
        model: Any,
        chosen: str,
        changed: Mapping[str, str],
        *,
        values: Mapping[str, tuple[object, str]] | None = None,
        renewed: Sequence[str] = (),
        only: str = "true",
    ) -> int:
        """Copy the giver's chosen rows (``s``) to the receiver, every column but the changed ones as it is.

        Of rows that are there already (``held``) the renewed columns are written, if there are any; a row that is there
        and is not the same stops it all. Returns how many rows were written.
        """
        table, columns = tables.shape(model)
        known = self._values() | dict(values or {})
        statement = Statement()
        places: dict[str, str] = {}

        def placed(text: str) -> str:
            for name in re.findall(r"{(\w+)}", text):
                if name not in places:
                    places[name] = statement.parameter(*known[name])
            return text.format(**places)

        taken = ", ".join(placed(changed[name]) if name in changed else f"s.{name}" for name in columns)
        written = ", ".join(f"{name} = EXCLUDED.{name}" for name in renewed)
        conflict = f"(municipality_id, id) DO UPDATE SET {written} WHERE {only}" if renewed else "DO NOTHING"
        # Everything spliced in here is a name or a text of this page; values are parameters.
        sql = (
            f"WITH chosen AS MATERIALIZED (SELECT s.* FROM {table} s"  # noqa: S608
            f" WHERE s.municipality_id = {placed('{giver}')} AND {placed(chosen)}),"
            f" there AS (INSERT INTO {table} AS held ({', '.join(columns)}) SELECT {taken} FROM chosen s"
            f" ON CONFLICT {conflict} RETURNING held.id)"
            " SELECT (SELECT count(*) FROM chosen) AS chosen, (SELECT count(*) FROM there) AS there"
        )
        [count] = await self.change.fetch(sql, statement.parameters)
        if renewed and count["there"] != count["chosen"]:
            raise RuntimeError(f"{table}: what the receiver holds under the same id is not the same")
        return int(count["there"])

    def _values(self) -> dict[str, tuple[object, str]]:
        """Return what the texts of this page name in braces, with its PostgreSQL type."""
        return {
            "giver": (self.crossing.giver, "integer"),
            "receiver": (self.crossing.receiver, "integer"),
            "citizen": (self.crossing.received, "uuid"),
            "team": (self.team.id, "uuid"),
            "unit": (self.team.organisation_unit_id, "uuid"),
            "employee": (self.change.actor.id, "uuid"),
            "episodes": (self.episodes, "uuid[]"),
            "open": (_OPEN_EPISODE, "text[]"),
            "questionnaires_given": (list(self.questionnaires), "uuid[]"),
            "questionnaires_received": (list(self.questionnaires.values()), "uuid[]"),
            "rules_given": (list(self.rules), "uuid[]"),
            "rules_received": (list(self.rules.values()), "uuid[]"),
        }
