"""The server's own protocol through all guards: what a client hears, and what room it takes."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message
from typing_extensions import override

from beholder.errors import WeightsError
from beholder.serving.app import create_app
from beholder.serving.context import Context
from beholder.serving.guards import guarded
from beholder.serving.guards.request_bodies import RequestBodies
from beholder.serving.items import Answer, Item, Map, Scored
from beholder.serving.results import COPIES, PIECE, bytes_of
from beholder.serving.room import Room
from beholder.serving.settings import RequestLimits
from tests.serving.clients import TOKEN, context_of, counted
from tests.serving.fakes import FakeBackend
from tests.serving.guards.asking import LOCAL, Headers, Reply, ask, body_part, scope_of
from tests.serving.listening import closed, serving, until

PATIENCE = 20.0
KNOWN: Headers = [(b"host", b"h"), (b"authorization", b"Bearer " + TOKEN.encode())]
JSON: Headers = [*LOCAL, (b"content-type", b"application/json")]
RELOAD = scope_of(path="/v1/reload", headers=KNOWN)


def app_of(context: Context) -> ASGIApp:
    return guarded(create_app(context), context)


@dataclass
class Damaged(FakeBackend):
    """Cannot load its weights anew."""

    @override
    async def reload(self) -> None:
        raise WeightsError("model.safetensors is damaged")


def test_who_asks_for_new_weights_hears_why_the_old_ones_stay() -> None:
    context = context_of(Damaged(), token=TOKEN)
    reply = asyncio.run(ask(app_of(context), RELOAD))
    assert (reply.status, reply.code) == (409, "reload-failed")
    said = json.loads(reply.body)["error"]["message"]
    assert said == "the old weights stay: model.safetensors is damaged"
    assert counted(context, 'beholder_http_rejections_total{code="reload-failed"} 1.0')


@dataclass
class Loading(FakeBackend):
    """Loads for as long as a test wants, one after another."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @override
    async def reload(self) -> None:
        async with self.turn:
            self.reloads += 1
            await self.release.wait()


def test_of_many_who_ask_for_new_weights_at_once_one_loads_and_one_waits() -> None:
    async def run() -> None:
        backend = Loading()
        app = app_of(context_of(backend, token=TOKEN))
        asked = [asyncio.create_task(ask(app, dict(RELOAD))) for _ in range(6)]
        while sum(task.done() for task in asked) < 4:
            await asyncio.sleep(0.001)
        turned_away = [task.result() for task in asked if task.done()]
        assert {(r.status, r.code) for r in turned_away} == {(409, "reload-pending")}
        assert backend.reloads == 1
        backend.release.set()
        replies = await asyncio.gather(*asked)
        assert sorted(reply.status for reply in replies) == [200, 200, 409, 409, 409, 409]
        assert backend.reloads == 2
        assert (await ask(app, dict(RELOAD))).status == 200

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


SIDE = 256
HOT = Answer(
    scores={"light": Scored(total=0.5, maps={"heat": Map(SIDE, SIDE, bytes(4 * SIDE**2))})}
)
ASKED = json.dumps({"items": [{"image": ""}] * 4, "detail": ["maps"]}).encode()
HELD = 2 * len(ASKED) + (4 + COPIES) * bytes_of(HOT)


@dataclass
class Hot(FakeBackend):
    """Gives every picture a heatmap."""

    answer: Answer = HOT

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        return [self.answer for _ in items]


def hot(bodies: int, answer: Answer = HOT) -> tuple[ASGIApp, Room]:
    """The application, and the room that requests have in it."""
    context = context_of(Hot(answer=answer), limits=RequestLimits(bodies=bodies))
    bounded = RequestBodies(create_app(context), context.settings.limits)
    whole = app_of(context)
    whole._app._app = bounded  # type: ignore[attr-defined]
    return whole, bounded._room


async def unread(app: ASGIApp, reading: asyncio.Event) -> Reply:
    """An answer whose client takes the first piece and no more before the event."""
    parts, reply = [body_part(ASKED)], Reply()

    async def receive() -> Message:
        return parts.pop() if parts else await asyncio.Future()

    async def send(message: Message) -> None:
        reply.messages.append(message)
        if message.get("body"):
            await reading.wait()

    await app(scope_of(headers=JSON), receive, send)
    return reply


def test_a_long_answer_is_written_as_it_is_read_and_holds_its_room_until_then() -> None:
    async def run() -> None:
        app, room = hot(2 * HELD - 1)
        reading = asyncio.Event()
        slow = asyncio.create_task(unread(app, reading))
        await until(lambda: room.taken >= HELD)
        assert room.taken == HELD
        other = await ask(app, scope_of(headers=JSON), ASKED)
        assert (other.status, other.code, other.headers["retry-after"]) == (503, "not-ready", "1")
        assert not slow.done()
        reading.set()
        reply = await slow
        assert room.taken == 0
        assert (reply.status, reply.is_whole) == (200, True)
        assert max(len(message.get("body", b"")) for message in reply.messages) == PIECE
        results = json.loads(reply.body)["results"]
        assert [len(one["scores"]["light"]["maps"]["heat"]["data"]) for one in results] == [
            4 * -(-4 * SIDE**2 // 3)
        ] * 4
        again = await ask(app, scope_of(headers=JSON), ASKED)
        assert json.loads(again.body)["results"] == results

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_a_client_that_leaves_while_it_is_answered_lets_the_room_go() -> None:
    async def run() -> None:
        app, room = hot(HELD)
        slow = asyncio.create_task(unread(app, asyncio.Event()))
        await until(lambda: room.taken >= HELD)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert room.taken == 0

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_an_answer_that_no_room_could_hold_is_too_much_to_ask_for() -> None:
    app, room = hot(HELD - 1)
    reply = asyncio.run(ask(app, scope_of(headers=JSON), ASKED))
    assert (reply.status, reply.code, room.taken) == (413, "too-large", 0)


LARGE = 2**21
"""Bytes of a map; eight of them are more than the buffers of a connection hold."""


def test_over_a_connection_the_room_is_held_until_all_was_read_or_the_client_is_given_up() -> None:
    very = Answer(scores={"light": Scored(total=0.5, maps={"heat": Map(1, 1, bytes(LARGE))})})
    body = json.dumps({"items": [{"image": ""}] * 8, "detail": ["maps"]}).encode()
    head = "POST /v1/score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    sent = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def run() -> None:
        app, room = hot(2**30, very)
        async with serving(app, RequestLimits(body_seconds=0.5)) as (connect, server):
            reader, writer = await connect()
            writer.write(sent)
            answer = bytearray(await reader.readuntil(b"\r\n\r\n"))
            assert b"transfer-encoding: chunked" in answer.lower()
            assert room.taken > 8 * LARGE
            while not answer.endswith(b"\r\n0\r\n\r\n"):
                answer += await reader.read(2**16)
            assert len(answer) > 8 * LARGE * 4 // 3
            await until(lambda: room.taken == 0)
            writer.write(sent)
            await until(lambda: room.taken > 8 * LARGE)
            await until(lambda: room.taken == 0)
            await until(lambda: not server.server_state.connections)
            await closed(writer)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
