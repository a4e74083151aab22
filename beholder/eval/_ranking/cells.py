"""Scores by prompt and checkpoint, and what any redraw of them adds up to.

Pictures are kept sorted by prompt and score, so that running sums along them say what share of
another checkpoint's pictures each one beats: all pairs of pictures at the price of one sort.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats

Ints = npt.NDArray[np.int64]
PICTURE_SEED = "seed"
"""The column that says which pictures of a prompt may share their noise, if there is one."""
_ROWS = 4096  # pictures whose running sums are held at once
Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Named:
    """Every row that names checkpoint and prompt, with or without a score, in the table's order.

    Attributes:
        model, prompt, seed: of each row, as of `Cells`.
    """

    model: Ints
    prompt: Ints
    seed: Ints


@dataclass(frozen=True, slots=True)
class Cells:
    """The pictures that have a score, sorted by prompt and score.

    Attributes:
        names: checkpoints, in alphabetical order.
        prompts: how many there are, with those on which nobody has a score.
        model, prompt, value: of each picture: its checkpoint, its prompt, its score, (pictures,).
        seed: of each picture: equal for those of one prompt that may share their noise, else -1.
        missing: rows without a score of each checkpoint.
        left_out: rows without checkpoint or prompt.
        named: all rows but those.
        row: of each picture: which of `named` it is.
    """

    names: Sequence[str]
    prompts: int
    model: Ints
    prompt: Ints
    value: Floats
    seed: Ints
    missing: Sequence[int]
    left_out: int
    named: Named
    row: Ints

    def counts(self) -> Ints:
        """Pictures of each checkpoint on each prompt, (prompts, m)."""
        m = len(self.names)
        flat = np.bincount(self.prompt * m + self.model, minlength=self.prompts * m)
        return flat.reshape(self.prompts, m)


@dataclass(frozen=True, slots=True)
class Layout:
    """Pictures of some prompts, of which one may occur more than once, sorted by prompt and score.

    Attributes:
        model, group, value: of each picture: its checkpoint, which prompt it is of, its score.
        first: of each picture: where its prompt begins.
        low, high: of each picture: where the scores equal to its own begin, and where they end.
        groups, models: how many there are.
        ties: whether any scores of a prompt are equal.
    """

    model: Ints
    group: Ints
    value: Floats
    first: Ints
    low: Ints
    high: Ints
    groups: int
    models: int
    ties: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """What adds up over prompts to every statistic, (..., m) and (..., pairs i < j).

    Attributes:
        mean: mean score of each checkpoint.
        has: whether it has one.
        wins: share of the picture pairs that i wins against j, ties half.
        met: whether both have a score.
        difference: mean score of i minus that of j.
    """

    mean: Floats
    has: Floats
    wins: Floats
    met: Floats
    difference: Floats

    def flat(self) -> Floats:
        """All of them side by side, (..., 2m + 3 pairs)."""
        return np.concatenate([self.mean, self.has, self.wins, self.met, self.difference], -1)

    def total(self) -> Sums:
        """The same over all prompts, (1, ...)."""
        models = self.mean.shape[-1]
        return Sums.split(self.flat().sum(0, keepdims=True), models)

    @classmethod
    def split(cls, flat: Floats, models: int) -> Sums:
        """What `flat` put side by side."""
        pairs = models * (models - 1) // 2
        ends = np.cumsum([models, models, pairs, pairs])
        return cls(*np.split(flat, ends, axis=-1))


def gather(columns: Columns, score: str, by: str, prompt: str) -> Cells:
    """The pictures of a table's columns, whose order decides that of the prompts.

    A column "seed" need not be there.

    Raises:
        ConfigError: if a column is not there, or the score column holds text.
        DataError: if there are fewer than two checkpoints.
    """
    for name in (score, by, prompt):
        if name not in columns:
            raise ConfigError(f"no column named {name!r}; the table has {', '.join(columns)}")
    values = numbers(columns[score], score)
    given = columns.get(PICTURE_SEED, [None] * len(values))
    models, prompts = _known(columns[by]), _known(columns[prompt])
    rows = zip(models, prompts, _known(given), values.tolist(), strict=True)
    named = [row for row in rows if row[0] is not None and row[1] is not None]
    names = sorted({cell_name(row[0]) for row in named})
    if len(names) < 2:
        raise DataError(
            f"ranking by {by!r} needs two or more checkpoints, found {', '.join(names) or 'none'}"
        )
    return _sorted(named, names, len(values) - len(named))


def numbers(values: Sequence[Any] | npt.NDArray[Any], name: str) -> Floats:
    """A column as numbers, NaN where there is none; ConfigError if it holds text."""
    try:
        return np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"column {name!r} holds text; give a score column") from error


def cell_name(value: object) -> str:
    """What a cell of a column is called as the name of a checkpoint, a category or a seed.

    Integers that a table keeps as floats are written as integers, truth values as JSON has them.
    """
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def absent(value: object) -> bool:
    """Whether a cell of a column is empty: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _known(values: Sequence[Any] | npt.NDArray[Any]) -> list[Any]:
    """A column with None for every empty cell; a loop, since columns have millions of rows."""
    return [None if value is None or value != value else value for value in values]  # noqa: PLR0124


def layout(cells: Cells) -> Layout:
    """The pictures of every prompt once."""
    at = np.arange(len(cells.value))
    change = np.diff(cells.prompt) != 0
    prompt_begins = np.concatenate([[True], change])[: len(at)]
    run_begins = prompt_begins | np.concatenate([[True], np.diff(cells.value) != 0])[: len(at)]
    starts = np.flatnonzero(run_begins)
    run = np.cumsum(run_begins) - 1
    return Layout(
        model=cells.model,
        group=cells.prompt,
        value=cells.value,
        first=np.flatnonzero(prompt_begins)[np.cumsum(prompt_begins) - 1],
        low=starts[run],
        high=np.append(starts[1:], len(at))[run],
        groups=cells.prompts,
        models=len(cells.names),
        ties=len(starts) < len(at),
    )


def by_prompt(pictures: Layout) -> Sums:
    """What each prompt adds, (prompts, ...)."""
    weight = np.ones(len(pictures.value))
    inverse, has, mean = _averages(pictures, weight)
    i, j = np.triu_indices(pictures.models, 1)
    met = has[:, i] * has[:, j]
    wins = np.zeros(met.shape)
    share = _shares(pictures, weight, inverse)
    cell = pictures.group * pictures.models + pictures.model
    for k in range(pictures.models - 1):
        own = np.bincount(cell, share[k], minlength=has.size).reshape(has.shape)
        wins[:, i == k] = (1.0 - own[:, k + 1 :]) * met[:, i == k]  # what j wins of k
    return Sums(mean, has, wins, met, (mean[:, i] - mean[:, j]) * met)


def in_all(pictures: Layout, weight: Floats) -> Sums:
    """What all prompts add up to where each picture counts `weight` times, (1, ...)."""
    inverse, has, mean = _averages(pictures, weight)
    lost = _lost(pictures, weight * inverse[pictures.group, pictures.model], has)
    i, j = np.triu_indices(pictures.models, 1)
    met, gained = has.T @ has, mean.T @ has
    return Sums(
        mean.sum(0, keepdims=True),
        has.sum(0, keepdims=True),
        (lost[j, i])[None],
        met[i, j][None],
        (gained - gained.T)[i, j][None],
    )


def _lost(pictures: Layout, share: Floats, has: Floats) -> Floats:
    """[k, l]: what l wins of k over all prompts, where each picture is a `share` of its side."""
    per = max(1, _ROWS * pictures.groups // max(1, len(share)))
    starts = range(0, pictures.groups, per)
    cuts = np.searchsorted(pictures.group, [*starts, pictures.groups]).tolist()
    lost = np.zeros((pictures.models, pictures.models))
    for start, low, high in zip(starts, cuts, cuts[1:], strict=False):
        lost += _lost_within(pictures, share, has[start : start + per], slice(low, high))
    return lost


def _lost_within(pictures: Layout, share: Floats, has: Floats, rows: slice) -> Floats:
    """The same for the prompts of some rows: few enough to stay in the processor's cache."""
    model, own = pictures.model[rows], share[rows]
    at = np.arange(len(own))
    one_of = np.zeros((len(own), pictures.models))
    one_of[at, model] = own
    below = np.zeros((pictures.models, len(own) + 1))
    below[model, at + 1] = own
    np.cumsum(below, axis=1, out=below)
    if pictures.ties:
        low, high = pictures.low[rows] - rows.start, pictures.high[rows] - rows.start
        beaten = below.take(low, 1) @ one_of + below.take(high, 1) @ one_of
    else:
        beaten = below[:, :-1] @ one_of + below[:, 1:] @ one_of
    before = has.cumsum(0) - has  # each side has weight 1 on every prompt before
    lost: Floats = beaten / 2 - before.T @ has
    return lost


def _averages(pictures: Layout, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each checkpoint on each prompt: one over its weight, whether it has any, its mean."""
    shape = (pictures.groups, pictures.models)
    cell = pictures.group * pictures.models + pictures.model
    total = np.bincount(cell, weight, minlength=shape[0] * shape[1])
    summed = np.bincount(cell, weight * pictures.value, minlength=len(total))
    inverse = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    has = (total > 0).astype(np.float64)
    return inverse.reshape(shape), has.reshape(shape), (summed * inverse).reshape(shape)


def _shares(pictures: Layout, weight: Floats, inverse: Floats) -> Floats:
    """[k, picture]: what the picture adds to the share of pairs that its side wins against k."""
    at = np.arange(len(weight))
    below = np.zeros((pictures.models, len(weight) + 1))
    below[pictures.model, at + 1] = weight
    np.cumsum(below, axis=1, out=below)
    beaten = below.take(pictures.low, 1) + below.take(pictures.high, 1)
    beaten -= 2 * below.take(pictures.first, 1)
    beaten *= inverse.T.take(pictures.group, 1)
    beaten *= weight * inverse[pictures.group, pictures.model] / 2
    return beaten


def _sorted(named: Sequence[tuple[Any, Any, Any, float]], names: Sequence[str], out: int) -> Cells:
    at = {name: k for k, name in enumerate(names)}
    prompts: dict[object, int] = {}
    seeds: dict[object, int] = {}
    model = np.array([at[cell_name(row[0])] for row in named], dtype=np.int64)
    prompt = np.array([prompts.setdefault(row[1], len(prompts)) for row in named], dtype=np.int64)
    seed = np.array(
        [
            -1 if row[2] is None else seeds.setdefault(cell_name(row[2]), len(seeds))
            for row in named
        ],
        dtype=np.int64,
    )
    value = np.array([row[3] for row in named], dtype=np.float64)
    scored = np.isfinite(value)
    order = np.lexsort((value, prompt))
    order = order[scored[order]]
    return Cells(
        names=names,
        prompts=len(prompts),
        model=model[order],
        prompt=prompt[order],
        value=value[order],
        seed=seed[order],
        missing=np.bincount(model[~scored], minlength=len(names)).tolist(),
        left_out=out,
        named=Named(model, prompt, seed),
        row=order,
    )
