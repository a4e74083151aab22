"""Mean and covariance of one side of a Fréchet distance, and the trace that couples two of them.

With S = FᵀF for both sides, tr (S₁S₂)^½ is the sum of the singular values of F₁F₂ᵀ. Few rows of
features are such an F themselves, so a covariance without full rank need never be formed; a
covariance gives one by Cholesky, or else by its eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array, Features, checked_matrix
from beholder.eval._origin import Origin
from beholder.eval.statistics import Statistics

Branch = Literal["gram", "cholesky", "eigh"]
Given = Features | Statistics | Tensor | npt.ArrayLike
"""What makes one side of a distance."""
PLAIN = Origin.from_dict({})
"""Of a matrix of which nothing is known but its values."""
_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 256  # columns of a triangular product at once
_ALIKE = 1e3  # ratio of variances that costs eigenvalues no digits
_NEGATIVE = 1e-6  # an eigenvalue below this share of the largest is no rounding any more


class Coupling(NamedTuple):
    """The trace of (S₁S₂)^½, the branch that made it, and the rank of S₁S₂ in float64."""

    trace: float
    branch: Branch
    rank: int


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of one side.

    Attributes:
        mean: (d,).
        variance: trace of the covariance.
        matrix: the covariance S (d, d), or, where `few`, rows F (r, d) with S = FᵀF.
        few: whether there are too few features for a covariance of full rank.
    """

    mean: Float64[Array, "d"]
    variance: float
    matrix: Float64[Array, "r d"]
    few: bool = False

    @cached_property
    def order(self) -> npt.NDArray[np.intp] | None:
        """The values (d,) from the one that varies most: so eigenvalues of LᵀSL keep digits.

        None where they vary alike and nothing is to be gained.
        """
        spread = np.diagonal(self.matrix)
        if spread.max() <= _ALIKE * spread.min():
            return None
        return np.argsort(-spread, kind="stable")

    @cached_property
    def lower(self) -> Float64[Array, "d d"] | None:
        """L with S = LLᵀ for S in `order`; None unless S is there and positive definite."""
        try:
            return None if self.few else np.linalg.cholesky(_ordered(self.matrix, self.order))
        except np.linalg.LinAlgError:
            return None

    @cached_property
    def factor(self) -> Float64[Array, "r d"]:
        """F (r, d) with S = FᵀF."""
        if self.few:
            return self.matrix
        if self.lower is None:
            return _root(self.matrix)
        if self.order is None:
            return self.lower.T
        root = np.empty_like(self.lower)
        root[:, self.order] = self.lower.T
        return root

    def dead(self) -> npt.NDArray[np.bool_]:
        """Where a value never varies, (d,): such columns of two sides couple with nothing."""
        spread = np.square(self.matrix).sum(axis=0) if self.few else np.diagonal(self.matrix)
        return np.asarray(spread <= np.square(8 * _EPS * self.mean))

    def columns(self, kept: npt.NDArray[np.bool_]) -> Moments:
        """The moments of some of the values, but with the variance of all."""
        matrix = self.matrix[:, kept] if self.few else self.matrix[np.ix_(kept, kept)]
        return Moments(self.mean[kept], self.variance, matrix, self.few)


def _ordered(
    symmetric: Float64[Array, "d d"], order: npt.NDArray[np.intp] | None
) -> Float64[Array, "d d"]:
    return symmetric if order is None else symmetric.take(order, axis=0).take(order, axis=1)


def _root(covariance: Float64[Array, "d d"]) -> Float64[Array, "r d"]:
    """F by eigenvectors, the last resort; an eigenvalue that only rounding made is none."""
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -_NEGATIVE * abs(values[-1]):
        raise DataError(
            f"a covariance has eigenvalue {values[0]:.3g} beside {values[-1]:.3g}, "
            "so it is not positive semidefinite: its file is damaged"
        )
    kept = values > len(values) * _EPS * values[-1]
    root: Array = (vectors[:, kept] * np.sqrt(values[kept])).T
    return root


def check_ddof(ddof: int) -> None:
    """Raise ConfigError unless `ddof` is 0 or 1."""
    if ddof not in {0, 1}:
        raise ConfigError(f"ddof must be 1 (np.cov, published FIDs) or 0 (StyleGAN), got {ddof}")


def moments(given: Given, ddof: int, what: str = "features") -> Moments:
    """Moments of features or of statistics; features of n <= d rows are kept as rows.

    Raises DataError if a matrix is none, has a NaN, or has no more than `ddof` rows.
    """
    if isinstance(given, Statistics):
        return of_statistics(given, ddof)
    matrix = matrix_of(given, what, least=ddof + 1)
    if len(matrix) <= matrix.shape[1]:
        return of_rows(matrix, ddof)
    return of_statistics(Statistics.of(matrix, PLAIN), ddof)


def matrix_of(given: Features | Tensor | npt.ArrayLike, what: str, least: int = 1) -> Array:
    """Features (n, d) as numpy has them, of a tensor of any device and any float.

    Raises DataError as `checked_matrix` does.
    """
    values = given.values if isinstance(given, Features) else given
    if isinstance(values, Tensor):
        wide = values if values.dtype == torch.float64 else values.float()
        values = wide.detach().cpu().numpy()
    return checked_matrix(values, what, least)


def of_statistics(statistics: Statistics, ddof: int) -> Moments:
    """Moments of statistics, which need not say their count if `ddof` is 1."""
    covariance = statistics.covariance(ddof)
    return Moments(statistics.mean, float(np.trace(covariance)), covariance)


def of_rows(matrix: Float[Array, "n d"], ddof: int) -> Moments:
    """Moments of few features (n, d), as n - 1 rows.

    A reflection that takes (1, …, 1) to an axis leaves the scatter as it is and makes one row of
    the centred features zero: so no singular value is zero only because features were centred.
    """
    centred = matrix - matrix[0].astype(np.float64)
    mean = centred.mean(axis=0)
    centred -= mean
    degrees = len(matrix) - ddof
    variance = float(np.square(centred).sum() / degrees)
    rows = centred[1:] - centred[0] / (1 + np.sqrt(len(matrix)))
    return Moments(matrix[0] + mean, variance, rows / np.sqrt(degrees), few=True)


def coupling(first: Moments, second: Moments) -> Coupling:
    """What couples two covariances, by the exact branch; 0 if nothing varies on both sides.

    "gram": the singular values of F₁F₂ᵀ where a side has few rows; "cholesky": the eigenvalues of
    L₁ᵀS₂L₁ where there are covariances of full rank; "eigh": F by eigenvectors where one is not.
    """
    dead = first.dead() | second.dead()
    if dead.all():
        return Coupling(0.0, "gram", 0)
    if dead.any():
        first, second = first.columns(~dead), second.columns(~dead)
    few = first.few or second.few
    return (None if few else _by_cholesky(first, second)) or _by_factors(first, second)


def _by_cholesky(first: Moments, second: Moments) -> Coupling | None:
    """The fastest way; None where a covariance has no full rank.

    An eigenvalue that rounding made would have a root of half its digits. Those of Cholesky's
    graded LᵀSL are right far below eps, but only where S has full rank too.
    """
    is_steeper = first.order is None and second.order is not None
    one, other = (second, first) if is_steeper or first.lower is None else (first, second)
    if one.lower is None:
        return None
    values = np.linalg.eigvalsh(_congruent(one.lower, _ordered(other.matrix, one.order)))
    small = values[0] <= len(values) * _EPS * values[-1]
    if small and (values[0] < 0 or other.lower is None):
        return None
    return Coupling(float(np.sqrt(values).sum()), "cholesky", len(values))


def _by_factors(first: Moments, second: Moments) -> Coupling:
    singular = np.linalg.svd(first.factor @ second.factor.T, compute_uv=False)
    least = _EPS * max(len(first.mean), len(singular)) * singular[0]
    rank = int((singular > least).sum())
    return Coupling(float(singular.sum()), _branch(first, second), rank)


def _branch(first: Moments, second: Moments) -> Branch:
    if any(not side.few and side.lower is None for side in (first, second)):
        return "eigh"
    return "gram" if first.few or second.few else "cholesky"


def _congruent(
    lower: Float64[Array, "d d"], symmetric: Float64[Array, "d d"]
) -> Float64[Array, "d d"]:
    """The lower triangle of LᵀSL, with a third of the work of full products."""
    size = len(lower)
    product = np.empty((size, size))
    for start in range(0, size, _BLOCK):
        columns = slice(start, start + _BLOCK)
        np.matmul(symmetric[:, start:], lower[start:, columns], out=product[:, columns])
    for start in range(0, size, _BLOCK):
        rows, until = slice(start, start + _BLOCK), start + _BLOCK
        product[rows, :until] = lower[start:, rows].T @ product[start:, :until]
    return product  # what is above its diagonal is left over
