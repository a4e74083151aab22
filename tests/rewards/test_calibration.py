"""A calibration travels with the weights it was found with, and with no others."""

import json
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import beholder
from beholder.calibration import Curve, read_calibration
from beholder.errors import ConfigError, WeightsError
from beholder.rewards import Reward
from beholder.rewards._calibration import owned, write_calibration
from beholder.rewards.scoring import Row, score_table
from beholder.rewards.tiny import Tiny, build
from beholder.types import Scores
from tests.calibrations import calibration

FOUND = calibration(Curve(temperature=0.5), (-1.0, 0.0, 1.0), detail=Curve(temperature=2.0))


def calibrated(seed: int = 1) -> Reward:
    reward = build(seed=seed)
    reward.calibration = owned(reward, FOUND)
    return reward


def test_a_folder_keeps_the_calibration_and_gives_it_back(tmp_path: Path) -> None:
    reward = calibrated()
    reward.save_pretrained(tmp_path)
    assert beholder.load(str(tmp_path)).calibration == reward.calibration
    assert Tiny.from_pretrained(tmp_path).calibration == reward.calibration
    beholder.load(str(tmp_path)).save_pretrained(tmp_path / "again")
    assert read_calibration(tmp_path / "again" / "calibration.json") == reward.calibration
    build().save_pretrained(tmp_path / "plain")
    assert beholder.load(str(tmp_path / "plain")).calibration is None


def test_a_calibration_beside_other_weights_is_refused(tmp_path: Path) -> None:
    calibrated(1).save_pretrained(tmp_path / "a")
    build(seed=1).save_pretrained(tmp_path / "b")
    with torch.no_grad():
        changed = build(seed=1)
        changed.heads.weight[0, 0] += 1e-3
    changed.save_pretrained(tmp_path / "c")
    for name in ("b", "c"):
        shutil.copy(tmp_path / "a" / "calibration.json", tmp_path / name)
    assert beholder.load(str(tmp_path / "b")).calibration is not None  # the same weights
    with pytest.raises(
        WeightsError, match=r"belongs to a reward of other weights.*delete the file"
    ):
        beholder.load(str(tmp_path / "c"))


def test_a_damaged_calibration_is_refused(tmp_path: Path) -> None:
    calibrated().save_pretrained(tmp_path)
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(WeightsError, match="no calibration that"):
        beholder.load(str(tmp_path))
    (tmp_path / "calibration.json").write_text(FOUND.to_json())
    with pytest.raises(WeightsError, match="does not say which reward"):
        beholder.load(str(tmp_path))


def test_training_leaves_the_calibration_behind_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calibrated().save_pretrained(tmp_path)
    reward = beholder.load(str(tmp_path))
    with torch.no_grad():
        next(reward.parameters()).add_(0.1)
    with caplog.at_level(logging.WARNING):
        reward.save_pretrained(tmp_path)
    assert "left out: the weights changed" in caplog.text
    assert not (tmp_path / "calibration.json").exists()
    assert beholder.load(str(tmp_path)).calibration is None


def test_the_same_weights_saved_once_more_keep_the_calibration_that_lies_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calibrated().save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        build(seed=1).save_pretrained(tmp_path)  # without one, as training is
    assert beholder.load(str(tmp_path)).calibration == calibrated().calibration
    assert caplog.text == ""


@pytest.mark.parametrize("damaged", [False, True])
def test_other_weights_remove_the_calibration_that_lies_there_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    calibrated().save_pretrained(tmp_path)
    if damaged:
        (tmp_path / "calibration.json").write_text("{}")
    other = build(seed=1)
    with torch.no_grad():
        other.heads.weight[0, 0] += 1e-3
    with caplog.at_level(logging.WARNING):
        other.save_pretrained(tmp_path)
    assert not (tmp_path / "calibration.json").exists()
    why = "no calibration that" if damaged else "a reward of other weights; calibrate this one anew"
    assert "is removed" in caplog.text
    assert why in caplog.text


def test_another_option_sets_the_folder_s_calibration_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calibrated(1).save_pretrained(tmp_path)
    assert Reward.from_pretrained(tmp_path, seed=1).calibration is not None
    with caplog.at_level(logging.WARNING):
        assert Reward.from_pretrained(tmp_path, seed=2).calibration is None
    assert 'of other options; load the reward with {"seed": 1}, or make one' in caplog.text
    foreign = replace(calibrated(1).calibration or FOUND, owner=None)
    build(seed=2).save_pretrained(tmp_path / "b")
    write_calibration(owned(build(seed=1), foreign), tmp_path / "b" / "calibration.json")
    assert beholder.load(str(tmp_path / "b")).calibration is None  # the folder stays loadable


def test_a_calibration_is_used_in_its_own_precision_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calibrated().save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        half = beholder.load(str(tmp_path), dtype=torch.bfloat16)
    assert half.calibration is None
    assert "of other precision; load the reward in float32, or make one" in caplog.text
    bound = owned(half, FOUND)
    assert bound.owner is not None
    assert "bfloat16" in bound.owner.precision
    write_calibration(bound, tmp_path / "calibration.json")
    assert beholder.load(str(tmp_path), dtype=torch.bfloat16).calibration == bound
    assert beholder.load(str(tmp_path)).calibration is None


def test_casting_a_calibrated_reward_sets_its_calibration_aside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert calibrated().cast(torch.float32).calibration is not None
    with caplog.at_level(logging.WARNING):
        assert calibrated().cast(torch.bfloat16).calibration is None
    assert "the calibration of tiny is not used" in caplog.text


def test_a_reward_without_a_folder_takes_a_file(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    write_calibration(owned(build(seed=1), FOUND), file)
    assert beholder.load("tiny", seed=1, calibration=file).calibration == read_calibration(file)
    with pytest.raises(WeightsError, match=r"other precision.*in float32, or .*--dtype"):
        beholder.load("tiny", seed=1, calibration=file, dtype=torch.bfloat16)
    with pytest.raises(WeightsError, match="of other options"):
        beholder.load("tiny", seed=2, calibration=file)
    with pytest.raises(WeightsError, match="of other kind"):
        beholder.load("tests.rewards.test_scoring:Brightness", calibration=file)


def test_scores_become_win_probabilities_and_nothing_else_changes() -> None:
    reward = calibrated()
    given = Scores(
        torch.tensor([0.5, math.nan]),
        {"detail": torch.tensor([1.0, math.nan]), "style": torch.zeros(2)},
        errors={1: "truncated: cut"},
        deviations={"detail": torch.ones(2)},
    )
    found = reward.win_probability(given)
    total = sum(1 / (1 + math.exp(-(0.5 - r) / 0.5)) for r in (-1, 0, 1)) / 3
    detail = sum(1 / (1 + math.exp(-(1 - r) / 2)) for r in (-1, 0, 1)) / 3
    assert found.total[0].item() == pytest.approx(total)
    assert found.aspects["detail"][0].item() == pytest.approx(detail)
    assert found.total.isnan().tolist() == found.aspects["detail"].isnan().tolist() == [False, True]
    assert set(found.aspects) == {"detail"}  # style was not calibrated
    assert (found.errors, dict(found.deviations)) == ({1: "truncated: cut"}, {})


def test_without_calibration_or_reference_set_there_is_no_win_probability() -> None:
    scores = Scores(torch.zeros(1))
    with pytest.raises(ConfigError, match=r"tiny has no calibration.*beholder calibrate"):
        build().win_probability(scores)
    reward = build()
    reward.calibration = calibration(reference=())
    with pytest.raises(ConfigError, match="no reference set"):
        reward.win_probability(scores)


def test_a_table_keeps_the_calibration_of_a_reward_that_has_one(tmp_path: Path) -> None:
    row = Row(key="a", image=torch.zeros(3, 8, 8, dtype=torch.uint8), prompt="a cat", name="a.png")
    score_table([row], {"mine": calibrated(), "other": build()}, tmp_path)
    kept = tmp_path / "rewards" / "mine" / "calibration.json"
    assert read_calibration(kept) == calibrated().calibration
    half = calibrated().cast(torch.bfloat16)
    score_table([row], {"half": half}, tmp_path)
    assert not (tmp_path / "rewards" / "half" / "calibration.json").exists()
    assert not (tmp_path / "rewards" / "other" / "calibration.json").exists()


def test_an_owner_is_plain_json() -> None:
    owner = owned(build(seed=4), FOUND).owner
    assert owner is not None
    assert (owner.reward, owner.options, len(owner.weights)) == ("tiny", {"seed": 4}, 64)
    assert json.loads(replace(FOUND, owner=owner).to_json())["owner"]["options"] == {"seed": 4}
