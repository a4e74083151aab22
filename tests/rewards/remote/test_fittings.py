"""Fittings that travel as JSON come back equal, and whatever else travels is none."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from beholder.rewards._preprocess import Fitting, Preprocess
from beholder.rewards._remote.fittings import Smaller, described, fitting_of
from beholder.rewards._vlm.pictures import PixelBudget

FITTINGS = [
    Preprocess(size=16),
    Preprocess(size=8, fit="pad", mean=(0.5, 0.25, 0.125), std=(0.5, 1.0, 2.0), half=True),
    Preprocess(size=9, fit="squash", interpolation="bilinear", resampling="aliased"),
    Preprocess(size=9, crop_offset="round", resampling="antialiased"),
    PixelBudget(min_pixels=784, max_pixels=7840),
    PixelBudget(min_pixels=64, max_pixels=640, factor=8),
]


def travelled(fitting: Fitting | None) -> object:
    return json.loads(json.dumps(described(fitting), allow_nan=False))


@pytest.mark.parametrize("fitting", FITTINGS)
def test_a_fitting_comes_back_equal_and_shrinks_alike(fitting: Fitting) -> None:
    found = fitting_of(travelled(fitting))
    assert found == fitting
    assert hash(found) == hash(fitting)
    assert found is not None
    pixels = torch.randint(0, 256, (2, 3, 40, 70), dtype=torch.uint8)
    assert torch.equal(found.shrink(pixels), fitting.shrink(pixels))


@dataclass(frozen=True)
class Half:
    """A fitting of one's own."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return pixels[:, :, ::2, ::2] / 255

    def shrink(self, pixels: Tensor) -> Tensor:
        return pixels


@dataclass(frozen=True, kw_only=True)
class Odd(Preprocess):
    """One that only looks like a known one."""


@pytest.mark.parametrize("fitting", [None, Half(), Odd(size=8)])
def test_what_a_client_has_no_code_of_is_not_described(fitting: Fitting | None) -> None:
    assert described(fitting) is None


WHOLE = described(Preprocess(size=16)) or {}


@pytest.mark.parametrize(
    "said",
    [
        None,
        "preprocess",
        [],
        {},
        {**WHOLE, "kind": "fold"},
        {**WHOLE, "kind": ["preprocess"]},
        {**WHOLE, "newer": 1},
        {name: value for name, value in WHOLE.items() if name != "half"},
        {**WHOLE, "size": 0},
        {**WHOLE, "size": True},
        {**WHOLE, "size": "16"},
        {**WHOLE, "size": 10**6},
        {**WHOLE, "fit": "stretch"},
        {**WHOLE, "fit": ["crop"]},
        {**WHOLE, "mean": "abc"},
        {**WHOLE, "std": [1.0, 1.0]},
        {**WHOLE, "std": [1.0, 1.0, "x"]},
        {"kind": "pixel-budget", "min_pixels": 10, "max_pixels": 5, "factor": 1},
        {"kind": "pixel-budget", "min_pixels": 10, "max_pixels": 10**12, "factor": 1},
    ],
)
def test_whatever_is_not_exactly_a_description_is_no_fitting(said: object) -> None:
    assert fitting_of(said) is None


def test_a_picture_that_would_grow_is_kept_and_a_large_one_shrinks() -> None:
    fitting = Smaller(Preprocess(size=16))
    small = torch.randint(0, 256, (1, 3, 10, 12), dtype=torch.uint8)
    large = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8)
    assert fitting.shrink(small) is small
    assert torch.equal(fitting.shrink(large), fitting.inner.shrink(large))
    assert torch.equal(fitting(fitting.shrink(small)), fitting.inner(small))


def test_a_picture_that_would_take_more_bytes_as_floats_is_kept() -> None:
    fitting = Smaller(Preprocess(size=16, resampling="antialiased"))
    picture = torch.randint(0, 256, (1, 3, 20, 20), dtype=torch.uint8)
    assert fitting.inner.shrink(picture).nbytes == 4 * 3 * 16 * 16 > picture.nbytes
    assert fitting.shrink(picture) is picture


def test_equal_fittings_shrink_a_picture_once() -> None:
    assert {Smaller(Preprocess(size=16)), Smaller(Preprocess(size=16))} == {
        Smaller(Preprocess(size=16))
    }
    assert Smaller(Preprocess(size=16)) != Smaller(Preprocess(size=17))


def test_a_server_that_asks_another_tells_what_that_one_told() -> None:
    assert described(Smaller(Preprocess(size=16))) == described(Preprocess(size=16))
