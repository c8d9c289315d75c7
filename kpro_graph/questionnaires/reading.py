"""Reading a FHIR R4 Questionnaire into the engine's model: everything that is wrong is said at once.

What cannot be used at all is refused. Lesser faults become the questionnaire's ``remarks``; errors among them hinder
publishing, not reading. Extensions that are not known here stay in the source, untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from kpro_graph.errors import Rejected
from kpro_graph.questionnaires.document import (
    DocumentRefused,
    Json,
    hash_json,
    items_of,
    mapping_of,
    mappings_of,
    normalise,
    read_json,
    refuse_repeated_keys,
    text_of,
)
from kpro_graph.questionnaires.extensions import Extensions, read_value
from kpro_graph.questionnaires.model import (
    AnswerOption,
    EnableWhen,
    Item,
    ItemType,
    Questionnaire,
    Value,
    ValueSet,
)
from kpro_graph.questionnaires.patterns import PatternInvalid, compile_pattern
from kpro_graph.questionnaires.problems import Problem, make_problem
from kpro_graph.questionnaires.terminology import core_value_sets
from kpro_graph.questionnaires.valuesets import read_translations, read_value_set, read_weight

__all__ = ["OPERATORS", "QuestionnaireInvalid", "read_json", "read_questionnaire", "read_value"]

OPERATORS = frozenset({"exists", "=", "!=", ">", "<", ">=", "<="})
_ITEMS = 10_000
_TYPES = {each.value: each for each in ItemType}
_WITH_OPTIONS = frozenset(
    {
        ItemType.CHOICE,
        ItemType.OPEN_CHOICE,
        ItemType.DECIMAL,
        ItemType.INTEGER,
        ItemType.DATE,
        ItemType.DATE_TIME,
        ItemType.TIME,
        ItemType.STRING,
        ItemType.TEXT,
        ItemType.QUANTITY,
        ItemType.REFERENCE,
    }
)


class QuestionnaireInvalid(Rejected):
    """The questionnaire cannot be read; ``problems`` holds every reason, each with its place."""

    code = "QUESTIONNAIRE_INVALID"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{each.location}: {each.en}" for each in self.problems[:5]))


def read_questionnaire(
    source: bytes | str | Mapping[str, Json], *, value_sets: Iterable[Mapping[str, Json]] = ()
) -> Questionnaire:
    """Read a FHIR R4 Questionnaire, given as JSON text (bytes in UTF-8) or as the parsed document.

    ``value_sets`` are ValueSet and CodeSystem resources that the questionnaire names but does not contain.

    Raises:
        QuestionnaireInvalid: it is no questionnaire, exceeds the limits, or is too faulty to be used.
    """
    try:
        if isinstance(source, bytes | str):
            document = read_json(source)
            refuse_repeated_keys(source)
        else:
            document = normalise(source)
        supporting = [part for each in value_sets if isinstance(part := normalise(each), dict)]
    except DocumentRefused as refusal:
        raise QuestionnaireInvalid(
            [make_problem(refusal.reason, location="Questionnaire", limit=refusal.limit)]
        ) from None
    if not isinstance(document, dict) or document.get("resourceType") != "Questionnaire":
        raise QuestionnaireInvalid([make_problem("not_a_questionnaire", location="Questionnaire")])
    return _Reading(document, supporting).finish()


class _Reading:
    """One reading: the problems and remarks so far, and the items by linkId."""

    def __init__(self, document: dict[str, Any], supporting: list[dict[str, Any]]) -> None:
        self.document = document
        self.supporting = supporting
        self.problems: list[Problem] = []
        self.remarks: list[Problem] = []
        self.by_link_id: dict[str, Item] = {}
        self.order: list[str] = []
        self.seen: set[str] = set()
        self.count = 0
        self.outside: set[str] = set()

    def finish(self) -> Questionnaire:
        document = self.document
        self.expect(document, "Questionnaire", _TOP)
        items = self.read_items(document, "Questionnaire", parent=None, path="", depth=0)
        if self.count > _ITEMS:
            self.problems.append(make_problem("items_too_many", location="Questionnaire", limit=_ITEMS))
        if self.problems:
            raise QuestionnaireInvalid(self.problems)
        by_link_id = {link_id: self.by_link_id[link_id] for link_id in self.order}
        extensions = Extensions(document, "Questionnaire", self.remark)
        self.judge_conditions(by_link_id)
        period = mapping_of(document, "effectivePeriod")
        title = text_of(document, "title") or ""
        return Questionnaire(
            url=text_of(document, "url") or "",
            version=text_of(document, "version") or "",
            name=text_of(document, "name") or "",
            title=title,
            titles=MappingProxyType(read_translations(document.get("_title"))),
            status=text_of(document, "status") or "",
            language=text_of(document, "language") or "",
            items=items,
            by_link_id=MappingProxyType(by_link_id),
            value_sets=MappingProxyType(self.read_value_sets()),
            content_hash=hash_json(document),
            source=document,
            employee_title=extensions.fut_text("employee-title"),
            usage=extensions.fut_text("usage"),
            effective_start=text_of(period, "start") or "",
            effective_end=text_of(period, "end") or "",
            variables=extensions.variables(),
            constraints=extensions.constraints(),
            outside=frozenset(self.outside | extensions.outside()),
            remarks=tuple(self.remarks),
        )

    def remark(self, code: str, location: str, link_id: str = "", /, **parameters: Any) -> None:
        self.remarks.append(make_problem(code, link_id, link_id, location, **parameters))

    def refuse(self, code: str, location: str, link_id: str = "", /, **parameters: Any) -> None:
        self.problems.append(make_problem(code, link_id, link_id, location, **parameters))

    def expect(self, element: Mapping[str, Any], location: str, shapes: Mapping[str, type], link_id: str = "") -> None:
        """Refuse each element of the wrong JSON shape, which would otherwise be read as absent."""
        for name, shape in shapes.items():
            if name in element:
                part = element[name]
                if type(part) is not shape or (
                    isinstance(part, list) and not all(isinstance(each, dict) for each in part)
                ):
                    self.refuse("malformed", location, link_id, element=name)

    def read_items(
        self, above: Mapping[str, Any], place: str, *, parent: str | None, path: str, depth: int
    ) -> tuple[Item, ...]:
        items: list[Item] = []
        for index, source in enumerate(items_of(above, "item")):
            location = f"{place}.item[{index}]"
            if isinstance(source, dict):
                item = self.read_item(source, location, parent, path, depth)
                if item is not None:
                    items.append(item)
        return tuple(items)

    def read_item(
        self, source: dict[str, Any], location: str, parent: str | None, above: str, depth: int
    ) -> Item | None:
        position = self.count
        self.count += 1
        link_id = text_of(source, "linkId") or ""
        path = f"{above}/{link_id}" if above else link_id
        self.expect(source, location, _ITEM, path)
        if not link_id:
            self.refuse("link_id_missing", location, path)
        elif link_id in self.seen:
            self.refuse("link_id_duplicate", location, link_id)
        else:
            self.order.append(link_id)
        self.seen.add(link_id)
        written = source.get("type")
        item_type = _TYPES.get(written) if isinstance(written, str) else None
        if item_type is None:
            unknown = "item_type_unknown" if isinstance(written, str) else "questionnaire_item_without_type"
            self.refuse(unknown, location, link_id)
        children = self.read_items(source, location, parent=link_id or None, path=path, depth=depth + 1)
        if not link_id or item_type is None or self.problems:
            return None
        item = self.build(source, item_type, link_id, location, parent, children, position, depth)
        self.by_link_id[link_id] = item
        return item

    def build(
        self,
        source: dict[str, Any],
        item_type: ItemType,
        link_id: str,
        location: str,
        parent: str | None,
        children: tuple[Item, ...],
        position: int,
        depth: int,
    ) -> Item:
        def remark(code: str, place: str, /, **parameters: Any) -> None:
            self.remark(code, place, link_id, **parameters)

        extensions = Extensions(source, location, remark)
        self.outside |= extensions.outside()
        options = tuple(
            option
            for index, each in enumerate(mappings_of(source, "answerOption"))
            if (option := self.read_option(each, f"{location}.answerOption[{index}]", link_id)) is not None
        )
        initial = tuple(value for each in mappings_of(source, "initial") if (value := read_value(each)) is not None)
        enable_when = tuple(
            condition
            for index, each in enumerate(mappings_of(source, "enableWhen"))
            if (condition := self.read_enable_when(each, f"{location}.enableWhen[{index}]", link_id)) is not None
        )
        behaviour = text_of(source, "enableBehavior")
        if len(mappings_of(source, "enableWhen")) > 1 and behaviour not in ("all", "any"):
            remark("que_12_missing_enableBehavior", location)
        regex = extensions.regex()
        if regex:
            try:
                compile_pattern(regex)
            except PatternInvalid as invalid:
                remark("regex_invalid", location, reason=str(invalid))
        self.judge_invariants(source, item_type, children, options, location, link_id)
        min_occurs, max_occurs = (
            extensions.whole("questionnaire-minOccurs"),
            extensions.whole("questionnaire-maxOccurs"),
        )
        max_length = source.get("maxLength")
        help_text, help_xhtml = extensions.help_text()
        if not help_text:
            help_text = next((each.text for each in children if "help" in each.controls), "")
        return Item(
            link_id=link_id,
            type=item_type,
            text=text_of(source, "text") or "",
            texts=MappingProxyType(read_translations(source.get("_text"))),
            prefix=text_of(source, "prefix") or "",
            short_text=extensions.short_text(),
            help_text=help_text,
            help_xhtml=help_xhtml,
            definition=text_of(source, "definition") or "",
            codes=tuple(Value("Coding", dict(each)) for each in mappings_of(source, "code")),
            required=source.get("required") is True,
            repeats=source.get("repeats") is True,
            read_only=source.get("readOnly") is True,
            hidden=extensions.flag("questionnaire-hidden"),
            options=options,
            value_set=text_of(source, "answerValueSet") or "",
            enable_when=enable_when,
            enable_behavior="all" if behaviour == "all" else "any",
            enable_expression=extensions.sdc_expression("enableWhenExpression"),
            calculated=extensions.sdc_expression("calculatedExpression"),
            initial=initial,
            initial_expression=extensions.sdc_expression("initialExpression"),
            answer_expression=extensions.sdc_expression("answerExpression"),
            toggles=extensions.toggles(),
            variables=extensions.variables(),
            constraints=extensions.constraints(),
            min_length=extensions.whole("minLength"),
            max_length=max_length if isinstance(max_length, int) else None,
            regex=regex,
            max_decimal_places=extensions.whole("maxDecimalPlaces"),
            min_value=extensions.bound("minValue"),
            max_value=extensions.bound("maxValue"),
            min_quantity=extensions.bound("sdc-questionnaire-minQuantity"),
            max_quantity=extensions.bound("sdc-questionnaire-maxQuantity"),
            min_occurs=min_occurs,
            max_occurs=max_occurs,
            unit=next(iter(extensions.codings("questionnaire-unit")), None),
            unit_options=extensions.codings("questionnaire-unitOption"),
            unit_value_set=extensions.text("questionnaire-unitValueSet"),
            unit_open=extensions.text("sdc-questionnaire-unitOpen"),
            mime_types=extensions.texts("mimeType"),
            max_size=extensions.number("maxSize"),
            reference_types=extensions.texts("questionnaire-referenceResource"),
            controls=extensions.controls(),
            slider_step=extensions.slider_step(),
            feedback=extensions.feedback(),
            significances=extensions.significances(),
            is_copyright=extensions.is_copyright(),
            image=extensions.image(),
            children=children,
            parent=parent,
            position=position,
            depth=depth,
            location=location,
            source=source,
        )

    def read_option(self, source: Mapping[str, Any], location: str, link_id: str) -> AnswerOption | None:
        value = read_value(source)
        if value is None:
            self.remark("malformed", location, link_id, element="value[x]")
            return None
        extensions = Extensions(source, location, lambda *_, **__: None)
        coding = value.value if isinstance(value.value, Mapping) else {}
        primitive: object = next((part for key, part in source.items() if key.startswith("_value")), {})
        text = value.display if value.kind == "Coding" else value.value if value.kind == "string" else None
        texts = read_translations(coding.get("_display")) or read_translations(primitive)
        return AnswerOption(
            value=value,
            weight=read_weight(source, coding, primitive),
            exclusive=extensions.flag("questionnaire-optionExclusive"),
            initially_selected=source.get("initialSelected") is True,
            text=text if isinstance(text, str) else "",
            texts=MappingProxyType(texts),
            prefix=extensions.text("questionnaire-optionPrefix"),
            image=extensions.image(),
            source=source,
        )

    def read_enable_when(self, source: Mapping[str, Any], location: str, link_id: str) -> EnableWhen | None:
        question, operator = text_of(source, "question"), text_of(source, "operator")
        answer = read_value(source, "answer")
        sound = bool(question) and operator in OPERATORS and answer is not None
        if sound and operator == "exists" and answer is not None:
            sound = isinstance(answer.value, bool)
        if not sound or question is None or operator is None or answer is None:
            self.refuse("enable_when_malformed", location, link_id)
            return None
        return EnableWhen(question, operator, answer)

    def judge_invariants(
        self,
        source: Mapping[str, Any],
        item_type: ItemType,
        children: tuple[Item, ...],
        options: tuple[AnswerOption, ...],
        location: str,
        link_id: str,
    ) -> None:
        """Remark on the broken invariants of R4 that leave the meaning clear."""
        if (item_type is ItemType.GROUP and not children) or (item_type is ItemType.DISPLAY and children):
            self.remark("que_1", location, link_id)
        has_options = "answerOption" in source
        if has_options and "answerValueSet" in source:
            self.remark("que_4", location, link_id)
        if (has_options or "answerValueSet" in source) and item_type not in _WITH_OPTIONS:
            self.remark("que_5", location, link_id)
        if has_options and "initial" in source:
            self.remark("que_11", location, link_id)
        if len(items_of(source, "initial")) > 1 and source.get("repeats") is not True:
            self.remark("que_13", location, link_id)
        if len({option.value.key for option in options}) != len(options):
            self.remark("option_duplicate", location, link_id)

    def judge_conditions(self, by_link_id: Mapping[str, Item]) -> None:
        for item in by_link_id.values():
            for index, condition in enumerate(item.enable_when):
                location = f"{item.location}.enableWhen[{index}]"
                asked = by_link_id.get(condition.question)
                if asked is None:
                    self.remark("enable_when_question_unknown", location, item.link_id)
                elif _contains(by_link_id, item, asked):
                    self.remark("enable_when_self", location, item.link_id)

    def read_value_sets(self) -> dict[str, ValueSet]:
        """Return the value sets at hand under every name they may be referred to by."""
        contained = mappings_of(self.document, "contained")
        resources = [*self.supporting, *contained]
        code_systems = [each for each in resources if each.get("resourceType") == "CodeSystem"]
        sources: dict[str, Mapping[str, Any]] = {}
        for source in resources:
            if source.get("resourceType") != "ValueSet":
                continue
            url, version, own = (text_of(source, name) for name in ("url", "version", "id"))
            if url:
                sources[url] = source
                if version:
                    sources[f"{url}|{version}"] = source
            if own and any(source is each for each in contained):
                sources[f"#{own}"] = source
        found: dict[int, ValueSet | None] = {}

        def find(reference: str) -> ValueSet | None:
            source = sources.get(reference) or sources.get(reference.partition("|")[0])
            if source is None:
                return core_value_sets().get(reference.partition("|")[0])
            if id(source) not in found:
                found[id(source)] = None  # a set that is taken from itself is not at hand while it is read
                found[id(source)] = read_value_set(source, code_systems, find)
            return found[id(source)]

        return {name: value_set for name in sources if (value_set := find(name)) is not None}


def _contains(by_link_id: Mapping[str, Item], item: Item, other: Item) -> bool:
    above: Item | None = other
    while above is not None:
        if above is item:
            return True
        above = by_link_id[above.parent] if above.parent else None
    return False


_TOP: dict[str, type] = {
    "url": str,
    "version": str,
    "name": str,
    "title": str,
    "status": str,
    "language": str,
    "item": list,
    "extension": list,
    "contained": list,
    "effectivePeriod": dict,
}
_ITEM: dict[str, type] = {
    "linkId": str,
    "text": str,
    "prefix": str,
    "item": list,
    "extension": list,
    "required": bool,
    "repeats": bool,
    "readOnly": bool,
    "maxLength": int,
    "code": list,
    "answerOption": list,
    "answerValueSet": str,
    "initial": list,
    "enableWhen": list,
    "enableBehavior": str,
}
