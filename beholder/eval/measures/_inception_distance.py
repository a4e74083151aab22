"""What FID and sFID share: they differ in the layer of Inception only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from beholder.eval._moments import check_ddof
from beholder.eval.extractors.inception import RESIZES
from beholder.eval.measures._base import Measurement, Need, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import check_groups, one_of
from beholder.eval.measures._rows import inception, present


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of a Fréchet distance of Inception's features.

    Attributes:
        resize: how pictures come to the size of the network: "tf1" as in the paper and in
            torch-fidelity, "clean", "pytorch-legacy" as in pytorch-fid, "tm-antialias" as in
            torchmetrics.
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


Needs = Callable[[Options], list[Need]]
Compute = Callable[[Side | None, Side, Options], list[Measurement]]


def distance_of(metric: str, layer: str) -> tuple[Needs, Compute]:
    """What a metric needs, and how it is computed: the Fréchet distance of a layer."""
    return partial(_needs, layer), partial(_compute, metric, layer)


def _needs(layer: str, options: Options) -> list[Need]:
    return [inception(layer, options.resize)]


def _compute(
    metric: str, layer: str, real: Side | None, fake: Side, options: Options
) -> list[Measurement]:
    (need,) = _needs(layer, options)
    one = present(real, metric)
    return [frechet_measurement(metric, one, fake, need, ddof=options.ddof, groups=options.groups)]
