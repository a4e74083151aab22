"""What the pipeline's own pictures score before it is tuned: the scale of every reward."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from beholder.training.fit.checkpoints import write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Mean and standard deviation of the scores of the pipeline's own pictures.

    Attributes:
        mean, std: of the reward that is learned from.
        levels: noise level of each sampling step.
        held_out_mean, held_out_std: of the reward that is not learned from; NaN without one.
    """

    mean: float
    std: float
    levels: tuple[float, ...]
    held_out_mean: float = math.nan
    held_out_std: float = math.nan

    def save(self, path: Path) -> None:
        """Write it as JSON, in which NaN is null."""
        told = {key: None if value != value else value for key, value in asdict(self).items()}  # noqa: PLR0124
        write_text(path, json.dumps(told, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Start:
        """What `save` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        told = {key: math.nan if value is None else value for key, value in found.items()}
        return cls(**told | {"levels": tuple(found["levels"])})
