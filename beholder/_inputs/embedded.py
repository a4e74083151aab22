"""Pictures that stand in the rows of parquet files and saved data sets, by number of the row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from beholder._inputs.records import column_of, open_parquet
from beholder._inputs.saved_sets import open_saved
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.storage import Place

IN_MEMORY = 2**26
"""Bytes of a column of a row group that are held at once; of more, a few rows are."""

_BATCH = 32
Find = Callable[[str], ImageSource]


@contextmanager
def parquet_images(place: Place) -> Iterator[Find]:
    """What gives the picture of a row of a parquet file held open; DataError if it is damaged.

    A small row group is in memory while its rows are asked for. A large one is read in order as
    far as they are, and anew for a row before the last one.
    """
    with open_parquet(place) as file:
        column = _image_column(file.schema_arrow.names, str(place))
        rows = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        yield _Rows(file, column, [0, *accumulate(rows)], place.absolute.rpartition("/")[0]).find


def dataset_images(folder: Path) -> Find:
    """What gives the picture of a row of a saved data set; DataError if it is damaged."""
    from datasets import Image  # noqa: PLC0415

    dataset = open_saved(folder)
    column = _image_column(dataset.column_names, str(folder))
    if isinstance(dataset.features[column], Image):
        dataset = dataset.cast_column(column, Image(decode=False))

    def find(row: str) -> ImageSource:
        if int(row) >= len(dataset):
            return _absent(str(folder), row)
        return _picture(dataset[int(row)][column], str(folder.absolute().parent))

    return find


class _Rows:
    """Rows of an open parquet file; `starts` of its row groups, and where they end.

    `values` are those of the column from row `at` on, `rest` gives the next ones of the row group.
    """

    def __init__(self, file: Any, column: str, starts: list[int], root: str) -> None:
        self.file, self.column, self.starts, self.root = file, column, starts, root
        self.group = -1
        self.at = 0
        self.values: Any = ()
        self.rest: Iterator[Any] = iter(())

    def find(self, row: str) -> ImageSource:
        import pyarrow as pa  # noqa: PLC0415

        number = int(row)
        if number >= self.starts[-1]:
            return _absent("the parquet file", row)
        try:
            self._go_to(number)
            return _picture(self.values[number - self.at].as_py(), self.root)
        except (pa.ArrowException, OSError, DataError, StopIteration) as error:
            self.group = -1
            return ImageError("corrupt", f"its row group is damaged: {error}")

    def _go_to(self, number: int) -> None:
        group = bisect_right(self.starts, number) - 1
        if group != self.group or number < self.at:
            self.values = ()  # never two row groups at once
            self.group, self.at = group, self.starts[group]
            self.rest = self._batches(group)
        while number >= self.at + len(self.values):
            self.at += len(self.values)
            self.values = ()
            self.values = next(self.rest).column(0)

    def _batches(self, group: int) -> Iterator[Any]:
        rows = self.starts[group + 1] - self.starts[group]
        size = rows if self._bytes(group) <= IN_MEMORY else _BATCH
        batches: Iterator[Any] = self.file.iter_batches(size, [group], columns=[self.column])
        return batches

    def _bytes(self, group: int) -> int:
        """Of the column in a row group, unpacked."""
        said = self.file.metadata.row_group(group)
        leaves = [said.column(leaf) for leaf in range(said.num_columns)]
        own = (c for c in leaves if c.path_in_schema.partition(".")[0] == self.column)
        return sum(column.total_uncompressed_size for column in own)


def _image_column(columns: list[str], name: str) -> str:
    column = column_of("image", columns)
    if column is None:
        raise DataError(f"{name} has no picture column; it has {', '.join(columns)}")
    return column


def _absent(name: str, row: str) -> ImageError:
    return ImageError("missing", f"{name} has no row {row}")


def _picture(value: Any, root: str) -> ImageSource:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value:
        return f"{root}/{value}" if not value.startswith("/") else value
    return ImageError("missing", "its row holds no picture")
