"""The cases of `benchmarks.statistics`: what beholder does and what a package does instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from beholder.annotation.joining.dawid_skene import DawidSkenePrior, fit_dawid_skene
from beholder.annotation.trust.alpha import Level, krippendorff_alpha
from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums
from beholder.eval._ranking.strength import bradley_terry
from benchmarks._peers_place import peer_module

Side = Callable[[], Any]
_NO_PRIOR = DawidSkenePrior(right=0, wrong=0, items=0, rounds=50, tolerance=0)
_LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison; `theirs` is None where the package is not installed.

    Attributes:
        package: whose version is told.
        apart: the largest difference of what `ours` and `theirs` give.
    """

    what: str
    against: str
    package: str
    ours: Side
    theirs: Side | None
    apart: Callable[[Any, Any], float] = lambda ours, theirs: float(
        np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    )
    area: str = "statistics"
    headline: bool = False


def alpha(size: float) -> Iterator[Case]:
    """Krippendorff's alpha of three labels; then with an interval over redrawn tasks."""
    tasks, draws = round(2000 * size), 200
    answers = _answers(tasks, annotators=8, missing=0.3)
    units = [[value for value in row if not np.isnan(value)] for row in answers.tolist()]
    package = peer_module("krippendorff")
    for level in _LEVELS:
        yield Case(
            what=f"Krippendorff's alpha, {level}, {tasks} tasks of 8 annotators",
            against="krippendorff.alpha",
            package="krippendorff",
            ours=partial(_own_alpha, units, level),
            theirs=package and partial(_alpha, package, answers, level),
        )
    yield Case(
        what=f"Krippendorff's alpha with an interval, {draws} draws of {tasks} tasks",
        against="krippendorff.alpha, a call a draw",
        package="krippendorff",
        ours=lambda: _ends(krippendorff_alpha(units, draws=draws)),
        theirs=package and (lambda: _redrawn_alpha(package, answers, draws)),
    )


def strengths(size: float) -> Iterator[Case]:
    """Bradley-Terry strengths of a table of wins, and of redrawn ones."""
    models, games, draws = 20, round(20_000 * size), 100
    wins = _wins(models, games, draws)
    met = ~np.eye(models, dtype=bool)
    package = peer_module("choix")
    dense = package and (lambda: package.ilsr_pairwise_dense(wins[0]))
    likely = package and (lambda: package.opt_pairwise(models, _pairs(wins[0])))
    for against, theirs in (("choix.ilsr_pairwise_dense", dense), ("choix.opt_pairwise", likely)):
        yield Case(
            what=f"Bradley-Terry strengths, {models} checkpoints, {games} comparisons",
            against=against,
            package="choix",
            ours=lambda: bradley_terry(wins[0], met),
            theirs=theirs,
        )
    yield Case(
        what=f"Bradley-Terry strengths of {draws} redrawn tables of {models} checkpoints",
        against="choix.ilsr_pairwise_dense, a call a draw",
        package="choix",
        ours=lambda: bradley_terry(wins, met),
        theirs=package and (lambda: [package.ilsr_pairwise_dense(table) for table in wins]),
    )


def dawid_skene(size: float) -> Iterator[Case]:
    """True labels and habits of annotators: the same steps, without a prior, as there is none."""
    items = round(2000 * size)
    answers = _answers(items, annotators=20, missing=0.75)
    votes = [(i, f"a{k}", int(answers[i, k])) for i, k in np.argwhere(~np.isnan(answers)).tolist()]
    package = peer_module("crowdkit.aggregation")
    frame = _frame(votes)
    yield Case(
        what=f"Dawid-Skene, {items} items, {len(votes)} answers of 20 annotators, 50 steps",
        against="crowdkit DawidSkene",
        package="crowd-kit",
        ours=lambda: _posteriors(votes),
        theirs=package and (lambda: _crowdkit(package, frame)),
        headline=True,
    )


def bootstrap(size: float) -> Iterator[Case]:
    """The interval of a mean over redrawn prompts; ends differ by the draws."""
    prompts, draws = round(1000 * size), 2000
    values = np.random.default_rng(0).normal(size=(prompts, 1))
    package = peer_module("scipy.stats")
    yield Case(
        what=f"bootstrap interval of a mean, {draws} draws of {prompts} prompts",
        against="scipy.stats.bootstrap",
        package="scipy",
        ours=lambda: _mean_interval(values, draws),
        theirs=package and (lambda: _scipy_interval(package, values[:, 0], draws)),
        headline=True,
    )


CASES: dict[str, Callable[[float], Iterator[Case]]] = {
    "alpha": alpha,
    "strengths": strengths,
    "dawid_skene": dawid_skene,
    "bootstrap": bootstrap,
}


def _answers(tasks: int, annotators: int, missing: float) -> Floats:
    """Labels 0 to 2 (tasks, annotators), two thirds of them the true one; NaN is missing."""
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=(tasks, 1))
    guess = generator.integers(3, size=(tasks, annotators))
    shape = (tasks, annotators)
    labels: Floats = np.where(generator.random(shape) < 0.5, truth, guess).astype(np.float64)
    labels[generator.random(shape) < missing] = np.nan
    return labels


def _alpha(package: Any, answers: Floats, level: str) -> float:
    return float(package.alpha(reliability_data=answers.T, level_of_measurement=level))


def _own_alpha(units: list[list[float]], level: Level) -> float:
    return krippendorff_alpha(units, level).value


def _ends(found: Any) -> list[float]:
    return [found.value, found.low, found.high]


def _redrawn_alpha(package: Any, answers: Floats, draws: int) -> list[float]:
    """As in the loop that anybody writes: tasks redrawn, alpha of each."""
    generator = np.random.default_rng(0)
    chosen = generator.integers(len(answers), size=(draws, len(answers)))
    found = [_alpha(package, answers[rows], "nominal") for rows in chosen]
    return [_alpha(package, answers, "nominal"), *np.percentile(found, [2.5, 97.5]).tolist()]


def _wins(models: int, games: int, draws: int) -> Floats:
    """Tables of wins (draws, models, models), each of as many games of known strengths."""
    generator = np.random.default_rng(0)
    strength = np.linspace(-1, 1, models)
    first, second = np.triu_indices(models, 1)
    played = generator.multinomial(games, np.full(len(first), 1 / len(first)), size=draws)
    won = generator.binomial(played, 1 / (1 + np.exp(strength[second] - strength[first])))
    tables = np.zeros((draws, models, models))
    tables[:, first, second], tables[:, second, first] = won, played - won
    return tables


def _pairs(wins: Floats) -> list[tuple[int, int]]:
    return [(i, j) for i, j in np.argwhere(wins > 0).tolist() for _ in range(int(wins[i, j]))]


def _frame(votes: list[tuple[int, str, int]]) -> Any:
    import pandas as pd

    return pd.DataFrame(votes, columns=["task", "worker", "label"])


def _posteriors(votes: list[tuple[int, str, int]]) -> list[Any]:
    fit = fit_dawid_skene(votes, prior=_NO_PRIOR, mirrored=False)
    return [fit.posteriors[item] for item in sorted({vote[0] for vote in votes})]


def _crowdkit(package: Any, frame: Any) -> Any:
    model = package.DawidSkene(n_iter=_NO_PRIOR.rounds, tol=-np.inf).fit(frame)
    return model.probas_.sort_index().sort_index(axis=1).to_numpy()


def _mean_interval(values: Floats, draws: int) -> list[float]:
    interval = percentile_interval(resampled_sums(values, draws, 0)[:, 0] / len(values))
    return [interval.low, interval.high]


def _scipy_interval(package: Any, values: Floats, draws: int) -> list[float]:
    found = package.bootstrap((values,), np.mean, n_resamples=draws, method="percentile", rng=0)
    return list(found.confidence_interval)
