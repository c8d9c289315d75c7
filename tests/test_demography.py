"""The demo's people and places are the same everywhere, consistent, and nobody real."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.actors import Role
from kpro_graph.cpr import CprKind, parse
from kpro_graph.demography import CITIZENS_AT_MOST, Demography

CODES = ("0101", "0851", "0810", "0265")
demo = Demography(1)


def test_the_four_pilot_municipalities_are_there() -> None:
    assert [(m.code, m.name) for m in demo.municipalities()] == [
        ("0101", "København"),
        ("0851", "Aalborg"),
        ("0810", "Brønderslev"),
        ("0265", "Roskilde"),
    ]
    assert demo.municipality("0265").name == "Roskilde"


def test_the_same_seed_gives_the_same_people_on_every_machine() -> None:
    assert Demography(1) == demo
    assert demo.citizen("0101", 0) == Demography(1).citizen("0101", 0)
    assert demo.citizen_cpr("0101", 0) == "7312632330"
    assert str(demo.uuid_of("team", "0101", 0)) == "0c962a10-f344-5d40-ba3f-a94e44105c95"


def test_another_seed_gives_other_people_in_the_same_places() -> None:
    other = Demography(2)
    assert other.citizen_cpr("0101", 0) != demo.citizen_cpr("0101", 0)
    assert other.care_teams("0101")[0].id != demo.care_teams("0101")[0].id
    assert [u.name for u in other.organisation_units("0101")] == [u.name for u in demo.organisation_units("0101")]


@given(st.sampled_from(CODES), st.integers(0, CITIZENS_AT_MOST - 1), st.integers(0, 2**32))
def test_every_citizen_has_a_readable_substitute_number(code: str, n: int, seed: int) -> None:
    citizen = Demography(seed).citizen(code, n)
    cpr = parse(citizen.cpr)
    assert (cpr.kind, cpr.digits) == (CprKind.SUBSTITUTE, citizen.cpr)
    assert (cpr.birth_date, cpr.sex) == (citizen.birth_date, citizen.sex)
    assert date(1930, 1, 1) <= citizen.birth_date <= date(2006, 12, 31)
    assert citizen.cpr not in repr(citizen)


def test_no_two_people_share_a_number() -> None:
    numbers = [demo.citizen_cpr(code, n) for code in CODES for n in range(10_000)]
    numbers += [employee.cpr for code in CODES for employee in demo.employees(code)]
    numbers += [demo.citizen_cpr(code, CITIZENS_AT_MOST - 1 - n) for code in CODES for n in range(1_000)]
    assert len(set(numbers)) == len(numbers)


def test_most_citizens_are_past_middle_age() -> None:
    years = sorted(demo.citizen("0851", n).birth_date.year for n in range(2_000))
    assert 1945 < years[1_000] < 1965
    assert years[0] < 1940
    assert years[-1] > 1995


@pytest.mark.parametrize("n", [-1, CITIZENS_AT_MOST])
def test_citizens_are_counted(n: int) -> None:
    with pytest.raises(ValueError, match="citizens 0 to"):
        demo.citizen_cpr("0101", n)


def test_an_unknown_municipality_is_a_key_error() -> None:
    for ask in (demo.municipality, demo.organisation_units, demo.care_teams, demo.employees):
        with pytest.raises(KeyError):
            ask("0999")
    with pytest.raises(KeyError):
        demo.citizen("0999", 0)


@pytest.mark.parametrize("code", CODES)
def test_units_form_one_tree_and_carry_telehealth_tasks(code: str) -> None:
    root, *units = demo.organisation_units(code)
    assert (root.parent, root.kle) == (None, ())
    assert 2 <= len(units) <= 3
    assert all(unit.parent == root.id for unit in units)
    assert {kle for unit in units for kle in unit.kle} == {"29.70.10", "29.70.20"}


@pytest.mark.parametrize("code", CODES)
def test_every_municipality_has_the_four_teams_in_its_own_units(code: str) -> None:
    teams = demo.care_teams(code)
    units = {unit.id for unit in demo.organisation_units(code) if unit.kle}
    assert {team.topic for team in teams} == {"cancer", "diabetes", "heart", "palliation"}
    assert {team.unit for team in teams} == units
    assert all(team.reason_codes for team in teams)


def test_the_story_in_copenhagen_is_about_cancer() -> None:
    assert demo.care_teams("0101")[0].topic == "cancer"


@pytest.mark.parametrize("code", CODES)
def test_all_six_roles_are_filled_and_scoped_by_several_people(code: str) -> None:
    employees = demo.employees(code)
    teams = {team.id for team in demo.care_teams(code)}
    units = {unit.id for unit in demo.organisation_units(code)}
    assert {employee.role for employee in employees} == set(Role) - {Role.INTEGRATOR}
    assert len({employee.id for employee in employees}) == len(employees)
    for employee in employees:
        assert employee.units or employee.teams
        assert set(employee.units) <= units
        assert set(employee.teams) <= teams
        assert employee.cpr not in repr(employee)
    held = Counter((employee.role, team) for employee in employees for team in employee.teams)
    apart = {Role.INTEGRATOR, Role.SECURITY_OFFICER}
    assert all(held[role, team] >= 2 for team in teams for role in set(Role) - apart)


def test_ids_never_repeat_across_municipalities_and_kinds() -> None:
    ids = [
        *(unit.id for code in CODES for unit in demo.organisation_units(code)),
        *(team.id for code in CODES for team in demo.care_teams(code)),
        *(employee.id for code in CODES for employee in demo.employees(code)),
        *(demo.citizen(code, n).id for code in CODES for n in range(50)),
    ]
    assert len(set(ids)) == len(ids)
