"""A leaderboard as JSON in the shape that `lm_eval` (lm-evaluation-harness 0.4) writes its results.

What reads those reads these: each checkpoint, and each "checkpoint/category", stands where a task
stands there.

    results             task -> alias, and "<metric>,none" and "<metric>_stderr,none"; a standard
                        error that is not known is "N/A", a number that is not known is null
    groups              checkpoint -> the same, where there are categories
    group_subtasks      checkpoint -> its "checkpoint/category"
    configs             task -> checkpoint, category, prompts, and counts of each score
    versions, n-shot    task -> version of this format, and 0
    higher_is_better    task -> metric -> true
    n-samples           task -> original (pictures) and effective (with the first score)
    config              what the numbers depend on: columns, rewards with the hashes of their
                        weights, bootstrap_iters, random_seed, level, alpha, protocol
    date                seconds since 1970, if given

Of a score such as "mps.total" the metrics are "mps.total" (mean over prompts), "mps.total_win_rate"
(share of meetings won, ties half) and "mps.total_strength" (Bradley-Terry, log-odds).

It differs from `lm_eval` in that one file holds several models, named as tasks, so there is no
model_name and no task_hashes; the filter is always "none"; there is no git_hash, and nothing about
a tokenizer. Beyond it there are `intervals` (task -> metric -> low and high), `tiers` (score ->
groups of checkpoints not told apart) and `comparisons` (score -> every two, with p-values).
Standard errors are standard deviations over the bootstrap draws. Where only an interval is known
they are half its width in units of a normal distribution, so that value ± 1.96 stderr is as wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from beholder.eval._bootstrap import LEVEL, Interval
from beholder.eval.leaderboard import Leaderboard
from beholder.eval.ranking import Ranking, Standing

VERSION = 1
"""Of this format; it rises when a number that is there changes its meaning."""

_FILTER = "none"
_UNKNOWN = "N/A"


def results_json(
    board: Leaderboard,
    rewards: Mapping[str, Mapping[str, object]] | None = None,
    *,
    date: float | None = None,
) -> dict[str, Any]:
    """The leaderboard as JSON-ready values; see the top of this file for the keys.

    Args:
        board: the leaderboard.
        rewards: reward -> what its scores were computed with, as `ScoreTable.config` gives it.
        date: in seconds since 1970; None leaves it out, so that equal tables give equal files.
    """
    tasks = {task.name: task for task in _tasks(board)}
    results = {name: {"alias": name, **task.metrics()} for name, task in tasks.items()}
    groups = {name: results[name] for name in board.names} if board.categories else {}
    return {
        "results": results,
        **({"groups": groups} if groups else {}),
        "group_subtasks": {
            model: [task.name for task in tasks.values() if task.model == model and task.category]
            for model in board.names
        },
        "configs": {name: task.config(board.by) for name, task in tasks.items()},
        "versions": dict.fromkeys(tasks, VERSION),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {n: dict.fromkeys(t.values(), True) for n, t in tasks.items()},
        "n-samples": {name: task.samples() for name, task in tasks.items()},
        "intervals": {name: task.intervals() for name, task in tasks.items()},
        "tiers": {score: [list(tier) for tier in tiers] for score, tiers in board.tiers.items()},
        "comparisons": {
            score: [_finite(asdict(meeting)) for meeting in ranking.meetings]
            for score, ranking in board.rankings.items()
        },
        "config": _config(board, rewards or {}),
        **({} if date is None else {"date": date}),
    }


@dataclass(frozen=True)
class _Task:
    """How a checkpoint stands in everything or, with a category, in the prompts of one.

    Attributes:
        standings: score -> how it stands.
    """

    model: str
    category: str | None
    standings: Mapping[str, Standing]

    @property
    def name(self) -> str:
        return self.model if self.category is None else f"{self.model}/{self.category}"

    def values(self) -> dict[str, tuple[float, Interval, float]]:
        """Metric -> value, interval and standard error."""
        told = {}
        for score, one in self.standings.items():
            told[score] = (one.mean, one.mean_interval, one.mean_error)
            rate, strength = f"{score}_win_rate", f"{score}_strength"
            told[rate] = (one.win_rate, one.win_rate_interval, one.win_rate_error)
            told[strength] = (one.strength, one.strength_interval, one.strength_error)
        return told

    def metrics(self) -> dict[str, Any]:
        """The numbers as `lm_eval` names them."""
        told: dict[str, Any] = {}
        for metric, (value, interval, known) in self.values().items():
            error = standard_error(interval)
            if math.isfinite(error) and math.isfinite(known):
                error = known
            told[f"{metric},{_FILTER}"] = _finite(value)
            told[f"{metric}_stderr,{_FILTER}"] = error if math.isfinite(error) else _UNKNOWN
        return told

    def intervals(self) -> dict[str, list[Any]]:
        """Metric -> both ends."""
        return {
            metric: [_finite(interval.low), _finite(interval.high)]
            for metric, (_, interval, _) in self.values().items()
        }

    def samples(self) -> dict[str, int]:
        """Pictures in all, and with the first score."""
        first = next(iter(self.standings.values()))
        return {"original": first.pictures + first.missing, "effective": first.pictures}

    def config(self, by: str) -> dict[str, Any]:
        """What it is of."""
        each = self.standings.items()
        return {
            "task": self.name,
            by: self.model,
            "category": self.category,
            "prompts": {score: one.prompts for score, one in each},
            "pictures": {score: one.pictures for score, one in each},
            "missing": {score: one.missing for score, one in each},
        }


def _tasks(board: Leaderboard) -> Iterator[_Task]:
    """Each checkpoint followed by its categories."""
    for model in board.names:
        yield _Task(model, None, _standings(board.rankings, model))
        for category, rankings in board.categories.items():
            if found := _standings(rankings, model):
                yield _Task(model, category, found)


def _standings(rankings: Mapping[str, Ranking], model: str) -> dict[str, Standing]:
    return {
        score: standing
        for score, ranking in rankings.items()
        for standing in ranking.standings
        if standing.name == model
    }


def standard_error(interval: Interval, level: float = LEVEL) -> float:
    """The standard error of a normal estimate that has this interval; NaN if it is unknown."""
    return (interval.high - interval.low) / (2 * NormalDist().inv_cdf((1 + level) / 2))


def _config(board: Leaderboard, rewards: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    first = board.rankings[board.scores[0]]
    return {
        "by": board.by,
        "scores": list(board.scores),
        "rewards": {name: dict(config) for name, config in rewards.items()},
        "bootstrap_iters": first.draws,
        "random_seed": first.seed,
        "level": first.level,
        "resample": first.resample,
        "alpha": first.alpha,
        "virtual_ties": first.virtual_ties,
        "protocol": dict(board.protocol),
    }


def _finite(value: Any) -> Any:
    """The same with null for numbers that are not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
