"""Pictures of items to what rewards take: decoded once, shrunk by each of their fittings."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from beholder._inputs.picture_files import picture_format
from beholder._pixels import Array
from beholder.errors import ImageError
from beholder.images import Alpha, Limits, read_image
from beholder.rewards._base import shrunk
from beholder.rewards._preprocess import Fitting
from beholder.serving.items import Fault, Picture

PEAK = 12
"""Bytes a pixel that decoding takes at most: four channels as decoded, the result in strips, and
the result."""

_TYPES = {"uint8": "<u1", "float32": "<f4"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as rewards want it.

    Attributes:
        views: shrunk by each fitting; None has it whole.
        size: height and width of the whole one.
    """

    views: Mapping[Fitting | None, Tensor]
    size: tuple[int, int]

    @property
    def memory(self) -> int:
        """Bytes of the views."""
        return sum(view.nbytes for view in self.views.values())


def decoded(
    picture: Picture, fittings: Set[Fitting | None], alpha: Alpha, limits: Limits
) -> Decoded | Fault:
    """The picture for each of `fittings`, or why it cannot be read; it never raises."""
    try:
        source = picture.data if picture.encoding == "file" else _array(picture)
        whole = read_image(source, alpha=alpha, limits=limits)
        views = {fitting: shrunk(whole, fitting) for fitting in fittings}
        return Decoded(views, (int(whole.shape[1]), int(whole.shape[2])))
    except ImageError as error:
        return Fault(error.code, str(error))
    except MemoryError:
        return Fault("memory", "not enough memory to decode it")
    except Exception as error:  # noqa: BLE001  (such as a fitting of somebody's own)
        return Fault("reward-failed", f"the picture cannot be shrunk: {type(error).__name__}")


def decoding_bytes(picture: Picture, limits: Limits) -> int:
    """Memory that decoding a picture takes at most, found without decoding it.

    0 for what is going to be refused, as being no picture or too large.
    """
    if picture.encoding != "file":
        return 3 * len(picture.data)
    height, width = announced_size(picture.data)
    return PEAK * height * width if height * width <= limits.pixels else 0


def announced_size(data: bytes) -> tuple[int, int]:
    """Height and width as the header of a file says; zeros where it cannot be found there."""
    try:
        return _SIZES[picture_format(data)](data)
    except (ImageError, ValueError, KeyError, struct.error):
        return 0, 0


def _array(picture: Picture) -> Array:
    kind = np.dtype(_TYPES[picture.encoding])
    height, width = picture.height, picture.width
    expected = height * width * 3 * kind.itemsize
    if len(picture.data) != expected or height < 0:
        raise ImageError(
            "shape",
            f"{len(picture.data)} bytes of pixels, expected {expected} for {height} x {width} x 3 "
            f"of {picture.encoding}",
        )
    return np.frombuffer(picture.data, kind).reshape(height, width, 3)


def _jpeg(data: bytes) -> tuple[int, int]:
    import simplejpeg  # noqa: PLC0415

    height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    return int(height), int(width)


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _bmp(data: bytes) -> tuple[int, int]:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return abs(height), abs(width)  # a negative height says that the top row comes first


def _webp(data: bytes) -> tuple[int, int]:
    """Of the three kinds of first chunk: extended, lossless, lossy."""
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return height + 1, width + 1
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return height & 0x3FFF, width & 0x3FFF


_SIZES: Mapping[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
}
