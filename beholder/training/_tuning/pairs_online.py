"""Pairs of pictures to learn from: the best and the worst of some that were just sampled."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from beholder.calibration import Curve
from beholder.errors import BeholderError
from beholder.training._tuning.calibration import decided
from beholder.training._tuning.pairs import Pairs, Rule
from beholder.training._tuning.signal import Signal, score_logs
from beholder.training.fit.loop import Logs
from beholder.training.pipeline import Driver, Sampled, Sampling

_PATIENCE = 20  # batches without any pair before the run is given up


@dataclass(frozen=True, slots=True)
class Extremes:
    """The best and the worst of each group of pictures.

    Attributes:
        best, worst: their places in the group.
        p: probability that the best is better; 1/2 where there are not two scores, or they are as
            good as tied.
    """

    best: Int[Tensor, " g"]
    worst: Int[Tensor, " g"]
    p: Float[Tensor, " g"]


def extremes(scores: Float[Tensor, "g n"], curve: Curve) -> Extremes:
    """Best and worst by their scores; those without a finite one do not count.

    The curve says how likely people agree with the margin; with a temperature that is the
    Bradley-Terry probability sigmoid((best - worst) / T).
    """
    known = scores.isfinite()
    best = scores.where(known, -torch.inf).argmax(1)
    worst = scores.where(known, torch.inf).argmin(1)
    at_best, at_worst = (scores.gather(1, at[:, None])[:, 0] for at in (best, worst))
    margin = (at_best - at_worst).nan_to_num(0)
    return Extremes(best, worst, decided(curve, margin))


class SampledPairs:
    """Samples candidates of each prompt and pairs the best with the worst, if that is sure enough.

    Args:
        driver, sampling: of the pictures.
        signal: what judges them.
        candidates: pictures a prompt.
        curve: how sure the reward is; see `calibration`.
        rule: which pairs are kept.
        is_base: whether the pipeline samples as it was before tuning.
    """

    def __init__(
        self,
        driver: Driver,
        sampling: Sampling,
        signal: Signal,
        *,
        candidates: int,
        curve: Curve,
        rule: Rule,
        is_base: bool = False,
    ) -> None:
        self._driver, self._sampling, self._signal = driver, sampling, signal
        self._candidates, self._curve, self._rule = candidates, curve, rule
        self._is_base = is_base
        self._fruitless, self._surest = 0, 0.5

    def pairs(
        self, prompts: Sequence[str], seeds: Sequence[int], generator: torch.Generator
    ) -> tuple[Pairs | None, Logs]:
        """At most one pair a prompt, None if none is sure enough; and what is logged of the scores.

        The generator draws views.

        Raises BeholderError if that is so for each of the first batches.
        """
        many = repeated(prompts, self._candidates)
        with self._driver.reference() if self._is_base else nullcontext():
            sampled = sample_groups(self._driver, self._sampling, prompts, seeds, self._candidates)
        scores = self._signal.labels(sampled.pixels, many, generator)
        found = extremes(scores.reshape(len(prompts), -1), self._curve)
        logs = score_logs(scores)
        kept = ((found.p >= self._rule.least) & (found.p > 0.5)).nonzero()[:, 0]
        self._be_patient(len(kept), float(found.p.max()))
        if len(kept) == 0:
            return None, logs
        first, second = (kept * self._candidates + at[kept] for at in (found.best, found.worst))
        p = found.p[kept] if self._rule.is_soft else torch.ones_like(found.p[kept])
        latents = sampled.latents.detach()
        texts = [prompts[k] for k in kept.tolist()]
        return Pairs(latents[first], latents[second], p, texts), logs

    def _be_patient(self, kept: int, surest: float) -> None:
        """Count batches without a pair until one has any."""
        if kept:
            self._fruitless = -1
        if self._fruitless < 0:
            return
        self._fruitless += 1
        self._surest = max(self._surest, surest)
        if self._fruitless == _PATIENCE:
            raise BeholderError(
                f"in {_PATIENCE} batches no picture was surely better than another of its prompt: "
                f"the highest probability was {self._surest:.3f}, at least {self._rule.least:g} is "
                "asked; give calibration or temperature, so that it means what people say"
            )


def sample_groups(
    driver: Driver, sampling: Sampling, prompts: Sequence[str], seeds: Sequence[int], size: int
) -> Sampled:
    """`size` pictures of each prompt, one group after another, without gradient.

    A group is drawn from its prompt's seed, whatever the other prompts are.
    """
    draws = [np.random.default_rng(seed).integers(2**31, size=size) for seed in seeds]
    with torch.no_grad():
        return driver.sample(
            repeated(prompts, size), sampling, seeds=[int(seed) for draw in draws for seed in draw]
        )


def repeated(prompts: Sequence[str], times: int) -> list[str]:
    """Each prompt several times in a row."""
    return [prompt for prompt in prompts for _ in range(times)]
