"""FID2vid or VFID, the Fréchet distance of vid2vid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from beholder.eval._moments import check_ddof
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import at_least, check_groups
from beholder.eval.measures._rows import present
from beholder.eval.measures._videos import is_nameless


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of FID2vid.

    Attributes:
        networks: "i3d" (1024 values), "resnext-101" (2048), or "both", each its own measurement.
        frames: of a clip; a video is cut into clips that do not overlap, each of which is a row,
            and an incomplete last one is left out.
        ddof: 1 as in FID.
        groups: of the jackknife, which leaves out whole videos; 0 for no interval.
    """

    networks: Literal["both", "i3d", "resnext-101"] = "both"
    frames: int = 10
    ddof: int = 1
    groups: int = 10

    def __post_init__(self) -> None:
        at_least(1, frames=self.frames)
        check_ddof(self.ddof)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """The values before the classifier of each network."""
    return list(_networks(options).values())


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The measurements "fid2vid_i3d" and "fid2vid_resnext", as asked for; rows are clips."""
    real = present(real, "fid2vid")
    return [_measured(name, real, fake, need, options) for name, need in _networks(options).items()]


def _networks(options: Options) -> dict[str, Need]:
    sampling = Sampling(frames=options.frames, clips="segments")
    i3d = Need(extractor="i3d", layer="pooled", settings=(("protocol", "vfid"),), sampling=sampling)
    resnext = Need(
        extractor="resnet3d",
        layer="pooled",
        settings=(("model", "resnext-101"), ("protocol", "vfid")),
        sampling=sampling,
    )
    known = {"i3d": {"fid2vid_i3d": i3d}, "resnext-101": {"fid2vid_resnext": resnext}}
    both = known["i3d"] | known["resnext-101"]
    return both if options.networks == "both" else known[options.networks]


def _measured(metric: str, real: Side, fake: Side, need: Need, options: Options) -> Measurement:
    nameless = is_nameless(real, need) or is_nameless(fake, need)
    groups = 0 if nameless else options.groups
    found = frechet_measurement(metric, real, fake, need, ddof=options.ddof, groups=groups)
    if not nameless:
        return found
    why = "none, since rows without keys do not say which are clips of one video"
    return replace(found, details={**found.details, "interval": why})


MEASURE = Measure(
    title="FID2vid (VFID)",
    definition=(
        "the Fréchet distance of clips of 10 frames by I3D's 1024 values or a 3D ResNeXt-101's "
        "2048 before the classifier (Wang et al., vid2vid, 2018, who released no code: frames "
        "stretched to 224 x 224, RGB in [-1, 1], every whole segment a row)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    takes="videos",
    from_sums=True,
)
