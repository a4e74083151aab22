from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._tuning.views import BEST_QUALITY, Views, apply_views, compressed

EVERYTHING = Views(crop=0.3, flip=0.5, jpeg=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramps(rows: int = 1, height: int = 20, width: int = 30) -> Tensor:
    """Pictures whose red is the place across, and whose green is the place down, in [0, 1]."""
    red = torch.linspace(0, 1, width).expand(height, width)
    green = torch.linspace(0, 1, height)[:, None].expand(height, width)
    return torch.stack([red, green, torch.full_like(red, 0.5)]).expand(rows, -1, -1, -1)


def psnr(first: Tensor, second: Tensor) -> float:
    return float(-10 * (first - second).square().mean().log10())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"crop": 1.0}, "crop must be at least 0 and below 1, got 1.0"),
        ({"flip": 1.5}, "flip must be at least 0 and at most 1"),
        ({"jpeg": -0.1}, "jpeg must be at least 0"),
        ({"jpeg_quality": 0}, "jpeg_quality must be at least 1"),
    ],
)
def test_views_out_of_range_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Views(**options)


def test_no_view_gives_the_same_tensor_and_draws_nothing() -> None:
    pixels, drawn = ramps(2), generator()
    before = drawn.get_state()
    assert apply_views(pixels, Views(), drawn) is pixels
    assert torch.equal(drawn.get_state(), before)


def test_views_follow_from_the_generator_alone() -> None:
    pixels = torch.rand(6, 3, 20, 30)
    first = apply_views(pixels, EVERYTHING, generator(1))
    torch.manual_seed(99)
    assert torch.equal(apply_views(pixels, EVERYTHING, generator(1)), first)
    assert not torch.equal(apply_views(pixels, EVERYTHING, generator(2)), first)


def test_each_picture_is_changed_by_itself() -> None:
    pixels = ramps(40, 80, 120)
    seen = apply_views(pixels, EVERYTHING, generator())
    assert len({picture.numpy().tobytes() for picture in seen}) > 35  # a few cut nothing away
    few = apply_views(pixels[:3], EVERYTHING, generator())
    assert torch.equal(few, seen[:3])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 33), (64, 48)])
def test_views_keep_size_and_range_of_any_picture(size: tuple[int, int]) -> None:
    pixels = torch.rand(8, 3, *size).round()  # all at the ends of the range
    seen = apply_views(pixels, Views(crop=0.5, flip=0.5, jpeg=0.7, jpeg_quality=5), generator())
    assert seen.shape == pixels.shape
    assert seen.dtype == pixels.dtype
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_a_mirrored_picture_is_mirrored_to_the_bit_and_so_is_its_gradient() -> None:
    pixels = torch.rand(1, 3, 5, 7, requires_grad=True)
    seen = apply_views(pixels, Views(flip=1.0), generator())
    assert torch.equal(seen, pixels.flip(-1))
    weights = torch.rand(1, 3, 5, 7)
    (seen * weights).sum().backward()
    assert pixels.grad is not None
    assert torch.equal(pixels.grad, weights.flip(-1))


def test_pictures_are_mirrored_as_often_as_asked() -> None:
    pixels = ramps(400, 2, 3)
    seen = apply_views(pixels, Views(flip=0.25), generator())
    share = float((seen[:, 0, 0, 0] == 1).float().mean())
    assert abs(share - 0.25) < 0.07  # three standard deviations


def test_a_picture_whose_prompt_names_a_side_or_writing_is_not_mirrored() -> None:
    prompts = ["a cat", "a cat on the left", "a sign with the text hello"]
    seen = apply_views(ramps(3), Views(flip=1.0), generator(), prompts)
    assert (seen[:, 0, 0, 0] == 1).tolist() == [True, False, False]


def test_a_crop_is_a_stretched_part_with_the_picture_s_aspect_ratio() -> None:
    seen = apply_views(ramps(200, 40, 60), Views(crop=0.5), generator())
    across = seen[:, 0, 0, -1] - seen[:, 0, 0, 0]  # how much of the ramp is left
    down = seen[:, 1, -1, 0] - seen[:, 1, 0, 0]
    assert float((across - down).abs().max()) < 0.03
    assert 0.48 < float(across.min()) < 0.53
    assert float(across.max()) > 0.97
    assert float(seen[:, 0, 0, 0].min()) < 0.01  # the corners are reached
    assert float(seen[:, 0, 0, -1].max()) > 0.99


def test_the_gradient_of_a_crop_stays_within_what_was_seen() -> None:
    pixels = ramps(1, 40, 60).clone().requires_grad_()
    seen = apply_views(pixels, Views(crop=0.6), generator(0))
    seen.sum().backward()
    assert pixels.grad is not None
    red = seen[0, 0].detach()
    inside = (pixels[0, 0] >= red.min()) & (pixels[0, 0] <= red.max())
    assert 0 < float(inside.float().mean()) < 1
    assert (pixels.grad[0, 0, :, ~inside[0]] == 0).all()
    torch.testing.assert_close(pixels.grad.sum(), torch.tensor(40 * 60 * 3.0))


@pytest.mark.parametrize("size", [(32, 48), (17, 33)])
def test_jpeg_gives_the_decoded_file_and_passes_the_gradient_as_it_is(
    size: tuple[int, int],
) -> None:
    pixels = torch.rand(1, 3, *size, requires_grad=True)
    seen = apply_views(pixels, Views(jpeg=1.0, jpeg_quality=100), generator())
    assert torch.equal(seen[0], compressed(pixels[0].detach(), 100))
    levels = seen.detach() * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert not torch.equal(seen, pixels)
    weights = torch.rand(1, 3, *size)
    (seen * weights).sum().backward()
    assert pixels.grad is not None
    assert torch.equal(pixels.grad, weights)


def test_jpeg_is_near_that_of_another_library() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).repeat(6, 0).repeat(6, 1)
    file = BytesIO()
    Image.fromarray(rows.astype(np.uint8)).save(file, "JPEG", quality=70, subsampling="4:2:0")
    with Image.open(file) as picture:
        theirs = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    ours = compressed(torch.from_numpy(rows).permute(2, 0, 1) / 255, 70)
    assert psnr(ours, theirs) > 40


def test_a_lower_quality_loses_more() -> None:
    picture = torch.rand(3, 48, 48)
    losses = [psnr(compressed(picture, quality), picture) for quality in (10, 50, 95)]
    assert losses == sorted(losses)


def test_qualities_reach_from_the_lowest_to_the_best() -> None:
    picture = torch.rand(3, 16, 16, generator=generator())
    seen = apply_views(
        picture.expand(60, -1, -1, -1), Views(jpeg=1.0, jpeg_quality=93), generator()
    )
    expected = {compressed(picture, q).numpy().tobytes() for q in range(93, BEST_QUALITY + 1)}
    assert {p.numpy().tobytes() for p in seen} == expected


def test_one_kind_of_view_leaves_the_others_luck_alone() -> None:
    pixels = ramps(30)
    flips = apply_views(pixels, Views(flip=0.5), generator())
    both = apply_views(pixels, Views(flip=0.5, jpeg=1.0, jpeg_quality=95), generator())
    assert torch.equal(flips[:, 0, 0, 0] > 0.5, both[:, 0, 0, 0] > 0.5)


def test_a_picture_that_is_not_finite_stays_so() -> None:
    pixels = ramps(2).clone()
    pixels[0, 0, 3, 4] = torch.nan
    seen = apply_views(pixels, Views(crop=0.5, flip=1.0, jpeg=1.0), generator())
    torch.testing.assert_close(seen[0], pixels[0], rtol=0, atol=0, equal_nan=True)
    assert seen[1].isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pictures_on_a_gpu_are_seen_there() -> None:
    pixels = torch.rand(4, 3, 32, 32)
    seen = apply_views(pixels.cuda(), EVERYTHING, generator())
    assert seen.is_cuda
    torch.testing.assert_close(seen.cpu(), apply_views(pixels, EVERYTHING, generator()))
    on_device = torch.Generator("cuda").manual_seed(0)
    assert apply_views(pixels.cuda(), EVERYTHING, on_device).is_cuda
