"""How far annotators agree: Krippendorff's alpha, each against the others, and side bias."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from beholder.annotation.answers import DOUBTFUL, Answer, aspect_order, counted_answers
from beholder.errors import DataError
from beholder.types import Comparison

Level = Literal["nominal", "ordinal", "interval"]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AspectAgreement:
    """Agreement of all annotators in one aspect.

    Attributes:
        answers: answers that count.
        tasks: pairs with two answers or more, on which everything below rests.
        ties: share of ties among all answers.
        percent: share of agreeing pairs of answers, mean over tasks, in [0, 1].
        alpha_nominal, alpha_ordinal: Krippendorff's alpha: 1 perfect, 0 chance; NaN if no task
            was answered twice or all answers are equal.
    """

    answers: int
    tasks: int
    ties: float
    percent: float
    alpha_nominal: Interval
    alpha_ordinal: Interval


@dataclass(frozen=True, slots=True)
class PeerAgreement:
    """One annotator against the others: share of equal answers, mean over `tasks` shared ones."""

    agreement: float
    tasks: int


@dataclass(frozen=True, slots=True)
class SideBias:
    """Share of answers for the left picture among those that are no tie; 0.5 is no bias.

    The interval is Wilson's with a task as one observation, because answers to a task go together.
    """

    left: Interval
    answers: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """Agreement by aspect, by annotator (aspect inside), and side bias by aspect."""

    aspects: Mapping[str, AspectAgreement]
    annotators: Mapping[str, Mapping[str, PeerAgreement]]
    sides: Mapping[str, SideBias]

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values; null where a number is not defined."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def agreement(
    comparisons: Iterable[Comparison],
    *,
    right_first: Iterable[str] = (),
    exclude: Iterable[str] = DOUBTFUL,
    seed: int = 0,
) -> AgreementReport:
    """All that this module measures.

    `right_first` are keys whose first picture was shown on the right; `exclude` are flags whose
    comparisons do not count. The bootstrap draws tasks with `seed`.
    """
    answers = counted_answers(comparisons, exclude)
    swapped = frozenset(right_first)
    by_aspect: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_aspect[answer.aspect].append(answer)
    order = aspect_order(by_aspect)
    peers: defaultdict[str, dict[str, PeerAgreement]] = defaultdict(dict)
    for aspect in order:
        for annotator, peer in peer_agreement(by_aspect[aspect]).items():
            peers[annotator][aspect] = peer
    return AgreementReport(
        aspects={a: _aspect_agreement(by_aspect[a], seed) for a in order},
        annotators=dict(sorted(peers.items())),
        sides={a: side_bias(by_aspect[a], swapped) for a in order},
    )


def krippendorff_alpha(
    units: Sequence[Sequence[float]], level: Level = "nominal", *, draws: int = 0, seed: int = 0
) -> Interval:
    """Krippendorff's alpha = 1 - D_o / D_e of values by unit; a missing value is left out.

    Units with fewer than two values do not count. The interval is the 2.5th to 97.5th percentile
    over `draws` bootstrap samples of units, NaN without draws. alpha is NaN where D_e is 0.
    Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, sections C to E.
    """
    values, counts = _value_counts(units)
    kinds, numbers = np.unique(counts, axis=0, return_counts=True)  # equal units are exchangeable
    coincidences = _coincidences(kinds)
    (alpha,) = _alphas(_weighted(numbers[None], coincidences), values, level)
    if draws == 0 or len(counts) == 0:
        return Interval(float(alpha), math.nan, math.nan)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(counts), numbers / len(counts), size=draws)
    sampled = _alphas(_weighted(weights, coincidences), values, level)
    return Interval(float(alpha), *_percentiles(sampled))


def percent_agreement(units: Sequence[Sequence[float]]) -> float:
    """Share of agreeing pairs of values, mean over units with two or more; NaN without any."""
    shares = [_agreeing_share(unit) for unit in units if len(unit) > 1]
    return float(np.mean(shares)) if shares else math.nan


def peer_agreement(answers: Iterable[Answer]) -> dict[str, PeerAgreement]:
    """Annotator -> agreement with the others in one aspect; NaN if nobody shares a task.

    Answers of "unknown" annotators are compared with the others' but get no row of their own.
    """
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for unit in _by_pair(answers).values():
        for answer in unit:
            others = [o.value for o in unit if o is not answer]
            mine = shares[answer.annotator]
            mine += [others.count(answer.value) / len(others)] if others else []
    shares.pop("unknown", None)
    return {
        annotator: PeerAgreement(float(np.mean(mine)) if mine else math.nan, len(mine))
        for annotator, mine in shares.items()
    }


def side_bias(answers: Iterable[Answer], right_first: Iterable[str] = ()) -> SideBias:
    """How often the left picture wins in one aspect; see `agreement` for `right_first`."""
    swapped = frozenset(right_first)
    decided = [a for a in answers if a.value != 0]
    lefts = [(a.value == -1) != (a.pair.key in swapped) for a in decided]
    tasks = len({a.pair.key for a in decided})
    share = sum(lefts) / len(lefts) if lefts else math.nan
    return SideBias(wilson(share, tasks), len(decided), tasks)


def wilson(share: float, n: int) -> Interval:
    """95 % score interval of a share of `n` observations (Wilson, 1927); NaN if n is 0."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    z = 1.959963984540054
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return Interval(share, 0.0 if share == 0 else low, 1.0 if share == 1 else high)


def _aspect_agreement(answers: Sequence[Answer], seed: int) -> AspectAgreement:
    units = [[a.value for a in unit] for unit in _by_pair(answers).values()]
    return AspectAgreement(
        answers=len(answers),
        tasks=sum(len(unit) > 1 for unit in units),
        ties=sum(a.value == 0 for a in answers) / len(answers),
        percent=percent_agreement(units),
        alpha_nominal=krippendorff_alpha(units, "nominal", draws=1000, seed=seed),
        alpha_ordinal=krippendorff_alpha(units, "ordinal", draws=1000, seed=seed),
    )


def _by_pair(answers: Iterable[Answer]) -> dict[Hashable, list[Answer]]:
    units: defaultdict[Hashable, list[Answer]] = defaultdict(list)
    for answer in answers:
        units[answer.pair].append(answer)
    return dict(units)


def _agreeing_share(unit: Sequence[float]) -> float:
    agreeing = sum(n * (n - 1) for n in Counter(unit).values())
    return agreeing / (len(unit) * (len(unit) - 1))


def _value_counts(units: Sequence[Sequence[float]]) -> tuple[Floats, Integers]:
    """Distinct values in order, and how often each stands in each unit of two or more."""
    pairable = [unit for unit in units if len(unit) > 1]
    values = sorted({value for unit in pairable for value in unit})
    if not all(map(math.isfinite, values)):
        raise DataError("agreement needs finite values; leave a missing answer out")
    column = {value: k for k, value in enumerate(values)}
    counts = np.zeros((len(pairable), len(values)), dtype=np.int64)
    for row, unit in enumerate(pairable):
        for value in unit:
            counts[row, column[value]] += 1
    return np.array(values, dtype=np.float64), counts


def _coincidences(counts: Integers) -> Floats:
    """Each unit's coincidences o_ck (units, values, values)."""
    pairs = counts[:, :, None] * counts[:, None, :].astype(np.float64)
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    return np.asarray(pairs / (counts.sum(1) - 1)[:, None, None], dtype=np.float64)


def _weighted(weights: Integers, coincidences: Floats) -> Floats:
    """Sums of coincidences (draws, values, values), each kind of unit as often as drawn."""
    return np.tensordot(weights.astype(np.float64), coincidences, axes=1).astype(np.float64)


def _alphas(coincidences: Floats, values: Floats, level: Level) -> Floats:
    """Alpha of each coincidence matrix (draws, values, values)."""
    totals = coincidences.sum(2)
    n = totals.sum(1)
    distance = _squared_distance(totals, values, level)
    observed = (coincidences * distance).sum((1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha = 1 - (n - 1) * observed / expected
    return np.where(expected > 0, alpha, math.nan)


def _squared_distance(totals: Floats, values: Floats, level: Level) -> Floats:
    """delta^2 between values (draws, values, values); the ordinal one counts ranks between."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(values)), (len(totals), len(values), len(values)))
    if level == "interval":
        scale = np.broadcast_to(values, totals.shape)
    else:
        scale = totals.cumsum(1) - totals / 2
    return np.asarray((scale[:, :, None] - scale[:, None, :]) ** 2, dtype=np.float64)


def _percentiles(sampled: Floats) -> tuple[float, float]:
    finite = sampled[np.isfinite(sampled)]
    if len(finite) == 0:
        return math.nan, math.nan
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
