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
  beside the pictures (`beholder._inputs.archives`); a `.npz` or `.npy` of pictures (n, h, w, 3),
  such as ADM's samples (`beholder._inputs.picture_arrays`). They are read without unpacking.
  Several by a glob or by braces, `"shards-{000..003}.tar"`, or as a folder without pictures that
  holds archives; each is opened when its turn comes;
- the address of any of these elsewhere, `"s3://bucket/shards-{000..999}.tar"`, but for a data set
  that was saved. Archives and manifests are fetched whole, one at a time, pictures a few ahead, and
  of parquet files only what is read. A picture that cannot be fetched is a row with an error.

A row's key is the manifest's `key`, or else the picture's path relative to the folder, manifest or
archive, after the archive's name if there are several; pictures of an array are "row 0", "row 1",
... A path that is repeated gets "#2", "#3", ... Every further column is kept. `Row.name` says where
the picture is, so that `beholder.located` finds it again.

Names of a large folder are sorted on the disk, so that memory stays flat for millions of files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from beholder._inputs.manifest_rows import manifest_rows
from beholder._inputs.packed_rows import packed_rows
from beholder._inputs.prompt_files import prompts_for
from beholder._inputs.records import ALIASES, Records, manifest_records, parquet_records
from beholder._inputs.remote_files import fetch_each
from beholder._inputs.rows import Inputs as Inputs
from beholder._inputs.rows import Row as Row
from beholder._inputs.saved_sets import open_saved
from beholder._inputs.sources import (
    Archives,
    Manifest,
    Pictures,
    RemotePictures,
    Saved,
    Source,
    Tables,
    classified,
)
from beholder._inputs.sources import is_picture as is_picture
from beholder.errors import DataError
from beholder.storage import Place


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
        refuse_prompts(prompts, "data set")
        return manifest_rows(_dataset_records(source), Place(Path.cwd()), "data set")
    return rows_of(classified(source), prompts)


def rows_of(source: Source, prompts: str | os.PathLike[str] | None = None) -> Inputs:
    """The rows of a source that is classified already; see `read_inputs`."""
    if isinstance(source, Archives):
        return packed_rows(source, prompts)
    if isinstance(source, Pictures):
        return _pictures(source.found, source.root, prompts)
    if isinstance(source, RemotePictures):
        count = len(source.names)
        rows = addressed_rows(source, prompts)
        has_prompts = prompts is not None
        return Inputs(str(source.root), has_prompts, lambda: fetch_each(rows()), lambda: count)
    refuse_prompts(prompts, _name(source))
    found = manifest_rows(*records_of(source), _name(source))
    is_fetched = isinstance(source, Manifest) and source.place.is_remote
    return replace(found, is_counted=not is_fetched)


def addressed_rows(
    source: RemotePictures, prompts: str | os.PathLike[str] | None
) -> Callable[[], Iterator[Row]]:
    """What makes the rows of remote pictures, whose `image` is the address of each."""
    prompt_of = None if prompts is None else prompts_for(prompts, lambda: len(source.names))

    def rows() -> Iterator[Row]:
        for number, key in enumerate(source.names):
            address = str(source.root / key)
            prompt = prompt_of(number, key, Path(key)) if prompt_of else None
            yield Row(key=key, image=address, prompt=prompt, name=address)

    return rows


def _name(source: Tables | Manifest | Saved) -> str:
    return source.path.name if isinstance(source, Saved) else source.name


def records_of(source: Tables | Manifest | Saved) -> tuple[Records, Place]:
    """The records of files or a data set, and what paths of pictures are relative to."""
    if isinstance(source, Saved):
        return _saved_records(source.path), Place(source.path.parent)
    if isinstance(source, Tables):
        return parquet_records(source.places), source.root
    if not source.place.is_remote:
        path = Path(source.place.path)
        return manifest_records(path), Place(path.parent)
    return _fetched_records(source.place), source.place.parent


def _saved_records(folder: Path) -> Records:
    records = _dataset_records(open_saved(folder))

    def places() -> Iterator[str]:
        return (f"{folder.absolute()}#{row}" for row in range(records.count()))

    return replace(records, places=places)


def _fetched_records(place: Place) -> Records:
    """The records of a remote manifest, which is fetched anew each time that it is read."""

    def read() -> Iterator[dict[str, Any]]:
        with place.local() as path:
            yield from manifest_records(path).read()

    with place.local() as path:
        columns = manifest_records(path).columns
    return Records(columns, read, lambda: sum(1 for _ in read()))


def refuse_prompts(prompts: str | os.PathLike[str] | None, name: str) -> None:
    """Raise DataError if there are prompts for a source that names its own."""
    if prompts is not None:
        raise DataError(
            f"prompts come from {name} itself; name its prompt column "
            f"{' or '.join(ALIASES['prompt'])} and leave {os.fspath(prompts)} out"
        )


def _pictures(
    found: Callable[[], Iterator[Path]], root: Path, prompts: str | os.PathLike[str] | None
) -> Inputs:
    begun = found()
    first = next(begun, None)
    if first is None:
        raise DataError(f"there is no picture in {root}")
    walks = [chain([first], begun)]  # a folder of millions is listed once for its rows

    def count() -> int:
        return sum(1 for _ in found())

    prompt_of = prompts_for(prompts, count)

    def rows() -> Iterator[Row]:
        above = os.path.abspath(root)  # noqa: PTH100  (resolve() would follow links)
        for number, path in enumerate(walks.pop() if walks else found()):
            key = _below(path, root)
            name = f"{above.rstrip(os.sep)}/{key}"
            yield Row(key=key, image=name, prompt=prompt_of(number, key, path), name=name)

    has_prompts = prompts is not None or prompt_of(0, first.name, first) is not None
    return Inputs(str(root), has_prompts, rows, count)


def _below(path: Path, root: Path) -> str:
    """The path relative to a folder above it."""
    text, start = str(path), f"{root}{os.sep}"
    below = text[len(start) :] if text.startswith(start) else os.path.relpath(text, root)
    return below.replace(os.sep, "/")


def _dataset_records(dataset: LoadedDataset) -> Records:
    from datasets import Image  # noqa: PLC0415

    columns = list(dataset.column_names)
    for column in columns:
        if isinstance(dataset.features[column], Image):
            dataset = dataset.cast_column(column, Image(decode=False))
    return Records(columns, dataset.__iter__, dataset.__len__)
