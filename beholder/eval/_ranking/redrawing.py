"""Redrawn prompts, redrawn pictures of the same prompts, or both, and the intervals they give."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from beholder.errors import DataError
from beholder.eval._bootstrap import (
    LEVEL,
    Floats,
    Interval,
    percentile_interval,
    resampled_sums,
)
from beholder.eval._ranking.cells import Cells, Ints, Layout, Named, Sums, by_prompt, in_all, layout

_NORMAL = NormalDist()


def redrawn(cells: Cells, resample: str, draws: int, seed: int, *, of_all: bool = False) -> Sums:
    """Sums of each draw, (draws, ...); equal arguments but for the scores redraw the same.

    With `of_all` that holds for scores that miss on other pictures too: pictures without a score
    are drawn as well, and add nothing.

    Raises DataError if pictures are redrawn, and no checkpoint has two of a prompt.
    """
    if resample == "prompts":
        flat = by_prompt(layout(cells)).flat()
        return Sums.split(resampled_sums(flat, draws, seed), len(cells.names))
    pictures = _Pictures.of(cells, of_all=of_all)
    generator = np.random.default_rng(seed)
    flat = np.concatenate(
        [pictures.draw(generator, prompts=resample == "both").flat() for _ in range(draws)]
    )
    return Sums.split(flat, len(cells.names))


def expanded_interval(samples: Floats, groups: int) -> Interval:
    """A percentile interval that is as wide as that of a t-test would be on normal values.

    Redrawing n groups gives a spread that is short of the standard error by sqrt((n - 1) / n), and
    knows nothing of Student's t. So the two tails are cut at Phi(-sqrt(n / (n - 1)) t_(n-1))
    instead of 2.5 % (the expanded percentile interval; Hesterberg, 2015, The American Statistician
    69, 371-386). NaN with fewer than two groups: one prompt says nothing of the spread.
    """
    if groups < 2:
        return Interval(math.nan, math.nan)
    reach = math.sqrt(groups / (groups - 1)) * _student(LEVEL, groups - 1)
    return percentile_interval(samples, min(1 - 2 * _NORMAL.cdf(-reach), 1 - 1e-12))


def _student(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's t, by its expansion in 1 / freedom.

    Abramowitz and Stegun, 26.7.5; within 1 % from 4 degrees of freedom, and below that so large
    that the interval spans all draws, as it should.
    """
    z = _NORMAL.inv_cdf((1 + level) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom ** (k + 1) for k, term in enumerate(terms))


@dataclass(frozen=True, slots=True)
class _Pictures:
    """How pictures are redrawn inside prompts: whole slots, as many of a pool as it holds less one.

    A slot is the pictures of one seed of a prompt, where seeds are known, and its pool all seeds of
    the prompt; otherwise a slot is one picture, and its pool those of its checkpoint and prompt.
    One slot fewer than there are is drawn, since k - 1 redrawn values have a mean that varies as
    much as that of k fresh ones (Rao and Wu, 1988, JASA 83, 231-241).

    Attributes:
        every: all pictures.
        slot: of each picture, counted inside its prompt.
        base, size: of each slot to draw: where its pool begins inside the prompt, its slots.
        rows, slots, tickets: of each prompt: pictures, slots, and slots to draw.
    """

    every: Layout
    slot: Ints
    base: Ints
    size: Ints
    rows: Ints
    slots: Ints
    tickets: Ints

    @classmethod
    def of(cls, cells: Cells, *, of_all: bool = False) -> _Pictures:
        drawn_from = cells.named if of_all else Named(cells.model, cells.prompt, cells.seed)
        slots, slot = np.unique(_keys(drawn_from), axis=0, return_inverse=True)
        pools, pool_starts, sizes = np.unique(
            slots[:, :2], axis=0, return_index=True, return_counts=True
        )
        if not (sizes > 1).any():
            raise DataError(
                "no checkpoint has two pictures of a prompt, so pictures cannot be redrawn; "
                "make several with other seeds, or redraw prompts"
            )
        per_prompt = np.bincount(slots[:, 0], minlength=cells.prompts)
        offset = np.cumsum(per_prompt) - per_prompt
        drawn = np.maximum(sizes - 1, 1)
        return cls(
            every=layout(cells),
            slot=slot.reshape(-1)[cells.row if of_all else ...] - offset[cells.prompt],
            base=np.repeat(pool_starts - offset[pools[:, 0]], drawn),
            size=np.repeat(sizes, drawn),
            rows=np.bincount(cells.prompt, minlength=cells.prompts),
            slots=per_prompt,
            tickets=np.bincount(pools[:, 0], drawn, minlength=cells.prompts).astype(np.int64),
        )

    def draw(self, generator: np.random.Generator, *, prompts: bool) -> Sums:
        """One redraw of pictures; of prompts first if asked, whose copies then differ."""
        count = len(self.rows)
        chosen = generator.integers(count, size=count) if prompts else np.arange(count)
        ticket, of = _spans(self.tickets, chosen)
        offset = np.cumsum(self.slots[chosen]) - self.slots[chosen]
        target = self.base[ticket] + generator.integers(self.size[ticket]) + offset[of]
        times = np.bincount(target, minlength=int(self.slots[chosen].sum()))
        row, group = _spans(self.rows, chosen)
        weight = times[self.slot[row] + offset[group]].astype(np.float64)
        return in_all(_moved(self.every, row, group, self.rows[chosen]), weight)


def _keys(named: Named) -> Ints:
    """Prompt, pool and slot of each row: a seed for all checkpoints, or a picture of its own."""
    alone = named.seed < 0
    pool = np.where(alone, named.model, -1)
    return np.stack([named.prompt, pool, np.where(alone, np.arange(len(alone)), named.seed)], 1)


def _spans(lengths: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Positions of all members of the chosen groups, which lie one after the other, and whose."""
    starts, taken = (np.cumsum(lengths) - lengths)[chosen], lengths[chosen]
    of = np.repeat(np.arange(len(chosen)), taken)
    shift = starts - (np.cumsum(taken) - taken)
    return np.arange(len(of)) + shift[of], of


def _moved(every: Layout, row: Ints, group: Ints, lengths: Ints) -> Layout:
    """The pictures at `row` in their new order."""
    first = (np.cumsum(lengths) - lengths)[group]
    shift = first - every.first[row]
    return replace(
        every,
        model=every.model[row],
        group=group,
        value=every.value[row],
        first=first,
        low=every.low[row] + shift,
        high=every.high[row] + shift,
        groups=len(lengths),
    )
