import numpy as np
import pytest

from beholder.annotation.sources._scenes.faults import KINDS, aesthetics, degrade, draw_faults
from beholder.annotation.sources._scenes.pixels import Values


def grey(level: float = 100.0) -> Values:
    return np.full((32, 32, 3), level, dtype=np.float32)


def faulty(kind: str, severity: float = 1.0, seed: int = 0, level: float = 100.0) -> Values:
    return degrade(grey(level), {kind: severity}, np.random.default_rng(seed))


def test_aesthetics_is_the_product_of_what_the_faults_leave() -> None:
    assert aesthetics({}) == 1
    assert aesthetics({"dull": 0.5, "noise": 1.0}) == pytest.approx(0.7 * 0.4)


def test_up_to_three_kinds_of_faults_are_drawn() -> None:
    found = [draw_faults(np.random.default_rng(seed)) for seed in range(300)]
    assert {len(faults) for faults in found} == {0, 1, 2, 3}
    assert {kind for faults in found for kind in faults} == set(KINDS)
    assert all(0.25 <= severity <= 1 for faults in found for severity in faults.values())
    assert 0.2 < np.mean([not faults for faults in found]) < 0.4


def test_without_faults_nothing_changes() -> None:
    assert (degrade(grey(), {}, np.random.default_rng(0)) == grey()).all()


def test_dull_pulls_to_the_middle_grey() -> None:
    assert faulty("dull", level=228.0) == pytest.approx(228 - 65)


def test_exposure_is_too_dark_or_too_bright() -> None:
    levels = {round(float(faulty("exposure", seed=seed).mean())) for seed in range(10)}
    assert levels == {28, 220}


def test_a_cast_keeps_the_channels_flat_and_makes_them_unequal() -> None:
    picture = faulty("cast")
    assert float(np.ptp(picture, axis=(0, 1)).max()) == 0
    assert float(np.ptp(picture[0, 0])) > 40


def test_a_vignette_darkens_the_corners_alone() -> None:
    picture = faulty("vignette")
    assert picture[0, 0] == pytest.approx(5)
    assert picture[15, 15] == pytest.approx(100, abs=0.5)


def test_noise_has_the_promised_deviation() -> None:
    picture = faulty("noise", severity=0.5)
    assert picture.std() == pytest.approx(16, rel=0.05)
    assert picture.mean() == pytest.approx(100, abs=1)
