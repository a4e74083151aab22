"""Pictures as annotators may see them: nothing in the file or its name tells who made it.

A picture is decoded as the rewards see it and written anew as PNG, named by its pixels. So a
file holds no metadata, two checkpoints that save in different formats look alike, and equal
pictures are one file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from beholder.errors import AnnotationError, ImageError
from beholder.images import read_images
from beholder.inputs import Inputs, Row

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be asked about.

    Attributes:
        file: its name in the media folder.
        source: what it was read from: an absolute path, or "data set#row".
        checkpoint: who made it; "" if nobody said.
    """

    prompt: str
    file: str
    source: str
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that nobody can be asked about, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """All pictures of the sources: those that can be asked about, and the others."""

    pictures: Sequence[Picture]
    refused: Sequence[Refused]


def gather(
    sources: Mapping[str, Inputs],
    media: Path,
    *,
    by: str | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Gathered:
    """Every picture of the sources, decoded and written to `media` without what it came with.

    Args:
        sources: by the checkpoint that made them; "" for pictures of no known one.
        media: the folder of the new files; a file that is there already is kept.
        by: the manifest's column that names each picture's checkpoint, instead of the source.
        progress: called with 1 after each picture.

    Raises:
        AnnotationError: if there is no picture to ask about, or a source has no column `by`.
    """
    media.mkdir(parents=True, exist_ok=True)
    pictures: dict[Picture, None] = {}
    refused: list[Refused] = []
    for name, inputs in sources.items():
        for one in _read(inputs, media, by, name):
            progress(1)
            if isinstance(one, Picture):
                pictures[one] = None
            else:
                refused.append(one)
    if not pictures:
        first = f", such as {refused[0].source}: {refused[0].reason}" if refused else ""
        raise AnnotationError(f"none of the {len(refused)} pictures can be asked about{first}")
    return Gathered(list(pictures), refused)


def png_name(pixels: Tensor) -> str:
    """The file name of uint8 pixels (3, h, w): a hash of their size and values."""
    shown = _channels_last(pixels)
    digest = hashlib.sha256(f"{shown.shape}".encode() + shown.tobytes()).hexdigest()
    return f"{digest[:24]}.png"


def save_png(pixels: Tensor, folder: Path) -> str:
    """The `png_name` of a PNG in `folder`; a file of that name is not written again."""
    from PIL import Image  # noqa: PLC0415

    name = png_name(pixels)
    path = folder / name
    if not path.is_file():
        partial = path.with_suffix(f".{os.getpid()}.partial")
        Image.fromarray(_channels_last(pixels)).save(partial, "PNG", compress_level=4)
        partial.replace(path)
    return name


def _channels_last(pixels: Tensor) -> npt.NDArray[np.uint8]:
    shown: npt.NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
    return shown


def _read(inputs: Inputs, media: Path, by: str | None, name: str) -> Iterator[Picture | Refused]:
    rows = iter(inputs)
    while batch := list(islice(rows, _AT_ONCE)):
        present = [row.image for row in batch if row.image is not None]
        decoded = iter(read_images(present))
        for row in batch:
            pixels = None if row.image is None else next(decoded)
            yield _asked(row, pixels, media, _checkpoint(row, by, name))


def _asked(
    row: Row, pixels: Tensor | ImageError | None, media: Path, checkpoint: str
) -> Picture | Refused:
    if pixels is None:
        return Refused(row.name, "the manifest names no picture")
    if isinstance(pixels, ImageError):
        return Refused(row.name, f"{pixels.code}: {pixels}")
    if not row.prompt or not row.prompt.strip():
        return Refused(row.name, "it has no prompt")
    if not row.prompt.isascii() and any("\ud800" <= c <= "\udfff" for c in row.prompt):
        return Refused(row.name, "its prompt is not valid UTF-8")
    return Picture(row.prompt, save_png(_uint8(pixels), media), row.name, checkpoint)


def _uint8(pixels: Tensor) -> Tensor:
    return pixels if not pixels.is_floating_point() else (pixels * 255).round().byte()


def _checkpoint(row: Row, by: str | None, name: str) -> str:
    if by is None:
        return name
    if by not in row.extra:
        raise AnnotationError(
            f"{row.name} has no column {by!r}; it has {', '.join(row.extra) or 'no further column'}"
        )
    return str(row.extra[by])
