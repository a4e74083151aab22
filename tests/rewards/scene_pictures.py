"""Photographs of scikit-image, clean, halved, blurred and noisy, and what other programs say."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

Picture = npt.NDArray[np.uint8]
PUBLISHED = Path(__file__).parents[1] / "data" / "rewards" / "scene_statistics.json"
"""Values of brisque 0.2.0 and basicsr 1.4.2; the file says how they were made."""


def published(name: str) -> dict[str, float]:
    """Picture -> value of "brisque", "brisque_unmodified" or "niqe"; lower is better."""
    scores = json.loads(PUBLISHED.read_text())["scores"]
    return {picture: values[name] for picture, values in scores.items()}


def picture(name: str) -> Picture:
    """The picture called "<photograph>.<kind>"."""
    data = pytest.importorskip("skimage.data", reason="the photographs ship with scikit-image")
    photograph, kind = name.split(".")
    clean: Picture = getattr(data, photograph)()
    if kind == "half":
        return np.ascontiguousarray(clean[::2, ::2])
    if kind == "blurred":
        return _levels(ndimage.gaussian_filter(clean.astype(float), (2, 2, 0)))
    if kind == "noisy":
        noise = np.random.Generator(np.random.PCG64(0)).integers(-40, 41, clean.shape)
        return _levels(clean.astype(float) + noise)
    return clean


def _levels(values: npt.NDArray[np.float64]) -> Picture:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
