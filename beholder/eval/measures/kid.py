"""Kernel Inception Distance, by subsets and over all pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.kernel import Discrepancy, SubsetKID, kid, kid_subsets
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import assumed, known
from beholder.eval.measures._ranges import at_least, check_groups, one_of
from beholder.eval.measures._rows import Ends, ends_of, inception, jackknife_of, present

_SEEDS = 2**32
"""How many there are of `RandomState`, which published subsets are drawn by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of KID.

    Attributes:
        subsets: how many are drawn.
        size: pictures of a subset.
        seed: of the draws, 2020 as in torch-fidelity.
        shrink: take smaller subsets where there are fewer pictures; the figure then says so.
        exact: also compute KID over all pairs, which the intervals come from.
        groups: of the jackknife; 0 for no interval.
        resize: how pictures come to the size of the network.
    """

    subsets: int = 100
    size: int = 1000
    seed: int = 2020
    shrink: bool = False
    exact: bool = True
    groups: int = 10
    resize: str = "tf1"

    def __post_init__(self) -> None:
        at_least(1, subsets=self.subsets)
        at_least(2, size=self.size)
        if not 0 <= self.seed < _SEEDS:
            raise ConfigError(f"seed must be from 0 to {_SEEDS - 1}, got {self.seed}")
        check_groups(self.groups)
        one_of(RESIZES, resize=self.resize)


def needs(options: Options) -> list[Need]:
    """The pool features of Inception."""
    return [inception("2048", options.resize)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The mean over subsets as "kid", and "kid_exact" over all pairs unless it was left out."""
    real = present(real, "kid")
    (need,) = needs(options)
    first, second = real.features_of(need, "kid"), fake.features_of(need, "kid")
    whole = kid(first.values, second.values, groups=options.groups) if options.exact else None
    by_subsets = _by_subsets(first, second, whole, options)
    return [by_subsets] if whole is None else [by_subsets, _exact(first, second, whole)]


def _exact(real: Features, fake: Features, found: Discrepancy) -> Measurement:
    ends = ends_of(found.jackknife, jackknife_of(found))
    return Measurement(
        metric="kid_exact",
        value=found.value,
        low=ends.low,
        high=ends.high,
        interval=ends.interval,
        real=found.real,
        fake=found.fake,
        protocol={**known(real.origin, fake.origin).as_dict(), "estimator": "all pairs"},
        details={**ends.details, **assumed(real.origin, fake.origin)},
    )


def _by_subsets(
    real: Features, fake: Features, whole: Discrepancy | None, options: Options
) -> Measurement:
    """The figure as published; without a value, and with the reason, if there are too few rows."""
    least = min(len(real.values), len(fake.values))
    if least < options.size and not options.shrink:
        return replace(
            _subsets_of(options.size, real, fake, options), why=_too_few(options.size, least)
        )
    try:
        found = kid_subsets(
            real.values,
            fake.values,
            subsets=options.subsets,
            size=options.size,
            seed=options.seed,
            shrink=options.shrink,
        )
    except DataError as error:
        return replace(_subsets_of(options.size, real, fake, options), why=str(error))
    ends = _around(found, whole)
    return replace(
        _subsets_of(found.size, real, fake, options),
        value=found.mean,
        low=ends.low,
        high=ends.high,
        interval=ends.interval,
        details={"deviation": found.deviation, **assumed(real.origin, fake.origin)},
    )


def _too_few(size: int, least: int) -> str:
    return (
        f"subsets of {size} rows cannot be drawn from {least}; give more pictures, or take smaller "
        f"subsets with --set kid.size={least} or --set kid.shrink=true, and say so beside the "
        "figure"
    )


def _subsets_of(size: int, real: Features, fake: Features, options: Options) -> Measurement:
    return Measurement(
        metric="kid",
        value=None,
        real=len(real.values),
        fake=len(fake.values),
        protocol={
            **known(real.origin, fake.origin).as_dict(),
            "estimator": f"{options.subsets} subsets of {size}",
            "seed": options.seed,
        },
        details=assumed(real.origin, fake.origin),
    )


def _around(found: SubsetKID, whole: Discrepancy | None) -> Ends:
    """The interval of all pairs, and what the draws of subsets add."""
    if whole is None or whole.jackknife is None:
        return Ends()
    drawn = 1.96 * found.deviation / math.sqrt(len(found.values))
    reach = math.hypot(whole.jackknife.high - whole.value, drawn)
    return Ends(
        low=found.mean - reach,
        high=found.mean + reach,
        interval=f"{jackknife_of(whole)}, and the draws of the subsets",
    )


MEASURE = Measure(
    title="Kernel Inception Distance",
    definition=(
        "unbiased squared maximum mean discrepancy of Inception features with the kernel "
        "(x·y/d + 1)³, mean over random subsets, or over all pairs (Bińkowski et al., 2018)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
)
