"""Whatever holds pictures and prompts becomes the same rows."""

import json
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beholder.errors import DataError
from beholder.inputs import is_picture, read_inputs
from tests.archives import encoded as encoded_grey
from tests.archives import write_archive, write_tar, write_zip


def picture(path: Path, level: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(path)
    return path


def test_a_folder_is_read_in_order_without_sidecars_and_hidden_files(tmp_path: Path) -> None:
    for name in ["b.png", "a.jpg", "sub/a.png", "sub/deep/z.webp", ".hidden.png", ".git/x.png"]:
        picture(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"")
    (tmp_path / "notes.md").write_text("BM is not a picture")
    picture(tmp_path / "c.png").rename(tmp_path / "no-suffix")
    inputs = read_inputs(tmp_path)
    keys = ["a.jpg", "b.png", "broken.png", "no-suffix", "sub/a.png", "sub/deep/z.webp"]
    assert [row.key for row in inputs] == keys
    assert len(inputs) == 6
    assert next(iter(inputs)).name == str(tmp_path / "a.jpg")
    assert not inputs.has_prompts


def test_only_what_begins_like_a_picture_is_one(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("BMW and GIF and RIFF are words")
    assert not is_picture(tmp_path / "text")
    os.mkfifo(tmp_path / "pipe")
    assert not is_picture(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.png")
    assert is_picture(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert not is_picture(tmp_path / "folder.png")


def test_globs_and_single_pictures(tmp_path: Path) -> None:
    for name in ["x/a.png", "x/b.jpg", "y/a.png"]:
        picture(tmp_path / name)
    found = read_inputs(f"{tmp_path}/**/*.png")
    assert [row.key for row in found] == ["x/a.png", "y/a.png"]
    assert [row.key for row in read_inputs(tmp_path / "x" / "b.jpg")] == ["b.jpg"]


RECORDS = [
    {"file_name": "p/a.png", "Caption": "a fox", "model": "one"},
    {"file_name": "p/b.png", "Caption": "a, b", "model": "two"},
    {"file_name": "p/a.png", "Caption": "again", "model": "one"},
]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"manifest.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, RECORDS)) + "\n\n")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    else:
        mark = "," if kind == "csv" else "\t"
        lines = [mark.join(f'"{cell}"' for cell in r.values()) for r in RECORDS]
        path.write_text("\ufeff" + "\n".join([mark.join(RECORDS[0]), *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_manifests_give_the_same_rows(tmp_path: Path, kind: str) -> None:
    inputs = read_inputs(write(tmp_path, kind))
    rows = list(inputs)
    assert [row.key for row in rows] == ["p/a.png", "p/b.png", "p/a.png#2"]
    assert [row.prompt for row in rows] == ["a fox", "a, b", "again"]
    assert [row.name for row in rows][:2] == [str(tmp_path / "p/a.png"), str(tmp_path / "p/b.png")]
    assert [row.extra for row in rows] == [{"model": "one"}, {"model": "two"}, {"model": "one"}]
    assert len(inputs) == 3


def test_a_manifest_may_name_its_keys_and_lack_cells(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"key": 7, "image": null, "prompt": "x"}\n{"image": "a.png"}\n{"key": "k"}')
    rows = list(read_inputs(path))
    assert [row.key for row in rows] == ["7", "a.png", "k"]
    assert [row.image for row in rows] == [None, str(tmp_path / "a.png"), None]
    assert [row.prompt for row in rows] == ["x", None, None]


def encoded(folder: Path, level: int) -> bytes:
    return picture(folder / "temporary.png", level).read_bytes()


def test_data_sets_with_embedded_pictures(tmp_path: Path) -> None:
    cells = [{"bytes": encoded(tmp_path, k), "path": None} for k in (10, 20)]
    made = datasets.Dataset.from_dict(
        {"image": cells, "text": ["a", "b"], "seed": [1, 2]},
        features=datasets.Features(
            image=datasets.Image(), text=datasets.Value("string"), seed=datasets.Value("int64")
        ),
    )
    made.save_to_disk(tmp_path / "saved")
    (tmp_path / "files").mkdir()
    made.to_parquet(tmp_path / "files" / "train.parquet")
    for source in (made, tmp_path / "saved", tmp_path / "files", tmp_path / "files/train.parquet"):
        rows = list(read_inputs(source))
        assert [row.image for row in rows] == [cell["bytes"] for cell in cells]
        assert [row.key for row in rows] == ["row 0", "row 1"]
        assert [row.prompt for row in rows] == ["a", "b"]
        assert [row.extra for row in rows] == [{"seed": 1}, {"seed": 2}]
        assert rows[1].name.endswith("#1")


def test_sources_that_hold_nothing_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no picture in"):
        read_inputs(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_inputs(tmp_path / "nowhere")
    with pytest.raises(DataError, match="there is no picture in"):
        read_inputs(f"{tmp_path}/*.png")
    (tmp_path / "dataset_dict.json").write_text("{}")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds the splits train"):
        read_inputs(tmp_path)


def test_prompts_beside_a_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"prompts come from manifest\.csv itself"):
        read_inputs(write(tmp_path, "csv"), tmp_path / "p.txt")


def test_a_name_that_is_not_unicode_is_a_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"")
    assert [row.key for row in read_inputs(tmp_path)] == ["a.png", "\udcff.png"]


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_an_archive_gives_the_rows_of_its_folder(tmp_path: Path, kind: str) -> None:
    for name in ["b.png", "a.png", "sub/a.png"]:
        picture(tmp_path / "folder" / name)
        (tmp_path / "folder" / name).with_suffix(".txt").write_text(f"prompt of {name}")
    files = {
        path.relative_to(tmp_path / "folder").as_posix(): path.read_bytes()
        for path in (tmp_path / "folder").rglob("*.*")
    }
    packed = read_inputs(write_archive(tmp_path / f"x{kind}", files))
    plain = list(read_inputs(tmp_path / "folder"))
    assert [(r.key, r.prompt) for r in packed] == [(r.key, r.prompt) for r in plain]
    assert [r.image for r in packed] == [Path(r.name).read_bytes() for r in plain]
    assert next(iter(packed)).name == f"{tmp_path}/x{kind}/a.png"
    assert packed.has_prompts
    assert len(packed) == 3
    assert packed.source == f"x{kind}"


def test_several_archives_are_one_source(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"s-{number:03}.tar", {"0.jpg": encoded_grey(), "1.jpg": b"broken"})
    keys = ["s-000.tar/0.jpg", "s-000.tar/1.jpg", "s-001.tar/0.jpg", "s-001.tar/1.jpg"]
    assert [r.key for r in read_inputs(f"{tmp_path}/s-{{000..001}}.tar")] == keys
    names = [f"{tmp_path}/{key}" for key in keys]
    assert [r.name for r in read_inputs(f"{tmp_path}/s-00[01].tar")] == names
    assert len(read_inputs(tmp_path)) == 6
    (tmp_path / "deep").mkdir()
    write_zip(tmp_path / "deep/a.zip", {"0.jpg": encoded_grey()})
    assert [r.key for r in read_inputs(f"{tmp_path}/**/*.zip")] == ["0.jpg"]
    assert next(iter(read_inputs(tmp_path))).key == "deep/a.zip/0.jpg"


def test_prompts_may_be_given_for_an_archive(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"x/1.png": encoded_grey(), "x/2.png": encoded_grey()})
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    (tmp_path / "names.json").write_text('{"2.png": "two", "x/1.png": "one"}')
    for prompts in ("lines.txt", "names.json"):
        inputs = read_inputs(path, tmp_path / prompts)
        assert [row.prompt for row in inputs] == ["one", "two"]
        assert inputs.has_prompts
    assert not read_inputs(path).has_prompts


def test_arrays_are_rows_with_their_labels(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.savez(tmp_path / "samples.npz", images, np.array([7, 9]))
    rows = list(read_inputs(tmp_path / "samples.npz"))
    assert [row.key for row in rows] == ["row 0", "row 1"]
    assert [row.name for row in rows] == [f"{tmp_path}/samples.npz/row {k}" for k in range(2)]
    assert [row.extra for row in rows] == [{"label": 7}, {"label": 9}]
    np.testing.assert_array_equal(np.stack([row.image for row in rows]), images)  # type: ignore[misc]


def test_archives_without_pictures_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no picture in a\.zip"):
        read_inputs(write_zip(tmp_path / "a.zip", {"a.txt": b"x"}))
    with pytest.raises(DataError, match="does not exist"):
        read_inputs(tmp_path / "b.zip")
    with pytest.raises(DataError, match="there is no"):
        read_inputs(f"{tmp_path}/b-*.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DataError, match=r"pipe\.zip is no regular file"):
        read_inputs(tmp_path / "pipe.zip")
