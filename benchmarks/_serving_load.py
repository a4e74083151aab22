"""Clients that ask a server for scores, in a process that imports nothing heavy; tells in JSON.

    python -m benchmarks._serving_load http://127.0.0.1:8000/v1/score bodies.jsonl --clients 16

Each client keeps one connection and asks again as soon as it has its answer. With --rate, requests
come at random times whether or not there was an answer, over as many connections as that takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

MOST_CONNECTIONS = 512
_PATIENCE = 90.0  # for one answer


@dataclass(frozen=True)
class Response:
    """Of HTTP; names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Told:
    """What the clients saw.

    Attributes:
        seconds: in which answers were counted for `milliseconds`.
        statuses: of every request that was answered -> how often.
        milliseconds: from request to answer, of answers with 200.
        refusals: the same of other statuses.
        scores: number of the body -> lowest and highest total.
        lost: requests that were sent whole and not answered.
        turned_away: connections that the server did not take.
        unlike: answers with another request's id, without a score, or more than one.
        hasty: answers 429 that do not say when to come again.
        unsent: of an open loop, because every connection was taken.
    """

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    scores: dict[str, tuple[float, float]] = field(default_factory=dict)
    lost: int = 0
    turned_away: int = 0
    unlike: int = 0
    hasty: int = 0
    unsent: int = 0

    def take(self, number: int, asked: str, response: Response, took: float) -> None:
        """Count one answer to the body with that number, asked under that id."""
        self.statuses[str(response.status)] += 1
        if response.headers.get("x-request-id", asked) != asked:
            self.unlike += 1
        if response.status == 200:
            self.milliseconds.append(round(took * 1e3, 3))
            self._take_score(str(number), response.body)
            return
        self.refusals.append(round(took * 1e3, 3))
        self.hasty += response.status == 429 and "retry-after" not in response.headers

    def _take_score(self, number: str, body: bytes) -> None:
        try:
            (result,) = json.loads(body)["results"]
            (score,) = result["scores"].values()
        except (ValueError, KeyError):
            self.unlike += 1
            return
        low, high = self.scores.get(number, (score["total"],) * 2)
        self.scores[number] = min(low, score["total"]), max(high, score["total"])


class Connection:
    """One connection that is kept, and opened anew where the server closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, asked: str, body: bytes) -> Response:
        """The answer to one request.

        Raises:
            ConnectionRefusedError: if nobody listens.
            OSError, EOFError, TimeoutError: if the request was sent and not answered.
        """
        reader, writer = await self._opened()
        head = f"{self._head}X-Request-ID: {asked}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            writer.write(head.encode() + body)
            response = await asyncio.wait_for(_response(reader), _PATIENCE)
        except (OSError, EOFError, TimeoutError):
            self.close()
            raise
        if response.headers.get("connection", "").lower() == "close":
            self.close()
        return response

    async def extra(self) -> int:
        """Bytes that came after the last answer."""
        if self._streams is None:
            return 0
        with suppress(OSError, TimeoutError):
            return len(await asyncio.wait_for(self._streams[0].read(1), 0.05))
        return 0

    def close(self) -> None:
        """Forget the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(self._host, self._port)
        return self._streams


async def _response(reader: asyncio.StreamReader) -> Response:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        return Response(int(first.split()[1]), headers, await _chunks(reader))
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Response(int(first.split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


class Load:
    """Clients of one server."""

    def __init__(self, url: str, bodies: Sequence[bytes], name: str) -> None:
        self.told = Told()
        self._url, self._bodies, self._name = url, bodies, name
        self._asked = 0

    async def closed(self, clients: int, seconds: float, warm: float) -> None:
        """Every client asks again as soon as it is answered; what `warm` seconds saw is dropped."""
        start = time.monotonic()
        tasks = [asyncio.create_task(self._client(start + warm + seconds)) for _ in range(clients)]
        if warm:
            await asyncio.sleep(warm)
            self.told.milliseconds.clear()
            self.told.refusals.clear()
        await asyncio.wait(tasks, timeout=seconds)
        self.told.seconds = time.monotonic() - start - warm
        counted = len(self.told.milliseconds)
        await asyncio.gather(*tasks)
        del self.told.milliseconds[counted:]

    async def open(self, rate: float, seconds: float, generator: random.Random) -> None:
        """Requests come `rate` a second, with exponential gaps, whatever becomes of them."""
        idle: list[Connection] = []
        tasks: set[asyncio.Task[None]] = set()
        start = due = time.monotonic()
        while due < start + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += generator.expovariate(rate)
            if len(tasks) >= MOST_CONNECTIONS:
                self.told.unsent += 1
                continue
            connection = idle.pop() if idle else Connection(self._url)
            task = asyncio.create_task(self._once(connection, idle))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        self.told.seconds = time.monotonic() - start
        await asyncio.gather(*tasks)
        for connection in idle:
            connection.close()

    async def _client(self, end: float) -> None:
        connection = Connection(self._url)
        while time.monotonic() < end and await self._ask(connection):
            pass
        self.told.unlike += await connection.extra() > 0
        connection.close()

    async def _once(self, connection: Connection, idle: list[Connection]) -> None:
        await self._ask(connection)
        idle.append(connection)

    async def _ask(self, connection: Connection) -> bool:
        """Whether somebody listens."""
        number = self._asked % len(self._bodies)
        self._asked += 1
        asked = f"{self._name}-{self._asked}"
        start = time.monotonic()
        try:
            response = await connection.ask(asked, self._bodies[number])
        except ConnectionRefusedError:
            self.told.turned_away += 1
            return False
        except (OSError, EOFError, TimeoutError):
            self.told.lost += 1
        else:
            self.told.take(number, asked, response, time.monotonic() - start)
        return True


def main() -> None:
    given = _arguments()
    load = Load(given.url, given.bodies.read_bytes().splitlines(), given.name)
    if given.rate:
        running = load.open(given.rate, given.seconds, random.Random(0))
    else:
        running = load.closed(given.clients, given.seconds, given.warm)
    asyncio.run(running)
    sys.stdout.write(json.dumps(vars(load.told)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="ask a server for scores")
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path, help="a request a line")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, open loop")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm", type=float, default=0.0, help="seconds before them")
    parser.add_argument("--name", default="load", help="that request ids begin with")
    return parser.parse_args()


if __name__ == "__main__":
    main()
