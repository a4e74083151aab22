"""The one door for pictures: a path, bytes, PIL image, array or tensor in, a checked tensor out.

Every fault is an `ImageError` whose `code` is one of these, so that failures can be counted:

    missing, not-a-file, unreadable, empty     the file itself
    format, truncated, corrupt                 its contents
    too-large, aspect                          a limit, found before any pixel is decoded
    type, dtype, shape, range, non-finite      a picture that came as an object, array or tensor
    memory                                     the machine ran out of it

JPEG, PNG, WebP, GIF and BMP are recognised by their first bytes, never by the name. The first frame
of an animation counts; EXIF (or XMP) orientation is applied; ICC profiles and gamma are ignored, as
the published rewards do. Messages quote the name of a file, never its contents.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from beholder._inputs.picture_files import check_bytes, picture_format, read_file
from beholder._pixels import (
    LIMITS,
    Alpha,
    Array,
    Limits,
    channels_first,
    check_size,
    pixels_of,
    upright,
)
from beholder.errors import ConfigError, DataError, ImageError

__all__ = [
    "LIMITS",
    "Alpha",
    "ImageSource",
    "Limits",
    "as_list",
    "read_each",
    "read_image",
    "read_images",
]

T = TypeVar("T")

ImageSource = str | os.PathLike[str] | bytes | Image.Image | Array | Tensor | ImageError
"""What counts as one picture; `read_image` says how each is read."""

_DECODER_FAULTS: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # Pillow's, where the user turned warnings into errors
)
"""Everything that Pillow, simplejpeg or torch was seen or documented to raise for a bad picture."""

_TOO_SHORT = "its pixels end too early; write or download it again"
_METADATA_OR_PIXELS = (b"\xe1", b"\xda")
_STRIP_PIXELS = 4_000_000
_LAST_MARKER = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}


class _Quiet:
    """No warnings of Pillow inside: of damaged EXIF, odd animations, large headers.

    Warning filters belong to the whole process, so the threads share one change of them: the
    first in makes it and the last out takes it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


def as_list(images: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """The pictures one by one: of one picture, a sequence, a batch tensor or a batch array.

    A tensor (b, c, h, w) or an array (b, h, w, c) is a batch; one with fewer axes is one picture.
    Raises DataError if `images` is neither a picture nor a sequence.
    """
    if isinstance(images, Tensor | np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, str | os.PathLike | bytes | Image.Image | ImageError):
        return [images]
    if isinstance(images, Sequence):
        return list(cast("Sequence[ImageSource]", images))
    raise DataError(
        f"expected a picture or a sequence of pictures, got {type(images).__name__}; "
        "a picture is a path, encoded bytes, PIL image, array or tensor"
    )


def read_images(
    sources: Sequence[ImageSource],
    *,
    alpha: Alpha = "white",
    limits: Limits = LIMITS,
    threads: int | None = None,
) -> list[Tensor | ImageError]:
    """Each picture as `read_image` gives it, or the reason why it cannot be read; same order.

    Never raises for a picture. A path, or the same object, that occurs twice is read once.

    Args:
        sources: pictures of any kind, also mixed.
        alpha: what shows behind transparent pixels.
        limits: the largest picture that is read.
        threads: for files, bytes and PIL images; None takes min(8, CPU count).

    Raises:
        ConfigError: if `alpha` is unknown or `threads` is below 1.
    """
    return read_each(sources, lambda picture: picture, alpha=alpha, limits=limits, threads=threads)


def read_each(
    sources: Sequence[ImageSource],
    use: Callable[[Tensor], T],
    *,
    alpha: Alpha = "white",
    limits: Limits = LIMITS,
    threads: int | None = None,
) -> list[T | ImageError]:
    """What `use` makes of each picture, or the reason why it cannot be read; as `read_images`.

    `use` runs in the thread that decoded the picture, which is then forgotten: give it work such
    as a resize, and large pictures never lie in memory together.
    """
    _check_alpha(alpha)
    sources = list(sources)  # a data set may make each picture anew when asked
    if threads is not None and threads < 1:
        raise ConfigError(f"threads must be 1 or more, got {threads}")

    def read(source: ImageSource) -> T | ImageError:
        try:
            picture = read_image(source, alpha=alpha, limits=limits)
        except ImageError as error:
            # anew, since its traceback would keep the bytes of the file in memory
            return ImageError(error.code, str(error))
        return use(picture)

    keys = [_identity(source) for source in sources]
    distinct = dict(zip(keys, sources, strict=True))
    encoded = {k: s for k, s in distinct.items() if not isinstance(s, Tensor | np.ndarray)}
    results = _in_threads(read, encoded, threads or min(8, os.cpu_count() or 1))
    results |= {key: read(distinct[key]) for key in distinct if key not in encoded}
    return [results[key] for key in keys]


def _identity(source: ImageSource) -> Hashable:
    """What two sources share that are surely one picture: a path, or the object itself.

    Two threads must not decode one lazily opened PIL image.
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return id(source)


def _in_threads(
    read: Callable[[ImageSource], T], sources: Mapping[Hashable, ImageSource], threads: int
) -> dict[Hashable, T]:
    workers = min(threads, len(sources))
    if workers <= 1:
        return {key: read(source) for key, source in sources.items()}
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        return dict(zip(sources, pool.map(read, sources.values()), strict=True))


def read_image(source: ImageSource, *, alpha: Alpha = "white", limits: Limits = LIMITS) -> Tensor:
    """The picture as (3, h, w) sRGB: uint8, or float32 in [0, 1] if it came as float.

    A decoded file is laid out as Pillow does, channels last in memory; use it as any tensor.

    Args:
        source: a path; encoded bytes; a PIL image; an array (h, w) or (h, w, 1 | 3 | 4); or a
            tensor (1 | 3 | 4, h, w), which stays on its device and keeps its gradient. Arrays
            and tensors are uint8, uint16 (scaled, not clipped), bool or float in [0, 1]. An
            ImageError stands for a picture that is known to be unreadable, and is raised.
        alpha: what shows behind transparent pixels.
        limits: the largest picture that is read.

    Raises:
        ImageError: if the picture cannot be read; `code` is one of the module's list.
        ConfigError: if `alpha` is unknown.
    """
    _check_alpha(alpha)
    if isinstance(source, ImageError):
        raise ImageError(source.code, str(source))
    try:
        return _decode(source, alpha, limits)
    except ImageError as error:
        raise ImageError(error.code, f"{_shown(source)}: {error}") from error
    except MemoryError as error:
        raise ImageError("memory", f"{_shown(source)}: not enough memory to decode it") from error
    except _DECODER_FAULTS as error:
        code, reason = _decoder_fault(error)
        raise ImageError(code, f"{_shown(source)}: {reason}") from error


def _check_alpha(alpha: str) -> None:
    if alpha not in get_args(Alpha):
        raise ConfigError(f"alpha must be one of {', '.join(get_args(Alpha))}; got {alpha!r}")


def _decode(source: ImageSource, alpha: Alpha, limits: Limits) -> Tensor:
    if isinstance(source, Tensor):
        return _from_tensor(source, alpha, limits)
    if isinstance(source, np.ndarray):
        return _from_tensor(channels_first(source), alpha, limits)
    if isinstance(source, Image.Image):
        return _from_pil(source, alpha, limits)
    if isinstance(source, bytes):
        return _from_bytes(source, alpha, limits)
    if isinstance(source, str | os.PathLike):
        return _from_bytes(read_file(source, limits.bytes), alpha, limits)
    raise ImageError("type", "expected a path, encoded bytes, PIL image, array or tensor")


def _from_tensor(values: Tensor, alpha: Alpha, limits: Limits) -> Tensor:
    if values.ndim == 3:
        check_size(values.shape[2], values.shape[1], limits)
    return pixels_of(values, alpha)


def _decoder_fault(error: Exception) -> tuple[str, str]:
    if isinstance(error, Image.DecompressionBombError):
        return "too-large", "its header announces more pixels than any limit allows"
    text = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in text or "premature end of jpeg" in text:
        return "truncated", _TOO_SHORT
    return "corrupt", f"its contents are damaged ({type(error).__name__}); write it again"


def _shown(source: object) -> str:
    """What names the source in a message; `repr` escapes control characters of file names."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        shown = repr(name if len(name) <= 160 else f"{name[:40]}…{name[-100:]}")
        return "a data: URI" if shown[1:6] == "data:" else shown
    if isinstance(source, bytes):
        return f"{len(source)} encoded bytes"
    if isinstance(source, Image.Image):
        return f"PIL image of mode {source.mode}, {source.width} x {source.height}"
    if isinstance(source, Tensor | np.ndarray):
        return f"{type(source).__name__} {tuple(source.shape)} of {source.dtype}"
    return f"a {type(source).__name__}"


def _from_bytes(data: bytes, alpha: Alpha, limits: Limits) -> Tensor:
    check_bytes(len(data), limits.bytes)
    kind = picture_format(data)
    if kind == "JPEG" and (pixels := _fast_jpeg(data, limits)) is not None:
        return pixels
    # checked here because anyone may have set Pillow's global LOAD_TRUNCATED_IMAGES
    if _LAST_MARKER.get(kind, b"") not in data:
        raise ImageError("truncated", _TOO_SHORT)
    with _quiet, Image.open(io.BytesIO(data), formats=[kind]) as image:
        return _from_pil(image, alpha, limits)


def _fast_jpeg(data: bytes, limits: Limits) -> UInt8[Tensor, "3 h w"] | None:
    """The pixels of a grey or colour JPEG, equal to Pillow's; None where Pillow must decode.

    Strict: what libjpeg only warns of, such as a missing end, raises.
    """
    import simplejpeg  # noqa: PLC0415

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # KeyError: a subsampling that it has no name for
        return None
    if colours not in {"YCbCr", "RGB", "Gray"}:
        return None
    check_size(width, height, limits)
    pixels = torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB")).permute(2, 0, 1)
    return upright(pixels, _jpeg_orientation(data))


def _jpeg_orientation(data: bytes) -> int:
    if not _has_metadata(data):
        return 1
    try:
        with _quiet, Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return _orientation(image)
    except _DECODER_FAULTS:
        return 1


def _has_metadata(data: bytes) -> bool:
    """Whether an APP1 segment, EXIF or XMP, comes before the pixels of a JPEG."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in _METADATA_OR_PIXELS:
        is_fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4])
    return data[at : at + 2] == b"\xff\xe1"


def _from_pil(image: Image.Image, alpha: Alpha, limits: Limits) -> Tensor:
    check_size(image.width, image.height, limits)
    with _quiet:
        image.load()
        strips = [pixels_of(channels_first(_pil_values(s)), alpha) for s in _strips(image)]
        pixels = strips[0] if len(strips) == 1 else torch.cat(strips, dim=1)
        return upright(pixels, _orientation(image))


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """The image in strips, mostly one: copies of a huge picture would fill the memory."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _pil_values(image: Image.Image) -> Array:
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        values = np.array(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError("range", "32-bit values outside 16 bits; scale them to 8 or 16 bits")
        return values.astype(np.uint16)
    if image.mode == "F":
        return np.array(image)
    if image.has_transparency_data:
        return np.array(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation 1 to 8; 1 where it is absent or unreadable."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except _DECODER_FAULTS:
        return 1
