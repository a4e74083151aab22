"""Memorisation-informed Fréchet Inception Distance, and the distances to the nearest pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._bootstrap import percentile_interval, resampled_sums
from beholder.eval._features import Features
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import assumed, frechet_measurement, known
from beholder.eval.measures._ranges import at_least, check_groups, one_of
from beholder.eval.measures._rows import by_key, inception, present
from beholder.eval.memorisation import (
    EPSILON,
    Nearest,
    Over,
    memorisation_penalty,
    nearest_pictures,
)

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of MiFID.

    Attributes:
        epsilon: mean distance from which on nothing counts as memorised.
        over: whose pictures the distance is averaged over: "fake" as in the paper, "real" as in
            torchmetrics.
        groups: of the jackknife of the Fréchet distance; 0 for no interval.
        draws: of the bootstrap of the mean distance.
        seed: of these draws.
        resize: how pictures come to the size of the network.
    """

    epsilon: float = EPSILON
    over: Over = "fake"
    groups: int = 10
    draws: int = 1000
    seed: int = 0
    resize: str = "tf1"

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 1:
            raise ConfigError(f"epsilon must lie in (0, 1], got {self.epsilon}")
        check_groups(self.groups)
        at_least(1, draws=self.draws)
        at_least(0, seed=self.seed)
        one_of(RESIZES, resize=self.resize)


def needs(options: Options) -> list[Need]:
    """The pool features of Inception."""
    return [inception("2048", options.resize)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The figure "mifid", and "nearest_distance", whose samples tell copies from new pictures.

    The real side has to be what the generator was trained on.
    """
    real = present(real, "mifid")
    (need,) = needs(options)
    first, second = real.features_of(need, "mifid"), fake.features_of(need, "mifid")
    pictures, among = (second, first) if options.over == "fake" else (first, second)
    nearest = nearest_pictures(pictures.values, among.values)
    distance = frechet_measurement("fid", real, fake, need, groups=options.groups)
    return [
        _mifid(distance, memorisation_penalty(nearest.mean, options.epsilon), options),
        _nearest(distance, nearest, pictures, among, options),
    ]


def _mifid(distance: Measurement, penalty: float, options: Options) -> Measurement:
    value, low, high = (
        end / penalty if end is not None and penalty > 0 else None
        for end in (distance.value, distance.low, distance.high)
    )
    return Measurement(
        metric="mifid",
        value=value,
        low=low,
        high=high,
        interval=f"{distance.interval}, of the Fréchet distance alone" if low is not None else "",
        real=distance.real,
        fake=distance.fake,
        protocol={**distance.protocol, "epsilon": options.epsilon, "over": options.over},
        details={"fid": distance.value, "penalty": penalty, **_of_both(distance)},
        biased=True,
        why="" if penalty > 0 else "every picture is a copy, so the distance is divided by 0",
    )


def _of_both(distance: Measurement) -> dict[str, object]:
    """What holds for the figure as for the Fréchet distance in it."""
    return {
        name: distance.details[name] for name in ("assumed", "note") if name in distance.details
    }


def _nearest(
    distance: Measurement, nearest: Nearest, pictures: Features, among: Features, options: Options
) -> Measurement:
    finite = nearest.distances[np.isfinite(nearest.distances)]
    sums = resampled_sums(finite[:, None], options.draws, options.seed)[:, 0]
    ends = percentile_interval(sums / len(finite))
    return Measurement(
        metric="nearest_distance",
        value=nearest.mean,
        low=ends.low,
        high=ends.high,
        interval=f"bootstrap of {options.draws} draws over {options.over} pictures",
        real=distance.real,
        fake=distance.fake,
        protocol={**known(pictures.origin, among.origin).as_dict(), "over": options.over},
        details={
            "closest": _closest(nearest, pictures, among),
            **assumed(pictures.origin, among.origin),
        },
        biased=True,
        samples=by_key(pictures, nearest.distances),
    )


def _closest(nearest: Nearest, pictures: Features, among: Features) -> list[dict[str, object]]:
    """The pictures nearest to one of the other set, closest first, with its name or row."""
    order = np.argsort(nearest.distances, kind="stable")[:_SHOWN]  # NaN comes last
    return [
        {
            "picture": pictures.keys[row] if pictures.keys else int(row),
            "nearest": among.keys[place] if among.keys else int(place),
            "distance": float(nearest.distances[row]),
        }
        for row in order
        if (place := nearest.places[row]) >= 0
    ]


MEASURE = Measure(
    title="Memorisation-informed Fréchet Inception Distance",
    definition=(
        "FID over the mean cosine distance of generated pictures to the nearest training picture "
        "where that is below 0.1 (Bai et al., 2021)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
)
