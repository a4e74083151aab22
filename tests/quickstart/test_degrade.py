from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from beholder.quickstart.degrade import (
    CHECKPOINTS,
    Faults,
    Values,
    degrade,
    draw_faults,
    misread,
    qualities,
)
from beholder.quickstart.scenes import Pixels, Thing, render, scenes
from beholder.types import ASPECTS

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def clean() -> Pixels:
    rng = np.random.default_rng(0)
    (scene,) = scenes(1, rng, held_out=False)
    return render(scene, scene.thing, rng)


def edges(pixels: Pixels) -> float:
    """The mean absolute difference of neighbours: less by blur, more by noise."""
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())


def degraded(pixels: Pixels, fault: str, severity: float) -> Pixels:
    return degrade(pixels, one_fault(fault, severity), np.random.default_rng(1))


def one_fault(fault: str, severity: float) -> Faults:
    faults = Faults()
    assert hasattr(faults, fault)
    return replace(faults, **{fault: severity})  # type: ignore[arg-type]


def contrast(pixels: Pixels) -> float:
    return float(pixels.astype(float).std())


def steps_at_blocks(pixels: Pixels) -> float:
    """Steps across the borders of JPEG's 8 x 8 blocks, relative to steps inside them."""
    steps: Values = np.abs(np.diff(pixels.astype(np.float32), axis=1)).mean(axis=(0, 2))
    return float(steps[7::8].mean() / np.delete(steps, np.s_[7::8]).mean())


def test_no_fault_leaves_the_picture_alone(clean: Pixels) -> None:
    assert np.array_equal(degrade(clean, Faults(), np.random.default_rng(0)), clean)


@pytest.mark.parametrize("fault", ["cast", "dull", "blur", "noise", "blocks"])
def test_more_severe_is_further_from_the_clean_picture(clean: Pixels, fault: str) -> None:
    far = [np.abs(degraded(clean, fault, s).astype(float) - clean).mean() for s in SEVERITIES]
    assert far[0] == 0
    assert all(a < b for a, b in pairwise(far))


def test_each_fault_does_what_its_name_says(clean: Pixels) -> None:
    blurred = [edges(degraded(clean, "blur", s)) for s in SEVERITIES]
    noisy = [edges(degraded(clean, "noise", s)) for s in SEVERITIES]
    dull = [contrast(degraded(clean, "dull", s)) for s in SEVERITIES]
    assert blurred == sorted(blurred, reverse=True)
    assert noisy == sorted(noisy)
    assert dull == sorted(dull, reverse=True)
    assert steps_at_blocks(degraded(clean, "blocks", 1.0)) > 2 * steps_at_blocks(clean)
    shift = degraded(clean, "cast", 1.0).astype(float).mean(axis=(0, 1)) / clean.mean(axis=(0, 1))
    assert shift.max() / shift.min() > 1.3


def test_quality_falls_with_its_own_faults_alone() -> None:
    own = {"aesthetics": ("cast", "dull"), "detail": ("blur", "noise", "blocks")}
    for aspect, faults in own.items():
        for fault in faults:
            worse = qualities(one_fault(fault, 0.5))
            assert worse[aspect] == pytest.approx(1 - 0.75 * 0.5)
            assert all(worse[a] == 1 for a in ("aesthetics", "detail", "alignment") if a != aspect)


def test_overall_is_the_weighted_mean() -> None:
    quality = qualities(Faults(cast=1.0, blur=1.0, wrong=3))
    assert tuple(quality) == ASPECTS
    assert quality["overall"] == pytest.approx(0.3 * 0.25 + 0.3 * 0.25 + 0.4 * 0)


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_a_misread_thing_differs_in_as_many_names(wrong: int) -> None:
    asked = Thing("red", "star", "in the middle")
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = misread(asked, wrong, rng)
        names = ("colour", "shape", "place")
        assert sum(getattr(drawn, n) != getattr(asked, n) for n in names) == wrong


def test_checkpoints_are_listed_best_first_yet_single_pictures_vary() -> None:
    rng = np.random.default_rng(0)
    overall = {
        name: np.array([qualities(draw_faults(chance, rng))["overall"] for _ in range(400)])
        for name, chance in CHECKPOINTS.items()
    }
    means = [values.mean() for values in overall.values()]
    assert means == sorted(means, reverse=True)
    late, *_, early = overall.values()
    assert 0.02 < (late < early).mean() < 0.3
    assert all(name.startswith("simulated-") for name in CHECKPOINTS)
