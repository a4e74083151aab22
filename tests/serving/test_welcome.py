"""A bare address says what is there, and takes none from the addresses that are something."""

import dataclasses

import pytest
from fastapi.testclient import TestClient

import beholder
from beholder.serving.context import Context
from beholder.serving.settings import PoolSettings, WorkerSettings
from tests.serving.clients import client_of, context_of
from tests.serving.fakes import FakeBackend

NAMES = ("light", "b-2", "docs", "rewards", "a{b}")


def context(backend: FakeBackend) -> Context:
    """Of a server that was told to serve the backend's rewards."""
    usual = context_of(backend)
    worker = WorkerSettings(rewards={name: (name, {}) for name in backend.names})
    pool = PoolSettings(workers=(worker, worker))
    return dataclasses.replace(
        usual, settings=dataclasses.replace(usual.settings, pool=pool), metrics=usual.metrics
    )


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(context(FakeBackend(names=NAMES)))


def test_the_root_tells_what_is_served_and_how_to_ask(client: TestClient) -> None:
    assert client.get("/").json() == {
        "server": "beholder",
        "version": beholder.__version__,
        "rewards": [*NAMES],
        "docs": "/docs",
        "ask": 'curl -F image=@fox.png -F prompt="a red fox" http://HOST:PORT/v1/score',
    }


@pytest.mark.parametrize("name", ["light", "b-2"])
def test_the_address_of_a_reward_tells_how_to_ask_it(client: TestClient, name: str) -> None:
    told = client.get(f"/{name}").json()
    assert told["rewards"] == [name]
    assert f" -F reward={name} http" in told["ask"]


def test_rewards_named_as_an_address_of_ours_leave_it_alone(client: TestClient) -> None:
    assert client.get("/docs").headers["content-type"].startswith("text/html")
    assert client.get("/rewards").json() == {"rewards": [*NAMES]}


@pytest.mark.parametrize(("method", "path"), [("POST", "score"), ("GET", "rewards")])
def test_v1_behind_a_name_says_where_it_is(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, f"/b-2/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not-found"
    assert 'ask /v1/score with "rewards": ["b-2"]' in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/nobody/v1/score", "/v1/v1/score", "/nobody", "/a%7Bb%7D"])
def test_a_name_that_is_not_served_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in {"not-found", "unknown-reward"}


def test_an_address_that_takes_only_post_says_so_still(client: TestClient) -> None:
    answer = client.get("/score")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_nothing_is_told_of_rewards_that_still_load() -> None:
    loading = client_of(context_of(FakeBackend(names=(), unready_because="loading")))
    answer = loading.get("/")
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "loading")
