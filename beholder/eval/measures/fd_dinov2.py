"""Fréchet distance of DINOv2 features."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.eval._moments import check_ddof
from beholder.eval.extractors.dinov2 import RESIZES
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import check_groups, one_of
from beholder.eval.measures._rows import present


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of FD-DINOv2; it has protocols of its own, so `resize` has another name.

    Attributes:
        preparation: how pictures come to the size of the network: "dgm-uint8" as published,
            "edm2" as in EDM2's code, "tf1" as in torch-fidelity.
        ddof: 1 as published, 0 as in StyleGAN's code.
        groups: of the jackknife, each of which costs one more distance a side; 0 for no interval.
    """

    preparation: str = "dgm-uint8"
    ddof: int = 1
    groups: int = 10

    def __post_init__(self) -> None:
        one_of(RESIZES, preparation=self.preparation)
        check_ddof(self.ddof)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """The class token of DINOv2 ViT-L/14."""
    settings = (("resize", options.preparation),)
    return [Need(extractor="dinov2", layer="cls", settings=settings)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement, not below 0 but for rounding."""
    (need,) = needs(options)
    real = present(real, "fd_dinov2")
    return [
        frechet_measurement("fd_dinov2", real, fake, need, ddof=options.ddof, groups=options.groups)
    ]


MEASURE = Measure(
    title="Fréchet distance of DINOv2 features",
    definition=(
        "‖μ₁ - μ₂‖² + tr(S₁ + S₂ - 2 (S₁S₂)^½) of DINOv2 ViT-L/14's class token, 1024 values "
        "(Stein et al., 2023)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    from_sums=True,
)
