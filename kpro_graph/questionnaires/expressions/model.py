"""The shapes of FHIR R4: which element has which members, and which type is a kind of which.

The tables are those that come with fhirpathpy; they are read once, at first use.
A type is written as its name (``Coding``, ``string``) or, for an element that has no name of its own,
as its path (``QuestionnaireResponse.item``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

__all__ = [
    "ABSTRACT_TYPES",
    "SYSTEM_TYPES",
    "Form",
    "fragment_type",
    "is_known",
    "is_plain_text",
    "is_primitive",
    "is_text",
    "kinds_of",
    "members",
    "named_types",
    "spelt_as_choice",
    "spelt_freely",
]

#: The types FHIRPath itself brings; their names begin with a capital, those of FHIR primitives do not.
SYSTEM_TYPES = frozenset({"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"})

#: What a navigation cannot foresee: any resource may stand there.
ABSTRACT_TYPES = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})


class Form:
    """One way a member may be written: its key in the JSON and the type of what stands there (empty where unknown)."""

    __slots__ = ("abstract", "beside", "key", "type")

    def __init__(self, key: str, type_: str) -> None:
        self.key = key
        self.type = type_
        #: The key of the sibling that holds a primitive's id and extensions.
        self.beside = "_" + key
        #: Whether what stands there says its own type.
        self.abstract = not type_ or type_ in ABSTRACT_TYPES


class _Tables(NamedTuple):
    members: dict[str, dict[str, tuple[Form, ...]]]
    parents: dict[str, str]


@cache
def _tables() -> _Tables:
    folder = files("fhirpathpy") / "models" / "r4"

    def read(name: str) -> dict[str, str]:
        table: dict[str, str] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return table

    members: dict[str, dict[str, tuple[Form, ...]]] = {}
    types = read("path2Type")
    for path, type_ in types.items():
        owner, _, name = path.rpartition(".")
        members.setdefault(owner, {})[name] = (Form(name, type_),)
    # An element with members of its own is named by its path, and its owner knows it.
    for path in list(members):
        owner, _, name = path.rpartition(".")
        if owner:
            members.setdefault(owner, {}).setdefault(name, (Form(name, path),))
    for path, target in read("pathsDefinedElsewhere").items():
        owner, _, name = path.rpartition(".")
        members.setdefault(owner, {})[name] = (Form(name, target),)
    choices: dict[str, list[str]] = json.loads((folder / "choiceTypePaths.json").read_text(encoding="utf-8"))
    for path, suffixes in choices.items():
        owner, _, name = path.rpartition(".")
        members.setdefault(owner, {})[name] = tuple(
            Form(name + suffix, types.get(f"{path}{suffix}", suffix)) for suffix in suffixes
        )
    return _Tables(members, read("type2Parent"))


@cache
def members(type_: str) -> Mapping[str, tuple[Form, ...]]:
    """Give the members of a type, each with the ways it may be written; empty for primitives and unknown types."""
    own = _tables().members.get(type_)
    inherited: Mapping[str, tuple[Form, ...]] = {}
    if parent := _parent(type_):
        inherited = members(parent)
    if own is None:
        return inherited
    return {**inherited, **own}


def is_known(type_: str) -> bool:
    """Tell whether the type, or the element path, exists in FHIR R4."""
    tables = _tables()
    return type_ in tables.members or type_ in tables.parents or type_ in ABSTRACT_TYPES


@cache
def is_primitive(type_: str) -> bool:
    """Tell whether values of this type are plain JSON values, not objects."""
    return type_[:1].islower() or type_.startswith("System.")


@cache
def is_text(type_: str) -> bool:
    """Tell whether values of this type are text to FHIRPath: neither dates nor numbers nor objects."""
    return bool(kinds_of(type_) & {"string", "uri", "System.String"}) or type_ in ("base64Binary", "xhtml")


@cache
def kinds_of(type_: str) -> frozenset[str]:
    """Give the type's own name and those of every type it is a kind of."""
    names = {type_}
    parent = _parent(type_)
    while parent:
        names.add(parent)
        parent = _parent(parent)
    return frozenset(names)


def _parent(type_: str) -> str | None:
    if "." in type_:
        return None if type_.startswith("System.") else "BackboneElement"
    return _tables().parents.get(type_)


@cache
def named_types() -> frozenset[str]:
    """Give the names that may stand after ``is``, ``as`` and ``ofType``, without a namespace."""
    tables = _tables()
    return frozenset(tables.parents) | frozenset(tables.parents.values()) | SYSTEM_TYPES


@cache
def _choice_suffixes() -> tuple[tuple[str, str], ...]:
    """Every ending a choice element may take, longest first, with the type it means."""
    forms = members("Extension")["value"]
    endings = {form.key.removeprefix("value"): form.type for form in forms}
    return tuple(sorted(endings.items(), key=lambda pair: (-len(pair[0]), pair[0])))


def spelt_as_choice(key: str, member: str) -> str | None:
    """Give the type that a key like ``valueCoding`` means when read as the choice ``value``, or None."""
    if not key.startswith(member):
        return None
    ending = key[len(member) :]
    return next((type_ for suffix, type_ in _choice_suffixes() if suffix == ending), None)


def is_plain_text(type_: str | None, name: str) -> bool:
    """Tell whether the member of that type is text written under its own name; so too where the type is unknown."""
    if type_ is None:
        return True
    forms = members(type_).get(name, ())
    return len(forms) == 1 and is_text(forms[0].type)


def spelt_freely(name: str) -> bool:
    """Tell whether a name is no spelling of a choice: ``linkId``, but not ``valueDate``."""
    return spelt_as_choice(name, "value") is None and spelt_as_choice(name, "answer") is None


def fragment_type(fragment: object) -> str | None:
    """Guess the type of a piece of JSON from what it holds; None where nothing tells.

    A resource names itself; an object with a linkId is an item of a questionnaire when it has a type,
    and of a response otherwise.
    """
    if not isinstance(fragment, dict):
        return None
    named = fragment.get("resourceType")
    if isinstance(named, str) and is_known(named):
        return named
    if isinstance(fragment.get("linkId"), str):
        return "Questionnaire.item" if isinstance(fragment.get("type"), str) else "QuestionnaireResponse.item"
    return None
