"""What a step of each algorithm costs beside what it cannot do without.

    python -m benchmarks.tuning --size small --rounds 5
    python -m benchmarks.tuning --size sd15 --device cuda     # also: --size sdxl

A round times, one after the other: a rollout without gradient that ends where ReFL's does, decoded
and scored; a step of each algorithm without its backward pass; and that backward pass. The ratio is

    step of ReFL / (rollout without gradient + backward pass),

its median over the rounds is printed: 1 would be a graph that costs nothing to record. On a GPU the
seconds and the peak memory of each algorithm are printed too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from beholder.rewards import load
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training.algorithms import algorithm_class, config_class
from beholder.training.algorithms._base import Algorithm, Studio
from beholder.training.pipeline import Driver, Lora, Sampling
from benchmarks._options import heading, parser, tell
from benchmarks._pipelines import pipeline
from benchmarks._record import Row, Spread

ALGORITHMS: dict[str, dict[str, Any]] = {
    "refl": {},
    "draft": {"k": 1},
    "dpo": {"candidates": 2, "min_probability": 0.5},
    "nft": {"group": 2},
}


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    driver = Driver(pipeline(given.size, device, dtype))
    if given.checkpointing:
        driver.denoiser.enable_gradient_checkpointing()
    trained = driver.add_lora(Lora(rank=16))
    sampling = Sampling(steps=given.steps, guidance=5.0)
    signal = Signal(load("tiny").to(device))
    levels = tuple(driver.levels("a red fox", sampling))
    studio = Studio(
        driver, trained, signal, ["a red fox", "a cat"], Start(mean=0, std=0.1, levels=levels), None
    )
    clock = _Clock(device)
    found: dict[str, Any] = {name: [] for name in ALGORITHMS}
    plain: list[float] = []
    for number in range(given.rounds + 1):
        rollout = clock.time(lambda: _rollout(studio, sampling, given.batch))
        plain.append(rollout)
        for name, options in ALGORITHMS.items():
            algorithm = _algorithm(name, studio, sampling, given.batch, options)
            found[name].append(_step(algorithm, number, clock, device))
    counted = {name: steps[1:] for name, steps in found.items()}
    row = _row(given, plain[1:], counted["refl"])
    report = _report(given, plain[1:], counted) | {row.against: row.ratio.told(3)}
    tell(given, json.dumps(report, indent=2, ensure_ascii=False), [row])


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--size", choices=("small", "sd15", "sdxl"), default="small")
    made.add_argument("--device", default="cpu")
    made.add_argument("--steps", type=int, default=12)
    made.add_argument("--batch", type=int, default=1)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--checkpointing", action="store_true")
    return made.parse_args()


class _Clock:
    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"

    def time(self, work: Callable[[], object]) -> float:
        self._wait()
        began = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


def _last_of_window(studio: Studio) -> int:
    return max(k for k, level in enumerate(studio.start.levels) if 0.15 <= level <= 0.65)


def _rollout(studio: Studio, sampling: Sampling, batch: int) -> None:
    """What ReFL's step does, without gradient."""
    prompts = list(studio.prompts[:1]) * batch
    seeds, stop = list(range(batch)), _last_of_window(studio)
    sampled = studio.driver.sample(prompts, sampling, seeds=seeds, stop_at=stop)
    with torch.no_grad():
        studio.signal(sampled.pixels, prompts)


def _algorithm(
    name: str, studio: Studio, sampling: Sampling, batch: int, options: dict[str, Any]
) -> Algorithm[Any]:
    window: dict[str, Any] = {} if name != "refl" else _narrow(studio)
    config = config_class(name)(
        algorithm=name, sampling=sampling, prompts_per_batch=batch, **options, **window
    )
    return algorithm_class(name)(studio, config)


def _narrow(studio: Studio) -> dict[str, float]:
    """A window of one step, so that every round does the same."""
    level = studio.start.levels[_last_of_window(studio)]
    return {"low": 0.999 * level, "high": 1.001 * level}


def _step(
    algorithm: Algorithm[Any], number: int, clock: _Clock, device: torch.device
) -> tuple[float, float, float]:
    """Seconds of a step, of its backward pass, and the peak memory in GiB (0 without a GPU)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    batch = next(iter(algorithm.batches(number, 1)))
    kept: list[torch.Tensor] = []
    forward = clock.time(lambda: kept.append(algorithm.step(batch)[0]))
    backward = clock.time(kept[0].backward)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    for _, weight in algorithm.studio.trained.named_parameters():
        weight.grad = None
    return forward, backward, memory


def _row(
    given: argparse.Namespace, plain: Sequence[float], refl: Sequence[tuple[float, ...]]
) -> Row:
    """What it costs to record the graph."""
    least = [rollout + backward for rollout, (_, backward, _) in zip(plain, refl, strict=True)]
    return Row(
        area="tuning",
        what=f"a step of ReFL, {given.size} pipeline on {given.device}, {given.steps} steps",
        against="its rollout without gradient and its backward pass",
        ratio=Spread.of_ratios([forward + backward for forward, backward, _ in refl], least),
        unit="wall time",
        goal=1.1,
        better="lower",
    )


def _report(
    given: argparse.Namespace,
    plain: Sequence[float],
    found: Mapping[str, Sequence[tuple[float, ...]]],
) -> dict[str, Any]:
    note = f"{given.threads} thread(s), {given.device}"
    steps = {name: [forward + back for forward, back, _ in rows] for name, rows in found.items()}
    report: dict[str, Any] = {
        "machine": heading("torch", "diffusers", "peft", note=note),
        "size": given.size,
        "sampling_steps": given.steps,
        "steps_in_rollouts": {n: Spread.of_ratios(s, plain).told() for n, s in steps.items()},
    }
    if given.device.startswith("cuda"):
        report["seconds_a_step"] = {n: Spread.of(s).told(3) for n, s in steps.items()}
        report["peak_gib"] = {
            name: round(max(memory for *_, memory in rows), 2) for name, rows in found.items()
        }
    return report


if __name__ == "__main__":
    main()
