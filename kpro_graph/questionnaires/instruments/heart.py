"""HeartQoL: health-related quality of life with ischaemic heart disease."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from kpro_graph.questionnaires.instruments.declared import Citation, Direction, Instrument, Scale, number_inputs
from kpro_graph.questionnaires.instruments.formulas import Mean
from kpro_graph.questionnaires.words import Text

__all__ = ["HEARTQOL"]

_EMOTIONAL: Final = ("9", "10", "11", "12")
_PHYSICAL: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "13", "14")


def _mean(code: str, label: Text, inputs: tuple[str, ...]) -> Scale:
    return Scale(
        code=code,
        label=label,
        inputs=inputs,
        formula=Mean(),
        minimum=Decimal(0),
        maximum=Decimal(3),
        direction=Direction.HIGHER_IS_BETTER,
        answers_needed=len(inputs),
    )


HEARTQOL: Final = Instrument(
    id="heartqol",
    name="HeartQoL",
    inputs=number_inputs(range(1, 15), 0, 3, Direction.HIGHER_IS_BETTER),
    scales=(
        _mean("physical", Text(da="HeartQoL fysisk", en="HeartQoL physical"), _PHYSICAL),
        _mean("emotional", Text(da="HeartQoL følelsesmæssig", en="HeartQoL emotional"), _EMOTIONAL),
        _mean("global", Text(da="HeartQoL samlet", en="HeartQoL global"), tuple(str(n) for n in range(1, 15))),
    ),
    citation=Citation(
        "Oldridge N, Höfer S, McGee H, Conroy R, Doyle F, Saner H. The HeartQoL: part I. Development of a new core "
        "health-related quality of life questionnaire for patients with ischemic heart disease. "
        "European Journal of Preventive Cardiology 2014; 21(1): 90-97",
        "10.1177/2047487312450544",
    ),
    licence="A licence is needed",
    wording_may_ship=False,
    caveats=(
        Text(
            da="fordelingen af spørgsmål (fysisk 1–8, 13, 14; følelsesmæssig 9–12) er ikke bekræftet i en primær kilde",
            en="the split of items (physical 1–8, 13, 14; emotional 9–12) is not verified by a primary source",
        ),
    ),
)
