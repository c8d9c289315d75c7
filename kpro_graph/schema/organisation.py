"""Municipality, organisation units, employees and care teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from kpro_graph import access
from kpro_graph.execution import Condition, Connection, Order, Row, Term, by_id, column, connection, node_id, one
from kpro_graph.schema.nodes import Node
from kpro_graph.schema.worklist import FILTERS, ORDERS

if TYPE_CHECKING:
    from kpro_graph.schema.episodes import EpisodeOfCare

__all__ = ["CareTeam", "CareTeamQueries", "Employee", "Municipality", "OrganisationUnit"]

BY_NAME = Order((Term("{t}.name", "text"), Term("{t}.id", "uuid")))


@strawberry.type(description="En kommune. A municipality: whoever acts, acts for one.")
class Municipality(Row):
    """A tenant."""

    source = access.MUNICIPALITY
    prefix = "mun"
    group = "municipality"

    code: str = column(
        "id", description="The four-digit municipality code, such as 0101.", convert=lambda id_: f"{id_:04d}"
    )
    name: str = column(description="The municipality's name.")


@strawberry.type(description="En organisationsenhed. A unit of the municipality, from FK-Organisation.")
class OrganisationUnit(Node, Row):
    """A unit."""

    source = access.ORGANISATION_UNIT
    prefix = "unit"
    group = "organisation"

    id: strawberry.ID = node_id("The unit's id.")
    name: str = column(description="The unit's name.")
    kle: list[str] = column(description="The KLE numbers of the tasks the unit performs.")


@strawberry.type(description="En medarbejder. An employee of the municipality.")
class Employee(Node, Row):
    """An employee."""

    source = access.EMPLOYEE
    prefix = "emp"
    group = "organisation"

    id: strawberry.ID = node_id("The employee's id.")
    name: str = column(description="The employee's name.")


@strawberry.type(description="Et careteam. Professionals who follow citizens together.")
class CareTeam(Node, Row):
    """A care team."""

    source = access.CARE_TEAM
    prefix = "team"
    group = "organisation"

    id: strawberry.ID = node_id("The care team's id.")
    name: str = column(description="The care team's name.")
    reason_codes: list[str] = column(description="The conditions (SKS) the team treats citizens for.")
    organisation_unit: OrganisationUnit | None = one(
        by={"municipality_id": "municipality_id", "id": "organisation_unit_id"},
        description="The unit the team belongs to.",
    )
    worklist: Connection[Annotated["EpisodeOfCare", strawberry.lazy("kpro_graph.schema.episodes")]] = connection(
        by={"municipality_id": "municipality_id", "care_team_id": "id"},
        where=Condition("{t}.status = 'active'"),
        orders=ORDERS,
        arguments=FILTERS,
        judged=access.follows,
        description="The team's active episodes of care, the most urgent first; for those who read its answers.",
    )


@strawberry.type
class CareTeamQueries:
    """Look-ups of care teams."""

    care_team: CareTeam | None = one(
        arguments=[by_id("team", "The care team's id.")],
        description="A care team; null when there is none that you may see.",
    )
    care_teams: Connection[CareTeam] = connection(
        order=BY_NAME,
        where=Condition("{t}.status = 'active'"),
        judged=access.works_with,
        description="The care teams you work with, by name.",
    )
