"""FID-vid, the Fréchet distance of TFGAN and NUWA."""

from __future__ import annotations

from dataclasses import dataclass, replace

from beholder.eval._moments import check_ddof
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import at_least, check_groups
from beholder.eval.measures._rows import present
from beholder.eval.measures._videos import averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of FID-vid.

    Attributes:
        frames: of a clip; a video is cut into clips that do not overlap.
        pad: whether an incomplete last clip is filled up with its last frame, as DisCo does.
        ddof: 1 as in FID.
        groups: of the jackknife, which leaves out whole videos; 0 for no interval.
    """

    frames: int = 16
    pad: bool = True
    ddof: int = 1
    groups: int = 10

    def __post_init__(self) -> None:
        at_least(1, frames=self.frames)
        check_ddof(self.ddof)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """The values before the classifier of a 3D ResNet-50."""
    sampling = Sampling(frames=options.frames, clips="segments", pad=options.pad)
    settings = (("model", "resnet-50"), ("protocol", "fid-vid"))
    return [Need(extractor="resnet3d", layer="pooled", settings=settings, sampling=sampling)]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement, not below 0 but for rounding; rows are videos."""
    (need,) = needs(options)
    first, second = (averaged(side, need, "fid_vid") for side in (present(real, "fid_vid"), fake))
    found = frechet_measurement(
        "fid_vid", first, second, need, ddof=options.ddof, groups=options.groups
    )
    return [replace(found, protocol={**found.protocol, "rows": "mean of the clips of a video"})]


MEASURE = Measure(
    title="FID-vid",
    definition=(
        "the Fréchet distance of a Kinetics-400 3D ResNet-50's 2048 values before the classifier, "
        "112 x 112, clips of 16 frames, averaged over each video (Balaji et al., TFGAN, 2019; Wu "
        "et al., NUWA, 2022; by the code of Wang et al., DisCo, 2024)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    takes="videos",
)
