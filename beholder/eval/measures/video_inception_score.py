"""Inception Score of videos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from beholder.eval.measures import inception_score
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._ranges import check_clips, check_groups
from beholder.eval.measures._videos import Classifier, check_frames, logits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of the Inception Score of videos.

    Attributes:
        network: the classifier. Published scores have a C3D trained on UCF-101, which nobody offers
            with a hash; with `network` "resnet-50" or "resnext-101" a file of a 3D ResNet trained
            on UCF-101 serves, otherwise classes are those of Kinetics-400.
        frames: of a clip, one clip a video.
        stride: every which frame is taken.
        clips: where the clip lies: at the beginning, in the centre, or spread over the video.
        splits: whose way of dividing the videos, by default 10 parts in order.
        groups: of the jackknife of the score of all videos; 0 for no interval.
    """

    network: Classifier = "i3d"
    frames: int = 16
    stride: int = 1
    clips: Literal["first", "centre", "spread"] = "first"
    splits: Literal["torch-fidelity", "improved-gan"] = "improved-gan"
    groups: int = 10

    def __post_init__(self) -> None:
        check_clips(self.frames, self.stride, self.clips)
        check_frames(self.network, self.frames)
        check_groups(self.groups)


def needs(options: Options) -> list[Need]:
    """The logits of one clip of each video."""
    sampling = Sampling(frames=options.frames, stride=options.stride, clips=options.clips)
    return [logits_of(options.network, sampling)]


def compute(_: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The score by parts, and "video_inception_score_whole" of all videos; 1 to the classes."""
    (need,) = needs(options)
    logits = fake.features_of(need, "video_inception_score")
    pictures = inception_score.Options(splits=options.splits, groups=options.groups)
    (their_need,) = inception_score.needs(pictures)
    side = Side(name=fake.name, features={their_need: logits})
    found = inception_score.compute(None, side, pictures)
    return [replace(each, metric=f"video_{each.metric}") for each in found]


MEASURE = Measure(
    title="Inception Score of videos",
    definition=(
        "exp of the mean divergence of the class probabilities of a clip from their mean over "
        "videos, mean over 10 parts (Saito et al., TGAN, 2017, by a C3D trained on UCF-101)"
    ),
    best="higher",
    options=Options,
    needs=needs,
    compute=compute,
    takes="videos",
    has_real=False,
)
