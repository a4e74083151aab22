import logging
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from beholder._verbs.tracking import (
    check_place,
    filter_tables,
    filter_values,
    leaderboard_tables,
    leaderboard_values,
    measurement_values,
    track,
)
from beholder.errors import BeholderError, ConfigError, MissingDependencyError
from beholder.eval.filtering import FilterSummary, Rule
from beholder.eval.leaderboard import Leaderboard
from beholder.eval.measures._base import Measurement
from beholder.eval.ranking import rank
from beholder.images import ImageSource

TABLES = {"rank/mps": (("name", "mean"), [("a|b\n", 0.123456), ("c", math.nan)])}
PICTURE = np.full((4, 5, 3), 200, np.uint8)


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_tensorboard_shows_numbers_tables_and_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = {"rank/mps.total/mean/sd 1.5": 0.25, "unknown": math.nan}
    pictures: dict[str, ImageSource] = {"best": PICTURE, "gone": str(tmp_path / "none.png")}
    with caplog.at_level(logging.WARNING):
        told = track(f"tensorboard:{tmp_path}", values, step=7, tables=TABLES, pictures=pictures)
    assert told == f"{tmp_path}: tensorboard --logdir {tmp_path}"
    found = events(tmp_path)
    assert found.Tags()["scalars"] == ["rank/mps.total/mean/sd_1.5"]
    (scalar,) = found.Scalars("rank/mps.total/mean/sd_1.5")
    assert (scalar.step, scalar.value) == (7, 0.25)
    (image,) = found.Images("best")
    assert (image.width, image.height) == (5, 4)
    (text,) = found.Tensors("rank/mps/text_summary")
    written = text.tensor_proto.string_val[0].decode()
    assert written == "| name | mean |\n| --- | --- |\n| a\\|b | 0.1235 |\n| c | nan |"
    assert "picture gone is left out" in caplog.text


class Run:
    """What a run of wandb is asked, and what it is told."""

    name, id = "brave-fox-1", "abc"

    def __init__(self, **given: object) -> None:
        self.given = given
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.is_finished = False

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((values, step))

    def finish(self) -> None:
        self.is_finished = True


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = ModuleType("wandb")
    made.Error = type("Error", (Exception,), {})
    made.runs = []

    def init(**given: object) -> Run:
        run = Run(**given)
        made.runs.append(run)
        return run

    made.init = init
    made.Table = lambda columns, data: ("table", columns, data)
    made.Image = lambda pixels: ("image", pixels.shape)
    monkeypatch.setitem(sys.modules, "wandb", made)
    return made


def test_wandb_gets_the_same_in_one_step(wandb: Any) -> None:
    told = track("wandb:me/faces", {"x": 1.5}, step=3, tables=TABLES, pictures={"p": PICTURE})
    assert told == "wandb project me/faces, run brave-fox-1"
    (run,) = wandb.runs
    assert (run.given["entity"], run.given["project"]) == ("me", "faces")
    ((values, step),) = run.logged
    assert step == 3
    assert values == {
        "x": 1.5,
        "rank/mps": ("table", ["name", "mean"], [["a|b\n", 0.123456], ["c", None]]),
        "p": ("image", (4, 5, 3)),
    }
    assert run.is_finished
    track("wandb:faces", {})
    assert (wandb.runs[1].given["entity"], wandb.runs[1].logged) == (None, [({}, 0)])


def test_what_wandb_refuses_is_told_with_the_remedy(
    wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise wandb.Error("no key")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(BeholderError, match=r"wandb refused: no key; .*WANDB_MODE=offline"):
        track("wandb:faces", {"x": 1.0})


def test_without_wandb_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependencyError, match="pip install wandb"):
        track("wandb:faces", {})


@pytest.mark.parametrize("spec", ["tensorboard", "wandb:", "mlflow:x", "runs/tb"])
def test_another_dashboard_is_a_usage_error(spec: str) -> None:
    with pytest.raises(ConfigError, match="give tensorboard:FOLDER, wandb:PROJECT"):
        track(spec, {})


def test_a_leaderboard_is_numbers_by_score_and_category_and_a_table() -> None:
    columns: dict[str, list[Any]] = {
        "model": ["a", "a", "b", "b"],
        "prompt": ["p", "q", "p", "q"],
        "mps.total": [1.0, 2.0, 0.0, 1.0],
    }
    ranking = rank(columns, score="mps.total", draws=50)
    board = Leaderboard(
        by="model",
        scores=["mps.total"],
        rankings={"mps.total": ranking},
        tiers={"mps.total": [["a"], ["b"]]},
        categories={"animals": {"mps.total": ranking}},
    )
    values = leaderboard_values(board)
    assert values["rank/mps.total/mean/a"] == 1.5
    assert values["rank/mps.total/animals/win_rate/b"] == 0.0
    assert len(values) == 2 * 2 * 3
    header, rows = leaderboard_tables(board)["rank/mps.total"]
    assert [dict(zip(header, row, strict=True))["group"] for row in rows] == [1, 2]
    assert [row[0] for row in rows] == ["a", "b"]


def test_a_filter_is_counts_and_its_reasons_by_how_often() -> None:
    summary = FilterSummary(
        rows=10,
        kept=4,
        dropped=6,
        reasons={"truncated": 1, "mps.total > 0": 5},
        pictures_missing=0,
        rule=Rule(where="mps.total > 0"),
    )
    assert filter_values(summary)["filter/kept_share"] == 0.4
    assert filter_tables(summary)["filter/reasons"][1] == [("mps.total > 0", 5), ("truncated", 1)]


def test_measurements_without_a_value_are_left_out() -> None:
    known = Measurement(metric="fid", value=12.5, low=12.0, protocol={})
    unknown = Measurement(metric="kid", value=None, why="too few rows", protocol={})
    assert measurement_values([known, unknown]) == {"measure/fid": 12.5, "measure/fid/low": 12.0}


def test_names_that_differ_stay_apart(tmp_path: Path, wandb: Any) -> None:
    values = {"rank/模型": 1.0, "rank/sd 1": 2.0, "rank/sd_1": 3.0, "rank/sd+1": 4.0}
    track(f"tensorboard:{tmp_path}", values)
    found = events(tmp_path)
    told = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert told == {"rank/模型": 1.0, "rank/sd_1": 2.0, "rank/sd_1_2": 3.0, "rank/sd_1_3": 4.0}
    track("wandb:faces", values)
    assert wandb.runs[-1].logged == [(values, 0)]


def test_a_place_is_checked_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_place(f"tensorboard:{tmp_path}") == ("tensorboard", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        check_place(f"tensorboard:{tmp_path / 'file'}")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependencyError, match="pip install wandb"):
        check_place("wandb:faces")
