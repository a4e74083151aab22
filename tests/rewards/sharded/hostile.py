"""Pictures, a reward that white ones kill, and jobs over them."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.rewards.sharded import processes
from beholder.rewards.sharded.job import Job, WorkerSpec
from beholder.types import Scores, WordLabel

DEADLY = "tests.rewards.sharded.hostile:Deadly"


@final
class Deadly(Reward):
    """Mean pixel in [0, 1]; a white picture kills the process, a black one fails."""

    card: ClassVar[RewardCard] = RewardCard(name="deadly", paper="none")

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(pixels.float() / 255, size=(1, 1), mode="area")

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        light = pixel_values.mean((1, 2, 3))
        if (light == 1).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (light == 0).all():
            raise RuntimeError("black hole")
        return Scores(light)

    @override
    def options(self) -> dict[str, object]:
        return {}

    @classmethod
    @override
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls()


@final
class Marked(Reward):
    """A map of the picture's red, and the words that are longer than three letters missed."""

    card: ClassVar[RewardCard] = RewardCard(name="marked", paper="none")

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels.float() / 255

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        words = [[WordLabel(w, 0, 1, float(len(w) > 3)) for w in p.split()] for p in prompts]
        red = pixel_values[:, 0]
        return Scores(red.mean((1, 2)), maps={"red": red}, words=words)

    @override
    def options(self) -> dict[str, object]:
        return {}

    @classmethod
    @override
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls()


def write_pictures(folder: Path, levels: Sequence[int]) -> Path:
    """Grey pictures `00.png`, `01.png`, … of those levels, each with a prompt."""
    folder.mkdir()
    for k, level in enumerate(levels):
        Image.fromarray(np.full((8 + k, 8, 3), level, np.uint8)).save(folder / f"{k:02d}.png")
        (folder / f"{k:02d}.txt").write_text("a red fox"[: k + 1])
    return folder


def job(source: Path, out: Path, reward: str = "tiny", *, shard_size: int = 2) -> Job:
    """A job of one worker over pictures; the reward's columns are named r."""
    spec = WorkerSpec(
        folder=str(out), source=str(source), rewards={"r": (reward, {})}, batch_size=2, decoders=1
    )
    return Job(spec=spec, workers=1, shard_size=shard_size)


def drive() -> None:
    """Drive a deadly job over the two folders of the command line; a line a shard."""
    work = job(Path(sys.argv[1]), Path(sys.argv[2]), DEADLY)
    work.on_shard = lambda *counts: print(*counts, flush=True)  # noqa: T201
    processes.run(work)
