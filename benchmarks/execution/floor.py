"""The floor: what one SQL statement that builds the whole answer costs behind bare ASGI, and no GraphQL at all."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from uuid import UUID

import asyncpg
from serving import announce, serve
from world import World

_SCORES = """
(SELECT coalesce(json_agg(json_build_object('code', s.code, 'label', s.label, 'value', s.value, 'minimum', s.minimum,
                                            'maximum', s.maximum) ORDER BY s.position), '[]')
 FROM score s WHERE s.municipality_id = r.municipality_id AND s.response_id = r.id)
"""
_WORKLIST = """
FROM episode_of_care e WHERE e.municipality_id = t.municipality_id AND e.care_team_id = t.id AND e.status = 'active'
ORDER BY e.urgency DESC, coalesce(e.last_response_at, e.started_at) DESC, e.id DESC LIMIT 50
"""
_STATEMENTS = {
    "Small": f"""
SELECT json_build_object('data', json_build_object('citizen', json_build_object(
    'id', c.id, 'name', c.display_name, 'responses', (
        SELECT coalesce(json_agg(json_build_object('id', r.id, 'submittedAt', r.submitted_at, 'colour', r.colour,
                                                   'scores', {_SCORES}) ORDER BY r.submitted_at DESC, r.id DESC), '[]')
        FROM (SELECT * FROM response r WHERE r.municipality_id = c.municipality_id AND r.citizen_id = c.id
              AND r.submitted_at IS NOT NULL ORDER BY r.submitted_at DESC, r.id DESC LIMIT 5) r))))::text
FROM citizen c WHERE c.municipality_id = $1 AND c.id = $2""",
    "Worklist": f"""
SELECT json_build_object('data', json_build_object('careTeam', json_build_object('name', t.name, 'worklist', (
    SELECT json_agg(json_build_object(
        'id', e.id, 'urgency', e.urgency, 'lastResponseAt', e.last_response_at,
        'citizen', json_build_object('id', c.id, 'name', c.display_name, 'birthDate', c.birth_date),
        'latestResponses', (
            SELECT coalesce(json_agg(json_build_object(
                'id', r.id, 'submittedAt', r.submitted_at, 'colour', r.colour,
                'questionnaire', (SELECT json_build_object('title', q.title) FROM questionnaire q
                                  WHERE q.municipality_id = r.questionnaire_owner AND q.id = r.questionnaire_id),
                'scores', {_SCORES}) ORDER BY r.submitted_at DESC, r.id DESC), '[]')
            FROM (SELECT DISTINCT ON (r.questionnaire_url) r.* FROM response r
                  WHERE r.municipality_id = e.municipality_id AND r.episode_id = e.id AND r.submitted_at IS NOT NULL
                    AND NOT r.superseded
                  ORDER BY r.questionnaire_url, r.submitted_at DESC, r.id DESC) r)
        ) ORDER BY e.urgency DESC, coalesce(e.last_response_at, e.started_at) DESC, e.id DESC)
    FROM (SELECT e.* {_WORKLIST}) e JOIN citizen c ON c.municipality_id = e.municipality_id AND c.id = e.citizen_id
    ))))::text
FROM care_team t WHERE t.municipality_id = $1 AND t.id = $2""",
    "Deep": f"""
SELECT json_build_object('data', json_build_object('careTeam', json_build_object('worklist', (
    SELECT json_agg(json_build_object('citizen', json_build_object(
        'id', c.id, 'name', c.display_name, 'responses', (
            SELECT coalesce(json_agg(json_build_object('id', r.id, 'submittedAt', r.submitted_at, 'answers', (
                SELECT coalesce(json_agg(json_build_object(
                    'linkId', a->'linkId', 'question', a->'question', 'values', (
                        SELECT json_agg(json_build_object('kind', v->'kind', 'display', v->'display'))
                        FROM json_array_elements(a->'values') v))), '[]')
                FROM json_array_elements(r.answers) a)) ORDER BY r.submitted_at DESC, r.id DESC), '[]')
            FROM (SELECT * FROM response r WHERE r.municipality_id = c.municipality_id AND r.citizen_id = c.id
                  AND r.submitted_at IS NOT NULL ORDER BY r.submitted_at DESC, r.id DESC LIMIT 10) r)))
        ORDER BY e.urgency DESC, coalesce(e.last_response_at, e.started_at) DESC, e.id DESC)
    FROM (SELECT e.* {_WORKLIST}) e JOIN citizen c ON c.municipality_id = e.municipality_id AND c.id = e.citizen_id
    ))))::text
FROM care_team t WHERE t.municipality_id = $1 AND t.id = $2""",
    "Page": """
SELECT json_build_object('data', json_build_object('responses', json_agg(json_build_object(
    'id', r.id, 'submittedAt', r.submitted_at, 'status', r.status, 'version', r.version, 'superseded', r.superseded,
    'receipt', r.receipt, 'colour', r.colour) ORDER BY r.submitted_at DESC, r.id DESC)))::text
FROM (SELECT * FROM response r WHERE r.municipality_id = $1 AND r.status = 'completed'
      ORDER BY r.submitted_at DESC, r.id DESC LIMIT 1000) r""",
    "Submit": """
SELECT json_build_object('data', json_build_object('submitResponse', json_build_object('response', json_build_object(
    'id', r.id, 'status', r.status, 'version', r.version, 'submittedAt', r.submitted_at))))::text
FROM submit_response($1, $2, $3) r""",
}


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        # No session holds anything that the next one could see.
        return ""


class Floor:
    """One statement a request."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._gate = asyncio.Semaphore(6)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        asked = json.loads((await receive())["body"])
        variables = asked["variables"]
        arguments = [variables["municipality"]]
        arguments += [UUID(variables[name]) for name in ("citizen", "careTeam", "assignment") if name in variables]
        arguments += [variables[name] for name in ("key",) if name in variables]
        async with self._gate, self._pool.acquire() as connection:
            answer = (await connection.fetchval(_STATEMENTS[asked["operationName"]], *arguments)).encode()
        length = str(len(answer)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def main(port: int) -> None:
    """Serve."""
    pool = await asyncpg.create_pool(World.read().dsn("floor"), min_size=1, max_size=6, connection_class=_Connection)
    await serve(Floor(pool), port)


if __name__ == "__main__":
    import uvloop

    announce("floor")
    uvloop.run(main(int(sys.argv[1])))
