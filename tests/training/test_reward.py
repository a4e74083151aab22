import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import beholder
from beholder.annotation.records.dataset import write_preferences
from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward
from beholder.training.fit.checkpoints import Checkpoint, write_checkpoint
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.reward import (
    RewardTraining,
    aspect_weights,
    begins_trained,
    fit_plan,
    train_reward,
)
from beholder.types import Preference
from tests.rewards import tiny_towers
from tests.training.brightness import FIT, MPS_OPTIONS, preferences


def config(folder: Path, **changes: Any) -> RewardTraining:
    fit = FitConfig(**{"steps": 4, **FIT, **changes.pop("fit", {})})
    given: dict[str, Any] = {"options": MPS_OPTIONS, "device": "cpu", "pairs_per_batch": 8}
    given |= {"run": str(folder / "run"), **changes}
    return RewardTraining(fit=fit, **given)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def scores_of(reward: Reward, pairs: list[Preference]) -> torch.Tensor:
    return reward.score([p.first for p in pairs[:5]], [p.prompt for p in pairs[:5]]).total


def test_brightness_is_learned_and_the_folder_gives_the_reward_back(tmp_path: Path) -> None:
    pairs, others = preferences(tmp_path), preferences(tmp_path, prompts=10, seed=1)
    run = train_reward(config(tmp_path, fit={"steps": 40}), pairs, others)
    summary = read(run / "summary.json")
    assert summary["metrics"]["eval/accuracy"] >= 0.9
    assert summary["metrics"]["eval/accuracy_detail"] >= 0.9
    assert summary["pairs"] == {"training": 36, "held_out": 30}
    before = read_journal(run / "metrics.jsonl")[0]
    assert before["step"] == 0
    assert before["eval/accuracy"] < summary["metrics"]["eval/accuracy"]
    assert {p.name for p in run.iterdir()} >= {
        "checkpoints",
        "config.json",
        "config.yaml",
        "dropped.json",
        "inputs.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "summary.json",
        "tensorboard",
        "versions.json",
    }
    assert torch.__version__.startswith(read(run / "versions.json")["torch"])
    one, two = beholder.load(str(run)), beholder.load(str(run))
    bright, dark = pairs[0].first, pairs[0].second
    if pairs[0].p_first["overall"] == 0:
        bright, dark = dark, bright
    total = one.score([bright, dark], pairs[0].prompt).total
    assert total[0] > total[1]
    assert torch.equal(total, two.score([bright, dark], pairs[0].prompt).total)


OF: dict[str, dict[str, Any]] = {"last_blocks": {"last_blocks": 1}, "lora": {"lora_rank": 2}}
"""Sizes that fit tiny towers, for the ways of training that read them."""


@pytest.mark.parametrize("train", ["head", "last_blocks", "lora", "all"])
def test_the_saved_weights_score_to_the_bit_as_the_trained_ones(
    tmp_path: Path, train: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = preferences(tmp_path, prompts=4)
    saved: list[Reward] = []
    original = Reward.save_pretrained

    def save(self: Reward, folder: Path) -> None:
        saved.append(self)
        original(self, folder)

    monkeypatch.setattr(Reward, "save_pretrained", save)
    run = train_reward(config(tmp_path, train=train, **OF.get(train, {})), pairs)
    loaded = beholder.load(str(run))
    assert torch.equal(scores_of(loaded, pairs), scores_of(saved[0], pairs))


def test_kept_features_give_the_loss_of_features_computed_each_time(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=6)
    losses = []
    for cache in (True, False):
        place = str(tmp_path / str(cache))
        kept_as: dict[str, Any] = {"feature_dtype": "fp32"} if cache else {}
        given = config(tmp_path, run=place, cache_features=cache, **kept_as)
        run = train_reward(given, pairs)
        losses.append([row for row in read_journal(run / "metrics.jsonl") if "eval/loss" in row])
    for kept, computed in zip(*losses, strict=True):
        assert kept["eval/loss"] == pytest.approx(computed["eval/loss"], abs=1e-6)
        assert kept["eval/accuracy"] == computed["eval/accuracy"]


def test_a_reward_without_towers_trains_as_a_whole(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=12)
    given = config(tmp_path, reward="tiny", options={}, train="all", fit={"steps": 60})
    run = train_reward(given, pairs)
    metrics = read(run / "summary.json")["metrics"]
    assert metrics["eval/accuracy"] > 0.8
    with pytest.raises(ConfigError, match="use train='all'"):
        train_reward(config(tmp_path, reward="tiny", options={}, run=str(tmp_path / "b")), pairs)


def test_a_run_started_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=4)
    run = train_reward(config(tmp_path), pairs)
    before = (run / "model.safetensors").read_bytes()
    train_reward(config(tmp_path), pairs)
    assert (run / "model.safetensors").read_bytes() == before
    with pytest.raises(ConfigError, match=r"fit\.learning_rate was 0\.003, now 0\.5"):
        train_reward(config(tmp_path, fit={"learning_rate": 0.5}), pairs)
    with pytest.raises(ConfigError, match="preferences was"):
        train_reward(config(tmp_path), pairs[:-1])


OPEN_CLIP = {"towers": tiny_towers.OPEN_CLIP, "config": tiny_towers.HEAD}


@pytest.mark.parametrize(
    ("train", "options"), [("head", MPS_OPTIONS), ("lora", MPS_OPTIONS), ("lora", OPEN_CLIP)]
)
def test_a_run_that_goes_on_from_the_middle_ends_with_the_same_bits(
    tmp_path: Path, train: str, options: dict[str, Any]
) -> None:
    pairs = preferences(tmp_path, prompts=4)
    fit = {"steps": 6, "checkpoint_every_steps": 3, "ema_decay": 0.5}
    given = config(tmp_path, train=train, options=options, fit=fit, **OF.get(train, {}))
    run = train_reward(given, pairs)
    whole = (run / "model.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoints" / "step-00000006")
    (run / "model.safetensors").unlink()
    train_reward(given, pairs)
    assert (run / "model.safetensors").read_bytes() == whole


def test_a_run_folder_that_was_moved_goes_on(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=4)
    run = train_reward(config(tmp_path), pairs)
    moved = run.rename(tmp_path / "moved")
    train_reward(config(tmp_path, run=str(moved)), pairs)
    assert yaml.safe_load((moved / "config.yaml").read_text())["fit"]["steps"] == 4


def test_pairs_that_cannot_be_used_are_dropped_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = preferences(tmp_path, prompts=6)
    Path(pairs[0].first).write_bytes(Path(pairs[0].first).read_bytes()[:100])
    with caplog.at_level("WARNING"):
        run = train_reward(config(tmp_path), pairs)
    told = read(run / "dropped.json")
    assert told["counts"] == {"truncated": 2}
    assert {row["key"] for row in told["rows"]} == {pairs[0].key, pairs[1].key}
    assert "2 pairs cannot be used (2 truncated)" in caplog.text
    assert sum(read(run / "summary.json")["pairs"].values()) == len(pairs) - 2


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    answer = {"overall": 1.0}
    missing = Preference(key="a", prompt="x", first="no.png", second="nor.png", p_first=answer)
    with pytest.raises(DataError, match="'missing': 1"):
        train_reward(config(tmp_path), [missing])


def test_an_evaluation_set_takes_the_place_of_prompts_held_out(tmp_path: Path) -> None:
    pairs = preferences(tmp_path, prompts=4)
    others = preferences(tmp_path, prompts=2, seed=1)
    run = train_reward(config(tmp_path), pairs, others)
    assert read(run / "summary.json")["pairs"] == {"training": 12, "held_out": 6}


def test_pairs_are_read_from_folders(tmp_path: Path) -> None:
    for name, prompts, seed in (("pairs", 4, 0), ("others", 2, 1)):
        write_preferences(preferences(tmp_path, prompts=prompts, seed=seed), tmp_path / name)
    folders = {"preferences": str(tmp_path / "pairs"), "evaluation": str(tmp_path / "others")}
    run = train_reward(config(tmp_path, reward="tiny", options={}, train="all", **folders))
    assert read(run / "summary.json")["pairs"] == {"training": 12, "held_out": 6}


def test_without_evaluation_the_last_weights_are_kept(tmp_path: Path) -> None:
    run = train_reward(config(tmp_path, held_out_share=0.0), preferences(tmp_path, prompts=2))
    summary = read(run / "summary.json")
    assert summary["best_step"] == summary["steps"] == 4
    assert summary["metrics"] == {}


def test_aspects_weigh_1_unless_told_and_must_be_scored() -> None:
    reward = beholder.load("tiny")
    assert aspect_weights(reward, {"detail": 2.0, "overall": 0.0}) == {
        "aesthetics": 1.0,
        "detail": 2.0,
        "alignment": 1.0,
    }
    with pytest.raises(ConfigError, match="did you mean 'alignment'"):
        aspect_weights(reward, {"alignmnt": 1.0})
    with pytest.raises(ConfigError, match="nothing to learn"):
        aspect_weights(reward, dict.fromkeys(reward.card.aspects, 0.0))


def test_a_share_of_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="held_out_share must be at least 0 and below 1"):
        RewardTraining(held_out_share=1.0)


@pytest.mark.parametrize(
    ("reward", "options", "trained"),
    [
        ("tiny", {}, False),
        ("mps", MPS_OPTIONS, False),
        ("mps", {**MPS_OPTIONS, "weights": "mine.safetensors"}, True),
        ("user/trained", {}, True),
    ],
)
def test_a_reward_that_was_taught_before_is_known_as_such(
    reward: str, options: dict[str, Any], trained: bool
) -> None:
    own = beholder.load("tiny")
    asked = RewardTraining(reward=reward, options=options)
    assert begins_trained(asked, own) is trained


def test_epochs_come_to_steps_also_of_a_run_that_goes_on_with_more_processes(
    tmp_path: Path,
) -> None:
    asked = config(tmp_path, epochs=2.0, fit={"accumulation": 2, "steps": FitConfig().steps})
    plan = fit_plan(asked, tmp_path, batches=20, processes=1)
    assert plan.steps == 2 * 20 / 2
    state = {"begun": {"processes": 2, "accumulation": 2}}
    write_checkpoint(tmp_path / "checkpoints", Checkpoint(1, {}, state), keep=1)
    for processes in (1, 2, 4):
        assert fit_plan(asked, tmp_path, batches=20, processes=processes).steps == 10


def test_epochs_that_end_within_the_warmup_are_refused(tmp_path: Path) -> None:
    asked = config(tmp_path, epochs=1.0, fit={"warmup_steps": 6, "steps": FitConfig().steps})
    with pytest.raises(ConfigError, match=r"epochs=1 come to 5 steps, but fit.warmup_steps is 6"):
        fit_plan(asked, tmp_path, batches=5, processes=1)
    assert fit_plan(asked, tmp_path, batches=6, processes=1).steps == 6


def test_steps_that_end_within_the_warmup_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        fit_plan(config(tmp_path, fit={"warmup_steps": 4}), tmp_path, batches=5, processes=1)
        assert caplog.text == ""
        fit_plan(config(tmp_path, fit={"warmup_steps": 5}), tmp_path, batches=5, processes=1)
    assert "fit.steps is 4 and fit.warmup_steps 5" in caplog.text


def test_an_epoch_has_the_batches_that_the_stream_has(tmp_path: Path) -> None:
    """18 pairs come in batches of 4 as 4, 4, 4, 4 and 2."""
    fit = {"warmup_steps": 0, "log_every_steps": 1, "steps": FitConfig().steps}
    given = config(tmp_path, epochs=2.0, pairs_per_batch=4, held_out_share=0.0, fit=fit)
    run = train_reward(given, preferences(tmp_path, prompts=6))
    assert read(run / "summary.json")["steps"] == 10
