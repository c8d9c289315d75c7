"""The permission matrix says who may, the schema says the same, and whoever is not named may not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type, is_non_null_type, is_union_type

from kpro_graph.access import MATRIX, Permission, Scope, holders
from kpro_graph.actors import ActorKind, Role
from kpro_graph.plugins.demo_identity import ACTORS
from kpro_graph.schema import make_schema
from kpro_graph.schema.permissions import OPEN, PERMISSIONS
from tests.living import Api

SCHEMA: Any = make_schema()._schema
ROOTS = {
    f"{root.name}.{name}": field
    for root in (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
    for name, field in root.fields.items()
}
MUTATIONS = sorted(name for name in ROOTS if name.startswith("Mutation.") and PERMISSIONS.get(name))
NAMES = {role: SCHEMA.type_map["Role"].values[role.name].description.partition(":")[0] for role in Role}
ROLES: dict[str, Role | ActorKind] = {
    "enroller": Role.CITIZEN_ENROLLER, "viewer": Role.CLINICAL_VIEWER, "monitor": Role.MONITORING_ASSISTOR,
    "careteam-admin": Role.CARETEAM_ADMINISTRATOR, "clinical-admin": Role.CLINICAL_ADMINISTRATOR,
    "questionnaire-editor": Role.QUESTIONNAIRE_EDITOR, "security-officer": Role.SECURITY_OFFICER,
    "citizen": ActorKind.CITIZEN, "integrator": Role.INTEGRATOR, "integrator-with-answers": Role.INTEGRATOR,
}  # fmt: skip
# Answering is one act, whether it is one's own or typed for a citizen.
ALSO = {"Mutation.saveAnswer": Permission.ASSIST, "Mutation.submitResponse": Permission.ASSIST}


def test_every_root_field_names_its_permission() -> None:
    assert set(PERMISSIONS) == set(ROOTS)


def test_a_field_without_a_permission_says_why() -> None:
    assert {name for name, permission in PERMISSIONS.items() if permission is None} == set(OPEN)
    assert all(reason.endswith(".") for reason in OPEN.values())


def test_every_permission_is_held_by_somebody_as_far_as_the_matrix_says() -> None:
    assert set(MATRIX) == set(Permission)
    assert all(MATRIX[permission] for permission in Permission)
    assert {scope for held in MATRIX.values() for scope in held.values()} == set(Scope)
    assert {holder for held in MATRIX.values() for holder in held} == {*Role, ActorKind.CITIZEN}


def test_those_who_administer_reach_no_citizen() -> None:
    about_citizens = {
        Permission.KNOW_CITIZENS, Permission.SEE_CPR, Permission.SEE_EPISODES, Permission.READ_ANSWERS,
        Permission.SEE_COLOURS, Permission.FOLLOW_UPDATES, Permission.ANSWER, Permission.ASSIST,
        Permission.OPEN_IN_EMERGENCY,
    }  # fmt: skip
    administer = {Role.CARETEAM_ADMINISTRATOR, Role.CLINICAL_ADMINISTRATOR, Role.QUESTIONNAIRE_EDITOR,
                  Role.SECURITY_OFFICER}  # fmt: skip
    assert [each for each in about_citizens if administer & set(MATRIX[each])] == []
    # Whoever enrols does not read; whoever reads does not enrol.
    assert Role.CITIZEN_ENROLLER not in MATRIX[Permission.READ_ANSWERS]


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_the_schema_says_of_who_may_is_what_the_matrix_says(name: str) -> None:
    permission = PERMISSIONS[name]
    assert permission is not None
    who = re.split(r"(?<=[.]) ", ROOTS[name].description)[-1]
    told = {role for role, danish in NAMES.items() if danish in who}
    also = {*holders(ALSO[name])} if name in ALSO else set()
    assert told == {*holders(permission)} | also
    assert ("citizen" in re.sub(r"citizen's", "", who)) == (ActorKind.CITIZEN in MATRIX[permission]), who


def example_of(type_: Any) -> Any:
    """Return a value of an input type that is well formed and refers to nothing."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        fields = {name: field.type for name, field in named.fields.items() if is_non_null_type(field.type)}
        if not fields:  # exactly one of them is given
            fields = {name: field.type for name, field in list(named.fields.items())[:1]}
        made: Any = {name: example_of(each) for name, each in fields.items()}
    elif hasattr(named, "values"):
        made = next(iter(named.values))
    else:
        made = {"ID": "epi_00000000000000000000000000000000", "Boolean": True, "Int": 1}.get(named.name, "0" * 10)
    return [made] if "[" in str(type_) else made


@pytest.mark.parametrize("name", MUTATIONS)
async def test_whoever_the_matrix_does_not_name_is_refused(api: Api, name: str) -> None:
    permission = PERMISSIONS[name]
    assert permission is not None
    field = ROOTS[name]
    variables = {argument: example_of(each.type) for argument, each in field.args.items()}
    declared = ", ".join(f"${argument}: {each.type}" for argument, each in field.args.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    head, call = (f"({declared})", f"({passed})") if declared else ("", "")
    failure = "... on Failure { code }" if is_union_type(get_named_type(field.type)) else ""
    document = f"mutation {head} {{ {name.partition('.')[2]}{call} {{ __typename {failure} }} }}"
    assert set(ROLES) >= set(ACTORS)
    for actor in ACTORS:
        if ROLES[actor] in MATRIX[permission]:
            continue
        answer = await api.answer(document, actor, **variables)
        if answer.get("errors"):
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], (actor, answer)
        else:
            # Answering is judged by the assignment alone: there is none for those who may not.
            (outcome,) = answer["data"].values()
            assert (permission, outcome["code"]) == (Permission.ANSWER, "REFERENCE_UNKNOWN"), (actor, answer)
    nobody = await api.post(document, variables)
    assert {error["extensions"]["code"] for error in nobody.json()["errors"]} == {"UNAUTHENTICATED"}
