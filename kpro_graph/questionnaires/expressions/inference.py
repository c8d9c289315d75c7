"""The names of an expression, checked against the types they are applied to.

A path to an element that cannot exist gives nothing, silently and for ever: the commonest fault in an
expression is a misspelt name. Where the type of every step is known, that is an error here. Where it is not
(a variable, any resource, the children of something), nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from . import model
from .nodes import ExpressionFailed
from .registry import FUNCTIONS, nearest
from .syntax import Call, Chain, Index, Literal, Member, Path, Sign, Special, Tree, TypeName, Variable

__all__ = ["check_names"]

#: The types a part may have; None where anything is possible.
Types: TypeAlias = frozenset[str] | None

_SYSTEM_MEMBERS = {"System.Quantity": ("value", "unit")}


def check_names(tree: Tree, focus: Types, variables: Mapping[str, Types]) -> None:
    """Raise :class:`ExpressionFailed` where a path leads to an element that no possible type has."""
    _Check(variables).types(tree, focus)


class _Check:
    def __init__(self, variables: Mapping[str, Types]) -> None:
        self.variables = variables
        self.tolerant = False

    def types(self, tree: Tree, this: Types) -> Types:
        """Give the types a part may have."""
        match tree:
            case Literal():
                return None if tree.values else frozenset()
            case Variable():
                return self.variables.get(tree.name)
            case Special():
                return this if tree.name == "$this" else None
            case Sign():
                self.types(tree.operand, this)
                return None
            case Chain():
                return self._chain(tree, this)
            case Path():
                return self._path(tree, this)
            case TypeName():
                return None

    def _chain(self, tree: Chain, this: Types) -> Types:
        found = self.types(tree.first, this)
        for operator, operand in tree.rest:
            if isinstance(operand, TypeName):
                found = _named(operand) if operator == "as" else None
            else:
                other = self.types(operand, this)
                found = _joined(found, other) if operator == "|" else None
        return found

    def _path(self, tree: Path, this: Types) -> Types:
        found = self.types(tree.start, this) if tree.start is not None else this
        for position, step in enumerate(tree.steps):
            match step:
                case Member():
                    first = position == 0 and tree.start is None
                    own = {type_ for type_ in found or () if step.name in model.kinds_of(type_)} if first else set()
                    found = frozenset(own) if own else self._member(found, step)
                case Call():
                    found = self._call(step, found, this)
                case Index():
                    self.types(step.position, this)
                case Special():
                    found = self.types(step, this)
        return found

    def _call(self, step: Call, input_: Types, this: Types) -> Types:
        known = FUNCTIONS[step.name]
        found: list[Types] = []
        for position, argument in enumerate(step.arguments):
            kind = known.kind(position)
            if kind == "type":
                found.append(_named(argument))
            elif step.name == "repeat":
                found.append(self._repeated(argument, input_))
            else:
                inside = argument.operand if kind == "key" and isinstance(argument, Sign) else argument
                found.append(self.types(inside, input_ if kind in ("each", "key") else this))
        match known.gives:
            case "input":
                return input_
            case "each" | "type" | "repeat":
                return found[0]
            case "union":
                return _joined(input_, found[0])
            case "iif":
                return _joined(found[1], found[2] if len(found) > 2 else frozenset())
            case "any":
                return None
            case type_:
                return frozenset({type_}) if type_ == "Extension" else None

    def _repeated(self, argument: Tree, input_: Types) -> Types:
        """Follow a repeated projection; an element that some of the types on the way have is no misspelt one."""
        if input_ is None or self.tolerant:
            return None
        reached: frozenset[str] = frozenset()
        fresh = input_
        self.tolerant = True
        while fresh:
            found = self.types(argument, fresh)
            if found is None:
                break
            fresh = found - reached
            reached |= found
        self.tolerant = False
        if fresh:
            return None
        self.types(argument, input_ | reached)
        return reached

    def _member(self, types: Types, step: Member) -> Types:
        try:
            return _member(types, step)
        except ExpressionFailed:
            if self.tolerant:
                return frozenset()
            raise


def _joined(ours: Types, theirs: Types) -> Types:
    return None if ours is None or theirs is None else ours | theirs


def _named(type_: Tree) -> Types:
    name = type_.name if isinstance(type_, TypeName) else None
    if isinstance(type_, Path) and isinstance(type_.steps[-1], Member):
        name = type_.steps[-1].name
    known = name is not None and name in model.named_types() and name not in model.SYSTEM_TYPES - {"Quantity"}
    return frozenset({name}) if known and name not in model.ABSTRACT_TYPES and name is not None else None


def _member(types: Types, step: Member) -> Types:
    if not types:
        return types
    found: set[str] = set()
    for type_ in types:
        if type_ in model.ABSTRACT_TYPES:
            return None
        forms = model.members(type_).get(step.name, ())
        if any(form.type in model.ABSTRACT_TYPES for form in forms):
            return None
        found.update(form.type for form in forms)
    if found:
        return frozenset(found)
    names = {name for type_ in types for name in model.members(type_)}
    some = min(types) if len(types) == 1 else "any of its possible types"
    raise ExpressionFailed(
        f"'{step.name[:80]}' is no element of {some}{nearest(step.name, names)}"
        f" (line {step.place.line}, column {step.place.column})"
    )
