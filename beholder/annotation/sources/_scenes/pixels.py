"""How pictures and masks are held while a scene is made."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Values: TypeAlias = npt.NDArray[np.float32]
"""One picture, (s, s, 3), in grey levels 0 to 255."""

Mask: TypeAlias = npt.NDArray[np.float32]
"""How much of each pixel belongs to something, (s, s), in [0, 1]."""

Grey: TypeAlias = npt.NDArray[np.uint8]
"""Grey levels, (s, s), or colours, (s, s, 3)."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""Of the files that are opened; Pillow would try all that it knows, by their contents."""


def to_values(picture: Image.Image) -> Values:
    """The pixels of a picture as floats."""
    return np.asarray(picture, dtype=np.float32)


def to_bytes(values: npt.NDArray[np.floating[Any]]) -> Grey:
    """The nearest grey levels."""
    return np.round(values).clip(0, 255).astype(np.uint8)


def to_picture(values: npt.NDArray[np.floating[Any]]) -> Image.Image:
    """A picture of the nearest grey levels."""
    return Image.fromarray(to_bytes(values))
