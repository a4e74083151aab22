"""What every metric of pictures and videos is: what it needs, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval._sheets.measurement import measurement_sheet
from beholder.eval.statistics import Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which frames of a video are looked at.

    Attributes:
        frames: of a clip.
        stride: every which frame is taken.
        clips: a video: "first" or "centre" take one clip, "segments" cuts it into clips that
            do not overlap, "spread" takes `frames` evenly over the whole video.
        pad: with "segments", whether an incomplete last one is filled up with its last frame;
            otherwise it is left out.
    """

    frames: int = 16
    stride: int = 1
    clips: Literal["first", "centre", "segments", "spread"] = "first"
    pad: bool = False

    @property
    def name(self) -> str:
        """What `Origin.clips` says."""
        padded = ", padded" if self.pad else ""
        return f"{self.clips} {self.frames} frames, stride {self.stride}{padded}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Features that a metric reads.

    Attributes:
        extractor: a name of `beholder.eval.extractors`.
        layer: one of its layers; "" is its own default.
        settings: options of its `build` as sorted pairs, such as (("resize", "tf1"),).
        sampling: how frames are taken; None for pictures.
    """

    extractor: str
    layer: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two sets that are compared: its features, or only their statistics.

    Attributes:
        name: what a person called it, such as a folder.
        features: by need; empty where only statistics are known.
        statistics: by need, of those that came without features.
        labels: the class of each row where videos or pictures have one, by row key.
    """

    name: str
    features: Mapping[Need, Features] = field(default_factory=dict)
    statistics: Mapping[Need, Statistics] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def features_of(self, need: Need, metric: str) -> Features:
        """The features; DataError if the side has only statistics of them."""
        if need not in self.features:
            raise DataError(f"{metric} needs pictures or features, but {self.name} has only sums")
        return self.features[need]

    def either(self, need: Need) -> Features | Statistics:
        """The features where there are some, or else their statistics."""
        return self.features[need] if need in self.features else self.statistics[need]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number, the protocol that made it, and how sure it is.

    Attributes:
        metric: such as "fid", "precision".
        value: None where it is not defined.
        low, high: its 95 % interval; None where there is none.
        interval: how the interval was made, such as "jackknife over 20 groups".
        real, fake: how many rows of each side count; None where a side has no part.
        protocol: all that changes the number: origin of the features, settings of the metric.
        details: what else is known, such as the branch and rank of a Fréchet distance.
        samples: values of single rows by key, where the metric is made of such.
        why: why there is no value; "" if there is one.
        biased: whether the value depends on how many rows there are beyond chance, so that it
            compares only with values of as many.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    real: int | None = None
    fake: int | None = None
    protocol: Mapping[str, object]
    details: Mapping[str, object] = field(default_factory=dict)
    samples: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    biased: bool = False

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise DataError(f"{self.metric} came out as {self.value}; give `why` and no value")

    def minus(self, other: Measurement) -> float:
        """The difference of two values of one protocol, and of as many rows where that matters.

        Raises DataError naming what differs if they do not compare, or if one has no value.
        """
        check_comparable(self, other)
        if self.value is None or other.value is None:
            raise DataError(f"{self.metric} has no value: {self.why or other.why}")
        return self.value - other.value

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return measurement_sheet(self).text()

    def _repr_html_(self) -> str:
        return measurement_sheet(self).html()


def check_comparable(first: Measurement, second: Measurement) -> None:
    """Raise DataError naming what differs if two measurements are not of one protocol.

    Nor do biased ones of other numbers of rows compare. A real side whose number its file does not
    say is taken for the same as another such; of a fake side that has to be known.
    """
    mine = {"metric": first.metric, **first.protocol}
    theirs = {"metric": second.metric, **second.protocol}
    found = [k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
    if found:
        listed = "; ".join(f"{k}: {mine.get(k)} and {theirs.get(k)}" for k in found)
        raise DataError(f"these numbers do not compare ({listed})")
    if first.biased or second.biased:
        _check_counts(first, second)


def _check_counts(first: Measurement, second: Measurement) -> None:
    if first.real == second.real and first.fake == second.fake and first.fake is not None:
        return
    sides = {"real": (first.real, second.real), "fake": (first.fake, second.fake)}
    listed = "; ".join(
        f"{name}: {' and '.join('unknown' if n is None else str(n) for n in counts)}"
        for name, counts in sides.items()
        if counts[0] != counts[1] or (counts == (None, None) and name == "fake")
    )
    raise DataError(
        f"{first.metric} depends on how many pictures or clips there are, so these numbers do not "
        f"compare ({listed}); measure both with as many"
    )


class Options(Protocol):
    """The settings of a metric: a frozen dataclass of its own, every default of which works."""

    __dataclass_fields__: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric: what it is, what it needs, and the function that makes it.

    Attributes:
        title: what a table calls it, such as "Fréchet Inception distance".
        definition: one line: the formula in words and its paper.
        best: "lower" or "higher", or "" if neither is better.
        options: the class of its settings.
        needs: of given settings, the features of each side.
        compute: real side (None if it needs none), fake side, settings -> its measurements.
        takes: "pictures" or "videos".
        has_real: whether it compares with a real side.
        from_sums: whether statistics without features are enough.
    """

    title: str
    definition: str
    best: Literal["lower", "higher", ""]
    options: type[Any]
    needs: Callable[[Any], Sequence[Need]]
    compute: Callable[[Side | None, Side, Any], Sequence[Measurement]]
    takes: Literal["pictures", "videos"] = "pictures"
    has_real: bool = True
    from_sums: bool = False
