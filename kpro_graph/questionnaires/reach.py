"""What an expression can see of a response, so that it need not be evaluated again when something else changes.

An expression sees the items it picks by linkId, with everything below them, and its own item. Where it goes on from
picked items to others it picks below them, of the first only that they are there is seen. One that goes through items
without naming them sees everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from kpro_graph.questionnaires.expressions.syntax import (
    Call,
    Chain,
    Index,
    Literal,
    Member,
    Path,
    Sign,
    Special,
    Tree,
    TypeName,
    Variable,
)

__all__ = ["Reach", "reach_of"]

_ROOTS = frozenset({"resource", "rootResource"})
_FIXED = frozenset({"questionnaire", "qitem", "qItem", "ucum", "sct", "loinc"})
_PASSING = frozenset({"item", "answer"})
_ANYWHERE = frozenset({"iif", "today", "now", "timeOfDay"})


@dataclass(frozen=True, slots=True)
class Reach:
    """The linkIds that are picked, those only passed on the way, and the variables used.

    ``own`` tells whether the own item is seen, ``own_passed`` whether it is passed, ``everything`` whether all is seen.
    """

    names: frozenset[str]
    passed: frozenset[str]
    variables: frozenset[str]
    own: bool
    own_passed: bool
    everything: bool


class _At(Enum):
    """Where a step stands: going through items, at picked ones, inside them, at the own item, or at what is fixed."""

    THROUGH = auto()
    PICKED = auto()
    INSIDE = auto()
    OWN = auto()
    FIXED = auto()


def reach_of(tree: Tree, *, at_root: bool) -> Reach:
    """Return what an expression can see; ``at_root`` where its focus is the response, else it is an item."""
    seeing = _Seeing(_At.THROUGH if at_root else _At.OWN)
    seeing.visit(tree, seeing.context)
    return Reach(
        names=frozenset(seeing.names),
        passed=frozenset(seeing.passed - seeing.names),
        variables=frozenset(seeing.variables),
        own=seeing.own,
        own_passed=seeing.own_passed,
        everything=seeing.everything,
    )


class _Seeing:
    def __init__(self, context: _At) -> None:
        self.context = context
        self.names: set[str] = set()
        self.passed: set[str] = set()
        self.at_hand: set[str] = set()
        self.variables: set[str] = set()
        self.own = False
        self.own_passed = False
        self.everything = False

    def visit(self, tree: Tree, this: _At) -> None:
        match tree:
            case Path():
                self.path(tree, this)
            case Chain():
                self.visit(tree.first, this)
                for _, operand in tree.rest:
                    self.visit(operand, this)
            case Sign():
                self.visit(tree.operand, this)
            case Variable() | Special():
                self.end(self.start(tree, this))
            case Literal() | TypeName():
                pass

    def start(self, tree: Tree | None, this: _At) -> _At:
        match tree:
            case None:
                return this
            case Special(name=name):
                return this if name == "$this" else _At.FIXED
            case Variable(name=name):
                if name in _ROOTS:
                    return _At.THROUGH
                if name == "context":
                    return self.context
                if name not in _FIXED:
                    self.variables.add(name)
                return _At.FIXED
        self.visit(tree, this)
        return _At.INSIDE

    def path(self, tree: Path, this: _At) -> None:
        at = self.start(tree.start, this)
        for position, step in enumerate(tree.steps):
            if at is _At.THROUGH:
                at = self.through(step, position)
            elif position == 0 and isinstance(step, Call) and step.name in _ANYWHERE:
                self.arguments(step, at)
                at = _At.INSIDE
            elif at is _At.OWN or at is _At.PICKED:
                at = self.onward(step, at)
            else:
                self.arguments(step, at)
        self.end(at)

    def through(self, step: Member | Call | Index | Special, position: int) -> _At:
        if _passes(step):
            return _At.THROUGH
        if isinstance(step, Member):
            if position == 0:
                return _At.FIXED
        elif isinstance(step, Call):
            if step.name == "where" and len(step.arguments) == 1:
                names = self.picked(step.arguments[0])
                if names is not None:
                    return self.pick(names, step.arguments[0])
            if position == 0 and step.name in _ANYWHERE:
                self.arguments(step, _At.THROUGH)
                return _At.INSIDE
        self.everything = True
        return _At.INSIDE

    def onward(self, step: Member | Call | Index | Special, at: _At) -> _At:
        """Go on from picked items or the own one: to what stands below, to others that are picked there, or inside."""
        if _passes(step):
            return at
        if isinstance(step, Call) and step.name == "where" and len(step.arguments) == 1:
            names = self.picked(step.arguments[0]) if _is_plain(step.arguments[0]) else None
            if names is not None:
                if at is _At.OWN:
                    self.own_passed = True
                else:
                    self.passed |= self.at_hand
                return self.pick(names, step.arguments[0])
        self.end(at)
        self.arguments(step, _At.INSIDE)
        return _At.INSIDE

    def pick(self, names: set[str], condition: Tree) -> _At:
        if _is_plain(condition):
            self.at_hand = names
            return _At.PICKED
        self.names |= names
        return _At.INSIDE

    def arguments(self, step: Member | Call | Index | Special, this: _At) -> None:
        if isinstance(step, Call):
            for argument in step.arguments:
                self.visit(argument, this)
        elif isinstance(step, Index):
            self.visit(step.position, this)

    def end(self, at: _At) -> None:
        if at is _At.THROUGH:
            self.everything = True
        elif at is _At.PICKED:
            self.names |= self.at_hand
        elif at is _At.OWN:
            self.own = True

    def picked(self, tree: Tree) -> set[str] | None:
        """Return the linkIds a condition picks, or None where it does not pick by linkId."""
        if not isinstance(tree, Chain):
            return None
        # Operators of one strength stand side by side and hold from the left to the right.
        left: Tree | None = tree.first
        found: set[str] | None = None
        beside: list[Tree] = []
        for operator, right in tree.rest:
            # Not ~, for which case does not count.
            if left is not None and _is_link_id(left) and operator in ("=", "in"):
                found = _texts(right)
            elif operator in ("and", "or"):
                mine = found if left is None else self.picked(left)
                theirs = self.picked(right)
                if operator == "or":
                    found = None if mine is None or theirs is None else mine | theirs
                else:
                    beside += [each for each, names in ((left, mine), (right, theirs)) if each and names is None]
                    found = theirs if mine is None else mine
            else:
                found = None
                beside += [each for each in (left, right) if each]
            left = None
        if found is not None:
            for each in beside:
                self.visit(each, _At.INSIDE)
        return found


def _passes(step: Member | Call | Index | Special) -> bool:
    """Whether a step leads from items to all that stand below them, and looks at nothing on the way."""
    if isinstance(step, Member):
        return step.name in _PASSING
    if not isinstance(step, Call) or step.name != "repeat":
        return isinstance(step, Call) and step.name in ("descendants", "children")
    return all(
        isinstance(argument, Path)
        and (argument.start is None or argument.start.__class__ is Special)
        and all(isinstance(inner, Member) and inner.name in _PASSING for inner in argument.steps)
        for argument in step.arguments
    )


def _is_plain(condition: Tree) -> bool:
    """Whether a condition looks at nothing but linkIds."""
    return isinstance(condition, Chain) and all(
        _is_link_id(part) or _texts(part) is not None or _is_plain(part)
        for part in (condition.first, *(operand for _, operand in condition.rest))
    )


def _is_link_id(tree: Tree) -> bool:
    if not isinstance(tree, Path) or not (tree.start is None or isinstance(tree.start, Special)):
        return False
    step = tree.steps[0]
    return len(tree.steps) == 1 and isinstance(step, Member) and step.name == "linkId"


def _texts(tree: Tree) -> set[str] | None:
    if isinstance(tree, Literal):
        return {value for value in tree.values if isinstance(value, str)}
    if isinstance(tree, Chain) and all(operator == "|" for operator, _ in tree.rest):
        parts = [_texts(operand) for operand in (tree.first, *(operand for _, operand in tree.rest))]
        return None if None in parts else {text for part in parts if part for text in part}
    return None
