"""Bodies are read whole; large ones by other threads."""

import asyncio
import json
import threading

import pytest
from starlette.requests import Request

from beholder.serving.bodies import aside, is_json, read, read_json
from beholder.serving.refusals import (
    MalformedError,
    NotReadyError,
    TooLargeError,
    UnsupportedTypeError,
)
from beholder.serving.room import Room
from beholder.serving.settings import RequestLimits
from tests.serving.clients import context_of


def request(body: bytes, kind: str = "application/json") -> Request:
    messages = [
        {"type": "http.request", "body": body[:3], "more_body": True},
        {"type": "http.request", "body": body[3:], "more_body": False},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


def test_json_is_understood_and_what_that_raises_is_raised() -> None:
    def only_lists(document: object) -> int:
        if not isinstance(document, list):
            raise MalformedError("no list")
        return len(document)

    context = context_of()
    assert asyncio.run(read_json(request(b"[1, 2]"), context, only_lists)) == 2
    with pytest.raises(MalformedError, match="no list"):
        asyncio.run(read_json(request(b"{}"), context, only_lists))


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ("application/json; charset=utf-16", False),
        ("application/jsonp", False),
        ("text/plain", False),
        ("application/python-pickle", False),
        ("", False),
    ],
)
def test_only_what_is_said_to_be_json_is_read_as_json(kind: str, taken: bool) -> None:
    assert is_json(request(b"{}", kind)) == taken
    if not taken:
        with pytest.raises(UnsupportedTypeError, match="application/json, in UTF-8"):
            asyncio.run(read_json(request(b"{}", kind), context_of(), id))


def test_more_commas_than_any_honest_request_has_are_too_many() -> None:
    context = context_of(limits=RequestLimits(items=2))
    honest = json.dumps([0] * 8_000).encode()
    assert asyncio.run(read_json(request(honest), context, lambda of: of)) == [0] * 8_000
    with pytest.raises(TooLargeError, match="8,000 commas"):
        asyncio.run(read_json(request(json.dumps([0] * 8_001).encode()), context, id))


def test_small_bodies_stay_where_they_are_and_large_ones_go_aside() -> None:
    context = context_of()

    async def where(size: int) -> bool:
        return await aside(context, size, threading.current_thread) is threading.main_thread()

    assert asyncio.run(where(2**10))
    assert not asyncio.run(where(2**20))


def test_the_loop_goes_on_while_a_large_body_is_understood() -> None:
    context, heard = context_of(), threading.Event()

    async def both() -> bool:
        large = asyncio.ensure_future(aside(context, 2**20, lambda: heard.wait(20)))
        await asyncio.sleep(0)
        heard.set()  # never, if the loop waited for the large one
        return await large

    assert asyncio.run(both())


def test_pictures_that_are_read_out_of_a_body_take_its_room_once_more() -> None:
    room, body = Room(25), b'{"a": "bcd"}'

    async def taken() -> int:
        with room.held(0) as held:
            held.take(len(body))
            assert await read_json(request(body), context_of(), lambda of: of) == {"a": "bcd"}
            return room.taken

    assert asyncio.run(taken()) == 24
    assert room.taken == 0


def test_a_body_is_not_understood_while_there_is_no_room_for_its_pictures() -> None:
    room = Room(25)

    async def refused() -> None:
        with room.held(0) as others, room.held(0):
            others.take(20)
            await read(context_of(), b"123456", lambda: pytest.fail("it was read"))

    with pytest.raises(NotReadyError):
        asyncio.run(refused())
    assert room.taken == 0
