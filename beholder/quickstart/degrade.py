"""Three simulated checkpoints: the same scenes with graded faults, and so with known qualities."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from beholder.quickstart.scenes import COLOURS, PLACES, SHAPES, Pixels, Thing

Values: TypeAlias = npt.NDArray[np.float32]
"""One picture, (h, w, 3), in [0, 1]."""

CHECKPOINTS: Mapping[str, float] = MappingProxyType(
    {"simulated-late": 0.22, "simulated-middle": 0.48, "simulated-early": 0.74}
)
"""Name -> how likely each fault is in one of its pictures; best first."""

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"aesthetics": 0.3, "detail": 0.3, "alignment": 0.4}
)
"""What each aspect counts in the overall quality."""

TINT: Values = np.array([-0.25, 0.25, -0.5], dtype=np.float32)
"""Logarithm of what the strongest colour cast does to red, green and blue."""

_FAINTEST = 0.25
_NAMES: Mapping[str, Iterable[str]] = {"colour": COLOURS, "shape": SHAPES, "place": PLACES}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with one picture; severities in [0, 1], 0 is none.

    Attributes:
        cast, dull: a tint of the whole picture; lost contrast and saturation.
        blur, noise, blocks: lost sharpness, grain, JPEG blocks.
        wrong: how many of the object's colour, shape and place differ from the prompt, 0 to 3.
    """

    cast: float = 0.0
    dull: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    blocks: float = 0.0
    wrong: int = 0


def draw_faults(chance: float, rng: np.random.Generator) -> Faults:
    """Random faults: each is there with probability `chance`, then anything from faint to full."""
    cast, dull, blur, noise, blocks = (_severity(chance, rng) for _ in range(5))
    return Faults(cast, dull, blur, noise, blocks, wrong=int(rng.binomial(3, chance * 0.75)))


def qualities(faults: Faults) -> dict[str, float]:
    """The true quality of each aspect in [0, 1]; the annotators see it through noise."""
    true = {
        "aesthetics": (1 - 0.75 * faults.cast) * (1 - 0.75 * faults.dull),
        "detail": (1 - 0.75 * faults.blur) * (1 - 0.75 * faults.noise) * (1 - 0.75 * faults.blocks),
        "alignment": 1 - faults.wrong / 3,
    }
    return true | {"overall": sum(WEIGHTS[aspect] * true[aspect] for aspect in WEIGHTS)}


def misread(thing: Thing, wrong: int, rng: np.random.Generator) -> Thing:
    """The thing with `wrong` of colour, shape and place replaced by another."""
    for name in rng.permutation(list(_NAMES))[:wrong]:
        others = [value for value in _NAMES[name] if value != getattr(thing, name)]
        thing = replace(thing, **{name: others[rng.integers(len(others))]})
    return thing


def differences(thing: Thing, other: Thing) -> int:
    """How many of colour, shape and place differ."""
    return sum(getattr(thing, name) != getattr(other, name) for name in _NAMES)


def degrade(pixels: Pixels, faults: Faults, rng: np.random.Generator) -> Pixels:
    """The picture with the faults of colour and detail; the object must be drawn wrong before."""
    values: Values = np.divide(pixels, 255, dtype=np.float32)
    values = tint(flatten(values, faults.dull), faults.cast)
    values = grain(soften(values, faults.blur), faults.noise, rng)
    return block(_to_bytes(values), faults.blocks)


def flatten(values: Values, severity: float) -> Values:
    """Contrast and saturation pulled towards a middle grey, by 62 % at most."""
    return np.asarray(values + 0.62 * severity * (0.55 - values), dtype=np.float32)


def tint(values: Values, severity: float) -> Values:
    """A sickly cast: green up, red and more so blue down."""
    return np.asarray(np.clip(values * np.exp(severity * TINT), 0, 1), dtype=np.float32)


def soften(values: Values, severity: float) -> Values:
    """A Gaussian blur; its deviation is 3 pixels at most."""
    if severity == 0:
        return values
    blurred = Image.fromarray(_to_bytes(values)).filter(ImageFilter.GaussianBlur(3 * severity))
    softened: Values = np.divide(np.asarray(blurred), 255, dtype=np.float32)
    return softened


def grain(values: Values, severity: float, rng: np.random.Generator) -> Values:
    """Independent noise on every channel; its deviation is 40 grey levels at most."""
    noise = rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(values + 40 / 255 * severity * noise, 0, 1), dtype=np.float32)


def block(pixels: Pixels, severity: float) -> Pixels:
    """The picture after JPEG, from quality 55 down to 5; untouched at severity 0."""
    if severity == 0:
        return pixels
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=round(5 + 50 * (1 - severity) ** 1.5))
    reread: Pixels = np.asarray(Image.open(packed))
    return reread


def _severity(chance: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(_FAINTEST, 1)) if rng.random() < chance else 0.0


def _to_bytes(values: Values) -> Pixels:
    return np.round(values * 255).clip(0, 255).astype(np.uint8)
