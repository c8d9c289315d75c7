"""The long proof that two executions are one; ``KPRO_OPERATIONS`` says how many random operations it takes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from graphql import GraphQLEnumType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpro_graph.actors import Actor, ActorKind, Role
from kpro_graph.execution import Cursors, DeclaredField, Loading
from kpro_graph.execution.compiled import Compiler, NotCompiled
from kpro_graph.execution.ids import split
from tests.agreement import COMPILER, SCHEMA
from tests.moving import staff
from tests.operations import HOSTILE, literal, operations
from tests.situations import UNPLANNED, Situation, furnish, unlike

EXAMPLES = int(os.environ.get("KPRO_OPERATIONS", "2000"))

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600 + EXAMPLES // 5)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def situation(worlds: Any, loaded: str) -> AsyncIterator[Situation]:
    """Give a world with data in every state, and many who ask."""
    async with worlds.fresh(loaded) as api:
        COMPILER.counts.clear()
        yield await furnish(api, strangers=300)
    # Had most operations gone to the reference, their agreement would prove little.
    assert COMPILER.counts[""] > 5 * sum(count for reason, count in COMPILER.counts.items() if reason)


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
async def test_random_operations_are_answered_and_logged_alike_by_both(situation: Situation, drawn: Any) -> None:
    asker = drawn.draw(st.sampled_from(situation.askers))
    asked = drawn.draw(
        operations(SCHEMA._schema, situation.material, seen=asker.ids, avoid=UNPLANNED, allowed=asker.may)
    )
    assert not await unlike(situation.api, asker.actor, asked)


# --- Values never become text


class _ToldError(Exception):
    """What would be sent to the server."""

    def __init__(self, sql: str, arguments: Sequence[object]) -> None:
        super().__init__()
        self.sql = sql
        self.arguments = tuple(arguments)


class Listening:
    """A snapshot of nothing, which tells what it is asked."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        raise _ToldError(sql, arguments)

    def saw_rows(self, *_: Any) -> bool:
        return False

    def saw_nobody(self, *_: Any, **__: Any) -> None: ...


# One of its own: what is refused here says nothing of how random operations were executed.
TELLING = Compiler(SCHEMA)
CURSORS = Cursors(b"a secret of this test, which is long enough for it")
# How each type with a list or a look-up that takes arguments is come by.
WAYS = {
    "Query": "{%s}",
    "Me": "{ me {%s} }",
    "Citizen": "{ me { citizen {%s} } }",
    "EpisodeOfCare": "{ me { citizen { episodes { nodes {%s} } } } }",
    "CareTeam": "{ careTeams { nodes {%s} } }",
}
VIEWER = staff(Role.CLINICAL_VIEWER, 101)
OFFICER = replace(staff(Role.SECURITY_OFFICER, 101), kind=ActorKind.SECURITY_OFFICER)
ASKING = {"accessLog": OFFICER, "emergencyAccesses": OFFICER}
CITIZEN = replace(staff(Role.CITIZEN_ENROLLER, 101), kind=ActorKind.CITIZEN, citizens=(UUID(int=1),))


def places() -> list[tuple[str, str]]:
    """Return every field that reads rows by arguments: its type and its name."""
    found = []
    for type_ in SCHEMA._schema.type_map.values():
        for name, each in getattr(type_, "fields", {}).items():
            definition = each.extensions.get("strawberry-definition")
            if isinstance(definition, DeclaredField) and each.args:
                found.append((type_.name, name))
    return found


async def told(actor: Actor, document: str, variables: dict[str, Any]) -> tuple[str, tuple[object, ...]] | None:
    """Return the statement an operation makes, with its parameters; None where it is refused or asks for nothing."""

    async def open_() -> Any:
        return Listening(actor)

    context = SimpleNamespace(loading=Loading(actor, open_, CURSORS), actor=actor, name="")
    try:
        await TELLING.run(document, variables, None, context)
    except _ToldError as said:
        return said.sql, said.arguments
    except NotCompiled as said:
        if said.reason not in {"an argument or an object at hand is refused", "the variables are not valid"}:
            raise
    return None


def written(type_: str, name: str, arguments: dict[str, str], inner: str) -> str:
    """Return a document that reads a field with these arguments, as they are written."""
    given = ", ".join(f"{key}: {text}" for key, text in arguments.items())
    field = f"{name}({given}) {inner}" if given else f"{name} {inner}"
    return WAYS[type_].replace("%s", f" {field} ")


def tame(value: Any, argument: str) -> Any:
    """Return a harmless value of the same shape."""
    match value:
        case str() if "\0" in value:
            return "\0"
        case str() if argument in {"after", "before", "orderBy", "action"}:
            return value
        case str() if argument == "id" or argument.endswith("Id"):
            return "nothing of ours" if split(value) is None else value
        case str() if argument in {"from", "to"}:
            return "2020-02-02T00:00:00Z"
        case list() | bool() | int() | None:
            return value
    return "tame"


HARD = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.sampled_from(HOSTILE).map(lambda text: text * 2))


def values(argument: str, type_: Any) -> st.SearchStrategy[Any]:
    """Return hard values for an argument; enums and times, which cannot be hard, as they come."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLEnumType):
        each = st.sampled_from(list(named.values))
        return st.lists(each, max_size=4) if "[" in str(type_) else each
    match named.name:
        case "Int":
            return st.integers(-(2**31), 2**31 - 1) | st.integers(0, 100)
        case "Boolean":
            return st.booleans()
        case "DateTime":
            return st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    return HARD


@pytest.mark.parametrize(("type_", "name"), places())
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
async def test_no_value_becomes_text_of_a_statement(type_: str, name: str, drawn: Any) -> None:
    parent: Any = SCHEMA._schema.type_map[type_]
    graphql_field = parent.fields[name]
    inner = "{ __typename }"
    if "nodes" in getattr(get_named_type(graphql_field.type), "fields", {}):
        inner = "{ totalCount edges { cursor } nodes { __typename } }"
    required = [each for each, given in graphql_field.args.items() if str(given.type).endswith("!")]
    chosen = drawn.draw(st.sets(st.sampled_from(sorted(graphql_field.args)))) | set(required)
    given_ = {each: drawn.draw(values(each, graphql_field.args[each].type)) for each in sorted(chosen)}
    actor = ASKING.get(name, VIEWER) if type_ in {"Query", "CareTeam"} else CITIZEN
    declared = ", ".join(f"${each}: {graphql_field.args[each].type}" for each in given_)
    document = f"query ({declared}) " if declared else ""
    document += written(type_, name, {each: f"${each}" for each in given_}, inner)
    found = await told(actor, document, given_)
    twin = await told(actor, document, {each: tame(value, each) for each, value in given_.items()})
    spelled = written(
        type_, name, {each: literal(graphql_field.args[each].type, value) for each, value in given_.items()}, inner
    )
    said = await told(actor, spelled, {})
    assert (found is None) == (twin is None) == (said is None), (document, given_)
    if found is None or twin is None or said is None:
        return
    assert found[0] == twin[0] == said[0]
    assert found[1] == said[1]
    assert found[0].isascii()
    assert "\0" not in found[0]
    for value in given_.values():
        if isinstance(value, str) and len(value) > 3 and value not in twin[0]:
            assert value not in found[0]


def test_every_way_to_give_a_value_is_tried() -> None:
    assert {type_ for type_, _ in places()} == set(WAYS)
    assert len(places()) > 20
