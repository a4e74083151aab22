"""Learning preferences: the loss of a batch of pairs, and accuracy on the pairs held out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import DataError
from beholder.eval.preference import pair_credit
from beholder.rewards._towers import Embeddings
from beholder.training.fit.diagnosis import Diagnosis
from beholder.training.fit.loop import Logs, Sums, Task
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Batch, PairStream, Sides, in_order, pictures_of
from beholder.training.judged.held_out import independent_pairs
from beholder.training.judged.lessons import Course, Lessons, Plan, hash_of
from beholder.training.judged.mixing import Balance, Mixture, Source, shares
from beholder.training.judged.prompts import prompt_weights
from beholder.training.judged.rankings import count_orders
from beholder.training.judged.splits import divide
from beholder.training.losses import aspect_score, total_weight
from beholder.training.objectives import Objective
from beholder.training.towers.scorers import Scorer, one_ahead
from beholder.types import Edges, Preference, Rankings, Scores, Targets

_LOG = logging.getLogger(__name__)
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Several data sets, and how much of each is seen."""

    sources: Mapping[str, Source]
    balance: Balance


class PairLessons(Lessons[Preference]):
    """Pairs of pictures, from one data set or several.

    Args:
        sets: pairs by the name of their set; a single set may have any name.
        evaluation: pairs to judge by; None holds prompts of the others out.
        plan: how they are dealt out.
        mix: the shares of the sets; None where there is one.
    """

    what = "pairs"

    def __init__(
        self,
        sets: Mapping[str, Sequence[Preference]],
        evaluation: Sequence[Preference] | None,
        plan: Plan,
        mix: Mix | None = None,
    ) -> None:
        self._pairs = [p for pairs in sets.values() for p in pairs] if mix is None else named(sets)
        self._evaluation = evaluation
        self._plan = plan
        self._mix = mix

    @override
    def hashes(self) -> dict[str, str]:
        return {
            "preferences": hash_of(self._pairs),
            "evaluation": hash_of(self._evaluation or ()),
        }

    @override
    def pictures(self) -> list[str]:
        return pictures_of([*self._pairs, *(self._evaluation or ())])

    @override
    def prompts(self) -> list[str]:
        return sorted({p.prompt for p in [*self._pairs, *(self._evaluation or ())]})

    @override
    def sides(
        self, aspects: Sequence[str], unreadable: Mapping[str, str], objective: Objective
    ) -> Sides[Preference]:
        sides = divide(
            self._pairs,
            self._evaluation,
            aspects,
            unreadable,
            share=self._plan.held_out_share,
            seed=self._plan.seed,
            leaks=self._plan.leaks,
        )
        told: dict[str, object] = {}
        if self._mix is not None:
            told["sources"] = self._counts(sides)
        if objective.reads == "rankings":
            told["rankings"] = _tell_orders(sides.training, aspects)
        return replace(sides, told=told)

    @override
    def task(
        self,
        scorer: Scorer[Any],
        objective: Objective,
        sides: Sides[Preference],
        weights: Mapping[str, float],
        processes: Processes,
    ) -> Course:
        plan, ranked = self._plan, objective.reads == "rankings"
        stream = PairStream(
            sides.training,
            weights,
            plan.batch,
            plan.seed,
            weights=self._weights(sides.training),
            ranked=ranked,
            mixture=self._mixture(sides.training),
        )
        held_out = in_order(sides.held_out, weights, plan.batch, ranked=ranked)
        independent = independent_pairs(sides.held_out, weights)
        diagnosis = Diagnosis(None, trained=plan.to_trained, independent=independent)
        task = preference_task(scorer, objective, weights, stream, held_out, diagnosis)
        return Course(task, stream.batches_per_epoch)

    def _mixture(self, pairs: Sequence[Preference]) -> Mixture | None:
        if self._mix is None:
            return None
        rows = self._rows(pairs)
        sizes = {name: len(mine) for name, mine in rows.items()}
        parts = shares(self._mix.sources, sizes, self._mix.balance)
        told = ", ".join(
            f"{name} {float(part):.1%}" for name, part in zip(rows, parts, strict=True)
        )
        _LOG.info("learning from a mixture: %s", told)
        return Mixture(list(rows.values()), parts)

    def _weights(self, pairs: Sequence[Preference]) -> list[float] | None:
        """Weights of pairs, 1 on average in each set."""
        found = prompt_weights(pairs, self._plan.prompt_weights)
        if found is None or self._mix is None:
            return found
        for rows in self._rows(pairs).values():
            own = prompt_weights([pairs[k] for k in rows], self._plan.prompt_weights)
            for k, weight in zip(rows, own or (), strict=True):
                found[k] = weight
        return found

    def _rows(self, pairs: Sequence[Preference]) -> dict[str, list[int]]:
        """The rows of each set; DataError if one has none."""
        rows: dict[str, list[int]] = {name: [] for name in (self._mix.sources if self._mix else ())}
        for k, pair in enumerate(pairs):
            rows[source_of(pair)].append(k)
        if empty := [name for name, mine in rows.items() if not mine]:
            raise DataError(
                f"mix: no pair of {', '.join(empty)} is left to learn from; see dropped.json, or "
                "leave the set out"
            )
        return rows

    def _counts(self, sides: Sides[Preference]) -> dict[str, dict[str, int]]:
        training = Counter(map(source_of, sides.training))
        held_out = Counter(map(source_of, sides.held_out)) if self._evaluation is None else {}
        return {
            name: {"training": training[name], "held_out": held_out.get(name, 0)}
            for name in (self._mix.sources if self._mix else ())
        }


def named(sets: Mapping[str, Sequence[Preference]]) -> list[Preference]:
    """The pairs of all sets, the set's name and a slash before each key: questions stay apart."""
    return [replace(p, key=f"{name}/{p.key}") for name, pairs in sets.items() for p in pairs]


def source_of(preference: Preference) -> str:
    """The set of a pair that `named` gave."""
    return preference.key.partition("/")[0]


def preference_task(
    scorer: Scorer[Loaded],
    objective: Objective,
    weights: Mapping[str, float],
    stream: PairStream,
    held_out: Sequence[Batch],
    diagnosis: Diagnosis | None = None,
) -> Task[tuple[Batch, Loaded]]:
    """What `fit` needs to teach a reward the pairs of a stream and judge it by those held out.

    Best is the highest "eval/accuracy", the protocol of ImageReward over the answers of all
    aspects; of equals, the lowest "eval/loss", which is the objective's own.

    In training the weighed losses of a batch are divided by what a batch of the stream weighs on
    average, not by what this one does: the mean of the losses of an epoch's batches is the mean
    over all its answers by their weights, however these are spread over batches, accumulated
    parts and processes. "train/chance" is divided alike.
    """
    total = stream.mean_weight(weights)

    def step(item: tuple[Batch, Loaded]) -> tuple[Tensor, Logs]:
        batch, loaded = item
        scores, loss = learned(scorer, objective, batch, loaded, weights, total)
        right, count = accuracy_sums(scores, batch)["accuracy"]
        logs = {
            "train/accuracy": right / count if count else 0.5,
            "train/tie_share": 1 - count / sum(map(len, batch.edges.values())),
            "train/margin_std": objective.scale() * margin_spread(scores, batch),
            "train/chance": objective.chance(batch, weights, total),
        }
        return loss, logs

    def batches(start: int, stride: int) -> Iterator[tuple[Batch, Loaded]]:
        return one_ahead((b, scorer.load(b)) for b in stream.batches(start, stride))

    def evaluate(rank: int, processes: int) -> Sums:
        return evaluation_sums(scorer, objective, held_out[rank::processes], weights)

    return Task(
        step,
        batches,
        evaluate if held_out else None,
        best_accuracy,
        diagnosis=diagnosis,
    )


def best_accuracy(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Accuracy first, then the smaller loss."""
    return metrics["eval/accuracy"], -metrics["eval/loss"]


def learned(
    scorer: Scorer[Loaded],
    objective: Objective,
    batch: Batch,
    loaded: Loaded,
    weights: Mapping[str, float],
    total: float | None = None,
) -> tuple[Scores, Tensor]:
    """Scores of a batch and what the objective says of them, from one pass of the towers.

    `total` is what the objective divides by; None is the batch's own weight.
    """
    embeddings: Embeddings | None = None
    if objective.wants_embeddings:
        scores, embeddings = scorer.embed(batch, loaded)
    else:
        scores = scorer.score(batch, loaded)
    judged = batch.judged_on(scores.total.device)
    return scores, objective(scores, judged, weights, embeddings, total)


def evaluation_sums(
    scorer: Scorer[Loaded],
    objective: Objective,
    batches: Sequence[Batch],
    weights: Mapping[str, float],
) -> Sums:
    """Sum and count of what `preference_task` measures, over the batches.

    eval/accuracy and eval/accuracy_{aspect}; eval/loss and eval/chance, the objective of the
    scores and of equal scores; eval/margin_std, the mean over batches of the scaled
    `margin_spread`.
    """
    names = ["accuracy", *(f"accuracy_{aspect}" for aspect in weights)]
    names += ["loss", "chance", "margin_std"]
    totals = dict.fromkeys(names, (0.0, 0.0))
    for batch in batches:
        scores, loss = learned(scorer, objective, batch, scorer.load(batch), weights)
        share = learned_weight(objective, batch, weights)
        pairs = float(sum(map(len, batch.edges.values())))
        spread = objective.scale() * margin_spread(scores, batch)
        found = accuracy_sums(scores, batch) | {
            "loss": (loss.item() * share, share),
            "chance": (objective.chance(batch, weights) * share, share),
            "margin_std": (spread * pairs, pairs),
        }
        for name, (total, count) in found.items():
            totals[name] = (totals[name][0] + total, totals[name][1] + count)
    return {f"eval/{name}": value for name, value in totals.items()}


def learned_weight(objective: Objective, batch: Batch, weights: Mapping[str, float]) -> float:
    """How much a batch's answers count together in the objective."""
    kinds: Mapping[str, Mapping[str, Edges | Rankings | Targets]] = {
        "pairs": batch.edges,
        "rankings": batch.rankings,
        "targets": batch.targets,
    }
    judged = kinds[objective.reads]
    return sum(weights[aspect] * float(total_weight(some)) for aspect, some in judged.items())


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


@torch.no_grad()
def margin_spread(scores: Scores, batch: Batch) -> float:
    """Root mean square of the margins of a batch's pairs; which picture is first means nothing."""
    margins = [
        edges.margin(aspect_score(scores, aspect).detach().double().cpu())
        for aspect, edges in batch.edges.items()
    ]
    return float(torch.cat(margins).square().mean().sqrt())


def _tell_orders(pairs: Sequence[Preference], aspects: Sequence[str]) -> dict[str, int]:
    found = count_orders(pairs, aspects)
    if torn := found["incomplete"] + found["cyclic"]:
        _LOG.warning(
            "%d answers to questions of several pictures are no ranking (%d incomplete, %d "
            "cyclic); they are learned as pairs",
            torn,
            found["incomplete"],
            found["cyclic"],
        )
    if soft := found["soft"]:
        _LOG.warning(
            "%d answers are neither certain nor ties; the loss learns orders, so it takes each as "
            "certain. The losses kl and gaussian learn how sure people were",
            soft,
        )
    return found
