"""The first pictures and the first passes of a reward, before anybody waits for them."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from beholder.errors import ConfigError
from beholder.images import Alpha, Limits
from beholder.rewards import Reward
from beholder.rewards._base import shrunk
from beholder.rewards._cells import is_broken
from beholder.serving.decoding import decoded
from beholder.serving.items import Detail, Picture
from beholder.serving.scored import details_of

SIDE = 512
"""Of the pictures of noise, in pixels."""

MOST_SECONDS = 60.0
"""Whole batches that would take longer, as of a large model on a CPU, are not tried."""


@dataclass(frozen=True, slots=True)
class Warm:
    """What a reward told of noise.

    Attributes:
        details: that it can tell beside total and aspects.
        seconds: that a picture takes it, in the largest pass that was tried.
    """

    details: tuple[Detail, ...]
    seconds: float


def warm_decoders(alpha: Alpha, limits: Limits) -> None:
    """Let what decodes a picture of each kind be loaded, which takes longer than decoding it."""
    for form in ("JPEG", "PNG", "WEBP"):
        buffer = io.BytesIO()
        with suppress(KeyError, OSError):  # a Pillow that was built without it
            Image.new("RGB", (64, 64)).save(buffer, form)
        decoded(Picture(data=buffer.getvalue()), frozenset({None}), alpha, limits)


@torch.no_grad()
def warmed(name: str, reward: Reward, batch_size: int) -> Warm:
    """Let a reward score one picture twice, then a whole batch.

    To be called in the thread that scores, to which some of what a library prepares belongs.
    Raises ConfigError if the reward cannot score a picture, or not a whole batch at once.
    """
    details = details_of_noise(name, reward, 1)
    seconds = _seconds(name, reward, 1)
    if batch_size > 1 and batch_size * seconds <= MOST_SECONDS:
        seconds = min(seconds, _seconds(name, reward, batch_size) / batch_size)
    return Warm(details, seconds)


def _seconds(name: str, reward: Reward, count: int) -> float:
    """That a pass over so many pictures takes."""
    start = time.monotonic()
    details_of_noise(name, reward, count)
    return time.monotonic() - start


def details_of_noise(name: str, reward: Reward, count: int) -> tuple[Detail, ...]:
    """What a reward tells of so many different pictures and prompts beside total and aspects.

    Raises ConfigError if it cannot score them.
    """
    prompts = [f"a picture of {k} things" for k in range(count)]
    try:
        scores = reward.score_rows(_noise(reward, count), prompts, [(SIDE, SIDE)] * count)
        return details_of(scores.detach())
    except (RuntimeError, ValueError) as error:
        if is_broken(error):
            raise
        advice = "; lower --batch-size" if count > 1 else ""
        raise ConfigError(
            f"{name} cannot score {count} pictures of noise at once: "
            f"{type(error).__name__}: {error}{advice}"
        ) from error


def _noise(reward: Reward, count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)

    def picture() -> Tensor:
        return torch.randint(0, 256, (3, SIDE, SIDE), generator=random, dtype=torch.uint8)

    return [shrunk(picture(), reward.fitting) for _ in range(count)]
