"""What strangers and accidents do to a running server: it answers everybody else, and lives."""

import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving.fakes import png
from tests.serving.impatient import LIMITS, children, impatient, lives
from tests.serving.running import Running

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc"),
]

PATIENCE = 60.0
CLIENT = httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all threads: making one costs more than asking."""

WHITE = 255
HEAD = (
    b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Whatever the tests did: it ends with 0, leaves no process and told of no bug of its own."""
    with impatient() as found:
        yield found
        below = children(found.process.pid)
        assert found.stop() == 0
        assert below
        assert not any(map(lives, below))
        assert "Traceback" not in "".join(found.said)


def score(server: Running, levels: Sequence[int], reward: str = "light") -> httpx.Response:
    files = [("image", (f"{level}.png", png(level), "image/png")) for level in levels]
    return CLIENT.post(f"{server.address}/v1/score", files=files, data={"reward": reward})


def scores(server: Running, levels: Sequence[int]) -> list[float | str]:
    """Total or code of the fault of each, asked again while the server has no worker."""
    end = time.monotonic() + PATIENCE
    while (response := score(server, levels)).status_code == 503:
        assert int(response.headers["retry-after"]) >= 1
        assert time.monotonic() < end, "".join(server.said)
        time.sleep(0.1)
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    assert len(results) == len(levels)
    return [
        r["scores"]["light"]["total"] if r["scores"] else r["errors"]["light"]["code"]
        for r in results
    ]


def light(levels: Sequence[int]) -> list[Any]:
    """What `scores` gives of grey pictures."""
    return [pytest.approx(level / 255, abs=1e-5) for level in levels]


def awaited(condition: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def metric(server: Running, name: str) -> float:
    text = CLIENT.get(f"{server.address}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def connected(server: Running) -> socket.socket:
    address = urlsplit(server.address)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE)


def heard(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    said = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            said += part
    return said


def test_a_worker_that_is_killed_under_load_takes_no_answer_with_it(server: Running) -> None:
    (worker,) = children(server.process.pid)
    found: dict[int, list[float | str]] = {}
    asked = 16

    def client(number: int) -> None:
        for k in range(asked):
            level = number * asked + k
            found[level] = scores(server, [level])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert awaited(lambda: len(found) > 20)
    os.kill(worker, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert found == {level: light([level]) for level in range(8 * asked)}
    assert awaited(lambda: children(server.process.pid) != [])
    assert worker not in children(server.process.pid)
    assert metric(server, "beholder_worker_deaths_total") == 1


def test_a_picture_that_kills_every_worker_is_told_alone(server: Running) -> None:
    before = metric(server, "beholder_worker_deaths_total")
    levels = [10, 20, WHITE, 30, 40, 50, 60]
    expected = light(levels)
    expected[levels.index(WHITE)] = "worker-died"
    assert scores(server, levels) == expected
    assert metric(server, "beholder_worker_deaths_total") == before + 2
    assert scores(server, [70]) == light([70])


def test_who_leaves_takes_the_work_along(server: Running) -> None:
    assert scores(server, [1]) == light([1])
    pictures = 100
    body = httpx.Request(
        "POST",
        f"{server.address}/v1/score",
        files=[("image", ("a.png", png(k), "image/png")) for k in range(pictures)],
        data={"reward": "slow"},
    )
    with connected(server) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
        connection.sendall(f"POST /v1/score HTTP/1.1\r\n{head}\r\n".encode() + body.read())
        assert awaited(lambda: metric(server, "beholder_queue_items") == pictures)
    assert awaited(lambda: metric(server, "beholder_queue_items") == 0)
    assert scores(server, [2]) == light([2])  # waits for the pass of four that ran, for no other
    assert metric(server, 'beholder_batch_items_sum{reward="slow"}') < pictures / 2


def test_half_a_body_is_given_up_and_holds_up_nobody(server: Running) -> None:
    body = b'{"items": [' + b" " * 5_000
    start = time.monotonic()
    with connected(server) as waiting, connected(server) as slow, connected(server) as leaving:
        for connection in (waiting, slow, leaving):
            connection.sendall(HEAD % 10_000 + body)
        leaving.close()
        sending = threading.Thread(target=trickle, args=(slow,))
        sending.start()
        assert scores(server, [3]) == light([3])
        for connection in (waiting, slow):
            assert heard(connection).startswith(b"HTTP/1.1 408 ")
        sending.join()
    assert LIMITS.body_seconds <= time.monotonic() - start < PATIENCE


def trickle(connection: socket.socket) -> None:
    """A byte now and then, until the server has enough of it."""
    with suppress(OSError):
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.05)


def test_half_a_header_or_none_is_given_up(server: Running) -> None:
    start = time.monotonic()
    with connected(server) as half, connected(server) as silent:
        half.sendall(b"POST /v1/score HTTP/1.1\r\nHost: loc")
        assert scores(server, [4]) == light([4])
        assert heard(half).startswith(b"HTTP/1.1 408 ")
        assert heard(silent) == b""
    assert LIMITS.header_seconds <= time.monotonic() - start < PATIENCE


def test_connections_beyond_the_bound_are_turned_away_at_once(server: Running) -> None:
    held = [connected(server) for _ in range(LIMITS.connections)]
    try:
        with connected(server) as more:
            assert heard(more).startswith(b"HTTP/1.1 503 ")
    finally:
        for connection in held:
            connection.close()
    assert awaited(lambda: scores(server, [5]) == light([5]))


def test_what_is_no_http_gets_a_no(server: Running) -> None:
    answers = Counter(refused(server, data) for data in NOT_HTTP)
    assert answers.keys() <= {"400", "403", "422"}
    assert answers["400"] >= 9
    assert scores(server, [6]) == light([6])


LONG = b"x" * 200_000
NOT_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # the hello of TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0" * 100 + b"\r\n\r\n",
    b"GET /" + LONG + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + LONG + b"\r\n\r\n",
    HEAD % 10 + b"{}" + b"\xff" * 8,
    HEAD.replace(b"%d", b"-1"),
    HEAD.replace(b"%d", b"99999999999999999999999"),
    HEAD.replace(b"%d", b"2\r\nContent-Length: 3") + b"{}",
    HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: gzip") + b"{}",
    HEAD.replace(b"%d", b"2\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
]


def refused(server: Running, data: bytes) -> str:
    """The status of the answer."""
    with connected(server) as connection:
        with suppress(OSError):  # it is answered, and left, before all of it has come
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        said = heard(connection)
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", said)
    assert found, said[:80]
    return found[1].decode()
