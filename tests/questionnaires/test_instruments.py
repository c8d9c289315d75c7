"""Instruments compute what was published, exactly, and refuse what they cannot compute."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.errors import BadInput, NotFound
from kpro_graph.questionnaires import instruments
from kpro_graph.questionnaires.instruments import ConversionTable, Direction, Instrument, ScaleScore
from kpro_graph.questionnaires.instruments.eq5d import DIMENSIONS

# The published Danish tables, in thousandths, written out once more so that a slip in the product shows here.
FIVE_LEVELS = (
    (0, 41, 54, 157, 220),
    (0, 35, 50, 144, 209),
    (0, 33, 40, 139, 174),
    (0, 48, 94, 381, 537),
    (0, 72, 191, 430, 618),
)

CHECK_PROFILES = {
    "11111": "1",
    "21111": "0.959",
    "12111": "0.965",
    "11211": "0.967",
    "11121": "0.952",
    "11112": "0.928",
    "21232": "0.760",
    "12321": "0.877",
    "13224": "0.439",
    "22222": "0.771",
    "33333": "0.571",
    "23245": "-0.123",
    "12345": "-0.074",
    "54321": "0.548",
    "44444": "-0.251",
    "55555": "-0.758",
    "11123": "0.761",
}


def score(instrument: str | Instrument, answers: dict[str, Any]) -> dict[str, ScaleScore]:
    """Score with whole numbers given as ints."""
    chosen = instruments.get(instrument) if isinstance(instrument, str) else instrument
    given = {name: None if answer is None else Decimal(answer) for name, answer in answers.items()}
    return {one.code: one for one in chosen.score(given)}


def values(instrument: str | Instrument, answers: dict[str, Any]) -> dict[str, Decimal | None]:
    return {code: one.value for code, one in score(instrument, answers).items()}


def profile(levels: str) -> dict[str, int]:
    return {name: int(level) for name, level in zip(DIMENSIONS, levels, strict=True)}


def same(names: range, answer: int) -> dict[str, int]:
    return {str(name): answer for name in names}


@pytest.mark.parametrize(("levels", "expected"), CHECK_PROFILES.items())
def test_eq_5d_5l_gives_the_danish_index_of_the_check_profiles(levels: str, expected: str) -> None:
    assert values("eq-5d-5l", profile(levels)) == {"index": Decimal(expected)}


def test_all_3125_eq_5d_5l_states_have_the_index_of_the_published_table() -> None:
    found = {}
    for state in itertools.product(range(1, 6), repeat=5):
        lost = sum(row[level - 1] for row, level in zip(FIVE_LEVELS, state, strict=True))
        index = values("eq-5d-5l", dict(zip(DIMENSIONS, state, strict=True)))["index"]
        assert index is not None
        assert index * 1000 == 1000 - lost
        found[state] = index
    assert len(found) == 3125
    assert sum(index < 0 for index in found.values()) == 681
    assert (min(found.values()), max(found.values())) == (Decimal("-0.758"), Decimal(1))
    assert (sum(found.values(), Decimal(0)) / 3125).quantize(Decimal("0.0001")) == Decimal("0.2666")


def test_a_worse_eq_5d_5l_level_never_gives_a_better_index() -> None:
    for state in itertools.product(range(1, 5), repeat=5):
        here = values("eq-5d-5l", dict(zip(DIMENSIONS, state, strict=True)))["index"]
        for place in range(5):
            worse = list(state)
            worse[place] += 1
            there = values("eq-5d-5l", dict(zip(DIMENSIONS, worse, strict=True)))["index"]
            assert here is not None
            assert there is not None
            assert there < here


@pytest.mark.parametrize(
    ("levels", "tto"),
    [
        ("11111", "1"),
        ("12111", "0.823"),
        ("12121", "0.761"),
        ("22222", "0.592"),
        ("32323", "-0.161"),
        ("33333", "-0.624"),
    ],
)
def test_eq_5d_3l_gives_the_danish_time_trade_off_index(levels: str, tto: str) -> None:
    assert values("eq-5d-3l", profile(levels))["tto"] == Decimal(tto)


@pytest.mark.parametrize(
    ("levels", "vas"), [("11111", "1"), ("21111", "0.649"), ("22222", "0.304"), ("33333", "-0.167")]
)
def test_eq_5d_3l_gives_the_danish_visual_analogue_index(levels: str, vas: str) -> None:
    # by hand: 1 - .225 - .126; 1 - .225 - (.126+.112+.064+.078+.091); 1 - .225 - (.252+.224+.128+.156+.182)
    assert values("eq-5d-3l", profile(levels))["vas"] == Decimal(vas)


def test_an_eq_5d_state_with_a_missing_dimension_has_no_index() -> None:
    answers: dict[str, Any] = profile("11111") | {"mobility": None}
    found = score("eq-5d-5l", answers)["index"]
    assert found.value is None
    assert found.missing == ("mobility",)
    assert found.reason is not None
    assert found.reason.code == "missing_answer"
    assert "mobility" in found.reason.text.da


@pytest.mark.parametrize(
    ("instrument", "answers", "expected"),
    [
        ("eq-vas", {"vas": 73}, {"vas": "73"}),
        ("who-5", same(range(1, 6), 0), {"who5": "0"}),
        ("who-5", same(range(1, 6), 5), {"who5": "100"}),
        ("who-5", {"1": 2, "2": 1, "3": 3, "4": 1, "5": 2}, {"who5": "36"}),
        ("phq-9", same(range(1, 10), 3), {"phq9": "27"}),
        ("gad-7", same(range(1, 8), 1), {"gad7": "7"}),
        ("hads", {str(n): 3 if n % 2 else 1 for n in range(1, 15)}, {"anxiety": "21", "depression": "7"}),
        ("paid-5", {"3": 1, "6": 2, "12": 3, "16": 4, "19": 0}, {"paid5": "10"}),
        ("paid-20", same(range(1, 21), 1) | {"1": 2}, {"paid20": "26.25"}),
        ("paid-20", same(range(1, 21), 4), {"paid20": "100"}),
        ("distress-thermometer", {"distress": 7}, {"distress": "7"}),
        ("heartqol", same(range(1, 15), 2), {"physical": "2", "emotional": "2", "global": "2"}),
        (
            "heartqol",
            same(range(1, 9), 3) | same(range(13, 15), 3) | same(range(9, 13), 0),
            {"physical": "3", "emotional": "0", "global": "2.142857142857"},
        ),
    ],
)
def test_the_simple_instruments_add_and_average_as_published(
    instrument: str, answers: dict[str, int], expected: dict[str, str]
) -> None:
    assert values(instrument, answers) == {code: Decimal(value) for code, value in expected.items()}


def test_qlq_c30_at_its_best_answers_gives_full_function_and_no_symptoms() -> None:
    found = values("qlq-c30", same(range(1, 29), 1) | {"29": 7, "30": 7})
    better = {"QL", "PF", "RF", "EF", "CF", "SF", "summary"}
    assert found == {code: Decimal(100 if code in better else 0) for code in found}
    assert len(found) == 16


def test_qlq_c30_pain_and_quality_of_life_follow_the_linear_formula() -> None:
    found = values("qlq-c30", {"9": 2, "19": 3, "29": 4, "30": 5})
    assert found["PA"] == 50
    assert found["QL"] is not None
    assert found["QL"].quantize(Decimal("0.01")) == Decimal("58.33")


def test_qlq_c30_scales_need_half_of_their_answers() -> None:
    assert values("qlq-c30", {"1": 1, "2": 2, "3": 3})["PF"] == Decimal("66.666666666667")
    found = score("qlq-c30", {"1": 1, "2": 2})["PF"]
    assert found.value is None
    assert found.missing == ("3", "4", "5")
    assert values("qlq-c30", {"21": 1, "22": 1})["EF"] == 100
    assert values("qlq-c30", {"10": 4})["FA"] is None
    assert values("qlq-c30", {"10": 4, "18": 4})["FA"] == 100


def test_qlq_c30_summary_exists_only_when_all_thirteen_scales_do() -> None:
    everything = same(range(1, 29), 2) | {"29": 4, "30": 4}
    functions, symptoms = Decimal(200) / 3, Decimal(100) / 3
    expected = (5 * functions + 8 * (100 - symptoms)) / 13
    assert values("qlq-c30", everything)["summary"] == expected.quantize(Decimal("1e-12"))
    assert values("qlq-c30", everything | {"28": None, "29": None, "30": None})["summary"] is not None
    found = score("qlq-c30", everything | {"8": None})["summary"]
    assert found.value is None
    assert found.reason is not None
    assert found.reason.code == "missing_scale"
    assert "DY" in found.reason.text.en


def test_qlq_c15_pal_refuses_its_converted_scales_without_the_table() -> None:
    found = score("qlq-c15-pal", same(range(1, 15), 1) | {"15": 7})
    for code in ("PF", "EF", "FA", "NV"):
        reason = found[code].reason
        assert found[code].value is None
        assert reason is not None
        assert reason.code == "conversion_table_absent"
    assert {code: found[code].value for code in ("QL", "PA", "DY")} == {"QL": 100, "PA": 0, "DY": 0}


def conversion(**changed: dict[str, Decimal]) -> ConversionTable:
    """An invented table keyed by sums; its numbers mean nothing."""

    def falling(lowest: int, highest: int) -> dict[str, Decimal]:
        return {str(n): Decimal(highest - n) * 3 for n in range(lowest, highest + 1)}

    tables = {"PF": falling(3, 12), "EF": falling(2, 8), "FA": falling(2, 8), "NV": falling(1, 4)}
    return ConversionTable("an invented table", tables | changed)


def test_qlq_c15_pal_looks_its_converted_scales_up_in_the_table_supplied() -> None:
    instrument = instruments.get("qlq-c15-pal").with_table(conversion())
    found = values(instrument, {"1": 1, "2": 2, "3": 4, "13": 1, "14": 1, "7": 4, "11": 4, "9": 2})
    assert [found[code] for code in ("PF", "EF", "FA", "NV")] == [15, 18, 0, 6]
    assert values(instrument, {"1": 1, "2": 2})["PF"] is None


def test_a_conversion_table_may_tell_patterns_apart() -> None:
    patterns = {f"{a}-{b}": Decimal(10 * a + b) for a in range(1, 5) for b in range(1, 5)}
    instrument = instruments.get("qlq-c15-pal").with_table(conversion(EF=patterns))
    assert values(instrument, {"13": 1, "14": 4})["EF"] == 14
    assert values(instrument, {"13": 4, "14": 1})["EF"] == 41


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (conversion(NV={"1": Decimal(0)}), "table.scales.NV"),
        (conversion(NV={str(n): Decimal(101) for n in range(1, 5)}), "table.scales.NV"),
        (conversion(NV={str(n): Decimal("NaN") for n in range(1, 5)}), "table.scales.NV"),
        (conversion(DY={"1": Decimal(0)}), "table.scales"),
        (ConversionTable(" ", conversion().scales), "table.source"),
        (ConversionTable("a source", {}), "table.scales.PF"),
    ],
)
def test_an_incomplete_conversion_table_is_refused_with_its_place(table: ConversionTable, place: str) -> None:
    with pytest.raises(BadInput) as refused:
        instruments.get("qlq-c15-pal").with_table(table)
    assert refused.value.path == place


def test_an_instrument_without_conversions_takes_no_table() -> None:
    with pytest.raises(BadInput, match="takes no conversion table"):
        instruments.get("who-5").with_table(conversion())


def test_every_instrument_names_source_licence_and_whole_declarations() -> None:
    found = instruments.all()
    assert [one.id for one in found] == [
        "eq-5d-5l",
        "eq-5d-3l",
        "eq-vas",
        "who-5",
        "phq-9",
        "gad-7",
        "hads",
        "paid-5",
        "paid-20",
        "heartqol",
        "distress-thermometer",
        "qlq-c30",
        "qlq-c15-pal",
    ]
    for one in found:
        assert instruments.get(one.id) is one
        assert one.citation.text
        assert one.citation.doi.startswith("10.")
        assert one.licence
        names = {each.name for each in one.inputs}
        assert len(names) == len(one.inputs)
        assert names >= {name for scale in one.scales for name in scale.inputs}
        assert {scale.code for scale in one.scales if scale.formula is None} == set(one.conversions)
        for scale in one.scales:
            assert scale.missing_rule.da != scale.missing_rule.en
            assert scale.formula is None or (scale.formula.text.da and scale.formula.text.en)
            for band in scale.bands:
                assert band.source
                assert band.low is not None
                assert band.high is not None
                assert scale.minimum <= band.low <= band.high <= scale.maximum


def test_wording_ships_only_where_the_licence_lets_anyone_pass_it_on() -> None:
    assert [one.id for one in instruments.all() if one.wording_may_ship] == ["phq-9", "gad-7"]


def test_heartqol_says_that_its_item_split_is_not_verified() -> None:
    assert any("not verified" in caveat.en for caveat in instruments.get("heartqol").caveats)


def test_published_bands_follow_each_other_without_gap_or_overlap() -> None:
    for one in instruments.all():
        for scale in one.scales:
            for lower, upper in itertools.pairwise(scale.bands):
                assert lower.high is not None
                assert upper.low == lower.high + 1


def test_an_unknown_instrument_is_not_found() -> None:
    with pytest.raises(NotFound):
        instruments.get("no-such-instrument")


def test_an_unknown_input_or_a_number_that_is_no_decimal_is_refused() -> None:
    who5 = instruments.get("who-5")
    with pytest.raises(BadInput):
        who5.score({"6": Decimal(1)})
    for wrong in (3, 3.0, "3", True):
        with pytest.raises(BadInput):
            who5.score({"1": wrong})  # type: ignore[dict-item]


WRONG = st.one_of(
    st.decimals(max_value=Decimal("-0.0001"), allow_nan=False, allow_infinity=True),
    st.decimals(min_value=Decimal("5.0001"), allow_nan=False, allow_infinity=True),
    st.sampled_from([Decimal(text) for text in ("NaN", "sNaN", "2.5", "1E+999999", "-1E+999999", "1E-999999")]),
)


@given(wrong=WRONG)
def test_an_answer_outside_the_bounds_gives_no_score_and_no_crash(wrong: Decimal) -> None:
    answers: dict[str, Decimal | None] = {str(n): Decimal(3) for n in range(1, 5)}
    (found,) = instruments.get("who-5").score(answers | {"5": wrong})
    assert found.value is None
    assert found.reason is not None
    assert found.reason.code == "out_of_range"
    assert found.missing == ()


@st.composite
def partly_answered(draw: st.DrawFn) -> tuple[Instrument, dict[str, Decimal | None]]:
    chosen = draw(st.sampled_from(instruments.all()))
    answers = {one.name: draw(st.none() | st.integers(one.minimum, one.maximum).map(Decimal)) for one in chosen.inputs}
    return chosen, answers


@given(case=partly_answered())
def test_a_score_stays_within_its_declared_range_or_says_why_there_is_none(
    case: tuple[Instrument, dict[str, Decimal | None]],
) -> None:
    instrument, answers = case
    for found, scale in zip(instrument.score(answers), instrument.scales, strict=True):
        assert (found.value is None) == (found.reason is not None)
        if found.value is not None:
            assert type(found.value) is Decimal
            assert scale.minimum <= found.value <= scale.maximum
            assert set(found.used) | set(found.missing) == set(scale.inputs)


@given(case=partly_answered(), order=st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(
    case: tuple[Instrument, dict[str, Decimal | None]], order: Any
) -> None:
    instrument, answers = case
    shuffled = list(answers.items())
    order.shuffle(shuffled)
    assert instrument.score(dict(shuffled)) == instrument.score(answers)


@pytest.mark.parametrize(
    "instrument", [one for one in instruments.all() if not one.conversions], ids=lambda one: one.id
)
def test_the_declared_range_is_reached_at_both_ends(instrument: Instrument) -> None:
    def best(direction: Direction) -> dict[str, Decimal | None]:
        return {
            one.name: Decimal(one.maximum if one.direction is direction else one.minimum) for one in instrument.inputs
        }

    good = {one.code: one.value for one in instrument.score(best(Direction.HIGHER_IS_BETTER))}
    bad = {one.code: one.value for one in instrument.score(best(Direction.HIGHER_IS_WORSE))}
    for scale in instrument.scales:
        ends = (scale.minimum, scale.maximum)
        better = scale.direction is Direction.HIGHER_IS_BETTER
        assert (bad[scale.code], good[scale.code]) == (ends if better else ends[::-1])
