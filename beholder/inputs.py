"""Pictures and prompts from folders, globs, manifests and data sets.

Sources, by `read_inputs`:

- a folder, recursively: every file with a picture's suffix, readable or not, and every other file
  that begins like a picture; hidden files are left out. Files of a folder come by name, then its
  subfolders. Prompts: a `.txt` of the same name beside each picture, or `prompts`.
- a glob such as `"out/**/*.png"`, or one picture;
- a manifest: `.csv`, `.tsv`, `.jsonl` or `.parquet` with a picture column and, for rewards that
  need one, a prompt column (`ALIASES` lists their names); paths are relative to the manifest;
- a data set: a folder written by `Dataset.save_to_disk`, a folder of parquet files, or a loaded
  `datasets.Dataset`, with pictures embedded or by path;
- a `.zip` of pictures; a `.tar` such as webdataset's shards, with `.txt`, `.json` and `.cls` files
  beside the pictures (`beholder._archives`); a `.npz` or `.npy` of pictures (n, h, w, 3), such as
  ADM's samples (`beholder._picture_arrays`). They are read without unpacking. Several by a glob or
  by braces, `"shards-{000..003}.tar"`, or as a folder without pictures that holds archives.

A row's key is the manifest's `key`, or else the picture's path relative to the folder, manifest or
archive, after the archive's name if there are several; pictures of an array are "row 0", "row 1",
... A path that is repeated gets "#2", "#3", ... Every further column is kept.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from beholder._archives import ARCHIVES, PackedPictures, expanded, packed_pictures
from beholder._picture_arrays import ARRAYS, ArrayPictures, array_pictures
from beholder._picture_names import HEAD, is_picture_name
from beholder._prompt_files import prompts_for
from beholder._records import (
    ALIASES,
    MANIFESTS,
    Records,
    column_of,
    manifest_records,
    parquet_records,
)
from beholder.errors import DataError
from beholder.images import ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One picture to score.

    Attributes:
        key: names the row in the table; unique.
        image: what is decoded; None if the manifest names no picture, which is an error of the row.
        prompt: None if there is none.
        name: what the table says of the picture: its absolute path, "data set#row", or
            "archive/member".
        extra: further columns of the manifest or archive.
    """

    key: str
    image: ImageSource | None
    prompt: str | None
    name: str
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of one source, read anew at each iteration; memory stays flat.

    Attributes:
        source: what they were read from.
        has_prompts: whether the source has prompts at all.
        rows, count: make an iterator of the rows, and say how many there are.
    """

    source: str
    has_prompts: bool
    rows: Callable[[], Iterator[Row]]
    count: Callable[[], int]

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def __len__(self) -> int:
        return self.count()


@runtime_checkable
class LoadedDataset(Protocol):
    """What is used of a `datasets.Dataset`."""

    column_names: Any
    features: Any

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[dict[str, Any]]: ...
    def cast_column(self, column: str, feature: Any) -> Any:
        """The same rows with another feature type of a column."""


def read_inputs(
    source: str | os.PathLike[str] | LoadedDataset, prompts: str | os.PathLike[str] | None = None
) -> Inputs:
    """The pictures and prompts of a source; see the top of this file for what a source may be.

    Args:
        source: folder, glob, picture, manifest, data set, or archive.
        prompts: for pictures that bring none: a `.txt` with one prompt a line in the pictures'
            order, or a manifest or `.json` object that maps file names to prompts.

    Raises:
        DataError: if there is nothing to score, or the manifest, archive or prompts are malformed.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _without(prompts, _dataset(source, "data set", Path.cwd()))
    path = Path(source)
    if path.is_dir():
        return _folder(path, prompts)
    if path.suffix.lower() in MANIFESTS and path.exists():
        return _without(prompts, _manifest(manifest_records(path), path.parent, path.name))
    if path.exists():
        return _file(path, prompts)
    if glob.has_magic(str(source)) or (_is_packed(path) and "{" in path.name):
        return _glob(str(source), prompts)
    raise DataError(
        f"{source} does not exist; give a folder, picture, glob, manifest, data set or archive"
    )


def _file(path: Path, prompts: str | os.PathLike[str] | None) -> Inputs:
    if _is_packed(path):
        return _packed([path], path.name, prompts)
    return _pictures(lambda: iter([path]), path.parent, prompts)


def _folder(path: Path, prompts: str | os.PathLike[str] | None) -> Inputs:
    if (path / "dataset_dict.json").is_file():
        splits = sorted(p.name for p in path.iterdir() if p.is_dir())
        raise DataError(f"{path} holds the splits {', '.join(splits)}; give one, such as {path}/…")
    if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        from datasets import load_from_disk  # noqa: PLC0415

        return _without(prompts, _dataset(load_from_disk(str(path)), path.name, path.parent))
    if next(_walk(path), None) is None and (files := sorted(path.rglob("*.parquet"))):
        return _without(prompts, _manifest(parquet_records(files), path, path.name))
    if next(_walk(path), None) is None and (files := _archives_in(path)):
        return _packed(files, path.name, prompts)
    return _pictures(lambda: _walk(path), path, prompts)


def _archives_in(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ARCHIVES)
    return sorted(path for path in found if path.is_file())


def _without(prompts: str | os.PathLike[str] | None, inputs: Inputs) -> Inputs:
    if prompts is not None:
        raise DataError(
            f"prompts come from {inputs.source} itself; name its prompt column "
            f"{' or '.join(ALIASES['prompt'])} and leave {os.fspath(prompts)} out"
        )
    return inputs


def _glob(pattern: str, prompts: str | os.PathLike[str] | None) -> Inputs:
    if _is_packed(Path(pattern)):
        return _packed(expanded(pattern), pattern, prompts)
    fixed = pattern[: min(pattern.index(c) for c in "*?[" if c in pattern)]
    root = Path(os.path.dirname(fixed) or ".")  # noqa: PTH120  (Path drops a trailing slash)

    def found() -> Iterator[Path]:
        paths = map(Path, sorted(glob.iglob(pattern, recursive=True)))  # noqa: PTH207
        return (path for path in paths if is_picture(path))

    return _pictures(found, root, prompts)


def _pictures(
    found: Callable[[], Iterator[Path]], root: Path, prompts: str | os.PathLike[str] | None
) -> Inputs:
    first = next(found(), None)
    if first is None:
        raise DataError(f"there is no picture in {root}")

    def count() -> int:
        return sum(1 for _ in found())

    prompt_of = prompts_for(prompts, count)

    def rows() -> Iterator[Row]:
        for number, path in enumerate(found()):
            key = os.path.relpath(path, root).replace(os.sep, "/")
            name = os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)
            yield Row(key=key, image=name, prompt=prompt_of(number, key, path), name=name)

    has_prompts = prompts is not None or prompt_of(0, first.name, first) is not None
    return Inputs(str(root), has_prompts, rows, count)


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in (*ARCHIVES, *ARRAYS)


def _open_packed(path: Path) -> PackedPictures | ArrayPictures:
    if not path.is_file():  # a pipe would make everybody wait
        raise DataError(f"{path} is no regular file")
    return array_pictures(path) if path.suffix.lower() in ARRAYS else packed_pictures(path)


def _packed(paths: Sequence[Path], source: str, prompts: str | os.PathLike[str] | None) -> Inputs:
    archives = [_open_packed(path) for path in paths]
    root = os.path.commonpath([path.absolute().parent for path in paths])

    def count() -> int:
        return sum(archive.count for archive in archives)

    if count() == 0:
        raise DataError(f"there is no picture in {source}")
    prompt_of = None if prompts is None else prompts_for(prompts, count)

    def rows() -> Iterator[Row]:
        members = ((archive.path, member) for archive in archives for member in archive)
        for number, (path, member) in enumerate(members):
            name = f"{Path(os.path.relpath(path, root)).as_posix()}/{member.key}"
            prompt = prompt_of(number, member.key, Path(member.key)) if prompt_of else member.prompt
            key = name if len(archives) > 1 else member.key
            yield Row(key=key, image=member.image, prompt=prompt, name=name, extra=member.extra)

    has_prompts = prompts is not None or next(rows()).prompt is not None
    return Inputs(source, has_prompts, rows, count)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from filter(is_picture, (Path(folder, name) for name in sorted(files)))


def is_picture(path: Path) -> bool:
    """Whether a file's suffix or first bytes say that it is a picture; hidden files are not."""
    if path.name.startswith(".") or path.is_dir():
        return False
    return is_picture_name(path.name, lambda: _head(path))


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _dataset(dataset: LoadedDataset, name: str, root: Path) -> Inputs:
    from datasets import Image  # noqa: PLC0415

    columns = list(dataset.column_names)
    for column in columns:
        if isinstance(dataset.features[column], Image):
            dataset = dataset.cast_column(column, Image(decode=False))
    return _manifest(Records(columns, dataset.__iter__, dataset.__len__), root, name)


def _manifest(records: Records, root: Path, name: str) -> Inputs:
    columns = {kind: column_of(kind, records.columns) for kind in ALIASES}
    if columns["image"] is None:
        raise DataError(
            f"{name} has no picture column; it has {', '.join(records.columns)}, "
            f"expected one of {', '.join(ALIASES['image'])}"
        )
    return Inputs(
        name,
        columns["prompt"] is not None,
        lambda: _manifest_rows(records, columns, root, name),
        records.count,
    )


def _manifest_rows(
    records: Records, columns: Mapping[str, str | None], root: Path, name: str
) -> Iterator[Row]:
    seen: Counter[str] = Counter()
    used = set(columns.values())
    for number, record in enumerate(records.read()):
        image, key, shown = _picture_of(record.get(columns["image"] or ""), root)
        key = key or f"row {number}"
        if columns["key"] is not None and record.get(columns["key"]) is not None:
            key = str(record[columns["key"]])
        else:
            seen[key] += 1
            key += f"#{seen[key]}" if seen[key] > 1 else ""
        prompt = record.get(columns["prompt"] or "")
        extra = {n: v for n, v in record.items() if n not in used and not _holds_bytes(v)}
        yield Row(
            key=key,
            image=image,
            prompt=None if prompt is None else str(prompt),
            name=shown or f"{name}#{number}",
            extra=extra,
        )


def _picture_of(value: Any, root: Path) -> tuple[ImageSource | None, str, str]:
    """What to decode, its key, and its path; the latter two are "" for embedded pictures."""
    if isinstance(value, Mapping):  # as `datasets` writes pictures
        embedded, path = value.get("bytes"), value.get("path")
        return (embedded, str(path or ""), "") if embedded else _picture_of(path, root)
    if isinstance(value, (str, os.PathLike)) and str(value):
        path = os.path.abspath(root / value)  # noqa: PTH100  (resolve() would follow links)
        return path, Path(value).as_posix(), path
    return (None if value == "" else value), "", ""


def _holds_bytes(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_bytes, value.values()))
    return isinstance(value, (bytes, bytearray, memoryview))
