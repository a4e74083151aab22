"""Changes of a picture that move its maps along: what is true of the one stays true of the other.

Points of annotators have become maps by the time a model learns from them, so they move too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from beholder.training.fit.learner import require
from beholder.words import word_spans

_JOINT = re.compile(r"[-'’_/()]")  # noqa: RUF001  (the curly apostrophe is meant)
_SIDES = (
    "left right leftmost rightmost clockwise counterclockwise anticlockwise "
    "links rechts linke linken linker rechte rechten rechter gauche droite "
    "izquierda derecha izquierdo derecho esquerda direita sinistra destra "
    "слева справа левый правый левая правая налево направо 左 右 왼쪽 오른쪽 왼쪽에 오른쪽에"
)
_WRITING = (
    "text texts letter letters lettering writing written word words typography calligraphy logo "
    "caption title quote signature clock schrift buchstaben texte texto letras testo lettere "
    "надпись буквы текст 字"
)
UNFLIPPABLE = frozenset(f"{_SIDES} {_WRITING}".split())
"""Words of prompts whose pictures are not flipped: a flip swaps sides and spoils writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How pictures are changed while a model learns; all 0 changes nothing, as published.

    Attributes:
        flip: share of the pictures that are flipped left to right, but those whose prompt has a
            word of `UNFLIPPABLE`.
        crop: largest share of a side that is cut off before the rest is stretched to the whole.
        jitter: largest change of brightness and contrast, as a share. Ratings of plausibility and
            aesthetics depend on both, so none by default.
    """

    flip: float = 0.5
    crop: float = 0.1
    jitter: float = 0.0

    def __post_init__(self) -> None:
        require("flip", self.flip, least=0, most=1)
        for name in ("crop", "jitter"):
            require(name, getattr(self, name), least=0, below=1)


@dataclass(frozen=True, slots=True)
class Moves:
    """What happens to each of b pictures.

    Attributes:
        flips: which are flipped.
        boxes: what stays of each: left, top, width and height as shares of the sides.
        lights: factors of brightness and of contrast.
    """

    flips: Bool[Tensor, " b"]
    boxes: Float[Tensor, "b 4"]
    lights: Float[Tensor, "b 2"]


def draw(config: Augmentation, prompts: Sequence[str], random: np.random.Generator) -> Moves:
    """Random moves for pictures of these prompts: a function of the generator's state alone."""
    rows = len(prompts)
    flips = random.random(rows) < config.flip
    kept = 1 - config.crop * random.random((rows, 2))
    start = (1 - kept) * random.random((rows, 2))
    lights = 1 + config.jitter * (2 * random.random((rows, 2)) - 1)
    return Moves(
        torch.from_numpy(flips) & torch.tensor([not is_sided(p) for p in prompts]),
        torch.from_numpy(np.concatenate([start, kept], axis=1)).float(),
        torch.from_numpy(lights).float(),
    )


def is_sided(prompt: str) -> bool:
    """Whether a flipped picture might miss the prompt: it names a side or asks for writing."""
    words = (prompt[start:end].lower() for start, end in word_spans(prompt))
    return any(part in UNFLIPPABLE for word in words for part in _JOINT.split(word))


def moved(
    pictures: Float[Tensor, "b 3 s t"], maps: Float[Tensor, "b k m n"], moves: Moves
) -> tuple[Float[Tensor, "b 3 s t"], Float[Tensor, "b k m n"]]:
    """Pictures in [0, 1] and their maps after the moves; the light of maps stays."""
    pictures, maps = (flipped(cropped(v, moves.boxes), moves.flips) for v in (pictures, maps))
    return lit(pictures, moves.lights), maps


def flipped(values: Float[Tensor, "b c h w"], rows: Bool[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """The values with these rows flipped left to right, exactly."""
    if not rows.any():
        return values
    return torch.where(rows[:, None, None, None], values.flip(-1), values)


def cropped(
    values: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b 4"]
) -> Float[Tensor, "b c h w"]:
    """What lies in each box (left, top, width, height as shares), stretched to the whole size.

    A pixel at the place (x, y), shares of the sides, comes to ((x - left) / width,
    (y - top) / height). Bilinear; whole boxes give the values back to the bit.
    """
    if torch.equal(boxes, boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).expand_as(boxes)):
        return values
    left, top, width, height = boxes.unbind(1)
    # places run from -1 to 1 there, so a box's centre is 2 left + width - 1
    zero = torch.zeros_like(left)
    across = torch.stack([width, zero, 2 * left + width - 1], 1)
    down = torch.stack([zero, height, 2 * top + height - 1], 1)
    grid = functional.affine_grid(
        torch.stack([across, down], 1), list(values.shape), align_corners=False
    )
    return functional.grid_sample(values, grid, padding_mode="border", align_corners=False)


def lit(
    pictures: Float[Tensor, "b c h w"], lights: Float[Tensor, "b 2"]
) -> Float[Tensor, "b c h w"]:
    """Pictures in [0, 1] with brightness and then contrast, around their mean, multiplied."""
    if bool((lights == 1).all()):
        return pictures
    brightness, contrast = lights[:, :, None, None, None].unbind(1)
    bright = pictures * brightness
    mean = bright.mean((1, 2, 3), keepdim=True)
    return ((bright - mean) * contrast + mean).clamp(0, 1)
