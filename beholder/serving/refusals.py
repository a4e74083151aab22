"""Why a whole request is not answered with scores, each with the status of HTTP that says so."""

from __future__ import annotations

from typing import ClassVar

from beholder.errors import BeholderError


class RefusalError(BeholderError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        code: for programs, as in `Fault`.
        retry_after: seconds after which the same may succeed; None if it never will.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MalformedError(RefusalError):
    """The body is not what the protocol asks for."""

    status, code = 422, "malformed"


class UnauthorizedError(RefusalError):
    """No token, or a wrong one."""

    status, code = 401, "unauthorized"


class ForbiddenError(RefusalError):
    """A host, an origin or an action that is not allowed."""

    status, code = 403, "forbidden"


class SlowBodyError(RefusalError):
    """The body did not come in time."""

    status, code = 408, "slow-body"


class TooLargeError(RefusalError):
    """The body or the number of items is over a limit."""

    status, code = 413, "too-large"


class UnsupportedTypeError(RefusalError):
    """A content type that the address does not take."""

    status, code = 415, "unsupported-type"


class QueueFullError(RefusalError):
    """There is no room for the items."""

    status, code = 429, "queue-full"


class NotReadyError(RefusalError):
    """Nothing can be scored now: loading, or about to end."""

    status, code = 503, "not-ready"


class DeadlineError(RefusalError):
    """It took longer than a request may."""

    status, code = 504, "deadline"
