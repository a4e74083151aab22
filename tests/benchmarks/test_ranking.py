"""The simulations in small, with fixed seeds: they would notice an interval that is too short."""

import math

import numpy as np
import pytest

from benchmarks import ranking
from benchmarks.ranking import (
    ALPHA,
    STATISTICS,
    World,
    coverage,
    false_share,
    held_of_these,
    held_shares,
    powers,
)


def test_the_truth_is_what_the_world_was_made_with() -> None:
    truth = World().truth(5000)
    assert truth["mean difference", "m0 m2"] == pytest.approx(-0.5, abs=0.07)
    # latent 2 x 0.5^2 and noise 2 x 1: the chance that one picture beats another
    chances = [0.5 * math.erfc(gap / math.sqrt(2 * 2.5)) for gap in (0.2, 0.5)]
    assert truth["win rate", "m0"] == pytest.approx(np.mean(chances), abs=0.02)
    assert truth["mean", "m1"] == pytest.approx(0.2, abs=0.07)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    world = World(prompts=30)
    held = held_shares(world, world.truth(5000), repeats=40, draws=200)
    for name, share in held.items():
        assert 0.87 <= share <= 0.99, name


def test_few_prompts_are_simulated_more_often_and_every_line_says_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def held(world: World, truth: object, repeats: int) -> dict[str, float]:
        asked.append(repeats)
        return dict.fromkeys(STATISTICS, 0.95)

    monkeypatch.setattr(World, "truth", lambda world: {})
    monkeypatch.setattr(ranking, "held_shares", held)
    lines = [line.split() for line in coverage(2, [(20, 1), (200, 1)])][2:]
    assert [line[1:5] for line in lines] == [
        ["20", "1", "6", "8.9"],
        ["200", "1", "2", "15.4"],
    ] * 3
    assert asked == [6, 2] * 3


def test_redrawn_pictures_hold_the_truth_of_their_prompts() -> None:
    assert 0.88 <= held_of_these(World(prompts=20, seeds=2), "seeds", repeats=10, draws=60) <= 1


@pytest.mark.parametrize("resample", ["prompts", "seeds"])
def test_equal_checkpoints_are_seldom_told_apart(resample: str) -> None:
    world = World((0.0,) * 4, 20, 2, "tied")
    assert false_share(world, resample, 24) <= ALPHA + 2 * math.sqrt(0.05 * 0.95 / 24)  # type: ignore[arg-type]


def test_the_power_is_about_what_was_estimated() -> None:
    seen, said = powers(World((0.0, 0.5), 60), 100)
    assert 0.3 < said < 0.9
    assert seen == pytest.approx(said, abs=0.15)
