"""EORTC QLQ-C30 (version 3) and QLQ-C15-PAL: functioning, symptoms and quality of life with cancer."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from kpro_graph.questionnaires.instruments.declared import (
    Citation,
    Direction,
    Formula,
    Input,
    Instrument,
    Scale,
    number_inputs,
)
from kpro_graph.questionnaires.instruments.formulas import Rescaled, Summary
from kpro_graph.questionnaires.words import Text

__all__ = ["QLQ_C15_PAL", "QLQ_C30"]

_LICENCE: Final = "EORTC Quality of Life Group: copyrighted, prior written consent needed"
_FAYERS: Final = "Fayers PM et al. The EORTC QLQ-C30 Scoring Manual, 3rd edition. EORTC, Brussels 2001"

_LABELS: Final = {
    "QL": Text(da="Helbred og livskvalitet", en="Global health and quality of life"),
    "PF": Text(da="Fysisk funktion", en="Physical functioning"),
    "RF": Text(da="Rollefunktion", en="Role functioning"),
    "EF": Text(da="Følelsesmæssig funktion", en="Emotional functioning"),
    "CF": Text(da="Kognitiv funktion", en="Cognitive functioning"),
    "SF": Text(da="Social funktion", en="Social functioning"),
    "FA": Text(da="Træthed", en="Fatigue"),
    "NV": Text(da="Kvalme og opkastning", en="Nausea and vomiting"),
    "PA": Text(da="Smerter", en="Pain"),
    "DY": Text(da="Åndenød", en="Dyspnoea"),
    "SL": Text(da="Søvnbesvær", en="Insomnia"),
    "AP": Text(da="Nedsat appetit", en="Appetite loss"),
    "CO": Text(da="Forstoppelse", en="Constipation"),
    "DI": Text(da="Diarré", en="Diarrhoea"),
    "FI": Text(da="Økonomiske vanskeligheder", en="Financial difficulties"),
}
_BETTER: Final = frozenset({"QL", "PF", "RF", "EF", "CF", "SF"})
_FUNCTIONS: Final = ("PF", "RF", "EF", "CF", "SF")
_SYMPTOMS: Final = ("FA", "NV", "PA", "DY", "SL", "AP", "CO", "DI")


def _scale(code: str, *items: int, converted: bool = False) -> Scale:
    inputs = tuple(str(item) for item in items)
    formula: Formula | None = Rescaled(6 if code == "QL" else 3, reverse=code in _FUNCTIONS)
    return Scale(
        code=code,
        label=_LABELS[code],
        inputs=inputs,
        formula=None if converted else formula,
        minimum=Decimal(0),
        maximum=Decimal(100),
        direction=Direction.HIGHER_IS_BETTER if code in _BETTER else Direction.HIGHER_IS_WORSE,
        answers_needed=len(inputs) if converted else (len(inputs) + 1) // 2,
    )


def _inputs(symptoms: range, *quality: int) -> tuple[Input, ...]:
    return number_inputs(symptoms, 1, 4, Direction.HIGHER_IS_WORSE) + tuple(
        Input(str(number), 1, 7, Direction.HIGHER_IS_BETTER) for number in quality
    )


_C30_SCALES: Final = (
    _scale("QL", 29, 30),
    _scale("PF", 1, 2, 3, 4, 5),
    _scale("RF", 6, 7),
    _scale("EF", 21, 22, 23, 24),
    _scale("CF", 20, 25),
    _scale("SF", 26, 27),
    _scale("FA", 10, 12, 18),
    _scale("NV", 14, 15),
    _scale("PA", 9, 19),
    _scale("DY", 8),
    _scale("SL", 11),
    _scale("AP", 13),
    _scale("CO", 16),
    _scale("DI", 17),
    _scale("FI", 28),
)

QLQ_C30: Final = Instrument(
    id="qlq-c30",
    name="EORTC QLQ-C30",
    inputs=_inputs(range(1, 29), 29, 30),
    scales=(
        *_C30_SCALES,
        Scale(
            code="summary",
            label=Text(da="QLQ-C30 samlet", en="QLQ-C30 summary"),
            inputs=tuple(str(number) for number in range(1, 28)),
            formula=Summary(_FUNCTIONS, _SYMPTOMS),
            minimum=Decimal(0),
            maximum=Decimal(100),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=0,
            scales=_FUNCTIONS + _SYMPTOMS,
            citation=Citation(
                "Giesinger JM, Kieffer JM, Fayers PM, et al. Replication and validation of higher order models "
                "demonstrated that a summary score for the EORTC QLQ-C30 is robust. "
                "Journal of Clinical Epidemiology 2016; 69: 79-88",
                "10.1016/j.jclinepi.2015.08.007",
            ),
        ),
    ),
    citation=Citation(
        f"{_FAYERS}; Aaronson NK et al., Journal of the National Cancer Institute 1993; 85(5): 365-376",
        "10.1093/jnci/85.5.365",
    ),
    licence=_LICENCE,
    wording_may_ship=False,
)

QLQ_C15_PAL: Final = Instrument(
    id="qlq-c15-pal",
    name="EORTC QLQ-C15-PAL",
    inputs=_inputs(range(1, 15), 15),
    scales=(
        _scale("QL", 15),
        _scale("PF", 1, 2, 3, converted=True),
        _scale("EF", 13, 14, converted=True),
        _scale("FA", 7, 11, converted=True),
        _scale("NV", 9, converted=True),
        _scale("PA", 5, 12),
        _scale("DY", 4),
        _scale("SL", 6),
        _scale("AP", 8),
        _scale("CO", 10),
    ),
    citation=Citation(
        "Groenvold M, Petersen MA, Aaronson NK, et al. The development of the EORTC QLQ-C15-PAL: a shortened "
        "questionnaire for cancer patients in palliative care. European Journal of Cancer 2006",
        "10.1016/j.ejca.2005.06.022",
    ),
    licence=_LICENCE,
    wording_may_ship=False,
    caveats=(
        Text(
            da="PF, EF, FA og NV omregnes kun med EORTC's egen tabel, som kommunen selv leverer",
            en="PF, EF, FA and NV are converted by EORTC's own table only, which the municipality supplies",
        ),
    ),
    conversions=("PF", "EF", "FA", "NV"),
)
