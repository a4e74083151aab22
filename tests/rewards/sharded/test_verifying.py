"""What was lost, repeated, damaged or changed is found, and by its name."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._plan.reading import shard_rows
from beholder._run_folder import RunFolder, Shard
from beholder.errors import DataError
from beholder.rewards.sharded import attempts, verifying
from beholder.rewards.sharded.verifying import verify
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place
from tests.archives import encoded, write_tar
from tests.rewards.sharded.hostile import DEADLY, job, write_pictures


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of two rows, `05.png` empty."""
    folder = tmp_path_factory.mktemp("verify")
    source = write_pictures(folder / "p", [10, 20, 30, 40, 50, 60])
    (source / "05.png").write_bytes(b"")
    work = job(source, folder / "out")
    worker = Worker(work.spec)
    for shard in work.open(worker.run):
        work.done(worker.score(shard))
    work.close()
    return folder / "out"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def test_a_whole_run_is_sound(run: Path) -> None:
    calls: list[int] = []
    found = verify(run, progress=calls.append)
    assert found.is_sound
    assert (found.shards, found.rows, sum(calls)) == (3, 6, 3)
    assert found.errors == {"r": {"empty": 1}}
    assert found.as_dict()["sound"] is True


def test_a_missing_shard_and_one_given_up_are_named(run: Path) -> None:
    (run / "part-0000001.parquet").unlink()
    attempts.give_up(RunFolder(Place(run)), "part-0000001", "cut off")
    (run / "part-0000009.parquet").write_bytes(b"")
    found = verify(run)
    assert not found.is_sound
    assert found.missing == ["part-0000001"]
    assert found.failed == {"part-0000001": "cut off"}
    assert found.strange == ["part-0000009"]
    assert found.rows == 4


def with_column(name: str, values: list[object], kind: pa.DataType) -> Callable[..., pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        return table.set_column(at, name, pa.array(values, kind))

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.slice(0, 1), "1 rows, but its footer says 2"),
        (with_column("key", ["00.png"] * 2, pa.string()), "key '00.png' twice"),
        (with_column("r.total", [None, 0.5], pa.float32()), "neither a finite r.total nor"),
        (with_column("r.error", ["x: y", None], pa.string()), "neither a finite r.total nor"),
        (lambda t: t.drop_columns(["r.error"]), "no column r.error"),
    ],
)
def test_a_file_whose_rows_are_not_what_was_promised(
    run: Path, change: Callable[[pa.Table], pa.Table], why: str
) -> None:
    rewrite(run / "part-0000000.parquet", change)
    found = verify(run)
    assert list(found.faults) == ["part-0000000"]
    assert why in found.faults["part-0000000"]
    assert not found.is_sound


def test_a_footer_that_counts_other_errors(run: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        return with_column("r.error", [None, "truncated: x"], pa.string())(table)

    rewrite(run / "part-0000002.parquet", change)
    assert "counts other errors" in verify(run).faults["part-0000002"]


def test_damage_and_other_configurations_are_told(run: Path) -> None:
    path = run / "part-0000000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    shutil.copy(run / "part-0000002.parquet", run / "part-0000001.parquet")
    found = verify(run)
    assert "damaged" in found.faults["part-0000000"]
    assert "of another input or configuration" in found.faults["part-0000001"]


def test_inputs_are_counted_in_their_source(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = shard_rows

    def longer(shard: Shard) -> list[object]:
        return [*read(shard), None] if shard.name == "part-0000001" else list(read(shard))

    monkeypatch.setattr(verifying, "shard_rows", longer)
    assert "has 3 inputs" in verify(run).faults["part-0000001"]
    assert verify(run, count_sources=False).is_sound


def test_a_key_of_two_shards_is_found(run: Path) -> None:
    rewrite(run / "part-0000001.parquet", with_column("key", ["00.png", "03.png"], pa.string()))
    found = verify(run)
    assert found.repeated == ["00.png"]
    assert not found.is_sound


def test_a_remote_source_is_not_fetched_unless_its_rows_are_to_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": encoded(1), "1.txt": b"a"})
    source = Place("memory://verify-remote/a.tar")
    source.write((tmp_path / "a.tar").read_bytes())
    work = job(Path("x"), tmp_path / "out", DEADLY)
    work.spec = replace(work.spec, source=source.absolute)
    worker = Worker(work.spec)
    for shard in work.open(worker.run):
        work.done(worker.score(shard))
    fetched: list[Shard] = []

    def counted(shard: Shard) -> object:
        fetched.append(shard)
        return shard_rows(shard)

    monkeypatch.setattr(verifying, "shard_rows", counted)
    assert verify(tmp_path / "out").is_sound
    assert fetched == []
    assert verify(tmp_path / "out", count_sources=True).is_sound
    assert len(fetched) == 1
    source.write(b"other")
    assert "has changed" in verify(tmp_path / "out").faults["a"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sharded run"):
        verify(tmp_path)
