"""The clients of the load run tell what became of every request; nothing goes uncounted."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest

from benchmarks._serving_hard import _growth
from benchmarks._serving_load import Load, Told
from benchmarks._serving_work import difference, faults_of, percentiles

Answer = Callable[[str, int, asyncio.StreamWriter], Awaitable[None]]
BODIES = [b'{"number": 0}', b'{"number": 1}']


def loaded(answer: Answer, *, clients: int = 2, seconds: float = 0.3, rate: float = 0.0) -> Told:
    """What clients tell of a server that answers so: called with the id, which request it is."""

    async def run() -> Told:
        asked = 0
        serving = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            serving.add(asyncio.current_task())
            while head := await request_head(reader):
                body = json.loads(await reader.readexactly(int(head["content-length"])))
                asked += 1
                await answer(head["x-request-id"], body["number"], writer)
                if writer.is_closing():
                    break
                await asyncio.sleep(0.005)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            load = Load(f"http://127.0.0.1:{port}/v1/score", BODIES, "test")
            if rate:
                await load.open(rate, seconds, random.Random(0))
            else:
                await load.closed(clients, seconds, warm=0.0)
            await asyncio.gather(*filter(None, serving))
        counted = sum(load.told.statuses.values()) + load.told.lost
        assert counted == asked
        return load.told

    return asyncio.run(run())


async def request_head(reader: asyncio.StreamReader) -> dict[str, str]:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
    except (asyncio.IncompleteReadError, ConnectionError):
        return {}
    return {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines) if n}


def written(writer: asyncio.StreamWriter, status: str, body: bytes, *headers: str) -> None:
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"])
    writer.write(head.encode() + b"\r\n\r\n" + body)


def scored(total: float) -> bytes:
    return json.dumps({"results": [{"scores": {"it": {"total": total}}}]}).encode()


async def good(asked: str, number: int, writer: asyncio.StreamWriter) -> None:
    written(writer, "200 OK", scored(number / 2), f"X-Request-ID: {asked}")


def test_answers_are_counted_with_their_times_and_the_score_of_every_body() -> None:
    told = loaded(good)
    assert told.statuses.keys() == {"200"}
    assert told.scores == {"0": (0.0, 0.0), "1": (0.5, 0.5)}
    assert 2 <= len(told.milliseconds) <= told.statuses["200"]
    assert min(told.milliseconds) > 0
    assert faults_of(told, {"200"}) == ""
    assert difference(told, [0.0, 0.5]) == 0
    assert difference(told, [0.0, 0.75]) == 0.25


def test_an_open_loop_asks_at_its_rate_whatever_becomes_of_the_answers() -> None:
    told = loaded(good, seconds=0.5, rate=100)
    assert 25 <= sum(told.statuses.values()) <= 80
    assert told.unsent == 0


def test_who_gets_no_answer_is_lost() -> None:
    async def answer(asked: str, number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            writer.close()
        else:
            await good(asked, number, writer)

    told = loaded(answer)
    assert told.lost > 0
    assert told.statuses["200"] > 0
    assert f"lost {told.lost}" in faults_of(told, {"200"})


def test_another_requests_answer_and_one_without_a_score_are_found() -> None:
    async def answer(asked: str, number: int, writer: asyncio.StreamWriter) -> None:
        said = "another" if number else asked
        written(writer, "200 OK", scored(1) if number else b"{}", f"X-Request-ID: {said}")

    told = loaded(answer)
    assert told.unlike == told.statuses["200"] > 0


def test_a_refusal_must_say_when_to_come_again() -> None:
    async def answer(asked: str, number: int, writer: asyncio.StreamWriter) -> None:
        written(writer, "429 Too Many Requests", b"{}", *["Retry-After: 1"] * number)

    told = loaded(answer)
    assert told.statuses.keys() == {"429"}
    assert 0 < told.hasty < told.statuses["429"]
    assert not told.milliseconds
    assert len(told.refusals) == told.statuses["429"]


def test_answers_in_chunks_are_read_whole_and_closed_connections_are_opened_anew() -> None:
    async def answer(asked: str, number: int, writer: asyncio.StreamWriter) -> None:
        body = scored(number)
        parts = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:9], body[9:]))
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        writer.write(head + parts + b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    told = loaded(answer)
    assert told.scores == {"0": (0.0, 0.0), "1": (1.0, 1.0)}
    assert told.lost == 0


def test_nobody_listening_is_told_as_such() -> None:
    load = Load("http://127.0.0.1:9/v1/score", BODIES, "test")
    asyncio.run(load.closed(3, 5.0, warm=0.0))
    assert load.told.turned_away == 3
    assert load.told.seconds < 4


def test_percentiles_are_those_of_the_sorted_times() -> None:
    assert percentiles([float(k) for k in range(101)]) == (50.0, 99.0)
    assert percentiles([7.0]) == (7.0, 7.0)
    assert percentiles([]) == (0.0, 0.0)


def test_growth_is_the_slope_after_the_first_quarter() -> None:
    samples = [(t, 100.0 if t < 15 else 50 + t / 60, 300.0) for t in map(float, range(1, 61))]
    front, workers = _growth(samples, 60.0)
    assert "+1.00 MiB a minute" in front
    assert "+0.00 MiB a minute" in workers
    assert _growth(samples[:10], 60.0) == ["  too short to tell whether memory grows"]


@pytest.mark.parametrize("allowed", [{"200"}, {"200", "429"}])
def test_faults_are_what_is_not_allowed(allowed: set[str]) -> None:
    told = Told()
    told.statuses.update({"200": 5, "429": 2})
    assert faults_of(told, allowed) == ("" if "429" in allowed else "status 429 2")
