"""The best of several pictures: all run to their ends, or those whose previews promise most."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.training._guidance.candidates import Candidate, Candidates, Choice, Chosen, scored
from beholder.training._guidance.metering import Progress, metered
from beholder.training._guidance.resuming import can_resume, resumed
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling, Step


@torch.no_grad()
def best_of(
    driver: Driver,
    signal: Signal,
    prompts: Sequence[str],
    sampling: Sampling,
    candidates: Candidates,
    *,
    progress: Progress | None = None,
) -> Chosen:
    """The best of `candidates.each` pictures of each prompt.

    A picture without a score never wins; a prompt none of whose pictures has one is in `errors`.
    Memory holds one batch and one picture a prompt. `progress` counts up to prompts · each · steps.
    Raises DataError if there is no prompt.
    """
    tried = candidates.of(prompts)
    choice = Choice(len(prompts), candidates.each)
    with metered(driver.pipe.scheduler, progress) as meter:
        for batch in candidates.batches(tried):
            choice.offer(batch, _run(driver, batch, sampling), signal)
    return choice.chosen(candidates, meter.steps, meter.steps // len(tried))


@torch.no_grad()
def early_rejection(
    driver: Driver,
    signal: Signal,
    prompts: Sequence[str],
    sampling: Sampling,
    candidates: Candidates,
    *,
    at: int,
    keep: int,
    progress: Progress | None = None,
) -> Chosen:
    """The best picture of each prompt, most of whose candidates are left early.

    Every candidate is run up to the step of index `at`, where the picture that it is heading for
    is scored; the best `keep` of each prompt go on. Of T steps and n candidates that takes
    n (at + 1) + keep (T - 1 - at) steps a prompt instead of n T. With schedulers that draw noise
    or remember earlier steps the kept ones are run again from their seeds, which takes keep T
    beside the previews. `preview_agreement` measures which `at` and `keep` lose nothing.

    Raises:
        ConfigError: if `at` is no step, `keep` is not in 1 … each, or the scheduler does not tell
            where a step is heading.
        DataError: if there is no prompt.
    """
    require("at", at, least=0, below=sampling.steps)
    require("keep", keep, least=1, most=candidates.each)
    previews = _Previews(driver, signal, sampling, at, keep)
    tried = candidates.of(prompts)
    choice = Choice(len(prompts), candidates.each)
    scores = choice.scores.clone()
    with metered(driver.pipe.scheduler, progress) as meter:
        for batch in candidates.batches(tried):
            previews.run(batch, scores)
        kept = [c for c in tried if c.number in best_numbers(scores[c.row], keep)]
        for batch in candidates.batches(kept):
            choice.offer(batch, previews.finish(batch), signal)
    return choice.chosen(candidates, meter.steps, previews.length, scores)


def best_numbers(scores: Float[Tensor, " n"], keep: int) -> list[int]:
    """Places of the best `keep` scores; equal ones in order, unknown ones last."""
    known = scores.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    return known.argsort(descending=True, stable=True)[:keep].tolist()


class _Previews:
    """Runs candidates to a step and the kept ones from there.

    Attributes:
        length: steps of a whole run; another number than asked for where a schedule is given.
    """

    def __init__(
        self, driver: Driver, signal: Signal, sampling: Sampling, at: int, keep: int
    ) -> None:
        self._driver, self._signal, self._sampling = driver, signal, sampling
        self._at, self._keep = at, keep
        self._resumes = can_resume(driver, sampling)
        self._states: dict[Candidate, Tensor] = {}
        self.length = sampling.steps

    def run(self, batch: Sequence[Candidate], scores: Float[Tensor, "b n"]) -> None:
        """Fill in what the batch is heading for."""
        following: list[Tensor] = []

        def note(step: Step) -> None:
            if step.index == self._at:
                following.append(step.following)
                self.length = len(self._driver.pipe.scheduler.timesteps)

        prompts = [c.prompt for c in batch]
        seeds = [c.seed for c in batch]
        pixels = self._driver.sample(
            prompts, self._sampling, seeds=seeds, stop_at=self._at, on_step=note
        ).pixels
        values, _ = scored(self._signal, pixels, prompts)
        for candidate, value in zip(batch, values, strict=True):
            scores[candidate.row, candidate.number] = value
        if self._resumes:
            self._states |= dict(zip(batch, following[0].clone(), strict=True))
            self._forget({c.row for c in batch}, scores)

    def finish(self, batch: Sequence[Candidate]) -> Tensor:
        """Pictures of kept candidates."""
        if not self._resumes:
            return _run(self._driver, batch, self._sampling)
        latents = torch.stack([self._states[c] for c in batch])
        if self._at + 1 == self.length:
            return self._driver.decode(latents, self._sampling)
        with resumed(self._driver.pipe, latents, self._at + 1):
            return _run(self._driver, batch, self._sampling)

    def _forget(self, rows: set[int], scores: Float[Tensor, "b n"]) -> None:
        """Drop latents of candidates that are out already, so that memory holds the kept ones."""
        kept = {row: best_numbers(scores[row], self._keep) for row in rows}
        for candidate in [c for c in self._states if c.row in rows]:
            if candidate.number not in kept[candidate.row]:
                del self._states[candidate]


def _run(driver: Driver, batch: Sequence[Candidate], sampling: Sampling) -> Tensor:
    prompts, seeds = [c.prompt for c in batch], [c.seed for c in batch]
    return driver.sample(prompts, sampling, seeds=seeds).pixels
