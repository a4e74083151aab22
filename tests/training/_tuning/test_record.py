import json
import math
from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.training._tuning.record import DENOISING, HELD_OUT, REWARD, Change, read_record
from tests.training._tuning.runs import evaluation, run

THREE = {0: evaluation(0, 0), 25: evaluation(1, 0.5, 0.5), 50: evaluation(2, 0.25, 1)}


def test_a_change_is_between_the_start_and_the_best_step(tmp_path: Path) -> None:
    record = read_record(run(tmp_path, THREE, best=25))
    assert record.change(REWARD) == Change(0.4, 0.9, 1)
    assert record.change(HELD_OUT) == Change(21, 21.625, 0.5)
    assert record.change(DENOISING).share == pytest.approx(0.01)
    assert record.at_best(record.gaps()) == 0.5


def test_gains_and_gaps_that_were_not_written_are_found_from_the_start(tmp_path: Path) -> None:
    bare = {k: {m: v for m, v in e.items() if m in {REWARD, HELD_OUT}} for k, e in THREE.items()}
    record = read_record(run(tmp_path, bare))
    told = read_record(run(tmp_path / "told", THREE))
    for key in (REWARD, HELD_OUT):
        assert dict(record.gains(key)) == pytest.approx(dict(told.gains(key)))
    assert [gap for _, gap in record.gaps()] == pytest.approx([0, 0.5, 1.75])


def test_before_a_run_ends_the_best_step_is_that_of_the_held_out_reward(tmp_path: Path) -> None:
    assert read_record(run(tmp_path / "watched", THREE)).best_step == 25
    alone = {0: evaluation(0, None), 25: evaluation(1, None), 50: evaluation(1, None)}
    assert read_record(run(tmp_path / "alone", alone)).best_step == 25, "the first of equals"


def test_where_it_ended_is_what_the_summary_says(tmp_path: Path) -> None:
    record = read_record(run(tmp_path, THREE, best=50))
    assert (record.step, record.best_step, record.is_finished) == (50, 50, True)
    assert not record.is_stopped
    assert read_record(run(tmp_path / "other", THREE, best=25)).is_stopped


def test_a_run_that_has_just_begun_says_nothing_wrong(tmp_path: Path) -> None:
    record = read_record(run(tmp_path, {}))
    assert (record.step, record.best_step, record.is_finished) == (0, None, False)
    assert math.isnan(record.change(REWARD).gain)
    assert (record.points(REWARD), record.gaps(), record.checks) == ([], [], ())


def test_a_score_that_was_null_is_not_a_number(tmp_path: Path) -> None:
    folder = run(tmp_path, {0: evaluation(0, 0), 25: {REWARD: math.nan, HELD_OUT: 22.0}})
    points = read_record(folder).points(REWARD)
    assert points[0] == (0, 0.4)
    assert math.isnan(points[1][1])


def test_a_start_that_does_not_vary_gives_no_gain(tmp_path: Path) -> None:
    folder = run(tmp_path, {0: {REWARD: 0.4}, 25: {REWARD: 0.5}})
    (folder / "start.json").write_text('{"mean": 0.4, "std": 0.0}')
    record = read_record(folder)
    assert math.isnan(record.change(REWARD).gain)
    assert record.change(REWARD).after == 0.5


@pytest.mark.parametrize("name", ["start.json", "summary.json", "selftest.json", "inputs.yaml"])
@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_a_damaged_file_says_nothing(tmp_path: Path, name: str, text: str) -> None:
    folder = run(tmp_path, THREE, best=25)
    (folder / name).write_text(text)
    assert read_record(folder).change(REWARD).after == 0.9


def test_watched_is_what_was_asked_or_measured(tmp_path: Path) -> None:
    assert read_record(run(tmp_path / "asked", {})).is_watched
    assert read_record(run(tmp_path / "measured", THREE, held_out_reward="")).is_watched
    assert not read_record(run(tmp_path / "neither", {}, held_out_reward="")).is_watched


def test_an_option_is_found_by_its_dotted_name(tmp_path: Path) -> None:
    record = read_record(run(tmp_path, {}))
    assert record.option("lora.rank") == 16
    assert record.option("lora.rank.deeper", 1) == 1
    assert record.option("sampling.height", 512) == 512, "none is not told"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the folder of a tuning"):
        read_record(tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps({"preferences": "judgements"}))
    with pytest.raises(ConfigError, match="names no algorithm"):
        read_record(tmp_path)
