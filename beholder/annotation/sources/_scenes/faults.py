"""Photographic faults of a whole picture, which leave everything in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from beholder.annotation.sources._scenes.chance import weighted
from beholder.annotation.sources._scenes.pixels import Values

_FAINTEST = 0.25
_COST = 0.6
_COUNTS = (0.3, 0.35, 0.25, 0.1)


def aesthetics(faults: Mapping[str, float]) -> float:
    """The product over all faults of 1 - 0.6 severity."""
    return float(np.prod([1 - _COST * severity for severity in faults.values()]))


def draw_faults(rng: np.random.Generator) -> dict[str, float]:
    """Up to three kinds of faults, each with a severity in [0.25, 1]; none in 30 %."""
    count = weighted(_COUNTS, rng)
    kinds = rng.permutation(list(KINDS))[:count]
    return {kind: float(rng.uniform(_FAINTEST, 1)) for kind in KINDS if kind in kinds}


def degrade(picture: Values, faults: Mapping[str, float], rng: np.random.Generator) -> Values:
    """The picture with these faults, one after another."""
    for kind, severity in faults.items():
        picture = _FAULTS[kind](picture, severity, rng).astype(np.float32, copy=False)
    return picture


def _dull(picture: Values, severity: float, rng: np.random.Generator) -> Values:
    """Contrast pulled towards a middle grey, by 65 % at most."""
    return picture + np.float32(0.65 * severity) * (128 - picture)


def _exposure(picture: Values, severity: float, rng: np.random.Generator) -> Values:
    """Too dark, down to 28 % of the light, or too bright, up to 2.2 times of it and clipped."""
    light = 1 - 0.72 * severity if rng.random() < 0.5 else 1 + 1.2 * severity
    return (picture * np.float32(light)).clip(max=255)


def _cast(picture: Values, severity: float, rng: np.random.Generator) -> Values:
    """A tint of the whole picture, of a random hue."""
    angle = rng.uniform(0, 2 * np.pi)
    hue = np.cos(angle + np.array([0, 2, 4]) * np.pi / 3)
    tint = np.exp(0.5 * severity * hue).astype(np.float32)
    return np.clip(picture * tint, 0, 255)


def _vignette(picture: Values, severity: float, rng: np.random.Generator) -> Values:
    """Corners darker, by 95 % at most."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in picture.shape[:2])
    fall = 0.5 * (y[:, None] ** 2 + x[None, :] ** 2) * 0.95 * severity
    return picture * (1 - fall)[..., None]


def _noise(picture: Values, severity: float, rng: np.random.Generator) -> Values:
    """Independent noise on every channel; its deviation is 32 grey levels at most."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return picture + np.float32(32 * severity) * noise


_FAULTS: Mapping[str, Callable[[Values, float, np.random.Generator], Values]] = MappingProxyType(
    {"dull": _dull, "exposure": _exposure, "cast": _cast, "vignette": _vignette, "noise": _noise}
)
KINDS = tuple(_FAULTS)
"""In the order in which a picture gets them."""
