"""Scores worked out by hand, and cosines from a tiny reward."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval.text_alignment import (
    WEIGHT,
    TextAlignment,
    clip_score,
    clipsim,
    itm_score,
    picture_cosines,
    ref_clip_score,
    reference_cosines,
)
from beholder.images import ImageSource
from tests.rewards.tinies.clipscore import tiny

NAN = math.nan


def value(found: TextAlignment) -> float:
    assert found.mean.value is not None
    return found.mean.value


def test_hessel_cuts_every_picture_off_and_torchmetrics_only_the_mean() -> None:
    """2.5 (0.3 + 0 + 0.1) / 3 and 100 (0.3 - 0.2 + 0.1) / 3."""
    cosines = [0.3, -0.2, 0.1]
    hessel, other = clip_score(cosines), clip_score(cosines, "torchmetrics")
    assert value(hessel) == pytest.approx(1 / 3)
    assert hessel.samples == pytest.approx((0.75, 0, 0.25))
    assert value(other) == pytest.approx(20 / 3)
    assert other.samples == pytest.approx((30, -20, 10))
    below = clip_score([-0.2, 0.1], "torchmetrics")
    assert (value(below), below.mean.low) == (0, 0)
    assert below.mean.high == pytest.approx(10)


def test_rows_without_value_are_left_out_and_counted() -> None:
    found = clip_score([0.2, NAN, 0.4])
    assert value(found) == pytest.approx(0.75)
    assert (found.mean.samples, found.left_out) == (2, 1)
    assert found.as_dict()["samples"] == [0.5, None, 1.0]
    nothing = clip_score([NAN])
    assert (nothing.mean.value, nothing.mean.why) == (None, "no row has a value")
    assert clip_score([]).mean.value is None


def test_the_interval_redraws_whole_groups() -> None:
    """Two groups that agree inside: a draw has 0, 1 or 2 of the first, so 0, 0.5 or 1."""
    cosines, groups = [0.0] * 50 + [0.4] * 50, ["a"] * 50 + ["b"] * 50
    alone, together = clip_score(cosines), clip_score(cosines, groups=groups)
    assert value(alone) == value(together) == pytest.approx(0.5)
    assert (together.mean.low, together.mean.high) == pytest.approx((0, 1))
    assert alone.mean.low == pytest.approx(0.4, abs=0.02)
    assert together.mean.samples == 100


def test_the_reference_score_is_a_harmonic_mean_with_the_weight_on_the_picture_alone() -> None:
    """a = 2.5 * 0.32 = 0.8, b = 0.6: 2 * 0.48 / 1.4."""
    found = ref_clip_score([0.32, 0.4, -0.1], [[0.6, 0.2], [1.0], [-0.3]])
    assert found.samples == pytest.approx((0.96 / 1.4, 1.0, 0.0))
    assert value(found) == pytest.approx((0.96 / 1.4 + 1) / 3)


@pytest.mark.parametrize(("clip", "ref"), [(0.8584, 0.8450), (0.7153, 0.7253)])
def test_the_authors_figures_need_the_weight(clip: float, ref: float) -> None:
    """With a bare cosine, a harmonic mean of at most twice it would stay below the second one."""
    assert 2 * clip / WEIGHT < ref
    text = 1 / (2 / ref - 1 / clip)
    assert 0.7 < text < 0.9
    assert value(ref_clip_score([clip / WEIGHT], [[text]])) == pytest.approx(ref)


def test_pictures_without_references_are_left_out() -> None:
    found = ref_clip_score([0.4, 0.4, NAN], [[1.0], [], [0.5]])
    assert value(found) == pytest.approx(1)
    assert found.left_out == 2
    with pytest.raises(DataError, match="references of 1"):
        ref_clip_score([0.1, 0.2], [[0.1]])


def test_videos_count_the_same_however_many_frames_they_have() -> None:
    """a: (0.2 + 0.4) / 2, b: 0.1, c: only a damaged frame."""
    found = clipsim([0.2, 0.1, 0.4, NAN, NAN], ["a", "b", "a", "c", "a"], sampling="16 of all")
    assert found.keys == ("a", "b", "c")
    assert found.samples[:2] == pytest.approx((0.3, 0.1))
    assert math.isnan(found.samples[2])
    assert value(found) == pytest.approx(0.2)
    assert (found.mean.samples, found.left_out) == (2, 2)
    assert found.settings["sampling"] == "16 of all"
    hundred = clipsim([0.2, -0.1], ["a", "b"], scale=100)
    assert hundred.samples == pytest.approx((20, -10))
    assert hundred.settings["scale"] == 100


def test_matches_are_averaged() -> None:
    found = itm_score([0.9, 0.1, NAN])
    assert value(found) == pytest.approx(0.5)
    assert found.left_out == 1
    with pytest.raises(DataError, match=r"\[0, 1\], but number 1 is -0.2"):
        itm_score([0.9, -0.2])


def test_what_is_no_cosine_is_refused() -> None:
    with pytest.raises(DataError, match="number 1 is 24"):
        clip_score([0.2, 24.0])
    with pytest.raises(DataError, match="one axis"):
        clip_score([[0.2]])
    with pytest.raises(DataError, match="groups of 1"):
        clip_score([0.2, 0.3], groups=["a"])
    with pytest.raises(ConfigError, match="protocol is 'hessel' or 'torchmetrics'"):
        clip_score([0.2], "openai")
    with pytest.raises(ConfigError, match="scale is 1 or 100"):
        clipsim([0.2], ["a"], scale=10)


def test_the_result_is_json() -> None:
    found = json.loads(json.dumps(clip_score([0.2, NAN], draws=10, seed=3).as_dict()))
    assert found["settings"] == {"protocol": "hessel", "draws": 10, "seed": 3}
    assert found["mean"]["value"] == pytest.approx(0.5)


def test_a_reward_gives_the_cosines_behind_its_scores(tmp_path: Path) -> None:
    reward = tiny().eval()
    images: list[ImageSource] = [*torch.rand(4, 3, 50, 70), tmp_path / "missing.png"]
    prompts = ["a cat", "a dog", "", "a cube", "x"]
    found = picture_cosines(reward, images, prompts, batch_size=2)
    scores = reward.score(images, prompts)
    assert found.errors.keys() == scores.errors.keys() == {4}
    np.testing.assert_allclose(
        WEIGHT * found.values.clip(min=0), scores.total.numpy(), atol=2e-6, rtol=1e-4
    )
    assert clip_score(found.values).left_out == 1
    assert len(set(found.values[:4].round(6))) == 4


def test_a_prompt_is_its_own_best_reference() -> None:
    reward = tiny().eval()
    first, second, third = reference_cosines(
        reward, ["a cat", "a dog", "x"], [["a cat", "a red cube"], ["a red cube"], []]
    )
    assert first[0] == pytest.approx(1, abs=1e-6)
    assert (len(first), len(second), len(third)) == (2, 1, 0)
    assert -1 <= second[0] < 1
    with pytest.raises(DataError, match="references of 1"):
        reference_cosines(reward, ["a", "b"], [["a"]])


def test_every_picture_needs_a_prompt() -> None:
    with pytest.raises(DataError, match="1 pictures but 2 prompts"):
        picture_cosines(tiny().eval(), torch.rand(3, 40, 40), ["a", "b"])
    with pytest.raises(ConfigError, match="batch_size"):
        picture_cosines(tiny().eval(), [], [], batch_size=0)
