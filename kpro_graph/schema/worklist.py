"""The worklist's orders and filters."""

from __future__ import annotations

from enum import Enum

from kpro_graph.execution import Argument, Order, Term
from kpro_graph.responses import Colour
from kpro_graph.schema.scalars import described

__all__ = ["FILTERS", "ORDERS", "WorklistOrder"]


class WorklistOrder(Enum):
    """How a worklist is ordered."""

    URGENCY = "urgency"
    LATEST = "latest"
    NAME = "name"


described(
    WorklistOrder,
    "How a worklist is ordered.",
    {
        WorklistOrder.URGENCY: "Red before yellow before green before the rest; within each, the latest answer first.",
        WorklistOrder.LATEST: "The latest answer first.",
        WorklistOrder.NAME: "By the citizen's family name, in Danish order.",
    },
)

_LATEST = Term("coalesce({t}.last_response_at, {t}.started_at)", "timestamptz", descending=True)
_LAST = Term("{t}.id", "uuid", descending=True)
_NAME = Term(
    "(SELECT named.sort_name FROM citizen named"
    " WHERE named.municipality_id = {t}.municipality_id AND named.id = {t}.citizen_id)",
    "text",
)

ORDERS = {
    WorklistOrder.URGENCY: Order((Term("{t}.urgency", "smallint", descending=True), _LATEST, _LAST)),
    WorklistOrder.LATEST: Order((_LATEST, _LAST)),
    WorklistOrder.NAME: Order((_NAME, Term("{t}.id", "uuid"))),
}

_URGENCY = {Colour.NOT_INTERPRETED: 0, Colour.GREEN: 1, Colour.YELLOW: 2, Colour.RED: 3}

FILTERS = (
    Argument(
        "colours",
        list[Colour],
        "{t}.urgency = ANY({value})",
        "smallint[]",
        "Only citizens whose latest responses call for one of these; several are alternatives.",
        lambda colours: [_URGENCY[colour] for colour in colours],
    ),
    Argument(
        "answered",
        bool,
        "({t}.last_response_at IS NOT NULL) = {value}",
        "boolean",
        "Only citizens who have, or have not, answered anything in this episode.",
    ),
)
