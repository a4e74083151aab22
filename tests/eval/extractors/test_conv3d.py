import math

import pytest
import torch
from torch import nn

from beholder.eval.extractors._conv3d import (
    fused,
    max_pool_same,
    pad_same,
    pointwise,
    same_padding,
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 7, 2, (2, 3)),
        (7, 7, 2, (3, 3)),
        (112, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (5, 3, 1, (1, 1)),
        (7, 2, 2, (0, 1)),
        (8, 2, 2, (0, 0)),
        (1, 7, 2, (3, 3)),
        (6, 1, 1, (0, 0)),
        (4, 1, 2, (0, 0)),
    ],
)
def test_padding_is_what_tensorflow_documents_for_same(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("size", range(1, 20))
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_padded_windows_come_out_as_ceil_of_size_by_stride(
    size: int, kernel: int, stride: int
) -> None:
    padded = size + sum(same_padding(size, kernel, stride))
    assert (padded - kernel) // stride + 1 == -(-size // stride)


def test_zeros_go_to_the_axis_that_needs_them_with_the_odd_one_last() -> None:
    padded = pad_same(torch.ones(1, 1, 5, 4, 6), (1, 3, 2), (1, 2, 1))

    assert padded.shape == (1, 1, 5, 5, 7)
    assert padded[0, 0, 0].tolist() == [*[[1.0] * 6 + [0.0]] * 4, [0.0] * 7]


def test_values_that_need_no_zeros_are_not_copied() -> None:
    values = torch.ones(1, 1, 4, 4, 4)

    assert pad_same(values, (1, 1, 1), (1, 1, 1)) is values


def test_the_maximum_is_that_over_the_windows_inside_the_picture() -> None:
    values = torch.rand(2, 3, 5, 6, 7, generator=torch.Generator().manual_seed(0))

    found = max_pool_same(values, (3, 3, 3), (2, 2, 2))

    assert found.shape == (2, 3, 3, 3, 4)
    # axes of 5 and 7 have one zero before them, that of 6 has none
    assert torch.equal(found[:, :, 0, 0, 0], values[:, :, :2, :3, :2].amax((2, 3, 4)))
    assert torch.equal(found[:, :, 1, 1, 1], values[:, :, 1:4, 2:5, 1:4].amax((2, 3, 4)))
    assert torch.equal(found[:, :, 2, 2, 3], values[:, :, 3:, 4:, 5:].amax((2, 3, 4)))


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 3, 3), (2, 2, 2)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_maxima_equal_torchs_over_windows_padded_with_minus_infinity(
    kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    values = torch.rand(2, 3, 5, 8, 7, generator=torch.Generator().manual_seed(0))
    sides = [same_padding(*axis) for axis in zip((5, 8, 7), kernel, stride, strict=True)]
    flat = [zeros for side in reversed(sides) for zeros in side]
    around = nn.functional.pad(values, flat, value=-math.inf)

    found = max_pool_same(values, kernel, stride)

    assert torch.equal(found, nn.functional.max_pool3d(around, kernel, stride))


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_one_place_is_a_product_and_keeps_channels_last(bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 6, 1, bias=bias)
    values = torch.randn(2, 4, 3, 5, 6).contiguous(memory_format=torch.channels_last_3d)

    found = pointwise(values, conv)

    torch.testing.assert_close(found, conv(values), rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("groups", [1, 2])
def test_one_convolution_does_what_convolution_and_norm_do(groups: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 6, 3, 2, 1, groups=groups, bias=False)
    norm = nn.BatchNorm3d(6, eps=1e-3).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for values in (norm.weight.data, norm.running_var):
        values.uniform_(0.1, 2)
    for values in (norm.bias.data, norm.running_mean):
        values.normal_()
    pixels = torch.randn(2, 4, 5, 6, 7)
    expected = norm(conv(pixels))

    one = fused(conv.eval(), norm)

    assert one.weight.dtype == torch.float32
    torch.testing.assert_close(one(pixels), expected, rtol=1e-5, atol=1e-5)
