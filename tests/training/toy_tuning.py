"""Algorithms at work on the toy: how far they move it to red, and what it forgets of the rest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from beholder.rewards import Reward
from beholder.training._tuning.pretraining import Denoising, Pretraining
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training.algorithms import algorithm_class
from beholder.training.algorithms._base import Studio, TuneConfig, TuneFit
from beholder.training.fit.loop import Task, fit
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Driver, Lora
from tests.training.toy import (
    PROMPTS,
    SAMPLING,
    held_out_denoising,
    share_of_red,
    toy_latents,
    toy_pipeline,
)


@dataclass(frozen=True)
class Outcome:
    """Before and after: the share of red pictures, and the denoising loss of both kinds."""

    red: tuple[float, float]
    denoising: tuple[float, float]

    @property
    def forgot(self) -> float:
        """By how much of itself the denoising loss rose."""
        before, after = self.denoising
        return after / before - 1


def toy_config(kind: type[TuneConfig], steps: int, learning_rate: float, **options: Any) -> Any:
    """A configuration for the toy: 16 pictures a step, adapters of rank 8."""
    every: Any = {"evaluate_every_steps": steps, "checkpoint_every_steps": steps}
    rates: Any = {"learning_rate": learning_rate, "warmup_steps": 5, "schedule": "linear"}
    fit_config = TuneFit(steps=steps, **rates, **every)
    given = {"lora": Lora(rank=8), "prompts_per_batch": 16, "fit": fit_config, **options}
    return kind(sampling=SAMPLING, **given)


def toy_pretraining(weight: float) -> Pretraining:
    """Of 512 samples, 32 in each step.

    A model that is red at a share of 0.7 and perfect otherwise denoises about 11 % worse what is
    red at a share of 0.2, one at 0.8 17 %, one at 0.9 26 %: so much must be forgotten.
    """
    return Pretraining(weight=weight, samples=512, batch=32)


def toy_studio(config: TuneConfig, reward: Reward) -> Studio:
    """What an algorithm works with on the toy."""
    driver = Driver(toy_pipeline())
    signal = Signal(reward)
    start = toy_start(driver, signal)
    pretraining, denoising = config.pretraining, None
    if pretraining.weight > 0:
        # Of what was learned: samples of eight steps have less grain, and would teach that.
        latents = toy_latents(pretraining.samples, torch.Generator().manual_seed(7))
        prompts = [PROMPTS[k % len(PROMPTS)] for k in range(len(latents))]
        denoising = Denoising(driver, SAMPLING, latents, prompts, held_out=8)
    return Studio(driver, driver.add_lora(config.lora), signal, PROMPTS, start, denoising)


def toy_start(driver: Driver, signal: Signal, each: int = 8) -> Start:
    """Mean and spread of the scores of the toy's own pictures."""
    prompts = list(PROMPTS) * each
    pixels = driver.sample(prompts, SAMPLING, seeds=range(len(prompts))).pixels
    scores = signal.labels(pixels, prompts)
    levels = tuple(driver.levels(PROMPTS[0], SAMPLING))
    return Start(mean=float(scores.mean()), std=float(scores.std()), levels=levels)


def learn(config: TuneConfig, folder: Path, reward: Reward) -> Outcome:
    """Tune the toy and say what came of it."""
    studio = toy_studio(config, reward)
    with studio.driver.reference():
        red, denoising = share_of_red(studio.driver), held_out_denoising(studio.driver)
    algorithm = algorithm_class(config.algorithm)(studio, config)
    trained = studio.driver.trained(algorithm.state())
    task = Task(algorithm.step, algorithm.batches)
    fit(task, trained, config.fit, folder, Processes(cpu=True))
    return Outcome(
        (red, share_of_red(studio.driver)), (denoising, held_out_denoising(studio.driver))
    )
