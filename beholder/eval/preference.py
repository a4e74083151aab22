"""How often a reward prefers the picture that people prefer, by three published protocols.

- imagereward (Xu et al., NeurIPS 2023; MPS and HPSv2 report it too): correct pairs over all pairs
  on which people are not tied; an equal prediction is wrong.
- hpdv2 (Wu et al., 2023): 1 - inversions / pairs for each prompt, then the mean over prompts; only
  opposite strict orders are inversions, so a tie on either side costs nothing.
- pickscore (Kirstain et al., NeurIPS 2023): a tie is predicted if |p1 - p0| <= t, where p is the
  softmax of the two scores; a pair counts 1 if the answers agree, 1/2 if one of them is a tie and
  the other is not, 0 if they are opposite. t is given or chosen on validation pairs.

Intervals redraw prompts. The numbers of two protocols cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL, Floats, percentile_interval, resampled_sums
from beholder.types import Edges, Preference, Scores

TIE_THRESHOLDS = tuple(k / 10 for k in range(11))
"""From which the pickscore protocol chooses."""

ProtocolName = Literal["imagereward", "hpdv2", "pickscore"]
"""What typed configurations write; the functions take any text and refuse what is unknown."""
PROTOCOLS: Mapping[str, str] = {
    "imagereward": "pairs ordered as people order them / pairs without a human tie; "
    "an equal prediction is wrong; micro average",
    "hpdv2": "1 - strict inversions / pairs for each prompt, mean over prompts; ties cost nothing",
    "pickscore": "1 if tie or order agree, 0.5 if only one side is a tie, 0 if opposite; "
    "predicted tie if |p1 - p0| <= tie_threshold; micro average",
}
"""Name of each protocol, and what it counts."""


@runtime_checkable
class PictureScorer(Protocol):
    """Whatever scores pictures for prompts; every `beholder.Reward` does."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """Scores of pictures, one prompt each; failures in `Scores.errors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Pair accuracy of one aspect.

    Attributes:
        accuracy: by the protocol, in [0, 1]; NaN if no pair counts.
        low, high: its bootstrap interval over prompts.
        pairs: pairs that count in the accuracy.
        prompts: groups that were redrawn.
        human_ties, equal_scores: pairs on which people, or the scores, are exactly tied.
        log_loss: mean of -p log q - (1 - p) log(1 - q) in nats over all pairs, ties included,
            where q = sigmoid(s1 - s2) and p is the share of people for the first; log 2 is chance.
        tie_threshold: of the pickscore protocol; None for the others.
    """

    accuracy: float
    low: float
    high: float
    pairs: int
    prompts: int
    human_ties: int
    equal_scores: int
    log_loss: float
    tie_threshold: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Pair accuracy of every aspect that people answered, with the protocol that gave it.

    Attributes:
        protocol, meaning: the protocol's name and what it counts.
        aspects: aspect -> accuracy.
        scored_by: aspect -> which score decided: the aspect's own or "total".
        level, draws, seed: of the bootstrap over prompts.
        pictures: distinct pairs of picture and prompt that were scored.
        unreadable: picture -> why it has no score; its pairs do not count.
        pairs_left_out: pairs with such a picture.
    """

    protocol: str
    meaning: str
    aspects: Mapping[str, Accuracy]
    scored_by: Mapping[str, str]
    level: float
    draws: int
    seed: int
    pictures: int
    unreadable: Mapping[str, str]
    pairs_left_out: int

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def evaluate(
    reward: PictureScorer,
    preferences: Sequence[Preference],
    *,
    protocol: str = "imagereward",
    tie_threshold: float | None = None,
    validation: Sequence[Preference] = (),
    draws: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Pair accuracy of a reward on people's preferences, each picture scored once a prompt.

    An aspect is judged by the reward's score of that name, or by its total if it has none.

    Args:
        reward: scores pictures for prompts.
        preferences: what people prefer; their pictures are paths.
        protocol: "imagereward", "hpdv2" or "pickscore"; see the top of this file.
        tie_threshold: of the pickscore protocol.
        validation: or preferences on which it is chosen for each aspect.
        draws: how often prompts are redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if the protocol is unknown, or pickscore has neither threshold nor validation.
        DataError: if there is no preference.
    """
    _check(protocol, tie_threshold, validation)
    graph = _score(reward, preferences)
    tuning = _score(reward, validation) if validation else None
    aspects = {}
    for aspect in graph.answered():
        if tuning is not None:
            tie_threshold = choose_tie_threshold(*tuning.margins(aspect)[:2])
        aspects[aspect] = pair_accuracy(
            *graph.margins(aspect), protocol, tie_threshold, draws=draws, seed=seed
        )
    return Evaluation(
        protocol=protocol,
        meaning=PROTOCOLS[protocol],
        aspects=aspects,
        scored_by={a: a if a in graph.scores.aspects else "total" for a in aspects},
        level=LEVEL,
        draws=draws,
        seed=seed,
        pictures=len(graph.scores),
        unreadable=graph.unreadable(),
        pairs_left_out=len(preferences) - len(graph.usable()),
    )


def pair_accuracy(
    margin: Floats,
    p_first: Floats,
    prompts: Sequence[Hashable],
    protocol: str = "imagereward",
    tie_threshold: float | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Accuracy:
    """Accuracy of score differences `s_first - s_second` (pairs,) on the share of people `p_first`.

    Raises:
        ConfigError: if the protocol is unknown or pickscore has no threshold.
        DataError: if the numbers of margins, preferences and prompts differ.
    """
    if not len(margin) == len(p_first) == len(prompts):
        raise DataError(
            f"{len(margin)} margins, {len(p_first)} preferences and {len(prompts)} prompts; "
            "give one of each for every pair"
        )
    credit, counts = pair_credit(margin, p_first, protocol, tie_threshold)
    sums = _prompt_sums(credit, counts, prompts, mean_of_prompts=protocol == "hpdv2")
    interval = percentile_interval(_ratio(resampled_sums(sums, draws, seed)))
    return Accuracy(
        accuracy=_ratio(sums.sum(0, keepdims=True)).item(),
        low=interval.low,
        high=interval.high,
        pairs=int(counts.sum()),
        prompts=len(sums),
        human_ties=int((p_first == 0.5).sum()),
        equal_scores=int((margin == 0).sum()),
        log_loss=log_loss(margin, p_first),
        tie_threshold=tie_threshold if protocol == "pickscore" else None,
    )


def pair_credit(
    margin: Floats, p_first: Floats, protocol: str, tie_threshold: float | None
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What each pair earns, in [0, 1], and whether it counts, by a protocol."""
    human, model = np.sign(p_first - 0.5), np.sign(margin)
    _check_protocol(protocol)
    if protocol == "imagereward":
        counts = human != 0
        return np.where(counts & (human == model), 1.0, 0.0), counts
    everything = np.ones(len(margin), dtype=bool)
    if protocol == "hpdv2":
        return 1.0 - (human * model < 0), everything
    if tie_threshold is None:
        raise ConfigError(
            "the pickscore protocol needs tie_threshold or validation preferences, one of them"
        )
    return _tie_aware(margin, human, tie_threshold), everything


def choose_tie_threshold(margin: Floats, p_first: Floats) -> float:
    """The threshold in `TIE_THRESHOLDS` with the best pickscore accuracy; the smallest of equals.

    Raises DataError if there is no pair.
    """
    if not len(margin):
        raise DataError("no validation pair has an answer; the tie threshold cannot be chosen")
    human = np.sign(p_first - 0.5)
    return max(TIE_THRESHOLDS, key=lambda t: (_tie_aware(margin, human, t).mean(), -t))


def log_loss(margin: Floats, p_first: Floats) -> float:
    """Mean cross-entropy of sigmoid(margin) on soft preferences, in nats; NaN without pairs."""
    if not len(margin):
        return math.nan
    losses = p_first * np.logaddexp(0, -margin) + (1 - p_first) * np.logaddexp(0, margin)
    return float(losses.mean())


def _tie_aware(margin: Floats, human: Floats, threshold: float) -> Floats:
    # |p1 - p0| of a softmax of two is tanh(|s1 - s0| / 2)
    model = np.where(np.tanh(np.abs(margin) / 2) <= threshold, 0.0, np.sign(margin))
    earned: Floats = 1.0 - np.abs(human - model) / 2
    return earned


def _prompt_sums(
    credit: Floats,
    counts: npt.NDArray[np.bool_],
    prompts: Sequence[Hashable],
    *,
    mean_of_prompts: bool,
) -> Floats:
    """Numerator and denominator of the accuracy for each prompt with a pair that counts, (g, 2)."""
    number: dict[Hashable, int] = {}
    group = np.array([number.setdefault(p, len(number)) for p in prompts], dtype=np.int64)
    earned = np.bincount(group, credit * counts, minlength=len(number))
    pairs = np.bincount(group[counts], minlength=len(number))
    sums = np.stack([earned, pairs], axis=1).astype(np.float64)[pairs > 0]
    return np.divide(sums, sums[:, 1:]) if mean_of_prompts else sums


def _ratio(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        ratio: Floats = sums[:, 0] / sums[:, 1]
    return ratio


@dataclass(frozen=True, slots=True)
class _Graph:
    """Scores of the distinct pictures of preferences, and where each preference finds its two."""

    preferences: Sequence[Preference]
    nodes: Sequence[tuple[str, str]]
    scores: Scores
    pairs: Sequence[tuple[int, int]]

    def answered(self) -> list[str]:
        return list(dict.fromkeys(aspect for p in self.preferences for aspect in p.p_first))

    def unreadable(self) -> dict[str, str]:
        return {self.nodes[row][0]: why for row, why in self.scores.errors.items()}

    def usable(self) -> list[int]:
        bad = self.scores.errors
        return [k for k, (i, j) in enumerate(self.pairs) if i not in bad and j not in bad]

    def margins(self, aspect: str) -> tuple[Floats, Floats, list[str]]:
        """Score differences, human shares and prompts of the usable pairs with an answer."""
        rows = [k for k in self.usable() if aspect in self.preferences[k].p_first]
        values = self.scores.aspects.get(aspect, self.scores.total)
        chosen = [self.preferences[k] for k in rows]
        p_first = np.array([p.p_first[aspect] for p in chosen], dtype=np.float64)
        edges = Edges.from_pairs([self.pairs[k] for k in rows], p_first.tolist())
        margin: Floats = edges.margin(values.double()).numpy()
        return margin, p_first, [p.prompt for p in chosen]


def _score(reward: PictureScorer, preferences: Sequence[Preference]) -> _Graph:
    if not preferences:
        raise DataError("there is no preference to evaluate on")
    row: dict[tuple[str, str], int] = {}
    pairs = [
        (
            row.setdefault((p.first, p.prompt), len(row)),
            row.setdefault((p.second, p.prompt), len(row)),
        )
        for p in preferences
    ]
    nodes = list(row)
    scores = reward.score([image for image, _ in nodes], [prompt for _, prompt in nodes]).detach()
    return _Graph(preferences, nodes, scores, pairs)


def _check(protocol: str, tie_threshold: float | None, validation: Sequence[Preference]) -> None:
    _check_protocol(protocol)
    if protocol != "pickscore" and (tie_threshold is not None or validation):
        raise ConfigError(f"the {protocol} protocol takes no tie threshold and no validation")
    if protocol == "pickscore" and (tie_threshold is None) == (not validation):
        raise ConfigError(
            "the pickscore protocol needs tie_threshold or validation preferences, one of them"
        )


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no protocol named {protocol!r}; known: {', '.join(PROTOCOLS)}")
