"""Files like photographs, made anew from a number."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def jpeg(side: int, seed: int) -> bytes:
    """A file as large as a photograph's: smooth shapes, edges and a little grain."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    grain = generator.normal(0, 6, (side, side, 3))
    values = np.clip(smooth + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=90)
    return file.getvalue()
