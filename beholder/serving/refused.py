"""The one shape in which the server says no."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from starlette.responses import Response

from beholder.serving.refusals import RefusalError, UnauthorizedError

_CHALLENGE = 'Bearer realm="beholder", Basic realm="beholder"'


def refused(error: RefusalError, request_id: str) -> Response:
    """The answer to a request that is refused, as `refusal` with what the error says."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(0, math.ceil(error.retry_after)))
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = _CHALLENGE
    return refusal(error.status, error.code, str(error), request_id, headers)


def refusal(
    status: int,
    code: str,
    message: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`{"error": {"code", "message"}, "request_id"}`; usable as an ASGI application too."""
    body = {"error": {"code": code, "message": message}, "request_id": request_id}
    content = json.dumps(body).encode()
    return Response(content, status, headers, media_type="application/json")
