"""Tables, data sets and archives of strangers: nothing in them runs, or leads elsewhere."""

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import DataError, ImageError
from beholder.inputs import read_inputs
from beholder.prompt_sets._files import file_rows
from beholder.tables import ScoreTable
from tests.archives import encoded
from tests.security.test_folders import Canary


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path)


def test_pickles_in_columns_and_in_what_columns_say_of_themselves_stay_bytes(
    tmp_path: Path, canary: Canary
) -> None:
    evil = pickle.dumps(canary)
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": evil,
    }
    fields = [
        pa.field("image", pa.string()),
        pa.field("prompt", pa.string(), metadata=extension),
        pa.field("more", pa.binary(), metadata={b"ARROW:extension:name": b"evil"}),
    ]
    of_pandas = {"columns": [{"name": "more", "numpy_type": "object", "pandas_type": "object"}]}
    features = {"info": {"features": {"image": {"_type": "__import__"}}}}
    told = {b"pandas": json.dumps(of_pandas).encode(), b"huggingface": json.dumps(features)}
    table = pa.table([["a.png"], ["x"], [evil]], schema=pa.schema(fields, metadata=told))
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read_inputs(tmp_path / "a.parquet")
    assert (row.prompt, row.extra) == ("x", {})
    assert [each.prompt for each in file_rows(str(tmp_path / "a.parquet"))] == ["x"]
    assert not canary.path.exists()
    pickle.loads(evil)
    assert canary.path.exists(), "the payload is live"


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path, canary: Canary) -> None:
    objects = np.array([canary], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=objects)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(DataError):
            list(read_inputs(tmp_path / name))
    assert not canary.path.exists()


def test_a_data_set_brings_no_script(
    tmp_path: Path, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` ran NAME/NAME.py before its release 4, which is the oldest that is installed."""
    assert int(datasets.__version__.partition(".")[0]) >= 4
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "user" / "evil"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(canary.source)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: evil\n  data_files: evil.py\n---"
    )
    for ask in (lambda: list(read_inputs(folder)), lambda: list(file_rows("user/evil"))):
        with pytest.raises(DataError):
            ask()
    assert not canary.path.exists()


def test_a_table_of_scores_holds_no_code(tmp_path: Path, canary: Canary) -> None:
    table = ScoreTable(tmp_path / "scores")
    with table.writing() as writer:
        writer.add_inputs([{"key": "a", "image": "a.png", "prompt": "x"}])
    for path in (tmp_path / "scores").rglob("*"):
        if path.is_file():
            path.write_bytes(pickle.dumps(canary))
    with pytest.raises(DataError):
        list(ScoreTable(tmp_path / "scores").rows())
    assert not canary.path.exists()


def test_nothing_of_an_archive_reaches_the_disk_or_another_file(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(encoded(9))
    names = ["../up.png", "/abs.png", "a/../../up2.png", "C:\\win.png", "ok.png", "x\x1b[2J.png"]
    with zipfile.ZipFile(inside / "a.zip", "w") as packed:
        for name in names:
            packed.writestr(name, encoded())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "../secret.png")
    with tarfile.open(inside / "b.tar", "w") as packed_tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(encoded()), 0o4777
            packed_tar.addfile(member, io.BytesIO(encoded()))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE):
            member = tarfile.TarInfo(f"odd-{kind!r}.png")
            member.type, member.linkname = kind, "../secret.png"
            packed_tar.addfile(member)
    before = sorted(tmp_path.rglob("*"))
    for name in ("a.zip", "b.tar"):
        rows = list(read_inputs(inside / name))
        good = [row for row in rows if row.image == encoded()]
        assert len(good) == len(names)
        assert all(isinstance(r.image, (ImageError, bytes)) for r in rows)
        assert encoded(9) not in [row.image for row in rows]
        assert not [row.key for row in rows if ".." in row.key.split("/")]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_whose_members_lie_over_one_another_is_no_bomb(tmp_path: Path) -> None:
    """1,000 names for one member of a megabyte: the others are not what their names say."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0.png", bytes(2**20))
        first = packed.filelist[0]
        for k in range(1, 1000):
            again = zipfile.ZipInfo(f"{k}.png")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(again, name, getattr(first, name))
            packed.filelist.append(again)
    rows = list(read_inputs(tmp_path / "a.zip"))
    assert len(rows) == 1000
    assert sum(isinstance(row.image, bytes) for row in rows) == 1


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"image": ' * 100_000, '{"image": "a", "n": ' + "9" * 100_000 + "}", "\x00"],
)
def test_json_lines_of_any_depth_and_length_are_data_or_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    try:
        assert [row.key for row in read_inputs(tmp_path / "a.jsonl")] == ["a"]
    except DataError as error:
        assert "line 1" in str(error)
