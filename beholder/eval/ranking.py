"""Which checkpoint is better: means, win rates and Bradley-Terry strengths with paired intervals.

Checkpoints are compared prompt by prompt. Two checkpoints meet on a prompt if both have a score
there; each prompt counts once, as the share of picture pairs that one side wins, ties half. All
intervals redraw the same prompts, or the same pictures, so differences are paired.

What is redrawn says what a conclusion is about (`Resample`):

- "prompts": prompts like these, with new pictures. Prompts are a sample, and the pictures of a
  drawn prompt come along: a cluster bootstrap. The interval already holds the luck of the seeds.
- "seeds": these very prompts, with new pictures. For a fixed benchmark whose prompts are all that
  matters. It needs two pictures or more of a checkpoint on a prompt.
- "both": prompts, then pictures inside each. It counts the luck of the seeds twice, so it errs on
  the safe side; for few prompts with many pictures.

Where a column "seed" says the seed of each picture, the seeds of a prompt are redrawn for all
checkpoints at once. That is right whether or not equal seeds share their noise: if they do, scores
of one seed go together, and differences are known better; if not, there is nothing to go together.
Win shares compare all pairs of pictures either way: equal seeds of two models are no better matched
than others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL, Floats, Interval, percentile_interval
from beholder.eval._ranking.cells import Cells, Columns, Sums, by_prompt, gather, layout
from beholder.eval._ranking.compared import Compared as Compared
from beholder.eval._ranking.redrawing import expanded_interval, redrawn
from beholder.eval._ranking.strength import bradley_terry as bradley_terry
from beholder.eval._ranking.strength import islands
from beholder.eval._ranking.testing import picture_p, prompt_p
from beholder.eval._sheets.ranking import ranking_sheet
from beholder.eval.evaluation_differences import FLIPS, holm

Resample = Literal["prompts", "seeds", "both"]
"""What the bootstrap redraws, and so what a conclusion holds for."""
VIRTUAL_TIES = 1.0
"""Ties added between each two checkpoints that meet, so that a clean sweep stays finite."""


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
        strength_error, win_rate_error, mean_error: bootstrap standard errors: the standard
            deviation over the draws; NaN with fewer than two.
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
    strength_error: float = math.nan
    win_rate_error: float = math.nan
    mean_error: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Two checkpoints on the prompts that both have a score for.

    Attributes:
        win_rate: share of these prompts that `first` wins, ties half.
        mean_difference: mean score of `first` minus that of `second`.
        strength_difference: in log-odds, from all meetings. Intervals are for one pair each.
        p_value: two-sided, that the win rate is so far from a half by chance: of sign flips over
            prompts, or of names within prompts if only pictures are redrawn. NaN without a prompt.
        p_adjusted: the same, corrected for all pairs of the ranking (Holm, 1979).
        told_apart: whether p_adjusted is below the ranking's alpha.
    """

    first: str
    second: str
    prompts: int
    win_rate: float
    win_rate_interval: Interval
    mean_difference: float
    mean_difference_interval: Interval
    strength_difference: float
    strength_difference_interval: Interval
    p_value: float
    p_adjusted: float
    told_apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Checkpoints from strongest to weakest, and every two of them.

    Attributes:
        score, by: the columns that were compared and that name the checkpoint.
        standings: strongest first.
        meetings: every two checkpoints, the stronger first.
        wins: of row i and column j the prompts that standing i wins against j, ties half.
        prompts: prompts in all.
        compared: on how many of them checkpoints meet, and why not on the others.
        left_out: rows without checkpoint or prompt, which count nowhere.
        level, draws, seed: of the bootstrap.
        virtual_ties: see `bradley_terry`.
        resample: what was redrawn.
        alpha: the chance that any two equal checkpoints are told apart.
    """

    score: str
    by: str
    standings: Sequence[Standing]
    meetings: Sequence[Meeting]
    wins: Sequence[Sequence[float]]
    prompts: int
    compared: Compared
    left_out: int
    draws: int
    seed: int
    level: float = LEVEL
    virtual_ties: float = VIRTUAL_TIES
    resample: str = "prompts"
    alpha: float = 0.05

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return ranking_sheet(self).text()

    def _repr_html_(self) -> str:
        return ranking_sheet(self).html()


def rank(
    columns: Columns,
    *,
    score: str,
    by: str = "model",
    prompt: str = "prompt",
    resample: str = "prompts",
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
) -> Ranking:
    """Checkpoints ranked by a score column; a row whose score is missing or NaN counts nowhere.

    Args:
        columns: column name -> values, such as `ScoreTable.arrays` gives.
        score: the column that is compared, such as "mps.overall"; higher is better.
        by: the column that names the checkpoint.
        prompt: the column that says which pictures may be compared.
        resample: what is redrawn, one of `Resample`; see the head of this module.
        alpha: the chance, in (0, 1), that any two equal checkpoints are told apart.
        draws: how often it is redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if a column is not there, or an argument is out of range.
        DataError: if fewer than two checkpoints have scores, or they share no prompts, not even
            through others; or if pictures are redrawn and no checkpoint has two of a prompt.
    """
    _check(resample, alpha)
    found = _Found.of(gather(columns, score, by, prompt), resample, draws, seed)
    ranking = Ranking(
        score=score,
        by=by,
        standings=[found.standing(k) for k in found.order],
        meetings=found.meetings(_p_values(found.cells, resample, alpha, seed)),
        wins=found.estimate.wins[0][np.ix_(found.order, found.order)].tolist(),
        prompts=found.cells.prompts,
        compared=Compared.of(found.cells),
        left_out=found.cells.left_out,
        draws=draws,
        seed=seed,
        resample=resample,
        alpha=alpha,
    )
    return corrected_together([ranking])[0]


def tiers(ranking: Ranking) -> list[list[str]]:
    """The longest runs of neighbouring checkpoints of which no two are told apart, best first.

    Every checkpoint is in one or more; one that is told apart from both neighbours is alone. Runs
    may overlap: a and b, b and c, though a and c are told apart.
    """
    names = [standing.name for standing in ranking.standings]
    apart = {frozenset((m.first, m.second)) for m in ranking.meetings if m.told_apart}
    runs: list[list[str]] = []
    reached = 0
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and not _any_apart(names[start:end], names[end], apart):
            end += 1
        if end > reached:  # no longer run holds this one
            runs.append(names[start:end])
            reached = end
    return runs


def corrected_together(rankings: Sequence[Ranking]) -> list[Ranking]:
    """Rankings that are looked at together, their p-values corrected for all pairs of all."""
    meetings = [meeting for ranking in rankings for meeting in ranking.meetings]
    adjusted = iter(holm([meeting.p_value for meeting in meetings]))
    return [replace(r, meetings=_judged(r.meetings, adjusted, r.alpha)) for r in rankings]


def prompt_means(
    columns: Columns, *, score: str, by: str = "model", prompt: str = "prompt"
) -> tuple[list[str], Floats]:
    """Checkpoints, and the mean score of each on each prompt (prompts, m); NaN where it has none.

    Arguments and errors as of `rank`, but checkpoints may share no prompt.
    """
    cells = gather(columns, score, by, prompt)
    sums = by_prompt(layout(cells))
    return list(cells.names), np.where(sums.has > 0, sums.mean, math.nan)


def _check(resample: str, alpha: float) -> None:
    if resample not in get_args(Resample):
        raise ConfigError(
            f"resample is {resample!r}; expected one of {', '.join(get_args(Resample))}"
        )
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is {alpha}; expected a chance in (0, 1), such as 0.05")


def _any_apart(some: Iterable[str], name: str, apart: set[frozenset[str]]) -> bool:
    return any(frozenset((other, name)) in apart for other in some)


def _judged(meetings: Sequence[Meeting], adjusted: Iterator[float], alpha: float) -> list[Meeting]:
    """The meetings with the next of the corrected p-values."""
    return [
        replace(meeting, p_adjusted=p, told_apart=p < alpha)
        for meeting, p in zip(meetings, adjusted, strict=False)
    ]


def _p_values(cells: Cells, resample: str, alpha: float, seed: int) -> dict[tuple[int, int], float]:
    """Of each two checkpoints i < j, uncorrected."""
    pairs = list(combinations(range(len(cells.names)), 2))
    if resample == "seeds":
        return {(i, j): picture_p(cells, i, j) for i, j in pairs}
    sums, counts = by_prompt(layout(cells)), cells.counts()
    flips = max(FLIPS, math.ceil(10 * len(pairs) / alpha))  # else the correction hides everything
    found = {}
    for k, (i, j) in enumerate(pairs):
        both = sums.met[:, k] > 0
        compared = (counts[:, i] * counts[:, j])[both]
        found[i, j] = prompt_p(sums.wins[both, k], compared, seed=seed, flips=flips)
    return found


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
    def of(cls, sums: Sums, cells: Cells, met: npt.NDArray[np.bool_] | None = None) -> _Statistics:
        """The statistics; raises DataError if checkpoints are not connected by shared prompts."""
        meetings = _square(sums.met, sums.met, cells)
        wins = _square(sums.wins, sums.met - sums.wins, cells)
        if met is None:
            met = meetings[0] > 0
            _refuse_islands(met, cells.names)
        with np.errstate(invalid="ignore"):
            return cls(
                mean=sums.mean / sums.has,
                wins=wins,
                win_rate=wins.sum(-1) / meetings.sum(-1),
                pair_win_rate=wins / meetings,
                difference=_square(sums.difference, -sums.difference, cells) / meetings,
                strength=bradley_terry(wins, met, VIRTUAL_TIES),
                met=meetings,
            )


def _square(upper: Floats, lower: Floats, cells: Cells) -> Floats:
    """Matrices (draws, m, m) from what is above and below the diagonal, (draws, pairs) each."""
    m = len(cells.names)
    i, j = np.triu_indices(m, 1)
    full = np.zeros((len(upper), m, m))
    full[:, i, j], full[:, j, i] = upper, lower
    return full


@dataclass(frozen=True, slots=True)
class _Found:
    """Estimates and their draws; `groups` says which prompts each checkpoint has, if redrawn."""

    cells: Cells
    estimate: _Statistics
    samples: _Statistics
    groups: npt.NDArray[np.bool_] | None

    @classmethod
    def of(cls, cells: Cells, resample: str, draws: int, seed: int) -> _Found:
        estimate = _Statistics.of(by_prompt(layout(cells)).total(), cells)
        samples = _Statistics.of(redrawn(cells, resample, draws, seed), cells, estimate.met[0] > 0)
        return cls(cells, estimate, samples, None if resample == "seeds" else cells.counts() > 0)

    @property
    def order(self) -> list[int]:
        """Checkpoints, strongest first."""
        return [int(k) for k in np.argsort(-self.estimate.strength[0], kind="stable")]

    def meetings(self, p: Mapping[tuple[int, int], float]) -> list[Meeting]:
        """Every two, the stronger first; p is of i < j."""
        pairs = combinations(self.order, 2)
        return [self.meeting(i, j, p[min(i, j), max(i, j)]) for i, j in pairs]

    def standing(self, k: int) -> Standing:
        own, samples = self.cells.model == k, self.samples
        return Standing(
            name=self.cells.names[k],
            strength=float(self.estimate.strength[0, k]),
            strength_interval=self._interval(samples.strength[:, k], k),
            win_rate=float(self.estimate.win_rate[0, k]),
            win_rate_interval=self._interval(samples.win_rate[:, k], k),
            mean=float(self.estimate.mean[0, k]),
            mean_interval=self._interval(samples.mean[:, k], k),
            prompts=len(np.unique(self.cells.prompt[own])),
            pictures=int(own.sum()),
            missing=self.cells.missing[k],
            strength_error=_deviation(samples.strength[:, k]),
            win_rate_error=_deviation(samples.win_rate[:, k]),
            mean_error=_deviation(samples.mean[:, k]),
        )

    def meeting(self, i: int, j: int, p: float) -> Meeting:
        estimate, samples = self.estimate, self.samples
        strengths = samples.strength[:, i] - samples.strength[:, j]
        return Meeting(
            first=self.cells.names[i],
            second=self.cells.names[j],
            prompts=int(estimate.met[0, i, j]),
            win_rate=float(estimate.pair_win_rate[0, i, j]),
            win_rate_interval=self._interval(samples.pair_win_rate[:, i, j], i, j),
            mean_difference=float(estimate.difference[0, i, j]),
            mean_difference_interval=self._interval(samples.difference[:, i, j], i, j),
            strength_difference=float(estimate.strength[0, i] - estimate.strength[0, j]),
            strength_difference_interval=self._interval(strengths, i, j),
            p_value=p,
            p_adjusted=math.nan,
            told_apart=False,
        )

    def _interval(self, samples: Floats, *models: int) -> Interval:
        """Of a statistic of the prompts that these checkpoints have in common."""
        if self.groups is None:
            return percentile_interval(samples)
        return expanded_interval(samples, int(self.groups[:, models].all(1).sum()))


def _deviation(samples: Floats) -> float:
    finite = samples[np.isfinite(samples)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else math.nan


def _refuse_islands(met: npt.NDArray[np.bool_], names: Sequence[str]) -> None:
    """Raise DataError if some checkpoints are not connected by shared prompts."""
    if apart := islands(met, names):
        raise DataError(
            f"{', '.join(apart)} and {names[0]} share no prompt with a score, not even through "
            "other checkpoints; score them on the same prompts"
        )
