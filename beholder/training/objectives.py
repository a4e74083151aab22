"""What a reward is taught: a loss by name, over all aspects of a batch, and what chance gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers import Towers
from beholder.rewards._towers._base import Embeddings
from beholder.training.fit.learner import require
from beholder.training.losses import (
    aspect_score,
    contrastive_kl,
    gaussian_kl,
    over_aspects,
    plackett_luce,
    preference_kl,
    rank_hinge,
    rao_kupper,
    rating_error,
    total_weight,
)
from beholder.training.towers.scorers import EmbeddingReward
from beholder.types import Edges, Rankings, Scores, Targets

LossName = Literal[
    "kl", "rao_kupper", "plackett_luce", "rank_hinge", "in_batch", "gaussian", "regression"
]
Reads = Literal["pairs", "rankings", "targets"]
Judged = Edges | Rankings | Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """What is learned; each name is a function in `losses`.

    Attributes:
        name: "kl" (`preference_kl`), "rao_kupper", "in_batch" (`contrastive_kl`) and "gaussian"
            (`gaussian_kl`) learn pairs, "plackett_luce" and "rank_hinge" rankings, "regression"
            (`rating_error`) ratings.
        scale: what scores are multiplied by first; "logit_scale" is exp of the reward's own logit
            scale, for rewards such as HPS whose score is the bare cosine.
        tie_strength: k of "rao_kupper", above 1: a margin below ln k is worth nothing.
        hinge_margin: of "rank_hinge".
    """

    name: LossName = "kl"
    scale: float | Literal["logit_scale"] = 1.0
    tie_strength: float = 5.0
    hinge_margin: float = 1.0

    def __post_init__(self) -> None:
        if self.scale != "logit_scale":
            require("loss.scale", self.scale, above=0)
        require("loss.tie_strength", self.tie_strength, above=1)
        require("loss.hinge_margin", self.hinge_margin, above=0)
        for field in fields(self)[1:]:
            if field.name not in _KINDS[self.name].fields and (
                getattr(self, field.name) != field.default
            ):
                raise ConfigError(
                    f"loss.{field.name} means nothing to the loss {self.name}; leave it out"
                )


@runtime_checkable
class Judgements(Protocol):
    """What an objective reads of a batch, on the device of the scores."""

    @property
    def edges(self) -> Mapping[str, Edges]:
        """Aspect -> pairs."""

    @property
    def rankings(self) -> Mapping[str, Rankings]:
        """Aspect -> rankings."""

    @property
    def targets(self) -> Mapping[str, Targets]:
        """Aspect -> ratings."""

    @property
    def prompt_rows(self) -> Int[Tensor, " b"]:
        """The number of each row's prompt."""


@dataclass(frozen=True, slots=True)
class _View:
    """What a loss may look at for one aspect, row by row."""

    scores: Float[Tensor, " b"]
    deviations: Float[Tensor, " b"]
    embeddings: Embeddings | None
    prompts: Int[Tensor, " b"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a loss reads of a batch, the fields of `LossConfig` that it reads, and the loss."""

    reads: Reads
    fields: frozenset[str]
    loss: Callable[[LossConfig, _View, Any], Tensor]


def _kl(_: LossConfig, view: _View, edges: Edges) -> Tensor:
    return preference_kl(edges.margin(view.scores), edges.p_first, edges.weight)


def _rao_kupper(config: LossConfig, view: _View, edges: Edges) -> Tensor:
    return rao_kupper(edges.margin(view.scores), edges.p_first, config.tie_strength, edges.weight)


def _gaussian(_: LossConfig, view: _View, edges: Edges) -> Tensor:
    # A norm, because the slope of a square root at 0 is not finite.
    deviation = torch.linalg.vector_norm(view.deviations[edges.pairs], dim=1)
    return gaussian_kl(edges.margin(view.scores), deviation, edges.p_first, edges.weight)


def _in_batch(_: LossConfig, view: _View, edges: Edges) -> Tensor:
    found = cast("Embeddings", view.embeddings)
    texts = found.texts[edges.pairs[:, 0]]
    return contrastive_kl(texts, found.images, edges, found.logit_scale, edges.weight, view.prompts)


def _plackett_luce(_: LossConfig, view: _View, rankings: Rankings) -> Tensor:
    return plackett_luce(view.scores, rankings)


def _rank_hinge(config: LossConfig, view: _View, rankings: Rankings) -> Tensor:
    return rank_hinge(view.scores, rankings, config.hinge_margin)


def _regression(_: LossConfig, view: _View, targets: Targets) -> Tensor:
    return rating_error(view.scores, targets)


_SCALED = frozenset({"scale"})
_KINDS: dict[str, _Kind] = {
    "kl": _Kind("pairs", _SCALED, _kl),
    "rao_kupper": _Kind("pairs", _SCALED | {"tie_strength"}, _rao_kupper),
    "plackett_luce": _Kind("rankings", _SCALED, _plackett_luce),
    "rank_hinge": _Kind("rankings", _SCALED | {"hinge_margin"}, _rank_hinge),
    "in_batch": _Kind("pairs", frozenset(), _in_batch),
    "gaussian": _Kind("pairs", _SCALED, _gaussian),
    "regression": _Kind("targets", _SCALED, _regression),
}


class Objective:
    """The loss of a batch: the mean over aspects, an answer to aspect a weighs w_a times its own.

    With u_e the own weight of answer e and B the answers of the batch,

        loss = Σ_a Σ_{e in B_a} w_a u_e loss_ae / T,  T = Σ_a Σ_{e in B_a} w_a u_e

    is a ratio of sums, as an evaluation needs it. In training it would make an answer count for
    more where its batch holds few or light ones: the last batch of an epoch, or one that a prompt
    with many light answers fills. There `total` gives a T that is the same for all batches.

    Attributes:
        reads: what it learns from: "pairs" (`edges`), "rankings" or "targets" of a batch.
        wants_embeddings: whether it needs `Embeddings` beside the scores.
    """

    def __init__(self, config: LossConfig, scale: Callable[[], Tensor | float]) -> None:
        self._config, self._scale = config, scale
        self._kind = _KINDS[config.name]
        self.reads: Reads = self._kind.reads
        self.wants_embeddings = config.name == "in_batch"

    def __call__(
        self,
        scores: Scores,
        batch: Judgements,
        weights: Mapping[str, float],
        embeddings: Embeddings | None = None,
        total: float | None = None,
    ) -> Float[Tensor, ""]:
        """Loss of a batch; `weights` says how much an answer to each aspect counts.

        `total` is what the weighed losses are divided by; None is what the batch's answers weigh.

        Raises DataError if there is no answer to learn from, or the scores lack an aspect, or how
        unsure they are, or the embeddings that the loss compares.
        """
        if self.wants_embeddings and embeddings is None:
            raise DataError(f"the loss {self._config.name} compares embeddings; got scores alone")
        judged, scale = self._answered(batch), self._scale()
        views = {
            a: _View(
                aspect_score(scores, a) * scale,
                self._deviations(scores, a) * scale,
                embeddings,
                batch.prompt_rows.to(scores.total.device),
            )
            for a in judged
        }
        return self._mean(judged, weights, views, total)

    @torch.no_grad()
    def scale(self) -> float:
        """What scores are multiplied by now."""
        return float(self._scale())

    def chance(
        self, batch: Judgements, weights: Mapping[str, float], total: float | None = None
    ) -> float:
        """The loss where a reward gives all pictures the same score, such as ln 2 of certain pairs.

        With "regression" that score is the best one: each aspect's mean rating. `total` as for the
        loss, so that both compare.
        Raises DataError if there is no answer to learn from.
        """
        judged = self._answered(batch)
        rows, device = len(batch.prompt_rows), _device(judged)
        nothing = torch.zeros(rows, device=device)
        alike = Embeddings(nothing[:, None], nothing[:, None], torch.tensor(0.0, device=device))
        prompts = batch.prompt_rows.to(device)
        views = {
            a: _View(nothing + _best_constant(some), nothing, alike, prompts)
            for a, some in judged.items()
        }
        return self._mean(judged, weights, views, total).item()

    def _answered(self, batch: Judgements) -> dict[str, Judged]:
        name = {"pairs": "edges"}.get(self.reads, self.reads)
        found = cast("Mapping[str, Judged]", getattr(batch, name))
        return {aspect: judged for aspect, judged in found.items() if len(judged)}

    def _mean(
        self,
        judged: Mapping[str, Judged],
        weights: Mapping[str, float],
        views: Mapping[str, _View],
        total: float | None,
    ) -> Tensor:
        losses = {a: self._kind.loss(self._config, views[a], judged[a]) for a in judged}
        shares = {a: weights[a] * total_weight(judged[a]) for a in judged}
        return over_aspects(losses, shares, total)

    def _deviations(self, scores: Scores, aspect: str) -> Tensor:
        if self._config.name != "gaussian":
            return torch.zeros_like(scores.total)
        if aspect not in scores.deviations:
            known = ", ".join(scores.deviations) or "none"
            raise DataError(
                f"the reward does not say how unsure its {aspect} is (deviations: {known})"
            )
        return scores.deviations[aspect]


def build_objective(config: LossConfig, reward: Reward) -> Objective:
    """The objective that `config` describes, for this reward.

    Raises ConfigError if the reward cannot serve it: it has no logit scale, compares no embeddings,
    or does not say how unsure it is.
    """
    if config.name == "in_batch" and not isinstance(reward, EmbeddingReward):
        raise ConfigError(
            f"the loss in_batch compares embeddings of pictures and texts, and reward "
            f"{reward.card.name} has none; use kl"
        )
    if config.name == "gaussian":
        _refuse_certain(reward)
    scale = config.scale
    return Objective(config, _own_scale(reward) if scale == "logit_scale" else lambda: scale)


def _own_scale(reward: Reward) -> Callable[[], Tensor]:
    towers = getattr(reward, "towers", None)
    if not isinstance(towers, Towers):
        raise ConfigError(
            f"loss.scale is 'logit_scale', but reward {reward.card.name} has none; give a number"
        )
    return lambda: at_least_float32(towers.logit_scale).exp()


@torch.no_grad()
def _refuse_certain(reward: Reward) -> None:
    pixels = reward.preprocess(torch.zeros(1, 3, 64, 64, device=reward.device))
    if not reward.score_prepared(pixels, ["a"]).deviations:
        raise ConfigError(
            f"the loss gaussian needs scores that say how unsure they are, and reward "
            f"{reward.card.name} gives none; use kl"
        )


def _device(judged: Mapping[str, Judged]) -> torch.device:
    for some in judged.values():
        return some.pairs.device if isinstance(some, Edges) else some.rows.device
    raise DataError("there is no answer to learn from, so the loss is not defined")


def _best_constant(judged: Judged) -> Tensor | float:
    if not isinstance(judged, Targets):
        return 0.0
    return (judged.weight * judged.values).sum() / judged.weight.sum()
