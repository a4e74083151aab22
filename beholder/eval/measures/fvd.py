"""Fréchet video distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from beholder.eval._moments import check_ddof
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._frechet import frechet_measurement
from beholder.eval.measures._ranges import check_clips, check_groups, one_of
from beholder.eval.measures._rows import present
from beholder.eval.measures._videos import check_frames

USUAL = 2048
"""Videos a side in published figures."""
_DDOF = {"stylegan-v": 0, "cd-fvd": 0, "tf": 1, "imagenet": 0}
_PROTOCOLS = {"i3d": ("stylegan-v", "cd-fvd", "tf"), "videomae": ("cd-fvd", "imagenet")}
_LAYERS = {"i3d": "logits", "videomae": "pooled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of FVD.

    Attributes:
        features: "i3d", or "videomae", which needs a file of weights.
        protocol: how frames come to the network, and the `ddof`: "stylegan-v", "cd-fvd" or "tf"
            for I3D, "cd-fvd" or "imagenet" for VideoMAE; None takes the first of these.
        frames: of a clip, one clip a video; for I3D 10 or more.
        stride: every which frame is taken.
        clips: where the clip lies: at the beginning, in the centre, or spread over the video.
        ddof: None takes that of the protocol: 1 for "tf", otherwise 0.
        groups: of the jackknife, each of which costs one more distance a side; 0 for no interval.
    """

    features: Literal["i3d", "videomae"] = "i3d"
    protocol: Literal["stylegan-v", "cd-fvd", "tf", "imagenet"] | None = None
    frames: int = 16
    stride: int = 1
    clips: Literal["first", "centre", "spread"] = "first"
    ddof: int | None = None
    groups: int = 10

    def __post_init__(self) -> None:
        one_of(tuple(_PROTOCOLS), features=self.features)
        if self.protocol is not None:
            one_of(_PROTOCOLS[self.features], protocol=self.protocol)
        check_clips(self.frames, self.stride, self.clips)
        check_frames(self.features, self.frames)
        if self.ddof is not None:
            check_ddof(self.ddof)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """One clip of each video."""
    need = Need(
        extractor=options.features,
        layer=_LAYERS[options.features],
        settings=(("protocol", _protocol(options)),),
        sampling=Sampling(frames=options.frames, stride=options.stride, clips=options.clips),
    )
    return [need]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """One measurement, not below 0 but for rounding; no video is ever counted twice."""
    (need,) = needs(options)
    ddof = _DDOF[_protocol(options)] if options.ddof is None else options.ddof
    real = present(real, "fvd")
    found = frechet_measurement("fvd", real, fake, need, ddof=ddof, groups=options.groups)
    return [replace(found, details={**found.details, "note": _note(found)})]


def _protocol(options: Options) -> str:
    return options.protocol or _PROTOCOLS[options.features][0]


def _note(found: Measurement) -> str:
    counts = [count for count in (found.real, found.fake) if count is not None]
    if min(counts, default=USUAL) >= USUAL:
        return ""
    return (
        f"of {min(counts)} videos on one side, where published figures have {USUAL}: fewer give a "
        "larger distance, so compare it only with figures of as many"
    )


MEASURE = Measure(
    title="Fréchet video distance",
    definition=(
        "the Fréchet distance of the 400 logits of I3D, trained on Kinetics-400, one clip a video "
        "(Unterthiner et al., 2018); by VideoMAE's pooled values: Ge et al., 2024"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    takes="videos",
    from_sums=True,
)
