"""Each resize against the package that it is named after, and against values by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from beholder.errors import ConfigError, DataError
from beholder.eval.extractors import _resize
from beholder.eval.extractors._resize import NAMES, resized

SIZES = [(1, 1), (32, 32), (64, 48), (1, 40), (256, 256), (300, 298), (40, 700), (1100, 17)]
STRETCHING = [name for name in NAMES if name not in {"cmmd", "clip"}]


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Noise, laid out in memory as decoded files are."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return torch.from_numpy(values).permute(2, 0, 1)


def tf1_by_definition(values: Tensor, height: int, width: int) -> Tensor:
    """Pixel by pixel, as the kernel `resize_bilinear_op` of TensorFlow 1 computes them."""
    found = torch.empty(3, height, width)
    scales = [
        np.float32(old / new) for old, new in zip(values.shape[1:], (height, width), strict=True)
    ]
    image = values.numpy().astype(np.float32)
    for y, x in np.ndindex(height, width):
        places = [np.float32(at) * scale for at, scale in zip((y, x), scales, strict=True)]
        low = [int(place) for place in places]
        high = [min(at + 1, side - 1) for at, side in zip(low, image.shape[1:], strict=True)]
        down, across = (place - np.float32(at) for place, at in zip(places, low, strict=True))
        top, bottom = (
            image[:, row, low[1]] + (image[:, row, high[1]] - image[:, row, low[1]]) * across
            for row in (low[0], high[0])
        )
        found[:, y, x] = torch.from_numpy(top + (bottom - top) * down)
    return found


def clean_by_pillow(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Pillow's bicubic on each channel as floats, the way clean-fid calls it."""
    channels = [Image.fromarray(c.numpy().astype(np.float32), mode="F") for c in values]
    new = [np.asarray(c.resize(size[::-1], Image.Resampling.BICUBIC)) for c in channels]
    return torch.from_numpy(np.stack(new).clip(0, 255))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (40, 23), (64, 37)])
def test_tf1_is_the_kernel_of_tensorflow_bit_for_bit(height: int, width: int) -> None:
    noise = picture(height, width)
    assert torch.equal(resized(noise, (31, 29), "tf1"), tf1_by_definition(noise, 31, 29))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tf1_is_torch_fidelity_bit_for_bit(height: int, width: int) -> None:
    peer = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    noise = picture(height, width)
    expected = peer.interpolate_bilinear_2d_like_tensorflow1x(
        noise[None].float(), (299, 299), align_corners=False
    )
    assert torch.equal(resized(noise, 299, "tf1"), expected[0])


def test_tf1_has_its_corner_at_the_first_pixel_and_no_half_pixel() -> None:
    line = torch.tensor([0, 100, 200], dtype=torch.uint8).expand(3, 1, 3)
    found = resized(line, (1, 6), "tf1")[0, 0]
    assert found.tolist() == [0, 50, 100, 150, 200, 200]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clean_is_pillows_bicubic_of_floats(height: int, width: int) -> None:
    noise = picture(height, width)
    expected = clean_by_pillow(noise, (299, 299))
    torch.testing.assert_close(resized(noise, 299, "clean"), expected, atol=1e-4, rtol=0)


def test_clean_is_clean_fid() -> None:
    peer = pytest.importorskip("cleanfid.resize")
    noise = picture(256, 200)
    expected = peer.build_resizer("clean")(noise.permute(1, 2, 0).numpy())
    found = resized(noise, 299, "clean").permute(1, 2, 0)
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_clean_strip_by_strip_is_clean_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = torch.stack([picture(150, 211), picture(150, 211).flip(-1)])
    spread = noise.movedim(1, -1).contiguous().movedim(-1, 1)  # as decoders lay it out
    whole = resized(noise, (37, 90), "clean")
    monkeypatch.setattr(_resize, "_STRIP", 7 * 2 * 3 * 211)
    assert torch.equal(resized(noise, (37, 90), "clean"), whole)
    assert torch.equal(resized(spread, (37, 90), "clean"), whole)


def test_clean_stays_in_range_where_edm2_overshoots() -> None:
    edge = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(8).expand(3, 16, 16)
    free, cut = resized(edge, 64, "edm2"), resized(edge, 64, "clean")
    assert free.min() < -5 and free.max() > 260
    assert cut.min() == 0 and cut.max() == 255
    torch.testing.assert_close(free.clamp(0, 255), cut, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("protocol", "antialias"), [("pytorch-legacy", False), ("tm-antialias", True)]
)
def test_the_bilinear_ones_are_torchs(protocol: str, antialias: bool) -> None:
    noise = picture(80, 100)
    expected = functional.interpolate(
        noise[None] / 255, (299, 299), mode="bilinear", align_corners=False, antialias=antialias
    )
    found = resized(noise, 299, protocol) / 255
    torch.testing.assert_close(found, expected[0], atol=2e-6, rtol=0)


def test_bilinear_with_half_pixels_by_hand() -> None:
    line = torch.tensor([0, 100], dtype=torch.uint8).expand(3, 1, 2)
    assert resized(line, (1, 4), "pytorch-legacy")[0, 0].tolist() == [0, 25, 75, 100]
    line = torch.tensor([0, 0, 80, 80], dtype=torch.uint8).expand(3, 1, 4)
    assert resized(line, (1, 2), "pytorch-legacy")[0, 0].tolist() == [0, 80]
    # a triangle of half-width 2 around place 1 weighs three pixels .75, .75 and .25
    low, high = resized(line, (1, 2), "tm-antialias")[0, 0].tolist()
    assert low == pytest.approx(80 / 7, abs=1e-4)
    assert high == pytest.approx(480 / 7, abs=1e-4)


def test_dgm_rounds_as_pillow() -> None:
    noise = picture(90, 50)
    image = Image.fromarray(noise.permute(1, 2, 0).numpy())
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))
    found = resized(noise, 224, "dgm-uint8")
    assert found.dtype == torch.uint8
    assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_cmmd_keeps_the_largest_square_in_the_middle() -> None:
    noise = picture(60, 105)
    assert torch.equal(resized(noise, 60, "cmmd"), noise[:, :, 22:82])
    expected = resized(noise[:, :, 22:82].contiguous(), 24, "dgm-uint8")
    assert torch.equal(resized(noise, 24, "cmmd"), expected)


@pytest.mark.parametrize(("height", "width"), [(60, 105), (105, 60), (40, 40), (33, 97)])
def test_clip_is_torchvisions_resize_and_centre_crop(height: int, width: int) -> None:
    transforms: Any = pytest.importorskip("torchvision.transforms")
    noise = picture(height, width)
    steps = transforms.Compose(
        [
            transforms.Resize(48, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(48),
        ]
    )
    expected = np.array(steps(Image.fromarray(noise.permute(1, 2, 0).numpy())))
    found = resized(noise, 48, "clip").permute(1, 2, 0)
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("protocol", NAMES)
def test_clips_are_resized_frame_by_frame(protocol: str) -> None:
    clip = torch.stack([picture(20, 30, seed) for seed in range(6)]).reshape(2, 3, 3, 20, 30)
    found = resized(clip, 16, protocol)
    assert found.shape == (2, 3, 3, 16, 16)
    one = resized(clip[1, 2], 16, protocol)
    assert torch.equal(found[1, 2], one)


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 50), (299, 299)])
def test_one_colour_stays_that_colour(protocol: str, height: int, width: int) -> None:
    colour = torch.tensor([0, 77, 255], dtype=torch.uint8)[:, None, None]
    found = resized(colour.expand(3, height, width), 32, protocol).float()
    torch.testing.assert_close(found, colour.float().expand(3, 32, 32), atol=5e-4, rtol=0)


@pytest.mark.parametrize("protocol", ["tf1", "clean", "dgm-uint8", "tm-antialias", "edm2"])
def test_the_own_size_changes_nothing(protocol: str) -> None:
    noise = picture(64, 48)
    found = resized(noise, (64, 48), protocol).float()
    torch.testing.assert_close(found, noise.float(), atol=1e-4, rtol=0)


def test_protocols_differ_from_each_other() -> None:
    noise = picture(100, 80)
    found = {name: resized(noise, 64, name).float() for name in STRETCHING}
    for first in STRETCHING:
        for second in STRETCHING:
            if first < second and {first, second} != {"clean", "edm2"}:
                assert (found[first] - found[second]).abs().max() > 0.4, (first, second)


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match=r"resize must be one of tf1, clean.*got 'area'"):
        resized(picture(4, 4), 8, "area")
    with pytest.raises(DataError, match=r"of uint8, got \(3, 4, 4\) of torch.float32"):
        resized(picture(4, 4).float(), 8, "tf1")
    with pytest.raises(DataError, match=r"\(1, 4, 4\)"):
        resized(picture(4, 4)[:1], 8, "tf1")
    with pytest.raises(DataError, match="no pixel"):
        resized(picture(4, 4)[:, :0], 8, "tf1")
