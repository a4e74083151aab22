"""How the server says no."""

import json

from beholder.serving.refusals import MalformedError, QueueFullError, UnauthorizedError
from beholder.serving.refused import refusal, refused


def test_a_refusal_says_code_message_and_id() -> None:
    response = refused(MalformedError('a "quoted" \x1b'), "abc")
    assert response.status_code == 422
    assert json.loads(bytes(response.body)) == {
        "error": {"code": "malformed", "message": 'a "quoted" \x1b'},
        "request_id": "abc",
    }
    assert "retry-after" not in response.headers
    assert response.headers["content-type"] == "application/json"


def test_seconds_to_wait_are_whole_and_rounded_up() -> None:
    for seconds, header in ((0.0, "0"), (0.01, "1"), (1.0, "1"), (2.5, "3"), (-1.0, "0")):
        response = refused(QueueFullError("full", retry_after=seconds), "abc")
        assert (response.status_code, response.headers["retry-after"]) == (429, header)


def test_who_has_no_token_is_told_how_to_send_one() -> None:
    challenge = refused(UnauthorizedError("no token"), "abc").headers["www-authenticate"]
    assert challenge == 'Bearer realm="beholder", Basic realm="beholder"'


def test_headers_go_with_a_refusal() -> None:
    response = refusal(405, "method-not-allowed", "no", "abc", {"Allow": "GET"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
