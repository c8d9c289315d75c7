"""Declared fields over SQL: a field is written once and executed from its declaration.

This package knows GraphQL and SQL and nothing of what is stored; it could be a library of its own.
"""

from kpro_graph.execution.arguments import Argument, by_id
from kpro_graph.execution.fields import (
    DeclaredField,
    Kinds,
    Row,
    Through,
    batched,
    column,
    connection,
    latest_per,
    lookup,
    lookups,
    many,
    member,
    node_id,
    one,
    stored,
    through,
)
from kpro_graph.execution.paging import Connection, Cursors, PageInfo
from kpro_graph.execution.reference import Loading, load
from kpro_graph.execution.sources import NOTHING, Condition, Order, Source, Term, Within

__all__ = [
    "NOTHING",
    "Argument",
    "Condition",
    "Connection",
    "Cursors",
    "DeclaredField",
    "Kinds",
    "Loading",
    "Order",
    "PageInfo",
    "Row",
    "Source",
    "Term",
    "Through",
    "Within",
    "batched",
    "by_id",
    "column",
    "connection",
    "latest_per",
    "load",
    "lookup",
    "lookups",
    "many",
    "member",
    "node_id",
    "one",
    "stored",
    "through",
]
