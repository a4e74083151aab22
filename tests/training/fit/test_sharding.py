import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from beholder.training.fit.checkpoints import read_newest
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.processes import Processes
from beholder.training.fit.sharding import Shards
from beholder.training.fit.shares import is_sharded
from beholder.training.reward import RewardTraining, train_reward
from beholder.types import Preference
from tests.training import brightness
from tests.training.together import FSDP, join, rewound, together, train

pytestmark = pytest.mark.long

FIT = FitConfig(
    steps=6,
    learning_rate=1e-3,
    warmup_steps=2,
    accumulation=2,
    ema_decay=0.9,
    clip_norm=0.05,
    epsilon=1e-4,  # else rounding decides where a gradient is 0, as that of the keys' biases
    evaluate_every_steps=2,
    checkpoint_every_steps=3,
    log_every_steps=1,
)


def config(run: Path, **changes: Any) -> RewardTraining:
    given: dict[str, Any] = {"train": "all", "cache_features": False, "pairs_per_batch": 4}
    return RewardTraining(
        run=str(run),
        options=brightness.MPS_OPTIONS,
        held_out_share=0.4,
        device="cpu",
        **{"fit": FIT, **given, **changes},
    )


def same_rewards(one: Path, two: Path) -> None:
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=1e-5, msg=name)


def same_numbers(one: Path, two: Path) -> None:
    rows = [read_journal(folder / "metrics.jsonl") for folder in (one, two)]
    for mine, theirs in zip(*rows, strict=True):
        assert drop_time(mine) == pytest.approx(drop_time(theirs), rel=1e-4, abs=1e-6)


def drop_time(values: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in values.items() if not k.startswith("time/")}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Preference]:
    return brightness.preferences(tmp_path_factory.mktemp("pictures"), prompts=6)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, pairs: list[Preference]) -> Path:
    """What one process learns, and two with shards in the same words."""
    runs = tmp_path_factory.mktemp("runs")
    more = replace(FIT, accumulation=4)
    train_reward(config(runs / "all alone", fit=more), pairs)
    train_reward(config(runs / "lora alone", fit=more, train="lora", lora_rank=2), pairs)
    train_reward(config(runs / "bf16 alone", fit=replace(more, precision="bf16")), pairs)
    rewound(runs / "all alone", 3, runs / "alone, then in shards")
    configs = [
        config(runs / "all in shards"),
        config(runs / "lora in shards", train="lora", lora_rank=2, checkpoint_activations=True),
        config(runs / "bf16 in shards", fit=replace(FIT, precision="bf16")),
        config(runs / "alone, then in shards", fit=more),
    ]
    together(train, 2, configs, pairs, FSDP)
    return runs


@pytest.mark.parametrize("what", ["all", "lora"])
def test_two_processes_with_shards_learn_what_one_learns(runs: Path, what: str) -> None:
    same_rewards(runs / f"{what} in shards", runs / f"{what} alone")
    same_numbers(runs / f"{what} in shards", runs / f"{what} alone")


def test_shards_compute_in_bf16_as_whole_blocks_do(runs: Path) -> None:
    rows = [
        [
            row["train/loss"]
            for row in read_journal(runs / name / "metrics.jsonl")
            if "train/loss" in row
        ]
        for name in ("bf16 alone", "bf16 in shards", "all alone")
    ]
    assert rows[1][:4] == pytest.approx(rows[0][:4], rel=5e-3)
    assert rows[1] == pytest.approx(rows[0], rel=2e-2)  # rounding adds up, as far as from fp32
    assert rows[0] != pytest.approx(rows[2], rel=1e-6)


def test_a_run_begun_whole_goes_on_in_shards(runs: Path) -> None:
    same_rewards(runs / "alone, then in shards", runs / "all alone")
    same_numbers(runs / "alone, then in shards", runs / "all alone")


def test_a_run_begun_in_shards_goes_on_whole(
    tmp_path: Path, runs: Path, pairs: list[Preference]
) -> None:
    folder = rewound(runs / "all in shards", 3, tmp_path / "run")
    train_reward(config(folder), pairs)
    same_rewards(folder, runs / "all alone")
    same_numbers(folder, runs / "all alone")


def test_a_checkpoint_made_in_shards_holds_what_one_made_whole_holds(runs: Path) -> None:
    one, two = (read_newest(runs / f"all {how}" / "checkpoints") for how in ("alone", "in shards"))
    assert one is not None
    assert two is not None
    assert one.tensors.keys() == two.tensors.keys()
    for name, value in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], value, atol=1e-6, rtol=1e-4, msg=name)


def size(weights: Iterable[Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def look_at_shards(rank: int, count: int, port: int) -> None:
    """One of two processes: what it holds, that it may compute alone, and that all comes back."""
    join(rank, count, port)
    os.environ.update(FSDP)
    processes, reward = Processes(cpu=True), brightness.tiny_mps()
    before = {name: value.clone() for name, value in reward.state_dict().items()}
    blocks = {id(part) for part in reward.modules()}
    pixels = reward.preprocess(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    reward.eval()
    expected = reward.score_prepared(pixels, ["a", "the cat"]).total.detach()
    shards = Shards(reward, processes, "fp32")
    sharded: list[Any] = [weight for weight in reward.parameters() if is_sharded(weight)]
    named = reward.named_parameters()
    inside = (weight for name, weight in named if re.search(r"^towers\..*\.layers\.", name))
    assert size(sharded) == size(inside)
    own = size(weight.to_local() for weight in sharded)
    assert own == pytest.approx(size(sharded) / 2, rel=0.02)
    with shards.gathered(), torch.no_grad():
        for _ in range(rank):  # the other one does not
            torch.testing.assert_close(
                reward.score_prepared(pixels, ["a", "the cat"]).total, expected
            )
    shards.undo()
    assert blocks == {id(part) for part in reward.modules()}
    assert not any(is_sharded(weight) for weight in reward.parameters())
    assert all(torch.equal(value, before[name]) for name, value in reward.state_dict().items())
    torch.distributed.destroy_process_group()


def test_each_process_holds_half_and_may_compute_alone_where_all_is_gathered() -> None:
    together(look_at_shards, 2)
