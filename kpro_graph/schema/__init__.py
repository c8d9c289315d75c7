"""The GraphQL schema: one page per noun, put together here."""

from __future__ import annotations

import strawberry
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from kpro_graph.execution.limits import Limits
from kpro_graph.schema.access_log import AccessLogQueries
from kpro_graph.schema.assignments import Assignment, AssignmentMutations, AssignmentQueries
from kpro_graph.schema.assistance import AssistanceMutations
from kpro_graph.schema.citizens import Citizen, CitizenMutations, CitizenQueries
from kpro_graph.schema.emergencies import EmergencyAccess, EmergencyMutations, EmergencyQueries
from kpro_graph.schema.entry import Bounding, KproSchema, Naming
from kpro_graph.schema.episodes import EpisodeMutations, EpisodeOfCare, EpisodeQueries
from kpro_graph.schema.handovers import HandOver, HandOverMutations, HandOverQueries
from kpro_graph.schema.nodes import NodeQueries
from kpro_graph.schema.organisation import CareTeam, CareTeamQueries, Employee, OrganisationUnit
from kpro_graph.schema.questionnaires import Questionnaire, QuestionnaireMutations, QuestionnaireQueries
from kpro_graph.schema.reception import ReceptionDevice, ReceptionMutations, ReceptionQueries
from kpro_graph.schema.representations import Representation, RepresentationMutations
from kpro_graph.schema.responses import (
    Interpretation,
    QuestionnaireResponse,
    ResponseMutations,
    ResponseQueries,
    Score,
)
from kpro_graph.schema.scalars import SCALARS
from kpro_graph.schema.updates import Subscription
from kpro_graph.schema.viewer import ViewerQueries

__all__ = ["make_schema"]


@strawberry.type(description="What can be asked.")
class Query(
    ViewerQueries,
    AccessLogQueries,
    NodeQueries,
    CareTeamQueries,
    CitizenQueries,
    EpisodeQueries,
    EmergencyQueries,
    HandOverQueries,
    AssignmentQueries,
    QuestionnaireQueries,
    ResponseQueries,
    ReceptionQueries,
):
    """The queries of all pages."""


@strawberry.type(description="What can be changed. Each answers with what became of it or with why nothing did.")
class Mutation(
    CitizenMutations,
    RepresentationMutations,
    EpisodeMutations,
    EmergencyMutations,
    HandOverMutations,
    AssignmentMutations,
    ResponseMutations,
    AssistanceMutations,
    ReceptionMutations,
    QuestionnaireMutations,
):
    """The mutations of all pages."""


@strawberry.type(name="Subscription", description="What can be followed.")
class Subscriptions(Subscription):
    """The subscriptions of all pages."""


def make_schema(limits: Limits | None = None) -> KproSchema:
    """Build the schema; no operation larger than ``limits`` is run."""
    return KproSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscriptions,
        types=[
            Assignment, CareTeam, Citizen, EmergencyAccess, Employee, EpisodeOfCare, HandOver, Interpretation,
            OrganisationUnit, Questionnaire, QuestionnaireResponse, ReceptionDevice, Representation, Score,
        ],
        limits=limits,
        extensions=[Bounding, Naming, lambda: ParserCache(maxsize=500), lambda: ValidationCache(maxsize=500)],
        config=StrawberryConfig(scalar_map=SCALARS),
    )  # fmt: skip
