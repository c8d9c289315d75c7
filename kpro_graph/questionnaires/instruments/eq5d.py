"""EQ-5D: health today in five dimensions, valued with the Danish value sets, and the visual analogue scale."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import Final

from kpro_graph.questionnaires.instruments.declared import Citation, Direction, Input, Instrument, Scale
from kpro_graph.questionnaires.instruments.formulas import Decrements, Single
from kpro_graph.questionnaires.words import Text

__all__ = ["DIMENSIONS", "EQ_5D_3L", "EQ_5D_5L", "EQ_VAS"]

DIMENSIONS: Final = ("mobility", "self-care", "usual-activities", "pain-discomfort", "anxiety-depression")

_LICENCE: Final = (
    "EuroQol Research Foundation: registration and permission needed; digital versions follow EuroQol's "
    "representation guidelines of 6 April 2022"
)


def _decrements(rows: tuple[tuple[str, ...], ...], any_problem: str = "0") -> Decrements:
    table = {
        name: (Decimal(0), *(Decimal(step) for step in steps)) for name, steps in zip(DIMENSIONS, rows, strict=True)
    }
    return Decrements(MappingProxyType(table), Decimal(any_problem))


def _levels(highest: int) -> tuple[Input, ...]:
    return tuple(Input(name, 1, highest, Direction.HIGHER_IS_WORSE) for name in DIMENSIONS)


EQ_5D_5L: Final = Instrument(
    id="eq-5d-5l",
    name="EQ-5D-5L",
    inputs=_levels(5),
    scales=(
        Scale(
            code="index",
            label=Text(da="EQ-5D-5L-indeks", en="EQ-5D-5L index"),
            inputs=DIMENSIONS,
            formula=_decrements(
                (
                    ("0.041", "0.054", "0.157", "0.220"),
                    ("0.035", "0.050", "0.144", "0.209"),
                    ("0.033", "0.040", "0.139", "0.174"),
                    ("0.048", "0.094", "0.381", "0.537"),
                    ("0.072", "0.191", "0.430", "0.618"),
                )
            ),
            minimum=Decimal("-0.758"),
            maximum=Decimal(1),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=5,
        ),
    ),
    citation=Citation(
        "Jensen CE, Sørensen SS, Gudex C, Jensen MB, Pedersen KM, Ehlers LH. The Danish EQ-5D-5L value set. "
        "Applied Health Economics and Health Policy 2021",
        "10.1007/s40258-021-00639-3",
    ),
    licence=_LICENCE,
    wording_may_ship=False,
    caveats=(
        Text(
            da="artiklen angiver laveste værdi −0,757; dens afrundede koefficienter giver −0,758",
            en="the paper states a lowest value of −0.757; its rounded coefficients give −0.758",
        ),
    ),
)

EQ_5D_3L: Final = Instrument(
    id="eq-5d-3l",
    name="EQ-5D-3L",
    inputs=_levels(3),
    scales=(
        Scale(
            code="tto",
            label=Text(da="EQ-5D-3L-indeks (TTO)", en="EQ-5D-3L index (TTO)"),
            inputs=DIMENSIONS,
            formula=_decrements(
                (("0.053", "0.411"), ("0.063", "0.192"), ("0.048", "0.144"), ("0.062", "0.396"), ("0.068", "0.367")),
                "0.114",
            ),
            minimum=Decimal("-0.624"),
            maximum=Decimal(1),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=5,
        ),
        Scale(
            code="vas",
            label=Text(da="EQ-5D-3L-indeks (VAS)", en="EQ-5D-3L index (VAS)"),
            inputs=DIMENSIONS,
            formula=_decrements(
                (("0.126", "0.252"), ("0.112", "0.224"), ("0.064", "0.128"), ("0.078", "0.156"), ("0.091", "0.182")),
                "0.225",
            ),
            minimum=Decimal("-0.167"),
            maximum=Decimal(1),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=5,
            citation=Citation("Danish VAS value set as tabled in the R package eq5d 0.16.3, data-raw/VAS.csv"),
        ),
    ),
    citation=Citation(
        "Wittrup-Jensen KU, Lauridsen J, Gudex C, Pedersen KM. Generation of a Danish TTO value set for EQ-5D health "
        "states. Scandinavian Journal of Public Health 2009",
        "10.1177/1403494809105287",
    ),
    licence=_LICENCE,
    wording_may_ship=False,
)

EQ_VAS: Final = Instrument(
    id="eq-vas",
    name="EQ VAS",
    inputs=(Input("vas", 0, 100, Direction.HIGHER_IS_BETTER),),
    scales=(
        Scale(
            code="vas",
            label=Text(da="EQ VAS", en="EQ VAS"),
            inputs=("vas",),
            formula=Single(),
            minimum=Decimal(0),
            maximum=Decimal(100),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=1,
        ),
    ),
    citation=Citation(
        "Herdman M, Gudex C, Lloyd A, et al. Development and preliminary testing of the new five-level version of "
        "EQ-5D (EQ-5D-5L). Quality of Life Research 2011; 20(10): 1727-1736",
        "10.1007/s11136-011-9903-x",
    ),
    licence=_LICENCE,
    wording_may_ship=False,
)
