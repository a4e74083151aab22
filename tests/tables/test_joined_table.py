"""Tables side by side: scores are found by key, and what is not there says so."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._run_folder import Run, RunFolder, Shard, footer
from beholder._tables import joined_table
from beholder._tables.sharded_table import note_columns
from beholder.errors import ConfigError, DataError
from beholder.storage import Place
from beholder.tables import PENDING, ScoreTable
from tests.sharded_runs import rows, write_run

WANTED = ["key", "mps.total", "hps.total", "hps.error"]


def appended(folder: Path, keys: str, reward: str) -> ScoreTable:
    table = ScoreTable(folder)
    with table.writing() as writer:
        writer.claim(reward, {})
        writer.add_inputs([{"key": k, "image": k, "prompt": k} for k in keys])
        numbers = [10.0 * (ord(k) - 96) for k in keys]
        columns: dict[str, list[Any]] = {
            "key": list(keys),
            f"{reward}.total": numbers,
            f"{reward}.error": [None] * len(keys),
        }
        writer.add_scores(reward, columns)
    return table


def hps(keys: str) -> pa.Table:
    part = rows(keys, "hps")
    doubled = pa.array([10.0 * x for x in part["hps.total"].to_pylist()], pa.float32())
    return part.set_column(part.column_names.index("hps.total"), "hps.total", doubled)


def read(folder: Path, other: Path) -> list[tuple[object, ...]]:
    table = ScoreTable(folder, also=[other]).read(WANTED)
    return list(zip(*table.to_pydict().values(), strict=True))


EXPECTED = [("a", 1, 10, None), ("b", 2, 20, None), ("c", 3, 30, None), ("d", 4, None, PENDING)]


def test_runs_of_the_same_plan_are_joined_shard_by_shard(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("ab"), "s-1": rows("c"), "s-2": rows("d")})
    write_run(tmp_path / "2", {"s-0": hps("ab"), "s-1": hps("c"), "s-2": None}, ["hps"])
    assert read(tmp_path / "1", tmp_path / "2") == EXPECTED


def test_rows_of_a_shard_in_another_order_are_found_by_key(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("abcd")})
    write_run(tmp_path / "2", {"s-0": hps("cxba")}, ["hps"])
    assert read(tmp_path / "1", tmp_path / "2") == EXPECTED


def test_runs_of_other_plans_are_joined_in_memory(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("ab"), "s-1": rows("cd")})
    write_run(tmp_path / "2", {"t-0": hps("ca"), "t-1": hps("bz")}, ["hps"])
    assert read(tmp_path / "1", tmp_path / "2") == EXPECTED


def test_a_run_and_a_table_that_grew_row_by_row_join_either_way(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("ab"), "s-1": rows("cd")})
    appended(tmp_path / "2", "cab", "hps")
    assert read(tmp_path / "1", tmp_path / "2") == EXPECTED
    turned = ScoreTable(tmp_path / "2", also=[tmp_path / "1"])
    assert turned.read(["key", "mps.total"])["mps.total"].to_pylist() == [3, 1, 2]


def test_the_rewards_of_all_tables_are_there_and_the_rows_of_the_first(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("ab")})
    appended(tmp_path / "2", "abc", "hps")
    appended(tmp_path / "3", "b", "clip")
    table = ScoreTable(tmp_path / "1", also=[tmp_path / "2", tmp_path / "3"])
    assert table.rewards == ["clip", "hps", "mps"]
    assert table.columns[3:] == [
        f"{name}.{part}" for name in ("mps", "hps", "clip") for part in ("total", "error")
    ]
    assert len(table) == 2
    assert table.error_counts() == {"clip": {"pending": 1}, "hps": {}, "mps": {}}
    assert table.config("hps") == {}
    assert table.calibration("hps").path == str(tmp_path / "2/rewards/hps/calibration.json")


def test_tables_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "1", {"s-0": rows("a")})
    write_run(tmp_path / "2", {"s-0": rows("a")})
    with pytest.raises(ConfigError, match="hold scores of 'mps'"):
        _ = ScoreTable(tmp_path / "1", also=[tmp_path / "2"]).columns
    write_run(tmp_path / "3", {"t-0": hps("aa")}, ["hps"])
    with pytest.raises(DataError, match="'a' occurs more than once"):
        read(tmp_path / "1", tmp_path / "3")
    with pytest.raises(ConfigError, match=r"did you mean 'hps\.total'"):
        ScoreTable(tmp_path / "1", also=[tmp_path / "3"]).read(["hps.totl"])


def listed(folder: Path, lists: str, sizes: list[int], reward: str) -> None:
    """A run of lists of so many of the rows, whose names tell nothing of what they hold."""
    run_folder, said = RunFolder(Place(folder)), Run(source="/data", rewards={reward: {}})
    run_folder.write_run(said)
    keys, plan = list(lists), []
    for number, size in enumerate(sizes):
        some, keys = "".join(keys[:size]), keys[size:]
        shard = Shard(
            name=f"part-{number:07d}", kind="list", source=f"{folder}/l{number}", mark=some
        )
        plan.append(shard)
        table = rows(some, reward).replace_schema_metadata(
            {b"beholder": footer(shard, said, len(some), {})}
        )
        note_columns(run_folder, table)
        pq.write_table(table, folder / f"{shard.name}.parquet")
    run_folder.write_plan(plan)


def test_lists_of_other_sizes_are_joined_by_key_and_of_the_same_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(tmp_path / "1", "abcd", [2, 2], "mps")
    listed(tmp_path / "2", "abcd", [3, 1], "hps")
    listed(tmp_path / "3", "abcd", [2, 2], "hps")
    joined = ScoreTable(tmp_path / "1", also=[tmp_path / "2"]).read(WANTED)
    assert joined["hps.total"].to_pylist() == [1, 2, 3, 4]
    assert joined["hps.error"].null_count == 4, "none is pending"
    monkeypatch.setattr(joined_table, "_Held", None)
    in_step = ScoreTable(tmp_path / "1", also=[tmp_path / "3"]).read(WANTED)
    assert in_step["hps.total"].to_pylist() == [1, 2, 3, 4]
