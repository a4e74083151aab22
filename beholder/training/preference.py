"""Learning preferences: the loss of a batch of pairs, and accuracy on the pairs held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from beholder.eval.preference import pair_credit
from beholder.training.data import Batch, PairStream, Sides, in_order
from beholder.training.loop import Sums, Task
from beholder.training.losses import aspect_kl, aspect_score
from beholder.training.scorers import Scorer, one_ahead
from beholder.types import Edges, Preference, Scores

Loaded = TypeVar("Loaded")


def preference_task(
    scorer: Scorer[Loaded],
    sides: Sides[Preference],
    weights: Mapping[str, float],
    pairs: int,
    seed: int,
) -> Task[tuple[Batch, Loaded]]:
    """What `fit` needs to teach a reward the pairs of one side and judge it by the other.

    Best is the highest "eval/accuracy", the protocol of ImageReward over the answers of all
    aspects; of equals, the lowest "eval/loss".
    """
    stream = PairStream(sides.training, weights, pairs, seed)
    held_out = in_order(sides.held_out, weights, pairs) if sides.held_out else []

    def step(item: tuple[Batch, Loaded]) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        batch, loaded = item
        scores = scorer.score(batch, loaded)
        right, count = accuracy_sums(scores, batch)["accuracy"]
        accuracy = right / count if count else 0.5
        return aspect_kl(scores, edges_beside(batch, scores), weights), {"train/accuracy": accuracy}

    def batches(start: int, stride: int) -> Iterator[tuple[Batch, Loaded]]:
        return one_ahead((b, scorer.load(b)) for b in stream.batches(start, stride))

    def evaluate(rank: int, processes: int) -> Sums:
        return evaluation_sums(scorer, held_out[rank::processes], weights)

    return Task(step, batches, evaluate if held_out else None, best_accuracy)


def best_accuracy(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Accuracy first, then the smaller loss."""
    return metrics["eval/accuracy"], -metrics["eval/loss"]


def evaluation_sums(
    scorer: Scorer[Loaded], batches: list[Batch], weights: Mapping[str, float]
) -> Sums:
    """Sum and count of accuracy, of each aspect's accuracy, and of the loss, over the batches."""
    names = ["accuracy", *(f"accuracy_{aspect}" for aspect in weights), "loss"]
    totals = dict.fromkeys(names, (0.0, 0.0))
    for batch in batches:
        scores = scorer.score(batch, scorer.load(batch))
        loss = aspect_kl(scores, edges_beside(batch, scores), weights).item()
        share = sum(weights[aspect] * len(edges) for aspect, edges in batch.edges.items())
        found = accuracy_sums(scores, batch) | {"loss": (loss * share, share)}
        for name, (total, count) in found.items():
            totals[name] = (totals[name][0] + total, totals[name][1] + count)
    return {f"eval/{name}": value for name, value in totals.items()}


@torch.no_grad()
def accuracy_sums(scores: Scores, batch: Batch) -> dict[str, tuple[float, float]]:
    """Right pairs and pairs without a human tie, of all aspects and of each."""
    sums = {}
    for aspect, edges in batch.edges.items():
        margin = edges.margin(aspect_score(scores, aspect).detach().double().cpu())
        p_first = edges.p_first.double()
        credit, counts = pair_credit(margin.numpy(), p_first.numpy(), "imagereward", None)
        sums[f"accuracy_{aspect}"] = (float(credit.sum()), float(counts.sum()))
    right, count = (sum(values) for values in zip(*sums.values(), strict=True))
    return {"accuracy": (right, count), **sums}


def edges_beside(batch: Batch, scores: Scores) -> dict[str, Edges]:
    """The batch's edges where the scores are."""
    return {aspect: edges.to(scores.total.device) for aspect, edges in batch.edges.items()}
