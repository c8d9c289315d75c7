"""Assistance: staff type what a citizen answers, with the citizen beside them."""

from __future__ import annotations

from typing import Annotated

import strawberry

from kpro_graph import responses
from kpro_graph.execution import one
from kpro_graph.execution.ids import decode
from kpro_graph.responses import AnsweredBy
from kpro_graph.schema.failures import AssignmentClosed, ConsentMissing, UnknownReference, rejecting
from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["AssistanceMutations"]


@strawberry.input(description="What is to be typed for a citizen, and whose answers they are.")
class StartAssistedAnsweringInput:
    """Input of startAssistedAnswering."""

    assignment_id: strawberry.ID = strawberry.field(description="An open assignment of a citizen of your care teams.")
    answered_by: AnsweredBy = strawberry.field(description="Who answers; start again when that changes.")


@strawberry.input(description="Where to stop typing.")
class StopAssistedAnsweringInput:
    """Input of stopAssistedAnswering."""

    assignment_id: strawberry.ID = strawberry.field(description="An assignment you are typing for a citizen.")


@strawberry.type(description="The draft; while you type for the citizen, you see it and save and submit it.")
class AssistedAnswering:
    """Success of startAssistedAnswering and stopAssistedAnswering."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    response: QuestionnaireResponse | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The draft; null once you have stopped."
    )


@strawberry.type
class AssistanceMutations:
    """Changes of who types."""

    @strawberry.mutation(
        description="Begin to type a citizen's answers, or go on with what they have begun: then saveAnswer and "
        "submitResponse are yours as well. Role: Monitoreringsmedhjælper, in own care teams with the citizen's consent."
    )
    @rejecting
    async def start_assisted_answering(
        self,
        info: strawberry.Info,
        input: Annotated[StartAssistedAnsweringInput, strawberry.argument(description="What, and whose answers.")],
    ) -> Annotated[
        AssistedAnswering | UnknownReference | ConsentMissing | AssignmentClosed,
        strawberry.union("StartAssistedAnsweringResult", description="The draft, or why there is none."),
    ]:
        """Begin to type."""
        async with info.context.change() as change:
            draft = await responses.start(change, decode("asg", input.assignment_id), input.answered_by)
        return AssistedAnswering(municipality_id=draft.municipality_id, key=draft.id)

    @strawberry.mutation(
        description="Stop typing a citizen's answers; the draft stays theirs and is no longer seen by you. "
        "Role: Monitoreringsmedhjælper."
    )
    @rejecting
    async def stop_assisted_answering(
        self,
        info: strawberry.Info,
        input: Annotated[StopAssistedAnsweringInput, strawberry.argument(description="Where.")],
    ) -> Annotated[
        AssistedAnswering | UnknownReference,
        strawberry.union("StopAssistedAnsweringResult", description="That you have stopped, or why not."),
    ]:
        """Stop typing."""
        async with info.context.change() as change:
            draft = await responses.stop(change, decode("asg", input.assignment_id))
        return AssistedAnswering(municipality_id=draft.municipality_id, key=draft.id)
