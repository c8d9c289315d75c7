"""Insertion: a batch of citizens into the tables, one statement to a table.

COPY is refused where row-level security holds, so rows travel as one array to a column. What many rows share (answers,
scores, explanations) travels once and is spread by the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from kpro_graph.demo.answering import Edition
from kpro_graph.demo.generation import AssignmentRow, Batch, CitizenRow, EpisodeRow, finding_id
from kpro_graph.responses.findings import Findings
from kpro_graph.storage.cipher import Cipher

__all__ = ["insert"]


async def insert(connection: Any, cipher: Cipher, batch: Batch) -> Counter[str]:
    """Insert a batch and return how many rows of which kind; the connection is in a transaction of the municipality.

    A person who is in the database already, because another municipality knows them, is that person here too.
    """
    municipality = int(batch.municipality)
    persons = await _insert_people(connection, cipher, batch)
    citizens = [row._replace(person_id=persons[row.person_id]) for row in batch.citizens]
    await connection.execute(_CITIZEN, municipality, *_columns(citizens, len(CitizenRow._fields)))
    await connection.execute(_EPISODE, municipality, *_columns(batch.episodes, len(EpisodeRow._fields)))
    await connection.execute(_ASSIGNMENT, municipality, *_columns(batch.assignments, len(AssignmentRow._fields)))
    patterns = _Patterns()
    responses = [
        (*row[:4], persons[row.author_id], *row[5:9], patterns.number(row.edition, row.findings))
        for row in batch.responses
    ]
    await connection.execute(_RESPONSE, municipality, *_columns(responses, 10), *_columns(patterns.responses, 8))
    added = Counter(citizens=len(citizens), assignments=len(batch.assignments), responses=len(responses))
    for kind, statement, found, shared, width in (
        ("scores", _SCORE, patterns.scores, patterns.score_rows, 11),
        ("interpretations", _INTERPRETATION, patterns.interpretations, patterns.interpretation_rows, 15),
    ):
        rows = [
            (finding_id(response[0], place), response[0], response[3], response[8], number)
            for response in responses
            for place, number in enumerate(found[response[9]])
        ]
        await connection.execute(statement, municipality, *_columns(rows, 5), *_columns(shared, width))
        added[kind] = len(rows)
    return added


async def _insert_people(connection: Any, cipher: Cipher, batch: Batch) -> dict[UUID, UUID]:
    """Return the id each person really has, by the id they were to have."""
    indexes = {person_id: cipher.index(person.cpr) for person_id, person in batch.people.items()}
    await connection.execute(
        _PERSON,
        list(indexes),
        list(indexes.values()),
        [cipher.seal(person.cpr) for person in batch.people.values()],
        [citizen.created_at for citizen in batch.citizens],
    )
    known = {row["cpr_index"]: row["id"] for row in await connection.fetch(_PERSONS, list(indexes.values()))}
    return {person_id: known[index] for person_id, index in indexes.items()}


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width


class _Patterns:
    """What the responses of a batch share: each edition and findings once, and their scores and interpretations."""

    def __init__(self) -> None:
        self.responses: list[tuple[Any, ...]] = []
        self.scores: list[range] = []
        self.interpretations: list[range] = []
        self.score_rows: list[tuple[Any, ...]] = []
        self.interpretation_rows: list[tuple[Any, ...]] = []
        self._numbers: dict[tuple[UUID, int], int] = {}

    def number(self, edition: Edition, findings: Findings) -> int:
        """Return the place of the pattern, taken down when it is met first."""
        key = (edition.id, id(findings))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.responses)
            self._take_down(number, edition, findings)
        return number

    def _take_down(self, number: int, edition: Edition, findings: Findings) -> None:
        compiled, url = edition.compiled, edition.questionnaire.url
        self.responses.append(
            (
                number,
                compiled.owner,
                edition.id,
                url,
                compiled.rule_set_id,
                findings.answers,
                findings.colour.value,
                findings.content_hash,
            )
        )
        first = len(self.score_rows)
        for place, columns in enumerate(findings.scores, first):
            self.score_rows.append((place, url, *columns.values()))
        self.scores.append(range(first, len(self.score_rows)))
        first = len(self.interpretation_rows)
        for place, columns in enumerate(findings.interpretations, first):
            self.interpretation_rows.append((place, *columns.values()))
        self.interpretations.append(range(first, len(self.interpretation_rows)))


_PERSON = """
INSERT INTO person (id, cpr_index, cpr_sealed, created_at)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::timestamptz[])
ON CONFLICT (cpr_index) DO NOTHING
"""
_PERSONS = "SELECT id, cpr_index FROM person WHERE cpr_index = ANY($1::bytea[])"
_CITIZEN = """
INSERT INTO citizen (municipality_id, id, person_id, given_name, family_name, display_name, sort_name, birth_date,
                     created_at)
SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[],
                         $9::timestamptz[])
"""
_EPISODE = """
INSERT INTO episode_of_care (municipality_id, id, citizen_id, care_team_id, organisation_unit_id, status, legal_basis,
                             reason_code, started_at, ended_at, urgency, last_response_at, opened_by)
SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
                         $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::timestamptz[], $13::uuid[])
"""
_ASSIGNMENT = """
INSERT INTO assignment (municipality_id, id, episode_id, citizen_id, questionnaire_owner, questionnaire_id, status,
                        assigned_at, assigned_by, due_at, completed_at)
SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::integer[], $6::uuid[], $7::text[],
                         $8::timestamptz[], $9::uuid[], $10::timestamptz[], $11::timestamptz[])
"""
_RESPONSE = """
INSERT INTO response (municipality_id, id, assignment_id, episode_id, citizen_id, author_id, receipt, idempotency_key,
                      created_at, submitted_at, questionnaire_owner, questionnaire_id, questionnaire_url, rule_set_id,
                      status, source, answers, colour, content_hash)
SELECT $1, given.id, given.assignment_id, given.episode_id, given.citizen_id, given.author_id, given.receipt,
       given.idempotency_key, given.created_at, given.submitted_at, shared.owner, shared.questionnaire_id, shared.url,
       shared.rule_set_id, 'completed', 'patient', shared.answers, shared.colour, shared.content_hash
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::timestamptz[],
            $10::timestamptz[], $11::integer[])
     AS given (id, assignment_id, episode_id, citizen_id, author_id, receipt, idempotency_key, created_at, submitted_at,
               pattern)
JOIN unnest($12::integer[], $13::integer[], $14::uuid[], $15::text[], $16::uuid[], $17::json[], $18::text[],
            $19::text[])
     AS shared (pattern, owner, questionnaire_id, url, rule_set_id, answers, colour, content_hash) USING (pattern)
"""
_SCORE = """
INSERT INTO score (municipality_id, id, response_id, citizen_id, submitted_at, questionnaire_url, code, position, label,
                   label_en, value, unit, minimum, maximum, explanation)
SELECT $1, found.id, found.response_id, found.citizen_id, found.submitted_at, shared.url, shared.code, shared.position,
       shared.label, shared.label_en, shared.value, shared.unit, shared.minimum, shared.maximum, shared.explanation
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::integer[])
     AS found (id, response_id, citizen_id, submitted_at, place)
JOIN unnest($7::integer[], $8::text[], $9::text[], $10::smallint[], $11::text[], $12::text[], $13::numeric[],
            $14::text[], $15::numeric[], $16::numeric[], $17::json[])
     AS shared (place, url, code, position, label, label_en, value, unit, minimum, maximum, explanation) USING (place)
"""
_INTERPRETATION = """
INSERT INTO interpretation (municipality_id, id, response_id, citizen_id, position, subject, topic, topic_en, label, label_en,
                            colour, meaning, word, word_en, icon, reason, reason_en, explanation)
SELECT $1, found.id, found.response_id, found.citizen_id, shared.position, shared.subject, shared.topic,
       shared.topic_en, shared.label, shared.label_en, shared.colour, shared.meaning, shared.word, shared.word_en, shared.icon, shared.reason,
       shared.reason_en, shared.explanation
FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::integer[])
     AS found (id, response_id, citizen_id, submitted_at, place)
JOIN unnest($7::integer[], $8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
            $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::json[])
     AS shared (place, position, subject, topic, topic_en, label, label_en, colour, meaning, word, word_en, icon, reason,
                reason_en, explanation) USING (place)
"""
