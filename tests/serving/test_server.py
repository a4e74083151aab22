"""The whole server in a process of its own: ready, asked, reloaded, ended."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import beholder
from beholder.errors import BeholderError
from beholder.serving.server import address_of, listening_at, serve
from beholder.serving.settings import Access, PoolSettings, ServeSettings, WorkerSettings
from tests.serving.fakes import png
from tests.serving.running import Running, refused, running

CLIENT = httpx.Client()
LIGHT = "light=tests.serving.rewards:Light"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running("-r", "tiny", "-r", LIGHT, "--set", "light.seconds=0.02") as found:
        yield found


def ask(server: Running, level: int, **fields: str) -> dict[str, object]:
    files = {"image": ("a.png", png(level), "image/png")}
    answer = CLIENT.post(f"{server.address}/v1/score", files=files, data=fields, timeout=60)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    found: dict[str, object] = result
    return found


def test_scores_are_those_of_the_reward_at_home(server: Running) -> None:
    scores = ask(server, 51, prompt="a fox")["scores"]
    here = beholder.load("tiny").score(png(51), "a fox").total.item()
    assert scores["tiny"]["total"] == pytest.approx(here, abs=1e-5)  # type: ignore[index]


def test_it_is_ready_and_says_what_it_serves(server: Running) -> None:
    assert httpx.get(f"{server.address}/healthz").status_code == 200
    assert httpx.get(f"{server.address}/readyz").status_code == 200
    served = httpx.get(f"{server.address}/v1/rewards").json()["rewards"]
    assert [reward["name"] for reward in served] == ["tiny", "light"]


def test_weights_are_loaded_anew_while_it_answers(server: Running) -> None:
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 120
    while not any("loaded anew" in line for line in server.said):
        assert "light" in ask(server, 51, reward="light")["scores"]  # type: ignore[operator]
        assert time.monotonic() < end, "".join(server.said)


def wait_for(server: Running, line: str) -> None:
    """Until the server's metrics say so."""
    end = time.monotonic() + 60
    while line not in httpx.get(f"{server.address}/metrics").text.splitlines():
        assert time.monotonic() < end, "".join(server.said)
        time.sleep(0.02)


@pytest.mark.long
def test_whoever_was_accepted_is_answered_when_it_ends() -> None:
    with running("-r", LIGHT, "--set", "light.seconds=3") as server:
        found: list[object] = []
        threads = [
            threading.Thread(target=lambda k=k: found.append(ask(server, k)["scores"]))
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        wait_for(server, "beholder_queue_items 8.0")
        assert server.stop() == 0
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(found)


@pytest.mark.long
def test_a_second_signal_ends_it_at_once_and_says_what_was_lost() -> None:
    with running("-r", LIGHT, "--set", "light.black_seconds=100") as server:
        image = {"image": ("a.png", png(0), "image/png")}

        def ask_in_vain() -> None:
            with suppress(httpx.HTTPError):
                httpx.post(f"{server.address}/v1/score", files=image, timeout=60)

        asking = threading.Thread(target=ask_in_vain)
        asking.start()
        wait_for(server, "beholder_queue_items 1.0")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        start = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - start < 15, "it drains for 20 seconds if it is asked once"
        asking.join()
        assert "1 accepted pictures were not answered" in "".join(server.said)


@pytest.mark.long
def test_what_cannot_be_loaded_ends_it_with_one_line() -> None:
    code, said = refused(["--port", "0", "-r", "nosuchreward"])
    assert code == 2
    assert "no reward named 'nosuchreward'" in said
    assert "Traceback" not in said


def test_an_address_is_written_as_a_client_needs_it() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_answer_does_not_wait_for_more_to_send() -> None:
    with listening_at("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_an_address_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    access = Access(host="192.0.2.1", port=0, token="t" * 16)
    pool = PoolSettings(workers=(WorkerSettings(rewards={"tiny": ("tiny", {})}),))
    with pytest.raises(BeholderError, match=r"cannot listen at 192\.0\.2\.1"):
        serve(ServeSettings(pool=pool, access=access))
