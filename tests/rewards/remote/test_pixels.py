"""Pixels travel unchanged, and each picture is known for what it is."""

import numpy as np
import pytest
import torch
from torch import Tensor

from beholder.rewards._remote.pixels import Raw, marked, raw
from beholder.rewards.ensemble import packed, unpacked


def sent(found: Raw) -> Tensor:
    kind = {"uint8": "u1", "float32": "<f4"}[found.dtype]
    rows = np.frombuffer(found.data, kind).reshape(found.height, found.width, 3)
    return torch.from_numpy(rows.copy()).permute(2, 0, 1)


def test_all_levels_of_eight_bits_travel_as_they_are() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    found = raw(marked(pixels)[0])
    assert (found.dtype, found.height, found.width, len(found.data)) == ("uint8", 16, 16, 768)
    assert torch.equal(sent(found), pixels[0])


@pytest.mark.parametrize("level", [0, 1, 255])
def test_a_picture_of_one_level_is_still_of_eight_bits(level: int) -> None:
    pixels = torch.full((1, 3, 4, 5), level, dtype=torch.uint8)
    found = raw(marked(pixels)[0])
    assert found.dtype == "uint8"
    assert torch.equal(sent(found), pixels[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_travel_as_float32(dtype: torch.dtype) -> None:
    pixels = torch.rand(1, 3, 6, 7).to(dtype)
    pixels[0, :, 0, 0] = torch.tensor([0.0, 1.0, 1.0005])
    found = raw(marked(pixels)[0])
    assert found.dtype == "float32"
    assert torch.equal(sent(found), pixels[0].float())


def test_both_kinds_are_told_apart_in_one_batch() -> None:
    eight = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    floats = torch.rand(1, 3, 4, 4)
    for rows in (torch.cat([marked(eight), marked(floats)]), packed_again(eight, floats)):
        first, second = raw(rows[0]), raw(rows[1])
        assert torch.equal(sent(first), eight[0])
        assert torch.equal(sent(second), floats[0])


def packed_again(*pixels: Tensor) -> Tensor:
    """As an ensemble passes values on."""
    values = torch.cat([packed([marked(p), torch.zeros(1, 3, 2, 2)]) for p in pixels])
    ((_, (rows, _)),) = unpacked(values, 2)
    return rows


def test_a_row_that_holds_nan_is_of_floats() -> None:
    pixels = torch.rand(1, 3, 2, 2)
    pixels[0, 0, 0, 0] = torch.nan
    assert raw(marked(pixels)[0]).dtype == "float32"


def test_a_part_says_how_to_read_it() -> None:
    found = raw(marked(torch.zeros(1, 3, 2, 5, dtype=torch.uint8))[0])
    assert found.content_type == "application/x-beholder-pixels; dtype=uint8; height=2; width=5"
