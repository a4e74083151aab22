import numpy as np
import pytest

from beholder.annotation.sources._scenes.effects import EFFECTS, blocks, blur, swirl
from beholder.annotation.sources._scenes.pixels import Mask, Values

SIDE = 96


def noise() -> Values:
    return np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)


def spot() -> Mask:
    mask = np.zeros((SIDE, SIDE), dtype=np.float32)
    mask[30:70, 36:76] = 1
    return mask


@pytest.mark.parametrize("kind", EFFECTS)
@pytest.mark.parametrize("severity", [0.3, 1.0])
def test_the_spot_changes_and_what_is_far_away_does_not(kind: str, severity: float) -> None:
    picture = noise()
    before = picture.copy()
    new = EFFECTS[kind](picture, spot(), severity, np.random.default_rng(0))
    assert (picture == before).all()
    assert new.dtype == np.float32
    assert np.abs(new - picture)[30:70, 36:76].mean() > 10
    assert np.allclose(new[:13], picture[:13], atol=1e-3)
    assert new.min() >= 0
    assert new.max() <= 255


def test_a_blur_lowers_the_variance_the_more_the_more_severe() -> None:
    spread = [
        blur(noise(), spot(), severity, np.random.default_rng(0))[40:60, 46:66].std()
        for severity in (0.3, 0.6, 1.0)
    ]
    assert noise()[40:60, 46:66].std() > spread[0] > spread[1] > spread[2]


def test_blocks_are_two_pixels_wide_at_least() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, SIDE, dtype=np.float32)[:, None, None], (96, 96, 3))
    for severity in (0.3, 1.0):
        new = blocks(ramp, spot(), severity, np.random.default_rng(0))[32:68, 38:74]
        steps = np.abs(np.diff(new, axis=0))
        assert steps[::2].max() == 0
        assert steps[1::2].max() > 0


def test_a_swirl_leaves_its_middle_and_turns_what_is_around() -> None:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    ramp = np.stack([x, y, x + y], axis=2)
    new = swirl(ramp, spot(), 1.0, np.random.default_rng(0))
    assert np.allclose(new[49:51, 55:57].mean(axis=(0, 1)), (55.5, 49.5, 105), atol=0.2)
    off = new[50, 62, :2] - np.array([55.5, 49.5])
    assert np.hypot(*off) == pytest.approx(np.hypot(6.5, 0.5), abs=0.1)  # as far, elsewhere
    assert off[0] < 4
