"""Win probabilities follow from a table's scores and a calibration; no model is asked."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.calibration import Calibration, Curve, Owner
from beholder.errors import ConfigError, DataError
from beholder.eval.filtering import Rule, filter_table
from beholder.eval.win_columns import table_calibrations, win_columns, with_wins
from beholder.tables import ScoreTable
from tests.calibrations import calibration
from tests.sharded_runs import rows, write_run

OWNER = Owner(reward="tiny", options={"seed": 1}, weights="ab")
FOUND = replace(
    calibration(Curve(temperature=0.5), (-1.0, 0.0, 1.0), detail=Curve()),
    owner=OWNER,
    left_out={"style": "12 answered pairs are too few"},
)
TOTALS = [-2.0, 0.0, None, 3.0]


@pytest.fixture
def table(tmp_path: Path) -> ScoreTable:
    table, keys = ScoreTable(tmp_path / "scores"), [f"{k}.png" for k in range(4)]
    with table.writing() as writer:
        for name in ("mine", "hps"):
            writer.claim(name, {"weights": "ab", "options": {"seed": 1}})
        writer.add_inputs([{"key": k, "image": k, "prompt": "p"} for k in keys])
        for name in ("mine", "hps"):
            columns: dict[str, list[Any]] = {
                "key": keys,
                f"{name}.total": TOTALS,
                f"{name}.detail": TOTALS,
                f"{name}.style": TOTALS,
                f"{name}.error": [None, None, "truncated: cut", None],
            }
            writer.add_scores(name, columns)
    return table


def write(found: Calibration, path: Path) -> Path:
    path.write_text(found.to_json(), encoding="utf-8")
    return path


def kept_keys(folder: Path) -> list[str]:
    return [str(key) for key in pq.read_table(folder / "kept.parquet")["key"].to_pylist()]


def test_columns_are_named_after_the_reward_and_its_aspects() -> None:
    assert win_columns({"mine": FOUND}) == {
        "mine.win": ("mine", "total"),
        "mine.detail.win": ("mine", "detail"),
    }


def test_a_column_holds_the_win_probability_of_each_score_and_null_without_one(
    table: ScoreTable,
) -> None:
    data = with_wins(table.read(), {"mine": FOUND})
    known = FOUND.scores["total"].win_probability(np.array([-2.0, 0.0, 3.0]))
    found = data["mine.win"].to_pylist()
    assert found[2] is None
    assert [found[k] for k in (0, 1, 3)] == pytest.approx(known.tolist())
    assert found[1] == pytest.approx(0.5)
    assert data.column_names[-2:] == ["mine.win", "mine.detail.win"]
    assert with_wins(table.read(), {}).column_names == table.columns


def test_a_table_that_keeps_a_calibration_is_filtered_by_it(
    table: ScoreTable, tmp_path: Path
) -> None:
    write(FOUND, table.folder / "rewards" / "mine" / "calibration.json")
    found = table_calibrations(table)
    rule = Rule(where="mine.win > 0.4 and mine.detail.win < 0.9", top=1, score="mine.win")
    filter_table(table, rule, tmp_path / "out", calibrations=found)
    assert kept_keys(tmp_path / "out") == ["1.png"]
    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert [row["reason"] for row in dropped] == [
        "not mine.win > 0.4",
        "error: truncated: cut",
        "not mine.detail.win < 0.9",
    ]
    assert dropped[0]["mine.win"] == pytest.approx(
        FOUND.scores["total"].win_probability(np.array([-2.0]))[0]
    )


def test_a_file_that_is_given_goes_before_the_one_that_is_kept(
    table: ScoreTable, tmp_path: Path
) -> None:
    write(FOUND, table.folder / "rewards" / "mine" / "calibration.json")
    other = replace(calibration(Curve(temperature=9.0)), owner=OWNER)
    file = write(other, tmp_path / "other.json")
    assert table_calibrations(table, {"mine": file}) == {"mine": other}
    assert table_calibrations(table, {"hps": file}) == {"mine": FOUND, "hps": other}


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (replace(OWNER, weights="cd"), "other weights than those that made the mine scores"),
        (replace(OWNER, options={"seed": 2}), "other options"),
        (None, "other weights"),
    ],
)
def test_the_calibration_of_other_scores_is_refused(
    table: ScoreTable, tmp_path: Path, owner: Owner | None, why: str
) -> None:
    file = write(replace(FOUND, owner=owner), tmp_path / "c.json")
    with pytest.raises(ConfigError, match=why):
        table_calibrations(table, {"mine": file})


def test_a_kept_calibration_of_other_scores_is_set_aside_and_what_to_do_is_named(
    table: ScoreTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    half = replace(OWNER, weights="cd", precision="bfloat16, float32")
    kept = write(replace(FOUND, owner=half), table.folder / "rewards" / "mine" / "calibration.json")
    with caplog.at_level(logging.WARNING):
        assert table_calibrations(table) == {}
    assert f"{kept} is not used" in caplog.text
    assert (
        "another precision of them (bfloat16, float32); calibrate with the --dtype" in caplog.text
    )
    file = write(FOUND, tmp_path / "c.json")
    assert table_calibrations(table, {"mine": file}) == {"mine": FOUND}


def test_a_reward_or_file_that_is_not_there_is_named(table: ScoreTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no reward named 'mien'; did you mean 'mine'"):
        table_calibrations(table, {"mien": tmp_path / "c.json"})
    with pytest.raises(DataError, match="cannot be read"):
        table_calibrations(table, {"mine": tmp_path / "c.json"})


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("hps.win > 0.5", r"no hps\.win without a calibration of hps.*--calibration hps=FILE"),
        ("mine.style.win > 0.5", r"leaves style out: 12 answered pairs are too few"),
        ("mine.look.win > 0.5", r"leaves look out: the reward has no such score"),
        ("mine.wim > 0.5", r"no column named 'mine\.wim'; did you mean 'mine\.win'"),
    ],
)
def test_a_rule_on_a_win_that_is_not_known_says_what_to_do(
    table: ScoreTable, tmp_path: Path, where: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        filter_table(table, Rule(where=where), tmp_path / "out", calibrations={"mine": FOUND})


def test_the_summary_says_what_was_asked(table: ScoreTable, tmp_path: Path) -> None:
    rule = Rule(where="mine.win > 0.4")
    summary = filter_table(table, rule, tmp_path / "out", calibrations={"mine": FOUND})
    assert (summary.kept, summary.dropped) == (2, 2)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["rule"]["where"] == "mine.win > 0.4"


def test_a_run_that_scores_shard_by_shard_keeps_calibrations_too(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run", {"s-0": rows("ab", "mine"), "s-1": rows("c", "mine")}, ["mine"]
    )
    (tmp_path / "run" / "_run" / "rewards" / "mine").mkdir(parents=True)
    write(FOUND, tmp_path / "run" / "_run" / "rewards" / "mine" / "calibration.json")
    known = table_calibrations(run)
    assert known == {"mine": FOUND}
    level = float(FOUND.scores["total"].win_probability(np.array([2.5]))[0])
    filter_table(run, Rule(where=f"mine.win > {level}"), tmp_path / "kept", calibrations=known)
    assert kept_keys(tmp_path / "kept") == ["c"]


def test_a_score_of_large_integers_has_a_win_probability() -> None:
    data = pa.table({"mine.total": pa.array([2**53 + 1], pa.int64())})
    assert with_wins(data, {"mine": FOUND})["mine.win"].to_pylist() == [1.0]
