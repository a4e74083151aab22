"""What Fréchet distances share: those of pictures and of videos differ in their features only."""

from __future__ import annotations

from collections.abc import Mapping

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval._jackknife import Jackknife
from beholder.eval._origin import UNKNOWN, Origin
from beholder.eval.frechet import Frechet, with_interval
from beholder.eval.measures._base import Measurement, Need, Side
from beholder.eval.statistics import Statistics
from beholder.eval.video import video_of

Given = Features | Statistics
USUAL = 50_000
"""Pictures in published FIDs."""


def frechet_measurement(
    metric: str, real: Side, fake: Side, need: Need, *, ddof: int = 1, groups: int = 10
) -> Measurement:
    """The Fréchet distance of two sides' features, with its jackknife interval.

    The clips of one video, by their keys, are left out together.

    Args:
        metric: the name of the measurement.
        real: features or statistics of what is imitated.
        fake: of what was generated.
        need: which of the features.
        ddof: 1 as in `np.cov` and published FIDs, 0 as in StyleGAN's code.
        groups: of the jackknife, which costs as many more distances a side; 0 for no interval.

    Raises:
        DataError: if there are too few rows, or they do not fit each other.
        ConfigError: if `ddof` or `groups` is out of range.
    """
    one, other = real.either(need), fake.either(need)
    for side, given in ((real, one), (fake, other)):
        if rows_of(given) == 1:
            raise DataError(
                f"{metric} compares spreads, but {side.name} has a single picture or video; a "
                "folder of pictures alone is one video, its frames"
            )
    unit = None if need.sampling is None else video_of
    value, sure, dealt = with_interval(one, other, ddof=ddof, groups=groups, unit=unit)
    return Measurement(
        metric=metric,
        value=float(value),
        low=None if sure is None else min(float(value), max(0.0, sure.low)),
        high=None if sure is None else sure.high,
        interval=jackknife_text(dict(zip(("real", "fake"), dealt, strict=True))),
        real=rows_of(one),
        fake=rows_of(other),
        protocol={**known(one.origin, other.origin).as_dict(), "ddof": ddof},
        details={**_details(value, sure), **assumed(one.origin, other.origin), **notes(one, other)},
        biased=True,
    )


def rows_of(given: Given) -> int | None:
    """How many pictures a side has; None where its statistics do not say."""
    return len(given.values) if isinstance(given, Features) else given.count


def dims_of(given: Given) -> int:
    """How many values a picture has."""
    return int(given.values.shape[1]) if isinstance(given, Features) else given.dims


def known(first: Origin, second: Origin) -> Origin:
    """One origin for both sides, each field from the side that knows it."""
    mine, theirs = first.as_dict(), second.as_dict()
    return Origin(**{k: theirs[k] if mine[k] == UNKNOWN else mine[k] for k in mine})


def assumed(first: Origin, second: Origin) -> dict[str, object]:
    """Which fields of the origin only one side knows, or none, so that they were taken to agree."""
    fields = list(first.unsure(second))
    return {"assumed": fields} if fields else {}


def notes(real: Given, fake: Given) -> dict[str, object]:
    """What a reader has to know of a Fréchet distance of so many pictures."""
    counts = [n for n in (rows_of(real), rows_of(fake)) if n is not None]
    least, dims = min(counts, default=USUAL), dims_of(fake)
    if least <= dims:
        text = (
            f"{least} pictures or clips are no more than the {dims} values of each, so the "
            "distance is far above that of more: compare it only with figures of as many"
        )
    elif least < USUAL:
        text = (
            f"more pictures or clips than these {least} give a smaller distance, and published "
            "FIDs have 50,000: compare it only with figures of as many"
        )
    else:
        return {}
    return {"note": text}


def _details(value: Frechet, sure: Jackknife | None) -> dict[str, object]:
    found: dict[str, object] = {
        "branch": value.branch,
        "rank": value.rank,
        "mean_term": value.mean_term,
        "trace_term": value.trace_term,
    }
    if sure is not None:
        found |= {"standard_error": sure.standard_error, "bias": sure.bias}
    return found


def jackknife_text(groups: Mapping[str, int]) -> str:
    """How an interval was made, from the number of groups of each side; "" if there is none."""
    dealt = {name: count for name, count in groups.items() if count}
    if not dealt:
        return ""
    counts = " and ".join(f"{count} groups of the {name} side" for name, count in dealt.items())
    return f"jackknife over {counts}"
