"""Where an employee can act: grants, units, teams and KLE numbers, and the choice between several places."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.actors import Actor, ActorKind, Credentials, Grant, Identity, Role
from kpro_graph.errors import ContextRequired, NotAuthenticated
from kpro_graph.identity import authenticate
from kpro_graph.places import NO_KLE, Places, matches_kle
from tests.living import Api
from tests.people import DEMOGRAPHY, PEOPLE, employee, grant, member

TEAMS = DEMOGRAPHY.care_teams("0101")
UNITS = DEMOGRAPHY.organisation_units("0101")
VIEWER, MONITOR, ENROLLER = Role.CLINICAL_VIEWER, Role.MONITORING_ASSISTOR, Role.CITIZEN_ENROLLER

# --- KLE


@pytest.mark.parametrize(
    ("pattern", "number", "matches"),
    [
        ("29.70.10", "29.70.10", True),
        ("29.70.10", "29.70.20", False),
        ("2*", "29.70.10", True),
        ("2*", "31.70.10", False),
        ("29.*", "29.70.10", True),
        ("29.*", "28.70.10", False),
        ("29.7*", "29.70.10", True),
        ("29.7*", "29.80.10", False),
        ("29.70.*", "29.70.20", True),
        ("29.70.*", "29.71.20", False),
        ("29.70.1*", "29.70.10", True),
        ("29.70.1*", "29.70.20", False),
        # A unit that performs a whole group performs each subject in it.
        ("29.70.10", "29.70", True),
        ("29.70.10", "29", True),
        ("29.70.10", "29.71", False),
        ("29.7*", "29", True),
        ("29.70.*", "29.70", True),
        # No KLE at all: whoever has it may sign in and sees nothing.
        (NO_KLE, NO_KLE, False),
        (NO_KLE, "29.70.10", False),
        ("9*", NO_KLE, False),
        ("99.*", NO_KLE, False),
        # What has not the form of a pattern or of a number matches nothing.
        ("*", "29.70.10", False),
        ("", "29.70.10", False),
        ("29", "29.70.10", False),
        ("29.70", "29.70.10", False),
        ("29.70.10.*", "29.70.10", False),
        ("29.*", "", False),
        ("2*", "2", False),
    ],
)
def test_a_kle_pattern_names_what_it_says_and_nothing_else(pattern: str, number: str, matches: bool) -> None:
    assert matches_kle(pattern, number) is matches


# --- Places, drawn


def _id(kind: int, number: int) -> UUID:
    return UUID(int=(kind << 64) | number)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[UUID, Any], dict[UUID, Any], dict[str, set[UUID]], list[Grant]]:
    """Draw units in a forest, teams in them, memberships, and grants that name some of what is and of what is not."""
    units: dict[UUID, Any] = {}
    for number in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from([None, *units])) if units else None
        kle = draw(st.lists(st.sampled_from(["29.70.10", "29.70.20", "29", "27.18"]), max_size=2))
        units[_id(1, number)] = {"parent_id": parent, "kle": kle}
    teams = {
        _id(2, number): {"organisation_unit_id": unit, "kle": units[unit]["kle"]}
        for number, unit in enumerate(draw(st.lists(st.sampled_from(list(units)), max_size=5)))
    }
    roles = [VIEWER, MONITOR, ENROLLER, Role.SECURITY_OFFICER, Role.INTEGRATOR]
    memberships = {
        role.value: draw(st.sets(st.sampled_from(list(teams)), max_size=3)) if teams else set() for role in roles
    }
    some_units = st.frozensets(st.sampled_from([str(each) for each in [*units, _id(1, 99)]]), max_size=3)
    some_teams = st.frozensets(st.sampled_from([str(each) for each in [*teams, _id(2, 99)]]), max_size=2)
    some_kle = st.frozensets(st.sampled_from(["29.*", "29.70.10", "27.*", NO_KLE]), max_size=2)
    constraints = st.fixed_dictionaries(
        {}, optional={"organisation_unit": some_units, "care_team": some_teams, "kle": some_kle}
    )
    grants = st.builds(Grant, st.frozensets(st.sampled_from(roles), min_size=1, max_size=2), constraints)
    return units, teams, memberships, draw(st.lists(grants, max_size=4))


def allowed(
    units: dict[UUID, Any], teams: dict[UUID, Any], memberships: dict[str, set[UUID]], grants: Iterable[Grant]
) -> set[tuple[Role, str, UUID]]:
    """Read the grants literally, each constraint on its own: what may be reached at the very most."""
    reached = set()
    for each in grants:
        constraints = each.constraints
        if not ({"organisation_unit", "care_team"} & constraints.keys()):
            continue

        def meets(row: Any, unit: UUID, team: UUID | None, constraints: Any = constraints) -> bool:
            tasks = "kle" not in constraints or any(
                matches_kle(pattern, number) for pattern in constraints["kle"] for number in row["kle"]
            )
            here = "organisation_unit" not in constraints or str(unit) in constraints["organisation_unit"]
            named = "care_team" not in constraints or str(team) in constraints["care_team"]
            return tasks and here and named

        for role in each.roles - {Role.INTEGRATOR}:
            reached |= {(role, "unit", unit) for unit, row in units.items() if meets(row, unit, None)}
            reached |= {
                (role, "team", team)
                for team, row in teams.items()
                if meets(row, row["organisation_unit_id"], team)
                and ("care_team" in constraints or team in memberships[role.value])
            }
    return reached


def make(units: Any, teams: Any, memberships: Any, grants: Iterable[Grant]) -> Places:
    places = Places(units, teams)
    for each in grants:
        places.grant(each, memberships)
    return places


def reached_in(places: Places, context: Any) -> set[tuple[Role, str, UUID]]:
    teams, units = places.reach(context)
    assert set(teams) == set(units) == set(context.roles)
    return {(role, "team", team) for role, found in teams.items() for team in found} | {
        (role, "unit", unit) for role, found in units.items() for unit in found
    }


@given(worlds())
def test_no_place_reaches_beyond_what_the_grants_say(world: Any) -> None:
    places, most = make(*world), allowed(*world)
    for context in places.contexts():
        assert reached_in(places, context) <= most
        assert Role.INTEGRATOR not in context.roles


@given(worlds())
def test_everything_that_is_granted_can_be_reached_from_some_place(world: Any) -> None:
    places, most = make(*world), allowed(*world)
    reached = set().union(*(reached_in(places, context) for context in places.contexts()))
    # A security officer watches over a municipality and follows nobody.
    assert {each for each in most if each[:2] != (Role.SECURITY_OFFICER, "team")} == reached


@given(worlds())
def test_a_security_officers_place_stands_apart(world: Any) -> None:
    places = make(*world)
    for context in places.contexts():
        assert context.roles == {Role.SECURITY_OFFICER} or Role.SECURITY_OFFICER not in context.roles
        assert context.key.startswith("officer_") == (Role.SECURITY_OFFICER in context.roles)


@given(worlds())
def test_a_place_is_one_team_or_one_tree_of_units(world: Any) -> None:
    units, teams, *_ = world
    places = make(*world)
    for context in places.contexts():
        if context.care_team is None:
            for _, kind, found in reached_in(places, context):
                unit = found if kind == "unit" else teams[found]["organisation_unit_id"]
                while unit != context.organisation_unit:
                    unit = units[unit]["parent_id"]
        else:
            assert teams[context.care_team]["organisation_unit_id"] == context.organisation_unit


@given(worlds(), st.integers(0, 3))
def test_a_further_constraint_never_widens(world: Any, which: int) -> None:
    units, teams, memberships, grants = world
    narrowed = [
        Grant(each.roles, {**each.constraints, "organisation_unit": frozenset({str(next(iter(units)))})})
        if number == which and "organisation_unit" not in each.constraints
        else each
        for number, each in enumerate(grants)
        if {"organisation_unit", "care_team"} & each.constraints.keys()
    ]
    before, after = make(*world), make(units, teams, memberships, narrowed)
    wide = set().union(*(reached_in(before, context) for context in before.contexts()))
    assert set().union(*(reached_in(after, context) for context in after.contexts())) <= wide


@given(worlds())
def test_places_have_different_names_and_a_stable_order(world: Any) -> None:
    units, teams, memberships, grants = world
    keys = [context.key for context in make(*world).contexts()]
    assert len(set(keys)) == len(keys)
    assert keys == [context.key for context in make(units, teams, memberships, reversed(grants)).contexts()]


# --- Signing in


async def act(api: Api, who: Identity, context: str = "") -> Actor:
    return await authenticate(
        api.product.database, api.product.host, Credentials("bearer", PEOPLE.token(who), "127.0.0.1", context)
    )


@asynccontextmanager
async def altered(api: Api, change: str, back: str, *arguments: Any) -> AsyncIterator[None]:
    """Have the municipality's records say something else for a while."""
    owner = await asyncpg.connect(api.product.databases.need("owner"))
    await owner.execute("SELECT set_config('kpro.municipalities', '{101,851}', false)")
    try:
        await owner.execute(change, *arguments)
        yield
        await owner.execute(back, *arguments)
    finally:
        await owner.close()


async def test_a_grant_without_a_scope_signs_nobody_in(api: Api) -> None:
    for who in (employee(), employee(grant(VIEWER)), employee(grant(VIEWER, kle="29.*"))):
        with pytest.raises(NotAuthenticated):
            await act(api, who)


async def test_what_a_grant_names_elsewhere_or_nowhere_gives_nothing(api: Api) -> None:
    elsewhere = DEMOGRAPHY.care_teams("0851")[0]
    for each in (grant(VIEWER, team=elsewhere.id), grant(VIEWER, unit=elsewhere.unit), grant(VIEWER, team=UUID(int=1))):
        with pytest.raises(NotAuthenticated):
            await act(api, employee(each))
    with pytest.raises(NotAuthenticated):
        await act(api, employee(grant(VIEWER, team=TEAMS[0].id), subject="somebody else"))


async def test_a_team_named_with_another_unit_than_its_own_is_nobodys(api: Api) -> None:
    here, elsewhere = TEAMS[0], TEAMS[2]
    actor = await act(api, employee(grant(VIEWER, team=here.id, unit=here.unit)))
    assert (actor.care_team, actor.organisation_unit) == (here.id, here.unit)
    with pytest.raises(NotAuthenticated):
        await act(api, employee(grant(VIEWER, team=here.id, unit=elsewhere.unit)))


async def test_kle_narrows_to_units_that_perform_the_task(api: Api) -> None:
    # Center for Kræft performs 29.70.10; Sundhedshus Nørrebro performs 29.70.20 only.
    cancer, diabetes = TEAMS[0], TEAMS[3]
    both = [cancer.unit, diabetes.unit]
    actor = await act(api, employee(grant(ENROLLER, unit=both, kle=["29.70.10"]), person=member(ENROLLER)))
    assert actor.units(ENROLLER) == (cancer.unit,)
    with pytest.raises(NotAuthenticated):
        await act(api, employee(grant(VIEWER, team=diabetes.id, kle="29.70.10")))


async def test_whoever_has_no_task_signs_in_and_sees_nothing(api: Api) -> None:
    who = employee(grant(VIEWER, team=TEAMS[0].id, kle=NO_KLE), grant(ENROLLER, unit=TEAMS[0].unit, kle=NO_KLE))
    actor = await act(api, who)
    assert (actor.kind, actor.roles, actor.contexts) == (ActorKind.EMPLOYEE, frozenset(), ())
    seen = await api.run(
        "{ me { kind roles context { key } contexts { key } } careTeams { totalCount } questionnaires { totalCount } }",
        who,
    )
    assert seen["me"] == {"kind": "EMPLOYEE", "roles": [], "context": None, "contexts": []}
    assert seen["careTeams"]["totalCount"] == 0
    refused = await api.answer("find-citizen", who, cpr=DEMOGRAPHY.citizen_cpr("0101", 0))
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    # It is the scope that lets somebody in, not the number.
    with pytest.raises(NotAuthenticated):
        await act(api, employee(grant(VIEWER, team=UUID(int=1), kle=NO_KLE)))
    # Beside a task, it takes nothing away.
    acting = await act(api, employee(grant(VIEWER, team=TEAMS[0].id, kle=[NO_KLE, "29.70.*"])))
    assert acting.roles == {VIEWER}


async def test_what_is_no_longer_active_gives_nothing(api: Api) -> None:
    team = TEAMS[1]
    in_team = employee(grant(VIEWER, team=team.id))
    in_unit = employee(grant(ENROLLER, unit=UNITS[1].id), person=member(ENROLLER))
    for who in (in_team, in_unit):
        assert (await act(api, who)).roles
    off, on = (
        "UPDATE care_team SET status = 'inactive' WHERE id = $1",
        "UPDATE care_team SET status = 'active' WHERE id = $1",
    )
    async with altered(api, off, on, team.id):
        with pytest.raises(NotAuthenticated):
            await act(api, in_team)
    off, on = (
        "UPDATE organisation_unit SET active = false WHERE id = $1",
        "UPDATE organisation_unit SET active = true WHERE id = $1",
    )
    async with altered(api, off, on, team.unit):
        for who in (in_team, in_unit):
            with pytest.raises(NotAuthenticated):
                await act(api, who)
    off, on = (
        "UPDATE employee SET active = false WHERE subject = $1",
        "UPDATE employee SET active = true WHERE subject = $1",
    )
    async with altered(api, off, on, in_team.subject):
        with pytest.raises(NotAuthenticated):
            await act(api, in_team)


async def test_an_employee_of_several_places_has_no_role_until_one_is_chosen(api: Api) -> None:
    first, other = TEAMS[0], TEAMS[2]
    who = employee(grant(VIEWER, team=[first.id, other.id]), grant(MONITOR, team=other.id))
    undecided = await act(api, who)
    assert (undecided.roles, undecided.care_teams, undecided.organisation_unit) == (frozenset(), {}, None)
    assert {each.care_team for each in undecided.contexts} == {first.id, other.id}
    listed = await api.run("contexts", who)
    assert listed["me"]["roles"] == []
    assert listed["me"]["context"] is None
    # The choices are told by name, and nothing else of the organisation is.
    names = {place["careTeam"]["name"]: place for place in listed["me"]["contexts"]}
    assert set(names) == {first.name, other.name}
    assert {place["organisationUnit"]["name"] for place in names.values()} == {
        "Center for Kræft",
        "Rehabiliteringscenter Amager",
    }
    assert names[other.name]["roles"] == ["CLINICAL_VIEWER", "MONITORING_ASSISTOR"]
    units = await api.run("query ($id: ID!) { node(id: $id) { id } }", who, id=f"unit_{UNITS[0].id.hex}")
    assert units["node"] is None
    refused = await api.answer("find-citizen", who, cpr=DEMOGRAPHY.citizen_cpr("0101", 0))
    assert refused["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"
    worklist = await api.run("worklist", who, careTeam=f"team_{first.id.hex}")
    assert worklist["careTeam"]["worklist"]["totalCount"] == 0


async def test_the_chosen_place_is_the_only_one(api: Api) -> None:
    first, other = TEAMS[0], TEAMS[2]
    who = employee(grant(VIEWER, team=[first.id, other.id]), grant(MONITOR, team=other.id))
    keys = {each.care_team: each.key for each in (await act(api, who)).contexts}
    here = await act(api, who, keys[first.id])
    assert (here.roles, here.teams(*Role)) == (frozenset({VIEWER}), (first.id,))
    there = await act(api, who, keys[other.id])
    assert there.roles == {VIEWER, MONITOR}
    assert (there.teams(VIEWER), there.teams(MONITOR)) == ((other.id,), (other.id,))
    seen = await api.run("{ careTeams { nodes { name } } me { context { key } } }", who, context=keys[other.id])
    assert seen == {"careTeams": {"nodes": [{"name": other.name}]}, "me": {"context": {"key": keys[other.id]}}}
    counts = {}
    for team in (first, other):
        data = await api.run("worklist", who, context=keys[first.id], careTeam=f"team_{team.id.hex}")
        counts[team.id] = data["careTeam"]["worklist"]["totalCount"]
    assert counts[first.id] > 0
    assert counts[other.id] == 0


@pytest.mark.parametrize("context", ["nowhere", f"team_{UUID(int=1).hex}", f"team_{TEAMS[3].id.hex}", "' OR true --"])
async def test_a_place_that_is_not_ones_own_cannot_be_chosen(api: Api, context: str) -> None:
    for who in (employee(grant(VIEWER, team=TEAMS[0].id)), employee(grant(VIEWER, team=[TEAMS[0].id, TEAMS[1].id]))):
        with pytest.raises(ContextRequired):
            await act(api, who, context)
        answer = await api.answer("me", who, context=context)
        assert answer["errors"][0]["extensions"]["code"] == "CONTEXT_REQUIRED"
        assert context not in str(answer)


async def test_a_security_officer_who_also_follows_citizens_does_one_at_a_time(api: Api) -> None:
    who = employee(
        grant(Role.SECURITY_OFFICER, unit=[each.id for each in UNITS]), grant(VIEWER, team=TEAMS[0].id),
        grant(ENROLLER, unit=[each.id for each in UNITS]),
    )  # fmt: skip
    undecided = await act(api, who)
    assert undecided.kind is ActorKind.EMPLOYEE
    keys = sorted(each.key for each in undecided.contexts)
    officers = [key for key in keys if key.startswith("officer_")]
    assert len(officers) == 1
    officer = await act(api, who, officers[0])
    assert (officer.kind, officer.roles) == (ActorKind.SECURITY_OFFICER, frozenset({Role.SECURITY_OFFICER}))
    assert officer.teams(*Role) == ()
    for key in keys:
        if key not in officers:
            assert Role.SECURITY_OFFICER not in (await act(api, who, key)).roles
    # The team is one of the places to choose from; nothing of it is seen until it is chosen.
    look = """query ($id: ID!) {
      me { contexts { careTeam { name } } } careTeams { totalCount } careTeam(id: $id) { worklist { totalCount } }
      citizen(id: "cit_00000000000000000000000000000000") { id } emergencyAccesses { totalCount } }"""
    seen = await api.run(look, who, context=officers[0], id=f"team_{TEAMS[0].id.hex}")
    assert {"careTeam": {"name": TEAMS[0].name}} in seen["me"]["contexts"]
    assert (seen["careTeams"], seen["careTeam"]) == ({"totalCount": 0}, {"worklist": {"totalCount": 0}})


async def test_a_unit_is_no_place_of_its_own_where_one_team_does_for_all_of_it(api: Api) -> None:
    who = employee(grant(VIEWER, team=TEAMS[0].id), grant(ENROLLER, unit=TEAMS[0].unit), person=member(VIEWER))
    actor = await act(api, who)
    assert actor.roles == {VIEWER, ENROLLER}
    assert (actor.teams(VIEWER), actor.units(ENROLLER)) == ((TEAMS[0].id,), (TEAMS[0].unit,))
    assert actor.units(VIEWER) == ()


def test_what_is_held_in_another_unit_is_not_carried_into_a_team() -> None:
    top, here, team = _id(1, 0), _id(1, 1), _id(2, 0)
    units = {top: {"parent_id": None, "kle": []}, here: {"parent_id": top, "kle": []}}
    teams = {team: {"organisation_unit_id": here, "kle": []}}
    places = make(
        units, teams, {}, [grant(ENROLLER, team=team), grant(ENROLLER, unit=top), grant(MONITOR, unit=[top, here])]
    )
    inside = next(each for each in places.contexts() if each.care_team == team)
    assert reached_in(places, inside) == {(ENROLLER, "team", team), (MONITOR, "unit", top), (MONITOR, "unit", here)}
