"""The shards of a classified source, one by one; lists are written as they come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from beholder._inputs.manifest_rows import named_columns, uncounted_rows
from beholder._inputs.rows import Row
from beholder._inputs.sources import (
    Archives,
    Manifest,
    Pictures,
    RemotePictures,
    Saved,
    Source,
    Tables,
)
from beholder._plan.keyed import keyed
from beholder._plan.lists import write_lists
from beholder._plan.names import ShardNames
from beholder._plan.saved import light_records
from beholder._plan.tables import table_shards
from beholder._run_folder import Shard
from beholder.errors import ConfigError, DataError
from beholder.inputs import addressed_rows, records_of, refuse_prompts, rows_of
from beholder.storage import Place

Prompts = str | os.PathLike[str] | None


def shards_of(source: Source, lists: Place, prompts: Prompts, shard_size: int) -> Iterator[Shard]:
    """The shards of a source in the order of `read_inputs`.

    Args:
        source: by `_sources.classified`.
        lists: folder of the lists that are written.
        prompts: for pictures that bring none.
        shard_size: rows of a shard, where archives do not decide it.

    Raises:
        ConfigError: if there are prompts for remote archives.
        DataError: if a manifest is malformed, repeats a key, or comes with prompts of another.
    """
    if isinstance(source, Archives) and prompts is None:
        return archive_shards(source)
    if isinstance(source, Tables):
        refuse_prompts(prompts, source.name)
        return table_shards(source, lists, shard_size)
    return write_lists(_rows(source, prompts), lists, repeat(shard_size))


def archive_shards(archives: Archives) -> Iterator[Shard]:
    """A shard for each archive; a local one is asked for its size and time, none is opened."""
    names = ShardNames()
    if len(set(archives.prefixes)) < len(archives.places):
        raise DataError(f"{archives.name} names an archive twice; keys must be unique")
    for place, prefix in zip(archives.places, archives.prefixes, strict=True):
        stamp = archives.stamps.get(place.address) or place.stamp()
        yield Shard(
            name=names.of((prefix.rstrip("/") or place.name).rpartition(".")[0]),
            kind="archive",
            source=place.absolute,
            size=stamp.size,
            mark=stamp.mark,
            prefix=prefix,
        )


def _rows(
    source: Archives | Pictures | RemotePictures | Manifest | Saved, prompts: Prompts
) -> Iterator[Row]:
    if isinstance(source, RemotePictures):
        return addressed_rows(source, prompts)()
    if isinstance(source, Pictures):
        return iter(rows_of(source, prompts))
    if isinstance(source, Archives):
        if any(place.is_remote for place in source.places):
            raise ConfigError(
                f"prompts of {prompts} for the remote archives {source.name} would fetch all of "
                "them to tell whose they are; pack a .txt beside each picture"
            )
        return iter(rows_of(source, prompts))
    return _recorded(source, prompts)


def _recorded(source: Manifest | Saved, prompts: Prompts) -> Iterator[Row]:
    name = source.path.name if isinstance(source, Saved) else source.name
    refuse_prompts(prompts, name)
    records, root = records_of(source)
    if isinstance(source, Saved):
        records = light_records(source.path, records)
    named = named_columns(records.columns, name)

    def rows() -> Iterator[tuple[Any, bool]]:
        return uncounted_rows(records, named, root, name)

    return keyed(rows, name)
