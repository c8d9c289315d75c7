"""What may go wrong: the errors the product raises on purpose.

KproError
├── Rejected                  part of the conversation: becomes a typed member of a mutation's result
│   (each noun declares its own beside the function that raises it)
├── Refused                   the caller is wrong: a GraphQL error with ``extensions.code``
│   ├── NotAuthenticated      no actor, or a token that does not hold
│   ├── StepUpRequired        signed in, but not surely enough: sign in again at a higher assurance level
│   ├── ContextRequired       the employee can act in several places and has chosen none
│   ├── NotPermitted          the actor's role may never do this
│   ├── NotFound              absent, or not to be seen by this actor: the same answer for both
│   ├── OperationTooLarge     the operation is longer, deeper, wider or could read more than is allowed
│   └── BadInput              malformed input that a typed result does not cover
├── Unavailable               a part we depend on is down: try again later
│   └── DeadlineExceeded      it took longer than it may, and was broken off
└── ConfigurationError        the operator's settings or environment are wrong; ends start-up

Anything else that escapes is a fault of ours: it is masked, logged, and found again by its reference.
No message may hold a CPR number or a value the caller sent in.
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "ConfigurationError",
    "ContextRequired",
    "DeadlineExceeded",
    "KproError",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "OperationTooLarge",
    "Refused",
    "Rejected",
    "StepUpRequired",
    "Unavailable",
]


class KproError(Exception):
    """The root of every error raised on purpose. ``code`` is stable and public."""

    code: str = "INTERNAL"


class Rejected(KproError):
    """An expected outcome of a change; the caller can do something about it.

    ``da`` and ``en`` say what is the case, in words for the person at the screen; ``path`` names the place in the
    input (``cpr``, ``answers[2].path``), never the value.
    """

    code = "REJECTED"
    da = "Det kan ikke lade sig gøre."
    en = "This cannot be done."

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message or self.en)
        self.path = path


class Refused(KproError):
    """The request itself is wrong; it is answered as a GraphQL error."""

    code = "BAD_INPUT"


class NotAuthenticated(Refused):
    """No valid token came with the request. The reason is said only as far as it helps the owner."""

    code = "UNAUTHENTICATED"


class StepUpRequired(NotAuthenticated):
    """The sign-in is not assured enough (NSIS): the same person must sign in again at `Substantial` or higher."""

    code = "STEP_UP_REQUIRED"


class ContextRequired(Refused):
    """The employee can act in several units or care teams and must choose one: ``me { contexts }`` lists them."""

    code = "CONTEXT_REQUIRED"


class NotPermitted(Refused):
    """No role of this actor allows the operation, whatever the data."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """Nothing with that id exists for this actor."""

    code = "NOT_FOUND"


class BadInput(Refused):
    """A value has the wrong form; ``path`` names the place, never the value."""

    code = "BAD_INPUT"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class OperationTooLarge(Refused):
    """The operation is beyond a limit: the name of the limit, how much is allowed, how much it is, and where.

    ``limit`` is ``tokens``, ``depth``, ``fields`` or ``rows``; ``path`` leads by the answer's keys to the field that
    goes over, and is empty where it is the document as a whole.
    """

    code = "OPERATION_TOO_LARGE"

    def __init__(self, limit: str, number: int, most: int, path: str = "") -> None:
        place = f", and goes beyond that at {path}" if path else ""
        super().__init__(_TOO_LARGE[limit].format(number=number, most=most) + place)
        self.limit = limit
        self.number = number
        self.most = most
        self.path = path


_TOO_LARGE = {
    "tokens": "the document has more than {most} tokens",
    "depth": "the operation is {number} fields deep or deeper; at most {most} are allowed",
    "fields": "the operation asks for {number} fields; at most {most} are allowed",
    "rows": "the operation could read {number} rows; at most {most} are allowed",
}


class Unavailable(KproError):
    """The database or another needed part does not answer; nothing was changed unless the message says otherwise."""

    code = "UNAVAILABLE"


class DeadlineExceeded(Unavailable):
    """The operation took longer than it may and was broken off; `changed` says whether it had changed something."""

    code = "DEADLINE_EXCEEDED"

    def __init__(self, *, changed: bool = False) -> None:
        super().__init__(
            "the operation took too long: its change was made, but what came of it could not be read in time"
            if changed
            else "the operation took too long and was broken off; nothing was changed"
        )
        self.changed = changed


class ConfigurationError(KproError):
    """A setting is missing or wrong; the message says which and what to do."""

    code = "CONFIGURATION"
