"""Distances between many rows of features, a block at a time, as exact as float64.

Products in float32 are twice as fast as in float64 and lose digits where the rows lie far from the
origin, so every block is moved to a common centre first. What is still lost is bounded (Higham,
2002, section 3.1): a comparison that falls inside the bound is decided again in float64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array, checked_matrix
from beholder.eval._precision import full_precision

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
_ROWS = 1024  # that are read at once
_AT_ONCE = 128  # pairs whose differences are; these stay in the processor's cache
_MANY = 2**16  # pairs from which on it pays to look for copies
_LARGEST = 1e36  # squared norms above overflow in float32 once they are added


class Rows:
    """Features (n, d) whose blocks come out centred.

    Attributes:
        size: n.
        width: d.
        device: where blocks are put: that of a tensor, or the CPU for an array.
        norms: squared lengths (n,) of the centred rows, float64.
        centre: what is subtracted, float32 (d,).
    """

    def __init__(self, values: Array | Tensor, centre: npt.NDArray[np.float32]) -> None:
        self._values = values
        self.centre = centre
        self.size, self.width = values.shape
        self.device = values.device if isinstance(values, Tensor) else torch.device("cpu")
        self.norms = np.concatenate([self._squared(at) for at in spans(self.size, _ROWS)])
        if self.norms.max() > _LARGEST:
            raise DataError(
                f"features are up to {self.norms.max() ** 0.5:.2g} long, more than the distances of"
                " float32 can hold; divide them all by one number"
            )

    def block(self, at: slice, dtype: torch.dtype = torch.float32) -> Float[Tensor, "b d"]:
        """Some rows minus the centre; each value is off by one rounding."""
        if isinstance(self._values, Tensor):
            wider = self._values[at].to(torch.promote_types(self._values.dtype, dtype))
            return (wider - torch.from_numpy(self.centre).to(wider)).to(dtype)
        wide = np.float64 if self._values.dtype.itemsize > 4 or dtype == torch.float64 else None
        rows = np.subtract(self._values[at], self.centre, dtype=wide or np.float32)
        return torch.from_numpy(np.asarray(rows)).to(dtype)

    def chosen(self, places: Places) -> Float[Tensor, "b d"]:
        """Some rows minus the centre, in float64."""
        return torch.from_numpy(self.raw(places) - self.centre).to(self.device)

    def raw(self, places: Places) -> Floats:
        """Some rows as they were given, float64."""
        if isinstance(self._values, Tensor):
            chosen = torch.from_numpy(places).to(self.device)
            return self._values[chosen].double().cpu().numpy()
        return np.asarray(self._values[places], dtype=np.float64)

    @cached_property
    def originals(self) -> Places:
        """For each row the first one that equals it, (n,)."""
        seen: dict[bytes, int] = {}
        places = np.arange(self.size)
        for at in spans(self.size, _ROWS):
            for place, row in enumerate(self.raw(places[at]) + 0.0, start=at.start):  # -0 is 0
                digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
                places[place] = seen.setdefault(digest, place)
        return places

    def slack(self, dtype: torch.dtype = torch.float32) -> Floats:
        """What each row adds to the error bound of a squared distance of two rows, (n,).

        The product of rows a and b is off by at most d u |a||b|, twice of which is at most
        d u (|a|² + |b|²), u being the unit roundoff; sums and the centring add less than 16 u of
        it. Norms are float64: they add as much again where products are float64 too. Below `tiny`
        float32 knows nothing.
        """
        unit = torch.finfo(dtype).eps / 2
        tiny = float(torch.finfo(torch.float32).tiny)
        wide = 2 * self.width if dtype == torch.float64 else self.width
        return (self.norms * (1.01 * unit) + tiny) * (wide + 16)

    def _squared(self, at: slice) -> Floats:
        rows = self.block(at).cpu().numpy()
        norms: Floats = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        return norms


def common_rows(first: Array | Tensor, second: Array | Tensor) -> tuple[Rows, Rows]:
    """Two checked sets with their common mean as centre, without a copy of either."""
    total = _sum(first) + _sum(second)
    centre = (total / (len(first) + len(second))).astype(np.float32)
    return Rows(first, centre), Rows(second, centre)


def checked_pair(
    first: Array | Tensor, second: Array | Tensor, names: tuple[str, str], least: int = 1
) -> tuple[Array | Tensor, Array | Tensor]:
    """Two matrices of one width, checked, with floating values.

    Raises DataError naming the side that is not finite, not a matrix, or shorter than `least`, or
    if the widths or the devices differ.
    """
    one, two = checked(first, names[0], least), checked(second, names[1], least)
    if one.shape[1] != two.shape[1]:
        raise DataError(
            f"{names[0]} has {one.shape[1]} values a row but {names[1]} has {two.shape[1]}; "
            "measure both with one extractor and layer"
        )
    devices = {v.device if isinstance(v, Tensor) else torch.device("cpu") for v in (one, two)}
    if len(devices) > 1:
        raise DataError(f"{names[0]} and {names[1]} must lie on one device, got {devices}")
    return one, two


def checked(values: Array | Tensor, what: str, least: int = 1) -> Array | Tensor:
    """`checked_matrix` of an array or tensor; a tensor of a GPU stays there."""
    if not isinstance(values, Tensor):
        return checked_matrix(values, what, least)
    tensor = values.detach()
    here = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu()
    matrix = checked_matrix(here.numpy(), what, least)
    return matrix if tensor.device.type in {"cpu", "mps"} else tensor  # mps has no float64


def spans(size: int, block: int) -> Iterator[slice]:
    """Slices of at most `block` that cover `size` rows."""
    return (slice(at, min(at + block, size)) for at in range(0, size, block))


def checked_block(block: int) -> int:
    """The rows of a block; ConfigError if there is none."""
    if block < 1:
        raise ConfigError(f"block must be 1 or more rows, got {block}")
    return block


def products(left: Float[Tensor, "b d"], right: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
    """Inner products of all rows; those of a block with itself cost half on the CPU."""
    if right is left and left.device.type == "cpu":
        rows = left.numpy()
        return torch.from_numpy(rows @ rows.T)  # NumPy sees the symmetry, torch does not
    return left @ right.T


def squared_distances(
    left: Float[Tensor, "b d"],
    right: Float[Tensor, "c d"],
    left_norms: Float[Tensor, "b"],
    right_norms: Float[Tensor, "c"],
) -> Float[Tensor, "b c"]:
    """|a|² + |b|² - 2ab of centred rows; may be a little below 0."""
    distances = products(left, right).mul_(-2)
    return distances.add_(right_norms[None]).add_(left_norms[:, None])


def exact_distances(first: Rows, i: Places, second: Rows, j: Places) -> Floats:
    """Squared distances (pairs,) of rows `i` of one set and `j` of another, in float64.

    The sum of squared differences of the values as given: 0 for equal rows, and the same digits
    for the same two rows whichever set they stand in.
    """
    if not len(i):
        return np.zeros(0)
    if len(i) > _MANY:
        return _exact_once_each(first, i, second, j)
    chunks = []
    for at in spans(len(i), _AT_ONCE):
        difference = first.raw(i[at]) - second.raw(j[at])
        np.square(difference, out=difference)
        chunks.append(difference.sum(axis=1))
    return np.concatenate(chunks)


def _exact_once_each(first: Rows, i: Places, second: Rows, j: Places) -> Floats:
    """The same for very many pairs, such as there are between copies of one row."""
    codes = first.originals[i] * second.size + second.originals[j]
    pairs, back = np.unique(codes, return_inverse=True)
    found = [
        exact_distances(first, pairs[at] // second.size, second, pairs[at] % second.size)
        for at in spans(len(pairs), _MANY)
    ]
    return np.concatenate(found)[back]


@contextmanager
def exact_products(*sets: Array | Tensor) -> Iterator[None]:
    """Products in true float32 and without gradient; TF32 would break the bound of their error."""
    kind = next((v.device.type for v in sets if isinstance(v, Tensor)), "cpu")
    with torch.no_grad(), full_precision(kind):
        yield


def _sum(values: Array | Tensor) -> Floats:
    """Sum (d,) over the rows in float64."""
    total = np.zeros(values.shape[1])
    for at in spans(len(values), _ROWS):
        rows = values[at]
        total += (
            rows.sum(0, dtype=torch.float64).cpu().numpy()
            if isinstance(rows, Tensor)
            else (rows.sum(0, dtype=np.float64))
        )
    return total
