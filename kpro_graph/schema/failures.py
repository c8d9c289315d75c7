"""Expected failures: typed members of a mutation's result, each with a code, words in two languages and a place."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import strawberry

from kpro_graph import (
    assignments,
    catalogue,
    citizens,
    cpr,
    emergencies,
    episodes,
    handovers,
    reception,
    representations,
    responses,
)
from kpro_graph.errors import Rejected
from kpro_graph.execution import one
from kpro_graph.questionnaires import QuestionnaireInvalid, RuleSetInvalid

if TYPE_CHECKING:
    from kpro_graph.schema.responses import QuestionnaireResponse

__all__ = [
    "AlreadySubmitted",
    "AnswersRejected",
    "AssignmentClosed",
    "CodeRefused",
    "ConfirmationMissing",
    "ConsentMissing",
    "ConsentTimeInvalid",
    "DeviceNameMissing",
    "DueDateInvalid",
    "EmergencyNotPossible",
    "Failure",
    "HandOverNotPossible",
    "InvalidCpr",
    "NameMissing",
    "NotActive",
    "NothingToAnswer",
    "OtherVersion",
    "Problem",
    "QuestionnaireDiffers",
    "QuestionnaireRejected",
    "ReasonMissing",
    "RepresentationInvalid",
    "StaleDraft",
    "UnknownCitizen",
    "UnknownReference",
    "VersionConflict",
    "failure",
    "rejecting",
]

T = TypeVar("T")


@strawberry.interface(description="Why a mutation did not do what was asked. Nothing was stored.")
class Failure:
    """What every expected failure says."""

    code: str = strawberry.field(description="A stable code; the reference lists them all.")
    message: str = strawberry.field(description="What is the case, in Danish, for the person at the screen.")
    message_en: str = strawberry.field(description="The same in English.")
    path: str = strawberry.field(description="The place in the input, such as `cpr`; empty where it is the whole.")


@strawberry.type(description="One thing that is wrong with answers or with a questionnaire, and where.")
class Problem:
    """A problem with its place."""

    code: str = strawberry.field(description="A stable code, such as `required` or `max_value`.")
    severity: str = strawberry.field(description="`error` hinders; `warning` and `information` do not.")
    link_id: str = strawberry.field(description="The item's linkId; empty where it is the whole.")
    path: str = strawberry.field(description="The item's path with repeat indices, such as `group[1]/weight`.")
    location: str = strawberry.field(description="The FHIRPath place in the document.")
    message: str = strawberry.field(description="What is the case, in Danish.")
    message_en: str = strawberry.field(description="The same in English.")


@strawberry.type(description="The text is not a CPR number.")
class InvalidCpr(Failure):
    """INVALID_CPR."""


@strawberry.type(description="No citizen with that CPR number has a record in the municipality.")
class UnknownCitizen(Failure):
    """CITIZEN_UNKNOWN."""


@strawberry.type(description="A given name and a family name are needed.")
class NameMissing(Failure):
    """NAME_MISSING."""


@strawberry.type(description="An id in the input refers to nothing that exists for you.")
class UnknownReference(Failure):
    """REFERENCE_UNKNOWN."""


@strawberry.type(description="The episode or the questionnaire is not active, so this cannot be done.")
class NotActive(Failure):
    """EPISODE_NOT_ACTIVE, QUESTIONNAIRE_NOT_ACTIVE or WRONG_STATE."""


@strawberry.type(description="The citizen's consent to the episode is not in force.")
class ConsentMissing(Failure):
    """CONSENT_MISSING."""


@strawberry.type(
    description="A consent expires after it is given, and is given neither in the future nor before what it replaces."
)
class ConsentTimeInvalid(Failure):
    """CONSENT_TIME_INVALID."""


@strawberry.type(
    description="The representation gives no right, has expired, or is of the citizen themselves or of yourself."
)
class RepresentationInvalid(Failure):
    """REPRESENTATION_INVALID."""


@strawberry.type(
    description="The emergency access needs a reason, has been reviewed already, or is your own to review."
)
class EmergencyNotPossible(Failure):
    """EMERGENCY_REASON_MISSING, ALREADY_REVIEWED or OWN_EMERGENCY."""


@strawberry.type(description="The hand-over needs a reason, something to hand over, or an offer that is still open.")
class HandOverNotPossible(Failure):
    """HAND_OVER_REASON_MISSING, NOTHING_TO_HAND_OVER, ALREADY_OFFERED or HAND_OVER_CLOSED."""


@strawberry.type(
    description="Your municipality's library holds a questionnaire the citizen answered with other content under the "
    "same version number, or as a draft."
)
class QuestionnaireDiffers(Failure):
    """QUESTIONNAIRE_DIFFERS."""

    questionnaire_url: str = strawberry.field(description="The canonical URL of the questionnaire.")


@strawberry.type(description="The due date does not lie in the future.")
class DueDateInvalid(Failure):
    """DUE_DATE_INVALID."""


@strawberry.type(description="The assignment is completed or withdrawn.")
class AssignmentClosed(Failure):
    """ASSIGNMENT_CLOSED."""


@strawberry.type(description="The answers belong to another version of the questionnaire than the one assigned.")
class OtherVersion(Failure):
    """OTHER_VERSION."""


@strawberry.type(description="The answer was changed elsewhere since the revision this change was based on.")
class StaleDraft(Failure):
    """STALE_DRAFT."""


@strawberry.type(description="An amendment says why it is made.")
class ReasonMissing(Failure):
    """REASON_MISSING."""


@strawberry.type(description="The citizen or a relative has not confirmed what an employee typed.")
class ConfirmationMissing(Failure):
    """CONFIRMATION_MISSING."""


@strawberry.type(description="A reception computer needs a name.")
class DeviceNameMissing(Failure):
    """DEVICE_NAME_MISSING."""


@strawberry.type(description="The citizen has nothing open to answer.")
class NothingToAnswer(Failure):
    """NOTHING_TO_ANSWER."""


@strawberry.type(description="The code does not work at this computer now; why is not said.")
class CodeRefused(Failure):
    """RECEPTION_CODE_REFUSED."""


@strawberry.type(description="The answers break rules of the questionnaire. The draft is kept as it was.")
class AnswersRejected(Failure):
    """ANSWERS_REJECTED."""

    problems: list[Problem] = strawberry.field(description="Every problem, with its place.")


@strawberry.type(description="The assignment has been answered already.")
class AlreadySubmitted(Failure):
    """ALREADY_SUBMITTED."""

    municipality_id: strawberry.Private[int]
    key: strawberry.Private[object]
    response: Annotated["QuestionnaireResponse", strawberry.lazy("kpro_graph.schema.responses")] | None = one(
        by={"municipality_id": "municipality_id", "id": "key"}, description="The response that was stored."
    )


@strawberry.type(description="The document is no valid questionnaire or rule set, or must not be used as it is.")
class QuestionnaireRejected(Failure):
    """QUESTIONNAIRE_INVALID, RULE_SET_INVALID or NOT_PROVED."""

    problems: list[Problem] = strawberry.field(description="Every problem, with its place in the document.")


@strawberry.type(description="The version number is taken, or the rule set belongs to another version.")
class VersionConflict(Failure):
    """VERSION_TAKEN or RULES_MISMATCH."""


_PLAIN: Mapping[type[Rejected], type[Failure]] = {
    cpr.CprInvalid: InvalidCpr,
    citizens.CitizenUnknown: UnknownCitizen,
    citizens.NameMissing: NameMissing,
    episodes.ReferenceUnknown: UnknownReference,
    episodes.EpisodeNotActive: NotActive,
    episodes.ConsentMissing: ConsentMissing,
    episodes.ConsentTimeInvalid: ConsentTimeInvalid,
    representations.RepresentationInvalid: RepresentationInvalid,
    emergencies.EmergencyReasonMissing: EmergencyNotPossible,
    emergencies.AlreadyReviewed: EmergencyNotPossible,
    emergencies.OwnEmergency: EmergencyNotPossible,
    handovers.HandOverReasonMissing: HandOverNotPossible,
    handovers.NothingToHandOver: HandOverNotPossible,
    handovers.AlreadyOffered: HandOverNotPossible,
    handovers.HandOverClosed: HandOverNotPossible,
    assignments.QuestionnaireNotActive: NotActive,
    assignments.DueDateInvalid: DueDateInvalid,
    catalogue.MunicipalityUnknown: UnknownReference,
    catalogue.WrongState: NotActive,
    catalogue.VersionTaken: VersionConflict,
    catalogue.RulesMismatch: VersionConflict,
    responses.AssignmentClosed: AssignmentClosed,
    responses.OtherVersion: OtherVersion,
    responses.StaleDraft: StaleDraft,
    responses.ReasonMissing: ReasonMissing,
    responses.ConfirmationMissing: ConfirmationMissing,
    reception.DeviceNameMissing: DeviceNameMissing,
    reception.NothingToAnswer: NothingToAnswer,
    reception.CodeRefused: CodeRefused,
}


def problem(found: Any) -> Problem:
    """Return a problem of the questionnaire engine as the API shows it."""
    return Problem(
        code=found.code,
        severity=str(getattr(found, "severity", "error")),
        link_id=getattr(found, "link_id", "") or next(iter(getattr(found, "link_ids", ())), ""),
        path=getattr(found, "path", ""),
        location=getattr(found, "location", ""),
        message=found.da,
        message_en=found.en,
    )


def failure(error: Rejected) -> Failure:
    """Return the member of a result that says what this rejection says."""
    words: dict[str, Any] = {"code": error.code, "message": error.da, "message_en": error.en, "path": error.path}
    match error:
        case responses.AnswersRejected():
            return AnswersRejected(**words, problems=[problem(each) for each in error.problems])
        case QuestionnaireInvalid() | RuleSetInvalid() | catalogue.NotProved():
            return QuestionnaireRejected(**words, problems=[problem(each) for each in error.problems])
        case responses.AlreadySubmitted():
            return AlreadySubmitted(**words, municipality_id=error.municipality_id, key=error.response_id)
        case handovers.QuestionnaireDiffers():
            return QuestionnaireDiffers(**words, questionnaire_url=error.url)
    return _PLAIN[type(error)](**words)


def rejecting(resolver: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Let a mutation answer with the failure that a rejection stands for."""

    @functools.wraps(resolver)
    async def attempt(*args: Any, **kwargs: Any) -> Any:
        info = kwargs.get("info")
        path = getattr(info, "path", None)
        if path is not None and path.key in info.context.viewer.finished:  # type: ignore[union-attr]
            # It has run; the reference execution only reads what is asked of its result.
            return info.context.viewer.finished[path.key]  # type: ignore[union-attr]
        try:
            return await resolver(*args, **kwargs)
        except Rejected as error:
            return failure(error)

    return attempt
