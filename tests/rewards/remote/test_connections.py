"""Connections belong to one process and one copy, and heed the environment where they should."""

import copy
import gc
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable

import httpx
import pytest

from beholder.errors import ConfigError
from beholder.rewards._remote.address import parsed
from beholder.rewards._remote.connections import Connections

HERE = parsed("http://127.0.0.1:9/mps")


def test_one_client_serves_all_threads() -> None:
    connections, found = Connections(HERE, 1.0), []
    threads = [threading.Thread(target=lambda: found.append(connections.client())) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [connections.client()] * 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_makes_connections_of_its_own(
    copied: Callable[[Connections], Connections],
) -> None:
    connections = Connections(HERE, 3.0)
    first = connections.client()
    other = copied(connections)
    assert other.client() is not first
    assert other.client().timeout == first.timeout


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_leaves_its_parents_connections_alone() -> None:
    connections = Connections(HERE, 1.0)
    connections.client()
    context = multiprocessing.get_context("fork")
    told: multiprocessing.SimpleQueue[tuple[int, bool]] = context.SimpleQueue()

    def child() -> None:
        mine = connections.client()
        told.put((os.getpid(), mine is connections._clients[os.getppid()]))

    process = context.Process(target=child)
    process.start()
    process.join(30)
    number, is_parents = told.get()
    assert number == process.pid
    assert not is_parents
    assert not connections.client().is_closed


def test_connections_that_nobody_needs_are_closed() -> None:
    connections = Connections(HERE, 1.0)
    client = connections.client()
    del connections
    gc.collect()
    assert client.is_closed


def test_proxies_of_the_environment_are_for_others_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.org:3128")
    url = httpx.URL("http://host/")
    here = Connections(HERE, 1.0).client()
    there = Connections(parsed("http://host/mps"), 1.0).client()
    assert here._transport_for_url(url) is here._transport
    assert there._transport_for_url(url) is not there._transport


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy:70")
    with pytest.raises(ConfigError, match="environment's proxies"):
        Connections(parsed("http://host/mps"), 1.0).client()
    assert Connections(HERE, 1.0).client()
