"""Published instruments, declared once: what goes in, how it is computed, within which bounds, from which source.

>>> from decimal import Decimal
>>> (score,) = get("who-5").score({str(item): Decimal(3) for item in range(1, 6)})
>>> score.value
Decimal('60')
"""

from __future__ import annotations

from kpro_graph.errors import NotFound
from kpro_graph.questionnaires.instruments.cancer import QLQ_C15_PAL, QLQ_C30
from kpro_graph.questionnaires.instruments.declared import (
    Band,
    Citation,
    ConversionTable,
    Direction,
    Formula,
    Input,
    Instrument,
    Scale,
    ScaleScore,
)
from kpro_graph.questionnaires.instruments.distress import DISTRESS_THERMOMETER, PAID_5, PAID_20
from kpro_graph.questionnaires.instruments.eq5d import EQ_5D_3L, EQ_5D_5L, EQ_VAS
from kpro_graph.questionnaires.instruments.heart import HEARTQOL
from kpro_graph.questionnaires.instruments.mood import GAD_7, HADS, PHQ_9, WHO_5

__all__ = [
    "Band",
    "Citation",
    "ConversionTable",
    "Direction",
    "Formula",
    "Input",
    "Instrument",
    "Scale",
    "ScaleScore",
    "all",
    "get",
]

_ALL = (
    EQ_5D_5L,
    EQ_5D_3L,
    EQ_VAS,
    WHO_5,
    PHQ_9,
    GAD_7,
    HADS,
    PAID_5,
    PAID_20,
    HEARTQOL,
    DISTRESS_THERMOMETER,
    QLQ_C30,
    QLQ_C15_PAL,
)
_BY_ID = {instrument.id: instrument for instrument in _ALL}


def all() -> tuple[Instrument, ...]:  # noqa: A001 - read as instruments.all()
    """Return every instrument the product knows."""
    return _ALL


def get(instrument_id: str) -> Instrument:
    """Return the instrument of that id; raises `NotFound` where there is none."""
    try:
        return _BY_ID[instrument_id]
    except KeyError:
        raise NotFound("There is no instrument of that id.") from None
