"""The client and the server of this package, in one process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
import uvicorn

import beholder
from beholder.errors import BeholderError
from beholder.rewards import Reward
from beholder.rewards.tiny import Tiny
from beholder.serving.app import create_app
from beholder.serving.guards import guarded
from beholder.serving.infos import info_of
from beholder.serving.settings import RequestLimits
from tests.rewards.remote.test_reward import Shrinking, Telling
from tests.rewards.simple import Red, flat
from tests.serving.clients import TOKEN, context_of
from tests.serving.in_process import EngineBackend


@contextmanager
def served(backend: EngineBackend, **of_context: Any) -> Iterator[str]:
    """The address of a server in a thread."""
    context = context_of(backend, **of_context)
    config = uvicorn.Config(
        guarded(create_app(context), context), log_config=None, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def backend() -> Iterator[EngineBackend]:
    rewards: list[Reward] = [Tiny(0), Red(), Shrinking(), Telling()]
    backend = EngineBackend({reward.card.name: reward.eval() for reward in rewards})
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def address(backend: EngineBackend) -> Iterator[str]:
    with served(backend) as address:
        yield address


def pictures() -> list[torch.Tensor]:
    """Bytes and floats, of one size and of others."""
    sizes = [(30, 40), (30, 40), (9, 5), (200, 31)]
    eight = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
    return [*eight, *(torch.rand(3, *size) for size in sizes)]


PROMPTS = ["a cat", "", "two\r\nlines", "é 猫 🐈", "<|endoftext|>", " ", "x" * 20_000, 'a "b"; c']


@pytest.mark.parametrize("name", ["tiny", "red", "shrinking"])
def test_scores_are_the_local_ones(address: str, backend: EngineBackend, name: str) -> None:
    remote, local, images = beholder.load(f"{address}/{name}"), backend.served[name], pictures()
    mine, theirs = (reward.score(images, PROMPTS) for reward in (remote, local))
    torch.testing.assert_close(mine.total, theirs.total, atol=1e-6, rtol=1e-6)
    for aspect, values in theirs.aspects.items():
        torch.testing.assert_close(mine.aspects[aspect], values, atol=1e-6, rtol=1e-6)
    assert (mine.sizes, mine.errors) == (theirs.sizes, {})


def test_the_card_tells_what_the_reward_is(address: str, backend: EngineBackend) -> None:
    for name, local in backend.served.items():
        card = beholder.load(f"{address}/{name}").card
        assert card == replace(
            local.card,
            paper=card.paper,
            weights=card.weights,
            differentiable=False,
            notes=card.notes,
            float_error=None,
            parity=(),
            bf16_error=None,
            fp16_error=None,
        )


def test_details_and_errors_come_back(address: str, backend: EngineBackend) -> None:
    images, prompts = list(flat(0.25, 0.0, 0.5)), ["a cat", "b", "c d"]
    mine = beholder.load(f"{address}/telling").score(images, prompts)
    theirs = backend.served["telling"].score(images, prompts)
    assert mine.errors == theirs.errors == {1: "too-dark: no light"}
    torch.testing.assert_close(mine.total, theirs.total, equal_nan=True)
    torch.testing.assert_close(mine.maps["glow"][::2], theirs.maps["glow"][::2])
    torch.testing.assert_close(mine.deviations["red"][::2], theirs.deviations["red"][::2])
    assert mine.words[::2] == tuple(map(tuple, theirs.words[::2]))
    assert mine.aspects["odd"].isnan().all()


def test_a_prompt_without_a_score_harms_no_other(address: str) -> None:
    found = beholder.load(f"{address}/red").score(list(flat(0.25, 0.5, 0.75)), ["a", "nan", "b"])
    assert list(found.errors) == [1]
    assert found.errors[1].startswith("non-finite: ")
    assert found.total[[0, 2]].tolist() == [0.25, 0.75]


def test_a_token_is_asked_for(backend: EngineBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEHOLDER_TOKEN", raising=False)
    with served(backend, token=TOKEN) as address:
        with pytest.raises(BeholderError, match="asks for a token"):
            beholder.load(f"{address}/red")
        with pytest.raises(BeholderError, match="does not take the token"):
            beholder.load(f"{address}/red", token="another-token-altogether")
        monkeypatch.setenv("BEHOLDER_TOKEN", TOKEN)
        assert beholder.load(f"{address}/red").score(list(flat(0.5)), "a").total.item() == 0.5


def test_requests_shrink_to_what_the_server_takes(backend: EngineBackend) -> None:
    values = [k / 16 for k in range(9)]
    with served(backend, limits=RequestLimits(items=2, body=4000)) as address:
        remote = beholder.load(f"{address}/red")
        assert remote.score(list(flat(*values)), "a").total.tolist() == values
        huge = remote.score([*flat(0.5), *flat(0.25, size=(40, 40))], "a")
        assert huge.total[0] == 0.5
        assert huge.errors[1].startswith("too-large: ")


def test_weights_that_are_loaded_anew_are_noticed(backend: EngineBackend, address: str) -> None:
    remote, local = beholder.load(f"{address}/tiny"), backend.served["tiny"]
    known = backend._infos["tiny"]
    backend._infos["tiny"] = info_of("tiny", Tiny(1), "white", known.details)
    with pytest.raises(BeholderError, match="nothing was mixed"):
        remote.score(list(flat(0.5)), "a")
    assert beholder.load(f"{address}/tiny").score(list(flat(0.5)), "a").errors == {}
    backend._infos["tiny"] = info_of("tiny", local, "black", known.details)
    assert remote.score(list(flat(0.5)), "a").errors == {}
    backend._infos["tiny"] = known
