"""A picture is decoded as `read_image` does, and its memory is known from its header."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.images import LIMITS, Limits, read_image
from beholder.rewards._preprocess import Preprocess
from beholder.serving.decoding import (
    PEAK,
    Decoded,
    announced_size,
    decoded,
    decoding_bytes,
)
from beholder.serving.items import Fault, Picture
from tests.odd_pictures import write_odd_pictures

SMALL = Preprocess(size=8)
NOISE = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)


def file(form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, form, **options)
    return buffer.getvalue()


def whole(picture: Picture, limits: Limits = LIMITS) -> Decoded | Fault:
    return decoded(picture, frozenset({None}), "white", limits)


def test_each_fitting_has_its_view_and_none_the_whole_picture() -> None:
    found = decoded(Picture(data=file()), frozenset({None, SMALL}), "white", LIMITS)
    assert isinstance(found, Decoded)
    assert found.size == (30, 20)
    expected = torch.from_numpy(NOISE).permute(2, 0, 1)
    assert torch.equal(found.views[None], expected)
    assert torch.equal(found.views[SMALL], SMALL.shrink(expected[None])[0])
    assert found.memory == 30 * 20 * 3 + 8 * 8 * 3


def test_pixels_are_read_row_by_row_and_floats_stay_floats() -> None:
    values = NOISE.astype("<f4") / 255
    as_bytes = whole(Picture(data=NOISE.tobytes(), encoding="uint8", height=30, width=20))
    as_floats = whole(Picture(data=values.tobytes(), encoding="float32", height=30, width=20))
    assert isinstance(as_bytes, Decoded)
    assert isinstance(as_floats, Decoded)
    assert torch.equal(as_bytes.views[None], torch.from_numpy(NOISE).permute(2, 0, 1))
    assert torch.equal(as_floats.views[None], torch.from_numpy(values).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (Picture(data=b""), "empty"),
        (Picture(data=file()[:-20]), "truncated"),
        (Picture(data=bytes(12), encoding="uint8", height=2, width=3), "shape"),
        (Picture(data=b"", encoding="uint8", height=0, width=5), "shape"),
        (Picture(data=bytes(12), encoding="uint8", height=-2, width=-2), "shape"),
        (Picture(data=b"\0\0\xc0\x7f" * 3, encoding="float32", height=1, width=1), "non-finite"),
        (Picture(data=b"\0\0\0\x40" * 3, encoding="float32", height=1, width=1), "range"),
    ],
)
def test_what_cannot_be_read_has_its_code(picture: Picture, code: str) -> None:
    found = whole(picture)
    assert isinstance(found, Fault)
    assert found.code == code


def test_a_limit_holds_for_files_and_pixels() -> None:
    limits = Limits(pixels=599)
    for picture in (
        Picture(data=file()),
        Picture(data=NOISE.tobytes(), encoding="uint8", height=30, width=20),
    ):
        found = whole(picture, limits)
        assert isinstance(found, Fault)
        assert found.code == "too-large"


class Failing:
    """A fitting of somebody's own that cannot shrink."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return pixels.float()

    def shrink(self, pixels: Tensor) -> Tensor:
        raise KeyError("secret prompt")


def test_a_fitting_that_fails_is_a_fault_that_quotes_nothing() -> None:
    found = decoded(Picture(data=file()), frozenset({Failing()}), "white", LIMITS)
    assert found == Fault("reward-failed", "the picture cannot be shrunk: KeyError")


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "subsampling": 2}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),
    ],
)
def test_the_header_tells_the_size(form: str, options: dict[str, object]) -> None:
    assert announced_size(file(form, **options)) == (30, 20)


def test_the_memory_of_odd_files_is_foreseen_and_nothing_else_than_numbers_comes_out(
    tmp_path: Path,
) -> None:
    files = [tmp_path / p.name for p in write_odd_pictures(tmp_path)]
    contents = [path.read_bytes() for path in files if path.is_file()]
    assert len(contents) > 50
    for data in contents:
        need = decoding_bytes(Picture(data=data), LIMITS)
        found = whole(Picture(data=data))
        assert need >= (PEAK * found.size[0] * found.size[1] if isinstance(found, Decoded) else 0)


def test_what_will_be_refused_takes_no_room() -> None:
    huge = file()[:16] + (60_000).to_bytes(4) * 2 + file()[24:]
    assert announced_size(huge) == (60_000, 60_000)
    assert decoding_bytes(Picture(data=huge), LIMITS) == 0
    assert decoding_bytes(Picture(data=b"text"), LIMITS) == 0
    assert decoding_bytes(Picture(data=bytes(30), encoding="uint8"), LIMITS) == 90


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_a_header_that_breaks_off_is_no_crash(form: str) -> None:
    data = file(form)
    for end in range(40):
        height, width = announced_size(data[:end])
        assert height >= 0 <= width


def test_a_view_equals_what_reading_the_picture_itself_gives() -> None:
    data = file("JPEG", quality=60)
    found = whole(Picture(data=data))
    assert isinstance(found, Decoded)
    assert torch.equal(found.views[None], read_image(data))
