import numpy as np
import pytest
from PIL import Image

from beholder.annotation.sources._scenes.compose import Placed, compose
from beholder.annotation.sources._scenes.growths import GROWTHS, ghost, limb
from beholder.annotation.sources._scenes.pixels import Values, to_values
from tests.annotation.sources._scenes.material import group


def scene() -> tuple[Values, Placed]:
    picture = Image.new("RGB", (100, 100), "white")
    (one,) = compose(picture, [group("square", colour="red", extent=0.3)])
    return to_values(picture), one


@pytest.mark.parametrize("kind", GROWTHS)
def test_a_growth_shows_on_and_beside_its_thing(kind: str) -> None:
    picture, one = scene()
    for seed in range(10):
        new, mask = GROWTHS[kind](picture, one, 0.8, np.random.default_rng(seed))
        assert new.dtype == mask.dtype == np.float32
        assert mask.max() == 1
        assert mask[one.cover(100) == 0].sum() > 5
        assert mask[:10].max() == 0


def test_a_ghost_is_the_whole_thing_shifted_and_mixed_by_its_severity() -> None:
    picture, one = scene()
    new, mask = ghost(picture, one, 0.6, np.random.default_rng(0))
    assert mask.sum() == pytest.approx(one.cover(100).sum())
    beside = (mask == 1) & (picture == 255).all(axis=2)
    thing = to_values(one.patch)[15, 15, :3]
    # shown: 0.35 + 0.4 * 0.6 = 0.59 of the red, the rest of the white behind; a square's shading
    # varies a little
    assert np.abs(new[beside].mean(axis=0) - (0.59 * thing + 0.41 * 255)).max() < 25


def test_a_limb_is_larger_the_more_severe() -> None:
    picture, one = scene()
    shares = [
        limb(picture, one, severity, np.random.default_rng(3))[1].sum() for severity in (0.3, 1.0)
    ]
    assert shares[1] > 1.4 * shares[0]
