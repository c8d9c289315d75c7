"""Decimals stay exact, stay in one written form, and are read aloud as each language writes them."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpro_graph.questionnaires import exact
from kpro_graph.questionnaires.words import join_words, write_number

NUMBERS = st.decimals(
    min_value=Decimal("-1e15"), max_value=Decimal("1e15"), allow_nan=False, allow_infinity=False, places=6
)


@given(values=st.lists(NUMBERS, max_size=20))
def test_a_sum_is_exact_in_any_order_and_in_any_context(values: list[Decimal]) -> None:
    with localcontext(prec=3):
        found = exact.total(values)
        assert found == exact.total(reversed(values))
    assert Fraction(found) == sum((Fraction(value) for value in values), Fraction(0))


@given(left=NUMBERS, right=NUMBERS)
def test_a_product_is_exact(left: Decimal, right: Decimal) -> None:
    assert Fraction(exact.multiply(left, right)) == Fraction(left) * Fraction(right)


@given(numerator=NUMBERS, denominator=NUMBERS.filter(bool))
def test_a_quotient_is_within_half_a_unit_of_its_last_decimal(numerator: Decimal, denominator: Decimal) -> None:
    found = exact.divide(numerator, denominator)
    assert abs(Fraction(found) - Fraction(numerator) / Fraction(denominator)) <= Fraction(1, 2 * 10**exact.PLACES)


@given(value=NUMBERS)
def test_equal_numbers_are_written_alike(value: Decimal) -> None:
    longer = value.quantize(Decimal("1e-9"))
    assert exact.write(value) == exact.write(longer)
    assert str(exact.canonical(value)) == str(exact.canonical(longer))
    assert Decimal(exact.write(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [("1.000", "1"), ("-0.0", "0"), ("1E+2", "100"), ("0E-500", "0"), ("-0.7580", "-0.758"), ("1E-7", "0.0000001")],
)
def test_a_number_has_one_written_form(value: str, written: str) -> None:
    assert exact.write(Decimal(value)) == written


@pytest.mark.parametrize(
    "value", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+41", "1E-41", "1E+999999", "1." + "1" * 90]
)
def test_a_number_outside_the_limits_is_refused(value: str) -> None:
    with pytest.raises(exact.NotExact):
        exact.canonical(Decimal(value))
    with pytest.raises(exact.NotExact):
        exact.total([Decimal(1), Decimal(value)])
    with pytest.raises(exact.NotExact):
        exact.multiply(Decimal(1), Decimal(value))
    with pytest.raises(exact.NotExact):
        exact.divide(Decimal(value), Decimal(3))


def test_a_sum_or_product_that_would_need_rounding_is_refused() -> None:
    with pytest.raises(exact.NotExact):
        exact.multiply(Decimal("1E+30"), Decimal("1E+30"))
    with pytest.raises(exact.NotExact):
        exact.divide(Decimal(1), Decimal(0))


@pytest.mark.parametrize(
    ("value", "da", "en"),
    [
        ("36", "36", "36"),
        ("-0.123", "-0,123", "-0.123"),
        ("26.250", "26,25", "26.25"),
        ("58.333333333333", "ca. 58,333", "about 58.333"),
        ("100", "100", "100"),
        ("0", "0", "0"),
        ("-0.0004", "ca. 0", "about 0"),
    ],
)
def test_a_number_is_read_aloud_as_its_language_writes_it(value: str, da: str, en: str) -> None:
    assert write_number(Decimal(value), "da") == da
    assert write_number(Decimal(value), "en") == en


def test_words_are_joined_as_an_enumeration() -> None:
    assert join_words([], "da") == ""
    assert join_words(["a"], "en") == "a"
    assert join_words(["a", "b", "c"], "da") == "a, b og c"
    assert join_words(["a", "b", "c"], "en") == "a, b and c"
