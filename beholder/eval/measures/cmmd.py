"""CLIP maximum mean discrepancy."""

from __future__ import annotations

from dataclasses import dataclass

from beholder.eval.kernel import cmmd
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import assumed, known
from beholder.eval.measures._ranges import check_groups, positive
from beholder.eval.measures._rows import ends_of, jackknife_of, present


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of CMMD.

    Attributes:
        model: of CLIP; the paper's is "ViT-L/14@336px". With a local file of weights any name will
            do.
        sigma: width of the Gaussian kernel.
        scale: what the discrepancy is multiplied by.
        groups: of the jackknife; 0 for no interval.
    """

    model: str = "ViT-L/14@336px"
    sigma: float = 10.0
    scale: float = 1000.0
    groups: int = 10

    def __post_init__(self) -> None:
        positive(sigma=self.sigma, scale=self.scale)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """Image embeddings of CLIP, pictures prepared as in the authors' code."""
    settings = (("model", options.model), ("resize", "cmmd"))
    return [Need(extractor="clip", layer="embeds", settings=settings)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement."""
    real = present(real, "cmmd")
    (need,) = needs(options)
    first, second = real.features_of(need, "cmmd"), fake.features_of(need, "cmmd")
    found = cmmd(
        first.values,
        second.values,
        sigma=options.sigma,
        scale=options.scale,
        groups=options.groups,
    )
    ends = ends_of(found.jackknife, jackknife_of(found), least=0.0)
    return [
        Measurement(
            metric="cmmd",
            value=found.value,
            low=ends.low,
            high=ends.high,
            interval=ends.interval,
            real=found.real,
            fake=found.fake,
            protocol={
                **known(first.origin, second.origin).as_dict(),
                "sigma": options.sigma,
                "scale": options.scale,
                "estimator": "biased",
            },
            details={**ends.details, **assumed(first.origin, second.origin)},
            biased=True,
        )
    ]


MEASURE = Measure(
    title="CLIP maximum mean discrepancy",
    definition=(
        "biased squared maximum mean discrepancy of CLIP image embeddings of length 1 with a "
        "Gaussian kernel of sigma 10, times 1000 (Jayasumana et al., 2024)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
)
