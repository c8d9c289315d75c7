"""Assignments: questionnaires given to citizens."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access, assignments
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.execution import Condition, Row, by_id, column, node_id, one
from kpro_graph.execution.ids import decode
from kpro_graph.schema.episodes import EpisodeOfCare
from kpro_graph.schema.failures import ConsentMissing, DueDateInvalid, NotActive, UnknownReference, rejecting
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.organisation import Employee
from kpro_graph.schema.questionnaires import Questionnaire

if TYPE_CHECKING:
    from kpro_graph.schema.citizens import Citizen
    from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = ["Assignment", "AssignmentMutations", "AssignmentQueries"]

_HELD = {"municipality_id": "municipality_id", "assignment_id": "id"}


@strawberry.type(description="En tildeling. A questionnaire given to a citizen to answer.")
class Assignment(Node, Row):
    """An assignment."""

    source = access.ASSIGNMENT
    prefix = "asg"
    group = "assignment"

    id: strawberry.ID = node_id("The assignment's id.")
    status: AssignmentStatus = column(convert=AssignmentStatus, description="How far it has come.")
    assigned_at: datetime = column(description="When the questionnaire was assigned.")
    due_at: datetime | None = column(description="When it should be answered by; null where no time is set.")
    completed_at: datetime | None = column(description="When the answers were submitted.")
    assigned_by: Employee | None = one(
        by={"municipality_id": "municipality_id", "id": "assigned_by"},
        description="Who assigned it; shown to professionals.",
    )
    questionnaire: Questionnaire | None = one(
        by={"municipality_id": "questionnaire_owner", "id": "questionnaire_id"},
        description="The exact version to answer.",
    )
    citizen: Annotated["Citizen", strawberry.lazy("kpro_graph.schema.citizens")] | None = one(
        by={"municipality_id": "municipality_id", "id": "citizen_id"}, description="Who is to answer."
    )
    episode_of_care: EpisodeOfCare | None = one(
        by={"municipality_id": "municipality_id", "id": "episode_id"}, description="The episode it belongs to."
    )
    draft: Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")] | None = one(
        by=_HELD,
        where=Condition("{t}.status = 'in-progress'"),
        description="The answers saved so far; only the citizen sees them.",
    )
    response: Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")] | None = one(
        by=_HELD,
        where=Condition("{t}.submitted_at IS NOT NULL AND NOT {t}.superseded"),
        description="The submitted response, in its latest version.",
    )


@strawberry.type
class AssignmentQueries:
    """Look-ups of assignments."""

    assignment: Assignment | None = one(
        arguments=[by_id("asg", "The assignment's id.")],
        description="An assignment; null when there is none that you may see.",
    )


@strawberry.input(description="What is assigned, and in which episode.")
class AssignQuestionnaireInput:
    """Input of assignQuestionnaire."""

    episode_of_care_id: strawberry.ID = strawberry.field(description="An active episode of care of your own units.")
    questionnaire_id: strawberry.ID = strawberry.field(description="An active questionnaire version.")
    due_at: datetime | None = strawberry.field(
        default=None, description="When it should be answered by, with time zone."
    )


@strawberry.type(description="The questionnaire is assigned; the citizen sees it now.")
class QuestionnaireAssigned:
    """Success of assignQuestionnaire."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    assignment: Assignment | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The new assignment."
    )


@strawberry.type
class AssignmentMutations:
    """Changes of assignments."""

    @strawberry.mutation(description="Assign a questionnaire to the citizen of an episode. Role: Borgeropretter.")
    @rejecting
    async def assign_questionnaire(
        self,
        info: strawberry.Info,
        input: Annotated[AssignQuestionnaireInput, strawberry.argument(description="What is assigned, and where.")],
    ) -> Annotated[
        QuestionnaireAssigned | UnknownReference | NotActive | ConsentMissing | DueDateInvalid,
        strawberry.union("AssignQuestionnaireResult", description="The assignment, or why there is none."),
    ]:
        """Assign a questionnaire."""
        async with info.context.change() as change:
            row = await assignments.assign(
                change, decode("epi", input.episode_of_care_id), decode("que", input.questionnaire_id), input.due_at
            )
        return QuestionnaireAssigned(municipality_id=row.municipality_id, key=row.id)
