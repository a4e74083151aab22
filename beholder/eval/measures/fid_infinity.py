"""FID at infinitely many generated pictures."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.errors import ConfigError
from beholder.eval._bootstrap import LEVEL
from beholder.eval._features import Features
from beholder.eval._jackknife import student_t
from beholder.eval._moments import check_ddof
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.frechet_infinity import FrechetInfinity, frechet_infinity
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import assumed, known, rows_of
from beholder.eval.measures._ranges import at_least, one_of
from beholder.eval.measures._rows import inception, present


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of FID at infinity.

    Attributes:
        resize: how pictures come to the size of the network, as for FID.
        points: Fréchet distances on the line, each of as many pictures more as 1/n falls alike.
        smallest: share of the generated pictures in the smallest subset.
        ddof: 1 as published, 0 as in StyleGAN's code.
        seed: of the order in which pictures enter the subsets.
    """

    resize: str = "tf1"
    points: int = 15
    smallest: float = 0.1
    ddof: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(RESIZES, resize=self.resize)
        at_least(3, points=self.points)
        if not 0 < self.smallest < 1:
            raise ConfigError(f"smallest must be a share between 0 and 1, got {self.smallest}")
        check_ddof(self.ddof)
        at_least(0, seed=self.seed)


def needs(options: Options) -> list[Need]:
    """The pool features of Inception."""
    return [inception("2048", options.resize)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement; that of few pictures may be below 0, since a line is extrapolated."""
    (need,) = needs(options)
    one = present(real, "fid_infinity").either(need)
    other = fake.features_of(need, "fid_infinity")
    found = frechet_infinity(
        one,
        other,
        points=options.points,
        smallest=options.smallest,
        ddof=options.ddof,
        seed=options.seed,
    )
    reach = found.standard_error * student_t((1 + LEVEL) / 2, options.points - 2)
    return [
        Measurement(
            metric="fid_infinity",
            value=found.value,
            low=found.value - reach,
            high=found.value + reach,
            interval=f"of a line through {options.points} nested subsets, not over new pictures",
            real=rows_of(one),
            fake=rows_of(other),
            protocol={
                **known(one.origin, other.origin).as_dict(),
                "ddof": options.ddof,
                "points": options.points,
                "smallest": options.smallest,
                "seed": options.seed,
            },
            details={**_details(found, other), **assumed(one.origin, other.origin)},
        )
    ]


def _details(found: FrechetInfinity, fake: Features) -> dict[str, object]:
    details: dict[str, object] = {
        "standard_error": found.standard_error,
        "slope": found.slope,
        "fid": float(found.all_pictures),
        "sizes": found.sizes.tolist(),
        "distances": found.distances.tolist(),
    }
    dims = fake.values.shape[1]
    if found.sizes[0] <= dims:
        details["note"] = (
            f"the smallest subset has {found.sizes[0]} pictures of {dims} values, where the bias "
            "is not yet a line over 1/n: the value is rough, give more pictures"
        )
    return details


MEASURE = Measure(
    title="FID at infinitely many generated pictures",
    definition=(
        "where a line through FIDs of growing subsets, over 1/n, meets 1/n = 0 "
        "(Chong & Forsyth, 2020)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
)
