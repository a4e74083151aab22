"""The verb rank on a table of scores, as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest

from beholder.tables import ScoreTable
from tests.shell import Shell

QUALITY = {"a": 0.0, "b": 1.0, "c": 2.0}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints, 24 prompts of two kinds, two pictures each, two rewards."""
    folder = tmp_path_factory.mktemp("rank") / "scores"
    rows = [
        {
            "key": f"{m}{p}{s}",
            "image": f"/p/{m}{p}{s}.png",
            "prompt": f"prompt {p}",
            "model": m,
            "seed": s,
            "kind": ("colour", "count")[p % 2],
        }
        for p in range(24)
        for m in QUALITY
        for s in range(2)
    ]
    noise = np.random.default_rng(0).normal(size=(3, len(rows)))
    keys = [row["key"] for row in rows]
    better = [QUALITY[str(row["model"])] for row in rows]
    table = ScoreTable(folder)
    with table.writing() as writer:
        writer.add_inputs(rows)
        for k, (reward, part) in enumerate((("r", "detail"), ("q", "tone"))):
            writer.claim(reward, {"reward": reward, "weights": "0", "beholder": "1"})
            scored = {
                "key": keys,
                f"{reward}.total": (better + noise[k]).tolist(),
                f"{reward}.{part}": noise[2].tolist(),
                f"{reward}.error": [None] * len(keys),
            }
            writer.add_scores(reward, scored)
    return folder


def test_the_ranking_stays_on_top_and_the_rest_stands_beside_it(scores: Path, shell: Shell) -> None:
    words = ["rank", scores, "--score", "r.total", "--all-scores", "--category", "kind"]
    said = shell.json(*words, "--draws", 50, "--certainty", 0.9)
    assert [s["name"] for s in said["standings"]] == ["c", "b", "a"]  # type: ignore[attr-defined]
    assert said["scores"] == ["r.total", "q.total", "q.tone", "r.detail"]
    assert set(said["rankings"]) == set(said["scores"])  # type: ignore[call-overload]
    assert sorted(said["categories"]) == ["colour", "count"]  # type: ignore[call-overload]
    assert len(said["needed"]) == 2  # type: ignore[arg-type]


def test_people_read_groups_categories_objectives_and_prompts(
    scores: Path, shell: Shell, tmp_path: Path
) -> None:
    costs = tmp_path / "costs"
    costs.mkdir()
    for name, seconds in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        (costs / f"{name}.json").write_text(json.dumps({"runtime": {"median": seconds}}))
    words = ["rank", scores, "--score", "r.total", "--score", "r.detail", "--category", "kind"]
    words += ["--pareto", "quality=r.total", "--pareto", f"time:min={costs}#runtime.median"]
    assert shell(*words, "--draws", 50, "--certainty", 0.9) == 0
    assert "colour, 12 prompts, too few to rely on" in shell.out
    assert "quality (more)  time (less)  on front" in shell.out
    assert "model, means" in shell.out
    front = {
        line.split()[0]: line.split()[3]
        for line in shell.out.split("on front")[1].splitlines()[2:5]
    }
    assert front == {"c": "yes", "b": "no", "a": "yes"}
    assert "prompts that tell neighbours apart by their win share of r.total" in shell.out


def test_results_are_written_whole_and_sent(scores: Path, shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "board"
    words = ["rank", scores, "--score", "r.total", "--draws", 20, "-o", out]
    said = shell.json(*words, "--log", f"tensorboard:{tmp_path / 'tb'}")
    written = json.loads((out / "leaderboard.json").read_text())
    assert written == {key: said[key] for key in written}
    assert "results" in json.loads((out / "results.json").read_text())
    assert list((tmp_path / "tb").rglob("events.out.tfevents.*"))
    assert sorted(p.name for p in out.iterdir()) == ["leaderboard.json", "results.json"]


def test_fixed_prompts_are_asked_for_by_name(scores: Path, shell: Shell) -> None:
    said = shell.json("rank", scores, "--score", "r.total", "--draws", 20, "--resample", "seeds")
    assert said["resample"] == "seeds"
    assert (
        shell("rank", scores, "--score", "r.total", "--resample", "seeds", "--certainty", 0.9) == 2
    )
    assert "holds the prompts fixed" in shell.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--score", "r.totl"], "did you mean 'r.total'"),
        ([], "name the column that counts"),
        (["--score", "r.total", "--alpha", "2"], "alpha is 2"),
        (["--score", "r.total", "--pareto", "x"], "--pareto takes NAME=COLUMN"),
        (["--score", "r.total", "--pareto", "x:up=r.total"], "--pareto takes NAME=COLUMN"),
        (["--score", "r.total", "--pareto", "x=gone.json"], "neither a column nor a file"),
        (["--score", "r.total", "--pareto", "x=r.total"], "two objectives"),
        (["--score", "r.total", "--seeds", "2"], "--seeds is for pictures that are drawn"),
        (["--pipelines", "tiny"], "one of them"),
    ],
)
def test_a_wrong_call_is_one_line(scores: Path, shell: Shell, words: list[str], said: str) -> None:
    assert shell("rank", scores, *words) == 2
    assert said in shell.err
    assert shell.err.count("\n") == 1


def test_pictures_need_a_folder(shell: Shell) -> None:
    assert shell("rank") == 2
    assert "a folder of scores, or --pipelines" in shell.err
    assert shell("rank", "--pipelines", "tiny") == 2
    assert "--out DIR" in shell.err
