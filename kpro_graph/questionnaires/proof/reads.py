"""What an expression reads of a response: which items' answers its value can depend on, and how it reaches them.

Worked out on the parsed expression, step by step: the items of a place, narrowed by the linkIds a condition picks,
down to their answers. What cannot be followed counts as reading everything below the place where it stands, so that
nothing that matters is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from kpro_graph.questionnaires.compiled import LANGUAGES
from kpro_graph.questionnaires.expressions import PREDEFINED_VARIABLES, ExpressionInvalid, compile_expression
from kpro_graph.questionnaires.expressions import syntax as s
from kpro_graph.questionnaires.expressions.registry import FUNCTIONS
from kpro_graph.questionnaires.model import Questionnaire, SourceExpression
from kpro_graph.questionnaires.plan import ItemPlan, Plan

__all__ = ["CLOCK", "Reads", "declarations", "literals", "reads_of", "split", "tree_of"]

CLOCK = "now()"
"""What stands among the things from outside where an expression looks at the clock."""

_CLOCKS = frozenset({"today", "now", "timeOfDay"})
_KEEPS = frozenset({"first", "last", "tail", "skip", "take", "single", "distinct", "ofType", "as", "trace", "where"})
_WEIGHTS = frozenset({"weight", "ordinal"})
_FIXED = frozenset({"questionnaire", "qitem", "qItem", "ucum", "sct", "loinc"})
_PASSING = frozenset({"item", "answer"})


@dataclass(frozen=True, slots=True)
class Reads:
    """What an expression reads.

    ``named`` are items picked by their linkId, ``swept`` items reached together with others. ``outside`` are variables
    whose values come from elsewhere, and the clock. ``own`` tells whether it stands on its own item's place, so that
    the same words at another item mean something else; ``declared`` are the places of the variables it uses. ``absent``
    are linkIds picked where no item has them.
    """

    named: frozenset[str] = frozenset()
    swept: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    own: bool = False
    declared: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()

    @property
    def link_ids(self) -> frozenset[str]:
        """Every item that is read."""
        return self.named | self.swept


@lru_cache(maxsize=4096)
def tree_of(text: str) -> s.Tree | None:
    """Return the parsed expression, or None where it cannot be compiled."""
    try:
        return compile_expression(text).tree
    except ExpressionInvalid:
        return None


def declarations(
    questionnaire: Questionnaire, plan: ItemPlan | None
) -> list[tuple[SourceExpression, ItemPlan | None, int]]:
    """Return the variables that can be seen from an item (None for the root), nearest first, with their order."""
    found: list[tuple[SourceExpression, ItemPlan | None, int]] = []
    for step in reversed(plan.chain if plan is not None else ()):
        found.extend((each, step, index) for index, each in reversed(list(enumerate(step.item.variables))))
    found.extend((each, None, index) for index, each in reversed(list(enumerate(questionnaire.variables))))
    return found


def reads_of(questionnaire: Questionnaire, plan: Plan, source: SourceExpression, at: ItemPlan | None) -> Reads:
    """Return what an expression at an item (None for the root) reads, through the variables it uses as well."""
    reading = _Reading(questionnaire, plan)
    if source.language not in LANGUAGES:
        return Reads(outside=frozenset({source.language}))
    reading.expression(source, at, None)
    return Reads(
        frozenset(reading.named),
        frozenset(reading.swept - reading.named),
        frozenset(reading.outside),
        reading.own,
        tuple(sorted(reading.declared)),
        frozenset(reading.absent),
    )


def literals(text: str) -> Iterator[Any]:
    """Yield the values written in an expression: texts, numbers, booleans, and dates as texts. LinkIds are left out."""
    tree = tree_of(text)
    if tree is None:
        return
    names = {id(part) for chain in s.walk(tree) if isinstance(chain, s.Chain) for part in _beside_link_id(chain)}
    for part in s.walk(tree):
        if isinstance(part, s.Literal) and id(part) not in names:
            for value in part.values:
                if isinstance(value, str | bool | int | Decimal):
                    yield value
                elif hasattr(value, "value") and isinstance(value.value, int | Decimal):
                    yield value.value
                else:
                    yield str(value).removeprefix("@").removeprefix("T")


def _beside_link_id(chain: s.Chain) -> Iterator[s.Literal]:
    """Yield the literals that linkIds are compared with."""
    left, operator, right = split(chain)
    if _is_link_id(left) or _is_link_id(right):
        for each in (left, right):
            yield from (part for part in s.walk(each) if isinstance(part, s.Literal))
    elif isinstance(left, s.Chain) and operator in ("and", "or"):
        yield from _beside_link_id(left)


_Kind = Literal["root", "items", "answers", "mixed", "valued", "values"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a step of a path stands: at items, their answers, the answers' values, or at values already read.

    ``mixed`` is items and answers and all below them.
    """

    kind: _Kind
    ids: frozenset[str] = frozenset()
    named: bool = False


_VALUES = _Place("values")


@dataclass
class _Reading:
    questionnaire: Questionnaire
    plan: Plan
    named: set[str] = field(default_factory=set)
    swept: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    own: bool = False
    open_: list[str] = field(default_factory=list)

    # --- where things are

    def children(self, ids: Iterable[str]) -> frozenset[str]:
        return frozenset(child.item.link_id for one in ids for child in self.plan.items[one].children)

    def below(self, ids: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            plan = self.plan.items[waiting.pop()]
            for child in plan.children:
                if child.item.link_id not in found:
                    found.add(child.item.link_id)
                    waiting.append(child.item.link_id)
        return frozenset(found)

    def inside(self, place: _Place, *, deep: bool) -> frozenset[str]:
        if place.kind == "root":
            return frozenset(self.plan.items if deep else (each.item.link_id for each in self.plan.roots))
        return self.below(place.ids) if deep else self.children(place.ids)

    # --- what is read

    def take(self, ids: Iterable[str], *, named: bool) -> None:
        (self.named if named else self.swept).update(ids)

    def weigh(self, place: _Place) -> None:
        """Only the scores of the answers are read: an item without any gives none, whatever is answered."""
        ids = place.ids if place.kind in ("answers", "valued") else self.inside(place, deep=True) | place.ids
        self.take((one for one in ids if self.plan.items[one].weights), named=place.named)

    def end(self, place: _Place) -> None:
        """The path ends here, or goes on where it cannot be followed: all that can be seen from here is read."""
        if place.kind == "root":
            self.take(self.inside(place, deep=True), named=False)
        elif place.kind != "values":
            self.take(place.ids, named=place.named)
            if place.kind != "valued":
                self.take(self.below(place.ids), named=False)

    # --- the walk

    def expression(self, source: SourceExpression, at: ItemPlan | None, before: int | None) -> _Place:
        """Read an expression at its place; ``before`` limits the variables of that place it can see."""
        tree = tree_of(source.text) if source.language in LANGUAGES else None
        if tree is None:
            if source.language not in LANGUAGES:
                self.outside.add(source.name or source.language)
            return _VALUES
        here = _Place("root") if at is None else _Place("items", frozenset({at.item.link_id}))
        inner = _Walk(self, at, before, here)
        place = inner.visit(tree, here)
        if before is None:
            self.end(place)
        return place

    def variable(self, name: str, at: ItemPlan | None, before: int | None) -> _Place:
        """Follow a declared variable to what it reads."""
        for source, declared_at, index in declarations(self.questionnaire, at):
            same_place = declared_at is at
            if source.name != name or (before is not None and same_place and index >= before):
                continue
            if source.location in self.open_:
                return _VALUES
            self.declared.add(source.location)
            self.open_.append(source.location)
            own = self.own
            place = self.expression(source, declared_at, index)
            self.own = own
            self.open_.pop()
            return place
        self.outside.add(name)
        return _VALUES


@dataclass
class _Walk:
    """One expression being read: where it stands, and which variables it can see."""

    reading: _Reading
    at: ItemPlan | None
    before: int | None
    context: _Place

    def visit(self, tree: s.Tree, this: _Place) -> _Place:
        match tree:
            case s.Path():
                return self.path(tree, this)
            case s.Variable():
                return self.variable(tree.name)
            case s.Special():
                return this if tree.name == "$this" else _VALUES
            case s.Sign():
                return self.ended(self.visit(tree.operand, this))
            case s.Chain():
                return self.chain(tree, this)
        return _VALUES

    def ended(self, place: _Place) -> _Place:
        self.reading.end(place)
        return _VALUES

    def variable(self, name: str) -> _Place:
        if name in ("resource", "rootResource"):
            return _Place("root")
        if name == "context":
            self.reading.own = self.reading.own or self.at is not None
            return self.context
        if name in _FIXED or name in PREDEFINED_VARIABLES:
            return _VALUES
        return self.reading.variable(name, self.at, self.before)

    def chain(self, tree: s.Chain, this: _Place) -> _Place:
        left, operator, right = split(tree)
        place = self.visit(left, this)
        if isinstance(right, s.TypeName):
            return place if operator == "as" else self.ended(place)
        other = self.visit(right, this)
        if operator == "|":
            return self.joined([place, other])
        self.reading.end(place)
        return self.ended(other)

    def joined(self, places: list[_Place]) -> _Place:
        real = [place for place in places if place.kind != "values"]
        if not real:
            return _VALUES
        if len({place.kind for place in real}) == 1 and real[0].kind != "root":
            ids = frozenset(one for place in real for one in place.ids)
            return _Place(real[0].kind, ids, all(place.named for place in real))
        for place in real:
            self.reading.end(place)
        return _VALUES

    def path(self, tree: s.Path, this: _Place) -> _Place:
        if tree.start is None:
            place = this
            first = tree.steps[0]
            function = isinstance(first, s.Call) and first.name in ("iif", *_CLOCKS)
            if this is self.context and self.at is not None and not function:
                self.reading.own = True
        else:
            place = self.visit(tree.start, this)
        for position, step in enumerate(tree.steps):
            match step:
                case s.Member():
                    place = self.member(step.name, place, first=position == 0 and tree.start is None)
                case s.Call():
                    place = self.call(step, place, this)
                case s.Index():
                    self.reading.end(self.visit(step.position, this))
                    self.count(place)
                case s.Special():
                    place = self.visit(step, this)
        return place

    def member(self, name: str, place: _Place, *, first: bool) -> _Place:
        reading = self.reading
        if place.kind == "values":
            return _VALUES
        if first and name in ("QuestionnaireResponse", "DomainResource", "Resource") and place.kind == "root":
            return place
        if name == "item":
            ids = reading.inside(place, deep=place.kind == "mixed")
            return _Place("items", ids)
        if place.kind == "root":
            return _VALUES
        if name == "answer" and place.kind in ("items", "mixed"):
            return _Place("answers", place.ids, place.named)
        if name.startswith("value") and place.kind == "answers":
            return _Place("valued", place.ids, place.named)
        # What else an item or answer has is there only when it is: its presence is read.
        reading.take(place.ids, named=place.named)
        return _VALUES

    def call(self, step: s.Call, place: _Place, this: _Place) -> _Place:
        reading = self.reading
        name = step.name
        if name in _CLOCKS:
            reading.outside.add(CLOCK)
            return _VALUES
        if name in ("where", "exists", "all") and len(step.arguments) == 1 and place.kind in ("items", "mixed"):
            narrowed = self.narrow(step.arguments[0], place)
            if name == "all":
                reading.end(place)
            return narrowed if name == "where" else self.ended(narrowed)
        if name in ("descendants", "repeat", "children") and place.kind not in ("values", "valued"):
            return self.deep(step, place)
        if name == "iif":
            reading.end(self.visit(step.arguments[0], place if place.kind != "values" else this))
            return self.joined([self.visit(each, this) for each in step.arguments[1:]])
        if name == "select" and step.arguments:
            return self.visit(step.arguments[0], place)
        for position, argument in enumerate(step.arguments):
            kind = FUNCTIONS[name].kind(position)
            if kind == "type":
                continue
            inside = argument.operand if kind == "key" and isinstance(argument, s.Sign) else argument
            reading.end(self.visit(inside, place if kind in ("each", "key") else this))
        if name in ("union", "combine") and step.arguments:
            return self.ended(place)
        if name in _WEIGHTS and place.kind in ("answers", "valued", "mixed"):
            reading.weigh(place)
            return _VALUES
        if name in _KEEPS:
            if name not in ("where", "ofType", "as", "trace"):
                self.count(place)
            return place
        return self.ended(place)

    def count(self, place: _Place) -> None:
        """Which item is the first, or the third, depends on which of them are there."""
        if place.kind in ("items", "mixed") and len(place.ids) > 1:
            self.reading.take(place.ids, named=False)
        elif place.kind == "root":
            self.reading.take(self.reading.inside(place, deep=False), named=False)

    def deep(self, step: s.Call, place: _Place) -> _Place:
        if step.name == "repeat" and not _passes(step):
            for argument in step.arguments:
                self.reading.end(self.visit(argument, _Place("mixed", self.reading.inside(place, deep=True))))
            return self.ended(_Place("mixed", self.reading.inside(place, deep=True)))
        if step.name == "children" and place.kind in ("answers", "mixed"):
            return self.ended(place)
        ids = self.reading.inside(place, deep=step.name != "children")
        if step.name == "repeat":
            return _Place("items", ids)
        return _Place("mixed", ids | place.ids if place.kind != "root" else ids)

    # --- conditions that pick items by linkId

    def narrow(self, condition: s.Tree, place: _Place) -> _Place:
        """Return the place with the items that a condition leaves, having read what the condition reads."""
        parts = _operands(condition, "and")
        named = place.named
        ids = place.ids
        rest = []
        for part in parts:
            kept = _pick(part, ids)
            if kept is None:
                rest.append(part)
            else:
                self.reading.absent |= _named_in(part) - ids
                ids, single = kept
                named = named or single
        narrowed = _Place(place.kind, ids, named)
        for part in rest:
            self.reading.end(self.visit(part, narrowed))
        return narrowed


def split(tree: s.Chain) -> tuple[s.Tree, str, s.Tree]:
    """Return the operator that is applied last, with what stands to its left and to its right."""
    *before, (operator, right) = tree.rest
    left = s.Chain(tree.place, tree.first, tuple(before)) if before else tree.first
    return left, operator, right


def _operands(tree: s.Tree, operator: str) -> list[s.Tree]:
    """Return what is joined by an operator, at any depth."""
    if isinstance(tree, s.Chain):
        left, joining, right = split(tree)
        if joining == operator:
            return [*_operands(left, operator), *_operands(right, operator)]
    return [tree]


def _pick(condition: s.Tree, ids: frozenset[str]) -> tuple[frozenset[str], bool] | None:
    """Return the linkIds that a condition on linkId alone leaves, and whether it names them; None for any other."""
    alternatives = _operands(condition, "or")
    if len(alternatives) > 1:
        picked = [_pick(each, ids) for each in alternatives]
        if any(each is None for each in picked):
            return None
        kept = frozenset(one for each in picked if each is not None for one in each[0])
        return kept, all(each[1] for each in picked if each is not None)
    if isinstance(condition, s.Chain):
        left, operator, right = split(condition)
        if not _is_link_id(left) and _is_link_id(right):
            left, right = right, left
        names = _texts(right) if _is_link_id(left) else None
        if names is not None:
            # Not ~ and !~, for which case does not count.
            if operator in ("=", "in", "contains"):
                return ids & names, True
            if operator == "!=":
                return ids - names, False
    if isinstance(condition, s.Path) and len(condition.steps) == 2:
        test = condition.steps[1]
        if _is_link_id(s.Path(condition.place, condition.start, condition.steps[:1])) and isinstance(test, s.Call):
            texts = _texts(test.arguments[0]) if len(test.arguments) == 1 else None
            if texts is not None and len(texts) == 1:
                return _by_affix(test.name, next(iter(texts)), ids)
    return None


def _named_in(condition: s.Tree) -> frozenset[str]:
    """Return the linkIds a condition compares with, whole."""
    found: frozenset[str] = frozenset()
    for each in _operands(condition, "or"):
        if isinstance(each, s.Chain):
            left, _, right = split(each)
            found |= (_texts(left) or frozenset()) | (_texts(right) or frozenset())
    return found


def _by_affix(name: str, text: str, ids: frozenset[str]) -> tuple[frozenset[str], bool] | None:
    match name:
        case "startsWith":
            return frozenset(one for one in ids if one.startswith(text)), False
        case "endsWith":
            return frozenset(one for one in ids if one.endswith(text)), False
        case "contains":
            return frozenset(one for one in ids if text in one), False
    return None


def _is_link_id(tree: s.Tree) -> bool:
    if not isinstance(tree, s.Path) or not (tree.start is None or _is_this(tree.start)) or len(tree.steps) != 1:
        return False
    step = tree.steps[0]
    return isinstance(step, s.Member) and step.name == "linkId"


def _is_this(tree: s.Tree) -> bool:
    return isinstance(tree, s.Special) and tree.name == "$this"


def _texts(tree: s.Tree) -> frozenset[str] | None:
    if isinstance(tree, s.Literal):
        return frozenset(value for value in tree.values if isinstance(value, str))
    if isinstance(tree, s.Chain) and all(operator == "|" for operator, _ in tree.rest):
        parts = [_texts(operand) for operand in (tree.first, *(operand for _, operand in tree.rest))]
        return None if any(part is None for part in parts) else frozenset(one for part in parts if part for one in part)
    return None


def _passes(step: s.Call) -> bool:
    return all(
        isinstance(argument, s.Path)
        and (argument.start is None or _is_this(argument.start))
        and all(isinstance(inner, s.Member) and inner.name in _PASSING for inner in argument.steps)
        for argument in step.arguments
    )
