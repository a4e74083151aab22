"""Accuracy of a classifier of generated videos."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array
from beholder.eval.extractors._kinetics import classes_of
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._ranges import check_clips
from beholder.eval.measures._videos import Classifier, check_frames, keyed, logits_of
from beholder.eval.video import (
    Integers,
    class_numbers,
    per_video,
    share_interval,
    top_k_hits,
    video_of,
)

TOPS = (1, 5)
"""How many answers a video has."""
_SHOWN = 5
"""Classes that a protocol names; of more it has a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of the accuracy.

    Attributes:
        network: the classifier.
        frames: of a clip.
        stride: every which frame is taken.
        clips: which of a video; the probabilities of several are averaged.
        among: which classes count as answers: "all", or those that occur as "labels", as where
            videos of a few classes were asked for.
        classes: names in the order of the logits; () for those of Kinetics-400.
    """

    network: Classifier = "i3d"
    frames: int = 16
    stride: int = 1
    clips: Literal["first", "centre", "segments", "spread"] = "first"
    among: Literal["all", "labels"] = "all"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_clips(self.frames, self.stride, self.clips)
        check_frames(self.network, self.frames)
        try:
            class_numbers((), self.classes)
        except DataError as error:
            raise ConfigError(f"classes: {error}") from error


def needs(options: Options) -> list[Need]:
    """The logits of the clips of each video."""
    sampling = Sampling(frames=options.frames, stride=options.stride, clips=options.clips)
    return [logits_of(options.network, sampling)]


def compute(_: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """The shares "video_accuracy_top1" and "video_accuracy_top5", with 1 or 0 of each video.

    Raises DataError if a video has no label, or one that is none of the classes.
    """
    (need,) = needs(options)
    logits = keyed(fake.features_of(need, "video_accuracy"), "video_accuracy", fake.name)
    chances, videos = per_video(_softmax(logits.values), logits.keys)
    names = options.classes or classes_of(chances.shape[1]) or ()
    if len(names) != chances.shape[1]:
        raise DataError(
            f"the network tells {chances.shape[1]} classes, but {len(names)} names are known; "
            "give them all as classes, in its order"
        )
    targets = class_numbers(_labels(fake, videos, logits.keys), names)
    among = np.unique(targets) if options.among == "labels" else np.arange(len(names))
    protocol = {
        **logits.origin.as_dict(),
        "answers": len(among),
        "classes": _named([names[at] for at in among]),
        "among": options.among,
    }
    return [_measured(k, chances, targets, among, videos, protocol) for k in TOPS]


def _named(classes: Sequence[str]) -> str:
    """The classes in the order of the alphabet, or a hash of them where they are many."""
    if len(classes) <= _SHOWN:
        return " | ".join(sorted(classes))
    return hashlib.sha256("\n".join(sorted(classes)).encode()).hexdigest()[:16]


def _labels(side: Side, videos: Sequence[str], keys: Sequence[str]) -> list[str]:
    known = {video_of(key): side.labels[key] for key in keys if key in side.labels}
    without = [video for video in videos if video not in known]
    if without:
        raise DataError(
            f"{len(without)} of {len(videos)} videos of {side.name} have no label, such as "
            f"{without[0]}; sort them into a folder a class, or give a manifest with a label column"
        )
    return [known[video] for video in videos]


def _softmax(logits: Array) -> Array:
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    chances: Array = powers / powers.sum(axis=1, keepdims=True)
    return chances


def _measured(
    k: int,
    chances: Array,
    targets: Integers,
    among: Integers,
    videos: Sequence[str],
    shared: Mapping[str, object],
) -> Measurement:
    metric = f"video_accuracy_top{k}"
    protocol = {**shared, "k": k}
    if k >= len(among):
        why = f"of {len(among)} classes every one is among the {k} best"
        return Measurement(metric=metric, value=None, fake=len(videos), protocol=protocol, why=why)
    hits = top_k_hits(chances, targets, k, among)
    value = float(hits.mean())
    low, high = share_interval(value, len(videos))
    return Measurement(
        metric=metric,
        value=value,
        low=low,
        high=high,
        interval="Wilson's of a share of videos",
        fake=len(videos),
        protocol=protocol,
        details={"chance": k / len(among)},
        samples=dict(zip(videos, hits.astype(float).tolist(), strict=True)),
    )


MEASURE = Measure(
    title="Accuracy of generated videos",
    definition=(
        "the share of videos whose class is the best answer, or among the 5 best, of a Kinetics "
        "classifier (Li et al., T2V, 2018; Balaji et al., TFGAN, 2019; no code was released)"
    ),
    best="higher",
    options=Options,
    needs=needs,
    compute=compute,
    takes="videos",
    has_real=False,
)
