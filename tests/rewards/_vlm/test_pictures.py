import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as library

from beholder.errors import ConfigError
from beholder.rewards._vlm.pictures import PixelBudget, patches
from tests.rewards._vlm import tiny_qwen
from tests.rewards.contract import seeded

SIZES = [(96, 80), (64, 64), (40, 130), (300, 420), (28, 28), (700, 30), (1000, 1000), (41, 43)]


@pytest.mark.parametrize("bounds", [(200_704, 200_704), (3136, 12_845_056), (784, 4704)])
@pytest.mark.parametrize("size", SIZES)
def test_sides_and_patches_are_those_of_transformers(
    size: tuple[int, int], bounds: tuple[int, int]
) -> None:
    low, high = bounds
    pixels = torch.randint(256, (3, *size), generator=seeded()).byte()
    height, width = library.smart_resize(*size, min_pixels=low, max_pixels=high)
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    for step in ((width, size[0]), (width, height)):  # in the order of Pillow before version 13
        picture = picture.resize(step, Image.Resampling.BICUBIC)
    processor = library.Qwen2VLImageProcessorPil(do_resize=False)
    expected = processor(images=[picture], return_tensors="pt")["pixel_values"]
    values = PixelBudget(min_pixels=low, max_pixels=high)(pixels[None])
    assert values.shape[2:] == (height, width)
    difference = (patches(values, 14, 2, 2) - expected).abs()
    assert difference.max() < 0.032  # two grey levels
    assert (difference > 1e-4).float().mean() < 0.02


def test_pictures_of_a_batch_are_not_frames_of_a_video() -> None:
    values = torch.randn(3, 3, 56, 84)
    alone = [patches(value[None], 14, 2, 2) for value in values]
    together = patches(values, 14, 2, 2)
    assert torch.equal(together, torch.cat(alone))
    frames = together.unflatten(1, (3, 2, 14, 14))
    assert torch.equal(frames[:, :, 0], frames[:, :, 1])


def test_the_four_patches_of_a_token_stand_together() -> None:
    values = torch.arange(4 * 4).repeat_interleave(14).reshape(1, 1, 4, 56).float()
    values = values.repeat_interleave(14, dim=2).expand(1, 3, 56, 56)
    assert patches(values, 14, 2, 2)[:, 0].tolist() == [
        *(0, 1, 4, 5),
        *(2, 3, 6, 7),
        *(8, 9, 12, 13),
        *(10, 11, 14, 15),
    ]


def test_very_long_pictures_are_squeezed() -> None:
    budget = PixelBudget(min_pixels=200_704, max_pixels=200_704)
    for size in ((1, 5000), (5000, 1), (1, 1)):
        height, width = budget.target(*size)
        assert height % 28 == width % 28 == 0
        assert 1 / 250 <= height / width <= 250
        assert height * width <= 2 * 200_704


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bounds", [(200_704, 200_704), (784, 4704)])
def test_a_shrunk_picture_is_seen_as_the_whole_one(
    size: tuple[int, int], bounds: tuple[int, int]
) -> None:
    budget = PixelBudget(min_pixels=bounds[0], max_pixels=bounds[1])
    whole = tiny_qwen.picture(1, *size)[None]
    shrunk = budget.shrink(whole)
    assert shrunk.dtype == torch.uint8
    assert torch.equal(budget(shrunk), budget(whole))


def test_a_large_square_travels_small_and_floats_travel_whole() -> None:
    budget = PixelBudget(min_pixels=200_704, max_pixels=200_704)
    assert budget.shrink(torch.zeros(1, 3, 1000, 1000).byte()).shape == (1, 3, 448, 448)
    floats = torch.rand(1, 3, 1000, 1000)
    assert budget.shrink(floats) is floats


def test_values_are_normalised_as_clips() -> None:
    grey = np.array([0.48145466, 0.4578275, 0.40821073])
    pixels = torch.tensor(grey).float()[None, :, None, None].expand(1, 3, 28, 28)
    values = PixelBudget(min_pixels=784, max_pixels=784)(pixels)
    assert values.abs().max() < 0.01


def test_impossible_budgets_are_refused() -> None:
    with pytest.raises(ConfigError, match="one token of 28x28 pixels, got 783"):
        PixelBudget(min_pixels=1, max_pixels=783)
    for low in (0, 1001):
        with pytest.raises(ConfigError, match=r"min_pixels must lie in \[1, max_pixels\]"):
            PixelBudget(min_pixels=low, max_pixels=1000)
