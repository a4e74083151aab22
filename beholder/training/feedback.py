"""Learning rich feedback: the loss of a batch, and measures on the pictures held out."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.rewards.richhf import Prediction, RichHF
from beholder.training.feedback_data import FeedbackBatch, FeedbackStream, HeldOut
from beholder.training.fit.loop import Sums, Task
from beholder.training.richhf_loss import (
    RichHFLoss,
    correlation,
    correlation_loss,
    map_loss,
    score_loss,
    shows,
    weighted_sum,
    word_loss,
)
from beholder.training.towers.scorers import one_ahead
from beholder.types import MAPS, RATED, WordLabel

_LOG = logging.getLogger(__name__)

MISSED = 0.5
"""A word that more than this share of the annotators miss is misaligned."""


def feedback_task(
    reward: RichHF, stream: FeedbackStream, held_out: HeldOut | None, weights: RichHFLoss
) -> Task[FeedbackBatch]:
    """What `fit` needs to teach a reward rich feedback and judge it by what was held out.

    Best is what `best_quality` says. Raises ConfigError if no part of the loss weighs anything.
    """
    if not parts(reward, weights):
        raise ConfigError("loss: every part that this reward can learn weighs 0")

    def step(batch: FeedbackBatch) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        batch = batch.to(reward.device)
        found = losses(reward, predict(reward, batch), batch, weights)
        logs = {f"train/{name}_loss": part.detach() for name, part in found.items()}
        return weighted_sum(found, weights), logs

    def batches(start: int, stride: int) -> Iterator[FeedbackBatch]:
        return one_ahead(stream.batches(start, stride))

    evaluate = partial(evaluation_sums, reward, held_out, weights) if held_out else None
    return Task(step, batches, evaluate, best_quality)


def parts(reward: RichHF, weights: RichHFLoss) -> list[str]:
    """The parts of the loss that weigh something and that the reward can compute."""
    names = ["score", "map", "correlation", "sequence"]
    names += ["word"] if reward.word_head is not None else []
    return [name for name in names if getattr(weights, name) > 0]


def predict(reward: RichHF, batch: FeedbackBatch) -> Prediction:
    """What the reward says of a batch that is where it is."""
    return reward.predict(reward.preprocess(batch.pictures), batch.prompts)


def losses(
    reward: RichHF, said: Prediction, batch: FeedbackBatch, weights: RichHFLoss
) -> dict[str, Float[Tensor, ""]]:
    """Each of the `parts`, unweighted."""
    scores = torch.stack([said.scores[aspect] for aspect in RATED], dim=1)
    maps = torch.stack([said.maps[kind] for kind in MAPS], dim=1)
    pixels, marked = weights.pixels, weights.marked_pixels
    compute: dict[str, Callable[[], Tensor]] = {
        "score": lambda: score_loss(scores, batch.ratings, batch.rated),
        "map": lambda: map_loss(maps, batch.maps, batch.drawn, pixels, marked),
        "correlation": lambda: correlation_loss(maps, batch.maps, batch.drawn),
        "sequence": lambda: sequence_loss(reward, said, batch, weights.ignore_pads),
        "word": lambda: _word_loss(reward, said, batch, weights.misaligned_words),
    }
    return {name: compute[name]() for name in parts(reward, weights)}


def sequence_loss(
    reward: RichHF, said: Prediction, batch: FeedbackBatch, ignore_pads: bool
) -> Float[Tensor, ""]:
    """The decoder's loss over the pictures whose words are known; 0 if none is."""
    known = [k for k, shares in enumerate(batch.words) if len(shares)]
    if not known:
        return said.text.states.new_zeros(())
    labels = [(batch.words[k] > MISSED).tolist() for k in known]
    prompts = [batch.prompts[k] for k in known]
    if len(known) < len(batch):
        said = replace(said, text=said.text.rows(known))
    return reward.sequence_loss(said, prompts, labels, ignore_pads=ignore_pads)


def evaluation_sums(
    reward: RichHF, held_out: HeldOut, weights: RichHFLoss, rank: int, processes: int
) -> Sums:
    """Sum and count of each measure over a process's share of the pictures held out.

    eval/loss and eval/{part}_loss: means over the batches' pictures. eval/mse_{kind} and
    eval/cc_{kind}: means over the drawn maps, and over those that are not empty. eval/r2_{aspect}:
    1 - Σ (q - t)^2 / Σ (t - mean)^2, the share of the ratings' variance that is explained.
    eval/word_precision, word_recall, word_f1: of misaligned words, over all words together, where
    a loss of words is learned and the reward reads words.
    """
    totals: Counter[tuple[str, int]] = Counter()
    names = _names(reward, weights)
    for batch in held_out.batches(rank, processes):
        placed = batch.to(reward.device)
        said = predict(reward, placed)
        found = _loss_sums(losses(reward, said, placed, weights), len(batch), weights)
        found |= map_sums(said, placed) | score_sums(said, placed, held_out.means)
        if _reads_words(reward, weights):
            found |= word_sums(reward.word_labels(said, batch.prompts), batch)
        for name, pair in found.items():
            for k, value in enumerate(pair):
                totals[name, k] += value  # type: ignore[assignment]  # a Counter adds any number
    return {f"eval/{name}": (float(totals[name, 0]), float(totals[name, 1])) for name in names}


def map_sums(said: Prediction, batch: FeedbackBatch) -> dict[str, tuple[float, float]]:
    """Squared errors of each kind's maps, and correlations of those that are not empty."""
    sums = {}
    for k, kind in enumerate(MAPS):
        drawn, targets = said.maps[kind].float().sigmoid(), batch.maps[:, k]
        told, faulty = batch.drawn[:, k], batch.drawn[:, k] & shows(targets)
        errors = (drawn - targets).square().mean((-2, -1))
        sums[f"mse_{kind}"] = _where(errors, told)
        sums[f"cc_{kind}"] = _where(correlation(drawn, targets), faulty)
    return sums


def score_sums(
    said: Prediction, batch: FeedbackBatch, means: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Explained and whole variance of each aspect around the mean of all ratings held out."""
    sums = {}
    for k, aspect in enumerate(RATED):
        targets, rated = batch.ratings[:, k], batch.rated[:, k]
        errors, _ = _where((said.scores[aspect].float().sigmoid() - targets).square(), rated)
        whole, _ = _where((targets - means[aspect]).square(), rated)
        sums[f"r2_{aspect}"] = (whole - errors, whole)
    return sums


def word_sums(said: list[list[WordLabel]], batch: FeedbackBatch) -> dict[str, tuple[float, float]]:
    """Precision TP / (TP + FP), recall TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN)."""
    pairs = [
        (label.p_misaligned > MISSED, share > MISSED)
        for labels, shares in zip(said, batch.words, strict=True)
        if len(shares)
        for label, share in zip(labels, shares.tolist(), strict=True)
    ]
    true = float(sum(p and t for p, t in pairs))
    claimed, missed = float(sum(p for p, _ in pairs)), float(sum(t for _, t in pairs))
    return {
        "word_precision": (true, claimed),
        "word_recall": (true, missed),
        "word_f1": (2 * true, claimed + missed),
    }


@torch.no_grad()
def calibrate_words(reward: RichHF, held_out: HeldOut) -> None:
    """Fit the light word head's temperature and bias to held-out words; see `WordHead.calibrate`.

    Without such a head, or words that can tell (both kinds, told apart a little), nothing changes.
    """
    if reward.word_head is None:
        return
    logits, shares = [], []
    for batch in held_out.batches(0, 1):
        placed = batch.to(reward.device)
        said = reward.word_logits(predict(reward, placed), batch.prompts)
        for mine, theirs in zip(said, batch.words, strict=True):
            if len(theirs):
                logits.append(mine.cpu())
                shares.append(theirs)
    try:
        reward.word_head.calibrate(*(torch.cat([torch.zeros(0), *p]) for p in (logits, shares)))
    except DataError as error:
        _LOG.warning("the word head stays uncalibrated: %s", error)


def best_quality(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Mean of mean CC, mean R² and F1 of words, of those that are numbers; then the smaller loss.

    The weighted loss alone would let the largest part, mostly the decoder's, decide.
    """
    groups = [
        [metrics[f"eval/cc_{kind}"] for kind in MAPS],
        [metrics[f"eval/r2_{aspect}"] for aspect in RATED],
        [metrics.get("eval/word_f1", math.nan)],
    ]
    finite = [[value for value in group if math.isfinite(value)] for group in groups]
    means = [fmean(group) for group in finite if group]
    return fmean(means) if means else 0.0, -metrics["eval/loss"]


def _word_loss(
    reward: RichHF, said: Prediction, batch: FeedbackBatch, misaligned: float
) -> Float[Tensor, ""]:
    logits = reward.word_logits(said, batch.prompts)
    known = [pair for pair in zip(logits, batch.words, strict=True) if len(pair[1])]
    if not known:
        return said.text.states.new_zeros(())
    return word_loss([z for z, _ in known], [p for _, p in known], misaligned)


def _names(reward: RichHF, weights: RichHFLoss) -> list[str]:
    names = ["loss", *(f"{part}_loss" for part in parts(reward, weights))]
    names += [f"{measure}_{kind}" for kind in MAPS for measure in ("mse", "cc")]
    names += [f"r2_{aspect}" for aspect in RATED]
    words = ["word_precision", "word_recall", "word_f1"]
    return names + (words if _reads_words(reward, weights) else [])


def _reads_words(reward: RichHF, weights: RichHFLoss) -> bool:
    return reward.words != "none" and bool({"sequence", "word"} & set(parts(reward, weights)))


def _loss_sums(
    found: Mapping[str, Tensor], pictures: int, weights: RichHFLoss
) -> dict[str, tuple[float, float]]:
    means = {"loss": weighted_sum(found, weights)}
    means |= {f"{name}_loss": part for name, part in found.items()}
    return {name: (pictures * mean.item(), float(pictures)) for name, mean in means.items()}


def _where(values: Float[Tensor, " b"], told: Bool[Tensor, " b"]) -> tuple[float, float]:
    return float(values[told].double().sum()), float(told.sum())
