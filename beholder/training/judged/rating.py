"""Learning ratings: the loss of a batch of rated pictures, and correlations on those held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats
from beholder.eval.correlation import mean_ranks, pearson
from beholder.training.fit.diagnosis import Diagnosis
from beholder.training.fit.loop import Logs, Sums, Task
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Batch, Sides, counts
from beholder.training.judged.lessons import Course, Lessons, Plan, hash_of
from beholder.training.judged.preference import learned, learned_weight
from beholder.training.judged.prompts import folded, prompt_weights
from beholder.training.judged.rated import Rated, RatingStream, make_batch, usable_ratings
from beholder.training.judged.splits import hold_out, without_leaks
from beholder.training.losses import aspect_score
from beholder.training.objectives import Objective
from beholder.training.towers.scorers import Scorer, one_ahead
from beholder.types import Scores

Loaded = TypeVar("Loaded")


class RatingLessons(Lessons[Rated]):
    """Rated pictures.

    Args:
        rated: to learn from.
        evaluation: to judge by; None holds prompts out, or pictures where there are no prompts.
        plan: how they are dealt out.
        needs_prompt: whether the reward reads prompts, so that a picture must have one.
    """

    what = "ratings"

    def __init__(
        self,
        rated: Sequence[Rated],
        evaluation: Sequence[Rated] | None,
        plan: Plan,
        *,
        needs_prompt: bool,
    ) -> None:
        self._rated = rated
        self._evaluation = evaluation
        self._plan = plan
        self._needs_prompt = needs_prompt

    @override
    def hashes(self) -> dict[str, str]:
        return {"ratings": hash_of(self._rated), "evaluation": hash_of(self._evaluation or ())}

    @override
    def pictures(self) -> list[str]:
        named = {one.image for one in [*self._rated, *(self._evaluation or ())]}
        return sorted(named - {""})

    @override
    def prompts(self) -> list[str]:
        return sorted({one.prompt for one in [*self._rated, *(self._evaluation or ())]})

    @override
    def sides(
        self, aspects: Sequence[str], unreadable: Mapping[str, str], objective: Objective
    ) -> Sides[Rated]:
        plan, needs_prompt = self._plan, self._needs_prompt
        training, dropped = usable_ratings(
            self._rated, aspects, unreadable, needs_prompt=needs_prompt
        )
        held_out: list[Rated] = []
        if self._evaluation is not None:
            held_out, more = usable_ratings(
                self._evaluation, aspects, unreadable, needs_prompt=needs_prompt
            )
            dropped += more
        elif plan.held_out_share > 0 and training:
            training, held_out = hold_out(
                training, _group, _shown, plan.held_out_share, plan.seed, plan.leaks
            )
        training, leaked = without_leaks(training, held_out, _shown, plan.leaks)
        dropped += leaked
        if not training:
            raise DataError(f"no rating is left to learn from; dropped: {counts(dropped)}")
        if self._evaluation is not None and not held_out:
            raise DataError(f"no held-out rating can be used; dropped: {counts(dropped)}")
        return Sides(training, held_out, dropped)

    @override
    def task(
        self,
        scorer: Scorer[Any],
        objective: Objective,
        sides: Sides[Rated],
        weights: Mapping[str, float],
        processes: Processes,
    ) -> Course:
        rated, size = sides.training, self._plan.batch
        each = prompt_weights(rated, self._plan.prompt_weights, _weighed_by)
        stream = RatingStream(rated, weights, size, self._plan.seed, weights=each)
        batches = math.ceil(len(rated) / size)
        total = _weight(rated, weights, each) / batches
        judge = RatingJudge(sides.held_out, weights, size, processes)
        return Course(rating_task(scorer, objective, weights, stream, judge, total), batches)


class RatingJudge:
    """Measures a reward on ratings held out; processes share the scoring, not the measuring.

    Args:
        rated: the ratings; none says that there is nothing to judge by.
        aspects: whose numbers to take.
        size: ratings in a batch.
        processes: who shares it.
    """

    def __init__(
        self, rated: Sequence[Rated], aspects: Collection[str], size: int, processes: Processes
    ) -> None:
        self.aspects = sorted(aspects)
        self._starts = range(0, len(rated), size)
        self._batches = [make_batch(rated[k : k + size], aspects) for k in self._starts]
        self._processes = processes
        self._truth = {
            aspect: np.array([one.values.get(aspect, math.nan) for one in rated], np.float64)
            for aspect in self.aspects
        }

    def __len__(self) -> int:
        return len(self._batches)

    def sums(
        self,
        scorer: Scorer[Loaded],
        objective: Objective,
        weights: Mapping[str, float],
        rank: int,
        processes: int,
    ) -> Sums:
        """Sum and count of what `rating_task` measures."""
        names = ["loss", "chance", "margin_std", "mse", *(f"mse_{a}" for a in self.aspects)]
        totals = dict.fromkeys(names, (0.0, 0.0))
        size = len(next(iter(self._truth.values())))
        said = torch.zeros(len(self.aspects), size, dtype=torch.float64)
        for start, batch in zip(
            self._starts[rank::processes], self._batches[rank::processes], strict=True
        ):
            scores, loss = learned(scorer, objective, batch, scorer.load(batch), weights)
            for k, aspect in enumerate(self.aspects):
                own = aspect_score(scores, aspect).detach().double().cpu()
                said[k, start : start + len(own)] = own
            for name, (total, number) in self._errors(
                scores, loss, objective, batch, weights
            ).items():
                totals[name] = (totals[name][0] + total, totals[name][1] + number)
        totals |= self._correlations(self._processes.sum(said).numpy())
        return {f"eval/{name}": value for name, value in totals.items()}

    def _errors(
        self,
        scores: Scores,
        loss: Tensor,
        objective: Objective,
        batch: Batch,
        weights: Mapping[str, float],
    ) -> dict[str, tuple[float, float]]:
        share = learned_weight(objective, batch, weights)
        spread = objective.scale() * score_spread(scores, batch)
        judged = batch.judged_on(scores.total.device)
        sums = {
            "loss": (loss.item() * share, share),
            "chance": (objective.chance(batch, weights) * share, share),
            "margin_std": (spread * len(batch.texts), float(len(batch.texts))),
        }
        for aspect, targets in judged.targets.items():
            alone = replace(judged, targets={aspect: targets})
            error = objective(scores, alone, {aspect: 1.0}).item()
            sums[f"mse_{aspect}"] = (error * len(targets), float(len(targets)))
        errors = [sums[f"mse_{aspect}"] for aspect in judged.targets]
        sums["mse"] = (sum(e for e, _ in errors), sum(n for _, n in errors))
        return sums

    def _correlations(self, said: Floats) -> dict[str, tuple[float, float]]:
        """Each measure of each aspect, and their mean; 0 of 0 where it is not defined."""
        found: dict[str, tuple[float, float]] = {}
        for name, measure in (("srcc", spearman), ("plcc", pearson)):
            values = []
            for scores, aspect in zip(said, self.aspects, strict=True):
                rated = np.isfinite(self._truth[aspect])
                values.append(_correlation(measure, scores[rated], self._truth[aspect][rated]))
            whole = [value for value in values if math.isfinite(value)]
            found[name] = (sum(whole), float(len(whole)))
            found |= {
                f"{name}_{aspect}": (value, 1.0) if math.isfinite(value) else (0.0, 0.0)
                for aspect, value in zip(self.aspects, values, strict=True)
            }
        return found


def rating_task(
    scorer: Scorer[Loaded],
    objective: Objective,
    weights: Mapping[str, float],
    stream: RatingStream,
    judge: RatingJudge,
    total: float | None = None,
) -> Task[tuple[Batch, Loaded]]:
    """What `fit` needs to teach a reward the ratings of a stream and judge it by those held out.

    eval/srcc and eval/plcc are Spearman's and Pearson's correlation, means over the aspects;
    eval/mse is the mean squared error of the scaled scores over all ratings; each also by aspect.
    Best is the highest eval/srcc; of equals, the smallest eval/mse.

    `total` is how much the ratings of a batch weigh together on average; in training the weighed
    losses of each are divided by it, so that over an epoch every rating counts by its weight. None
    divides them by what this batch weighs.
    """

    def step(item: tuple[Batch, Loaded]) -> tuple[Tensor, Logs]:
        batch, loaded = item
        scores, loss = learned(scorer, objective, batch, loaded, weights, total)
        logs = {
            "train/margin_std": objective.scale() * score_spread(scores, batch),
            "train/chance": objective.chance(batch, weights, total),
        }
        return loss, logs

    def batches(start: int, stride: int) -> Iterator[tuple[Batch, Loaded]]:
        return one_ahead((b, scorer.load(b)) for b in stream.batches(start, stride))

    def evaluate(rank: int, processes: int) -> Sums:
        return judge.sums(scorer, objective, weights, rank, processes)

    return Task(
        step,
        batches,
        evaluate if len(judge) else None,
        best_correlation,
        diagnosis=Diagnosis(None),
    )


def best_correlation(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Spearman's correlation first, none counting as the worst; then the smaller error."""
    srcc = metrics["eval/srcc"]
    return srcc if math.isfinite(srcc) else -1.0, -metrics["eval/mse"]


@torch.no_grad()
def score_spread(scores: Scores, batch: Batch) -> float:
    """Root mean square difference of two of a batch's scores, of all its aspects; 0 of one row."""
    squares = []
    for aspect, targets in batch.targets.items():
        own = aspect_score(scores, aspect).detach().double().cpu()[targets.rows]
        if len(own) > 1:
            squares.append(2 * float(own.var()))
    return math.sqrt(sum(squares) / len(squares)) if squares else 0.0


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's correlation of two series (n,), equal values sharing a rank; NaN if constant."""
    ranks = [mean_ranks(np.unique(values, return_inverse=True)[1]) for values in (x, y)]
    return pearson(*ranks)


def _correlation(measure: Callable[[Floats, Floats], float], x: Floats, y: Floats) -> float:
    return float(measure(x, y)) if len(x) > 1 else math.nan


def _group(one: Rated) -> str:
    return one.prompt or one.image


def _weighed_by(one: Rated) -> tuple[str, str]:
    return (folded(one.prompt), "" if one.prompt else one.image)


def _shown(one: Rated) -> tuple[str]:
    return (one.image,)


def _weight(
    rated: Sequence[Rated], aspects: Mapping[str, float], each: Sequence[float] | None
) -> float:
    """How much all numbers count together, each by its rating's weight times its aspect's."""
    return sum(
        own * sum(weight for aspect, weight in aspects.items() if aspect in one.values)
        for one, own in zip(rated, each or repeat(1.0), strict=False)
    )
