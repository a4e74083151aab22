import numpy as np

from beholder.annotation.sources._scenes.chance import pick, weighted


def test_every_value_is_picked_about_as_often() -> None:
    rng = np.random.default_rng(0)
    picked = [pick("abcd", rng) for _ in range(4000)]
    assert all(900 < picked.count(letter) < 1100 for letter in "abcd")


def test_a_place_comes_up_as_often_as_its_share() -> None:
    rng = np.random.default_rng(0)
    drawn = [weighted((0.1, 0.0, 0.9), rng) for _ in range(4000)]
    assert 340 < drawn.count(0) < 460
    assert drawn.count(1) == 0
