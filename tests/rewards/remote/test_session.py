"""Requests: what is sent, what is tried again, what is told when it fails."""

import copy
import logging
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import beholder
import beholder.rewards._remote.session as old_place
from beholder.errors import BeholderError, ConfigError, ServerError
from beholder.rewards._remote import outage
from beholder.rewards._remote.address import parsed
from beholder.rewards._remote.credentials import VARIABLE, Credentials
from beholder.rewards._remote.retries import Retries
from beholder.rewards._remote.session import Session
from tests.rewards.remote.servers import Answer, Desk, serving

TOKEN = "abcdefgh-12345678"


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serving({"tiny": beholder.load("tiny")}) as desk:
        yield desk


@pytest.fixture
def session(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.delenv(VARIABLE, raising=False)
    desk.asked.clear()
    desk.plan.clear()
    return of(desk)


def of(desk: Desk, *, patience: float = 20.0, **more: Any) -> Session:
    retries = Retries(patience=patience, first=0.001, most=0.01)
    return Session(address=parsed(f"{desk.address}/tiny"), retries=retries, **more)


def get(session: Session, **more: Any) -> object:
    return session.get("/v1/rewards", absent=5.0, **more).body


def refused(status: int, code: str = "queue-full", **headers: str) -> Answer:
    return status, {"error": {"code": code, "message": "no room"}}, headers


HANGS_UP: Answer = (0, b"", {})
CUT_OFF: Answer = (200, b'{"rewards"', {"Content-Length": "100", "Connection": "close"})


@pytest.mark.parametrize(
    "trouble", [refused(429), refused(502), refused(503), refused(504), HANGS_UP, CUT_OFF]
)
def test_what_may_pass_is_tried_again_under_one_id(
    session: Session, desk: Desk, trouble: Answer
) -> None:
    desk.plan[:] = [trouble, trouble]
    assert "rewards" in get(session)  # type: ignore[operator]
    ids = [one.headers["X-Request-ID"] for one in desk.asked]
    assert len(ids) == 3
    assert len(set(ids)) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 413, 415, 422, 500])
def test_what_will_not_pass_is_told_at_once(session: Session, desk: Desk, status: int) -> None:
    desk.plan[:] = [refused(status, "malformed")]
    with pytest.raises(ServerError, match=f"with status {status}: no room") as caught:
        get(session)
    assert (caught.value.status, caught.value.code) == (status, "malformed")
    assert len(desk.asked) == 1
    assert desk.asked[0].headers["X-Request-ID"] in str(caught.value)


def test_an_outage_is_no_fault_of_a_picture() -> None:
    assert old_place.ServerError is ServerError
    assert issubclass(ServerError, BeholderError)
    assert not issubclass(ServerError, ValueError | RuntimeError)


def test_retry_after_is_waited_for(session: Session, desk: Desk) -> None:
    desk.plan[:] = [refused(429, **{"Retry-After": "1"})]
    start = time.monotonic()
    get(session)
    assert time.monotonic() - start >= 1


def test_a_server_that_asks_for_more_than_the_patience_is_given_up_at_once(desk: Desk) -> None:
    desk.asked.clear()
    desk.plan[:] = [refused(503, "not-ready", **{"Retry-After": "3600"})]
    with pytest.raises(ServerError, match="status 503: no room"):
        get(of(desk))
    assert len(desk.asked) == 1


def test_tries_end_with_the_patience(desk: Desk) -> None:
    desk.plan[:] = [refused(429)] * 1000
    with pytest.raises(ServerError) as caught:
        get(of(desk, patience=1.0))
    assert caught.value.status == 429
    assert 0 < len(desk.plan) < 999
    desk.plan.clear()


def test_a_server_that_is_not_ready_is_waited_for(session: Session, desk: Desk) -> None:
    desk.plan[:] = [(200, {"rewards": []}, {})]
    assert get(session, is_ready=lambda body: body != {"rewards": []})
    assert len(desk.asked) == 2


def test_nobody_waits_long_where_nothing_listens() -> None:
    session = Session(address=parsed("http://127.0.0.1:9/mps"))
    start = time.monotonic()
    told = r"no answer from http://127\.0\.0\.1:9: Connection refused; given up after 0\.\d s$"
    with pytest.raises(ServerError, match=told):
        session.get("/v1/rewards", absent=0.2)
    assert time.monotonic() - start < 5


def test_what_lasts_is_warned_of_once_and_so_is_its_end(
    session: Session, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "QUIET", 0.0)
    desk.plan[:] = [refused(503), HANGS_UP, refused(429)]
    get(session)
    get(session)
    first, last = caplog.messages
    why = f"the server at {desk.address} refused the request with status 503: no room"
    assert first == f"{why}; waiting up to 20 s"
    assert re.fullmatch(rf"{desk.address} answers again after \d\.\d s", last)


def test_what_passes_soon_is_not_warned_of(
    session: Session, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.plan[:] = [refused(503), HANGS_UP, refused(429)]
    get(session)
    assert not caplog.messages


def test_tls_on_a_plain_server_is_told_at_once(desk: Desk) -> None:
    address = parsed(desk.address.replace("http:", "https:"))
    with pytest.raises(ServerError, match=f"may speak plain http: {desk.address}$"):
        Session(address=address).get("/v1/rewards", absent=20.0)


def test_a_stop_ends_the_waiting(session: Session, desk: Desk) -> None:
    desk.plan[:] = [refused(503, **{"Retry-After": "15"})]
    stop = threading.Event()
    stop.set()
    start = time.monotonic()
    with pytest.raises(ServerError, match="status 503"):
        session.post("/v1/score", [("reward", (None, b"tiny", "text/plain"))], stop)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, b"<html>hello</html>", {}), "with status 200 is no reward server"),
        ((200, b'{"rewards": NaN}', {}), "is no reward server"),
        ((200, b"[" * 100_000, {}), "is no reward server"),
        ((404, b"not here", {}), "with status 404 is no reward server"),
        ((404, {"error": "text"}, {}), "is no reward server"),
        ((200, b"{}", {"Content-Encoding": "gzip"}), "127.0.0.1"),
        ((301, b"", {"Location": "https://elsewhere/"}), "to 'https://elsewhere/'; load that"),
        ((403, {"error": {"code": "x", "message": "a\nb\x1b[2J" + "c" * 999}}, {}), r"a b\\x1b"),
    ],
)
def test_whatever_answers_is_told_in_one_plain_line(
    session: Session, desk: Desk, answer: Answer, told: str
) -> None:
    desk.plan[:] = [answer]
    with pytest.raises(ServerError, match=told) as caught:
        get(session)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_an_answer_that_never_ends_is_cut_off(
    session: Session, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder.rewards._remote.session.MOST_BYTES", 1000)
    desk.plan[:] = [(200, {"long": "x" * 2000}, {})]
    with pytest.raises(ServerError, match="no reward server"):
        get(session)


def test_the_token_goes_in_the_header_and_nowhere_else(
    session: Session, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(session)
    monkeypatch.setenv(VARIABLE, TOKEN)
    get(session)
    get(of(desk, credentials=Credentials("given")))
    sent = [one.headers.get("Authorization") for one in desk.asked]
    assert sent == [None, f"Bearer {TOKEN}", "Bearer given"]
    assert TOKEN not in repr(of(desk, credentials=Credentials(TOKEN)))
    assert {one.path for one in desk.asked} == {"/v1/rewards"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("", "asks for a token"),
        (TOKEN, "does not take the token;"),
        (TOKEN[:15], "does not take the token, which is shorter than any, 16 characters;"),
    ],
)
def test_a_wrong_token_is_told_without_being_shown(desk: Desk, token: str, told: str) -> None:
    desk.plan[:] = [refused(401, "unauthorized")]
    with pytest.raises(ServerError, match=f"{told}.*{VARIABLE}") as caught:
        get(of(desk, credentials=Credentials(token)))
    assert TOKEN[:15] not in str(caught.value)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_asks_the_same_server(
    session: Session, desk: Desk, copied: Callable[[Session], Session]
) -> None:
    get(session)
    other = copied(session)
    assert other == session
    assert get(other) == get(session)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_timeout_is_some_seconds(timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout must be above 0"):
        Session(address=parsed("http://host/mps"), timeout=timeout)


def test_plain_http_to_others_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Session(address=parsed("https://host/mps")).warn_if_open()
    Session(address=parsed("http://localhost/mps")).warn_if_open()
    assert not caplog.messages
    Session(address=parsed("http://host/mps"), credentials=Credentials(TOKEN)).warn_if_open()
    Session(address=parsed("http://host/mps")).warn_if_open()
    with_token, without = caplog.messages
    assert "pictures, prompts and the token" in with_token
    assert "token" not in without
    assert TOKEN not in caplog.text
