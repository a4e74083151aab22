"""MP4, MOV, WebM, MKV and AVI by PyAV: how many frames there are, and the wanted ones in order."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from beholder._pixels import Alpha, Limits, check_size, pixels_of, upright
from beholder.errors import MissingDependencyError, VideoError

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""Nothing else is tried: a playlist, whatever its name, would open other files."""
CUT = "it ends too early; write or download it again"


class FewerFrames(Exception):  # noqa: N818  (no error: the video is opened anew by its true count)
    """The decoder gave fewer frames than the file has packets of them, and found no fault."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@dataclass(frozen=True, slots=True)
class Opened:
    """A video that can be decoded.

    Attributes:
        count: how many frames it has.
        frames: ascending positions -> these frames, uint8 (3, h, w), decoded one by one.
    """

    count: int
    frames: Callable[[Sequence[int]], Generator[Tensor, None, None]]


def _import_av() -> Any:
    try:
        import av  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "reading video files needs PyAV: pip install 'beholder[video]'"
        ) from error
    return av


def open_container(path: Path, head: bytes, alpha: Alpha, limits: Limits) -> Opened:
    """An MP4, MOV, WebM, MKV or AVI, whose first bytes are `head`.

    Raises VideoError, or ImageError "too-large", if it cannot be opened, and
    MissingDependencyError if PyAV is not there.
    """
    av = _import_av()
    try:
        with _opened(av, path) as container:
            stream = _video_stream(container)
            check_size(stream.codec_context.width, stream.codec_context.height, limits)
            count = _packets(container, stream)
    except av.FFmpegError as error:
        raise _container_fault(path, head, error) from error
    return Opened(count, lambda positions: _decoded(av, path, positions, alpha))


def _opened(av: Any, path: Path) -> Any:
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    given = os.path.abspath(path)  # noqa: PTH100  (links kept)
    return av.open(given, options=options, metadata_errors="replace")  # old titles are no UTF-8


def _video_stream(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise VideoError("format", "it has no video stream")
    if stream.codec_context is None:
        raise VideoError("format", "no decoder is known for its video; write it as H.264")
    return stream


def _container_fault(path: Path, head: bytes, error: Exception) -> VideoError:
    if head[4:8] == b"ftyp":
        return VideoError("truncated", f"its index is missing or damaged: {CUT}")
    if head[:4] == b"RIFF" and path.stat().st_size < int.from_bytes(head[4:8], "little") + 8:
        return VideoError("truncated", CUT)
    if head[:4] in {b"\x1a\x45\xdf\xa3", b"RIFF"}:
        return VideoError("corrupt", f"its contents are damaged ({type(error).__name__})")
    return VideoError(
        "format",
        "not a video that is known; expected MP4, MOV, WebM, MKV, AVI, GIF, animated PNG or WebP, "
        ".npy, .npz or a folder of frames",
    )


def _packets(container: Any, stream: Any) -> int:
    """How many frames the file holds from its first key frame on, without decoding them.

    Raises VideoError "truncated" if it ends before the time that its header announces, and
    "empty".
    """
    frames: list[bool] = []
    ends: dict[int, float] = {}
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise VideoError("truncated", "one of its packets is incomplete; download it again")
        ends[packet.stream_index] = max(ends.get(packet.stream_index, 0.0), _end(packet))
        if packet.stream_index == stream.index and not packet.is_discard:
            frames.append(packet.is_keyframe)
    if not frames:
        raise VideoError("empty", "it holds no frame")
    _check_end(container, stream, ends, len(frames))
    return len(frames) - (frames.index(True) if any(frames) else 0)


def _end(packet: Any) -> float:
    start = packet.pts if packet.pts is not None else packet.dts
    return 0.0 if start is None else float((start + (packet.duration or 0)) * packet.time_base)


def _check_end(container: Any, stream: Any, ends: Mapping[int, float], count: int) -> None:
    """Raise VideoError "truncated" if the packets end before what the header announces.

    A header may say nothing, such as those of a browser's recordings.
    """
    frame = 1 / float(stream.average_rate or 25)
    end, tolerance = ends[stream.index], 2 * frame
    if container.format.name == "avi":  # its duration is a guess by the size of the file
        announced = stream.frames * frame
        tolerance = max(frame / 2, announced / count - frame)  # ticks may be finer than frames
    elif stream.duration is not None:
        announced = float(stream.duration * stream.time_base)
    elif "DURATION" in stream.metadata:  # of the track, as most writers of MKV and WebM note it
        announced = _seconds(stream.metadata["DURATION"])
    else:  # of the longest track, whose last packet may not say how long it lasts
        announced = float((container.duration or 0) / 1e6)
        end, tolerance = max(ends.values()), 0.5
    if end < announced - tolerance:
        raise VideoError(
            "truncated",
            f"its frames end at {end:.2f} s, but its header announces {announced:.2f} s",
        )


def _seconds(text: str) -> float:
    """Of "00:01:02.500000000"; 0 where it is no such text."""
    match = re.fullmatch(r"(\d+):(\d+):([\d.]+)", text.strip())
    if match is None:
        return 0.0
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])


def _decoded(
    av: Any, path: Path, positions: Sequence[int], alpha: Alpha
) -> Generator[Tensor, None, None]:
    wanted = set(positions)
    last = max(positions, default=-1)
    number = -1
    with _opened(av, path) as container:
        stream = _video_stream(container)
        stream.thread_type = "NONE"  # files are decoded side by side
        # without it damaged frames are patched up from their neighbours, and nobody is told
        stream.codec_context.options = {"err_detect": "explode+crccheck"}
        for number, frame in enumerate(_frames(av, container, stream)):
            if number > last:
                return
            if number in wanted:
                yield _pixels(av, frame, alpha)
    if number < 0:
        raise VideoError("corrupt", "none of its frames can be decoded; has it no key frame?")
    if number < last:
        raise FewerFrames(number + 1)


def _frames(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise VideoError("corrupt", f"the frame at {frame.time} s is damaged")
            yield frame
    except av.FFmpegError as error:
        raise VideoError(
            "corrupt", f"its contents are damaged ({type(error).__name__}); write it again"
        ) from error


def _pixels(av: Any, frame: Any, alpha: Alpha) -> UInt8[Tensor, "3 h w"]:
    layout = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    try:
        values = frame.reformat(format=layout, threads=1).to_ndarray()
    except (av.FFmpegError, ValueError) as error:
        raise VideoError("format", f"pixels of {frame.format.name} cannot be made RGB") from error
    pixels = pixels_of(torch.from_numpy(values).permute(2, 0, 1), alpha)
    return upright(pixels, _orientation(frame))


_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""EXIF's number by the signs of a, b, c, d in x' = ax + cy, y' = bx + dy, with y downwards."""


def _orientation(frame: Any) -> int:
    """EXIF's number of how the header wants a frame shown; 1 for angles that are not right."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1
    a, b, _, c, d = np.sign(np.frombuffer(bytes(matrix), dtype="=i4"))[:5].tolist()
    return _ORIENTATIONS.get((a, b, c, d), 1)
