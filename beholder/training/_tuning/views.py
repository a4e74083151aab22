"""What a reward sees of a picture while it is learned from: random crops, mirrors, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.training.learner import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """How pictures are changed at random before the reward, so that it is harder to fool.

    Attributes:
        crop: largest share of each side that is cut away.
        flip: probability of a mirrored picture.
        jpeg: probability of JPEG compression; its gradient passes straight through.
        jpeg_quality: lowest quality, of 100.
    """

    crop: float = 0.0
    flip: float = 0.0
    jpeg: float = 0.0
    jpeg_quality: int = 60

    def __post_init__(self) -> None:
        require("crop", self.crop, least=0, below=1)
        for name in ("flip", "jpeg"):
            require(name, getattr(self, name), least=0, most=1)
        require("jpeg_quality", self.jpeg_quality, least=1, most=100)
