from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.training._rendering.pictures import picture_fault, write_png


def test_pixels_come_back_to_the_nearest_of_256_levels(tmp_path: Path) -> None:
    pixels = torch.rand(3, 5, 7)
    write_png(tmp_path / "new" / "a.png", pixels)
    read = np.asarray(Image.open(tmp_path / "new" / "a.png"))
    assert read.shape == (5, 7, 3)
    np.testing.assert_array_equal(read, np.rint(pixels.permute(1, 2, 0).numpy() * 255))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (torch.zeros(3, 2, 2), "black: every pixel is 0"),
        (torch.full((3, 2, 2), float("nan")), "non-finite"),
        (torch.full((3, 2, 2), float("inf")), "non-finite"),
    ],
)
def test_pixels_that_are_no_picture_say_why(pixels: torch.Tensor, why: str) -> None:
    assert (picture_fault(pixels) or "").startswith(why)


def test_one_level_in_one_pixel_is_a_picture() -> None:
    pixels = torch.zeros(3, 2, 2)
    pixels[0, 0, 0] = 1 / 255
    assert picture_fault(pixels) is None
