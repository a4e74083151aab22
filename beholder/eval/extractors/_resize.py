"""The resizes of the published metrics, each by its name: the same picture, other numbers.

| name | what it does | whose |
|---|---|---|
| tf1 | bilinear of TensorFlow 1: corners at 0, no half pixel, no antialias | FID, torch-fidelity |
| clean | bicubic of floats, antialias, cut to [0, 255], not rounded | clean-fid |
| pytorch-legacy | bilinear with half pixels, no antialias | pytorch-fid |
| tm-antialias | bilinear with half pixels, antialias | torchmetrics 1.9 |
| dgm-uint8 | Pillow's bicubic, rounded to uint8 | dgm-eval |
| edm2 | bicubic of floats, antialias, neither cut nor rounded | EDM2 |
| cmmd | the largest square in the middle, then as dgm-uint8 | CMMD |
| clip | Pillow's bicubic to the short side, rounded, then the square in the middle | CLIP |

All but the last two stretch a picture to its new sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from beholder.errors import ConfigError, DataError

_STRIP = 2**18  # values that are shrunk at once: a few MiB stay in a processor's cache


def resized(pictures: Tensor, size: int | tuple[int, int], protocol: str) -> Tensor:
    """Pictures (..., 3, h, w), uint8, by a named resize: (..., 3, s, t) in [0, 255].

    The result is uint8 for the protocols that round, else float32; "edm2" overshoots the range.

    Args:
        pictures: one picture, or any number of them, such as the frames of a clip.
        size: the new side, or height and width.
        protocol: one of `NAMES`.

    Raises:
        ConfigError: if the protocol is unknown.
        DataError: if the pictures are not uint8 of three channels and at least one pixel.
    """
    check_protocol(protocol, NAMES)
    if pictures.dtype != torch.uint8 or pictures.ndim < 3 or pictures.shape[-3] != 3:
        raise DataError(
            f"expected pictures (..., 3, h, w) of uint8, got {tuple(pictures.shape)} of "
            f"{pictures.dtype}"
        )
    if pictures.numel() == 0:
        raise DataError(f"pictures of shape {tuple(pictures.shape)} have no pixel to resize")
    height, width = (size, size) if isinstance(size, int) else size
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    result = _PROTOCOLS[protocol](flat, height, width)
    return result.reshape(*pictures.shape[:-2], height, width)


def check_protocol(protocol: str, known: Sequence[str]) -> None:
    """Raise ConfigError if a resize is none of `known`."""
    if protocol not in known:
        raise ConfigError(f"resize must be one of {', '.join(known)}; got {protocol!r}")


def _tf1(pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int) -> Float[Tensor, "n 3 s t"]:
    """Each row is interpolated once, and only rows that are read: the same bits, in less time."""
    here = pictures.device
    rows, top, bottom, down = (t.to(here) for t in _rows(pictures.shape[2], height))
    left, right, across = (t.to(here) for t in _neighbours(pictures.shape[3], width))
    if len(rows) < pictures.shape[2]:
        pictures = pictures[:, :, rows]
    values = pictures.float().contiguous()
    lines = _between(values[..., left], values[..., right], across)
    return _between(lines[:, :, top], lines[:, :, bottom], down[:, None])


def _between(
    first: Float[Tensor, "*s"], second: Float[Tensor, "*s"], share: Float[Tensor, "..."]
) -> Float[Tensor, "*s"]:
    return second.sub_(first).mul_(share).add_(first)


@lru_cache(maxsize=256)
def _neighbours(
    source: int, target: int
) -> tuple[Int[Tensor, " t"], Int[Tensor, " t"], Float[Tensor, " t"]]:
    """Lower and upper pixel and the share of the upper one, for each new place.

    In float32, as in TensorFlow: at some places the rounding decides between two pixels.
    """
    places = torch.arange(target, dtype=torch.float32) * torch.tensor(source / target)
    lower = places.long()
    return lower, (lower + 1).clamp_max(source - 1), places - lower.float()


@lru_cache(maxsize=256)
def _rows(
    source: int, target: int
) -> tuple[Int[Tensor, " r"], Int[Tensor, " t"], Int[Tensor, " t"], Float[Tensor, " t"]]:
    """The rows that are read, and `_neighbours` as indices into them."""
    lower, upper, share = _neighbours(source, target)
    rows, places = torch.cat((lower, upper)).unique(return_inverse=True)
    return rows, places[:target], places[target:], share


def _clean(pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int) -> Float[Tensor, "n 3 s t"]:
    """Pillow's bicubic of floats, cut to [0, 255].

    In float32 torch's filter sits up to 1e-5 pixels off Pillow's, worth 6e-3 grey levels. Rows are
    shrunk before columns are, strip by strip, so that a large picture is never whole in float64:
    the same bits in half the time.
    """
    strips = [pictures]
    if pictures.device.type == "cpu":
        rows = max(1, _STRIP // (len(pictures) * 3 * pictures.shape[3]))
        strips = list(pictures.contiguous().split(rows, dim=2))
    narrow = torch.cat([_bicubic(strip.double(), strip.shape[2], width) for strip in strips], 2)
    return _bicubic(narrow, height, width).float().clamp_(0, 255)


def _bicubic(values: Float[Tensor, "n 3 h w"], height: int, width: int) -> Float[Tensor, "n 3 s t"]:
    return functional.interpolate(values, (height, width), mode="bicubic", antialias=True)


def _torch(mode: str, *, antialias: bool) -> Callable[[Tensor, int, int], Tensor]:
    def resize(
        pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int
    ) -> Float[Tensor, "n 3 s t"]:
        return functional.interpolate(
            pictures.float(), (height, width), mode=mode, antialias=antialias
        )

    return resize


def _pillow(
    pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int
) -> UInt8[Tensor, "n 3 s t"]:
    last = pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    new = [_pillow_one(Image.fromarray(p), (width, height)) for p in last]
    return torch.from_numpy(np.stack(new)).permute(0, 3, 1, 2).to(pictures.device)


def _pillow_one(picture: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def _square_first(
    pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int
) -> UInt8[Tensor, "n 3 s t"]:
    old_height, old_width = pictures.shape[2:]
    side = min(old_height, old_width)
    top, left = (old_height - side) // 2, (old_width - side) // 2
    return _pillow(pictures[:, :, top : top + side, left : left + side], height, width)


def _square_last(
    pictures: UInt8[Tensor, "n 3 h w"], height: int, width: int
) -> UInt8[Tensor, "n 3 s t"]:
    old_height, old_width = pictures.shape[2:]
    side, short = max(height, width), min(old_height, old_width)
    sides = [int(side * old / short) for old in (old_height, old_width)]
    new = _pillow(pictures, *sides)
    # Python's rounding of halves to even is part of CLIP's crop
    top, left = round((sides[0] - height) / 2), round((sides[1] - width) / 2)
    return new[:, :, top : top + height, left : left + width]


_PROTOCOLS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "tf1": _tf1,
    "clean": _clean,
    "pytorch-legacy": _torch("bilinear", antialias=False),
    "tm-antialias": _torch("bilinear", antialias=True),
    "dgm-uint8": _pillow,
    "edm2": _torch("bicubic", antialias=True),
    "cmmd": _square_first,
    "clip": _square_last,
}

NAMES = tuple(_PROTOCOLS)
"""The resizes that `resized` knows."""
