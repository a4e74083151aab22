"""Pictures with prompts to begin with: drawn here, or rows of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from beholder.errors import DataError
from beholder.images import read_image
from beholder.inputs import Row, read_inputs

MOST = 12
"""Rows of a source that become examples."""

_SIDE = 384
_FINER = 2
_PROMPT = "a red balloon over a green hill"


@dataclass(frozen=True, slots=True)
class Example:
    """A picture on this disk and a prompt for it."""

    picture: Path
    prompt: str


def drawn_examples(folder: Path) -> list[Example]:
    """Three pictures of one prompt in `folder`: right, of another colour, and blurred."""
    right = _balloon("#d2372c")
    pictures = {
        "as-asked": right,
        "another-colour": _balloon("#2f6fd0"),
        "blurred": right.filter(ImageFilter.GaussianBlur(9)),
    }
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return [Example(folder / f"{name}.png", _PROMPT) for name in pictures]


def examples_from(source: str, folder: Path) -> list[Example]:
    """The first rows of what `beholder score` takes, their pictures copied into `folder`.

    Raises DataError if there is no row, or a picture of one cannot be read.
    """
    rows = list(islice(read_inputs(source), MOST))
    if not rows:
        raise DataError(f"{source} has no picture to begin with")
    return [_copied(row, folder / f"{at}.png") for at, row in enumerate(rows)]


def _copied(row: Row, file: Path) -> Example:
    if row.image is None:
        raise DataError(f"row {row.key!r} of the examples names no picture")
    pixels = read_image(row.image)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    return Example(file, row.prompt or "")


def _balloon(colour: str) -> Image.Image:
    """A balloon over a hill, drawn larger and made smaller, so that its edges are soft."""
    side = _SIDE * _FINER
    picture = Image.linear_gradient("L").resize((side, side))
    picture = Image.merge("RGB", [picture.point(_ramp(low)) for low in (138, 190, 232)])
    pen = ImageDraw.Draw(picture)
    pen.ellipse(_box(0.5, 1.35, 0.95, 0.72, side), fill="#4c8a3c")
    pen.line(_points([(0.5, 0.5), (0.47, 0.62), (0.51, 0.74)], side), fill="#6b5b4a", width=5)
    pen.polygon(_points([(0.46, 0.52), (0.54, 0.52), (0.5, 0.47)], side), fill=colour)
    pen.ellipse(_box(0.5, 0.3, 0.17, 0.2, side), fill=colour)
    pen.ellipse(_box(0.44, 0.23, 0.035, 0.055, side), fill="#ffffff55")
    return picture.reduce(_FINER)


def _ramp(low: int) -> list[int]:
    """Grey level -> level of a channel that grows from `low` to white."""
    return [low + (255 - low) * level // 255 for level in range(256)]


def _box(x: float, y: float, wide: float, high: float, side: int) -> tuple[float, ...]:
    return ((x - wide) * side, (y - high) * side, (x + wide) * side, (y + high) * side)


def _points(shares: Sequence[tuple[float, float]], side: int) -> list[tuple[float, float]]:
    return [(x * side, y * side) for x, y in shares]
