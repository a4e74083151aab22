"""How many prompts it takes: to tell two checkpoints or rewards apart, or to know an accuracy.

Everything is paired by prompt. With per-prompt differences of mean d and standard deviation s, a
two-sided t-test at level alpha tells them from 0 with probability `power` on about

    n = ((z_(1 - alpha/2) + z_power) s / d)^2 + z_(1 - alpha/2)^2 / 2

prompts, where the second term makes up for the unknown s (Guenther, 1981, The American Statistician
35, 243-244). d and s are themselves estimates: what is needed has an interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums
from beholder.eval.ranking import prompt_means

_NORMAL = NormalDist()
_LEAST = 2
"""Prompts without which there is no standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """How sure an answer must be.

    Attributes:
        alpha: how often two equal sides may be called different, in (0, 1).
        power: how often two different sides must be told apart, in (alpha, 1).

    Raises ConfigError if a value is out of range.
    """

    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and self.alpha < self.power < 1):
            raise ConfigError(
                f"alpha is {self.alpha} and power {self.power}; expected 0 < alpha < power < 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A paired difference of two sides.

    Attributes:
        first, second: checkpoints or rewards.
        of: what is compared: a score column or an aspect.
        difference: mean over prompts of first minus second; NaN without a shared prompt.
        low, high: its 95 % bootstrap interval over prompts.
        deviation: standard deviation of what a prompt adds to the difference.
        prompts: how many there are now.
    """

    first: str
    second: str
    of: str
    difference: float
    low: float
    high: float
    deviation: float
    prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed(Gap):
    """How many prompts tell two sides apart.

    Attributes:
        power_now: the probability that so many prompts tell this difference from 0.
        needed: prompts for the wanted power; None if no number does, or it cannot be known.
        needed_low, needed_high: the same for the largest and the smallest difference in the
            interval; None if that holds 0, for then it may take any number.
        smallest: the smallest difference that the prompts of now tell with the wanted power.
        words: the answer in a sentence.
    """

    power_now: float
    needed: int | None
    needed_low: int | None
    needed_high: int | None
    smallest: float
    words: str

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How many prompts fix one reward's accuracy to within some margin.

    Attributes:
        of: the aspect.
        accuracy: now.
        prompts: now; `within_now` is the half width of their 95 % interval, by the normal formula.
        within: the wanted half width.
        needed: prompts for it; None if it cannot be known.
    """

    of: str
    accuracy: float
    prompts: int
    within_now: float
    within: float
    needed: int | None

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def prompts_needed(
    difference: float, deviation: float, certainty: Certainty | None = None
) -> int | None:
    """Prompts on which a paired two-sided t-test tells `difference` from 0, at least 2.

    None if the difference is 0 or a number is not known: no number of prompts is enough.
    """
    sure = certainty or Certainty()
    if not (math.isfinite(difference) and math.isfinite(deviation)) or difference == 0:
        return None
    z = _two_sided(sure.alpha)
    spread = (z + _NORMAL.inv_cdf(sure.power)) * deviation / difference
    return _whole(spread**2 + z**2 / 2)


def power_of(difference: float, deviation: float, prompts: int, alpha: float = 0.05) -> float:
    """The probability, in [0, 1], that a paired t-test of `prompts` tells `difference` from 0.

    alpha where there is no difference; NaN with fewer than two prompts or an unknown number.
    """
    if prompts < _LEAST or math.isnan(difference) or math.isnan(deviation):
        return math.nan
    if deviation == 0:
        return alpha if difference == 0 else 1.0
    z = _two_sided(alpha)
    shift = abs(difference) / deviation * math.sqrt(max(prompts - z**2 / 2, 0.0))
    return _NORMAL.cdf(shift - z) + _NORMAL.cdf(-shift - z)


def smallest_difference(
    deviation: float, prompts: int, certainty: Certainty | None = None
) -> float:
    """The smallest difference that so many prompts tell with the wanted power; infinite if none."""
    sure = certainty or Certainty()
    z = _two_sided(sure.alpha)
    if math.isnan(deviation) or prompts < _LEAST:
        return math.nan
    worth = prompts - z**2 / 2
    return (
        (z + _NORMAL.inv_cdf(sure.power)) * deviation / math.sqrt(worth) if worth > 0 else math.inf
    )


def prompts_within(deviation: float, within: float, level: float = 0.95) -> int | None:
    """Prompts whose interval reaches no further than `within` to each side, at least 2.

    None if the deviation is not known. Raises ConfigError if `within` is not positive.
    """
    if not within > 0:
        raise ConfigError(f"within is {within}; give a half width above 0, such as 0.02")
    if not math.isfinite(deviation):
        return None
    z = _two_sided(1 - level)
    return _whole((z * deviation / within) ** 2 + z**2 / 2)


def checkpoint_power(
    columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
    *,
    score: str,
    by: str = "model",
    prompt: str = "prompt",
    certainty: Certainty | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> list[Needed]:
    """How many prompts tell every two checkpoints of a score table apart by their mean score.

    Arguments as of `beholder.eval.ranking.rank`; a prompt with several pictures of a checkpoint
    counts with their mean, so what is needed are prompts with as many pictures.

    Raises:
        ConfigError: if a column is not there.
        DataError: if fewer than two checkpoints have scores.
    """
    names, means = prompt_means(columns, score=score, by=by, prompt=prompt)
    found = []
    for i, j in combinations(range(len(names)), 2):
        gaps = means[:, i] - means[:, j]
        gap = _gap((names[i], names[j]), score, gaps[np.isfinite(gaps)], draws, seed)
        found.append(needed(gap, certainty))
    return found


def needed(gap: Gap, certainty: Certainty | None = None) -> Needed:
    """What a paired difference and its deviation say about the prompts that would tell it."""
    sure = certainty or Certainty()
    largest = max(abs(gap.low), abs(gap.high))
    least = 0.0 if gap.low <= 0 <= gap.high else min(abs(gap.low), abs(gap.high))
    count = prompts_needed(gap.difference, gap.deviation, sure)
    power = power_of(gap.difference, gap.deviation, gap.prompts, sure.alpha)
    return Needed(
        **asdict(gap),
        power_now=power,
        needed=count,
        needed_low=prompts_needed(largest, gap.deviation, sure),
        needed_high=prompts_needed(least, gap.deviation, sure),
        smallest=smallest_difference(gap.deviation, gap.prompts, sure),
        words=_words(gap, count, power, sure),
    )


def evaluation_power(
    record: Mapping[str, Any], *, within: float = 0.02, certainty: Certainty | None = None
) -> tuple[list[Width], list[Needed]]:
    """What a record of `evaluation.json` says: prompts for each accuracy, and for each difference.

    Raises DataError if the record holds no deviations.
    """
    try:
        widths = [_width(name, said, within) for name, said in record["aspects"].items()]
        gaps = [_told(said) for said in record.get("differences", ())]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the evaluation holds no deviations over prompts ({error!r}); evaluate it again"
        ) from error
    return widths, [needed(gap, certainty) for gap in gaps]


def _gap(names: tuple[str, str], of: str, gaps: Floats, draws: int, seed: int) -> Gap:
    """What the differences of two checkpoints on the prompts of both say."""
    low = high = math.nan
    if len(gaps):
        interval = percentile_interval(resampled_sums(gaps[:, None], draws, seed)[:, 0] / len(gaps))
        low, high = interval.low, interval.high
    return Gap(
        first=names[0],
        second=names[1],
        of=of,
        difference=float(gaps.mean()) if len(gaps) else math.nan,
        low=low,
        high=high,
        deviation=float(gaps.std(ddof=1)) if len(gaps) >= _LEAST else math.nan,
        prompts=len(gaps),
    )


def _width(aspect: str, said: Mapping[str, Any], within: float) -> Width:
    deviation, prompts = _number(said["deviation"]), int(said["prompts"])
    return Width(
        of=aspect,
        accuracy=_number(said["accuracy"]),
        prompts=prompts,
        within_now=_two_sided(0.05) * deviation / math.sqrt(prompts) if prompts else math.nan,
        within=within,
        needed=prompts_within(deviation, within),
    )


def _told(said: Mapping[str, Any]) -> Gap:
    return Gap(
        first=str(said["first"]),
        second=str(said["second"]),
        of=str(said["aspect"]),
        difference=_number(said["difference"]),
        low=_number(said["low"]),
        high=_number(said["high"]),
        deviation=_number(said["deviation"]),
        prompts=int(said["prompts"]),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _two_sided(alpha: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2)


def _whole(prompts: float) -> int:
    return max(_LEAST, math.ceil(prompts - 1e-9))


def _words(gap: Gap, count: int | None, power: float, sure: Certainty) -> str:
    pair = f"{gap.first} and {gap.second}"
    if gap.prompts < _LEAST:
        return (
            f"{pair} share {gap.prompts} prompts with a score; two or more are needed to say "
            "anything"
        )
    if count is None:
        return (
            f"{pair} do not differ on average over {gap.prompts} prompts; no number of prompts "
            "tells them apart by this"
        )
    told = "are enough" if gap.prompts >= count else "are too few"
    doubt = (
        "; but these prompts do not even tell which is better, so it may take any number"
        if gap.low <= 0 <= gap.high
        else ""
    )
    return (
        f"{pair}: {count} prompts tell a difference of {abs(gap.difference):.3g} apart with "
        f"probability {sure.power:g} at alpha {sure.alpha:g}; {gap.prompts} {told} "
        f"({power:.2f} now){doubt}"
    )
