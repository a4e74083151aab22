"""Clips of videos, and figures of videos from values of their clips.

Keys name clips as "video.mp4#0", "video.mp4#1": figures over videos first take the clips of each
video together, since clips of one video do not count as several videos.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from beholder._pixels import Alpha
from beholder.errors import ConfigError, DataError, VideoError
from beholder.eval._bootstrap import LEVEL
from beholder.eval._features import Array, checked_matrix
from beholder.eval.measures._base import Sampling
from beholder.videos import VideoSource, read_clips

T = TypeVar("T")
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def clip_indices(count: int, sampling: Sampling) -> list[list[int]]:
    """The frames of each clip of a video of `count` frames.

    A clip spans (frames - 1) * stride + 1 frames. "first" starts at frame 0, "centre" leaves as
    many frames before as after, or one more after; "segments" starts a clip every frames * stride
    frames and leaves out an incomplete last one, or with `pad` fills it up with the last frame;
    "spread" takes the nearest frames to an even division from the first to the last frame.

    Raises:
        VideoError: "too-short" if there are not enough frames for one clip.
        ConfigError: if `frames` or `stride` is below 1, or "spread" comes with a stride, or
            anything but "segments" with `pad`.
    """
    _check_sampling(sampling)
    span = (sampling.frames - 1) * sampling.stride + 1
    least = 1 if sampling.pad else span
    if count < least:
        raise VideoError("too-short", f"{count} frames, but a clip ({sampling.name}) needs {least}")
    if sampling.clips == "spread":
        return [_spread(count, sampling.frames)]
    return [
        [min(at, count - 1) for at in range(start, start + span, sampling.stride)]
        for start in _starts(count, span, sampling)
    ]


def _check_sampling(sampling: Sampling) -> None:
    for name, value in (("frames", sampling.frames), ("stride", sampling.stride)):
        if value < 1:
            raise ConfigError(f"{name} must be 1 or more, got {value}")
    if sampling.clips == "spread" and sampling.stride != 1:
        raise ConfigError(
            f'clips="spread" takes frames evenly over the video; leave stride {sampling.stride} out'
        )
    if sampling.pad and sampling.clips != "segments":
        raise ConfigError(
            f'pad fills up the last of several clips; clips="{sampling.clips}" is one'
        )


def _starts(count: int, span: int, sampling: Sampling) -> Sequence[int]:
    if sampling.clips == "segments":
        end = count if sampling.pad else count - span + 1
        return range(0, end, sampling.frames * sampling.stride)
    return [0 if sampling.clips == "first" else (count - span) // 2]


def _spread(count: int, frames: int) -> list[int]:
    if frames == 1:
        return [(count - 1) // 2]
    gaps = frames - 1
    return [(2 * k * (count - 1) + gaps) // (2 * gaps) for k in range(frames)]


def clips_of(
    source: VideoSource,
    samplings: Sequence[Sampling],
    use: Callable[[int, Tensor], T],
    *,
    alpha: Alpha = "white",
) -> list[list[T] | VideoError]:
    """What `use` makes of the clips of a video by each sampling, from one decoding.

    A fault of the video is the answer to every sampling; being too short, of those it is too
    short for.

    Args:
        source: one video.
        samplings: each gives one or more clips.
        use: gets the number of a sampling and a clip, uint8 (t, 3, h, w).
        alpha: what shows behind transparent pixels.

    Raises:
        ConfigError: if a sampling or `alpha` is no such.
        MissingDependencyError: if a file needs PyAV and it is not there.
    """
    plan = _Plan(samplings)
    try:
        made = read_clips(
            source, plan.choose, lambda n, clip: use(plan.owners[n], clip), alpha=alpha
        )
    except VideoError as error:
        # anew, since its traceback would keep the frames in memory
        return [VideoError(error.code, str(error)) for _ in samplings]
    found: list[list[T]] = [[] for _ in samplings]
    for owner, value in zip(plan.owners, made, strict=True):
        found[owner].append(value)
    return [plan.short.get(at, found[at]) for at in range(len(samplings))]


@dataclass(slots=True)
class _Plan:
    """The clips of several samplings in one list, and whose each is."""

    samplings: Sequence[Sampling]
    owners: list[int] = field(default_factory=list)
    short: dict[int, VideoError] = field(default_factory=dict)

    def choose(self, count: int) -> list[list[int]]:
        self.owners, self.short = [], {}
        clips: list[list[int]] = []
        for at, sampling in enumerate(self.samplings):
            try:
                found = clip_indices(count, sampling)
            except VideoError as error:
                self.short[at] = error
                continue
            clips += found
            self.owners += [at] * len(found)
        return clips


def video_of(key: str) -> str:
    """The video of a clip: "a.mp4" of "a.mp4#3"; a key without a number is a video itself."""
    video, mark, number = key.rpartition("#")
    return video if mark and number.isdecimal() else key


def per_video(values: Array, keys: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """The mean (videos, d), float64, of the rows (n, d) of each video, and the videos' keys.

    Videos come in the order of their first clips. Raises DataError if there are not as many keys
    as rows.
    """
    matrix = checked_matrix(values, "values of clips")
    if len(keys) != len(matrix):
        raise DataError(f"{len(matrix)} rows of clips but {len(keys)} keys; give one each")
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        rows[video_of(key)].append(at)
    means = [matrix[found].mean(axis=0, dtype=np.float64) for found in rows.values()]
    return np.stack(means), tuple(rows)


def share_interval(share: float, videos: int) -> tuple[float, float]:
    """The 95 % score interval of a share of some videos, inside [0, 1] (Wilson, 1927).

    Of no hit at all it does not claim 0 for sure, as a bootstrap would. Raises DataError if there
    is no video.
    """
    if videos < 1:
        raise DataError("a share of no videos has no interval")
    square = NormalDist().inv_cdf((1 + LEVEL) / 2) ** 2 / videos
    centre = (share + square / 2) / (1 + square)
    reach = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def class_numbers(labels: Sequence[str], classes: Sequence[str]) -> Integers:
    """The place of each label among the classes, (n,); case, spaces and punctuation do not count.

    Raises DataError naming the closest classes if a label is none of them, or if two classes
    cannot be told apart.
    """
    places = {_plain(name): at for at, name in enumerate(classes)}
    if len(places) != len(classes):
        raise DataError("two classes differ in case or punctuation only; give each a name")
    unknown = sorted({label for label in labels if _plain(label) not in places})
    if unknown:
        names = {_plain(name): name for name in classes}
        close = [names[near] for near in get_close_matches(_plain(unknown[0]), names, n=3)]
        raise DataError(
            f"{len(unknown)} labels are none of the {len(classes)} classes, such as "
            f"{unknown[0]!r}; " + (f"close to {', '.join(close)}" if close else "none is close")
        )
    return np.array([places[_plain(label)] for label in labels], dtype=np.int64)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def top_k_hits(
    scores: Array, targets: Integers, k: int = 1, among: Integers | None = None
) -> Bools:
    """Whether the class of each row is among its k best, (n,); of equal scores the first is best.

    Args:
        scores: logits or probabilities, (n, classes).
        targets: the class of each row.
        k: how many answers each row has.
        among: the classes that count as answers; None for all of them.

    Raises:
        DataError: if there are not as many targets as rows, or a target is no answer.
        ConfigError: if `k` is not from 1 to the number of answers.
    """
    matrix = checked_matrix(scores, "scores of classes")
    answers = np.arange(matrix.shape[1]) if among is None else np.unique(among)
    if len(targets) != len(matrix):
        raise DataError(f"{len(matrix)} rows of scores but {len(targets)} classes; give one each")
    if not 1 <= k <= len(answers):
        raise ConfigError(f"k must be from 1 to the {len(answers)} classes, got {k}")
    if not np.isin(targets, answers).all():
        raise DataError("the class of a video is not among the classes that count as answers")
    best = answers[np.argsort(-matrix[:, answers], axis=1, kind="stable")[:, :k]]
    hits: Bools = (best == np.asarray(targets)[:, None]).any(axis=1)
    return hits
