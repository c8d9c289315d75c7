"""What an identity provider says is checked to the last part before anyone acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kpro_graph.actors import ActorKind, AssuranceLevel, Credentials, Grant, Identity, Role
from kpro_graph.plugins.identities import ExaminedProvider, examine_identity, examine_provider
from kpro_graph.plugins.manifest import Manifest, PluginRefused

UNIT = "0c962a10-f344-5d40-ba3f-a94e44105c95"
NATIONAL = Manifest("test", "1.0.0", "national", "Prøve", "Test", ">=1,<2", cpr="read")


def employee(roles: Any, constraints: Any) -> Identity:
    grant = Grant(roles, constraints)
    return Identity("test", "7f6c", ActorKind.EMPLOYEE, "0101", AssuranceLevel.SUBSTANTIAL, (grant,), name="Lone Holm")


VIEWER = frozenset({Role.CLINICAL_VIEWER})
SCOPED = employee(VIEWER, {"care_team": frozenset({UNIT})})
SYSTEM = Identity(
    "test", "s", ActorKind.SYSTEM, "0101", AssuranceLevel.HIGH, (Grant(frozenset({Role.INTEGRATOR}), {}),)
)


def test_an_identity_that_holds_is_made_anew(citizen: Identity) -> None:
    examined = examine_identity(citizen, "test", NATIONAL)
    assert examined == citizen
    assert examined is not citizen


def test_a_cpr_number_becomes_canonical(citizen: Identity) -> None:
    examined = examine_identity(replace(citizen, cpr="731263-2330"), "test", NATIONAL)
    assert examined.cpr == "7312632330"


def test_constraints_are_copied_and_ids_canonical() -> None:
    constraints = {"organisation_unit": frozenset({UNIT.upper()}), "kle": frozenset({"29.70.10", "29.*", "29.7*"})}
    examined = examine_identity(employee(VIEWER, constraints), "test", NATIONAL)
    constraints.clear()
    assert examined.grants[0].constraints["organisation_unit"] == {UNIT}
    assert examined.grants[0].constraints["kle"] == {"29.70.10", "29.*", "29.7*"}


def test_a_system_may_have_answers() -> None:
    grant = Grant(frozenset({Role.INTEGRATOR}), {"answers": frozenset({"read"})})
    assert examine_identity(replace(SYSTEM, grants=(grant,)), "test", NATIONAL).grants == (grant,)


def test_an_employee_without_grants_may_sign_in() -> None:
    assert examine_identity(replace(SCOPED, grants=()), "test", NATIONAL).grants == ()


class Sub(Identity):
    """An identity that could change its mind."""


FAULTS: list[tuple[object, str]] = [
    ("someone", "identify returned str, no Identity"),
    (Sub("test", "s", ActorKind.SYSTEM, "0101", AssuranceLevel.HIGH), "identify returned Sub, no Identity"),
    (replace(SCOPED, provider="mitid"), "names another provider"),
    (replace(SCOPED, subject=""), "the subject"),
    (replace(SCOPED, subject=" "), "the subject"),
    (replace(SCOPED, subject="x" * 201), "the subject"),
    (replace(SCOPED, subject="a\nb"), "the subject"),
    (replace(SCOPED, subject=7), "the subject"),  # type: ignore[arg-type]
    (replace(SCOPED, name="a\x00"), "the name"),
    (replace(SCOPED, name=None), "the name"),  # type: ignore[arg-type]
    (replace(SCOPED, kind="employee"), "the kind"),  # type: ignore[arg-type]
    (replace(SCOPED, assurance=3), "the assurance"),  # type: ignore[arg-type]
    (replace(SCOPED, municipality="101"), "not a four-digit code"),
    (replace(SCOPED, municipality="٠١٠١"), "not a four-digit code"),
    (replace(SCOPED, municipality=101), "not a four-digit code"),  # type: ignore[arg-type]
    (replace(SCOPED, grants=[]), "the grants are not a tuple"),  # type: ignore[arg-type]
    (replace(SCOPED, grants=("admin",)), "a grant is not a Grant"),  # type: ignore[arg-type]
    (employee({Role.CLINICAL_VIEWER}, {}), "a grant's roles are not a frozenset of Role"),
    (employee(frozenset({"clinical_viewer"}), {}), "a grant's roles are not a frozenset of Role"),
    (employee(frozenset({"superuser"}), {}), "a grant's roles are not a frozenset of Role"),
    (employee(frozenset(), {"care_team": frozenset({UNIT})}), "a grant has no role"),
    (employee(frozenset({Role.INTEGRATOR}), {"care_team": frozenset({UNIT})}), "not for employees"),
    (employee(VIEWER, None), "constraints are not a mapping"),
    (employee(VIEWER, {}), "no organisation unit and no care team"),
    (employee(VIEWER, {"kle": frozenset({"29.70.10"})}), "no organisation unit and no care team"),
    (employee(VIEWER, {"care_team": frozenset()}), "no organisation unit and no care team"),
    (employee(VIEWER, {"care_team": {UNIT}}), "not a frozenset of texts"),
    (employee(VIEWER, {"care_team": frozenset({7})}), "not a frozenset of texts"),
    (employee(VIEWER, {"care_team": frozenset({"team 1"})}), "constraint care_team has the wrong form"),
    (employee(VIEWER, {"care_team": frozenset({f"{{{UNIT}}}"})}), "constraint care_team has the wrong form"),
    (employee(VIEWER, {"care_team": frozenset({UNIT}), "kle": frozenset({"29.70."})}), "constraint kle has the wrong"),
    (employee(VIEWER, {"care_team": frozenset({UNIT}), "sensitivity": frozenset({"3"})}), "an unknown constraint"),
    (employee(VIEWER, {"care_team": frozenset({UNIT}), "answers": frozenset({"read"})}), "constraint answers"),
    (replace(SYSTEM, grants=SCOPED.grants), "not for systems"),
    (replace(SYSTEM, cpr="7312632330"), "a system has a CPR number"),
    (replace(SCOPED, cpr="7313632330"), "the CPR number does not hold"),
    (replace(SCOPED, cpr=7312632330), "the CPR number is not a text"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("identity", "complaint"), FAULTS)
def test_each_fault_is_named_without_its_value(identity: object, complaint: str) -> None:
    with pytest.raises(PluginRefused) as caught:
        examine_identity(identity, "test", NATIONAL)
    assert complaint in str(caught.value)
    for value in ("7313632330", "7312632330", "superuser", "sensitivity", "team 1"):
        assert value not in str(caught.value)


def test_a_citizen_needs_a_cpr_number_and_has_no_grants(citizen: Identity) -> None:
    with pytest.raises(PluginRefused, match="a citizen has no CPR number"):
        examine_identity(replace(citizen, cpr=None), "test", NATIONAL)
    with pytest.raises(PluginRefused, match="not for citizens"):
        examine_identity(replace(citizen, grants=SCOPED.grants), "test", NATIONAL)


def test_a_municipalitys_plugin_speaks_for_its_municipality_only(citizen: Identity) -> None:
    own = replace(NATIONAL, publisher="0101")
    assert examine_identity(citizen, "test", own) == citizen
    with pytest.raises(PluginRefused, match="not the plugin's own"):
        examine_identity(replace(citizen, municipality="0851"), "test", own)


def test_a_cpr_number_must_be_declared(citizen: Identity) -> None:
    with pytest.raises(PluginRefused, match="does not declare"):
        examine_identity(citizen, "test", replace(NATIONAL, cpr="none"))


class Provider:
    name = "test"

    async def identify(self, credentials: Credentials) -> Identity | None:
        return None


def test_a_provider_that_holds_keeps_the_name_it_was_examined_with() -> None:
    provider = Provider()
    examined = examine_provider(provider)
    provider.name = "other"
    assert isinstance(examined, ExaminedProvider)
    assert examined.name == "test"


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"name": ""}, "the name of Made is not"),
        ({"name": "Ægte Log Ind"}, "the name of Made is not"),
        ({"name": 7}, "the name of Made is not"),
        ({"name": "ok", "identify": lambda self, credentials: None}, "ok: identify is not async"),
    ],
)
def test_a_provider_that_does_not_hold_is_refused(members: Mapping[str, object], complaint: str) -> None:
    made = type("Made", (Provider,), dict(members))()
    with pytest.raises(PluginRefused, match=complaint):
        examine_provider(made)


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(PluginRefused, match="object is no identity provider"):
        examine_provider(object())
