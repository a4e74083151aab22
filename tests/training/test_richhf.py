import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import beholder
from beholder.annotation.joining.feedback import write_feedback
from beholder.errors import ConfigError, DataError
from beholder.rewards.richhf import RichHF
from beholder.training.augment import Augmentation
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.richhf import RichHFTraining, train_richhf
from beholder.training.richhf_loss import RichHFLoss
from beholder.types import RATED, Feedback
from tests.training.spots import TINY, feedback
from tests.training.together import finish, free_port, start

FIT: dict[str, Any] = {"learning_rate": 3e-3, "warmup_steps": 2, "evaluate_every_steps": 20}
STILL = Augmentation(flip=0, crop=0)


def config(folder: Path, **changes: Any) -> RichHFTraining:
    fit = FitConfig(**{"steps": 3, **FIT, **changes.pop("fit", {})})
    given: dict[str, Any] = {"options": TINY, "device": "cpu", "pictures_per_batch": 8}
    given |= {"run": str(folder / "run"), **changes}
    return RichHFTraining(fit=fit, **given)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("variant", "pictures", "steps"), [("multi_head", 32, 300), ("augmented", 12, 400)]
)
def test_pictures_are_learned_by_heart(
    tmp_path: Path, variant: str, pictures: int, steps: int
) -> None:
    records = feedback(tmp_path, pictures)
    given = config(
        tmp_path,
        options={**TINY, "variant": variant, "t5": {"dropout_rate": 0.0}},
        pictures_per_batch=pictures,
        augmentation=STILL,
        loss=RichHFLoss(pixels="kl", marked_pixels=5),
        fit={"steps": steps, "weight_decay": 0.0, "evaluate_every_steps": 100},
    )
    run = train_richhf(given, records, records)
    metrics = read(run / "summary.json")["metrics"]
    assert metrics["eval/loss"] < 0.2  # 7 at the start
    assert metrics["eval/score_loss"] < 0.01
    assert metrics["eval/cc_implausibility"] > 0.95
    assert metrics["eval/word_f1"] == 1
    said = beholder.load(str(run)).score([r.image for r in records], [r.prompt for r in records])
    for aspect in RATED:
        rated = torch.tensor([r.values[aspect] for r in records])
        assert (said.aspects[aspect] - rated).abs().mean() < 0.06


def test_a_run_folder_holds_what_gives_the_trained_reward_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[RichHF] = []
    original = RichHF.save_pretrained

    def save(self: RichHF, folder: Path) -> None:
        saved.append(self)
        original(self, folder)

    monkeypatch.setattr(RichHF, "save_pretrained", save)
    records = feedback(tmp_path, 12)
    run = train_richhf(config(tmp_path), records)
    assert {p.name for p in run.iterdir()} >= {
        "checkpoints",
        "config.json",
        "config.yaml",
        "dropped.json",
        "inputs.yaml",
        "metrics.jsonl",
        "model.safetensors",
        "prepared",
        "summary.json",
        "versions.json",
    }
    summary = read(run / "summary.json")
    assert summary["pictures"] == {"training": 9, "held_out": 3}
    assert summary["metrics"].keys() >= {"eval/loss", "eval/cc_implausibility", "eval/word_f1"}
    loaded = beholder.load(str(run))
    mine, theirs = (r.score([records[0].image], [records[0].prompt]) for r in (saved[0], loaded))
    assert torch.equal(mine.total, theirs.total)
    assert torch.equal(mine.maps["misalignment"], theirs.maps["misalignment"])


@pytest.mark.parametrize("train", ["all", "lora"])
def test_a_run_that_goes_on_from_the_middle_ends_with_the_same_bits(
    tmp_path: Path, train: str
) -> None:
    records = feedback(tmp_path, 12)
    fit = {"steps": 4, "checkpoint_every_steps": 2, "ema_decay": 0.5}
    augmentation = Augmentation(flip=0.5, crop=0.3, jitter=0.2)
    rank = {"lora_rank": 2} if train == "lora" else {}
    given = config(tmp_path, train=train, augmentation=augmentation, fit=fit, **rank)
    run = train_richhf(given, records)
    whole = weights(run)
    shutil.rmtree(run / "checkpoints" / "step-00000004")
    shutil.rmtree(run / "prepared")
    (run / "model.safetensors").unlink()
    train_richhf(given, records)
    assert weights(run) == whole


def test_another_configuration_or_other_records_are_refused(tmp_path: Path) -> None:
    records = feedback(tmp_path, 8)
    train_richhf(config(tmp_path), records)
    with pytest.raises(ConfigError, match=r"loss\.map was 1\.0, now 2\.0"):
        train_richhf(config(tmp_path, loss=RichHFLoss(map=2.0)), records)
    blank = {kind: torch.zeros_like(grey) for kind, grey in records[0].maps.items()}
    with pytest.raises(ConfigError, match="feedback was"):
        train_richhf(config(tmp_path), [replace(records[0], maps=blank), *records[1:]])


def test_frozen_towers_stay_and_slow_ones_move_less(tmp_path: Path) -> None:
    records = feedback(tmp_path, 8)

    def moved(name: str, **changes: Any) -> dict[str, float]:
        changes |= {"run": str(tmp_path / name), "held_out_share": 0.0}
        given = config(tmp_path, fit={"weight_decay": 0.0}, **changes)
        trained = beholder.load(str(train_richhf(given, records)))
        torch.manual_seed(0)
        fresh = dict(beholder.load("richhf", **TINY).named_parameters())
        named = trained.named_parameters()
        return {name: float((w - fresh[name]).abs().max().detach()) for name, w in named}

    towers = ("vision.", "joint.t5.")
    frozen, slow = moved("frozen", train="head"), moved("slow", tower_rate=0.01)
    for name in frozen:
        if name.startswith(towers):
            assert frozen[name] == 0
            assert slow[name] < 3.1 * 3e-5  # Adam moves a weight by about the rate a step
    assert max(slow[n] for n in slow if n.startswith(towers)) > 0
    assert all(frozen[name] > 1e-4 for name in frozen if name.startswith("word_head.word.2."))


def test_records_and_held_out_ones_are_read_from_folders_and_bad_ones_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = feedback(tmp_path, 9)
    Path(records[0].image).write_bytes(b"no picture")
    write_feedback(records, tmp_path / "a")
    write_feedback(feedback(tmp_path, 2, seed=1), tmp_path / "b")
    folders = {"feedback": str(tmp_path / "a"), "evaluation": str(tmp_path / "b")}
    with caplog.at_level("WARNING"):
        run = train_richhf(config(tmp_path, **folders))
    assert read(run / "summary.json")["pictures"] == {"training": 8, "held_out": 2}
    told = read(run / "dropped.json")
    assert [row["key"] for row in told["rows"]] == ["k0"]
    assert "1 records or parts of them cannot be used (1 format)" in caplog.text


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    gone = replace(feedback(tmp_path, 1)[0], image="no.png")
    with pytest.raises(DataError, match="'missing': 1"):
        train_richhf(config(tmp_path), [gone])


def test_a_reward_without_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reward tiny draws no maps"):
        train_richhf(config(tmp_path, reward="tiny", options={}), feedback(tmp_path, 2))


def test_without_evaluation_the_last_weights_are_kept(tmp_path: Path) -> None:
    run = train_richhf(config(tmp_path, held_out_share=0.0), feedback(tmp_path, 4))
    summary = read(run / "summary.json")
    assert summary["best_step"] == summary["steps"] == 3
    assert summary["metrics"] == {}


def train_together(folder: Path, records: list[Feedback], rank: int, port: int) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    os.environ.update({key: str(value) for key, value in {**place, **address}.items()})
    train_richhf(together(folder / "two", 1), records)
    torch.distributed.destroy_process_group()


def together(run: Path, accumulation: int) -> RichHFTraining:
    without_dropout = {"t5": {"dropout_rate": 0.0}, **TINY}
    fit = {"accumulation": accumulation, "evaluate_every_steps": 1, "learning_rate": 1e-3}
    return config(run, run=str(run), options=without_dropout, pictures_per_batch=3, fit=fit)


@pytest.mark.long
def test_two_processes_do_what_one_does_with_twice_the_accumulation(tmp_path: Path) -> None:
    records, port = feedback(tmp_path, 12), free_port()
    both = [start(train_together, tmp_path, records, rank, port) for rank in (0, 1)]
    alone = train_richhf(together(tmp_path / "one", 2), records)
    for process in both:
        finish(process)
    one, two = (beholder.load(str(run)).state_dict() for run in (alone, tmp_path / "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)
    lines = [read_journal(run / "metrics.jsonl") for run in (alone, tmp_path / "two")]
    for mine, theirs in zip(*lines, strict=True):
        for key in mine:
            if mine[key] is not None and not key.startswith("time/"):
                assert theirs[key] == pytest.approx(mine[key], rel=1e-3, abs=1e-5), key
