import json
from pathlib import Path

import pytest

import beholder
from beholder.errors import DataError
from beholder.quickstart.annotators import NOTICE
from beholder.quickstart.degrade import CHECKPOINTS
from beholder.quickstart.material import Sizes
from beholder.quickstart.run import run_quickstart
from beholder.tables import ScoreTable
from beholder.training.fit.learner import FitConfig
from beholder.types import ASPECTS

SIZES = Sizes(train_prompts=13, test_prompts=6, borrowed=1)
FIT = FitConfig(steps=4, warmup_steps=1, checkpoint_every_steps=2, precision="fp32")


@pytest.mark.long
@pytest.mark.weights
def test_the_whole_loop_leaves_a_report_a_summary_and_a_reward(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    lines: list[str] = []
    summary = run_quickstart(folder, sizes=SIZES, fit=FIT, say=lines.append)
    assert json.loads((folder / "summary.json").read_text()) == summary
    accuracy = summary["accuracy"]
    assert isinstance(accuracy, dict)
    assert tuple(accuracy) == ASPECTS
    assert all(0 <= value <= 1 for value in accuracy.values())
    assert summary["baselines"]["chance"] == 0.5  # type: ignore[index]
    assert sorted(summary["ranking"]) == sorted(CHECKPOINTS)  # type: ignore[call-overload]
    table = ScoreTable(folder / "scores")
    assert len(table) == 18
    assert not any(table.error_counts().values())
    assert len(list((folder / "kept" / "pictures").iterdir())) == 5
    page = (folder / "report.html").read_text()
    assert "simulated" in page
    assert NOTICE.split(":")[0] in page
    reward = beholder.load(str(folder / "runs" / "mine"))
    row = next(iter(table.rows()))
    again = reward.score(row["image"], row["prompt"]).total.item()
    assert again == pytest.approx(row["mine.total"], abs=1e-4)
    said = [line.strip().removeprefix("$ ") for line in lines if line.strip().startswith("$")]
    verbs = [line.split()[1] for line in said]
    assert verbs == [
        "annotate",
        "annotate",
        "train",
        "score",
        "evaluate",
        "rank",
        "filter",
        "report",
    ]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="not empty"):
        run_quickstart(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_quickstart_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "quickstart.json").write_text('{"seed": 7}')
    with pytest.raises(DataError, match="other settings"):
        run_quickstart(tmp_path)
