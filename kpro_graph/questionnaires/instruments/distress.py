"""Distress with a disease: PAID and PAID-5 for diabetes, the Distress Thermometer for cancer."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from kpro_graph.questionnaires.instruments.declared import (
    Band,
    Citation,
    Direction,
    Input,
    Instrument,
    Scale,
    number_inputs,
)
from kpro_graph.questionnaires.instruments.formulas import Single, Sum
from kpro_graph.questionnaires.words import Text

__all__ = ["DISTRESS_THERMOMETER", "PAID_5", "PAID_20"]

_MCGUIRE: Final = "McGuire BE et al. 2009, doi 10.1007/s00125-009-1559-5"
_BIDSTRUP: Final = "Bidstrup PE et al. 2011, doi 10.1002/pon.1917"
_PAID_LICENCE: Final = "Copyright Joslin Diabetes Center; the terms are not confirmed, so no wording is shipped"
_SHORT: Final = ("3", "6", "12", "16", "19")

PAID_20: Final = Instrument(
    id="paid-20",
    name="PAID",
    inputs=number_inputs(range(1, 21), 0, 4, Direction.HIGHER_IS_WORSE),
    scales=(
        Scale(
            code="paid20",
            label=Text(da="PAID", en="PAID"),
            inputs=tuple(str(number) for number in range(1, 21)),
            formula=Sum(Decimal("1.25")),
            minimum=Decimal(0),
            maximum=Decimal(100),
            direction=Direction.HIGHER_IS_WORSE,
            answers_needed=20,
            bands=(
                Band(
                    Decimal(40),
                    Decimal(100),
                    Text(da="Svær diabetesbelastning", en="Severe diabetes distress"),
                    "National Diabetes Services Scheme, ndss.com.au",
                ),
            ),
        ),
    ),
    citation=Citation(
        "Polonsky WH, Anderson BJ, Lohrer PA, et al. Assessment of diabetes-related distress. "
        "Diabetes Care 1995; 18(6): 754-760",
        "10.2337/diacare.18.6.754",
    ),
    licence=_PAID_LICENCE,
    wording_may_ship=False,
    caveats=(
        Text(
            da="et enkelt svar på 3 eller 4 peger på et problemområde, uanset summen (ndss.com.au)",
            en="a single answer of 3 or 4 points to a problem area, whatever the sum (ndss.com.au)",
        ),
    ),
)

PAID_5: Final = Instrument(
    id="paid-5",
    name="PAID-5",
    inputs=tuple(Input(name, 0, 4, Direction.HIGHER_IS_WORSE) for name in _SHORT),
    scales=(
        Scale(
            code="paid5",
            label=Text(da="PAID-5", en="PAID-5"),
            inputs=_SHORT,
            formula=Sum(),
            minimum=Decimal(0),
            maximum=Decimal(20),
            direction=Direction.HIGHER_IS_WORSE,
            answers_needed=5,
            bands=(
                Band(
                    Decimal(8),
                    Decimal(20),
                    Text(da="Mulig diabetesbelastning", en="Possible diabetes distress"),
                    _MCGUIRE,
                ),
            ),
        ),
    ),
    citation=Citation(
        "McGuire BE, Morrison TG, Hermanns N, et al. Short-form measures of diabetes-related emotional distress: the "
        "Problem Areas in Diabetes Scale (PAID)-5 and PAID-1. Diabetologia 2010; 53: 66-69",
        "10.1007/s00125-009-1559-5",
    ),
    licence=_PAID_LICENCE,
    wording_may_ship=False,
    caveats=(
        Text(
            da="svarene er navngivet med deres numre i det fulde PAID: 3, 6, 12, 16 og 19",
            en="the answers are named by their numbers in the full PAID: 3, 6, 12, 16 and 19",
        ),
    ),
)

DISTRESS_THERMOMETER: Final = Instrument(
    id="distress-thermometer",
    name="Distress Thermometer",
    inputs=(Input("distress", 0, 10, Direction.HIGHER_IS_WORSE),),
    scales=(
        Scale(
            code="distress",
            label=Text(da="Belastningstermometer", en="Distress Thermometer"),
            inputs=("distress",),
            formula=Single(),
            minimum=Decimal(0),
            maximum=Decimal(10),
            direction=Direction.HIGHER_IS_WORSE,
            answers_needed=1,
            bands=(
                Band(
                    Decimal(3),
                    Decimal(6),
                    Text(da="Mulig belastning", en="Possible distress"),
                    _BIDSTRUP,
                ),
                Band(
                    Decimal(7),
                    Decimal(10),
                    Text(da="Belastning", en="Distress"),
                    _BIDSTRUP,
                ),
            ),
        ),
    ),
    citation=Citation(
        "Bidstrup PE, Mertz BG, Dalton SO, et al. Accuracy of the Danish version of the 'distress thermometer'. "
        "Psycho-Oncology 2011",
        "10.1002/pon.1917",
    ),
    licence="NCCN: permission needed (other sources say public domain; not settled, so no wording is shipped)",
    wording_may_ship=False,
    caveats=(
        Text(
            da="3 og derover er en grov sortering (sensitivitet 99 %, specificitet 36 %)",
            en="3 and above is a coarse screen (sensitivity 99 %, specificity 36 %)",
        ),
    ),
)
