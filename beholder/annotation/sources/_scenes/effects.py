"""What a defect does to a spot of a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from beholder.annotation.sources._scenes.chance import pick
from beholder.annotation.sources._scenes.pixels import Mask, Values, to_picture, to_values

Effect: TypeAlias = Callable[[Values, Mask, float, np.random.Generator], Values]
"""Of a picture, a spot and a severity: the picture as it would be if the spot were opaque."""

Window: TypeAlias = tuple[slice, slice]

_MARGIN = 16


def blur(picture: Values, spot: Mask, severity: float, rng: np.random.Generator) -> Values:
    """A Gaussian blur; its deviation is 1.6 to 4.6 pixels of 224."""
    radius = len(picture) / 224 * (0.35 + 4.2 * severity)
    return _filtered(picture, spot, lambda part: part.filter(ImageFilter.GaussianBlur(radius)))


def blocks(picture: Values, spot: Mask, severity: float, rng: np.random.Generator) -> Values:
    """The blocks of JPEG at a quality of 9 down to 1, at half the resolution."""

    def packed(part: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        part.reduce(2).save(buffer, "JPEG", quality=max(1, round(12 - 11 * severity)))
        return Image.open(buffer).resize(part.size, Image.Resampling.NEAREST)

    return _filtered(picture, spot, packed)


def swirl(picture: Values, spot: Mask, severity: float, rng: np.random.Generator) -> Values:
    """Turned around the middle of the spot, there the most: by 0.9 to 3 radians."""
    rows, columns = window = _window(spot)
    y, x = np.mgrid[window].astype(np.float32)
    middle_y, middle_x = (rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2
    height, width = rows.stop - rows.start, columns.stop - columns.start
    off_y, off_x = y - middle_y, x - middle_x
    far = np.hypot(off_y / (height / 2), off_x / (width / 2))
    angle = 3 * severity * pick((-1, 1), rng) * np.clip(1 - far, 0, 1)
    sine, cosine = np.sin(angle), np.cos(angle)
    source_y = middle_y + cosine * off_y + sine * off_x
    source_x = middle_x - sine * off_y + cosine * off_x
    return _moved(picture, window, source_y, source_x)


def melt(picture: Values, spot: Mask, severity: float, rng: np.random.Generator) -> Values:
    """Dragged down in uneven drips, by about a tenth of the picture at most, and smeared."""
    window = _window(spot)
    y, x = np.mgrid[window].astype(np.float32)
    size = len(picture)
    phases, waves = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.06, 0.14, 2) * size
    drips = sum(np.sin(2 * np.pi * x / w + p) for w, p in zip(waves, phases, strict=True))
    reach = 0.1 * size * severity * (0.55 + 0.22 * drips)
    sway = 0.03 * size * severity * np.sin(2 * np.pi * y / waves[0] + phases[1])
    layers = [_moved(picture, window, y - reach * k, x + sway) for k in (0.7, 1.0, 1.3)]
    return np.asarray(np.mean(layers, axis=0), dtype=np.float32)


EFFECTS: Mapping[str, Effect] = MappingProxyType(
    {"blur": blur, "swirl": swirl, "melt": melt, "blocks": blocks}
)
"""By the kind of defect."""


def _window(spot: Mask) -> Window:
    """The smallest window around everything that the mask covers."""
    rows, columns = (np.flatnonzero(spot.max(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _filtered(picture: Values, spot: Mask, change: Callable[[Image.Image], Image.Image]) -> Values:
    """The picture with the window of the spot and a margin changed."""
    wide = tuple(
        slice(max(0, part.start - _MARGIN), min(length, part.stop + _MARGIN))
        for part, length in zip(_window(spot), spot.shape, strict=True)
    )
    new = picture.copy()
    new[wide] = to_values(change(to_picture(picture[wide])))
    return new


def _moved(
    picture: Values,
    window: Window,
    y: npt.NDArray[np.floating[Any]],
    x: npt.NDArray[np.floating[Any]],
) -> Values:
    """The picture with each pixel of the window taken from (y, x), between pixels linearly."""
    last = len(picture) - 1
    y, x = np.clip(y, 0, last), np.clip(x, 0, last)
    y0, x0 = np.minimum(y.astype(np.intp), last - 1), np.minimum(x.astype(np.intp), last - 1)
    dy, dx = (y - y0)[..., None], (x - x0)[..., None]
    upper = picture[y0, x0] * (1 - dx) + picture[y0, x0 + 1] * dx
    lower = picture[y0 + 1, x0] * (1 - dx) + picture[y0 + 1, x0 + 1] * dx
    new = picture.copy()
    new[window] = upper * (1 - dy) + lower * dy
    return new
