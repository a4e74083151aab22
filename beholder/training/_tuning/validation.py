"""Evaluations of a tuning: the same prompts and seeds each time, scored by two rewards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from beholder.errors import BeholderError
from beholder.training._tuning.pretraining import Denoising
from beholder.training._tuning.samples import write_samples
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Sums
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Driver, Sampling

_LEAST_STD = 1e-8
_FILE = "start.json"


@runtime_checkable
class Settings(Protocol):
    """What evaluations read of a configuration."""

    @property
    def sampling(self) -> Sampling: ...

    @property
    def prompts_per_batch(self) -> int: ...

    @property
    def fit(self) -> FitConfig: ...


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one process's share of the validation prompts, in float64 on the CPU.

    Attributes:
        rows: which prompts.
        reward, held_out: NaN where there is none.
    """

    rows: Tensor
    reward: Tensor
    held_out: Tensor


class Validation:
    """Samples, scores and keeps pictures of the validation prompts.

    Args:
        driver: what is evaluated.
        config: how it samples, and the seed.
        prompts: one picture each.
        signals: the reward that is learned from, and one that is not.
        folder: of the run; gets `samples/`.
    """

    def __init__(
        self,
        driver: Driver,
        config: Settings,
        prompts: Sequence[str],
        signals: tuple[Signal, Signal | None],
        folder: Path,
    ) -> None:
        self._driver, self._sampling, self._prompts = driver, config.sampling, list(prompts)
        self._signal, self._held_out = signals
        self._folder, self._batch = folder, config.prompts_per_batch
        generator = torch.Generator().manual_seed(config.fit.seed)
        drawn = torch.randint(2**31, (len(self._prompts),), generator=generator)
        self._seeds: list[int] = drawn.tolist()

    def pictures(self) -> tuple[list[Tensor], list[str]]:
        """The pictures (3, h, w) of all prompts as they are now, and the prompts."""
        found = [self._sampled(rows).cpu() for rows in self._batches(0, 1)]
        return [picture for part in found for picture in part], self._prompts

    def score(self, step: int, rank: int, count: int) -> Scored:
        """Scores after `step` optimizer steps, of every `count`-th prompt from `rank`."""
        parts = [self._batch_scored(step, rows) for rows in self._batches(rank, count)]
        nothing = torch.empty(0, dtype=torch.float64)
        columns = list(zip(*parts, strict=True)) or [(nothing,)] * 3
        return Scored(*(torch.cat(column) for column in columns))

    def levels(self) -> tuple[float, ...]:
        """Noise level of each sampling step."""
        return tuple(self._driver.levels(self._prompts[0], self._sampling))

    def _batches(self, rank: int, count: int) -> Iterator[list[int]]:
        rows = list(range(rank, len(self._prompts), count))
        for start in range(0, len(rows), self._batch):
            yield rows[start : start + self._batch]

    def _batch_scored(self, step: int, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        prompts = [self._prompts[row] for row in rows]
        pixels = self._sampled(rows)
        write_samples(self._folder, step, rows, pixels)
        reward = self._signal.labels(pixels, prompts).double().cpu()
        held_out = torch.full_like(reward, math.nan)
        if self._held_out is not None:
            held_out = self._held_out.labels(pixels, prompts).double().cpu()
        return torch.tensor(rows), reward, held_out

    @torch.no_grad()
    def _sampled(self, rows: list[int]) -> Tensor:
        prompts = [self._prompts[row] for row in rows]
        seeds = [self._seeds[row] for row in rows]
        return self._driver.sample(prompts, self._sampling, seeds=seeds).pixels


def find_start(
    folder: Path, validation: Validation, processes: Processes
) -> tuple[Start, Scored | None]:
    """The scale of the rewards, and this process's scores if they were measured just now.

    A run that goes on reads `start.json`. Raises BeholderError if all pictures score the same.
    """
    path = folder / _FILE
    if path.is_file():
        return Start.load(path), None
    scored = validation.score(0, processes.rank, processes.count)
    mean, std = moments(scored.reward, processes)
    held_out_mean, held_out_std = moments(scored.held_out, processes)
    if not std > _LEAST_STD:
        raise BeholderError(
            f"the reward gives every picture of the pipeline {mean:.4g}; there is nothing to learn"
        )
    start = Start(
        mean=mean,
        std=std,
        levels=validation.levels(),
        held_out_mean=held_out_mean,
        held_out_std=held_out_std,
    )
    processes.wait()
    if processes.is_main:
        start.save(path)
    return start, scored


def moments(values: Tensor, processes: Processes) -> tuple[float, float]:
    """Mean and standard deviation (of the sample) of the finite values of all processes."""
    finite = values[values.isfinite()]
    sums = processes.sum(torch.stack([finite.new_tensor(len(finite)), finite.sum()]))
    count, mean = float(sums[0]), float(sums[1] / sums[0])
    squares = processes.sum((finite - mean).square().sum())
    return mean, math.sqrt(float(squares) / (count - 1)) if count > 1 else math.nan


def metric_sums(scored: Scored, start: Start, denoising: Denoising | None) -> Sums:
    """Sum and count of each metric of an evaluation.

    eval/reward and eval/held_out are means; eval/reward_gain and eval/held_out_gain are in standard
    deviations of the pipeline's own pictures; eval/gap is the first gain less the second, which
    grows where the reward is hacked; eval/failed is the share of pictures without a score and
    eval/denoising the denoising loss of held-out samples.
    """
    reward, held_out = scored.reward, scored.held_out
    gain = (reward - start.mean) / start.std
    sums = {"eval/reward": _sum(reward), "eval/reward_gain": _sum(gain)}
    sums["eval/failed"] = (float((~reward.isfinite()).sum()), float(len(reward)))
    if math.isfinite(start.held_out_mean):
        other = (held_out - start.held_out_mean) / max(start.held_out_std, _LEAST_STD)
        sums |= {"eval/held_out": _sum(held_out), "eval/held_out_gain": _sum(other)}
        sums["eval/gap"] = _sum(gain - other)
    if denoising is not None:
        sums["eval/denoising"] = (denoising.measure(), 1.0)
    return sums


def _sum(values: Tensor) -> tuple[float, float]:
    finite = values[values.isfinite()]
    return float(finite.sum()), float(len(finite))


def objective(metrics: Mapping[str, float]) -> tuple[float, ...]:
    """What a run stops on: the reward that it does not learn from, if there is one."""
    return (metrics.get("eval/held_out", metrics["eval/reward"]),)
