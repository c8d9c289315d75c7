"""Privileges as Danish identity providers write them, turned into grants: in doubt a group is dropped, never widened.

Two forms are read: the XML of the OIO Basic Privilege Profile 1.2 (bare or base64, under either of the two root
namespaces in use, its children in none), and the JSON that FoxIDs makes of it, one object a group. All constraints of
a group hold at once, so a constraint that is not understood would be lost by passing over it; the group goes instead.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kpro_graph.actors import Grant, Representation, Right, Role
from kpro_graph.plugins.identities import KLE

__all__ = ["NO_KLE", "Privileges", "read_privileges"]

NO_KLE = "99.99.99"
"""The KLE number of someone who may sign in and see nothing."""

_ROOTS = {
    "{http://itst.dk/oiosaml/basic_privilege_profile}PrivilegeList",
    "{http://digst.dk/oiosaml/basic_privilege_profile}PrivilegeList",
}
_LARGEST = 512_000
_MOST_GROUPS = 500
_SCOPE = "urn:dk:gov:saml:"
_CVR, _CPR = "cvrNumberIdentifier", "cprNumberIdentifier"
_SHORT_SCOPES = {"cvr": _CVR, "cpr": _CPR, "se": "seNumberIdentifier", "pu": "productionUnitIdentifier"}
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UNIT, _TEAM, _KLE = "organisation_unit", "care_team", "kle"
_CONSTRAINTS = {
    "http://sts.kombit.dk/constraints/orgenhed/1": _UNIT,
    "urn:dk:kombit:orgUnit": _UNIT,
    "http://sts.kombit.dk/constraints/KLE/1": _KLE,
    "urn:dk:kombit:KLE": _KLE,
    "urn:dk:sundhed:ehealth:careteam": _TEAM,
}
# A system's role is never a person's, whatever a token says.
_ROLES = {name: role for role in Role if role is not Role.INTEGRATOR for name in (role.user_system_role, role.fut)}


@dataclass(frozen=True, slots=True)
class Privileges:
    """What was understood. ``dropped`` says, without any value, why groups that concern this product were left out."""

    grants: tuple[Grant, ...] = ()
    represents: tuple[Representation, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    scope: tuple[str, str]
    privileges: tuple[str, ...]
    constraints: tuple[tuple[str, str], ...]
    whole: bool


class _Malformed(Exception):
    """The text is not what it should be; nothing in it counts."""


class _Dropped(Exception):
    """A group that concerns this product does not hold; the message is the reason."""


def read_privileges(claim: object, cvr: str, powers: Mapping[str, frozenset[Right]] | None = None) -> Privileges:
    """Return the grants a privileges claim holds for the municipality with this CVR number, and powers of attorney.

    ``claim`` is what stands in the token: a text, or a list of texts or objects. ``powers`` maps the privileges of a
    power of attorney to the rights they give. A malformed claim gives nothing at all; nothing is ever raised.
    """
    try:
        groups = list(islice(_groups(claim), _MOST_GROUPS + 1))
    except _Malformed:
        return Privileges(dropped=("the privileges are malformed",))
    if len(groups) > _MOST_GROUPS:
        return Privileges(dropped=("the privileges are more than anybody has",))
    grants: list[Grant] = []
    represents: dict[str, frozenset[Right]] = {}
    dropped: list[str] = []
    for group in groups:
        try:
            if group.scope[0] == _CPR:
                rights = _rights(group, powers or {})
                if rights:
                    principal = group.scope[1]
                    represents[principal] = represents.get(principal, frozenset()) | rights
            elif roles := frozenset(_ROLES[each] for each in group.privileges if each in _ROLES):
                grants.append(Grant(roles, _constraints(group, cvr)))
        except _Dropped as reason:
            dropped.append(str(reason))
    return Privileges(
        tuple(grants), tuple(Representation(cpr, rights) for cpr, rights in represents.items()), tuple(dropped)
    )


def _rights(group: _Group, powers: Mapping[str, frozenset[Right]]) -> frozenset[Right]:
    rights = frozenset(right for each in group.privileges for right in powers.get(each, ()))
    if rights and (group.constraints or not group.whole):
        raise _Dropped("a power of attorney has a constraint that is not understood")
    return rights


def _constraints(group: _Group, cvr: str) -> dict[str, frozenset[str]]:
    if not cvr or group.scope != (_CVR, cvr):
        raise _Dropped("a privilege group is scoped to someone other than the municipality")
    if not group.whole:
        raise _Dropped("a privilege group has a part that is not understood")
    found: dict[str, frozenset[str]] = {}
    for name, text in group.constraints:
        known = _CONSTRAINTS.get(name)
        if known is None:
            raise _Dropped("a privilege group has a constraint that is not understood")
        values = _values(known, text)
        # Two constraints of a kind both hold; what they have in common is not ours to work out.
        if found.setdefault(known, values) != values:
            raise _Dropped("a privilege group has two different constraints of one kind")
    if _UNIT not in found:
        raise _Dropped("a privilege group has no organisation constraint")
    return found


def _values(kind: str, text: str) -> frozenset[str]:
    values = frozenset(part.strip() for part in text.split(","))
    if kind == _KLE:
        if not all(KLE.fullmatch(value) for value in values):
            raise _Dropped("a KLE constraint has the wrong form")
        if not values - {NO_KLE}:
            raise _Dropped("a privilege group is for no KLE number at all")
        return values - {NO_KLE}
    if not all(_ID.fullmatch(value) for value in values):
        raise _Dropped("a constraint has a value that is no id")
    return frozenset(value.lower() for value in values)


def _groups(claim: object) -> Iterator[_Group]:
    if claim is None:
        return
    for part in claim if isinstance(claim, list) else [claim]:
        if isinstance(part, dict):
            yield _from_object(part)
        elif not isinstance(part, str) or len(part) > _LARGEST:
            raise _Malformed
        elif (text := part.strip()).startswith(("{", "[")):
            yield from _from_json(text)
        elif text:
            yield from _from_xml(text)


# --- The Basic Privilege Profile


def _from_xml(text: str) -> Iterator[_Group]:
    try:
        raw = text.encode() if text.startswith("<") else base64.b64decode("".join(text.split()), validate=True)
        root = fromstring(raw, forbid_dtd=True)
    # A declared encoding that does not exist is a LookupError.
    except (ParseError, DefusedXmlException, binascii.Error, ValueError, LookupError) as error:
        raise _Malformed from error
    if root.tag not in _ROOTS:
        raise _Malformed
    for child in root:
        if child.tag == "PrivilegeGroup":
            yield _from_element(child)


def _from_element(group: Element) -> _Group:
    privileges: list[str] = []
    constraints: list[tuple[str, str]] = []
    whole = set(group.attrib) <= {"Scope"}
    for child in group:
        text = (child.text or "").strip()
        if child.tag == "Privilege" and not len(child) and not child.attrib:
            privileges.append(text)
        elif child.tag == "Constraint" and not len(child) and set(child.attrib) == {"Name"}:
            constraints.append((child.attrib["Name"], text))
        else:
            whole = False
    return _Group(_scope(group.get("Scope", "")), tuple(privileges), tuple(constraints), whole)


def _scope(urn: str) -> tuple[str, str]:
    kind, _, value = urn.removeprefix(_SCOPE).partition(":")
    return (kind, value) if urn.startswith(_SCOPE) else ("", "")


# --- FoxIDs' JSON


def _from_json(text: str) -> Iterator[_Group]:
    try:
        document = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise _Malformed from error
    for each in document if isinstance(document, list) else [document]:
        if not isinstance(each, dict):
            raise _Malformed
        yield _from_object(each)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two constraints under one name the first would be lost, and the group be wider than it was written.
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _from_object(group: Mapping[str, Any]) -> _Group:
    listed = group.get("c", [])
    pairs = [listed] if isinstance(listed, dict) else listed
    privileges = group.get("p", [])
    scopes = [(kind, group[short]) for short, kind in _SHORT_SCOPES.items() if short in group]
    if not isinstance(pairs, list) or not all(isinstance(each, dict) for each in pairs):
        raise _Malformed
    if not isinstance(privileges, list) or not all(isinstance(each, str) for each in privileges):
        raise _Malformed
    constraints = [pair for each in pairs for pair in each.items()]
    if not all(isinstance(name, str) and isinstance(value, str) for name, value in [*constraints, *scopes]):
        raise _Malformed
    return _Group(
        scopes[0] if len(scopes) == 1 else ("", ""),
        tuple(privileges),
        tuple(constraints),
        set(group) <= {"c", "p", *_SHORT_SCOPES},
    )
