"""Rows that links lead to, and rows of one table that are of several types: both executions, one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpro_graph.execution.compiled import NotCompiled
from kpro_graph.execution.ids import encode
from tests.library import BY_TIME, BY_TITLE, SCHEMA, Library, Reader, filled, ids
from tests.operations import Material, operations

# Where a field is refused, graphql-core leaves others waiting that it never runs.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning"
)
EVERYWHERE = Reader((1, 2, 3))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def library(worlds: Any) -> AsyncIterator[Library]:
    """Give a library that nobody changes."""
    async with filled(worlds.postgres, 1) as library:
        yield library


@pytest_asyncio.fixture
async def own(worlds: Any) -> AsyncIterator[Library]:
    """Give a library that a test may change."""
    async with filled(worlds.postgres, 2) as library:
        yield library


async def material(library: Library) -> Material:
    """Return what operations are made of."""
    cursors = {}
    for listing, table, order in (("Query.books:", "book", BY_TITLE), ("Book.log:", "happening", BY_TIME)):
        listed = ", ".join(term.expression.format(t="t") for term in order.terms)
        rows = await library.connection.fetch(f"SELECT {listed} FROM {table} t")
        cursors[listing] = [library.cursors.seal(listing, list(row)) for row in rows]
    return Material(ids(), cursors, ("",), ("",))


async def both(library: Library, reader: Reader, document: str, variables: dict[str, Any] | None = None) -> Any:
    """Return the data that both executions give, having noted the same; the compiled one reads with one statement."""
    compiled = await library.compiled(reader, document, variables)
    assert not isinstance(compiled, NotCompiled), compiled.reason
    answer, snapshot = compiled
    expected, other, errors = await library.reference(reader, document, variables)
    assert errors == []
    assert answer == expected
    assert snapshot.noted == other.noted
    assert snapshot.statements <= 1
    return answer["data"]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
async def test_random_operations_are_answered_and_noted_alike_by_both(library: Library, drawn: Any) -> None:
    reader = Reader(tuple(drawn.draw(st.lists(st.integers(1, 3), unique=True).map(sorted))))
    asked = drawn.draw(operations(SCHEMA._schema, await material(library)))
    compiled = await library.compiled(reader, asked.document, asked.variables, asked.name)
    expected, noted, errors = await library.reference(reader, asked.document, asked.variables, asked.name)
    if isinstance(compiled, NotCompiled):
        # Beneath a row that is not there the reference does not come upon the fault.
        assert errors or (asked.faulty and "refused" in compiled.reason), compiled.reason
        return
    assert errors == []
    assert compiled[0] == expected
    assert compiled[1].noted == noted.noted


@pytest.mark.parametrize(
    "beneath",
    [
        "happenings { ... on Lent { person { books { authors { books { id } } authorPages(first: -1) { id: __typename } } } } }",
        "happenings { ... on Read { others(first: -1) { totalCount } } ... on Lent { book { authors { books { title } } } } }",
    ],
)
async def test_what_several_fields_wait_for_is_not_taken_from_others_by_an_error_in_one(
    library: Library, beneath: str
) -> None:
    document = f"{{ people(first: 2) {{ nodes {{ books {{ authors {{ books {{ {beneath} }} }} }} }} }} }}"
    _, _, errors = await library.reference(EVERYWHERE, document)
    assert {str(each.original_error) for each in errors} == {"first is between 0 and 100"}


async def test_rows_that_several_links_lead_to_are_there_once_and_in_order(library: Library) -> None:
    document = "{ books { nodes { id authors { id name } authorPages(first: 50) { totalCount nodes { id } } } } }"
    answered = await both(library, EVERYWHERE, document)
    sql = """
      SELECT DISTINCT p.name, p.id FROM authorship a JOIN person p ON p.id = a.person_id
      WHERE a.book_id = $1 ORDER BY p.name, p.id
    """
    doubled = 0
    for book in answered["books"]["nodes"]:
        expected = await library.connection.fetch(sql, UUID(book["id"].removeprefix("book_")))
        assert [each["id"] for each in book["authors"]] == [encode("person", row["id"]) for row in expected]
        assert [each["id"] for each in book["authorPages"]["nodes"]] == [each["id"] for each in book["authors"]]
        assert book["authorPages"]["totalCount"] == len(expected)
        links = "SELECT count(*) FROM authorship WHERE book_id = $1"
        doubled += await library.connection.fetchval(links, UUID(book["id"].removeprefix("book_"))) > len(expected)
    assert doubled


@pytest.mark.parametrize("rooms", [(), (1,), (2, 3)])
async def test_neither_a_link_nor_what_it_leads_to_is_seen_where_the_judge_does_not_let_it(
    library: Library, rooms: tuple[int, ...]
) -> None:
    document = "{ books { nodes { id authors { id books { id } } } } me { mine { id } } }"
    answered = await both(library, Reader(rooms), document)
    sql = """
      SELECT DISTINCT p.id FROM authorship a JOIN person p ON p.id = a.person_id
      WHERE a.book_id = $1 AND a.room = ANY($2) AND p.room = ANY($2)
    """
    for book in answered["books"]["nodes"]:
        rows = await library.connection.fetch(sql, UUID(book["id"].removeprefix("book_")), list(rooms))
        assert {each["id"] for each in book["authors"]} == {encode("person", row["id"]) for row in rows}
        assert all(book["id"] in {each["id"] for each in author["books"]} for author in book["authors"])
    links = "SELECT count(DISTINCT book_id) FROM authorship WHERE person_id = $1 AND room = ANY($2)"
    assert len(answered["me"]["mine"]) == await library.connection.fetchval(links, UUID(int=1), list(rooms))


async def test_links_lead_there_and_back_in_one_statement(library: Library) -> None:
    answered = await both(
        library, EVERYWHERE, "{ me { mine { authors { books { authors { name } happenings { at } } } } } }"
    )
    assert any(each["authors"] for each in answered["me"]["mine"])


async def test_rows_are_of_the_type_that_a_column_says(library: Library) -> None:
    document = """
      { happenings(first: 100) { totalCount edges { cursor node {
          __typename id at
          ... on Happening { again: at }
          ... on Lent { note person { name } book { title } }
          ... on Lost { hidden: note said }
          ... on Read { said weight { grams halves } others(first: 1) { totalCount nodes { name } } }
      } } } }
    """
    answered = await both(library, EVERYWHERE, document)
    found = [edge["node"] for edge in answered["happenings"]["edges"]]
    assert {each["__typename"] for each in found} == {"Lent", "Lost", "Read"}
    for each in found:
        row = await library.connection.fetchrow(
            "SELECT * FROM happening WHERE id = $1", UUID(each["id"].removeprefix("hap_"))
        )
        assert {"lent": "Lent", "it's lost": "Lost", "read": "Read"}[row["kind"]] == each["__typename"]
        if row["kind"] == "lent":
            assert each["note"] == (row["note"] if row["at"] > 3 else None)
        elif row["kind"] == "read":
            assert each["weight"] == {"grams": row["at"], "halves": [row["at"] // 2] * 2}
        else:
            assert (each["hidden"], each["said"]) == (row["note"] if row["at"] <= 3 else None, f"Lost {row['note']}!")


async def test_what_is_asked_of_one_kind_is_not_noted_of_another(library: Library) -> None:
    document = "{ books { nodes { log(first: 100) { nodes { ... on Lent { at } ... on Lost { note } } } } } }"
    await both(library, EVERYWHERE, document)
    compiled = await library.compiled(EVERYWHERE, document)
    assert not isinstance(compiled, NotCompiled)
    told = {(person, group) for _, person, _, group in (each for each in compiled[1].noted if len(each) == 4)}
    kinds = {"lent": "loans", "it's lost": "losses", "read": "happenings"}
    rows = await library.connection.fetch("SELECT person_id, kind FROM happening WHERE person_id IS NOT NULL")
    assert told == {(row["person_id"], kinds[row["kind"]]) for row in rows}


async def test_a_row_of_no_declared_type_is_a_fault_and_nothing_is_told_of_it(own: Library) -> None:
    asked = "{ happenings(first: 100) { totalCount nodes { id at } } }"
    await both(own, EVERYWHERE, asked)
    await own.connection.execute(
        "UPDATE happening SET kind = 'burnt' WHERE id = (SELECT min(id::text)::uuid FROM happening)"
    )
    compiled = await own.compiled(EVERYWHERE, asked)
    assert isinstance(compiled, NotCompiled)
    assert compiled.reason == "the answer could not be put together (Fault)"
    answer, snapshot, errors = await own.reference(EVERYWHERE, asked)
    assert answer == {"data": None}
    assert [type(each.original_error).__name__ for each in errors] == ["UndeclaredKind"]
    assert snapshot.noted == set()
    # Where none of the rows is asked for, there is nothing to be told.
    assert (await both(own, EVERYWHERE, "{ happenings { totalCount } }"))["happenings"]["totalCount"] == 46


async def test_a_row_of_no_declared_type_that_lies_beyond_a_page_is_nobodys_concern(own: Library) -> None:
    last = "(SELECT id FROM happening ORDER BY at DESC, id OFFSET 4 LIMIT 1)"
    await own.connection.execute(f"UPDATE happening SET kind = 'burnt' WHERE id = {last}")
    answered = await both(own, EVERYWHERE, "{ happenings { nodes { id } pageInfo { hasNextPage } } }")
    assert answered["happenings"]["pageInfo"] == {"hasNextPage": True}
    assert isinstance(await own.compiled(EVERYWHERE, "{ happenings(first: 5) { nodes { id } } }"), NotCompiled)


async def test_a_list_whose_types_are_read_from_several_tables_is_left_to_the_reference(library: Library) -> None:
    field: Any = SCHEMA._schema.type_map["Book"].fields["birth"].extensions["strawberry-definition"]  # type: ignore[attr-defined]
    assert set(field.declared.kinds.types.values()) == {
        each.name
        for each in SCHEMA._schema.get_possible_types(SCHEMA._schema.type_map["Happening"])  # type: ignore[arg-type]
    }
    answered = await both(library, EVERYWHERE, "{ books { nodes { birth { __typename ... on Read { said } } } } }")
    assert [each["birth"] for each in answered["books"]["nodes"]].count(None) == 3
