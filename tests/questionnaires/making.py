"""Questionnaires and answers made up for tests: small builders, and strategies that cover what forms are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from kpro_graph.questionnaires import Evaluation, Item, Problem, Questionnaire, evaluate, read_questionnaire

CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
SYSTEM = "urn:test:codes"


def form(*items: dict[str, Any], **parts: Any) -> Questionnaire:
    """Read a questionnaire with these items."""
    return read_questionnaire(
        {"resourceType": "Questionnaire", "url": "urn:test:form", "status": "active", "item": list(items), **parts}
    )


def item(link_id: str, kind: str = "string", *below: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Write an item, with the items below it."""
    extra = {"item": list(below)} if below else {}
    return {"linkId": link_id, "type": kind, **parts, **extra}


def ext(name: str, **value: Any) -> dict[str, Any]:
    """Write one of HL7's extensions."""
    return {"url": name if name.startswith("http") else CORE + name, **value}


def expression(name: str, text: str, *, variable: str = "") -> dict[str, Any]:
    """Write an extension that holds an expression."""
    value = {"language": "text/fhirpath", "expression": text}
    if variable:
        return ext("variable", valueExpression={"name": variable, **value})
    return {"url": SDC + name, "valueExpression": value}


def coding(code: str, system: str = SYSTEM) -> dict[str, Any]:
    """Write a coded answer."""
    return {"valueCoding": {"system": system, "code": code}}


def options(*codes: str, weights: bool = True) -> list[dict[str, Any]]:
    """Write options with the weights 0, 1, 2, …"""
    found: list[dict[str, Any]] = []
    for weight, code in enumerate(codes):
        option: dict[str, Any] = {"valueCoding": {"system": SYSTEM, "code": code, "display": code.title()}}
        if weights:
            option["extension"] = [ext("ordinalValue", valueDecimal=Decimal(weight))]
        found.append(option)
    return found


def reply(*items: dict[str, Any], status: str | None = "completed", **parts: Any) -> dict[str, Any]:
    """Write a response with these items."""
    document: dict[str, Any] = {"resourceType": "QuestionnaireResponse", **parts}
    if status is not None:
        document["status"] = status
    return {**document, "item": list(items)} if items else document


def answer(link_id: str, *values: Any) -> dict[str, Any]:
    """Write an answered item; a value that is no mapping becomes a text, number or boolean answer."""
    return {"linkId": link_id, "answer": [as_fhir(value) for value in values]}


def group(link_id: str, *items: dict[str, Any]) -> dict[str, Any]:
    """Write a repetition of a group in a response."""
    return {"linkId": link_id, "item": list(items)} if items else {"linkId": link_id}


def as_fhir(value: Any) -> dict[str, Any]:
    """Write a plain value as a FHIR answer."""
    if isinstance(value, dict):
        return value
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if isinstance(value, Decimal):
        return {"valueDecimal": value}
    return {"valueString": value}


def judge(questionnaire: Questionnaire, *items: dict[str, Any], **parts: Any) -> Evaluation:
    """Evaluate a completed response with these items."""
    return evaluate(questionnaire, reply(*items, **parts))


def told(problems: tuple[Problem, ...], *, information: bool = False) -> list[tuple[str, str]]:
    """Return the code and path of each problem."""
    return [(each.code, each.path) for each in problems if information or each.severity.value != "information"]


# --- strategies -------------------------------------------------------------------------------------------------------

LINK_IDS = st.text(alphabet="ab1/[]%. ", min_size=1, max_size=4)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=True)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_TYPES = ("string", "text", "integer", "decimal", "boolean", "date", "choice", "open-choice", "quantity", "url", "time")


@st.composite
def forms(draw: st.DrawFn, *, depth: int = 3) -> Questionnaire:
    """Make a questionnaire with groups, repetitions, questions below answers, conditions and totals."""
    link_ids = draw(st.lists(LINK_IDS, min_size=1, max_size=9, unique=True))
    pool = iter(link_ids)
    items = draw(_levels(pool, depth))
    asked = [each for each in _flat(items) if each["type"] not in ("group", "display")]
    for each in _flat(items):
        if asked and draw(st.integers(0, 3)) == 0:
            other = draw(st.sampled_from(asked))
            each["enableWhen"] = [draw(_conditions(other))]
        if each["type"] == "decimal" and draw(st.booleans()):
            each["readOnly"] = True
            each.setdefault("extension", []).append(
                expression("calculatedExpression", "%resource.descendants().where(linkId != 'a').answer.weight().sum()")
            )
    return form(*items)


@st.composite
def _levels(draw: st.DrawFn, pool: Any, depth: int) -> list[dict[str, Any]]:
    items = []
    for link_id in pool:
        kind = draw(st.sampled_from(("group", *_TYPES)))
        if kind == "group" and depth <= 0:
            kind = "integer"
        made: dict[str, Any] = {"linkId": link_id, "type": kind, "text": f"Text of {link_id}"}
        for name in ("required", "repeats"):
            if draw(st.integers(0, 3)) == 0:
                made[name] = True
        if kind in ("choice", "open-choice"):
            made["answerOption"] = options("no", "little", "much")
        if depth > 0 and (kind == "group" or draw(st.integers(0, 5)) == 0):
            below = draw(_levels(_take(pool, draw(st.integers(1, 3))), depth - 1))
            if below:
                made["item"] = below
            elif kind == "group":
                made["type"] = "boolean"
        items.append(made)
    return items


def _take(pool: Any, count: int) -> Any:
    for _ in range(count):
        link_id = next(pool, None)
        if link_id is None:
            return
        yield link_id


def _flat(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for one in items for each in (one, *_flat(one.get("item", [])))]


@st.composite
def _conditions(draw: st.DrawFn, other: dict[str, Any]) -> dict[str, Any]:
    operator = draw(st.sampled_from(("exists", "=", "!=", ">", "<=")))
    if operator == "exists":
        return {"question": other["linkId"], "operator": operator, "answerBoolean": draw(st.booleans())}
    value = draw(values_for(other["type"]))
    name, part = next(iter(value.items()))
    return {"question": other["linkId"], "operator": operator, name.replace("value", "answer", 1): part}


def values_for(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make a value that fits the type."""
    made: dict[str, st.SearchStrategy[Any]] = {
        "string": st.builds(lambda text: {"valueString": text}, st.text(alphabet="abc ", min_size=1, max_size=5)),
        "integer": st.builds(lambda number: {"valueInteger": number}, st.integers(-5, 5)),
        "decimal": st.builds(lambda number: {"valueDecimal": number}, st.decimals("-9", "9", places=2)),
        "boolean": st.builds(lambda truth: {"valueBoolean": truth}, st.booleans()),
        "date": st.builds(lambda day: {"valueDate": day.isoformat()}, st.dates()),
        "time": st.just({"valueTime": "12:30:00"}),
        "url": st.just({"valueUri": "https://example.org"}),
        "choice": st.sampled_from([coding(code) for code in ("no", "little", "much")]),
        "quantity": st.builds(
            lambda number: {
                "valueQuantity": {"value": number, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
            },
            st.integers(0, 200),
        ),
    }
    made["text"] = made["string"]
    made["open-choice"] = made["choice"] | made["string"]
    return made[kind]


@st.composite
def answer_maps(draw: st.DrawFn, questionnaire: Questionnaire) -> dict[str, list[dict[str, Any]]]:
    """Make answers by path, as a citizen might give them."""
    found: dict[str, list[dict[str, Any]]] = {}

    def fill(items: tuple[Item, ...], prefix: str) -> None:
        for each in items:
            segment = segments[each.link_id]
            if each.type.value == "group":
                count = draw(st.integers(0, 2)) if each.repeats else 1
                for index in range(count):
                    fill(each.children, f"{prefix}{segment}[{index}]/" if each.repeats else f"{prefix}{segment}/")
                continue
            values = draw(st.lists(values_for(each.type.value), max_size=2 if each.repeats else 1))
            if not values:
                continue
            found[f"{prefix}{segment}"] = values
            for index in range(len(values)):
                fill(each.children, f"{prefix}{segment}[{index}]/" if each.repeats else f"{prefix}{segment}/")

    segments = segments_of(questionnaire)
    fill(questionnaire.items, "")
    return found


def segments_of(questionnaire: Questionnaire) -> dict[str, str]:
    """Return how each linkId is written in a path."""
    from kpro_graph.questionnaires.plan import plan_of

    return {link_id: plan.segment for link_id, plan in plan_of(questionnaire).items.items()}
