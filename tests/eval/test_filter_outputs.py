import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.filter_outputs import FOLDERS, PICTURES, write_pictures
from beholder.inputs import read_inputs
from tests.eval._outputs.rows_of import picture, table


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Six rows: two files, a member of a tar, a row of parquet, a file that is gone, a file."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [picture(folder / f"{k}.v1.png", 40 * k) for k in range(5)]
    with tarfile.open(folder / "set.tar", "w") as tar:
        tar.add(files[2], "sub/2.png")
    pq.write_table(pa.table({"image": [b"", files[3].read_bytes()]}), folder / "p.parquet")
    images = [
        *map(str, files[:2]),
        f"{folder / 'set.tar'}/sub/2.png",
        f"{folder / 'p.parquet'}#1",
        str(folder / "gone.png"),
        str(files[4]),
    ]
    keys = ["a.b.png", "a_b.png", "set.tar/sub/2.png", "p#1", "gone.png", "../x.png"]
    return table(images, keys)


@pytest.mark.parametrize("how", ["link", "copy"])
def test_files_archives_and_parquet_rows_become_files(
    kept: pa.Table, tmp_path: Path, how: str
) -> None:
    written = write_pictures([kept.slice(0, 0), kept.slice(0, 3), kept.slice(3)], tmp_path, how)
    assert written.places.to_pylist() == [
        "pictures/a.b.png",
        "pictures/a_b.png",
        "pictures/set.tar/sub/2.png",
        "pictures/p_1.png",
        None,
        "pictures/x.png",
    ]
    assert (dict(written.missing), written.files) == ({"missing": 1}, 5)
    origin = Path(kept["image"][0].as_py())
    assert (tmp_path / "pictures/a.b.png").samefile(origin) is (how == "link")
    second = origin.with_name("2.v1.png")
    assert (tmp_path / "pictures/set.tar/sub/2.png").read_bytes() == second.read_bytes()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it closes no file
def test_webdataset_reads_the_shards_with_keys_prompts_scores_and_bytes(
    kept: pa.Table, tmp_path: Path
) -> None:
    wds = pytest.importorskip("webdataset")
    written = write_pictures([kept], tmp_path, "webdataset", per_shard=3)
    assert written.places.to_pylist()[:2] == [
        "shards/000000.tar/a_b.png",
        "shards/000000.tar/a_b-2.png",
    ]
    shards = [str(path) for path in sorted((tmp_path / "shards").iterdir())]
    assert [Path(path).name for path in shards] == ["000000.tar", "000001.tar"]
    read = list(wds.WebDataset(shards, shardshuffle=False).decode())
    there = [k for k in range(6) if k != 4]
    assert [s["__key__"] for s in read[:2]] == ["a_b", "a_b-2"]
    assert [s["json"]["key"] for s in read] == [kept["key"][k].as_py() for k in there]
    assert [s["txt"] for s in read] == [f"prompt ö {k}" for k in there]
    assert [s["json"]["tiny.total"] for s in read] == [0, None, 2, 3, 5]
    origin = Path(kept["image"][0].as_py()).read_bytes()
    raw = list(wds.WebDataset(shards, shardshuffle=False))
    assert raw[0]["png"] == origin


def test_datasets_opens_the_parquet_files_as_pictures(kept: pa.Table, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    written = write_pictures([kept], tmp_path, "dataset", per_shard=3)
    assert written.places[5].as_py() == "dataset/data/train-00001-of-00002.parquet#1"
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset(str(tmp_path / "dataset"), split="train", cache_dir=cache)
    assert read["key"][:] == [k for k in kept["key"].to_pylist() if k != "gone.png"]
    assert read[3]["image"].getpixel((0, 0)) == (120, 120, 120)
    assert read.features["tiny.total"].dtype == "float32"
    assert read[0]["prompt"] == "prompt ö 0"


@pytest.mark.parametrize("how", ["webdataset", "dataset"])
def test_what_was_written_is_read_as_inputs_with_the_same_prompts(
    kept: pa.Table, tmp_path: Path, how: str
) -> None:
    write_pictures([kept], tmp_path, how)
    folder = tmp_path / FOLDERS[how]
    rows = list(read_inputs(folder if how == "webdataset" else folder / "data"))
    assert sorted(str(row.prompt) for row in rows) == [f"prompt ö {k}" for k in (0, 1, 2, 3, 5)]
    origin = Path(kept["image"][0].as_py()).read_bytes()
    assert origin in [row.image for row in rows]


def test_pictures_appear_when_all_are_written_and_nothing_stays_of_a_failed_run(
    kept: pa.Table, tmp_path: Path
) -> None:
    def parts() -> Iterator[pa.Table]:
        yield kept
        assert not (tmp_path / "shards").exists()
        raise DataError("the table ends")

    with pytest.raises(DataError, match="the table ends"):
        write_pictures(parts(), tmp_path, "webdataset")
    assert list(tmp_path.iterdir()) == []
    write_pictures([kept], tmp_path, "webdataset")
    with pytest.raises(DataError, match="exists; give a new folder"):
        write_pictures([kept], tmp_path, "webdataset")


def test_no_rows_are_no_pictures(tmp_path: Path) -> None:
    for how in FOLDERS:
        written = write_pictures([], tmp_path / how, how)
        assert (len(written.places), dict(written.missing)) == (0, {})


def test_unknown_forms_and_empty_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"one of {', '.join(PICTURES)}, got 'move'"):
        write_pictures([], tmp_path, "move")
    with pytest.raises(ConfigError, match="1 or more pictures, got 0"):
        write_pictures([], tmp_path, "copy", per_shard=0)
