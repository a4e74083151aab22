"""Whether two rewards differ in accuracy: the same pairs, the same prompts redrawn, sides swapped.

The interval redraws prompts for both rewards at once (paired bootstrap); the p-value swaps the two
rewards on whole prompts (Fisher's sign flips), and several comparisons are corrected by Holm
(1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums
from beholder.eval.preference import AnsweredPairs, Counting, ScoredPairs
from beholder.eval.protocols import earned_by_prompt, pair_credit, ratio, ratio_deviation

_CELLS = 2**22  # signs that are held at once
_EXACT = 12  # prompts up to which every swap is tried
FLIPS = 10_000
"""Random sign patterns of a p-value where there are too many to try all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The accuracy of one reward minus that of another, on the pairs that both could score.

    Attributes:
        first, second: the rewards.
        aspect: what was asked.
        accuracy_first, accuracy_second: on these pairs, so maybe not those of all pairs.
        difference: first minus second, in [-1, 1].
        low, high: its bootstrap interval over prompts.
        p: two-sided, of sign flips over prompts: how often a difference as large comes up if the
            two rewards were the same.
        p_holm: the same, corrected for all comparisons that were made together.
        pairs, prompts: that count.
        deviation: standard deviation of what a prompt adds to the difference; that of n prompts
            has the standard error deviation / sqrt(n). `beholder.eval.power` reads it.
        flips: sign patterns of which p is the share; 0 without a prompt on which the two differ.
        draws, seed: of the interval; the seed is that of the sign flips too.
        tie_threshold_first, tie_threshold_second: of the pickapic protocol; None for the others.
    """

    first: str
    second: str
    aspect: str
    accuracy_first: float
    accuracy_second: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    pairs: int
    prompts: int
    deviation: float
    flips: int
    draws: int
    seed: int
    tie_threshold_first: float | None = None
    tie_threshold_second: float | None = None

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def differences(
    scored: Mapping[str, ScoredPairs], countings: Mapping[str, Counting]
) -> list[Difference]:
    """The first reward against each other one, in every aspect, by one protocol.

    Args:
        scored: reward -> scores of the same preferences.
        countings: reward -> how it is counted: each has its own tie thresholds.

    Raises:
        ConfigError: if there are fewer than two rewards, or they are counted by two protocols.
        DataError: if they were scored on different preferences.
    """
    first, *others = scored
    _check(scored, countings)
    both = {name: _both(scored[first], scored[name]) for name in others}
    found = [
        _difference((first, name), aspect, scored, countings, both[name])
        for name in others
        for aspect in scored[first].answered()
    ]
    corrected = holm([each.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, corrected, strict=True)]


def sign_flip_p(values: Floats, *, draws: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p of the sum of values (groups,) that are as likely to have the other sign.

    All sign patterns are tried with up to 12 values that are not 0; otherwise `draws` random ones,
    with the pattern that was seen counted among them (Phipson and Smyth, 2010). 1 if all are 0,
    NaN without values.
    """
    if not len(values):
        return math.nan
    moving = values[values != 0]
    if not len(moving):
        return 1.0
    seen = abs(moving.sum()) * (1 - 1e-9)  # sums of the same numbers in another order
    if len(moving) <= _EXACT:
        bits = np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving)) & 1
        return float((np.abs((1 - 2 * bits) @ moving) >= seen).mean())
    extreme = sum(int((np.abs(some) >= seen).sum()) for some in _flipped(moving, draws, seed))
    return (extreme + 1) / (draws + 1)


def sign_patterns(values: Floats, *, draws: int = FLIPS) -> int:
    """How many patterns `sign_flip_p` tries of such values, the one that was seen among them."""
    moving = int((values != 0).sum())
    if not moving:
        return 0
    return int(2**moving) if moving <= _EXACT else draws + 1


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm, 1979); NaN stays, and is not one of them."""
    known = sorted((p, k) for k, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, k) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[k] = highest
    return corrected


def _difference(
    names: tuple[str, str],
    aspect: str,
    scored: Mapping[str, ScoredPairs],
    countings: Mapping[str, Counting],
    both: Sequence[int],
) -> Difference:
    sides = [scored[name].answers(aspect, both) for name in names]
    first, second = (
        _earned(side, countings[name], aspect) for side, name in zip(sides, names, strict=True)
    )
    counting = countings[names[0]]
    sums = np.column_stack([first, second[:, 0]])
    values, drawn = _parts(sums.sum(0, keepdims=True)), _parts(_redrawn(sums, counting))
    interval = percentile_interval(drawn[0] - drawn[1])
    gaps = first[:, 0] - second[:, 0]
    return Difference(
        first=names[0],
        second=names[1],
        aspect=aspect,
        accuracy_first=values[0].item(),
        accuracy_second=values[1].item(),
        difference=(values[0] - values[1]).item(),
        low=interval.low,
        high=interval.high,
        p=sign_flip_p(gaps, seed=counting.seed),
        p_holm=math.nan,
        pairs=_pairs(sides[0], counting),
        prompts=len(sums),
        deviation=ratio_deviation(gaps, first[:, 1]),
        flips=sign_patterns(gaps),
        draws=counting.draws,
        seed=counting.seed,
        tie_threshold_first=counting.tie_thresholds.get(aspect),
        tie_threshold_second=countings[names[1]].tie_thresholds.get(aspect),
    )


def _earned(pairs: AnsweredPairs, counting: Counting, aspect: str) -> Floats:
    return earned_by_prompt(
        pairs.margin,
        pairs.p_first,
        pairs.prompts,
        counting.protocol,
        counting.tie_thresholds.get(aspect),
        pairs.rankings,
    )


def _redrawn(sums: Floats, counting: Counting) -> Floats:
    return resampled_sums(sums, counting.draws, counting.seed)


def _parts(sums: Floats) -> tuple[Floats, Floats]:
    """Both accuracies of sums (draws, 3): earned by the first, counted, earned by the second."""
    return ratio(sums[:, :2]), ratio(sums[:, [2, 1]])


def _pairs(pairs: AnsweredPairs, counting: Counting) -> int:
    _, counts = pair_credit(pairs.margin, pairs.p_first, counting.protocol, 0.0)
    return int(counts.sum())


def _flipped(values: Floats, draws: int, seed: int) -> list[Floats]:
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(values))
    sizes = [min(chunk, draws - at) for at in range(0, draws, chunk)]
    return [
        (1.0 - 2.0 * generator.integers(0, 2, (size, len(values)), dtype=np.int8)) @ values
        for size in sizes
    ]


def _both(first: ScoredPairs, second: ScoredPairs) -> list[int]:
    """The preferences whose pictures both rewards could score."""
    return sorted(set(first.usable()) & set(second.usable()))


def _check(scored: Mapping[str, ScoredPairs], countings: Mapping[str, Counting]) -> None:
    if len(scored) < 2:
        raise ConfigError("a difference needs two rewards or more")
    protocols = {countings[name].protocol for name in scored}
    if len(protocols) > 1:
        raise ConfigError(
            f"numbers of two protocols cannot be compared, got {', '.join(sorted(protocols))}"
        )
    first, *others = scored.values()
    if any(other.preferences != first.preferences for other in others):
        raise DataError("the rewards were scored on different preferences; give all the same ones")
