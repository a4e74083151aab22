"""Kept rows of a table, for the tests of what is written of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from beholder.eval._outputs.rows import KeptRow
from beholder.images import ImageSource


def picture(path: Path, grey: int = 0) -> Path:
    """A small PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), grey, np.uint8)).save(path, "PNG")
    return path


def table(images: Sequence[str], keys: Sequence[str] = ()) -> pa.Table:
    """A table of scores: the second total is NaN, and no row has an error."""
    count = len(images)
    return pa.table(
        {
            "key": list(keys) or [f"row {k}" for k in range(count)],
            "image": list(images),
            "prompt": [f"prompt ö {k}" for k in range(count)],
            "is_good": [True] * count,
            "tiny.total": pa.array([k if k != 1 else np.nan for k in range(count)], pa.float32()),
            "tiny.error": pa.array([None] * count, pa.string()),
        }
    )


def row(key: str, source: ImageSource, image: str = "") -> KeptRow:
    """One row, whose columns are its key and a score."""
    return KeptRow({"key": key, "tiny.total": 0.5}, key, image or str(source), "a fox", source)
