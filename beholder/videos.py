"""The one door for videos: a file, folder of frames, array or tensor in, checked frames out.

Every fault is a `VideoError` whose `code` is one of those of `beholder.images`, or "too-short" or
"gap". What counts as one video:

- MP4, MOV, WebM, MKV and AVI, by PyAV: frames in the order shown, as stored (a variable rate is
  not evened out), turned as the header says, to 8-bit RGB by swscale; pixels that are not square
  stay so;
- GIF and animated PNG or WebP, by Pillow, over white: each picture once, however long it is shown;
- a folder of pictures, in the order of the numbers in their names;
- `.npy`, or `.npz` with one array or one named "video": (t, h, w, 3), the values of a picture;
- an array (t, h, w, 3), a tensor (t, 3, h, w), or a sequence of pictures.

Files are recognised by their first bytes. A video is decoded once and only as far as it is needed:
damage behind the last wanted frame goes unseen, but one that was cut off never passes, unless its
header does not say how long it is. What got lost in the middle of an MKV or WebM looks like a pause
and goes unseen too, unless the decoder misses it. Frames before the first key frame, which no
player shows, do not count.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from beholder._pixels import LIMITS, Alpha, Array, Limits
from beholder._videos.frame_folders import frame_files
from beholder._videos.video_containers import FewerFrames, Opened
from beholder._videos.video_files import open_array, open_file, open_pictures
from beholder._videos.video_rows import read_video_rows
from beholder.errors import ImageError, VideoError
from beholder.images import ImageSource

__all__ = ["VideoSource", "read_clips", "read_video", "read_video_rows"]

T = TypeVar("T")
VideoSource = str | os.PathLike[str] | Array | Tensor | Sequence[ImageSource]
"""What counts as one video."""
Choose = Callable[[int], Sequence[Sequence[int]]]
"""The number of frames of a video -> the positions of the frames of each of its clips."""


def read_video(source: VideoSource, *, alpha: Alpha = "white", limits: Limits = LIMITS) -> Tensor:
    """All frames of a video: uint8 (t, 3, h, w).

    Raises VideoError as `read_clips`.
    """
    return read_clips(
        source, lambda count: [range(count)], lambda _, clip: clip, alpha=alpha, limits=limits
    )[0]


def read_clips(
    source: VideoSource,
    choose: Choose,
    use: Callable[[int, Tensor], T],
    *,
    alpha: Alpha = "white",
    limits: Limits = LIMITS,
) -> list[T]:
    """What `use` makes of each clip of a video, from one decoding of the frames wanted.

    A clip is given away as soon as it is complete: a long video that is cut into clips never lies
    in memory as a whole.

    Args:
        source: one video.
        choose: says by the number of frames which of them make up each clip; what it raises is
            passed on. It is asked again if a file turns out to hold fewer frames than packets.
        use: gets the number of a clip and its frames, uint8 (t, 3, h, w), channels last in memory.
        alpha: what shows behind transparent pixels.
        limits: the largest frame, and the largest file of a frame or animation, that is read.

    Raises:
        VideoError: if the video, or a frame wanted, cannot be read; it names the video.
        MissingDependencyError: if a file needs PyAV and it is not there.
    """
    with _naming(source):
        opened = _open(source, alpha, limits)
        if opened.count < 1:
            raise VideoError("empty", "it has no frame")
    try:
        return _clips(source, opened, choose(opened.count), use)
    except FewerFrames as fewer:
        return _clips(source, opened, choose(fewer.count), use)


def _clips(
    source: VideoSource,
    opened: Opened,
    clips: Sequence[Sequence[int]],
    use: Callable[[int, Tensor], T],
) -> list[T]:
    ends, until = _schedule(clips)
    held: dict[int, Tensor] = {}
    results: dict[int, T] = {}
    with closing(opened.frames(sorted(until))) as frames:
        for position in sorted(until):
            with _naming(source):
                held[position] = next(frames)
                complete = {n: _stacked([held[at] for at in clips[n]]) for n in ends[position]}
            results |= {number: use(number, clip) for number, clip in complete.items()}
            held = {at: frame for at, frame in held.items() if until[at] > position}
    return [results[number] for number in range(len(clips))]


def _schedule(
    clips: Sequence[Sequence[int]],
) -> tuple[Mapping[int, list[int]], Mapping[int, int]]:
    """The clips that are complete at each position, and until which each position is needed."""
    ends: defaultdict[int, list[int]] = defaultdict(list)
    until: dict[int, int] = {}
    for number, clip in enumerate(clips):
        ends[max(clip)].append(number)
        for position in clip:
            until[position] = max(until.get(position, 0), max(clip))
    return ends, until


def _stacked(frames: Sequence[Tensor]) -> UInt8[Tensor, "t 3 h w"]:
    sizes = {tuple(frame.shape[1:]) for frame in frames}
    if len(sizes) > 1:
        listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise VideoError("shape", f"its frames have several sizes: {listed}")
    # decoders put channels last, and rows that lie together are copied four times as fast
    return torch.stack([frame.permute(1, 2, 0) for frame in frames]).permute(0, 3, 1, 2)


def _open(source: VideoSource, alpha: Alpha, limits: Limits) -> Opened:
    if isinstance(source, str | os.PathLike):
        if os.path.isdir(source):  # noqa: PTH112  (Path.is_dir raises where it may not look)
            return open_pictures(frame_files(Path(source)), alpha, limits)
        return open_file(Path(source), alpha, limits)
    if isinstance(source, Tensor | np.ndarray):
        return open_array(source, alpha, limits)
    if isinstance(source, Sequence) and not isinstance(source, bytes):
        return open_pictures(source, alpha, limits)
    raise VideoError("type", "expected a path, array, tensor or sequence of pictures")


@contextmanager
def _naming(source: VideoSource) -> Iterator[None]:
    """Inside, a fault names the video."""
    try:
        yield
    except (VideoError, ImageError) as error:
        raise VideoError(error.code, f"{_shown(source)}: {error}") from error
    except MemoryError as error:
        raise VideoError("memory", f"{_shown(source)}: not enough memory to decode it") from error


def _shown(source: VideoSource) -> str:
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    if isinstance(source, Tensor | np.ndarray):
        return f"{type(source).__name__} {tuple(source.shape)} of {source.dtype}"
    return f"a {type(source).__name__}"
