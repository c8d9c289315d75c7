"""Operations for the proof that both executions are one: random valid documents over the whole schema, and who asks.

An operation is valid by construction and, unless it is meant to hold a fault, free of faults: what is asked lies within
the documented bounds, so that a refusal has to be justified.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    parse,
    validate,
)
from hypothesis import strategies as st

from kpro_graph.execution.fields import DeclaredField, Relation

__all__ = ["HOSTILE", "Asked", "Material", "literal", "operations"]

HOSTILE = (
    "'", "''", '"', "`", "\\", "\\'", "\\\\'", "\u2019", "\u02bc", "\uff07", "\u201c", "$$", "$1", "$1::uuid", "$tag$",
    "%s", "%(name)s", "%", "_", "{t}", "{value}", "{argument_id}", "{limit}", "{by}", "{0}", "{{t}}", "{t.__class__}", "}{",
    "?", ":name", "--", "-- ", "/*", "*/", "#", ";", "; DROP TABLE citizen; --", "'; DROP TABLE citizen; --",
    "' OR '1'='1", "' OR 1=1 --", "1) OR (1=1", "') OR true; --", "' UNION SELECT cpr_sealed FROM person --", "x' AND pg_sleep(9) --",
    "'::text", "E'\\x27'", "U&'\\0027'", "\u0000", "a\u0000b", "\r\n", "\t", "\u2028", "\U0001f600", "\u202e", "\ufeff",
    "NULL", "null", "true", "ARRAY[1]", "{1,2}", "{}", "(1,2)", "x" * 3000,
)  # fmt: skip
"""Texts that would show where a value became part of a statement."""

_ALIASES = ("a", "b", "id", "name", "status", "nodes")
_DEPTH = 5
# Where most rows hang; operations begin there more often than their share.
_RICH = {"me", "citizen", "careTeam", "careTeams", "episodeOfCare", "questionnaireResponse", "assignment", "node"}


@dataclass(frozen=True, slots=True)
class Material:
    """What operations are made of: the ids that are there, by prefix, and the cursors of each list and order."""

    ids: Mapping[str, Sequence[str]]
    cursors: Mapping[str, Sequence[str]]
    urls: Sequence[str]
    scores: Sequence[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation as a caller sends it. ``faulty``: it may hold what is refused."""

    document: str
    variables: dict[str, Any]
    name: str | None
    faulty: bool


@st.composite
def operations(
    draw: Callable[[Any], Any],
    schema: GraphQLSchema,
    material: Material,
    *,
    seen: Mapping[str, Sequence[str]] | None = None,
    avoid: frozenset[str] = frozenset(),
    allowed: Callable[[DeclaredField], bool] = lambda _field: True,
) -> Asked:
    """Make a valid query, mostly for rows with the ids ``seen``.

    ``avoid`` names fields (``Type.name``) left to operations that may hold faults. Neither do others ask for fields
    that the actor may not have, which ``allowed`` tells.
    """
    # Choice by choice an operation shrinks when it fails; from a seed operations are spread more widely. The same seed
    # means another operation to somebody else, or few would be asked by many.
    choose: Callable[[int, int], int] = random.Random(f"{draw(st.integers(0, 2**64))} {seen}").randint
    if draw(st.integers(0, 9)) == 9:
        choose = _choosing(draw)
    while True:
        asked = _Maker(choose, schema, material, seen or {}, avoid, allowed).make()
        # Now and then keys clash deep within fragments that were spread into one another.
        if not validate(schema, parse(asked.document)):
            return asked


def _choosing(draw: Callable[[Any], Any]) -> Callable[[int, int], int]:
    return lambda least, most: int(draw(st.integers(least, most)))


@dataclass(slots=True)
class _Key:
    """What a key of the answer stands for; whatever is merged with it must be the same."""

    parent: str
    name: str
    arguments: str
    type: str
    leaf: bool
    scope: dict[str, _Key] = field(default_factory=dict)


@dataclass(slots=True)
class _Variable:
    type: str
    default: str
    value: Any


class _Maker:
    def __init__(
        self,
        choose: Callable[[int, int], int],
        schema: GraphQLSchema,
        material: Material,
        seen: Mapping[str, Sequence[str]],
        avoid: frozenset[str],
        allowed: Callable[[DeclaredField], bool],
    ) -> None:
        self._choose = choose
        self._schema = schema
        self._seen = seen
        self._material = material
        self._avoid = avoid
        self._allowed = allowed
        self._faulty = self._chance(4)
        self._budget = choose(4, 70)
        self._variables: dict[str, _Variable] = {}
        # The prefix of the id that a node was asked by last.
        self._about = ""
        self._fragments: dict[str, tuple[str, str, dict[str, _Key]]] = {}

    def make(self) -> Asked:
        root = self._schema.query_type
        assert root is not None
        body = self._selection(root, {}, 0)
        # What was made and then not used would make the document invalid.
        texts, waiting = [], re.findall(r"\.\.\.(F\d+)", body)
        for name in (seen := dict.fromkeys(waiting)) and waiting:
            type_, text, _ = self._fragments[name]
            texts.append(f"fragment {name} on {type_} {text}")
            for inner in re.findall(r"\.\.\.(F\d+)", text):
                if inner not in seen:
                    seen[inner] = None
                    waiting.append(inner)
        texts = list(dict.fromkeys(texts))
        used = set(re.findall(r"\$(v\d+)", " ".join([body, *texts])))
        variables = {name: each for name, each in self._variables.items() if name in used}
        declared = ", ".join(f"${name}: {each.type}{each.default}" for name, each in variables.items())
        name = "Asked" if declared or self._chance(3) else None
        head = f"query Asked{f'({declared})' if declared else ''} " if name else ""
        others = ["query Other { me { name } }"] if name and self._chance(8) else []
        document = "\n".join([head + body, *texts, *others])
        values = {name: each.value for name, each in variables.items() if each.value is not Undefined}
        return Asked(document, values, name if others or self._chance(2) else None, self._faulty)

    # --- Drawing

    def _chance(self, one_in: int) -> bool:
        return self._choose(0, one_in - 1) == one_in - 1

    def _one(self, options: Sequence[Any]) -> Any:
        return options[self._choose(0, len(options) - 1)]

    # --- Selections

    def _selection(self, type_: Any, scope: dict[str, _Key], depth: int) -> str:
        parts: list[str] = []
        for _ in range(self._choose(1, 5)):
            if self._budget <= 0 and parts:
                break
            self._budget -= 1
            parts.append(self._part(type_, scope, depth))
        return "{ " + " ".join(parts) + " }"

    def _part(self, type_: Any, scope: dict[str, _Key], depth: int) -> str:
        kind = self._choose(0, 19)
        if kind == 19:
            return self._put(type_, "__typename", None, scope, depth)
        if kind >= 17 or (is_abstract_type(type_) and kind >= 4):
            return self._fragment(type_, scope, depth, named=self._chance(2))
        own: Mapping[str, GraphQLField] = getattr(type_, "fields", {})
        fields = {name: each for name, each in own.items() if self._may(type_, name, each, depth)}
        if not fields:
            return self._put(type_, "__typename", None, scope, depth)
        deep = [name for name, each in fields.items() if not is_leaf_type(get_named_type(each.type))]
        # Relations are asked for more often than their share, or operations would be flat.
        if depth == 0:
            deep += [name for name in deep if name in _RICH] * 3
        name = self._one(list(fields) if not deep or self._chance(3) else deep)
        return self._put(type_, name, fields[name], scope, depth)

    def _may(self, type_: Any, name: str, graphql_field: GraphQLField, depth: int) -> bool:
        place = f"{type_.name}.{name}"
        if place in self._avoid and not (self._faulty and self._chance(20)):
            return False
        definition = graphql_field.extensions.get("strawberry-definition")
        judged = definition if isinstance(definition, DeclaredField) and definition.allowed is not None else None
        if judged is not None and not self._faulty and not self._allowed(judged):
            return False
        named = get_named_type(graphql_field.type)
        if depth == 0 and self._seen and set(graphql_field.args) == {"id"} and not self._chance(6):
            prefix = getattr(_origin(named), "prefix", None)
            if prefix is not None and not self._seen.get(prefix):
                return False
        return is_leaf_type(named) or depth < _DEPTH or not _reads(named)

    def _put(
        self, type_: Any, name: str, graphql_field: GraphQLField | None, scope: dict[str, _Key], depth: int
    ) -> str:
        leaf = graphql_field is None or is_leaf_type(get_named_type(graphql_field.type))
        shape = "String!" if graphql_field is None else str(graphql_field.type)
        key = self._one(_ALIASES) if self._chance(6) else name
        while (found := scope.get(key)) is not None and not _merges(found, type_, name, shape, leaf):
            key = f"k{len(scope)}" if key != f"k{len(scope)}" else f"{key}x"
        if found is None or found.name != name:
            arguments = "" if graphql_field is None else self._arguments(type_, name, graphql_field)
            if found is None:
                found = scope[key] = _Key(type_.name, name, arguments, shape, leaf)
        else:
            arguments = found.arguments
        text = (f"{key}: " if key != name else "") + name + arguments + self._directive()
        if leaf or graphql_field is None:
            return text
        inner = get_named_type(graphql_field.type)
        return f"{text} {self._selection(inner, found.scope, depth + _reads(inner))}"

    def _fragment(self, type_: Any, scope: dict[str, _Key], depth: int, *, named: bool) -> str:
        condition = self._one(self._conditions(type_))
        if not named:
            on = f" on {condition.name}" if condition is not type_ or self._chance(2) else ""
            return f"...{on}{self._directive()} {self._selection(condition, scope, depth)}"
        again = [name for name, (of, _, keys) in self._fragments.items() if of == condition.name and _fits(keys, scope)]
        if again and self._chance(2):
            name = self._one(again)
        else:
            own: dict[str, _Key] = {}
            text = self._selection(condition, own, depth)
            if not _fits(own, scope):
                # It asks for something else under a key that is taken.
                return self._put(type_, "__typename", None, scope, depth)
            name = f"F{len(self._fragments)}"
            self._fragments[name] = (condition.name, text, own)
        _merge(self._fragments[name][2], scope)
        return f"...{name}{self._directive()}"

    def _conditions(self, type_: Any) -> list[Any]:
        if isinstance(type_, GraphQLObjectType):
            return [type_, type_, *type_.interfaces]
        possible = self._schema.get_possible_types(type_)
        return [type_, *possible, *[each for each in possible if _origin(each).prefix == self._about] * 30]

    def _directive(self) -> str:
        if not self._chance(14):
            return ""
        name = self._one(("include", "skip"))
        if self._chance(2):
            return f" @{name}(if: {self._one(('true', 'false'))})"
        return f" @{name}(if: {self._variable('Boolean!', self._chance(2), again=True)})"

    # --- Arguments

    def _arguments(self, type_: Any, name: str, graphql_field: GraphQLField) -> str:
        found = []
        order = ""
        chosen = {each for each, given in graphql_field.args.items() if is_required_argument(given) or self._chance(3)}
        if not self._faulty and {"first", "last"} <= chosen:
            chosen.remove("last")
        definition: Any = graphql_field.extensions.get("strawberry-definition")
        relation = getattr(definition, "declared", None)
        orders = relation.orders if isinstance(relation, Relation) else {}
        if orders:
            order = next(iter(orders)).name
        for argument in sorted(chosen, key=lambda each: (each != "orderBy", each)):
            given = graphql_field.args[argument]
            listing = f"{type_.name}.{name}:{order}"
            if argument in {"after", "before"} and not (self._faulty or self._material.cursors.get(listing)):
                continue
            value = self._value(given.type, argument, type_, name, listing)
            written, value = self._written(given, argument, value)
            if argument == "orderBy" and isinstance(value, str):
                order = value
            found.append(f"{argument}: {written}")
        return f"({', '.join(found)})" if found else ""

    def _written(self, given: GraphQLArgument, argument: str, value: Any) -> tuple[str, Any]:
        """Write a value as a literal or as a variable, which may be left out where that is allowed."""
        type_, required = given.type, is_non_null_type(given.type)
        if not self._chance(2):
            return literal(type_, value, single=self._chance(4)), value
        if is_list_type(get_nullable_type(type_)) and isinstance(value, list) and value and self._chance(3):
            item = cast("GraphQLList[Any]", get_nullable_type(type_)).of_type
            variable = self._variable(str(item), value[0], again=False)
            rest = [literal(item, each) for each in value[1:]]
            return f"[{', '.join([variable, *rest])}]", value
        if required and given.default_value is Undefined:
            return self._variable(str(type_), value, again=argument == "id"), value
        loose = str(get_nullable_type(type_))
        way = self._choose(0, 7)
        if way == 6 and not required:
            return self._variable(loose, None), None
        if way == 6 and self._faulty:
            return self._variable(loose, None), None
        if way == 7:
            return self._variable(loose, Undefined), None
        if way == 5 and value is not None:
            return self._variable(loose, Undefined, default=f" = {literal(type_, value)}"), value
        if way == 4 and value is not None:
            return self._variable(f"{loose}!", value), value
        return self._variable(loose, value, again=argument not in {"after", "before", "orderBy"}), value

    def _variable(self, type_: str, value: Any, *, default: str = "", again: bool = False) -> str:
        if again and self._chance(3):
            like = [
                name
                for name, each in self._variables.items()
                if each.type == type_ and not each.default and (type_ != "ID!" or str(each.value)[:3] == value[:3])
            ]
            if like:
                return f"${self._one(like)}"
        name = f"v{len(self._variables)}"
        self._variables[name] = _Variable(type_, default, value)
        return f"${name}"

    def _value(self, type_: GraphQLInputType, argument: str, parent: Any, name: str, listing: str) -> Any:
        if not is_non_null_type(type_) and self._chance(12):
            return None
        nullable: Any = get_nullable_type(type_)
        if is_list_type(nullable):
            size = self._choose(0, 4)
            return [self._value(nullable.of_type, argument, parent, name, listing) for _ in range(size)]
        if isinstance(nullable, GraphQLEnumType):
            return self._one(list(nullable.values))
        match nullable.name:
            case "Int":
                sizes = (0, 1, 2, 3, 5, 100, -1, 101, 2**31 - 1) if self._faulty else (2, 1, 0, 3, 5, 100)
                return self._one(sizes)
            case "Boolean":
                return self._chance(2)
            case "ID":
                return self._id(parent, name, argument)
            case "DateTime":
                return self._one(("2024-01-01T00:00:00Z", "2026-06-30T12:00:00.5+02:00", "1999-12-31T23:59:59-11:00"))
        if argument in {"after", "before"}:
            return self._cursor(listing)
        texts = {"questionnaireUrl": self._material.urls, "url": self._material.urls, "score": self._material.scores}
        return self._one(texts.get(argument, ("",)) if not self._chance(4) else [*HOSTILE, "", "blåbær"])

    def _cursor(self, listing: str) -> str:
        known = self._material.cursors.get(listing, ())
        if self._faulty and self._chance(3):
            lists = [each for each in self._material.cursors.values() if each]
            return str(self._one([*HOSTILE, self._one(self._one(lists)), (known or ("AAAA",))[0] + "A"]))
        return str(self._one(known or ("",)))

    def _id(self, parent: Any, name: str, argument: str) -> str:
        named = get_named_type(parent.fields[name].type)
        prefix = str(_PREFIXES.get(argument) or getattr(_origin(named), "prefix", ""))
        theirs = [each for each, ids in self._seen.items() if ids]
        there = theirs or [each for each, ids in self._material.ids.items() if ids]
        if prefix not in self._material.ids or self._chance(8):
            prefix = str(self._one(there))
        way = self._choose(0, 11)
        if way == 11:
            return str(
                self._one([*HOSTILE, "", "cit_", "cit", f"{prefix}_{'0' * 31}", f"{prefix}_{'Z' * 32}", "a_b_c"])
            )
        if way == 10:
            return f"{prefix}_{'0' * 31}7"
        self._about = prefix
        ids = self._seen.get(prefix) if way < 9 else ()
        return str(self._one(ids or self._material.ids[prefix] or (f"{prefix}_{'1' * 32}",)))


_PREFIXES = {"citizenId": "cit", "organisationUnitId": "org", "careTeamId": "team", "actorId": "emp"}


def _origin(type_: Any) -> Any:
    definition = type_.extensions.get("strawberry-definition")
    return getattr(definition, "origin", None)


def _reads(type_: Any) -> bool:
    """Say whether a type is rows, which count as a step into the depth; a page and its parts do not."""
    return isinstance(type_, GraphQLInterfaceType) or hasattr(_origin(type_), "source")


def _merges(found: _Key, type_: Any, name: str, shape: str, leaf: bool) -> bool:
    if found.name == name and found.type == shape:
        return found.parent == type_.name or (leaf and not found.arguments)
    objects = found.parent != type_.name and isinstance(type_, GraphQLObjectType) and found.parent != "Node"
    return objects and leaf and found.leaf and found.type == shape


def _fits(keys: Mapping[str, _Key], scope: Mapping[str, _Key]) -> bool:
    for key, each in keys.items():
        other = scope.get(key)
        if other is None:
            continue
        same = (each.parent, each.name, each.arguments, each.type) == (
            other.parent, other.name, other.arguments, other.type,
        )  # fmt: skip
        if not same or not _fits(each.scope, other.scope):
            return False
    return True


def _merge(keys: Mapping[str, _Key], scope: dict[str, _Key]) -> None:
    for key, each in keys.items():
        if (found := scope.get(key)) is None:
            found = scope[key] = _Key(each.parent, each.name, each.arguments, each.type, each.leaf)
        _merge(each.scope, found.scope)


def literal(type_: GraphQLInputType, value: Any, *, single: bool = False) -> str:
    """Write a value as it stands in a document; ``single``: a list of one without its brackets."""
    nullable: Any = get_nullable_type(type_)
    if value is None:
        return "null"
    if is_list_type(nullable):
        if single and len(value) == 1:
            return literal(nullable.of_type, value[0])
        return f"[{', '.join(literal(nullable.of_type, each) for each in value)}]"
    return str(value) if isinstance(nullable, GraphQLEnumType) else json.dumps(value)
