"""The parquet file of a shard: one row an input, columns of few types, a footer that proves it.

Readers stack the files of a run as one data set, so further columns have three types only: bool,
double, or string, which holds JSON for what is nested. A column without a value is a string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beholder._run_folder import FOOTER
from beholder._tables.shards import INPUT_COLUMNS, check_free, storable

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT = 2**53  # whole numbers beyond it are not all doubles


def shard_table(
    inputs: Sequence[Mapping[str, object]],
    scores: Mapping[str, Mapping[str, Sequence[object]]],
    footer: bytes,
) -> pa.Table:
    """The rows of a shard as they are written.

    Args:
        inputs: of each row key, image, prompt and further columns.
        scores: reward -> column -> a value each row, or None.
        footer: what the file says of itself.

    Raises:
        DataError: if a further column has the name of a reward's column.
    """
    import pyarrow as pa  # noqa: PLC0415

    names = dict.fromkeys([*INPUT_COLUMNS, *(name for row in inputs for name in row)])
    _refuse_clashes(names, scores)
    columns = {
        storable(name): _input_column(name, [row.get(name) for row in inputs]) for name in names
    }
    for parts in scores.values():
        columns |= {name: _score_column(name, values) for name, values in parts.items()}
    return pa.table(columns).replace_schema_metadata({FOOTER: footer})


def parquet_bytes(table: pa.Table) -> bytes:
    """A whole parquet file, zstd, with page checksums."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    file: bytes = sink.getvalue().to_pybytes()
    return file


def _refuse_clashes(names: Mapping[str, object], rewards: Mapping[str, object]) -> None:
    for name in names:
        check_free(name, rewards)


def _input_column(name: str, values: Sequence[object]) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    given = [value for value in values if value is not None]
    if name in INPUT_COLUMNS or not given:
        return pa.array([_text(value) for value in values], pa.string())
    if all(isinstance(value, bool) for value in given):
        return pa.array(values, pa.bool_())
    if all(_is_number(value) for value in given):
        return pa.array(values, pa.float64())
    return pa.array([_text(value) for value in values], pa.string())


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _EXACT
    return isinstance(value, float)


def _score_column(name: str, values: Sequence[object]) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    if name.endswith(".error"):
        return pa.array([_text(value) for value in values], pa.string())
    return pa.array(values, pa.float32())


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, (Mapping, list, tuple)):
        return storable(json.dumps(value, default=str))
    return storable(str(value))
