"""Privileges as FK adgangsstyring, NemLog-in and FoxIDs write them: what they grant, and that in doubt they grant less."""

from __future__ import annotations

import base64
import json
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.actors import ActorKind, AssuranceLevel, Grant, Identity, Right, Role
from kpro_graph.plugins.identities import examine_identity
from kpro_graph.plugins.manifest import Manifest
from kpro_graph.plugins.oidc.privileges import NO_KLE, Privileges, read_privileges

CVR, OTHER_CVR = "64942212", "29189420"
PRINCIPAL = "7105670009"
UNIT, SECOND, TEAM = (
    "0c962a10-f344-5d40-ba3f-a94e44105c95",
    "9f0c2a11-0f44-4d40-8a3f-b94e44105c00",
    "1b0d27e1-6a39-5c9a-8d3e-d0f5b8f8b2a4",
)
ROOTS = ("http://itst.dk/oiosaml/basic_privilege_profile", "http://digst.dk/oiosaml/basic_privilege_profile")
ORGANISATION = ("http://sts.kombit.dk/constraints/orgenhed/1", "urn:dk:kombit:orgUnit")
KLE = ("http://sts.kombit.dk/constraints/KLE/1", "urn:dk:kombit:KLE")
CARE_TEAM = "urn:dk:sundhed:ehealth:careteam"
SCOPE = "urn:dk:gov:saml:cvrNumberIdentifier:"
ENROLLER = Role.CITIZEN_ENROLLER.user_system_role
POWERS = {"urn:kpro:read": frozenset({Right.READ}), "urn:kpro:answer": frozenset({Right.READ, Right.ANSWER})}
IN_UNIT = {"organisation_unit": frozenset({UNIT})}


def group(
    *privileges: str,
    constraints: list[tuple[str, str]] | None = None,
    scope: str = SCOPE + CVR,
    first: str = "privileges",
    more: str = "",
) -> str:
    """Write one group."""
    named = [(ORGANISATION[0], UNIT)] if constraints is None else constraints
    written = [f"<Privilege>{escape(each)}</Privilege>" for each in privileges]
    limited = [f"<Constraint Name={quoteattr(name)}>{escape(value)}</Constraint>" for name, value in named]
    parts = written + limited if first == "privileges" else limited + written
    return f"<PrivilegeGroup Scope={quoteattr(scope)}>{''.join(parts)}{more}</PrivilegeGroup>"


def profile(*groups: str, root: str = ROOTS[0]) -> str:
    """Write a whole list."""
    return f'<?xml version="1.0" encoding="UTF-8"?><bpp:PrivilegeList xmlns:bpp="{root}">{"".join(groups)}</bpp:PrivilegeList>'


def grants(claim: object) -> tuple[Grant, ...]:
    return read_privileges(claim, CVR).grants


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("encoded", [False, True, "lines"])
@pytest.mark.parametrize("first", ["privileges", "constraints"])
@pytest.mark.parametrize("organisation", ORGANISATION)
@pytest.mark.parametrize("kle", KLE)
def test_a_group_becomes_a_grant_in_every_form(
    root: str, encoded: object, first: str, organisation: str, kle: str
) -> None:
    constraints = [(organisation, f"{UNIT.upper()}, {SECOND}"), (kle, "29.70.10,29.*"), (CARE_TEAM, TEAM)]
    claim = profile(group(ENROLLER, constraints=constraints, first=first), root=root)
    if encoded:
        claim = base64.b64encode(claim.encode()).decode()
    if encoded == "lines":
        claim = "\r\n".join(claim[place : place + 76] for place in range(0, len(claim), 76))
    assert read_privileges(claim, CVR) == Privileges(
        (
            Grant(
                frozenset({Role.CITIZEN_ENROLLER}),
                {
                    "organisation_unit": frozenset({UNIT, SECOND}),
                    "kle": frozenset({"29.70.10", "29.*"}),
                    "care_team": frozenset({TEAM}),
                },
            ),
        )
    )


@pytest.mark.parametrize("role", set(Role) - {Role.INTEGRATOR})
def test_every_role_is_known_by_its_kombit_and_its_fut_identifier(role: Role) -> None:
    expected = (Grant(frozenset({role}), IN_UNIT),)
    assert grants(profile(group(role.user_system_role))) == expected
    assert grants(profile(group(role.fut))) == expected


def test_a_systems_role_is_never_a_persons() -> None:
    assert read_privileges(profile(group(Role.INTEGRATOR.user_system_role, Role.INTEGRATOR.fut)), CVR) == Privileges()


def test_privileges_of_a_group_share_its_constraints_and_groups_stand_apart() -> None:
    claim = profile(
        group(ENROLLER, Role.CLINICAL_VIEWER.fut, "urn:another:system"),
        group(Role.CLINICAL_ADMINISTRATOR.fut, constraints=[(ORGANISATION[1], SECOND)]),
    )
    assert grants(claim) == (
        Grant(frozenset({Role.CITIZEN_ENROLLER, Role.CLINICAL_VIEWER}), IN_UNIT),
        Grant(frozenset({Role.CLINICAL_ADMINISTRATOR}), {"organisation_unit": frozenset({SECOND})}),
    )


DROPPED = {
    "another municipality": (group(ENROLLER, scope=SCOPE + OTHER_CVR), "scoped to someone other"),
    "a production unit": (group(ENROLLER, scope="urn:dk:gov:saml:productionUnitIdentifier:1"), "scoped to someone other"),
    "no scope": (group(ENROLLER, scope=""), "scoped to someone other"),
    "a scope without its prefix": (group(ENROLLER, scope=f"cvrNumberIdentifier:{CVR}"), "scoped to someone other"),
    "a scope in capitals": (group(ENROLLER, scope=(SCOPE + CVR).upper()), "scoped to someone other"),
    "no organisation": (group(ENROLLER, constraints=[]), "no organisation constraint"),
    "a care team only": (group(ENROLLER, constraints=[(CARE_TEAM, TEAM)]), "no organisation constraint"),
    "KLE only": (group(ENROLLER, constraints=[(KLE[0], "29.*")]), "no organisation constraint"),
    "an unknown constraint": (
        group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), ("urn:dk:kombit:sensitivity", "3")]),
        "constraint that is not understood",
    ),
    "a SOR constraint": (
        group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), ("urn:dk:gov:saml:sorIdentifier", "1")]),
        "constraint that is not understood",
    ),
    "an empty organisation": (group(ENROLLER, constraints=[(ORGANISATION[0], "")]), "no id"),
    "an organisation that is no id": (group(ENROLLER, constraints=[(ORGANISATION[0], f"{UNIT},*")]), "no id"),
    "an organisation in braces": (group(ENROLLER, constraints=[(ORGANISATION[0], f"{{{UNIT}}}")]), "no id"),
    "a KLE pattern that is none": (
        group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), (KLE[0], "29.70.10,*")]),
        "KLE constraint has the wrong form",
    ),
    "no KLE number at all": (
        group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), (KLE[0], NO_KLE)]),
        "no KLE number at all",
    ),
    "two organisations that both hold": (
        group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), (ORGANISATION[1], SECOND)]),
        "two different constraints",
    ),
    "an element from elsewhere": (group(ENROLLER, more="<Condition>night</Condition>"), "part that is not understood"),
    "a constraint with an element in it": (
        group(ENROLLER, more=f'<Constraint Name="{KLE[0]}"><x/></Constraint>'), "part that is not understood",
    ),
    "a constraint without a name": (group(ENROLLER, more="<Constraint>3</Constraint>"), "part that is not understood"),
    "a constraint in a namespace": (
        group(ENROLLER, more=f'<bpp:Constraint Name="{KLE[0]}">29.*</bpp:Constraint>'), "part that is not understood",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "reason"), DROPPED.values(), ids=DROPPED.keys())
def test_a_group_that_does_not_hold_is_dropped_with_a_reason_and_the_others_stay(written: str, reason: str) -> None:
    good = group(Role.CLINICAL_VIEWER.fut)
    read = read_privileges(profile(good, written), CVR)
    assert read.grants == (Grant(frozenset({Role.CLINICAL_VIEWER}), IN_UNIT),)
    assert len(read.dropped) == 1
    assert reason in read.dropped[0]
    assert not {UNIT, SECOND, TEAM, CVR, OTHER_CVR} & set(read.dropped[0].split())


MALFORMED = {
    "cut off": profile(group(ENROLLER))[:-5],
    "not base64": "Z" * 41 + "!",
    "base64 of nothing": base64.b64encode(b"hello").decode(),
    "another root": profile(group(ENROLLER)).replace("PrivilegeList", "PrivilegeListe"),
    "another namespace": profile(group(ENROLLER), root="http://example.dk"),
    "no namespace": f"<PrivilegeList>{group(ENROLLER)}</PrivilegeList>",
    "an entity": '<!DOCTYPE a [<!ENTITY e "x">]>' + profile(group(ENROLLER)).split("?>")[1],
    "an external entity": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + profile(group("&e;")).split("?>")[1],
    "a document type": "<!DOCTYPE a>" + profile(group(ENROLLER)).split("?>")[1],
    "an encoding that does not exist": profile(group(ENROLLER)).replace("UTF-8", "UTF-99"),
    "a number": 7,
    "a list with a number": [7],
    "a list in a list": [[profile(group(ENROLLER))]],
    "a good one and a bad one": [profile(group(ENROLLER)), "<x>"],
    "JSON cut off": '{"cvr":',
    "JSON of another kind": "[1]",
    "JSON with a constraint twice": f'{{"cvr":"{CVR}","p":["{ENROLLER}"],"c":{{"x":"1"}},"c":{{"{ORGANISATION[0]}":"{UNIT}"}}}}',
    "JSON with constraints of another kind": {"cvr": CVR, "p": [ENROLLER], "c": [{ORGANISATION[0]: [UNIT]}]},
    "JSON with privileges of another kind": {"cvr": CVR, "p": ENROLLER, "c": [{ORGANISATION[0]: UNIT}]},
    "deep JSON": "[" * 100_000,
    "far too long": "<" + "x" * 600_000,
}  # fmt: skip


@pytest.mark.parametrize("claim", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_grants_nothing_at_all(claim: object) -> None:
    assert read_privileges(claim, CVR, POWERS) == Privileges(dropped=("the privileges are malformed",))


@pytest.mark.parametrize("claim", [None, "", "  ", [], profile()])
def test_no_privileges_are_no_fault(claim: object) -> None:
    assert read_privileges(claim, CVR, POWERS) == Privileges()


def test_a_thousand_groups_are_more_than_anybody_has() -> None:
    assert read_privileges(profile(*[group(ENROLLER)] * 1000), CVR).grants == ()


def test_without_a_cvr_number_nothing_is_granted() -> None:
    assert read_privileges(profile(group(ENROLLER, scope=SCOPE)), "").grants == ()


def test_kle_99_99_99_beside_others_adds_nothing() -> None:
    constraints = [(ORGANISATION[0], UNIT), (KLE[0], f"29.70.10,{NO_KLE}")]
    (grant,) = grants(profile(group(ENROLLER, constraints=constraints)))
    assert grant.constraints["kle"] == {"29.70.10"}


# --- FoxIDs


@pytest.mark.parametrize("form", ["texts", "objects", "one text", "one list"])
@pytest.mark.parametrize("pairs", [True, False])
def test_foxids_json_grants_the_same(form: str, pairs: bool) -> None:
    limits = {ORGANISATION[0]: UNIT, KLE[0]: "29.*"}
    one = {"cvr": CVR, "c": [{name: value} for name, value in limits.items()] if pairs else limits, "p": [ENROLLER]}
    two = {"se": "27384223", "p": ["urn:other"]}
    claim: Any = {
        "texts": [json.dumps(one), json.dumps(two)], "objects": [one, two], "one text": json.dumps(one),
        "one list": json.dumps([one, two]),
    }[form]  # fmt: skip
    assert read_privileges(claim, CVR) == Privileges(
        (Grant(frozenset({Role.CITIZEN_ENROLLER}), {**IN_UNIT, "kle": frozenset({"29.*"})}),)
    )


@pytest.mark.parametrize(
    "changes",
    [{"cvr": OTHER_CVR}, {"c": []}, {"pu": "1"}, {"valid": "never"}, {"c": [{ORGANISATION[0]: UNIT}, {"x": "1"}]}],
)
def test_foxids_groups_that_do_not_hold_are_dropped(changes: dict[str, Any]) -> None:
    read = read_privileges([{"cvr": CVR, "c": [{ORGANISATION[0]: UNIT}], "p": [ENROLLER], **changes}], CVR)
    assert read.grants == ()
    assert len(read.dropped) == 1


# --- Powers of attorney


def power(*privileges: str, constraints: list[tuple[str, str]] | None = None) -> str:
    scope = f"urn:dk:gov:saml:cprNumberIdentifier:{PRINCIPAL}"
    return group(*privileges, constraints=constraints or [], scope=scope)


def test_a_power_of_attorney_gives_the_rights_its_privileges_stand_for() -> None:
    read = read_privileges(profile(power("urn:kpro:read"), power("urn:kpro:answer"), power("urn:other")), CVR, POWERS)
    assert [(each.cpr, each.rights) for each in read.represents] == [(PRINCIPAL, frozenset(Right))]
    assert read.dropped == ()
    assert PRINCIPAL not in repr(read)


def test_a_power_of_attorney_with_a_condition_gives_nothing() -> None:
    read = read_privileges(profile(power("urn:kpro:answer", constraints=[("urn:until", "noon")])), CVR, POWERS)
    assert read.represents == ()
    assert read.dropped == ("a power of attorney has a constraint that is not understood",)


def test_a_role_scoped_to_a_person_is_no_role() -> None:
    assert read_privileges(profile(power(ENROLLER)), CVR, POWERS) == Privileges()


# --- Whatever comes


NAMES = st.sampled_from([*ORGANISATION, *KLE, CARE_TEAM, "urn:unknown", ""])
VALUES = st.lists(st.sampled_from([UNIT, SECOND, TEAM, "29.*", "29.70.10", NO_KLE, "*", "", "x"]), max_size=3).map(
    ",".join
)
ROLE_NAMES = st.sampled_from([role.fut for role in Role] + [role.user_system_role for role in Role] + ["urn:x"])
GROUPS = st.tuples(
    st.sampled_from([SCOPE + CVR, SCOPE + OTHER_CVR, f"urn:dk:gov:saml:cprNumberIdentifier:{PRINCIPAL}", ""]),
    st.lists(ROLE_NAMES | st.sampled_from([*POWERS]), max_size=3),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
)


def check(read: Privileges, written: list[tuple[str, list[str], list[tuple[str, str]]]]) -> None:
    """Hold what was read against what was written: every grant is one of the groups, no wider in anything."""
    for grant in read.grants:
        assert grant.constraints["organisation_unit"] <= {UNIT, SECOND, TEAM}
        sources = [
            each for each in written
            if each[0] == SCOPE + CVR
            and {role.fut for role in grant.roles} <= set(each[1]) | {r.fut for r in Role if r.user_system_role in each[1]}
        ]  # fmt: skip
        assert any(
            all(
                set(values.split(",")) - {NO_KLE} >= grant.constraints[
                    "kle" if name in KLE else "care_team" if name == CARE_TEAM else "organisation_unit"
                ]
                for name, values in constraints
            )
            for _, _, constraints in sources
        )  # fmt: skip
    manifest = Manifest("t", "1.0.0", "national", "t", "t", ">=1,<2", cpr="read")
    employee = Identity("t", "s", ActorKind.EMPLOYEE, "0101", AssuranceLevel.HIGH, read.grants)
    assert examine_identity(employee, "t", manifest).grants == read.grants
    citizen = Identity(
        "t", "s", ActorKind.CITIZEN, "0101", AssuranceLevel.HIGH, cpr="7312632330", represents=read.represents
    )
    assert examine_identity(citizen, "t", manifest).represents == read.represents


@given(st.lists(GROUPS, max_size=4), st.booleans())
def test_nothing_that_is_written_grants_more_than_it_says(
    written: list[tuple[str, list[str], list[tuple[str, str]]]], encoded: bool
) -> None:
    claim = profile(*(group(*names, constraints=limits, scope=scope) for scope, names, limits in written))
    check(read_privileges(base64.b64encode(claim.encode()).decode() if encoded else claim, CVR, POWERS), written)


@given(st.lists(GROUPS, max_size=4))
def test_nothing_that_is_written_in_json_grants_more_than_it_says(
    written: list[tuple[str, list[str], list[tuple[str, str]]]],
) -> None:
    def short(scope: str) -> dict[str, str]:
        kind, _, value = scope.rpartition(":")
        return {"cvr": value} if "cvr" in kind else {"cpr": value} if "cpr" in kind else {}

    claim = [
        {**short(scope), "p": names, "c": [{name: value} for name, value in limits]} for scope, names, limits in written
    ]
    check(read_privileges(claim, CVR, POWERS), written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cvr", "cpr", "c", "p", "pu"]) | st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(JSON | st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_whatever_stands_in_the_claim_it_never_fails(claim: object) -> None:
    read = read_privileges(claim, CVR, POWERS)
    assert read.grants == ()
    assert isinstance(read_privileges(json.dumps(claim), CVR, POWERS), Privileges)


@given(st.data())
def test_a_list_with_a_changed_character_never_grants_another_place_or_role(data: st.DataObject) -> None:
    good = profile(group(ENROLLER, constraints=[(ORGANISATION[0], UNIT), (KLE[0], "29.70.10")]))
    place = data.draw(st.integers(0, len(good) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    for grant in grants(good[:place] + character + good[place + 1 :]):
        assert grant.roles == {Role.CITIZEN_ENROLLER}
        assert set(grant.constraints) == {"organisation_unit", "kle"}
        assert len(grant.constraints["organisation_unit"]) == 1
