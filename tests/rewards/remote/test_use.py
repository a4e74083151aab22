"""Verbs and trainers work with a reward of a server as they do with one of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import beholder
from beholder._verbs.rank_pictures import Drawing
from beholder.errors import BeholderError, ConfigError
from beholder.rewards._remote.credentials import VARIABLE
from beholder.rewards.scoring import read_inputs, score_table
from beholder.tables import ScoreTable
from beholder.training import rendering
from beholder.training.adapters import as_reward_fn
from beholder.training.algorithms._base import PromptBatch
from beholder.training.algorithms.dpo import Dpo, DpoConfig
from beholder.training.algorithms.nft import Nft, NftConfig
from beholder.training.tune import Given, tune
from tests.rewards.remote.servers import Desk, serving
from tests.shell import Shell
from tests.training.algorithms.studios import studio
from tests.training.test_tune import config
from tests.training.tiny_pipelines import tiny_sampling
from tests.training.toy import Redness
from tests.verbs.test_rank_pictures import Studio

TOKEN = "abcdefgh-12345678"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with serving({"tiny": beholder.load("tiny"), "red": Redness()}) as desk:
        yield desk


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(5):
        Image.new("RGB", (20 + k, 20), (40 * k, 10, 200)).save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text(f"a cat {k}")
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:50])
    return folder


def scored_by(asked: Desk) -> int:
    return sum(len(one.pictures) for one in asked.scoring())


def totals(table: Path, name: str = "tiny") -> dict[str, float | None]:
    return {row["key"]: row[f"{name}.total"] for row in ScoreTable(table).rows()}


def test_score_writes_the_numbers_and_the_errors_that_a_local_reward_gives(
    desk: Desk, pictures: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    desk.fault = lambda p: ("worker-died", "killed") if p[0, 0, 0] == 160 else None
    remote, local = tmp_path / "remote", tmp_path / "local"
    assert shell("score", pictures, "-r", f"{desk.address}/tiny", "-o", remote) == 3
    score_table(read_inputs(str(pictures)), {"tiny": beholder.load("tiny")}, local)
    mine, theirs = totals(remote), totals(local)
    (died,) = (key for key in mine if mine[key] is None and theirs[key] is not None)
    assert {k: v for k, v in mine.items() if k != died} == pytest.approx(
        {k: v for k, v in theirs.items() if k != died}, abs=1e-6
    )
    assert ScoreTable(remote).error_counts() == {"tiny": {"truncated": 1, "worker-died": 1}}
    assert {one.headers["Authorization"] for one in desk.asked} == {f"Bearer {TOKEN}"}
    kept = [path.read_bytes() for path in remote.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in contents for contents in kept)


def test_a_table_goes_on_with_the_same_model_elsewhere_and_with_no_other(
    pictures: Path, tmp_path: Path
) -> None:
    rows, table = read_inputs(str(pictures)), tmp_path / "table"
    with serving({"tiny": beholder.load("tiny")}) as desk:
        assert score_table(rows, {"t": beholder.load(desk.address)}, table).scored == 5
    with serving({"other": beholder.load("tiny")}, root="/there") as desk:
        assert score_table(rows, {"t": beholder.load(desk.address + "/other")}, table).skipped == 5
    with (
        serving({"tiny": beholder.load("tiny", seed=1)}) as desk,
        pytest.raises(ConfigError, match="other"),
    ):
        score_table(rows, {"t": beholder.load(desk.address)}, table)


def test_weights_that_change_in_the_middle_end_the_run_and_mark_no_picture(
    desk: Desk, pictures: Path, tmp_path: Path
) -> None:
    remote = beholder.load(f"{desk.address}/tiny")
    desk.rewards["tiny"] = beholder.load("tiny", seed=1)
    with pytest.raises(BeholderError, match="nothing was mixed"):
        score_table(read_inputs(str(pictures)), {"tiny": remote}, tmp_path / "table")
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_server_that_is_away_ends_the_run_and_marks_no_picture(
    pictures: Path, tmp_path: Path
) -> None:
    with serving({"tiny": beholder.load("tiny")}) as desk:
        remote = beholder.load(desk.address, patience=0.2)
    with pytest.raises(BeholderError, match="no answer from"):
        score_table(read_inputs(str(pictures)), {"tiny": remote}, tmp_path / "table")
    assert not list(tmp_path.rglob("*.parquet"))


def test_worker_processes_ask_the_server_too(
    desk: Desk, pictures: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    out = tmp_path / "sharded"
    words = ["score", pictures, "-r", f"t={desk.address}/tiny", "-o", out]
    assert shell(*words, "--engine", "processes", "--workers", 1) == 3
    local = beholder.load("tiny")
    sources = [str(pictures / f"{k}.png") for k in range(5) if k != 3]
    expected = local.score(sources, [f"a cat {k}" for k in range(5) if k != 3]).total.tolist()
    found = [value for _, value in sorted(totals(out, "t").items()) if value is not None]
    assert found == pytest.approx(expected, abs=1e-6)
    assert {one.headers["Authorization"] for one in desk.asked} == {f"Bearer {TOKEN}"}
    kept = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in contents for contents in kept)


def test_rank_draws_here_and_scores_there(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "render", Studio())
    (tmp_path / "prompts.txt").write_text("a red fox\na blue cup\n")
    drawing = Drawing(
        pipelines="one=tiny,two=some:pipeline",
        prompts=str(tmp_path / "prompts.txt"),
        reward=[f"{desk.address}/tiny"],
    )
    found = totals(drawing.scored(tmp_path / "out"))
    assert scored_by(desk) == len(found) == 16
    assert None not in found.values()


@pytest.mark.parametrize("kind", ["nft", "dpo"])
def test_tuning_without_gradient_learns_the_same_from_it(
    desk: Desk, tmp_path: Path, kind: str
) -> None:
    def loss(reward: beholder.rewards.Reward) -> torch.Tensor:
        made, sampling = studio("sd", reward), tiny_sampling("sd")
        torch.manual_seed(3)
        if kind == "nft":
            nft = NftConfig(sampling=sampling, group=3, prompts_per_batch=2, kl=0.0)
            return Nft(made, nft).step(PromptBatch(0, ("cat", "dog"), (11, 12)))[0]
        dpo = DpoConfig(run=str(tmp_path), sampling=sampling, prompts_per_batch=2, temperature=1e-9)
        algorithm: Any = Dpo(made, dpo)
        return algorithm.step(next(algorithm.batches(0, 1)))[0]  # type: ignore[no-any-return]

    torch.testing.assert_close(loss(beholder.load(f"{desk.address}/red")), loss(Redness()))


def test_tuning_by_gradient_names_what_learns_without(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use algorithm dpo or nft"):
        tune(
            config(tmp_path / "run", reward=f"{desk.address}/tiny"),
            Given(prompts=["a cat"], validation_prompts=["a bird"]),
        )


def test_trainers_adapters_take_it(desk: Desk) -> None:
    score = as_reward_fn(beholder.load(f"{desk.address}/red"))
    images = torch.rand(3, 3, 8, 8)
    found = score(images, ["a"] * 3, [{}] * 3)[0]
    torch.testing.assert_close(found, Redness().score(list(images), ["a"] * 3).total)
