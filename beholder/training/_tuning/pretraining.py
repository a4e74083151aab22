"""The denoising loss on samples of the base model or on pictures: what keeps a pipeline itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import DataError
from beholder.training._tuning.clean import Clean, base_samples, from_pictures
from beholder.training.fit.learner import require
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Driver, Sampling
from beholder.training.preference_losses import denoising_errors

_LOG = logging.getLogger(__name__)
_FILE = "pretraining.safetensors"
_HELD_OUT = 8  # one of so many is measured and not learned
_TIMES = 4  # at which each held-out sample is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """The loss that the pipeline was made with, added to the algorithm's.

    Attributes:
        weight: 0 is without.
        samples: pictures of the base model that are kept to learn from.
        pictures: a folder, table or data set of pictures with prompts instead; "" is none.
        batch: pictures in one step of one process.
    """

    weight: float = 0.0
    samples: int = 64
    pictures: str = ""
    batch: int = 4

    def __post_init__(self) -> None:
        require("weight", self.weight, least=0)
        require("samples", self.samples, least=2)
        require("batch", self.batch, above=0)


class Denoising:
    """The loss itself: the squared error of the denoiser's output, without guidance.

    Args:
        driver: of the pipeline.
        sampling: its size and arguments.
        latents, prompts: clean latents (n, …), one prompt each.
        held_out: how many of them, at the end, are measured and never learned.

    Raises:
        DataError: if none is left to learn, or to measure.
    """

    def __init__(
        self,
        driver: Driver,
        sampling: Sampling,
        latents: Tensor,
        prompts: Sequence[str],
        held_out: int,
    ) -> None:
        if not 0 < held_out < len(latents):
            raise DataError(f"{held_out} of {len(latents)} samples cannot be held out; give more")
        self._driver, self._sampling = driver, sampling
        self._latents, self._prompts = latents.detach().cpu(), list(prompts)
        self._learned = len(latents) - held_out

    def loss(self, generator: torch.Generator, count: int) -> Float[Tensor, ""]:
        """Mean over `count` samples with times and noise drawn by a generator of the device."""
        rows = torch.randint(
            self._learned, (count,), generator=generator, device=generator.device
        ).tolist()
        return self._errors(rows, generator).mean()

    @torch.no_grad()
    def measure(self) -> float:
        """The loss of the held-out samples, without gradient, always at the same times and noise.

        It is the same number again if nothing was learned in between.
        """
        generator = torch.Generator().manual_seed(0)
        rows = range(self._learned, len(self._latents))
        errors = [self._errors([row] * _TIMES, generator) for row in rows]
        return float(torch.cat(errors).mean())

    def _errors(self, rows: Sequence[int], generator: torch.Generator) -> Float[Tensor, " b"]:
        driver, device = self._driver, self._driver.device
        x0 = self._latents[list(rows)]
        drawn = torch.randn(x0.shape, generator=generator, device=generator.device)
        t = driver.noise.draw(len(x0), generator).to(device)
        x0, noise = x0.to(device), drawn.to(device, x0.dtype)
        prompts = [self._prompts[row] for row in rows]
        output = driver.predict(driver.noise.mix(x0, noise, t), t, prompts, self._sampling)
        return denoising_errors(output, driver.noise.target(x0, noise, t))


def denoising_of(
    driver: Driver,
    prompts: Sequence[str],
    sampling: Sampling,
    pretraining: Pretraining,
    folder: Path,
    processes: Processes,
    seed: int,
) -> Denoising | None:
    """The denoising loss of a run in `folder`; None if it has no weight.

    What is denoised is made once, a share by each process, and kept in `prepared/`, so that a run
    that goes on learns the same. One of eight is held out.
    Raises DataError if fewer than two pictures can be read.
    """
    if pretraining.weight == 0:
        return None
    path = folder / "prepared" / _FILE
    processes.wait()  # until here no process has made the file
    if not path.exists():
        share = slice(processes.rank, None, processes.count)
        if pretraining.pictures:
            own = from_pictures(driver, pretraining.pictures, sampling, share)
        else:
            count = pretraining.samples
            own = base_samples(driver, prompts, sampling, count, seed, share)
        _join(own, path, processes)
        processes.wait()
    kept = Clean.load(path)
    if kept.unread and processes.is_main:
        _tell(kept)
    held_out = max(1, len(kept.prompts) // _HELD_OUT)
    return Denoising(driver, sampling, kept.latents, kept.prompts, held_out)


def _join(own: Clean, path: Path, processes: Processes) -> None:
    """Write what all processes made as one file."""
    parts = [path.with_name(f"{path.stem}.{rank}{path.suffix}") for rank in range(processes.count)]
    own.save(parts[processes.rank])
    processes.wait()
    if processes.is_main:
        Clean.join([Clean.load(part) for part in parts]).save(path)
        for part in parts:
            part.unlink()


def _tell(kept: Clean) -> None:
    counts = Counter(why.partition(":")[0] for why in kept.unread.values())
    told = ", ".join(f"{count} {code}" for code, count in counts.items())
    _LOG.warning(
        "%d pictures of pretraining are left out (%s), such as %s",
        len(kept.unread),
        told,
        next(iter(kept.unread)),
    )
