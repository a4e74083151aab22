import dataclasses
import json

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import ConfigError
from beholder.images import read_image
from beholder.rewards._preprocess import (
    CLIP_MEAN,
    CLIP_STD,
    Fit,
    Interpolation,
    Preprocess,
    Resampling,
    resize,
    straight_through,
)

SIZES = [(512, 512), (333, 217), (97, 431), (224, 224), (64, 50), (7, 9), (1, 40), (300, 2)]
FILTERS: dict[Interpolation, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def picture(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Noise over hard edges: what overshoots most."""
    generator = np.random.default_rng(height * 1000 + width)
    noise = generator.integers(0, 256, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    edges = 255 * ((x // 9 + y // 7) % 2)
    return np.where(generator.random((height, width, 1)) < 0.5, noise, edges[:, :, None]).astype(
        np.uint8
    )


def batch(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return read_image(values)[None]


def grey_levels(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return (tensor[0].permute(1, 2, 0).double() * 255).numpy()


def assert_near_pillow(ours: Tensor, pillow: Image.Image, unequal: float = 0.01) -> None:
    difference = np.abs(grey_levels(ours) - np.asarray(pillow, dtype=np.float64))
    assert difference.max() < 2.01
    assert (difference > 1.01).mean() <= 1e-3
    assert (difference > 0.01).mean() <= unequal


def width_first(
    values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    height: int,
    width: int,
    interpolation: Interpolation,
) -> Image.Image:
    """What Pillow gave before version 13 for any shape: one pass at a time keeps the order."""
    rows = Image.fromarray(values).resize((width, len(values)), FILTERS[interpolation])
    return rows.resize((width, height), FILTERS[interpolation])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [(224, 224), (31, 77)])
def test_bicubic_is_pillows(size: tuple[int, int], target: tuple[int, int]) -> None:
    values = picture(*size)
    pillow = width_first(values, *target, "bicubic")
    pixels = batch(values)
    assert_near_pillow(resize(pixels, *target), pillow)
    assert_near_pillow(resize(pixels.float() / 255, *target), pillow, unequal=0.003)


@pytest.mark.parametrize("size", SIZES)
def test_bilinear_is_pillows_but_for_ties(size: tuple[int, int]) -> None:
    values = picture(*size)
    pillow = width_first(values, 224, 224, "bilinear")
    pixels = batch(values)
    # weights such as 1/2 put many values exactly between two levels
    assert_near_pillow(resize(pixels, 224, 224, "bilinear"), pillow, unequal=0.05)
    assert_near_pillow(resize(pixels.float() / 255, 224, 224, "bilinear"), pillow, unequal=0.05)


def test_resizing_gives_eight_bit_steps_in_the_unit_interval() -> None:
    for pixels in (torch.rand(2, 3, 40, 50), torch.rand(2, 3, 5, 6).half()):
        resized = resize(pixels, 23, 31)
        assert resized.dtype == torch.float32
        assert resized.min() >= 0
        assert resized.max() <= 1
        torch.testing.assert_close((resized * 255).round() / 255, resized, atol=1e-7, rtol=0)


def test_a_picture_of_the_right_size_is_unchanged() -> None:
    pixels = batch(picture(33, 44))
    assert torch.equal(resize(pixels, 33, 44), pixels.float() / 255)
    assert torch.equal(resize(pixels.float() / 255, 33, 44), pixels.float() / 255)


def test_memory_layout_does_not_change_the_numbers() -> None:
    pixels = batch(picture(90, 70))
    assert not pixels.is_contiguous()
    assert torch.equal(resize(pixels, 40, 40), resize(pixels.contiguous(), 40, 40))


def test_the_gradient_of_resizing_is_that_of_the_linear_map() -> None:
    # all inputs at 0 or 1, where clamping and rounding are always at work
    leaf = (torch.rand(1, 3, 19, 14) < 0.5).float().requires_grad_()
    weights = torch.randn(1, 3, 8, 9)
    (weights * resize(leaf, 8, 9)).sum().backward()
    linear = leaf.detach().clone().requires_grad_()
    plain = torch.nn.functional.interpolate(linear, (8, 9), mode="bicubic", antialias=True)
    (weights * plain).sum().backward()
    assert leaf.grad is not None
    assert linear.grad is not None
    torch.testing.assert_close(leaf.grad, linear.grad)


def test_the_gradient_agrees_with_finite_differences() -> None:
    # a step of many grey levels on every pixel at once, so that rounding averages out
    preprocess = Preprocess(size=16)
    middle = torch.rand(1, 3, 40, 32) * 0.4 + 0.3
    direction = torch.rand(1, 3, 40, 32) * 0.2 - 0.1
    weights = torch.randn(1, 3, 16, 16)
    leaf = middle.clone().requires_grad_()
    (weights * preprocess(leaf)).sum().backward()
    assert leaf.grad is not None
    slope = (leaf.grad * direction).sum()
    ahead, behind = ((weights * preprocess(middle + s * direction)).sum() for s in (1, -1))
    torch.testing.assert_close((ahead - behind) / 2, slope, rtol=0.05, atol=0.05)


def test_straight_through_is_exact_in_value() -> None:
    source = torch.randn(1000, requires_grad=True)
    value = torch.randn(1000)
    mixed = straight_through(value, source)
    assert torch.equal(mixed, value)
    mixed.sum().backward()
    assert source.grad is not None
    assert torch.equal(source.grad, torch.ones(1000))


@pytest.mark.parametrize("size", [(512, 512), (333, 217), (97, 431), (64, 50), (225, 224), (3, 5)])
def test_the_published_processor_of_mps_gives_the_same_values(size: tuple[int, int]) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    values = picture(*size)
    processor = CLIPImageProcessorPil()
    published = torch.as_tensor(np.asarray(processor(Image.fromarray(values))["pixel_values"]))
    ours = Preprocess(size=224)(batch(values))
    difference = (ours - published.reshape(ours.shape)).abs()
    one_level = 1 / 255 / min(CLIP_STD)
    assert (difference > 1.01 * one_level).float().mean() <= 1e-3
    assert (difference > 0.01 * one_level).float().mean() <= 0.01


@pytest.mark.parametrize("size", [(512, 512), (333, 217), (97, 431), (64, 50), (225, 224)])
def test_round_offsets_crop_as_torchvision_does(size: tuple[int, int]) -> None:
    from torchvision.transforms import v2

    values = picture(*size)
    transform = v2.Compose(
        [v2.Resize(224, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(224)]
    )
    preprocess = Preprocess(size=224, mean=(0, 0, 0), std=(1, 1, 1), crop_offset="round")
    assert_near_pillow(preprocess(batch(values)), transform(Image.fromarray(values)))


def test_floor_and_round_differ_where_the_margin_is_odd() -> None:
    ramp = torch.arange(7, dtype=torch.uint8).expand(1, 3, 4, 7) * 10
    plain = {"size": 4, "mean": (0, 0, 0), "std": (1 / 255,) * 3}
    # 7 - 4 = 3: floor starts at column 1, round(1.5) at 2
    floor = Preprocess(**plain)(ramp)[0, 0, 0]  # type: ignore[arg-type]
    nearest = Preprocess(**plain, crop_offset="round")(ramp)[0, 0, 0]  # type: ignore[arg-type]
    torch.testing.assert_close(floor, torch.tensor([10.0, 20, 30, 40]))
    torch.testing.assert_close(nearest, torch.tensor([20.0, 30, 40, 50]))


def test_squashing_ignores_the_aspect_ratio() -> None:
    values = picture(120, 60)
    pillow = width_first(values, 48, 48, "bilinear")
    preprocess = Preprocess(
        size=48, fit="squash", interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1)
    )
    assert_near_pillow(preprocess(batch(values)), pillow, unequal=0.05)


def test_padding_surrounds_with_black_before_normalisation() -> None:
    white = torch.full((1, 3, 10, 40), 255, dtype=torch.uint8)
    padded = Preprocess(size=20, fit="pad")(white)
    black = -torch.tensor(CLIP_MEAN) / torch.tensor(CLIP_STD)
    full = (1 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    # 10 x 40 becomes 5 x 20: 7 black rows above, 8 below
    torch.testing.assert_close(padded[0, :, :7], black[:, None, None].expand(3, 7, 20))
    torch.testing.assert_close(padded[0, :, 7:12], full[:, None, None].expand(3, 5, 20))
    torch.testing.assert_close(padded[0, :, 12:], black[:, None, None].expand(3, 8, 20))


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("size", [(1, 200), (200, 1), (5, 3), (50, 50)])
def test_every_fit_gives_a_square_of_any_picture(fit: Fit, size: tuple[int, int]) -> None:
    preprocess = Preprocess(size=28, fit=fit)
    for pixels in (batch(picture(*size)), torch.rand(1, 3, *size)):
        values = preprocess(pixels)
        assert values.shape == (1, 3, 28, 28)
        assert values.isfinite().all()


def test_a_batch_equals_its_pictures_one_by_one() -> None:
    pixels = torch.rand(3, 3, 50, 40)
    preprocess = Preprocess(size=32)
    alone = torch.cat([preprocess(pixels[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(preprocess(pixels), alone, atol=1e-6, rtol=0)


def test_half_rounds_the_values_and_passes_the_gradient() -> None:
    leaf = torch.rand(1, 3, 20, 20, requires_grad=True)
    exact, rounded = Preprocess(size=12)(leaf), Preprocess(size=12, half=True)(leaf)
    assert torch.equal(rounded, exact.half().float())
    assert not torch.equal(rounded, exact)
    gradients = [torch.autograd.grad(values.sum(), leaf)[0] for values in (exact, rounded)]
    assert torch.equal(*gradients)


def test_settings_survive_json() -> None:
    preprocess = Preprocess(size=336, fit="pad", crop_offset="round", half=True)
    again = Preprocess(**json.loads(json.dumps(dataclasses.asdict(preprocess))))
    assert again == preprocess
    assert hash(again) == hash(preprocess)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size"),
        ({"size": 9, "fit": "stretch"}, "crop, squash, pad"),
        ({"size": 9, "interpolation": "nearest"}, "bicubic, bilinear"),
        ({"size": 9, "crop_offset": "ceil"}, "floor, round"),
        ({"size": 9, "std": (1, 1, 0)}, "positive"),
        ({"size": 9, "mean": (1, 1)}, "3 means"),
    ],
)
def test_wrong_settings_are_refused(
    wrong: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # our own checks speak
    with pytest.raises(ConfigError, match=message):
        Preprocess(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(90, 70), (70, 90), (33, 33), (224, 91)])
@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(size=32),
        Preprocess(size=32, fit="pad"),
        Preprocess(size=32, fit="squash", interpolation="bilinear"),
        Preprocess(size=32, crop_offset="round", half=True),
        Preprocess(size=32, fit="pad", resampling="antialiased"),
        Preprocess(size=32, resampling="aliased"),
    ],
)
def test_a_picture_shrunk_ahead_gives_the_same_values(
    preprocess: Preprocess, size: tuple[int, int]
) -> None:
    pixels = batch(picture(*size))
    small = preprocess.shrink(pixels)
    assert small.shape[2:] == (32, 32)
    assert torch.equal(preprocess(small), preprocess(pixels))


def test_only_eight_bit_pixels_are_shrunk_ahead() -> None:
    pixels = batch(picture(40, 50))
    assert Preprocess(size=8).shrink(pixels).dtype == torch.uint8
    floats = pixels / 255
    assert Preprocess(size=8).shrink(floats) is floats


@pytest.mark.parametrize(("resampling", "antialias"), [("antialiased", True), ("aliased", False)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_tensors_are_resized_as_torchvision_resizes_them(
    resampling: Resampling, antialias: bool, interpolation: Interpolation
) -> None:
    from torchvision.transforms.v2.functional import resize as reference

    pixels = batch(picture(90, 70))
    expected = reference(pixels / 255, [31, 40], interpolation, antialias=antialias)
    for given in (pixels, pixels / 255):
        torch.testing.assert_close(resize(given, 31, 40, interpolation, resampling), expected)
    leaf = (pixels / 255).requires_grad_()
    resize(leaf, 31, 40, interpolation, resampling).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0
