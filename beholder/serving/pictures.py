"""Pictures as text and as bare pixels: checked by length before a byte of them is made."""

from __future__ import annotations

import binascii
from typing import Literal

from beholder._pixels import check_size
from beholder.errors import ImageError
from beholder.images import Limits
from beholder.serving.items import Fault, Picture

_STRETCH = 2**20  # of text; other threads run between two stretches
_BYTES = {"uint8": 1, "float32": 4}
_EXPECTED = "expected the alphabet with + and /, padded with =, no line breaks and no blanks"


def decoded(text: str) -> Picture | Fault:
    """The file that `text` is the base64 of (RFC 4648, section 4); Fault "base64" if it is not."""
    data = _bytes_of(text)
    return data if isinstance(data, Fault) else Picture(data=data)


def decoded_pixels(
    text: str, dtype: Literal["uint8", "float32"], size: tuple[int, int], limits: Limits
) -> Picture | Fault:
    """As `pixels`, of base64."""
    fault = _size_fault(_decoded_length(text), dtype, size, limits)
    if fault is not None:
        return fault
    data = _bytes_of(text)
    return data if isinstance(data, Fault) else pixels(data, dtype, size, limits)


def pixels(
    data: bytes, dtype: Literal["uint8", "float32"], size: tuple[int, int], limits: Limits
) -> Picture | Fault:
    """RGB pixels, row by row; `size` is height and width.

    Fault "shape", "too-large" or "aspect" if there are not height x width x 3 values of them, or
    if they are more than `limits` allow.
    """
    fault = _size_fault(len(data), dtype, size, limits)
    return fault or Picture(data=data, encoding=dtype, height=size[0], width=size[1])


def _size_fault(length: int, dtype: str, size: tuple[int, int], limits: Limits) -> Fault | None:
    height, width = size
    try:
        check_size(width, height, limits)
    except ImageError as error:
        return Fault(error.code, str(error))
    expected = height * width * 3 * _BYTES[dtype]
    if length == expected:
        return None
    return Fault(
        "shape",
        f"{length:,} bytes, but {height} x {width} RGB pixels of {dtype} are {expected:,}",
    )


def _decoded_length(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=", max(0, len(text) - 2))


def _bytes_of(text: str) -> bytes | Fault:
    """Strictly: nothing is skipped, so that no two texts hide the same picture from a cache."""
    try:
        if text.find("=", 0, max(0, len(text) - 2)) >= 0:
            return Fault("base64", f"not base64: {_hint(text, 'padding before its end; ')}")
        stretches = range(0, len(text), _STRETCH)
        return b"".join(
            binascii.a2b_base64(text[k : k + _STRETCH], strict_mode=True) for k in stretches
        )
    except ValueError:
        return Fault("base64", f"not base64: {_hint(text)}")


def _hint(text: str, wrong: str = "") -> str:
    """What to do about it; `wrong` is what was found, said unless something tells more."""
    if text.startswith("data:"):
        return 'leave out what stands before the comma, "data:image/…;base64,"'
    if "-" in text or "_" in text:
        return f"it seems to be of the URL alphabet; {_EXPECTED}"
    return wrong + _EXPECTED
