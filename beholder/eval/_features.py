"""Features of one set of pictures or clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from beholder.errors import DataError
from beholder.eval._origin import Origin

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Features:
    """Features (n, d) of n pictures or clips, all of one origin.

    Attributes:
        values: float32 or float64, finite; may be a memory-mapped file.
        origin: what made them.
        keys: names of the n rows, or () if nobody knows them.
        labels: classes of the n rows, "" for one without, or () if nobody knows them.
    """

    values: Array
    origin: Origin
    keys: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.keys and len(self.keys) != len(self.values):
            raise DataError(f"{len(self.values)} rows of features but {len(self.keys)} keys")
        if self.labels and len(self.labels) != len(self.values):
            raise DataError(f"{len(self.values)} rows of features but {len(self.labels)} labels")


def checked_matrix(values: object, what: str, least: int = 1) -> Array:
    """Features as a matrix (n, d) of floats, as they are if they are one already.

    A tensor may be on any device and of any type.
    Raises DataError naming `what` if it has other axes, fewer than `least` rows, or a NaN.
    """
    if isinstance(values, Tensor):
        wide = values.detach().cpu()
        values = (wide.float() if wide.dtype.itemsize < 4 else wide).numpy()
    matrix = np.asarray(values)
    if matrix.ndim != 2 or matrix.shape[1] < 1:
        raise DataError(f"{what} must have two axes, (n, d), got shape {matrix.shape}")
    if len(matrix) < least:
        raise DataError(f"{what} has {len(matrix)} rows, at least {least} are needed")
    if not np.issubdtype(matrix.dtype, np.floating):
        matrix = matrix.astype(np.float64)
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise DataError(
            f"{what} has NaN or infinite values in {int(bad.sum())} of {len(matrix)} rows, "
            f"the first is row {int(bad.argmax())}"
        )
    return matrix
