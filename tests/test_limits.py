"""How large an operation may be: what is within the limits is run, what is beyond them is refused before it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    OperationDefinitionNode,
    get_introspection_query,
    get_named_type,
    get_operation_ast,
    is_abstract_type,
    is_leaf_type,
    parse,
)
from graphql.execution.values import get_argument_values, get_variable_values
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from kpro_graph.actors import Role
from kpro_graph.app import make_app
from kpro_graph.errors import ConfigurationError, OperationTooLarge
from kpro_graph.execution import Cursors
from kpro_graph.execution.compiled import Compiler
from kpro_graph.execution.fields import DeclaredField, Lookup, Relation
from kpro_graph.execution.ids import encode
from kpro_graph.execution.limits import Limits
from kpro_graph.schema import make_schema
from kpro_graph.schema.context import Answer, Application, Viewer
from kpro_graph.settings import Settings
from tests.agreement import SCHEMA
from tests.living import EXAMPLES, Api, example
from tests.moving import staff
from tests.operations import Material, operations

NOWHERE = Application(
    cast("Any", SimpleNamespace(deadline=30.0, replicas=None)),
    Cursors(b"thirty-two bytes that nobody knows"),
    cast("Any", None),
)
"""What operations share where there is no database: whatever looks for more of it than the time it gives ends in an error of ours."""

STRICT = make_schema()
"""A schema whose limits a test sets."""

VIEWER = staff(Role.CLINICAL_VIEWER, 101)
MATERIAL = Material(
    {prefix: [encode(prefix, UUID(int=n)) for n in range(3)] for prefix in ("cit", "team", "epi", "asg", "que", "res")},
    {"anywhere": ["AAAA"]},
    ("urn:one",),
    ("who5",),
)
_BACK_AND_FORTH = "careTeam { worklist { nodes { "
DEEP = (
    'query ($team: ID!) { careTeam(id: $team) { worklist { nodes { '
    + _BACK_AND_FORTH * 4 + "id" + " } } }" * 4 + " } } } }"
)  # fmt: skip


# --- What is counted, by a model without any cleverness


class Model:
    """Counts an operation by spreading it out."""

    def __init__(self, document: str, variables: Mapping[str, Any], name: str | None) -> None:
        parsed = parse(document)
        operation = get_operation_ast(parsed, name)
        assert isinstance(operation, OperationDefinitionNode)
        self._fragments = {
            each.name.value: each for each in parsed.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._schema = SCHEMA._schema
        self._variables: Any = get_variable_values(self._schema, operation.variable_definitions or (), dict(variables))
        if isinstance(self._variables, list):
            raise self._variables[0]
        root = self._schema.get_root_type(operation.operation)
        assert root is not None
        self.depth, self.fields, self.rows = self._count(root, [operation])

    def _count(self, type_: GraphQLObjectType, nodes: Sequence[Any]) -> tuple[int, int, int]:
        depth = fields = rows = 0
        for found in self._by_key(type_, nodes).values():
            deeper, more, read = self._field(type_, found)
            depth, fields, rows = max(depth, deeper), fields + more, rows + read
        return depth, fields, rows

    def _by_key(self, type_: GraphQLObjectType, nodes: Sequence[Any]) -> dict[str, list[FieldNode]]:
        found: dict[str, list[FieldNode]] = {}
        for node in nodes:
            for each in self._spread(type_, node.selection_set):
                found.setdefault((each.alias or each.name).value, []).append(each)
        return found

    def _field(self, type_: GraphQLObjectType, nodes: list[FieldNode]) -> tuple[int, int, int]:
        graphql_field: Any = self._schema.get_field(type_, nodes[0].name.value)
        named: Any = get_named_type(graphql_field.type)
        size, reads = self._size(graphql_field, nodes[0])
        beneath = [(0, 0, 0)]
        if not is_leaf_type(named):
            possible = self._schema.get_possible_types(named) if is_abstract_type(named) else [named]
            beneath = [self._count(each, nodes) for each in possible]
        depth, fields, rows = (max(each[n] for each in beneath) for n in range(3))
        return depth + 1, fields + 1, size * (reads + rows)

    def _size(self, graphql_field: Any, node: FieldNode) -> tuple[int, int]:
        definition = graphql_field.extensions.get("strawberry-definition")
        declared = definition.declared if isinstance(definition, DeclaredField) else None
        if isinstance(declared, Lookup):
            given_ = get_argument_values(graphql_field, node, self._variables)
            return (min(len(given_["ids"]), declared.most) if declared.most else 1), 1
        if isinstance(declared, Relation):
            if declared.shape != "connection":
                return (1 if declared.shape == "one" else declared.maximum), 1
            given_ = get_argument_values(graphql_field, node, self._variables)
            sizes = [given_[name] for name in ("first", "last") if given_.get(name) is not None]
            return min(max([*sizes, 0]) if sizes else declared.default, declared.maximum), 1
        listed = definition is not None and definition.metadata.get("given") and "[" in str(graphql_field.type)
        return (10 if listed else 1), 0

    def _spread(self, type_: GraphQLObjectType, selections: Any) -> Iterator[FieldNode]:
        for each in selections.selections:
            if not all(self._holds(directive) for directive in each.directives or ()):
                continue
            if isinstance(each, FieldNode):
                yield each
                continue
            fragment = self._fragments[each.name.value] if hasattr(each, "name") else each
            condition = fragment.type_condition
            on = type_ if condition is None else self._schema.get_type(condition.name.value)
            abstract = isinstance(on, (GraphQLInterfaceType, GraphQLUnionType))
            if on is type_ or (abstract and self._schema.is_sub_type(cast("Any", on), type_)):
                yield from self._spread(type_, fragment.selection_set)

    def _holds(self, directive: Any) -> bool:
        value = directive.arguments[0].value
        wanted = value.value if hasattr(value, "value") else self._variables.coerced[value.name.value]
        return bool(wanted) is (directive.name.value == "include")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
async def test_no_operation_within_the_limits_is_refused_and_none_beyond_them_is_run(drawn: Any) -> None:
    asked = drawn.draw(operations(SCHEMA._schema, MATERIAL))
    try:
        model = Model(asked.document, asked.variables, asked.name)
    except GraphQLError:
        # An argument that is none: what it would be within is said by nobody.
        reject()
    for name, number in (("depth", model.depth), ("fields", model.fields), ("rows", model.rows)):
        roomy = {"depth": 10**6, "fields": 10**6, "rows": 10**30} | {name: number}
        Compiler(SCHEMA, limits=Limits(10**6, **roomy)).bound(asked.document, asked.variables, asked.name)
        if number == 0:
            continue
        STRICT.compiler = Compiler(STRICT, limits=Limits(10**6, **roomy | {name: number - 1}))
        for execute in (STRICT.answer, _plainly(STRICT)):
            answered: Any = await execute(asked.document, asked.variables, Viewer(NOWHERE, VIEWER), asked.name)
            assert answered.data is None
            (error,) = answered.errors
            assert error.extensions["code"] == "OPERATION_TOO_LARGE"
            assert (error.extensions["limit"], error.extensions["most"]) == (name, number - 1)
            assert error.extensions["number"] >= number - (name != "rows" and name != "fields")
            assert error.extensions["field"]
            assert error.locations


def _plainly(schema: Any) -> Any:
    """Return the way of an operation that is not compiled."""
    return lambda document, variables, viewer, name: schema.execute(document, variables, viewer, operation_name=name)


# --- What it is for


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.graphql")), ids=lambda file: file.stem)
def test_every_example_is_within_the_limits_at_its_largest(file: Any) -> None:
    document = file.read_text()
    operation = get_operation_ast(parse(document), None)
    assert operation is not None
    sizes = {each.variable.name.value: 100 for each in operation.variable_definitions or () if _is_int(each)}
    whole = " ".join(document.split())
    for name in sizes:
        whole = whole.replace(f"${name}: Int!", f"${name}: Int = 100").replace(f"${name}: Int)", f"${name}: Int = 100)")
    Compiler(SCHEMA).bound(document, sizes, None)


def _is_int(definition: Any) -> bool:
    return getattr(definition.type, "name", None) is not None and definition.type.name.value == "Int"


async def test_what_common_tools_ask_of_the_schema_is_within_the_limits() -> None:
    asked = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    answered: Any = await SCHEMA.answer(asked, None, Viewer(NOWHERE, None), None)
    assert answered.errors is None
    assert answered.data["__schema"]["queryType"]["name"] == "Query"


async def test_lists_that_lead_back_and_forth_five_pages_deep_are_refused_at_the_page_that_goes_over() -> None:
    answered: Any = await SCHEMA.answer(DEEP, {"team": "team_1"}, Viewer(NOWHERE, VIEWER), None)
    (error,) = answered.errors
    assert error.extensions == {
        "code": "OPERATION_TOO_LARGE",
        "limit": "rows",
        "number": 1 + sum(50**n * (1 if n == 5 else 2) for n in range(1, 6)),
        "most": 10_000_000,
        "field": ".".join(["careTeam", *["worklist.nodes.careTeam"] * 4]),
    }


def test_the_size_of_a_page_that_comes_from_a_variable_is_weighed_at_each_run() -> None:
    compiler = Compiler(SCHEMA, limits=Limits(rows=500))
    document = "query ($n: Int = 7) { careTeams(first: $n) { nodes { worklist(first: 9) { nodes { id } } } } }"
    for given_ in ({}, {"n": 7}, {"n": 50}, {"n": 0}, {"n": None}):
        compiler.bound(document, given_, None)
    for size in (51, 100):
        with pytest.raises(GraphQLError) as refused:
            compiler.bound(document, {"n": size}, None)
        assert (_cause(refused.value).number, _cause(refused.value).path) == (size * 10, "careTeams.nodes.worklist")


def _cause(error: GraphQLError) -> OperationTooLarge:
    cause = error.original_error
    assert isinstance(cause, OperationTooLarge)
    return cause


def test_fragments_that_double_with_every_level_are_counted_as_what_they_are_and_not_spread_out() -> None:
    chain = [f"fragment F{n} on CareTeam {{ a: worklist {{ ...G{n} }} b: worklist {{ ...G{n} }} }}" for n in range(14)]
    links = [
        f"fragment G{n} on EpisodeOfCareConnection {{ nodes {{ careTeam {{ ...F{n + 1} }} }} }}" for n in range(14)
    ]
    document = "\n".join(
        ['{ careTeam(id: "team_1") { ...F0 } }', *chain, *links, "fragment F14 on CareTeam { id name }"]
    )
    for limits, limit in ((Limits(depth=20), "depth"), (Limits(depth=10**3), "fields")):
        with pytest.raises(GraphQLError) as refused:
            Compiler(SCHEMA, limits=limits).bound(document, None, None)
        assert _cause(refused.value).limit == limit


async def test_a_document_of_too_many_tokens_is_refused_while_it_is_read() -> None:
    document = "{ " + "me { name } " * 4_000 + "}"
    answered: Any = await SCHEMA.answer(document, None, Viewer(NOWHERE, VIEWER), None)
    (error,) = answered.errors
    assert error.extensions["code"] == "OPERATION_TOO_LARGE"
    assert (error.extensions["limit"], error.extensions["most"], error.extensions["field"]) == ("tokens", 10_000, "")


# --- Every way in


async def test_a_mutation_that_asks_too_much_of_its_result_changes_nothing() -> None:
    small = make_schema(Limits(depth=4))
    asked = example("find-citizen").replace("birthDate", "birthDate episodes { nodes { id } }")
    for execute in (small.answer, _plainly(small)):
        answered: Any = await execute(asked, {"cpr": "0101010101"}, Viewer(NOWHERE, VIEWER), None)
        assert [each.extensions["code"] for each in answered.errors] == ["OPERATION_TOO_LARGE"]
        assert answered.errors[0].extensions["field"].startswith("findCitizen.citizen.episodes")


async def test_an_operation_beyond_the_limits_is_refused_over_every_way_in(api: Api) -> None:
    token, variables = api.token("viewer"), {"team": "team_1"}
    posted = (await api.post(DEEP, variables, token=token)).json()
    headers = {"Authorization": f"Bearer {token}"}
    asked = {"query": DEEP, "variables": json.dumps(variables)}
    got = (await api.http.get("/graphql/", params=asked, headers=headers)).json()
    nobodys = (await api.post(DEEP, variables)).json()
    told = [posted, got, nobodys]
    followed = "subscription { responseUpdates { response { " + "citizen { episodes { nodes { " * 5 + "id"
    for document, given_ in ((DEEP, variables), (followed + " } } }" * 5 + " } } }", {})):
        async with api.follow(document, "viewer", **given_) as following:
            message = await following.next()
            told.append(
                {"data": None, "errors": message["payload"]} if message["type"] == "error" else message["payload"]
            )
    for each in told:
        assert each.get("data") is None
        assert [error["extensions"]["code"] for error in each["errors"]] == ["OPERATION_TOO_LARGE"]


async def test_an_answer_within_the_limits_of_a_run_is_still_compiled(api: Api) -> None:
    answered = await make_schema().answer(
        "{ careTeams(first: 3) { nodes { id } } }", None, Viewer(api.product.application, VIEWER), None
    )
    assert isinstance(answered, Answer)


async def test_an_installation_sets_its_own_limits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="KPRO_OPERATION_DEPTH is a number from 15 to 100"):
        Settings.read({"KPRO_OPERATION_DEPTH": "14"})
    set_ = Settings.read({"KPRO_OPERATION_DEPTH": "15", "KPRO_OPERATION_ROWS": "1000000000"})
    monkeypatch.setattr(
        api.product,
        "settings",
        replace(api.product.settings, operation_depth=set_.operation_depth, operation_rows=set_.operation_rows),
    )
    transport = httpx.ASGITransport(app=make_app(api.product), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=api.address) as client:
        asked = {"query": DEEP, "variables": {"team": "team_1"}}
        headers = {"Authorization": f"Bearer {api.token('viewer')}"}
        answered = (await client.post("/graphql/", json=asked, headers=headers)).json()
    (error,) = answered["errors"]
    assert (error["extensions"]["limit"], error["extensions"]["most"]) == ("depth", 15)
