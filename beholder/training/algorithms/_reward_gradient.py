"""What ReFL and DRaFT share: pictures with a graph, their scores, and the terms that hold back."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.training._tuning.kl import mean_distance, output_kl
from beholder.training._tuning.signal import score_logs
from beholder.training.algorithms._base import Algorithm, Config, PromptBatch, generator_of
from beholder.training.fit.loop import Logs


class RewardGradient(Algorithm[Config]):
    """The reward's gradient reaches the adapters through the pictures.

    The loss is one sum: the algorithm's, `kl` times the distance to the pipeline's own outputs, and
    the weighted denoising loss.
    """

    needs_gradient: ClassVar[bool] = True

    @abstractmethod
    def pictures(
        self, batch: PromptBatch, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n 3 h w"], Logs]:
        """Pixels with a graph, the batch's prompts once or several times over; numbers to log."""

    @abstractmethod
    def objective(self, scores: Float[Tensor, " n"]) -> tuple[Float[Tensor, ""], Logs]:
        """The loss of scores, of which some may be NaN; numbers to log."""

    @final
    @override
    def step(self, batch: PromptBatch) -> tuple[Tensor, Logs]:
        generator = generator_of(self.studio.driver.device)
        kl = self.config.kl
        with self._compared() as distances:
            pixels, of_pictures = self.pictures(batch, generator)
        scores = self._scores(pixels, batch.prompts, generator)
        loss, of_loss = self.objective(scores)
        logs = {**score_logs(scores), **of_pictures, **of_loss}
        if kl > 0:
            distance = mean_distance(distances)
            loss, logs["kl/outputs"] = loss + kl * distance, distance.detach()
        return self.with_pretraining(loss, logs, generator)

    def _compared(self) -> AbstractContextManager[list[Tensor]]:
        return output_kl(self.studio.driver) if self.config.kl > 0 else nullcontext([])

    def _scores(
        self,
        pixels: Float[Tensor, "n 3 h w"],
        prompts: tuple[str, ...],
        generator: torch.Generator,
    ) -> Float[Tensor, " n"]:
        texts = list(prompts) * (len(pixels) // len(prompts))
        taken = pixels.view_as(pixels)
        scores = self.studio.signal(taken, texts, generator)
        failed = ~scores.detach().isfinite()
        if failed.any():
            # A score that is not finite can have a gradient that is not, even with a weight of 0.
            taken.register_hook(lambda grad: grad.masked_fill(failed[:, None, None, None], 0))
        return scores
