"""Number, mean and scatter of features: all that a Fréchet distance needs, and mergeable.

Shards, processes and batches each keep their own and are merged exactly (Chan et al., 1979), so
features need not be kept. Everything is float64, and each block is centred by its own mean: an
offset common to all features costs no digits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64

from beholder.errors import DataError
from beholder.eval._array_files import read_about, read_arrays, write_arrays
from beholder.eval._features import Array, Features, checked_matrix
from beholder.eval._origin import Origin, check_same

KIND = "beholder statistics 1"
"""What a file says that holds some."""
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """First two moments of the features of one set, all of one origin.

    Attributes:
        count: number n of pictures or clips; None where a file of somebody else does not say it.
        mean: (d,), float64.
        scatter: (d, d), float64, the sum of outer products of the centred features; where the
            count is unknown it is their covariance (ddof 1).
        origin: what made the features.
    """

    count: int | None
    mean: Float64[Array, "d"]
    scatter: Float64[Array, "d d"]
    origin: Origin

    @classmethod
    def of(
        cls, features: Features | npt.ArrayLike, origin: Origin | None = None, *, block: int = 4096
    ) -> Statistics:
        """Statistics of features (n, d), read `block` rows at a time.

        Args:
            features: a `Features`, or a matrix, which may be a memory-mapped file.
            origin: of a plain matrix; a `Features` has its own.
            block: rows that are held in float64 at once; the result does not depend on it.

        Raises:
            DataError: if the matrix has other axes, no rows or a NaN, or if no origin is known.
        """
        made_by = features.origin if isinstance(features, Features) else origin
        if made_by is None:
            raise DataError("a plain matrix of features needs `origin`, which says what made it")
        values = features.values if isinstance(features, Features) else features
        matrix = checked_matrix(values, "features")
        running = RunningStatistics(made_by)
        for start in range(0, len(matrix), block):
            running.add(matrix[start : start + block])
        return running.result()

    @classmethod
    def of_covariance(
        cls,
        mean: npt.ArrayLike,
        covariance: npt.ArrayLike,
        origin: Origin,
        *,
        count: int | None = None,
    ) -> Statistics:
        """Statistics of which a mean (d,) and a covariance (d, d), ddof 1, are known."""
        scatter = np.asarray(covariance, dtype=np.float64)
        degrees = 1 if count is None else _degrees(count, 1)
        return cls(count, np.asarray(mean, dtype=np.float64), scatter * degrees, origin)

    @property
    def dims(self) -> int:
        """Number d of values of one picture."""
        return len(self.mean)

    def covariance(self, ddof: int = 1) -> Float64[Array, "d d"]:
        """Scatter over n - ddof: 1 is what `np.cov` and published FIDs use, StyleGAN's code 0.

        Raises DataError if n is not larger than `ddof`, or unknown and `ddof` is not 1.
        """
        if self.count is not None:
            return self.scatter / _degrees(self.count, ddof)
        if ddof != 1:
            raise DataError(
                f"ddof {ddof} needs to know how many pictures the statistics are of, which their "
                "file does not say: give features or pictures, or use ddof 1"
            )
        return self.scatter

    def merged(self, other: Statistics) -> Statistics:
        """Statistics of both sets together, as if they were one.

        Raises DataError if they are of different origins or dimensions, or of unknown counts.
        """
        first, second = self._counts(other, "merged")
        total = first + second
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(apart, apart) * (first * second / total)
        return Statistics(total, self.mean + apart * (second / total), scatter, self.origin)

    def without(self, other: Statistics) -> Statistics:
        """Statistics of what is left after taking out a part that was merged in.

        Raises DataError if `other` has another origin or dimension, or leaves nothing.
        """
        total, part = self._counts(other, "taken apart")
        rest = total - part
        if rest < 1:
            raise DataError(f"taking {part} of {total} pictures out leaves none")
        apart = self.mean - other.mean
        mean = self.mean + apart * (part / rest)
        scatter = self.scatter - other.scatter
        scatter -= np.outer(apart, apart) * (part * total / rest)
        return Statistics(rest, mean, scatter, self.origin)

    def _counts(self, other: Statistics, what: str) -> tuple[int, int]:
        check_same(self.origin, other.origin, unknown_agrees=True)
        if self.dims != other.dims:
            raise DataError(f"statistics of {self.dims} and {other.dims} values cannot be {what}")
        if self.count is None or other.count is None:
            raise DataError(f"statistics of an unknown number of pictures cannot be {what}")
        return self.count, other.count

    def save(self, path: str | Path) -> None:
        """Write one file: .safetensors, or .npz, by the suffix.

        Raises DataError if the suffix is neither.
        """
        about = {"kind": KIND, "count": json.dumps(self.count), **self.origin.as_dict()}
        write_arrays(Path(path), {"mean": self.mean, "scatter": self.scatter}, about)

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """What `save` wrote.

        Raises DataError if the file is missing, damaged or of another kind.
        """
        path = Path(path)
        about = read_about(path)
        if about.get("kind") != KIND:
            raise DataError(f"{path} does not hold statistics that beholder wrote")
        arrays = read_arrays(path, ["mean", "scatter"])
        count = _count_in(path, about)
        mean, scatter = (arrays[name].astype(np.float64) for name in ("mean", "scatter"))
        check_moments(mean, scatter, str(path))
        return cls(count, mean, scatter, Origin.from_dict(about))


class RunningStatistics:
    """Statistics that grow batch by batch, in one pass and O(d²) memory."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._count = 0
        self._mean: Array = np.empty(0)
        self._scatter: Array = np.empty((0, 0))

    def add(self, batch: npt.ArrayLike) -> None:
        """Take in features (b, d) of more pictures; DataError if they do not fit, or have a NaN."""
        matrix = checked_matrix(batch, "a batch of features", least=0)
        dims = matrix.shape[1]
        if not self._count:
            self._mean, self._scatter = np.zeros(dims), np.zeros((dims, dims))
        if dims != len(self._mean):
            raise DataError(f"a batch of {dims} values after ones of {len(self._mean)}")
        if len(matrix):
            self._merge(matrix)

    def _merge(self, matrix: Float[Array, "n d"]) -> None:
        batch, total = len(matrix), self._count + len(matrix)
        mean = matrix.mean(axis=0, dtype=np.float64)
        rows = np.empty((batch + 1, matrix.shape[1]))
        np.subtract(matrix, mean, out=rows[:-1])
        mean += rows[:-1].mean(axis=0)  # what the sum of large offsets rounded away
        apart = mean - self._mean
        # as one more row, the distance of the means enters the same rank-k update
        rows[-1] = apart * np.sqrt(self._count * batch / total)
        self._scatter += rows.T @ rows  # numpy takes a product with its own transpose for syrk
        self._mean = self._mean + apart * (batch / total)
        self._count = total

    def result(self) -> Statistics:
        """Statistics of everything so far; DataError if there was nothing."""
        if not self._count:
            raise DataError("statistics of no pictures at all")
        return Statistics(self._count, self._mean, self._scatter.copy(), self._origin)


def check_moments(mean: Array, scatter: Array, what: str) -> None:
    """Raise DataError naming `what` unless these are a mean and a scatter, or covariance, of it.

    A negative eigenvalue beyond rounding makes it none; here only its diagonal and the bound of
    Cauchy and Schwarz on each pair are looked at, since eigenvalues are costly.
    """
    if mean.ndim != 1 or scatter.shape != (len(mean), len(mean)):
        raise DataError(f"{what}: mean {mean.shape} and covariance {scatter.shape} do not fit")
    if not (np.isfinite(mean).all() and np.isfinite(scatter).all()):
        raise DataError(f"{what} has NaN or infinite values")
    diagonal = np.diagonal(scatter)
    largest = max(float(diagonal.max(initial=0.0)), _TINY)
    if np.abs(scatter - scatter.T).max(initial=0.0) > 1e-6 * largest:
        raise DataError(f"{what}: its covariance is not symmetric")
    bound = np.sqrt(np.maximum(diagonal, 0))
    if (np.abs(scatter) - np.outer(bound, bound)).max(initial=0.0) > 1e-6 * largest:
        raise DataError(f"{what}: its covariance is not positive semidefinite")


def _count_in(path: Path, about: Mapping[str, object]) -> int | None:
    text = str(about.get("count", "null"))
    try:
        count = json.loads(text)
    except ValueError:
        count = text
    if count is None or (type(count) is int and count >= 1):
        return count
    raise DataError(f"{path}: its count is damaged: {text!r} is no number of pictures")


def _degrees(count: int, ddof: int) -> int:
    if count <= ddof:
        raise DataError(f"a covariance with ddof {ddof} needs more than {ddof} rows, got {count}")
    return count - ddof
