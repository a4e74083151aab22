"""A tuning from end to end on a pipeline of random weights; that it learns is shown elsewhere."""

import json
import logging
import multiprocessing
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from beholder.errors import BeholderError, ConfigError
from beholder.rewards import load
from beholder.rewards.tiny import Tiny
from beholder.training._pipeline.tiny import tiny_pipeline
from beholder.training._tuning.pretraining import Pretraining
from beholder.training.algorithms._base import TuneConfig, TuneFit
from beholder.training.algorithms.nft import NftConfig
from beholder.training.algorithms.refl import ReflConfig
from beholder.training.fit.checkpoints import read_newest
from beholder.training.fit.journal import read_journal
from beholder.training.pipeline import Driver, Lora, Sampling
from beholder.training.tune import Given, tune
from beholder.types import Scores

PROMPTS = [f"a {colour} {noun}" for colour in ("red", "blue") for noun in ("fox", "cat", "boat")]
FIT = TuneFit(
    steps=4,
    learning_rate=1e-2,
    warmup_steps=1,
    evaluate_every_steps=2,
    checkpoint_every_steps=1,
    log_every_steps=1,
)
WEIGHTS = "pytorch_lora_weights.safetensors"


class Failing(Tiny):  # type: ignore[misc]
    """Scores until its nth batch, where it does what it is told."""

    def __init__(self, left: int, error: BaseException | None = None) -> None:
        super().__init__(0)
        self.left, self.error = left, error

    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.left -= 1
        scores = super().score_prepared(pixel_values, prompts)
        if self.left != 0:
            return scores
        if self.error is not None:
            raise self.error
        nothing = scores.total * float("nan")
        return Scores(nothing, dict.fromkeys(scores.aspects, nothing))


def config(folder: Path, **changes: Any) -> ReflConfig:
    usual = ReflConfig(
        pipeline="tiny",
        run=str(folder),
        reward="tiny",
        held_out_reward="tiny",
        held_out_options={"seed": 1},
        sampling=Sampling(steps=6, guidance=2.0),
        lora=Lora(rank=2),
        prompts_per_batch=2,
        validation_count=2,
        pretraining=Pretraining(weight=0.1, samples=4, batch=2),
        device="cpu",
        fit=FIT,
    )
    return replace(usual, **changes)


def run(given: TuneConfig, **objects: Any) -> Path:
    return tune(given, Given(prompts=PROMPTS, validation_prompts=["a bird", "the sea"], **objects))


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / WEIGHTS)


def same(one: Path, two: Path) -> bool:
    mine, theirs = weights(one), weights(two)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        return run(config(tmp_path_factory.mktemp("tuned") / "whole"))


def test_a_run_leaves_a_lora_that_diffusers_loads_and_its_last_samples(whole: Path) -> None:
    pipe = tiny_pipeline()
    base = Driver(pipe)
    sampling = Sampling(steps=6, guidance=2.0)
    before = base.sample(["a bird"], sampling, seeds=[3]).pixels
    pipe.load_lora_weights(whole)
    after = base.sample(["a bird"], sampling, seeds=[3]).pixels
    assert (after - before).abs().max() > 1e-4
    told = json.loads((whole / "summary.json").read_text())
    assert told["lora_reload_error"] == 0
    assert told["steps"] == 4


def test_a_run_tells_what_it_was_given_and_how_it_went(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names >= {
        "config.yaml",
        "inputs.yaml",
        "versions.json",
        "start.json",
        "selftest.json",
        "metrics.jsonl",
        "samples",
        "report.html",
        "README.md",
        "checkpoints",
    }
    rows = [row for row in read_journal(whole / "metrics.jsonl") if "eval/reward" in row]
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert rows[0]["eval/reward_gain"] == pytest.approx(0, abs=1e-9)
    assert rows[0]["eval/held_out_gain"] == pytest.approx(0, abs=1e-9)
    for row in rows:
        gap = row["eval/reward_gain"] - row["eval/held_out_gain"]
        assert row["eval/gap"] == pytest.approx(gap)
        assert row["eval/denoising"] > 0
    assert len(list((whole / "samples").rglob("*.webp"))) == 3 * 2


def test_the_best_weights_by_the_held_out_reward_are_kept(whole: Path) -> None:
    rows = [row for row in read_journal(whole / "metrics.jsonl") if "eval/reward" in row]
    best = max(rows, key=lambda row: row["eval/held_out"])
    told = json.loads((whole / "summary.json").read_text())
    assert told["best_step"] == best["step"]
    assert told["metrics"]["eval/held_out"] == best["eval/held_out"]


def test_a_run_that_failed_goes_on_to_the_same_weights(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        run(config(tmp_path), reward=Failing(5, ConnectionError("the server is down")))
    newest = read_newest(tmp_path / "checkpoints")
    assert newest is not None
    assert 0 < newest.step < 4
    run(config(tmp_path), reward=load("tiny"))
    assert same(tmp_path, whole)


def test_a_batch_without_scores_ends_the_run_with_its_state_kept(tmp_path: Path) -> None:
    with pytest.raises(BeholderError, match="no score for any of 2 pictures"):
        run(config(tmp_path), reward=Failing(4))
    newest = read_newest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.step >= 1
    assert not (tmp_path / WEIGHTS).exists()


def test_an_older_policy_survives_an_interruption(tmp_path: Path) -> None:
    given = NftConfig(
        **_plain(config(tmp_path / "a")),
        group=3,
        old_decay_per_step=0.2,
    )
    run(given)
    stopped = replace(given, run=str(tmp_path / "b"))
    with pytest.raises(KeyboardInterrupt):
        run(stopped, reward=Failing(5, KeyboardInterrupt()))
    run(stopped, reward=load("tiny"))
    assert same(tmp_path / "a", tmp_path / "b")


def _plain(given: ReflConfig) -> dict[str, Any]:
    common = {name: getattr(given, name) for name in TuneConfig.__dataclass_fields__}
    return common | {"algorithm": "nft", "kl": 1e-4, "sampling": Sampling(steps=4, guidance=0)}


def test_a_run_without_a_held_out_reward_warns_and_watches_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit = replace(FIT, steps=2)
    with caplog.at_level(logging.WARNING, "beholder"):
        run(config(tmp_path, held_out_reward="", fit=fit))
    assert "no held_out_reward" in caplog.text
    told = json.loads((tmp_path / "summary.json").read_text())
    assert "eval/held_out" not in told["metrics"]
    assert "nothing watches for reward hacking" in (tmp_path / "report.html").read_text().lower()


def test_a_reward_without_gradient_is_refused_where_one_is_needed(tmp_path: Path) -> None:
    reward = load("tiny")
    reward.card = replace(reward.card, differentiable=False)  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"refl needs the gradient of reward tiny.*dpo or nft"):
        run(config(tmp_path), reward=reward)


def test_an_ensemble_gets_its_scales_from_the_pipelines_own_pictures(tmp_path: Path) -> None:
    options = {
        "rewards": {
            "one": {"reward": "tiny", "seed": 2},
            "two": {"reward": "tiny", "seed": 3},
        }
    }
    fit = replace(FIT, steps=1)
    given = config(tmp_path, reward="ensemble", options=options, fit=fit)
    run(given)
    (scales,) = json.loads((tmp_path / "scales.json").read_text())
    assert set(scales) == {"one", "two"}
    start = json.loads((tmp_path / "start.json").read_text())
    assert start["mean"] == pytest.approx(0, abs=1e-5)  # of z-scores over the same pictures
    run(given)  # a run that is over stays so, with the scales that it had
    assert json.loads((tmp_path / "scales.json").read_text()) == [scales]


def test_another_configuration_or_other_prompts_are_refused(whole: Path) -> None:
    with pytest.raises(ConfigError, match=r"lora\.rank was 2, now 4"):
        run(config(whole, lora=Lora(rank=4)))
    with pytest.raises(ConfigError, match="learned was 6, now 5"):
        tune(config(whole), Given(prompts=PROMPTS[:5], validation_prompts=["a bird", "the sea"]))


def together(folder: Path, rank: int, port: int) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    os.environ.update({key: str(value) for key, value in {**place, **address}.items()})
    run(_single(folder, accumulation=1))
    torch.distributed.destroy_process_group()


def _single(folder: Path, *, accumulation: int) -> ReflConfig:
    """A run whose randomness does not depend on the process: one step of the window, no draws."""
    fit = replace(FIT, steps=2, accumulation=accumulation)
    return config(folder, low=0.3, high=0.6, pretraining=Pretraining(), fit=fit)


@pytest.mark.long
def test_two_processes_do_what_one_does_with_twice_the_accumulation(tmp_path: Path) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=together, args=(tmp_path / "two", k, port)) for k in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(240)
        assert process.exitcode == 0
    run(_single(tmp_path / "one", accumulation=2))
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)
