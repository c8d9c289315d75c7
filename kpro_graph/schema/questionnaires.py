"""Questionnaires: what is asked, version by version, ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from kpro_graph import access, catalogue, questionnaires
from kpro_graph.catalogue import QuestionnaireStatus
from kpro_graph.execution import (
    Argument,
    Connection,
    Order,
    Row,
    Term,
    batched,
    by_id,
    column,
    connection,
    node_id,
    one,
)
from kpro_graph.execution.ids import decode
from kpro_graph.questionnaires import AnswerOption, Item, Value
from kpro_graph.schema.failures import NotActive, QuestionnaireRejected, UnknownReference, VersionConflict, rejecting
from kpro_graph.schema.nodes import Node

__all__ = ["Questionnaire", "QuestionnaireMutations", "QuestionnaireQueries"]


@strawberry.type(description="One answer to choose.")
class QuestionnaireAnswerOption:
    """An answer option."""

    system: str | None = strawberry.field(description="The coding's system; null for plain values.")
    code: str | None = strawberry.field(description="The coding's code; null for plain values.")
    value: str = strawberry.field(description="The plain value, or the code.")
    text: str = strawberry.field(description="What the citizen reads, in the questionnaire's own language.")
    text_en: str = strawberry.field(description="The same in English, where it is translated.")
    weight: Decimal | None = strawberry.field(description="What the option counts in scores, where its author says so.")
    exclusive: bool = strawberry.field(description="Whether it rules out every other option.")


@strawberry.type(description="A condition on another question's answers.")
class QuestionnaireEnableWhen:
    """One enableWhen."""

    question: str = strawberry.field(description="The linkId of the question it looks at.")
    operator: str = strawberry.field(description="`exists`, `=`, `!=`, `>`, `<`, `>=` or `<=`.")
    value: str = strawberry.field(description="What its answers are compared with: a code, a number, a text.")


@strawberry.type(description="One question, group or text of a questionnaire. Items come flat, in document order.")
class QuestionnaireItem:
    """An item."""

    link_id: str = strawberry.field(description="The item's id within the questionnaire.")
    path: str = strawberry.field(
        description="Where its answers go, such as `body/pain`; below a repeating group, put the repetition's number "
        "in brackets behind the group, counted from 0: `child[1]/age`."
    )
    parent_link_id: str | None = strawberry.field(description="The item it stands under; null at the top.")
    depth: int = strawberry.field(description="How many items it stands under.")
    type: str = strawberry.field(description="FHIR's item type: group, display, choice, integer, text and so on.")
    prefix: str = strawberry.field(description="What is shown before the text, such as a number; may be empty.")
    text: str = strawberry.field(description="What the citizen reads, in the questionnaire's own language.")
    text_en: str = strawberry.field(description="The same in English, where it is translated.")
    help_text: str = strawberry.field(description="Help to answer; may be empty.")
    required: bool = strawberry.field(description="Whether it must be answered before submitting, when it is enabled.")
    repeats: bool = strawberry.field(description="Whether it can be answered several times.")
    read_only: bool = strawberry.field(description="Whether people may not change it.")
    hidden: bool = strawberry.field(description="Whether it is not shown.")
    max_length: int | None = strawberry.field(description="The longest text; null where there is no limit.")
    minimum: Decimal | None = strawberry.field(description="The lowest number; null where there is no limit.")
    maximum: Decimal | None = strawberry.field(description="The highest number; null where there is no limit.")
    options: list[QuestionnaireAnswerOption] = strawberry.field(description="The answers to choose among.")
    enable_when: list[QuestionnaireEnableWhen] = strawberry.field(description="When the item is asked; empty: always.")
    enable_behavior: str = strawberry.field(description="`all` or `any` of the conditions must hold.")


def _written(value: Value) -> str:
    if value.code is not None:
        return value.code
    return str(value.value).lower() if isinstance(value.value, bool) else str(value.value)


def _option(option: AnswerOption) -> QuestionnaireAnswerOption:
    text = option.text or option.value.display or _written(option.value)
    return QuestionnaireAnswerOption(
        system=option.value.system,
        code=option.value.code,
        value=_written(option.value),
        text=text,
        text_en=option.texts.get("en", text),
        weight=option.weight,
        exclusive=option.exclusive,
    )


def _bound(bound: Any) -> Decimal | None:
    return bound.value.number if bound is not None and bound.value is not None else None


def _item(questionnaire: questionnaires.Questionnaire, item: Item) -> QuestionnaireItem:
    return QuestionnaireItem(
        link_id=item.link_id,
        path=questionnaires.path_of(questionnaire, item.link_id),
        parent_link_id=item.parent,
        depth=item.depth,
        type=item.type.value,
        prefix=item.prefix,
        text=item.text,
        text_en=item.read_text("en"),
        help_text=item.help_text,
        required=item.required,
        repeats=item.repeats,
        read_only=item.read_only,
        hidden=item.hidden,
        max_length=item.max_length,
        minimum=_bound(item.min_value),
        maximum=_bound(item.max_value),
        options=[_option(option) for option in item.options],
        enable_when=[
            QuestionnaireEnableWhen(question=each.question, operator=each.operator, value=_written(each.answer))
            for each in item.enable_when
        ],
        enable_behavior=item.enable_behavior,
    )


async def _items(rows: Sequence[Any], _info: Any) -> list[list[QuestionnaireItem]]:
    parsed = [catalogue.parsed(row.row["content_hash"], row.row["content"]) for row in rows]
    return [[_item(questionnaire, item) for item in questionnaire.walk()] for questionnaire in parsed]


@strawberry.type(description="Et spørgeskema. One version of a questionnaire; an active one never changes.")
class Questionnaire(Node, Row):
    """A questionnaire version."""

    source = access.QUESTIONNAIRE
    prefix = "que"
    group = "questionnaire"

    id: strawberry.ID = node_id("The version's id.")
    url: str = column(description="The canonical url, the same for all versions.")
    version: str = column(description="The version.")
    name: str = column(description="The computer-friendly name.")
    title: str = column(description="The title, in the questionnaire's own language.")
    title_en: str = column(description="The title in English, where it is translated.")
    status: QuestionnaireStatus = column(convert=QuestionnaireStatus, description="Where the version is in its life.")
    national: bool = column(
        "municipality_id", convert=lambda owner: owner == 0, description="Whether it belongs to the national library."
    )
    content_hash: str = column(description="SHA-256 of the canonical content; answers are tied to it.")
    activated_at: datetime | None = column(description="When the version came into use.")
    fhir: str = column("content", description="The FHIR R4 Questionnaire as JSON text, verbatim.")

    items: list[QuestionnaireItem] = batched(
        _items, "content_hash", "content", description="The questions, groups and texts, flat, in document order."
    )


@strawberry.type
class QuestionnaireQueries:
    """Look-ups of questionnaires."""

    questionnaire: Questionnaire | None = one(
        arguments=[by_id("que", "The version's id.")],
        description="A questionnaire version; null when there is none that you may see.",
    )
    questionnaires: Connection[Questionnaire] = connection(
        order=Order((Term("{t}.title", "text"), Term("{t}.version", "text"), Term("{t}.id", "uuid"))),
        arguments=[
            Argument(
                "statuses",
                list[QuestionnaireStatus],
                "{t}.status = ANY({value})",
                "text[]",
                "Only versions in one of these states.",
                lambda statuses: [status.value for status in statuses],
            ),
            Argument("url", str, "{t}.url = {value}", "text", "Only versions of this questionnaire."),
        ],
        description="The national library's questionnaires and your municipality's own, by title and version.",
    )


@strawberry.input(description="A questionnaire to take in.")
class ImportQuestionnaireInput:
    """Input of importQuestionnaire."""

    fhir: str = strawberry.field(description="A FHIR R4 Questionnaire as JSON text; it is kept verbatim.")
    rules: str | None = strawberry.field(default=None, description="Its rule set as JSON text.")


@strawberry.type(description="The version is in the municipality's library, as draft unless it was there already.")
class QuestionnaireImported:
    """Success of importQuestionnaire."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    created: bool = strawberry.field(description="Whether it is new; the same content again changes nothing.")
    questionnaire: Questionnaire | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The version."
    )


@strawberry.input(description="A draft to bring into use.")
class ActivateQuestionnaireInput:
    """Input of activateQuestionnaire."""

    questionnaire_id: strawberry.ID = strawberry.field(description="A draft of your municipality's library.")


@strawberry.type(description="The version is in use and never changes again.")
class QuestionnaireActivated:
    """Success of activateQuestionnaire."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    questionnaire: Questionnaire | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The version."
    )


@strawberry.type
class QuestionnaireMutations:
    """Changes of the catalogue."""

    @strawberry.mutation(
        description="Take a questionnaire version into the municipality's library, as draft. Role: Spørgeskema editor."
    )
    @rejecting
    async def import_questionnaire(
        self,
        info: strawberry.Info,
        input: Annotated[ImportQuestionnaireInput, strawberry.argument(description="What to take in.")],
    ) -> Annotated[
        QuestionnaireImported | QuestionnaireRejected | VersionConflict | UnknownReference,
        strawberry.union("ImportQuestionnaireResult", description="The version, or what is wrong with it."),
    ]:
        """Import a questionnaire."""
        async with info.context.change() as change:
            row, created = await catalogue.install(
                change, input.fhir.encode(), None if input.rules is None else input.rules.encode()
            )
        return QuestionnaireImported(municipality_id=row.municipality_id, key=row.id, created=created)

    @strawberry.mutation(
        description="Bring a draft of the municipality's library into use, once the proof before publishing finds no "
        "fault in it. "
        "Role: Spørgeskema editor."
    )
    @rejecting
    async def activate_questionnaire(
        self,
        info: strawberry.Info,
        input: Annotated[ActivateQuestionnaireInput, strawberry.argument(description="Which draft.")],
    ) -> Annotated[
        QuestionnaireActivated | UnknownReference | NotActive | QuestionnaireRejected,
        strawberry.union("ActivateQuestionnaireResult", description="The version, or why it is not in use."),
    ]:
        """Activate a questionnaire."""
        async with info.context.change() as change:
            row = await catalogue.activate(change, decode("que", input.questionnaire_id))
        return QuestionnaireActivated(municipality_id=row.municipality_id, key=row.id)
