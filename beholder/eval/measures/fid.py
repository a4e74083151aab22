"""Fréchet Inception distance."""

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
    """Settings of FID.

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


def needs(options: Options) -> list[Need]:
    """The pool features of Inception."""
    return [inception("2048", options.resize)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement, not below 0 but for rounding."""
    (need,) = needs(options)
    real = present(real, "fid")
    return [frechet_measurement("fid", real, fake, need, ddof=options.ddof, groups=options.groups)]


MEASURE = Measure(
    title="Fréchet Inception distance",
    definition=(
        "‖μ₁ - μ₂‖² + tr(S₁ + S₂ - 2 (S₁S₂)^½) of Inception's 2048 pooled values "
        "(Heusel et al., 2017)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    from_sums=True,
)
