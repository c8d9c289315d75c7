"""What can be answered to one item: a few values that stand for all of them.

Options and booleans are all there. Numbers, dates and times are cut at every constant that something compares them
with, at their bounds, and between; texts are one of those compared with, or some other. Every value keeps the item's
own rules, judged as an answer is judged. A domain says how much it stands for: all values (``every``), all ways in
which comparing with those constants can turn out (``exact``), or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

from kpro_graph.questionnaires.checks import checks_of, judge_form
from kpro_graph.questionnaires.model import Item, ItemType, Value
from kpro_graph.questionnaires.plan import ItemPlan
from kpro_graph.questionnaires.problems import CODES, Severity
from kpro_graph.questionnaires.proof.dependence import is_fixed
from kpro_graph.questionnaires.proof.specimens import match_specimens

__all__ = ["Domain", "accepts", "bounds_of", "domain_of", "step_of"]

_MOST_WHOLE = 128
"""A range of whole numbers up to this long is answered with each of them."""

_MOST_CONCEPTS = 60
_CODING = ("system", "version", "code", "display")
_CHOICES = (ItemType.CHOICE, ItemType.OPEN_CHOICE)
_TEXTS = (ItemType.STRING, ItemType.TEXT, ItemType.URL)
_TIMES = (ItemType.DATE, ItemType.DATE_TIME, ItemType.TIME)
_FAULTS = frozenset(code for code, each in CODES.items() if each.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that stand for all answers to an item. ``certain`` is false where there may be more of another kind.

    ``every`` means nothing else can be answered, ``exact`` that no comparison with the constants could tell another
    answer from all of these.
    """

    values: tuple[Value, ...]
    every: bool
    exact: bool


def accepts(plan: ItemPlan, value: Value) -> bool:
    """Tell whether an answer keeps the item's own rules, as far as they can be judged without a response."""
    fault = judge_form(plan, value)
    if fault is not None:
        return False
    for judge in checks_of(plan):
        fault = judge(plan, value)
        if fault is not None and fault[0] in _FAULTS:
            return False
    return True


def step_of(item: Item) -> Decimal:
    """Return how far apart two neighbouring numbers of the item are at least taken to be."""
    if item.type is ItemType.INTEGER:
        return Decimal(1)
    places = item.max_decimal_places
    return Decimal(1).scaleb(-min(max(places, 0), 12)) if places is not None else Decimal("0.01")


def domain_of(plan: ItemPlan, constants: Iterable[Value | Decimal | str | bool]) -> Domain:
    """Return the values that stand for all answers to an item, cut at the constants."""
    item = plan.item
    if is_fixed(item):
        filled = item.initial or tuple(option.value for option in item.options if option.initially_selected)
        return Domain(tuple(_bare(value) for value in filled), every=True, exact=True)
    compared = list(constants)
    wanted, every, exact = _candidates(plan, compared)
    values: dict[tuple[object, ...], Value] = {}
    for value in wanted:
        if value.key not in values and accepts(plan, value):
            values[value.key] = _bare(value)
    return Domain(tuple(values.values()), every, exact)


def _bare(value: Value) -> Value:
    """Return an option as it is answered: a coding without what its author hung on it."""
    if value.kind != "Coding" or not isinstance(value.value, dict):
        return value
    return Value("Coding", {name: value.value[name] for name in _CODING if name in value.value})


def _candidates(plan: ItemPlan, compared: list[Any]) -> tuple[Iterable[Value], bool, bool]:
    item = plan.item
    same_kind = [each for each in compared if isinstance(each, Value) and each.kind in plan.kinds]
    texts = [each for each in compared if isinstance(each, str)]
    texts += [each.value for each in compared if isinstance(each, Value) and isinstance(each.value, str)]
    match item.type:
        case ItemType.BOOLEAN:
            return [Value("boolean", True), Value("boolean", False)], True, True
        case _ if item.options and item.type not in _CHOICES:
            return [option.value for option in item.options], True, True
        case ItemType.CHOICE | ItemType.OPEN_CHOICE:
            return _choices(plan, same_kind, texts)
        case ItemType.INTEGER:
            return _whole_numbers(item, compared)
        case ItemType.DECIMAL:
            return [Value("decimal", each) for each in _numbers(item, compared)], False, True
        case ItemType.QUANTITY:
            return _quantities(item, compared)
        case ItemType.DATE | ItemType.DATE_TIME | ItemType.TIME:
            moments = [Value(item.type.value, each) for each in _moments(item, texts)]
            return moments, False, all(len(each) >= 10 or item.type is ItemType.TIME for each in texts)
        case ItemType.STRING | ItemType.TEXT | ItemType.URL:
            kind = "uri" if item.type is ItemType.URL else "string"
            return (Value(kind, each) for each in _texts(item, texts)), False, True
        case ItemType.ATTACHMENT:
            mime = next(iter(item.mime_types), "text/plain").replace("/*", "/plain").replace("*", "text")
            return [Value("Attachment", {"contentType": mime, "data": "eA==", "title": "x"})], False, True
        case ItemType.REFERENCE:
            kinds = item.reference_types or ("Patient",)
            return [*same_kind, *(Value("Reference", {"reference": f"{each}/1"}) for each in kinds)], False, True
    return [], True, True


# --- options and codes


def _choices(plan: ItemPlan, same_kind: list[Value], texts: list[str]) -> tuple[Iterable[Value], bool, bool]:
    item = plan.item
    values = [option.value for option in item.options]
    every = exact = True
    if item.value_set or not item.options:
        found, every, exact = _concepts(plan, same_kind)
        values += found
    if item.type is ItemType.OPEN_CHOICE:
        values += [Value("string", each) for each in dict.fromkeys([*texts, *_texts(item, [])])]
        every = False
    return values, every, exact


def _concepts(plan: ItemPlan, same_kind: list[Value]) -> tuple[list[Value], bool, bool]:
    """Return codes of the item's value set: all of a small one, else those compared with and some others."""
    value_set = plan.value_set
    if value_set is None:
        # Without a value set at hand any code is taken, for all that is known of it here.
        stranger = Value("Coding", {"system": "urn:proof:any", "code": "any", "display": "any"})
        return [*same_kind, stranger], False, True
    concepts = [
        Value("Coding", {name: part for name in ("system", "code", "display") if (part := getattr(each, name))})
        for each in value_set.concepts.values()
    ]
    if value_set.complete and len(concepts) <= _MOST_CONCEPTS:
        return concepts, True, True
    keys = {value.key for value in same_kind}
    mentioned = [value for value in concepts if value.key in keys]
    others = [value for value in concepts if value.key not in keys]
    values = [*mentioned, *others[: _MOST_CONCEPTS - len(mentioned)]]
    if not value_set.complete:
        systems = sorted(system or "" for system in value_set.open_systems) or [""]
        values += [value for value in same_kind if value.key not in {each.key for each in mentioned}]
        values.append(Value("Coding", {"system": systems[0] or "urn:proof:any", "code": "any"}))
    # Comparing can tell apart only what is compared with; one other code stands for all the rest.
    return values, False, True


# --- numbers


def bounds_of(item: Item) -> tuple[Decimal | None, Decimal | None]:
    """Return the written lowest and highest number."""
    low = [bound.value.number for bound in (item.min_value, item.min_quantity) if bound and bound.value]
    high = [bound.value.number for bound in (item.max_value, item.max_quantity) if bound and bound.value]
    lows = [each for each in low if each is not None]
    highs = [each for each in high if each is not None]
    return max(lows, default=None), min(highs, default=None)


def _constants(compared: list[Any]) -> list[Decimal]:
    found = set()
    for each in compared:
        number = each.number if isinstance(each, Value) else each
        if isinstance(number, bool) or not isinstance(number, int | Decimal):
            continue
        found.add(Decimal(number))
    return sorted(found)


def _whole_numbers(item: Item, compared: list[Any]) -> tuple[Iterable[Value], bool, bool]:
    low, high = bounds_of(item)
    if low is not None and high is not None and high - low <= _MOST_WHOLE:
        first, last = -int(-low // 1), int(high // 1)
        return [Value("integer", each) for each in range(first, last + 1)], True, True
    points: set[int] = set()
    for each in [*_constants(compared), *(bound for bound in (low, high) if bound is not None)]:
        floor = int(each // 1)
        points.update((floor - 1, floor, floor + 1))
    if not points:
        points.update((0, 1))
    ordered = sorted(points)
    ordered += [(left + right) // 2 for left, right in pairwise(ordered) if right - left > 1]
    return [Value("integer", each) for each in sorted(set(ordered))], False, True


def _numbers(item: Item, compared: list[Any]) -> list[Decimal]:
    """Return the constants, the numbers beside them, and one between each two."""
    low, high = bounds_of(item)
    step = step_of(item)
    edges = sorted({*_constants(compared), *(bound for bound in (low, high) if bound is not None)})
    if not edges:
        return [Decimal(1), Decimal(0)]
    points = {one for edge in edges for one in (edge - step, edge, edge + step)}
    for left, right in pairwise(edges):
        middle = _between(left, right, step)
        if middle is not None:
            points.add(middle)
    if low is None:
        points.add(edges[0] - max(Decimal(1), step))
    if high is None:
        points.add(edges[-1] + max(Decimal(1), step))
    return sorted(points)


def _between(left: Decimal, right: Decimal, step: Decimal) -> Decimal | None:
    middle = ((left + right) / 2 // step) * step
    for candidate in (middle, middle + step, (left + right) / 2):
        if left < candidate < right:
            return candidate
    return None


def _quantities(item: Item, compared: list[Any]) -> tuple[Iterable[Value], bool, bool]:
    """Return amounts in the item's unit, and in the units of what they are compared with."""
    limits = [each for each in compared if isinstance(each, Value) and each.kind == "Quantity"]
    limits += [
        bound.value
        for bound in (item.min_quantity, item.max_quantity, item.min_value, item.max_value)
        if bound is not None and bound.value is not None and bound.value.kind == "Quantity"
    ]
    units: dict[tuple[object, ...], dict[str, Any]] = {}
    for unit in (item.unit, *item.unit_options):
        if unit is not None and isinstance(unit.value, dict):
            parts = {"unit": unit.display or unit.code, "system": unit.system, "code": unit.code}
            units.setdefault((unit.system, unit.code), _shape({name: part for name, part in parts.items() if part}))
    for limit in limits:
        if isinstance(limit.value, dict):
            parts = {name: limit.value[name] for name in ("unit", "system", "code") if name in limit.value}
            units.setdefault((parts.get("system"), parts.get("code")), _shape(parts))
    shapes = list(units.values()) or [{}]
    values = [Value("Quantity", {"value": number, **shape}) for shape in shapes for number in _numbers(item, compared)]
    return values, False, len(shapes) == 1


def _shape(parts: dict[str, Any]) -> dict[str, Any]:
    """Return a unit as an answer may write it: a code without its system is only a word."""
    if "system" in parts:
        return parts
    word = parts.get("unit") or parts.get("code")
    return {"unit": word} if word else {}


# --- dates, times and texts


def _moments(item: Item, texts: list[str]) -> list[str]:
    written = [each for each in texts if each[:1].isdigit()]
    for bound in (item.min_value, item.max_value):
        if bound is not None and bound.value is not None and isinstance(bound.value.value, str):
            written.append(bound.value.value)
    if item.type is ItemType.TIME:
        found = {"12:00:00"}
        for each in written:
            found.update(_near_time(each))
        return sorted(found)
    suffix = "T12:00:00+01:00" if item.type is ItemType.DATE_TIME else ""
    days = {date(2000, 1, 1)}
    for each in written:
        try:
            day = date.fromisoformat(f"{each[:10]}-01-01"[:10])
            days.update((day, day - timedelta(days=1), day + timedelta(days=1)))
        except (ValueError, OverflowError):
            continue
    exact = [each for each in written if len(each) > 10] if suffix else []
    return [*sorted(day.isoformat() + suffix for day in days), *exact]


def _near_time(text: str) -> Iterator[str]:
    parts = text[:8].split(":")
    if not all(part.isdigit() for part in parts) or len(parts) < 2:
        return
    hours, minutes = int(parts[0]), int(parts[1])
    seconds = int(parts[2]) if len(parts) > 2 else 0
    total = hours * 3600 + minutes * 60 + seconds
    for each in (total - 1, total, total + 1):
        if 0 <= each < 86_400:
            yield f"{each // 3600:02}:{each // 60 % 60:02}:{each % 60:02}"


def _texts(item: Item, compared: list[str]) -> Iterator[str]:
    """Yield the texts compared with, and two others that keep the item's lengths and pattern."""
    yield from compared
    least, most = item.min_length or 0, item.max_length
    if item.regex:
        others = (each for each in match_specimens(item.regex, least=max(1, least), most=most) if each not in compared)
        yield from islice(others, 6)
        return
    plain = "https://example.org/" if item.type is ItemType.URL else "tekst"
    fitting: Callable[[str], str] = lambda text: (text + "x" * least)[: max(least, len(text))][: most or None]  # noqa: E731
    for text in (fitting(plain), fitting("x"), fitting("1")):
        if text not in compared and text:
            yield text
