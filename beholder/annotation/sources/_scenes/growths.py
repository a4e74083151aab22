"""What a defect adds to a thing: a ghost of it, or a limb where none should grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from beholder.annotation.sources._scenes.compose import Placed
from beholder.annotation.sources._scenes.pixels import Mask, Values, to_values

Change: TypeAlias = tuple[Values, Mask]
"""The picture as it would be with the defect opaque, and how much of it shows at each pixel."""

Growth: TypeAlias = Callable[[Values, Placed, float, np.random.Generator], Change]


def ghost(picture: Values, one: Placed, severity: float, rng: np.random.Generator) -> Change:
    """The whole thing once more, translucent and shifted by a seventh to a third of its size."""
    angle = rng.uniform(0, 2 * np.pi)
    far = max(one.patch.size) * rng.uniform(0.15, 0.32)
    left, top = one.left + round(far * np.cos(angle)), one.top + round(far * np.sin(angle))
    layer, mask = _layer(one.patch, left, top, len(picture))
    shown = np.float32(0.35 + 0.4 * severity)
    return picture + shown * (layer - picture), mask


def limb(picture: Values, one: Placed, severity: float, rng: np.random.Generator) -> Change:
    """A part of the thing once more, turned, at its outline."""
    patch = one.patch
    share = 0.35 + 0.3 * severity
    width, height = (min(length, max(4, round(length * share))) for length in patch.size)
    left = int(rng.integers(0, patch.width - width + 1))
    top = int(rng.integers(0, patch.height - height + 1))
    part = patch.crop((left, top, left + width, top + height))
    feather = np.minimum.outer(_ramp(height), _ramp(width)) * 255
    alpha = np.minimum(np.asarray(part.getchannel("A")), feather).astype(np.uint8)
    part.putalpha(Image.fromarray(alpha))
    part = part.rotate(float(rng.uniform(50, 310)), Image.Resampling.BICUBIC, expand=True)
    y, x = _on_outline(one, rng)
    left, top = one.left + x - part.width // 2, one.top + y - part.height // 2
    return _layer(part, left, top, len(picture))


GROWTHS: Mapping[str, Growth] = MappingProxyType({"limb": limb, "ghost": ghost})
"""By the kind of defect."""


def _ramp(length: int) -> npt.NDArray[np.float64]:
    """1 inside, falling to 0 over the last eighth at both ends."""
    edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.asarray(np.clip(edge / max(1.0, length / 8), 0, 1), dtype=np.float64)


def _on_outline(one: Placed, rng: np.random.Generator) -> tuple[int, int]:
    """Where the thing reaches farthest in a random direction: row and column."""
    points = one.points
    angle = rng.uniform(0, 2 * np.pi)
    along = (points - points.mean(axis=0)) @ np.array([np.sin(angle), np.cos(angle)])
    y, x = points[int(along.argmax())]
    return int(y), int(x)


def _layer(patch: Image.Image, left: int, top: int, size: int) -> Change:
    """A patch alone on an empty picture, and where it is opaque."""
    layer = Image.new("RGBA", (size, size))
    layer.paste(patch, (left, top))
    values = to_values(layer)
    return values[..., :3], values[..., 3] / np.float32(255)
