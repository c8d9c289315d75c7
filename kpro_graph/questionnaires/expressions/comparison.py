"""When two items are equal, equivalent, greater or the same one twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final, TypeAlias

from .nodes import Collection, ExpressionFailed, Node, fhir_type, value_of
from .quantities import Quantity
from .temporal import Temporal, parse_date_time, parse_time

__all__ = ["Seen", "compare", "equal", "equal_collections", "equivalent", "equivalent_collections"]

#: Counts work done, in steps; raises where there were too many.
Spend: TypeAlias = Callable[[int], None]

_ROUNDING: Final = Context(prec=200)


def _values(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Give the two values in one type, as far as FHIRPath converts unasked.

    Text whose type nothing tells (a variable that was handed in as plain JSON) is read as the date or time it
    is compared with.
    """
    left, right = value_of(ours), value_of(theirs)
    if left.__class__ is right.__class__:
        return left, right
    if isinstance(left, Temporal) and right.__class__ is str:
        return left, _untold(theirs, right, left)
    if isinstance(right, Temporal) and left.__class__ is str:
        return _untold(ours, left, right), right
    if isinstance(left, Quantity) and _is_number(right):
        return left, Quantity(Decimal(right), "1")
    if isinstance(right, Quantity) and _is_number(left):
        return Quantity(Decimal(left), "1"), right
    return left, right


def _untold(item: Any, text: str, example: Temporal) -> Any:
    if item.__class__ is not Node or item.type is not None:
        return text
    return (parse_time if example.kind == "Time" else parse_date_time)(text) or text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(ours: Any, theirs: Any) -> bool | None:
    """Tell whether two items are equal; None where their precision or units leave it open."""
    left, right = _values(ours, theirs)
    kind = left.__class__
    if kind is str and right.__class__ is str:
        return bool(left == right)
    if kind is bool or right.__class__ is bool:
        return left is right
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        if not left.comparable_with(right):
            return False
        order = left.compare(right)
        return None if order is None else order == 0
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        order = left.compare(right)
        return None if order is None else order == 0
    if kind is Node and right.__class__ is Node:
        return _same(left.value, right.value) and (left.value is not None or left.extra == right.extra)
    return bool(kind is right.__class__ and kind is not Node and left == right)


def equivalent(ours: Any, theirs: Any, spend: Spend) -> bool:
    """Tell whether two items are the same for most purposes: case, blanks and surplus decimals do not count."""
    left, right = _values(ours, theirs)
    if left.__class__ is Node and right.__class__ is Node:
        return _same_for_most(left.value, right.value, spend)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return equal(left, right) is True
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        pair = left.in_least_granular(right)
        return pair is not None and _equivalent_plain(*pair)
    return _equivalent_plain(left, right)


def _equal_plain(left: Any, right: Any) -> bool:
    return (left.__class__ is bool) == (right.__class__ is bool) and bool(left == right)


def _equivalent_plain(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return _folded(left) == _folded(right)
    if _is_number(left) and _is_number(right):
        decimals = min(_decimals(left), _decimals(right))
        return _rounded(left, decimals) == _rounded(right, decimals)
    return _equal_plain(left, right)


def _folded(text: str) -> str:
    return "".join(" " if character.isspace() else character for character in text.casefold())


def _decimals(number: int | Decimal) -> int:
    if isinstance(number, int):
        return 0
    return max(0, -int(number.normalize(_ROUNDING).as_tuple().exponent))


def _rounded(number: int | Decimal, decimals: int) -> Decimal:
    return Decimal(number).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _ROUNDING)


def _same(left: Any, right: Any) -> bool:
    """Compare two pieces of JSON, in order."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(one, other) for one, other in zip(left, right, strict=True))
    return _equal_plain(left, right)


def _same_for_most(left: Any, right: Any, spend: Spend) -> bool:
    """Compare two pieces of JSON for equivalence: the order in a list does not count."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _same_for_most(value, right[key], spend) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return _matched(left, right, _same_for_most, spend)
    return _equivalent_plain(left, right)


def _matched(left: list[Any], right: list[Any], same: Callable[[Any, Any, Spend], bool], spend: Spend) -> bool:
    """Tell whether each item of one list has a partner of its own in the other."""
    if len(left) != len(right):
        return False
    waiting = list(right)
    for one in left:
        for at, other in enumerate(waiting):
            spend(1)
            if same(one, other, spend):
                del waiting[at]
                break
        else:
            return False
    return True


def equal_collections(left: Collection, right: Collection) -> bool | None:
    """Compare item by item, in order; None where a side is empty or a pair leaves it open."""
    if not left or not right:
        return None
    if len(left) == 1 == len(right):
        return equal(left[0], right[0])
    if len(left) != len(right):
        return False
    verdicts = [equal(one, other) for one, other in zip(left, right, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def equivalent_collections(left: Collection, right: Collection, spend: Spend) -> bool:
    """Compare without regard to order; two empty collections are equivalent."""
    return _matched(left, right, equivalent, spend)


def compare(left: Any, right: Any) -> int | None:
    """Give -1, 0 or 1; None where precision or units leave it open. Raise where the types have no common order."""
    one, other = _values(left, right)
    if (one.__class__ is str and other.__class__ is str) or (_is_number(one) and _is_number(other)):
        return int(one > other) - int(one < other)
    if isinstance(one, Temporal) and isinstance(other, Temporal) and one.comparable_with(other):
        return one.compare(other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return one.compare(other)
    raise ExpressionFailed(f"{_called(left)} and {_called(right)} cannot be compared by size")


def _called(item: Any) -> str:
    named = fhir_type(item)
    return named.name if named else "an object"


class Seen:
    """A set of items under equality; what equality leaves open counts as different."""

    __slots__ = ("_alike", "_open", "_plain", "spend")

    def __init__(self, spend: Spend) -> None:
        self.spend = spend
        self._plain: set[Any] = set()
        self._alike: dict[Any, list[Any]] = {}
        self._open: list[Any] = []

    def add(self, item: Any) -> bool:
        """Take an item in; tell whether it was new."""
        value = _unit_free(value_of(item))
        if value.__class__ is Node:
            alike = self._alike.setdefault(_outline(value.value), [])
        elif isinstance(value, Temporal | Quantity):
            alike = self._open
        else:
            key = (value.__class__ is bool, value)
            if key in self._plain or self._among(value, self._open):
                return False
            self._plain.add(key)
            return True
        if self._among(item, alike):
            return False
        alike.append(value)
        return True

    def __contains__(self, item: object) -> bool:
        value = _unit_free(value_of(item))
        if value.__class__ is Node:
            return self._among(item, self._alike.get(_outline(value.value), ()))
        if isinstance(value, Temporal | Quantity):
            return self._among(item, self._open)
        return (value.__class__ is bool, value) in self._plain or self._among(item, self._open)

    def _among(self, item: Any, others: Iterable[Any]) -> bool:
        for other in others:
            self.spend(2)
            if equal(other, item) is True:
                return True
        return False


def _unit_free(value: Any) -> Any:
    """A quantity in the unit 1 is the number itself."""
    return value.value if isinstance(value, Quantity) and value.unit == "1" else value


def _outline(value: Any) -> Any:
    """A cheap key that equal objects share."""
    if not isinstance(value, dict):
        return None
    link_id = value.get("linkId")
    if link_id.__class__ is str:
        return link_id
    return frozenset((key, one) for key, one in value.items() if one.__class__ is str)
