from pathlib import Path
from typing import Any

import pytest

from beholder.training._tuning.record import read_record
from beholder.training._tuning.telling import (
    SIGMA,
    doubts,
    methods,
    protocol,
    summary,
    title,
    use_lines,
)
from beholder.training._tuning.views import Views
from beholder.training.algorithms._base import TuneFit
from beholder.training.pipeline import Sampling
from tests.training._tuning.runs import evaluation, run

START = evaluation(0, 0)


def doubted(folder: Path, *later: tuple[float, float], best: int | None = None) -> str:
    """Doubts of a run with these gains after the start."""
    found = {25 * (k + 1): evaluation(*gains) for k, gains in enumerate(later)}
    return " ".join(doubts(read_record(run(folder, {0: START, **found}, best=best))))


def test_a_gain_that_both_rewards_share_is_not_doubted(tmp_path: Path) -> None:
    assert doubted(tmp_path, (1, 0.8), (2.4, 1.2), best=50) == ""


def test_a_large_gain_that_the_other_reward_does_not_share_is_warned_of(tmp_path: Path) -> None:
    told = doubted(tmp_path, (2.5, 0.1), best=25)
    assert f"gap is large: the learned reward gained 2.50{SIGMA}" in told
    assert f"held-out reward 0.10{SIGMA}" in told


def test_a_small_gap_is_not_warned_of(tmp_path: Path) -> None:
    assert doubted(tmp_path, (0.9, 0.1), best=25) == ""


def test_a_held_out_reward_below_its_start_is_warned_of(tmp_path: Path) -> None:
    told = doubted(tmp_path, (1, 0.9), (2, -0.5), best=25)
    assert f"After step 50 the held-out reward lay 0.50{SIGMA} below its start" in told
    assert "step 25 are kept" in told
    assert "the best so far" in doubted(tmp_path / "going", (1, 0.9), (2, -0.5))


def test_a_run_that_gained_nothing_says_so(tmp_path: Path) -> None:
    told = doubted(tmp_path, (1, -0.1), best=0)
    assert "the LoRA that is kept changes nothing" in told


def test_a_run_without_another_reward_says_that_nothing_watches(tmp_path: Path) -> None:
    found = {0: evaluation(0, None), 25: evaluation(3, None)}
    (told,) = doubts(read_record(run(tmp_path, found, held_out_reward="", best=25)))
    assert told.startswith("Nothing watches for reward hacking in this run")


def test_pictures_without_a_score_are_counted(tmp_path: Path) -> None:
    failed = evaluation(1, 1) | {"eval/failed": 0.25}
    (told,) = doubts(read_record(run(tmp_path, {0: START, 25: failed}, best=25)))
    assert "no score to 25 %" in told


def test_the_summary_says_where_it_stands(tmp_path: Path) -> None:
    two = {0: START, 25: evaluation(1, 1), 50: evaluation(1, 0.9)}
    fit = TuneFit(steps=100, patience_evaluations=1)
    young, going, done = (
        summary(read_record(run(tmp_path / name, found, best=best, fit=fit)))
        for name, found, best in (("young", {}, None), ("going", two, None), ("done", two, 25))
    )
    assert young == "A run of ReFL that has not evaluated anything yet."
    assert "ReFL is at step 50 of 100; the best so far is step 25." in going
    assert done.startswith("ReFL stopped early, after 50 of 100 steps: 1 evaluation in a row")


def test_a_run_to_the_end_is_told_as_one(tmp_path: Path) -> None:
    record = read_record(run(tmp_path, {0: START, 25: evaluation(1, 1)}, best=25))
    assert summary(record).startswith("25 steps of ReFL; the weights after step 25 are kept")
    assert title(record) == "stable-diffusion-v1-5, tuned by mps"


def test_the_protocol_names_what_decides_the_figures(tmp_path: Path) -> None:
    sampling = Sampling(steps=20, guidance=4.5, height=512, width=768)
    views = Views(crop=0.1, flip=0.5)
    folder = run(tmp_path, {0: START}, sampling=sampling, kl=0.1, views=views, aspect="detail")
    assert protocol(read_record(folder)) == {
        "Pipeline": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "Algorithm": "ReFL (margin 2, window 0.15 to 0.65)",
        "Learned from": "mps (detail)",
        "Held-out reward": "clipscore",
        "Prompts": "1,200 learned from, 4 evaluated",
        "Sampling": "20 steps, guidance 4.5, 768 \N{MULTIPLICATION SIGN} 512",
        "LoRA": "rank 16, alpha 16",
        "Pictures in a step": "4 prompts",
        "Learning rate": "0.0001",
        "Kept near the base": "output distance \N{MULTIPLICATION SIGN} 0.1",
        "Views": "crop 10 %, flip 50 %",
        "Precision": "auto",
        "Seed": "0",
        "Versions": "beholder 0.1.0, torch 2.6.0",
    }


def test_what_stood_in_for_the_configuration_is_told_instead(tmp_path: Path) -> None:
    folder = run(tmp_path, {0: START})
    (folder / "inputs.yaml").write_text("pipeline: MyPipeline\nreward: brightness\n")
    record = read_record(folder)
    assert title(record) == "MyPipeline, tuned by brightness"
    assert use_lines(record, "runs/mine")[0] == "pipe = ...  # the MyPipeline that was tuned"
    assert "Prompts" not in protocol(record)


@pytest.mark.parametrize(
    ("algorithm", "paper"),
    [("refl", "Xu"), ("draft", "Clark"), ("dpo", "Wallace"), ("nft", "Zheng"), ("mine", "Hu")],
)
def test_the_papers_are_those_of_the_algorithm(tmp_path: Path, algorithm: str, paper: str) -> None:
    cited = methods(read_record(run(tmp_path, {}, algorithm=algorithm)))
    assert paper in cited[0]
    assert "Hu et al., LoRA" in cited[-1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pipeline": "mine.pipes:build"},
        {"pipeline": 'a "b"', "dtype": "fp16"},
        {"pipeline_options": {"revision": "v1", "token": "secret"}},
    ],
)
def test_the_lines_of_use_are_python(tmp_path: Path, options: dict[str, Any]) -> None:
    lines = "\n".join(use_lines(read_record(run(tmp_path, {}, **options)), 'my "folder"'))
    compile(lines, "use", "exec")
    assert 'pipe.load_lora_weights("my \\"folder\\"")' in lines
    assert "num_inference_steps=28" in lines
    assert "secret" not in lines
