"""The rows of one shard, the same as those that its source gives as a whole."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from beholder._inputs.manifest_rows import manifest_rows
from beholder._inputs.packed_rows import packed_count, packed_file
from beholder._inputs.records import Records, open_parquet, parquet_rows
from beholder._inputs.remote_files import fetch_each
from beholder._inputs.rows import Inputs, Row
from beholder._plan.lists import read_list
from beholder._run_folder import Shard
from beholder.errors import DataError
from beholder.located import Finder, container_of
from beholder.storage import Place, Stamp, is_remote


def shard_rows(shard: Shard) -> Inputs:
    """The rows of a shard; keys, prompts and names are those that its whole source gives.

    A remote archive is on the local disk from this call until its rows were read. `has_prompts`
    tells of this shard alone, and is True where only reading it would tell.

    Raises:
        DataError: if the source is gone, damaged, or another than was planned.
    """
    if shard.kind == "list":
        return _listed(shard)
    place = Place(shard.source)
    _check(shard, place.stamp())
    return _archive(shard, place) if shard.kind == "archive" else _parquet(shard, place)


def _check(shard: Shard, now: Stamp) -> None:
    if (now.size, now.mark) != (shard.size, shard.mark):
        raise DataError(
            f"{shard.source} has changed since it was planned ({shard.size} bytes then, {now.size} "
            "now); delete plan.jsonl and planned.json in the run's `_run` to plan anew: shards "
            "whose sources are unchanged stay done"
        )


def _archive(shard: Shard, place: Place) -> Inputs:
    copy = _Copy(place)
    begun = packed_file(copy.path())
    first = list(islice(begun, 1))
    readings = [chain(first, begun)]  # so that the archive is opened once
    has_prompts = any(member.prompt is not None for member in first)

    def rows() -> Iterator[Row]:
        with copy:
            for m in readings.pop() if readings else packed_file(copy.path()):
                yield Row(
                    key=shard.prefix + m.key,
                    image=m.image,
                    prompt=m.prompt,
                    name=f"{place.absolute}/{m.key}",
                    extra=m.extra,
                )

    return Inputs(shard.source, has_prompts, rows, lambda: packed_count(copy.path()))


class _Copy:
    """A file on the local disk; the copy of a remote one is there from its first use to its end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path: Path | None = None
        self._forget: Callable[[], Any] = lambda: None

    def __enter__(self) -> None:
        self.path()

    def __exit__(self, *_: object) -> None:
        self._forget()
        self._path = None

    def path(self) -> Path:
        """Where it is, fetched if need be; DataError if that fails."""
        if self._path is None:
            self._path, forget = self._place.fetch()
            self._forget = weakref.finalize(self, forget)
        return self._path


def _parquet(shard: Shard, place: Place) -> Inputs:
    groups = range(shard.first, shard.stop)
    with open_parquet(place) as file:
        columns = list(file.schema_arrow.names)
        counts = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    start = sum(counts[: shard.first])
    count = sum(counts[g] for g in groups)

    def read() -> Iterator[dict[str, Any]]:
        with open_parquet(place) as file:
            yield from parquet_rows(file, groups)

    def places() -> Iterator[str]:
        return (f"{place.absolute}#{row}" for row in range(start, start + count))

    records = Records(columns, read, lambda: count, places)
    return manifest_rows(records, place.parent, place.name, before=shard.before)


def _listed(shard: Shard) -> Inputs:
    first = next(islice(read_list(shard), 1), None)

    def rows() -> Iterator[Row]:
        return fetch_each(_found(shard)) if remote else _found(shard)

    remote = first is not None and is_remote(first.name)
    has_prompts = any(row.prompt is not None for row in read_list(shard))
    return Inputs(shard.source, has_prompts, rows, lambda: shard.rows or 0)


def _found(shard: Shard) -> Iterator[Row]:
    """The rows, those of archives and tables with their pictures, others by path or address."""
    with Finder() as finder:
        for row in read_list(shard):
            if row.image is not None and container_of(row.name)[0]:
                yield replace(row, image=finder.find(row.name))
            else:
                yield row
