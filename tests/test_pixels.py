import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from beholder._pixels import LIMITS, channels_first, check_size, opaque, scaled, upright
from beholder.errors import ImageError
from tests.odd_pictures import ORIENTATION, photo


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_equals_pillows_transpose(orientation: int) -> None:
    image = Image.fromarray(photo())
    image.getexif()[ORIENTATION] = orientation
    expected = np.array(ImageOps.exif_transpose(image))
    turned = upright(torch.from_numpy(photo()).permute(2, 0, 1), orientation)
    np.testing.assert_array_equal(turned.permute(1, 2, 0), expected)


def test_an_array_shares_its_memory_with_the_tensor() -> None:
    array = photo()
    channels_first(array)[0, 0, 0] = 99
    assert array[0, 0, 0] == 99


def test_compositing_equals_pillows_on_opaque_and_invisible_pixels() -> None:
    values = torch.randint(0, 256, (4, 300, 5), dtype=torch.uint8)
    values[3, ::2] = 255
    values[3, 1::2] = 0
    assert torch.equal(opaque(values, "white")[:, ::2], values[:3, ::2])
    assert (opaque(values, "white")[:, 1::2] == 255).all()
    assert (opaque(values, "black")[:, 1::2] == 0).all()


def test_eight_bit_compositing_is_the_rounded_exact_mix() -> None:
    colour, alpha = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    values = torch.stack([colour, colour, colour, alpha]).to(torch.uint8)
    exact = (colour.double() * alpha + 255 * (255 - alpha.double())) / 255
    assert torch.equal(opaque(values, "white")[0].double(), exact.round())


def test_sixteen_bits_go_to_the_nearest_of_eight() -> None:
    values = torch.arange(65_536).to(torch.uint16).reshape(1, 256, 256)
    exact = (torch.arange(65_536).double() / 65_535 * 255).round().reshape(1, 256, 256)
    assert torch.equal(scaled(values).double(), exact)


def test_the_size_limits_are_inclusive() -> None:
    check_size(1, 200, LIMITS)
    check_size(16_384, 3051, LIMITS)
    with pytest.raises(ImageError, match="201 is over the limit of 200:1"):
        check_size(1, 201, LIMITS)
    with pytest.raises(ImageError, match="50,000,000 pixels"):
        check_size(16_384, 3052, LIMITS)
