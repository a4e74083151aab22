"""Pixels as PNG files, and pixels that are no picture."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from beholder._page.document import write_whole


def write_png(path: Path, pixels: Float[Tensor, "3 h w"]) -> None:
    """Write pixels in [0, 1] as an 8-bit PNG that is there whole or not at all."""
    from PIL import Image  # noqa: PLC0415

    levels = (pixels.detach().float().cpu() * 255).round().to(torch.uint8)
    encoded = io.BytesIO()
    Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy()).save(encoded, "PNG")
    write_whole(path, encoded.getvalue())


def picture_fault(pixels: Float[Tensor, "3 h w"]) -> str | None:
    """Why pixels are no picture; None if they are one."""
    if not bool(pixels.isfinite().all()):
        return "non-finite: the pipeline gave NaN or infinite pixels; try another dtype"
    if not bool(pixels.any()):
        return "black: every pixel is 0, as a safety filter or an overflow leaves it"
    return None
