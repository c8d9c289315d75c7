"""A compiled expression: evaluated on data, and asked what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import DecimalException
from functools import lru_cache
from typing import Any, Final

from . import model
from .evaluation import compile_tree
from .inference import Types, check_names
from .nodes import Collection, ExpressionFailed, NamedType, Node, as_json, node
from .quantities import Quantity
from .registry import Environment
from .syntax import Call, Chain, Literal, Member, Path, Tree, Variable, parse, walk
from .temporal import Temporal

__all__ = ["PREDEFINED_VARIABLES", "Expression", "compile_expression", "prepare"]

#: The variables that need no declaration; the rest of :meth:`Expression.variables` must be declared somewhere.
PREDEFINED_VARIABLES: Final = frozenset(
    {"context", "resource", "rootResource", "questionnaire", "qitem", "qItem", "ucum", "sct", "loinc"}
)

_NOTHING: Final[Mapping[str, list[Any]]] = {}
_REMEMBERED_CHECKS: Final = 64


def prepare(value: Any, base: str | None = None) -> Any:
    """Make a piece of FHIR JSON ready to be asked by many expressions, each navigation being done once.

    The result may stand for ``focus``, ``resource``, ``context``, ``questionnaire`` or ``qitem`` of
    :meth:`Expression.evaluate`, in any number of threads; the JSON must not be changed as long as it is in use.
    ``base`` is as there.
    """
    if base is not None:
        _known(base)
    return node(value, base, remember=True)


class Expression:
    """An expression that can be evaluated. Immutable: one may serve any number of threads."""

    __slots__ = ("_checked", "_names", "_roots", "_run", "_tree", "text")

    def __init__(self, text: str, tree: Tree) -> None:
        self.text = text
        self._tree = tree
        self._run = compile_tree(tree)
        self._checked: dict[Any, str | None] = {}
        self._names = frozenset(part.name for part in walk(tree) if isinstance(part, Variable))
        self._roots = tuple(name for name in _ROOT_VARIABLES if name in self._names)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def tree(self) -> Tree:
        """The parsed text, for whoever asks more of it than this page answers; see the ``syntax`` page."""
        return self._tree

    def evaluate(
        self,
        focus: Any,
        *,
        base: str | None = None,
        resource: Any = None,
        context: Any = None,
        questionnaire: Any = None,
        qitem: Any = None,
        variables: Mapping[str, list[Any]] = _NOTHING,
        now: datetime | None = None,
        typed: bool = False,
    ) -> list[Any]:
        """Evaluate on ``focus``, a piece of FHIR JSON (or a list of such, or None for nothing).

        A resource, or an item of a questionnaire or a response, is recognised; any other fragment needs its type in
        ``base`` (``"QuestionnaireResponse.item.answer"``, ``"Coding"``) to be checked and typed. ``resource`` gives
        %resource and %rootResource (else the focus, where it is a resource), ``context`` %context (else the focus),
        ``questionnaire`` and ``qitem`` theirs. ``variables`` are further variables by name, without the %.
        ``now`` is the moment of now() and today(), with its offset; else the clock's.

        The result is plain FHIR JSON: Decimal for decimals, text for dates, objects for Codings and Quantities.
        With ``typed`` its items keep their FHIR type and are only good to be handed on in ``variables``.
        Raise :class:`ExpressionFailed` where the expression has no result on these data, and where it names an
        element that the type in question does not have.
        """
        roots = [_root(one, base) for one in (focus if isinstance(focus, list) else [focus]) if one is not None]
        known = dict(variables) if variables else {}
        for name, values in known.items():
            known[name] = [_root(one) for one in values]
        known["context"] = roots if context is None else [_root(context)]
        if resource is None and len(roots) == 1 and _is_resource(roots[0]):
            resource = roots[0]
        for names, value in (
            (("resource", "rootResource"), resource),
            (("questionnaire",), questionnaire),
            (("qitem", "qItem"), qitem),
        ):
            if value is not None:
                given = [_root(value, "Questionnaire.item" if value is qitem else None)]
                for name in names:
                    known[name] = given
        if now is not None and now.tzinfo is None:
            raise ExpressionFailed("the moment given as now has no offset")
        try:
            self._check(roots, known)
            found = self._run(Environment(known, now), roots)
        except RecursionError:
            raise ExpressionFailed("the data are nested too deeply") from None
        except (DecimalException, OverflowError):
            raise ExpressionFailed("a number lies beyond the range that is reckoned with") from None
        if typed:
            return list(found)
        return [as_json(item) for item in found if item.__class__ is not Node or item.value is not None]

    def check(self, base: str, **variables: str) -> None:
        """Check the names in the expression without data, for a focus of type ``base``.

        ``variables`` gives the types of %resource, %context and the like where they differ from the focus. Raise
        :class:`ExpressionFailed` where a path leads to an element that cannot exist.
        """
        types: dict[str, Types] = {"context": frozenset({base})}
        types.update({name: frozenset({type_}) for name, type_ in variables.items()})
        check_names(self._tree, frozenset({_known(base)}), types)

    def _check(self, roots: Collection, variables: Mapping[str, Collection]) -> None:
        """Check the names for the types at hand; the verdict is remembered, for few types ever occur."""
        focus = _types(roots)
        types: dict[str, Types] = {name: _types(variables[name]) for name in self._roots if name in variables}
        key = (focus, *types.items())
        message = self._checked.get(key, "")
        if message == "":
            message = None
            try:
                check_names(self._tree, focus, types)
            except ExpressionFailed as failed:
                message = str(failed)
            if len(self._checked) >= _REMEMBERED_CHECKS:
                self._checked.clear()
            self._checked[key] = message
        if message is not None:
            raise ExpressionFailed(message)

    def variables(self) -> frozenset[str]:
        """Give the names behind a % in the expression, without it; see :data:`PREDEFINED_VARIABLES`."""
        return self._names

    def reads_weights(self) -> bool:
        """Tell whether the expression asks for scores, so that :func:`with_weights` is needed."""
        return any(isinstance(part, Call) and part.name in ("weight", "ordinal") for part in walk(self._tree))

    def dependencies(self) -> frozenset[str]:
        """Give the linkIds the expression picks by name: ``linkId = 'x'``, ``~``, ``linkId in ('x' | 'y')``.

        An expression that reads items without naming them is not seen here.
        """
        return frozenset(self._compared({"=", "~", "in", "contains"}))

    def exclusions(self) -> frozenset[str]:
        """Give the linkIds the expression leaves out by name, ``linkId != 'x'``: it reads all the others."""
        return frozenset(self._compared({"!=", "!~"}))

    def _compared(self, operators: set[str]) -> Iterator[str]:
        for part in walk(self._tree):
            if not isinstance(part, Chain):
                continue
            left = part.first
            for operator, right in part.rest:
                for one, other in ((left, right), (right, left)):
                    if operator in operators and _is_link_id(one):
                        yield from _texts(other)
                left = right


_ROOT_VARIABLES: Final = ("resource", "rootResource", "context", "questionnaire", "qitem", "qItem")


def _root(value: Any, base: str | None = None) -> Any:
    """Take in a piece of JSON; values that an evaluation gave back typed are what they are."""
    if isinstance(value, Node | Temporal | Quantity | NamedType):
        return value
    if base is None or (isinstance(value, dict) and "resourceType" in value):
        return node(value)
    return node(value, _known(base))


def _is_resource(item: Any) -> bool:
    return item.__class__ is Node and isinstance(item.value, dict) and "resourceType" in item.value


def _known(base: str) -> str:
    if not model.is_known(base):
        raise ExpressionFailed("the base is no type or element of FHIR R4")
    return base


def _types(items: Collection) -> Types:
    found = set()
    for item in items:
        if item.__class__ is not Node or item.type is None or item.type in model.ABSTRACT_TYPES:
            return None
        found.add(item.type)
    return frozenset(found)


def _is_link_id(tree: Tree) -> bool:
    return isinstance(tree, Path) and isinstance(tree.steps[-1], Member) and tree.steps[-1].name == "linkId"


def _texts(tree: Tree) -> Iterator[str]:
    match tree:
        case Literal():
            yield from (value for value in tree.values if isinstance(value, str))
        case Chain(first=first, rest=rest) if all(operator == "|" for operator, _ in rest):
            for operand in (first, *(operand for _, operand in rest)):
                yield from _texts(operand)


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Compile an expression, about a millisecond; the same text gives the same object.

    Raise :class:`ExpressionInvalid`, with line and column, for what is not well-formed, calls a function or names a
    type that does not exist (the nearest name is given), or must not run here.
    """
    return Expression(text, parse(text))
