"""Rows out are rows in: in order, each with a score or a reason, whatever happens on the way."""

import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import override

import beholder
from beholder._tables.shards import storable
from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward, RewardCard, scoring
from beholder.rewards.scoring import Row, read_inputs, score_table
from beholder.tables import ScoreTable, error_code
from beholder.types import Scores
from tests.odd_pictures import write_odd_pictures


@final
class Brightness(Reward):
    """Mean pixel in [0, 1] plus the length of the prompt; black pictures are its weak point."""

    card: ClassVar[RewardCard] = RewardCard(name="brightness", paper="none", aspects=("twice",))

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.batches: list[int] = []

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(pixels.float() / 255, size=(1, 1), mode="area")

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.batches.append(len(prompts))
        light = pixel_values.mean((1, 2, 3)) * self.gain
        if (light == 0).any():
            raise RuntimeError("black hole")
        twice = torch.where(light == 1, math.nan, 2 * light)
        return Scores(light + torch.tensor([float(len(p)) for p in prompts]), {"twice": twice})

    @override
    def options(self) -> dict[str, object]:
        return {"gain": self.gain}

    @classmethod
    @override
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        raise NotImplementedError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve grey pictures of different sizes, `p00.png` the darkest."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(12):
        array = np.full((8 + k, 8, 3), 15 + 15 * k, np.uint8)
        Image.fromarray(array).save(folder / f"p{k:02d}.png")
    (folder / "prompts.txt").write_text("\n".join("x" * k for k in range(12)) + "\n")
    return folder


def inputs(pictures: Path) -> scoring.Inputs:
    return read_inputs(pictures, pictures / "prompts.txt")


def expected(k: int) -> float:
    return (15 + 15 * k) / 255 + k


def test_every_row_is_scored_in_order(pictures: Path, tmp_path: Path) -> None:
    reward = Brightness()
    calls: list[int] = []
    done = score_table(
        inputs(pictures), {"light": reward}, tmp_path / "t", batch_size=5, progress=calls.append
    )
    assert (done.rows, done.scored, done.skipped, done.failed) == (12, 12, 0, 0)
    assert sum(calls) == 12
    assert reward.batches == [5, 5, 2]
    rows = list(ScoreTable(tmp_path / "t").rows())
    assert [row["key"] for row in rows] == [f"p{k:02d}.png" for k in range(12)]
    assert [row["prompt"] for row in rows] == ["x" * k for k in range(12)]
    assert [row["light.total"] for row in rows] == pytest.approx([expected(k) for k in range(12)])
    assert [row["light.error"] for row in rows] == [None] * 12


def test_what_cannot_be_scored_says_why_and_harms_nobody(pictures: Path, tmp_path: Path) -> None:
    (pictures / "p03.png").write_bytes((pictures / "p03.png").read_bytes()[:60])
    (pictures / "p04.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(pictures / "p05.png")
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(pictures / "p06.png")
    done = score_table(inputs(pictures), {"light": Brightness()}, tmp_path / "t")
    assert done.failed == 4
    codes = {"truncated": 1, "empty": 1, "reward-failed": 1, "non-finite": 1}
    assert done.as_dict()["errors"] == {"light": dict(sorted(codes.items()))}
    for k, row in enumerate(ScoreTable(tmp_path / "t").rows()):
        assert (row["light.error"] is None) == (k not in {3, 4, 5, 6})
        if row["light.error"]:
            assert row["light.total"] is None
            assert row["light.twice"] is None
        else:
            assert row["light.total"] == pytest.approx(expected(k))
    assert "black hole" in ScoreTable(tmp_path / "t").read(["light.error"])[0][5].as_py()


def test_a_reward_that_always_fails_is_not_blamed_on_pictures(
    pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="black hole"):
        score_table(inputs(pictures), {"dark": Brightness(gain=0.0)}, tmp_path / "t")


def test_missing_pictures_and_prompts_are_rows_with_reasons(tmp_path: Path) -> None:
    rows = [
        Row(key="a", image=None, prompt="a", name=""),
        Row(key="b", image=np.full((4, 4, 3), 51, np.uint8), prompt=None, name="b"),
        Row(key="c", image=np.full((4, 4, 3), 51, np.uint8), prompt="\ud800", name="c"),
        Row(key="d", image=np.full((4, 4, 3), 51, np.uint8), prompt="", name="d"),
    ]
    done = score_table(rows, {"light": Brightness()}, tmp_path)
    assert done.errors == {"light": {"no-picture": 1, "no-prompt": 1, "prompt": 1}}
    assert ScoreTable(tmp_path).read(["light.total"])[0][3].as_py() == pytest.approx(0.2)


def test_a_second_run_scores_only_what_is_new(pictures: Path, tmp_path: Path) -> None:
    rows = list(inputs(pictures))
    score_table(rows[:7], {"light": Brightness()}, tmp_path / "t")
    reward = Brightness()
    done = score_table(rows, {"light": reward}, tmp_path / "t")
    assert (done.rows, done.scored, done.skipped) == (12, 5, 7)
    assert reward.batches == [5]
    assert len(ScoreTable(tmp_path / "t")) == 12


def test_another_reward_is_added_beside_the_first(pictures: Path, tmp_path: Path) -> None:
    table, bright = ScoreTable(tmp_path / "t"), Brightness(gain=2.0)
    score_table(inputs(pictures), {"one": Brightness()}, table.folder)
    score_table(inputs(pictures), {"one": Brightness(), "two": bright}, table.folder)
    read = table.arrays(["one.total", "two.twice"])
    assert read["two.twice"].tolist() == pytest.approx(4 * (read["one.total"] - np.arange(12)))


def test_one_pass_for_two_rewards_equals_two_passes(pictures: Path, tmp_path: Path) -> None:
    rewards = {"one": Brightness(), "two": Brightness(gain=2.0)}
    score_table(inputs(pictures), rewards, tmp_path / "once", batch_size=4, shard_rows=4)
    for name, reward in rewards.items():
        score_table(inputs(pictures), {name: reward}, tmp_path / "twice", shard_rows=100)
    once, twice = ScoreTable(tmp_path / "once"), ScoreTable(tmp_path / "twice")
    assert once.read().to_pylist() == twice.read().to_pylist()
    assert len(list((tmp_path / "once" / "inputs").iterdir())) == 3


def test_other_settings_in_the_same_folder_are_refused(pictures: Path, tmp_path: Path) -> None:
    rows = list(inputs(pictures))
    score_table(rows, {"light": Brightness()}, tmp_path / "t")
    with pytest.raises(ConfigError, match=r"options\.gain was 1\.0, now 2\.0"):
        score_table(rows, {"light": Brightness(gain=2.0)}, tmp_path / "t")
    with pytest.raises(ConfigError, match="alpha was 'white', now 'black'"):
        score_table(rows, {"light": Brightness()}, tmp_path / "t", alpha="black")


def test_other_weights_are_other_settings() -> None:
    one = beholder.load("tiny")
    before = scoring.weights_hash(one)
    next(one.parameters()).data.view(-1)[0] += 1
    assert scoring.weights_hash(one) != before
    assert scoring.weights_hash(beholder.load("tiny")) == before
    assert scoring.weights_hash(beholder.load("tiny", dtype=torch.bfloat16)) != before


def test_a_repeated_key_is_refused_but_earlier_work_is_kept(pictures: Path, tmp_path: Path) -> None:
    rows = list(inputs(pictures))
    with pytest.raises(DataError, match=r"'p00\.png' occurs twice"):
        score_table([*rows, rows[0]], {"light": Brightness()}, tmp_path / "t", batch_size=1)
    assert len(ScoreTable(tmp_path / "t")) > 0


def test_an_interrupted_run_keeps_what_was_scored(pictures: Path, tmp_path: Path) -> None:
    def interrupted() -> Iterator[Row]:
        yield from inputs(pictures)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_table(interrupted(), {"light": Brightness()}, tmp_path / "t", batch_size=2)
    kept = len(ScoreTable(tmp_path / "t"))
    assert 0 < kept < 12
    done = score_table(inputs(pictures), {"light": Brightness()}, tmp_path / "t")
    assert done.skipped == kept


@pytest.mark.parametrize("after", [2])
def test_a_killed_run_goes_on_to_the_same_table(pictures: Path, tmp_path: Path, after: int) -> None:
    code = (
        "import sys, time, beholder\n"
        "from beholder.rewards.scoring import read_inputs, score_table\n"
        "score_table(read_inputs(sys.argv[1], sys.argv[2]), {'tiny': beholder.load('tiny')},\n"
        "            sys.argv[3], batch_size=2, shard_rows=2, progress=lambda n: time.sleep(0.5))\n"
    )
    args = [str(pictures), str(pictures / "prompts.txt"), str(tmp_path / "killed")]
    run = subprocess.Popen([sys.executable, "-c", code, *args])
    shards = tmp_path / "killed" / "rewards" / "tiny"
    deadline = time.monotonic() + 120
    while len(list(shards.glob("*.parquet"))) < after and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    left = ScoreTable(tmp_path / "killed")
    assert 0 < len(left) < 12
    tiny = {"tiny": beholder.load("tiny")}
    done = score_table(inputs(pictures), tiny, left.folder)
    assert done.skipped >= 2 * after
    score_table(inputs(pictures), tiny, tmp_path / "whole")
    whole = ScoreTable(tmp_path / "whole").read().to_pylist()
    for row, other in zip(left.read().to_pylist(), whole, strict=True):
        assert row == pytest.approx(other, abs=1e-6)


def test_a_row_does_not_depend_on_its_neighbours(pictures: Path, tmp_path: Path) -> None:
    tiny = {"tiny": beholder.load("tiny")}
    score_table(inputs(pictures), tiny, tmp_path / "all")
    alone = list(inputs(pictures))[5:6]
    score_table(alone, tiny, tmp_path / "one")
    row = list(ScoreTable(tmp_path / "all").rows())[5]
    assert row == pytest.approx(next(ScoreTable(tmp_path / "one").rows()), abs=1e-6)


def test_rewards_that_need_prompts_refuse_a_source_without(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="light needs prompts"):
        score_table(read_inputs(pictures), {"light": Brightness()}, tmp_path / "t")


def test_the_model_keeps_its_mode(pictures: Path, tmp_path: Path) -> None:
    reward = Brightness().train()
    score_table(inputs(pictures), {"light": reward}, tmp_path / "t")
    assert reward.training


def test_nothing_to_score_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one reward"):
        score_table([], {}, tmp_path)
    with pytest.raises(ConfigError, match="batch_size"):
        score_table([], {"light": Brightness()}, tmp_path, batch_size=0)


def test_the_one_line_door_loads_once(pictures: Path) -> None:
    assert beholder.score is scoring.score
    path = str(pictures / "p01.png")
    first = scoring.score(path, "a fox", "tiny")
    assert torch.equal(first.total, beholder.load("tiny").score(path, "a fox").total)
    assert len(scoring._kept) == 1
    kept = next(iter(scoring._kept.values()))
    scoring.score([path], ["a fox"], "tiny")
    assert next(iter(scoring._kept.values())) is kept
    assert scoring.score(path, "xx", Brightness()).total.item() == pytest.approx(30 / 255 + 2)
    with pytest.raises(ConfigError, match="loaded already"):
        scoring.score(path, "xx", Brightness(), device="cpu")


def test_a_folder_of_odd_pictures_loses_no_row(tmp_path: Path) -> None:
    odd = write_odd_pictures(tmp_path / "odd")
    rows = [
        Row(key=p.name, image=str(tmp_path / "odd" / p.name), prompt="a fox", name=p.name)
        for p in odd
    ]
    tiny = {"tiny": beholder.load("tiny")}
    done = score_table(rows, tiny, tmp_path / "t", batch_size=7)
    assert done.failed == sum(not p.must_score for p in odd)
    read = {row["key"]: row for row in ScoreTable(tmp_path / "t").rows()}
    assert list(read) == [storable(p.name) for p in odd]
    for p in odd:
        row = read[storable(p.name)]
        assert (row["tiny.total"] is not None) is p.must_score, p.name
        assert p.must_score or error_code(row["tiny.error"]) == p.code, p.name
