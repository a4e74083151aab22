"""The recipes as rows of the table of all benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums
from beholder.eval.protocols import ratio
from benchmarks._record import Row, Spread

UNTRAINED = "CLIPScore-style, untrained"
DRAWS = 2000
_ASPECT = "overall"


def share(sums: Floats) -> Spread:
    """Of what was to be earned, from sums by prompt (g, 2), with its 95 % interval over prompts."""
    interval = percentile_interval(ratio(resampled_sums(sums, DRAWS, 0)))
    return Spread(ratio(sums.sum(0, keepdims=True)).item(), interval.low, interval.high)


def rows(figures: Mapping[str, Mapping[str, Floats]], names: Iterable[str], how: str) -> list[Row]:
    """What each recipe earns on held-out pairs, beside the same towers without training.

    `how` says what was learned from, and how long.
    """
    base = share(figures[UNTRAINED][_ASPECT]).median
    found = {name: share(figures[name][_ASPECT]) for name in names}
    return [
        Row(
            area="training",
            what=f"{name}: held-out pairs in the annotators' order, {_ASPECT}; {how}",
            against=UNTRAINED,
            ratio=Spread(one.median / base, one.low / base, one.high / base),
            unit="pairs",
            agreement=f"{100 * one.median:.1f} % of pairs",
        )
        for name, one in found.items()
    ]
