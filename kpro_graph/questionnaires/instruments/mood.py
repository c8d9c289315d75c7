"""Well-being, depression and anxiety: WHO-5, PHQ-9, GAD-7, HADS."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from kpro_graph.questionnaires.instruments.declared import Band, Citation, Direction, Instrument, Scale, number_inputs
from kpro_graph.questionnaires.instruments.formulas import Sum
from kpro_graph.questionnaires.words import Text

__all__ = ["GAD_7", "HADS", "PHQ_9", "WHO_5"]

_TOPP: Final = "Topp CW et al. 2015, doi 10.1159/000376585"
_KROENKE: Final = "Kroenke K et al. 2001, doi 10.1046/j.1525-1497.2001.016009606.x"
_SPITZER: Final = "Spitzer RL et al. 2006, doi 10.1001/archinte.166.10.1092"
_ZIGMOND: Final = "Zigmond AS, Snaith RP 1983, doi 10.1111/j.1600-0447.1983.tb09716.x"


def _bands(source: str, *rows: tuple[int, int, str, str]) -> tuple[Band, ...]:
    return tuple(Band(Decimal(low), Decimal(high), Text(da=da, en=en), source) for low, high, da, en in rows)


def _numbers(numbers: range) -> tuple[str, ...]:
    return tuple(str(number) for number in numbers)


WHO_5: Final = Instrument(
    id="who-5",
    name="WHO-5",
    inputs=number_inputs(range(1, 6), 0, 5, Direction.HIGHER_IS_BETTER),
    scales=(
        Scale(
            code="who5",
            label=Text(da="WHO-5", en="WHO-5"),
            inputs=_numbers(range(1, 6)),
            formula=Sum(Decimal(4)),
            minimum=Decimal(0),
            maximum=Decimal(100),
            direction=Direction.HIGHER_IS_BETTER,
            answers_needed=5,
            bands=_bands(_TOPP, (0, 50, "Lavt velbefindende", "Low well-being")),
        ),
    ),
    citation=Citation(
        "Topp CW, Østergaard SD, Søndergaard S, Bech P. The WHO-5 Well-Being Index: a systematic review of the "
        "literature. Psychotherapy and Psychosomatics 2015; 84(3): 167-176",
        "10.1159/000376585",
    ),
    licence=(
        "Free to use with the source named; WHO now publishes it under CC BY-NC-SA 3.0 IGO, whose terms the product's "
        "own licence cannot pass on (not confirmed with WHO)"
    ),
    wording_may_ship=False,
)

PHQ_9: Final = Instrument(
    id="phq-9",
    name="PHQ-9",
    inputs=number_inputs(range(1, 10), 0, 3, Direction.HIGHER_IS_WORSE),
    scales=(
        Scale(
            code="phq9",
            label=Text(da="PHQ-9", en="PHQ-9"),
            inputs=_numbers(range(1, 10)),
            formula=Sum(),
            minimum=Decimal(0),
            maximum=Decimal(27),
            direction=Direction.HIGHER_IS_WORSE,
            answers_needed=9,
            bands=_bands(
                _KROENKE,
                (0, 4, "Ingen eller minimale symptomer", "None or minimal symptoms"),
                (5, 9, "Lette symptomer", "Mild symptoms"),
                (10, 14, "Moderate symptomer", "Moderate symptoms"),
                (15, 19, "Moderat svære symptomer", "Moderately severe symptoms"),
                (20, 27, "Svære symptomer", "Severe symptoms"),
            ),
        ),
    ),
    citation=Citation(
        "Kroenke K, Spitzer RL, Williams JBW. The PHQ-9: validity of a brief depression severity measure. "
        "Journal of General Internal Medicine 2001; 16(9): 606-613",
        "10.1046/j.1525-1497.2001.016009606.x",
    ),
    licence="Public domain; no permission needed",
    wording_may_ship=True,
    caveats=(
        Text(
            da="spørgsmål 9 handler om selvskade og vurderes for sig, uanset summen",
            en="item 9 is about self-harm and is judged by itself, whatever the sum",
        ),
    ),
)

GAD_7: Final = Instrument(
    id="gad-7",
    name="GAD-7",
    inputs=number_inputs(range(1, 8), 0, 3, Direction.HIGHER_IS_WORSE),
    scales=(
        Scale(
            code="gad7",
            label=Text(da="GAD-7", en="GAD-7"),
            inputs=_numbers(range(1, 8)),
            formula=Sum(),
            minimum=Decimal(0),
            maximum=Decimal(21),
            direction=Direction.HIGHER_IS_WORSE,
            answers_needed=7,
            bands=_bands(
                _SPITZER,
                (0, 4, "Ingen eller minimal angst", "None or minimal anxiety"),
                (5, 9, "Let angst", "Mild anxiety"),
                (10, 14, "Moderat angst", "Moderate anxiety"),
                (15, 21, "Svær angst", "Severe anxiety"),
            ),
        ),
    ),
    citation=Citation(
        "Spitzer RL, Kroenke K, Williams JBW, Löwe B. A brief measure for assessing generalized anxiety disorder: "
        "the GAD-7. Archives of Internal Medicine 2006; 166(10): 1092-1097",
        "10.1001/archinte.166.10.1092",
    ),
    licence="Public domain; no permission needed",
    wording_may_ship=True,
)


def _hads(code: str, label: Text, first: int, da: str, en: str) -> Scale:
    return Scale(
        code=code,
        label=label,
        inputs=_numbers(range(first, 15, 2)),
        formula=Sum(),
        minimum=Decimal(0),
        maximum=Decimal(21),
        direction=Direction.HIGHER_IS_WORSE,
        answers_needed=7,
        bands=_bands(
            _ZIGMOND,
            (0, 7, f"Ikke tegn på {da}", f"No sign of {en}"),
            (8, 10, f"Mulig {da}", f"Possible {en}"),
            (11, 21, f"Sandsynlig {da}", f"Probable {en}"),
        ),
    )


HADS: Final = Instrument(
    id="hads",
    name="HADS",
    inputs=number_inputs(range(1, 15), 0, 3, Direction.HIGHER_IS_WORSE),
    scales=(
        _hads("anxiety", Text(da="HADS angst", en="HADS anxiety"), 1, "angst", "anxiety"),
        _hads("depression", Text(da="HADS depression", en="HADS depression"), 2, "depression", "depression"),
    ),
    citation=Citation(
        "Zigmond AS, Snaith RP. The Hospital Anxiety and Depression Scale. "
        "Acta Psychiatrica Scandinavica 1983; 67(6): 361-370",
        "10.1111/j.1600-0447.1983.tb09716.x",
    ),
    licence="GL Assessment: a licence fee is due",
    wording_may_ship=False,
    caveats=(
        Text(
            da="svarenes vægte skal være vendt, så 3 altid er værst",
            en="the weights of the answers must already be turned so that 3 is always worst",
        ),
    ),
)
