"""Rows written as parquet and JSON lines while they stream by, the same bytes for the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 65_536
"""Rows of a row group, however the parts are cut."""
_line = json.JSONEncoder(ensure_ascii=False).encode


def write_rows(parts: Iterable[pa.Table], path: Path, *, jsonl: bool = True) -> int:
    """Write parts of one schema to `path`.parquet, and .jsonl if asked for; how many rows."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = 0
    with ExitStack() as stack:
        lines = path.with_suffix(".jsonl").open("w", encoding="utf-8") if jsonl else None
        if lines is not None:
            stack.enter_context(lines)
        writer = None
        for group in _groups(parts):
            if writer is None:
                place = path.with_suffix(".parquet")
                writer = stack.enter_context(pq.ParquetWriter(place, group.schema))
            if len(group) or not rows:
                writer.write_table(group, row_group_size=ROW_GROUP)
            if lines is not None:
                lines.writelines(f"{_line(row)}\n" for row in group.to_pylist())
            rows += len(group)
    return rows


def _groups(parts: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """The same rows cut anew, every piece but the last `ROW_GROUP` long; at least one piece."""
    import pyarrow as pa  # noqa: PLC0415

    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part.replace_schema_metadata(None))
        if sum(map(len, waiting)) >= ROW_GROUP:
            whole = pa.concat_tables(waiting).combine_chunks()
            full = len(whole) // ROW_GROUP * ROW_GROUP
            for start in range(0, full, ROW_GROUP):
                yield whole.slice(start, ROW_GROUP)
            waiting = [whole.slice(full)]
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()
