"""Pictures that stand in the rows of parquet files and saved data sets, by number of the row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from beholder._inputs.records import column_of, open_parquet
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.storage import Place

Find = Callable[[str], ImageSource]


@contextmanager
def parquet_images(place: Place) -> Iterator[Find]:
    """What gives the picture of a row of a parquet file held open; DataError if it is damaged.

    Of its rows, the row group that holds the last one asked for is in memory.
    """
    with open_parquet(place) as file:
        column = _image_column(file.schema_arrow.names, str(place))
        rows = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        yield _Rows(file, column, [0, *accumulate(rows)], place.absolute.rpartition("/")[0]).find


def dataset_images(folder: Path) -> Find:
    """What gives the picture of a row of a saved data set; DataError if it is damaged."""
    from datasets import Image, load_from_disk  # noqa: PLC0415

    try:
        dataset = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is damaged or no saved data set: {error}") from error
    column = _image_column(dataset.column_names, str(folder))
    if isinstance(dataset.features[column], Image):
        dataset = dataset.cast_column(column, Image(decode=False))

    def find(row: str) -> ImageSource:
        if int(row) >= len(dataset):
            return _absent(str(folder), row)
        return _picture(dataset[int(row)][column], str(folder.absolute().parent))

    return find


class _Rows:
    """Rows of an open parquet file; `starts` of its row groups, and where they end."""

    def __init__(self, file: Any, column: str, starts: list[int], root: str) -> None:
        self.file, self.column, self.starts, self.root = file, column, starts, root
        self.group = -1
        self.values: Any = None

    def find(self, row: str) -> ImageSource:
        import pyarrow as pa  # noqa: PLC0415

        if int(row) >= self.starts[-1]:
            return _absent("the parquet file", row)
        group = bisect_right(self.starts, int(row)) - 1
        try:
            if group != self.group:
                self.values = None  # never two row groups at once
                table = self.file.read_row_group(group, columns=[self.column])
                self.group, self.values = group, table[self.column]
            return _picture(self.values[int(row) - self.starts[group]].as_py(), self.root)
        except (pa.ArrowException, OSError) as error:
            self.group = -1
            return ImageError("corrupt", f"its row group is damaged: {error}")


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
