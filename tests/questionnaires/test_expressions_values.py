"""Reckoning, comparing and converting: what an expression gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from kpro_graph.questionnaires.expressions import (
    ExpressionFailed,
    compile_expression,
)


def answered(link_id: str, **answer: Any) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [answer]}


def response(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "item": list(items)}


RESPONSE = response(
    answered("age", valueInteger=42),
    answered("height", valueDecimal=Decimal("1.80")),
    answered("born", valueDate="1984-02-29"),
    answered("note", valueString="Det går godt"),
    answered("pain", valueCoding={"system": "urn:pain", "code": "mild", "display": "Let"}),
    answered(
        "weight",
        valueQuantity={"value": Decimal("80.5"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    ),
    {"linkId": "group", "item": [answered("x", valueInteger=1), answered("y", valueInteger=2)]},
    {"linkId": "group", "item": [answered("x", valueInteger=3)]},
)


def evaluate(text: str, focus: Any = RESPONSE, **given: Any) -> list[Any]:
    return compile_expression(text).evaluate(focus, **given)


def literal(text: str) -> list[Any]:
    return compile_expression(text).evaluate(None)


class TestReckoning:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0.1 + 0.2", "0.3"),
            ("10 / 3", "3.333333333333333333333333333"),
            ("1.10 + 1.10", "2.20"),
            ("2.5.power(2)", "6.25"),
            ("2.power(-1)", "0.5"),
            ("(-0.5).round()", "-1"),
            ("3.14159.round(3)", "3.142"),
            ("81.sqrt()", "9"),
            ("100.0.log(10.0)", "2"),
            ("16.log(2)", "4"),
            ("5.5 div 0.7", "7"),
            ("2.2 mod 1.8", "0.4"),
        ],
    )
    def test_decimals_are_exact(self, text: str, expected: str) -> None:
        (found,) = literal(text)
        assert isinstance(found, Decimal)
        assert str(found) == expected or found == Decimal(expected)

    def test_whole_numbers_stay_whole(self) -> None:
        assert [type(value) for value in literal("(1 + 2) | 2.power(3) | 9 div 2 | 2.9.floor()")] == [int] * 4

    @pytest.mark.parametrize(
        "text", ["1 / 0", "5 div 0", "5 mod 0", "(-1).sqrt()", "(-1).power(0.5)", "9.power(99).power(99)", "{} + 1"]
    )
    def test_what_has_no_value_is_empty_as_the_language_has_it(self, text: str) -> None:
        assert literal(text) == []

    @pytest.mark.parametrize(
        "text",
        [
            "1 + 'a'",
            "'a' - 'b'",
            "-'a'",
            "(1 | 2) + 1",
            "today() - @2020-01-01",
            "0.ln()",
            "1.log(0)",
            "2.log(1)",
            "1.round(-1)",
            "'a'.abs()",
        ],
    )
    def test_what_cannot_be_reckoned_is_an_error(self, text: str) -> None:
        with pytest.raises(ExpressionFailed):
            literal(text)

    def test_a_sum_is_taken_over_answers(self) -> None:
        assert evaluate("item.item.answer.value.sum()") == [6]
        assert evaluate("item.where(linkId='height' or linkId='age').answer.value.sum()") == [Decimal("43.80")]

    def test_a_sum_of_nothing_is_nothing(self) -> None:
        assert evaluate("item.where(linkId='none').answer.value.sum()") == []

    @pytest.mark.parametrize(
        "text", ["item.answer.sum()", "item.linkId.sum()", "(1 | true).sum()", "(1 'm' | 1 's').sum()"]
    )
    def test_a_sum_of_other_things_is_an_error(self, text: str) -> None:
        with pytest.raises(ExpressionFailed, match=r"sum\(\)"):
            evaluate(text)

    def test_averages_and_extremes_follow(self) -> None:
        assert evaluate("item.item.answer.value.avg()") == [2]
        assert evaluate("item.item.answer.value.min() | item.item.answer.value.max()") == [1, 3]
        assert literal("(@2012-12-31 | @2012-01-01).min()") == ["2012-01-01"]
        with pytest.raises(ExpressionFailed):
            literal("(1 | 'a').max()")

    def test_numbers_in_the_data_keep_their_digits(self) -> None:
        assert str(evaluate("item.where(linkId='height').answer.value")[0]) == "1.80"
        assert evaluate("item.where(linkId='height').answer.value.toString()") == ["1.80"]
        assert evaluate("value + 0", {"value": 0.1}) == [Decimal("0.1")]

    def test_a_number_beyond_the_range_is_an_error(self) -> None:
        for value in (Decimal("1e999"), Decimal("NaN"), 10**30, float("inf")):
            with pytest.raises(ExpressionFailed, match="number"):
                evaluate("value + 1", {"value": value})


class TestConversion:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("true.toString()", "true"),
            ("1.0.toString()", "1.0"),
            ("0.0.toString()", "0.0"),
            ("1 'wk'.toString()", "1 'wk'"),
            ("(4 days).toString()", "4 days"),
            ("@2020-01.toString()", "2020-01"),
            ("@2020-01-01T10:00:00.000+10:00.toString()", "2020-01-01T10:00:00.000+10:00"),
            ("@T10:30.toString()", "10:30"),
        ],
    )
    def test_values_are_written_as_the_language_has_it(self, text: str, expected: str) -> None:
        assert literal(text) == [expected]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("'1'.toInteger()", [1]),
            ("'1.1'.toInteger()", []),
            ("5.0.toInteger()", [5]),
            ("'No'.toBoolean()", [False]),
            ("2.toBoolean()", []),
            ("'2015-02'.toDate()", ["2015-02"]),
            ("'2015-02-30'.toDate()", []),
            ("'2015-02-04T14:34:28+10:00'.toDateTime()", ["2015-02-04T14:34:28+10:00"]),
            ("@2024-01-15T23:30:00-05:00.toDate()", ["2024-01-15"]),
            ("'14:34'.toTime()", ["14:34"]),
            ("'1.a'.convertsToDecimal()", [False]),
            ("'1 wk'.convertsToQuantity()", [False]),
            ("'1 \\'wk\\''.convertsToQuantity()", [True]),
            ("52 'cm'.toQuantity('m').value", [Decimal("0.52")]),
            ("45.toQuantity('m')", []),
        ],
    )
    def test_what_converts_converts(self, text: str, expected: list[Any]) -> None:
        assert literal(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1.0.is(Decimal)", True),
            ("1.is(System.Integer)", True),
            ("'1'.is(System.Quantity)", False),
            ("@2015-02.is(Date)", True),
            ("@2015-02T.is(DateTime)", True),
            ("@2015T is DateTime", True),
            ("1 > 2 is Boolean", True),
            ("1.type().name = 'Integer'", True),
        ],
    )
    def test_types_are_told(self, text: str, expected: bool) -> None:
        assert literal(text) == [expected]

    def test_the_types_of_the_data_are_those_of_fhir(self) -> None:
        assert evaluate("item.where(linkId='age').answer.value is integer") == [True]
        assert evaluate("item.where(linkId='age').answer.value is decimal") == [False]
        assert evaluate("item.answer.value.ofType(integer)") == [42]
        assert evaluate("status is string and status is code and (status is id).not()") == [True]
        assert evaluate("item.where(linkId='age').answer.value.type().namespace") == ["FHIR"]

    def test_as_takes_one_item(self) -> None:
        with pytest.raises(ExpressionFailed, match="use ofType"):
            evaluate("item.answer.value as integer")


class TestTime:
    def test_now_and_today_are_given_from_outside(self) -> None:
        now = datetime(2026, 11, 23, 23, 30, 1, 5000, tzinfo=timezone(timedelta(hours=1)))
        assert evaluate("today()", now=now) == ["2026-11-23"]
        assert evaluate("now()", now=now) == ["2026-11-23T23:30:01.005+01:00"]
        assert evaluate("timeOfDay()", now=now) == ["23:30:01.005"]

    def test_without_it_the_clock_is_read_once(self) -> None:
        assert literal("now() = now() and timeOfDay() = timeOfDay()") == [True]
        assert abs(datetime.fromisoformat(literal("now()")[0]) - datetime.now(UTC)) < timedelta(minutes=1)

    def test_a_moment_without_an_offset_is_refused(self) -> None:
        with pytest.raises(ExpressionFailed, match="offset"):
            evaluate("now()", now=datetime(2026, 1, 1))  # noqa: DTZ001

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("@2012-04-15 = @2012-04-15T10:00:00", []),
            ("@2012-01 < @2012-02-01", [True]),
            ("@2018-03 >= @2018-03-01", []),
            ("@2012-04-15T15:30:31 = @2012-04-15T15:30:31.0", [True]),
            ("@2012-04-15T15:00:00+02:00 = @2012-04-15T16:00:00+03:00", [True]),
            ("@2012-04-15T15:00:00Z != @2012-04-15T10:00:00", []),
            ("@2012-04-15T15:00:00Z > @1974-12-25", [True]),
            ("@2012-04-15 !~ @2012-04-15T10:00:00", [True]),
            ("@T10:30 <= @T10:30:00", []),
            ("@2012 = @T10:30", [False]),
        ],
    )
    def test_partial_dates_are_compared_as_far_as_they_are_known(self, text: str, expected: list[bool]) -> None:
        assert literal(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("@1973-12-25 + 7.9 days", "1974-01-01"),
            ("@2026-01-31 + 1 month", "2026-02-28"),
            ("@2024-02-29 - 1 year", "2023-02-28"),
            ("@2014 + 23 months", "2015"),
            ("@2016 + 365 days", "2017"),
            ("@1973-12-25T00:00:00.000+10:00 + 42.53 seconds", "1973-12-25T00:00:42.530+10:00"),
            ("@1973-12-25T00:00:00 - 1 'ms'", "1973-12-24T23:59:59.999"),
            ("@T00:30:00 - 1 hour", "23:30:00"),
            ("@T01:00 + 90 minutes", "02:30"),
        ],
    )
    def test_dates_move_by_the_calendar(self, text: str, expected: str) -> None:
        assert literal(text) == [expected]

    @pytest.mark.parametrize(
        "text",
        ["@1973-12-25 + 1 'mo'", "@1973-12-25 + 1 'kg'", "@T10:00 + 1 day", "@9999-12-31 + 1 day", "@0001 - 1 year"],
    )
    def test_what_cannot_move_a_date_is_an_error(self, text: str) -> None:
        with pytest.raises(ExpressionFailed):
            literal(text)

    def test_a_date_in_the_data_that_does_not_exist_is_an_error(self) -> None:
        wrong = response(answered("born", valueDate="2021-02-29"))
        assert evaluate("item.answer.value", wrong) == ["2021-02-29"]
        with pytest.raises(ExpressionFailed, match="the data hold a date that does not exist"):
            evaluate("item.answer.value < today()", wrong)


class TestQuantities:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("4 'g' = 4000 'mg'", [True]),
            ("1 'cm' = 1 's'", []),
            ("6 days < 1 week", [True]),
            ("7 days = 1 'wk'", [True]),
            ("1 year = 1 'a'", []),
            ("1 year ~ 1 'a'", [True]),
            ("23 'Cel' = 73.4 '[degF]'", [True]),
            ("4 'g' ~ 4040 'mg'", [True]),
            ("4.0 'g' / 2.0 'm' = 2 'g/m'", [True]),
            ("2.0 'cm' * 2.0 'm' = 0.040 'm2'", [True]),
            ("120 'mm[Hg]' > 16 'kPa'", [False]),
            ("5.5 'mmol/L' < 6000 'umol/L'", [True]),
            ("1 'cm'.comparable(1 '[s]')", [False]),
            ("1 '[lb_av]' > 400 'g'", [True]),
            ("3 'm' + 3 'cm' = 303 'cm'", [True]),
            ("1 year + 12 months", []),
            ("1 'foo' = 1 'foo'", [True]),
            ("1 'foo' = 1 'bar'", []),
        ],
    )
    def test_units_are_respected(self, text: str, expected: list[bool]) -> None:
        assert literal(text) == expected

    def test_an_answered_quantity_is_compared(self) -> None:
        assert evaluate("item.where(linkId='weight').answer.value > 80 'kg'") == [True]
        assert evaluate("item.where(linkId='weight').answer.value = 80500 'g'") == [True]

    def test_a_quantity_is_given_back_as_fhir_has_it(self) -> None:
        assert literal("2 * 2 'kg'") == [
            {"value": Decimal(4), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
        ]
        assert evaluate("item.where(linkId='weight').answer.value") == [
            RESPONSE["item"][5]["answer"][0]["valueQuantity"]
        ]

    def test_a_quantity_with_a_comparator_is_not_reckoned_with(self) -> None:
        vague = response(answered("w", valueQuantity={"value": 5, "comparator": "<", "unit": "kg"}))
        with pytest.raises(ExpressionFailed):
            evaluate("item.answer.value > 4 'kg'", vague)


class TestText:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("'N8000123123'.matches('N[0-9]{8}')", [True]),
            ("'N8000123123'.matchesFull('N[0-9]{8}')", [False]),
            ("'a\\nb'.matches('a.b')", [True]),
            ("'abc'.matches('B', 'i')", [True]),
            ("'11/30/1972'.replaceMatches('(?<m>\\\\d+)/(\\\\d+)/(?<y>\\\\d+)', '${y}-$1')", ["1972-11"]),
            ("'aaabaa'.replaceMatches('aa', '\"aa\"')", ['"aa"ab"aa"']),
            ("'\"1<2\"'.escape('html')", ["&quot;1&lt;2&quot;"]),
            ("'\"1<2\"'.escape('json')", ['\\"1<2\\"']),
            ("'\\\\\"1<2\\\\\"'.unescape('json')", ['"1<2"']),
            ("'&lt;'.unescape('html')", ["<"]),
            ("'test'.encode('base64').decode('base64')", ["test"]),
            ("'74657374'.decode('hex')", ["test"]),
            ("'!'.decode('base64')", []),
            ("'abc'.replace('', 'x')", ["xaxbxcx"]),
            ("'abcdefg'.substring(6, 2)", ["g"]),
            ("'abcdefg'.substring(7, 1)", []),
            ("'abc'.substring(-1)", []),
            ("('a' | 'b').join('-')", ["a-b"]),
            ("'A,,C'.split(',').count()", [3]),
            ("{}.upper()", []),
            ("'abc'.contains({})", []),
        ],
    )
    def test_text_is_worked_on(self, text: str, expected: list[Any]) -> None:
        assert literal(text) == expected

    @pytest.mark.parametrize(
        "text",
        ["1.substring(0)", "('a' | 'b').upper()", "'a'.matches('(')", "'a'.matches('(?=a)')", "'a'.matches('a', 'x')", "'a'.encode('rot13')",
         "'a'.replaceMatches('a', '$2')", "'a' & 1"],
    )  # fmt: skip
    def test_what_is_no_text_or_pattern_is_an_error(self, text: str) -> None:
        with pytest.raises(ExpressionFailed):
            literal(text)

    def test_trace_writes_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert evaluate("item.linkId.trace('t', $this).count()") == [8]
        assert capfd.readouterr() == ("", "")


class TestNewerFunctions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1.587.lowBoundary()", [Decimal("1.58650000")]),
            ("1.587.lowBoundary(2)", [Decimal("1.58")]),
            ("(-1.587).lowBoundary(0)", [Decimal(-2)]),
            ("1.587.highBoundary(2)", [Decimal("1.59")]),
            ("1.587.lowBoundary(99)", []),
            ("@2014.lowBoundary(6)", ["2014-01"]),
            ("@2024-02.highBoundary()", ["2024-02-29"]),
            ("@2014-01-01T08.lowBoundary(17)", ["2014-01-01T08:00:00.000+14:00"]),
            ("@2014-01-01T08:05+08:00.highBoundary()", ["2014-01-01T08:05:59.999+08:00"]),
            ("@T10:30.highBoundary()", ["10:30:59.999"]),
            ("1.58700.precision()", [5]),
            ("@2014-01-05T10:30:00.000.precision()", [17]),
            ("@T10:30.precision()", [4]),
            ("(3 | 1 | 2).sort()", [1, 2, 3]),
            ("(3 | 1 | 2).sort(-$this)", [3, 2, 1]),
            ("('c' | 'a' | 'b').sort($this desc)", ["c", "b", "a"]),
            ("('c' | 'a').sort($this asc)", ["a", "c"]),
            ("coalesce({}, 'b', 1 / 'x')", ["b"]),
            ("iif(false, 1 / 'x', 2)", [2]),
            ("@2012-01-01T16:30:40.002-07:00.hourOf()", [16]),
            ("'abc abc'.lastIndexOf('a')", [4]),
        ],
    )
    def test_they_give_what_the_specification_says(self, text: str, expected: list[Any]) -> None:
        assert literal(text) == expected

    def test_sort_takes_several_keys_and_puts_what_is_empty_first(self) -> None:
        data = {
            "resourceType": "Patient",
            "name": [{"family": "B", "use": "2"}, {"use": "1"}, {"family": "A", "use": "3"}],
        }
        assert evaluate("name.sort(family).use", data) == ["1", "3", "2"]
        assert evaluate("name.sort(family desc, use).use", data) == ["2", "3", "1"]

    def test_conforms_to_judges_by_the_type(self) -> None:
        core = "http://hl7.org/fhir/StructureDefinition/"
        assert evaluate(f"conformsTo('{core}QuestionnaireResponse')") == [True]
        assert evaluate(f"conformsTo('{core}Patient')") == [False]
        with pytest.raises(ExpressionFailed, match="no other"):
            evaluate("conformsTo('http://example.org/profile')")

    def test_has_value_is_about_primitives(self) -> None:
        assert evaluate("item.first().answer.value.hasValue()") == [True]
        assert evaluate("item.where(linkId='pain').answer.value.hasValue()") == [False]
        assert evaluate("item.where(linkId='none').answer.value.hasValue()") == [False]


class TestLogic:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("true and {}", []),
            ("false and {}", [False]),
            ("{} or true", [True]),
            ("{} implies true", [True]),
            ("(true and 'foo').empty()", [False]),
            ("(0).not()", [False]),
            ("{}.exists()", [False]),
            ("{} = {}", []),
            ("{} ~ {}", [True]),
            ("1 = 1.0", [True]),
            ("1 = 'a'", [False]),
            ("'a' ~ 'A'", [True]),
            ("1.2 / 1.8 ~ 0.67", [True]),
            ("(1 | 2 | 3) ~ (3 | 2 | 1)", [True]),
            ("(1 | 2) = (2 | 1)", [False]),
            ("{}.allTrue()", [True]),
            ("1 in (1 | 2)", [True]),
            ("(1 | 2) contains 3", [False]),
        ],
    )
    def test_it_has_three_values(self, text: str, expected: list[bool]) -> None:
        assert literal(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "(1 | 2) and true",
            "iif(1 | 2, 1)",
            "(true | 'foo').allTrue()",
            "(1 | 2) in (1 | 2)",
            "(1 | 2) > 1",
            "true > 1",
            "$total",
            "(1 | 2).single()",
        ],
    )
    def test_what_cannot_be_judged_is_an_error(self, text: str) -> None:
        with pytest.raises(ExpressionFailed):
            literal(text)

    def test_repetitions_that_are_equal_count_once_in_a_union_and_in_repeat(self) -> None:
        same = response(*[{"linkId": "g", "item": [answered("x", valueInteger=1)]} for _ in range(2)])
        assert evaluate("item.item.answer.value.combine({}).count()", same) == [2]
        assert evaluate("repeat(item).count()", same) == [2]

    def test_a_test_on_the_link_id_is_the_same_however_it_is_written(self) -> None:
        expected = evaluate("item.where(iif(linkId = 'age', true, linkId = 'born')).linkId")
        for criteria in (
            "linkId = 'age' or linkId = 'born'",
            "linkId in ('age' | 'born')",
            "linkId ~ 'AGE' or linkId ~ 'born'",
        ):
            assert evaluate(f"item.where({criteria}).linkId") == expected == ["age", "born"]
        assert evaluate("item.where(linkId != 'age' and linkId != 'born').count()") == [6]
        assert evaluate("item.where(text = 'a' or linkId = 'age').count()") == [1]
        assert evaluate("item.where(text != 'a').count()") == [0]
