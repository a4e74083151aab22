"""What a reward sees of a picture while it is learned from: random crops, mirrors, JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from beholder.rewards._preprocess import straight_through
from beholder.training.augment import is_sided
from beholder.training.fit.learner import require

BEST_QUALITY = 95
"""The highest quality of JPEG views; above it files grow, and pictures change no more."""

_DRAWS, _FLIP = 6, 3  # random numbers of a picture, and which of them decides on the mirror


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """How pictures are changed at random before the reward, so that it is harder to fool.

    Attributes:
        crop: largest share of each side that is cut away.
        flip: probability of a mirrored picture, but where the prompt names a side or asks for
            writing.
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


def apply_views(
    pixels: Float[Tensor, "b 3 h w"],
    views: Views,
    generator: torch.Generator,
    prompts: Sequence[str] = (),
) -> Float[Tensor, "b 3 h w"]:
    """Pictures in [0, 1] as the reward sees them, each changed at random by itself.

    Of each picture a part with its aspect ratio is cut out and stretched to the whole size
    (bilinear), then mirrored, then compressed as JPEG with quality jpeg_quality to 95 and chroma
    at half size. Gradients pass the first two as they are, and JPEG as if it changed nothing. A
    picture that nothing happens to, or that is not finite, is the same to the bit; views that do
    nothing give `pixels`.
    `prompts`, one a picture or none, say which must not be mirrored.
    """
    if not (views.crop or views.flip or views.jpeg):
        return pixels
    size = (len(pixels), _DRAWS)
    draws = torch.rand(size, generator=generator, device=generator.device)
    for row, prompt in enumerate(prompts):
        if is_sided(prompt):
            draws[row, _FLIP] = 1.0
    seen = [_seen(p, views, draw) for p, draw in zip(pixels, draws.tolist(), strict=True)]
    return torch.stack(seen)


def _seen(
    picture: Float[Tensor, "3 h w"], views: Views, draw: Sequence[float]
) -> Float[Tensor, "3 h w"]:
    if not picture.isfinite().all():
        return picture  # JPEG would make plausible pixels of it
    # every picture draws all numbers, so that one kind of view does not change the others' luck
    cut, top, left, flip, jpeg, quality = draw
    picture = _cropped(picture, views.crop * cut, top, left)
    if flip < views.flip:
        picture = picture.flip(-1)
    if jpeg < views.jpeg:
        best = max(views.jpeg_quality, BEST_QUALITY)
        chosen = views.jpeg_quality + int(quality * (best - views.jpeg_quality + 1))
        picture = straight_through(compressed(picture.detach(), chosen), picture)
    return picture


def _cropped(
    picture: Float[Tensor, "3 h w"], cut: float, top: float, left: float
) -> Float[Tensor, "3 h w"]:
    """The picture without a share `cut` of each side, at its old size."""
    height, width = picture.shape[1:]
    high, wide = (max(1, round(side * (1 - cut))) for side in (height, width))
    if (high, wide) == (height, width):
        return picture
    y, x = round(top * (height - high)), round(left * (width - wide))
    kept = picture[None, :, y : y + high, x : x + wide]
    whole = functional.interpolate(
        kept, (height, width), mode="bilinear", antialias=True, align_corners=False
    )[0]
    return straight_through(whole.clamp(0, 1), whole)  # a weight sum may be 1 + 1e-7


def compressed(picture: Float[Tensor, "3 h w"], quality: int) -> Float[Tensor, "3 h w"]:
    """A picture in [0, 1] after JPEG of a quality of 100, chroma at half size."""
    import simplejpeg  # noqa: PLC0415

    levels = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    rows = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    data = simplejpeg.encode_jpeg(rows, quality, "RGB", "420", fastdct=False)
    decoded = torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB", fastdct=False))
    return (decoded.permute(2, 0, 1).to(picture.device) / 255).to(picture.dtype)
