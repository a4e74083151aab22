"""Untrained tiny pipelines with fresh adapters, and judgements of red and blue pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from beholder.annotation.records.dataset import write_preferences
from beholder.rewards import Reward
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training.algorithms._base import Studio
from beholder.training.pipeline import Driver, Lora
from beholder.types import Preference
from tests.training.pictures_on_disk import plain
from tests.training.tiny_pipelines import tiny
from tests.training.toy import Redness

PROMPTS = ("cat", "dog", "fox")
RED, BLUE = (200, 60, 60), (60, 60, 200)


def studio(family: str = "sd", reward: Reward | None = None) -> Studio:
    """A pipeline whose adapters change nothing yet."""
    driver = Driver(tiny(family))
    torch.manual_seed(0)
    trained = driver.add_lora(Lora(rank=2))
    start = Start(mean=0.5, std=0.1, levels=())
    return Studio(driver, trained, Signal(reward or Redness()), PROMPTS, start, None)


def moved(made: Studio, seed: int = 1, size: float = 0.5) -> Studio:
    """The same after its adapters were moved at random."""
    generator = torch.Generator().manual_seed(seed)
    for weight in made.trained.parameters():
        torch.nn.init.normal_(weight, std=size, generator=generator)
    return made


def gradients(made: Studio, loss: Tensor) -> Tensor:
    """Of all that trains, one after another."""
    weights = list(made.trained.parameters())
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, retain_graph=True)])


def judged(folder: Path, shares: Sequence[float]) -> Path:
    """A folder of preferences; each share is that of people who like the red picture better."""
    rows = []
    for k, share in enumerate(shares):
        red, blue = (plain(folder, (r + k, g, b), (32, 32)) for r, g, b in (RED, BLUE))
        answers = {"overall": share, "detail": 1 - share}
        rows.append(
            Preference(key=str(k), prompt=PROMPTS[k % 3], first=red, second=blue, p_first=answers)
        )
    write_preferences(rows, folder / "preferences")
    return folder / "preferences"
