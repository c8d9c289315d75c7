"""What is read from: a table's columns, who may see its rows, and the SQL made of structured parts.

No value is ever spliced into a statement's text: conditions hold placeholders, values travel as parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NOTHING", "Condition", "Order", "Source", "Statement", "Term"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A predicate over one row. ``{t}`` stands for the row's alias; ``{name}`` for a value, cast to its type.

    Example: ``Condition("{t}.care_team_id = ANY({teams})", {"teams": teams}, {"teams": "uuid[]"})``.
    """

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def __and__(self, other: Condition) -> Condition:
        if clash := self.values.keys() & other.values.keys():
            raise ValueError(f"two conditions name the same value: {', '.join(sorted(clash))}")
        return Condition(
            f"({self.sql}) AND ({other.sql})", {**self.values, **other.values}, {**self.types, **other.types}
        )


NOTHING = Condition("false")
"""The condition of an actor who may see no row."""


@dataclass(frozen=True, slots=True)
class Term:
    """One key of an order: an expression over the row (``{t}``), its PostgreSQL type, and the direction."""

    expression: str
    type: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A total order: the last term must be unique, and no term may be NULL."""

    terms: tuple[Term, ...]

    def reversed(self) -> Order:
        """Return the opposite order."""
        return Order(tuple(Term(term.expression, term.type, not term.descending) for term in self.terms))

    def beyond(self, name: str, values: tuple[object, ...]) -> Condition:
        """Return "a row comes after those values" as a condition whose values are called by ``name``."""
        named = {f"{name}_{n}": value for n, value in enumerate(values)}
        types = {f"{name}_{n}": term.type for n, term in enumerate(self.terms)}
        expressions = [term.expression for term in self.terms]
        places = [f"{{{each}}}" for each in named]
        directions = {term.descending for term in self.terms}
        if len(directions) == 1:
            # One direction: a row comparison, which an index in that order answers by itself.
            sign = "<" if directions.pop() else ">"
            return Condition(f"({', '.join(expressions)}) {sign} ({', '.join(places)})", named, types)
        alternatives = []
        for index, term in enumerate(self.terms):
            equal = [f"{expressions[i]} = {places[i]}" for i in range(index)]
            sign = "<" if term.descending else ">"
            alternatives.append("(" + " AND ".join([*equal, f"{expressions[index]} {sign} {places[index]}"]) + ")")
        return Condition("(" + " OR ".join(alternatives) + ")", named, types)


@dataclass(frozen=True)
class Source:
    """A table as the API reads it.

    ``columns`` maps each column to its PostgreSQL type. ``visible`` is the judge: it gives, for whoever asks, the
    condition of the rows they may see. ``tenant`` and ``subject`` name the columns that say whose record a row is;
    a row of a source with a subject is noted with the reading when it becomes part of an answer, together with the
    questionnaire whose URL stands in the column ``questionnaire``. ``computed`` are columns that the table does not
    have, as expressions over the row (``{t}``); a subject or a questionnaire may be one of them. ``within`` judges rows
    that are read from a row of another table, by its name: an actor who sees that row needs no second look at what made
    them see it. Such rows are of the same subject and questionnaire. ``tenants`` gives, for whoever asks, the condition
    of the tenants they may see rows of; rows that no row above ties to its tenant are tied by it, which an index needs.
    """

    table: str
    columns: Mapping[str, str]
    visible: Callable[[Any], Condition]
    tenant: str = "municipality_id"
    key: str = "id"
    subject: str | None = None
    questionnaire: str | None = None
    computed: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, Callable[[Any], Condition]] = field(default_factory=dict)
    tenants: Callable[[Any], Condition] | None = None

    def seen_from(self, table: str, actor: Any) -> Condition:
        """Return the condition of the rows an actor may see of those that belong to a row of this table they see."""
        return self.within.get(table, self.visible)(actor)

    def reached(self, by: Mapping[str, str], actor: Any) -> tuple[Condition, ...]:
        """Return the condition of the actor's tenants, where ``by`` ties the rows to none already."""
        return () if self.tenants is None or self.tenant in by else (self.tenants(actor),)


class Statement:
    """A statement under construction: it numbers its parameters as they are asked for."""

    def __init__(self) -> None:
        self.parameters: list[object] = []

    def parameter(self, value: object, type_: str) -> str:
        """Bind a value and return its placeholder with a cast."""
        self.parameters.append(value)
        return f"${len(self.parameters)}::{type_}"

    def condition(self, condition: Condition, alias: str) -> str:
        """Render a condition for the row with this alias."""
        places = {
            name: self.parameter(value, condition.types.get(name, "text")) for name, value in condition.values.items()
        }
        return condition.sql.format(t=alias, **places)
