"""Rotary angles of Qwen2-VL: exact, or of the precision with which a model was trained."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError

Rotary = Literal["float32", "bfloat16"]
"""The type that frequencies are rounded to. A model cast with `model.to(torch.bfloat16)` has its
frequencies rounded too, which at token 700 is an angle wrong by up to a radian; one that was
trained so needs them so."""


def check_rotary(rotary: str) -> Rotary:
    """The type's name; ConfigError if it is none of `Rotary`."""
    known = get_args(Rotary)
    if rotary not in known:
        raise ConfigError(f"rotary is one of {', '.join(known)}; got {rotary!r}")
    return cast("Rotary", rotary)


def grid_angles(
    rows: int, columns: int, merge: int, width: int, rotary: Rotary
) -> tuple[Float[Tensor, "n width"], Float[Tensor, "n width"]]:
    """Cosine and sine for the patches of a picture, in the order of `patches`.

    `width` is that of an attention head; its first half turns with the row, its second with the
    column. With "bfloat16" frequency, angle, cosine and sine are rounded to it, as transformers
    4.45 computes them in a model cast as a whole.
    """
    dtype = torch.bfloat16 if rotary == "bfloat16" else torch.float32
    steps = torch.arange(0, width // 2, 2) / (width // 2)
    frequencies = (1 / 10_000.0**steps).to(dtype)
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    blocks = places.reshape(rows // merge, merge, columns // merge, merge, 2).transpose(1, 2)
    angles = (blocks.reshape(-1, 2, 1).to(dtype) * frequencies).flatten(1)
    return angles.cos().float().repeat(1, 2), angles.sin().float().repeat(1, 2)


def renew_rotary(text: Any, rotary: Rotary) -> None:
    """Give a `Qwen2VLTextModel` its frequencies anew, float32 numbers on the device of its weights.

    No file holds them, and a cast of the model would have rounded them.
    """
    table = type(text.rotary_emb)(text.config)
    if rotary == "bfloat16":
        table.inv_freq = table.inv_freq.bfloat16().float()
    text.rotary_emb = table.to(text.norm.weight.device)
