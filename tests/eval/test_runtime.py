import sys
import time
from pathlib import Path

import pytest
import torch

from beholder.errors import ConfigError
from beholder.eval import _runtime
from beholder.eval._runtime import measure_runtime, peak_memory


def test_the_quartiles_are_of_the_runs_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # each call takes as many seconds as its number: the two of the warm-up would move the median
    clock = 0.0
    calls = 0

    def call() -> None:
        nonlocal clock, calls
        calls += 1
        clock += calls

    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    found = measure_runtime(call, repeats=5, warm_up=2)
    assert calls == 7
    assert (found.low, found.median, found.high) == (4.0, 5.0, 6.0)  # of 3, 4, 5, 6, 7
    assert found.as_dict()["repeats"] == 5


def test_a_sleep_takes_its_time() -> None:
    found = measure_runtime(lambda: time.sleep(0.01), repeats=3, warm_up=0)
    assert 0.01 <= found.low <= found.median <= found.high < 1


def test_an_accelerator_has_finished_before_the_clock_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    class Accelerator:
        @staticmethod
        def synchronize() -> None:
            order.append("wait")

    monkeypatch.setattr(torch, "get_device_module", lambda _: Accelerator)
    measure_runtime(lambda: order.append("call"), device="cuda", repeats=2, warm_up=1)
    assert order == ["call", *["wait", "call", "wait"] * 2]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"repeats": 0}, "repeats must be 1 or more, got 0"),
        ({"warm_up": -1}, "warm_up must be 0 or more"),
        ({"device": "meta"}, "computes nothing"),
    ],
)
def test_what_cannot_be_timed_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        measure_runtime(lambda: None, **options)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a peak that can be reset")
def test_the_peak_is_what_was_held_at_once() -> None:
    def call() -> float:
        total = 0.0
        for _ in range(4):  # one after the other: the peak is one of them
            total += float(torch.ones(16, 2**20).sum())
        return total

    call()
    found = peak_memory(call)
    if found.peak is None:
        pytest.skip(found.how)
    assert found.peak == pytest.approx(64 * 2**20, rel=0.1)
    assert peak_memory(lambda: None).peak == pytest.approx(0, abs=2**20)


def test_on_cuda_the_allocator_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    held, peak = 100, 100

    def call() -> None:
        nonlocal peak
        peak = 350

    def reset(_: object) -> None:
        nonlocal peak
        peak = held

    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: held)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: peak)
    assert peak_memory(call, "cuda").peak == 250
    assert peak_memory(lambda: None, "cuda").peak == 0


def test_a_system_that_does_not_tell_gives_no_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_runtime, "_RESET", tmp_path / "no" / "such")
    found = peak_memory(lambda: None)
    assert found.peak is None
    assert "does not tell" in found.how
    assert peak_memory(lambda: None, "meta").as_dict() == {"peak": None, "how": "not told on meta"}


def test_an_error_of_the_call_is_its_own() -> None:
    def call() -> None:
        raise OSError("of the call")

    with pytest.raises(OSError, match="of the call"):
        peak_memory(call)
