"""What an expression reads, what it names, and where it is an error."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from kpro_graph.errors import Rejected
from kpro_graph.questionnaires.expressions import (
    PREDEFINED_VARIABLES,
    ExpressionFailed,
    ExpressionInvalid,
    compile_expression,
    prepare,
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


class TestSyntax:
    @pytest.mark.parametrize(
        ("text", "column"),
        [
            ("foo bar", 5),
            ("item.where(linkId='1'", 22),
            ("item..x", 6),
            ("2 + 2 /* x", 8),
            ("'open", 1),
            ("", 1),
            ("1 +", 4),
            ("name.sort(x desc", 13),
            ("(name desc)", 2),
            ("where(a desc)", 7),
        ],
    )
    def test_what_is_not_well_formed_is_refused_with_its_place(self, text: str, column: int) -> None:
        with pytest.raises(ExpressionInvalid) as refused:
            compile_expression(text)
        assert (refused.value.line, refused.value.column) == (1, column)
        assert isinstance(refused.value, Rejected)

    def test_the_line_is_counted(self) -> None:
        with pytest.raises(ExpressionInvalid) as refused:
            compile_expression("1 +\n  2 3")
        assert (refused.value.line, refused.value.column) == (2, 5)

    @pytest.mark.parametrize(
        "text", ["@2020-13-45", "@2021-02-29", "@2020-01-01T25:00", "@T24:00", "@T12:00Z", "@0000"]
    )
    def test_dates_and_times_that_do_not_exist_are_refused(self, text: str) -> None:
        with pytest.raises(ExpressionInvalid, match="no such date or time"):
            compile_expression(text)

    @pytest.mark.parametrize(
        ("text", "nearest"),
        [
            ("item.whre(1)", "where"),
            ("item.Where(1)", "where"),
            ("1.is(Quantty)", "Quantity"),
            ("1 is Codin", "Coding"),
        ],
    )
    def test_an_unknown_function_or_type_is_refused_with_the_nearest_right_name(self, text: str, nearest: str) -> None:
        with pytest.raises(ExpressionInvalid, match=f"the nearest is '{nearest}'"):
            compile_expression(text)

    @pytest.mark.parametrize("name", ["resolve", "memberOf", "subsumes", "htmlChecks", "elementDefinition"])
    def test_what_would_fetch_or_look_up_is_refused_with_the_reason(self, name: str) -> None:
        with pytest.raises(ExpressionInvalid, match=r"is not run here: "):
            compile_expression(f"iif(true, 1, subject.{name}('x'))")

    @pytest.mark.parametrize("text", ["item.where()", "item.exists(1, 2)", "1.power()", "now(1)", "iif(true)"])
    def test_a_wrong_number_of_arguments_is_refused(self, text: str) -> None:
        with pytest.raises(ExpressionInvalid, match="arguments"):
            compile_expression(text)

    def test_the_same_text_is_compiled_once(self) -> None:
        assert compile_expression("1 + 1") is compile_expression("1 + 1")

    def test_escapes_in_text_are_resolved(self) -> None:
        assert literal(r"'\u0041\'\\\n\p\u005'") == ["A'\\\npu005"]
        assert literal(r"'\uD83D\uDD25'.length()") == [1]
        with pytest.raises(ExpressionInvalid, match="surrogate"):
            compile_expression(r"'\uD83D'")


class TestNavigation:
    def test_a_choice_is_followed_in_every_fragment(self) -> None:
        item = RESPONSE["item"][0]
        assert evaluate("answer.value", item) == [42]
        assert evaluate("answer.value", item, base="QuestionnaireResponse.item") == [42]
        assert evaluate("value", item["answer"][0]) == [42]
        assert evaluate("value", item["answer"][0], base="QuestionnaireResponse.item.answer") == [42]

    def test_the_context_is_typed(self) -> None:
        item = RESPONSE["item"][2]
        assert evaluate("%context.answer.value is date", context=item) == [True]
        assert evaluate("%context.answer.value < @2000-01-01", context=item) == [True]

    def test_a_choice_may_be_named_with_its_type(self) -> None:
        assert evaluate("item.where(linkId='age').answer.valueInteger") == [42]
        assert evaluate("item.where(linkId='age').answer.valueString") == []

    def test_this_is_the_item_and_index_its_position(self) -> None:
        assert evaluate("item.where($this.linkId = 'age').linkId") == ["age"]
        assert evaluate("item.where($index = 1).linkId") == ["height"]
        assert evaluate("item.select(linkId & $index.toString()).first()") == ["age0"]
        assert evaluate("item.where(linkId='group').select(item.where($index=0).linkId)") == ["x", "x"]

    def test_arguments_are_evaluated_where_the_path_began(self) -> None:
        assert evaluate("item.linkId.first().combine(status)") == ["age", "completed"]

    def test_the_input_is_never_changed(self) -> None:
        before = copy.deepcopy(RESPONSE)
        evaluate("repeat(item).answer.value | descendants() | item.sort(linkId)")
        assert before == RESPONSE

    def test_a_focus_of_nothing_gives_nothing(self) -> None:
        assert evaluate("item.answer", None) == []

    def test_the_extension_of_a_primitive_is_found_beside_it(self) -> None:
        patient = {
            "resourceType": "Patient",
            "birthDate": "1984-02-29",
            "_birthDate": {"extension": [{"url": "http://x/time", "valueDateTime": "1984-02-29T10:00:00Z"}]},
            "name": [
                {"given": ["A", None], "_given": [None, {"extension": [{"url": "http://x/why", "valueCode": "asked"}]}]}
            ],
        }
        assert evaluate("birthDate.extension('http://x/time').value", patient) == ["1984-02-29T10:00:00Z"]
        assert evaluate("name.given.count()", patient) == [2]
        assert evaluate("name.given", patient) == ["A"]
        assert evaluate("name.given[1].extension('http://x/why').value", patient) == ["asked"]
        assert evaluate("name.given.select(hasValue())", patient) == [True, False]


class TestNamesAreChecked:
    @pytest.mark.parametrize(
        ("text", "nearest"),
        [
            ("item.where(linkid = 'age')", "linkId"),
            ("%resource.itme", "item"),
            ("repeat(item).awnser.value", "answer"),
            ("item.answer.value.ofType(Coding).cod", "code"),
            ("(item.answer.value as Quantity).unti", "unit"),
            ("iif(status = 'completed', 1, item.txet)", "text"),
            ("item.answer.values", "value"),
        ],
    )
    def test_a_name_no_possible_type_has_is_an_error_and_not_an_empty_result(self, text: str, nearest: str) -> None:
        with pytest.raises(ExpressionFailed, match=f"the nearest is '{nearest}'"):
            evaluate(text, resource=RESPONSE)

    def test_the_wrong_resource_is_an_error(self) -> None:
        with pytest.raises(ExpressionFailed, match="'Patient' is no element of QuestionnaireResponse"):
            evaluate("Patient.name")

    @pytest.mark.parametrize(
        "text", ["item.answer.value.code", "item.answer.value.unit", "descendants().whatever", "%other.anything"]
    )
    def test_a_name_that_some_type_may_have_is_none(self, text: str) -> None:
        assert isinstance(evaluate(text, variables={"other": [{"a": 1}]}), list)

    def test_the_check_runs_without_data_too(self) -> None:
        compile_expression("item.answer.value").check("QuestionnaireResponse")
        compile_expression("%resource.status").check("QuestionnaireResponse.item", resource="QuestionnaireResponse")
        with pytest.raises(ExpressionFailed, match=r"no element of QuestionnaireResponse\.item"):
            compile_expression("status").check("QuestionnaireResponse.item")

    def test_a_base_that_does_not_exist_is_an_error(self) -> None:
        with pytest.raises(ExpressionFailed, match="base"):
            evaluate("value", {}, base="QuestionnaireResponse.itme")


class TestVariables:
    def test_an_undefined_variable_is_an_error(self) -> None:
        with pytest.raises(ExpressionFailed, match="no variable %heigth is defined; the nearest is 'height'"):
            evaluate("%heigth", variables={"height": [1]})

    def test_a_defined_variable_without_a_value_is_empty(self) -> None:
        assert evaluate("%height * 2", variables={"height": []}) == []

    def test_the_constants_of_fhir_are_there(self) -> None:
        assert literal("%sct & ' ' & %ucum & ' ' & %loinc") == [
            "http://snomed.info/sct http://unitsofmeasure.org http://loinc.org"
        ]
        assert literal("%`vs-x`") == ["http://hl7.org/fhir/ValueSet/x"]
        assert literal("%`ext-x`") == ["http://hl7.org/fhir/StructureDefinition/x"]

    def test_the_questionnaire_and_its_item_are_given(self) -> None:
        questionnaire = {
            "resourceType": "Questionnaire",
            "title": "T",
            "item": [{"linkId": "age", "type": "integer", "maxLength": 3}],
        }
        given = {"questionnaire": questionnaire, "qitem": questionnaire["item"][0]}
        assert evaluate("%questionnaire.title", **given) == ["T"]
        assert evaluate("%qitem.maxLength + %qItem.maxLength", **given) == [6]

    def test_a_typed_result_stays_what_it_is_when_handed_on(self) -> None:
        born = compile_expression("item.where(linkId='born').answer.value").evaluate(RESPONSE, typed=True)
        assert evaluate("%born is date", variables={"born": born}) == [True]
        moved = compile_expression("@2020-01-31 + 1 month").evaluate(None, typed=True)
        assert evaluate("%moved + 1 day", variables={"moved": moved}) == ["2020-03-01"]

    def test_plain_text_handed_in_is_read_as_the_date_it_is_compared_with(self) -> None:
        variables = {"born": ["1984-02-29"], "amount": [{"value": 5, "unit": "mg"}]}
        assert evaluate("%born < @2000-01-01", variables=variables) == [True]
        assert evaluate("%born + 1 year", variables=variables) == ["1985-02-28"]
        assert evaluate("%amount > 4 'mg'", variables=variables) == [True]

    def test_the_names_are_told_from_the_text(self) -> None:
        found = compile_expression("%resource.item.where(%a > %`b c`).select(%'d')").variables()
        assert found == {"resource", "a", "b c", "d"}
        assert found - PREDEFINED_VARIABLES == {"a", "b c", "d"}


class TestDependencies:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("%resource.item.where(linkId = 'a').answer.value", {"a"}),
            ("item.where('a' = linkId or $this.linkId ~ 'b')", {"a", "b"}),
            ("item.where(linkId in ('a' | 'b' | 'c'))", {"a", "b", "c"}),
            ("('a' | 'b') contains item.first().linkId", {"a", "b"}),
            ("repeat(item).where(linkId != 'total').answer.weight().sum()", set()),
            ("item.where(linkId = 'a').item.where(linkId='a/1').answer.value + 1", {"a", "a/1"}),
            ("item.where(answer.value = 'a')", set()),
        ],
    )
    def test_the_link_ids_an_expression_picks_are_told(self, text: str, expected: set[str]) -> None:
        assert compile_expression(text).dependencies() == expected

    def test_the_link_ids_it_leaves_out_are_told_apart(self) -> None:
        expression = compile_expression("item.where(linkId != 'total' and linkId != 'sum').answer.weight()")
        assert expression.exclusions() == {"total", "sum"}
        assert expression.dependencies() == frozenset()
        assert expression.reads_weights()


class TestPreparedData:
    def test_they_give_the_same_as_plain_data(self) -> None:
        ready = prepare(RESPONSE)
        for text in (
            "item.item.answer.value",
            "repeat(item).linkId",
            "descendants().count()",
            "%resource.item.answer.value",
            "item.linkId",
        ):
            for _ in range(2):
                assert evaluate(text, ready, resource=ready) == evaluate(text, RESPONSE)

    def test_a_resource_is_recognised_in_them(self) -> None:
        assert evaluate("%resource.status", prepare(RESPONSE)) == ["completed"]
