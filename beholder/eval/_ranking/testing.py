"""Whether two checkpoints differ: exact permutation tests of the share of pairs that one wins.

Under "no difference" the names of two checkpoints are exchangeable within a prompt. Then

- over prompts, what each adds to the win share, its share less a half, is as likely to have the
  other sign (Fisher, 1935);
- over the pictures of these very prompts, any of them may have come from either (the stratified
  rank test of van Elteren, 1960, Bull. Inst. Int. Stat. 37, 351-361).

Shares of pairs are fractions with small denominators, so the sum over prompts lives on a grid and
its whole distribution is a product of the prompts' Fourier transforms (after Pagano and Tritchler,
1983, JASA 78, 435-440): exact p-values, however many prompts, with no random draw.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from beholder.eval._bootstrap import Floats
from beholder.eval._ranking.cells import Cells, Ints
from beholder.eval.evaluation_differences import FLIPS, sign_flip_p

SMALLEST = 1e-12
"""p-values are not told apart below this: what is left is rounding of the transforms."""
_GRID = 2**20  # points of a distribution
_PAIRS = 2500  # picture pairs of a prompt up to which the distribution of its share is worked out


def prompt_p(shares: Floats, pairs: Ints, *, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p of win shares (prompts,) of so many picture `pairs` each, over prompts.

    Exact; of `flips` random signs, with that seed, only where the pairs have no common denominator
    that is small enough. NaN without a prompt.
    """
    if not len(shares):
        return math.nan
    unit = math.lcm(*(2 * int(n) for n in np.unique(pairs)))
    reach = len(shares) * unit // 2
    if 2 * reach >= _GRID:
        return sign_flip_p(shares - 0.5, draws=flips, seed=seed)
    steps = np.rint((shares - 0.5) * unit).astype(np.int64)
    counts = Counter(np.abs(steps[steps != 0]).tolist())
    parts = {_two_points(step): count for step, count in counts.items()}
    return _tail(parts, abs(int(steps.sum())))


def picture_p(cells: Cells, i: int, j: int) -> float:
    """Two-sided p of checkpoints i and j over the pictures of these prompts.

    Pictures that share their noise are treated as if they did not, which errs on the safe side.
    Exact; by the normal limit where prompts have very many pictures. NaN without a shared prompt.
    """
    strata = _strata(cells, i, j)
    if not strata:
        return math.nan
    unit = math.lcm(*(2 * s.first * s.second for s, _ in strata))
    rough = any(s.first * s.second > _PAIRS for s, _ in strata)
    if rough or len(strata) * unit >= _GRID:
        return _normal_p(strata)
    parts = Counter(_points(s, unit) for s, _ in strata)
    seen = sum(twice * unit // (2 * s.first * s.second) for s, twice in strata)
    return _tail(parts, abs(seen))


Points = tuple[tuple[int, ...], tuple[float, ...]]
"""Whole numbers of mean 0, and their probabilities; with ties they need not be symmetric."""


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Pictures of two checkpoints on a prompt, and how many of all are equal, in order of score."""

    first: int
    second: int
    ties: tuple[int, ...]


def _two_points(step: int) -> Points:
    return (-step, step), (0.5, 0.5)


def _tail(parts: Mapping[Points, int], seen: int) -> float:
    """P(|S| >= seen) of the sum S of independent numbers, each part so often."""
    reach = sum(max(map(abs, where)) * count for (where, _), count in parts.items())
    if not reach or not seen:
        return 1.0
    size = 1 << (2 * reach).bit_length()  # more points than sums, so that none wraps around
    spectrum: npt.NDArray[np.complex128] = np.ones(size // 2 + 1, dtype=np.complex128)
    for (where, chances), count in parts.items():
        placed = np.zeros(size)
        placed[np.array(where)] = chances  # negative numbers wrap to the end
        spectrum = spectrum * np.fft.rfft(placed) ** count
    chance = np.fft.irfft(spectrum, size)
    p = float(chance[seen : size - seen + 1].sum())
    return min(1.0, max(p, SMALLEST))


def _strata(cells: Cells, i: int, j: int) -> list[tuple[_Stratum, int]]:
    """Of each prompt of both: its pictures, and twice (wins less losses of i) over their pairs."""
    mine = (cells.model == i) | (cells.model == j)
    prompt, value, first = cells.prompt[mine], cells.value[mine], cells.model[mine] == i
    strata = []
    ends = np.flatnonzero(np.diff(prompt)) + 1
    for values, ours in zip(np.split(value, ends), np.split(first, ends), strict=True):
        a = int(ours.sum())
        b = len(ours) - a
        if a and b:
            _, run, ties = np.unique(values, return_inverse=True, return_counts=True)
            twice_rank = 2 * np.cumsum(ties) - ties + 1
            wins = int(twice_rank[run][ours].sum()) - a * (a + 1)  # twice Mann and Whitney's U
            strata.append((_Stratum(a, b, tuple(ties.tolist())), wins - a * b))
    return strata


@lru_cache(maxsize=4096)
def _points(stratum: _Stratum, unit: int) -> Points:
    """The share of pairs that the first wins, less a half, over all ways to name the pictures."""
    a, b = stratum.first, stratum.second
    chance = _rank_sums(stratum)
    at = np.flatnonzero(chance)
    where = (at - a * b) * (unit // (2 * a * b))
    return tuple(where.tolist()), tuple(chance[at].tolist())


def _rank_sums(stratum: _Stratum) -> Floats:
    """The chance of each 2 U from 0 to 2ab, (2ab + 1,).

    Tie groups are added from the lowest score; a state is how many of the first's pictures lie so
    far, and what they won. Of a group of t with c of them, each beats the other's pictures below
    and ties with those in the group.
    """
    a, b = stratum.first, stratum.second
    ways = np.zeros((a + 1, 2 * a * b + 1))
    ways[0, 0] = 1.0
    seen = 0
    for t in stratum.ties:
        after = np.zeros_like(ways)
        for had in range(min(a, seen) + 1):
            for c in range(min(t, a - had) + 1):
                won = 2 * c * (seen - had) + c * (t - c)
                if seen - had + t - c <= b:
                    after[had + c, won:] += math.comb(t, c) * ways[had, : ways.shape[1] - won]
        ways, seen = after, seen + t
    chances: Floats = ways[a] / ways[a].sum()
    return chances


def _normal_p(strata: list[tuple[_Stratum, int]]) -> float:
    """The normal limit of the same test."""
    seen = sum(twice / (2 * s.first * s.second) for s, twice in strata)
    variance = sum(_variance(s) for s, _ in strata)
    if not variance:
        return 1.0
    return max(math.erfc(abs(seen) / math.sqrt(2 * variance)), SMALLEST)


def _variance(stratum: _Stratum) -> float:
    """Of the share of pairs under exchange of names, with ties (Lehmann, 1975, appendix A)."""
    a, b = stratum.first, stratum.second
    n = a + b
    tied = sum(t**3 - t for t in stratum.ties)
    return (n**3 - n - tied) / (12 * n * (n - 1) * a * b)
