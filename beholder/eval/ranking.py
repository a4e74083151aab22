"""Which checkpoint is better: means, win rates and Bradley-Terry strengths with paired intervals.

Checkpoints are compared prompt by prompt. Two checkpoints meet on a prompt if both have a score
there; each prompt counts once, as the share of picture pairs that one side wins, ties half. All
intervals redraw the same prompts, so differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL, Floats, Interval, percentile_interval, resampled_sums

VIRTUAL_TIES = 1.0
"""Ties added between each two checkpoints that meet, so that a clean sweep stays finite."""
_SWEEP = "a checkpoint wins or loses every comparison; add virtual ties"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One checkpoint.

    Attributes:
        name: its value in the `by` column.
        strength: Bradley-Terry strength in log-odds, 0 on average over checkpoints.
        win_rate: share of its meetings that it wins, ties half.
        mean: mean over its prompts of the mean score.
        prompts: prompts on which it has a score.
        pictures: pictures with a score.
        missing: rows without a score; they count nowhere.
    """

    name: str
    strength: float
    strength_interval: Interval
    win_rate: float
    win_rate_interval: Interval
    mean: float
    mean_interval: Interval
    prompts: int
    pictures: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Two checkpoints on the prompts that both have a score for.

    Attributes:
        win_rate: share of these prompts that `first` wins, ties half.
        mean_difference: mean score of `first` minus that of `second`.
        strength_difference: in log-odds, from all meetings.
        told_apart: whether the interval of the strength difference leaves out 0. Intervals are for
            one pair each, not corrected for the number of pairs.
    """

    first: str
    second: str
    prompts: int
    win_rate: float
    mean_difference: float
    mean_difference_interval: Interval
    strength_difference: float
    strength_difference_interval: Interval
    told_apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Checkpoints from strongest to weakest, and every two of them.

    Attributes:
        score, by: the columns that were compared and that name the checkpoint.
        standings: strongest first.
        meetings: every two checkpoints, the stronger first.
        wins: [i][j] prompts that standing i wins against j, ties half.
        prompts: prompts in all.
        left_out: rows without checkpoint or prompt, which count nowhere.
        level, draws, seed: of the bootstrap over prompts.
        virtual_ties: see `bradley_terry`.
    """

    score: str
    by: str
    standings: Sequence[Standing]
    meetings: Sequence[Meeting]
    wins: Sequence[Sequence[float]]
    prompts: int
    left_out: int
    level: float
    draws: int
    seed: int
    virtual_ties: float

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def rank(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
    *,
    score: str,
    by: str = "model",
    prompt: str = "prompt",
    draws: int = 2000,
    seed: int = 0,
) -> Ranking:
    """Checkpoints ranked by a score column; a row whose score is missing or NaN counts nowhere.

    Args:
        columns: column name -> values, such as `ScoreTable.arrays` gives.
        score: the column that is compared, such as "mps.overall"; higher is better.
        by: the column that names the checkpoint.
        prompt: the column that says which pictures may be compared.
        draws: how often prompts are redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if a column is not there.
        DataError: if fewer than two checkpoints have scores, or they share no prompts, not even
            through others.
    """
    cells = _cells(columns, score, by, prompt)
    sums = cells.sums()
    met = sums.sum(0)[cells.part("met")].reshape(cells.shape) > 0
    _refuse_islands(met, cells.names)
    estimate = _Statistics.of(sums.sum(0, keepdims=True), cells, met)
    samples = _Statistics.of(resampled_sums(sums, draws, seed), cells, met)
    order = np.argsort(-estimate.strength[0], kind="stable").tolist()
    return Ranking(
        score=score,
        by=by,
        standings=[_standing(k, cells, estimate, samples) for k in order],
        meetings=[
            _meeting(i, j, cells, estimate, samples)
            for at, i in enumerate(order)
            for j in order[at + 1 :]
        ],
        wins=estimate.wins[0][np.ix_(order, order)].tolist(),
        prompts=len(sums),
        left_out=cells.left_out,
        level=LEVEL,
        draws=draws,
        seed=seed,
        virtual_ties=VIRTUAL_TIES,
    )


def prompt_means(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
    *,
    score: str,
    by: str = "model",
    prompt: str = "prompt",
) -> tuple[list[str], Floats]:
    """Checkpoints, and the mean score of each on each prompt (prompts, m); NaN where it has none.

    Arguments and errors as of `rank`, but checkpoints may share no prompt.
    """
    cells = _cells(columns, score, by, prompt)
    means = [[v.mean() if len(v) else math.nan for v in row] for row in cells.scores]
    return list(cells.names), np.array(means, dtype=np.float64).reshape(-1, len(cells.names))


def bradley_terry(wins: Floats, met: npt.NDArray[np.bool_], virtual_ties: float = 0.0) -> Floats:
    """Strengths (..., m) in log-odds, centred, of win counts (..., m, m), by Newton's method.

    Maximises sum_ij w_ij log sigmoid(s_i - s_j) (Bradley and Terry, 1952), where each two that
    `met` (m, m) get `virtual_ties` more ties, half a win for each side.

    Raises DataError if it does not converge: without virtual ties a clean sweep has no maximum.
    """
    wins = wins + virtual_ties / 2 * met
    strength = np.zeros(wins.shape[:-1])
    for _ in range(100):
        step = _newton_step(wins, strength)
        strength = strength + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0) < 1e-9:
            centred: Floats = strength - strength.mean(-1, keepdims=True)
            return centred
    raise DataError(_SWEEP)


def _newton_step(wins: Floats, strength: Floats) -> Floats:
    played = wins + np.swapaxes(wins, -1, -2)
    p = 1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None]))
    gradient = (wins - played * p).sum(-1)
    weight = played * p * (1 - p)
    # the curvature is a graph Laplacian; adding a constant fixes the free common shift
    curvature = 1.0 - weight + weight.sum(-1)[..., None] * np.eye(wins.shape[-1])
    try:
        step: Floats = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise DataError(_SWEEP) from error
    return step


@dataclass(frozen=True, slots=True)
class _Cells:
    """Scores sorted by prompt and checkpoint.

    Attributes:
        names: checkpoints.
        scores: for each prompt, for each checkpoint, its scores.
        missing: rows without a score of each checkpoint.
        left_out: rows without checkpoint or prompt.
    """

    names: Sequence[str]
    scores: Sequence[Sequence[Floats]]
    missing: Sequence[int]
    left_out: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.names), len(self.names)

    def part(self, name: str) -> slice:
        """Where a quantity lies in a row of `sums`."""
        m = len(self.names)
        widths = {"mean": m, "has": m, "wins": m * m, "met": m * m, "difference": m * m}
        start = 0
        for key, width in widths.items():
            if key == name:
                return slice(start, start + width)
            start += width
        raise KeyError(name)

    def sums(self) -> Floats:
        """For each prompt what adds up to every statistic, (prompts, 2m + 3mm)."""
        return np.array([self._prompt(scores) for scores in self.scores], dtype=np.float64)

    def _prompt(self, scores: Sequence[Floats]) -> Floats:
        has = np.array([float(len(values) > 0) for values in scores])
        mean = np.array([values.mean() if len(values) else 0.0 for values in scores])
        met = np.outer(has, has) * (1 - np.eye(len(scores)))
        wins = np.array([[_share(a, b) for b in scores] for a in scores]) * met
        difference = (mean[:, None] - mean[None, :]) * met
        return np.concatenate([mean, has, wins.ravel(), met.ravel(), difference.ravel()])


def _share(ours: Floats, theirs: Floats) -> float:
    """Share of the pairs of two sides' pictures that we win, ties half; 0 if a side has none."""
    if not len(ours) or not len(theirs):
        return 0.0
    return float((1 + np.sign(ours[:, None] - theirs[None, :])).mean() / 2)


@dataclass(frozen=True, slots=True)
class _Statistics:
    """Every statistic of each row of sums over prompts, (draws, ...); NaN where nothing met."""

    mean: Floats
    wins: Floats
    win_rate: Floats
    pair_win_rate: Floats
    difference: Floats
    strength: Floats
    met: Floats

    @classmethod
    def of(cls, sums: Floats, cells: _Cells, met: npt.NDArray[np.bool_]) -> _Statistics:
        def square(name: str) -> Floats:
            return sums[:, cells.part(name)].reshape(-1, *cells.shape)

        wins, meetings = square("wins"), square("met")
        with np.errstate(invalid="ignore"):
            return cls(
                mean=sums[:, cells.part("mean")] / sums[:, cells.part("has")],
                wins=wins,
                win_rate=wins.sum(-1) / meetings.sum(-1),
                pair_win_rate=wins / meetings,
                difference=square("difference") / meetings,
                strength=bradley_terry(wins, met, VIRTUAL_TIES),
                met=meetings,
            )


def _standing(k: int, cells: _Cells, estimate: _Statistics, samples: _Statistics) -> Standing:
    own = [scores[k] for scores in cells.scores]
    return Standing(
        name=cells.names[k],
        strength=float(estimate.strength[0, k]),
        strength_interval=percentile_interval(samples.strength[:, k]),
        win_rate=float(estimate.win_rate[0, k]),
        win_rate_interval=percentile_interval(samples.win_rate[:, k]),
        mean=float(estimate.mean[0, k]),
        mean_interval=percentile_interval(samples.mean[:, k]),
        prompts=sum(len(values) > 0 for values in own),
        pictures=sum(map(len, own)),
        missing=cells.missing[k],
    )


def _meeting(i: int, j: int, cells: _Cells, estimate: _Statistics, samples: _Statistics) -> Meeting:
    difference = percentile_interval(samples.strength[:, i] - samples.strength[:, j])
    return Meeting(
        first=cells.names[i],
        second=cells.names[j],
        prompts=int(estimate.met[0, i, j]),
        win_rate=float(estimate.pair_win_rate[0, i, j]),
        mean_difference=float(estimate.difference[0, i, j]),
        mean_difference_interval=percentile_interval(samples.difference[:, i, j]),
        strength_difference=float(estimate.strength[0, i] - estimate.strength[0, j]),
        strength_difference_interval=difference,
        told_apart=not difference.holds(0),
    )


def _cells(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]], score: str, by: str, prompt: str
) -> _Cells:
    for name in (score, by, prompt):
        if name not in columns:
            raise ConfigError(f"no column named {name!r}; the table has {', '.join(columns)}")
    values = _numbers(columns[score], score)
    rows = list(zip(columns[by], columns[prompt], values, strict=True))
    named = [row for row in rows if not (_missing(row[0]) or _missing(row[1]))]
    names = sorted({str(model) for model, _, _ in named})
    if len(names) < 2:
        raise DataError(
            f"ranking by {by!r} needs two or more checkpoints, found {', '.join(names) or 'none'}"
        )
    at = {name: k for k, name in enumerate(names)}
    gathered: dict[object, list[list[float]]] = {}
    missing = [0] * len(names)
    for model, text, value in named:
        own = gathered.setdefault(text, [[] for _ in names])[at[str(model)]]
        if np.isfinite(value):
            own.append(value)
        else:
            missing[at[str(model)]] += 1
    scores = [[np.array(cell, np.float64) for cell in cells] for cells in gathered.values()]
    return _Cells(names, scores, missing, len(rows) - len(named))


def _numbers(values: Sequence[Any] | npt.NDArray[Any], name: str) -> list[float]:
    try:
        return [np.nan if value is None else float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"column {name!r} holds text; give a score column") from error


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _refuse_islands(met: npt.NDArray[np.bool_], names: Sequence[str]) -> None:
    """Raise DataError if some checkpoints are not connected by shared prompts."""
    reached = {0}
    frontier = [0]
    while frontier:
        near = set(np.flatnonzero(met[frontier.pop()]).tolist()) - reached
        reached |= near
        frontier += near
    apart = [name for k, name in enumerate(names) if k not in reached]
    if apart:
        raise DataError(
            f"{', '.join(apart)} and {names[0]} share no prompt with a score, not even through "
            "other checkpoints; score them on the same prompts"
        )
