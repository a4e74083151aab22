"""Spatial Fréchet Inception distance."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.eval._moments import check_ddof
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import check_groups, one_of
from beholder.eval.measures._rows import inception, present


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of sFID.

    Attributes:
        resize: how pictures come to the size of the network; published figures have "tf1".
        ddof: 1 as published, 0 as in StyleGAN's code.
        groups: of the jackknife, each of which costs one more distance a side; 0 for no interval.
    """

    resize: str = "tf1"
    ddof: int = 1
    groups: int = 10

    def __post_init__(self) -> None:
        one_of(RESIZES, resize=self.resize)
        check_ddof(self.ddof)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """The first 7 channels of a layer before the last pooling, at 17 x 17 places."""
    return [inception("sfid", options.resize)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement, not below 0 but for rounding."""
    (need,) = needs(options)
    real = present(real, "sfid")
    return [frechet_measurement("sfid", real, fake, need, ddof=options.ddof, groups=options.groups)]


MEASURE = Measure(
    title="Spatial Fréchet Inception distance",
    definition=(
        "the Fréchet distance of 7 channels of Inception's mixed_6/conv at 17 x 17 places, "
        "2023 values that keep where things are (Nash et al., 2021; spatial, not sliding)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    from_sums=True,
)
