"""A table never tears, never mixes configurations, and gives rows back in input order."""

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from beholder.errors import ConfigError, DataError
from beholder.tables import PENDING, ScoreTable, check_reward_name, score_parts

CONFIG = {"weights": "abc", "options": {"threshold": 0.3}}


def inputs(keys: Sequence[str], **extra: object) -> list[dict[str, object]]:
    return [{"key": k, "image": f"/p/{k}.png", "prompt": f"a {k}", **extra} for k in keys]


def scores(
    reward: str, keys: Sequence[str], totals: Sequence[float | None]
) -> dict[str, Sequence[object]]:
    errors = ["truncated: cut" if t is None else None for t in totals]
    return {"key": list(keys), f"{reward}.total": list(totals), f"{reward}.error": errors}


def write(
    folder: Path, keys: str, reward: str = "mps", config: dict[str, object] | None = None
) -> ScoreTable:
    table = ScoreTable(folder)
    with table.writing() as writer:
        writer.claim(reward, config or CONFIG)
        writer.add_inputs([row for row in inputs(keys) if not writer.knows(row)])
        writer.add_scores(reward, scores(reward, keys, [float(ord(k)) for k in keys]))
    return table


def test_rows_read_back_in_input_order_whatever_order_scores_came_in(tmp_path: Path) -> None:
    table = ScoreTable(tmp_path)
    with table.writing() as writer:
        writer.claim("mps", CONFIG)
        writer.add_inputs(inputs("ca"))
        writer.add_inputs(inputs("b"))
        writer.add_scores("mps", scores("mps", "bac", [2, None, 3]))
    assert list(table.rows()) == [
        {"key": "c", "image": "/p/c.png", "prompt": "a c", "mps.total": 3, "mps.error": None},
        {"key": "a", "image": "/p/a.png", "prompt": "a a", "mps.total": None,
         "mps.error": "truncated: cut"},
        {"key": "b", "image": "/p/b.png", "prompt": "a b", "mps.total": 2, "mps.error": None},
    ]  # fmt: skip
    assert table.columns == ["key", "image", "prompt", "mps.total", "mps.error"]
    assert len(table) == 3
    assert table.error_counts() == {"mps": {"truncated": 1}}


def test_another_reward_joins_by_key_and_unreached_rows_say_pending(tmp_path: Path) -> None:
    table = write(tmp_path, "abc")
    with table.writing() as writer:
        writer.claim("hps", CONFIG)
        writer.add_scores("hps", scores("hps", "ca", [30, 10]))
    assert table.rewards == ["hps", "mps"]
    read = table.arrays(["hps.total", "hps.error", "mps.total"])
    assert read["hps.total"][[0, 2]].tolist() == [10, 30]
    assert math.isnan(read["hps.total"][1])
    assert read["hps.error"].tolist() == [None, PENDING, None]
    assert read["mps.total"].tolist() == [97, 98, 99]


def test_a_writer_knows_what_is_done(tmp_path: Path) -> None:
    table = write(tmp_path, "ab")
    with table.writing() as writer:
        writer.claim("mps", CONFIG)
        assert [writer.needs("mps", key) for key in "abc"] == [False, False, True]
        assert [writer.knows(row) for row in inputs("abc")] == [True, True, False]


def test_a_key_with_another_prompt_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path, "a")
    with table.writing() as writer, pytest.raises(DataError, match="another picture or prompt"):
        writer.knows({"key": "a", "image": "/p/a.png", "prompt": "something else"})


def test_another_configuration_is_refused_by_what_differs(tmp_path: Path) -> None:
    table = write(tmp_path, "a")
    with table.writing() as writer:
        with pytest.raises(ConfigError, match=r"options\.threshold was 0\.3, now 0\.01"):
            writer.claim("mps", {"weights": "abc", "options": {"threshold": 0.01}})
        with pytest.raises(ConfigError, match="weights was 'abc', now None"):
            writer.claim("mps", {"options": {"threshold": 0.3}})
    assert table.config("mps") == CONFIG


def test_extra_columns_may_come_late_or_change_their_type(tmp_path: Path) -> None:
    table = ScoreTable(tmp_path)
    with table.writing() as writer:
        writer.add_inputs(inputs("a", seed=1))
        writer.add_inputs(inputs("b", seed="x", steps=20, tags=["u", "v"]))
        writer.add_inputs([*inputs("c", steps=30), *inputs("d", steps=2.5)])
    assert [row["seed"] for row in table.rows()] == ["1", "x", None, None]
    assert [row["steps"] for row in table.rows()] == [None, 20, 30, 2.5]
    assert next(table.rows(["tags"]))["tags"] is None
    assert table.read(["tags"]).column(0)[1].as_py() == '["u", "v"]'


def test_text_that_is_not_unicode_is_escaped_not_lost(tmp_path: Path) -> None:
    table = ScoreTable(tmp_path)
    with table.writing() as writer:
        row = {"key": "\udcff.png", "image": "\udcff.png", "prompt": "a \ud800"}
        writer.add_inputs([row])
        assert writer.knows(row)
    assert next(table.rows())["prompt"] == "a \\ud800"


def test_an_input_column_named_like_a_score_is_refused(tmp_path: Path) -> None:
    with ScoreTable(tmp_path).writing() as writer:
        writer.claim("mps", CONFIG)
        with pytest.raises(DataError, match=r"'mps\.total' already; .* -r mps_again="):
            writer.add_inputs(inputs("a", **{"mps.total": 1.0}))


def test_unknown_columns_get_a_suggestion(tmp_path: Path) -> None:
    table = write(tmp_path, "a")
    with pytest.raises(ConfigError, match=r"did you mean 'mps\.total'"):
        table.read(["mps.totl"])
    with pytest.raises(ConfigError, match="did you mean 'mps'"):
        table.config("mpss")


@pytest.mark.parametrize("name", ["my-reward", "2nd", "", "a.b", "not"])
def test_reward_names_must_be_usable_in_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits and underscores"):
        check_reward_name(name)


def test_a_folder_without_a_table_or_with_other_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no score table"):
        ScoreTable(tmp_path).read()
    (tmp_path / "thesis.txt").write_text("mine")
    with (
        pytest.raises(DataError, match=r"already holds 'thesis\.txt'"),
        ScoreTable(tmp_path).writing(),
    ):
        pass


def test_two_tables_merge_like_one_pass(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", "ab"), write(tmp_path / "2", "bcd")
    write(tmp_path / "2", "bcd", "hps")
    one.merge(two)
    whole = write(tmp_path / "whole", "abcd")
    columns = ["key", "prompt", "mps.total", "mps.error"]
    assert one.read(columns).to_pylist() == whole.read(columns).to_pylist()
    assert one.arrays(["hps.error"])["hps.error"].tolist() == [PENDING, None, None, None]
    one.merge(two)
    assert len(one) == 4
    with pytest.raises(ConfigError, match="weights was"):
        one.merge(write(tmp_path / "3", "e", config={"weights": "other"}))


def test_a_merged_table_keeps_a_calibration_that_nobody_contradicts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = write(tmp_path / "1", "ab"), write(tmp_path / "2", "bc")
    here, there = (t.folder / "rewards" / "mps" / "calibration.json" for t in (one, two))
    there.write_text("a")
    for _ in range(2):  # it has none, then the same
        one.merge(two)
        assert here.read_text() == "a"
    assert caplog.text == ""
    there.write_text("b")
    one.merge(two)
    assert not here.exists()
    assert "differ, so the calibration of mps is left out" in caplog.text


def test_only_one_process_writes_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom beholder.errors import DataError\n"
        "from beholder.tables import ScoreTable\n"
        "try:\n    ScoreTable(sys.argv[1]).writing().__enter__()\n"
        "except DataError as error: print(error)"
    )
    with ScoreTable(tmp_path).writing():
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert "another process is writing" in other.stdout


def test_what_a_reward_scores_is_its_total_and_aspects() -> None:
    columns = [
        *("key", "seed", "hps.total", "mps.total", "mps.detail", "mps.detail.win", "mps.win"),
        *("mps.fidelity.area", "mps.fidelity.peak", "mps.misaligned_words"),
        *("mps.misaligned_share", "mps.error"),
    ]
    assert score_parts(columns, "mps") == ["total", "detail"]
    assert score_parts(columns, "hps") == ["total"]
