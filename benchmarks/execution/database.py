"""The database all servers share: made from the demo's citizens, and given drafts and events turn by turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from people import Neighbours
from world import World

from kpro_graph.app import Product
from kpro_graph.demo import load
from kpro_graph.demography import Demography
from kpro_graph.plugins.demo_identity import FOLDER as IDENTITY
from kpro_graph.plugins.demo_identity import DemoIdentity, load_secret
from kpro_graph.plugins.host import PluginHost
from kpro_graph.questionnaires import write_json
from kpro_graph.responses.kept import as_fhir
from kpro_graph.settings import Settings
from kpro_graph.storage.embedded import EmbeddedServer

__all__ = ["Draft", "Drafts", "prepare", "submitters", "tell"]

READ_IN, SUBMITTED_IN = 101, 851
_HERE = Path(__file__).parent
_SUBMITTED = "https://kpro-graph.dk/Questionnaire/phq-9"


class Draft(NamedTuple):
    """A draft that waits to be submitted, and the number of the citizen who may."""

    neighbour: int
    assignment: UUID


async def prepare(server: EmbeddedServer, folder: Path, citizens: int, progress: Any = None) -> World:
    """Load what is missing, make the peers' role, functions and indexes, and choose whom to ask about."""
    settings = Settings.read({"KPRO_FOLDER": str(folder)})
    plugins = PluginHost(settings.plugins_folder)
    plugins.add(DemoIdentity(load_secret(settings.folder), Neighbours()), IDENTITY)
    async with Product(settings, plugins, sequencing=False) as product:
        await load(product.database, product.databases.need("owner"), plugins, citizens=citizens, progress=progress)
    parameters = server.parameters("postgres")
    connection = await asyncpg.connect(**parameters)
    try:
        for statement in (_HERE / "database.sql").read_text(encoding="utf-8").split("\n-- next\n"):
            await connection.execute(statement)
        team = Demography(1).care_teams(f"{READ_IN:04d}")[0].id
        among = await connection.fetch(_WORKLIST, READ_IN, team)
        template = await connection.fetchrow(_TEMPLATE, SUBMITTED_IN, _SUBMITTED)
        await connection.execute("DELETE FROM benchmark_template")
        await connection.execute(
            "INSERT INTO benchmark_template VALUES ($1, $2, $3)",
            template["questionnaire_id"], template["municipality_id"], template["id"],
        )  # fmt: skip
        return World(
            host=str(parameters["host"]),
            port=parameters["port"],
            database=parameters["database"],
            municipality=READ_IN,
            care_team=str(team),
            citizens=tuple(str(row["citizen_id"]) for row in among),
            questionnaire=str(template["questionnaire_id"]),
            template=str(template["id"]),
            template_municipality=template["municipality_id"],
            submitting=SUBMITTED_IN,
            responses=await connection.fetchval("SELECT count(*) FROM response WHERE submitted_at IS NOT NULL"),
        )
    finally:
        await connection.close()


class Drafts:
    """Makes drafts for a turn of submitting, and takes away what became of them; ``connection`` is the superuser's."""

    def __init__(self, connection: Any, world: World) -> None:
        self._connection = connection
        self._world = world

    async def make(self, count: int, neighbours: Sequence[UUID]) -> list[Draft]:
        """Give the citizens assignments with a whole draft each, in turn."""
        number = {citizen: n for n, citizen in enumerate(neighbours)}
        rounds = -(-count // len(neighbours))
        template = await self._connection.fetchrow(
            "SELECT answers::text AS answers FROM response WHERE municipality_id = $1 AND id = $2",
            self._world.template_municipality, UUID(self._world.template),
        )  # fmt: skip
        answers = json.loads(template["answers"])
        paths = [each["path"] for each in answers]
        values = [write_json([as_fhir(value) for value in each["values"]]).decode() for each in answers]
        async with self._connection.transaction():
            rows = await self._connection.fetch(
                _ASSIGN, self._world.submitting, list(neighbours), rounds, UUID(self._world.questionnaire)
            )
            ids = [row["id"] for row in rows]
            await self._connection.execute(_OPEN, self._world.submitting, ids, _SUBMITTED)
            await self._connection.execute(_ANSWER, self._world.submitting, ids, paths, values)
        return [Draft(number[row["citizen_id"]], row["id"]) for row in rows][:count]

    async def look(self, assignment: UUID) -> dict[str, Any]:
        """Return what is stored of an assignment after it was submitted, without what chance or the time decided."""
        row = await self._connection.fetchrow(_STORED, self._world.submitting, assignment)
        return dict(row)

    async def clear(self, drafts: Sequence[Draft]) -> None:
        """Take away everything that hangs on the assignments, immutable or not; the access log keeps its lines."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL session_replication_role = replica")
            for statement in _CLEAR:
                await self._connection.execute(statement, self._world.submitting, [each.assignment for each in drafts])
        for table in ("response", "score", "interpretation", "draft_answer", "assignment", "event", "episode_of_care"):
            await self._connection.execute(f"VACUUM ANALYZE {table}")


async def tell(connection: Any, world: World, response: UUID) -> None:
    """Announce that a response was submitted, to those who follow the product's events and to the peers."""
    row = await connection.fetchrow(
        "SELECT r.citizen_id, e.care_team_id FROM response r JOIN episode_of_care e"
        " ON e.municipality_id = r.municipality_id AND e.id = r.episode_id WHERE r.municipality_id = $1 AND r.id = $2",
        world.municipality, response,
    )  # fmt: skip
    async with connection.transaction():
        await connection.execute(_EVENT, world.municipality, row["citizen_id"], row["care_team_id"], response)
        await connection.execute("SELECT pg_notify('kpro_recorded', '')")
        place = {"municipality": world.municipality, "response": str(response)}
        await connection.execute("SELECT pg_notify('benchmark_event', $1)", json.dumps(place))


async def submitters(connection: Any, world: World, at_most: int) -> list[UUID]:
    """Return citizens with an active episode where is submitted; their place in the list is their number."""
    rows = await connection.fetch(
        "SELECT citizen_id FROM episode_of_care WHERE municipality_id = $1 AND status = 'active' ORDER BY id LIMIT $2",
        world.submitting, at_most,
    )  # fmt: skip
    return [row["citizen_id"] for row in rows]


_WORKLIST = """
SELECT citizen_id FROM episode_of_care
WHERE municipality_id = $1 AND care_team_id = $2 AND status = 'active'
ORDER BY urgency DESC, coalesce(last_response_at, started_at) DESC, id DESC LIMIT 50
"""
_TEMPLATE = """
SELECT r.* FROM response r
WHERE r.municipality_id = $1 AND r.questionnaire_url = $2 AND r.status = 'completed'
ORDER BY json_array_length(r.answers) DESC, r.id LIMIT 1
"""
_ASSIGN = """
INSERT INTO assignment (municipality_id, id, episode_id, citizen_id, questionnaire_owner, questionnaire_id, status,
                        assigned_at, assigned_by, due_at)
SELECT $1, gen_random_uuid(), e.id, e.citizen_id, q.municipality_id, q.id, 'in-progress', now(), e.opened_by,
       now() + interval '14 days'
FROM generate_series(1, $3::integer) n CROSS JOIN unnest($2::uuid[]) WITH ORDINALITY asked (id, place)
JOIN LATERAL (
    SELECT * FROM episode_of_care e WHERE e.municipality_id = $1 AND e.citizen_id = asked.id LIMIT 1
) e ON true
JOIN questionnaire q ON q.id = $4
ORDER BY n, asked.place
RETURNING id, citizen_id
"""
_OPEN = """
INSERT INTO response (municipality_id, id, assignment_id, episode_id, citizen_id, questionnaire_owner,
                      questionnaire_id, questionnaire_url, status, source, author_id, answers, colour)
SELECT a.municipality_id, gen_random_uuid(), a.id, a.episode_id, a.citizen_id, a.questionnaire_owner,
       a.questionnaire_id, $3, 'in-progress', 'patient', c.person_id, '[]', 'not_interpreted'
FROM assignment a JOIN citizen c ON c.municipality_id = a.municipality_id AND c.id = a.citizen_id
WHERE a.municipality_id = $1 AND a.id = ANY($2)
"""
_ANSWER = """
INSERT INTO draft_answer (municipality_id, id, response_id, path, answer, answered_at, answered_by)
SELECT r.municipality_id, gen_random_uuid(), r.id, given.path, given.answer::json, now(), r.author_id
FROM response r CROSS JOIN unnest($3::text[], $4::text[]) given (path, answer)
WHERE r.municipality_id = $1 AND r.assignment_id = ANY($2)
"""
_STORED = """
SELECT r.status, r.answers::text AS answers, r.colour, r.content_hash, r.rule_set_id::text, a.status AS assignment,
    (SELECT count(*) FROM draft_answer d
     WHERE d.municipality_id = r.municipality_id AND d.response_id = r.id) AS drafts,
    (SELECT jsonb_agg(to_jsonb(s) - '{id,response_id,citizen_id,submitted_at}'::text[] ORDER BY s.position)::text
     FROM score s WHERE s.municipality_id = r.municipality_id AND s.response_id = r.id) AS scores,
    (SELECT jsonb_agg(to_jsonb(i) - '{id,response_id,citizen_id}'::text[] ORDER BY i.position)::text
     FROM interpretation i WHERE i.municipality_id = r.municipality_id AND i.response_id = r.id) AS interpretations,
    (SELECT count(*) FROM event e WHERE e.municipality_id = r.municipality_id AND e.subject_id = r.id) AS events,
    (SELECT e.urgency::text || ' ' || (e.last_response_at = r.submitted_at) FROM episode_of_care e
     WHERE e.municipality_id = r.municipality_id AND e.id = r.episode_id) AS episode
FROM response r JOIN assignment a ON a.municipality_id = r.municipality_id AND a.id = r.assignment_id
WHERE r.municipality_id = $1 AND r.assignment_id = $2
"""
_OF_RESPONSES = (
    "municipality_id = $1 AND response_id IN"
    " (SELECT id FROM response WHERE municipality_id = $1 AND assignment_id = ANY($2::uuid[]))"
)
_CLEAR = (
    f"DELETE FROM score WHERE {_OF_RESPONSES}",
    f"DELETE FROM interpretation WHERE {_OF_RESPONSES}",
    f"DELETE FROM draft_answer WHERE {_OF_RESPONSES}",
    f"DELETE FROM event WHERE {_OF_RESPONSES.replace('response_id IN', 'subject_id IN')}",
    """
    UPDATE episode_of_care e SET urgency = latest.urgency, last_response_at = latest.at
    FROM (
        SELECT r.episode_id, max(r.submitted_at) AS at,
               max(CASE r.colour WHEN 'red' THEN 3 WHEN 'yellow' THEN 2 WHEN 'green' THEN 1 ELSE 0 END) AS urgency
        FROM response r
        WHERE r.municipality_id = $1 AND r.submitted_at IS NOT NULL AND r.assignment_id <> ALL($2::uuid[])
          AND r.episode_id IN (SELECT episode_id FROM assignment WHERE municipality_id = $1 AND id = ANY($2::uuid[]))
        GROUP BY r.episode_id
    ) latest
    WHERE e.municipality_id = $1 AND e.id = latest.episode_id
    """,
    "DELETE FROM response WHERE municipality_id = $1 AND assignment_id = ANY($2::uuid[])",
    "DELETE FROM assignment WHERE municipality_id = $1 AND id = ANY($2::uuid[])",
)
_EVENT = """
INSERT INTO event (municipality_id, id, type, citizen_id, care_team_id, subject_type, subject_id, subject_version)
VALUES ($1, gen_random_uuid(), 'response.submitted', $2, $3, 'QuestionnaireResponse', $4, 1)
"""
