import numpy as np
import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training.augment import (
    Augmentation,
    Moves,
    cropped,
    draw,
    flipped,
    is_sided,
    lit,
    moved,
)

WHOLE = [0.0, 0.0, 1.0, 1.0]


def moves(
    box: list[float], lights: tuple[float, float] = (1.0, 1.0), *, flip: bool = False
) -> Moves:
    return Moves(torch.tensor([flip]), torch.tensor([box]), torch.tensor([lights]))


def point(side: int, channels: int, x: float, y: float) -> Tensor:
    values = torch.zeros(1, channels, side, side)
    values[..., int(y * side), int(x * side)] = 1.0
    return values


def place(values: Tensor) -> tuple[float, float]:
    """Centre of mass as shares of width and height."""
    mass = values[0].sum(0) / values[0].sum()
    at = (torch.arange(len(mass)) + 0.5) / len(mass)
    return float(mass.sum(0) @ at), float(mass.sum(1) @ at)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [WHOLE, [0.1, 0.2, 0.8, 0.7]])
@pytest.mark.parametrize(("x", "y"), [(0.3, 0.55), (0.72, 0.4)])
def test_a_point_moves_alike_in_picture_and_map_of_other_sides(
    flip: bool, box: list[float], x: float, y: float
) -> None:
    picture, maps = moved(point(96, 3, x, y), point(24, 2, x, y), moves(box, flip=flip))
    expected = ((x - box[0]) / box[2], (y - box[1]) / box[3])
    if flip:
        expected = (1 - expected[0], expected[1])
    assert place(picture) == pytest.approx(expected, abs=1 / 96)
    assert place(maps) == pytest.approx(expected, abs=1 / 24)


def test_flipping_twice_and_cropping_nothing_give_the_values_back_to_the_bit() -> None:
    values, rows = torch.rand(3, 2, 5, 4), torch.tensor([True, False, True])
    once = flipped(values, rows)
    assert torch.equal(once[1], values[1])
    assert torch.equal(once[0], values[0].flip(-1))
    assert torch.equal(flipped(once, rows), values)
    assert torch.equal(cropped(values, torch.tensor([WHOLE] * 3)), values)


def test_a_quarter_is_stretched_to_the_whole() -> None:
    values = torch.rand(1, 1, 4, 4)
    quarter = cropped(values, torch.tensor([[0.5, 0.0, 0.5, 0.5]]))
    wanted = torch.nn.functional.interpolate(
        values, scale_factor=2, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(quarter[..., 1:3, 1:3], wanted[..., 1:3, 5:7])


def test_light_changes_pictures_by_hand_and_not_maps() -> None:
    picture = torch.tensor([0.2, 0.6]).reshape(1, 1, 1, 2)
    changed = lit(picture, torch.tensor([[1.5, 0.5]]))
    torch.testing.assert_close(changed.flatten(), torch.tensor([0.45, 0.75]))
    assert lit(picture, torch.tensor([[9.0, 1.0]])).max() == 1
    maps = torch.rand(1, 2, 4, 4)
    assert torch.equal(moved(torch.rand(1, 3, 8, 8), maps, moves(WHOLE, (1.2, 0.9)))[1], maps)


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat on the LEFT of a dog",
        "her right-hand glove",
        "ein Hund links vom Haus",
        "猫在左边",
        "a neon sign with the word open",
        "the woman's left's shadow",
    ],
)
def test_sides_and_writing_forbid_a_flip(prompt: str) -> None:
    assert is_sided(prompt)
    drawn = draw(Augmentation(flip=1.0), [prompt, "a bright swordfish"], np.random.default_rng(0))
    assert drawn.flips.tolist() == [False, True]


@pytest.mark.parametrize("prompt", ["a bright night", "leftover rice, upright piano", ""])
def test_words_that_only_contain_a_side_do_not(prompt: str) -> None:
    assert not is_sided(prompt)


def test_moves_stay_in_their_limits_and_repeat() -> None:
    config = Augmentation(flip=0.5, crop=0.2, jitter=0.1)
    first, again = (draw(config, ["x"] * 500, np.random.default_rng([1, 2])) for _ in range(2))
    for name in ("flips", "boxes", "lights"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    left, top, width, height = first.boxes.unbind(1)
    assert 0.8 <= width.min() < 0.82 < 0.98 < height.max() <= 1
    assert left.min() >= 0
    assert (left + width).max() <= 1 + 1e-6
    assert (top + height).max() <= 1 + 1e-6
    assert 0.9 <= first.lights.min() < 0.91 < 1.09 < first.lights.max() <= 1.1
    assert 200 < int(first.flips.sum()) < 300


def test_no_augmentation_changes_nothing() -> None:
    none = draw(Augmentation(flip=0, crop=0), ["x"] * 4, np.random.default_rng(0))
    pictures, maps = torch.rand(4, 3, 8, 8), torch.rand(4, 2, 4, 4)
    same = moved(pictures, maps, none)
    assert torch.equal(same[0], pictures)
    assert torch.equal(same[1], maps)


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="flip must be at least 0 and at most 1, got"):
        Augmentation(flip=1.5)
    with pytest.raises(ConfigError, match="crop must be at least 0 and below 1"):
        Augmentation(crop=1.0)
