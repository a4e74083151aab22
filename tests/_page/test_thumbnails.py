import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder._page import thumbnails
from beholder._page.thumbnails import (
    FAULTS,
    Missing,
    Thumbnail,
    fault_overlay,
    fault_picture,
    heat,
    overlay,
    squared,
    thumbnail,
)


def opened(uri: str) -> Image.Image:
    kind, _, encoded = uri.partition(";base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert kind == f"data:image/{str(picture.format).lower()}"
    return picture


def drawn(found: Thumbnail | Missing) -> Thumbnail:
    assert isinstance(found, Thumbnail)
    return found


def halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height))
    return picture


def test_a_thumbnail_keeps_the_proportions_within_320_pixels() -> None:
    small = drawn(thumbnail(halves(1280, 640)))
    assert (small.width, small.height) == (320, 160)
    assert opened(small.uri).size == (320, 160)


def test_a_small_picture_is_not_enlarged() -> None:
    assert drawn(thumbnail(halves(64, 32))).width == 64


def test_a_thumbnail_shows_the_colours_of_the_picture() -> None:
    small = np.asarray(opened(drawn(thumbnail(halves(640, 640))).uri).convert("RGB"))
    assert np.abs(small[:, :150].astype(int) - (255, 0, 0)).max() < 20
    assert np.abs(small[:, 170:].astype(int) - (0, 0, 255)).max() < 20


def test_float_pixels_look_like_their_bytes() -> None:
    pixels = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
    assert thumbnail(pixels) == thumbnail(pixels.float() / 255)


def test_a_picture_that_cannot_be_read_gives_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    for path in (broken, tmp_path / "gone.png"):
        why = thumbnail(path)
        assert isinstance(why, Missing)
        assert why.code
        assert path.name in why.reason or why.reason


def test_the_square_that_a_reward_sees() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    middle = {
        fit: squared(wide, fit).resize((9, 9), Image.Resampling.BOX)
        for fit in ("crop", "squash", "pad")
    }
    edge = middle["crop"].getpixel((0, 4))
    assert edge == pytest.approx((0, 0, 255), abs=5), "only the central square is left"
    assert middle["squash"].getpixel((0, 4)) == (255, 0, 0), "the left third is still there"
    assert middle["pad"].getpixel((4, 0)) == (0, 0, 0), "black above"
    assert middle["pad"].getpixel((4, 4)) == (0, 0, 255)
    assert {squared(wide, fit).size for fit in ("crop", "squash", "pad")} == {(320, 320)}


def test_the_overlay_is_brightest_where_the_attention_is() -> None:
    attention = torch.zeros(4, 4)
    attention[0, 3] = 1.0
    picture = opened(overlay(attention)).convert("RGBA")
    assert picture.getpixel((picture.width - 1, 0)) == heat(1.0)
    assert picture.getpixel((0, picture.height - 1)) == heat(0.0)


def test_the_overlay_does_not_depend_on_the_scale_of_the_attention() -> None:
    attention = torch.rand(5, 7)
    assert overlay(attention) == overlay(attention / attention.sum())


@pytest.mark.parametrize("attention", [torch.zeros(3, 3), torch.full((3, 3), torch.nan)])
def test_attention_without_weight_is_dark_all_over(attention: torch.Tensor) -> None:
    assert opened(overlay(attention)).convert("RGBA").getcolors() == [(160 * 160, heat(0.0))]


def test_heat_passes_through_its_stops() -> None:
    for level, colour in thumbnails.HEAT:
        assert heat(level) == colour
    assert heat(0.15) == (42, 16, 69, 152)


def test_faults_have_the_same_colour_on_every_map() -> None:
    alone = fault_picture(torch.tensor([[0.5]]), (1, 1)).convert("RGBA")
    beside = fault_picture(torch.tensor([[0.5, 1.0]]), (2, 1)).convert("RGBA")
    assert alone.getpixel((0, 0)) == beside.getpixel((0, 0)) == heat(128 / 255, FAULTS)


def test_a_map_without_faults_is_transparent_and_more_fault_is_more_opaque() -> None:
    clear = opened(fault_overlay(torch.zeros(3, 5), (50, 30))).convert("RGBA")
    assert clear.size == (50, 30)
    assert clear.getchannel("A").getextrema() == (0, 0)
    opacities = [heat(level / 255, FAULTS)[3] for level in range(256)]
    assert opacities == sorted(opacities)
    assert opacities[-1] == round(0.85 * 255)


def lightness(red: int, green: int, blue: int) -> float:
    """OKLab's L (B. Ottosson, 2020) of an sRGB colour."""
    r, g, b = (
        c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in (red, green, blue)
    )
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return float(0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short)


def test_the_lightness_of_faults_rises_evenly() -> None:
    found = [lightness(*colour[:3]) for _, colour in FAULTS]
    expected = [0.32 + 0.61 * stop for stop, _ in FAULTS]
    assert found == pytest.approx(expected, abs=0.005)
