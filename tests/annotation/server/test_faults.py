import traceback
from collections.abc import Callable

import httpx
import pytest
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.parse_error import ParsingError

from beholder.annotation.server.faults import UnavailableError, guarded, one_line
from beholder.errors import AnnotationError

SECRETS = {"set-cookie": "sessionid=s3cret", "authorization": "Token t0ken"}
PAGE = "<!DOCTYPE html><html><body>csrf s3cret\n</body></html>"


def refusal(status: int | None, body: object = None) -> ApiError:
    return ApiError(status_code=status, headers=dict(SECRETS), body=body)


def raised(error: Exception) -> AnnotationError:
    with pytest.raises(AnnotationError) as caught, guarded("listing tasks"):
        raise error
    return caught.value


REFUSALS = [
    (
        401,
        {"detail": "Invalid token."},
        "the token is refused; give a valid one (401): Invalid token.",
    ),
    (403, {"detail": "no"}, "this user may not do that (403): no"),
    (404, {"detail": "No Project matches"}, "not found (404): No Project matches"),
    (
        404,
        PAGE,
        "not found (404): a page came; is the address right, "
        "and the call not of the Enterprise edition?",
    ),
    (
        400,
        {"detail": "Validation error", "validation_errors": {"label_config": ["bad", "worse"]}},
        "the request does not fit (400): label_config: bad; label_config: worse",
    ),
    (
        400,
        {"validation_errors": [{"data": {"t": ["is missing"]}}]},
        "the request does not fit (400): data: t: is missing",
    ),
    (301, PAGE, "it redirects elsewhere (301); give the address that it redirects to"),
    (200, PAGE, "a page came; is the address right, and the call not of the Enterprise edition?"),
    (200, {}, "the answer is not what Label Studio answers"),
    (None, {"detail": "no key"}, "no key"),
    (418, None, "refused (418)"),
]


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
def test_a_refusal_is_one_line_of_what_and_why(
    status: int | None, body: object, expected: str
) -> None:
    error = raised(refusal(status, body))
    assert str(error) == f"listing tasks: {expected}"
    assert not isinstance(error, UnavailableError)


PASSING: list[tuple[Exception, str]] = [
    (refusal(500, {"detail": "boom"}), "the server failed (500): boom"),
    (refusal(502, PAGE), "the server failed (502): a page came"),
    (refusal(429), "too many requests; wait a little (429)"),
    (httpx.ReadTimeout("t0ken"), "no answer in time"),
    (httpx.ConnectTimeout("t0ken"), "no answer in time"),
    (httpx.ConnectError("[Errno 111]\nrefused"), "no connection ([Errno 111] refused); is it up?"),
    (httpx.ReadError("t0ken"), "the connection broke off"),
    (httpx.RemoteProtocolError("t0ken"), "the connection broke off"),
]


@pytest.mark.parametrize(("cause", "expected"), PASSING)
def test_what_may_pass_is_told_apart(cause: Exception, expected: str) -> None:
    error = raised(cause)
    assert isinstance(error, UnavailableError)
    assert str(error).startswith(f"listing tasks: {expected}")


LASTING: list[tuple[Exception, str]] = [
    (httpx.LocalProtocolError("Illegal header value b'Token t0ken'"), "cannot be sent"),
    (httpx.InvalidURL("t0ken"), "cannot be sent"),
    (httpx.DecodingError("t0ken"), "is not what Label Studio answers"),
    (ValueError("t0ken"), "is not what Label Studio answers"),
    (ParsingError(headers=dict(SECRETS), body="t0ken"), "is not what Label Studio answers"),
]


@pytest.mark.parametrize(("cause", "expected"), LASTING)
def test_what_stays_is_no_reason_to_wait(cause: Exception, expected: str) -> None:
    error = raised(cause)
    assert expected in str(error)
    assert not isinstance(error, UnavailableError)


CAUSES: list[Callable[[], Exception]] = [
    lambda: refusal(401, {"detail": "no"}),
    lambda: refusal(500, PAGE),
    lambda: httpx.LocalProtocolError("Illegal header value b'Token t0ken'"),
    lambda: ParsingError(headers=dict(SECRETS), body=PAGE, cause=ValueError("s3cret")),
]


@pytest.mark.parametrize("cause", CAUSES)
def test_no_secret_is_in_the_message_nor_in_the_traceback(cause: Callable[[], Exception]) -> None:
    shown = "".join(traceback.format_exception(raised(cause())))
    for secret in ("t0ken' is", "sessionid", "s3cret", "Set-Cookie", "<html>"):
        assert secret not in shown.replace("CAUSES", "")


def test_a_status_that_httpx_raises_is_a_refusal_too() -> None:
    request = httpx.Request("GET", "http://127.0.0.1/api/invite")
    answer = httpx.Response(403, request=request, headers=SECRETS)
    error = raised(httpx.HTTPStatusError("s3cret", request=request, response=answer))
    assert str(error) == "listing tasks: this user may not do that (403)"


def test_other_errors_and_results_pass_through() -> None:
    with pytest.raises(KeyError), guarded("listing tasks"):
        raise KeyError("ours")
    with guarded("listing tasks"):
        assert one_line("a\n\x1b[31mb\t c" + "x" * 400)[:10] == "a [31mb cx"
    assert len(one_line("x" * 400)) == 300
