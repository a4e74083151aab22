"""Small sources of every kind, each of which is planned, and read as a whole."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.archives import encoded, write_tar, write_zip


def pictures(folder: Path) -> str:
    """Nine files, some with prompts, in folders, with names that are no text."""
    (folder / "in/sub").mkdir(parents=True)
    for name in ["b.png", "a.png", "c.png", "sub/a.png", "sub/b.png", "sub/é.png", "Z.jpg"]:
        (folder / "in" / name).write_bytes(encoded(9))
    (folder / "in/a.txt").write_bytes(b"a fox \xff")
    (folder / "in" / os.fsdecode(b"odd\xff.png")).write_bytes(b"broken")
    (folder / "in/notes.md").write_text("no picture")
    return str(folder / "in")


def pattern(folder: Path) -> str:
    """The same by a pattern."""
    return f"{pictures(folder)}/**/*.png"


def tars(folder: Path) -> str:
    """Three tars with prompts, further columns, repeated names and a link."""
    (folder / "in/deep").mkdir(parents=True)
    for name in ["s-0.tar", "s-1.tar", "deep/s-0.tar"]:
        files = {"0.jpg": encoded(1), "0.txt": b"zero", "x/1.png": encoded(2), "./0.jpg": b"again"}
        write_tar(folder / "in" / name, files | {"x/1.json": b'{"seed": [1, null], "text": "one"}'})
    return str(folder / "in")


def one_zip(folder: Path) -> str:
    """One archive, whose keys have no prefix."""
    return str(write_zip(folder / "a.zip", {"a.png": encoded(1), "b.png": b"broken"}))


def arrays(folder: Path) -> str:
    """A file of arrays with labels."""
    np.savez(folder / "s.npz", np.arange(36, dtype=np.uint8).reshape(3, 2, 2, 3), np.arange(3))
    return str(folder / "s.npz")


def table_of_csv(folder: Path) -> str:
    """A manifest with repeated paths, an empty one, and prompts that are no text."""
    with (folder / "m.csv").open("w", encoding="utf-8", errors="surrogateescape") as file:
        rows = [[f"p/{n % 7}.png" if n != 5 else "", f"p\udcff{n}", n] for n in range(25)]
        csv.writer(file).writerows([["image", "caption", "seed"], *rows])
    return str(folder / "m.csv")


def lines(folder: Path) -> str:
    """A manifest with keys, nested cells and missing ones."""
    rows = [{"key": n, "image": f"{n}.png", "more": {"a": [n, None]}, "x": n / 3} for n in range(9)]
    rows[2].pop("x")
    rows[3]["image"] = None
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "m.jsonl")


def _write(path: Path, columns: dict[str, list[object]], group: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})}
    given = {
        n: pa.array(v, kinds.get(n) if isinstance(v[0], dict) else None) for n, v in columns.items()
    }
    pq.write_table(pa.table(given), path, row_group_size=group)


def embedded(folder: Path) -> str:
    """Parquet files whose pictures have no names: keys count rows through all files."""
    picture = {"bytes": encoded(7), "path": None}
    for name, rows in (("b", 7), ("a", 10), ("deep/a", 1)):
        columns: dict[str, list[object]] = {
            "image": [picture] * rows,
            "text": [f"{name}{n}" for n in range(rows)],
            "seed": list(range(rows)),
        }
        _write(folder / "in" / f"{name}.parquet", columns, group=3)
    return str(folder / "in")


def named(folder: Path) -> str:
    """Parquet files whose pictures have names, which repeat, and some of which are absent."""
    for name in ("a", "b"):
        cells: list[object] = [{"bytes": encoded(n), "path": f"{n % 3}.png"} for n in range(7)]
        cells[4] = {"bytes": None, "path": "elsewhere.png"} if name == "b" else cells[4]
        cells[5] = None
        _write(folder / "in" / f"{name}.parquet", {"image": cells, "mask": [b"m"] * 7}, group=2)
    return str(folder / "in")


def all_named(folder: Path) -> str:
    """A parquet file with a name and bytes in each row, none of them empty."""
    cells: list[object] = [{"bytes": encoded(n), "path": f"{n % 3}.png"} for n in range(7)]
    _write(folder / "in.parquet", {"image": cells, "prompt": ["p"] * 7}, group=2)
    return str(folder / "in.parquet")


def paths(folder: Path) -> str:
    """A parquet file of paths."""
    _write(folder / "in.parquet", {"path": [f"{n % 4}.png" for n in range(9)]}, group=4)
    return str(folder / "in.parquet")


def with_keys(folder: Path) -> str:
    """A parquet file with keys and plain bytes."""
    columns: dict[str, list[object]] = {"key": list("abcdefg"), "image": [encoded(1)] * 7}
    _write(folder / "in.parquet", columns, group=2)
    return str(folder / "in.parquet")


def saved(folder: Path) -> str:
    """A saved data set whose pictures have names, which repeat, and whose rows were chosen."""
    cells = [{"bytes": encoded(n), "path": f"{n % 3}.png" if n % 4 else None} for n in range(9)]
    features = datasets.Features(image=datasets.Image(), text=datasets.Value("string"))
    made = datasets.Dataset.from_dict(
        {"image": cells, "text": list("abcdefghi")}, features=features
    )
    made.select([8, 1, 3, 4, 5, 2]).save_to_disk(folder / "saved")
    return str(folder / "saved")


def _in_memory(folder: Path, made: str, name: str) -> str:
    """What was made, put into fsspec's memory."""
    system = fsspec.filesystem("memory")
    root = f"/{folder.name}-{name}"
    for path in Path(made).rglob("*"):
        if path.is_file() and path.name.isascii():
            system.pipe_file(f"{root}/{path.relative_to(made)}", path.read_bytes())
    return f"memory:/{root}"


def remote_tars(folder: Path) -> str:
    """Archives elsewhere, by braces."""
    return _in_memory(folder, tars(folder), "tars") + "/s-{0..1}.tar"


def remote_folder_of_tars(folder: Path) -> str:
    """Archives elsewhere, by their folder."""
    return _in_memory(folder, tars(folder), "folder")


def remote_pictures(folder: Path) -> str:
    """Pictures elsewhere."""
    (folder / "in/sub").mkdir(parents=True)
    for name in ["b.png", "a.png", "sub/a.png"]:
        (folder / "in" / name).write_bytes(encoded(9))
    return _in_memory(folder, str(folder / "in"), "pictures")


def remote_tables(folder: Path) -> str:
    """Parquet files elsewhere."""
    return _in_memory(folder, embedded(folder), "tables")


def remote_manifest(folder: Path) -> str:
    """A manifest elsewhere, beside its pictures."""
    (folder / "in").mkdir()
    (folder / "in/m.csv").write_text("image,prompt\na.png,a\nnone.png,b\na.png,c\n")
    (folder / "in/a.png").write_bytes(encoded(3))
    return _in_memory(folder, str(folder / "in"), "manifest") + "/m.csv"


SOURCES: dict[str, Callable[[Path], str]] = {
    made.__name__: made
    for made in (
        *(pictures, pattern, tars, one_zip, arrays, table_of_csv, lines, embedded, named),
        *(all_named, paths, with_keys, saved, remote_tars, remote_folder_of_tars),
        *(remote_pictures, remote_tables, remote_manifest),
    )
}
