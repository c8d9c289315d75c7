"""Insertion: a batch of citizens into the tables, one statement to a table.

COPY is refused where row-level security holds, so rows travel as one array to a column. What many rows share (answers,
scores, explanations) travels once and is spread by the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from kpro_graph import access
from kpro_graph.demo.answering import Edition
from kpro_graph.demo.generation import AssignmentRow, Batch, CitizenRow, EpisodeRow, ResponseRow, finding_id
from kpro_graph.execution import Source
from kpro_graph.responses import ResponseStatus
from kpro_graph.responses.findings import Findings
from kpro_graph.storage.cipher import Cipher

__all__ = ["insert"]

# The columns that the models read as text and the tables keep as JSON.
_JSON = frozenset({"answers", "explanation"})
_CONSENT = ("id", "citizen_id", "episode_id", "decision", "manner", "decided_at", "recorded_kind", "recorded_by")
_PERSON = """
INSERT INTO person (id, cpr_index, cpr_sealed, created_at)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::timestamptz[])
ON CONFLICT (cpr_index) DO NOTHING
"""
_PERSONS = "SELECT id, cpr_index FROM person WHERE cpr_index = ANY($1::bytea[])"


async def insert(connection: Any, cipher: Cipher, batch: Batch) -> Counter[str]:
    """Insert a batch and return how many rows of which kind; the connection is in a transaction of the municipality.

    A person who is in the database already, because another municipality knows them, is that person here too.
    """
    # A merge would write rows in the order of what they share; so a citizen's rows lie together, as they do in use.
    await connection.execute("SET LOCAL enable_mergejoin = off")
    into = _Tables(connection, int(batch.municipality))
    persons = await _insert_people(connection, cipher, batch)
    citizens = [row._replace(person_id=persons[row.person_id]) for row in batch.citizens]
    await into.insert("citizens", access.CITIZEN, CitizenRow._fields, citizens)
    await into.insert("episodes", access.EPISODE, EpisodeRow._fields, batch.episodes)
    decided = [
        (uuid5(row.id, "consent"), row.citizen_id, row.id, "given", "oral", row.started_at, "employee", row.opened_by)
        for row in batch.episodes
        if row.consented_until is not None
    ]
    await into.insert("consents", access.CONSENT, _CONSENT, decided)
    await into.insert("assignments", access.ASSIGNMENT, AssignmentRow._fields, batch.assignments)

    patterns = _Patterns()
    given = [
        (row._replace(author_id=persons[row.author_id]), patterns.place(row.edition, row.findings))
        for row in batch.responses
    ]
    own = ResponseRow._fields[: ResponseRow._fields.index("edition")]
    rows = [(*row[: len(own)], place) for row, place in given]
    await into.insert("responses", access.RESPONSE, own, rows, patterns.responses)
    own = ("id", "response_id", "citizen_id", "submitted_at")
    rows = [
        (finding_id(row.id, number), row.id, row.citizen_id, row.submitted_at, each)
        for row, place in given
        for number, each in enumerate(patterns.scores_of[place])
    ]
    await into.insert("scores", access.SCORE, own, rows, patterns.scores)
    own = ("id", "response_id", "citizen_id")
    rows = [
        (finding_id(row.id, number), row.id, row.citizen_id, each)
        for row, place in given
        for number, each in enumerate(patterns.interpretations_of[place])
    ]
    await into.insert("interpretations", access.INTERPRETATION, own, rows, patterns.interpretations)
    return into.added


async def _insert_people(connection: Any, cipher: Cipher, batch: Batch) -> dict[UUID, UUID]:
    """Return the id each person really has, by the id they were to have."""
    whose = {index: id_ for id_, person in batch.people.items() for index in cipher.indexes(person.cpr)}
    known = await _known(connection, whose)
    new = {
        id_: (person.cpr, since.created_at)
        for (id_, person), since in zip(batch.people.items(), batch.citizens, strict=True)
        if id_ not in known
    }
    if new:
        await connection.execute(
            _PERSON,
            list(new),
            [cipher.index(number) for number, _ in new.values()],
            [cipher.seal(number, id_) for id_, (number, _) in new.items()],
            [since for _, since in new.values()],
        )
        known |= await _known(connection, whose)
    return known


async def _known(connection: Any, whose: Mapping[bytes, UUID]) -> dict[UUID, UUID]:
    rows = await connection.fetch(_PERSONS, list(whose))
    return {whose[row["cpr_index"]]: row["id"] for row in rows}


class _Patterns:
    """What the responses of a batch share: the columns of each pattern, its scores and interpretations, once."""

    def __init__(self) -> None:
        self.responses: list[Mapping[str, Any]] = []
        self.scores: list[Mapping[str, Any]] = []
        self.interpretations: list[Mapping[str, Any]] = []
        self.scores_of: list[range] = []
        self.interpretations_of: list[range] = []
        self._places: dict[tuple[UUID, int], int] = {}

    def place(self, edition: Edition, findings: Findings) -> int:
        """Return the place of the pattern among the patterns; it is taken down when it is met first."""
        key = (edition.id, id(findings))
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.responses)
            self._take_down(edition, findings)
        return place

    def _take_down(self, edition: Edition, findings: Findings) -> None:
        url = edition.compiled.url
        self.responses.append(
            {
                "questionnaire_owner": edition.compiled.owner,
                "questionnaire_id": edition.id,
                "questionnaire_url": url,
                "rule_set_id": edition.compiled.rule_set_id,
                "status": ResponseStatus.COMPLETED.value,
                "source": "patient",
                "answers": findings.answers,
                "colour": findings.colour.value,
                "content_hash": findings.content_hash,
            }
        )
        first = len(self.scores)
        self.scores += [{"questionnaire_url": url, **columns} for columns in findings.scores]
        self.scores_of.append(range(first, len(self.scores)))
        first = len(self.interpretations)
        self.interpretations += findings.interpretations
        self.interpretations_of.append(range(first, len(self.interpretations)))


class _Tables:
    """The tables of one municipality, in one transaction, and how many rows were added to them."""

    def __init__(self, connection: Any, municipality: int) -> None:
        self._connection = connection
        self._municipality = municipality
        self.added: Counter[str] = Counter()

    async def insert(
        self,
        kind: str,
        source: Source,
        own: tuple[str, ...],
        rows: Sequence[Sequence[Any]],
        shared: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Insert rows with these columns of their own.

        Where there are ``shared`` columns, a row ends with the place, among them, of those it takes.
        """
        self.added[kind] += len(rows)
        if rows:
            common = tuple(shared[0]) if shared else ()
            columns = [*zip(*rows, strict=True), *([each[name] for each in shared] for name in common)]
            await self._connection.execute(_statement(source, own, common), self._municipality, *columns)


def _statement(source: Source, own: Sequence[str], shared: Sequence[str]) -> str:
    def arrays(names: Sequence[str], first: int) -> str:
        kinds = ["json" if name in _JSON else source.columns[name] for name in names]
        return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, first))

    columns = ", ".join((*own, *shared))
    taken = f"unnest({arrays(own, 2)}) AS own ({', '.join(own)})"
    if shared:
        place = 2 + len(own)
        taken = (
            f"unnest({arrays(own, 2)}, ${place}::integer[]) AS own ({', '.join(own)}, place)"
            f" JOIN unnest({arrays(shared, place + 1)}) WITH ORDINALITY AS shared ({', '.join(shared)}, number)"
            " ON shared.number = own.place + 1"
        )
    return f"INSERT INTO {source.table} (municipality_id, {columns}) SELECT $1, {columns} FROM {taken}"  # noqa: S608 - names of our own
