"""How pairs are counted: the published protocols, as pure functions of score differences.

- imagereward (Xu et al., NeurIPS 2023; MPS's evaluation of it too): correct pairs over all pairs on
  which people are not tied; an equal prediction is wrong.
- hpdv2 (Wu et al., 2023; MPS's evaluation of it): 1 - inversions / (n (n - 1) / 2) for each ranking
  of n pictures, then the mean over rankings; only opposite strict orders are inversions, so a tie
  on either side costs nothing. Wu et al. sort equal scores in some order first.
- pickapic (Kirstain et al., NeurIPS 2023): a tie is predicted if |p1 - p0| <= t, where p is the
  softmax of the two scores; a pair counts 1 if the answers agree, 1/2 if one of them is a tie and
  the other is not, 0 if they are opposite. t is given or chosen on validation pairs.
- mhp (Zhang et al., CVPR 2024): each dimension apart, counted as imagereward.

Intervals redraw prompts. The numbers of two protocols cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums

TIE_THRESHOLDS = tuple(k / 10 for k in range(11))
"""From which the pickapic protocol chooses."""

ProtocolName = Literal["imagereward", "hpdv2", "pickapic", "mhp"]
"""What typed configurations write; the functions take any text and refuse what is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairProtocol:
    """One way to count.

    Attributes:
        name: what it is asked for by.
        version: moves when the same pairs and scores would give another number.
        meaning: what it counts, in a phrase.
        rankings: whether the mean is over rankings; otherwise over pairs.
        ties: whether a tie can be predicted, by a threshold; then pairs tied by people count.
    """

    name: str
    version: int = 1
    meaning: str
    rankings: bool = False
    ties: bool = False

    @property
    def id(self) -> str:
        """What stands beside every number: the name and the version, such as "hpdv2/1"."""
        return f"{self.name}/{self.version}"


_STRICT = (
    "pairs ordered as people order them / pairs without a human tie; "
    "an equal prediction is wrong; micro average"
)
PROTOCOLS: Mapping[str, PairProtocol] = {
    protocol.name: protocol
    for protocol in (
        PairProtocol(name="imagereward", meaning=_STRICT),
        PairProtocol(
            name="hpdv2",
            meaning="1 - strict inversions / pairs for each ranking, mean over rankings; "
            "ties cost nothing",
            rankings=True,
        ),
        PairProtocol(
            name="pickapic",
            meaning="1 if tie or order agree, 0.5 if only one side is a tie, 0 if opposite; "
            "predicted tie if |p1 - p0| <= tie_threshold; micro average",
            ties=True,
        ),
        PairProtocol(name="mhp", meaning=f"each dimension apart: {_STRICT}"),
    )
}
"""Name of each protocol, and what it counts."""


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
        mean_of_prompts: the accuracy if each prompt weighs as much as another, whatever its pairs.
            The code of HPSv2 averages ImageReward's test set so.
        deviation: standard deviation of what a prompt adds to the accuracy: that of n prompts has
            the standard error deviation / sqrt(n). NaN with fewer than two prompts.
        tie_threshold: of the pickapic protocol; None for the others.
    """

    accuracy: float
    low: float
    high: float
    pairs: int
    prompts: int
    human_ties: int
    equal_scores: int
    log_loss: float
    mean_of_prompts: float = math.nan
    deviation: float = math.nan
    tie_threshold: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def protocol_named(name: str) -> PairProtocol:
    """The protocol of that name; ConfigError if there is none."""
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol named {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def pair_accuracy(
    margin: Floats,
    p_first: Floats,
    prompts: Sequence[Hashable],
    protocol: str = "imagereward",
    tie_threshold: float | None = None,
    *,
    rankings: Sequence[Hashable] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Accuracy:
    """Accuracy of score differences `s_first - s_second` (pairs,) on the share of people `p_first`.

    Args:
        margin: score differences.
        p_first: the share of people who prefer the first.
        prompts: of each pair; they are redrawn.
        protocol: one of `PROTOCOLS`.
        tie_threshold: of the pickapic protocol.
        rankings: to which each pair belongs, each of one prompt; None: one for each prompt.
        draws: how often prompts are redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if the protocol is unknown, or pickapic has no threshold in [0, 1].
        DataError: if the numbers of margins, preferences and prompts differ.
    """
    if not len(margin) == len(p_first) == len(prompts):
        raise DataError(
            f"{len(margin)} margins, {len(p_first)} preferences and {len(prompts)} prompts; "
            "give one of each for every pair"
        )
    kind = protocol_named(protocol)
    credit, counts = pair_credit(margin, p_first, protocol, tie_threshold)
    by_prompt = pair_sums(credit, counts, prompts)
    sums = earned_by_prompt(margin, p_first, prompts, protocol, tie_threshold, rankings)
    interval = percentile_interval(ratio(resampled_sums(sums, draws, seed)))
    return Accuracy(
        accuracy=ratio(sums.sum(0, keepdims=True)).item(),
        low=interval.low,
        high=interval.high,
        pairs=int(counts.sum()),
        prompts=len(sums),
        human_ties=int((p_first == 0.5).sum()),
        equal_scores=int((margin == 0).sum()),
        log_loss=log_loss(margin, p_first),
        mean_of_prompts=float(ratio(by_prompt).mean()) if len(by_prompt) else math.nan,
        deviation=ratio_deviation(sums[:, 0], sums[:, 1]),
        tie_threshold=tie_threshold if kind.ties else None,
    )


def pair_credit(
    margin: Floats, p_first: Floats, protocol: str, tie_threshold: float | None
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What each pair earns, in [0, 1], and whether it counts, by a protocol."""
    human, model = np.sign(p_first - 0.5), np.sign(margin)
    kind = protocol_named(protocol)
    everything = np.ones(len(margin), dtype=bool)
    if kind.rankings:
        return 1.0 - (human * model < 0), everything
    if kind.ties:
        if tie_threshold is None:
            raise ConfigError(NEEDS_THRESHOLD)
        if not 0 <= tie_threshold <= 1:
            raise ConfigError(f"tie_threshold is {tie_threshold}; |p1 - p0| lies in [0, 1]")
        return _tie_aware(margin, human, tie_threshold), everything
    counts = human != 0
    return np.where(counts & (human == model), 1.0, 0.0), counts


NEEDS_THRESHOLD = "the pickapic protocol needs tie_threshold or validation preferences, one of them"
"""What is said where neither, or both, were given."""


def choose_tie_threshold(margin: Floats, p_first: Floats) -> float:
    """The threshold in `TIE_THRESHOLDS` with the best pickapic accuracy; the smallest of equals.

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


def pair_sums(credit: Floats, counts: npt.NDArray[np.bool_], groups: Sequence[Hashable]) -> Floats:
    """What is earned and how many pairs count, for each group with a pair that counts (g, 2)."""
    index, known = _numbered(groups)
    earned = np.bincount(index, credit * counts, minlength=known)
    pairs = np.bincount(index, counts, minlength=known)
    return np.stack([earned, pairs], axis=1).astype(np.float64)[pairs > 0]


def earned_by_prompt(
    margin: Floats,
    p_first: Floats,
    prompts: Sequence[Hashable],
    protocol: str,
    tie_threshold: float | None = None,
    rankings: Sequence[Hashable] | None = None,
) -> Floats:
    """What each prompt's pairs, or rankings, earn, and how many count (g, 2).

    Rows are prompts with something that counts, which people alone decide: those of two rewards
    on the same pairs are the same. Columns as in `pair_accuracy`; the accuracy is the ratio of
    their sums.
    """
    credit, counts = pair_credit(margin, p_first, protocol, tie_threshold)
    if not protocol_named(protocol).rankings:
        return pair_sums(credit, counts, prompts)
    names = prompts if rankings is None else rankings
    owner = dict(zip(names, prompts, strict=True))
    accuracies = ratio(pair_sums(credit, counts, names))
    return pair_sums(accuracies, np.ones(len(accuracies), dtype=bool), list(owner.values()))


def ratio(sums: Floats) -> Floats:
    """The first column over the second; NaN where that is 0."""
    with np.errstate(invalid="ignore"):
        quotient: Floats = sums[:, 0] / sums[:, 1]
    return quotient


def ratio_deviation(earned: Floats, counted: Floats) -> float:
    """Standard deviation over groups of what each adds to sum(earned) / sum(counted).

    That of the linearised ratio, (earned - ratio * counted) / mean(counted) (Cochran, 1977,
    section 2.11), so that the ratio of n groups has the standard error deviation / sqrt(n). NaN
    with fewer than two groups.
    """
    if len(counted) < 2:
        return math.nan
    added = (earned - earned.sum() / counted.sum() * counted) / counted.mean()
    return float(added.std(ddof=1))


def _tie_aware(margin: Floats, human: Floats, threshold: float) -> Floats:
    # |p1 - p0| of a softmax of two is tanh(|s1 - s0| / 2)
    model = np.where(np.tanh(np.abs(margin) / 2) <= threshold, 0.0, np.sign(margin))
    earned: Floats = 1.0 - np.abs(human - model) / 2
    return earned


def _numbered(groups: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(g, len(number)) for g in groups], dtype=np.int64)
    return index, len(number)
