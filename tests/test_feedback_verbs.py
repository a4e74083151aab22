"""The verbs on rich feedback as a user calls them: trained, measured, explained."""

import json
from pathlib import Path

import pytest
from PIL import Image

import beholder
from beholder.annotation.joining.feedback import write_feedback
from tests.shell import Shell
from tests.training.spots import feedback


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_feedback(feedback(tmp_path, 12), tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def reward(tmp_path: Path) -> Path:
    beholder.load("richhf", size="tiny").save_pretrained(tmp_path / "reward")
    return tmp_path / "reward"


def test_train_learns_feedback_where_the_configuration_names_it(
    data: Path, tmp_path: Path, shell: Shell
) -> None:
    run = tmp_path / "run"
    changes = ["fit.steps=2", "fit.warmup_steps=0", "pictures_per_batch=4"]
    assert shell("train", "richhf_tiny_cpu", f"feedback={data}", f"run={run}", *changes) == 0
    assert shell.out.strip() == str(run)
    assert json.loads((run / "summary.json").read_text())["steps"] == 2
    assert shell("evaluate", run, data) == 0
    for figure in ("plausibility.plcc", "implausibility.cc", "words.micro.f1"):
        assert figure in shell.out


def test_evaluate_counts_pictures_that_are_gone(data: Path, reward: Path, shell: Shell) -> None:
    next(data.parent.glob("0-*.png")).unlink()
    found = shell.json("evaluate", reward, data, code=3)
    assert found["records"] == 12
    unscored = found["unscored"]
    assert isinstance(unscored, list)
    assert [one["key"] for one in unscored] == ["k0"]


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_explain_writes_a_picture_or_a_page(
    suffix: str, data: Path, reward: Path, shell: Shell
) -> None:
    picture = next(data.parent.glob("1-*.png"))
    out = data.parent / f"explained.{suffix}"
    found = shell.json("explain", picture, "--prompt", "two cats", "-r", reward, "-o", out)
    assert set(found) == {"scores", "mean_of_map", "words"}
    if suffix == "png":
        with Image.open(out) as drawn:
            assert drawn.width > 300
    else:
        assert "two" in out.read_text(encoding="utf-8")


def test_explain_names_what_it_can_write_and_what_it_cannot_read(
    tmp_path: Path, reward: Path, shell: Shell
) -> None:
    asked = ["--prompt", "a cat", "-r", reward]
    assert shell("explain", "none.png", *asked, "-o", tmp_path / "out.gif") == 2
    assert "neither .png nor .html" in shell.err
    assert shell("explain", tmp_path / "none.png", *asked, "-o", tmp_path / "out.png") == 1
    assert "none.png" in shell.err


def test_a_reward_without_maps_explains_nothing(data: Path, shell: Shell) -> None:
    picture, out = next(data.parent.glob("1-*.png")), data.parent / "out.png"
    assert shell("explain", picture, "--prompt", "a cat", "-r", "tiny", "-o", out) == 2
    assert "'tiny' draws no heatmaps" in shell.err
    assert not out.exists()


def test_a_report_shows_what_richhf_sees(data: Path, reward: Path, shell: Shell) -> None:
    manifest = data.parent / "manifest.csv"
    names = sorted(path.name for path in data.parent.glob("*.png"))
    rows = [f"{name},a fox in the sun" for name in names]
    manifest.write_text("\n".join(["image,prompt", *rows]), encoding="utf-8")
    scores, page = data.parent / "scores", data.parent / "report.html"
    assert shell("score", manifest, "-r", f"rich={reward}", "-o", scores) == 0
    assert shell("report", scores, "--explain", reward, "-o", page) == 0
    assert "What is wrong where" in page.read_text(encoding="utf-8")
