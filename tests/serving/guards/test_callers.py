"""Who has no token is not heard, nor is a page of another site, before any body is read."""

import asyncio
import base64
import hmac

import pytest

from beholder.serving.guards.callers import OPEN, Callers
from beholder.serving.refusals import ForbiddenError, RefusalError, UnauthorizedError
from beholder.serving.settings import Access
from tests.serving.guards.asking import LOCAL, Echo, Headers, ask, scope_of

TOKEN = "correct-horse-battery"
PUBLIC: Headers = [(b"host", b"reward.example.org")]


def heard(
    headers: Headers, *, token: str = TOKEN, method: str = "POST", path: str = "/v1/score"
) -> None:
    """Raises if the request is refused."""
    app = Callers(Echo(), Access(token=token))
    reply = asyncio.run(ask(app, scope_of(method, path, headers), b"body"))
    assert reply.body == b"body"


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    "said",
    [
        b"Bearer " + TOKEN.encode(),
        b"bearer  " + TOKEN.encode() + b" ",
        basic(b"user:" + TOKEN.encode()),
        basic(b":" + TOKEN.encode()),
        basic(b"\xff\xfe:" + TOKEN.encode()),
    ],
)
def test_the_token_is_heard_as_bearer_and_as_password(said: bytes) -> None:
    heard([*PUBLIC, (b"authorization", said)])


@pytest.mark.parametrize(
    "said",
    [
        *[b"", b"Bearer", b"Bearer ", TOKEN.encode(), b"Token " + TOKEN.encode()],
        *[b"Basic", b"Basic !", b"Bearer " + TOKEN[:-1].encode(), b"Bearer " + TOKEN.encode() * 2],
        *[b"Bearer " + TOKEN.upper().encode(), b"Bearer \xc3\xa9\xff\x00", b"Bearer " + b"a" * 999],
        *[basic(TOKEN.encode()), basic(TOKEN.encode() + b":"), basic(b"u:wrong"), basic(b"u:")],
        basic(b"user:x:" + TOKEN.encode()),  # the password is all after the first colon
        basic(b"u:" + TOKEN.encode())[:-1],
        b"Basic " + base64.b64encode(b"u:" + TOKEN.encode()) + b" junk",
    ],
)  # fmt: skip
def test_anything_else_is_not(said: bytes) -> None:
    with pytest.raises(UnauthorizedError):
        heard([*PUBLIC, (b"authorization", said)])


def test_no_header_and_two_of_them_are_no_token() -> None:
    with pytest.raises(UnauthorizedError):
        heard(PUBLIC)
    right = (b"authorization", b"Bearer " + TOKEN.encode())
    with pytest.raises(UnauthorizedError):
        heard([*PUBLIC, right, (b"authorization", b"Bearer other")])


def test_tokens_are_compared_in_constant_time_and_whatever_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = []
    compare = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        lengths.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for said in (b"", b"Bearer x", b"Bearer " + b"x" * 9999):
        with pytest.raises(UnauthorizedError):
            heard([*PUBLIC, (b"authorization", said)])
    assert lengths == [(32, 32)] * 3


def test_a_body_is_not_read_before_the_token_is_checked() -> None:
    echo = Echo()
    with pytest.raises(UnauthorizedError):
        asyncio.run(ask(Callers(echo, Access(token=TOKEN)), scope_of(headers=PUBLIC), b"body"))
    assert not echo.heard


@pytest.mark.parametrize("path", sorted(OPEN))
@pytest.mark.parametrize("token", ["", TOKEN])
def test_health_is_told_to_everybody(path: str, token: str) -> None:
    heard(PUBLIC, token=token, path=path, method="GET")


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("POST", []),
        ("PUT", []),
        ("GET", [(b"content-length", b"1")]),
        ("GET", [(b"content-length", b"67108864")]),
        ("HEAD", [(b"transfer-encoding", b"chunked")]),
        ("GET", [(b"content-length", b"0"), (b"content-length", b"5")]),
    ],
)
def test_but_with_a_body_only_to_those_who_have_the_token(method: str, more: Headers) -> None:
    echo = Echo()
    with pytest.raises(UnauthorizedError):
        scope = scope_of(method, "/healthz", [*PUBLIC, *more])
        asyncio.run(ask(Callers(echo, Access(token=TOKEN)), scope, b"body"))
    assert not echo.heard
    with pytest.raises(ForbiddenError):
        heard([*PUBLIC, *more], token="", path="/healthz", method=method)
    known = (b"authorization", b"Bearer " + TOKEN.encode())
    heard([*PUBLIC, *more, known], path="/healthz", method=method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_may_say_that_it_has_no_body(method: str) -> None:
    heard([*PUBLIC, (b"content-length", b"0")], path="/readyz", method=method)


@pytest.mark.parametrize(
    "path",
    ["/health", "/healthz/", "/HEALTHZ", "/healthz/../v1/score", "//healthz", "/metrics", "/"],
)
def test_nothing_else_is(path: str) -> None:
    with pytest.raises(UnauthorizedError):
        heard(PUBLIC, path=path, method="GET")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "localhost:9000"],
)
def test_without_a_token_names_of_this_machine_are_heard(host: str) -> None:
    heard([(b"host", host.encode())], token="")


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b""],
        [b"evil.example:8000"],
        [b"localhost.evil.example"],
        [b"127.0.0.1.evil.example"],
        [b"127.0.0.1@evil.example"],
        [b"192.168.0.1"],
        [b"0.0.0.0:8000"],
        [b"[::1"],
        [b"loc\xc3\xa4lhost"],
        [b"localhost", b"evil.example"],
    ],
)
def test_a_name_that_was_bound_anew_to_this_machine_is_not(hosts: list[bytes]) -> None:
    with pytest.raises(ForbiddenError):
        heard([(b"host", host) for host in hosts], token="")


FROM_ELSEWHERE = (b"sec-fetch-site", b"cross-site")
CROSS: list[Headers] = [
    [FROM_ELSEWHERE],
    [(b"sec-fetch-site", b"same-site"), (b"origin", b"http://127.0.0.1:8000")],
    [FROM_ELSEWHERE, (b"sec-fetch-mode", b"navigate")],
    [FROM_ELSEWHERE, (b"sec-fetch-dest", b"document"), (b"sec-fetch-mode", b"navigate")],
    [(b"origin", b"https://evil.example")],
    [(b"origin", b"null")],
    [(b"origin", b"")],
    [(b"origin", b"http://127.0.0.1:3000")],
    [(b"origin", b"http://127.0.0.1:8000"), (b"origin", b"https://evil.example")],
]  # fmt: skip


@pytest.mark.parametrize("headers", CROSS)
@pytest.mark.parametrize("token", ["", TOKEN])
def test_pages_of_other_sites_are_refused_even_with_the_token(headers: Headers, token: str) -> None:
    known = [*LOCAL, (b"authorization", b"Bearer " + TOKEN.encode())]
    with pytest.raises(ForbiddenError):
        heard([*known, *headers], token=token)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"sec-fetch-site", b"same-origin"), (b"origin", b"http://127.0.0.1:8000")],
        [(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://behind.a.proxy.example")],
        [(b"sec-fetch-site", b"none")],
        [(b"origin", b"http://127.0.0.1:8000")],
        [(b"origin", b"HTTP://127.0.0.1:8000")],
    ],
)
def test_our_own_page_and_what_a_person_types_is_heard(headers: Headers) -> None:
    heard([*LOCAL, *headers], token="")


def test_a_link_to_a_page_of_ours_can_be_followed_but_not_put_into_a_frame() -> None:
    link = [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")]
    heard([*LOCAL, *link, (b"sec-fetch-dest", b"document")], token="", method="GET", path="/docs")
    for inside in (b"iframe", b"image", b"script"):
        with pytest.raises(ForbiddenError):
            heard([*LOCAL, *link, (b"sec-fetch-dest", inside)], token="", method="GET")


def test_a_refusal_quotes_nothing_that_the_client_said() -> None:
    for headers in ([(b"host", b"evil.example")], [*LOCAL, (b"origin", b"http://evil.example")]):
        with pytest.raises(RefusalError) as caught:
            heard(headers, token="")
        assert "evil" not in str(caught.value)
