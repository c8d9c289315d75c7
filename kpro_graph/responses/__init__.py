"""Responses: a citizen's answers, saved item by item as a draft, then checked, scored, interpreted and kept for good.

Storing, logging and announcing are one transaction. Concurrent submits of one assignment meet at its row lock: one
stores, the others learn of it. A submitted response is never changed; an amendment is a new one that supersedes it.
"""

from kpro_graph.responses.assistance import start, stop
from kpro_graph.responses.authorship import AnsweredBy, ConfirmationMissing, ConfirmedBy
from kpro_graph.responses.drafts import (
    AnswersRejected,
    AssignmentClosed,
    OtherVersion,
    ReasonMissing,
    ResponseStatus,
    Saved,
    StaleDraft,
    amend,
    save_answer,
)
from kpro_graph.responses.submission import AlreadySubmitted, Colour, Submitted, submit

__all__ = [
    "AlreadySubmitted",
    "AnsweredBy",
    "AnswersRejected",
    "AssignmentClosed",
    "Colour",
    "ConfirmationMissing",
    "ConfirmedBy",
    "OtherVersion",
    "ReasonMissing",
    "ResponseStatus",
    "Saved",
    "StaleDraft",
    "Submitted",
    "amend",
    "save_answer",
    "start",
    "stop",
    "submit",
]
