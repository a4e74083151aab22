"""What more data give: a reward trained on nested parts of them, judged by the same prompts.

`learning_curve(config, [0.1, 0.3, 1])` trains one run a part and says what twice the data would
give, or that this cannot be told.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np

from beholder.annotation.records.dataset import read_preferences
from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL, percentile_interval, resampled_sums
from beholder.eval.protocols import protocol_named
from beholder.rewards import load
from beholder.training._curve.extrapolation import Outlook, extrapolate
from beholder.training._curve.judging import ACCURACY, Standing, group_of, stand
from beholder.training._curve.page import write_curve_page
from beholder.training.fit.processes import Processes
from beholder.training.judged.prompts import folded
from beholder.training.judged.rated import Rated, read_rated
from beholder.training.judged.splits import hold_out
from beholder.training.reward import (
    RewardTraining,
    aspect_weights,
    fit_plan,
    read_judgements,
    train_reward,
)
from beholder.training.run_folder import write_json
from beholder.types import Preference

_LOG = logging.getLogger(__name__)
_POINT = "point.json"
CURVE = "curve.json"
Judged = Sequence[Preference] | Sequence[Rated]
ALL = "all"
"""What stands for the answers of all aspects together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A run that learned from a part of the data.

    Attributes:
        fraction: of the training prompts.
        repeat: from 1; another one draws other prompts and other randomness.
        run: its folder's name.
        judgements, prompts: learned from.
        metrics: of the run's summary.
        standing: how it stands on what is held out.
    """

    fraction: float
    repeat: int
    run: str
    judgements: int
    prompts: int
    metrics: Mapping[str, float]
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run reaches on the held-out prompts, with its interval over them.

    Attributes:
        value: accuracy by the protocol imagereward of pairs, Spearman's correlation of ratings;
            NaN where it is not defined.
        low, high: its 95 % interval.
        judged, prompts: pairs without a human tie, or ratings, and their prompts.
    """

    value: float
    low: float
    high: float
    judged: int
    prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a reward reaches over the amount of data.

    Attributes:
        unit: what is learned from: "pairs" or "ratings".
        measure: "accuracy" by the protocol imagereward, or "srcc", Spearman's correlation.
        points: the runs, by fraction, then repeat.
        measured: for each of them, aspect -> what it reaches; "all" is of every aspect together.
        outlook: what twice the data would give, of "all".
        seed, draws: of the intervals.
    """

    unit: str
    measure: str
    points: Sequence[Point]
    measured: Sequence[Mapping[str, Measured]]
    outlook: Outlook
    seed: int
    draws: int

    def statement(self) -> str:
        """What twice the data would give, in words."""
        return self.outlook.statement(self.unit)

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values, without the sums of each prompt."""
        rows = [
            {
                **{name: getattr(point, name) for name in Point.__slots__ if name != "standing"},
                "measured": {name: asdict(one) for name, one in found.items()},
            }
            for point, found in zip(self.points, self.measured, strict=True)
        ]
        return {
            "unit": self.unit,
            "measure": self.measure,
            "protocol": protocol_named("imagereward").id if self.measure == ACCURACY else "",
            "level": LEVEL,
            "seed": self.seed,
            "draws": self.draws,
            "points": rows,
            "twice_the_data": {**self.outlook.as_dict(), "statement": self.statement()},
        }


def learning_curve(
    config: RewardTraining,
    fractions: Sequence[float],
    repeats: int = 1,
    *,
    judgements: Judged | None = None,
    evaluation: Judged | None = None,
    draws: int = 2000,
) -> Curve:
    """Train on nested parts of the training prompts, judge all runs by the same held-out prompts.

    Each run has a folder of its own in `config.run`, such as fraction-0.1 or fraction-0.1-2, which
    `beholder.load` reads; what frozen towers give is shared. Runs that are done are not done again.
    `curve.json` and `curve.html` hold the result. Every run takes as many steps (`epochs` are those
    of the largest part), and its best evaluation counts: small parts are seen more often, and do
    not suffer from it. That choice makes every measure a little too good, by about as much in each
    run.

    Args:
        config: how one run is trained; `held_out_share` of the prompts are held out by its seed,
            unless it names an evaluation set.
        fractions: shares of the training prompts, in (0, 1]; the smaller lie inside the larger.
        repeats: runs of each fraction; each orders prompts otherwise and has another `fit.seed`.
        judgements: pairs, or ratings where the configuration learns these, in place of its own.
        evaluation: the same for those to judge by.
        draws: how often held-out prompts are redrawn, for all runs together.

    Raises:
        ConfigError: if a fraction is not one, nothing is held out, the configuration mixes sets of
            pairs, or a folder holds another run.
        DataError: if judgements are missing or cannot be used.
    """
    _check(config, fractions, repeats)
    training, held_out = _sides(config, judgements, evaluation)
    processes = Processes(cpu=config.device == "cpu")
    asked = product(sorted(fractions), range(1, repeats + 1))
    jobs = _as_many_steps([_Job.of(config, *one, training) for one in asked], processes)
    claims = [job.claim(held_out) for job in jobs]
    done = [_read_point(job, claim) for job, claim in zip(jobs, claims, strict=True)]
    for job, claim, point in zip(jobs, claims, done, strict=True):
        if point is None:
            _run(job, claim, held_out, processes)
    points = [_known_point(job, claim) for job, claim in zip(jobs, claims, strict=True)]
    curve = curve_of(points, config.fit.seed, draws)
    if processes.is_main:
        write_json(Path(config.run) / CURVE, _plain(curve.as_dict()))
        write_curve_page(curve, Path(config.run))
    return curve


def part(judged: Judged, fraction: float, seed: int) -> list[Any]:
    """The judgements of about `fraction` of the prompts, at least one; smaller parts in larger.

    Which prompts depends on their texts and the seed alone; texts that differ in case or spacing
    only stay together.
    """
    names = {folded(group_of(one)) for one in judged}
    order = sorted(names, key=lambda text: _draw(text, seed))
    chosen = set(order[: max(1, round(fraction * len(order)))])
    return [one for one in judged if folded(group_of(one)) in chosen]


def curve_of(points: Sequence[Point], seed: int, draws: int) -> Curve:
    """Measures with intervals, and the outlook, from runs with the same held-out prompts.

    Raises DataError if the measure of a run is not defined, such as the correlation of one rating.
    """
    measured = [_all_measured(point.standing, seed, draws) for point in points]
    for point, found in zip(points, measured, strict=True):
        if not math.isfinite(found[ALL].value):
            raise DataError(f"{point.run}: nothing held out that can be used tells how good it is")
    tables = [point.standing.table() for point in points]
    drawn = resampled_sums(np.concatenate(tables, axis=1), draws, seed)
    parts = np.split(drawn, len(tables), axis=1)
    values = np.stack([p.standing.values(d) for p, d in zip(points, parts, strict=True)], axis=1)
    outlook = extrapolate(
        [point.judgements for point in points],
        np.array([found[ALL].value for found in measured]),
        values[np.isfinite(values).all(axis=1)],
        least_error=0.5 / max(point.standing.judged() for point in points),
        seed=seed,
    )
    measure = points[0].standing.measure
    return Curve(
        unit="pairs" if measure == ACCURACY else "ratings",
        measure=measure,
        points=points,
        measured=measured,
        outlook=outlook,
        seed=seed,
        draws=draws,
    )


def _all_measured(standing: Standing, seed: int, draws: int) -> dict[str, Measured]:
    names = {ALL: None, **{aspect: aspect for aspect in standing.sums}}
    return {name: _measured(standing, aspect, seed, draws) for name, aspect in names.items()}


def _measured(standing: Standing, aspect: str | None, seed: int, draws: int) -> Measured:
    sums = standing.table(aspect)
    sums = sums[(sums != 0).any(axis=1)]
    interval = percentile_interval(standing.values(resampled_sums(sums, draws, seed)))
    return Measured(
        value=float(standing.values(sums.sum(0, keepdims=True))[0]),
        low=interval.low,
        high=interval.high,
        judged=standing.judged(aspect),
        prompts=len(sums),
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One run: how, and on what."""

    config: RewardTraining
    fraction: float
    repeat: int
    judged: Judged

    @classmethod
    def of(cls, config: RewardTraining, fraction: float, repeat: int, judged: Judged) -> _Job:
        name = f"fraction-{fraction:g}" + (f"-{repeat}" if repeat > 1 else "")
        seed = config.fit.seed + repeat - 1
        own = replace(
            config,
            run=str(Path(config.run) / name),
            feature_cache=_shared_features(config),
            fit=replace(config.fit, seed=seed),
        )
        return cls(own, fraction, repeat, part(judged, fraction, seed))

    @property
    def folder(self) -> Path:
        return Path(self.config.run)

    def claim(self, held_out: Judged) -> str:
        """What the point depends on, but for where it lies."""
        places = {"run": "", "feature_cache": ""}
        rows = [[asdict(one) for one in side] for side in (self.judged, held_out)]
        text = json.dumps([asdict(self.config) | places, rows], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _as_many_steps(jobs: Sequence[_Job], processes: Processes) -> list[_Job]:
    """The runs with steps in place of epochs: those that the largest part's come to."""
    most = max(jobs, key=lambda job: len(job.judged))
    batches = math.ceil(len(most.judged) / most.config.pairs_per_batch)
    steps = fit_plan(most.config, most.folder, batches, processes.count).steps
    return [
        replace(
            job, config=replace(job.config, epochs=0.0, fit=replace(job.config.fit, steps=steps))
        )
        for job in jobs
    ]


def _run(job: _Job, claim: str, held_out: Judged, processes: Processes) -> None:
    _LOG.info("%s: %d judgements", job.folder.name, len(job.judged))
    train_reward(job.config, job.judged, held_out)
    if processes.is_main:
        reward = load(str(job.folder), device=processes.device)
        summary = json.loads((job.folder / "summary.json").read_text(encoding="utf-8"))
        aspects = aspect_weights(reward, job.config.aspect_weights)
        counted = summary["ratings" if job.config.ratings else "pairs"]
        told = {
            "claim": claim,
            "judgements": counted["training"],
            "prompts": len({folded(group_of(one)) for one in job.judged}),
            "metrics": summary["metrics"],
            "standing": asdict(stand(reward, held_out, list(aspects))),
        }
        write_json(job.folder / _POINT, told)
    processes.wait()


def _read_point(job: _Job, claim: str) -> Point | None:
    """What an earlier call wrote for the same run; None if there is none."""
    try:
        told = json.loads((job.folder / _POINT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if told.pop("claim", None) != claim:
        return None
    standing = Standing(**told.pop("standing"))
    return Point(
        fraction=job.fraction, repeat=job.repeat, run=job.folder.name, standing=standing, **told
    )


def _known_point(job: _Job, claim: str) -> Point:
    point = _read_point(job, claim)
    if point is None:
        raise ConfigError(f"{job.folder / _POINT} was removed meanwhile; start again")
    return point


def _sides(
    config: RewardTraining, judgements: Judged | None, evaluation: Judged | None
) -> tuple[Judged, Judged]:
    given = judgements
    if given is None:
        given = cast("Judged", read_judgements(config))
    if evaluation is None and config.evaluation:
        read = read_rated if config.ratings else read_preferences
        evaluation = read(Path(config.evaluation))
    if evaluation is not None:
        return given, evaluation
    items = cast("Sequence[Any]", given)
    share, seed = config.held_out_share, config.fit.seed
    return hold_out(items, group_of, _pictures_of, share, seed, config.leaks)


def _pictures_of(judged: Preference | Rated) -> tuple[str, ...]:
    return (judged.image,) if isinstance(judged, Rated) else (judged.first, judged.second)


def _check(config: RewardTraining, fractions: Sequence[float], repeats: int) -> None:
    if not fractions or len(set(fractions)) < len(fractions):
        raise ConfigError(f"fractions must be one or more different numbers, got {fractions}")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise ConfigError(f"a fraction must be above 0 and at most 1, got {fraction}")
    if config.mix:
        raise ConfigError("a learning curve is of one set of judgements; mix names several")
    if repeats < 1:
        raise ConfigError(f"repeats must be 1 or more, got {repeats}")
    if not (config.evaluation or config.held_out_share > 0):
        raise ConfigError("a learning curve needs held-out prompts; give held_out_share above 0")


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"part {seed} {text}".encode(), digest_size=8).digest()


def _plain(value: Any) -> Any:
    """JSON has no NaN: None stands for it."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shared_features(config: RewardTraining) -> str:
    """The folder of kept features of all runs; "" where none are kept."""
    if config.train != "head" or not config.cache_features:
        return ""
    return config.feature_cache or str(Path(config.run) / "features")
