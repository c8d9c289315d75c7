"""For every finding a proof may give, one small questionnaire that it is given for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from kpro_graph.questionnaires import Questionnaire, RuleSet
from kpro_graph.questionnaires.proof import Budget
from tests.questionnaires.making import expression, ext, item
from tests.questionnaires.proof_making import (
    GREEN_YELLOW_RED,
    choice,
    constraint,
    item_rule,
    rules,
    score_rule,
    total,
    when,
    whole,
    written,
)
from tests.sheets import band, case, coded, significance

Example = tuple[Questionnaire, RuleSet | None, Budget | None]
LABEL = {"da": "Mål", "en": "Measure"}
HIDDEN = ext("questionnaire-hidden", valueBoolean=True)


def only(*items: dict[str, Any], **parts: Any) -> Example:
    """Give a questionnaire by itself."""
    return written(*items, **parts), None, None


def ruled(items: list[dict[str, Any]], *rules_: dict[str, Any], **parts: Any) -> Example:
    """Give a questionnaire with rules."""
    return written(*items), rules(*rules_, **parts), None


def needs(link_id: str, kind: str, *conditions: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Write an item that is asked on conditions."""
    behaviour = {"enableBehavior": "any"} if len(conditions) > 1 else {}
    return item(link_id, kind, enableWhen=list(conditions), **behaviour, **parts)


def answer_score(code: str, link_id: str, kind: str = "item", **parts: Any) -> dict[str, Any]:
    """Write the definition of a score that is one answer."""
    return {"code": code, "kind": kind, "label": LABEL, "item": link_id, **parts}


def sums_up_to(highest: int, *link_ids: str) -> dict[str, Any]:
    """Write the rule that numbers add up to no more than that."""
    terms = " + ".join(f"%resource.item.where(linkId='{one}').answer.value" for one in link_ids)
    return constraint(f"{terms} <= {highest}")


def conversion_table() -> dict[str, Any]:
    """Write a table for QLQ-C15-PAL in which nausea gets better as it gets worse; its numbers mean nothing."""
    falling = {str(answer): 4 - answer for answer in range(1, 5)}
    return {
        "source": "invented",
        "scales": {
            "PF": {str(total): total for total in range(3, 13)},
            "EF": {str(total): 9 - total for total in range(2, 9)},
            "FA": {str(total): total for total in range(2, 9)},
            "NV": falling,
        },
    }


CALCULATED_SQUARE = expression(
    "calculatedExpression",
    "%resource.item.where(linkId='n').answer.value * %resource.item.where(linkId='n').answer.value",
)
SWEEPING = expression("calculatedExpression", "iif(%resource.item.answer.exists(), 1, 0)")

EXAMPLES: Mapping[str, Callable[[], Example]] = {
    "unreachable": lambda: only(choice("a", "x", "y"), needs("b", "boolean", when("a", "=", code="z"))),
    "asked_in_drafts_only": lambda: only(
        item("a", "boolean", required=True), needs("b", "boolean", when("a", "exists", boolean=False))
    ),
    "condition_never_true": lambda: only(
        choice("a", "x", "y"), needs("b", "boolean", when("a", "=", code="z"), when("a", "=", code="x"))
    ),
    "condition_always_true": lambda: only(choice("a", "x"), needs("b", "boolean", when("a", "!=", code="z"))),
    "condition_on_nothing": lambda: only(
        item("a", "display", text="A"), needs("b", "boolean", when("a", "exists", boolean=True))
    ),
    "condition_type": lambda: only(whole("a", 0, 3), needs("b", "boolean", when("a", "=", string="3"))),
    "enable_when_and_expression": lambda: only(
        item("a", "boolean"),
        needs("b", "boolean", when("a", "=", boolean=True), extension=[expression("enableWhenExpression", "true")]),
    ),
    "not_equal_ambiguous": lambda: only(item("a", "boolean"), needs("b", "boolean", when("a", "!=", boolean=True))),
    "forward_reference": lambda: only(needs("a", "boolean", when("b", "=", boolean=True)), item("b", "boolean")),
    "cycle": lambda: only(
        needs("a", "boolean", when("b", "=", boolean=True)), needs("b", "boolean", when("a", "=", boolean=True))
    ),
    "dead_end": lambda: only(
        item("a", "boolean"), {**whole("b", 3, 1, required=True), "enableWhen": [when("a", "=", boolean=True)]}
    ),
    "never_valid": lambda: only(whole("a", 3, 1, required=True)),
    "rule_excludes_answers": lambda: only(
        *(whole(one, 0, 2, required=True) for one in "abc"), extension=[sums_up_to(3, *"abc")]
    ),
    "hidden_required": lambda: only(item("a", "boolean", required=True, extension=[HIDDEN])),
    "read_only_required": lambda: only(item("a", "boolean", required=True, readOnly=True)),
    "hidden_without_value": lambda: only(
        item("a", "boolean", extension=[HIDDEN]), needs("b", "boolean", when("a", "=", boolean=True))
    ),
    "options_missing": lambda: only(item("a", "choice", required=True)),
    "value_set_missing": lambda: only(item("a", "choice", answerValueSet="urn:test:elsewhere")),
    "bounds_contradict": lambda: only(whole("a", 3, 1)),
    "bound_type": lambda: only(item("a", "integer", extension=[ext("minValue", valueDate="2020-01-01")])),
    "occurs_without_repeats": lambda: only(
        item("a", "integer", extension=[ext("questionnaire-maxOccurs", valueInteger=3)])
    ),
    "unanswerable": lambda: only(whole("a", 3, 1)),
    "expression_invalid": lambda: only(item("a", "boolean", extension=[expression("enableWhenExpression", "1 +")])),
    "expression_not_evaluated": lambda: only(
        item(
            "a",
            "boolean",
            extension=[
                {
                    **expression("enableWhenExpression", "Asked"),
                    "valueExpression": {"language": "text/cql", "expression": "Asked"},
                }
            ],
        )
    ),
    "expression_name_unknown": lambda: only(
        item("a", "boolean", extension=[expression("enableWhenExpression", "%resource.itm.exists()")])
    ),
    "expression_variable_unknown": lambda: only(
        item("a", "boolean", extension=[expression("enableWhenExpression", "%age > 5")])
    ),
    "expression_link_id_unknown": lambda: only(
        item(
            "a",
            "boolean",
            extension=[expression("enableWhenExpression", "%resource.item.where(linkId='nobody').exists()")],
        )
    ),
    "expression_link_id_elsewhere": lambda: only(
        item("g", "group", item("b", "boolean")),
        item(
            "a", "boolean", extension=[expression("enableWhenExpression", "%resource.item.where(linkId='b').exists()")]
        ),
    ),
    "expression_fails": lambda: only(
        whole("a", 0, 2),
        item(
            "b",
            "decimal",
            readOnly=True,
            extension=[expression("calculatedExpression", "%resource.item.where(linkId='a').answer.value.ln()")],
        ),
    ),
    "translation_missing": lambda: only(item("a", "boolean", text="Spørgsmål")),
    "rules_for_another": lambda: (
        written(whole("a", 0, 5)),
        rules(questionnaire={"url": "urn:test:other", "versions": ["1"]}),
        None,
    ),
    "rules_unknown_item": lambda: ruled([whole("a", 0, 5)], item_rule("b", *GREEN_YELLOW_RED)),
    "score_without_value": lambda: ruled(
        [item("a", "choice", answerOption=[coded("x"), coded("y")])], scores=[total("s", ["a"])]
    ),
    "score_never_computed": lambda: ruled([whole("a", 0, 5)], scores=[answer_score("s", "a", "calculated")]),
    "score_range_narrower": lambda: ruled([whole("a", 0, 5)], scores=[total("s", ["a"], minimum=0, maximum=9)]),
    "score_not_monotonic": lambda: ruled(
        [whole(f"q{number}", 1, 7 if number == 15 else 4) for number in range(1, 16)],
        scores=[
            {
                "code": "nv",
                "kind": "instrument",
                "instrument": "qlq-c15-pal",
                "scale": "NV",
                "inputs": {str(number): f"q{number}" for number in range(1, 16)},
                "conversion": conversion_table(),
            }
        ],
    ),
    "interval_gap": lambda: ruled(
        [whole("a", 0, 5)],
        score_rule("s", band("green", below=2), band("red", atLeast=4)),
        scores=[total("s", ["a"])],
    ),
    "interval_overlap": lambda: ruled(
        [whole("a", 0, 5)],
        score_rule("s", band("green", atMost=3), band("red", atLeast=3)),
        scores=[total("s", ["a"])],
    ),
    "interval_unreachable": lambda: ruled(
        [whole("a", 0, 5)],
        score_rule("s", band("green", atMost=5), band("red", above=5)),
        scores=[total("s", ["a"])],
    ),
    "case_unreachable": lambda: ruled(
        [choice("a", "x", "y")], {"id": "r", "item": "a", "cases": [case("green", code="x"), case("red", code="z")]}
    ),
    "answer_without_colour": lambda: ruled(
        [choice("a", "x", "y")], {"id": "r", "item": "a", "cases": [case("red", code="y")]}
    ),
    "rule_not_applicable": lambda: ruled([item("a", "string")], item_rule("a", *GREEN_YELLOW_RED)),
    "not_monotonic": lambda: ruled(
        [whole("a", 0, 5)],
        item_rule("a", band("green", below=2), band("red", atLeast=2, below=4), band("green", atLeast=4)),
    ),
    "two_sided": lambda: ruled(
        [whole("a", 0, 5)],
        item_rule("a", band("red", below=2), band("green", atLeast=2, below=4), band("red", atLeast=4)),
    ),
    "directions_contradict": lambda: ruled(
        [whole("a", 0, 5), whole("b", 0, 5)],
        score_rule("s", band("green", below=5), band("red", atLeast=5)),
        item_rule("a", band("red", below=2), band("green", atLeast=2)),
        scores=[total("s", ["a", "b"])],
    ),
    "undecided_reachability": lambda: only(
        item("a", "boolean", extension=[expression("enableWhenExpression", "%patient.active = true")]),
        extension=[
            {
                "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-launchContext",
                "extension": [{"url": "name", "valueCoding": {"code": "patient"}}],
            }
        ],
    ),
    "undecided_dead_end": lambda: only(
        item("a", "date"),
        item("b", "date"),
        extension=[
            constraint("%resource.item.where(linkId='a').answer.value <= %resource.item.where(linkId='b').answer.value")
        ],
    ),
    "undecided_cycle": lambda: only(whole("a", 0, 5), item("b", "integer", readOnly=True, extension=[SWEEPING])),
    "undecided_score": lambda: ruled(
        [item("n", "decimal"), item("c", "decimal", readOnly=True, extension=[CALCULATED_SQUARE])],
        scores=[answer_score("s", "c", "calculated")],
    ),
    "undecided_colour": lambda: ruled(
        [item("n", "decimal"), item("c", "decimal", readOnly=True, extension=[CALCULATED_SQUARE])],
        score_rule("s", band("green", atMost=50), band("red", atLeast=60)),
        scores=[answer_score("s", "c", "calculated")],
    ),
    "undecided_fixture": lambda: (
        written(*(choice(f"q{number}", *"abcdefgh") for number in range(4))),
        None,
        Budget(cases=2),
    ),
    # What the reading remarked on.
    "que_12_missing_enableBehavior": lambda: only(
        item("a", "boolean"),
        item("b", "boolean", enableWhen=[when("a", "=", boolean=True), when("a", "exists", boolean=True)]),
    ),
    "regex_invalid": lambda: only(item("a", "string", extension=[ext("regex", valueString="(a")])),
    "enable_when_question_unknown": lambda: only(needs("a", "boolean", when("b", "exists", boolean=True))),
    "enable_when_self": lambda: only(needs("a", "boolean", when("a", "exists", boolean=True))),
    "extension_malformed": lambda: only(
        {**whole("a", 0, 5), "extension": [significance("purple", ("=", {"valueInteger": 3}))]}
    ),
    "malformed": lambda: only(item("a", "choice", answerOption=[{"valueCoding": {"code": "x"}}, {}])),
    "que_1": lambda: only(item("a", "group")),
    "que_4": lambda: only({**choice("a", "x"), "answerValueSet": "urn:test:elsewhere"}),
    "que_5": lambda: only(item("a", "boolean", answerOption=[coded("x")])),
    "que_11": lambda: only({**choice("a", "x"), "initial": [coded("x")]}),
    "que_13": lambda: only(item("a", "integer", initial=[{"valueInteger": 1}, {"valueInteger": 2}])),
    "option_duplicate": lambda: only(choice("a", "x", "x")),
}

__all__ = ["EXAMPLES", "Decimal", "Example"]
