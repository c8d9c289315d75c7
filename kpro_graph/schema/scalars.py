"""Scalars and enums of the API, each described down to its values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NewType, TypeVar

import strawberry
from graphql import ValueNode, value_from_ast_untyped
from strawberry.schema.types.base_scalars import DateDefinition, DateTimeDefinition, DecimalDefinition

from kpro_graph.actors import ActorKind, RepresentationKind, Right, Role
from kpro_graph.assignments import AssignmentStatus
from kpro_graph.catalogue import QuestionnaireStatus
from kpro_graph.emergencies import Verdict
from kpro_graph.episodes import ConsentManner, EpisodeStatus, LegalBasis
from kpro_graph.events import EventType
from kpro_graph.responses import AnsweredBy, Colour, ConfirmedBy, ResponseStatus

__all__ = ["CPR", "SCALARS", "described"]

CPR = NewType("CPR", str)
E_ = TypeVar("E_", bound=type[Enum])


def _never(_value: object) -> str:
    raise TypeError("a CPR number is never part of an answer")


def _any_text(value: object) -> str:
    # Whatever comes is judged by the mutation, which never repeats it; GraphQL's own coercion would print it.
    return value if isinstance(value, str) else ""


def _any_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> str:
    return _any_text(value_from_ast_untyped(node, variables))


# The compiled execution leaves times to the writer of JSON and decimals to the database; both write them so.
def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain_digits(value: Decimal) -> str:
    return f"{value:f}"


SCALARS: dict[object, Any] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A time in UTC as RFC 3339 writes it: `2026-11-01T12:00:00.25Z`. In input any offset will do.",
        serialize=_moment,
        parse_value=DateTimeDefinition.parse_value,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day as ISO 8601 writes it: `2026-11-01`.",
        serialize=date.isoformat,
        parse_value=DateDefinition.parse_value,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="An exact decimal number as text, in plain digits: `12.50`.",
        serialize=_plain_digits,
        parse_value=DecimalDefinition.parse_value,
    ),
    CPR: strawberry.scalar(
        name="CPR",
        description="A CPR number, as ten digits or DDMMYY-SSSS. Input only: no answer, error or log repeats it. "
        "Send it as a variable of a POST request.",
        serialize=_never,
        parse_value=_any_text,
        parse_literal=_any_literal,
    ),
}


def described(enum: E_, description: str, values: Mapping[Any, str], name: str | None = None) -> E_:
    """Make a domain enum one of the API's, with a description on every value."""
    made = strawberry.enum(enum, name=name, description=description)
    definition: Any = made.__strawberry_definition__  # type: ignore[attr-defined]
    texts = {member.name: text for member, text in values.items()}
    for value in definition.values:
        value.description = texts[value.name]
    return made


described(
    EpisodeStatus,
    "Where an episode of care is in its life.",
    {
        EpisodeStatus.PLANNED: "Planned; waits for its start.",
        EpisodeStatus.WAITLIST: "On a waiting list.",
        EpisodeStatus.ACTIVE: "Under way; questionnaires can be assigned.",
        EpisodeStatus.ON_HOLD: "Paused for a while.",
        EpisodeStatus.FINISHED: "Ended as planned.",
        EpisodeStatus.CANCELLED: "Called off.",
        EpisodeStatus.ENTERED_IN_ERROR: "Opened by mistake.",
    },
)
described(
    LegalBasis,
    "The act under which the municipality treats the citizen's data.",
    {
        LegalBasis.HEALTH_ACT: "Sundhedsloven.",
        LegalBasis.SERVICE_ACT: "Serviceloven.",
        LegalBasis.ELDERLY_ACT: "Ældreloven.",
    },
)
described(
    ConsentManner,
    "How a citizen told their decision.",
    {
        ConsentManner.ORAL: "By word of mouth.",
        ConsentManner.WRITTEN: "On paper.",
        ConsentManner.DIGITAL: "On a screen, signed in.",
    },
)
described(
    Verdict,
    "What a security officer found about an emergency access.",
    {
        Verdict.JUSTIFIED: "It was necessary.",
        Verdict.UNJUSTIFIED: "It was not, or not for the reason given.",
    },
)
described(
    RepresentationKind,
    "By what right someone acts for a citizen.",
    {
        RepresentationKind.POWER_OF_ATTORNEY: "Fuldmagt: the citizen has given it.",
        RepresentationKind.GUARDIAN: "Værgemål or custody: the law or a decision gives it.",
    },
)
described(
    Right,
    "What someone may do for the citizen they represent.",
    {Right.READ: "Read what was submitted.", Right.ANSWER: "Answer questionnaires for the citizen."},
)
described(
    AssignmentStatus,
    "How far an assignment has come.",
    {
        AssignmentStatus.REQUESTED: "Given to the citizen; nothing is answered yet.",
        AssignmentStatus.IN_PROGRESS: "The citizen has begun.",
        AssignmentStatus.COMPLETED: "The answers are submitted.",
        AssignmentStatus.REVOKED: "Withdrawn; not to be answered.",
    },
)
described(
    QuestionnaireStatus,
    "A questionnaire version's life. There is no way back.",
    {
        QuestionnaireStatus.DRAFT: "Being written; only editors see it.",
        QuestionnaireStatus.ACTIVE: "In use; never changes again.",
        QuestionnaireStatus.RETIRED: "No longer given out; answers to it can still be read.",
    },
)
described(
    ResponseStatus,
    "A response's state.",
    {
        ResponseStatus.DRAFT: "Being answered; only the citizen sees it.",
        ResponseStatus.COMPLETED: "Submitted; never changes again.",
        ResponseStatus.AMENDED: "Submitted in place of an earlier version of the same response.",
        ResponseStatus.ENTERED_IN_ERROR: "Does not count.",
    },
)
described(
    Colour,
    "What an answer, a score or a whole response calls for. Show the word and icon too: colour alone is not enough.",
    {
        Colour.GREEN: "Nothing calls for attention.",
        Colour.YELLOW: "May call for attention.",
        Colour.RED: "Calls for attention.",
        Colour.NOT_INTERPRETED: "No approved rule says anything, or something is missing. Never read it as green.",
    },
)
described(
    AnsweredBy,
    "Whose answers they are.",
    {
        AnsweredBy.CITIZEN: "The citizen's own.",
        AnsweredBy.RELATIVE: "A relative's, or of someone who represents the citizen, on their behalf.",
        AnsweredBy.PROFESSIONAL: "A professional's judgement.",
    },
)
described(
    ConfirmedBy,
    "Who found right what an employee typed.",
    {ConfirmedBy.CITIZEN: "The citizen.", ConfirmedBy.RELATIVE: "A relative, or someone who represents the citizen."},
)
described(
    Role,
    "The roles of Kommunal PRO. Each is held within a data scope.",
    {
        Role.CARETEAM_ADMINISTRATOR: "Care Team Administrator: manages care teams.",
        Role.CLINICAL_ADMINISTRATOR: "Pakke- og forløbsbygger: builds packages and pathways.",
        Role.QUESTIONNAIRE_EDITOR: "Spørgeskema editor: writes and activates questionnaires.",
        Role.CITIZEN_ENROLLER: "Borgeropretter: creates citizens, opens episodes of care, assigns questionnaires.",
        Role.CLINICAL_VIEWER: "Klinisk se-adgang: reads responses in own care teams.",
        Role.MONITORING_ASSISTOR: "Monitoreringsmedhjælper: follows up on responses in own care teams.",
        Role.SECURITY_OFFICER: "Sikkerhedsmedarbejder: searches the access log and reviews emergency accesses.",
        Role.INTEGRATOR: "A system that follows what happens in one municipality.",
    },
)
described(
    ActorKind,
    "What sort of someone acts.",
    {
        ActorKind.CITIZEN: "A citizen, or someone who represents one.",
        ActorKind.EMPLOYEE: "An employee of the municipality.",
        ActorKind.SYSTEM: "Another system.",
        ActorKind.SECURITY_OFFICER: "A security officer: sees who looked, never what they saw.",
        ActorKind.OPERATOR: "Whoever runs the installation, from its command line.",
    },
)
described(
    EventType,
    "Every kind of event.",
    {
        EventType.CITIZEN_REGISTERED: "A citizen's record was created.",
        EventType.EPISODE_OPENED: "An episode of care was opened.",
        EventType.CONSENT_GIVEN: "Consent to an episode of care was given.",
        EventType.CONSENT_WITHDRAWN: "Consent to an episode of care was withdrawn.",
        EventType.RECORD_OPENED_IN_EMERGENCY: "A citizen's record was opened in an emergency.",
        EventType.HAND_OVER_OFFERED: "A citizen's history was offered to another municipality.",
        EventType.HAND_OVER_ACCEPTED: "A citizen's history was handed over.",
        EventType.QUESTIONNAIRE_ACTIVATED: "A questionnaire version came into use.",
        EventType.QUESTIONNAIRE_ASSIGNED: "A questionnaire was assigned.",
        EventType.RESPONSE_SUBMITTED: "A response was submitted.",
        EventType.RESPONSE_AMENDED: "A response was amended.",
    },
)
