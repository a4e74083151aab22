"""Headers that contradict themselves say nothing; answers carry what browsers must know."""

from beholder.serving.guards.headers import has_body, only_value, values, with_headers


def test_a_header_is_found_whatever_its_case_and_counts_only_once() -> None:
    scope = {"headers": [(b"A", b"1"), (b"b", b"2"), (b"a", b"3")]}
    assert values(scope, b"a") == [b"1", b"3"]
    assert only_value(scope, b"a") is None
    assert only_value(scope, b"b") == b"2"
    assert only_value(scope, b"c") is None


def test_a_body_is_announced_by_a_length_that_is_not_0_or_by_pieces() -> None:
    assert not has_body({"headers": []})
    assert not has_body({"headers": [(b"content-length", b"0")]})
    for announced in [(b"Content-Length", b"1"), (b"transfer-encoding", b"chunked")]:
        assert has_body({"headers": [announced]})
    assert has_body({"headers": [(b"content-length", b"0"), (b"content-length", b"00")]})


def test_every_answer_is_kept_from_caches_frames_guessing_and_other_sites() -> None:
    start = with_headers({"type": "http.response.start", "status": 200}, "an-id")
    headers = dict(start["headers"])
    assert headers[b"x-request-id"] == b"an-id"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert b"access-control-allow-origin" not in headers


def test_what_the_application_says_of_the_same_stays_but_for_the_id() -> None:
    said = [(b"Content-Security-Policy", b"script-src 'self'"), (b"X-Request-ID", b"forged")]
    start = with_headers({"type": "http.response.start", "status": 200, "headers": said}, "an-id")
    names = [name.lower() for name, _ in start["headers"]]
    assert len(names) == len(set(names))
    headers = {name.lower(): value for name, value in start["headers"]}
    assert headers[b"content-security-policy"] == b"script-src 'self'"
    assert headers[b"x-request-id"] == b"an-id"
