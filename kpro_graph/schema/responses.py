"""Responses: answers, scores, colours and their reasons; drafts saved item by item, submission and amendment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, responses
from kpro_graph.execution import Order, Row, Term, by_id, column, many, node_id, one, stored
from kpro_graph.execution.ids import decode
from kpro_graph.responses import AnsweredBy, Colour, ConfirmedBy, ResponseStatus
from kpro_graph.schema.answers import Answer, AnswerProvenance, AnswerValueInput, as_fhir
from kpro_graph.schema.assignments import Assignment
from kpro_graph.schema.episodes import EpisodeOfCare
from kpro_graph.schema.failures import (
    AlreadySubmitted,
    AnswersRejected,
    AssignmentClosed,
    ConfirmationMissing,
    ConsentMissing,
    OtherVersion,
    Problem,
    ReasonMissing,
    StaleDraft,
    UnknownReference,
    problem,
    rejecting,
)
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import Employee
from kpro_graph.schema.questionnaires import Questionnaire
from kpro_graph.schema.reception import CLEARED, ReceptionDevice

if TYPE_CHECKING:
    from kpro_graph.schema.citizens import Citizen

__all__ = ["QuestionnaireResponse", "ResponseMutations", "ResponseQueries", "Score"]

_PART = {"municipality_id": "municipality_id", "response_id": "id"}
_POSITION = Order((Term("{t}.position", "smallint"), Term("{t}.id", "uuid")))


@strawberry.type(description="One item of a draft, as saved so far.")
class DraftAnswer(Row):
    """A draft answer."""

    source = access.DRAFT_ANSWER
    prefix = "draft"
    group = "answers"

    path: str = column(description="The item's path with repeat indices.")
    fhir: str = column("answer", description="The values as FHIR writes them: a JSON list of `value[x]` objects.")
    revision: int = column(description="Counts the times this item was saved; pass it back to notice others' changes.")
    answered_at: datetime = column(description="When it was last saved.")
    answered_by: AnsweredBy = column("source", convert=AnsweredBy, description="Whose answer it is.")
    typed_by: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "typed_by"},
        description="The employee who typed it; shown to professionals.",
    )


@strawberry.type(description="En score. A figure computed from a response, exactly.")
class Score(Node, Row):
    """A score."""

    source = access.SCORE
    prefix = "sco"
    group = "scores"

    id: strawberry.ID = node_id("The score's id.")
    code: str = column(description="The score's code, such as `who5`.")
    label: str = column(description="What it is, in Danish.")
    label_en: str = column(description="What it is, in English.")
    value: Decimal | None = column(description="The figure; null when something it needs is missing.")
    unit: str | None = column(description="Its unit, if it has one.")
    minimum: Decimal | None = column(description="The lowest figure it can be.")
    maximum: Decimal | None = column(description="The highest figure it can be.")
    explanation: str = column(description="How it came about, as JSON: inputs, formula, source, rule-set version.")
    submitted_at: datetime = column(description="When the response it comes from was submitted.")


@strawberry.type(description="En fortolkning. What a response, or a part of it, calls for, and why.")
class Interpretation(Node, Row):
    """An interpretation."""

    source = access.INTERPRETATION
    prefix = "int"
    group = "colours"

    id: strawberry.ID = node_id("The interpretation's id.")
    subject: str = column(description="What it is about: `response`, `score:CODE` or `item:LINKID`.")
    topic: str = column(description="The heading it is shown under, in Danish; may be empty.")
    topic_en: str = column(description="The same in English.")
    label: str = column(description="What is interpreted, in Danish.")
    label_en: str = column(description="What is interpreted, in English.")
    colour: Colour = column(convert=Colour, description="The colour. Show the word and icon with it.")
    meaning: str = column(description="What the colour is for: `dialogue` to talk about, `triage` to act on.")
    word: str = column(description="The colour's word, in Danish.")
    word_en: str = column(description="The colour's word, in English.")
    icon: str = column(description="The key of the icon to show.")
    reason: str = column(description="Why, in one Danish sentence.")
    reason_en: str = column(description="Why, in one English sentence.")
    explanation: str = column(description="Why, as JSON: rule, inputs, threshold and its source, rule-set version.")


@strawberry.type(description="En besvarelse. A citizen's answers to one exact version of a questionnaire.")
class QuestionnaireResponse(Node, Row):
    """A response."""

    source = access.RESPONSE
    prefix = "res"
    group = "response"

    id: strawberry.ID = node_id("The response's id.")
    status: ResponseStatus = column(convert=ResponseStatus, description="Its state.")
    version: int = column(description="1 for the first; an amendment has the next number.")
    superseded: bool = column(description="Whether a later amendment has replaced it.")
    submitted_at: datetime | None = column(description="When it was submitted; null while a draft.")
    receipt: str | None = column(description="The receipt the citizen got; null while a draft.")
    amend_reason: str | None = column(
        allowed=access.may_have_answers, description="Why it was amended; null for a first version."
    )
    colour: Colour | None = column(
        group="colours",
        convert=Colour,
        allowed=access.may_see_colours,
        shown=access.colour_shown,
        description="What the whole response calls for: the worst of its interpretations. Null where it is not shown "
        "to you: a citizen sees it in episodes where staff have decided so.",
    )
    answered_by: AnsweredBy = column("source", convert=AnsweredBy, description="Who answered.")
    typed_by: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "typed_by"},
        description="The employee who typed for whoever answered; shown to professionals.",
    )
    confirmed_by: ConfirmedBy | None = column(
        convert=ConfirmedBy,
        description="Who found right what an employee typed; null where none did, and while a draft.",
    )
    confirmed_at: datetime | None = column(description="When that was confirmed.")
    provenance: list[AnswerProvenance] = stored(
        "provenance",
        group="answers",
        allowed=access.may_have_answers,
        description="Who gave and who typed each answer, where an employee typed any; empty otherwise.",
    )
    reception_device: ReceptionDevice | None = one(
        by={"municipality_id": "municipality_id", "id": "device_id"},
        description="The reception computer it was submitted at; shown to those who know the computer.",
    )
    answers: list[Answer] = stored(
        "answers",
        group="answers",
        allowed=access.may_have_answers,
        description="The answers, in the questionnaire's order; empty while a draft.",
    )
    scores: list[Score] = many(by=_PART, order=_POSITION, description="Its scores, for those who may have them.")
    interpretations: list[Interpretation] = many(
        by=_PART, order=_POSITION, description="Its colours with their reasons, for those who may have them."
    )
    draft_answers: list[DraftAnswer] = many(
        by=_PART,
        order=Order((Term("{t}.path", "text"), Term("{t}.id", "uuid"))),
        maximum=2000,
        description="The items saved so far, while a draft; the citizen sees them, and who is typing for them.",
    )
    questionnaire: Questionnaire | None = one(
        by={"municipality_id": "questionnaire_owner", "id": "questionnaire_id"},
        description="The exact version that was answered.",
    )
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"}, description="Who answered."
    )
    episode_of_care: EpisodeOfCare | None = one(
        by={"municipality_id": "municipality_id", "id": "episode_id"}, description="The episode it belongs to."
    )
    assignment: Assignment | None = one(
        by={"municipality_id": "municipality_id", "id": "assignment_id"}, description="The assignment it answers."
    )
    amends: Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")] | None = one(
        by={"municipality_id": "municipality_id", "id": "amends_id"},
        description="The version it replaces; null for a first version.",
    )


@strawberry.type
class ResponseQueries:
    """Look-ups of responses."""

    questionnaire_response: QuestionnaireResponse | None = one(
        arguments=[by_id("res", "The response's id.")],
        description="A response; null when there is none that you may see.",
    )


@strawberry.input(description="One item's answer, to be saved in the draft.")
class SaveAnswerInput:
    """Input of saveAnswer."""

    assignment_id: strawberry.ID = strawberry.field(
        description="One of your own open assignments, or one you are typing for a citizen."
    )
    questionnaire_id: strawberry.ID = strawberry.field(description="The questionnaire version you are showing.")
    path: str = strawberry.field(description="The item's path, as the questionnaire gives it.")
    values: list[AnswerValueInput] = strawberry.field(description="The values; none clears the answer.")
    revision: int | None = strawberry.field(
        default=None, description="The revision your change is based on, 0 for none; left out, the last one wins."
    )


@strawberry.type(description="The answer is saved.")
class AnswerSaved:
    """Success of saveAnswer."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    path: str = strawberry.field(description="The item's path.")
    revision: int = strawberry.field(description="The item's revision now.")
    enabled_link_ids: list[str] = strawberry.field(description="The items to ask, given the answers so far.")
    problems: list[Problem] = strawberry.field(description="What submitting now would meet; drafts may be incomplete.")
    response: QuestionnaireResponse | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The draft."
    )


@strawberry.input(description="A draft to submit.")
class SubmitResponseInput:
    """Input of submitResponse."""

    assignment_id: strawberry.ID = strawberry.field(
        description="One of your own assignments, or one you are typing for a citizen."
    )
    questionnaire_id: strawberry.ID = strawberry.field(description="The questionnaire version that was answered.")
    idempotency_key: str = strawberry.field(
        description="8 to 200 characters of your choice; the same key again returns the first result."
    )
    confirmed_by: ConfirmedBy | None = strawberry.field(
        default=None, description="Who confirmed what you typed for a citizen; left out by whoever answers themselves."
    )


@strawberry.type(description="The response is checked, scored and kept.")
class ResponseSubmitted:
    """Success of submitResponse."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    receipt: str = strawberry.field(description="A receipt the citizen can write down or read aloud.")
    repeated: bool = strawberry.field(description="Whether this key had been used before and nothing new was stored.")
    response: QuestionnaireResponse | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The response."
    )


@strawberry.input(description="A submitted response to amend.")
class AmendResponseInput:
    """Input of amendResponse."""

    response_id: strawberry.ID = strawberry.field(description="The latest version of one of your own responses.")
    reason: str = strawberry.field(description="Why it is amended, for those who read it.")


@strawberry.type(description="A draft with the former answers is open; submit it to replace them.")
class AmendmentOpened:
    """Success of amendResponse."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    response: QuestionnaireResponse | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The draft."
    )


@strawberry.type
class ResponseMutations:
    """Changes of responses."""

    @strawberry.mutation(
        description="Save one item's answer in the draft of an assignment. "
        "Roles: the citizen; Monitoreringsmedhjælper while typing for them."
    )
    @rejecting
    async def save_answer(
        self,
        info: strawberry.Info,
        input: Annotated[SaveAnswerInput, strawberry.argument(description="What was answered.")],
    ) -> Annotated[
        AnswerSaved | AnswersRejected | UnknownReference | AssignmentClosed | OtherVersion | StaleDraft,
        strawberry.union("SaveAnswerResult", description="The saved answer, or why it was not saved."),
    ]:
        """Save an answer."""
        values = [as_fhir(value, f"values[{n}]") for n, value in enumerate(input.values)]
        async with info.context.change() as change:
            saved = await responses.save_answer(
                change,
                decode("asg", input.assignment_id),
                decode("que", input.questionnaire_id),
                input.path,
                values,
                input.revision,
            )
        return AnswerSaved(
            municipality_id=saved.response.municipality_id,
            key=saved.response.id,
            path=saved.path,
            revision=saved.revision,
            enabled_link_ids=list(saved.enabled),
            problems=[problem(each) for each in saved.problems],
        )

    @strawberry.mutation(
        description="Submit the draft: it is checked against its exact version, scored, interpreted and kept for good. "
        "Roles: the citizen; Monitoreringsmedhjælper while typing for them, once it is confirmed."
    )
    @rejecting
    async def submit_response(
        self,
        info: strawberry.Info,
        input: Annotated[SubmitResponseInput, strawberry.argument(description="Which draft.")],
    ) -> Annotated[
        ResponseSubmitted
        | AnswersRejected
        | UnknownReference
        | AlreadySubmitted
        | AssignmentClosed
        | OtherVersion
        | ConsentMissing
        | ConfirmationMissing,
        strawberry.union("SubmitResponseResult", description="The receipt, or why nothing was stored."),
    ]:
        """Submit a response."""
        async with info.context.change() as change:
            submitted = await responses.submit(
                change,
                decode("asg", input.assignment_id),
                decode("que", input.questionnaire_id),
                input.idempotency_key,
                input.confirmed_by,
            )
        if submitted.ended:
            info.context.viewer.headers.update(CLEARED)
        row = submitted.response
        return ResponseSubmitted(
            municipality_id=row.municipality_id, key=row.id, receipt=row.receipt, repeated=submitted.repeated
        )

    @strawberry.mutation(
        description="Open a draft that starts from a submitted response and will replace it. For the citizen."
    )
    @rejecting
    async def amend_response(
        self,
        info: strawberry.Info,
        input: Annotated[AmendResponseInput, strawberry.argument(description="Which response, and why.")],
    ) -> Annotated[
        AmendmentOpened | UnknownReference | AssignmentClosed | ReasonMissing,
        strawberry.union("AmendResponseResult", description="The draft, or why none was opened."),
    ]:
        """Open an amendment."""
        async with info.context.change() as change:
            draft = await responses.amend(change, decode("res", input.response_id), input.reason)
        return AmendmentOpened(municipality_id=draft.municipality_id, key=draft.id)
