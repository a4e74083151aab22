"""Parquet files cut into shards: by their row groups alone where keys allow it, else as lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from beholder._ahead import ahead
from beholder._inputs.manifest_rows import named_columns, uncounted_rows
from beholder._inputs.records import Records, open_parquet, records_in
from beholder._inputs.sources import Tables
from beholder._plan.keyed import check_unique, keyed
from beholder._plan.lists import write_lists
from beholder._plan.names import ShardNames
from beholder._run_folder import Shard
from beholder.storage import Place, Stamp

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 16
_EMBEDDED = b"."  # stands for the bytes of a picture that were not read

Named = Mapping[str, str | None]
"""The picture, prompt and key column."""


@dataclass(frozen=True, slots=True)
class _Footer:
    """What the end of a parquet file tells: rows of each group, empty cells of each leaf column.

    A leaf whose empty cells nobody counted is not in `empty`.
    """

    stamp: Stamp
    schema: pa.Schema
    rows: Sequence[int]
    empty: Mapping[str, int]

    def is_full(self, leaf: str) -> bool:
        """Whether no cell is empty."""
        return self.empty.get(leaf) == 0

    def holds_pictures(self, image: str) -> bool:
        """Whether pictures may be embedded, rather than named by a column of paths."""
        return image in self.schema.names and _holds_bytes(self.schema.field(image).type)

    def is_plain(self, named: Named) -> bool:
        """Whether keys of its rows follow from the rows alone: no picture is named by a path."""
        image, key = named["image"] or "", named["key"]
        if key is not None and not self.is_full(key):
            return False
        if image not in self.schema.names:
            return True
        kind = self.schema.field(image).type
        if not _is_struct(kind):
            return _is_bytes(kind)
        paths = [field for field in kind if field.name == "path" and str(field.type) != "null"]
        return not paths or self.empty.get(f"{image}.path") == sum(self.rows)


def table_shards(source: Tables, lists: Place, shard_size: int) -> Iterator[Shard]:
    """The shards of parquet files in order.

    Pictures that are embedded and not named by paths are read from where they are, a few row groups
    a shard. Others become lists, since the numbers of repeated paths go through all files.
    """
    files = ahead(_footer, source.places, most=_AT_ONCE, size=lambda _: 0, threads=_AT_ONCE)
    footers = [footer for _, footer in files]
    columns = list(dict.fromkeys(name for footer in footers for name in footer.schema.names))
    named = named_columns(columns, source.name)
    if all(footer.is_plain(named) for footer in footers):
        if named["key"] is not None:
            check_unique(_own_keys(source, named["key"]), source.name)
        yield from _grouped(source, footers, shard_size)
        return

    def rows() -> Iterator[tuple[Any, bool]]:
        records = Records(columns, lambda: _light(source, footers, named), lambda: 0, places)
        return uncounted_rows(records, named, source.root, source.name)

    def places() -> Iterator[str]:
        for place, footer in zip(source.places, footers, strict=True):
            yield from (f"{place.absolute}#{row}" for row in range(sum(footer.rows)))

    yield from write_lists(keyed(rows, source.name), lists, _sizes(footers, named, shard_size))


def _sizes(footers: Sequence[_Footer], named: Named, shard_size: int) -> Iterator[int]:
    """Rows of the lists, which end where row groups of pictures do: none is read for two lists."""
    image = named["image"] or ""
    if not any(f.holds_pictures(image) for f in footers):
        yield from repeat(shard_size)
    held = 0
    for more in (rows for footer in footers for rows in footer.rows):
        if held and held + more > shard_size:
            yield held
            held = 0
        held += more
    yield held


def _footer(place: Place) -> _Footer:
    with open_parquet(place) as file:
        metadata, schema = file.metadata, file.schema_arrow
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    counted: dict[str, int] = {}
    for leaf in range(metadata.num_columns):
        found = [_empty(group.column(leaf)) for group in groups]
        if None not in found:
            counted[metadata.schema.column(leaf).path] = sum(filter(None, found))
    return _Footer(place.stamp(), schema, [group.num_rows for group in groups], counted)


def _empty(column: Any) -> int | None:
    told = column.statistics
    return told.null_count if told is not None and told.has_null_count else None


def _grouped(source: Tables, footers: Sequence[_Footer], shard_size: int) -> Iterator[Shard]:
    names = ShardNames()
    before = 0
    root = source.root.absolute.rstrip("/") + "/"
    for place, footer in zip(source.places, footers, strict=True):
        path = place.absolute.removeprefix(root).rpartition(".")[0]
        spans = list(_spans(footer.rows, shard_size))
        for number, (first, stop) in enumerate(spans):
            rows = sum(footer.rows[first:stop])
            yield Shard(
                name=names.of(f"{path}-{number:05d}" if len(spans) > 1 else path),
                kind="parquet",
                source=place.absolute,
                first=first,
                stop=stop,
                rows=rows,
                size=footer.stamp.size,
                mark=footer.stamp.mark,
                before=before,
            )
            before += rows


def _spans(rows: Sequence[int], shard_size: int) -> Iterator[tuple[int, int]]:
    """Row groups that together have at most so many rows, one at least."""
    first, held = 0, 0
    for group, more in enumerate(rows):
        if held and held + more > shard_size:
            yield first, group
            first, held = group, 0
        held += more
    if held:
        yield first, len(rows)


def _own_keys(source: Tables, column: str) -> Iterator[str]:
    for place in source.places:
        with open_parquet(place) as file:
            for batch in file.iter_batches(columns=[column]):
                yield from (str(record[column]) for record in records_in(batch))


def _light(source: Tables, footers: Sequence[_Footer], named: Named) -> Iterator[dict[str, Any]]:
    """The records without bytes; a picture that is embedded has `_EMBEDDED` for its own."""
    image = named["image"] or ""
    for place, footer in zip(source.places, footers, strict=True):
        columns, unread = _without_bytes(footer, image)
        with open_parquet(place) as file:
            for batch in file.iter_batches(batch_size=1024 if unread else 64, columns=columns):
                for record in records_in(batch):
                    if unread:
                        record[image] = {**(record.get(image) or {}), "bytes": _EMBEDDED}
                    yield record


def _without_bytes(footer: _Footer, image: str) -> tuple[list[str], bool]:
    """Columns to read, and whether the pictures' bytes need not be read: none of them is empty."""
    columns = [f.name for f in footer.schema if f.name != image and not _holds_bytes(f.type)]
    if image not in footer.schema.names:
        return columns, False
    kind = footer.schema.field(image).type
    if _is_struct(kind) and footer.is_full(f"{image}.bytes"):
        return [*columns, f"{image}.path"], True
    return [*columns, image], False


def _holds_bytes(kind: pa.DataType) -> bool:
    if _is_struct(kind):
        return any(_holds_bytes(field.type) for field in kind)
    return _is_bytes(kind)


def _is_struct(kind: pa.DataType) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_struct(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
