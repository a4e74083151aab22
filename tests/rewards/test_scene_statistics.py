"""Laws of the fits, and samples whose parameters are known."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from beholder.rewards._scene_statistics import _PORTION, fit_aggd, luminance, normalised, portions


def sampled(shape: float, count: int = 200_000) -> torch.Tensor:
    return torch.from_numpy(stats.gennorm.rvs(shape, size=count, random_state=0))


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
def test_a_fit_finds_the_shape_and_the_scale_of_a_sample(shape: float) -> None:
    fit = fit_aggd(sampled(shape))
    assert fit.shape.item() == pytest.approx(shape, rel=0.05)
    for scale in fit.scales:
        assert scale.item() == pytest.approx(1, rel=0.1)


def test_the_mean_is_that_of_a_lopsided_sample() -> None:
    """Half of each side's samples, weighed by its scale: the density of Lasmar et al. (2009)."""
    both = sampled(1.5).abs()
    left, right = both[: 100_000 * 2 // 3], 2 * both[: 200_000 * 2 // 3]
    fit = fit_aggd(torch.cat([-left, right]))
    assert fit.mean.item() == pytest.approx(torch.cat([-left, right]).mean().item(), rel=0.02)
    assert (fit.scales[1] / fit.scales[0]).item() == pytest.approx(2, rel=0.02)


def test_turning_a_sample_round_swaps_its_sides_and_scaling_it_scales_them() -> None:
    values = torch.randn(2, 500, dtype=torch.float64) + 0.2
    fit, back, large = fit_aggd(values), fit_aggd(-values), fit_aggd(3 * values)
    torch.testing.assert_close(back.mean, -fit.mean)
    torch.testing.assert_close(back.left, fit.right)
    torch.testing.assert_close(large.shape, fit.shape)
    torch.testing.assert_close(large.right, 3 * fit.right)


def test_shapes_out_of_range_are_the_nearest_in_range() -> None:
    coins = torch.tensor([-1.0, 1.0] * 50, dtype=torch.float64)
    spike = torch.cat([coins[:4], torch.zeros(10_000, dtype=torch.float64)])
    assert fit_aggd(coins).shape.item() == pytest.approx(10)
    assert fit_aggd(spike).shape.item() == pytest.approx(0.2)


def test_nothing_on_a_side_is_not_fitted() -> None:
    rows = torch.tensor([[0.0, 0, 0], [1, 2, 3], [-1, 0, 1]], dtype=torch.float64)
    assert fit_aggd(rows).fitted.tolist() == [False, False, True]


def test_the_gradient_of_a_fit_is_that_of_finite_differences() -> None:
    values = torch.randn(40, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: fit_aggd(v).shape, (values,), rtol=1e-4, atol=1e-6)
    torch.autograd.gradcheck(lambda v: fit_aggd(v).mean, (values,), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("border", "mode"), [("black", "constant"), ("edge", "nearest")])
def test_coefficients_are_those_of_a_blur_of_scipy(border: str, mode: str) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (20, 17)).astype(float)
    blur = {"sigma": 7 / 6, "truncate": 3 / (7 / 6), "mode": mode}
    mean = ndimage.gaussian_filter(grey, **blur)
    spread = np.sqrt(np.abs(ndimage.gaussian_filter(grey**2, **blur) - mean**2))
    found = normalised(torch.from_numpy(grey)[None], border)  # type: ignore[arg-type]
    np.testing.assert_allclose(found[0].numpy(), (grey - mean) / (spread + 1), atol=1e-9)


def test_luminance_is_in_whole_levels_and_the_same_of_bytes_and_floats() -> None:
    levels = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    exact = torch.einsum(
        "bchw,c->bhw", levels.double(), torch.tensor([0.299, 0.587, 0.114]).double()
    )
    grey = luminance(levels)
    assert torch.equal(grey, luminance(levels / 255))
    assert torch.equal(grey, grey.round())
    assert (grey[:, 0] - exact).abs().max() <= 0.5 + 1e-4
    halves = torch.tensor([0, 0, 0, 250, 0, 0], dtype=torch.uint8).view(2, 3, 1, 1)
    assert luminance(halves).flatten().tolist() == [0, 75]  # 74.75
    assert luminance(torch.tensor([5, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)).item() == 1


def test_the_gradient_goes_straight_through_the_rounding() -> None:
    pixels = torch.rand(1, 3, 2, 2, requires_grad=True)
    luminance(pixels).sum().backward()
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad[0, :, 0, 0], 255 * torch.tensor([0.299, 0.587, 0.114]))


def test_pictures_are_split_by_their_size_and_never_below_one() -> None:
    side = int((_PORTION / 2) ** 0.5)
    shapes = [(5, side, side), (2, 2 * side, 2 * side), (0, side, side)]
    sizes = [[len(p) for p in portions(torch.empty(shape, device="meta"))] for shape in shapes]
    assert sizes == [[2, 2, 1], [1, 1], [0]]


def test_autocast_does_not_reach_the_grey_levels() -> None:
    pixels = torch.rand(1, 3, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        within = luminance(pixels)
    assert torch.equal(within, luminance(pixels))
