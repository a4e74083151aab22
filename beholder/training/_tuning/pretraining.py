"""The denoising loss on samples of the base model or on pictures: what keeps a pipeline itself."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.training.learner import require


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
        for name in ("samples", "batch"):
            require(name, getattr(self, name), above=0)


class Denoising:
    """The loss itself."""
