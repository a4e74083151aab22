"""The verb serve: its mistakes are told at once, its workers are spread over the GPUs."""

import socket

import pytest
import torch

from beholder._verbs.serve import pool_of
from beholder.serving.settings import WorkerSettings
from tests.shell import Shell

EACH = WorkerSettings(rewards={"tiny": ("tiny", {})})


@pytest.fixture(autouse=True)
def without_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEHOLDER_TOKEN", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_server_without_rewards_says_how_to_name_one(shell: Shell) -> None:
    assert shell("serve") == 2
    assert "name at least one reward" in shell.err


def test_others_are_not_heard_without_a_token(shell: Shell) -> None:
    assert shell("serve", "-r", "tiny", "--host", "0.0.0.0") == 2
    assert "token" in shell.err
    assert shell.err.count("\n") == 1


def test_an_address_that_is_taken_is_told_before_any_weight_is_loaded(shell: Shell) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert shell("serve", "-r", "tiny", "--port", port) == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in shell.err


def test_two_rewards_of_one_name_are_refused(shell: Shell) -> None:
    assert shell("serve", "-r", "tiny", "-r", "runs/tiny") == 2
    assert "share" in shell.err


def test_there_is_one_worker_unless_more_are_asked_for() -> None:
    assert [w.device for w in pool_of(EACH, None, 10).workers] == [None]
    assert len(pool_of(EACH, 3, 10).workers) == 3
    assert pool_of(EACH, 1, 10).queue == 10


def test_a_slow_batch_on_a_cpu_is_not_taken_for_a_stall() -> None:
    gpu = WorkerSettings(rewards=EACH.rewards, device="cuda:0")
    assert pool_of(EACH, 1, 10).stall_seconds > 10 * pool_of(gpu, 1, 10).stall_seconds


def test_each_gpu_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    on_gpu = WorkerSettings(rewards=EACH.rewards, device="cuda")
    assert [w.device for w in pool_of(on_gpu, None, 10).workers] == ["cuda:0", "cuda:1"]
    assert [w.device for w in pool_of(on_gpu, 4, 10).workers] == ["cuda:0", "cuda:1"] * 2
    one = WorkerSettings(rewards=EACH.rewards, device="cuda:1")
    assert [w.device for w in pool_of(one, None, 10).workers] == ["cuda:1"]
