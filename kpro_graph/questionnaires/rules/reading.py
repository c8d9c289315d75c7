"""Rule sets read from JSON: every fault found at once, each with its place; nothing unknown is passed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from kpro_graph.errors import NotFound, Rejected
from kpro_graph.questionnaires import exact, instruments
from kpro_graph.questionnaires.document import (
    DocumentRefused,
    Json,
    Limits,
    normalise,
    number_of,
    read_json,
    refuse_repeated_keys,
)
from kpro_graph.questionnaires.instruments import ConversionTable, Instrument
from kpro_graph.questionnaires.rules.model import RuleSet
from kpro_graph.questionnaires.rules.parts import (
    AnswerScore,
    Approval,
    Case,
    Colour,
    DeviceClass,
    InstrumentScore,
    Interval,
    ItemRule,
    Meaning,
    Missing,
    Rule,
    ScoreDefinition,
    ScoreRule,
    Status,
    Topic,
    TotalScore,
)
from kpro_graph.questionnaires.rules.writing import FORMAT
from kpro_graph.questionnaires.words import Text

__all__ = ["RuleProblem", "RuleSetInvalid", "read_rule_set"]

_LIMITS = Limits(size=1_000_000, depth=12, containers=50_000, commas=200_000)
_Enum = TypeVar("_Enum", bound=StrEnum)
_Part = TypeVar("_Part")
_NOWHERE = Text("", "")
_STEP = re.compile(r"[.\[]")
_MOST_PROBLEMS = 200


class RuleProblem(msgspec.Struct, frozen=True):
    """One fault of a rule-set document: where it is, such as ``rules[2].intervals[0].source``, and what it is."""

    path: str
    message: Text


class RuleSetInvalid(Rejected):
    """The document is no rule set; ``problems`` names its faults (200 at most), each with its place."""

    code = "RULE_SET_INVALID"

    def __init__(self, problems: Iterable[RuleProblem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"The rule set has {count} fault{'' if count == 1 else 's'}.")


def read_rule_set(source: str | bytes | Mapping[str, Any]) -> RuleSet:
    """Read a rule set from its JSON document (text, UTF-8 bytes, or a parsed object with decimals).

    Raises:
        RuleSetInvalid: naming every fault found.
    """
    document: Json
    try:
        if isinstance(source, str | bytes):
            document = read_json(source, limits=_LIMITS)
            refuse_repeated_keys(source)
        else:
            document = normalise(dict(source), limits=_LIMITS)
    except DocumentRefused as refused:
        raise RuleSetInvalid([RuleProblem("", Text("dokumentet kan ikke læses", str(refused)))]) from None
    reader = _Reader()
    rules = reader.read(document)
    if not reader.problems:
        try:
            _ = rules.content_hash
        except UnicodeError:
            reader.note("", "en tekst kan ikke skrives i UTF-8", "a text cannot be written in UTF-8")
    if reader.problems:
        raise RuleSetInvalid(reader.problems)
    return rules


class _Reader:
    """Walks the document once; a fault is noted and something harmless stands in, so that the walk can go on."""

    def __init__(self) -> None:
        self.problems: list[RuleProblem] = []
        self.places: set[str] = set()
        self.absent: set[str] = set()

    def note(self, path: str, da: str, en: str, *, absent: bool = False) -> None:
        """Note a fault, unless it follows from one noted before: at its own place, or above it where all is absent."""
        above = (path[: mark.start()] for mark in _STEP.finditer(path))
        if path in self.places or not self.absent.isdisjoint(above) or len(self.problems) == _MOST_PROBLEMS:
            return
        self.places.add(path)
        if absent:
            self.absent.add(path)
        self.problems.append(RuleProblem(path, Text(da, en)))

    def read(self, document: Json) -> RuleSet:
        top = self.mapping(document, "", _TOP, _TOP - {"approval"})
        if top.get("format", FORMAT) != FORMAT:
            self.note("format", f"formatet er ikke {FORMAT}", f"the format is not {FORMAT}")
        about = self.mapping(top.get("questionnaire"), "questionnaire", {"url", "versions"}, {"url", "versions"})
        versions = self.parts(about.get("versions"), "questionnaire.versions", self.word)
        status = self.one_of(top.get("status"), "status", Status)
        scores = self.parts(top.get("scores"), "scores", self.score)
        found = RuleSet(
            id=self.word(top.get("id"), "id"),
            version=self.word(top.get("version"), "version"),
            url=self.word(about.get("url"), "questionnaire.url"),
            versions=versions,
            title=self.text(top.get("title"), "title"),
            status=status,
            approval=self.approval(top.get("approval"), status),
            intended_purpose=self.text(top.get("intendedPurpose"), "intendedPurpose"),
            medical_device_class=self.one_of(top.get("medicalDeviceClass"), "medicalDeviceClass", DeviceClass),
            meaning=self.one_of(top.get("meaning"), "meaning", Meaning),
            scores=scores,
            rules=self.parts(top.get("rules"), "rules", self.rule),
            topics=self.parts(top.get("topics"), "topics", self.topic),
        )
        if not versions:
            self.note("questionnaire.versions", "der er ingen versioner", "there are no versions")
        if not self.problems:
            self.connect(found)
        return found

    def connect(self, rules: RuleSet) -> None:
        """Check what the parts say of each other."""
        self.unique("scores", ".code", [one.code for one in rules.scores])
        self.unique("rules", ".id", [one.id for one in rules.rules])
        self.unique("topics", ".id", [one.id for one in rules.topics])
        codes = [output.code for one in rules.scores for output in one.outputs()]
        if len(set(codes)) < len(codes) and not self.problems:
            self.note("scores", "to definitioner giver samme score", "two definitions give the same score")
        for place, rule in enumerate(rules.rules):
            if isinstance(rule, ScoreRule) and rule.score not in codes:
                self.note(f"rules[{place}].score", "scoren er ikke defineret", "the score is not defined")
        seen: set[str] = set()
        for place, topic in enumerate(rules.topics):
            for index, subject in enumerate(topic.subjects):
                path = f"topics[{place}].subjects[{index}]"
                kind, _, name = subject.partition(":")
                if kind not in ("score", "item") or not name:
                    self.note(
                        path, "et emne er score:<kode> eller item:<linkId>", "it is score:<code> or item:<linkId>"
                    )
                elif kind == "score" and name not in codes:
                    self.note(path, "scoren er ikke defineret", "the score is not defined")
                elif subject in seen:
                    self.note(path, "det står allerede under et emne", "it already stands under a topic")
                seen.add(subject)

    def unique(self, path: str, key: str, names: list[str]) -> None:
        seen: set[str] = set()
        for place, name in enumerate(names):
            if name in seen:
                self.note(f"{path}[{place}]{key}", "navnet er brugt før", "the name is used before")
            seen.add(name)

    def approval(self, value: Json, status: Status) -> Approval | None:
        if value is None:
            if status is not Status.DRAFT:
                self.note("approval", "kun en kladde mangler godkendelse", "only a draft has no approval")
            return None
        written = self.mapping(value, "approval", {"by", "at"}, {"by", "at"})
        by, at = self.word(written.get("by"), "approval.by"), self.word(written.get("at"), "approval.at")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = datetime.min  # noqa: DTZ901 - stands in for a moment that is refused below
        if moment.tzinfo is None:
            self.note("approval.at", "tidspunktet mangler dato, tid eller tidszone", "it lacks date, time or time zone")
        return Approval(by, moment)

    def score(self, value: Json, path: str) -> ScoreDefinition:
        kind = value.get("kind") if isinstance(value, dict) else None
        match kind:
            case "instrument":
                return self.instrument_score(value, path)
            case "sum" | "mean":
                return self.total_score(value, path, mean=kind == "mean")
            case "item" | "calculated":
                keys = {"code", "kind", "label", "item", "unit", "minimum", "maximum"}
                one = self.mapping(value, path, keys, {"code", "label", "item"})
                return AnswerScore(
                    code=self.word(one.get("code"), f"{path}.code"),
                    label=self.text(one.get("label"), f"{path}.label"),
                    item=self.word(one.get("item"), f"{path}.item"),
                    calculated=kind == "calculated",
                    unit=self.unit(one.get("unit"), f"{path}.unit"),
                    minimum=self.bound(one, path, "minimum"),
                    maximum=self.bound(one, path, "maximum"),
                )
        self.note(
            f"{path}.kind",
            "arten er ikke instrument, sum, mean, item eller calculated",
            "the kind is not instrument, sum, mean, item or calculated",
        )
        return AnswerScore(code="", label=_NOWHERE, item="", calculated=False)

    def total_score(self, value: Json, path: str, *, mean: bool) -> TotalScore:
        keys = {"code", "kind", "label", "items", "missing", "factor", "unit", "minimum", "maximum"}
        one = self.mapping(value, path, keys, {"code", "label", "items", "missing"})
        items = self.parts(one.get("items"), f"{path}.items", self.word)
        if not items:
            self.note(f"{path}.items", "der er ingen spørgsmål", "there are no items", absent=True)
        self.unique(f"{path}.items", "", list(items))
        written = self.mapping(one.get("missing"), f"{path}.missing", {"rule", "atLeast"}, {"rule"})
        missing = self.one_of(written.get("rule"), f"{path}.missing.rule", Missing)
        at_least = len(items)
        if {f"{path}.missing.rule", f"{path}.items"} & self.places:
            pass
        elif missing is not Missing.REFUSE:
            number = number_of(written.get("atLeast"))
            if number is None or not 1 <= number <= len(items) or number != int(number):
                self.note(
                    f"{path}.missing.atLeast",
                    "det er ikke et antal mellem 1 og antallet af spørgsmål",
                    "it is not a count between 1 and the number of items",
                )
            else:
                at_least = int(number)
        elif "atLeast" in written:
            self.note(f"{path}.missing.atLeast", "refuse kræver alle svar", "refuse needs every answer")
        factor = self.number(one["factor"], f"{path}.factor") if "factor" in one else Decimal(1)
        return TotalScore(
            code=self.word(one.get("code"), f"{path}.code"),
            label=self.text(one.get("label"), f"{path}.label"),
            mean=mean,
            items=items,
            missing=missing,
            at_least=at_least,
            factor=factor,
            unit=self.unit(one.get("unit"), f"{path}.unit"),
            minimum=self.bound(one, path, "minimum"),
            maximum=self.bound(one, path, "maximum"),
        )

    def instrument_score(self, value: Json, path: str) -> InstrumentScore:
        keys = {"code", "kind", "label", "instrument", "scale", "inputs", "conversion"}
        one = self.mapping(value, path, keys, {"code", "instrument", "inputs"})
        written = self.mapping(one.get("inputs"), f"{path}.inputs", None, set())
        inputs = {name: self.word(link_id, f"{path}.inputs") for name, link_id in written.items()}
        scale = self.word(one["scale"], f"{path}.scale") if "scale" in one else None
        name = self.word(one.get("instrument"), f"{path}.instrument")
        conversion = None
        try:
            instrument = instruments.get(name)
        except NotFound:
            self.note(f"{path}.instrument", "instrumentet kendes ikke", "the instrument is not known")
        else:
            self.check_inputs(instrument, scale, inputs, path)
            if "label" in one and scale is None and len(instrument.scales) > 1:
                self.note(f"{path}.label", "en betegnelse hører til én skala", "a label goes with one scale")
            conversion = self.conversion(one["conversion"], path, instrument) if "conversion" in one else None
        return InstrumentScore(
            code=self.word(one.get("code"), f"{path}.code"),
            label=self.text(one["label"], f"{path}.label") if "label" in one else None,
            instrument=name,
            scale=scale,
            inputs=inputs,
            conversion=conversion,
        )

    def check_inputs(self, instrument: Instrument, scale: str | None, inputs: dict[str, str], path: str) -> None:
        known = {one.name for one in instrument.inputs}
        if scale is None:
            needed = known
        else:
            needed = {name for one in instrument.scales if one.code == scale for name in one.inputs}
            if not needed:
                self.note(f"{path}.scale", "instrumentet har ikke den skala", "the instrument has no such scale")
        for name in sorted(needed - set(inputs)):
            self.note(f"{path}.inputs.{name}", "svaret er ikke knyttet til et spørgsmål", "the input has no linkId")
        if set(inputs) - known:
            self.note(f"{path}.inputs", "instrumentet har ikke et af svarene", "the instrument lacks one of the inputs")
        elif len(set(inputs.values())) < len(inputs):
            self.note(f"{path}.inputs", "et spørgsmål er brugt to gange", "a linkId is used twice")

    def conversion(self, value: Json, path: str, instrument: Instrument) -> ConversionTable:
        place = f"{path}.conversion"
        written = self.mapping(value, place, {"source", "scales"}, {"source", "scales"})
        scales: dict[str, dict[str, Decimal]] = {}
        for code, rows in self.mapping(written.get("scales"), f"{place}.scales", None, set()).items():
            here = f"{place}.scales.{code}" if code in instrument.conversions else f"{place}.scales"
            scales[code] = {key: self.number(cell, here) for key, cell in self.mapping(rows, here, None, set()).items()}
        table = ConversionTable(self.word(written.get("source"), f"{place}.source"), scales)
        for where, message in instrument.check_table(table):
            self.note(f"{path}.{where.replace('table', 'conversion', 1)}", "omregningstabellen er mangelfuld", message)
        return table

    def rule(self, value: Json, path: str) -> Rule:
        about_score = isinstance(value, dict) and "score" in value
        keys = {"id", "score", "intervals"} if about_score else {"id", "item", "intervals", "cases"}
        one = self.mapping(value, path, keys, {"id", "score", "intervals"} if about_score else {"id", "item"})
        name = self.word(one.get("id"), f"{path}.id")
        intervals = self.parts(one["intervals"], f"{path}.intervals", self.interval) if "intervals" in one else ()
        if about_score:
            if not intervals:
                self.note(f"{path}.intervals", "der er ingen intervaller", "there are no intervals")
            return ScoreRule(name, self.word(one.get("score"), f"{path}.score"), intervals)
        cases = self.parts(one["cases"], f"{path}.cases", self.case) if "cases" in one else ()
        if bool(intervals) == bool(cases):
            self.note(path, "der skal være enten intervaller eller svar", "there are either intervals or cases")
        return ItemRule(name, self.word(one.get("item"), f"{path}.item"), intervals, cases)

    def interval(self, value: Json, path: str) -> Interval:
        bounds = {"above", "atLeast", "below", "atMost"}
        one = self.mapping(value, path, bounds | {"colour", "word", "source"}, {"colour", "word", "source"})
        if len({"above", "atLeast"} & set(one)) > 1 or len({"below", "atMost"} & set(one)) > 1:
            self.note(path, "en ende har to grænser", "one end has two bounds")
        if not bounds & set(one):
            self.note(path, "intervallet har ingen grænse", "the interval has no bound")
        low, high = ("atLeast" if "atLeast" in one else "above"), ("atMost" if "atMost" in one else "below")
        found = Interval(
            low=self.number(one[low], f"{path}.{low}") if low in one else None,
            low_included=low == "atLeast",
            high=self.number(one[high], f"{path}.{high}") if high in one else None,
            high_included=high == "atMost",
            colour=self.colour(one.get("colour"), f"{path}.colour"),
            word=self.text(one.get("word"), f"{path}.word"),
            source=self.word(one.get("source"), f"{path}.source"),
        )
        if found.is_empty:
            self.note(path, "intervallet er tomt", "the interval is empty")
        return found

    def case(self, value: Json, path: str) -> Case:
        one = self.mapping(value, path, {"answer", "colour", "word", "source"}, {"answer", "colour", "word", "source"})
        answer = self.mapping(
            one.get("answer"), f"{path}.answer", {"code", "system", "boolean", "text", "answered"}, set()
        )
        if len(set(answer) - {"system"}) != 1 or ("system" in answer and "code" not in answer):
            self.note(
                f"{path}.answer",
                "svaret er ét af code (med system), boolean, text og answered",
                "the answer is one of code (with system), boolean, text and answered",
            )
        return Case(
            colour=self.colour(one.get("colour"), f"{path}.colour"),
            word=self.text(one.get("word"), f"{path}.word"),
            source=self.word(one.get("source"), f"{path}.source"),
            code=self.word(answer["code"], f"{path}.answer.code") if "code" in answer else None,
            system=self.word(answer["system"], f"{path}.answer.system") if "system" in answer else None,
            boolean=self.truth(answer["boolean"], f"{path}.answer.boolean") if "boolean" in answer else None,
            text=self.word(answer["text"], f"{path}.answer.text") if "text" in answer else None,
            answered=self.truth(answer["answered"], f"{path}.answer.answered") if "answered" in answer else None,
        )

    def topic(self, value: Json, path: str) -> Topic:
        one = self.mapping(value, path, {"id", "title", "subjects"}, {"id", "title", "subjects"})
        return Topic(
            id=self.word(one.get("id"), f"{path}.id"),
            title=self.text(one.get("title"), f"{path}.title"),
            subjects=self.parts(one.get("subjects"), f"{path}.subjects", self.word),
        )

    def mapping(self, value: Json, path: str, keys: set[str] | None, needed: set[str]) -> dict[str, Any]:
        """Return the object, with unknown and absent keys noted; ``keys`` is None where any key may stand."""
        if not isinstance(value, dict):
            self.note(path, "det er ikke et objekt", "it is not an object", absent=True)
            return {}
        for key in sorted(needed - set(value)):
            self.note(f"{path}.{key}" if path else key, "det mangler", "it is missing", absent=True)
        if keys is not None and set(value) - keys:
            known = ", ".join(sorted(keys))
            self.note(path, f"der står andet end {known}", f"something else than {known} stands there")
        return value

    def parts(self, value: Json, path: str, read: Callable[[Json, str], _Part]) -> tuple[_Part, ...]:
        if not isinstance(value, list):
            self.note(path, "det er ikke en liste", "it is not a list", absent=True)
            return ()
        return tuple(read(one, f"{path}[{place}]") for place, one in enumerate(value))

    def word(self, value: Json, path: str) -> str:
        if not isinstance(value, str) or not value.strip():
            self.note(path, "det er ikke en tekst", "it is not a text")
            return ""
        return value

    def text(self, value: Json, path: str) -> Text:
        one = self.mapping(value, path, {"da", "en"}, {"da", "en"})
        if not one:
            return _NOWHERE
        return Text(da=self.word(one.get("da"), f"{path}.da"), en=self.word(one.get("en"), f"{path}.en"))

    def unit(self, value: Json, path: str) -> str:
        return "" if value is None else self.word(value, path)

    def truth(self, value: Json, path: str) -> bool:
        if not isinstance(value, bool):
            self.note(path, "det er ikke sandt eller falsk", "it is not true or false")
        return value is True

    def number(self, value: Json, path: str) -> Decimal:
        found = number_of(value)
        if found is not None:
            try:
                return exact.canonical(found)
            except exact.NotExact:
                pass
        self.note(path, "det er ikke et tal inden for grænserne", "it is not a number within the limits")
        return Decimal(0)

    def bound(self, one: Mapping[str, Any], path: str, name: str) -> Decimal | None:
        return self.number(one[name], f"{path}.{name}") if name in one else None

    def colour(self, value: Json, path: str) -> Colour:
        for one in (Colour.GREEN, Colour.YELLOW, Colour.RED):
            if value == one.value:
                return one
        self.note(path, "farven er ikke green, yellow eller red", "the colour is not green, yellow or red")
        return Colour.NOT_INTERPRETED

    def one_of(self, value: Json, path: str, kind: type[_Enum]) -> _Enum:
        for one in kind:
            if value == one.value:
                return one
        known = ", ".join(one.value for one in kind)
        self.note(path, f"det er ikke et af {known}", f"it is not one of {known}")
        return next(iter(kind))


_TOP = {
    "approval",
    "format",
    "id",
    "intendedPurpose",
    "meaning",
    "medicalDeviceClass",
    "questionnaire",
    "rules",
    "scores",
    "status",
    "title",
    "topics",
    "version",
}
