"""Videos that are arrays, animations or pictures, opened; a file is known by its first bytes."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from beholder._inputs.picture_files import read_file
from beholder._pixels import Alpha, Array, Limits
from beholder._videos.video_containers import CUT, Opened, open_container
from beholder.errors import ImageError, VideoError
from beholder.images import read_image

_ARRAY_FAULTS = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, SyntaxError, ArithmeticError),
    *(RuntimeError, BadZipFile, zlib.error, struct.error, TokenError),
)
_ANIMATION_FAULTS = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
    Warning,  # Pillow's, where the user turned warnings into errors
)


def open_file(path: Path, alpha: Alpha, limits: Limits) -> Opened:
    """A video file, recognised by its first bytes, never by its name.

    Raises VideoError, or ImageError with the same codes, if it cannot be opened.
    """
    head = _head(path)
    if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return open_array(load_array(path), alpha, limits)
    if head.startswith((b"GIF8", b"\x89PNG")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return _animation(path, alpha, limits)
    return open_container(path, head, alpha, limits)


def _head(path: Path) -> bytes:
    try:
        _refuse_special(path.stat().st_mode)
        with path.open("rb") as file:
            head = file.read(16)
    except VideoError:  # it is a ValueError too
        raise
    except PermissionError as error:
        raise VideoError("unreadable", "permission denied") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError("missing", "no such file or folder") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise VideoError("unreadable", f"cannot be opened ({type(error).__name__})") from error
    if not head:
        raise VideoError("empty", "it has no bytes; write or download it again")
    return head


def _refuse_special(mode: int) -> None:
    if not stat.S_ISREG(mode):  # opening a pipe would wait
        raise VideoError("not-a-file", "a pipe, socket or device, expected a regular file")


def open_pictures(frames: Sequence[Any], alpha: Alpha, limits: Limits) -> Opened:
    """Pictures of any kind as the frames of a video; each is read when it is wanted."""

    def wanted(positions: Sequence[int]) -> Generator[Tensor, None, None]:
        for position in positions:
            try:
                yield _eight_bit(read_image(frames[position], alpha=alpha, limits=limits))
            except ImageError as error:
                raise VideoError(error.code, f"frame {position}: {error}") from error

    return Opened(len(frames), wanted)


def open_array(values: Array | Tensor, alpha: Alpha, limits: Limits) -> Opened:
    """An array (t, h, w, c) or tensor (t, c, h, w) of the values that `read_image` takes.

    Raises VideoError "shape" if it has other axes.
    """
    if values.ndim != 4:
        layout = "(t, c, h, w)" if isinstance(values, Tensor) else "(t, h, w, c)"
        raise VideoError("shape", f"expected {layout}, got {tuple(values.shape)}")
    return open_pictures(list(values), alpha, limits)


def _eight_bit(picture: Tensor) -> UInt8[Tensor, "3 h w"]:
    if picture.dtype == torch.uint8:
        return picture
    return (picture.detach() * 255).round().to(torch.uint8)


def load_array(path: Path) -> Array:
    """The array of a `.npy`, or of a `.npz` that holds one; a `.npy` stays on the disk.

    Raises VideoError if it is damaged, or if a `.npz` holds several and none is named "video".
    """
    try:
        return _loaded(path)
    except VideoError:  # it is a ValueError too
        raise
    except _ARRAY_FAULTS as error:
        raise VideoError(
            "corrupt", f"no readable array of numbers ({type(error).__name__}); write it again"
        ) from error


def _loaded(path: Path) -> Array:
    if _head(path).startswith(b"\x93NUMPY"):
        on_disk: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return on_disk
    # opened here, since numpy leaves a damaged archive open
    with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
        names = loaded.files
        name = names[0] if len(names) == 1 else "video"
        if name not in names:
            raise VideoError(
                "format", f"holds the arrays {', '.join(names)}; expected one, or one named video"
            )
        values: Array = loaded[name]
        if not isinstance(values, np.ndarray):  # an archive of something else gives bytes
            raise VideoError("format", "a ZIP archive without arrays; unpack it first")
        return values


def _animation(path: Path, alpha: Alpha, limits: Limits) -> Opened:
    """A GIF, or an animated PNG or WebP; a still one is a video of one frame."""
    data = read_file(path, limits.bytes)
    if _is_cut(data):
        raise VideoError("truncated", CUT)
    try:
        with Image.open(path, formats=["GIF", "PNG", "WEBP"]) as image:
            count = int(getattr(image, "n_frames", 1))
    except _ANIMATION_FAULTS as error:
        raise _animation_fault(error) from error
    if count < _announced(data):  # Pillow warns, and shows the first picture alone
        raise VideoError("corrupt", "it is announced as an animation, but its frames are damaged")

    def wanted(positions: Sequence[int]) -> Generator[Tensor, None, None]:
        with Image.open(path, formats=["GIF", "PNG", "WEBP"]) as image:
            for position in positions:
                yield _animation_frame(image, position, alpha, limits)

    return Opened(count, wanted)


def _animation_frame(
    image: Image.Image, position: int, alpha: Alpha, limits: Limits
) -> UInt8[Tensor, "3 h w"]:
    try:
        image.seek(position)
        return _eight_bit(read_image(image, alpha=alpha, limits=limits))
    except ImageError as error:
        raise VideoError(error.code, f"frame {position}: {error}") from error
    except _ANIMATION_FAULTS as error:
        raise _animation_fault(error) from error


def _animation_fault(error: Exception) -> VideoError:
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return VideoError("truncated", CUT)
    return VideoError("corrupt", f"its contents are damaged ({type(error).__name__})")


def _is_cut(data: bytes) -> bool:
    """Whether an animation lacks its end, which Pillow takes for one of fewer frames."""
    if data.startswith(b"GIF8"):
        return _gif_is_cut(data)
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    return len(data) < int.from_bytes(data[4:8], "little") + 8


def _gif_is_cut(data: bytes) -> bool:
    """Whether the blocks of a GIF end before its trailer."""
    at = 13 + _palette(data, 10)
    while data[at : at + 1] in {b"!", b","}:
        # an extension has a label; a picture has place, size, palette and the width of its codes
        at += 2 if data[at] == 0x21 else 11 + _palette(data, at + 9)
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return data[at : at + 1] != b";"


def _announced(data: bytes) -> int:
    """The frames that an animated PNG announces, 2 if that number is damaged; 1 for all others."""
    _, mark, after = data.partition(b"IDAT")[0].partition(b"acTL")
    if not data.startswith(b"\x89PNG") or not mark:
        return 1
    return int.from_bytes(after[:4]) or 2


def _palette(data: bytes, at: int) -> int:
    """The bytes of the palette that the flags at a place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
