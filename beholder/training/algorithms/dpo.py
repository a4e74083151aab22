"""Diffusion-DPO: pictures that are preferred become likelier than those that are not.

Wallace et al. (CVPR 2024), with the losses of IPO (Azar et al., 2024) and Diffusion-KTO (Li et al.,
2024). Both pictures of a pair are noised to the same time by the same noise, and their denoising
errors are compared with those of the pipeline before tuning. Rectified flow differs only in what a
model is trained to give. Pairs come from judgements, or online: of some pictures of a prompt the
best and the worst, if the reward is sure enough. The reward needs no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from beholder.annotation.records.dataset import read_preferences
from beholder.calibration import Curve
from beholder.errors import ConfigError
from beholder.training._tuning.calibration import (
    calibrated,
    decided,
    keep_curve,
    kept_curve,
    own_curve,
    pair_margins,
)
from beholder.training._tuning.pairs import JudgedPairs, Pairs, Rule, in_turn, prepare_pairs
from beholder.training._tuning.pairs_online import SampledPairs
from beholder.training._tuning.signal import Signal
from beholder.training.algorithms._base import Algorithm, Studio, TuneConfig, generator_of
from beholder.training.fit.learner import require
from beholder.training.fit.loop import Logs
from beholder.training.preference_losses import (
    denoising_errors,
    dpo_loss,
    implicit_accuracy,
    ipo_loss,
    kto_loss,
    preference_logits,
)
from beholder.training.tuning_losses import output_distance
from beholder.types import Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoConfig(TuneConfig):
    """What Diffusion-DPO is asked.

    Attributes:
        preferences: folder that `annotation.dataset.write_preferences` wrote; "" samples pairs
            online. Of its answers those to `aspect` count; "total" is "overall". A batch holds
            `prompts_per_batch` of the pairs.
        min_share: share of annotators that must prefer the winner of a judged pair; ties never
            count.
        relabel: let the reward judge the pairs in `preferences` instead.
        loss: "dpo", "ipo" or "kto".
        beta: how strongly the model is held to what it was; for errors that are means over the
            values of a latent, with the number of diffusion steps in it.
        soft_labels: let a pair count in both orders, each with its probability.
        candidates: pictures sampled online for each prompt.
        rollout: which pipeline samples them: "current" or "base", as it was before tuning.
        min_probability: that the best is better than the worst, or a pair is left out; so it is
            for pairs that the reward judges. A pair that the reward's calibration calls a tie is
            left out too.
        temperature: margin of scores at which it is sigmoid(1); None leaves it to `calibration`.
        calibration: folder of preferences on which the temperature is fitted; "" takes the
            reward's own calibration, or if it has none a temperature of 1, as of rewards that were
            trained on pairs.
    """

    algorithm: str = "dpo"
    preferences: str = ""
    min_share: float = 0.5
    relabel: bool = False
    loss: Literal["dpo", "ipo", "kto"] = "dpo"
    beta: float = 2000.0
    soft_labels: bool = False
    candidates: int = 4
    rollout: Literal["current", "base"] = "current"
    min_probability: float = 0.6
    temperature: float | None = None
    calibration: str = ""

    def __post_init__(self) -> None:
        TuneConfig.__post_init__(self)
        require("beta", self.beta, above=0)
        require("candidates", self.candidates, least=2)
        require("min_share", self.min_share, least=0.5, most=1)
        require("min_probability", self.min_probability, least=0.5, below=1)
        if self.temperature is not None:
            require("temperature", self.temperature, above=0)
            if self.calibration:
                raise ConfigError(
                    "temperature is given, so calibration is not needed; leave one out"
                )
        if self.relabel and not self.preferences:
            raise ConfigError("relabel judges the pairs in preferences; name their folder")


_NOTHING: Logs = {
    "dpo/accuracy": 0.5,
    "dpo/winner_change": 0.0,
    "dpo/loser_change": 0.0,
    "kl/outputs": 0.0,
    "dpo/kept": 0.0,
}
"""What is logged of a batch without a pair: share of pairs in the order of the model, by how much
winners' and losers' denoising errors rose, distance to the reference, pairs of those asked for."""


class Dpo(Algorithm[DpoConfig]):
    """Diffusion-DPO on judged or sampled pairs."""

    title: ClassVar[str] = "Diffusion-DPO"
    paper: ClassVar[str] = (
        "B. Wallace et al., Diffusion Model Alignment Using Direct Preference Optimization, "
        "CVPR 2024."
    )

    def __init__(self, studio: Studio, config: DpoConfig) -> None:
        super().__init__(studio, config)
        self._judged: JudgedPairs | None = None
        with in_turn(Path(config.run)):
            if config.preferences:
                self._judged = _judged(studio, config)
            else:
                self._sampled = _sampled(studio, config)

    @override
    def batches(self, start: int, stride: int) -> Iterator[Any]:
        if self._judged is None:
            return super().batches(start, stride)
        return self._judged.batches(start, stride)

    @override
    def step(self, batch: Any) -> tuple[Tensor, Logs]:
        """Loss of a batch; `_NOTHING` says what is logged."""
        generator = generator_of(self.studio.driver.device)
        pairs, told = self._pairs_of(batch, generator)
        loss, logs = self.nothing_learned(), _NOTHING
        if pairs is not None:
            loss, logs = self._learned(pairs, generator)
        return self.with_pretraining(loss, {**told, **logs}, generator)

    def _pairs_of(self, batch: Any, generator: torch.Generator) -> tuple[Pairs | None, Logs]:
        if self._judged is not None:
            return self._judged.pairs(batch), {}
        return self._sampled.pairs(batch.prompts, batch.seeds, generator)

    def _learned(self, pairs: Pairs, generator: torch.Generator) -> tuple[Tensor, Logs]:
        driver, config, count = self.studio.driver, self.config, len(pairs.p)
        x0 = torch.cat([pairs.winners, pairs.losers])
        shape = pairs.winners.shape
        noise = torch.randn(shape, generator=generator, device=generator.device).to(x0.dtype)
        noise = torch.cat([noise, noise])
        t = driver.noise.draw(count, generator).repeat(2)
        x_t, prompts = driver.noise.mix(x0, noise, t), [*pairs.prompts, *pairs.prompts]
        with torch.no_grad(), driver.reference():
            reference = driver.predict(x_t, t, prompts, config.sampling)
        output = driver.predict(x_t, t, prompts, config.sampling)
        target = driver.noise.target(x0, noise, t)
        m, ref = denoising_errors(output, target), denoising_errors(reference, target)
        loss, logs = self._loss(m, ref, pairs.p)
        kl = output_distance(output, reference)
        share = 1.0 if self._judged is not None else count / config.prompts_per_batch
        return loss + config.kl * kl, {**logs, "kl/outputs": kl.detach(), "dpo/kept": share}

    def _loss(self, m: Tensor, ref: Tensor, p: Tensor) -> tuple[Tensor, Logs]:
        """The loss of errors whose first half are winners', and what is told of them."""
        (m_w, m_l), (ref_w, ref_l), beta = m.chunk(2), ref.chunk(2), self.config.beta
        logits = preference_logits(m_w, m_l, ref_w, ref_l, beta)
        losses = {
            "dpo": lambda: dpo_loss(logits, p),
            "ipo": lambda: ipo_loss(logits, p),
            "kto": lambda: kto_loss(m, ref, torch.cat([p, 1 - p]), beta),
        }
        logs = {
            "dpo/accuracy": implicit_accuracy(logits),
            "dpo/winner_change": (m_w - ref_w).mean().detach(),
            "dpo/loser_change": (m_l - ref_l).mean().detach(),
        }
        return losses[self.config.loss](), logs


def _judged(studio: Studio, config: DpoConfig) -> JudgedPairs:
    """The pairs of `config.preferences`, prepared."""
    preferences = read_preferences(Path(config.preferences))
    rule = _rule(config, config.min_probability if config.relabel else config.min_share)

    def relabelled(rows: Sequence[Preference]) -> list[Preference]:
        margins = pair_margins(studio.signal, rows)
        p = decided(_curve(studio.signal, config), margins).tolist()
        return [
            replace(row, p_first={} if math.isnan(q) else {rule.aspect: q})
            for row, q in zip(rows, p, strict=True)
        ]

    relabel = relabelled if config.relabel else None
    run, driver = Path(config.run), studio.driver
    folder = prepare_pairs(preferences, rule, driver, config.sampling, run, relabel)
    return JudgedPairs(folder, config.prompts_per_batch, config.fit.seed, driver.device)


def _sampled(studio: Studio, config: DpoConfig) -> SampledPairs:
    """Pairs that are sampled with the pipeline."""
    return SampledPairs(
        studio.driver,
        config.sampling,
        studio.signal,
        candidates=config.candidates,
        curve=_curve(studio.signal, config),
        rule=_rule(config, config.min_probability),
        is_base=config.rollout == "base",
    )


def _rule(config: DpoConfig, least: float) -> Rule:
    return Rule(aspect=_aspect(config), least=least, is_soft=config.soft_labels)


def _aspect(config: DpoConfig) -> str:
    """What judgements call the score that is learned from."""
    return "overall" if config.aspect == "total" else config.aspect


def _curve(signal: Signal, config: DpoConfig) -> Curve:
    """How sure the reward is; a run that goes on reads it from `curve.json`."""
    if config.temperature is not None:
        return Curve(temperature=config.temperature)
    run = Path(config.run)
    return kept_curve(run) or keep_curve(run, _found_curve(signal, config))


def _found_curve(signal: Signal, config: DpoConfig) -> Curve:
    if not config.calibration:
        return own_curve(signal)
    judged = read_preferences(Path(config.calibration))
    return Curve(temperature=calibrated(signal, judged, _aspect(config)))
