"""Embeddings on disk: ours, and the parquet shards that other programs write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.eval._array_files import read_about, read_arrays, write_arrays

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[np.float32]
Raw = tuple[list[str], npt.NDArray[Any], dict[str, str]]
"""Keys, rows as they are in the file, and what else it says."""

KEYS = ".keys.txt"
"""Beside NAME.npy, NAME.keys.txt holds the keys, one a line."""
_KINDS = (
    ".npz with keys and values, .npy with NAME.keys.txt beside it, or parquet with a column key"
)


def read_raw(path: Path) -> Raw:
    """Keys and rows of a file, or of a folder of parquet files in the order of their names.

    Raises DataError if it is missing, damaged or of another kind, or rows differ in length.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; give embeddings as {_KINDS}")
    read = {".npz": _read_npz, ".npy": _read_npy, ".parquet": _read_parquet}.get(path.suffix)
    if read is None:
        raise DataError(f"{path} holds no embeddings; give {_KINDS}")
    return read(path)


def write_raw(path: Path, keys: Iterable[str], values: Array, about: dict[str, str]) -> None:
    """One .npz, whole or not at all; DataError for another suffix."""
    if path.suffix != ".npz":
        raise DataError(f"embeddings are written as .npz, not as {path.name}")
    write_arrays(path, {"keys": np.array(list(keys), dtype=np.str_), "values": values}, about)


def _read_npz(path: Path) -> Raw:
    found = read_arrays(path)
    if not {"keys", "values"} <= found.keys():
        raise DataError(
            f'{path} holds {", ".join(found) or "nothing"}, expected the arrays "keys" (n,) and '
            '"values" (n, d)'
        )
    return [str(key) for key in found["keys"].ravel()], found["values"], read_about(path)


def _read_npy(path: Path) -> Raw:
    beside = path.with_name(path.stem + KEYS)
    if not beside.is_file():
        raise DataError(f"{beside} does not exist; it must hold the keys of {path}, one a line")
    keys = beside.read_text("utf-8").split("\n")
    return (keys[:-1] if keys[-1] == "" else keys), read_arrays(path)[""], {}


def _read_folder(folder: Path) -> Raw:
    paths = [p for p in sorted(folder.glob("*.parquet")) if not p.name.startswith(("_", "."))]
    if not paths:
        raise DataError(f"{folder} holds no parquet files; give embeddings as {_KINDS}")
    rows = sum(_rows_of(path) for path in paths)
    keys: list[str] = []
    values: Array = np.zeros((rows, 0), np.float32)
    for path in paths:
        new, part, _ = _read_parquet(path)
        width = part.shape[1]  # 0 if all lists are missing
        if width and not values.shape[1]:
            values = np.full((rows, width), np.nan, np.float32)
        if width not in {0, values.shape[1]}:
            raise DataError(
                f"{path} has rows of {width} values, the shards before it of "
                f"{values.shape[1]}; embed all with one embedder"
            )
        if width:
            values[len(keys) : len(keys) + len(part)] = part
        keys += new
    return keys, values, {}


def _rows_of(path: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _read_parquet(path: Path) -> Raw:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        schema = pq.read_schema(path)
        column = _list_column(path, schema)
        table = pq.read_table(path, columns=["key", column], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    keys = [str(key) for key in table["key"].to_pylist()]
    return keys, _matrix(path, table[column].combine_chunks()), {}


def _list_column(path: Path, schema: pa.Schema) -> str:
    """The column of embeddings: the only one of lists of numbers, or that named "embedding"."""
    from pyarrow import types  # noqa: PLC0415

    def is_vector(kind: pa.DataType) -> bool:
        lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
        return any(is_it(kind) for is_it in lists) and types.is_floating(kind.value_type)

    found = [field.name for field in schema if is_vector(field.type)]
    if "key" not in schema.names or not found:
        raise DataError(
            f'{path} has the columns {", ".join(schema.names)}; expected "key" and one of lists '
            "of floating numbers"
        )
    if len(found) > 1 and "embedding" not in found:
        raise DataError(
            f"{path} has several columns of lists: {', '.join(found)}; name the one "
            'that counts "embedding"'
        )
    return "embedding" if "embedding" in found else found[0]


def _matrix(path: Path, lists: pa.Array) -> Array:
    """The lists as rows (n, d), float32; a missing list or number is NaN."""
    import pyarrow.compute as pc  # noqa: PLC0415

    lengths = pc.list_value_length(lists).drop_null().unique().to_pylist()
    if len(lengths) > 1:
        raise DataError(f"{path} has rows of different lengths: {sorted(lengths)[:3]} values")
    whole = np.full((len(lists), lengths[0] if lengths else 0), np.nan, np.float32)
    there = np.asarray(lists.is_valid())
    flat = lists.drop_null().flatten().cast("float32").to_numpy(zero_copy_only=False)
    whole[there] = flat.reshape(int(there.sum()), whole.shape[1])
    return whole


def errors_text(errors: dict[int, str]) -> str:
    """Errors by row as one text, for what a file says of itself."""
    return json.dumps({str(row): why for row, why in errors.items()})


def errors_of(text: str) -> dict[int, str]:
    """What `errors_text` wrote."""
    return {int(row): str(why) for row, why in json.loads(text).items()}
