"""Pictures as clean latents, made once and kept on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import ImageError
from beholder.images import read_images
from beholder.rewards._preprocess import resize
from beholder.training.fit.checkpoints import write_text
from beholder.training.pipeline import Driver, Sampling
from beholder.training.towers.pictures import Survey, share_of_chunks

_LATENTS, _KIND = "latents.bin", "latents.json"
_TOGETHER = 8  # pictures that are encoded in one pass


class LatentStore:
    """Latents in a folder that `write_latents` made, read through the page cache."""

    def __init__(self, folder: Path) -> None:
        kind = json.loads((folder / _KIND).read_text(encoding="utf-8"))
        self._dtype = getattr(torch, kind["dtype"])
        values = np.memmap(folder / _LATENTS, kind["stored"], mode="r")
        self._values = values.reshape(-1, *kind["shape"])

    def rows(self, rows: Sequence[int]) -> Tensor:
        """The latents of some pictures, on the CPU, in the dtype that they were encoded in."""
        return torch.from_numpy(self._values[list(rows)]).to(self._dtype)


def write_latents(
    pictures: Sequence[str], driver: Driver, sampling: Sampling, folder: Path
) -> tuple[dict[str, int], Survey]:
    """Encode pictures into a folder; gives the row of each, and why others cannot be read.

    Pictures are brought to the size that the pipeline samples: shorter side, then centre.
    Raises ConfigError if the pipeline cannot encode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = sampled_size(driver, sampling)
    rows: dict[str, int] = {}
    faults: Survey = {}
    with (folder / _LATENTS).open("wb") as file:
        for names, pixels in _readable(pictures, size, faults):
            latents = driver.encode(pixels, sampling)
            rows |= {name: len(rows) + k for k, name in enumerate(names)}
            stored = torch.float32 if latents.dtype == torch.float32 else torch.float16
            file.write(latents.to("cpu", stored).contiguous().numpy().tobytes())
            _write_kind(folder, latents, stored)
    return rows, faults


def sampled_size(driver: Driver, sampling: Sampling) -> tuple[int, int]:
    """Height and width of the pipeline's pictures, found by one step of sampling."""
    one_step = replace(sampling, steps=1, guidance=0)
    height, width = driver.sample([""], one_step, seeds=[0]).pixels.shape[-2:]
    return height, width


def fitted(
    picture: Shaped[Tensor, "3 h w"], size: tuple[int, int]
) -> Float[Tensor, "3 height width"]:
    """The centre of a picture whose shorter side was brought to the size; in [0, 1]."""
    sides = picture.shape[-2:]
    scale = max(wanted / side for wanted, side in zip(size, sides, strict=True))
    height, width = (max(w, round(s * scale)) for w, s in zip(size, sides, strict=True))
    resized = resize(picture[None], height, width)[0]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return resized[:, top : top + size[0], left : left + size[1]]


def _readable(
    pictures: Sequence[str], size: tuple[int, int], faults: Survey
) -> Iterator[tuple[list[str], Float[Tensor, "b 3 h w"]]]:
    """The pictures that can be read, some at a time; `faults` gets the others."""
    for chunk in share_of_chunks(pictures, 0, 1):
        read = dict(zip(chunk, read_images(chunk), strict=True))
        broken = {name: one for name, one in read.items() if isinstance(one, ImageError)}
        faults |= {name: f"{error.code}: {error}" for name, error in broken.items()}
        good = {name: one for name, one in read.items() if isinstance(one, Tensor)}
        for start in range(0, len(good), _TOGETHER):
            names = list(good)[start : start + _TOGETHER]
            yield names, torch.stack([fitted(good[name], size) for name in names])


def _write_kind(folder: Path, latents: Tensor, stored: torch.dtype) -> None:
    """What `LatentStore` reads first."""
    names = {"dtype": latents.dtype, "stored": stored}
    kind = {key: str(dtype).removeprefix("torch.") for key, dtype in names.items()}
    write_text(folder / _KIND, json.dumps({"shape": list(latents.shape[1:]), **kind}))
