"""What the metrics of videos share: their networks, and clips that belong to one video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval.measures._base import Need, Sampling, Side
from beholder.eval.video import per_video

Classifier = Literal["i3d", "resnet-50", "resnext-101", "videomae"]
"""A network of videos that names classes."""
LEAST_FRAMES = 10
"""Of a clip for I3D, as its authors ask: it halves time three times before its last mean."""
_NEEDS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "i3d": ("i3d", (("protocol", "stylegan-v"),)),
    "resnet-50": ("resnet3d", (("model", "resnet-50"), ("protocol", "fid-vid"))),
    "resnext-101": ("resnet3d", (("model", "resnext-101"), ("protocol", "vfid"))),
    "videomae": ("videomae", (("protocol", "imagenet"),)),
}


def logits_of(network: Classifier, sampling: Sampling) -> Need:
    """The answers of a classifier to clips."""
    extractor, settings = _NEEDS[network]
    return Need(extractor=extractor, layer="logits", settings=settings, sampling=sampling)


def check_frames(network: str, frames: int) -> None:
    """Raise ConfigError if a clip is too short for the network."""
    least = LEAST_FRAMES if network == "i3d" else 1
    if frames < least:
        raise ConfigError(f"frames must be {least} or more for {network}, got {frames}")


def keyed(features: Features, metric: str, side: str) -> Features:
    """The features, if they say which rows are clips of one video; DataError if they do not."""
    if not features.keys:
        raise DataError(
            f"{metric} takes the clips of each video together, but the features of {side} have no "
            'keys; give videos, or features with keys such as "a.mp4#0"'
        )
    return features


def averaged(side: Side, need: Need, metric: str) -> Side:
    """The side with one row a video, the mean of its clips."""
    clips = keyed(side.features_of(need, metric), metric, side.name)
    values, videos = per_video(clips.values, clips.keys)
    keys = tuple(f"{video}#0" for video in videos)
    return replace(side, features={need: Features(values, clips.origin, keys)}, statistics={})


def is_nameless(side: Side, need: Need) -> bool:
    """Whether a side has rows of which nobody knows whose clips they are."""
    given = side.features.get(need)
    return given is not None and not given.keys
