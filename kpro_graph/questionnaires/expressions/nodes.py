"""What an expression handles: pieces of the JSON with their FHIR type, and the values FHIRPath reckons with.

An item of a collection is either a :class:`Node`, which stands for a place in the data, or a value of
FHIRPath's own: bool, int, Decimal, str, Temporal, Quantity or NamedType. :func:`value_of` leads from the one
to the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

from kpro_graph.errors import Rejected

from . import model
from .quantities import CALENDAR_UNITS, UCUM, Quantity
from .temporal import Temporal, parse_date, parse_date_time, parse_time
from .units import CALENDAR_SINGULAR

__all__ = [
    "Collection",
    "ExpressionFailed",
    "Item",
    "NamedType",
    "Navigator",
    "Node",
    "as_json",
    "children",
    "fhir_type",
    "is_of_type",
    "member",
    "node",
    "value_of",
]


class ExpressionFailed(Rejected):
    """The expression has no result on these data; the message says why, without the data."""

    code = "EXPRESSION_FAILED"


class Node:
    """A place in the data: the JSON there, its type (None where unknown), and for a primitive its ``_`` sibling.

    ``memo`` holds where each name led from here, in data that are asked again and again; else it is None.
    """

    __slots__ = ("extra", "memo", "type", "value")

    def __init__(
        self,
        value: Any,
        type_: str | None,
        extra: dict[str, Any] | None = None,
        memo: dict[Any, Collection] | None = None,
    ) -> None:
        self.value = value
        self.type = type_
        self.extra = extra
        self.memo = memo


@dataclass(frozen=True, slots=True)
class NamedType:
    """What ``type()`` gives."""

    namespace: str
    name: str


Item: TypeAlias = Node | bool | int | Decimal | str | Temporal | Quantity | NamedType
Collection: TypeAlias = list[Any]

#: Numbers beyond these bounds in the data are refused: to reckon with them could take for ever.
_MOST_DIGITS: Final = 60

_PARSERS: Final[dict[str | None, Callable[[str], Temporal | None]]] = {
    "date": parse_date,
    "dateTime": parse_date_time,
    "instant": parse_date_time,
    "time": parse_time,
}
_QUANTITIES: Final = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"})
_QUANTITY_KEYS: Final = frozenset({"value", "unit", "system", "code"})

_SYSTEM_NAMES: Final = (
    (bool, "Boolean"),
    (int, "Integer"),
    (Decimal, "Decimal"),
    (str, "String"),
    (Quantity, "Quantity"),
)
_GUESSED: Final = ((bool, "boolean"), (int, "integer"), (Decimal, "decimal"), (float, "decimal"), (str, "string"))


def node(value: Any, type_: str | None = None, *, remember: bool = False) -> Node:
    """Make a root of a piece of JSON; a resource inside an abstract place is what it says it is."""
    if type_ is None or type_ in model.ABSTRACT_TYPES:
        type_ = model.fragment_type(value)
    return Node(value, type_, None, {} if remember else None)


def value_of(item: Any) -> Any:
    """Give the FHIRPath value of an item; the Node itself where it holds none: an object that is no Quantity."""
    if item.__class__ is not Node:
        return item
    value = item.value
    kind = value.__class__
    if kind is str:
        parser = _PARSERS.get(item.type)
        if parser is None:
            return value
        parsed = parser(value)
        if parsed is None:
            raise ExpressionFailed(f"the data hold a {item.type} that does not exist")
        return parsed
    if kind is bool:
        return value
    if kind is int:
        if -(1 << 63) <= value < 1 << 63:
            return Decimal(value) if item.type == "decimal" else value
        raise ExpressionFailed("the data hold a number beyond the range that is reckoned with")
    if kind is Decimal or kind is float:
        return _number(value)
    if kind is dict and _looks_like_quantity(item):
        return _quantity(item)
    return item


def _number(value: Decimal | float) -> Decimal:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionFailed("the data hold a number that is none")
        value = Decimal(repr(value))
    if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS or len(value.as_tuple().digits) > 2 * _MOST_DIGITS:
        raise ExpressionFailed("the data hold a number beyond the range that is reckoned with")
    return value


def _looks_like_quantity(item: Node) -> bool:
    if item.type is not None:
        return item.type in _QUANTITIES
    return "value" in item.value and item.value.keys() <= _QUANTITY_KEYS and len(item.value) > 1


def _quantity(item: Node) -> Quantity | Node:
    """A Quantity with a comparator, or without a value, is an object like any other."""
    parts = item.value
    amount = parts.get("value")
    if "comparator" in parts or isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        return item
    number = value_of(Node(amount, "decimal"))
    code, unit = parts.get("code"), parts.get("unit")
    if parts.get("system") == CALENDAR_UNITS and isinstance(code, str) and code in CALENDAR_SINGULAR:
        return Quantity(number, code, calendar=True)
    if isinstance(code, str) and parts.get("system") in (UCUM, None):
        return Quantity(number, code)
    return Quantity(number, unit if isinstance(unit, str) else code if isinstance(code, str) else "1")


class Navigator:
    """The step to the members of one name. What the name means for each type is remembered."""

    __slots__ = ("_forms", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._forms: dict[str | None, Mapping[str, model.Form]] = {}

    def __call__(self, items: Iterable[Any]) -> Collection:
        """Navigate from each item to its members of that name, in order."""
        found: Collection = []
        for item in items:
            if item.__class__ is not Node:
                found.extend(_of_value(item, self.name))
            elif item.memo is None:
                self._follow(item, found)
            else:
                known = item.memo.get(self.name)
                if known is None:
                    known = []
                    self._follow(item, known)
                    item.memo[self.name] = known
                found.extend(known)
        return found

    def _follow(self, item: Node, found: Collection) -> None:
        value = item.value
        if value.__class__ is not dict:
            if item.extra is not None and self.name in ("extension", "id"):
                _add(found, item.extra, model.members("Element")[self.name][0], item.memo is not None)
            return
        forms = self._forms.get(item.type)
        if forms is None:
            forms = self._learn(item.type, value)
        if len(forms) == 1:
            for form in forms.values():
                _add(found, value, form, item.memo is not None)
            return
        for key in value:
            if key in forms:
                _add(found, value, forms[key], item.memo is not None)
                return

    def _learn(self, type_: str | None, value: dict[str, Any]) -> Mapping[str, model.Form]:
        """Give the ways the member may be written on that type, by key; what the model does not know is guessed."""
        known = model.members(type_).get(self.name) if type_ is not None else None
        if known is None:
            return {form.key: form for form in _guess(value, self.name)}
        forms = {form.key: form for form in known}
        if len(known) > 1:
            forms.update({form.beside: form for form in known})
        self._forms[type_] = forms
        return forms


def member(items: Iterable[Any], name: str) -> Collection:
    """Navigate from each item to its members of that name, in order."""
    return Navigator(name)(items)


def _of_value(item: Any, name: str) -> Collection:
    if isinstance(item, NamedType) and name in ("namespace", "name"):
        return [getattr(item, name)]
    if isinstance(item, Quantity) and name in ("value", "unit"):
        return [getattr(item, name)]
    return []


def _guess(value: dict[str, Any], name: str) -> tuple[model.Form, ...]:
    """The form of a member the model does not know: as written, or spelt as a choice."""
    if name in value or f"_{name}" in value:
        typed = next((t for t in (model.spelt_as_choice(name, stem) for stem in ("value", "answer")) if t), None)
        return (model.Form(name, typed or ""),)
    for key in value:
        if (type_ := model.spelt_as_choice(key.lstrip("_"), name)) is not None:
            return (model.Form(key.lstrip("_"), type_),)
    return ()


def _add(found: Collection, owner: dict[str, Any], form: model.Form, remember: bool) -> None:
    value = owner.get(form.key)
    extra = owner.get(form.beside)
    if value.__class__ is list:
        beside = extra if isinstance(extra, list) else []
        for position, one in enumerate(value):
            _add_one(found, one, form, beside[position] if position < len(beside) else None, remember)
    elif value is not None or extra is not None:
        _add_one(found, value, form, extra, remember)


def _add_one(found: Collection, value: Any, form: model.Form, extra: Any, remember: bool) -> None:
    if extra.__class__ is not dict:
        if value is None:
            return
        extra = None
    type_ = model.fragment_type(value) if form.abstract and value.__class__ is dict else form.type or None
    found.append(Node(value, type_, extra, {} if remember else None))


def children(items: Iterable[Any]) -> Collection:
    """Give every member of every item, in the order they are written."""
    found: Collection = []
    for item in items:
        if item.__class__ is not Node:
            continue
        if item.value.__class__ is not dict:
            if item.extra is not None:
                found.extend(children([Node(item.extra, "Element")]))
            continue
        forms = _forms_by_key(item.type) if item.type is not None else {}
        seen = set()
        for key in item.value:
            form = forms.get(key)
            if form is None:
                stem = key.removeprefix("_")
                form = forms.get(stem) or next(iter(_guess(item.value, stem)), None)
            if form is not None and form.key not in seen and form.key != "resourceType":
                seen.add(form.key)
                _add(found, item.value, form, item.memo is not None)
    return found


@cache
def _forms_by_key(type_: str) -> Mapping[str, model.Form]:
    return {form.key: form for forms in model.members(type_).values() for form in forms}


def fhir_type(item: Any) -> NamedType | None:
    """Tell the type of an item; None for an object whose type is unknown."""
    if item.__class__ is not Node:
        if isinstance(item, Temporal):
            return NamedType("System", item.kind)
        if isinstance(item, NamedType):
            return NamedType("System", "TypeInfo")
        return NamedType("System", next(name for class_, name in _SYSTEM_NAMES if isinstance(item, class_)))
    if item.type is not None:
        if item.type.startswith("System."):
            return NamedType("System", item.type.removeprefix("System."))
        return NamedType("FHIR", "BackboneElement" if "." in item.type else item.type)
    for class_, name in _GUESSED:
        if isinstance(item.value, class_):
            return NamedType("FHIR", name)
    return NamedType("FHIR", "Quantity") if isinstance(item.value, dict) and _looks_like_quantity(item) else None


def is_of_type(item: Any, namespace: str | None, name: str) -> bool:
    """Tell whether an item is of the named type or a kind of it."""
    named = fhir_type(item)
    if named is None:
        return False
    if namespace is not None and namespace != named.namespace:
        return False
    if named.namespace == "System":
        return name in (named.name, "Any")
    return name in model.kinds_of(named.name)


def as_json(item: Any) -> Any:
    """Give the plain JSON of an item: Decimal for decimals, text for dates, objects as they stand in the data."""
    if item.__class__ is Node:
        return item.value
    if isinstance(item, Quantity):
        return item.as_json()
    if isinstance(item, NamedType):
        return {"namespace": item.namespace, "name": item.name}
    return str(item) if isinstance(item, Temporal) else item
