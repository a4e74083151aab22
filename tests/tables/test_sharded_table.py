"""The folder of a run that scores shard by shard reads as one table, whatever each shard has."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import ConfigError, DataError
from beholder.storage import Place
from beholder.tables import ScoreTable
from tests.sharded_runs import CONFIG, rows, write_run


def mixed(folder: Path, *, noted: bool) -> ScoreTable:
    """Shards whose further columns are absent, empty, or of another type in some."""
    shards = {
        "s-1": rows("ab", seed=[1.0, 2.0], note=pa.nulls(2, pa.string())),
        "s-0": rows("c", tag=["x"], seed=["many"]),
        "s-2": rows("de", note=[True, False], tag=pa.nulls(2, pa.string())),
    }
    return write_run(folder, shards, noted=noted)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "from footers"])
def test_columns_of_any_shard_are_there_and_null_elsewhere(tmp_path: Path, noted: bool) -> None:
    table = mixed(tmp_path, noted=noted)
    assert table.columns == [
        *("key", "image", "prompt", "seed", "note", "tag"), "mps.total", "mps.error",
    ]  # fmt: skip
    read = table.read()
    assert read["key"].to_pylist() == ["a", "b", "c", "d", "e"]  # in the order of the plan
    assert read["seed"].to_pylist() == ["1", "2", "many", None, None]
    assert read["tag"].to_pylist() == [None, None, "x", None, None]
    assert read["note"].to_pylist() == [None, None, None, True, False]
    assert read["note"].type == pa.bool_()
    assert read["mps.total"].type == pa.float32()
    assert list(table.rows(["key"]))[3] == {"key": "d"}
    assert table.arrays(["mps.total"])["mps.total"].tolist() == [1, 2, 3, 4, 5]


def test_every_part_has_the_same_columns_and_types(tmp_path: Path) -> None:
    parts = list(mixed(tmp_path, noted=True).parts(["tag", "key"]))
    assert [part["key"].to_pylist() for part in parts] == [["a", "b"], ["c"], ["d", "e"]]
    assert {str(part.schema) for part in parts} == {"tag: string\nkey: string"}


def test_columns_that_a_first_and_a_last_shard_lack_are_not_lost(tmp_path: Path) -> None:
    shards = {f"s-{k}": rows("abcdefghi"[k]) for k in range(9)}
    shards["s-4"] = rows("e", seed=[0.5])
    assert "seed" in write_run(tmp_path / "1", shards).columns
    assert "seed" in write_run(tmp_path / "2", shards, noted=False).columns


def test_shards_that_are_not_there_yet_are_counted_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write_run(tmp_path, {"s-0": rows("ab"), "s-1": None, "s-2": rows("c")})
    with caplog.at_level(logging.WARNING):
        assert table.read(["key"])["key"].to_pylist() == ["a", "b", "c"]
        assert len(table) == 3
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path}: 1 of 3 shards are not scored yet; their rows are left out"
    ]
    nothing = write_run(tmp_path / "nothing", {"s-0": None})
    with pytest.raises(DataError, match="no scored shard yet"):
        nothing.read()


def test_the_number_of_rows_is_the_plans_or_is_counted(tmp_path: Path) -> None:
    shards = {"s-0": rows("ab"), "s-1": rows("c")}
    assert len(write_run(tmp_path / "1", shards, counted=True)) == 3
    assert len(write_run(tmp_path / "2", shards)) == 3


def test_rewards_and_their_configuration_are_the_runs(tmp_path: Path) -> None:
    table = write_run(tmp_path, {"s-0": rows("a")})
    assert (table.rewards, table.config("mps")) == (["mps"], CONFIG)
    with pytest.raises(ConfigError, match="did you mean 'mps'"):
        table.config("mp")
    assert table.calibration("mps").path == f"{tmp_path}/_run/rewards/mps/calibration.json"


def test_errors_are_counted_by_code(tmp_path: Path) -> None:
    part = rows("abc").drop_columns(["mps.error"])
    part = part.append_column("mps.error", pa.array(["cut: x", None, "cut: y"]))
    assert write_run(tmp_path, {"s-0": part}).error_counts() == {"mps": {"cut": 2}}


def test_unknown_columns_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'mps\.total'"):
        write_run(tmp_path, {"s-0": rows("a")}).read(["mps.totl"])


def test_a_damaged_or_foreign_shard_is_named(tmp_path: Path) -> None:
    table = write_run(tmp_path, {"s-0": rows("a"), "s-1": rows("b")})
    pq.write_table(rows("b"), tmp_path / "s-1.parquet")
    with pytest.raises(DataError, match=r"s-1\.parquet is of other inputs or rewards"):
        table.read()
    (tmp_path / "s-1.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"s-1\.parquet is damaged"):
        ScoreTable(tmp_path).read()


def test_a_column_that_no_note_names_is_an_error_not_a_loss(tmp_path: Path) -> None:
    table = write_run(tmp_path, {"s-0": rows("a"), "s-1": rows("b", seed=[1.0])})
    notes = sorted((tmp_path / "_run" / "columns").iterdir())
    next(note for note in notes if "seed" in note.read_text()).unlink()
    with pytest.raises(DataError, match="has the column 'seed', which no note names"):
        table.read()


def test_shards_of_the_same_columns_share_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, {f"s-{k}": rows("abcde"[k]) for k in range(5)})
    assert len(list((tmp_path / "_run" / "columns").iterdir())) == 1


def test_a_run_is_not_written_like_a_table(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"s-0": rows("a")})
    with pytest.raises(DataError, match="cannot grow row by row"), run.writing():
        pass
    with pytest.raises(DataError, match="cannot be merged; read it beside"):
        ScoreTable(tmp_path / "other").merge(run)


def test_a_run_is_read_from_an_address(tmp_path: Path) -> None:
    import fsspec

    write_run(tmp_path / "run", {"s-0": rows("ab")})
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "run"), "/sharded-table", recursive=True)
    try:
        table = ScoreTable("memory://sharded-table")
        assert table.read(["key", "mps.total"]).to_pydict() == {
            "key": ["a", "b"], "mps.total": [1, 2],
        }  # fmt: skip
    finally:
        memory.rm("/sharded-table", recursive=True)


def test_a_shard_that_appears_while_a_table_is_opened_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process notes the columns of a shard, then writes it, between two looks."""
    table = write_run(tmp_path, {"s-0": rows("a"), "s-1": rows("b", seed=[1.0])})
    note = next(p for p in (tmp_path / "_run/columns").iterdir() if "seed" in p.read_text())
    text, names = note.read_text(), Place.names
    note.unlink()
    (tmp_path / "s-1.parquet").rename(tmp_path / "aside")

    def later(place: Place) -> Iterator[str]:
        found = list(names(place))
        note.write_text(text)
        if (tmp_path / "aside").exists():
            (tmp_path / "aside").rename(tmp_path / "s-1.parquet")
        return iter(found)

    monkeypatch.setattr(Place, "names", later)
    assert table.read()["key"].to_pylist() == ["a"]
    assert ScoreTable(tmp_path).read()["seed"].to_pylist() == [None, 1.0]


def test_new_columns_of_a_shard_that_was_scored_again_wait_for_the_next_reader(
    tmp_path: Path,
) -> None:
    table = write_run(tmp_path, {"s-0": rows("a"), "s-1": rows("b")})
    assert "seed" not in table.columns
    write_run(tmp_path, {"s-0": rows("a"), "s-1": rows("b", seed=[1.0])})
    assert table.read()["key"].to_pylist() == ["a", "b"]
    assert ScoreTable(tmp_path).read()["seed"].to_pylist() == [None, 1.0]
