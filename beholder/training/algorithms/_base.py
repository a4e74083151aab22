"""What an algorithm is: a configuration, and a step `batch -> loss, logs` on the shared loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from beholder.training._tuning.pretraining import Denoising, Pretraining
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training._tuning.views import Views
from beholder.training.fit.learner import FitConfig, Schedule, require
from beholder.training.fit.loop import Logs
from beholder.training.judged.epochs import Epochs
from beholder.training.pipeline import Driver, Lora, Sampling, Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneFit(FitConfig):
    """How `fit` learns, with the defaults of tuning: a constant rate, an average, early stops."""

    steps: int = 400
    learning_rate: float = 1e-4
    warmup_steps: int = 10
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    ema_decay: float = 0.99
    evaluate_every_steps: int = 25
    patience_evaluations: int = 5
    checkpoint_every_steps: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """What every tuning of a pipeline is asked; an algorithm adds its own.

    Attributes:
        algorithm: the file in training/algorithms that learns.
        pipeline: a hub repository, a folder, or "module:function" that gives a pipeline.
        pipeline_options: further arguments of diffusers' `from_pretrained`, such as `revision`.
        keep_scheduler: for distilled models that need their own.
        run: folder for everything that comes out.
        prompts: a text file of one prompt a line, a table, a folder or a data set with prompts.
        validation_prompts: the same for evaluations; "" holds some of the others out.
        validation_count: prompts in an evaluation.
        reward, options: what `beholder.load` takes, and its further arguments.
        aspect: which score is learned from: "total" or one of the reward's aspects.
        held_out_reward, held_out_options: a reward that is never learned from, on which the run
            stops; "" warns, and stops on the reward itself.
        views: what the reward sees of a picture while it is learned from.
        sampling: of pictures to learn from and of evaluations.
        lora: the adapters that train.
        prompts_per_batch: in one batch of one process.
        kl: weight of the squared distance to the pipeline's own outputs.
        pretraining: the denoising loss that is added.
        gradient_checkpointing: of denoiser and VAE: less memory, a third more time.
        vae_tiling: decode in tiles: less memory for large pictures.
        dtype: of the frozen weights; "auto" is bf16 on a GPU that has it.
        push_to: hub repository "user/name" that the LoRA is uploaded to at the end; "" is none.
        device: "auto" is the GPU if there is one.
        fit: steps, rates, precision, checkpoints.
    """

    algorithm: str
    pipeline: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    pipeline_options: Mapping[str, Any] = field(default_factory=dict)
    keep_scheduler: bool = False
    run: str = "runs/tune"
    prompts: str = "prompts.txt"
    validation_prompts: str = ""
    validation_count: int = 32
    reward: str = "mps"
    options: Mapping[str, Any] = field(default_factory=dict)
    aspect: str = "total"
    held_out_reward: str = ""
    held_out_options: Mapping[str, Any] = field(default_factory=dict)
    views: Views = field(default_factory=Views)
    sampling: Sampling = field(default_factory=Sampling)
    lora: Lora = field(default_factory=Lora)
    prompts_per_batch: int = 4
    kl: float = 0.0
    pretraining: Pretraining = field(default_factory=Pretraining)
    gradient_checkpointing: bool = False
    vae_tiling: bool = False
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    push_to: str = ""
    device: Literal["auto", "cpu"] = "auto"
    fit: TuneFit = field(default_factory=TuneFit)

    def __post_init__(self) -> None:
        for name in ("prompts_per_batch", "validation_count"):
            require(name, getattr(self, name), above=0)
        require("kl", self.kl, least=0)

    def window(self) -> tuple[float, float]:
        """Noise levels between which the self-test looks at gradients."""
        return 0.15, 0.65


@dataclass(frozen=True, slots=True)
class Studio:
    """What an algorithm works with.

    Attributes:
        driver: the pipeline, with adapters.
        trained: these adapters.
        signal: the reward that is learned from.
        prompts: to learn on.
        start: what the pipeline's own pictures score.
        denoising: the loss of the pretraining; None without.
    """

    driver: Driver
    trained: Trained
    signal: Signal
    prompts: Sequence[str]
    start: Start
    denoising: Denoising | None


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts to learn on.

    Attributes:
        number: of the batch, from 0, over all processes.
        prompts, seeds: one each a picture.
    """

    number: int
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]


Config = TypeVar("Config", bound=TuneConfig)


class Algorithm(ABC, Generic[Config]):
    """Turns batches into losses; `fit` does the rest.

    Attributes:
        title: what its paper calls it.
        paper: that is cited.
        needs_gradient: whether the reward must be differentiable.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    needs_gradient: ClassVar[bool] = False

    def __init__(self, studio: Studio, config: Config) -> None:
        self.studio = studio
        self.config = config

    @abstractmethod
    def step(self, batch: Any) -> tuple[Tensor, Logs]:
        """Loss of a batch and numbers to log; the random state is the step's own."""

    def batches(self, start: int, stride: int) -> Iterator[Any]:
        """Batches start, start + stride, …; here of prompts, each with a seed of its own."""
        config = self.config
        order = Epochs(
            [[k] for k in range(len(self.studio.prompts))],
            config.prompts_per_batch,
            config.fit.seed,
        )
        number = start
        while True:
            rows = order.rows(number)
            seeds = np.random.default_rng([config.fit.seed, number]).integers(2**31, size=len(rows))
            prompts = tuple(self.studio.prompts[row] for row in rows)
            yield PromptBatch(number, prompts, tuple(int(seed) for seed in seeds))
            number += stride

    def with_pretraining(
        self, loss: Tensor, logs: Logs, generator: torch.Generator
    ) -> tuple[Tensor, Logs]:
        """The loss with the weighted denoising loss of the pretraining, if there is one; logs."""
        if self.studio.denoising is None:
            return loss, logs
        pretraining = self.config.pretraining
        denoising = self.studio.denoising.loss(generator, pretraining.batch)
        told = {**logs, "pretraining/loss": denoising.detach()}
        return loss + pretraining.weight * denoising, told

    def nothing_learned(self) -> Tensor:
        """A loss of 0 with a gradient of 0 for all that trains: of a batch that teaches nothing."""
        return 0 * torch.stack([w.sum() for w in self.studio.trained.parameters()]).sum()

    def state(self) -> Mapping[str, Tensor]:
        """Tensors beside the adapters that a run needs to go on; kept in its checkpoints."""
        return {}


def generator_of(device: torch.device) -> torch.Generator:
    """A generator seeded from torch's state, which `fit` sets for each step."""
    seed = int(torch.randint(2**62, ()))
    return torch.Generator(device).manual_seed(seed)
