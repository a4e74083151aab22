import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from typing_extensions import override

from beholder._run_folder import RUN, Run, RunFolder, Shard, footer
from beholder.errors import ConfigError, DataError
from beholder.eval import exporting
from beholder.eval.exporting import export_table
from beholder.storage import Place
from beholder.tables import ScoreTable

pd = pytest.importorskip("pandas")  # comes with datasets

PROMPTS = ['say "hi",\nthen go', "", "größer 狐", "=1+1", None]
TOTALS = [0.1, None, -3.5, 1e-8, 2.0]
WHYS = [None, "truncated: cut, off", None, None, None]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ScoreTable:
    """Five pictures in two shards; the second has a column more, and one is all empty."""
    made = ScoreTable(tmp_path_factory.mktemp("scores"))
    rows = [
        {"key": f"k{k}", "image": f"/p/{k}.png", "prompt": prompt, "seed": k, "note": None}
        for k, prompt in enumerate(PROMPTS)
    ]
    with made.writing() as writer:
        writer.claim("mps", {"weights": "abc"})
        writer.add_inputs(rows[:3])
        writer.add_inputs([{**row, "tags": ["a", "b"]} for row in rows[3:]])
        keys = [row["key"] for row in rows]
        writer.add_scores("mps", {"key": keys, "mps.total": TOTALS, "mps.error": WHYS})
    return made


def expected(table: ScoreTable) -> list[dict[str, Any]]:
    return list(table.rows())


def as_read(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with None for NaN and float32 for totals, as every reader says them in the end."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in rows]


def by_pandas(path: Path) -> list[dict[str, Any]]:
    frame = (
        pd.read_parquet(path)
        if path.suffix != ".jsonl"
        else pd.read_json(path, lines=True, precise_float=True)
    )
    return as_read(frame.astype(object).where(frame.notna(), None).to_dict("records"))


def by_datasets(folder: Path, kind: str, files: str | None = None) -> list[dict[str, Any]]:
    from datasets import load_dataset

    found = load_dataset(kind, data_files=files, split="train", cache_dir=str(folder / "cache"))
    return as_read(list(found))


def test_parquet_reads_back_alike_by_pandas_polars_and_datasets(
    table: ScoreTable, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    made = export_table(table, path)
    assert (made.rows, made.files, list(made.columns)) == (5, 1, table.columns)
    rows = expected(table)
    assert by_pandas(path) == rows
    assert pl.read_parquet(path).to_dicts() == rows
    assert by_datasets(tmp_path, "parquet", str(path)) == rows
    schema = pq.read_schema(path)
    assert schema.field("note").type == pa.string()
    assert schema.field("mps.total").type == pa.float32()
    assert schema.field("seed").type == pa.int64()
    assert not schema.metadata


def test_json_lines_read_back_alike_by_pandas_polars_and_datasets(
    table: ScoreTable, tmp_path: Path
) -> None:
    path = tmp_path / "table.jsonl"
    export_table(table, path)
    rows = expected(table)
    assert by_pandas(path) == rows
    assert pl.read_ndjson(path).to_dicts() == rows
    assert by_datasets(tmp_path, "json", str(path)) == rows


def test_csv_reads_back_with_texts_of_any_kind(table: ScoreTable, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    export_table(table, path)
    rows = expected(table)
    found = pl.read_csv(path).to_dicts()
    assert [row["prompt"] for row in found] == PROMPTS
    assert [row["mps.error"] for row in found] == WHYS
    totals = pd.read_csv(path)["mps.total"].astype("float32").tolist()
    theirs = [math.nan if row["mps.total"] is None else row["mps.total"] for row in rows]
    assert totals == pytest.approx(theirs, rel=1e-7, nan_ok=True)


def test_a_folder_gets_shards_of_so_many_rows_in_order(table: ScoreTable, tmp_path: Path) -> None:
    seen: list[int] = []
    made = export_table(table, tmp_path / "out", shard_rows=2, progress=seen.append)
    names = [f"part-{k:05d}.parquet" for k in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert [pq.read_metadata(tmp_path / "out" / name).num_rows for name in names] == [2, 2, 1]
    assert (made.rows, made.files, sum(seen)) == (5, 3, 5)
    rows = expected(table)
    assert by_pandas(tmp_path / "out") == rows
    assert pl.read_parquet(tmp_path / "out").to_dicts() == rows
    assert by_datasets(tmp_path, "parquet", str(tmp_path / "out" / "*.parquet")) == rows


def test_chosen_columns_come_in_the_order_asked(table: ScoreTable, tmp_path: Path) -> None:
    made = export_table(table, tmp_path / "few.parquet", ["mps.total", "key"])
    assert made.as_dict()["columns"] == ["mps.total", "key"]
    assert pl.read_parquet(tmp_path / "few.parquet").columns == ["mps.total", "key"]
    with pytest.raises(ConfigError, match=r"no column named 'mps.totl'; did you mean"):
        export_table(table, tmp_path / "none.parquet", ["mps.totl"])


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    table: ScoreTable, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.xlsx; give \.parquet, \.csv"):
        export_table(table, tmp_path / "table.xlsx")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        export_table(table, tmp_path / "full")
    with pytest.raises(DataError, match="holds no score table"):
        export_table(ScoreTable(tmp_path / "none"), tmp_path / "table.csv")
    assert not (tmp_path / "table.csv").exists()


class Long(ScoreTable):
    """A table of many small parts, of which the last fails if asked."""

    def __init__(self, count: int, *, fails: bool = False) -> None:
        super().__init__("nowhere")
        self._count, self._fails = count, fails

    @override
    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for k in range(self._count):
            if self._fails and k == self._count - 1:
                raise DataError("a shard is damaged")
            yield pa.table({"key": [f"{k}"] * 10, "mps.total": pa.array([0.5] * 10, pa.float32())})


def test_small_parts_share_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 45)
    export_table(Long(12), tmp_path / "table.parquet")
    told = pq.read_metadata(tmp_path / "table.parquet")
    assert [told.row_group(k).num_rows for k in range(told.num_row_groups)] == [40, 40, 40]


def test_a_table_that_ends_in_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text("old")
    with pytest.raises(DataError, match="a shard is damaged"):
        export_table(Long(3, fails=True), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.jsonl"]


def test_an_address_gets_the_same_bytes(table: ScoreTable, tmp_path: Path) -> None:
    export_table(table, tmp_path / "table.jsonl")
    export_table(table, "memory://exports/table.jsonl")
    place = Place("memory://exports/table.jsonl")
    assert place.system.cat_file(place.path) == (tmp_path / "table.jsonl").read_bytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that scores shard by shard: two finished shards of the same columns."""
    folder = tmp_path_factory.mktemp("run")
    place = RunFolder(Place(folder))
    said = Run(source="tars", rewards={"mps": {"weights": "abc"}})
    shards = [Shard(name=name, kind="archive", source=f"/t/{name}.tar") for name in ("a", "b")]
    place.write_run(said)
    place.write_plan(shards)
    (place.place / RUN / "ledger" / "1.jsonl").write(b'{"shard": "a"}\n')
    for shard in shards:
        rows = {
            "key": [f"{shard.name}/{k}" for k in range(3)],
            "image": [f"/t/{shard.name}.tar/{k}" for k in range(3)],
            "prompt": ["a fox", "", None],
            "size": [1.0, 2.0, None],
            "mps.total": pa.array([0.25, None, -1.5], pa.float32()),
            "mps.error": pa.array([None, "truncated: cut", None], pa.string()),
        }
        mark = {b"beholder": footer(shard, said, 3, {"mps": {"truncated": 1}})}
        pq.write_table(
            pa.table(rows).replace_schema_metadata(mark), folder / f"{shard.name}.parquet"
        )
    return folder


def test_the_folder_of_a_run_is_one_data_set_to_each_reader(run: Path, tmp_path: Path) -> None:
    rows = expected(ScoreTable(run))
    assert len(rows) == 6
    assert ds.dataset(run).to_table().to_pylist() == rows
    assert by_pandas(run) == rows
    assert pl.read_parquet(run / "*.parquet").to_dicts() == rows
    assert by_datasets(tmp_path, str(run)) == rows


def test_a_run_is_exported_as_a_table_is(run: Path, tmp_path: Path) -> None:
    export_table(ScoreTable(run), tmp_path / "table.parquet")
    assert pl.read_parquet(tmp_path / "table.parquet").to_dicts() == expected(ScoreTable(run))


@pytest.mark.parametrize("scheme", ["memory", "dummy"])
def test_a_remote_table_that_ends_in_an_error_is_not_there(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "STORES", {"memory"} if scheme == "memory" else set())
    place = Place(f"memory://half-{scheme}/table.jsonl")
    with pytest.raises(DataError, match="a shard is damaged"):
        export_table(Long(3, fails=True), place.address)
    assert not place.exists()
    export_table(Long(3), place.address)
    assert len(place.read().splitlines()) == 30
    assert list(Place(f"memory://half-{scheme}").names()) == ["table.jsonl"]
