"""Ways to take one training step on the same pairs, and what a step of each costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beholder.rewards import Reward
from beholder.rewards.mps import MPS
from beholder.training.fit.loop import autocast
from beholder.training.losses import preference_kl
from beholder.training.towers.features import PictureFeatures, TextFeatures
from beholder.training.towers.freezing import tower_weights
from beholder.training.towers.scorers import FeatureScorer, PixelScorer, Scorer
from benchmarks._record import Spread
from benchmarks._training_models import Pairs, decoded, learn


@dataclass
class Way:
    """One way to take a step: AdamW at a rate of 0, so that every step starts at the same weights.

    Attributes:
        loss: of all the pairs, with gradient.
        weights: names of those that learn.
    """

    name: str
    reward: Reward
    pairs: Pairs
    loss: Callable[[], Tensor]
    weights: set[str]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    _optimizer: torch.optim.Optimizer | None = None

    def step(self) -> None:
        """Take a step; of its CPU seconds those of one pair are noted."""
        learning = learn(self.reward, self.weights)
        if self._optimizer is None:
            self._optimizer = torch.optim.AdamW(learning, lr=0.0, weight_decay=0.0)
        self.reward.train()
        start = time.process_time()
        loss = self.loss()
        loss.backward()
        self._optimizer.step()
        self.seconds.append((time.process_time() - start) / len(self.pairs))
        self.losses.append(loss.item())
        self._optimizer.zero_grad(set_to_none=True)

    def release(self) -> None:
        """Forget the optimizer's state, and the first step, which also filled memory."""
        self._optimizer = None
        self.seconds = self.seconds[1:] or self.seconds

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def plain_loop(reward: MPS, pairs: Pairs) -> Callable[[], Tensor]:
    """What the published trainers do: for each pair its prompt, its condition and both pictures.

    The texts of a pair are encoded once for both its pictures, and the condition once a pair.
    """
    shown = decoded(pairs)
    prompts = [pair.prompt for pair in pairs.preferences]
    asked = list(reward.conditions.values()) * len(pairs)
    both = [p.first for p in pairs.preferences] + [p.second for p in pairs.preferences]

    def loss() -> Tensor:
        pixels = torch.cat([reward.preprocess(shown[name][None]) for name in both])
        images = reward.image_backbone(pixels)
        texts = reward.towers.text_backbone(reward.towers.tokenize(prompts))
        conditions = reward.towers.text_backbone(reward.towers.tokenize(asked))
        twice = torch.arange(len(pairs)).repeat(2)
        scores = reward.score_features(
            images, texts.rows(twice), conditions.rows(torch.tensor([0]))
        )
        first, second = scores.total.chunk(2)
        return preference_kl(first - second, torch.ones(len(pairs)))

    return loss


def nodes(scorer: Scorer[Any], pairs: Pairs) -> Callable[[], Tensor]:
    """A step of this package: every distinct picture and prompt once, then the edges."""
    batch = pairs.batch
    edges = batch.edges["overall"]
    loaded = scorer.load(batch) if isinstance(scorer, PixelScorer) else None

    def loss() -> Tensor:
        given = scorer.load(batch) if loaded is None else loaded
        return preference_kl(edges.margin(scorer.score(batch, given).total), edges.p_first)

    return loss


def kept(reward: Reward, pairs: Pairs, folder: Path) -> FeatureScorer:
    """The head alone, on states of the towers that lie on the disk."""
    compute = partial(autocast, "fp32", torch.device("cpu"))
    towers = towers_of(reward)
    learn(reward, {name for name, _ in reward.named_parameters()})  # the hash reads all
    pictures = PictureFeatures(reward.eval(), folder, towers, compute, "fp32")
    faults = pictures.survey(pairs.batch.pictures, 0, 1)
    assert not faults, faults
    texts = TextFeatures(reward, compute)
    texts.of(pairs.batch.prompts)
    return FeatureScorer(reward, pictures, texts)


def towers_of(reward: Reward) -> set[str]:
    learn(reward, {name for name, _ in reward.named_parameters()})
    return set().union(*tower_weights(reward))


def head_of(reward: Reward) -> set[str]:
    return {name for name, _ in reward.named_parameters()} - towers_of(reward)


def interleaved(ways: Sequence[Way], rounds: int) -> None:
    """A first step of each, which is not counted, then rounds in which all take turns."""
    for _ in range(rounds + 1):
        for way in ways:
            way.step()
    for way in ways:
        way.release()


def compared(first: Way, others: Mapping[str, Way]) -> dict[str, object]:
    """How many times faster the others are, in the rounds' ratios."""
    ratios = {name: Spread.of_ratios(first.seconds, way.seconds) for name, way in others.items()}
    return {
        "pairs_in_a_step": {way.name: len(way.pairs) for way in (first, *others.values())},
        "cpu_seconds_a_pair": {w.name: round(w.median, 6) for w in (first, *others.values())},
        "times_as_fast": {name: asdict(ratio) for name, ratio in ratios.items()},
    }
