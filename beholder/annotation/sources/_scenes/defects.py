"""Defects planted in parts of a picture: where, of what kind, and how severe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ImageFilter

from beholder.annotation.sources._scenes.chance import pick
from beholder.annotation.sources._scenes.compose import Placed
from beholder.annotation.sources._scenes.effects import EFFECTS
from beholder.annotation.sources._scenes.growths import GROWTHS, Change
from beholder.annotation.sources._scenes.pixels import Mask, Values, to_picture, to_values

KINDS = (*EFFECTS, *GROWTHS)
"""blur, swirl, melt and blocks change a spot; a limb or a ghost is added to a thing."""

_FAINTEST = 0.3
_ON_THINGS = 0.85
_IN_SPOTS = 0.7
_TRIES = 8
_LEAST_CHANGE = 10.0
_LEAST_SHARE = 0.002
_MOST_SHARED = 0.15
_FULL_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Defect:
    """A planted defect.

    Attributes:
        kind: one of KINDS.
        severity: in [0.3, 1].
        share: of the picture's pixels that show it, each by how much it does.
        group: the group of the thing that has it; None if it lies anywhere.
    """

    kind: str
    severity: float
    share: float
    group: int | None


def plausibility(defects: Sequence[Defect]) -> float:
    """The product over all defects of 1 - severity (0.35 + 0.55 min(1, share / 0.08))."""
    kept = (1 - d.severity * (0.35 + 0.55 * min(1.0, d.share / _FULL_SHARE)) for d in defects)
    return float(np.prod(list(kept)))


def plant(
    picture: Values, placed: Sequence[Placed], count: int, rng: np.random.Generator
) -> tuple[Values, Mask, list[Defect]]:
    """The picture with `count` defects at most; where they show, times their severity; a list.

    One that would hardly change the picture, or lies on another, is tried again elsewhere, and
    left out after a few tries.
    """
    heat = np.zeros(picture.shape[:2], dtype=np.float32)
    defects: list[Defect] = []
    for _ in range(count):
        for _ in range(_TRIES):
            (new, mask), defect = _drawn(picture, placed, rng)
            if _is_visible(new - picture, mask) and not _overlaps(mask, heat):
                picture = picture + mask[..., None] * (new - picture)
                heat = np.maximum(heat, mask * np.float32(defect.severity))
                defects.append(defect)
                break
    return picture, heat, defects


def _drawn(
    picture: Values, placed: Sequence[Placed], rng: np.random.Generator
) -> tuple[Change, Defect]:
    severity = float(rng.uniform(_FAINTEST, 1))
    one = pick(placed, rng) if rng.random() < _ON_THINGS else None
    if one is None or rng.random() < _IN_SPOTS:
        kind = pick(tuple(EFFECTS), rng)
        mask = _spot(len(picture), rng) if one is None else _spot_on(one, len(picture), rng)
        new = EFFECTS[kind](picture, mask, severity, rng)
    else:
        kind = pick(tuple(GROWTHS), rng)
        new, mask = GROWTHS[kind](picture, one, severity, rng)
    defect = Defect(kind, severity, float(mask.mean()), one.group if one else None)
    return (new, mask), defect


def _is_visible(change: Values, mask: Mask) -> bool:
    """Whether enough pixels show it, and change by enough grey levels in the mean."""
    total = float(mask.sum())
    moved = float((mask * np.abs(change).mean(axis=2)).sum())
    return total > _LEAST_SHARE * mask.size and moved > _LEAST_CHANGE * total


def _overlaps(mask: Mask, heat: Mask) -> bool:
    return float(np.minimum(mask, heat).sum()) > _MOST_SHARED * float(mask.sum())


def _spot(size: int, rng: np.random.Generator) -> Mask:
    """A feathered ellipse anywhere."""
    return _ellipse(size, rng.uniform(0.15, 0.85, 2) * size, rng.uniform(0.09, 0.17, 2) * size)


def _spot_on(one: Placed, size: int, rng: np.random.Generator) -> Mask:
    """A feathered ellipse on a thing, cut to its outline and a little around."""
    points = one.points
    y, x = points[int(rng.integers(len(points)))]
    height_width = np.array(one.patch.size[::-1])
    radii = np.maximum(height_width * rng.uniform(0.28, 0.6, 2), 0.045 * size)
    mask = _ellipse(size, np.array([y + one.top, x + one.left]), radii)
    outline = to_picture(one.cover(size) * 255)
    around: Mask = to_values(outline.filter(ImageFilter.GaussianBlur(size / 64)))
    return np.asarray(mask * (around / 100).clip(max=1), dtype=np.float32)


def _ellipse(size: int, middle: npt.NDArray[np.generic], radii: npt.NDArray[np.generic]) -> Mask:
    y, x = ((np.arange(size) - middle[k]) / radii[k] for k in (0, 1))
    inner = np.clip((1 - np.hypot(y[:, None], x[None, :])) / 0.35, 0, 1)
    return np.asarray(inner * inner * (3 - 2 * inner), dtype=np.float32)
