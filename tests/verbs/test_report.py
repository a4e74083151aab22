"""The verb report as a user calls it."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.sharded_runs import CONFIG, rows, write_run
from tests.shell import Shell


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, six prompts in two categories, two seeds."""
    folder = tmp_path_factory.mktemp("verb")
    rows = []
    for k in range(6):
        for model in "ab":
            for seed in (0, 1):
                path = folder / f"{model}{k}{seed}.png"
                grey = 40 * k + 20 * (model == "a") + seed
                Image.fromarray(np.full((16, 16, 3), grey, np.uint8)).save(path)
                category = ("cats", "dogs")[k % 2]
                rows.append([path, f"prompt {k}", model, category, seed])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "prompt", "model", "category", "seed"], *rows])
    return folder / "manifest.csv"


@pytest.fixture
def scores(manifest: Path, shell: Shell) -> Path:
    folder = manifest.parent / "scores"
    assert shell("score", manifest, "-r", "tiny", "-r", "other=tiny", "-o", folder) == 0
    return folder


def test_a_report_of_several_rewards_shows_each_and_says_which_decides(
    scores: Path, tmp_path: Path, shell: Shell
) -> None:
    page = tmp_path / "report.html"
    assert shell("report", scores, "--by", "model", "--category", "category", "-o", page) == 0
    assert "other decides; --reward takes another of other, tiny" in shell.err
    assert shell.out.strip() == str(page)
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'name="ranked-by" id="ranked-by-(\d)"', html) == ["0", "1"]
    assert 'dir="auto">cats' in html
    assert "24 of 24 pictures with a score" in html
    assert f"beholder report {scores} --by model --category category -o {page}" in html


def test_the_first_score_names_the_reward_and_the_gallery_has_its_size(
    scores: Path, tmp_path: Path, shell: Shell
) -> None:
    page = tmp_path / "report.html"
    options = ["--score", "tiny.total", "--pictures", 5, "--seed", 3, "-o", page]
    assert shell("report", scores, "--by", "model", *options) == 0
    assert shell.err == ""
    html = page.read_text(encoding="utf-8")
    assert "What tiny sees" in html
    assert "5 of 24 pictures with a score" in html
    assert "(seed 3)" in html
    assert shell("report", scores, "-r", "tiny", "--pictures", 0, "-o", page) == 0
    assert "Gallery" not in page.read_text(encoding="utf-8").partition("<footer")[0]


def test_an_unknown_column_is_a_usage_error(scores: Path, tmp_path: Path, shell: Shell) -> None:
    page = tmp_path / "report.html"
    assert shell("report", scores, "-r", "tiny", "--category", "categry", "-o", page) == 2
    assert "did you mean 'category'" in shell.err
    assert shell("report", scores, "-r", "tiny", "--aspect", "grace", "-o", page) == 2
    assert "no score named 'grace'" in shell.err
    assert not page.exists()


def test_the_leaderboard_of_rank_is_that_of_the_page(
    scores: Path, tmp_path: Path, shell: Shell
) -> None:
    costs = tmp_path / "costs.json"
    costs.write_text(json.dumps({"a": 0.004, "b": 0.006}))
    words: list[object] = [scores, "--by", "model", "--score", "tiny.total", "--draws", 50]
    words += ["--alpha", 0.1, "--pareto", "quality=tiny.total", "--pareto", "alignment=other.total"]
    words += ["--pareto", f"time:min={costs}", "--resample", "seeds"]
    board = shell.json("rank", *words)
    page = tmp_path / "report.html"
    assert shell("report", *words, "-o", page) == 0
    html = page.read_text(encoding="utf-8")
    tradeoffs = html.partition("Objectives of each checkpoint</caption>")[2].partition("</table>")[
        0
    ]
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', tradeoffs)
    assert heads == ["Checkpoint", "quality", "alignment", "time", "Pareto front"]
    assert "<td>0.0040</td>" in tradeoffs
    shown = re.findall(r"on it|beaten by", tradeoffs)
    pareto = board["pareto"]
    assert isinstance(pareto, list)
    assert shown == ["on it" if point["on_front"] else "beaten by" for point in pareto]
    assert "of 50 draws" in html
    assert "below 0.1" in html


def test_scores_beside_are_joined_and_ranked(scores: Path, tmp_path: Path, shell: Shell) -> None:
    further = tmp_path / "further"
    assert shell("score", scores.parent / "manifest.csv", "-r", "third=tiny", "-o", further) == 0
    page = tmp_path / "report.html"
    words = [scores, "--with", further, "--by", "model", "--score", "third.total", "-o", page]
    assert shell("report", *words, "-r", "tiny", "--pictures", 0) == 0
    assert "By third</h3>" in page.read_text(encoding="utf-8")


def test_a_remote_page_and_objectives_of_nobody_are_refused(scores: Path, shell: Shell) -> None:
    assert shell("report", scores, "-r", "tiny", "-o", "s3://bucket/report.html") == 2
    assert "written to this disk, not to s3://bucket/report.html" in shell.err
    assert shell("report", scores, "-r", "tiny", "--pareto", "x=tiny.total", "-o", "r.html") == 2
    assert "--pareto compares checkpoints" in shell.err
    assert not Path("r.html").exists()


def test_a_run_that_has_not_ended_has_its_page_and_leaves_with_3(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict.fromkeys(("reward", "alpha", "beholder", "torch", "transformers"), "1")
    monkeypatch.setattr("tests.sharded_runs.CONFIG", {**CONFIG, **known})
    half = write_run(tmp_path / "half", {"s-0": rows("ab"), "s-1": None}).folder
    assert shell("report", half, "--pictures", 0, "-o", tmp_path / "r.html") == 3
    assert "go on with the run's `beholder score`" in shell.err
    assert (tmp_path / "r.html").exists()
    assert shell("report", "nosuch", "-o", tmp_path / "s.html") == 1
    assert "nosuch does not exist" in shell.err
